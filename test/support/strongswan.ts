/**
 * strongSwan as the other end: charon in a gateway's namespace, configured from a small object, driven by swanctl.
 *
 * One folder and one mount namespace an instance, so that several run side by side. Its ESP is kernel-libipsec: always in UDP
 * (it fakes NAT), no ESN, no transport mode, no IPComp.
 */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Place, Topology } from './netns.ts';
import { type Finished, offExit, onExit, run, type TestProcess, until } from './process.ts';

export interface SwanChild {
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
  /** `aes128gcm16-ecp256`, or several. Default: `aes256gcm16,aes256-sha256` (no PFS). */
  readonly proposals?: string;
  readonly startAction?: 'none' | 'trap' | 'start';
  readonly dpdAction?: 'clear' | 'trap' | 'restart';
  readonly closeAction?: 'none' | 'trap' | 'start';
  /** 0, the default: never. Limits of life follow at 110 %. */
  readonly rekeySeconds?: number;
  readonly rekeyBytes?: number;
  readonly rekeyPackets?: number;
  /** Further lines, as in swanctl.conf. */
  readonly lines?: readonly string[];
}

export interface SwanConnection {
  readonly localAddress: string;
  /** `%any`: a peer that may come from anywhere. */
  readonly remoteAddress: string;
  /** Default: the address. */
  readonly localId?: string;
  readonly remoteId?: string;
  readonly psk: string;
  /** Default: `aes256gcm16-prfsha256-ecp256,aes256-sha256-modp2048`. */
  readonly proposals?: string;
  /** By name; default name is `net`. */
  readonly children: Readonly<Record<string, SwanChild>>;
  /** 0, the default: never. */
  readonly rekeySeconds?: number;
  /** 0, the default: none. */
  readonly dpdSeconds?: number;
  readonly mobike?: boolean;
  readonly encap?: boolean;
  readonly childless?: 'allow' | 'force' | 'never' | 'prefer';
  /** `1`: try once; `0`: for ever. */
  readonly keyingTries?: number;
  readonly unique?: 'no' | 'never' | 'keep' | 'replace';
  readonly lines?: readonly string[];
}

export interface SwanOptions {
  /** By name. */
  readonly connections: Readonly<Record<string, SwanConnection>>;
  /** Half-open IKE SAs before cookies are demanded; 0: at once. Default: strongSwan's. */
  readonly cookieThreshold?: number;
  readonly retransmit?: { readonly tries?: number; readonly timeout?: number; readonly base?: number };
  /** Seconds between NAT keepalives. */
  readonly keepAliveSeconds?: number;
  /** Level 4 of `ike` and `chd` writes every key into the log. */
  readonly logLevel?: number;
  readonly port?: { readonly ike: number; readonly natt: number };
  /** Further lines of `charon { … }`. */
  readonly lines?: readonly string[];
}

/** One IKE SA as `swanctl --list-sas` tells it. */
export interface SwanIkeSa {
  readonly name: string;
  readonly uniqueid: number;
  /** `ESTABLISHED`, `CONNECTING`, `REKEYED`, `DELETING` … */
  readonly state: string;
  readonly initiator: boolean;
  readonly spiI: string;
  readonly spiR: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly localHost: string;
  readonly remoteHost: string;
  readonly localPort: number;
  readonly remotePort: number;
  readonly natLocal: boolean;
  readonly natRemote: boolean;
  /** `AES_GCM_16-256/PRF_HMAC_SHA2_256/ECP_256`. */
  readonly suite: string;
  readonly children: readonly SwanChildSa[];
  readonly raw: ViciTree;
}

export interface SwanChildSa {
  readonly name: string;
  readonly uniqueid: number;
  /** `INSTALLED`, `REKEYED`, `DELETING` … */
  readonly state: string;
  readonly encap: boolean;
  /** Eight hexadecimal digits, as seen from strongSwan. */
  readonly spiIn: string;
  readonly spiOut: string;
  readonly suite: string;
  readonly bytesIn: number;
  readonly packetsIn: number;
  readonly bytesOut: number;
  readonly packetsOut: number;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
  readonly raw: ViciTree;
}

export type ViciTree = { readonly [key: string]: string | readonly string[] | ViciTree };

