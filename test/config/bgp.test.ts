import { describe, expect, test } from 'vitest';
import { checkClause } from '../../src/config/clause-record.ts';
import {
  diffDocuments,
  formatChanges,
  formatIssue,
  type GatewayDocument,
  type PolicyClause,
  readDocument,
  showDocument,
} from '../../src/config/index.ts';
import { IssueList } from '../../src/config/issue.ts';
import { parseSource } from '../../src/config/source.ts';
import { parseAddress, parsePrefix } from '../../src/ip/index.ts';

/** Line 6 is the interface, 7 … the router. */
const documentOf = (...bgp: string[]): string =>
  [
    'version: 1',
    'gateway: { external: { addresses: [203.0.113.10] } }',
    'tenants:',
    '  - name: blue',
    '    interfaces:',
    '      - { name: inside, addresses: [10.1.0.1/24, "fd00:1::1/64"] }',
    ...bgp.map((line) => `    ${line}`),
  ].join('\n');
const issuesOf = (...bgp: string[]): string[] => readDocument(documentOf(...bgp), 'g').issues.map(formatIssue);
const read = (...bgp: string[]) => {
  const { document, issues } = readDocument(documentOf(...bgp), 'g');
  expect(issues.map(formatIssue)).toEqual([]);
  return (document as GatewayDocument).tenants[0]!.bgp!;
};
const PEER = '{ name: hq, address: 10.2.0.1, asn: 65020, import: all, export: all }';

