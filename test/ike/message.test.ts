import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Bytes,
  EMPTY,
  fromHex,
  parse,
  seededRandom,
  toHex,
  type WireError,
  Writer,
} from '../../src/core/index.ts';
import { encryptionByWord, integrityByWord, NO_ESN, type Protection, protection } from '../../src/crypto/index.ts';
import * as ike from '../../src/ike/index.ts';
import { sessions } from '../support/sessions.ts';
import { anyHeader, anyPayload, octets } from './arbitraries.ts';

const { NOTIFY, PAYLOAD } = ike;
const RUNS = { numRuns: 300 };

const HEADER: ike.HeaderFields = {
  spiI: fromHex('0102030405060708'),
  spiR: fromHex('1112131415161718'),
  exchange: ike.EXCHANGE.INFORMATIONAL,
  flags: { initiator: true, version: false, response: false },
  messageId: 7,
};

const keyed = (cipher: string, mac?: string): Protection => {
  const encryption = encryptionByWord(cipher)!;
  const integrity = mac === undefined ? undefined : integrityByWord(mac)!;
  const random = seededRandom(5);
  return protection(encryption, integrity, {
    encryption: random(encryption.keyLength + encryption.saltLength),
    integrity: random(integrity?.keyLength ?? 0),
  });
};
const SUITES: readonly (readonly [string, Protection])[] = [
  ['aes256gcm16', keyed('aes256gcm16')],
  ['aes128ccm8', keyed('aes128ccm8')],
  ['chacha20poly1305', keyed('chacha20poly1305')],
  ['aes128-sha256', keyed('aes128', 'sha256')],
  ['aes128ctr-aesxcbc', keyed('aes128ctr', 'aesxcbc')],
  ['3des-sha1', keyed('3des', 'sha1')],
];

/** A well-formed message of any payload bodies, types chained as given. */
function raw(first: number, ...payloads: readonly (readonly [flags: number, next: number, body: string])[]): Bytes {
  const w = new Writer();
  ike.encodeHeader(w, HEADER, first, 0);
  for (const [flags, next, body] of payloads) {
    w.u8(next);
    w.u8(flags);
    w.counted16(() => w.bytes(fromHex(body)), 4);
  }
  w.patch32(24, w.length);
  return w.finish();
}

const failure = (octets: Bytes): WireError => {
  const decoded = parse(() => ike.decodeMessage(octets));
  if (decoded.ok) throw new Error('decoded');
  return decoded.error;
};

describe('RFC 7296 §3.1: the header', () => {
  it('is written and read', () => {
    expect(toHex(ike.encodeMessage(HEADER, []))).toBe('010203040506070811121314151617180020250800000007' + '0000001c');
    expect(ike.decodeHeader(ike.encodeMessage(HEADER, []))).toEqual({
      ...HEADER,
      nextPayload: 0,
      major: 2,
      minor: 0,
      length: 28,
    });
  });

  it('§2.5: a higher minor version is accepted', () => {
    expect(ike.decodeMessage(ike.encodeMessage({ ...HEADER, minor: 9 }, [])).header.minor).toBe(9);
  });

  it('§2.5: a higher major version is owed INVALID_MAJOR_VERSION, and its header is there to answer', () => {
    const octets = ike.encodeMessage({ ...HEADER, major: 3 }, []);
    const error = failure(octets);
    expect(error).toBeInstanceOf(ike.VersionError);
    expect(error.answer).toBe(NOTIFY.INVALID_MAJOR_VERSION);
    expect((error as ike.VersionError).header).toMatchObject({ ...HEADER, major: 3 });
  });

  it('IKEv1 is refused without an answer', () => {
    const error = failure(ike.encodeMessage({ ...HEADER, major: 1 }, []));
    expect([error.field, error.answer]).toEqual(['header.version', NOTIFY.INVALID_SYNTAX]);
    expect(error.message).toBe('header.version @17: major version 1 is not IKEv2');
  });

  it('a Length that is not the datagram’s is refused', () => {
    const octets = ike.encodeMessage(HEADER, [ike.notification(NOTIFY.INITIAL_CONTACT)]);
    expect(failure(octets.subarray(0, -1)).message).toBe('header.length @24: says 36 octets, the datagram has 35');
    expect(failure(new Uint8Array(27)).message).toBe('header.length @24: needs 4 octets, 3 left');
  });

  it('reserved flags are ignored', () => {
    const octets = ike.encodeMessage(HEADER, []);
    octets[19] = 0xff;
    expect(ike.decodeHeader(octets).flags).toEqual({ initiator: true, version: true, response: true });
  });
});

