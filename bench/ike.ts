/**
 * IKE SAs with a pre-shared key per second and core: how fast our state machine is alone, and beside strongSwan.
 *
 *  1. Two IkeEndpoints in one thread, no sockets: handshakes a second, and where the time goes by the contracts of src/crypto.
 *  2. Real sockets: one load generator against a Bulkhead process and against charon, same suites, waves interleaved.
 *     The measure is the responder's CPU time for an SA, since no load generator can blur that.
 */
import { availableParallelism } from 'node:os';
import { Secret } from '../src/core/index.ts';
import { type Group, groupByWord, nodeEngine, type Prf, prfByWord } from '../src/crypto/index.ts';
import { type IkeAction, type IkeConnection, IkeEndpoint, type IkeEvent } from '../src/ike/index.ts';
import { systemRandom } from '../src/runtime/index.ts';
import { connection, proposals } from '../test/support/ike-pair.ts';
import { ADDRESSES, sweepNamespaces, Topology } from '../test/support/netns.ts';
import { missingPeers } from '../test/support/peers.ts';
import type { Strongswan } from '../test/support/strongswan.ts';
import { type LoadOrder, siteName, type Target, type Wave } from './ike-load.ts';
import {
  demand,
  fastStrongswan,
  GatewayProcess,
  median,
  PSK,
  pin,
  print,
  printFacts,
  printTable,
  ROOT,
  spread,
} from './support.ts';

const SUITES = ['aes128gcm16-prfsha256-curve25519', 'aes128gcm16-prfsha256-ecp256', 'aes128gcm16-prfsha256-modp2048'];
const ALONE_ROUNDS = 5;
const ALONE_SAS = 300;
const ROUNDS = 7;
const COUNT = 250;
const WINDOW = 8;

/** IKE_SA_INIT and IKE_AUTH with a Child SA, one SA after the other, both ends in this thread. Each has fresh endpoints. */
function establish(suite: string, count: number): number {
  const changes: Partial<IkeConnection> = { ikeProposals: proposals('ike', suite), psk: Secret.fromText(PSK) };
  const [begins, listens] = [[connection('a', changes)], [connection('b', changes)]];
  let up = 0;
  for (let n = 0; n < count; n++) {
    const a = new IkeEndpoint({ random: systemRandom });
    const b = new IkeEndpoint({ random: systemRandom });
    const queue: { readonly to: IkeEndpoint; readonly event: IkeEvent }[] = [
      { to: b, event: { type: 'configure', connections: listens } },
      { to: a, event: { type: 'configure', connections: begins } },
      { to: a, event: { type: 'acquire', connection: 'lab/net', packet: undefined } },
    ];
    const deliver = (from: IkeEndpoint, action: IkeAction): void => {
      if (action.do === 'install') up += 1;
      if (action.do !== 'send') return;
      const { local, remote, octets } = action;
      const event: IkeEvent = { type: 'datagram', local: remote, remote: local, octets };
      queue.push({ to: from === a ? b : a, event });
    };
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      for (const action of next.to.handle(next.event, n)) deliver(next.to, action);
    }
  }
  if (up !== 2 * count) throw new Error(`${up} Child SAs installed instead of ${2 * count}`);
  return up;
}

const milliseconds = (work: () => void): number => {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
};

/** Time spent behind a function of a contract; contracts do not call each other except prf inside none of the others. */
class Meter {
  milliseconds = 0;
  calls = 0;

  around<A extends readonly unknown[], R>(work: (...args: A) => R): (...args: A) => R {
    return (...args) => {
      const before = performance.now();
      const result = work(...args);
      this.milliseconds += performance.now() - before;
      this.calls += 1;
      return result;
    };
  }
}

