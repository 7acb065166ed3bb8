/**
 * The document after validation: every default filled in, every address parsed, every secret still a reference.
 * `config/` turns text into this; `gateway/` turns this into state.
 */
import type { Secret } from '../core/index.ts';
import type { Address, Prefix } from '../ip/index.ts';

/** Where the control socket is unless the document says otherwise, and where the command line looks for it. */
export const DEFAULT_LISTEN = 'unix:/run/bulkhead/control.sock';

export interface Document {
  readonly version: 1;
  readonly gateway: GatewayConfig;
  readonly tenants: readonly TenantConfig[];
  /** Undefined: no control socket. `listen` is `unix:` and an absolute path. */
  readonly api: { readonly listen: string } | undefined;
}

export interface GatewayConfig {
  readonly name: string;
  readonly external: {
    /** IKE and ESP sockets bind here. */
    readonly addresses: readonly Address[];
    /** UDP ports; 500 and 4500 unless a lab has no rights. */
    readonly ports: { readonly ike: number; readonly natt: number };
  };
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
}

export interface TenantConfig {
  readonly name: string;
  readonly rdid: string | undefined;
  readonly interfaces: readonly InterfaceDocument[];
  readonly routes: readonly StaticRoute[];
  readonly connections: readonly ConnectionConfig[];
}

export interface InterfaceDocument {
  readonly name: string;
  readonly driver: 'tun' | 'fabric';
  readonly device: string;
  readonly mtu: number;
  /** The compartment's own: it answers them. */
  readonly addresses: readonly Prefix[];
  /** TUN: given to the device on the host's side, so that the host itself can talk through it. Never one of `addresses`. */
  readonly hostAddresses: readonly Prefix[];
  readonly hostRoutes: 'auto' | 'none';
}

/** Exactly one of the two names the way: an interface, or the address of a next hop on a connected prefix. */
export interface StaticRoute {
  readonly prefix: Prefix;
  readonly via: { readonly interface: string } | { readonly nextHop: Address };
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
