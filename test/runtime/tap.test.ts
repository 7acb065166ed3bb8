/** TAP devices, against the kernel's own stack on their other end, and against a packet socket there. */
import { readdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import { buildUdp, PacketPool } from '../../src/ip/index.ts';
import {
  FAILED,
  openPacketSocket,
  openTap,
  openUdp,
  Readiness,
  SENT,
  SystemError,
  type TapOptions,
  type Tun,
} from '../../src/runtime/index.ts';
import { arpReply, BROADCAST, ETHER, etherTypeOf, frame, Kept, MAC_A, MAC_B, taggedFrame } from '../support/frames.ts';
import { addr, counting, pfx } from '../support/packets.ts';
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

function tap(more: Partial<TapOptions> = {}): { readonly port: Tun; readonly kept: Kept } {
  const kept = new Kept(pool);
  const port = openTap({
    device: 'bh-tap',
    mtu: 1500,
    mac: MAC_A,
    addresses: [pfx('10.9.0.1/24')],
    pool,
    readiness: ready(),
    receive: kept.receive,
    ...more,
  });
  open.push(port);
  return { port, kept };
}

const host = addr('10.9.0.1');
const far = addr('10.9.0.2');

requirePeers(...NEEDS)('a TAP device', () => {
  it('has the MAC, the MTU and the addresses it was given, and is gone after close', async () => {
    const { port } = tap();
    const [link] = JSON.parse(sh('ip', ['-j', 'addr', 'show', 'dev', 'bh-tap'])) as {
      mtu: number;
      address: string;
      flags: string[];
      addr_info: { local: string }[];
    }[];
    expect([link?.mtu, link?.address]).toEqual([1500, '02:00:00:00:00:0a']);
    expect(link?.flags).toContain('UP');
    expect(link?.addr_info.map((a) => a.local)).toEqual(['10.9.0.1']);
    expect([port.kind, port.mac, port.mtu, port.linkHeader]).toEqual(['tap', MAC_A, 1500, 14]);
    await port.close();
    expect(sh('ip', ['-j', 'link', 'show'])).not.toContain('bh-tap');
  });

  it('without a MAC of the document has one that the kernel made up', () => {
    const { port } = tap({ mac: undefined });
    const [link] = JSON.parse(sh('ip', ['-j', 'link', 'show', 'dev', 'bh-tap'])) as { address: string }[];
    expect([...port.mac!].map((octet) => octet.toString(16).padStart(2, '0')).join(':')).toBe(link?.address);
  });

  for (const [how, offload] of [
    ['without superframes', undefined],
    ['with superframes', {}],
  ] as const) {
    it(`RFC 826: ARP passes both ways, then datagrams, octet for octet (${how})`, async () => {
      const { port, kept } = tap({ offload });
      const heard: string[] = [];
      const socket = await openUdp({
        local: { address: host, port: 7000 },
        pool,
        receive: (packet, from) => {
          heard.push(`${packet.end - packet.start} octets from port ${from.port}`);
          pool.release(packet);
        },
      });
      open.push(socket);
      socket.send(counting(20), 0, 20, { address: far, port: 9 });
      await until(() => kept.frames.length > 0);
      const ask = frame(BROADCAST, MAC_A, ETHER.arp, arpPayload());
      expect(kept.packets[0]).toEqual({ octets: ask, segment: 0, partial: false });

      const answer = arpReply(MAC_B, far, MAC_A, host);
      expect(port.write(answer, 0, answer.length)).toBe(SENT);
      await until(() => kept.frames.some((each) => etherTypeOf(each) === ETHER.ipv4));
      const datagram = kept.packets.find(({ octets }) => etherTypeOf(octets) === ETHER.ipv4)!;
      expect([...datagram.octets.subarray(0, 12)]).toEqual([...MAC_B, ...MAC_A]);
      expect(datagram.octets.length).toBe(14 + 20 + 8 + 20);
      expect(datagram.partial).toBe(offload !== undefined);
      expect(datagram.octets.subarray(42)).toEqual(counting(20));

      const ends = { source: far, destination: host, sourcePort: 9, destinationPort: 7000 };
      const reply = new Uint8Array([...counting(5), ...frame(MAC_A, MAC_B, ETHER.ipv4, buildUdp(ends, counting(33)))]);
      expect(port.write(reply, 5, reply.length)).toBe(SENT);
      await until(() => heard.length === 1);
      expect(heard).toEqual(['33 octets from port 9']);
      expect(port.counters).toMatchObject({ refused: 0, dropped: 0, errors: 0 });
    });
  }

  it('frames that are not IP, of every length, and those in a VLAN, pass as they are both ways', async () => {
    for (const offload of [undefined, {}]) {
      const { port, kept } = tap({ offload, addresses: [] });
      const other = new Kept(pool);
      const wire = openPacketSocket({
        device: 'bh-tap',
        promiscuous: true,
        pool,
        readiness: ready(),
        offload,
        receive: other.receive,
      });
      open.push(wire);
      const lengths = [0, 1, 2, 3, 19, 20, 46, 100, 1499, 1500];
      const plain = lengths.map((length) => frame(MAC_B, MAC_A, ETHER.test, counting(length)));
      const tagged = taggedFrame(MAC_B, MAC_A, 0x4005, ETHER.ipv4, counting(60));
      for (const each of [...plain, tagged]) expect(wire.write(each, 0, each.length)).toBe(SENT);
      await until(() => kept.frames.length === lengths.length + 1);
      expect(kept.frames).toEqual([...plain, tagged]);
      expect(kept.packets.every(({ segment, partial }) => segment === 0 && !partial)).toBe(true);

      for (const each of plain) expect(port.write(each, 0, each.length)).toBe(SENT);
      await until(() => other.frames.length === lengths.length);
      expect(other.frames).toEqual(plain);
      await wire.close();
      await port.close();
    }
  });

  it('leads host routes to the address of our end, and takes them back', () => {
    const { port } = tap({ nextHops: [far] });
    const routes = () =>
      sh('ip', ['route', 'show', 'dev', 'bh-tap', 'proto', 'static'])
        .trim()
        .split(/ *\n */);
    expect(port.route([pfx('10.2.0.0/16'), pfx('10.3.0.0/24')])).toEqual([]);
    expect(routes()).toEqual(['10.2.0.0/16 via 10.9.0.2', '10.3.0.0/24 via 10.9.0.2']);
    expect(port.route([pfx('10.3.0.0/24')])).toEqual([]);
    expect(routes()).toEqual(['10.3.0.0/24 via 10.9.0.2']);
  });

  it('refuses a second device of the name and an MTU beyond the pool, and leaves nothing', () => {
    tap();
    const before = readdirSync('/proc/self/fd').length;
    const failure = (more: Partial<TapOptions>): SystemError => {
      try {
        openTap({ device: 'bh-tap', mtu: 1500, pool, receive: () => {}, ...more });
      } catch (error) {
        if (error instanceof SystemError) return error;
      }
      throw new Error('no SystemError');
    };
    expect(failure({}).message).toMatch(/^creating TAP device bh-tap: .* \(EBUSY\)\. A device of that name exists/);
    expect(failure({ device: 'bh-big', mtu: 9001 }).message).toMatch(/^TAP device bh-big: .* \(EMSGSIZE\)/);
    expect(failure({ device: 'bh-mac', mac: BROADCAST }).message).toMatch(/^giving bh-mac its MAC address/);
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('tells when somebody deletes it, once, and goes quiet', async () => {
    const words: string[] = [];
    const { port } = tap({ failed: (why) => words.push(why) });
    sh('ip', ['link', 'del', 'bh-tap']);
    await until(() => words.length === 1);
    expect(words[0]).toMatch(/^TAP device bh-tap is gone: .*Reload to create it anew$/);
    expect(port.write(frame(MAC_A, MAC_B, ETHER.test, counting(50)), 0, 64)).toBe(FAILED);
    expect(words).toHaveLength(1);
  });
});

/** What the host asks before it sends to `far`. */
const arpPayload = (): Uint8Array => Uint8Array.of(0, 1, 8, 0, 6, 4, 0, 1, ...MAC_A, ...host, 0, 0, 0, 0, 0, 0, ...far);
