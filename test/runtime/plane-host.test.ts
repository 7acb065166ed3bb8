/** A worker that hosts a data plane, from its start to its end: orders, news, who waits for whom, and what is given back. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SA_CELL } from '../../src/esp/index.ts';
import { buildIcmpEcho, DROP, PacketPool } from '../../src/ip/index.ts';
import { GRE_IN_UDP_PORT } from '../../src/nvgre/index.ts';
import { type BatchSocket, openNativeUdp, Planes, requireSyscalls } from '../../src/runtime/index.ts';
import { addr, describePacket } from '../support/packets.ts';
import { requirePeers } from '../support/peers.ts';
import {
  brittleDevice,
  HostedPlane,
  held,
  install,
  LOOPBACK,
  lend,
  lendDevice,
  tenant,
  udpSocket,
  Wire,
} from '../support/plane.ts';
import { until } from '../support/process.ts';
import { Compiled } from '../support/program.ts';

const describeWithPeers = requirePeers('linux', 'koffi');

const MAIN = 'src/runtime/worker/main.ts';
/** An IKE message as far as the data plane looks: a non-ESP marker and more. */
const IKE = new Uint8Array(64).fill(7).fill(0, 0, 4);

/** So that the event loop stands still. */
const sleep = (milliseconds: number): void =>
  void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

