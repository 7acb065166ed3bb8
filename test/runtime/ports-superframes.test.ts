/**
 * A TAP device and a packet socket joined by this process as a cable: between the stack of this network and that of another
 * namespace behind a veth pair TCP passes in superframes, both ways.
 */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { type Packet, PacketPool } from '../../src/ip/index.ts';
import { openPacketSocket, openTap, Readiness } from '../../src/runtime/index.ts';
import { Outbox } from '../../src/runtime/outbox.ts';
import { etherTypeOf } from '../support/frames.ts';
import { pfx } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork, within } from '../support/private-network.ts';
import { sh, until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns', 'tun', 'ethtool'] as const;
const able = missingPeers(...NEEDS).length === 0;
const FAR = `bh-far-${process.pid}`;
const far = (...args: readonly string[]): string => sh('ip', ['netns', 'exec', FAR, ...args]);

if (able) {
  enterPrivateNetwork();
  // Others pace: how much comes at once would depend on the clock.
  sh('sysctl', ['-qw', 'net.ipv4.tcp_congestion_control=reno']);
}

const open: { close(): Promise<unknown> }[] = [];

beforeAll(() => {
  if (!able) return;
  sh('ip', ['netns', 'add', FAR]);
  far('sysctl', '-qw', 'net.ipv4.tcp_congestion_control=reno');
});

afterAll(() => {
  if (able) sh('ip', ['netns', 'del', FAR], true);
});

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  sh('ip', ['link', 'del', 'bh-near'], true);
  expect(Object.keys(networkInterfaces())).toEqual(['lo']);
});

interface Counted {
  superframes: number;
  partial: number;
  arp: number;
  largest: number;
}

const counted = (): Counted => ({ superframes: 0, partial: 0, arp: 0, largest: 0 });

interface Cable {
  readonly fromTap: Counted;
  readonly fromWire: Counted;
  readonly pool: PacketPool;
  readonly ports: readonly [ReturnType<typeof openTap>, ReturnType<typeof openPacketSocket>];
}

/** What comes by one goes out by the other. */
function cable(offloads: { readonly tap: boolean; readonly wire: boolean }): Cable {
  const pool = new PacketPool(128, 65535);
  const readiness = new Readiness();
  open.push(readiness);
  sh('ip', ['link', 'add', 'bh-near', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', FAR]);
  sh('ip', ['link', 'set', 'bh-near', 'up']);
  far('ip', 'addr', 'add', '10.9.0.2/24', 'dev', 'eth0');
  far('ip', 'addr', 'add', '2001:db8:9::2/64', 'dev', 'eth0', 'nodad');
  far('ip', 'link', 'set', 'eth0', 'up');
  const outbox = new Outbox(pool);
  const [fromTap, fromWire] = [counted(), counted()];
  const note = (into: Counted, { buf, start, end, segment, partial }: Packet): void => {
    if (segment > 0) into.superframes += 1;
    if (partial) into.partial += 1;
    if (etherTypeOf(buf.subarray(start, start + 14)) === 0x0806) into.arp += 1;
    into.largest = Math.max(into.largest, end - start);
  };
  const tap = openTap({
    device: 'bh-tap',
    mtu: 1500,
    addresses: [pfx('10.9.0.1/24'), pfx('2001:db8:9::1/64')],
    pool,
    readiness,
    offload: offloads.tap ? {} : undefined,
    receive: (packet) => {
      note(fromTap, packet);
      outbox.write(wire, packet);
    },
  });
  const wire = openPacketSocket({
    device: 'bh-near',
    promiscuous: true,
    pool,
    readiness,
    offload: offloads.wire ? {} : undefined,
    receive: (packet) => {
      note(fromWire, packet);
      outbox.write(tap, packet);
    },
  });
  open.push(tap, wire, { close: async () => expect(pool.taken).toBe(0) });
  return { fromTap, fromWire, pool, ports: [tap, wire] };
}

const stream = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13) & 0xff));
const OCTETS = 600_000;
const data = stream(OCTETS);

