import { networkInterfaces } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import {
  buildIp,
  buildUdp,
  type Endpoint,
  ipv4DontFragment,
  ipv4IsFragment,
  octetsOf,
  type Packet,
  PacketPool,
  trafficClass,
} from '../../src/ip/index.ts';
import {
  FAILED,
  openTun,
  openUdp,
  Readiness,
  SENT,
  SystemError,
  TOO_BIG,
  type Tun,
  type TunOptions,
} from '../../src/runtime/index.ts';
import { addr, counting, describePacket, pfx } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { sh, until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns', 'tun'] as const;
if (missingPeers(...NEEDS).length === 0) enterPrivateNetwork();

const open: { close(): Promise<void> }[] = [];
let pool = new PacketPool(64, 9000);

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  expect(pool.taken).toBe(0);
  expect(Object.keys(networkInterfaces())).toEqual(['lo']);
  pool = new PacketPool(64, 9000);
});

function ready(): Readiness {
  const made = new Readiness();
  open.push(made);
  return made;
}

function tun(readiness: Readiness, got: Uint8Array[], more: Partial<TunOptions> = {}): Tun {
  const device = openTun({
    device: 'bh-test',
    mtu: 1400,
    addresses: [pfx('10.9.0.1/24'), pfx('2001:db8:9::1/64')],
    pool,
    readiness,
    receive: (packet: Packet) => {
      // The kernel reports its multicast groups on any device that has IPv6.
      if (!describePacket(octetsOf(packet)).includes('ff02::')) got.push(octetsOf(packet).slice());
      pool.release(packet);
    },
    ...more,
  });
  open.push(device);
  return device;
}

async function host(readiness: Readiness, address: string, got: string[]) {
  const socket = await openUdp({
    local: { address: addr(address), port: 7000 },
    pool,
    readiness,
    receive: (packet, from) => {
      got.push(`${octetsOf(packet).length} octets from port ${from.port}`);
      pool.release(packet);
    },
  });
  open.push(socket);
  return socket;
}

const far: Endpoint = { address: addr('10.9.0.2'), port: 9 };

