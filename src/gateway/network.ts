/**
 * A tenant's virtual network as control knows it: its part of the virtual switch, the compartment's own ports in its virtual
 * subnets, and on a virtualization host its machines.
 *
 * Invariant: what the data plane has is what the last `apply` said; what did not change is not touched.
 */
import {
  automaticMac,
  formatMac,
  type HostTenantConfig,
  type InterfaceDocument,
  type Mac,
  type SubnetConfig,
  type TenantConfig,
  type UnderlayConfig,
  type VmConfig,
} from '../config/index.ts';
import { type Address, formatAddress, formatPrefix, type Prefix } from '../ip/index.ts';
import { innerMtu, type VirtualSubnet } from '../nvgre/index.ts';
import type { Books } from './books.ts';
import type { NetworkParameters } from './dataplane/index.ts';
import type { Tenant } from './tenant.ts';

/** The compartment's own port in a virtual subnet. */
export interface TenantSubnet {
  /** As routes and people name it; no interface of a document is called so. */
  readonly config: { readonly name: string; readonly addresses: readonly Prefix[] };
  readonly number: number;
  readonly vsid: number;
  readonly switchPort: number;
  readonly cells: number;
  readonly segmentCells: number;
  readonly text: string;
}

interface Machine {
  readonly text: string;
  readonly port: number;
  readonly name: string;
}

export class TenantNetwork {
  readonly subnets = new Map<number, TenantSubnet>();
  readonly #books: Books;
  readonly #tenant: Tenant;
  readonly #machines = new Map<string, Machine>();
  #cells: number | undefined;
  /** As the data plane has it, and what of the document that follows from. */
  #network: NetworkParameters | undefined;
  #text = '';

  constructor(books: Books, tenant: Tenant) {
    this.#books = books;
    this.#tenant = tenant;
  }

  /** Slot of the counters in the switch; undefined: the tenant has no virtual network. */
  get cells(): number | undefined {
    return this.#cells;
  }

  /** What the document no longer has goes, or is to be made anew; a port that is down is tried once more. */
  release(config: TenantConfig, underlay: UnderlayConfig | undefined, host: HostTenantConfig | undefined): void {
    const subnets = underlay === undefined ? [] : config.subnets;
    const machines = underlay === undefined ? [] : (host?.vms ?? []);
    for (const { vsid, text } of [...this.subnets.values()])
      if (!subnets.some((subnet) => subnet.vsid === vsid && textOf(subnet) === text)) this.#removeSubnet(vsid);
    for (const { name, text } of [...this.#machines.values()]) {
      const isDown = this.#tenant.interfaces.get(name)?.problem !== undefined;
      if (isDown || !machines.some((vm) => vm.name === name && textOfMachine(vm) === text)) this.#removeMachine(name);
    }
    if (underlay === undefined || (subnets.length === 0 && host === undefined)) this.#removeNetwork();
    else this.#keepOnly(new Set([...subnets, ...(host?.subnets ?? [])].map(({ vsid }) => vsid)));
  }

  /** After `release`, of all tenants. */
  apply(config: TenantConfig, underlay: UnderlayConfig | undefined, host: HostTenantConfig | undefined): void {
    if (underlay === undefined || (config.subnets.length === 0 && host === undefined)) return;
    this.#setNetwork(config, host);
    for (const subnet of config.subnets) if (!this.subnets.has(subnet.vsid)) this.#addSubnet(subnet, underlay);
    for (const vm of host?.vms ?? []) if (!this.#machines.has(vm.name)) this.#addMachine(vm);
  }

  close(): void {
    for (const { vsid } of [...this.subnets.values()]) this.#removeSubnet(vsid);
    for (const { name } of [...this.#machines.values()]) this.#removeMachine(name);
    this.#removeNetwork();
  }

  #setNetwork(config: TenantConfig, host: HostTenantConfig | undefined): void {
    const { number: compartment, name } = this.#tenant;
    const prefixes = (host?.subnets ?? []).flatMap((s) => s.prefixes.map((prefix) => ({ vsid: s.vsid, prefix })));
    const own = config.subnets.flatMap((s) => s.addresses.map((prefix) => ({ vsid: s.vsid, prefix })));
    const subnets: readonly VirtualSubnet[] = [...prefixes, ...own];
    const { lookup: records, customerRoutes: routes } = config;
    const text = JSON.stringify([subnets, records, routes], written);
    if (text === this.#text) return;
    this.#cells ??= this.#books.takeSlot();
    this.#command({ compartment, name, subnets, records, routes, cells: this.#cells }, text);
  }

  /** Of the virtual subnets those that stay, so that the others are free. */
  #keepOnly(vsids: ReadonlySet<number>): void {
    const network = this.#network;
    if (network === undefined || network.subnets.every(({ vsid }) => vsids.has(vsid))) return;
    const [subnets, records] = [network.subnets, network.records];
    const stays = ({ vsid }: { readonly vsid: number }): boolean => vsids.has(vsid);
    this.#command({ ...network, subnets: subnets.filter(stays), records: records.filter(stays), routes: [] }, '');
  }

  #command(network: NetworkParameters, text: string): void {
    this.#network = network;
    this.#text = text;
    this.#tenant.command({ do: 'network', network });
  }

  #removeNetwork(): void {
    if (this.#cells === undefined) return;
    this.#tenant.command({ do: 'remove-network', compartment: this.#tenant.number });
    this.#books.giveSlot(this.#cells);
    this.#cells = undefined;
    this.#network = undefined;
    this.#text = '';
  }

  #addSubnet(subnet: SubnetConfig, underlay: UnderlayConfig): void {
    const books = this.#books;
    const tenant = this.#tenant;
    const { vsid, addresses } = subnet;
    const name = `vsid:${vsid}`;
    const number = tenant.nextInterface();
    const [switchPort, cells, segmentCells] = [books.nextPort(), books.takeSmallSlot(), books.takeSlot()];
    const mac = macOf(subnet.mac, `${tenant.name}/${name}`);
    tenant.command({
      do: 'add-interface',
      compartment: tenant.number,
      interface: number,
      config: { name, kind: 'ethernet', mtu: mtuInside(underlay), addresses, clampMss: true },
      cells,
      way: { switchPort, vsid, mac, segmentCells },
    });
    const config = { name, addresses };
    const made = { config, number, vsid, switchPort, cells, segmentCells, text: textOf(subnet) };
    this.subnets.set(vsid, made);
    tenant.ways.set(number, made);
  }

  #removeSubnet(vsid: number): void {
    const gone = this.subnets.get(vsid);
    if (gone === undefined) return;
    const { number, cells, segmentCells } = gone;
    this.subnets.delete(vsid);
    this.#tenant.ways.delete(number);
    this.#tenant.command({ do: 'remove-interface', compartment: this.#tenant.number, interface: number });
    this.#books.giveSlot(cells);
    this.#books.giveSlot(segmentCells);
  }

