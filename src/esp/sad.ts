/**
 * Security associations: the inbound database by SPI, and what each direction of a Child SA keeps.
 *
 * Read first: RFC 4301 §4.1 (SPI alone finds a unicast SA) and §4.4.2; RFC 4303 §2.1.
 * Leaves to others: which outbound SA a packet takes (`admits` answers for one SA; `gateway/` knows the order), keys and their end.
 * Invariant: an SPI belongs to one SA, and an SA to one tunnel for life. That is the door into a compartment.
 */
import type { Random } from '../core/index.ts';
import { invariant, u32 } from '../core/index.ts';
import { NO_ESN, type Protection } from '../crypto/index.ts';
import { dropCounters, type Endpoint, type SelectorMatcher } from '../ip/index.ts';
import { beginSaCells, SA_CELL } from './cells.ts';
import type { DfPolicy, InboundParameters, OutboundParameters, SaCommon } from './contract.ts';
import { type IvWriter, ivWriter } from './iv.ts';
import { Usage } from './lifetime.ts';
import { MIN_REPLAY_WINDOW, ReplayWindow } from './replay.ts';
import { lastSequence, SequenceCounter, type SequenceSource } from './sequence.ts';

/** RFC 4303 §2.1: SPIs 1 to 255 are reserved by IANA, 0 is never sent. */
export const FIRST_SPI = 0x100;

/** What both directions keep. */
class Sa {
  readonly spi: number;
  readonly tunnel: number;
  readonly protection: Protection;
  readonly esn: boolean;
  readonly selectors: SelectorMatcher;
  readonly usage: Usage;
  /** The counters as others may read them: `readSaCells`. */
  readonly cells: Float64Array;
  /** By DROP reason. */
  readonly drops: Float64Array;

  constructor(parameters: SaCommon) {
    this.spi = parameters.spi;
    this.tunnel = parameters.tunnel;
    this.protection = parameters.protection;
    this.esn = parameters.esn;
    this.selectors = parameters.selectors;
    this.cells = beginSaCells(parameters.cells);
    this.drops = this.cells.subarray(SA_CELL.drops);
    this.usage = new Usage(parameters.lifetime, this.cells);
  }
}

export class InboundSa extends Sa {
  readonly window: ReplayWindow;

  constructor(parameters: InboundParameters) {
    super(parameters);
    // RFC 4303 §3.3.3: extended sequence numbers cannot be recovered without a window.
    const least = parameters.esn ? MIN_REPLAY_WINDOW : 0;
    this.window = new ReplayWindow(Math.max(least, parameters.replayWindow));
  }

  /** The highest sequence number received. */
  get sequence(): number {
    return this.window.top;
  }

  /** Marks the number of an authentic packet. True: it is the newest. */
  accept(sequence: number): boolean {
    const newest = this.window.accept(sequence);
    this.cells[SA_CELL.sequence] = this.window.top;
    return newest;
  }

  /** The same for `count` numbers from `first` on, all of which are higher than any so far. */
  acceptRun(first: number, count: number): void {
    this.window.acceptRun(first, count);
    this.cells[SA_CELL.sequence] = this.window.top;
  }
}

export class OutboundSa extends Sa {
  readonly df: DfPolicy;
  readonly copyDscp: boolean;
  readonly writeIv: IvWriter;
  localEndpoint: Endpoint;
  remoteEndpoint: Endpoint;
  udpEncapsulation: boolean;
  /** TOS or traffic class, DSCP and ECN, that the outer header of the packet just sealed wants. */
  tos = 0;
  /** DF, 0 or 1, that the outer IPv4 header of the packet just sealed wants. */
  dontFragment = 0;
  /** Upper half of the number of the packet just sealed, or NO_ESN, that its cipher wants. */
  high = NO_ESN;
  readonly #numbers: SequenceSource;

  /** `random` draws the IVs of suites that need unpredictable ones. */
  constructor(parameters: OutboundParameters, random: Random) {
    super(parameters);
    this.df = parameters.df;
    this.copyDscp = parameters.copyDscp;
    this.localEndpoint = parameters.localEndpoint;
    this.remoteEndpoint = parameters.remoteEndpoint;
    this.udpEncapsulation = parameters.udpEncapsulation;
    const { ivKind, ivLength } = parameters.protection;
    this.writeIv = ivWriter(ivKind, ivLength, random);
    this.#numbers = parameters.numbers ?? new SequenceCounter();
  }

