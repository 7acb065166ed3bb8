/**
 * A whole in virtual time: the multi-tenant gateway, virtualization hosts with VMs on a provider network, sites behind tunnels, and
 * the Internet behind the external interface. Each machine reads the document that a plan makes for it.
 */
import { formatIssue, readDocument } from '../../../src/config/index.ts';
import { type Random, seededRandom } from '../../../src/core/index.ts';
import { type Gateway, type GatewayAction, planHost, type ResolvedDocument } from '../../../src/gateway/index.ts';
import {
  type Address,
  buildIcmpError,
  contains,
  destinationOf,
  formatAddress,
  type IcmpError,
  parseMac,
} from '../../../src/ip/index.ts';
import { type Conditions, GatewayNode, OuterNetwork, resolveDocument, Timeline } from '../../../src/lab/index.ts';
import { addr, pfx } from '../packets.ts';
import { HostedGateway } from './hosted.ts';
import { Ledger, OUTSIDE } from './ledger.ts';
import { Nic } from './nic.ts';
import type { Bytes } from './octets.ts';
import { EXTERNAL, gatewayText, hostText, ROUTER, sitesText, type WorldPlan } from './plan.ts';
import { Station } from './station.ts';

export const WEB = '198.51.100.80';
export const DNS = '198.51.100.53';
export const WEB6 = '2001:db8:99::80';

export interface FabricOptions {
  readonly seed?: number;
  /** Of the provider network. */
  readonly conditions?: Partial<Conditions>;
  /** Hosted elsewhere, so many; default: the gateway passes packets itself. */
  readonly planes?: number;
}

export interface Vm {
  readonly station: Station;
  readonly nic: Nic;
  readonly host: string;
  readonly addresses: string;
}

export class FabricWorld {
  readonly timeline = new Timeline();
  readonly random: Random;
  readonly provider: OuterNetwork;
  readonly outer: OuterNetwork;
  readonly ledger = new Ledger();
  readonly gateway: GatewayNode;
  /** With `planes`. */
  readonly hosted: HostedGateway | undefined;
  readonly hosts = new Map<string, GatewayNode>();
  readonly vms = new Map<string, Vm>();
  readonly web: Station;
  readonly dns: Station;
  /** Of the Internet, where the external interface carries frames. */
  readonly router: Nic;
  /** IP packets on the external interface, each way. */
  readonly external: { readonly way: 'out' | 'in'; readonly packet: Bytes }[] = [];
  plan: WorldPlan;
  /** What the gateway goes by. */
  gatewayPlan: WorldPlan;
  #query = 0;
  #watching: ((action: GatewayAction) => void) | undefined;
  #sites: GatewayNode | undefined;
  readonly #siteHosts = new Map<string, Station>();
  /** Into the gateway's external interface. */
  #toExternal: (octets: Bytes) => void = () => {};
  /** What each VM's NIC is plugged into. */
  readonly #plugs = new Map<string, (frame: Bytes) => void>();

  constructor(plan: WorldPlan, { seed = 1, conditions = {}, planes }: FabricOptions = {}) {
    this.plan = plan;
    this.gatewayPlan = plan;
    this.random = seededRandom(seed);
    const { timeline, random } = this;
    this.provider = new OuterNetwork(timeline, random, { delay: 1, mtu: 9000, ...conditions });
    this.outer = new OuterNetwork(timeline, random);
    this.web = this.#outside('web', [WEB, WEB6]);
    this.dns = this.#outside('dns', [DNS]);
    this.router = new Nic({
      mac: parseMac('02:00:00:00:00:99')!,
      addresses: [addr(ROUTER), addr('2001:db8:e::1')],
      now: () => timeline.now,
      nextHop: (destination) => this.#towardsGateway(destination),
      out: (frame) => this.#toExternal(frame),
      up: (packet) => this.#toInternet(packet),
    });
    this.gateway = this.#node();
    if (planes !== undefined) {
      this.hosted = new HostedGateway(random, this.gateway.pool, planes);
      this.gateway.gateway = this.hosted as unknown as Gateway;
    }
    this.apply(plan);
    timeline.runToIdle(1000);
  }

  /** Everybody reads the document of another plan. */
  apply(plan: WorldPlan): void {
    this.applyGateway(plan);
    for (const host of Object.keys(plan.hosts)) this.applyHost(host, plan);
  }