requirePeers(...NEEDS)('a TUN device', () => {
  it('has the MTU, the addresses and nothing the kernel made up, and is gone after close', async () => {
    const got: Uint8Array[] = [];
    const device = tun(ready(), got);
    const [link] = JSON.parse(sh('ip', ['-j', 'addr', 'show', 'dev', 'bh-test'])) as {
      mtu: number;
      flags: string[];
      addr_info: { local: string; prefixlen: number }[];
    }[];
    expect(link?.mtu).toBe(1400);
    expect(link?.flags).toContain('UP');
    expect(link?.addr_info.map((a) => `${a.local}/${a.prefixlen}`)).toEqual(['10.9.0.1/24', '2001:db8:9::1/64']);
    await device.close();
    expect(sh('ip', ['-j', 'link', 'show'])).not.toContain('bh-test');
  });

  it('gives what the host sends, and hands the host what is written', async () => {
    const got: Uint8Array[] = [];
    const heard: string[] = [];
    const readiness = ready();
    const device = tun(readiness, got);
    const socket = await host(readiness, '10.9.0.1', heard);
    expect(socket.send(counting(5), 0, 5, far, 0xb9)).toBe(SENT);
    await until(() => got.some((each) => describePacket(each).includes('UDP')));
    const sent = got.find((each) => describePacket(each).includes('UDP'))!;
    expect(describePacket(sent)).toMatch(/^IPv4 10\.9\.0\.1.* > 10\.9\.0\.2/);
    expect(trafficClass(sent, 0)).toBe(0xb9);

    const ends = { source: far.address, destination: addr('10.9.0.1') };
    const reply = buildUdp({ ...ends, sourcePort: 9, destinationPort: 7000 }, counting(77));
    const framed = new Uint8Array([...counting(3), ...reply]);
    expect(device.write(framed, 3, framed.length)).toBe(SENT);
    await until(() => heard.length === 1);
    expect(heard).toEqual(['77 octets from port 9']);
    expect(device.counters).toMatchObject({ sent: 1, refused: 0, dropped: 0, errors: 0 });
  });

  it('RFC 791 §3.2, RFC 1191 §3: DF of what a UDP socket sends is set, clear with fragments, or too big', async () => {
    const got: Uint8Array[] = [];
    const readiness = ready();
    tun(readiness, got);
    const socket = await host(readiness, '10.9.0.1', []);
    const big = counting(2000);
    expect(socket.send(big, 0, 100, far, 0, true)).toBe(SENT);
    expect(socket.send(big, 0, 100, far, 0, false)).toBe(SENT);
    expect(socket.send(big, 0, 1373, far, 0, true)).toBe(TOO_BIG);
    expect(socket.send(big, 0, 1372, far, 0, true)).toBe(SENT);
    expect(socket.send(big, 0, 2000, far, 0, false)).toBe(SENT);
    await until(() => got.length >= 5);
    expect(got.map((each) => [each.length, ipv4DontFragment(each, 0), ipv4IsFragment(each, 0)])).toEqual([
      [128, true, false],
      [128, false, false],
      [1400, true, false],
      [1396, false, true],
      [652, false, true],
    ]);
  });

  it('takes exactly the host routes it is told, and says which the host refused', async () => {
    const device = tun(ready(), []);
    const routes = () =>
      [
        ...sh('ip', ['-4', 'route', 'show', 'dev', 'bh-test']).matchAll(/^(\S+)/gm),
        ...sh('ip', ['-6', 'route', 'show', 'dev', 'bh-test', 'proto', 'static']).matchAll(/^(\S+)/gm),
      ].map((match) => match[1]);
    expect(device.route([pfx('10.2.0.0/16'), pfx('2001:db8:2::/48'), pfx('10.3.0.0/24')])).toEqual([]);
    expect(routes()).toEqual(['10.2.0.0/16', '10.3.0.0/24', '10.9.0.0/24', '2001:db8:2::/48']);
    expect(device.route([pfx('10.3.0.0/24'), pfx('10.4.0.7/32'), pfx('0.0.0.0/0')])).toEqual([]);
    expect(routes().sort()).toEqual(['10.3.0.0/24', '10.4.0.7', '10.9.0.0/24', 'default']);
    sh('ip', ['route', 'add', '10.5.0.0/16', 'dev', 'lo']);
    expect(device.route([pfx('10.5.0.0/16'), pfx('10.3.0.0/24')])).toEqual([
      'no host route 10.5.0.0/16 into bh-test: the host has a route for exactly that prefix already; remove it, or set `hostRoutes: none`',
    ]);
    expect(routes()).toEqual(['10.3.0.0/24', '10.9.0.0/24']);
  });

  it('refuses a second device of the name, a name that is none and an MTU beyond the pool, and leaves nothing', async () => {
    const readiness = ready();
    tun(readiness, []);
    const failure = (more: Partial<TunOptions>): SystemError => {
      try {
        tun(readiness, [], more);
      } catch (error) {
        if (error instanceof SystemError) return error;
      }
      throw new Error('no SystemError');
    };
    expect(failure({}).message).toMatch(/^creating TUN device bh-test: .* \(EBUSY\)\. A device of that name exists/);
    expect(failure({ device: 'a/b' }).code).toBe('EINVAL');
    expect(failure({ device: 'lo' }).advice).toMatch(/device of that name/);
    expect(failure({ device: 'bh-big', mtu: 9001 }).code).toBe('EMSGSIZE');
    expect(failure({ device: 'bh-bad', mtu: 1280, addresses: [pfx('ff02::5/64')] }).message).toContain('bh-bad');
  });

  it('can be closed and made anew in one breath', async () => {
    const readiness = ready();
    for (let i = 0; i < 3; i++) {
      const device = tun(readiness, []);
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      await device.close();
    }
  });

  it('tells when somebody deletes it, once, and goes quiet', async () => {
    const words: string[] = [];
    const device = tun(ready(), [], { failed: (why) => words.push(why) });
    sh('ip', ['link', 'del', 'bh-test']);
    await until(() => words.length === 1);
    expect(words[0]).toMatch(/^TUN device bh-test is gone: .*Reload to create it anew$/);
    expect(
      device.write(buildIp({ source: far.address, destination: far.address, protocol: 59 }, new Uint8Array(4)), 0, 24),
    ).toBe(FAILED);
    expect(words).toHaveLength(1);
  });

  it('drops what the pool has no room for and goes on', async () => {
    const got: Uint8Array[] = [];
    const readiness = ready();
    const device = tun(readiness, got);
    const socket = await host(readiness, '10.9.0.1', []);
    const held = Array.from({ length: pool.size }, () => pool.take()!);
    socket.send(counting(5), 0, 5, far);
    await until(() => device.counters.dropped >= 1);
    for (const packet of held) pool.release(packet);
    socket.send(counting(6), 0, 6, far);
    await until(() => got.length === 1);
    expect(got[0]!.length).toBe(34);
  });
});
