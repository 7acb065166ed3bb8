/** FRR as a BGP peer: zebra and bgpd with sockets in a folder of their own, asked by vtysh. Routes stay out of the kernel unless it is said. */
import { chmodSync } from 'node:fs';
import { BgpDaemon, type DaemonSettings, type Heard, isV6 } from './bgp-daemon.ts';

interface FrrPath {
  readonly stale?: boolean;
  readonly peer?: { readonly peerId: string };
  readonly community?: { readonly string: string };
  readonly largeCommunity?: { readonly string: string };
  readonly extendedCommunity?: { readonly string: string };
  readonly aspath?: { readonly string: string };
}

export class Frr extends BgpDaemon {
  readonly name = 'FRR';

  async start(): Promise<void> {
    const { folder } = this;
    // zebra gives its rights away.
    chmodSync(folder, 0o777);
    this.write('zebra.conf', 'ip nht resolve-via-default\n');
    this.write('bgpd.conf', frrConf(this.settings, this.ends[0], this.peers));
    const files = (name: string) => ['-f', `${name}.conf`, '-i', `${folder}/${name}.pid`, '-z', `${folder}/zserv.api`];
    for (const file of ['zebra.conf', 'bgpd.conf']) chmodSync(`${folder}/${file}`, 0o644);
    const log = ['--vty_socket', folder, '--log', 'stdout'];
    this.launch('/usr/lib/frr/zebra', [...files('zebra'), ...log]);
    const apart = this.settings.kernel === true ? [] : ['-n'];
    this.launch('/usr/lib/frr/bgpd', ['-S', ...apart, ...files('bgpd'), ...log]);
    await this.answers('vtysh', '--vty_socket', folder, '-c', 'show bgp summary json');
  }

  vtysh(...commands: readonly string[]): Promise<string> {
    return this.must('vtysh', '--vty_socket', this.folder, ...commands.flatMap((each) => ['-c', each]));
  }

  async route(prefix: string): Promise<Heard | undefined> {
    const command = `show bgp ${isV6(prefix) ? 'ipv6' : 'ipv4'} unicast ${prefix} json`;
    const { paths = [] } = JSON.parse(await this.vtysh(command)) as { readonly paths?: readonly FrrPath[] };
    const path = paths.find((each) => this.peers.includes(each.peer?.peerId ?? ''));
    return path === undefined ? undefined : heardOf(path);
  }

  announce(...prefixes: readonly string[]): Promise<void> {
    return this.#networks('', prefixes);
  }

  withdraw(...prefixes: readonly string[]): Promise<void> {
    return this.#networks('no ', prefixes);
  }

  async refresh(): Promise<void> {
    await this.vtysh('clear bgp * soft in');
  }

  async shutdown(text: string): Promise<void> {
    await this.configure(`neighbor ${this.peers[0]} shutdown message ${text}`);
  }

  async enable(): Promise<void> {
    await this.configure(`no neighbor ${this.peers[0]} shutdown`);
  }

  session(): Promise<string> {
    return this.vtysh(`show bgp neighbors ${this.peers[0]} json`);
  }

  async configure(...lines: readonly string[]): Promise<void> {
    await this.vtysh('configure terminal', `router bgp ${this.settings.asn}`, ...lines);
  }

  async #networks(word: string, prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) {
      const map = word === '' ? ' route-map marked' : '';
      await this.configure(
        `address-family ${isV6(prefix) ? 'ipv6' : 'ipv4'} unicast`,
        `${word}network ${prefix}${map}`,
      );
    }
  }
}

function heardOf({ aspath, community, largeCommunity, extendedCommunity, stale = false }: FrrPath): Heard {
  const words = (text = ''): string[] => text.split(' ').filter(Boolean);
  return {
    stale,
    path: words(aspath?.string).map(Number),
    communities: [
      ...words(community?.string),
      ...words(largeCommunity?.string),
      ...words(extendedCommunity?.string).map((each) => each.toLowerCase()),
    ],
  };
}

function frrConf(s: DaemonSettings, own: string, peers: readonly string[]): string {
  const { link, gracefulSeconds: graceful } = s;
  const option = (on: unknown, text: string): string => (on === undefined || on === false ? '' : ` ${text}\n`);
  const graces = ['', ` restart-time ${graceful}`, ' preserve-fw-state'].map((words) => `bgp graceful-restart${words}`);
  const neighbour = (peer: string): string => ` neighbor ${peer} remote-as ${s.peerAs}
 neighbor ${peer} update-source ${own}
 neighbor ${peer} timers connect 1
 neighbor ${peer} advertisement-interval 0
${option(s.multihop, `neighbor ${peer} ebgp-multihop`)}${option(s.passive, `neighbor ${peer} passive`)}${option(s.md5, `neighbor ${peer} password ${s.md5}`)}${option(s.gtsm, `neighbor ${peer} ttl-security hops 1`)}${option(s.twoOctetAs, `neighbor ${peer} dont-capability-negotiate`)}${option(s.extensions, `neighbor ${peer} capability extended-nexthop`)}`;
  const activated = (peer: string, map: string): string => `  neighbor ${peer} activate
${s.extensions === true ? ` neighbor ${peer} addpath-tx-all-paths\n` : `  neighbor ${peer} route-map ${map} out\n`}${option(s.maximumPrefixes, ` neighbor ${peer} maximum-prefix ${s.maximumPrefixes}`)}`;
  const family = (name: 'ipv4' | 'ipv6', map: string): string => ` address-family ${name} unicast
${s.announces
  .filter((each) => isV6(each) === (name === 'ipv6'))
  .map((each) => `  network ${each} route-map marked\n`)
  .join('')}${peers.map((peer) => activated(peer, map)).join('')} exit-address-family
`;
  const prepend = option(s.prepend, `set as-path prepend ${s.prepend}`);
  return `route-map marked permit 10
 set community 65000:7
 set large-community ${s.asn}:1:2
 set extcommunity rt 65000:3
${prepend}route-map nexthop4 permit 10
 set ip next-hop ${link.theirs}
route-map nexthop6 permit 10
 set ipv6 next-hop global ${link.theirs6}
router bgp ${s.asn}
 bgp router-id ${link.theirs}
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp suppress-duplicates
 timers bgp 3 ${s.holdSeconds ?? 9}
${graces.map((line) => option(graceful, line)).join('')}${peers.map(neighbour).join('')}${family('ipv4', 'nexthop4')}${family('ipv6', 'nexthop6')}`;
}
