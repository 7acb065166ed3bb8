import { describe, expect, it, test } from 'vitest';
import { formatIssue, gatewayTenants, readDocument } from '../../src/config/index.ts';
import { parseAddress, parsePrefix } from '../../src/ip/index.ts';

const issuesOf = (text: string): string[] => readDocument(text, 'g.yaml').issues.map(formatIssue);

/** A document that is valid; one line of the connection is replaced or added. */
const PEER = [
  'version: 1',
  'gateway: { name: lab, external: { addresses: [198.51.100.1] } }',
  'tenants:',
  '  - name: lab',
  '    interfaces: [{ name: inside, addresses: [10.2.0.1/24] }]',
  '    connections:',
  '      - name: peer',
  '        remote: { address: 192.0.2.1 }',
  '        auth: { psk: { file: lab.psk } }',
  '        child: { local: [10.2.0.0/24], remote: [10.1.0.0/24] }',
];
const withLine = (number: number, ...lines: string[]): string => PEER.toSpliced(number - 1, 1, ...lines).join('\n');
const withMore = (...lines: string[]): string => [...PEER, ...lines].join('\n');

test('compartment 1 has its name for itself', () => {
  const text = 'version: 1\ngateway: { external: { addresses: [192.0.2.1] } }\ntenants:\n  - name: default\n';
  expect(issuesOf(text)).toEqual([
    "g.yaml:4:11: tenants[0].name: default is the gateway's own compartment: name the tenant otherwise",
  ]);
});

describe('the ten lines of a lab peer', () => {
  const { document, issues } = readDocument(PEER.join('\n'), 'g.yaml');
  const connection = gatewayTenants(document!)[0]!.connections[0]!;

  it('have no issues', () => expect(issues).toEqual([]));

  it('get every default', () => {
    expect(document).toMatchObject({
      version: 1,
      role: 'gateway',
      gateway: {
        external: { ports: { ike: 500, natt: 4500 }, interface: undefined, pool: [] },
        underlay: undefined,
        keyLog: undefined,
        limits: { cookieThreshold: 30, halfOpen: 1000, packets: 1024, bgpAttributeOctets: 1 << 30 },
      },
      api: { listen: 'unix:/run/bulkhead/control.sock' },
    });
    expect(gatewayTenants(document!)[0]).toMatchObject({
      subnets: [],
      lookup: [],
      customerRoutes: [],
      nat: undefined,
      direct: false,
    });
    expect(gatewayTenants(document!)[0]!.interfaces).toEqual([
      {
        name: 'inside',
        driver: 'tun',
        device: 'bh-lab',
        mtu: 1500,
        addresses: [parsePrefix('10.2.0.1/24', true)],
        mac: 'auto',
        hostAddresses: [],
        hostRoutes: 'auto',
      },
    ]);
    expect(connection).toMatchObject({
      local: { address: parseAddress('198.51.100.1'), id: '198.51.100.1' },
      remote: { address: parseAddress('192.0.2.1'), id: '192.0.2.1', port: 500 },
      psk: { from: 'file', value: 'lab.psk' },
      legacy: false,
      start: 'demand',
      routes: [parsePrefix('10.1.0.0/24')],
      dpdSeconds: 30,
      idleSeconds: 0,
      encapsulation: 'auto',
      df: 'copy',
      mtu: 'auto',
    });
    expect(connection.ike.lifetimeSeconds).toBe(28800);
    expect(connection.child).toMatchObject({
      local: [{ prefix: parsePrefix('10.2.0.0/24'), protocol: 0, startPort: 0, endPort: 65535 }],
      lifetimeSeconds: 3600,
      lifetimeBytes: Number.POSITIVE_INFINITY,
      lifetimePackets: Number.POSITIVE_INFINITY,
      esn: 'allow',
      replayWindow: 1024,
    });
  });

  it('are the same document as JSON, tabs and all', () => {
    const json = JSON.stringify(
      {
        version: 1,
        gateway: { name: 'lab', external: { addresses: ['198.51.100.1'] } },
        tenants: [
          {
            name: 'lab',
            interfaces: [{ name: 'inside', addresses: ['10.2.0.1/24'] }],
            connections: [
              {
                name: 'peer',
                remote: { address: '192.0.2.1' },
                auth: { psk: { file: 'lab.psk' } },
                child: { local: ['10.2.0.0/24'], remote: ['10.1.0.0/24'] },
              },
            ],
          },
        ],
      },
      null,
      '\t',
    );
    expect(readDocument(json, 'g.json')).toEqual({ document, issues: [] });
  });
});

