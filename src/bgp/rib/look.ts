/**
 * The tables as people want to see them: routes page by page, attributes in words. Every answer is plain data.
 *
 * A page costs one walk over numbers, as far as its end, and as many records as it has routes. The order is that of the tables: it stays
 * while nothing changes.
 */
import { type Address, contains, formatAddress, formatPrefix, ipv4Octets, type Prefix } from '../../ip/index.ts';
import { decodeAttributes } from '../message/attributes.ts';
import { describeCommunity, describeLargeCommunity } from '../message/community.ts';
import { describeAttribute } from '../message/describe.ts';
import { describeExtendedCommunity } from '../message/extended-community.ts';
import { describePath } from '../message/route-text.ts';
import type { AttributeValue, CodecContext } from '../message/types.ts';
import { type AttributeStore, HEADER } from './attribute-store.ts';
import { DAMPED } from './explain.ts';
import type { FamilyRib } from './family-rib.ts';
import { PATH } from './path-table.ts';
import type { Rib } from './rib.ts';

/** `within`: only prefixes that lie in this one. */
export interface Page {
  readonly offset: number;
  readonly limit: number;
  readonly within?: Prefix;
}

/** Of one attribute set; what is absent is not in it. */
export interface SetWords {
  readonly nextHop: string;
  readonly asPath: string;
  readonly origin: string;
  readonly med?: number;
  readonly localPreference?: number;
  readonly weight: number;
  readonly communities: readonly string[];
  readonly originatorId?: string;
  readonly clusterList?: readonly string[];
  /** Attributes that have no field here. */
  readonly others: readonly string[];
}

export interface ReceivedRoute {
  readonly prefix: string;
  readonly pathId: number;
  readonly stale: boolean;
  readonly accepted: boolean;
  /** What import policy, a loop or dampening says of it. */
  readonly why: string;
  readonly before: SetWords;
  readonly after: SetWords | null;
}

export interface ToldRoute {
  readonly prefix: string;
  readonly attributes: SetWords;
}

export interface LocalRoute {
  readonly prefix: string;
  readonly peer: string;
  readonly pathId: number;
  readonly best: boolean;
  /** Neither refused nor without a way to its next hop. */
  readonly valid: boolean;
  readonly stale: boolean;
  readonly attributes: SetWords;
}

export function wordsOfSet(store: AttributeStore, set: number): SetWords {
  const octets = store.view(set).slice();
  const hop = octets[2]!;
  const communities: string[] = [];
  const others: string[] = [];
  const words: { -readonly [K in keyof SetWords]: SetWords[K] } = {
    nextHop: hop === 0 ? 'self' : formatAddress(octets.slice(HEADER, HEADER + Math.min(hop, 16))),
    asPath: '',
    origin: 'incomplete',
    weight: store.weights[set]!,
    communities,
    others,
  };
  for (const attribute of decodeAttributes(octets, OWN_FORM, HEADER + hop).attributes)
    if (!intoField(attribute.value, words, communities)) others.push(describeAttribute(attribute));
  return words;
}

function intoField(
  value: AttributeValue,
  words: { -readonly [K in keyof SetWords]: SetWords[K] },
  communities: string[],
): boolean {
  switch (value.name) {
    case 'origin':
      words.origin = value.origin;
      return true;
    case 'asPath':
      words.asPath = describePath(value.segments);
      return true;
    case 'med':
      words.med = value.med;
      return true;
    case 'localPreference':
      words.localPreference = value.preference;
      return true;
    case 'communities':
      communities.push(...value.communities.map(describeCommunity));
      return true;
    case 'extendedCommunities':
      communities.push(...value.communities.map(describeExtendedCommunity));
      return true;
    case 'largeCommunities':
      communities.push(...value.communities.map(describeLargeCommunity));
      return true;
    case 'originatorId':
      words.originatorId = formatAddress(ipv4Octets(value.identifier));
      return true;
    case 'clusterList':
      words.clusterList = value.identifiers.map((id) => formatAddress(ipv4Octets(id)));
      return true;
    default:
      return false;
  }
}

/** Adj-RIB-In of a peer, before and behind import policy. */
export function receivedOf(rib: Rib, peer: number, page: Page): readonly ReceivedRoute[] {
  const found: ReceivedRoute[] = [];
  const take = new Taker(page);
  for (const family of rib.families)
    family.paths.each(peer, (path) => {
      if (!family.isGone(path) && take.takes(family, family.paths.rows[path]!))
        found.push(receivedAt(rib, family, path));
    });
  return found;
}

function receivedAt(rib: Rib, family: FamilyRib, path: number): ReceivedRoute {
  const { paths, table } = family;
  const after = paths.after[path]!;
  const flags = family.generations.flagsOf(path);
  return {
    prefix: formatPrefix(table.prefix(paths.rows[path]!)),
    pathId: paths.id(path),
    stale: (flags & PATH.stale) !== 0,
    accepted: after !== 0,
    why: (flags & PATH.damped) !== 0 ? DAMPED : rib.explainImport(family, path),
    before: wordsOfSet(rib.store, paths.before[path]!),
    after: after === 0 ? null : wordsOfSet(rib.store, after),
  };
}

