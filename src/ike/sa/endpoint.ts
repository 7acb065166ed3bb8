/**
 * The IKE endpoint: all connections and IKE SAs of a gateway behind one machine.
 *
 * Read first: RFC 7296 §2.6 (SPIs, half-open load), §2.21 (which errors are answered how), §2.23 (ports).
 * Finds the SA of a message, starts and restarts connections, keeps the limits. What messages mean stands in the tasks
 * (`task-*.ts`) and the answers (`answer-*.ts`).
 */
import { Agenda, type Deadline, type Machine, type Millis } from '../../core/index.ts';
import { formatEndpoint } from '../../ip/index.ts';
import type { Failure, IkeAction, IkeConnection, IkeEvent, PacketSelector } from '../contract.ts';
import { CookieJar } from '../cookie.ts';
import { admits } from './child-sa.ts';
import { Connection, sameConfig } from './connection.ts';
import { DEFAULTS, type IkeOptions } from './environment.ts';
import { policyRefused } from './failure.ts';
import { expireChild, rekeyChild, rekeyIke } from './housekeeping.ts';
import { IkeSa, ZERO_SPI } from './ike-sa.ts';
import { Inbox } from './inbox.ts';
import { Registry } from './registry.ts';
import { CreateChildTask, DeleteChildTask, isMaking } from './task-child.ts';
import { beginClosing } from './task-ike.ts';
import { InitTask } from './task-init.ts';

/** DELETEs are given this long at shutdown; whoever has not answered then is left behind. */
const SHUTDOWN: Millis = 3_000;

export class IkeEndpoint implements Machine<IkeEvent, IkeAction> {
  readonly #registry: Registry;
  readonly #inbox: Inbox;
  readonly #agenda = new Agenda();
  #shutdownAt: Millis | undefined;
  #done = false;

  constructor(options: IkeOptions) {
    this.#registry = new Registry(options, this.#agenda, (connection, now) => this.#start(connection, undefined, now));
    this.#inbox = new Inbox(this.#registry, new CookieJar(options.random));
  }

