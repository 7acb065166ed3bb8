/**
 * The Internet checksum's sums by words of 32 bits: of octets where they stand, and of octets while they are copied.
 *
 * Read first: RFC 1071 §2 (the order of the words does not matter, carries may be deferred).
 * What a *sum* is, `checksum.ts` says. Limit: 65,535 octets, so that each half of the words adds up below 2^31.
 * A kernel may do the work for one memory (`runtime/sums.ts` has one). It is state of the module, one a thread as the module
 * is, and still no hidden input: the numbers are the same with and without it, only the time differs.
 */
import type { Packet } from './packet.ts';

/** `sumByWords` and `copySumByWords` by something faster, over one memory; places count from its first octet. */
export interface SumKernel {
  readonly buffer: ArrayBufferLike;
  /** The sum as 32 bits of either sign. Bounds are the caller's, here and below. */
  sum(at: number, length: number): number;
  copySum(to: number, from: number, length: number): number;
}

/** From here on this kernel, and no other, sums what lies in its memory; undefined: none does. */
export function accelerateSums(next: SumKernel | undefined): void {
  kernel = next;
  known = undefined;
}

/** The octets of a packet, whatever its bounds. */
export type Octets = Pick<Packet, 'buf' | 'view' | 'memory' | 'base'>;

/** Adds the 16-bit words of [from, to); an odd last octet is the high half of a word. */
export function sumOctets(octets: Octets, from: number, to: number): number {
  const at = to - from >= KERNEL_MIN ? placeOf(octets, from, to) : ELSEWHERE;
  return at === ELSEWHERE ? sumByWords(octets.view, from, to) : kernel!.sum(at, to - from) >>> 0;
}

/** Copies `length` octets at `from` of `source` to `to` of `target`, which do not overlap, and gives their sum. */
export function copySum(source: Octets, from: number, target: Octets, to: number, length: number): number {
  const read = length >= KERNEL_MIN ? placeOf(source, from, from + length) : ELSEWHERE;
  const written = read === ELSEWHERE ? ELSEWHERE : placeOf(target, to, to + length);
  return written === ELSEWHERE
    ? copySumByWords(source.view, from, target.view, to, length)
    : kernel!.copySum(written, read, length) >>> 0;
}

/** `sumOctets` without a kernel. */
export function sumByWords(view: DataView, from: number, to: number): number {
  let high = 0;
  let low = 0;
  let at = from;
  for (; at <= to - 16; at += 16) {
    const a = view.getInt32(at);
    const b = view.getInt32(at + 4);
    const c = view.getInt32(at + 8);
    const d = view.getInt32(at + 12);
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0;
  }
  for (; at < to - 1; at += 2) low = (low + view.getUint16(at)) | 0;
  if (at < to) high = (high + (view.getUint8(at) << 8)) | 0;
  return high + low;
}

/** `copySum` without a kernel. */
export function copySumByWords(source: DataView, from: number, target: DataView, to: number, length: number): number {
  let high = 0;
  let low = 0;
  let i = 0;
  for (; i <= length - 16; i += 16) {
    const a = source.getInt32(from + i);
    const b = source.getInt32(from + i + 4);
    const c = source.getInt32(from + i + 8);
    const d = source.getInt32(from + i + 12);
    target.setInt32(to + i, a);
    target.setInt32(to + i + 4, b);
    target.setInt32(to + i + 8, c);
    target.setInt32(to + i + 12, d);
    high = (high + (a >>> 16) + (b >>> 16) + (c >>> 16) + (d >>> 16)) | 0;
    low = (low + (a & 0xffff) + (b & 0xffff) + (c & 0xffff) + (d & 0xffff)) | 0;
  }
  for (; i < length - 1; i += 2) {
    const word = source.getUint16(from + i);
    target.setUint16(to + i, word);
    low = (low + word) | 0;
  }
  if (i < length) {
    const octet = source.getUint8(from + i);
    target.setUint8(to + i, octet);
    high = (high + (octet << 8)) | 0;
  }
  return high + low;
}

let kernel: SumKernel | undefined;
/** Lies in the kernel's memory, from `origin` on: to ask a view for its buffer takes as long as to sum a header. */
let known: Uint8Array | undefined;
let origin = 0;

/** From so many octets on the kernel is the faster one of both: `npm run bench:sums -- 40 48 56 64` with 1 here. */
const KERNEL_MIN = 56;

/**
 * Where the octets [from, to) stand in the kernel's memory, or ELSEWHERE. Outside of `buf` too, where the words by themselves say
 * what is wrong: a kernel would read and write other packets.
 */
function placeOf({ memory, base, buf }: Octets, from: number, to: number): number {
  if (memory !== known && !isKernels(memory)) return ELSEWHERE;
  return from >= 0 && to <= buf.length ? origin + base + from : ELSEWHERE;
}

function isKernels(memory: Uint8Array): boolean {
  if (kernel === undefined || memory.buffer !== kernel.buffer) return false;
  known = memory;
  origin = memory.byteOffset;
  return true;
}

const ELSEWHERE = -1;
