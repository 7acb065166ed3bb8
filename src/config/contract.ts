/**
 * The document after validation: every default filled in, every address parsed, every secret still a reference.
 * `config/` turns text into this; `gateway/` turns this into state.
 */
import type { Secret } from '../core/index.ts';
import type { Address, Endpoint, Prefix } from '../ip/index.ts';
import type { BgpConfig } from './contract-bgp.ts';
import type { Mac } from './mac.ts';
import type { AddressRange } from './range.ts';

/** Compartment 1, the gateway's own, beside the tenants; none of a document is called so. */
export const DEFAULT_COMPARTMENT = 'default';

/** Where the control socket is unless the document says otherwise, and where the command line looks for it. */
export const DEFAULT_LISTEN = 'unix:/run/bulkhead/control.sock';

/** A document is for one of the two; `role` is not written, the section `gateway` or `host` says it. */
export type Document = GatewayDocument | HostDocument;

export interface GatewayDocument {
  readonly version: 1;
  readonly role: 'gateway';
  readonly gateway: GatewayConfig;
  readonly tenants: readonly TenantConfig[];
  readonly api: ApiConfig | undefined;
}

/** A virtualization host: its VMs are devices, and what leads to the others is the same policy that the gateway has. */
export interface HostDocument {
  readonly version: 1;
  readonly role: 'host';
  readonly host: HostConfig;
  readonly tenants: readonly HostTenantConfig[];
  readonly api: ApiConfig | undefined;
}

/** Those that have connections: none of a host. */
export const gatewayTenants = (document: Document): readonly TenantConfig[] =>
  document.role === 'gateway' ? document.tenants : [];

/** Undefined: no control socket. `listen` is `unix:` and an absolute path. */
export interface ApiConfig {
  readonly listen: string;
}

export interface GatewayConfig {
  readonly name: string;
  readonly external: ExternalConfig;
  /** There whenever a tenant has subnets. */
  readonly underlay: UnderlayConfig | undefined;
  /** Writes Wireshark's key tables into this folder; undefined: keys are kept secret. */
  readonly keyLog: string | undefined;
  readonly limits: LimitsConfig;
  readonly dataplane: DataplaneConfig;
}

/** How packets are moved; fixed for the life of the process. */
export interface DataplaneConfig {
  /** Threads that pass packets, each for tenants of its own; 0: packets pass through the main thread. */
  readonly workers: number;
  /** Processors the threads stay on, in their order; those without one run where the kernel pleases. */
  readonly cpus: readonly number[];
  /** Superframes, and system calls for many packets, where the kernel has them. */
  readonly offloads: boolean;
  /** Octets of the kernel's queue of each socket, each way. */
  readonly bufferOctets: number;
  /** Of the threads; `auto`: real time, unless they have all processors. */
  readonly scheduling: 'auto' | 'realtime' | 'normal';
  /** SO_BUSY_POLL of the sockets; 0: off. */
  readonly busyPollMicros: number;
}

export interface LimitsConfig {
  /** Half-open IKE SAs before cookies are demanded (RFC 7296 §2.6). */
  readonly cookieThreshold: number;
  /** Half-open IKE SAs at all; more are refused. */
  readonly halfOpen: number;
  /** Slots of the packet pool. */
  readonly packets: number;
  /** What the path attributes of the BGP routers of all tenants may take together; one that needs more than its share may lose sessions. */
  readonly bgpAttributeOctets: number;
}

/** The front end: compartment 1. */
export interface ExternalConfig {
  /** IKE and ESP sockets bind here. */
  readonly addresses: readonly Address[];
  /** UDP ports; 500 and 4500 unless a lab has no rights. */
  readonly ports: { readonly ike: number; readonly natt: number };
  /** There whenever a tenant has NAT or is routed directly. */
  readonly interface: ExternalInterfaceConfig | undefined;
  /** Handed to tenants for NAT: IPv4, disjoint, ascending; `nat-addresses.ts` says who gets which. */
  readonly pool: readonly AddressRange[];
  /** Of compartment 1, with routers on the external network; there only with an interface that has addresses. */
  readonly bgp: BgpConfig | undefined;
}

