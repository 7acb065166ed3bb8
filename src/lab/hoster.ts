/**
 * A hoster's network: the gateway `gw` between virtual machines on three virtualization hosts and the external network, where
 * there are a server and the sites of the tenants contoso and woodgrove, whose addresses and MACs are the same.
 *
 * ```
 *   web web ─ host1 ─┐                                             ┌─ server 198.51.100.80
 *   db  app ─ host2 ─┼─ provider network ─ gw ─ external network ──┼─ contoso's site    10.2.0.10
 *   app db  ─ host3 ─┘    192.168.50.0/24       203.0.113.0/24     └─ woodgrove's site  10.2.0.10
 *  10.1.0.0/23, twice
 * ```
 * Every node reads a document as a user writes it (`hoster-documents.ts`). The external network is `outer`: what `gw` sends from
 * its sockets and by its external interface is on it side by side.
 * Invariant: the same seed, plan and calls give the same octets at the same moments.
 */
import { parseMac } from '../config/index.ts';
import { type Random, toHex } from '../core/index.ts';
import { type Address, type Prefix, parseAddress, parsePrefix } from '../ip/index.ts';
import { Capture, type CaptureOptions } from './capture.ts';
import { EthernetLink } from './ethernet.ts';
import { GatewayNode, type GatewayNodeOptions } from './gateway-node.ts';
import { Host, type HostLink, OUTSIDE, type Query } from './host.ts';
import {
  EXTERNAL,
  HOSTS,
  type HosterFaults,
  type HosterPlan,
  type HostName,
  hostDocument,
  hosterDocument,
  SERVER,
  SUBNETS,
  sitesDocument,
  VMS,
} from './hoster-documents.ts';
import { CLEAN, type Conditions, OuterNetwork } from './network.ts';
import { Timeline } from './timeline.ts';
import { resolveDocument, SITE, TENANTS, type TenantName } from './topology.ts';

export interface HosterOptions {
  readonly random: Random;
  readonly plan: HosterPlan;
  readonly faults?: HosterFaults;
  /** Of the external network. */
  readonly conditions?: Partial<Conditions>;
  readonly version?: string;
  readonly ike?: NonNullable<GatewayNodeOptions['ike']>;
}

export interface TenantMachines {
  /** By name; `web`, `db` and `app` are there. */
  readonly vms: ReadonlyMap<string, Host>;
  /** In its site. */
  readonly site: Host | undefined;
}

/** The whole world, switched on; nothing has happened yet. */
export class Hoster {
  readonly timeline = new Timeline();
  readonly plan: HosterPlan;
  /** The external network. */
  readonly outer: OuterNetwork;
  /** The provider network. */
  readonly fabric: OuterNetwork;
  readonly gw: GatewayNode;
  readonly hosts: ReadonlyMap<HostName, GatewayNode>;
  readonly sites: GatewayNode | undefined;
  readonly tenants: Readonly<Record<TenantName, TenantMachines>>;
  readonly server: Host;
  /** Who is behind which external address, as `gw` says. */
  readonly external = new Map<string, Address>();
  /** As they are read; `sites` undefined: there are none. */
  readonly documents: {
    readonly gw: string;
    readonly sites: string | undefined;
    readonly hosts: ReadonlyMap<HostName, string>;
  };
  readonly #random: Random;
  readonly #cards: Readonly<Record<TenantName, EthernetLink[]>> = { contoso: [], woodgrove: [] };

