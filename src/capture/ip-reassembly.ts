/**
 * IP fragments of a capture put together again, for both families.
 *
 * Read first: RFC 791 §3.2, RFC 8200 §4.5, RFC 5722 (overlaps).
 * Leaves to others: which packets are fragments (`ip/`), what the whole carries (`dissect.ts`).
 * Limits: `MAX_DATAGRAMS` at a time, the oldest goes first; `MAX_FRAGMENTS` and 65,535 octets each. A datagram whose
 * fragments overlap is given up, except where a fragment comes twice with the same octets.
 */
import type { Bytes } from '../core/index.ts';
import { sameBytes } from '../core/index.ts';

export interface Fragment {
  /** What the fragments of one datagram share: addresses, protocol, identification. */
  readonly key: string;
  /** In octets from the start of the datagram. */
  readonly offset: number;
  readonly more: boolean;
  readonly data: Bytes;
  readonly frame: number;
}

export interface Reassembled {
  readonly data: Bytes;
  /** The frames it came in, in the order of the datagram. */
  readonly frames: readonly number[];
}

export class IpReassembly {
  readonly #partial = new Map<string, Fragment[]>();
  /** Datagrams given up for a limit or an overlap. */
  #refused = 0;

  get refused(): number {
    return this.#refused;
  }

  /** The whole datagram, once its last missing fragment has come. */
  add(fragment: Fragment): Reassembled | undefined {
    const { key } = fragment;
    const held = this.#partial.get(key) ?? [];
    const twin = held.find((f) => f.offset === fragment.offset);
    if (twin !== undefined && sameBytes(twin.data, fragment.data)) return undefined;
    const end = fragment.offset + fragment.data.length;
    const overlaps = held.some((f) => fragment.offset < f.offset + f.data.length && f.offset < end);
    if (overlaps || end > 0xffff || held.length === MAX_FRAGMENTS) {
      this.#partial.delete(key);
      this.#refused += 1;
      return undefined;
    }
    held.push(fragment);
    held.sort((a, b) => a.offset - b.offset);
    const whole = joined(held);
    if (whole !== undefined) this.#partial.delete(key);
    else this.#keep(key, held);
    return whole;
  }

  #keep(key: string, held: Fragment[]): void {
    if (!this.#partial.has(key) && this.#partial.size === MAX_DATAGRAMS) {
      this.#partial.delete(this.#partial.keys().next().value!);
      this.#refused += 1;
    }
    this.#partial.set(key, held);
  }
}

function joined(held: readonly Fragment[]): Reassembled | undefined {
  let end = 0;
  for (const { offset, data } of held) {
    if (offset !== end) return undefined;
    end += data.length;
  }
  if (held.at(-1)!.more) return undefined;
  const data = new Uint8Array(end);
  for (const fragment of held) data.set(fragment.data, fragment.offset);
  return { data, frames: held.map((f) => f.frame) };
}

const MAX_DATAGRAMS = 64;
const MAX_FRAGMENTS = 128;
