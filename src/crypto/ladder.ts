/**
 * The ladder of engines: each suite is served by the first engine that has it, and only engines that know their known answers count.
 *
 * Read first: `self-test.ts`. Leaves to others: which engines there are (`runtime/engines` has those that need native code).
 * Invariant: an engine with one wrong answer serves nothing; it is not to be trusted with the others either.
 */
import { invariant } from '../core/index.ts';
import type { Engine, Protection } from './contract.ts';
import { SUITES, type Suite, selfTest } from './self-test.ts';

/** An engine, or why there is none, in words. */
export type Candidate = Engine | AbsentEngine;

export interface AbsentEngine {
  readonly name: string;
  readonly why: string;
}

/** What became of a candidate. */
export interface Tried {
  readonly name: string;
  /** It is there, and gave no wrong answer to what was asked. */
  readonly ok: boolean;
  /** What is wrong, in words; empty when nothing is. */
  readonly why: string;
  /** How many suites it claims, and how many of them no better engine has. */
  readonly suites: number;
  readonly serves: number;
}

export interface Choice {
  /** All that serve something, as one. */
  readonly engine: Engine;
  /** In the order of the candidates. */
  readonly tried: readonly Tried[];
}

/**
 * Asks the candidates, fastest first, for their known answers: each one that has a suite no better one has, for all suites it claims.
 * `thorough` asks the others too. Throws when no engine is right.
 */
export function chooseEngine(candidates: readonly Candidate[], thorough = false): Choice {
  const rungs: Engine[] = [];
  const tried: Tried[] = [];
  for (const candidate of candidates) {
    const { name } = candidate;
    if ('why' in candidate) {
      tried.push({ name, ok: false, why: candidate.why, suites: 0, serves: 0 });
      continue;
    }
    const claimed = SUITES.filter((suite) => has(candidate, suite));
    const needed = claimed.filter((suite) => !rungs.some((rung) => has(rung, suite))).length;
    const why = needed > 0 || thorough ? firstProblem(candidate, claimed) : '';
    const ok = why === '';
    if (ok && needed > 0) rungs.push(candidate);
    tried.push({ name, ok, why, suites: claimed.length, serves: ok ? needed : 0 });
  }
  invariant(rungs.length > 0, 'one engine at least gives the right answers');
  return { engine: ladder(rungs), tried };
}

/** Several engines as one, the first that has a suite serving it, with the second's help where that is faster. */
export function ladder(rungs: readonly Engine[]): Engine {
  return {
    name: rungs.map((rung) => rung.name).join(', '),
    supports: (encryption, integrity) => rungs.some((rung) => rung.supports(encryption, integrity)),
    protection(encryption, integrity, keys) {
      const [engine, next] = rungs.filter((rung) => rung.supports(encryption, integrity));
      invariant(engine !== undefined, `an engine has ${encryption.name} with ${integrity?.name ?? 'no integrity'}`);
      const protection = engine.protection(encryption, integrity, keys);
      const least = engine.leastBurst?.(encryption, integrity) ?? 1;
      if (least <= 1 || next === undefined) return protection;
      return forBursts(protection, next.protection(encryption, integrity, keys), least);
    },
  };
}

/** `many` for bursts of `least` packets and more, `few` for the rest: they write the same octets. */
function forBursts(many: Protection, few: Protection, least: number): Protection {
  const { ivLength, ivKind, blockSize, icvLength } = many;
  const by = (packets: number): Protection => (packets < least ? few : many);
  return {
    ivLength,
    ivKind,
    blockSize,
    icvLength,
    seal: (buf, from, iv, end, high) => few.seal(buf, from, iv, end, high),
    open: (buf, from, iv, end, high) => few.open(buf, from, iv, end, high),
    sealBurst: (burst, first, stop) => by(stop - first).sealBurst(burst, first, stop),
    openBurst: (burst, first, stop) => by(stop - first).openBurst(burst, first, stop),
    dispose() {
      many.dispose?.();
      few.dispose?.();
    },
  };
}

const has = (engine: Engine, { encryption, integrity }: Suite): boolean => engine.supports(encryption, integrity);

function firstProblem(engine: Engine, suites: readonly Suite[]): string {
  for (const suite of suites) {
    const problem = selfTest(engine, suite);
    if (problem !== undefined) return `${suite.word}: ${problem}`;
  }
  return '';
}
