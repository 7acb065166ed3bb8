import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newSegmentCounters } from '../../src/compartment/counters.ts';
import { type NeighbourState, SEGMENT_LIMITS, type SegmentLimits } from '../../src/compartment/index.ts';
import { NEIGHBOUR_STATES, type Neighbour } from '../../src/compartment/neighbour.ts';
import { NeighbourTable } from '../../src/compartment/neighbours.ts';
import { Shares } from '../../src/core/index.ts';
import { DROP_NAMES, formatAddress, formatMac, type Packet, parseMac, wrapPacket } from '../../src/ip/index.ts';
import { NeighbourModel } from './neighbour-model.ts';
import { addr } from './octets.ts';

/** Half of the largest number, so that the reachable time is its mean. */
const middle = (length: number): Uint8Array => Uint8Array.of(0x80, ...new Uint8Array(length - 1));
const mac = (last: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 0, last);

/** A table whose owner writes down what he is asked to do. */
class Desk {
  readonly log: string[] = [];
  readonly counters = newSegmentCounters();
  readonly table: NeighbourTable;
  now = 1000;
  #packets = 0;
  readonly #numbers = new Map<Packet, number>();

  constructor(limits: Partial<SegmentLimits> = {}, room = new Shares(1000)) {
    const owner = {
      solicit: ({ address, mac: known }: Neighbour, unicast: boolean) =>
        void this.log.push(`ask ${unicast ? `${formatMac(known)} ` : ''}for ${formatAddress(address)}`),
      carry: (packet: Packet, neighbour: Neighbour) =>
        void this.log.push(`${this.#numbers.get(packet)} to ${formatMac(neighbour.mac)}`),
      refuse: (packet: Packet, reason: number) =>
        void this.log.push(`${this.#numbers.get(packet)} ${DROP_NAMES[reason]}`),
    };
    this.table = new NeighbourTable(owner, { ...SEGMENT_LIMITS, ...limits }, this.counters, middle, room);
  }

  /** What the given event makes happen. */
  during(event: () => void): string[] {
    this.log.length = 0;
    event();
    return [...this.log];
  }

  /** Packets are numbered from 1. */
  packet(address: string, holder = 2): void {
    const packet = wrapPacket(new Uint8Array(1));
    this.#packets += 1;
    this.#numbers.set(packet, this.#packets);
    const neighbour = this.table.find(addr(address));
    if (neighbour === undefined) this.table.seek(addr(address), packet, holder, this.now);
    else if (this.table.use(neighbour, this.now)) this.log.push(`${this.#packets} to ${formatMac(neighbour.mac)}`);
    else this.table.hold(neighbour, packet, holder, this.now);
  }

  advertised(address: string, from: Uint8Array | undefined, solicited: boolean, override: boolean): void {
    const neighbour = this.table.find(addr(address))!;
    this.table.advertised(neighbour, from ?? mac(0), from ? 0 : -1, { solicited, override }, this.now);
  }

  told(address: string, from: Uint8Array): void {
    const neighbour = this.table.find(addr(address));
    if (neighbour !== undefined) this.table.told(neighbour, from, 0, this.now);
    else this.table.learn(addr(address), from, 0, this.now);
  }

  pass(milliseconds: number): void {
    this.now += milliseconds;
    this.table.expire(this.now);
  }

  state(address: string): string {
    const neighbour = this.table.find(addr(address));
    if (neighbour === undefined) return 'none';
    const state = NEIGHBOUR_STATES[neighbour.state]!;
    return neighbour.isResolved ? `${state} ${neighbour.mac[5]}` : state;
  }
}

const A = '10.3.0.9';

