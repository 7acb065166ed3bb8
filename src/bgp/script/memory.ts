/**
 * A clock that moves when it is told to, and connections within one process whose octets take time on it.
 *
 * Deterministic: what is due at one moment happens in the order in which it was asked for.
 */
import type { Bytes, Millis } from '../../core/index.ts';
import { type Endpoint, formatEndpoint } from '../../ip/index.ts';
import type { Clock, OctetStream, StreamHandlers, StreamTransport } from './stream.ts';

export class VirtualClock implements Clock {
  #now: Millis = 0;
  #order = 0;
  readonly #due = new Map<number, { readonly at: Millis; readonly then: () => void }>();

  now(): Millis {
    return this.#now;
  }

  after(millis: Millis, then: () => void): () => void {
    const order = this.#order++;
    this.#due.set(order, { at: this.#now + millis, then });
    return () => this.#due.delete(order);
  }

  /** Does what is next due, and is then; false: nothing ever is. */
  step(): boolean {
    let first: number | undefined;
    for (const [order, { at }] of this.#due) {
      if (first === undefined || at < this.#due.get(first)!.at) first = order;
    }
    if (first === undefined) return false;
    const { at, then } = this.#due.get(first)!;
    this.#due.delete(first);
    this.#now = Math.max(this.#now, at);
    then();
    return true;
  }

  /** Steps until `work` has come to its end. */
  async drive<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    work.then(mark, mark);
    for (;;) {
      // A continuation of what the last step settled may itself settle more.
      for (let i = 0; i < CONTINUATIONS && !settled; i++) await Promise.resolve();
      if (settled) return work;
      if (!this.step()) throw new Error('waits for what nothing will ever cause');
    }
  }
}

/** Two ends of one connection; octets take `delay` each way. */
export function streamPair(clock: Clock, delay: Millis, a: Endpoint, b: Endpoint): readonly [OctetStream, OctetStream] {
  const one = new MemoryStream(clock, delay, a, b);
  const two = new MemoryStream(clock, delay, b, a);
  one.peer = two;
  two.peer = one;
  return [one, two];
}

/** All who dial and accept on it reach each other; a dial takes twice `delay`. */
export class MemoryTransport implements StreamTransport {
  readonly #clock: Clock;
  readonly #delay: Millis;
  readonly #accepting = new Map<string, (stream: OctetStream) => void>();
  #nextPort = FIRST_PORT;

  constructor(clock: Clock, delay: Millis) {
    this.#clock = clock;
    this.#delay = delay;
  }

  dial(to: Endpoint, up: (stream: OctetStream) => void, failed: (why: string) => void): () => void {
    const local: Endpoint = { address: to.address, port: this.#nextPort++ };
    let givenUp = false;
    this.#clock.after(this.#delay, () => {
      const taken = this.#accepting.get(formatEndpoint(to));
      if (givenUp) return;
      if (taken === undefined) {
        this.#clock.after(this.#delay, () => givenUp || failed('connection refused'));
        return;
      }
      const [ours, theirs] = streamPair(this.#clock, this.#delay, local, to);
      this.#clock.after(this.#delay, () => (givenUp ? ours.close(true) : up(ours)));
      taken(theirs);
    });
    return () => {
      givenUp = true;
    };
  }

  accept(at: Endpoint, taken: (stream: OctetStream) => void, ready?: (at: Endpoint) => void): () => void {
    const key = formatEndpoint(at);
    if (this.#accepting.has(key)) throw new Error(`${key} is in use`);
    this.#accepting.set(key, taken);
    if (ready !== undefined) this.#clock.after(0, () => ready(at));
    return () => this.#accepting.delete(key);
  }
}

class MemoryStream implements OctetStream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  peer: MemoryStream | undefined;
  readonly #clock: Clock;
  readonly #delay: Millis;
  #handlers: StreamHandlers | undefined;
  #closed = false;
  /** What came before anybody was attached. */
  #early: ((handlers: StreamHandlers) => void)[] = [];

  constructor(clock: Clock, delay: Millis, local: Endpoint, remote: Endpoint) {
    this.#clock = clock;
    this.#delay = delay;
    this.local = local;
    this.remote = remote;
  }

  attach(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    const early = this.#early;
    this.#early = [];
    for (const tell of early) tell(handlers);
  }

  write(octets: Bytes): void {
    if (this.#closed || octets.length === 0) return;
    const copy = octets.slice();
    this.#clock.after(this.#delay, () => {
      this.peer!.#tell((handlers) => handlers.octets(copy));
      this.#tell((handlers) => handlers.drained?.(0));
    });
  }

  close(abort: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#clock.after(this.#delay, () => {
      this.peer!.#tell((handlers) => handlers.closed(abort ? 'connection reset' : 'closed by the peer'));
      this.peer!.#closed = true;
    });
  }

  #tell(what: (handlers: StreamHandlers) => void): void {
    if (this.#closed) return;
    if (this.#handlers === undefined) this.#early.push(what);
    else what(this.#handlers);
  }
}

const CONTINUATIONS = 32;
const FIRST_PORT = 49_152;
