import { describe, expect, it, test } from 'vitest';
import {
  type CodecContext,
  checkUpdate,
  decodeAttributes,
  decodeUpdate,
  endOfRib,
  findValue,
  IPV4_UNICAST,
  IPV6_UNICAST,
  MAXIMUM_FAULTS,
  MESSAGE,
  newUpdateView,
  type Treatment,
  treatUpdate,
  viewUpdate,
} from '../../../src/bgp/index.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { formatPrefix } from '../../../src/ip/index.ts';
import { EBGP, IBGP } from './contexts.ts';
import { wire } from './octets.ts';

/** The attributes of a sound route; a case takes out one type and puts its own octets in front of the rest. */
const SOUND: Readonly<Record<number, string>> = {
  1: '40 01 01 00',
  2: '40 02 06 0201 0000fde9',
  3: '40 03 04 c0000201',
  5: '40 05 04 00000064',
};
const ROUTE = '18 c63364';
const v6 = '20010db8000000000000000000000001';

/** An UPDATE with one route; `without` are types left out. LOCAL_PREF is there for internal peers only. */
function update(context: CodecContext, attributes: string, without: readonly number[] = [], nlri = ROUTE) {
  const types = Object.keys(SOUND).map(Number);
  const rest = types.filter((type) => !without.includes(type) && (type !== 5 || !context.ebgp));
  const block = toHex(fromHex(attributes + rest.map((type) => SOUND[type]).join('')));
  return wire(MESSAGE.UPDATE, `0000 ${(block.length / 2).toString(16).padStart(4, '0')} ${block} ${nlri}`);
}

function outcome(context: CodecContext, message: Uint8Array): string {
  const out = decodeUpdate(message, context);
  if (out.treatment !== 'reset') return out.treatment;
  const { code, subcode, data } = out.refusal.notification;
  return `reset ${code}/${subcode} ${toHex(data)}`.trim();
}

interface Case {
  readonly rule: string;
  readonly what: string;
  readonly octets: string;
  /** The type the octets stand for, which is left out of the sound rest. */
  readonly instead?: number;
  readonly ebgp: Treatment;
  readonly ibgp?: Treatment;
  readonly fourOctetAs?: false;
}

