/**
 * Pings under way: what was asked, what answers it, and when nobody will.
 *
 * Read first: RFC 792 (echo), RFC 4443 §4.1–4.2, RFC 1122 §3.2.2.6.
 * Leaves to others: packets and routes (`host.ts`), the choice of identifiers (the caller, who may run several series).
 * Limit: `limit` pings wait at once. Invariant: each accepted ping has exactly one result.
 */
import type { Deadline, Millis } from '../core/index.ts';
import { type Address, sameAddress } from '../ip/index.ts';
import type { PingResult } from './contract.ts';

interface Waiting {
  readonly id: number;
  readonly sequence: number;
  readonly destination: Address;
  readonly sentAt: Millis;
  readonly timeoutAt: Millis;
}

/** What became of a ping, where it was not a reply. */
export interface PingFailure {
  readonly outcome: Exclude<PingResult['outcome'], 'reply'>;
  readonly why: string;
}

export class Pings {
  readonly #waiting = new Map<number, Waiting>();
  readonly #limit: number;
  readonly #report: (result: PingResult) => void;

  constructor(limit: number, report: (result: PingResult) => void) {
    this.#limit = limit;
    this.#report = report;
  }

  /** Enters a ping; words when it cannot be told apart from another or there are too many. */
  begin(id: number, sequence: number, destination: Address, now: Millis, timeoutMs: Millis): string | undefined {
    const key = keyOf(id, sequence);
    if (this.#waiting.has(key)) return `ping ${id}/${sequence} is already under way`;
    if (this.#waiting.size >= this.#limit) return `${this.#limit} pings are already under way`;
    this.#waiting.set(key, { id, sequence, destination, sentAt: now, timeoutAt: now + timeoutMs });
    return undefined;
  }

  /** An echo reply came; false when no ping waits for it. A reply from elsewhere is no reply (RFC 792: the address is the destination's). */
  replied(id: number, sequence: number, from: Address, octets: number, now: Millis): boolean {
    const ping = this.#waiting.get(keyOf(id, sequence));
    if (ping === undefined || !sameAddress(ping.destination, from)) return false;
    this.#end(ping, { from, outcome: 'reply', milliseconds: now - ping.sentAt, octets });
    return true;
  }

  /** Somebody on the way, or this compartment itself where `from` is undefined, says it did not arrive. */
  failed(
    id: number,
    sequence: number,
    destination: Address,
    from: Address | undefined,
    failure: PingFailure,
    now: Millis,
  ): boolean {
    const ping = this.#waiting.get(keyOf(id, sequence));
    if (ping === undefined || !sameAddress(ping.destination, destination)) return false;
    const milliseconds = from === undefined ? null : now - ping.sentAt;
    this.#end(ping, { from: from ?? destination, milliseconds, octets: 0, ...failure });
    return true;
  }

  /** Gives up on what nobody answered. */
  expire(now: Millis): void {
    for (const ping of [...this.#waiting.values()]) {
      if (ping.timeoutAt > now) continue;
      const why = `no answer within ${ping.timeoutAt - ping.sentAt} ms`;
      this.#end(ping, { from: ping.destination, outcome: 'timeout', milliseconds: null, octets: 0, why });
    }
  }

  deadline(): Deadline | undefined {
    let at = Number.POSITIVE_INFINITY;
    for (const ping of this.#waiting.values()) if (ping.timeoutAt < at) at = ping.timeoutAt;
    return at === Number.POSITIVE_INFINITY ? undefined : { at, why: 'a ping gives up' };
  }

  get size(): number {
    return this.#waiting.size;
  }

  #end(ping: Waiting, rest: Omit<PingResult, 'id' | 'sequence' | 'destination'>): void {
    const { id, sequence, destination } = ping;
    this.#waiting.delete(keyOf(id, sequence));
    this.#report({ id, sequence, destination, ...rest });
  }
}

const keyOf = (id: number, sequence: number): number => (id << 16) | sequence;