/** Brings A into a state, with the MAC address that ends with 1 where it has one. */
function inState(state: NeighbourState | 'unused' | 'none'): Desk {
  const desk = new Desk();
  const { retransmitMs, reachableMs, delayMs } = SEGMENT_LIMITS;
  if (state === 'none') return desk;
  if (state === 'permanent') desk.table.addPermanent(addr(A), mac(1), desk.now);
  else if (state === 'unused') desk.told(A, mac(1));
  else desk.packet(A);
  if (state === 'failed') for (const _ of [1, 2, 3]) desk.pass(retransmitMs);
  if (['reachable', 'stale', 'delay', 'probe'].includes(state)) desk.advertised(A, mac(1), true, true);
  if (['stale', 'delay', 'probe'].includes(state)) desk.pass(reachableMs);
  if (['delay', 'probe'].includes(state)) desk.packet(A);
  if (state === 'probe') desk.pass(delayMs);
  desk.log.length = 0;
  return desk;
}

type EventName = keyof typeof EVENTS;
const EVENTS = {
  packet: (desk: Desk) => desk.packet(A),
  'same S O': (desk: Desk) => desk.advertised(A, mac(1), true, true),
  'same S': (desk: Desk) => desk.advertised(A, mac(1), true, false),
  same: (desk: Desk) => desk.advertised(A, mac(1), false, false),
  'same O': (desk: Desk) => desk.advertised(A, mac(1), false, true),
  'other S O': (desk: Desk) => desk.advertised(A, mac(2), true, true),
  'other S': (desk: Desk) => desk.advertised(A, mac(2), true, false),
  other: (desk: Desk) => desk.advertised(A, mac(2), false, false),
  'other O': (desk: Desk) => desk.advertised(A, mac(2), false, true),
  'no MAC S': (desk: Desk) => desk.advertised(A, undefined, true, true),
  'tells same': (desk: Desk) => desk.told(A, mac(1)),
  'tells other': (desk: Desk) => desk.told(A, mac(2)),
};

