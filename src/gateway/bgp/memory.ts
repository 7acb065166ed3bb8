/**
 * What BGP of all tenants may take for path attributes: where it is too much, the tenant with most beyond its share loses the session with
 * most routes (RFC 4486 subcode 8), and the next one, until all fit again. Nobody else hears of it.
 */
import { AttributeBudget } from '../../bgp/index.ts';
import type { Millis } from '../../core/index.ts';
import type { Tenant } from '../tenant.ts';

export class BgpMemory {
  readonly budget = new AttributeBudget();
  readonly #tenants: ReadonlyMap<string, Tenant>;
  #relieving = false;

  constructor(tenants: ReadonlyMap<string, Tenant>) {
    this.#tenants = tenants;
  }

  /** After whatever may have made it more. */
  relieve(now: Millis): void {
    if (this.#relieving || !this.budget.isOverdrawn) return;
    this.#relieving = true;
    while (this.budget.isOverdrawn && this.#shed(now));
    this.#relieving = false;
  }

  #shed(now: Millis): boolean {
    const heaviest = this.budget.heaviest();
    for (const { router } of this.#tenants.values())
      if (router !== undefined && router.account === heaviest) {
        const ended = router.shed(now);
        router.speaker.rib.giveBack();
        return ended;
      }
    return false;
  }
}