/** Adj-RIB-Out: what a peer has been told, or is about to be. */
export function toldTo(rib: Rib, peer: number, page: Page): readonly ToldRoute[] {
  const found: ToldRoute[] = [];
  const take = new Taker(page);
  for (const family of rib.families) {
    const group = rib.groupOf(peer, family.family);
    if (group === undefined) continue;
    for (let unit = 1; unit < group.advertised.length && !take.isFull; unit++) {
      const set = group.toldTo(peer, unit);
      const row = group.addPath ? family.paths.rows[unit]! : unit;
      if (set === 0 || !take.takes(family, row)) continue;
      found.push({ prefix: formatPrefix(family.table.prefix(row)), attributes: wordsOfSet(rib.store, set) });
    }
  }
  return found;
}

/** Prefixes, or with ADD-PATH paths, that a peer has been told. */
export function toldCount(rib: Rib, peer: number): number {
  let count = 0;
  for (const { family } of rib.families) {
    const group = rib.groupOf(peer, family);
    if (group === undefined) continue;
    const { advertised, sources } = group;
    for (let unit = 1; unit < advertised.length; unit++) if (advertised[unit] !== 0 && sources[unit] !== peer) count++;
  }
  return count;
}

/** Why a peer is told of the best path of a prefix, or is not; undefined: no path, or the session does not have the family. */
export function whyTold(rib: Rib, peer: number, prefix: Prefix): string | undefined {
  const family = rib.families.find(({ table }) => table.words === prefix.address.length / 4);
  if (family === undefined) return undefined;
  const row = family.table.find(family.table.load(prefix));
  const best = family.table.best[row]!;
  if (!family.pathsOf(row).includes(best)) return undefined;
  if (family.paths.owner(best) === peer) return 'the peer has told us itself';
  const instead = family.aggregates.suppressor(row);
  if (instead !== undefined) return `the aggregate ${formatPrefix(instead.prefix)} stands for it`;
  return rib.groupOf(peer, family.family)?.exporter.explain(best);
}

/** All paths of all prefixes; the page counts prefixes. */
export function routesOf(rib: Rib, page: Page): readonly LocalRoute[] {
  const found: LocalRoute[] = [];
  const take = new Taker(page);
  for (const family of rib.families) {
    const { table } = family;
    for (let row = 1; row < table.bound && !take.isFull; row++) {
      if (!table.isUsed(row) || table.paths[row] === 0 || !take.takes(family, row)) continue;
      const paths = family.pathsOf(row).map((path) => localAt(rib, family, path, table.best[row]!));
      found.push(...paths.sort((a, b) => Number(b.best) - Number(a.best)));
    }
  }
  return found;
}

function localAt(rib: Rib, family: FamilyRib, path: number, best: number): LocalRoute {
  const { paths, table } = family;
  return {
    prefix: formatPrefix(table.prefix(paths.rows[path]!)),
    peer: rib.peer(paths.owner(path))!.name,
    pathId: paths.id(path),
    best: path === best,
    valid: family.decision.eligible(path),
    stale: (family.generations.flagsOf(path) & PATH.stale) !== 0,
    attributes: wordsOfSet(rib.store, paths.after[path]! || paths.before[path]!),
  };
}

/** The longest prefix that an address is in and that has a path that may be used. */
export function longestMatch(rib: Rib, address: Address): Prefix | undefined {
  const family = rib.families.find(({ table }) => table.words === address.length / 4);
  if (family === undefined) return undefined;
  for (let length = address.length * 8; length >= 0; length--) {
    family.table.read(address, 0, length);
    const row = family.table.find(length);
    if (row !== 0 && family.table.best[row] !== 0) return family.table.prefix(row);
  }
  return undefined;
}

/** Says of each row, in the order of the tables, whether it is on the page. */
class Taker {
  readonly #page: Page;
  #seen = 0;

  constructor(page: Page) {
    this.#page = page;
  }

  /** What comes now is behind the page. */
  get isFull(): boolean {
    return this.#seen >= this.#page.offset + this.#page.limit;
  }

  takes(family: FamilyRib, row: number): boolean {
    const { offset, within } = this.#page;
    if (this.isFull || (within !== undefined && !isWithin(within, family, row))) return false;
    this.#seen++;
    return this.#seen > offset;
  }
}

function isWithin(within: Prefix, { table }: FamilyRib, row: number): boolean {
  if (table.words !== within.address.length / 4 || table.lengths[row]! < within.length) return false;
  return contains(within, table.prefix(row).address);
}

/** How the tables keep attributes, whatever a session speaks. */
const OWN_FORM: CodecContext = { ebgp: false, fourOctetAs: true, maximumLength: 65_535, addPath: [], families: [] };