/** Where packets of NAT and direct routing leave and come; IKE and ESP keep their sockets. */
export interface ExternalInterfaceConfig {
  /** `packet`: frames of our own on a NIC, and ARP for the pool. `tun`: the host routes. `fabric`: the lab. */
  readonly driver: 'packet' | 'tun' | 'fabric';
  readonly device: string;
  readonly mtu: number;
  /** Own, with the on-link prefix. Empty for `tun` only. */
  readonly addresses: readonly Prefix[];
  /** Next hops of the default routes, at most one a family, each on-link. Empty with `tun`: the host is the next hop. */
  readonly gateways: readonly Address[];
  readonly mac: Mac | 'auto';
  /** `auto`, with `tun` only: the host's routes to the pool and to directly routed tenants lead to the device. */
  readonly hostRoutes: 'auto' | 'none';
}

/** The back end: this machine in the provider network. */
export interface UnderlayConfig {
  /** Provider addresses of this machine, at least one. */
  readonly addresses: readonly Address[];
  /** `nvgre`: IP protocol 47 (RFC 7637). `nvgre-udp`: the same in UDP 4754 (RFC 8086), which needs no rights. */
  readonly encapsulation: 'nvgre' | 'nvgre-udp';
  /** Of `nvgre-udp`: `flow`: it follows the flow (RFC 8086 §3.2.1). `fixed`: 4754, for a NAT or a filter on the way that wants one. */
  readonly sourcePort: 'flow' | 'fixed';
  /** Of the provider network: largest IP packet outside. */
  readonly mtu: number;
}

export interface HostConfig {
  readonly name: string;
  readonly underlay: UnderlayConfig;
}

/** A tenant's virtual network, wherever its packets pass. */
export interface VirtualNetworkConfig {
  readonly name: string;
  readonly rdid: string | undefined;
  readonly lookup: readonly LookupConfig[];
  readonly customerRoutes: readonly CustomerRoute[];
}

export interface TenantConfig extends VirtualNetworkConfig {
  /** One a VSID. */
  readonly subnets: readonly SubnetConfig[];
  /** Undefined is written `off`. */
  readonly nat: NatConfig | undefined;
  /** Routed to the external network as it is; never together with `nat`. */
  readonly direct: boolean;
  readonly interfaces: readonly InterfaceDocument[];
  readonly routes: readonly StaticRoute[];
  readonly connections: readonly ConnectionConfig[];
  readonly bgp: BgpConfig | undefined;
}

export interface HostTenantConfig extends VirtualNetworkConfig {
  /** One a VSID. */
  readonly subnets: readonly HostSubnetConfig[];
  readonly vms: readonly VmConfig[];
}

/**
 * A virtual subnet that the gateway takes part in: entries of the document with one VSID are one interface. The VSID belongs
 * to this tenant alone; the prefixes of a tenant's subnets and interfaces do not overlap.
 */
export interface SubnetConfig {
  readonly vsid: number;
  /** The gateway's own, each with the prefix of the subnet. */
  readonly addresses: readonly Prefix[];
  readonly mac: Mac | 'auto';
}

export interface HostSubnetConfig {
  readonly vsid: number;
  readonly prefixes: readonly Prefix[];
}

/** A record of the lookup table: where a customer address is. Dynamic ones are learned, never written. */
export interface LookupConfig {
  readonly vsid: number;
  /** In a prefix of the VSID, for `static`; undefined for the others. */
  readonly ca: Address | undefined;
  readonly mac: Mac;
  /** The provider address of the host that has it, of a family the underlay has. */
  readonly pa: Address;
  /**
   * `l2only`: a VM whose addresses are learned. `gateway-wildcard`: the MAC is that of a gateway, which takes what nobody
   * else in the subnet has.
   */
  readonly type: 'static' | 'l2only' | 'gateway-wildcard';
}

/** A prefix of the tenant behind one of its VMs. */
export interface CustomerRoute {
  readonly prefix: Prefix;
  /** In a subnet of the tenant. */
  readonly nextHop: Address;
  /** The lowest wins; equal ones share. */
  readonly metric: number;
}

/** A machine on a virtualization host. */
export interface VmConfig {
  readonly name: string;
  readonly vsid: number;
  readonly mac: Mac;
  /** In prefixes of the VSID. Empty: learned from what the VM sends. */
  readonly addresses: readonly Address[];
  /** `tap`: a device made for it. `packet`: one that is there, for example the host's end of a veth pair. */
  readonly driver: 'tap' | 'packet';
  readonly device: string;
}

