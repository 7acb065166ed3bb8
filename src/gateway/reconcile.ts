/**
 * Applies a document: what it names anew is made, what it no longer names goes, what did not change is not touched.
 *
 * The unit of change is an interface, a connection, the static routes of a tenant. A connection counts as changed when its
 * configuration or its secret did; its tunnel is then taken down and made anew. An interface that is down is tried once more.
 */
import type { ConnectionConfig, InterfaceDocument, TenantConfig, UnderlayConfig } from '../config/index.ts';
import { DEFAULT_COMPARTMENT, diffDocuments, peerSecretName } from '../config/index.ts';
import { invariant, type Millis } from '../core/index.ts';
import { equalSecret } from '../crypto/index.ts';
import type { IkeEvent } from '../ike/index.ts';
import { type Address, formatAddress, formatPrefix, sameAddress } from '../ip/index.ts';
import { TenantRouter } from './bgp/index.ts';
import { type Books, FIRST_PLANE, meetsOthers } from './books.ts';
import { compileConnection } from './compile.ts';
import type { ResolvedDocument } from './contract.ts';
import { Tenant } from './tenant.ts';
import { Tunnel } from './tunnel.ts';

export type ToIke = (event: IkeEvent, now: Millis) => void;

export class Reconciler {
  readonly #books: Books;
  readonly #toIke: ToIke;

  constructor(books: Books, toIke: ToIke) {
    this.#books = books;
    this.#toIke = toIke;
  }

