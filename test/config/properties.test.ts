import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { formatIssue, readDocument, showDocument } from '../../src/config/index.ts';
import { editDistance, nearest } from '../../src/config/suggestion.ts';
import { draws } from '../support/draws.ts';

/** Whatever the text: a document or errors, every place inside the text, never an exception. */
function holds(text: string): void {
  const { document, issues } = readDocument(text, 'g.yaml');
  const errors = issues.filter(({ severity }) => severity === 'error');
  expect(document === undefined).toBe(errors.length > 0);
  const lines = text.split('\n');
  for (const issue of issues) {
    expect(issue.line).toBeGreaterThanOrEqual(1);
    expect(issue.line).toBeLessThanOrEqual(lines.length);
    expect(issue.column).toBeGreaterThanOrEqual(1);
    expect(formatIssue(issue)).toMatch(/^g\.yaml:\d+:\d+: /);
    expect(issue.message).not.toContain('\n');
  }
}

const KEYS = [
  'version',
  'gateway',
  'host',
  'tenants',
  'api',
  'name',
  'external',
  'addresses',
  'interfaces',
  'routes',
  'connections',
  'subnets',
  'lookup',
  'customerRoutes',
  'nat',
  'direct',
  'vms',
];
const MORE = [
  'local',
  'remote',
  'address',
  'auth',
  'psk',
  'child',
  'ike',
  'proposals',
  'via',
  'prefix',
  'mtu',
  'start',
  'id',
  'interface',
  'pool',
  'underlay',
  'vsid',
  'ca',
  'mac',
  'pa',
  'type',
  'nextHop',
  'rules',
  'to',
];
const word = fc.oneof(
  fc.constantFrom('10.1.0.0/24', '10.1.0.1', 'any', 'inside', 'aes256-sha256-modp2048', '::/0', 'listen', '', '1h'),
  fc.constantFrom('auto', 'off', '00:15:5d:00:00:10', '10.1.0.2-10.1.0.9', '10.1.0.1:80', 'l2only', 'packet', 5001),
  fc.string({ maxLength: 12 }),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
);
const tree = fc.letrec<{ node: unknown }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 6 },
    word,
    fc.array(tie('node'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS, ...MORE), fc.string({ maxLength: 8 })), tie('node'), {
      maxKeys: 6,
    }),
  ),
})).node;

const VALID = `version: 1
gateway:
  name: gw1
  external:
    addresses: [192.0.2.1, "2001:db8::1"]
    interface: { driver: packet, device: eth0, addresses: [192.0.2.1/24], gateway: 192.0.2.254 }
    pool: [192.0.2.16-192.0.2.31, 192.0.2.64/28]
  underlay: { address: 192.168.50.10, mtu: 1600 }
tenants:
  - name: red
    direct: true
    subnets: [{ vsid: 6001, prefix: 198.51.100.0/24 }]
  - name: blue
    subnets: [{ vsid: 5001, prefix: 10.3.0.0/24 }, { vsid: 5001, prefix: "fd00::/64", mac: 02:00:00:00:50:01 }]
    lookup:
      - { vsid: 5001, ca: 10.3.0.10, mac: 00:15:5d:00:00:10, pa: 192.168.50.21 }
      - { vsid: 5001, mac: 00:15:5d:00:00:11, pa: 192.168.50.22, type: l2only }
    customerRoutes: [{ prefix: 10.8.0.0/16, nextHop: 10.3.0.254 }]
    nat: { rules: [{ protocol: tcp, externalPort: 443, to: "10.3.0.10:8443" }] }
    interfaces: [{ name: inside, addresses: [10.1.0.1/24] }]
    routes: [{ prefix: 10.9.0.0/16, via: 10.1.0.2 }]
    connections:
      - name: hq
        remote: { address: 198.51.100.1, id: hq.example }
        auth: { psk: "a secret that stands here" }
        child: { local: ["10.1.0.0/24[tcp/80]"], remote: [10.2.0.0/24], lifetimeBytes: 100GB }
`;

describe('readDocument', () => {
  test('arbitrary text', () =>
    fc.assert(fc.property(fc.string({ maxLength: 200, unit: 'binary' }), holds), { numRuns: draws(300) }));

  test('arbitrary YAML text of its own letters', () => {
    const letters = fc.string({ unit: fc.constantFrom(...'{}[]:,-?&*!|>%@`#"\'\n\t ab1.'), maxLength: 60 });
    fc.assert(fc.property(letters, holds), { numRuns: draws(500) });
  });

  test('arbitrary trees as YAML and as JSON', () => {
    fc.assert(
      fc.property(tree, (value) => {
        holds(stringify(value));
        holds(JSON.stringify(value) ?? '');
      }),
      { numRuns: draws(300) },
    );
  });

  test('a valid document with a piece replaced', () => {
    const at = fc.nat(VALID.length);
    fc.assert(
      fc.property(at, fc.nat(12), fc.string({ maxLength: 6 }), (start, length, text) => {
        holds(VALID.slice(0, start) + text + VALID.slice(start + length));
      }),
      { numRuns: draws(300) },
    );
  });

  test('a valid document with a value replaced: what is valid can be shown and read again', () => {
    const dpd = fc.integer({ min: 0, max: 4000 });
    fc.assert(
      fc.property(
        dpd,
        fc.constantFrom('demand', 'boot', 'listen'),
        fc.integer({ min: 500, max: 9300 }),
        (seconds, start, mtu) => {
          const text = `${VALID}        dpdSeconds: ${seconds}\n        start: ${start}\n        mtu: ${mtu}\n`;
          holds(text);
          const { document } = readDocument(text, 'g.yaml');
          expect(document !== undefined).toBe(seconds <= 3600 && mtu >= 576 && mtu <= 9216);
          if (document === undefined) return;
          const again = readDocument(showDocument(document), 'g.yaml').document!;
          expect(showDocument(again)).toBe(showDocument(document));
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('did you mean', () => {
  const short = fc.string({ maxLength: 8, unit: fc.constantFrom(...'abc') });

  test('the distance is zero only for itself, symmetric, and at most the longer length', () => {
    fc.assert(
      fc.property(short, short, (a, b) => {
        const distance = editDistance(a, b);
        expect(distance === 0).toBe(a === b);
        expect(editDistance(b, a)).toBe(distance);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
      { numRuns: draws(300) },
    );
  });

  test.each([
    ['conections', 'connections'],
    ['lcoal', 'local'],
    ['life-time-seconds', 'lifetimeSeconds'],
    ['LifetimeSeconds', 'lifetimeSeconds'],
    ['x', undefined],
    ['somethingelse', undefined],
  ])('%s: %s', (written, meant) => {
    expect(nearest(written, ['connections', 'local', 'lifetimeSeconds', 'routes'])).toBe(meant);
  });
});
