import { describe, expect, it, test } from 'vitest';
import { decodeUpdate, IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/message/index.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { EBGP, IBGP } from '../message/contexts.ts';
import { CASES, ROUTE, update, v6 } from '../message/malformed.ts';
import { peerOptions } from './speakers.ts';

const families = [IPV4_UNICAST, IPV6_UNICAST];
const settled = { external: { ...EBGP, families }, internal: { ...IBGP, families } };

function speaker(kind: 'external' | 'internal', fourOctetAs = true) {
  const receive = { ...settled[kind], fourOctetAs };
  const rib = new Rib({ localAs: 65_000, routerId: 1 });
  const options = peerOptions(1, { kind, receive, remoteAs: kind === 'external' ? 65_001 : 65_000 });
  return { rib, receive, peer: rib.add({ ...options, enforceFirstAs: false }) };
}

describe('RFC 7606 §7: what the tables make of each malformed attribute', () => {
  for (const kind of ['external', 'internal'] as const)
    test.each(CASES)(`$rule: $what, from an ${kind} peer`, (c) => {
      const { rib, receive, peer } = speaker(kind, c.fourOctetAs ?? true);
      rib.receive(peer, update({ ...receive, fourOctetAs: true }, ''), 0);
      const message = update(receive, c.octets, c.instead === undefined ? [] : [c.instead]);
      const expected = kind === 'external' ? c.ebgp : (c.ibgp ?? c.ebgp);
      const events = rib.receive(peer, message, 0);
      expect(events.flatMap((e) => (e.type === 'treated' ? [e.treatment] : [e.type]))).toEqual(
        expected === 'none' ? [] : [expected],
      );
      expect(rib.family(IPV4_UNICAST)!.countOf(peer)).toBe(expected === 'withdraw' ? 0 : 1);
    });

  const reach = `80 0e 1a 0002 01 10 ${v6} 00 20 20010db8`;
  it.each([
    ['§3(g): MP_REACH_NLRI twice', reach + reach, ROUTE],
    ['§5.3: a prefix of 129 bits', `80 0e 16 0002 01 10 ${v6} 00 81`, ROUTE],
    ['§5.3: flags of MP_UNREACH_NLRI', '00 0f 08 0002 01 20 20010db8', ROUTE],
    ['§7.11: a next hop of five octets', '80 0e 0a 0002 01 05 c000020100 00', ROUTE],
    ['§5.2: MULTI_EXIT_DISC of three octets without routes', '80 04 03 000001', ''],
    ['§5.2: the same beside withdrawn IPv6 routes', '80 0f 08 0002 01 20 20010db8 80 04 03 000001', ''],
    ['§5.2: flags without routes', 'c0 01 01 00', ''],
    ['§5.2: an undefined ORIGIN without routes', '40 01 01 03', ''],
    ['RFC 4271 §6.3: an unknown well-known one without routes', '40 63 00', ''],
    ['§3(d), §5.2: MP_REACH_NLRI with neither prefixes nor ORIGIN', `80 0e 15 0002 01 10 ${v6} 00`, ''],
    ['§5.3: an IPv4 prefix of 33 bits', '', '21 0a00000000'],
  ])('%s ends the session with the NOTIFICATION of RFC 4271 §6.3, data and all', (_, attributes, nlri) => {
    const { rib, receive, peer } = speaker('external');
    const message = update(receive, attributes, [1, 2, 3], nlri);
    const decoded = decodeUpdate(message, receive);
    expect(decoded.treatment).toBe('reset');
    if (decoded.treatment !== 'reset') return;
    expect(rib.receive(peer, message, 0)).toEqual([{ type: 'fault', ...decoded.refusal }]);
  });
});