describe('the router', () => {
  test('RFC 6286: the identifier is the first own IPv4 address where none is written', () => {
    expect(read('bgp: { asn: 65010 }')).toEqual({
      asn: 65010,
      routerId: 0x0a010001,
      networks: [],
      tenantPrefixes: [],
      redistribute: [],
      transit: true,
      clusterId: undefined,
      clientToClient: true,
      maxPaths: 1,
      aggregates: [],
      selectionDeferralSeconds: 0,
      dampening: undefined,
      decision: { alwaysCompareMed: false, missingMedAsWorst: false, compareRouterId: false },
      peers: [],
    });
    expect(read('bgp: { asn: 65010, routerId: 192.0.2.7 }').routerId).toBe(0xc0000207);
  });

  test('RFC 6793, RFC 5396: numbers of four octets, with or without a dot', () => {
    expect(read('bgp: { asn: 4200000001 }').asn).toBe(4200000001);
    expect(read('bgp: { asn: "1.10" }').asn).toBe(65546);
  });

  test('RFC 2439: dampening is what others do where nothing more is written', () => {
    const usual = { halfLifeSeconds: 900, suppress: 2000, reuse: 750, maxSuppressSeconds: 3600 };
    expect(read('bgp: { asn: 65010, dampening: {} }').dampening).toEqual({ ...usual, unreachableHalfLifeSeconds: 900 });
    expect(read('bgp: { asn: 65010, dampening: { halfLifeSeconds: 10m } }').dampening).toEqual({
      ...usual,
      halfLifeSeconds: 600,
      unreachableHalfLifeSeconds: 600,
    });
    const apart = '{ halfLifeSeconds: 300, unreachableHalfLifeSeconds: 30m }';
    expect(read(`bgp: { asn: 65010, dampening: ${apart} }`).dampening).toMatchObject({
      halfLifeSeconds: 300,
      unreachableHalfLifeSeconds: 1800,
    });
  });

  test.each([
    ['{ asn: 0 }', 'asn: AS 0 is reserved (RFC 7607)'],
    ['{ asn: 23456 }', 'asn: AS 23456 is reserved (AS_TRANS, RFC 6793)'],
    ['{ asn: 65535 }', 'asn: AS 65535 is reserved (RFC 7300)'],
    ['{ asn: 4294967296 }', 'asn: an AS number like 65010 or 1.10 is needed, not "4294967296"'],
    ['{ asn: 1.10 }', 'asn: an AS number like 65010 or 1.10 is needed, not "1.1"'],
    ['{ asn: 65010, routerId: 0.0.0.0 }', 'routerId: the router ID 0.0.0.0 means none (RFC 6286 §2.1)'],
    [
      '{ asn: 65010, clusterId: "fd00::1", peers: [{ name: a, address: 10.2.0.1, asn: 65010, routeReflectorClient: true }] }',
      'clusterId: a cluster ID is written like an IPv4 address, or is a number, not "fd00::1"',
    ],
    [
      '{ asn: 65010, clusterId: 192.0.2.99 }',
      'clusterId: means nothing yet: no peer is a routeReflectorClient (RFC 4456)',
    ],
    [
      '{ asn: 65010, clientToClient: false }',
      'clientToClient: means nothing yet: no peer is a routeReflectorClient (RFC 4456)',
    ],
    ['{ asn: 65010, maxPaths: 17 }', 'maxPaths: a whole number from 1 to 16 is needed, not 17'],
    [
      '{ asn: 65010, redistribute: [conected] }',
      'redistribute[0]: must be connected, static or connection, not "conected"; did you mean connected?',
    ],
    [
      '{ asn: 65010, dampening: { reuse: 2000 } }',
      'dampening.reuse: a route is used again below 2000: that must be less than suppress',
    ],
    [
      '{ asn: 65010, dampening: { maxSuppressSeconds: 900 } }',
      'dampening.maxSuppressSeconds: keeps every figure at 1500 or less, so no route is ever suppressed at 2000',
    ],
    [
      '{ asn: 65010, aggregates: [{ prefix: 10.0.0.1/32 }] }',
      'aggregates[0].prefix: nothing is more specific than 10.0.0.1/32: no route contributes',
    ],
    [
      '{ asn: 65010, aggregates: [{ prefix: 10.0.0.0/8 }, { prefix: 10.0.0.0/8, summaryOnly: true }] }',
      'aggregates[1].prefix: 10.0.0.0/8 is an aggregate already',
    ],
    [
      '{ asn: 65010, aggregates: [{ prefix: 10.0.0.0/8, set: { nextHop: "fd00::1" } }] }',
      'aggregates[0].set.nextHop: fd00::1 is not of the family of 10.0.0.0/8',
    ],
    [
      '{ asn: 65010, aggregates: [{ prefix: 10.0.0.0/8, set: { prepend: 21 } }] }',
      'aggregates[0].set.prepend: a whole number from 0 to 20 is needed, not 21',
    ],
    [
      '{ asn: 65010, aggregates: [{ prefix: 10.0.0.0/8, asSet: true }] }',
      'aggregates[0].asSet: RFC 9774: others may refuse a route with an AS_SET',
    ],
  ])('%s is refused', (bgp, problem) => {
    expect(issuesOf(`bgp: ${bgp}`).map((issue) => issue.replace(/^.*tenants\[0\]\.bgp\./, ''))).toEqual([problem]);
  });

  test('a router without an address of its own has nothing to speak from', () => {
    const text =
      'version: 1\ngateway: { external: { addresses: [203.0.113.10] } }\ntenants: [{ name: blue, bgp: { asn: 1 } }]';
    expect(readDocument(text, 'g').issues.map(formatIssue)).toEqual([
      'g:3:25: tenants[0].bgp: needs an address of its own to speak from: an interface or a subnet',
      'g:3:30: tenants[0].bgp.routerId: is needed where the tenant has no IPv4 address of its own',
    ]);
  });
});

