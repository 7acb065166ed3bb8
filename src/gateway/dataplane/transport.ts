/**
 * TCP for a compartment's own addresses, on its way to the endpoint that control has: packets as the wire has them, copied.
 *
 * A superframe becomes the packets it was made of, with their checksums. What finds no buffer, and what is more than a tenant may have
 * of control's time, is counted and lost, as on a wire: TCP adapts to it.
 */
import { TokenBucket } from '../../compartment/index.ts';
import { completeChecksum, cutSuperframe, DROP, octetsOf, type Packet } from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';
import type { PlaneTenant } from './tenant.ts';

/** True: taken care of; the packet stays the caller's. */
export function tellTransport(plane: DataPlane, tenant: PlaneTenant, packet: Packet): boolean {
  const { number: compartment } = tenant.compartment;
  const tell = (whole: Packet) => {
    if (!tenant.transportRate.take(plane.now, whole.end - whole.start + SEGMENT_COST))
      plane.drops[DROP.tcpRefused]! += 1;
    else plane.tell({ type: 'transport', compartment, octets: octetsOf(whole).slice() });
  };
  if (packet.segment === 0) {
    completeChecksum(packet);
    tell(packet);
    return true;
  }
  const { pool } = plane;
  const pieces: Packet[] = [];
  if (cutSuperframe(packet, pool, pieces) === 0) plane.drops[DROP.noBuffer]! += 1;
  for (const piece of pieces) {
    tell(piece);
    pool.release(piece);
  }
  return true;
}

/** Of one compartment's TCP: full segments of 1,500 octets come to 8 MB a second; 100,000 prefixes, each in an UPDATE of its own, to about as much. */
export const transportBucket = (): TokenBucket => new TokenBucket(OCTETS_A_SECOND, OCTETS_AT_ONCE);

const OCTETS_A_SECOND = 1 << 24;
const OCTETS_AT_ONCE = 1 << 22;
/** Octets that each segment counts as besides its own: small ones are work, too. */
const SEGMENT_COST = 1500;
