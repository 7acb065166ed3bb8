import { afterEach, describe, expect, it } from 'vitest';
import { type Endpoint, octetsOf, PacketPool, parseAddress } from '../../src/ip/index.ts';
import {
  type DatagramSocket,
  FAILED,
  openRaw,
  openUdp,
  Readiness,
  SENT,
  SystemError,
  TOO_BIG,
  UNKNOWN_TOS,
} from '../../src/runtime/index.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { until } from '../support/process.ts';

const isolated = missingPeers('koffi', 'root', 'netns').length === 0;
if (isolated) enterPrivateNetwork();

interface Got {
  readonly text: string;
  readonly from: Endpoint;
  readonly tos: number;
}

const address = (text: string) => parseAddress(text)!;
const octets = (text: string) => new TextEncoder().encode(text);
const open: { close(): Promise<void> }[] = [];
const pools: PacketPool[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  for (const pool of pools.splice(0)) expect(pool.taken).toBe(0);
});

function pool(size = 64, capacity = 2048): PacketPool {
  const made = new PacketPool(size, capacity);
  pools.push(made);
  return made;
}

function readiness(): Readiness {
  const made = new Readiness();
  open.push(made);
  return made;
}

function collector(from: PacketPool, keep: Got[]) {
  return (packet: Parameters<PacketPool['release']>[0], sender: Endpoint, tos: number) => {
    keep.push({ text: new TextDecoder().decode(octetsOf(packet)), from: sender, tos });
    from.release(packet);
  };
}

async function udp(text: string, keep: Got[], ready?: Readiness, from = pool(), port = 0): Promise<DatagramSocket> {
  const local = { address: address(text), port };
  const socket = await openUdp({ local, pool: from, receive: collector(from, keep), readiness: ready });
  open.push(socket);
  return socket;
}

const send = (socket: DatagramSocket, text: string, to: Endpoint, tos?: number, df?: boolean) => {
  const framed = octets(`<<${text}>>`);
  return socket.send(framed, 2, framed.length - 2, to, tos, df);
};

const natives = requirePeers('linux', 'koffi', 'root', 'netns');

describe('UDP by node:dgram', () => {
  it('sends from the bound address and gives the sender of what comes', async () => {
    const a: Got[] = [];
    const b: Got[] = [];
    const one = await udp('127.0.0.1', a);
    const two = await udp('127.0.0.1', b);
    expect(one.local.port).toBeGreaterThan(0);
    expect(one.features).toEqual({ native: false, tos: false, df: false, receivesTos: false });
    expect(send(one, 'hello', two.local)).toBe(SENT);
    await until(() => b.length === 1);
    expect(b).toEqual([{ text: 'hello', from: one.local, tos: UNKNOWN_TOS }]);
    send(two, 'back', b[0]!.from);
    await until(() => a.length === 1);
    expect(a[0]!.text).toBe('back');
    expect(one.counters).toEqual({ sent: 1, received: 1, refused: 0, dropped: 0, errors: 0 });
  });

  it('refuses a port in use with advice', async () => {
    const taken = await udp('127.0.0.1', []);
    const failure = await udp('127.0.0.1', [], undefined, pool(), taken.local.port).catch((error) => error);
    expect(failure).toBeInstanceOf(SystemError);
    expect(failure.code).toBe('EADDRINUSE');
    expect(failure.message).toBe(
      `UDP on 127.0.0.1 port ${taken.local.port}: address already in use (EADDRINUSE). Another IKE daemon holds the port: stop it, or set gateway.external.ports`,
    );
  });

  it('drops what finds the pool empty, and counts it', async () => {
    const none = pool(1);
    const held = none.take()!;
    const got: Got[] = [];
    const receiver = await udp('127.0.0.1', got, undefined, none);
    const sender = await udp('127.0.0.1', []);
    send(sender, 'x', receiver.local);
    await until(() => receiver.counters.dropped === 1);
    expect(got).toEqual([]);
    none.release(held);
  });

  it('refuses to send once closed', async () => {
    const socket = await udp('127.0.0.1', []);
    await socket.close();
    expect(send(socket, 'x', socket.local)).toBe(FAILED);
  });
});

