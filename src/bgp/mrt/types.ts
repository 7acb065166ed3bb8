/**
 * What the records of an MRT file say. Read first: RFC 6396 §2, §4.3, §4.4; RFC 8050 §4.
 *
 * Path attributes and messages stay octets as they are in the file: `route-attributes.ts` says where the two differ, the codecs of
 * `bgp/message` read both.
 */
import type { Bytes } from '../../core/index.ts';
import type { Address, Prefix } from '../../ip/index.ts';
import type { Family } from '../message/types.ts';

export interface MrtTime {
  /** Since 1970, unsigned, of 32 bits. */
  readonly seconds: number;
  /** With the extended timestamp (RFC 6396 §3). */
  readonly micros?: number;
}

/** RFC 6396 §4.3.1. */
export interface MrtPeer {
  readonly identifier: number;
  readonly address: Address;
  readonly asn: number;
}

export interface PeerIndexTable {
  readonly kind: 'peerIndexTable';
  readonly time: MrtTime;
  readonly collector: number;
  /** Name of the view in octets of whoever wrote it, as UTF-8 mostly. */
  readonly view: Bytes;
  readonly peers: readonly MrtPeer[];
}

/** RFC 6396 §4.3.4: a route of one peer. AS numbers in `attributes` have four octets. */
export interface RibEntry {
  /** Into the peers of the PEER_INDEX_TABLE before. */
  readonly peer: number;
  /** Since 1970. */
  readonly originatedSeconds: number;
  /** Where the record has path identifiers (RFC 8050 §4). */
  readonly pathId?: number;
  readonly attributes: Bytes;
}

/** RFC 6396 §4.3.2: all routes of one prefix. */
export interface RibRecord {
  readonly kind: 'rib';
  readonly time: MrtTime;
  readonly sequence: number;
  /** Unicast or multicast of IPv4 or IPv6. */
  readonly family: Family;
  readonly prefix: Prefix;
  readonly addPath: boolean;
  readonly entries: readonly RibEntry[];
}

/** Whose session it is: RFC 6396 §4.4. */
export interface MrtSession {
  readonly peerAs: number;
  readonly localAs: number;
  readonly interfaceIndex: number;
  /** Both of one family. */
  readonly peer: Address;
  readonly local: Address;
}

/** RFC 6396 §4.4.2, §4.4.3. */
export interface MessageRecord extends MrtSession {
  readonly kind: 'message';
  readonly time: MrtTime;
  /** AS numbers have four octets, in the message too. */
  readonly fourOctetAs: boolean;
  /** NLRI of the message have path identifiers (RFC 8050 §4.1). */
  readonly addPath: boolean;
  /** True for what the writer of the file said itself (…_LOCAL). */
  readonly sent: boolean;
  /** From the marker to the end; not checked. */
  readonly message: Bytes;
}

/** RFC 6396 §4.4.1, §4.4.4; states are `MRT_STATE`. */
export interface StateRecord extends MrtSession {
  readonly kind: 'state';
  readonly time: MrtTime;
  readonly fourOctetAs: boolean;
  readonly from: number;
  readonly to: number;
}

/** Of a type or subtype that is not read here; with BGP4MP_ET the microseconds are in `body`. */
export interface OtherRecord {
  readonly kind: 'other';
  readonly time: MrtTime;
  readonly type: number;
  readonly subtype: number;
  readonly body: Bytes;
}

export type MrtRecord = PeerIndexTable | RibRecord | MessageRecord | StateRecord | OtherRecord;
