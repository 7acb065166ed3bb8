import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import {
  type Address,
  buildTcp,
  buildUdp,
  Coalescer,
  cutSuperframe,
  describeOffload,
  type Endpoint,
  foldSum,
  formatAddress,
  mssOption,
  newOffload,
  OFFLOAD_KIND,
  octetsOf,
  type Packet,
  PacketPool,
  pseudoHeaderSum,
  segmentCount,
  TCP_FLAG,
  tcpChecksum,
  tcpDestinationPort,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpSourcePort,
  transportChecksumHolds,
  VIRTIO_HEADER,
  wrapPacket,
} from '../../src/ip/index.ts';
import {
  FAILED,
  openNativeUdp,
  openTun,
  PollSet,
  Readiness,
  requireSyscalls,
  SENT,
  type Tun,
  type TunOffloadOptions,
  type TunOptions,
} from '../../src/runtime/index.ts';
import { addr, counting, pfx } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { sh, until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns', 'tun'] as const;
const able = missingPeers(...NEEDS).length === 0;
if (able) {
  enterPrivateNetwork();
  // Others pace: how much comes at once would depend on the clock.
  sh('sysctl', ['-qw', 'net.ipv4.tcp_congestion_control=reno']);
}

const offload = newOffload();
const open: { close(): Promise<void> }[] = [];
const pools: PacketPool[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  for (const pool of pools.splice(0)) expect(pool.taken).toBe(0);
  expect(Object.keys(networkInterfaces())).toEqual(['lo']);
});

function pool(size = 256, capacity = 65535): PacketPool {
  const made = new PacketPool(size, capacity);
  pools.push(made);
  return made;
}

function ready(): Readiness {
  const made = new Readiness();
  open.push(made);
  return made;
}

const DEVICE = { device: 'bh-vnet', mtu: 1400, addresses: [pfx('10.9.0.1/24'), pfx('2001:db8:9::1/64')] };

function tun(options: Partial<TunOptions> & Pick<TunOptions, 'pool' | 'receive'>): Tun {
  const device = openTun({ ...DEVICE, offload: {}, ...options });
  open.push(device);
  return device;
}

/** Linux delivers to a fresh IPv6 address a moment after it was added: its local route comes from a queue of work. */
const deliverable = (host: Address): Promise<void> =>
  until(() => host.length === 4 || sh('ip', ['-6', 'route', 'show', 'table', 'local']).includes(formatAddress(host)));

const ipHeader = (packet: Packet): number => (packet.buf[packet.start]! >>> 4 === 4 ? 20 : 40);
const protocol = (packet: Packet): number =>
  packet.buf[packet.start]! >>> 4 === 4 ? packet.buf[packet.start + 9]! : packet.buf[packet.start + 6]!;
const TCP = 6;
const UDP = 17;

/** What stands before a packet that was just read. */
function virtioHeader({ buf, start }: Packet): Record<string, number> {
  const view = new DataView(buf.buffer, buf.byteOffset + start - VIRTIO_HEADER, VIRTIO_HEADER);
  const word = (at: number): number => view.getUint16(at, true);
  return { flags: buf[start - 10]!, type: buf[start - 9]!, segment: word(4), from: word(6), field: word(8) };
}

interface Seen {
  readonly segment: number;
  readonly partial: boolean;
  readonly octets: number;
  readonly pieces: number;
}

/** The other end of one TCP connection of the host's, made of packets: takes the stream in order and acknowledges it. */
class FarEnd {
  readonly seen: Seen[] = [];
  readonly headers: Record<string, number>[] = [];
  readonly chunks: Uint8Array[] = [];
  octets = 0;
  /** Set when SYN and ACK have been exchanged. */
  established = false;
  port = 0;
  #next = 0;
  #sequence = 0x7fff_fff0;
  #identification = 0xfffe;
  readonly here: Address;
  readonly host: Address;
  readonly ownPort: number;
  write: (octets: Uint8Array) => void = () => {};
  readonly problems: string[] = [];

