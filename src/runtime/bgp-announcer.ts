/**
 * A BGP session of the host that only says routes: dials once, sends what it is given as fast as it is taken, ends with a Cease.
 *
 * Routes of the peer are read and dropped. Leaves to others: what is said. Limit: WINDOW octets that the peer has not taken.
 * Invariant: after `ended` is settled there is no connection and no timer.
 */
import type { Negotiated, SessionAction, SessionEvent, SessionState } from '../bgp/contract.ts';
import { CEASE } from '../bgp/message/index.ts';
import type { Clock, StreamTransport } from '../bgp/script/index.ts';
import type { Session } from '../bgp/session/index.ts';
import { WINDOW } from '../bgp/speaker.ts';
import type { Bytes } from '../core/index.ts';
import type { Endpoint } from '../ip/index.ts';
import { BgpStreams, type StreamEvent } from './bgp-streams.ts';

/** The session is over before everything was said. */
export class SessionEnded extends Error {
  override readonly name = 'SessionEnded';
}

export class BgpAnnouncer {
  readonly session: Session;
  /** Why the session is over. */
  readonly ended: Promise<string>;
  readonly #clock: Clock;
  readonly #streams: BgpStreams;
  #negotiated: Negotiated | undefined;
  #connected = false;
  #why: string | undefined;
  #lastWord = '';
  #queued = 0;
  #octets = 0;
  #waiting: (() => void)[] = [];
  #settle: (why: string) => void = () => {};
  #due = Number.POSITIVE_INFINITY;
  #cancel = (): void => {};

  /** Dials at once. */
  constructor(session: Session, to: Endpoint, transport: StreamTransport, clock: Clock) {
    this.session = session;
    this.#clock = clock;
    this.#streams = new BgpStreams(transport, to, (event) => this.#tell(event));
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#handle({ type: 'start' });
  }

  /** Octets of messages given to the transport. */
  get octets(): number {
    return this.#octets;
  }

  /** What the session has settled, as soon as it is Established. */
  async established(): Promise<Negotiated> {
    while (this.#negotiated === undefined) await this.#change();
    return this.#negotiated;
  }

  /** Whole messages; resolves when there is room for more. */
  async send(messages: Bytes): Promise<void> {
    if (this.#why !== undefined) throw new SessionEnded(this.#why);
    this.#queued += messages.length;
    this.#octets += messages.length;
    this.#handle({ type: 'transmit', octets: messages });
    while (this.#queued >= WINDOW) await this.#change();
  }

  /** Everything has left this host. */
  async drained(): Promise<void> {
    while (this.#queued > 0) await this.#change();
  }

  /** Cease with Administrative Shutdown and what is said of it (RFC 9003), after everything that was sent. */
  stop(text: string): void {
    if (this.#why !== undefined) return;
    this.#handle({ type: 'stop', subcode: CEASE.ADMINISTRATIVE_SHUTDOWN, text });
    this.#end(text);
  }

  async #change(): Promise<void> {
    if (this.#why !== undefined) throw new SessionEnded(this.#why);
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#why !== undefined) throw new SessionEnded(this.#why);
  }

  #tell(event: StreamEvent): void {
    if (event.type === 'connected') this.#connected = true;
    if (event.type === 'drained') this.#queued = event.queued;
    this.#handle(event);
    if (event.type === 'closed') this.#end(this.#lastWord === '' ? event.why : this.#lastWord);
    if (event.type === 'drained') this.#wake();
  }

  #handle(event: SessionEvent): void {
    if (this.#why !== undefined) return;
    for (const action of this.session.handle(event, this.#clock.now())) this.#perform(action);
    // A session that waits to dial again is over as well: whoever replays wants to know.
    if (this.#connected && WAITING.includes(this.session.state)) this.#end(this.#lastWord);
    this.#arm();
  }

  #perform(action: SessionAction): void {
    switch (action.do) {
      case 'dial':
      case 'send':
      case 'close':
        return this.#streams.perform(action);
      case 'established':
        this.#negotiated = action.negotiated;
        return this.#wake();
      case 'down':
        return this.#end(this.#lastWord === '' ? action.why : this.#lastWord);
      case 'log':
        if (action.event !== 'established') this.#lastWord = `${action.event}: ${action.why}`;
    }
  }

  #end(why: string): void {
    if (this.#why !== undefined) return;
    this.#why = why;
    this.#cancel();
    this.#settle(why);
    this.#wake();
  }

  #wake(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  #arm(): void {
    const at = this.session.deadline()?.at ?? Number.POSITIVE_INFINITY;
    if (this.#why !== undefined || at >= this.#due) return;
    this.#cancel();
    this.#due = at;
    this.#cancel = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#handle({ type: 'tick' });
    });
  }
}

const WAITING: readonly SessionState[] = ['idle', 'connect', 'active'];
