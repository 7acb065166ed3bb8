/**
 * Static rules, found by external port and by inner endpoint.
 *
 * Two external ports may lead to one inner endpoint; what it sends first leaves by the port of the first such rule.
 */
import { invariant } from '../core/index.ts';
import type { NatRule } from './contract.ts';

export class RuleTable {
  readonly rules: readonly NatRule[];
  readonly #byExternal: ReadonlyMap<number, NatRule>;
  /** By address as a signed number, then protocol and port: V8 allocates none of those keys. */
  readonly #byInner: ReadonlyMap<number, Map<number, number[]>>;

  constructor(rules: readonly NatRule[]) {
    this.rules = rules;
    const byExternal = new Map<number, NatRule>();
    const byInner = new Map<number, Map<number, number[]>>();
    for (const rule of rules) {
      const external = keyOf(rule.protocol, rule.externalPort);
      invariant(!byExternal.has(external), 'an external port and protocol have one rule');
      byExternal.set(external, rule);
      const endpoints = byInner.get(rule.address | 0) ?? new Map<number, number[]>();
      byInner.set(rule.address | 0, endpoints);
      const ports = endpoints.get(keyOf(rule.protocol, rule.port)) ?? [];
      endpoints.set(keyOf(rule.protocol, rule.port), ports);
      ports.push(rule.externalPort);
    }
    this.#byExternal = byExternal;
    this.#byInner = byInner;
  }

  get size(): number {
    return this.rules.length;
  }

  /** The rule of an external port. */
  find(protocol: number, externalPort: number): NatRule | undefined {
    return this.#byExternal.size === 0 ? undefined : this.#byExternal.get(keyOf(protocol, externalPort));
  }

  /** The external ports that lead to an inner endpoint, in the order of the rules. */
  portsOf(protocol: number, inner: number, innerPort: number): readonly number[] | undefined {
    return this.#byInner.size === 0 ? undefined : this.#byInner.get(inner | 0)?.get(keyOf(protocol, innerPort));
  }
}

/** Of every NAT without rules. */
export const NO_RULES = new RuleTable([]);

const keyOf = (protocol: number, port: number): number => (protocol << 16) | port;
