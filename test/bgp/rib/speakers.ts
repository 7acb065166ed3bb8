/** Peers and UPDATEs of tests and benches of the tables. */

import { type CodecContext, IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/message/types.ts';
import { ALL } from '../../../src/bgp/policy/policy.ts';
import type { PeerOptions } from '../../../src/bgp/rib/peer.ts';
import type { Bytes } from '../../../src/core/index.ts';
import { concat, u16 } from '../../../src/core/index.ts';
import { parseAddress } from '../../../src/ip/index.ts';

export const address = (text: string): Bytes => parseAddress(text)!;

export const context = (ebgp: boolean, change: Partial<CodecContext> = {}): CodecContext => ({
  ebgp,
  fourOctetAs: true,
  maximumLength: 4096,
  addPath: [],
  families: [IPV4_UNICAST, IPV6_UNICAST],
  ...change,
});

/** An external peer of AS 65000 + `number` that lets everything pass, unless `change` says otherwise. */
export function peerOptions(number: number, change: Partial<PeerOptions> = {}): PeerOptions {
  const ebgp = (change.kind ?? 'external') === 'external';
  return {
    name: `peer ${number}`,
    kind: 'external',
    localAs: 65_000,
    remoteAs: ebgp ? 65_000 + number : 65_000,
    remoteId: 0x0a00_0000 + number,
    localAddress: address('192.0.2.1'),
    remoteAddress: Uint8Array.of(10, 0, number >> 8, number & 0xff),
    otherAddress: address('2001:db8::1'),
    receive: context(ebgp),
    send: context(ebgp),
    import: ALL,
    export: ALL,
    ...change,
  };
}

/** Whole messages of a run of octets. */
export function messagesIn(octets: Bytes): Bytes[] {
  const out: Bytes[] = [];
  for (let at = 0; at < octets.length; at += u16(octets, at + 16))
    out.push(octets.subarray(at, at + u16(octets, at + 16)));
  return out;
}

/** An attribute of at most 255 octets. */
export const attribute = (flags: number, type: number, ...value: number[]): Bytes =>
  Uint8Array.of(flags, type, value.length, ...value);

export const word = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 0xff,
  (value >>> 8) & 0xff,
  value & 0xff,
];

/** ORIGIN IGP, AS_PATH of these numbers of four octets, NEXT_HOP. */
export const usual = (path: readonly number[], hop: readonly number[], origin = 0): Bytes =>
  concat(
    attribute(0x40, 1, origin),
    attribute(0x40, 2, ...(path.length === 0 ? [] : [2, path.length, ...path.flatMap(word)])),
    attribute(0x40, 3, ...hop),
  );

export function update(withdrawn: Bytes, attributes: Bytes, nlri: Bytes): Bytes {
  const length = 23 + withdrawn.length + attributes.length + nlri.length;
  return concat(
    new Uint8Array(16).fill(0xff),
    Uint8Array.of(length >>> 8, length & 0xff, 2, withdrawn.length >>> 8, withdrawn.length & 0xff),
    withdrawn,
    Uint8Array.of(attributes.length >>> 8, attributes.length & 0xff),
    attributes,
    nlri,
  );
}

/** An attribute with a length of two octets. */
export const long = (flags: number, type: number, value: Bytes): Bytes =>
  concat(Uint8Array.of(flags | 0x10, type, value.length >>> 8, value.length & 0xff), value);

/** AS_SEQUENCEs of 255 numbers of `width` octets, all of them 1. */
export const sequences = (count: number, width: 2 | 4): Bytes =>
  concat(
    ...Array.from({ length: count }, () => {
      const segment = new Uint8Array(2 + 255 * width);
      segment.set([2, 255]);
      for (let at = 1 + width; at < segment.length; at += width) segment[at] = 1;
      return segment;
    }),
  );
