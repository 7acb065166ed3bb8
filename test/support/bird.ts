/** BIRD as a BGP peer, asked by birdc; what it announces are static routes in a file, read anew. */
import { BgpDaemon, type DaemonSettings, type Heard, v4Of, v6Of } from './bgp-daemon.ts';
import { type Finished, run } from './process.ts';

export class Bird extends BgpDaemon {
  readonly name = 'BIRD';
  #started = false;
  #announced: readonly string[] = [];

  /** Once more after the first time, it lets peers know that what forwards went on. */
  async start(): Promise<void> {
    this.#announced = this.settings.announces;
    const again = this.#started ? ['-R'] : [];
    this.#started = true;
    this.#write();
    this.launch('bird', [
      '-f',
      '-c',
      'bird.conf',
      '-s',
      `${this.folder}/bird.ctl`,
      '-P',
      `${this.folder}/bird.pid`,
      ...again,
    ]);
    await this.answers('birdc', '-s', `${this.folder}/bird.ctl`, 'show', 'status');
  }

  birdc(...words: readonly string[]): Promise<string> {
    return this.must('birdc', '-s', `${this.folder}/bird.ctl`, ...words);
  }

  async route(prefix: string): Promise<Heard | undefined> {
    const { code, stdout } = await this.ask('show', 'route', prefix, 'protocol', 'peer0', 'all');
    if (code !== 0) return undefined;
    const stale = /graceful restart active/.test(await this.session());
    let at: { path: number[]; communities: string[]; stale: boolean } | undefined;
    for (const line of stdout.split('\n')) {
      if (line.startsWith(`${prefix} `)) at = { path: [], communities: [], stale };
      const [, name, value = ''] = line.match(/^\tBGP\.(\w+): ?(.*)$/) ?? [];
      if (name === 'as_path') at?.path.push(...value.split(' ').filter(Boolean).map(Number));
      if (name === 'community' || name === 'large_community' || name === 'ext_community')
        at?.communities.push(...[...value.matchAll(/\(([^)]*)\)/g)].map((each) => each[1]!.replaceAll(/,\s*/g, ':')));
    }
    return at;
  }

  ask(...words: readonly string[]): Promise<Finished> {
    return run('birdc', ['-s', `${this.folder}/bird.ctl`, ...words], { netns: this.namespace });
  }

  async announce(...prefixes: readonly string[]): Promise<void> {
    this.#announced = [...this.#announced, ...prefixes];
    await this.reconfigure();
  }

  async withdraw(...prefixes: readonly string[]): Promise<void> {
    this.#announced = this.#announced.filter((each) => !prefixes.includes(each));
    await this.reconfigure();
  }

  async refresh(): Promise<void> {
    await this.birdc('reload', 'in', 'peer0');
  }

  async shutdown(text: string): Promise<void> {
    await this.birdc('disable', 'peer0', `"${text}"`);
  }

  async enable(): Promise<void> {
    await this.birdc('enable', 'peer0');
  }

  session(): Promise<string> {
    return this.birdc('show', 'protocols', 'all', 'peer0');
  }

  async reconfigure(settings: Partial<DaemonSettings> = {}): Promise<void> {
    this.settings = { ...this.settings, ...settings };
    this.#write();
    await this.birdc('configure');
  }

  #write(): void {
    this.write('bird.conf', birdConf(this.settings, this.#announced, this.ends[0], this.peers));
  }
}

function birdConf(s: DaemonSettings, announced: readonly string[], own: string, peers: readonly string[]): string {
  const { link, gracefulSeconds: graceful, maximumPrefixes: limit } = s;
  const prepend = s.prepend === undefined ? '' : `bgp_path.prepend(${s.prepend}); `;
  const marks = `{ ${prepend}bgp_community.add((65000,7)); bgp_large_community.add((${s.asn},1,2)); bgp_ext_community.add((rt,65000,3)); }`;
  const each = s.plain === true ? '' : ` ${marks}`;
  const statics = (prefixes: readonly string[]) =>
    prefixes.map((prefix) => `route ${prefix} blackhole${each};`).join(' ');
  const option = (on: unknown, text: string): string => (on === undefined || on === false ? '' : `  ${text};\n`);
  // With extensions it passes on what it has heard, by its own next hop.
  const exports = s.extensions === true ? 'all' : 'where source = RTS_STATIC';
  const hop = (nextHop: string) => (s.extensions === true ? '' : ` next hop address ${nextHop};`);
  const channel = (nextHop: string): string =>
    `import all; export ${exports};${hop(nextHop)}${option(limit, `import limit ${limit} action disable`)}`;
  const session = (peer: string, i: number): string => `protocol bgp peer${i} {
  local ${own} as ${s.asn};
  neighbor ${peer} as ${s.peerAs};
  hold time ${s.holdSeconds ?? 9};
  connect retry time 1; connect delay time 1; error wait time 1,2;
${option(s.multihop, 'multihop')}${option(s.passive, 'passive')}${option(s.md5, `password "${s.md5}"`)}${option(s.gtsm, 'ttl security')}${option(s.twoOctetAs, 'enable as4 off')}${option(graceful, 'graceful restart')}${option(graceful, `graceful restart time ${graceful}`)}${option(s.extensions, 'enable extended messages')}  ipv4 { ${channel(link.theirs)}${option(s.extensions, 'add paths; extended next hop')} };
  ipv6 { ${channel(link.theirs6)} };
}
`;
  return `log stderr all;
router id ${link.theirs};
protocol device {}
protocol direct { ipv4; ipv6; }
${s.kernel === true ? 'protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }\n' : ''}protocol static static4 { ipv4; ${statics(v4Of(announced))} }
protocol static static6 { ipv6; ${statics(v6Of(announced))} }
${peers.map(session).join('')}`;
}
