/** RFC 4724 between a speaker of ours and daemons of others, either of which is killed: routes stay as stale, and go when they are not told again. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { IPV4_UNICAST, IPV6_UNICAST, type SessionConfiguration } from '../../src/bgp/index.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { BgpPair, PEERS, those, told } from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', ...PEERS.map(({ name }) => name));

const graceful = (restarting: boolean): Partial<SessionConfiguration> => ({
  gracefulRestart: {
    restartSeconds: 20,
    restarting,
    notification: true,
    families: [IPV4_UNICAST, IPV6_UNICAST].map((family) => ({ family, forwarding: true })),
    longLived: [],
  },
});
/** Not told again after a restart. */
const FORGOTTEN = ['10.98.0.0/16', '2001:db8:98::/48'];

describeWithPeers('graceful restart', () => {
  const pairs = new Map<string, BgpPair>();

  beforeAll(async () => {
    enterPrivateNetwork();
    const settings = { gracefulSeconds: 20 };
    for (const kind of PEERS)
      pairs.set(kind.name, await BgpPair.start(kind, { ...settings, announces: [...told(kind), ...FORGOTTEN] }));
  });
  afterAll(() => Promise.all([...pairs.values()].map((pair) => pair.close())));

  it.each(those('restarts'))(
    '$name is killed and comes back: what it tells again was never lost, the rest goes',
    async (kind) => {
      const { name } = kind;
      const pair = pairs.get(name)!;
      const host = pair.begin(graceful(false));
      await host.established(name);
      for (const prefix of [...told(kind), ...FORGOTTEN])
        await host.when(() => host.routes.has(prefix), `${prefix} has not come`);
      await pair.daemon.kill();
      for (const prefix of [...told(kind), ...FORGOTTEN]) {
        await host.when(() => host.paths(prefix).includes(`${name} stale`), `${prefix} is not stale`);
        expect(host.routes.has(prefix)).toBe(true);
      }
      await pair.daemon.restart({ announces: told(kind) });
      await host.established(name);
      for (const prefix of told(kind))
        await host.when(() => host.paths(prefix).join() === name, `${prefix} stays stale`);
      for (const prefix of FORGOTTEN) await host.when(() => host.paths(prefix).length === 0, `${prefix} stays`);
      expect([...host.lost].sort()).toEqual([...FORGOTTEN].sort());
    },
  );

  it.each(those('helps'))(
    'we are killed and come back: $name keeps what we tell again, and forgets the rest',
    async ({ name }) => {
      const pair = pairs.get(name)!;
      const [kept, forgotten] = [
        ['10.77.0.0/16', '2001:db8:77::/48'],
        ['10.78.0.0/16', '2001:db8:78::/48'],
      ];
      pair.begin(graceful(false));
      await pair.host.established(name);
      pair.host.originate(...forgotten!);
      for (const prefix of [...kept!, ...forgotten!]) await pair.daemon.hears(prefix);
      pair.host.kill();
      for (const prefix of [...kept!, ...forgotten!]) await pair.daemon.hears(prefix, ({ stale }) => stale);
      pair.begin(graceful(true));
      await pair.host.established(name);
      for (const prefix of kept!) await pair.daemon.hears(prefix, ({ stale }) => !stale);
      for (const prefix of forgotten!) await pair.daemon.forgets(prefix);
    },
  );

  it.each(those('restarts'))('$name never comes back: after its restart time everything of it goes', async (kind) => {
    const pair = pairs.get(kind.name)!;
    await pair.daemon.restart({ gracefulSeconds: 1 });
    const host = pair.begin(graceful(false));
    await host.established(kind.name);
    for (const prefix of told(kind)) await host.when(() => host.routes.has(prefix), `${prefix} has not come`);
    await pair.daemon.kill();
    for (const prefix of told(kind))
      await host.when(() => host.paths(prefix).includes(`${kind.name} stale`), `${prefix} is not stale`);
    for (const prefix of told(kind)) await host.when(() => host.paths(prefix).length === 0, `${prefix} stays`);
    expect(host.log.join('\n')).toMatch(/stale routes removed/);
  });
});
