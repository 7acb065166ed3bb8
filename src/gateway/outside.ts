/**
 * Compartment 1 and what leads there: the external interface, and for each tenant with NAT or direct routing a link.
 *
 * Read first: docs/architecture.md (the order of things when a packet leaves). The external address of a NAT belongs to one tenant,
 * and stays with it: `natAddresses` of the gateway's options is what the last `nat-addresses` said.
 * Invariant: a route of compartment 1 into a link is that of one tenant.
 */
import { DISCARD } from '../compartment/index.ts';
import {
  assignNatAddresses,
  DEFAULT_COMPARTMENT,
  directPrefixes,
  type ExternalInterfaceConfig,
  type GatewayDocument,
  prefixesIn,
  type TenantConfig,
} from '../config/index.ts';
import { type Address, formatAddress, formatPrefix, IP_PROTOCOL, ipv4Number, type Prefix } from '../ip/index.ts';
import { NAT_LIMITS } from '../nat/index.ts';
import type { Originated } from './bgp/index.ts';
import type { Books } from './books.ts';
import type { NatSettings } from './dataplane/index.ts';
import { macOf } from './network.ts';
import { Tenant } from './tenant.ts';

/** A tenant's way out. */
export interface TenantOutside {
  readonly text: string;
  readonly link: number;
  /** Interfaces in the tenant's compartment and in compartment 1. */
  readonly inside: number;
  readonly outside: number;
  readonly slots: readonly number[];
  /** Of a NAT. */
  readonly external: Address | undefined;
  readonly natCells: number | undefined;
  /** What compartment 1 routes to it. */
  readonly here: readonly Originated[];
  settings: string;
}

export class Outside {
  readonly tenants = new Map<string, TenantOutside>();
  readonly #books: Books;
  #addresses: ReadonlyMap<string, Address>;
  #interface: { readonly text: string; readonly number: number; readonly mtu: number } | undefined;
  readonly #discarded = new Map<string, Prefix>();
  #lastLink = 0;

  constructor(books: Books) {
    this.#books = books;
    this.#addresses = books.options.natAddresses ?? new Map();
  }

  get addresses(): ReadonlyMap<string, Address> {
    return this.#addresses;
  }

  /** What is behind the links of tenants. */
  reached(what: 'nat' | 'direct'): readonly Originated[] {
    return [...this.tenants.values()]
      .filter(({ external }) => (external === undefined ? 'direct' : 'nat') === what)
      .flatMap(({ here }) => here);
  }

  /** Whether `apply` ends compartment 1 as it is. */
  ends(document: GatewayDocument): boolean {
    return this.#interface !== undefined && (this.#isDown || this.#interface.text !== textOf(document));
  }

