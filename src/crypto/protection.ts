/**
 * A keyed protection for one direction of one SA, from the engines that are always there.
 *
 * Read first: `contract.ts`. The engines are equal in what they write; tests hold them to that.
 */
import type { Encryption, Engine, Integrity, Protection, ProtectionKeys } from './contract.ts';
import { nobleEngine } from './engine-noble.ts';
import { nodeEngine } from './engine-node.ts';
import { ladder } from './ladder.ts';

/** Fastest first. */
export const ENGINES: readonly Engine[] = [nodeEngine, nobleEngine];

/** What needs no native code and no choice. */
export const defaultEngine: Engine = ladder(ENGINES);

/** `integrity` is undefined exactly for an AEAD; the keys have the lengths the transforms state, else it throws. */
export function protection(encryption: Encryption, integrity: Integrity | undefined, keys: ProtectionKeys): Protection {
  return defaultEngine.protection(encryption, integrity, keys);
}
