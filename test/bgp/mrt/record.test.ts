import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BGP4MP,
  decodeRecord,
  encodeRecord,
  IPV4_UNICAST,
  IPV6_UNICAST,
  MAXIMUM_RECORD,
  MRT,
  MRT_STATE,
  MrtFramer,
  type MrtRecord,
} from '../../../src/bgp/index.ts';
import { type Bytes, concat, fromHex, parse, toHex, WireError } from '../../../src/core/index.ts';
import { octets } from '../message/arbitraries.ts';
import { mrtRecord } from './arbitraries.ts';

const v4 = (...o: number[]): Bytes => Uint8Array.from(o);
const v6 = (last: number): Bytes => Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last);
const KEEPALIVE = `${'ff'.repeat(16)}001304`;
const session = { peerAs: 65001, localAs: 65000, interfaceIndex: 2, peer: v4(192, 0, 2, 1), local: v4(192, 0, 2, 2) };

const KNOWN: readonly { title: string; hex: string; record: MrtRecord }[] = [
  {
    title: 'RFC 6396 §4.3.1: PEER_INDEX_TABLE, AS numbers of four octets, both families',
    hex: `5f5e1000 000d 0001 00000031 c0000201 0003 6c6162 0002
          02 0a000001 c0000201 0000fde9
          03 0a000002 20010db8000000000000000000000002 fa56ea00`,
    record: {
      kind: 'peerIndexTable',
      time: { seconds: 0x5f5e1000 },
      collector: 0xc0000201,
      view: new TextEncoder().encode('lab'),
      peers: [
        { identifier: 0x0a000001, address: v4(192, 0, 2, 1), asn: 65001 },
        { identifier: 0x0a000002, address: v6(2), asn: 4200000000 },
      ],
    },
  },
  {
    title: 'RFC 6396 §4.3.2: RIB_IPV4_UNICAST, two peers',
    hex: `5f5e1000 000d 0002 00000022 00000007 13 0a4020 0002
          0000 5f5e0f00 0004 40010100 0001 5f5e0e00 0004 40010102`,
    record: {
      kind: 'rib',
      time: { seconds: 0x5f5e1000 },
      sequence: 7,
      family: IPV4_UNICAST,
      prefix: { address: v4(10, 64, 32, 0), length: 19 },
      addPath: false,
      entries: [
        { peer: 0, originatedSeconds: 0x5f5e0f00, attributes: fromHex('40010100') },
        { peer: 1, originatedSeconds: 0x5f5e0e00, attributes: fromHex('40010102') },
      ],
    },
  },
  {
    title: 'RFC 8050 §4.2: RIB_IPV6_UNICAST_ADDPATH, the default route, a path identifier behind the time',
    hex: '5f5e1000 000d 000a 00000017 00000000 00 0001 0003 00000001 0000002a 0004 40010100',
    record: {
      kind: 'rib',
      time: { seconds: 0x5f5e1000 },
      sequence: 0,
      family: IPV6_UNICAST,
      prefix: { address: new Uint8Array(16), length: 0 },
      addPath: true,
      entries: [{ peer: 3, originatedSeconds: 1, pathId: 42, attributes: fromHex('40010100') }],
    },
  },
  {
    title: 'RFC 6396 §4.4.2: BGP4MP_MESSAGE',
    hex: `5f5e1000 0010 0001 00000023 fde9 fde8 0002 0001 c0000201 c0000202 ${KEEPALIVE}`,
    record: {
      kind: 'message',
      time: { seconds: 0x5f5e1000 },
      ...session,
      fourOctetAs: false,
      addPath: false,
      sent: false,
      message: fromHex(KEEPALIVE),
    },
  },
  {
    title: 'RFC 6396 §3, §4.4.3: BGP4MP_MESSAGE_AS4 with an extended timestamp, whose length counts the microseconds',
    hex: `5f5e1000 0011 0004 0000002b 0001e240 0000fde9 0000fde8 0002 0001 c0000201 c0000202 ${KEEPALIVE}`,
    record: {
      kind: 'message',
      time: { seconds: 0x5f5e1000, micros: 123_456 },
      ...session,
      fourOctetAs: true,
      addPath: false,
      sent: false,
      message: fromHex(KEEPALIVE),
    },
  },
  {
    title: 'RFC 6396 §4.4.4: BGP4MP_STATE_CHANGE_AS4',
    hex: '5f5e1000 0010 0005 00000018 0000fde9 0000fde8 0002 0001 c0000201 c0000202 0005 0006',
    record: {
      kind: 'state',
      time: { seconds: 0x5f5e1000 },
      ...session,
      fourOctetAs: true,
      from: MRT_STATE.OPEN_CONFIRM,
      to: MRT_STATE.ESTABLISHED,
    },
  },
  {
    title: 'RFC 6396 §4.2: TABLE_DUMP stays octets',
    hex: '5f5e1000 000c 0001 00000003 010203',
    record: { kind: 'other', time: { seconds: 0x5f5e1000 }, type: MRT.TABLE_DUMP, subtype: 1, body: v4(1, 2, 3) },
  },
];