describe('a peer', () => {
  const peerOf = (peer: string) => read(`bgp: { asn: 65010, peers: [${peer}] }`).peers[0]!;
  test.each([
    ['sendHoldSeconds: 90', 'sendHoldSeconds: must be more than holdSeconds, 90 (RFC 9687)'],
    ['localAs: 65010', 'localAs: AS 65010 is what the peer is shown anyway'],
    ['localAs: 23456', 'localAs: AS 23456 is reserved (AS_TRANS, RFC 6793)'],
    ['addPaths: 2', 'addPaths: is how many are sent, and addPath is off: send or both is needed'],
    ['addPath: receive, addPaths: 2', 'addPaths: is how many are sent, and addPath is receive: send or both is needed'],
    ['advertisementIntervalSeconds: 601', 'advertisementIntervalSeconds: must be from 1s to 10m, or 0 for never'],
    ['start: demand', 'start: must be auto or manual, not "demand"'],
  ])('%s is refused', (key, problem) => {
    expect(problems(PEER.replace(' }', `, ${key} }`))).toEqual([`peers[0].${problem}`]);
  });

  test('RFC 7705: localAs is not for a peer of our own AS', () => {
    expect(problems('{ name: hq, address: 10.2.0.1, asn: 65010, localAs: 65099, import: all, export: all }')).toEqual([
      'peers[0].localAs: the peer is of AS 65010 itself: what it says is a loop (RFC 4271 §9.1.2)',
    ]);
    expect(problems('{ name: hq, address: 10.2.0.1, asn: 65020, localAs: 65020, routeReflectorClient: true }')).toEqual(
      [],
    );
  });

  const problems = (...peers: string[]) =>
    issuesOf(`bgp: { asn: 65010, peers: [${peers.join(', ')}] }`).map((issue) =>
      issue.replace(/^.*tenants\[0\]\.bgp\.peers/, 'peers'),
    );

  test('defaults', () => {
    expect(peerOf(PEER)).toEqual({
      name: 'hq',
      address: parseAddress('10.2.0.1'),
      asn: 65020,
      localAs: undefined,
      localAddress: undefined,
      port: 179,
      passive: false,
      shutdown: false,
      start: 'auto',
      holdSeconds: 90,
      connectRetrySeconds: 30,
      idleHoldSeconds: 2,
      delayOpenSeconds: 0,
      sendHoldSeconds: undefined,
      advertisementIntervalSeconds: 0,
      families: ['ipv4'],
      ttl: 'auto',
      ttlSecurityHops: undefined,
      md5: undefined,
      import: 'all',
      export: 'all',
      maxPrefixes: undefined,
      routeReflectorClient: false,
      nextHop: 'auto',
      defaultOriginate: false,
      allowOwnAs: 0,
      enforceFirstAs: true,
      gracefulRestartSeconds: 120,
      longLivedStaleSeconds: 0,
      addPath: 'off',
      addPaths: undefined,
      tunnelDown: 'drop',
    });
    expect(peerOf('{ name: six, address: "fd00:2::1", asn: 65010 }').families).toEqual(['ipv6']);
  });

  test('RFC 8212: an external peer without a policy is told of, an internal one is not', () => {
    expect(problems('{ name: hq, address: 10.2.0.1, asn: 65020, import: all }')).toEqual([
      'peers[0]: no export: nothing passes an external peer without a policy (RFC 8212); all lets all pass',
    ]);
    expect(problems('{ name: hq, address: 10.2.0.1, asn: 65010 }')).toEqual([]);
  });

  test.each([
    ['holdSeconds: 2', 'peers[0].holdSeconds: the hold time is 0 or at least 3 seconds (RFC 4271 §4.2)'],
    ['ttl: 2, ttlSecurityHops: 3', 'peers[0].ttl: with ttlSecurityHops everything is sent with TTL 255 (RFC 5082 §3)'],
    ['localAddress: 10.1.0.7', 'peers[0].localAddress: 10.1.0.7 is not an address of this tenant'],
    ['localAddress: "fd00:1::1"', 'peers[0].localAddress: 10.2.0.1 is of the other family'],
    [
      'gracefulRestartSeconds: 0, longLivedStaleSeconds: 1d',
      'peers[0].longLivedStaleSeconds: goes with gracefulRestartSeconds, which is 0 (RFC 9494 §4.1)',
    ],
    ['longLivedStaleSeconds: 200d', 'peers[0].longLivedStaleSeconds: must be from 1s to 16777215s, or 0 for never'],
    [
      'routeReflectorClient: true',
      'peers[0].routeReflectorClient: AS 65020 is another AS: reflection is within one (RFC 4456)',
    ],
  ])('%s', (keys, problem) => {
    expect(problems(`${PEER.slice(0, -2)}, ${keys} }`)).toEqual([problem]);
  });

  test('two peers with one name or one address, and one that is the tenant itself', () => {
    expect(problems(PEER, PEER, '{ name: me, address: 10.1.0.1, asn: 65010 }')).toEqual([
      'peers[1].name: peer hq stands here a second time in this tenant',
      'peers[1].address: 10.2.0.1 is a peer already (line 7)',
      "peers[2].address: 10.1.0.1 is the tenant's own: a router is not its own peer",
    ]);
  });

  test.each([
    ['127.0.0.1', ["peers[0].address: 127.0.0.1 is the host's own loopback, and nobody in this compartment"]],
    ['"::1"', ["peers[0].address: ::1 is the host's own loopback, and nobody in this compartment"]],
    [
      '"fe80::1"',
      ['peers[0].address: fe80::1 is link-local, which no route leads to: write another address of the peer'],
    ],
    ['169.254.10.1', []],
  ])('a peer at %s', (address, expected) => {
    expect(problems(PEER.replace('10.2.0.1', address))).toEqual(expected);
  });

  test('a secret in the document is told of and never printed', () => {
    const peer = `${PEER.slice(0, -2)}, md5: { inline: kept-between-two } }`;
    const text = documentOf(`bgp: { asn: 65010, peers: [${peer}] }`);
    const { document, issues } = readDocument(text, 'g');
    expect(issues.map(({ severity, message }) => [severity, message])).toEqual([
      ['warning', 'the secret stands in the document: better file, env or credential'],
    ]);
    expect(showDocument(document!)).not.toContain('kept');
  });
});

