import { describe, expect, it } from 'vitest';
import { formatAddress } from '../../src/ip/index.ts';
import {
  arp,
  arpRequest,
  BROADCAST,
  datagram,
  eth,
  GATEWAY,
  HOST_A,
  HOST_B,
  macText,
  type Node,
  nvgre,
  placesOf,
  port,
  record,
  standard,
  tenant,
  vm,
} from './fixture.ts';

const AGE = 10_000;
/** VM 1 here and VMs 6 at host A, 7 at host B have their CAs learned. */
function learning(limits = {}): Node {
  const records = [
    ...tenant(1).records!,
    record(5001, '0.0.0.0', vm(1), GATEWAY, 'l2only'),
    record(5001, '', vm(6), HOST_A, 'l2only'),
    record(5001, '::', vm(7), HOST_B, 'l2only'),
  ];
  return standard({ records }, { dynamicAgeMs: AGE, ...limits });
}
const learned = (node: Node): string[] =>
  node.switch
    .records(1)
    .filter(({ type }) => type === 'dynamic')
    .map(
      ({ ca, mac, pa, seen }) =>
        `${formatAddress(ca!)} ${macText(mac).slice(-1)} ${pa === undefined ? 'here' : formatAddress(pa)} ${seen}`,
    );
const from6 = (ca: string, to = vm(1)): Uint8Array => nvgre(5001, 0, datagram(to, vm(6), ca, '10.1.0.11'));

