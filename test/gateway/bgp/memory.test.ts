import { expect, test } from 'vitest';
import type { ResolvedDocument } from '../../../src/gateway/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { Gateways, gwDocument, siteDocument } from './world.ts';

/** With attributes of one tenant that are longer than the other's. */
function documentWith(bgpAttributeOctets?: number): ResolvedDocument {
  const many = Array.from({ length: 100 }, (_, i) => `"65010:${i}"`).join(', ');
  const long = `import: [{ set: { addCommunities: [${many}] } }]`;
  const resolved = resolveDocument(gwDocument({}).replace('import: all', long));
  const { gateway } = resolved.document;
  if (bgpAttributeOctets === undefined) return resolved;
  const limits = { ...gateway.limits, bgpAttributeOctets };
  return { ...resolved, document: { ...resolved.document, gateway: { ...gateway, limits } } };
}

test('RFC 4486 §4: where the attributes of all tenants are too many, who has most beyond its share loses a session, and nobody else', () => {
  const world = new Gateways(gwDocument({}), siteDocument({}));
  world.gw.apply(documentWith());
  world.run(10_000);
  const peers = () => world.gw.gateway.bgp.peers(world.timeline.now);
  const memory = () => world.gw.gateway.status(world.timeline.now).bgp!;
  expect(peers().map(({ state }) => state)).toEqual(['Established', 'Established']);
  const { attributeOctets: all } = memory();
  expect(memory()).toEqual({ routers: 2, attributeOctets: all, attributeLimit: 1 << 30, sessionsEnded: 0 });
  world.gw.apply(documentWith(all));
  world.run(1_000);
  expect(peers().map(({ connectionsDropped }) => connectionsDropped)).toEqual([0, 0]);

  world.gw.apply(documentWith(all - 1));
  expect(peers()).toMatchObject([
    {
      tenant: 'contoso',
      state: 'Idle',
      connectionsDropped: 1,
      lastErrorSent: { words: expect.stringContaining('Out of Resources') },
    },
    { tenant: 'woodgrove', state: 'Established', connectionsDropped: 0, pfxAccepted: 2 },
  ]);
  expect(memory().attributeOctets).toBeLessThan(all / 2);
  expect(memory()).toMatchObject({ attributeLimit: all - 1, sessionsEnded: 1 });
  expect(world.routes('contoso')).toEqual([]);
  expect(world.routes('woodgrove')).toHaveLength(2);
  const { problems } = world.gw.gateway.status(world.timeline.now);
  expect(problems).toMatchObject([
    {
      tenant: 'contoso',
      problem: expect.stringMatching(
        /path attributes of all routers take \d+ octets, \d+ are allowed: \d+ of them are this one's, whose share is \d+$/,
      ),
      advice: expect.stringContaining('refuse some by `import`, or raise gateway.limits.bgpAttributeOctets'),
    },
  ]);
  // It comes again, and fits when there is room.
  world.gw.apply(documentWith());
  world.run(120_000);
  expect(peers().map(({ state }) => state)).toEqual(['Established', 'Established']);

  // Who has no router has no share, and none is told of.
  world.gw.apply(resolveDocument(gwDocument({}).replaceAll(/ {4}bgp:.*?peers: \[[^\n]*\]\n?/gs, '')));
  expect(world.gw.gateway.status(world.timeline.now).bgp).toBeUndefined();
});
