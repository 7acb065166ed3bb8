import { describe, expect, it } from 'vitest';
import {
  type Engine,
  encryptionByWord,
  integrityByWord,
  lazyProtection,
  NO_ESN,
  nodeEngine,
} from '../../src/crypto/index.ts';

const encryption = encryptionByWord('aes128')!;
const integrity = integrityByWord('sha256')!;
const keys = { encryption: new Uint8Array(16).fill(1), integrity: new Uint8Array(32).fill(2) };

/** Counts what is made and disposed of. */
function counting(): { engine: Engine; made: number; disposed: number } {
  const state = {
    made: 0,
    disposed: 0,
    engine: {
      ...nodeEngine,
      protection: (...args: Parameters<Engine['protection']>) => {
        state.made += 1;
        const dispose = (): void => {
          state.disposed += 1;
        };
        return { ...nodeEngine.protection(...args), dispose };
      },
    },
  };
  return state;
}

describe('a lazy protection', () => {
  it('is made by the first packet, once, and protects as the engine itself', () => {
    const state = counting();
    const lazy = lazyProtection(state.engine, encryption, integrity, keys);
    const plain = nodeEngine.protection(encryption, integrity, keys);
    const { ivLength, ivKind, blockSize, icvLength } = plain;
    expect(lazy).toMatchObject({ ivLength, ivKind, blockSize, icvLength });
    expect(state.made).toBe(0);
    const [a, b] = [new Uint8Array(8 + 16 + 32 + 16), new Uint8Array(8 + 16 + 32 + 16)];
    lazy.seal(a, 0, 8, 56, NO_ESN);
    plain.seal(b, 0, 8, 56, NO_ESN);
    expect(a).toEqual(b);
    expect(lazy.open(a, 0, 8, 56, NO_ESN)).toBe(true);
    expect(state.made).toBe(1);
  });

  it('ends with dispose, used or not', () => {
    const state = counting();
    const used = lazyProtection(state.engine, encryption, integrity, keys);
    used.seal(new Uint8Array(72), 0, 8, 56, NO_ESN);
    used.dispose?.();
    expect(state.disposed).toBe(1);
    const idle = lazyProtection(state.engine, encryption, integrity, keys);
    idle.dispose?.();
    expect(state.disposed).toBe(1);
    expect(() => idle.seal(new Uint8Array(72), 0, 8, 56, NO_ESN)).toThrow('not used after its end');
  });

  it('refuses keys of the wrong length at once', () => {
    expect(() =>
      lazyProtection(nodeEngine, encryption, integrity, { ...keys, integrity: new Uint8Array(3) }),
    ).toThrow();
  });
});