/** A running charon. */
export class Strongswan {
  readonly folder: string;
  readonly #topology: Topology;
  readonly #place: Place;
  #process: TestProcess | undefined;

  private constructor(topology: Topology, place: Place) {
    this.#topology = topology;
    this.#place = place;
    this.folder = mkdtempSync(join(tmpdir(), `bh-swan-${process.pid}-`));
    chmodSync(this.folder, 0o700);
    onExit(this, () => rmSync(this.folder, { recursive: true, force: true }));
  }

  /** Started, loaded and listening. */
  static async start(topology: Topology, place: Place, options: SwanOptions): Promise<Strongswan> {
    const swan = new Strongswan(topology, place);
    try {
      writeFileSync(join(swan.folder, 'strongswan.conf'), strongswanConf(swan.folder, options));
      await swan.launch();
      await swan.load(options);
      return swan;
    } catch (error) {
      const log = swan.log.slice(-3000);
      await swan.stop();
      throw new Error(`strongSwan does not start: ${error instanceof Error ? error.message : error}\n${log}`);
    }
  }

  /** Starts charon anew with the same files, after `kill`. Connections are to be loaded again. */
  async launch(): Promise<void> {
    const command = `mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon`;
    this.#process = this.#topology.start(this.#place, 'unshare', ['-m', 'sh', '-c', command], {
      env: { STRONGSWAN_CONF: join(this.folder, 'strongswan.conf') },
    });
    await until(
      async () => {
        if (!this.#process!.running) throw new Error(`charon ended: ${this.#process!.output}`);
        return (await this.swanctl('--stats')).code === 0;
      },
      15_000,
      'charon never answered',
    );
  }

  /** Makes these its connections; those with `startAction: 'start'` begin. */
  async load(options: Pick<SwanOptions, 'connections'>): Promise<void> {
    const file = join(this.folder, 'swanctl.conf');
    writeFileSync(file, swanctlConf(options.connections), { mode: 0o600 });
    await this.demand('--load-all', '--noprompt', '--file', file);
  }

  /** Brings up a child (and its IKE SA). The result holds what swanctl said; exit code 0: it is up. */
  initiate(child = 'net', seconds = 20): Promise<Finished> {
    return this.swanctl('--initiate', '--child', child, '--timeout', String(seconds));
  }

  rekey(what: { readonly child?: string; readonly ike?: string }): Promise<string> {
    return this.demand('--rekey', ...named(what));
  }

  terminate(what: { readonly child?: string; readonly ike?: string }, seconds = 20): Promise<string> {
    return this.demand('--terminate', ...named(what), '--timeout', String(seconds));
  }

  async listSas(): Promise<readonly SwanIkeSa[]> {
    const text = await this.demand('--list-sas', '--pretty');
    return parseTrees(text, 'list-sa').flatMap((tree) =>
      Object.entries(tree).map(([name, sa]) => ikeSa(name, sa as ViciTree)),
    );
  }

  /** The IKE SAs that are up. */
  async established(): Promise<readonly SwanIkeSa[]> {
    return (await this.listSas()).filter((sa) => sa.state === 'ESTABLISHED');
  }

  /** The Child SAs that carry traffic, of all IKE SAs that are up. */
  async installed(): Promise<readonly SwanChildSa[]> {
    return (await this.established()).flatMap((sa) => sa.children).filter((child) => child.state === 'INSTALLED');
  }

  swanctl(...args: readonly string[]): Promise<Finished> {
    return run('swanctl', [...args, '--uri', `unix://${this.folder}/charon.vici`]);
  }

  /** swanctl that must succeed. */
  async demand(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.swanctl(...args);
    if (code !== 0) throw new Error(`swanctl ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`);
    return stdout;
  }

  /** What charon wrote so far. */
  get log(): string {
    try {
      return readFileSync(join(this.folder, 'charon.log'), 'utf8');
    } catch {
      return '';
    }
  }

  /** Waits until the log says it, from its beginning or from `after` characters on. */
  async logged(pattern: RegExp, milliseconds = 15_000, after = 0): Promise<RegExpMatchArray> {
    const match = () => this.log.slice(after).match(pattern);
    await until(
      () => match() !== null,
      milliseconds,
      () => `charon never logged ${pattern}:\n${this.log.slice(-4000)}`,
    );
    return match()!;
  }

  get pid(): number {
    return this.#process!.pid;
  }

  /** Ends it without a DELETE to anybody, as a power failure would. */
  async kill(): Promise<void> {
    await this.#process?.stop('SIGKILL');
  }

  /** Ends it; it deletes its SAs first. Its files go too. */
  async stop(): Promise<void> {
    await this.#process?.stop('SIGTERM', 8_000);
    rmSync(this.folder, { recursive: true, force: true });
    offExit(this);
  }
}

