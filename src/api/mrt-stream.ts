/**
 * MRT records on their way to whoever wants them: whole records, many in an item, so that neither a large table nor a burst of messages is
 * one long answer. `base64` because an item is a line of JSON.
 *
 * Limits: PAGE_OCTETS make an item; WAITING_OCTETS of messages wait for a slow reader, and those beyond are counted with the next item.
 */
import { setImmediate as others } from 'node:timers/promises';
import { encodeRecord, type MrtRecord } from '../bgp/index.ts';
import type { Bytes } from '../core/index.ts';
import type { BgpDump, Recorded } from '../gateway/index.ts';
import { Waiter } from './waiter.ts';

export interface MrtPage {
  /** Whole records in base64. */
  readonly octets: string;
  readonly records: number;
  /** In those records, where they are of a table. */
  readonly routes: number;
  /** Records before these that nobody will see; with the end of a table: routes of peers that came too late for its list of peers. */
  readonly missed: number;
  /** Of a table: all of it was told, or its router is gone. */
  readonly end?: 'whole' | 'cut';
}

/** What else there is to do in this process comes between two items. */
export async function* tablePages({ records, isThere }: BgpDump): AsyncGenerator<MrtPage, void, undefined> {
  for (;;) {
    const page = new Page();
    if (!isThere()) return yield { ...page.finish(0), end: 'cut' };
    while (!page.isFull) {
      const next = records.next();
      if (next.done === true) return yield { ...page.finish(next.value), end: 'whole' };
      page.add(encodeRecord(next.value), next.value.kind === 'rib' ? next.value.entries.length : 0);
    }
    yield page.finish(0);
    await others();
  }
}

export class MrtStream {
  readonly whom: Recorded;
  #waiting: Bytes[] = [];
  #octets = 0;
  #missed = 0;
  readonly #waiter = new Waiter();

  constructor(whom: Recorded) {
    this.whom = whom;
  }

  offer(record: MrtRecord): void {
    const octets = encodeRecord(record);
    if (this.#octets + octets.length > WAITING_OCTETS) {
      this.#missed += 1;
      return;
    }
    this.#waiting.push(octets);
    this.#octets += octets.length;
    this.#waiter.wake();
  }

  /** What waits when `signal` says that it is over is still told. */
  async *pages(signal: AbortSignal): AsyncGenerator<MrtPage, void, undefined> {
    for (;;) {
      if (this.#waiting.length > 0) yield this.#take();
      else if (signal.aborted) return;
      else await this.#waiter.wait(signal);
    }
  }

  #take(): MrtPage {
    const page = new Page();
    let count = 0;
    for (; count < this.#waiting.length && !page.isFull; count++) page.add(this.#waiting[count]!, 0);
    this.#waiting = this.#waiting.slice(count);
    this.#octets -= page.octets;
    const missed = this.#missed;
    this.#missed = 0;
    return page.finish(missed);
  }
}

class Page {
  octets = 0;
  #routes = 0;
  readonly #records: Bytes[] = [];

  get isFull(): boolean {
    return this.octets >= PAGE_OCTETS;
  }

  add(record: Bytes, routes: number): void {
    this.#records.push(record);
    this.octets += record.length;
    this.#routes += routes;
  }

  finish(missed: number): MrtPage {
    const octets = Buffer.concat(this.#records, this.octets).toString('base64');
    return { octets, records: this.#records.length, routes: this.#routes, missed };
  }
}

const PAGE_OCTETS = 32_768;
export const WAITING_OCTETS = 8 << 20;
