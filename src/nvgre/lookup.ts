/**
 * The policy of one tenant: who has which CA and MAC in which virtual subnet and at which provider address.
 *
 * Read first: RFC 7637 §3.1 and §4.5, and the tables of lookup records and customer routes in the original's
 * New-NetVirtualizationLookupRecord and New-NetVirtualizationCustomerRoute, whose words these are.
 * A reload replaces what changed: stations and bindings that stay keep their identity and what was learned of them.
 * Leaves to others: which packets may teach it something (`source-guard.ts`), and the wire.
 * Limits: those of `SwitchLimits`. A MAC of a virtual subnet is at one provider address: that of its last record.
 * Invariants: nothing in here is of another tenant; looking up allocates nothing; learned bindings give way to the policy's.
 */
import type { Agenda, Bytes, Millis } from '../core/index.ts';
import { invariant, u16, u32 } from '../core/index.ts';
import { type Address, compareAddresses, ipv6IsLinkLocalAt, ipv6IsMulticastAt } from '../ip/index.ts';
import type {
  CustomerRoute,
  LookupRecord,
  PortConfig,
  ProviderAddress,
  RecordType,
  RecordView,
  SwitchLimits,
  VirtualSubnet,
} from './contract.ts';
import { CELL } from './counters.ts';
import { CustomerRoutes, isAddressAt, lowestAddress, NO_VSID, type OnLink, type Width } from './customer-routes.ts';
import { isVsid } from './frame.ts';
import { isGroupMac, MAC_LENGTH, macHigh, macLow } from './inner.ts';
import { KeyTable } from './key-table.ts';
import { ROUTER } from './router.ts';
import { Binding, type Keeper, ORIGIN, type ProviderAddresses, Station, Subnet } from './station.ts';

export interface PolicyOptions {
  readonly limits: SwitchLimits;
  /** For the hash tables. */
  readonly seed: number;
  readonly addresses: ProviderAddresses;
  /** Wakes dynamic records that grow old. */
  readonly agenda: Agenda;
  /** Counters of the tenant, from `first` on, which is 0 by default. */
  readonly cells: Float64Array;
  readonly first?: number;
}

export class LookupPolicy implements Keeper {
  readonly routes = new CustomerRoutes();
  /** Of all subnets, each station once. */
  gateways: readonly Station[] = [];
  readonly #limits: SwitchLimits;
  readonly #addresses: ProviderAddresses;
  readonly #agenda: Agenda;
  readonly #cells: Float64Array;
  readonly #first: number;
  readonly #stations: KeyTable<Station>;
  readonly #bindings: KeyTable<Binding>;
  readonly #subnets = new Map<number, Subnet>();
  #records: readonly LookupRecord[] = [];

  constructor(options: PolicyOptions) {
    this.#limits = options.limits;
    this.#addresses = options.addresses;
    this.#agenda = options.agenda;
    this.#cells = options.cells;
    this.#first = options.first ?? 0;
    this.#stations = new KeyTable(options.seed);
    this.#bindings = new KeyTable(options.seed);
  }

  get dynamicAgeMs(): Millis {
    return this.#limits.dynamicAgeMs;
  }

  // The policy as it is set.

