import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DISCARD } from '../../src/compartment/index.ts';
import { toHex } from '../../src/core/index.ts';
import { PacketPool } from '../../src/ip/index.ts';
import { type Bench, site } from './fixture.ts';
import { expected, normalized, type World } from './model.ts';
import { ACK, be16, counting, icmp4, icmp6, ipv4, ipv6, join, SYN, tcp, udp } from './octets.ts';

interface Case {
  readonly from: number;
  readonly packet: Uint8Array;
}

const MTU = { inside: 1500, hq: 1400, lan: 1300 };

const world = (bench: { inside: number; hq: number; lan: number }): World => ({
  interfaces: [
    {
      number: bench.inside,
      mtu: MTU.inside,
      pointToPoint: true,
      clamp: false,
      addresses: ['10.1.0.1/24', '2001:db8:1::1/64'],
    },
    { number: bench.hq, mtu: MTU.hq, pointToPoint: true, clamp: true, addresses: [] },
    { number: bench.lan, mtu: MTU.lan, pointToPoint: false, clamp: false, addresses: ['10.3.0.1/24'] },
  ],
  routes: [
    { prefix: '10.2.0.0/16', out: bench.hq },
    { prefix: '10.2.200.0/24', out: bench.lan },
    { prefix: '2001:db8:2::/48', out: bench.hq },
    { prefix: '2001:db8:3::/48', out: bench.lan },
    { prefix: '10.0.0.0/9', out: DISCARD },
    { prefix: '2001:db8::/32', out: DISCARD },
  ],
});

const open = (pool: PacketPool): Bench & { inside: number; hq: number; lan: number } => {
  const bench = site({ pool, limits: { icmpErrorsPerSecond: 1e6, icmpErrorBurst: 1e6 } });
  bench.compartment.setMtu(bench.lan, MTU.lan);
  bench.route('10.2.200.0/24', bench.lan);
  bench.route('2001:db8:3::/48', bench.lan);
  bench.route('10.0.0.0/9', DISCARD);
  bench.route('2001:db8::/32', DISCARD);
  return bench;
};

const hosts4 = ['10.1.0.10', '10.2.0.7', '10.2.200.7', '10.3.0.9'];
const odd4 = ['10.1.0.1', '10.3.0.1', '10.3.0.255', '10.1.0.0', '192.0.2.1', '224.0.0.5', '255.255.255.255', '0.0.0.0'];
const more4 = ['10.9.0.1', '127.0.0.1', '169.254.1.1', '10.2.0.255', '10.0.255.255'];
const hosts6 = ['2001:db8:1::10', '2001:db8:2::7', '2001:db8:3::9'];
const odd6 = ['2001:db8:1::1', '2001:db8:9::1', '2001:dead::1', 'ff0e::1', 'fe80::1', '::1', '::', '::ffff:192.0.2.1'];

const often = (usual: readonly string[], odd: readonly string[]) =>
  fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) });

const hops = fc.constantFrom(0, 1, 2, 3, 64, 255);
const from = fc.integer({ min: 1, max: 3 });
/** Around every MTU there is. */
const length = fc.oneof(
  fc.integer({ min: 100, max: 200 }),
  fc.integer({ min: 1, max: 3 }).chain((n) => {
    const mtu = Object.values(MTU)[n - 1]!;
    return fc.integer({ min: mtu - 9, max: mtu + 9 });
  }),
  fc.constantFrom(1280, 1281, 2800, 4000),
);
const segmentOptions = fc.constantFrom(
  [],
  [2, 4, ...be16(1460)],
  [2, 4, ...be16(1360)],
  [2, 4, ...be16(536)],
  [1, 2, 4, ...be16(9000), 1, 1, 1],
  [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, ...be16(1400)],
);
const flags = fc.constantFrom(SYN, SYN | ACK, ACK);
const kind = fc.constantFrom('udp', 'tcp', 'echo', 'reply', 'error', 'other');

/** No copied options: those are tested apart. */
const ipOptions = fc.oneof(
  { weight: 5, arbitrary: fc.constant<number[]>([]) },
  { weight: 1, arbitrary: fc.constantFrom([7, 7, 4, 0, 0, 0, 0, 0], [1, 1, 1, 0], [0x44, 8, 5, 0, 0, 0, 0, 0]) },
  { weight: 1, arbitrary: fc.constantFrom([0x83, 7, 4, 10, 3, 0, 9, 0], [0x89, 7, 4, 10, 3, 0, 9, 0]) },
);

