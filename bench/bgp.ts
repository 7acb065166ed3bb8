/**
 * BGP daemons side by side in one run: `npm run bench:bgp`, or `npm run bench:bgp -- 3 full,mesh:64x1000 Bulkhead,BIRD`.
 *
 * One sender → daemon → one receiver: the time until the receiver has all, and until all is withdrawn, of one attribute set and of a full
 * feed. A mesh: 256 peers that each say 10,000 prefixes, the same for all, and are told the best of each. In every round each daemon has its
 * turn, freshly started, with its peers in one process that is the same for all. Then, of Bulkhead alone and in process, routers of many
 * tenants, and a gateway from TCP to the FIB of a tenant. Needs root. Arguments: rounds, feeds (`one-set`, `full`, `mesh`, `tenants`,
 * `gateway`), daemons.
 */
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { DAEMONS, type Daemon, isInstalled, type Places, versionOf } from './bgp/daemons.ts';
import { FEED_NAMES, type FeedName, meshPeers, RECEIVER_AS, SENDER_AS } from './bgp/feeds.ts';
import { gateway } from './bgp/gateway.ts';
import { tenants } from './bgp/tenants.ts';
import { type FeedTurn, feedTurn, type MeshTurn, meshTurn, type Taken } from './bgp/turn.ts';
import { Wire } from './bgp/wire.ts';
import { machineFacts, median, print, printTable, ROOT } from './support.ts';

const FEED_FILE = join(ROOT, 'test/vectors/bgp/jinx-20140530-as30844-fullview.as4.bgp.gz');
const [ROUNDS, FEEDS, NAMES] = [
  Number(process.argv[2] ?? 3),
  (process.argv[3] ?? 'one-set,full,mesh,tenants,gateway').split(','),
  process.argv[4]?.split(','),
];
const DAEMON = '10.254.0.1';
const LINE: Places = {
  daemon: DAEMON,
  peers: [
    { name: 'sender', address: '10.254.0.2', asn: SENDER_AS },
    { name: 'receiver', address: '10.254.0.3', asn: RECEIVER_AS },
  ],
};

/** Each daemon's turns, round by round; one that fails is told and the others go on. */
async function rounds<T>(daemons: readonly Daemon[], turn: (daemon: Daemon) => Promise<T>): Promise<Map<string, T[]>> {
  const turns = new Map<string, T[]>();
  for (let round = 0; round < ROUNDS; round++)
    for (const daemon of daemons) {
      try {
        turns.set(daemon.name, [...(turns.get(daemon.name) ?? []), await turn(daemon)]);
      } catch (error) {
        print(`  ${daemon.name}: ${(error as Error).message}`);
      }
    }
  return turns;
}

interface Column<T> {
  readonly title: string;
  readonly of: (turn: T) => number;
  readonly digits?: number;
  /** A column of ratios to ours follows. */
  readonly ratio?: true;
}

function show<T extends Taken>(turns: ReadonlyMap<string, readonly T[]>, columns: readonly Column<T>[]): void {
  const ours = turns.get('Bulkhead') ?? [];
  const cell = (all: readonly T[], { of, digits = 0, ratio }: Column<T>): string[] => {
    const value = median(all.map(of));
    const shown = value.toFixed(digits);
    if (ratio === undefined) return [shown];
    return [shown, ours.length === 0 ? '' : (value / median(ours.map(of))).toFixed(2)];
  };
  const last: Column<T>[] = [
    { title: 'RSS MB', of: (t) => t.octets / 1e6 },
    { title: 'others %', of: (t) => t.foreign * 100 },
  ];
  const all = [...columns, ...last];
  const titles = all.flatMap(({ title, ratio }) => (ratio === undefined ? [title] : [title, '/ours']));
  printTable(
    ['', ...titles],
    [...turns].map(([name, list]) => [name, ...all.flatMap((column) => cell(list, column))]),
  );
}

const FEED_COLUMNS: readonly Column<FeedTurn>[] = [
  { title: 'arrived', of: (t) => t.arrived },
  { title: 'messages', of: (t) => t.messages },
  { title: 'all there s', of: (t) => t.announceMillis / 1000, digits: 3, ratio: true },
  { title: 'CPU s', of: (t) => t.announceCpu / 1000, digits: 2 },
  { title: 'all gone s', of: (t) => t.withdrawMillis / 1000, digits: 3, ratio: true },
  { title: 'CPU s', of: (t) => t.withdrawCpu / 1000, digits: 2 },
];
const MESH_COLUMNS: readonly Column<MeshTurn>[] = [
  { title: 'all there s', of: (t) => t.millis / 1000, digits: 2, ratio: true },
  { title: 'CPU s', of: (t) => t.cpu / 1000, digits: 2 },
  { title: 'told k', of: (t) => t.told / 1000 },
  { title: 'messages', of: (t) => t.messages },
];

async function feed(daemons: readonly Daemon[], name: FeedName): Promise<void> {
  const sent = name === 'full' ? '497,321 prefixes in 78,645 attribute sets' : '100,000 prefixes in one attribute set';
  const wire = new Wire(
    DAEMON,
    LINE.peers.map(({ address }) => address),
  );
  try {
    const turns = await rounds(daemons, (daemon) => feedTurn(wire, daemon, LINE, name, FEED_FILE));
    print(`${sent}, one sender and one receiver`);
    show(turns, FEED_COLUMNS);
  } finally {
    wire.close();
  }
}

/** `mesh`, or `mesh:64x1000`. */
async function mesh(daemons: readonly Daemon[], text: string): Promise<void> {
  const [, count = 256, routes = 10_000] = /:(\d+)x(\d+)$/.exec(text)?.map(Number) ?? [];
  const places: Places = { daemon: DAEMON, peers: meshPeers(count) };
  const wire = new Wire(
    DAEMON,
    places.peers.map(({ address }) => address),
  );
  try {
    const turns = await rounds(daemons, (daemon) => meshTurn(wire, daemon, places, routes));
    print(`${count} peers that each say ${routes} prefixes and are told the best of each`);
    show(turns, MESH_COLUMNS);
  } finally {
    wire.close();
  }
}

async function main(): Promise<void> {
  print('BGP daemons side by side');
  for (const line of machineFacts()) print(`  ${line}`);
  print(`  ${ROUNDS} rounds, medians; load average ${loadavg()[0]!.toFixed(1)} at the beginning`);
  const chosen = DAEMONS.filter(({ name }) => NAMES === undefined || NAMES.includes(name));
  for (const one of chosen)
    if (one.version !== undefined) print(`  ${one.name} ${isInstalled(one) ? versionOf(one) : 'is not installed'}`);
  print();
  const installed = chosen.filter(isInstalled);
  for (const name of FEEDS) {
    const known = FEED_NAMES.find((one) => one === name);
    if (known !== undefined) await feed(installed, known);
    else if (name.startsWith('mesh')) await mesh(installed, name);
    else if (name === 'tenants') tenants();
    else if (name === 'gateway') for (const one of FEED_NAMES) gateway(ROUNDS, one, FEED_FILE);
    else print(`${name} is none of one-set, full, mesh, mesh:PEERSxROUTES, tenants, gateway`);
  }
  print(`load average ${loadavg()[0]!.toFixed(1)} at the end`);
}

await main();
