/**
 * A tenant's way out through real sockets: a machine behind a virtualization host, NVGRE, a gateway that translates, a server. The
 * gateway is Bulkhead, or Open vSwitch's userland datapath with its GRE and nftables' masquerade behind it.
 *
 * A network of namespaces for each (`test/support/overlay.ts`), the host of both is Bulkhead: this kernel has no GRE, and so both
 * pay for the same machine, host and server on the same processors. Rounds in which each has a turn; read the ratios of medians.
 * BENCH_ROUNDS, BENCH_SECONDS: default 5, and 2 of each measurement.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Place } from '../test/support/netns.ts';
import { OpenVswitch, withoutOffloads } from '../test/support/openvswitch.ts';
import {
  CA,
  GATEWAY_CA,
  GATEWAY_MACS,
  gatewayDocument,
  HOSTS,
  hostDocument,
  MAC,
  Overlay,
  ROUTER,
  SERVER,
  type Spot,
  UNDERLAY,
  VSID,
} from '../test/support/overlay.ts';
import { until } from '../test/support/process.ts';
import type { Flooded } from './flood.ts';
import { demand, GatewayProcess, median, print, printTable } from './support.ts';

interface Contender {
  readonly name: string;
  readonly net: Overlay;
  /** In the order in which they end. */
  readonly parts: { stop(): Promise<unknown> }[];
  readonly turns: Turn[];
}

interface Turn {
  /** Mbit/s of payload, from the machine and to it. */
  readonly out: number;
  readonly back: number;
  /** Thousands of datagrams a second that arrived, by their octets. */
  readonly floods: readonly number[];
}

const LENGTHS = [64, 1400] as const;
const VIA = 'via0';

export async function measureWire(): Promise<void> {
  demand('linux', 'root', 'koffi', 'netns', 'openvswitch', 'nft', 'ethtool', 'iperf3', 'ping');
  const [rounds, seconds] = [Number(process.env.BENCH_ROUNDS ?? 5), Number(process.env.BENCH_SECONDS ?? 2)];
  print(`through sockets: NVGRE → NAT → external, ${rounds} rounds of ${seconds} s each, medians`);
  const contenders = [begin('Bulkhead'), begin('Open vSwitch and nftables')];
  try {
    await joinBulkhead(contenders[0]!);
    await joinOpenVswitch(contenders[1]!);
    for (const { net, name } of contenders)
      await until(
        async () => (await net.ping('blue1', SERVER)) > 0,
        10_000,
        () => `${name}: the server is not reached`,
      );
    for (let round = -1; round < rounds; round++)
      for (const { net, turns } of contenders) {
        const turn = await takeTurn(net, seconds);
        if (round >= 0) turns.push(turn);
      }
    report(contenders);
  } finally {
    for (const { parts, net } of contenders) {
      for (const part of parts) await part.stop();
      await net.close();
    }
  }
}

const begin = (name: string): Contender => ({ name, net: new Overlay(), parts: [], turns: [] });

async function joinBulkhead({ net, parts }: Contender): Promise<void> {
  parts.push(await startNode(net, 'gw', gatewayDocument({ blue: { nat: {} }, red: { nat: {} } })));
  parts.push(await startNode(net, 'h1', hostDocument('h1')));
}

const startNode = (net: Overlay, spot: Spot, document: string): Promise<GatewayProcess> =>
  GatewayProcess.start(JSON.parse(document) as object, net.topology, spot as Place, { listens: false });

