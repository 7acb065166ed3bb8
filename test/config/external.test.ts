import { describe, expect, test } from 'vitest';
import {
  type Document,
  diffDocuments,
  formatChanges,
  formatIssue,
  type GatewayDocument,
  gatewayTenants,
  readDocument,
  secretPlaces,
  showDocument,
} from '../../src/config/index.ts';
import { parseMac } from '../../src/config/mac.ts';
import { formatPrefix, parseAddress, parsePrefix } from '../../src/ip/index.ts';

const INTERFACE = '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], gateway: 203.0.113.1 }';
const POOL = '203.0.113.50-203.0.113.99';

interface Parts {
  readonly external?: string | undefined;
  readonly pool?: string | undefined;
}

/** Lines: 4 addresses, 5 the interface, 6 the pool, 7 the underlay, 9… the tenants. */
const documentOf = ({ external = INTERFACE, pool = POOL }: Parts, ...tenants: string[]): string =>
  [
    'version: 1',
    'gateway:',
    '  external:',
    '    addresses: [203.0.113.10]',
    external === '' ? '' : `    interface: ${external}`,
    pool === '' ? '' : `    pool: ${pool}`,
    '  underlay: { address: 192.168.50.10 }',
    'tenants:',
    ...tenants.map((tenant) => `  - ${tenant}`),
  ].join('\n');
const issuesOf = (parts: Parts, ...tenants: string[]): string[] =>
  readDocument(documentOf(parts, ...tenants), 'g').issues.map(formatIssue);
const read = (parts: Parts, ...tenants: string[]): Document => {
  const { document, issues } = readDocument(documentOf(parts, ...tenants), 'g');
  expect(issues.map(formatIssue)).toEqual([]);
  return document!;
};

test('the document the others are made of is valid', () => expect(issuesOf({}, '{ name: blue }')).toEqual([]));

describe('the external interface', () => {
  const issues = (external: string): string[] =>
    issuesOf({ external, pool: '' }, '{ name: blue }').map((issue) => issue.replace('gateway.external.interface', 'I'));

  test('defaults of a NIC', () => {
    expect(read({}, '{ name: blue }')).toMatchObject({
      gateway: {
        external: {
          interface: {
            driver: 'packet',
            device: 'eth0',
            mtu: 1500,
            addresses: [parsePrefix('203.0.113.10/24', true)],
            gateways: [parseAddress('203.0.113.1')],
            mac: 'auto',
            hostRoutes: 'none',
          },
        },
      },
    });
  });

  test('of a device to the host: it routes', () => {
    const { gateway } = read({ external: '{ driver: tun }' }, '{ name: blue }') as { gateway?: unknown };
    expect(gateway).toMatchObject({
      external: {
        interface: {
          driver: 'tun',
          device: 'bh-external',
          addresses: [],
          gateways: [],
          mac: 'auto',
          hostRoutes: 'auto',
        },
      },
    });
  });

  test('both families', () => {
    const external =
      '{ driver: fabric, addresses: [203.0.113.10/24, "2001:db8::10/64"], gateway: [203.0.113.1, "2001:db8::1"] }';
    expect(issues(external)).toEqual([]);
  });

  test.each([
    ['{ device: eth0, addresses: [203.0.113.10/24] }', '5:16: I.driver: is needed'],
    ['{ driver: tap, addresses: [203.0.113.10/24] }', '5:26: I.driver: must be packet, tun or fabric, not "tap"'],
    [
      '{ driver: packet, addresses: [203.0.113.10/24] }',
      '5:16: I.device: is needed with driver packet: the name of a NIC',
    ],
    [
      '{ driver: packet, device: eth0 }',
      '5:16: I.addresses: is needed with driver packet: frames are sent from an address',
    ],
    [
      '{ driver: tun, gateway: 203.0.113.1 }',
      '5:40: I.gateway: tun leads to the host, which is the next hop: no gateway',
    ],
    ['{ driver: tun, mac: 02:00:00:00:00:01 }', '5:36: I.mac: a device with driver tun has none'],
    [
      '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], hostRoutes: auto }',
      '5:90: I.hostRoutes: auto is for tun: with driver packet the host is not on the way',
    ],
    [
      '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], gateway: 203.0.114.1 }',
      '5:87: I.gateway: 203.0.114.1 is in no prefix of addresses: it has to be on-link',
    ],
    [
      '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], gateway: [203.0.113.1, 203.0.113.2] }',
      '5:101: I.gateway[1]: 203.0.113.2 is the second of its family: one is the default route',
    ],
    [
      '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], gateway: [203.0.113.10] }',
      "5:88: I.gateway[0]: 203.0.113.10 is the interface's own address",
    ],
    [
      '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], gateway: [gw] }',
      '5:88: I.gateway[0]: "gw" is a name: write its address',
    ],
    [
      '{ driver: packet, device: eth0, addresses: [203.0.113.10/24], gatway: 203.0.113.1 }',
      '5:78: I.gatway: unknown key; did you mean gateway?',
    ],
    [
      '{ driver: packet, device: eth0, addresses: ["2001:db8::1/64"], mtu: 1279 }',
      '5:84: I.mtu: must be at least 1280 where IPv6 passes (RFC 8200 §5)',
    ],
  ])('%s', (external, issue) => expect(issues(external)).toEqual([`g:${issue}`]));

  test('its MAC may be written', () => {
    const external = INTERFACE.replace(' }', ', mac: 02:00:00:00:00:01 }');
    expect(read({ external }, '{ name: blue }')).toMatchObject({
      gateway: { external: { interface: { mac: parseMac('02:00:00:00:00:01') } } },
    });
  });

  test('its device is nobody else’s', () => {
    expect(
      issuesOf(
        {},
        '{ name: blue, interfaces: [{ name: lan, driver: packet, device: eth0, addresses: [10.1.0.1/24] }] }',
      ),
    ).toEqual(['g:9:69: tenants[0].interfaces[0].device: device eth0 belongs to another interface (line 5)']);
  });
});

