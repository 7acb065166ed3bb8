/**
 * A number for the flow of a packet: what chooses between equal ways, so that the packets of one flow keep their order.
 *
 * Read first: RFC 2991 (why the packets of a flow go one way).
 * Addresses, protocol, and the ports of TCP, UDP, DCCP, SCTP and UDP-Lite count. Of fragments only the addresses do, the first one
 * included: the others show no ports. Different seeds give unrelated numbers; it is no cryptographic hash.
 */
import type { Bytes } from '../core/index.ts';
import { u32 } from '../core/index.ts';
import type { FlowRecord } from './flow.ts';
import { IP_PROTOCOL } from './iana.ts';
import { findUpperLayer, ipVersion } from './ip.ts';
import { newUpperLayer } from './ipv6.ts';
import { PASS } from './verdict.ts';

/** 32 bits, signed, for the packet in buf[start, end), which passed `checkIp`. */
export function hashFlow(buf: Bytes, start: number, end: number, seed: number): number {
  const v4 = ipVersion(buf, start) === 4;
  const hash = hashWords(buf, start + (v4 ? 12 : 8), v4 ? 2 : 8, seed);
  if (findUpperLayer(buf, start, end, upper) !== PASS || upper.fragmentOffset !== 0 || upper.moreFragments) {
    return mixLast(hash);
  }
  const { protocol, at } = upper;
  return showsPorts(protocol) && at + 4 <= upper.end
    ? mixLast(mixWord(mixWord(hash, protocol), u32(buf, at)))
    : mixLast(mixWord(hash, protocol));
}

/** The same number for the same flow as the control plane keeps it; protocol 0 is a fragment's. */
export function hashFlowRecord(flow: FlowRecord, seed: number): number {
  const { source, destination, protocol } = flow;
  const words = source.length >>> 2;
  const hash = hashWords(destination, 0, words, hashWords(source, 0, words, seed));
  if (protocol === 0) return mixLast(hash);
  const known = mixWord(hash, protocol);
  return mixLast(showsPorts(protocol) ? mixWord(known, (flow.sourcePort << 16) | flow.destinationPort) : known);
}

/** Mixes one more word into a hash. */
export function mixWord(hash: number, word: number): number {
  const scattered = Math.imul(word, 0xcc9e2d51);
  const mixed = hash ^ Math.imul((scattered << 15) | (scattered >>> 17), 0x1b873593);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/** Spreads what the last words changed over all bits. */
export function mixLast(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function hashWords(buf: Bytes, from: number, words: number, seed: number): number {
  let hash = seed;
  for (let i = 0; i < words; i++) hash = mixWord(hash, u32(buf, from + 4 * i));
  return hash;
}

function showsPorts(protocol: number): boolean {
  switch (protocol) {
    case IP_PROTOCOL.tcp:
    case IP_PROTOCOL.udp:
    case IP_PROTOCOL.dccp:
    case IP_PROTOCOL.sctp:
    case IP_PROTOCOL.udpLite:
      return true;
    default:
      return false;
  }
}

const upper = newUpperLayer();
