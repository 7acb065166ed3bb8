/**
 * What a worker tells the main thread, when that may be slow to look: news that finds room in the ring goes at once; what is said
 * only once waits here for room; anything else is dropped, because it comes again.
 *
 * Limits: PARTS of the ring for what peers and tenants can cause at will, in which each leaves room for others (`Shares`), so that no
 * kind takes another's room, and none that of the rest; one request for a tunnel in the ring at a time; what waits has a key, so that
 * there is no more of it than ports, sockets, SAs and tunnels.
 */
import { Shares } from '../../core/index.ts';
import { holderOf, isRepeated, type PlaneEvent, REFUSED, type RepeatedKind } from '../../gateway/index.ts';
import { DROP, PASS } from '../../ip/index.ts';
import { encodeNews, TOLD, type WorkerNews } from './contract.ts';
import { type Ring, wholeLength } from './ring.ts';

/** What the ring has of a part, or for a tunnel, and where it ends. */
interface Held {
  readonly part: Part | undefined;
  readonly holder: number;
  readonly octets: number;
  readonly end: number;
}

interface Part {
  readonly room: Shares;
  readonly refused: number;
}

export class News {
  readonly #ring: Ring;
  readonly #signs: Int32Array;
  readonly #tell: () => void;
  readonly #waiting = new Map<string, WorkerNews>();
  readonly #parts: Readonly<Record<RepeatedKind | 'tapped', Part>>;
  /** Tunnels that the ring has a request for. */
  readonly #wanted = new Set<number>();
  /** Oldest first. */
  readonly #held: Held[] = [];
  /** Octets of the ring ever written. */
  #written = 0;

  /** `tell` makes the main thread look, soon. */
  constructor(ring: Ring, signs: Int32Array, tell: () => void) {
    this.#ring = ring;
    this.#signs = signs;
    this.#tell = tell;
    const part = (kind: keyof typeof PARTS, refused: number): Part => ({
      room: new Shares(ring.capacity * PARTS[kind]),
      refused,
    });
    this.#parts = {
      ike: part('ike', REFUSED.ike),
      stray: part('stray', REFUSED.stray),
      transport: part('transport', REFUSED.transport),
      tapped: part('tapped', DROP.queueFull),
    };
  }

  /** PASS, or as what it was dropped. */
  report(news: WorkerNews): number {
    const key = keyOf(news);
    const room = this.flush();
    if (key !== undefined && this.#waiting.has(key)) return PASS;
    const refused = room ? this.#push(news) : DROP.queueFull;
    if (refused === PASS || key === undefined) return refused;
    this.#waiting.set(key, news);
    return PASS;
  }

  /** What waits goes, as far as there is room; false: there was none for some. */
  flush(): boolean {
    for (const [key, news] of this.#waiting) {
      const refused = this.#push(news);
      if (refused === DROP.queueFull) return false;
      if (refused === PASS) this.#waiting.delete(key);
    }
    return true;
  }

  /** PASS, LATER, or for want of what room: `queueFull` is that of the ring. */
  #push(news: WorkerNews): number {
    const { capacity, used } = this.#ring;
    this.#giveBack(this.#written - used);
    const event = news.type === 'plane' ? news.event : undefined;
    const tunnel = event?.type === 'acquire' ? event.tunnel : undefined;
    if (tunnel !== undefined && this.#wanted.has(tunnel)) return LATER;
    const octets = encodeNews(news);
    const whole = wholeLength(octets.length);
    if (used + whole > capacity) return DROP.queueFull;
    if (event !== undefined) {
      const refused = this.#hold(event, whole);
      if (refused !== PASS) return refused;
    }
    // Its reader only makes more room.
    this.#ring.push(octets);
    this.#written += whole;
    if (Atomics.exchange(this.#signs, TOLD, 1) === 0) this.#tell();
    return PASS;
  }

  /** PASS, or how it is counted that whoever caused the event has his share of its part. */
  #hold(event: PlaneEvent, octets: number): number {
    const end = this.#written + octets;
    if (event.type === 'acquire') {
      this.#wanted.add(event.tunnel);
      this.#held.push({ part: undefined, holder: event.tunnel, octets, end });
      return PASS;
    }
    if (!isRepeated(event) && event.type !== 'tapped') return PASS;
    const part = this.#parts[event.type];
    const holder = isRepeated(event) ? holderOf(event) : WHOEVER_WATCHES;
    if (!part.room.take(holder, octets)) return part.refused;
    this.#held.push({ part, holder, octets, end });
    return PASS;
  }

  /** What was read is room again. */
  #giveBack(read: number): void {
    while (this.#held.length > 0 && this.#held[0]!.end <= read) {
      const { part, holder, octets } = this.#held.shift()!;
      if (part === undefined) this.#wanted.delete(holder);
      else part.room.give(holder, octets);
    }
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

/** An eighth is for what is said of SAs, tunnels, ports and pings alone. */
const PARTS = { transport: 0.3125, ike: 0.1875, stray: 0.125, tapped: 0.25 } as const;
const WHOEVER_WATCHES = 0;
/** Until the ring has what is said of the tunnel already. No reason to drop. */
const LATER = -1;
