/**
 * One life of a worker, from its start until the thread has ended: the thread, the rings to it and from it, its sign of life.
 *
 * Orders that find no room in the ring wait here; the worker asks for them. Whatever held keys is wiped when the life is over.
 * Leaves to others: what outlasts a life, and what follows on its end (`plane-host.ts`).
 * Limits: each has its name at the end of this file; a worker that exceeds one is ended, and the reason says which.
 * Invariants: `ended` is called once, after the thread's last use of any descriptor; a worker keeps the process while it starts
 * and ends, not while it runs.
 */
import { Worker } from 'node:worker_threads';
import { invariant } from '../../core/index.ts';
import type { Wakeup } from '../batch-wait.ts';
import {
  BEAT,
  decodeNews,
  encodeOrder,
  SIGNS_OCTETS,
  STARVED,
  TOLD,
  type WorkerData,
  type WorkerNews,
  type WorkerOrder,
} from './contract.ts';
import { Ring } from './ring.ts';

export interface LifeOptions {
  /** The file a worker begins with. */
  readonly entry: URL;
  readonly name: string;
  readonly wakeup: Wakeup;
  readonly data: Omit<WorkerData, 'orders' | 'news' | 'signs' | 'wake'>;
  readonly hear: (news: WorkerNews) => void;
  /** `why` in words that follow "the worker": `stood still for 612 ms`. */
  readonly ended: (why: string) => void;
}

export class WorkerLife {
  readonly #options: LifeOptions;
  readonly #worker: Worker;
  readonly #gone: Promise<void>;
  readonly #orders = new Ring(Ring.room(ORDER_RING));
  readonly #news = new Ring(Ring.room(NEWS_RING));
  readonly #signs = new Int32Array(new SharedArrayBuffer(SIGNS_OCTETS));
  /** Of these, those before `#backlogAt` have gone. */
  #backlog: Uint8Array[] = [];
  #backlogAt = 0;
  #backlogOctets = 0;
  #state: 'starting' | 'running' | 'over' = 'starting';
  #beat = 0;
  #beatAt = performance.now();
  #runsSince = 0;
  #killed: string | undefined;

  constructor(options: LifeOptions) {
    this.#options = options;
    const rings = { orders: this.#orders.memory, news: this.#news.memory };
    const signs = this.#signs.buffer as SharedArrayBuffer;
    const workerData: WorkerData = { ...options.data, ...rings, signs, wake: options.wakeup.fd };
    this.#worker = new Worker(options.entry, { workerData, name: options.name });
    let why = 'ended by itself';
    this.#worker.on('error', (error) => {
      why = `failed: ${error.message}`;
    });
    this.#worker.on('message', () => this.#drain());
    this.#gone = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#over(this.#killed ?? why);
        resolve();
      });
    });
  }

  /** It said that it runs its loop, and nothing else is known of it. */
  get running(): boolean {
    return this.#state === 'running';
  }

  /** How long it has been running, in milliseconds. */
  get age(): number {
    return this.#runsSince === 0 ? 0 : performance.now() - this.#runsSince;
  }

  /** In the order of the calls. */
  order(order: WorkerOrder): void {
    if (this.#state === 'over') return;
    const octets = encodeOrder(order);
    invariant(this.#orders.takes(octets.length), 'an order is smaller than the ring');
    if (this.#backlog.length > 0 || !this.#orders.push(octets)) {
      this.#backlog.push(octets);
      this.#backlogOctets += octets.length;
      Atomics.store(this.#signs, STARVED, 1);
      this.#refill();
    } else octets.fill(0);
    this.#options.wakeup.signal();
  }

  /** Looks whether it still does its work. `late`: the main thread itself was, and has no right to complain. */
  look(late: boolean): void {
    const now = performance.now();
    const beat = Atomics.load(this.#signs, BEAT);
    if (beat !== this.#beat || late) this.#beatAt = now;
    this.#beat = beat;
    const still = Math.round(now - this.#beatAt);
    if (this.#state === 'starting' && still > START_MILLIS) this.kill(`did not start within ${START_MILLIS} ms`);
    else if (this.#state === 'running' && still > STILL_MILLIS) this.kill(`stood still for ${still} ms`);
    else if (this.#backlogOctets > BACKLOG_OCTETS) this.kill(`left ${this.#backlogOctets} octets of orders undone`);
  }

  /** Whatever it is doing. `ended` hears of it when the thread is gone. */
  kill(why: string): void {
    if (this.#state === 'over') return;
    this.#killed ??= why;
    void this.#worker.terminate();
    this.#options.wakeup.signal();
  }

  /** Asks it to end, and makes it end when it does not; resolves when the thread is gone. */
  async end(): Promise<void> {
    this.#worker.ref();
    this.order({ do: 'end' });
    const late = setTimeout(() => this.kill(`did not end within ${END_MILLIS} ms`), END_MILLIS);
    await this.#gone;
    clearTimeout(late);
  }

  #refill(): void {
    const from = this.#backlogAt;
    for (; this.#backlogAt < this.#backlog.length; this.#backlogAt++) {
      const octets = this.#backlog[this.#backlogAt]!;
      if (!this.#orders.push(octets)) break;
      this.#backlogOctets -= octets.length;
      octets.fill(0);
    }
    if (this.#backlogAt > from) this.#options.wakeup.signal();
    if (this.#backlogAt < this.#backlog.length) return;
    this.#backlog = [];
    this.#backlogAt = 0;
    Atomics.store(this.#signs, STARVED, 0);
  }

  /** Takes the news; what is left after NEWS_A_TURN or NEWS_MILLIS waits for the next turn of the event loop, behind timers. */
  #drain(): void {
    if (this.#state === 'over') return;
    Atomics.store(this.#signs, TOLD, 0);
    this.#refill();
    const until = performance.now() + NEWS_MILLIS;
    for (let i = 0; i < NEWS_A_TURN && performance.now() < until; i++) if (!this.#hearOne()) return;
    setImmediate(() => this.#drain());
  }

  #hearOne(): boolean {
    const record = this.#news.shift();
    if (record === undefined) return false;
    const news = decodeNews(record);
    if (news.type === 'ready') {
      this.#state = 'running';
      this.#runsSince = performance.now();
      this.#beatAt = this.#runsSince;
      this.#worker.unref();
    }
    this.#options.hear(news);
    return true;
  }

  /** What it said last is heard, too: IKE messages among it will not come again soon. */
  #over(why: string): void {
    while (this.#hearOne());
    this.#state = 'over';
    for (const octets of this.#backlog) octets.fill(0);
    this.#backlog = [];
    this.#backlogAt = 0;
    this.#backlogOctets = 0;
    this.#orders.wipe();
    this.#options.ended(why);
  }
}

/** Octets of each ring; news is divided among many (`news.ts`). */
const ORDER_RING = 1 << 20;
const NEWS_RING = 1 << 21;
const BACKLOG_OCTETS = 64 << 20;
const NEWS_A_TURN = 256;
/** A piece of news may bring hundreds of routes. */
const NEWS_MILLIS = 10;
/** With the pause between two looks and the loop's longest wait, under a second. */
const STILL_MILLIS = 600;
/** Modules, self-tests and packet memory, on a machine that has other things to do. */
const START_MILLIS = 20_000;
const END_MILLIS = 1000;
