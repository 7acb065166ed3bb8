import { describe, expect, test } from 'vitest';
import { formatIssue, gatewayTenants, readDocument, showDocument, type TenantConfig } from '../../src/config/index.ts';
import { parseMac } from '../../src/config/mac.ts';
import { parseAddress, parsePrefix } from '../../src/ip/index.ts';

const UNDERLAY = '{ address: 192.168.50.10 }';
const SUBNETS = ['{ vsid: 5001, prefix: 10.1.0.0/24 }', '{ vsid: 5002, prefix: 10.2.0.0/24, address: 10.2.0.254 }'];

/** Lines: 2 the underlay, 6… the entries of the section, then those of subnets. */
const documentOf = (section: string, entries: readonly string[], underlay = UNDERLAY): string =>
  [
    'version: 1',
    `gateway: { external: { addresses: [203.0.113.10] }, underlay: ${underlay} }`,
    'tenants:',
    '  - name: blue',
    `    ${section}:`,
    ...entries.map((entry) => `      - ${entry}`),
    ...(section === 'subnets' ? [] : ['    subnets:', ...SUBNETS.map((subnet) => `      - ${subnet}`)]),
  ].join('\n');
const issuesOf = (text: string): string[] => readDocument(text, 'g').issues.map(formatIssue);
const tenantOf = (text: string): TenantConfig => {
  const { document, issues } = readDocument(text, 'g');
  expect(issues.map(formatIssue)).toEqual([]);
  return gatewayTenants(document!)[0]!;
};
const MAC = '00:15:5d:00:00:10';

