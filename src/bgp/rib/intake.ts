/**
 * An UPDATE of a peer, from octets into the tables.
 *
 * Read first: RFC 4271 §6.3, §9; RFC 7606 §3, §5; RFC 7911 §3; RFC 4456 §8; RFC 8212; RFC 2439. Nothing is changed before every prefix of the
 * message has been looked at, so a malformed one that ends the session leaves no half of itself behind.
 * Limits: prefixes of a peer and family, and octets of attribute sets (`AttributeStore`), of this router and of all. Beyond either the session ends that has said more,
 * with all its routes (RFC 4486 subcodes 1 and 8); who says again what there is already is left alone.
 */
import { type Bytes, type Millis, putU32, sameBytes, u16 } from '../../core/index.ts';
import { notification } from '../message/fault.ts';
import { CEASE, ERROR, HEADER_LENGTH, UPDATE_ERROR } from '../message/iana.ts';
import { type Family, IPV4_UNICAST, type NotificationMessage } from '../message/types.ts';
import { decodeUpdate } from '../message/update.ts';
import { type AttributeDraft, TOO_LONG } from './attribute-draft.ts';
import { AttributeScan } from './attribute-scan.ts';
import { type AttributeStore, word } from './attribute-store.ts';
import type { Dampening, News } from './dampening.ts';
import type { FamilyRib } from './family-rib.ts';
import { PATH } from './path-table.ts';
import { isInternal, type Peer } from './peer.ts';

export type RibEvent =
  /** The session ends (`SessionEvent` `fault`). */
  | { readonly type: 'fault'; readonly notification: NotificationMessage; readonly why: string }
  /** RFC 4724 §2. */
  | { readonly type: 'endOfRib'; readonly family: Family }
  /** RFC 7606: something was discarded, or routes were withdrawn because of it. */
  | { readonly type: 'treated'; readonly treatment: 'discard' | 'withdraw'; readonly why: string }
  | { readonly type: 'nearLimit'; readonly family: Family; readonly prefixes: number; readonly maximum: number };

/** UPDATEs of a peer with attributes discarded, or treated as withdraw (RFC 7606), and why the last one was; '' where there is none. */
export interface Treated {
  readonly discard: number;
  readonly withdraw: number;
  readonly why: string;
}

/** Prefixes of a family that a peer may have where nobody says how many: more than there are in the Internet. */
export const MAXIMUM_PREFIXES = 1_500_000;

export interface Identity {
  readonly localAs: number;
  readonly routerId: number;
  readonly clusterId: number;
}

export class Intake {
  readonly #store: AttributeStore;
  readonly #families: ReadonlyMap<Family, FamilyRib>;
  readonly #identity: Identity;
  readonly #scan: AttributeScan;
  readonly #draft: AttributeDraft;
  #events: RibEvent[] = [];
  /** Of the set that is being announced: its number after policy by signature. */
  readonly #judged = new Map<number, number>();
  /** Peers that have been told how near their limit is. */
  readonly #warned = new Map<FamilyRib, Set<number>>();
  readonly #treated = new Map<number, { discard: number; withdraw: number; why: string }>();

  constructor(
    store: AttributeStore,
    draft: AttributeDraft,
    families: ReadonlyMap<Family, FamilyRib>,
    identity: Identity,
  ) {
    this.#store = store;
    this.#families = families;
    this.#identity = identity;
    this.#scan = new AttributeScan(store);
    this.#draft = draft;
  }

