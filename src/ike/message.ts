/**
 * Whole messages: header and payload chain, in the clear and protected.
 *
 * Read first: RFC 7296 §3 and §3.14; §2.21 (what malformed messages are answered with).
 * The octets of the SK payload are laid out in `sk.ts`. Which payloads may occur is `rules.ts`; what they mean, the tasks'.
 * Invariant: a WireError from here names the notification the peer is owed, INVALID_SYNTAX where nothing else is said.
 */
import { type Bytes, Reader, WireError, Writer } from '../core/index.ts';
import type { Protection } from '../crypto/index.ts';
import { decodeHeader, encodeHeader, HEADER_LENGTH, type HeaderFields, type IkeHeader } from './header.ts';
import { NOTIFY, PAYLOAD } from './iana.ts';
import { decodePayloads, encodePayloads, firstType, type Payload } from './payload.ts';
import { unseal } from './sk.ts';

export interface Message {
  readonly header: IkeHeader;
  readonly payloads: readonly Payload[];
}

export type Opened =
  /** Authentic. `payloads` are those inside SK; the rare ones in front of it are in `outside`. */
  | {
      readonly is: 'message';
      readonly header: IkeHeader;
      readonly payloads: readonly Payload[];
      readonly outside: readonly Payload[];
    }
  /** Authentic and malformed: `error.answer` is owed to the peer; `error` may be a `CriticalPayloadError`. */
  | { readonly is: 'malformed'; readonly header: IkeHeader; readonly error: WireError }
  /** Not from the peer, or damaged on the way: to be dropped in silence (RFC 7296 §2.21.4). */
  | { readonly is: 'forged'; readonly why: string };

/** The message as it stands; an SK payload stays closed. Throws WireError. */
export function decodeMessage(octets: Bytes): Message {
  return answered(() => {
    const header = decodeHeader(octets);
    return { header, payloads: decodePayloads(new Reader(octets, HEADER_LENGTH), header.nextPayload) };
  });
}

/** A message in the clear, or with an SK payload that is closed already. */
export function encodeMessage(header: HeaderFields, payloads: readonly Payload[]): Bytes {
  const w = new Writer();
  encodeHeader(w, header, firstType(payloads), 0);
  encodePayloads(w, payloads);
  w.patch32(LENGTH_AT, w.length);
  return w.finish();
}

/** Verifies, decrypts and decodes. Never throws for what the octets hold. */
export function openMessage(octets: Bytes, protection: Protection): Opened {
  const opened = unseal(octets, protection);
  if (opened.is !== 'plain') return opened;
  const { header, sealed, outside, plaintext } = opened;
  if (sealed.type === PAYLOAD.SKF) return { is: 'forged', why: `fragment ${sealed.fragment} of ${sealed.total}` };
  try {
    const payloads = answered(() => decodePayloads(new Reader(plaintext), sealed.firstInner));
    return { is: 'message', header, payloads, outside };
  } catch (error) {
    if (error instanceof WireError) return { is: 'malformed', header, error };
    throw error;
  }
}

/** The octets of a message whose payloads are inside an SK payload. */
export { seal as sealMessage } from './sk.ts';

/** RFC 7296 §2.21.1: what has no notification of its own is answered with INVALID_SYNTAX. */
function answered<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof WireError) || error.answer !== undefined) throw error;
    throw new WireError(error.field, error.at, error.problem, NOTIFY.INVALID_SYNTAX);
  }
}

/** Offset of the Length field in the IKE header. */
const LENGTH_AT = 24;
