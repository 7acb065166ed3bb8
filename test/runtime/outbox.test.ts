/** The outbox over sockets and devices that only write down what they are given. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bytes, toHex } from '../../src/core/index.ts';
import {
  completeChecksum,
  type Endpoint,
  OFFLOAD_KIND,
  octetsOf,
  PASS,
  type Packet,
  PacketPool,
  parseAddress,
} from '../../src/ip/index.ts';
import { FAILED, FULL, SENT, type SendResult, TOO_BIG } from '../../src/runtime/index.ts';
import { Outbox, type PacketDevice } from '../../src/runtime/outbox.ts';
import type { BatchSocket, DatagramSocket } from '../../src/runtime/socket.ts';
import { arbitraryShape, naiveCut, PLAIN, packetOf, pooled, type Shape } from '../ip/superframe-support.ts';

let pool = new PacketPool(1024, 65535);
afterEach(() => {
  expect(pool.taken).toBe(0);
});

interface Call {
  readonly socket: string;
  readonly remote: Endpoint;
  readonly tos: number | undefined;
  readonly df: boolean | undefined;
  readonly datagrams: readonly string[];
}

/** Sockets and their calls, in order; what they have kept of a packet is a copy. */
class Sockets {
  readonly calls: Call[] = [];

  /** Of system calls. */
  batch(name: string, result: () => SendResult = () => SENT): DatagramSocket {
    const socket: Pick<BatchSocket, 'send' | 'sendBatch'> = {
      send: () => {
        throw new Error('a socket that sends batches is given batches');
      },
      sendBatch: (packets, from, count, remote, tos, df) => {
        const datagrams = packets.slice(from, from + count).flatMap(datagramsOf);
        this.calls.push({ socket: name, remote, tos, df, datagrams });
        return result();
      },
    };
    return socket as BatchSocket;
  }

  /** Of node:dgram. */
  single(name: string, result: () => SendResult = () => SENT): DatagramSocket {
    const socket: Pick<DatagramSocket, 'send'> = {
      send: (buf, start, end, remote, tos, df) => {
        this.calls.push({ socket: name, remote, tos, df, datagrams: [toHex(buf.subarray(start, end))] });
        return result();
      },
    };
    return socket as DatagramSocket;
  }
}

/** Of a packet that may be a train. */
function datagramsOf(packet: Packet): string[] {
  const octets = octetsOf(packet);
  if (packet.segment === 0) return [toHex(octets)];
  const all: string[] = [];
  for (let at = 0; at < octets.length; at += packet.segment) all.push(toHex(octets.slice(at, at + packet.segment)));
  return all;
}

