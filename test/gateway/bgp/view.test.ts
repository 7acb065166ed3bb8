import { describe, expect, test } from 'vitest';
import type { BgpCommand } from '../../../src/gateway/contract.ts';
import type { BgpView } from '../../../src/gateway/view-bgp.ts';
import { parsePrefix } from '../../../src/ip/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { addr } from '../../support/packets.ts';
import { BgpWorld, gwDocument, type Name, type Parts, siteDocument } from './world.ts';

const PAGE = { offset: 0, limit: 100 };

function established(parts: Parts = {}) {
  const world = new BgpWorld(parts);
  world.run(10_000);
  const ask = (tenant: Name, what: BgpCommand, text = '') => {
    world.gw.dispatch({ type: 'bgp', tenant, peer: 'hq', what, text });
    world.run(100);
  };
  return { world, bgp: world.gw.gateway.bgp, ask, peers: () => world.gw.gateway.bgp.peers(world.timeline.now) };
}

const plain = (asPath: string, nextHop: string, weight = 0) => {
  return { nextHop, asPath, origin: 'igp', weight, communities: [], others: [] };
};

describe('what people see of BGP', () => {
  test('the summary has the keys of `show bgp summary json`', () => {
    const { world, bgp } = established();
    const peer = {
      desc: 'hq',
      remoteAs: 65_020,
      localAs: 65_010,
      version: 4,
      msgRcvd: 5,
      msgSent: 6,
      tableVersion: 2,
      outq: 0,
      inq: 0,
      peerUptime: '00:00:09',
      peerUptimeMsec: expect.any(Number),
      pfxRcd: 2,
      pfxSnt: 1,
      state: 'Established',
      peerState: 'OK',
      connectionsEstablished: 1,
      connectionsDropped: 0,
      idType: 'ipv4',
    };
    const summary = {
      routerId: '10.1.0.1',
      as: 65_010,
      tableVersion: 2,
      ribCount: 3,
      ribMemory: expect.any(Number),
      peerCount: 1,
      totalPeers: 1,
      displayedPeers: 1,
      dynamicPeers: 0,
      failedPeers: 0,
      peers: { '10.2.0.1': peer },
    };
    expect(bgp.summaries(world.timeline.now)).toEqual([
      { tenant: 'contoso', vrfName: 'contoso', ...summary },
      { tenant: 'woodgrove', vrfName: 'woodgrove', ...summary },
    ]);
  });

  test('peers of all tenants, of one, or the one of that name', () => {
    const { world, bgp } = established();
    const of = (tenant?: string, peer?: string) =>
      bgp.peers(world.timeline.now, tenant, peer).map((each) => `${each.tenant}/${each.name}`);
    expect([of(), of('woodgrove'), of('woodgrove', 'hq'), of('contoso', 'nobody')]).toEqual([
      ['contoso/hq', 'woodgrove/hq'],
      ['woodgrove/hq'],
      ['woodgrove/hq'],
      [],
    ]);
  });

  test('a peer: what both have said, and how it went', () => {
    const { peers } = established({ gwPeer: 'maxPrefixes: { limit: 10 }' });
    const counts = { update: 2, notification: 0, keepalive: 1, routeRefresh: 0 };
    const common = ['MULTIPROTOCOL IPv4 unicast', 'ROUTE_REFRESH', 'EXTENDED_MESSAGE'];
    const restart = 'GRACEFUL_RESTART 120 s restarting notification, IPv4 unicast';
    expect(peers()[0]).toEqual({
      tenant: 'contoso',
      name: 'hq',
      address: '10.2.0.1',
      remoteAs: 65_020,
      localAs: 65_010,
      version: 4,
      msgRcvd: 5,
      msgSent: 6,
      tableVersion: 2,
      outq: 0,
      inq: 0,
      peerUptime: '00:00:09',
      peerUptimeMsec: expect.any(Number),
      pfxRcd: 2,
      pfxSnt: 1,
      state: 'Established',
      peerState: 'OK',
      connectionsEstablished: 1,
      connectionsDropped: 0,
      idType: 'ipv4',
      kind: 'external',
      remoteId: '10.2.0.1',
      localId: '10.1.0.1',
      dialledBy: 'peer',
      holdSeconds: 90,
      keepaliveSeconds: 30,
      shutdown: false,
      md5: false,
      import: 'all',
      export: 'all',
      pfxAccepted: 2,
      families: ['IPv4 unicast'],
      capabilitiesSent: [...common, restart, 'FOUR_OCTET_AS 65010', 'ENHANCED_ROUTE_REFRESH'],
      capabilitiesReceived: [...common, restart, 'FOUR_OCTET_AS 65020', 'ENHANCED_ROUTE_REFRESH'],
      // Both have dialled: of the two connections one has lost (RFC 4271 §6.8).
      messagesReceived: { open: 2, ...counts },
      messagesSent: { open: 2, ...counts, notification: 1 },
      octetsReceived: 206,
      octetsSent: 224,
      collisions: 1,
      lastErrorSent: { code: 6, subcode: 7, words: 'Cease: Connection Collision Resolution', secondsAgo: 9 },
    });
  });

  test('routes: received, chosen, told', () => {
    const { bgp } = established();
    const route = { pathId: 0, best: true, valid: true, stale: false };
    expect(bgp.routes('contoso', PAGE)).toEqual([
      { prefix: '10.1.0.0/24', peer: 'local', ...route, attributes: plain('', 'self', 32_768) },
      { prefix: '10.2.0.0/24', peer: 'hq', ...route, attributes: plain('65020', '10.2.0.1') },
      { prefix: '10.50.0.0/16', peer: 'hq', ...route, attributes: plain('65020', '10.2.0.1') },
    ]);
    const set = plain('65020', '10.2.0.1');
    const received = { pathId: 0, stale: false, accepted: true, why: 'all pass', before: set, after: set };
    expect(bgp.received('contoso', 'hq', PAGE)).toEqual([
      { prefix: '10.2.0.0/24', ...received },
      { prefix: '10.50.0.0/16', ...received },
    ]);
    expect(bgp.advertised('contoso', 'hq', PAGE)).toEqual([
      { prefix: '10.1.0.0/24', attributes: plain('65010', '10.1.0.1') },
    ]);
  });

  test('explain: paths with their reasons, whom it is told, and what forwards', () => {
    const { bgp } = established();
    expect(bgp.explain('contoso', addr('10.50.0.1'))).toEqual({
      asked: '10.50.0.1',
      prefix: '10.50.0.0/16',
      paths: [
        {
          peer: 'hq',
          pathId: 0,
          stale: false,
          best: true,
          why: 'the best of all that may be used',
          nextHopUsable: true,
          nextHopWhy: 'route of connection hq',
          attributes: plain('65020', '10.2.0.1'),
        },
      ],
      told: [{ peer: 'hq', told: false, why: 'the peer has told us itself' }],
      fib: [
        {
          prefix: '10.50.0.0/16',
          via: 'hq',
          origin: 'bgp',
          preference: 20,
          metric: 0,
          why: 'BGP route of external peer hq',
        },
      ],
      fibWhy: '10.50.0.0/16 leaves by hq: BGP route of external peer hq',
    });
    expect(bgp.explain('contoso', parsePrefix('10.1.0.0/24')!)).toMatchObject({
      asked: '10.1.0.0/24',
      prefix: '10.1.0.0/24',
      paths: [{ peer: 'local', best: true, why: 'our own: a network of the document' }],
      told: [{ peer: 'hq', told: true, why: 'all pass' }],
      fib: [{ prefix: '10.1.0.0/24', via: 'inside', origin: 'connected' }],
    });
    expect(bgp.explain('contoso', addr('192.0.2.1'))).toEqual({
      asked: '192.0.2.1',
      prefix: null,
      paths: [],
      told: [],
      fib: [],
      fibWhy: 'no route to 192.0.2.1',
    });
  });

  test('two tenants with the same addresses, numbers and names: each question is answered from its own tables', () => {
    const { bgp } = established();
    const seen = (view: BgpView, tenant: Name) => ({
      routes: view.routes(tenant, PAGE)?.map(({ prefix }) => prefix),
      received: view.received(tenant, 'hq', PAGE)?.map(({ prefix }) => prefix),
      other: view.explain(tenant, addr(tenant === 'contoso' ? '10.60.0.1' : '10.50.0.1'))?.prefix,
    });
    expect(seen(bgp, 'contoso')).toEqual({
      routes: ['10.1.0.0/24', '10.2.0.0/24', '10.50.0.0/16'],
      received: ['10.2.0.0/24', '10.50.0.0/16'],
      other: null,
    });
    expect(seen(bgp, 'woodgrove')).toEqual({
      routes: ['10.1.0.0/24', '10.2.0.0/24', '10.60.0.0/16'],
      received: ['10.2.0.0/24', '10.60.0.0/16'],
      other: null,
    });
    expect(bgp.routes('nobody', PAGE)).toBeUndefined();
    expect(bgp.received('contoso', 'nobody', PAGE)).toEqual([]);
  });
});

