import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST, MESSAGE } from '../../../src/bgp/message/index.ts';
import {
  dialPeer,
  listenForPeers,
  MemoryTransport,
  type ScriptedPeer,
  VirtualClock,
} from '../../../src/bgp/script/index.ts';
import { Session, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, fromHex, seededRandom } from '../../../src/core/index.ts';
import { parseAddress } from '../../../src/ip/index.ts';
import { SessionHost } from './host.ts';

const at = { address: parseAddress('192.0.2.1')!, port: 179 };
const peerAt = { address: parseAddress('192.0.2.2')!, port: 179 };
const open = { myAs: 65002, identifier: 2 } as const;

/** A session that is dialled by the script, or dials it. */
class Scene {
  readonly clock = new VirtualClock();
  readonly transport = new MemoryTransport(this.clock, 10);
  readonly host: SessionHost;

  constructor(changes: Partial<SessionConfiguration> = {}) {
    const settings = { asn: 65001, identifier: 1, remoteAs: 65002, passive: true, ...changes };
    this.host = new SessionHost(
      new Session(sessionConfiguration(settings), seededRandom(1)),
      this.transport,
      this.clock,
      peerAt,
    );
    this.host.listen(at);
  }

  async run(script: (scene: Scene) => Promise<void>): Promise<void> {
    this.host.handle({ type: 'start' });
    await this.clock.drive(script(this));
    this.host.leave();
  }

  dial(): Promise<ScriptedPeer> {
    return dialPeer(this.transport, at, this.clock);
  }

  /** The next connection that the session dials. */
  async dialled(): Promise<ScriptedPeer> {
    const listener = await listenForPeers(this.transport, peerAt, this.clock);
    const peer = await listener.next();
    listener.close();
    return peer;
  }
}

const script = (changes: Partial<SessionConfiguration>, run: (scene: Scene) => Promise<void>) => () =>
  new Scene(changes).run(run);

describe('a scripted peer', () => {
  it(
    'expects an OPEN, opens, and is expected to keep alive',
    script({}, async (scene) => {
      const peer = await scene.dial();
      const theirs = await peer.expectOpen({ myAs: 65001, capabilities: [{ name: 'multiprotocol' }] });
      expect(theirs.holdSeconds).toBe(90);
      peer.sendOpen({ ...open, holdSeconds: 30 });
      await peer.expectKeepalive();
      peer.sendKeepalive();
      await peer.expectNothing(29_000);
      expect(scene.host.session.state).toBe('established');
      await peer.expectNotification(4, 0);
      expect(await peer.expectClosed()).toBe('closed by the peer');
    }),
  );

  it(
    'is dialled as well, and dials while it is',
    script({ passive: false }, async (scene) => {
      const peer = await scene.dialled();
      await peer.establish(open);
      const second = await scene.dial();
      await second.expectOpen();
      second.sendOpen(open);
      await second.expectNotification(6, 7);
      await second.expectClosed();
      await peer.expectNothing(1_000);
    }),
  );

  it(
    'sends octets that no record has, in segments of any length',
    script({}, async (scene) => {
      const peer = await scene.dial();
      await peer.expectOpen();
      peer.sendInPieces(fromHex(`${'ff'.repeat(16)}001d0104fdea005a0000000200`), [1, 15, 3, 9]);
      await peer.expectKeepalive();
      peer.sendMessage(MESSAGE.KEEPALIVE, new Uint8Array(0), { length: 18 });
      await peer.expectNotification(1, 2, Uint8Array.of(0, 18));
      await peer.expectClosed();
    }),
  );

  it(
    'sends markers that are wrong',
    script({}, async (scene) => {
      const peer = await scene.dial();
      await peer.expectOpen();
      peer.sendMessage(MESSAGE.KEEPALIVE, new Uint8Array(0), { marker: new Uint8Array(16) });
      await peer.expectNotification(1, 1);
    }),
  );

  it(
    'sends UPDATEs of its own and expects those of the tables, by what matters of them',
    script({}, async (scene) => {
      const peer = await scene.dial();
      await peer.establish(open);
      peer.sendUpdate({ attributes: [{ flags: 0xc0, type: 99, value: { name: 'unknown', value: Uint8Array.of(1) } }] });
      peer.sendUpdate({});
      await peer.expectNothing(100);
      const updates = scene.host.seen.flatMap((a) => (a.do === 'update' ? [a.octets.length] : []));
      expect(updates).toEqual([27, 23]);
      scene.host.handle({ type: 'transmit', octets: update() });
      await peer.expectUpdate({ nlri: [{ prefix: { length: 24 } }], attributes: [{ value: { name: 'origin' } }] });
    }),
  );

  it(
    'says why what came is unreadable',
    script({}, async (scene) => {
      const peer = await scene.dial();
      await peer.establish(open);
      await peer.expectNothing(100);
      const bare = fromHex(`${'ff'.repeat(16)}00190200000000080a`);
      scene.host.handle({ type: 'transmit', octets: bare });
      const missing = 'unreadable: ORIGIN: missing; AS_PATH: missing; NEXT_HOP: missing: ffff';
      expect(await peer.expectClosed()).toMatch(missing);
    }),
  );

  it(
    'says what came where something else was expected, or that nothing did',
    script({}, async (scene) => {
      const peer = await scene.dial();
      await expect(peer.expectNotification(6, 2)).rejects.toThrow(
        /expected notification like .*, came .*"kind":"open"/,
      );
      await expect(peer.expectUpdate()).rejects.toThrow('expected update like {}, came nothing for 5000 ms');
      peer.send(fromHex('00'.repeat(19)));
      await expect(peer.expectNothing(1_000)).rejects.toThrow(/expected nothing, came .*"code":1/);
    }),
  );

  it(
    'says so when nobody dials, and when nobody is where it dials',
    script({ passive: true }, async (scene) => {
      const listener = await listenForPeers(scene.transport, peerAt, scene.clock, { patience: 300 });
      await expect(listener.next()).rejects.toThrow('expected to be dialled, came nothing for 300 ms');
      listener.close();
      await expect(dialPeer(scene.transport, peerAt, scene.clock)).rejects.toThrow('came connection refused');
    }),
  );

  it(
    'is dialled by several, in their order',
    script({}, async (scene) => {
      const listener = await listenForPeers(scene.transport, peerAt, scene.clock);
      const callers = [
        await dialPeer(scene.transport, peerAt, scene.clock),
        await dialPeer(scene.transport, peerAt, scene.clock),
      ];
      const [first, second] = [await listener.next(), await listener.next()];
      callers[0]!.sendNotification(6, 2);
      callers[1]!.sendNotification(6, 4);
      await first.expectNotification(6, 2);
      await second.expectNotification(6, 4);
      listener.close();
    }),
  );

  it(
    'asks for routes again',
    script({ families: [IPV4_UNICAST] }, async (scene) => {
      const peer = await scene.dial();
      await peer.establish({ ...open, capabilities: [{ name: 'routeRefresh' }] });
      peer.sendMessage(MESSAGE.ROUTE_REFRESH, fromHex('00010001'));
      await peer.expectNothing(100);
      expect(scene.host.seen).toContainEqual({ do: 'refresh', family: IPV4_UNICAST, subtype: 0 });
    }),
  );
});

/** ORIGIN, an empty AS_PATH, NEXT_HOP 192.0.2.1 and 198.51.100.0/24, from a speaker of two octets. */
function update(): Bytes {
  const body = '0000 000e 40010100 400200 400304c0000201 18c63364'.replaceAll(' ', '');
  return fromHex(`${'ff'.repeat(16)}0029 02 ${body}`);
}