describe('RFC 7296 §3.2: the chain of payloads', () => {
  it('decode(encode(x)) = x', () => {
    fc.assert(
      fc.property(anyHeader, fc.array(anyPayload, { maxLength: 6 }), (header, payloads) => {
        const octets = ike.encodeMessage(header, payloads);
        const decoded = ike.decodeMessage(octets);
        const usable = payloads.map((p) => (p.type === 'unknown' ? { ...p, critical: false } : p));
        expect(decoded.payloads).toEqual(usable);
        expect(decoded.header).toEqual({ ...header, nextPayload: ike.firstType(payloads), length: octets.length });
        expect(ike.encodeMessage(decoded.header, decoded.payloads)).toEqual(octets);
      }),
      RUNS,
    );
  });

  it('§2.5: an unknown critical payload is owed UNSUPPORTED_CRITICAL_PAYLOAD with its type', () => {
    const error = failure(raw(99, [0x80, 0, 'abcd']));
    expect(error).toBeInstanceOf(ike.CriticalPayloadError);
    expect(error.answer).toBe(NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD);
    expect((error as ike.CriticalPayloadError).payloadType).toBe(99);
  });

  it('§2.5: an unknown payload that is not critical is kept and passed over', () => {
    const { payloads } = ike.decodeMessage(raw(99, [0, PAYLOAD.VENDOR, 'abcd'], [0, 0, '01']));
    expect(payloads).toEqual([
      { type: 'unknown', payloadType: 99, critical: false, data: fromHex('abcd') },
      { type: PAYLOAD.VENDOR, critical: false, data: fromHex('01') },
    ]);
  });

  it('§2.5: the critical bit of a known payload changes nothing; reserved bits are ignored', () => {
    const { payloads } = ike.decodeMessage(raw(PAYLOAD.VENDOR, [0xff, 0, '01']));
    expect(payloads).toEqual([{ type: PAYLOAD.VENDOR, critical: true, data: fromHex('01') }]);
  });

  it('holds at most 128 payloads', () => {
    const vendor: ike.Payload = { type: PAYLOAD.VENDOR, critical: false, data: EMPTY };
    const many = (n: number) => ike.encodeMessage(HEADER, Array<ike.Payload>(n).fill(vendor));
    expect(ike.decodeMessage(many(128)).payloads.length).toBe(128);
    expect(failure(many(129))).toMatchObject({ problem: 'more than 128 payloads', answer: NOTIFY.INVALID_SYNTAX });
  });

  it('large payloads keep their octets', () => {
    const data = new Uint8Array(60_000).map((_, i) => i);
    const cert: ike.Payload = { type: PAYLOAD.CERT, critical: false, encoding: 4, data };
    expect(ike.decodeMessage(ike.encodeMessage(HEADER, [cert])).payloads).toEqual([cert]);
  });

  it('octets after the last payload, and lengths that lie, are refused', () => {
    expect(failure(raw(0, [0, 0, '01'])).message).toBe('payload @28: 5 octets too many');
    const octets = raw(PAYLOAD.VENDOR, [0, 0, '0102']);
    octets[31] = 3;
    expect(failure(octets).message).toBe('payload.length @32: 3 octets are less than the generic header');
    octets[31] = 7;
    expect(failure(octets).message).toBe('VENDOR @32: needs 3 octets, 2 left');
  });
});