  /** What was known in a subnet that is gone goes with it; its ports must have gone before. */
  setSubnets(subnets: readonly VirtualSubnet[]): void {
    const named = new Set(subnets.map(({ vsid }) => vsid));
    const going = [...this.#subnets.values()].filter(({ vsid }) => !named.has(vsid));
    for (const vsid of named) invariant(isVsid(vsid), 'a VSID is 4096..16777214');
    for (const { local } of going) invariant(local.length === 0, 'ports leave a virtual subnet before it goes');
    for (const { vsid } of going) this.#subnets.delete(vsid);
    for (const vsid of named) if (!this.#subnets.has(vsid)) this.#subnets.set(vsid, new Subnet(vsid));
    const prefixes = subnets.flatMap((entry) => this.#onLink(entry));
    for (const subnet of this.#subnets.values()) {
      const own = prefixes.filter((entry) => entry.subnet === subnet);
      subnet.prefixes = own.length;
      subnet.routed = own.some(({ router }) => router !== undefined);
    }
    this.routes.setPrefixes(prefixes);
    this.setRecords(this.#records.filter(({ vsid }) => named.has(vsid)));
  }

  setRecords(records: readonly LookupRecord[]): void {
    const accepted = records.slice(0, this.#limits.records);
    this.#cells[this.#first + CELL.recordsRefused]! += records.length - accepted.length;
    for (const station of this.#stations.values()) {
      station.remote = undefined;
      station.known = false;
      station.l2only = false;
      station.wildcard = false;
    }
    const kept = new Set<Binding>();
    for (const record of accepted) {
      const station = this.#stationOf(this.#subnet(record.vsid), record.mac);
      station.remote = this.#addresses.remote(record.pa);
      station.known = true;
      station.l2only ||= record.type === 'l2only';
      station.wildcard ||= record.type === 'gateway-wildcard';
      if (record.type === 'static') kept.add(this.#bindPolicy(station, record.ca));
    }
    this.#records = accepted;
    for (const station of this.#stations.values()) station.settle();
    this.#sweep((binding) => binding.origin !== ORIGIN.policy || kept.has(binding));
    this.#summarise();
  }

  setRoutes(routes: readonly CustomerRoute[]): void {
    const accepted = routes.slice(0, this.#limits.routes);
    this.#cells[this.#first + CELL.routesRefused]! += routes.length - accepted.length;
    this.routes.setRoutes(accepted);
  }

  /** A port begins to be where its MAC is. Its addresses bind, unless the policy or another port has them. */
  attach(port: PortConfig): Station {
    const station = this.#stationOf(this.#subnet(port.vsid), port.mac);
    invariant(station.attached === undefined, 'a MAC is at one port of a virtual subnet');
    station.attached = port;
    station.settle();
    station.subnet.local.push(station);
    this.#claim(station);
    this.#electGateways();
    return station;
  }

  detach(station: Station): void {
    station.attached = undefined;
    station.settle();
    station.subnet.local.splice(station.subnet.local.indexOf(station), 1);
    this.#sweep((binding) => binding.station !== station || binding.origin !== ORIGIN.port);
    this.#electGateways();
  }

  // Looking up.

  subnet(vsid: number): Subnet | undefined {
    return this.#subnets.get(vsid);
  }

  subnets(): IterableIterator<Subnet> {
    return this.#subnets.values();
  }

  /** Reads what both of the next need, for `VirtualNetwork.touch`. */
  touch(): number {
    return this.#stations.touch() + this.#bindings.touch();
  }

  /** By (VSID, MAC), the latter in the packet. */
  station(vsid: number, buf: Bytes, at: number): Station | undefined {
    return this.#stations.find(vsid, macHigh(buf, at), macLow(buf, at), 0, 0);
  }

  /** By (VSID, CA), the latter in the packet. */
  binding(vsid: number, buf: Bytes, at: number, width: Width): Binding | undefined {
    return width === 4
      ? this.#bindings.find(vsid, u32(buf, at), 0, 0, 0)
      : this.#bindings.find(vsid | WIDE, u32(buf, at), u32(buf, at + 4), u32(buf, at + 8), u32(buf, at + 12));
  }

  /**
   * Where the distributed router sends a packet that came in `from`, by its destination: the record in the tenant's subnet
   * that contains it; else that of the next hop of a customer route; else the gateway of the subnet it came from.
   */
  nextHop(from: Subnet, buf: Bytes, at: number, width: Width): Station | undefined {
    const onLink = this.routes.onLink(buf, at, width);
    if (onLink !== undefined) return this.binding(onLink.subnet.vsid, buf, at, width)?.station;
    const hop = this.routes.hop(buf, at, width);
    if (hop === undefined) return from.gateway;
    return hop.vsid === NO_VSID ? undefined : this.binding(hop.vsid, hop.route.nextHop, 0, width)?.station;
  }

  /** Whether the address is the distributed router's, which it is where no station has it. */
  isRouter(buf: Bytes, at: number, width: Width): boolean {
    const onLink = this.routes.onLink(buf, at, width);
    if (onLink === undefined || !isAddressAt(buf, at, width, onLink.router)) return false;
    return this.binding(onLink.subnet.vsid, buf, at, width) === undefined;
  }

  /**
   * Who answers for an address in the subnet: the station that has it, the distributed router for its own, and the subnet's
   * gateway for what is outside every subnet of the tenant. Undefined: nobody, so that no answer is given.
   */
  neighbour(subnet: Subnet, buf: Bytes, at: number, width: Width): Station | undefined {
    const binding = this.binding(subnet.vsid, buf, at, width);
    if (binding !== undefined) return binding.station;
    const onLink = this.routes.onLink(buf, at, width);
    if (onLink !== undefined) {
      return onLink.subnet === subnet && isAddressAt(buf, at, width, onLink.router) ? ROUTER : undefined;
    }
    return isLinkLocal(buf, at, width) || isNobodys(buf, at, width) ? undefined : subnet.gateway;
  }

  /** The policy's records in their order, then those of ports and learned ones by subnet and address. */
  records(): RecordView[] {
    const given = this.#records.map((record) => {
      const station = this.#stationOf(this.#subnet(record.vsid), record.mac);
      const ca = record.type === 'static' ? record.ca : undefined;
      const seen = ca === undefined ? undefined : this.#bindingOf(station, ca)?.seen;
      return viewOf(station, ca, record.type, 'policy', seen);
    });
    const others = [...this.#bindings.values()].filter(({ origin }) => origin !== ORIGIN.policy).sort(byPlace);
    return [
      ...given,
      ...others.map(({ station, ca, origin, seen }) =>
        origin === ORIGIN.port
          ? viewOf(station, ca, 'static', 'port', seen)
          : viewOf(station, ca, 'dynamic', 'learned', seen),
      ),
    ];
  }

  // What packets teach; `source-guard.ts` asks.

  /** Whether packets of the station may bind the CA to it: any link-local one; others where CAs are learned, on link. */
  mayLearn(station: Station, buf: Bytes, at: number, width: Width): boolean {
    if (!isNamed(station)) return false;
    if (width === 16 && isLinkLocal(buf, at, width)) return true;
    if (!station.learns || isNobodys(buf, at, width)) return false;
    const onLink = this.routes.onLink(buf, at, width);
    if (onLink === undefined) return station.subnet.prefixes === 0;
    return onLink.subnet === station.subnet && !isAddressAt(buf, at, width, onLink.router);
  }

  /**
   * Binds the CA, whose octets it keeps, to the station in place of what was learned of it before. False, and counted, when
   * there is no room.
   */
  learn(station: Station, ca: Address, before: Binding | undefined, now: Millis): boolean {
    const { subnet } = station;
    const full = before === undefined && subnet.learned >= this.#limits.dynamicPerSubnet;
    if (full || station.learned >= this.#limits.dynamicPerMac) {
      this.#cells[this.#first + CELL.learnRefused]! += 1;
      return false;
    }
    this.#cells[this.#first + (before === undefined ? CELL.learned : CELL.moved)]! += 1;
    if (before !== undefined) this.#unbind(before);
    this.#bind(station, ca, ORIGIN.learned, now);
    return true;
  }

  /** A learned binding has grown old. */
  forget(binding: Binding): void {
    this.#cells[this.#first + CELL.aged]! += 1;
    this.#unbind(binding);
  }

  // Keeping the tables.

  #onLink({ vsid, prefix, router = true }: VirtualSubnet): OnLink[] {
    const subnet = this.#subnet(vsid);
    return prefix === undefined ? [] : [{ subnet, prefix, router: router ? lowestAddress(prefix) : undefined }];
  }

  #subnet(vsid: number): Subnet {
    const subnet = this.#subnets.get(vsid);
    invariant(subnet !== undefined, "records and ports are in the tenant's own virtual subnets");
    return subnet;
  }

  #stationOf(subnet: Subnet, mac: Bytes): Station {
    invariant(mac.length === MAC_LENGTH && !isGroupMac(mac, 0), 'a MAC address is six octets of one station');
    const found = this.station(subnet.vsid, mac, 0);
    if (found !== undefined) return found;
    const station = new Station(subnet, mac);
    this.#stations.set(subnet.vsid, station.high, station.low, 0, 0, station);
    return station;
  }

  #bindingOf(station: Station, ca: Address): Binding | undefined {
    return this.binding(station.subnet.vsid, ca, 0, ca.length === 4 ? 4 : 16);
  }

  #bindPolicy(station: Station, ca: Address | undefined): Binding {
    invariant(
      ca !== undefined && !isNobodys(ca, 0, ca.length === 4 ? 4 : 16),
      'a static record has the CA of one host',
    );
    const before = this.#bindingOf(station, ca);
    if (before?.station === station && before.origin === ORIGIN.policy) return before;
    if (before !== undefined) this.#unbind(before);
    return this.#bind(station, ca, ORIGIN.policy, Number.NaN);
  }

  #bind(station: Station, ca: Address, origin: number, seen: Millis): Binding {
    const binding = new Binding(this, station, ca, origin, seen);
    const { vsid } = station.subnet;
    if (ca.length === 4) this.#bindings.set(vsid, u32(ca, 0), 0, 0, 0, binding);
    else this.#bindings.set(vsid | WIDE, u32(ca, 0), u32(ca, 4), u32(ca, 8), u32(ca, 12), binding);
    if (origin === ORIGIN.learned) {
      station.learned += 1;
      station.subnet.learned += 1;
      this.#agenda.touch(binding);
    }
    return binding;
  }

  #unbind(binding: Binding): void {
    const { station, ca, origin } = binding;
    const { vsid } = station.subnet;
    binding.stands = false;
    if (ca.length === 4) this.#bindings.delete(vsid, u32(ca, 0), 0, 0, 0);
    else this.#bindings.delete(vsid | WIDE, u32(ca, 0), u32(ca, 4), u32(ca, 8), u32(ca, 12));
    if (origin === ORIGIN.learned) {
      station.learned -= 1;
      station.subnet.learned -= 1;
      this.#agenda.forget(binding);
    }
  }

