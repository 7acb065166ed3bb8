/**
 * One connection: the states of RFC 9293 §3.3.2, what a segment does in each, and its timers.
 *
 * Read first: RFC 9293 §3.3.2, §3.5–3.6, §3.10; RFC 5961 §3–5 (blind attacks); RFC 1122 §4.2.3.6 (keepalive);
 * RFC 1337 (RST in TIME-WAIT); RFC 1191 §6.5 and RFC 5927 (ICMP).
 * Leaves to others: finding it, hop limits and signatures of what comes (`host.ts`), windows and retransmission (`sender.ts`),
 * order (`receiver.ts`). Deliberate limits: no urgent data (it is data, RFC 6093), no timestamps, no selective
 * acknowledgments; a path MTU that was lowered stays so for the life of the connection.
 * Invariant: `closed` is the last action of a connection that was `connected` or dialled, and comes once.
 */
import { type Bytes, type Deadline, EMPTY, earliest, type Millis } from '../../core/index.ts';
import type { Endpoint } from '../address.ts';
import { TCP_FLAG } from '../tcp.ts';
import { Allowance } from './allowance.ts';
import type { ConnectionOptions, State, Surroundings } from './connection-contract.ts';
import type { TcpClosure, TcpConnectionId, TcpOptions } from './contract.ts';
import { Outlet } from './outlet.ts';
import { Patience } from './patience.ts';
import { Receiver } from './receiver.ts';
import type { Segment } from './segment.ts';
import { type Piece, Sender } from './sender.ts';
import { advance, distance, isAfter, isBefore } from './sequence.ts';

export class Connection {
  readonly id: TcpConnectionId;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly passive: boolean;
  readonly options: TcpOptions;
  readonly #around: Surroundings;
  readonly #outlet: Outlet;
  readonly #send: Sender;
  readonly #challenges: Allowance;
  readonly #patience: Patience;
  #receive: Receiver | undefined;
  #state: State;
  /** An acknowledgment is owed at this time. */
  #ackAt: Millis | undefined;
  #unacknowledged = 0;
  #softError: string | undefined;

  constructor(around: Surroundings, { id, local, remote, passive, iss, mtu, options }: ConnectionOptions) {
    this.id = id;
    this.local = local;
    this.remote = remote;
    this.passive = passive;
    this.options = options;
    this.#around = around;
    const { receiveBuffer = around.limits.receiveBuffer, sendBuffer = around.limits.sendBuffer } = options;
    this.#outlet = new Outlet({ local, remote, mtu, receiveBuffer, options, md5: around.md5 });
    this.#patience = new Patience(options);
    this.#challenges = new Allowance(around.limits.challengeAcks, 5000);
    this.#send = new Sender(iss, this.#outlet.segmentSize, sendBuffer);
    this.#state = { at: passive ? 'synReceived' : 'synSent' };
  }

  get state(): State['at'] {
    return this.#state.at;
  }

  get queued(): number {
    return this.#send.queued;
  }

  /** Octets of buffers. */
  get memory(): number {
    return this.#send.memory + (this.#receive?.memory ?? 0);
  }

  /** For the test of RFC 1122 §4.2.2.13: whether a SYN may begin the next connection between the same endpoints. */
  mayFollow({ sequence }: Segment): boolean {
    return this.#state.at === 'timeWait' && this.#receive !== undefined && isAfter(sequence, this.#receive.nxt);
  }

  // What the application asks.

  /** Sends the SYN. */
  open(now: Millis): void {
    this.#transmit(now);
  }

  /** Answers the SYN that made this connection. */
  answer(syn: Segment, now: Millis): void {
    this.#synchronize(syn);
    this.#transmit(now);
  }

  /** Octets accepted. */
  send(octets: Bytes, now: Millis): number {
    const { at } = this.#state;
    if (at !== 'established' && at !== 'closeWait' && at !== 'synSent' && at !== 'synReceived') return 0;
    const accepted = this.#send.queue(octets);
    this.#transmit(now);
    return accepted;
  }

