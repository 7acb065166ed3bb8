/**
 * IKE messages of a capture: decoded, decrypted where a key verifies, fragments put together, retransmissions noticed.
 *
 * Read first: RFC 7296 §3.14 (SK) and §2.1 (retransmission is the identical octets), RFC 7383 §2.5–2.6 (SKF).
 * The codec is `ike/`; this file opens with keys from outside and never fails: what is wrong becomes part of the record.
 * Limits: `MAX_REMEMBERED` messages for retransmissions, `MAX_PARTIAL` fragmented messages at a time; the oldest go first.
 */
import type { Bytes } from '../core/index.ts';
import { concat, parse, Reader, sameBytes, toHex, WireError } from '../core/index.ts';
import { NO_ESN } from '../crypto/index.ts';
import {
  decodeHeader,
  decodePayloads,
  type EncryptedPayload,
  type FragmentPayload,
  HEADER_LENGTH,
  type IkeHeader,
  PAYLOAD,
  VersionError,
} from '../ike/index.ts';
import type { KeyRing, Opener } from './keys.ts';
import type { IkeContent, Sealed } from './record.ts';

export class IkeDissector {
  readonly #keys: KeyRing;
  readonly #seen = new Map<string, { frame: number; octets: Bytes }>();
  readonly #partial = new Map<string, Map<number, Part>>();

  constructor(keys: KeyRing) {
    this.#keys = keys;
  }

  /** `octets` is one message without non-ESP marker; `path` names its source and destination. */
  dissect(octets: Bytes, frame: number, path: string): IkeContent {
    const retransmissionOf = this.#remember(octets, frame, path);
    const decoded = parse(() => decodeHeader(octets));
    if (!decoded.ok) {
      const header = decoded.error instanceof VersionError ? decoded.error.header : undefined;
      return { is: 'ike', header, payloads: [], sealed: undefined, retransmissionOf, error: decoded.error };
    }
    const header = decoded.value;
    const chain = parse(() => decodePayloads(new Reader(octets, HEADER_LENGTH), header.nextPayload));
    if (!chain.ok) return { is: 'ike', header, payloads: [], sealed: undefined, retransmissionOf, error: chain.error };
    const payloads = chain.value;
    const closed = payloads.find((p): p is Closed => p.type === PAYLOAD.SK || p.type === PAYLOAD.SKF);
    if (closed === undefined)
      return { is: 'ike', header, payloads, sealed: undefined, retransmissionOf, error: undefined };
    return { is: 'ike', header, payloads, retransmissionOf, ...this.#open(octets, header, closed, frame, path) };
  }

  #open(
    octets: Bytes,
    header: IkeHeader,
    closed: Closed,
    frame: number,
    path: string,
  ): Pick<IkeContent, 'sealed' | 'error'> {
    const openers = this.#keys.ike(header.spiI, header.spiR, header.flags.initiator);
    const fragment =
      closed.type === PAYLOAD.SKF ? { number: closed.fragment, total: closed.total, frames: undefined } : undefined;
    const nothing = { encryption: undefined, authentication: undefined, fragment, payloads: undefined };
    if (openers.length === 0) return { sealed: { integrity: 'unknown', ...nothing }, error: undefined };
    let error: WireError | undefined;
    // Keys change within one pair of SPIs (RFC 9370 §2.2.2): the last ones serve the rest of the exchange.
    for (const opener of openers.toReversed()) {
      const opened = openSealed(octets, closed, opener);
      if (opened instanceof WireError) error ??= opened;
      if (opened === undefined || opened instanceof WireError) continue;
      const sealed: Sealed = {
        ...nothing,
        integrity: 'ok',
        encryption: opener.encryption.name,
        authentication: opener.integrity?.name,
      };
      if (closed.type === PAYLOAD.SKF) return this.#gather(sealed, opened, header, closed, frame, path);
      const inner = parse(() => decodePayloads(new Reader(opened.buf, opened.start, opened.end), closed.firstInner));
      return inner.ok
        ? { sealed: { ...sealed, payloads: inner.value }, error: undefined }
        : { sealed, error: inner.error };
    }
    return { sealed: { integrity: 'failed', ...nothing }, error };
  }

  /** RFC 7383 §2.6: the plaintexts in order of their numbers are one chain of payloads. */
  #gather(
    sealed: Sealed,
    opened: Plain,
    header: IkeHeader,
    closed: FragmentPayload,
    frame: number,
    path: string,
  ): Pick<IkeContent, 'sealed' | 'error'> {
    const { fragment: number, total } = closed;
    const plain = opened.buf.slice(opened.start, opened.end);
    const key = [path, toHex(header.spiI), toHex(header.spiR), header.messageId, header.flags.response, total].join(
      ' ',
    );
    const parts = this.#partial.get(key) ?? new Map<number, Part>();
    parts.set(number, { plain, firstInner: closed.firstInner, frame });
    bound(this.#partial, key, parts, MAX_PARTIAL);
    if (parts.size < total) return { sealed, error: undefined };
    this.#partial.delete(key);
    const ordered = [...parts].sort(([a], [b]) => a - b).map(([, part]) => part);
    const frames = ordered.map((part) => part.frame);
    const whole = { ...sealed, fragment: { number, total, frames } };
    const chain = new Reader(concat(...ordered.map((part) => part.plain)));
    const inner = parse(() => decodePayloads(chain, ordered[0]!.firstInner));
    return inner.ok
      ? { sealed: { ...whole, payloads: inner.value }, error: undefined }
      : { sealed: whole, error: inner.error };
  }

  #remember(octets: Bytes, frame: number, path: string): number | undefined {
    // SPIs, exchange, flags and message ID; and where an SKF has its fragment number.
    const key = `${path} ${toHex(octets.subarray(0, HEADER_LENGTH + 8))}`;
    const before = this.#seen.get(key);
    if (before !== undefined && sameBytes(before.octets, octets)) return before.frame;
    bound(this.#seen, key, { frame, octets }, MAX_REMEMBERED);
    return undefined;
  }
}

type Closed = EncryptedPayload | FragmentPayload;

interface Part {
  readonly plain: Bytes;
  readonly firstInner: number;
  readonly frame: number;
}

/** The inner payloads stand in buf[start, end), at the offsets they have in the message. */
interface Plain {
  readonly buf: Bytes;
  readonly start: number;
  readonly end: number;
}

/** Undefined where the ICV does not verify; a WireError where the lengths cannot be right. */
function openSealed(octets: Bytes, closed: Closed, opener: Opener): Plain | undefined | WireError {
  const { ivLength, icvLength, blockSize } = opener.protection;
  // The encrypted payload is the last one, so its data ends with the message.
  const iv = octets.length - closed.data.length;
  const end = octets.length - icvLength;
  const start = iv + ivLength;
  if (end <= start)
    return new WireError('sk.data', iv, `${closed.data.length} octets are less than IV, padding and ICV`);
  if ((end - start) % blockSize !== 0)
    return new WireError('sk.data', start, `not whole blocks of ${blockSize} octets`);
  const buf = octets.slice();
  if (!opener.protection.open(buf, 0, iv, end, NO_ESN)) return undefined;
  const padding = buf[end - 1]!;
  if (padding > end - start - 1)
    return new WireError('sk.padLength', end - 1, `${padding} octets of padding do not fit`);
  return { buf, start, end: end - 1 - padding };
}

/** Stores as the newest entry and lets the oldest go beyond `limit`. */
function bound<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > limit) map.delete(map.keys().next().value!);
}

const MAX_REMEMBERED = 4096;
const MAX_PARTIAL = 64;
