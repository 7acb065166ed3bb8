/** The worker of a data plane is lost, and another takes its place: noticed soon, told once, begun afresh, and never without end. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BatchSocket } from '../../src/runtime/index.ts';
import { addr } from '../support/packets.ts';
import { requirePeers } from '../support/peers.ts';
import { HostedPlane, held, install, LOOPBACK, lend, tenant, udpSocket } from '../support/plane.ts';
import { until } from '../support/process.ts';
import { Compiled } from '../support/program.ts';

const describeWithPeers = requirePeers('linux', 'koffi');

const MAIN = 'src/runtime/worker/main.ts';
const IKE = new Uint8Array(64).fill(7).fill(0, 0, 4);

describeWithPeers('a data plane whose worker is lost', () => {
  let compiled: Compiled;
  let other: Socket;
  /** What arrived at the peer: SPI and sequence number of each packet. */
  let arrived: { readonly spi: number; readonly sequence: number }[];
  const undo: (() => unknown)[] = [];

  beforeAll(async () => {
    compiled = await Compiled.of(MAIN);
    other = createSocket('udp4');
    other.on('message', (octets) => arrived.push({ spi: octets.readUInt32BE(0), sequence: octets.readUInt32BE(4) }));
    other.bind(0, '127.0.0.1');
    await once(other, 'listening');
  }, 60_000);
  afterAll(() => {
    other.close();
    compiled.remove();
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    for (const each of undo.splice(0).reverse()) await each();
  });

  async function started(entry = compiled.url(MAIN)): Promise<HostedPlane> {
    arrived = [];
    const plane = new HostedPlane(entry);
    undo.push(() => plane.host.close());
    await plane.host.start();
    return plane;
  }

  function socket(): BatchSocket {
    const made = udpSocket();
    undo.unshift(() => made.close());
    return made;
  }

  const tell = (to: BatchSocket): Promise<unknown> =>
    new Promise((resolve) => other.send(IKE, to.local.port, '127.0.0.1', resolve));

  const ping = (sequence: number) =>
    ({
      do: 'ping',
      compartment: 1,
      request: { destination: addr('10.2.0.5'), id: 1, sequence, size: 8, timeoutMs: 50 },
    }) as const;

  it.each([
    { fault: 'wedge', why: /^stood still for \d+ ms$/ },
    { fault: 'throw', why: /^failed: broken invariant: asked to fail$/ },
    { fault: 'kill', why: /^was killed on demand$/ },
  ] as const)('is told of it within a second, and goes on with new SAs only ($fault)', async ({ fault, why }) => {
    const [plane, lent] = [await started(), socket()];
    const ways = { local: lent.local, remote: { address: LOOPBACK, port: other.address().port } };
    lend(plane.host, 1, lent);
    for (const command of tenant(1)) plane.host.command(command);
    plane.host.command(install(1, { in: 0x1001, out: 0x2001 }, ways, 100));
    for (let n = 1; n <= 5; n++) plane.host.command(ping(n));
    await until(() => arrived.length === 5);

    plane.replant = () => {
      for (const command of tenant(1)) plane.host.command(command);
      plane.host.command(install(1, { in: 0x1002, out: 0x2002 }, ways, 102));
    };
    const at = performance.now();
    plane.host.fail(fault);
    await until(() => plane.said('lost') === 1, 2000);
    expect(plane.story[0]!.at - at).toBeLessThan(1000);
    expect(plane.story[0]!.what.replace('lost: ', '')).toMatch(why);
    // Nobody is there; the next worker hears from control what holds.
    plane.host.command(ping(6));
    plane.host.send(lent.local, ways.remote, new Uint8Array(8));
    await until(() => plane.said('restarted') === 1);
    expect(plane.host.restarts).toBe(1);
    expect(plane.log).toEqual([expect.stringMatching(/^error the worker of the data plane .*: it is started anew$/)]);

    for (let n = 7; n <= 9; n++) plane.host.command(ping(n));
    await until(() => arrived.length === 8);
    expect(arrived.map(({ spi, sequence }) => [spi, sequence])).toEqual([
      ...[1, 2, 3, 4, 5].map((n) => [0x2001, n]),
      ...[1, 2, 3].map((n) => [0x2002, n]),
    ]);
    // Attached once: one datagram is one event.
    const before = plane.count('ike');
    await tell(lent);
    await until(() => plane.count('ike') > before);
    await pause(50);
    expect(plane.count('ike')).toBe(before + 1);
  });

  it('descriptors are let go of when the thread is gone, and what is attached meanwhile is attached once', async () => {
    const [plane, first, second] = [await started(), udpSocket(), socket()];
    lend(plane.host, 1, first);
    plane.host.fail('wedge');
    const at = performance.now();
    let gone = 0;
    const detached = plane.host.detachSocket(1).then(() => {
      gone = performance.now() - at;
    });
    await until(() => plane.said('lost') === 1);
    await detached;
    expect(gone).toBeGreaterThan(500);
    expect(gone).toBeLessThan(1000);
    await first.close();
    lend(plane.host, 2, second);
    await until(() => plane.said('restarted') === 1);
    await tell(second);
    await until(() => plane.count('ike') === 1);
    await plane.host.detachSocket(2);
    // Twice attached it would be polled on, found invalid, and found again at once.
    await second.close();
    const before = process.cpuUsage();
    await pause(400);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(200);
    expect(plane.count('ike')).toBe(1);
  });

  it('what the old worker had heard of is heard', async () => {
    const [plane, lent] = [await started(), socket()];
    lend(plane.host, 1, lent);
    for (let i = 0; i < 20; i++) await tell(lent);
    // The worker hears all, and the main thread nothing of it yet.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    plane.host.fail('throw');
    await until(() => plane.said('restarted') === 1);
    await until(() => plane.count('ike') === 20);
  });

  it('a worker that takes long to start is given the time, the first and the next', async () => {
    const main = JSON.stringify(compiled.url(MAIN).href);
    const slow = `await new Promise((resolve) => setTimeout(resolve, 900)); await import(${main});`;
    const plane = await started(new URL(`data:text/javascript,${encodeURIComponent(slow)}`));
    plane.host.fail('throw');
    await until(() => plane.said('restarted') === 1, 5000);
    expect(plane.host.restarts).toBe(1);
  });

  it('a main thread that was late itself does not complain', async () => {
    const plane = await started();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    await pause(400);
    expect(plane.story).toEqual([]);
  });

  it('a worker that is lost again and again comes at once three times, then after pauses that grow', async () => {
    const plane = await started();
    vi.stubEnv('BULKHEAD_NO_KOFFI', '1');
    plane.host.fail('throw');
    await until(() => plane.said('lost') === 4, 5000);
    const turns: number[] = [];
    const counting = setInterval(() => turns.push(performance.now()), 10);
    await until(() => plane.said('lost') === 5, 5000);
    clearInterval(counting);
    // The main thread had its turns all the time.
    expect(turns.length).toBeGreaterThan(40);
    const [, , third, fourth, fifth] = plane.story.map(({ at }) => at);
    expect(fourth! - third!).toBeLessThan(1000);
    expect(fifth! - fourth!).toBeGreaterThanOrEqual(1000);
    expect(plane.log.at(-1)).toMatch(/failed: koffi is switched off .*: it is started anew in 2 s$/);
    vi.unstubAllEnvs();
    await until(() => plane.said('restarted') === 1, 5000);
    expect(plane.host.restarts).toBe(5);
  });

  describe('ends in bounded time, and says nothing more', () => {
    it.each([
      { when: 'it stands still', most: 1800, before: async (plane: HostedPlane) => plane.host.fail('wedge') },
      { when: 'it has just been killed', most: 1200, before: async (plane: HostedPlane) => plane.host.fail('kill') },
      {
        when: 'the next one starts',
        most: 1800,
        before: async (plane: HostedPlane) => {
          plane.host.fail('kill');
          await until(() => plane.said('lost') === 1);
          await pause(20);
        },
      },
      {
        when: 'the next one is waited for',
        most: 100,
        before: async (plane: HostedPlane) => {
          vi.stubEnv('BULKHEAD_NO_KOFFI', '1');
          plane.host.fail('kill');
          await until(() => plane.said('lost') === 4, 5000);
        },
      },
    ])('$when', async ({ before, most }) => {
      const descriptors = held().descriptors;
      const [plane, lent] = [await started(), socket()];
      lend(plane.host, 1, lent);
      await before(plane);
      const said = plane.story.length;
      const at = performance.now();
      const detached = plane.host.detachSocket(1);
      await Promise.all([plane.host.close(), plane.host.close(), detached]);
      expect(performance.now() - at).toBeLessThan(most);
      // Whoever calls now is not heard, least of all by a descriptor that has another owner meanwhile.
      plane.host.command(ping(1));
      plane.host.send(lent.local, lent.local, IKE);
      lend(plane.host, 2, lent);
      plane.host.fail('kill');
      await plane.host.detachSocket(2);
      await pause(100);
      expect(plane.story.length).toBe(said);
      await lent.close();
      expect(held().descriptors).toBeLessThanOrEqual(descriptors + 2);
    });
  });

  it('many lives leave nothing behind', async () => {
    const before = held();
    for (let i = 0; i < 8; i++) {
      const plane = await started();
      plane.host.fail(i % 2 === 0 ? 'kill' : 'throw');
      await until(() => plane.said('restarted') === 1);
      await plane.host.close();
    }
    const after = held();
    expect(after.descriptors).toBeLessThanOrEqual(before.descriptors + 2);
    expect(after.threads).toBeLessThanOrEqual(before.threads + 4);
  });
});
