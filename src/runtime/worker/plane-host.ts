/**
 * A worker that hosts a data plane, seen from the main thread: started, fed with orders, heard, watched, started anew.
 *
 * What is attached stays known here, so that a new worker gets it; the SAs of the old one are never used again, because only a
 * thread that has counted sequence numbers knows the next (control negotiates new ones).
 * Limits: orders that wait for room in the ring, BACKLOG_OCTETS; a worker that leaves more undone counts as standing still.
 * Invariants: two workers never read one descriptor; `restarted` follows after everything was attached again.
 */
import { Worker } from 'node:worker_threads';
import type { PlaneCommand, PlaneEvent } from '../../gateway/index.ts';
import type { Address, Endpoint } from '../../ip/index.ts';
import { Wakeup } from '../batch-wait.ts';
import type { Log } from '../log.ts';
import type { Syscalls } from '../syscalls.ts';
import {
  BEAT,
  decodeNews,
  encodeOrder,
  portKey,
  SIGNS_OCTETS,
  STARVED,
  socketKey,
  TOLD,
  type WorkerData,
  type WorkerNews,
  type WorkerOrder,
} from './contract.ts';
import { Ring } from './ring.ts';

type AttachPort = Extract<WorkerOrder, { do: 'attach-port' }>;
type AttachSocket = Extract<WorkerOrder, { do: 'attach-socket' }>;

export interface PlaneHostOptions {
  readonly sys: Syscalls;
  readonly log: Log;
  readonly cells: SharedArrayBuffer;
  /** Which of how many it is. */
  readonly plane: number;
  readonly planes: number;
  readonly packets: number;
  readonly cpu: number | undefined;
}

/** Who hears of what the worker tells. */
export interface PlaneListener {
  event(event: PlaneEvent): void;
  tooBig(local: Address, remote: Address): void;
  portFailed(port: number, why: string): void;
  /** A new worker runs, everything is attached, and it knows nothing else: `why` is what became of the old one. */
  restarted(why: string): void;
}

export class PlaneHost {
  readonly #options: PlaneHostOptions;
  readonly #ports = new Map<number, AttachPort>();
  readonly #sockets = new Map<number, AttachSocket>();
  readonly #detached = new Map<string, () => void>();
  readonly #signs = new Int32Array(new SharedArrayBuffer(SIGNS_OCTETS));
  readonly #wakeup: Wakeup;
  /** Set before anything is attached. */
  listener: PlaneListener = { event() {}, tooBig() {}, portFailed() {}, restarted() {} };
  #orders = new Ring(Ring.room(RING));
  #news = new Ring(Ring.room(RING));
  #worker: Worker | undefined;
  #engine = '';
  #ready = (): void => {};
  #backlog: Uint8Array[] = [];
  #backlogOctets = 0;
  #watch: ReturnType<typeof setInterval> | undefined;
  #beat = 0;
  #beatAt = 0;
  #lookedAt = 0;
  #ending = false;
  #restarts = 0;

  constructor(options: PlaneHostOptions) {
    this.#options = options;
    this.#wakeup = new Wakeup(options.sys);
  }

  /** The crypto engines of the worker, once it runs. */
  get engine(): string {
    return this.#engine;
  }

  /** How often the worker had to be started anew. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Resolves when the worker runs its loop; rejects when it cannot. */
  async start(): Promise<void> {
    await this.#spawn();
    this.#watch = setInterval(() => this.#look(), LOOK_MILLIS);
  }

  command(command: PlaneCommand): void {
    this.#order({ do: 'plane', command });
  }

  /** From the attached socket bound to the address of `local`. */
  send(local: Endpoint, remote: Endpoint, octets: Uint8Array): void {
    this.#order({ do: 'send', local, remote, octets });
  }

  /** ESP that another worker got. */
  inject(udp: boolean, local: Endpoint, remote: Endpoint, octets: Uint8Array, tos: number): void {
    this.#order({ do: 'inject', udp, local, remote, octets, tos });
  }

  attachPort(order: Omit<AttachPort, 'do'>): void {
    this.#ports.set(order.port, { do: 'attach-port', ...order });
    this.#order(this.#ports.get(order.port)!);
  }

  attachSocket(order: Omit<AttachSocket, 'do'>): void {
    this.#sockets.set(order.id, { do: 'attach-socket', ...order });
    this.#order(this.#sockets.get(order.id)!);
  }

  /** Resolves when the worker touches the descriptor no more. */
  detachPort(port: number): Promise<void> {
    this.#ports.delete(port);
    return this.#detach({ do: 'detach-port', port }, portKey(port));
  }

  detachSocket(id: number): Promise<void> {
    this.#sockets.delete(id);
    return this.#detach({ do: 'detach-socket', id }, socketKey(id));
  }

  /** For tests: makes the worker stand still, or throw. */
  fail(how: 'wedge' | 'throw'): void {
    this.#order({ do: 'fail', how });
  }

