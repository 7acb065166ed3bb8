/**
 * A tunnel as control knows it: one connection of a tenant, its Child SAs as IKE made them, and its place in the data plane.
 */
import type { ConnectionConfig } from '../config/index.ts';
import type { Millis, Random } from '../core/index.ts';
import type { Lifetime } from '../esp/index.ts';
import type { ChildSa, IkeConnection } from '../ike/index.ts';
import { type PlaneTunnel, UNKNOWN_MTU } from './dataplane/index.ts';
import type { Tenant } from './tenant.ts';

export interface Child {
  readonly sa: ChildSa;
  readonly installedAt: Millis;
  /** Slots of its counters. */
  readonly cellsIn: number;
  readonly cellsOut: number;
}

export class Tunnel {
  readonly tenant: Tenant;
  readonly config: ConnectionConfig;
  readonly ike: IkeConnection;
  /** What its SAs name in the data plane. */
  readonly index: number;
  /** Number of the interface in the tenant's compartment. */
  readonly interface: number;
  /** Slot of the interface's counters. */
  readonly cells: number;
  /** By inbound SPI. */
  readonly children = new Map<number, Child>();
  readonly #plane: () => PlaneTunnel | undefined;

  constructor(
    tenant: Tenant,
    config: ConnectionConfig,
    ike: IkeConnection,
    numbers: { readonly index: number; readonly interface: number; readonly cells: number },
    plane: () => PlaneTunnel | undefined,
  ) {
    this.tenant = tenant;
    this.config = config;
    this.ike = ike;
    this.index = numbers.index;
    this.interface = numbers.interface;
    this.cells = numbers.cells;
    this.#plane = plane;
  }

  /** `fabrikam/hq`, as IKE names it. */
  get name(): string {
    return this.ike.name;
  }

  /** Its other half, as long as there is one. */
  get plane(): PlaneTunnel | undefined {
    return this.#plane();
  }

  get mtu(): number {
    return this.plane?.mtu ?? UNKNOWN_MTU;
  }

  /** Whether anything could be sent at all. */
  get up(): boolean {
    return this.plane?.up === true;
  }

  /** When ESP last passed in either direction. */
  get usedAt(): Millis | undefined {
    let last: Millis | undefined;
    for (const { inbound, outbound } of this.plane?.sas.values() ?? []) {
      for (const at of [inbound.usage.lastUsedAt, outbound.usage.lastUsedAt]) {
        if (at !== undefined && (last === undefined || at > last)) last = at;
      }
    }
    return last;
  }

  /** Soft limits lie 5–10 % below hard ones, at random, so that both ends seldom rekey at once (RFC 7296 §2.8). */
  lifetime(random: Random): Lifetime {
    const { lifetimeBytes, lifetimePackets } = this.config.child;
    const soft = 0.9 + (0.05 * random(1)[0]!) / 256;
    return {
      hardBytes: lifetimeBytes,
      softBytes: lifetimeBytes * soft,
      hardPackets: lifetimePackets,
      softPackets: lifetimePackets * soft,
    };
  }
}
