/** One daemon of others and a speaker of ours, in ways that want a configuration of their own: sessions over IPv6, limits, old AS numbers. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/process.ts';
import { BgpPair, nextHopsOf, OURS, OWN_PREFIXES, PEERS, those, told } from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', ...PEERS.map(({ name }) => name));
const OTHER_AS = 65099;
let entered = false;

describeWithPeers.each(PEERS)('$name and one speaker', (kind) => {
  const { name } = kind;
  let pair: BgpPair;

  beforeAll(async () => {
    if (!entered) enterPrivateNetwork();
    entered = true;
    pair = await BgpPair.start(kind, { over: 6 });
  });
  afterAll(() => pair?.close());

  const expectBothWays = async () => {
    for (const prefix of told(kind)) await pair.host.when(() => pair.host.routes.has(prefix), `no ${prefix}`);
    const hops = told(kind).flatMap((prefix) => pair.host.routes.get(prefix));
    expect(hops).toEqual(nextHopsOf(kind, pair.link, pair.daemon.settings.over ?? 4));
    for (const prefix of OWN_PREFIXES) expect(await pair.daemon.hears(prefix)).toMatchObject({ path: [OURS] });
  };

  it('RFC 2545: over IPv6, we dial', async () => {
    pair.begin();
    expect((await pair.host.established(name)).session).toMatchObject({ dialledBy: 'us' });
    await expectBothWays();
  });

  it('RFC 2545: over IPv6, we are dialled', async () => {
    pair.begin({ passive: true });
    await pair.host.listen(pair.link.ours6);
    await pair.daemon.restart();
    expect((await pair.host.established(name)).session).toMatchObject({ dialledBy: 'peer' });
    await expectBothWays();
  });

  it('RFC 7705 §3: it knows us by another AS, and sees no other', async () => {
    await pair.daemon.restart({ peerAs: OTHER_AS });
    pair.begin({ localAs: OTHER_AS });
    await pair.host.established(name);
    expect(pair.host.view(name).localAs).toBe(OTHER_AS);
    for (const prefix of told(kind)) await pair.host.when(() => pair.host.routes.has(prefix), `no ${prefix}`);
    for (const prefix of OWN_PREFIXES) expect(await pair.daemon.hears(prefix)).toMatchObject({ path: [OTHER_AS] });
    await pair.daemon.restart({ peerAs: OURS });
  });

  it.runIf(those('limits').includes(kind))('RFC 4486: more prefixes than it wants', async () => {
    await pair.daemon.restart({ over: 4, maximumPrefixes: 3 });
    pair.begin();
    await pair.host.established(name);
    await pair.daemon.hears(OWN_PREFIXES[0]);
    pair.host.originate(...[1, 2, 3, 4].map((n) => `10.8${n}.0.0/16`));
    await pair.host.when(() => pair.host.view(name).lastErrorReceived !== undefined, 'it takes them all');
    expect(pair.host.view(name)).toMatchObject({ connectionsDropped: 1, lastErrorReceived: { code: 6, subcode: 1 } });
  });

  it('RFC 4486: more prefixes than we want; it is given another chance after a while', async () => {
    await pair.daemon.restart({ over: 4, maximumPrefixes: 1000 });
    pair.begin({}, { more: { maximumPrefixes: 3, restartMillis: 1000 } });
    await pair.host.established(name);
    await pair.daemon.announce('10.91.0.0/16', '10.92.0.0/16', '10.93.0.0/16');
    await pair.host.when(() => pair.host.view(name).lastErrorSent !== undefined, 'we take them all');
    expect(pair.host.view(name)).toMatchObject({ state: 'idle', lastErrorSent: { code: 6, subcode: 1 } });
    expect(pair.host.routes.size).toBe(0);
    await until(
      async () => /[Mm]ax/.test(`${await pair.daemon.session()}${pair.daemon.output}`),
      10_000,
      'it was not told',
    );
    await pair.daemon.withdraw('10.91.0.0/16', '10.92.0.0/16', '10.93.0.0/16');
    await pair.host.established(name);
    await expectBothWays();
  });
});