describe('policies', () => {
  const clausesOf = (policy: string) =>
    read(
      'bgp:',
      '  asn: 65010',
      `  peers: [{ name: hq, address: 10.2.0.1, asn: 65020, export: all, import: ${policy} }]`,
    ).peers[0]!.import;
  const problems = (policy: string) =>
    issuesOf(
      `bgp: { asn: 65010, peers: [{ name: hq, address: 10.2.0.1, asn: 65020, export: all, import: ${policy} }] }`,
    ).map((issue) => issue.replace(/^.*peers\[0\]\./, ''));
  const prefix = (text: string) => parsePrefix(text)!;

  test('lengths: the prefix itself, from ge to the end, from itself to le, from ge to le', () => {
    const clauses = clausesOf(
      '[{ prefix: 10.0.0.0/8 }, { prefix: 10.0.0.0/8, ge: 16 }, { prefix: 10.0.0.0/8, le: 24 }, { prefix: [10.0.0.0/8, { prefix: "fd00::/16", le: 64 }], ge: 16, le: 24 }]',
    );
    expect((clauses as readonly { prefixes: unknown }[]).map(({ prefixes }) => prefixes)).toEqual([
      [{ prefix: prefix('10.0.0.0/8'), ge: 8, le: 8 }],
      [{ prefix: prefix('10.0.0.0/8'), ge: 16, le: 32 }],
      [{ prefix: prefix('10.0.0.0/8'), ge: 8, le: 24 }],
      [
        { prefix: prefix('10.0.0.0/8'), ge: 16, le: 24 },
        { prefix: prefix('fd00::/16'), ge: 16, le: 64 },
      ],
    ]);
  });

  test('a clause with everything', () => {
    expect(
      clausesOf(
        '[{ asPath: "^65020( |$)", neighbourAs: 65020, originAs: 64512-65534, community: [no-export, "65020:1", "65020:1:2", "rt:65020:1", "rt:192.0.2.1:5"], nextHop: 10.2.0.0/16, med: 5, origin: igp, ' +
          'set: { localPreference: 200, med: none, nextHop: self, weight: 9, origin: egp, prepend: 2, addCommunities: "65010:9", removeCommunities: blackhole, clearCommunities: true }, action: next }]',
      ),
    ).toEqual([
      {
        prefixes: [],
        asPath: '^65020( |$)',
        neighbourAs: { first: 65020, last: 65020 },
        originAs: { first: 64512, last: 65534 },
        communities: ['no-export', '65020:1', '65020:1:2', 'rt:65020:1', 'rt:192.0.2.1:5'],
        nextHop: prefix('10.2.0.0/16'),
        med: 5,
        origin: 'igp',
        set: {
          localPreference: 200,
          med: 'none',
          nextHop: 'self',
          weight: 9,
          origin: 'egp',
          prepend: 2,
          addCommunities: ['65010:9'],
          removeCommunities: ['blackhole'],
          clearCommunities: true,
        },
        action: 'next',
      },
    ]);
  });

  test.each([
    [
      'communities as others write them, one form in the document',
      '[{ community: [NO_EXPORT, local-AS, "(65000, 1)", RT:65020:1, "soo 65020:1", "target:1.10:7", "0x0002fde800000001", "(65000,1,2)", "large:65000:1:2"] }]',
      {
        communities: [
          'no-export',
          'no-export-subconfed',
          '65000:1',
          'rt:65020:1',
          'soo:65020:1',
          'rt:65546:7',
          'rt:65000:1',
          '65000:1:2',
          '65000:1:2',
        ],
      },
    ],
    ['an origin as tables of routes mark it', '[{ origin: "?", set: { origin: IGP } }]', { origin: 'incomplete' }],
    ['a next hop as it is printed', '[{ nextHop: 10.2.0.1 }]', { nextHop: prefix('10.2.0.1/32') }],
    [
      'lengths behind the prefix',
      '[{ prefix: [10.0.0.0/8 ge 16 le 24, 10.0.0.0/8 le 9, 10.0.0.0/8 ge 30, 10.0.0.0/8+, "10.0.0.0/8{16, 24}"] }]',
      {
        prefixes: [
          [16, 24],
          [8, 9],
          [30, 32],
          [8, 32],
          [16, 24],
        ].map(([ge, le]) => ({ prefix: prefix('10.0.0.0/8'), ge, le })),
      },
    ],
  ])('what is printed, and the spellings of others: %s', (_, policy, expected) => {
    expect(clausesOf(policy)).toMatchObject([expected]);
  });

  test.each([
    [
      '[{ prefix: 10.0.0.0/8 le 24 le 25 }]',
      'import[0].prefix: "10.0.0.0/8 le 24 le 25": behind a prefix comes ge and le, like ge 16 le 24',
    ],
    ['[{ prefix: 10.0.0.0/8 le 24, ge: 9 }]', 'import[0].prefix: "10.0.0.0/8 le 24": ge and le are said twice'],
    ['[{ origin: ibgp }]', 'import[0].origin: must be igp, egp or incomplete, not "ibgp"; did you mean igp?'],
    ['any', 'import: all, none or a list of clauses is needed, not "any"'],
    [
      '[{ prefix: 10.0.0.0/8, le: 7 }]',
      'import[0].prefix: lengths 8 to 7 do not lie in 10.0.0.0/8: from 8 to 32, ge not above le',
    ],
    ['[{ le: 24 }]', 'import[0].le: says how long prefixes within prefix are: write prefix, too'],
    [
      '[{ community: "65536:1" }]',
      'import[0].community: "65536:1" is not a community like 65000:1, 65000:1:2, rt:65000:1 or one of graceful-shutdown, accept-own, llgr-stale, no-llgr, blackhole, no-export, no-advertise, no-export-subconfed, no-peer',
    ],
    ['[{ originAs: 9-3 }]', 'import[0].originAs: an AS number or a range like 64512-65534 is needed, not "9-3"'],
    ['[{ acton: reject }]', 'import[0].acton: unknown key; did you mean action?'],
  ])('%s is refused', (policy, problem) => {
    expect(problems(policy)).toEqual([problem]);
  });
});

