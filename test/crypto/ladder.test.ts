import { describe, expect, test } from 'vitest';
import { NO_ESN } from '../../src/crypto/contract.ts';
import {
  answerOf,
  Burst,
  chooseEngine,
  defaultEngine,
  ENGINES,
  type Engine,
  encryptionByWord,
  ladder,
  nobleEngine,
  nodeEngine,
  oneByOne,
  type Protection,
  SUITES,
  selfTest,
} from '../../src/crypto/index.ts';
import { KNOWN_ANSWERS } from '../../src/crypto/known-answers.ts';
import { keysOf } from './suite.ts';

const words = SUITES.map(({ word }) => word);

describe('known answers', () => {
  test('stand for every suite, and are those of the reference engine; of node for 3DES, which the reference lacks', () => {
    expect(Object.keys(KNOWN_ANSWERS).sort()).toEqual([...words].sort());
    for (const suite of SUITES) {
      const reference = nobleEngine.supports(suite.encryption, suite.integrity) ? nobleEngine : nodeEngine;
      expect([suite.word, answerOf(reference, suite)]).toEqual([suite.word, KNOWN_ANSWERS[suite.word]]);
    }
  });

  test.each(ENGINES)('the $name engine knows its own', (engine) => {
    const mine = SUITES.filter(({ encryption, integrity }) => engine.supports(encryption, integrity));
    expect(mine.flatMap((suite) => selfTest(engine, suite) ?? [])).toEqual([]);
  });

  const gcm = SUITES.find(({ word }) => word === 'aes128gcm16')!;
  const cases: readonly [string, (right: Protection) => Partial<Protection>][] = [
    ['the lengths are wrong', () => ({ icvLength: 12 })],
    [
      'a known answer is wrong',
      (right) => ({
        seal: (buf, from, iv, end, high) => {
          right.seal(buf, from, iv, end, high);
          buf[end]! ^= 1;
        },
      }),
    ],
    ['a known answer is wrong in a burst', () => ({ sealBurst: () => {} })],
    ['a right packet is refused', () => ({ open: () => false })],
    ['a packet is decrypted wrongly', () => ({ open: () => true })],
    ['a changed packet is accepted', () => ({ openBurst: ({ authentic }) => void authentic.fill(1) })],
    ['a right packet is refused in a burst', () => ({ openBurst: ({ authentic }) => void authentic.fill(0) })],
    [
      'a packet is decrypted wrongly in a burst',
      () => ({
        openBurst: ({ authentic, count }) => {
          authentic.fill(1);
          authentic[count - 1] = 0;
        },
      }),
    ],
    [
      'it does not work here',
      () => ({
        seal: () => {
          throw new Error('it does not work here');
        },
      }),
    ],
  ];

  test.each(cases)('%s: said of an engine of which it is so', (problem, broken) => {
    expect(selfTest(altered(broken), gcm)).toBe(problem);
  });

  test('what an engine keeps is freed, whatever came out', () => {
    for (const broken of [{}, { open: () => false }]) {
      const freed: string[] = [];
      const counting = altered(() => ({ ...broken, dispose: () => void freed.push('once') }));
      selfTest(counting, gcm);
      expect(freed).toEqual(['once']);
    }
  });
});

