/** TCP for a compartment's own addresses goes to control and comes from it: with two tenants that have identical addresses. */
import { expect, it } from 'vitest';
import type { Bytes } from '../../../src/core/index.ts';
import { seededRandom } from '../../../src/core/index.ts';
import { defaultEngine } from '../../../src/crypto/index.ts';
import { DataPlane, type PlaneCommand, type PlaneEvent } from '../../../src/gateway/dataplane/index.ts';
import {
  buildIcmpError,
  buildTcp,
  DROP,
  octetsOf,
  PacketPool,
  parseAddress,
  parsePrefix,
  TCP_FLAG,
  transportChecksumHolds,
} from '../../../src/ip/index.ts';

const OURS = parseAddress('10.1.0.1')!;
const THEIRS = parseAddress('10.1.0.9')!;
const RED = { compartment: 2, port: 12 };
const BLUE = { compartment: 3, port: 13 };

function twins(likeness = false) {
  const pool = new PacketPool(64, 9728);
  const left: { port: number; octets: Bytes }[] = [];
  const plane = new DataPlane({
    pool,
    random: seededRandom(1),
    engine: defaultEngine,
    likeness,
    output: {
      datagram: () => expect.fail('sealed'),
      underlay: () => expect.fail('sent'),
      packet: (port, packet) => {
        left.push({ port, octets: octetsOf(packet).slice() });
        pool.release(packet);
      },
    },
  });
  const command = (...commands: PlaneCommand[]) => {
    for (const each of commands) plane.command(each, 0);
  };
  for (const { compartment, port } of [RED, BLUE]) {
    const config = { name: 'inside', kind: 'tun', mtu: 1500, addresses: [parsePrefix('10.1.0.1/24', true)!] } as const;
    command(
      { do: 'add-compartment', compartment, name: `t${compartment}`, cells: compartment * 2 },
      { do: 'add-interface', compartment, interface: 1, config, cells: compartment * 2 + 1, way: { port } },
    );
  }
  const arrive = (port: number, octets: Bytes, segment = 0): readonly PlaneEvent[] => {
    const packet = pool.from(octets)!;
    packet.segment = segment;
    packet.partial = segment > 0;
    plane.packet(port, packet, 0);
    plane.flush(0);
    return plane.takeEvents();
  };
  return { plane, pool, left, command, arrive };
}

const syn = buildTcp({ source: THEIRS, destination: OURS, sourcePort: 4000, destinationPort: 179 });

it('a SYN to an own address is told to control, with the compartment it came into and as it came', () => {
  const { pool, left, command, arrive } = twins();
  command({ do: 'set-transport', compartment: BLUE.compartment, on: true });
  expect(arrive(BLUE.port, syn)).toEqual([{ type: 'transport', compartment: BLUE.compartment, octets: syn }]);
  expect(left).toEqual([]);
  expect(pool.taken).toBe(0);
});

it('RFC 1122 §3.2.2.1: where no endpoint is, TCP is unreachable as a protocol, for the twin too', () => {
  const { plane, left, command, arrive } = twins();
  command({ do: 'set-transport', compartment: BLUE.compartment, on: true });
  expect(arrive(RED.port, syn)).toEqual([]);
  expect(left.map(({ port }) => port)).toEqual([RED.port]);
  expect(left[0]!.octets.slice(20, 22)).toEqual(Uint8Array.of(3, 2));
  expect(plane.compartment(RED.compartment)!.drops[DROP.protocolUnreachable]).toBe(1);
  command({ do: 'set-transport', compartment: BLUE.compartment, on: false });
  expect(arrive(BLUE.port, syn)).toEqual([]);
  expect(left.at(-1)!.octets.slice(20, 22)).toEqual(Uint8Array.of(3, 2));
});

it('a superframe is told as the packets it was made of, their checksums complete', () => {
  const { pool, command, arrive } = twins();
  command({ do: 'set-transport', compartment: RED.compartment, on: true });
  const fields = { source: THEIRS, destination: OURS, sourcePort: 4000, destinationPort: 179, flags: TCP_FLAG.ack };
  const data = Uint8Array.from({ length: 2500 }, (_, i) => i & 0xff);
  const events = arrive(RED.port, buildTcp({ ...fields, sequence: 100 }, data), 1000);
  const told = events.map((event) => (event.type === 'transport' ? event.octets : new Uint8Array()));
  expect(told.map((octets) => octets.length)).toEqual([1040, 1040, 540]);
  for (const octets of told) expect(transportChecksumHolds(octets, 0, 20, octets.length, 6)).toBe(true);
  expect(told.map((octets) => octets[26]! * 256 + octets[27]!)).toEqual([100, 1100, 2100]);
  expect(Uint8Array.from(told.flatMap((octets) => [...octets.subarray(40)]))).toEqual(data);
  expect(pool.taken).toBe(0);
});

it('an ICMP error about a segment of ours is told', () => {
  const { command, arrive } = twins();
  command({ do: 'set-transport', compartment: RED.compartment, on: true });
  const ours = buildTcp({ source: OURS, destination: THEIRS, sourcePort: 179, destinationPort: 4000 });
  const error = buildIcmpError('packetTooBig', THEIRS, ours, 0, ours.length, 1400);
  expect(arrive(RED.port, error)).toEqual([{ type: 'transport', compartment: RED.compartment, octets: error }]);
});

it('what control sends leaves by the routes of its compartment; a likeness sends nothing', () => {
  const { pool, left, command } = twins();
  const ours = buildTcp({ source: OURS, destination: THEIRS, sourcePort: 179, destinationPort: 4000 });
  command({ do: 'send', compartment: BLUE.compartment, octets: ours });
  expect(left.map(({ port }) => port)).toEqual([BLUE.port]);
  expect(left[0]!.octets.subarray(20)).toEqual(ours.subarray(20));
  expect(pool.taken).toBe(0);
  const other = twins(true);
  other.command({ do: 'send', compartment: BLUE.compartment, octets: ours });
  expect(other.left).toEqual([]);
});

it('a flood that control does not look at is bounded, and counted', () => {
  const { plane, pool, command } = twins();
  command({ do: 'set-transport', compartment: RED.compartment, on: true });
  for (let i = 0; i < 3000; i++) plane.packet(RED.port, pool.from(syn)!, 0);
  expect(plane.takeEvents()).toHaveLength(1024);
  expect(plane.drops[DROP.queueFull]).toBe(3000 - 1024);
  expect(pool.taken).toBe(0);
});

it('a new data plane is told of it', () => {
  const { plane, command } = twins();
  command({ do: 'set-transport', compartment: RED.compartment, on: true });
  expect(plane.describe([RED.compartment], false)).toContainEqual({ do: 'set-transport', compartment: 2, on: true });
  expect(plane.describe([BLUE.compartment], false).some(({ do: act }) => act === 'set-transport')).toBe(false);
});
