/**
 * How long a speaker that has restarted waits with its choice of routes.
 *
 * Read first: RFC 4724 §4.1. A family waits for the End-of-RIB of every peer that is wanted, has graceful restart and has not restarted
 * itself, and no longer than the Selection_Deferral_Timer. A peer that is not there yet is waited for: what its OPEN will say is not known. One
 * that has said End-of-RIB is not waited for again, whatever becomes of its session.
 * Invariant: a family whose routes are chosen does not wait again.
 */
import type { Millis } from '../core/index.ts';
import type { Negotiated } from './contract.ts';
import type { Family } from './message/index.ts';
import { type PeerSettings, restartFamilies } from './peer-settings.ts';
import { capability, type Session } from './session/index.ts';

interface Awaited {
  readonly settings: PeerSettings;
  readonly session: Session;
}

export class SelectionDeferral {
  /** The end of the Selection_Deferral_Timer. */
  readonly until: Millis;
  readonly #families: Set<Family>;
  /** By peer: families of which it has nothing to say any more. */
  readonly #heard = new Map<string, Set<Family>>();

  constructor(families: readonly Family[], until: Millis) {
    this.#families = new Set(families);
    this.until = until;
  }

  get isOver(): boolean {
    return this.#families.size === 0;
  }

  established(peer: string, negotiated: Negotiated): void {
    const hasRestarted = capability(negotiated.remote, 'gracefulRestart')?.restarting === true;
    const awaited = hasRestarted ? [] : restartFamilies(negotiated);
    for (const family of this.#families) if (!awaited.includes(family)) this.heard(peer, family);
  }

  /** End-of-RIB, or as good as that. */
  heard(peer: string, family: Family): void {
    this.#heard.set(peer, (this.#heard.get(peer) ?? new Set()).add(family));
  }

  /** Families that have waited enough, each once, and why that is so. */
  ended(peers: readonly Awaited[], now: Millis): readonly { readonly family: Family; readonly why: string }[] {
    const isLate = now >= this.until;
    const ended = [...this.#families].filter(
      (family) => isLate || !peers.some((each) => this.#awaits(each, family, now)),
    );
    for (const family of ended) this.#families.delete(family);
    const why = isLate ? 'the Selection_Deferral_Timer has ended' : 'no peer has still to say End-of-RIB';
    return ended.map((family) => ({ family, why }));
  }

  #awaits({ settings: { name, session: settled }, session }: Awaited, family: Family, now: Millis): boolean {
    if (settled.gracefulRestart === undefined || !settled.families.includes(family)) return false;
    return this.#heard.get(name)?.has(family) !== true && !session.view(now).stopped;
  }
}
