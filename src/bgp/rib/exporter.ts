/**
 * What a path becomes for an update group: whether it may go there, export policy, and the attributes of RFC 4271 §5.1.
 *
 * Read first: RFC 4271 §5.1, §9.2; RFC 4456 §8, §10; RFC 1997; RFC 8212; RFC 9494 §4.5. The answer for an attribute set is kept, beside
 * what else it depends on, as long as the set lives.
 */
import type { Bytes } from '../../core/index.ts';
import { contains } from '../../ip/index.ts';
import { standardCommunity } from '../message/community.ts';
import { ATTRIBUTE, COMMUNITY } from '../message/iana.ts';
import { type Family, IPV4_UNICAST } from '../message/types.ts';
import { addCommunity } from '../policy/community.ts';
import type { Outcome, Policy } from '../policy/policy.ts';
import { isConfederate, withoutConfederation } from './as-path.ts';
import { type AttributeDraft, TOO_LONG } from './attribute-draft.ts';
import { type AttributeStore, SET } from './attribute-store.ts';
import { grown32 } from './columns.ts';
import { PATH, type PathTable } from './path-table.ts';
import { isInternal, type Peer } from './peer.ts';
import type { PrefixTable } from './prefix-table.ts';

export interface Reflection {
  readonly clusterId: number;
  /** Whether routes of clients go to other clients. */
  readonly clientToClient: boolean;
}

export class Exporter {
  readonly #store: AttributeStore;
  readonly #peers: readonly (Peer | undefined)[];
  readonly #paths: PathTable;
  readonly #table: PrefixTable;
  readonly #family: Family;
  readonly #to: Peer;
  readonly #isInternal: boolean;
  readonly #policy: Policy | undefined;
  readonly #reflection: Reflection;
  readonly #draft: AttributeDraft;
  /** By set: what the answer beside it holds for, plus 1. */
  #kinds: Uint32Array = new Uint32Array(8);
  #signatures: Uint32Array = new Uint32Array(8);
  #answers: Uint32Array = new Uint32Array(8);
  /** The set of `exportDefault`, once it was asked for. */
  #default = 0;
  readonly #forget = (id: number): void => this.#drop(id);

