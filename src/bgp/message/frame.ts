/**
 * From a stream of octets to whole messages: marker, length and type (RFC 4271 §4.1, §6.1; RFC 8654 §4).
 *
 * Octets come in any segmentation. A message that lies whole in what was pushed is yielded where it lies; only one that straddles two
 * pushes is put together in memory of the framer. Bodies belong to the codecs.
 * Limits: at most one message of `maximumLength` octets is ever kept.
 * Invariants: after a refusal nothing more is yielded (§6.1: the connection is closed). A yielded message is valid until the next call.
 */
import { type Bytes, concat, EMPTY, invariant, u16, Writer } from '../../core/index.ts';
import { notification, type Refusal } from './fault.ts';
import {
  ERROR,
  EXTENDED_MAXIMUM_LENGTH,
  HEADER_ERROR,
  HEADER_LENGTH,
  MAXIMUM_LENGTH,
  MESSAGE,
  messageName,
} from './iana.ts';

/** A whole message with its header, or why there are no more. */
export type Frame =
  | { readonly ok: true; readonly type: number; readonly octets: Bytes }
  | { readonly ok: false; readonly refusal: Refusal };

export class Framer {
  /** RFC 8654 §4: what we have said we take; 4096 until both OPENs are there. Never governs OPEN and KEEPALIVE. */
  maximumLength = MAXIMUM_LENGTH;

  /** What was pushed last, and how much of it is used up. */
  #pushed: Bytes = EMPTY;
  #at = 0;
  /** The beginning of a message that did not come whole. */
  #kept: Bytes = EMPTY;
  #keptLength = 0;
  #refused: Frame | undefined;

