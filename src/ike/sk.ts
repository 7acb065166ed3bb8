/**
 * The encrypted payload: IV | payloads | padding | Pad Length | ICV, and what of the message around it is authenticated.
 *
 * Read first: RFC 7296 §3.14 (layout; the ICV covers everything from the IKE header on), RFC 5282 §3 and §5.1 (AEAD: the
 * associated data is everything in front of the IV), RFC 7383 §2.5 (SKF has four octets more in front of the IV).
 * The ciphers stand behind `Protection`; what the payloads inside mean is `message.ts`'s and the tasks' business.
 * Invariants: lengths are final before anything is sealed; nothing inside is looked at before the ICV has verified.
 */
import { type Bytes, EMPTY, parse, putU32, type Random, Reader, WireError, Writer } from '../core/index.ts';
import { NO_ESN, type Protection } from '../crypto/index.ts';
import { decodeHeader, encodeHeader, HEADER_LENGTH, type HeaderFields, type IkeHeader } from './header.ts';
import { NOTIFY, PAYLOAD } from './iana.ts';
import {
  decodePayloads,
  type EncryptedPayload,
  encodePayloads,
  type FragmentPayload,
  firstType,
  type Payload,
} from './payload.ts';

/** Where the IVs of one direction of one IKE SA come from. Keep one per SA and direction: a counter never repeats under a key. */
export interface IvSource {
  next(length: number): Bytes;
}

/** A counter from zero or fresh random octets, as `protection.ivKind` asks. */
export function ivSource(protection: Protection, random: Random): IvSource {
  if (protection.ivKind === 'unpredictable') return { next: random };
  let low = 0;
  let high = 0;
  return {
    next(length) {
      const iv = new Uint8Array(length);
      if (length >= 8) {
        putU32(iv, length - 8, high);
        putU32(iv, length - 4, low);
      }
      low = (low + 1) >>> 0;
      if (low === 0) high += 1;
      return iv;
    },
  };
}

export interface SealOptions {
  /** Octets of padding without the Pad Length octet; default: as few zeros as fill the block. */
  readonly padding?: Bytes;
}

/** The octets of a message whose `payloads` stand inside one SK payload. */
export function seal(
  header: HeaderFields,
  payloads: readonly Payload[],
  protection: Protection,
  ivs: IvSource,
  options: SealOptions = {},
): Bytes {
  const w = new Writer();
  encodeHeader(w, header, PAYLOAD.SK, 0);
  w.u8(firstType(payloads));
  w.u8(0);
  const iv = HEADER_LENGTH + GENERIC_HEADER;
  let end = 0;
  w.counted16(() => {
    w.bytes(ivs.next(protection.ivLength));
    const from = w.length;
    encodePayloads(w, payloads);
    const padding = options.padding ?? fill(w.length - from + 1, protection.blockSize);
    w.bytes(padding);
    w.u8(padding.length);
    end = w.length;
    w.zeros(protection.icvLength);
  }, GENERIC_HEADER);
  w.patch32(LENGTH_AT, w.length);
  const octets = w.finish();
  protection.seal(octets, 0, iv, end, NO_ESN);
  return octets;
}

export type Unsealed =
  | {
      readonly is: 'plain';
      readonly header: IkeHeader;
      /** The payload that was opened; of an SKF only the part that is in this fragment. */
      readonly sealed: EncryptedPayload | FragmentPayload;
      /** Payloads in front of it, authenticated and in the clear. */
      readonly outside: readonly Payload[];
      readonly iv: Bytes;
      readonly plaintext: Bytes;
      readonly padding: Bytes;
      /** Offset of `plaintext` in the message. */
      readonly at: number;
    }
  | { readonly is: 'malformed'; readonly header: IkeHeader; readonly error: WireError }
  | { readonly is: 'forged'; readonly why: string };

/** Verifies and decrypts the SK or SKF payload. Never throws for what the octets hold. */
export function unseal(octets: Bytes, protection: Protection): Unsealed {
  const outer = parse(() => {
    const header = decodeHeader(octets);
    return { header, payloads: decodePayloads(new Reader(octets, HEADER_LENGTH), header.nextPayload) };
  });
  if (!outer.ok) return { is: 'forged', why: outer.error.message };
  const { header, payloads } = outer.value;
  const sealed = payloads.at(-1);
  if (sealed?.type !== PAYLOAD.SK && sealed?.type !== PAYLOAD.SKF)
    return { is: 'forged', why: 'nothing in it is encrypted' };
  const body = sealed.data.length - protection.ivLength - protection.icvLength;
  if (body < 1 || body % protection.blockSize !== 0) {
    return { is: 'forged', why: `encrypted payload of ${sealed.data.length} octets does not fit the cipher` };
  }
  const buf = octets.slice();
  const iv = buf.length - sealed.data.length;
  const at = iv + protection.ivLength;
  const end = at + body;
  if (!protection.open(buf, 0, iv, end, NO_ESN)) return { is: 'forged', why: 'ICV does not verify' };
  const padLength = buf[end - 1]!;
  if (padLength + 1 > body) {
    const problem = `${padLength} octets of padding in ${body} octets of plaintext`;
    return { is: 'malformed', header, error: new WireError('sk.padLength', end - 1, problem, NOTIFY.INVALID_SYNTAX) };
  }
  const padAt = end - 1 - padLength;
  return {
    is: 'plain',
    header,
    sealed,
    outside: payloads.slice(0, -1),
    iv: buf.slice(iv, at),
    plaintext: buf.slice(at, padAt),
    padding: buf.slice(padAt, end - 1),
    at,
  };
}

/** Padding after which `length` octets, Pad Length included, fill whole blocks. */
function fill(length: number, blockSize: number): Bytes {
  const short = length % blockSize;
  return short === 0 ? EMPTY : new Uint8Array(blockSize - short);
}

const GENERIC_HEADER = 4;
/** Offset of the Length field in the IKE header. */
const LENGTH_AT = 24;
