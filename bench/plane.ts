/**
 * The data plane by itself: what an SA costs in memory, a packet in time, and whether it leaves anything to the collector.
 *
 * In process, no network and no rights: two planes in one thread, each the other's peer (`plane-line.ts`), so that each packet is
 * sealed once and opened once. `npm run bench:plane -- garbage sums` measures only parts named: garbage, sums, memory, sas.
 * BENCH_PACKETS: packets of the garbage part, default 10^8. BENCH_SECONDS: of each number elsewhere, default 2.
 * Limit: a collection that the clock or the event loop causes counts too; that is why octets a packet stand beside it.
 */
import { type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as pause, setImmediate } from 'node:timers/promises';
import { chooseEngine, type Engine, ladder, SUITES } from '../src/crypto/index.ts';
import { SLOT_CELLS } from '../src/gateway/index.ts';
import { accelerateSums, PacketPool, SUPERFRAME_MAX } from '../src/ip/index.ts';
import { engineCandidates, loadSums } from '../src/runtime/index.ts';
import { inlineMore } from '../src/runtime/worker/inlining.ts';
import { datagrams, type Load, PlaneLine, superframes } from './plane-line.ts';
import { collect, heapUsed, type Memory, memoryNow } from './plane-memory.ts';
import { median, print, printFacts, printTable, ROOT } from './support.ts';

const SUITE = SUITES.find(({ word }) => word === 'aes128gcm16')!;
const SAS = 4000;
const FEWER_SAS = 1000;
const PACKETS = Number(process.env.BENCH_PACKETS ?? 1e8);
const SECONDS = Number(process.env.BENCH_SECONDS ?? 2);
const ROUNDS = 9;
/** Packets between two flushes; as many wire packets again may wait as a burst has. */
const BATCH = 32;
const POOL_PACKETS = 256;
/** Packets between two looks at the heap. */
const CHUNK = 20_000;

const SMALL = datagrams(64);
const LARGE = datagrams(1400);
const TRAINS = superframes();

async function main(): Promise<void> {
  inlineMore();
  const wanted = process.argv.slice(2);
  const sums = loadSums(PacketPool.octetsFor(POOL_PACKETS, SUPERFRAME_MAX), `${ROOT}/dist/ip/sums.wasm`);
  if (!sums.ok) print(`without the kernel of sums: ${sums.why}`);
  const pool = new PacketPool(POOL_PACKETS, SUPERFRAME_MAX, sums.ok ? sums.memory.buffer : undefined);
  const kernel = sums.ok ? sums.kernel : undefined;
  accelerateSums(kernel);
  const { engine } = chooseEngine(engineCandidates());
  const line = (count: number, by: Engine = engine): PlaneLine => {
    const made = new PlaneLine(pool, by, SUITE);
    made.addTunnels(count);
    made.install(count);
    return made;
  };

  printFacts(
    `bench:plane: data planes in process, ${SUITE.word} with ESN, replay window 1024`,
    `engines: ${engine.name}; sums: ${sums.ok ? 'WebAssembly' : 'TypeScript'}`,
    'times are of the processor, for a wire packet through both planes: sealed by one, opened by the other',
  );
  const parts: Readonly<Record<string, () => unknown>> = {
    // First, so that nothing else has left anything.
    garbage: () => measureGarbage(line(1)),
    sums: () => measureSums(line(1), () => accelerateSums(kernel)),
    memory: () => measureMemory(pool),
    sas: () => measureSas(line(1), line(SAS)),
  };
  for (const [name, part] of Object.entries(parts)) if (wanted.length === 0 || wanted.includes(name)) await part();
}

/** Of one plane, by what `SAS` pairs take more than `FEWER_SAS`, which leaves out whatever does not grow. */
function measureMemory(pool: PacketPool): void {
  print(`memory of one plane in octets a pair of SAs: (${SAS} pairs - ${FEWER_SAS} pairs) / ${SAS - FEWER_SAS}`);
  const usable = engineCandidates().flatMap((candidate) => ('why' in candidate ? [] : [candidate]));
  const rows = usable.flatMap((engine) => {
    const line = new PlaneLine(pool, ladder([engine]), SUITE);
    // What each step adds to `count` tunnels, and how many slots of cells.
    const steps: readonly (readonly [string, number, (count: number) => void])[] = [
      ['tunnel, its interface and route', 1, (count) => line.addTunnels(count)],
      ['SA pair, idle', 2, (count) => line.install(count)],
      ['SA pair, more once used', 0, (count) => useAll(line, count)],
    ];
    return steps.map(([name, slots, step]) => {
      step(FEWER_SAS);
      const before = memoryNow();
      step(SAS);
      return [`${engine.name}: ${name}`, ...memoryCells(before, memoryNow(), slots)];
    });
  });
  printTable(['', 'heap', 'buffers', 'native', 'cells', 'together'], rows);
  print('  heap: of V8; buffers: octets of typed arrays outside of it; native: malloc by whomever, buffers left out;');
  print(`  cells: ${SLOT_CELLS * 8} octets of shared memory for each counter of an interface or a direction`);
  print();
}

