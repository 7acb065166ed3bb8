/**
 * The payloads of IKEv2 as records, and the chain that strings them together.
 *
 * Read first: RFC 7296 §3.2 (generic header, critical bit), §2.5 (what to skip), §3.3–3.16; RFC 7383 §2.5 (SKF).
 * The body of each payload stands in `payload-codec.ts`, proposals in `proposal.ts`, selectors in `selectors.ts`.
 * Deliberate limits: `MAX_PAYLOADS` a message, so that a chain of empty payloads costs nothing.
 * Invariants: RESERVED is ignored on receipt and written zero, except in ID payloads, whose octets AUTH covers;
 * `decodePayloads(encodePayloads(x)) = x`; time is linear in the octets.
 */
import { type Bytes, EMPTY, invariant, type Reader, WireError, type Writer } from '../core/index.ts';
import type { TrafficSelector } from '../ip/index.ts';
import { NOTIFY, PAYLOAD, payloadName } from './iana.ts';
import type { Identity } from './identity.ts';
import { decodeBody, encodeBody, isKnown } from './payload-codec.ts';
import type { Proposal } from './proposal.ts';

/** strongSwan and libreswan stay below twenty; a message with many certificates below a hundred. */
export const MAX_PAYLOADS = 128;

interface Common {
  readonly critical: boolean;
}

export interface SaPayload extends Common {
  readonly type: typeof PAYLOAD.SA;
  readonly proposals: readonly Proposal[];
}

export interface KePayload extends Common {
  readonly type: typeof PAYLOAD.KE;
  readonly group: number;
  readonly publicValue: Bytes;
}

export interface IdPayload extends Common {
  readonly type: typeof PAYLOAD.IDI | typeof PAYLOAD.IDR;
  readonly identity: Identity;
  /** 24 bits, zero in what we send; kept because AUTH covers the body as sent (§2.15). */
  readonly reserved: number;
}

export interface CertPayload extends Common {
  readonly type: typeof PAYLOAD.CERT;
  readonly encoding: number;
  readonly data: Bytes;
}

export interface CertRequestPayload extends Common {
  readonly type: typeof PAYLOAD.CERTREQ;
  readonly encoding: number;
  /** For X.509 the concatenated SHA-1 hashes of public keys (§3.7). */
  readonly authorities: Bytes;
}

export interface AuthPayload extends Common {
  readonly type: typeof PAYLOAD.AUTH;
  readonly method: number;
  readonly data: Bytes;
}

export interface NoncePayload extends Common {
  readonly type: typeof PAYLOAD.NONCE;
  /** 16..256 octets (§3.9). */
  readonly nonce: Bytes;
}

export interface NotifyPayload extends Common {
  readonly type: typeof PAYLOAD.NOTIFY;
  /** 0 unless it speaks of an SA: then 1, 2 or 3 with its SPI. */
  readonly protocol: number;
  readonly spi: Bytes;
  /** The Notify Message Type, e.g. `NOTIFY.COOKIE`. */
  readonly notify: number;
  readonly data: Bytes;
}

export interface DeletePayload extends Common {
  readonly type: typeof PAYLOAD.DELETE;
  readonly protocol: number;
  /** 0 for an IKE SA, whose SPIs are in the header; else 4, also where the list is empty. */
  readonly spiSize: number;
  readonly spis: readonly Bytes[];
}

export interface VendorPayload extends Common {
  readonly type: typeof PAYLOAD.VENDOR;
  readonly data: Bytes;
}

export interface TsPayload extends Common {
  readonly type: typeof PAYLOAD.TSI | typeof PAYLOAD.TSR;
  readonly selectors: readonly TrafficSelector[];
  /** Selectors of types nobody here knows; skipped in negotiation (§2.9), encoded after the known ones. */
  readonly unknown: readonly UnknownSelector[];
}

export interface UnknownSelector {
  readonly type: number;
  /** Second octet: the IP protocol of the known types. */
  readonly protocol: number;
  readonly data: Bytes;
}

/** SK: always the last payload, its Next Payload is the first one inside (§3.14). */
export interface EncryptedPayload extends Common {
  readonly type: typeof PAYLOAD.SK;
  readonly firstInner: number;
  /** IV | ciphertext | ICV. */
  readonly data: Bytes;
}

/** SKF, RFC 7383 §2.5. */
export interface FragmentPayload extends Common {
  readonly type: typeof PAYLOAD.SKF;
  /** The first inner payload in fragment 1, 0 in the others. */
  readonly firstInner: number;
  readonly fragment: number;
  readonly total: number;
  readonly data: Bytes;
}

export interface ConfigurationPayload extends Common {
  readonly type: typeof PAYLOAD.CP;
  readonly kind: number;
  readonly attributes: readonly ConfigurationAttribute[];
}

export interface ConfigurationAttribute {
  readonly type: number;
  readonly value: Bytes;
}

