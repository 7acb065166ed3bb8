/** A prefix list entry over prefixes in words of 32 bits: `prefix`, `ge`, `le`. */
import { u32 } from '../../core/index.ts';
import { type Prefix, parsePrefix } from '../../ip/index.ts';
import type { PrefixRecord } from './record.ts';

export interface PrefixMatcher {
  readonly prefix: Prefix;
  /** 1 or 4. */
  readonly words: Uint32Array;
  readonly masks: Uint32Array;
  readonly least: number;
  readonly greatest: number;
}

/** The matcher, or what is wrong. */
export function prefixMatcher({ prefix: text, ge, le }: PrefixRecord): PrefixMatcher | string {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return `${text} is no prefix, or has host bits`;
  const width = prefix.address.length * 8;
  const least = ge ?? prefix.length;
  const greatest = le ?? (ge === undefined ? prefix.length : width);
  if (least < prefix.length || greatest < least || greatest > width)
    return `${text}: lengths ${least} to ${greatest} do not lie between ${prefix.length} and ${width}`;
  const count = width / 32;
  const words = Uint32Array.from({ length: count }, (_, i) => u32(prefix.address, i * 4));
  const masks = Uint32Array.from({ length: count }, (_, i) => {
    const bits = Math.max(0, Math.min(32, prefix.length - 32 * i));
    return bits === 0 ? 0 : -1 << (32 - bits);
  });
  return { prefix, words, masks, least, greatest };
}

/** Prefixes of the other family have another number of words. */
export function matchesPrefix(
  { words, masks, least, greatest }: PrefixMatcher,
  of: Uint32Array,
  length: number,
): boolean {
  if (length < least || length > greatest || of.length !== words.length) return false;
  for (let i = 0; i < words.length; i++) if (((of[i]! ^ words[i]!) & masks[i]!) !== 0) return false;
  return true;
}