const case4: fc.Arbitrary<Case> = fc
  .record({
    from,
    src: often(hosts4, [...odd4, ...more4]),
    dst: often(hosts4, [...odd4, ...more4]),
    ttl: hops,
    df: fc.boolean(),
    tos: fc.constantFrom(0, 0xb8, 0x02),
    id: fc.integer({ min: 0, max: 0xffff }),
    options: ipOptions,
    length,
    kind,
    flags,
    segmentOptions,
    fragment: fc.constantFrom('no', 'no', 'no', 'no', 'first', 'later'),
  })
  .filter((c) => c.fragment === 'no' || !['10.1.0.1', '10.3.0.1'].includes(c.dst))
  .map((c) => {
    const room = c.length - 20 - c.options.length;
    const body = {
      udp: () => udp(c.src, c.dst, 1000, 2000, counting(room - 8)),
      tcp: () =>
        tcp(c.src, c.dst, { flags: c.flags, options: c.segmentOptions }, counting(room - 20 - c.segmentOptions.length)),
      echo: () => icmp4(8, 0, [0, 1, 0, 2], counting(room - 8)),
      reply: () => icmp4(0, 0, [0, 1, 0, 2], counting(room - 8)),
      error: () => icmp4(3, 1, [0, 0, 0, 0], counting(room - 8)),
      other: () => counting(room),
    }[c.kind]();
    const protocol = { udp: 17, tcp: 6, echo: 1, reply: 1, error: 1, other: 50 }[c.kind];
    const tos = c.kind === 'echo' ? 0 : c.tos;
    const fragment = { no: {}, first: { mf: true }, later: { mf: true, offset: 1480 } }[c.fragment];
    const whole = c.fragment === 'no' ? body : body.subarray(0, body.length & ~7);
    return { from: c.from, packet: ipv4({ ...c, tos, protocol, ...fragment }, whole) };
  });

const PADDING = [0, 1, 4, 0, 0, 0, 0];
const case6: fc.Arbitrary<Case> = fc
  .record({
    from,
    src: often(hosts6, odd6),
    dst: often(hosts6, odd6),
    hop: hops,
    flow: fc.integer({ min: 0, max: 0xfffff }),
    trafficClass: fc.constantFrom(0, 0xb8),
    headers: fc.subarray([0, 60, 44]),
    length,
    kind,
    flags,
    segmentOptions,
  })
  .filter((c) => c.dst !== '2001:db8:1::1' || (!c.headers.includes(44) && c.length <= 1280))
  .map((c) => {
    const chain = c.headers.length * 8;
    const room = c.length - 40 - chain;
    const [protocol, body] = {
      udp: () => [17, udp(c.src, c.dst, 1000, 2000, counting(room - 8))] as const,
      tcp: () =>
        [
          6,
          tcp(
            c.src,
            c.dst,
            { flags: c.flags, options: c.segmentOptions },
            counting(room - 20 - c.segmentOptions.length),
          ),
        ] as const,
      echo: () => [58, icmp6(c.src, c.dst, 128, 0, [0, 1, 0, 2], counting(room - 8))] as const,
      reply: () => [58, icmp6(c.src, c.dst, 129, 0, [0, 1, 0, 2], counting(room - 8))] as const,
      error: () => [58, icmp6(c.src, c.dst, 1, 0, [0, 0, 0, 0], counting(room - 8))] as const,
      other: () => [50, counting(room)] as const,
    }[c.kind]();
    const names = [...c.headers, protocol];
    // The fragment header is that of an atomic fragment (RFC 6946).
    const extensions = c.headers.map((h, i) =>
      h === 44 ? [names[i + 1]!, 0, 0, 0, 0, 0, 0, 9] : [names[i + 1]!, ...PADDING],
    );
    const reply = c.kind === 'echo' ? { flow: 0, trafficClass: 0 } : {};
    return { from: c.from, packet: ipv6({ ...c, ...reply, next: names[0]! }, join(...extensions, body)) };
  });

const pool = new PacketPool(64, 9728);

const compare = ({ from, packet }: Case): string => {
  const bench = open(pool);
  const wanted = expected(world(bench), packet, from);
  const got = bench.receive(packet, from);
  const own = bench.compartment.counters.forwarded === 0;
  const lines = (sent: typeof wanted.sent) =>
    sent.map((s) => `${s.out} ${toHex(own ? normalized(s.octets) : s.octets)}`);
  expect(lines(got.sent)).toEqual(lines(wanted.sent));
  // The packet's own fate is counted last; before it an error or a reply may have found no way.
  const reasons = [...got.dropped];
  if (wanted.dropped !== undefined) expect(reasons.pop()).toBe(wanted.dropped);
  expect(reasons.filter((r) => r !== 'noRoute' && r !== 'discarded' && r !== 'notForwarded')).toEqual([]);
  expect(reasons.length).toBeLessThanOrEqual(own && got.sent.length === 0 ? 1 : 0);
  expect(bench.pool.taken).toBe(0);
  return wanted.dropped ?? (own ? 'own' : wanted.sent.length > 1 ? 'cut' : 'forwarded');
};

describe('RFC 1812, RFC 8200: against a router written from the text', () => {
  it.each([
    [
      'IPv4',
      case4,
      [
        'own',
        'cut',
        'forwarded',
        'options',
        'martian',
        'notForwarded',
        'noRoute',
        'discarded',
        'bounce',
        'hopLimit',
        'tooBig',
        'portUnreachable',
        'protocolUnreachable',
      ],
    ],
    [
      'IPv6',
      case6,
      [
        'own',
        'forwarded',
        'martian',
        'notForwarded',
        'noRoute',
        'discarded',
        'bounce',
        'hopLimit',
        'tooBig',
        'portUnreachable',
        'protocolUnreachable',
      ],
    ],
  ] as const)('%s: the same verdict and the same octets', { timeout: 30_000 }, (_, arbitrary, outcomes) => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(arbitrary, (c) => void seen.add(compare(c))),
      { numRuns: 1200, seed: 22 },
    );
    // The generator reaches every verdict it is meant to.
    expect([...seen].sort()).toEqual([...outcomes].sort());
  });
});
