/** The scripted peer of `bulkhead/bgp` against daemons of others: they answer what the RFCs say, and it hears it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { dialPeer, IPV4_UNICAST, MESSAGE, type ScriptedPeer } from '../../src/bgp/index.ts';
import { fromHex } from '../../src/core/index.ts';
import { realClock, tcpTransport } from '../../src/runtime/bgp-transport.ts';
import type { BgpDaemon } from '../support/bgp-daemon.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { addr, pfx } from '../support/packets.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { OURS, type PeerKind, type PeerName, those, told } from './bgp-ends.ts';

/** Those whose errors are the RFC's to the letter. */
const SCRIPTED = those('exact');
const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', 'frr', 'bird');
const open = {
  myAs: OURS,
  identifier: 0x0a090001,
  capabilities: [
    { name: 'multiprotocol', family: IPV4_UNICAST },
    { name: 'fourOctetAs', asn: OURS },
  ],
} as const;
const TRIES = 40;

describeWithPeers('a script, and daemons of others', () => {
  const links = {} as Record<PeerName, BgpLink>;
  const daemons = {} as Record<PeerName, BgpDaemon>;

  /** Until the daemon takes a connection and opens: after an error it takes its time. */
  async function dial({ name, asn }: Pick<PeerKind, 'name' | 'asn'>): Promise<ScriptedPeer> {
    const transport = tcpTransport({ from: addr(links[name].ours), problem: (why) => expect.fail(why) });
    const to = { address: addr(links[name].theirs), port: 179 };
    let last: unknown;
    for (let i = 0; i < TRIES; i++) {
      try {
        const peer = await dialPeer(transport, to, realClock);
        await peer.expectOpen({ capabilities: [{ name: 'fourOctetAs', asn }] });
        return peer;
      } catch (error) {
        last = error;
        await new Promise<void>((resolve) => realClock.after(500, resolve));
      }
    }
    throw last;
  }

  async function established(kind: Pick<PeerKind, 'name' | 'asn'>): Promise<ScriptedPeer> {
    const peer = await dial(kind);
    peer.sendOpen(open);
    await peer.expectKeepalive();
    peer.sendKeepalive();
    return peer;
  }

  beforeAll(async () => {
    enterPrivateNetwork();
    for (const kind of SCRIPTED) {
      const link = new BgpLink(kind.number);
      links[kind.name] = link;
      daemons[kind.name] = kind.make({ link, asn: kind.asn, peerAs: OURS, announces: told(kind), passive: true });
    }
    await Promise.all(SCRIPTED.map(({ name }) => daemons[name].start()));
  });

  afterAll(async () => {
    await Promise.all(Object.values(daemons).map((each) => each.stop()));
    for (const link of Object.values(links)) link.close();
  });

  it.each(SCRIPTED)('RFC 7606 §7.1: $name tells its route, takes one, and withdraws it for ORIGIN 3', async (kind) => {
    const daemon = daemons[kind.name];
    const peer = await established(kind);
    const theirs = pfx(told(kind)[0]!);
    const update = await peer.expectUpdate({ nlri: [{ prefix: theirs }], attributes: [{ value: { name: 'asPath' } }] });
    expect(update.attributes.map(({ type }) => type)).toEqual(expect.arrayContaining([1, 2, 3]));
    const path = { name: 'asPath', segments: [{ type: 'sequence', asns: [OURS] }] } as const;
    peer.sendUpdate({
      attributes: [
        { flags: 0x40, type: 1, value: { name: 'origin', origin: 'igp' } },
        { flags: 0x40, type: 2, value: path },
        { flags: 0x40, type: 3, value: { name: 'nextHop', address: addr(links[kind.name].ours) } },
        { flags: 0xc0, type: 99, value: { name: 'unknown', value: Uint8Array.of(1) } },
      ],
      nlri: [{ prefix: pfx('198.51.100.0/24') }],
    });
    expect((await daemon.hears('198.51.100.0/24')).path).toEqual([OURS]);
    const hop = [...addr(links[kind.name].ours)].map((octet) => octet.toString(16).padStart(2, '0')).join('');
    peer.sendMessage(
      MESSAGE.UPDATE,
      fromHex(`00000014 40010103 40020602010000fdf2 400304${hop} 18c63364`.replaceAll(' ', '')),
    );
    await daemon.forgets('198.51.100.0/24');
    // The session stays; some tell back what they were told.
    peer.sendKeepalive();
    expect(await daemon.session()).toMatch(/established/i);
    peer.close(true);
  });

  it.each(SCRIPTED)('RFC 4271 §6.1: $name answers 18 octets with Bad Message Length', async (kind) => {
    const peer = await dial(kind);
    peer.sendMessage(MESSAGE.KEEPALIVE, new Uint8Array(0), { length: 18 });
    await peer.expectNotification(1, 2, Uint8Array.of(0, 18));
    await peer.expectClosed();
  });

  it.each(SCRIPTED)('RFC 4271 §6.2: $name wants another AS', async (kind) => {
    const peer = await dial(kind);
    peer.sendOpen({
      ...open,
      myAs: 65_099,
      capabilities: [open.capabilities[0], { name: 'fourOctetAs', asn: 65_099 }],
    });
    await peer.expectNotification(2, 2);
    await peer.expectClosed();
  });
});
