/**
 * The shape of the document: sections, keys, defaults. What single values may say stands in `words.ts`; what spans several
 * sections stands in `rules.ts`.
 *
 * Every default is safe: strong algorithms, replay protection, no keys written, cookies under load, liveness checks.
 */
import { z } from 'zod';
import { DEFAULT_ESP_PROPOSALS, DEFAULT_IKE_PROPOSALS } from '../ike/index.ts';
import { DEFAULT_LISTEN } from './contract.ts';
import { nearest } from './suggestion.ts';
import * as words from './words.ts';

const leaf = <T>(read: (input: unknown) => T | words.Problem) =>
  z.unknown().transform((input, context): T => {
    const value = input === undefined ? new words.Problem('is needed') : read(input);
    if (!(value instanceof words.Problem)) return value;
    context.issues.push({ code: 'custom', message: value.message, input });
    return z.NEVER;
  });

/** A strict object. The message of its unknown keys has one line a key, in the order of `keys`. */
const section = <T extends z.ZodRawShape>(shape: T, later: readonly string[] = []) =>
  z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? (issue.keys as string[]).map((key) => unknownKey(key, Object.keys(shape), later)).join('\n')
        : undefined,
  });

function unknownKey(key: string, known: readonly string[], later: readonly string[]): string {
  if (later.includes(key)) return words.notInThisRelease(key);
  const near = nearest(key, known);
  return near === undefined ? `unknown key; known here: ${known.join(', ')}` : `unknown key; did you mean ${near}?`;
}

const listOf = <T extends z.ZodType>(item: T) => z.array(item).min(1);
const port = leaf(words.wholeNumber(1, 0xffff));

/** What stands inside `gateway`, `tenants` and their lists is read entry by entry, so that one mistake hides no other. */
export const documentSchema = section({
  version: leaf((input) => (input === 1 ? (1 as const) : new words.Problem('this release reads version 1'))),
  gateway: z.unknown().optional(),
  tenants: z.unknown().optional(),
  api: section({ listen: leaf(words.readListen).default({ listen: DEFAULT_LISTEN }) }).prefault({}),
});

export const gatewaySchema = section(
  {
    name: leaf(words.readName).default('bulkhead'),
    external: section(
      {
        addresses: listOf(leaf(words.readUnicast)),
        ports: section({ ike: port.default(500), natt: port.default(4500) }).prefault({}),
      },
      ['interface', 'pool'],
    ),
    keyLog: leaf(words.readText).optional(),
    limits: section({
      cookieThreshold: leaf(words.wholeNumber(0, 1_000_000)).default(30),
      halfOpen: leaf(words.wholeNumber(1, 1_000_000)).default(1000),
      packets: leaf(words.wholeNumber(64, 65536)).default(1024),
    }).prefault({}),
    dataplane: section({
      workers: leaf((input) => (input === 'auto' ? 1 : words.wholeNumber(0, 31)(input))).default(1),
      cpus: z.array(leaf(words.wholeNumber(0, 1023))).default([]),
      offloads: leaf(words.readBoolean).default(true),
      bufferOctets: leaf(words.readOctets).default(32 << 20),
      scheduling: leaf(words.choice(['auto', 'realtime', 'normal'])).default('auto'),
      busyPollMicros: leaf(words.wholeNumber(0, 1_000_000)).default(0),
    }).prefault({}),
  },
  ['underlay'],
);

export const tenantSchema = section(
  {
    name: leaf(words.readName),
    rdid: leaf(words.readUuid).optional(),
    interfaces: z.unknown().optional(),
    routes: z.unknown().optional(),
    connections: z.unknown().optional(),
  },
  ['subnets', 'lookup', 'nat', 'bgp'],
);

export const interfaceSchema = section({
  name: leaf(words.readName),
  driver: leaf(words.choice(['tun', 'fabric'], ['tap', 'packet', 'nvgre'])).default('tun'),
  device: leaf(words.readDevice).optional(),
  mtu: leaf(words.wholeNumber(576, 9216)).default(1500),
  addresses: listOf(leaf(words.readInterfaceAddress)),
  hostAddresses: z.array(leaf(words.readInterfaceAddress)).default([]),
  hostRoutes: leaf(words.choice(['auto', 'none'])).default('auto'),
});

/** `via` stays text: whether it names an interface is known only beside the others. */
export const routeSchema = section({ prefix: leaf(words.readPrefix), via: leaf(words.readText) });

export const connectionSchema = section({
  name: leaf(words.readName),
  local: section({ address: leaf(words.readUnicast).optional(), id: leaf(words.readText).optional() }).prefault({}),
  remote: section({
    address: leaf(words.readRemoteAddress),
    id: leaf(words.readText).optional(),
    port: port.default(500),
  }),
  auth: section({ psk: leaf(words.readSecretReference) }, ['certificate', 'eap', 'publicKey']),
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
export type InterfaceShape = z.output<typeof interfaceSchema>;
export type RouteShape = z.output<typeof routeSchema>;
export type ConnectionShape = z.output<typeof connectionSchema>;
