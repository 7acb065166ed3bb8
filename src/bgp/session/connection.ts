/**
 * One transport connection to the peer, from TCP being up to its end: its OPEN, its timers, its octets.
 *
 * Read first: RFC 4271 §6, §8.2.2 from OpenSent on; RFC 6608; RFC 9687. The RFC's events here: 10 HoldTimer_Expires, 11
 * KeepaliveTimer_Expires, 12 DelayOpenTimer_Expires, 18 TcpConnectionFails (`fail`), 19 and 20 BGPOpen (with DelayOpenTimer running),
 * 21 BGPHeaderErr, 22 BGPOpenMsgErr, 23 OpenCollisionDump (`refuse`, from the session), 24 NotifMsgVerErr, 25 NotifMsg, 26 KeepAliveMsg,
 * 27 UpdateMsg; 28 UpdateMsgErr comes from the tables, as `refuse`.
 * Which of two connections stays, dialling, and Idle belong to `session.ts`.
 * Limits: one incomplete message is kept (`Framer`). What the transport still queues is counted, never kept.
 * Invariant: after its end a connection neither emits nor wants to be woken.
 */
import { type Bytes, type Deadline, earliest, invariant, type Millis } from '../../core/index.ts';
import type { ConnectionId, Negotiated, SessionAction } from '../contract.ts';
import {
  CEASE,
  type ControlMessage,
  decodeControlMessage,
  ERROR,
  encodeControlMessage,
  Framer,
  FSM_ERROR,
  fitNotification,
  HEADER_LENGTH,
  KEEPALIVE,
  MAXIMUM_LENGTH,
  MESSAGE,
  messageLength,
  messageName,
  messageType,
  type NotificationMessage,
  notification,
  OPEN_ERROR,
  type OpenMessage,
} from '../message/index.ts';
import { presentedAs, type SessionConfiguration } from './configuration.ts';
import { type Counters, countMessage, errorOf } from './counters.ts';
import { type Ending, hasNotificationFlags } from './graceful.ts';
import { asOf, checkOpen, type Ends, negotiate } from './negotiate.ts';
import { hardened, isHardReset, unexpected, wordsOf } from './notice.ts';

/** How far a connection is. OpenConfirm and Established have what was negotiated; timers that do not run are undefined. */
export type Phase =
  /** Connect or Active with the DelayOpenTimer running. */
  | { readonly at: 'delayOpen'; readonly openAt: Millis }
  | { readonly at: 'openSent'; readonly local: OpenMessage; holdAt: Millis }
  | (Running & { readonly at: 'openConfirm'; yielding: Yielding | undefined })
  | (Running & { readonly at: 'established'; readonly since: Millis })
  | { readonly at: 'closed' };

interface Running {
  readonly negotiated: Negotiated;
  holdAt: Millis | undefined;
  keepaliveAt: Millis | undefined;
}

/** Our KEEPALIVE is held back for a connection that §6.8 prefers; `ready`: the peer's is here. */
interface Yielding {
  readonly until: Millis;
  ready: boolean;
}

/** How a connection came to its end, and what RFC 4271 §8.2.2 makes of it. */
export interface End {
  readonly why: string;
  readonly ending: Ending;
  /** Goes to Active with the ConnectRetryTimer running, not to Idle. */
  readonly active: boolean;
  /** Increments ConnectRetryCounter, and damps. */
  readonly counted: boolean;
}

/** Messages as they pass: received ones one by one, sent ones one after another. Only valid during the call. */
export type Watch = (direction: 'in' | 'out', octets: Bytes, negotiated: Negotiated | undefined) => void;

export interface Owner {
  readonly configuration: SessionConfiguration;
  readonly watch: Watch | undefined;
  readonly counters: Counters;
  emit(action: SessionAction): void;
  ownOpen(): OpenMessage;
  /** RFC 4271 §6.8 for a valid OPEN on `connection`, which may be closed by it. */
  collide(connection: Connection, negotiated: Negotiated, now: Millis): 'proceed' | 'yield';
  /** Nothing came of the connection for which `connection` waited: that one is given up. */
  yieldedEnough(connection: Connection, now: Millis): void;
  established(connection: Connection, negotiated: Negotiated, now: Millis): void;
  ended(connection: Connection, last: Phase, end: End, now: Millis): void;
  /** RFC 4271 §10. */
  jitter(millis: Millis): Millis;
}