describe('interfaces of a tenant', () => {
  const interfaceOf = (text: string) =>
    gatewayTenants(read({}, `{ name: blue, interfaces: [{ name: lan, addresses: [10.1.0.1/24], ${text} }] }`))[0]!
      .interfaces[0]!;

  test.each([
    ['driver: tun', { device: 'bh-blue', mac: 'auto', hostRoutes: 'auto' }],
    ['driver: tap', { device: 'bh-blue', mac: 'auto', hostRoutes: 'none' }],
    ['driver: packet, device: eth1', { device: 'eth1', mac: 'auto', hostRoutes: 'none' }],
    ['driver: tap, mac: 02:00:00:00:00:01, hostRoutes: auto', { mac: parseMac('020000000001'), hostRoutes: 'auto' }],
  ])('%s', (text, expected) => expect(interfaceOf(text)).toMatchObject(expected));

  test.each([
    ['driver: packet', '9:32: I.device: is needed with driver packet: the name of a NIC'],
    ['mac: 02:00:00:00:00:01', '9:76: I.mac: a device with driver tun has none'],
    ['driver: fabric, mac: 02:00:00:00:00:01', '9:92: I.mac: a device with driver fabric has none'],
    [
      'driver: packet, device: eth1, hostAddresses: [10.1.0.2/24]',
      '9:116: I.hostAddresses: a NIC that is there has its addresses from the host',
    ],
    [
      'driver: packet, device: eth1, hostRoutes: auto',
      '9:113: I.hostRoutes: auto is for tun and tap: what the host sends by a NIC leaves by it',
    ],
  ])('%s', (text, issue) => {
    const tenant = `{ name: blue, interfaces: [{ name: lan, addresses: [10.1.0.1/24], ${text} }] }`;
    expect(issuesOf({}, tenant)).toEqual([`g:${issue.replace('I', 'tenants[0].interfaces[0]')}`]);
  });
});

