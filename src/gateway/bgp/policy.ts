/** From a policy of the document to what the tables ask of each route. */
import { type ClauseRecord, compilePolicy as compileRecord, type Policy } from '../../bgp/index.ts';
import type { AsnRange, BgpConfig, PolicyClause, PolicyConfig, PolicyEdits } from '../../config/index.ts';
import { invariant, putU16, putU32, toHex } from '../../core/index.ts';
import { formatAddress, formatPrefix, parseAddress } from '../../ip/index.ts';

/**
 * `transit`: whether routes that others have told us pass; a route of our own AS has an empty path. A clause is called what the document
 * calls it: `import[0]`.
 */
export function compilePolicy(
  config: PolicyConfig,
  router: BgpConfig,
  where: 'import' | 'export',
  transit = true,
): Policy {
  const own: readonly ClauseRecord[] = transit ? [] : [{ name: 'transit: false', asPath: '.', action: 'reject' }];
  const clauses =
    typeof config === 'string'
      ? config === 'all'
        ? [{}]
        : []
      : config.map((each, i) => ({ name: `${where}[${i}]`, ...clauseOf(each, router) }));
  const record = own.length === 0 && typeof config === 'string' ? config : [...own, ...clauses];
  const compiled = compileRecord(record);
  invariant(compiled.ok, 'the document check compiled every policy');
  return compiled.policy;
}

export function clauseOf(clause: PolicyClause, router: { readonly asn: number }): ClauseRecord {
  const { prefixes, asPath, neighbourAs, originAs, communities, nextHop, med, origin, set, action } = clause;
  return {
    ...(prefixes.length === 0
      ? {}
      : { prefixes: prefixes.map(({ prefix, ge, le }) => ({ prefix: formatPrefix(prefix), ge, le })) }),
    ...present({ asPath, med, origin }),
    ...(neighbourAs === undefined ? {} : { neighbourAs: rangeOf(neighbourAs) }),
    ...(originAs === undefined ? {} : { originAs: rangeOf(originAs) }),
    ...(communities.length === 0 ? {} : { community: communities.map(communityOf) }),
    ...(nextHop === undefined ? {} : { nextHop: formatPrefix(nextHop) }),
    set: editsOf(set, router.asn),
    action,
  };
}

function editsOf(set: PolicyEdits, asn: number): NonNullable<ClauseRecord['set']> {
  const { localPreference, med, weight, origin, nextHop, prepend } = set;
  return {
    ...present({ localPreference, med, weight, origin }),
    ...(nextHop === undefined ? {} : { nextHop: nextHop === 'self' ? nextHop : formatAddress(nextHop) }),
    ...(prepend === 0 ? {} : { prepend: { asn, times: prepend } }),
    communities: {
      clear: set.clearCommunities,
      remove: set.removeCommunities.map(communityOf),
      add: set.addCommunities.map(communityOf),
    },
  };
}

const rangeOf = ({ first, last }: AsnRange): readonly [number, number] => [first, last];

/** Without what is undefined. */
const present = <T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };

/** Extended ones as their octets (RFC 4360 §3.1 to §3.3, RFC 5668 §2): two-octet AS, IPv4 address or four-octet AS; target or origin. */
export function communityOf(text: string): string {
  const [kind, first = '', second = ''] = text.split(':');
  if (kind !== 'rt' && kind !== 'soo') return text;
  const octets = new Uint8Array(8);
  octets[1] = kind === 'rt' ? 0x02 : 0x03;
  const address = first.includes('.') ? parseAddress(first) : undefined;
  if (address !== undefined || Number(first) > 0xffff) {
    octets[0] = address === undefined ? 0x02 : 0x01;
    if (address === undefined) putU32(octets, 2, Number(first));
    else octets.set(address, 2);
    putU16(octets, 6, Number(second));
  } else {
    putU16(octets, 2, Number(first));
    putU32(octets, 4, Number(second));
  }
  return toHex(octets);
}
