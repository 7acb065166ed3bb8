import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type Document, diffDocuments, formatIssue, readDocument, showDocument } from '../../src/config/index.ts';

/**
 * Valid documents by construction: tenant `t` has VSIDs 5000 + 100 t …, its subnet `s` the prefix 10.s.0.0/24 and perhaps fd00:s::/64,
 * and whatever else there is lies in those.
 */
const optional = <T>(key: string, value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
  fc.option(value, { nil: undefined }).map((it) => (it === undefined ? {} : { [key]: it }));
const sections = (...parts: fc.Arbitrary<object>[]): fc.Arbitrary<Record<string, unknown>> =>
  fc.tuple(...parts).map((all) => Object.assign({}, ...all));
const always = <T>(key: string, value: T) => fc.constant({ [key]: value });
const hex = (n: number): string => n.toString(16).padStart(2, '0');
const mac = (t: number, n: number): string => `00:15:5d:00:${hex(t)}:${hex(n)}`;
const metric = optional('metric', fc.nat(65535));
const host = fc.integer({ min: 10, max: 250 });
const pa = fc.constantFrom('192.168.50.21', '192.168.50.22', 'fd50::21');
const vsidOf = (t: number, s: number): number => 5000 + 100 * t + s;

const underlay = sections(
  fc.constantFrom({ addresses: ['192.168.50.10', 'fd50::10'] }),
  optional('encapsulation', fc.constantFrom('nvgre', 'nvgre-udp')),
  optional('mtu', fc.integer({ min: 1400, max: 9216 })),
);
const external = sections(
  always('addresses', ['203.0.113.10']),
  always('pool', ['203.0.113.64/28', '203.0.113.50 - 203.0.113.52', '203.0.113.7']),
  fc
    .constantFrom(
      { driver: 'tun' },
      { driver: 'packet', device: 'eth0', addresses: ['203.0.113.10/24'], gateway: '203.0.113.1', mac: mac(255, 255) },
      {
        driver: 'fabric',
        addresses: ['203.0.113.10/24', '2001:db8::10/64'],
        gateway: ['2001:db8::1', '203.0.113.1'],
        mtu: 9000,
      },
    )
    .map((outside) => ({ interface: outside })),
);

/** One or two entries of the VSID. */
const subnet = (t: number, s: number, gateway: boolean): fc.Arbitrary<object[]> => {
  const vsid = vsidOf(t, s);
  const own = gateway
    ? optional(
        'address',
        host.map((h) => `10.${s}.0.${h + 1 > 250 ? 9 : 4}`),
      )
    : fc.constant({});
  const ownMac = gateway ? optional('mac', fc.constantFrom('auto', mac(t, 200 + s))) : fc.constant({});
  const v4 = sections(always('vsid', vsid), always('prefix', `10.${s}.0.0/24`), own, ownMac);
  return fc
    .tuple(v4, fc.boolean())
    .map(([entry, both]) => (both ? [entry, { vsid, prefix: `fd00:${s}::/64` }] : [entry]));
};
const subnets = (t: number, gateway: boolean): fc.Arbitrary<unknown> =>
  fc
    .tuple(subnet(t, 1, gateway), subnet(t, 2, gateway))
    .chain((groups) => fc.shuffledSubarray(groups.flat(), { minLength: groups.flat().length }));
const record = (t: number, n: number): fc.Arbitrary<object> =>
  fc.tuple(fc.constantFrom('static', 'l2only', 'gateway-wildcard'), pa).map(([type, at]) => ({
    vsid: vsidOf(t, 1 + (n % 2)),
    mac: mac(t, n),
    pa: at,
    type,
    ...(type === 'static' ? { ca: `10.${1 + (n % 2)}.0.${10 + n}` } : {}),
  }));
const lookup = (t: number): fc.Arbitrary<unknown> =>
  fc.nat(5).chain((n) => fc.tuple(...indices(n).map((i) => record(t, i))));
const customerRoutes = fc
  .uniqueArray(fc.nat(9), { maxLength: 4 })
  .chain((hops) =>
    fc.tuple(
      ...hops.map((hop) =>
        sections(always('prefix', `172.${16 + (hop % 3)}.0.0/16`), always('nextHop', `10.1.0.${100 + hop}`), metric),
      ),
    ),
  );
const indices = (length: number): number[] => Array.from({ length }, (_, i) => i);

const nat = (t: number): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc.constantFrom('off', {}),
    sections(
      optional('address', fc.constantFrom('auto', `203.0.113.${64 + t}`)),
      optional('filtering', fc.constantFrom('address', 'endpoint-independent', 'address-and-port')),
      optional(
        'rules',
        fc.uniqueArray(fc.integer({ min: 1, max: 65535 }), { maxLength: 3 }).map((ports) =>
          ports.map((externalPort, i) => ({
            protocol: i % 2 === 0 ? 'tcp' : 'udp',
            externalPort,
            to: i === 2 ? '10.1.0.77' : `10.1.0.77:${i + 1}`,
          })),
        ),
      ),
      optional('timeouts', sections(optional('udpSeconds', fc.constantFrom('5m', 60)))),
      optional('limits', sections(optional('sessions', fc.integer({ min: 1, max: 100_000 })))),
      optional('routes', fc.constantFrom(['198.51.100.0/24'], ['0.0.0.0/0', '192.0.2.0/24'])),
    ),
  );
