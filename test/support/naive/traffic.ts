/**
 * Packets by chance, as hosts and peers of the tenants send them (`tenants.ts`): most are sound, and no kind of broken one is missing.
 */
import { buildIpv4, buildIpv6, parseAddress } from '../../../src/ip/index.ts';
import type { Dice } from './dice.ts';
import type { Frame } from './frames.ts';
import { ICMP, ICMPV6, TCP, UDP, withHeaderChecksum } from './ip.ts';
import { be16, be32, changed, checksum, concat, type Octets, pseudoSum } from './octets.ts';

const addresses = (...texts: readonly string[]): readonly Octets[] => texts.map((text) => parseAddress(text)!);

interface Site {
  readonly v4: readonly Octets[];
  readonly v6: readonly Octets[];
}

const site = (v4: readonly string[], v6: readonly string[]): Site => ({
  v4: addresses(...v4),
  v6: addresses(...v6),
});

/** Who there is around a tenant; the addresses are the same in all tenants. */
const SITES = {
  inside: site(['10.1.0.10', '10.1.0.11', '10.1.0.77'], ['2001:db8:1::10', '2001:db8:1::11']),
  lan: site(['10.3.0.9', '10.2.200.7'], ['2001:db8:3::9']),
  hq: site(['10.2.0.7', '10.2.0.8', '10.2.13.1'], ['2001:db8:2::7', '2001:db8:2:9::8']),
  branch: site(['10.4.0.5', '10.4.0.6'], ['2001:db8:4::5']),
  own: site(['10.1.0.1', '10.3.0.1'], ['2001:db8:1::1']),
  nowhere: site(['192.0.2.99', '240.0.0.1'], ['2001:db8:9::1']),
  odd: site(
    ['10.1.0.255', '10.3.0.0', '224.0.0.5', '255.255.255.255', '127.0.0.1', '0.0.0.0', '169.254.1.1'],
    ['ff02::1', 'fe80::1', '::1', '::', '::ffff:192.0.2.1'],
  ),
} as const satisfies Record<string, Site>;

export type SiteName = keyof typeof SITES;

export interface Limits {
  /** Sites nobody sends to in this batch. */
  readonly without: readonly SiteName[];
  readonly superframes: boolean;
}

/** A packet from a site's host; what is wrong with it is wrong on purpose. */
export function anyPacket(dice: Dice, from: SiteName, { without }: Limits): Octets {
  const source: SiteName = dice.percent(93) ? from : dice.pick(['inside', 'hq', 'own', 'odd', 'nowhere'] as const);
  const all = dice.weighed<SiteName>(
    ...([
      [from === 'inside' || from === 'lan' ? 12 : 50, 'inside'],
      [12, 'lan'],
      [from === 'hq' ? 5 : 50, 'hq'],
      [from === 'branch' ? 4 : 12, 'branch'],
      [8, 'own'],
      [5, 'nowhere'],
      [5, 'odd'],
    ] as const),
  );
  const to = without.includes(all) ? 'inside' : all;
  const v4 = dice.percent(60);
  const family = v4 ? 'v4' : 'v6';
  return packetBetween(dice, dice.pick(SITES[source][family]), dice.pick(SITES[to][family]), to === 'own');
}

/** Whole and short packets only, where the router itself would have to put fragments together. */
function packetBetween(dice: Dice, source: Octets, destination: Octets, toItself: boolean): Octets {
  const length = toItself ? dice.between(0, 1100) : anyLength(dice);
  const [protocol, upper] = upperLayer(dice, source, destination, length, toItself);
  const hops = dice.weighed([40, 64], [3, 255], [2, 3], [2, 2], [1, 1], [1, 0]);
  const trafficClass = dice.percent(60) ? 0 : dice.below(256);
  if (source.length === 4) {
    const dontFragment = dice.percent(50);
    const options = dice.percent(88) ? [] : dice.pick(dice.percent(75) ? OPTIONS : BAD_OPTIONS);
    const fields = { source, destination, protocol, trafficClass, timeToLive: hops, identification: dice.below(65536) };
    const fragment = toItself || dice.percent(90) ? {} : fragmentFields(dice);
    const cut = 'moreFragments' in fragment ? upper.slice(0, upper.length - (upper.length % 8)) : upper;
    return buildIpv4({ ...fields, ...fragment, dontFragment, options: Uint8Array.from(options) }, cut);
  }
  const fields = { source, destination, trafficClass, hopLimit: hops, flowLabel: dice.below(0x100000) };
  const { first, chain, fragment } = extensions(dice, protocol, toItself);
  const cut = fragment ? upper.slice(0, upper.length - (upper.length % 8)) : upper;
  return buildIpv6({ ...fields, protocol: first }, concat(chain, cut));
}

