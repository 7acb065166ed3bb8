/**
 * The gateway: IKE, ESP and compartments composed into one machine.
 *
 * Read first: docs/architecture.md. Everything the outside can do is an event, everything it must do an action (`contract.ts`).
 * Leaves to others: sockets, devices, files and clocks (`runtime/`, `lab/`); words for people (`view.ts`).
 */

import type { RouteQuery } from '../compartment/index.ts';
import { formatMac } from '../config/index.ts';
import { Agenda, assertNever, type Deadline, earliest, type Machine, type Millis, type Timed } from '../core/index.ts';
import type { IkeEvent, IkeKeysExport } from '../ike/index.ts';
import { type Address, formatAddress, sameAddress } from '../ip/index.ts';
import { Books, FIRST_PLANE, type GatewayOptions } from './books.ts';
import type { GatewayAction, GatewayEvent } from './contract.ts';
import type { PlaneEvent } from './dataplane/index.ts';
import { IkeActions } from './ike-actions.ts';
import { PathMtu } from './path-mtu.ts';
import { answer, ask } from './questions.ts';
import { Reconciler } from './reconcile.ts';
import type {
  ConnectionStatus,
  GatewayStatus,
  NatStatus,
  NetworkStatus,
  NextHopStatus,
  RecordStatus,
  RouteExplanationStatus,
  RouteStatus,
  TenantStatus,
} from './status.ts';
import { setTap, showTapped } from './taps.ts';
import { viewExplanation, viewGateway, viewRoutes, viewTenants } from './view.ts';
import { BgpView } from './view-bgp.ts';
import { viewConnections } from './view-connections.ts';
import { viewNats, viewNetworks, viewNextHop, viewRecords } from './view-network.ts';

/** How often idle connections are looked for. */
const IDLE_CHECK: Millis = 1000;
/** No interface has this one. */
const NO_PORT = 0;

export class Gateway implements Machine<GatewayEvent, GatewayAction> {
  readonly bgp: BgpView;
  readonly #books: Books;
  readonly #actions: IkeActions;
  readonly #reconciler: Reconciler;
  readonly #pathMtu: PathMtu;
  readonly #agenda = new Agenda();
  readonly #idle: Timed;
  #idleAt: Millis = Number.POSITIVE_INFINITY;