describe('RFC 4861 Appendix C: each event in each state', () => {
  const m = (last: number) => `02:00:00:00:00:0${last}`;
  const table: [state: Parameters<typeof inState>[0], event: EventName, expected: string, ...log: string[]][] = [
    ['none', 'packet', 'incomplete', `ask for ${A}`],
    ['none', 'tells same', 'stale 1'],
    ['incomplete', 'packet', 'incomplete'],
    ['incomplete', 'same S O', 'reachable 1', `1 to ${m(1)}`],
    ['incomplete', 'same S', 'reachable 1', `1 to ${m(1)}`],
    ['incomplete', 'same', 'stale 1', `1 to ${m(1)}`],
    ['incomplete', 'same O', 'stale 1', `1 to ${m(1)}`],
    ['incomplete', 'no MAC S', 'incomplete'],
    ['incomplete', 'tells same', 'stale 1', `1 to ${m(1)}`],
    ['reachable', 'packet', 'reachable 1', `2 to ${m(1)}`],
    ['reachable', 'same S O', 'reachable 1'],
    ['reachable', 'same S', 'reachable 1'],
    ['reachable', 'same', 'reachable 1'],
    ['reachable', 'same O', 'reachable 1'],
    ['reachable', 'other S O', 'reachable 2'],
    ['reachable', 'other S', 'stale 1'],
    ['reachable', 'other', 'stale 1'],
    ['reachable', 'other O', 'stale 2'],
    ['reachable', 'no MAC S', 'reachable 1'],
    ['reachable', 'tells same', 'reachable 1'],
    ['reachable', 'tells other', 'stale 2'],
    ['stale', 'packet', 'delay 1', `2 to ${m(1)}`],
    ['stale', 'same S O', 'reachable 1'],
    ['stale', 'same S', 'reachable 1'],
    ['stale', 'same', 'stale 1'],
    ['stale', 'same O', 'stale 1'],
    ['stale', 'other S O', 'reachable 2'],
    ['stale', 'other S', 'stale 1'],
    ['stale', 'other', 'stale 1'],
    ['stale', 'other O', 'stale 2'],
    ['stale', 'no MAC S', 'reachable 1'],
    ['stale', 'tells same', 'stale 1'],
    ['stale', 'tells other', 'stale 2'],
    ['unused', 'packet', 'delay 1', `1 to ${m(1)}`],
    ['unused', 'same S O', 'reachable 1'],
    ['unused', 'other O', 'stale 2'],
    ['unused', 'tells other', 'stale 2'],
    ['delay', 'packet', 'delay 1', `3 to ${m(1)}`],
    ['delay', 'same S O', 'reachable 1'],
    ['delay', 'same', 'delay 1'],
    ['delay', 'other S O', 'reachable 2'],
    ['delay', 'other S', 'delay 1'],
    ['delay', 'other', 'delay 1'],
    ['delay', 'other O', 'stale 2'],
    ['delay', 'no MAC S', 'reachable 1'],
    ['delay', 'tells same', 'delay 1'],
    ['delay', 'tells other', 'stale 2'],
    ['probe', 'packet', 'probe 1', `3 to ${m(1)}`],
    ['probe', 'same S O', 'reachable 1'],
    ['probe', 'same S', 'reachable 1'],
    ['probe', 'same O', 'probe 1'],
    ['probe', 'other S O', 'reachable 2'],
    ['probe', 'other S', 'probe 1'],
    ['probe', 'other', 'probe 1'],
    ['probe', 'other O', 'stale 2'],
    ['probe', 'no MAC S', 'reachable 1'],
    ['probe', 'tells same', 'probe 1'],
    ['probe', 'tells other', 'stale 2'],
    ['failed', 'packet', 'failed', '2 neighbour'],
    ['failed', 'same S O', 'reachable 1'],
    ['failed', 'same O', 'stale 1'],
    ['failed', 'no MAC S', 'failed'],
    ['failed', 'tells same', 'stale 1'],
    ['permanent', 'packet', 'permanent 1', `1 to ${m(1)}`],
    ['permanent', 'other S O', 'permanent 1'],
    ['permanent', 'tells other', 'permanent 1'],
  ];

  it.each(table)('%s, %s: %s', (state, event, expected, ...log) => {
    const desk = inState(state);
    expect(desk.during(() => EVENTS[event](desk))).toEqual(log);
    expect(desk.state(A)).toBe(expected);
  });

  it('what differs is counted', () => {
    const moved = inState('reachable');
    moved.advertised(A, mac(2), false, true);
    expect(moved.counters.moved).toBe(1);
    const permanent = inState('permanent');
    permanent.told(A, mac(2));
    permanent.advertised(A, mac(1), true, true);
    permanent.advertised(A, mac(2), true, true);
    expect(permanent.counters.contradicted).toBe(2);
  });
});

