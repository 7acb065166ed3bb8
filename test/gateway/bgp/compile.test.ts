import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/index.ts';
import { type GatewayDocument, readDocument } from '../../../src/config/index.ts';
import { compilePeer, compileRib } from '../../../src/gateway/bgp/compile.ts';

const routerOf = (bgp: string) => {
  const { document, issues } = readDocument(
    [
      'version: 1',
      'gateway: { external: { addresses: [203.0.113.10] } }',
      'tenants:',
      '  - name: contoso',
      '    interfaces: [{ name: inside, addresses: [10.1.0.1/24, "fd00:1::1/64"] }]',
      `    bgp: { asn: 65010, ${bgp} }`,
    ].join('\n'),
    'g',
  );
  expect(issues).toEqual([]);
  return (document as GatewayDocument).tenants[0]!.bgp!;
};
const ribOf = (bgp: string) => compileRib(routerOf(bgp), () => ({ metric: 0, usable: true, why: 'a test' }));

describe('the tables of a router', () => {
  it('have the decision of the document, and no dampening where it has none', () => {
    expect(ribOf('maxPaths: 4, decision: { alwaysCompareMed: true }')).toMatchObject({
      localAs: 65010,
      routerId: 0x0a010001,
      decision: { alwaysCompareMed: true, missingMedAsWorst: false, compareRouterId: false, multipath: 4 },
    });
    expect(ribOf('maxPaths: 1').dampening).toBeUndefined();
  });

  it('RFC 2439: have its dampening, in milliseconds', () => {
    const written =
      '{ halfLifeSeconds: 300, unreachableHalfLifeSeconds: 10m, suppress: 3000, maxSuppressSeconds: 20m }';
    expect(ribOf(`dampening: ${written}`).dampening).toEqual({
      halfLifeMillis: 300_000,
      unreachableHalfLifeMillis: 600_000,
      suppress: 3000,
      reuse: 750,
      mostMillis: 1_200_000,
    });
  });
});

describe('the session of a peer', () => {
  it.each([
    ['10.2.0.1', 'ipv4', []],
    ['10.2.0.1', 'ipv4, ipv6', []],
    ['"fd00:2::1"', 'ipv6', []],
    ['"fd00:2::1"', 'ipv4, ipv6', [{ family: IPV4_UNICAST, nextHopAfi: 2 }]],
  ])('RFC 8950 §4: at %s with %s offers IPv6 next hops for IPv4 prefixes, or not', (address, families, offered) => {
    const peer = `{ name: hq, address: ${address}, asn: 65020, families: [${families}], import: all, export: all }`;
    const router = routerOf(`peers: [${peer}]`);
    expect(compilePeer(router, router.peers[0]!, false, undefined).session.extendedNextHop).toEqual(offered);
  });
});
