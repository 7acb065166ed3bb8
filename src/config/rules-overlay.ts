/**
 * What must hold in virtual networks, on gateways and on hosts: VSIDs, lookup records, customer routes, VMs, and the provider
 * network beneath.
 *
 * Read first: RFC 7637 §3, and what Windows' lookup records mean (`contract.ts`: `LookupConfig`).
 */
import { type Address, contains, familyOf, formatAddress, formatPrefix, sameAddress } from '../ip/index.ts';
import type { CustomerRoute, LookupConfig, UnderlayConfig, VmConfig } from './contract.ts';
import {
  configsOf,
  type Draft,
  ownAddressesOf,
  type Placed,
  readable,
  type SubnetDraft,
  type TenantDraft,
  unique,
} from './draft.ts';
import type { IssueList } from './issue.ts';
import { formatMac } from './mac.ts';
import { firstOf, noHost } from './read-network.ts';
import type { Path } from './source.ts';

export function checkOverlay(draft: Draft, issues: IssueList): void {
  const { role, underlay, tenants } = draft;
  if (draft.host !== undefined && underlay === undefined) {
    issues.error(['host', 'underlay'], 'is needed: the provider network is the only way to other hosts');
  }
  if (underlay?.value !== undefined) checkUnderlay({ ...underlay, value: underlay.value }, tenants, issues);
  checkVsids(tenants, issues);
  for (const { path, value: tenant } of tenants) {
    if (tenant.subnets.length > 0 && underlay === undefined && draft.gateway !== undefined) {
      issues.error([...path, 'subnets'], 'need gateway.underlay: the provider address that NVGRE goes by', 'key');
    }
    const subnets = subnetsOf(tenant);
    checkMacs(tenant, issues);
    if (draft.host !== undefined) checkRouters(tenant, subnets, issues);
    const records = new Records(subnets, role, underlay, issues);
    for (const { path: at, value } of readable(tenant.lookup)) records.check(value, at);
    checkCustomerRoutes(tenant, subnets, issues);
    checkVms(tenant, subnets, underlay?.value, issues);
  }
}

/** Octets around an inner IP packet: the outer header, UDP where it is, GRE with its key, the inner Ethernet header. */
function overheadOf({ addresses, encapsulation }: UnderlayConfig): number {
  const ip = addresses.some((address) => familyOf(address) === 6) ? 40 : 20;
  return ip + (encapsulation === 'nvgre-udp' ? 8 : 0) + 8 + 14;
}

function checkUnderlay(
  { path, value }: Placed<UnderlayConfig>,
  tenants: readonly Placed<TenantDraft>[],
  issues: IssueList,
): void {
  for (const [i, address] of value.addresses.entries()) {
    if (value.addresses.findIndex((other) => sameAddress(other, address)) < i) {
      issues.error([...path, 'addresses', i], `${formatAddress(address)} stands here a second time`);
    }
  }
  const inside = value.mtu - overheadOf(value);
  const ipv6 = tenants
    .flatMap(({ value: tenant }) => readable(tenant.subnets))
    .find((subnet) => familyOf(subnet.value.prefix.address) === 6);
  const text = `leaves ${inside} octets inside ${value.encapsulation}`;
  if (inside < 576) issues.error([...path, 'mtu'], `${text}: at least 576 are needed`);
  else if (inside < 1280 && ipv6 !== undefined) {
    const where = issues.line(ipv6.path);
    issues.error([...path, 'mtu'], `${text}: the IPv6 subnet (${where}) needs 1280 (RFC 8200 §5)`);
  }
}

function checkVsids(tenants: readonly Placed<TenantDraft>[], issues: IssueList): void {
  const owners = new Map<number, { readonly tenant: TenantDraft; readonly path: Path }>();
  for (const { value: tenant } of tenants) {
    for (const { path, value } of readable(tenant.subnets)) {
      const owner = owners.get(value.vsid);
      if (owner === undefined) owners.set(value.vsid, { tenant, path });
      else if (owner.tenant !== tenant) {
        const text = `${value.vsid} is a virtual subnet of ${owner.tenant.name} (${issues.line(owner.path)})`;
        issues.error([...path, 'vsid'], `${text}: a VSID belongs to one tenant`);
      }
    }
  }
}

/** Entries of one VSID are one interface. */
function checkMacs(tenant: TenantDraft, issues: IssueList): void {
  const macs = new Map<number, { readonly text: string; readonly path: Path }>();
  for (const { path, value } of readable(tenant.subnets)) {
    if (value.mac === 'auto') continue;
    const text = formatMac(value.mac);
    const first = macs.get(value.vsid);
    if (first === undefined) macs.set(value.vsid, { text, path });
    else if (first.text !== text) {
      const there = `VSID ${value.vsid} has ${first.text} (${issues.line([...first.path, 'mac'])})`;
      issues.error([...path, 'mac'], `${there}: the gateway has one MAC in a subnet`);
    }
  }
}

/** The subnets of a tenant by VSID. */
interface Subnets {
  readonly byVsid: ReadonlyMap<number, readonly Placed<SubnetDraft>[]>;
  /** One could not be read: nothing can be said of what is missing. */
  readonly unread: boolean;
}

