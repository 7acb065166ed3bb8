/**
 * What a router must do with one packet, written from the RFCs in the slowest way: routes are a list, headers are rebuilt
 * from their fields and every checksum is summed anew. It knows unfragmented packets and fragments that are only routed,
 * and does not cut IPv6 packets of its own.
 */
import { type Address, contains, sameAddress } from '../../src/ip/index.ts';
import { net } from './fixture.ts';
import { be16, be32, checksum, join } from './octets.ts';

export interface ModelInterface {
  readonly number: number;
  readonly mtu: number;
  readonly pointToPoint: boolean;
  readonly clamp: boolean;
  readonly addresses: readonly string[];
}

export interface World {
  readonly interfaces: readonly ModelInterface[];
  /** `out` 0 discards. */
  readonly routes: readonly { readonly prefix: string; readonly out: number }[];
}

export interface Expectation {
  readonly dropped?: string;
  /** IPv4 packets of the router's own stand here with identification 0. */
  readonly sent: readonly { readonly out: number; readonly octets: Uint8Array }[];
}

export function expected(world: World, packet: Uint8Array, from: number): Expectation {
  const v4 = packet[0]! >>> 4 === 4;
  const [src, dst] = v4 ? [packet.slice(12, 16), packet.slice(16, 20)] : [packet.slice(8, 24), packet.slice(24, 40)];
  const into = world.interfaces.find((i) => i.number === from)!;
  const silent = (dropped: string): Expectation => ({ dropped, sent: [] });
  const told = (dropped: string, codes4: number[], codes6: number[], value = 0, source?: Address): Expectation => ({
    dropped,
    sent: errorAbout(world, packet, into, v4 ? codes4 : codes6, value, source),
  });

  if (v4 && sourceRouted(packet)) return silent('options');
  if (isMartian(src, dst)) return silent('martian');
  const isOwn = ownAddresses(world).some((a) => sameAddress(a, dst));
  if (!isOwn && (staysOnLink(world, dst) || isLinkLocal(src))) return silent('notForwarded');
  if (ownAddresses(world).some((a) => sameAddress(a, src)) || isConnectedBroadcast(world, src))
    return silent('martian');
  if (isOwn) return locally(world, packet, dst, told);

  const out = wayTo(world, dst);
  if (out === undefined)
    return isDiscarded(world, dst) ? told('discarded', [3, 0], [1, 6]) : told('noRoute', [3, 0], [1, 0]);
  if (out === into && out.pointToPoint) return told('bounce', [3, 1], [1, 3]);
  const hops = packet[v4 ? 8 : 7]!;
  if (hops < 2) return told('hopLimit', [11, 0], [3, 0]);
  const mtuOf = (i: ModelInterface): number => (v4 ? i.mtu : Math.max(1280, i.mtu));
  const mtu = mtuOf(out);
  const cuttable = v4 && (packet[6]! & 0x40) === 0;
  if (packet.length > mtu && !cuttable) return told('tooBig', [3, 4], [2, 0], mtu);

  let forwarded: Uint8Array = packet.slice();
  forwarded[v4 ? 8 : 7] = hops - 1;
  if (into.clamp || out.clamp) forwarded = withMss(forwarded, Math.min(mtuOf(into), mtu) - (v4 ? 40 : 60));
  if (v4) forwarded = summed(forwarded);
  const pieces = packet.length > mtu ? cut(forwarded, mtu) : [forwarded];
  return { sent: pieces.map((octets) => ({ out: out.number, octets })) };
}

/** Replaces what a router may choose, the identification, by 0. */
export function normalized(packet: Uint8Array): Uint8Array {
  if (packet[0]! >>> 4 !== 4) return packet;
  const out = packet.slice();
  out.set([0, 0], 4);
  return summed(out);
}

const isUp4 = (a: Address): boolean => a.length === 4;
const inside = (prefix: string, a: Address): boolean => contains(net(prefix), a);

function isMartian(src: Address, dst: Address): boolean {
  if (isUp4(src)) {
    const bad = ['0.0.0.0/8', '127.0.0.0/8'];
    return (
      bad.some((p) => inside(p, src) || inside(p, dst)) || inside('224.0.0.0/4', src) || inside('255.255.255.255', src)
    );
  }
  if (['ff00::/8', '::1/128', '::ffff:0:0/96'].some((p) => inside(p, src))) return true;
  if (inside('::/128', src) && !inside('ff00::/8', dst)) return true;
  return inside('::/127', dst);
}

