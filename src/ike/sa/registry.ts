/**
 * The books of an endpoint: IKE SAs by SPI, Child SAs by inbound SPI, connections by name; counters, reports, actions.
 *
 * It is the `Environment` of every IKE SA. Invariants: an SPI is freed exactly when nothing is received on it any more;
 * a closed SA is in no book.
 */
import {
  type Agenda,
  type Bytes,
  type Deadline,
  type Millis,
  type Random,
  type Timed,
  toHex,
  u32,
} from '../../core/index.ts';
import { type Address, type Endpoint, formatEndpoint, sameAddress, sameEndpoint } from '../../ip/index.ts';
import type { Failure, IkeAction, Report } from '../contract.ts';
import { activateChild, childByInbound } from './child-sa.ts';
import { Connection } from './connection.ts';
import { DEFAULTS, type Environment, type IkeOptions, type Limits } from './environment.ts';
import { saDeadline, tickSa } from './housekeeping.ts';
import type { IkeSa } from './ike-sa.ts';
import { RETRANSMIT } from './window.ts';

/** A replaced inbound SA stays open this long for packets still under way. */
const DRAIN: Millis = 5_000;
/** The answer to a DELETE is kept this long after its SA has gone, in case it was lost. */
const FAREWELL: Millis = 60_000;
const MAX_FAREWELLS = 1024;
/** A connection that somebody wants and that lost its SAs comes back after this long. */
const COME_BACK: Millis = 1_000;

export class Registry implements Environment {
  readonly random: Random;
  readonly limits: Limits;
  readonly sas = new Set<IkeSa>();
  readonly connections = new Map<string, Connection>();
  readonly counters = new Map<string, number>();
  readonly #agenda: Agenda;
  readonly #start: (connection: Connection, now: Millis) => void;
  readonly #bySpi = new Map<string, IkeSa>();
  readonly #byInit = new Map<string, IkeSa>();
  readonly #timers = new Map<IkeSa, Timed>();
  readonly #owners = new Map<number, IkeSa | undefined>();
  readonly #farewells = new Map<string, { readonly response: Bytes } & Timed>();
  #actions: IkeAction[] = [];
  #ikeIds = 0;
  #childIds = 0;
  #halfOpen = 0;
  #closing = false;

  constructor(options: IkeOptions, agenda: Agenda, start: (connection: Connection, now: Millis) => void) {
    this.random = options.random;
    this.limits = {
      retransmit: options.retransmit ?? RETRANSMIT,
      giveUpMillis: (options.giveUpSeconds ?? DEFAULTS.giveUpSeconds) * 1000,
      cookieThreshold: options.cookieThreshold ?? DEFAULTS.cookieThreshold,
      maxHalfOpen: options.maxHalfOpen ?? DEFAULTS.maxHalfOpen,
      exportKeys: options.exportKeys ?? false,
      ikePort: options.ikePort ?? DEFAULTS.ikePort,
      nattPort: options.nattPort ?? DEFAULTS.nattPort,
    };
    this.#agenda = agenda;
    this.#start = start;
  }

  /** Responder SAs that have not authenticated yet. */
  get halfOpen(): number {
    return this.#halfOpen;
  }

  emit(action: IkeAction): void {
    this.#actions.push(action);
    if (action.do === 'install') this.#agenda.touch(this.#timerOf(this.#owners.get(action.child.spiIn)));
  }

  takeActions(): readonly IkeAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  report(level: Report['level'], about: IkeSa | Connection | undefined, what: string, text: string): void {
    const connection =
      about === undefined ? undefined : about instanceof Connection ? about.name : about.connection?.name;
    this.emit({ do: 'report', report: { level, connection, what, text } });
  }

  count(what: string): void {
    this.counters.set(what, (this.counters.get(what) ?? 0) + 1);
  }

  fail(connection: Connection | undefined, failure: Failure, now: Millis): void {
    const report: Report = {
      level: 'error',
      connection: connection?.name,
      what: 'failed',
      text: failure.problem,
      failure,
    };
    this.emit({ do: 'report', report });
    if (connection === undefined) return;
    connection.failed(failure, now);
    this.#agenda.touch(connection);
    if (!connection.carriesTraffic) this.emit({ do: 'unreachable', connection: connection.name, failure });
  }

  nextIkeId(): number {
    this.#ikeIds += 1;
    return this.#ikeIds;
  }

  nextChildId(): number {
    this.#childIds += 1;
    return this.#childIds;
  }

  allocateSpi(): number {
    for (;;) {
      const spi = u32(this.random(4), 0);
      if (spi > 0xff && !this.#owners.has(spi)) {
        this.#owners.set(spi, undefined);
        return spi;
      }
    }
  }

  freeSpi(spi: number): void {
    this.#owners.delete(spi);
  }

