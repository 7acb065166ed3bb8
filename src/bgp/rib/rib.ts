/**
 * The routes of one speaker: what peers say, what is chosen, what each peer is told.
 *
 * Octets in, octets out: `receive` takes an UPDATE with its header, `flush` decides what has changed, `take` gives a peer what it is owed.
 * Nothing here knows connections or reads a clock. Deciding apart from receiving is what packs: a host flushes once for all that one read
 * of its sockets has brought.
 *
 * Limits: 65,534 peers; prefixes of each, by family, and attribute sets of all (`Intake`, `AttributeStore`); a group keeps at most
 * `queueOctets` that a member has not read (`UpdateGroup`).
 */
import type { Bytes, Millis } from '../../core/index.ts';
import { invariant } from '../../core/index.ts';
import { formatPrefix, type Prefix } from '../../ip/index.ts';
import { type Family, IPV4_UNICAST, IPV6_UNICAST } from '../message/types.ts';
import type { AggregateOptions } from './aggregates.ts';
import { AttributeDraft } from './attribute-draft.ts';
import { AttributeStore } from './attribute-store.ts';
import { ALL_PATHS, type Audience } from './audience.ts';
import type { DampeningOptions } from './dampening.ts';
import { DECISION } from './decision.ts';
import { explainPrefix, type PathExplanation } from './explain.ts';
import { Exporter, type Reflection } from './exporter.ts';
import { FamilyRib, type FamilyRibOptions } from './family-rib.ts';
import type { RouteChange } from './fib.ts';
import { groupKey } from './group-key.ts';
import { Intake, type RibEvent, type Treated } from './intake.ts';
import { NextHops } from './next-hops.ts';
import type { Origination, PeerChange, RibOptions } from './options.ts';
import { OWN_WEIGHT, ownSet } from './origination.ts';
import { isPaced, ourselves, type Peer, type PeerOptions } from './peer.ts';
import { Rejudging } from './rejudging.ts';
import type { Resync } from './resync.ts';
import { UpdateEncoder } from './update-encoder.ts';
import { UpdateGroup } from './update-group.ts';

/** More than half of a full table: a receiver that reads at all gets it without leaving the log. */
export const QUEUE_OCTETS = 4 << 20;

export class Rib {
  readonly store: AttributeStore;
  readonly #options: RibOptions;
  readonly #peers: (Peer | undefined)[] = [];
  /** Families begin when a peer or a route has them. */
  readonly #families = new Map<Family, FamilyRib>();
  readonly #groups = new Map<string, { audience: Audience; family: Family }>();
  /** Keys of the groups a peer is in. */
  readonly #memberships = new Map<number, string[]>();
  /** Numbers of peers that have gone since the last flush: groups may still know them. */
  readonly #leaving: number[] = [];
  readonly #rejudging = new Rejudging((number, rib, path) => this.#rejudge(number, rib, path));
  readonly #free: number[] = [];
  readonly #intake: Intake;
  /** For all that puts sets together; nobody leaves it half done. */
  readonly #draft: AttributeDraft;
  #shared: FamilyRibOptions;
  readonly #reflection: Reflection;
  readonly #origins = new Map<string, string>();