describe('subnets', () => {
  const subnets = (...entries: string[]): string[] => issuesOf(documentOf('subnets', entries));

  test('defaults: the first address of the prefix, MAC auto', () => {
    const { subnets } = tenantOf(documentOf('subnets', ['{ vsid: 5001, prefix: 10.1.0.0/24 }']));
    expect(subnets).toEqual([{ vsid: 5001, addresses: [parsePrefix('10.1.0.1/24', true)], mac: 'auto' }]);
  });

  test('entries of one VSID are one interface, with the MAC that one of them writes', () => {
    const { subnets } = tenantOf(
      documentOf('subnets', [
        '{ vsid: 5001, prefix: 10.1.0.0/24 }',
        '{ vsid: 4096, prefix: 10.2.0.0/24, address: 10.2.0.9 }',
        '{ vsid: 5001, prefix: "2001:db8::/64", mac: 02-00-00-00-00-01 }',
      ]),
    );
    const addresses = ['10.1.0.1/24', '2001:db8::1/64'].map((text) => parsePrefix(text, true));
    expect(subnets).toEqual([
      { vsid: 5001, addresses, mac: parseMac('02:00:00:00:00:01') },
      { vsid: 4096, addresses: [parsePrefix('10.2.0.9/24', true)], mac: 'auto' },
    ]);
  });

  test.each([
    ['{ vsid: 5001 }', '6:9: V.prefix: is needed'],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/24, vlan: 3 }',
      '6:44: V.vlan: unknown key; known here: vsid, prefix, address, mac',
    ],
    ['{ vsid: 5001, prefix: 10.1.0.0/24, adress: 10.1.0.1 }', '6:44: V.adress: unknown key; did you mean address?'],
    ['{ vsid: 5001, prefix: 10.1.0.1/24 }', '6:31: V.prefix: 10.1.0.1/24 has host bits set: did you mean 10.1.0.0/24?'],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/31 }',
      '6:31: V.prefix: 10.1.0.0/31 has no room for the gateway and a VM: at most /30',
    ],
    [
      '{ vsid: 5001, prefix: "2001:db8::/128" }',
      '6:31: V.prefix: 2001:db8::/128 has no room for the gateway and a VM: at most /126',
    ],
    ['{ vsid: 5001, prefix: 0.0.0.0/0 }', '6:31: V.prefix: 0.0.0.0/0 is everything: write one subnet'],
    ['{ vsid: 5001, prefix: 224.0.0.0/24 }', '6:31: V.prefix: 224.0.0.0/24 has no addresses of hosts'],
    ['{ vsid: 5001, prefix: 10.1.0.0/24, address: 10.2.0.1 }', '6:53: V.address: 10.2.0.1 is not in 10.1.0.0/24'],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/24, address: 10.1.0.0 }',
      "6:53: V.address: 10.1.0.0 is the network's own address",
    ],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/24, address: 10.1.0.255 }',
      '6:53: V.address: 10.1.0.255 is the broadcast address of 10.1.0.0/24',
    ],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/24, mac: 01:00:5e:00:00:01 }',
      '6:49: V.mac: 01:00:5e:00:00:01 is not the MAC of one interface',
    ],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/24, mac: 0:15:5d:0:0:1 }',
      '6:49: V.mac: "0:15:5d:0:0:1" is not a MAC address like 00:15:5d:00:00:10',
    ],
    [
      '{ vsid: 5001, prefix: 10.1.0.0/24, mac: 101010101105 }',
      '6:49: V.mac: text is needed, not a number: put it in quotes',
    ],
  ])('%s', (entry, issue) => {
    expect(subnets(entry)).toEqual([`g:${issue.replace('V', 'tenants[0].subnets[0]')}`]);
  });

  test.each(['4095', '16777215', '"5001"'])('RFC 7637 §3.4: %s is no VSID', (vsid) => {
    expect(subnets(`{ vsid: ${vsid}, prefix: 10.1.0.0/24 }`)).toEqual([
      `g:6:17: tenants[0].subnets[0].vsid: a whole number from 4096 to 16777214 is needed, not ${vsid}`,
    ]);
  });

  test.each(['4096', '16777214', '0x1389'])('RFC 7637 §3.4: %s is one', (vsid) => {
    expect(subnets(`{ vsid: ${vsid}, prefix: 10.1.0.0/24 }`)).toEqual([]);
  });

  test('of one tenant do not overlap, not even in one VSID', () => {
    expect(
      subnets('{ vsid: 5001, prefix: 10.1.0.0/24 }', '{ vsid: 5001, prefix: 10.1.0.0/25, address: 10.1.0.9 }'),
    ).toEqual([
      'g:7:31: tenants[0].subnets[1].prefix: 10.1.0.0/25 and 10.1.0.0/24 of VSID 5001 (line 6) overlap: no one could tell where to send',
    ]);
  });

  test('nor with what an interface is connected to', () => {
    const text = documentOf('interfaces', ['{ name: inside, addresses: [10.1.0.200/25] }']);
    expect(issuesOf(text)).toEqual([
      'g:8:31: tenants[0].subnets[0].prefix: 10.1.0.0/24 and 10.1.0.128/25 of inside (line 6) overlap: no one could tell where to send',
    ]);
  });

  test('of two tenants may overlap, but a VSID belongs to one', () => {
    const red = (vsid: number): string =>
      `${documentOf('subnets', SUBNETS)}\n  - { name: red, subnets: [{ vsid: ${vsid}, prefix: 10.1.0.0/24 }] }`;
    expect(issuesOf(red(6001))).toEqual([]);
    expect(issuesOf(red(5002))).toEqual([
      'g:8:36: tenants[1].subnets[0].vsid: 5002 is a virtual subnet of blue (line 7): a VSID belongs to one tenant',
    ]);
  });

  test('the gateway has one MAC in a VSID', () => {
    const mac = (last: number): string => `mac: 02:00:00:00:00:0${last}`;
    expect(
      subnets(`{ vsid: 5001, prefix: 10.1.0.0/24, ${mac(1)} }`, `{ vsid: 5001, prefix: 10.2.0.0/24, ${mac(2)} }`),
    ).toEqual([
      'g:7:49: tenants[0].subnets[1].mac: VSID 5001 has 02:00:00:00:00:01 (line 6): the gateway has one MAC in a subnet',
    ]);
  });

  test('need a provider address', () => {
    expect(issuesOf(documentOf('subnets', SUBNETS).replace(/, underlay: .*\} \}/, ' }'))).toEqual([
      'g:5:5: tenants[0].subnets: need gateway.underlay: the provider address that NVGRE goes by',
    ]);
  });
});

