/**
 * The neighbours of one segment: who is where, whether he still is, and the packets that wait until it is known. One machine for
 * neighbour discovery and for ARP, whose replies stand for solicited advertisements that override.
 *
 * Read first: RFC 4861 §7.2–7.3 and Appendix C (states and events), RFC 826 (reception), RFC 1122 §2.3.2 (ageing, one request a
 * second, a packet that waits).
 * Nobody becomes a neighbour by what he says unasked: `advertised` and `told` change known ones, `learn` is for those who asked
 * for us, and these are the first to go. A scan of a network through us has a share of the table (`unresolved`), not all of it.
 * Packets and what is sought for them count as some holder's: where there is too much, the holder of most makes room.
 * Leaves to others: messages (`owner.solicit`), whom to believe, which addresses are on the link (`segment.ts`).
 * Limits: SegmentLimits; packets that a bound refuses are given back with `queueFull`, those for whom nobody answered with `neighbour`.
 * Invariants: a packet given is carried, refused or waits; the owner is called when the table is whole, so that he may call back.
 */
import type { Bytes, Deadline, Millis, Random, Shares } from '../core/index.ts';
import { fraction, invariant, u32 } from '../core/index.ts';
import { type Address, copyMac, DROP, formatAddress, ipv4Number, type Packet, sameMac } from '../ip/index.ts';
import type { CountersOfSegment } from './counters.ts';
import { Line, NEIGHBOUR, NEIGHBOUR_STATES, type Neighbour, NeighbourIndex } from './neighbour.ts';
import type { NeighbourView, SegmentLimits } from './segment-contract.ts';
import { Tally } from './tally.ts';

export interface NeighbourOwner {
  /** Asks for it: itself where `unicast`, else everybody. */
  solicit(neighbour: Neighbour, unicast: boolean): void;
  /** Sends a packet to a neighbour whose MAC address is known; takes it over. */
  carry(packet: Packet, neighbour: Neighbour, now: Millis): void;
  /** Takes back a packet that cannot be sent. */
  refuse(packet: Packet, reason: number, now: Millis): void;
}

/** What a message says of a neighbour beside his MAC address (RFC 4861 §4.4). */
export interface Claim {
  readonly solicited: boolean;
  readonly override: boolean;
}

export class NeighbourTable {
  readonly #owner: NeighbourOwner;
  readonly #limits: SegmentLimits;
  readonly #counters: CountersOfSegment;
  readonly #index: NeighbourIndex;
  readonly #sought: Line;
  readonly #reachable: Line;
  readonly #stale: Line;
  /** Stale, and never sent to: learned from whoever asked for us. */
  readonly #unused: Line;
  readonly #delayed: Line;
  readonly #probed: Line;
  readonly #failed: Line;
  /** In the order in which they make room: what is of no use, then what is known longest. */
  readonly #lines: readonly Line[];
  /** Oldest first. */
  #waiting: Waiting[] = [];
  /** Of whoever has packets here: what the pool has for those that wait. */
  readonly #room: Shares;
  readonly #packetsOf = new Tally();
  readonly #soughtBy = new Tally();
  #permanent = 0;

  constructor(owner: NeighbourOwner, limits: SegmentLimits, counters: CountersOfSegment, random: Random, room: Shares) {
    this.#owner = owner;
    this.#limits = limits;
    this.#counters = counters;
    this.#room = room;
    this.#index = new NeighbourIndex(u32(random(4), 0));
    // RFC 4861 §6.3.2: between half and one and a half of the mean, so that segments do not probe in step.
    const reachable = limits.reachableMs * (0.5 + fraction(random));
    this.#sought = new Line(limits.retransmitMs, 'is asked for');
    this.#reachable = new Line(reachable, 'is no longer sure');
    this.#stale = new Line(limits.staleMs, 'is forgotten');
    this.#unused = new Line(limits.staleMs, 'is forgotten');
    this.#delayed = new Line(limits.delayMs, 'is probed');
    this.#probed = new Line(limits.retransmitMs, 'is probed');
    this.#failed = new Line(limits.failedMs, 'is forgotten');
    this.#lines = [this.#failed, this.#unused, this.#stale, this.#reachable, this.#delayed, this.#probed, this.#sought];
  }

  // The packet path.

  find4(address: number): Neighbour | undefined {
    return this.#index.find4(address);
  }