  applyGateway(plan: WorldPlan): void {
    this.plan = plan;
    this.gatewayPlan = plan;
    const receive =
      plan.driver === undefined || plan.driver === 'packet'
        ? (frame: Bytes) => this.router.receive(frame)
        : (packet: Bytes) => this.#toInternet(packet);
    this.#toExternal = this.gateway.plug('default', 'external', receive);
    this.gateway.apply(once(gatewayText(plan), resolveDocument));
    this.#applySites(plan);
  }

  applyHost(name: string, plan: WorldPlan): void {
    this.plan = plan;
    let node = this.hosts.get(name);
    if (node === undefined) {
      node = this.#node();
      this.hosts.set(name, node);
    }
    node.apply(once(hostText(plan, name), resolveHost));
    this.#plugVms(name, node, plan);
  }

  vm(tenant: string, name: string): Station {
    return this.vms.get(`${tenant}/${name}`)!.station;
  }

  nic(tenant: string, name: string): Nic {
    return this.vms.get(`${tenant}/${name}`)!.nic;
  }

  site(tenant: string, name: string): Station {
    return this.#siteHosts.get(`${tenant}/${name}`)!;
  }

  /** The other ends of the connections. */
  get sites(): GatewayNode | undefined {
    return this.#sites;
  }

  nodes(): GatewayNode[] {
    return [this.gateway, ...this.hosts.values(), ...(this.#sites === undefined ? [] : [this.#sites])];
  }

  /** Time passes. */
  run(milliseconds = 1000): void {
    this.timeline.advanceTo(this.timeline.now + milliseconds);
  }

  /** Who sends by the external interface of the gateway. */
  fromInternet(packet: Bytes): void {
    this.external.push({ way: 'in', packet });
    if (this.plan.driver === undefined || this.plan.driver === 'packet') this.router.send(packet);
    else this.#toExternal(packet);
  }

  /** An ICMP error about a packet that came out, from somebody on its way. */
  error(what: IcmpError, from: string, about: Bytes, mtu = 0): Bytes {
    return buildIcmpError(what, addr(from), about, 0, about.length, mtu);
  }

  /** The NAT sessions of a tenant in words, sorted. */
  sessions(tenant: string): string[] {
    const found: string[] = [];
    const take = (action: GatewayAction): void => {
      if (action.do !== 'nat-sessions' || action.query !== this.#query) return;
      for (const s of action.sessions) {
        found.push(`${s.protocol} ${s.inner} ${s.external} ${s.remote} ${s.state}`);
      }
    };
    this.#query += 1;
    this.#watch(take);
    this.gateway.dispatch({ type: 'ask-nat', tenant, query: this.#query, filter: {}, most: 10_000 });
    return found.sort();
  }

  /** The external address that the plan gives a tenant. */
  externalOf(tenant: string): string {
    return /203\.0\.113\.\d+/.exec(this.plan.tenants.find(({ name }) => name === tenant)?.nat ?? '')?.[0] ?? '';
  }

  #watch(take: (action: GatewayAction) => void): void {
    if (this.#watching === undefined) this.gateway.observe((action) => this.#watching?.(action));
    this.#watching = take;
  }

  #toInternet(packet: Bytes): void {
    this.external.push({ way: 'out', packet });
    if (this.external.length > EXTERNAL_KEPT) this.external.shift();
    const key = formatAddress(destinationOf(packet, 0));
    const station = [this.web, this.dns].find((s) => s.addresses.some((own) => formatAddress(own) === key));
    if (station !== undefined) this.timeline.after(1, () => station.receive(packet));
  }

  /** Where the router sends what is for the gateway's side: to addresses on the link, else to the gateway. */
  #towardsGateway(destination: Address): Address | undefined {
    const links = [pfx('203.0.113.0/24'), pfx('2001:db8:e::/64')];
    if (links.some((link) => contains(link, destination))) return destination;
    return addr(destination.length === 4 ? EXTERNAL : '2001:db8:e::10');
  }

  #outside(name: string, addresses: readonly string[]): Station {
    const station = this.station(OUTSIDE, name, addresses);
    station.send = (packet) => this.timeline.after(1, () => this.fromInternet(packet));
    return station;
  }

  #plugVms(host: string, node: GatewayNode, plan: WorldPlan): void {
    for (const { name: tenant, vms } of plan.tenants)
      for (const vm of vms) {
        if (vm.host !== host) continue;
        const key = `${tenant}/${vm.name}`;
        const known = this.vms.get(key);
        const addresses = `${vm.mac} ${vm.addresses.join()}`;
        const { station, nic } =
          known?.addresses === addresses ? known : this.#machine(tenant, vm.name, vm.mac, vm.addresses, plan);
        this.vms.set(key, { station, nic, host, addresses });
        this.#plugs.set(
          key,
          node.plug(tenant, vm.name, (frame) => {
            if (this.vms.get(key)?.nic === nic && this.vms.get(key)?.host === host) nic.receive(frame);
          }),
        );
      }
    // Those that are in no document any more are switched off.
    const wanted = new Set(plan.tenants.flatMap(({ name, vms }) => vms.map((vm) => `${name}/${vm.name}`)));
    for (const [key, { station }] of this.vms)
      if (!wanted.has(key)) {
        this.vms.delete(key);
        this.#plugs.delete(key);
        this.ledger.remove(station);
      }
  }

