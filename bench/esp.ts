/**
 * Throughput of site-to-site gateways, side by side: Bulkhead with two engines, strongSwan's libipsec, wireguard-go, OpenVPN, a
 * relay in C that does nothing but move, and the bare network under them all.
 *
 *     npm run bench:esp -- [--only KEY,KEY…] [--json]        BENCH_ROUNDS, BENCH_SECONDS
 *
 * A network of five namespaces for each; rounds in which each has a turn (`turn.ts`), so that what disturbs the machine disturbs
 * all. TCP runs with reno in every namespace: BBR would pace. Read the ratios (`targets.ts`), not the numbers.
 */
import { parseArgs } from 'node:util';
import { ADDRESSES, PLACES, sweepNamespaces, Topology } from '../test/support/netns.ts';
import { sh } from '../test/support/process.ts';
import { asJson, DISTURBED, printRows, printTargets, type Row } from './esp-report.ts';
import { CONTENDERS } from './paths/index.ts';
import type { Contender, Gateways } from './paths/path.ts';
import { demand, machineFacts, print, printFacts } from './support.ts';
import { type Turn, takeTurn, WARM_UP_SECONDS, WARM_UP_TURNS, warmUp } from './turn.ts';

/** One that takes part. */
interface Entrant {
  readonly contender: Contender;
  readonly topology: Topology;
  readonly gateways: Gateways;
  readonly turns: Turn[];
}

const KEYS: readonly string[] = CONTENDERS.map(({ key }) => key);
const CONGESTION_CONTROL = 'reno';

/** Of this run: who takes part, and why the others do not. */
interface Field {
  readonly entrants: Entrant[];
  readonly absent: Map<string, string>;
}

async function main(): Promise<void> {
  demand('linux', 'root', 'koffi', 'netns', 'tun', 'ethtool', 'iperf3');
  const { chosen, json } = options();
  const [rounds, seconds] = [numberOf('BENCH_ROUNDS', 5, 1, 100), numberOf('BENCH_SECONDS', 2, 1, 20)];
  const field: Field = { entrants: [], absent: new Map() };
  sweepNamespaces();
  try {
    for (const contender of chosen) await admit(field, contender);
    if (!json) {
      const title = 'bench:esp: TCP and small UDP through two gateways, outer MTU 1500';
      printFacts(title, ...facts(field.entrants, rounds, seconds));
    }
    for (let round = 0; round < rounds; round++) await playRound(field, round, rounds, seconds);
    const rows = chosen.map(({ key, name }): Row => {
      const turns = field.entrants.find(({ contender }) => contender.key === key)?.turns ?? [];
      return { key, name, absent: field.absent.get(key), turns };
    });
    if (json) print(asJson(rows, { machine: machineFacts(), rounds, seconds }));
    else {
      printRows(rows);
      printTargets(rows);
    }
  } finally {
    for (const entrant of field.entrants) await leave(entrant);
  }
}

async function admit({ entrants, absent }: Field, contender: Contender): Promise<void> {
  if (contender.absent !== undefined) {
    absent.set(contender.key, contender.absent);
    return;
  }
  tell(`joining: ${contender.name}`);
  try {
    entrants.push(await enter(contender));
  } catch (error) {
    exclude(absent, contender, 'does not come up', error);
  }
}

/** What is installed but fails is absent too, and the run counts as failed. */
function exclude(absent: Map<string, string>, { key, name }: Contender, what: string, error: unknown): void {
  const why = `${what}: ${error instanceof Error ? error.message : error}`;
  tell(`${name} ${why}`);
  absent.set(key, why);
  process.exitCode = 1;
}

/** A network with this contender's gateways in it, through which the hosts reach each other. */
async function enter(contender: Contender): Promise<Entrant> {
  const topology = new Topology({ offloads: true });
  try {
    for (const place of PLACES) demandReno(topology.name(place));
    const gateways = await contender.join(topology);
    const entrant: Entrant = { contender, topology, gateways, turns: [] };
    try {
      if ((await topology.ping('hostA', ADDRESSES.hostB, 5)) < 3) throw new Error('the hosts do not reach each other');
      await warmUp(topology);
      return entrant;
    } catch (error) {
      await gateways.stop();
      throw error;
    }
  } catch (error) {
    await topology.close();
    throw error;
  }
}

async function leave({ gateways, topology }: Entrant): Promise<void> {
  await gateways.stop();
  await topology.close();
}

/** Who begins moves on by one from round to round. */
async function playRound({ entrants, absent }: Field, round: number, rounds: number, seconds: number): Promise<void> {
  const began = performance.now();
  const played: Turn[] = [];
  const disturbed: string[] = [];
  for (let i = 0; i < entrants.length; i++) {
    const { contender, topology, gateways, turns } = entrants[(i + round) % entrants.length]!;
    if (absent.has(contender.key)) continue;
    try {
      const turn = await takeTurn(topology, gateways.pids, seconds);
      turns.push(turn);
      played.push(turn);
      if (turn.foreign > DISTURBED) disturbed.push(`${contender.name} ${percent(turn.foreign)}`);
    } catch (error) {
      exclude(absent, contender, `failed in round ${round + 1}`, error);
    }
  }
  const took = ((performance.now() - began) / 1000).toFixed(0);
  const foreign = played.reduce((sum, turn) => sum + turn.foreign, 0) / Math.max(1, played.length);
  const marked = disturbed.length === 0 ? '' : `; disturbed: ${disturbed.join(', ')}`;
  tell(`round ${round + 1} of ${rounds}: ${took} s, foreign CPU ${percent(foreign)}${marked}`);
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

const facts = (entrants: readonly Entrant[], rounds: number, seconds: number): readonly string[] => [
  `${rounds} interleaved rounds, ${seconds} s a measurement, after ${WARM_UP_TURNS} of ${WARM_UP_SECONDS} s that are not counted`,
  `${CONGESTION_CONTROL} in every namespace; checksum and segmentation offloads of the veth pairs on in all of them, so that a`,
  'superframe of the hosts reaches whoever takes it, and is cut by the kernel at the device of whoever does not',
  ...entrants.map(({ contender: { name, setup }, gateways: { found } }) =>
    [`${name}: ${setup}`, ...(found === undefined ? [] : [found])].join('; '),
  ),
];

function demandReno(namespace: string): void {
  const used = sh('ip', ['netns', 'exec', namespace, 'sysctl', '-n', 'net.ipv4.tcp_congestion_control']).trim();
  if (used !== CONGESTION_CONTROL) throw new Error(`${namespace} uses ${used}, not ${CONGESTION_CONTROL}`);
}

function options(): { readonly chosen: readonly Contender[]; readonly json: boolean } {
  try {
    const { values } = parseArgs({ options: { only: { type: 'string' }, json: { type: 'boolean' } } });
    const only = values.only?.split(',') ?? KEYS;
    const unknown = only.filter((key) => !KEYS.includes(key));
    if (unknown.length > 0) throw new Error(`no path ${unknown.join(', ')}; there are ${KEYS.join(', ')}`);
    return { chosen: CONTENDERS.filter(({ key }) => only.includes(key)), json: values.json ?? false };
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function numberOf(name: string, otherwise: number, least: number, most: number): number {
  const value = Number(process.env[name] ?? otherwise);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  return refuse(`${name} is a whole number from ${least} to ${most}`);
}

function refuse(why: string): never {
  tell(why);
  process.exit(2);
}

/** How far the run has come; stdout is for results. */
const tell = (text: string): void => void process.stderr.write(`${text}\n`);

await main();
