/** The defaults of a compartment's bounds, each with its source. */
import type { CompartmentLimits } from './contract.ts';

export const COMPARTMENT_LIMITS: CompartmentLimits = {
  interfaces: 4096,
  // As many as a full BGP table of a large site; one candidate is about 200 octets.
  routes: 100_000,
  // Linux: net.ipv4.icmp_msgs_per_sec and icmp_msgs_burst, there for the whole host, here for each tenant.
  icmpErrorsPerSecond: 1000,
  icmpErrorBurst: 50,
  pings: 256,
  pingTimeoutMs: 2000,
  // Only datagrams to the compartment's own addresses are put together: large pings.
  reassemblies: 16,
};
