import { describe, expect, it } from 'vitest';
import { addr } from '../compartment/octets.ts';
import { pfx } from '../support/packets.ts';
import {
  datagram,
  GATEWAY,
  HOST_A,
  HOST_B,
  mac,
  macText,
  type Node,
  placesOf,
  port,
  ROUTER,
  record,
  standard,
  subnet,
  tenant,
  vm,
} from './fixture.ts';

const node: Node = standard({
  subnets: [subnet(5001, '10.1.0.0/24'), subnet(5002, '10.2.0.0/24'), subnet(5003, '10.3.0.0/24', false)],
  records: [
    ...tenant(1).records!.filter(({ ca }) => ca!.length === 4),
    record(5001, '', vm(0x99), HOST_B, 'gateway-wildcard'),
    record(5001, '10.1.0.18', vm(8), GATEWAY),
    record(5003, '10.3.0.1', vm(0x99), HOST_B),
    record(5003, '10.3.0.13', vm(3), HOST_A),
  ],
  routes: [
    { prefix: pfx('10.77.0.0/16'), nextHop: addr('10.1.0.13'), metric: 5 },
    { prefix: pfx('10.77.0.0/16'), nextHop: addr('10.1.0.14'), metric: 9 },
    { prefix: pfx('10.0.0.0/8'), nextHop: addr('10.2.0.15'), metric: 1 },
    { prefix: pfx('10.78.0.0/16'), nextHop: addr('192.0.2.1'), metric: 1 },
    { prefix: pfx('10.79.0.0/16'), nextHop: addr('10.2.0.99'), metric: 1 },
  ],
});
const ask = (destination: string, vsid = 5001, source = '10.1.0.11') =>
  node.switch.explain(1, { vsid, source: addr(source), destination: addr(destination) });