describe('the pool', () => {
  const issues = (pool: string): string[] =>
    issuesOf({ pool }, '{ name: blue }').map((issue) => issue.replace('gateway.external.pool', 'P'));

  test.each([
    [POOL, ['203.0.113.50', '203.0.113.99']],
    ['203.0.113.64/28', ['203.0.113.64', '203.0.113.79']],
    ['203.0.113.7', ['203.0.113.7', '203.0.113.7']],
    ['198.51.100.0/24', ['198.51.100.0', '198.51.100.255']],
    ['[203.0.113.64 - 203.0.113.65, 203.0.113.7]', ['203.0.113.7', '203.0.113.7', '203.0.113.64', '203.0.113.65']],
  ])('%s', (pool, ends) => {
    const document = read({ pool }, '{ name: blue }');
    const ranges = document.role === 'gateway' ? document.gateway.external.pool : [];
    expect(ranges.flatMap(({ first, last }) => [first, last])).toEqual(ends.map(parseAddress));
  });

  test.each([
    ['203.0.113.99-203.0.113.50', '6:11: P: 203.0.113.99-203.0.113.50 ends before it begins'],
    ['"2001:db8::/64"', '6:11: P: 2001:db8::/64 is IPv6: NAT is for IPv4'],
    ['fifty', '6:11: P: "fifty" is not a range like 203.0.113.50-203.0.113.99, a prefix or an address'],
    [
      '203.0.113.65/28',
      '6:11: P: "203.0.113.65/28" is not a range like 203.0.113.50-203.0.113.99, a prefix or an address',
    ],
    ['[203.0.113.50, 224.0.0.1]', '6:26: P[1]: 224.0.0.1 is not the address of one host'],
    [
      '[203.0.113.50-203.0.113.60, 203.0.113.60/31]',
      '6:39: P[1]: 203.0.113.60-203.0.113.61 and 203.0.113.50-203.0.113.60 (line 6) overlap',
    ],
    ['10.0.0.0/15', '6:11: P: has 131072 addresses: at most 65536'],
    ['203.0.113.10-203.0.113.20', '6:11: P: contains 203.0.113.10, one of gateway.external.addresses (line 4)'],
    ['203.0.113.1-203.0.113.2', '6:11: P: contains 203.0.113.1, the next hop (line 5)'],
    [
      '203.0.113.254-203.0.113.255',
      '6:11: P: contains 203.0.113.255, the broadcast address of 203.0.113.0/24 (line 5)',
    ],
    ['203.0.113.0', "6:11: P: contains 203.0.113.0, the network's own address of 203.0.113.0/24 (line 5)"],
  ])('%s', (pool, issue) => expect(issues(pool)).toEqual([`g:${issue}`]));

  test('is a list of at most 256 ranges', () => {
    const pool = `[${Array.from({ length: 257 }, (_, i) => `198.51.${i >> 7}.${i & 127}`).join(', ')}]`;
    expect(issues(pool)).toEqual(['g:6:11: P: has 257 entries: at most 256']);
  });

  test("has none of the interface's own addresses", () => {
    const external = INTERFACE.replace('203.0.113.10/24', '203.0.113.11/24');
    expect(issuesOf({ external, pool: '203.0.113.11' }, '{ name: blue }')).toEqual([
      "g:6:11: gateway.external.pool: contains 203.0.113.11, the interface's own (line 5)",
    ]);
  });
});