describe('MRT records (RFC 6396, RFC 8050)', () => {
  it.each(KNOWN)('$title', ({ hex, record }) => {
    expect(decodeRecord(fromHex(hex))).toEqual(record);
    expect(toHex(encodeRecord(record))).toBe(toHex(fromHex(hex)));
  });

  it.each([
    ['MESSAGE', false, false, false],
    ['MESSAGE_AS4', true, false, false],
    ['MESSAGE_LOCAL', false, true, false],
    ['MESSAGE_AS4_LOCAL', true, true, false],
    ['MESSAGE_ADDPATH', false, false, true],
    ['MESSAGE_AS4_ADDPATH', true, false, true],
    ['MESSAGE_LOCAL_ADDPATH', false, true, true],
    ['MESSAGE_AS4_LOCAL_ADDPATH', true, true, true],
  ] as const)('RFC 6396 §4.4, RFC 8050 §3: BGP4MP_%s has its number', (name, fourOctetAs, sent, addPath) => {
    const record = { kind: 'message', time: { seconds: 1 }, ...session, fourOctetAs, sent, addPath } as const;
    expect(encodeRecord({ ...record, message: fromHex(KEEPALIVE) })[7]).toBe(BGP4MP[name]);
  });

  it('RFC 6396 §4.3.1: a peer whose AS number has two octets', () => {
    const record = decodeRecord(fromHex('00000001 000d 0001 00000013 c0000201 0000 0001 00 0a000001 c0000201 fde9'));
    expect(record).toMatchObject({ peers: [{ asn: 65001, address: v4(192, 0, 2, 1) }] });
  });

  it('RFC 4271 §4.3: bits behind the length of a prefix mean nothing', () => {
    const record = decodeRecord(fromHex('00000001 000d 0002 00000009 00000000 09 0aff 0000'));
    expect(record).toMatchObject({ prefix: { address: v4(10, 128, 0, 0), length: 9 } });
  });

  it('what is not known stays octets, the microseconds of BGP4MP_ET among them', () => {
    for (const [type, subtype] of [
      [MRT.TABLE_DUMP_V2, 6],
      [MRT.TABLE_DUMP_V2, 7],
      [MRT.TABLE_DUMP_V2, 12],
      [MRT.BGP4MP, 2],
      [MRT.BGP4MP_ET, 99],
    ] as const) {
      const record: MrtRecord = { kind: 'other', time: { seconds: 9 }, type, subtype, body: v4(0, 0, 0, 1, 5) };
      expect(decodeRecord(encodeRecord(record))).toEqual(record);
    }
  });

  it.each([
    ['a prefix that is too long', '00000001 000d 0002 00000008 00000000 21 0000', 'rib.prefixLength', 16],
    ['an entry beyond the record', '00000001 000d 0002 00000008 00000000 00 0001 0000', 'entry.originated', 21],
    ['octets behind the last entry', '00000001 000d 0002 00000008 00000000 00 0000 01', 'rib', 19],
    ['a family that is none', '00000001 0010 0001 00000008 fde9 fde8 0000 0003', 'session.family', 18],
    ['half a state', '00000001 0010 0000 00000012 fde9 fde8 0000 0001 c0000201 c0000202 0001', 'state.new', 30],
    ['a record that is shorter than it says', '00000001 000c 0001 00000009 0102', 'record.body', 12],
    ['a record that is longer than it says', '00000001 000c 0001 00000001 0102', 'record', 13],
  ])('%s is said with field and offset', (_, hex, field, at) => {
    const text = hex.replaceAll(' ', '');
    const octets = fromHex(text);
    const fixed = field.startsWith('record') ? octets : withLength(octets);
    const parsed = parse(() => decodeRecord(fixed));
    expect(parsed).toMatchObject({ ok: false, error: { field, at } });
  });

  it('law: decode(encode(x)) = x', () => {
    fc.assert(
      fc.property(mrtRecord, (record) => {
        expect(decodeRecord(encodeRecord(record))).toEqual(record);
      }),
    );
  });

  it('law: whatever the octets are, a record or a WireError comes', () => {
    const types = fc.constantFrom(MRT.TABLE_DUMP_V2, MRT.BGP4MP, MRT.BGP4MP_ET);
    const subtypes = fc.integer({ min: 0, max: 12 });
    fc.assert(
      fc.property(types, subtypes, octets(0, 200), (type, subtype, body) => {
        const time = { seconds: 0 };
        parse(() => decodeRecord(encodeRecord({ kind: 'other', time, type, subtype, body })));
      }),
    );
  });
});