describe('the underlay', () => {
  const underlay = (text: string, subnet = SUBNETS[0]!): string[] => issuesOf(documentOf('subnets', [subnet], text));

  test('defaults', () => {
    const { document } = readDocument(documentOf('subnets', SUBNETS), 'g');
    expect(document).toMatchObject({
      gateway: { underlay: { addresses: [parseAddress('192.168.50.10')], encapsulation: 'nvgre', mtu: 1500 } },
    });
  });

  test('RFC 8086 §3.2.1: the source port of GRE in UDP follows the flow, unless the document fixes it', () => {
    const shown = (text: string): string =>
      showDocument(readDocument(documentOf('subnets', SUBNETS, text), 'g').document!);
    expect(shown('{ address: 192.168.50.10, encapsulation: nvgre-udp }')).toContain('sourcePort: flow');
    expect(shown('{ address: 192.168.50.10, encapsulation: nvgre-udp, sourcePort: fixed }')).toContain(
      'sourcePort: fixed',
    );
    expect(shown('{ address: 192.168.50.10 }')).not.toContain('sourcePort');
    expect(issuesOf(documentOf('subnets', SUBNETS, '{ address: 192.168.50.10, sourcePort: 4754 }'))).toEqual([
      'g:2:101: gateway.underlay.sourcePort: must be flow or fixed, not 4754',
    ]);
  });

  test.each([
    ['{}', '2:63: gateway.underlay.address: is needed: the provider address of this machine'],
    [
      '{ address: 192.168.50.10, addresses: [192.168.50.10] }',
      '2:89: gateway.underlay.addresses: either address or addresses, not both',
    ],
    [
      '{ address: 192.168.50.0/24 }',
      '2:74: gateway.underlay.address: "192.168.50.0/24" is a prefix; an address is needed',
    ],
    [
      '{ addresses: [192.168.50.10, 192.168.50.10] }',
      '2:92: gateway.underlay.addresses[1]: 192.168.50.10 stands here a second time',
    ],
    [
      '{ address: 192.168.50.10, encapsulation: vxlan }',
      '2:104: gateway.underlay.encapsulation: must be nvgre or nvgre-udp, not "vxlan"',
    ],
    [
      '{ address: 192.168.50.10, encapsulation: nvgre-upd }',
      '2:104: gateway.underlay.encapsulation: must be nvgre or nvgre-udp, not "nvgre-upd"; did you mean nvgre-udp?',
    ],
    [
      '{ address: 192.168.50.10, mtu: 617 }',
      '2:94: gateway.underlay.mtu: leaves 575 octets inside nvgre: at least 576 are needed',
    ],
    [
      '{ address: 192.168.50.10, mtu: 625, encapsulation: nvgre-udp }',
      '2:94: gateway.underlay.mtu: leaves 575 octets inside nvgre-udp: at least 576 are needed',
    ],
    [
      '{ address: "2001:db8::10", mtu: 637 }',
      '2:95: gateway.underlay.mtu: leaves 575 octets inside nvgre: at least 576 are needed',
    ],
  ])('%s', (text, issue) => expect(underlay(text)).toEqual([`g:${issue}`]));

  test.each(['mtu: 618', 'mtu: 626, encapsulation: nvgre-udp'])('%s leaves 576', (text) => {
    expect(underlay(`{ address: 192.168.50.10, ${text} }`)).toEqual([]);
  });

  test('RFC 8200 §5: IPv6 inside needs 1280 octets', () => {
    const subnet = '{ vsid: 5001, prefix: "2001:db8::/64" }';
    expect(underlay('{ address: 192.168.50.10, mtu: 1322 }', subnet)).toEqual([]);
    expect(underlay('{ address: 192.168.50.10, mtu: 1321 }', subnet)).toEqual([
      'g:2:94: gateway.underlay.mtu: leaves 1279 octets inside nvgre: the IPv6 subnet (line 6) needs 1280 (RFC 8200 §5)',
    ]);
  });
});

