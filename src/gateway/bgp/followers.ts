/**
 * Who follows what happens to BGP peers, and what they are told: events of sessions, and each message in words.
 *
 * Nothing is kept for those who come later. Limit: LINES a second for all followers; those beyond are counted with the next one. Where nobody
 * follows, a message costs one comparison.
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

export class BgpFollowers {
  readonly #followers = new Map<number, Follower>();
  readonly #tell: (said: BgpSaidStatus) => void;
  #second = 0;
  #lines = 0;
  #missed = 0;

  constructor(tell: (said: BgpSaidStatus) => void) {
    this.#tell = tell;
  }

  set(query: number, follower: Follower): void {
    this.#followers.set(query, follower);
  }

  end(query: number): void {
    this.#followers.delete(query);
  }

  event(tenant: string, peer: string, event: string, why: string, now: Millis): void {
    if (this.#followers.size === 0 || !this.#wants(tenant, peer, false)) return;
    this.#say({ tenant, peer, kind: 'event', what: event, words: why, octets: 0 }, now);
  }

  messages(tenant: string, peer: string, now: Millis, ...[direction, octets, negotiated]: Parameters<Watch>): void {
    if (this.#followers.size === 0 || !this.#wants(tenant, peer, true)) return;
    const context = (direction === 'in' ? negotiated?.receive : negotiated?.send) ?? BEFORE_OPEN;
    for (let at = 0; at < octets.length; at += messageLength(octets, at)) {
      if (!this.#mayTell(now)) continue;
      const message = octets.subarray(at, at + messageLength(octets, at));
      const what = messageName(messageType(message, 0));
      const words = describeMessage(message, context);
      this.#give({ tenant, peer, kind: direction, what, words, octets: message.length });
    }
  }

  #say(said: Omit<BgpSaidStatus, 'missed'>, now: Millis): void {
    if (this.#mayTell(now)) this.#give(said);
  }

  #give(said: Omit<BgpSaidStatus, 'missed'>): void {
    this.#tell({ ...said, missed: this.#missed });
    this.#missed = 0;
  }

  #mayTell(now: Millis): boolean {
    const second = Math.floor(now / 1000);
    if (second !== this.#second) [this.#second, this.#lines] = [second, 0];
    this.#lines += 1;
    if (this.#lines <= LINES) return true;
    this.#missed += 1;
    return false;
  }

  #wants(tenant: string, peer: string, message: boolean): boolean {
    for (const follower of this.#followers.values()) if (follows(follower, tenant, peer, message)) return true;
    return false;
  }
}

export const follows = (follower: Follower, tenant: string, peer: string, message: boolean): boolean =>
  (follower.tenant ?? tenant) === tenant && (follower.peer ?? peer) === peer && (follower.messages || !message);

const LINES = 200;
const BEFORE_OPEN: CodecContext = { ebgp: false, fourOctetAs: true, maximumLength: 4096, addPath: [], families: [] };
