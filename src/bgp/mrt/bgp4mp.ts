/**
 * BGP4MP and BGP4MP_ET: messages and changes of state, one by one. RFC 6396 §4.4; with path identifiers RFC 8050 §4.1.
 *
 * Messages are not looked into: a recorder writes what it was sent, and what is wrong with it is what it was recorded for.
 */
import { type Reader, WireError, type Writer } from '../../core/index.ts';
import { AFI } from '../message/iana.ts';
import { BGP4MP } from './iana.ts';
import type { MessageRecord, MrtSession, MrtTime, StateRecord } from './types.ts';

export function decodeBgp4mp(r: Reader, subtype: number, time: MrtTime): MessageRecord | StateRecord | undefined {
  const how = SUBTYPES.get(subtype);
  if (how === undefined) return undefined;
  const { fourOctetAs } = how;
  const session = decodeSession(r, fourOctetAs);
  if (how.state) {
    const from = r.u16('state.old');
    const to = r.u16('state.new');
    r.done('state');
    return { kind: 'state', time, ...session, fourOctetAs, from, to };
  }
  const { addPath, sent } = how;
  return { kind: 'message', time, ...session, fourOctetAs, addPath, sent, message: r.rest() };
}

export function encodeBgp4mp(w: Writer, record: MessageRecord | StateRecord): void {
  const { peerAs, localAs, fourOctetAs } = record;
  for (const asn of [peerAs, localAs]) {
    if (fourOctetAs) w.u32(asn);
    else w.u16(asn);
  }
  w.u16(record.interfaceIndex);
  w.u16(record.peer.length === 16 ? AFI.IPV6 : AFI.IPV4);
  w.bytes(record.peer);
  w.bytes(record.local);
  if (record.kind === 'message') return w.bytes(record.message);
  w.u16(record.from);
  w.u16(record.to);
}

export function bgp4mpSubtype(record: MessageRecord | StateRecord): number {
  const state = record.kind === 'state';
  for (const [subtype, how] of SUBTYPES) {
    if (how.state !== state || how.fourOctetAs !== record.fourOctetAs) continue;
    if (state || (how.addPath === record.addPath && how.sent === record.sent)) return subtype;
  }
  throw new Error('every kind of record has its subtype');
}

/*  Peer AS (2 or 4) | Local AS (2 or 4) | Interface Index (2) | Address Family (2) | Peer IP Address | Local IP Address  */
function decodeSession(r: Reader, fourOctetAs: boolean): MrtSession {
  const asn = (field: string): number => (fourOctetAs ? r.u32(field) : r.u16(field));
  const peerAs = asn('session.peerAs');
  const localAs = asn('session.localAs');
  const interfaceIndex = r.u16('session.interfaceIndex');
  const { at } = r;
  const afi = r.u16('session.family');
  if (afi !== AFI.IPV4 && afi !== AFI.IPV6)
    throw new WireError('session.family', at, `${afi} is no family of addresses`);
  const length = afi === AFI.IPV6 ? 16 : 4;
  const peer = r.bytes('session.peer', length);
  return { peerAs, localAs, interfaceIndex, peer, local: r.bytes('session.local', length) };
}

interface Subtype {
  readonly state: boolean;
  readonly fourOctetAs: boolean;
  readonly sent: boolean;
  readonly addPath: boolean;
}

const subtype = (fourOctetAs: boolean, sent: boolean, addPath: boolean, state = false): Subtype => ({
  state,
  fourOctetAs,
  sent,
  addPath,
});

const SUBTYPES: ReadonlyMap<number, Subtype> = new Map([
  [BGP4MP.STATE_CHANGE, subtype(false, false, false, true)],
  [BGP4MP.MESSAGE, subtype(false, false, false)],
  [BGP4MP.MESSAGE_AS4, subtype(true, false, false)],
  [BGP4MP.STATE_CHANGE_AS4, subtype(true, false, false, true)],
  [BGP4MP.MESSAGE_LOCAL, subtype(false, true, false)],
  [BGP4MP.MESSAGE_AS4_LOCAL, subtype(true, true, false)],
  [BGP4MP.MESSAGE_ADDPATH, subtype(false, false, true)],
  [BGP4MP.MESSAGE_AS4_ADDPATH, subtype(true, false, true)],
  [BGP4MP.MESSAGE_LOCAL_ADDPATH, subtype(false, true, true)],
  [BGP4MP.MESSAGE_AS4_LOCAL_ADDPATH, subtype(true, true, true)],
]);
