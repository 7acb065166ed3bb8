/**
 * Sums of octets where they stand and while they are copied: the TypeScript and the WebAssembly kernel side by side.
 *
 * In process, no network and no rights. Packets lie in slots of one pool, whose alignments differ; what is called is what
 * the data path calls, the choice of the kernel included. Both take turns in every round. `npm run bench:sums -- 20 64`
 * measures these lengths; below `KERNEL_MIN` of `src/ip/superframe-sum.ts` the kernel is not asked.
 */
import { join } from 'node:path';
import {
  accelerateSums,
  copySum,
  copySumByWords,
  type Packet,
  PacketPool,
  sumByWords,
  sumOctets,
} from '../src/ip/index.ts';
import { loadSums } from '../src/runtime/index.ts';
import { median, print, printFacts, printTable, ROOT } from './support.ts';

const LENGTHS = [64, 512, 1400, 9000, 60_000];
const ROUNDS = 25;
/** How long one function works in one round. */
const SLICE_MS = 4;
const SLOTS = 8;
const CAPACITY = 65_535;
/** Octets of headers in front of what is summed. */
const HEADERS = 52;

/** Adds up `calls` sums of `length` octets; each has its own loop, so that the compiler sees what is called. */
type Loop = (packets: readonly Packet[], length: number, calls: number) => number;

const sumTwin: Loop = (packets, length, calls) => {
  let total = 0;
  for (let i = 0; i < calls; i++) {
    const { view, start } = packets[i % SLOTS]!;
    total = (total + sumByWords(view, start + HEADERS, start + HEADERS + length)) | 0;
  }
  return total;
};

const sumKernel: Loop = (packets, length, calls) => {
  let total = 0;
  for (let i = 0; i < calls; i++) {
    const packet = packets[i % SLOTS]!;
    const { start } = packet;
    total = (total + sumOctets(packet, start + HEADERS, start + HEADERS + length)) | 0;
  }
  return total;
};

const copyTwin: Loop = (packets, length, calls) => {
  let total = 0;
  for (let i = 0; i < calls; i++) {
    const { view, start } = packets[i % SLOTS]!;
    total = (total + copySumByWords(view, start + HEADERS, packets[SLOTS]!.view, start, length)) | 0;
  }
  return total;
};

const copyKernel: Loop = (packets, length, calls) => {
  let total = 0;
  for (let i = 0; i < calls; i++) {
    const packet = packets[i % SLOTS]!;
    const { start } = packet;
    total = (total + copySum(packet, start + HEADERS, packets[SLOTS]!, start, length)) | 0;
  }
  return total;
};

const LOOPS = [sumTwin, sumKernel, copyTwin, copyKernel];

function main(): void {
  const wanted = process.argv.slice(2).map(Number);
  const lengths = wanted.length > 0 ? wanted : LENGTHS;
  const sums = loadSums(PacketPool.octetsFor(SLOTS + 1, CAPACITY), join(ROOT, 'dist/ip/sums.wasm'));
  if (!sums.ok) {
    print(`this bench needs the kernel: ${sums.why}`);
    process.exit(1);
  }
  accelerateSums(sums.kernel);
  const pool = new PacketPool(SLOTS + 1, CAPACITY, sums.memory.buffer);
  pool.memory.forEach((_, i) => {
    pool.memory[i] = Math.imul(i, 0x9e3779b1) >>> 24;
  });
  const packets = Array.from({ length: SLOTS + 1 }, () => pool.take()!);

  printFacts(
    'bench:sums: nanoseconds of processor time per call',
    `${SLOTS} packets by turns; median of ${ROUNDS} rounds of ${SLICE_MS} ms each, functions by turns`,
    'words: sumByWords, copySumByWords; kernel: sumOctets, copySum; times: words / kernel',
  );
  for (const loop of LOOPS) for (const length of lengths) perCall(loop, packets, length);
  const rows = lengths.map((length) => {
    const samples = LOOPS.map((): number[] => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [i, loop] of LOOPS.entries()) samples[i]!.push(perCall(loop, packets, length));
    }
    const [sumWords, sum, copyWords, copy] = samples.map(median) as [number, number, number, number];
    const cells = [sumWords, sum, sumWords / sum, copyWords, copy, copyWords / copy];
    return [`${length}`, ...cells.map((value) => value.toFixed(1))];
  });
  printTable(['octets', 'sum words', 'kernel', 'times', 'copy words', 'kernel', 'times'], rows);
}

/** User and system time of this process, which counts in microseconds, over a slice of wall time. */
function perCall(loop: Loop, packets: readonly Packet[], length: number): number {
  const batch = Math.ceil(100_000 / (length + 100));
  let calls = 0;
  const until = performance.now() + SLICE_MS;
  const before = process.cpuUsage();
  do {
    loop(packets, length, batch);
    calls += batch;
  } while (performance.now() < until);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / calls;
}

main();
