/**
 * What the lookup tables of a tenant are made of: virtual subnets, the stations in them (a MAC address and where it is), and
 * bindings (a CA and the station that has it).
 *
 * A binding comes from a record of the policy, from a port here, or was learned; in this order they override each other.
 */
import type { Bytes, Deadline, Millis, Timed } from '../core/index.ts';
import { toHex } from '../core/index.ts';
import type { Address } from '../ip/index.ts';
import type { PortConfig, ProviderAddress } from './contract.ts';
import { macHigh, macLow } from './inner.ts';

export class Subnet {
  readonly vsid: number;
  /** Prefixes of it that are known. */
  prefixes = 0;
  /** The distributed router has an address here. */
  routed = false;
  /** Stations with a port here, in the order they came. */
  readonly local: Station[] = [];
  /** Each provider address once that a record of this subnet names, without this node's own. */
  peers: readonly ProviderAddress[] = [];
  /** Gets what no prefix and route of the tenant covers: the first wildcard record's, else the first gateway's with a port here. */
  gateway: Station | undefined;
  wildcard: Station | undefined;
  /** Dynamic records in it. */
  learned = 0;

  constructor(vsid: number) {
    this.vsid = vsid;
  }
}

export const NO_PORT = -1;

export class Station {
  readonly subnet: Subnet;
  /** As the record or the port has it; never written. */
  readonly mac: Bytes;
  readonly high: number;
  readonly low: number;
  /** Where the policy says it is; undefined: at this node, or the policy does not know it. */
  remote: ProviderAddress | undefined;
  port = NO_PORT;
  /** Packets from it may bind CAs to it. */
  learns = false;
  /** It routes: it may send from any CA. */
  gateway = false;
  /** CAs learned of it. */
  learned = 0;
  /** What the records of the policy say. */
  known = false;
  l2only = false;
  wildcard = false;
  attached: PortConfig | undefined;

  constructor(subnet: Subnet, mac: Bytes) {
    this.subnet = subnet;
    this.mac = mac;
    this.high = macHigh(mac, 0);
    this.low = macLow(mac, 0);
  }

  /** Draws the conclusions from records and port. */
  settle(): void {
    this.port = this.attached?.port ?? NO_PORT;
    this.learns = this.l2only || (this.attached !== undefined && this.attached.addresses === undefined);
    this.gateway = this.wildcard || this.attached?.role === 'gateway';
  }

  /** A frame to it goes to a port here. */
  get isHere(): boolean {
    return this.port !== NO_PORT && this.remote === undefined;
  }
}

export const ORIGIN = { policy: 0, port: 1, learned: 2 } as const;

/** Who lets go of a binding that has grown old. */
export interface Keeper {
  readonly dynamicAgeMs: Millis;
  forget(binding: Binding): void;
}

export class Binding implements Timed {
  readonly station: Station;
  readonly ca: Address;
  readonly origin: number;
  /** When a packet from the CA was last seen; NaN: never. */
  seen: Millis;
  /** It is in the table. */
  stands = true;
  readonly #keeper: Keeper;

  constructor(keeper: Keeper, station: Station, ca: Address, origin: number, seen: Millis) {
    this.#keeper = keeper;
    this.station = station;
    this.ca = ca;
    this.origin = origin;
    this.seen = seen;
  }

  deadline(): Deadline | undefined {
    if (this.origin !== ORIGIN.learned || !this.stands) return undefined;
    return { at: this.seen + this.#keeper.dynamicAgeMs, why: 'a dynamic lookup record grows old' };
  }

  tick(): void {
    this.#keeper.forget(this);
  }
}

/** Gives equal provider addresses one object, and knows which are this node's own. */
export class ProviderAddresses {
  readonly #known = new Map<string, ProviderAddress>();
  readonly #own: ReadonlySet<string>;

  constructor(own: readonly ProviderAddress[]) {
    this.#own = new Set(own.map(toHex));
  }

  /** Undefined for this node's own. */
  remote(pa: ProviderAddress): ProviderAddress | undefined {
    const key = toHex(pa);
    if (this.#own.has(key)) return undefined;
    let known = this.#known.get(key);
    if (known === undefined) {
      known = pa.slice();
      this.#known.set(key, known);
    }
    return known;
  }
}
