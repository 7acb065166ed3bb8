/**
 * Verdicts of the fast path: PASS, or why a packet went no further. Small integers index counters; the texts are for people.
 * One table for the whole data path, so that a number means the same in every stage.
 */

export const PASS = 0;

export const DROP = {
  short: 1,
  version: 2,
  length: 3,
  checksum: 4,
  martian: 5,
  options: 6,
  hopLimit: 7,
  noRoute: 8,
  tooBig: 9,
  prohibited: 10,
  notForwarded: 11,
  protocolUnreachable: 12,
  portUnreachable: 13,
  noBuffer: 14,
  queueFull: 15,
  linkDown: 16,
  espShort: 17,
  espUnknownSpi: 18,
  espReplay: 19,
  espIntegrity: 20,
  espPadding: 21,
  espDummy: 22,
  espNextHeader: 23,
  espSelector: 24,
  espExpired: 25,
  espSequence: 26,
  noSa: 27,
  keepalive: 28,
  malformedIke: 29,
  hopOptions: 30,
  fragment: 31,
  ecnIllegal: 32,
  notOurs: 33,
  noRoom: 34,
  bounce: 35,
  superframe: 36,
  strayed: 37,
  gre: 38,
  vsid: 39,
  vlanTag: 40,
  etherType: 41,
  neighbourMessage: 42,
  neighbour: 43,
  spoofed: 44,
  noRecord: 45,
  replication: 46,
  natNoSession: 47,
  natFiltered: 48,
  natNoPort: 49,
  natLimit: 50,
  natProtocol: 51,
  discarded: 52,
  ikeRefused: 53,
  tcpRefused: 54,
  strayRefused: 55,
} as const;

export type DropReason = keyof typeof DROP;

export const DROP_TEXT: Readonly<Record<DropReason, string>> = {
  short: 'shorter than its header',
  version: 'neither IPv4 nor IPv6',
  length: 'a length field disagrees with the packet',
  checksum: 'wrong header checksum',
  martian: 'a source or destination address no packet may have',
  options: 'malformed IPv4 options, or a source route',
  hopLimit: 'TTL or hop limit ran out',
  noRoute: 'no route to the destination',
  tooBig: 'larger than the MTU of the way out and not to be fragmented',
  prohibited: 'the way out admits no such traffic',
  notForwarded: 'multicast, broadcast or link-local: not routed',
  protocolUnreachable: 'for this host, but no such protocol here',
  portUnreachable: 'for this host, but nothing listens on that port',
  noBuffer: 'the packet pool is empty',
  queueFull: 'the queue of packets waiting for a tunnel or a neighbour is full',
  linkDown: 'the interface is down',
  espShort: 'ESP packet shorter than its headers and ICV',
  espUnknownSpi: 'no SA has this SPI',
  espReplay: 'sequence number seen before or left of the replay window',
  espIntegrity: 'ICV does not verify',
  espPadding: 'ESP trailer does not fit or its padding is wrong',
  espDummy: 'dummy packet (next header 59)',
  espNextHeader: 'next header is not IP in a tunnel-mode SA',
  espSelector: "inner addresses outside the SA's traffic selectors",
  espExpired: 'hard lifetime of the SA reached',
  espSequence: 'sequence numbers of the SA are used up',
  noSa: 'no Child SA for this traffic',
  keepalive: 'NAT keepalive',
  malformedIke: 'IKE message that cannot be understood',
  hopOptions: 'extension header that a router must refuse',
  fragment: 'fragment that overlaps, is too short, or reaches beyond 65,535',
  ecnIllegal: 'outer CE over an inner packet that is not ECN-capable',
  notOurs: 'for another address of this segment',
  noRoom: 'no room around the packet for its encapsulation',
  bounce: 'its way out is the point-to-point link it came in by',
  strayed: 'for another thread of the data plane, handed on by control',
  superframe: 'superframe whose protocol, flags or segment size rule out cutting it',
  gre: 'GRE that is not NVGRE: other flags, version or protocol, or cut short',
  vsid: 'no virtual subnet here has this VSID',
  vlanTag: 'an inner frame with a VLAN tag',
  etherType: 'a frame that is neither IP nor ARP',
  neighbourMessage: 'malformed ARP or neighbour discovery',
  neighbour: 'the next hop does not answer for its address',
  spoofed: 'a source MAC or address that is not of its sender',
  noRecord: 'no lookup record for the destination',
  replication: 'more receivers of a broadcast than are served',
  natNoSession: 'no NAT session and no rule for it',
  natFiltered: 'from an address the session has not sent to',
  natNoPort: 'every external port of the NAT address is in use',
  natLimit: 'the NAT sessions of the tenant are at their limit',
  natProtocol: 'a protocol that has nothing for NAT to translate',
  discarded: 'the longest match is a discard route',
  ikeRefused: 'IKE messages, of all or of one address, beyond what control takes at a time',
  tcpRefused: 'TCP for the gateway itself, of all or of one tenant, beyond what control takes at a time',
  strayRefused: 'for another thread of the data plane, beyond what control hands on at a time',
};

export const DROP_NAMES: readonly (DropReason | 'pass')[] = (() => {
  const names: (DropReason | 'pass')[] = ['pass'];
  for (const [name, code] of Object.entries(DROP)) names[code] = name as DropReason;
  return names;
})();

export const DROP_COUNT = DROP_NAMES.length;

/** One counter a reason; doubles count exactly to 2^53. */
export const dropCounters = (): Float64Array => new Float64Array(DROP_COUNT);

/** The reasons that occurred, by name. */
export function dropsByName(counters: Float64Array): Partial<Record<DropReason, number>> {
  const out: Partial<Record<DropReason, number>> = {};
  for (let code = 1; code < DROP_COUNT; code++) {
    if (counters[code]! > 0) out[DROP_NAMES[code] as DropReason] = counters[code]!;
  }
  return out;
}