  /** Binds the addresses of a port that nobody has, or only by what was learned. */
  #claim(station: Station): void {
    for (const ca of station.attached?.addresses ?? []) {
      const before = this.#bindingOf(station, ca);
      if (before !== undefined && before.origin !== ORIGIN.learned) continue;
      if (before !== undefined) this.#unbind(before);
      this.#bind(station, ca, ORIGIN.port, Number.NaN);
    }
  }

  /** Removes bindings that are not to stay or have lost their ground, then stations nobody names; ports claim what got free. */
  #sweep(stays: (binding: Binding) => boolean): void {
    for (const binding of [...this.#bindings.values()]) {
      const { station, ca, origin } = binding;
      const grounded =
        origin === ORIGIN.learned ? this.mayLearn(station, ca, 0, ca.length === 4 ? 4 : 16) : isNamed(station);
      if (!grounded || !stays(binding)) this.#unbind(binding);
    }
    for (const station of [...this.#stations.values()]) {
      if (!isNamed(station)) this.#stations.delete(station.subnet.vsid, station.high, station.low, 0, 0);
    }
    for (const subnet of this.#subnets.values()) for (const station of subnet.local) this.#claim(station);
  }

  #summarise(): void {
    const peers = new Map<Subnet, Set<ProviderAddress>>();
    for (const subnet of this.#subnets.values()) {
      peers.set(subnet, new Set());
      subnet.wildcard = undefined;
    }
    for (const { vsid, mac, type } of this.#records) {
      const station = this.#stationOf(this.#subnet(vsid), mac);
      if (station.remote !== undefined) peers.get(station.subnet)!.add(station.remote);
      if (type === 'gateway-wildcard') station.subnet.wildcard ??= station;
    }
    for (const [subnet, addresses] of peers) subnet.peers = [...addresses];
    this.#electGateways();
  }

  #electGateways(): void {
    const gateways: Station[] = [];
    for (const subnet of this.#subnets.values()) {
      subnet.gateway = subnet.wildcard ?? subnet.local.find(({ attached }) => attached?.role === 'gateway');
      if (subnet.gateway !== undefined) gateways.push(subnet.gateway);
    }
    this.gateways = gateways;
  }
}

