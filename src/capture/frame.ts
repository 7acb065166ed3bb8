/**
 * What every capture format says about one frame, and the link types Bulkhead understands.
 *
 * Leaves to others: the formats (`pcap.ts`, `pcapng.ts`), what the octets mean (`link.ts` and upwards).
 */
import type { Bytes } from '../core/index.ts';

/** A moment of the capture: seconds since 1970-01-01 UTC, and nanoseconds into that second. */
export interface CaptureTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export interface Frame {
  /** 1 for the first frame of the file. */
  readonly number: number;
  /** Undefined where the format has none (pcapng Simple Packet Blocks). */
  readonly time: CaptureTime | undefined;
  readonly linkType: number;
  /** Index of the interface in its section; 0 in classic pcap. */
  readonly interface: number;
  readonly interfaceName: string | undefined;
  /** Length on the wire; more than `octets` where a snapshot length cut the frame. */
  readonly originalLength: number;
  readonly octets: Bytes;
  readonly comments: readonly string[];
  readonly direction: 'inbound' | 'outbound' | undefined;
}

/** Link types, https://www.tcpdump.org/linktypes.html. */
export const LINK_TYPE = {
  null: 0,
  ethernet: 1,
  raw: 101,
  loop: 108,
  linuxSll: 113,
  ipv4: 228,
  ipv6: 229,
  linuxSll2: 276,
} as const;

/** No frame is longer: the limit of Wireshark for ordinary link types. */
export const MAX_FRAME = 262144;

/** `1794553595.733726000`: exact, sortable, and what `tshark -e frame.time_epoch` prints. */
export const formatTime = (t: CaptureTime): string => `${t.seconds}.${String(t.nanoseconds).padStart(9, '0')}`;

/** Seconds from `a` to `b`, to the nanosecond as far as a double goes. */
export const secondsBetween = (a: CaptureTime, b: CaptureTime): number =>
  b.seconds - a.seconds + (b.nanoseconds - a.nanoseconds) / 1e9;
