/**
 * The multi-tenant gateway's data plane by itself: what a packet costs on its way out of a virtual network, by NAT and by ESP.
 *
 * In process, no network and no rights (`gateway-line.ts`). Only what the data plane does is inside the clock: the packets of a batch
 * are written before, and at its end the plane is flushed and asked what is due, as the loop of a worker does. A number is the median
 * over batches, so that other processes of the machine count little.
 * `npm run bench:gateway -- speed sessions` measures only parts named: speed, sessions, compartments, memory, abuse
 * (`gateway-abuse.ts`); and wire
 * (`gateway-wire.ts`), which needs rights and Open vSwitch and is measured where it is named only.
 * BENCH_SECONDS: of each number, default 1. BENCH_SESSIONS, BENCH_TENANTS: the most, default 1,000,000 and 4,000.
 */
import { loadavg } from 'node:os';
import { seededU32 } from '../src/core/index.ts';
import { chooseEngine, SUITES } from '../src/crypto/index.ts';
import { accelerateSums, type Packet, PacketPool, SUPERFRAME_MAX } from '../src/ip/index.ts';
import { engineCandidates, loadSums } from '../src/runtime/index.ts';
import { inlineMore } from '../src/runtime/worker/inlining.ts';
import { measureAbuse } from './gateway-abuse.ts';
import { CELLS_A_TENANT, GatewayLine, type LineOptions, VMS } from './gateway-line.ts';
import { measureWire } from './gateway-wire.ts';
import { type Memory, memoryNow } from './plane-memory.ts';
import { median, print, printFacts, printTable, ROOT } from './support.ts';

const SECONDS = Number(process.env.BENCH_SECONDS ?? 1);
const SESSIONS = Number(process.env.BENCH_SESSIONS ?? 1_000_000);
const TENANTS = Number(process.env.BENCH_TENANTS ?? 4000);
const FEWER_TENANTS = 1000;
const FLOWS = 1000;
/** As many as a worker reads from a socket before others have their turn. */
const BATCH = 64;
const POOL_PACKETS = 512;
const ROUNDS = 15;
const SUITE = SUITES.find(({ word }) => word === 'aes128gcm16')!;

inlineMore();
const sums = loadSums(PacketPool.octetsFor(POOL_PACKETS, SUPERFRAME_MAX), `${ROOT}/dist/ip/sums.wasm`);
const pool = new PacketPool(POOL_PACKETS, SUPERFRAME_MAX, sums.ok ? sums.memory.buffer : undefined);
if (sums.ok) accelerateSums(sums.kernel);
const { engine } = chooseEngine(engineCandidates());
const batch: Packet[] = [];

async function main(): Promise<void> {
  const wanted = process.argv.slice(2);
  printFacts(
    `bench:gateway: a data plane in process, batches of ${BATCH}, medians over batches`,
    `engine: ${engine.name}, ${SUITE.word}; sums: ${sums.ok ? 'WebAssembly' : 'TypeScript'}; load average ${loadavg()[0]!.toFixed(1)}`,
    'octets are those of the inner IP packet; packets those of the wire',
  );
  const parts = {
    speed: measureSpeed,
    sessions: measureSessions,
    compartments: measureCompartments,
    memory: measureMemory,
    abuse: () => measureAbuse({ pool, engine, suite: SUITE, seconds: SECONDS }),
  };
  for (const [name, part] of Object.entries(parts)) if (wanted.length === 0 || wanted.includes(name)) part();
  if (wanted.includes('wire')) await measureWire();
}

function newLine(tenants: number, options: Partial<LineOptions> = {}, vms = VMS): GatewayLine {
  const line = new GatewayLine({ pool, engine, suite: SUITE, ...options });
  line.addTenants(tenants, vms);
  return line;
}

/** A kind of traffic: how its packets are written, and where they enter. */
interface Way {
  readonly name: string;
  readonly line: GatewayLine;
  readonly write: (packet: Packet) => void;
  readonly outside?: boolean;
  /** Packets of the wire that each one written is. */
  readonly packets?: number;
}

/** What leaves by whichever way. */
const leftOf = ({ left }: GatewayLine): number => left.external + left.underlay + left.datagrams;

/** Nanoseconds of wall time of one batch. */
function runBatch({ line, write, outside = false }: Way): number {
  for (let i = 0; i < BATCH; i++) {
    const packet = pool.take()!;
    write(packet);
    batch[i] = packet;
  }
  const now = performance.now();
  if (outside) for (let i = 0; i < BATCH; i++) line.receiveOutside(batch[i]!, now);
  else for (let i = 0; i < BATCH; i++) line.receive(batch[i]!, now);
  line.flush(now);
  return (performance.now() - now) * 1e6;
}

