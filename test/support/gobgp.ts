/** GoBGP as a BGP peer, asked by gobgp; what it announces is added when it has started. */
import { BgpDaemon, type DaemonSettings, type Heard, isV6 } from './bgp-daemon.ts';

interface GobgpPath {
  readonly stale: boolean;
  readonly 'neighbor-ip'?: string;
  readonly attrs: readonly GobgpAttribute[];
}

interface GobgpAttribute {
  readonly type: number;
  readonly as_paths?: readonly { readonly asns: readonly number[] }[];
  readonly communities?: readonly number[];
  readonly value?: unknown;
}

export class Gobgp extends BgpDaemon {
  readonly name = 'GoBGP';
  #started = false;

  /** Once more after the first time, it lets peers know that what forwards went on. */
  async start(): Promise<void> {
    const again = this.#started && this.settings.gracefulSeconds !== undefined ? ['-r'] : [];
    this.#started = true;
    this.write('gobgp.toml', gobgpConf(this.settings, this.ends[0], this.peers));
    this.launch('gobgpd', ['-f', 'gobgp.toml', '--api-hosts', '127.0.0.1:50051', ...again]);
    await this.answers('gobgp', 'global');
    await this.announce(...this.settings.announces);
  }

  gobgp(...words: readonly string[]): Promise<string> {
    return this.must('gobgp', ...words);
  }

  async route(prefix: string): Promise<Heard | undefined> {
    const text = await this.gobgp('global', 'rib', '-a', isV6(prefix) ? 'ipv6' : 'ipv4', '-j');
    const paths = (JSON.parse(text) as Readonly<Record<string, readonly GobgpPath[]>>)[prefix];
    const path = paths?.find((each) => this.peers.includes(each['neighbor-ip'] ?? ''));
    return path === undefined ? undefined : heardOf(path);
  }

  async announce(...prefixes: readonly string[]): Promise<void> {
    const { link, asn, prepend } = this.settings;
    const marks = ['community', '65000:7', 'large-community', `${asn}:1:2`, 'rt', '65000:3'];
    const path = prepend === undefined ? [] : ['aspath', String(prepend)];
    for (const prefix of prefixes) {
      const [family, nextHop] = isV6(prefix) ? ['ipv6', link.theirs6] : ['ipv4', link.theirs];
      await this.gobgp('global', 'rib', 'add', '-a', family, prefix, ...path, ...marks, 'nexthop', nextHop);
    }
  }

  async withdraw(...prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes)
      await this.gobgp('global', 'rib', 'del', '-a', isV6(prefix) ? 'ipv6' : 'ipv4', prefix);
  }

  async refresh(): Promise<void> {
    await this.gobgp('neighbor', this.peers[0]!, 'softresetin');
  }

  async shutdown(text: string): Promise<void> {
    await this.gobgp('neighbor', this.peers[0]!, 'shutdown', '--reason', text);
  }

  async enable(): Promise<void> {
    await this.gobgp('neighbor', this.peers[0]!, 'enable');
  }

  session(): Promise<string> {
    return this.gobgp('neighbor', this.peers[0]!);
  }
}

function heardOf({ attrs, stale }: GobgpPath): Heard {
  const of = (type: number): GobgpAttribute | undefined => attrs.find((each) => each.type === type);
  const values = <T>(type: number): readonly T[] => (of(type)?.value ?? []) as readonly T[];
  const large = values<{ readonly ASN: number; readonly LocalData1: number; readonly LocalData2: number }>(32);
  return {
    stale,
    path: (of(2)?.as_paths ?? []).flatMap(({ asns }) => asns),
    communities: [
      ...(of(8)?.communities ?? []).map((each) => `${each >>> 16}:${each & 0xffff}`),
      ...large.map((each) => `${each.ASN}:${each.LocalData1}:${each.LocalData2}`),
      ...values<{ readonly subtype: number; readonly value: string }>(16).map(
        (each) => `${each.subtype === 2 ? 'rt' : each.subtype}:${each.value}`,
      ),
    ],
  };
}

function gobgpConf(s: DaemonSettings, own: string, peers: readonly string[]): string {
  const { gracefulSeconds: graceful, maximumPrefixes: limit } = s;
  const table = (name: string, ...lines: readonly (string | false)[]): string =>
    `[${name}]\n${lines.map((line) => (line === false ? '' : `  ${line}\n`)).join('')}`;
  const family = (name: string): string =>
    table('[neighbors.afi-safis]') +
    table('neighbors.afi-safis.config', `afi-safi-name = "${name}"`) +
    (limit === undefined ? '' : table('neighbors.afi-safis.prefix-limit.config', `max-prefixes = ${limit}`)) +
    (graceful === undefined ? '' : table('neighbors.afi-safis.mp-graceful-restart.config', 'enabled = true'));
  const neighbour = (peer: string): string =>
    table('[neighbors]') +
    table(
      'neighbors.config',
      `neighbor-address = "${peer}"`,
      `peer-as = ${s.peerAs}`,
      s.md5 !== undefined && `auth-password = "${s.md5}"`,
    ) +
    table(
      'neighbors.timers.config',
      'connect-retry = 1',
      'idle-hold-time-after-reset = 1',
      `hold-time = ${s.holdSeconds ?? 9}`,
      'keepalive-interval = 3',
    ) +
    table('neighbors.transport.config', `local-address = "${own}"`, s.passive === true && 'passive-mode = true') +
    (s.gtsm === true ? table('neighbors.ttl-security.config', 'enabled = true', 'ttl-min = 255') : '') +
    (graceful === undefined
      ? ''
      : table('neighbors.graceful-restart.config', 'enabled = true', `restart-time = ${graceful}`)) +
    family('ipv4-unicast') +
    family('ipv6-unicast');
  const global = table('global.config', `as = ${s.asn}`, `router-id = "${s.link.theirs}"`);
  return `${global}${peers.map(neighbour).join('')}`;
}
