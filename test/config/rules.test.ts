import { describe, expect, test } from 'vitest';
import { formatIssue, gatewayTenants, readDocument } from '../../src/config/index.ts';
import { parsePrefix } from '../../src/ip/index.ts';

interface Parts {
  readonly gateway?: string;
  readonly interfaces?: string;
  readonly routes?: string;
  readonly connection?: string;
  /** Further lines, of the connection or below it. */
  readonly more?: string;
}

/** Lines: 2 gateway, 5 interfaces, 6 routes, 8 the connection, 9… what follows. */
const documentOf = ({ gateway, interfaces, routes, connection, more }: Parts): string =>
  [
    'version: 1',
    `gateway: { external: { addresses: [192.0.2.1, "2001:db8::1"] }${gateway ?? ''} }`,
    'tenants:',
    '  - name: blue',
    `    interfaces: [${interfaces ?? '{ name: inside, addresses: [10.1.0.1/24, "fd00::1/64"] }'}]`,
    `    routes: [${routes ?? ''}]`,
    '    connections:',
    `      - ${connection ?? '{ name: a, remote: { address: 198.51.100.1 }, auth: { psk: { env: P } }, child: { local: [10.1.0.0/24], remote: [10.2.0.0/24] } }'}`,
    ...(more === undefined ? [] : [more]),
  ].join('\n');

const issuesOf = (parts: Parts): string[] => readDocument(documentOf(parts), 'g.yaml').issues.map(formatIssue);
const peer = (
  fields: string,
  child = 'local: [10.1.0.0/24], remote: [10.2.0.0/24]',
  address = '198.51.100.1',
): string => `{ name: a, remote: { address: ${address} }, auth: { psk: { env: P } }, child: { ${child} }${fields} }`;

test('the document the others are made of is valid', () => expect(issuesOf({})).toEqual([]));

describe('names', () => {
  test('tenants', () => {
    expect(issuesOf({ more: '  - name: blue' })).toEqual([
      'g.yaml:9:11: tenants[1].name: tenant blue stands here a second time',
    ]);
  });

  test('RDIDs', () => {
    const rdid = '{5B1F7F2E-6A5E-4C62-9C58-1F5F2F0D9A11}';
    const more = `  - { name: red, rdid: "${rdid}" }\n  - { name: green, rdid: "${rdid.toLowerCase()}" }`;
    expect(issuesOf({ more })).toEqual(['g.yaml:10:26: tenants[2].rdid: another tenant has this RDID']);
  });

  test('connections and interfaces share their names: both are interfaces of the compartment', () => {
    expect(issuesOf({ interfaces: '{ name: a, addresses: [10.1.0.1/24] }' })).toEqual([
      'g.yaml:8:17: tenants[0].connections[0].name: a stands here a second time in this tenant',
    ]);
  });

  test('devices, over all tenants', () => {
    const more = '  - { name: red, interfaces: [{ name: inside, device: bh-blue, addresses: [10.1.0.1/24] }] }';
    expect(issuesOf({ more })).toEqual([
      'g.yaml:9:55: tenants[1].interfaces[0].device: device bh-blue belongs to another interface (line 5)',
    ]);
  });

  test('a default device name that is too long has to be written', () => {
    const more = '  - { name: a-rather-long-name, interfaces: [{ name: inside, addresses: [10.1.0.1/24] }] }';
    expect(issuesOf({ more })).toEqual([
      'g.yaml:9:46: tenants[1].interfaces[0].device: is needed: bh-a-rather-long-name is longer than the 15 characters of a device name',
    ]);
  });
});

