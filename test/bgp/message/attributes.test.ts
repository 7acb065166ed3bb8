import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  ATTRIBUTE,
  type AttributeValue,
  attributeLength,
  attributeOf,
  attributeValueAt,
  type CodecContext,
  copyBlock,
  decodeAttributes,
  decodeMessage,
  decodeUpdate,
  encodeAttributes,
  encodeMessage,
  encodeUpdate,
  findValue,
  flagsPassedOn,
  IPV4_UNICAST,
  IPV6_UNICAST,
  inOrderOfSending,
  L2VPN_EVPN,
  MESSAGE,
  messageLength,
  newUpdateView,
  nextAttribute,
  type PathAttribute,
  type UpdateMessage,
  viewUpdate,
} from '../../../src/bgp/index.ts';
import { type Bytes, concat, EMPTY, fromHex, sameBytes, toHex } from '../../../src/core/index.ts';
import { parseAddress, parsePrefix } from '../../../src/ip/index.ts';
import { attributeList, updateMessage } from './arbitraries.ts';
import { EBGP, IBGP } from './contexts.ts';
import { FEED, feed } from './feed.ts';
import { wire } from './octets.ts';

const address = (text: string) => parseAddress(text)!;
const prefix = (text: string) => ({ prefix: parsePrefix(text)! });
const v6 = '20010db8000000000000000000000001';

interface Case {
  readonly rfc: string;
  readonly octets: string;
  readonly flags?: number;
  readonly value: AttributeValue;
  readonly context?: Partial<CodecContext>;
}

