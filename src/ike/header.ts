/**
 * The IKE header: 28 octets in front of every message.
 *
 * Read first: RFC 7296 §3.1 (layout, flags), §2.5 (versions).
 * Invariants: what `decodeHeader` returns has the Length of the datagram it came in; reserved flags are ignored and written zero.
 */
import { type Bytes, Reader, WireError, type Writer } from '../core/index.ts';
import { NOTIFY } from './iana.ts';

export const HEADER_LENGTH = 28;
export const SPI_LENGTH = 8;

export interface IkeFlags {
  /** Set in every message of the original initiator of this IKE SA. */
  readonly initiator: boolean;
  /** The sender speaks a higher major version than this message. */
  readonly version: boolean;
  readonly response: boolean;
}

export interface IkeHeader {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly nextPayload: number;
  readonly major: number;
  readonly minor: number;
  readonly exchange: number;
  readonly flags: IkeFlags;
  readonly messageId: number;
  readonly length: number;
}

/** What a sender chooses; next payload and length follow from the rest. An `IkeHeader` is one. */
export interface HeaderFields {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly exchange: number;
  readonly flags: IkeFlags;
  readonly messageId: number;
  /** Default 2.0. */
  readonly major?: number;
  readonly minor?: number;
}

/** A message of a higher major version. The header was read as far as all versions agree, so that it can be answered. */
export class VersionError extends WireError {
  readonly header: IkeHeader;

  constructor(header: IkeHeader) {
    super('header.version', 17, `major version ${header.major}, 2 is spoken here`, NOTIFY.INVALID_MAJOR_VERSION);
    this.header = header;
  }
}

/** Throws WireError for a datagram that is no IKEv2 message, `VersionError` for a later IKE. */
export function decodeHeader(octets: Bytes): IkeHeader {
  const r = new Reader(octets);
  const spiI = r.bytes('header.spiI', SPI_LENGTH);
  const spiR = r.bytes('header.spiR', SPI_LENGTH);
  const nextPayload = r.u8('header.nextPayload');
  const version = r.u8('header.version');
  const exchange = r.u8('header.exchange');
  const flags = r.u8('header.flags');
  const messageId = r.u32('header.messageId');
  const length = r.u32('header.length');
  const header: IkeHeader = {
    spiI,
    spiR,
    nextPayload,
    major: version >>> 4,
    minor: version & 0x0f,
    exchange,
    flags: {
      initiator: (flags & FLAG_INITIATOR) !== 0,
      version: (flags & FLAG_VERSION) !== 0,
      response: (flags & FLAG_RESPONSE) !== 0,
    },
    messageId,
    length,
  };
  if (header.major > 2) throw new VersionError(header);
  // §2.5: a lower major version is not IKEv2; IKEv1 is neither spoken nor answered.
  if (header.major < 2) throw new WireError('header.version', 17, `major version ${header.major} is not IKEv2`);
  if (length !== octets.length) {
    throw new WireError(
      'header.length',
      24,
      `says ${length} octets, the datagram has ${octets.length}`,
      NOTIFY.INVALID_SYNTAX,
    );
  }
  return header;
}

/** Writes the header with the Length as given; `message.ts` patches it when the payloads are in place. */
export function encodeHeader(w: Writer, header: HeaderFields, nextPayload: number, length: number): void {
  w.bytes(header.spiI);
  w.bytes(header.spiR);
  w.u8(nextPayload);
  w.u8(((header.major ?? 2) << 4) | (header.minor ?? 0));
  w.u8(header.exchange);
  const { initiator, version, response } = header.flags;
  w.u8((initiator ? FLAG_INITIATOR : 0) | (version ? FLAG_VERSION : 0) | (response ? FLAG_RESPONSE : 0));
  w.u32(header.messageId);
  w.u32(length);
}

const FLAG_INITIATOR = 0x08;
const FLAG_VERSION = 0x10;
const FLAG_RESPONSE = 0x20;
