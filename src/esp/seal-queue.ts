/**
 * `seal` for bursts: packets get all but their encryption one by one, and that together.
 *
 * Read first: `burst-queue.ts`, `outbound.ts`. Invariant: after `run` the octets are those that `seal` writes.
 */
import type { Millis } from '../core/index.ts';
import { PASS, type Packet } from '../ip/index.ts';
import { BurstQueue, RUN_FIRST } from './burst-queue.ts';
import { prepare, prepareDummy } from './outbound.ts';
import type { OutboundSa } from './sad.ts';

export class SealQueue extends BurstQueue<OutboundSa> {
  /**
   * As `seal`: the verdict, the counters, `sa.tos`, `sa.dontFragment` and the bounds of the packet are final; its octets are not
   * to be sent before `run`. On a DROP code the packet is as before and not in the queue. RUN_FIRST only when `full`.
   */
  add(sa: OutboundSa, packet: Packet, now: Millis, padTo = 0): number {
    if (this.full) return RUN_FIRST;
    const verdict = prepare(sa, packet, now, padTo);
    if (verdict === PASS) this.push(sa, packet, sa.high);
    return verdict;
  }

  /** As `sealDummy`. */
  addDummy(sa: OutboundSa, packet: Packet, length: number, now: Millis): number {
    if (this.full) return RUN_FIRST;
    const verdict = prepareDummy(sa, packet, length, now);
    if (verdict === PASS) this.push(sa, packet, sa.high);
    return verdict;
  }

  /** Encrypts what was added since the last time. */
  run(): void {
    const { burst, count } = this;
    while (this.done < count) {
      const stop = this.stopOf(this.done);
      this.saAt(this.done).protection.sealBurst(burst, this.done, stop);
      this.done = stop;
    }
  }
}