describe('shape', () => {
  test('all issues at once, each at its place, in the order of the text', () => {
    const text = `version: 2
gatway: { name: lab }
gateway:
  name: Lab
  external:
  underlay: { a: 1 }
tenants:
  - name: lab
    bgp:
    nat:
    interfaces:
      - { name: inside, driver: nvgre, addresses: [10.2.0.0/24], mut: 3 }
      - { name: inside, addresses: [fd00::1/64], driver: tunn }
    routes: [{ prefix: 10.1.1.1/8, via: insde }, { prefix: 10.0.0.0/8, via: insde }]
    connections:
      - name: peer
        remote: { adress: 192.0.2.1 }
        auth: { psk: 123 }
        child: { local: [10.2.0.0/24], remote: [10.1.0.0/24, "10.1.0.0/24[tpc/3]"], lifetimeBytes: 100gb }
        dpdSeconds: 5x
        start: on-demand
        mtu: atuo
        ike: { proposals: [] }
`;
    expect(issuesOf(text)).toEqual([
      'g.yaml:1:10: version: this release reads version 1',
      'g.yaml:2:1: gatway: unknown key; did you mean gateway?',
      'g.yaml:4:9: gateway.name: "Lab" is not a name: 1 to 32 of a-z, 0-9, - and _',
      'g.yaml:5:3: gateway.external: a section is needed, not nothing',
      'g.yaml:6:15: gateway.underlay.a: unknown key; known here: address, addresses, encapsulation, sourcePort, mtu',
      'g.yaml:9:5: tenants[0].bgp: a section is needed, not nothing',
      'g.yaml:10:5: tenants[0].nat: off or a section is needed, not nothing; {} takes an address of the pool',
      'g.yaml:12:33: tenants[0].interfaces[0].driver: nvgre is no driver: write subnets',
      "g.yaml:12:52: tenants[0].interfaces[0].addresses[0]: 10.2.0.0/24 is the network's own address: write the interface's",
      'g.yaml:12:66: tenants[0].interfaces[0].mut: unknown key; did you mean mtu?',
      'g.yaml:13:17: tenants[0].interfaces[1].name: inside stands here a second time in this tenant',
      'g.yaml:13:58: tenants[0].interfaces[1].driver: must be tun, tap, packet or fabric, not "tunn"; did you mean tun?',
      'g.yaml:14:24: tenants[0].routes[0].prefix: 10.1.1.1/8 has host bits set: did you mean 10.0.0.0/8?',
      'g.yaml:14:77: tenants[0].routes[1].via: "insde" is neither an interface of this tenant nor an address; did you mean inside?',
      'g.yaml:17:17: tenants[0].connections[0].remote.address: is needed',
      'g.yaml:17:19: tenants[0].connections[0].remote.adress: unknown key; did you mean address?',
      'g.yaml:18:22: tenants[0].connections[0].auth.psk: a secret is text: put it in quotes',
      'g.yaml:19:62: tenants[0].connections[0].child.remote[1]: "tpc" is not an IP protocol',
      'g.yaml:19:100: tenants[0].connections[0].child.lifetimeBytes: a number of octets, 100GB, 64GiB or unlimited is needed, not "100gb"',
      'g.yaml:20:21: tenants[0].connections[0].dpdSeconds: seconds or a time like 30s, 5m, 8h, 1d is needed, not "5x"',
      'g.yaml:21:16: tenants[0].connections[0].start: must be demand, boot or listen, not "on-demand"; did you mean demand?',
      'g.yaml:22:14: tenants[0].connections[0].mtu: a whole number from 576 to 9216 is needed, not "atuo"',
      'g.yaml:23:27: tenants[0].connections[0].ike.proposals: needs at least one entry',
    ]);
  });

  test.each([
    ['', 'g.yaml:1:1: the document is empty'],
    ['# nothing\n', 'g.yaml:1:1: the document is empty'],
    ['[]', 'g.yaml:1:1: the document is a list, not sections'],
    ['version: 1\n', 'g.yaml:1:1: gateway: is needed'],
    ['version: 1\ngateway: {}\n', 'g.yaml:2:10: gateway.external: is needed'],
    ['gateway: { external: { addresses: [192.0.2.1] } }\n', 'g.yaml:1:1: version: is needed'],
  ])('%j', (text, issue) => expect(issuesOf(text)).toContain(issue));

  test.each([
    ['a: 1\na: 2\n', 'g.yaml:2:1: this key stands here twice'],
    ['version: 1\n\tgateway: 2\n', 'g.yaml:2:1: a tab indents here: YAML wants spaces'],
    ['version: 1\n---\nversion: 1\n', 'g.yaml:2:1: a second document begins here; one file holds one'],
    ['version: !one 1\n', 'g.yaml:1:10: no tags here: quote text that begins with !'],
    ['version: *one\n', 'g.yaml:1:10: version: *one names no anchor'],
    ['? [a]\n: 1\n', 'g.yaml:1:3: a key must be plain text'],
    ['"__proto__": { a: 1 }\n', 'g.yaml:1:1: a key must be plain text'],
    ['['.repeat(30_000), 'nested too deeply'],
    [`${'{a: '.repeat(40)}1${'}'.repeat(40)}`, 'nested too deeply'],
  ])('not a document: %.30j', (text, issue) => expect(issuesOf(text)[0]).toContain(issue));

  test('an alias bomb is a short list of issues', () => {
    const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]'];
    for (const [now, before] of ['ba', 'cb', 'dc', 'ed', 'fe', 'gf', 'hg', 'ih']) {
      bomb.push(`${now}: &${now} [${Array(9).fill(`*${before}`).join(',')}]`);
    }
    expect(issuesOf(bomb.join('\n'))[0]).toMatch(/more than 500000 values$/);
  });

  test('aliases of modest size are understood', () => {
    const text = withLine(9, '        auth: &auth { psk: { file: lab.psk } }', '        routes: [10.1.0.0/24]');
    const second = [
      '      - name: second',
      '        remote: { address: 192.0.2.2 }',
      '        auth: *auth',
      '        child: { local: [10.2.0.0/24], remote: [10.4.0.0/24] }',
    ];
    const { document, issues } = readDocument([text, ...second].join('\n'), 'g.yaml');
    expect(issues).toEqual([]);
    expect(gatewayTenants(document!)[0]!.connections[1]!.psk).toEqual({ from: 'file', value: 'lab.psk' });
  });

  test('two hundred issues are enough', () => {
    const issues = issuesOf(`version: 1\n${Array.from({ length: 300 }, (_, i) => `key${i}: 1`).join('\n')}`);
    expect(issues.length).toBe(201);
    expect(issues.at(-1)).toMatch(/: and 101 more$/);
  });
});

