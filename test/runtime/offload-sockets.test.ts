import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Endpoint, octetsOf, type Packet, PacketPool, wrapPacket } from '../../src/ip/index.ts';
import {
  type BatchSocket,
  FAILED,
  openNativeUdp,
  openRaw,
  openTun,
  openUdp,
  PollSet,
  Readiness,
  requireSyscalls,
  SENT,
  type SocketOffloadOptions,
  TOO_BIG,
  Wakeup,
} from '../../src/runtime/index.ts';
import { addr, counting, pfx } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns'] as const;
if (missingPeers(...NEEDS).length === 0) enterPrivateNetwork();

const open: { close(): Promise<void> }[] = [];
const pools: PacketPool[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  for (const pool of pools.splice(0)) expect(pool.taken).toBe(0);
});

interface Got {
  /** Each datagram of the packet. */
  readonly datagrams: Uint8Array[];
  readonly segment: number;
  readonly from: Endpoint;
  readonly tos: number;
}

interface End {
  readonly socket: BatchSocket;
  readonly got: Got[];
}

function pool(size = 128, capacity = 65535): PacketPool {
  const made = new PacketPool(size, capacity);
  pools.push(made);
  return made;
}

function keep(from: PacketPool, got: Got[]) {
  return (packet: Packet, sender: Endpoint, tos: number): void => {
    const octets = octetsOf(packet).slice();
    const step = packet.segment === 0 ? Math.max(octets.length, 1) : packet.segment;
    const datagrams: Uint8Array[] = [];
    for (let at = 0; at === 0 || at < octets.length; at += step) datagrams.push(octets.subarray(at, at + step));
    got.push({ datagrams, segment: packet.segment, from: sender, tos });
    from.release(packet);
  };
}

function udp(offload: SocketOffloadOptions | undefined = {}, address = '127.0.0.1', from = pool()): End {
  const got: Got[] = [];
  const local = { address: addr(address), port: 0 };
  const socket = openNativeUdp({ local, pool: from, receive: keep(from, got), offload });
  open.push(socket);
  return { socket, got };
}

function raw(offload: SocketOffloadOptions | undefined, address = '127.0.0.1', from = pool(128, 2000)): End {
  const got: Got[] = [];
  const socket = openRaw({ protocol: 'ip-50', local: addr(address), pool: from, receive: keep(from, got), offload });
  open.push(socket);
  return { socket, got };
}

/** Waits and reads until `count` datagrams are there; gives them. */
function collect({ socket, got }: End, count: number): Uint8Array[] {
  const set = new PollSet(requireSyscalls(), 1);
  set.add(socket.fd);
  const have = () => got.flatMap((each) => each.datagrams);
  while (have().length < count) {
    if (set.wait(2000) === 0) throw new Error(`${have().length} of ${count} datagrams came`);
    socket.drain(64);
  }
  return have();
}

/** Datagrams of which each octet tells which one and where it is. */
function datagram(length: number, n: number): Uint8Array {
  const octets = new Uint8Array(length);
  for (let i = 0; i < length; i++) octets[i] = n * 37 + i * (1 + (n & 3)) + (i >> 8);
  return octets;
}
const datagrams = (lengths: readonly number[]): Uint8Array[] => lengths.map(datagram);
/** Each with something before and behind it. */
const packets = (octets: readonly Uint8Array[]): Packet[] =>
  octets.map((each) => {
    const buf = new Uint8Array(each.length + 12).fill(0xee);
    buf.set(each, 7);
    return wrapPacket(buf, 7, 7 + each.length);
  });
/** All in one packet, back to back. */
function together(octets: readonly Uint8Array[]): Packet {
  const packet = wrapPacket(new Uint8Array(Buffer.concat(octets)));
  packet.segment = octets[0]!.length;
  return packet;
}

/** What `toEqual` says, a hundred times faster for hundreds of kilobytes. */
function expectSame(came: readonly Uint8Array[], sent: readonly Uint8Array[]): void {
  expect(came.length).toBe(sent.length);
  const wrong = came.findIndex((each, i) => Buffer.compare(each, sent[i]!) !== 0);
  if (wrong >= 0) expect(came[wrong]).toEqual(sent[wrong]);
}

