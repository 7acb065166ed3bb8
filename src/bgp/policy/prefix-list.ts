/**
 * Many entries of a prefix list at once. How long a question takes depends on the prefix and not on how many entries there are.
 *
 * An entry matches what lies in its prefix and has one of its lengths, none of which is shorter than the prefix. So under each prefix stand
 * the lengths of all entries that it lies in, its own among them; and the longest one that holds the address of a route answers for all:
 * those of its entries that are longer than the route do not have its length.
 */
import { putU32 } from '../../core/index.ts';
import { PrefixTable } from '../../ip/index.ts';
import type { PrefixMatcher } from './prefix-matcher.ts';

export class PrefixList {
  /** By length: 1 where it is one of them. */
  readonly #lengths = new PrefixTable<Uint8Array>();
  readonly #octets = new Uint8Array(16);

  constructor(matchers: readonly PrefixMatcher[]) {
    const table = this.#lengths;
    for (const { prefix, least, greatest } of matchers.toSorted((a, b) => a.prefix.length - b.prefix.length)) {
      const own = table.exact(prefix) ?? table.lookup(prefix.address)?.slice() ?? new Uint8Array(LONGEST + 1);
      own.fill(1, least, greatest + 1);
      table.insert(prefix, own);
    }
  }

  /** `words` is the address in words of 32 bits, host bits zero. */
  matches(words: Uint32Array, length: number): boolean {
    return this.#lookup(words)?.[length] === 1;
  }

  #lookup(words: Uint32Array): Uint8Array | undefined {
    if (words.length === 1) return this.#lengths.lookup4(words[0]!);
    for (let i = 0; i < 4; i++) putU32(this.#octets, i * 4, words[i]!);
    return this.#lengths.lookup6(this.#octets, 0);
  }
}

const LONGEST = 128;