/** Nanoseconds a packet of each way, taking turns. */
function measure(ways: readonly Way[]): number[] {
  const samples = ways.map((): number[] => []);
  const slice = (SECONDS * 1000) / ROUNDS;
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [i, way] of ways.entries()) {
      const before = leftOf(way.line);
      let batches = 0;
      for (const until = performance.now() + slice; performance.now() < until; batches++) {
        const nanos = runBatch(way) / (BATCH * (way.packets ?? 1));
        if (round >= 0) samples[i]!.push(nanos);
      }
      const expected = batches * BATCH * (way.packets ?? 1);
      if (round >= 0) way.line.check(way.name, leftOf(way.line) - before, expected);
    }
  }
  return samples.map(median);
}

const WARM_UP = 3;

const draws = seededU32(1);

function udp(line: GatewayLine, length: number, toSite: boolean, flows: number): (packet: Packet) => void {
  return (packet) => line.writeUdp(packet, 0, draws() % flows, length, toSite);
}

/** One stream, segments in order. */
function stream(line: GatewayLine, length: number): (packet: Packet) => void {
  let sequence = 1;
  const opening = pool.take()!;
  line.writeTcp(opening, 0, 0, length, true);
  line.receive(opening, performance.now());
  return (packet) => {
    line.writeTcp(packet, 0, sequence, length);
    sequence = (sequence + length - 40) >>> 0;
  };
}

/** Answers to sessions that there are. */
function answers(line: GatewayLine, length: number, flows: number): (packet: Packet) => void {
  for (let session = 0; session < flows; session++) {
    const packet = pool.take()!;
    line.writeUdp(packet, 0, session, 64, false);
    line.receive(packet, performance.now());
    if (session % BATCH === 0) line.flush(performance.now());
  }
  line.flush(performance.now());
  const ports = portsOf(line);
  return (packet) => {
    const session = draws() % flows;
    line.writeAnswer(packet, 0, session, ports[session]!, length);
  };
}

/** External ports by session, of the sessions with one server. */
function portsOf(line: GatewayLine): number[] {
  line.plane.command({ do: 'ask-nat', link: 1, query: 1, filter: {}, most: FLOWS }, performance.now());
  const ports: number[] = [];
  for (const event of line.plane.takeEvents())
    if (event.type === 'nat-sessions')
      for (const { innerAddress, innerPort, externalPort } of event.sessions)
        ports[line.sessionOf(innerAddress, innerPort)] = externalPort;
  return ports;
}

function measureSpeed(): void {
  const line = newLine(1);
  line.install(1);
  const ethernet = newLine(1, { external: 'ethernet' });
  // The first packet asks for the router's MAC address.
  for (let i = 0; i < 2; i++) runBatch({ name: '', line: ethernet, write: udp(ethernet, 64, false, 1) });
  const single = newLine(1, { superframes: false });
  const ways: Way[] = [64, 1400].flatMap((length) => [
    { name: `NVGRE → NAT → TUN, UDP ${length}`, line, write: udp(line, length, false, FLOWS) },
    { name: `NVGRE → NAT → Ethernet, UDP ${length}`, line: ethernet, write: udp(ethernet, length, false, FLOWS) },
    { name: `TUN → NAT → NVGRE, UDP ${length}`, line, write: answers(line, length, FLOWS), outside: true },
    { name: `NVGRE → ESP, UDP ${length}`, line, write: udp(line, length, true, FLOWS) },
  ]);
  ways.push(
    { name: 'NVGRE → NAT → TUN, one TCP stream 1400', line, write: stream(line, 1400) },
    { name: 'the same without superframes', line: single, write: stream(single, 1400) },
  );
  print(`a packet's way through one tenant's compartment, ${FLOWS} sessions drawn by chance`);
  const nanos = measure(ways);
  printTable(
    ['', 'ns', 'M packets/s'],
    ways.map(({ name }, i) => [name, nanos[i]!.toFixed(0), (1000 / nanos[i]!).toFixed(2)]),
  );
}

/** New sessions, and what old ones cost by their number. */
function measureSessions(): void {
  print('sessions of one tenant, UDP 64 octets, NVGRE → NAT → TUN');
  const counts = [1, 1000, 100_000, SESSIONS].filter((count) => count <= SESSIONS);
  open(newLine(1), Math.min(100_000, SESSIONS));
  const rows = counts.map((count) => {
    const line = newLine(1);
    const before = memoryNow();
    const perSecond = open(line, count);
    const after = memoryNow();
    const octets = (after.buffers + after.heap - before.buffers - before.heap) / count;
    const few = Uint32Array.from({ length: FLOWS }, () => draws() % count);
    const [some, all] = measure([
      { name: 'few', line, write: (p) => line.writeUdp(p, 0, few[draws() % FLOWS]!, 64, false) },
      { name: 'all', line, write: (p) => line.writeUdp(p, 0, draws() % count, 64, false) },
    ]);
    const many = count >= 100_000;
    return [count, some!, all!, many ? perSecond / 1e6 : undefined, many ? octets : undefined] as const;
  });
  const [, first] = rows[0]!;
  printTable(
    ['sessions', `${FLOWS} used: ns`, 'ratio', 'all used: ns', 'ratio', 'new M/s', 'octets each'],
    rows.map(([count, some, all, perSecond, octets]) => [
      `${count}`,
      some.toFixed(0),
      (some / first).toFixed(2),
      all.toFixed(0),
      (all / first).toFixed(2),
      perSecond?.toFixed(2) ?? '',
      octets?.toFixed(1) ?? '',
    ]),
  );
}