const natives = requirePeers(...NEEDS);
const devices = requirePeers(...NEEDS, 'tun');

natives('UDP_SEGMENT and UDP_GRO on loopback', () => {
  it('are in use, with large queues, and reported', () => {
    const { socket } = udp({ busyPollMicros: 20 });
    const { receiveBuffer, sendBuffer, ...offloads } = socket.offloads;
    const used = { used: true, why: '' };
    expect(offloads).toEqual({ gso: used, gro: used, mmsg: used, busyPoll: used });
    expect(receiveBuffer).toBe(32 << 20);
    expect(sendBuffer).toBe(32 << 20);
    expect(udp({ bufferOctets: 1 << 20 }).socket.offloads).toMatchObject({
      receiveBuffer: 1 << 20,
      busyPoll: { used: false, why: 'not asked for' },
    });
  });

  it('carry datagrams of every length from 1 to 1472, octet for octet', { timeout: 30_000 }, () => {
    const a = udp();
    const b = udp();
    for (let length = 1; length <= 1472; length++) {
      const count = 2 + (length % 7);
      const lengths = Array.from({ length: count }, () => length);
      lengths[count - 1] = 1 + ((length * 5) % length);
      const sent = datagrams(lengths);
      expect(a.socket.sendBatch(packets(sent), 0, count, b.socket.local)).toBe(SENT);
      expectSame(collect(b, count), sent);
      expect(b.got).toHaveLength(1);
      expect(b.got.splice(0)[0]).toMatchObject({ segment: length, from: a.socket.local, tos: 0 });
    }
    expect(a.socket.batchCounters).toMatchObject({ sendCalls: 1472, groupsSent: 1472, groupsRefused: 0 });
    expect(b.socket.batchCounters.groupsReceived).toBe(1472);
    expect(b.socket.counters.received).toBe(a.socket.counters.sent);
  });

  it.each([1, 100, 1000, 1472])('carry 1 to 64 datagrams of %i octets, as one message while they fit one', (length) => {
    const a = udp();
    const b = udp();
    for (let count = 1; count <= 64; count++) {
      const sent = datagrams(Array.from({ length: count }, () => length));
      expect(a.socket.sendBatch(packets(sent), 0, count, b.socket.local)).toBe(SENT);
      expectSame(collect(b, count), sent);
      const most = Math.min(64, Math.floor(65000 / length));
      expect(b.got.splice(0).map((each) => [each.datagrams.length, each.segment])).toEqual(
        count <= most
          ? [[count, count === 1 ? 0 : length]]
          : [
              [most, length],
              [count - most, count - most === 1 ? 0 : length],
            ],
      );
    }
    expect(a.socket.batchCounters.sendCalls).toBe(64);
  });

  it('send a packet that holds datagrams back to back, alone and among others, from any of several', () => {
    const a = udp();
    const b = udp();
    const sent = datagrams([500, 500, 500, 500, 500, 500, 80, 700]);
    const batch = [
      together(datagrams([9])),
      packets(sent.slice(0, 1))[0]!,
      together(sent.slice(1, 4)),
      together(sent.slice(4, 7)),
      ...packets(sent.slice(7)),
      together(datagrams([9])),
    ];
    expect(a.socket.sendBatch(batch, 1, 4, b.socket.local)).toBe(SENT);
    expect(collect(b, 8)).toEqual(sent);
    expect(b.got.map((each) => each.datagrams.length)).toEqual([7, 1]);
    expect(a.socket.batchCounters).toMatchObject({ sendCalls: 1, groupsSent: 1 });
  });

  it('send any mixture of lengths in order, empty datagrams and hundreds of packets among them', {
    timeout: 30_000,
  }, () => {
    const a = udp();
    const b = udp();
    const length = fc.oneof(fc.constantFrom(0, 1, 60, 1400, 1472), fc.integer({ min: 0, max: 4000 }));
    const run = fc.tuple(length, fc.integer({ min: 1, max: 90 }));
    fc.assert(
      fc.property(fc.array(run, { minLength: 1, maxLength: 6 }), (runs) => {
        const sent = datagrams(runs.flatMap(([octets, count]) => Array.from({ length: count }, () => octets)));
        expect(a.socket.sendBatch(packets(sent), 0, sent.length, b.socket.local)).toBe(SENT);
        const came = collect(b, sent.length);
        b.got.length = 0;
        expectSame(came, sent);
      }),
      { numRuns: 40, seed: 3 },
    );
    expect(a.socket.counters.refused).toBe(0);
    expect(a.socket.batchCounters.groupsRefused).toBe(0);
  });

  it.each(['127.0.0.1', '::1'])('carry TOS with and without segments over %s', (address) => {
    const a = udp({}, address);
    const b = udp({}, address);
    const sent = datagrams([300, 300, 300, 20]);
    for (const tos of [0xb8, 0, 0x03]) {
      a.socket.sendBatch(packets(sent), 0, 4, b.socket.local, tos);
      a.socket.sendBatch(packets(sent), 3, 1, b.socket.local, tos);
      expect(collect(b, 5)).toEqual([...sent, sent[3]]);
      expect(b.got.splice(0).map((each) => [each.segment, each.tos])).toEqual([
        [300, tos],
        [0, tos],
      ]);
    }
  });

  it('knows its senders apart and makes no new object for one known', () => {
    const b = udp();
    const senders = Array.from({ length: 5 }, () => udp());
    for (let round = 0; round < 3; round++) {
      for (const { socket } of senders) socket.sendBatch(packets(datagrams([10, 10])), 0, 2, b.socket.local);
    }
    collect(b, 30);
    const seen = new Set(b.got.map((each) => each.from));
    expect([...seen]).toEqual(senders.map((each) => each.socket.local));
  });

  it('drain takes no more than asked for', () => {
    const a = udp();
    const b = udp();
    for (let i = 0; i < 5; i++) a.socket.sendBatch(packets(datagrams([10, 10])), 0, 2, b.socket.local);
    expect(b.socket.drain(2)).toBe(2);
    expect(b.got).toHaveLength(2);
    expect(b.socket.drain(64)).toBe(3);
    expect(b.socket.drain(64)).toBe(0);
  });

  it('loses, and counts, what the pool has no packet for', () => {
    const a = udp();
    const own = pool(1);
    const b = udp({}, '127.0.0.1', own);
    const held = own.take()!;
    a.socket.sendBatch(packets(datagrams([10, 10])), 0, 2, b.socket.local);
    expect(b.socket.drain(8)).toBe(1);
    own.release(held);
    expect(b.socket.counters).toMatchObject({ received: 0, dropped: 1 });
    a.socket.sendBatch(packets(datagrams([10, 10])), 0, 2, b.socket.local);
    expect(collect(b, 2)).toEqual(datagrams([10, 10]));
  });
});

