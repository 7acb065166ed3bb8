import { describe, expect, test } from 'vitest';
import { type Document, formatIssue, readDocument, showDocument } from '../../src/config/index.ts';
import { parseMac } from '../../src/config/mac.ts';
import { parseAddress, parsePrefix } from '../../src/ip/index.ts';

interface Parts {
  readonly underlay?: string;
  readonly vms?: readonly string[];
  readonly lookup?: readonly string[];
  readonly more?: readonly string[];
}

const VM = '{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10, addresses: [10.1.0.10] }';
/** Lines: 2 host, 5 subnets, 7… VMs, then lookup records, then what follows. */
const documentOf = ({ underlay = '{ address: 192.168.50.21 }', vms = [VM], lookup = [], more = [] }: Parts): string =>
  [
    'version: 1',
    `host: { name: host1, underlay: ${underlay} }`,
    'tenants:',
    '  - name: blue',
    '    subnets: [{ vsid: 5001, prefix: 10.1.0.0/24 }, { vsid: 5001, prefix: "fd00::/64" }, { vsid: 5002, prefix: 10.2.0.0/24 }]',
    '    vms:',
    ...vms.map((vm) => `      - ${vm}`),
    ...(lookup.length === 0 ? [] : ['    lookup:', ...lookup.map((record) => `      - ${record}`)]),
    ...more,
  ].join('\n');
const issuesOf = (text: string): string[] => readDocument(text, 'g').issues.map(formatIssue);
const read = (text: string): Document => {
  const { document, issues } = readDocument(text, 'g');
  expect(issues.map(formatIssue)).toEqual([]);
  return document!;
};

test('a host, with every default', () => {
  const route = '    customerRoutes: [{ prefix: 0.0.0.0/0, nextHop: 10.1.0.254 }]';
  const gateway = '{ vsid: 5001, mac: 02:00:00:00:50:01, pa: 192.168.50.10, type: gateway-wildcard }';
  expect(read(documentOf({ lookup: [gateway], more: [route] }))).toEqual({
    version: 1,
    role: 'host',
    host: {
      name: 'host1',
      underlay: { addresses: [parseAddress('192.168.50.21')], encapsulation: 'nvgre', sourcePort: 'flow', mtu: 1500 },
    },
    tenants: [
      {
        name: 'blue',
        rdid: undefined,
        subnets: [
          { vsid: 5001, prefixes: [parsePrefix('10.1.0.0/24'), parsePrefix('fd00::/64')] },
          { vsid: 5002, prefixes: [parsePrefix('10.2.0.0/24')] },
        ],
        lookup: [
          {
            vsid: 5001,
            ca: undefined,
            mac: parseMac('02:00:00:00:50:01'),
            pa: parseAddress('192.168.50.10'),
            type: 'gateway-wildcard',
          },
        ],
        customerRoutes: [{ prefix: parsePrefix('0.0.0.0/0'), nextHop: parseAddress('10.1.0.254'), metric: 0 }],
        vms: [
          {
            name: 'vm1',
            vsid: 5001,
            mac: parseMac('00:15:5d:00:00:10'),
            addresses: [parseAddress('10.1.0.10')],
            driver: 'tap',
            device: 'bh-vm1',
          },
        ],
      },
    ],
    api: { listen: 'unix:/run/bulkhead/control.sock' },
  });
});

test('show reads back as the same document', () => {
  const document = read(documentOf({}));
  expect(read(showDocument(document))).toEqual(document);
});

describe('host or gateway', () => {
  test('never both', () => {
    const gateway = 'gateway:\n  external: { addresses: [203.0.113.10] }';
    expect(issuesOf(`version: 1\n${gateway}\nhost: { underlay: { address: 192.168.50.21 } }`)).toEqual([
      'g:4:1: host: a document is for a gateway (line 2) or for a host, never for both',
    ]);
  });

  test('a host is nothing without the provider network', () => {
    expect(issuesOf('version: 1\nhost: { name: host1 }')).toEqual([
      'g:2:7: host.underlay: is needed: the provider network is the only way to other hosts',
    ]);
    expect(issuesOf('version: 1\nhost: {}\nhots: 1')).toEqual([
      'g:2:7: host.underlay: is needed: the provider network is the only way to other hosts',
      'g:3:1: hots: unknown key; did you mean host?',
    ]);
    expect(issuesOf('version: 1\nhost:')).toEqual(['g:2:1: host: a section is needed, not nothing']);
  });

  test('each has its own parts', () => {
    const keys = ['nat', 'direct', 'interfaces', 'routes', 'connections'];
    const more = [...keys.map((key) => `    ${key}: {}`), '    vlans: []'];
    expect(issuesOf(documentOf({ more }))).toEqual([
      ...keys.map(
        (key, i) =>
          `g:${8 + i}:5: tenants[0].${key}: ${key} belongs to a gateway: a host has subnets, lookup, customerRoutes and vms`,
      ),
      'g:13:5: tenants[0].vlans: unknown key; known here: name, rdid, subnets, lookup, customerRoutes, vms',
    ]);
    expect(issuesOf(documentOf({}).replace('10.2.0.0/24 }', '10.2.0.0/24, address: 10.2.0.1 }'))).toEqual([
      'g:5:124: tenants[0].subnets[2].address: address belongs to a gateway: a host has none in a subnet',
    ]);
    const gateway = documentOf({}).replace(/host: .*/, 'gateway: { external: { addresses: [203.0.113.10] } }');
    expect(issuesOf(gateway)).toContain(
      'g:6:5: tenants[0].vms: VMs are on hosts: a document with host has them, not one with gateway',
    );
  });
});

