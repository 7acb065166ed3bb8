/**
 * The shape of the document: sections, keys, defaults. What single values may say stands in `words.ts`; what spans several
 * sections stands in `rules.ts`.
 *
 * Every default is safe: strong algorithms, replay protection, no keys written, cookies under load, liveness checks.
 */
import { z } from 'zod';
import { DEFAULT_ESP_PROPOSALS, DEFAULT_IKE_PROPOSALS } from '../ike/index.ts';
import { DEFAULT_LISTEN } from './contract.ts';
import * as network from './network-words.ts';
import { nearest } from './suggestion.ts';
import * as words from './words.ts';

export const leaf = <T>(read: (input: unknown) => T | words.Problem) =>
  z.unknown().transform((input, context): T => {
    const value = input === undefined ? new words.Problem('is needed') : read(input);
    if (!(value instanceof words.Problem)) return value;
    context.issues.push({ code: 'custom', message: value.message, input });
    return z.NEVER;
  });

/** One value, or a list of them; what is wrong with an entry is said at the entry. */
export const oneOrMore = <T>(read: (input: unknown) => T | words.Problem) =>
  z.unknown().transform((input, context): T[] => {
    const values: T[] = [];
    for (const [i, entry] of (Array.isArray(input) ? input : [input]).entries()) {
      const value = read(entry);
      if (!(value instanceof words.Problem)) values.push(value);
      else
        context.issues.push({ code: 'custom', message: value.message, input, path: Array.isArray(input) ? [i] : [] });
    }
    return values;
  });

/**
 * A strict object. The message of its unknown keys has one line a key, in the order of `keys`; `notHere` has sentences for keys
 * that are known elsewhere.
 */
export const section = <T extends z.ZodRawShape>(shape: T, notHere: Readonly<Record<string, string>> = {}) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? (issue.keys as string[]).map((key) => unknownKey(key, Object.keys(shape), notHere)).join('\n')
        : undefined,
  });

const later = (...keys: readonly string[]): Record<string, string> =>
  Object.fromEntries(keys.map((key) => [key, words.notInThisRelease(key)]));

function unknownKey(key: string, known: readonly string[], notHere: Readonly<Record<string, string>>): string {
  if (Object.hasOwn(notHere, key)) return notHere[key]!;
  const near = nearest(key, known);
  return near === undefined ? `unknown key; known here: ${known.join(', ')}` : `unknown key; did you mean ${near}?`;
}

export const listOf = <T extends z.ZodType>(item: T) => z.array(item).min(1);
const port = leaf(words.wholeNumber(1, 0xffff));

/** What stands inside `gateway`, `tenants` and their lists is read entry by entry, so that one mistake hides no other. */
export const documentSchema = section({
  version: leaf((input) => (input === 1 ? (1 as const) : new words.Problem('this release reads version 1'))),
  gateway: z.unknown().optional(),
  host: z.unknown().optional(),
  tenants: z.unknown().optional(),
  api: section({ listen: leaf(words.readListen).default({ listen: DEFAULT_LISTEN }) }).prefault({}),
});

const name = leaf(words.readName);
const mtu = leaf(words.wholeNumber(576, 9216)).default(1500);
const ownMac = leaf(words.orAuto(network.readMac)).default('auto');
/** The default is the driver's. */
const hostRoutes = leaf(words.choice(['auto', 'none'])).optional();
const vsid = leaf(network.readVsid);
const metric = leaf(words.wholeNumber(0, 65535)).default(0);

export const externalInterfaceSchema = section({
  driver: leaf(words.choice(['packet', 'tun', 'fabric'])),
  device: leaf(words.readDevice).optional(),
  mtu,
  addresses: z.array(leaf(words.readInterfaceAddress)).default([]),
  gateway: oneOrMore(words.readUnicast).default([]),
  mac: ownMac,
  hostRoutes,
});

export const poolSchema = oneOrMore(network.readRange);

/** Exactly one of `address` and `addresses` is there: `Reading` looks. */
export const underlaySchema = section({
  address: leaf(words.readUnicast).optional(),
  addresses: listOf(leaf(words.readUnicast)).optional(),
  encapsulation: leaf(words.choice(['nvgre', 'nvgre-udp'])).default('nvgre'),
  sourcePort: leaf(words.choice(['flow', 'fixed'])).default('flow'),
  mtu,
});