natives('UDP by system calls', () => {
  for (const [family, local] of [
    ['IPv4', '127.0.0.1'],
    ['IPv6', '::1'],
  ] as const) {
    it(`${family}: carries octets, sender and TOS both ways`, async () => {
      const ready = readiness();
      const a: Got[] = [];
      const b: Got[] = [];
      const one = await udp(local, a, ready);
      const two = await udp(local, b, ready);
      expect(one.features).toEqual({ native: true, tos: true, df: true, receivesTos: true });
      expect(send(one, 'plain', two.local)).toBe(SENT);
      expect(send(one, 'ect', two.local, 0xba)).toBe(SENT);
      expect(send(one, 'df', two.local, 0, true)).toBe(SENT);
      expect(send(one, 'no df', two.local, 0, false)).toBe(SENT);
      await until(() => b.length === 4);
      expect(b).toEqual([
        { text: 'plain', from: one.local, tos: 0 },
        { text: 'ect', from: one.local, tos: 0xba },
        { text: 'df', from: one.local, tos: 0 },
        { text: 'no df', from: one.local, tos: 0 },
      ]);
      expect(b[0]!.from).toBe(b[3]!.from);
    });
  }

  it('tells apart senders, and binds each socket to its own address', async () => {
    const ready = readiness();
    const got: Got[] = [];
    const receiver = await udp('127.0.0.1', got, ready);
    const senders = [await udp('127.0.0.2', [], ready), await udp('127.0.0.3', [], ready)];
    for (const sender of [...senders, ...senders]) send(sender, 'x', receiver.local);
    await until(() => got.length === 4);
    expect(got.map((each) => each.from)).toEqual([...senders, ...senders].map((each) => each.local));
  });

  it('talks with node:dgram', async () => {
    const got: Got[] = [];
    const plain = await udp('127.0.0.1', got);
    const native = await udp('127.0.0.1', got, readiness());
    send(native, 'to dgram', plain.local);
    send(plain, 'to native', native.local);
    await until(() => got.length === 2);
    expect(got.map((each) => each.text).sort()).toEqual(['to dgram', 'to native']);
  });

  it('RFC 1191 §3: with DF set, what exceeds the path MTU is refused, not fragmented', async () => {
    const ready = readiness();
    const socket = await udp('127.0.0.1', [], ready);
    const big = new Uint8Array(65_500);
    expect(socket.send(big, 0, 65_000, { address: address('127.0.0.1'), port: 9 }, 0, true)).toBe(SENT);
    expect(socket.send(new Uint8Array(65_536), 0, 65_536, { address: address('127.0.0.1'), port: 9 }, 0, true)).toBe(
      TOO_BIG,
    );
    expect(socket.counters.refused).toBe(1);
  });

  it('drops what is larger than a packet of the pool, and what finds the pool empty, and goes on', async () => {
    const ready = readiness();
    const small = pool(1, 100);
    const got: Got[] = [];
    const receiver = await udp('127.0.0.1', got, ready, small);
    const sender = await udp('127.0.0.1', [], ready);
    sender.send(new Uint8Array(2000), 0, 2000, receiver.local);
    await until(() => receiver.counters.dropped === 1);
    const held = small.take()!;
    send(sender, 'lost', receiver.local);
    await until(() => receiver.counters.dropped === 2);
    small.release(held);
    send(sender, 'arrives', receiver.local);
    await until(() => got.length === 1);
    expect(got[0]!.text).toBe('arrives');
  });

  it('loses nothing of a burst that outlasts a batch', async () => {
    const ready = readiness();
    const got: Got[] = [];
    const receiver = await udp('127.0.0.1', got, ready);
    const sender = await udp('127.0.0.1', [], ready);
    for (let i = 0; i < 500; i++) send(sender, String(i), receiver.local);
    await until(() => got.length === 500);
    expect(got.map((each) => Number(each.text))).toEqual(Array.from({ length: 500 }, (_, i) => i));
  });

  it('says what to do about a port in use and an address that is not ours', async () => {
    const ready = readiness();
    const taken = await udp('127.0.0.1', [], ready);
    const used = await udp('127.0.0.1', [], ready, pool(), taken.local.port).catch((error) => error);
    expect(used.message).toContain('(EADDRINUSE). Another IKE daemon holds the port');
    const foreign = await udp('192.0.2.77', [], ready).catch((error) => error);
    expect(foreign.message).toContain('(EADDRNOTAVAIL). This host does not have the address');
  });
});

natives('IP protocol 50', () => {
  function raw(text: string, keep: Got[], ready: Readiness): DatagramSocket {
    const from = pool();
    const socket = openRaw({
      protocol: 'ip-50',
      local: address(text),
      pool: from,
      receive: collector(from, keep),
      readiness: ready,
    });
    open.push(socket);
    return socket;
  }

  it('RFC 4303 §2, IPv4: gives the ESP packet without the IP header, its source and TOS', async () => {
    const ready = readiness();
    const got: Got[] = [];
    const one = raw('127.0.0.1', [], ready);
    const two = raw('127.0.0.2', got, ready);
    expect(two.local).toEqual({ address: address('127.0.0.2'), port: 0 });
    expect(send(one, 'esp', two.local, 0x03)).toBe(SENT);
    expect(send(one, 'esp again', two.local, 0x00, true)).toBe(SENT);
    await until(() => got.length === 2);
    expect(got).toEqual([
      { text: 'esp', from: { address: address('127.0.0.1'), port: 0 }, tos: 0x03 },
      { text: 'esp again', from: { address: address('127.0.0.1'), port: 0 }, tos: 0x00 },
    ]);
  });

  it('RFC 3542 §3, IPv6: there is no header to take off', async () => {
    const ready = readiness();
    const got: Got[] = [];
    const socket = raw('::1', got, ready);
    expect(send(socket, 'esp', socket.local, 0x2b)).toBe(SENT);
    await until(() => got.length === 1);
    expect(got).toEqual([{ text: 'esp', from: { address: address('::1'), port: 0 }, tos: 0x2b }]);
  });
});