  constructor(host: Address, here: Address, ownPort: number) {
    this.host = host;
    this.here = here;
    this.ownPort = ownPort;
  }

  get sequence(): number {
    return this.#sequence;
  }

  segment(flags: number, data: Uint8Array = new Uint8Array(0), options?: Uint8Array): Uint8Array {
    this.#identification = (this.#identification + 1) & 0xffff;
    const octets = buildTcp(
      {
        identification: this.#identification,
        source: this.here,
        destination: this.host,
        sourcePort: this.ownPort,
        destinationPort: this.port,
        sequence: this.#sequence,
        acknowledgment: (flags & TCP_FLAG.ack) === 0 ? 0 : this.#next,
        flags,
        ...(options === undefined ? {} : { options }),
      },
      data,
    );
    this.#sequence = (this.#sequence + data.length + ((flags & (TCP_FLAG.syn | TCP_FLAG.fin)) === 0 ? 0 : 1)) >>> 0;
    return octets;
  }

  take(packet: Packet): void {
    const at = packet.start + ipHeader(packet);
    const { buf, end } = packet;
    if (protocol(packet) !== TCP || tcpDestinationPort(buf, at) !== this.ownPort) return;
    const flags = tcpFlags(buf, at);
    if ((flags & TCP_FLAG.rst) !== 0) {
      this.problems.push('RST');
      return;
    }
    if ((flags & TCP_FLAG.syn) !== 0) {
      this.port = tcpSourcePort(buf, at);
      this.#next = (tcpSequence(buf, at) + 1) >>> 0;
      if ((flags & TCP_FLAG.ack) === 0)
        this.write(this.segment(TCP_FLAG.syn | TCP_FLAG.ack, undefined, mssOption(1200)));
      else {
        this.write(this.segment(TCP_FLAG.ack));
        this.established = true;
      }
      return;
    }
    const data = at + tcpHeaderLength(buf, at);
    if (data === end) return;
    if (tcpSequence(buf, at) !== this.#next) {
      if (((this.#next - tcpSequence(buf, at)) | 0) < 0) this.problems.push('a gap');
      return;
    }
    this.#note(packet, at, data);
    this.#next = (this.#next + end - data) >>> 0;
    this.octets += end - data;
    this.chunks.push(buf.slice(data, end));
    this.write(this.segment(TCP_FLAG.ack));
  }

  #note(packet: Packet, at: number, data: number): void {
    const { buf, start, end, segment, partial } = packet;
    this.seen.push({ segment, partial, octets: end - data, pieces: segmentCount(packet) });
    if (partial) {
      if (tcpChecksum(buf, at) !== foldSum(pseudoHeaderSum(buf, start, TCP, end - at)))
        this.problems.push('a partial checksum that is not the sum of the pseudo header');
    } else if (!transportChecksumHolds(buf, start, at, end, TCP)) this.problems.push('a wrong checksum');
    if (segment > 0) this.headers.push(virtioHeader(packet));
  }
}

const FAMILIES = [
  { family: 'IPv4', host: addr('10.9.0.1'), far: addr('10.9.0.2'), kind: OFFLOAD_KIND.tcp4, from: 20 },
  { family: 'IPv6', host: addr('2001:db8:9::1'), far: addr('2001:db8:9::2'), kind: OFFLOAD_KIND.tcp6, from: 40 },
] as const;

const stream = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13) & 0xff);
const joined = (chunks: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(chunks));
const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** Has the host send `octets` by TCP through a device to a far end, which tells how they came. */
async function hostSends(
  { host, far }: { readonly host: Address; readonly far: Address },
  offload: TunOffloadOptions | undefined,
  octets: Uint8Array,
  from = pool(),
): Promise<{ device: Tun; end: FarEnd }> {
  const end = new FarEnd(host, far, 80);
  const device = tun({
    pool: from,
    readiness: ready(),
    offload,
    receive: (packet) => {
      end.take(packet);
      from.release(packet);
    },
  });
  end.write = (segment) => expect(device.write(segment, 0, segment.length)).toBe(SENT);
  const socket = createConnection({ host: formatAddress(far), port: 80 });
  open.push({ close: async () => void socket.destroy() });
  const failed: Error[] = [];
  socket.on('error', (error) => failed.push(error));
  socket.write(octets);
  await until(() => end.octets >= octets.length || failed.length > 0);
  expect(failed).toEqual([]);
  expect(end.problems).toEqual([]);
  expect(same(joined(end.chunks), octets)).toBe(true);
  return { device, end };
}