  /** `octets` is a whole UPDATE, header included; only used during the call. */
  receive(peer: Peer, octets: Bytes, now: Millis): readonly RibEvent[] {
    if (this.#events.length > 0) this.#events = [];
    const end = octets.length;
    const withdrawnAt = HEADER_LENGTH + 2;
    const attributesAt = end < HEADER_LENGTH + 4 ? end : withdrawnAt + u16(octets, HEADER_LENGTH) + 2;
    if (end < HEADER_LENGTH + 4 || attributesAt > end) return [reset(peer, octets)];
    const nlriAt = attributesAt + u16(octets, attributesAt - 2);
    if (nlriAt > end) return [reset(peer, octets)];
    const scan = this.#scan;
    scan.walk(octets, attributesAt, nlriAt, peer.receive, nlriAt < end);
    if (this.#resets(peer, octets, withdrawnAt, attributesAt - 2, nlriAt)) return [reset(peer, octets)];
    this.#withdraw(peer, IPV4_UNICAST, octets, withdrawnAt, attributesAt - 2, now);
    if (scan.unreach.family !== 0)
      this.#withdraw(peer, scan.unreach.family, octets, scan.unreach.start, scan.unreach.end, now);
    if (nlriAt < end) this.#reached(peer, IPV4_UNICAST, octets, nlriAt, end, false, now);
    if (scan.reach.family !== 0)
      this.#reached(peer, scan.reach.family, octets, scan.reach.start, scan.reach.end, true, now);
    const isEmpty = attributesAt === withdrawnAt + 2 && nlriAt === end;
    const ended = end === HEADER_LENGTH + 4 ? IPV4_UNICAST : isEmpty && scan.isEndOfRib ? scan.unreach.family : 0;
    if (peer.receive.families.includes(ended)) this.#events.push({ type: 'endOfRib', family: ended });
    const { treatment } = scan;
    if (treatment === 'discard' || treatment === 'withdraw') this.#tell(peer, treatment, scan.why);
    return this.#events.length === 0 ? NOTHING : this.#events;
  }

  /** Import again: what the path is after policy, with one reference, and its flags. */
  judge(peer: Peer, rib: FamilyRib, path: number): { after: number; flags: number } {
    const before = rib.paths.before[path]!;
    const row = rib.paths.rows[path]!;
    rib.table.fetch(row);
    const looped = this.#loops(peer, before);
    const kept = rib.paths.flags[path]! & KEPT;
    if (looped) return { after: 0, flags: kept | PATH.looped };
    const signature = peer.import?.byPrefix ? peer.import.signature(rib.table.key, rib.table.lengths[row]!) : 0;
    const after = this.#import(peer, before, signature);
    return { after, flags: after === 0 ? kept | PATH.refused : kept };
  }

  /** What the limit of a peer, which is another now, says of the prefixes it has. */
  recount(peer: Peer): readonly RibEvent[] {
    if (this.#events.length > 0) this.#events = [];
    for (const rib of this.#families.values()) this.#count(peer, rib);
    return this.#events;
  }

  /** UPDATEs of a peer that RFC 7606 has let pass, but for what was wrong with them. */
  treated(peer: number): Treated {
    const { discard = 0, withdraw = 0, why = '' } = this.#treated.get(peer) ?? {};
    return { discard, withdraw, why };
  }

  /** Its number may be another peer's from now on. */
  forget(peer: number): void {
    this.#treated.delete(peer);
    for (const warned of this.#warned.values()) warned.delete(peer);
  }

  /** For people: what import makes of a set. */
  explain(peer: Peer, rib: FamilyRib, path: number): string {
    const before = rib.paths.before[path]!;
    if (this.#isByUs(peer, before)) return 'its next hop is our own address (RFC 4271 §5.1.3)';
    if (this.#loops(peer, before))
      return 'our AS, identifier or cluster is in it: a loop (RFC 4271 §9.1.2, RFC 4456 §8)';
    if (peer.import === undefined) return peer.kind === 'external' ? 'no import policy (RFC 8212)' : 'accepted';
    const row = rib.paths.rows[path]!;
    rib.table.fetch(row);
    this.#draft.load(before);
    const signature = peer.import.signature(rib.table.key, rib.table.lengths[row]!);
    const { accept, why } = peer.import.run(this.#store, before, signature, this.#draft, peer.localAddress);
    return accept && this.#draft.isTooLong ? `${why}, but ${TOO_LONG}` : why;
  }

  /** Whether the message ends the session. */
  #resets(peer: Peer, octets: Bytes, withdrawnAt: number, withdrawnEnd: number, nlriAt: number): boolean {
    const { reach, unreach, treatment } = this.#scan;
    if (treatment === 'reset') return true;
    const nlri = nlriAt < octets.length || (reach.family !== 0 && reach.start < reach.end);
    // RFC 7606 §5.2: without a reachable prefix, whatever is withdrawn, it is not certain that there was none.
    if (treatment === 'withdraw' && !nlri) return true;
    const sound =
      this.#sound(peer, IPV4_UNICAST, octets, withdrawnAt, withdrawnEnd) &&
      this.#sound(peer, IPV4_UNICAST, octets, nlriAt, octets.length) &&
      this.#sound(peer, unreach.family, octets, unreach.start, unreach.end) &&
      this.#sound(peer, reach.family, octets, reach.start, reach.end);
    return !sound;
  }

  /** RFC 7606 §5.3. Families that the session does not have are not looked at. */
  #sound(peer: Peer, family: Family, octets: Bytes, start: number, end: number): boolean {
    if (start === end || family === 0 || !peer.receive.families.includes(family)) return true;
    if (!this.#families.has(family)) return true;
    const longest = family === IPV4_UNICAST ? 32 : 128;
    const id = peer.receive.addPath.includes(family) ? 4 : 0;
    let at = start;
    while (at < end) {
      at += id;
      if (at >= end || octets[at]! > longest) return false;
      at += 1 + ((octets[at]! + 7) >>> 3);
    }
    return at === end;
  }

  #withdraw(peer: Peer, family: Family, octets: Bytes, start: number, end: number, now: Millis): void {
    const rib = this.#rib(peer, family);
    if (rib === undefined) return;
    const dampening = dampeningOf(peer, rib);
    const withId = peer.receive.addPath.includes(family);
    for (let at = start; at < end; ) {
      const id = withId ? word(octets, at) : 0;
      if (withId) at += 4;
      const length = octets[at]!;
      rib.table.read(octets, at + 1, length);
      if (dampening !== undefined && rib.pathOf(peer.number, length, id) !== 0)
        dampening.withdrawn(peer.number, id, rib.table.key, length, now);
      rib.withdraw(peer.number, length, id);
      at += 1 + ((length + 7) >>> 3);
    }
  }

  #reached(
    peer: Peer,
    family: Family,
    octets: Bytes,
    start: number,
    end: number,
    multiprotocol: boolean,
    now: Millis,
  ): void {
    if (this.#scan.treatment === 'withdraw') return this.#withdraw(peer, family, octets, start, end, now);
    const rib = this.#rib(peer, family);
    if (rib === undefined) return;
    const set = this.#scan.commit(multiprotocol);
    if (this.#store.references[set] === 1 && this.#isFull()) this.#refuse();
    else if (this.#firstAsIsWrong(peer, set)) {
      this.#withdraw(peer, family, octets, start, end, now);
      this.#tell(peer, 'withdraw', 'AS_PATH does not begin with the AS of the peer');
    } else this.#announce(peer, rib, octets, start, end, set, now);
    this.#store.release(set);
  }

  /** Even where what has gone has given back all that it held. */
  #isFull(): boolean {
    if (!this.#store.isFull) return false;
    this.giveBack();
    return this.#store.isFull;
  }

  /** What has gone gives back all that it holds. */
  giveBack(): void {
    for (const rib of this.#families.values()) rib.clear(Number.POSITIVE_INFINITY);
  }

  /** RFC 4486 subcode 8: there is no room for a set that nobody else has. */
  #refuse(): void {
    const owed = notification(ERROR.CEASE, CEASE.OUT_OF_RESOURCES);
    this.#events.push({ type: 'fault', notification: owed, why: this.#store.refuse() });
  }

  #announce(peer: Peer, rib: FamilyRib, octets: Bytes, start: number, end: number, set: number, now: Millis): void {
    const withId = peer.receive.addPath.includes(rib.family);
    const looped = this.#loops(peer, set);
    const policy = looped ? undefined : peer.import;
    const dampening = dampeningOf(peer, rib);
    const judged = this.#judged;
    let after = looped || policy?.byPrefix ? 0 : this.#import(peer, set, 0);
    if (after !== 0) judged.set(0, after);
    for (let at = start; at < end; ) {
      const id = withId ? word(octets, at) : 0;
      if (withId) at += 4;
      const length = octets[at]!;
      rib.table.read(octets, at + 1, length);
      at += 1 + ((length + 7) >>> 3);
      if (policy?.byPrefix) {
        const signature = policy.signature(rib.table.key, length);
        after = judged.get(signature) ?? this.#import(peer, set, signature);
        judged.set(signature, after);
      }
      const refused = looped ? PATH.looped : after === 0 ? PATH.refused : 0;
      const damped =
        dampening?.heard(peer.number, id, rib.table.key, length, newsOf(rib, peer, length, id, set), now) === true;
      const flags = damped ? refused | PATH.damped : refused;
      rib.announce(peer.number, length, id, set, after, flags, now);
    }
    for (const each of judged.values()) this.#store.release(each);
    judged.clear();
    this.#count(peer, rib);
  }

  /** The set after import policy, with one reference; 0: refused. */
  #import(peer: Peer, set: number, signature: number): number {
    const policy = peer.import;
    if (policy === undefined && peer.kind === 'external') return 0;
    if (policy !== undefined && policy.key !== 'all') {
      this.#draft.load(set);
      const outcome = policy.run(this.#store, set, signature, this.#draft, peer.localAddress);
      if (!outcome.accept) return 0;
      if (outcome.changed) return this.#draft.commit();
    }
    this.#store.retain(set);
    return set;
  }

  #loops(peer: Peer, set: number): boolean {
    const store = this.#store;
    const { localAs } = this.#identity;
    const allowed = peer.allowOwnAs ?? 0;
    if (store.occurrences(set, localAs) > allowed) return true;
    // The AS that this peer alone knows us by.
    if (peer.localAs !== localAs && store.occurrences(set, peer.localAs) > allowed) return true;
    if (this.#isByUs(peer, set)) return true;
    if (!isInternal(peer.kind)) return false;
    return store.originators[set] === this.#identity.routerId || store.hasCluster(set, this.#identity.clusterId);
  }

  #isByUs(peer: Peer, set: number): boolean {
    const { hops, nextHops } = this.#store;
    return sameBytes(hops.at(nextHops[set]!).address, peer.localAddress);
  }

  #tell(peer: Peer, treatment: 'discard' | 'withdraw', why: string): void {
    const treated = this.#treated.get(peer.number) ?? { discard: 0, withdraw: 0, why };
    this.#treated.set(peer.number, treated);
    treated[treatment] += 1;
    treated.why = why;
    this.#events.push({ type: 'treated', treatment, why });
  }

  #firstAsIsWrong(peer: Peer, set: number): boolean {
    return peer.kind === 'external' && (peer.enforceFirstAs ?? true) && this.#store.neighbours[set] !== peer.remoteAs;
  }

  /** RFC 4486 §4: subcode 1, with family and limit as data. A word before is said once, until there are fewer again. */
  #count(peer: Peer, rib: FamilyRib): void {
    const maximum = peer.maximumPrefixes ?? MAXIMUM_PREFIXES;
    const prefixes = rib.countOf(peer.number);
    const { family } = rib;
    if (prefixes > maximum) {
      const data = Uint8Array.of(family >>> 16, family >>> 8, family, 0, 0, 0, 0);
      putU32(data, 3, maximum);
      const owed = notification(ERROR.CEASE, CEASE.MAXIMUM_PREFIXES, data);
      this.#events.push({ type: 'fault', notification: owed, why: `${prefixes} prefixes, ${maximum} are allowed` });
    }
    const near = prefixes > maximum * (peer.warnAt ?? 0.75);
    const said = this.#warned.get(rib)?.has(peer.number) === true;
    if (near === said) return;
    const warned = this.#warned.get(rib) ?? new Set();
    this.#warned.set(rib, warned);
    if (!near) warned.delete(peer.number);
    else warned.add(peer.number);
    if (near && prefixes <= maximum) this.#events.push({ type: 'nearLimit', family, prefixes, maximum });
  }

  #rib(peer: Peer, family: Family): FamilyRib | undefined {
    return peer.receive.families.includes(family) ? this.#families.get(family) : undefined;
  }
}

/** The codec, which need not be fast for it, says what is owed and why: RFC 4271 §6.3 with its data. */
function reset(peer: Peer, octets: Bytes): RibEvent {
  const decoded = decodeUpdate(octets, peer.receive);
  if (decoded.treatment === 'reset') return { type: 'fault', ...decoded.refusal };
  return {
    type: 'fault',
    notification: notification(ERROR.UPDATE, UPDATE_ERROR.MALFORMED_ATTRIBUTE_LIST),
    why: 'the message is malformed',
  };
}

const NOTHING: readonly RibEvent[] = [];
/** RFC 2439, for routes from outside: those of our own AS are damped where they come from. */
const dampeningOf = (peer: Peer, rib: FamilyRib): Dampening | undefined =>
  peer.kind === 'external' ? rib.dampening : undefined;

function newsOf(rib: FamilyRib, peer: Peer, length: number, id: number, set: number): News {
  const path = rib.pathOf(peer.number, length, id);
  if (path === 0) return 'back';
  return rib.paths.before[path] === set ? 'same' : 'changed';
}

/** What policy does not decide. */
const KEPT = PATH.stale | PATH.longLived | PATH.gone | PATH.damped;
