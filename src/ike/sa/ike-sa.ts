/**
 * One IKE SA: its SPIs, keys, message window, tasks and Child SAs. It seals, opens, numbers and repeats messages;
 * what they mean stands in the tasks (ours) and the responders (the peer's).
 *
 * Read first: RFC 7296 §2.1–2.4, §2.23 (ports and addresses), §3.1 (flags).
 * Invariants: at most one task is active; a closed SA holds no SPI, timer or Child SA; the peer's address is followed only
 * after an authenticated, fresh message.
 */
import { type Bytes, type Deadline, EMPTY, earliest, type Millis } from '../../core/index.ts';
import type { Protection } from '../../crypto/index.ts';
import { type Endpoint, formatEndpoint, sameEndpoint } from '../../ip/index.ts';
import type { Failure, IkeSuite } from '../contract.ts';
import type { HeaderFields } from '../header.ts';
import { EXCHANGE } from '../iana.ts';
import { type IkeKeys, ikeProtections } from '../keys.ts';
import { encodeMessage, type Opened, openMessage, sealMessage } from '../message.ts';
import type { Payload } from '../payload.ts';
import type { Proposal } from '../proposal.ts';
import { type IvSource, ivSource } from '../sk.ts';
import { type Child, dropChild } from './child-sa.ts';
import type { Connection } from './connection.ts';
import type { Environment } from './environment.ts';
import { noAnswer, peerGone } from './failure.ts';
import type { Task } from './task.ts';
import { RequestWindow, ResponseWindow } from './window.ts';

/** `init` and `auth`: half-open. `rekeyed`: another SA took over, this one only answers. `closing`: DELETE was sent or is due. */
export type Phase = 'init' | 'auth' | 'established' | 'rekeyed' | 'closing' | 'closed';

export const ZERO_SPI: Bytes = new Uint8Array(8);

/** RFC 3948 §4: the default interval. */
const NAT_KEEPALIVE: Millis = 20_000;
export interface Role {
  readonly initiator: boolean;
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly successorOf?: IkeSa;
}

export interface Origin {
  readonly begunHere: boolean;
  readonly lowestNonce: Bytes;
  readonly withChild: boolean;
}

export class IkeSa {
  readonly env: Environment;
  readonly id: number;
  /** Whether we are the original initiator of this SA (flag I, §3.1). */
  readonly initiator: boolean;
  readonly spiI: Bytes;
  spiR: Bytes;
  local: Endpoint;
  remote: Endpoint;
  /** Which end NAT stands before; `forced` when we only pretend (§2.23). */
  nat = { local: false, remote: false, forced: false };
  phase: Phase = 'init';
  connection: Connection | undefined;
  /** What was agreed on; `suite` in other words. */
  proposal: Proposal | undefined;
  suite: IkeSuite | undefined;
  keys: IkeKeys | undefined;
  /** What AUTH covers, until it is verified; `request` is the IKE_SA_INIT as last sent (§2.15). */
  initial:
    | { readonly request: Bytes; readonly response: Bytes; readonly nonceI: Bytes; readonly nonceR: Bytes }
    | undefined;
  /** The lower of the two nonces the SA was made with: decides which of two redundant SAs goes (§2.8.1). */
  lowestNonce: Bytes | undefined;
  /** How its IKE_SA_INIT and IKE_AUTH went: the same at both ends, and of all its successors. */
  origin: Origin | undefined;
  readonly requests: RequestWindow;
  readonly responses: ResponseWindow;
  readonly children = new Set<Child>();
  readonly queue: Task[] = [];
  active: Task | undefined;
  /** Set when another IKE SA took this one's place. */
  successor: IkeSa | undefined;
  /** Made by a rekey, not by IKE_SA_INIT. */
  readonly successorOf: IkeSa | undefined;
  /** Where IKE_SA_INIT came from or went to: repeated requests are known by it. */
  readonly initRemote: Endpoint;
  readonly begunAt: Millis;
  establishedAt: Millis | undefined;
  rekeyAt = Number.POSITIVE_INFINITY;
  expireAt = Number.POSITIVE_INFINITY;
  heardAt: Millis;
  #sentAt: Millis;
  #requestedAt: Millis = 0;
  #sender: { readonly protection: Protection; readonly ivs: IvSource } | undefined;
  #receiver: Protection | undefined;

  constructor(env: Environment, role: Role, now: Millis) {
    this.env = env;
    this.id = env.nextIkeId();
    this.initiator = role.initiator;
    this.spiI = role.spiI;
    this.spiR = role.spiR;
    this.local = role.local;
    this.remote = role.remote;
    this.initRemote = role.remote;
    this.successorOf = role.successorOf;
    this.begunAt = now;
    this.heardAt = now;
    this.#sentAt = now;
    this.requests = new RequestWindow(env.random, env.limits.retransmit);
    this.responses = new ResponseWindow();
    env.register(this);
  }

  get localSpi(): Bytes {
    return this.initiator ? this.spiI : this.spiR;
  }

