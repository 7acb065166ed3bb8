/**
 * The session with one peer: when to dial, which of two connections stays, Idle and its back-off, what the tables are told.
 *
 * Read first: RFC 4271 §6.8, §8; RFC 6286 §2.3; RFC 4724 §4.2, §5; RFC 4486. The RFC's events here: 1 ManualStart and 3 AutomaticStart
 * (`start`), 2 ManualStop (`stop`), 8 AutomaticStop (`fault`, `path`), 9 ConnectRetryTimer_Expires and 13 IdleHoldTimer_Expires (`tick`),
 * 16 Tcp_CR_Acked and 17 TcpConnectionConfirmed (`connected`), 18 TcpConnectionFails of a dial (`closed`). Events of a connection are in
 * `connection.ts`. Events 4 to 7 are configuration, 14 and 15 the host's, which hands over connections of the peer alone.
 *
 * What a host owes: `tick` at the deadline; pieces of bounded length in `received` (64 KiB is good), so that a stream of UPDATEs never keeps
 * the next tick waiting, though a KEEPALIVE that is due also leaves after each piece; `drained` whenever the transport took something;
 * positive names for what it accepts (ours are negative); nothing of a connection after `close`.
 * Where we differ: a dial that fails leads to Active as if Idle had been left at once by event 5; so does a lost session whose routes are
 * retained, for its peer is expected back soon. Every other way into Idle is held there for a while, never less than IdleHoldTime × 0.75.
 * Without AllowAutomaticStart every failure leads to Idle, also where OpenSent would lead to Active, and no restart of the peer is waited for;
 * a dial that nobody answers is no failure: it begins again with the ConnectRetryTimer (event 9).
 * Deliberate limits: no retry without capabilities after OPEN error 4; three connections at most, one of which is Established.
 * Invariants: one connection at most is Established; all deadlines are finite.
 */
import { type Deadline, earliest, fraction, type Machine, type Millis, type Random } from '../../core/index.ts';
import type { ConnectionId, Negotiated, SessionAction, SessionEvent, SessionState } from '../contract.ts';
import { CEASE, encodeControlMessage, MESSAGE, type NotificationMessage, type OpenMessage } from '../message/index.ts';
import { openOf, presentedAs, type SessionConfiguration } from './configuration.ts';
import { Connection, type End, type Owner, type Phase, type Watch } from './connection.ts';
import { type Counters, countMessage, newCounters } from './counters.ts';
import { preserved, type Retained, retained, survivesLoss } from './graceful.ts';
import { IdleHoldTime } from './idle-hold.ts';
import { preferredDirection } from './negotiate.ts';
import { cease } from './notice.ts';
import { lineOf, type SessionLine, type SessionView, viewOf } from './view.ts';

/** What the session does while no connection says more. */
export type Waiting =
  /** Idle until `start`. */
  | { readonly at: 'stopped'; readonly why: string }
  /** Idle with the IdleHoldTimer running. */
  | { readonly at: 'held'; readonly until: Millis; readonly why: string }
  /** Idle until the path is there again. */
  | { readonly at: 'severed'; readonly why: string }
  /** Connect (with a dial) or Active. `retryAt` is the ConnectRetryTimer. */
  | { readonly at: 'trying'; readonly dial: ConnectionId | undefined; readonly retryAt: Millis | undefined };

export class Session implements Machine<SessionEvent, SessionAction>, Owner {
  readonly configuration: SessionConfiguration;
  readonly counters: Counters = newCounters();
  /** For people; it changes nothing. */
  watch: Watch | undefined;
  readonly #random: Random;
  readonly #connections = new Map<ConnectionId, Connection>();
  #waiting: Waiting = { at: 'stopped', why: 'not started' };
  #pathUp = true;
  #restarting: boolean;
  #connectRetryCounter = 0;
  readonly #idleHold: IdleHoldTime;
  #lastDial = 0;
  /** What outlived the last session, since when. */
  #retained: { readonly since: Millis; readonly families: Retained } = NOTHING_RETAINED;
  #actions: SessionAction[] = [];

