import { describe, expect, it } from 'vitest';
import { PacketPool } from '../../src/ip/index.ts';
import { ipv6 } from '../compartment/octets.ts';
import {
  BROADCAST,
  datagram,
  GATEWAY,
  HOST_A,
  HOST_B,
  ipFrame,
  Node,
  nvgre,
  placesOf,
  port,
  record,
  standard,
  tenant,
  vm,
} from './fixture.ts';

const dhcp = datagram(BROADCAST, vm(1), '0.0.0.0', '255.255.255.255');
const fromHostA = nvgre(5001, 0, datagram(BROADCAST, vm(3), '10.1.0.13', '10.1.0.255'));

/** `ports` VMs here, `hosts` elsewhere with two VMs each. */
function spread(ports: number, hosts: number, limits = {}, pool = new PacketPool(64, 2048)): Node {
  const node = new Node({ limits, pool });
  node.switch.addTenant({
    ...tenant(1),
    records: Array.from({ length: 2 * hosts }, (_, i) =>
      record(5001, `10.1.0.${100 + i}`, vm(100 + i), `192.168.50.${100 + (i >>> 1)}`),
    ),
  });
  for (let i = 1; i <= ports; i++) node.switch.addPort(port(i, 1, 5001, vm(i), [`10.1.0.${10 + i}`]));
  return node;
}

describe('RFC 7637 §4.2: broadcast and multicast by unicast to each host', () => {
  it('goes to every other port of the virtual subnet, and once to each provider address in it', () => {
    const node = standard({ records: [...tenant(1).records!, record(5001, '10.1.0.16', vm(6), HOST_A)] });
    node.switch.addPort(port(3, 1, 5002, vm(7), ['10.2.0.17']));
    const sent = node.send(1, dhcp);
    expect(placesOf(sent)).toEqual(['port 2', `5001 at ${HOST_A}`, `5001 at ${HOST_B}`]);
    expect(sent[0]!.octets).toEqual(dhcp);
    expect(sent[1]!.octets).toEqual(nvgre(5001, sent[1]!.octets[7]!, dhcp));
    expect(sent[2]!.octets).toEqual(sent[1]!.octets);
    expect(node.switch.counters(1)).toMatchObject({ replicated: 1, copies: 3, toPorts: 1, toFabric: 2 });
  });

  it('multicast of either family is a broadcast', () => {
    const node = standard();
    const places = ['port 2', `5001 at ${HOST_A}`, `5001 at ${HOST_B}`];
    expect(placesOf(node.send(1, datagram('01:00:5e:00:00:fb', vm(1), '10.1.0.11', '224.0.0.251')))).toEqual(places);
    const solicitation = ipFrame('33:33:00:00:00:02', vm(1), ipv6({ src: 'fe80::1', dst: 'ff02::2' }));
    expect(placesOf(node.send(1, solicitation))).toEqual(places);
  });

  it('what came from the fabric goes to ports alone: nothing circles', () => {
    const node = standard();
    expect(placesOf(node.receive(HOST_A, fromHostA))).toEqual(['port 1', 'port 2']);
    expect(node.switch.counters(1)).toMatchObject({ replicated: 1, copies: 2, toFabric: 0 });
  });

  it('a station that the policy has elsewhere gets its copy there', () => {
    const node = standard();
    node.switch.setRecords(1, [record(5001, '10.1.0.11', vm(1), GATEWAY), record(5001, '10.1.0.12', vm(2), HOST_B)]);
    expect(placesOf(node.send(1, dhcp))).toEqual([`5001 at ${HOST_B}`]);
  });

  it('with nobody to hear it is no drop', () => {
    const node = spread(1, 0);
    expect(node.send(1, dhcp)).toEqual([]);
    expect(node.drops(1)).toEqual({});
    expect(node.switch.counters(1)).toMatchObject({ replicated: 1, copies: 0 });
  });

  it('copies of a superframe are superframes', () => {
    const sent = standard().send(1, dhcp, { segment: 1, partial: true });
    expect(sent.map(({ segment, partial }) => [segment, partial])).toEqual(new Array(3).fill([1, true]));
  });
});

describe('replication is bounded', () => {
  it('in the copies of one frame: ports first, each one more is a counted drop', () => {
    const node = spread(3, 5, { copies: 4 });
    expect(placesOf(node.send(1, dhcp))).toEqual([
      'port 2',
      'port 3',
      '5001 at 192.168.50.100',
      '5001 at 192.168.50.101',
    ]);
    expect(node.drops(1)).toEqual({ replication: 3 });
  });

  it('in copies a second, of this tenant alone', () => {
    const node = spread(1, 10, { copyBurst: 25, copiesPerSecond: 1000 });
    node.switch.addTenant({ ...tenant(2), records: [record(6001, '10.1.0.13', vm(3), HOST_A)] });
    node.switch.addPort(port(11, 2, 6001, vm(1), ['10.1.0.11']));
    const counts = [1, 2, 3, 4].map(() => node.send(1, dhcp).length);
    expect(counts).toEqual([10, 10, 5, 0]);
    // The last frame counts as itself and as nine copies not made.
    expect(node.drops(1)).toEqual({ replication: 15 });
    expect(node.dropped).toEqual(['1 replication']);
    expect(placesOf(node.send(11, dhcp))).toEqual([`6001 at ${HOST_A}`]);
    node.now += 7;
    expect(node.send(1, dhcp)).toHaveLength(7);
    node.now -= 100;
    expect(node.send(1, dhcp)).toHaveLength(0);
    node.now += 100_000;
    expect([1, 2, 3].map(() => node.send(1, dhcp).length)).toEqual([10, 10, 5]);
  });

  it('what comes from the fabric draws on the same', () => {
    const node = standard({}, { copyBurst: 3, copiesPerSecond: 1 });
    expect([1, 2, 3].map(() => node.receive(HOST_A, fromHostA).length)).toEqual([2, 1, 0]);
    expect(node.drops(1)).toEqual({ replication: 3 });
  });

  it('by the pool: what finds no room is a counted drop, the others go', () => {
    const pool = new PacketPool(3, 2048);
    const node = spread(1, 4, {}, pool);
    const held = pool.take()!;
    // Of three slots one is held and one is the frame: one copy after the other takes the third, and gives it back.
    expect(node.send(1, dhcp)).toHaveLength(4);
    const another = pool.take()!;
    expect(placesOf(node.send(1, dhcp))).toEqual(['5001 at 192.168.50.103']);
    expect(node.drops(1)).toEqual({ noBuffer: 3 });
    pool.release(held);
    pool.release(another);
  });
});
