/** The native engines against the one that needs nothing: the same octets, the same refusals, and nothing outside a packet touched. */
import { describe, expect, test } from 'vitest';
import { type Bytes, seededRandom } from '../../src/core/index.ts';
import {
  Burst,
  chooseEngine,
  type Encryption,
  type Engine,
  NO_ESN,
  nodeEngine,
  type Protection,
  SUITES,
  type Suite,
} from '../../src/crypto/index.ts';
import { engineCandidates } from '../../src/runtime/engines/index.ts';
import { frame, keysOf, untouchedAround } from '../crypto/suite.ts';

const HIGHS = [NO_ESN, 0, 1, 0x80000001, 0xffffffff];
const LONG = [128, 255, 256, 1000, 1400, 1440, 9000, 40_000, 65_280];
const lengthsOf = ({ blockSize }: Encryption): readonly number[] =>
  [...Array.from({ length: 71 }, (_, i) => i), ...LONG].filter((length) => length % blockSize === 0);

for (const candidate of engineCandidates().slice(0, 2)) {
  if (!('why' in candidate)) describe(`the ${candidate.name} engine`, () => laws(candidate));
  else if (process.env.BULKHEAD_REQUIRE_PEERS === '1')
    throw new Error(`BULKHEAD_REQUIRE_PEERS=1, but ${candidate.name}: ${candidate.why}`);
  else {
    process.stderr.write(`skipped: ${candidate.name}: ${candidate.why}\n`);
    describe.skip(`the ${candidate.name} engine: ${candidate.why}`, () => laws(nodeEngine));
  }
}

