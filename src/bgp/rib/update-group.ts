/**
 * Peers that are told the same: one Adj-RIB-Out, one encoding, one log that each reads at its own pace.
 *
 * Read first: RFC 4271 §9.2; RFC 7911 §2. A unit is a row, or with ADD-PATH a path, whose number is then its path identifier. Per unit
 * the group has the set it has announced and from which peer that came. The peer a route came from does not get it back: messages are
 * for all but one, and what makes the difference is for one alone:
 *
 *   announced before → now        to others              to the peer it came from   to the peer it comes from
 *   nothing → a from s            a, except s            -                          -
 *   a from r → b from s           b, except s            b                          withdrawn
 *   a from r → a from s           -                      a                          withdrawn
 *   a from r → nothing            withdrawn, except r    -                          -
 *
 * A member whose unread octets are too many leaves the log (`Resync`) and comes back when it has read what it missed. Members with a
 * MinRouteAdvertisementInterval have groups of their own, `paced`, whose log stays empty: each is on its own way for good (`PacedResync`).
 */
import type { Bytes } from '../../core/index.ts';
import type { AttributeStore } from './attribute-store.ts';
import type { Changes } from './changes.ts';
import { grown16, grown32, larger } from './columns.ts';
import type { Exporter } from './exporter.ts';
import { PacedResync } from './paced-resync.ts';
import { Resync } from './resync.ts';
import type { UpdateEncoder } from './update-encoder.ts';
import { UpdateLog } from './update-log.ts';
import { updatesIn } from './updates.ts';

interface Member {
  /** Number of the next segment. */
  next: number;
  resync: Resync | undefined;
  /** Units of the resync in the order they go, and how far that is. */
  plan: Uint32Array;
  planned: number;
}

export interface GroupCounters {
  /** Messages encoded for the log. */
  messages: number;
  /** Messages encoded for one member on its own way. */
  own: number;
  /** Members that left the log because they did not read. */
  lagged: number;
  /** Sets that are too long for a message: their prefixes are withdrawn. */
  oversized: number;
}

export class UpdateGroup {
  readonly exporter: Exporter;
  readonly counters: GroupCounters = { messages: 0, own: 0, lagged: 0, oversized: 0 };
  readonly addPath: boolean;
  readonly paced: boolean;
  /** Set announced, by unit. */
  advertised: Uint32Array = new Uint32Array(8);
  /** Peer it came from, by unit. */
  sources: Uint16Array = new Uint16Array(8);
  readonly #store: AttributeStore;
  readonly #encoder: UpdateEncoder;
  readonly #log = new UpdateLog();
  readonly #members = new Map<number, Member>();
  readonly #changes: Changes;
  readonly #limit: number;
  /** Members that read the log. */
  #inStep = 0;
  /** Room for messages of members on their own way. */
  #own: Bytes = new Uint8Array(0);
  #ownAt = 0;
  /** Units that it holds nothing of any more. */
  #ended = 0;

  constructor(
    store: AttributeStore,
    exporter: Exporter,
    encoder: UpdateEncoder,
    changes: Changes,
    addPath: boolean,
    paced: boolean,
    limit: number,
  ) {
    this.#store = store;
    this.exporter = exporter;
    this.#encoder = encoder;
    this.#changes = changes;
    this.addPath = addPath;
    this.paced = paced;
    this.#limit = limit;
  }

  get size(): number {
    return this.#members.size;
  }

  get octets(): number {
    return this.advertised.length * 6 + this.#log.kept;
  }

  /** Octets that members have yet to read. */
  get kept(): number {
    return this.#log.kept;
  }

  /** A new member is told all there is, then End-of-RIB; one that comes `from` another group, what that has not told it. */
  join(peer: number, from?: Resync): void {
    const resync = this.#resyncFrom(from);
    this.#members.set(peer, { next: 0, resync, plan: NOTHING, planned: 0 });
    this.#markAll(resync, from === undefined ? peer : undefined);
    if (from === undefined) resync.behind.push(this.#encoder.endOfRib());
    else if (this.paced) resync.each((unit) => resync.owe(unit, this.toldTo(peer, unit) === 0));
  }

  /** What there is already, in the kind that the members of this group have. */
  #resyncFrom(from: Resync | undefined): Resync {
    if (from !== undefined && from instanceof PacedResync === this.paced) return from;
    const resync = this.paced ? new PacedResync() : new Resync();
    return from === undefined ? resync : resync.adopt(from);
  }