natives('without an offload', () => {
  it.each([
    { without: ['gso'] as const, calls: 2, groups: 0, segment: 0 },
    { without: ['mmsg'] as const, calls: 3, groups: 2, segment: 400 },
    { without: ['gso', 'mmsg'] as const, calls: 70, groups: 0, segment: 0 },
  ])('$without: the same datagrams arrive by $calls calls', ({ without, calls, groups, segment }) => {
    const a = udp({ without });
    const b = udp();
    const sent = datagrams([...Array.from({ length: 69 }, () => 400), 7]);
    expect(a.socket.sendBatch(packets(sent), 0, 70, b.socket.local)).toBe(SENT);
    expect(collect(b, 70)).toEqual(sent);
    expect(a.socket.batchCounters).toMatchObject({ groupsSent: groups });
    expect(a.socket.batchCounters.sendCalls).toBeLessThanOrEqual(calls);
    expect(b.got[0]!.segment).toBe(segment);
    expect(a.socket.offloads.gso).toEqual(
      without.some((name) => name === 'gso') ? { used: false, why: 'switched off' } : { used: true, why: '' },
    );
  });

  it.each([{ without: ['gro'] as const }, { without: ['gro', 'mmsg'] as const }])(
    '$without: aggregates come as single datagrams',
    ({ without }) => {
      const a = udp();
      const b = udp({ without });
      const sent = datagrams(Array.from({ length: 64 }, () => 600));
      a.socket.sendBatch(packets(sent), 0, 64, b.socket.local);
      expect(collect(b, 64)).toEqual(sent);
      expect(b.got.every((each) => each.segment === 0)).toBe(true);
      expect(b.socket.batchCounters.receiveCalls).toBeLessThanOrEqual(without.length === 1 ? 8 : 64);
    },
  );

  it('GRO needs packets that hold an aggregate', () => {
    const { socket } = udp({}, '127.0.0.1', pool(8, 9728));
    expect(socket.offloads.gro).toEqual({
      used: false,
      why: 'packets of this gateway hold 9728 octets, an aggregate may have 65535',
    });
  });

  it('none asked for: batches go and come one by one', () => {
    const a = udp();
    const b = udp();
    const [c, d] = [plain(), plain()];
    const sent = datagrams([50, 50, 50, 9]);
    expect(c.socket.offloads.gso.used).toBe(false);
    expect(c.socket.sendBatch([together(sent)], 0, 1, d.socket.local, 0x88)).toBe(SENT);
    expect(collect(d, 4)).toEqual(sent);
    expect(d.got.map((each) => [each.segment, each.tos])).toEqual(sent.map(() => [0, 0x88]));
    a.socket.sendBatch(packets(sent), 0, 4, d.socket.local);
    expect(collect(d, 8).slice(4)).toEqual(sent);
    c.socket.sendBatch(packets(sent), 0, 4, b.socket.local);
    expect(collect(b, 4)).toEqual(sent);
    expect(c.socket.counters).toMatchObject({ sent: 8, refused: 0 });
  });

  function plain(): End {
    const got: Got[] = [];
    const from = pool(16, 2000);
    const local = { address: addr('127.0.0.1'), port: 0 };
    const socket = openNativeUdp({ local, pool: from, receive: keep(from, got) });
    open.push(socket);
    return { socket, got };
  }

  it('the kernel refuses to cut: datagrams go singly, at once the next time, and groups again later', () => {
    const a = udp();
    const b = udp();
    const sys = requireSyscalls();
    const noChecksum = (on: number): void => {
      sys.scratch.view.setInt32(0, on, true);
      expect(sys.setsockopt(a.socket.fd, 1, 11, sys.scratch.base, 4)).toBe(0);
    };
    // socket(7) SO_NO_CHECK: UDP without checksums cannot be cut by the kernel.
    noChecksum(1);
    const sent = datagrams([800, 800, 800, 5]);
    const batch = packets(sent);
    for (const calls of [5, 9]) {
      expect(a.socket.sendBatch(batch, 0, 4, b.socket.local)).toBe(SENT);
      expect(collect(b, 4)).toEqual(sent);
      b.got.length = 0;
      // One refusal and four datagrams; then sendmmsg, which is at most four calls.
      expect(a.socket.batchCounters).toMatchObject({ groupsSent: 0, groupsRefused: 1 });
      expect(a.socket.batchCounters.sendCalls).toBeLessThanOrEqual(calls);
    }
    noChecksum(0);
    expect(a.socket.sendBatch(batch, 0, 4, b.socket.local)).toBe(SENT);
    expect(a.socket.batchCounters.groupsSent).toBe(0);
    const shorter = packets(datagrams([799, 799]));
    expect(a.socket.sendBatch(shorter, 0, 2, b.socket.local)).toBe(SENT);
    expect(a.socket.batchCounters.groupsSent).toBe(1);
    const one = packets(datagrams([1]));
    const nobody = { address: addr('127.0.0.1'), port: 9 };
    for (let i = 0; i < 4096; i++) a.socket.sendBatch(one, 0, 1, nobody);
    expect(a.socket.sendBatch(batch, 0, 4, b.socket.local)).toBe(SENT);
    expect(a.socket.batchCounters).toMatchObject({ groupsSent: 2, groupsRefused: 1 });
  });

  it('a closed socket refuses, and its descriptor is gone when close returns', () => {
    const { socket } = udp();
    const sys = requireSyscalls();
    void socket.close();
    expect(socket.sendBatch(packets(datagrams([1, 1])), 0, 2, socket.local)).toBe(FAILED);
    expect(socket.drain(4)).toBe(0);
    expect(sys.fcntl(socket.fd, 1, 0)).toBe(-1);
    expect(socket.counters.refused).toBe(2);
  });
});

