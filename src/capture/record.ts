/**
 * What a dissected frame is: plain data for `tree.ts`, `json.ts` and tests.
 *
 * Invariant: no record holds a key.
 */
import type { WireError } from '../core/index.ts';
import type { IkeHeader, Payload } from '../ike/index.ts';
import type { Address } from '../ip/index.ts';
import type { CaptureTime } from './frame.ts';

/** `unknown`: no key for it. Nothing is shown decrypted unless it is `ok`. */
export type Integrity = 'ok' | 'failed' | 'unknown';

export interface FrameRecord {
  readonly frame: number;
  readonly time: CaptureTime | undefined;
  /** Seconds since the first frame that has a time. */
  readonly elapsed: number | undefined;
  readonly length: number;
  readonly interfaceName: string | undefined;
  readonly direction: 'inbound' | 'outbound' | undefined;
  readonly comments: readonly string[];
  readonly vlans: readonly number[];
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  /** UDP only. */
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  /** The frames whose IP fragments make up this packet, where they are more than one. */
  readonly fragments: readonly number[] | undefined;
  readonly content: Content;
}

export type Content = IkeContent | EspContent | KeepaliveContent | FragmentContent | OtherContent | MalformedContent;

export interface IkeContent {
  readonly is: 'ike';
  /** Undefined where not even the header can be read; `error` says why. */
  readonly header: IkeHeader | undefined;
  /** As on the wire: an encrypted payload stands closed at the end. */
  readonly payloads: readonly Payload[];
  /** What became of the SK or SKF payload; undefined where there is none. */
  readonly sealed: Sealed | undefined;
  /** The frame that carried the same octets before. */
  readonly retransmissionOf: number | undefined;
  readonly error: WireError | undefined;
}

export interface Sealed {
  readonly integrity: Integrity;
  /** IANA's names, where a key was found. */
  readonly encryption: string | undefined;
  readonly authentication: string | undefined;
  readonly fragment: SealedFragment | undefined;
  /** The payloads inside; of a fragment only once all of them have come. */
  readonly payloads: readonly Payload[] | undefined;
}

/** RFC 7383 §2.5. */
export interface SealedFragment {
  readonly number: number;
  readonly total: number;
  /** The frames of all fragments, with the one that made the message whole. */
  readonly frames: readonly number[] | undefined;
}

export interface EspContent {
  readonly is: 'esp';
  readonly spi: number;
  /** As on the wire: the low half where sequence numbers are extended. */
  readonly sequence: number;
  /** The upper half, where the integrity check proved that there is one. */
  readonly sequenceHigh: number | undefined;
  readonly length: number;
  readonly integrity: Integrity;
  readonly encryption: string | undefined;
  readonly authentication: string | undefined;
  readonly padLength: number | undefined;
  readonly nextHeader: number | undefined;
  readonly inner: InnerPacket | undefined;
  readonly error: WireError | undefined;
}

export interface InnerPacket {
  readonly octets: Uint8Array;
  /** One line of words. */
  readonly text: string;
  readonly version: 4 | 6 | undefined;
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  readonly protocol: number | undefined;
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
  /** Octets of traffic flow confidentiality padding behind the packet (RFC 4303 §2.7). */
  readonly tfcPadding: number;
}

export interface KeepaliveContent {
  readonly is: 'keepalive';
}

/** An IP fragment whose datagram is not whole yet. */
export interface FragmentContent {
  readonly is: 'fragment';
  readonly offset: number;
  readonly length: number;
  readonly more: boolean;
}

export interface OtherContent {
  readonly is: 'other';
  readonly what: string;
}

/** Below UDP and ESP: a frame or packet that cannot be understood. */
export interface MalformedContent {
  readonly is: 'malformed';
  readonly error: WireError;
}