describe('VMs', () => {
  const vm = (text: string): string[] =>
    issuesOf(documentOf({ vms: [text] })).map((issue) => issue.replace('tenants[0].vms[0]', 'V'));

  test.each([
    [
      '{ name: vm1, vsid: 5003, mac: 00:15:5d:00:00:10 }',
      '7:28: V.vsid: 5003 is no virtual subnet of this tenant; known: 5001, 5002',
    ],
    ['{ name: vm1, vsid: 5001 }', '7:9: V.mac: is needed'],
    ['{ name: vm1, vsid: 5001, mac: auto }', '7:39: V.mac: "auto" is not a MAC address like 00:15:5d:00:00:10'],
    [
      '{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10, addresses: [10.1.0.10/24] }',
      '7:70: V.addresses[0]: "10.1.0.10/24" is a prefix; an address is needed',
    ],
    [
      '{ name: vm1, vsid: 5002, mac: 00:15:5d:00:00:10, addresses: [10.2.0.9, 10.1.0.10] }',
      '7:80: V.addresses[1]: 10.1.0.10 is in no prefix of VSID 5002 (10.2.0.0/24)',
    ],
    [
      '{ name: vm1, vsid: 5002, mac: 00:15:5d:00:00:10, addresses: [10.2.0.255] }',
      '7:70: V.addresses[0]: 10.2.0.255 is the broadcast address of 10.2.0.0/24',
    ],
    [
      '{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10, addresses: ["fd00::1"] }',
      "7:70: V.addresses[0]: fd00::1 is the router's: the lowest address of a subnet is no VM's",
    ],
    [
      '{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10, driver: tun }',
      '7:66: V.driver: must be tap or packet, not "tun"',
    ],
    [
      '{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10, driver: packet }',
      '7:9: V.device: is needed with driver packet: the name of a NIC',
    ],
    [
      '{ name: a-rather-long-name, vsid: 5001, mac: 00:15:5d:00:00:10 }',
      '7:9: V.device: is needed: bh-a-rather-long-name is longer than the 15 characters of a device name',
    ],
  ])('%s', (text, issue) => expect(vm(text)).toEqual([`g:${issue}`]));

  test('without addresses: they are learned', () => {
    expect(vm('{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10, driver: packet, device: veth1 }')).toEqual([]);
  });

  test('one of a name, device, MAC and address', () => {
    const second = VM.replace(' }', ', device: bh-vm1 }');
    expect(issuesOf(documentOf({ vms: [VM, second] }))).toEqual([
      'g:8:17: tenants[0].vms[1].name: vm1 stands here a second time (line 7)',
      'g:8:39: tenants[0].vms[1].mac: 00:15:5d:00:00:10 of VSID 5001 stands here a second time (line 7)',
      'g:8:70: tenants[0].vms[1].addresses[0]: 10.1.0.10 of VSID 5001 stands here a second time (line 7)',
      'g:8:90: tenants[0].vms[1].device: device bh-vm1 belongs to another interface (line 7)',
    ]);
  });

  test('another tenant may have the same', () => {
    const red = `  - name: red\n    subnets: [{ vsid: 6001, prefix: 10.1.0.0/24 }]\n    vms: [${VM.replace('5001', '6001').replace(' }', ', device: red1 }')}]`;
    expect(issuesOf(documentOf({ more: [red] }))).toEqual([]);
  });

  test('records say of a VM what is so', () => {
    const record = (ca: string, mac: string, pa: string): string => `{ vsid: 5001, ca: ${ca}, mac: ${mac}, pa: ${pa} }`;
    const lookup = (...records: string[]): string[] => issuesOf(documentOf({ lookup: records }));
    expect(lookup(record('10.1.0.10', '00:15:5d:00:00:10', '192.168.50.21'))).toEqual([]);
    expect(lookup(record('10.1.0.10', '00:15:5d:00:00:10', '192.168.50.22'))).toEqual([
      'g:7:39: tenants[0].vms[0].mac: 00:15:5d:00:00:10 is at 192.168.50.22 by its record (line 9), not on this host',
    ]);
    expect(lookup(record('10.1.0.10', '00:15:5d:00:00:11', '192.168.50.22'))).toEqual([
      'g:7:70: tenants[0].vms[0].addresses[0]: 10.1.0.10 belongs to 00:15:5d:00:00:11 by its record (line 9)',
    ]);
  });

  test('a record in the place of the distributed router is warned of where it has subnets to route between', () => {
    const record = '{ vsid: 5001, ca: 10.1.0.1, mac: 00:15:5d:00:00:fe, pa: 192.168.50.10 }';
    const text = documentOf({ lookup: [record] });
    const why = "10.1.0.1 is the distributed router's in 10.1.0.0/24 (line 5)";
    expect(issuesOf(text)).toEqual([
      `g:9:27: warning: tenants[0].lookup[0].ca: ${why}; with this record what VMs send to other subnets goes to 00:15:5d:00:00:fe: give the gateway another address`,
    ]);
    expect(issuesOf(text.replace(', { vsid: 5002, prefix: 10.2.0.0/24 }', ''))).toEqual([]);
    expect(issuesOf(text.replace('ca: 10.1.0.1,', 'ca: 10.1.0.2,'))).toEqual([]);
  });
});
