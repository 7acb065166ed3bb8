/** Entries that make networks: devices, subnets, records, NAT. What one entry alone can tell is checked here. */
import {
  type Address,
  contains,
  familyOf,
  formatAddress,
  formatPrefix,
  lastOf,
  networkOf,
  type Prefix,
  sameAddress,
} from '../ip/index.ts';
import type {
  ExternalInterfaceConfig,
  InterfaceDocument,
  LookupConfig,
  NatConfig,
  UnderlayConfig,
  VmConfig,
} from './contract.ts';
import { type Perhaps, type Placed, POOL_PATH, type SubnetDraft } from './draft.ts';
import type { IssueList } from './issue.ts';
import type { AddressRange } from './range.ts';
import { keysOf, type Reader } from './reader.ts';
import * as schema from './schema.ts';
import type { Path } from './source.ts';
import { kindOf } from './words.ts';

export function readExternalInterface(value: unknown, reader: Reader): Perhaps<ExternalInterfaceConfig> {
  if (value === undefined) return undefined;
  const path: Path = ['gateway', 'external', 'interface'];
  const shape = reader.parse(schema.externalInterfaceSchema, value, path);
  if (shape === undefined) return { path, value: undefined };
  const { driver, gateway: gateways, addresses, mac, hostRoutes, ...same } = shape;
  const { issues } = reader;
  if (driver === 'tun' && gateways.length > 0) {
    issues.error([...path, 'gateway'], 'tun leads to the host, which is the next hop: no gateway');
  }
  if (driver !== 'tun' && addresses.length === 0) {
    issues.error([...path, 'addresses'], `is needed with driver ${driver}: frames are sent from an address`);
  }
  for (const [i, gateway] of gateways.entries()) {
    const wrong = driver === 'tun' ? undefined : noGateway(gateway, gateways.slice(0, i), addresses);
    const at = [...path, 'gateway', ...(Array.isArray(keysOf(value).gateway) ? [i] : [])];
    if (wrong !== undefined) issues.error(at, `${formatAddress(gateway)} ${wrong}`);
  }
  checkMtu(shape.mtu, addresses, path, issues);
  checkMac(driver, mac, path, reader);
  if (driver !== 'tun' && hostRoutes === 'auto') {
    issues.error([...path, 'hostRoutes'], `auto is for tun: with driver ${driver} the host is not on the way`);
  }
  const device = deviceOf(shape, 'external', path, reader);
  const routes = hostRoutes ?? (driver === 'tun' ? 'auto' : 'none');
  return { path, value: { ...same, driver, device, addresses, gateways, mac, hostRoutes: routes } };
}

/** Undefined: one of the ranges could not be read. */
export function readPool(value: unknown, reader: Reader): readonly Placed<AddressRange>[] | undefined {
  if (value === undefined) return [];
  const ranges = reader.parse(schema.poolSchema, value, POOL_PATH);
  return ranges?.map((range, i) => ({ path: Array.isArray(value) ? [...POOL_PATH, i] : POOL_PATH, value: range }));
}

export function readUnderlay(value: unknown, path: Path, reader: Reader): Perhaps<UnderlayConfig> {
  if (value === undefined) return undefined;
  const shape = reader.parse(schema.underlaySchema, value, path);
  if (shape === undefined) return { path, value: undefined };
  const { address, addresses, ...same } = shape;
  if (address === undefined && addresses === undefined) {
    reader.issues.error([...path, 'address'], 'is needed: the provider address of this machine');
  } else if (address !== undefined && addresses !== undefined) {
    reader.issues.error([...path, 'addresses'], 'either address or addresses, not both', 'key');
  } else {
    return { path, value: { ...same, addresses: addresses ?? [address!] } };
  }
  return { path, value: undefined };
}

export function readSubnet(value: unknown, path: Path, reader: Reader): SubnetDraft | undefined {
  const shape = reader.parse(schema.subnetSchema, value, path);
  if (shape === undefined) return undefined;
  const { prefix } = shape;
  const address = shape.address ?? firstOf(prefix);
  const wrong = !contains(prefix, address)
    ? `${formatAddress(address)} is not in ${formatPrefix(prefix)}`
    : noHost(prefix, address);
  if (wrong !== undefined) reader.issues.error([...path, 'address'], wrong);
  return { ...shape, address };
}

export function readHostSubnet(value: unknown, path: Path, reader: Reader): SubnetDraft | undefined {
  const shape = reader.parse(schema.hostSubnetSchema, value, path);
  return shape && { ...shape, address: undefined, mac: 'auto' };
}

export function readLookup(value: unknown, path: Path, reader: Reader): LookupConfig | undefined {
  const shape = reader.parse(schema.lookupSchema, value, path);
  if (shape === undefined) return undefined;
  const { type, ca } = shape;
  if (type === 'static' && ca === undefined) {
    reader.issues.error([...path, 'ca'], 'is needed: only l2only and gateway-wildcard go without');
    return undefined;
  }
  if (type !== 'static' && ca !== undefined) {
    reader.issues.error([...path, 'ca'], `a record of type ${type} has none: ${WITHOUT_CA[type]}`);
    return undefined;
  }
  return { ...shape, ca };
}