const endpoint = (last: number, port = 4500): Endpoint => ({ address: parseAddress(`192.0.2.${last}`)!, port });
const datagram = (n: number): Packet => pooled(pool, Uint8Array.of(n >>> 8, n));
/** Of these datagrams back to back. */
function train(octets: readonly Bytes[]): Packet {
  const packet = pooled(pool, Uint8Array.from(octets.flatMap((each) => [...each])));
  packet.segment = octets[0]!.length;
  return packet;
}
const numbers = (calls: readonly Call[]): number[][] =>
  calls.map(({ datagrams }) => datagrams.map((hex) => Number.parseInt(hex, 16)));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('datagrams', () => {
  it('of one turn to one destination go in one call at its end', async () => {
    const sockets = new Sockets();
    const socket = sockets.batch('a');
    const outbox = new Outbox(pool);
    for (let n = 0; n < 5; n++) outbox.send(socket, endpoint(1), datagram(n), 0x2e, true);
    expect(sockets.calls).toEqual([]);
    expect(pool.taken).toBe(5);
    await turn();
    expect(numbers(sockets.calls)).toEqual([[0, 1, 2, 3, 4]]);
    expect(sockets.calls[0]).toMatchObject({ socket: 'a', remote: endpoint(1), tos: 0x2e, df: true });
    expect(pool.taken).toBe(0);
    await turn();
    expect(sockets.calls.length).toBe(1);
    outbox.send(socket, endpoint(1), datagram(9), 0x2e, true);
    await turn();
    expect(numbers(sockets.calls)).toEqual([[0, 1, 2, 3, 4], [9]]);
  });

  it('another socket, address, port, TOS or DF begins another call', () => {
    const sockets = new Sockets();
    const [a, b] = [sockets.batch('a'), sockets.batch('b')];
    const outbox = new Outbox(pool);
    const all: [DatagramSocket, Endpoint, number, boolean][] = [
      [a, endpoint(1), 0, false],
      [b, endpoint(1), 0, false],
      [b, endpoint(2), 0, false],
      [b, endpoint(2, 500), 0, false],
      [b, endpoint(2, 500), 1, false],
      [b, endpoint(2, 500), 1, true],
    ];
    for (const [n, [socket, remote, tos, df]] of all.entries()) {
      outbox.send(socket, remote, datagram(2 * n), tos, df);
      outbox.send(socket, { ...remote }, datagram(2 * n + 1), tos, df);
    }
    outbox.flush();
    expect(numbers(sockets.calls)).toEqual(all.map((_, n) => [2 * n, 2 * n + 1]));
    expect(sockets.calls.map(({ socket, remote, tos, df }) => [socket, remote, tos, df])).toEqual(
      all.map(([socket, ...rest]) => [socket === a ? 'a' : 'b', ...rest]),
    );
  });

  it('64 wait at most; then they go at once', async () => {
    const sockets = new Sockets();
    const socket = sockets.batch('a');
    const outbox = new Outbox(pool);
    for (let n = 0; n < 200; n++) outbox.send(socket, endpoint(1), datagram(n), 0, false);
    expect(numbers(sockets.calls).map(({ length }) => length)).toEqual([64, 64, 64]);
    await turn();
    expect(numbers(sockets.calls).map(({ length }) => length)).toEqual([64, 64, 64, 8]);
    expect(numbers(sockets.calls).flat()).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('a socket without batches is given one after the other', () => {
    const sockets = new Sockets();
    const socket = sockets.single('a');
    const outbox = new Outbox(pool);
    for (let n = 0; n < 70; n++) outbox.send(socket, endpoint(1), datagram(n), 3, true);
    outbox.flush();
    expect(numbers(sockets.calls)).toEqual(Array.from({ length: 70 }, (_, n) => [n]));
    expect(sockets.calls.every(({ tos, df }) => tos === 3 && df === true)).toBe(true);
  });

  it('a train goes as one packet to a socket with batches, datagram by datagram to one without', () => {
    const sockets = new Sockets();
    const outbox = new Outbox(pool);
    const lengths = [[100, 100, 40], [7], [50, 50]];
    const all = lengths.map((each, i) => each.map((length) => new Uint8Array(length).fill(i + 1)));
    for (const socket of [sockets.batch('a'), sockets.single('b')]) {
      for (const datagrams of all) outbox.send(socket, endpoint(1), train(datagrams), 5, true);
      outbox.flush();
    }
    const each = all.flat().map((octets) => toHex(octets));
    expect(sockets.calls.map(({ socket, datagrams }) => [socket, datagrams])).toEqual([
      ['a', each],
      ...each.map((one) => ['b', [one]]),
    ]);
    expect(sockets.calls.every(({ tos, df }) => tos === 5 && df === true)).toBe(true);
  });

  it.each([
    [65_000, [4, 4, 2]],
    [65_536, [4, 4, 2]],
    [65_537, [3, 3, 3, 1]],
    [2000, [10]],
  ])('256 KiB wait at most: trains of %d octets', (length, expected) => {
    const before = pool;
    pool = new PacketPool(12, 70_000);
    const sockets = new Sockets();
    const socket = sockets.batch('a');
    const outbox = new Outbox(pool);
    let most = 0;
    for (let n = 0; n < 10; n++) {
      outbox.send(socket, endpoint(1), train([new Uint8Array(length).fill(n)]), 0, false);
      most = Math.max(most, pool.taken);
    }
    outbox.flush();
    expect(sockets.calls.map(({ datagrams }) => datagrams.length)).toEqual(expected);
    expect(most).toBe(Math.max(...expected));
    expect(
      sockets.calls.flatMap(({ datagrams }) => datagrams.map((hex) => Number.parseInt(hex.slice(0, 2), 16))),
    ).toEqual([...Array(10).keys()]);
    expect(pool.taken).toBe(0);
    pool = before;
  });

  it('one flush is asked for, whatever was flushed meanwhile', () => {
    const sockets = new Sockets();
    const socket = sockets.batch('a');
    const asked: (() => void)[] = [];
    const outbox = new Outbox(
      pool,
      () => {},
      (flush) => asked.push(flush),
    );
    for (let n = 0; n < 6; n++) outbox.send(socket, endpoint(n), datagram(n), 0, false);
    outbox.flush();
    outbox.send(socket, endpoint(1), datagram(6), 0, false);
    expect([asked.length, pool.taken]).toEqual([1, 1]);
    asked[0]!();
    expect(numbers(sockets.calls)).toEqual([[0], [1], [2], [3], [4], [5], [6]]);
    outbox.send(socket, endpoint(1), datagram(7), 0, false);
    expect([asked.length, pool.taken]).toEqual([2, 1]);
    asked[1]!();
    expect(numbers(sockets.calls).at(-1)).toEqual([7]);
  });

  it('whether one was too big is told once a call, with both ends, of both kinds of sockets', () => {
    for (const kind of ['batch', 'single'] as const) {
      const told: unknown[] = [];
      const says: SendResult[] = [];
      const sockets = new Sockets();
      const result = (): SendResult => says.shift() ?? SENT;
      const socket = Object.assign(sockets[kind]('a', result), { local: endpoint(9) });
      const outbox = new Outbox(pool, (local, remote) => told.push([local, remote]));
      for (const worst of [SENT, TOO_BIG, FULL, FAILED] satisfies SendResult[]) {
        says.push(worst);
        outbox.send(socket, endpoint(1), datagram(1), 0, true);
        outbox.send(socket, endpoint(1), datagram(2), 0, true);
        outbox.flush();
      }
      expect(told).toEqual([[endpoint(9), endpoint(1)]]);
    }
  });

  it('any: nothing is lost or doubled, the order is that of the calls, whatever the kernel says', () => {
    const step = fc.record({
      socket: fc.nat(2),
      remote: fc.nat(2),
      tos: fc.nat(1),
      df: fc.boolean(),
      run: fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 60, max: 130 })),
      /** Datagrams a packet. */
      cars: fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 9 })),
      flush: fc.boolean(),
    });
    const results = fc.array(fc.constantFrom(SENT, FULL, TOO_BIG, FAILED), { minLength: 1, maxLength: 7 });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), results, (steps, says) => {
        const sockets = new Sockets();
        let calls = 0;
        const result = (): SendResult => says[calls++ % says.length]!;
        const made = [sockets.batch('0', result), sockets.batch('1', result), sockets.single('2', result)];
        const outbox = new Outbox(pool);
        const given: unknown[] = [];
        const packets = new Map<number, number>();
        let n = 0;
        for (const { socket, remote, tos, df, run, cars, flush } of steps) {
          for (let i = 0; i < run; i++) {
            const octets: Bytes[] = [];
            for (let car = 0; car < cars; car++, n++) {
              given.push([String(socket), remote, tos, df, n]);
              octets.push(Uint8Array.of(n >>> 8, n));
              packets.set(n, car === 0 ? 1 : 0);
            }
            outbox.send(made[socket]!, endpoint(remote), cars === 1 ? datagram(n - 1) : train(octets), tos, df);
          }
          if (flush) outbox.flush();
          if (flush) expect(pool.taken).toBe(0);
        }
        outbox.flush();
        const taken = sockets.calls.flatMap(({ socket, remote, tos, df, datagrams }) =>
          datagrams.map((hex) => [socket, remote.address.at(-1), tos, df, Number.parseInt(hex, 16)]),
        );
        expect(taken).toEqual(given);
        const sizes = numbers(sockets.calls).map((call) => call.reduce((sum, each) => sum + packets.get(each)!, 0));
        expect(sizes.every((size) => size <= 64)).toBe(true);
        expect(pool.taken).toBe(0);
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});

