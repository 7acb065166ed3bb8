/** A NAT box between the ends, which hides first Bulkhead and then strongSwan, and forgets. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Bulkhead } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import { bulkheadEnd, flood, oneOfEach, swanEnd } from './ends.ts';

const NEEDS = ['linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'nft', 'tcpdump', 'ping'] as const;
const describeWithPeers = requirePeers(...NEEDS);

const NOTHING_LOST = { lost: [], doubled: 0 };

const BOTH = [{ who: 'Bulkhead' }, { who: 'strongSwan' }] as const;

/** First the Child SA, then the IKE SA. */
async function rekeyBoth(who: (typeof BOTH)[number]['who'], gateway: Bulkhead, swan: Strongswan): Promise<void> {
  const before = await gateway.connection();
  const rekey = async (what: 'child' | 'ike'): Promise<void> => {
    if (who === 'strongSwan') await swan.rekey(what === 'ike' ? { ike: 's2s' } : { child: 'net' });
    else {
      const words = ['connections', 'rekey', 'hq', '--what', what, '--wait', '10'];
      expect(await gateway.cli(...words)).toMatchObject([{ outcome: 'done' }]);
    }
  };
  await rekey('child');
  await gateway.when((c) => c.childSas.some((sa) => sa.state === 'active' && sa.spiIn !== before.childSas[0]?.spiIn));
  await rekey('ike');
  await gateway.when((c) => c.ikeSas.length === 1 && c.ikeSas[0]!.spiI !== before.ikeSas[0]!.spiI);
}

describeWithPeers('Bulkhead behind NAT', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology({ nat: true, natTimeouts: { unreplied: 30, replied: 60 } });
    const theirs = { remoteAddress: '%any', localId: 'b.example', remoteId: 'a.example' };
    swan = await Strongswan.start(network, 'gwB', swanEnd(theirs, { lines: ['delete_rekeyed_delay = 1'] }));
    const ours = { local: { id: 'a.example' }, remote: { address: ADDRESSES.gwB, id: 'b.example' }, dpdSeconds: 2 };
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd({ ...ours, start: 'demand' }));
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  const seen = async () => (await swan.established())[0];

  it('RFC 7296 §2.23: NAT is detected, and both ends go on with port 4500', async () => {
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2)).toBe(2);
    const { ikeSas, childSas } = await gateway.connection();
    // libipsec pretends to be behind NAT itself.
    expect(ikeSas.map(({ nat }) => nat)).toEqual(['both']);
    expect([ikeSas[0]?.local, ikeSas[0]?.remote]).toEqual([`${ADDRESSES.gwA}:4500`, `${ADDRESSES.gwB}:4500`]);
    expect(childSas.map(({ carrier }) => carrier)).toEqual(['udp']);
    const sa = await seen();
    expect(sa).toMatchObject({ remoteHost: ADDRESSES.inetB, natRemote: true, localPort: 4500 });
    expect(sa?.remotePort).toBeGreaterThanOrEqual(20_000);
  });

  it.each(BOTH)('RFC 7296 §2.8: $who rekeys both SAs through NAT, no packet is lost', async ({ who }) => {
    expect(await flood(network, () => rekeyBoth(who, gateway, swan))).toMatchObject(NOTHING_LOST);
    await oneOfEach(swan);
    expect((await gateway.ikeSas()).map(({ nat }) => nat)).toEqual(['both']);
  });

  it('RFC 7296 §2.23: the NAT box forgets; our liveness check shows strongSwan the new mapping', async () => {
    const before = await seen();
    network.renat();
    await until(async () => (await seen())?.remotePort !== before?.remotePort, 15_000, 'strongSwan does not follow');
    expect(await network.ping('hostA', ADDRESSES.hostB, 3)).toBe(3);
    expect(await network.ping('hostB', ADDRESSES.hostA, 3)).toBe(3);
    expect((await seen())?.spiI).toBe(before?.spiI);
  });

  it('RFC 3948 §4: when nothing else is sent, a keepalive goes out after 20 s', async () => {
    await gateway.reload(
      bulkheadEnd({
        local: { id: 'a.example' },
        remote: { address: ADDRESSES.gwB, id: 'b.example' },
        dpdSeconds: 0,
        start: 'demand',
      }),
    );
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    const filter = 'src host 192.0.2.1 and udp dst port 4500 and udp[4:2] = 9 and udp[8] = 0xff';
    const watcher = network.start('inet', 'tcpdump', ['-l', '-n', '-i', 'toA', filter]);
    try {
      await watcher.line(/192\.0\.2\.1\.4500 > 198\.51\.100\.1\.4500: isakmp-nat-keep-alive/, 30_000);
    } finally {
      await watcher.stop();
    }
    expect(await network.ping('hostB', ADDRESSES.hostA, 1)).toBe(1);
  });
});

describeWithPeers('strongSwan behind NAT', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology({ nat: true, natTimeouts: { unreplied: 30, replied: 60 } });
    const ours = { local: { id: 'b.example' }, remote: { address: 'any', id: 'a.example' }, start: 'listen' as const };
    gateway = await Bulkhead.start(network, 'gwB', bulkheadEnd(ours, {}, 'B'));
    const theirs = { localId: 'a.example', remoteId: 'b.example' };
    swan = await Strongswan.start(network, 'gwA', swanEnd(theirs, { lines: ['delete_rekeyed_delay = 1'] }, 'A'));
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  it('RFC 7296 §2.23: a peer from any address and port is answered where it came from', async () => {
    expect((await swan.initiate()).code).toBe(0);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2)).toBe(2);
    const { ikeSas } = await gateway.connection();
    expect(ikeSas).toMatchObject([{ nat: 'remote', role: 'responder', local: `${ADDRESSES.gwB}:4500` }]);
    expect(ikeSas[0]?.remote).toMatch(/^198\.51\.100\.254:2\d{4}$/);
  });

  it.each(BOTH)('RFC 7296 §2.8: $who rekeys both SAs through NAT, no packet is lost', async ({ who }) => {
    expect(await flood(network, () => rekeyBoth(who, gateway, swan))).toMatchObject(NOTHING_LOST);
    await oneOfEach(swan);
    expect((await gateway.ikeSas()).map(({ nat }) => nat)).toEqual(['remote']);
  });

  it('RFC 7296 §2.23: the NAT box forgets; Bulkhead follows the first ESP packet from the new port', async () => {
    const [before] = await gateway.ikeSas();
    network.renat();
    expect(await network.ping('hostA', ADDRESSES.hostB, 3)).toBe(3);
    const [after] = await gateway.ikeSas();
    expect([after?.spiI, after?.remote === before?.remote]).toEqual([before?.spiI, false]);
    await gateway.logged(/peer moved from 198\.51\.100\.254:\d+ to 198\.51\.100\.254:\d+/);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2)).toBe(2);
    expect(await gateway.cli('connections', 'rekey', 'hq', '--wait', '10')).toMatchObject([{ outcome: 'done' }]);
  });
});