describe('RFC 4861 §7.3, §10: time', () => {
  it('§7.2.2: asks three times, a second apart, then refuses what waits', () => {
    const desk = inState('none');
    expect(desk.during(() => desk.packet(A))).toEqual([`ask for ${A}`]);
    desk.packet(A);
    expect(desk.table.deadline()).toEqual({ at: 2000, why: `neighbour ${A} is asked for` });
    expect(desk.during(() => desk.pass(999))).toEqual([]);
    expect(desk.during(() => desk.pass(1))).toEqual([`ask for ${A}`]);
    expect(desk.during(() => desk.pass(1000))).toEqual([`ask for ${A}`]);
    expect(desk.during(() => desk.pass(999))).toEqual([]);
    expect(desk.during(() => desk.pass(1))).toEqual(['1 neighbour', '2 neighbour']);
    expect(desk.state(A)).toBe('failed');
    expect(desk.counters).toMatchObject({ failed: 1, unreachable: 2, waitingRefused: 0 });
  });

  it('RFC 1122 §2.3.2.1: asks again for who failed when a second has passed, for the sake of a packet only', () => {
    const desk = inState('failed');
    desk.now += 999;
    expect(desk.during(() => desk.packet(A))).toEqual(['2 neighbour']);
    desk.now += 1;
    expect(desk.during(() => desk.packet(A))).toEqual([`ask for ${A}`]);
    expect(desk.state(A)).toBe('incomplete');
  });

  it('who failed is forgotten, and who is not sent to', () => {
    const failed = inState('failed');
    failed.pass(SEGMENT_LIMITS.failedMs);
    expect([failed.state(A), failed.table.deadline()]).toEqual(['none', undefined]);
    for (const state of ['stale', 'unused'] as const) {
      const desk = inState(state);
      desk.pass(SEGMENT_LIMITS.staleMs - 1);
      expect(desk.state(A)).toBe('stale 1');
      desk.pass(1);
      expect(desk.state(A)).toBe('none');
    }
  });

  it('§7.3.3: is sure for 30 s, then waits for a packet, five seconds more, and asks the one it knows three times', () => {
    const desk = inState('reachable');
    desk.pass(29_999);
    expect(desk.state(A)).toBe('reachable 1');
    desk.pass(1);
    expect(desk.state(A)).toBe('stale 1');
    desk.pass(100_000);
    desk.packet(A);
    expect(desk.during(() => desk.pass(4999))).toEqual([]);
    expect(desk.during(() => desk.pass(1))).toEqual([`ask 02:00:00:00:00:01 for ${A}`]);
    expect(desk.during(() => desk.pass(1000))).toEqual([`ask 02:00:00:00:00:01 for ${A}`]);
    expect(desk.during(() => desk.pass(1000))).toEqual([`ask 02:00:00:00:00:01 for ${A}`]);
    expect(desk.during(() => desk.packet(A))).toEqual(['3 to 02:00:00:00:00:01']);
    expect(desk.during(() => desk.pass(1000))).toEqual([]);
    expect([desk.state(A), desk.counters.lost]).toEqual(['none', 1]);
    expect(desk.during(() => desk.packet(A))).toEqual([`ask for ${A}`]);
  });

  it('an answer restarts the reachable time', () => {
    const desk = inState('reachable');
    desk.pass(20_000);
    desk.advertised(A, mac(1), true, true);
    desk.pass(20_000);
    expect(desk.state(A)).toBe('reachable 1');
    desk.pass(10_000);
    expect(desk.state(A)).toBe('stale 1');
  });

  it('permanent ones wait for nothing', () => {
    const desk = inState('permanent');
    expect(desk.table.deadline()).toBeUndefined();
    desk.pass(1e9);
    expect(desk.state(A)).toBe('permanent 1');
  });
});