interface DeviceOptions {
  /** Takes a header before each frame, and so TCP superframes. */
  readonly vnet?: boolean;
  readonly uso?: boolean;
  readonly result?: () => SendResult;
}

/** A device and the packets of the wire that the host would make of what it was given. */
class Device implements PacketDevice {
  /** How many packets each write was, and its protocol. */
  readonly writes: number[] = [];
  readonly wire: string[] = [];
  refused = 0;
  readonly #options: DeviceOptions;

  constructor(options: DeviceOptions = {}) {
    this.#options = options;
  }

  takes(kind: number): boolean {
    const { vnet = true, uso = true } = this.#options;
    return kind === OFFLOAD_KIND.none || (vnet && (kind !== OFFLOAD_KIND.udp || uso));
  }

  writePacket(packet: Packet): SendResult {
    const { segment } = packet;
    const octets = octetsOf(packet).slice();
    if (segment > 0 && !this.takes(kindOf(octets))) return this.#refuse();
    if (segment === 0 && completeChecksum(packet) !== PASS) return this.#refuse();
    return this.#write(segment > 0 ? octets : octetsOf(packet).slice(), segment);
  }

  #write(octets: Bytes, segment: number): SendResult {
    const { at, payloadAt, protocol } = partsOf(octets);
    const pieces = segment > 0 ? naiveCut(octets, at, payloadAt, protocol, segment) : [octets];
    this.writes.push(pieces.length);
    this.wire.push(...pieces.map((piece) => toHex(piece)));
    return this.#options.result?.() ?? SENT;
  }

  #refuse(): SendResult {
    this.refused += 1;
    return FAILED;
  }
}

