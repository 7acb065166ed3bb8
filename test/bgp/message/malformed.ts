/** UPDATEs with one route and something wrong, and what RFC 7606 makes of each: for the codec and for the tables. */
import { type CodecContext, MESSAGE, type Treatment } from '../../../src/bgp/index.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { wire } from './octets.ts';

/** The attributes of a sound route; a case takes out one type and puts its own octets in front of the rest. */
export const SOUND: Readonly<Record<number, string>> = {
  1: '40 01 01 00',
  2: '40 02 06 0201 0000fde9',
  3: '40 03 04 c0000201',
  5: '40 05 04 00000064',
};
export const ROUTE = '18 c63364';
export const v6 = '20010db8000000000000000000000001';

/** An UPDATE with one route; `without` are types left out. LOCAL_PREF is there for internal peers only. */
export function update(context: CodecContext, attributes: string, without: readonly number[] = [], nlri = ROUTE) {
  const types = Object.keys(SOUND).map(Number);
  const rest = types.filter((type) => !without.includes(type) && (type !== 5 || !context.ebgp));
  const block = toHex(fromHex(attributes + rest.map((type) => SOUND[type]).join('')));
  return wire(MESSAGE.UPDATE, `0000 ${(block.length / 2).toString(16).padStart(4, '0')} ${block} ${nlri}`);
}

export interface Case {
  readonly rule: string;
  readonly what: string;
  readonly octets: string;
  /** The type the octets stand for, which is left out of the sound rest. */
  readonly instead?: number;
  readonly ebgp: Treatment;
  readonly ibgp?: Treatment;
  readonly fourOctetAs?: false;
}

