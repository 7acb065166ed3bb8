/**
 * What the attribute sets of several routers may take together, shared fairly.
 *
 * As long as all fit, a router takes what it needs. Where they do not, who has more than an equal share gets nothing more (`isOver`), and who
 * has least right to it gives back (`heaviest`): a router within its share is never refused for the sake of others.
 * Invariant: where more is held than the limit, at least one has more than its share.
 */

/** Of all routers of a process. */
export const BUDGET_OCTETS = 1 << 30;

export class AttributeBudget {
  limit: number;
  /** Sessions that were ended because of it. */
  refused = 0;
  readonly #accounts = new Set<AttributeAccount>();
  #held = 0;

  constructor(limit = BUDGET_OCTETS) {
    this.limit = limit;
  }

  open(): AttributeAccount {
    const account = new AttributeAccount(this, (more) => {
      this.#held += more;
    });
    this.#accounts.add(account);
    return account;
  }

  close(account: AttributeAccount): void {
    account.report(0);
    this.#accounts.delete(account);
  }

  get size(): number {
    return this.#accounts.size;
  }

  get held(): number {
    return this.#held;
  }

  get share(): number {
    return Math.floor(this.limit / Math.max(1, this.#accounts.size));
  }

  get isOverdrawn(): boolean {
    return this.#held > this.limit;
  }

  /** Who has most beyond its share; undefined: nobody has. */
  heaviest(): AttributeAccount | undefined {
    let heaviest: AttributeAccount | undefined;
    for (const account of this.#accounts)
      if (account.held > Math.max(this.share, heaviest?.held ?? 0)) heaviest = account;
    return heaviest;
  }
}

/** What one router has of it. */
export class AttributeAccount {
  readonly budget: AttributeBudget;
  readonly #changed: (more: number) => void;
  #held = 0;

  constructor(budget: AttributeBudget, changed: (more: number) => void) {
    this.budget = budget;
    this.#changed = changed;
  }

  get held(): number {
    return this.#held;
  }

  report(held: number): void {
    this.#changed(held - this.#held);
    this.#held = held;
  }

  /** Nothing more for this one. */
  get isOver(): boolean {
    return this.budget.isOverdrawn && this.#held > this.budget.share;
  }

  /** Why a session is ended. */
  get words(): string {
    const { held, limit, share } = this.budget;
    const all = `path attributes of all routers take ${held} octets, ${limit} are allowed`;
    return `${all}: ${this.#held} of them are this one's, whose share is ${share}`;
  }
}
