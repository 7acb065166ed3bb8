/**
 * Memory of one gateway process that holds a thousand idle connections, each with an IKE SA and a Child SA.
 *
 * The peer is a second gateway process; messages pass real sockets in network namespaces. Measured is the resident set as the
 * kernel counts it (VmRSS), without asking the collector for anything, against the same process before the first connection.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { ADDRESSES, sweepNamespaces, Topology } from '../test/support/netns.ts';
import { until } from '../test/support/process.ts';
import { demand, GatewayProcess, memory, print, printFacts, printTable } from './support.ts';

const CONNECTIONS = 1000;
const TENANTS = 100;
const SETTLE_SECONDS = 40;
const LIMIT_MB = 150;

/** Tenants have overlapping networks: only compartments keep them apart. */
function document(here: string, there: string, connections: number, start: 'boot' | 'listen'): object {
  const perTenant = Math.ceil(CONNECTIONS / TENANTS);
  const tenants = Array.from({ length: Math.ceil(connections / perTenant) }, (_, t) => ({
    name: `tenant${t}`,
    connections: Array.from({ length: perTenant }, (_, c) => connection(here, there, t, c, start)),
  }));
  return { version: 1, gateway: { external: { addresses: [here] } }, tenants };
}

function connection(here: string, there: string, tenant: number, number: number, start: 'boot' | 'listen'): object {
  const site = `site${number}.tenant${tenant}.bench`;
  const [mine, theirs] = start === 'boot' ? [site, 'gateway.bench'] : ['gateway.bench', site];
  const networks = ['10.1.0.0/16', `10.2.${number}.0/24`];
  const [local, remote] = start === 'boot' ? networks.toReversed() : networks;
  return {
    name: `site${number}`,
    local: { address: here, id: mine },
    remote: { address: there, id: theirs },
    auth: { psk: { env: 'BENCH_PSK' } },
    ike: { proposals: ['aes128gcm16-prfsha256-curve25519'] },
    child: { proposals: ['aes128gcm16'], local: [local], remote: [remote] },
    start,
  };
}

const megabytes = (octets: number): string => (octets / 1e6).toFixed(1);
const measure = (name: string, pid: number): readonly string[] => [
  name,
  megabytes(memory(pid, 'VmRSS')),
  megabytes(memory(pid, 'RssAnon')),
  megabytes(memory(pid, 'VmHWM')),
];

async function main(): Promise<void> {
  demand('linux', 'root', 'koffi', 'netns', 'ethtool');
  printFacts(
    `bench:memory: ${CONNECTIONS} idle connections of ${TENANTS} tenants in one process`,
    'aes128gcm16-prfsha256-curve25519, PSK, one Child SA each, default limits, DPD every 30 s; peer: a second Bulkhead',
    `resident set of the process under test in MB, ${SETTLE_SECONDS} s after the last connection came up`,
    'VmRSS counts the mapped node binary too, RssAnon does not; VmHWM is the highest VmRSS so far',
  );
  sweepNamespaces();
  const topology = new Topology();
  const rows: (readonly string[])[] = [];
  try {
    const { gwA, gwB } = ADDRESSES;
    const empty = await GatewayProcess.start(document(gwA, gwB, 0, 'listen'), topology, 'gwA');
    await pause(3_000);
    rows.push(measure('running, no connection', empty.pid));
    await empty.stop();

    const tested = await GatewayProcess.start(document(gwA, gwB, CONNECTIONS, 'listen'), topology, 'gwA');
    await pause(3_000);
    rows.push(measure('configured, none up', tested.pid));
    const began = performance.now();
    const peer = await GatewayProcess.start(document(gwB, gwA, CONNECTIONS, 'boot'), topology, 'gwB');
    const all = async (): Promise<boolean> => (await tested.status()).connections.up === CONNECTIONS;
    await until(all, 90_000, () => `not all came up; the gateway wrote:\n${tested.process.output.slice(-2000)}`);
    const seconds = (performance.now() - began) / 1000;
    rows.push(measure('all up', tested.pid));
    await pause(SETTLE_SECONDS * 1000);
    const status = await tested.status();
    const settled = memory(tested.pid, 'VmRSS');
    rows.push(measure(`${SETTLE_SECONDS} s later`, tested.pid));
    await peer.stop();
    await tested.stop();

    printTable(['process under test', 'VmRSS', 'RssAnon', 'VmHWM'], rows);
    const { ikeSas, childSas } = status;
    print(
      `  ${status.connections.up} connections up, ${ikeSas} IKE SAs, ${childSas} Child SAs after ${seconds.toFixed(1)} s`,
    );
    print(
      `  ${megabytes(settled)} MB resident: ${settled < LIMIT_MB * 1e6 ? 'below' : 'ABOVE'} the ${LIMIT_MB} MB aimed at`,
    );
    process.exitCode = settled < LIMIT_MB * 1e6 && status.connections.up === CONNECTIONS ? 0 : 1;
  } finally {
    await topology.close();
  }
}

await main();
