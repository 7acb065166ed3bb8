/** The section `bgp` of a tenant or of the external network: what one entry alone can tell is checked here. */
import { ceilingOf } from '../bgp/index.ts';
import { familyOf, formatAddress } from '../ip/index.ts';
import * as words from './bgp-words.ts';
import { checkClause } from './clause-record.ts';
import type {
  BgpPeerConfig,
  DampeningConfig,
  PolicyClause,
  PolicyConfig,
  PolicyEdits,
  PrefixMatch,
} from './contract-bgp.ts';
import type { BgpDraft, Perhaps } from './draft.ts';
import type { IssueList } from './issue.ts';
import { keysOf, nameOf, type Reader } from './reader.ts';
import * as schema from './schema-bgp.ts';
import type { Path } from './source.ts';
import { kindOf, Problem, show } from './words.ts';

export function readBgp(
  value: unknown,
  path: Path,
  reader: Reader,
  shapeOf: typeof schema.bgpSchema | typeof schema.externalBgpSchema = schema.bgpSchema,
): Perhaps<BgpDraft> {
  if (value === undefined) return undefined;
  const peers = reader.entries(keysOf(value).peers, [...path, 'peers'], (entry, at) => ({
    name: nameOf(entry),
    config: readPeer(entry, at, reader),
  }));
  const shape: schema.BgpShape | undefined = reader.parse(shapeOf, value, path);
  if (shape === undefined) return { path, value: undefined };
  const { dampening } = shape;
  if (dampening !== undefined) checkDampening(dampening, [...path, 'dampening'], reader.issues);
  const withdrawn = dampening?.unreachableHalfLifeSeconds ?? dampening?.halfLifeSeconds;
  return {
    path,
    value: {
      ...shape,
      clusterId: shape.clusterId,
      aggregates: shape.aggregates.map((each) => ({ ...each, set: editsOf(each.set) })),
      dampening: dampening && { ...dampening, unreachableHalfLifeSeconds: withdrawn! },
      peers,
    },
  };
}

/** RFC 2439 §4.2: thresholds that some figure can cross. */
function checkDampening(
  { suppress, reuse, halfLifeSeconds, maxSuppressSeconds }: Omit<DampeningConfig, 'unreachableHalfLifeSeconds'>,
  path: Path,
  issues: IssueList,
): void {
  if (reuse >= suppress) {
    return issues.error([...path, 'reuse'], `a route is used again below ${reuse}: that must be less than suppress`);
  }
  const most = ceilingOf({ reuse, halfLifeMillis: halfLifeSeconds, mostMillis: maxSuppressSeconds });
  if (most > suppress) return;
  issues.error(
    [...path, 'maxSuppressSeconds'],
    `keeps every figure at ${Math.floor(most)} or less, so no route is ever suppressed at ${suppress}`,
  );
}

function readPeer(value: unknown, path: Path, reader: Reader): BgpPeerConfig | undefined {
  const { import: importing, export: exporting } = keysOf(value);
  const policies = {
    import: readPolicy(importing, [...path, 'import'], reader),
    export: readPolicy(exporting, [...path, 'export'], reader),
  };
  const shape = reader.parse(schema.bgpPeerSchema, value, path);
  if (shape === undefined) return undefined;
  const { issues } = reader;
  const { address, localAs, localAddress, ttl, ttlSecurityHops, families, md5, maxPrefixes } = shape;
  if (localAddress !== undefined && localAddress.length !== address.length) {
    issues.error([...path, 'localAddress'], `${formatAddress(address)} is of the other family`);
  }
  if (ttlSecurityHops !== undefined && ttl !== 'auto') {
    issues.error([...path, 'ttl'], 'with ttlSecurityHops everything is sent with TTL 255 (RFC 5082 §3)');
  }
  const { sendHoldSeconds, addPath, addPaths } = shape;
  if (sendHoldSeconds !== undefined && sendHoldSeconds > 0 && sendHoldSeconds <= shape.holdSeconds) {
    issues.error([...path, 'sendHoldSeconds'], `must be more than holdSeconds, ${shape.holdSeconds} (RFC 9687)`);
  }
  if (addPaths !== undefined && addPath !== 'send' && addPath !== 'both') {
    issues.error([...path, 'addPaths'], `is how many are sent, and addPath is ${addPath}: send or both is needed`);
  }
  if (shape.longLivedStaleSeconds > 0 && shape.gracefulRestartSeconds === 0) {
    issues.error([...path, 'longLivedStaleSeconds'], 'goes with gracefulRestartSeconds, which is 0 (RFC 9494 §4.1)');
  }
  return {
    ...shape,
    ...policies,
    families: families ?? [familyOf(address) === 4 ? 'ipv4' : 'ipv6'],
    localAs,
    localAddress,
    ttlSecurityHops,
    md5,
    maxPrefixes,
    sendHoldSeconds,
    addPaths,
  };
}

