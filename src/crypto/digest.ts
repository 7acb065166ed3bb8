/** Hashes that protocols name outside of any negotiation: NAT detection (RFC 7296 §2.23), cookies (§2.6), TCP signatures (RFC 2385). */
import { createHash, createHmac } from 'node:crypto';
import type { Bytes } from '../core/index.ts';
import { octets } from './octets.ts';

/** SHA-1 of the concatenated parts. Only for NAT detection, where no collision matters. */
export const sha1 = (...parts: readonly Bytes[]): Bytes => fed(createHash('sha1'), parts);

/** For TCP (RFC 2385, RFC 6528) only, which name no other. */
export const md5 = (...parts: readonly Bytes[]): Bytes => fed(createHash('md5'), parts);

export const sha256 = (...parts: readonly Bytes[]): Bytes => fed(createHash('sha256'), parts);

export const hmacSha256 = (key: Bytes, ...parts: readonly Bytes[]): Bytes => fed(createHmac('sha256', key), parts);

interface Context {
  update(part: Bytes): unknown;
  digest(): Uint8Array;
}

function fed(context: Context, parts: readonly Bytes[]): Bytes {
  for (const part of parts) context.update(part);
  return octets(context.digest());
}
