/** Proposals, RFC 7296 §3.3. */
import type { Bytes, Reader, Writer } from '../core/index.ts';

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

export interface ProposalOptions {
  /** Accepts words of algorithms that RFC 8247 and 8221 gave up. Default false. */
  readonly legacy?: boolean;
  /** ESP without `esn`/`noesn` among the words: which Sequence Numbers transforms to add. Default `allow` (ESN first). */
  readonly esn?: 'allow' | 'require' | 'never';
}

export type ParsedProposal =
  | { readonly ok: true; readonly proposal: Proposal }
  | { readonly ok: false; readonly problem: string };

/** `aes256gcm16-prfsha384-ecp384` as strongSwan reads it. The proposal has number 1 and no SPI. */
export declare function parseProposal(text: string, use: 'ike' | 'esp', options?: ProposalOptions): ParsedProposal;
/** In strongSwan's words. */
export declare function formatProposal(proposal: Proposal): string;
/** `aes256gcm16`, or `ENCR(77)`, `ENCR(12/192)`. */
export declare function formatTransform(transform: Transform): string;
export declare function decodeProposals(r: Reader): Proposal[];
export declare function encodeProposals(w: Writer, proposals: readonly Proposal[]): void;
/** The list ready to be offered: numbered 1..n, with this SPI, without key exchange where `withoutGroups` (RFC 7296 §1.2: IKE_AUTH). */
export declare function offer(
  proposals: readonly Proposal[],
  spi: Bytes,
  options?: { readonly withoutGroups?: boolean },
): Proposal[];
/** The key exchange method of the first proposal that has one: what the first KE payload is made of. */
export declare function firstGroup(proposals: readonly Proposal[]): number | undefined;
export declare const DEFAULT_IKE_PROPOSALS: readonly string[];
export declare const DEFAULT_ESP_PROPOSALS: readonly string[];