/** `all`, `none`, or clauses; an empty list lets nothing pass. */
function readPolicy(value: unknown, path: Path, reader: Reader): PolicyConfig | undefined {
  if (value === undefined) return undefined;
  if (value === 'all' || value === 'none') return value;
  if (!Array.isArray(value)) {
    const found = typeof value === 'string' ? show(value) : kindOf(value);
    reader.issues.error(path, `all, none or a list of clauses is needed, not ${found}`);
    return 'none';
  }
  const clauses = reader.entries(value, path, (entry, at) => readClause(entry, at, reader));
  return clauses.flatMap(({ value: clause }) => clause ?? []);
}

function readClause(value: unknown, path: Path, reader: Reader): PolicyClause | undefined {
  const shape = reader.parse(schema.clauseSchema, value, path);
  if (shape === undefined) return undefined;
  const { issues } = reader;
  const { prefix, ge, le, asPath, neighbourAs, originAs, community, nextHop, med, origin, set, action } = shape;
  if (prefix === undefined && (ge ?? le) !== undefined) {
    issues.error(
      [...path, ge === undefined ? 'le' : 'ge'],
      'says how long prefixes within prefix are: write prefix, too',
    );
  }
  const clause: PolicyClause = {
    prefixes: readPrefixes(prefix, { ge, le }, [...path, 'prefix'], reader),
    asPath,
    neighbourAs,
    originAs,
    communities: community ?? [],
    nextHop,
    med,
    origin,
    set: editsOf(set),
    action,
  };
  checkClause(clause, path, issues);
  return clause;
}

const editsOf = (set: schema.EditsShape): PolicyEdits => ({
  localPreference: set.localPreference,
  med: set.med,
  nextHop: set.nextHop,
  weight: set.weight,
  origin: set.origin,
  prepend: set.prepend,
  addCommunities: set.addCommunities ?? [],
  removeCommunities: set.removeCommunities ?? [],
  clearCommunities: set.clearCommunities,
});

/** A prefix, or a list of prefixes and of sections with lengths of their own. */
function readPrefixes(
  value: unknown,
  lengths: { readonly ge: number | undefined; readonly le: number | undefined },
  path: Path,
  reader: Reader,
): readonly PrefixMatch[] {
  if (value === undefined) return [];
  const several = Array.isArray(value);
  return (several ? value : [value]).flatMap((entry, i): PrefixMatch[] => {
    const at = several ? [...path, i] : path;
    const own = kindOf(entry) === 'a section' ? reader.parse(schema.prefixEntrySchema, entry, at) : { prefix: entry };
    if (own === undefined) return [];
    const { ge = lengths.ge, le = lengths.le } = own as { ge?: number; le?: number };
    const match = words.matchOf(own.prefix, ge, le);
    if (!(match instanceof Problem)) return [match];
    reader.issues.error(at, match.message);
    return [];
  });
}
