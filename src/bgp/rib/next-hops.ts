/**
 * Next hops, each kept once, with what the host says of the way to them (RFC 4271 §9.1.2.1, §9.1.2.2 e).
 *
 * The host answers through `resolve`; `refresh` asks again for all and tells which have changed. Number 0 is no next hop (a route of
 * our own) and always usable.
 */
import type { Bytes } from '../../core/index.ts';
import { toHex, u32 } from '../../core/index.ts';
import type { Address } from '../../ip/index.ts';

export interface Resolution {
  /** Interior cost; smaller is better. */
  readonly metric: number;
  readonly usable: boolean;
  /** For people: the route or interface that leads there, or why none does. */
  readonly why: string;
}

export type Resolve = (address: Address) => Resolution;

interface Hop extends Resolution {
  readonly key: string | number;
  readonly address: Address;
  references: number;
}

/** An entry, its key and address, and what is said of it. */
const HOP_OCTETS = 450;

const NONE: Hop = { key: '', address: new Uint8Array(0), metric: 0, usable: true, why: 'our own', references: 1 };

export class NextHops {
  readonly #resolve: Resolve;
  readonly #hops: (Hop | undefined)[] = [NONE];
  readonly #numbers = new Map<string | number, number>();
  readonly #free: number[] = [];

  constructor(resolve: Resolve = () => ({ metric: 0, usable: true, why: 'not asked' })) {
    this.#resolve = resolve;
  }

  /** An estimate: entries are objects. */
  get octets(): number {
    return this.#hops.length * HOP_OCTETS;
  }

  /** Of those that are alive. */
  get held(): number {
    return this.#numbers.size * HOP_OCTETS;
  }

  /** The number of the address of `length` octets at `at`, with one reference. Of 32 octets (RFC 2545 §3) the global one counts. */
  intern(octets: Bytes, at: number, length: number): number {
    if (length === 0) return 0;
    const key = length === 4 ? u32(octets, at) : toHex(octets.subarray(at, at + Math.min(length, 16)));
    const known = this.#numbers.get(key);
    if (known !== undefined) {
      this.#hops[known]!.references++;
      return known;
    }
    const number = this.#free.pop() ?? this.#hops.length;
    const copy = octets.slice(at, at + Math.min(length, 16));
    this.#hops[number] = { key, address: copy, references: 1, ...this.#resolve(copy) };
    this.#numbers.set(key, number);
    return number;
  }

  retain(number: number): void {
    if (number !== 0) this.#hops[number]!.references++;
  }

  release(number: number): void {
    if (number === 0) return;
    const hop = this.#hops[number]!;
    if (--hop.references > 0) return;
    this.#numbers.delete(hop.key);
    this.#hops[number] = undefined;
    this.#free.push(number);
  }

  usable(number: number): boolean {
    return this.#hops[number]!.usable;
  }

  metric(number: number): number {
    return this.#hops[number]!.metric;
  }

  at(number: number): Resolution & { readonly address: Address } {
    return this.#hops[number]!;
  }

  /** Asks again for every next hop; numbers of those whose answer differs. */
  refresh(): ReadonlySet<number> {
    const changed = new Set<number>();
    for (let number = 1; number < this.#hops.length; number++) {
      const hop = this.#hops[number];
      if (hop === undefined) continue;
      const { metric, usable, why } = this.#resolve(hop.address);
      if (metric !== hop.metric || usable !== hop.usable) changed.add(number);
      this.#hops[number] = { ...hop, metric, usable, why };
    }
    return changed;
  }
}