describe('RFC 7296 §3.4–3.16: bodies that are refused', () => {
  it.each([
    [
      '§3.5 an IPv4 identity of three octets',
      PAYLOAD.IDI,
      '01000000c00002',
      'id.data @39: 3 octets, an address of this type has 4',
    ],
    ['§3.9 a nonce of 15 octets', PAYLOAD.NONCE, '00'.repeat(15), 'nonce @32: 15 octets, 16..256 allowed'],
    ['§3.9 a nonce of 257 octets', PAYLOAD.NONCE, '00'.repeat(257), 'nonce @32: 257 octets, 16..256 allowed'],
    ['§3.10 an SPI beyond the payload', PAYLOAD.NOTIFY, '03044009aabb', 'notify.spi @36: needs 4 octets, 2 left'],
    [
      '§3.11 a count that does not fit',
      PAYLOAD.DELETE,
      '03040002aabbccdd',
      'delete.count @36: 2 SPIs of 4 octets do not fill 4 octets',
    ],
    [
      '§3.11 many SPIs of no octets',
      PAYLOAD.DELETE,
      '0100ffff',
      'delete.count @36: 65535 SPIs of 0 octets do not fill 0 octets',
    ],
    ['§3.3 no proposal', PAYLOAD.SA, '', 'proposal.last @32: needs 1 octets, 0 left'],
    ['§3.3.1 a wrong Last Substruc', PAYLOAD.SA, '0100000801010000', 'proposal.last @33: 1 is neither 0 nor 2'],
    ['§3.3.1 one that promises more', PAYLOAD.SA, '0200000801010000', 'proposal.last @40: needs 1 octets, 0 left'],
    [
      '§3.3.2 a transform that promises more',
      PAYLOAD.SA,
      '0000001001010001' + '0300000801000014',
      'transform.last @41: 3 does not fit the number of transforms',
    ],
    [
      '§3.3.2 more transforms than counted',
      PAYLOAD.SA,
      '0000001001010000' + '0000000801000014',
      'proposal @40: 8 octets too many',
    ],
    [
      '§3.3.5 an attribute beyond its transform',
      PAYLOAD.SA,
      '0000001401010001' + '0000000c01000014' + '000e0008',
      'attribute.value @52: needs 8 octets, 0 left',
    ],
    [
      '§3.13.1 a selector of a wrong length',
      PAYLOAD.TSI,
      '01000000' + '07000014' + '0000ffff' + '0a000000' + '0a0000ff' + '00000000',
      'ts @52: 4 octets too many',
    ],
    [
      '§3.13 fewer selectors than counted',
      PAYLOAD.TSR,
      '02000000' + '07000010' + '0000ffff' + '0a000000' + '0a0000ff',
      'ts.type @52: needs 1 octets, 0 left',
    ],
    [
      '§3.15 an attribute beyond the payload',
      PAYLOAD.CP,
      '01000000' + '00010004' + '0a',
      'cp.value @40: needs 4 octets, 1 left',
    ],
    ['§3.16 an EAP length that lies', PAYLOAD.EAP, '01010008ff', 'eap.length @36: says 8 octets, the payload has 5'],
    ['RFC 7383 §2.5 fragment 0', PAYLOAD.SKF, '00000001aa', 'skf.fragment @36: fragment 0 of 1'],
    ['RFC 7383 §2.5 fragment 3 of 2', PAYLOAD.SKF, '00030002aa', 'skf.fragment @36: fragment 3 of 2'],
  ])('%s', (_, type, body, message) => {
    const error = failure(raw(type, [0, 0, body]));
    expect(error.message).toBe(message);
    expect(error.answer).toBe(NOTIFY.INVALID_SYNTAX);
  });

  it('RESERVED octets are ignored on receipt, and kept where AUTH covers them', () => {
    const { payloads } = ike.decodeMessage(
      raw(
        PAYLOAD.IDI,
        [0, PAYLOAD.KE, '02abcdef6177'],
        [0, PAYLOAD.AUTH, '0013ffff01'],
        [0, PAYLOAD.TSI, '02ffffff01'],
        [0, PAYLOAD.CP, '00ffffff'],
        [0, 0, '01ffffff' + '80010000'],
      ),
    );
    expect(payloads).toEqual([
      { type: PAYLOAD.IDI, critical: false, identity: { type: 2, data: fromHex('6177') }, reserved: 0xabcdef },
      { type: PAYLOAD.KE, critical: false, group: 19, publicValue: fromHex('01') },
      { type: PAYLOAD.AUTH, critical: false, method: 2, data: fromHex('01') },
      { type: PAYLOAD.TSI, critical: false, selectors: [], unknown: [] },
      { type: PAYLOAD.CP, critical: false, kind: 1, attributes: [{ type: 1, value: EMPTY }] },
    ]);
  });
});