export const gatewaySchema = section({
  name: name.default('bulkhead'),
  external: section({
    addresses: listOf(leaf(words.readUnicast)),
    ports: section({ ike: port.default(500), natt: port.default(4500) }).prefault({}),
    interface: z.unknown().optional(),
    pool: z.unknown().optional(),
    bgp: z.unknown().optional(),
  }),
  underlay: z.unknown().optional(),
  keyLog: leaf(words.readText).optional(),
  limits: section({
    cookieThreshold: leaf(words.wholeNumber(0, 1_000_000)).default(30),
    halfOpen: leaf(words.wholeNumber(1, 1_000_000)).default(1000),
    packets: leaf(words.wholeNumber(64, 65536)).default(1024),
    bgpAttributeOctets: leaf(words.readOctets).default(1 << 30),
  }).prefault({}),
  dataplane: section({
    workers: leaf((input) => (input === 'auto' ? 1 : words.wholeNumber(0, 31)(input))).default(1),
    cpus: z.array(leaf(words.wholeNumber(0, 1023))).default([]),
    offloads: leaf(words.readBoolean).default(true),
    bufferOctets: leaf(words.readOctets).default(32 << 20),
    scheduling: leaf(words.choice(['auto', 'realtime', 'normal'])).default('auto'),
    busyPollMicros: leaf(words.wholeNumber(0, 1_000_000)).default(0),
  }).prefault({}),
});

export const hostSchema = section({ name: name.default('bulkhead'), underlay: z.unknown().optional() });

const virtualNetwork = {
  name: leaf(words.readTenantName),
  rdid: leaf(words.readUuid).optional(),
  subnets: z.unknown().optional(),
  lookup: z.unknown().optional(),
  customerRoutes: z.unknown().optional(),
};

export const tenantSchema = section(
  {
    ...virtualNetwork,
    nat: z.unknown().optional(),
    direct: leaf(words.readBoolean).default(false),
    interfaces: z.unknown().optional(),
    routes: z.unknown().optional(),
    connections: z.unknown().optional(),
    bgp: z.unknown().optional(),
  },
  { vms: 'VMs are on hosts: a document with host has them, not one with gateway' },
);

export const hostTenantSchema = section(
  { ...virtualNetwork, vms: z.unknown().optional() },
  Object.fromEntries(
    ['nat', 'direct', 'interfaces', 'routes', 'connections', 'bgp'].map((key) => [
      key,
      `${key} belongs to a gateway: a host has subnets, lookup, customerRoutes and vms`,
    ]),
  ),
);

export const subnetSchema = section({
  vsid,
  prefix: leaf(network.readSubnetPrefix),
  address: leaf(words.readUnicast).optional(),
  mac: ownMac,
});

export const hostSubnetSchema = section(
  { vsid, prefix: leaf(network.readSubnetPrefix) },
  Object.fromEntries(
    ['address', 'mac'].map((key) => [key, `${key} belongs to a gateway: a host has none in a subnet`]),
  ),
);

export const lookupSchema = section({
  vsid,
  ca: leaf(words.readUnicast).optional(),
  mac: leaf(network.readMac),
  pa: leaf(words.readUnicast),
  type: leaf(network.readLookupType).default('static'),
});

export const customerRouteSchema = section({
  prefix: leaf(words.readPrefix),
  nextHop: leaf(words.readUnicast),
  metric,
});

export const vmSchema = section({
  name,
  vsid,
  mac: leaf(network.readMac),
  addresses: z.array(leaf(words.readUnicast)).default([]),
  driver: leaf(words.choice(['tap', 'packet'])).default('tap'),
  device: leaf(words.readDevice).optional(),
});

const timeout = leaf(words.duration(1, 30 * 86400));

/**
 * Timeouts are those that Windows' NAT has. RFC 5382 REQ-5 and RFC 5508 REQ-2 recommend longer ones, which hold many more sessions
 * of one address; they can be written.
 */
