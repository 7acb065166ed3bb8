/**
 * Superframes and trains of datagrams through whole gateways, against the naive way: two pairs of gateways that are alike to
 * the last random octet, one given the superframe (or the train), the other what it stands for, packet by packet. Everything
 * that leaves, the ESP octets on the wire included, is the same.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom, toHex } from '../../src/core/index.ts';
import { Gateway, type GatewayAction, type GatewayEvent } from '../../src/gateway/index.ts';
import {
  type Endpoint,
  findUpperLayer,
  formatAddress,
  IP_PROTOCOL,
  icmpMtu,
  icmpv6Mtu,
  newUpperLayer,
  octetsOf,
  PacketPool,
  parseAddress,
  transportChecksumHolds,
} from '../../src/ip/index.ts';
import { resolveDocument } from '../../src/lab/index.ts';
import {
  arbitraryShape,
  settle as fillChecksums,
  headersOf,
  naiveCut,
  PLAIN,
  packetOf,
  pooled,
  type Shape,
} from '../ip/superframe-support.ts';
import { draws } from '../support/draws.ts';

interface Datagram {
  readonly do: 'udp' | 'esp';
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly octets: Bytes;
  readonly tos: number;
  readonly dontFragment: boolean;
}

interface Inside {
  readonly tenant: string;
  readonly octets: Bytes;
}

interface Options {
  readonly encapsulation?: 'udp' | 'auto';
  /** Behind the prefixes of the selectors. */
  readonly near?: string;
  readonly far?: string;
  /** More of `child`, more of the connection. */
  readonly child?: string;
  readonly connection?: string;
  readonly slots?: number;
}

const NEAR = '192.0.2.1';
/** One address of the far gateway a tenant. */
const FAR = { blue: '192.0.2.11', red: '192.0.2.12' } as const;
const TENANTS = ['blue', 'red'] as const;
type TenantName = (typeof TENANTS)[number];

function documentOf(isNear: boolean, options: Options): string {
  const { encapsulation = 'udp', near = '', far = '', child = '', connection = '' } = options;
  const here = isNear ? ['10.1.0.0/24', '2001:db8::/120'] : ['10.2.0.0/24', '2001:db8::100/120'];
  const there = isNear ? ['10.2.0.0/24', '2001:db8::100/120'] : ['10.1.0.0/24', '2001:db8::/120'];
  const own = isNear ? '10.1.0.254/24, "2001:db8::fe/120"' : '10.2.0.254/24, "2001:db8::1fe/120"';
  const list = (prefixes: readonly string[], ports: string): string => prefixes.map((p) => `"${p}${ports}"`).join();
  const text = (tenant: TenantName): string => `
  - name: ${tenant}
    interfaces: [{ name: inside, driver: fabric, addresses: [${own}] }]
    connections:
      - name: c
        local: { address: ${isNear ? NEAR : FAR[tenant]} }
        remote: { address: ${isNear ? FAR[tenant] : NEAR} }
        auth: { psk: { inline: the secret of ${tenant} and longer } }
        ike: { proposals: [aes128gcm16-prfsha256-ecp256] }
        child: { proposals: [aes128gcm16], local: [${list(here, isNear ? near : far)}], remote: [${list(there, isNear ? far : near)}]${child} }
        routes: [${list(there, '')}]
        encapsulation: ${encapsulation}${connection}`;
  const addresses = isNear ? [NEAR] : Object.values(FAR);
  return `version: 1
gateway: { external: { addresses: [${addresses.join(', ')}] } }
tenants:${TENANTS.map(text).join('')}
`;
}

/** A gateway whose actions wait in lists until the test carries them on. */
class End {
  readonly pool: PacketPool;
  readonly gateway: Gateway;
  readonly sent: Datagram[] = [];
  readonly inside: Inside[] = [];
  /** Packets that held several datagrams. */
  trains = 0;