/**
 * So many sessions begin: how many a second of processor time over all batches, those in which the tables grow among them, which
 * medians would leave out; without what it takes to write their packets, measured before.
 */
function open(line: GatewayLine, count: number): number {
  const written = pool.take()!;
  const writing = processorMs(() => {
    for (let session = 0; session < count; session++) line.writeUdp(written, 0, session, 64, false);
  });
  pool.release(written);
  let session = 0;
  const way = { name: 'open', line, write: (p: Packet) => line.writeUdp(p, 0, session++ % count, 64, false) };
  const all = processorMs(() => {
    while (session < count) runBatch(way);
  });
  return (count / (all - writing)) * 1000;
}

function processorMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function measureCompartments(): void {
  print(`compartments, UDP 64 octets, NVGRE → NAT → TUN; one session each`);
  const counts = [1, 10, 100, 1000, TENANTS].filter((count) => count <= TENANTS);
  const rows = counts.map((count) => {
    const line = newLine(count, {}, 1);
    // Each has its session before anything is measured.
    let opening = 0;
    const way = { name: 'open', line, write: (p: Packet) => line.writeUdp(p, opening++ % count, 0, 64, false) };
    while (opening < count) runBatch(way);
    // Far from the last one, and each after others that are far away.
    const stride = count === 1 ? 0 : 1597;
    let [tenant, turn] = [0, 0];
    const next = (): number => {
      tenant = (tenant + stride) % count;
      return tenant;
    };
    const each = (batches: number) => (p: Packet) => {
      turn = (turn + 1) % batches;
      line.writeUdp(p, turn === 0 ? next() : tenant, 0, 64, false);
    };
    return [
      count,
      measure([
        { name: 'one used', line, write: (p) => line.writeUdp(p, count >>> 1, 0, 64, false) },
        { name: 'a batch each', line, write: each(BATCH) },
        { name: 'eight packets each', line, write: each(8) },
        { name: 'each packet another', line, write: each(1) },
      ]),
    ] as const;
  });
  const first = rows[0]![1];
  printTable(
    [
      'compartments',
      'one used: ns',
      'ratio',
      `${BATCH} each in turn`,
      'ratio',
      '8 each',
      'ratio',
      'each another',
      'ratio',
    ],
    rows.map(([count, nanos]) => [
      `${count}`,
      ...nanos.flatMap((ns, i) => [ns.toFixed(0), (ns / first[i]!).toFixed(2)]),
    ]),
  );
}

/** Of an idle tenant, by what `TENANTS` take more than `FEWER_TENANTS`. */
function measureMemory(): void {
  const fewer = Math.min(FEWER_TENANTS, TENANTS >>> 1);
  const many = 16;
  const cells = CELLS_A_TENANT * 8;
  print(
    `octets of an idle tenant with its virtual subnet, NAT and connection: (${TENANTS} - ${fewer}) / ${TENANTS - fewer}`,
  );
  const kinds = [
    { name: '1 lookup record', vms: 1, used: false },
    { name: `${many} lookup records`, vms: many, used: false },
    { name: '1 lookup record, a session over', vms: 1, used: true },
  ];
  const rows = kinds.map(({ name, vms, used }) => {
    const line = newLine(0, {}, vms);
    const memory = [fewer, TENANTS].map((count, i) => {
      line.addTenants(count, vms);
      for (let tenant = i * fewer; used && tenant < count; tenant++) {
        const packet = pool.take()!;
        line.writeUdp(packet, tenant, 0, 64, false);
        line.receive(packet, performance.now());
        line.flush(performance.now());
      }
      line.settle(used ? 3600_000 : 3000);
      return memoryNow();
    });
    const [before, after] = memory as [Memory, Memory];
    const each = (octets: number): number => octets / (TENANTS - fewer);
    const [heap, buffers] = [each(after.heap - before.heap), each(after.buffers - before.buffers) - cells];
    return [name, heap, buffers] as const;
  });
  const titles = ['heap', 'buffers', 'cells', 'together'];
  printTable(
    ['', ...titles],
    rows.map(([name, heap, buffers]) => [
      name,
      ...[heap, buffers, cells, heap + buffers + cells].map((octets) => octets.toFixed(0)),
    ]),
  );
}

await main();