describeWithPeers('a data plane in a worker', () => {
  let compiled: Compiled;
  const undo: (() => unknown)[] = [];

  beforeAll(async () => {
    compiled = await Compiled.of(MAIN);
  }, 60_000);
  afterAll(() => compiled.remove());
  afterEach(async () => {
    for (const each of undo.splice(0).reverse()) await each();
    vi.unstubAllEnvs();
  });

  async function started(packets?: number): Promise<HostedPlane> {
    const plane = new HostedPlane(compiled.url(MAIN), packets);
    undo.push(() => plane.host.close());
    await plane.host.start();
    return plane;
  }

  function socket(): BatchSocket {
    const made = udpSocket();
    undo.unshift(() => made.close());
    return made;
  }

  function wire(): Wire {
    const made = new Wire();
    undo.unshift(() => made.close());
    return made;
  }

  /** A peer on loopback that keeps what it gets. */
  async function peer(): Promise<{ readonly socket: Socket; readonly port: number; readonly got: Buffer[] }> {
    const made = createSocket('udp4');
    const got: Buffer[] = [];
    made.on('message', (octets) => got.push(octets));
    made.bind(0, '127.0.0.1');
    await once(made, 'listening');
    undo.push(() => made.close());
    return { socket: made, port: made.address().port, got };
  }

  const tell = (from: Awaited<ReturnType<typeof peer>>, to: BatchSocket, octets: Uint8Array = IKE): Promise<unknown> =>
    new Promise((resolve) => from.socket.send(octets, to.local.port, '127.0.0.1', resolve));

  const ping = (compartment: number, sequence: number, timeoutMs = 50) =>
    ({
      do: 'ping',
      compartment,
      request: { destination: addr('10.2.0.5'), id: 1, sequence, size: 8, timeoutMs },
    }) as const;

  it('runs when it has started, is named, and gives everything back at the end', async () => {
    const before = held().descriptors;
    const plane = await started();
    expect(plane.host.engine).not.toBe('');
    expect(plane.host.restarts).toBe(0);
    const at = performance.now();
    await plane.host.close();
    await plane.host.close();
    expect(performance.now() - at).toBeLessThan(500);
    // The first load of koffi opens what stays.
    expect(held().descriptors).toBeLessThanOrEqual(before + 2);
    expect(plane.story).toEqual([]);
  });

  it('hears IKE messages, and sends those of control', async () => {
    const [plane, lent, other] = [await started(), socket(), await peer()];
    lend(plane.host, 1, lent);
    await tell(other, lent);
    await until(() => plane.count('ike') === 1);
    const remote = { address: LOOPBACK, port: other.port };
    expect(plane.events[0]).toEqual({ type: 'ike', local: lent.local, remote, octets: IKE.subarray(4) });
    plane.host.send(lent.local, remote, Uint8Array.of(1, 2, 3));
    await until(() => other.got.length === 1);
    expect([...other.got[0]!]).toEqual([1, 2, 3]);
  });

  it('RFC 8086: GRE in UDP comes to the data plane, and its port is free again when it is taken back', async () => {
    const [plane, other] = [await started(), await peer()];
    const planes = new Planes(requireSyscalls(), [plane.host], new PacketPool(8, 65535));
    // No other test has it.
    const local = addr('127.0.0.47');
    for (let round = 1; round <= 2; round++) {
      const lent = planes.lendUnderlay(0, { kind: 'udp-gre', local, flowPorts: true, offload: {} });
      await new Promise((resolve) => other.socket.send(new Uint8Array(50), GRE_IN_UDP_PORT, '127.0.0.47', resolve));
      // There is no virtual switch here.
      await until(() => plane.drops(DROP.linkDown) === round);
      await lent.close();
    }
  });

  const echo = (sequence: number, size = 8): Uint8Array => {
    const ends = { source: addr('10.1.0.2'), destination: addr('10.2.0.2') };
    return buildIcmpEcho({ ...ends, type: 'request', identifier: 9, sequence }, new Uint8Array(size));
  };

  it('an order given before a packet was sent holds for that packet', async () => {
    const [plane, a, b] = [await started(), socket(), socket()];
    const [near, far] = [wire(), wire()];
    lend(plane.host, 1, a);
    lend(plane.host, 2, b);
    near.lend(plane.host, 1);
    far.lend(plane.host, 2);
    // From the host behind one tenant's tunnel to the host behind the other's, always under the newest SA.
    for (const command of [...tenant(1), ...tenant(2, '10.2.0.1', '10.1.0.0')]) plane.host.command(command);
    const [out, back] = [
      { local: a.local, remote: b.local },
      { local: b.local, remote: a.local },
    ];
    const packets = 50;
    for (let n = 1; n <= packets; n++) {
      plane.host.command(install(2, { in: 0x2000 + n, out: 0x1000 + n }, back, 1000 + 2 * n));
      plane.host.command(install(1, { in: 0x1000 + n, out: 0x2000 + n }, out, 100 + 2 * n));
      near.send(echo(n));
      if (n % 10 === 0) await pause(5);
    }
    const words: string[] = [];
    await until(() => {
      const packet = far.receive();
      if (packet !== undefined) words.push(describePacket(packet));
      return words.length === packets;
    });
    expect(words).toEqual(words.map((_, i) => `IPv4 10.1.0.2 > 10.2.0.2 ICMP echo request id 9 seq ${i + 1} (36)`));
    expect(plane.count('acquire')).toBe(0);
    // None went under an SA older than its own.
    let carried = 0;
    for (let n = 1; n <= packets; n++) {
      carried += plane.cells.at(100 + 2 * n + 1)[SA_CELL.packets]!;
      expect(carried).toBeLessThanOrEqual(n);
    }
    expect(carried).toBe(packets);
  });

  it('takes 4,000 SAs at once, more than the ring holds, in their order, and goes on meanwhile', async () => {
    const [plane, a, other] = [await started(), socket(), await peer()];
    lend(plane.host, 1, a);
    for (const command of tenant(1)) plane.host.command(command);
    const ways = { local: a.local, remote: { address: LOOPBACK, port: other.port } };
    const at = performance.now();
    for (let n = 0; n < 4000; n++)
      plane.host.command(install(1, { in: 0x10000 + n, out: 0x20000 + n }, ways, 100 + 2 * n));
    // A ping takes the newest SA: the last of all.
    plane.host.command(ping(1, 1));
    await until(() => other.got.length === 1, 5000);
    expect(performance.now() - at).toBeLessThan(3000);
    expect(other.got[0]!.readUInt32BE(0)).toBe(0x20000 + 3999);
    // The cells of an SA begin with the time of its last packet as NaN.
    const begun = Array.from({ length: 8000 }, (_, i) => plane.cells.at(100 + i)).filter((c) => Number.isNaN(c[3]));
    expect(begun).toHaveLength(7999);
    await until(() => plane.count('pinged') === 1);
    expect(plane.story).toEqual([]);
  });

  it('an IKE flood while nobody looks leaves room for other news; what is dropped is counted', async () => {
    const [plane, a] = [await started(1024), socket()];
    lend(plane.host, 1, a);
    for (let n = 1; n <= 40; n++) for (const command of tenant(n)) plane.host.command(command);
    const pool = new PacketPool(64, 65535);
    const flood = openNativeUdp({ local: { address: LOOPBACK, port: 0 }, pool, receive: () => {}, offload: {} });
    undo.push(() => flood.close());
    const batch = Array.from({ length: 32 }, () => pool.from(new Uint8Array(1000).fill(0, 0, 4))!);
    // From here to the next await this thread looks at nothing.
    const dropped = (): number => plane.drops(DROP.ikeRefused);
    for (const end = performance.now() + 8000; dropped() < 100 && performance.now() < end; sleep(1))
      flood.sendBatch(batch, 0, 32, a.local);
    expect(dropped()).toBeGreaterThanOrEqual(100);
    for (let n = 1; n <= 40; n++) plane.host.command(ping(n, 1, 1));
    const detached = plane.host.detachSocket(1);
    sleep(100);
    await detached;
    await until(() => plane.count('pinged') === 40);
    expect(plane.count('acquire')).toBe(40);
    // Of the room that IKE has, 384 KB, one sender's share: two thirds.
    expect(plane.count('ike')).toBeLessThan(263);
    expect(plane.count('ike')).toBeGreaterThan(166);
    expect(plane.drops(DROP.queueFull)).toBe(0);
    expect(plane.story).toEqual([]);
  });

  it('what is said once waits for room when the ring is full to the last', async () => {
    const [plane, a] = [await started(), socket()];
    lend(plane.host, 1, a);
    // There is no such compartment, and each is told so: until there is no room for that, because this thread does not look.
    let refused = 0;
    for (; refused < 100_000 && plane.drops(DROP.queueFull) === 0; refused++) plane.host.command(ping(1, refused));
    expect(plane.drops(DROP.queueFull)).toBeGreaterThan(0);
    for (const command of tenant(1)) plane.host.command(command);
    plane.host.command(ping(1, 1));
    const detached = Promise.all([plane.host.detachSocket(1), plane.host.detachSocket(1)]);
    for (let i = 0; i < 10; i++) {
      sleep(20);
      plane.host.command({ do: 'flush', tunnel: 99 });
    }
    await detached;
    await until(() => plane.count('pinged') === 1);
    expect(plane.count('acquire')).toBe(1);
    expect(plane.count('ping-refused') + plane.drops(DROP.queueFull)).toBe(refused);
  });

  it('lets go of a descriptor when that has resolved: another with its number is another, and nothing spins', async () => {
    const plane = await started();
    const other = await peer();
    for (let id = 1; id <= 20; id++) {
      const lent = udpSocket();
      lend(plane.host, id, lent);
      await tell(other, lent);
      await until(() => plane.count('ike') === id);
      await plane.host.detachSocket(id);
      await lent.close();
    }
    const cord = wire();
    cord.lend(plane.host, 7);
    await plane.host.detachPort(7);
    const before = process.cpuUsage();
    await pause(400);
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(200);
  });

  it('says once that a device failed, also after it was started anew', async () => {
    const [plane, device] = [await started(), brittleDevice()];
    undo.unshift(() => requireSyscalls().close(device.fd));
    lendDevice(plane.host, 1, device.fd);
    device.fail();
    await until(() => plane.failed.length === 1);
    expect(plane.failed[0]).toMatch(/^1: TUN device wire1 is gone: bad file descriptor \(EBADF\)/);
    plane.host.fail('kill');
    await until(() => plane.said('restarted') === 1);
    await plane.host.detachPort(1);
    expect(plane.failed).toHaveLength(1);
  });

  describe('that cannot start', () => {
    it.each([
      {
        what: 'koffi is missing there',
        env: '1',
        entry: () => compiled.url(MAIN),
        why: /^.* failed: koffi is switched off/,
      },
      {
        what: 'its file is missing',
        env: '0',
        entry: () => compiled.url('src/runtime/worker/nowhere.ts'),
        why: /failed: Cannot find module/,
      },
      {
        what: 'it ends at once',
        env: '0',
        entry: () => new URL('data:text/javascript,0'),
        why: /^the worker of the data plane ended by itself$/,
      },
    ])('rejects, and nothing is left: $what', async ({ env, entry, why }) => {
      vi.stubEnv('BULKHEAD_NO_KOFFI', env);
      const before = held().descriptors;
      const plane = new HostedPlane(entry());
      await expect(plane.host.start()).rejects.toThrow(why);
      expect(held().descriptors).toBe(before);
      expect([plane.story, plane.host.restarts]).toEqual([[], 0]);
      await plane.host.close();
    });
  });
});
