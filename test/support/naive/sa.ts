/**
 * The naive reference, one direction of an SA: RFC 4303 §3.3.3 and §3.4 (numbers, window), RFC 4301 §4.4.2.1 (lifetimes).
 *
 * Bytes of a lifetime are those the cipher was applied to. An SA asks once for its successor and stops once for all.
 */
import type { SaPair } from '../../../src/gateway/dataplane/index.ts';
import type { DropReason } from '../../../src/ip/index.ts';
import { combinedEcn, type NaiveKeys, type NaiveSuite, NaiveWindow, naiveSuite, unsealed } from './esp.ts';
import { checkIp, isRefusal, withTrafficClass } from './ip.ts';
import { long, type Octets } from './octets.ts';
import { admitted } from './selectors.ts';

/** So many numbers before the last one an SA asks for its successor. */
const MARGIN = 0x100_0000n;

export interface SaCounts {
  packets: number;
  innerBytes: number;
  protectedBytes: number;
  lastUsedAt: number | undefined;
  /** The highest received, or the last sent. */
  sequence: bigint;
}

export type Signal = 'soft' | 'hard';

class Direction {
  readonly pair: SaPair;
  readonly suite: NaiveSuite;
  readonly counts: SaCounts = { packets: 0, innerBytes: 0, protectedBytes: 0, lastUsedAt: undefined, sequence: 0n };
  readonly drops = new Map<DropReason, number>();
  /** What control is to be told, oldest first. */
  readonly signals: Signal[] = [];
  stopped = false;
  #asked = false;
  readonly #lifetime: SaPair['lifetime'];

  constructor(pair: SaPair) {
    const { encryption, integrity, lifetime } = pair;
    this.pair = pair;
    this.suite = naiveSuite(integrity === undefined ? encryption.word : `${encryption.word}-${integrity.word}`);
    this.#lifetime = lifetime;
  }

  drop(reason: DropReason): DropReason {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + 1);
    return reason;
  }

  protected stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.#asked = true;
    this.signals.push('hard');
  }

  protected ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.signals.push('soft');
  }

  /** Whether so many octets more stay within the hard limits. */
  protected within(octets: number): boolean {
    const { counts } = this;
    const { hardBytes, hardPackets } = this.#lifetime;
    if (counts.packets + 1 <= hardPackets && counts.protectedBytes + octets <= hardBytes) return true;
    this.stop();
    return false;
  }

  protected count(octets: number, now: number): void {
    const { counts } = this;
    const { softBytes, softPackets } = this.#lifetime;
    counts.packets += 1;
    counts.protectedBytes += octets;
    counts.lastUsedAt = now;
    if (counts.packets >= softPackets || counts.protectedBytes >= softBytes) this.ask();
  }
}

export class NaiveOutbound extends Direction {
  /** The number of a packet, or why it is not sealed. */
  take(octets: Octets, now: number): bigint | DropReason {
    const { counts, pair, suite } = this;
    const last = pair.esn ? 2n ** 53n - 1n : 2n ** 32n - 1n;
    if (counts.sequence >= last) {
      this.stop();
      return this.drop('espSequence');
    }
    const align = Math.max(4, suite.blockSize);
    const length = Math.ceil((octets.length + 2) / align) * align;
    if (this.stopped || !this.within(length)) return this.drop('espExpired');
    counts.sequence += 1n;
    this.count(length, now);
    if (counts.sequence >= last - MARGIN) this.ask();
    counts.innerBytes += octets.length;
    return counts.sequence;
  }
}

/** What came of a packet; authentic: its ICV was right and its number fresh. */
export interface Opened {
  readonly inner: Octets | undefined;
  readonly authentic: boolean;
  readonly newest: boolean;
}

const NOTHING: Opened = { inner: undefined, authentic: false, newest: false };

export class NaiveInbound extends Direction {
  readonly window: NaiveWindow;
  readonly #keys: NaiveKeys;

  constructor(pair: SaPair) {
    super(pair);
    // RFC 4303 §3.3.3: extended numbers need a window.
    this.window = new NaiveWindow(pair.esn ? Math.max(32, pair.replayWindow) : pair.replayWindow);
    this.#keys = { encryption: pair.keysIn.encryption.slice(), integrity: pair.keysIn.integrity.slice() };
  }

  open(packet: Octets, outerTos: number, now: number): Opened {
    const { pair, suite, window } = this;
    const refused = (reason: DropReason): Opened => {
      this.drop(reason);
      return NOTHING;
    };
    if (this.stopped) return refused('espExpired');
    const length = packet.length - 8 - suite.ivLength - suite.icvLength;
    if (length < 2) return refused('espShort');
    if (length % suite.blockSize !== 0) return refused('length');
    const low = long(packet, 4);
    const sequence = pair.esn ? window.extended(low) : BigInt(low);
    if (!window.fresh(sequence)) return refused('espReplay');
    if (sequence >= 2n ** 53n) return refused('espSequence');
    const body = unsealed(suite, this.#keys, { spi: pair.spiIn, sequence, esn: pair.esn }, packet);
    if (body === undefined) return refused('espIntegrity');
    const newest = window.accept(sequence);
    this.counts.sequence = window.top;
    const inner = this.#innerOf(body, outerTos, now);
    if (typeof inner === 'string') this.drop(inner);
    return { inner: typeof inner === 'string' ? undefined : inner, authentic: true, newest };
  }

  #innerOf(body: Octets, outerTos: number, now: number): Octets | DropReason {
    if (!this.within(body.length)) return 'espExpired';
    this.count(body.length, now);
    const [padLength, nextHeader] = [body.at(-2)!, body.at(-1)!];
    const payload = body.length - 2 - padLength;
    if (payload < 0) return 'espPadding';
    for (let i = 0; i < padLength; i++) if (body[payload + i] !== i + 1) return 'espPadding';
    if (nextHeader === 59) return 'espDummy';
    if (nextHeader !== 4 && nextHeader !== 41) return 'espNextHeader';
    const ip = checkIp(body.slice(0, payload));
    if (isRefusal(ip)) return ip;
    if (ip.version !== (nextHeader === 4 ? 4 : 6)) return 'version';
    // RFC 4303 §2.7: what is behind the packet is padding.
    const inner = body.slice(0, ip.length);
    if (!admitted(inner, this.pair.remote, this.pair.local)) return 'espSelector';
    const ecn = combinedEcn(ip.trafficClass % 4, outerTos % 4);
    if (ecn === undefined) return 'ecnIllegal';
    this.counts.innerBytes += inner.length;
    return ecn === ip.trafficClass % 4 ? inner : withTrafficClass(inner, ip.trafficClass - (ip.trafficClass % 4) + ecn);
  }
}
