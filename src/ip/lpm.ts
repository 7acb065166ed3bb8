/**
 * Longest-prefix match: a path-compressed binary trie for each family.
 *
 * An empty table is three fields; a route costs one or two nodes, so thousands of small tables are cheap, and a lookup
 * visits at most one node for every bit of the longest matching prefix. Lookups allocate nothing.
 * Invariant: a node without an entry has two children; below a node, keys extend its own.
 */
import type { Bytes } from '../core/index.ts';
import { u32 } from '../core/index.ts';
import { type Address, networkOf, type Prefix } from './address.ts';

export interface PrefixEntry<T> {
  readonly prefix: Prefix;
  readonly value: T;
}

export class PrefixTable<T extends NonNullable<unknown>> {
  #v4: Node<T> | undefined;
  #v6: Node<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Replaces what stood under the same prefix. Host bits do not count. */
  insert(prefix: Prefix, value: T): void {
    const node = leaf<T>({ address: networkOf(prefix), length: prefix.length }, value);
    if (this.exact(prefix) === undefined) this.#size += 1;
    if (prefix.address.length === 4) this.#v4 = inserted(this.#v4, node);
    else this.#v6 = inserted(this.#v6, node);
  }

  /** False when the prefix was not there. */
  remove(prefix: Prefix): boolean {
    if (this.exact(prefix) === undefined) return false;
    this.#size -= 1;
    const key = leaf<T>(prefix, undefined);
    if (prefix.address.length === 4) this.#v4 = removed(this.#v4!, key);
    else this.#v6 = removed(this.#v6!, key);
    return true;
  }

  clear(): void {
    this.#v4 = undefined;
    this.#v6 = undefined;
    this.#size = 0;
  }

  /** An IPv4 address as a number, unsigned or with a sign. */
  lookup4(address: number): T | undefined {
    let best: PrefixEntry<T> | undefined;
    let node = this.#v4;
    while (node !== undefined && ((address ^ node.w0) & MASKS[0]![node.length]!) === 0) {
      if (node.entry !== undefined) best = node.entry;
      if (node.length === 32) break;
      node = (address >>> (31 - node.length)) & 1 ? node.one : node.zero;
    }
    return best?.value;
  }