  handle(event: IkeEvent, now: Millis): readonly IkeAction[] {
    if (this.#done) return [];
    switch (event.type) {
      case 'tick':
        this.#agenda.tick(now);
        break;
      case 'datagram':
        this.#inbox.receive(event, now);
        break;
      case 'configure':
        this.#configure(event.connections, now);
        break;
      case 'acquire':
        this.#acquire(event.connection, event.packet, now);
        break;
      case 'terminate':
        this.#terminate(event.connection, event.what, now);
        break;
      case 'rekey':
        this.#rekey(event.connection, event.what, now);
        break;
      case 'expire':
        this.#expire(event.spiIn, event.hard, now);
        break;
      case 'inbound':
        this.#registry.inbound(event.spiIn, event.from, now);
        break;
      case 'shutdown':
        this.#shutdown(now);
        break;
    }
    this.#settleShutdown(now);
    return this.#registry.takeActions();
  }

  deadline(): Deadline | undefined {
    const next = this.#agenda.deadline();
    if (this.#shutdownAt === undefined || this.#done) return next;
    return next === undefined || this.#shutdownAt < next.at ? { at: this.#shutdownAt, why: 'end of shutdown' } : next;
  }

  /** For views and tests; not to be changed from outside. */
  get sas(): ReadonlySet<IkeSa> {
    return this.#registry.sas;
  }

  get connections(): ReadonlyMap<string, Connection> {
    return this.#registry.connections;
  }

  /** Drops and refusals by name. */
  get counters(): ReadonlyMap<string, number> {
    return this.#registry.counters;
  }

  get halfOpen(): number {
    return this.#registry.halfOpen;
  }

  /** Inbound SPIs taken by SAs, by offers under way and by SAs that still drain. */
  get spis(): ReadonlySet<number> {
    return this.#registry.spis;
  }

  /** Answers kept for SAs that have gone. */
  get farewells(): number {
    return this.#registry.farewells;
  }

  #configure(connections: readonly IkeConnection[], now: Millis): void {
    if (this.#shutdownAt !== undefined) return;
    const wanted = new Map(connections.map((c) => [c.name, c]));
    for (const [name, connection] of [...this.#registry.connections]) {
      if (sameConfig(wanted.get(name), connection.config)) continue;
      connection.wanted = false;
      this.#registry.connections.delete(name);
      this.#agenda.forget(connection);
      this.#deleteAll(connection, now);
    }
    for (const config of connections) {
      if (this.#registry.connections.has(config.name)) continue;
      const connection = new Connection(config, this.#registry);
      this.#registry.connections.set(config.name, connection);
      if (connection.wanted) this.#start(connection, undefined, now);
    }
  }

  #acquire(name: string, packet: PacketSelector | undefined, now: Millis): void {
    const connection = this.#registry.connections.get(name);
    if (connection === undefined || this.#shutdownAt !== undefined) return;
    if (packet === undefined) connection.wanted ||= connection.config.start === 'boot';
    const refused = refusal(connection, packet, now);
    if (refused !== undefined) return this.#registry.emit({ do: 'unreachable', connection: name, failure: refused });
    this.#start(connection, packet, now);
  }

  /** Brings a connection as far up as it is not yet. */
  #start(connection: Connection, packet: PacketSelector | undefined, now: Millis): void {
    connection.retryAt = undefined;
    if (this.#shutdownAt !== undefined) return;
    const sa = connection.established;
    if (sa !== undefined) {
      if (!sa.pending((task) => task.kind === 'child-create')) sa.enqueue(new CreateChildTask(packet), now);
    } else if (!connection.connecting && connection.config.remoteAddress !== undefined) {
      this.#initiate(connection, packet, now);
    }
  }

  #initiate(connection: Connection, packet: PacketSelector | undefined, now: Millis): void {
    const { config } = connection;
    const { limits, random } = this.#registry;
    // §2.23: whoever names another port than 500 means one where non-ESP markers are expected.
    const direct = config.remotePort === DEFAULTS.ikePort;
    const sa = new IkeSa(
      this.#registry,
      {
        initiator: true,
        spiI: random(8),
        spiR: ZERO_SPI,
        local: { address: config.localAddress, port: direct ? limits.ikePort : limits.nattPort },
        remote: { address: config.remoteAddress!, port: config.remotePort },
      },
      now,
    );
    sa.nat.forced = config.forceEncapsulation;
    sa.connection = connection;
    connection.sas.add(sa);
    this.#registry.report('info', sa, 'connecting', `connecting to ${formatEndpoint(sa.remote)}`);
    sa.enqueue(new InitTask(sa, packet), now);
  }

  #terminate(name: string, what: 'ike' | 'child', now: Millis): void {
    const connection = this.#registry.connections.get(name);
    if (connection === undefined) return;
    connection.wanted = false;
    connection.retryAt = undefined;
    if (what === 'ike') return this.#deleteAll(connection, now);
    for (const sa of [...connection.sas]) {
      if (sa.phase === 'init' || sa.phase === 'auth') sa.close(now, TAKEN_DOWN);
      for (const task of [sa.active, ...sa.queue]) if (isMaking(task)) task.unwanted = true;
      for (const child of [...sa.children]) {
        if (!child.deleting) sa.enqueue(new DeleteChildTask(child, TAKEN_DOWN), now);
      }
    }
  }

  #deleteAll(connection: Connection, now: Millis): void {
    for (const sa of [...connection.sas]) {
      if (sa.phase === 'init' || sa.phase === 'auth') sa.close(now, TAKEN_DOWN);
      else beginClosing(sa, now);
    }
  }

  #rekey(name: string, what: 'ike' | 'child', now: Millis): void {
    const sa = this.#registry.connections.get(name)?.established;
    if (sa === undefined) return;
    if (what === 'ike') rekeyIke(sa, now);
    else for (const child of [...sa.children]) rekeyChild(sa, child, now);
  }

  #expire(spiIn: number, hard: boolean, now: Millis): void {
    const found = this.#registry.childOf(spiIn);
    if (found === undefined) return;
    if (hard) expireChild(found.sa, found.child, now);
    else rekeyChild(found.sa, found.child, now);
  }

  #shutdown(now: Millis): void {
    if (this.#shutdownAt !== undefined) return;
    this.#shutdownAt = now + SHUTDOWN;
    this.#inbox.closed = true;
    for (const connection of this.#registry.connections.values()) {
      connection.wanted = false;
      connection.retryAt = undefined;
      this.#deleteAll(connection, now);
    }
    for (const sa of [...this.#registry.sas]) if (sa.phase === 'init' || sa.phase === 'auth') sa.close(now, 'shutdown');
  }

  #settleShutdown(now: Millis): void {
    if (this.#shutdownAt === undefined || this.#done) return;
    if (now >= this.#shutdownAt)
      for (const sa of [...this.#registry.sas]) sa.close(now, 'shutdown: no answer to DELETE');
    if (this.#registry.sas.size > 0) return;
    this.#done = true;
    this.#registry.finish();
    this.#registry.emit({ do: 'done' });
  }
}

const TAKEN_DOWN = 'taken down here';

/** Why an `acquire` comes to nothing at once. An operator's (no packet) overrules what holds packets down. */
function refusal(connection: Connection, packet: PacketSelector | undefined, now: Millis): Failure | undefined {
  const { config, established } = connection;
  const listens = config.start === 'listen' || config.remoteAddress === undefined;
  if (listens && established === undefined) return ONLY_LISTENS;
  if (packet === undefined) return undefined;
  return connection.hold(now) ?? (admits(config.child, packet) ? undefined : OUTSIDE);
}

const ONLY_LISTENS = policyRefused(
  'this connection only listens: the peer must begin',
  'set start to demand or boot, and a remote address',
);

const OUTSIDE = policyRefused(
  'the packet is outside the traffic selectors of this connection',
  'widen child.local and child.remote at both ends, or correct the route that leads here',
);