const suite = requirePeers(...NEEDS);
const USED = { used: true, why: '' };
const ALL = { vnetHeader: USED, checksum: USED, tso4: USED, tso6: USED, ecn: USED, uso: USED, limits: USED };

suite('superframes from the host', () => {
  it.each(FAMILIES)('TCP over $family: as many segments as told, checksums owed, every octet there', async (family) => {
    const { device, end } = await hostSends(family, { maxSegments: 20 }, stream(500_000));
    expect(device.offloads).toEqual(ALL);
    const large = end.seen.filter((each) => each.segment > 0);
    expect(large.length).toBeGreaterThan(5);
    expect(device.superframes.received).toBe(large.length);
    expect(new Set(large.map((each) => each.segment))).toEqual(new Set([1200]));
    expect(Math.max(...large.map((each) => each.pieces))).toBe(20);
    expect(end.seen.every((each) => each.partial && each.pieces <= 20)).toBe(true);
    expect(end.seen.every((each) => each.pieces === Math.ceil(each.octets / 1200))).toBe(true);
    for (const header of end.headers) {
      expect(header).toEqual({ flags: 1, type: family.kind, segment: 1200, from: family.from, field: 16 });
    }
  });

  it('are no larger than a packet of the pool', async () => {
    const small = pool(128, 9728);
    const { device, end } = await hostSends(FAMILIES[0], {}, stream(300_000), small);
    expect(device.offloads).toEqual(ALL);
    expect(end.seen.some((each) => each.pieces > 3)).toBe(true);
    expect(end.seen.every((each) => each.octets + 40 <= 9728)).toBe(true);
  });

  it('UDP: what UDP_SEGMENT sends comes whole, and cut is what was sent, with good checksums', () => {
    for (const { host, far } of FAMILIES) {
      const from = pool();
      const cut: Packet[] = [];
      let whole = 0;
      const device = tun({
        pool: from,
        receive: (packet) => {
          if (protocol(packet) === UDP) {
            expect(packet).toMatchObject({ segment: 1000, partial: true });
            whole += 1;
            const pieces: Packet[] = [];
            expect(cutSuperframe(packet, from, pieces)).toBe(11);
            cut.push(...pieces);
          }
          from.release(packet);
        },
      });
      const local: Endpoint = { address: host, port: 0 };
      const socket = openNativeUdp({ local, pool: from, receive: (packet) => from.release(packet), offload: {} });
      const data = stream(10_300);
      const packet = wrapPacket(data);
      packet.segment = 1000;
      expect(socket.sendBatch([packet], 0, 1, { address: far, port: 9 })).toBe(SENT);
      device.drain(100);
      expect(whole).toBe(1);
      expect(same(joined(cut.map((each) => octetsOf(each).slice(ipHeader(each) + 8))), data)).toBe(true);
      for (const each of cut) {
        expect(transportChecksumHolds(each.buf, each.start, each.start + ipHeader(each), each.end, UDP)).toBe(true);
        from.release(each);
      }
      void socket.close();
      void device.close();
    }
  });
});

