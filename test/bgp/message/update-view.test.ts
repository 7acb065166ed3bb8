import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  attributeFlags,
  attributeLength,
  attributeType,
  attributeValueAt,
  copyBlock,
  copyNlri,
  countNlri,
  findAttribute,
  IPV6_UNICAST,
  MESSAGE,
  messageLength,
  mpFamily,
  mpNextHopAt,
  mpNextHopLength,
  mpReachFits,
  mpReachNlriAt,
  mpUnreachFits,
  mpUnreachNlriAt,
  newUpdateView,
  nextAttribute,
  nextNlri,
  nlriIpv4,
  nlriLength,
  VIEW,
  viewAttributes,
  viewUpdate,
} from '../../../src/bgp/index.ts';
import { type Bytes, concat, fromHex, toHex } from '../../../src/core/index.ts';
import { formatAddress, ipv4Octets } from '../../../src/ip/index.ts';
import { FEED, feed } from './feed.ts';
import { wire } from './octets.ts';

const ORIGIN = '40010100';
const AS_PATH = '4002 06 0201 0000fde9';
const NEXT_HOP = '400304 c0000201';
const REACH = '800e 1a 0002 01 10 20010db8000000000000000000000001 00 20 20010db8';
const UNREACH = '800f 08 0002 01 20 20010db9';

/** The octets of an UPDATE with a few in front and behind, so that offsets are not from zero. */
function viewed(body: string) {
  const b = concat(fromHex('aabbcc'), wire(MESSAGE.UPDATE, body), fromHex('dd'.repeat(40)));
  const view = newUpdateView();
  return { b, view, found: viewUpdate(view, b, 3) };
}
const attributes = (hex: string): string => {
  const octets = fromHex(hex);
  return `0000 ${octets.length.toString(16).padStart(4, '0')} ${toHex(octets)}`;
};

describe('RFC 4271 §4.3: the sections of an UPDATE', () => {
  it('are where their lengths say', () => {
    const { b, view, found } = viewed(`0004 18 0a0102  000e ${ORIGIN} 4002 00 ${NEXT_HOP}  10 c633 08 0a`);
    expect(found).toBe(VIEW.sound);
    expect(toHex(b.subarray(view.withdrawnAt, view.withdrawnEnd))).toBe('180a0102');
    expect(toHex(b.subarray(view.attributesAt, view.attributesEnd))).toBe('40010100400200400304c0000201');
    expect(toHex(b.subarray(view.nlriAt, view.nlriEnd))).toBe('10c633080a');
    expect(view).toMatchObject({ mpReach: -1, mpUnreach: -1, count: 3 });
  });

  it('are all empty in the smallest (RFC 4724 §2: End-of-RIB)', () => {
    const { view, found } = viewed('0000 0000');
    expect(found).toBe(VIEW.sound);
    expect([view.withdrawnEnd - view.withdrawnAt, view.count, view.nlriEnd - view.nlriAt]).toEqual([0, 0, 0]);
  });

  test.each([
    { what: 'the withdrawn routes', body: '0001 0000' },
    { what: 'the attributes', body: '0000 0001' },
    { what: 'both, with a length of 65,535', body: 'ffff ffff' },
    { what: 'the attributes by one behind withdrawn routes', body: '0001 00 0002 40' },
  ])('RFC 7606 §3(b): do not fit for $what', ({ body }) => {
    expect(viewed(body).found).toBe(VIEW.sections);
  });
});

describe('RFC 7606 §4: the walk over attributes', () => {
  it('takes lengths of one octet and of two', () => {
    const { b, view, found } = viewed(attributes(`${ORIGIN} 5002 0006 0201 0000fde9 c008 04 ffffff01`));
    expect(found).toBe(VIEW.sound);
    const seen: unknown[] = [];
    for (let a = view.attributesAt; a < view.attributesEnd; a = nextAttribute(b, a)) {
      const at = attributeValueAt(b, a);
      seen.push([attributeFlags(b, a), attributeType(b, a), toHex(b.subarray(at, at + attributeLength(b, a)))]);
    }
    expect(seen).toEqual([
      [0x40, 1, '00'],
      [0x50, 2, '02010000fde9'],
      [0xc0, 8, 'ffffff01'],
    ]);
    expect(findAttribute(b, view.attributesAt, view.attributesEnd, 8)).toBe(view.attributesEnd - 7);
    expect(findAttribute(b, view.attributesAt, view.attributesEnd, 9)).toBe(-1);
  });

  test.each([
    { what: 'one octet', rest: '40' },
    { what: 'two octets', rest: '4002' },
    { what: 'three with a long length', rest: '500200' },
    { what: 'a value that reaches one octet too far', rest: '40020602010000fd' },
    { what: 'a long value that reaches too far', rest: '500200ff0201' },
  ])('ends with overrun at $what, and the prefixes are still found', ({ rest }) => {
    const body = `${attributes(ORIGIN + rest)} 08 0a`;
    const { b, view, found } = viewed(body);
    expect(found).toBe(VIEW.overrun);
    expect(view.count).toBe(1);
    expect(toHex(b.subarray(view.nlriAt, view.nlriEnd))).toBe('080a');
  });

  it('§3(g): knows MP_REACH_NLRI and MP_UNREACH_NLRI that come twice', () => {
    expect(viewed(attributes(REACH + ORIGIN + REACH)).found).toBe(VIEW.repeated);
    expect(viewed(attributes(UNREACH + UNREACH)).found).toBe(VIEW.repeated);
    expect(viewed(attributes(`${UNREACH + UNREACH}40`)).found).toBe(VIEW.repeated);
    expect(viewed(attributes(ORIGIN + ORIGIN + REACH + UNREACH)).found).toBe(VIEW.sound);
  });

  it('ends and stays in bounds whatever the octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 120 }), (body) => {
        const { b, view, found } = viewed(toHex(body));
        if (found === VIEW.sections) return;
        const end = 3 + messageLength(b, 3);
        expect(view.nlriEnd).toBe(end);
        expect(view.attributesEnd).toBeLessThanOrEqual(end);
        if (found !== VIEW.sound) return;
        let a = view.attributesAt;
        while (a < view.attributesEnd) a = nextAttribute(b, a);
        expect(a).toBe(view.attributesEnd);
      }),
    );
  });
});

