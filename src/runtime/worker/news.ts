/**
 * What a worker tells the main thread, when that may be slow to look: news that finds room in the ring goes at once; what is said
 * only once waits here for room; anything else is dropped, because it comes again.
 *
 * Limits: TRAFFIC_SHARE of the ring for IKE messages and TCP, whose senders repeat them, and packets that strayed; of that
 * TRANSPORT_SHARE for TCP, in which a tenant leaves room for others (`Shares`); what waits has a key, so that there is no more of it than
 * ports, sockets, SAs and tunnels.
 */
import { type PlaneEvent, Shares } from '../../gateway/index.ts';
import { encodeNews, TOLD, type WorkerNews } from './contract.ts';
import { type Ring, wholeLength } from './ring.ts';

/** TCP that the ring has, and where it ends. */
interface Held {
  readonly compartment: number;
  readonly octets: number;
  readonly end: number;
}

export class News {
  readonly #ring: Ring;
  readonly #signs: Int32Array;
  readonly #tell: () => void;
  readonly #waiting = new Map<string, WorkerNews>();
  readonly #transport: Shares;
  /** Oldest first. */
  readonly #held: Held[] = [];
  /** Octets of the ring ever written. */
  #written = 0;

  /** `tell` makes the main thread look, soon. */
  constructor(ring: Ring, signs: Int32Array, tell: () => void) {
    this.#ring = ring;
    this.#signs = signs;
    this.#tell = tell;
    this.#transport = new Shares(ring.capacity * TRANSPORT_SHARE);
  }

  /** False: dropped. */
  report(news: WorkerNews): boolean {
    this.flush();
    const key = keyOf(news);
    if (this.#waiting.size === 0 && this.#push(news)) return true;
    if (key === undefined) return false;
    if (!this.#waiting.has(key)) this.#waiting.set(key, news);
    return true;
  }

  /** What waits goes, as far as there is room. */
  flush(): void {
    for (const [key, news] of this.#waiting) {
      if (!this.#push(news)) return;
      this.#waiting.delete(key);
    }
  }

  #push(news: WorkerNews): boolean {
    const { capacity, used } = this.#ring;
    const octets = encodeNews(news);
    const whole = wholeLength(octets.length);
    if (used + whole > (isTraffic(news) ? capacity * TRAFFIC_SHARE : capacity)) return false;
    if (!this.#mayHold(news, whole, this.#written - used)) return false;
    // Its reader only makes more room.
    this.#ring.push(octets);
    this.#written += whole;
    if (Atomics.exchange(this.#signs, TOLD, 1) === 0) this.#tell();
    return true;
  }

  /** Whether TCP is within its tenant's share; what was `read` is given back first. */
  #mayHold(news: WorkerNews, octets: number, read: number): boolean {
    if (news.type !== 'plane' || news.event.type !== 'transport') return true;
    while (this.#held.length > 0 && this.#held[0]!.end <= read) {
      const { compartment, octets: length } = this.#held.shift()!;
      this.#transport.give(compartment, length);
    }
    const { compartment } = news.event;
    if (!this.#transport.take(compartment, octets)) return false;
    this.#held.push({ compartment, octets, end: this.#written + octets });
    return true;
  }
}

/** Of what is not said again by itself; undefined for the rest. */
function keyOf(news: WorkerNews): string | undefined {
  switch (news.type) {
    case 'plane':
      return keyOfEvent(news.event);
    case 'detached':
      return `detached ${news.key}`;
    case 'port-failed':
      return `port-failed ${news.port}`;
    default:
      return undefined;
  }
}

function keyOfEvent(event: PlaneEvent): string | undefined {
  switch (event.type) {
    case 'acquire':
      return `acquire ${event.tunnel}`;
    case 'expire':
      return `expire ${event.spiIn} ${event.hard}`;
    case 'pinged':
      return `pinged ${event.compartment} ${event.result.id} ${event.result.sequence}`;
    default:
      return undefined;
  }
}

const isTraffic = (news: WorkerNews): boolean => news.type === 'plane' && TRAFFIC.has(news.event.type);

const TRAFFIC: ReadonlySet<PlaneEvent['type']> = new Set(['ike', 'stray', 'transport']);

const TRAFFIC_SHARE = 0.75;
const TRANSPORT_SHARE = 0.625;
