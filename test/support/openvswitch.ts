/**
 * Open vSwitch as a virtualization host that is not ours: its userland datapath and its GRE in a host's namespace, with static flows in
 * the place of lookup records.
 *
 *     VM ports ─ br-int ─ gre0 ┈ (route, ARP) ┈ br-phy ─ underlay device
 *
 * One folder an instance. To Open vSwitch the key is one number of 32 bits: VSID << 8 | FlowID.
 * Invariant: processes, devices and the folder are gone after `stop` or the end of the test process.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Overlay, Spot } from './overlay.ts';
import { offExit, onExit, sh, type TestProcess } from './process.ts';

/** Where one customer address is. */
export interface LookupRecord {
  readonly vsid: number;
  readonly ca: string;
  readonly mac: string;
  readonly pa: string;
}

/** A virtual machine of this host: `device` in the host's namespace is its port. */
export interface Port {
  readonly vsid: number;
  readonly mac: string;
  readonly device: string;
}

export interface OpenVswitchOptions {
  /** The underlay's device; its address with prefix length moves to the bridge while this runs. */
  readonly device: string;
  readonly address: string;
  readonly ports: readonly Port[];
  readonly records: readonly LookupRecord[];
}

export class OpenVswitch {
  readonly folder: string;
  readonly #net: Overlay;
  readonly #spot: Spot;
  readonly #options: OpenVswitchOptions;
  readonly #processes: TestProcess[] = [];

  private constructor(net: Overlay, spot: Spot, options: OpenVswitchOptions) {
    this.folder = mkdtempSync(join(tmpdir(), `bh-ovs-${process.pid}-`));
    this.#net = net;
    this.#spot = spot;
    this.#options = options;
    onExit(this, () => this.#clean());
  }

  /** Its bridges are up and its flows are in when this resolves. */
  static async start(net: Overlay, spot: Spot, options: OpenVswitchOptions): Promise<OpenVswitch> {
    const ovs = new OpenVswitch(net, spot, options);
    try {
      await ovs.#launch();
      await ovs.#connect();
      return ovs;
    } catch (error) {
      const log = ovs.#processes.map(({ output }) => output.slice(-2000)).join('\n');
      await ovs.stop();
      throw new Error(`Open vSwitch does not start: ${error instanceof Error ? error.message : error}\n${log}`);
    }
  }

  /** The address is the device's again. */
  async stop(): Promise<void> {
    for (const process of this.#processes.splice(0).reverse()) await process.stop();
    const { device, address } = this.#options;
    // Its own devices outlive it.
    for (const own of [PHYSICAL, INTEGRATION, 'ovs-netdev'])
      await this.#net.run(this.#spot, 'ip', ['link', 'del', own]);
    await this.#net.run(this.#spot, 'ip', ['addr', 'add', address, 'dev', device]);
    this.#clean();
    offExit(this);
  }

  async #launch(): Promise<void> {
    const [database, socket] = [join(this.folder, 'conf.db'), join(this.folder, 'db.sock')];
    await this.#ask('ovsdb-tool', 'create', database, '/usr/share/openvswitch/vswitch.ovsschema');
    await this.#daemon('ovsdb-server', database, `--remote=punix:${socket}`).line(/ovsdb-server \(Open vSwitch\)/);
    await this.#ask('ovs-vsctl', '--no-wait', 'init');
    await this.#daemon('ovs-vswitchd', `unix:${socket}`, '--disable-system').line(/ovs-vswitchd \(Open vSwitch\)/);
  }

  async #connect(): Promise<void> {
    const { device, address, ports } = this.#options;
    const { stdout } = await this.#net.run(this.#spot, 'cat', [`/sys/class/net/${device}/address`]);
    const mac = stdout.trim();
    const words = [
      ...['add-br', PHYSICAL, '--', 'set', 'bridge', PHYSICAL, 'datapath_type=netdev'],
      `other-config:hwaddr="${mac}"`,
      ...['--', 'add-port', PHYSICAL, device],
      ...['--', 'add-br', INTEGRATION, '--', 'set', 'bridge', INTEGRATION, 'datapath_type=netdev', 'fail_mode=secure'],
      ...['--', 'add-port', INTEGRATION, 'gre0', '--', 'set', 'interface', 'gre0', 'type=gre'],
      ...['options:remote_ip=flow', 'options:key=flow', `ofport_request=${TUNNEL}`],
      ...ports.flatMap((port, i) => [
        ...['--', 'add-port', INTEGRATION, port.device],
        ...['--', 'set', 'interface', port.device, `ofport_request=${i + 1}`],
      ]),
    ];
    await this.#ask('ovs-vsctl', ...words);
    const ip = (...args: readonly string[]) => this.#net.must(this.#spot, 'ip', args);
    await ip('addr', 'del', address, 'dev', device);
    await ip('addr', 'add', address, 'dev', PHYSICAL);
    await ip('link', 'set', PHYSICAL, 'up');
    for (const flow of this.#flows()) await this.#ask('ovs-ofctl', 'add-flow', INTEGRATION, flow);
  }

  /** What does not match is dropped. */
  #flows(): readonly string[] {
    const { ports, records, address } = this.#options;
    return ports.flatMap(({ vsid, mac }, i) => {
      const others = records.filter((record) => record.vsid === vsid && !address.startsWith(`${record.pa}/`));
      const here = `in_port=${i + 1}`;
      const mine = `in_port=${TUNNEL},tun_id=${vsid << 8}/0xffffff00`;
      const key = `set_field:${vsid << 8}->tun_id,multipath(symmetric_l4,0,modulo_n,256,0,NXM_NX_TUN_ID[0..7])`;
      const replicas = [...new Set(others.map(({ pa }) => pa))].map(
        (pa) => `set_field:${pa}->tun_dst,output:${TUNNEL}`,
      );
      return [
        ...others.map((record) => `${here},arp,arp_op=1,arp_tpa=${record.ca},actions=${arpAnswer(record)}`),
        ...others.map(
          (record) => `${here},ip,dl_dst=${record.mac},actions=${key},set_field:${record.pa}->tun_dst,output:${TUNNEL}`,
        ),
        `${here},ip,dl_dst=${GROUP},actions=${key},${replicas.join()}`,
        `${mine},dl_dst=${mac},actions=output:${i + 1}`,
        `${mine},dl_dst=${GROUP},actions=output:${i + 1}`,
      ];
    });
  }