suite('superframes to the host', () => {
  it.each(FAMILIES)(
    'TCP over $family: what a Coalescer joins arrives as the same stream',
    async ({ host, far, kind }) => {
      const from = pool();
      const end = new FarEnd(host, far, 40_000);
      const device = tun({
        pool: from,
        readiness: ready(),
        receive: (packet) => {
          end.take(packet);
          from.release(packet);
        },
      });
      end.write = (segment) => expect(device.write(segment, 0, segment.length)).toBe(SENT);
      await deliverable(host);
      const { came, port } = await listening(formatAddress(host));
      end.port = port;
      end.write(end.segment(TCP_FLAG.syn, undefined, mssOption(1300)));
      await until(() => end.established);

      const data = stream(200_000);
      const kinds = new Map<number, number>();
      const counts: number[] = [];
      const coalescer = new Coalescer({
        pool: from,
        emit: (packet) => {
          counts.push(segmentCount(packet));
          expect(device.writePacket(packet)).toBe(SENT);
          describeOffload(packet, offload);
          kinds.set(offload.kind, (kinds.get(offload.kind) ?? 0) + 1);
          from.release(packet);
        },
        grows: () => true,
      });
      let at = 0;
      // No more than the window of the host at once.
      for (const count of [1, 2, 20, 24, 10, 1, 24, 24, 24, 24]) {
        for (let i = 0; i < count; i++) {
          const length = Math.min(i === count - 1 ? 777 : 1300, data.length - at);
          const packet = from.from(end.segment(TCP_FLAG.ack, data.subarray(at, at + length)))!;
          at += length;
          coalescer.add(packet);
        }
        coalescer.flush();
        expect(counts.splice(0)).toEqual([count]);
        await until(() => came.octets === at);
      }
      expect(kinds).toEqual(
        new Map([
          [OFFLOAD_KIND.none, 2],
          [kind, 8],
        ]),
      );
      expect(device.superframes.sent).toBe(8);

      // One packet that is a superframe, its checksum owed.
      const more = data.subarray(at, at + 30_000);
      const superframe = wrapPacket(end.segment(TCP_FLAG.ack, more));
      superframe.segment = 1300;
      superframe.partial = true;
      expect(device.writePacket(superframe)).toBe(SENT);
      at += more.length;
      await until(() => came.octets === at);
      expect(device.superframes.sent).toBe(9);
      expect(end.problems).toEqual([]);
      expect(same(joined(came.chunks), data.subarray(0, at))).toBe(true);
    },
  );

  it('UDP: a coalesced superframe arrives as its datagrams, aggregated or one by one', async () => {
    for (const { host, far } of FAMILIES) {
      for (const without of [[], ['gro']] as const) {
        const from = pool();
        const device = tun({ pool: from, receive: (packet) => from.release(packet) });
        await deliverable(host);
        const got: Uint8Array[] = [];
        let packets = 0;
        const socket = openNativeUdp({
          local: { address: host, port: 7000 },
          pool: from,
          offload: { without },
          receive: (packet) => {
            packets += 1;
            const step = packet.segment === 0 ? packet.end - packet.start : packet.segment;
            for (let o = packet.start; o < packet.end; o += step)
              got.push(packet.buf.slice(o, Math.min(o + step, packet.end)));
            from.release(packet);
          },
        });
        const sent = [900, 900, 900, 900, 44].map((length, i) => stream(length).map((octet) => octet ^ i));
        const coalescer = new Coalescer({
          pool: from,
          emit: (packet) => {
            describeOffload(packet, offload);
            expect([offload.kind, segmentCount(packet)]).toEqual([OFFLOAD_KIND.udp, 5]);
            expect(device.writePacket(packet)).toBe(SENT);
            from.release(packet);
          },
          grows: () => true,
        });
        const ports = { sourcePort: 9, destinationPort: 7000 };
        for (const [i, data] of sent.entries())
          coalescer.add(
            from.from(buildUdp({ source: far, destination: host, ...ports, identification: 5 + i }, data))!,
          );
        coalescer.flush();
        const set = new PollSet(requireSyscalls(), 1);
        set.add(socket.fd);
        while (got.length < 5 && set.wait(2000) > 0) socket.drain(64);
        expect(got).toEqual(sent);
        expect(packets).toBe(without.length === 0 ? 1 : 5);
        void socket.close();
        void device.close();
      }
    }
  });

  it('a packet that owes its checksum arrives, with the header and without', () => {
    for (const offload of [{}, undefined]) {
      const from = pool();
      const device = tun({ pool: from, offload, receive: (packet) => from.release(packet) });
      const got: Uint8Array[] = [];
      const socket = openNativeUdp({
        local: { address: addr('10.9.0.1'), port: 7000 },
        pool: from,
        receive: (packet) => {
          got.push(octetsOf(packet).slice());
          from.release(packet);
        },
      });
      const ends = { source: addr('10.9.0.2'), destination: addr('10.9.0.1'), sourcePort: 9, destinationPort: 7000 };
      const packet = wrapPacket(buildUdp(ends, counting(55)));
      packet.buf.set([0x12, 0x34], 26);
      packet.partial = true;
      expect(device.writePacket(packet)).toBe(SENT);
      const set = new PollSet(requireSyscalls(), 1);
      set.add(socket.fd);
      expect(set.wait(2000)).toBe(1);
      socket.drain(4);
      expect(got).toEqual([counting(55)]);
      void socket.close();
      void device.close();
    }
  });

  function listening(host: string): Promise<{ came: { octets: number; chunks: Uint8Array[] }; port: number }> {
    const came = { octets: 0, chunks: [] as Uint8Array[] };
    const accepted: Socket[] = [];
    const server: Server = createServer((socket) => {
      accepted.push(socket);
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        came.chunks.push(chunk);
        came.octets += chunk.length;
      });
    });
    open.push({
      close: () => {
        for (const socket of accepted) socket.destroy();
        return new Promise((resolve) => server.close(() => resolve()));
      },
    });
    return new Promise((resolve) => {
      server.listen(0, host, () => resolve({ came, port: (server.address() as { port: number }).port }));
    });
  }
});