describe('RFC 4760 §3, §4: MP_REACH_NLRI and MP_UNREACH_NLRI', () => {
  it('have family, next hop and prefixes', () => {
    const { b, view } = viewed(attributes(`${ORIGIN} ${REACH} ${UNREACH}`));
    expect(mpReachFits(b, view.mpReach) && mpUnreachFits(b, view.mpUnreach)).toBe(true);
    expect([mpFamily(b, view.mpReach), mpFamily(b, view.mpUnreach)]).toEqual([IPV6_UNICAST, IPV6_UNICAST]);
    const hop = mpNextHopAt(b, view.mpReach);
    expect(formatAddress(b.slice(hop, hop + mpNextHopLength(b, view.mpReach)))).toBe('2001:db8::1');
    expect(toHex(b.subarray(mpReachNlriAt(b, view.mpReach), nextAttribute(b, view.mpReach)))).toBe('2020010db8');
    expect(toHex(b.subarray(mpUnreachNlriAt(b, view.mpUnreach), nextAttribute(b, view.mpUnreach)))).toBe('2020010db9');
  });

  test.each([
    { what: 'four octets', attribute: '800e 04 00020100', fits: false },
    { what: 'no next hop', attribute: '800e 05 0002010000', fits: true },
    { what: 'no reserved octet', attribute: '800e 08 000201 04 c0000201', fits: false },
    { what: 'a next hop behind the end', attribute: '800e 09 000201 10 c000020100', fits: false },
  ])('RFC 7606 §5.3: MP_REACH_NLRI with $what: $fits', ({ attribute, fits }) => {
    const { b, view } = viewed(attributes(attribute));
    expect(mpReachFits(b, view.mpReach)).toBe(fits);
  });

  it('RFC 7606 §5.3: MP_UNREACH_NLRI has three octets at least', () => {
    const short = viewed(attributes('800f 02 0002'));
    expect(mpUnreachFits(short.b, short.view.mpUnreach)).toBe(false);
    const empty = viewed(attributes('900f 0003 000201'));
    expect(mpUnreachFits(empty.b, empty.view.mpUnreach)).toBe(true);
  });
});

describe('a block of attributes for all messages that differ in prefixes', () => {
  const block = (hex: string, reach: boolean): string => {
    const { b, view } = viewed(attributes(hex));
    const target = new Uint8Array(view.attributesEnd - view.attributesAt);
    return toHex(target.subarray(0, copyBlock(view, b, target, 0, reach)));
  };
  const REDUCED = '800e150002011020010db800000000000000000000000100';
  const plain = toHex(fromHex(ORIGIN + AS_PATH));

  test.each([
    { what: 'first', hex: `${REACH} ${ORIGIN} ${AS_PATH}` },
    { what: 'in the middle', hex: `${ORIGIN} ${REACH} ${AS_PATH}` },
    { what: 'last, behind MP_UNREACH_NLRI', hex: `${ORIGIN} ${UNREACH} ${AS_PATH} ${REACH}` },
    { what: 'first, in front of MP_UNREACH_NLRI', hex: `${REACH} ${UNREACH} ${ORIGIN} ${AS_PATH}` },
    {
      what: 'long',
      hex: `${ORIGIN} 900e 001a 0002 01 10 20010db8000000000000000000000001 00 20 20010dbb ${AS_PATH}`,
    },
  ])('begins with family and next hop where MP_REACH_NLRI is $what', ({ hex }) => {
    expect(block(hex, true)).toBe(REDUCED + plain);
    expect(block(hex, false)).toBe(plain);
  });

  it('is what came where neither is there', () => {
    expect(block(ORIGIN + AS_PATH, true)).toBe(plain);
  });

  it('keeps a next hop of 255 octets', () => {
    const hex = `900e 0109 000201 ff ${'01'.repeat(255)} 00 20 20010db8`;
    expect(block(hex, true)).toBe(toHex(fromHex(`900e 0104 000201 ff ${'01'.repeat(255)} 00`)));
  });
});