describe('commands for a peer', () => {
  test('RFC 9003: stop says why, at both ends; it is a problem at the other end only', () => {
    const { world, ask, peers } = established();
    ask('contoso', 'stop', 'back at noon');
    expect(peers()[0]).toMatchObject({
      state: 'Idle',
      peerState: 'Admin',
      shutdown: true,
      peerUptime: '00:00:00',
      why: 'stopped: back at noon',
      connectionsDropped: 1,
    });
    expect(peers()[1]).toMatchObject({ tenant: 'woodgrove', state: 'Established', connectionsDropped: 0 });
    const { now } = world.timeline;
    expect(world.gw.gateway.status(now)).toMatchObject({ state: 'ok', problems: [] });
    const { state, problems } = world.sites.gateway.status(now);
    expect(state).toBe('degraded');
    const words = 'Hard Reset, Cease: Administrative Shutdown, "back at noon"';
    expect(problems).toEqual([
      {
        severity: 'error',
        tenant: 'contoso',
        problem: `BGP peer cloud (10.1.0.1, AS 65010) is not up: ${words}`,
        advice: 'it was shut down at the other side: ask there',
        lines: [
          'last error sent 10 s ago: Cease: Connection Collision Resolution',
          `last error received 0 s ago: ${words}`,
        ],
      },
    ]);
    world.run(3_725_000);
    expect(peers()[0]).toMatchObject({ peerUptime: '01:02:05', peerUptimeMsec: 3_725_100 });
    ask('contoso', 'start');
    world.run(60_000);
    expect(peers()[0]).toMatchObject({ state: 'Established', peerState: 'OK', connectionsEstablished: 2 });
    expect(world.sites.gateway.status(world.timeline.now).problems).toEqual([]);
  });

  test('reset: the session ends and comes back by itself', () => {
    const { world, ask, peers } = established();
    ask('contoso', 'reset');
    world.run(60_000);
    expect(peers()[0]).toMatchObject({
      state: 'Established',
      connectionsEstablished: 2,
      lastErrorSent: { words: expect.stringContaining('Administrative Reset') },
    });
  });

  test('RFC 2918: refresh asks for everything again, or tells it again, and the session stays', () => {
    const { ask, peers } = established();
    const [before] = peers();
    ask('contoso', 'refresh-in');
    const asked = peers()[0]!;
    // RFC 7313 §3: the answer stands between two marks.
    expect(asked.messagesSent.routeRefresh).toBe(1);
    expect(asked.messagesReceived.routeRefresh).toBe(2);
    expect(asked.messagesReceived.update).toBe(before!.messagesReceived.update! + 1);
    ask('contoso', 'refresh-out');
    const told = peers()[0]!;
    expect(told.messagesSent.update).toBe(asked.messagesSent.update! + 1);
    expect(told.connectionsDropped).toBe(0);
    expect(told.pfxAccepted).toBe(2);
  });

  test('RFC 8212: an external peer without import is `Policy`: what it says is kept, and refused', () => {
    const world = new BgpWorld();
    world.gw.apply(resolveDocument(gwDocument({}).replaceAll('import: all, ', '')));
    world.run(10_000);
    const { bgp } = world.gw.gateway;
    const [peer] = bgp.peers(world.timeline.now);
    expect(peer).toMatchObject({ state: 'Established', peerState: 'Policy', pfxRcd: 2, pfxAccepted: 0, pfxSnt: 1 });
    expect(peer).toMatchObject({ import: 'none (RFC 8212)', export: 'all' });
    expect(bgp.received('contoso', 'hq', PAGE)?.[1]).toEqual({
      prefix: '10.50.0.0/16',
      pathId: 0,
      stale: false,
      accepted: false,
      why: 'no import policy (RFC 8212)',
      before: plain('65020', '10.2.0.1'),
      after: null,
    });
    expect(world.routes('contoso')).toEqual([]);
  });
});