describe('the choice of an engine', () => {
  test('falls, suite by suite, to the next engine that has it', () => {
    const onlyGcm: Engine = { ...nodeEngine, name: 'gcm', supports: (e) => e.name === 'ENCR_AES_GCM_16' };
    const { engine, tried } = chooseEngine([onlyGcm, nodeEngine, nobleEngine]);
    expect(tried).toEqual([
      { name: 'gcm', ok: true, why: '', suites: 3, serves: 3 },
      { name: 'node', ok: true, why: '', suites: words.length, serves: words.length - 3 },
      { name: 'noble', ok: true, why: '', suites: words.length - 6, serves: 0 },
    ]);
    expect(engine.name).toBe('gcm, node');
    expect(SUITES.every(({ encryption, integrity }) => engine.supports(encryption, integrity))).toBe(true);
  });

  test('an engine with one wrong answer serves nothing', () => {
    const wrong = altered(() => ({ open: () => false }), 'aes256ctr-sha1');
    const { engine, tried } = chooseEngine([wrong, nodeEngine]);
    expect(tried[0]).toEqual({
      name: 'altered',
      ok: false,
      why: 'aes256ctr-sha1: a right packet is refused',
      suites: words.length,
      serves: 0,
    });
    expect(engine.name).toBe('node');
  });

  test('one that nobody needs is asked only when thorough', () => {
    const wrong = altered(() => ({ open: () => false }), 'null-sha1');
    const why = 'null-sha1: a right packet is refused';
    expect(chooseEngine([nodeEngine, wrong]).tried[1]).toMatchObject({ ok: true, why: '', serves: 0 });
    expect(chooseEngine([nodeEngine, wrong], true).tried[1]).toMatchObject({ ok: false, why, serves: 0 });
  });

  test('says why an engine is not there', () => {
    const { engine, tried } = chooseEngine([{ name: 'fast', why: 'is not installed' }, nodeEngine]);
    expect(tried[0]).toEqual({ name: 'fast', ok: false, why: 'is not installed', suites: 0, serves: 0 });
    expect(engine.name).toBe('node');
  });

  test('without any engine there is nothing to go on with', () => {
    expect(() => chooseEngine([{ name: 'fast', why: 'is not installed' }])).toThrow('one engine at least');
  });

  test('an engine that wants many packets at once is given no fewer', () => {
    const calls: string[] = [];
    const rung = (name: string, leastBurst: number): Engine => ({
      ...nodeEngine,
      leastBurst: () => leastBurst,
      protection: (encryption, integrity, keys) => ({
        ...nodeEngine.protection(encryption, integrity, keys),
        seal: () => void calls.push(`${name} seal`),
        open: () => calls.push(`${name} open`) > 0,
        sealBurst: (_burst, first, stop) => void calls.push(`${name} seals ${stop - first}`),
        openBurst: (_burst, first, stop) => void calls.push(`${name} opens ${stop - first}`),
        dispose: () => void calls.push(`${name} ends`),
      }),
    });
    const [suite] = SUITES as [(typeof SUITES)[0]];
    const burst = new Burst(new Uint8Array(8), 8);
    const use = (...rungs: readonly Engine[]): string[] => {
      calls.length = 0;
      const p = ladder(rungs).protection(suite.encryption, suite.integrity, keysOf(suite, 1));
      p.seal(burst.buf, 0, 0, 0, NO_ESN);
      p.open(burst.buf, 0, 0, 0, NO_ESN);
      p.sealBurst(burst, 2, 4);
      p.openBurst(burst, 2, 5);
      p.dispose?.();
      return [...calls];
    };
    const alone = ['many seal', 'many open', 'many seals 2', 'many opens 3', 'many ends'];
    expect(use(rung('many', 3), rung('few', 1))).toEqual([
      'few seal',
      'few open',
      'few seals 2',
      'many opens 3',
      'many ends',
      'few ends',
    ]);
    expect(use(rung('many', 3))).toEqual(alone);
    expect(use(rung('many', 1), rung('few', 1))).toEqual(alone);
  });

  test('a ladder refuses what no rung has, and names its rungs', () => {
    const chacha = encryptionByWord('chacha20poly1305')!;
    const empty = ladder([]);
    expect(empty.supports(chacha, undefined)).toBe(false);
    expect(() => empty.protection(chacha, undefined, keysOf({ encryption: chacha, integrity: undefined }, 1))).toThrow(
      'an engine has ENCR_CHACHA20_POLY1305 with no integrity',
    );
    expect(defaultEngine.name).toBe('node, noble');
  });
});

describe('a burst', () => {
  test('is filled up to its capacity and used again', () => {
    const burst = new Burst(new Uint8Array(64), 2);
    expect([burst.add(0, 8, 16, NO_ESN), burst.add(32, 40, 48, 0xffffffff)]).toEqual([0, 1]);
    expect(() => burst.add(0, 8, 16, NO_ESN)).toThrow('beyond its capacity');
    expect([...burst.high]).toEqual([NO_ESN, 0xffffffff]);
    burst.authentic.fill(1);
    burst.clear();
    expect(burst.add(1, 9, 17, 5)).toBe(0);
    expect([burst.count, burst.from[0], burst.iv[0], burst.end[0], burst.high[0], burst.authentic[0]]).toEqual([
      1, 1, 9, 17, 5, 0,
    ]);
  });

  test('only the run asked for is touched', () => {
    const seen: string[] = [];
    const counting = oneByOne({
      ivLength: 0,
      ivKind: 'none',
      blockSize: 1,
      icvLength: 0,
      seal: (_buf, from) => void seen.push(`seal ${from}`),
      open: (_buf, from) => from === 2,
    });
    const burst = new Burst(new Uint8Array(8), 4);
    for (let i = 0; i < 4; i++) burst.add(i, i, i, NO_ESN);
    burst.authentic.fill(7);
    counting.sealBurst(burst, 1, 3);
    counting.openBurst(burst, 1, 3);
    expect(seen).toEqual(['seal 1', 'seal 2']);
    expect([...burst.authentic]).toEqual([7, 0, 1, 7]);
  });
});

/** The node engine, with something changed in every protection, or in those of one suite. */
function altered(change: (right: Protection) => Partial<Protection>, word?: string): Engine {
  return {
    ...nodeEngine,
    name: 'altered',
    protection(encryption, integrity, keys) {
      const right = nodeEngine.protection(encryption, integrity, keys);
      const mine = SUITES.find((suite) => suite.encryption === encryption && suite.integrity === integrity)!.word;
      return word === undefined || word === mine ? { ...right, ...change(right) } : right;
    },
  };
}
