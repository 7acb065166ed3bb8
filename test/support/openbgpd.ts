/** OpenBGPD as a BGP peer, asked by bgpctl. It has a /run of its own. */
import { BgpDaemon, type DaemonSettings, type Heard } from './bgp-daemon.ts';

export class Openbgpd extends BgpDaemon {
  readonly name = 'OpenBGPD';

  async start(): Promise<void> {
    this.write('bgpd.conf', openbgpdConf(this.settings, this.ends[0], this.peers, `${this.folder}/bgpd.sock`));
    const command = `mount -t tmpfs tmpfs /run && mkdir /run/openbgpd && exec /usr/sbin/bgpd -d -f '${this.folder}/bgpd.conf'`;
    this.launch('unshare', ['-m', 'sh', '-c', command]);
    await this.answers('bgpctl', '-s', `${this.folder}/bgpd.sock`, 'show');
  }

  bgpctl(...words: readonly string[]): Promise<string> {
    return this.must('bgpctl', '-s', `${this.folder}/bgpd.sock`, ...words);
  }

  async route(prefix: string): Promise<Heard | undefined> {
    const text = await this.bgpctl('show', 'rib', 'detail', 'neighbor', this.peers[0]!);
    const entry = text.split(/^BGP routing table entry for /m).find((each) => each.startsWith(`${prefix}\n`));
    if (entry === undefined) return undefined;
    const all = (title: string): readonly string[] =>
      (entry.match(new RegExp(`^ *${title}: (.*)$`, 'm'))?.[1] ?? '').split(/(?<!rt) /).filter(Boolean);
    return {
      stale: /\bstale\b/.test(entry),
      path: (entry.match(/^ {4}([\d ]+)$/m)?.[1] ?? '').split(' ').filter(Boolean).map(Number),
      communities: [
        ...all('Communities'),
        ...all('Large Communities'),
        ...all('Ext. Communities').map((each) => each.replace(' ', ':')),
      ],
    };
  }

  async announce(...prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) await this.bgpctl('network', 'add', prefix, 'community', '65000:7');
  }

  async withdraw(...prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) await this.bgpctl('network', 'delete', prefix);
  }

  async refresh(): Promise<void> {
    await this.bgpctl('neighbor', this.peers[0]!, 'refresh');
  }

  async shutdown(text: string): Promise<void> {
    await this.bgpctl('neighbor', this.peers[0]!, 'down', text);
  }

  async enable(): Promise<void> {
    await this.bgpctl('neighbor', this.peers[0]!, 'up');
  }

  session(): Promise<string> {
    return this.bgpctl('show', 'neighbor', this.peers[0]!);
  }
}

function openbgpdConf(s: DaemonSettings, own: string, peers: readonly string[], socket: string): string {
  const option = (on: unknown, text: string): string => (on === undefined || on === false ? '' : `  ${text}\n`);
  const marks = `set { community 65000:7 large-community ${s.asn}:1:2 ext-community rt 65000:3 }`;
  const neighbour = (peer: string): string => `neighbor ${peer} {
  remote-as ${s.peerAs}
  local-address ${own}
  holdtime ${s.holdSeconds ?? 9}
  announce IPv4 unicast
  announce IPv6 unicast
${option(s.passive, 'passive')}${option(s.md5, `tcp md5sig password ${s.md5}`)}${option(s.gtsm, 'ttl-security yes')}${option(s.twoOctetAs, 'announce as-4byte no')}${option(s.gracefulSeconds, 'announce restart yes')}${option(s.maximumPrefixes, `max-prefix ${s.maximumPrefixes}`)}}
`;
  return `AS ${s.asn}
router-id ${s.link.theirs}
listen on ${own}
socket "${socket}"
fib-update no
${s.announces.map((prefix) => `network ${prefix} ${marks}\n`).join('')}${peers.map(neighbour).join('')}allow from any
allow to any
`;
}