function subnetsOf(tenant: TenantDraft): Subnets {
  const byVsid = new Map<number, Placed<SubnetDraft>[]>();
  for (const subnet of readable(tenant.subnets)) {
    const group = byVsid.get(subnet.value.vsid);
    if (group === undefined) byVsid.set(subnet.value.vsid, [subnet]);
    else group.push(subnet);
  }
  return { byVsid, unread: tenant.subnets.some(({ value }) => value === undefined) };
}

function noVsid(vsid: number, { byVsid, unread }: Subnets): string | undefined {
  if (unread || byVsid.has(vsid)) return undefined;
  const known = byVsid.size === 0 ? 'it has none' : `known: ${[...byVsid.keys()].join(', ')}`;
  return `${vsid} is no virtual subnet of this tenant; ${known}`;
}

/** What keeps `address` from being a VM's in the VSID; undefined: nothing. */
function noCa(address: Address, vsid: number, { byVsid, unread }: Subnets, issues: IssueList): string | undefined {
  const all = byVsid.get(vsid) ?? [];
  const subnet = all.find(({ value }) => contains(value.prefix, address));
  if (subnet === undefined) {
    if (unread || all.length === 0) return undefined;
    const prefixes = all.map(({ value }) => formatPrefix(value.prefix)).join(', ');
    return `${formatAddress(address)} is in no prefix of VSID ${vsid} (${prefixes})`;
  }
  const own = subnet.value.address;
  if (own !== undefined && sameAddress(own, address)) {
    return `${formatAddress(address)} is the gateway's own address (${issues.line(subnet.path)})`;
  }
  return noHost(subnet.value.prefix, address);
}

/** The lookup records of a tenant, one after the other. */
class Records {
  readonly #subnets: Subnets;
  readonly #role: Draft['role'];
  readonly #underlay: Draft['underlay'];
  readonly #issues: IssueList;
  /** By VSID and CA, by VSID and MAC, and records without a CA by all that they say. */
  readonly #seen = new Map<string, Path>();
  readonly #places = new Map<string, { readonly pa: string; readonly path: Path }>();

  constructor(subnets: Subnets, role: Draft['role'], underlay: Draft['underlay'], issues: IssueList) {
    this.#subnets = subnets;
    this.#role = role;
    this.#underlay = underlay;
    this.#issues = issues;
  }

  check(record: LookupConfig, path: Path): void {
    const { vsid, ca } = record;
    const unknown = noVsid(vsid, this.#subnets);
    if (unknown !== undefined) this.#issues.error([...path, 'vsid'], unknown);
    const misplaced = ca && noCa(ca, vsid, this.#subnets, this.#issues);
    if (misplaced !== undefined) this.#issues.error([...path, 'ca'], misplaced);
    this.#checkTwice(record, path);
    this.#checkPa(record, path);
  }

  #checkTwice({ vsid, ca, mac, pa, type }: LookupConfig, path: Path): void {
    const issues = this.#issues;
    const what = ca === undefined ? `the ${type} record of ${formatMac(mac)}` : formatAddress(ca);
    const first = this.#seen.get(`${vsid} ${what}`);
    if (first === undefined) this.#seen.set(`${vsid} ${what}`, path);
    else if (ca === undefined) issues.error(path, `${what} stands in VSID ${vsid} already (${issues.line(first)})`);
    else issues.error([...path, 'ca'], `${what} has a record in VSID ${vsid} already (${issues.line(first)})`);
    const key = `${vsid} ${formatMac(mac)}`;
    const place = this.#places.get(key);
    if (place === undefined) this.#places.set(key, { pa: formatAddress(pa), path });
    else if (place.pa !== formatAddress(pa)) {
      const there = `${formatMac(mac)} of VSID ${vsid} is at ${place.pa} (${issues.line(place.path)})`;
      issues.error([...path, 'pa'], `${there}: a MAC is in one place`);
    }
  }

  #checkPa({ pa }: LookupConfig, path: Path): void {
    const addresses = this.#underlay?.value?.addresses;
    if (addresses === undefined) return;
    const text = formatAddress(pa);
    if (this.#role === 'gateway' && addresses.some((address) => sameAddress(address, pa))) {
      this.#issues.error([...path, 'pa'], `${text} is this gateway itself`);
    } else if (!addresses.some((address) => address.length === pa.length)) {
      const where = `${this.#role}.underlay (${this.#issues.line([this.#role, 'underlay'], 'key')})`;
      this.#issues.error([...path, 'pa'], `${text}: ${where} has no IPv${familyOf(pa)} address to send from`);
    }
  }
}

function checkCustomerRoutes(tenant: TenantDraft, subnets: Subnets, issues: IssueList): void {
  unique(
    tenant.customerRoutes,
    (route) => route && `${formatPrefix(route.prefix)} by ${formatAddress(route.nextHop)}`,
    'prefix',
    (text, first) => `${text} stands here a second time (${issues.line(first)})`,
    issues,
  );
  const own = ownAddressesOf(tenant);
  for (const { path, value } of readable(tenant.customerRoutes)) {
    const wrong = noNextHop(value, subnets, own);
    if (wrong !== undefined) issues.error([...path, 'nextHop'], `${formatAddress(value.nextHop)} ${wrong}`);
  }
}

