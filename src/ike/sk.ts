/** The SK payload: IV, padding, ICV. RFC 7296 §3.14, RFC 5282 §5.1. */
import type { Bytes, Random } from '../core/index.ts';
import type { Protection } from '../crypto/index.ts';

/** Where the IVs of one direction of one IKE SA come from. Keep one per SA and direction: counters must never repeat under a key. */
export interface IvSource {
  next(length: number): Bytes;
}

/** A counter or fresh random octets, as `protection.ivKind` asks. */
export declare function ivSource(protection: Protection, random: Random): IvSource;

export interface SealOptions {
  /** Octets of padding without the Pad Length octet; default: the fewest that fill the block. */
  readonly padding?: Bytes;
}