/** Both planes have grown alike. */
function memoryCells(before: Memory, after: Memory, slots: number): string[] {
  const each = (octets: number): number => octets / (2 * (SAS - FEWER_SAS));
  const buffers = each(after.buffers - before.buffers);
  const parts = [
    each(after.heap - before.heap),
    buffers,
    each(after.malloc - before.malloc) - buffers,
    slots * SLOT_CELLS * 8,
  ];
  return [...parts, parts.reduce((sum, part) => sum + part, 0)].map((octets) => octets.toFixed(0));
}

function useAll(line: PlaneLine, count: number): void {
  for (const from of [0, 1] as const) for (let tunnel = 0; tunnel < count; tunnel++) pass(line, from, tunnel, SMALL, 1);
  collect();
}

/** Time with one SA pair, and with many of which one or all are used. */
function measureSas(one: PlaneLine, many: PlaneLine): void {
  print(`nanoseconds a packet, one SA pair against ${SAS} (a tunnel each); median of ${ROUNDS} rounds, rows by turns`);
  // Far from the first one, and each tunnel after others that are far away.
  const stride = 1597;
  let tunnel = 0;
  const next = (): number => {
    tunnel = (tunnel + stride) % SAS;
    return tunnel;
  };
  const ways: readonly (readonly [string, (from: 0 | 1, load: Load) => void])[] = [
    ['1 SA pair', (from, load) => pass(one, from, 0, load, BATCH)],
    [`${SAS}, one used`, (from, load) => pass(many, from, stride, load, BATCH)],
    [`${SAS}, all used, ${BATCH} packets each in turn`, (from, load) => pass(many, from, next(), load, BATCH)],
    [`${SAS}, all used, each packet another`, (from, load) => passSpread(many, from, next, load, BATCH)],
    [
      '1 SA pair, a packet a flush',
      (from, load) => {
        for (let i = 0; i < BATCH; i++) pass(one, from, 0, load, 1);
      },
    ],
  ];
  for (const [words, load, batch] of [
    ['64 octets', SMALL, BATCH],
    ['1400 octets', LARGE, BATCH],
  ] as const) {
    const samples = interleaved(
      ways.map(
        ([, way]) =>
          (from) =>
            way(from, load),
      ),
      batch * load.packets,
    );
    printTable(
      [`UDP, ${words}`, 'ns', 'ratio'],
      ways.map(([name], i) => [name, samples[i]!.toFixed(0), (samples[i]! / samples[0]!).toFixed(2)]),
    );
  }
}

/** What packets leave to the collector. */
async function measureGarbage(line: PlaneLine): Promise<void> {
  print(`collections over ${PACKETS.toExponential(0)} packets, both directions by turns`);
  const ways: readonly (readonly [string, number, Load, number])[] = [
    ['superframes, as trains', 0.5, TRAINS, 1],
    [`packets of 64 octets, ${BATCH} a flush`, 0.35, SMALL, BATCH],
    ['packets of 64 octets, one a flush', 0.15, SMALL, 1],
  ];
  const collections = new Collections();
  const rows: string[][] = [];
  for (const [name, share, load, batch] of ways) {
    const flushes = Math.round(CHUNK / (batch * load.packets));
    const turns = Math.max(10, Math.round((PACKETS * share) / (flushes * batch * load.packets)));
    const run = (): void => {
      for (let i = 0; i < flushes; i++) pass(line, (i & 1) as 0 | 1, 0, load, batch);
    };
    // Code is compiled meanwhile.
    for (let i = 0; i < WARM_UP_CHUNKS; i++) run();
    // By chunk, because a collection within one hides what it has allocated.
    const grown = new Float64Array(turns);
    await collections.begin();
    const before = heapUsed();
    const begun = performance.now();
    for (let turn = 0; turn < turns; turn++) {
      const at = heapUsed();
      run();
      grown[turn] = heapUsed() - at;
      if (turn % CHUNKS_A_TURN === 0) await setImmediate();
    }
    const nanos = (performance.now() - begun) * 1e6;
    const { minor, major } = await collections.end();
    const packets = turns * flushes * batch * load.packets;
    const octets = median([...grown]) / flushes;
    rows.push([
      name,
      packets.toExponential(1),
      `${minor}`,
      `${major}`,
      (octets / (batch * load.packets)).toFixed(2),
      octets.toFixed(1),
      ((heapUsed() - before) / 1024).toFixed(0),
      (nanos / packets).toFixed(0),
    ]);
  }
  collections.close();
  const titles = ['packets', 'minor', 'major', 'octets/packet', 'octets/flush', 'growth kB', 'ns/packet'];
  printTable(['', ...titles], rows);
  print('  minor, major: collections; octets: allocated; growth: of the heap from first to last, after a collection');
  print();
}