const CASES: readonly Case[] = [
  { rfc: 'RFC 4271 §5.1.1', octets: '40 01 01 00', value: { name: 'origin', origin: 'igp' } },
  { rfc: 'RFC 4271 §5.1.1', octets: '40 01 01 02', value: { name: 'origin', origin: 'incomplete' } },
  {
    rfc: 'RFC 4271 §5.1.2, RFC 6793 §3',
    octets: '40 02 10 02 02 0000fde9 fa56ea01 01 01 0000fdea',
    value: {
      name: 'asPath',
      segments: [
        { type: 'sequence', asns: [65001, 4200000001] },
        { type: 'set', asns: [65002] },
      ],
    },
  },
  {
    rfc: 'RFC 4271 §4.3 with two octets',
    octets: '40 02 06 02 02 fde9 5ba0',
    value: { name: 'asPath', segments: [{ type: 'sequence', asns: [65001, 23456] }] },
    context: { fourOctetAs: false },
  },
  {
    rfc: 'RFC 5065 §3',
    octets: '40 02 0c 03 01 0000fde9 04 01 0000fdea',
    value: {
      name: 'asPath',
      segments: [
        { type: 'confedSequence', asns: [65001] },
        { type: 'confedSet', asns: [65002] },
      ],
    },
  },
  { rfc: 'RFC 4271 §5.1.2: none', octets: '40 02 00', value: { name: 'asPath', segments: [] } },
  { rfc: 'RFC 4271 §5.1.3', octets: '40 03 04 c0000201', value: { name: 'nextHop', address: address('192.0.2.1') } },
  { rfc: 'RFC 4271 §5.1.4', octets: '80 04 04 ffffffff', value: { name: 'med', med: 0xffffffff } },
  { rfc: 'RFC 4271 §5.1.5', octets: '40 05 04 00000064', value: { name: 'localPreference', preference: 100 } },
  { rfc: 'RFC 4271 §5.1.6', octets: '40 06 00', value: { name: 'atomicAggregate' } },
  {
    rfc: 'RFC 4271 §5.1.7, RFC 6793 §3',
    octets: 'c0 07 08 fa56ea01 c0000201',
    value: { name: 'aggregator', asn: 4200000001, address: address('192.0.2.1') },
  },
  {
    rfc: 'RFC 4271 §5.1.7 with two octets',
    octets: 'c0 07 06 fde9 c0000201',
    value: { name: 'aggregator', asn: 65001, address: address('192.0.2.1') },
    context: { fourOctetAs: false },
  },
  {
    rfc: 'RFC 1997',
    octets: 'c0 08 08 fde90001 ffffff01',
    value: { name: 'communities', communities: [0xfde90001, 0xffffff01] },
  },
  { rfc: 'RFC 4456 §8', octets: '80 09 04 c0000202', value: { name: 'originatorId', identifier: 0xc0000202 } },
  {
    rfc: 'RFC 4456 §8',
    octets: '80 0a 08 c0000202 c0000203',
    value: { name: 'clusterList', identifiers: [0xc0000202, 0xc0000203] },
  },
  {
    rfc: 'RFC 4760 §3, RFC 2545 §3',
    octets: `80 0e 2b 0002 01 20 ${v6} fe800000000000000000000000000001 00 20 20010db8 00`,
    value: {
      name: 'mpReach',
      family: IPV6_UNICAST,
      nextHops: [address('2001:db8::1'), address('fe80::1')],
      nlri: [prefix('2001:db8::/32'), prefix('::/0')],
    },
  },
  {
    rfc: 'RFC 8950 §3',
    octets: `80 0e 17 0001 01 10 ${v6} 00 08 0a`,
    value: { name: 'mpReach', family: IPV4_UNICAST, nextHops: [address('2001:db8::1')], nlri: [prefix('10.0.0.0/8')] },
    context: { extendedNextHop: [IPV4_UNICAST] },
  },
  {
    rfc: 'RFC 7911 §3',
    octets: `80 0e 1e 0002 01 10 ${v6} 00 00000007 20 20010db8`,
    value: {
      name: 'mpReach',
      family: IPV6_UNICAST,
      nextHops: [address('2001:db8::1')],
      nlri: [{ ...prefix('2001:db8::/32'), pathId: 7 }],
    },
    context: { addPath: [IPV6_UNICAST] },
  },
  {
    rfc: 'RFC 4760 §4',
    octets: '80 0f 08 0002 01 20 20010db8',
    value: { name: 'mpUnreach', family: IPV6_UNICAST, withdrawn: [prefix('2001:db8::/32')] },
  },
  {
    rfc: 'RFC 4724 §2: End-of-RIB',
    octets: '80 0f 03 0002 01',
    value: { name: 'mpUnreach', family: IPV6_UNICAST, withdrawn: [] },
  },
  {
    rfc: 'RFC 7432 §7: NLRI that are not prefixes',
    octets: '80 0e 0d 0019 46 04 c0000201 00 fe02 0102',
    value: { name: 'mpReachOctets', family: L2VPN_EVPN, nextHop: fromHex('c0000201'), nlri: fromHex('fe020102') },
  },
  {
    rfc: 'RFC 4360 §2',
    octets: 'c0 10 08 0002fde900000064',
    value: { name: 'extendedCommunities', communities: [fromHex('0002fde900000064')] },
  },
  {
    rfc: 'RFC 6793 §3',
    octets: 'c0 11 06 02 01 fa56ea01',
    value: { name: 'as4Path', segments: [{ type: 'sequence', asns: [4200000001] }] },
    context: { fourOctetAs: false },
  },
  {
    rfc: 'RFC 6793 §3',
    octets: 'c0 12 08 fa56ea01 c0000201',
    value: { name: 'as4Aggregator', asn: 4200000001, address: address('192.0.2.1') },
    context: { fourOctetAs: false },
  },
  {
    rfc: 'RFC 8092 §3',
    octets: 'c0 20 0c fa56ea01 00000001 00000002',
    value: { name: 'largeCommunities', communities: [{ global: 4200000001, local1: 1, local2: 2 }] },
  },
  { rfc: 'RFC 9234 §5', octets: 'c0 23 04 0000fde9', value: { name: 'onlyToCustomer', asn: 65001 } },
  { rfc: 'RFC 4271 §5: unknown', octets: 'e0 63 02 0102', value: { name: 'unknown', value: fromHex('0102') } },
];