/** The same handshakes with meters around the groups, PRFs and protections; taken off again afterwards. */
function breakdown(suite: string): readonly string[] {
  const [, prfWord, groupWord] = suite.split('-');
  const meters = { dh: new Meter(), prf: new Meter(), keying: new Meter(), aead: new Meter() };
  const group = groupByWord(groupWord!)! as { -readonly [K in keyof Group]: Group[K] };
  const prf = prfByWord(prfWord!)! as { -readonly [K in keyof Prf]: Prf[K] };
  const [generate, compute, keyed] = [group.generate, prf.compute, nodeEngine.protection];
  group.generate = meters.dh.around((random) => {
    const pair = generate(random);
    return { ...pair, agree: meters.dh.around((peer) => pair.agree(peer)) };
  });
  prf.compute = meters.prf.around(compute);
  nodeEngine.protection = meters.keying.around((...args) => {
    const made = keyed(...args);
    return { ...made, seal: meters.aead.around(made.seal), open: meters.aead.around(made.open) };
  });
  try {
    const before = performance.now();
    establish(suite, ALONE_SAS);
    const all = performance.now() - before;
    const { dh, prf: prfs, keying, aead } = meters;
    const ours = all - dh.milliseconds - prfs.milliseconds - keying.milliseconds - aead.milliseconds;
    const cell = (time: number): string =>
      `${((time / ALONE_SAS) * 1000).toFixed(0)} (${((100 * time) / all).toFixed(0)} %)`;
    return [suite, ...[dh, prfs, keying, aead].map((m) => cell(m.milliseconds)), cell(ours), cell(all)];
  } finally {
    Object.assign(group, { generate });
    Object.assign(prf, { compute });
    nodeEngine.protection = keyed;
  }
}

function alone(): void {
  const rates: string[][] = [];
  const shares: (readonly string[])[] = [];
  for (const suite of SUITES) establish(suite, 2 * ALONE_SAS);
  for (const suite of SUITES) {
    const times = Array.from(
      { length: ALONE_ROUNDS },
      () => milliseconds(() => establish(suite, ALONE_SAS)) / ALONE_SAS,
    );
    const middle = median(times);
    rates.push([suite, spread(times, 2), (1000 / middle).toFixed(0), (2000 / middle).toFixed(0)]);
    shares.push(breakdown(suite));
  }
  print(`1. In process: both ends in one thread, no sockets; ${ALONE_ROUNDS} rounds of ${ALONE_SAS}, CPU time`);
  printTable(['suite', 'ms a handshake', 'handshakes/s', 'SA ends/s and core'], rates);
  print(
    '   Where a handshake (both ends) spends its microseconds; "ours" is codec, state machine, negotiation, garbage',
  );
  printTable(['suite', 'DH', 'PRF', 'cipher keying', 'AEAD', 'ours', 'all'], shares);
}

async function besides(): Promise<void> {
  demand('linux', 'root', 'koffi', 'netns', 'ethtool');
  const withSwan = missingPeers('strongswan');
  sweepNamespaces();
  const topology = new Topology();
  try {
    const { gwA, gwB, inetA, inetB } = ADDRESSES;
    const bulkhead = await GatewayProcess.start(document(gwA, inetA), topology, 'gwA');
    const targets: Target[] = [
      { name: 'Bulkhead', pid: bulkhead.pid, local: inetA, remote: gwA, network: '10.1.0.0/24' },
    ];
    let swan: Strongswan | undefined;
    if (withSwan.length === 0) {
      swan = await fastStrongswan(topology, 'gwB', strongswan(gwB, inetB));
      targets.push({ name: 'strongSwan', pid: swan.pid, local: inetB, remote: gwB, network: '10.2.0.0/24' });
    } else print(`strongSwan is left out: ${withSwan.join('; ')}`);
    const pinned = availableParallelism() > 1;
    if (pinned) for (const { pid } of targets) pin(pid, 0);
    const order: LoadOrder = { targets, suites: SUITES, rounds: ROUNDS, count: COUNT, window: WINDOW, psk: PSK };
    const script = `${import.meta.dirname}/ike-load.js`;
    const words = [...(pinned ? ['taskset', '-c', '1'] : []), process.execPath, script, JSON.stringify(order)];
    const load = topology.start('inet', words[0]!, words.slice(1), { cwd: ROOT });
    if ((await load.end(150_000)) !== 0) throw new Error(`the load generator: ${load.output.slice(-3000)}`);
    await bulkhead.stop();
    await swan?.stop();
    const waves = load.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Wave);
    printWaves(
      waves.filter((wave) => wave.round > 0),
      targets,
      pinned,
    );
  } finally {
    await topology.close();
  }
}