  /** Leaves for a group with the same units: what it has been told or is owed is marked, so that the other puts it right. */
  move(peer: number): Resync | undefined {
    const member = this.#members.get(peer);
    if (member === undefined) return undefined;
    const resync = member.resync ?? this.#detach(peer, member);
    this.#markAll(resync);
    this.#members.delete(peer);
    this.#trim();
    return resync;
  }

  leave(peer: number): void {
    const member = this.#members.get(peer);
    if (member === undefined) return;
    this.#members.delete(peer);
    if (member.resync === undefined) this.#inStep--;
    this.#trim();
    // What was kept for it alone.
    member.resync?.each((unit) => {
      if (unit >= this.advertised.length || this.advertised[unit] === 0) this.onTold(unit);
    });
  }

  /**
   * Everything again (RFC 2918), between `before` and `behind`; once the peer has had what it is being told already, and once for all who
   * ask meanwhile (RFC 7313 §4: End-of-RIB comes first).
   */
  refresh(peer: number, before: readonly Bytes[], behind: readonly Bytes[]): void {
    const member = this.#members.get(peer);
    if (member === undefined) return;
    const resync = member.resync ?? this.#detach(peer, member);
    if (this.paced || resync.refreshes || resync.behind.length > 0) resync.again = { before, behind };
    else this.#begin(peer, resync, before, behind);
    this.#trim();
  }

  /** RFC 4271 §9.2.1.1: what a member has been kept from is told now. Whether there is anything. */
  beginRound(peer: number): boolean {
    const resync = this.#pacedOf(peer);
    if (resync === undefined) return false;
    const { again } = resync;
    resync.again = undefined;
    if (again !== undefined) this.#begin(peer, resync, again.before, again.behind);
    return resync.beginRound();
  }

  /** Whether a member is kept from something until the next round. */
  waits(peer: number): boolean {
    return this.#pacedOf(peer)?.waits === true;
  }