  constructor(seed: number, text: string, slots: number) {
    this.pool = new PacketPool(slots, 65535);
    this.gateway = new Gateway({ random: seededRandom(seed), pool: this.pool });
    this.handle({ type: 'apply', resolved: resolveDocument(text) }, 0);
    for (const address of [NEAR, ...Object.values(FAR)].map((each) => parseAddress(each)!))
      this.handle({ type: 'listen-state', address, problem: undefined, rawEsp: true }, 0);
  }

  handle(event: GatewayEvent, now: number): void {
    for (const action of this.gateway.handle(event, now)) this.#keep(action);
  }

  #keep(action: GatewayAction): void {
    if (action.do !== 'udp' && action.do !== 'esp' && action.do !== 'packet') return;
    const { segment } = action.packet;
    const octets = octetsOf(action.packet).slice();
    this.pool.release(action.packet);
    if (action.do === 'packet') {
      expect(segment).toBe(0);
      this.inside.push({ tenant: action.tenant, octets });
      return;
    }
    const { tos, dontFragment } = action;
    const from = action.do === 'udp' ? action.local : { address: action.local, port: 0 };
    const to = action.do === 'udp' ? action.remote : { address: action.remote, port: 0 };
    const datagram = { do: action.do, from, to, tos, dontFragment };
    if (segment === 0) this.sent.push({ ...datagram, octets });
    else this.sent.push(...this.#carsOf(octets, segment).map((car) => ({ ...datagram, octets: car })));
  }

  /** What UDP_SEGMENT makes of it. One datagram alone is no train. */
  #carsOf(octets: Bytes, segment: number): Bytes[] {
    this.trains += 1;
    expect(octets.length).toBeGreaterThan(segment);
    const cars: Bytes[] = [];
    for (let at = 0; at < octets.length; at += segment) cars.push(octets.slice(at, at + segment));
    return cars;
  }
}

/** The near gateway `a`, behind which the senders are, and the far one `b`. */
class Pair {
  readonly a: End;
  readonly b: End;
  now = 0;

  constructor(options: Options = {}) {
    const { slots = 300 } = options;
    this.a = new End(1, documentOf(true, options), slots);
    this.b = new End(2, documentOf(false, options), slots);
  }

  /** A packet from behind `a`; with a `segment` it is a superframe. An owed checksum has rubbish in its field. */
  send(octets: Bytes, segment = 0, partial = false, tenant: TenantName = 'blue'): void {
    const packet = pooled(this.a.pool, octets, segment, partial);
    this.a.handle({ type: 'packet', tenant, interface: 'inside', packet }, this.now);
  }

  receive(end: End, { do: how, from, to, octets, tos }: Datagram, segment = 0): void {
    const packet = pooled(end.pool, octets, segment);
    const { address: local } = to;
    if (how === 'udp') end.handle({ type: 'udp', local: to, remote: from, packet, tos }, this.now);
    else end.handle({ type: 'esp', local, remote: from.address, packet, tos }, this.now);
  }

  /** Carries everything to its end, and gives what was on the wire and what came out behind the gateways since the last time. */
  settle(): {
    readonly wire: readonly string[];
    readonly insideA: readonly Inside[];
    readonly insideB: readonly Inside[];
  } {
    const wire: string[] = [];
    for (let some = true; some; ) {
      some = false;
      for (const [end, other] of [
        [this.a, this.b],
        [this.b, this.a],
      ] as const) {
        for (const datagram of end.sent.splice(0)) {
          wire.push(inWords(datagram));
          this.receive(other, datagram);
          some = true;
        }
      }
    }
    expect([this.a.pool.taken, this.b.pool.taken]).toEqual([0, 0]);
    return { wire, insideA: this.a.inside.splice(0), insideB: this.b.inside.splice(0) };
  }

  open(): this {
    for (const tenant of TENANTS) this.send(packetOf({ ...PLAIN, tcp: false }, Uint8Array.of(1)), 0, false, tenant);
    this.settle();
    for (const { gateway } of [this.a, this.b])
      expect(gateway.connections(this.now).map(({ state }) => state)).toEqual(['up', 'up']);
    return this;
  }

