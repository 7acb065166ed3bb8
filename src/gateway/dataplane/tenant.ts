/**
 * A tenant in the data plane: its compartment, and what its interface numbers stand for.
 *
 * Invariant: nothing here refers to another tenant.
 */
import { Compartment, type Interface, type PingResult, type Sink } from '../../compartment/index.ts';
import type { AgendaEntry, Deadline, Millis, Timed } from '../../core/index.ts';
import { type Address, DROP, type Packet } from '../../ip/index.ts';
import type { CellPlace } from './cells.ts';
import type { NatSettings, PlaneCommand } from './contract.ts';
import type { PlaneLink } from './link.ts';
import type { DataPlane } from './plane.ts';
import { tellTransport, transportBucket } from './transport.ts';
import type { Way } from './ways.ts';

type AddInterface = Extract<PlaneCommand, { do: 'add-interface' }>;

export class PlaneTenant implements Timed, Sink {
  touched = false;
  entry: AgendaEntry | undefined = undefined;
  /** TCP to own addresses is told to control. */
  hasTransport = false;
  readonly transportRate = transportBucket();
  readonly compartment: Compartment;
  readonly ways = new Map<number, Way>();
  /** Its way to compartment 1. */
  outside: PlaneLink | undefined;
  readonly #plane: DataPlane;
  readonly #cells: number;

  /** `cells`: the slot its counters stand in. */
  constructor(plane: DataPlane, name: string, number: number, cells: number) {
    const { pool, random } = plane;
    this.#plane = plane;
    this.compartment = new Compartment({ name, number, pool, random, sink: this, ...plane.placeOf(cells) });
    this.#cells = cells;
  }

  // For the compartment: its decisions.

  emit(packet: Packet, out: number, nextHop: Address | undefined): void {
    const { now, tapping, tap } = this.#plane;
    const way = this.ways.get(out);
    if (tapping) tap.left(this, out, nextHop, packet, now);
    if (way === undefined) this.compartment.refuse(packet, DROP.linkDown, now);
    else way.transmit(packet, nextHop, now);
  }

  /** Reads where packets go that leave by an interface: see `look-ahead.ts`. */
  touchWay(out: Interface): number {
    return this.ways.get(out.number)?.command === undefined ? 0 : 1;
  }

  dropped(packet: Packet, reason: number): void {
    const { now, tapping, tap } = this.#plane;
    if (tapping) tap.dropped(packet, reason, this.compartment.number, now);
  }

  consumed(packet: Packet): void {
    const { tapping, tap } = this.#plane;
    if (tapping) tap.delivered(packet);
  }

  transport(packet: Packet): boolean {
    return this.hasTransport && tellTransport(this.#plane, this, packet);
  }

  pinged(result: PingResult): void {
    this.#plane.tell({ type: 'pinged', compartment: this.compartment.number, result });
  }

  add(command: AddInterface, { cells, first }: CellPlace): void {
    this.compartment.addInterface(command.config, command.interface, cells, first);
  }

  /** The NAT of a link is another one now. */
  setNat(number: number, settings: NatSettings): void {
    const way = this.ways.get(number);
    const parameters = way?.command.way;
    if (way === undefined || parameters === undefined || !('link' in parameters)) return;
    if (parameters.nat === undefined) return;
    const nat = { ...parameters.nat, ...settings };
    way.command = { ...way.command, way: { ...parameters, nat } };
  }

  remove(number: number): void {
    this.ways.delete(number);
    this.compartment.removeInterface(number);
  }

  /** What makes another one like it. */
  describe(): PlaneCommand[] {
    const { number: compartment, name } = this.compartment;
    const commands: PlaneCommand[] = [{ do: 'add-compartment', compartment, name, cells: this.#cells }];
    for (const { command } of this.ways.values()) commands.push(command);
    for (const { number, up } of this.compartment.interfaces())
      if (!up) commands.push({ do: 'set-up', compartment, interface: number, up });
    if (this.hasTransport) commands.push({ do: 'set-transport', compartment, on: true });
    for (const route of this.compartment.routes())
      if (route.origin !== 'connected') commands.push({ do: 'add-route', compartment, route });
    for (const [number, way] of this.ways)
      for (const prefix of way.kind === 'segment' ? way.segment.answered : [])
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
