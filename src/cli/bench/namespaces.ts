/**
 * Two gateways as processes, `bulkhead run`, each in a network namespace with a TUN device; traffic over sockets of the kernel.
 *
 *     a: traffic ── TUN ── gateway ── veth ══ veth ── gateway ── TUN ── traffic :b
 *
 * "Bare" is the same traffic over the veth pair alone. Leaves to others: namespaces (`runtime/namespaces.ts`), the traffic itself.
 * Invariant: processes, namespaces and files are gone when `close` has resolved, within a few seconds. Of a bench that was killed
 * outright the next one ends the processes and removes the namespaces; two documents without secrets stay in a temporary folder.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { CommandStatus } from '../../api/backend.ts';
import type { GatewayStatus } from '../../gateway/status.ts';
import { type Child, processorSeconds } from '../../runtime/child.ts';
import { NamespacePair, sweepNamespaces } from '../../runtime/namespaces.ts';
import { type Client, clientFor } from '../client.ts';
import { CliError, type Io } from '../io.ts';
import { Ledger, median, SMALL, SUBJECTS, type Subject } from './ledger.ts';
import { type Answer, type Answers, brief, type Order, type Place, warmUp } from './orders.ts';
import {
  CONNECTION,
  documentText,
  failed,
  HOST,
  interrupted,
  OUTSIDE,
  otherSide,
  type Plan,
  type Side,
  TENANT,
  type Way,
} from './way.ts';

const PREFIX = 'bh-bench-';
const SIDES: readonly Side[] = ['a', 'b'];

/** Addresses of the traffic by the way it takes. */
const WAYS = { tunnel: HOST, bare: OUTSIDE } as const;
type WayName = keyof typeof WAYS;
const WAY_WORDS = { tunnel: 'through the tunnel', bare: 'over the bare veth pair' } as const;

/** The namespaces, or in words why there are none: not every root may make them. */
export function tryNamespaces(): NamespacePair | string {
  sweepNamespaces(PREFIX);
  try {
    return new NamespacePair(PREFIX, { a: `${OUTSIDE.a}/24`, b: `${OUTSIDE.b}/24` });
  } catch (error) {
    return `network namespaces cannot be made: ${(error as Error).message}`;
  }
}

export class NamespaceWay implements Way {
  readonly name = 'namespaces';
  readonly words = 'two gateways in network namespaces, a veth pair between them, a TUN device in each';
  readonly #pair: NamespacePair;
  readonly #plan: Plan;
  readonly #folder = mkdtempSync(join(tmpdir(), 'bh-bench-'));
  readonly #gateways: Partial<Record<Side, Child>> = {};
  readonly #traffic: Partial<Record<Side, Child>> = {};
  readonly #servers = new Map<string, number>();
  readonly #client: Client;
  #warm = false;

  private constructor(pair: NamespacePair, plan: Plan, io: Io) {
    this.#pair = pair;
    this.#plan = plan;
    this.#client = this.#clientOf('a', io);
  }

  /** Connected when this resolves. Takes over the pair. */
  static async open(pair: NamespacePair, plan: Plan, io: Io): Promise<NamespaceWay> {
    const way = new NamespaceWay(pair, plan, io);
    try {
      await way.#start(io);
      return way;
    } catch (error) {
      await way.close();
      throw error;
    }
  }

