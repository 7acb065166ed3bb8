/**
 * What both families share, by the version in the first four bits: check, length, hop limit, traffic class, upper layer.
 *
 * `at` and `start` are offsets of the IP header. Read first: ipv4.ts, ipv6.ts.
 */
import type { Bytes } from '../core/index.ts';
import type { Address } from './address.ts';
import {
  buildIpv4,
  checkIpv4,
  IPV4_HEADER,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4MoreFragments,
  ipv4Protocol,
  ipv4TimeToLive,
  ipv4TotalLength,
  ipv4TrafficClass,
  setIpv4TimeToLive,
  setIpv4TrafficClass,
} from './ipv4.ts';
import {
  buildIpv6,
  checkIpv6,
  IPV6_HEADER,
  ipv6HopLimit,
  ipv6PayloadLength,
  ipv6TrafficClass,
  setIpv6HopLimit,
  setIpv6TrafficClass,
  type UpperLayer,
  walkIpv6,
} from './ipv6.ts';
import { DROP, PASS } from './verdict.ts';

/** 4, 6, or what else stands there. */
export const ipVersion = (buf: Bytes, at: number): number => buf[at]! >>> 4;

/** PASS, or why no node may process the packet in buf[start, end). */
export function checkIp(buf: Bytes, start: number, end: number): number {
  if (start >= end) return DROP.short;
  const version = ipVersion(buf, start);
  if (version === 4) return checkIpv4(buf, start, end);
  return version === 6 ? checkIpv6(buf, start, end) : DROP.version;
}

/** Octets of the whole packet by its own length field: what lies behind is padding. */
export const ipLength = (buf: Bytes, at: number): number =>
  ipVersion(buf, at) === 4 ? ipv4TotalLength(buf, at) : IPV6_HEADER + ipv6PayloadLength(buf, at);

/** Finds the upper layer, for any octets: PASS, or a DROP code of what made it impossible. */
export function findUpperLayer(buf: Bytes, start: number, end: number, out: UpperLayer): number {
  if (start >= end) return DROP.short;
  if (ipVersion(buf, start) === 6) return walkIpv6(buf, start, end, out);
  if (ipVersion(buf, start) !== 4) return DROP.version;
  if (end - start < IPV4_HEADER) return DROP.short;
  const header = ipv4HeaderLength(buf, start);
  const total = ipv4TotalLength(buf, start);
  if (header < IPV4_HEADER || header > total || total > end - start) return DROP.length;
  out.protocol = ipv4Protocol(buf, start);
  out.at = start + header;
  out.end = start + total;
  out.fragmentOffset = ipv4FragmentOffset(buf, start);
  out.moreFragments = ipv4MoreFragments(buf, start);
  out.fragmentHeader = -1;
  return PASS;
}

/** TTL or hop limit. */
export const hopLimit = (buf: Bytes, at: number): number =>
  ipVersion(buf, at) === 4 ? ipv4TimeToLive(buf, at) : ipv6HopLimit(buf, at);

export function setHopLimit(buf: Bytes, at: number, value: number): void {
  if (ipVersion(buf, at) === 4) setIpv4TimeToLive(buf, at, value);
  else setIpv6HopLimit(buf, at, value);
}

/** DSCP << 2 | ECN. */
export const trafficClass = (buf: Bytes, at: number): number =>
  ipVersion(buf, at) === 4 ? ipv4TrafficClass(buf, at) : ipv6TrafficClass(buf, at);

export function setTrafficClass(buf: Bytes, at: number, value: number): void {
  if (ipVersion(buf, at) === 4) setIpv4TrafficClass(buf, at, value);
  else setIpv6TrafficClass(buf, at, value);
}

export const dscpOf = (trafficClass: number): number => trafficClass >>> 2;
export const ecnOf = (trafficClass: number): number => trafficClass & 3;

/** A copy of the source address, for the control plane. */
export const sourceOf = (buf: Bytes, at: number): Address =>
  ipVersion(buf, at) === 4 ? buf.slice(at + 12, at + 16) : buf.slice(at + 8, at + 24);

/** A copy of the destination address, for the control plane. */
export const destinationOf = (buf: Bytes, at: number): Address =>
  ipVersion(buf, at) === 4 ? buf.slice(at + 16, at + 20) : buf.slice(at + 24, at + 40);

/** Fields of either family; `source` and `destination` decide which. */
export interface IpFields {
  readonly source: Address;
  readonly destination: Address;
  /** TTL or hop limit; default 64. */
  readonly hopLimit?: number;
  readonly trafficClass?: number;
  /** IPv4 only. */
  readonly identification?: number;
  readonly dontFragment?: boolean;
}

/** A fresh packet of the family of its addresses. */
export function buildIp(fields: IpFields & { readonly protocol: number }, payload: Bytes): Bytes {
  const { source, destination, protocol, hopLimit = 64, trafficClass = 0 } = fields;
  if (source.length === 16) return buildIpv6({ source, destination, protocol, hopLimit, trafficClass }, payload);
  const { identification = 0, dontFragment = false } = fields;
  const v4 = { source, destination, protocol, timeToLive: hopLimit, trafficClass, identification, dontFragment };
  return buildIpv4(v4, payload);
}

/** Octets in front of the payload of a packet that `buildIp` makes. */
export const ipHeaderOf = (fields: IpFields): number => (fields.source.length === 16 ? IPV6_HEADER : IPV4_HEADER);
