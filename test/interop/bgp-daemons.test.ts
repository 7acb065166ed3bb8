/**
 * One speaker of ours and the BGP daemons of others, each on a link of its own: routes of both families cross, marks stay on them, and
 * what one daemon says reaches all others.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AS_TRANS, type SessionConfiguration } from '../../src/bgp/index.ts';
import type { BgpDaemon, Heard } from '../support/bgp-daemon.ts';
import type { BgpHost } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/process.ts';
import {
  newHost,
  nextHopsOf,
  OURS,
  OWN_PREFIXES,
  PEERS,
  type PeerKind,
  type PeerName,
  those,
  told,
} from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', ...PEERS.map(({ name }) => name));

describeWithPeers('one speaker, and daemons of others', () => {
  const links = {} as Record<PeerName, BgpLink>;
  const daemons = {} as Record<PeerName, BgpDaemon>;
  let host: BgpHost;

  beforeAll(async () => {
    enterPrivateNetwork();
    host = newHost();
    for (const kind of PEERS) {
      const { name, make, asn, number } = kind;
      links[name] = new BgpLink(number);
      daemons[name] = make({ link: links[name], asn, peerAs: OURS, announces: told(kind) });
    }
    await Promise.all(PEERS.map(({ name }) => daemons[name].start()));
  });

  afterAll(async () => {
    host?.kill();
    await Promise.all(Object.values(daemons).map((each) => each.stop()));
    for (const link of Object.values(links)) link.close();
  });

  const add = (name: PeerName, passive: boolean, more: Partial<SessionConfiguration> = {}): void => {
    const { theirs: remote, ours: local, ours6: other } = links[name];
    host.add({ name, remote, local, other, session: { remoteAs: daemons[name].settings.asn, passive, ...more } });
  };

  it.each(PEERS)('RFC 4271 §8: the speaker dials, and is Established ($name)', async ({ name, asn }) => {
    add(name, false);
    const { session } = await host.established(name);
    expect(session).toMatchObject({ remoteAs: asn, dialledBy: 'us', holdSeconds: 9 });
  });

  it.each(PEERS)('RFC 4760: routes of IPv4 and IPv6 cross, those of ours with a mark ($name)', async (kind) => {
    const { name } = kind;
    for (const prefix of OWN_PREFIXES)
      expect(await daemons[name].hears(prefix)).toMatchObject({ path: [OURS], communities: ['65010:77'] });
    for (const prefix of told(kind))
      await host.when(() => host.routes.has(prefix), `${prefix} of ${name} has not come`);
    const hops = told(kind).flatMap((prefix) => host.routes.get(prefix));
    expect(hops).toEqual(nextHopsOf(kind, links[name], 4));
  });

  it.each(PEERS)('what $name says reaches all others with its communities of all kinds', async (kind) => {
    for (const other of PEERS.filter(({ name }) => name !== kind.name))
      for (const prefix of told(kind)) {
        const { path, communities } = await daemons[other.name].hears(prefix);
        expect(path).toEqual([OURS, kind.asn]);
        expect([...communities].sort()).toEqual(['65000:7', `${kind.asn}:1:2`, 'rt:65000:3'].sort());
      }
  });

  it.each(those('asked'))('RFC 2918, RFC 7313: we ask $name for everything again', async (kind) => {
    const { name } = kind;
    const { received } = host.view(name);
    host.handle({ type: 'refresh', peer: name, direction: 'in' });
    await host.when(() => host.view(name).received.update >= received.update + 2, `${name} said nothing again`);
    for (const prefix of told(kind)) expect(host.paths(prefix)).toEqual([name]);
    expect(host.view(name)).toMatchObject({ state: 'established', connectionsDropped: 0 });
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

  it.each(those('asks'))('RFC 2918, RFC 7313: $name asks for everything again', async (kind) => {
    const { name } = kind;
    const { received, sent } = host.view(name);
    await daemons[name].refresh();
    await host.when(() => host.view(name).received.routeRefresh > received.routeRefresh, 'no ROUTE-REFRESH has come');
    await host.when(() => host.view(name).sent.update > sent.update, 'it was not told again');
    for (const prefix of OWN_PREFIXES) expect(await daemons[name].hears(prefix)).toMatchObject({ path: [OURS] });
    expect(host.view(name)).toMatchObject({ state: 'established', connectionsDropped: 0 });
  });

  it.each(those('words'))('RFC 9003: $name is told why the session ends', async (kind) => {
    const { name } = kind;
    host.tell(name, { type: 'stop', subcode: 2, text: 'back at noon' });
    const said = async () => `${await daemons[name].session()}\n${daemons[name].output}`;
    await until(async () => /back at noon/.test(await said()), 10_000, `${name} does not know why`);
    for (const prefix of told(kind)) expect(host.routes.has(prefix)).toBe(false);
    host.tell(name, { type: 'start' });
    await host.established(name);
  });

  it.each(those('tells'))('RFC 9003: $name ends the session and says why', async (kind) => {
    const { name } = kind;
    await daemons[name].shutdown('gone fishing');
    await host.when(() => host.view(name).state !== 'established', 'the session stays');
    expect(host.view(name).lastErrorReceived).toMatchObject({ code: 6, subcode: 2 });
    expect(host.view(name).lastErrorReceived!.words).toMatch(/"gone fishing"/);
    for (const prefix of told(kind)) expect(host.routes.has(prefix)).toBe(false);
    await daemons[name].enable();
    await host.established(name);
  });

  it.each(PEERS)('RFC 4271 §8: $name dials, and the speaker listens', async (kind) => {
    const { name, asn } = kind;
    host.remove(name);
    await host.listen(links[name].ours);
    add(name, true);
    // Else it might wait for as long as it does after a session that has ended.
    await daemons[name].restart();
    expect((await host.established(name)).session).toMatchObject({ remoteAs: asn, dialledBy: 'peer' });
    for (const prefix of told(kind)) await host.when(() => host.routes.has(prefix), `${prefix} has not come`);
    await daemons[name].hears(OWN_PREFIXES[0]);
  });

  /** Numbers that do not fit into two octets go both ways: in AS4_PATH where one side knows no others. */
  const expectFarBothWays = async (kind: PeerKind): Promise<void> => {
    const [witness, teller] = [
      kind.name === 'gobgp' ? 'exabgp' : 'gobgp',
      kind.name === 'bird' ? 'frr' : 'bird',
    ] as const;
    const pathOf = ({ settings: { asn, prepend } }: BgpDaemon): string =>
      [OURS, asn, ...(prepend === undefined ? [] : [prepend])].join();
    await daemons[witness].hears(told(kind)[0]!, ({ path }) => path.join() === pathOf(daemons[kind.name]));
    const prefix = PEERS.filter(({ name }) => name === teller).flatMap(told)[0]!;
    const heard = ({ path }: Heard): boolean => path.join() === pathOf(daemons[teller]);
    if (kind.name !== 'frr') await daemons[kind.name].hears(prefix, heard);
    // It knows that we know them, and so leaves AS4_PATH alone.
    else await daemons.frr.hears(prefix, ({ path }) => path.join() === [OURS, AS_TRANS].join());
  };

  it.each(those('old'))('RFC 6793: $name knows AS numbers of two octets alone', async (kind) => {
    const { name, number } = kind;
    host.remove(name);
    const prepend = name === 'openbgpd' ? {} : { prepend: 4_200_000_099 };
    const asn = 65020 + number;
    add(name, true, { remoteAs: asn });
    await daemons[name].restart({ asn, twoOctetAs: true, ...prepend });
    const { session } = await host.established(name);
    expect(session!.capabilitiesReceived.map((capability) => capability.name)).not.toContain('fourOctetAs');
    await expectFarBothWays(kind);
  });

  it.each(PEERS.filter(({ can }) => !(can as readonly string[]).includes('old')))(
    'RFC 6793: we know AS numbers of two octets alone, and $name all',
    async (kind) => {
      const { name } = kind;
      host.remove(name);
      add(name, true, { fourOctetAs: false });
      await daemons[name].restart({ prepend: 4_200_000_099 });
      await host.established(name);
      await expectFarBothWays(kind);
    },
  );
});