  constructor({ random, plan, faults = {}, conditions, version, ike }: HosterOptions) {
    const { timeline } = this;
    this.plan = plan;
    this.#random = random;
    const secrets = new Map(TENANTS.map((tenant) => [tenant, `0x${toHex(random(32))}`]));
    const secretOf = (tenant: TenantName): string => secrets.get(tenant)!;
    const atSite = (tenant: TenantName): string => (tenant === faults.secret ? OTHER_SECRET : secretOf(tenant));
    this.documents = {
      gw: hosterDocument(plan, secretOf, faults),
      sites: sitesDocument(plan, atSite, faults),
      hosts: new Map(HOST_NAMES.map((name) => [name, hostDocument(name)])),
    };
    this.outer = new OuterNetwork(timeline, random, conditions);
    this.fabric = new OuterNetwork(timeline, random, FABRIC);
    const options: GatewayNodeOptions = {
      ...{ timeline, outer: this.outer, fabric: this.fabric, random },
      ...(version === undefined ? {} : { version }),
      ...(ike === undefined ? {} : { ike }),
    };
    const node = (text: string): GatewayNode => {
      const made = new GatewayNode(options);
      made.observe((action) => {
        if (action.do !== 'nat-addresses') return;
        for (const [tenant, address] of action.addresses) this.external.set(tenant, address);
      });
      made.apply(resolveDocument(text));
      return made;
    };
    this.gw = node(this.documents.gw);
    this.hosts = new Map([...this.documents.hosts].map(([name, text]) => [name, node(text)]));
    this.sites = this.documents.sites === undefined ? undefined : node(this.documents.sites);
    this.tenants = { contoso: this.#machinesOf('contoso'), woodgrove: this.#machinesOf('woodgrove') };
    this.server = this.#host(this.outer, OUTSIDE, 'server', SERVER);
    this.#connectExternal();
    timeline.runToIdle(1000);
  }

  /** Taps the external network, the provider network, the cards of each tenant's machines, and the inside of its site. */
  capture(options: Omit<CaptureOptions, 'timeline'>): Capture {
    const capture = new Capture({ ...options, timeline: this.timeline });
    capture.add('external', this.outer);
    capture.add('underlay', this.fabric);
    for (const tenant of TENANTS) {
      const cards = this.#cards[tenant];
      capture.add(`${tenant}-inside`, { tap: (see) => cards.forEach((card) => void card.tap(see)) }, 'ethernet');
      if (this.plan[tenant].site === true) capture.add(`${tenant}-site`, this.sites!.segment(tenant, 'inside'));
    }
    return capture;
  }

  /** One ping of every tenant to its site, or to the server; the answers come as time goes on. */
  pingOnce(): readonly Query[] {
    return TENANTS.map((tenant) =>
      this.web(tenant).ping(parseAddress(this.plan[tenant].site === true ? SITE : SERVER)!),
    );
  }

  web(tenant: TenantName): Host {
    return this.vm(tenant, 'web');
  }

  vm(tenant: TenantName, name: string): Host {
    return this.tenants[tenant].vms.get(name)!;
  }

  /** DELETE for everything; false when an end did not come to its end in time. */
  shutdown(): boolean {
    const ended = [this.gw, this.sites, ...this.hosts.values()].map((node) => {
      node?.dispatch({ type: 'shutdown' });
      return node === undefined || this.timeline.runUntil(() => node.done, 10_000);
    });
    return ended.every((each) => each);
  }

  #machinesOf(tenant: TenantName): TenantMachines {
    const vms = VMS[tenant].map(({ name, address, mac, host, subnet }): [string, Host] => {
      const { prefix } = SUBNETS[tenant][subnet];
      const onLink: Prefix = { ...parsePrefix(prefix)!, address: parseAddress(address)! };
      const card = new EthernetLink({
        timeline: this.timeline,
        random: this.#random,
        mac: parseMac(mac)!,
        address: onLink,
        // The distributed router, which stands in every host.
        gateway: parseAddress(prefix.replace(/0\/24$/, '1'))!,
        plug: (receive) => this.hosts.get(host)!.plug(tenant, name, receive),
      });
      this.#cards[tenant].push(card);
      return [name, this.#host(card, tenant, name, address)];
    });
    const inside = this.plan[tenant].site === true ? this.sites!.segment(tenant, 'inside') : undefined;
    return { vms: new Map(vms), site: inside && this.#host(inside, tenant, 'site', SITE) };
  }

  /** What the gateway answers for outside is there for others: its own address, those of NATs, machines that are routed directly. */
  #connectExternal(): void {
    const toGateway = this.gw.plug('default', 'external', (packet) => this.outer.send(packet));
    const direct = TENANTS.filter((tenant) => this.plan[tenant].direct === true).flatMap((tenant) =>
      VMS[tenant].map(({ address }) => parseAddress(address)!),
    );
    for (const address of [parseAddress(EXTERNAL)!, ...this.external.values(), ...direct])
      this.outer.attach(address, toGateway, false);
  }

  #host(segment: HostLink, tenant: string, name: string, at: string): Host {
    return new Host({ timeline: this.timeline, segment, tenant, name, addresses: [parseAddress(at)!] });
  }
}

const HOST_NAMES = Object.keys(HOSTS) as HostName[];
/** A provider network carries 1500 octets of the tenants and what NVGRE adds. */
const FABRIC: Conditions = { ...CLEAN, delay: 0.5, mtu: 1600 };
const OTHER_SECRET = `0x${'5e'.repeat(32)}`;