describe('NAT', () => {
  const SUBNETS = 'subnets: [{ vsid: 5001, prefix: 10.1.0.0/24 }]';
  const nat = (text: string, more = SUBNETS): string[] =>
    issuesOf({}, `{ name: blue, nat: ${text}, ${more} }`).map((issue) => issue.replace('tenants[0].nat', 'N'));

  test.each([
    ['nothing', ''],
    ['off', 'nat: off, '],
  ])('%s: none', (_, text) => {
    expect(gatewayTenants(read({}, `{ name: blue, ${text}${SUBNETS} }`))[0]!.nat).toBeUndefined();
  });

  test('{} takes every default', () => {
    expect(gatewayTenants(read({}, '{ name: blue, nat: {} }'))[0]!.nat).toEqual({
      address: 'auto',
      filtering: 'address',
      rules: [],
      timeouts: { tcpEstablishedSeconds: 1800, tcpTransientSeconds: 120, udpSeconds: 120, icmpSeconds: 30 },
      limits: { sessions: 65536 },
      routes: [parsePrefix('0.0.0.0/0')],
    });
  });

  test('all of it', () => {
    const text = `{ address: 203.0.113.60, filtering: address-and-port, timeouts: { udpSeconds: 5m }, limits: { sessions: 100 },
      rules: [{ protocol: tcp, externalPort: 443, to: "10.1.0.10:8443" }, { protocol: udp, externalPort: 443, to: 10.1.0.10 }],
      routes: [198.51.100.0/24] }`;
    const to = (port: number) => ({ address: parseAddress('10.1.0.10'), port });
    expect(gatewayTenants(read({}, `{ name: blue, nat: ${text}, ${SUBNETS} }`))[0]!.nat).toEqual({
      address: parseAddress('203.0.113.60'),
      filtering: 'address-and-port',
      rules: [
        { protocol: 'tcp', externalPort: 443, to: to(8443) },
        { protocol: 'udp', externalPort: 443, to: to(443) },
      ],
      timeouts: { tcpEstablishedSeconds: 1800, tcpTransientSeconds: 120, udpSeconds: 300, icmpSeconds: 30 },
      limits: { sessions: 100 },
      routes: [parsePrefix('198.51.100.0/24')],
    });
  });

  test.each([
    ['', '9:19: N: off or a section is needed, not nothing; {} takes an address of the pool'],
    ['true', '9:24: N: off or a section is needed, not a truth value; {} takes an address of the pool'],
    ['auto', '9:24: N: off or a section is needed, not text; {} takes an address of the pool'],
    ['{ adress: auto }', '9:26: N.adress: unknown key; did you mean address?'],
    ['{ address: automatic }', '9:35: N.address: "automatic" is a name: write its address'],
    ['{ address: "2001:db8::1" }', '9:35: N.address: 2001:db8::1 is IPv6: NAT is for IPv4'],
    [
      '{ address: 203.0.113.49 }',
      '9:35: N.address: 203.0.113.49 is not in gateway.external.pool (203.0.113.50-203.0.113.99)',
    ],
    [
      '{ filtering: endpoint }',
      '9:37: N.filtering: must be address, endpoint-independent or address-and-port, not "endpoint"',
    ],
    ['{ routes: ["fd00::/8"] }', '9:35: N.routes[0]: fd00::/8 is IPv6: NAT is for IPv4'],
    ['{ timeouts: { icmpSeconds: 0 } }', '9:51: N.timeouts.icmpSeconds: must be from 1s to 30d'],
    ['{ limits: { sessions: 0 } }', '9:46: N.limits.sessions: a whole number from 1 to 4194304 is needed, not 0'],
    [
      '{ rules: [{ protocol: icmp, externalPort: 1, to: 10.1.0.10 }] }',
      '9:46: N.rules[0].protocol: must be tcp or udp, not "icmp"',
    ],
    ['{ rules: [{ protocol: tcp, externalPort: 443 }] }', '9:34: N.rules[0].to: is needed'],
    [
      '{ rules: [{ protocol: tcp, externalPort: 443, to: web }] }',
      '9:74: N.rules[0].to: "web" is not an address and a port like 10.1.0.10:8443',
    ],
    [
      '{ rules: [{ protocol: tcp, externalPort: 443, to: "10.1.0.10:65536" }] }',
      '9:74: N.rules[0].to: 65536 is not a port',
    ],
    [
      '{ rules: [{ protocol: tcp, externalPort: 443, to: "fd00::1" }] }',
      '9:74: N.rules[0].to: fd00::1 is IPv6: NAT is for IPv4',
    ],
    [
      '{ rules: [{ protocol: tcp, externalPort: 443, to: "10.1.0.1:22" }] }',
      "9:74: N.rules[0].to: 10.1.0.1 is the gateway's own address: nothing listens there",
    ],
    [
      '{ rules: [{ protocol: tcp, externalPort: 443, to: "10.3.0.1:22" }] }',
      '9:74: warning: N.rules[0].to: 10.3.0.1 is in no subnet, interface prefix or route of this tenant',
    ],
  ])('nat: %s', (text, issue) => expect(nat(text)).toEqual([`g:${issue}`]));

  test.each([
    'interfaces: [{ name: inside, addresses: [10.3.0.2/24] }]',
    `${SUBNETS}, routes: [{ prefix: 10.3.0.0/16, via: 10.1.0.9 }]`,
    `${SUBNETS}, customerRoutes: [{ prefix: 10.3.0.0/16, nextHop: 10.1.0.9 }]`,
    'connections: [{ name: hq, remote: { address: 198.51.100.1 }, auth: { psk: { env: P } }, child: { local: [10.1.0.0/24], remote: [10.3.0.0/24] } }]',
  ])('a rule may lead to %s', (more) => {
    expect(nat('{ rules: [{ protocol: tcp, externalPort: 443, to: 10.3.0.1 }] }', more)).toEqual([]);
  });

  test('a rule leads nowhere where a route discards', () => {
    const route = `${SUBNETS}, routes: [{ prefix: 10.3.0.0/16, discard: true }]`;
    expect(nat('{ rules: [{ protocol: tcp, externalPort: 443, to: 10.3.0.1 }] }', route)).toEqual([
      expect.stringContaining('10.3.0.1 is in no subnet, interface prefix or route of this tenant'),
    ]);
  });

  test('a port of a protocol stands in one rule', () => {
    const rule = (protocol: string): string => `{ protocol: ${protocol}, externalPort: 53, to: 10.1.0.10 }`;
    expect(nat(`{ rules: [${rule('udp')}, ${rule('tcp')}] }`)).toEqual([]);
    expect(nat(`{ rules: [${rule('udp')}, ${rule('udp')}] }`)).toEqual([
      'g:9:117: N.rules[1].externalPort: udp port 53 is taken (line 9)',
    ]);
  });

  test('needs a way outside and addresses', () => {
    const needs = (parts: Parts): string[] => issuesOf(parts, '{ name: blue, nat: {} }');
    expect(needs({ external: '' })).toEqual([
      'g:9:19: tenants[0].nat: needs gateway.external.interface, by which packets leave: { driver: packet, device: …, addresses: […], gateway: … }',
    ]);
    expect(needs({ pool: '' })).toEqual([
      'g:9:19: tenants[0].nat: needs gateway.external.pool, from which each tenant gets an address: 203.0.113.50-203.0.113.99',
    ]);
    expect(needs({ external: '{ driver: packet }' })).toEqual([
      expect.stringContaining('interface.addresses: is needed'),
      expect.stringContaining('interface.device: is needed'),
    ]);
  });

  test('no two tenants on one address', () => {
    const [blue, red] = ['blue', 'red'].map((name) => `{ name: ${name}, nat: { address: 203.0.113.60 } }`);
    expect(issuesOf({}, blue!, red!)).toEqual([
      "g:10:34: tenants[1].nat.address: 203.0.113.60 is blue's (line 9): each tenant has an address of its own",
    ]);
  });

  test('the pool is large enough', () => {
    const tenant = (name: string, address: string): string => `{ name: ${name}, nat: { address: ${address} } }`;
    const pool = '203.0.113.50-203.0.113.52';
    const [chosen, ...rest] = [
      tenant('a', '203.0.113.51'),
      tenant('b', 'auto'),
      tenant('c', 'auto'),
      tenant('d', 'auto'),
    ];
    expect(issuesOf({ pool }, chosen!, ...rest.slice(0, 2))).toEqual([]);
    expect(issuesOf({ pool }, ...rest)).toEqual([]);
    expect(issuesOf({ pool }, chosen!, ...rest)).toEqual([
      'g:6:11: gateway.external.pool: has 2 free addresses, and 3 tenants want one: 1 more needed',
    ]);
    expect(issuesOf({ pool: '203.0.113.51' }, chosen!, rest[0]!)).toEqual([
      'g:6:11: gateway.external.pool: has 0 free addresses, and 1 tenant wants one: 1 more needed',
    ]);
  });
});