describe('dynamic records', () => {
  it('are learned from packets of the fabric, where the MAC has an L2Only record there', () => {
    const node = learning();
    expect(node.refuses(() => node.send(2, arpRequest(vm(2), '10.1.0.12', '10.1.0.66')))).toBe('1 noRecord');
    expect(placesOf(node.receive(HOST_A, from6('10.1.0.66')))).toEqual(['port 1']);
    expect(learned(node)).toEqual([`10.1.0.66 6 ${HOST_A} 1000`]);
    expect(placesOf(node.send(2, arpRequest(vm(2), '10.1.0.12', '10.1.0.66')))).toEqual(['port 2']);
    expect(placesOf(node.send(2, datagram(vm(6), vm(2), '10.1.0.12', '10.1.0.66')))).toEqual([`5001 at ${HOST_A}`]);
    expect(node.refuses(() => node.receive(HOST_B, from6('10.1.0.67')))).toBe('1 spoofed');
    expect(node.switch.counters(1)).toMatchObject({ learned: 1, moved: 0 });
  });

  it('from broadcasts, ARP and announcements, here as there', () => {
    const node = learning();
    expect(placesOf(node.receive(HOST_A, from6('10.1.0.66', BROADCAST)))).toEqual(['port 1', 'port 2']);
    node.send(1, arpRequest(vm(1), '10.1.0.61', '10.1.0.1'));
    node.send(1, eth(BROADCAST, vm(1), 0x0806, arp(2, vm(1), '10.1.0.62', vm(1), '10.1.0.62')));
    node.receive(HOST_A, nvgre(5001, 0, arpRequest(vm(6), '10.1.0.63', '10.1.0.63')));
    expect(learned(node)).toEqual([
      '10.1.0.61 1 here 1000',
      '10.1.0.62 1 here 1000',
      `10.1.0.63 6 ${HOST_A} 1000`,
      `10.1.0.66 6 ${HOST_A} 1000`,
    ]);
  });

  it('of a port whose addresses nobody told', () => {
    const node = standard();
    node.switch.addPort(port(3, 1, 5001, vm(9), null));
    expect(placesOf(node.send(3, datagram(vm(1), vm(9), '10.1.0.19', '10.1.0.11')))).toEqual(['port 1']);
    expect(learned(node)).toEqual(['10.1.0.19 9 here 1000']);
    node.switch.removePort(3);
    expect(learned(node)).toEqual([]);
  });

  it('never override static ones, never the router, nothing off link, nobody at all', () => {
    const node = learning();
    for (const ca of ['10.1.0.13', '10.1.0.12', '10.1.0.1', '10.2.0.77', '198.51.100.1', '127.0.0.1', '239.0.0.1']) {
      expect([ca, node.refuses(() => node.receive(HOST_A, from6(ca)))]).toEqual([ca, '1 spoofed']);
    }
    expect(learned(node)).toEqual([]);
  });

  it('give way to the policy, which gives nothing back', () => {
    const node = learning();
    node.receive(HOST_A, from6('10.1.0.66'));
    node.switch.setRecords(1, [
      ...tenant(1).records!,
      record(5001, '10.1.0.66', vm(4), HOST_B),
      record(5001, '', vm(6), HOST_A, 'l2only'),
    ]);
    expect(learned(node)).toEqual([]);
    expect(node.refuses(() => node.receive(HOST_A, from6('10.1.0.66')))).toBe('1 spoofed');
    node.switch.setRecords(1, [...tenant(1).records!, record(5001, '', vm(6), HOST_A, 'l2only')]);
    expect(learned(node)).toEqual([]);
    expect(node.switch.deadline()).toBeUndefined();
  });

  it('go to the last who sends from the address', () => {
    const node = learning();
    node.receive(HOST_A, from6('10.1.0.66'));
    node.receive(HOST_B, nvgre(5001, 0, datagram(vm(1), vm(7), '10.1.0.66', '10.1.0.11')));
    expect(learned(node)).toEqual([`10.1.0.66 7 ${HOST_B} 1000`]);
    expect(node.switch.counters(1)).toMatchObject({ learned: 1, moved: 1 });
  });

  it('IEEE 802.1Q §8.8.3: grow old without a packet, and stay with one', () => {
    const node = learning();
    node.receive(HOST_A, from6('10.1.0.66'));
    node.receive(HOST_A, from6('10.1.0.67'));
    expect(node.switch.deadline()).toEqual({ at: 1000 + AGE, why: 'a dynamic lookup record grows old' });
    node.now += 4000;
    node.receive(HOST_A, from6('10.1.0.66'));
    node.switch.expire(1000 + AGE - 1);
    expect(learned(node)).toHaveLength(2);
    node.switch.expire(1000 + AGE);
    expect(learned(node)).toEqual([`10.1.0.66 6 ${HOST_A} 5000`]);
    expect(node.switch.deadline()?.at).toBe(5000 + AGE);
    node.switch.expire(5000 + AGE);
    expect(learned(node)).toEqual([]);
    expect(node.switch.deadline()).toBeUndefined();
    expect(node.switch.counters(1)).toMatchObject({ learned: 2, aged: 2 });
  });

  it('are bounded for each MAC, so that no VM takes them all', () => {
    const node = learning({ dynamicPerMac: 3, dynamicPerSubnet: 5 });
    const flood = (pa: string, n: number) =>
      Array.from(
        { length: 20 },
        (_, i) =>
          node.receive(pa, nvgre(5001, 0, datagram(vm(1), vm(n), `10.1.0.${100 + 10 * n + i}`, '10.1.0.11'))).length,
      );
    expect(flood(HOST_A, 6).filter((sent) => sent === 1)).toHaveLength(3);
    expect(flood(HOST_B, 7).filter((sent) => sent === 1)).toHaveLength(2);
    expect(learned(node)).toHaveLength(5);
    expect(node.switch.counters(1)).toMatchObject({ learned: 5, learnRefused: 35 });
    expect(node.drops(1)).toEqual({ spoofed: 35 });
    // What was learned goes on.
    expect(placesOf(node.receive(HOST_A, from6('10.1.0.160')))).toEqual(['port 1']);
    node.now += AGE;
    node.switch.expire(node.now);
    expect(placesOf(node.receive(HOST_A, from6('10.1.0.199')))).toEqual(['port 1']);
  });

  it('of a tenant that left wake nobody', () => {
    const node = learning();
    node.receive(HOST_A, from6('10.1.0.66'));
    node.switch.removeTenant(1);
    expect(node.switch.deadline()).toBeUndefined();
  });
});
