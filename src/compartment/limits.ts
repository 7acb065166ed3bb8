/** The defaults of the bounds of a compartment and of a segment, each with its source. */
import type { CompartmentLimits } from './contract.ts';
import type { SegmentLimits } from './segment-contract.ts';

export const COMPARTMENT_LIMITS: CompartmentLimits = {
  interfaces: 4096,
  // As many as a full BGP table of a large site; one candidate is about 200 octets.
  routes: 1_000_000,
  // Linux: net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst, there for the whole host, here for each tenant.
  icmpErrorsPerSecond: 1000,
  icmpErrorBurst: 50,
  pings: 256,
  pingTimeoutMs: 2000,
  // Only datagrams to the compartment's own addresses are put together: large pings.
  reassemblies: 16,
};

export const SEGMENT_LIMITS: SegmentLimits = {
  // Four times net.ipv4.neigh.default.gc_thresh3 of Linux: a segment may be a virtual subnet of a /20.
  neighbours: 4096,
  // A quarter: a scan of the network leaves three for whoever is known.
  unresolved: 1024,
  // As many as wait for a tunnel.
  waiting: 64,
  // Half of them: the next hop outside is one neighbour for all tenants (RFC 4861 §7.2.2 wants one packet at least).
  waitingEach: 32,
  // An external address each for four thousand tenants.
  answered: 4096,
  // RFC 4861 §10: REACHABLE_TIME, RETRANS_TIMER, MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT, DELAY_FIRST_PROBE_TIME.
  reachableMs: 30_000,
  retransmitMs: 1000,
  solicitations: 3,
  delayMs: 5000,
  // BSD's arpt_keep; nobody is sent to without being checked, however long he is kept.
  staleMs: 1_200_000,
  failedMs: 60_000,
  // RFC 5227 §1.1: ANNOUNCE_INTERVAL, for two announcements, and DEFEND_INTERVAL.
  announceMs: 2000,
  defendMs: 10_000,
};