  #pacedOf(peer: number): PacedResync | undefined {
    const resync = this.#members.get(peer)?.resync;
    return resync instanceof PacedResync ? resync : undefined;
  }

  /** Notes what is to be said of a unit: set `to` that came from peer `source`; 0 withdraws. */
  consider(unit: number, to: number, source: number): void {
    if (unit >= this.advertised.length) {
      if (to === 0) return;
      this.#grow(unit);
    }
    const old = this.advertised[unit]!;
    const was = this.sources[unit]!;
    if (old === to && (to === 0 || was === source)) return;
    if (to !== 0) this.#store.retain(to);
    this.advertised[unit] = to;
    this.sources[unit] = to === 0 ? 0 : source;
    if (this.pins) this.#mark(unit, old, was, to, source);
    if (this.#inStep > 0) this.#note(unit, old, was, to, source);
    if (old !== 0) this.#store.release(old);
  }

  /** Encodes what was noted, withdrawals first. */
  emit(): void {
    const changes = this.#changes;
    if (changes.count === 0) return;
    changes.each((set, units, from, to, except, only) => {
      if (set === 0) this.#withdraw(units, from, to, except, only);
      else this.#announce(set, units, from, to, except, only);
    });
    this.#log.settle();
    if (this.#log.kept > this.#limit) this.#leaveBehind();
  }

  /** Octets for a peer, at least one message and not much more than `room`, and on. Views: to be read before they are changed by nobody. */
  take(peer: number, room: number): Bytes[] {
    const member = this.#members.get(peer);
    const out: Bytes[] = [];
    if (member === undefined) return out;
    const left = member.resync === undefined ? room : this.#takeOwn(peer, member, room, out);
    if (member.resync === undefined) this.#takeLogged(peer, member, left, out);
    return out;
  }

  hasOutput(peer: number): boolean {
    const member = this.#members.get(peer);
    if (member === undefined) return false;
    return member.resync?.speaks ?? member.next < this.#log.head;
  }

  /** Whether there may be units that must keep their meaning. */
  get pins(): boolean {
    return this.#inStep < this.#members.size;
  }

  /** Whether a unit must keep its meaning because somebody has yet to be told of it. */
  isPinned(unit: number): boolean {
    for (const { resync } of this.#members.values()) if (resync?.has(unit) === true) return true;
    return false;
  }

  /** Without members: gives back what it holds, `limit` units of it; how many those were, fewer at the end. */
  end(limit: number): number {
    const from = this.#ended;
    this.#ended = Math.min(from + limit, this.advertised.length);
    for (let unit = from; unit < this.#ended; unit++) this.#store.release(this.advertised[unit]!);
    if (from < this.#ended && this.#ended === this.advertised.length) this.exporter.end();
    return this.#ended - from;
  }

  /** What a peer has or is about to have of a unit: a set, or 0. */
  toldTo(peer: number, unit: number): number {
    return unit >= this.advertised.length || this.sources[unit] === peer ? 0 : this.advertised[unit]!;
  }

  /** Members on their own way, but for those that have nothing of the unit before and behind. */
  #mark(unit: number, old: number, was: number, to: number, source: number): void {
    for (const [peer, { resync }] of this.#members)
      if ((old !== 0 && was !== peer) || (to !== 0 && source !== peer)) resync?.owe(unit, to === 0 || source === peer);
  }

  #note(unit: number, old: number, was: number, to: number, source: number): void {
    const changes = this.#changes;
    if (to === 0) changes.add(0, unit, this.#inLog(was), 0);
    else if (old !== to) {
      changes.add(to, unit, this.#inLog(source), 0);
      if (old !== 0 && was !== source && this.#inLog(source) !== 0) changes.add(0, unit, 0, source);
    } else {
      if (this.#inLog(was) !== 0) changes.add(to, unit, 0, was);
      if (this.#inLog(source) !== 0) changes.add(0, unit, 0, source);
    }
  }

  /** The peer, if it is a member that reads the log; otherwise 0: then nobody needs to be told apart. */
  #inLog(peer: number): number {
    const member = this.#members.get(peer);
    return member !== undefined && member.resync === undefined ? peer : 0;
  }

  #announce(set: number, units: Uint32Array, from: number, to: number, except: number, only: number): void {
    if (!this.#encoder.prepare(set)) {
      this.counters.oversized += to - from;
      return this.#withdraw(units, from, to, except, only);
    }
    const log = this.#log;
    for (let at = from; at < to; ) {
      log.open(this.#encoder.maximum, except, only);
      at += this.#encoder.announce(log.buffer, log.at, units, at, to);
      log.wrote(this.#encoder.end);
      this.counters.messages++;
    }
  }

  #withdraw(units: Uint32Array, from: number, to: number, except: number, only: number): void {
    const log = this.#log;
    for (let at = from; at < to; ) {
      log.open(this.#encoder.maximum, except, only);
      at += this.#encoder.withdraw(log.buffer, log.at, units, at, to);
      log.wrote(this.#encoder.end);
      this.counters.messages++;
    }
  }

  #takeLogged(peer: number, member: Member, room: number, out: Bytes[]): void {
    const head = this.#log.head;
    const before = member.next;
    for (let left = room; member.next < head && left > 0; member.next++) {
      const { octets, except, only } = this.#log.segment(member.next);
      if (except === peer || (only !== 0 && only !== peer)) continue;
      out.push(octets);
      left -= octets.length;
    }
    if (member.next !== before) this.#trim();
  }

  /** From the member's resync; back in step when there is nothing left. Returns the room that is left. */
  #takeOwn(peer: number, member: Member, room: number, out: Bytes[]): number {
    const resync = member.resync!;
    let left = room;
    const give = (octets: Bytes): void => {
      out.push(octets);
      left -= octets.length;
    };
    for (const octets of resync.literal.splice(0)) give(octets);
    for (const octets of resync.before.splice(0)) give(octets);
    while (left > 0 && this.#isPlanned(peer, member, resync)) give(this.#message(peer, member, resync));
    if (left <= 0 && this.#isPlanned(peer, member, resync)) return 0;
    if (resync instanceof PacedResync && !resync.endRound()) return left;
    for (const octets of resync.behind.splice(0)) give(octets);
    resync.refreshes = false;
    this.#own = new Uint8Array(0);
    this.#ownAt = 0;
    if (this.paced) return left;
    if (resync.again !== undefined) {
      this.#begin(peer, resync, resync.again.before, resync.again.behind);
      resync.again = undefined;
      return left > 0 ? this.#takeOwn(peer, member, left, out) : 0;
    }
    member.resync = undefined;
    member.plan = NOTHING;
    member.planned = 0;
    member.next = this.#log.head;
    this.#inStep++;
    return left;
  }

  /** Whether there is a unit to be told, the next of a plan. */
  #isPlanned(peer: number, member: Member, resync: Resync): boolean {
    while (member.planned < member.plan.length && !resync.isDue(member.plan[member.planned]!)) member.planned++;
    if (member.planned === member.plan.length && resync.count > 0) this.#plan(peer, member, resync);
    return member.planned < member.plan.length;
  }

  /** Withdrawals first, then set by set. */
  #plan(peer: number, member: Member, resync: Resync): void {
    const units = resync.slice();
    const sets = new Float64Array(units.length);
    for (let i = 0; i < units.length; i++) sets[i] = this.toldTo(peer, units[i]!) * 0x1_0000 + i;
    sets.sort();
    member.plan = new Uint32Array(units.length);
    for (let i = 0; i < units.length; i++) member.plan[i] = units[sets[i]! % 0x1_0000]!;
    member.planned = 0;
  }

  /** The next message of a plan, by what the group says now. */
  #message(peer: number, member: Member, resync: Resync): Bytes {
    const { plan, planned } = member;
    const set = this.toldTo(peer, plan[planned]!);
    let to = planned + 1;
    while (to < plan.length && this.toldTo(peer, plan[to]!) === set && resync.isDue(plan[to]!)) to++;
    const encoder = this.#encoder;
    if (this.#own.length - this.#ownAt < encoder.maximum) {
      this.#own = new Uint8Array(encoder.maximum * (plan.length < FEW ? 1 : OWN_MESSAGES));
      this.#ownAt = 0;
    }
    const out = this.#own;
    const begin = this.#ownAt;
    const announces = set !== 0 && encoder.prepare(set);
    if (set !== 0 && !announces) this.counters.oversized += to - planned;
    const count = announces
      ? encoder.announce(out, begin, plan, planned, to)
      : encoder.withdraw(out, begin, plan, planned, to);
    for (let i = planned; i < planned + count; i++) {
      resync.told(plan[i]!, announces);
      if (set === 0) this.onTold(plan[i]!);
    }
    member.planned += count;
    this.counters.own++;
    // Of few messages none keeps room that it does not fill.
    if (plan.length < FEW) return out.slice(begin, encoder.end);
    this.#ownAt = encoder.end;
    return out.subarray(begin, encoder.end);
  }

  /** Called when a member on its own way has been told that a unit is withdrawn, or will not be. */
  onTold: (unit: number) => void = () => undefined;

  #begin(peer: number, resync: Resync, before: readonly Bytes[], behind: readonly Bytes[]): void {
    this.#markAll(resync, peer);
    resync.refreshes = true;
    resync.before.push(...before);
    resync.behind.push(...behind);
  }

  /** `except`: what came from this peer, which has not been told of it. */
  #markAll(resync: Resync, except?: number): void {
    const { advertised, sources } = this;
    for (let unit = 0; unit < advertised.length; unit++)
      if (advertised[unit] !== 0 && sources[unit] !== except) resync.mark(unit);
  }

  /** Takes a member out of the log: what it has not read becomes marks and literal withdrawals. */
  #detach(peer: number, member: Member): Resync {
    const resync = new Resync();
    for (const head = this.#log.head; member.next < head; member.next++) {
      const { octets, except, only } = this.#log.segment(member.next);
      if (except === peer || (only !== 0 && only !== peer)) continue;
      for (const update of updatesIn(octets)) {
        if (update.withdraws) resync.literal.push(update.octets);
        else this.#encoder.eachUnit(update.octets, (unit) => resync.mark(unit));
      }
    }
    member.resync = resync;
    this.#inStep--;
    return resync;
  }

  #leaveBehind(): void {
    const head = this.#log.head;
    let least = head;
    for (const { resync, next } of this.#members.values()) if (resync === undefined && next < least) least = next;
    const half = least + Math.ceil((head - least) / 2);
    for (const [peer, member] of this.#members) {
      if (member.resync !== undefined || member.next >= half) continue;
      this.#detach(peer, member);
      this.counters.lagged++;
    }
    this.#trim();
  }

  #trim(): void {
    let least = this.#log.head;
    for (const { resync, next } of this.#members.values()) if (resync === undefined && next < least) least = next;
    this.#log.trim(least);
  }

  #grow(unit: number): void {
    let length = this.advertised.length;
    while (length <= unit) length = larger(length);
    this.advertised = grown32(this.advertised, length);
    this.sources = grown16(this.sources, length);
  }
}

const NOTHING = new Uint32Array(0);
/** Plans below this get room for one message at a time. */
const FEW = 1000;
const OWN_MESSAGES = 16;