const isLinkLocal = (a: Address): boolean => inside('169.254.0.0/16', a) || inside('fe80::/10', a);

const staysOnLink = (world: World, dst: Address): boolean =>
  ['224.0.0.0/4', '255.255.255.255', 'ff00::/8'].some((p) => inside(p, dst)) ||
  isLinkLocal(dst) ||
  isConnectedBroadcast(world, dst);

const ownAddresses = (world: World): Address[] =>
  world.interfaces.flatMap((i) => i.addresses.map((text) => net(text).address));

/** Host bits all zero or all one, in a network that has room for both. */
function isConnectedBroadcast(world: World, a: Address): boolean {
  return world.interfaces
    .flatMap((i) => i.addresses)
    .some((text) => {
      const { address, length } = net(text);
      if (address.length !== 4 || a.length !== 4 || length > 30 || !contains({ address, length }, a)) return false;
      const host = (((a[0]! << 24) | (a[1]! << 16) | (a[2]! << 8) | a[3]!) >>> 0) % 2 ** (32 - length);
      return host === 0 || host === 2 ** (32 - length) - 1;
    });
}

function longestMatch(world: World, dst: Address): World['routes'][number] | undefined {
  const connected = world.interfaces.flatMap((i) => i.addresses.map((prefix) => ({ prefix, out: i.number })));
  return [...connected, ...world.routes]
    .filter((r) => contains(net(r.prefix), dst))
    .sort((a, b) => net(b.prefix).length - net(a.prefix).length)[0];
}

function wayTo(world: World, dst: Address): ModelInterface | undefined {
  const best = longestMatch(world, dst);
  return best && world.interfaces.find((i) => i.number === best.out);
}

/** RFC 4632 §5.1. */
const isDiscarded = (world: World, dst: Address): boolean => longestMatch(world, dst)?.out === 0;

function locally(
  world: World,
  packet: Uint8Array,
  dst: Address,
  told: (dropped: string, codes4: number[], codes6: number[], value?: number, source?: Address) => Expectation,
): Expectation {
  const { protocol, at, field } = upperLayer(packet);
  const v4 = packet[0]! >>> 4 === 4;
  if (protocol === 17) return told('portUnreachable', [3, 3], [1, 4], 0, dst);
  if (protocol !== (v4 ? 1 : 58)) return told('protocolUnreachable', [3, 2], [4, 1], v4 ? 0 : field, dst);
  if (packet[at] !== (v4 ? 8 : 128)) return { sent: [] };
  const src = v4 ? packet.slice(12, 16) : packet.slice(8, 24);
  const message = packet.slice(at);
  message[0] = v4 ? 0 : 129;
  const reply = own(dst, src, 0, message);
  return { sent: emitted(world, reply, src) };
}

/** RFC 1122 §3.2.2, RFC 4443 §2.4: whether, from where, and what. */
function errorAbout(
  world: World,
  packet: Uint8Array,
  into: ModelInterface,
  [type, code]: number[],
  value: number,
  source?: Address,
): Expectation['sent'] {
  const v4 = packet[0]! >>> 4 === 4;
  const src = v4 ? packet.slice(12, 16) : packet.slice(8, 24);
  const { protocol, at, offset } = upperLayer(packet);
  if (offset !== 0) return [];
  if (v4 && protocol === 1 && ![0, 8, 13, 14].includes(packet[at]!)) return [];
  if (!v4 && protocol === 58 && packet[at]! < 128) return [];
  const back = wayTo(world, src);
  const family = (i: ModelInterface | undefined): Address | undefined =>
    i?.addresses.map((text) => net(text).address).find((a) => a.length === src.length);
  const address = source ?? family(back) ?? family(into) ?? world.interfaces.map(family).find((a) => a !== undefined);
  if (address === undefined) return [];
  const rest = v4 ? [0, 0, ...be16(type === 3 && code === 4 ? value : 0)] : be32(value);
  const quoted = packet.subarray(0, v4 ? 548 : 1232);
  return emitted(world, own(address, src, v4 ? 0xc0 : 0, join([type!, code!, 0, 0], rest, quoted)), src);
}

