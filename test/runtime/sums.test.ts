/** The kernel gives the numbers of the TypeScript and writes what that writes; where there is none, a pool is ordinary and says why. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromHex, seededRandom, toHex } from '../../src/core/index.ts';
import {
  accelerateSums,
  Coalescer,
  completeChecksum,
  copySumByWords,
  cutSuperframe,
  foldSum,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
  type SumKernel,
  sumByWords,
  sumOctets,
} from '../../src/ip/index.ts';
import { loadSums, packetMemory } from '../../src/runtime/index.ts';
import { arbitraryShape, naiveSum, packetOf, pooled, putWord } from '../ip/superframe-support.ts';
import { counting } from '../support/packets.ts';

const LONGEST = 70_000;
const HALF = 80_000;

afterEach(() => accelerateSums(undefined));

const built = loadSums(2 * HALF);
if (built.ok) {
  describe('the kernel', () => kernelLaws(built.kernel));
  describe('packets in accelerated memory', packetLaws);
  describe('the module', moduleLaws);
} else if (process.env.BULKHEAD_REQUIRE_PEERS === '1' || built.why.includes('not to be trusted')) {
  throw new Error(`the kernel for sums is required, but ${built.why}`);
} else {
  process.stderr.write(`skipped: the kernel for sums: ${built.why}\n`);
  it.skip(`the kernel for sums: ${built.why}`, () => {});
}

function kernelLaws(kernel: SumKernel): void {
  const octets = new Uint8Array(kernel.buffer);
  const view = new DataView(kernel.buffer);
  const twin = new DataView(new ArrayBuffer(LONGEST));
  const random = seededRandom(7);

  beforeAll(() => octets.set(random(HALF)));

  /** What is wrong with a sum and a copy there, in words. */
  function problem(from: number, to: number, length: number, right: number): string[] {
    octets[to - 1] = 0xa5;
    octets[to + length] = 0xa5;
    if (kernel.sum(from, length) >>> 0 !== right) return [`sum of ${length} at ${from}`];
    if (kernel.copySum(to, from, length) >>> 0 !== right) return [`sum of ${length} from ${from} to ${to}`];
    const copied = Buffer.compare(octets.subarray(from, from + length), octets.subarray(to, to + length)) === 0;
    if (copied && octets[to - 1] === 0xa5 && octets[to + length] === 0xa5) return [];
    return [`copy of ${length} from ${from} to ${to}`];
  }

  it('gives the number that the words give, at every alignment of source and target, for 0 to 70 and 65,535 octets', () => {
    const wrong: string[] = [];
    for (const length of [...Array(71).keys(), 65_535]) {
      for (let from = 0; from < 32; from++) {
        const right = sumByWords(view, from, from + length);
        expect(foldSum(right)).toBe(naiveSum(octets.subarray(from, from + length)));
        for (let to = HALF + 1; to < HALF + 33; to++) wrong.push(...problem(from, to, length, right));
      }
    }
    expect(wrong).toEqual([]);
  });

  it('gives the number that octets give one by one, for every length to 70,000', () => {
    const wrong: string[] = [];
    for (let from = 0; from < 16; from++) {
      for (let length = 0, right = 0; length <= LONGEST; length++) {
        if (from === 5) wrong.push(...problem(from, HALF + 1 + (length % 61), length, right));
        else if (kernel.sum(from, length) >>> 0 !== right) wrong.push(`sum of ${length} at ${from}`);
        right += octets[from + length]! * (length % 2 === 0 ? 256 : 1);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('RFC 1071 §2: equals the words, and once folded the naive reference, for any octets', () => {
    const length = fc.oneof(fc.nat(LONGEST), fc.nat(200), fc.constantFrom(65_534, 65_535, LONGEST));
    fc.assert(
      fc.property(length, fc.nat(9000), fc.integer({ min: 1, max: 9000 }), (length, from, past) => {
        octets.set(random(2000), from);
        const right = copySumByWords(view, from, twin, 0, length);
        expect(problem(from, HALF + past, length, right)).toEqual([]);
        expect(foldSum(right)).toBe(naiveSum(octets.subarray(from, from + length)));
      }),
      { numRuns: 200 },
    );
  });

  it('is exact where all octets are ones', () => {
    octets.fill(0xff, 0, LONGEST);
    const wrong: string[] = [];
    for (const length of [...Array(9000).keys(), 65_534, 65_535, LONGEST]) {
      wrong.push(...problem(0, HALF + 1, length, Math.floor(length / 2) * 0xffff + (length % 2) * 0xff00));
    }
    expect(wrong).toEqual([]);
  });

  it('touches nothing behind its octets: behind the last one of the memory that would be a trap', () => {
    const end = octets.length;
    for (let length = 0; length <= 200; length++) {
      const right = sumByWords(view, end - length, end);
      expect(kernel.sum(end - length, length) >>> 0).toBe(right);
      expect(kernel.copySum(0, end - length, length) >>> 0).toBe(right);
      expect(kernel.copySum(end - length, 0, length) >>> 0).toBe(right);
    }
    expect(() => kernel.sum(end - 15, 16)).toThrow('out of bounds');
  });
}

/** Pools for superframes and for what they are cut into, in one memory. */
interface Place {
  readonly wide: PacketPool;
  readonly wire: PacketPool;
}

function packetLaws(): void {
  const octets = PacketPool.octetsFor(1, 65536);
  const sums = loadSums(octets + PacketPool.octetsFor(130, 9000));
  if (!sums.ok) throw new Error(sums.why);
  const { buffer } = sums.memory;
  const ordinary: Place = { wide: new PacketPool(1, 65536), wire: new PacketPool(130, 9000) };
  const accelerated: Place = {
    wide: new PacketPool(1, 65536, buffer),
    wire: new PacketPool(130, 9000, buffer, octets),
  };
  let asked = 0;
  const kernel: SumKernel = {
    buffer,
    sum: (at, length) => {
      asked += 1;
      return sums.kernel.sum(at, length);
    },
    copySum: (to, from, length) => {
      asked += 1;
      return sums.kernel.copySum(to, from, length);
    },
  };

  /** What is done there gives the same octets as elsewhere without the kernel, and asks it. */
  function same(work: (place: Place) => readonly string[]): void {
    accelerateSums(undefined);
    const expected = work(ordinary);
    accelerateSums(kernel);
    const before = asked;
    expect(work(accelerated)).toEqual(expected);
    expect(asked).toBeGreaterThan(before);
  }

  const segments = fc.integer({ min: 64, max: 1400 });
  const lengths = fc.integer({ min: 200, max: 8000 });

  it('superframes are cut into the same packets, and what of these is right is joined again', () => {
    fc.assert(
      fc.property(arbitraryShape, segments, lengths, fc.nat(), fc.boolean(), (shape, segment, length, at, damage) => {
        const whole = packetOf(shape, counting(length));
        same(({ wide, wire }) => {
          const pieces: Packet[] = [];
          const superframe = pooled(wide, whole, segment, true);
          pieces.length = cutSuperframe(superframe, wire, pieces);
          wide.release(superframe);
          const seen = pieces.map((piece) => toHex(octetsOf(piece)));
          const { buf, start, end } = pieces[at % pieces.length]!;
          if (damage) buf[start + (at % (end - start))]! ^= 0x10;
          const coalescer = new Coalescer({
            pool: wire,
            emit: (packet) => {
              seen.push(`${packet.segment} ${packet.partial} ${toHex(octetsOf(packet))}`);
              wire.release(packet);
            },
            grows: () => true,
          });
          for (const piece of pieces) coalescer.add(piece);
          coalescer.flush();
          expect(wire.taken).toBe(0);
          return seen;
        });
      }),
      { numRuns: 100 },
    );
  });

  it('owed checksums come out the same, and right', () => {
    fc.assert(
      fc.property(arbitraryShape, lengths, fc.nat(0xffff), (shape, length, rubbish) => {
        const right = packetOf(shape, counting(length));
        const owing = right.slice();
        putWord(owing, (shape.v6 ? 40 : 20) + (shape.tcp ? 16 : 6), rubbish);
        same(({ wide }) => {
          const packet = pooled(wide, owing, 0, true);
          expect(completeChecksum(packet)).toBe(PASS);
          expect(toHex(octetsOf(packet))).toBe(toHex(right));
          wide.release(packet);
          return [toHex(octetsOf(packet))];
        });
      }),
      { numRuns: 100 },
    );
  });
}

function moduleLaws(): void {
  const file = join(import.meta.dirname, '../../dist/ip/sums.wasm');

  it('exports two functions, imports a memory, and puts nothing into it', () => {
    const { Module } = (globalThis as unknown as { WebAssembly: { Module: ModuleClass } }).WebAssembly;
    const module = new Module(readFileSync(file));
    expect(Module.imports(module)).toEqual([{ module: 'env', name: 'memory', kind: 'memory' }]);
    expect(Module.exports(module)).toEqual([
      { name: 'sum', kind: 'function' },
      { name: 'copySum', kind: 'function' },
    ]);
    const loaded = loadSums(1000);
    if (!loaded.ok) throw new Error(loaded.why);
    expect(Buffer.from(loaded.memory.buffer).equals(new Uint8Array(0x10000))).toBe(true);
  });

  it('makes a pool in its memory, whose packets are summed by it', () => {
    const { pool, why } = packetMemory(5, 2000, file);
    expect([pool.size, pool.capacity, why]).toEqual([5, 2000, '']);
    expect(pool.memory.buffer.byteLength).toBe(0x10000);
    const packet = pool.from(counting(2000))!;
    const { view, start, end } = packet;
    const words = vi.spyOn(DataView.prototype, 'getInt32');
    const sum = sumOctets(packet, start, end);
    expect(words).not.toHaveBeenCalled();
    expect(sumByWords(view, start, end)).toBe(sum);
    expect(words).toHaveBeenCalled();
    words.mockRestore();
  });
}

interface ModuleClass {
  new (octets: Uint8Array): object;
  imports(module: object): unknown;
  exports(module: object): unknown;
}

describe('without a kernel', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-sums-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const written = (name: string, hex: string): string => {
    const file = join(folder, name);
    writeFileSync(file, fromHex(hex));
    return file;
  };

  const header = '0061736d 01000000';
  const types = '010e02 60027f7f017f 60037f7f7f017f';
  const functions = '03030200 01 0711020373756d0000 07636f707953756d0001';
  /** sum and copySum that give 0. */
  const zero = `${header} ${types} 020f0103656e76066d656d6f72790200 00 ${functions} 0a0b02 040041000b 040041000b`;

  it.each([
    ['no file', join(folder, 'absent.wasm'), /^there is no .*absent\.wasm$/],
    ['no module', written('rubbish.wasm', '00112233'), /magic/],
    ['a module without sums', written('empty.wasm', header), /^it has no sums$/],
    ['wrong sums', written('zero.wasm', zero), /zero\.wasm is not to be trusted: the sum of 65535 octets is wrong$/],
  ])('%s: an ordinary pool, and why', (_, file, reason) => {
    expect(loadSums(1000, file)).toEqual({ ok: false, why: expect.stringMatching(reason) });
    const { pool, why } = packetMemory(3, 100, file);
    expect(why).toMatch(reason);
    expect(pool.memory.buffer.byteLength).toBe(PacketPool.octetsFor(3, 100));
    expect(octetsOf(pool.from(counting(100))!)).toEqual(counting(100));
  });

  it('more memory than WebAssembly addresses is not to be had', () => {
    expect(loadSums(2 ** 32 + 1)).toEqual({ ok: false, why: expect.stringMatching(/Memory|there is no/) });
  });
});
