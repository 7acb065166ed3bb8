/**
 * Bulkhead as a process of its own: `bin/bulkhead.js run` in a namespace, with a document written from an object, watched and
 * commanded over its control socket or its command line.
 *
 * Runs what `npm run build` made. Invariant: process and temporary folder are gone after `stop`, `kill` and `remove`, or when the
 * test process ends.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ReloadStatus } from '../../src/api/index.ts';
import type { ChildSaStatus, ConnectionStatus, GatewayStatus, IkeSaStatus } from '../../src/gateway/status.ts';
import { ADDRESSES, type Place, type Topology } from './netns.ts';
import { type Finished, offExit, onExit, run, type TestProcess, until } from './process.ts';

/** The document as it is written (`src/config/schema.ts`), so far as tests need it. */
export interface DocumentText {
  readonly gateway?: {
    readonly name?: string;
    readonly external?: {
      readonly addresses?: readonly string[];
      readonly ports?: { readonly ike: number; readonly natt: number };
    };
    readonly keyLog?: string;
    readonly limits?: { readonly cookieThreshold?: number; readonly halfOpen?: number; readonly packets?: number };
  };
  readonly tenants: readonly TenantText[];
}

export interface TenantText {
  readonly name: string;
  readonly interfaces?: readonly InterfaceText[];
  readonly routes?: readonly { readonly prefix: string; readonly via: string }[];
  readonly connections?: readonly ConnectionText[];
  readonly bgp?: BgpText;
}

export interface BgpText {
  readonly asn: number;
  readonly routerId?: string;
  readonly networks?: readonly string[];
  readonly peers: readonly {
    readonly name: string;
    readonly address: string;
    readonly asn: number;
    readonly import?: 'all';
    readonly export?: 'all';
    readonly families?: readonly ('ipv4' | 'ipv6')[];
    readonly holdSeconds?: number;
    readonly connectRetrySeconds?: number;
    readonly md5?: { readonly inline: string } | { readonly file: string } | { readonly env: string };
  }[];
}

export interface InterfaceText {
  readonly name: string;
  readonly driver?: 'tun' | 'packet';
  readonly device?: string;
  readonly mtu?: number;
  readonly addresses: readonly string[];
  readonly hostAddresses?: readonly string[];
  readonly hostRoutes?: 'auto' | 'none';
}

export interface ConnectionText {
  readonly name: string;
  readonly local?: { readonly address?: string; readonly id?: string };
  readonly remote: { readonly address: string; readonly id?: string; readonly port?: number };
  readonly auth: { readonly psk: string | { readonly file: string } | { readonly env: string } };
  readonly legacy?: boolean;
  readonly ike?: {
    readonly proposals?: readonly string[];
    readonly lifetimeSeconds?: number;
    readonly giveUpSeconds?: number;
  };
  readonly child: {
    readonly proposals?: readonly string[];
    readonly local: readonly string[];
    readonly remote: readonly string[];
    readonly lifetimeSeconds?: number;
    readonly lifetimeBytes?: number | string;
    readonly lifetimePackets?: number;
    readonly esn?: 'allow' | 'require' | 'never';
    readonly replayWindow?: number;
  };
  readonly start?: 'demand' | 'boot' | 'listen';
  readonly routes?: readonly string[];
  readonly dpdSeconds?: number;
  readonly idleSeconds?: number;
  readonly encapsulation?: 'auto' | 'udp';
  readonly df?: 'copy' | 'set' | 'clear';
  readonly mtu?: number | 'auto';
}

export interface BulkheadOptions {
  /** Words before `node`, such as `setpriv … --`. */
  readonly wrap?: readonly string[];
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
  readonly env?: Readonly<Record<string, string>>;
  /** Folder of document and control socket; default: a temporary one, that goes with the process. */
  readonly folder?: string;
}

/** Which thread moves packets: one of its own, as `run` does by itself, two that share the tenants, or the main thread. */
export type Hosting = 'worker' | 'two workers' | 'main thread';

/** For `describe.each`: what must hold whichever it is. */
export const HOSTINGS: readonly Hosting[] = ['worker', 'main thread'];

export const hostedBy = (hosting: Hosting): BulkheadOptions =>
  hosting === 'worker' ? {} : { env: { BULKHEAD_WORKERS: hosting === 'two workers' ? '2' : '0' } };

