/**
 * The gateway: IKE, ESP and compartments composed into one machine.
 *
 * Read first: docs/architecture.md. Everything the outside can do is an event, everything it must do an action (`contract.ts`).
 * Leaves to others: sockets, devices, files and clocks (`runtime/`, `lab/`); words for people (`view.ts`).
 */
import { assertNever, type Deadline, earliest, type Machine, type Millis, type Timed } from '../core/index.ts';
import type { IkeEvent, IkeKeysExport } from '../ike/index.ts';
import { sameAddress } from '../ip/index.ts';
import { Books, type GatewayOptions } from './books.ts';
import type { GatewayAction, GatewayEvent } from './contract.ts';
import { IkeActions } from './ike-actions.ts';
import { PacketPath, withoutPort } from './packets.ts';
import { Reconciler } from './reconcile.ts';
import type { ConnectionStatus, GatewayStatus, TenantStatus } from './status.ts';
import { viewConnections, viewGateway, viewTenants } from './view.ts';

/** How often idle connections are looked for. */
const IDLE_CHECK: Millis = 1000;

export class Gateway implements Machine<GatewayEvent, GatewayAction> {
  readonly #books: Books;
  readonly #path: PacketPath;
  readonly #actions: IkeActions;
  readonly #reconciler: Reconciler;
  readonly #idle: Timed;
  #now: Millis = 0;
  #idleAt: Millis = Number.POSITIVE_INFINITY;

  constructor(options: GatewayOptions) {
    const toIke = (event: IkeEvent, now: Millis): void => this.#toIke(event, now);
    this.#books = new Books(options);
    this.#path = new PacketPath(this.#books, toIke);
    this.#actions = new IkeActions(this.#books, this.#path);
    this.#reconciler = new Reconciler(this.#books, this.#path, toIke, () => this.#now);
    this.#idle = {
      deadline: () =>
        this.#idleAt === Number.POSITIVE_INFINITY ? undefined : { at: this.#idleAt, why: 'look for idle connections' },
      tick: (now) => this.#checkIdle(now),
    };
  }

  handle(event: GatewayEvent, now: Millis): readonly GatewayAction[] {
    this.#now = now;
    switch (event.type) {
      case 'tick':
        this.#toIke({ type: 'tick' }, now);
        this.#books.agenda.tick(now);
        break;
      case 'udp':
        this.#path.fromUdp(event.local, event.remote, event.packet, event.tos, now);
        break;
      case 'esp':
        this.#path.fromEsp(withoutPort(event.remote), event.packet, event.tos, now);
        break;
      case 'packet': {
        const tenant = this.#books.tenants.get(event.tenant);
        if (tenant === undefined) this.#books.pool.release(event.packet);
        else this.#path.fromInterface(tenant, event.interface, event.packet, now);
        break;
      }
      case 'apply':
        if (this.#books.stopping) break;
        this.#reconciler.apply(event.resolved, now);
        this.#scheduleIdle(now);
        break;
      case 'interface-state':
        this.#interfaceState(event);
        break;
      case 'listen-state': {
        const listener = this.#books.listeners.find((l) => sameAddress(l.address, event.address));
        if (listener !== undefined) {
          listener.problem = event.problem;
          listener.rawEsp = event.rawEsp;
        }
        break;
      }
      case 'up':
      case 'down':
      case 'rekey':
        this.#command(event, now);
        break;
      case 'ping':
        this.#ping(event, now);
        break;
      case 'keys':
        this.#keys(event.enabled);
        break;
      case 'shutdown':
        this.#books.stopping = true;
        this.#toIke({ type: 'shutdown' }, now);
        break;
      default:
        return assertNever(event);
    }
    return this.#books.takeActions();
  }

  deadline(): Deadline | undefined {
    return earliest(this.#books.ike.deadline(), this.#books.agenda.deadline());
  }

  status(now: Millis): GatewayStatus {
    return viewGateway(this.#books, now);
  }

  tenants(): TenantStatus[] {
    return viewTenants(this.#books);
  }

  connections(now: Millis): ConnectionStatus[] {
    return viewConnections(this.#books, now);
  }

  /** For explanations; undefined: no such tenant. */
  compartment(tenant: string) {
    return this.#books.tenants.get(tenant)?.compartment;
  }

  #toIke(event: IkeEvent, now: Millis): void {
    for (const action of this.#books.ike.handle(event, now)) {
      // The last DELETE is answered: what the document opened closes, then the host may go.
      if (action.do === 'done') {
        this.#reconciler.close(now);
        this.#scheduleIdle(now);
      }
      this.#actions.perform(action, now);
    }
    this.#actions.flush(now);
  }

  #command(event: Extract<GatewayEvent, { type: 'up' | 'down' | 'rekey' }>, now: Millis): void {
    const connection = `${event.tenant}/${event.connection}`;
    if (!this.#books.tunnels.has(connection)) return;
    if (event.type === 'up') this.#toIke({ type: 'acquire', connection, packet: undefined }, now);
    else if (event.type === 'down') this.#toIke({ type: 'terminate', connection, what: event.what }, now);
    else this.#toIke({ type: 'rekey', connection, what: event.what }, now);
  }

  #ping(event: Extract<GatewayEvent, { type: 'ping' }>, now: Millis): void {
    const tenant = this.#books.tenants.get(event.tenant);
    const why = tenant === undefined ? `no tenant ${event.tenant}` : tenant.compartment.ping(event.request, now);
    if (tenant !== undefined) this.#books.agenda.touch(tenant);
    if (why !== undefined) this.#books.emit({ do: 'ping-refused', tenant: event.tenant, request: event.request, why });
  }

  #interfaceState(event: Extract<GatewayEvent, { type: 'interface-state' }>): void {
    const tenant = this.#books.tenants.get(event.tenant);
    const iface = tenant?.interfaces.get(event.interface);
    if (tenant === undefined || iface === undefined) return;
    iface.problem = event.problem;
    tenant.compartment.setUp(iface.number, event.problem === undefined);
  }

  #keys(enabled: boolean): void {
    const books = this.#books;
    if (enabled && !books.keysEnabled) {
      for (const sa of books.ike.sas) {
        if (sa.keys === undefined || sa.suite === undefined) continue;
        const { skEi, skEr, skAi, skAr } = sa.keys;
        const keys: IkeKeysExport = { spiI: sa.spiI, spiR: sa.spiR, suite: sa.suite, skEi, skEr, skAi, skAr };
        this.#actions.exportIke(keys);
      }
      for (const tunnel of books.tunnels.values())
        for (const { child } of tunnel.sas.values()) this.#actions.exportChild(child);
    }
    books.keysEnabled = enabled;
  }

  #scheduleIdle(now: Millis): void {
    const any = [...this.#books.tunnels.values()].some((t) => t.config.idleSeconds > 0);
    this.#idleAt = any ? now + IDLE_CHECK : Number.POSITIVE_INFINITY;
    this.#books.agenda.touch(this.#idle);
  }

  #checkIdle(now: Millis): void {
    for (const tunnel of this.#books.tunnels.values()) {
      const { idleSeconds } = tunnel.config;
      if (idleSeconds === 0 || !tunnel.up) continue;
      const since = Math.max(tunnel.usedAt ?? 0, ...[...tunnel.sas.values()].map((sa) => sa.installedAt));
      if (now - since < idleSeconds * 1000) continue;
      this.#books.report('info', tunnel, 'idle', `no traffic for ${idleSeconds} s: ${tunnel.name} is taken down`);
      this.#toIke({ type: 'terminate', connection: tunnel.name, what: 'ike' }, now);
    }
    this.#scheduleIdle(now);
  }
}
