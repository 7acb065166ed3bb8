/**
 * What to do about a session that a NOTIFICATION has ended, one sentence for each code and subcode of the registries.
 *
 * Read first: RFC 4271 §6; RFC 4486, RFC 6608, RFC 7313 §5, RFC 8538, RFC 9234 §4.2, RFC 9384, RFC 9687. What has happened is said by the words
 * of the NOTIFICATION itself.
 */

/** One session, as commands call it. */
export interface Concerned {
  readonly tenant: string;
  readonly peer: string;
  readonly address: string;
}

type Advice = (whose: Concerned) => string;

/** Undefined: not in the registries. */
export function notificationAdvice(
  code: number,
  subcode: number,
  by: 'us' | 'peer',
  whose: Concerned,
): string | undefined {
  const found = TABLE[code]?.[subcode] ?? TABLE[code]?.[0];
  return found?.[by](whose);
}

const label = ({ tenant, peer }: Concerned): string => `${tenant}/${peer}`;
const record: Advice = (whose) => `\`bulkhead bgp dump FILE --messages --tenant ${whose.tenant} --peer ${whose.peer}\``;
const clear: Advice = (whose) => `\`bulkhead bgp clear ${label(whose)}\``;
const ping: Advice = (whose) => `\`bulkhead ping --tenant ${whose.tenant} ${whose.address}\``;

/** Where we have sent it, and where the peer has. */
type Row = Readonly<Record<'us' | 'peer', Advice>>;
/** One alone is for both. */
const row = (us: string | Advice, peer = us): Row => ({ us: adviceOf(us), peer: adviceOf(peer) });
const adviceOf = (words: string | Advice): Advice => (typeof words === 'string' ? () => words : words);

/** A message that cannot be understood: only who wrote the program that sent it can mend that. */
const malformed = (what: string): Row =>
  row(
    (whose) => `${what}: record what the peer sends with ${record(whose)} for whoever maintains it`,
    (whose) => `the peer says so of us: ${what}; its log may say more, and ${record(whose)} records it for a report`,
  );

const attribute = (what: string, mend: string): Row =>
  row(
    (whose) => `${what}: ${record(whose)} records it for whoever maintains the peer`,
    (whose) =>
      `the peer says so of a route of ours: ${what}; ${mend}, or keep that route from it by \`export\` (${record(whose)} shows which)`,
  );

const HEADER: Readonly<Record<number, Row>> = {
  0: malformed('a message had no header that can be read'),
  1: row(
    ({ address }) =>
      `what came is no BGP: see what answers on port 179 of ${address}, and whether something on the way changes TCP`,
    'the peer found no BGP in what we sent: see whether something on the way changes TCP',
  ),
  2: malformed('a message had a length that its type does not have'),
  3: malformed('a message had a type that nobody has announced'),
};

const OPEN: Readonly<Record<number, Row>> = {
  0: row(
    (whose) =>
      `compare the settings of both sides: \`bulkhead bgp peers ${label(whose)}\` has ours and what the peer has said`,
  ),
  1: row('the peer does not speak BGP-4, of 1995: it needs another program'),
  2: row('one side has another AS number in its document: compare `asn` on both'),
  3: row('two routers have the same BGP identifier, or one has none: give each its own `routerId`'),
  4: row(
    'one side sends an optional parameter that the other does not know: every BGP program since RFC 5492 takes capabilities',
  ),
  5: row('the peer wants a password in OPEN, which nobody has used for long: take `md5`'),
  6: row('one side asks for a hold time that the other does not take: compare `holdSeconds`, 0 or at least 3'),
  7: row(
    (whose) =>
      `one side insists on a capability that the other does not have: compare \`families\` and \`addPath\`, see \`bulkhead bgp peers ${label(whose)}\``,
  ),
  11: row(
    'the roles of both sides do not fit (RFC 9234): this router announces none, so the peer must not insist on one (strict mode)',
  ),
};

