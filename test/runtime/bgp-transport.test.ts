import { describe, expect, it } from 'vitest';
import { type OctetStream, ScriptedPeer } from '../../src/bgp/script/index.ts';
import { Session, sessionConfiguration } from '../../src/bgp/session/index.ts';
import { seededRandom } from '../../src/core/index.ts';
import { type Endpoint, parseAddress } from '../../src/ip/index.ts';
import { realClock, tcpTransport } from '../../src/runtime/bgp-transport.ts';
import { SessionHost } from '../bgp/script/host.ts';

const loopback = { address: parseAddress('127.0.0.1')!, port: 0 };
const problems: string[] = [];
const transport = tcpTransport({ problem: (why) => problems.push(why) });
const session = (passive: boolean): Session =>
  new Session(sessionConfiguration({ asn: 65001, identifier: 1, remoteAs: 65002, passive }), seededRandom(1));

describe('BGP over TCP of the host', () => {
  it('a session accepts on any port, and a peer that dials it is heard', async () => {
    const host = new SessionHost(session(true), transport, realClock, loopback);
    let stop = (): void => {};
    const at = await new Promise<Endpoint>((ready) => {
      stop = transport.accept(loopback, (stream) => host.accept(stream), ready);
    });
    host.handle({ type: 'start' });
    const stream = await new Promise<OctetStream>((up, fail) => transport.dial(at, up, fail));
    const peer = new ScriptedPeer(stream, realClock);
    await peer.establish({ myAs: 65002, identifier: 2 });
    await peer.expectNothing(20);
    expect(host.session.state).toBe('established');
    host.handle({ type: 'stop', subcode: 2, text: 'enough' });
    await peer.expectNotification(6, 2);
    expect(await peer.expectClosed()).toBe('closed by the peer');
    host.leave();
    stop();
    expect(problems).toEqual([]);
  });

  it('a session dials, and an abort of its peer ends it', async () => {
    const accepted: OctetStream[] = [];
    let wake = (): void => {};
    let stop = (): void => {};
    const at = await new Promise<Endpoint>((ready) => {
      const taken = (stream: OctetStream): void => {
        accepted.push(stream);
        wake();
      };
      stop = transport.accept(loopback, taken, ready);
    });
    const host = new SessionHost(session(false), transport, realClock, at);
    const arrived = new Promise<void>((resolve) => {
      wake = resolve;
    });
    host.handle({ type: 'start' });
    await arrived;
    const peer = new ScriptedPeer(accepted[0]!, realClock);
    await peer.establish({ myAs: 65002, identifier: 2 });
    await peer.expectNothing(20);
    expect(host.session.state).toBe('established');
    peer.close(true);
    await new Promise<void>((resolve) => realClock.after(50, resolve));
    expect(host.session.state).toBe('idle');
    expect(host.seen.at(-1)).toMatchObject({ do: 'down', retain: [] });
    host.leave();
    stop();
  });

  it('a dial that is refused says so', async () => {
    const at = await new Promise<Endpoint>((ready) => {
      const stop = transport.accept(
        loopback,
        () => {},
        (bound) => {
          stop();
          ready(bound);
        },
      );
    });
    const why = await new Promise<string>((failed, up) => transport.dial(at, up, failed));
    expect(why).toContain('ECONNREFUSED');
  });
});

it('RFC 9494 §3: a deadline as far away as a Long-Lived Stale Time can be does not come at once', async () => {
  const wakes: string[] = [];
  const cancel = realClock.after(0xff_ffff * 1000, () => wakes.push('too early'));
  await new Promise<void>((resolve) => realClock.after(30, resolve));
  cancel();
  expect(wakes).toEqual([]);
});
