/** Stateless cookies of a responder. RFC 7296 §2.6. */
import type { Bytes, Millis, Random } from '../core/index.ts';
import type { Endpoint } from '../ip/index.ts';

export declare class CookieJar {
  constructor(random: Random);
  make(nonceI: Bytes, peer: Endpoint, spiI: Bytes, now: Millis): Bytes;
  check(cookie: Bytes, nonceI: Bytes, peer: Endpoint, spiI: Bytes, now: Millis): boolean;
}
