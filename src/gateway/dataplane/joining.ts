/**
 * TCP out of the virtual networks: consecutive packets of one flow become a superframe before their compartment sees them, so that they are
 * routed, translated and sealed once.
 *
 * Read first: ip/coalesce.ts; ingress.ts, which does the same behind tunnels. What joins is checked before: a superframe has a header
 * of its own, and hides those it was made of. Packets wait until the batch ends, or one comes by another port.
 * Deliberate limit: TCP only, as Linux does for what it forwards: where a device takes no superframes of UDP they would be cut again.
 * Invariants: packets of two compartments, and of two ports of one, never become one; those of a TCP flow keep their order.
 */
import type { Interface } from '../../compartment/index.ts';
import type { Millis } from '../../core/index.ts';
import {
  Coalescer,
  checkIp,
  IP_PROTOCOL,
  ipVersion,
  ipv4Protocol,
  ipv6NextHeader,
  PASS,
  type Packet,
} from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneTenant } from './tenant.ts';

export class Joining {
  readonly #plane: DataPlane;
  readonly #coalescer: Coalescer | undefined;
  /** Whose packets the coalescer holds: the compartment, and the interface they come by. */
  #tenant: PlaneTenant | undefined;
  #into: Interface | undefined;
  /** What leaves may come in again by another port: it is not held. */
  #leaving = false;
  /** Begins without a value: see `DataPlane`. */
  #now: Millis | undefined;

  constructor(plane: DataPlane, superframes: boolean) {
    this.#plane = plane;
    if (superframes)
      this.#coalescer = new Coalescer({
        pool: plane.pool,
        emit: (packet) => {
          this.#leaving = true;
          plane.enter(this.#tenant!, this.#into!, packet, this.#now!);
          this.#leaving = false;
        },
        grows: (packet) => this.#tenant!.compartment.forwards(packet, this.#into!.number),
      });
  }

  /** Packets wait for `flush`. */
  get pending(): boolean {
    return this.#coalescer !== undefined && this.#coalescer.held > 0;
  }

  /** An IP packet enters a compartment by an interface, now or at `flush`. */
  add(tenant: PlaneTenant, into: Interface, packet: Packet, now: Millis): void {
    if (this.#coalescer === undefined || this.#leaving || !mayJoin(packet))
      return this.#plane.enter(tenant, into, packet, now);
    if (into !== this.#into) {
      this.flush(now);
      this.#tenant = tenant;
      this.#into = into;
    }
    this.#now = now;
    this.#coalescer.add(packet);
  }

  flush(now: Millis): void {
    if (!this.pending) return;
    this.#now = now;
    this.#coalescer!.flush();
  }
}

/** Of a packet that is not checked yet. */
function mayJoin({ buf, start, end, segment }: Packet): boolean {
  if (segment > 0) return false;
  const protocol = ipVersion(buf, start) === 4 ? ipv4Protocol(buf, start) : ipv6NextHeader(buf, start);
  return protocol === IP_PROTOCOL.tcp && checkIp(buf, start, end) === PASS;
}