describe('addresses and prefixes', () => {
  test('of the gateway', () => {
    const text =
      'version: 1\ngateway: { external: { addresses: [192.0.2.1, 192.0.2.1], ports: { ike: 500, natt: 500 } } }';
    expect(readDocument(text, 'g.yaml').issues.map(formatIssue)).toEqual([
      'g.yaml:2:47: gateway.external.addresses[1]: 192.0.2.1 stands here a second time',
      'g.yaml:2:66: gateway.external.ports: ike and natt must differ: the second carries ESP (RFC 3948 §2.2)',
    ]);
  });

  test('of interfaces', () => {
    const interfaces = '{ name: i, addresses: [10.1.0.1/24] }, { name: j, device: j, addresses: [10.1.0.2/16] }';
    expect(issuesOf({ interfaces })).toEqual([
      'g.yaml:5:91: tenants[0].interfaces[1].addresses[0]: 10.1.0.0/16 and 10.1.0.0/24 of i (line 5) overlap: no one could tell where to send',
    ]);
    const twice = '{ name: i, addresses: [10.1.0.1/24, 10.1.0.1/32] }';
    expect(issuesOf({ interfaces: twice })).toEqual([
      'g.yaml:5:54: tenants[0].interfaces[0].addresses[1]: 10.1.0.1 stands here a second time in this tenant',
    ]);
  });

  test('of the host on an interface', () => {
    const interfaces = '{ name: i, addresses: [10.1.0.1/24], hostAddresses: [10.1.0.1/24, 10.1.0.2/24, 10.3.0.2/24] }';
    expect(issuesOf({ interfaces })).toEqual([
      "g.yaml:5:71: tenants[0].interfaces[0].hostAddresses[0]: 10.1.0.1 is the gateway's own: the host needs another of that prefix",
      "g.yaml:5:97: warning: tenants[0].interfaces[0].hostAddresses[2]: 10.3.0.2 is in no prefix of this interface's addresses: nothing comes back to it",
    ]);
  });

  test('RFC 8200 §5: IPv6 needs 1280 octets', () => {
    expect(issuesOf({ interfaces: '{ name: i, mtu: 1000, addresses: ["fd00::1/64"] }' })).toEqual([
      'g.yaml:5:34: tenants[0].interfaces[0].mtu: must be at least 1280 where IPv6 passes (RFC 8200 §5)',
    ]);
  });
});

describe('routes', () => {
  test.each([
    ['{ prefix: 10.9.0.0/16, via: inside }', []],
    ['{ prefix: 10.9.0.0/16, via: 10.1.0.254 }', []],
    ['{ prefix: "fd09::/64", via: "fd00::2" }', []],
    [
      '{ prefix: 10.9.0.0/16, via: 10.8.0.254 }',
      ['via: 10.8.0.254 is on no interface and in no subnet of this tenant'],
    ],
    ['{ prefix: 10.9.0.0/16, via: 10.1.0.1 }', ["via: 10.1.0.1 is the gateway's own address"]],
    ['{ prefix: 10.9.0.0/16, via: "fd00::2" }', ['via: fd00::2 is not of the family of 10.9.0.0/16']],
    ['{ prefix: 10.9.0.0/16, via: a }', ['via: a is a connection: put the prefix into its own routes']],
    [
      '{ prefix: 10.9.0.0/16, via: outside }',
      ['via: "outside" is neither an interface of this tenant nor an address; known: inside'],
    ],
    ['{ prefix: 10.9.0.0/16, discard: true }', []],
    ['{ prefix: 10.0.0.0/8, discard: true }, { prefix: 10.0.0.0/8, via: inside, metric: 5 }', []],
  ])('%s', (routes, messages) => {
    expect(issuesOf({ routes })).toEqual(messages.map((m) => `g.yaml:6:42: tenants[0].routes[0].${m}`));
  });

  test('a way or discard: true, and not both; of one prefix one discards', () => {
    const at = (column: number, text: string) => `g.yaml:6:${column}: tenants[0].routes${text}`;
    expect(issuesOf({ routes: '{ prefix: 10.9.0.0/16 }' })).toEqual([at(14, '[0].via: is needed, or discard: true')]);
    expect(issuesOf({ routes: '{ prefix: 10.9.0.0/16, discard: false }' })).toEqual([
      at(14, '[0].via: is needed, or discard: true'),
    ]);
    expect(issuesOf({ routes: '{ prefix: 10.9.0.0/16, via: inside, discard: true }' })).toEqual([
      at(59, '[0].discard: a route that discards has no way: leave via out'),
    ]);
    expect(
      issuesOf({ routes: '{ prefix: 10.9.0.0/16, discard: true }, { prefix: 10.9.0.0/16, discard: true, metric: 2 }' }),
    ).toEqual([at(64, '[1].prefix: 10.9.0.0/16 discarded stands here a second time (line 6)')]);
    const { document } = readDocument(documentOf({ routes: '{ prefix: 10.9.0.0/16, discard: true }' }), 'g.yaml');
    expect(gatewayTenants(document!)[0]!.routes).toEqual([
      { prefix: parsePrefix('10.9.0.0/16'), via: { discard: true }, metric: 0 },
    ]);
  });

  test('several next hops of one prefix, each once', () => {
    const way = (hop: string): string => `{ prefix: 10.9.0.0/16, via: ${hop}, metric: 10 }`;
    expect(issuesOf({ routes: `${way('10.1.0.2')}, ${way('10.1.0.3')}` })).toEqual([]);
    expect(issuesOf({ routes: `${way('10.1.0.2')}, ${way('10.1.0.2')}` })).toEqual([
      'g.yaml:6:76: tenants[0].routes[1].prefix: 10.9.0.0/16 by 10.1.0.2 stands here a second time (line 6)',
    ]);
    const { document } = readDocument(documentOf({ routes: way('inside') }), 'g.yaml');
    expect(gatewayTenants(document!)[0]!.routes).toEqual([
      { prefix: parsePrefix('10.9.0.0/16'), via: { interface: 'inside' }, metric: 10 },
    ]);
  });
});