const fragmentFields = (dice: Dice) =>
  dice.pick([
    { moreFragments: true },
    { moreFragments: true, fragmentOffset: 1480 },
    { fragmentOffset: 2960 },
    { fragmentOffset: 8 },
    { moreFragments: true, fragmentOffset: 65528 },
  ]);

/** Octets of the upper layer: the shortest, around each MTU, and more than that. */
function anyLength(dice: Dice): number {
  return dice.weighed(
    [30, dice.between(0, 70)],
    [20, dice.between(70, 700)],
    [35, dice.pick([1280, 1300, 1380, 1400, 1420, 1438, 1500]) + dice.between(-70, 9)],
    [8, dice.between(1500, 3200)],
    [1, dice.between(3000, 9000)],
  );
}

/** Octets that tell where they stood. */
function data(dice: Dice, length: number): Octets {
  const out = new Uint8Array(Math.max(0, length));
  const [start, step] = [dice.below(256), 1 + 2 * dice.below(20)];
  for (let i = 0; i < out.length; i++) out[i] = start + i * step;
  return out;
}

function upperLayer(
  dice: Dice,
  source: Octets,
  destination: Octets,
  length: number,
  toItself: boolean,
): readonly [number, Octets] {
  const v4 = source.length === 4;
  const ports = concat(be16(dice.pick([1000, 1001, 2500])), be16(dice.pick([53, 443, 2000])));
  const [protocol, octets] = dice.weighed<() => readonly [number, Octets]>(
    [35, () => [UDP, concat(ports, be16(Math.max(8, length)), [0, 0], data(dice, length - 8))]],
    [30, () => [TCP, tcpSegment(dice, ports, length)]],
    [12, () => [v4 ? ICMP : ICMPV6, echo(dice, v4, length)]],
    [
      toItself ? 0 : 4,
      () => [v4 ? ICMP : ICMPV6, concat([dice.pick(v4 ? [3, 11, 5] : [1, 3, 137]), 1, 0, 0], data(dice, length))],
    ],
    [8, () => [dice.pick([47, 50, 132, 135, 136, 59]), data(dice, length)]],
  )();
  const field = new Map([
    [TCP, 16],
    [UDP, 6],
    [ICMP, 2],
    [ICMPV6, 2],
  ]).get(protocol);
  // One of twelve has a wrong checksum.
  if (field === undefined || octets.length < field + 2 || dice.percent(8)) return [protocol, octets];
  const pseudo = protocol === ICMP ? 0 : pseudoSum(source, destination, protocol, octets.length);
  const value = checksum(changed(octets, field, [0, 0]), pseudo);
  return [protocol, changed(octets, field, be16(value === 0 && protocol === UDP ? 0xffff : value))];
}

const SYN = 2;

function tcpSegment(dice: Dice, ports: Octets, length: number): Octets {
  const syn = dice.percent(30);
  const options = syn ? dice.pick(SYN_OPTIONS) : dice.pick([[], [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]]);
  const flags = syn ? SYN + dice.pick([0, 16]) : dice.pick([16, 24, 17, 4, 48, 128 + 16]);
  const numbers = concat(be32(dice.pick([7, 2 ** 32 - 3])), be32(dice.below(2 ** 32)));
  const fixed = concat(ports, numbers, [(5 + options.length / 4) * 16, flags], be16(dice.below(65536)), [0, 0, 0, 0]);
  return concat(fixed, options, data(dice, length - 20 - options.length));
}

