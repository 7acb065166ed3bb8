/** The shape of `bgp`: keys and defaults, as `schema.ts` has them for all else. */
import { z } from 'zod';
import * as bgp from './bgp-words.ts';
import { leaf, listOf, oneOrMore, section } from './schema.ts';
import * as words from './words.ts';

const origin = leaf(bgp.readOrigin);
const length = leaf(words.wholeNumber(0, 128)).optional();
const community = oneOrMore(bgp.readCommunity);
const boolean = leaf(words.readBoolean);
const u32 = leaf(words.wholeNumber(0, 0xffffffff));

const edits = section({
  localPreference: u32.optional(),
  med: leaf((input) => (input === 'none' ? ('none' as const) : words.wholeNumber(0, 0xffffffff)(input))).optional(),
  nextHop: leaf(bgp.readNextHop).optional(),
  weight: leaf(words.wholeNumber(0, 0xffff)).optional(),
  origin: origin.optional(),
  prepend: leaf(words.wholeNumber(0, 20)).default(0),
  addCommunities: community.optional(),
  removeCommunities: community.optional(),
  clearCommunities: boolean.default(false),
}).prefault({});

/** Peers and policies are read entry by entry. */
const router = {
  asn: leaf(bgp.readAsn),
  routerId: leaf(bgp.readRouterId).optional(),
  networks: z.array(leaf(words.readPrefix)).default([]),
  transit: boolean.default(true),
  clusterId: leaf(bgp.readClusterId).optional(),
  clientToClient: boolean.default(true),
  maxPaths: leaf(words.wholeNumber(1, 16)).default(1),
  aggregates: z
    .array(
      section({
        prefix: leaf(words.readPrefix),
        summaryOnly: boolean.default(false),
        asSet: boolean.default(false),
        set: edits,
      }),
    )
    .default([]),
  selectionDeferralSeconds: leaf(words.duration(1, 3600, true)).default(0),
  dampening: section({
    halfLifeSeconds: leaf(words.duration(1, 86400)).default(900),
    unreachableHalfLifeSeconds: leaf(words.duration(1, 86400)).optional(),
    suppress: leaf(words.wholeNumber(1, 50_000)).default(2000),
    reuse: leaf(words.wholeNumber(1, 50_000)).default(750),
    maxSuppressSeconds: leaf(words.duration(1, 86400)).default(3600),
  }).optional(),
  decision: section({
    alwaysCompareMed: boolean.default(false),
    missingMedAsWorst: boolean.default(false),
    compareRouterId: boolean.default(false),
  }).prefault({}),
  peers: z.unknown().optional(),
};

export const bgpSchema = section({
  ...router,
  redistribute: z.array(leaf(words.choice(['connected', 'static', 'connection']))).default([]),
});

/** Of `gateway.external`. */
export const externalBgpSchema = section({
  ...router,
  redistribute: z.array(leaf(words.choice(['connected', 'nat', 'direct']))).default([]),
});

export const bgpPeerSchema = section({
  name: leaf(words.readName),
  address: leaf(bgp.readPeerAddress),
  asn: leaf(bgp.readAsn),
  localAs: leaf(bgp.readAsn).optional(),
  localAddress: leaf(words.readUnicast).optional(),
  port: leaf(words.wholeNumber(1, 0xffff)).default(179),
  passive: boolean.default(false),
  shutdown: boolean.default(false),
  start: leaf(words.choice(['auto', 'manual'])).default('auto'),
  holdSeconds: leaf(bgp.readHoldSeconds).default(90),
  connectRetrySeconds: leaf(words.duration(1, 3600)).default(30),
  idleHoldSeconds: leaf(words.duration(1, 3600)).default(2),
  delayOpenSeconds: leaf(words.duration(1, 240, true)).default(0),
  sendHoldSeconds: leaf(words.duration(4, 86400, true)).optional(),
  advertisementIntervalSeconds: leaf(words.duration(1, 600, true)).default(0),
  families: listOf(leaf(words.choice(['ipv4', 'ipv6']))).optional(),
  ttl: leaf((input) => (input === 'auto' ? ('auto' as const) : words.wholeNumber(1, 255)(input))).default('auto'),
  ttlSecurityHops: leaf(words.wholeNumber(1, 254)).optional(),
  md5: leaf(words.readSecretReference).optional(),
  import: z.unknown().optional(),
  export: z.unknown().optional(),
  maxPrefixes: section({
    limit: leaf(words.wholeNumber(1, 10_000_000)),
    warnPercent: leaf(words.wholeNumber(1, 100)).default(75),
    restartSeconds: leaf(words.duration(1, 86400, true)).default(0),
  }).optional(),
  routeReflectorClient: boolean.default(false),
  nextHop: leaf(words.choice(['auto', 'self', 'unchanged'])).default('auto'),
  defaultOriginate: boolean.default(false),
  allowOwnAs: leaf(words.wholeNumber(0, 10)).default(0),
  enforceFirstAs: boolean.default(true),
  gracefulRestartSeconds: leaf(words.duration(1, 4095, true)).default(120),
  longLivedStaleSeconds: leaf(words.duration(1, 0xffffff, true)).default(0),
  addPath: leaf(words.choice(['off', 'receive', 'send', 'both'])).default('off'),
  addPaths: leaf(words.wholeNumber(1, 64)).optional(),
  tunnelDown: leaf(words.choice(['drop', 'retain', 'ignore'])).default('drop'),
});

export const clauseSchema = section({
  /** One, with `ge` and `le`; or a list whose entries may have their own. */
  prefix: z.unknown().optional(),
  ge: length,
  le: length,
  asPath: leaf(words.readText).optional(),
  neighbourAs: leaf(bgp.readAsnRange).optional(),
  originAs: leaf(bgp.readAsnRange).optional(),
  community: community.optional(),
  nextHop: leaf(words.readPrefix).optional(),
  med: u32.optional(),
  origin: origin.optional(),
  set: edits,
  action: leaf(words.choice(['accept', 'reject', 'next'])).default('accept'),
});

export const prefixEntrySchema = section({ prefix: z.unknown(), ge: length, le: length });

export type BgpShape = z.output<typeof bgpSchema> | z.output<typeof externalBgpSchema>;
export type BgpPeerShape = z.output<typeof bgpPeerSchema>;
export type ClauseShape = z.output<typeof clauseSchema>;
export type EditsShape = z.output<typeof edits>;