describe('direct routing', () => {
  const direct = (name: string, vsid: number, more: string): string =>
    `{ name: ${name}, direct: true, subnets: [{ vsid: ${vsid}, prefix: 198.51.100.0/25 }]${more} }`;

  test('off unless written', () => {
    expect(gatewayTenants(read({}, '{ name: blue }'))[0]!.direct).toBe(false);
    expect(gatewayTenants(read({}, direct('blue', 5001, '')))[0]!.direct).toBe(true);
  });

  test('needs a way outside', () => {
    expect(issuesOf({ external: '' }, direct('blue', 5001, ''))).toEqual([
      'g:9:19: tenants[0].direct: needs gateway.external.interface, by which packets leave: { driver: packet, device: …, addresses: […], gateway: … }',
    ]);
  });

  test('is not for one who translates', () => {
    expect(issuesOf({}, '{ name: blue, direct: true,\n      nat: {} }')).toEqual([
      'g:9:19: tenants[0].direct: goes without translation, and nat (line 10) translates: one of the two',
    ]);
    expect(issuesOf({}, '{ name: blue, direct: true, nat: off }')).toEqual([]);
  });

  test('prefixes of two tenants do not overlap', () => {
    const red = '{ name: red, direct: true, interfaces: [{ name: inside, addresses: [198.51.100.1/24] }] }';
    expect(issuesOf({}, direct('blue', 5001, ''), red)).toEqual([
      'g:10:73: tenants[1].interfaces[0].addresses[0]: 198.51.100.0/24 and 198.51.100.0/25 of blue (line 9) overlap: routed directly, they are in one table',
    ]);
    expect(issuesOf({}, direct('blue', 5001, ''), red.replace('direct: true, ', ''))).toEqual([]);
    expect(issuesOf({}, direct('blue', 5001, ''), red.replace('198.51.100.1/24', '198.51.100.129/25'))).toEqual([]);
  });

  test('routes are outside, too, but for the default', () => {
    const routes = (key: string, via: string, prefix: string): string =>
      `, ${key}: [{ prefix: ${prefix}, ${via}: 198.51.100.9 }]`;
    const red = '{ name: red, direct: true, subnets: [{ vsid: 6001, prefix: 192.0.2.128/25 }] }';
    for (const [key, via] of [
      ['routes', 'via'],
      ['customerRoutes', 'nextHop'],
    ] as const) {
      expect(issuesOf({}, direct('blue', 5001, routes(key, via, '0.0.0.0/0')), red)).toEqual([]);
      const [issue] = issuesOf({}, direct('blue', 5001, routes(key, via, '192.0.2.0/24')), red);
      expect(issue).toBe(
        'g:10:64: tenants[1].subnets[0].prefix: 192.0.2.128/25 and 192.0.2.0/24 of blue (line 9) overlap: routed directly, they are in one table',
      );
    }
  });

  test('nor do they hold what is outside already', () => {
    const tenant = (prefix: string): string[] =>
      issuesOf({}, `{ name: blue, direct: true, subnets: [{ vsid: 5001, prefix: ${prefix} }] }`);
    expect(tenant('203.0.113.128/25')).toEqual([
      'g:9:65: tenants[0].subnets[0].prefix: 203.0.113.128/25 and 203.0.113.0/24 of the external interface (line 5) overlap: routed directly, they are in one table',
    ]);
    const external = INTERFACE.replace('203.0.113.10/24', '192.0.2.10/24').replace('203.0.113.1 ', '192.0.2.1 ');
    const blue = (prefix: string): string =>
      `{ name: blue, direct: true, subnets: [{ vsid: 5001, prefix: ${prefix} }] }`;
    expect(issuesOf({ external }, blue('203.0.113.0/28'))).toEqual([
      'g:9:65: tenants[0].subnets[0].prefix: 203.0.113.0/28 and 203.0.113.10/32 of gateway.external.addresses (line 4) overlap: routed directly, they are in one table',
    ]);
    expect(issuesOf({ external }, blue('203.0.113.96/28'))).toEqual([
      'g:9:65: tenants[0].subnets[0].prefix: 203.0.113.96/28 and 203.0.113.50-203.0.113.99 of gateway.external.pool (line 6) overlap',
    ]);
  });
});

