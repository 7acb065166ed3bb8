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
  treatUpdate,
  viewUpdate,
} from '../../../src/bgp/index.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { formatPrefix } from '../../../src/ip/index.ts';
import { EBGP, IBGP } from './contexts.ts';
import { CASES, ROUTE, SOUND, update, v6 } from './malformed.ts';
import { wire } from './octets.ts';

function outcome(context: CodecContext, message: Uint8Array): string {
  const out = decodeUpdate(message, context);
  if (out.treatment !== 'reset') return out.treatment;
  const { code, subcode, data } = out.refusal.notification;
  return `reset ${code}/${subcode} ${toHex(data)}`.trim();
}

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
      what: 'RFC 4760 §3: MP_REACH_NLRI without prefixes, ORIGIN and AS_PATH',
      message: none(`80 0e 15 0002 01 10 ${v6} 00`),
      expected: 'reset 3/3 01',
    },
    {
      what: 'RFC 4760 §3: MP_REACH_NLRI without prefixes and AS_PATH',
      message: none(`80 0e 15 0002 01 10 ${v6} 00 40 01 01 00`),
      expected: 'reset 3/3 02',
    },
    {
      what: 'MP_REACH_NLRI without prefixes, with what it asks for',
      message: none(`80 0e 15 0002 01 10 ${v6} 00 ${SOUND[1]}${SOUND[2]}`),
      expected: 'none',
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
