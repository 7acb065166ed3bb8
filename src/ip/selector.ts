/**
 * Traffic selectors as plain data, because IKE negotiates them, ESP checks them and compartments route by them.
 * Matching and set arithmetic stand in this file; the payload format stands in `ike/`.
 */
import type { Address, Prefix } from './address.ts';

/** RFC 7296 §3.13.1: an address range, a protocol and a port range. */
export interface TrafficSelector {
  /** 0 is any. */
  readonly protocol: number;
  /** For ICMP and ICMPv6 type and code as type << 8 | code (RFC 4301 §4.4.1.1). OPAQUE is startPort 65535, endPort 0. */
  readonly startPort: number;
  readonly endPort: number;
  readonly start: Address;
  readonly end: Address;
}

export interface SelectorPair {
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

export type { Prefix };