describe('attributes on the wire', () => {
  test.each(CASES)('$rfc: $value.name is $octets', ({ octets, value, context }) => {
    const b = fromHex(octets);
    const settled = { ...IBGP, ...context };
    const expected: PathAttribute = { flags: b[0]!, type: b[1]!, value };
    const out = decodeAttributes(b, settled);
    expect(out.attributes).toEqual([expected]);
    expect(out.treatment).toBe('none');
    expect(toHex(encodeAttributes([expected], settled))).toBe(toHex(b));
    if (value.name !== 'unknown') expect(attributeOf(value)).toEqual(expected);
  });

  it('RFC 4271 §4.3: have a length of two octets only where one does not do', () => {
    const communities = (n: number) => attributeOf({ name: 'communities', communities: new Array<number>(n).fill(7) });
    expect(toHex(encodeAttributes([communities(63)], EBGP).subarray(0, 4))).toBe('c008fc00');
    expect(toHex(encodeAttributes([communities(64)], EBGP).subarray(0, 4))).toBe('d0080100');
    const long = decodeAttributes(fromHex('5001 0001 00'), EBGP);
    expect(long.attributes).toEqual([{ flags: 0x50, type: 1, value: { name: 'origin', origin: 'igp' } }]);
    expect(toHex(encodeAttributes(long.attributes, EBGP))).toBe('40010100');
  });

  it('RFC 4271 §5.1.2: more than 255 numbers are more than one segment', () => {
    const asns = Array.from({ length: 300 }, (_, i) => i + 1);
    const path = attributeOf({ name: 'asPath', segments: [{ type: 'sequence', asns }] });
    const back = findValue(decodeAttributes(encodeAttributes([path], EBGP), EBGP).attributes, 'asPath');
    expect(back?.segments.map((s) => s.asns.length)).toEqual([255, 45]);
    expect(back?.segments.flatMap((s) => s.asns)).toEqual(asns);
  });

  it('RFC 8092 §3: a large community that comes twice is there once', () => {
    const one = '0000fde9 00000001 00000002';
    const out = decodeAttributes(fromHex(`c0 20 24 ${one} ${one} 0000fde9 00000001 00000003`), EBGP);
    expect(findValue(out.attributes, 'largeCommunities')?.communities.length).toBe(2);
    expect(out.faults).toEqual([]);
  });

  it('RFC 4760 §7: of a family the session does not have are left out', () => {
    const settled = { ...EBGP, families: [IPV4_UNICAST] };
    const out = decodeAttributes(fromHex(`40 01 01 00 80 0e 16 0002 01 10 ${v6} 00 ff`), settled);
    expect(out.attributes.map((a) => a.type)).toEqual([ATTRIBUTE.ORIGIN]);
    expect(out.faults.map((f) => [f.type, f.treatment])).toEqual([[ATTRIBUTE.MP_REACH_NLRI, 'discard']]);
  });
});

describe('RFC 4271 §5: attributes nobody recognized', () => {
  test.each([
    { what: 'optional transitive, with Partial', type: 99, flags: 0xc0, passedOn: 0xe0 },
    { what: 'optional transitive and partial already', type: 99, flags: 0xe0, passedOn: 0xe0 },
    { what: 'optional non-transitive, not at all', type: 99, flags: 0x80, passedOn: undefined },
    { what: 'well-known, not at all', type: 99, flags: 0x40, passedOn: undefined },
    { what: 'well-known, without Partial (§4.3)', type: ATTRIBUTE.ORIGIN, flags: 0x60, passedOn: 0x40 },
    { what: 'optional non-transitive, without Partial', type: ATTRIBUTE.MULTI_EXIT_DISC, flags: 0xa0, passedOn: 0x80 },
    { what: 'recognized, as they came', type: ATTRIBUTE.COMMUNITIES, flags: 0xc0, passedOn: 0xc0 },
  ])('are passed on: $what', ({ type, flags, passedOn }) => {
    expect(flagsPassedOn(type, flags)).toBe(passedOn);
  });
});

describe('RFC 7606 §5.1: the order to send in', () => {
  it('has MP_REACH_NLRI and MP_UNREACH_NLRI first, the rest by type', () => {
    const of = (type: number): PathAttribute => ({ flags: 0xc0, type, value: { name: 'unknown', value: EMPTY } });
    expect(inOrderOfSending([8, 1, 14, 40, 2].map(of)).map((a) => a.type)).toEqual([14, 1, 2, 8, 40]);
    expect(inOrderOfSending([8, 15, 14].map(of)).map((a) => a.type)).toEqual([14, 15, 8]);
  });
});

