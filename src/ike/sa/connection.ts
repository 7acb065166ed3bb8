/**
 * A connection as the endpoint lives it: its configuration, its IKE SAs, what went wrong last and when to try again.
 *
 * Leaves to others: the exchanges (`ike-sa.ts` and the tasks). Invariant: an IKE SA is in `sas` of at most one connection.
 */
import { type Deadline, fraction, type Millis, type Random, Secret, type Timed } from '../../core/index.ts';
import { equalSecret } from '../../crypto/index.ts';
import type { Failure, IkeConnection } from '../contract.ts';
import type { IkeSa } from './ike-sa.ts';

/** Waits between attempts: doubled each time, to the cap, shortened by up to a quarter at random. */
const RETRY_FIRST: Millis = 2_000;
const RETRY_CAP: Millis = 120_000;

export interface Retries {
  readonly random: Random;
  retry(connection: Connection, now: Millis): void;
}

export class Connection implements Timed {
  readonly config: IkeConnection;
  readonly sas = new Set<IkeSa>();
  /** To be kept up: `start: boot`, unless an operator took it down. */
  wanted: boolean;
  /** When it is begun again, if `wanted`. */
  retryAt: Millis | undefined;
  /** After a failure packets begin nothing before this time. */
  heldUntil: Millis = Number.NEGATIVE_INFINITY;
  lastFailure: { readonly failure: Failure; readonly at: Millis } | undefined;
  #failures = 0;
  readonly #retries: Retries;

  constructor(config: IkeConnection, retries: Retries) {
    this.config = config;
    this.wanted = config.start === 'boot';
    this.#retries = retries;
  }

  get name(): string {
    return this.config.name;
  }

  /** The IKE SA to use: the newest that is established and sure to stay. */
  get established(): IkeSa | undefined {
    let best: IkeSa | undefined;
    for (const sa of this.sas) {
      if (sa.phase === 'established' && !sa.undecided && (best === undefined || sa.id > best.id)) best = sa;
    }
    return best;
  }

  get connecting(): boolean {
    for (const sa of this.sas) if (sa.phase === 'init' || sa.phase === 'auth') return true;
    return false;
  }

  /** Whether any Child SA is up. */
  get carriesTraffic(): boolean {
    for (const sa of this.sas) if (sa.children.size > 0) return true;
    return false;
  }

  /** Why it cannot come up, if a failure holds it down or the operator does. */
  hold(now: Millis): Failure | undefined {
    if (this.config.start === 'boot' && !this.wanted) return TAKEN_DOWN;
    return now < this.heldUntil ? this.lastFailure?.failure : undefined;
  }

  /** An attempt came to nothing. */
  failed(failure: Failure, now: Millis): void {
    this.lastFailure = { failure, at: now };
    const wait = Math.min(RETRY_FIRST * 2 ** this.#failures, RETRY_CAP);
    this.#failures += 1;
    this.heldUntil = now + wait * (1 - fraction(this.#retries.random) / 4);
    this.retryAt = this.heldUntil;
  }

  succeeded(): void {
    this.#failures = 0;
    this.retryAt = undefined;
    this.heldUntil = Number.NEGATIVE_INFINITY;
  }

  deadline(): Deadline | undefined {
    if (!this.wanted || this.retryAt === undefined) return undefined;
    return { at: this.retryAt, why: `next attempt of ${this.name}` };
  }

  tick(now: Millis): void {
    this.retryAt = undefined;
    if (this.wanted && !this.carriesTraffic) this.#retries.retry(this, now);
  }
}

/** Whether two configurations (or parts of them) say the same. */
export function sameConfig(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Secret || b instanceof Secret) {
    return a instanceof Secret && b instanceof Secret && equalSecret(a.reveal(), b.reveal());
  }
  const names = Object.keys({ ...a, ...b }) as never[];
  return names.every((name) => sameConfig(a[name], b[name]));
}

const TAKEN_DOWN: Failure = {
  code: 'policy',
  problem: 'the connection was taken down by the operator',
  advice: 'bring it up again with `bulkhead connections up`',
  lines: [],
};
