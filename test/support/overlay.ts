/**
 * The network of a hoster in namespaces: virtual machines with kernels of their own behind virtualization hosts, a provider network,
 * a gateway, the outside.
 *
 *     blue1 red1 ─ h1 ─┐                         ┌ inet ─ server 198.51.100.80
 *     blue2 red2 ─ h2 ─┴ fabric ─ gw ─ ext ──────┤      └ site  198.51.100.1 | 10.2.0.1 ─ (10.2.0.2 in it)
 *            192.168.50.0/24         203.0.113.0/24
 *
 * VMs of both tenants have the same addresses and the same MAC addresses. Invariant: everything is gone after `close` or the end of the
 * process, however it fails.
 */
import { existsSync } from 'node:fs';
import { automaticMac, formatMac } from '../../src/config/index.ts';
import type { Place, Topology } from './netns.ts';
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

export const HOSTS = { h1: '192.168.50.21', h2: '192.168.50.22' } as const;
export const UNDERLAY = '192.168.50.10';
export const ROUTER = '203.0.113.1';
export const SERVER = '198.51.100.80';
export const SITE = '198.51.100.1';
/** Where IKE of the gateway is, beside the external interface. */
export const IKE = '192.0.2.1';

export type Spot = 'blue1' | 'blue2' | 'red1' | 'red2' | 'h1' | 'h2' | 'fabric' | 'gw' | 'inet' | 'server' | 'site';
export type Host = keyof typeof HOSTS;
export type Vm = 'blue1' | 'blue2' | 'red1' | 'red2';

const SPOTS: readonly Spot[] = ['blue1', 'blue2', 'red1', 'red2', 'h1', 'h2', 'fabric', 'gw', 'inet', 'server', 'site'];
const ROUTERS: readonly Spot[] = ['inet', 'site'];

/** Of the first and the second machine of each tenant. */
export const CA = ['10.1.0.10', '10.1.0.11'] as const;
export const MAC = ['00:15:5d:00:00:10', '00:15:5d:00:00:11'] as const;
export const GATEWAY_CA = '10.1.0.254';
export const VSID = { blue: 5001, red: 6001 } as const;

export class Overlay {
  readonly #names: ReadonlyMap<Spot, string>;
  #open = true;

  constructor() {
    count += 1;
    this.#names = new Map(SPOTS.map((spot) => [spot, `bh${process.pid}-o${count}-${spot}`]));
    onExit(this, () => this.#remove());
    try {
      this.#build();
    } catch (error) {
      this.#remove();
      throw error;
    }
  }

  /** For helpers that know gateways by their place in a `Topology`. */
  get topology(): Topology {
    return this as unknown as Topology;
  }

  name(spot: Spot | Place): string {
    return this.#names.get(spot as Spot)!;
  }

  start(spot: Spot, command: string, args: readonly string[], options: ProcessOptions = {}): TestProcess {
    return start(command, args, { ...options, netns: this.name(spot) });
  }

  run(spot: Spot, command: string, args: readonly string[], options: ProcessOptions = {}): Promise<Finished> {
    return run(command, args, { ...options, netns: this.name(spot) });
  }

  must(spot: Spot, command: string, args: readonly string[], options: ProcessOptions = {}): Promise<string> {
    return must(command, args, { ...options, netns: this.name(spot) });
  }

  /** Replies among `times` echo requests. */
  async ping(from: Spot, to: string, times = 3, size = 56, more: readonly string[] = []): Promise<number> {
    const words = ['-n', '-c', times, '-i', 0.1, '-W', 2, '-s', size, ...more, to].map(String);
    const { stdout } = await this.run(from, 'ping', words);
    return Number(stdout.match(/(\d+) received/)?.[1] ?? 0);
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#remove();
    const left = (): string[] => [...this.#names.values()].filter((name) => existsSync(`/run/netns/${name}`));
    await until(
      () => left().length === 0,
      5000,
      () => `left behind: ${left().join(', ')}`,
    );
  }

  #build(): void {
    for (const spot of SPOTS) {
      sh('ip', ['netns', 'add', this.name(spot)]);
      sh('ip', ['-n', this.name(spot), 'link', 'set', 'dev', 'lo', 'up']);
      const routing = ROUTERS.includes(spot) ? ['net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0'] : [];
      const settings = [...routing, 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv4.tcp_congestion_control=reno'];
      sh('ip', ['netns', 'exec', this.name(spot), 'sysctl', '-q', '-w', ...settings], true);
    }
    sh('ip', ['-n', this.name('fabric'), 'link', 'add', 'br0', 'type', 'bridge']);
    sh('ip', ['-n', this.name('fabric'), 'link', 'set', 'br0', 'up']);
    for (const [spot, address] of [
      ['h1', HOSTS.h1],
      ['h2', HOSTS.h2],
      ['gw', UNDERLAY],
    ] as const) {
      this.#wire(spot, 'under0', 'fabric', `to-${spot}`, `${address}/24`);
      sh('ip', ['-n', this.name('fabric'), 'link', 'set', `to-${spot}`, 'master', 'br0']);
    }
    for (const tenant of ['blue', 'red'] as const) {
      for (const i of [0, 1] as const) {
        const vm: Vm = `${tenant}${i === 0 ? 1 : 2}`;
        this.#wire(vm, 'eth0', i === 0 ? 'h1' : 'h2', vm, `${CA[i]}/24`, undefined, MAC[i]);
        sh('ip', ['-n', this.name(vm), 'link', 'set', 'eth0', 'mtu', '1458']);
        sh('ip', ['-n', this.name(vm), 'route', 'add', 'default', 'via', GATEWAY_CA]);
      }
    }
    this.#wire('inet', 'ext', 'gw', 'ext0', `${ROUTER}/24`);
    this.#wire('inet', 'toGw', 'gw', 'out0', '192.0.2.254/24', `${IKE}/24`);
    this.#wire('inet', 'toServer', 'server', 'eth0', '198.51.100.126/26', `${SERVER}/26`);
    this.#wire('inet', 'toSite', 'site', 'out', '198.51.100.2/30', `${SITE}/30`);
    sh('ip', ['-n', this.name('site'), 'route', 'add', 'default', 'via', '198.51.100.2']);
    sh('ip', ['-n', this.name('site'), 'addr', 'add', '10.2.0.2/24', 'dev', 'lo']);
    sh('ip', ['-n', this.name('gw'), 'route', 'add', 'default', 'via', '192.0.2.254']);
    sh('ip', ['-n', this.name('server'), 'route', 'add', 'default', 'via', '198.51.100.126'], true);
  }

  #wire(
    left: Spot,
    leftDevice: string,
    right: Spot,
    rightDevice: string,
    leftAddress?: string,
    rightAddress?: string,
    leftMac?: string,
  ): void {
    const peer = ['type', 'veth', 'peer', 'name', rightDevice, 'netns', this.name(right)];
    const mac = leftMac === undefined ? [] : ['address', leftMac];
    sh('ip', ['-n', this.name(left), 'link', 'add', leftDevice, ...mac, ...peer]);
    for (const [spot, device, address] of [
      [left, leftDevice, leftAddress],
      [right, rightDevice, rightAddress],
    ] as const) {
      if (address !== undefined) sh('ip', ['-n', this.name(spot), 'addr', 'add', address, 'dev', device]);
      sh('ip', ['-n', this.name(spot), 'link', 'set', 'dev', device, 'up']);
    }
  }

  #remove(): void {
    if (!this.#open) return;
    this.#open = false;
    offExit(this);
    for (const name of this.#names.values()) {
      for (const pid of sh('ip', ['netns', 'pids', name], true).split('\n').filter(Boolean)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended meanwhile.
        }
      }
      sh('ip', ['netns', 'del', name], true);
    }
  }
}

