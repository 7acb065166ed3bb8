/** The commands about NAT, virtual networks and the ways of packets. */
import { COMMON, TENANT } from './common-flags.ts';
import { decimal, type Flag, type Leaf, wholeNumber } from './flags.ts';

const LIKENESS = 'With worker threads this knows the policy, not what was learned from packets';

const NAT_FILTERS: readonly Flag[] = [
  { flags: '--inner <endpoint>', text: 'of this inner address, IP or IP:PORT' },
  { flags: '--remote <endpoint>', text: 'with this remote address, IP or IP:PORT' },
  { flags: '--protocol <name>', text: 'tcp, udp or icmp' },
];

const BOUNDS: readonly Flag[] = [
  { flags: '-n, --count <number>', text: 'packets, default until Ctrl-C', parse: wholeNumber(1, 1_000_000) },
  { flags: '--seconds <seconds>', text: 'at most so long', parse: decimal(0.1, 86_400) },
];

export const NETWORK_LEAVES: readonly Leaf[] = [
  {
    usage: 'neighbours',
    text: 'Show who is known on the Ethernet segments and in the virtual subnets of a tenant (ARP, ND)',
    example: 'bulkhead neighbours --tenant fabrikam',
    flags: [{ ...TENANT, text: 'whose neighbours; default is compartment 1' }, ...COMMON],
    run: async (call) => (await import('./nvgre.ts')).showNeighbours(call),
  },
  {
    usage: 'nat list',
    text: 'Show who is behind which external address, and what was refused (the default)',
    example: 'bulkhead nat',
    flags: [TENANT, ...COMMON],
    isDefault: true,
    run: async (call) => (await import('./nat.ts')).listNats(call),
  },
  {
    usage: 'nat sessions',
    text: 'Show NAT sessions of a tenant',
    example: 'bulkhead nat sessions --tenant fabrikam --inner 10.1.0.10 --protocol tcp',
    flags: [
      { ...TENANT, text: 'whose sessions' },
      ...NAT_FILTERS,
      { flags: '--limit <number>', text: 'at most so many, default 100', parse: wholeNumber(1, 1000) },
      ...COMMON,
    ],
    run: async (call) => (await import('./nat.ts')).showSessions(call),
  },
  {
    usage: 'nat flush',
    text: 'End NAT sessions of a tenant: all, or those that the filters name',
    example: 'bulkhead nat flush --tenant fabrikam --remote 192.0.2.80:443',
    flags: [{ ...TENANT, text: 'whose sessions' }, ...NAT_FILTERS, ...COMMON],
    run: async (call) => (await import('./nat.ts')).flush(call),
  },
  {
    usage: 'nvgre records',
    text: `Show the lookup table: which VM is at which provider address (the default). ${LIKENESS}`,
    example: 'bulkhead nvgre --tenant fabrikam',
    flags: [TENANT, ...COMMON],
    isDefault: true,
    run: async (call) => (await import('./nvgre.ts')).showRecords(call),
  },
  {
    usage: 'nvgre counters',
    text: 'Show what the virtual switch did, tenant by tenant',
    example: 'bulkhead nvgre counters',
    flags: [TENANT, ...COMMON],
    run: async (call) => (await import('./nvgre.ts')).showCounters(call),
  },
  {
    usage: 'nvgre next-hop <address>',
    text: `Show what the virtual switch does with a packet of a VM, step by step; exit 1 where it goes nowhere. ${LIKENESS}`,
    example: 'bulkhead nvgre next-hop --tenant fabrikam --vsid 5001 --from 10.1.0.10 10.1.0.11',
    flags: [
      { ...TENANT, text: 'whose packet' },
      { flags: '--vsid <number>', text: 'virtual subnet of the sender', parse: wholeNumber(0, 0xff_ffff) },
      { flags: '--from <address>', text: 'customer address of the sender' },
      ...COMMON,
    ],
    run: async (call) => (await import('./nvgre.ts')).showNextHop(call),
  },
  {
    usage: 'trace [packet...]',
    text:
      'Show what would become of a packet, decision by decision, without sending it; exit 1 when it would be dropped. ' +
      'With --live: what becomes of real ones, at most 100 a second',
    example: "bulkhead trace --tenant fabrikam --from 10.1.0.10 'tcp 10.1.0.10:5000 > 192.168.7.7:443'",
    flags: [
      { ...TENANT, text: 'whose packet' },
      {
        flags: '--from <place>',
        text: 'customer address, connection (site: the only one), interface, outside or gateway; default the source address',
      },
      { flags: '--size <octets>', text: 'of the IP packet, default 100', parse: wholeNumber(28, 65_535) },
      { flags: '--ttl <hops>', text: 'default 64', parse: wholeNumber(1, 255) },
      { flags: '--may-fragment', text: 'IPv4 without DF' },
      { flags: '--live', text: 'real packets, of --tenant or of all, until Ctrl-C' },
      ...BOUNDS,
      { flags: '--established', text: 'it begins no session: no SYN, no echo request' },
      ...COMMON,
    ],
    run: async (call) => (await import('./trace.ts')).trace(call),
  },
  {
    usage: 'capture',
    text:
      'Write real packets to a pcapng file: one interface a capture point, what became of each as its comment. At most 100 packets ' +
      'a second; of a superframe or a jumbo frame the first 2,048 octets',
    example: 'bulkhead capture --tenant fabrikam --out fabrikam.pcapng --seconds 10',
    flags: [
      TENANT,
      { flags: '--all', text: 'packets of all tenants' },
      { flags: '--out <file>', text: 'the file; - for stdout' },
      {
        flags: '--snaplen <octets>',
        text: 'at most so much of each, default all there is',
        parse: wholeNumber(20, 2048),
      },
      ...BOUNDS,
      ...COMMON,
    ],
    run: async (call) => (await import('./capture.ts')).capture(call),
  },
];