  constructor(options: GatewayOptions) {
    const toIke = (event: IkeEvent, now: Millis): void => this.#toIke(event, now);
    this.#books = new Books(options);
    this.bgp = new BgpView(this.#books);
    this.#books.touch = (item) => this.#agenda.touch(item);
    this.#books.forget = (item) => this.#agenda.forget(item);
    this.#pathMtu = new PathMtu(this.#books);
    this.#actions = new IkeActions(this.#books, (tunnel, now) => {
      this.#pathMtu.settled(tunnel, now);
      this.#agenda.touch(this.#pathMtu);
      tunnel.tenant.router?.settled(now);
    });
    this.#reconciler = new Reconciler(this.#books, toIke);
    this.#idle = {
      deadline: () =>
        this.#idleAt === Number.POSITIVE_INFINITY ? undefined : { at: this.#idleAt, why: 'look for idle connections' },
      tick: (now) => this.#checkIdle(now),
    };
  }

  handle(event: GatewayEvent, now: Millis): readonly GatewayAction[] {
    const { plane } = this.#books;
    this.#books.now = now;
    switch (event.type) {
      case 'tick':
        this.#toIke({ type: 'tick' }, now);
        this.#agenda.tick(now);
        plane.tick(now);
        break;
      case 'udp': {
        const { local, remote, packet, tos } = event;
        const natt = local.port === this.#books.resolved?.document.gateway.external.ports.natt;
        plane.udp(local, remote, packet, tos, natt, now);
        break;
      }
      case 'esp':
        plane.esp({ address: event.local, port: 0 }, { address: event.remote, port: 0 }, event.packet, event.tos, now);
        break;
      case 'packet': {
        const port = this.#books.tenants.get(event.tenant)?.interfaces.get(event.interface)?.port;
        plane.packet(port ?? NO_PORT, event.packet, now);
        break;
      }
      case 'underlay':
        plane.underlay(event.remote, event.packet, now);
        break;
      case 'underlay-state':
        this.#books.underlayProblem = event.problem;
        break;
      case 'ask-nat':
      case 'flush-nat':
      case 'ask-neighbours':
      case 'trace':
        ask(this.#books, event);
        break;
      case 'tap':
      case 'untap':
        setTap(this.#books, event);
        break;
      case 'plane':
        this.#fromPlane(event.event, now);
        break;
      case 'too-big':
        this.#pathMtu.tooBig(event.local, event.remote, now);
        break;
      case 'path-mtu':
        this.#pathMtu.learned(event.local, event.remote, event.mtu);
        break;
      case 'plane-lost':
        this.#books.planeProblems.set(event.plane, event.why);
        break;
      case 'plane-restarted':
        this.#replant(event.plane, event.why, now);
        break;
      case 'apply':
        if (this.#books.stopping) break;
        this.#reconciler.apply(event.resolved, now);
        this.#scheduleIdle(now);
        break;
      case 'interface-state':
        this.#interfaceState(event, now);
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
      case 'bgp': {
        const { tenant, peer, what, text } = event;
        this.#books.tenants.get(tenant)?.router?.ask(peer, what, text, now);
        break;
      }
      case 'follow':
        this.#books.bgpFollowers.set(event.query, event);
        break;
      case 'unfollow':
        this.#books.bgpFollowers.end(event.query);
        break;
      case 'record':
        this.#books.bgpRecordings.set(event.query, event);
        break;
      case 'unrecord':
        this.#books.bgpRecordings.end(event.query);
        break;
      case 'ping':
        this.#ping(event);
        break;
      case 'keys':
        this.#keys(event.enabled);
        break;
      case 'shutdown':
        this.#books.stop();
        // Peers hear of it while there still is a way to them.
        this.#reconciler.closeRouters(now);
        this.#toIke({ type: 'shutdown' }, now);
        break;
      default:
        return assertNever(event);
    }
    this.#settle(now);
    return this.#books.takeActions();
  }

  deadline(): Deadline | undefined {
    const { ike, plane } = this.#books;
    return earliest(ike.deadline(), earliest(plane.deadline(), this.#agenda.deadline()));
  }

  status(now: Millis): GatewayStatus {
    return viewGateway(this.#books, now);
  }

  /** Cheap, unlike `tenants`. */
  tenantNames(): string[] {
    return [...this.#books.tenants.keys()];
  }

  tenants(): TenantStatus[] {
    return viewTenants(this.#books);
  }

  /** Of its compartment, those that are asked for; undefined: no such tenant. */
  routes(name: string, query: RouteQuery): RouteStatus[] | undefined {
    const tenant = this.#books.tenants.get(name);
    return tenant && viewRoutes(tenant, query);
  }

  /** To look at; undefined: no such tenant. */
  compartment(tenant: string) {
    return this.#books.tenants.get(tenant)?.compartment;
  }

  connections(now: Millis): ConnectionStatus[] {
    return viewConnections(this.#books, now);
  }

  nats(): NatStatus[] {
    return viewNats(this.#books);
  }

  networks(): NetworkStatus[] {
    return viewNetworks(this.#books);
  }

  /** Where others host the data plane: the policy, without what was learned. */
  records(now: Millis): RecordStatus[] {
    return viewRecords(this.#books, now);
  }

  /** What a VM's packet would meet in the virtual switch; undefined: the tenant has no virtual network. */
  nextHop(name: string, vsid: number, source: Address, destination: Address): NextHopStatus | undefined {
    const tenant = this.#books.tenants.get(name);
    return tenant && viewNextHop(this.#books, tenant, { vsid, source, destination });
  }

  /** Why a packet to that address goes where it goes; undefined: no such tenant. */
  explainRoute(name: string, address: Address): RouteExplanationStatus | undefined {
    const tenant = this.#books.tenants.get(name);
    return tenant && viewExplanation(tenant, address);
  }

  /** Packets go on until nothing more follows from them. */
  #settle(now: Millis): void {
    const { plane } = this.#books;
    do plane.flush(now);
    while (this.#takeEvents(now));
  }

  #takeEvents(now: Millis): boolean {
    const events = this.#books.plane.takeEvents();
    for (const event of events) this.#fromPlane(event, now);
    return events.length > 0;
  }

  #fromPlane(event: PlaneEvent, now: Millis): void {
    const books = this.#books;
    switch (event.type) {
      case 'ike': {
        const { local, remote, octets } = event;
        return this.#toIke({ type: 'datagram', local, remote, octets }, now);
      }
      case 'acquire': {
        const tunnel = books.byIndex.get(event.tunnel);
        if (tunnel === undefined) return;
        if (books.stopping) return tunnel.tenant.command({ do: 'give-up', tunnel: event.tunnel });
        return this.#toIke({ type: 'acquire', connection: tunnel.name, packet: event.flow }, now);
      }
      case 'expire':
        return this.#toIke({ type: 'expire', spiIn: event.spiIn, hard: event.hard }, now);
      case 'inbound':
        return this.#toIke({ type: 'inbound', spiIn: event.spiIn, from: event.from }, now);
      case 'pinged':
      case 'ping-refused': {
        const tenant = books.byCompartment.get(event.compartment);
        if (tenant === undefined) return;
        if (event.type === 'pinged') books.emit({ do: 'pinged', tenant: tenant.name, result: event.result });
        else books.emit({ do: 'ping-refused', tenant: tenant.name, request: event.request, why: event.why });
        return;
      }
      case 'stray':
        return;
      case 'transport':
        return books.byCompartment.get(event.compartment)?.router?.packet(event.octets, now);
      case 'tapped':
        return showTapped(books, event);
      case 'nat-sessions':
      case 'nat-flushed':
      case 'neighbours':
      case 'traced':
      case 'unanswered':
        return answer(books, event);
      case 'conflict':
        return this.#conflict(event, now);
      default:
        return assertNever(event);
    }
  }

  /**
   * The data plane was lost and with it what only it knew: sequence numbers and replay windows. It is told everything anew but
   * the SAs, and each peer is asked for new ones.
   */
  #replant(plane: number, why: string, now: Millis): void {
    const books = this.#books;
    books.planeProblems.delete(plane);
    books.report('warn', undefined, 'plane-restarted', `the data plane ${why}: it runs anew, with new Child SAs`);
    const tenants = [...books.tenants.values()].filter((tenant) => tenant.plane === plane);
    for (const command of books.plane.describe(
      tenants.map((tenant) => tenant.number),
      plane === FIRST_PLANE,
    ))
      books.tell(plane, command);
    if (books.taps.size > 0) books.commandTaps(plane);
    const lost = tenants.flatMap((t) => [...t.tunnels.values()].filter((tunnel) => tunnel.children.size > 0));
    for (const tunnel of lost) {
      for (const spiIn of tunnel.children.keys()) tunnel.tenant.command({ do: 'phase', spiIn, phase: 'draining' });
      this.#toIke({ type: 'rekey', connection: tunnel.name, what: 'child' }, now);
    }
  }

  #toIke(event: IkeEvent, now: Millis): void {
    for (const action of this.#books.ike.handle(event, now)) {
      // The last DELETE is answered: what the document opened closes, then the host may go.
      if (action.do === 'done') {
        this.#reconciler.close();
        this.#scheduleIdle(now);
      }
      this.#actions.perform(action, now);
    }
    this.#actions.flush();
  }

  #command(event: Extract<GatewayEvent, { type: 'up' | 'down' | 'rekey' }>, now: Millis): void {
    const connection = `${event.tenant}/${event.connection}`;
    if (!this.#books.tunnels.has(connection)) return;
    if (event.type === 'up') this.#toIke({ type: 'acquire', connection, packet: undefined }, now);
    else if (event.type === 'down') this.#toIke({ type: 'terminate', connection, what: event.what }, now);
    else this.#toIke({ type: 'rekey', connection, what: event.what }, now);
  }

  #ping({ tenant: name, request }: Extract<GatewayEvent, { type: 'ping' }>): void {
    const tenant = this.#books.tenants.get(name);
    if (tenant !== undefined) tenant.command({ do: 'ping', compartment: tenant.number, request });
    else this.#books.emit({ do: 'ping-refused', tenant: name, request, why: `no tenant ${name}` });
  }

  /** RFC 5227 §2.4: somebody on a segment has an address of ours. */
  #conflict(
    { compartment, interface: number, address, mac }: Extract<PlaneEvent, { type: 'conflict' }>,
    now: Millis,
  ): void {
    const tenant = this.#books.byCompartment.get(compartment);
    const name = tenant?.ways.get(number)?.config.name ?? 'an interface';
    const words = `${formatMac(mac)} on ${name} of ${tenant?.name ?? 'a tenant'} claims ${formatAddress(address)}, which is ours`;
    if (tenant !== undefined) tenant.conflicts.set(number, { at: now, words });
    this.#books.report('warn', undefined, 'address-conflict', words);
  }

  #interfaceState(event: Extract<GatewayEvent, { type: 'interface-state' }>, now: Millis): void {
    const tenant = this.#books.tenants.get(event.tenant);
    const iface = tenant?.interfaces.get(event.interface);
    if (tenant === undefined || iface === undefined) return;
    iface.problem = event.problem;
    const { number: compartment } = tenant;
    if (iface.cells !== undefined)
      tenant.command({ do: 'set-up', compartment, interface: iface.number, up: event.problem === undefined });
    tenant.router?.settled(now);
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
        for (const { sa } of tunnel.children.values()) this.#actions.exportChild(sa);
    }
    books.keysEnabled = enabled;
  }

  #scheduleIdle(now: Millis): void {
    const any = [...this.#books.tunnels.values()].some((t) => t.config.idleSeconds > 0);
    this.#idleAt = any ? now + IDLE_CHECK : Number.POSITIVE_INFINITY;
    this.#agenda.touch(this.#idle);
  }

  #checkIdle(now: Millis): void {
    for (const tunnel of this.#books.tunnels.values()) {
      const { idleSeconds } = tunnel.config;
      if (idleSeconds === 0 || !tunnel.up) continue;
      const since = Math.max(tunnel.usedAt ?? 0, ...[...tunnel.children.values()].map((child) => child.installedAt));
      if (now - since < idleSeconds * 1000) continue;
      this.#books.report('info', tunnel, 'idle', `no traffic for ${idleSeconds} s: ${tunnel.name} is taken down`);
      this.#toIke({ type: 'terminate', connection: tunnel.name, what: 'ike' }, now);
    }
    this.#scheduleIdle(now);
  }
}
