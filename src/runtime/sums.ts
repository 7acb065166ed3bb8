/**
 * The sums of the data path in WebAssembly SIMD: a memory for packets, and the kernel that sums what lies there.
 *
 * Read first: `assembly/sums.ts` (the module, which `npm run build` makes), `ip/superframe-sum.ts` (who asks it).
 * A kernel is handed out only after its numbers were those of the TypeScript; without one, packets lie in an ordinary pool.
 * Limits: one accelerated memory a thread, the latest; not shared between threads; it never grows, and has 4 GiB at most.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fromHex, seededRandom, seededU32 } from '../core/index.ts';
import { accelerateSums, copySumByWords, PacketPool, type SumKernel } from '../ip/index.ts';

export type SumsOr =
  | { readonly ok: true; readonly memory: WasmMemory; readonly kernel: SumKernel }
  | { readonly ok: false; readonly why: string };

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

export interface PacketMemory {
  readonly pool: PacketPool;
  /** Why its sums are not accelerated, in words; empty when they are. */
  readonly why: string;
}

/** A pool whose sums are accelerated, where that works; else an ordinary one. */
export function packetMemory(size: number, capacity: number, file = MODULE): PacketMemory {
  const sums = loadSums(PacketPool.octetsFor(size, capacity), file);
  if (!sums.ok) return { pool: new PacketPool(size, capacity), why: sums.why };
  accelerateSums(sums.kernel);
  return { pool: new PacketPool(size, capacity, sums.memory.buffer), why: '' };
}

/** A memory of so many octets or a few more, all zero, and its kernel, which nobody asks yet. `why` is a sentence for people. */
export function loadSums(octets: number, file = MODULE): SumsOr {
  if (wasm === undefined) return { ok: false, why: 'this node runs without WebAssembly' };
  if (!wasm.validate(SIMD_PROBE)) return { ok: false, why: 'WebAssembly has no SIMD here' };
  try {
    const module = new wasm.Module(readFileSync(file));
    const problem = examine(kernelOf(module, newMemory(2 * HALF)));
    if (problem !== undefined) return { ok: false, why: `${file} is not to be trusted: ${problem}` };
    const memory = newMemory(octets);
    return { ok: true, memory, kernel: kernelOf(module, memory) };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { ok: false, why: missing ? `there is no ${file}` : (error as Error).message };
  }
}

/** What of WebAssembly is used; TypeScript describes it only along with browsers. */
interface Wasm {
  validate(octets: Uint8Array): boolean;
  readonly Module: new (octets: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: Readonly<Record<string, unknown>> };
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => WasmMemory;
}

/** Absent under --jitless. */
const wasm = (globalThis as { readonly WebAssembly?: Wasm }).WebAssembly;

function newMemory(octets: number): WasmMemory {
  const pages = Math.ceil(octets / PAGE);
  return new wasm!.Memory({ initial: pages, maximum: pages });
}

function kernelOf(module: object, memory: WasmMemory): SumKernel {
  const { sum, copySum } = new wasm!.Instance(module, { env: { memory } }).exports;
  if (typeof sum !== 'function' || typeof copySum !== 'function') throw new Error('it has no sums');
  return { buffer: memory.buffer, sum: sum as SumKernel['sum'], copySum: copySum as SumKernel['copySum'] };
}

/** What is wrong with a kernel over two halves of memory, in words; undefined: nothing. */
function examine(kernel: SumKernel): string | undefined {
  const source = new Uint8Array(kernel.buffer, 0, HALF);
  source.fill(0xff);
  const problem = compare(kernel, 0, HALF + MARGIN, LONGEST);
  if (problem !== undefined) return problem;
  source.set(seededRandom(1)(HALF));
  const random = seededU32(2);
  const lengths = [...Array(SHORT).keys(), ...Array.from({ length: LONG }, () => random() % LONGEST)];
  for (const length of lengths) {
    const problem = compare(kernel, random() % MARGIN, HALF + MARGIN + (random() % MARGIN), length);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** The same of the sum of `length` octets at `from`, and of their copy at `to`. */
function compare({ buffer, sum, copySum }: SumKernel, from: number, to: number, length: number): string | undefined {
  const [start, end] = [to - MARGIN, to + length + MARGIN];
  const expected = new Uint8Array(buffer.slice(start, end));
  const right = copySumByWords(new DataView(buffer), from, new DataView(expected.buffer), MARGIN, length);
  if (sum(from, length) >>> 0 !== right) return `the sum of ${length} octets is wrong`;
  if (copySum(to, from, length) >>> 0 !== right) return `the sum of ${length} octets copied is wrong`;
  const written = new Uint8Array(buffer, start, end - start);
  return Buffer.compare(written, expected) === 0 ? undefined : `the copy of ${length} octets is wrong`;
}

/** Beside the build, seen from there and from the sources. */
const MODULE = fileURLToPath(new URL('../../dist/ip/sums.wasm', import.meta.url));

/** A function that gives i8x16.splat of i32.const 0: valid where there is SIMD. */
const SIMD_PROBE = fromHex('0061736d 01000000 010501600001 7b 03020100 0a080106004100fd0f0b');

const PAGE = 0x10000;
/** A superframe fits at every alignment to a cache line, with another one around it. */
const HALF = 2 * PAGE;
const MARGIN = 64;
const LONGEST = 0xffff;
/** All lengths below this, and so many longer ones. */
const SHORT = 80;
const LONG = 8;
