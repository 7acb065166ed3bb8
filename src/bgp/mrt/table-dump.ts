/** TABLE_DUMP_V2: the list of peers, and the routes of a prefix. RFC 6396 §4.3; with path identifiers RFC 8050 §4. */
import { type Reader, WireError, type Writer } from '../../core/index.ts';
import { networkOf, type Prefix } from '../../ip/index.ts';
import { AFI, SAFI } from '../message/iana.ts';
import { afiOf, prefixBits, safiOf } from '../message/nlri.ts';
import type { Family } from '../message/types.ts';
import { PEER_TYPE, TABLE_DUMP_V2 } from './iana.ts';
import type { MrtPeer, MrtTime, PeerIndexTable, RibEntry, RibRecord } from './types.ts';

export function decodeTableDump(r: Reader, subtype: number, time: MrtTime): PeerIndexTable | RibRecord | undefined {
  if (subtype === TABLE_DUMP_V2.PEER_INDEX_TABLE) return decodePeerIndexTable(r, time);
  const plain = subtype >= ADD_PATH ? subtype - ADD_PATH : subtype;
  const family = FAMILIES.get(plain);
  return family === undefined ? undefined : decodeRib(r, time, family, subtype >= ADD_PATH);
}

export function encodeTableDump(w: Writer, record: PeerIndexTable | RibRecord): void {
  if (record.kind === 'rib') encodeRib(w, record);
  else encodePeerIndexTable(w, record);
}

export function tableDumpSubtype(record: PeerIndexTable | RibRecord): number {
  if (record.kind === 'peerIndexTable') return TABLE_DUMP_V2.PEER_INDEX_TABLE;
  const ipv6 = afiOf(record.family) === AFI.IPV6 ? 2 : 0;
  const multicast = safiOf(record.family) === SAFI.MULTICAST ? 1 : 0;
  return TABLE_DUMP_V2.RIB_IPV4_UNICAST + ipv6 + multicast + (record.addPath ? ADD_PATH : 0);
}

/*  Collector BGP ID (4) | View Name Length (2) | View Name | Peer Count (2) | Peer Entries  */
function decodePeerIndexTable(r: Reader, time: MrtTime): PeerIndexTable {
  const collector = r.u32('peerIndexTable.collector');
  const view = r.bytes('peerIndexTable.view', r.u16('peerIndexTable.viewLength'));
  const count = r.u16('peerIndexTable.count');
  const peers: MrtPeer[] = [];
  for (let i = 0; i < count; i++) peers.push(decodePeer(r));
  r.done('peerIndexTable');
  return { kind: 'peerIndexTable', time, collector, view, peers };
}

function encodePeerIndexTable(w: Writer, { collector, view, peers }: PeerIndexTable): void {
  w.u32(collector);
  w.counted16(() => w.bytes(view));
  w.u16(peers.length);
  for (const { identifier, address, asn } of peers) {
    w.u8(PEER_TYPE.FOUR_OCTET_AS | (address.length === 16 ? PEER_TYPE.IPV6 : 0));
    w.u32(identifier);
    w.bytes(address);
    w.u32(asn);
  }
}

/*  Peer Type (1) | Peer BGP ID (4) | Peer IP Address (4 or 16) | Peer AS (2 or 4)  */
function decodePeer(r: Reader): MrtPeer {
  const type = r.u8('peer.type');
  const identifier = r.u32('peer.identifier');
  const address = r.bytes('peer.address', (type & PEER_TYPE.IPV6) !== 0 ? 16 : 4);
  const asn = (type & PEER_TYPE.FOUR_OCTET_AS) !== 0 ? r.u32('peer.as') : r.u16('peer.as');
  return { identifier, address, asn };
}

/*  Sequence Number (4) | Prefix Length (1) | Prefix | Entry Count (2) | RIB Entries  */
function decodeRib(r: Reader, time: MrtTime, family: Family, addPath: boolean): RibRecord {
  const sequence = r.u32('rib.sequence');
  const prefix = decodePrefix(r, prefixBits(family)!);
  const count = r.u16('rib.count');
  const entries: RibEntry[] = [];
  for (let i = 0; i < count; i++) entries.push(decodeEntry(r, addPath));
  r.done('rib');
  return { kind: 'rib', time, sequence, family, prefix, addPath, entries };
}

function encodeRib(w: Writer, { sequence, prefix, addPath, entries }: RibRecord): void {
  w.u32(sequence);
  w.u8(prefix.length);
  w.bytes(networkOf(prefix).subarray(0, (prefix.length + 7) >>> 3));
  w.u16(entries.length);
  for (const entry of entries) {
    w.u16(entry.peer);
    w.u32(entry.originatedSeconds);
    if (addPath) w.u32(entry.pathId ?? 0);
    w.counted16(() => w.bytes(entry.attributes));
  }
}

function decodePrefix(r: Reader, bits: number): Prefix {
  const { at } = r;
  const length = r.u8('rib.prefixLength');
  if (length > bits) throw new WireError('rib.prefixLength', at, `${length} bits where ${bits} are the most`);
  const address = new Uint8Array(bits >>> 3);
  address.set(r.bytes('rib.prefix', (length + 7) >>> 3));
  return { address: networkOf({ address, length }), length };
}

/*  Peer Index (2) | Originated Time (4) | Path Identifier (4, RFC 8050) | Attribute Length (2) | BGP Attributes  */
function decodeEntry(r: Reader, addPath: boolean): RibEntry {
  const peer = r.u16('entry.peer');
  const originatedSeconds = r.u32('entry.originated');
  const pathId = addPath ? r.u32('entry.pathId') : undefined;
  const attributes = r.bytes('entry.attributes', r.u16('entry.attributeLength'));
  return pathId === undefined
    ? { peer, originatedSeconds, attributes }
    : { peer, originatedSeconds, pathId, attributes };
}

const family = (afi: number, safi: number): Family => (afi << 8) | safi;

/** RFC 8050 §4: the subtypes with path identifiers stand in the same order. */
const ADD_PATH = TABLE_DUMP_V2.RIB_IPV4_UNICAST_ADDPATH - TABLE_DUMP_V2.RIB_IPV4_UNICAST;
const FAMILIES: ReadonlyMap<number, Family> = new Map([
  [TABLE_DUMP_V2.RIB_IPV4_UNICAST, family(AFI.IPV4, SAFI.UNICAST)],
  [TABLE_DUMP_V2.RIB_IPV4_MULTICAST, family(AFI.IPV4, SAFI.MULTICAST)],
  [TABLE_DUMP_V2.RIB_IPV6_UNICAST, family(AFI.IPV6, SAFI.UNICAST)],
  [TABLE_DUMP_V2.RIB_IPV6_MULTICAST, family(AFI.IPV6, SAFI.MULTICAST)],
]);
