/** From a policy of the document to what the tables ask of each route. */
import { type ClauseRecord, compilePolicy as compileRecord, type Policy } from '../../bgp/index.ts';
import { type BgpConfig, clauseRecord, type PolicyConfig } from '../../config/index.ts';
import { invariant } from '../../core/index.ts';
import { formatPrefix } from '../../ip/index.ts';

/**
 * No peer says where prefixes of tenants are: a part of one would win over the link to its tenant, by the longest match.
 * `transit`: whether routes that others have told us pass; a route of our own AS has an empty path. A clause is called what the document
 * calls it: `import[0]`. `prepended`: the own AS that it prepends.
 */
export function compilePolicy(
  config: PolicyConfig,
  router: BgpConfig,
  where: 'import' | 'export',
  transit = true,
  prepended = router.asn,
): Policy {
  const own: readonly ClauseRecord[] = where === 'import' ? keepTenants(router) : transit ? [] : [NO_TRANSIT];
  const clauses =
    typeof config === 'string'
      ? config === 'all'
        ? [{}]
        : []
      : config.map((each, i) => ({ name: `${where}[${i}]`, ...clauseRecord(each, prepended) }));
  const record = own.length === 0 && typeof config === 'string' ? config : [...own, ...clauses];
  const compiled = compileRecord(record);
  invariant(compiled.ok, 'the document check compiled every clause');
  return compiled.policy;
}

const NO_TRANSIT: ClauseRecord = { name: 'transit: false', asPath: '.', action: 'reject' };

const keepTenants = ({ tenantPrefixes }: BgpConfig): readonly ClauseRecord[] =>
  tenantPrefixes.length === 0
    ? []
    : [
        {
          name: "a tenant's prefix",
          prefixes: tenantPrefixes.map((prefix) => ({
            prefix: formatPrefix(prefix),
            ge: prefix.length,
            le: prefix.address.length * 8,
          })),
          action: 'reject',
        },
      ];