const named = (what: { readonly child?: string; readonly ike?: string }): readonly string[] =>
  what.child === undefined ? ['--ike', what.ike ?? 's2s'] : ['--child', what.child];

function strongswanConf(folder: string, options: SwanOptions): string {
  const level = options.logLevel ?? 1;
  const { tries, timeout, base } = options.retransmit ?? {};
  return `charon {
    load = ${PLUGINS}
    install_virtual_ip = no
    ${line('cookie_threshold', options.cookieThreshold)}
    ${line('cookie_threshold_ip', options.cookieThreshold)}
    ${line('retransmit_tries', tries)}
    ${line('retransmit_timeout', timeout)}
    ${line('retransmit_base', base)}
    ${line('keep_alive', options.keepAliveSeconds)}
    ${line('port', options.port?.ike)}
    ${line('port_nat_t', options.port?.natt)}
    ${(options.lines ?? []).join('\n    ')}
    plugins {
      vici {
        socket = unix://${folder}/charon.vici
      }
      kernel-libipsec {
        allow_peer_ts = yes
      }
    }
    filelog {
      log {
        path = ${folder}/charon.log
        default = 1
        ike = ${level}
        chd = ${level}
        cfg = ${Math.max(level, 2)}
        time_format = %H:%M:%S
        flush_line = yes
      }
    }
  }
`;
}

function swanctlConf(connections: SwanOptions['connections']): string {
  const blocks = Object.entries(connections).map(([name, c]) => connectionConf(name, c));
  const secrets = Object.entries(connections).map(
    ([name, c]) => `  ike-${name} {
    id-remote = ${c.remoteId ?? c.remoteAddress}
    secret = "${c.psk}"
  }`,
  );
  return `connections {\n${blocks.join('\n')}\n}\nsecrets {\n${secrets.join('\n')}\n}\n`;
}

function connectionConf(name: string, c: SwanConnection): string {
  const children = Object.entries(c.children).map(([child, s]) => childConf(child, s));
  return `  ${name} {
    version = 2
    proposals = ${c.proposals ?? 'aes256gcm16-prfsha256-ecp256,aes256-sha256-modp2048'}
    local_addrs = ${c.localAddress}
    remote_addrs = ${c.remoteAddress}
    reauth_time = 0
    rekey_time = ${c.rekeySeconds ?? 0}
    rand_time = 0
    dpd_delay = ${c.dpdSeconds ?? 0}
    mobike = ${c.mobike === true ? 'yes' : 'no'}
    ${line('encap', c.encap === undefined ? undefined : c.encap ? 'yes' : 'no')}
    ${line('childless', c.childless)}
    ${line('keyingtries', c.keyingTries)}
    ${line('unique', c.unique)}
    ${(c.lines ?? []).join('\n    ')}
    local {
      auth = psk
      id = ${c.localId ?? c.localAddress}
    }
    remote {
      auth = psk
      id = ${c.remoteId ?? c.remoteAddress}
    }
    children {
${children.join('\n')}
    }
  }`;
}

const childConf = (name: string, s: SwanChild): string => `      ${name} {
        local_ts = ${s.localTs.join(',')}
        remote_ts = ${s.remoteTs.join(',')}
        esp_proposals = ${s.proposals ?? 'aes256gcm16,aes256-sha256'}
        start_action = ${s.startAction ?? 'none'}
        ${line('dpd_action', s.dpdAction)}
        ${line('close_action', s.closeAction)}
        rekey_time = ${s.rekeySeconds ?? 0}
        rand_time = 0
        ${s.rekeyBytes === undefined ? '' : `rekey_bytes = ${s.rekeyBytes}\n        rand_bytes = 0`}
        ${s.rekeyPackets === undefined ? '' : `rekey_packets = ${s.rekeyPackets}\n        rand_packets = 0`}
        ${(s.lines ?? []).join('\n        ')}
      }`;

