/** The commands about BGP. */
import { COMMON, JSON_FLAG, TENANT, WAIT } from './common-flags.ts';
import { decimal, type Flag, type Leaf, oneOf, shutdownText, wholeNumber } from './flags.ts';
import { pageFlags } from './page.ts';

const PAGE = pageFlags('prefixes');
const ALL: Flag = { flags: '--all', text: 'all peers of the tenant, in place of one' };
const SAID: Flag = {
  flags: '--text <sentence>',
  text: 'to be told to the peer (RFC 9003), at most 255 octets',
  parse: shutdownText,
};
const PEER = 'PEER is its name or address, or TENANT/PEER';

export const BGP_LEAVES: readonly Leaf[] = [
  {
    usage: 'bgp summary',
    text: 'Show every BGP session: state or prefixes received, and why it is not up (the default)',
    example: 'bulkhead bgp summary --tenant fabrikam',
    flags: [TENANT, ...COMMON],
    isDefault: true,
    run: async (call) => (await import('./bgp.ts')).showSummary(call),
  },
  {
    usage: 'bgp peers [peer]',
    text: `Show peers in detail: capabilities, timers, messages, last errors; exit 3 when the one that is asked for is down. ${PEER}`,
    example: 'bulkhead bgp peers fabrikam/hq',
    flags: [TENANT, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).showPeers(call),
  },
  {
    usage: 'bgp routes',
    text: 'Show the tables of a tenant, all paths: * may be used, > best, S stale; i, e, ? origin',
    example: 'bulkhead bgp routes --tenant fabrikam --within 10.0.0.0/8',
    flags: [{ ...TENANT, text: 'whose routes' }, ...PAGE, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).showRoutes(call),
  },
  {
    usage: 'bgp received <peer>',
    text: `Show what a peer has said, what import policy made of it, and why. ${PEER}`,
    example: 'bulkhead bgp received hq --tenant fabrikam',
    flags: [TENANT, ...PAGE, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).showReceived(call),
  },
  {
    usage: 'bgp advertised <peer>',
    text: `Show what a peer has been told. ${PEER}`,
    example: 'bulkhead bgp advertised fabrikam/hq',
    flags: [TENANT, ...PAGE, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).showAdvertised(call),
  },
  {
    usage: 'bgp explain <destination>',
    text: 'Show all paths to an address or of a prefix, by which step each lost, who is told, and what forwards; exit 1 where BGP has none',
    example: 'bulkhead bgp explain --tenant fabrikam 10.2.0.5',
    flags: [{ ...TENANT, text: 'whose routes' }, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).explain(call),
  },
  {
    usage: 'bgp clear [peer] [how]',
    text: `End a session and begin it anew: hard, the default; or without that ask for all routes again and tell them again: soft, or only in or out. ${PEER}`,
    example: 'bulkhead bgp clear --all --tenant fabrikam soft',
    flags: [ALL, WAIT, SAID, TENANT, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).command(call, 'clear'),
  },
  {
    usage: 'bgp up [peer]',
    text: `Begin a session that is down. ${PEER}`,
    example: 'bulkhead bgp up fabrikam/hq --wait 60',
    flags: [ALL, WAIT, TENANT, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).command(call, 'up'),
  },
  {
    usage: 'bgp down [peer]',
    text: `End a session until it is begun again, or the gateway starts again. ${PEER}`,
    example: 'bulkhead bgp down fabrikam/hq --text "back at noon"',
    flags: [ALL, WAIT, SAID, TENANT, ...COMMON],
    run: async (call) => (await import('./bgp.ts')).command(call, 'down'),
  },
  {
    usage: 'bgp log [peer]',
    text: `Follow what happens: events of sessions and each message in words, from now on; --json prints one object a line. ${PEER}`,
    example: 'bulkhead bgp log fabrikam/hq',
    flags: [
      { flags: '--events', text: 'only what happens to sessions, no messages' },
      { flags: '-n, --count <number>', text: 'lines, default until Ctrl-C', parse: wholeNumber(1, 1_000_000) },
      { flags: '--seconds <seconds>', text: 'at most so long', parse: decimal(0.1, 86_400) },
      TENANT,
      ...COMMON,
    ],
    run: async (call) => (await import('./bgp.ts')).follow(call),
  },
  {
    usage: 'bgp dump <file>',
    text:
      'Write an MRT file (RFC 6396): the tables of a tenant, what peers said before policy, as TABLE_DUMP_V2; or its messages and changes ' +
      'of state, from now on, as BGP4MP. The file is - for stdout',
    example: 'bulkhead bgp dump rib.mrt --tenant fabrikam',
    flags: [
      { ...TENANT, text: 'whose tables or messages' },
      { flags: '--messages', text: 'follow the sessions until Ctrl-C' },
      { flags: '--peer <peer>', text: 'only messages of this one, a name or an address' },
      { flags: '--seconds <seconds>', text: 'follow at most so long', parse: decimal(0.1, 86_400) },
      ...COMMON,
    ],
    run: async (call) => (await import('./bgp-dump.ts')).dump(call),
  },
  {
    usage: 'bgp policy test <prefix>',
    text: 'Show what would become of a route at a peer of a document, and why; no gateway needs to run; exit 1 where it is refused',
    example: 'bulkhead bgp policy test -c gateway.yaml --peer fabrikam/hq --as-path "65020 65030" 10.7.0.0/16',
    flags: [
      { flags: '-c, --config <file>', text: 'the document' },
      { flags: '--peer <peer>', text: 'TENANT/PEER, or a name that only one has' },
      {
        flags: '--direction <way>',
        text: 'in (default): said by the peer; out: told to it',
        parse: oneOf('in', 'out'),
      },
      { flags: '--as-path <path>', text: 'default: the AS of an external peer in, a route of our own out' },
      { flags: '--next-hop <address>', text: 'default the sender' },
      { flags: '--origin <origin>', text: 'igp (default), egp or incomplete; or i, e, ?' },
      { flags: '--med <number>', text: 'default none', parse: wholeNumber(0, 0xffff_ffff) },
      { flags: '--local-preference <number>', text: 'default none', parse: wholeNumber(0, 0xffff_ffff) },
      {
        flags: '--community <list>',
        text: '65000:1, 65000:1:2, rt:65000:1, no-export …; several with blanks or commas',
      },
      { ...TENANT, text: 'where several have a peer of that name' },
      JSON_FLAG,
    ],
    run: async (call) => (await import('./bgp-policy.ts')).testPolicy(call),
  },
];