suite('a TUN device without an offload', () => {
  const OFF = { used: false, why: 'switched off' };
  const missing = { used: false, why: 'needs what is missing: switched off' };
  const none = (why: string) => Object.fromEntries(Object.keys(ALL).map((name) => [name, { used: false, why }]));

  it.each([
    { offload: undefined, offloads: none('not asked for'), partial: false },
    { offload: { without: ['vnetHeader'] }, offloads: none('switched off'), partial: false },
    {
      offload: { without: ['checksum'] },
      offloads: { ...ALL, checksum: OFF, tso4: missing, tso6: missing, ecn: undefined, uso: missing },
      partial: false,
    },
    { offload: { without: ['tso4'] }, offloads: { ...ALL, tso4: OFF }, partial: true },
    {
      offload: { without: ['tso4', 'tso6', 'uso'] },
      offloads: { ...ALL, tso4: OFF, tso6: OFF, uso: OFF },
      partial: true,
    },
  ] as const)('$offload: the same TCP stream comes in single packets', async ({ offload, offloads, partial }) => {
    const { device, end } = await hostSends(FAMILIES[0], offload, stream(100_000));
    for (const [name, state] of Object.entries(offloads)) {
      // TCP superframes with ECN go by those without.
      if (name !== 'ecn') expect([name, device.offloads[name as keyof typeof ALL]]).toEqual([name, state]);
    }
    expect(end.seen.every((each) => each.segment === 0 && each.partial === partial && each.octets <= 1200)).toBe(true);
    expect(device.superframes.received).toBe(0);
  });

  it('one family does not need the other', async () => {
    const { end } = await hostSends(FAMILIES[1], { without: ['tso4'] }, stream(100_000));
    expect(end.seen.some((each) => each.segment === 1200)).toBe(true);
  });

  it('a host that does not bound superframes sends none to a pool of small packets', async () => {
    const small = pool(128, 9728);
    const { device, end } = await hostSends(FAMILIES[0], { without: ['limits'] }, stream(100_000), small);
    const { checksum, tso4, uso } = device.offloads;
    expect([checksum, tso4, uso]).toEqual([USED, missing, missing]);
    expect(end.seen.every((each) => each.segment === 0 && each.partial)).toBe(true);
  });

  it('refuses superframes, and says beforehand which', () => {
    const from = pool();
    const data = buildUdp(
      { source: addr('10.9.0.2'), destination: addr('10.9.0.1'), sourcePort: 9, destinationPort: 9 },
      counting(3000),
    );
    const superframe = (): Packet => Object.assign(wrapPacket(data.slice()), { segment: 1000, partial: true });
    for (const offload of [undefined, { without: ['uso'] }] as const) {
      const device = tun({ pool: from, offload, receive: (packet) => from.release(packet) });
      const { none: plain, tcp4, tcp6, udp } = OFFLOAD_KIND;
      const tcp = offload !== undefined;
      expect([plain, tcp4, tcp6, udp].map((kind) => device.takes(kind))).toEqual([true, tcp, tcp, false]);
      expect(device.writePacket(superframe())).toBe(FAILED);
      const coalescer = new Coalescer({
        pool: from,
        emit: (packet) => {
          expect(segmentCount(packet)).toBe(2);
          expect(device.writePacket(packet)).toBe(FAILED);
          from.release(packet);
        },
        grows: () => true,
      });
      for (let i = 0; i < 2; i++) {
        const ends = { source: addr('10.9.0.2'), destination: addr('10.9.0.1'), sourcePort: 9, destinationPort: 9 };
        coalescer.add(wrapPacket(buildUdp({ ...ends, identification: i }, counting(100))));
      }
      coalescer.flush();
      expect(device.counters).toMatchObject({ sent: 0, refused: 2 });
      void device.close();
    }
  });
});

