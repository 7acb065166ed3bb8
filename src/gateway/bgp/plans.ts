/**
 * What the routes of prefixes are: next hops and the ways to them, once for all prefixes that have the same.
 *
 * Read first: RFC 4271 §9.1.2.1. Leaves to others: how an address is reached (`installed.ts`), and which prefix has which plan.
 * A plan never changes. Where a way is another it gets a successor, to which its prefixes go one after the other; until then they have what
 * it says.
 * Invariant: a plan is known as long as a prefix has it or one that it succeeds.
 */
import { DISCARD } from '../../compartment/index.ts';
import { type Address, formatAddress } from '../../ip/index.ts';

/** How a next hop is reached. */
export interface Way {
  /** What a route by it says of its way. */
  readonly interface: number;
  readonly nextHop: Address | undefined;
  readonly text: string;
}

export interface Plan {
  readonly nextHops: readonly Address[];
  readonly preference: number;
  readonly why: string;
  /** Each once; next hops that cannot be reached have none. */
  readonly ways: readonly Way[];
  /** What stands in its place. */
  successor: Plan | undefined;
  /** Prefixes that have it, or will have it in place of one before it. */
  prefixes: number;
}

interface Hop {
  readonly address: Address;
  /** Plans that have it. */
  plans: number;
  way: Way | undefined;
}

export class Plans {
  readonly #wayTo: (address: Address) => Way | undefined;
  /** By the list of their next hops: that is mostly the same one. */
  readonly #byHops = new Map<readonly Address[], Plan[]>();
  /** By their text. */
  readonly #hops = new Map<string, Hop>();
  #last: Plan = NOTHING;

  constructor(wayTo: (address: Address) => Way | undefined) {
    this.#wayTo = wayTo;
  }

  /** For one prefix more. */
  take(nextHops: readonly Address[], preference: number, why: string): Plan {
    let plan = this.#last;
    if (plan.nextHops !== nextHops || plan.preference !== preference || plan.why !== why) {
      const known = this.#byHops.get(nextHops)?.find((each) => each.preference === preference && each.why === why);
      plan = known ?? this.#make(nextHops, preference, why);
      this.#last = plan;
    }
    plan.prefixes += 1;
    return plan;
  }

  /** A prefix has it no more. */
  drop(plan: Plan): void {
    if (plan === NOTHING) return;
    const current = latest(plan);
    current.prefixes -= 1;
    if (current.prefixes > 0) return;
    if (this.#last === current) this.#last = NOTHING;
    const { nextHops } = current;
    const others = this.#byHops.get(nextHops)!.filter((each) => each !== current);
    if (others.length === 0) this.#byHops.delete(nextHops);
    else this.#byHops.set(nextHops, others);
    for (const address of nextHops) this.#letGo(address);
  }

  /** Asks again how next hops are reached; whether plans have successors now. */
  reconsider(): boolean {
    const moved = new Set<Hop>();
    for (const hop of this.#hops.values()) {
      const way = this.#wayTo(hop.address);
      if (way?.text === hop.way?.text) continue;
      hop.way = way;
      moved.add(hop);
    }
    if (moved.size === 0) return false;
    for (const [nextHops, plans] of this.#byHops)
      if (nextHops.some((address) => moved.has(this.#hopAt(address))))
        this.#byHops.set(
          nextHops,
          plans.map((plan) => this.#succeed(plan)),
        );
    this.#last = NOTHING;
    return true;
  }

  #succeed(plan: Plan): Plan {
    plan.successor = { ...plan, ways: this.#waysOf(plan.nextHops) };
    return plan.successor;
  }

  #make(nextHops: readonly Address[], preference: number, why: string): Plan {
    for (const address of nextHops) this.#hold(address);
    const plan = { nextHops, preference, why, ways: this.#waysOf(nextHops), successor: undefined, prefixes: 0 };
    this.#byHops.set(nextHops, [...(this.#byHops.get(nextHops) ?? []), plan]);
    return plan;
  }

  #waysOf(nextHops: readonly Address[]): readonly Way[] {
    if (nextHops === DISCARDED) return [NOWHERE];
    const ways = new Map<string, Way>();
    for (const address of nextHops) {
      const { way } = this.#hopAt(address);
      if (way !== undefined) ways.set(way.text, way);
    }
    return [...ways.values()];
  }

  #hold(address: Address): void {
    const text = formatAddress(address);
    const hop = this.#hops.get(text);
    if (hop === undefined) this.#hops.set(text, { address, plans: 1, way: this.#wayTo(address) });
    else hop.plans += 1;
  }

  #letGo(address: Address): void {
    const hop = this.#hopAt(address);
    hop.plans -= 1;
    if (hop.plans === 0) this.#hops.delete(formatAddress(address));
  }

  #hopAt(address: Address): Hop {
    return this.#hops.get(formatAddress(address))!;
  }
}

/** What stands in place of a plan, or itself. */
export function latest(plan: Plan): Plan {
  let current = plan;
  while (current.successor !== undefined) current = current.successor;
  if (plan !== current) plan.successor = current;
  return current;
}

export const newWay = (out: number, nextHop: Address | undefined): Way => ({
  interface: out,
  nextHop,
  text: `${out} ${nextHop === undefined ? '' : formatAddress(nextHop)}`,
});

const NOWHERE = newWay(DISCARD, undefined);
/** In place of next hops: what the prefix matches is discarded. */
export const DISCARDED: readonly Address[] = [];
/** No routes. */
export const NOTHING: Plan = {
  nextHops: [],
  preference: 0,
  why: '',
  ways: [],
  successor: undefined,
  prefixes: 0,
};