describe.each(SUITES)('RFC 7296 §3.14: the encrypted payload with %s', (_, sealer) => {
  const random = seededRandom(1);

  it('open(seal(x)) = x', () => {
    const ivs = ike.ivSource(sealer, random);
    fc.assert(
      fc.property(anyHeader, fc.array(anyPayload, { maxLength: 4 }), (header, payloads) => {
        const octets = ike.sealMessage(header, payloads, sealer, ivs);
        const opened = ike.openMessage(octets, sealer);
        expect(opened).toMatchObject({ is: 'message', payloads, outside: [] });
      }),
      { numRuns: 60 },
    );
  });

  it('padding fills the block and no more, any padding is accepted', () => {
    const ivs = ike.ivSource(sealer, random);
    const payloads = [ike.notification(NOTIFY.INITIAL_CONTACT)];
    const small = ike.sealMessage(HEADER, payloads, sealer, ivs);
    const body = 8 + 1 + ((sealer.blockSize - (9 % sealer.blockSize)) % sealer.blockSize);
    expect(small.length).toBe(28 + 4 + sealer.ivLength + body + sealer.icvLength);
    const padding = new Uint8Array(255 - ((255 + 9) % sealer.blockSize)).fill(0xee);
    const large = ike.sealMessage(HEADER, payloads, sealer, ivs, { padding });
    expect(ike.openMessage(large, sealer)).toMatchObject({ is: 'message', payloads });
    const unsealed = ike.unseal(large, sealer);
    expect(unsealed).toMatchObject({ is: 'plain', padding, at: 28 + 4 + sealer.ivLength });
  });

  it('§2.21: one changed bit anywhere and it is dropped in silence', () => {
    const octets = ike.sealMessage(
      HEADER,
      [ike.notification(NOTIFY.INITIAL_CONTACT)],
      sealer,
      ike.ivSource(sealer, random),
    );
    for (let bit = 0; bit < octets.length * 8; bit++) {
      const changed = octets.slice();
      changed[bit >>> 3] = changed[bit >>> 3]! ^ (1 << (bit & 7));
      expect(ike.openMessage(changed, sealer).is, `bit ${bit}`).toBe('forged');
    }
  });

  it('§2.21.3: right ICV around malformed payloads is owed INVALID_SYNTAX', () => {
    const whole = ike.sealMessage(
      HEADER,
      [ike.notification(NOTIFY.INITIAL_CONTACT)],
      sealer,
      ike.ivSource(sealer, random),
    );
    const start = 32 + sealer.ivLength;
    const end = whole.length - sealer.icvLength;
    const resealed = (change: (plain: Bytes) => void): Bytes => {
      const octets = whole.slice();
      if (!sealer.open(octets, 0, 32, end, NO_ESN)) throw new Error('own seal');
      change(octets.subarray(start, end));
      sealer.seal(octets, 0, 32, end, NO_ESN);
      return octets;
    };
    expect(
      ike.openMessage(
        resealed(() => {}),
        sealer,
      ).is,
    ).toBe('message');
    const badPadding = ike.openMessage(
      resealed((p) => p.fill(0xff, p.length - 1)),
      sealer,
    );
    expect(badPadding).toMatchObject({
      is: 'malformed',
      error: { answer: NOTIFY.INVALID_SYNTAX, field: 'sk.padLength' },
    });
    const badLength = ike.openMessage(
      resealed((p) => p.fill(0xff, 2, 4)),
      sealer,
    );
    expect(badLength).toMatchObject({ is: 'malformed', error: { answer: NOTIFY.INVALID_SYNTAX, field: 'NOTIFY' } });
  });

  it('§2.5: right ICV around an unknown critical payload is owed UNSUPPORTED_CRITICAL_PAYLOAD', () => {
    const stranger: ike.Payload = { type: 'unknown', payloadType: 200, critical: true, data: EMPTY };
    const octets = ike.sealMessage(HEADER, [stranger], sealer, ike.ivSource(sealer, random));
    expect(ike.openMessage(octets, sealer)).toMatchObject({
      is: 'malformed',
      header: { messageId: 7 },
      error: { answer: NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, payloadType: 200 },
    });
  });

  it('a payload too short for the cipher is dropped', () => {
    for (let length = 0; length < sealer.ivLength + sealer.blockSize + sealer.icvLength; length++) {
      expect(ike.openMessage(raw(PAYLOAD.SK, [0, 0, '00'.repeat(length)]), sealer).is).toBe('forged');
    }
  });
});

