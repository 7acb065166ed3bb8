/** What benches of BGP send: UPDATEs ready to send, and the withdrawals that undo them. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  ATTRIBUTE,
  attributeValueAt,
  encodeUpdate,
  findAttribute,
  HEADER_LENGTH,
  IPV4_UNICAST,
  newUpdateView,
  nextNlri,
  viewUpdate,
  withHeader,
} from '../../src/bgp/message/index.ts';
import { type Bytes, concat, u16 } from '../../src/core/index.ts';

export interface Feed {
  readonly announce: Bytes;
  readonly withdraw: Bytes;
  readonly prefixes: number;
}

export const FEED_NAMES = ['one-set', 'full'] as const;
export type FeedName = (typeof FEED_NAMES)[number];

/** `nextHop` is that of all routes. */
export function feedOf(name: FeedName, file: string, nextHop: Bytes): Feed {
  const announce =
    name === 'full' ? withNextHop(new Uint8Array(gunzipSync(readFileSync(file))), nextHop) : oneSet(nextHop);
  const prefixes = prefixesOf(announce);
  return { announce, withdraw: withdrawals(prefixes), prefixes: prefixes.length };
}

/** 100,000 prefixes of 24 bits behind one AS_PATH. */
function oneSet(nextHop: Bytes): Bytes {
  const messages: Bytes[] = [];
  for (let from = 0; from < ONE_SET; from += IN_ONE) {
    const nlri = Array.from({ length: Math.min(IN_ONE, ONE_SET - from) }, (_, i) => {
      const number = 0x14_0000 + from + i;
      return { prefix: { address: Uint8Array.of(number >>> 16, number >>> 8, number, 0), length: 24 } };
    });
    const attributes = [
      { flags: 0x40, type: ATTRIBUTE.ORIGIN, value: { name: 'origin', origin: 'igp' } },
      {
        flags: 0x40,
        type: ATTRIBUTE.AS_PATH,
        value: { name: 'asPath', segments: [{ type: 'sequence', asns: [SENDER_AS, 3356, 1299] }] },
      },
      { flags: 0x40, type: ATTRIBUTE.NEXT_HOP, value: { name: 'nextHop', address: nextHop } },
    ] as const;
    messages.push(encodeUpdate({ kind: 'update', withdrawn: [], attributes, nlri }, CONTEXT));
  }
  return concat(...messages);
}

function withNextHop(feed: Bytes, nextHop: Bytes): Bytes {
  const view = newUpdateView();
  for (let at = 0; at < feed.length; at += u16(feed, at + 16)) {
    viewUpdate(view, feed.subarray(0, at + u16(feed, at + 16)), at);
    const hop = findAttribute(feed, view.attributesAt, view.attributesEnd, ATTRIBUTE.NEXT_HOP);
    if (hop >= 0) feed.set(nextHop, attributeValueAt(feed, hop));
  }
  return feed;
}

/** As octets of NLRI. */
function prefixesOf(feed: Bytes): Bytes[] {
  const out: Bytes[] = [];
  const view = newUpdateView();
  for (let at = 0; at < feed.length; at += u16(feed, at + 16)) {
    viewUpdate(view, feed.subarray(0, at + u16(feed, at + 16)), at);
    for (let p = view.nlriAt; p < view.nlriEnd; p = nextNlri(feed, p)) out.push(feed.subarray(p, nextNlri(feed, p)));
  }
  return out;
}

function withdrawals(prefixes: readonly Bytes[]): Bytes {
  const messages: Bytes[] = [];
  for (let from = 0; from < prefixes.length; from += IN_ONE) {
    const block = concat(...prefixes.slice(from, from + IN_ONE));
    messages.push(
      withHeader(2, (w) => {
        w.u16(block.length);
        w.bytes(block);
        w.u16(0);
      }),
    );
  }
  return concat(...messages);
}

/** Peers of the mesh, in a network of their own. */
export const meshPeers = (count: number): { name: string; address: string; asn: number }[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `peer${i}`,
    address: `10.254.${1 + (i >> 7)}.${1 + (i & 127)}`,
    asn: 65_010 + i,
  }));

export const SENDER_AS = 30_844;
/** Not among the private numbers that have leaked into the full feed, whose routes would count as loops. */
export const OUR_AS = 64_900;
export const RECEIVER_AS = 64_901;
const ONE_SET = 100_000;
/** Prefixes that fit 4096 octets for sure. */
const IN_ONE = Math.floor((4096 - HEADER_LENGTH - 64) / 5);
const CONTEXT = { ebgp: true, fourOctetAs: true, maximumLength: 4096, addPath: [], families: [IPV4_UNICAST] };
