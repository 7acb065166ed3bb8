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

/** Both twins have an endpoint. */
function listening() {
  const made = twins();
  for (const { compartment } of [RED, BLUE]) made.command({ do: 'set-transport', compartment, on: true });
  return made;
}

it('a flood that control does not look at is bounded, and counted', () => {
  const { plane, pool } = listening();
  for (let i = 0; i < 3000; i++) plane.packet(RED.port, pool.from(syn)!, 0);
  expect(plane.takeEvents()).toHaveLength(512);
  expect(plane.drops[DROP.tcpRefused]).toBe(3000 - 512);
  expect(pool.taken).toBe(0);
});

it('the flood of one tenant leaves room for the TCP of its twin, and that of all for IKE', () => {
  const { plane, pool } = listening();
  const remote = { address: parseAddress('192.0.2.9')!, port: 500 };
  const local = { address: parseAddress('192.0.2.1')!, port: 500 };
  for (let i = 0; i < 1000; i++) plane.packet(RED.port, pool.from(syn)!, 0);
  for (let i = 0; i < 100; i++) plane.packet(BLUE.port, pool.from(syn)!, 0);
  for (let i = 0; i < 200; i++) plane.udp(local, remote, pool.from(new Uint8Array(28))!, 0, false, 0);
  const events = plane.takeEvents();
  const toldOf = (compartment: number) =>
    events.filter((event) => event.type === 'transport' && event.compartment === compartment).length;
  expect([toldOf(RED.compartment), toldOf(BLUE.compartment)]).toEqual([512, 100]);
  expect(events.filter(({ type }) => type === 'ike')).toHaveLength(200);
  // Whoever was told has room again.
  for (let i = 0; i < 1000; i++) plane.packet(BLUE.port, pool.from(syn)!, 0);
  expect(plane.takeEvents()).toHaveLength(512);
});

it('a tenant has control work at a bounded rate, whatever its segments are; its twin has its own', () => {
  for (const [data, most] of [
    [0, 10_900],
    [1460, 5600],
  ] as const) {
    const { plane, pool } = listening();
    const fields = { source: THEIRS, destination: OURS, sourcePort: 4000, destinationPort: 179, flags: TCP_FLAG.ack };
    const segment = buildTcp(fields, new Uint8Array(data));
    let told = 0;
    for (let now = 1000; now < 6000; now++) {
      for (let i = 0; i < 20; i++) plane.packet(RED.port, pool.from(segment)!, now);
      for (const { type } of plane.takeEvents()) told += type === 'transport' ? 1 : 0;
    }
    expect(told / 5).toBeLessThan(most * 1.06);
    expect(told / 5).toBeGreaterThan(most);
    plane.packet(BLUE.port, pool.from(segment)!, 6000);
    expect(plane.takeEvents()).toHaveLength(1);
    expect(plane.drops[DROP.tcpRefused]).toBe(100_000 - told);
  }
});

it('what full windows of ten peers have in flight passes at once, and a transfer of 8 MB within a second', () => {
  const { plane, pool } = listening();
  const segment = buildTcp(
    { source: THEIRS, destination: OURS, sourcePort: 4000, destinationPort: 179 },
    new Uint8Array(1460),
  );
  for (let i = 0; i < 10 * 45; i++) plane.packet(RED.port, pool.from(segment)!, 1000);
  expect(plane.takeEvents()).toHaveLength(450);
  for (let i = 0; i < 5480; i++) {
    plane.packet(RED.port, pool.from(segment)!, 1000 + i / 5.48);
    expect(plane.takeEvents()).toHaveLength(1);
  }
});

it('a new data plane is told of it', () => {
  const { plane, command } = twins();
  command({ do: 'set-transport', compartment: RED.compartment, on: true });
  expect(plane.describe([RED.compartment], false)).toContainEqual({ do: 'set-transport', compartment: 2, on: true });
  expect(plane.describe([BLUE.compartment], false).some(({ do: act }) => act === 'set-transport')).toBe(false);
});
