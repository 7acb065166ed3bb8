import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EMPTY, fromHex } from '../../src/core/index.ts';
import * as ike from '../../src/ike/index.ts';
import { anyProposal } from './arbitraries.ts';

const { TRANSFORM } = ike;

const words = (use: 'ike' | 'esp', ...texts: readonly string[]): ike.Proposal[] =>
  texts.map((text, i) => {
    const result = ike.parseProposal(text, use, { legacy: true, esn: 'never' });
    if (!result.ok) throw new Error(`${text}: ${result.problem}`);
    return { ...result.proposal, number: i + 1 };
  });
const chosen = (ours: ike.Proposal[], theirs: ike.Proposal[], options?: ike.NegotiateOptions) => {
  const result = ike.negotiate(ours, theirs, options);
  return result.ok ? `${result.proposal.number}: ${ike.formatProposal(result.proposal)}` : result.lines;
};
const t = ike.transform;
const proposal = (protocol: number, ...transforms: ike.Transform[]): ike.Proposal => ({
  number: 1,
  protocol,
  spi: EMPTY,
  transforms,
});

describe('RFC 7296 §2.7: choosing a proposal', () => {
  it('ours are tried in their order, algorithms in the order of ours', () => {
    const ours = words('ike', 'aes256gcm16-aes128gcm16-prfsha384-prfsha256-ecp384-ecp256', 'aes128-sha256-modp2048');
    expect(
      chosen(ours, words('ike', 'aes128-sha256-modp2048', 'aes128gcm16-aes256gcm16-prfsha256-ecp256-ecp384')),
    ).toBe('2: aes256gcm16-prfsha256-ecp384');
    expect(chosen(ours, words('ike', 'aes256-aes128-sha512-sha256-modp3072-modp2048'))).toBe(
      '1: aes128-sha256-modp2048',
    );
  });

  it('the answer has number and SPI of theirs', () => {
    const theirs = { ...words('esp', 'aes128gcm16')[0]!, number: 7, spi: fromHex('aabbccdd') };
    const result = ike.negotiate(words('esp', 'aes128gcm16'), [theirs]);
    expect(result).toEqual({ ok: true, proposal: theirs });
  });

  it('§1.2: the group of the KE payload at hand is preferred within the proposal', () => {
    const ours = words('ike', 'aes128gcm16-prfsha256-ecp384-ecp256-modp2048');
    const theirs = words('ike', 'aes128gcm16-prfsha256-modp2048-ecp384');
    expect(chosen(ours, theirs)).toBe('1: aes128gcm16-prfsha256-ecp384');
    expect(chosen(ours, theirs, { group: 14 })).toBe('1: aes128gcm16-prfsha256-modp2048');
    expect(chosen(ours, theirs, { group: 19 })).toBe('1: aes128gcm16-prfsha256-ecp384');
  });

  it('§1.2: in IKE_AUTH groups play no part on either side', () => {
    const [withGroup, without] = [words('esp', 'aes128gcm16-ecp256'), words('esp', 'aes128gcm16')];
    for (const [ours, theirs] of [
      [withGroup, without],
      [without, withGroup],
      [withGroup, withGroup],
    ] as const) {
      expect(chosen(ours, theirs, { withoutGroups: true })).toBe('1: aes128gcm16-noesn');
    }
  });

  it('§3.3: an AEAD goes with integrity NONE or with none at all', () => {
    const ours = words('esp', 'aes128gcm16');
    const aead = [t(TRANSFORM.ENCR, 20, 128), t(TRANSFORM.ESN, 0)];
    expect(ike.negotiate(ours, [proposal(3, ...aead)]).ok).toBe(true);
    const none = ike.negotiate(ours, [proposal(3, ...aead, t(TRANSFORM.INTEG, 0))]);
    expect(none).toMatchObject({ ok: true, proposal: { transforms: [aead[0], t(TRANSFORM.INTEG, 0), aead[1]] } });
    if (none.ok) expect(ike.suiteOfChild(none.proposal).integrity).toBeUndefined();
    expect(ike.negotiate(ours, [proposal(3, ...aead, t(TRANSFORM.INTEG, 12))]).ok).toBe(false);
  });

  it('§3.3.2: NONE makes perfect forward secrecy optional', () => {
    const optional = words('esp', 'aes128gcm16-ecp256-modpnone');
    const required = words('esp', 'aes128gcm16-ecp256');
    const without = words('esp', 'aes128gcm16');
    expect(chosen(optional, required)).toBe('1: aes128gcm16-ecp256-noesn');
    expect(chosen(optional, without)).toBe('1: aes128gcm16-noesn');
    expect(chosen(without, optional)).toBe('1: aes128gcm16-modpnone-noesn');
    expect(chosen(optional, words('esp', 'aes128gcm16-modp2048-modpnone'))).toBe('1: aes128gcm16-modpnone-noesn');
    expect(ike.negotiate(without, required).ok).toBe(false);
    expect(ike.negotiate(required, without).ok).toBe(false);
  });

  it('§3.3.3: sequence numbers are negotiated, NONE of them is an algorithm', () => {
    const esn = (text: string) => words('esp', text);
    expect(chosen(esn('aes128gcm16-esn-noesn'), esn('aes128gcm16-noesn-esn'))).toBe('1: aes128gcm16-esn');
    expect(ike.negotiate(esn('aes128gcm16-esn'), esn('aes128gcm16-noesn')).ok).toBe(false);
    expect(ike.negotiate(esn('aes128gcm16'), [proposal(3, t(TRANSFORM.ENCR, 20, 128))]).ok).toBe(false);
  });

  it('§3.3.6: a transform type nobody knows spoils its proposal, a transform or attribute only itself', () => {
    const ours = words('ike', 'aes128gcm16-prfsha256-ecp256');
    const [good] = words('ike', 'aes128gcm16-prfsha256-ecp256');
    const strange = { ...good!, transforms: [...good!.transforms, t(77, 1)] };
    const mixed = { ...good!, transforms: [t(TRANSFORM.ENCR, 999, 128), t(TRANSFORM.PRF, 999), ...good!.transforms] };
    const attributed = { ...good!.transforms[0]!, attributes: [{ type: 18, value: 1 }] };
    expect(ike.negotiate(ours, [strange]).ok).toBe(false);
    expect(chosen(ours, [strange, { ...good!, number: 2 }])).toBe('2: aes128gcm16-prfsha256-ecp256');
    expect(chosen(ours, [mixed])).toBe('1: aes128gcm16-prfsha256-ecp256');
    expect(ike.negotiate(ours, [{ ...good!, transforms: [attributed, ...good!.transforms.slice(1)] }]).ok).toBe(false);
    expect(chosen(ours, [{ ...good!, transforms: [attributed, ...good!.transforms] }])).toBe(
      '1: aes128gcm16-prfsha256-ecp256',
    );
  });

  it('§3.3.6, RFC 9370: additional key exchanges are declined where theirs may be NONE', () => {
    const ours = words('ike', 'aes128gcm16-prfsha256-ecp256');
    const [good] = words('ike', 'aes128gcm16-prfsha256-ecp256');
    const optional = { ...good!, transforms: [...good!.transforms, t(TRANSFORM.ADDKE1, 36), t(TRANSFORM.ADDKE1, 0)] };
    const result = ike.negotiate(ours, [optional]);
    expect(result).toMatchObject({ ok: true, proposal: { transforms: [...good!.transforms, t(TRANSFORM.ADDKE1, 0)] } });
    if (result.ok) expect(ike.checkSelected([optional], [result.proposal]).ok).toBe(true);
    const demanded = { ...good!, transforms: [...good!.transforms, t(TRANSFORM.ADDKE1, 36)] };
    expect(ike.negotiate(ours, [demanded]).ok).toBe(false);
  });

  it('IKE and ESP proposals do not mix', () => {
    expect(ike.negotiate(words('esp', 'aes128gcm16'), [{ ...words('esp', 'aes128gcm16')[0]!, protocol: 2 }]).ok).toBe(
      false,
    );
  });

  it('equals a naive model', () => {
    const pool: Record<number, readonly ike.Transform[]> = {
      [TRANSFORM.ENCR]: [t(1, 12, 128), t(1, 12, 256), t(1, 20, 128)],
      [TRANSFORM.INTEG]: [t(3, 0), t(3, 12), t(3, 13)],
      [TRANSFORM.KE]: [t(4, 0), t(4, 14), t(4, 19)],
      [TRANSFORM.ESN]: [t(5, 0), t(5, 1)],
    };
    const some = (type: number) => fc.shuffledSubarray([...pool[type]!]);
    const esp = fc.tuple(some(1), some(3), some(4), some(5)).map((parts) => proposal(3, ...parts.flat()));
    /** All ways to take one transform (or none) of each type, best for `own` first; the first that both allow. */
    const model = (own: ike.Proposal, peer: ike.Proposal): string[] | undefined => {
      const out: string[] = [];
      for (const type of [1, 3, 4, 5]) {
        const of = (p: ike.Proposal) =>
          p.transforms.filter((x) => x.type === type).map((x) => `${x.type}/${x.id}/${x.keyBits}`);
        const nothing = `${type}/0/undefined`;
        const optional = type === 3 || type === 4;
        const [a, b] = [of(own), of(peer)];
        if (b.length === 0 && (a.length === 0 || (optional && a.includes(nothing)))) continue;
        const both = (a.length === 0 && optional ? [nothing] : a).find((x) => b.includes(x));
        if (both === undefined) return undefined;
        out.push(both);
      }
      return out;
    };
    fc.assert(
      fc.property(esp, esp, (own, peer) => {
        const result = ike.negotiate([own], [peer]);
        const got = result.ok ? result.proposal.transforms.map((x) => `${x.type}/${x.id}/${x.keyBits}`) : undefined;
        expect(got).toEqual(model(own, peer));
        if (result.ok) expect(ike.checkSelected([peer], [result.proposal])).toMatchObject({ ok: true });
      }),
      { numRuns: 500 },
    );
  });

  it('any proposals of theirs: a choice the initiator accepts, or an explanation', () => {
    const ours = [
      ...words('ike', 'aes256gcm16-prfsha384-ecp384', 'aes128-sha256-modp2048'),
      ...words('esp', 'aes128gcm16-ecp256-modpnone', 'aes128-sha256'),
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(anyProposal, fc.constantFrom(...ours)), { maxLength: 5 }), (list) => {
        const theirs = list.map((p, i) => ({ ...p, number: i + 1 }));
        const result = ike.negotiate(ours, theirs);
        if (result.ok) expect(ike.checkSelected(theirs, [result.proposal])).toMatchObject({ ok: true });
        else expect(result.lines.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe('why nothing was chosen', () => {
  const lines = (ours: ike.Proposal[], theirs: ike.Proposal[], options?: ike.NegotiateOptions) =>
    ike.explainMismatch(ours, theirs, options);

  it('names the nearest of ours, the first difference and the word that would fit', () => {
    const ours = words('ike', 'aes256gcm16-prfsha384-ecp384', 'aes256-sha256-modp2048');
    expect(lines(ours, words('ike', 'aes128-sha256-modp2048', 'aes256gcm16-prfsha384-ecp256'))).toEqual([
      'theirs 1: aes128-sha256-modp2048',
      '  nearest of ours: aes256-sha256-modp2048',
      '  encryption differs: ours aes256, theirs aes128',
      '  to accept it, add: aes128-sha256-modp2048',
      'theirs 2: aes256gcm16-prfsha384-ecp256',
      '  nearest of ours: aes256gcm16-prfsha384-ecp384',
      '  key exchange differs: ours ecp384, theirs ecp256',
      '  to accept it, add: aes256gcm16-prfsha384-ecp256',
    ]);
  });

  it('says what is obsolete', () => {
    expect(lines(words('ike', 'aes256-sha256-modp2048'), words('ike', '3des-sha1-modp1024'))).toEqual([
      'theirs 1: 3des-sha1-modp1024',
      '  nearest of ours: aes256-sha256-modp2048',
      '  encryption differs: ours aes256, theirs 3des',
      '  to accept it, add: 3des-sha1-modp1024 (obsolete: needs "legacy: true")',
    ]);
  });

  it('says what is not implemented, and what cannot be', () => {
    const ours = words('ike', 'aes256-sha256-modp2048');
    const [own] = ours;
    const camellia = { ...own!, transforms: [t(TRANSFORM.ENCR, 23, 256), ...own!.transforms.slice(1)] };
    expect(lines(ours, [camellia])).toEqual([
      'theirs 1: ENCR(23/256)-sha256-modp2048',
      '  nearest of ours: aes256-sha256-modp2048',
      '  encryption differs: ours aes256, theirs ENCR(23/256)',
      '  nothing here implements ENCR(23/256)',
    ]);
    const noPrf = { ...own!, transforms: own!.transforms.filter(({ type }) => type !== TRANSFORM.PRF) };
    expect(lines(ours, [noPrf])).toEqual([
      'theirs 1: aes256-sha256-modp2048',
      '  nearest of ours: aes256-sha256-modp2048',
      '  PRF differs: ours prfsha256, theirs none',
      '  no proposal can fit: theirs lacks PRF (RFC 7296 §3.3.3)',
    ]);
  });

  it('perfect forward secrecy on one side only', () => {
    const [with_, without] = [words('esp', 'aes256gcm16-ecp384'), words('esp', 'aes256gcm16')];
    expect(lines(with_, without)).toEqual([
      'theirs 1: aes256gcm16-noesn',
      '  nearest of ours: aes256gcm16-ecp384-noesn',
      '  key exchange differs: ours ecp384, theirs none',
      '  to accept it, add: aes256gcm16-noesn',
    ]);
    expect(lines(without, with_)).toEqual([
      'theirs 1: aes256gcm16-ecp384-noesn',
      '  nearest of ours: aes256gcm16-noesn',
      '  key exchange differs: ours none, theirs ecp384',
      '  to accept it, add: aes256gcm16-ecp384-noesn',
    ]);
  });

  it('sequence numbers', () => {
    expect(lines(words('esp', 'aes256gcm16-esn'), words('esp', 'aes256gcm16-noesn'))).toEqual([
      'theirs 1: aes256gcm16-noesn',
      '  nearest of ours: aes256gcm16-esn',
      '  sequence numbers differ: ours esn, theirs noesn',
      '  to accept it, add: aes256gcm16-noesn',
    ]);
  });

  it('the word it recommends does fit', () => {
    const pool = [
      'aes128',
      'aes256',
      '3des',
      'sha1',
      'sha256',
      'sha512',
      'modp2048',
      'ecp256',
      'curve25519',
      'modp1024',
    ];
    const any = fc
      .tuple(
        fc.subarray(pool.slice(0, 3), { minLength: 1 }),
        fc.subarray(pool.slice(3, 6), { minLength: 1 }),
        fc.subarray(pool.slice(6), { minLength: 1 }),
      )
      .map((parts) => parts.flat().join('-'));
    fc.assert(
      fc.property(any, any, (a, b) => {
        const [ours, theirs] = [words('ike', a), words('ike', b)];
        const result = ike.negotiate(ours, theirs);
        if (result.ok) return;
        const word = /add: (\S+)/.exec(result.lines.at(-1)!)![1]!;
        expect(ike.negotiate([...ours, ...words('ike', word)], theirs).ok).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('is short however much was offered', () => {
    const many = Array.from({ length: 200 }, (_, i) => ({
      ...words('ike', 'aes128-sha256-modp2048')[0]!,
      number: i + 1,
    }));
    const text = lines(words('ike', 'aes256-sha256-modp2048'), many);
    expect(text.length).toBe(8 * 4 + 1);
    expect(text.at(-1)).toBe('and 192 more of theirs');
    expect(lines(words('ike', 'aes256-sha256-modp2048'), [])).toEqual(['theirs: no proposal at all']);
    expect(lines([], words('esp', 'aes128gcm16'))).toEqual([
      'theirs 1: aes128gcm16-noesn',
      '  ours: no proposal at all',
    ]);
  });
});

describe('RFC 7296 §3.3.6: what a responder chose must be one of what was offered', () => {
  const offered = words('ike', 'aes256gcm16-aes128gcm16-prfsha384-ecp384-ecp256', 'aes128-sha256-modp2048');
  const [aead, classic] = words('ike', 'aes128gcm16-prfsha384-ecp256', 'aes128-sha256-modp2048');
  const problem = (selected: readonly ike.Proposal[], options?: { withoutGroups?: boolean }) => {
    const result = ike.checkSelected(offered, selected, options);
    return result.ok ? 'accepted' : result.problem;
  };
  const but = (p: ike.Proposal, type: number, ...replaced: ike.Transform[]): ike.Proposal => ({
    ...p,
    transforms: [...p.transforms.filter((x) => x.type !== type), ...replaced],
  });

  it('takes either', () => {
    expect(ike.checkSelected(offered, [aead!])).toEqual({ ok: true, proposal: aead });
    expect(ike.checkSelected(offered, [classic!])).toEqual({ ok: true, proposal: classic });
  });

  it.each([
    ['none', () => [], 'the answer holds 0 proposals'],
    ['two', () => [aead!, classic!], 'the answer holds 2 proposals'],
    ['a number that was not offered', () => [{ ...aead!, number: 3 }], 'the answer takes proposal 3, 2 were offered'],
    ['another protocol', () => [{ ...aead!, protocol: 3 }], 'the answer is for ESP, IKE was offered'],
    [
      'another number',
      () => [{ ...aead!, number: 2 }],
      'the answer takes aes128gcm16 for encryption: offered were aes128',
    ],
    [
      'a key length that was not offered',
      () => [but(aead!, 1, t(1, 20, 192))],
      'the answer takes aes192gcm16 for encryption: offered were aes256gcm16, aes128gcm16',
    ],
    [
      'two of one type',
      () => [but(aead!, 1, t(1, 20, 128), t(1, 20, 256))],
      'the answer holds 2 transforms for encryption',
    ],
    ['a type left out', () => [but(aead!, 4)], 'the answer leaves out key exchange: offered were ecp384, ecp256'],
    [
      'a group NONE',
      () => [but(aead!, 4, t(4, 0))],
      'the answer takes modpnone for key exchange: offered were ecp384, ecp256',
    ],
    [
      'a type nobody offered',
      () => [but(aead!, 77, t(77, 1))],
      'the answer takes TRANSFORM(77)(1) for TRANSFORM(77): offered were none',
    ],
    [
      'integrity beside an AEAD',
      () => [but(aead!, 3, t(3, 12))],
      'the answer takes sha256 for integrity: offered were none',
    ],
  ] as const)('refuses %s', (_, selected, expected) => {
    expect(problem(selected())).toBe(expected);
  });

  it('integrity NONE beside an AEAD is nothing new', () => {
    expect(problem([but(aead!, 3, t(3, 0))])).toBe('accepted');
  });

  it('§1.2: groups of a child of IKE_AUTH are no matter', () => {
    expect(problem([but(aead!, 4)], { withoutGroups: true })).toBe('accepted');
  });
});

describe('suites', () => {
  it('of an IKE proposal', () => {
    const suite = ike.suiteOfIke(words('ike', 'aes128-sha256-modp2048')[0]!);
    expect([suite.encryption.word, suite.integrity?.word, suite.prf.word, suite.group.word]).toEqual([
      'aes128',
      'sha256',
      'prfsha256',
      'modp2048',
    ]);
  });

  it('of an ESP proposal, with and without group and ESN', () => {
    const suite = (text: string) => {
      const { encryption, integrity, group, esn } = ike.suiteOfChild(words('esp', text)[0]!);
      return [encryption.word, integrity?.word, group?.word, esn];
    };
    expect(suite('aes256gcm16-ecp384-esn')).toEqual(['aes256gcm16', undefined, 'ecp384', true]);
    expect(suite('null-sha256')).toEqual(['null', 'sha256', undefined, false]);
    expect(suite('aes256gcm16-modpnone')).toEqual(['aes256gcm16', undefined, undefined, false]);
  });

  it('of anything else is a broken invariant', () => {
    expect(() => ike.suiteOfIke(words('esp', 'aes256gcm16')[0]!)).toThrow('broken invariant');
    expect(() => ike.suiteOfChild(proposal(3, t(1, 12, 128), t(5, 0)))).toThrow('broken invariant');
  });
});