export type Fault = 'wedge' | 'throw' | 'kill';

/** What is done, to all workers or to the one behind `@`. */
export type FaultOrder = Fault | `${Fault}@${number}`;

/** Each SIGUSR2 does the next of these to the workers, or to the one behind `@`, over and over. */
export const withFaults = (...faults: readonly FaultOrder[]): BulkheadOptions => ({
  env: { BULKHEAD_FAULTS: faults.join() },
});

/** The command line, for node. */
export const BIN = resolve(dirname(fileURLToPath(import.meta.url)), '../../bin/bulkhead.js');

export class Bulkhead {
  readonly folder: string;
  readonly #topology: Topology;
  readonly #place: Place;
  readonly #options: BulkheadOptions;
  #process!: TestProcess;
  #earlier = '';

  private constructor(topology: Topology, place: Place, options: BulkheadOptions) {
    this.#topology = topology;
    this.#place = place;
    this.#options = options;
    this.folder = options.folder ?? mkdtempSync(join(tmpdir(), `bh-gw-${process.pid}-`));
    onExit(this, () => this.#clean());
  }

  /** Running, its control socket answering and its sockets open when this resolves. */
  static async start(
    topology: Topology,
    place: Place,
    document: DocumentText | string,
    options: BulkheadOptions = {},
  ): Promise<Bulkhead> {
    const gateway = new Bulkhead(topology, place, options);
    try {
      gateway.write(document);
      await gateway.launch();
      return gateway;
    } catch (error) {
      await gateway.remove();
      throw error;
    }
  }

  /** Starts it anew with the same document, after `kill` or `stop`. */
  async launch(): Promise<void> {
    const { wrap = [], logLevel = 'info', env } = this.#options;
    const words = [process.execPath, BIN, 'run', '-c', this.document, '--api', this.api, '--log-level', logLevel];
    const [command, ...args] = [...wrap, ...words];
    this.#earlier = this.log;
    this.#process = this.#topology.start(this.#place, command!, args, env === undefined ? {} : { env });
    await this.#process.line(/is running/, 20_000);
  }

  get document(): string {
    return join(this.folder, 'gateway.yaml');
  }

  get socket(): string {
    return join(this.folder, 'control.sock');
  }

  /** For `--api`. */
  get api(): string {
    return `unix:${this.socket}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process.running;
  }

  /** Everything it wrote, over all its starts. */
  get log(): string {
    return this.#process === undefined ? '' : `${this.#earlier}${this.#process.output}`;
  }

  /** Writes the document, for `launch` or `reload`. */
  write(document: DocumentText | string): void {
    const text = typeof document === 'string' ? document : documentText(document, this.#place);
    writeFileSync(this.document, text, { mode: 0o600 });
  }

  /** Writes the document and has it applied; throws when it has errors. Gives what changed. */
  async reload(document: DocumentText | string): Promise<readonly string[]> {
    this.write(document);
    const [{ applied, changes, issues }] = await this.ask<[ReloadStatus]>('POST', '/v1/reload');
    if (!applied) throw new Error(issues.map(({ path, message }) => `${path}: ${message}`).join('\n'));
    return changes;
  }

  async status(): Promise<GatewayStatus> {
    return (await this.ask<[GatewayStatus]>('GET', '/v1/status'))[0];
  }

  connections(): Promise<readonly ConnectionStatus[]> {
    return this.ask('GET', '/v1/connections');
  }

  /** `tenant/name`, or the name where only one has it; default: the only one. */
  async connection(name?: string): Promise<ConnectionStatus> {
    const all = await this.connections();
    const found = all.filter((c) => name === undefined || name === c.name || name === `${c.tenant}/${c.name}`);
    if (found.length !== 1) throw new Error(`${found.length} connections are called ${name}`);
    return found[0]!;
  }

  async ikeSas(name?: string): Promise<readonly IkeSaStatus[]> {
    return (await this.connection(name)).ikeSas;
  }

  async childSas(name?: string): Promise<readonly ChildSaStatus[]> {
    return (await this.connection(name)).childSas;
  }

  /** Waits for a connection to be as `wanted` says; the message of a failure has it as it was last. */
  async when(
    wanted: (connection: ConnectionStatus) => unknown,
    milliseconds = 15_000,
    name?: string,
  ): Promise<ConnectionStatus> {
    let last = await this.connection(name);
    await until(
      async () => {
        last = await this.connection(name);
        return wanted(last);
      },
      milliseconds,
      () => `the connection is ${JSON.stringify(last, null, 1)}\n${this.log.slice(-3000)}`,
    );
    return last;
  }

  /** One exchange with the control API: the items of its answer. */
  async ask<T>(method: string, path: string, body?: object): Promise<T> {
    const text = await exchange(this.socket, method, path, body);
    const answer = JSON.parse(text) as { readonly items?: T; readonly error?: unknown };
    if (answer.items === undefined) throw new Error(`${method} ${path}: ${text}`);
    return answer.items;
  }

  /** Runs `bulkhead ARGS --api … --json` to its end. */
  run(...args: readonly string[]): Promise<Finished> {
    return run(process.execPath, [BIN, ...args, '--api', this.api, '--json']);
  }

  /** As `run`, and gives the items of what it printed, whatever the exit code. */
  async cli<T>(...args: readonly string[]): Promise<readonly T[]> {
    const { code, stdout, stderr } = await this.run(...args);
    const answer = JSON.parse(stdout || '{}') as { readonly items?: readonly T[] };
    if (answer.items === undefined)
      throw new Error(`bulkhead ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`);
    return answer.items;
  }

  /** Waits for a line in what it wrote since `after` characters. */
  async logged(pattern: RegExp, milliseconds = 15_000, after = 0): Promise<RegExpMatchArray> {
    const match = () => this.log.slice(after).match(pattern);
    await until(
      () => match() !== null,
      milliseconds,
      () => `Bulkhead never logged ${pattern}:\n${this.log.slice(-4000)}`,
    );
    return match()!;
  }

  /** When it logged that, in milliseconds since 1970, for the first time since `after` characters. */
  loggedAt(pattern: RegExp, after = 0): number {
    const line = this.log
      .slice(after)
      .split('\n')
      .find((each) => pattern.test(each));
    if (line === undefined) throw new Error(`Bulkhead never logged ${pattern}:\n${this.log.slice(-4000)}`);
    return Date.parse((JSON.parse(line) as { readonly time: string }).time);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Waits for the end of its own accord; gives the exit code. */
  end(milliseconds = 10_000): Promise<number> {
    return this.#process.end(milliseconds);
  }

  /** SIGTERM, after which it deletes its SAs and ends. Anything but exit code 0 within 5 s is an error. */
  async stop(): Promise<void> {
    try {
      if (!this.running) return;
      this.signal('SIGTERM');
      const code = await this.#process.end(5_000);
      if (code !== 0) throw new Error(`Bulkhead ended with ${code}:\n${this.log.slice(-4000)}`);
    } finally {
      await this.remove();
    }
  }

  /** Ends it without a word to anybody, as a power failure would. Its files stay for `launch`. */
  async kill(): Promise<void> {
    await this.#process.stop('SIGKILL');
  }

  /** Whatever state it is in: process and files go. */
  async remove(): Promise<void> {
    await this.#process?.stop('SIGKILL');
    this.#clean();
    offExit(this);
  }

  #clean(): void {
    if (this.#options.folder === undefined) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The document of a gateway at `place`, as JSON, which is YAML. */
export function documentText(document: DocumentText, place: Place): string {
  const { gateway = {}, tenants } = document;
  const external = { addresses: [place === 'gwB' ? ADDRESSES.gwB : ADDRESSES.gwA], ...gateway.external };
  return JSON.stringify({ version: 1, gateway: { name: 'gw', ...gateway, external }, tenants }, null, 1);
}

/** Runs the command line where no gateway is needed: `decode`, `doctor`, `config check`. */
export const bulkhead = (...args: readonly string[]): Promise<Finished> => run(process.execPath, [BIN, ...args]);

function exchange(socketPath: string, method: string, path: string, body: object | undefined): Promise<string> {
  return new Promise((resolve, reject) => {
    if (!existsSync(socketPath)) return reject(new Error(`no control socket ${socketPath}`));
    const headers = { 'content-type': 'application/json' };
    // A connection of its own: one that is kept may be closed by the gateway while it is written to.
    const asked = request({ socketPath, method, path, headers, timeout: 10_000, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
    asked.on('timeout', () => asked.destroy(new Error(`${method} ${path}: no answer`)));
    asked.on('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
