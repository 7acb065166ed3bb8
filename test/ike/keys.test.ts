/** Keys where the recorded sessions have nothing: PRFs of fixed key length. The rest is in `sessions.test.ts`. */
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, Secret, seededRandom, toHex } from '../../src/core/index.ts';
import { encryptionByWord, groupByWord, integrityByWord, prfByWord, prfPlus } from '../../src/crypto/index.ts';
import * as ike from '../../src/ike/index.ts';

interface Vector {
  readonly key: string;
  readonly message: string;
  readonly output: string;
}
const vectors = JSON.parse(
  readFileSync(new URL('../vectors/ike/kdf/rfc4434-4615-prf.json', import.meta.url), 'utf8'),
) as Record<string, Vector[]>;

describe.each([
  ['prfaesxcbc', 'aesXcbcPrf128', 'RFC 4434 §2.1'],
  ['prfaescmac', 'aesCmacPrf128', 'RFC 4615 §4'],
] as const)('%s', (word, table, source) => {
  const prf = prfByWord(word)!;
  const random = seededRandom(3);

  it(`RFC 7296 §2.14, ${source}: SKEYSEED is keyed with the first 64 bits of each nonce`, () => {
    const whole = vectors[table]!.filter((v) => v.key.length === 32);
    expect(whole.length).toBeGreaterThan(0);
    for (const { key, message, output } of whole) {
      const octets = fromHex(key);
      const [nonceI, nonceR] = [octets.subarray(0, 8), octets.subarray(8)].map((half) => concat(half, random(24)));
      const seed = ike.initialSkeyseed(prf, nonceI!, nonceR!, fromHex(message));
      expect(toHex(seed.reveal())).toBe(output);
    }
  });

  it('RFC 7296 §2.14, §2.18: prf+ and the rekeyed SKEYSEED take whole nonces', () => {
    const suite: ike.IkeSuite = {
      encryption: encryptionByWord('aes128')!,
      integrity: integrityByWord('aesxcbc'),
      prf,
      group: groupByWord('ecp256')!,
    };
    const [nonceI, nonceR, spiI, spiR] = [random(32), random(32), random(8), random(8)];
    const keys = ike.initialKeys(suite, { spiI, spiR, nonceI, nonceR }, random(32));
    expect([keys.skD, keys.skPi, keys.skAi, keys.skEi].map((k) => k.length)).toEqual([16, 16, 16, 16]);
    const shared = random(32);
    const seed = ike.rekeyedSkeyseed(prf, keys.skD, nonceI, nonceR, shared);
    expect(toHex(seed.reveal())).toBe(toHex(prf.compute(keys.skD.reveal(), concat(shared, nonceI, nonceR))));
    const expanded = ike.expandIkeKeys(suite, { spiI, spiR, nonceI, nonceR }, seed);
    const stream = prfPlus(prf, seed.reveal(), concat(nonceI, nonceR, spiI, spiR), 112);
    const { skD, skAi, skAr, skEi, skEr, skPi, skPr } = expanded;
    expect(toHex(concat(...[skD, skAi, skAr, skEi, skEr, skPi, skPr].map((k) => k.reveal())))).toBe(toHex(stream));
  });
});

describe('secrets', () => {
  it('show nothing of themselves', () => {
    const suite: ike.IkeSuite = {
      encryption: encryptionByWord('aes256gcm16')!,
      integrity: undefined,
      prf: prfByWord('prfsha256')!,
      group: groupByWord('ecp256')!,
    };
    const random = seededRandom(4);
    const inputs = { spiI: random(8), spiR: random(8), nonceI: random(32), nonceR: random(32) };
    const keys = ike.initialKeys(suite, inputs, random(32));
    for (const text of [JSON.stringify(keys), inspect(keys, { depth: 9, showHidden: true }), String(keys.skD)]) {
      for (const key of Object.values(keys) as Secret[]) {
        if (key.length > 0) expect(text).not.toContain(toHex(key.reveal()).slice(0, 16));
      }
      expect(text).toContain('<secret>');
    }
    expect([keys.skAi.length, keys.skAr.length], 'RFC 5282 §7.1').toEqual([0, 0]);
    expect(keys.skEi.length, 'RFC 5282 §7.1: key and salt').toBe(36);
  });

  it('RFC 7296 §2.17: KEYMAT is cut initiator first, encryption before integrity; with PFS g^ir stands in front', () => {
    const prf = prfByWord('prfsha256')!;
    const random = seededRandom(8);
    const [skD, ni, nr, shared] = [random(32), random(32), random(32), random(48)];
    const suite = {
      encryption: encryptionByWord('aes128ctr')!,
      integrity: integrityByWord('sha384'),
      group: undefined,
      esn: true,
    };
    for (const secret of [undefined, shared]) {
      const keys = ike.childKeys(prf, new Secret(skD), suite, ni, nr, secret);
      const stream = prfPlus(prf, skD, concat(secret ?? new Uint8Array(0), ni, nr), 2 * (20 + 48));
      const cut = [
        keys.initiator.encryption,
        keys.initiator.integrity,
        keys.responder.encryption,
        keys.responder.integrity,
      ];
      expect(cut.map((k) => k.length)).toEqual([20, 48, 20, 48]);
      expect(toHex(concat(...cut.map((k) => k.reveal())))).toBe(toHex(stream));
    }
  });
});

describe('RFC 7296 §2.15: AUTH by pre-shared key', () => {
  const prf = prfByWord('prfsha256')!;
  const octets = ike.signedOctets(prf, new Secret(fromHex('aa')), fromHex('01'), fromHex('02'), fromHex('03'));

  it('is refused when any octet, the length or the key differs', () => {
    const psk = Secret.fromText('lab-psk');
    const auth = ike.pskAuth(prf, psk, octets);
    expect(ike.verifyPskAuth(prf, psk, octets, auth)).toBe(true);
    expect(ike.verifyPskAuth(prf, Secret.fromText('lab-psk\n'), octets, auth)).toBe(false);
    expect(ike.verifyPskAuth(prf, psk, octets, auth.subarray(1))).toBe(false);
    expect(ike.verifyPskAuth(prf, psk, octets, new Uint8Array(0))).toBe(false);
    for (let i = 0; i < auth.length; i++) {
      const changed = auth.slice();
      changed[i] = changed[i]! ^ 1;
      expect(ike.verifyPskAuth(prf, psk, octets, changed)).toBe(false);
    }
  });

  it('keys of any length and content are taken (64 octets and more, no octet is special)', () => {
    for (const length of [1, 64, 65, 300]) {
      const auth = ike.pskAuth(prf, new Secret(new Uint8Array(length)), octets);
      expect(auth.length).toBe(32);
      expect(ike.verifyPskAuth(prf, new Secret(new Uint8Array(length)), octets, auth)).toBe(true);
    }
  });
});