  /** The last number taken, by this SA or whoever shares its numbers; RFC 4303 §3.3.3: the first packet has 1. */
  get sequence(): number {
    return this.#numbers.last;
  }

  /** The number of the next packet, or of the first of the next ones; 0: there are not as many left. */
  nextSequence(count = 1): number {
    const first = this.#numbers.take(count, lastSequence(this.esn));
    if (first > 0) this.cells[SA_CELL.sequence] = first + count - 1;
    return first;
  }

  /** Whether the packet buf[start, end) is within the selectors, as RFC 4301 §5.1 asks before it is sealed. */
  admits(buf: Uint8Array, start: number, end: number): boolean {
    return this.selectors.match(buf, start, end, true);
  }

  /** The peer or this end has other addresses or ports from here on (RFC 7296 §2.23). */
  move(localEndpoint: Endpoint, remoteEndpoint: Endpoint, udpEncapsulation: boolean): void {
    this.localEndpoint = localEndpoint;
    this.remoteEndpoint = remoteEndpoint;
    this.udpEncapsulation = udpEncapsulation;
  }

  /** Whether it will seal so many packets with so many protected octets, all of them. */
  carries(packets: number, octets: number): boolean {
    return (
      !this.usage.stopped && this.usage.settled(packets, octets) && this.sequence + packets <= lastSequence(this.esn)
    );
  }

  /** Leaves sequence numbers out; never backwards, because a number used twice breaks counter modes. */
  advanceTo(sequence: number): void {
    invariant(sequence >= this.sequence && sequence <= lastSequence(this.esn), 'sequence numbers only grow');
    this.#numbers.advanceTo(sequence);
    this.cells[SA_CELL.sequence] = sequence;
  }
}

/** The inbound SAs of a gateway, and what `open` has to tell beside its verdict. */
export class Sad {
  /** The SA of the last packet opened; undefined when its SPI was unknown. */
  last: InboundSa | undefined;
  /** The ICV of the last packet verified, whatever happened to its contents: its peer is alive. */
  authentic = false;
  /** The last packet was authentic and the newest of its SA: only such a one may move the peer's address. */
  newest = false;
  /** Drops before an SA was found; each SA counts its own. */
  readonly drops: Float64Array;
  /** By the SPI as a signed number: V8 allocates none of those. */
  readonly #bySpi = new Map<number, InboundSa>();
  /** By the last `find`: the next packet is mostly of the same SA. */
  #found: InboundSa | undefined;

  constructor(drops: Float64Array = dropCounters()) {
    this.drops = drops;
  }

  get size(): number {
    return this.#bySpi.size;
  }

  add(sa: InboundSa): void {
    invariant(!this.#bySpi.has(sa.spi | 0), 'an SPI belongs to one SA');
    this.#bySpi.set(sa.spi | 0, sa);
  }

  /** The SA that was there. Packets for it are dropped as espUnknownSpi from here on. */
  remove(spi: number): InboundSa | undefined {
    const sa = this.#bySpi.get(spi | 0);
    this.#bySpi.delete(spi | 0);
    if (this.last === sa) this.last = undefined;
    if (this.#found === sa) this.#found = undefined;
    return sa;
  }

  find(spi: number): InboundSa | undefined {
    const known = this.#found;
    if (known !== undefined && (known.spi | 0) === (spi | 0)) return known;
    const sa = this.#bySpi.get(spi | 0);
    if (sa !== undefined) this.#found = sa;
    return sa;
  }

  /** An SPI nobody has, outside the reserved range. */
  unusedSpi(random: Random): number {
    for (;;) {
      const spi = u32(random(4), 0);
      if (spi >= FIRST_SPI && !this.#bySpi.has(spi | 0)) return spi;
    }
  }

  [Symbol.iterator](): Iterator<InboundSa> {
    return this.#bySpi.values();
  }
}

/** Counts a drop, and gives its reason back. */
export function refuse(drops: Float64Array, reason: number): number {
  drops[reason]! += 1;
  return reason;
}
