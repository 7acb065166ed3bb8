/** Packet sockets on both ends of a veth pair: what one sends the other gets, and nothing else. */
import { readdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import { buildUdp, PacketPool, transportChecksumHolds } from '../../src/ip/index.ts';
import {
  FAILED,
  openPacketSocket,
  type PacketSocket,
  type PacketSocketOptions,
  PollSet,
  Readiness,
  requireSyscalls,
  SENT,
  SystemError,
} from '../../src/runtime/index.ts';
import {
  arpRequest,
  BROADCAST,
  ETHER,
  frame,
  framed,
  Kept,
  linksUp,
  MAC_A,
  MAC_B,
  MAC_C,
  taggedFrame,
} from '../support/frames.ts';
import { addr, counting } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { must, sh, until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns'] as const;
const able = missingPeers(...NEEDS).length === 0;
if (able) enterPrivateNetwork();

const open: { close(): Promise<void> }[] = [];
let pool = new PacketPool(64, 2000);
let descriptors = 0;

beforeEach(async () => {
  if (!able) return;
  descriptors = readdirSync('/proc/self/fd').length;
  const peer = ['peer', 'name', 'bh-b', 'address', '02:00:00:00:00:0b'];
  sh('ip', ['link', 'add', 'bh-a', 'address', '02:00:00:00:00:0a', 'type', 'veth', ...peer]);
  for (const device of ['bh-a', 'bh-b']) {
    sh('sysctl', ['-qw', `net.ipv6.conf.${device}.disable_ipv6=1`]);
    sh('ip', ['link', 'set', device, 'up']);
  }
  await linksUp('bh-a', 'bh-b');
});

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  sh('ip', ['link', 'del', 'bh-a'], true);
  expect(pool.taken).toBe(0);
  expect(Object.keys(networkInterfaces())).toEqual(['lo']);
  expect(readdirSync('/proc/self/fd').length).toBe(descriptors);
  pool = new PacketPool(64, 2000);
});

interface End {
  readonly port: PacketSocket;
  readonly kept: Kept;
}

/** Without a readiness: the test reads. */
function end(device: string, more: Partial<PacketSocketOptions> = {}, from = pool): End {
  const kept = new Kept(from);
  const port = openPacketSocket({ device, pool: from, offload: {}, receive: kept.receive, ...more });
  open.push(port);
  return { port, kept };
}

/** Reads until so many frames have come since it was opened, those that were lost included. */
function settle({ port }: End, count: number): void {
  const set = new PollSet(requireSyscalls(), 1);
  set.add(port.fd);
  const { counters } = port;
  while (counters.received + counters.dropped < count && set.wait(5000) > 0) port.drain(64);
  expect(counters.received + counters.dropped).toBe(count);
}

const send = ({ port }: End, octets: Uint8Array): void => expect(port.write(octets, 0, octets.length)).toBe(SENT);

const suite = requirePeers(...NEEDS);

