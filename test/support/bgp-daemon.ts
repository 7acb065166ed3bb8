/**
 * BGP daemons of others as a test sees them: a place to run, a folder of their own, and a few questions in common.
 *
 * Invariant: processes and folder are gone after `stop`, or when the test process ends.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BgpLink } from './bgp-link.ts';
import { must, offExit, onExit, run, start, type TestProcess, until } from './process.ts';

/** Where it runs, and the addresses of both. */
export type DaemonLink = Pick<BgpLink, 'namespace' | 'ours' | 'theirs' | 'ours6' | 'theirs6'>;

export interface DaemonSettings {
  readonly link: DaemonLink;
  readonly asn: number;
  readonly peerAs: number;
  /** What it tells from the beginning. */
  readonly announces: readonly string[];
  /** Whose addresses the sessions run between. Default: IPv4. */
  readonly over?: 4 | 6;
  /** Addresses of ours, each a peer of its own. Default: the one of the link. */
  readonly peers?: readonly string[];
  /** The peer is not on a link of its own. */
  readonly multihop?: boolean;
  /** What it tells has no communities. */
  readonly plain?: boolean;
  /** What it hears is in the kernel's table, too (BIRD, FRR). */
  readonly kernel?: boolean;
  /** Never dials. */
  readonly passive?: boolean;
  readonly holdSeconds?: number;
  readonly md5?: string;
  readonly gtsm?: boolean;
  /** Prefixes a family, after which it sends Cease/1. */
  readonly maximumPrefixes?: number;
  /** Restart time of graceful restart; absent: without. */
  readonly gracefulSeconds?: number;
  /** It speaks AS numbers of two octets alone. */
  readonly twoOctetAs?: boolean;
  /** It has what is off by default: ADD-PATH of IPv4 both ways, messages of 65,535 octets, IPv4 by its own IPv6 next hop. */
  readonly extensions?: boolean;
  /** Stands behind its own AS in the path of all it tells. */
  readonly prepend?: number;
}

/** A route as the daemon has it. */
export interface Heard {
  readonly path: readonly number[];
  /** `65010:77`, and of three parts where they are large. */
  readonly communities: readonly string[];
  /** Kept over the loss of the session (RFC 4724). */
  readonly stale: boolean;
}

export abstract class BgpDaemon {
  abstract readonly name: string;
  readonly folder: string;
  settings: DaemonSettings;
  protected readonly processes: TestProcess[] = [];

  constructor(settings: DaemonSettings) {
    this.settings = settings;
    this.folder = mkdtempSync(join(tmpdir(), `bh-bgpd-${process.pid}-`));
    onExit(this, () => rmSync(this.folder, { recursive: true, force: true }));
  }

  get namespace(): string {
    return this.settings.link.namespace;
  }

  /** The addresses of the session, its own first. */
  get ends(): readonly [own: string, peer: string] {
    const { link, over } = this.settings;
    return over === 6 ? [link.theirs6, link.ours6] : [link.theirs, link.ours];
  }

  get peers(): readonly string[] {
    return this.settings.peers ?? [this.ends[1]];
  }

  /** Until it answers questions. */
  abstract start(): Promise<void>;
  /** What it has from its peer for a prefix. */
  abstract route(prefix: string): Promise<Heard | undefined>;
  abstract announce(...prefixes: readonly string[]): Promise<void>;
  abstract withdraw(...prefixes: readonly string[]): Promise<void>;
  /** Asks its peer for everything again. */
  abstract refresh(): Promise<void>;
  /** Ends the session with a word, until `enable`. */
  abstract shutdown(text: string): Promise<void>;
  abstract enable(): Promise<void>;
  /** What it says of its session, for messages of failures and for looking for words. */
  abstract session(): Promise<string>;

  /** Waits until it has a route from its peer, and one that is as `wanted` says. */
  async hears(prefix: string, wanted: (heard: Heard) => boolean = () => true): Promise<Heard> {
    let last: Heard | undefined;
    await until(
      async () => {
        last = await this.route(prefix);
        return last !== undefined && wanted(last);
      },
      20_000,
      () => `${this.name} has ${JSON.stringify(last)} for ${prefix}\n${this.output.slice(-2000)}`,
    );
    return last!;
  }

  async forgets(prefix: string): Promise<void> {
    const gone = async () => (await this.route(prefix)) === undefined;
    await until(gone, 20_000, `${this.name} still has ${prefix}`);
  }

  get output(): string {
    return this.processes.map((each) => each.output).join('\n');
  }

  /** As a crash would: nothing is said, connections are reset by the kernel. */
  async kill(): Promise<void> {
    for (const each of this.processes.splice(0)) await each.stop('SIGKILL');
  }

  /** Another process, after `kill` or in place of the one that runs; what it announces are those of the settings. */
  async restart(changes: Partial<DaemonSettings> = {}): Promise<void> {
    await this.kill();
    this.settings = { ...this.settings, ...changes };
    await this.start();
  }

  async stop(): Promise<void> {
    for (const each of this.processes.splice(0).reverse()) await each.stop('SIGTERM', 3_000);
    rmSync(this.folder, { recursive: true, force: true });
    offExit(this);
  }

  protected write(file: string, text: string): string {
    const path = join(this.folder, file);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  protected launch(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): TestProcess {
    const started = start(command, args, { netns: this.namespace, env, cwd: this.folder });
    this.processes.push(started);
    return started;
  }

  protected must(command: string, ...args: readonly string[]): Promise<string> {
    return must(command, args, { netns: this.namespace });
  }

  /** Waits until a command succeeds. */
  protected async answers(command: string, ...args: readonly string[]): Promise<void> {
    await until(
      async () => {
        const ended = this.processes.find((each) => !each.running);
        if (ended !== undefined) throw new Error(`${ended.name} ended:\n${ended.output}`);
        return (await run(command, args, { netns: this.namespace })).code === 0;
      },
      15_000,
      () => `${this.name} never answered:\n${this.output}`,
    );
  }
}

export const isV6 = (prefix: string): boolean => prefix.includes(':');
export const v4Of = (prefixes: readonly string[]): readonly string[] => prefixes.filter((each) => !isV6(each));
export const v6Of = (prefixes: readonly string[]): readonly string[] => prefixes.filter(isV6);