describe('RFC 4861 §7.2.2, RFC 1122 §2.3.2.2: packets that wait', () => {
  it('are so many of each neighbour, the newest, and leave in order', () => {
    const desk = new Desk({ waitingEach: 3 });
    for (let n = 0; n < 5; n++) desk.packet(A);
    expect(desk.log).toEqual([`ask for ${A}`, '1 queueFull', '2 queueFull']);
    expect(desk.table.views()[0]!.waiting).toBe(3);
    expect(desk.during(() => desk.advertised(A, mac(1), true, true))).toEqual(
      [3, 4, 5].map((n) => `${n} to 02:00:00:00:00:01`),
    );
    expect(desk.counters).toMatchObject({ waitingRefused: 2, resolved: 1 });
  });

  it('are so many over all neighbours: the oldest goes', () => {
    const desk = new Desk({ waiting: 4 });
    for (let n = 0; n < 6; n++) desk.packet(`10.3.0.${10 + n}`);
    expect(desk.log.filter((line) => !line.startsWith('ask'))).toEqual(['1 queueFull', '2 queueFull']);
    expect(desk.during(() => desk.advertised('10.3.0.10', mac(1), true, true))).toEqual([]);
    expect(desk.during(() => desk.advertised('10.3.0.12', mac(2), true, true))).toEqual(['3 to 02:00:00:00:00:02']);
  });

  it('of the holder of most make room: a flood for nobody leaves the packet of another where it is', () => {
    const desk = new Desk({ waiting: 8 });
    desk.packet(A, 1);
    for (let n = 0; n < 100; n++) desk.packet(`10.3.1.${n}`, 2);
    expect(desk.during(() => desk.advertised(A, mac(1), true, true))).toEqual(['1 to 02:00:00:00:00:01']);
    expect(desk.counters.waitingRefused).toBe(93);
  });

  it('are no more than the pool has room for: then the oldest of the same holder goes, or none waits', () => {
    const room = new Shares(12);
    const desk = new Desk({}, room);
    for (let n = 0; n < 9; n++) desk.packet(`10.3.1.${n}`, 2);
    expect(desk.log.filter((line) => !line.startsWith('ask'))).toEqual(['1 queueFull']);
    // What the holder has elsewhere counts.
    const other = new Desk({}, room);
    expect(other.during(() => other.packet(A, 2))).toEqual([`ask for ${A}`, '1 queueFull']);
    expect(other.state(A)).toBe('incomplete');
    expect(other.during(() => other.packet(A, 3))).toEqual([]);
    expect(room.used).toBe(9);
    desk.table.flush(desk.now);
    other.table.flush(other.now);
    expect(room.used).toBe(0);
  });

  it('leave when the neighbour becomes permanent, and are refused when it is removed', () => {
    const desk = inState('incomplete');
    expect(desk.during(() => desk.table.addPermanent(addr(A), mac(7), desk.now))).toEqual(['1 to 02:00:00:00:00:07']);
    const other = inState('incomplete');
    expect(other.during(() => other.table.remove(addr(A), other.now))).toEqual(['1 neighbour']);
    expect(other.table.remove(addr(A), other.now)).toBe(false);
    const flushed = inState('incomplete');
    flushed.table.addPermanent(addr('10.3.0.1'), mac(1), flushed.now);
    expect(flushed.during(() => flushed.table.flush(flushed.now))).toEqual(['1 neighbour']);
    expect(flushed.table.views().map((n) => n.state)).toEqual(['permanent']);
  });
});

