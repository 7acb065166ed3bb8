/**
 * A neighbour table as RFC 4861 Appendix C has it, in the slowest way: one list of neighbours, each with its time, searched to its end;
 * what happens is words.
 */
import type { SegmentLimits } from '../../src/compartment/index.ts';

type State = 'incomplete' | 'reachable' | 'stale' | 'unused' | 'delay' | 'probe' | 'failed' | 'permanent';

export interface ModelNeighbour {
  readonly address: string;
  mac: string;
  state: State;
  since: number;
  due: number;
  tries: number;
  /** Since when it waits for what it waits for, as a number that no two share. */
  place: number;
}

/** Who makes room first. */
const ORDER: readonly State[] = ['failed', 'unused', 'stale', 'reachable', 'delay', 'probe', 'incomplete'];

export class NeighbourModel {
  all: ModelNeighbour[] = [];
  /** Oldest first. */
  waiting: { packet: number; address: string }[] = [];
  log: string[] = [];
  readonly #limits: SegmentLimits;
  readonly #reachableMs: number;
  #places = 0;

  constructor(limits: SegmentLimits, reachableMs: number) {
    this.#limits = limits;
    this.#reachableMs = reachableMs;
  }

  find(address: string): ModelNeighbour | undefined {
    return this.all.find((n) => n.address === address);
  }