  /** What both ends tell of their tunnels and drops. */
  told() {
    return [this.a, this.b].map(({ gateway }) => ({
      connections: gateway.connections(this.now),
      drops: gateway.status(this.now).drops,
      tenants: gateway.tenants().map(({ drops }) => drops),
    }));
  }

  dropsOf(tenant: TenantName): Readonly<Record<string, number>> {
    return this.a.gateway.tenants().find(({ name }) => name === tenant)!.drops;
  }
}

const inWords = ({ do: how, from, to, octets, tos, dontFragment }: Datagram): string =>
  [
    how,
    formatAddress(from.address),
    from.port,
    formatAddress(to.address),
    to.port,
    tos,
    dontFragment,
    toHex(octets),
  ].join(' ');

const hexOf = (inside: readonly Inside[]): string[] => inside.map(({ octets }) => toHex(octets));

const twins = (options: Options = {}): [Pair, Pair] => [new Pair(options), new Pair(options)];

interface Sample {
  readonly shape: Shape;
  readonly between: Uint8Array<ArrayBuffer>;
  readonly whole: Bytes;
  readonly at: number;
  readonly payloadAt: number;
  readonly protocol: number;
  readonly segment: number;
  readonly partial: boolean;
}

const dataOf = (length: number, fill: number): Bytes => Uint8Array.from({ length }, (_, i) => (i * 7 + fill) & 0xff);

/** IPv4: router alert. IPv6: destination options with PadN. */
const between = (shape: Shape): Uint8Array<ArrayBuffer> =>
  shape.v6
    ? Uint8Array.of(shape.tcp ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp, 0, 1, 4, 0, 0, 0, 0)
    : Uint8Array.of(148, 4, 0, 0);

/** From a host behind `a` to one behind `b`; `most` packets at most. */
const arbitrarySample = (most = 90): fc.Arbitrary<Sample> =>
  fc
    .record({
      shape: arbitraryShape,
      source: fc.integer({ min: 2, max: 250 }),
      options: fc.boolean(),
      size: fc.oneof(fc.nat(4000), fc.nat(60000)),
      segment: fc.oneof(fc.integer({ min: 8, max: 100 }), fc.integer({ min: 900, max: 1500 }), fc.nat(3000)),
      fill: fc.nat(0xff),
      partial: fc.boolean(),
    })
    .map(({ shape: any, source, options, size, segment: asked, fill, partial }) => {
      const shape = { ...any, source, hopLimit: Math.max(3, any.hopLimit) };
      const segment = Math.max(8, asked);
      const extra = options ? between(shape) : new Uint8Array(0);
      const payload = dataOf(Math.min(size, segment * most), fill);
      const whole = packetOf(shape, payload, extra);
      const at = (shape.v6 ? 40 : 20) + extra.length;
      const payloadAt = headersOf(shape) + extra.length;
      const protocol = shape.tcp ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp;
      return { shape, between: extra, whole, at, payloadAt, protocol, segment, partial };
    });

const piecesOf = ({ whole, at, payloadAt, protocol, segment }: Sample): Bytes[] =>
  naiveCut(whole, at, payloadAt, protocol, segment);

const lengthOf = ({ whole, payloadAt, segment }: Sample): number => Math.min(whole.length, payloadAt + segment);

const mayBeCut = ({ shape }: Sample): boolean => !shape.v6 && !shape.dontFragment;

/** With its owed checksum as the host leaves it: the sum of nothing. */
function owing({ whole, at, protocol, partial }: Sample): Bytes {
  const octets = whole.slice();
  if (partial)
    octets.fill(0x5a, at + (protocol === IP_PROTOCOL.tcp ? 16 : 6), at + (protocol === IP_PROTOCOL.tcp ? 18 : 8));
  return octets;
}

const RUNS = { numRuns: draws(120), seed: 7 };