describe('what the tables cannot compile', () => {
  const document = documentOf(
    'bgp: { asn: 65010, peers: [',
    '  { name: hq, address: 10.2.0.1, asn: 65020, export: all, import: [ {',
    '    prefix: 10.0.0.0/8,',
    '    asPath: x,',
    '    community: "1:1",',
    '    set: {',
    '      addCommunities: "1:1",',
    '      removeCommunities: "1:1",',
    '      prepend: 1',
    '    } } ] } ] }',
  );
  const clause: PolicyClause = {
    prefixes: [],
    asPath: undefined,
    neighbourAs: undefined,
    originAs: undefined,
    communities: [],
    nextHop: undefined,
    med: undefined,
    origin: undefined,
    set: {
      localPreference: undefined,
      med: undefined,
      nextHop: undefined,
      weight: undefined,
      origin: undefined,
      prepend: 0,
      addCommunities: [],
      removeCommunities: [],
      clearCommunities: false,
    },
    action: 'accept',
  };
  const { set } = clause;

  /** What a reader of words should have refused. */
  test.each<[string, Partial<PolicyClause>, string]>([
    [
      'lengths',
      { prefixes: [{ prefix: parsePrefix('10.0.0.0/8')!, ge: 9, le: 7 }] },
      '9:17: import[0].prefix: 10.0.0.0/8: lengths 9 to 7 do not lie between 8 and 32',
    ],
    ['an expression', { asPath: '(' }, '10:17: import[0].asPath: "(": cannot be understood at character 2'],
    ['a community', { communities: ['1:2:3:4'] }, '11:20: import[0].community: 1:2:3:4: not all are communities'],
    [
      'communities to be added',
      { set: { ...set, addCommunities: ['x'] } },
      '13:27: import[0].set.addCommunities: x is no community',
    ],
    [
      'communities to be removed',
      { set: { ...set, removeCommunities: ['x'] } },
      '14:30: import[0].set.removeCommunities: x is no community',
    ],
    ['prepending', { set: { ...set, prepend: 256 } }, '15:20: import[0].set.prepend: 256 is not between 0 and 255'],
  ])('%s: an issue at its place, and nothing that shows only when the document is applied', (_, wrong, words) => {
    const issues = new IssueList('g', parseSource(document));
    checkClause({ ...clause, ...wrong }, ['tenants', 0, 'bgp', 'peers', 0, 'import', 0], issues);
    const [said, ...more] = issues.sorted().map(formatIssue);
    expect(said?.replace('g:', '').replace('tenants[0].bgp.peers[0].', '')).toContain(words);
    expect(more).toEqual([]);
  });

  test('an expression that is written wrong is refused with the document', () => {
    expect(
      issuesOf(
        'bgp: { asn: 65010, peers: [{ name: hq, address: 10.2.0.1, asn: 65020, export: all, import: [{ asPath: "(" }] }] }',
      ),
    ).toEqual([expect.stringContaining('.import[0].asPath: "(": ')]);
  });
});