  packet(address: string, packet: number, now: number): void {
    let n = this.find(address);
    if (n?.state === 'stale' || n?.state === 'unused') this.#become(n, 'delay', now);
    if (n !== undefined && n.state !== 'incomplete' && n.state !== 'failed') {
      this.log.push(`${packet} to ${n.mac}`);
      return;
    }
    if (n?.state === 'failed' && now - n.since < this.#limits.retransmitMs) {
      this.log.push(`${packet} neighbour`);
      return;
    }
    const begins = n?.state !== 'incomplete';
    if (n === undefined) {
      n = { address, mac: '', state: 'incomplete', since: now, due: 0, tries: 0, place: 0 };
      this.all.push(n);
    }
    this.waiting.push({ packet, address });
    if (begins) {
      this.#become(n, 'incomplete', now);
      this.#ask(n, now);
    }
    const mine = this.waiting.filter((w) => w.address === address);
    if (mine.length > this.#limits.waitingEach) this.#displace(mine[0]!);
    else if (this.waiting.length > this.#limits.waiting) this.#displace(this.waiting[0]!);
    if (begins) this.#makeRoom();
  }

  advertised(n: ModelNeighbour, mac: string | undefined, solicited: boolean, override: boolean, now: number): void {
    const differs = mac !== undefined && mac !== n.mac;
    if (n.state === 'permanent') return;
    if (n.state === 'incomplete' || n.state === 'failed') {
      if (mac !== undefined) this.#resolve(n, mac, solicited ? 'reachable' : 'stale', now);
    } else if (differs && !override) {
      if (n.state === 'reachable') this.#become(n, 'stale', now);
    } else {
      if (differs) this.#move(n, mac, now);
      if (solicited) this.#become(n, 'reachable', now);
    }
  }

  told(n: ModelNeighbour, mac: string, now: number): void {
    if (n.state === 'permanent') return;
    if (n.state === 'incomplete' || n.state === 'failed') this.#resolve(n, mac, 'stale', now);
    else if (mac !== n.mac) this.#move(n, mac, now);
  }

  learn(address: string, mac: string, now: number): void {
    const n: ModelNeighbour = { address, mac, state: 'unused', since: now, due: 0, tries: 0, place: 0 };
    this.all.push(n);
    this.#become(n, 'unused', now);
    this.#makeRoom();
  }

  permanent(address: string, mac: string, now: number): boolean {
    const known = this.find(address);
    const count = this.all.filter((n) => n.state === 'permanent').length;
    if (known?.state !== 'permanent' && count >= this.#limits.neighbours) return false;
    if (known?.state === 'permanent') {
      known.mac = mac;
      return true;
    }
    const n = known ?? { address, mac, state: 'permanent', since: now, due: 0, tries: 0, place: 0 };
    if (known === undefined) this.all.push(n);
    n.mac = mac;
    this.#become(n, 'permanent', now);
    for (const packet of this.#take(address)) this.log.push(`${packet} to ${mac}`);
    this.#makeRoom();
    return true;
  }

  remove(address: string): boolean {
    if (this.find(address) === undefined) return false;
    this.#forget(address, 'neighbour');
    return true;
  }

  flush(): void {
    for (const n of this.all.filter((each) => each.state !== 'permanent')) this.#forget(n.address, 'neighbour');
  }

  expire(now: number): void {
    const due = (state: State) =>
      this.all.filter((n) => n.state === state && n.due <= now).sort((a, b) => a.place - b.place);
    for (const n of due('incomplete')) {
      if (n.tries < this.#limits.solicitations) {
        this.#ask(n, now);
        continue;
      }
      this.#become(n, 'failed', now);
      for (const packet of this.#take(n.address)) this.log.push(`${packet} neighbour`);
    }
    for (const n of due('probe')) {
      if (n.tries < this.#limits.solicitations) this.#ask(n, now);
      else this.#forget(n.address, 'neighbour');
    }
    for (const n of due('delay')) {
      this.#become(n, 'probe', now);
      this.#ask(n, now);
    }
    for (const n of due('reachable')) this.#become(n, 'stale', now);
    for (const n of [...due('stale'), ...due('unused'), ...due('failed')]) this.#forget(n.address, 'neighbour');
  }

  /** The time of the next thing that happens. */
  get next(): number | undefined {
    const times = this.all.filter((n) => n.state !== 'permanent').map((n) => n.due);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #become(n: ModelNeighbour, state: State, now: number): void {
    const { retransmitMs, staleMs, delayMs, failedMs } = this.#limits;
    const period = {
      incomplete: retransmitMs,
      reachable: this.#reachableMs,
      stale: staleMs,
      unused: staleMs,
      delay: delayMs,
      probe: retransmitMs,
      failed: failedMs,
      permanent: Number.POSITIVE_INFINITY,
    }[state];
    Object.assign(n, { state, since: now, due: now + period, tries: 0, place: this.#places++ });
  }

  #ask(n: ModelNeighbour, now: number): void {
    n.tries += 1;
    n.due = now + this.#limits.retransmitMs;
    n.place = this.#places++;
    this.log.push(n.state === 'probe' ? `ask ${n.mac} for ${n.address}` : `ask for ${n.address}`);
  }

  #resolve(n: ModelNeighbour, mac: string, state: State, now: number): void {
    n.mac = mac;
    this.#become(n, state, now);
    for (const packet of this.#take(n.address)) this.log.push(`${packet} to ${mac}`);
  }

  #move(n: ModelNeighbour, mac: string | undefined, now: number): void {
    n.mac = mac!;
    this.#become(n, n.state === 'unused' ? 'unused' : 'stale', now);
  }

  #displace(one: { packet: number }): void {
    this.waiting = this.waiting.filter((w) => w !== one);
    this.log.push(`${one.packet} queueFull`);
  }

  #take(address: string): number[] {
    const taken = this.waiting.filter((w) => w.address === address);
    this.waiting = this.waiting.filter((w) => w.address !== address);
    return taken.map((w) => w.packet);
  }

  #forget(address: string, reason: string): void {
    this.all = this.all.filter((n) => n.address !== address);
    for (const packet of this.#take(address)) this.log.push(`${packet} ${reason}`);
  }

  #makeRoom(): void {
    const first = (state: State) =>
      this.all.filter((n) => n.state === state).reduce((a, b) => (a.place < b.place ? a : b)).address;
    const count = (state: State) => this.all.filter((n) => n.state === state).length;
    if (count('incomplete') > this.#limits.unresolved) this.#forget(first('incomplete'), 'queueFull');
    else if (this.all.length > this.#limits.neighbours) {
      this.#forget(first(ORDER.find((state) => count(state) > 0)!), 'queueFull');
    }
  }
}