describe.each(['udp', 'auto'] as const)('a superframe into a tunnel, encapsulation %s', (encapsulation) => {
  it('the wire, the other end and all counters are those of the packets it stands for', () => {
    const [one, many] = twins({ encapsulation });
    for (const pair of [one, many]) pair.open();
    const { mtu } = one.a.gateway.connections(0)[0]!;
    let fragmented = 0;
    fc.assert(
      fc.property(arbitrarySample(), (sample) => {
        fc.pre(lengthOf(sample) <= mtu || mayBeCut(sample));
        const pieces = piecesOf(sample);
        one.send(owing(sample), sample.segment, sample.partial);
        for (const piece of pieces) many.send(piece);
        const [is, should] = [one.settle(), many.settle()];
        expect(is.wire).toEqual(should.wire);
        expect(hexOf(is.insideB)).toEqual(hexOf(should.insideB));
        expect(one.told()).toEqual(many.told());
        expect(one.a.gateway.tenants()).toEqual(many.a.gateway.tenants());
        expect(one.b.gateway.tenants()).toEqual(many.b.gateway.tenants());
        expect(is.insideA).toEqual([]);
        if (lengthOf(sample) > mtu) {
          fragmented += 1;
          expect(is.insideB.length).toBeGreaterThan(pieces.length);
          return;
        }
        // Two routers on the way.
        const { shape, between: extra, whole, payloadAt } = sample;
        const arrived = packetOf({ ...shape, hopLimit: shape.hopLimit - 2 }, whole.slice(payloadAt), extra);
        expect(hexOf(is.insideB)).toEqual(piecesOf({ ...sample, whole: arrived }).map((piece) => toHex(piece)));
      }),
      RUNS,
    );
    expect(fragmented).toBeGreaterThanOrEqual(draws(4));
    expect(one.dropsOf('blue')).toEqual({});
    expect([one.a.trains > draws(30), one.b.trains, many.a.trains]).toEqual([true, 0, 0]);
  });

  it('an ordinary packet that owes its checksum leaves with it', () => {
    const [one, many] = twins({ encapsulation });
    for (const pair of [one, many]) pair.open();
    fc.assert(
      fc.property(arbitrarySample(1), (any) => {
        const sample = { ...any, partial: true };
        fc.pre(sample.whole.length <= 1300 || mayBeCut(sample));
        one.send(owing(sample), 0, true);
        many.send(sample.whole);
        expect(one.settle()).toEqual(many.settle());
        expect(one.told()).toEqual(many.told());
      }),
      RUNS,
    );
  });
});

