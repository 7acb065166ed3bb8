/**
 * The tables of a speaker as TABLE_DUMP_V2: RFC 6396 §4.3, RFC 8050 §4.
 *
 * What peers said, before any policy of ours: Adj-RIB-In. Routes of our own are those of a first peer without AS number and address, and
 * their next hop is unspecified, as other daemons write them. Leaves to others: the file, and the time of day.
 * The tables may change between two records: a route that comes or goes meanwhile is there or not, and no record is half of one state and half
 * of another. Limits: memory for the peers and one prefix; it ends with the last row that there was when a family began.
 */
import type { Millis } from '../../core/index.ts';
import { sameAddress } from '../../ip/index.ts';
import { type Family, IPV4_UNICAST } from '../message/types.ts';
import { HEADER } from '../rib/attribute-store.ts';
import type { FamilyRib } from '../rib/family-rib.ts';
import type { Peer } from '../rib/peer.ts';
import type { Rib } from '../rib/rib.ts';
import { joinNextHop } from './route-attributes.ts';
import type { MrtPeer, MrtRecord, RibEntry, RibRecord } from './types.ts';

export interface DumpOptions {
  /** BGP Identifier of the speaker. */
  readonly collector: number;
  /** Of the tables, for people: a tenant. */
  readonly view: string;
  readonly families: readonly Family[];
  /** The time of day, since 1970, at `now` of the clock that the tables were told. */
  readonly seconds: number;
  readonly now: Millis;
}

/** Returns how many routes it met and left out, because their peers came after the first record. */
export function* dumpRib(rib: Rib, options: DumpOptions): Generator<MrtRecord, number, undefined> {
  const tables = options.families.flatMap((family) => rib.family(family) ?? []);
  const numbers = new Set(tables.flatMap(({ paths }) => paths.owners));
  const owners = [...numbers].sort((a, b) => a - b).flatMap((number) => rib.peer(number) ?? []);
  const time = { seconds: options.seconds };
  const view = new TextEncoder().encode(options.view);
  yield { kind: 'peerIndexTable', time, collector: options.collector, view, peers: owners.map(peerOf) };
  const index = new PeerIndex(rib, owners);
  let sequence = 0;
  for (const table of tables) {
    const { bound } = table.table;
    const addPath = owners.some(({ receive }) => receive.addPath.includes(table.family));
    for (let row = 1; row < bound; row++) {
      const entries = table.table.isUsed(row) ? entriesOf(rib, table, row, index, addPath, options) : [];
      if (entries.length === 0) continue;
      const prefix = table.table.prefix(row);
      const record: RibRecord = { kind: 'rib', time, sequence, family: table.family, prefix, addPath, entries };
      sequence += 1;
      yield record;
    }
  }
  return index.leftOut;
}

function entriesOf(
  rib: Rib,
  table: FamilyRib,
  row: number,
  index: PeerIndex,
  addPath: boolean,
  { seconds, now }: DumpOptions,
): RibEntry[] {
  const { paths, family } = table;
  return table.pathsOf(row).flatMap((path) => {
    const peer = index.placeOf(paths.owner(path));
    if (peer === undefined) return [];
    const set = paths.before[path]!;
    const nextHop = rib.store.nextHop(set);
    const attributes = rib.store.view(set).slice(HEADER + nextHop.length);
    const hop = nextHop.length > 0 ? nextHop : new Uint8Array(family === IPV4_UNICAST ? 4 : 16);
    const age = Math.max(0, Math.round(now / 1000 - paths.arrivals[path]! / TENTHS));
    const entry = {
      peer,
      originatedSeconds: Math.max(0, seconds - age),
      attributes: joinNextHop(family, { nextHop: hop, attributes }),
    };
    return addPath ? { ...entry, pathId: paths.id(path) } : entry;
  });
}

/** Places in the PEER_INDEX_TABLE by number; a number may be another peer's by now. */
class PeerIndex {
  leftOut = 0;
  readonly #rib: Rib;
  readonly #places: ReadonlyMap<number, { readonly peer: Peer; readonly place: number }>;

  constructor(rib: Rib, peers: readonly Peer[]) {
    this.#rib = rib;
    this.#places = new Map(peers.map((peer, place) => [peer.number, { peer, place }]));
  }

  placeOf(number: number): number | undefined {
    const known = this.#places.get(number);
    const peer = this.#rib.peer(number);
    if (known !== undefined && peer !== undefined && (known.peer === peer || isSame(known.peer, peer)))
      return known.place;
    this.leftOut += 1;
    return undefined;
  }
}

/** In words of the file: its session may be another. */
const isSame = (a: Peer, b: Peer): boolean =>
  a.remoteAs === b.remoteAs && a.remoteId === b.remoteId && sameAddress(a.remoteAddress, b.remoteAddress);

function peerOf({ number, remoteId, remoteAddress, remoteAs }: Peer): MrtPeer {
  if (number === 0) return { identifier: 0, address: remoteAddress, asn: 0 };
  return { identifier: remoteId, address: remoteAddress, asn: remoteAs };
}

const TENTHS = 10;
