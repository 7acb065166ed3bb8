/**
 * A tenant in the data plane: its compartment, and what its interface numbers stand for.
 *
 * Invariant: nothing here refers to another tenant.
 */
import { Compartment, type CompartmentOptions } from '../../compartment/index.ts';
import type { Deadline, Millis, Timed } from '../../core/index.ts';
import type { NatSettings, PlaneCommand } from './contract.ts';
import type { Way } from './layout.ts';

type AddInterface = Extract<PlaneCommand, { do: 'add-interface' }>;

export class PlaneTenant implements Timed {
  touched = false;
  /** TCP to own addresses is told to control. */
  transport = false;
  readonly compartment: Compartment;
  readonly ways = new Map<number, Way>();
  readonly #cells: number;
  readonly #interfaces = new Map<number, AddInterface>();

  /** `cells`: the slot its counters stand in. */
  constructor(options: CompartmentOptions, cells: number) {
    this.compartment = new Compartment(options);
    this.#cells = cells;
  }

  add(command: AddInterface, cells: Float64Array): void {
    this.#interfaces.set(command.interface, command);
    this.compartment.addInterface(command.config, command.interface, cells);
  }

  /** The NAT of a link is another one now. */
  setNat(number: number, settings: NatSettings): void {
    const command = this.#interfaces.get(number);
    if (command === undefined || !('link' in command.way) || command.way.nat === undefined) return;
    const nat = { ...command.way.nat, ...settings };
    this.#interfaces.set(number, { ...command, way: { ...command.way, nat } });
  }

  remove(number: number): void {
    this.#interfaces.delete(number);
    this.ways.delete(number);
    this.compartment.removeInterface(number);
  }

  /** What makes another one like it. */
  describe(): PlaneCommand[] {
    const { number: compartment, name } = this.compartment;
    const commands: PlaneCommand[] = [{ do: 'add-compartment', compartment, name, cells: this.#cells }];
    commands.push(...this.#interfaces.values());
    for (const { number, up } of this.compartment.interfaces())
      if (!up) commands.push({ do: 'set-up', compartment, interface: number, up });
    if (this.transport) commands.push({ do: 'set-transport', compartment, on: true });
    for (const route of this.compartment.routes())
      if (route.origin !== 'connected') commands.push({ do: 'add-route', compartment, route });
    for (const [number, { behind }] of this.ways)
      for (const prefix of behind.kind === 'segment' ? behind.segment.answered.values() : [])
        commands.push({ do: 'answer-for', compartment, interface: number, prefix, on: true });
    return commands;
  }

  deadline(): Deadline | undefined {
    return this.compartment.deadline();
  }

  tick(now: Millis): void {
    this.compartment.expire(now);
  }
}