describe('what changed', () => {
  const before = readDocument(documentOf(`bgp: { asn: 65010, peers: [${PEER}] }`), 'g').document!;

  test('a document written by show is the same one', () => {
    const policy =
      '[{ prefix: [10.0.0.0/8, "fd00::/16"], le: 24, community: "65020:1", set: { prepend: 1 } }, { action: reject }]';
    const peer = `{ name: a, address: 10.2.0.2, asn: 65020, md5: { file: a.md5 }, maxPrefixes: { limit: 9 }, ttlSecurityHops: 2, import: ${policy}, export: none }`;
    const { document } = readDocument(
      documentOf(
        `bgp: { asn: 65010, networks: [10.1.0.0/24], clusterId: 192.0.2.9, clientToClient: false, aggregates: [{ prefix: 10.0.0.0/8, set: { med: none, addCommunities: [no-export], nextHop: self } }], peers: [${peer}, ${PEER}, { name: rr, address: 10.2.0.7, asn: 65010, routeReflectorClient: true }] }`,
      ),
      'g',
    );
    const again = readDocument(showDocument(document!), 'g');
    expect(again.issues).toEqual([]);
    expect(again.document).toEqual(document);
  });

  test('the router and each peer are units of their own', () => {
    const after = readDocument(
      documentOf(
        `bgp: { asn: 65010, networks: [10.1.0.0/24], peers: [${PEER.replace('import: all', 'import: none')}, { name: b, address: 10.2.0.9, asn: 65010 }] }`,
      ),
      'g',
    ).document!;
    expect(formatChanges(diffDocuments(before, after))).toEqual([
      '~ bgp blue: networks[0] added 10.1.0.0/24',
      '~ bgp peer blue/hq: import all → none',
      '+ bgp peer blue/b',
    ]);
  });
});
