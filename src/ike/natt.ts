/** NAT detection. RFC 7296 §2.23. */
import type { Bytes } from '../core/index.ts';
import type { Endpoint } from '../ip/index.ts';

/** Data of NAT_DETECTION_SOURCE_IP or _DESTINATION_IP. */
export declare function natDetectionHash(spiI: Bytes, spiR: Bytes, endpoint: Endpoint): Bytes;
/** Whether `endpoint` is not among the hashes: a NAT stands in between. False when there are none (no NAT detection). */
export declare function natDetected(hashes: readonly Bytes[], spiI: Bytes, spiR: Bytes, endpoint: Endpoint): boolean;
