/** `bgp replay` in the table of commands. */
import { JSON_FLAG } from './common-flags.ts';
import { decimal, type Leaf, wholeNumber } from './flags.ts';

export const BGP_REPLAY: Leaf = {
  usage: 'bgp replay <file>',
  text:
    'Be a BGP peer that says what an MRT file says (RFC 6396): the routes of one peer in a table, packed, or its messages in order. ' +
    'Stays until Ctrl-C, so that the routes stay; needs no gateway',
  example: 'bulkhead bgp replay rib.20260801.0000.gz --to 192.0.2.1 --peer 3',
  flags: [
    {
      flags: '--to <address>',
      text: 'who is dialled: ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; the port is 179 unless given',
    },
    { flags: '--source <address>', text: 'address of this host that dials' },
    { flags: '--peer <peer>', text: 'whose routes: a number as in the list of peers, or an address' },
    {
      flags: '--asn <number>',
      text: 'our AS number, default the recorded peer’s, with which its paths begin',
      parse: wholeNumber(1, 0xffffffff),
    },
    { flags: '--router-id <address>', text: 'our BGP Identifier, default the recorded peer’s' },
    { flags: '--hold <seconds>', text: 'hold time we offer, default 90; 0 for none', parse: wholeNumber(0, 65_535) },
    {
      flags: '--next-hop <hops>',
      text: 'own (default): our address on the session, where the family is its; keep: as recorded; or addresses with commas',
    },
    {
      flags: '--speed <factor>',
      text: 'messages as fast as recorded times this; default without pauses',
      parse: decimal(0.001, 1e6),
    },
    {
      flags: '--stay <seconds>',
      text: 'how long the session stays when all is said, default until Ctrl-C',
      parse: decimal(0, 1e6),
    },
    { flags: '--list', text: 'only show whose routes and messages are in the file' },
    JSON_FLAG,
  ],
  run: async (call) => (await import('./bgp-replay.ts')).replay(call),
};