  /** The worker ends; descriptors are free when this resolves. */
  async close(): Promise<void> {
    this.#ending = true;
    clearInterval(this.#watch);
    const worker = this.#worker;
    if (worker !== undefined) {
      const gone = new Promise((resolve) => worker.once('exit', resolve));
      this.#order({ do: 'end' });
      const late = setTimeout(() => void worker.terminate(), END_MILLIS);
      await gone;
      clearTimeout(late);
    }
    this.#drain();
    this.#settleDetached();
    this.#wakeup.close();
  }

  #spawn(): Promise<void> {
    const { cells, plane, planes, packets, cpu } = this.#options;
    this.#orders = new Ring(Ring.room(RING));
    this.#news = new Ring(Ring.room(RING));
    this.#signs.fill(0);
    this.#backlog = [];
    this.#backlogOctets = 0;
    const data: WorkerData = {
      orders: this.#orders.memory,
      news: this.#news.memory,
      signs: this.#signs.buffer as SharedArrayBuffer,
      cells,
      plane,
      planes,
      wake: this.#wakeup.fd,
      packets,
      cpu,
    };
    const worker = new Worker(entry(), { workerData: data, name: `bulkhead-plane-${plane}` });
    this.#worker = worker;
    this.#beatAt = performance.now();
    let runs = false;
    return new Promise((resolve, reject) => {
      this.#ready = () => {
        runs = true;
        resolve();
      };
      worker.on('message', () => {
        if (worker === this.#worker) this.#drain();
      });
      let why = 'ended';
      worker.on('error', (error) => {
        why = `failed: ${error.message}`;
      });
      worker.on('exit', () => {
        if (worker === this.#worker) this.#worker = undefined;
        if (runs) this.#gone(why);
        else reject(new Error(`the worker of the data plane ${why}`));
      });
    });
  }

  #order(order: WorkerOrder): void {
    const octets = encodeOrder(order);
    if (this.#backlog.length > 0 || !this.#orders.push(octets)) {
      this.#backlog.push(octets);
      this.#backlogOctets += octets.length;
      Atomics.store(this.#signs, STARVED, 1);
      this.#refill();
    } else octets.fill(0);
    this.#wakeup.signal();
  }

  #refill(): void {
    let done = 0;
    for (const octets of this.#backlog) {
      if (!this.#orders.push(octets)) break;
      this.#backlogOctets -= octets.length;
      octets.fill(0);
      done += 1;
    }
    if (done > 0) this.#wakeup.signal();
    this.#backlog.splice(0, done);
    if (this.#backlog.length === 0) Atomics.store(this.#signs, STARVED, 0);
  }

  /** Takes the news; what is left after NEWS_A_TURN waits for the next turn of the event loop. */
  #drain(): void {
    Atomics.store(this.#signs, TOLD, 0);
    this.#refill();
    for (let i = 0; i < NEWS_A_TURN; i++) {
      const record = this.#news.shift();
      if (record === undefined) return;
      this.#hear(decodeNews(record));
    }
    const worker = this.#worker;
    setImmediate(() => {
      if (worker === this.#worker) this.#drain();
    });
  }

  #hear(news: WorkerNews): void {
    switch (news.type) {
      case 'ready':
        this.#engine = news.engine;
        return this.#ready();
      case 'plane':
        return this.listener.event(news.event);
      case 'too-big':
        return this.listener.tooBig(news.local, news.remote);
      case 'detached':
        this.#detached.get(news.key)?.();
        this.#detached.delete(news.key);
        return;
      case 'port-failed':
        return this.listener.portFailed(news.port, news.why);
    }
  }

  #detach(order: WorkerOrder, key: string): Promise<void> {
    return new Promise((resolve) => {
      if (this.#worker === undefined) return resolve();
      this.#detached.set(key, resolve);
      this.#order(order);
    });
  }

  #settleDetached(): void {
    for (const resolve of this.#detached.values()) resolve();
    this.#detached.clear();
  }

  /** A main thread that was late itself has no right to complain. */
  #look(): void {
    const now = performance.now();
    const beat = Atomics.load(this.#signs, BEAT);
    if (beat !== this.#beat || now - this.#lookedAt > 2 * LOOK_MILLIS) this.#beatAt = now;
    this.#beat = beat;
    this.#lookedAt = now;
    const still = now - this.#beatAt;
    if (still < STILL_MILLIS && this.#backlogOctets < BACKLOG_OCTETS) return;
    this.#beatAt = now;
    this.#options.log.error(`the worker of the data plane stands still since ${Math.round(still)} ms: it is ended`);
    void this.#worker?.terminate();
  }

  #gone(why: string): void {
    this.#settleDetached();
    if (this.#ending) return;
    this.#options.log.error(`the worker of the data plane ${why}: it is started anew`);
    this.#startAnew(why);
  }

  #startAnew(why: string): void {
    this.#restarts += 1;
    setTimeout(() => void this.#restart(why), this.#restarts > QUICK_RESTARTS ? RESTART_MILLIS : 0);
  }

  async #restart(why: string): Promise<void> {
    if (this.#ending) return;
    try {
      await this.#spawn();
    } catch (error) {
      this.#options.log.error((error as Error).message);
      return this.#startAnew(why);
    }
    for (const order of [...this.#ports.values(), ...this.#sockets.values()]) this.#order(order);
    this.listener.restarted(why);
  }
}

/** The built file, also where this one runs from source. */
const entry = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/runtime/worker/main.js', import.meta.url)
    : new URL('main.js', import.meta.url);

/** Octets of each ring. */
const RING = 1 << 20;
const BACKLOG_OCTETS = 64 << 20;
const NEWS_A_TURN = 256;
const LOOK_MILLIS = 150;
/** With one look more, and the loop's longest wait, under a second. */
const STILL_MILLIS = 600;
const END_MILLIS = 1000;
/** So many restarts come at once, later ones after a pause. */
const QUICK_RESTARTS = 3;
const RESTART_MILLIS = 1000;
