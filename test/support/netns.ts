/**
 * Network namespaces of tests: `hostA – gwA – inet – gwB – hostB` joined by veth pairs, IPv4 and IPv6.
 *
 *     hostA                gwA                        inet                       gwB                  hostB
 *     10.1.0.2 ── 10.1.0.1 | 192.0.2.1 ── 192.0.2.254 | 198.51.100.254 ── 198.51.100.1 | 10.2.0.1 ── 10.2.0.2
 *     fd01::2     fd01::1    2001:db8:a::1        …:a::ff  …:b::ff       2001:db8:b::1    fd02::1     fd02::2
 *
 * Devices: `in` towards the host and `out` towards inet in gateways, `toA` and `toB` in inet, `eth0` in hosts.
 * Names carry the process id: test processes do not see each other's. veth offloads are off unless asked for, so that
 * what goes over a link is what a wire would carry. Invariant: everything is gone after `close` or the end of the process, however it fails.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  type Finished,
  must,
  offExit,
  onExit,
  type ProcessOptions,
  run,
  sh,
  start,
  type TestProcess,
  until,
} from './process.ts';

export type Place = 'hostA' | 'gwA' | 'inet' | 'gwB' | 'hostB';

export const PLACES: readonly Place[] = ['hostA', 'gwA', 'inet', 'gwB', 'hostB'];

export interface TopologyOptions {
  /** inet hides gwA's address behind its own 198.51.100.254, as a NAT box does. */
  readonly nat?: boolean;
  /** Seconds after which inet forgets a UDP mapping without answers, and with. */
  readonly natTimeouts?: { readonly unreplied: number; readonly replied: number };
  /** Largest packet on the way between the gateways. */
  readonly mtu?: number;
  /** Largest packet on the inner networks. */
  readonly innerMtu?: number;
  /** Checksum and segmentation offload stay on: packets of one flow cross the links as superframes. */
  readonly offloads?: boolean;
}

export const ADDRESSES = {
  hostA: '10.1.0.2',
  gwAInside: '10.1.0.1',
  gwA: '192.0.2.1',
  inetA: '192.0.2.254',
  inetB: '198.51.100.254',
  gwB: '198.51.100.1',
  gwBInside: '10.2.0.1',
  hostB: '10.2.0.2',
} as const;

export const ADDRESSES6 = {
  hostA: 'fd01::2',
  gwAInside: 'fd01::1',
  gwA: '2001:db8:a::1',
  inetA: '2001:db8:a::ff',
  inetB: '2001:db8:b::ff',
  gwB: '2001:db8:b::1',
  gwBInside: 'fd02::1',
  hostB: 'fd02::2',
} as const;

/** Commands, processes and namespaces of one test network. */
export class Topology {
  readonly #names: Readonly<Record<Place, string>>;
  readonly #offloads: boolean;
  #open = true;
  #ranges = 0;