describe('connections', () => {
  const one = (connection: string): string[] =>
    issuesOf({ connection }).map((issue) =>
      issue.replace(/^g\.yaml:8:\d+: (warning: )?tenants\[0\]\.connections\[0\]\./, '$1'),
    );

  test.each([
    [
      ', local: { address: 192.0.2.2 }',
      'local.address: 192.0.2.2 is not in gateway.external.addresses (192.0.2.1, 2001:db8::1)',
    ],
    [', local: { address: "2001:db8::1" }', 'remote.address: 198.51.100.1 is not of the family of 2001:db8::1'],
    [', routes: [10.3.0.0/24]', 'warning: routes[0]: no selector of child.remote admits packets to 10.3.0.0/24'],
    [', legacy: true', 'warning: legacy: algorithms that no longer protect are allowed'],
  ])('%s', (fields, message) => expect(one(peer(fields))).toEqual([message]));

  test('the gateway itself is no peer', () => {
    expect(one(peer('', undefined, '192.0.2.1'))).toEqual(['remote.address: is this gateway itself']);
  });

  test('the default local address is of the family of the remote one', () => {
    const { document } = readDocument(documentOf({ connection: peer('', undefined, '"2001:db8::9"') }), 'g.yaml');
    expect(gatewayTenants(document!)[0]!.connections[0]!.local.id).toBe('2001:db8::1');
  });

  test('RFC 7296 §2.9: selectors of one family face each other', () => {
    expect(one(peer('', 'local: [10.1.0.0/24, "fd00::/64"], remote: [10.2.0.0/24]'))).toEqual([
      'child.local[1]: is IPv6, but child.remote has no IPv6 selector to go with it',
    ]);
    expect(one(peer('', 'local: [10.1.0.0/24, "fd00::/64"], remote: ["fd02::/64", 10.2.0.0/24]'))).toEqual([]);
  });

  test('RFC 4303 §3.3.3: no replay window only without ESN', () => {
    const child = 'local: [10.1.0.0/24], remote: [10.2.0.0/24], replayWindow: 0';
    expect(one(peer('', child))).toEqual(['child.replayWindow: 0 needs esn: never (RFC 4303 §3.3.3)']);
    expect(one(peer('', `${child}, esn: never`))).toEqual(['warning: child.replayWindow: packets can be replayed']);
  });

  test('from any address: only listening, and who it is must be said', () => {
    expect(one(peer('', undefined, 'any'))).toEqual([
      'remote.id: is needed where any address may come: it says who the peer is',
    ]);
    const any = (start: string): string =>
      `{ name: a, remote: { address: any, id: x }, auth: { psk: { env: P } }, child: { local: [10.1.0.0/24], remote: [10.2.0.0/24] }${start} }`;
    expect(one(any(', start: boot'))).toEqual([
      'start: boot needs to know the remote address: only listen goes with any',
    ]);
    const { document } = readDocument(documentOf({ connection: any('') }), 'g.yaml');
    expect(gatewayTenants(document!)[0]!.connections[0]!).toMatchObject({
      start: 'listen',
      remote: { address: undefined, id: 'x' },
    });
  });

  test('a secret in the document is a warning, a weak one two; neither shows it', () => {
    const inline = peer('').replace('{ env: P }', 'hunter2');
    expect(one(inline)).toEqual([
      'warning: auth.psk: the secret stands in the document: better file, env or credential',
      'warning: auth.psk: a secret of 7 octets can be guessed from one recorded exchange: use 16 or more',
    ]);
    const { document } = readDocument(documentOf({ connection: inline }), 'g.yaml');
    expect(JSON.stringify(document)).not.toContain('hunter2');
  });

  test.each([
    ['{ fiel: x }', 'auth.psk: needs one of file, env, credential, not "fiel"; did you mean file?'],
    ['{ file: x, env: Y }', 'auth.psk: needs exactly one of file, env, credential'],
    ['{ env: "A B" }', 'auth.psk: env: not the name of a variable'],
    ['{ credential: ../x }', 'auth.psk: credential: not the name of a credential'],
    ['0xzz', 'auth.psk: begins like hexadecimal but is not'],
    ['""', 'auth.psk: is empty'],
  ])('psk: %s', (psk, message) => expect(one(peer('').replace('{ env: P }', psk))).toEqual([message]));
});