  #daemon(command: string, ...args: readonly string[]): TestProcess {
    const control = `--unixctl=${join(this.folder, `${command}.ctl`)}`;
    const daemon = this.#net.start(this.#spot, command, [...args, control, '-v'], { env: this.#env });
    this.#processes.push(daemon);
    return daemon;
  }

  #ask(command: string, ...args: readonly string[]): Promise<string> {
    const words = command === 'ovs-vsctl' ? [`--db=unix:${join(this.folder, 'db.sock')}`, ...args] : args;
    return this.#net.must(this.#spot, command, words, { env: this.#env });
  }

  get #env(): { readonly [name: string]: string } {
    return { OVS_RUNDIR: this.folder, OVS_LOGDIR: this.folder };
  }

  #clean(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Machines whose packets a userland datapath reads owe no checksums. */
export function withoutOffloads(net: Overlay, spot: Spot, device: string): void {
  sh('ip', ['netns', 'exec', net.name(spot), 'ethtool', '-K', device, 'tx', 'off']);
}

/** Turns the request around into the answer of `mac`. */
const arpAnswer = ({ ca, mac }: LookupRecord): string =>
  [
    'move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]',
    `set_field:${mac}->eth_src`,
    'set_field:2->arp_op',
    'move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]',
    `set_field:${mac}->arp_sha`,
    'move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]',
    `set_field:${ca}->arp_spa`,
    'IN_PORT',
  ].join();

const [PHYSICAL, INTEGRATION] = ['br-phy', 'br-int'] as const;
const TUNNEL = 10;
/** Multicast and broadcast. */
const GROUP = '01:00:00:00:00:00/01:00:00:00:00:00';