  constructor(options: TopologyOptions = {}) {
    this.#offloads = options.offloads ?? false;
    topologies += 1;
    const name = (place: Place): string => `bh${process.pid}-${topologies}-${place}`;
    this.#names = {
      hostA: name('hostA'),
      gwA: name('gwA'),
      inet: name('inet'),
      gwB: name('gwB'),
      hostB: name('hostB'),
    };
    onExit(this, () => this.#remove());
    try {
      this.#build(options);
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /** Name of the namespace, for `ip netns`. */
  name(place: Place): string {
    return this.#names[place];
  }

  start(place: Place, command: string, args: readonly string[], options: ProcessOptions = {}): TestProcess {
    return start(command, args, { ...options, netns: this.name(place) });
  }

  run(place: Place, command: string, args: readonly string[], options: ProcessOptions = {}): Promise<Finished> {
    return run(command, args, { ...options, netns: this.name(place) });
  }

  /** Gives stdout; an exit code other than 0 is an error. */
  must(place: Place, command: string, args: readonly string[], options: ProcessOptions = {}): Promise<string> {
    return must(command, args, { ...options, netns: this.name(place) });
  }

  /** Replies among `count` echo requests, one every `interval` seconds. */
  async ping(
    from: Place,
    to: string,
    count = 3,
    more: { readonly size?: number; readonly interval?: number; readonly wait?: number; readonly df?: boolean } = {},
  ): Promise<number> {
    const { size = 56, interval = 0.2, wait = 2, df = false } = more;
    const words = ['-c', count, '-i', interval, '-W', wait, '-s', size, ...(df ? ['-M', 'do'] : []), to].map(String);
    const { stdout } = await this.run(from, 'ping', ['-n', ...words]);
    return Number(stdout.match(/(\d+) received/)?.[1] ?? 0);
  }

  /** Takes away, or gives back, the way between inet and a gateway: what a cut cable does. */
  cut(gateway: 'gwA' | 'gwB', down = true): void {
    const device = gateway === 'gwA' ? 'toA' : 'toB';
    sh('ip', ['-n', this.name('inet'), 'link', 'set', 'dev', device, down ? 'down' : 'up']);
  }

  /** What inet passes on to a gateway at most from here on, as if a narrower link followed; undefined: as much as the link takes. */
  narrow(gateway: 'gwA' | 'gwB', mtu: number | undefined): void {
    const device = gateway === 'gwA' ? 'toA' : 'toB';
    for (const address of [ADDRESSES[gateway], ADDRESSES6[gateway]]) {
      const way = [address, 'dev', device];
      if (mtu === undefined) sh('ip', ['-n', this.name('inet'), 'route', 'del', ...way], true);
      else sh('ip', ['-n', this.name('inet'), 'route', 'replace', ...way, 'mtu', 'lock', String(mtu)]);
    }
  }

  /** The kernel of a place forgets what routers told it of MTUs, as it does by itself after ten minutes (RFC 1191 §6.3). */
  forgetMtus(place: Place): void {
    for (const family of ['-4', '-6']) sh('ip', ['-n', this.name(place), family, 'route', 'flush', 'cache']);
  }

  /** Forgets all NAT mappings of inet, as a NAT box does that restarts; translations afterwards use ports of another range. */
  renat(): void {
    this.nft('inet', 'flush', 'chain', 'ip', 'bhnat', 'post');
    this.#masquerade();
    sh('ip', ['netns', 'exec', this.name('inet'), process.execPath, '-e', FLUSH_CONNTRACK]);
  }

  nft(place: Place, ...words: readonly string[]): void {
    sh('ip', ['netns', 'exec', this.name(place), 'nft', ...words]);
  }

  /** Removes namespaces, devices and whatever still runs in them. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#remove();
    await until(
      () => !this.leftovers().length,
      5_000,
      () => `left behind: ${this.leftovers().join(', ')}`,
    );
  }

  /** Namespaces of this topology that exist. */
  leftovers(): readonly string[] {
    return Object.values(this.#names).filter((name) => existsSync(`/run/netns/${name}`));
  }

  #build(options: TopologyOptions): void {
    const { mtu = 1500, innerMtu = 1500 } = options;
    for (const place of PLACES) {
      sh('ip', ['netns', 'add', this.name(place)]);
      sh('ip', ['-n', this.name(place), 'link', 'set', 'dev', 'lo', 'up']);
      const settings = [
        'net.ipv6.conf.all.accept_dad=0',
        'net.ipv6.conf.default.accept_dad=0',
        'net.ipv6.conf.all.disable_ipv6=0',
      ];
      const routing = [
        'net.ipv4.ip_forward=1',
        'net.ipv6.conf.all.forwarding=1',
        'net.ipv4.conf.all.rp_filter=0',
        'net.ipv4.conf.default.rp_filter=0',
      ];
      // The default of this kernel may be BBR, which paces and makes every throughput number meaningless.
      const tcp = ['net.ipv4.tcp_congestion_control=reno'];
      this.#sysctl(place, [...settings, ...(place.startsWith('host') ? [] : routing), ...tcp]);
    }
    this.#wire(
      'hostA',
      'eth0',
      'gwA',
      'in',
      innerMtu,
      [ADDRESSES.hostA, ADDRESSES6.hostA],
      [ADDRESSES.gwAInside, ADDRESSES6.gwAInside],
    );
    this.#wire('gwA', 'out', 'inet', 'toA', mtu, [ADDRESSES.gwA, ADDRESSES6.gwA], [ADDRESSES.inetA, ADDRESSES6.inetA]);
    this.#wire('inet', 'toB', 'gwB', 'out', mtu, [ADDRESSES.inetB, ADDRESSES6.inetB], [ADDRESSES.gwB, ADDRESSES6.gwB]);
    this.#wire(
      'gwB',
      'in',
      'hostB',
      'eth0',
      innerMtu,
      [ADDRESSES.gwBInside, ADDRESSES6.gwBInside],
      [ADDRESSES.hostB, ADDRESSES6.hostB],
    );
    this.#defaultRoute('hostA', ADDRESSES.gwAInside, ADDRESSES6.gwAInside);
    this.#defaultRoute('gwA', ADDRESSES.inetA, ADDRESSES6.inetA);
    this.#defaultRoute('gwB', ADDRESSES.inetB, ADDRESSES6.inetB);
    this.#defaultRoute('hostB', ADDRESSES.gwBInside, ADDRESSES6.gwBInside);
    if (options.nat === true) this.#translate(options.natTimeouts);
  }