export const natSchema = section({
  address: leaf(network.readNatAddress).default('auto'),
  filtering: leaf(words.choice(['address', 'endpoint-independent', 'address-and-port'])).default('address'),
  rules: z
    .array(
      section({
        protocol: leaf(words.choice(['tcp', 'udp'])),
        externalPort: port,
        to: leaf(network.readNatTarget),
      }),
    )
    .default([]),
  timeouts: section({
    tcpEstablishedSeconds: timeout.default(1800),
    tcpTransientSeconds: timeout.default(120),
    udpSeconds: timeout.default(120),
    icmpSeconds: timeout.default(30),
  }).prefault({}),
  limits: section({ sessions: leaf(words.wholeNumber(1, 4_194_304)).default(65536) }).prefault({}),
  routes: listOf(leaf(network.readNatPrefix)).default([{ address: new Uint8Array(4), length: 0 }]),
});

export const interfaceSchema = section({
  name,
  driver: leaf(network.readInterfaceDriver).default('tun'),
  device: leaf(words.readDevice).optional(),
  mtu,
  addresses: listOf(leaf(words.readInterfaceAddress)),
  mac: ownMac,
  hostAddresses: z.array(leaf(words.readInterfaceAddress)).default([]),
  hostRoutes,
});

/** `via` stays text: whether it names an interface is known only beside the others. */
export const routeSchema = section({
  prefix: leaf(words.readPrefix),
  via: leaf(words.readText).optional(),
  discard: leaf(words.readBoolean).default(false),
  metric,
});

export const connectionSchema = section({
  name,
  local: section({ address: leaf(words.readUnicast).optional(), id: leaf(words.readText).optional() }).prefault({}),
  remote: section({
    address: leaf(words.readRemoteAddress),
    id: leaf(words.readText).optional(),
    port: port.default(500),
  }),
  auth: section({ psk: leaf(words.readSecretReference) }, later('certificate', 'eap', 'publicKey')),
  legacy: leaf(words.readBoolean).default(false),
  ike: section({
    proposals: listOf(leaf(words.readText)).default([...DEFAULT_IKE_PROPOSALS]),
    lifetimeSeconds: leaf(words.duration(5, 30 * 86400)).default(28800),
    giveUpSeconds: leaf(words.duration(5, 3600)).default(165),
  }).prefault({}),
  child: section({
    proposals: listOf(leaf(words.readText)).default([...DEFAULT_ESP_PROPOSALS]),
    local: listOf(leaf(words.readSelector)),
    remote: listOf(leaf(words.readSelector)),
    lifetimeSeconds: leaf(words.duration(5, 30 * 86400)).default(3600),
    lifetimeBytes: leaf(words.readOctets).default(Number.POSITIVE_INFINITY),
    lifetimePackets: leaf(words.readPackets).default(Number.POSITIVE_INFINITY),
    esn: leaf(words.choice(['allow', 'require', 'never'])).default('allow'),
    replayWindow: leaf(words.wholeNumber(0, 65536)).default(1024),
  }),
  start: leaf(words.choice(['demand', 'boot', 'listen'])).optional(),
  routes: z.array(leaf(words.readPrefix)).optional(),
  dpdSeconds: leaf(words.duration(1, 3600, true)).default(30),
  idleSeconds: leaf(words.duration(10, 30 * 86400, true)).default(0),
  encapsulation: leaf(words.choice(['auto', 'udp'])).default('auto'),
  df: leaf(words.choice(['copy', 'set', 'clear'])).default('copy'),
  mtu: leaf((input) => (input === 'auto' ? ('auto' as const) : words.wholeNumber(576, 9216)(input))).default('auto'),
});

export type Schema = z.ZodType;
export type Output<T extends z.ZodType> = z.output<T>;
export type GatewayShape = z.output<typeof gatewaySchema>;
export type HostShape = z.output<typeof hostSchema>;
export type ExternalInterfaceShape = z.output<typeof externalInterfaceSchema>;
export type LookupShape = z.output<typeof lookupSchema>;
export type CustomerRouteShape = z.output<typeof customerRouteSchema>;
export type NatShape = z.output<typeof natSchema>;
export type InterfaceShape = z.output<typeof interfaceSchema>;
export type RouteShape = z.output<typeof routeSchema>;
export type ConnectionShape = z.output<typeof connectionSchema>;
