/**
 * Hosts a gateway on this machine: the one place where its actions become system calls and its deadline a timer.
 *
 * The loop: an event goes in, its actions are performed at once, the timer follows the next deadline. Events that arise while
 * actions are performed wait their turn. That is the whole of the asynchrony.
 * Leaves to others: documents and signals (`cli/`), the sockets of an address (`listeners.ts`,
 * `underlays.ts`), what a port is (`open-port.ts`).
 */
import type { Gateway, GatewayAction, GatewayEvent } from '../gateway/index.ts';
import { type Address, type PacketPool, type Prefix, SUPERFRAME_MAX } from '../ip/index.ts';
import { after, monotonicMillis } from './clock.ts';
import { Departures, words } from './departures.ts';
import { KeyLog } from './keylog.ts';
import { Listeners } from './listeners.ts';
import type { Log } from './log.ts';
import type { SocketOffloadOptions } from './offload.ts';
import { mtuProblem, type OpenPort, openPort } from './open-port.ts';
import { Outbox } from './outbox.ts';
import { pathMtu } from './path-mtu.ts';
import { Readiness } from './readiness.ts';
import { Underlays } from './underlays.ts';
import type { Planes } from './worker/planes.ts';

export interface HostOptions {
  readonly gateway: Gateway;
  readonly pool: PacketPool;
  readonly log: Log;
  /** Superframes and batches where the kernel has them. Default true; they need packets of `SUPERFRAME_MAX` octets. */
  readonly offloads?: boolean;
  /** How the sockets use theirs. */
  readonly sockets?: SocketOffloadOptions;
  /** Hosts the data plane of a gateway that was made for that (`remote`); undefined: packets pass through the main thread. */
  readonly planes?: Planes | undefined;
  /** Sees every action after it was performed; packets in it are gone by then. */
  readonly observe?: (action: GatewayAction) => void;
}

/** What a TCP sender puts into one superframe at most; with fewer the kernel would cut every one of them to single packets. */
const SEGMENTS = 64;

type OpenInterface = Extract<GatewayAction, { do: 'open-interface' }>;

export class Host {
  readonly #gateway: Gateway;
  readonly #pool: PacketPool;
  readonly #log: Log;
  readonly #observe: (action: GatewayAction) => void;
  readonly #outbox: Outbox;
  readonly #offloads: boolean;
  readonly #readiness: Readiness | undefined;
  readonly #planes: Planes | undefined;
  readonly #listeners: Listeners;
  readonly #underlays: Underlays;
  readonly #ports = new Map<string, { readonly number: number; readonly port: OpenPort }>();
  /** By `tenant/interface`: what the gateway wants open, and the host's routes into it. */
  readonly #wanted = new Map<string, { readonly action: OpenInterface; routes: readonly Prefix[] }>();
  readonly #departures: Departures;
  readonly #events: GatewayEvent[] = [];
  readonly #stopped: Promise<void>;
  #finish: () => void = () => {};
  #aborted: Promise<void> | undefined;
  #opening = 0;
  #settled: (() => void)[] = [];
  #keyLog: KeyLog | undefined;
  #cancelTimer = (): void => {};
  #timerAt = Number.POSITIVE_INFINITY;
  #busy = false;