describe('lookup records', () => {
  const lookup = (...entries: string[]): string[] => issuesOf(documentOf('lookup', entries));
  const at = (ca: string, pa: string, vsid = 5001, mac = MAC): string =>
    `{ vsid: ${vsid}, ca: ${ca}, mac: ${mac}, pa: ${pa} }`;

  test('of the three types', () => {
    const text = documentOf('lookup', [
      at('10.1.0.10', '192.168.50.21'),
      '{ vsid: 5001, mac: 00-15-5D-00-00-11, pa: 192.168.50.21, type: l2only }',
      '{ vsid: 5002, mac: "00155d000012", pa: 192.168.50.22, type: gateway-wildcard }',
    ]);
    const [vm, learned, gateway] = [MAC, '00:15:5d:00:00:11', '00:15:5d:00:00:12'].map(parseMac);
    const [one, two] = ['192.168.50.21', '192.168.50.22'].map(parseAddress);
    expect(tenantOf(text).lookup).toEqual([
      { vsid: 5001, ca: parseAddress('10.1.0.10'), mac: vm, pa: one, type: 'static' },
      { vsid: 5001, ca: undefined, mac: learned, pa: one, type: 'l2only' },
      { vsid: 5002, ca: undefined, mac: gateway, pa: two, type: 'gateway-wildcard' },
    ]);
  });

  test.each([
    [
      at('10.1.0.10', '192.168.50.21', 5003),
      '6:17: L.vsid: 5003 is no virtual subnet of this tenant; known: 5001, 5002',
    ],
    [at('10.2.0.10', '192.168.50.21'), '6:27: L.ca: 10.2.0.10 is in no prefix of VSID 5001 (10.1.0.0/24)'],
    [at('10.2.0.254', '192.168.50.21', 5002), "6:27: L.ca: 10.2.0.254 is the gateway's own address (line 9)"],
    [at('10.1.0.255', '192.168.50.21'), '6:27: L.ca: 10.1.0.255 is the broadcast address of 10.1.0.0/24'],
    [at('10.1.0.10', '192.168.50.10'), '6:66: L.pa: 192.168.50.10 is this gateway itself'],
    [
      at('10.1.0.10', '"2001:db8::1"'),
      '6:66: L.pa: 2001:db8::1: gateway.underlay (line 2) has no IPv6 address to send from',
    ],
    [
      at('10.1.0.10', '192.168.50.21', 5001, 'ff:ff:ff:ff:ff:ff'),
      '6:43: L.mac: ff:ff:ff:ff:ff:ff is not the MAC of one interface',
    ],
    [
      `{ vsid: 5001, mac: ${MAC}, pa: 192.168.50.21 }`,
      '6:9: L.ca: is needed: only l2only and gateway-wildcard go without',
    ],
    [
      `{ vsid: 5001, mac: ${MAC}, pa: 192.168.50.21, ca: 10.1.0.10, type: l2only }`,
      "6:70: L.ca: a record of type l2only has none: the VM's addresses are learned",
    ],
    [
      `{ vsid: 5001, mac: ${MAC}, pa: 192.168.50.21, ca: 10.1.0.10, type: gateway-wildcard }`,
      '6:70: L.ca: a record of type gateway-wildcard has none: the gateway has what nobody else has',
    ],
    [
      `{ vsid: 5001, mac: ${MAC}, pa: 192.168.50.21, ca: 10.1.0.10, type: dynamic }`,
      '6:87: L.type: dynamic records are learned, not written',
    ],
    [
      `{ vsid: 5001, mac: ${MAC}, pa: 192.168.50.21, ca: 10.1.0.10, type: L2Only }`,
      '6:87: L.type: must be static, l2only or gateway-wildcard, not "L2Only"; did you mean l2only?',
    ],
  ])('%s', (entry, issue) => expect(lookup(entry)).toEqual([`g:${issue.replace('L', 'tenants[0].lookup[0]')}`]));

  test('one for each customer address in a VSID', () => {
    const second = at('10.1.0.10', '192.168.50.21', 5001, '00:15:5d:00:00:11');
    expect(lookup(at('10.1.0.10', '192.168.50.21'), second)).toEqual([
      'g:7:27: tenants[0].lookup[1].ca: 10.1.0.10 has a record in VSID 5001 already (line 6)',
    ]);
  });

  test('a MAC of a VSID is in one place, with as many addresses as it likes', () => {
    const [first, same, elsewhere] = ['192.168.50.21', '192.168.50.21', '192.168.50.22'].map((pa, i) =>
      at(`10.1.0.${10 + i}`, pa),
    );
    expect(lookup(first!, same!)).toEqual([]);
    expect(lookup(first!, elsewhere!)).toEqual([
      'g:7:66: tenants[0].lookup[1].pa: 00:15:5d:00:00:10 of VSID 5001 is at 192.168.50.21 (line 6): a MAC is in one place',
    ]);
    expect(lookup(first!, at('10.2.0.10', '192.168.50.22', 5002))).toEqual([]);
  });

  test('one without a customer address for each MAC and type', () => {
    const record = `{ vsid: 5001, mac: ${MAC}, pa: 192.168.50.21, type: l2only }`;
    expect(lookup(record, record)).toEqual([
      'g:7:9: tenants[0].lookup[1]: the l2only record of 00:15:5d:00:00:10 stands in VSID 5001 already (line 6)',
    ]);
  });

  test('a subnet that could not be read is not missing', () => {
    const text = documentOf('lookup', [at('10.1.0.10', '192.168.50.21')]).replace('10.1.0.0/24', '10.1.0.0/33');
    expect(issuesOf(text)).toEqual([
      'g:8:31: tenants[0].subnets[0].prefix: "10.1.0.0/33" is not a prefix like 10.1.0.0/24 or 2001:db8::/64',
    ]);
  });

  test('without subnets', () => {
    const text = documentOf('lookup', [at('10.1.0.10', '192.168.50.21')]).split('\n    subnets:')[0]!;
    expect(issuesOf(text)).toEqual([
      'g:6:17: tenants[0].lookup[0].vsid: 5001 is no virtual subnet of this tenant; it has none',
    ]);
  });
});