  constructor(configuration: SessionConfiguration, random: Random) {
    this.configuration = configuration;
    this.#random = random;
    this.#restarting = configuration.gracefulRestart?.restarting ?? false;
    this.#idleHold = new IdleHoldTime(configuration.idleHold);
  }

  handle(event: SessionEvent, now: Millis): readonly SessionAction[] {
    this.#actions = [];
    switch (event.type) {
      case 'start':
        this.#start(now);
        break;
      case 'stop':
        this.#stop(event.subcode, event.text, now);
        break;
      case 'connected':
        this.#connected(event, now);
        break;
      case 'received':
        this.#of(event.connection)?.receive(event.octets, now);
        break;
      case 'closed':
        this.#closed(event.connection, event.why, now);
        break;
      case 'drained':
        this.#of(event.connection)?.drained(event.queued, now);
        break;
      case 'transmit':
        this.#transmit(event.octets, now);
        break;
      case 'path':
        this.#path(event.up, event.why, now);
        break;
      case 'fault':
        this.#fault(event.notification, event.why, event.idleMillis, now);
        break;
      case 'tick':
        this.#tick(now);
    }
    return this.#actions;
  }

  deadline(): Deadline | undefined {
    let next: Deadline | undefined;
    for (const connection of this.#connections.values()) next = earliest(next, connection.deadline());
    const waiting = this.#waiting;
    if (waiting.at === 'held') next = earliest(next, { at: waiting.until, why: 'idle hold timer' });
    if (waiting.at === 'trying' && waiting.retryAt !== undefined) {
      next = earliest(next, { at: waiting.retryAt, why: 'connect retry timer' });
    }
    return next;
  }

  get state(): SessionState {
    const phases = [...this.#connections.values()].map((c) => stateOf(c));
    const furthest = STATES.findLast((state) => phases.includes(state));
    if (furthest !== undefined) return furthest;
    if (this.#waiting.at !== 'trying') return 'idle';
    return this.#waiting.dial === undefined ? 'active' : 'connect';
  }

  /** For people: `bgp peers`. */
  view(now: Millis): SessionView {
    return viewOf(
      {
        configuration: this.configuration,
        counters: this.counters,
        state: this.state,
        waiting: this.#waiting,
        connections: [...this.#connections.values()],
        connectRetryCounter: this.#connectRetryCounter,
      },
      now,
    );
  }

  /** For who begins to listen in the middle: every connection, with what came of a message that is not whole yet. */
  lines(): readonly SessionLine[] {
    return [...this.#connections.values()].map(lineOf);
  }

  emit(action: SessionAction): void {
    this.#actions.push(action);
  }

  ownOpen(): OpenMessage {
    return openOf(this.configuration, this.#restarting, this.counters.established > 0);
  }

  /** RFC 4271 §10: 0.75 to 1.0 of it. */
  jitter(millis: Millis): Millis {
    return millis * (0.75 + 0.25 * fraction(this.#random));
  }

  collide(connection: Connection, negotiated: Negotiated, now: Millis): 'proceed' | 'yield' {
    const others = [...this.#connections.values()].filter((c) => c !== connection);
    const established = others.find((c) => c.phase.at === 'established');
    if (established !== undefined) {
      if (connection.direction === 'in' && survives(established.phase)) {
        established.sever('the peer opened a session again', 'lost', now);
      } else {
        this.#loses(connection, 'a session is established', now);
      }
      return 'proceed';
    }
    const preferred = preferredDirection(negotiated, presentedAs(this.configuration));
    const rival = others.find((c) => c.direction !== connection.direction);
    if (rival?.phase.at === 'openConfirm') {
      this.#loses(connection.direction === preferred ? rival : connection, `the one dialled ${preferred} stays`, now);
      return 'proceed';
    }
    const coming = rival?.phase.at === 'openSent' ? rival.direction : this.#dialling() ? 'out' : undefined;
    return coming === preferred && coming !== connection.direction ? 'yield' : 'proceed';
  }

  yieldedEnough(connection: Connection, now: Millis): void {
    this.#cancelDial();
    this.#waiting = { at: 'trying', dial: undefined, retryAt: undefined };
    for (const other of [...this.#connections.values()]) {
      if (other !== connection) this.#loses(other, 'the other one is ahead', now);
    }
  }

  established(connection: Connection, negotiated: Negotiated, now: Millis): void {
    this.counters.established += 1;
    this.#connectRetryCounter = 0;
    this.#restarting = false;
    const { since, families } = this.#retained;
    this.#retained = NOTHING_RETAINED;
    this.#cancelDial();
    this.#waiting = { at: 'trying', dial: undefined, retryAt: undefined };
    for (const other of [...this.#connections.values()]) {
      if (other !== connection) this.#loses(other, 'the other one is established', now);
    }
    this.emit({ do: 'log', event: 'established', why: `with AS ${negotiated.remoteAs}` });
    const { id } = connection;
    this.emit({
      do: 'established',
      connection: id,
      negotiated,
      preserved: preserved(negotiated, families, now - since),
    });
  }

  ended(connection: Connection, last: Phase, end: End, now: Millis): void {
    this.#connections.delete(connection.id);
    if (end.counted) this.#connectRetryCounter += 1;
    let { active } = end;
    if (last.at === 'established') {
      this.#idleHold.settle(now - last.since);
      this.counters.dropped += 1;
      this.counters.droppedAt = now;
      const retain = retained(last.negotiated, end.ending);
      this.#retained = { since: now, families: retain };
      this.emit({ do: 'down', why: end.why, retain });
      active = end.ending === 'lost' && retain.length > 0;
    }
    if (this.#waiting.at === 'trying') this.#resume(active, end, now);
  }

  /** A connection is gone: what is left decides what comes next. */
  #resume(active: boolean, end: End, now: Millis): void {
    if (this.#connections.size > 0) {
      for (const other of [...this.#connections.values()]) other.proceed(now);
      return;
    }
    const waiting = this.#waiting;
    if (waiting.at !== 'trying') return;
    const { automaticStart } = this.configuration;
    if (waiting.dial !== undefined || (active && automaticStart)) {
      // Soon for a peer that comes back, since the tables wait for it.
      const time = end.counted ? this.#idleHold.oscillate() : this.configuration.connectRetryMillis;
      this.#try(waiting.dial, waiting.retryAt ?? now + this.jitter(time));
    } else if (!automaticStart) {
      this.#waiting = { at: 'stopped', why: end.why };
    } else {
      const time = end.counted ? this.#idleHold.oscillate() : this.#idleHold.millis;
      this.#waiting = { at: 'held', until: now + this.jitter(time), why: end.why };
    }
  }

  #start(now: Millis): void {
    const { at } = this.#waiting;
    if (at === 'trying' || at === 'severed') return;
    this.#connectRetryCounter = 0;
    if (this.#pathUp) this.#begin(now);
    else this.#waiting = { at: 'severed', why: 'the path is down' };
  }

  /** To Connect, or to Active where the peer is the one who dials. */
  #begin(now: Millis): void {
    if (this.configuration.passive) this.#waiting = { at: 'trying', dial: undefined, retryAt: undefined };
    else this.#dial(now);
  }

  #dial(now: Millis): void {
    this.#lastDial -= 1;
    this.#try(this.#lastDial, now + this.jitter(this.configuration.connectRetryMillis));
    this.emit({ do: 'dial', connection: this.#lastDial });
  }

  #try(dial: ConnectionId | undefined, retryAt: Millis): void {
    this.#waiting = { at: 'trying', dial, retryAt: this.configuration.passive ? undefined : retryAt };
  }

  #dialling(): boolean {
    return this.#waiting.at === 'trying' && this.#waiting.dial !== undefined;
  }

  #cancelDial(): void {
    if (this.#waiting.at !== 'trying' || this.#waiting.dial === undefined) return;
    this.emit({ do: 'close', connection: this.#waiting.dial, abort: true });
  }

  /** RFC 4486: Administrative Reset begins again, everything else waits for the operator. */
  #stop(subcode: number, text: string | undefined, now: Millis): void {
    const why = text === undefined || text === '' ? 'stopped' : `stopped: ${text}`;
    const { at } = this.#waiting;
    const resets = subcode === CEASE.ADMINISTRATIVE_RESET && at !== 'stopped';
    if (!resets) this.#leave({ at: 'stopped', why });
    else if (at !== 'severed') this.#leave({ at: 'held', until: now + this.jitter(this.#idleHold.millis), why });
    for (const c of [...this.#connections.values()]) c.refuse(cease(subcode, text), why, now);
    this.#connectRetryCounter = 0;
  }

  #connected(event: Extract<SessionEvent, { type: 'connected' }>, now: Millis): void {
    const { connection: id, direction } = event;
    if (this.#connections.has(id)) {
      this.counters.ignored += 1;
      return;
    }
    const waiting = this.#waiting;
    if (direction === 'out') {
      if (waiting.at !== 'trying' || waiting.dial !== id) {
        this.counters.ignored += 1;
        this.emit({ do: 'close', connection: id, abort: true });
        return;
      }
      this.#waiting = { at: 'trying', dial: undefined, retryAt: undefined };
    } else if (waiting.at !== 'trying') {
      return this.#refuseConnection(id, waiting);
    } else {
      this.#makeRoom(now);
      // Losing what was there may have led to Idle; the peer is here.
      const dial = this.#waiting.at === 'trying' ? this.#waiting.dial : undefined;
      this.#waiting = { at: 'trying', dial, retryAt: dial === undefined ? undefined : waiting.retryAt };
    }
    const connection = new Connection(id, direction, { local: event.local, remote: event.remote }, this);
    this.#connections.set(id, connection);
    connection.begin(now);
  }

  /**
   * The peer dialled once more: an older connection of its own that came to nothing is one it has forgotten, and a peer with graceful restart
   * has lost its session (RFC 4724 §4.2, §5). While a session that we dialled is young, this may be the dial that crossed ours,
   * which the peer is about to close: then its OPEN decides.
   */
  #makeRoom(now: Millis): void {
    for (const old of [...this.#connections.values()]) {
      const { phase } = old;
      if (phase.at === 'established') {
        const crossing = old.direction === 'out' && now - phase.since < CROSSING;
        if (survives(phase) && !crossing) old.sever('the peer connected again', 'lost', now);
      } else if (old.direction === 'in') {
        this.#loses(old, 'the peer connected again', now);
      }
    }
  }

  /**
   * Idle refuses connections. Who is not wanted hears it (RFC 4486 §4); who came too early finds no connection and waits in Active
   * until we dial: were it sent to Idle as well, two that have backed off would hardly ever be awake together.
   */
  #refuseConnection(id: ConnectionId, waiting: Exclude<Waiting, { at: 'trying' }>): void {
    this.counters.refused += 1;
    const wanted = waiting.at !== 'stopped';
    if (!wanted) {
      const octets = encodeControlMessage(cease(CEASE.CONNECTION_REJECTED));
      countMessage(this.counters.sent, MESSAGE.NOTIFICATION);
      this.counters.octetsSent += octets.length;
      this.emit({ do: 'send', connection: id, octets });
    }
    this.emit({ do: 'close', connection: id, abort: wanted });
    this.emit({ do: 'log', event: 'connection refused', why: waiting.why, kind: waiting.at });
  }

  #closed(id: ConnectionId, why: string, now: Millis): void {
    const waiting = this.#waiting;
    if (waiting.at === 'trying' && waiting.dial === id) {
      const { automaticStart, connectRetryMillis } = this.configuration;
      const alone = this.#connections.size === 0;
      const retryAt = alone ? now + this.jitter(connectRetryMillis) : undefined;
      this.#waiting = alone && !automaticStart ? { at: 'stopped', why } : { at: 'trying', dial: undefined, retryAt };
      this.emit({ do: 'log', event: 'dial failed', why });
      for (const connection of [...this.#connections.values()]) connection.proceed(now);
    } else this.#of(id)?.fail(why, now);
  }

  #transmit(octets: Uint8Array, now: Millis): void {
    const established = this.#established();
    if (established !== undefined) established.transmit(octets, now);
    else this.emit({ do: 'log', event: 'not sent', why: `${octets.length} octets in ${this.state}` });
  }

  #path(up: boolean, why: string, now: Millis): void {
    const { pathDown } = this.configuration;
    if (!up && pathDown === 'ignore') return;
    this.#pathUp = up;
    if (up) return this.#pathIsUp(now);
    if (this.#waiting.at === 'stopped') return;
    this.#leave({ at: this.configuration.automaticStart ? 'severed' : 'stopped', why });
    for (const c of [...this.#connections.values()]) c.sever(why, pathDown === 'retain' ? 'lost' : 'hard', now);
  }

  #pathIsUp(now: Millis): void {
    const { at } = this.#waiting;
    if (at === 'severed' || at === 'held') return this.#begin(now);
    if (at === 'trying' && this.#connections.size === 0 && !this.configuration.passive) this.#redial(now);
  }

  #fault(owed: NotificationMessage, why: string, idleMillis: number | undefined, now: Millis): void {
    const established = this.#established();
    if (established === undefined) {
      this.counters.ignored += 1;
      return;
    }
    if (idleMillis !== undefined) {
      const ends = this.configuration.automaticStart && Number.isFinite(idleMillis);
      this.#leave(ends ? { at: 'held', until: now + Math.max(0, idleMillis), why } : { at: 'stopped', why });
    }
    established.refuse(owed, why, now);
    if (idleMillis === undefined) return;
    for (const c of [...this.#connections.values()]) c.refuse(cease(CEASE.CONNECTION_REJECTED), why, now);
  }

  #tick(now: Millis): void {
    for (const connection of [...this.#connections.values()]) connection.tick(now);
    const waiting = this.#waiting;
    if (waiting.at === 'held' && waiting.until <= now) this.#begin(now);
    if (waiting.at === 'trying' && waiting.retryAt !== undefined && waiting.retryAt <= now) this.#redial(now);
  }

  /** Event 9. */
  #redial(now: Millis): void {
    this.#cancelDial();
    if (this.#connections.size === 0) this.#dial(now);
    else this.#waiting = { at: 'trying', dial: undefined, retryAt: undefined };
  }

  /** Into Idle, before the connections are told. */
  #leave(to: Waiting): void {
    this.#cancelDial();
    this.#waiting = to;
  }

  #loses(connection: Connection, why: string, now: Millis): void {
    this.counters.collisions += 1;
    connection.refuse(cease(CEASE.COLLISION_RESOLUTION), why, now);
  }

  #established(): Connection | undefined {
    return [...this.#connections.values()].find((c) => c.phase.at === 'established');
  }

  #of(id: ConnectionId): Connection | undefined {
    const connection = this.#connections.get(id);
    if (connection === undefined) this.counters.ignored += 1;
    return connection;
  }
}

const survives = (phase: Phase): boolean => phase.at === 'established' && survivesLoss(phase.negotiated);

function stateOf(connection: Connection): SessionState {
  const { at } = connection.phase;
  if (at === 'closed') return 'idle';
  if (at !== 'delayOpen') return at;
  return connection.direction === 'out' ? 'connect' : 'active';
}

const NOTHING_RETAINED = { since: 0, families: [] } as const;
/** By how far they are. */
const STATES: readonly SessionState[] = ['idle', 'active', 'connect', 'openSent', 'openConfirm', 'established'];
/** Until then a session is young: longer than a SYN that was lost takes to be sent again, twice. */
const CROSSING: Millis = 5_000;
