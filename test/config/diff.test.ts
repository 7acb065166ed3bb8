import { describe, expect, test } from 'vitest';
import { type Document, diffDocuments, formatChanges, readDocument, showDocument } from '../../src/config/index.ts';

const TEXT = `version: 1
gateway: { name: gw1, external: { addresses: [192.0.2.1] } }
tenants:
  - name: blue
    interfaces: [{ name: inside, addresses: [10.1.0.1/24] }]
    routes: [{ prefix: 10.8.0.0/16, via: inside }, { prefix: 10.9.0.0/16, via: 10.1.0.2 }]
    connections:
      - name: hq
        remote: { address: 198.51.100.1 }
        auth: { psk: { file: hq.psk } }
        ike: { proposals: [aes256gcm16-prfsha384-ecp384, aes256-sha256-modp2048] }
        child: { local: ["10.1.0.0/24[tcp/80]"], remote: [10.2.0.0/24], lifetimeBytes: 100GB }
  - name: red
    rdid: 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11
`;
const read = (text: string): Document => {
  const { document, issues } = readDocument(text, 'g.yaml');
  expect(issues.filter(({ severity }) => severity === 'error')).toEqual([]);
  return document!;
};
/** What `config diff` says after `find` became `replacement`. */
const changed = (find: string, replacement: string): string[] => {
  expect(TEXT).toContain(find);
  return formatChanges(diffDocuments(read(TEXT), read(TEXT.replace(find, replacement))));
};

test('nothing', () => expect(diffDocuments(read(TEXT), read(TEXT))).toEqual([]));

describe('one thing', () => {
  test.each([
    ['hq.psk', 'other.psk', ['~ connection blue/hq: auth.psk.file hq.psk → other.psk']],
    [
      '{ file: hq.psk }',
      '{ env: HQ }',
      ['~ connection blue/hq: auth.psk.file removed hq.psk', '~ connection blue/hq: auth.psk.env added HQ'],
    ],
    [', aes256-sha256-modp2048', '', ['~ connection blue/hq: ike.proposals[1] removed aes256-sha256-modp2048']],
    ['100GB', 'unlimited', ['~ connection blue/hq: child.lifetimeBytes 100000000000 → unlimited']],
    ['[tcp/80]', '[tcp/80-81]', ['~ connection blue/hq: child.local[0] 10.1.0.0/24[tcp/80] → 10.1.0.0/24[tcp/80-81]']],
    ['10.1.0.2 }', '10.1.0.3 }', ['~ routes blue: 10.9.0.0/16 10.1.0.2 → 10.1.0.3']],
    ['via: inside }, ', 'discard: true }, ', ['~ routes blue: 10.8.0.0/16 inside → discarded']],
    ['{ prefix: 10.8.0.0/16, via: inside }, ', '', ['~ routes blue: 10.8.0.0/16 removed inside']],
    ['10.1.0.1/24] }', '10.1.0.1/24], mtu: 1400 }', ['~ interface blue/inside: mtu 1500 → 1400']],
    [
      '    rdid: 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11\n',
      '',
      ['~ tenant red: rdid removed 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11'],
    ],
    ['name: gw1', 'name: gw2', ['~ gateway: name gw1 → gw2 (needs a restart)']],
    [
      'tenants:',
      'api: { listen: none }\ntenants:',
      ['~ api: listen unix:/run/bulkhead/control.sock → none (needs a restart)'],
    ],
    ['name: hq', 'name: main', ['- connection blue/hq', '+ connection blue/main']],
    ['name: red', 'name: green', ['- tenant red', '+ tenant green']],
  ])('%s becomes %s', (find, replacement, lines) => expect(changed(find, replacement)).toEqual(lines));
});

test('the order of tenants and routes says nothing', () => {
  const routes = '{ prefix: 10.8.0.0/16, via: inside }, { prefix: 10.9.0.0/16, via: 10.1.0.2 }';
  expect(
    changed(
      routes,
      routes
        .split(/(?<=\}), /)
        .reverse()
        .join(', '),
    ),
  ).toEqual([]);
  const [head, tail] = TEXT.split('  - name: red');
  const reordered = head!.replace('tenants:\n', `tenants:\n  - name: red${tail}`);
  expect(diffDocuments(read(TEXT), read(reordered))).toEqual([]);
});