devices('what leaves by a device of MTU 1400', () => {
  const far: Endpoint = { address: addr('10.9.0.2'), port: 9 };
  const far6: Endpoint = { address: addr('2001:db8:9::2'), port: 9 };

  function wire(): { wire: Uint8Array[]; read: () => void } {
    const frames: Uint8Array[] = [];
    const from = pool(64, 2000);
    const tun = openTun({
      device: 'bh-offload',
      mtu: 1400,
      addresses: [pfx('10.9.0.1/24'), pfx('2001:db8:9::1/64')],
      pool: from,
      receive: (packet) => {
        const udp = packet.buf[packet.start]! >>> 4 === 4 ? 9 : 6;
        if (packet.buf[packet.start + udp] === 17) frames.push(octetsOf(packet).slice());
        from.release(packet);
      },
    });
    open.push(tun);
    return { wire: frames, read: () => tun.drain(1000) };
  }

  it('has TOS, DF and its octets in each datagram', () => {
    const tun = wire();
    const { socket } = udp({}, '10.9.0.1');
    const sent = datagrams([600, 600, 600, 33]);
    for (const df of [true, false]) {
      expect(socket.sendBatch(packets(sent), 0, 4, far, 0xb9, df)).toBe(SENT);
      tun.read();
      const frames = tun.wire.splice(0);
      expect(frames.map((each) => each.slice(28))).toEqual(sent);
      expect(frames.map((each) => [each[1], (each[6]! & 0x40) !== 0])).toEqual(sent.map(() => [0xb9, df]));
    }
    expect(socket.batchCounters).toMatchObject({ sendCalls: 2, groupsSent: 2 });
  });

  it('RFC 1191 §3: is too big with DF, and fragments without, when the datagrams exceed the MTU', () => {
    const tun = wire();
    const { socket } = udp({}, '10.9.0.1');
    const sent = datagrams([1373, 1373, 700]);
    expect(socket.sendBatch(packets(sent), 0, 3, far, 0, true)).toBe(TOO_BIG);
    tun.read();
    expect(tun.wire.splice(0).map((each) => each.slice(28))).toEqual([sent[2]]);
    expect(socket.counters).toMatchObject({ sent: 1, refused: 2 });
    expect(socket.batchCounters.groupsRefused).toBe(1);
    expect(socket.sendBatch(packets(sent), 0, 3, far, 0, false)).toBe(SENT);
    tun.read();
    expect(tun.wire.splice(0).map((each) => each.length)).toEqual([1396, 25, 1396, 25, 728]);
    expect(socket.batchCounters.groupsRefused).toBe(1);
    expect(socket.sendBatch(packets(datagrams([1372, 1372])), 0, 2, far, 0, true)).toBe(SENT);
    tun.read();
    expect(tun.wire.splice(0).map((each) => each.length)).toEqual([1400, 1400]);
  });

  it('has its traffic class over IPv6', () => {
    const tun = wire();
    const { socket } = udp({}, '2001:db8:9::1');
    const sent = datagrams([1000, 1000, 4]);
    expect(socket.sendBatch(packets(sent), 0, 3, far6, 0xb9)).toBe(SENT);
    tun.read();
    expect(tun.wire.map((each) => each.slice(48))).toEqual(sent);
    expect(tun.wire.map((each) => ((each[0]! & 0x0f) << 4) | (each[1]! >>> 4))).toEqual([0xb9, 0xb9, 0xb9]);
    expect(socket.batchCounters.groupsSent).toBe(1);
  });
});

