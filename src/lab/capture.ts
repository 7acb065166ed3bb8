/**
 * Captures of a lab: taps at named points become one file, pcapng (each point an interface) or classic pcap (all in one row, where
 * frames are without their Ethernet headers, because a file has one link type, and ARP is missing).
 *
 * The file is written piece by piece to whoever asked for it; nothing is held.
 */
import {
  type CaptureTime,
  LINK_TYPE,
  pcapHeader,
  pcapngInterface,
  pcapngPacket,
  pcapngSection,
  pcapRecord,
} from '../capture/index.ts';
import type { Bytes, Millis } from '../core/index.ts';
import { ETHER_TYPE, ETHERNET_HEADER, etherType } from '../ip/index.ts';
import type { Timeline } from './timeline.ts';

export interface CaptureOptions {
  readonly timeline: Timeline;
  readonly format: 'pcapng' | 'pcap';
  /** Takes the file's octets as they come. */
  readonly write: (octets: Bytes) => void;
  /** Moment of the timeline's zero, milliseconds since 1970. */
  readonly epoch?: Millis;
}

export interface Tappable {
  tap(see: (packet: Bytes) => void): void;
}

export class Capture {
  readonly #options: CaptureOptions;
  #points = 0;

  constructor(options: CaptureOptions) {
    this.#options = options;
    options.write(options.format === 'pcap' ? pcapHeader(PCAP) : pcapngSection({ application: 'bulkhead lab' }));
  }

  /** From here on every packet that passes there is in the file. */
  add(name: string, point: Tappable, link: 'raw' | 'ethernet' = 'raw'): void {
    const { format, write } = this.#options;
    const index = this.#points++;
    if (format === 'pcapng') write(pcapngInterface({ linkType: LINK_TYPE[link], name }));
    point.tap((octets) => {
      const time = this.#time();
      if (format === 'pcapng') return write(pcapngPacket({ interface: index, time, octets }));
      if (link === 'raw') return write(pcapRecord(PCAP, time, octets));
      if (etherType(octets, 0) !== ETHER_TYPE.arp) write(pcapRecord(PCAP, time, octets.subarray(ETHERNET_HEADER)));
    });
  }

  #time(): CaptureTime {
    const { timeline, epoch = 0 } = this.#options;
    const at = epoch + timeline.now;
    const seconds = Math.floor(at / 1000);
    return { seconds, nanoseconds: Math.min(999_999_999, Math.round((at - seconds * 1000) * 1e6)) };
  }
}

const PCAP = { linkType: LINK_TYPE.raw, nanoseconds: true };
