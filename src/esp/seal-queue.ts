/**
 * `seal` for bursts: packets get all but their encryption one by one, and that together.
 *
 * Read first: `burst-queue.ts`, `outbound.ts`. Invariant: after `run` the octets are those that `seal` writes.
 */
import type { Millis } from '../core/index.ts';
import { ipVersion, PASS, type Packet } from '../ip/index.ts';
import { BurstQueue, RUN_FIRST } from './burst-queue.ts';
import { nextHeaderOf, prepare, prepareDummy, prepareTrain } from './outbound.ts';
import { ESP_HEADER_LENGTH, frameAt, protectedLength } from './packet.ts';
import type { OutboundSa } from './sad.ts';
import { cipherHigh, lowHalf } from './sequence.ts';

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

  /**
   * As `add` for the packets of a train, which the SA `carries` and for which there is `room`. Of `count` IP packets, alike but for their
   * lengths, the first one stands behind room for ESP header and IV at train.start, and each `stride` behind the one in front; they
   * have `payload` octets, the last one has `last`. The train ends where its last ESP packet does; `sa.tos` and `sa.dontFragment` are those of each.
   */
  addTrain(
    sa: OutboundSa,
    train: Packet,
    count: number,
    stride: number,
    payload: number,
    last: number,
    now: Millis,
  ): void {
    const { protection, spi, writeIv, esn } = sa;
    const { buf } = train;
    const before = ESP_HEADER_LENGTH + protection.ivLength;
    const [most, least] = [protectedLength(protection, payload), protectedLength(protection, last)];
    const [octets, length] = [(count - 1) * payload + last, (count - 1) * most + least];
    let at = train.start + before;
    const sequence = prepareTrain(sa, buf, at, count, octets, length, now);
    const nextHeader = nextHeaderOf(ipVersion(buf, at));
    for (let i = 0; i < count; i++, at += stride) {
      const whole = i < count - 1;
      const end = at + (whole ? most : least);
      const high = cipherHigh(esn, sequence + i);
      const low = lowHalf(sequence + i);
      frameAt(buf, at, protection, spi, high, low, nextHeader, whole ? payload : last, end - at, writeIv);
      this.pushPart(sa, train, at - before, end + protection.icvLength, high);
    }
    train.end = at - stride + least + protection.icvLength;
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