const line = (key: string, value: string | number | undefined): string =>
  value === undefined ? '' : `${key} = ${value}`;

/**
 * vici messages as swanctl prettily prints them: `key = value`, `key {` … `}`, `key = [` … `]`, one a line. Gives the trees of
 * those named `kind`.
 */
export function parseTrees(text: string, kind: string): readonly ViciTree[] {
  const lines = text.split('\n').map((each) => each.trim());
  const trees: ViciTree[] = [];
  for (let at = 0; at < lines.length; ) {
    const opens = lines[at]!.match(/^(\S+) (?:event|reply) \{$/);
    at += 1;
    if (opens === null) continue;
    const tree: Record<string, string | string[] | ViciTree> = {};
    at = parseBlock(lines, at, tree);
    if (opens[1] === kind) trees.push(tree);
  }
  return trees;
}

function parseBlock(
  lines: readonly string[],
  from: number,
  into: Record<string, string | string[] | ViciTree>,
): number {
  let at = from;
  while (at < lines.length && lines[at] !== '}') {
    const section = lines[at]!.match(/^(.+) \{$/);
    const list = lines[at]!.match(/^(.+?) = \[$/);
    const value = lines[at]!.match(/^(.+?) = (.*)$/);
    at += 1;
    if (section !== null) {
      const tree: Record<string, string | string[] | ViciTree> = {};
      at = parseBlock(lines, at, tree);
      into[section[1]!] = tree;
    } else if (list !== null) {
      const items: string[] = [];
      while (at < lines.length && lines[at] !== ']') items.push(lines[at++]!);
      at += 1;
      into[list[1]!] = items;
    } else if (value !== null) into[value[1]!] = value[2]!;
  }
  return at + 1;
}

function ikeSa(name: string, raw: ViciTree): SwanIkeSa {
  const word = (key: string): string => (typeof raw[key] === 'string' ? (raw[key] as string) : '');
  const children = (raw['child-sas'] ?? {}) as ViciTree;
  const parts = [sized(word('encr-alg'), word('encr-keysize')), word('integ-alg'), word('prf-alg'), word('dh-group')];
  return {
    name,
    uniqueid: Number(word('uniqueid')),
    state: word('state'),
    initiator: word('initiator') === 'yes',
    spiI: word('initiator-spi'),
    spiR: word('responder-spi'),
    localId: word('local-id'),
    remoteId: word('remote-id'),
    localHost: word('local-host'),
    remoteHost: word('remote-host'),
    localPort: Number(word('local-port')),
    remotePort: Number(word('remote-port')),
    natLocal: word('nat-local') === 'yes',
    natRemote: word('nat-remote') === 'yes',
    suite: parts.filter(Boolean).join('/'),
    children: Object.values(children).map((child) => childSa(child as ViciTree)),
    raw,
  };
}

function childSa(raw: ViciTree): SwanChildSa {
  const word = (key: string): string => (typeof raw[key] === 'string' ? (raw[key] as string) : '');
  const list = (key: string): readonly string[] => (Array.isArray(raw[key]) ? (raw[key] as string[]) : []);
  const parts = [sized(word('encr-alg'), word('encr-keysize')), word('integ-alg'), word('dh-group')];
  return {
    name: word('name'),
    uniqueid: Number(word('uniqueid')),
    state: word('state'),
    encap: word('encap') === 'yes',
    spiIn: word('spi-in').padStart(8, '0'),
    spiOut: word('spi-out').padStart(8, '0'),
    suite: parts.filter(Boolean).join('/'),
    bytesIn: Number(word('bytes-in')),
    packetsIn: Number(word('packets-in')),
    bytesOut: Number(word('bytes-out')),
    packetsOut: Number(word('packets-out')),
    localTs: list('local-ts'),
    remoteTs: list('remote-ts'),
    raw,
  };
}

const sized = (algorithm: string, bits: string): string => (bits === '' ? algorithm : `${algorithm}-${bits}`);

/** The order matters: kernel-libipsec before kernel-netlink. */
const PLUGINS =
  'random nonce aes aesni sha1 sha2 hmac kdf gcm ctr ccm cmac xcbc chapoly curve25519 openssl pem pkcs1 pkcs8 x509 pubkey ' +
  'constraints revocation kernel-libipsec kernel-netlink socket-default vici updown';