describe('a superframe that may not pass', () => {
  const upper = newUpperLayer();

  /** What an ICMP error says, identification and checksums apart. */
  function errorOf({ octets }: Inside) {
    const v6 = octets[0]! >>> 4 === 6;
    expect(findUpperLayer(octets, 0, octets.length, upper)).toBe(0);
    const { at, end, protocol } = upper;
    expect(transportChecksumHolds(octets, 0, at, end, protocol)).toBe(true);
    const quoted = at + 8;
    expect(findUpperLayer(octets, quoted, octets.length, upper)).toBeDefined();
    const headers = v6 ? 40 : 4 * (octets[quoted]! & 15);
    return {
      type: octets[at],
      code: octets[at + 1],
      mtu: v6 ? icmpv6Mtu(octets, at) : icmpMtu(octets, at),
      ends: toHex(v6 ? octets.slice(8, 40) : octets.slice(12, 20)),
      quotedEnds: toHex(v6 ? octets.slice(quoted + 8, quoted + 40) : octets.slice(quoted + 12, quoted + 20)),
      quotedPorts: toHex(octets.slice(quoted + headers, quoted + headers + 4)),
      hops: octets[quoted + (v6 ? 7 : 8)],
    };
  }

  /**
   * The superframe is told of once, each packet of the naive way by itself; both count packets of the wire. `pieces` are those
   * that cannot pass: the superframe takes a shorter last one with it.
   */
  function refusedAlike([one, many]: [Pair, Pair], sample: Sample, pieces: readonly Bytes[], reason: string): void {
    const before = [one, many].map((pair) => pair.dropsOf('blue')[reason] ?? 0);
    for (const pair of [one, many]) pair.now += 1000;
    one.send(owing(sample), sample.segment, sample.partial);
    for (const piece of pieces) many.send(piece);
    const [is, should] = [one.settle(), many.settle()];
    expect([is.wire, should.wire]).toEqual([[], []]);
    expect([is.insideB, should.insideB]).toEqual([[], []]);
    expect(is.insideA.length).toBe(1);
    expect(should.insideA.length).toBe(Math.min(50, pieces.length));
    const said = errorOf(is.insideA[0]!);
    for (const error of should.insideA) expect({ ...errorOf(error), quotedPorts: said.quotedPorts }).toEqual(said);
    expect(one.dropsOf('blue')[reason]).toBe(before[0]! + piecesOf(sample).length);
    expect(many.dropsOf('blue')[reason]).toBe(before[1]! + pieces.length);
    expect(Object.keys(one.dropsOf('blue'))).toEqual(Object.keys(many.dropsOf('blue')));
    expect(one.a.gateway.connections(one.now)).toEqual(many.a.gateway.connections(many.now));
  }

  it('RFC 1191 §4, RFC 8200 §5: segments larger than the tunnel that may not be cut: its MTU is told', () => {
    const pairs = twins();
    for (const pair of pairs) pair.open();
    const { mtu } = pairs[0].a.gateway.connections(0)[0]!;
    fc.assert(
      fc.property(arbitrarySample(40), (sample) => {
        fc.pre(lengthOf(sample) > mtu && !mayBeCut(sample));
        const tooBig = piecesOf(sample).filter((piece) => piece.length > mtu);
        refusedAlike(pairs, sample, tooBig, 'tooBig');
      }),
      { numRuns: 40, seed: 3 },
    );
  });

  it('RFC 792, RFC 4443 §3.3: its TTL is gone', () => {
    const pairs = twins();
    for (const pair of pairs) pair.open();
    fc.assert(
      fc.property(arbitrarySample(30), fc.nat(1), (any, hopLimit) => {
        const shape = { ...any.shape, hopLimit };
        const sample = { ...any, shape, whole: packetOf(shape, any.whole.slice(any.payloadAt), any.between) };
        refusedAlike(pairs, sample, piecesOf(sample), 'hopLimit');
      }),
      { numRuns: 60, seed: 3 },
    );
  });

  it('RFC 4301 §4.4.1: selectors with ports judge it as they judge its packets', () => {
    const pairs = twins({ near: '[tcp/1000-30000]', far: '[tcp/443]' });
    const start = packetOf({ ...PLAIN, sourcePort: 1000 }, new Uint8Array(1));
    for (const pair of pairs) {
      pair.send(start);
      expect(pair.settle().insideB.length).toBe(1);
    }
    const [one, many] = pairs;
    const seen = { passed: 0, refused: 0 };
    fc.assert(
      fc.property(arbitrarySample(30), (any) => {
        const sample = { ...any, partial: true };
        fc.pre(lengthOf(sample) <= 1300);
        const { tcp, sourcePort } = sample.shape;
        const passes = tcp && sourcePort >= 1000 && sourcePort <= 30000;
        seen[passes ? 'passed' : 'refused'] += 1;
        if (!passes) return refusedAlike(pairs, sample, piecesOf(sample), 'prohibited');
        one.send(owing(sample), sample.segment, true);
        for (const piece of piecesOf(sample)) many.send(piece);
        const [is, should] = [one.settle(), many.settle()];
        expect(is).toEqual(should);
        expect(is.insideB.length).toBe(piecesOf(sample).length);
      }),
      { numRuns: 120, seed: 5 },
    );
    expect(Math.min(seen.passed, seen.refused)).toBeGreaterThan(15);
  });

  it('to the compartment’s own address: the port is unreachable, whether or not the checksum is owed', () => {
    const [one, many] = twins();
    const whole = packetOf({ ...PLAIN, tcp: false }, dataOf(5000, 1));
    whole.set([10, 1, 0, 254], 16);
    fillChecksums(whole, 20, IP_PROTOCOL.udp);
    const sample = { shape: PLAIN, between: new Uint8Array(0), whole, at: 20, payloadAt: 28, protocol: 17 };
    const pieces = piecesOf({ ...sample, segment: 1000, partial: true });
    refusedAlike([one, many], { ...sample, segment: 1000, partial: true }, pieces, 'portUnreachable');
    // As a packet alone, with its checksum owed: the quote has it computed.
    one.send(owing({ ...sample, whole: pieces[0]!, segment: 0, partial: true }), 0, true);
    many.send(pieces[0]!);
    const [is, should] = [one.settle().insideA, many.settle().insideA];
    expect(toHex(is[0]!.octets.slice(28))).toBe(toHex(should[0]!.octets.slice(28)));
    expect(toHex(is[0]!.octets.slice(28))).toContain(toHex(pieces[0]!.slice(0, 60)));
  });

  it('no room for its trains: dropped as a whole, counted, nothing kept', () => {
    const pair = new Pair({ slots: 12 }).open();
    const { pool } = pair.a;
    // Its ESP packets together are longer than one slot, and shorter than two.
    const whole = packetOf(PLAIN, dataOf(60_000, 0));
    const held = Array.from({ length: 10 }, () => pool.take()!);
    pair.send(whole, 500, true);
    expect([pool.taken, pair.a.trains]).toEqual([10, 0]);
    expect(pair.dropsOf('blue')).toEqual({ noBuffer: 120 });
    pool.release(held.pop()!);
    pair.send(whole, 500, true);
    expect([pool.taken, pair.a.trains]).toEqual([9, 2]);
    for (const packet of held) pool.release(packet);
    const { insideA, insideB } = pair.settle();
    expect(insideA).toEqual([]);
    expect(hexOf(insideB)).toEqual(
      naiveCut(packetOf({ ...PLAIN, hopLimit: PLAIN.hopLimit - 2 }, dataOf(60_000, 0)), 20, 40, 6, 500).map((piece) =>
        toHex(piece),
      ),
    );
    expect(pair.dropsOf('blue')).toEqual({ noBuffer: 120 });
  });

  it('no room for packets that become fragments: dropped as a whole, counted, nothing kept', () => {
    const pair = new Pair({ slots: 12 }).open();
    const shape = { ...PLAIN, dontFragment: false };
    pair.send(packetOf(shape, dataOf(12 * 1500, 0)), 1500, true);
    expect(pair.settle()).toEqual({ wire: [], insideA: [], insideB: [] });
    expect(pair.dropsOf('blue')).toEqual({ noBuffer: 12 });
    pair.send(packetOf(shape, dataOf(3 * 1500, 0)), 1500, true);
    expect(pair.settle().insideB.length).toBe(6);
    expect(pair.dropsOf('blue')).toEqual({ noBuffer: 12 });
  });
});