natives('ESP in protocol 50', () => {
  it.each([
    ['127.0.0.1', {}],
    ['127.0.0.1', { without: ['mmsg'] }],
    ['127.0.0.1', undefined],
    ['::1', {}],
  ] as const)('over %s with %j: batches arrive without their IP header, with TOS', (address, offload) => {
    const end = raw(offload, address);
    const sent = datagrams(Array.from({ length: 100 }, (_, i) => 20 + i));
    expect(end.socket.sendBatch(packets(sent), 0, 100, { address: addr(address), port: 0 }, 0x2e)).toBe(SENT);
    expect(collect(end, 100)).toEqual(sent);
    expect(end.got.every((each) => each.tos === 0x2e && each.from.port === 0 && each.segment === 0)).toBe(true);
    expect(end.socket.counters).toMatchObject({ sent: 100, received: 100, dropped: 0 });
    const { mmsg, gso, gro } = end.socket.offloads;
    expect([gso.used, gro.used]).toEqual([false, false]);
    if (mmsg.used) expect(end.socket.batchCounters).toMatchObject({ sendCalls: 2, receiveCalls: 2 });
  });

  it('drops what exceeds a packet of the pool, and reads no more than the pool holds', () => {
    const own = pool(4, 200);
    const end = raw({}, '127.0.0.1', own);
    const to = { address: addr('127.0.0.1'), port: 0 };
    // Header room and tail room take a little more than the capacity.
    end.socket.sendBatch(packets(datagrams([100, 600, 50, 51, 52, 53, 54])), 0, 7, to);
    expect(collect(end, 6).map((each) => each.length)).toEqual([100, 50, 51, 52, 53, 54]);
    expect(end.socket.counters).toMatchObject({ received: 6, dropped: 1 });
  });
});