/** Identifiers are not zero: then a mended checksum and a new one are the same. */
const echo = (dice: Dice, v4: boolean, length: number): Octets =>
  concat([v4 ? dice.pick([8, 8, 0]) : dice.pick([128, 128, 129]), 0, 0, 0, 1, 1, 0, 1], data(dice, length - 8));

const MSS = (value: number): number[] => [2, 4, ...be16(value)];
const SYN_OPTIONS: readonly (readonly number[])[] = [
  MSS(1460),
  MSS(536),
  MSS(1200),
  [1, ...MSS(9000), 1, 1, 1],
  [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, ...MSS(1400)],
  [2, 3, 9, 0],
  [3, 9, 1, 1],
  [0, 0, 0, 0],
];
const OPTIONS: readonly (readonly number[])[] = [
  [148, 4, 0, 0],
  [7, 7, 4, 0, 0, 0, 0, 0],
  [1, 1, 1, 0],
  [0x44, 8, 5, 0, 0, 0, 0, 0],
  [1, 148, 4, 0, 0, 7, 3, 4],
];
const BAD_OPTIONS: readonly (readonly number[])[] = [
  [0x83, 7, 4, 10, 3, 0, 9, 0],
  [0x89, 7, 4, 10, 3, 0, 9, 0],
  [7, 1, 0, 0],
  [7, 40, 0, 0],
  [1, 1, 1, 148],
];

interface Extensions {
  /** The first protocol number. */
  readonly first: number;
  /** The headers in front of the upper layer. */
  readonly chain: Octets;
  readonly fragment: boolean;
}

function extensions(dice: Dice, upper: number, toItself: boolean): Extensions {
  if (dice.percent(75)) return { first: upper, chain: new Uint8Array(0), fragment: false };
  const any = dice.pick([[0], [60], [43], [44], [0, 60], [0, 44], [60, 0], [0, 60, 43, 44, 60], [60, 60, 60, 60]]);
  const kinds = toItself ? any.filter((kind) => kind !== 44) : any;
  const chain = kinds.map((kind, i) => {
    const next = kinds[i + 1] ?? upper;
    if (kind === 44) return [next, 0, ...be16(dice.pick([0, 0, 1, 8, 1481])), 0, 0, 0, dice.below(256)];
    if (kind === 43) return [next, 0, dice.pick([4, 4, 0]), dice.pick([0, 1]), 0, 0, 0, 0];
    const option = dice.percent(80) ? 1 : dice.pick([0x1e, 0x5e, 0x9e, 0xde]);
    return dice.percent(94) ? [next, 0, option, 4, 0, 0, 0, 0] : [next, dice.pick([0, 1, 200]), option, 9, 0, 0, 0, 0];
  });
  return { first: kinds[0] ?? upper, chain: concat(...chain), fragment: kinds.includes(44) };
}

/** What a host hands over: an ordinary packet, one that owes its checksum, a superframe, or something broken. */
export function anyFrame(dice: Dice, from: SiteName, limits: Limits): Frame {
  if (limits.superframes && dice.percent(18)) return anySuperframe(dice, from, limits);
  if (dice.percent(3)) return { octets: dice.octets(dice.between(0, 70)), segment: 0, partial: false };
  const octets = anyPacket(dice, from, limits);
  const partial = dice.percent(15);
  return { octets: dice.percent(12) ? broken(dice, octets) : octets, segment: 0, partial };
}

