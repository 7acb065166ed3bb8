/**
 * What a worker tells the main thread, when that may be slow to look: news that finds room in the ring goes at once; what is said
 * only once waits here for room; anything else is dropped, because it comes again.
 *
 * Limits: TRAFFIC_SHARE of the ring for IKE messages and TCP, whose senders repeat them, and packets that strayed; what waits has a key, so
 * that there is no more of it than ports, sockets, SAs and tunnels.
 */
import type { PlaneEvent } from '../../gateway/index.ts';
import { encodeNews, TOLD, type WorkerNews } from './contract.ts';
import type { Ring } from './ring.ts';

export class News {
  readonly #ring: Ring;
  readonly #signs: Int32Array;
  readonly #tell: () => void;
  readonly #waiting = new Map<string, WorkerNews>();

  /** `tell` makes the main thread look, soon. */
  constructor(ring: Ring, signs: Int32Array, tell: () => void) {
    this.#ring = ring;
    this.#signs = signs;
    this.#tell = tell;
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
    const room = isTraffic(news) ? capacity * TRAFFIC_SHARE : capacity;
    if (used + octets.length > room || !this.#ring.push(octets)) return false;
    if (Atomics.exchange(this.#signs, TOLD, 1) === 0) this.#tell();
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