describe('RFC 4271 §4.3: prefixes', () => {
  const text = (b: Bytes, p: number) => `${formatAddress(ipv4Octets(nlriIpv4(b, p)))}/${nlriLength(b, p)}`;
  const all = (hex: string): string[] => {
    const b = fromHex(hex);
    const out: string[] = [];
    for (let p = 0; p < b.length; p = nextNlri(b, p)) out.push(text(b, p));
    return out;
  };

  it('have as many octets as their bits need', () => {
    expect(all('00 08 0a 09 0a80 10 c633 17 c63364 18 c63364 19 c6336480 20 c6336401')).toEqual([
      '0.0.0.0/0',
      '10.0.0.0/8',
      '10.128.0.0/9',
      '198.51.0.0/16',
      '198.51.100.0/23',
      '198.51.100.0/24',
      '198.51.100.128/25',
      '198.51.100.1/32',
    ]);
  });

  it('have no bits behind their length, whatever came', () => {
    expect(all('01 ff 09 0aff 17 c633ff 1f c63364ff')).toEqual([
      '128.0.0.0/1',
      '10.128.0.0/9',
      '198.51.254.0/23',
      '198.51.100.254/31',
    ]);
    const target = new Uint8Array(16).fill(0xee);
    copyNlri(fromHex('21 20010db8ff'), 0, target, 0, 16);
    expect(formatAddress(target)).toBe('2001:db8:8000::');
    copyNlri(fromHex('00'), 0, target, 0, 16);
    expect(formatAddress(target)).toBe('::');
  });

  test.each([
    { what: 'none', hex: '', bits: 32, pathIds: false, count: 0 },
    { what: 'three', hex: '00 08 0a 20 c6336401', bits: 32, pathIds: false, count: 3 },
    { what: 'a length of 33', hex: '08 0a 21 c633640100', bits: 32, pathIds: false, count: -1 },
    { what: 'a length of 128 for IPv6', hex: `80 ${'20'.repeat(16)}`, bits: 128, pathIds: false, count: 1 },
    { what: 'a length of 129', hex: `81 ${'20'.repeat(17)}`, bits: 128, pathIds: false, count: -1 },
    { what: 'one octet too few', hex: '08 0a 18 c633', bits: 32, pathIds: false, count: -1 },
    {
      what: 'RFC 7911 §3: with path identifiers',
      hex: '00000001 08 0a 00000002 08 0a',
      bits: 32,
      pathIds: true,
      count: 2,
    },
    { what: 'a path identifier without a prefix', hex: '00000001 08 0a 00000002', bits: 32, pathIds: true, count: -1 },
    { what: 'half a path identifier', hex: '0000', bits: 32, pathIds: true, count: -1 },
  ])('RFC 7606 §5.3: $what count $count', ({ hex, bits, pathIds, count }) => {
    const b = fromHex(hex);
    expect(countNlri(concat(b, fromHex('0000')), 0, b.length, bits, pathIds)).toBe(count);
  });
});

describe('a full feed', () => {
  it('is walked whole: every message sound, every prefix counted, every block seen', () => {
    const b = feed();
    const view = newUpdateView();
    const blocks = new Set<string>();
    let [messages, prefixes, addresses] = [0, 0, 0];
    for (let o = 0; o < b.length; o += messageLength(b, o)) {
      expect(viewUpdate(view, b, o) === VIEW.sound && b[o + 18] === MESSAGE.UPDATE).toBe(true);
      messages += 1;
      prefixes += countNlri(b, view.nlriAt, view.nlriEnd, 32, false);
      for (let p = view.nlriAt; p < view.nlriEnd; p = nextNlri(b, p)) if (nlriIpv4(b, p) !== 0) addresses += 1;
      if (view.count > 0) blocks.add(String.fromCharCode(...b.subarray(view.attributesAt, view.attributesEnd)));
    }
    expect(b.length).toBe(FEED.octets);
    expect({ messages, prefixes, attributeSets: blocks.size }).toEqual({
      messages: FEED.messages,
      prefixes: FEED.prefixes,
      attributeSets: FEED.attributeSets,
    });
    // One of them is the default route.
    expect(addresses).toBe(prefixes - 1);
  });
});

describe('attributes without a message', () => {
  it('are viewed as well', () => {
    const b = fromHex(ORIGIN + REACH);
    const view = newUpdateView();
    expect(viewAttributes(view, b, 0, b.length)).toBe(VIEW.sound);
    expect(view).toMatchObject({ mpReach: 4, mpUnreach: -1, count: 2 });
  });
});
