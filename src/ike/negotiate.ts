/** Choosing among proposals, and saying why none could be chosen. RFC 7296 §2.7, §3.3. */
import type { ChildSuite, IkeSuite } from './contract.ts';
import type { Proposal } from './proposal.ts';

export interface NegotiateOptions {
  /** Key exchange transforms play no part (child of IKE_AUTH, RFC 7296 §1.2). */
  readonly withoutGroups?: boolean;
  /** The group of the KE payload at hand: taken where it is acceptable at all, which saves an INVALID_KE_PAYLOAD round trip. */
  readonly group?: number;
}

export type Negotiated =
  /** One transform a type, number and SPI as theirs: put your own SPI in before answering. */
  | { readonly ok: true; readonly proposal: Proposal }
  /** Ours against theirs, for people. */
  | { readonly ok: false; readonly lines: readonly string[] };

export declare function negotiate(
  ours: readonly Proposal[],
  theirs: readonly Proposal[],
  options?: NegotiateOptions,
): Negotiated;
export declare function explainMismatch(ours: readonly Proposal[], theirs: readonly Proposal[]): string[];
export type Selected =
  | { readonly ok: true; readonly proposal: Proposal }
  | { readonly ok: false; readonly problem: string };
/** What a responder chose, if it is one of what was `offered` (RFC 7296 §2.7). */
export declare function checkSelected(
  offered: readonly Proposal[],
  selected: readonly Proposal[],
  options?: { readonly withoutGroups?: boolean },
): Selected;
/** For a negotiated proposal; a broken invariant for anything else. */
export declare function suiteOfIke(proposal: Proposal): IkeSuite;
export declare function suiteOfChild(proposal: Proposal): ChildSuite;
/** The key exchange method in a chosen proposal, undefined for none. */
export declare function groupOf(proposal: Proposal): number | undefined;
