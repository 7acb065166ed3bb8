/**
 * A hash table whose keys are five 32-bit words: (VSID, address) and (VSID, MAC), looked up where they stand in a packet.
 *
 * Open addressing, linear probing, at most half full; looking up allocates nothing. The seed keeps senders who choose
 * addresses from choosing where they fall. Small tables are what
 * most tenants have: one of two entries is 80 octets of keys.
 */
export class KeyTable<T extends NonNullable<unknown>> {
  readonly #seed: number;
  #keys = NO_KEYS;
  #values: (T | undefined)[] = NO_VALUES;
  #size = 0;

  constructor(seed: number) {
    this.#seed = seed | 0;
  }

  get size(): number {
    return this.#size;
  }

  /** Reads where everything is found, for `VirtualNetwork.touch`. */
  touch(): number {
    return this.#keys.length + this.#values.length;
  }

  find(a: number, b: number, c: number, d: number, e: number): T | undefined {
    return this.#values[this.#slotOf(a | 0, b | 0, c | 0, d | 0, e | 0)];
  }

  /** Replaces what stood under the key. */
  set(a: number, b: number, c: number, d: number, e: number, value: T): void {
    let slot = this.#slotOf(a | 0, b | 0, c | 0, d | 0, e | 0);
    if (this.#values[slot] === undefined) {
      if (2 * (this.#size + 1) > this.#values.length) {
        this.#grow();
        slot = this.#slotOf(a | 0, b | 0, c | 0, d | 0, e | 0);
      }
      this.#size += 1;
      const at = slot * WORDS;
      this.#keys[at] = a;
      this.#keys[at + 1] = b;
      this.#keys[at + 2] = c;
      this.#keys[at + 3] = d;
      this.#keys[at + 4] = e;
    }
    this.#values[slot] = value;
  }

  /** False when there was nothing. */
  delete(a: number, b: number, c: number, d: number, e: number): boolean {
    let hole = this.#slotOf(a | 0, b | 0, c | 0, d | 0, e | 0);
    if (this.#values[hole] === undefined) return false;
    this.#size -= 1;
    const keys = this.#keys;
    const mask = this.#values.length - 1;
    // What follows moves into the hole unless its home lies behind the hole: probing never meets a gap before its key.
    for (let slot = (hole + 1) & mask; this.#values[slot] !== undefined; slot = (slot + 1) & mask) {
      if (((slot - this.#homeOf(slot)) & mask) < ((slot - hole) & mask)) continue;
      keys.copyWithin(hole * WORDS, slot * WORDS, (slot + 1) * WORDS);
      this.#values[hole] = this.#values[slot];
      hole = slot;
    }
    this.#values[hole] = undefined;
    return true;
  }

  /** In no order. Not to be gone through while the table changes. */
  *values(): IterableIterator<T> {
    for (const value of this.#values) if (value !== undefined) yield value;
  }

  /** Where the key is, or would be. */
  #slotOf(a: number, b: number, c: number, d: number, e: number): number {
    const keys = this.#keys;
    const values = this.#values;
    const mask = values.length - 1;
    let slot = this.#hash(a, b, c, d, e) & mask;
    for (; values[slot] !== undefined; slot = (slot + 1) & mask) {
      const at = slot * WORDS;
      if (keys[at + 1] !== b || keys[at] !== a) continue;
      if (keys[at + 2] === c && keys[at + 3] === d && keys[at + 4] === e) break;
    }
    return slot;
  }

  #homeOf(slot: number): number {
    const k = this.#keys;
    const at = slot * WORDS;
    return this.#hash(k[at]!, k[at + 1]!, k[at + 2]!, k[at + 3]!, k[at + 4]!) & (this.#values.length - 1);
  }

  #hash(a: number, b: number, c: number, d: number, e: number): number {
    let h = stir(this.#seed ^ a);
    h = stir(h ^ b);
    h = stir(h ^ c);
    h = stir(h ^ d);
    return stir(h ^ e);
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    const slots = Math.max(LEAST_SLOTS, 2 * values.length);
    this.#keys = new Int32Array(slots * WORDS);
    this.#values = new Array(slots).fill(undefined);
    for (let slot = 0; slot < values.length; slot++) {
      const value = values[slot];
      if (value === undefined) continue;
      const at = slot * WORDS;
      const into = this.#slotOf(keys[at]!, keys[at + 1]!, keys[at + 2]!, keys[at + 3]!, keys[at + 4]!);
      this.#keys.set(keys.subarray(at, at + WORDS), into * WORDS);
      this.#values[into] = value;
    }
  }
}

const WORDS = 5;
const LEAST_SLOTS = 4;
/** Of every empty table; never written, because one that fills grows first. */
const NO_KEYS = new Int32Array(WORDS);
const NO_VALUES: undefined[] = [undefined];

function stir(x: number): number {
  const h = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  return Math.imul(h ^ (h >>> 15), 0x846ca68b);
}