describe('"select next hop": what would become of a packet, in words', () => {
  it.each([
    ['10.1.0.13', '10.1.0.13 is 00:15:5d:00:00:03 at 192.168.50.21 (static record)'],
    ['10.1.0.12', '10.1.0.12 is 00:15:5d:00:00:02 at port 2 (static record)'],
    ['10.1.0.18', '10.1.0.18 is 00:15:5d:00:00:08 at this node, without a port (static record)'],
    ['10.1.0.77', 'no record for 10.1.0.77 in VSID 5001: its ARP request or neighbour solicitation gets no answer'],
    ['10.1.0.1', '10.1.0.1 is the distributed router of VSID 5001 itself'],
    ['10.2.0.1', '10.2.0.1 is the distributed router of VSID 5002 itself'],
    ['10.2.0.15', '10.2.0.15 is 00:15:5d:00:00:05 at 192.168.50.21 (static record)'],
    ['10.2.0.99', 'no record for 10.2.0.99 in VSID 5002: dropped'],
    ['10.77.1.1', '10.1.0.13 is 00:15:5d:00:00:03 at 192.168.50.21 (static record)'],
    ['10.78.1.1', 'no virtual subnet contains its next hop 192.0.2.1: dropped'],
    ['10.79.1.1', 'no record for its next hop 10.2.0.99 in VSID 5002: dropped'],
    ['8.8.8.8', 'no customer route covers it: 00:15:5d:00:00:99 at 192.168.50.22 (gateway-wildcard record)'],
    ['169.254.7.7', 'no record for 169.254.7.7 in VSID 5001: its ARP request or neighbour solicitation gets no answer'],
    ['10.1.0.255', 'no record for 10.1.0.255 in VSID 5001: its ARP request or neighbour solicitation gets no answer'],
    ['255.255.255.255', '255.255.255.255 is a group: a copy for 1 ports here and for 2 provider addresses'],
    ['ff02::fb', 'ff02::fb is a group: a copy for 2 ports here and for 2 provider addresses'],
  ])('to %s', (destination, why) => {
    const source = destination.includes(':') ? 'fe80::1' : '10.1.0.11';
    expect(ask(destination, 5001, source).why).toBe(why);
  });

  it('every decision with its reason, in order', () => {
    expect(ask('10.77.1.1')).toEqual({
      chosen: { vsid: 5001, nextHop: addr('10.1.0.13'), mac: mac(vm(3)), pa: addr(HOST_A), port: undefined },
      why: '10.1.0.13 is 00:15:5d:00:00:03 at 192.168.50.21 (static record)',
      steps: [
        'VSID 5001 is a virtual subnet of fabrikam',
        'the sender: 10.1.0.11 is 00:15:5d:00:00:01 at port 1 (static record)',
        '10.77.1.1 is outside every virtual subnet',
        'customer route 10.77.0.0/16 via 10.1.0.13, metric 5',
        'passed over: 10.77.0.0/16 via 10.1.0.14, metric 9, a higher metric',
        'passed over: 10.0.0.0/8 via 10.2.0.15, metric 1, a shorter prefix',
        '10.1.0.13 is 00:15:5d:00:00:03 at 192.168.50.21 (static record)',
      ],
    });
  });

  it('where the router is off, the default gateway is taken to have the lowest address', () => {
    const off = ask('8.8.8.8', 5003, '10.3.0.13');
    expect(off.chosen).toMatchObject({ vsid: 5003, nextHop: addr('10.3.0.1'), pa: addr(HOST_B) });
    expect(off.steps.slice(2)).toEqual([
      "the distributed router is off in VSID 5003: the sender's own default gateway decides",
      'if it is the lowest address: 10.3.0.1 is 00:15:5d:00:00:99 at 192.168.50.22 (static record)',
    ]);
  });

  it('an unknown VSID, an unknown sender', () => {
    expect(ask('10.1.0.13', 6001)).toEqual({
      chosen: undefined,
      why: 'VSID 6001 is no virtual subnet of fabrikam',
      steps: ['VSID 6001 is no virtual subnet of fabrikam'],
    });
    expect(ask('10.1.0.13', 5001, '10.1.0.99').steps[1]).toMatch(/^nobody in VSID 5001 is known to have 10.1.0.99/);
  });

  it('a port of its own says so, and what was learned', () => {
    const fresh = standard();
    fresh.switch.addPort(port(3, 1, 5002, vm(7), ['10.2.0.17']));
    fresh.switch.addPort(port(4, 1, 5002, vm(8), null));
    fresh.send(4, datagram(vm(7), vm(8), '10.2.0.18', '10.2.0.17'));
    fresh.switch.addPort(port(9, 1, 5001, vm(0x99), ['10.1.0.2'], 'gateway'));
    const why = (destination: string) =>
      fresh.switch.explain(1, { vsid: 5001, source: addr('10.1.0.11'), destination: addr(destination) }).why;
    expect(why('10.2.0.17')).toBe('10.2.0.17 is 00:15:5d:00:00:07 at port 3 (address of its port)');
    expect(why('10.2.0.18')).toBe('10.2.0.18 is 00:15:5d:00:00:08 at port 4 (dynamic record)');
    expect(why('8.8.8.8')).toBe("no customer route covers it: 00:15:5d:00:00:99 at port 9 (gateway's port here)");
  });

  it('is what a packet then meets', () => {
    for (const destination of [
      '10.1.0.13',
      '10.1.0.12',
      '10.1.0.18',
      '10.1.0.77',
      '10.2.0.15',
      '10.2.0.99',
      '10.77.1.1',
      '10.78.1.1',
      '8.8.8.8',
    ]) {
      const { chosen } = ask(destination);
      const onLink = destination.startsWith('10.1.0.');
      const to = onLink ? (chosen === undefined ? vm(77) : macText(chosen.mac)) : ROUTER;
      const sent = placesOf(node.send(1, datagram(to, vm(1), '10.1.0.11', destination)));
      const place = chosen?.pa !== undefined ? `${chosen.vsid} at ${chosen.pa.join('.')}` : `port ${chosen?.port}`;
      const nowhere = chosen === undefined || (chosen.pa === undefined && chosen.port === undefined);
      expect([destination, sent]).toEqual([destination, nowhere ? [] : [place]]);
    }
  });
});
