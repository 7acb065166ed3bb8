import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import { addr, checksum, counting, ipv6, join } from '../compartment/octets.ts';
import {
  advertisement,
  arp,
  arpRequest,
  BROADCAST,
  eth,
  GATEWAY,
  HOST_A,
  HOST_B,
  ipFrame,
  mac,
  type Node,
  nvgre,
  port,
  ROUTER,
  record,
  solicitation,
  solicitedNode,
  standard,
  subnet,
  tenant,
  vm,
} from './fixture.ts';

const GATEWAY_MAC = vm(0x99);
/** With a gateway in VSID 5001, at host B. */
const withGateway = (): Node =>
  standard({ records: [...tenant(1).records!, record(5001, '', GATEWAY_MAC, HOST_B, 'gateway-wildcard')] });
const replyOf = (sha: string, spa: string, tha: string, tpa: string): Uint8Array =>
  eth(tha, sha, 0x0806, arp(2, sha, spa, tha, tpa));
const silent = (node: Node, sent: readonly unknown[]): void => {
  expect(sent).toEqual([]);
  expect(node.dropped).toEqual([]);
};

describe('RFC 826: ARP is answered from the lookup records', () => {
  it('for a VM at another host, to the octet', () => {
    const node = standard();
    const [reply, ...others] = node.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.13'));
    expect(others).toEqual([]);
    expect(reply!.to).toBe('port 1');
    expect(toHex(reply!.octets)).toBe(
      [
        '00155d000001' + '00155d000003' + '0806', // to who asked, from who is asked for
        '0001' + '0800' + '06' + '04' + '0002',
        '00155d000003' + '0a01000d', // VM 3 has 10.1.0.13
        '00155d000001' + '0a01000b',
      ].join(''),
    );
    expect(node.switch.counters(1).neighboursAnswered).toBe(1);
  });

  it('for a VM at this node, whose port hears nothing of it', () => {
    const [reply] = standard().send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.12'));
    expect(reply).toMatchObject({ to: 'port 1', octets: replyOf(vm(2), '10.1.0.12', vm(1), '10.1.0.11') });
  });

  it('when it was asked again by unicast, with padding', () => {
    const request = join(arpRequest(vm(1), '10.1.0.11', '10.1.0.13', vm(3)), new Uint8Array(18));
    const [reply] = standard().send(1, request);
    expect(reply!.octets.subarray(0, 42)).toEqual(replyOf(vm(3), '10.1.0.13', vm(1), '10.1.0.11'));
  });

  it('no record, no answer, and nothing is flooded', () => {
    const node = standard();
    expect(node.refuses(() => node.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.77')))).toBe('1 noRecord');
    // A record of another virtual subnet of the tenant is none of this one.
    expect(node.refuses(() => node.send(1, arpRequest(vm(1), '10.1.0.11', '10.2.0.15')))).toBe('1 noRecord');
  });

  it('RFC 5227 §2.1.1: a probe learns that another has the address, not that the asker has', () => {
    const node = standard();
    const [reply] = node.send(1, arpRequest(vm(1), '0.0.0.0', '10.1.0.13'));
    expect(reply!.octets).toEqual(replyOf(vm(3), '10.1.0.13', vm(1), '0.0.0.0'));
    silent(node, node.send(1, arpRequest(vm(1), '0.0.0.0', '10.1.0.11')));
    silent(node, node.send(1, arpRequest(vm(1), '0.0.0.0', '10.1.0.77')));
  });

  it('RFC 5227 §2.3: an announcement of its own address is heard and ends here', () => {
    const node = standard();
    silent(node, node.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.11')));
    silent(node, node.send(1, eth(BROADCAST, vm(1), 0x0806, arp(2, vm(1), '10.1.0.11', vm(1), '10.1.0.11'))));
  });

  it("another's address, or another's MAC inside, is spoofed", () => {
    const node = standard();
    expect(node.refuses(() => node.send(1, arpRequest(vm(1), '10.1.0.13', '10.1.0.13')))).toBe('1 spoofed');
    expect(node.refuses(() => node.send(1, arpRequest(vm(1), '10.1.0.44', '10.1.0.12')))).toBe('1 spoofed');
    const inside = eth(BROADCAST, vm(1), 0x0806, arp(1, vm(3), '10.1.0.11', vm(3), '10.1.0.12'));
    expect(node.refuses(() => node.send(1, inside))).toBe('1 spoofed');
  });

  it('the lowest address is the distributed router, in its own subnet', () => {
    const node = standard();
    const [reply] = node.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.1'));
    expect(reply!.octets).toEqual(replyOf(ROUTER, '10.1.0.1', vm(1), '10.1.0.11'));
    expect(node.refuses(() => node.send(1, arpRequest(vm(1), '10.1.0.11', '10.2.0.1')))).toBe('1 noRecord');
  });

  it('unless it is switched off, or a record has the address', () => {
    const off = standard({ subnets: [subnet(5001, '10.1.0.0/24', false), subnet(5002, '10.2.0.0/24')] });
    expect(off.refuses(() => off.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.1')))).toBe('1 noRecord');
    const owned = standard({ records: [...tenant(1).records!, record(5001, '10.1.0.1', GATEWAY_MAC, HOST_B)] });
    const [reply] = owned.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.1'));
    expect(reply!.octets).toEqual(replyOf(GATEWAY_MAC, '10.1.0.1', vm(1), '10.1.0.11'));
  });

  it('the gateway answers for what is outside every subnet, and for nothing within', () => {
    const node = withGateway();
    const [reply] = node.send(1, arpRequest(vm(1), '10.1.0.11', '198.51.100.7'));
    expect(reply!.octets).toEqual(replyOf(GATEWAY_MAC, '198.51.100.7', vm(1), '10.1.0.11'));
    for (const within of ['10.1.0.77', '10.2.0.77', '169.254.0.1', '224.0.0.5', '255.255.255.255', '0.0.0.0']) {
      expect([within, node.refuses(() => node.send(1, arpRequest(vm(1), '10.1.0.11', within)))]).toEqual([
        within,
        '1 noRecord',
      ]);
    }
  });

  it("the gateway's own port asks for VMs as a VM does", () => {
    const node = standard();
    node.switch.addPort(port(9, 1, 5001, GATEWAY_MAC, ['10.1.0.2'], 'gateway'));
    const [reply] = node.send(9, arpRequest(GATEWAY_MAC, '10.1.0.2', '10.1.0.13'));
    expect(reply).toMatchObject({ to: 'port 9', octets: replyOf(vm(3), '10.1.0.13', GATEWAY_MAC, '10.1.0.2') });
    const [back] = node.send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.2'));
    expect(back!.octets).toEqual(replyOf(GATEWAY_MAC, '10.1.0.2', vm(1), '10.1.0.11'));
  });

  it('a switch behind the fabric that floods is answered for the VMs here alone', () => {
    const node = standard();
    const ask = (tpa: string) => nvgre(5001, 3, arpRequest(vm(3), '10.1.0.13', tpa));
    const [reply, ...others] = node.receive(HOST_A, ask('10.1.0.11'));
    expect(others).toEqual([]);
    expect(reply!.to).toBe(`5001 at ${HOST_A}`);
    const frame = replyOf(vm(1), '10.1.0.11', vm(3), '10.1.0.13');
    expect(reply!.octets).toEqual(nvgre(5001, reply!.octets[7]!, frame));
    expect(node.refuses(() => node.receive(HOST_A, ask('10.1.0.14')))).toBe('1 notOurs');
    expect(node.refuses(() => node.receive(HOST_A, ask('10.1.0.1')))).toBe('1 notOurs');
    expect(node.refuses(() => node.receive(HOST_A, ask('10.1.0.77')))).toBe('1 noRecord');
    // From where the record does not have it.
    expect(node.refuses(() => node.receive(HOST_B, ask('10.1.0.11')))).toBe('1 spoofed');
    expect(node.refuses(() => node.receive(GATEWAY, ask('10.1.0.11')))).toBe('1 spoofed');
  });

  it('a superframe is none', () => {
    const [reply] = standard().send(1, arpRequest(vm(1), '10.1.0.11', '10.1.0.13'), { segment: 100 });
    expect(reply!.segment).toBe(0);
  });
});

describe('RFC 4861 §7.2: neighbour solicitations are answered from the lookup records', () => {
  const [own, target] = ['2001:db8:1::11', '2001:db8:1::13'];
  const node6 = (): Node => standard({ records: [...tenant(1).records!, record(5001, own, vm(1), GATEWAY)] });

  it('for a VM at another host, to the octet', () => {
    const node = node6();
    const [answer, ...others] = node.send(1, solicitation(vm(1), own, target));
    expect(others).toEqual([]);
    expect(answer!.to).toBe('port 1');
    const head = '00155d000001' + '00155d000003' + '86dd' + '60000000' + '0020' + '3a' + 'ff';
    const addresses = '20010db8000100000000000000000013' + '20010db8000100000000000000000011';
    // S and O; target; target link-layer address.
    const message = '60000000' + '20010db8000100000000000000000013' + '0201' + '00155d000003';
    const hex = toHex(answer!.octets);
    expect(hex.slice(0, 108)).toBe(head + addresses);
    expect(hex.slice(108, 112)).toBe('8800');
    expect(hex.slice(116)).toBe(message);
    // RFC 8200 §8.1: over pseudo-header and message, the checksum included, the sum is zero.
    const pseudo = join(addr(target), addr(own), [0, 0, 0, 32, 0, 0, 0, 58]);
    expect(checksum(join(pseudo, answer!.octets.subarray(54)))).toBe(0);
  });

  it('without options, by unicast, or with a checksum that is owed: all the same', () => {
    const expected = advertisement({ dstMac: vm(1), mac: vm(3), target, dst: own, flags: 0x60 });
    const node = node6();
    for (const question of [
      solicitation(vm(1), own, target, { options: [] }),
      solicitation(vm(1), own, target, { dst: target }),
      solicitation(vm(1), own, target, { options: [14, 1, 0, 0, 0, 0, 0, 0, 1, 1, ...mac(vm(1))] }),
    ]) {
      expect(node.send(1, question).map(({ octets }) => octets)).toEqual([expected]);
    }
    const owed = solicitation(vm(1), own, target);
    owed.fill(0, 56, 58);
    expect(node.send(1, owed, { partial: true })[0]).toMatchObject({ octets: expected, partial: false });
  });

  it('RFC 4862 §5.4: a probe is answered to all nodes, if another has the address', () => {
    const node = node6();
    const [answer] = node.send(1, solicitation(vm(1), '::', target));
    const all = { dstMac: '33:33:00:00:00:01', mac: vm(3), target, dst: 'ff02::1', flags: 0x20 };
    expect(answer!.octets).toEqual(advertisement(all));
    silent(node, node.send(1, solicitation(vm(1), '::', own)));
  });

  it('the distributed router and a gateway say that they route', () => {
    const node = node6();
    const [answer] = node.send(1, solicitation(vm(1), own, '2001:db8:1::1'));
    const from = { dstMac: vm(1), mac: ROUTER, target: '2001:db8:1::1', dst: own, flags: 0xe0 };
    expect(answer!.octets).toEqual(advertisement(from));
    node.switch.setRecords(1, [
      record(5001, own, vm(1), GATEWAY),
      record(5001, '::', GATEWAY_MAC, HOST_B, 'gateway-wildcard'),
    ]);
    const [outside] = node.send(1, solicitation(vm(1), own, '2001:db8:9::9'));
    expect(outside!.octets).toEqual(
      advertisement({ dstMac: vm(1), mac: GATEWAY_MAC, target: '2001:db8:9::9', dst: own, flags: 0xe0 }),
    );
  });

  it('no record, no answer; nothing else goes where solicitations go', () => {
    const node = node6();
    const refused = (octets: Uint8Array) => node.refuses(() => node.send(1, octets));
    expect(refused(solicitation(vm(1), own, '2001:db8:1::77'))).toBe('1 noRecord');
    expect(refused(solicitation(vm(1), own, 'fe80::77'))).toBe('1 noRecord');
    expect(refused(solicitation(vm(1), own, target, { hop: 64 }))).toBe('1 neighbourMessage');
    const other = ipv6({ src: own, dst: solicitedNode(target), next: 17 }, counting(8));
    expect(refused(ipFrame('33:33:ff:00:00:13', vm(1), other))).toBe('1 neighbourMessage');
    expect(refused(solicitation(vm(1), '2001:db8:1::14', target))).toBe('1 spoofed');
  });

  it('link-local addresses are learned of whoever has a record, and answered for', () => {
    const node = node6();
    silent(node, node.send(2, solicitation(vm(2), '::', 'fe80::2')));
    node.send(2, solicitation(vm(2), 'fe80::2', '2001:db8:1::1'));
    const [answer] = node.send(1, solicitation(vm(1), 'fe80::1', 'fe80::2'));
    expect(answer!.octets).toEqual(
      advertisement({ dstMac: vm(1), mac: vm(2), target: 'fe80::2', dst: 'fe80::1', flags: 0x60 }),
    );
  });

  it('advertisements teach, and go no further', () => {
    const node = node6();
    silent(
      node,
      node.send(2, advertisement({ dstMac: BROADCAST, mac: vm(2), target: 'fe80::2', dst: 'ff02::1', flags: 0x20 })),
    );
    expect(node.switch.records(1).at(-1)).toMatchObject({ ca: addr('fe80::2'), mac: mac(vm(2)), type: 'dynamic' });
    const lie = advertisement({ dstMac: BROADCAST, mac: vm(2), target, dst: 'ff02::1', flags: 0x20 });
    expect(node.refuses(() => node.send(2, lie))).toBe('1 spoofed');
  });

  it('from behind the fabric for the VMs here alone', () => {
    const node = node6();
    const [answer] = node.receive(HOST_A, nvgre(5001, 0, solicitation(vm(3), target, own)));
    const frame = advertisement({ dstMac: vm(3), mac: vm(1), target: own, dst: target, flags: 0x60 });
    expect(answer).toMatchObject({ to: `5001 at ${HOST_A}`, octets: nvgre(5001, answer!.octets[7]!, frame) });
  });
});
