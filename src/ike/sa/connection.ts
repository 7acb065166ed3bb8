/**
 * A connection as the endpoint lives it: its configuration, its IKE SAs, what went wrong last and when to try again.
 *
 * Leaves to others: the exchanges (`ike-sa.ts` and the tasks). Invariant: an IKE SA is in `sas` of at most one connection.
 */
import { type Deadline, fraction, type Millis, type Random, type Timed } from '../../core/index.ts';
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
  /** Somebody wants it up: `start: boot`, or an operator's `up`. */
  wanted: boolean;
  /** Nothing is begun before; when `wanted`, it is begun then. */
  retryAt: Millis | undefined;
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

  /** The IKE SA to use: the newest that is established. */
  get established(): IkeSa | undefined {
    let best: IkeSa | undefined;
    for (const sa of this.sas) if (sa.phase === 'established' && (best === undefined || sa.id > best.id)) best = sa;
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

  /** An attempt came to nothing. */
  failed(failure: Failure, now: Millis): void {
    this.lastFailure = { failure, at: now };
    const wait = Math.min(RETRY_FIRST * 2 ** this.#failures, RETRY_CAP);
    this.#failures += 1;
    this.retryAt = now + wait * (1 - fraction(this.#retries.random) / 4);
  }

  succeeded(): void {
    this.#failures = 0;
    this.retryAt = undefined;
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
