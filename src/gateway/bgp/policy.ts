/** From a policy of the document to what the tables ask of each route. */
import { type ClauseRecord, compilePolicy as compileRecord, type Policy } from '../../bgp/index.ts';
import { type BgpConfig, clauseRecord, type PolicyConfig } from '../../config/index.ts';
import { invariant } from '../../core/index.ts';

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
      : config.map((each, i) => ({ name: `${where}[${i}]`, ...clauseRecord(each, router.asn) }));
  const record = own.length === 0 && typeof config === 'string' ? config : [...own, ...clauses];
  const compiled = compileRecord(record);
  invariant(compiled.ok, 'the document check compiled every clause');
  return compiled.policy;
}
