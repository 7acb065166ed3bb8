/**
 * The virtual switch as others see it: tenants with their virtual subnets, lookup records, customer routes and ports in;
 * frames in and out. How a frame gets to a port or a provider address is not its business.
 */
import type { Bytes, Millis } from '../core/index.ts';
import type { Address, Packet, Prefix } from '../ip/index.ts';

/** An address of the fabric, 4 or 16 octets, of either family whatever the customer addresses are. */
export type ProviderAddress = Address;

/** One virtual subnet, or one of its prefixes: a VSID may stand in several. */
export interface VirtualSubnet {
  readonly vsid: number;
  /** Without one the subnet is bridged and never routed. */
  readonly prefix?: Prefix | undefined;
  /**
   * The lowest address of the prefix is the distributed router's unless a record or port has it. Default true; false where
   * the gateway is to be the only router.
   */
  readonly router?: boolean | undefined;
}

/**
 * `static`: the CA is the VM's. `l2only`: the VM's CAs are learned. `gateway-wildcard`: the VM is a gateway and gets what no
 * subnet and route of the tenant covers; it may send from any CA. `dynamic` ones are only learned, never given.
 */
export type RecordType = 'static' | 'dynamic' | 'l2only' | 'gateway-wildcard';

export interface LookupRecord {
  readonly vsid: number;
  /** For `static`; absent or unspecified (`0.0.0.0`, `::`) for the others, which stand for both families. */
  readonly ca?: Address | undefined;
  readonly mac: Bytes;
  readonly pa: ProviderAddress;
  readonly type: Exclude<RecordType, 'dynamic'>;
}

export interface CustomerRoute {
  readonly prefix: Prefix;
  readonly nextHop: Address;
  /** Where the next hop is; default: the virtual subnet whose prefix contains it. */
  readonly vsid?: number | undefined;
  /** Lower wins between routes to one prefix. */
  readonly metric: number;
}

export interface TenantConfig {
  /** Its number: of its compartment on a gateway, of its routing domain on a host. */
  readonly tenant: number;
  readonly name: string;
  readonly subnets: readonly VirtualSubnet[];
  readonly records?: readonly LookupRecord[];
  readonly routes?: readonly CustomerRoute[];
  /** Where its counters stand: TENANT_CELLS doubles from `first` on, which is 0 by default. Default: its own. */
  readonly cells?: Float64Array;
  readonly first?: number;
}

/** `gateway`: the compartment's own interface in that virtual subnet; it may send from any CA, because it routes. */
export type PortRole = 'vm' | 'gateway';

export interface PortConfig {
  /** Its number, among the ports of all tenants. */
  readonly port: number;
  readonly tenant: number;
  readonly vsid: number;
  readonly mac: Bytes;
  /** Its CAs, beside those that records give its MAC; undefined: they are learned. */
  readonly addresses: readonly Address[] | undefined;
  readonly role: PortRole;
}

/** Where the switch's results go. Ownership of the frame goes with `toPort` and `toFabric`. */
export interface SwitchSink {
  /** An Ethernet frame for a port. */
  toPort(port: number, frame: Packet, now: Millis): void;
  /** An NVGRE frame, GRE header first, for a provider address: the same object whenever it is the same address. */
  toFabric(pa: ProviderAddress, vsid: number, frame: Packet, now: Millis): void;
  /**
   * The frame, without its GRE header if a tenant was found, went no further; it is counted, and released afterwards. `tenant`
   * is undefined where no door was found, `port` where it came from the fabric.
   */
  dropped?(frame: Packet, reason: number, tenant: number | undefined, port: number | undefined, now: Millis): void;
}

/** Named bounds of each tenant, each with a counter of what it refused. */
export interface SwitchLimits {
  /** Lookup records of the policy: `recordsRefused`. */
  readonly records: number;
  /** Customer routes: `routesRefused`. */
  readonly routes: number;
  /** Dynamic records of one virtual subnet: `learnRefused`. */
  readonly dynamicPerSubnet: number;
  /** Dynamic records of one MAC address, so that no VM takes them all: `learnRefused`. */
  readonly dynamicPerMac: number;
  /** How long a dynamic record stays without a packet from its CA. */
  readonly dynamicAgeMs: Millis;
  /** Copies of one broadcast or multicast: DROP.replication for each one more. */
  readonly copies: number;
  /** Copies a second, long term, and at once: DROP.replication. */
  readonly copiesPerSecond: number;
  readonly copyBurst: number;
}

/** What a tenant's frames came to; drops have their own array. */
export interface TenantCounters {
  readonly fromPorts: number;
  readonly fromFabric: number;
  readonly toPorts: number;
  readonly toFabric: number;
  /** Frames the distributed router passed on. */
  readonly routed: number;
  /** Broadcasts and multicasts, and the copies made of them. */
  readonly replicated: number;
  readonly copies: number;
  /** ARP requests and neighbour solicitations answered by the switch. */
  readonly neighboursAnswered: number;
  /** Pings answered by the distributed router. */
  readonly echoReplies: number;
  /** Dynamic records made, taken over by another MAC, grown old, refused. */
  readonly learned: number;
  readonly moved: number;
  readonly aged: number;
  readonly learnRefused: number;
  readonly recordsRefused: number;
  readonly routesRefused: number;
}

/** One line of the table, for people. */
export interface RecordView {
  readonly vsid: number;
  /** Undefined for `l2only` and `gateway-wildcard`. */
  readonly ca: Address | undefined;
  readonly mac: Bytes;
  /** Undefined: at this node. */
  readonly pa: ProviderAddress | undefined;
  readonly type: RecordType;
  /** Where it comes from: the policy, the addresses of a port here, or packets. */
  readonly origin: 'policy' | 'port' | 'learned';
  /** When a packet from its CA was last seen here. */
  readonly seen: Millis | undefined;
}

/** "What would you do with a packet from this VM to that address?" */
export interface NextHopQuery {
  readonly vsid: number;
  readonly source: Address;
  readonly destination: Address;
}

export interface NextHopExplanation {
  readonly chosen:
    | {
        /** The virtual subnet the frame leaves in. */
        readonly vsid: number;
        /** The CA it is sent to: the destination, or the next hop of a route; undefined for a wildcard gateway. */
        readonly nextHop: Address | undefined;
        readonly mac: Bytes;
        /** Exactly one of these two, unless the VM is at this node and has no port. */
        readonly pa: ProviderAddress | undefined;
        readonly port: number | undefined;
      }
    | undefined;
  /** The answer in one sentence. */
  readonly why: string;
  /** Each decision with its reason, in order; the last one is `why`. */
  readonly steps: readonly string[];
}