  drain(spiIn: number, now: Millis, why: string): void {
    this.#agenda.touch({
      deadline: () =>
        this.#owners.has(spiIn) ? { at: now + DRAIN, why: 'a replaced Child SA stops receiving' } : undefined,
      tick: () => {
        this.emit({ do: 'remove', spiIn, why });
        this.freeSpi(spiIn);
      },
    });
  }

  register(sa: IkeSa): void {
    this.sas.add(sa);
    this.#bySpi.set(toHex(sa.localSpi), sa);
    if (!sa.initiator && sa.successorOf === undefined) {
      this.#byInit.set(initKey(sa.spiI, sa.remote), sa);
      this.#halfOpen += 1;
    }
    const timer: Timed = { deadline: () => saDeadline(sa), tick: (now) => tickSa(sa, now) };
    this.#timers.set(sa, timer);
    this.#agenda.touch(timer);
  }

  established(sa: IkeSa): void {
    if (!sa.initiator && sa.successorOf === undefined) this.#halfOpen -= 1;
    this.touch(sa);
  }

  unregister(sa: IkeSa, now: Millis): void {
    if (!this.sas.delete(sa)) return;
    this.#bySpi.delete(toHex(sa.localSpi));
    if (!sa.initiator && sa.successorOf === undefined) {
      const key = initKey(sa.spiI, sa.initRemote);
      if (this.#byInit.get(key) === sa) this.#byInit.delete(key);
      if (sa.establishedAt === undefined) this.#halfOpen -= 1;
    }
    const timer = this.#timers.get(sa);
    if (timer !== undefined) this.#agenda.forget(timer);
    this.#timers.delete(sa);
    if (sa.connection !== undefined) this.comeBack(sa.connection, now);
  }

  touch(sa: IkeSa): void {
    this.#agenda.touch(this.#timerOf(sa));
    if (sa.successor !== undefined) this.#agenda.touch(this.#timerOf(sa.successor));
  }

  /** Somebody wants this connection up and it is not: it will be tried again. */
  comeBack(connection: Connection, now: Millis): void {
    if (!connection.wanted || connection.retryAt !== undefined || connection.connecting || connection.carriesTraffic)
      return;
    connection.retryAt = now + COME_BACK;
    this.#agenda.touch(connection);
  }

  retry(connection: Connection, now: Millis): void {
    this.#start(connection, now);
  }

  connectionsFor(sa: IkeSa): readonly Connection[] {
    return this.candidates(sa.local.address, sa.remote.address);
  }

  /** Connections these addresses may belong to; those that name the peer come first. */
  candidates(local: Address, remote: Address): Connection[] {
    const named: Connection[] = [];
    const open: Connection[] = [];
    for (const connection of this.connections.values()) {
      const { localAddress, remoteAddress } = connection.config;
      if (!sameAddress(localAddress, local)) continue;
      if (remoteAddress === undefined) open.push(connection);
      else if (sameAddress(remoteAddress, remote)) named.push(connection);
    }
    return [...named, ...open];
  }

  childUp(sa: IkeSa): void {
    for (const child of sa.children) this.#owners.set(child.sa.spiIn, sa);
    sa.connection?.succeeded();
    this.touch(sa);
  }

  bySpi(spi: Bytes): IkeSa | undefined {
    return this.#bySpi.get(toHex(spi));
  }

  byInit(spiI: Bytes, remote: Endpoint): IkeSa | undefined {
    return this.#byInit.get(initKey(spiI, remote));
  }

  /** The IKE SA that owns the Child SA now, after any number of rekeys. */
  ownerOf(spiIn: number): IkeSa | undefined {
    for (let sa = this.#owners.get(spiIn); sa !== undefined; sa = sa.successor) {
      if (childByInbound(sa, spiIn) !== undefined) return sa;
    }
    return undefined;
  }

  /** Authenticated ESP came in: the peer lives, may have moved, and sends on the new SA of a rekey. */
  inbound(spiIn: number, from: Endpoint | undefined, now: Millis): void {
    const sa = this.ownerOf(spiIn);
    if (sa === undefined || sa.phase === 'closed') return;
    sa.heardAt = Math.max(sa.heardAt, now);
    const child = childByInbound(sa, spiIn)!;
    if (child.phase === 'standby' && !child.deleting) activateChild(sa, child);
    // RFC 7296 §2.23: follow the peer's NAT, unless we stand behind one ourselves.
    if (from !== undefined && sa.nat.remote && !sa.nat.local && !sameEndpoint(from, sa.remote)) sa.move(sa.local, from);
  }

  /** Keeps the answer to the last request of an SA that has gone. */
  remember(sa: IkeSa, messageId: number, response: Bytes, now: Millis): void {
    const key = farewellKey(sa.localSpi, messageId);
    const oldest = this.#farewells.size >= MAX_FAREWELLS ? this.#farewells.keys().next().value : undefined;
    if (oldest !== undefined) this.#farewells.delete(oldest);
    const farewell: { readonly response: Bytes } & Timed = {
      response,
      deadline: (): Deadline | undefined =>
        this.#closing || this.#farewells.get(key) !== farewell
          ? undefined
          : { at: now + FAREWELL, why: 'a kept answer is forgotten' },
      tick: () => this.#farewells.delete(key),
    };
    this.#farewells.set(key, farewell);
    this.#agenda.touch(farewell);
  }

  farewell(spi: Bytes, messageId: number): Bytes | undefined {
    return this.#farewells.get(farewellKey(spi, messageId))?.response;
  }

  /** Shutdown is over: what drains is removed, nothing wakes anybody any more. */
  finish(): void {
    this.#closing = true;
    for (const spiIn of [...this.#owners.keys()]) {
      this.emit({ do: 'remove', spiIn, why: 'shutdown' });
      this.freeSpi(spiIn);
    }
    this.#farewells.clear();
  }

  #timerOf(sa: IkeSa | undefined): Timed {
    return (sa === undefined ? undefined : this.#timers.get(sa)) ?? NEVER;
  }
}

const NEVER: Timed = { deadline: () => undefined, tick: () => {} };

const initKey = (spiI: Bytes, remote: Endpoint): string => `${toHex(spiI)}@${formatEndpoint(remote)}`;
const farewellKey = (spi: Bytes, messageId: number): string => `${toHex(spi)}#${messageId}`;
