/**
 * ESP throughput through two gateways: Bulkhead and strongSwan's libipsec side by side, and the bare veth pairs under both.
 *
 * Three networks of five namespaces, the same AEAD, ESP in UDP in both; rounds interleaved, medians. One TCP stream in each direction and
 * a flood of small UDP datagrams, of which those that arrive are counted. TCP runs with reno everywhere: BBR would pace.
 */
import { iperf } from '../test/support/iperf.ts';
import { ADDRESSES, type Place, sweepNamespaces, Topology } from '../test/support/netns.ts';
import { missingPeers } from '../test/support/peers.ts';
import { sh } from '../test/support/process.ts';
import type { Strongswan } from '../test/support/strongswan.ts';
import { cpuSeconds } from './processor.ts';
import {
  demand,
  fastStrongswan,
  GatewayProcess,
  median,
  PSK,
  print,
  printFacts,
  printTable,
  routePlain,
  spread,
} from './support.ts';

const ROUNDS = 5;
const SECONDS = 2;
const SMALL = 64;
const IKE = 'aes128gcm16-prfsha256-curve25519';
const ESP = 'aes128gcm16';

interface Path {
  readonly name: string;
  readonly topology: Topology;
  /** Gateway processes whose CPU time counts. */
  readonly pids: readonly number[];
  stop(): Promise<void>;
}

interface Sample {
  readonly forward: number;
  readonly backward: number;
  readonly packets: number;
  /** Microseconds of CPU time of both gateways for a datagram that arrived. */
  readonly microsPerPacket: number;
  /** CPU time of both gateways for an octet of TCP payload, in nanoseconds. */
  readonly nanosPerOctet: number;
}

const NETWORKS = { gwA: '10.1.0.0/24', gwB: '10.2.0.0/24' } as const;
type Side = keyof typeof NETWORKS;
const otherSide = (side: Side): Side => (side === 'gwA' ? 'gwB' : 'gwA');

function document(side: Side): object {
  const other = otherSide(side);
  const connection = {
    name: 'peer',
    remote: { address: ADDRESSES[other] },
    auth: { psk: { env: 'BENCH_PSK' } },
    ike: { proposals: [IKE] },
    child: { proposals: [ESP], local: [NETWORKS[side]], remote: [NETWORKS[other]] },
    start: side === 'gwA' ? 'boot' : 'listen',
    encapsulation: 'udp',
  };
  const tenant = {
    name: 'bench',
    interfaces: [{ name: 'inside', driver: 'tun', device: 'bh0', addresses: ['10.9.0.1/24'] }],
    routes: [{ prefix: NETWORKS[side], via: 'inside' }],
    connections: [connection],
  };
  return { version: 1, gateway: { external: { addresses: [ADDRESSES[side]] } }, tenants: [tenant] };
}

const strongswan = (side: Side) => ({
  connections: {
    s2s: {
      localAddress: ADDRESSES[side],
      remoteAddress: ADDRESSES[otherSide(side)],
      psk: PSK,
      proposals: IKE,
      children: { net: { localTs: [NETWORKS[side]], remoteTs: [NETWORKS[otherSide(side)]], proposals: ESP } },
    },
  },
});

async function bulkheadPath(): Promise<Path> {
  const topology = new Topology({ offloads: true });
  const b = await GatewayProcess.start(document('gwB'), topology, 'gwB');
  const a = await GatewayProcess.start(document('gwA'), topology, 'gwA');
  const stop = async (): Promise<void> => {
    await Promise.all([a.stop(), b.stop()]);
    await topology.close();
  };
  return { name: 'Bulkhead', topology, pids: [a.pid, b.pid], stop };
}

async function strongswanPath(): Promise<Path> {
  const topology = new Topology({ offloads: true });
  const swans: Strongswan[] = [];
  for (const side of ['gwB', 'gwA'] as const) swans.push(await fastStrongswan(topology, side, strongswan(side)));
  const { code, stdout, stderr } = await swans[1]!.initiate();
  if (code !== 0) throw new Error(`strongSwan does not connect: ${stdout}${stderr}`);
  const stop = async (): Promise<void> => {
    await Promise.all(swans.map((swan) => swan.stop()));
    await topology.close();
  };
  return { name: 'strongSwan libipsec', topology, pids: swans.map((swan) => swan.pid), stop };
}

async function plainPath(): Promise<Path> {
  const topology = new Topology({ offloads: true });
  await routePlain(topology);
  return { name: 'bare veth', topology, pids: [], stop: () => topology.close() };
}

