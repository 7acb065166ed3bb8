/**
 * A policy as the tables see it: a question about an attribute set and a prefix, whose answer may be kept.
 *
 * What a policy says of a prefix goes through `signature`: a number that stands for which prefix conditions hold. Sets and signatures
 * that are equal get equal answers, so an answer is worked out once for all prefixes that share both.
 */
import type { Address } from '../../ip/index.ts';
import type { AttributeDraft } from '../rib/attribute-draft.ts';
import type { AttributeStore } from '../rib/attribute-store.ts';

export interface Outcome {
  readonly accept: boolean;
  /** Whether the draft was edited. */
  readonly changed: boolean;
  /** For people: the clause that decided. */
  readonly why: string;
}

export interface Policy {
  /** Equal keys, equal policies. */
  readonly key: string;
  /** Whether any clause looks at the prefix. */
  readonly byPrefix: boolean;
  /** `words` is the address in words of 32 bits, host bits zero. */
  signature(words: Uint32Array, length: number): number;
  /** Judges set `id`; `draft` has been loaded with it and takes the changes. `self` is what `nextHop: self` means. */
  run(store: AttributeStore, id: number, signature: number, draft: AttributeDraft, self: Address): Outcome;
}

/** Everything passes unchanged: `all`. */
export const ALL: Policy = {
  key: 'all',
  byPrefix: false,
  signature: () => 0,
  run: () => ({ accept: true, changed: false, why: 'all pass' }),
};