  read(most: number): Bytes {
    const octets = this.#receive?.read(most) ?? EMPTY;
    if (octets.length > 0 && this.#receive?.opens(this.#send.mss) === true) this.#acknowledge();
    return octets;
  }

  /** Nothing more is sent; what comes until the peer closes, too, is still received, or until `deafAt` (RFC 9293 §3.6.1, SHLD-3). */
  close(now: Millis, deafAt = Number.POSITIVE_INFINITY): void {
    this.#patience.closed(now, deafAt);
    switch (this.#state.at) {
      case 'synSent':
        return this.#end('aborted', 'closed before it was connected');
      case 'synReceived':
      case 'established':
        this.#state = { at: 'finWait1' };
        break;
      case 'closeWait':
        this.#state = { at: 'lastAck' };
        break;
      default:
        return;
    }
    this.#send.finish();
    this.#transmit(now);
  }

  /** RFC 9293 §3.10.5. */
  abort(why = 'aborted'): void {
    this.#reset();
    this.#end('aborted', why);
  }

  // What time and the network do.

  tick(now: Millis): void {
    const state = this.#state;
    if (state.at === 'closed') return;
    if ('until' in state && now >= state.until) return this.#outwait(state.at);
    const endsAt = this.#patience.endsAt(this.#send, state.at);
    if (endsAt !== undefined && now >= endsAt) return this.#giveUp('no answer');
    const { retransmitAt, probeAt } = this.#send;
    if (retransmitAt !== undefined && now >= retransmitAt) {
      if (state.at === 'synReceived' && this.passive && this.#send.timeouts >= this.#around.limits.synAckRetries) {
        return this.#giveUp('half open');
      }
      this.#send.timeout();
      this.#transmit(now);
    } else if (probeAt !== undefined && now >= probeAt) {
      this.#emitPiece(this.#send.probe(now));
    }
    if (this.#ackAt !== undefined && now >= this.#ackAt) this.#acknowledge();
    const asksAt = this.#patience.asksAt(this.#send, state.at);
    if (asksAt === undefined || now < asksAt) return;
    // RFC 1122 §4.2.3.6: a segment without text in front of the window, which is answered with an ACK.
    if (this.#patience.ask()) this.#emit(TCP_FLAG.ack, advance(this.#send.nxt, -1));
    else this.#giveUp('no answer to keepalives');
  }

  deadline(): Deadline | undefined {
    const state = this.#state;
    if (state.at === 'closed') return undefined;
    const due = (at: Millis | undefined, what: string): Deadline | undefined =>
      at === undefined ? undefined : { at, why: `TCP ${this.id} ${what}` };
    let first = 'until' in state ? due(state.until, `leaves ${state.at}`) : undefined;
    first = earliest(first, due(this.#send.retransmitAt, 'retransmits'));
    first = earliest(first, due(this.#send.probeAt, 'probes a closed window'));
    first = earliest(first, due(this.#ackAt, 'acknowledges'));
    first = earliest(first, due(this.#patience.endsAt(this.#send, state.at), 'gives up'));
    return earliest(first, due(this.#patience.asksAt(this.#send, state.at), 'asks whether its peer is there'));
  }

  /** RFC 9293 §3.10.7.3 and §3.10.7.4. */
  arrive(segment: Segment, now: Millis): void {
    if (this.#state.at === 'closed') return;
    if (this.#state.at === 'synSent') this.#arriveInSynSent(segment, now);
    else this.#arriveSynchronized(segment, now);
    // `closed` is the last word.
    if (this.state !== 'closed' && this.#send.becameWritable()) this.#around.act({ do: 'writable', id: this.id });
  }

  /** An ICMP "too big" about a segment of ours with this sequence number. False: it means nothing in flight. */
  tooBig(mtu: number, sequence: number, now: Millis): boolean {
    if (!this.#inFlight(sequence)) return false;
    this.#outlet.lower(mtu);
    if (this.#outlet.segmentSize < this.#send.mss) this.#send.shrink(this.#outlet.segmentSize);
    this.#transmit(now);
    return true;
  }

  /** RFC 1122 §4.2.3.9 and RFC 5927 §5: only a connection that is not yet one ends by it. False as for `tooBig`. */
  unreachable(isHard: boolean, why: string, sequence: number): boolean {
    if (!this.#inFlight(sequence)) return false;
    this.#softError = why;
    if (isHard && this.#state.at === 'synSent') this.#end('unreachable', why);
    return true;
  }

  #inFlight(sequence: number): boolean {
    return !isBefore(sequence, this.#send.una) && isBefore(sequence, this.#send.max);
  }

  // Segments.

  #arriveInSynSent(segment: Segment, now: Millis): void {
    const { flags, acknowledgment } = segment;
    const hasAck = (flags & TCP_FLAG.ack) !== 0;
    if (hasAck && (!isAfter(acknowledgment, this.#send.iss) || isAfter(acknowledgment, this.#send.max))) {
      this.#around.counters.unacceptable += 1;
      if ((flags & TCP_FLAG.rst) === 0) this.#emit(TCP_FLAG.rst, acknowledgment);
      return;
    }
    if ((flags & TCP_FLAG.rst) !== 0) {
      if (hasAck) this.#end('refused', 'the peer refused the connection');
      return;
    }
    if ((flags & TCP_FLAG.syn) === 0) return;
    this.#synchronize(segment);
    this.#patience.heard(now);
    if (!hasAck) {
      // Both dial at once: the SYN goes again, as an answer.
      this.#state = { at: 'synReceived' };
      this.#send.nxt = this.#send.iss;
      return this.#transmit(now);
    }
    this.#send.acknowledge(acknowledgment, now);
    this.#establish(segment, segment.window);
    this.#text(segment, now);
    this.#transmitAndAcknowledge(now);
  }

  #arriveSynchronized(segment: Segment, now: Millis): void {
    const receive = this.#receive!;
    const { flags, sequence } = segment;
    if (!receive.accepts(sequence, segment.length)) return this.#unacceptable(segment, now);
    if ((flags & TCP_FLAG.rst) !== 0) return this.#arriveReset(segment, now);
    // RFC 5961 §4.2.
    if ((flags & TCP_FLAG.syn) !== 0) return this.#challenge(now);
    if ((flags & TCP_FLAG.ack) === 0) return;
    if (!this.#heed(segment, now)) return;
    this.#patience.heard(now);
    const isNew = isAfter(advance(sequence, segment.data.length), receive.nxt);
    if (isNew && this.#patience.isDeaf(now)) return this.abort('text came after the close');
    const owed = this.#text(segment, now);
    if (this.#state.at === 'closed') return;
    if (owed) this.#transmitAndAcknowledge(now);
    else this.#transmit(now);
  }

  /** RFC 9293 §3.10.7.4, first step. Segments without text are answered at a bounded rate, lest two hosts answer each other for ever. */
  #unacceptable(segment: Segment, now: Millis): void {
    this.#around.counters.unacceptable += 1;
    if ((segment.flags & TCP_FLAG.rst) !== 0) return;
    const state = this.#state;
    const isRepeated =
      (segment.flags & (TCP_FLAG.syn | TCP_FLAG.ack)) === TCP_FLAG.syn && segment.sequence === this.#receive!.irs;
    if (state.at === 'synReceived' && isRepeated) {
      if (!this.#challenges.take(now)) return;
      return this.#emitPiece({ sequence: this.#send.iss, data: EMPTY, syn: true, fin: false, push: false });
    }
    if (state.at === 'timeWait' && (segment.flags & TCP_FLAG.fin) !== 0) {
      this.#state = { at: 'timeWait', until: now + this.#around.limits.timeWaitMs };
    }
    if (segment.data.length > 0) this.#acknowledge();
    else this.#challenge(now);
  }

  /** RFC 5961 §3.2; RFC 1337 §3 for TIME-WAIT. */
  #arriveReset({ sequence }: Segment, now: Millis): void {
    const { at } = this.#state;
    if (at === 'timeWait') return;
    if (sequence !== this.#receive!.nxt) return this.#challenge(now);
    if (at === 'synReceived') return this.#end('refused', 'the peer refused the connection');
    if (at === 'closing' || at === 'lastAck') return this.#end('finished', 'reset after both sides had closed');
    this.#end('reset', 'the peer reset the connection');
  }

  /** The acknowledgment and the window of a segment; false: it goes no further. RFC 5961 §5.2. */
  #heed(segment: Segment, now: Millis): boolean {
    const send = this.#send;
    const { acknowledgment: ack, sequence } = segment;
    const window = this.#outlet.unscale(segment.window);
    if (!send.synAcknowledged) {
      if (!isAfter(ack, send.iss) || isAfter(ack, send.max)) {
        this.#around.counters.unacceptable += 1;
        this.#emit(TCP_FLAG.rst, ack);
        return false;
      }
      send.acknowledge(ack, now);
      this.#establish(segment, window);
      return true;
    }
    if (isAfter(ack, send.max) || distance(ack, send.una) > send.maxWindow) {
      this.#around.counters.unacceptable += 1;
      this.#challenge(now);
      return false;
    }
    let again: Piece | undefined;
    if (isAfter(ack, send.una)) {
      again = send.acknowledge(ack, now);
      send.update(window, sequence, ack);
    } else if (ack === send.una && !send.update(window, sequence, ack) && segment.length === 0) {
      again = send.duplicate();
    }
    send.heard(now);
    if (again !== undefined) this.#push(again, now);
    this.#afterAcknowledgment(now);
    return this.#state.at !== 'closed';
  }

  #afterAcknowledgment(now: Millis): void {
    if (!this.#send.finAcknowledged) return;
    const { at } = this.#state;
    if (at === 'finWait1') this.#state = { at: 'finWait2', until: now + this.#around.limits.finWaitMs };
    else if (at === 'closing') this.#waitTime(now);
    else if (at === 'lastAck') this.#end('finished', 'both sides closed');
  }

  /** Text and FIN. True: an acknowledgment goes at once. */
  #text(segment: Segment, now: Millis): boolean {
    const receive = this.#receive!;
    const { data, sequence, flags } = segment;
    const fin = (flags & TCP_FLAG.fin) !== 0;
    if (data.length === 0 && !fin) return false;
    const before = receive.length;
    const reception = receive.take((flags & TCP_FLAG.syn) !== 0 ? advance(sequence, 1) : sequence, data, fin);
    if (reception === 'refused') this.#around.counters.piecesRefused += 1;
    if (receive.length > before) this.#around.act({ do: 'received', id: this.id });
    if (receive.finished) {
      this.#peerFinished(now);
      return true;
    }
    // RFC 5681 §4.2: at once for what is out of order or fills a gap, else for every second segment.
    this.#unacknowledged += 1;
    if (reception !== 'delivered' || this.#unacknowledged >= 2) return true;
    this.#ackAt ??= now + this.#around.limits.delayedAckMs;
    return false;
  }

  #peerFinished(now: Millis): void {
    const { at } = this.#state;
    if (at !== 'established' && at !== 'finWait1' && at !== 'finWait2') return;
    this.#around.act({ do: 'ended', id: this.id });
    if (at === 'established') this.#state = { at: 'closeWait' };
    else if (at === 'finWait1') this.#state = { at: 'closing' };
    else this.#waitTime(now);
  }

  #synchronize(syn: Segment): void {
    const { options } = this;
    const { limits } = this.#around;
    this.#receive = new Receiver(syn.sequence, options.receiveBuffer ?? limits.receiveBuffer, limits.pieces);
    this.#outlet.heed(syn);
    if (syn.windowScale !== undefined) this.#receive.scale = this.#outlet.ownScale;
  }

  /** RFC 7323 §2.2: the window of a SYN is never scaled, that of others is. */
  #establish({ sequence, acknowledgment }: Segment, window: number): void {
    this.#send.established();
    this.#send.begin(this.#outlet.segmentSize);
    this.#send.update(window, sequence, acknowledgment, true);
    // Closed in SYN-RECEIVED: the FIN waits for this, and nobody for the news.
    if (this.#state.at === 'finWait1') return;
    this.#state = { at: 'established' };
    const { id, local, remote, passive } = this;
    this.#around.act({ do: 'connected', id, local, remote, passive });
  }

  // Ends.

  #waitTime(now: Millis): void {
    this.#state = { at: 'timeWait', until: now + this.#around.limits.timeWaitMs };
    this.#send.clear();
    this.#ackAt = undefined;
    this.#around.act({ do: 'closed', id: this.id, how: 'finished', why: 'both sides closed' });
  }

  #outwait(at: 'finWait2' | 'timeWait'): void {
    if (at === 'timeWait') this.#state = { at: 'closed' };
    else this.#giveUp('the peer did not close its side');
  }

  #giveUp(why: string): void {
    this.#reset();
    this.#end('timeout', this.#softError === undefined ? why : `${why}; last error: ${this.#softError}`);
  }

  #end(how: TcpClosure, why: string): void {
    const { at } = this.#state;
    this.#state = { at: 'closed' };
    // A half-open one of a listener was never told of, and one in TIME-WAIT was told of before.
    if (at === 'closed' || at === 'timeWait' || (at === 'synReceived' && this.passive)) return;
    this.#around.act({ do: 'closed', id: this.id, how, why });
  }

  /** A RST where the peer may hold a connection (RFC 9293 §3.10.5). */
  #reset(): void {
    const { at } = this.#state;
    if (at === 'synSent' || at === 'timeWait' || at === 'closed') return;
    this.#emit(TCP_FLAG.rst | TCP_FLAG.ack, this.#send.acceptable);
  }

  // Sending.

  #transmit(now: Millis): void {
    for (let piece = this.#send.next(now); piece !== undefined; piece = this.#send.next(now)) this.#push(piece, now);
    this.#send.settle(now);
  }

  #push(piece: Piece, now: Millis): void {
    this.#emitPiece(piece);
    const before = this.#send.retransmissions;
    this.#send.sent(piece, now);
    this.#around.counters.retransmissions += this.#send.retransmissions - before;
  }

  /** An acknowledgment of its own only where nothing else carries it. */
  #transmitAndAcknowledge(now: Millis): void {
    const before = this.#around.counters.segmentsOut;
    this.#transmit(now);
    if (before === this.#around.counters.segmentsOut) this.#acknowledge();
  }

  #emitPiece({ sequence, data, syn, fin, push }: Piece): void {
    const { ack, psh } = TCP_FLAG;
    const ends = (syn ? TCP_FLAG.syn : 0) | (fin ? TCP_FLAG.fin : 0);
    this.#emit((this.#receive === undefined ? 0 : ack) | ends | (push ? psh : 0), sequence, data);
  }

  #acknowledge(): void {
    this.#emit(TCP_FLAG.ack, this.#send.acceptable);
  }

  /** RFC 5961 §7: a bounded number, counted for each connection, so that it tells nothing about others. */
  #challenge(now: Millis): void {
    if (!this.#challenges.take(now)) {
      this.#around.counters.challengeAcksOverRate += 1;
      return;
    }
    this.#around.counters.challengeAcks += 1;
    this.#acknowledge();
  }

  #emit(flags: number, sequence: number, data: Bytes = EMPTY): void {
    const packet = this.#outlet.write(flags, sequence, data, this.#receive);
    if ((flags & TCP_FLAG.ack) !== 0) {
      this.#ackAt = undefined;
      this.#unacknowledged = 0;
    }
    this.#around.counters.segmentsOut += 1;
    this.#around.act({ do: 'emit', packet });
  }
}