  /** Before tenants are applied: what is left of ways out that changed is gone, and the external interface is there. */
  apply(document: GatewayDocument): void {
    const { interface: config } = document.gateway.external;
    this.#assign(document);
    if (this.ends(document)) {
      for (const name of [...this.tenants.keys()]) this.#remove(name);
      this.#close();
    }
    if (config !== undefined && this.#interface === undefined) this.#open(config, textOf(document));
    this.#discardPool(document);
    const wanted = new Map(document.tenants.map((tenant) => [tenant.name, this.#textOf(tenant)]));
    for (const [name, { text: had }] of [...this.tenants]) if (wanted.get(name) !== had) this.#remove(name);
  }

  /** A tenant's way out as its document wants it. */
  settle(tenant: Tenant): void {
    const { config } = tenant;
    if (this.#interface === undefined || (config.nat === undefined && !config.direct)) return;
    const known = this.tenants.get(tenant.name);
    if (known === undefined) return this.#add(tenant);
    const settings = JSON.stringify(config.nat, written);
    if (config.nat === undefined || settings === known.settings) return;
    known.settings = settings;
    tenant.command({ do: 'set-nat', link: known.link, settings: settingsOf(config) });
  }

  /** The tenant goes. */
  remove(name: string): void {
    this.#remove(name);
  }

  close(): void {
    for (const name of [...this.tenants.keys()]) this.#remove(name);
    this.#close();
  }

  #assign(document: GatewayDocument): void {
    const assigned = assignNatAddresses(document, this.#addresses);
    const text = (map: ReadonlyMap<string, Address>): string =>
      [...map]
        .map(([n, a]) => `${n} ${formatAddress(a)}`)
        .sort()
        .join();
    if (text(assigned) !== text(this.#addresses)) this.#books.emit({ do: 'nat-addresses', addresses: assigned });
    this.#addresses = assigned;
  }

  /** Then it is tried once more. */
  get #isDown(): boolean {
    return this.#books.tenants.get(DEFAULT_COMPARTMENT)?.interfaces.get('external')?.problem !== undefined;
  }

  /** RFC 4632 §5.1: of what may be told as one, what no tenant has goes nowhere, rather than back to who sent it. */
  #discardPool({ gateway }: GatewayDocument): void {
    const first = this.#books.tenants.get(DEFAULT_COMPARTMENT);
    if (first === undefined) return;
    const { bgp, pool } = gateway.external;
    const wanted = new Map(
      (bgp === undefined ? [] : pool.flatMap(prefixesIn)).map((each) => [formatPrefix(each), each]),
    );
    const { number: compartment } = first;
    for (const [text, prefix] of this.#discarded) {
      if (wanted.has(text)) continue;
      first.command({ do: 'remove-route', compartment, prefix, interface: DISCARD, origin: 'nat' });
      this.#discarded.delete(text);
    }
    for (const [text, prefix] of wanted) {
      if (this.#discarded.has(text)) continue;
      const route = {
        prefix,
        interface: DISCARD,
        origin: 'nat',
        preference: 254,
        why: 'the pool: no tenant has it',
      } as const;
      first.command({ do: 'add-route', compartment, route });
      this.#discarded.set(text, prefix);
    }
  }

  #open(config: ExternalInterfaceConfig, text: string): void {
    const books = this.#books;
    const { driver, device, mtu, addresses, gateways, hostRoutes } = config;
    const mac = macOf(config.mac, `${books.resolved!.document.gateway.name}/external`);
    const { bgp } = books.resolved!.document.gateway.external;
    const tenant = new Tenant(books, { ...EMPTY, name: DEFAULT_COMPARTMENT, bgp }, 1);
    books.tenants.set(DEFAULT_COMPARTMENT, tenant);
    const iface = { name: 'external', driver, device, mtu, addresses, mac, hostAddresses: [], hostRoutes };
    const { number, port } = tenant.addInterface(iface);
    this.#interface = { text, number, mtu };
    books.emit({ do: 'open-interface', tenant: tenant.name, plane: tenant.plane, port, config: iface, hostRoutes: [] });
    const any = [
      { address: new Uint8Array(4), length: 0 },
      { address: new Uint8Array(16), length: 0 },
    ];
    for (const prefix of any) {
      const nextHop = gateways.find(({ length }) => length === prefix.address.length);
      // Where the host routes, everything goes to it.
      if (nextHop === undefined && driver === 'packet') continue;
      if (nextHop === undefined && prefix.address.length === 16) continue;
      const why = 'default route of the external interface';
      const route = { prefix, interface: number, origin: 'static', preference: 1, why } as const;
      tenant.command({
        do: 'add-route',
        compartment: tenant.number,
        route: nextHop === undefined ? route : { ...route, nextHop },
      });
    }
  }

  #close(): void {
    const tenant = this.#books.tenants.get(DEFAULT_COMPARTMENT);
    if (tenant === undefined) return;
    this.#interface = undefined;
    this.#discarded.clear();
    tenant.removeInterface('external');
    this.#books.emit({ do: 'close-interface', tenant: tenant.name, interface: 'external' });
    this.#books.tenants.delete(DEFAULT_COMPARTMENT);
    this.#books.byCompartment.delete(tenant.number);
    tenant.command({ do: 'remove-compartment', compartment: tenant.number });
    this.#books.giveSlot(tenant.cells);
  }

  /** What a way out must be made anew for. */
  #textOf(tenant: TenantConfig): string | undefined {
    const { nat, name } = tenant;
    if (nat !== undefined) {
      const external = this.#addresses.get(name);
      return external === undefined
        ? undefined
        : `nat ${formatAddress(external)} ${nat.routes.map(formatPrefix).join()}`;
    }
    return tenant.direct ? `direct ${directPrefixes(tenant).map(formatPrefix).join()}` : undefined;
  }

  #add(tenant: Tenant): void {
    const books = this.#books;
    const first = books.tenants.get(DEFAULT_COMPARTMENT);
    const text = this.#textOf(tenant.config);
    if (first === undefined || this.#interface === undefined || text === undefined) return;
    const { nat } = tenant.config;
    const external = nat === undefined ? undefined : this.#addresses.get(tenant.name);
    this.#lastLink += 1;
    const link = this.#lastLink;
    const [inside, outside] = [tenant.nextInterface(), first.nextInterface()];
    const [insideCells, outsideCells] = [books.takeSmallSlot(), books.takeSmallSlot()];
    const natCells = external === undefined ? undefined : books.takeSlot();
    const { mtu } = this.#interface;
    first.command({
      do: 'add-interface',
      compartment: first.number,
      interface: outside,
      config: { name: `tenant:${tenant.name}`, kind: 'link', mtu, addresses: [] },
      cells: outsideCells,
      way: { link, side: 'outside' },
    });
    const parameters =
      external === undefined || natCells === undefined
        ? {}
        : { nat: { external: ipv4Number(external), cells: natCells, ...settingsOf(tenant.config) } };
    tenant.command({
      do: 'add-interface',
      compartment: tenant.number,
      interface: inside,
      config: { name: 'outside', kind: 'link', mtu, addresses: [] },
      cells: insideCells,
      way: { link, side: 'inside', ...parameters },
    });
    const slots = [insideCells, outsideCells, ...(natCells === undefined ? [] : [natCells])];
    const settings = JSON.stringify(nat, written);
    tenant.ways.set(inside, { config: { name: 'outside' } });
    first.ways.set(outside, { config: { name: `tenant:${tenant.name}` } });
    const here = external === undefined ? directPrefixes(tenant.config) : [{ address: external, length: 32 }];
    const what = external === undefined ? 'directly routed' : 'NAT address';
    const reached = here.map((prefix) => ({ prefix, why: `${what} of tenant ${tenant.name}` }));
    this.tenants.set(tenant.name, { text, link, inside, outside, slots, external, natCells, settings, here: reached });
    for (const { prefix, why } of reached) {
      const route = { prefix, interface: outside, origin: 'nat', preference: 2, why } as const;
      first.command({ do: 'add-route', compartment: first.number, route });
      if (external !== undefined)
        first.command({
          do: 'answer-for',
          compartment: first.number,
          interface: this.#interface.number,
          prefix,
          on: true,
        });
    }
    for (const prefix of nat?.routes ?? DEFAULT_ROUTES) {
      const why =
        external === undefined ? 'direct routing to the external network' : `NAT behind ${formatAddress(external)}`;
      const route = { prefix, interface: inside, origin: 'nat', preference: 8, why } as const;
      tenant.command({ do: 'add-route', compartment: tenant.number, route });
    }
  }

  #remove(name: string): void {
    const books = this.#books;
    const gone = this.tenants.get(name);
    if (gone === undefined) return;
    this.tenants.delete(name);
    const first = books.tenants.get(DEFAULT_COMPARTMENT);
    const tenant = books.tenants.get(name);
    if (first !== undefined) {
      const { external } = gone;
      first.ways.delete(gone.outside);
      if (external !== undefined && this.#interface !== undefined)
        first.command({
          do: 'answer-for',
          compartment: first.number,
          interface: this.#interface.number,
          prefix: { address: external, length: 32 },
          on: false,
        });
      first.command({ do: 'remove-interface', compartment: first.number, interface: gone.outside });
    }
    tenant?.ways.delete(gone.inside);
    tenant?.command({ do: 'remove-interface', compartment: tenant.number, interface: gone.inside });
    for (const slot of gone.slots) books.giveSlot(slot);
  }
}

function settingsOf({ nat }: TenantConfig): NatSettings {
  const { filtering, rules, timeouts, limits } = nat!;
  return {
    filtering,
    rules: rules.map(({ protocol, externalPort, to }) => ({
      protocol: protocol === 'tcp' ? IP_PROTOCOL.tcp : IP_PROTOCOL.udp,
      externalPort,
      address: ipv4Number(to.address),
      port: to.port,
    })),
    timeouts: { ...timeouts, udpInboundRefresh: false },
    limits: { ...NAT_LIMITS, sessions: limits.sessions },
  };
}

/** What of a document compartment 1 is made of. */
const textOf = ({ gateway }: GatewayDocument): string => JSON.stringify(gateway.external.interface ?? '', written);

const DEFAULT_ROUTES: readonly Prefix[] = [
  { address: new Uint8Array(4), length: 0 },
  { address: new Uint8Array(16), length: 0 },
];

const EMPTY: Omit<TenantConfig, 'name' | 'bgp'> = {
  rdid: undefined,
  subnets: [],
  lookup: [],
  customerRoutes: [],
  nat: undefined,
  direct: false,
  interfaces: [],
  routes: [],
  connections: [],
};

const written = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Array.from(value).join('.') : value;