/** NAPT behind an external address of the tenant's own; IPv4 only. */
export interface NatConfig {
  /** `auto`: one of the pool, by `assignNatAddresses`. */
  readonly address: Address | 'auto';
  /** Who may answer (RFC 4787 §5); mapping is endpoint-independent always. */
  readonly filtering: 'address' | 'endpoint-independent' | 'address-and-port';
  /** What is reached from outside; a port of a protocol stands in one rule. */
  readonly rules: readonly NatRule[];
  readonly timeouts: NatTimeouts;
  readonly limits: { readonly sessions: number };
  /** What goes this way. */
  readonly routes: readonly Prefix[];
}

export interface NatRule {
  readonly protocol: 'tcp' | 'udp';
  readonly externalPort: number;
  readonly to: Endpoint;
}

/** Of sessions in which nothing passes. */
export interface NatTimeouts {
  readonly tcpEstablishedSeconds: number;
  /** Partly open or closing (RFC 5382 REQ-5). */
  readonly tcpTransientSeconds: number;
  readonly udpSeconds: number;
  readonly icmpSeconds: number;
}

export interface InterfaceDocument {
  readonly name: string;
  /** `tap` and `packet` carry frames; `tap` is a device made for it, `packet` a NIC that is there. `fabric`: the lab. */
  readonly driver: 'tun' | 'tap' | 'packet' | 'fabric';
  readonly device: string;
  readonly mtu: number;
  /** The compartment's own: it answers them. */
  readonly addresses: readonly Prefix[];
  /** `auto` for all that carry no frames. */
  readonly mac: Mac | 'auto';
  /**
   * `tun` and `tap`: given to the device on the host's side, so that the host itself can talk through it. Never one of
   * `addresses`.
   */
  readonly hostAddresses: readonly Prefix[];
  /** `auto`: what the compartment reaches gets a route on the host. Default with `tun`, to be asked for with `tap`. */
  readonly hostRoutes: 'auto' | 'none';
}

/**
 * Exactly one names the way: an interface, or the address of a next hop on a connected prefix or in a subnet; or there is none, and what
 * matches is discarded.
 */
export interface StaticRoute {
  readonly prefix: Prefix;
  readonly via: { readonly interface: string } | { readonly nextHop: Address } | { readonly discard: true };
  /** Between static routes of one prefix: the lowest wins; equal ones share. */
  readonly metric: number;
}

/** Where a secret is; `secrets.ts` fetches it. */
export type SecretReference =
  /** File name (relative to the document), variable, or name of a systemd credential. */
  | { readonly from: 'file' | 'env' | 'credential'; readonly value: string }
  /** Decoded already. */
  | { readonly from: 'inline'; readonly value: Secret };

export interface ConnectionConfig {
  readonly name: string;
  readonly local: { readonly address: Address; readonly id: string };
  /** `address` undefined is written `any`: listen only. */
  readonly remote: { readonly address: Address | undefined; readonly id: string; readonly port: number };
  readonly psk: SecretReference;
  readonly legacy: boolean;
  readonly ike: {
    readonly proposals: readonly string[];
    readonly lifetimeSeconds: number;
    /** An unanswered request is repeated this long; then the peer counts as gone. */
    readonly giveUpSeconds: number;
  };
  readonly child: {
    readonly proposals: readonly string[];
    readonly local: readonly SelectorConfig[];
    readonly remote: readonly SelectorConfig[];
    readonly lifetimeSeconds: number;
    /** Infinity: unlimited. */
    readonly lifetimeBytes: number;
    /** Infinity: unlimited. */
    readonly lifetimePackets: number;
    readonly esn: 'allow' | 'require' | 'never';
    readonly replayWindow: number;
  };
  readonly start: 'demand' | 'boot' | 'listen';
  readonly routes: readonly Prefix[];
  readonly dpdSeconds: number;
  readonly idleSeconds: number;
  readonly encapsulation: 'auto' | 'udp';
  readonly df: 'copy' | 'set' | 'clear';
  readonly mtu: number | 'auto';
}

/** `10.1.0.0/24`, or with protocol and ports as swanctl writes them: `10.1.0.0/24[tcp/443]`, `10.1.0.0/24[udp/1000-2000]`. */
export interface SelectorConfig {
  readonly prefix: Prefix;
  readonly protocol: number;
  readonly startPort: number;
  readonly endPort: number;
}

/** One thing wrong with the document. Line and column count from 1. */
export interface Issue {
  readonly severity: 'error' | 'warning';
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** `tenants[0].connections[1].ike.proposals[0]` */
  readonly path: string;
  readonly message: string;
}
