/**
 * MRT records to values and back: the common header and the choice by type. Read first: RFC 6396 §2, §3, §4.
 *
 * TABLE_DUMP_V2 is in `table-dump.ts`, BGP4MP in `bgp4mp.ts`. Deliberate limits: TABLE_DUMP (its successor is from 2008), RIB_GENERIC and
 * the types of OSPF and IS-IS are kept as octets. Written are peers and sessions with AS numbers of four octets where the record says so,
 * and in PEER_INDEX_TABLE always.
 */
import { type Bytes, Reader, Writer } from '../../core/index.ts';
import { bgp4mpSubtype, decodeBgp4mp, encodeBgp4mp } from './bgp4mp.ts';
import { MRT_HEADER_LENGTH } from './framer.ts';
import { MRT } from './iana.ts';
import { decodeTableDump, encodeTableDump, tableDumpSubtype } from './table-dump.ts';
import type { MrtRecord } from './types.ts';

/** One whole record, as `MrtFramer` yields it. Throws a `WireError` whose offset counts from the start of the record. */
export function decodeRecord(octets: Bytes): MrtRecord {
  const header = new Reader(octets);
  const seconds = header.u32('record.timestamp');
  const type = header.u16('record.type');
  const subtype = header.u16('record.subtype');
  const r = header.sub('record.body', header.u32('record.length'));
  header.done('record');
  return (
    decodeBody(r, seconds, type, subtype) ?? {
      kind: 'other',
      time: { seconds },
      type,
      subtype,
      body: octets.slice(MRT_HEADER_LENGTH),
    }
  );
}

function decodeBody(r: Reader, seconds: number, type: number, subtype: number): MrtRecord | undefined {
  if (type === MRT.TABLE_DUMP_V2) return decodeTableDump(r, subtype, { seconds });
  if (type === MRT.BGP4MP) return decodeBgp4mp(r, subtype, { seconds });
  if (type !== MRT.BGP4MP_ET) return undefined;
  return decodeBgp4mp(r, subtype, { seconds, micros: r.u32('record.microseconds') });
}

export function encodeRecord(record: MrtRecord): Bytes {
  const w = new Writer();
  const [type, subtype] = typeOf(record);
  w.u32(record.time.seconds);
  w.u16(type);
  w.u16(subtype);
  w.u32(0);
  if (record.kind === 'message' || record.kind === 'state') {
    if (record.time.micros !== undefined) w.u32(record.time.micros);
    encodeBgp4mp(w, record);
  } else if (record.kind === 'other') w.bytes(record.body);
  else encodeTableDump(w, record);
  w.patch32(8, w.length - MRT_HEADER_LENGTH);
  return w.finish();
}

function typeOf(record: MrtRecord): readonly [type: number, subtype: number] {
  if (record.kind === 'other') return [record.type, record.subtype];
  if (record.kind === 'rib' || record.kind === 'peerIndexTable') return [MRT.TABLE_DUMP_V2, tableDumpSubtype(record)];
  return [record.time.micros === undefined ? MRT.BGP4MP : MRT.BGP4MP_ET, bgp4mpSubtype(record)];
}