function laws(engine: Engine): void {
  const suites = SUITES.filter(({ encryption, integrity }) => engine.supports(encryption, integrity));
  const pairOf = (suite: Suite, seed: number): readonly [Protection, Protection] => {
    const keys = keysOf(suite, seed);
    return [
      engine.protection(suite.encryption, suite.integrity, keys),
      nodeEngine.protection(suite.encryption, suite.integrity, keys),
    ];
  };

  test('has what RFC 8221 §5 and §6 ask for', () => {
    const words = suites.map(({ word }) => word);
    expect(words).toEqual(expect.arrayContaining(['aes256gcm16', 'aes128gcm16', 'chacha20poly1305', 'null-sha256']));
    expect(words).toEqual(expect.arrayContaining(['aes256-sha256', 'aes128-sha512', 'aes256ctr-sha384']));
  });

  test('takes an AEAD alone and any other cipher with an integrity', () => {
    const [gcm, cbc] = ['aes128gcm16', 'aes128-sha256'].map((word) => SUITES.find((suite) => suite.word === word)!);
    expect(engine.supports(gcm!.encryption, cbc!.integrity)).toBe(false);
    expect(engine.supports(cbc!.encryption, undefined)).toBe(false);
  });

  describe.each(suites)('$word', (suite) => {
    const { encryption } = suite;

    test('writes the same octets, for every length and sequence number width, and opens them', () => {
      const [ours, node] = pairOf(suite, 2);
      for (const length of lengthsOf(encryption)) {
        for (const high of [NO_ESN, HIGHS[length % HIGHS.length]!]) {
          const f = frame(suite, 8, length, length);
          const g = { ...f, buf: f.buf.slice() };
          const plain = f.buf.slice();
          ours.seal(f.buf, f.from, f.iv, f.end, high);
          node.seal(g.buf, g.from, g.iv, g.end, high);
          same(f.buf, g.buf, `${length} octets sealed`);
          expect(ours.open(f.buf, f.from, f.iv, f.end, high)).toBe(true);
          same(f.buf.subarray(0, f.end), plain.subarray(0, f.end), `${length} octets opened`);
          expect(untouchedAround(f)).toBe(true);
        }
      }
    });

    test('refuses a change in header, IV, ciphertext or ICV, and another high half; the plaintext is erased', () => {
      const [ours] = pairOf(suite, 3);
      for (const [length, high] of [
        [0, NO_ESN],
        [0, 7],
        [48, NO_ESN],
        [48, 7],
      ] as const) {
        const f = frame(suite, 8, length, 3);
        ours.seal(f.buf, f.from, f.iv, f.end, high);
        const text = f.iv + encryption.ivLength;
        for (let at = f.from; at < f.stop; at++) {
          const changed = f.buf.slice();
          changed[at]! ^= 1 << (at & 7);
          const icv = changed.slice(f.end, f.stop);
          expect(ours.open(changed, f.from, f.iv, f.end, high)).toBe(false);
          expect(changed.subarray(text, f.end).every((octet) => octet === 0)).toBe(true);
          same(changed.subarray(f.end, f.stop), icv, 'the ICV as it came');
          expect(untouchedAround({ ...f, buf: changed })).toBe(true);
        }
        for (const other of [NO_ESN, 0, 6, 8].filter((candidate) => candidate !== high)) {
          expect(ours.open(f.buf.slice(), f.from, f.iv, f.end, other)).toBe(false);
        }
        expect(ours.open(f.buf, f.from, f.iv, f.end, high)).toBe(true);
      }
    });

    test('bursts of 1 to 33 packets, and of more than the engine takes at once', () => {
      const [ours, node] = pairOf(suite, 4);
      for (const count of [...Array.from({ length: 33 }, (_, i) => i + 1), 128, 129, 300]) {
        const random = seededRandom(count);
        const [mine, theirs] = [burstOf(suite, count, count), burstOf(suite, count, count)];
        const plain = mine.buf.slice();
        ours.sealBurst(mine, 0, count);
        node.sealBurst(theirs, 0, count);
        same(mine.buf, theirs.buf, `a burst of ${count}`);

        // About a third of the packets is changed somewhere.
        const changed = Array.from({ length: count }, () => random(1)[0]! < 85);
        for (let i = 0; i < count; i++) {
          const octets = mine.end[i]! + node.icvLength - mine.from[i]!;
          const [high = 0, low = 0, bit = 0] = random(3);
          if (changed[i]) mine.buf[mine.from[i]! + ((high * 256 + low) % octets)]! ^= 1 << (bit & 7);
        }
        ours.openBurst(mine, 0, count);
        for (let i = 0; i < count; i++) {
          expect(mine.authentic[i]).toBe(changed[i] ? 0 : 1);
          const text = mine.iv[i]! + encryption.ivLength;
          const expected = changed[i] ? new Uint8Array(mine.end[i]! - text) : plain.subarray(text, mine.end[i]!);
          same(mine.buf.subarray(text, mine.end[i]!), expected, `packet ${i} of ${count}`);
        }
      }
    });

    test('a later change of the key octets changes nothing; the end of one protection does not touch another', () => {
      const keys = keysOf(suite, 5);
      const ours = engine.protection(encryption, suite.integrity, keys);
      const other = engine.protection(encryption, suite.integrity, keys);
      const f = frame(suite, 8, 32, 5);
      ours.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
      keys.encryption.fill(0);
      keys.integrity.fill(0);
      ours.dispose?.();
      ours.dispose?.();
      expect(other.open(f.buf, f.from, f.iv, f.end, NO_ESN)).toBe(true);
      const burst = burstOf(suite, 2, 5);
      const before = burst.buf.slice();
      for (const use of [
        () => ours.seal(burst.buf, burst.from[0]!, burst.iv[0]!, burst.end[0]!, NO_ESN),
        () => ours.open(burst.buf, burst.from[0]!, burst.iv[0]!, burst.end[0]!, NO_ESN),
        () => ours.sealBurst(burst, 0, 2),
        () => ours.openBurst(burst, 0, 2),
      ])
        expect(use).toThrow('not used after its end');
      same(burst.buf, before, 'after its end');
    });
  });

  test('bounds: what does not lie within its memory or breaks a block throws, and nothing is touched', () => {
    for (const suite of suites) {
      const [ours] = pairOf(suite, 6);
      const { ivLength, blockSize, icvLength } = ours;
      const buf = seededRandom(6)(200);
      const before = buf.slice();
      const [iv, end] = [16, 16 + ivLength + 48];
      const wrong: readonly (readonly [number, number, number, number])[] = [
        [-1, iv, end, NO_ESN],
        [8, 7, end, NO_ESN],
        [8, iv, iv + ivLength - 1, NO_ESN],
        [8, iv, 200 - icvLength + blockSize, NO_ESN],
        [8, iv, 0x7fffffff, NO_ESN],
        [8.5, iv, end, NO_ESN],
        [8, Number.NaN, end, NO_ESN],
        [9, iv, end, 3],
        ...(blockSize > 1 ? [[8, iv, end + 1, NO_ESN] as const] : []),
      ];
      for (const [from, at, to, high] of wrong) {
        expect(() => ours.seal(buf, from, at, to, high)).toThrow('broken invariant: a');
        expect(() => ours.open(buf, from, at, to, high)).toThrow('broken invariant: a');
      }
      const burst = new Burst(buf, 2);
      burst.add(8, iv, iv + ivLength, NO_ESN);
      burst.add(8, iv, 1000, NO_ESN);
      expect(() => ours.openBurst(burst, 0, 2)).toThrow('broken invariant: a');
      // An engine may have worked on the packets before the wrong one.
      expect(() => ours.sealBurst(burst, 1, 2)).toThrow('broken invariant: a');
      same(buf.subarray(iv + ivLength + icvLength), before.subarray(iv + ivLength + icvLength), suite.word);
    }
  });

  test('octets of every kind of memory', () => {
    const suite = suites.find(({ word }) => word === 'aes128gcm16')!;
    const [ours, node] = pairOf(suite, 7);
    const wasm = sharedWasmMemory();
    const kinds: readonly Bytes[] = [
      new Uint8Array(48),
      new Uint8Array(new ArrayBuffer(100), 37, 48),
      new Uint8Array(new SharedArrayBuffer(100), 51, 48),
      new Uint8Array(wasm, 1001, 48),
      new Uint8Array(Buffer.from('x'.repeat(48)).buffer, 8, 48),
    ];
    for (const buf of kinds) {
      const octets = seededRandom(7)(48);
      buf.set(octets);
      ours.seal(buf, 0, 8, 32, NO_ESN);
      node.seal(octets, 0, 8, 32, NO_ESN);
      same(new Uint8Array(buf), octets, 'sealed');
      expect(ours.open(buf, 0, 8, 32, NO_ESN)).toBe(true);
    }
    const detached = new Uint8Array(48);
    ours.seal(detached, 0, 8, 32, NO_ESN);
    structuredClone(detached, { transfer: [detached.buffer] });
    expect(() => ours.seal(detached, 0, 8, 32, NO_ESN)).toThrow('within its memory');
  });

  test('small arrays, which V8 keeps in a heap that moves, are sealed where they are', () => {
    const suite = suites.find(({ word }) => word === 'aes256gcm16')!;
    const [ours, node] = pairOf(suite, 8);
    const kept: (readonly [Bytes, Bytes])[] = [];
    for (let i = 0; i < 20_000; i++) {
      const mine = new Uint8Array(40);
      mine[20] = i;
      mine[15] = i >>> 8;
      const theirs = mine.slice();
      ours.seal(mine, 0, 8, 24, NO_ESN);
      if (i % 16 === 0) kept.push([mine, theirs]);
    }
    for (const [mine, theirs] of kept) {
      node.seal(theirs, 0, 8, 24, NO_ESN);
      same(mine, theirs, 'a small array');
    }
  });

  test('SAs of all suites by turns, in one burst of the data plane: each is given its run', () => {
    const pairs = suites.map((suite, i) => pairOf(suite, 100 + i));
    for (let round = 0; round < 4; round++) {
      for (const [i, suite] of suites.entries()) {
        const [ours, node] = pairs[i]!;
        const [mine, theirs] = [burstOf(suite, 9, round), burstOf(suite, 9, round)];
        ours.sealBurst(mine, 0, 2);
        pairs[(i + 1) % pairs.length]![0].sealBurst(burstOf(suites[(i + 1) % suites.length]!, 5, round), 1, 4);
        ours.sealBurst(mine, 2, 9);
        node.sealBurst(theirs, 0, 9);
        same(mine.buf, theirs.buf, suite.word);
        mine.authentic.fill(7);
        ours.openBurst(mine, 3, 6);
        expect([...mine.authentic]).toEqual([7, 7, 7, 1, 1, 1, 7, 7, 7]);
      }
    }
  });
}