  /** The 16 octets of buf at `offset`. */
  lookup6(buf: Bytes, offset: number): T | undefined {
    return longest(this.#v6, u32(buf, offset), u32(buf, offset + 4), u32(buf, offset + 8), u32(buf, offset + 12))
      ?.value;
  }

  lookup(address: Address): T | undefined {
    return this.match(address)?.value;
  }

  /** The longest prefix that contains the address, and its value. */
  match(address: Address): PrefixEntry<T> | undefined {
    const key = leaf<T>({ address, length: address.length * 8 }, undefined);
    return longest(address.length === 4 ? this.#v4 : this.#v6, key.w0, key.w1, key.w2, key.w3);
  }

  /** Every prefix that contains the address, longest first: what lost to `match`, and to whom. */
  covering(address: Address): PrefixEntry<T>[] {
    const key = leaf<T>({ address, length: address.length * 8 }, undefined);
    const found: PrefixEntry<T>[] = [];
    let node = address.length === 4 ? this.#v4 : this.#v6;
    while (node !== undefined && covers(node, key.w0, key.w1, key.w2, key.w3)) {
      if (node.entry !== undefined) found.unshift(node.entry);
      node = node.length === key.length ? undefined : child(node, key);
    }
    return found;
  }

  /** The value of exactly this prefix. */
  exact(prefix: Prefix): T | undefined {
    const key = leaf<T>(prefix, undefined);
    let node = prefix.address.length === 4 ? this.#v4 : this.#v6;
    while (node !== undefined && node.length <= key.length && covers(node, key.w0, key.w1, key.w2, key.w3)) {
      if (node.length === key.length) return node.entry?.value;
      node = child(node, key);
    }
    return undefined;
  }

  /** IPv4 first, then by address, shorter prefixes before those they contain. */
  *entries(): IterableIterator<PrefixEntry<T>> {
    yield* walk(this.#v4);
    yield* walk(this.#v6);
  }

  [Symbol.iterator](): IterableIterator<PrefixEntry<T>> {
    return this.entries();
  }
}

/** A prefix as four signed words (IPv4 uses the first), the bits behind `length` zero. */
interface Node<T> {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  readonly length: number;
  entry: PrefixEntry<T> | undefined;
  zero: Node<T> | undefined;
  one: Node<T> | undefined;
}

/** MASKS[w][length]: the bits of word w that a prefix of that length fixes. */
const MASKS: readonly Int32Array[] = [0, 32, 64, 96].map((first) =>
  Int32Array.from({ length: 129 }, (_, length) => {
    const bits = Math.min(32, Math.max(0, length - first));
    return bits === 0 ? 0 : -1 << (32 - bits);
  }),
);
const [M0, M1, M2, M3] = MASKS as [Int32Array, Int32Array, Int32Array, Int32Array];

function leaf<T>(prefix: Prefix, value: T | undefined): Node<T> {
  const { address, length } = prefix;
  const wide = address.length === 16;
  return {
    w0: u32(address, 0) & M0[length]!,
    w1: wide ? u32(address, 4) & M1[length]! : 0,
    w2: wide ? u32(address, 8) & M2[length]! : 0,
    w3: wide ? u32(address, 12) & M3[length]! : 0,
    length,
    entry: value === undefined ? undefined : { prefix, value },
    zero: undefined,
    one: undefined,
  };
}

function longest<T>(root: Node<T> | undefined, a: number, b: number, c: number, d: number): PrefixEntry<T> | undefined {
  let best: PrefixEntry<T> | undefined;
  let node = root;
  while (node !== undefined && covers(node, a, b, c, d)) {
    if (node.entry !== undefined) best = node.entry;
    if (node.length === 128) break;
    node = bit(a, b, c, d, node.length) ? node.one : node.zero;
  }
  return best;
}

const covers = <T>(n: Node<T>, a: number, b: number, c: number, d: number): boolean =>
  (((a ^ n.w0) & M0[n.length]!) |
    ((b ^ n.w1) & M1[n.length]!) |
    ((c ^ n.w2) & M2[n.length]!) |
    ((d ^ n.w3) & M3[n.length]!)) ===
  0;

const child = <T>(n: Node<T>, key: Node<T>): Node<T> | undefined =>
  bit(key.w0, key.w1, key.w2, key.w3, n.length) ? n.one : n.zero;

/** The bit of a key that decides below a prefix of that length. */
function bit(a: number, b: number, c: number, d: number, position: number): number {
  const word = position < 64 ? (position < 32 ? a : b) : position < 96 ? c : d;
  return (word >>> (31 - (position & 31))) & 1;
}

function inserted<T>(node: Node<T> | undefined, fresh: Node<T>): Node<T> {
  if (node === undefined) return fresh;
  const common = Math.min(commonBits(node, fresh), node.length, fresh.length);
  if (common === node.length) {
    if (common === fresh.length) node.entry = fresh.entry;
    else if (bit(fresh.w0, fresh.w1, fresh.w2, fresh.w3, common)) node.one = inserted(node.one, fresh);
    else node.zero = inserted(node.zero, fresh);
    return node;
  }
  if (common === fresh.length) {
    attach(fresh, node);
    return fresh;
  }
  const fork: Node<T> = {
    w0: fresh.w0 & M0[common]!,
    w1: fresh.w1 & M1[common]!,
    w2: fresh.w2 & M2[common]!,
    w3: fresh.w3 & M3[common]!,
    length: common,
    entry: undefined,
    zero: undefined,
    one: undefined,
  };
  attach(fork, node);
  attach(fork, fresh);
  return fork;
}

/** The trie without the entry of `key`, which is in it. */
function removed<T>(node: Node<T>, key: Node<T>): Node<T> | undefined {
  if (node.length === key.length) node.entry = undefined;
  else if (bit(key.w0, key.w1, key.w2, key.w3, node.length)) node.one = removed(node.one!, key);
  else node.zero = removed(node.zero!, key);
  if (node.entry !== undefined || (node.zero !== undefined && node.one !== undefined)) return node;
  return node.zero ?? node.one;
}

function attach<T>(parent: Node<T>, node: Node<T>): void {
  if (bit(node.w0, node.w1, node.w2, node.w3, parent.length)) parent.one = node;
  else parent.zero = node;
}

function commonBits<T>(a: Node<T>, b: Node<T>): number {
  if (a.w0 !== b.w0) return Math.clz32(a.w0 ^ b.w0);
  if (a.w1 !== b.w1) return 32 + Math.clz32(a.w1 ^ b.w1);
  if (a.w2 !== b.w2) return 64 + Math.clz32(a.w2 ^ b.w2);
  return 96 + Math.clz32(a.w3 ^ b.w3);
}

function* walk<T>(node: Node<T> | undefined): IterableIterator<PrefixEntry<T>> {
  if (node === undefined) return;
  if (node.entry !== undefined) yield node.entry;
  yield* walk(node.zero);
  yield* walk(node.one);
}