export const CASES: readonly Case[] = [
  { rule: '§7.1', what: 'ORIGIN of no octets', octets: '40 01 00', instead: 1, ebgp: 'withdraw' },
  { rule: '§7.1', what: 'ORIGIN of two octets', octets: '40 01 02 0000', instead: 1, ebgp: 'withdraw' },
  { rule: '§7.1', what: 'ORIGIN 3', octets: '40 01 01 03', instead: 1, ebgp: 'withdraw' },
  { rule: '§7.2', what: 'a segment of type 0', octets: '40 02 06 0001 0000fde9', instead: 2, ebgp: 'withdraw' },
  { rule: '§7.2', what: 'a segment of type 5', octets: '40 02 06 0501 0000fde9', instead: 2, ebgp: 'withdraw' },
  { rule: '§7.2', what: 'an overrun', octets: '40 02 06 0202 0000fde9', instead: 2, ebgp: 'withdraw' },
  { rule: '§7.2', what: 'an underrun', octets: '40 02 07 0201 0000fde9 02', instead: 2, ebgp: 'withdraw' },
  { rule: '§7.2', what: 'a segment of none', octets: '40 02 08 0201 0000fde9 0200', instead: 2, ebgp: 'withdraw' },
  { rule: '§7.2', what: 'an empty path', octets: '40 02 00', instead: 2, ebgp: 'none' },
  { rule: '§7.2', what: 'numbers of two octets', octets: '40 02 04 0201 fde9', instead: 2, ebgp: 'withdraw' },
  { rule: 'RFC 7607 §2', what: 'AS 0', octets: '40 02 06 0201 00000000', instead: 2, ebgp: 'withdraw' },
  {
    rule: 'RFC 5065 §5',
    what: 'a confederation from outside',
    octets: '40 02 06 0301 0000fde9',
    instead: 2,
    ebgp: 'withdraw',
    ibgp: 'none',
  },
  { rule: '§7.3', what: 'NEXT_HOP of three octets', octets: '40 03 03 c00002', instead: 3, ebgp: 'withdraw' },
  { rule: '§7.3', what: 'NEXT_HOP of sixteen octets', octets: `40 03 10 ${v6}`, instead: 3, ebgp: 'withdraw' },
  { rule: '§3(e)', what: 'NEXT_HOP 0.0.0.0', octets: '40 03 04 00000000', instead: 3, ebgp: 'withdraw' },
  { rule: '§3(e)', what: 'NEXT_HOP 224.0.0.1', octets: '40 03 04 e0000001', instead: 3, ebgp: 'withdraw' },
  { rule: '§7.4', what: 'MULTI_EXIT_DISC of three octets', octets: '80 04 03 000001', ebgp: 'withdraw' },
  { rule: '§7.4', what: 'MULTI_EXIT_DISC of no octets', octets: '80 04 00', ebgp: 'withdraw' },
  { rule: '§7.5', what: 'LOCAL_PREF', octets: '40 05 04 00000064', instead: 5, ebgp: 'discard', ibgp: 'none' },
  {
    rule: '§7.5',
    what: 'LOCAL_PREF of three octets',
    octets: '40 05 03 000064',
    instead: 5,
    ebgp: 'discard',
    ibgp: 'withdraw',
  },
  { rule: '§7.6', what: 'ATOMIC_AGGREGATE of one octet', octets: '40 06 01 00', ebgp: 'discard' },
  { rule: '§7.6', what: 'ATOMIC_AGGREGATE', octets: '40 06 00', ebgp: 'none' },
  { rule: '§7.7', what: 'AGGREGATOR of six octets', octets: 'c0 07 06 fde9 c0000201', ebgp: 'discard' },
  {
    rule: '§7.7',
    what: 'AGGREGATOR of eight octets between speakers of two',
    octets: 'c0 07 08 0000fde9 c0000201 40 02 04 0201 fde9',
    instead: 2,
    ebgp: 'discard',
    fourOctetAs: false,
  },
  { rule: 'RFC 7607 §2', what: 'AGGREGATOR of AS 0', octets: 'c0 07 08 00000000 c0000201', ebgp: 'discard' },
  { rule: '§7.8', what: 'communities of no octets', octets: 'c0 08 00', ebgp: 'withdraw' },
  { rule: '§7.8', what: 'communities of six octets', octets: 'c0 08 06 fde90001fde9', ebgp: 'withdraw' },
  { rule: '§7.9', what: 'ORIGINATOR_ID', octets: '80 09 04 c0000202', ebgp: 'discard', ibgp: 'none' },
  { rule: '§7.9', what: 'ORIGINATOR_ID of three', octets: '80 09 03 c00002', ebgp: 'discard', ibgp: 'withdraw' },
  { rule: '§7.10', what: 'CLUSTER_LIST', octets: '80 0a 04 c0000202', ebgp: 'discard', ibgp: 'none' },
  { rule: '§7.10', what: 'CLUSTER_LIST of five', octets: '80 0a 05 c000020200', ebgp: 'discard', ibgp: 'withdraw' },
  { rule: '§7.10', what: 'CLUSTER_LIST of none', octets: '80 0a 00', ebgp: 'discard', ibgp: 'withdraw' },
  { rule: '§7.14', what: 'extended communities of none', octets: 'c0 10 00', ebgp: 'withdraw' },
  { rule: '§7.14', what: 'extended communities of seven', octets: 'c0 10 07 0002fde9000000', ebgp: 'withdraw' },
  { rule: '§7.14', what: 'an unknown extended community', octets: 'c0 10 08 fffefde900000001', ebgp: 'none' },
  { rule: '§7.15', what: 'IPv6 extended communities of 19', octets: `c0 19 13 ${'00'.repeat(19)}`, ebgp: 'withdraw' },
  { rule: '§7.15', what: 'IPv6 extended communities of 20', octets: `c0 19 14 ${'00'.repeat(20)}`, ebgp: 'none' },
  { rule: 'RFC 8092 §6', what: 'large communities of none', octets: 'c0 20 00', ebgp: 'withdraw' },
  { rule: 'RFC 8092 §6', what: 'large communities of 11', octets: `c0 20 0b ${'00'.repeat(11)}`, ebgp: 'withdraw' },
  { rule: 'RFC 9234 §5', what: 'OTC of five octets', octets: 'c0 23 05 0000fde900', ebgp: 'withdraw' },
  {
    rule: 'RFC 6793 §4.1',
    what: 'AS4_PATH between speakers of four octets',
    octets: 'c0 11 06 0201 fa56ea01',
    ebgp: 'discard',
  },
  {
    rule: 'RFC 6793 §4.1',
    what: 'AS4_AGGREGATOR between speakers of four octets',
    octets: 'c0 12 08 fa56ea01 c0000201',
    ebgp: 'discard',
  },
  {
    rule: 'RFC 6793 §6',
    what: 'AS4_PATH that is malformed',
    octets: 'c0 11 06 0202 fa56ea01 40 02 04 0201 fde9',
    instead: 2,
    ebgp: 'discard',
    fourOctetAs: false,
  },
  {
    rule: 'RFC 6793 §6',
    what: 'AS4_PATH of five octets',
    octets: 'c0 11 05 0201 fa56ea 40 02 04 0201 fde9',
    instead: 2,
    ebgp: 'discard',
    fourOctetAs: false,
  },
  {
    rule: 'RFC 6793 §6',
    what: 'AS4_AGGREGATOR of six octets',
    octets: 'c0 12 06 fa56 c0000201 40 02 04 0201 fde9',
    instead: 2,
    ebgp: 'discard',
    fourOctetAs: false,
  },
  { rule: '§3(c)', what: 'ORIGIN that is optional', octets: 'c0 01 01 00', instead: 1, ebgp: 'withdraw' },
  { rule: '§3(c)', what: 'AS_PATH not transitive', octets: '00 02 06 0201 0000fde9', instead: 2, ebgp: 'withdraw' },
  { rule: '§3(c)', what: 'MULTI_EXIT_DISC that is transitive', octets: 'c0 04 04 00000001', ebgp: 'withdraw' },
  { rule: '§3(c)', what: 'communities that are well-known', octets: '40 08 04 fde90001', ebgp: 'withdraw' },
  { rule: '§3(c)', what: 'Partial where it has no meaning', octets: '60 01 01 00', instead: 1, ebgp: 'none' },
  { rule: '§3(c)', what: 'unused bits of the flags', octets: '4f 01 01 00', instead: 1, ebgp: 'none' },
  { rule: '§3(f)', what: 'ATOMIC_AGGREGATE that is optional', octets: 'c0 06 00', ebgp: 'discard' },
  { rule: '§3(f)', what: 'AGGREGATOR that is well-known', octets: '40 07 08 0000fde9 c0000201', ebgp: 'discard' },
  { rule: '§3(d)', what: 'no ORIGIN', octets: '', instead: 1, ebgp: 'withdraw' },
  { rule: '§3(d)', what: 'no AS_PATH', octets: '', instead: 2, ebgp: 'withdraw' },
  { rule: '§3(d)', what: 'no NEXT_HOP', octets: '', instead: 3, ebgp: 'withdraw' },
  { rule: '§3(d)', what: 'no LOCAL_PREF', octets: '', instead: 5, ebgp: 'none', ibgp: 'withdraw' },
  { rule: '§3(g)', what: 'ORIGIN twice', octets: '40 01 01 02', ebgp: 'discard' },
  { rule: '§3(g)', what: 'an unknown one twice', octets: 'c0 63 01 00 c0 63 01 01', ebgp: 'discard' },
  { rule: '§3(h)', what: 'discard and withdraw', octets: '40 06 01 00 80 04 00', ebgp: 'withdraw' },
  { rule: '§4', what: 'an unknown one of no octets', octets: 'c0 63 00', ebgp: 'none' },
  { rule: 'RFC 4271 §6.3', what: 'an unknown well-known one', octets: '40 63 00', ebgp: 'withdraw' },
  { rule: '§7.11', what: 'MP_REACH_NLRI', octets: `80 0e 1a 0002 01 10 ${v6} 00 20 20010db8`, ebgp: 'none' },
  {
    rule: 'RFC 4760 §7',
    what: 'a family nobody has, with noise for prefixes',
    octets: '80 0e 0c 0001 80 04 c0000201 00 ffffff',
    ebgp: 'discard',
  },
];