describe('the ladder of this machine', () => {
  test('all engines give the same octets for every suite, noble among them', () => {
    for (const suite of SUITES.filter(({ encryption }) => encryption.blockSize !== 8)) {
      const results = engineCandidates().flatMap((engine) => {
        if ('why' in engine || !engine.supports(suite.encryption, suite.integrity)) return [];
        const protection = engine.protection(suite.encryption, suite.integrity, keysOf(suite, 9));
        const burst = burstOf(suite, 6, 9);
        protection.sealBurst(burst, 0, 6);
        protection.dispose?.();
        return [burst.buf];
      });
      expect(results.length).toBeGreaterThanOrEqual(2);
      for (const result of results) same(result, results[0]!, suite.word);
    }
  });

  test('every engine that is here passes, and every suite is served', () => {
    const { engine, tried } = chooseEngine(engineCandidates(), true);
    expect(tried.map(({ name }) => name)).toEqual(['ipsec-mb', 'openssl', 'node', 'noble']);
    const wrong = tried.filter(({ ok, suites }) => !ok && suites > 0);
    expect(wrong).toEqual([]);
    expect(SUITES.every(({ encryption, integrity }) => engine.supports(encryption, integrity))).toBe(true);
  });

  test('engines see no key in what they print', () => {
    for (const engine of engineCandidates()) {
      if ('why' in engine) continue;
      const suite = SUITES.find(({ word }) => word === 'aes128-sha256')!;
      const protection = engine.protection(suite.encryption, suite.integrity, keysOf(suite, 10));
      expect(Object.values(protection).map((value) => typeof value)).not.toContain('object');
      protection.dispose?.();
    }
  });
});