describe('the router of the external network', () => {
  const bgpOf = (bgp: string, external = INTERFACE): string[] =>
    issuesOf({ external: `${external}\n    bgp: ${bgp}` }, '{ name: blue, nat: {} }', GREEN).map((issue) =>
      issue.replace('gateway.external.bgp', 'B'),
    );
  const GREEN = '{ name: green, direct: true, interfaces: [{ name: lan, addresses: [172.16.0.1/24] }] }';
  const PEER = 'name: up, address: 203.0.113.1, asn: 65000, import: all, export: all';

  test('defaults, and what no peer may say the way to: the pool and directly routed tenants', () => {
    const parts = { external: `${INTERFACE}\n    bgp: { asn: 65010, redistribute: [connected, nat, direct] }` };
    const { gateway } = read(parts, '{ name: blue, nat: {} }', GREEN) as GatewayDocument;
    const { bgp } = gateway.external;
    expect(bgp).toMatchObject({ asn: 65010, routerId: 0xcb00710a, redistribute: ['connected', 'nat', 'direct'] });
    expect(bgp!.tenantPrefixes.map(formatPrefix)).toEqual([
      '203.0.113.50/31',
      '203.0.113.52/30',
      '203.0.113.56/29',
      '203.0.113.64/27',
      '203.0.113.96/30',
      '172.16.0.0/24',
    ]);
  });

  test('a tenant has none of its words, and it none of a tenant’s', () => {
    expect(bgpOf('{ asn: 65010, redistribute: [static] }')).toEqual([
      'g:6:39: B.redistribute[0]: must be connected, nat or direct, not "static"',
    ]);
    expect(
      issuesOf(
        {},
        '{ name: blue, interfaces: [{ name: lan, addresses: [10.1.0.1/24] }], bgp: { asn: 1, redistribute: [nat] } }',
      ),
    ).toEqual([expect.stringMatching(/must be connected, static or connection, not "nat"$/)]);
  });

  test('it speaks from addresses of the external interface, with a router that is on no tenant’s side', () => {
    expect(bgpOf(`{ asn: 65010, peers: [{ ${PEER}, md5: { file: up.md5 } }] }`)).toEqual([]);
    expect(issuesOf({ external: '', pool: `${POOL}\n    bgp: { asn: 65010 }` }, '{ name: blue }')).toEqual([
      expect.stringMatching(/gateway\.external\.bgp: needs gateway\.external\.interface/),
    ]);
    expect(bgpOf('{ asn: 65010, routerId: 192.0.2.1 }', '{ driver: tun }')).toEqual([
      expect.stringMatching(/B: needs an address of its own to speak from: addresses of gateway\.external\.interface$/),
    ]);
    const at = (address: string) => bgpOf(`{ asn: 65010, peers: [{ ${PEER.replace('203.0.113.1', address)} }] }`);
    expect(at('203.0.113.60')).toEqual([
      expect.stringMatching(
        /203\.0\.113\.60 is in 203\.0\.113\.50-203\.0\.113\.99 of gateway\.external\.pool \(line 7\): those are the tenants'$/,
      ),
    ]);
    expect(at('172.16.0.9')).toEqual([
      expect.stringMatching(/172\.16\.0\.9 is in 172\.16\.0\.0\/24 of green \(line 11\), and no router outside$/),
    ]);
    expect(at('203.0.113.10')).toEqual([expect.stringMatching(/203\.0\.113\.10 is the external interface's own/)]);
    expect(at('2001:db8::1')).toEqual([expect.stringMatching(/the external interface has no address of the family/)]);
  });

  test('it is what was read when it is written, what changed in it is named by the tenant default, and its secrets are found', () => {
    const bgp = (rest: string) => ({
      external: `${INTERFACE}\n    bgp: { asn: 65010, peers: [{ ${PEER}, md5: { file: up.md5 }${rest} }] }`,
    });
    const [before, after] = [read(bgp(''), GREEN), read(bgp(', holdSeconds: 30'), GREEN)];
    expect(readDocument(showDocument(before), 'g').document).toEqual(before);
    expect(formatChanges(diffDocuments(before, after))).toEqual(['~ bgp peer default/up: holdSeconds 90 → 30']);
    expect(formatChanges(diffDocuments(before, read({}, GREEN)))).toEqual(['- bgp default', '- bgp peer default/up']);
    expect(secretPlaces(before)).toEqual([
      {
        name: 'default/bgp/up',
        reference: { from: 'file', value: 'up.md5' },
        path: ['gateway', 'external', 'bgp', 'peers', 0, 'md5'],
      },
    ]);
  });
});
