import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY, fromHex, Reader, toHex, Writer } from '../../src/core/index.ts';
import { ENCRYPTIONS, GROUPS, INTEGRITIES, PRFS } from '../../src/crypto/index.ts';
import * as ike from '../../src/ike/index.ts';

const { TRANSFORM } = ike;

const parsed = (text: string, use: 'ike' | 'esp', options?: ike.ProposalOptions): ike.Proposal => {
  const result = ike.parseProposal(text, use, options);
  if (!result.ok) throw new Error(result.problem);
  return result.proposal;
};
const problem = (text: string, use: 'ike' | 'esp', options?: ike.ProposalOptions): string => {
  const result = ike.parseProposal(text, use, options);
  if (result.ok) throw new Error('accepted');
  return result.problem;
};
const ids = (p: ike.Proposal) => p.transforms.map(({ type, id, keyBits }) => [type, id, keyBits ?? 0]);

describe('proposals in words', () => {
  it('an AEAD with PRF and group', () => {
    expect(parsed('aes256gcm16-prfsha384-ecp384', 'ike')).toEqual({
      number: 1,
      protocol: ike.PROTOCOL.IKE,
      spi: EMPTY,
      transforms: [
        { type: TRANSFORM.ENCR, id: 20, keyBits: 256, attributes: [] },
        { type: TRANSFORM.PRF, id: 6, keyBits: undefined, attributes: [] },
        { type: TRANSFORM.KE, id: 20, keyBits: undefined, attributes: [] },
      ],
    });
  });

  it('several of one type are alternatives; the PRF follows from the integrity algorithm', () => {
    expect(ids(parsed('aes128-aes256-sha256-modp2048', 'ike'))).toEqual([
      [1, 12, 128],
      [1, 12, 256],
      [3, 12, 0],
      [2, 5, 0],
      [4, 14, 0],
    ]);
    expect(ids(parsed('aes128-sha1-sha512-aesxcbc-aescmac-x25519', 'ike', { legacy: true }))).toEqual([
      [1, 12, 128],
      [3, 2, 0],
      [3, 14, 0],
      [3, 5, 0],
      [3, 8, 0],
      [2, 2, 0],
      [2, 7, 0],
      [2, 4, 0],
      [2, 8, 0],
      [4, 31, 0],
    ]);
  });

  it('a hash beside an AEAD names the PRF, as strongSwan reads it', () => {
    expect(ids(parsed('aes128gcm16-sha256-ecp256', 'ike'))).toEqual(ids(parsed('aes128gcm16-prfsha256-ecp256', 'ike')));
  });

  it('RFC 7296 §3.3.3: ESP proposals always say how long sequence numbers are', () => {
    const esn = (text: string, options?: ike.ProposalOptions) =>
      parsed(text, 'esp', options).transforms.flatMap((t) => (t.type === TRANSFORM.ESN ? [t.id] : []));
    expect(esn('aes128gcm16')).toEqual([1, 0]);
    expect(esn('aes128gcm16', { esn: 'require' })).toEqual([1]);
    expect(esn('aes128gcm16', { esn: 'never' })).toEqual([0]);
    expect(esn('aes128gcm16-noesn', { esn: 'require' })).toEqual([0]);
    expect(esn('aes128gcm16-noesn-esn')).toEqual([0, 1]);
  });

  it('case and repeated words do not matter', () => {
    expect(parsed('AES256-aes256-SHA256-ModP2048', 'ike')).toEqual(parsed('aes256-sha256-modp2048', 'ike'));
  });

  it.each([
    ['aes256gmc16-prfsha384-ecp384', 'ike', 'unknown algorithm "aes256gmc16", did you mean "aes256gcm16"?'],
    ['aes256-sha265-modp2048', 'ike', 'unknown algorithm "sha265", did you mean "sha256"?'],
    ['aes256-sha256-dh14', 'ike', 'unknown algorithm "dh14"'],
    ['des-md5-modp768', 'ike', 'unknown algorithm "des", did you mean "3des"?'],
    ['', 'ike', 'an empty word: algorithms are written with one hyphen between them, like aes256-sha256-ecp256'],
    [
      'aes256--sha256',
      'esp',
      'an empty word: algorithms are written with one hyphen between them, like aes256-sha256-ecp256',
    ],
    ['3des-sha1-modp1024', 'ike', '"3des" is obsolete (RFC 8247, RFC 8221): it needs "legacy: true"'],
    ['aes256-sha1', 'esp', '"sha1" is obsolete (RFC 8247, RFC 8221): it needs "legacy: true"'],
    ['null-sha256-ecp256', 'ike', '"null" is for ESP proposals only'],
    ['aes256-sha256-ecp256-esn', 'ike', '"esn" is for ESP proposals only'],
    ['aes256-sha256-modpnone', 'ike', '"modpnone" is for ESP proposals only'],
    ['aes256gcm16-prfsha256', 'esp', '"prfsha256" is a PRF, which ESP proposals do not have'],
    [
      'aes256gcm16-aes256-sha256-ecp256',
      'ike',
      '"aes256gcm16" authenticates by itself, "aes256" does not: write two proposals',
    ],
    ['aes256gcm16-sha256', 'esp', '"aes256gcm16" authenticates by itself: leave "sha256" out'],
    ['sha256-ecp256', 'ike', 'no encryption algorithm: add one, like aes256gcm16'],
    ['aes256-ecp256', 'esp', 'no integrity algorithm: add one, like sha256'],
    ['null', 'esp', 'no integrity algorithm: add one, like sha256'],
    ['aes256gcm16-ecp256', 'ike', 'no PRF: add one, like prfsha256'],
    ['aes256-sha256', 'ike', 'no key exchange group: add one, like ecp256'],
  ] as const)('%s for %s: %s', (text, use, expected) => {
    expect(problem(text, use)).toBe(expected);
  });

  it('every word of the registries is understood, legacy ones only when allowed', () => {
    for (const { word, legacy, aead } of ENCRYPTIONS) {
      const text = aead ? word : `${word}-sha256`;
      expect(ike.parseProposal(text, 'esp').ok, text).toBe(!legacy);
      expect(ike.parseProposal(text, 'esp', { legacy: true }).ok, text).toBe(true);
    }
    for (const { word, legacy } of INTEGRITIES)
      expect(ike.parseProposal(`aes128-${word}`, 'esp').ok, word).toBe(!legacy);
    for (const { word, legacy } of PRFS)
      expect(ike.parseProposal(`aes128gcm8-${word}-ecp256`, 'ike').ok, word).toBe(!legacy);
    for (const { word, legacy } of GROUPS)
      expect(ike.parseProposal(`aes128gcm8-${word}`, 'esp').ok, word).toBe(!legacy);
  });

  it('parse(format(x)) = x', () => {
    const some = <T extends { word: string }>(table: readonly T[], min: number) =>
      fc.subarray([...table], { minLength: min, maxLength: 4 }).map((rows) => rows.map(({ word }) => word));
    const aeads = some(
      ENCRYPTIONS.filter((e) => e.aead),
      1,
    );
    const ciphers = fc
      .tuple(
        some(
          ENCRYPTIONS.filter((e) => !e.aead && !e.espOnly),
          1,
        ),
        some(INTEGRITIES, 1),
      )
      .map((x) => x.flat());
    const ikeWords = fc.oneof(
      fc.tuple(aeads, some(PRFS, 1), some(GROUPS, 1)),
      fc.tuple(ciphers, some(PRFS, 0), some(GROUPS, 1)),
    );
    const espWords = fc.tuple(fc.oneof(aeads, ciphers), some(GROUPS, 0), fc.subarray(['esn', 'noesn', 'modpnone']));
    fc.assert(
      fc.property(
        fc.oneof(
          ikeWords.map((w) => ['ike', w] as const),
          espWords.map((w) => ['esp', w] as const),
        ),
        ([use, words]) => {
          const proposal = parsed(words.flat().join('-'), use, { legacy: true });
          expect(parsed(ike.formatProposal(proposal), use, { legacy: true })).toEqual(proposal);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('any text is a proposal or a sentence', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 60 }), fc.stringMatching(/^[a-z0-9-]{0,40}$/)), (text) => {
        for (const use of ['ike', 'esp'] as const) {
          const result = ike.parseProposal(text, use, { legacy: true });
          if (!result.ok) expect(result.problem.length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('what has no word is written with its numbers', () => {
    const odd: ike.Proposal = {
      number: 1,
      protocol: 1,
      spi: EMPTY,
      transforms: [
        ike.transform(TRANSFORM.ENCR, 23, 256),
        ike.transform(TRANSFORM.ENCR, 12),
        { ...ike.transform(TRANSFORM.ENCR, 12, 128), attributes: [{ type: 18, value: 1 }] },
        ike.transform(TRANSFORM.PRF, 1),
        ike.transform(TRANSFORM.KE, 0),
        ike.transform(TRANSFORM.ADDKE1, 20),
        ike.transform(77, 3),
      ],
    };
    expect(ike.formatProposal(odd)).toBe(
      'ENCR(23/256)-ENCR(12)-aes128+ATTRIBUTE(18)-PRF(1)-modpnone-ke1_ecp384-TRANSFORM(77)(3)',
    );
  });

  it('RFC 8247, RFC 8221: the default proposals parse, hold nothing obsolete and none that must not be', () => {
    for (const text of ike.DEFAULT_IKE_PROPOSALS) expect(ike.formatProposal(parsed(text, 'ike'))).toBe(text);
    for (const text of ike.DEFAULT_ESP_PROPOSALS)
      expect(ike.formatProposal(parsed(text, 'esp'))).toBe(`${text}-esn-noesn`);
  });
});

describe('RFC 7296 §3.3: proposals on the wire', () => {
  it('§3.3 the octets strongSwan sends', () => {
    const sent = '00000024010100030300000c01000014800e010003000008020000050000000804000013';
    const proposals = ike.decodeProposals(new Reader(fromHex(sent)));
    expect(proposals.map(ike.formatProposal)).toEqual(['aes256gcm16-prfsha256-ecp256']);
    const w = new Writer();
    ike.encodeProposals(w, proposals);
    expect(toHex(w.finish())).toBe(sent);
  });

  it('§3.3.5 a second Key Length and one in TLV format are kept, and make the transform unusable', () => {
    const octets = fromHex(
      `00000026010100010000001e01000014${'800e0080'}${'800e0100'}${'000e00020080'}${'00120004aabbccdd'}`,
    );
    const [proposal] = ike.decodeProposals(new Reader(octets));
    expect(proposal!.transforms).toEqual([
      {
        type: 1,
        id: 20,
        keyBits: 128,
        attributes: [
          { type: 14, value: 256 },
          { type: 14, value: fromHex('0080') },
          { type: 18, value: fromHex('aabbccdd') },
        ],
      },
    ]);
    const own = parsed('aes128gcm16-prfsha256-ecp256', 'ike').transforms[0]!;
    expect(ike.sameTransform(own, proposal!.transforms[0]!)).toBe(false);
    const w = new Writer();
    ike.encodeProposals(w, [proposal!]);
    expect(w.finish()).toEqual(octets);
  });
});

describe('offering', () => {
  it('numbers from 1, puts the SPI in', () => {
    const spi = fromHex('01020304');
    const offered = ike.offer([parsed('aes256gcm16', 'esp'), parsed('aes128-sha256', 'esp')], spi);
    expect(offered.map(({ number, spi }) => [number, toHex(spi)])).toEqual([
      [1, '01020304'],
      [2, '01020304'],
    ]);
  });

  it('RFC 7296 §1.2: the child of IKE_AUTH is offered without key exchange, and what becomes equal merges', () => {
    const ours = ['aes256gcm16-ecp384', 'aes256gcm16-modp2048-modpnone', 'aes256gcm16', 'aes128-sha256'].map((t) =>
      parsed(t, 'esp'),
    );
    const offered = ike.offer(ours, EMPTY, { withoutGroups: true });
    expect(offered.map(ike.formatProposal)).toEqual(['aes256gcm16-esn-noesn', 'aes128-sha256-esn-noesn']);
    expect(offered.map((p) => p.number)).toEqual([1, 2]);
  });

  it('the first group is that of the first KE payload', () => {
    expect(ike.firstGroup([parsed('aes256gcm16', 'esp'), parsed('aes128gcm16-modpnone-ecp256-ecp384', 'esp')])).toBe(
      19,
    );
    expect(ike.firstGroup([parsed('aes256gcm16', 'esp')])).toBeUndefined();
  });
});
