/**
 * Whole messages: header and payload chain, in the clear and protected.
 *
 * Read first: RFC 7296 §3 and §3.14; §2.21 (what malformed messages are answered with).
 * The octets of the SK payload are laid out in `sk.ts`. Which payloads may occur is `rules.ts`; what they mean, the tasks'.
 * Invariant: a WireError from here names the notification the peer is owed, INVALID_SYNTAX where nothing else is said.
 */
import type { Bytes, WireError } from '../core/index.ts';
import type { Protection } from '../crypto/index.ts';
import type { HeaderFields, IkeHeader } from './header.ts';
import type { Payload } from './payload.ts';
import type { IvSource, SealOptions } from './sk.ts';

export interface Message {
  readonly header: IkeHeader;
  readonly payloads: readonly Payload[];
}

export type Opened =
  /** Authentic. `payloads` are the inner ones; those in front of SK (rare) are in `outside`. */
  | {
      readonly is: 'message';
      readonly header: IkeHeader;
      readonly payloads: readonly Payload[];
      readonly outside: readonly Payload[];
    }
  /** Authentic and malformed: `error.answer` is owed to the peer. */
  | { readonly is: 'malformed'; readonly header: IkeHeader; readonly error: WireError }
  /** Not from the peer, or damaged on the way: to be dropped in silence (RFC 7296 §2.21.2). */
  | { readonly is: 'forged'; readonly why: string };

/** The message as it stands; an SK payload stays closed. Throws WireError. */
export declare function decodeMessage(octets: Bytes): Message;
export declare function encodeMessage(header: HeaderFields, payloads: readonly Payload[]): Bytes;
/** Verifies, decrypts and decodes. Never throws for what the octets hold. */
export declare function openMessage(octets: Bytes, protection: Protection): Opened;
/** `payloads` inside one SK payload. */
export declare function sealMessage(
  header: HeaderFields,
  payloads: readonly Payload[],
  protection: Protection,
  ivs: IvSource,
  options?: SealOptions,
): Bytes;