describe('a superframe while the tunnel is not up', () => {
  it.each([1, 5])('%d of them wait, open it, and are cut when it is', (count) => {
    const [one, many] = twins();
    for (let i = 0; i < count; i++) {
      const shape = { ...PLAIN, sequence: 10_000 * i, v6: i % 2 === 1 };
      const at = shape.v6 ? 40 : 20;
      const sample = { shape, between: new Uint8Array(0), at, payloadAt: at + 20, protocol: 6, segment: 1200 };
      const whole = packetOf(shape, dataOf(10_000, i));
      one.send(owing({ ...sample, whole, partial: true }), 1200, true);
      for (const piece of piecesOf({ ...sample, whole, partial: false })) many.send(piece);
    }
    expect(one.a.gateway.connections(0)[0]!.waitingPackets).toBe(count);
    expect(one.a.pool.taken).toBe(count);
    const [is, should] = [one.settle(), many.settle()];
    expect(is).toEqual(should);
    expect(is.insideB.length).toBe(9 * count);
    expect(one.told()).toEqual(many.told());
  });

  it('nobody ever answers: its sender is told once, nothing is kept', () => {
    const pair = new Pair({ connection: '\n        start: listen' });
    pair.send(packetOf(PLAIN, dataOf(10_000, 0)), 1200, true);
    const { wire, insideA } = pair.settle();
    expect(wire).toEqual([]);
    expect(insideA.map(({ octets }) => [octets[20], octets[21]])).toEqual([[3, 1]]);
  });
});

