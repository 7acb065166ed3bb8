/**
 * One speaker of ours and the BGP daemons of others, each on a link of its own: routes of both families cross, marks stay on them, and
 * what one daemon says reaches all others.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BgpDaemon, DaemonSettings } from '../support/bgp-daemon.ts';
import { BgpHost } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { Bird } from '../support/bird.ts';
import { Frr } from '../support/frr.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/process.ts';

const OURS = 65010;
const PEERS = [
  { name: 'frr', make: (s: DaemonSettings) => new Frr(s), asn: 65021 },
  { name: 'bird', make: (s: DaemonSettings) => new Bird(s), asn: 4_200_000_022 },
] as const;
type Name = (typeof PEERS)[number]['name'];

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', 'frr', 'bird');

describeWithPeers('one speaker, and daemons of others', () => {
  const links = {} as Record<Name, BgpLink>;
  const daemons = {} as Record<Name, BgpDaemon>;
  let host: BgpHost;

  /** What each daemon tells from the beginning. */
  const told = (name: Name): readonly string[] => {
    const number = PEERS.findIndex((each) => each.name === name) + 1;
    return [`10.20${number}.1.0/24`, `2001:db8:20${number}::/48`];
  };

  beforeAll(async () => {
    enterPrivateNetwork();
    host = new BgpHost(OURS, 0x0a090001);
    host.originate('10.77.0.0/16', '2001:db8:77::/48');
    for (const [i, { name, make, asn }] of PEERS.entries()) {
      const link = new BgpLink(i + 1);
      links[name] = link;
      daemons[name] = make({ link, asn, peerAs: OURS, announces: told(name) });
    }
    await Promise.all(PEERS.map(({ name }) => daemons[name].start()));
  });

  afterAll(async () => {
    host?.kill();
    await Promise.all(Object.values(daemons).map((each) => each.stop()));
    for (const link of Object.values(links)) link.close();
  });

  it('RFC 4271 §8: the speaker dials each, and is Established', async () => {
    for (const { name, asn } of PEERS) {
      const { theirs: remote, ours: local, ours6: other } = links[name];
      host.add({ name, remote, local, other, session: { remoteAs: asn } });
    }
    for (const { name, asn } of PEERS) {
      const { session } = await host.established(name);
      expect(session).toMatchObject({ remoteAs: asn, dialledBy: 'us', holdSeconds: 9 });
    }
  });

  it.each(PEERS)('RFC 4760: routes of IPv4 and IPv6 cross, those of ours with a mark ($name)', async ({ name }) => {
    for (const prefix of ['10.77.0.0/16', '2001:db8:77::/48']) {
      expect(await daemons[name].hears(prefix)).toMatchObject({ path: [OURS], communities: ['65010:77'] });
    }
    for (const prefix of told(name)) {
      await host.when(() => host.routes.has(prefix), `${prefix} of ${name} has not come`);
      const { theirs, theirs6 } = links[name];
      expect(host.routes.get(prefix)).toEqual([prefix.includes(':') ? theirs6 : theirs]);
    }
  });

  it.each(PEERS)('what $name says reaches all others with its communities of all kinds', async ({ name, asn }) => {
    for (const other of PEERS.filter((each) => each.name !== name))
      for (const prefix of told(name)) {
        const { path, communities } = await daemons[other.name].hears(prefix);
        expect(path).toEqual([OURS, asn]);
        expect([...communities].sort()).toEqual(['65000:7', `${asn}:1:2`, 'rt:65000:3'].sort());
      }
  });

  it.each(PEERS)('$name says more, and takes it back; so do we', async ({ name }) => {
    const more = ['10.99.1.0/24', '2001:db8:99::/48'];
    await daemons[name].announce(...more);
    for (const prefix of more) await host.when(() => host.paths(prefix).includes(name), `${prefix} has not come`);
    await daemons[name].withdraw(...more);
    for (const prefix of more) await host.when(() => host.paths(prefix).length === 0, `${prefix} has not gone`);
    host.originate('10.78.0.0/16', '2001:db8:78::/48');
    await daemons[name].hears('10.78.0.0/16');
    await daemons[name].hears('2001:db8:78::/48');
    host.withdraw('10.78.0.0/16', '2001:db8:78::/48');
    await daemons[name].forgets('10.78.0.0/16');
    await daemons[name].forgets('2001:db8:78::/48');
    expect(host.view(name).state).toBe('established');
  });

  it.each(PEERS)('RFC 2918, RFC 7313: $name asks for everything again, and so do we', async ({ name }) => {
    const before = host.view(name);
    await daemons[name].refresh();
    await host.when(
      () => host.view(name).received.routeRefresh > before.received.routeRefresh,
      'no ROUTE-REFRESH has come',
    );
    await host.when(() => host.view(name).sent.update > before.sent.update, 'it was not told again');
    const asked = host.view(name);
    host.handle({ type: 'refresh', peer: name, direction: 'in' });
    await host.when(() => host.view(name).received.update >= asked.received.update + 2, `${name} said nothing again`);
    for (const prefix of told(name)) expect(host.paths(prefix)).toEqual([name]);
    expect(host.view(name)).toMatchObject({ state: 'established', connectionsDropped: 0 });
  });

  it.each(PEERS)('RFC 9003: $name is told why the session ends, and tells it', async ({ name }) => {
    host.tell(name, { type: 'stop', subcode: 2, text: 'back at noon' });
    await until(
      async () => /back at noon/.test(await daemons[name].session()) || /back at noon/.test(daemons[name].output),
      10_000,
      `${name} does not know why`,
    );
    for (const prefix of told(name)) expect(host.routes.has(prefix)).toBe(false);
    host.tell(name, { type: 'start' });
    await host.established(name);
    await daemons[name].shutdown('gone fishing');
    await host.when(() => host.view(name).state !== 'established', 'the session stays');
    expect(host.view(name).lastErrorReceived).toMatchObject({ code: 6, subcode: 2 });
    expect(host.view(name).lastErrorReceived!.words).toMatch(/"gone fishing"/);
    for (const prefix of told(name)) expect(host.routes.has(prefix)).toBe(false);
    await daemons[name].enable();
    await host.established(name);
  });

  it.each(PEERS)('RFC 4271 §8: $name dials, and the speaker listens', async ({ name, asn }) => {
    host.remove(name);
    const { theirs: remote, ours: local, ours6: other } = links[name];
    await host.listen(local);
    host.add({ name, remote, local, other, session: { remoteAs: asn, passive: true } });
    expect((await host.established(name)).session).toMatchObject({ remoteAs: asn, dialledBy: 'peer' });
    for (const prefix of told(name)) await host.when(() => host.routes.has(prefix), `${prefix} has not come`);
    await daemons[name].hears('10.77.0.0/16');
  });
});