  async round(ledger: Ledger): Promise<void> {
    const { parts, millis } = this.#plan;
    for (const way of ['tunnel', 'bare'] as const) await this.#pass(ledger, way, millis);
    if (parts.has('ike')) await this.#handshakes(ledger, brief(millis));
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#traffic).map((child) => child.stop(GRACE_MS)));
    // One after the other: each DELETE finds somebody to answer it.
    for (const gateway of Object.values(this.#gateways)) await gateway.stop(GRACE_MS);
    this.#pair.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(io: Io): Promise<void> {
    this.#plan.step('starting two gateways');
    const env = { [SECRET]: randomBytes(32).toString('hex') };
    for (const side of SIDES) {
      const iface = { driver: 'tun', device: 'bh0', hostAddresses: [`${HOST[side]}/24`] };
      const file = join(this.#folder, `${side}.json`);
      writeFileSync(file, documentText(side, this.#plan.suite, iface, { env: SECRET }), { mode: 0o600 });
      const words = ['run', '-c', file, '--api', this.#api(side), '--log-level', 'warn', '--log-format', 'words'];
      this.#gateways[side] = this.#pair.start(side, process.execPath, [BIN, ...words], { env });
      this.#traffic[side] = this.#pair.start(side, process.execPath, [BIN, 'bench-traffic']);
    }
    // The default of a kernel may be BBR, which paces: then a stream shows its pace and not what the way can carry.
    for (const side of SIDES) await this.#ask(side, { do: 'congestion', algorithm: 'reno' });
    for (const side of SIDES) await this.#listening(side, this.#clientOf(side, io));
    this.#plan.step('connecting them');
    await this.#up();
    // What a gateway does for the first time it does several times slower, and would count in the first round only.
    await this.#pass(new Ledger(), 'tunnel', brief(brief(this.#plan.millis)));
    this.#warm = true;
  }

  async #pass(ledger: Ledger, way: WayName, millis: number): Promise<void> {
    const { parts } = this.#plan;
    if (parts.has('tcp')) {
      await this.#stream(ledger, SUBJECTS.tcpOut, way, 'a', millis);
      await this.#stream(ledger, SUBJECTS.tcpBack, way, 'b', millis);
    }
    if (parts.has('udp')) await this.#flood(ledger, way, millis);
    if (parts.has('ping')) await this.#bounce(ledger, way, brief(millis));
  }

  #step({ words }: Subject, way: WayName): void {
    this.#plan.step(`${this.#warm ? '' : 'warming up: '}${words}, ${WAY_WORDS[way]}`);
  }

  #api(side: Side): string {
    return `unix:${join(this.#folder, `${side}.sock`)}`;
  }

  #clientOf(side: Side, { stdout, stderr, env, signal }: Io): Client {
    return clientFor({ io: { stdout, stderr, env, signal }, args: [], options: { api: this.#api(side) } });
  }

  async #listening(side: Side, client: Client): Promise<void> {
    for (const until = performance.now() + START_MS; performance.now() < until; await pause(20)) {
      const { end } = this.#gateways[side]!;
      if (this.#plan.signal.aborted) throw interrupted();
      if (end !== undefined) throw failed(`the gateway of ${side} ended: ${end}`, SEE_DOCTOR);
      try {
        const [status] = await client.call<GatewayStatus>('GET', '/v1/status');
        const [problem] = status!.problems;
        if (problem !== undefined) throw failed(`the gateway of ${side}: ${problem.problem}`, problem.advice);
        if (status!.listen.length > 0) return;
      } catch (error) {
        if (!(error instanceof CliError) || error.code !== 'unreachable') throw error;
      }
    }
    throw failed(`the gateway of ${side} does not listen after ${START_MS / 1000} s`, SEE_DOCTOR);
  }

  async #up(): Promise<void> {
    const [status] = await this.#command('up');
    if (status!.outcome !== 'done') throw failed(`the gateways do not connect: ${status!.why}`);
  }

  #command(verb: 'up' | 'down'): Promise<readonly CommandStatus[]> {
    const path = `/v1/connections/${TENANT}/${CONNECTION}/${verb}`;
    return this.#client.call<CommandStatus>('POST', path, { wait: COMMAND_SECONDS }, COMMAND_SECONDS);
  }

  /** One stream from `side` to the other. */
  async #stream(ledger: Ledger, subject: Subject, way: WayName, side: Side, millis: number): Promise<void> {
    const to = await this.#server(way, side);
    const from = WAYS[way][otherSide(side)];
    this.#step(subject, way);
    const before = this.#processor();
    const passed = await this.#ask(otherSide(side), { do: 'pull', from, to, millis });
    const nanos = ((this.#processor() - before) * 1e9) / passed.total;
    const processor = { value: nanos, unit: 'ns/octet' } as const;
    ledger.enter(subject, way, (8 * passed.count) / passed.seconds, way === 'tunnel' ? processor : undefined);
  }

  async #server(way: WayName, side: Side): Promise<Place> {
    const address = WAYS[way][side];
    const known = this.#servers.get(address);
    if (known !== undefined) return { address, port: known };
    const { port } = await this.#ask(side, { do: 'serve', address });
    this.#servers.set(address, port);
    return { address, port };
  }

  async #flood(ledger: Ledger, way: WayName, millis: number): Promise<void> {
    this.#step(SUBJECTS.small, way);
    const before = this.#processor();
    const passed = await this.#reflected(way, 'flood', millis);
    const micros = ((this.#processor() - before) * 1e6) / passed.total;
    const processor = { value: micros, unit: 'µs/datagram' } as const;
    ledger.enter(SUBJECTS.small, way, passed.count / passed.seconds, way === 'tunnel' ? processor : undefined);
  }

  async #bounce(ledger: Ledger, way: WayName, millis: number): Promise<void> {
    this.#step(SUBJECTS.trip, way);
    const { micros } = await this.#reflected(way, 'bounce', millis);
    if (micros.length === 0) throw failed(`no datagram came back ${WAY_WORDS[way]}`);
    ledger.enter(SUBJECTS.trip, way, median(micros));
  }

  async #reflected<T extends 'flood' | 'bounce'>(way: WayName, what: T, millis: number): Promise<Answers[T]> {
    const { a: from, b: address } = WAYS[way];
    const { port } = await this.#ask('b', { do: 'reflect', address, millis: millis + warmUp(millis) + LATE_MS });
    return (await this.#ask('a', { do: what, from, to: { address, port }, length: SMALL, millis })) as Answers[T];
  }

  async #handshakes(ledger: Ledger, millis: number): Promise<void> {
    this.#plan.step(SUBJECTS.ike.words);
    const took: number[] = [];
    for (const until = performance.now() + millis; performance.now() < until; ) {
      await this.#command('down');
      const begun = performance.now();
      await this.#up();
      took.push(performance.now() - begun);
    }
    ledger.enter(SUBJECTS.ike, 'tunnel', 1000 / median(took));
  }

  async #ask<T extends Order>(side: Side, order: T): Promise<Answers[T['do']]> {
    const child = this.#traffic[side]!;
    const { signal, millis } = this.#plan;
    child.tell(JSON.stringify(order));
    const line = await child.line(millis + warmUp(millis) + LATE_MS, signal);
    if (signal.aborted) throw interrupted();
    if (line === undefined) throw failed(`the traffic process of ${side} ${child.end ?? 'does not answer'}`);
    const answer = JSON.parse(line) as Answer<T['do']>;
    if ('problem' in answer) throw failed(`traffic of ${side}: ${answer.problem}`);
    return answer;
  }

  #processor(): number {
    return SIDES.reduce((sum, side) => sum + processorSeconds(this.#gateways[side]!.pid), 0);
  }
}

/** The command line, for node: from `src/` and from `dist/` as far away. */
const BIN = fileURLToPath(new URL('../../../bin/bulkhead.js', import.meta.url));
/** The variable the documents name. */
const SECRET = 'BULKHEAD_BENCH_PSK';
const SEE_DOCTOR = 'See: bulkhead doctor';
const START_MS = 15_000;
const COMMAND_SECONDS = 5;
/** What a process may take to begin and to answer, beyond what it was told to take. */
const LATE_MS = 5000;
const GRACE_MS = 2000;