  /** Gives the next octets of the stream, after `next` has said undefined for those before. */
  push(octets: Bytes): void {
    if (this.#refused !== undefined) return;
    invariant(this.#at === this.#pushed.length, 'messages are taken before more octets come');
    this.#pushed = octets;
    this.#at = 0;
  }

  /** Octets that no message was made of yet. */
  get pending(): number {
    return this.#keptLength + this.#pushed.length - this.#at;
  }

  /** The beginning of a message whose rest has not come: a copy. */
  get begun(): Bytes {
    return concat(this.#kept.subarray(0, this.#keptLength), this.#pushed.subarray(this.#at));
  }

  next(): Frame | undefined {
    if (this.#refused !== undefined) return this.#refused;
    return this.#keptLength > 0 ? this.#nextOfKept() : this.#nextInPlace();
  }

  #nextInPlace(): Frame | undefined {
    const left = this.#pushed.length - this.#at;
    if (left < HEADER_LENGTH) return this.#wait();
    const refusal = checkHeader(this.#pushed, this.#at, this.maximumLength);
    if (refusal !== undefined) return this.#refuse(refusal);
    const length = messageLength(this.#pushed, this.#at);
    if (left < length) return this.#wait();
    const octets = this.#pushed.subarray(this.#at, this.#at + length);
    this.#at += length;
    return { ok: true, type: messageType(octets, 0), octets };
  }

  #nextOfKept(): Frame | undefined {
    if (!this.#fill(HEADER_LENGTH)) return undefined;
    const refusal = checkHeader(this.#kept, 0, this.maximumLength);
    if (refusal !== undefined) return this.#refuse(refusal);
    const length = messageLength(this.#kept, 0);
    if (!this.#fill(length)) return undefined;
    const octets = this.#kept.subarray(0, length);
    this.#keptLength = 0;
    return { ok: true, type: messageType(octets, 0), octets };
  }

  /** Keeps what is left: the caller's octets need not outlive the call. */
  #wait(): undefined {
    if (this.#at < this.#pushed.length) this.#keep(this.#pushed.length);
    this.#pushed = EMPTY;
    this.#at = 0;
    return undefined;
  }

  /** Moves octets over until `length` of the message are kept; false when there are not enough. */
  #fill(length: number): boolean {
    const missing = length - this.#keptLength;
    if (missing > 0) this.#keep(Math.min(this.#pushed.length, this.#at + missing));
    return this.#keptLength >= length;
  }

  #keep(end: number): void {
    const needed = this.#keptLength + end - this.#at;
    if (this.#kept.length < needed) {
      const larger = new Uint8Array(
        needed <= MAXIMUM_LENGTH ? MAXIMUM_LENGTH : Math.max(needed, EXTENDED_MAXIMUM_LENGTH),
      );
      larger.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = larger;
    }
    this.#kept.set(this.#pushed.subarray(this.#at, end), this.#keptLength);
    this.#keptLength = needed;
    this.#at = end;
  }

  #refuse(refusal: Refusal): Frame {
    this.#refused = { ok: false, refusal };
    this.#pushed = EMPTY;
    this.#kept = EMPTY;
    this.#at = 0;
    this.#keptLength = 0;
    return this.#refused;
  }
}

export const messageLength = (b: Bytes, o: number): number => u16(b, o + 16);
export const messageType = (b: Bytes, o: number): number => b[o + 18]!;

/*  Marker (16) | Length (2) | Type (1): RFC 4271 §4.1.  */
export function withHeader(type: number, body: (w: Writer) => void): Bytes {
  const w = new Writer();
  w.bytes(MARKER);
  w.u16(0);
  w.u8(type);
  body(w);
  w.patch16(MARKER.length, w.length);
  return w.finish();
}

/** RFC 4271 §6.1 for the header at `o`, of which HEADER_LENGTH octets are there; undefined when nothing is wrong. */
export function checkHeader(b: Bytes, o: number, maximumLength: number): Refusal | undefined {
  for (let i = 0; i < MARKER_LENGTH; i++) {
    if (b[o + i] !== 0xff) {
      return refusal(HEADER_ERROR.NOT_SYNCHRONIZED, EMPTY, `octet ${i} of the marker is not all ones`);
    }
  }
  const length = messageLength(b, o);
  const type = messageType(b, o);
  const bounds = BOUNDS[type];
  if (length < HEADER_LENGTH || length > maximumLength) return badLength(b, o, type, length);
  if (bounds === undefined) {
    return refusal(HEADER_ERROR.BAD_TYPE, b.slice(o + 18, o + 19), `${type} is no type of message`);
  }
  return length < bounds.least || length > bounds.most ? badLength(b, o, type, length) : undefined;
}

function badLength(b: Bytes, o: number, type: number, length: number): Refusal {
  return refusal(HEADER_ERROR.BAD_LENGTH, b.slice(o + 16, o + 18), `${messageName(type)} of ${length} octets`);
}

const refusal = (subcode: number, data: Bytes, why: string): Refusal => ({
  notification: notification(ERROR.HEADER, subcode, data),
  why,
});

const MARKER_LENGTH = 16;
/** RFC 4271 §4.1: all ones. */
export const MARKER: Bytes = new Uint8Array(MARKER_LENGTH).fill(0xff);

/** RFC 4271 §6.1, RFC 8654 §4. A ROUTE-REFRESH of a wrong length has an error of its own (RFC 7313 §5): `refresh.ts`. */
const BOUNDS: Readonly<Record<number, { readonly least: number; readonly most: number }>> = {
  [MESSAGE.OPEN]: { least: 29, most: MAXIMUM_LENGTH },
  [MESSAGE.UPDATE]: { least: 23, most: EXTENDED_MAXIMUM_LENGTH },
  [MESSAGE.NOTIFICATION]: { least: 21, most: EXTENDED_MAXIMUM_LENGTH },
  [MESSAGE.KEEPALIVE]: { least: HEADER_LENGTH, most: HEADER_LENGTH },
  [MESSAGE.ROUTE_REFRESH]: { least: HEADER_LENGTH, most: EXTENDED_MAXIMUM_LENGTH },
};
