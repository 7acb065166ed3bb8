/**
 * Longest-prefix match: a path-compressed binary trie for each family.
 *
 * An empty table is three fields; a route costs one or two nodes, which have their key in words and no octets, so thousands of
 * small tables are cheap. A lookup visits at most one node for every bit of the longest matching prefix, and allocates nothing
 * where it is by number or by octets of a packet; prefixes are made anew for whoever asks for entries.
 * Invariants: a node without a value has two children; below a node, keys extend its own; a trie has nodes of one family.
 */
import type { Bytes } from '../core/index.ts';
import { putU32, u32 } from '../core/index.ts';
import type { Address, Prefix } from './address.ts';

export interface PrefixEntry<T> {
  readonly prefix: Prefix;
  readonly value: T;
}

export class PrefixTable<T extends NonNullable<unknown>> {
  #v4: Node4<T> | undefined;
  #v6: Node6<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Replaces what stood under the same prefix. Host bits do not count. */
  insert(prefix: Prefix, value: T): void {
    if (this.exact(prefix) === undefined) this.#size += 1;
    if (prefix.address.length === 4) this.#v4 = inserted(this.#v4, leaf4(prefix, value));
    else this.#v6 = inserted(this.#v6, leaf6(prefix, value));
  }

  /** False when the prefix was not there. */
  remove(prefix: Prefix): boolean {
    if (this.exact(prefix) === undefined) return false;
    this.#size -= 1;
    if (prefix.address.length === 4) this.#v4 = removed(this.#v4!, leaf4<T>(prefix));
    else this.#v6 = removed(this.#v6!, leaf6<T>(prefix));
    return true;
  }

  clear(): void {
    this.#v4 = undefined;
    this.#v6 = undefined;
    this.#size = 0;
  }

  /** An IPv4 address as a number, unsigned or with a sign. */
  lookup4(address: number): T | undefined {
    let best: T | undefined;
    let node = this.#v4;
    while (node !== undefined && ((address ^ node.w0) & M0[node.length]!) === 0) {
      if (node.value !== undefined) best = node.value;
      if (node.length === 32) break;
      node = (address >>> (31 - node.length)) & 1 ? node.one : node.zero;
    }
    return best;
  }

  /** The 16 octets of buf at `offset`. */
  lookup6(buf: Bytes, offset: number): T | undefined {
    const [a, b, c, d] = [u32(buf, offset), u32(buf, offset + 4), u32(buf, offset + 8), u32(buf, offset + 12)];
    let best: T | undefined;
    let node = this.#v6;
    while (node !== undefined && covers(node, a, b, c, d)) {
      if (node.value !== undefined) best = node.value;
      if (node.length === 128) break;
      node = bit(a, b, c, d, node.length) ? node.one : node.zero;
    }
    return best;
  }

  lookup(address: Address): T | undefined {
    return address.length === 4 ? this.lookup4(u32(address, 0)) : this.lookup6(address, 0);
  }

  /** The longest prefix that contains the address, and its value. */
  match(address: Address): PrefixEntry<T> | undefined {
    return this.covering(address)[0];
  }

  /** Every prefix that contains the address, longest first: what lost to `match`, and to whom. */
  covering(address: Address): PrefixEntry<T>[] {
    const key = leaf<T>({ address, length: address.length * 8 });
    const found: PrefixEntry<T>[] = [];
    let node = this.#rootOf(address);
    while (node !== undefined && covers(node, key.w0, key.w1, key.w2, key.w3)) {
      if (node.value !== undefined) found.unshift(entryOf(node, node.value));
      node = node.length === key.length ? undefined : child(node, key);
    }
    return found;
  }

  /** The value of exactly this prefix. */
  exact(prefix: Prefix): T | undefined {
    const key = leaf<T>(prefix);
    let node = this.#rootOf(prefix.address);
    while (node !== undefined && node.length <= key.length && covers(node, key.w0, key.w1, key.w2, key.w3)) {
      if (node.length === key.length) return node.value;
      node = child(node, key);
    }
    return undefined;
  }

