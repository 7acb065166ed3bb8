/**
 * A clause of the document as the record that the tables compile, and whether they can: the check and whoever applies the document go by the
 * same record, so that what the check lets pass compiles.
 */
import { type ClauseRecord, compilePolicy } from '../bgp/index.ts';
import { formatAddress, formatPrefix } from '../ip/index.ts';
import type { AsnRange, PolicyClause, PolicyEdits } from './contract-bgp.ts';
import type { IssueList } from './issue.ts';
import type { Path } from './source.ts';
import { show } from './words.ts';

export function clauseRecord(clause: PolicyClause, asn: number): ClauseRecord {
  const { prefixes, asPath, neighbourAs, originAs, communities, nextHop, med, origin, set, action } = clause;
  return {
    ...(prefixes.length === 0
      ? {}
      : { prefixes: prefixes.map(({ prefix, ge, le }) => ({ prefix: formatPrefix(prefix), ge, le })) }),
    ...present({ asPath, med, origin }),
    ...(neighbourAs === undefined ? {} : { neighbourAs: rangeOf(neighbourAs) }),
    ...(originAs === undefined ? {} : { originAs: rangeOf(originAs) }),
    ...(communities.length === 0 ? {} : { community: communities }),
    ...(nextHop === undefined ? {} : { nextHop: formatPrefix(nextHop) }),
    set: editsRecord(set, asn),
    action,
  };
}

export function editsRecord(set: PolicyEdits, asn: number): NonNullable<ClauseRecord['set']> {
  const { localPreference, med, weight, origin, nextHop, prepend } = set;
  return {
    ...present({ localPreference, med, weight, origin }),
    ...(nextHop === undefined ? {} : { nextHop: nextHop === 'self' ? nextHop : formatAddress(nextHop) }),
    ...(prepend === 0 ? {} : { prepend: { asn, times: prepend } }),
    communities: {
      clear: set.clearCommunities,
      remove: set.removeCommunities,
      add: set.addCommunities,
    },
  };
}

const rangeOf = ({ first, last }: AsnRange): readonly [number, number] => [first, last];

/** Without what is undefined. */
const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

/** What the tables cannot compile is an issue at the key that it comes from. */
export function checkClause(clause: PolicyClause, path: Path, issues: IssueList): void {
  const compiled = compilePolicy([clauseRecord(clause, ANY_AS)]);
  if (compiled.ok) return;
  for (const { path: of, problem } of compiled.issues) {
    const field = of.replace(/^\[0\]\./, '');
    const words = field === 'asPath' ? `${show(clause.asPath ?? '')}: ${problem}` : problem;
    issues.error([...path, ...(KEYS[field] ?? field).split('.')], words);
  }
}

/** Where the record has other names than the document. */
const KEYS: Readonly<Record<string, string>> = {
  'set.communities.add': 'set.addCommunities',
  'set.communities.remove': 'set.removeCommunities',
  'set.prepend.times': 'set.prepend',
};
/** What is prepended is the router's own, which is checked with it. */
const ANY_AS = 1;