describe('values', () => {
  const field = (text: string) => issuesOf(withMore(`        ${text}`));
  const inPath = (path: string, message: string) => [
    expect.stringContaining(`tenants[0].connections[0].${path}: ${message}`),
  ];

  test.each([
    ['mtu: 100', 'mtu', 'a whole number from 576 to 9216 is needed, not 100'],
    ['mtu: 1500.5', 'mtu', 'a whole number from 576 to 9216 is needed, not 1500.5'],
    ['dpdSeconds: -1', 'dpdSeconds', 'must be from 1s to 1h, or 0 for never'],
    ['dpdSeconds: .inf', 'dpdSeconds', 'seconds or a time like 30s, 5m, 8h, 1d is needed, not Infinity'],
    ['legacy: "yes"', 'legacy', 'must be true or false, not "yes"'],
    ['df: keep', 'df', 'must be copy, set or clear, not "keep"'],
    ['routes: 10.0.0.0/8', 'routes', 'a list is needed, not text'],
    ['ike: { lifetimeSeconds: 1s }', 'ike.lifetimeSeconds', 'must be from 5s to 30d'],
    [
      'ike: { proposals: [aes256-sha265-modp2048] }',
      'ike.proposals[0]',
      'unknown algorithm "sha265", did you mean "sha256"?',
    ],
    [
      'ike: { proposals: [aes256-sha1-modp1024] }',
      'ike.proposals[0]',
      '"sha1" is obsolete (RFC 8247, RFC 8221): it needs "legacy: true"',
    ],
    ['local: { id: "%any" }', 'local.id', '"%any" is no identity'],
    ['local: { address: gw.example }', 'local.address', '"gw.example" is a name: write its address'],
    ['local: { address: 10.0.0.0/8 }', 'local.address', '"10.0.0.0/8" is a prefix; an address is needed'],
    ['local: { address: 0.0.0.0 }', 'local.address', '0.0.0.0 is no address of its own: write the one peers send to'],
    ['local: { address: 224.0.0.1 }', 'local.address', '224.0.0.1 is not the address of one host'],
    ['local: { id: "a\\u001bb" }', 'local.id', 'holds a control character'],
  ])('%s', (text, path, message) => expect(field(text)).toEqual(inPath(path, message)));

  test.each([
    ['30', 30],
    ['90s', 90],
    ['8h', 28800],
    ['1d', 86400],
  ])('a lifetime of %s is %d seconds', (text, seconds) => {
    const { document } = readDocument(withMore(`        ike: { lifetimeSeconds: ${text} }`), 'g.yaml');
    expect(gatewayTenants(document!)[0]!.connections[0]!.ike.lifetimeSeconds).toBe(seconds);
  });

  test.each([
    ['2000000', 2e6],
    ['100GB', 1e11],
    ['64GiB', 64 * 2 ** 30],
    ['unlimited', Number.POSITIVE_INFINITY],
  ])('a lifetime of %s octets', (text, octets) => {
    const child = `        child: { local: [10.2.0.0/24], remote: [10.1.0.0/24], lifetimeBytes: ${text} }`;
    const { document } = readDocument(withLine(10, child), 'g.yaml');
    expect(gatewayTenants(document!)[0]!.connections[0]!.child.lifetimeBytes).toBe(octets);
  });

  test.each([
    ['10.1.0.0/24[tcp/443]', [6, 443, 443]],
    ['10.1.0.0/24[udp/1000-2000]', [17, 1000, 2000]],
    ['10.1.0.0/24[icmp/2048]', [1, 2048, 2048]],
    ['10.1.0.0/24[47]', [47, 0, 65535]],
    ['10.1.0.0/24[any]', [0, 0, 65535]],
  ])('selector %s', (text, [protocol, startPort, endPort]) => {
    const child = `        child: { local: [10.2.0.0/24], remote: ["${text}"] }`;
    const { document } = readDocument(withLine(10, child), 'g.yaml');
    const prefix = parsePrefix('10.1.0.0/24');
    expect(gatewayTenants(document!)[0]!.connections[0]!.child.remote).toEqual([
      { prefix, protocol, startPort, endPort },
    ]);
  });

  test.each([
    ['10.1.0.0/24[tcp/443', 'after the prefix comes [protocol] or [protocol/port]'],
    ['10.1.0.0/24[tcp/70000]', '"70000" is not a port or a range of ports'],
    ['10.1.0.0/24[tcp/20-10]', '"20-10" is not a port or a range of ports'],
    ['10.1.0.0/24[any/20]', 'ports need a protocol'],
    ['10.1.0.0', ''],
  ])('selector %s', (text, message) => {
    const found = issuesOf(withLine(10, `        child: { local: [10.2.0.0/24], remote: ["${text}"] }`));
    expect(found).toEqual(message === '' ? [] : [expect.stringContaining(message)]);
  });

  test.each([
    ['unix:run/x.sock', 'must be unix: and an absolute path, or none; not "unix:run/x.sock"'],
    ['tcp:127.0.0.1:80', 'must be unix: and an absolute path, or none; not "tcp:127.0.0.1:80"'],
    [`unix:/${'x'.repeat(108)}`, 'the path is longer than 107 octets'],
  ])('control socket %.30s', (listen, message) => {
    expect(issuesOf(withMore(`api: { listen: "${listen}" }`))).toEqual([`g.yaml:11:16: api.listen: ${message}`]);
  });

  test('api: none is no control socket', () => {
    expect(readDocument(withMore('api: { listen: none }'), 'g.yaml').document!.api).toBeUndefined();
  });
});
