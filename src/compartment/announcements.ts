/**
 * What is to be announced on a segment: each address twice, and not all at once, because the pool has to last for packets, too.
 *
 * Read first: RFC 5227 §2.3 (ANNOUNCE_NUM, ANNOUNCE_INTERVAL), RFC 4861 §7.2.6 (no more than three, a second apart).
 * Limits: AT_ONCE a call; whoever has more to say is due again at once. An address stands here once.
 */
import { type Deadline, type Millis, toHex } from '../core/index.ts';
import { type Address, formatAddress } from '../ip/index.ts';

/** As many as may wait for a neighbour. */
export const AT_ONCE = 64;

export class Announcements {
  readonly #period: Millis;
  readonly #say: (address: Address) => void;
  /** In the order of time. */
  readonly #fresh = new Map<string, Pending>();
  readonly #again = new Map<string, Pending>();

  constructor(period: Millis, say: (address: Address) => void) {
    this.#period = period;
    this.#say = say;
  }

  begin(addresses: readonly Address[], now: Millis): void {
    for (const address of addresses) enqueue(this.#fresh, { address, at: now });
    this.run(now);
  }

  run(now: Millis): void {
    let room = AT_ONCE;
    for (const [key, pending] of this.#fresh) {
      if (room === 0) return;
      room -= 1;
      this.#fresh.delete(key);
      enqueue(this.#again, { address: pending.address, at: now + this.#period });
      this.#say(pending.address);
    }
    for (const [key, pending] of this.#again) {
      if (room === 0 || pending.at > now) return;
      room -= 1;
      this.#again.delete(key);
      this.#say(pending.address);
    }
  }

  deadline(): Deadline | undefined {
    const [next] = this.#fresh.size > 0 ? this.#fresh.values() : this.#again.values();
    return next && { at: next.at, why: `${formatAddress(next.address)} is announced` };
  }
}

interface Pending {
  readonly address: Address;
  readonly at: Millis;
}

/** Behind all others. */
function enqueue(queue: Map<string, Pending>, pending: Pending): void {
  const key = toHex(pending.address);
  queue.delete(key);
  queue.set(key, pending);
}
