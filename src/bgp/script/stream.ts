/**
 * What carries octets between two speakers, and what tells the time, as a script sees them.
 *
 * `runtime/bgp-transport.ts` has both for TCP and the real clock; `memory.ts` for one process in virtual time.
 */
import type { Bytes, Millis } from '../../core/index.ts';
import type { Endpoint } from '../../ip/index.ts';

/** One connection. Handlers are called in order, and never from within `write` or `close`. */
export interface OctetStream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  write(octets: Bytes): void;
  /** After what was written has left; `abort` at once, with RST. Nothing is handed over afterwards. */
  close(abort: boolean): void;
  /** Where octets go, how the end of the connection is told, and when the other side has taken something: what is still queued. */
  attach(handlers: StreamHandlers): void;
}

export interface StreamHandlers {
  readonly octets: (octets: Bytes) => void;
  readonly closed: (why: string) => void;
  readonly drained?: (queued: number) => void;
}

export interface StreamTransport {
  /** Calls `up` or, when it comes to nothing, `failed`; the function it returns gives up. */
  dial(to: Endpoint, up: (stream: OctetStream) => void, failed: (why: string) => void): () => void;
  /** Takes connections at `at`, and says when and where it does, for port 0 is any; the function it returns takes no more. */
  accept(at: Endpoint, taken: (stream: OctetStream) => void, ready?: (at: Endpoint) => void): () => void;
}

export interface Clock {
  now(): Millis;
  /** Runs `then` once, after `millis`; the function it returns prevents it. */
  after(millis: Millis, then: () => void): () => void;
}
