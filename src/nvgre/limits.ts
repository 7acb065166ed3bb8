/** The defaults of a tenant's bounds in the virtual switch, each with its source. */
import type { SwitchLimits } from './contract.ts';

export const SWITCH_LIMITS: SwitchLimits = {
  // More than a /16 has addresses; a record takes about 800 octets.
  records: 100_000,
  routes: 10_000,
  // Four times the neighbours Linux keeps on all its interfaces (net.ipv4.neigh.default.gc_thresh3).
  dynamicPerSubnet: 4096,
  // An interface with the temporary addresses of RFC 8981, several prefixes and a few of a cluster's.
  dynamicPerMac: 64,
  // IEEE 802.1Q §8.8.3: the recommended ageing time of what a bridge has learned.
  dynamicAgeMs: 300_000,
  // A virtual subnet spread over so many hosts and ports of this one; the original's gateways serve 50 to 100 networks.
  copies: 256,
  // DHCP, NetBIOS and the like of some thousand VMs; no tenant's broadcasts fill the fabric.
  copiesPerSecond: 20_000,
  copyBurst: 4_096,
};
