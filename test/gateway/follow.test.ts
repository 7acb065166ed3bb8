/** The data plane alone, as a thread of its own hosts it: what it does about a peer that moves before control has a say. */
import { expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { defaultEngine } from '../../src/crypto/index.ts';
import { DataPlane, type PlaneOutput, type SaPair } from '../../src/gateway/dataplane/index.ts';
import {
  buildUdp,
  type Endpoint,
  formatEndpoint,
  octetsOf,
  type Packet,
  PacketPool,
  parseAddress,
  parsePrefix,
} from '../../src/ip/index.ts';
import { NO_LIMIT, selector, suite } from '../esp/support.ts';

const PORT = 11;
const TUNNEL = 21;
const at = (text: string, port = 4500): Endpoint => ({ address: parseAddress(text)!, port });
const [OURS, THEIRS] = [at('192.0.2.1'), at('198.51.100.1')];
const [HERE, THERE] = ['10.1.0.0/24', '10.2.0.0/24'];

/** A gateway with one tunnel to another that has the other's keys; `left` is where its datagrams went. */
function end(
  near: string,
  far: string,
  spiIn: number,
  spiOut: number,
  local: Endpoint,
  remote: Endpoint,
  peerMoves: boolean,
) {
  const pool = new PacketPool(16);
  const left: { readonly to: string; readonly octets: Uint8Array }[] = [];
  const output: PlaneOutput = {
    underlay: () => {},
    datagram: (_udp, _local, to, packet) => {
      left.push({ to: formatEndpoint(to), octets: octetsOf(packet).slice() });
      pool.release(packet);
    },
    packet: (_port: number, packet: Packet) => pool.release(packet),
  };
  const plane = new DataPlane({ pool, random: seededRandom(1), engine: defaultEngine, output });
  const addresses = [parsePrefix(near.replace('.0/', '.1/'), true)!];
  const add = { do: 'add-interface', compartment: 2 } as const;
  plane.command({ do: 'add-compartment', compartment: 2, name: 'blue', cells: 2 }, 0);
  const inside = { name: 'inside', kind: 'tun', mtu: 1500, addresses } as const;
  plane.command({ ...add, interface: 1, config: inside, cells: 3, way: { port: PORT } }, 0);
  const hq = { name: 'hq', kind: 'connection', mtu: 1400, addresses: [] } as const;
  plane.command({ ...add, interface: 2, config: hq, cells: 4, way: { tunnel: TUNNEL, df: 'copy', mtu: 1400 } }, 0);
  const route = { prefix: parsePrefix(far)!, interface: 2, origin: 'static', preference: 1, why: '' } as const;
  plane.command({ do: 'add-route', compartment: 2, route }, 0);
  const { encryption, integrity } = suite('aes128gcm16');
  const keys = { encryption: seededRandom(7)(20), integrity: new Uint8Array(0) };
  const sa: SaPair = {
    ...{ tunnel: TUNNEL, spiIn, spiOut, encryption, integrity, keysIn: keys, keysOut: keys, esn: false },
    ...{ replayWindow: 64, lifetime: NO_LIMIT, local: [selector(near)], remote: [selector(far)] },
    ...{ localEndpoint: local, remoteEndpoint: remote, udpEncapsulation: true, peerMoves, cellsIn: 5, cellsOut: 6 },
  };
  plane.command({ do: 'install', sa, phase: 'active' }, 0);
  const [source, destination] = [near, far].map((prefix) => parseAddress(prefix.replace('.0/24', '.9'))!) as [
    Uint8Array,
    Uint8Array,
  ];
  const octets = buildUdp({ source, destination, sourcePort: 1, destinationPort: 2 }, new Uint8Array(20));
  /** A packet of a host behind it; gives the datagram in which it left. */
  const send = (now: number) => {
    plane.packet(PORT, pool.from(octets)!, now);
    plane.flush(now);
    return left.pop()!;
  };
  const receive = (from: Endpoint, datagram: Uint8Array, now: number): void => {
    plane.udp(local, from, pool.from(datagram)!, 0, true, now);
    plane.flush(now);
  };
  const told = () =>
    plane.takeEvents().flatMap((e) => (e.type === 'inbound' && e.from !== undefined ? [formatEndpoint(e.from)] : []));
  return { plane, pool, send, receive, told };
}

const pair = (peerMoves: boolean) => ({
  peer: end(THERE, HERE, 0x2000, 0x1000, THEIRS, OURS, false),
  ours: end(HERE, THERE, 0x1000, 0x2000, OURS, THEIRS, peerMoves),
});

it('RFC 7296 §2.23: the newest authentic packet moves a peer behind NAT at once; control is told until it agrees', () => {
  const { peer, ours } = pair(true);
  const [first, second, third] = [peer.send(0), peer.send(0), peer.send(0)].map(({ octets }) => octets) as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const moved = at('203.0.113.5', 31_000);
  ours.receive(moved, second, 100);
  expect([ours.send(100).to, ours.told()]).toEqual(['203.0.113.5:31000', ['203.0.113.5:31000']]);
  // An older one, a forged one and a replayed one from elsewhere move nobody.
  ours.receive(at('203.0.113.6'), first, 200);
  const forged = third.slice();
  forged[forged.length - 1]! ^= 1;
  ours.receive(at('203.0.113.6'), forged, 200);
  ours.receive(at('203.0.113.6'), second, 200);
  expect([ours.send(200).to, ours.told()]).toEqual(['203.0.113.5:31000', []]);
  // Control has not said anything yet.
  ours.receive(moved, third, 300);
  expect(ours.told()).toEqual(['203.0.113.5:31000']);
  ours.plane.command(
    { do: 'move', spiIn: 0x1000, localEndpoint: OURS, remoteEndpoint: { ...moved }, udpEncapsulation: true },
    300,
  );
  ours.receive(moved, peer.send(400).octets, 400);
  expect([ours.send(400).to, ours.told()]).toEqual(['203.0.113.5:31000', []]);
  // And back, while control still thinks of the other place.
  ours.receive(THEIRS, peer.send(500).octets, 500);
  expect([ours.send(500).to, ours.told()]).toEqual(['198.51.100.1:4500', ['198.51.100.1:4500']]);
  expect([peer.pool.taken, ours.pool.taken]).toEqual([0, 0]);
});

it('RFC 7296 §2.23: an end behind NAT, or whose peer is not, follows nobody on its own', () => {
  const { peer, ours } = pair(false);
  ours.receive(at('203.0.113.5', 31_000), peer.send(0).octets, 100);
  expect([ours.send(100).to, ours.told()]).toEqual(['198.51.100.1:4500', ['203.0.113.5:31000']]);
});