  apply(resolved: ResolvedDocument, now: Millis): void {
    const books = this.#books;
    const before = books.resolved;
    if (before === undefined) books.begin(resolved, now);
    const changed = changedBetween(before, resolved);
    books.resolved = resolved;
    books.bgpMemory.budget.limit = resolved.document.gateway.limits.bgpAttributeOctets;
    const { addresses } = resolved.document.gateway.external;
    this.#listen(addresses);
    this.#underlay(before, resolved);
    const replaced = this.#dismissFirst(resolved, changed, now);
    books.outside.apply(resolved.document);
    this.#release(resolved, changed);
    for (const config of resolved.document.tenants) this.#tenant(config, resolved, changed, now);
    const first = books.tenants.get(DEFAULT_COMPARTMENT);
    if (first !== undefined) this.#router(first, resolved, changed, replaced, now);
    const tunnels = [...books.tunnels.values()];
    // Of a connection that is made anew the IKE SA goes, too, though nothing may have changed that IKE knows of.
    if (changed.connections.size > 0)
      this.#configure(
        tunnels.filter(({ name }) => !changed.connections.has(name)),
        now,
      );
    this.#configure(tunnels, now);
    // The DELETEs of what went with an address have left by it.
    this.#unlisten(addresses);
    for (const tenant of books.tenants.values()) this.#hostRoutes(tenant);
  }

  /** Everything closed that `apply` opened. */
  close(): void {
    const books = this.#books;
    for (const tenant of [...books.tenants.values()])
      if (tenant.name !== DEFAULT_COMPARTMENT) this.#removeTenant(tenant);
    books.outside.close();
    if (books.resolved?.document.gateway.underlay !== undefined) books.emit({ do: 'close-underlay' });
    this.#unlisten([]);
  }

  #configure(tunnels: readonly Tunnel[], now: Millis): void {
    this.#toIke({ type: 'configure', connections: tunnels.map(({ ike }) => ike) }, now);
  }

  /** What tenants have no longer goes before any has something new: a VSID may change hands. */
  #release({ document, machines }: ResolvedDocument, changed: Changed): void {
    const configs = new Map(document.tenants.map((config) => [config.name, config]));
    for (const tenant of [...this.#books.tenants.values()]) {
      if (tenant.name === DEFAULT_COMPARTMENT) continue;
      const config = configs.get(tenant.name);
      // Who begins to meet others is made anew where they are.
      if (config === undefined || (tenant.plane !== FIRST_PLANE && meetsOthers(config))) {
        for (const tunnel of tenant.tunnels.values()) changed.connections.add(tunnel.name);
        this.#removeTenant(tenant);
      } else tenant.network.release(config, document.gateway.underlay, machines?.get(config.name));
    }
  }

  #tenant(config: TenantConfig, resolved: ResolvedDocument, changed: Changed, now: Millis): void {
    const books = this.#books;
    let tenant = books.tenants.get(config.name);
    if (tenant === undefined) {
      tenant = new Tenant(books, config);
      books.tenants.set(config.name, tenant);
    }
    tenant.config = config;
    const replaced = this.#dismiss(tenant, changed, now);
    for (const { config: iface, problem, cells } of [...tenant.interfaces.values()]) {
      // A machine's port is the network's.
      if (cells === undefined) continue;
      const kept = problem === undefined && config.interfaces.some((i) => i.name === iface.name);
      if (!kept || changed.interfaces.has(`${tenant.name}/${iface.name}`)) this.#removeInterface(tenant, iface.name);
    }
    for (const tunnel of [...tenant.tunnels.values()]) {
      const kept =
        config.connections.some((c) => c.name === tunnel.config.name) && !changed.connections.has(tunnel.name);
      if (!kept) this.#removeTunnel(tunnel);
    }
    for (const iface of config.interfaces) if (!tenant.interfaces.has(iface.name)) this.#addInterface(tenant, iface);
    for (const connection of config.connections) {
      if (!tenant.tunnels.has(connection.name)) this.#addTunnel(tenant, connection, resolved);
    }
    tenant.network.apply(config, resolved.document.gateway.underlay, resolved.machines?.get(config.name));
    books.outside.settle(tenant);
    tenant.setRoutes(config.routes);
    this.#router(tenant, resolved, changed, replaced, now);
  }

  /** Sessions that end do so before their ways go. Gives the router that there is no more, if another takes its place. */
  #dismiss(tenant: Tenant, changed: Changed, now: Millis): TenantRouter | undefined {
    const { router, name } = tenant;
    const { bgp } = tenant.config;
    if (router === undefined) return undefined;
    if (bgp === undefined || router.needsNew(bgp)) {
      this.#closeRouter(tenant, now);
      return router;
    }
    router.dismiss(bgp, (peer) => changed.peerSecrets.has(peerSecretName(name, peer)), now);
    return undefined;
  }

  /** The router of compartment 1, before what it speaks from may go. */
  #dismissFirst({ document }: ResolvedDocument, changed: Changed, now: Millis): TenantRouter | undefined {
    const first = this.#books.tenants.get(DEFAULT_COMPARTMENT);
    if (first === undefined) return undefined;
    first.config = { ...first.config, bgp: document.gateway.external.bgp };
    if (first.router === undefined || !this.#books.outside.ends(document)) return this.#dismiss(first, changed, now);
    const { router } = first;
    this.#closeRouter(first, now);
    return router;
  }

  #router(
    tenant: Tenant,
    { secrets }: ResolvedDocument,
    changed: Changed,
    replaced: TenantRouter | undefined,
    now: Millis,
  ): void {
    const { config, name } = tenant;
    if (config.bgp === undefined) return;
    tenant.router ??= new TenantRouter(this.#books, tenant, config.bgp, changed.begins ? 'restart' : replaced);
    tenant.router.apply(
      config.bgp,
      (peer) => secrets.get(peerSecretName(name, peer)),
      (peer) => changed.peerSecrets.has(peerSecretName(name, peer)),
      now,
    );
  }

  closeRouters(now: Millis): void {
    for (const tenant of this.#books.tenants.values())
      this.#closeRouter(tenant, now, { text: 'the gateway shuts down' });
  }

  #closeRouter(tenant: Tenant, now: Millis, how?: Parameters<TenantRouter['close']>[1]): void {
    if (tenant.router === undefined) return;
    tenant.router.close(now, how);
    this.#books.forget(tenant.router);
    tenant.router = undefined;
  }

  /** With another underlay everything in it is made anew. */
  #underlay(before: ResolvedDocument | undefined, after: ResolvedDocument): void {
    const books = this.#books;
    const [had, has] = [before, after].map((resolved) => resolved?.document.gateway.underlay);
    const text = (underlay: UnderlayConfig | undefined): string =>
      underlay === undefined
        ? ''
        : [
            underlay.addresses.map(formatAddress).join(),
            underlay.encapsulation,
            underlay.sourcePort,
            underlay.mtu,
          ].join(' ');
    if (text(had) === text(has)) return;
    for (const tenant of books.tenants.values()) tenant.network.close();
    if (had !== undefined) books.emit({ do: 'close-underlay' });
    if (has === undefined) return;
    books.underlayProblem = undefined;
    const { addresses, encapsulation: carrier } = has;
    books.command({ do: 'underlay', underlay: { addresses, carrier } }, { plane: FIRST_PLANE });
    books.emit({ do: 'open-underlay', plane: FIRST_PLANE, underlay: has });
  }

  #addInterface(tenant: Tenant, config: InterfaceDocument): void {
    const { port, config: made } = tenant.addInterface(config);
    this.#books.emit({
      do: 'open-interface',
      tenant: tenant.name,
      plane: tenant.plane,
      port,
      config: made,
      hostRoutes: [],
    });
  }

  #removeInterface(tenant: Tenant, name: string): void {
    tenant.removeInterface(name);
    this.#books.emit({ do: 'close-interface', tenant: tenant.name, interface: name });
  }

  #addTunnel(tenant: Tenant, config: ConnectionConfig, { secrets }: ResolvedDocument): void {
    const books = this.#books;
    const psk = secrets.get(`${tenant.name}/${config.name}`);
    invariant(psk !== undefined, 'every connection of a resolved document has its secret');
    const spis = { modulus: books.planes, residue: tenant.plane };
    const ike = { ...compileConnection(tenant.name, config, psk), spis };
    const index = books.nextIndex();
    const numbers = { index, interface: tenant.nextInterface(), cells: books.takeSmallSlot() };
    const tunnel = new Tunnel(tenant, config, ike, numbers, () => books.plane.tunnels.get(index));
    books.tunnels.set(tunnel.name, tunnel);
    books.byIndex.set(index, tunnel);
    tenant.addTunnel(tunnel);
  }

  /** Its SAs go at once; IKE sends the DELETE when it hears of the new set of connections. */
  #removeTunnel(tunnel: Tunnel): void {
    const books = this.#books;
    for (const [spiIn, { cellsIn, cellsOut }] of tunnel.children) {
      tunnel.tenant.command({ do: 'remove', spiIn });
      books.bySpi.delete(spiIn);
      books.giveSlot(cellsIn);
      books.giveSlot(cellsOut);
    }
    tunnel.children.clear();
    books.tunnels.delete(tunnel.name);
    books.byIndex.delete(tunnel.index);
    tunnel.tenant.removeTunnel(tunnel.config.name);
    books.changed(tunnel);
  }

  #removeTenant(tenant: Tenant): void {
    const books = this.#books;
    this.#closeRouter(tenant, books.now, { compartmentGoes: true });
    for (const tunnel of [...tenant.tunnels.values()]) this.#removeTunnel(tunnel);
    books.outside.remove(tenant.name);
    tenant.network.close();
    for (const name of [...tenant.interfaces.keys()]) this.#removeInterface(tenant, name);
    books.tenants.delete(tenant.name);
    books.byCompartment.delete(tenant.number);
    tenant.command({ do: 'remove-compartment', compartment: tenant.number });
    books.giveSlot(tenant.cells);
  }

  #hostRoutes(tenant: Tenant): void {
    for (const iface of tenant.interfaces.values()) {
      const prefixes = tenant.reachableBeyond(iface);
      const text = (list: readonly { address: Address; length: number }[]): string => list.map(formatPrefix).join();
      if (text(prefixes) === text(iface.hostRoutes)) continue;
      iface.hostRoutes = prefixes;
      this.#books.emit({ do: 'host-routes', tenant: tenant.name, interface: iface.config.name, prefixes });
    }
  }

  #unlisten(kept: readonly Address[]): void {
    const { listeners } = this.#books;
    for (const listener of [...listeners]) {
      if (kept.some((a) => sameAddress(a, listener.address))) continue;
      listeners.splice(listeners.indexOf(listener), 1);
      this.#books.emit({ do: 'unlisten', address: listener.address });
    }
  }

  #listen(addresses: readonly Address[]): void {
    const { listeners, resolved } = this.#books;
    if (resolved === undefined) return;
    const { ports } = resolved.document.gateway.external;
    for (const address of addresses) {
      if (listeners.some((l) => sameAddress(l.address, address))) continue;
      listeners.push({ address, problem: undefined, rawEsp: false });
      this.#books.emit({ do: 'listen', address, ike: ports.ike, natt: ports.natt });
    }
  }
}