const CASES: readonly Case[] = [
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

describe('RFC 7606: what becomes of an UPDATE with a route', () => {
  for (const [kind, context] of [['external', EBGP] as const, ['internal', IBGP] as const]) {
    test.each(CASES)(`$rule: $what, from an ${kind} peer`, (c) => {
      const settled = { ...context, fourOctetAs: c.fourOctetAs ?? true };
      const message = update(settled, c.octets, c.instead === undefined ? [] : [c.instead]);
      const expected = context.ebgp ? c.ebgp : (c.ibgp ?? c.ebgp);
      expect(outcome(settled, message)).toBe(expected);
      const out = decodeUpdate(message, settled);
      if (out.treatment === 'reset') return;
      const { update: record } = out;
      // §2: with withdraw, the route is there as one that is withdrawn; else it is announced.
      const announced = expected === 'withdraw' ? [] : ['198.51.100.0/24'];
      expect(record.nlri.map((n) => formatPrefix(n.prefix))).toEqual(announced);
      expect(record.withdrawn.length).toBe(1 - announced.length);
      if (expected === 'discard') expect(out.faults.every((f) => f.treatment === 'discard')).toBe(true);
    });
  }

  it('§3(g): the first of two is kept', () => {
    const out = decodeUpdate(update(EBGP, '40 01 01 02'), EBGP);
    expect(out.treatment !== 'reset' && findValue(out.update.attributes, 'origin')?.origin).toBe('incomplete');
  });

  it('§2: routes of MP_REACH_NLRI are withdrawn as well', () => {
    const out = decodeUpdate(update(EBGP, `80 0e 1a 0002 01 10 ${v6} 00 20 20010db8 80 04 00`), EBGP);
    expect(out.treatment).toBe('withdraw');
    if (out.treatment === 'reset') return;
    const gone = findValue(out.update.attributes, 'mpUnreach')?.withdrawn.map((n) => formatPrefix(n.prefix));
    expect([gone, out.update.withdrawn.length, out.update.attributes.length]).toEqual([['2001:db8::/32'], 1, 1]);
  });
});

describe('RFC 7606 §4: attributes that do not fit', () => {
  test.each([
    { what: 'too long a value', tail: '80 04 05 00000001' },
    { what: 'two octets left', tail: '80 04' },
    { what: 'three octets left of a long one', tail: '90 04 00' },
  ])('$what: withdraw, with the prefixes behind Total Path Attribute Length', ({ tail }) => {
    const block = toHex(fromHex(`${SOUND[1]}${SOUND[2]}${SOUND[3]}${tail}`));
    const message = wire(MESSAGE.UPDATE, `0000 00${(block.length / 2).toString(16)} ${block} ${ROUTE}`);
    const out = decodeUpdate(message, EBGP);
    expect(out).toMatchObject({ treatment: 'withdraw', update: { nlri: [] } });
    expect(out.faults.length).toBe(1);
    expect(out.treatment !== 'reset' && out.update.withdrawn.map((n) => formatPrefix(n.prefix))).toEqual([
      '198.51.100.0/24',
    ]);
  });
});

describe('RFC 7606 §3(b), §3(g), §5.3, §7.11: what resets the session', () => {
  const mp = (attribute: string) => update(EBGP, attribute);
  const owed = (attribute: string) => `reset 3/9 ${toHex(fromHex(attribute))}`;
  const reach = `80 0e 1a 0002 01 10 ${v6} 00 20 20010db8`;
  const unreach = '80 0f 08 0002 01 20 20010db8';

  test.each([
    { what: 'withdrawn routes longer than the message', body: '0009 0000', expected: 'reset 3/1' },
    { what: 'attributes longer than the message', body: '0000 0001', expected: 'reset 3/1' },
    { what: 'a prefix of 33 bits', body: '0000 0000 21 0a00000000', expected: 'reset 3/10' },
    { what: 'a withdrawn prefix of 33 bits', body: '0006 21 0a00000000 0000', expected: 'reset 3/10' },
    { what: 'a prefix that does not fit', body: '0000 0000 18 0a00', expected: 'reset 3/10' },
    { what: 'a withdrawn prefix that does not fit', body: '0003 18 0a00 0000', expected: 'reset 3/10' },
  ])('$what', ({ body, expected }) => {
    expect(outcome(EBGP, wire(MESSAGE.UPDATE, body))).toBe(expected);
  });

  it('MP_REACH_NLRI or MP_UNREACH_NLRI twice: 3/1', () => {
    expect(outcome(EBGP, mp(reach + reach))).toBe('reset 3/1');
    expect(outcome(EBGP, mp(unreach + unreach))).toBe('reset 3/1');
    expect(outcome(EBGP, mp(reach + unreach))).toBe('none');
  });

  test.each([
    { what: 'a transitive MP_REACH_NLRI', octets: reach.replace('80', 'c0') },
    { what: 'a well-known MP_UNREACH_NLRI', octets: unreach.replace('80', '00') },
    { what: 'MP_REACH_NLRI of four octets', octets: '80 0e 04 00020110' },
    { what: 'MP_UNREACH_NLRI of two octets', octets: '80 0f 02 0002' },
    { what: 'an IPv6 next hop of four octets', octets: '80 0e 09 0002 01 04 c0000201 00' },
    { what: 'an IPv6 next hop of 24 octets', octets: `80 0e 1d 0002 01 18 ${v6}0000000000000000 00` },
    { what: 'an IPv4 next hop of sixteen, which RFC 8950 needs', octets: `80 0e 17 0001 01 10 ${v6} 00 08 0a` },
    { what: 'an EVPN next hop of five octets', octets: '80 0e 0a 0019 46 05 c000020100 00' },
    { what: 'a next hop behind the end', octets: `80 0e 15 0002 01 11 ${v6} 00` },
    { what: 'an IPv6 prefix of 129 bits', octets: `80 0e 16 0002 01 10 ${v6} 00 81` },
    { what: 'an IPv6 prefix that does not fit', octets: `80 0e 19 0002 01 10 ${v6} 00 20 20010d` },
    { what: 'a withdrawn IPv6 prefix of 129 bits', octets: '80 0f 04 0002 01 81' },
  ])('$what: 3/9 with the attribute', ({ octets }) => {
    expect(outcome(EBGP, mp(octets))).toBe(owed(octets));
    expect(outcome(IBGP, update(IBGP, octets))).toBe(owed(octets));
  });

  it('RFC 8950 §4: is no next hop of sixteen octets where it was settled', () => {
    const settled = { ...EBGP, extendedNextHop: [IPV4_UNICAST] };
    expect(outcome(settled, mp(`80 0e 17 0001 01 10 ${v6} 00 08 0a`))).toBe('none');
  });
});

describe('RFC 7606 §5.2: attributes without routes', () => {
  const none = (attributes: string, withdrawn = '0000') => {
    const block = toHex(fromHex(attributes));
    return wire(MESSAGE.UPDATE, `${withdrawn} 00${(block.length / 2).toString(16).padStart(2, '0')} ${block}`);
  };

  test.each([
    { what: 'an error that discards: still discard', message: none('40 06 01 00'), expected: 'discard' },
    {
      what: 'an error that withdraws: reset with its own answer',
      message: none('80 04 03 000001'),
      expected: 'reset 3/5 800403000001',
    },
    { what: 'flags', message: none('c0 01 01 00'), expected: 'reset 3/4 c0010100' },
    { what: 'an undefined ORIGIN', message: none('40 01 01 03'), expected: 'reset 3/6 40010103' },
    { what: 'a malformed path', message: none('40 02 01 02'), expected: 'reset 3/11' },
    { what: 'an unknown well-known one', message: none('40 63 00'), expected: 'reset 3/2 406300' },
    { what: 'an overrun', message: none('40 01 02 00'), expected: 'reset 3/1' },
    { what: 'an error beside withdrawn routes', message: none('80 04 00', '0002 08 0a'), expected: 'reset 3/5 800400' },
    {
      what: 'an error beside MP_UNREACH_NLRI',
      message: none('80 0f 05 0002 01 08 20 80 04 00'),
      expected: 'reset 3/5 800400',
    },
    {
      what: 'an error beside MP_REACH_NLRI without prefixes',
      message: none(`80 0e 15 0002 01 10 ${v6} 00 80 04 00`),
      expected: 'reset 3/5 800400',
    },
    {
      what: 'nothing wrong and nothing there that a route needs',
      message: none('80 04 04 00000001'),
      expected: 'none',
    },
  ])('$what', ({ message, expected }) => {
    expect(outcome(EBGP, message)).toBe(expected);
  });

  it('with routes of MP_REACH_NLRI it is a withdraw, and NEXT_HOP is neither needed nor looked at', () => {
    const reach = `80 0e 1a 0002 01 10 ${v6} 00 20 20010db8`;
    const rest = `${SOUND[1]}${SOUND[2]}`;
    expect(outcome(EBGP, none(`${reach}${rest}`))).toBe('none');
    expect(outcome(EBGP, none(`${reach}${rest}40 03 04 00000000`))).toBe('none');
    expect(outcome(EBGP, none(`${reach}${rest}80 04 00`))).toBe('withdraw');
    expect(outcome(EBGP, none(reach))).toBe('withdraw');
  });
});

describe('the treatment of a block that was decoded once', () => {
  const context = EBGP;
  const treated = (message: Uint8Array) => {
    const view = newUpdateView();
    const fault = checkUpdate(view, viewUpdate(view, message, 0), message, context);
    const block = decodeAttributes(message, context, view.attributesAt, view.attributesEnd);
    return treatUpdate(view, message, fault, block);
  };

  it('is the same value, made once, for everything that is sound', () => {
    const a = treated(update(EBGP, ''));
    expect(a).toBe(treated(update(EBGP, '80 04 04 00000001')));
    expect(a).toEqual({ treatment: 'none', faults: [], notification: undefined });
  });

  it('RFC 7606 §6: names all faults, and the strongest decides the answer', () => {
    const out = treated(update(EBGP, '40 06 01 00 80 04 00 40 05 04 00000064', [1]));
    expect(out.treatment).toBe('withdraw');
    expect(out.notification).toBeUndefined();
    expect(out.faults.map((f) => f.why)).toEqual([
      'ATOMIC_AGGREGATE: 1 octets where there are none',
      'MULTI_EXIT_DISC: 0 octets where there are 4',
      'LOCAL_PREF: from an external peer',
      'ORIGIN: missing',
    ]);
  });

  it('keeps few of very many faults, and the strongest among them', () => {
    const block = fromHex(`${'4006 00'.repeat(1000)} 8004 00`);
    const out = decodeAttributes(block, context);
    expect([out.treatment, out.faults.length, out.faults.at(-1)?.type]).toEqual(['withdraw', MAXIMUM_FAULTS, 4]);
    expect(treatUpdate(newUpdateView(), block, undefined, out)).toMatchObject({
      treatment: 'reset',
      notification: { code: 3, subcode: 5 },
    });
  });

  it('of a message that is lost is what the message says, without a block', () => {
    const message = wire(MESSAGE.UPDATE, '0000 0001');
    const view = newUpdateView();
    const fault = checkUpdate(view, viewUpdate(view, message, 0), message, context);
    expect(treatUpdate(view, message, fault, undefined)).toMatchObject({
      treatment: 'reset',
      notification: { code: 3, subcode: 1 },
    });
  });
});

describe('RFC 4724 §2: End-of-RIB', () => {
  test.each([
    { what: 'IPv4: nothing at all', body: '0000 0000', family: IPV4_UNICAST },
    { what: 'IPv6: only an empty MP_UNREACH_NLRI', body: '0000 0006 800f 03 000201', family: IPV6_UNICAST },
    { what: 'the same with a long length', body: '0000 0007 900f 0003 000201', family: IPV6_UNICAST },
    { what: 'no: a prefix', body: '0000 0008 800f 05 000201 08 20', family: undefined },
    { what: 'no: another attribute', body: '0000 000a 800f 03 000201 40010100', family: undefined },
    { what: 'no: a withdrawn route', body: '0002 08 0a 0000', family: undefined },
  ])('$what', ({ body, family }) => {
    const message = wire(MESSAGE.UPDATE, body);
    const view = newUpdateView();
    viewUpdate(view, message, 0);
    expect(endOfRib(view, message)).toBe(family);
  });
});