describe('a full table', () => {
  const hosts = (count: number, second = 3): string[] =>
    Array.from({ length: count }, (_, n) => `10.${second}.${n >>> 8}.${n & 255}`);
  const reach = (desk: Desk, addresses: readonly string[]): void => {
    for (const address of addresses) {
      desk.packet(address);
      desk.advertised(address, mac(1), true, true);
    }
  };
  const states = (desk: Desk): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { state } of desk.table.views()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  };

  it('a scan of the network has its share and no more: whoever is known stays', () => {
    const desk = new Desk();
    const known = hosts(3000);
    reach(desk, known);
    for (const address of hosts(20_000, 4)) desk.packet(address);
    expect(states(desk)).toEqual({ reachable: 3000, incomplete: 1024 });
    expect(desk.table.views().reduce((sum, n) => sum + n.waiting, 0)).toBe(SEGMENT_LIMITS.waiting);
    expect(known.every((address) => desk.state(address) === 'reachable 1')).toBe(true);
    for (let n = 0; n < 4; n++) desk.pass(1000);
    expect(states(desk)).toEqual({ reachable: 3000, failed: 1024 });
    for (const address of hosts(20_000, 5)) desk.packet(address);
    expect(desk.table.views().length).toBe(4096);
    expect(states(desk).reachable).toBe(3000);
    expect(desk.counters.evicted).toBeGreaterThan(30_000);
  });

  it('those who ask for us under many names make room for each other only', () => {
    const desk = new Desk({ neighbours: 100 });
    const known = hosts(60);
    reach(desk, known);
    for (const address of hosts(10_000, 4)) desk.told(address, mac(9));
    expect(states(desk)).toEqual({ reachable: 60, stale: 40 });
    reach(desk, hosts(40, 5));
    expect(states(desk)).toEqual({ reachable: 100 });
    for (const address of hosts(1000, 6)) desk.told(address, mac(9));
    expect(states(desk)).toEqual({ reachable: 100 });
    expect(known.every((address) => desk.state(address) === 'reachable 1')).toBe(true);
  });

  it('whoever asked for us and moved is still among the first to go', () => {
    const desk = new Desk({ neighbours: 2 });
    const [known, asked, other] = hosts(3) as [string, string, string];
    reach(desk, [known]);
    desk.pass(SEGMENT_LIMITS.reachableMs);
    desk.told(asked, mac(1));
    desk.told(asked, mac(2));
    desk.told(other, mac(3));
    expect([known, asked, other].map((address) => desk.state(address))).toEqual(['stale 1', 'none', 'stale 3']);
  });

  it('somebody new takes the place of who was known longest, those in vain and idle first', () => {
    const desk = new Desk({ neighbours: 3 });
    const [first, second, third, fourth] = hosts(4) as [string, string, string, string];
    reach(desk, [first, second]);
    desk.pass(SEGMENT_LIMITS.reachableMs);
    desk.packet(first);
    desk.advertised(first, mac(1), true, true);
    reach(desk, [third, fourth]);
    expect([first, second, third, fourth].map((address) => desk.state(address))).toEqual([
      'reachable 1',
      'none',
      'reachable 1',
      'reachable 1',
    ]);
    reach(desk, [second]);
    expect(desk.state(first)).toBe('none');
  });

  it('a scan by one holder does not end the search of another', () => {
    const desk = new Desk({ unresolved: 16 });
    desk.packet(A, 1);
    for (const address of hosts(200, 5)) desk.packet(address, 2);
    expect(desk.state(A)).toBe('incomplete');
    expect(states(desk)).toEqual({ incomplete: 16 });
    expect(desk.during(() => desk.advertised(A, mac(1), true, true))).toEqual(['1 to 02:00:00:00:00:01']);
    // What was found is nobody's search any more.
    for (const address of hosts(20, 6)) desk.packet(address, 1);
    expect(states(desk).incomplete).toBe(16);
  });

  it('permanent ones stay, and are bounded themselves', () => {
    const desk = new Desk({ neighbours: 3 });
    for (const address of hosts(3)) expect(desk.table.addPermanent(addr(address), mac(1), desk.now)).toBe(true);
    expect(desk.table.addPermanent(addr(A), mac(1), desk.now)).toBe(false);
    expect(desk.table.addPermanent(addr(hosts(1)[0]!), mac(2), desk.now)).toBe(true);
    expect(desk.during(() => desk.packet(A))).toEqual([`ask for ${A}`, '1 queueFull']);
    expect(states(desk)).toEqual({ permanent: 3 });
  });

  it('has one deadline, and thousands of neighbours are looked at when their time has come', () => {
    const desk = new Desk();
    const all = hosts(4000);
    for (const [n, address] of all.entries()) {
      desk.now = 1000 + n;
      reach(desk, [address]);
    }
    expect(desk.table.deadline()!.at).toBe(31_000);
    let woken = 0;
    for (let next = desk.table.deadline(); next !== undefined && woken < 4000; next = desk.table.deadline()) {
      desk.now = next.at;
      desk.table.expire(desk.now);
      woken += 1;
      if (woken === 2000) expect(states(desk)).toEqual({ reachable: 2000, stale: 2000 });
    }
    expect(states(desk)).toEqual({ stale: 4000 });
  });
});

