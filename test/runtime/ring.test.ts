import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ring } from '../../src/runtime/worker/ring.ts';
import { draws } from '../support/draws.ts';
import { Compiled } from '../support/program.ts';

/** Offset of the data in the memory of a ring, behind its two positions. */
const DATA = 64;

/** Both ends over one memory, whose positions stand at `at` already. */
function ends(capacity: number, at = 0): { readonly writer: Ring; readonly reader: Ring } {
  const memory = Ring.room(capacity);
  new Int32Array(memory, 0, 2).fill(at);
  return { writer: new Ring(memory), reader: new Ring(memory) };
}

const wholeLength = (length: number): number => 4 + Math.ceil(length / 4) * 4;
const record = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + 1) & 0xff);
const left = (ring: Ring): Uint8Array => new Uint8Array(ring.memory, DATA);

/** What is done to a ring: a record of so many octets comes, one goes, or all that are there do. */
type Step = { readonly do: 'push'; readonly length: number } | { readonly do: 'shift' } | { readonly do: 'drain' };

const stepsUpTo = (length: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant('push' as const), length: fc.nat(length) }) },
      { weight: 4, arbitrary: fc.constant({ do: 'shift' as const }) },
      { weight: 1, arbitrary: fc.constant({ do: 'drain' as const }) },
    ),
    { minLength: 1, maxLength: 200 },
  );

describe('a ring', () => {
  const cases = fc
    .record({ bits: fc.integer({ min: 3, max: 9 }), at: fc.integer({ min: -200, max: 200 }) })
    .chain(({ bits, at }) => {
      const capacity = 1 << bits;
      // Positions just before and behind 0, 2^31 and 2^32.
      const places = fc.constantFrom(at * 4, (0x7fff_fffc + at * 4) | 0);
      return fc.record({ capacity: fc.constant(capacity), at: places, steps: stepsUpTo(capacity + 4) });
    });

  it('equals a queue that refuses what does not fit, wherever its positions stand, and keeps nothing of what was read', () => {
    const law = fc.property(cases, ({ capacity, at, steps }) => {
      const { writer, reader } = ends(capacity, at);
      const queue: Uint8Array[] = [];
      const used = (): number => queue.reduce((sum, { length }) => sum + wholeLength(length), 0);
      for (const [seed, step] of steps.entries()) {
        if (step.do === 'push') {
          const pushed = record(step.length, seed);
          const fits = used() + wholeLength(step.length) <= capacity;
          expect(writer.push(pushed)).toBe(fits);
          expect(writer.takes(step.length)).toBe(wholeLength(step.length) <= capacity);
          if (fits) queue.push(pushed);
        } else if (step.do === 'shift') {
          expect(reader.shift()).toEqual(queue.shift());
        } else {
          const drained: Uint8Array[] = [];
          reader.drain((octets) => drained.push(octets));
          expect(drained).toEqual(queue.splice(0));
        }
        expect([writer.used, reader.used]).toEqual([used(), used()]);
        if (queue.length === 0) expect(left(reader).every((octet) => octet === 0)).toBe(true);
      }
    });
    fc.assert(law, { numRuns: draws(400) });
  });

  it.each([0, 1, 3, 4, 5, 27, 28])('of 32 octets takes a record of %d, alone, at every place', (length) => {
    const { writer, reader } = ends(32);
    for (let i = 0; i < 20; i++) {
      expect(writer.push(record(length, i))).toBe(true);
      expect(writer.push(record(28, i))).toBe(false);
      expect(reader.shift()).toEqual(record(length, i));
      expect(reader.shift()).toBe(undefined);
    }
  });

  it('is full to the last octet and refuses without a trace', () => {
    const { writer, reader } = ends(32, -8);
    for (const seed of [1, 2]) expect(writer.push(record(12, seed))).toBe(true);
    const before = left(writer).slice();
    expect([writer.used, writer.push(new Uint8Array(0))]).toEqual([32, false]);
    expect(left(writer)).toEqual(before);
    expect([reader.shift(), reader.shift(), reader.shift()]).toEqual([record(12, 1), record(12, 2), undefined]);
    expect([writer.takes(28), writer.takes(29), writer.push(record(29, 1))]).toEqual([true, false, false]);
  });

  it('drains what was there when it began, not what comes of it', () => {
    const { writer, reader } = ends(64);
    for (const seed of [1, 2, 3]) writer.push(record(8, seed));
    const seen: Uint8Array[] = [];
    reader.drain((octets) => {
      seen.push(octets);
      writer.push(record(8, 10 + seen.length));
      return 1;
    });
    expect(seen).toEqual([1, 2, 3].map((seed) => record(8, seed)));
    reader.drain((octets) => seen.push(octets));
    expect(seen.slice(3)).toEqual([11, 12, 13].map((seed) => record(8, seed)));
  });

  it('drains as many as are asked for, each counted as what it is worth', () => {
    const { writer, reader } = ends(64);
    for (const seed of [1, 2, 3]) writer.push(record(8, seed));
    const seen: Uint8Array[] = [];
    const visit = (octets: Uint8Array): number => {
      seen.push(octets);
      return 1;
    };
    expect([reader.drain(visit, 0), reader.drain(visit, 2), reader.drain(visit, 2), reader.drain(visit)]).toEqual([
      0, 2, 1, 0,
    ]);
    expect(seen).toEqual([1, 2, 3].map((seed) => record(8, seed)));
    for (const seed of [4, 5, 6]) writer.push(record(8, seed));
    expect(reader.drain(() => 5, 6)).toBe(10);
    expect([reader.shift(), reader.shift()]).toEqual([record(8, 6), undefined]);
  });

  it('is wiped with what nobody read', () => {
    const { writer } = ends(64);
    writer.push(record(40, 5));
    expect(left(writer).some((octet) => octet !== 0)).toBe(true);
    writer.wipe();
    expect(left(writer).every((octet) => octet === 0)).toBe(true);
  });

  it('has a capacity that is a power of two', () => {
    expect(() => Ring.room(48)).toThrow('power of two');
  });
});