describe('IVs', () => {
  it('RFC 5282 §3.1, RFC 7634 §2: counters never repeat, across 2^32 as well', () => {
    const ivs = ike.ivSource(keyed('aes256gcm16'), seededRandom(1));
    expect([ivs.next(8), ivs.next(8), ivs.next(8)].map(toHex)).toEqual([
      '0000000000000000',
      '0000000000000001',
      '0000000000000002',
    ]);
  });

  it('RFC 7296 §3.14: CBC takes them from the random source', () => {
    const ivs = ike.ivSource(keyed('aes128', 'sha256'), seededRandom(9));
    const expected = seededRandom(9);
    expect([ivs.next(16), ivs.next(16)]).toEqual([expected(16), expected(16)]);
  });
});

describe('octets nobody should send', () => {
  const opener = keyed('aes128', 'sha256');
  const decodable = (octets: Bytes): void => {
    const decoded = parse(() => ike.decodeMessage(octets));
    if (!decoded.ok) expect(decoded.error.at).toBeLessThanOrEqual(octets.length);
    else ike.encodeMessage(decoded.value.header, decoded.value.payloads);
    ike.openMessage(octets, opener);
  };

  it('arbitrary octets decode or give a WireError', () => {
    fc.assert(fc.property(octets(0, 400), decodable), { numRuns: 1000 });
  });

  it('arbitrary payload bodies of every type decode or give a WireError', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), octets(0, 120), (type, body) =>
        decodable(raw(type, [0, 0, toHex(body)])),
      ),
      { numRuns: 2000 },
    );
  });

  it('mutated recorded messages decode or give a WireError', () => {
    const recorded = sessions().flatMap((s) => s.messages.map((m) => m.octets));
    fc.assert(
      fc.property(
        fc.constantFrom(...recorded),
        fc.array(fc.tuple(fc.nat({ max: 2000 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (message, changes, cut) => {
          const octets = message.slice(0, cut ? changes[0]![0] % message.length : message.length);
          for (const [at, value] of changes) if (octets.length > 0) octets[at % octets.length] = value;
          decodable(octets);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('decrypted payloads of recorded messages, mutated, decode or give a WireError', () => {
    const recorded = sessions().flatMap((s) => s.messages.flatMap((m) => (m.plain && m.plain.length > 0 ? [m] : [])));
    fc.assert(
      fc.property(
        fc.constantFrom(...recorded),
        fc.array(fc.tuple(fc.nat({ max: 2000 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 }),
        (message, changes) => {
          const plain = message.plain!.slice();
          for (const [at, value] of changes) plain[at % plain.length] = value;
          const w = new Writer();
          ike.encodeHeader(w, HEADER, PAYLOAD_BY_NAME[message.payloads![0]![0]]!, 28 + plain.length);
          w.bytes(plain);
          decodable(w.finish());
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('the densest structures make at most one record for four octets', () => {
    const dense: readonly (readonly [type: number, body: string])[] = [
      [PAYLOAD.SA, `${'0200000801010000'.repeat(8000)}0000000801010000`],
      [PAYLOAD.SA, `000007e0010100fb${'0300000801000014'.repeat(250)}0000000801000014`],
      [PAYLOAD.SA, `00000fa80101000100000fa001000014${'800e0080'.repeat(998)}`],
      [PAYLOAD.TSI, `ff000000${'00000004'.repeat(255)}`],
      [PAYLOAD.CP, `01000000${'00010000'.repeat(16000)}`],
      [PAYLOAD.DELETE, `0301fff0${'aa'.repeat(0xfff0)}`],
    ];
    for (const [type, body] of dense) {
      const message = raw(type, [0, 0, body]);
      const { header, payloads } = ike.decodeMessage(message);
      expect(ike.encodeMessage(header, payloads)).toEqual(message);
      if (type !== PAYLOAD.DELETE) expect(records(payloads)).toBeLessThanOrEqual(message.length / 4);
    }
  });
});

/** Objects in a value, octet strings and lists not counted. */
function records(value: unknown): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0;
  const inner = Object.values(value).reduce((sum: number, v) => sum + records(v), 0);
  return inner + (Array.isArray(value) ? 0 : 1);
}

const PAYLOAD_BY_NAME: Readonly<Record<string, number>> = {
  SA: 33,
  KE: 34,
  IDi: 35,
  IDr: 36,
  CERT: 37,
  CERTREQ: 38,
  AUTH: 39,
  Nonce: 40,
  Notify: 41,
  Delete: 42,
  Vendor: 43,
  TSi: 44,
  TSr: 45,
};
