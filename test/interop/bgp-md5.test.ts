/**
 * RFC 2385 and RFC 5082 with the BGP daemons of others. The kernel signs and checks for them; for us it is the TCP that tenants' routers have.
 */
import { afterEach, beforeAll, expect, it } from 'vitest';
import { Secret } from '../../src/core/index.ts';
import type { TcpOptions } from '../../src/ip/index.ts';
import type { BgpDaemon, DaemonSettings } from '../support/bgp-daemon.ts';
import { BgpHost } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { TunWire } from '../support/bgp-tun.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { OURS, OWN_PREFIXES, PEERS, those, told } from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', ...PEERS.map(({ name }) => name));
const KEY = 'akeyofboth';
const signed: TcpOptions = { md5Key: Secret.fromText(KEY) };
let entered = false;

describeWithPeers.each(PEERS)('$name over our TCP', (kind) => {
  const { name, asn } = kind;
  let link: BgpLink;
  let daemon: BgpDaemon;
  let host: BgpHost;
  let wire: TunWire;

  beforeAll(() => {
    if (!entered) enterPrivateNetwork();
    entered = true;
  });
  afterEach(async () => {
    host?.kill();
    await daemon?.stop();
    link?.close();
  });

  /** The daemon is there first, so that what it says of keys is not of a lack of anybody. */
  const begin = async (tcp: TcpOptions, settings: Partial<DaemonSettings>, passive: boolean) => {
    link = new BgpLink(kind.number, { bare: true });
    host = new BgpHost(OURS, 0x0a090001, (speaker) => {
      wire = new TunWire(link, speaker, tcp);
      return wire;
    });
    host.originate(...OWN_PREFIXES);
    daemon = kind.make({ link, asn, peerAs: OURS, announces: told(kind), passive: !passive, ...settings });
    await daemon.start();
    const [remote, local] = daemon.ends;
    const other = settings.over === 6 ? link.ours : link.ours6;
    host.add({ name, remote, local, other, session: { remoteAs: asn, passive } });
  };

  const expectSession = async (dialledBy: 'us' | 'peer') => {
    expect((await host.established(name)).session).toMatchObject({ dialledBy });
    for (const prefix of told(kind)) await host.when(() => host.routes.has(prefix), `no ${prefix}`);
    for (const prefix of OWN_PREFIXES) await daemon.hears(prefix);
  };

  it.runIf(those('signed').includes(kind))('RFC 2385: both sign: IPv4, we dial', async () => {
    await begin(signed, { md5: KEY }, false);
    await expectSession('us');
    expect(wire.counters.signature).toBe(0);
  });

  it('RFC 2385: both sign: IPv6, it dials', async () => {
    await begin(signed, { over: 6, md5: KEY }, true);
    await expectSession('peer');
    expect(wire.counters.signature).toBe(0);
  });

  it('RFC 2385: with another key neither hears the other', async () => {
    await begin({ md5Key: Secret.fromText('another') }, { md5: KEY }, true);
    await host.when(() => wire.counters.signature > 0, 'nothing signed came');
    expect(host.view(name)).toMatchObject({ state: 'active', connectionsEstablished: 0 });
    expect(host.view(name).received.open).toBe(0);
  });

  const bothOf255 = async (dialledBy: 'us' | 'peer') => {
    await begin({ gtsmHops: 1 }, { gtsm: true }, dialledBy === 'peer');
    await expectSession(dialledBy);
    expect(wire.counters.hopLimit).toBe(0);
  };
  it.runIf(those('hops').includes(kind))('RFC 5082: both send 255, take nothing less: we dial', () => bothOf255('us'));
  it('RFC 5082: both send 255, take nothing less: it dials', () => bothOf255('peer'));
});