/** As the performance timeline tells of them, which it does between turns of the event loop. */
class Collections {
  #minor = 0;
  #major = 0;
  readonly #observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries() as unknown as { readonly detail: NodeGCPerformanceDetail }[])
      if (detail.kind === MINOR) this.#minor += 1;
      else this.#major += 1;
  });

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  /** From a heap that was collected on. */
  async begin(): Promise<void> {
    collect();
    await heard();
    collect();
    await heard();
    [this.#minor, this.#major] = [0, 0];
  }

  /** What was counted; the heap is collected once more, which does not count. */
  async end(): Promise<{ readonly minor: number; readonly major: number }> {
    await heard();
    const counted = { minor: this.#minor, major: this.#major };
    collect();
    await heard();
    return counted;
  }

  close(): void {
    this.#observer.disconnect();
  }
}

/** The timeline tells of what was later than a turn or two. */
const heard = (): Promise<void> => pause(50);

/** NODE_PERFORMANCE_GC_MINOR. */
const MINOR = 1;
const WARM_UP_CHUNKS = 20;
const CHUNKS_A_TURN = 10;

/** The same traffic with and without the kernel of sums. */
function measureSums(line: PlaneLine, accelerate: () => void): void {
  print(`nanoseconds an octet of IP, sums in TypeScript and in WebAssembly; median of ${ROUNDS} rounds, by turns`);
  const rows = (
    [
      ['superframes, as trains', TRAINS, 1],
      ['packets of 1400 octets', LARGE, BATCH],
    ] as const
  ).map(([name, load, batch]) => {
    const octets = batch * load.octets.length;
    const [words, kernel] = interleaved(
      [() => accelerateSums(undefined), accelerate].map((choose) => (from: 0 | 1) => {
        choose();
        pass(line, from, 0, load, batch);
      }),
      octets,
    );
    return [name, words!.toFixed(3), kernel!.toFixed(3), (words! / kernel!).toFixed(2)];
  });
  accelerate();
  printTable(['', 'TypeScript', 'WebAssembly', 'times'], rows);
}

/** So many packets of one tunnel, and a flush. */
function pass(line: PlaneLine, from: 0 | 1, tunnel: number, load: Load, count: number): void {
  const now = performance.now();
  for (let i = 0; i < count; i++) line.send(from, tunnel, load, now);
  line.flush(from, now);
}

function passSpread(line: PlaneLine, from: 0 | 1, next: () => number, load: Load, count: number): void {
  const now = performance.now();
  for (let i = 0; i < count; i++) line.send(from, next(), load, now);
  line.flush(from, now);
}

/** Nanoseconds of each way for one of `count` things that one call does; each has its turn in every round, in both directions. */
function interleaved(ways: readonly ((from: 0 | 1) => void)[], count: number): number[] {
  const slice = (SECONDS * 1000) / ROUNDS;
  const samples = ways.map((): number[] => []);
  for (let round = -WARM_UP; round < ROUNDS; round++)
    for (const [i, way] of ways.entries()) {
      const nanos = perCall(way, slice) / count;
      if (round >= 0) samples[i]!.push(nanos);
    }
  return samples.map(median);
}

const WARM_UP = 2;

/** User and system time of this process, which counts in microseconds, over a slice of wall time. */
function perCall(way: (from: 0 | 1) => void, millis: number): number {
  let calls = 0;
  const until = performance.now() + millis;
  const before = process.cpuUsage();
  do {
    for (let i = 0; i < CALLS; i++) way((i & 1) as 0 | 1);
    calls += CALLS;
  } while (performance.now() < until);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / calls;
}

const CALLS = 64;

await main();