test('RFC 4271 §6.8: that one of two connections is closed is no warning', () => {
  const { world } = established();
  const reports = world.actions.flatMap((action) => (action.do === 'report' ? [action.report] : []));
  const sent = reports.filter(({ what }) => what === 'bgp-notification-sent');
  expect(sent.map(({ level }) => level)).toEqual(['info', 'info']);
});

describe('problems', () => {
  test('RFC 4271 §6.2: a peer in another AS: what was said, and what to compare', () => {
    const world = new BgpWorld();
    world.sites.apply(resolveDocument(siteDocument({}).replaceAll('asn: 65020', 'asn: 65021')));
    world.run(20_000);
    const { state, problems } = world.gw.gateway.status(world.timeline.now);
    expect([state, problems.length]).toEqual(['degraded', 2]);
    expect(problems[0]).toMatchObject({
      severity: 'error',
      tenant: 'contoso',
      problem: 'BGP peer hq (10.2.0.1, AS 65020) is not up: AS 65021, expected 65020',
      advice: 'one side has another AS number in its document: compare `asn` on both',
    });
  });

  test('RFC 2385: a peer with another secret is one that does not answer; what is dropped says so', () => {
    const world = new BgpWorld({ gwPeer: 'md5: { inline: the-same-at-both-ends }' });
    world.run(20_000);
    for (const node of [world.gw, world.sites]) {
      const { problems } = node.gateway.status(world.timeline.now);
      expect(problems[0]).toMatchObject({
        severity: 'warning',
        tenant: 'contoso',
        advice: 'compare `md5` on both sides',
        lines: [
          expect.stringMatching(
            /^\d+ TCP segments dropped: an MD5 signature is missing, wrong, or not expected \(RFC 2385\)$/,
          ),
        ],
      });
    }
  });

  test('what is dropped of one peer says nothing of another, and a peer that nothing leads to is called that', () => {
    const world = new BgpWorld({ gwPeer: 'md5: { inline: the-same-at-both-ends }' });
    const others = ['name: lost, address: 10.3.0.1', 'name: near, address: 169.254.7.2'].map(
      (each) => `{ ${each}, asn: 65030, import: all, export: all }`,
    );
    const document = gwDocument({ gwPeer: 'md5: { inline: the-same-at-both-ends }' })
      .replaceAll(/peers: \[(.*)\]/g, `peers: [$1, ${others.join(', ')}]`)
      .replaceAll('addresses: [10.1.0.1/24]', 'addresses: [10.1.0.1/24, 169.254.7.1/30]');
    world.gw.apply(resolveDocument(document));
    world.run(20_000);
    const { problems } = world.gw.gateway.status(world.timeline.now);
    expect(problems.filter(({ tenant }) => tenant === 'contoso')).toMatchObject([
      { problem: expect.stringMatching(/^BGP peer hq /), lines: [expect.stringMatching(/MD5 signature/)] },
      {
        problem: 'BGP peer lost (10.3.0.1, AS 65030) is not up: no route to 10.3.0.1',
        advice: 'see `bulkhead routes --tenant contoso`',
        lines: [],
      },
      { problem: expect.stringMatching(/^BGP peer near .*: its TCP connection has not been answered yet$/), lines: [] },
    ]);
  });

  test('a peer that has not answered yet is a warning: nothing is degraded', () => {
    const world = new BgpWorld();
    world.sites.apply(
      resolveDocument(siteDocument({}).replaceAll('{ name: cloud, address', '{ name: cloud, shutdown: true, address')),
    );
    world.run(20_000);
    const { state, problems } = world.gw.gateway.status(world.timeline.now);
    expect(state).toBe('ok');
    expect(problems[0]).toMatchObject({ severity: 'warning', tenant: 'contoso' });
    expect(world.sites.gateway.status(world.timeline.now).problems).toEqual([]);
    expect(world.sites.gateway.bgp.peers(world.timeline.now)[0]).toMatchObject({
      peerState: 'Admin',
      why: 'stopped',
    });
  });
});
