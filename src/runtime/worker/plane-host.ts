/**
 * A worker that hosts a data plane, seen from the main thread: started, fed with orders, heard, watched, started anew.
 *
 * What is attached stays known here, so that a new worker gets it; the SAs of the old one are never used again, because only a
 * thread that has counted sequence numbers knows the next (control negotiates new ones). Orders for a worker that does not run
 * are dropped: the next one learns from control, by `restarted`, what there is.
 * Limits: the first QUICK_RESTARTS come at once, each further one after twice the pause, up to LONGEST_PAUSE_MILLIS, until a worker has
 * lived for STEADY_MILLIS.
 * Invariants: two workers never read one descriptor; a new one has its sockets before `restarted`, and its devices after it, so that
 * their packets find their compartment.
 */
import type { PlaneCommand, PlaneEvent } from '../../gateway/index.ts';
import type { Address, Endpoint } from '../../ip/index.ts';
import { Wakeup } from '../batch-wait.ts';
import type { Log } from '../log.ts';
import type { Syscalls } from '../syscalls.ts';
import { portKey, socketKey, type WorkerNews, type WorkerOrder } from './contract.ts';
import { type Fault, faultsOnSignal } from './faults.ts';
import { WorkerLife } from './life.ts';

type AttachPort = Extract<WorkerOrder, { do: 'attach-port' }>;
type AttachSocket = Extract<WorkerOrder, { do: 'attach-socket' }>;
type Timer = ReturnType<typeof setTimeout>;

export interface PlaneHostOptions {
  readonly sys: Syscalls;
  readonly log: Log;
  readonly cells: SharedArrayBuffer;
  /** Which of how many it is. */
  readonly plane: number;
  readonly planes: number;
  readonly packets: number;
  readonly superframes: boolean;
  readonly realtime: boolean;
  readonly cpu: number | undefined;
  /** The file a worker begins with. Default: the built one, also where this one runs from source. */
  readonly entry?: URL;
}

/** Who hears of what the worker tells, and of what becomes of it. */
export interface PlaneListener {
  event(event: PlaneEvent): void;
  tooBig(local: Address, remote: Address): void;
  portFailed(port: number, why: string): void;
  /** No packet passes until `restarted`. `why` in words that follow "the worker". */
  lost(why: string): void;
  /** A new worker runs, has its sockets, and knows nothing else: `why` is what became of the old one. */
  restarted(why: string): void;
}

const NOBODY: PlaneListener = { event() {}, tooBig() {}, portFailed() {}, lost() {}, restarted() {} };

export class PlaneHost {
  readonly #options: PlaneHostOptions;
  readonly #ports = new Map<number, AttachPort>();
  readonly #sockets = new Map<number, AttachSocket>();
  /** Who waits for the worker to let go of what. */
  readonly #detaching = new Map<string, (() => void)[]>();
  readonly #wakeup: Wakeup;
  /** Set before anything is attached. */
  listener: PlaneListener = NOBODY;
  /** The first life has not begun yet. */
  #starting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #life: WorkerLife | undefined;
  #engine = '';
  #watch: Timer | undefined;
  #next: Timer | undefined;
  #lookedAt = 0;
  #restarts = 0;
  /** Lives in a row that were short. */
  #short = 0;
  #lostBy = '';
  #closing: Promise<void> | undefined;
  #noFaults = (): void => {};

  constructor(options: PlaneHostOptions) {
    this.#options = options;
    this.#wakeup = new Wakeup(options.sys);
  }

  /** The crypto engines of the worker, once it runs. */
  get engine(): string {
    return this.#engine;
  }

  /** Whether orders are carried out; if not they are dropped. */
  get running(): boolean {
    return this.#life?.running === true;
  }