let count = 0;

/** Where the documents differ from the picture. */
export interface Changes {
  /** Machines that have moved. */
  readonly at?: Readonly<Partial<Record<Vm, Host>>>;
  readonly encapsulation?: 'nvgre' | 'nvgre-udp';
  /** Of the gateway. */
  readonly sourcePort?: 'flow' | 'fixed';
  /** In `gateway.external`. */
  readonly external?: object;
}

/** MAC addresses of the gateway's ports. */
export const GATEWAY_MACS = {
  blue: formatMac(automaticMac(`blue/vsid:${VSID.blue}`)),
  red: formatMac(automaticMac(`red/vsid:${VSID.red}`)),
} as const;

/** The gateway of the picture: `more` of a tenant by its name. */
export function gatewayDocument(more: Readonly<Record<'blue' | 'red', object>>, changes: Changes = {}): string {
  const tenants = TENANTS.map((name) => ({
    name,
    subnets: [{ vsid: VSID[name], prefix: '10.1.0.0/24', address: GATEWAY_CA }],
    lookup: lookup(name, changes),
    ...more[name],
  }));
  const external = {
    addresses: [IKE],
    interface: { driver: 'packet', device: 'ext0', addresses: ['203.0.113.10/24'], gateway: ROUTER },
    pool: '203.0.113.50-203.0.113.99',
    ...changes.external,
  };
  const { encapsulation = 'nvgre', sourcePort = 'flow' } = changes;
  const underlay = { address: UNDERLAY, encapsulation, sourcePort };
  return JSON.stringify({ version: 1, gateway: { name: 'gw', external, underlay }, tenants }, undefined, 1);
}

/** A host of the picture. */
export function hostDocument(host: Host, changes: Changes = {}): string {
  const tenants = TENANTS.map((name) => ({
    name,
    subnets: [{ vsid: VSID[name], prefix: '10.1.0.0/24' }],
    lookup: [
      ...lookup(name, changes),
      { vsid: VSID[name], ca: GATEWAY_CA, mac: GATEWAY_MACS[name], pa: UNDERLAY },
      { vsid: VSID[name], mac: GATEWAY_MACS[name], pa: UNDERLAY, type: 'gateway-wildcard' },
    ],
    vms: machines(name)
      .filter((vm) => hostOf(vm, changes) === host)
      .map((vm) => ({
        name: vm,
        vsid: VSID[name],
        mac: MAC[indexOf(vm)],
        addresses: [CA[indexOf(vm)]],
        driver: 'packet',
        device: vm,
      })),
  }));
  const underlay = { address: HOSTS[host], encapsulation: changes.encapsulation ?? 'nvgre' };
  return JSON.stringify({ version: 1, host: { name: host, underlay }, tenants }, undefined, 1);
}

const TENANTS = ['blue', 'red'] as const;

const lookup = (tenant: 'blue' | 'red', changes: Changes): object[] =>
  machines(tenant).map((vm) => {
    const [ca, mac] = [CA[indexOf(vm)], MAC[indexOf(vm)]];
    return { vsid: VSID[tenant], ca, mac, pa: HOSTS[hostOf(vm, changes)] };
  });

const machines = (tenant: 'blue' | 'red'): readonly Vm[] => [`${tenant}1`, `${tenant}2`];
const indexOf = (vm: Vm): 0 | 1 => (vm.endsWith('1') ? 0 : 1);
const hostOf = (vm: Vm, { at }: Changes): Host => at?.[vm] ?? (indexOf(vm) === 0 ? 'h1' : 'h2');
