/**
 * Who follows what happens to BGP peers, and what they are told: events of sessions, and each message in words.
 *
 * Nothing is kept for those who come later. Limit: LINES a second for each follower; those beyond are counted with the next one it is told.
 * What one follows takes nothing from another, and tells it nothing. Where nobody follows, a message costs one comparison.
 */
import {
  type CodecContext,
  describeMessage,
  messageLength,
  messageName,
  messageType,
  type Watch,
} from '../../bgp/index.ts';
import type { Millis } from '../../core/index.ts';
import type { BgpSaidStatus } from '../status-bgp.ts';

export interface Follower {
  /** Undefined: of all. */
  readonly tenant: string | undefined;
  readonly peer: string | undefined;
  /** Messages too, not only events. */
  readonly messages: boolean;
}

type Said = Omit<BgpSaidStatus, 'missed'>;

export class BgpFollowers {
  readonly #followers = new Map<number, Following>();
  readonly #tell: (query: number, said: BgpSaidStatus) => void;

  constructor(tell: (query: number, said: BgpSaidStatus) => void) {
    this.#tell = tell;
  }

  set(query: number, follower: Follower): void {
    this.#followers.set(query, new Following(follower, (said) => this.#tell(query, said)));
  }

  end(query: number): void {
    this.#followers.delete(query);
  }

  event(tenant: string, peer: string, event: string, why: string, now: Millis): void {
    for (const each of this.#of(tenant, peer, false))
      each.say(now, () => ({ tenant, peer, kind: 'event', what: event, words: why, octets: 0 }));
  }

  messages(tenant: string, peer: string, now: Millis, ...[direction, octets, negotiated]: Parameters<Watch>): void {
    const following = this.#of(tenant, peer, true);
    if (following.length === 0) return;
    const context = (direction === 'in' ? negotiated?.receive : negotiated?.send) ?? BEFORE_OPEN;
    for (let at = 0; at < octets.length; at += messageLength(octets, at)) {
      const message = octets.subarray(at, at + messageLength(octets, at));
      let said: Said | undefined;
      const words = (): Said => {
        said ??= {
          tenant,
          peer,
          kind: direction,
          what: messageName(messageType(message, 0)),
          words: describeMessage(message, context),
          octets: message.length,
        };
        return said;
      };
      for (const each of following) each.say(now, words);
    }
  }

  #of(tenant: string, peer: string, message: boolean): readonly Following[] {
    if (this.#followers.size === 0) return [];
    return [...this.#followers.values()].filter(({ follower }) => follows(follower, tenant, peer, message));
  }
}

/** One of them, with what it may still be told in this second. */
class Following {
  readonly follower: Follower;
  readonly #tell: (said: BgpSaidStatus) => void;
  #second = 0;
  #lines = 0;
  #missed = 0;

  constructor(follower: Follower, tell: (said: BgpSaidStatus) => void) {
    this.follower = follower;
    this.#tell = tell;
  }

  /** Words are made where somebody is told them. */
  say(now: Millis, words: () => Said): void {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) [this.#second, this.#lines] = [second, 0];
    this.#lines += 1;
    if (this.#lines > LINES) {
      this.#missed += 1;
      return;
    }
    this.#tell({ ...words(), missed: this.#missed });
    this.#missed = 0;
  }
}

const follows = (follower: Follower, tenant: string, peer: string, message: boolean): boolean =>
  (follower.tenant ?? tenant) === tenant && (follower.peer ?? peer) === peer && (follower.messages || !message);

const LINES = 200;
const BEFORE_OPEN: CodecContext = { ebgp: false, fourOctetAs: true, maximumLength: 4096, addPath: [], families: [] };