function printWaves(waves: readonly Wave[], targets: readonly Target[], pinned: boolean): void {
  print(
    `2. Responders over sockets: ${ROUNDS} interleaved rounds of ${COUNT} SAs (IKE_SA_INIT, IKE_AUTH with a Child SA), ${WINDOW} at a time`,
  );
  print(
    `   Load: one process with Bulkhead's IkeEndpoint as initiator${pinned ? ', on core 1; responders on core 0' : ''}. ${COUNT} connections configured,`,
  );
  print(
    '   told apart by identity. charon: OpenSSL plugin first, no log, IKE SA hash table, short DH exponents; its kernel-libipsec installs a kernel route a Child SA.',
  );
  const rows = SUITES.flatMap((suite) => {
    const of = (target: string): readonly Wave[] => waves.filter((w) => w.suite === suite && w.target === target);
    const cost = (w: Wave): number => (1000 * w.responderCpuSeconds) / w.established;
    const costs = targets.map(({ name }) => median(of(name).map(cost)));
    return targets.map(({ name }, i) => [
      `${name} ${suite}`,
      spread(of(name).map(cost), 2),
      (1000 / costs[i]!).toFixed(0),
      spread(of(name).map((w) => w.established / w.seconds)),
      `${(100 * median(of(name).map((w) => w.responderCpuSeconds / w.seconds))).toFixed(0)} %`,
      `${(100 * median(of(name).map((w) => w.loadCpuSeconds / w.seconds))).toFixed(0)} %`,
      i === 0 ? '' : `${(costs[0]! / costs[i]!).toFixed(2)}x`,
    ]);
  });
  const titles = [
    'responder',
    'CPU s per 1000 SAs',
    'SAs/s and core',
    'SAs/s seen',
    'its core',
    'load core',
    'Bulkhead costs',
  ];
  printTable(titles, rows);
  print(
    '   "SAs/s and core" follows from the CPU time. Where the load core is near 100 %, "SAs/s seen" is the generator\'s limit.',
  );
}

function document(here: string, there: string): object {
  const connections = Array.from({ length: COUNT }, (_, n) => ({
    name: `site${n}`,
    local: { address: here, id: 'gateway.bench' },
    remote: { address: there, id: siteName(n) },
    auth: { psk: { env: 'BENCH_PSK' } },
    ike: { proposals: SUITES },
    child: { proposals: ['aes128gcm16'], local: ['10.1.0.0/24'], remote: [remoteOf(n)] },
    start: 'listen',
    dpdSeconds: 0,
  }));
  return { version: 1, gateway: { external: { addresses: [here] } }, tenants: [{ name: 'bench', connections }] };
}

const strongswan = (here: string, there: string) => ({
  connections: Object.fromEntries(
    Array.from({ length: COUNT }, (_, n) => [
      `site${n}`,
      {
        localAddress: here,
        remoteAddress: there,
        localId: 'gateway.bench',
        remoteId: siteName(n),
        psk: PSK,
        proposals: SUITES.join(','),
        unique: 'never' as const,
        children: { [`net${n}`]: { localTs: ['10.2.0.0/24'], remoteTs: [remoteOf(n)], proposals: 'aes128gcm16' } },
      },
    ]),
  ),
});

const remoteOf = (n: number): string => `10.8.${n >> 8}.${n & 0xff}/32`;

printFacts(
  'bench:ike: IKE SAs with a pre-shared key',
  `suites ${SUITES.join(', ')}; Child SA aes128gcm16; medians (least–most)`,
);
alone();
await besides();
