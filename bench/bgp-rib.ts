/**
 * The tables of BGP in process: a full feed from one peer, decided, and told to another; many small speakers; one route for many peers.
 *
 * No network and no rights. What is timed is processor time between octets in and octets out. `npm run bench:bgp-rib -- 7` does seven
 * rounds. The feed is that of `test/vectors/bgp`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Rib } from '../src/bgp/rib/rib.ts';
import { type Bytes, concat } from '../src/core/index.ts';
import { FEED } from '../test/bgp/message/feed.ts';
import { messagesIn, peerOptions, update, usual } from '../test/bgp/rib/speakers.ts';
import { median, print, printFacts, printTable, ROOT } from './support.ts';

const FEED_FILE = 'test/vectors/bgp/jinx-20140530-as30844-fullview.as4.bgp.gz';
const ROUNDS = Number(process.argv[2] ?? 5);
/** One read of a socket: the tables decide after each. */
const READ = 65_536;
/** What a peer takes at once. */
const ROOM = 65_536;
const SPEAKERS = 1000;
const FAN_OUT = 256;
const FAN_ROUTES = 10_000;

/** Processor time of all threads of the process, those of the garbage collector among them, in microseconds. */
const processor = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
const milliseconds = (since: number): number => (processor() - since) / 1000;
const megabytes = (octets: number): string => (octets / 2 ** 20).toFixed(1);

interface Pass {
  readonly receive: number;
  readonly decide: number;
  readonly take: number;
  readonly octets: number;
  readonly messages: number;
}

/** The feed through a new speaker, in reads of 64 KB. */
function pass(messages: readonly Bytes[]): { rib: Rib; times: Pass } {
  const rib = new Rib({ localAs: 65_000, routerId: 1, forwards: false });
  const from = rib.add(peerOptions(1, { remoteAs: 30_844, enforceFirstAs: false, allowOwnAs: 9 }));
  const to = rib.add(peerOptions(2));
  const times = { receive: 0, decide: 0, take: 0, octets: 0, messages: 0 };
  for (let at = 0; at < messages.length; ) {
    let begun = processor();
    for (let read = 0; read < READ && at < messages.length; read += messages[at++]!.length)
      rib.receive(from, messages[at]!, at);
    times.receive += milliseconds(begun);
    begun = processor();
    rib.flush();
    times.decide += milliseconds(begun);
    begun = processor();
    while (rib.hasOutput(to)) for (const octets of rib.take(to, ROOM)) times.octets += octets.length;
    rib.take(from, ROOM);
    times.take += milliseconds(begun);
  }
  times.messages = rib.groups.reduce((sum, { counters }) => sum + counters.messages + counters.own, 0);
  return { rib, times };
}

function fullFeed(messages: readonly Bytes[]): void {
  const passes: Pass[] = [];
  let rib: Rib | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    rib = undefined;
    const result = pass(messages);
    rib = result.rib;
    passes.push(result.times);
  }
  const total = median(passes.map((p) => p.receive + p.decide + p.take));
  const row = (name: string, pick: (p: Pass) => number): string[] => {
    const time = median(passes.map(pick));
    return [name, time.toFixed(0), ((time * 1e6) / FEED.prefixes).toFixed(0)];
  };
  print(`${FEED.prefixes} prefixes in ${FEED.messages} messages, from one peer to another, median of ${ROUNDS}`);
  printTable(
    ['', 'ms', 'ns a prefix'],
    [
      row('received', (p) => p.receive),
      row('decided and encoded', (p) => p.decide),
      row('taken', (p) => p.take),
      ['together', total.toFixed(0), ((total * 1e6) / FEED.prefixes).toFixed(0)],
    ],
  );
  const last = passes.at(-1)!;
  const tables = rib!.octets - rib!.store.octets;
  print(`  ${last.messages} messages out (two of them End-of-RIB), ${last.octets} octets`);
  print(
    `  tables ${(tables / FEED.prefixes).toFixed(1)} octets a path above attributes, ${rib!.store.count} sets in ${megabytes(rib!.store.octets)} MB`,
  );
  print(`  resident ${megabytes(process.memoryUsage().rss)} MB with the feed itself and ${ROUNDS} rounds in it`);
  print();
}

const routes = (count: number, hop: readonly number[], asn: number): Bytes =>
  update(
    new Uint8Array(0),
    usual([asn], hop),
    concat(...Array.from({ length: count }, (_, i) => Uint8Array.of(24, 20 + (i >> 16), (i >> 8) & 0xff, i & 0xff))),
  );

function manySpeakers(): void {
  const before = resident();
  const speakers: Rib[] = [];
  const first = routes(100, [10, 0, 0, 1], 65_001);
  const second = routes(100, [10, 0, 0, 2], 65_002);
  const begun = processor();
  for (let i = 0; i < SPEAKERS; i++) {
    const rib = new Rib({ localAs: 65_000, routerId: 1 });
    const peers = [rib.add(peerOptions(1)), rib.add(peerOptions(2))];
    rib.receive(peers[0]!, first, 0);
    rib.receive(peers[1]!, second, 0);
    rib.flush();
    for (const peer of peers) rib.take(peer, ROOM);
    rib.takeRoutes(1000);
    speakers.push(rib);
  }
  const time = milliseconds(begun);
  const octets = (resident() - before) / SPEAKERS;
  print(`${SPEAKERS} speakers with 2 peers and 100 routes of each`);
  print(
    `  ${time.toFixed(0)} ms, ${(octets / 1024).toFixed(1)} KB a speaker, ${(speakers[0]!.octets / 1024).toFixed(1)} KB of them tables`,
  );
  print();
}

function fanOut(): void {
  const rib = new Rib({ localAs: 65_000, routerId: 1, forwards: false });
  const peers = Array.from({ length: FAN_OUT }, (_, i) => rib.add(peerOptions(i + 1)));
  rib.flush();
  for (const peer of peers) rib.take(peer, ROOM);
  const updates = peers.map((_, peer) =>
    Array.from({ length: FAN_ROUTES / 500 }, (_, part) =>
      update(
        new Uint8Array(0),
        usual([65_001 + peer, 64_000 + part], [10, 0, peer >> 8, peer & 0xff]),
        concat(
          ...Array.from({ length: 500 }, (_, i) =>
            Uint8Array.of(32, 20 + peer / 64, peer & 63, part, 0).map((o, at) =>
              at === 4 ? i & 0xff : at === 3 ? part * 2 + (i >> 8) : o,
            ),
          ),
        ),
      ),
    ),
  );
  const begun = processor();
  let out = 0;
  for (let part = 0; part < FAN_ROUTES / 500; part++) {
    for (let i = 0; i < peers.length; i++) rib.receive(peers[i]!, updates[i]![part]!, 0);
    rib.flush();
    for (const peer of peers)
      while (rib.hasOutput(peer)) for (const octets of rib.take(peer, ROOM)) out += octets.length;
  }
  const time = milliseconds(begun);
  const { messages } = rib.groups[0]!.counters;
  print(`${FAN_OUT} peers that each say ${FAN_ROUTES} routes and are told those of all others`);
  print(`  ${time.toFixed(0)} ms, ${messages} messages encoded, ${megabytes(out)} MB handed out`);
  print();
}

function resident(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss;
}

printFacts('The tables of BGP', `processor time in process; a read is ${READ} octets`);
manySpeakers();
fullFeed(messagesIn(gunzipSync(readFileSync(join(ROOT, FEED_FILE)))));
fanOut();