describe('the table as a whole', () => {
  const addresses = ['10.3.0.1', '10.3.0.2', '10.3.0.3', '10.3.0.4', '2001:db8::1', '2001:db8::2', '2001:db8::3'];
  const limits = { ...SEGMENT_LIMITS, neighbours: 5, unresolved: 3, waiting: 4, waitingEach: 2 };
  const address = fc.constantFrom(...addresses);
  const station = fc.integer({ min: 1, max: 3 });
  type Step =
    | { do: 'packet'; address: string }
    | { do: 'advertised'; address: string; mac: number | undefined; solicited: boolean; override: boolean }
    | { do: 'told' | 'permanent'; address: string; mac: number }
    | { do: 'remove'; address: string }
    | { do: 'flush' }
    | { do: 'pass'; milliseconds: number };
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('packet' as const), address }) },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('advertised' as const),
        address,
        mac: fc.option(station, { nil: undefined, freq: 5 }),
        solicited: fc.boolean(),
        override: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('told' as const), address, mac: station }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('permanent' as const), address, mac: station }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), address }) },
    { weight: 1, arbitrary: fc.constant({ do: 'flush' as const }) },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('pass' as const),
        milliseconds: fc.constantFrom(0, 1, 500, 1000, 3000, 5000, 30_000, 60_000, 1_200_000),
      }),
    },
  );

  it('equals a list searched from end to end', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
        const desk = new Desk(limits);
        const model = new NeighbourModel(limits, limits.reachableMs);
        let packets = 0;
        const text = (last: number | undefined) => (last === undefined ? undefined : formatMac(mac(last)));
        for (const s of steps) {
          desk.log.length = 0;
          model.log.length = 0;
          const known = 'address' in s ? model.find(s.address) : undefined;
          switch (s.do) {
            case 'packet':
              packets += 1;
              desk.packet(s.address);
              model.packet(s.address, packets, desk.now);
              break;
            case 'advertised':
              if (known === undefined) break;
              desk.advertised(s.address, s.mac === undefined ? undefined : mac(s.mac), s.solicited, s.override);
              model.advertised(known, text(s.mac), s.solicited, s.override, desk.now);
              break;
            case 'told':
              desk.told(s.address, mac(s.mac));
              if (known === undefined) model.learn(s.address, text(s.mac)!, desk.now);
              else model.told(known, text(s.mac)!, desk.now);
              break;
            case 'permanent':
              expect(desk.table.addPermanent(addr(s.address), mac(s.mac), desk.now)).toBe(
                model.permanent(s.address, text(s.mac)!, desk.now),
              );
              break;
            case 'remove':
              expect(desk.table.remove(addr(s.address), desk.now)).toBe(model.remove(s.address));
              break;
            case 'flush':
              desk.table.flush(desk.now);
              model.flush();
              break;
            case 'pass':
              desk.pass(s.milliseconds);
              model.expire(desk.now);
              break;
          }
          expect([...desk.log].sort()).toEqual([...model.log].sort());
          const views = desk.table.views().map((n) => {
            const known = n.mac === undefined ? '' : formatMac(n.mac);
            return `${formatAddress(n.address)} ${n.state} ${known} ${n.since} ${n.waiting}`;
          });
          const should = model.all.map((n) => {
            const state = n.state === 'unused' ? 'stale' : n.state;
            const shown = n.state === 'incomplete' || n.state === 'failed' ? '' : n.mac;
            const waits = model.waiting.filter((w) => w.address === n.address).length;
            return `${n.address} ${state} ${shown} ${n.since} ${waits}`;
          });
          expect(views.sort()).toEqual(should.sort());
          expect(desk.table.deadline()?.at).toBe(model.next);
          expect(desk.table.views().length).toBeLessThanOrEqual(limits.neighbours);
          expect(model.waiting.length).toBeLessThanOrEqual(limits.waiting);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('finds each of thousands, of both families, and none that is not there', () => {
    const desk = new Desk();
    const all = Array.from({ length: 2000 }, (_, n) =>
      n & 1 ? `10.3.${n >>> 8}.${n & 255}` : `2001:db8::${n.toString(16)}`,
    );
    for (const one of all) desk.told(one, parseMac('02:00:00:00:00:01')!);
    expect(all.every((one) => desk.state(one) === 'stale 1')).toBe(true);
    for (const one of all.filter((_, n) => n % 3 === 0)) desk.table.remove(addr(one), desk.now);
    for (const [n, one] of all.entries()) expect(desk.table.find(addr(one)) !== undefined).toBe(n % 3 !== 0);
  });
});