/** Packets of random lengths, one behind the other with marks between them, extended sequence numbers now and then. */
function burstOf({ encryption, integrity }: Suite, count: number, seed: number): Burst {
  const random = seededRandom(1000 + seed);
  const { ivLength, blockSize } = encryption;
  const icvLength = (integrity ?? encryption).icvLength;
  const lengths = Array.from({ length: count }, () => {
    const [kind = 0, a = 0, b = 0] = random(3);
    const length = kind < 128 ? a % 100 : (a * 256 + b) % 1500;
    return Math.ceil(length / blockSize) * blockSize;
  });
  const gap = 1 + (seed % 3);
  const size = lengths.reduce((sum, length) => sum + 8 + ivLength + length + icvLength + gap, gap);
  const burst = new Burst(new Uint8Array(size).fill(0xa5), count);
  let at = gap;
  for (const length of lengths) {
    const end = at + 8 + ivLength + length;
    burst.buf.set(random(end - at), at);
    burst.add(at, at + 8, end, HIGHS[random(1)[0]! % HIGHS.length]!);
    at = end + icvLength + gap;
  }
  return burst;
}

/** The kind of memory a data plane with an inner loop in WebAssembly has; the types of Node 20 do not know it. */
function sharedWasmMemory(): SharedArrayBuffer {
  type Memory = new (limits: object) => { readonly buffer: SharedArrayBuffer };
  const { Memory } = (globalThis as unknown as { WebAssembly: { Memory: Memory } }).WebAssembly;
  return new Memory({ initial: 1, maximum: 2, shared: true }).buffer;
}

/** `toEqual` on long arrays is slow; this says where they differ. */
function same(actual: Bytes, expected: Bytes, what: string): void {
  if (actual.length === expected.length && Buffer.compare(actual, expected) === 0) return;
  const at = expected.findIndex((octet, i) => actual[i] !== octet);
  expect.fail(`${what}: ${actual.length} octets against ${expected.length}, the first difference at ${at}`);
}