function noNextHop(
  { prefix, nextHop }: CustomerRoute,
  { byVsid, unread }: Subnets,
  own: readonly Address[],
): string | undefined {
  if (prefix.address.length !== nextHop.length) return `is not of the family of ${formatPrefix(prefix)}`;
  if (own.some((address) => sameAddress(address, nextHop))) return "is the gateway's own address";
  const prefixes = [...byVsid.values()].flat().map(({ value }) => value.prefix);
  return unread || prefixes.some((subnet) => contains(subnet, nextHop)) ? undefined : 'is in no subnet of this tenant';
}

function checkVms(
  tenant: TenantDraft,
  subnets: Subnets,
  underlay: UnderlayConfig | undefined,
  issues: IssueList,
): void {
  const message = (name: string, first: Path): string => `${name} stands here a second time (${issues.line(first)})`;
  unique(tenant.vms, ({ name }) => name, 'name', message, issues);
  const vms = configsOf(tenant.vms);
  unique(vms, ({ vsid, mac }) => `${formatMac(mac)} of VSID ${vsid}`, 'mac', message, issues);
  const addresses = vms.flatMap(({ path, value }) =>
    value.addresses.map((address, i) => ({ path: [...path, 'addresses', i], value: { address, vm: value } })),
  );
  const seen = new Map<string, Path>();
  for (const { path, value } of addresses) {
    const { address, vm } = value;
    const text = `${formatAddress(address)} of VSID ${vm.vsid}`;
    const first = seen.get(text);
    if (first === undefined) seen.set(text, path);
    const wrong =
      noCa(address, vm.vsid, subnets, issues) ?? isRouter(address, vm, subnets) ?? (first && message(text, first));
    if (wrong !== undefined) issues.error(path, wrong);
  }
  for (const { path, value } of vms) {
    const unknown = noVsid(value.vsid, subnets);
    if (unknown !== undefined) issues.error([...path, 'vsid'], unknown);
  }
  checkRecordsOfVms(tenant, underlay, issues);
}

/** Of a subnet that VMs send to when they want out; the distributed router is on every host. */
function isRouter(address: Address, { vsid }: VmConfig, { byVsid }: Subnets): string | undefined {
  const router = byVsid.get(vsid)?.some(({ value: { prefix } }) => sameAddress(firstOf(prefix), address));
  return router ? `${formatAddress(address)} is the router's: the lowest address of a subnet is no VM's` : undefined;
}

/**
 * The distributed router has the lowest address of each subnet. A record of that address, as one of a gateway that kept its default
 * address, takes its place: with several subnets all that VMs send from one to another goes there.
 */
function checkRouters(tenant: TenantDraft, { byVsid }: Subnets, issues: IssueList): void {
  if (byVsid.size < 2) return;
  for (const { path, value } of readable(tenant.lookup)) {
    const { vsid, ca, mac } = value;
    if (ca === undefined) continue;
    const subnet = byVsid.get(vsid)?.find(({ value: { prefix } }) => sameAddress(firstOf(prefix), ca));
    if (subnet === undefined) continue;
    const text = `${formatAddress(ca)} is the distributed router's in ${formatPrefix(subnet.value.prefix)} (${issues.line(subnet.path)})`;
    const but = `with this record what VMs send to other subnets goes to ${formatMac(mac)}: give the gateway another address`;
    issues.warning([...path, 'ca'], `${text}; ${but}`);
  }
}

/** Records tell all hosts the same; what they say of a VM that is here must be so. */
function checkRecordsOfVms(tenant: TenantDraft, underlay: UnderlayConfig | undefined, issues: IssueList): void {
  const byMac = new Map<string, Placed<LookupConfig>>();
  const byCa = new Map<string, Placed<LookupConfig>>();
  for (const record of readable(tenant.lookup)) {
    const { vsid, ca, mac } = record.value;
    byMac.set(`${vsid} ${formatMac(mac)}`, record);
    if (ca !== undefined) byCa.set(`${vsid} ${formatAddress(ca)}`, record);
  }
  for (const { path, value: vm } of configsOf(tenant.vms)) {
    const mac = formatMac(vm.mac);
    const record = byMac.get(`${vm.vsid} ${mac}`);
    if (record !== undefined && underlay?.addresses.some((own) => sameAddress(own, record.value.pa)) === false) {
      const where = `${formatAddress(record.value.pa)} by its record (${issues.line(record.path)})`;
      issues.error([...path, 'mac'], `${mac} is at ${where}, not on this host`);
    }
    for (const [i, address] of vm.addresses.entries()) {
      const other = byCa.get(`${vm.vsid} ${formatAddress(address)}`);
      if (other === undefined || formatMac(other.value.mac) === mac) continue;
      const where = `${formatMac(other.value.mac)} by its record (${issues.line(other.path)})`;
      issues.error([...path, 'addresses', i], `${formatAddress(address)} belongs to ${where}`);
    }
  }
}
