/**
 * NAT detection: the hashes of addresses and ports.
 *
 * Read first: RFC 7296 §2.23. Port floating and encapsulation are decided by the IKE SA.
 */
import { type Bytes, concat, sameBytes } from '../core/index.ts';
import { sha1 } from '../crypto/index.ts';
import type { Endpoint } from '../ip/index.ts';

/** Data of NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP: SHA-1(SPIi | SPIr | address | port). */
export function natDetectionHash(spiI: Bytes, spiR: Bytes, { address, port }: Endpoint): Bytes {
  return sha1(concat(spiI, spiR, address, Uint8Array.of(port >>> 8, port)));
}

/** Whether a NAT changed `endpoint`: none of the hashes is its own. False without hashes: the peer detects no NATs. */
export function natDetected(hashes: readonly Bytes[], spiI: Bytes, spiR: Bytes, endpoint: Endpoint): boolean {
  if (hashes.length === 0) return false;
  const own = natDetectionHash(spiI, spiR, endpoint);
  return !hashes.some((hash) => sameBytes(hash, own));
}