  #wire(
    left: Place,
    leftDevice: string,
    right: Place,
    rightDevice: string,
    mtu: number,
    leftAddresses: readonly string[],
    rightAddresses: readonly string[],
  ): void {
    const ends = [
      [left, leftDevice, leftAddresses],
      [right, rightDevice, rightAddresses],
    ] as const;
    const peer = ['type', 'veth', 'peer', 'name', rightDevice, 'netns', this.name(right)];
    sh('ip', ['-n', this.name(left), 'link', 'add', leftDevice, ...peer]);
    for (const [place, device, addresses] of ends) {
      for (const address of addresses) {
        const length = address.includes(':') ? 64 : 24;
        const nodad = address.includes(':') ? ['nodad'] : [];
        sh('ip', ['-n', this.name(place), 'addr', 'add', `${address}/${length}`, 'dev', device, ...nodad]);
      }
      sh('ip', ['-n', this.name(place), 'link', 'set', 'dev', device, 'mtu', String(mtu), 'up']);
      if (this.#offloads) continue;
      const off = ['tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off'];
      sh('ip', ['netns', 'exec', this.name(place), 'ethtool', '-K', device, ...off], true);
    }
  }

  #defaultRoute(place: Place, via4: string, via6: string): void {
    sh('ip', ['-n', this.name(place), 'route', 'add', 'default', 'via', via4]);
    sh('ip', ['-n', this.name(place), '-6', 'route', 'add', 'default', 'via', via6]);
  }

  #translate(timeouts: TopologyOptions['natTimeouts']): void {
    this.nft('inet', 'add', 'table', 'ip', 'bhnat');
    this.nft('inet', 'add', 'chain', 'ip', 'bhnat', 'post', '{ type nat hook postrouting priority 100 ; }');
    this.#masquerade();
    if (timeouts === undefined) return;
    this.#sysctl('inet', [
      `net.netfilter.nf_conntrack_udp_timeout=${timeouts.unreplied}`,
      `net.netfilter.nf_conntrack_udp_timeout_stream=${timeouts.replied}`,
    ]);
  }

  #masquerade(): void {
    const first = 20_000 + 1000 * (this.#ranges++ % 40);
    const ports = `to :${first}-${first + 999}`;
    this.nft('inet', 'add', 'rule', 'ip', 'bhnat', 'post', `oifname "toB" ip protocol udp masquerade ${ports}`);
    this.nft('inet', 'add', 'rule', 'ip', 'bhnat', 'post', 'oifname "toB" masquerade');
  }

  #sysctl(place: Place, settings: readonly string[]): void {
    sh('ip', ['netns', 'exec', this.name(place), 'sysctl', '-q', '-w', ...settings], true);
  }

  #remove(): void {
    if (!this.#open) return;
    this.#open = false;
    offExit(this);
    for (const name of this.leftovers()) removeNamespace(name);
  }
}

/** Namespaces of test processes that no longer run (killed outright): removed with their processes, and named. */
export function sweepNamespaces(): readonly string[] {
  const stale = (existsSync('/run/netns') ? readdirSync('/run/netns') : []).filter((name) => {
    const pid = name.match(/^bh(\d+)-/)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  for (const name of stale) removeNamespace(name);
  return stale;
}

/** With everything that still runs in it. */
export function removeNamespace(name: string): void {
  for (const pid of sh('ip', ['netns', 'pids', name], true).split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
  sh('ip', ['netns', 'del', name], true);
}

let topologies = 0;

/**
 * IPCTNL_MSG_CT_DELETE without attributes: all entries (linux/netfilter/nfnetlink_conntrack.h). In a process of its own, because
 * it must run inside the namespace.
 */
const FLUSH_CONNTRACK = `
  const koffi = require(${JSON.stringify(createRequire(import.meta.url).resolve('koffi'))});
  const libc = koffi.load('libc.so.6');
  const fd = libc.func('int socket(int, int, int)')(16, 3, 12);
  const message = Buffer.from('14000000' + '0201' + '0500' + '01000000' + '00000000' + '00000000', 'hex');
  if (libc.func('long send(int, void *, size_t, int)')(fd, message, message.length, 0) < 0) process.exit(1);
  const answer = Buffer.alloc(256);
  libc.func('long recv(int, _Out_ void *, size_t, int)')(fd, answer, answer.length, 0);
  process.exit(answer.readInt32LE(16) === 0 ? 0 : 2);
`;
