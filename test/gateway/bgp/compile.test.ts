import { describe, expect, it } from 'vitest';
import { type GatewayDocument, readDocument } from '../../../src/config/index.ts';
import { compileRib } from '../../../src/gateway/bgp/compile.ts';

const ribOf = (bgp: string) => {
  const { document, issues } = readDocument(
    [
      'version: 1',
      'gateway: { external: { addresses: [203.0.113.10] } }',
      'tenants:',
      '  - name: contoso',
      '    interfaces: [{ name: inside, addresses: [10.1.0.1/24] }]',
      `    bgp: { asn: 65010, ${bgp} }`,
    ].join('\n'),
    'g',
  );
  expect(issues).toEqual([]);
  const router = (document as GatewayDocument).tenants[0]!.bgp!;
  return compileRib(router, () => ({ metric: 0, usable: true, why: 'a test' }));
};

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