/** Of packets without IPv4 options and extension headers. */
function partsOf(octets: Bytes): { readonly at: number; readonly payloadAt: number; readonly protocol: number } {
  const v6 = octets[0]! >>> 4 === 6;
  const at = v6 ? 40 : 20;
  const protocol = octets[v6 ? 6 : 9]!;
  return { at, payloadAt: at + (protocol === 6 ? (octets[at + 12]! >>> 4) * 4 : 8), protocol };
}

function kindOf(octets: Bytes): number {
  if (partsOf(octets).protocol === 17) return OFFLOAD_KIND.udp;
  return octets[0]! >>> 4 === 6 ? OFFLOAD_KIND.tcp6 : OFFLOAD_KIND.tcp4;
}

/** Packets of one flow, as a sender's kernel cuts them. */
const flow = (shape: Shape, count: number, size = 100): Bytes[] => {
  const whole = packetOf(shape, new Uint8Array(count * size).fill(count));
  const { at, payloadAt, protocol } = partsOf(whole);
  return naiveCut(whole, at, payloadAt, protocol, size);
};

const UDP: Shape = { ...PLAIN, tcp: false };
const write = (outbox: Outbox, device: Device, octets: readonly Bytes[]): void => {
  for (const each of octets) outbox.write(device, pooled(pool, each));
};

describe('packets for a device', () => {
  it('are written at once, one by one', () => {
    const device = new Device();
    const outbox = new Outbox(
      pool,
      () => {},
      () => expect.fail('nothing waits'),
    );
    for (const octets of flow(PLAIN, 300)) {
      outbox.write(device, pooled(pool, octets));
      expect([device.wire.at(-1), pool.taken]).toEqual([toHex(octets), 0]);
    }
    expect(device.writes).toEqual(new Array(300).fill(1));
  });

  it('without a header before the frame everything goes one by one, checksums computed', () => {
    const device = new Device({ vnet: false });
    const outbox = new Outbox(pool);
    const packets = [...flow(PLAIN, 3), ...flow(UDP, 3), ...flow({ ...PLAIN, v6: true }, 2)];
    for (const octets of packets) {
      const owing = octets.slice();
      const { at, protocol } = partsOf(owing);
      owing.fill(0x77, at + (protocol === 6 ? 16 : 6), at + (protocol === 6 ? 18 : 8));
      outbox.write(device, pooled(pool, owing, 0, true));
    }
    expect(device.wire).toEqual(packets.map((packet) => toHex(packet)));
    expect([device.refused, pool.taken]).toEqual([0, 0]);
  });

  it('two devices do not meet', () => {
    const [a, b] = [new Device(), new Device()];
    const outbox = new Outbox(pool);
    const [there, here] = [flow(PLAIN, 4), flow({ ...PLAIN, sequence: 70 }, 4)];
    for (let i = 0; i < 4; i++) {
      write(outbox, a, [there[i]!]);
      write(outbox, b, [here[i]!]);
    }
    expect(a.wire).toEqual(there.map((packet) => toHex(packet)));
    expect(b.wire).toEqual(here.map((packet) => toHex(packet)));
  });

  it.each<SendResult>([FULL, FAILED])('result %d of the kernel: all are released, and the next are tried', (result) => {
    const outbox = new Outbox(pool);
    const device = new Device({ uso: false, result: () => result });
    write(outbox, device, [...flow(PLAIN, 4), ...flow(UDP, 3)]);
    outbox.write(device, pooled(pool, packetOf(PLAIN, new Uint8Array(300)), 100, true));
    outbox.write(device, pooled(pool, packetOf(UDP, new Uint8Array(300)), 100, true));
    expect(device.writes).toEqual([1, 1, 1, 1, 1, 1, 1, 3, 1, 1, 1]);
    expect(pool.taken).toBe(0);
  });
});