export interface EapPayload extends Common {
  readonly type: typeof PAYLOAD.EAP;
  readonly code: number;
  readonly identifier: number;
  /** What follows the Length field: type and type data of requests and responses, nothing otherwise. */
  readonly data: Bytes;
}

/** A payload of a type that has no record here, kept verbatim. Never critical: decoding refuses that. */
export interface UnknownPayload extends Common {
  readonly type: 'unknown';
  readonly payloadType: number;
  readonly data: Bytes;
}

export type KnownPayload =
  | SaPayload
  | KePayload
  | IdPayload
  | CertPayload
  | CertRequestPayload
  | AuthPayload
  | NoncePayload
  | NotifyPayload
  | DeletePayload
  | VendorPayload
  | TsPayload
  | EncryptedPayload
  | FragmentPayload
  | ConfigurationPayload
  | EapPayload;

/** Tagged by `type`: comparing it with a constant of `PAYLOAD` narrows to the one record. */
export type Payload = KnownPayload | UnknownPayload;

/** RFC 7296 §2.5: in a request the peer is owed UNSUPPORTED_CRITICAL_PAYLOAD with `payloadType` as its one octet. */
export class CriticalPayloadError extends WireError {
  readonly payloadType: number;

  constructor(payloadType: number, at: number) {
    super('payload', at, `unknown critical payload ${payloadName(payloadType)}`, NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD);
    this.payloadType = payloadType;
  }
}

/** Decodes a chain that begins with type `first` and ends where the reader ends. Throws WireError. */
export function decodePayloads(r: Reader, first: number): Payload[] {
  const payloads: Payload[] = [];
  let type = first;
  while (type !== PAYLOAD.NONE) {
    if (payloads.length === MAX_PAYLOADS)
      r.fail('payload', `more than ${MAX_PAYLOADS} payloads`, NOTIFY.INVALID_SYNTAX);
    const at = r.at;
    const next = r.u8('payload.next');
    const critical = (r.u8('payload.flags') & CRITICAL) !== 0;
    const length = r.u16('payload.length');
    if (length < 4) r.fail('payload.length', `${length} octets are less than the generic header`);
    const body = r.sub(payloadName(type), length - 4);
    if (!isKnown(type)) {
      if (critical) throw new CriticalPayloadError(type, at);
      payloads.push({ type: 'unknown', payloadType: type, critical, data: body.rest() });
    } else {
      payloads.push(decodeBody(type, critical, body, next));
      // §3.14, RFC 7383 §2.5: the encrypted payload is the last one, its Next Payload speaks of the inside.
      if (type === PAYLOAD.SK || type === PAYLOAD.SKF) break;
    }
    type = next;
  }
  r.done('payload');
  return payloads;
}

/** The number that stands in front of a chain. */
export const firstType = (payloads: readonly Payload[], at = 0): number => {
  const payload = payloads[at];
  if (payload === undefined) return PAYLOAD.NONE;
  return payload.type === 'unknown' ? payload.payloadType : payload.type;
};

/** Writes the chain; `firstType` of it goes into the header in front. */
export function encodePayloads(w: Writer, payloads: readonly Payload[]): void {
  payloads.forEach((payload, i) => {
    const sealed = payload.type === PAYLOAD.SK || payload.type === PAYLOAD.SKF;
    invariant(!sealed || i === payloads.length - 1, 'an encrypted payload is the last one');
    w.u8(sealed ? payload.firstInner : firstType(payloads, i + 1));
    w.u8(payload.critical ? CRITICAL : 0);
    w.counted16(() => encodeBody(w, payload), 4);
  });
}

export const notification = (notify: number, data: Bytes = EMPTY, protocol = 0, spi: Bytes = EMPTY): NotifyPayload => ({
  type: PAYLOAD.NOTIFY,
  critical: false,
  protocol,
  spi,
  notify,
  data,
});

/** The first payload of this type. */
export const findPayload = <T extends KnownPayload['type']>(payloads: readonly Payload[], type: T) =>
  payloads.find((p) => p.type === type) as PayloadOf<T> | undefined;

export const allPayloads = <T extends KnownPayload['type']>(payloads: readonly Payload[], type: T) =>
  payloads.filter((p) => p.type === type) as unknown as PayloadOf<T>[];

/** All notifications of this type, or all there are. */
export const allNotifies = (payloads: readonly Payload[], notify?: number): NotifyPayload[] =>
  allPayloads(payloads, PAYLOAD.NOTIFY).filter((p) => notify === undefined || p.notify === notify);

/** The first notification of this type. */
export const findNotify = (payloads: readonly Payload[], notify: number): NotifyPayload | undefined =>
  allNotifies(payloads, notify)[0];

/** The record of a payload type. */
export type PayloadOf<T extends KnownPayload['type']> = Holder<KnownPayload, T>;
type Holder<P, T> = P extends { readonly type: infer Types } ? (T extends Types ? P : never) : never;

const CRITICAL = 0x80;