  get remoteSpi(): Bytes {
    return this.initiator ? this.spiR : this.spiI;
  }

  /** For reports: `fabrikam/hq[3]`. */
  get label(): string {
    return `${this.connection?.name ?? formatEndpoint(this.remote)}[${this.id}]`;
  }

  get udpEncapsulation(): boolean {
    return this.nat.local || this.nat.remote || this.nat.forced;
  }

  /** A peer behind NAT is followed, by an end that is not (§2.23). */
  get peerMoves(): boolean {
    return this.nat.remote && !this.nat.local;
  }

  /** How long a request is repeated. An end that owes a DELETE is given as long before we send it ourselves. */
  get giveUpMillis(): Millis {
    const seconds = this.connection?.config.giveUpSeconds;
    return seconds === undefined ? this.env.limits.giveUpMillis : seconds * 1000;
  }

  /** The peer rekeys the SA that this one is to replace, and so do we: which of the two stays is not known yet (§2.8.2). */
  get undecided(): boolean {
    return this.successorOf?.phase === 'established';
  }

  /** Whether such a task runs or waits. */
  pending(test: (task: Task) => boolean): boolean {
    return (this.active !== undefined && test(this.active)) || this.queue.some(test);
  }

  /** From here on messages are protected. */
  protect(suite: IkeSuite, keys: IkeKeys): void {
    this.suite = suite;
    this.keys = keys;
    const { initiator, responder } = ikeProtections(suite, keys);
    const protection = this.initiator ? initiator : responder;
    this.#sender = { protection, ivs: ivSource(protection, this.env.random) };
    this.#receiver = this.initiator ? responder : initiator;
    if (this.env.limits.exportKeys) {
      const { skEi, skEr, skAi, skAr } = keys;
      this.env.emit({ do: 'keys', keys: { spiI: this.spiI, spiR: this.spiR, suite, skEi, skEr, skAi, skAr } });
    }
  }

  established(connection: Connection, now: Millis): void {
    this.phase = 'established';
    this.establishedAt = now;
    this.heardAt = now;
    this.connection = connection;
    connection.sas.add(this);
    const life = connection.config.ikeLifetimeSeconds * 1000;
    this.rekeyAt = now + life * (0.8 + 0.1 * (this.env.random(1)[0]! / 256));
    this.expireAt = now + life;
    this.env.established(this);
  }

  /** Queues a task of ours and runs it as soon as the window is free. */
  enqueue(task: Task, now: Millis, first = false): void {
    if (this.phase === 'closed') return task.abandon(this, now);
    this.env.touch(this);
    if (first) this.queue.unshift(task);
    else this.queue.push(task);
    this.pump(now);
  }

  /** Starts the next task when nothing is outstanding. */
  pump(now: Millis): void {
    while (this.active === undefined && this.phase !== 'closed') {
      const task = this.queue.shift();
      if (task === undefined) return;
      const request = task.request(this, now);
      if (request === undefined) continue;
      this.active = task;
      if (this.requests.exhausted) return this.close(now, 'its message IDs are used up');
      const octets = this.#encode(request.exchange, false, this.requests.nextId, request.payloads);
      this.requests.sent(octets, now, this.giveUpMillis);
      this.#requestedAt = now;
      if (request.exchange === EXCHANGE.IKE_SA_INIT)
        this.initial = { request: octets, response: EMPTY, nonceI: EMPTY, nonceR: EMPTY };
      this.send(octets, now);
    }
  }

  /** An authenticated answer to the outstanding request. */
  answered(messageId: number, payloads: readonly Payload[], now: Millis, octets: Bytes): void {
    const task = this.active;
    if (task === undefined || !this.requests.answered(messageId)) return;
    this.active = undefined;
    task.answer(this, payloads, now, octets);
    this.pump(now);
  }

  /** An authenticated answer that cannot be understood: what the task wanted is given up. */
  giveUp(messageId: number, now: Millis): void {
    const task = this.active;
    if (task === undefined || !this.requests.answered(messageId)) return;
    this.active = undefined;
    task.abandon(this, now);
  }

  /** The octets of the outstanding IKE_SA_INIT are gone with its window; the same task asks again. */
  restart(task: Task, now: Millis): void {
    this.requests.restart();
    this.active = undefined;
    this.enqueue(task, now, true);
  }

  send(octets: Bytes, now: Millis, to?: { local: Endpoint; remote: Endpoint }): void {
    this.#sentAt = now;
    this.env.touch(this);
    this.env.emit({ do: 'send', local: to?.local ?? this.local, remote: to?.remote ?? this.remote, octets });
  }

  /** Answers the request numbered `responses.expectedId`. */
  respond(
    exchange: number,
    payloads: readonly Payload[],
    now: Millis,
    to: { local: Endpoint; remote: Endpoint },
    request?: Bytes,
  ): Bytes {
    const octets = this.#encode(exchange, true, this.responses.expectedId, payloads);
    this.responses.answered(octets, request);
    this.send(octets, now, to);
    return octets;
  }