  constructor(options: HostOptions) {
    this.#gateway = options.gateway;
    this.#pool = options.pool;
    this.#log = options.log;
    this.#observe = options.observe ?? (() => {});
    this.#outbox = new Outbox(options.pool, (local, remote) =>
      this.dispatch({ type: 'too-big', local: local.address, remote: remote.address }),
    );
    this.#offloads = options.offloads !== false && options.pool.capacity >= SUPERFRAME_MAX;
    this.#readiness = tryReadiness(options.log);
    this.#stopped = new Promise((resolve) => {
      this.#finish = resolve;
    });
    this.#planes = options.planes;
    this.#departures = new Departures(options.log);
    const sockets = {
      pool: options.pool,
      log: options.log,
      outbox: this.#outbox,
      departures: this.#departures,
      readiness: this.#readiness,
      offload: this.#offloads ? (options.sockets ?? {}) : undefined,
      planes: options.planes,
      dispatch: (event: GatewayEvent) => this.dispatch(event),
    };
    this.#listeners = new Listeners(sockets);
    this.#underlays = new Underlays(sockets);
    options.planes?.listen({
      event: (event) => this.dispatch({ type: 'plane', event }),
      tooBig: (local, remote) => this.dispatch({ type: 'too-big', local, remote }),
      portFailed: (port, why) => this.#portFailed(port, why),
      lost: (plane, why) => this.dispatch({ type: 'plane-lost', plane, why }),
      restarted: (plane, why) => this.dispatch({ type: 'plane-restarted', plane, why }),
    });
  }

  /** Rows for Wireshark go into this folder; undefined: nowhere. Throws SystemError when the folder is not ours alone. */
  setKeyFolder(folder: string | undefined): void {
    this.#keyLog = folder === undefined ? undefined : new KeyLog(folder);
    this.dispatch({ type: 'keys', enabled: folder !== undefined });
  }

  /** Once the host is being closed nothing happens any more; a packet in the event goes back to the pool. */
  dispatch(event: GatewayEvent): void {
    if (this.#aborted !== undefined) {
      if ('packet' in event) this.#pool.release(event.packet);
      return;
    }
    this.#events.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        for (const action of this.#gateway.handle(next, monotonicMillis())) this.#perform(action);
      }
    } finally {
      this.#busy = false;
    }
    this.#arm();
  }

  /** Resolves when every socket and device asked for so far is open or has failed. */
  settled(): Promise<void> {
    if (this.#opening === 0) return Promise.resolve();
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  /** DELETEs are sent, devices removed, sockets closed when this resolves; within about 3 s. */
  async stop(): Promise<void> {
    this.dispatch({ type: 'shutdown' });
    await this.#stopped;
    await this.abort();
  }

  /** The same without a word to the peers. */
  abort(): Promise<void> {
    this.#outbox.flush();
    this.#aborted ??= this.#abort();
    return this.#aborted;
  }

  async #abort(): Promise<void> {
    this.#cancelTimer();
    this.#wanted.clear();
    // First of all, so that nothing waits for a worker that stands still: with its thread every descriptor is free.
    const ended = this.#planes?.close();
    for (const { number, port } of this.#ports.values()) this.#departures.track(this.#closePort(number, port));
    this.#listeners.close();
    this.#underlays.close();
    await ended;
    await this.#departures.all();
    await this.#readiness?.close();
  }

  #perform(action: GatewayAction): void {
    switch (action.do) {
      case 'udp':
      case 'esp':
        this.#listeners.send(action);
        break;
      case 'packet': {
        const open = this.#ports.get(`${action.tenant}/${action.interface}`);
        if (open === undefined) this.#pool.release(action.packet);
        else this.#outbox.write(open.port, action.packet);
        break;
      }
      case 'open-interface':
        this.#openInterface(action);
        break;
      case 'close-interface': {
        const name = `${action.tenant}/${action.interface}`;
        const open = this.#ports.get(name);
        this.#ports.delete(name);
        this.#wanted.delete(name);
        if (open !== undefined) this.#departures.track(this.#closePort(open.number, open.port), open.port.device);
        break;
      }
      case 'host-routes': {
        const name = `${action.tenant}/${action.interface}`;
        const wanted = this.#wanted.get(name);
        if (wanted !== undefined) wanted.routes = action.prefixes;
        this.#route(name, action.prefixes);
        break;
      }
      case 'listen':
        this.#opening += 1;
        void this.#listeners.listen(action.address, action.ike, action.natt).then(() => this.#settle());
        break;
      case 'underlay':
        this.#underlays.send(action);
        break;
      case 'open-underlay':
        this.#opening += 1;
        void this.#underlays.open(action.plane, action.underlay).then(() => this.#settle());
        break;
      case 'close-underlay':
        this.#underlays.close();
        break;
      case 'unlisten':
        this.#listeners.unlisten(action.address);
        break;
      case 'probe-path':
        this.#probePath(action.local, action.remote);
        break;
      case 'plane':
        // Messages that go before it leave before it, whichever thread sends them.
        this.#outbox.flush();
        this.#planes?.command(action.plane, action.command);
        break;
      case 'report':
        this.#log.report(action.report);
        break;
      case 'key':
        this.#writeKey(action.table, action.row);
        break;
      case 'done':
        this.#finish();
        break;
      default:
        break;
    }
    this.#observe(action);
  }

  #probePath(local: Address, remote: Address): void {
    const mtu = this.#readiness === undefined ? undefined : pathMtu(this.#readiness.sys, local, remote);
    if (mtu !== undefined) this.dispatch({ type: 'path-mtu', local, remote, mtu: Math.min(mtu, this.#pool.capacity) });
  }

  async #closePort(number: number, port: OpenPort): Promise<void> {
    await this.#planes?.detachPort(number);
    await port.close();
  }

  #portFailed(number: number, why: string): void {
    for (const [name, open] of this.#ports) {
      if (open.number !== number) continue;
      const [tenant, iface] = name.split('/') as [string, string];
      this.#log.error(why, { tenant });
      this.dispatch({ type: 'interface-state', tenant, interface: iface, problem: why });
    }
  }

  #settle(): void {
    this.#opening -= 1;
    if (this.#opening === 0) for (const resolve of this.#settled.splice(0)) resolve();
  }

  #openInterface(action: OpenInterface): void {
    const name = `${action.tenant}/${action.config.name}`;
    this.#wanted.set(name, { action, routes: action.hostRoutes });
    const leaving = this.#departures.of(action.config.device);
    if (leaving === undefined) return this.#createPort(action);
    this.#opening += 1;
    void leaving.then(() => {
      const wanted = this.#wanted.get(name);
      if (wanted?.action === action) {
        this.#createPort(action);
        this.#route(name, wanted.routes);
      }
      this.#settle();
    });
  }

  #route(name: string, prefixes: readonly Prefix[]): void {
    for (const problem of this.#ports.get(name)?.port.route?.(prefixes) ?? [])
      this.#log.warn(problem, { tenant: name.split('/')[0]! });
  }

  #createPort({ tenant, plane, port: number, config, machine }: OpenInterface): void {
    const { name, driver } = config;
    const state = (problem: string | undefined): void =>
      this.dispatch({ type: 'interface-state', tenant, interface: name, problem });
    if (driver === 'fabric') return state('driver fabric exists in the lab only');
    if (this.#readiness === undefined) return state(`driver ${driver} needs the optional package koffi`);
    try {
      const port = openPort(config, {
        machine,
        pool: this.#pool,
        readiness: this.#planes === undefined ? this.#readiness : undefined,
        offload: this.#offloads ? { maxSegments: SEGMENTS } : undefined,
        receive: (packet) => this.dispatch({ type: 'packet', tenant, interface: name, packet }),
        failed: (why) => {
          this.#log.error(why, { tenant });
          state(why);
        },
      });
      this.#ports.set(`${tenant}/${name}`, { number, port });
      this.#planes?.attachPort(plane, number, port);
      const lost = mtuProblem(config, port, machine !== undefined);
      if (lost !== undefined) this.#log.warn(lost, { tenant });
      state(undefined);
    } catch (error) {
      this.#log.error(`interface ${name} of ${tenant}: ${words(error)}`);
      state(words(error));
    }
  }

  #writeKey(table: string, row: string): void {
    try {
      this.#keyLog?.append(table, row);
    } catch (error) {
      this.#log.error(`keys are no longer written: ${words(error)}`);
      this.#keyLog = undefined;
      this.dispatch({ type: 'keys', enabled: false });
    }
  }

  #arm(): void {
    const at = this.#gateway.deadline()?.at ?? Number.POSITIVE_INFINITY;
    if (at === this.#timerAt) return;
    this.#cancelTimer();
    this.#timerAt = at;
    if (at === Number.POSITIVE_INFINITY) return;
    this.#cancelTimer = after(at - monotonicMillis(), () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.dispatch({ type: 'tick' });
    });
  }
}

function tryReadiness(log: Log): Readiness | undefined {
  try {
    return new Readiness();
  } catch (error) {
    log.warn(`running without native system calls: ${words(error)}`);
    return undefined;
  }
}
