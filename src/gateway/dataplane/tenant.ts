/**
 * A tenant in the data plane: its compartment, and what its interface numbers stand for.
 *
 * Invariant: nothing here refers to another tenant.
 */
import { Compartment, type CompartmentOptions, type InterfaceConfig } from '../../compartment/index.ts';
import type { Deadline, Millis, Timed } from '../../core/index.ts';
import type { PlaneTunnel } from './tunnel.ts';

/** What stands behind an interface number: a port of the host's, or a tunnel. */
export type Way = { readonly port: number } | PlaneTunnel;

export class PlaneTenant implements Timed {
  readonly compartment: Compartment;
  readonly ways = new Map<number, Way>();

  constructor(options: CompartmentOptions) {
    this.compartment = new Compartment(options);
  }

  add(config: InterfaceConfig, number: number, cells: Float64Array): void {
    this.compartment.addInterface(config, number, cells);
  }

  deadline(): Deadline | undefined {
    return this.compartment.deadline();
  }

  tick(now: Millis): void {
    this.compartment.expire(now);
  }
}