describe('RFC 7296 §2.15: peers that cannot be told apart', () => {
  const second = (fields: string, start = ''): string =>
    `      - { name: b, remote: { address: 198.51.100.1${fields} }, auth: { psk: { env: Q } }, child: { local: [10.1.0.0/24], remote: [10.3.0.0/24] }${start} }`;

  test('both opened from here: a warning', () => {
    expect(issuesOf({ more: second('') })).toEqual([
      'g.yaml:9:9: warning: tenants[0].connections[1]: same addresses and identities as blue/a: when the peer opens, the first one answers; give them ids',
    ]);
  });

  test('one listens: an error', () => {
    expect(issuesOf({ more: second('', ', start: listen') })).toEqual([
      'g.yaml:9:9: tenants[0].connections[1]: same addresses and identities as blue/a: a peer that comes cannot be told apart; give them ids',
    ]);
  });

  test('identities tell them apart', () => expect(issuesOf({ more: second(', id: other.example') })).toEqual([]));
});

test('one host, two tenants behind the same prefix: a warning unless told', () => {
  const red = (hostRoutes: string): string =>
    [
      '  - name: red',
      `    interfaces: [{ name: inside, addresses: [10.1.0.1/24]${hostRoutes} }]`,
      '    connections:',
      `      - ${peer('', undefined, '198.51.100.9')}`,
    ].join('\n');
  expect(issuesOf({ more: red('') })).toEqual([
    'g.yaml:10:18: warning: tenants[1].interfaces[0]: the host can route 10.2.0.0/24 to one tenant only, and blue has it: set hostRoutes: none',
  ]);
  expect(issuesOf({ more: red(', hostRoutes: none') })).toEqual([]);
});

test('keys written to a folder are a warning', () => {
  expect(issuesOf({ gateway: ', keyLog: /tmp/keys' })).toEqual([
    'g.yaml:2:65: warning: gateway.keyLog: whoever reads this folder reads all traffic: for debugging only',
  ]);
});