const UPDATE: Readonly<Record<number, Row>> = {
  0: malformed('an UPDATE could not be understood'),
  1: malformed('the attributes of an UPDATE do not fit into it, or one is there twice'),
  2: malformed('an attribute was marked as one that all must know, and is unknown'),
  3: malformed('ORIGIN, AS_PATH, NEXT_HOP or LOCAL_PREF was missing'),
  4: attribute('the flags of an attribute are not those of its type', 'it may be one that we pass on'),
  5: attribute('an attribute has a length that its type does not have', 'it may be one that we pass on'),
  6: attribute('ORIGIN has a value that it cannot have', 'set `origin`'),
  7: attribute('the AS of its receiver stood in AS_PATH', 'programs since RFC 4271 leave such a route out and stay'),
  8: attribute('the next hop of a route cannot be one', 'set `nextHop: self`'),
  9: attribute('an optional attribute could not be understood', 'it may be one that we pass on'),
  10: malformed('a prefix was longer than an address, or cut off'),
  11: attribute(
    'AS_PATH could not be understood, or does not begin with the AS of its sender',
    'it may insist on the first AS',
  ),
};

const FSM: Readonly<Record<number, Row>> = {
  0: row(
    (whose) =>
      `a message came out of turn: the session begins anew by itself; if it goes on, record it with ${record(whose)}`,
  ),
};

const CEASE: Readonly<Record<number, Row>> = {
  0: row((whose) => `the session was ended without a reason: ask at the other side, then ${clear(whose)}`),
  1: row(
    (whose) =>
      `raise maxPrefixes and \`bulkhead reload\`, or, when there are fewer, \`bulkhead bgp up ${label(whose)}\``,
    'the peer takes fewer prefixes than we tell it: tell it fewer (`export`), or have its limit raised',
  ),
  2: row(
    (whose) => `it was shut down here: \`bulkhead bgp up ${label(whose)}\``,
    'it was shut down at the other side: ask there',
  ),
  3: row('the document has it no more', 'the peer does not have this session in its configuration any more: ask there'),
  4: row('it was reset here and comes back by itself', 'it was reset at the other side and comes back by itself'),
  5: row(
    (whose) => `the session is not wanted here now: see \`bulkhead bgp peers ${label(whose)}\``,
    ({ address }) =>
      `the peer does not want this session: see whether ${address} has it configured and not shut down, and compare addresses and \`asn\``,
  ),
  6: row(
    'the document has changed: it comes back by itself',
    'the configuration of the peer has changed: it comes back by itself',
  ),
  7: row('both sides have dialled and one connection was enough: nothing is to be done'),
  8: row(
    'the attributes of its routes need more memory than there is for them: refuse some by `import`, or raise gateway.limits.bgpAttributeOctets',
    'the peer has no memory for the session or its routes: tell it fewer (`export`), or have that mended there',
  ),
  9: row(
    (whose) =>
      `the session was ended for good, without what graceful restart keeps: ask at the other side, then ${clear(whose)}`,
  ),
  10: row((whose) => `BFD says that no packet passes: see ${ping(whose)}`),
};

const TABLE: Readonly<Record<number, Readonly<Record<number, Row>>>> = {
  1: HEADER,
  2: OPEN,
  3: UPDATE,
  4: {
    0: row(
      (whose) =>
        `nothing came from the peer for the hold time: see whether packets pass, large ones too: ${ping(whose)} --size 1400`,
      (whose) =>
        `the peer heard nothing from us for its hold time: see whether packets pass, large ones too: ${ping(whose)} --size 1400`,
    ),
  },
  5: FSM,
  6: CEASE,
  7: { 0: malformed('a ROUTE-REFRESH had a length that it cannot have (RFC 7313)') },
  8: {
    0: row(
      (whose) =>
        `the peer has not read for minutes (RFC 9687): see whether it is overloaded, and whether large packets pass: ${ping(whose)} --size 1400`,
      'the peer says that we do not read: see whether this gateway has a processor to itself',
    ),
  },
};
