/**
 * Policies of the document made ready: conditions as functions, prefixes as numbers. All that is wrong is said at once.
 *
 * Conditions on the prefix are apart from those on attributes (`Policy.signature`). How many signatures there are depends on the lists of
 * the document, not on what peers send.
 */
import type { Address } from '../../ip/index.ts';
import type { AttributeDraft } from '../rib/attribute-draft.ts';
import type { AttributeStore } from '../rib/attribute-store.ts';
import { type Action, compileAction } from './action.ts';
import { type Condition, compileConditions } from './condition.ts';
import { ALL, type Outcome, type Policy } from './policy.ts';
import { PrefixList } from './prefix-list.ts';
import { prefixMatcher } from './prefix-matcher.ts';
import type { ClauseRecord, PolicyIssue, PolicyRecord, PrefixRecord } from './record.ts';

export type CompiledPolicy =
  | { readonly ok: true; readonly policy: Policy }
  | { readonly ok: false; readonly issues: readonly PolicyIssue[] };

export function compilePolicy(record: PolicyRecord): CompiledPolicy {
  if (record === 'all') return { ok: true, policy: ALL };
  const issues: PolicyIssue[] = [];
  const clauses = (record === 'none' ? [] : record).map((clause, i) => compileClause(clause, `[${i}]`, issues));
  if (issues.length > 0) return { ok: false, issues };
  return { ok: true, policy: new ClausePolicy(JSON.stringify(record), clauses) };
}

interface Clause {
  /** For people. */
  readonly name: string;
  /** Undefined: the prefix does not matter. */
  readonly prefixes: PrefixList | undefined;
  readonly conditions: readonly Condition[];
  readonly actions: readonly Action[];
  readonly verdict: 'accept' | 'reject' | 'next';
}

function compileClause(record: ClauseRecord, path: string, issues: PolicyIssue[]): Clause {
  const problem = (field: string, text: string): void => void issues.push({ path: `${path}.${field}`, problem: text });
  const written: PrefixRecord[] = [...(record.prefixes ?? [])];
  if (record.prefix !== undefined) {
    const { prefix, ge, le } = record;
    written.unshift({ prefix, ...(ge === undefined ? {} : { ge }), ...(le === undefined ? {} : { le }) });
  } else if (record.ge !== undefined || record.le !== undefined) problem('prefix', 'ge and le need a prefix');
  const prefixes = written.flatMap((one) => {
    const matcher = prefixMatcher(one);
    if (typeof matcher !== 'string') return [matcher];
    problem('prefix', matcher);
    return [];
  });
  return {
    name: record.name ?? `clause ${path.slice(1, -1)}`,
    prefixes: written.length === 0 ? undefined : new PrefixList(prefixes),
    conditions: compileConditions(record, problem),
    actions: compileAction(record.set ?? {}, problem),
    verdict: record.action ?? 'accept',
  };
}

class ClausePolicy implements Policy {
  readonly key: string;
  readonly byPrefix: boolean;
  readonly #clauses: readonly Clause[];
  /** Which clauses hold for a prefix, by signature; signatures grow by one clause at a time. */
  readonly #holding: ReadonlySet<number>[] = [new Set()];
  readonly #longer = new Map<number, number>();

  constructor(key: string, clauses: readonly Clause[]) {
    this.key = key;
    this.#clauses = clauses;
    this.byPrefix = clauses.some(({ prefixes }) => prefixes !== undefined);
  }

  signature(words: Uint32Array, length: number): number {
    let signature = 0;
    for (let i = 0; i < this.#clauses.length; i++) {
      const { prefixes, conditions, verdict } = this.#clauses[i]!;
      if (prefixes === undefined || !prefixes.matches(words, length)) continue;
      signature = this.#with(signature, i);
      if (conditions.length === 0 && verdict !== 'next') break;
    }
    return signature;
  }

  run(store: AttributeStore, id: number, signature: number, draft: AttributeDraft, self: Address): Outcome {
    const holding = this.#holding[signature]!;
    let changed = false;
    for (let i = 0; i < this.#clauses.length; i++) {
      const clause = this.#clauses[i]!;
      if (clause.prefixes !== undefined && !holding.has(i)) continue;
      if (!clause.conditions.every((holds) => holds(store, id))) continue;
      if (clause.verdict === 'reject') return { accept: false, changed, why: `${clause.name} refuses it` };
      for (const act of clause.actions) act(draft, self);
      changed ||= clause.actions.length > 0;
      if (clause.verdict === 'accept') return { accept: true, changed, why: `${clause.name} accepts it` };
    }
    return { accept: false, changed, why: 'no clause accepts it' };
  }

  #with(signature: number, clause: number): number {
    const key = signature * CLAUSES_MAX + clause;
    let longer = this.#longer.get(key);
    if (longer === undefined) {
      longer = this.#holding.push(new Set([...this.#holding[signature]!, clause])) - 1;
      this.#longer.set(key, longer);
    }
    return longer;
  }
}

/** More clauses than a document can have. */
const CLAUSES_MAX = 0x10_0000;