  /** How often the worker had to be started anew. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Resolves when the worker runs its loop. Rejects when it cannot; everything is closed then. */
  async start(): Promise<void> {
    this.#lookedAt = performance.now();
    this.#watch = setInterval(() => this.#look(), LOOK_MILLIS).unref();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#starting = { resolve, reject };
        this.#begin();
      });
      this.#noFaults = faultsOnSignal(this.#options.plane, (fault) => this.fail(fault), this.#options.log);
    } catch (error) {
      await this.close();
      throw error;
    }
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

  /** Resolves when no thread touches the descriptor any more. */
  detachPort(port: number): Promise<void> {
    this.#ports.delete(port);
    return this.#detach({ do: 'detach-port', port }, portKey(port));
  }

  detachSocket(id: number): Promise<void> {
    this.#sockets.delete(id);
    return this.#detach({ do: 'detach-socket', id }, socketKey(id));
  }

  /** For tests: the worker stands still, fails, or is gone. */
  fail(how: Fault): void {
    if (how === 'kill') this.#life?.kill('was killed on demand');
    else this.#order({ do: 'fail', how });
  }

  /** The worker ends; no thread touches a descriptor any more when this resolves. Nothing is heard from here on. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#watch);
    clearTimeout(this.#next);
    this.#noFaults();
    this.listener = NOBODY;
    await this.#life?.end();
    this.#settleDetached();
    this.#wakeup.close();
  }

  #begin(): void {
    const { cells, plane, planes, packets, superframes, cpu, realtime, entry = builtEntry() } = this.#options;
    try {
      this.#life = new WorkerLife({
        entry,
        name: `bulkhead-plane-${plane}`,
        wakeup: this.#wakeup,
        data: { cells, plane, planes, packets, superframes, cpu, realtime },
        hear: (news) => this.#hear(news),
        ended: (why) => this.#ended(why),
      });
    } catch (error) {
      this.#ended(`could not be started: ${(error as Error).message}`);
    }
  }

  #order(order: WorkerOrder): void {
    if (this.running) this.#life!.order(order);
  }

  #detach(order: WorkerOrder, key: string): Promise<void> {
    if (!this.running) return Promise.resolve();
    return new Promise((resolve) => {
      this.#detaching.set(key, [...(this.#detaching.get(key) ?? []), resolve]);
      this.#order(order);
    });
  }

  #detached(key: string): void {
    const waiting = this.#detaching.get(key) ?? [];
    this.#detaching.delete(key);
    for (const resolve of waiting) resolve();
  }

  #settleDetached(): void {
    for (const key of [...this.#detaching.keys()]) this.#detached(key);
  }

  #hear(news: WorkerNews): void {
    switch (news.type) {
      case 'ready':
        this.#engine = news.engine;
        return this.#begun();
      case 'plane':
        return this.listener.event(news.event);
      case 'too-big':
        return this.listener.tooBig(news.local, news.remote);
      case 'detached':
        return this.#detached(news.key);
      case 'port-failed':
        // A new worker would only find out again.
        this.#ports.delete(news.port);
        return this.listener.portFailed(news.port, news.why);
    }
  }

  #begun(): void {
    if (this.#closing !== undefined) return;
    const first = this.#starting;
    this.#starting = undefined;
    if (first !== undefined) return first.resolve();
    for (const order of this.#sockets.values()) this.#order(order);
    this.listener.restarted(this.#lostBy);
    for (const order of this.#ports.values()) this.#order(order);
  }

  #look(): void {
    const now = performance.now();
    const late = now - this.#lookedAt > 2 * LOOK_MILLIS;
    this.#lookedAt = now;
    this.#life?.look(late);
  }

  #ended(why: string): void {
    const age = this.#life?.age ?? 0;
    this.#life = undefined;
    this.#settleDetached();
    const first = this.#starting;
    this.#starting = undefined;
    if (first !== undefined) return first.reject(new Error(`the worker of the data plane ${why}`));
    if (this.#closing !== undefined) return;
    this.#restarts += 1;
    this.#short = age < STEADY_MILLIS ? this.#short + 1 : 1;
    const doubled = PAUSE_MILLIS * 2 ** (this.#short - QUICK_RESTARTS - 1);
    const pause = this.#short <= QUICK_RESTARTS ? 0 : Math.min(doubled, LONGEST_PAUSE_MILLIS);
    const when = pause === 0 ? '' : ` in ${pause / 1000} s`;
    const { log, plane, planes } = this.#options;
    const which = planes === 1 ? {} : { plane };
    log.error(`the worker of the data plane ${why}: it is started anew${when}`, which);
    this.#lostBy = why;
    this.#next = setTimeout(() => this.#begin(), pause).unref();
    this.listener.lost(why);
  }
}

const builtEntry = (): URL =>
  import.meta.url.endsWith('.ts')
    ? new URL('../../../dist/runtime/worker/main.js', import.meta.url)
    : new URL('main.js', import.meta.url);

const LOOK_MILLIS = 150;
const QUICK_RESTARTS = 3;
const PAUSE_MILLIS = 1000;
const LONGEST_PAUSE_MILLIS = 30_000;
const STEADY_MILLIS = 60_000;