  #addMachine(vm: VmConfig): void {
    const books = this.#books;
    const tenant = this.#tenant;
    const { name, vsid, mac, addresses, driver, device } = vm;
    const [port, switchPort] = [books.nextPort(), books.nextPort()];
    const machine = {
      compartment: tenant.number,
      port,
      switchPort,
      vsid,
      mac,
      addresses: addresses.length === 0 ? undefined : addresses,
    };
    tenant.command({ do: 'add-machine', machine });
    const { mtu } = books.resolved!.document.gateway.underlay!;
    const config: InterfaceDocument = {
      name,
      driver,
      device,
      mtu: Math.min(mtu, mtuInside(books.resolved!.document.gateway.underlay!)),
      addresses: [],
      mac: 'auto',
      hostAddresses: [],
      hostRoutes: 'none',
    };
    this.#machines.set(name, { name, port, text: textOfMachine(vm) });
    tenant.addPort(config, port, mac);
  }

  #removeMachine(name: string): void {
    const gone = this.#machines.get(name);
    if (gone === undefined) return;
    this.#machines.delete(name);
    this.#tenant.removePort(name);
    this.#tenant.command({ do: 'remove-machine', port: gone.port });
  }
}

/** The MAC that the document says, or one that follows from what the interface is called. */
export const macOf = (mac: Mac | 'auto', seed: string): Mac => (mac === 'auto' ? automaticMac(seed) : mac);

/** What a frame leaves for the inner packet when the outer one is as large as the provider network carries. */
export function mtuInside({ mtu, encapsulation, addresses }: UnderlayConfig): number {
  const family = addresses.some(({ length }) => length === 16) ? 6 : 4;
  return innerMtu(mtu, encapsulation, family);
}

const textOf = ({ addresses, mac }: SubnetConfig): string =>
  `${addresses.map(formatPrefix).join()} ${mac === 'auto' ? mac : formatMac(mac)}`;

const textOfMachine = ({ vsid, mac, addresses, driver, device }: VmConfig): string =>
  [vsid, formatMac(mac), addresses.map(formatAddress).join(), driver, device].join(' ');

const written = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? Array.from(value as Address).join('.') : value;