test('an inline secret that changed is told without showing it', () => {
  const [before, after] = ['correct horse battery', 'staple staple staple'].map((secret) =>
    read(TEXT.replace('{ file: hq.psk }', `{ inline: ${secret} }`)),
  );
  const changes = diffDocuments(before!, after!);
  expect(formatChanges(changes)).toEqual(['~ connection blue/hq: auth.psk <secret> → <secret>']);
  expect(diffDocuments(before!, before!)).toEqual([]);
  // What `show` wrote of a running gateway says nothing of its inline secrets.
  expect(diffDocuments(read(showDocument(before!)), before!)).toEqual([]);
});

describe('virtual networks and the way outside', () => {
  const GATEWAY = `version: 1
gateway:
  external:
    addresses: [203.0.113.10]
    interface: { driver: packet, device: eth0, addresses: [203.0.113.10/24], gateway: 203.0.113.1 }
    pool: 203.0.113.50-203.0.113.99
  underlay: { address: 192.168.50.10 }
tenants:
  - name: blue
    subnets: [{ vsid: 5001, prefix: 10.1.0.0/24 }, { vsid: 5001, prefix: 10.2.0.0/24 }, { vsid: 5002, prefix: 10.3.0.0/24 }]
    lookup:
      - { vsid: 5001, ca: 10.1.0.10, mac: 00:15:5d:00:00:10, pa: 192.168.50.21 }
      - { vsid: 5001, mac: 00:15:5d:00:00:11, pa: 192.168.50.21, type: l2only }
    customerRoutes: [{ prefix: 10.9.0.0/16, nextHop: 10.1.0.9 }]
    nat: { rules: [{ protocol: tcp, externalPort: 443, to: "10.1.0.10:8443" }] }
    routes: [{ prefix: 10.8.0.0/16, via: 10.1.0.8, metric: 5 }]
`;
  const between = (find: string, replacement: string): string[] => {
    expect(GATEWAY).toContain(find);
    return formatChanges(diffDocuments(read(GATEWAY), read(GATEWAY.replace(find, replacement))));
  };

  test.each([
    ['eth0', 'eth1', ['~ external: device eth0 → eth1']],
    ['packet, device: eth0', 'fabric', ['~ external: driver packet → fabric', '~ external: device eth0 → bh-external']],
    ['203.0.113.99', '203.0.113.98', ['~ pool: addresses 203.0.113.50-203.0.113.99 → 203.0.113.50-203.0.113.98']],
    ['192.168.50.10 }', '192.168.50.10, mtu: 1600 }', ['~ underlay: mtu 1500 → 1600']],
    [
      '10.1.0.0/24 }',
      '10.1.0.0/24, address: 10.1.0.2, mac: 02:00:00:00:00:01 }',
      ['~ subnet blue/5001: mac auto → 02:00:00:00:00:01', '~ subnet blue/5001: 10.1.0.0/24 10.1.0.1 → 10.1.0.2'],
    ],
    [', { vsid: 5001, prefix: 10.2.0.0/24 }', '', ['~ subnet blue/5001: 10.2.0.0/24 removed 10.2.0.1']],
    [', { vsid: 5002, prefix: 10.3.0.0/24 }', '', ['- subnet blue/5002']],
    [
      'ca: 10.1.0.10, mac: 00:15:5d:00:00:10, pa: 192.168.50.21',
      'ca: 10.1.0.10, mac: 00:15:5d:00:00:10, pa: 192.168.50.22',
      ['~ lookup blue: 5001 10.1.0.10 00:15:5d:00:00:10 192.168.50.21 → 00:15:5d:00:00:10 192.168.50.22'],
    ],
    [
      'type: l2only',
      'type: gateway-wildcard',
      [
        '~ lookup blue: 5001 l2only 00:15:5d:00:00:11 removed 192.168.50.21',
        '~ lookup blue: 5001 gateway-wildcard 00:15:5d:00:00:11 added 192.168.50.21',
      ],
    ],
    ['10.1.0.9', '10.1.0.7', ['~ customerRoutes blue: 10.9.0.0/16 10.1.0.9 → 10.1.0.7']],
    ['metric: 5', 'metric: 6', ['~ routes blue: 10.8.0.0/16 10.1.0.8 metric 5 → 10.1.0.8 metric 6']],
    [
      ', metric: 5 }',
      ' }, { prefix: 10.8.0.0/16, via: 10.1.0.7 }',
      ['~ routes blue: 10.8.0.0/16 10.1.0.8 metric 5 → 10.1.0.7, 10.1.0.8'],
    ],
    [':8443', ':8444', ['~ nat blue: rules.tcp-443 10.1.0.10:8443 → 10.1.0.10:8444']],
    ['nat: {', 'nat: { address: 203.0.113.60,', ['~ nat blue: address auto → 203.0.113.60']],
    [
      'nat: { rules: [{ protocol: tcp, externalPort: 443, to: "10.1.0.10:8443" }] }',
      'direct: true',
      ['~ tenant blue: direct false → true', '- nat blue'],
    ],
  ])('%s becomes %s', (find, replacement, lines) => expect(between(find, replacement)).toEqual(lines));

  test('nothing of it needs a restart', () => {
    const before = read('version: 1\ngateway: { external: { addresses: [203.0.113.10] } }\n');
    const changes = diffDocuments(before, read(GATEWAY));
    expect(formatChanges(changes)).toEqual([
      '~ pool: addresses added 203.0.113.50-203.0.113.99',
      '+ external',
      '+ underlay',
      '+ tenant blue',
      '+ subnet blue/5001',
      '+ subnet blue/5002',
      '~ lookup blue: 5001 10.1.0.10 added 00:15:5d:00:00:10 192.168.50.21',
      '~ lookup blue: 5001 l2only 00:15:5d:00:00:11 added 192.168.50.21',
      '~ customerRoutes blue: 10.9.0.0/16 added 10.1.0.9',
      '+ nat blue',
      '~ routes blue: 10.8.0.0/16 added 10.1.0.8 metric 5',
    ]);
    expect(changes.some(({ needsRestart }) => needsRestart)).toBe(false);
  });

  const HOST = `version: 1
host: { name: host1, underlay: { address: 192.168.50.21 } }
tenants:
  - name: blue
    subnets: [{ vsid: 5001, prefix: 10.1.0.0/24 }]
    vms: [{ name: vm1, vsid: 5001, mac: 00:15:5d:00:00:10 }]
`;

  test('a host', () => {
    const [before, after] = [read(HOST), read(HOST.replace('00:10', '00:12').replace('host1', 'host2'))];
    expect(formatChanges(diffDocuments(before, after))).toEqual([
      '~ host: name host1 → host2 (needs a restart)',
      '~ vm blue/vm1: mac 00:15:5d:00:00:10 → 00:15:5d:00:00:12',
    ]);
    const more = HOST.replace('10.1.0.0/24 }', '10.1.0.0/24 }, { vsid: 5001, prefix: 10.2.0.0/24 }');
    expect(formatChanges(diffDocuments(before, read(more)))).toEqual([
      '~ subnet blue/5001: prefixes[1] added 10.2.0.0/24',
    ]);
  });

  test('a gateway that becomes a host has nothing left', () => {
    expect(formatChanges(diffDocuments(read(GATEWAY), read(HOST)))).toEqual([
      '- gateway (needs a restart)',
      '- external',
      '~ pool: addresses removed 203.0.113.50-203.0.113.99',
      '~ underlay: addresses[0] 192.168.50.10 → 192.168.50.21',
      '+ host (needs a restart)',
      '- tenant blue',
      '- subnet blue/5001',
      '- subnet blue/5002',
      '~ lookup blue: 5001 10.1.0.10 removed 00:15:5d:00:00:10 192.168.50.21',
      '~ lookup blue: 5001 l2only 00:15:5d:00:00:11 removed 192.168.50.21',
      '~ customerRoutes blue: 10.9.0.0/16 removed 10.1.0.9',
      '- nat blue',
      '~ routes blue: 10.8.0.0/16 removed 10.1.0.8 metric 5',
      '+ tenant blue',
      '+ subnet blue/5001',
      '+ vm blue/vm1',
    ]);
  });
});

describe('show', () => {
  test('reads back as the same document', () => {
    const document = read(TEXT);
    expect(read(showDocument(document))).toEqual(document);
    expect(showDocument(read(showDocument(document)))).toBe(showDocument(document));
  });

  test('never shows a secret', () => {
    const text = showDocument(read(TEXT.replace('{ file: hq.psk }', '{ inline: correct horse battery }')));
    expect(text).not.toContain('horse');
    expect(text).toContain('inline: <secret>');
  });
});
