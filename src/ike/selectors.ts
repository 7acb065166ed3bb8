/** Traffic selectors: payload format and narrowing. RFC 7296 §2.9, §3.13. */
import type { Reader, Writer } from '../core/index.ts';
import type { SelectorPair, TrafficSelector } from '../ip/index.ts';
import type { PacketSelector } from './contract.ts';
import type { UnknownSelector } from './payload.ts';

export declare function decodeSelectors(r: Reader): { selectors: TrafficSelector[]; unknown: UnknownSelector[] };
export declare function encodeSelectors(
  w: Writer,
  selectors: readonly TrafficSelector[],
  unknown: readonly UnknownSelector[],
): void;
/** The largest part of `offered` that `configured` admits; the part of the first offered selector comes first. Empty: disjoint. */
export declare function narrow(
  configured: readonly TrafficSelector[],
  offered: readonly TrafficSelector[],
): TrafficSelector[];
export type Narrowed =
  | { readonly ok: true; readonly pair: SelectorPair }
  | { readonly ok: false; readonly lines: readonly string[] };
/** A responder's answer. `inUse`: a rekey must not end below what the old SA carries (§2.9.2). */
export declare function narrowPair(configured: SelectorPair, offered: SelectorPair, inUse?: SelectorPair): Narrowed;
/** An initiator's check of an answer: every selector within what was offered. */
export declare function checkNarrowed(offered: SelectorPair, selected: SelectorPair): Narrowed;
/** What to offer: the packet's selectors in front where a packet asked for the tunnel (§2.9). */
export declare function offerSelectors(configured: SelectorPair, packet: PacketSelector | undefined): SelectorPair;
export declare function explainDisjoint(
  side: 'local' | 'remote',
  configured: readonly TrafficSelector[],
  offered: readonly TrafficSelector[],
): string[];