describe('a superframe for a device', () => {
  const DATA = new Uint8Array(5000).fill(7);

  it.each([
    ['TCP over IPv4', PLAIN, { vnet: true }, [5]],
    ['TCP over IPv4, no superframes', PLAIN, { vnet: false }, [1, 1, 1, 1, 1]],
    ['TCP over IPv6, no superframes', { ...PLAIN, v6: true }, { vnet: false }, [1, 1, 1, 1, 1]],
    ['UDP', UDP, { vnet: true }, [5]],
    ['UDP, none of UDP', UDP, { uso: false }, [1, 1, 1, 1, 1]],
    ['UDP over IPv6, none of UDP', { ...UDP, v6: true }, { uso: false }, [1, 1, 1, 1, 1]],
    ['UDP, no superframes', UDP, { vnet: false }, [1, 1, 1, 1, 1]],
  ] as const)('%s', (_, shape, options, writes) => {
    const device = new Device(options);
    const outbox = new Outbox(pool);
    const whole = packetOf(shape, DATA);
    const { at, payloadAt, protocol } = partsOf(whole);
    outbox.write(device, pooled(pool, whole, 1000, true));
    outbox.flush();
    expect(device.writes).toEqual(writes);
    expect(device.wire).toEqual(naiveCut(whole, at, payloadAt, protocol, 1000).map((piece) => toHex(piece)));
    expect([device.refused, pool.taken]).toEqual([0, 0]);
  });

  it('cannot be cut for want of room: the device counts one refusal, nothing is kept', () => {
    const before = pool;
    pool = new PacketPool(5, 65535);
    const device = new Device({ vnet: false });
    const outbox = new Outbox(pool);
    outbox.write(device, pooled(pool, packetOf(PLAIN, DATA), 1000, true));
    expect([device.writes, device.refused, pool.taken]).toEqual([[], 1, 0]);
    outbox.write(device, pooled(pool, packetOf(PLAIN, DATA), 1250, true));
    expect([device.writes, device.refused, pool.taken]).toEqual([[1, 1, 1, 1], 1, 0]);
    pool = before;
  });

  it('any packets for any device: all arrive whole and in order', () => {
    const arbitraryPacket = fc.record({
      shape: fc.oneof(
        fc.constantFrom(PLAIN, UDP, { ...PLAIN, v6: true }, { ...UDP, v6: true }, { ...PLAIN, sourcePort: 9 }),
        arbitraryShape,
      ),
      size: fc.nat(600),
      segment: fc.constantFrom(0, 0, 0, 100, 250),
      partial: fc.boolean(),
    });
    const device = fc.constantFrom<DeviceOptions>({}, { uso: false }, { vnet: false });
    fc.assert(
      fc.property(fc.array(arbitraryPacket, { maxLength: 40 }), device, (packets, options) => {
        const to = new Device(options);
        const outbox = new Outbox(pool);
        const expected: string[] = [];
        let sequence = 0;
        for (const { shape: any, size, segment, partial } of packets) {
          // TCP goes on where it was.
          const shape = { ...any, sequence, identification: sequence & 0xffff };
          sequence += size;
          const whole = packetOf(shape, new Uint8Array(size).fill(sequence));
          const { at, payloadAt, protocol } = partsOf(whole);
          outbox.write(to, pooled(pool, whole, segment, segment > 0 || partial));
          const pieces = segment > 0 ? naiveCut(whole, at, payloadAt, protocol, segment) : [whole];
          expected.push(...pieces.map((piece) => toHex(piece)));
        }
        expect([to.refused, pool.taken]).toEqual([0, 0]);
        expect(to.wire).toEqual(expected);
      }),
      { numRuns: 150, seed: 5 },
    );
  });
});
