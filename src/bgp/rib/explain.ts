/**
 * Why a path of a prefix is the best, or is not, in words (RFC 4271 §9.1).
 */
import { type Address, formatAddress, formatPrefix, type Prefix } from '../../ip/index.ts';
import type { AttributeStore } from './attribute-store.ts';
import type { FamilyRib } from './family-rib.ts';
import type { Intake } from './intake.ts';
import { PATH } from './path-table.ts';
import type { Peer } from './peer.ts';

export interface PathExplanation {
  readonly peer: string;
  readonly pathId: number;
  readonly best: boolean;
  /** The step of the decision that this path lost by; undefined for the best and for what was not compared. */
  readonly step?: string;
  readonly why: string;
  readonly nextHop: Address;
  readonly stale: boolean;
  /** Its attributes: behind policy, or as received where that refuses it. */
  readonly set: number;
}

export const DEFERRED = 'routes are not chosen yet: this router has restarted (RFC 4724 §4.1)';
export const DAMPED = 'damped: it has changed too often (RFC 2439)';

export function explainPrefix(
  rib: FamilyRib,
  prefix: Prefix,
  peers: readonly (Peer | undefined)[],
  store: AttributeStore,
  intake: Intake,
  origin: (prefix: string) => string | undefined,
): readonly PathExplanation[] {
  const row = rib.table.find(rib.table.load(prefix));
  if (row === 0) return [];
  const first = rib.table.paths[row]!;
  const paths = rib.pathsOf(row);
  const best = rib.deferred ? 0 : rib.decision.best(first);
  const explained = paths.map((path): PathExplanation => {
    const number = rib.paths.owner(path);
    const flags = rib.paths.flags[path]!;
    const set = rib.paths.after[path]! || rib.paths.before[path]!;
    const common = {
      peer: peers[number]!.name,
      pathId: rib.paths.id(path),
      nextHop: store.nextHop(set),
      set,
      stale: (flags & PATH.stale) !== 0,
    };
    if (path === best) return { ...common, best: true, why: whyBest(rib, best, origin(formatPrefix(prefix))) };
    const barred = whyBarred(rib, path, peers[number]!, store, intake);
    if (barred !== undefined) return { ...common, best: false, why: barred };
    if (rib.deferred) return { ...common, best: false, why: DEFERRED };
    const step = rib.decision.lostAt(path, best, first);
    return { ...common, best: false, step, why: `${peers[rib.paths.owner(best)]!.name} is better by ${step}` };
  });
  return explained.sort((a, b) => Number(b.best) - Number(a.best));
}

function whyBest(rib: FamilyRib, best: number, origin: string | undefined): string {
  if (rib.aggregates.isAggregate(best)) return 'our own: an aggregate of what is more specific';
  if (rib.paths.owner(best) === 0) return `our own: ${origin ?? 'originated'}`;
  return 'the best of all that may be used';
}

function whyBarred(
  rib: FamilyRib,
  path: number,
  peer: Peer,
  store: AttributeStore,
  intake: Intake,
): string | undefined {
  const flags = rib.paths.flags[path]!;
  if (rib.isHeldDefault(path)) return 'for peers that are told a default route whatever routes there are';
  if ((flags & (PATH.looped | PATH.refused)) !== 0) return intake.explain(peer, rib, path);
  if ((flags & PATH.damped) !== 0) return DAMPED;
  const hop = store.hops.at(store.nextHops[rib.paths.after[path]!]!);
  return hop.usable ? undefined : `next hop ${formatAddress(hop.address)} cannot be used: ${hop.why}`;
}