describe('RFC 4271 §4.3: UPDATE', () => {
  const update: UpdateMessage = {
    kind: 'update',
    withdrawn: [prefix('10.1.0.0/16')],
    attributes: [
      attributeOf({ name: 'origin', origin: 'igp' }),
      attributeOf({ name: 'asPath', segments: [{ type: 'sequence', asns: [65001] }] }),
      attributeOf({ name: 'nextHop', address: address('192.0.2.1') }),
    ],
    nlri: [prefix('198.51.100.0/23'), prefix('0.0.0.0/0')],
  };
  const octets = wire(MESSAGE.UPDATE, '0003 10 0a01 0014 40010100 4002 06 0201 0000fde9 400304 c0000201 17 c63364 00');

  it('has three sections', () => {
    expect(toHex(encodeUpdate(update, EBGP))).toBe(toHex(octets));
    expect(decodeUpdate(octets, EBGP)).toEqual({ treatment: 'none', update, faults: [] });
    expect(decodeMessage(octets, EBGP)).toEqual({ ok: true, value: update });
  });

  it('RFC 7911 §3: has path identifiers where they were settled', () => {
    const settled = { ...EBGP, addPath: [IPV4_UNICAST] };
    const withIds: UpdateMessage = {
      ...update,
      withdrawn: [{ ...prefix('10.0.0.0/8'), pathId: 1 }],
      nlri: [{ ...prefix('10.0.0.0/8'), pathId: 0xffffffff }],
    };
    const encoded = encodeUpdate(withIds, settled);
    expect(toHex(encoded.subarray(19, 27))).toBe('000600000001080a');
    expect(toHex(encoded.subarray(-6))).toBe('ffffffff080a');
    expect(decodeUpdate(encoded, settled)).toMatchObject({ treatment: 'none', update: withIds });
  });

  it('has no bits behind the length of a prefix, in either direction', () => {
    const dirty = { address: address('198.51.101.255'), length: 23 };
    const encoded = encodeUpdate({ ...update, nlri: [{ prefix: dirty }] }, EBGP);
    expect(toHex(encoded.subarray(-4))).toBe('17c63364');
    const out = decodeUpdate(wire(MESSAGE.UPDATE, '0002 07 ff 0000'), EBGP);
    expect(out.treatment !== 'reset' && out.update.withdrawn).toEqual([prefix('254.0.0.0/7')]);
  });

  it('is what it was after encoding and decoding', () => {
    fc.assert(
      fc.property(fc.constantFrom(EBGP, IBGP), fc.boolean(), updateMessage, (base, fourOctetAs, message) => {
        const settled = { ...base, fourOctetAs, maximumLength: 65535 };
        const attributes = message.attributes.filter(({ value }) => suits(value, settled));
        const sent = { ...message, attributes };
        const out = decodeUpdate(encodeMessage(sent, settled), settled);
        expect(out).toMatchObject({ treatment: 'none', faults: [] });
        expect(out.treatment !== 'reset' && out.update).toEqual(sent);
      }),
      { numRuns: 300 },
    );
  });

  it('is decoded or refused, in the end and within its bounds, whatever the octets', () => {
    const body = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 100 }),
      fc.tuple(attributeList, fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 })).map(([list, flips]) => {
        const block = encodeAttributes(list, EBGP);
        const out = fromHex(`0000 ${block.length.toString(16).padStart(4, '0')} ${toHex(block)} 080a`);
        for (const [at, value] of flips) if (at < out.length) out[at] = value;
        return out;
      }),
    );
    fc.assert(
      fc.property(body, fc.constantFrom(EBGP, IBGP), fc.boolean(), (octetsOfBody, base, fourOctetAs) => {
        const settled = { ...base, fourOctetAs };
        const message = wire(MESSAGE.UPDATE, octetsOfBody);
        const out = decodeUpdate(message, settled);
        if (out.treatment === 'reset') expect(out.refusal.notification.code).toBe(3);
        else expect(encodeUpdate(out.update, { ...settled, maximumLength: 65535 }).length).toBeGreaterThanOrEqual(23);
        // Octets behind the message change nothing.
        const apart = new Uint8Array(message.length + 50).fill(0x41);
        apart.set(message);
        expect(decodeUpdate(apart, settled)).toEqual(out);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a full feed', () => {
  it('is encoded to what it came in, in the shortest form, but for what RFC 7607 §2 discards', () => {
    const b = feed();
    const faults = new Map<string, number>();
    let [messages, prefixes, same] = [0, 0, 0];
    for (let o = 0; o < b.length; messages++) {
      const message = b.subarray(o, o + messageLength(b, o));
      const out = decodeUpdate(message, EBGP);
      if (out.treatment === 'reset') throw new Error(`message ${messages}: ${out.refusal.why}`);
      for (const { why, treatment } of out.faults) {
        faults.set(`${treatment}: ${why}`, (faults.get(`${treatment}: ${why}`) ?? 0) + 1);
      }
      prefixes += out.update.nlri.length;
      if (sameBytes(encodeUpdate(out.update, EBGP), shortest(message))) same += 1;
      o += message.length;
    }
    expect({ messages, prefixes }).toEqual({ messages: FEED.messages, prefixes: FEED.prefixes });
    expect([...faults]).toEqual([['discard: AGGREGATOR: AS number 0', ZERO_AGGREGATORS]]);
    expect(same).toBe(FEED.messages - ZERO_AGGREGATORS);
  });
});

/** The same UPDATE with attribute lengths of one octet where they do; the feed has them of two for every AS_PATH. */
function shortest(message: Bytes): Bytes {
  const view = newUpdateView();
  viewUpdate(view, message, 0);
  const parts: Bytes[] = [];
  for (let a = view.attributesAt; a < view.attributesEnd; a = nextAttribute(message, a)) {
    const [at, length] = [attributeValueAt(message, a), attributeLength(message, a)];
    if (length > 0xff) parts.push(message.subarray(a, at));
    else parts.push(Uint8Array.of(message[a]! & ~0x10, message[a + 1]!, length));
    parts.push(message.subarray(at, at + length));
  }
  const block = concat(...parts);
  const lengthOf = Uint8Array.of(block.length >>> 8, block.length);
  return wire(MESSAGE.UPDATE, concat(message.subarray(19, 21), lengthOf, block, message.subarray(view.nlriAt)));
}

/** Messages of the feed whose AGGREGATOR has the number 0. */
const ZERO_AGGREGATORS = 2;

describe('a block without what differs from message to message', () => {
  it('says of a route all that its UPDATE says, but for the other prefixes', () => {
    const settled = { ...IBGP, maximumLength: 65535 };
    fc.assert(
      fc.property(updateMessage, (message) => {
        const attributes = message.attributes.filter(({ value }) => suits(value, settled));
        const octets = encodeUpdate({ ...message, attributes }, settled);
        const view = newUpdateView();
        viewUpdate(view, octets, 0);
        const target = new Uint8Array(view.attributesEnd - view.attributesAt);
        const block = decodeAttributes(target, settled, 0, copyBlock(view, octets, target, 0, true));
        const expected = attributes
          .filter(({ value }) => value.name !== 'mpUnreach')
          .map((a) => (a.value.name === 'mpReach' ? attributeOf({ ...a.value, nlri: [] }) : a));
        expect(block.treatment).toBe('none');
        expect(block.attributes).toEqual(expected.sort((a, b) => Number(b.type === 14) - Number(a.type === 14)));
      }),
    );
  });
});

/** Whether a peer of this context may send it: what may not is in the tests of RFC 7606. */
function suits(value: AttributeValue, context: CodecContext): boolean {
  if (value.name === 'as4Path' || value.name === 'as4Aggregator') return !context.fourOctetAs;
  if (value.name === 'asPath' && context.ebgp && value.segments.some((s) => s.type.startsWith('confed'))) return false;
  if ((value.name === 'asPath' || value.name === 'aggregator') && !context.fourOctetAs) return fitsTwo(value);
  const internal = value.name === 'localPreference' || value.name === 'originatorId' || value.name === 'clusterList';
  return !internal || !context.ebgp;
}

function fitsTwo(value: Extract<AttributeValue, { name: 'asPath' | 'aggregator' }>): boolean {
  const asns = value.name === 'asPath' ? value.segments.flatMap((s) => s.asns) : [value.asn];
  return asns.every((asn) => asn <= 0xffff);
}