  /** `to` stands for all members of the group. */
  constructor(
    store: AttributeStore,
    draft: AttributeDraft,
    paths: PathTable,
    table: PrefixTable,
    peers: readonly (Peer | undefined)[],
    family: Family,
    to: Peer,
    reflection: Reflection,
  ) {
    this.#store = store;
    this.#paths = paths;
    this.#table = table;
    this.#peers = peers;
    this.#family = family;
    this.#to = to;
    this.#isInternal = isInternal(to.kind);
    this.#policy = to.export;
    this.#reflection = reflection;
    this.#draft = draft;
    store.freed.push(this.#forget);
  }

  /** The set to be sent for a path, or 0. It lives as long as the set of the path, at least until that gets another answer. */
  export(path: number): number {
    const set = this.#paths.after[path]!;
    const from = this.#peers[this.#paths.owner(path)]!;
    const kind = this.#kind(from, (this.#paths.flags[path]! & PATH.longLived) !== 0);
    if (kind === 0) return 0;
    const signature = this.#policy?.byPrefix ? this.#signature(this.#paths.rows[path]!) : 0;
    if (set >= this.#kinds.length) this.#grow();
    if (this.#kinds[set] === kind && this.#signatures[set] === signature) return this.#answers[set]!;
    const answer = this.#work(set, from, signature, (kind & LONG_LIVED) !== 0);
    // A set that is its own answer would never be free if its answer held it.
    if (answer === set) this.#store.release(answer);
    this.#replace(set, answer);
    this.#kinds[set] = kind;
    this.#signatures[set] = signature;
    return answer;
  }

  /** Whether the group is told a default route whatever routes there are. */
  get tellsDefault(): boolean {
    return this.#to.defaultOriginate === true;
  }

  /** The set to be sent for the default route that is always told, or 0. Policy is not asked. The reference is the exporter's. */
  exportDefault(path: number): number {
    if (!this.tellsDefault || this.#default !== 0) return this.#default;
    const draft = this.#draft;
    draft.load(this.#paths.before[path]!);
    draft.weight = 0;
    draft.hop(this.#self() ?? NO_ADDRESS);
    if (!this.#fits(draft.hopLength)) return 0;
    if (this.#to.kind === 'external') this.#outward();
    else this.#inward(undefined);
    this.#default = draft.commit();
    return this.#default;
  }

  /** Why a path does not go to the group, or what is sent of it. For people; keeps nothing. */
  explain(path: number): string {
    const set = this.#paths.after[path]!;
    const from = this.#peers[this.#paths.owner(path)]!;
    if (this.#kind(from, false) === 0)
      return 'routes of internal peers go to clients and external peers only (RFC 4456)';
    const signature = this.#policy?.byPrefix ? this.#signature(this.#paths.rows[path]!) : 0;
    const { accept, why } = this.#shape(set, from, signature, (this.#paths.flags[path]! & PATH.longLived) !== 0);
    return accept && this.#draft.isTooLong ? TOO_LONG : why;
  }

  /** What was worked out for routes of a peer does not hold any more. */
  forget(peer: number): void {
    for (const [set, kind] of this.#kinds.entries()) if (kind >>> 3 === peer) this.#drop(set);
  }

  end(): void {
    this.#store.freed.splice(this.#store.freed.indexOf(this.#forget), 1);
    const answers = this.#answers;
    for (let set = 0; set < answers.length; set++) if (answers[set] !== set) this.#store.release(answers[set]!);
    this.#store.release(this.#default);
    this.#answers = new Uint32Array(0);
  }

  /** 0: not at all; otherwise all that an answer depends on beside the set and the prefix. */
  #kind(from: Peer, longLived: boolean): number {
    const stale = longLived ? LONG_LIVED : 0;
    if (!this.#isInternal || !isInternal(from.kind)) return (from.kind === 'local' ? 1 : 2) | stale;
    if (from.kind === 'internal' && this.#to.kind === 'internal') return 0;
    if (from.kind === 'client' && this.#to.kind === 'client' && !this.#reflection.clientToClient) return 0;
    return (from.number << 3) | 3 | stale;
  }

  #signature(row: number): number {
    this.#table.fetch(row);
    return this.#policy!.signature(this.#table.key, this.#table.lengths[row]!);
  }

  /** Well-known communities that keep a route here. */
  #held(set: number): string | undefined {
    const flags = this.#store.flags[set]!;
    if ((flags & SET.noAdvertise) !== 0) return 'NO_ADVERTISE (RFC 1997)';
    if (this.#to.kind !== 'external') return undefined;
    if ((flags & SET.noExport) !== 0) return 'NO_EXPORT (RFC 1997)';
    return (flags & SET.noExportSubconfed) !== 0 ? 'NO_EXPORT_SUBCONFED (RFC 1997)' : undefined;
  }

  #work(set: number, from: Peer, signature: number, longLived: boolean): number {
    return this.#shape(set, from, signature, longLived).accept ? this.#draft.commit() : 0;
  }

  /** Whether it goes out, and why or why not; what goes out is in the draft then. */
  #shape(set: number, from: Peer, signature: number, longLived: boolean): Pick<Outcome, 'accept' | 'why'> {
    const to = this.#to;
    const stale = longLived || (this.#store.flags[set]! & SET.llgrStale) !== 0;
    const held = this.#held(set);
    if (held !== undefined) return { accept: false, why: held };
    if (stale && to.longLived !== true) return STALE;
    if (this.#policy === undefined && to.kind === 'external') return NO_POLICY;
    const draft = this.#draft;
    draft.load(set);
    draft.weight = 0;
    const origin = draft.hopLength === 0 ? undefined : this.#store.nextHop(set);
    // RFC 4271 §5.1.4: a MED that another AS has set goes no further; policy may set one of our own.
    if (to.kind === 'external' && from.kind !== 'local') draft.drop(ATTRIBUTE.MULTI_EXIT_DISC);
    const received = isInternal(from.kind) && isInternal(to.kind);
    const self = this.#self();
    if (!received) this.#nextHop(origin, self);
    const outcome = this.#policy?.run(this.#store, set, signature, draft, self ?? NO_ADDRESS) ?? SENT;
    if (!outcome.accept) return outcome;
    if (!this.#fits(draft.hopLength)) return NO_NEXT_HOP;
    if (stale) addCommunity(draft, LLGR_STALE);
    if (to.kind === 'external') this.#outward();
    else this.#inward(received ? from : undefined);
    return outcome;
  }

  /** RFC 4271 §5.1.2, §5.1.5; RFC 4456 §8: what an AS keeps to itself. */
  #outward(): void {
    const draft = this.#draft;
    draft.drop(ATTRIBUTE.LOCAL_PREF);
    draft.drop(ATTRIBUTE.ORIGINATOR_ID);
    draft.drop(ATTRIBUTE.CLUSTER_LIST);
    // RFC 5065 §4.1: what is within a confederation stays there.
    const path = draft.value(ATTRIBUTE.AS_PATH) ?? NO_ADDRESS;
    if (isConfederate(path, 0, path.length)) draft.set(ATTRIBUTE.AS_PATH, 0x40, withoutConfederation(path));
    draft.prepend(this.#to.localAs);
  }

  #inward(reflectedFrom: Peer | undefined): void {
    const draft = this.#draft;
    if (!draft.has(ATTRIBUTE.LOCAL_PREF)) draft.setWord(ATTRIBUTE.LOCAL_PREF, 0x40, 100);
    if (!draft.has(ATTRIBUTE.AS_PATH)) draft.set(ATTRIBUTE.AS_PATH, 0x40, NO_ADDRESS);
    if (reflectedFrom === undefined) return;
    if (!draft.has(ATTRIBUTE.ORIGINATOR_ID)) draft.setWord(ATTRIBUTE.ORIGINATOR_ID, 0x80, reflectedFrom.remoteId);
    const list = draft.value(ATTRIBUTE.CLUSTER_LIST) ?? NO_ADDRESS;
    const longer = new Uint8Array(list.length + 4);
    new DataView(longer.buffer).setUint32(0, this.#reflection.clusterId);
    longer.set(list, 4);
    draft.set(ATTRIBUTE.CLUSTER_LIST, 0x80, longer);
  }

  /** RFC 4271 §5.1.3; the next hop of a set that is not ours stays towards internal peers and on a shared subnet. */
  #nextHop(origin: Bytes | undefined, self: Bytes | undefined): void {
    const { nextHop = 'auto', kind, shared } = this.#to;
    const stays =
      origin !== undefined &&
      (nextHop === 'unchanged' ||
        (nextHop === 'auto' && (kind !== 'external' || (shared !== undefined && contains(shared, origin)))));
    if (!stays) this.#draft.hop(self ?? NO_ADDRESS);
  }

  /** Our address as the next hop of this family. */
  #self(): Bytes | undefined {
    const { localAddress, otherAddress } = this.#to;
    const wanted = this.#family === IPV4_UNICAST ? 4 : 16;
    const candidates = [localAddress, otherAddress];
    return (
      candidates.find((a) => a?.length === wanted) ?? candidates.find((a) => a !== undefined && this.#fits(a.length))
    );
  }

  #fits(length: number): boolean {
    if (length === (this.#family === IPV4_UNICAST ? 4 : 16)) return true;
    return length === 16 && (this.#to.extendedNextHop ?? []).includes(this.#family);
  }

  #drop(id: number): void {
    if (id >= this.#kinds.length || this.#kinds[id] === 0) return;
    this.#kinds[id] = 0;
    this.#replace(id, 0);
  }

  #replace(set: number, answer: number): void {
    const old = this.#answers[set]!;
    this.#answers[set] = answer;
    if (old !== set) this.#store.release(old);
  }

  #grow(): void {
    const length = this.#store.references.length;
    this.#kinds = grown32(this.#kinds, length);
    this.#signatures = grown32(this.#signatures, length);
    this.#answers = grown32(this.#answers, length);
  }
}

const NO_ADDRESS: Bytes = new Uint8Array(0);
const LONG_LIVED = 4;
const LLGR_STALE = standardCommunity(COMMUNITY.LLGR_STALE);
const SENT = { accept: true, why: 'sent' };
const STALE = { accept: false, why: 'long-lived stale, and the peer does not keep such routes (RFC 9494 §4.5)' };
const NO_POLICY = { accept: false, why: 'no export policy (RFC 8212)' };
const NO_NEXT_HOP = { accept: false, why: 'no next hop that the session can carry (RFC 4760 §3, RFC 8950 §4)' };