natives('with a Readiness', () => {
  it('aggregates come by themselves, and closing from within receive loses no packet', async () => {
    const readiness = new Readiness();
    open.push(readiness);
    const from = pool(128, 65535);
    const got: Got[] = [];
    const store = keep(from, got);
    const local = { address: addr('127.0.0.1'), port: 0 };
    let closing: Promise<void> | undefined;
    const receiver = await openUdp({
      local,
      pool: from,
      readiness,
      offload: { without: ['gro'] },
      receive: (packet, sender, tos) => {
        store(packet, sender, tos);
        closing = receiver.close();
      },
    });
    const a = udp();
    a.socket.sendBatch(packets(datagrams([100, 100, 100])), 0, 3, receiver.local);
    await until(() => closing !== undefined);
    await closing;
    expect(got).toHaveLength(1);
    expect(from.taken).toBe(0);
    const aggregated: Got[] = [];
    const second = await openUdp({ local, pool: from, readiness, offload: {}, receive: keep(from, aggregated) });
    open.push(second);
    a.socket.sendBatch(packets(datagrams([100, 100, 100])), 0, 3, second.local);
    await until(() => aggregated.length === 1);
    expect(aggregated[0]).toMatchObject({ segment: 100, datagrams: datagrams([100, 100, 100]) });
  });
});

natives('waiting without an event loop', () => {
  it('tells which descriptors are readable, and gives up after the time', () => {
    const sys = requireSyscalls();
    const [a, b] = [udp(), udp()];
    const wakeup = new Wakeup(sys);
    const set = new PollSet(sys, 1);
    for (const fd of [a.socket.fd, b.socket.fd, wakeup.fd]) set.add(fd);
    expect(set.wait(0)).toBe(0);
    a.socket.send(counting(3), 0, 3, b.socket.local);
    expect(set.wait(1000)).toBe(1);
    expect([a.socket.fd, b.socket.fd, wakeup.fd].map((fd) => set.ready(fd))).toEqual([false, true, false]);
    new Wakeup(sys, wakeup.fd).signal();
    expect(set.wait(1000)).toBe(2);
    expect(set.ready(wakeup.fd)).toBe(true);
    expect([wakeup.clear(), wakeup.clear()]).toEqual([true, false]);
    set.remove(b.socket.fd);
    expect(set.wait(0)).toBe(0);
    expect(set.ready(b.socket.fd)).toBe(false);
    b.socket.drain(1);
    wakeup.close();
  });
});

describe('test data', () => {
  it('tells datagrams and their octets apart', () => {
    expect(datagrams([4, 4])).toEqual([Uint8Array.of(0, 1, 2, 3), Uint8Array.of(37, 39, 41, 43)]);
  });
});
