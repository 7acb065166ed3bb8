/** The scripted peer over TCP of the host, and the example that uses it, against a whole speaker. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  compilePolicy,
  dialPeer,
  IPV4_UNICAST,
  listenForPeers,
  MESSAGE,
  type OctetStream,
  Speaker,
  type SpeakerEvent,
  sessionConfiguration,
} from '../../src/bgp/index.ts';
import { fromHex, seededRandom } from '../../src/core/index.ts';
import { type Endpoint, formatAddress, parseAddress, parsePrefix } from '../../src/ip/index.ts';
import { realClock, tcpTransport } from '../../src/runtime/bgp-transport.ts';

const loopback = parseAddress('127.0.0.1')!;
const transport = tcpTransport({ problem: (why) => expect.fail(why) });
const open = { myAs: 65002, identifier: 2, capabilities: [{ name: 'multiprotocol', family: IPV4_UNICAST }] } as const;

/** A speaker that one peer of AS 65002 may dial, with 203.0.113.0/24 of its own. */
class Host {
  readonly speaker = new Speaker({ localAs: 65001, routerId: 1 }, seededRandom(1));
  readonly logged: string[] = [];
  at: Endpoint = { address: loopback, port: 0 };
  readonly #streams = new Map<number, OctetStream>();
  #stop = (): void => {};
  #cancel = (): void => {};
  #accepted = 0;

  async begin(): Promise<void> {
    const session = sessionConfiguration({ asn: 65001, identifier: 1, remoteAs: 65002, passive: true });
    const all = compilePolicy('all');
    if (!all.ok) throw new Error('all is a policy');
    const { policy } = all;
    this.handle({ type: 'add-peer', peer: { name: 'script', session, import: policy, export: policy } });
    this.handle({ type: 'session', peer: 'script', event: { type: 'start' } });
    this.speaker.originate(parsePrefix('203.0.113.0/24')!, { why: 'a test' });
    this.at = await new Promise((ready) => {
      this.#stop = transport.accept(this.at, (stream) => this.#accept(stream), ready);
    });
  }

  end(): void {
    this.#stop();
    this.#cancel();
    for (const stream of this.#streams.values()) stream.close(true);
  }

  handle(event: SpeakerEvent): void {
    for (const action of this.speaker.handle(event, realClock.now())) {
      if (action.do === 'log') this.logged.push(`${action.event}: ${action.why}`);
      if (action.do !== 'session') continue;
      const stream = this.#streams.get(action.action.connection);
      if (action.action.do === 'send') stream?.write(action.action.octets);
      if (action.action.do === 'close') stream?.close(action.action.abort);
    }
    this.#cancel();
    const due = this.speaker.deadline();
    if (due === undefined) return;
    this.#cancel = realClock.after(Math.max(0, due.at - realClock.now()), () => this.handle({ type: 'tick' }));
  }

  #accept(stream: OctetStream): void {
    const connection = ++this.#accepted;
    const tell = (event: Extract<SpeakerEvent, { type: 'session' }>['event']): void =>
      this.handle({ type: 'session', peer: 'script', event });
    this.#streams.set(connection, stream);
    const { local, remote } = stream;
    tell({ type: 'connected', connection, direction: 'in', local, remote });
    stream.attach({
      octets: (octets) => tell({ type: 'received', connection, octets }),
      closed: (why) => tell({ type: 'closed', connection, why }),
      drained: (queued) => tell({ type: 'drained', connection, queued }),
    });
  }
}

describe('a script over TCP', () => {
  let host: Host;
  beforeEach(async () => {
    host = new Host();
    await host.begin();
  });
  afterEach(() => host.end());

  it('opens in pieces, is told the table, and is heard', async () => {
    const peer = await dialPeer(transport, host.at, realClock);
    await peer.expectOpen({ myAs: 65001, identifier: 1 });
    peer.sendInPieces(fromHex(`${'ff'.repeat(16)}001d0104fdea005a0000000200`), [1, 17, 3]);
    peer.settle({ ...open, kind: 'open', version: 4, holdSeconds: 90, capabilities: [] });
    await peer.expectKeepalive();
    peer.sendKeepalive();
    const [table] = await peer.expectEndOfRib();
    // No view of what the socket has read, but octets of its own.
    expect(table!.nlri[0]!.prefix.address.constructor).toBe(Uint8Array);
    expect(table).toMatchObject({ nlri: [{ prefix: { address: Uint8Array.of(203, 0, 113, 0), length: 24 } }] });
    // ORIGIN 3 is withdrawn, and the session stays (RFC 7606 §7.1).
    peer.sendMessage(MESSAGE.UPDATE, fromHex('0000000e 40010103 400200 400304 7f000001 18c63364'.replaceAll(' ', '')));
    await peer.expectNothing(50);
    expect(host.logged.at(-1)).toMatch(/^treated as withdraw: /);
    peer.sendNotification(6, 4);
    expect(await peer.expectClosed()).toBe('closed by the peer');
  });

  it('gets the NOTIFICATION that its octets deserve', async () => {
    const wrong = await dialPeer(transport, host.at, realClock);
    await wrong.expectOpen();
    wrong.sendMessage(MESSAGE.KEEPALIVE, new Uint8Array(0), { marker: new Uint8Array(16) });
    await wrong.expectNotification(1, 1);
    await wrong.expectClosed();
  });

  it('is dialled, by whoever', async () => {
    const listener = await listenForPeers(transport, { address: loopback, port: 0 }, realClock);
    const caller = await dialPeer(transport, listener.at, realClock);
    const called = await listener.next();
    caller.sendOpen(open);
    await called.expectOpen({ myAs: 65002, capabilities: [{ name: 'multiprotocol' }] });
    listener.close();
    caller.close();
    await called.expectClosed();
  });

  it('says why nobody is there', async () => {
    const listener = await listenForPeers(transport, { address: loopback, port: 0 }, realClock);
    listener.close();
    await expect(dialPeer(transport, listener.at, realClock)).rejects.toThrow('ECONNREFUSED');
  });
});

describe('examples/bgp-script.js', () => {
  const host = new Host();
  beforeEach(() => host.begin());
  afterEach(() => host.end());

  it('asks a speaker three things, from the package as it is published', async () => {
    const { port, address } = host.at;
    const root = new URL('../..', import.meta.url).pathname;
    const args = ['examples/bgp-script.js', formatAddress(address), `${port}`, '65002'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root });
    expect(stdout.trim().split('\n')).toEqual([
      'AS 65001 is established, hold time 90 s',
      'it has told all it has, and takes an attribute that nobody knows',
      'it answers 18 octets with Bad Message Length, and ends: closed by the peer',
    ]);
    expect(host.speaker.rib.explain(parsePrefix('198.51.100.0/24')!)).toEqual([]);
  });
});
