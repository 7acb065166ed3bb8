/**
 * The tables of a speaker as TABLE_DUMP_V2: RFC 6396 §4.3, RFC 8050 §4.
 *
 * What peers said, before any policy of ours: Adj-RIB-In. Routes of our own are those of a first peer without AS number and address, and
 * their next hop is unspecified, as other daemons write them. Leaves to others: the file, and the time of day.
 * Limit: memory for one prefix. Invariant for the caller: the tables do not change until the last record is out.
 */
import type { Millis } from '../../core/index.ts';
import { type Family, IPV4_UNICAST } from '../message/types.ts';
import { HEADER } from '../rib/attribute-store.ts';
import type { FamilyRib } from '../rib/family-rib.ts';
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

export function* dumpRib(rib: Rib, options: DumpOptions): Generator<MrtRecord, void, undefined> {
  const tables = options.families.flatMap((family) => rib.family(family) ?? []);
  const owners = ownersOf(tables);
  const time = { seconds: options.seconds };
  const peers = owners.map((number) => peerOf(rib, number));
  const view = new TextEncoder().encode(options.view);
  yield { kind: 'peerIndexTable', time, collector: options.collector, view, peers };
  const places = new Map(owners.map((number, place) => [number, place]));
  let sequence = 0;
  for (const table of tables) {
    const addPath = owners.some((number) => rib.peer(number)!.receive.addPath.includes(table.family));
    for (const row of table.usedRows()) {
      const entries = entriesOf(rib, table, row, places, addPath, options);
      if (entries.length === 0) continue;
      const prefix = table.table.prefix(row);
      const record: RibRecord = { kind: 'rib', time, sequence, family: table.family, prefix, addPath, entries };
      sequence += 1;
      yield record;
    }
  }
}

function entriesOf(
  rib: Rib,
  table: FamilyRib,
  row: number,
  places: ReadonlyMap<number, number>,
  addPath: boolean,
  { seconds, now }: DumpOptions,
): RibEntry[] {
  const { paths, family } = table;
  return table.pathsOf(row).map((path) => {
    const set = paths.before[path]!;
    const nextHop = rib.store.nextHop(set);
    const attributes = rib.store.view(set).slice(HEADER + nextHop.length);
    const hop = nextHop.length > 0 ? nextHop : new Uint8Array(family === IPV4_UNICAST ? 4 : 16);
    const age = Math.max(0, Math.round(now / 1000 - paths.arrivals[path]! / TENTHS));
    const entry = {
      peer: places.get(paths.owner(path))!,
      originatedSeconds: Math.max(0, seconds - age),
      attributes: joinNextHop(family, { nextHop: hop, attributes }),
    };
    return addPath ? { ...entry, pathId: paths.id(path) } : entry;
  });
}

/** Numbers of the peers that have paths, in ascending order. */
function ownersOf(tables: readonly FamilyRib[]): number[] {
  const owners = new Set<number>();
  for (const table of tables)
    for (const row of table.usedRows()) for (const path of table.pathsOf(row)) owners.add(table.paths.owner(path));
  return [...owners].sort((a, b) => a - b);
}

function peerOf(rib: Rib, number: number): MrtPeer {
  const { remoteId, remoteAddress, remoteAs } = rib.peer(number)!;
  if (number === 0) return { identifier: 0, address: remoteAddress, asn: 0 };
  return { identifier: remoteId, address: remoteAddress, asn: remoteAs };
}

const TENTHS = 10;