describe('a ring between two threads', () => {
  let compiled: Compiled;
  beforeAll(async () => {
    compiled = await Compiled.of('src/runtime/worker/ring.ts');
  }, 60_000);
  afterAll(() => compiled.remove());

  /** Writes numbered records of changing length as fast as there is room. */
  const WRITER = `
    const { workerData: { url, memory, count } } = require('node:worker_threads');
    import(url).then(({ Ring }) => {
      const ring = new Ring(memory);
      const record = new Uint8Array(300);
      for (let n = 0; n < count; ) {
        const length = 4 + (n * 37) % 296;
        record.fill(n & 0xff, 4, length);
        new DataView(record.buffer).setUint32(0, n);
        if (ring.push(record.subarray(0, length))) n += 1;
      }
    });
  `;

  it('loses, changes and reorders nothing, from full to empty and back', async () => {
    const [memory, count] = [Ring.room(4096), 150_000];
    new Int32Array(memory, 0, 2).fill(-0x10_0000);
    const workerData = { url: compiled.url('src/runtime/worker/ring.ts').href, memory, count };
    const worker = new Worker(WRITER, { eval: true, workerData });
    const failed = new Promise((_, reject) => worker.on('error', reject));
    const ended = new Promise((resolve) => worker.on('exit', resolve));
    const ring = new Ring(memory);
    let [next, wrong, full, empty] = [0, 0, 0, 0];
    const until = performance.now() + 20_000;
    while (next < count && performance.now() < until) {
      if (ring.used > 3700) full += 1;
      const before = next;
      ring.drain((octets) => {
        const length = 4 + ((next * 37) % 296);
        const number = new DataView(octets.buffer).getUint32(0);
        const same = octets.subarray(4).every((octet) => octet === (next & 0xff));
        if (number !== next || octets.length !== length || !same) wrong += 1;
        next += 1;
        return 1;
      });
      if (next !== before) continue;
      empty += 1;
      // Now and then the writer gets so far ahead that it finds no room.
      if (empty % 8 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    if (next === count) await Promise.race([failed, ended]);
    await worker.terminate();
    expect({ next, wrong }).toEqual({ next: count, wrong: 0 });
    expect(Math.min(full, empty)).toBeGreaterThan(10);
    expect(ring.used).toBe(0);
    expect(left(ring).every((octet) => octet === 0)).toBe(true);
  });
});
