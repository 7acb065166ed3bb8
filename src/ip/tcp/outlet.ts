/**
 * How the segments of one connection look: addresses, hop limit, options, signature, and their size.
 *
 * Read first: RFC 9293 §3.7.1 (Eff.snd.MSS), RFC 7323 §2.2–2.3, RFC 5082 §3, RFC 1191 §3 (how small), RFC 6691.
 * Leaves to others: when something goes, and sequence numbers.
 * Deliberate deviation from MUST-16 of RFC 9293 §3.7.1: an MSS option below LEAST_MSS counts as LEAST_MSS. It costs a peer nothing to say 1,
 * and would cost us a packet and a signature for each octet; no link that IP runs over is so narrow.
 */
import { type Bytes, EMPTY } from '../../core/index.ts';
import type { Address, Endpoint } from '../address.ts';
import { TCP_FLAG } from '../tcp.ts';
import type { TcpOptions } from './contract.ts';
import type { Receiver } from './receiver.ts';
import { headersOf, type Md5, type Segment, SIGNATURE_OPTION, writeSegment } from './segment.ts';

export interface OutletOptions {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly mtu: number;
  readonly receiveBuffer: number;
  readonly options: TcpOptions;
  readonly md5: Md5;
}

export class Outlet {
  readonly #options: OutletOptions;
  readonly #headers: number;
  #mtu: number;
  #fragmentable = false;
  #peerMss: number;
  #peerScale: number | undefined;

  constructor(options: OutletOptions) {
    this.#options = options;
    this.#headers = headersOf(options.local.address);
    this.#mtu = Math.max(options.mtu, this.#headers + LEAST_MSS);
    this.#peerMss = defaultMss(options.local.address);
  }

  /** Octets of text in a segment: what the peer, the path and our own options leave. */
  get segmentSize(): number {
    const most = Math.min(this.#peerMss, this.#mtu - this.#headers);
    return most - (this.#options.options.md5Key === undefined ? 0 : SIGNATURE_OPTION);
  }

  /** RFC 7323 §2.3: so much that the window field can say the whole buffer. */
  get ownScale(): number {
    let scale = 0;
    while (this.#options.receiveBuffer >>> scale > 0xffff) scale += 1;
    return scale;
  }

  /** What a window field of the peer means. */
  unscale(window: number): number {
    return window << (this.#peerScale ?? 0);
  }

  /** What the peer's SYN says. */
  heed(syn: Segment): void {
    this.#peerScale = syn.windowScale;
    if (syn.mss > 0) this.#peerMss = Math.max(syn.mss, LEAST_MSS);
  }

  /** The path takes less. One narrower than the least gets packets of the least, and may cut them: or it was a lie. */
  lower(mtu: number): void {
    const v4 = this.#options.local.address.length === 4;
    const least = v4 ? LEAST_PATH_MTU : LEAST_PATH_MTU6;
    if (v4 && mtu < least) this.#fragmentable = true;
    this.#mtu = Math.min(this.#mtu, Math.max(mtu, least));
  }

  /** A whole packet; `receive` once the peer's SYN is known, which the window and the acknowledgment come from. */
  write(flags: number, sequence: number, data: Bytes = EMPTY, receive?: Receiver): Bytes {
    const { local, remote, options, md5, receiveBuffer } = this.#options;
    const isSyn = (flags & TCP_FLAG.syn) !== 0;
    const offersScale = isSyn && (receive === undefined || this.#peerScale !== undefined);
    const fields = {
      source: local.address,
      destination: remote.address,
      sourcePort: local.port,
      destinationPort: remote.port,
      sequence,
      acknowledgment: (flags & TCP_FLAG.ack) !== 0 && receive !== undefined ? receive.nxt : 0,
      flags,
      // RFC 7323 §2.2: that of a SYN is not scaled.
      window: receive?.advertise(this.segmentSize, isSyn ? 0 : receive.scale) ?? Math.min(0xffff, receiveBuffer),
      hopLimit: hopsOf(options),
      trafficClass: options.trafficClass ?? 0,
      dontFragment: !this.#fragmentable,
      md5Key: options.md5Key,
      windowScale: offersScale ? this.ownScale : undefined,
      ...(isSyn ? { mss: this.#mtu - this.#headers } : {}),
    };
    return writeSegment(fields, data, md5);
  }
}

/** RFC 5082 §3: with 255 at the start, what arrives tells how far it came. */
export const hopsOf = ({ gtsmHops, ttl }: TcpOptions): number => (gtsmHops === undefined ? (ttl ?? 64) : 255);

/** RFC 9293 §3.7.1, MUST-15: where the peer does not say. */
const defaultMss = (address: Address): number => (address.length === 4 ? 536 : 1220);

/** Linux has the same (TCP_MIN_MSS): room for all options and a little text. */
const LEAST_MSS = 88;
/** Linux: net.ipv4.route.min_pmtu; RFC 8200 §5 for IPv6. */
const LEAST_PATH_MTU = 552;
const LEAST_PATH_MTU6 = 1280;
