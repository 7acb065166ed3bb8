/**
 * A burst: packets of one memory as parallel columns of offsets. One object serves batch after batch, so a packet costs no allocation.
 *
 * Read first: the picture above `Protection` in `contract.ts`, whose `from`, `iv`, `end` and `high` are the columns here.
 * Limits: offsets below 2³¹. Packets of several SAs may stand in one burst; each protection is given the run that is its own.
 */
import { type Bytes, invariant } from '../core/index.ts';
import type { Protection } from './contract.ts';

/** As many packets as the fastest engine takes at once. */
export const BURST_PACKETS = 128;

export class Burst {
  /** What the offsets point into. */
  buf: Bytes;
  count = 0;
  readonly capacity: number;
  readonly from: Int32Array;
  readonly iv: Int32Array;
  readonly end: Int32Array;
  /** Upper halves of sequence numbers, or NO_ESN. */
  readonly high: Float64Array;
  /** 1 where `openBurst` found the ICV right, 0 where it did not. */
  readonly authentic: Uint8Array;

  constructor(buf: Bytes, capacity = BURST_PACKETS) {
    this.buf = buf;
    this.capacity = capacity;
    this.from = new Int32Array(capacity);
    this.iv = new Int32Array(capacity);
    this.end = new Int32Array(capacity);
    this.high = new Float64Array(capacity);
    this.authentic = new Uint8Array(capacity);
  }

  /** The index of the new packet. The caller looks at `capacity` first. */
  add(from: number, iv: number, end: number, high: number): number {
    const index = this.count;
    invariant(index < this.capacity, 'a burst is not filled beyond its capacity');
    this.from[index] = from;
    this.iv[index] = iv;
    this.end[index] = end;
    this.high[index] = high;
    this.authentic[index] = 0;
    this.count = index + 1;
    return index;
  }

  clear(): void {
    this.count = 0;
  }
}

/** The bursts of a protection that has no faster way than packet by packet. */
export function oneByOne(single: Omit<Protection, 'sealBurst' | 'openBurst'>): Protection {
  const { seal, open } = single;
  return {
    ...single,
    sealBurst: (burst, first, stop) => {
      const { buf, from, iv, end, high } = burst;
      for (let i = first; i < stop; i++) seal(buf, from[i]!, iv[i]!, end[i]!, high[i]!);
    },
    openBurst: (burst, first, stop) => {
      const { buf, from, iv, end, high, authentic } = burst;
      for (let i = first; i < stop; i++) authentic[i] = open(buf, from[i]!, iv[i]!, end[i]!, high[i]!) ? 1 : 0;
    },
  };
}