describe('the framer of MRT files', () => {
  it('law: records come out as they went in, whatever the pieces', () => {
    fc.assert(
      fc.property(fc.array(mrtRecord, { maxLength: 6 }), fc.array(fc.nat(40), { minLength: 1 }), (records, sizes) => {
        const file = concat(...records.map(encodeRecord));
        const framer = new MrtFramer();
        const found: MrtRecord[] = [];
        for (let at = 0, i = 0; at < file.length; i++) {
          const size = 1 + sizes[i % sizes.length]!;
          framer.push(file.subarray(at, at + size));
          at += size;
          for (let frame = framer.next(); frame !== undefined; frame = framer.next())
            found.push(decodeRecord(frame.octets.slice()));
        }
        framer.end();
        expect(found).toEqual(records);
      }),
    );
  });

  it('says where in the file a record stands', () => {
    const framer = new MrtFramer();
    const record = encodeRecord({ kind: 'other', time: { seconds: 1 }, type: 32, subtype: 0, body: v4(1, 2) });
    framer.push(concat(record, record));
    expect([framer.next()?.at, framer.next()?.at, framer.next()]).toEqual([0, 14, undefined]);
  });

  it('says where a file ends too early', () => {
    const framer = new MrtFramer();
    framer.push(fromHex('00000001 000c 0001 00000001 01 0000'));
    expect(framer.next()?.octets.length).toBe(13);
    expect(framer.next()).toBe(undefined);
    expect(() => framer.end()).toThrow(new WireError('record', 13, 'the file ends 2 octets into it'));
  });

  it('refuses a record that is longer than any is, before it has come', () => {
    const framer = new MrtFramer();
    framer.push(fromHex('00000001 000d 0002 7fffffff 00'));
    expect(() => framer.next()).toThrow(
      new WireError('record.length', 8, `${0x8000000b} octets where ${MAXIMUM_RECORD} are the most`),
    );
  });
});

/** The length of the header put right. */
function withLength(octets: Bytes): Bytes {
  new DataView(octets.buffer).setUint32(8, octets.length - 12);
  return octets;
}
