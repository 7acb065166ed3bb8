/**
 * RFC 2918 and RFC 7313 with the daemons of others that do not always answer a ROUTE-REFRESH, and why not; `bgp-daemons.test.ts` has those that do.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST, type SessionConfiguration } from '../../src/bgp/index.ts';
import type { Frr } from '../support/frr.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/process.ts';
import { BgpPair, OWN_PREFIXES, PEERS, told } from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', 'frr', 'openbgpd');
const [FRR, , , , OPENBGPD] = PEERS;
const FAMILIES = ['IPv4 unicast', 'IPv6 unicast'];
/** Milliseconds without an UPDATE after which all has been said. */
const QUIET = 1_000;
/** As the gateway offers it. */
const gracefulRestart = {
  restartSeconds: 120,
  restarting: false,
  notification: true,
  families: [IPV4_UNICAST, IPV6_UNICAST].map((family) => ({ family, forwarding: false })),
  longLived: [],
};

describeWithPeers('asked for everything again', () => {
  const pairs: BgpPair[] = [];
  let frr: BgpPair;
  let openbgpd: BgpPair;

  beforeAll(async () => {
    enterPrivateNetwork();
    for (const kind of [FRR, OPENBGPD]) pairs.push(await BgpPair.start(kind));
    [frr, openbgpd] = pairs as [BgpPair, BgpPair];
    await (frr.daemon as Frr).vtysh('debug bgp neighbor-events');
  });
  afterAll(() => Promise.all(pairs.map((pair) => pair.close())));

  /** Asks once both have said all. Gives what the daemon has written since, and how many UPDATEs had come before. */
  const ask = async (pair: BgpPair, session: Partial<SessionConfiguration>) => {
    const { daemon, name } = pair;
    const host = pair.begin(session);
    await host.established(name);
    for (const prefix of told(pair === frr ? FRR : OPENBGPD))
      await host.when(() => host.routes.has(prefix), `${prefix} has not come`);
    for (const prefix of OWN_PREFIXES) await daemon.hears(prefix);
    // FRR says it all more than once.
    let [last, since] = [0, 0];
    await until(() => {
      const { update } = host.view(name).received;
      if (update !== last) [last, since] = [update, performance.now()];
      return performance.now() - since > QUIET;
    }, 20_000);
    const [at, before] = [daemon.output.length, host.view(name).received.update];
    host.handle({ type: 'refresh', peer: name, direction: 'in' });
    return { host, before, wrote: () => daemon.output.slice(at) };
  };

  it('RFC 7313 §4: FRR answers who has graceful restart, as the gateway has, between marks', async () => {
    const { host } = await ask(frr, { gracefulRestart });
    for (const family of FAMILIES) await host.when(() => host.log.includes(`frr: refreshed: ${family}`), family);
    expect(host.log.join()).not.toMatch(/not answered/);
  });

  it('RFC 7313 §4: FRR waits for an End-of-RIB that it will not say to who has none; we say that no answer came', async () => {
    const { host, wrote } = await ask(frr, {});
    const missed = FAMILIES.map((family) => `frr: refresh not answered: ${family}: no Begin-of-RR (RFC 7313 §4)`);
    await host.when(() => missed.every((line) => host.log.includes(line)), 'it is not missed');
    for (const family of ['IPv4', 'IPv6'])
      expect(wrote()).toContain(`rcvd route-refresh (REQUEST) for ${family}/unicast before EoR`);
    expect(host.view('frr')).toMatchObject({ state: 'established', received: { routeRefresh: 0 } });
  });

  it('RFC 2918 §4: FRR answers who does not know RFC 7313, without marks', async () => {
    const { host, before } = await ask(frr, { enhancedRouteRefresh: false });
    await host.when(() => host.view('frr').received.update >= before + 2, 'it says nothing again');
    for (const prefix of told(FRR)) expect(host.paths(prefix)).toEqual(['frr']);
  });

  it('RFC 2918 §4: OpenBGPD takes what was negotiated for what was not', async () => {
    const { host, before, wrote } = await ask(openbgpd, { gracefulRestart });
    const refused = FAMILIES.map((family) => `route refresh: AID ${family} not negotiated`);
    await until(() => refused.every((line) => wrote().includes(line)), 20_000, wrote);
    expect(host.view('openbgpd')).toMatchObject({ state: 'established', received: { update: before } });
  });
});