/** A packet of the router's own around an ICMP message, checksums filled in. */
function own(src: Address, dst: Address, tos: number, message: Uint8Array): Uint8Array {
  const body = message.slice();
  body.set([0, 0], 2);
  if (src.length === 4) {
    body.set(be16(checksum(body)), 2);
    const header = join([0x45, tos], be16(20 + body.length), [0, 0, 0, 0, 64, 1, 0, 0], src, dst);
    return summed(join(header, body));
  }
  body.set(be16(checksum(join(src, dst, be32(body.length), [0, 0, 0, 58], body))), 2);
  return join([0x60, 0, 0, 0], be16(body.length), [58, 64], src, dst, body);
}

function emitted(world: World, packet: Uint8Array, dst: Address): Expectation['sent'] {
  const out = staysOnLink(world, dst) ? undefined : wayTo(world, dst);
  if (out === undefined) return [];
  if (packet[0]! >>> 4 === 6 || packet.length <= out.mtu) return [{ out: out.number, octets: packet }];
  return cut(packet, out.mtu).map((octets) => ({ out: out.number, octets: normalized(octets) }));
}

interface Upper {
  readonly protocol: number;
  readonly at: number;
  readonly offset: number;
  /** Where the protocol is named. */
  readonly field: number;
}

function upperLayer(packet: Uint8Array): Upper {
  if (packet[0]! >>> 4 === 4) {
    const offset = (((packet[6]! & 0x1f) << 8) | packet[7]!) * 8;
    return { protocol: packet[9]!, at: (packet[0]! & 15) * 4, offset, field: 9 };
  }
  let field = 6;
  let at = 40;
  for (;;) {
    const next = packet[field]!;
    if (next !== 0 && next !== 43 && next !== 44 && next !== 60) return { protocol: next, at, offset: 0, field };
    const length = next === 44 ? 8 : 8 * (packet[at + 1]! + 1);
    const offset = next === 44 ? ((packet[at + 2]! << 8) | packet[at + 3]!) & 0xfff8 : 0;
    if (offset !== 0) return { protocol: packet[at]!, at: at + 8, offset, field: at };
    field = at;
    at += length;
  }
}

function sourceRouted(packet: Uint8Array): boolean {
  for (let at = 20; at < (packet[0]! & 15) * 4; ) {
    const kind = packet[at]!;
    if (kind === 0) return false;
    if (kind === 131 || kind === 137) return true;
    at += kind === 1 ? 1 : packet[at + 1]!;
  }
  return false;
}

function withMss(packet: Uint8Array, limit: number): Uint8Array {
  const { protocol, at, offset } = upperLayer(packet);
  if (protocol !== 6 || offset !== 0 || (packet[at + 13]! & 2) === 0) return packet;
  const out = packet.slice();
  const end = at + (packet[at + 12]! >>> 4) * 4;
  for (let o = at + 20; o < end; o += packet[o]! === 1 ? 1 : packet[o + 1]!) {
    if (packet[o] === 0) return packet;
    if (packet[o] !== 2) continue;
    if (((packet[o + 2]! << 8) | packet[o + 3]!) <= limit) return packet;
    out.set(be16(limit), o + 2);
    out.set([0, 0], at + 16);
    // In a fragment the rest of the segment is not here: what its words must add up to stays the same.
    const before = checksum(packet.subarray(at));
    const without = checksum(out.subarray(at));
    const sum = without + (0xffff - before);
    out.set(be16(before === 0 ? without : sum > 0xffff ? sum - 0xffff : sum), at + 16);
    return out;
  }
  return packet;
}

/** RFC 791 §3.2, for packets whose options are all of the kind that stays in the first piece. */
function cut(packet: Uint8Array, mtu: number): Uint8Array[] {
  const header = (packet[0]! & 15) * 4;
  const first = ((packet[6]! & 0x1f) << 8) | packet[7]!;
  const pieces: Uint8Array[] = [];
  for (let at = header; at < packet.length; ) {
    const head = at === header ? packet.slice(0, header) : join([0x45], packet.subarray(1, 20));
    const rest = packet.length - at;
    const length = rest <= mtu - head.length ? rest : Math.floor((mtu - head.length) / 8) * 8;
    const more = (packet[6]! & 0x20) !== 0 || length < rest;
    head.set(be16(head.length + length), 2);
    head.set(be16((more ? 0x2000 : 0) | (first + (at - header) / 8)), 6);
    pieces.push(summed(join(head, packet.subarray(at, at + length))));
    at += length;
  }
  return pieces;
}

function summed(packet: Uint8Array): Uint8Array {
  const out = packet.slice();
  const header = (packet[0]! & 15) * 4;
  out.set([0, 0], 10);
  out.set(be16(checksum(out.subarray(0, header))), 10);
  return out;
}