/** Tells the keys of IPv6 addresses from those of IPv4 addresses: a bit no VSID has. */
const WIDE = 0x1000000;

const isNamed = (station: Station): boolean => station.known || station.attached !== undefined;

function viewOf(
  { subnet, mac, remote }: Station,
  ca: Address | undefined,
  type: RecordType,
  origin: RecordView['origin'],
  seen: Millis = Number.NaN,
): RecordView {
  return { vsid: subnet.vsid, ca, mac, pa: remote, type, origin, seen: Number.isNaN(seen) ? undefined : seen };
}

const byPlace = (a: Binding, b: Binding): number =>
  a.station.subnet.vsid - b.station.subnet.vsid || compareAddresses(a.ca, b.ca);

const isLinkLocal = (buf: Bytes, at: number, width: Width): boolean =>
  width === 16 ? ipv6IsLinkLocalAt(buf, at) : u16(buf, at) === 0xa9fe;

/** Not one host's: unspecified, loopback, multicast, broadcast, and all of ::/96. */
function isNobodys(buf: Bytes, at: number, width: Width): boolean {
  if (width === 4) return buf[at] === 0 || buf[at] === 127 || buf[at]! >= 224;
  return ipv6IsMulticastAt(buf, at) || (u32(buf, at) === 0 && u32(buf, at + 4) === 0 && u32(buf, at + 8) === 0);
}
