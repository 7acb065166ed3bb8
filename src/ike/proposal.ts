/** Proposals, RFC 7296 §3.3. */
import type { Bytes } from '../core/index.ts';

export interface Transform {
  readonly type: number;
  readonly id: number;
  /** Key Length attribute in bits. */
  readonly keyBits: number | undefined;
  /** An attribute of a type nobody knows: the transform must be skipped (§3.3.6). Kept for re-encoding. */
  readonly attributes: readonly Attribute[];
}

export interface Attribute {
  readonly type: number;
  readonly value: number | Bytes;
}

export interface Proposal {
  readonly number: number;
  /** 1 IKE, 2 AH, 3 ESP. */
  readonly protocol: number;
  readonly spi: Bytes;
  readonly transforms: readonly Transform[];
}