const cpuOf = (path: Path): number => path.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);

async function sample({ topology, ...path }: Path): Promise<Sample> {
  const whole = { topology, ...path };
  const [client, server]: readonly [Place, Place] = ['hostA', 'hostB'];
  const before = cpuOf(whole);
  const forward = await iperf(topology, client, server, ADDRESSES.hostB, { seconds: SECONDS });
  const backward = await iperf(topology, client, server, ADDRESSES.hostB, { seconds: SECONDS, reverse: true });
  const between = cpuOf(whole);
  const flood = await iperf(topology, client, server, ADDRESSES.hostB, { seconds: SECONDS, udp: true, length: SMALL });
  const after = cpuOf(whole);
  const arrived = flood.packets - flood.lost;
  return {
    forward: forward.bitsPerSecond / 1e6,
    backward: backward.bitsPerSecond / 1e6,
    packets: arrived / SECONDS / 1000,
    microsPerPacket: ((after - between) * 1e6) / arrived,
    nanosPerOctet: ((between - before) * 1e9) / (forward.bytes + backward.bytes),
  };
}

function report(samples: ReadonlyMap<string, readonly Sample[]>): void {
  const rows = [...samples].map(([name, of]) => {
    const bare = name === 'bare veth';
    return [
      name,
      spread(of.map((s) => s.forward)),
      spread(of.map((s) => s.backward)),
      spread(
        of.map((s) => s.packets),
        1,
      ),
      bare ? '' : median(of.map((s) => s.nanosPerOctet)).toFixed(1),
      bare ? '' : median(of.map((s) => s.microsPerPacket)).toFixed(1),
    ];
  });
  const [ours, theirs] = [samples.get('Bulkhead'), samples.get('strongSwan libipsec')];
  if (ours !== undefined && theirs !== undefined) {
    const ratio = (of: (s: Sample) => number): string =>
      `${(median(ours.map(of)) / median(theirs.map(of))).toFixed(2)}x`;
    const rates = [ratio((s) => s.forward), ratio((s) => s.backward), ratio((s) => s.packets)];
    rows.push(['Bulkhead / strongSwan', ...rates, ratio((s) => s.nanosPerOctet), ratio((s) => s.microsPerPacket)]);
  }
  const titles = [
    'path',
    'TCP A→B Mbit/s',
    'TCP B→A Mbit/s',
    `UDP ${SMALL} octets kpps`,
    'TCP CPU ns/octet',
    'UDP CPU µs/packet',
  ];
  printTable(titles, rows);
  print(
    '  CPU: user and system time of both gateway processes, for what arrived. The flood is not paced: what arrives is what the',
  );
  print('  receiver of an overloaded path sees, and sender, gateways and receiver share the cores named above.');
}

async function main(): Promise<void> {
  demand('linux', 'root', 'koffi', 'netns', 'tun', 'ethtool', 'iperf3');
  printFacts(
    `bench:esp: TCP and small UDP through two gateways, ${ESP}, ESP in UDP, outer MTU 1500`,
    `${ROUNDS} interleaved rounds of ${SECONDS} s a measurement; medians (least–most)`,
    'strongSwan: kernel-libipsec with the OpenSSL plugin first; veth with its offloads, so that superframes reach whoever takes them',
  );
  sweepNamespaces();
  const paths: Path[] = [];
  try {
    paths.push(await bulkheadPath());
    const missing = missingPeers('strongswan');
    if (missing.length === 0) paths.push(await strongswanPath());
    else print(`strongSwan is left out: ${missing.join('; ')}`);
    paths.push(await plainPath());
    print(`  congestion control: ${paths.map((path) => congestionControl(path.topology)).join(', ')}\n`);
    const samples = new Map<string, Sample[]>(paths.map(({ name }) => [name, []]));
    for (const { name, topology } of paths) {
      if ((await topology.ping('hostA', ADDRESSES.hostB, 5)) < 3)
        throw new Error(`${name}: the hosts do not reach each other`);
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const path of paths) samples.get(path.name)!.push(await sample(path));
    }
    report(samples);
  } finally {
    for (const path of paths) await path.stop();
  }
}

function congestionControl(topology: Topology): string {
  const words = ['netns', 'exec', topology.name('hostA'), 'sysctl', '-n', 'net.ipv4.tcp_congestion_control'];
  return sh('ip', words).trim();
}

await main();
