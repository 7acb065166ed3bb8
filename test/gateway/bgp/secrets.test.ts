import { describe, expect, test } from 'vitest';
import { resolveDocument } from '../../../src/lab/index.ts';
import { BgpWorld, gwDocument, NAMES, siteDocument } from './world.ts';

const md5 = (secret: string): string => `md5: { inline: ${secret} }`;

describe('RFC 2385: a peer with a secret', () => {
  test('both ends have the same one: the session is established', () => {
    const world = new BgpWorld({ gwPeer: md5('the-same-at-both-ends'), sitePeer: md5('the-same-at-both-ends') });
    world.run(10_000);
    for (const name of NAMES) expect(world.reports()).toContain(`BGP peer ${name}/hq: established: with AS 65020`);
  });

  test.each([
    ['another one', md5('another-one-is-there')],
    ['none', ''],
  ])('the site has %s: no session, no route', (_, sitePeer) => {
    const world = new BgpWorld({ gwPeer: md5('the-same-at-both-ends'), sitePeer });
    world.run(10_000);
    expect(world.reports().filter((words) => words.includes('established'))).toEqual([]);
    for (const name of NAMES) expect(world.routes(name)).toEqual([]);
  });
});

describe('secrets of two tenants', () => {
  const SECRETS = { contoso: 'the-one-of-contoso-alone', woodgrove: 'another-of-woodgrove-alone' };
  /** The same document, with a secret of each tenant. */
  const withSecrets = (document: string, secrets: Readonly<Record<string, string>>): string =>
    document.replace(/(- name: (contoso|woodgrove)\n[\s\S]*?)import: all/g, (_, before: string, name: string) => {
      return `${before}md5: { inline: ${secrets[name]} }, import: all`;
    });

  test('peers of the same address and AS have each their own', () => {
    const world = new BgpWorld();
    const swapped = { contoso: SECRETS.woodgrove, woodgrove: SECRETS.contoso };
    const apply = (ofSites: typeof SECRETS) => {
      world.gw.apply(resolveDocument(withSecrets(gwDocument({}), SECRETS)));
      world.sites.apply(resolveDocument(withSecrets(siteDocument({}), ofSites)));
      world.run(60_000);
      return NAMES.map((name) => world.routes(name).length);
    };
    world.run(10_000);
    expect(apply(SECRETS)).toEqual([2, 2]);
    for (const peer of world.gw.gateway.bgp.peers(world.timeline.now)) expect(peer.connectionsEstablished).toBe(1);
    expect(world.reports().filter((text) => text.includes('established'))).toHaveLength(4);
    expect(apply(swapped)).toEqual([0, 0]);
    expect(apply(SECRETS)).toEqual([2, 2]);
  });

  test('a secret that changes at both ends is a new session of that tenant alone', () => {
    const world = new BgpWorld();
    const apply = (secrets: typeof SECRETS) => {
      world.gw.apply(resolveDocument(withSecrets(gwDocument({}), secrets)));
      world.sites.apply(resolveDocument(withSecrets(siteDocument({}), secrets)));
      world.actions.splice(0);
      world.run(60_000);
    };
    apply(SECRETS);
    apply({ ...SECRETS, contoso: 'contoso-has-a-new-one' });
    const up = world.reports().filter((text) => text.includes('established'));
    expect(up).toEqual(['BGP peer contoso/hq: established: with AS 65020']);
    expect(NAMES.map((name) => world.routes(name).length)).toEqual([2, 2]);
  });
});

test('RFC 9003: what an operator says of a shutdown is what the peer hears', () => {
  const world = new BgpWorld();
  world.run(10_000);
  world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what: 'stop', text: 'moving racks, back at noon' });
  world.run(100);
  expect(world.sites.reports.map(({ text }) => text)).toContain(
    'BGP peer contoso/cloud: notification received: Hard Reset, Cease: Administrative Shutdown, "moving racks, back at noon"',
  );
  expect([world.routes('contoso'), world.routes('contoso', world.sites)]).toEqual([[], []]);
  expect(world.routes('woodgrove')).toHaveLength(2);
});