/** Its port in the virtual subnet is a veth pair, whose other end is the kernel's. */
async function joinOpenVswitch({ net, parts }: Contender): Promise<void> {
  parts.push(await startNode(net, 'h1', hostDocument('h1')));
  const gw = (...words: readonly string[]): Promise<string> => net.must('gw', words[0]!, words.slice(1));
  await gw('ip', 'link', 'add', VIA, 'address', GATEWAY_MACS.blue, 'type', 'veth', 'peer', 'name', 'blue');
  await gw('ip', 'addr', 'add', `${GATEWAY_CA}/24`, 'dev', VIA);
  for (const device of [VIA, 'blue']) await gw('ip', 'link', 'set', device, 'up');
  await gw('ip', 'link', 'set', VIA, 'mtu', '1458');
  await gw('ip', 'addr', 'add', '203.0.113.10/24', 'dev', 'ext0');
  await gw('ip', 'route', 'replace', 'default', 'via', ROUTER);
  await gw('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0');
  await gw('nft', 'add', 'table', 'ip', 'nat');
  await gw('nft', 'add chain ip nat out { type nat hook postrouting priority srcnat; }');
  await gw('nft', 'add rule ip nat out oifname ext0 masquerade');
  withoutOffloads(net, 'gw', VIA);
  const ovs = await OpenVswitch.start(net, 'gw', {
    device: 'under0',
    address: `${UNDERLAY}/24`,
    ports: [{ vsid: VSID.blue, mac: GATEWAY_MACS.blue, device: 'blue' }],
    records: [
      { vsid: VSID.blue, ca: CA[0], mac: MAC[0], pa: HOSTS.h1 },
      { vsid: VSID.blue, ca: GATEWAY_CA, mac: GATEWAY_MACS.blue, pa: UNDERLAY },
    ],
  });
  parts.unshift(ovs);
  await net.ping('gw', HOSTS.h1, 1);
}

async function takeTurn(net: Overlay, seconds: number): Promise<Turn> {
  const out = await tcp(net, seconds, false);
  const back = await tcp(net, seconds, true);
  const floods: number[] = [];
  for (const length of LENGTHS) floods.push(await flood(net, seconds, length));
  await pause(DRAIN_MILLIS);
  return { out, back, floods };
}

async function tcp(net: Overlay, seconds: number, reverse: boolean): Promise<number> {
  const server = net.start('server', 'iperf3', ['-s', '-1', '--forceflush']);
  try {
    await server.line(/Server listening/);
    const words = ['-c', SERVER, '-t', `${seconds}`, '-J', '--connect-timeout', '5000', ...(reverse ? ['-R'] : [])];
    const { stdout } = await net.run('blue1', 'iperf3', words);
    const { end, error } = JSON.parse(stdout) as {
      readonly end?: { readonly sum_received?: { readonly bits_per_second: number } };
      readonly error?: string;
    };
    if (end?.sum_received === undefined) throw new Error(`iperf3: ${error}`);
    return end.sum_received.bits_per_second / 1e6;
  } finally {
    await server.stop('SIGKILL');
  }
}

/** One sender: with two the machine has no processor for anybody else. */
async function flood(net: Overlay, seconds: number, length: number): Promise<number> {
  const script = `${import.meta.dirname}/flood.js`;
  const sink = net.start('server', process.execPath, [script, 'sink', SERVER, `${seconds}`, `${length}`]);
  try {
    const [, port] = await sink.line(/^port (\d+)$/m);
    const words = [script, 'send', CA[0], SERVER, port!, `${seconds + MARGIN_SECONDS}`, `${length}`];
    const sender = net.start('blue1', process.execPath, words);
    for (const each of [sink, sender]) if ((await each.end()) !== 0) throw new Error(`the flood: ${each.output}`);
    const counted = JSON.parse(sink.stdout.trim().split('\n').at(-1)!) as Flooded;
    return counted.packets / counted.seconds / 1000;
  } finally {
    await sink.stop('SIGKILL');
  }
}

function report(contenders: readonly Contender[]): void {
  const measures: readonly (readonly [string, (turn: Turn) => number])[] = [
    ['TCP out, Mbit/s', ({ out }) => out],
    ['TCP back, Mbit/s', ({ back }) => back],
    ...LENGTHS.map((length, i) => [`UDP ${length}, thousand/s`, ({ floods }: Turn) => floods[i]!] as const),
  ];
  const rows = measures.map(([name, of]) => {
    const values = contenders.map(({ turns }) => turns.map(of));
    const [ours, theirs] = values.map((each) => median(each));
    const cells = values.map(
      (each) => `${median(each).toFixed(0)} (${Math.min(...each).toFixed(0)}–${Math.max(...each).toFixed(0)})`,
    );
    return [name, ...cells, (ours! / theirs!).toFixed(2)];
  });
  printTable(['', ...contenders.map(({ name }) => name), 'ratio'], rows);
}

/** What still stands in queues is to be gone before the next turn. */
const DRAIN_MILLIS = 300;
/** The sender goes on until the sink has counted. */
const MARGIN_SECONDS = 0.6;