export class Connection {
  readonly id: ConnectionId;
  readonly direction: 'out' | 'in';
  readonly ends: Ends;
  readonly #owner: Owner;
  readonly #framer = new Framer();
  #phase: Phase = { at: 'closed' };
  #sendHoldAt: Millis | undefined;
  #queued = 0;
  /** KeepaliveTime as it was jittered for the last KEEPALIVE; 0: none are sent. */
  #keepaliveMillis: Millis = 0;
  /** The hold timer was found expired late and given once more. */
  #graced = false;

  constructor(id: ConnectionId, direction: 'out' | 'in', ends: Ends, owner: Owner) {
    this.id = id;
    this.direction = direction;
    this.ends = ends;
    this.#owner = owner;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get queued(): number {
    return this.#queued;
  }

  /** What came of a message that is not whole yet. */
  get begun(): Bytes {
    return this.#framer.begun;
  }

  /** Events 16, 17. */
  begin(now: Millis): void {
    const delay = this.#owner.configuration.delayOpenMillis ?? 0;
    if (delay > 0) this.#phase = { at: 'delayOpen', openAt: now + delay };
    else this.#sendOpen(now);
  }

  receive(octets: Bytes, now: Millis): void {
    this.#owner.counters.octetsReceived += octets.length;
    this.#framer.push(octets);
    for (;;) {
      if (this.#phase.at === 'closed') return;
      const frame = this.#framer.next();
      if (frame === undefined) break;
      if (!frame.ok) return this.refuse(frame.refusal.notification, frame.refusal.why, now);
      // What straddled two pieces lies in the framer's memory, which the next message overwrites.
      const stays = frame.octets.buffer === octets.buffer;
      this.#receiveMessage(frame.type, stays ? frame.octets : frame.octets.slice(), now);
    }
    this.#keepAlive(now);
  }

  /** Event 18. */
  fail(why: string, now: Millis): void {
    const { at } = this.#phase;
    const active = at === 'openSent' || (at === 'delayOpen' && this.direction === 'out');
    this.#end({ why, ending: 'lost', active, counted: !active }, now);
  }

  /** Tells the peer and closes. */
  refuse(owed: NotificationMessage, why: string, now: Millis): void {
    const phase = this.#phase;
    if (phase.at === 'closed') return;
    const graceful = phase.at === 'established' && hasNotificationFlags(phase.negotiated);
    const message = fitNotification(
      graceful ? hardened(owed) : owed,
      this.#negotiated?.send.maximumLength ?? MAXIMUM_LENGTH,
    );
    if (phase.at !== 'delayOpen' || this.#owner.configuration.notifyWithoutOpen) {
      this.#send(message, now);
      this.#owner.counters.lastSent = errorOf(message, now);
      this.#sayNotification('sent', `${message.code}.${message.subcode}`, `${wordsOf(message)}: ${why}`);
    }
    this.#owner.emit({ do: 'close', connection: this.id, abort: false });
    this.#end({ why, ending: isHardReset(message) ? 'hard' : 'notified', active: false, counted: true }, now);
  }

  /** Closes without a word: the other end is not there any more. */
  sever(why: string, ending: Ending, now: Millis): void {
    if (this.#phase.at === 'closed') return;
    this.#owner.emit({ do: 'close', connection: this.id, abort: true });
    this.#end({ why, ending, active: false, counted: true }, now);
  }

  /** Ends waiting for the connection that §6.8 would have preferred. */
  proceed(now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== 'openConfirm' || phase.yielding === undefined) return;
    const { ready } = phase.yielding;
    phase.yielding = undefined;
    this.#sendKeepalive(now);
    if (ready) this.#establish(now);
  }

  /** Whole messages of the tables; only in Established. */
  transmit(octets: Bytes, now: Millis): void {
    for (let o = 0; o < octets.length; o += messageLength(octets, o)) {
      const whole = octets.length - o >= HEADER_LENGTH && messageLength(octets, o) >= HEADER_LENGTH;
      invariant(whole && o + messageLength(octets, o) <= octets.length, 'tables send whole messages');
      countMessage(this.#owner.counters.sent, messageType(octets, o));
    }
    this.#give(octets, now);
    this.#restartKeepalive(now);
  }

  drained(queued: number, now: Millis): void {
    this.#queued = queued;
    this.#sendHoldAt = queued === 0 ? undefined : this.#sendHoldEnd(now);
  }

  tick(now: Millis): void {
    const phase = this.#phase;
    if (due(this.#sendHoldAt, now)) return this.#sendHoldExpired(now);
    if (phase.at === 'closed') return;
    if (phase.at === 'delayOpen') {
      if (due(phase.openAt, now)) this.#sendOpen(now);
      return;
    }
    if (due(phase.holdAt, now) && !this.#holdAgain(phase, now)) {
      return this.refuse(notification(ERROR.HOLD_TIMER, 0), 'hold timer expired', now);
    }
    if (phase.at === 'openConfirm' && due(phase.yielding?.until, now)) {
      this.proceed(now);
      this.#owner.yieldedEnough(this, now);
    }
    this.#keepAlive(now);
  }

  deadline(): Deadline | undefined {
    const phase = this.#phase;
    if (phase.at === 'closed') return undefined;
    const sendHold = at(this.#sendHoldAt, 'send hold timer');
    if (phase.at === 'delayOpen') return earliest(at(phase.openAt, 'OPEN, which was delayed'), sendHold);
    let next = earliest(at(phase.holdAt, 'hold timer'), sendHold);
    if (phase.at === 'openSent') return next;
    next = earliest(next, at(phase.keepaliveAt, 'KEEPALIVE'));
    return phase.at === 'established' ? next : earliest(next, at(phase.yielding?.until, 'collision'));
  }

  #receiveMessage(type: number, octets: Bytes, now: Millis): void {
    countMessage(this.#owner.counters.received, type);
    this.#owner.watch?.('in', octets, this.#negotiated);
    this.#graced = false;
    if (type === MESSAGE.NOTIFICATION) return this.#receiveNotification(octets, now);
    switch (this.#phase.at) {
      case 'delayOpen':
        if (type !== MESSAGE.OPEN) return this.#unexpected(FSM_ERROR.UNSPECIFIED, type, now);
        this.#sendOpen(now);
        return this.#receiveOpen(octets, now);
      case 'openSent':
        if (type !== MESSAGE.OPEN) return this.#unexpected(FSM_ERROR.OPEN_SENT, type, now);
        return this.#receiveOpen(octets, now);
      case 'openConfirm':
        if (type !== MESSAGE.KEEPALIVE) return this.#unexpected(FSM_ERROR.OPEN_CONFIRM, type, now);
        return this.#receiveFirstKeepalive(now);
      case 'established':
        return this.#receiveInEstablished(type, octets, now);
      case 'closed':
    }
  }

  /** Events 19 to 22. */
  #receiveOpen(octets: Bytes, now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== 'openSent') return;
    const message = decodeControlMessage(octets);
    if (!message.ok) return this.refuse(message.refusal.notification, message.refusal.why, now);
    invariant(message.value.kind === 'open', 'its type was looked at');
    const remote = message.value;
    const { configuration } = this.#owner;
    const wrong = checkOpen(configuration, remote);
    if (wrong !== undefined) return this.refuse(wrong.notification, wrong.why, now);
    const ebgp = asOf(remote) !== presentedAs(configuration);
    const negotiated = negotiate(phase.local, remote, ebgp, this.ends);
    const verdict = this.#owner.collide(this, negotiated, now);
    if (this.#phase.at === 'closed') return;
    const yielding = verdict === 'yield' ? { until: now + COLLISION_WAIT, ready: false } : undefined;
    const holdAt = negotiated.holdSeconds === 0 ? undefined : now + negotiated.holdSeconds * 1000;
    this.#framer.maximumLength = negotiated.receive.maximumLength;
    this.#phase = { at: 'openConfirm', negotiated, holdAt, keepaliveAt: undefined, yielding };
    if (yielding === undefined) this.#sendKeepalive(now);
  }

  #receiveFirstKeepalive(now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== 'openConfirm') return;
    restartHold(phase, now);
    if (phase.yielding !== undefined) phase.yielding.ready = true;
    else this.#establish(now);
  }

  #establish(now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== 'openConfirm') return;
    const { negotiated, holdAt, keepaliveAt } = phase;
    this.#phase = { at: 'established', negotiated, holdAt, keepaliveAt, since: now };
    this.#owner.established(this, negotiated, now);
  }

  #receiveInEstablished(type: number, octets: Bytes, now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== 'established') return;
    restartHold(phase, now);
    if (type === MESSAGE.UPDATE) this.#owner.emit({ do: 'update', octets });
    else if (type === MESSAGE.ROUTE_REFRESH) this.#receiveRefresh(phase.negotiated, octets, now);
    else if (type !== MESSAGE.KEEPALIVE) this.#unexpected(FSM_ERROR.ESTABLISHED, type, now);
  }

  /** RFC 2918 §4, RFC 7313 §4, §5. */
  #receiveRefresh(n: Negotiated, octets: Bytes, now: Millis): void {
    const message = decodeControlMessage(octets);
    if (!message.ok) {
      const { notification: owed, why } = message.refusal;
      if (owed.code !== ERROR.REFRESH || n.enhancedRouteRefresh) return this.refuse(owed, why, now);
    } else if (message.value.kind === 'routeRefresh' && n.routeRefresh) {
      const { family, subtype: said } = message.value;
      // RFC 2918 §3: without RFC 7313 the field is reserved.
      const subtype = n.enhancedRouteRefresh ? said : 0;
      if (n.families.includes(family) && subtype <= 2) return this.#owner.emit({ do: 'refresh', family, subtype });
    }
    this.#owner.counters.ignored += 1;
  }

  /** Events 24, 25. What is wrong with a NOTIFICATION is told to the operator alone (RFC 4271 §6.4). */
  #receiveNotification(octets: Bytes, now: Millis): void {
    const message = decodeControlMessage(octets);
    if (!message.ok || message.value.kind !== 'notification') return this.sever('unreadable NOTIFICATION', 'hard', now);
    const received = message.value;
    const why = wordsOf(received);
    this.#owner.counters.lastReceived = errorOf(received, now);
    this.#sayNotification('received', `${Math.min(received.code, ERROR.SEND_HOLD_TIMER + 1)}`, why);
    this.#owner.emit({ do: 'close', connection: this.id, abort: false });
    const version = received.code === ERROR.OPEN && received.subcode === OPEN_ERROR.UNSUPPORTED_VERSION;
    // Who refuses connections for the time being is as one who cannot be reached: the answer is to listen.
    const early = this.#phase.at === 'openSent' || this.#phase.at === 'delayOpen';
    const active = early && received.code === ERROR.CEASE && received.subcode === CEASE.CONNECTION_REJECTED;
    const counted = !active && (!version || this.#phase.at === 'established');
    this.#end({ why, ending: isHardReset(received) ? 'hard' : 'notified', active, counted }, now);
  }

  /** That a session ends is said each time; of connections that are none yet a peer may open any number. */
  #sayNotification(way: 'sent' | 'received', kind: string, why: string): void {
    const often = this.#phase.at === 'established' ? {} : { kind };
    this.#owner.emit({ do: 'log', event: `notification ${way}`, why, ...often });
  }