  /** IPv4 first, then by address, shorter prefixes before those they contain. */
  *entries(): IterableIterator<PrefixEntry<T>> {
    for (const root of [this.#v4, this.#v6]) {
      const walk = new Walk(root);
      for (let node = walk.next(); node !== undefined; node = walk.next()) yield entryOf(node, node.value!);
    }
  }

  /**
   * Shows what this table and another have under each prefix that one of them has, in the order of `entries`, until `show` is false.
   * `within`: of prefixes that lie in this one.
   */
  beside<U extends NonNullable<unknown>>(
    other: PrefixTable<U>,
    within: Prefix | undefined,
    show: (mine: T | undefined, others: U | undefined) => boolean,
  ): void {
    const length = within?.address.length;
    if (length !== 16 && !merge(below(this.#v4, within), below(other.#v4, within), show)) return;
    if (length !== 4) merge(below(this.#v6, within), below(other.#v6, within), show);
  }

  [Symbol.iterator](): IterableIterator<PrefixEntry<T>> {
    return this.entries();
  }

  #rootOf(address: Address): Node<T> | undefined {
    return address.length === 4 ? this.#v4 : this.#v6;
  }
}

/** A prefix as signed words, the bits behind `length` zero, and what stands under it. */
interface Node<T> {
  readonly octets: 4 | 16;
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  readonly length: number;
  value: T | undefined;
  zero: Node<T> | undefined;
  one: Node<T> | undefined;
  /** What a branch of the trie begins with where nothing stands: the first `length` bits of the key. */
  fork(length: number): this;
}

class Node4<T> implements Node<T> {
  readonly w0: number;
  readonly length: number;
  value: T | undefined;
  zero: Node4<T> | undefined = undefined;
  one: Node4<T> | undefined = undefined;

  constructor(w0: number, length: number, value: T | undefined) {
    this.w0 = w0 & M0[length]!;
    this.length = length;
    this.value = value;
  }

  get octets(): 4 {
    return 4;
  }

  get w1(): number {
    return 0;
  }

  get w2(): number {
    return 0;
  }

  get w3(): number {
    return 0;
  }

  fork(length: number): this {
    return new Node4<T>(this.w0, length, undefined) as this;
  }
}

class Node6<T> implements Node<T> {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
  readonly length: number;
  value: T | undefined;
  zero: Node6<T> | undefined = undefined;
  one: Node6<T> | undefined = undefined;

  constructor(w0: number, w1: number, w2: number, w3: number, length: number, value: T | undefined) {
    this.w0 = w0 & M0[length]!;
    this.w1 = w1 & M1[length]!;
    this.w2 = w2 & M2[length]!;
    this.w3 = w3 & M3[length]!;
    this.length = length;
    this.value = value;
  }

  get octets(): 16 {
    return 16;
  }

  fork(length: number): this {
    return new Node6<T>(this.w0, this.w1, this.w2, this.w3, length, undefined) as this;
  }
}

/** MASKS[w][length]: the bits of word w that a prefix of that length fixes. */
const MASKS: readonly Int32Array[] = [0, 32, 64, 96].map((first) =>
  Int32Array.from({ length: 129 }, (_, length) => {
    const bits = Math.min(32, Math.max(0, length - first));
    return bits === 0 ? 0 : -1 << (32 - bits);
  }),
);
const [M0, M1, M2, M3] = MASKS as [Int32Array, Int32Array, Int32Array, Int32Array];

const leaf4 = <T>({ address, length }: Prefix, value?: T): Node4<T> => new Node4(u32(address, 0), length, value);

const leaf6 = <T>({ address, length }: Prefix, value?: T): Node6<T> =>
  new Node6(u32(address, 0), u32(address, 4), u32(address, 8), u32(address, 12), length, value);

const leaf = <T>(prefix: Prefix): Node<T> => (prefix.address.length === 4 ? leaf4<T>(prefix) : leaf6<T>(prefix));

function entryOf<T>(node: Node<T>, value: T): PrefixEntry<T> {
  const address = new Uint8Array(node.octets);
  putU32(address, 0, node.w0);
  if (node.octets === 16) {
    putU32(address, 4, node.w1);
    putU32(address, 8, node.w2);
    putU32(address, 12, node.w3);
  }
  return { prefix: { address, length: node.length }, value };
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

/** The trie with `fresh` in it; all its nodes are of one family, and so is N. */
function inserted<N extends Node<unknown>>(node: N | undefined, fresh: N): N {
  if (node === undefined) return fresh;
  const common = Math.min(commonBits(node, fresh), node.length, fresh.length);
  if (common === node.length) {
    if (common === fresh.length) node.value = fresh.value;
    else if (bit(fresh.w0, fresh.w1, fresh.w2, fresh.w3, common)) node.one = inserted(node.one, fresh);
    else node.zero = inserted(node.zero, fresh);
    return node;
  }
  if (common === fresh.length) {
    attach(fresh, node);
    return fresh;
  }
  const fork = fresh.fork(common);
  attach(fork, node);
  attach(fork, fresh);
  return fork;
}

/** The trie without what stands under `key`, which is in it. */
function removed<N extends Node<unknown>>(node: N, key: N): N | undefined {
  if (node.length === key.length) node.value = undefined;
  else if (bit(key.w0, key.w1, key.w2, key.w3, node.length)) node.one = removed(node.one!, key);
  else node.zero = removed(node.zero!, key);
  if (node.value !== undefined || (node.zero !== undefined && node.one !== undefined)) return node;
  return (node.zero ?? node.one) as N | undefined;
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

/** The part of a trie whose prefixes lie in that one. */
function below<T>(root: Node<T> | undefined, within: Prefix | undefined): Node<T> | undefined {
  if (within === undefined) return root;
  const key = leaf<T>(within);
  let node = root;
  while (node !== undefined && node.length < key.length)
    node = covers(node, key.w0, key.w1, key.w2, key.w3) ? child(node, key) : undefined;
  return node !== undefined && covers(key, node.w0, node.w1, node.w2, node.w3) ? node : undefined;
}

/** The nodes of a trie with a value, one after the other. */
class Walk<T> {
  /** What is behind the last one. */
  readonly #stack: Node<T>[];

  constructor(root: Node<T> | undefined) {
    this.#stack = root === undefined ? [] : [root];
  }

  next(): Node<T> | undefined {
    for (let node = this.#stack.pop(); node !== undefined; node = this.#stack.pop()) {
      if (node.one !== undefined) this.#stack.push(node.one);
      if (node.zero !== undefined) this.#stack.push(node.zero);
      if (node.value !== undefined) return node;
    }
    return undefined;
  }
}

/** False where `show` was. */
function merge<T, U>(
  a: Node<T> | undefined,
  b: Node<U> | undefined,
  show: (mine: T | undefined, others: U | undefined) => boolean,
): boolean {
  const [left, right] = [new Walk(a), new Walk(b)];
  let [x, y] = [left.next(), right.next()];
  while (x !== undefined || y !== undefined) {
    const order = x === undefined ? 1 : y === undefined ? -1 : compare(x, y);
    if (!show(order > 0 ? undefined : x?.value, order < 0 ? undefined : y?.value)) return false;
    if (order <= 0) x = left.next();
    if (order >= 0) y = right.next();
  }
  return true;
}

/** By address, shorter prefixes before those they contain. */
function compare<T, U>(a: Node<T>, b: Node<U>): number {
  if (a.w0 !== b.w0) return a.w0 >>> 0 < b.w0 >>> 0 ? -1 : 1;
  if (a.w1 !== b.w1) return a.w1 >>> 0 < b.w1 >>> 0 ? -1 : 1;
  if (a.w2 !== b.w2) return a.w2 >>> 0 < b.w2 >>> 0 ? -1 : 1;
  if (a.w3 !== b.w3) return a.w3 >>> 0 < b.w3 >>> 0 ? -1 : 1;
  return a.length - b.length;
}