  /** Verifies and opens a protected message. */
  open(octets: Bytes): Opened {
    if (this.#receiver === undefined) return { is: 'forged', why: 'protected before there are keys' };
    return openMessage(octets, this.#receiver);
  }

  /** An authenticated, fresh message came in: the peer lives, and may have moved (§2.23). */
  heard(local: Endpoint, remote: Endpoint, now: Millis): void {
    this.heardAt = now;
    this.env.touch(this);
    if (sameEndpoint(remote, this.remote) && sameEndpoint(local, this.local)) return;
    // The initiator chooses the ports with its IKE_AUTH.
    const chosen = this.phase === 'auth' && !this.initiator;
    if (chosen || this.peerMoves) this.move(local, remote);
  }

  /** Follows the peer to another endpoint, with all Child SAs. */
  move(local: Endpoint, remote: Endpoint): void {
    if (this.phase === 'established') {
      this.env.report(
        'info',
        this,
        'moved',
        `peer moved from ${formatEndpoint(this.remote)} to ${formatEndpoint(remote)}`,
      );
    }
    this.local = local;
    this.remote = remote;
    for (const child of this.children) {
      this.env.emit({
        do: 'move',
        spiIn: child.sa.spiIn,
        localEndpoint: local,
        remoteEndpoint: remote,
        udpEncapsulation: this.udpEncapsulation,
      });
    }
  }

  /** All children go to the SA that takes this one's place (§2.18), queued tasks with them. The peer may owe the DELETE. */
  handOver(successor: IkeSa, now: Millis): void {
    this.successor = successor;
    for (const child of this.children) successor.children.add(child);
    this.children.clear();
    if (this.phase === 'established') this.phase = 'rekeyed';
    this.rekeyAt = Number.POSITIVE_INFINITY;
    this.expireAt = Math.min(this.expireAt, now + this.giveUpMillis);
    this.env.touch(this);
    this.env.own(successor);
    for (const task of this.queue.splice(0)) if (task.kind !== 'ike-rekey') successor.enqueue(task, now);
  }

  /** The end of this SA, without a word to the peer. */
  close(now: Millis, why: string): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    const { active } = this;
    this.active = undefined;
    this.requests.restart();
    // First what is under way: a rekey that the peer has finished takes children and queue over.
    active?.abandon(this, now);
    for (const task of this.queue.splice(0)) task.abandon(this, now);
    for (const child of [...this.children]) dropChild(this, child, why);
    this.connection?.sas.delete(this);
    this.env.unregister(this, now);
    if (this.establishedAt !== undefined && this.successor === undefined) {
      this.env.report('info', this, 'ike-down', `IKE SA [${this.id}] is down: ${why}`);
    }
  }

  /** Retransmits, keeps NAT mappings open, notices a silent peer. Lifetimes are `housekeeping.ts`. */
  tick(now: Millis): void {
    const due = this.requests.due(now);
    if (due === 'gone') return this.#gone(now);
    if (due !== undefined) {
      this.env.report('debug', this, 'retransmit', `request ${this.requests.outstandingId} again`);
      this.send(due, now);
    }
    if (this.#keepaliveAt() <= now) {
      this.#sentAt = now;
      this.env.emit({ do: 'keepalive', local: this.local, remote: this.remote });
    }
  }

  deadline(): Deadline | undefined {
    const keepalive = this.#keepaliveAt();
    return earliest(
      this.requests.deadline(),
      keepalive === Number.POSITIVE_INFINITY ? undefined : { at: keepalive, why: `NAT keepalive of ${this.label}` },
    );
  }

  #keepaliveAt(): Millis {
    return this.nat.local && this.phase === 'established' ? this.#sentAt + NAT_KEEPALIVE : Number.POSITIVE_INFINITY;
  }

  #gone(now: Millis): void {
    const seconds = (now - this.#requestedAt) / 1000;
    const to = formatEndpoint(this.remote);
    const halfOpen = this.phase === 'init' || this.phase === 'auth';
    const failure: Failure = halfOpen ? noAnswer(to, this.requests.retransmits + 1, seconds) : peerGone(to, seconds);
    const missed = this.phase === 'established' || halfOpen;
    this.close(now, failure.problem);
    if (missed) this.env.fail(this.connection, failure, now);
  }

  #encode(exchange: number, response: boolean, messageId: number, payloads: readonly Payload[]): Bytes {
    const fields: HeaderFields = {
      spiI: this.spiI,
      spiR: this.spiR,
      exchange,
      flags: { initiator: this.initiator, version: false, response },
      messageId,
    };
    const sender = this.#sender;
    // IKE_SA_INIT is the one exchange in the clear, even where the responder has its keys already.
    if (sender === undefined || exchange === EXCHANGE.IKE_SA_INIT) return encodeMessage(fields, payloads);
    return sealMessage(fields, payloads, sender.protection, sender.ivs);
  }
}