  #unexpected(subcode: number, type: number, now: Millis): void {
    this.refuse(unexpected(subcode, type), `${messageName(type)} in ${this.#phase.at}`, now);
  }

  #sendOpen(now: Millis): void {
    const local = this.#owner.ownOpen();
    this.#phase = { at: 'openSent', local, holdAt: now + OPEN_HOLD };
    this.#send(local, now);
  }

  #sendKeepalive(now: Millis): void {
    this.#send(KEEPALIVE, now);
    const seconds = this.#negotiated?.keepaliveSeconds ?? 0;
    // RFC 4271 §4.4: jitter never makes it more than one a second.
    this.#keepaliveMillis = seconds === 0 ? 0 : Math.max(1000, this.#owner.jitter(seconds * 1000));
    this.#restartKeepalive(now);
  }

  #keepAlive(now: Millis): void {
    const phase = this.#phase;
    const runs = phase.at === 'openConfirm' || phase.at === 'established';
    if (runs && due(phase.keepaliveAt, now)) this.#sendKeepalive(now);
  }

  #restartKeepalive(now: Millis): void {
    const phase = this.#phase;
    if (phase.at !== 'openConfirm' && phase.at !== 'established') return;
    phase.keepaliveAt = this.#keepaliveMillis === 0 ? undefined : now + this.#keepaliveMillis;
  }

  #send(message: ControlMessage, now: Millis): void {
    const octets = encodeControlMessage(message);
    countMessage(this.#owner.counters.sent, messageType(octets, 0));
    this.#give(octets, now);
  }

  #give(octets: Bytes, now: Millis): void {
    this.#owner.counters.octetsSent += octets.length;
    this.#queued += octets.length;
    this.#sendHoldAt ??= this.#sendHoldEnd(now);
    this.#owner.watch?.('out', octets, this.#negotiated);
    this.#owner.emit({ do: 'send', connection: this.id, octets });
  }

  get #negotiated(): Negotiated | undefined {
    return 'negotiated' in this.#phase ? this.#phase.negotiated : undefined;
  }

  /** RFC 9687 §4; its default is the larger of 8 minutes and twice the Hold Time. */
  #sendHoldEnd(now: Millis): Millis | undefined {
    const phase = this.#phase;
    const hold = phase.at === 'established' || phase.at === 'openConfirm' ? phase.negotiated.holdSeconds * 1000 : 0;
    const time = this.#owner.configuration.sendHoldMillis ?? Math.max(SEND_HOLD, 2 * hold);
    return time === 0 ? undefined : now + time;
  }

  /** The peer takes nothing: a NOTIFICATION would wait behind what it does not take. */
  #sendHoldExpired(now: Millis): void {
    this.#owner.emit({ do: 'log', event: 'send hold timer', why: `${this.#queued} octets were not taken` });
    this.sever('send hold timer expired', 'notified', now);
  }

  /** Found late, as after a stall of this process: what the peer sent meanwhile may still be with the transport. Once, and short. */
  #holdAgain(phase: { holdAt: Millis | undefined }, now: Millis): boolean {
    if (this.#graced || now - phase.holdAt! < LATE) return false;
    this.#graced = true;
    phase.holdAt = now + HOLD_GRACE;
    return true;
  }

  #end(end: End, now: Millis): void {
    const last = this.#phase;
    if (last.at === 'closed') return;
    this.#phase = { at: 'closed' };
    this.#sendHoldAt = undefined;
    this.#owner.ended(this, last, end, now);
  }
}

function restartHold(phase: Running, now: Millis): void {
  if (phase.negotiated.holdSeconds !== 0) phase.holdAt = now + phase.negotiated.holdSeconds * 1000;
}

const due = (timer: Millis | undefined, now: Millis): boolean => timer !== undefined && timer <= now;

const at = (timer: Millis | undefined, why: string): Deadline | undefined =>
  timer === undefined ? undefined : { at: timer, why };

/** RFC 4271 §8.2.2: "a HoldTimer value of 4 minutes is suggested". */
const OPEN_HOLD: Millis = 240_000;
/** RFC 9687 §4. */
const SEND_HOLD: Millis = 480_000;
/** How long a connection waits for the OPEN of the one that §6.8 prefers: two round trips of what is far away. */
const COLLISION_WAIT: Millis = 3_000;
const LATE: Millis = 500;
const HOLD_GRACE: Millis = 1_000;