  constructor(options: RibOptions) {
    this.#options = options;
    this.store = new AttributeStore(new NextHops(options.resolve), options.attributeOctets, options.account);
    this.#draft = new AttributeDraft(this.store);
    const { routerId, clusterId = routerId, clientToClient = true } = options;
    this.#reflection = { clusterId, clientToClient };
    this.#shared = {
      store: this.store,
      draft: this.#draft,
      peers: this.#peers,
      decision: { ...DECISION, ...options.decision },
      forwards: options.forwards ?? true,
      seed: options.seed ?? 0,
      aggregator: { localAs: options.localAs, routerId, weight: OWN_WEIGHT },
      dampening: options.dampening,
    };
    this.#intake = new Intake(this.store, this.#draft, this.#families, { ...options, clusterId });
    this.#peers[0] = ourselves(options.localAs, options.routerId);
  }

  /** A session is established. The peer is owed the table, then End-of-RIB; from the next `flush` on. */
  add(options: PeerOptions): number {
    const number = this.#free.pop() ?? this.#peers.length;
    invariant(number < 0xffff, 'there are fewer than 65,535 peers');
    const peer: Peer = { ...options, number };
    this.#peers[number] = peer;
    this.#beginFamilies(peer);
    this.#joinGroups(peer);
    return number;
  }

  /**
   * The session is gone. Families of `retain` keep their routes as stale (RFC 4724 §4.2) until `sweepStale`; the number stays the peer's
   * until `remove`.
   */
  down(number: number, retain: readonly Family[]): void {
    this.#leaveGroups(number);
    for (const [family, rib] of this.#families) {
      if (retain.includes(family)) rib.generations.mark(number);
      else rib.purge(number);
    }
  }

  /** A peer that was `down` is there again, with what its new session has settled. */
  resume(number: number, options: PeerOptions): void {
    this.#leaveGroups(number);
    const peer: Peer = { ...options, number };
    const { remoteId } = this.#peer(number);
    this.#peers[number] = peer;
    this.#beginFamilies(peer);
    if (remoteId !== peer.remoteId) for (const rib of this.#families.values()) rib.identified(number);
    this.#joinGroups(peer);
  }

  /** The peer and all it said are forgotten; its number is used again after the next flush. */
  remove(number: number): void {
    this.#leaveGroups(number);
    for (const rib of this.#families.values()) rib.purge(number);
    this.#intake.forget(number);
    this.#leaving.push(number);
  }

  receive(number: number, octets: Bytes, now: Millis): readonly RibEvent[] {
    return this.#intake.receive(this.#peer(number), octets, now);
  }

  /** RFC 7313: everything of the peer is stale until it is heard again; `sweepStale` ends it. Also RFC 4724 §4.2. */
  markStale(number: number, family: Family): void {
    this.#families.get(family)?.generations.mark(number);
  }

  sweepStale(number: number, family: Family): void {
    this.#families.get(family)?.generations.sweep(number);
  }

  /** RFC 9494 §4.2: the restart time is over, the long-lived time begins. */
  keepLongLived(number: number, family: Family): void {
    this.#families.get(family)?.generations.keep(number);
  }

  /** RFC 2918: the peer asks for everything again; `before` and `behind` are messages around it (RFC 7313). */
  refresh(number: number, family: Family, before: readonly Bytes[] = [], behind: readonly Bytes[] = []): void {
    this.groupOf(number, family)?.refresh(number, before, behind);
  }

  /**
   * Policy of a peer whose session stays is another: import is asked again from Adj-RIB-In, and what it has been told is put right. What
   * the session has settled cannot change here. What is undefined in the change is taken away, what is absent stays. The answer is what a
   * new limit says of the prefixes there are.
   */
  configure(number: number, change: PeerChange): readonly RibEvent[] {
    const old = this.#peer(number);
    const peer = { ...old, ...change, number } as Peer;
    this.#peers[number] = peer;
    this.#rejudging.begin(number, this.families);
    this.#regroup(old, peer);
    return peer.maximumPrefixes === old.maximumPrefixes ? [] : this.#intake.recount(peer);
  }

  originate(prefix: Prefix, how: Origination): void {
    const rib = this.#familyOf(prefix);
    const set = ownSet(this.#draft, how);
    rib.announce(0, rib.table.load(prefix), 0, set, set, 0, 0);
    this.store.release(set);
    this.#origins.set(formatPrefix(prefix), how.why);
  }

  withdraw(prefix: Prefix): void {
    const rib = this.#familyOf(prefix);
    rib.withdraw(0, rib.table.load(prefix), 0);
    this.#origins.delete(formatPrefix(prefix));
  }

  /** Aggregates are these and no others. */
  aggregate(wanted: readonly AggregateOptions[]): void {
    for (const { prefix } of wanted) this.#familyOf(prefix);
    for (const [family, rib] of this.#families)
      rib.aggregates.configure(wanted.filter(({ prefix }) => familyOfPrefix(prefix) === family));
  }

  /** The ways to next hops may be others (RFC 4271 §9.1.2.1). */
  nextHopsChanged(): void {
    const changed = this.store.hops.refresh();
    if (changed.size > 0) for (const rib of this.#families.values()) rib.touchHops(changed);
  }

  /** RFC 2439 by other rules, or none; the routes are chosen with the next `flush`. */
  dampen(dampening: DampeningOptions | undefined, now: Millis): void {
    this.#shared = { ...this.#shared, dampening };
    for (const rib of this.#families.values()) rib.dampen(dampening, now);
  }

  /** When routes that are damped may be used again. */
  get reuseAt(): Millis | undefined {
    let first: Millis | undefined;
    for (const { dampening } of this.#families.values()) {
      const next = dampening?.next;
      if (next !== undefined && (first === undefined || next < first)) first = next;
    }
    return first;
  }

  /** RFC 2439 §4.8.7; the routes are chosen with the next `flush`. */
  reuse(now: Millis): void {
    for (const rib of this.#families.values()) rib.reuse(now);
  }

  /** RFC 4724 §4.1: until `choose` what comes is kept, nothing is chosen and nobody told anything, not even End-of-RIB. Which families that are. */
  defer(): readonly Family[] {
    const families = this.#options.families ?? FAMILIES;
    for (const family of families) this.family(family)!.deferred = true;
    return families;
  }

  /** Routes of the family are chosen with the next `flush`. */
  choose(family: Family): void {
    this.#families.get(family)!.deferred = false;
  }

  /** Decides every prefix that has changed and encodes what groups are told of it. False: there is more than about `limit` of it. */
  flush(limit: number = Number.POSITIVE_INFINITY): boolean {
    this.#rejudging.proceed(limit);
    let left = limit;
    for (const rib of this.#families.values()) if (left > 0) left -= rib.flush(left);
    this.store.report();
    if (!this.isSettled) return false;
    // What has not been decided still has the numbers of peers that have gone.
    if (this.families.some(({ deferred }) => deferred)) return true;
    for (const number of this.#leaving.splice(0)) {
      this.#peers[number] = undefined;
      this.#free.push(number);
    }
    return true;
  }

  /** What has gone gives back at once all that it holds: there is no room left. */
  giveBack(): void {
    this.#intake.giveBack();
    this.store.report();
  }

  /** Nothing waits for `flush`. */
  get isSettled(): boolean {
    return !this.#rejudging.waits && this.families.every(({ isSettled }) => isSettled);
  }

  /** Changes that wait for `takeRoutes`. */
  get routesWaiting(): number {
    let waiting = 0;
    for (const { fib } of this.#families.values()) waiting += fib?.waiting ?? 0;
    return waiting;
  }

  /** Octets for a peer, whole UPDATEs: about `room` of them. They are shared between peers and may not be changed. */
  take(number: number, room: number): Bytes[] {
    const out: Bytes[] = [];
    let left = room;
    for (const group of this.spokenTo(number)) {
      if (left <= 0) break;
      for (const octets of group.take(number, left)) {
        out.push(octets);
        left -= octets.length;
      }
    }
    return out;
  }

  hasOutput(number: number): boolean {
    return this.spokenTo(number).some((group) => group.hasOutput(number));
  }

  /** The groups of a peer, once they know all there is, but for families of which nobody is told anything yet. */
  spokenTo(number: number): readonly UpdateGroup[] {
    const entries = (this.#memberships.get(number) ?? []).map((key) => this.#groups.get(key)!);
    const chosen = entries.filter(({ family }) => !this.#families.get(family)!.deferred);
    return chosen.some(({ audience }) => audience.next !== undefined)
      ? []
      : chosen.map(({ audience }) => audience.group);
  }

  /** Changes of routes for forwarding, at most `limit`. */
  takeRoutes(limit: number): RouteChange[] {
    const out: RouteChange[] = [];
    for (const rib of this.#families.values()) rib.fib?.take(limit - out.length, out, (row) => rib.touch(row));
    return out;
  }

  /** Every path of a prefix, the best first, and why it is or is not the best. */
  explain(prefix: Prefix): readonly PathExplanation[] {
    return explainPrefix(this.#familyOf(prefix), prefix, this.#peers, this.store, this.#intake, (text) =>
      this.#origins.get(text),
    );
  }

  /** What import makes of a path, in words. */
  explainImport(rib: FamilyRib, path: number): string {
    const owner = rib.paths.owner(path);
    return owner === 0 ? 'our own' : this.#intake.explain(this.#peer(owner), rib, path);
  }

  /** What a peer has been told of a prefix, or is about to be: numbers of sets. */
  toldTo(number: number, prefix: Prefix): readonly number[] {
    const rib = this.#familyOf(prefix);
    const row = rib.table.find(rib.table.load(prefix));
    const group = this.groupOf(number, rib.family);
    if (row === 0 || group === undefined) return [];
    const units = group.addPath ? rib.pathsOf(row) : [row];
    return units.map((unit) => group.toldTo(number, unit)).filter((set) => set !== 0);
  }

  /** The group that a peer is in; undefined while its session is down, and where that does not have the family. */
  groupOf(number: number, family: Family): UpdateGroup | undefined {
    for (const key of this.#memberships.get(number) ?? []) {
      const entry = this.#groups.get(key)!;
      if (entry.family === family) return entry.audience.group;
    }
    return undefined;
  }

  get families(): readonly FamilyRib[] {
    return [...this.#families.values()];
  }

  family(family: Family): FamilyRib | undefined {
    const known = this.#families.get(family);
    if (known !== undefined || !(this.#options.families ?? FAMILIES).includes(family)) return known;
    const begun = new FamilyRib(family, this.#shared);
    this.#families.set(family, begun);
    return begun;
  }

  treated(number: number): Treated {
    return this.#intake.treated(number);
  }

  peer(number: number): Peer | undefined {
    return this.#peers[number];
  }

  /** Groups with members, for people and tests. */
  get groups(): readonly UpdateGroup[] {
    return [...this.#groups.values()].map(({ audience }) => audience.group);
  }

  get octets(): number {
    return [...this.#families.values()].reduce((sum, rib) => sum + rib.octets, this.store.octets);
  }

  #peer(number: number): Peer {
    const peer = this.#peers[number];
    invariant(peer !== undefined && number !== 0, 'a peer is known by its number');
    return peer;
  }

  #familyOf(prefix: Prefix): FamilyRib {
    const rib = this.family(familyOfPrefix(prefix));
    invariant(rib !== undefined, 'the tables have the family of the prefix');
    return rib;
  }

  #beginFamilies({ receive, send }: Peer): void {
    for (const family of [...receive.families, ...send.families]) this.family(family);
  }

  #rejudge(number: number, rib: FamilyRib, path: number): void {
    const { after, flags } = this.#intake.judge(this.#peer(number), rib, path);
    rib.rejudge(path, after, flags);
    this.store.release(after);
  }

  /** A peer that is told something else now leaves its groups with what it has been told. */
  #regroup(old: Peer, peer: Peer): void {
    const keys = this.#memberships.get(peer.number);
    if (keys === undefined) return;
    const owed = new Map<Family, Resync>();
    for (const key of keys) {
      const { audience, family } = this.#groups.get(key)!;
      if (groupKey(peer, family) === key) continue;
      const resync = audience.group.move(peer.number);
      if (resync !== undefined) owed.set(family, resync);
    }
    this.#joinGroups(peer, owed);
    for (const family of owed.keys()) this.#endIfEmpty(groupKey(old, family));
  }

  #joinGroups(peer: Peer, owed: ReadonlyMap<Family, Resync> = new Map()): void {
    const keys: string[] = [];
    for (const [family, rib] of this.#families) {
      if (!peer.send.families.includes(family)) continue;
      if (peer.defaultOriginate === true) this.#holdDefault(rib);
      const key = groupKey(peer, family);
      keys.push(key);
      if (this.#memberships.get(peer.number)?.includes(key)) continue;
      let entry = this.#groups.get(key);
      if (entry === undefined) {
        entry = { audience: this.#audience(peer, family, rib), family };
        this.#groups.set(key, entry);
        rib.audiences.push(entry.audience);
      }
      entry.audience.group.join(peer.number, owed.get(family));
    }
    this.#memberships.set(peer.number, keys);
  }

  #holdDefault(rib: FamilyRib): void {
    const set = ownSet(this.#draft, { why: '' });
    rib.holdDefault(set);
    this.store.release(set);
  }

  #audience(peer: Peer, family: Family, rib: FamilyRib): Audience {
    const { store } = this;
    const exporter = new Exporter(
      store,
      this.#draft,
      rib.paths,
      rib.table,
      this.#peers,
      family,
      peer,
      this.#reflection,
    );
    const encoder = new UpdateEncoder(family, peer.send, store, rib.table, rib.paths);
    const addPath = peer.send.addPath.includes(family);
    const limit = this.#options.queueOctets ?? QUEUE_OCTETS;
    const group = new UpdateGroup(store, exporter, encoder, rib.changes, addPath, isPaced(peer), limit);
    group.onTold = (unit) => rib.touch(addPath ? rib.paths.rows[unit]! : unit);
    return { group, best: addPath ? (peer.addPaths ?? ALL_PATHS) : 0, next: 1 };
  }

  #leaveGroups(number: number): void {
    for (const key of this.#memberships.get(number) ?? []) {
      this.#groups.get(key)!.audience.group.leave(number);
      this.#endIfEmpty(key);
    }
    this.#memberships.delete(number);
  }

  #endIfEmpty(key: string): void {
    const entry = this.#groups.get(key);
    if (entry === undefined || entry.audience.group.size > 0) return;
    this.#groups.delete(key);
    this.#families.get(entry.family)!.end(entry.audience);
  }
}

const familyOfPrefix = ({ address }: Prefix): Family => (address.length === 4 ? IPV4_UNICAST : IPV6_UNICAST);

const FAMILIES: readonly Family[] = [IPV4_UNICAST, IPV6_UNICAST];
