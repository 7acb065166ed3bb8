/**
 * What the parts of a gateway share: its tenants, tunnels, SAs and the actions of the current event.
 * `packets.ts` moves packets, `ike-actions.ts` carries out what IKE says, `reconcile.ts` applies documents, `view.ts` shows.
 */
import { Agenda, type Millis, type Random } from '../core/index.ts';
import { defaultEngine, type Engine } from '../crypto/index.ts';
import { Sad } from '../esp/index.ts';
import { IkeEndpoint, type IkeOptions, type Report } from '../ike/index.ts';
import { type Address, dropCounters, type PacketPool } from '../ip/index.ts';
import type { GatewayAction, ResolvedDocument } from './contract.ts';
import type { Tenant } from './tenant.ts';
import type { Tunnel } from './tunnel.ts';

export interface GatewayOptions {
  readonly random: Random;
  /** Default: as many slots as the document's `limits.packets`. */
  readonly pool: PacketPool;
  readonly version?: string;
  /** Protects ESP packets. Default: what needs no native code. */
  readonly engine?: Engine;
  /** Retransmission and give-up times of IKE; for tests and labs. */
  readonly ike?: Partial<Omit<IkeOptions, 'random' | 'exportKeys'>>;
}

export interface Listener {
  readonly address: Address;
  problem: string | undefined;
  rawEsp: boolean;
}

export class Books {
  readonly random: Random;
  readonly pool: PacketPool;
  readonly version: string;
  readonly engine: Engine;
  readonly options: GatewayOptions;
  readonly sad = new Sad();
  readonly agenda = new Agenda();
  readonly tenants = new Map<string, Tenant>();
  /** By name, `tenant/connection`. */
  readonly tunnels = new Map<string, Tunnel>();
  /** By the index an SA names. */
  readonly byIndex = new Map<number, Tunnel>();
  /** The tunnel of each inbound SPI. */
  readonly bySpi = new Map<number, Tunnel>();
  readonly listeners: Listener[] = [];
  /** Drops that belong to no tenant: before an SPI or an interface was known. */
  readonly drops = dropCounters();
  ike: IkeEndpoint;
  resolved: ResolvedDocument | undefined;
  /** Rows for Wireshark are handed out. */
  keysEnabled = false;
  startedAt: Millis = 0;
  stopping = false;
  #actions: GatewayAction[] = [];
  #lastIndex = 0;
  #lastCompartment = 1;

  constructor(options: GatewayOptions) {
    this.options = options;
    this.random = options.random;
    this.pool = options.pool;
    this.version = options.version ?? '';
    this.engine = options.engine ?? defaultEngine;
    this.ike = newEndpoint(options, {});
  }

  /** The ports and limits of the first document decide; later documents cannot change them. */
  begin(resolved: ResolvedDocument, now: Millis): void {
    const { external, limits } = resolved.document.gateway;
    this.startedAt = now;
    this.ike = newEndpoint(this.options, {
      ikePort: external.ports.ike,
      nattPort: external.ports.natt,
      cookieThreshold: limits.cookieThreshold,
      maxHalfOpen: limits.halfOpen,
    });
  }

  emit(action: GatewayAction): void {
    this.#actions.push(action);
  }

  takeActions(): readonly GatewayAction[] {
    const actions = this.#actions;
    this.#actions = [];
    return actions;
  }

  report(level: Report['level'], tunnel: Tunnel | undefined, what: string, text: string): void {
    this.emit({ do: 'report', report: { level, connection: tunnel?.name, what, text } });
  }

  changed(tunnel: Tunnel): void {
    this.emit({ do: 'changed', tenant: tunnel.tenant.name, connection: tunnel.config.name });
  }

  /** Indexes are never used twice, so that no late packet can reach another tenant's tunnel. */
  nextIndex(): number {
    this.#lastIndex += 1;
    return this.#lastIndex;
  }

  /** Compartment 1 is the gateway's own. */
  nextCompartment(): number {
    this.#lastCompartment += 1;
    return this.#lastCompartment;
  }
}

const newEndpoint = (options: GatewayOptions, document: Partial<IkeOptions>): IkeEndpoint =>
  new IkeEndpoint({ ...document, ...options.ike, random: options.random, exportKeys: true });
