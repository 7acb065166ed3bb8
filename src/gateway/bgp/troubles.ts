/** Why sessions that are not up are not: the last event that says so, and the NOTIFICATION that is the reason, where one is. */
import { CEASE, ERROR, type LastError } from '../../bgp/index.ts';
import type { Millis } from '../../core/index.ts';

export interface Cause {
  readonly by: 'us' | 'peer';
  readonly code: number;
  readonly subcode: number;
}

/** The last ones of a session. */
export interface LastErrors {
  readonly lastSent: LastError | undefined;
  readonly lastReceived: LastError | undefined;
}

export class Troubles {
  readonly #words = new Map<string, string>();
  readonly #causes = new Map<string, Cause>();

  /** `errors`: undefined where the peer is gone. */
  note(peer: string, event: string, why: string, errors: LastErrors | undefined, now: Millis): void {
    if (event === 'established') return this.forget(peer);
    if (!TROUBLES.has(event)) return;
    this.#words.set(peer, `${event}: ${why}`);
    if (event !== 'dial failed' && errors !== undefined) this.#explain(peer, errors, now);
  }

  forget(peer: string): void {
    this.#words.delete(peer);
    this.#causes.delete(peer);
  }

  /** What went wrong last. */
  words(peer: string): string | undefined {
    return this.#words.get(peer);
  }

  /** However often it was dialled in vain since. */
  cause(peer: string): Cause | undefined {
    return this.#causes.get(peer);
  }

  /** A session that went without a word has no cause; where a peer just will not have another one, the reason of before stays. */
  #explain(peer: string, { lastSent, lastReceived }: LastErrors, now: Millis): void {
    const [by, error] = lastSent?.at === now ? (['us', lastSent] as const) : (['peer', lastReceived] as const);
    if (error?.at !== now) this.#causes.delete(peer);
    else if (!this.#causes.has(peer) || !isRejection(error)) this.#causes.set(peer, { by, ...error.meant });
  }
}

const isRejection = ({ meant: { code, subcode } }: LastError): boolean =>
  code === ERROR.CEASE && subcode === CEASE.CONNECTION_REJECTED;

const TROUBLES: ReadonlySet<string> = new Set(['dial failed', 'down', 'notification sent', 'notification received']);