export function anySuperframe(dice: Dice, from: SiteName, { without }: Limits, goesTo?: SiteName): Frame {
  const all = goesTo ?? dice.weighed<SiteName>([70, 'hq'], [12, 'branch'], [12, 'lan'], [4, 'own'], [3, 'nowhere']);
  const to = without.includes(all) ? 'hq' : all;
  const family = dice.percent(60) ? 'v4' : 'v6';
  const [source, destination] = [dice.pick(SITES[from][family]), dice.pick(SITES[to][family])];
  const segment = dice.weighed(
    [3, dice.between(8, 100)],
    [10, dice.between(500, 1500)],
    [20, dice.between(1200, 1340)],
    [1, dice.between(1, 7)],
    [1, 65535],
  );
  const pieces = dice.weighed([10, dice.between(1, 5)], [5, dice.between(5, 45)], [1, dice.between(100, 140)]);
  const length = Math.min(60000, segment * pieces - dice.below(Math.min(segment, 40)));
  const ports = concat(be16(dice.pick([1000, 1001])), be16(dice.pick([443, 2000])));
  const udp = dice.percent(40);
  const upper = udp
    ? concat(ports, be16(8 + length), [0, 0], data(dice, length))
    : concat(
        ports,
        be32(2 ** 32 - 5000),
        be32(9),
        [dice.pick([0x50, 0x80]), dice.pick([16, 24, 25, 0x90, 0x91, 18])],
        be16(500),
        [0x5a, 0xa5, 0, 0],
        data(dice, length),
      );
  const fields = { source, destination, trafficClass: dice.pick([0, 2, 0xb8]), protocol: udp ? UDP : TCP };
  const hops = dice.weighed([20, 64], [1, 1]);
  const options = dice.percent(85) ? [] : dice.pick(OPTIONS);
  const octets =
    family === 'v4'
      ? buildIpv4(
          {
            ...fields,
            timeToLive: hops,
            dontFragment: dice.percent(70),
            identification: dice.pick([7, 65530]),
            options: Uint8Array.from(options),
          },
          upper,
        )
      : buildIpv6({ ...fields, hopLimit: hops, flowLabel: dice.below(0x100000) }, upper);
  return { octets: dice.percent(8) ? broken(dice, octets) : octets, segment, partial: dice.percent(85) };
}

/** Cut off, changed, longer than it says or shorter; half of them with a right header checksum again. */
export function broken(dice: Dice, octets: Octets): Octets {
  const wrong = breakages[dice.below(breakages.length)]!(dice, octets);
  const whole = wrong.length >= 20 && wrong[0]! >> 4 === 4 && (wrong[0]! & 15) * 4 <= wrong.length;
  return whole && dice.percent(60) ? withHeaderChecksum(wrong) : wrong;
}

/** Lies of the first word are of the IPv4 header; the others of whatever stands there. */
const breakages: readonly ((dice: Dice, octets: Octets) => Octets)[] = [
  (dice, octets) => octets.slice(0, dice.below(octets.length + 1)),
  (dice, octets) => octets.slice(0, dice.below(Math.min(octets.length, 70) + 1)),
  (dice, octets) => concat(octets, dice.octets(dice.between(1, 50))),
  (dice, octets) => changed(octets, dice.below(Math.min(octets.length, 64)), [dice.below(256)]),
  (dice, octets) => changed(octets, dice.below(octets.length), [dice.below(256)]),
  (dice, octets) => changed(octets, 0, [dice.pick([0x40, 0x44, 0x46, 0x4f, 0x55, 0x05, 0x60])]),
  (dice, octets) => (octets.length < 6 ? octets : changed(octets, dice.pick([2, 4]), be16(dice.below(1600)))),
  // UDP length and TCP data offset of packets without options.
  (dice, octets) => (octets.length < 60 ? octets : changed(octets, dice.pick([24, 32, 44, 52]), [dice.below(256)])),
];

/** An ESP packet as somebody on the way makes it: other octets, fewer, more, or the SPI of another SA. Never the same. */
export function damaged(dice: Dice, octets: Octets): Octets {
  const flipped = (at: number): Octets => changed(octets, at, [octets[at]! ^ dice.between(1, 255)]);
  const other = dice.pick<() => Octets>([
    () => flipped(dice.below(octets.length)),
    () => flipped(dice.below(Math.min(octets.length, 16))),
    () => flipped(octets.length - 1 - dice.below(Math.min(octets.length, 20))),
    () => octets.slice(0, octets.length - dice.between(1, Math.min(octets.length, 20))),
    () => octets.slice(0, dice.below(Math.min(octets.length, 71))),
    () => concat(octets, dice.octets(dice.between(1, 4))),
    () => concat(be32(0x1000 + 0x11 * dice.below(12)), octets.slice(4)),
  ])();
  return Buffer.compare(other, octets) === 0 ? flipped(octets.length - 1) : other;
}
