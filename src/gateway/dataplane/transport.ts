/**
 * TCP for a compartment's own addresses, on its way to the endpoint that control has: packets as the wire has them, copied.
 *
 * A superframe becomes the packets it was made of, with their checksums. What finds no buffer is counted and lost, as on a wire.
 */
import { completeChecksum, cutSuperframe, DROP, octetsOf, type Packet } from '../../ip/index.ts';
import type { DataPlane } from './plane.ts';

/** True: taken care of; the packet stays the caller's. */
export function tellTransport(plane: DataPlane, compartment: number, packet: Packet): boolean {
  const tell = (whole: Packet) => plane.tell({ type: 'transport', compartment, octets: octetsOf(whole).slice() });
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
