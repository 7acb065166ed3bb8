/**
 * The IKE message window: message IDs, retransmission with back-off, the cached response.
 *
 * Read first: RFC 7296 §2.1 (retransmission), §2.2 (message IDs), §2.3 (window), §2.4 (giving up).
 * Knows nothing of payloads or keys: tasks decide what to send, and hand over finished octets.
 * Deliberate limits: window size 1 in both directions (§2.3 permits it).
 * Invariants: at most one outstanding request; a retransmission is the identical octets; a repeated request is answered
 * with the identical response; nothing is ever sent on its own for a response.
 */
import { type Bytes, type Deadline, fraction, type Millis, type Random, sameBytes } from '../../core/index.ts';

export interface RetransmitPolicy {
  /** Wait before the first retransmission. */
  readonly firstMillis: Millis;
  readonly factor: number;
  /** Longest wait between two. */
  readonly capMillis: Millis;
  /** Each wait is shortened or lengthened by up to this fraction, so that peers do not march in step. */
  readonly jitter: number;
}

/** With a give-up time of 165 s this sends a dozen retransmissions (§2.4 suggests that many over several minutes). */
export const RETRANSMIT: RetransmitPolicy = { firstMillis: 1000, factor: 1.7, capMillis: 20_000, jitter: 0.1 };

/** §2.2: message IDs are 32 bits and never wrap; an SA this old is rekeyed long before. */
const LAST_MESSAGE_ID = 0xffffffff;

interface Outstanding {
  readonly id: number;
  readonly octets: Bytes;
  readonly giveUpAt: Millis;
  tries: number;
  retryAt: Millis;
}

/** The requests we send. */
export class RequestWindow {
  #next: number;
  #outstanding: Outstanding | undefined;
  readonly #random: Random;
  readonly #policy: RetransmitPolicy;
  /** Retransmissions in the life of the SA, for people. */
  retransmits = 0;

  constructor(random: Random, policy: RetransmitPolicy = RETRANSMIT, first = 0) {
    this.#random = random;
    this.#policy = policy;
    this.#next = first;
  }

  get busy(): boolean {
    return this.#outstanding !== undefined;
  }

  /** The message ID the next request carries. */
  get nextId(): number {
    return this.#next;
  }

  /** True when no further request may be numbered. */
  get exhausted(): boolean {
    return this.#next > LAST_MESSAGE_ID;
  }

  get outstandingId(): number | undefined {
    return this.#outstanding?.id;
  }

  /** `octets` were just sent as the request numbered `nextId`; `giveUpMillis` after now the peer counts as gone. */
  sent(octets: Bytes, now: Millis, giveUpMillis: Millis): void {
    this.#outstanding = {
      id: this.#next,
      octets,
      giveUpAt: now + giveUpMillis,
      tries: 0,
      retryAt: now + this.#wait(0),
    };
    this.#next += 1;
  }

  /** IKE_SA_INIT again with a cookie or another group: a new request under message ID 0 (§2.6, §1.2). */
  restart(): void {
    this.#outstanding = undefined;
    this.#next = 0;
  }

  /** Whether `id` answers the outstanding request; if so the window is free again. */
  answered(id: number): boolean {
    if (this.#outstanding?.id !== id) return false;
    this.#outstanding = undefined;
    return true;
  }

  /** What is due: octets to send again, 'gone' when the peer did not answer in time, undefined when nothing is. */
  due(now: Millis): Bytes | 'gone' | undefined {
    const request = this.#outstanding;
    if (request === undefined || now < request.retryAt) return undefined;
    if (now >= request.giveUpAt) return 'gone';
    request.tries += 1;
    this.retransmits += 1;
    request.retryAt = Math.min(now + this.#wait(request.tries), Math.max(request.giveUpAt, now));
    return request.octets;
  }

  deadline(): Deadline | undefined {
    const request = this.#outstanding;
    if (request === undefined) return undefined;
    const why = request.retryAt >= request.giveUpAt ? 'give up' : `retransmission ${request.tries + 1}`;
    return { at: request.retryAt, why: `${why} of request ${request.id}` };
  }

  #wait(tries: number): Millis {
    const { firstMillis, factor, capMillis, jitter } = this.#policy;
    const wait = Math.min(firstMillis * factor ** tries, capMillis);
    return wait * (1 + jitter * (2 * fraction(this.#random) - 1));
  }
}

export type Incoming =
  | { readonly is: 'new' }
  | { readonly is: 'repeat'; readonly response: Bytes }
  | { readonly is: 'stale' };

/** The requests we answer. */
export class ResponseWindow {
  #expected: number;
  #last: { readonly id: number; readonly response: Bytes; readonly request: Bytes | undefined } | undefined;

  constructor(expected = 0) {
    this.#expected = expected;
  }

  get expectedId(): number {
    return this.#expected;
  }

  /** Where a request stands: to be processed, to be answered again, or outside the window (dropped, §2.3). */
  classify(id: number): Incoming {
    if (id === this.#expected) return { is: 'new' };
    if (this.#last?.id === id) return { is: 'repeat', response: this.#last.response };
    return { is: 'stale' };
  }

  /** The request numbered `expectedId` was answered with `response`. `request` is kept where it cannot be authenticated again. */
  answered(response: Bytes, request?: Bytes): void {
    this.#last = { id: this.#expected, response, request };
    this.#expected += 1;
  }

  /** Whether `octets` are the kept request. */
  repeats(octets: Bytes): Bytes | undefined {
    const last = this.#last;
    return last?.request !== undefined && sameBytes(last.request, octets) ? last.response : undefined;
  }
}