suite('a TUN device without an event loop', () => {
  it('is drained by its owner, no more than asked for, and gone when close returns', () => {
    const from = pool(16);
    const got: number[] = [];
    let received = 0;
    const sys = requireSyscalls();
    const device = tun({
      pool: from,
      receive: (packet) => {
        received++;
        if (protocol(packet) === UDP) got.push(packet.end - packet.start);
        from.release(packet);
      },
    });
    // The host speaks on a fresh link when it likes (IGMP, MLD): its packets count, but are not what was sent here.
    sh('sysctl', ['-qw', `net.ipv6.conf.${DEVICE.device}.disable_ipv6=1`]);
    const set = new PollSet(sys, 1);
    set.add(device.fd);
    while (set.wait(50) > 0) device.drain(8);
    received = 0;
    const socket = openNativeUdp({
      local: { address: addr('10.9.0.1'), port: 0 },
      pool: from,
      receive: (packet) => from.release(packet),
    });
    for (let i = 1; i <= 5; i++) socket.send(counting(i), 0, i, { address: addr('10.9.0.2'), port: 9 });
    expect(set.wait(1000)).toBe(1);
    const drained = [device.drain(2), device.drain(100), device.drain(100)];
    expect(drained).toEqual([2, received - 2, 0]);
    expect(got).toEqual([29, 30, 31, 32, 33]);
    void socket.close();
    void device.close();
    expect(Object.keys(networkInterfaces())).toEqual(['lo']);
    expect(sys.fcntl(device.fd, 1, 0)).toBe(-1);
    expect(device.drain(1)).toBe(0);
    expect(device.write(counting(40), 0, 40)).toBe(FAILED);
  });

  it('tells once that it was deleted', () => {
    const words: string[] = [];
    const from = pool(16);
    const device = tun({ pool: from, receive: (packet) => from.release(packet), failed: (why) => words.push(why) });
    sh('ip', ['link', 'del', 'bh-vnet']);
    for (let i = 0; i < 3; i++) expect(device.drain(100)).toBe(0);
    expect(words).toHaveLength(1);
    expect(words[0]).toMatch(/^TUN device bh-vnet is gone/);
  });

  it('loses, and counts, what the pool has no packet for', () => {
    const from = pool(2);
    const device = tun({ pool: from, receive: (packet) => from.release(packet) });
    device.drain(100);
    const socket = openNativeUdp({
      local: { address: addr('10.9.0.1'), port: 0 },
      pool: from,
      receive: (packet) => from.release(packet),
    });
    const held = [from.take()!, from.take()!];
    socket.send(counting(5), 0, 5, { address: addr('10.9.0.2'), port: 9 });
    expect(device.drain(100)).toBeGreaterThan(0);
    expect(device.counters.dropped).toBeGreaterThan(0);
    for (const packet of held) from.release(packet);
    void socket.close();
  });
});
