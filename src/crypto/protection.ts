/**
 * A keyed protection for one direction of one SA, from the first engine that has the algorithms.
 *
 * Read first: `contract.ts`. The engines are equal in what they write; tests hold them to that.
 */
import { invariant } from '../core/index.ts';
import type { Encryption, Engine, Integrity, Protection, ProtectionKeys } from './contract.ts';
import { nobleEngine } from './engine-noble.ts';
import { nodeEngine } from './engine-node.ts';

/** Fastest first. */
export const ENGINES: readonly Engine[] = [nodeEngine, nobleEngine];

/** `integrity` is undefined exactly for an AEAD; the keys have the lengths the transforms state, else it throws. */
export function protection(encryption: Encryption, integrity: Integrity | undefined, keys: ProtectionKeys): Protection {
  const engine = ENGINES.find((candidate) => candidate.supports(encryption, integrity));
  invariant(engine !== undefined, `an engine has ${encryption.name} with ${integrity?.name ?? 'no integrity'}`);
  return engine.protection(encryption, integrity, keys);
}
