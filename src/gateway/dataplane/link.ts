/**
 * A link between a tenant's compartment and compartment 1, by which its packets leave for the external network and come back:
 * translated, where it has a NAT, or as they are.
 *
 * Read first: nat/nat.ts. The external address is a door into the tenant's compartment, and so is each prefix that compartment 1
 * routes here; a source from the other side of a link is taken for what it says only there (`Compartment.receive`).
 * A packet for the tenant's own external address goes out and comes back in (hairpinning), because compartment 1 routes it so.
 * Invariant: each packet given is refused to the compartment it comes from, or enters the other one.
 */
import type { Interface } from '../../compartment/index.ts';
import type { AgendaEntry, Deadline, Millis, Timed } from '../../core/index.ts';
import { DROP, ipVersion, ipv4IsFragment, PASS, type Packet } from '../../ip/index.ts';
import { Nat } from '../../nat/index.ts';
import { NAT_REFUSED_AT } from './cells.ts';
import type { NatParameters, NatSettings } from './contract.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneTenant } from './tenant.ts';

/** One side: a compartment, and its interface. */
interface Side {
  readonly tenant: PlaneTenant;
  readonly into: Interface;
}

export class PlaneLink implements Timed {
  touched = false;
  entry: AgendaEntry | undefined = undefined;
  inside: Side | undefined;
  outside: Side | undefined;
  readonly #plane: DataPlane;
  /** What a NAT is made of with the first packet; it goes with its last session. Undefined: packets pass as they are. */
  #parameters: NatParameters | undefined;
  #nat: Nat | undefined;

  constructor(plane: DataPlane) {
    this.#plane = plane;
  }

  translate(parameters: NatParameters): void {
    this.#parameters = parameters;
    this.#nat = undefined;
    const cells = this.#plane.cellsAt(parameters.cells).fill(0);
    cells.fill(Number.NEGATIVE_INFINITY, NAT_REFUSED_AT, NAT_REFUSED_AT + 2);
  }

  /** Where packets have passed already. */
  get natInUse(): Nat | undefined {
    return this.#nat;
  }

  get nat(): Nat | undefined {
    if (this.#nat !== undefined || this.#parameters === undefined) return this.#nat;
    const { cells, ...settings } = this.#parameters;
    this.#nat = new Nat({ ...settings, random: this.#plane.random, ...this.#plane.placeOf(cells) });
    return this.#nat;
  }

  /** As it is from now on, here and in what is made like it. */
  reconfigure(settings: NatSettings): void {
    if (this.#parameters !== undefined) this.#parameters = { ...this.#parameters, ...settings };
    this.#nat?.reconfigure(settings);
    this.#plane.touch(this);
    this.inside?.tenant.setNat(this.inside.into.number, settings);
  }

  /** From the tenant. */
  leave(packet: Packet, now: Millis): void {
    this.#pass(packet, this.inside, this.outside, true, now);
  }

  /** From compartment 1. */
  enter(packet: Packet, now: Millis): void {
    this.#pass(packet, this.outside, this.inside, false, now);
  }

  deadline(): Deadline | undefined {
    return this.#nat?.deadline();
  }

  tick(now: Millis): void {
    this.#nat?.expire(now);
    if (this.#nat?.deadline() === undefined) this.#nat = undefined;
  }

  #pass(packet: Packet, from: Side | undefined, to: Side | undefined, outward: boolean, now: Millis): void {
    const { nat } = this;
    if (from === undefined) return this.#plane.drop(packet, DROP.linkDown);
    const { compartment } = from.tenant;
    if (to === undefined) return compartment.refuse(packet, DROP.linkDown, now);
    if (nat === undefined) {
      if (this.#plane.tapping) this.#plane.tap.passed(packet);
      return this.#enter(from, to, outward, packet, now);
    }
    const verdict = outward ? nat.outbound(packet, now) : nat.inbound(packet, now);
    // Only the first session, and a fragment that waits, are due before what is known already.
    if (this.entry === undefined || verdict === DROP.fragment) this.#plane.touch(this);
    if (verdict !== PASS) {
      if (verdict === DROP.natNoPort) this.#noteRefusal(NAT_REFUSED_AT, now);
      else if (verdict === DROP.natLimit) this.#noteRefusal(NAT_REFUSED_AT + 1, now);
      return compartment.refuse(packet, verdict, now);
    }
    if (this.#plane.tapping) this.#plane.tap.translated(packet, outward);
    const first = ipVersion(packet.buf, packet.start) === 4 && ipv4IsFragment(packet.buf, packet.start);
    this.#enter(from, to, outward, packet, now);
    if (first) this.#follow(nat, from, to, outward, now);
  }

  /** In compartment 1 a packet stays its tenant's. */
  #enter(from: Side, to: Side, outward: boolean, packet: Packet, now: Millis): void {
    if (outward) this.#plane.enterFrom(from.tenant, to.tenant, to.into, packet, now);
    else this.#plane.enter(to.tenant, to.into, packet, now);
  }

  #noteRefusal(cell: number, now: Millis): void {
    this.#plane.cellsAt(this.#parameters!.cells)[cell] = now;
  }

  /** Fragments that waited for the one that has passed. */
  #follow(nat: Nat, from: Side, to: Side, outward: boolean, now: Millis): void {
    const { pool } = this.#plane;
    for (;;) {
      const packet = pool.take();
      if (packet === undefined) return;
      if (!(outward ? nat.followOutbound(packet, now) : nat.followInbound(packet, now))) return pool.release(packet);
      this.#enter(from, to, outward, packet, now);
    }
  }
}