describe('RFC 4301 §4.4.2.1: the lifetime of the SA ends within a superframe', () => {
  it.each([12, 30, 60])(
    'of %d packets: the last that it carries, one dropped, the others wait for its successor',
    (count) => {
      const [one, many] = twins({ child: ', lifetimePackets: 1000' });
      for (const pair of [one, many]) pair.open();
      // Nothing of it reaches the peer meanwhile: the successor comes too late.
      for (const pair of [one, many]) for (let i = 0; i < 990; i++) pair.send(packetOf(PLAIN, Uint8Array.of(i)));
      const whole = packetOf(PLAIN, dataOf(500 * count, 1));
      one.send(whole, 500, true);
      for (const piece of naiveCut(whole, 20, 40, 6, 500)) many.send(piece);
      expect(one.a.gateway.connections(0)[0]).toMatchObject({ waitingPackets: count - 10 });
      const [is, should] = [one.settle(), many.settle()];
      expect(is.wire).toEqual(should.wire);
      expect(is).toEqual(should);
      expect(is.insideB.length).toBe(990 + count - 1);
      expect(one.told()).toEqual(many.told());
      expect(one.dropsOf('blue')).toEqual({ espExpired: 1 });
    },
  );
});

describe('two tenants with identical addresses', () => {
  it('superframes of both in any order: each comes out with its tenant', () => {
    const pair = new Pair().open();
    fc.assert(
      fc.property(fc.array(fc.record({ red: fc.boolean(), sample: arbitrarySample(20) }), { maxLength: 8 }), (all) => {
        const sent: string[] = [];
        for (const { red, sample } of all) {
          if (lengthOf(sample) > 1300) continue;
          const tenant = red ? 'red' : 'blue';
          pair.send(owing(sample), sample.segment, sample.partial, tenant);
          sent.push(...piecesOf(sample).map((piece) => `${tenant} ${toHex(piece.slice(sample.payloadAt))}`));
        }
        const { insideA, insideB } = pair.settle();
        expect(insideA).toEqual([]);
        const headers = ({ octets }: Inside): number => {
          findUpperLayer(octets, 0, octets.length, upperLayer);
          const { at, protocol } = upperLayer;
          return at + (protocol === IP_PROTOCOL.tcp ? (octets[at + 12]! >>> 4) * 4 : 8);
        };
        expect(
          insideB.map((packet) => `${packet.tenant} ${toHex(packet.octets.slice(headers(packet)))}`).sort(),
        ).toEqual(sent.sort());
      }),
      { numRuns: 40, seed: 11 },
    );
  });

  const upperLayer = newUpperLayer();

  it('a train with packets of both: the SPI is the door', () => {
    const pair = new Pair().open();
    for (const [i, tenant] of (['blue', 'red', 'red', 'blue', 'red'] as const).entries())
      pair.send(packetOf({ ...PLAIN, sequence: i }, dataOf(500, i)), 0, false, tenant);
    const sent = pair.a.sent.splice(0);
    const train = Uint8Array.from(sent.flatMap(({ octets }) => [...octets]));
    pair.receive(pair.b, { ...sent[0]!, octets: train }, sent[0]!.octets.length);
    expect(pair.settle().insideB.map(({ tenant, octets }) => [tenant, octets.at(-1)])).toEqual(
      ['blue', 'red', 'red', 'blue', 'red'].map((tenant, i) => [tenant, dataOf(500, i).at(-1)]),
    );
  });
});