/** A server over there that keeps what it gets, and sends the stream back when the other end has finished. */
function server(): { readonly port: number; readonly came: Buffer[] } {
  const came: Buffer[] = [];
  const sockets: Socket[] = [];
  const made: Server = within(FAR, () =>
    createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('data', (chunk) => came.push(chunk));
      socket.on('end', () => socket.end(data));
    }).listen(0),
  );
  open.push({
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => made.close(resolve));
    },
  });
  return { port: (made.address() as { port: number }).port, came };
}

/** The stream there and back; what came, either way. */
async function exchange(host: string): Promise<{ readonly there: Buffer; readonly back: Buffer }> {
  const { port, came } = server();
  const back: Buffer[] = [];
  const socket = createConnection({ host, port, allowHalfOpen: true });
  open.push({ close: async () => socket.destroy() });
  const ended = { done: false, why: '' };
  socket.on('error', (error) => Object.assign(ended, { why: error.message }));
  socket.on('data', (chunk) => back.push(chunk));
  socket.on('end', () => Object.assign(ended, { done: true }));
  socket.end(data);
  await until(() => ended.done || ended.why !== '');
  expect(ended.why).toBe('');
  return { there: Buffer.concat(came), back: Buffer.concat(back) };
}

/** Of TCP segments that were dropped for their checksum. */
const checksumErrors = (snmp: string): number => {
  const [names, values] = snmp.split('\n').filter((line) => line.startsWith('Tcp:')) as [string, string];
  return Number(values.split(' ')[names.split(' ').indexOf('InCsumErrors')]);
};

const LINKS = [
  { link: 'a link that takes superframes', off: [] },
  {
    link: 'a link like a wire: cut and summed before it',
    off: ['tx', 'off', 'tso', 'off', 'gso', 'off', 'gro', 'off'],
  },
] as const;

requirePeers(...NEEDS)('TCP through a TAP device and a packet socket', () => {
  for (const { link, off } of LINKS) {
    for (const [family, host] of [
      ['IPv4', '10.9.0.2'],
      ['IPv6', '2001:db8:9::2'],
    ] as const) {
      it(`${family} over ${link}: superframes out, every octet both ways, no checksum wrong`, async () => {
        const { fromTap, fromWire, ports } = cable({ tap: true, wire: true });
        if (off.length > 0) {
          sh('ethtool', ['-K', 'bh-near', ...off], true);
          far('ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off');
        }
        const { there, back } = await exchange(host);
        expect([there.equals(data), back.equals(data)]).toEqual([true, true]);
        const { superframes } = ports[0];
        expect(fromTap.superframes).toBeGreaterThan(10);
        expect(fromTap.largest).toBeGreaterThan(14_000);
        expect(ports[1].superframes.sent).toBe(fromTap.superframes);
        if (off.length === 0) {
          expect(fromWire.superframes).toBeGreaterThan(10);
          expect(superframes.sent).toBe(fromWire.superframes);
        } else expect([fromWire.superframes, fromWire.largest <= 1514]).toEqual([0, true]);
        if (family === 'IPv4') expect([fromTap.arp > 0, fromWire.arp > 0]).toEqual([true, true]);
        for (const { counters } of ports) expect(counters).toMatchObject({ refused: 0, dropped: 0, errors: 0 });
        for (const text of [sh('cat', ['/proc/self/net/snmp']), far('cat', '/proc/net/snmp')])
          expect(checksumErrors(text)).toBe(0);
      });
    }
  }

  it('a port without superframes gets them cut, each piece with the header of the frame', async () => {
    const { fromTap, ports } = cable({ tap: true, wire: false });
    far('ethtool', '-K', 'eth0', 'tx', 'off', 'tso', 'off', 'gso', 'off');
    const { there, back } = await exchange('10.9.0.2');
    expect([there.equals(data), back.equals(data)]).toEqual([true, true]);
    expect(fromTap.superframes).toBeGreaterThan(10);
    expect(ports[1].superframes).toEqual({ received: 0, sent: 0 });
    expect(ports[1].counters.sent).toBeGreaterThan(OCTETS / 1448);
    expect(ports[1].counters).toMatchObject({ refused: 0, errors: 0 });
  });
});