  #machine(tenant: string, name: string, mac: string, addresses: readonly string[], plan: WorldPlan) {
    const before = this.vms.get(`${tenant}/${name}`);
    if (before !== undefined) this.ledger.remove(before.station);
    const key = `${tenant}/${name}`;
    const station = this.station(tenant, name, addresses);
    const subnets = plan.tenants.find((t) => t.name === tenant)!.subnets;
    const vsid = plan.tenants.find((t) => t.name === tenant)!.vms.find((vm) => vm.name === name)!.vsid;
    const subnet = subnets.find((s) => s.vsid === vsid)!;
    const own = subnet.prefixes.map((prefix) => pfx(prefix));
    const nic = new Nic({
      mac: parseMac(mac)!,
      addresses: station.addresses,
      now: () => this.timeline.now,
      nextHop: (destination) => {
        if (own.some((prefix) => contains(prefix, destination))) return destination;
        const prefix = own.find(({ address }) => address.length === destination.length);
        return prefix === undefined ? undefined : lowest(prefix.address);
      },
      out: (frame) => this.timeline.after(0, () => this.#plugs.get(key)?.(frame)),
      up: (packet) => station.receive(packet),
    });
    station.send = (packet) => nic.send(packet);
    return { station, nic };
  }

  #applySites(plan: WorldPlan): void {
    const text = sitesText(plan);
    if (text === undefined) return;
    this.#sites ??= this.#node();
    this.#sites.apply(once(text, resolveDocument));
    for (const { name: tenant, site } of plan.tenants)
      for (const [name, address] of Object.entries(site?.hosts ?? {})) {
        const key = `${tenant}/${name}`;
        if (this.#siteHosts.has(key)) continue;
        const station = this.station(tenant, name, [address]);
        const segment = this.#sites.segment(tenant, 'inside');
        segment.attach(addr(address), (packet) => station.receive(packet));
        station.send = (packet) => segment.send(packet);
        this.#siteHosts.set(key, station);
      }
  }

  station(tenant: string, name: string, addresses: readonly string[]): Station {
    const { ledger, timeline } = this;
    const now = (): number => timeline.now;
    const station = new Station({ tenant, name, addresses: addresses.map(addr), ledger, now });
    ledger.add(station);
    return station;
  }

  #node(): GatewayNode {
    const { timeline, outer, random, provider: fabric } = this;
    return new GatewayNode({ timeline, outer, fabric, random, packets: 128 });
  }
}

/** What was read before is not read again: documents are values. */
function once(text: string, read: (text: string) => ResolvedDocument): ResolvedDocument {
  const known = READ.get(text);
  if (known !== undefined) return known;
  const document = read(text);
  if (READ.size >= READ_KEPT) READ.clear();
  READ.set(text, document);
  return document;
}

const READ = new Map<string, ResolvedDocument>();
const READ_KEPT = 500;

/** A document of a virtualization host that must be right. */
export function resolveHost(text: string): ResolvedDocument {
  const { document, issues } = readDocument(text, 'host.yaml');
  if (document?.role !== 'host') throw new Error(`${issues.map(formatIssue).join('\n')}\n${text}`);
  return { ...planHost(document), secrets: new Map() };
}

function lowest(network: Address): Address {
  const address = network.slice();
  address[address.length - 1]! += 1;
  return address;
}

const EXTERNAL_KEPT = 4000;
