/**
 * Jobs of ipsec-mb, written straight into its ring and run to completion, up to a burst at a time.
 *
 * Read first: IMB_JOB of intel-ipsec-mb.h, version 1.3; IMB_GET_NEXT_BURST, IMB_SUBMIT_BURST_NOCHECK, IMB_FLUSH_BURST there.
 * Leaves to others: what a job says (`ipsec-mb.ts`).
 * Invariant: between two calls of `run` the ring is empty, so that no pointer of a finished packet stays in the library's hands.
 */
import { invariant } from '../../core/index.ts';
import { Block } from './block.ts';
import { type IpsecMb, JOB_SIZE, MAX_BURST, RING, RING_JOBS } from './ipsec-mb-library.ts';

/** What all jobs of one key and direction have in common: the words of an IMB_JOB. */
export type JobTemplate = Uint32Array;

export const newTemplate = (): JobTemplate => new Uint32Array(JOB_SIZE / 4);

/** Indices of 32-bit words in an IMB_JOB; pointers and lengths take two. */
export const WORD = {
  encryptionKeys: 0,
  decryptionKeys: 2,
  keyLength: 4,
  source: 6,
  destination: 8,
  cipherOffset: 10,
  cipherLength: 12,
  hashOffset: 14,
  hashLength: 16,
  iv: 18,
  ivLength: 20,
  tag: 22,
  tagLength: 24,
  /** Three pointers of the hash; with an AEAD the address and the length of the AAD. */
  hash1: 26,
  hash2: 28,
  hash3: 30,
  status: 32,
  cipher: 33,
  direction: 34,
  hash: 35,
  order: 36,
} as const;

/** Octets beside each job: its IV or counter block, its AAD, its MAC, and the four first octets of the ICV that was received. */
export const BESIDE = { iv: 0, aad: 16, mac: 32, icv: 96 } as const;
const BESIDE_SIZE = 128;

/** The one queue of this library: what stands in its ring, two queues would know nothing of each other's. */
export function jobQueueOf(library: IpsecMb): JobQueue {
  const queue = queues.get(library) ?? new JobQueue(library);
  queues.set(library, queue);
  return queue;
}

const queues = new WeakMap<IpsecMb, JobQueue>();

export class JobQueue {
  /** The memory of the jobs as words; `at(i)` is where job i of the burst begins. */
  readonly words: Uint32Array;
  /** The octets beside the jobs; `besideAt(i)` is where those of job i begin. */
  readonly beside: Uint8Array;
  readonly besideView: DataView;
  readonly #besideBase: number;
  readonly #library: IpsecMb;
  /** The lower half of the address of the ring: jobs are told apart by it. */
  readonly #first: number;
  readonly #slots = new Int32Array(MAX_BURST);
  /** Which template a slot of the ring was last written with: the library leaves what it does not report in. */
  readonly #written: (JobTemplate | undefined)[] = new Array(RING_JOBS).fill(undefined);

  constructor(library: IpsecMb) {
    this.#library = library;
    this.words = library.memory.words;
    this.#first = (library.memory.base + RING) >>> 0;
    const beside = new Block(library.koffi, RING_JOBS * BESIDE_SIZE);
    this.beside = beside.bytes;
    this.besideView = new DataView(beside.bytes.buffer, beside.bytes.byteOffset, beside.bytes.byteLength);
    this.#besideBase = beside.base;
  }

  /** So many free jobs, at most MAX_BURST. */
  take(count: number): void {
    const { memory, list, nextBurst } = this.#library;
    invariant(nextBurst(memory.base, count, memory.base + list) === count, 'the ring of jobs is empty between bursts');
    const [slots, words] = [this.#slots, this.words];
    let expected = -1;
    let slot = 0;
    for (let i = 0; i < count; i++) {
      const offset = (words[(list >>> 2) + 2 * i]! - this.#first) | 0;
      // Mostly the next one; a division takes longer than the rest.
      slot = offset === expected ? slot + 1 : offset / JOB_SIZE;
      slots[i] = slot;
      expected = offset + JOB_SIZE;
    }
  }

  at(i: number): number {
    return (RING >>> 2) + this.#slots[i]! * (JOB_SIZE >>> 2);
  }

  besideAt(i: number): number {
    return this.#slots[i]! * BESIDE_SIZE;
  }

  besideAddress(i: number): number {
    return this.#besideBase + this.#slots[i]! * BESIDE_SIZE;
  }

  /** Copies the template into job i, unless it stands there already: then false. */
  fill(i: number, template: JobTemplate): boolean {
    const slot = this.#slots[i]!;
    if (this.#written[slot] === template) return false;
    this.words.set(template, this.at(i));
    this.#written[slot] = template;
    return true;
  }

  /** A pointer, or a length, into two words. */
  put(word: number, value: number): void {
    this.words[word] = value;
    this.words[word + 1] = value / 0x1_0000_0000;
  }

  /** Runs the first `count` jobs taken. */
  run(count: number): void {
    const { memory, list, submitBurst, flushBurst } = this.#library;
    const jobs = memory.base + list;
    let done = submitBurst(memory.base, count, jobs);
    while (done < count) {
      const more = flushBurst(memory.base, count - done, jobs);
      invariant(more > 0, 'ipsec-mb ends what it began');
      done += more;
    }
    for (let i = 0; i < count; i++) {
      invariant(this.words[this.at(i) + WORD.status] === COMPLETED, 'ipsec-mb does what it offered');
    }
  }
}

/** IMB_STATUS_COMPLETED. */
const COMPLETED = 3;
