/**
 * Two network namespaces of this process's own, joined by a veth pair: a network that nobody else sees or is disturbed by.
 *
 * Read first: ip-netns(8), veth(4). Needs Linux, root and iproute2. Leaves to others: what runs in them, and `/dev/net/tun`.
 * Names carry the id of the process: whoever was killed outright leaves its own, and `sweepNamespaces` removes them.
 * Invariant: both are gone after `close`, and when the process exits.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync } from 'node:fs';
import { Child, type ChildOptions } from './child.ts';
import { loadSyscalls } from './syscalls.ts';

export type End = 'a' | 'b';
export const ENDS: readonly End[] = ['a', 'b'];

/** The veth device, in both. */
const LINK = 'veth0';

/** Why there can be no two gateways in namespaces here, in words. Changes nothing. */
export function namespaceProblems(): string[] {
  if (process.platform !== 'linux') return [`network namespaces need Linux; this is ${process.platform}`];
  const { error } = spawnSync('ip', ['-V']);
  const syscalls = loadSyscalls();
  return [
    ...(process.getuid?.() === 0 ? [] : ['network namespaces need root']),
    ...(error === undefined ? [] : ['ip is missing (package iproute2)']),
    ...(syscalls.ok ? [] : [`TUN devices: ${syscalls.why}`]),
    ...(isUsable('/dev/net/tun') ? [] : ['/dev/net/tun is missing or may not be opened']),
  ];
}

export class NamespacePair {
  readonly #prefix: string;
  readonly #undo = (): void => this.close();
  #open = true;

  /** `addresses` with their prefix length. Throws with the words of `ip` and leaves nothing behind then. */
  constructor(prefix: string, addresses: Readonly<Record<End, string>>) {
    this.#prefix = prefix;
    process.on('exit', this.#undo);
    try {
      for (const end of ENDS) ip('netns', 'add', this.name(end));
      const peer = ['peer', 'name', LINK, 'netns', this.name('b')];
      ip('-n', this.name('a'), 'link', 'add', LINK, 'type', 'veth', ...peer);
      for (const end of ENDS) {
        ip('-n', this.name(end), 'addr', 'add', addresses[end], 'dev', LINK);
        for (const device of ['lo', LINK]) ip('-n', this.name(end), 'link', 'set', 'dev', device, 'up');
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  name(end: End): string {
    return `${this.#prefix}${process.pid}-${end}`;
  }

  start(end: End, command: string, args: readonly string[], options: ChildOptions = {}): Child {
    return new Child('ip', ['netns', 'exec', this.name(end), command, ...args], options);
  }

  /** With everything that still runs in them. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.off('exit', this.#undo);
    for (const end of ENDS) if (existsSync(`${FOLDER}/${this.name(end)}`)) removeNamespace(this.name(end));
  }
}

/** Removes namespaces of that prefix whose process has ended without doing so. */
export function sweepNamespaces(prefix: string): void {
  for (const name of existsSync(FOLDER) ? readdirSync(FOLDER) : []) {
    const pid = name.startsWith(prefix) ? /^(\d+)-[ab]$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(name);
  }
}

function removeNamespace(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  for (const pid of (stdout ?? '').split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  spawnSync('ip', ['netns', 'del', name]);
}

function ip(...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync('ip', words, { encoding: 'utf8', timeout: 10_000 });
  if (status === 0) return;
  throw new Error(`ip ${words.join(' ')}: ${(error?.message ?? stderr.trim()) || `exit code ${status}`}`);
}

function isUsable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where iproute2 keeps the names. */
const FOLDER = '/run/netns';
