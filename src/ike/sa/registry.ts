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
  Shares,
  sameBytes,
  type Timed,
  toHex,
  u32,
} from '../../core/index.ts';
import { type Address, type Endpoint, formatEndpoint, peerNumber, sameAddress, sameEndpoint } from '../../ip/index.ts';
import type { Failure, IkeAction, IkeConnection, Report } from '../contract.ts';
import { activateChild, type Child, childByInbound } from './child-sa.ts';
import { Connection } from './connection.ts';
import { DEFAULTS, type Environment, type IkeOptions, type Limits } from './environment.ts';
import { saDeadline, tickSa } from './housekeeping.ts';
import type { IkeSa } from './ike-sa.ts';
import { RETRANSMIT } from './window.ts';

/** A replaced inbound SA stays open this long for packets still under way. */
const DRAIN: Millis = 5_000;
/** The answer to a DELETE is kept this long after its SA has gone, in case it was lost: as long as a peer may ask again. */
const FAREWELL: Millis = 180_000;
export const MAX_FAREWELLS = 1024;
/** A connection that somebody wants and that lost its SAs comes back after this long. */
const COME_BACK: Millis = 1_000;
const ANY_SPI = { modulus: 1, residue: 0 };

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
  readonly #farewells = new Map<string, Farewell>();
  #actions: IkeAction[] = [];
  #ikeIds = 0;
  #childIds = 0;
  readonly #halfOpen: Shares;

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
    this.#halfOpen = new Shares(this.limits.maxHalfOpen);
    this.#agenda = agenda;
    this.#start = start;
  }

  /** Responder SAs that have not authenticated yet. */
  get halfOpen(): number {
    return this.#halfOpen.used;
  }

  /** Whether one more may begin from that address: each leaves room to others (RFC 7296 §2.6). */
  mayBegin({ address }: Endpoint): boolean {
    return this.#halfOpen.mayTake(peerNumber(address));
  }

  /** Inbound SPIs that are taken; each belongs to an SA, an offer under way, or an SA that drains. */
  get spis(): ReadonlySet<number> {
    return new Set(this.#owners.keys());
  }

  /** Answers kept for SAs that have gone. */
  get farewells(): number {
    return this.#farewells.size;
  }

  emit(action: IkeAction): void {
    this.#actions.push(action);
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
    this.#reportFailure('error', connection, failure);
    if (connection === undefined) return;
    connection.failed(failure, now);
    this.#agenda.touch(connection);
    this.emit({ do: 'unreachable', connection: connection.name, failure });
  }

  note(connection: Connection | undefined, failure: Failure, now: Millis): void {
    this.#reportFailure('warn', connection, failure);
    if (connection !== undefined) connection.lastFailure = { failure, at: now };
  }

  nextIkeId(): number {
    this.#ikeIds += 1;
    return this.#ikeIds;
  }

  nextChildId(): number {
    this.#childIds += 1;
    return this.#childIds;
  }

  allocateSpi({ spis: { modulus, residue } = ANY_SPI }: IkeConnection): number {
    for (;;) {
      const drawn = u32(this.random(4), 0);
      const spi = drawn - (drawn % modulus) + residue;
      if (spi > 0xff && spi <= 0xffff_ffff && !this.#owners.has(spi)) {
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
      this.#halfOpen.take(peerNumber(sa.initRemote.address));
    }
    const timer: Timed = { deadline: () => saDeadline(sa), tick: (now) => tickSa(sa, now) };
    this.#timers.set(sa, timer);
    this.#agenda.touch(timer);
  }

  established(sa: IkeSa): void {
    if (!sa.initiator && sa.successorOf === undefined) this.#halfOpen.give(peerNumber(sa.initRemote.address));
    this.touch(sa);
  }

  unregister(sa: IkeSa, now: Millis): void {
    if (!this.sas.delete(sa)) return;
    this.#bySpi.delete(toHex(sa.localSpi));
    if (!sa.initiator && sa.successorOf === undefined) {
      const key = initKey(sa.spiI, sa.initRemote);
      if (this.#byInit.get(key) === sa) this.#byInit.delete(key);
      if (sa.establishedAt === undefined) this.#halfOpen.give(peerNumber(sa.initRemote.address));
    }
    const timer = this.#timers.get(sa);
    if (timer !== undefined) this.#agenda.forget(timer);
    this.#timers.delete(sa);
    if (sa.connection !== undefined) this.comeBack(sa.connection, now);
  }

  touch(sa: IkeSa): void {
    const timer = this.#timers.get(sa);
    if (timer !== undefined) this.#agenda.touch(timer);
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

  own(sa: IkeSa): void {
    for (const child of sa.children) this.#owners.set(child.sa.spiIn, sa);
    this.touch(sa);
  }

  childUp(sa: IkeSa): void {
    sa.connection?.succeeded();
    this.own(sa);
  }

  bySpi(spi: Bytes): IkeSa | undefined {
    return this.#bySpi.get(toHex(spi));
  }

  byInit(spiI: Bytes, remote: Endpoint): IkeSa | undefined {
    return this.#byInit.get(initKey(spiI, remote));
  }

  /** The Child SA with this inbound SPI and the IKE SA it belongs to, after any number of rekeys. */
  childOf(spiIn: number): { readonly sa: IkeSa; readonly child: Child } | undefined {
    const sa = this.#owners.get(spiIn);
    const child = sa === undefined ? undefined : childByInbound(sa, spiIn);
    return sa === undefined || child === undefined ? undefined : { sa, child };
  }

  /** Authenticated ESP came in: the peer lives, may have moved, and sends on the new SA of a rekey. */
  inbound(spiIn: number, from: Endpoint | undefined, now: Millis): void {
    const found = this.childOf(spiIn);
    if (found === undefined) return;
    const { sa, child } = found;
    sa.heardAt = now;
    if (child.phase === 'standby' && !child.deleting) activateChild(sa, child);
    if (from !== undefined && sa.peerMoves && !sameEndpoint(from, sa.remote)) sa.move(sa.local, from);
  }

  /** Keeps the answer to the last request of an SA that has gone. */
  remember(sa: IkeSa, request: Bytes, response: Bytes, now: Millis): void {
    const key = toHex(sa.localSpi);
    const forget = (spi: string): void => {
      const old = this.#farewells.get(spi);
      if (old !== undefined) this.#agenda.forget(old);
      this.#farewells.delete(spi);
    };
    for (const oldest of this.#farewells.keys()) {
      if (this.#farewells.size < MAX_FAREWELLS) break;
      forget(oldest);
    }
    const deadline: Deadline = { at: now + FAREWELL, why: 'a kept answer is forgotten' };
    const farewell: Farewell = {
      request,
      response,
      deadline: () => (this.#farewells.get(key) === farewell ? deadline : undefined),
      tick: () => forget(key),
    };
    this.#farewells.set(key, farewell);
    this.#agenda.touch(farewell);
  }

  /** The kept answer, if `octets` are the very request it was given to. */
  farewell(spi: Bytes, octets: Bytes): Bytes | undefined {
    const kept = this.#farewells.get(toHex(spi));
    return kept !== undefined && sameBytes(kept.request, octets) ? kept.response : undefined;
  }

  /** Shutdown is over: what drains is removed, nothing wakes anybody any more. */
  finish(): void {
    for (const spiIn of [...this.#owners.keys()]) {
      this.emit({ do: 'remove', spiIn, why: 'shutdown' });
      this.freeSpi(spiIn);
    }
    for (const farewell of this.#farewells.values()) this.#agenda.forget(farewell);
    this.#farewells.clear();
  }

  #reportFailure(level: Report['level'], connection: Connection | undefined, failure: Failure): void {
    const text = failure.problem;
    this.emit({ do: 'report', report: { level, connection: connection?.name, what: 'failed', text, failure } });
  }
}

interface Farewell extends Timed {
  readonly request: Bytes;
  readonly response: Bytes;
}

const initKey = (spiI: Bytes, remote: Endpoint): string => `${toHex(spiI)}@${formatEndpoint(remote)}`;