describe('customer routes', () => {
  const routes = (...entries: string[]): string[] => issuesOf(documentOf('customerRoutes', entries));

  test('metric 0 unless written; several next hops', () => {
    const entries = [
      '{ prefix: 10.9.0.0/16, nextHop: 10.1.0.254 }',
      '{ prefix: 10.9.0.0/16, nextHop: 10.1.0.253, metric: 5 }',
    ];
    const prefix = parsePrefix('10.9.0.0/16');
    expect(tenantOf(documentOf('customerRoutes', entries)).customerRoutes).toEqual([
      { prefix, nextHop: parseAddress('10.1.0.254'), metric: 0 },
      { prefix, nextHop: parseAddress('10.1.0.253'), metric: 5 },
    ]);
  });

  test.each([
    ['10.3.0.1', '10.3.0.1 is in no subnet of this tenant'],
    ['10.1.0.1', "10.1.0.1 is the gateway's own address"],
    ['"2001:db8::1"', '2001:db8::1 is not of the family of 10.9.0.0/16'],
  ])('by %s', (nextHop, message) => {
    expect(routes(`{ prefix: 10.9.0.0/16, nextHop: ${nextHop} }`)).toEqual([
      `g:6:41: tenants[0].customerRoutes[0].nextHop: ${message}`,
    ]);
  });

  test('each once', () => {
    const route = '{ prefix: 10.9.0.0/16, nextHop: 10.1.0.254 }';
    expect(routes(route, route)).toEqual([
      'g:7:19: tenants[0].customerRoutes[1].prefix: 10.9.0.0/16 by 10.1.0.254 stands here a second time (line 6)',
    ]);
  });
});

test('a static route may go by a host in a subnet', () => {
  expect(issuesOf(documentOf('routes', ['{ prefix: 10.9.0.0/16, via: 10.2.0.9 }']))).toEqual([]);
  expect(issuesOf(documentOf('routes', ['{ prefix: 10.9.0.0/16, via: 10.2.0.254 }']))).toEqual([
    "g:6:37: tenants[0].routes[0].via: 10.2.0.254 is the gateway's own address",
  ]);
});

test('two thousand subnets of a tenant, each with a record', () => {
  const entries = Array.from({ length: 2000 }, (_, i) => `{ vsid: ${5000 + i}, prefix: 10.${i >> 8}.${i & 255}.0/24 }`);
  const records = entries.map(
    (_, i) => `{ vsid: ${5000 + i}, ca: 10.${i >> 8}.${i & 255}.9, mac: ${MAC}, pa: 192.168.50.9 }`,
  );
  const text = `${documentOf('subnets', entries)}\n    lookup:\n${records.map((record) => `      - ${record}`).join('\n')}`;
  expect(issuesOf(text)).toEqual([]);
});