suite('a packet socket', () => {
  it('tells the MAC and the MTU of its interface, and what it passes', () => {
    const { port } = end('bh-a');
    expect([port.kind, port.mac, port.mtu, port.linkHeader]).toEqual(['packet', MAC_A, 1500, 14]);
    const { vnetHeader, checksum, tso4, tso6 } = port.offloads;
    expect([vnetHeader, checksum, tso4, tso6].every(({ used }) => used)).toBe(true);
  });

  it('frames pass octet for octet, whatever is in them, with superframes asked for or not', () => {
    const near = [end('bh-a'), end('bh-a', { offload: undefined })] as const;
    const far = [end('bh-b'), end('bh-b', { offload: undefined })] as const;
    const type = fc.constantFrom(ETHER.test, ETHER.ipv4, ETHER.ipv6, ETHER.arp);
    const payload = fc.uint8Array({ minLength: 0, maxLength: 1500 });
    let sent = 0;
    fc.assert(
      fc.property(fc.array(fc.tuple(type, payload), { minLength: 1, maxLength: 8 }), (each) => {
        sent += each.length;
        for (const [from, to, source, destination] of [
          [near[0], far, MAC_A, MAC_B],
          [far[1], near, MAC_B, MAC_A],
        ] as const) {
          const frames = each.map(([ofType, data]) => frame(destination, source, ofType, data));
          for (const one of frames) send(from, one);
          for (const one of to) {
            settle(one, sent);
            expect(one.kept.frames.splice(0).map(toHex)).toEqual(frames.map(toHex));
          }
        }
      }),
      { numRuns: 30 },
    );
    for (const { port } of [...near, ...far])
      expect(port.counters).toMatchObject({ refused: 0, dropped: 0, errors: 0 });
  });

  it('RFC 826: broadcasts come', () => {
    const [a, b] = [end('bh-a'), end('bh-b')];
    const ask = arpRequest(MAC_A, addr('10.9.0.1'), addr('10.9.0.2'));
    send(a, ask);
    settle(b, 1);
    expect(b.kept.packets).toEqual([{ octets: ask, segment: 0, partial: false }]);
  });

  it('does not hear what it sends, nor what another socket of this machine sends there', () => {
    const [a, also] = [end('bh-a', { promiscuous: true }), end('bh-a', { promiscuous: true })];
    send(a, frame(MAC_B, MAC_A, ETHER.test, counting(50)));
    send(also, frame(BROADCAST, MAC_A, ETHER.test, counting(51)));
    const other = frame(MAC_A, MAC_B, ETHER.test, counting(52));
    send(end('bh-b'), other);
    for (const each of [a, also]) {
      settle(each, 1);
      expect(each.kept.frames).toEqual([other]);
    }
  });

  it('hears its own station and groups; another station where told; all where promiscuous', () => {
    const ends = [end('bh-b'), end('bh-b', { mac: MAC_C }), end('bh-b', { promiscuous: true })];
    const a = end('bh-a');
    const group = Uint8Array.of(0x01, 0, 0x5e, 0, 0, 5);
    const almost = Uint8Array.of(0x02, 0, 0, 0, 1, 0x0c);
    const frames = [MAC_B, MAC_C, almost, BROADCAST, group].map((to, n) =>
      frame(to, MAC_A, ETHER.test, counting(20 + n)),
    );
    for (const each of frames) send(a, each);
    const heard = ends.map((each, n) => {
      settle(each, [3, 3, 5][n]!);
      return each.kept.frames.map((octets) => octets.length - 34);
    });
    expect(heard).toEqual([
      [0, 3, 4],
      [1, 3, 4],
      [0, 1, 2, 3, 4],
    ]);
    const flags = sh('ip', ['-d', 'link', 'show', 'bh-b']);
    expect(flags).toMatch(/promiscuity 2 .*allmulti 1 /);
  });

  it('IEEE 802.1Q §6.9: a frame in a VLAN is dropped and counted, one with a priority only comes without its tag', () => {
    for (const offload of [{}, undefined]) {
      const [a, b] = [end('bh-a', { offload }), end('bh-b', { offload })];
      send(a, taggedFrame(MAC_B, MAC_A, 0x0005, ETHER.ipv4, counting(60)));
      send(a, taggedFrame(MAC_B, MAC_A, 0xe000, ETHER.test, counting(61)));
      send(a, frame(MAC_B, MAC_A, ETHER.test, counting(62)));
      settle(b, 3);
      expect(b.kept.frames).toEqual([61, 62].map((n) => frame(MAC_B, MAC_A, ETHER.test, counting(n))));
      expect([b.port.tagged, b.port.counters.dropped]).toEqual([1, 1]);
      void a.port.close();
      void b.port.close();
    }
  });

  it('computes the checksum that a frame owes, where the header may not say so', () => {
    const a = end('bh-a');
    const b = end('bh-b', { offload: undefined });
    const owing = end('bh-b');
    const ends = { source: addr('10.9.0.1'), destination: addr('10.9.0.2'), sourcePort: 9, destinationPort: 7000 };
    const octets = frame(MAC_B, MAC_A, ETHER.ipv4, buildUdp(ends, counting(55)));
    const packet = framed(octets.slice());
    packet.buf.set([0x12, 0x34], packet.start + 14 + 26);
    packet.partial = true;
    expect(a.port.writePacket(packet)).toBe(SENT);
    settle(b, 1);
    settle(owing, 1);
    expect(b.kept.frames).toEqual([octets]);
    expect(owing.kept.packets[0]).toMatchObject({ segment: 0, partial: true });
    expect(owing.kept.frames[0]).not.toEqual(octets);

    // And the other way: completed before it is sent.
    const back = framed(frame(MAC_A, MAC_B, ETHER.ipv4, buildUdp(ends, counting(55))));
    back.buf.set([0x12, 0x34], back.start + 14 + 26);
    back.partial = true;
    expect(b.port.writePacket(back)).toBe(SENT);
    settle(a, 1);
    const [got] = a.kept.frames;
    expect(transportChecksumHolds(got!, 14, 34, got!.length, 17)).toBe(true);
  });

  it('superframes of UDP pass whole; where they are not asked for they are lost', () => {
    const large = new PacketPool(8, 65535);
    const a = end('bh-a');
    const b = end('bh-b', {}, large);
    const short = end('bh-b');
    const ends = { source: addr('10.9.0.1'), destination: addr('10.9.0.2'), sourcePort: 9, destinationPort: 7000 };
    const superframe = framed(frame(MAC_B, MAC_A, ETHER.ipv4, buildUdp(ends, counting(10_500))));
    Object.assign(superframe, { segment: 1000, partial: true });
    expect(a.port.takes(5)).toBe(true);
    expect(a.port.writePacket(superframe)).toBe(SENT);
    settle(b, 1);
    settle(short, 1);
    expect(b.kept.packets).toHaveLength(1);
    expect(b.kept.packets[0]).toMatchObject({ segment: 1000, partial: true });
    expect(b.kept.frames[0]!.subarray(42)).toEqual(counting(10_500));
    expect([b.port.superframes.received, a.port.superframes.sent]).toEqual([1, 1]);
    expect([short.kept.frames, short.port.counters.dropped]).toEqual([[], 1]);
    expect(large.taken).toBe(0);

    const none = end('bh-a', { offload: undefined });
    expect(none.port.writePacket(superframe)).toBe(FAILED);
  });

  it('loses, and counts, what the pool has no packet for, and goes on', () => {
    const few = new PacketPool(1, 2000);
    const a = end('bh-a');
    const b = end('bh-b', {}, few);
    const held = few.take()!;
    send(a, frame(MAC_B, MAC_A, ETHER.test, counting(50)));
    settle(b, 1);
    expect([b.kept.frames, b.port.counters.dropped]).toEqual([[], 1]);
    few.release(held);
    send(a, frame(MAC_B, MAC_A, ETHER.test, counting(51)));
    settle(b, 2);
    expect(b.kept.frames.map(({ length }) => length)).toEqual([65]);
  });

  it('goes on when its interface was switched off and on', async () => {
    const words: string[] = [];
    const readiness = new Readiness();
    open.push(readiness);
    const [a, b] = [end('bh-a'), end('bh-b', { readiness, failed: (why) => words.push(why) })];
    sh('ip', ['link', 'set', 'bh-b', 'down']);
    await new Promise((resolve) => setTimeout(resolve, 50));
    sh('ip', ['link', 'set', 'bh-b', 'up']);
    const sent = frame(MAC_B, MAC_A, ETHER.test, counting(50));
    await until(() => {
      a.port.write(sent, 0, sent.length);
      return b.kept.frames.length > 0;
    });
    expect(b.kept.frames[0]).toEqual(sent);
    expect(words).toEqual([]);
  });

  it('tells when its interface is deleted, once, and goes quiet', async () => {
    const words: string[] = [];
    const readiness = new Readiness();
    open.push(readiness);
    const b = end('bh-b', { readiness, failed: (why) => words.push(why) });
    // While this process goes on, which hears that the link is down before it is gone.
    await must('ip', ['link', 'del', 'bh-a']);
    await until(() => words.length === 1);
    expect(words).toEqual(['device bh-b is gone: network is down (ENETDOWN). Reload when it is there again']);
    const sent = frame(MAC_A, MAC_B, ETHER.test, counting(50));
    expect(b.port.write(sent, 0, sent.length)).toBe(FAILED);
    expect(words).toHaveLength(1);
  });

  it('refuses what is no Ethernet interface, and one with packets larger than the pool has, and leaves nothing', () => {
    const failure = (device: string, from = pool): string => {
      try {
        openPacketSocket({ device, pool: from, receive: () => {} });
      } catch (error) {
        if (error instanceof SystemError) return error.message;
      }
      throw new Error('no SystemError');
    };
    expect(failure('bh-none')).toMatch(/^finding bh-none: no such device \(ENODEV\)\. There is no such device/);
    expect(failure('lo')).toMatch(/^device lo: .* \(EPROTONOSUPPORT\)\. It carries no Ethernet frames$/);
    expect(failure('a/b')).toMatch(/^packet socket on a\/b: .* \(EINVAL\)/);
    expect(failure('bh-a', new PacketPool(1, 1499))).toMatch(/\(EMSGSIZE\)\. Its MTU is 1500/);
  });
});