/** `off` is as good as nothing written; an empty section takes every default. */
export function readNat(value: unknown, path: Path, reader: Reader): Perhaps<NatConfig> {
  if (value === undefined || value === 'off') return undefined;
  if (kindOf(value) !== 'a section') {
    reader.issues.error(path, `off or a section is needed, not ${kindOf(value)}; {} takes an address of the pool`);
    return { path, value: undefined };
  }
  const shape = reader.parse(schema.natSchema, value, path);
  if (shape === undefined) return { path, value: undefined };
  const rules = shape.rules.map(({ protocol, externalPort, to }) => ({
    protocol,
    externalPort,
    to: { address: to.address, port: to.port ?? externalPort },
  }));
  return { path, value: { ...shape, rules } };
}

export function readInterface(
  value: unknown,
  path: Path,
  tenant: string | undefined,
  reader: Reader,
): InterfaceDocument | undefined {
  const shape = reader.parse(schema.interfaceSchema, value, path);
  if (shape === undefined) return undefined;
  const { driver, mac, hostAddresses, hostRoutes } = shape;
  checkMac(driver, mac, path, reader);
  if (driver === 'packet' && hostAddresses.length > 0) {
    reader.issues.error([...path, 'hostAddresses'], 'a NIC that is there has its addresses from the host');
  }
  if (driver === 'packet' && hostRoutes === 'auto') {
    reader.issues.error([...path, 'hostRoutes'], 'auto is for tun and tap: what the host sends by a NIC leaves by it');
  }
  const device = deviceOf(shape, tenant ?? '', path, reader);
  return { ...shape, device, hostRoutes: hostRoutes ?? (driver === 'tap' || driver === 'packet' ? 'none' : 'auto') };
}

export function readVm(value: unknown, path: Path, reader: Reader): VmConfig | undefined {
  const shape = reader.parse(schema.vmSchema, value, path);
  return shape && { ...shape, device: deviceOf(shape, shape.name, path, reader) };
}

/** RFC 8200 §5: IPv6 needs links of 1280 octets. */
export function checkMtu(mtu: number | 'auto', prefixes: readonly Prefix[], path: Path, issues: IssueList): void {
  if (mtu !== 'auto' && mtu < 1280 && prefixes.some((prefix) => familyOf(prefix.address) === 6)) {
    issues.error([...path, 'mtu'], 'must be at least 1280 where IPv6 passes (RFC 8200 §5)');
  }
}

/** What of a prefix no host may have; undefined: nothing is wrong. RFC 1122 §3.2.1.3, RFC 4291 §2.6.1. */
export function noHost(prefix: Prefix, address: Address): string | undefined {
  const text = formatAddress(address);
  if (formatAddress(networkOf(prefix)) === text) return `${text} is the network's own address`;
  const broadcast = address.length === 4 && formatAddress(lastOf(prefix)) === text;
  return broadcast ? `${text} is the broadcast address of ${formatPrefix(prefix)}` : undefined;
}

/** The lowest that a host may have: where VMs look for their router. */
export function firstOf(prefix: Prefix): Address {
  const address = networkOf(prefix);
  address[address.length - 1]! |= 1;
  return address;
}

const WITHOUT_CA = {
  l2only: "the VM's addresses are learned",
  'gateway-wildcard': 'the gateway has what nobody else has',
} as const;

/** What keeps `gateway` from being the next hop by an interface with these addresses. */
function noGateway(gateway: Address, before: readonly Address[], own: readonly Prefix[]): string | undefined {
  if (before.some(({ length }) => length === gateway.length))
    return `is the second of its family: one is the default route`;
  if (own.some(({ address }) => sameAddress(address, gateway))) return "is the interface's own address";
  return own.some((prefix) => contains(prefix, gateway))
    ? undefined
    : 'is in no prefix of addresses: it has to be on-link';
}

function checkMac(driver: string, mac: unknown, path: Path, { issues }: Reader): void {
  if (mac === 'auto' || driver === 'tap' || driver === 'packet') return;
  issues.error([...path, 'mac'], `a device with driver ${driver} has none`);
}

/** A NIC that is there has to be named; a device that is made is called after its owner, unless that is too long. */
function deviceOf(
  { driver, device }: { readonly driver: string; readonly device?: string | undefined },
  owner: string,
  path: Path,
  { issues }: Reader,
): string {
  if (device === undefined && driver === 'packet') {
    issues.error([...path, 'device'], 'is needed with driver packet: the name of a NIC');
    return '';
  }
  const name = device ?? `bh-${owner}`;
  if (name.length > 15) {
    issues.error([...path, 'device'], `is needed: ${name} is longer than the 15 characters of a device name`);
  }
  return name;
}