describe('RFC 3948 §2: a train of datagrams on the NAT-T port', () => {
  /** Datagrams of which all but the last have the length of the first; `car` picks what stands at each place. */
  const arbitraryTrain = fc.record({
    length: fc.integer({ min: 40, max: 1200 }),
    cars: fc.array(fc.constantFrom('esp', 'twice', 'broken', 'stranger', 'ike', 'zeros'), {
      minLength: 1,
      maxLength: 40,
    }),
    last: fc.constantFrom('same', 'esp', 'keepalive', 'rekey', 'short'),
  });

  it('is the same as one datagram after the other, with IKE among them and a shorter last one', () => {
    const [one, many] = twins();
    for (const pair of [one, many]) pair.open();
    let sequence = 0;
    let rekeys = 0;
    fc.assert(
      fc.property(arbitraryTrain, ({ length, cars, last }) => {
        const espOf = (pair: Pair, size: number): Datagram => {
          pair.send(packetOf({ ...PLAIN, sequence }, dataOf(size, sequence)));
          return pair.a.sent.splice(0)[0]!;
        };
        const trainOf = (
          pair: Pair,
        ): { readonly model: Datagram; readonly octets: Bytes[]; readonly segment: number } => {
          const model = espOf(pair, length);
          const octets = [model.octets];
          const segment = model.octets.length;
          for (const car of cars) {
            sequence += 1;
            const { octets: esp } = espOf(pair, length);
            if (car === 'twice') octets.push(octets.at(-1)!);
            else if (car === 'ike') octets.push(esp.fill(0, 0, 4));
            else if (car === 'zeros') octets.push(new Uint8Array(segment));
            else octets.push(esp);
            if (car === 'broken') esp[segment - 1]! ^= 1;
            if (car === 'stranger') esp[0]! ^= 0xff;
          }
          if (last === 'esp' && length > 60) octets.push(espOf(pair, 20).octets);
          if (last === 'keepalive') octets.push(Uint8Array.of(0xff));
          if (last === 'short') octets.push(Uint8Array.of(1, 2, 3));
          if (last === 'rekey') {
            pair.a.handle({ type: 'rekey', tenant: 'blue', connection: 'c', what: 'child' }, pair.now);
            const [request] = pair.a.sent.splice(0);
            if (request !== undefined && request.octets.length < segment) octets.push(request.octets);
            else if (request !== undefined) pair.receive(pair.b, request);
          }
          return { model, octets, segment };
        };
        const begun = sequence;
        const train = trainOf(one);
        sequence = begun;
        const singles = trainOf(many);
        expect(train.octets.map((each) => toHex(each))).toEqual(singles.octets.map((each) => toHex(each)));
        if (last === 'rekey' && train.octets.length > cars.length + 1) rekeys += 1;
        const together = Uint8Array.from(train.octets.flatMap((each) => [...each]));
        fc.pre(together.length <= 65535);
        one.receive(one.b, { ...train.model, octets: together }, train.segment);
        for (const octets of singles.octets) many.receive(many.b, { ...singles.model, octets });
        expect([one.b.pool.taken, many.b.pool.taken]).toEqual([0, 0]);
        const [is, should] = [one.settle(), many.settle()];
        expect(is).toEqual(should);
        expect(one.told()).toEqual(many.told());
      }),
      { numRuns: 100, seed: 13 },
    );
    expect(rekeys).toBeGreaterThan(3);
    const { drops } = one.b.gateway.status(0);
    expect(Object.keys(drops)).toEqual(expect.arrayContaining(['espUnknownSpi', 'keepalive']));
  });

  it('what the pool has no room for is counted, one by one; the train goes back', () => {
    const pair = new Pair({ slots: 8 }).open();
    const sent: Bytes[] = [];
    for (let i = 0; i < 5; i++) pair.send(packetOf(PLAIN, dataOf(100, i)));
    const datagrams = pair.a.sent.splice(0);
    for (const { octets } of datagrams) sent.push(octets);
    const held = Array.from({ length: 7 }, () => pair.b.pool.take()!);
    const train = Uint8Array.from(sent.flatMap((octets) => [...octets]));
    pair.receive(pair.b, { ...datagrams[0]!, octets: train }, sent[0]!.length);
    for (const packet of held) pair.b.pool.release(packet);
    expect(pair.settle().insideB).toEqual([]);
    expect(pair.b.gateway.status(0).drops).toEqual({ noBuffer: 5 });
  });
});