const iface = (t: number, n: number): fc.Arbitrary<object> =>
  sections(
    always('name', `if${n}`),
    always('device', `dev-${t}-${n}`),
    always('addresses', [`10.${50 + n}.0.1/24`]),
    fc.constantFrom<object>(
      {},
      { driver: 'tap', mac: mac(t, 100 + n), hostRoutes: 'auto', hostAddresses: [`10.${50 + n}.0.2/24`] },
      { driver: 'packet', mac: 'auto' },
      { driver: 'fabric', mtu: 9000 },
      { driver: 'tun', hostRoutes: 'none' },
    ),
  );
const wayOf = (hop: number) =>
  hop === 6 ? always('discard', true) : always('via', hop === 5 ? 'if0' : `10.1.0.${200 + hop}`);
const routes = fc
  .uniqueArray(fc.nat(6), { maxLength: 4 })
  .chain((hops) => fc.tuple(...hops.map((hop) => sections(always('prefix', '192.168.0.0/16'), wayOf(hop), metric))));
const gatewayTenant = (t: number): fc.Arbitrary<object> =>
  sections(
    always('name', `t${t}`),
    always('interfaces', []),
    subnets(t, true).map((all) => ({ subnets: all })),
    optional('lookup', lookup(t)),
    optional('customerRoutes', customerRoutes),
    // Direct tenants have the same prefixes: only one may be.
    t === 0 ? fc.constantFrom({}, { direct: true }) : optional('nat', nat(t)),
    fc.tuple(iface(t, 0), iface(t, 1)).map((interfaces) => ({ interfaces })),
    optional('routes', routes),
  );
const vm = (t: number, n: number): fc.Arbitrary<object> =>
  sections(
    always('name', `vm${n}`),
    always('vsid', vsidOf(t, 1)),
    always('mac', mac(t, 220 + n)),
    optional('addresses', fc.constantFrom([], [`10.1.0.${220 + n}`])),
    fc.constantFrom({ device: `vm-${t}-${n}` }, { driver: 'packet', device: `veth-${t}-${n}` }),
  );
const hostTenant = (t: number): fc.Arbitrary<object> =>
  sections(
    always('name', `t${t}`),
    subnets(t, false).map((all) => ({ subnets: all })),
    optional('lookup', lookup(t)),
    optional('customerRoutes', customerRoutes),
    optional(
      'vms',
      fc.nat(3).chain((n) => fc.tuple(...indices(n).map((i) => vm(t, i)))),
    ),
  );
const tenants = (of: (t: number) => fc.Arbitrary<object>) =>
  fc.integer({ min: 1, max: 2 }).chain((n) => fc.tuple(...indices(n).map(of)).map((all) => ({ tenants: all })));

const gatewayText = sections(
  always('version', 1),
  fc
    .tuple(external, underlay)
    .map(([outside, under]) => ({ gateway: { name: 'gw1', external: outside, underlay: under } })),
  tenants(gatewayTenant),
);
const hostText = sections(
  always('version', 1),
  underlay.map((under) => ({ host: { name: 'host1', underlay: under } })),
  tenants(hostTenant),
);

function read(text: string): Document {
  const { document, issues } = readDocument(text, 'g');
  expect(issues.map(formatIssue)).toEqual([]);
  return document!;
}

describe.each([
  ['gateways', gatewayText],
  ['hosts', hostText],
])('documents of %s', (_, documents) => {
  test('shown and read again are the same, with every default written', () => {
    fc.assert(
      fc.property(documents, (plain) => {
        const document = read(stringify(plain));
        const shown = showDocument(document);
        expect(read(shown)).toEqual(document);
        expect(showDocument(read(shown))).toBe(shown);
        expect(diffDocuments(document, read(shown))).toEqual([]);
        expect(read(JSON.stringify(plain))).toEqual(document);
      }),
      { numRuns: 25 },
    );
  });

  test('without a difference in `diff` show the same lines; the order of tenants is none', () => {
    fc.assert(
      fc.property(documents, documents, (one, other) => {
        const [a, b] = [read(JSON.stringify(one)), read(JSON.stringify(other))];
        const changes = diffDocuments(a, b);
        if (changes.length === 0) expect(linesOf(a)).toEqual(linesOf(b));
        expect(diffDocuments(b, a).length).toBe(changes.length);
        expect(diffDocuments(a, { ...a, tenants: a.tenants.toReversed() } as Document)).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });
});

const linesOf = (document: Document): string[] => showDocument(document).split('\n').sort();