  find6(buf: Bytes, at: number): Neighbour | undefined {
    return this.#index.find6(buf, at);
  }

  find(address: Address): Neighbour | undefined {
    return address.length === 4 ? this.find4(ipv4Number(address)) : this.find6(address, 0);
  }

  /** Whether a packet can be sent to it; RFC 4861 §7.3.3: the first one to a stale neighbour begins his check. */
  use(neighbour: Neighbour, now: Millis): boolean {
    if (neighbour.state === NEIGHBOUR.stale) this.#become(neighbour, NEIGHBOUR.delay, this.#delayed, now);
    return neighbour.isResolved;
  }

  /** Takes a packet of `holder` for an address that nobody is known to have, and asks for it. */
  seek(address: Address, packet: Packet, holder: number, now: Millis): void {
    const neighbour = this.#index.add(address);
    this.#ask(neighbour, packet, holder, now);
  }

  /** Takes a packet for a neighbour who is sought, or was in vain: RFC 1122 §2.3.2.1: not more than once a second. */
  hold(neighbour: Neighbour, packet: Packet, holder: number, now: Millis): void {
    if (neighbour.state === NEIGHBOUR.incomplete) this.#wait(neighbour, packet, holder, now);
    else if (now - neighbour.since >= this.#limits.retransmitMs) this.#ask(neighbour, packet, holder, now);
    else this.#refuse(packet, DROP.neighbour, now);
  }

  // What is said of neighbours.

  /** RFC 4861 §7.2.5: an advertisement or an ARP reply. Without a MAC address (`at` < 0) it confirms at most what is known. */
  advertised(neighbour: Neighbour, buf: Bytes, at: number, { solicited, override }: Claim, now: Millis): void {
    const differs = at >= 0 && !this.#agrees(neighbour, buf, at);
    if (neighbour.state === NEIGHBOUR.permanent) return this.#contradicted(differs);
    if (!neighbour.isResolved) {
      if (at < 0) return;
      return this.#resolve(neighbour, buf, at, solicited, now);
    }
    if (differs && !override) {
      if (neighbour.state === NEIGHBOUR.reachable) this.#become(neighbour, NEIGHBOUR.stale, this.#stale, now);
      return;
    }
    if (differs) this.#move(neighbour, buf, at, now);
    if (solicited) this.#become(neighbour, NEIGHBOUR.reachable, this.#reachable, now);
  }

  /** RFC 4861 §7.2.3, RFC 826: a message from it, which names its MAC address. */
  told(neighbour: Neighbour, buf: Bytes, at: number, now: Millis): void {
    const differs = !this.#agrees(neighbour, buf, at);
    if (neighbour.state === NEIGHBOUR.permanent) this.#contradicted(differs);
    else if (!neighbour.isResolved) this.#resolve(neighbour, buf, at, false, now);
    else if (differs) this.#move(neighbour, buf, at, now);
  }

  /** RFC 826: whoever asks for us will be sent to. For an address that is not known. */
  learn(address: Address, buf: Bytes, at: number, now: Millis): void {
    const neighbour = this.#index.add(address);
    copyMac(buf, at, neighbour.mac, 0);
    this.#counters.learned += 1;
    this.#become(neighbour, NEIGHBOUR.stale, this.#unused, now);
    this.#makeRoom(now);
  }

  // Configuration.

  /** False when there is no room for it. */
  addPermanent(address: Address, mac: Bytes, now: Millis): boolean {
    const known = this.find(address);
    if (known?.state !== NEIGHBOUR.permanent && this.#permanent >= this.#limits.neighbours) return false;
    const neighbour = known ?? this.#index.add(address);
    copyMac(mac, 0, neighbour.mac, 0);
    if (neighbour.state === NEIGHBOUR.permanent) return true;
    this.#permanent += 1;
    this.#become(neighbour, NEIGHBOUR.permanent, undefined, now);
    for (const packet of this.#take(neighbour)) this.#owner.carry(packet, neighbour, now);
    this.#makeRoom(now);
    return true;
  }

  /** Permanent ones, too. What waits for it is refused. False when it was not known. */
  remove(address: Address, now: Millis): boolean {
    const neighbour = this.find(address);
    if (neighbour === undefined) return false;
    this.#forget(neighbour, DROP.neighbour, now);
    return true;
  }

  /** Forgets all but permanent ones. */
  flush(now: Millis): void {
    for (const neighbour of [...this.#index]) {
      if (neighbour.line !== undefined) this.#forget(neighbour, DROP.neighbour, now);
    }
  }

  views(): NeighbourView[] {
    return [...this.#index].map((n) => ({
      address: n.address,
      ...(n.isResolved ? { mac: n.mac.slice() } : {}),
      state: NEIGHBOUR_STATES[n.state]!,
      since: n.since,
      waiting: n.waiting,
    }));
  }

  // Time.

  deadline(): Deadline | undefined {
    let earliest: Line | undefined;
    for (const line of this.#lines) {
      if (line.first !== undefined && !(earliest !== undefined && earliest.first!.due <= line.first.due))
        earliest = line;
    }
    if (earliest === undefined) return undefined;
    const { due, address } = earliest.first!;
    return { at: due, why: `neighbour ${formatAddress(address)} ${earliest.why}` };
  }

  expire(now: Millis): void {
    for (let n = due(this.#sought, now); n !== undefined; n = due(this.#sought, now)) {
      if (n.tries < this.#limits.solicitations) this.#solicit(n, this.#sought, now);
      else this.#fail(n, now);
    }
    for (let n = due(this.#probed, now); n !== undefined; n = due(this.#probed, now)) {
      if (n.tries < this.#limits.solicitations) this.#solicit(n, this.#probed, now);
      else {
        this.#counters.lost += 1;
        this.#forget(n, DROP.neighbour, now);
      }
    }
    for (let n = due(this.#delayed, now); n !== undefined; n = due(this.#delayed, now)) {
      this.#become(n, NEIGHBOUR.probe, this.#probed, now);
      this.#solicit(n, this.#probed, now);
    }
    for (let n = due(this.#reachable, now); n !== undefined; n = due(this.#reachable, now)) {
      this.#become(n, NEIGHBOUR.stale, this.#stale, now);
    }
    for (const line of [this.#stale, this.#unused, this.#failed]) {
      for (let n = due(line, now); n !== undefined; n = due(line, now)) this.#forget(n, DROP.neighbour, now);
    }
  }

  // Steps.

  #become(neighbour: Neighbour, state: number, line: Line | undefined, now: Millis): void {
    if (line !== this.#sought) this.#notSought(neighbour);
    neighbour.state = state;
    neighbour.since = now;
    neighbour.tries = 0;
    if (line === undefined) neighbour.line?.remove(neighbour);
    else line.append(neighbour, now);
  }

  /** Begins to look for it, for the sake of a packet. */
  #ask(neighbour: Neighbour, packet: Packet, holder: number, now: Millis): void {
    this.#become(neighbour, NEIGHBOUR.incomplete, this.#sought, now);
    neighbour.soughtBy = holder;
    this.#soughtBy.add(holder);
    const gone = this.#enqueue(packet, neighbour, holder);
    this.#solicit(neighbour, this.#sought, now);
    this.#displace(gone, now);
    this.#makeRoom(now);
  }

  #wait(neighbour: Neighbour, packet: Packet, holder: number, now: Millis): void {
    this.#displace(this.#enqueue(packet, neighbour, holder), now);
  }

  /** RFC 4861 §7.2.2: the newest packets are kept. Gives those for which there is no room now. */
  #enqueue(packet: Packet, neighbour: Neighbour, holder: number): Waiting[] {
    const gone: Waiting[] = [];
    const one = { packet, neighbour, holder };
    // Where the pool has no more for it, its own oldest makes room.
    const room =
      this.#room.take(holder) || (this.#pull((each) => each.holder === holder, gone) && this.#room.take(holder));
    if (!room) return [...gone, one];
    this.#waiting.push(one);
    this.#packetsOf.add(holder);
    neighbour.waiting += 1;
    if (neighbour.waiting > this.#limits.waitingEach) this.#pull((each) => each.neighbour === neighbour, gone);
    else if (this.#waiting.length > this.#limits.waiting) {
      const { most } = this.#packetsOf;
      this.#pull((each) => each.holder === most, gone);
    }
    return gone;
  }

  #displace(gone: readonly Waiting[], now: Millis): void {
    for (const { packet } of gone) this.#refuse(packet, DROP.queueFull, now);
  }

  /** The oldest of those waits no longer; false: there is none. */
  #pull(which: (each: Waiting) => boolean, gone: Waiting[]): boolean {
    const index = this.#waiting.findIndex(which);
    if (index < 0) return false;
    const [pulled] = this.#waiting.splice(index, 1);
    pulled!.neighbour.waiting -= 1;
    this.#letGo(pulled!);
    gone.push(pulled!);
    return true;
  }

  #letGo({ holder }: Waiting): void {
    this.#room.give(holder);
    this.#packetsOf.remove(holder);
  }

  #notSought(neighbour: Neighbour): void {
    if (neighbour.line === this.#sought) this.#soughtBy.remove(neighbour.soughtBy);
  }

  #solicit(neighbour: Neighbour, line: Line, now: Millis): void {
    line.append(neighbour, now);
    neighbour.tries += 1;
    this.#owner.solicit(neighbour, line === this.#probed);
  }

  #resolve(neighbour: Neighbour, buf: Bytes, at: number, confirmed: boolean, now: Millis): void {
    copyMac(buf, at, neighbour.mac, 0);
    this.#counters.resolved += 1;
    if (confirmed) this.#become(neighbour, NEIGHBOUR.reachable, this.#reachable, now);
    else this.#become(neighbour, NEIGHBOUR.stale, this.#stale, now);
    for (const packet of this.#take(neighbour)) this.#owner.carry(packet, neighbour, now);
  }

  #move(neighbour: Neighbour, buf: Bytes, at: number, now: Millis): void {
    copyMac(buf, at, neighbour.mac, 0);
    this.#counters.moved += 1;
    this.#become(neighbour, NEIGHBOUR.stale, neighbour.line === this.#unused ? this.#unused : this.#stale, now);
  }

  #fail(neighbour: Neighbour, now: Millis): void {
    this.#counters.failed += 1;
    this.#become(neighbour, NEIGHBOUR.failed, this.#failed, now);
    for (const packet of this.#take(neighbour)) this.#refuse(packet, DROP.neighbour, now);
  }

  #forget(neighbour: Neighbour, reason: number, now: Millis): void {
    this.#notSought(neighbour);
    if (neighbour.line === undefined) this.#permanent -= 1;
    else neighbour.line.remove(neighbour);
    this.#index.remove(neighbour);
    for (const packet of this.#take(neighbour)) this.#refuse(packet, reason, now);
  }

  /** After one came: one goes where there are too many. */
  #makeRoom(now: Millis): void {
    const { neighbours, unresolved } = this.#limits;
    if (this.#sought.size > unresolved) this.#evict(this.#longestSought(this.#soughtBy.most), now);
    else if (this.#index.size > neighbours) this.#evict(this.#lines.find((line) => line.size > 0)!.first!, now);
  }

  #longestSought(holder: number): Neighbour {
    let neighbour = this.#sought.first!;
    while (neighbour.soughtBy !== holder) neighbour = neighbour.after!;
    return neighbour;
  }

  #evict(neighbour: Neighbour, now: Millis): void {
    this.#counters.evicted += 1;
    this.#forget(neighbour, DROP.queueFull, now);
  }

  /** The packets that wait for it, which it then no longer has. */
  #take(neighbour: Neighbour): Packet[] {
    if (neighbour.waiting === 0) return [];
    const taken = this.#waiting.filter((each) => each.neighbour === neighbour);
    const packets = taken.map(({ packet }) => packet);
    this.#waiting = this.#waiting.filter((each) => each.neighbour !== neighbour);
    for (const each of taken) this.#letGo(each);
    invariant(packets.length === neighbour.waiting, 'what waits for a neighbour is counted');
    neighbour.waiting = 0;
    return packets;
  }

  #refuse(packet: Packet, reason: number, now: Millis): void {
    if (reason === DROP.queueFull) this.#counters.waitingRefused += 1;
    else this.#counters.unreachable += 1;
    this.#owner.refuse(packet, reason, now);
  }

  #agrees(neighbour: Neighbour, buf: Bytes, at: number): boolean {
    return sameMac(neighbour.mac, 0, buf, at);
  }

  #contradicted(differs: boolean): void {
    if (differs) this.#counters.contradicted += 1;
  }
}

interface Waiting {
  readonly packet: Packet;
  readonly neighbour: Neighbour;
  readonly holder: number;
}

/** The first of a line, when his time has run. */
const due = ({ first }: Line, now: Millis): Neighbour | undefined =>
  first !== undefined && first.due <= now ? first : undefined;
