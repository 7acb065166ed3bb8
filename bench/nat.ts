/**
 * The NAT of one tenant: what a translated packet costs with few and with many sessions, how fast sessions begin, what they
 * take in memory.
 *
 * In process, no network and no rights. UDP packets of 64 octets in the slots of one pool, as a batch of the data path has
 * them. Each is of a session drawn by chance: from 1,000 of those that there are, and from all, which is a walk through
 * memory that no cache holds. Only the calls of `outbound` and `inbound` are inside the clock, the writing of the packets is
 * not. `npm run bench:nat -- 1 1000` measures these numbers of sessions.
 */
import { seededRandom, seededU32 } from '../src/core/index.ts';
import { buildUdp, ipv4Octets, PASS, type Packet, PacketPool } from '../src/ip/index.ts';
import { NAT_TIMEOUTS, Nat, SESSIONS_MAX } from '../src/nat/index.ts';
import { median, print, printFacts, printTable } from './support.ts';

const SESSIONS = [1, 1000, 100_000, 1_000_000];
const BATCH = 256;
const ROUNDS = 60;
/** Packets of each direction in one round. */
const ROUND_PACKETS = 64 * BATCH;
/** How often the sessions are begun anew. */
const BEGINNINGS = 3;
/** Sessions that have traffic, in the columns that say so. */
const ACTIVE = 1000;
/** Inner endpoints at most: each has a port. Further sessions are those of the same endpoints with other servers. */
const ENDPOINTS = 50_000;
const EXTERNAL = 0xcb00_7132;

function main(): void {
  const wanted = process.argv.slice(2).map(Number);
  const counts = wanted.length > 0 ? wanted : SESSIONS;
  const pool = new PacketPool(BATCH, 2048);
  const packets = Array.from({ length: BATCH }, () => pool.from(TEMPLATE)!);

  printFacts(
    'bench:nat: nanoseconds of wall time per translated packet',
    `UDP, 64 octets; least / median of ${ROUNDS} rounds of ${ROUND_PACKETS} packets each way, by turns`,
    `few: of ${ACTIVE} sessions drawn by chance; all: of all sessions, drawn by chance`,
    `up to ${ENDPOINTS} inner endpoints, further sessions with further servers`,
    `new: sessions begun a second, millions, most / median of ${BEGINNINGS}; tables: octets of all tables per session`,
  );
  // The compiler has seen everything before anything is measured.
  for (let i = 0; i < 3; i++) measure(1000, packets);
  const rows = counts.map((count) => {
    const { nanoseconds, millions, octets } = measure(count, packets);
    const least = (samples: readonly number[]): string => pair(Math.min(...samples), median(samples), 0);
    const most = pair(Math.max(...millions), median(millions), 2);
    return [`${count}`, ...nanoseconds.map(least), ...(count < 1000 ? [] : [most, (octets / count).toFixed(1)])];
  });
  printTable(['sessions', 'few: out', 'few: in', 'all: out', 'all: in', 'new', 'tables'], rows);
}

interface Measured {
  /** A packet: out and in, of few sessions and of all. */
  readonly nanoseconds: readonly (readonly number[])[];
  /** Sessions begun a second. */
  readonly millions: readonly number[];
  readonly octets: number;
}

function measure(count: number, packets: readonly Packet[]): Measured {
  const millions: number[] = [];
  let nat = begin(count, packets, millions);
  while (millions.length < BEGINNINGS) nat = begin(count, packets, millions);
  const ports = new Uint16Array(Math.min(count, ENDPOINTS));
  for (const view of nat.sessions()) ports[endpointOf(view)] = view.externalPort;
  const next = seededU32(count);
  const few = Uint32Array.from({ length: ACTIVE }, () => next() % count);
  const drawFew = (): number => few[next() % ACTIVE]!;
  const drawAny = (): number => next() % count;
  const nanoseconds: number[][] = [[], [], [], []];
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, draw] of [drawFew, drawAny].entries()) {
      nanoseconds[2 * i]!.push(
        timed(
          packets,
          (packet) => writeOutbound(packet, draw()),
          (packet) => nat.outbound(packet, round),
        ),
      );
      nanoseconds[2 * i + 1]!.push(
        timed(
          packets,
          (packet) => writeInbound(packet, draw(), ports),
          (packet) => nat.inbound(packet, round),
        ),
      );
    }
  }
  return { nanoseconds, millions, octets: nat.octets };
}

/** A NAT with so many sessions; how many it began a second goes to `millions`. */
function begin(count: number, packets: readonly Packet[], millions: number[]): Nat {
  const limits = { sessions: SESSIONS_MAX, fragments: 256, waiting: 64 };
  const common = { rules: [], filtering: 'address', timeouts: NAT_TIMEOUTS, limits } as const;
  const nat = new Nat({ external: EXTERNAL, random: seededRandom(count), ...common });
  let spent = 0;
  for (let i = 0; i < count; i += BATCH) {
    const last = Math.min(BATCH, count - i);
    for (let j = 0; j < last; j++) writeOutbound(packets[j]!, i + j);
    const began = performance.now();
    for (let j = 0; j < last; j++) check(nat.outbound(packets[j]!, 0));
    spent += performance.now() - began;
  }
  millions.push(count / spent / 1000);
  return nat;
}

const pair = (best: number, middle: number, digits: number): string =>
  `${best.toFixed(digits)} / ${middle.toFixed(digits)}`;

/** Nanoseconds a packet. */
function timed(
  packets: readonly Packet[],
  write: (packet: Packet) => void,
  translate: (packet: Packet) => number,
): number {
  let spent = 0;
  for (let done = 0; done < ROUND_PACKETS; done += BATCH) {
    for (const packet of packets) write(packet);
    const began = performance.now();
    for (const packet of packets) check(translate(packet));
    spent += performance.now() - began;
  }
  return (spent * 1e6) / ROUND_PACKETS;
}

function check(verdict: number): void {
  if (verdict === PASS) return;
  print(`dropped: ${verdict}`);
  process.exit(1);
}

/** Session i: endpoint i % ENDPOINTS with server i / ENDPOINTS. */
function writeOutbound({ view, start }: Packet, session: number): void {
  const endpoint = session % ENDPOINTS;
  view.setUint32(start + 12, 0x0a01_0000 + (endpoint >>> 6));
  view.setUint32(start + 16, 0xc633_6400 + Math.floor(session / ENDPOINTS));
  view.setUint16(start + 20, 20_000 + (endpoint & 63));
  view.setUint16(start + 22, 443);
}

function writeInbound({ view, start }: Packet, session: number, ports: Uint16Array): void {
  view.setUint32(start + 12, 0xc633_6400 + Math.floor(session / ENDPOINTS));
  view.setUint32(start + 16, EXTERNAL);
  view.setUint16(start + 20, 443);
  view.setUint16(start + 22, ports[session % ENDPOINTS]!);
}

const endpointOf = (view: { readonly innerAddress: number; readonly innerPort: number }): number =>
  (view.innerAddress - 0x0a01_0000) * 64 + view.innerPort - 20_000;

const TEMPLATE = buildUdp(
  { source: ipv4Octets(0x0a01_0001), destination: ipv4Octets(0xc633_6401), sourcePort: 20_000, destinationPort: 443 },
  new Uint8Array(64 - 28),
);

main();