/** What is in both documents and not the same in both; names are `tenant/name`. */
interface Changed {
  /** There was none before. */
  readonly begins: boolean;
  readonly interfaces: ReadonlySet<string>;
  readonly connections: Set<string>;
  /** `tenant/bgp/name`; of peers only the secrets are compared here. */
  readonly peerSecrets: ReadonlySet<string>;
}

function changedBetween(before: ResolvedDocument | undefined, after: ResolvedDocument): Changed {
  const interfaces = new Set<string>();
  const secrets = before === undefined ? [] : changedSecrets(before, after);
  const connections = new Set(secrets.filter((name) => !isPeer(name)));
  const peerSecrets = new Set(secrets.filter(isPeer));
  for (const { kind, tenant, name } of before === undefined ? [] : diffDocuments(before.document, after.document)) {
    if (kind === 'interface') interfaces.add(`${tenant}/${name}`);
    else if (kind === 'connection') connections.add(`${tenant}/${name}`);
  }
  return { begins: before === undefined, interfaces, connections, peerSecrets };
}

/** Names of connections have one slash. */
const isPeer = (name: string): boolean => name.split('/').length === 3;

/** Connections, as `tenant/connection`, and peers, as `tenant/bgp/peer`, whose secret is another now, whatever the document says of it. */
export function changedSecrets(before: ResolvedDocument, after: ResolvedDocument): string[] {
  return [...after.secrets.keys()].filter((name) => {
    const [old, fresh] = [before.secrets.get(name), after.secrets.get(name)!];
    return old !== undefined && !equalSecret(old.reveal(), fresh.reveal());
  });
}
