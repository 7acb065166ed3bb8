import { describe, expect, it } from 'vitest';
import {
  decodeRecord,
  decodeUpdate,
  encodeRecord,
  IPV4_UNICAST,
  IPV6_UNICAST,
  type MessageRecord,
  type RibRecord,
  splitNextHop,
} from '../../../src/bgp/index.ts';
import { fromHex, parse, toHex } from '../../../src/core/index.ts';
import { formatPrefix, parseAddress } from '../../../src/ip/index.ts';
import { EBGP } from '../message/contexts.ts';
import { framesOf, MRT_FILES, mrtOctets } from './files.ts';

const recordsOf = (name: (typeof MRT_FILES)[number]) =>
  framesOf(mrtOctets(name)).flatMap((frame) => {
    const parsed = parse(() => decodeRecord(frame));
    return parsed.ok ? [parsed.value] : [];
  });

describe('RFC 6396: MRT files written by FRR and BIRD', () => {
  it.each(MRT_FILES)('%s: what is read and written again has the same octets', (name) => {
    for (const frame of framesOf(mrtOctets(name))) {
      const parsed = parse(() => decodeRecord(frame));
      if (parsed.ok) expect(toHex(encodeRecord(parsed.value))).toBe(toHex(frame));
    }
  });

  it('a change of state that FRR writes without family and addresses is refused, and no other record', () => {
    const problems = MRT_FILES.flatMap((name) =>
      framesOf(mrtOctets(name)).flatMap((frame) => {
        const parsed = parse(() => decodeRecord(frame));
        return parsed.ok ? [] : [parsed.error.message];
      }),
    );
    expect(problems).toEqual(['session.family @26: 8 is no family of addresses']);
  });

  it('FRR: messages in order, with time, session and path identifiers (RFC 8050 §4.1)', () => {
    const messages = recordsOf('frr-messages').filter((record): record is MessageRecord => record.kind === 'message');
    expect(messages.map(({ message, fourOctetAs, addPath }) => [message[18], fourOctetAs, addPath])).toEqual([
      [1, false, false],
      [4, true, true],
      [2, true, true],
      [2, true, true],
      [2, true, true],
      [2, true, true],
      [2, true, true],
      [3, true, true],
    ]);
    const { time, peer, local, peerAs, localAs, message } = messages[2]!;
    expect({ time, peer, local, peerAs, localAs }).toEqual({
      time: { seconds: 0x6b093fa6, micros: 0x042178 },
      peer: parseAddress('10.254.7.2'),
      local: parseAddress('10.254.7.1'),
      peerAs: 65002,
      localAs: 65001,
    });
    expect(decodeUpdate(message, { ...EBGP, addPath: [IPV4_UNICAST] })).toMatchObject({
      treatment: 'none',
      update: { nlri: [{ pathId: 2 }, { pathId: 2 }, { pathId: 2 }, { pathId: 2 }, { pathId: 2 }] },
    });
  });

  it('FRR: changes of state, those of its own numbers among them', () => {
    const states = recordsOf('frr-messages').flatMap((record) =>
      record.kind === 'state' ? [[record.from, record.to]] : [],
    );
    expect(states).toContainEqual([5, 6]);
    expect(states).toContainEqual([6, 7]);
  });

  it('FRR: the table of both families, MP_REACH_NLRI whole', () => {
    const ribs = recordsOf('frr-table').filter((record): record is RibRecord => record.kind === 'rib');
    expect(ribs.map(({ prefix }) => formatPrefix(prefix))).toEqual([
      '0.0.0.0/0',
      '10.1.0.0/24',
      '10.1.1.0/24',
      '10.1.2.128/25',
      '10.2.0.0/16',
      '10.3.3.3/32',
      '198.51.100.0/24',
      '203.0.113.0/25',
      '::/0',
      '2001:db8:1::/48',
      '2001:db8:2::/64',
      '2001:db8:3::1/128',
      '2001:db8:100::/40',
    ]);
    const [first] = ribs.filter(({ family }) => family === IPV6_UNICAST);
    expect(splitNextHop(first!.entries[0]!.attributes)).toEqual({
      nextHop: parseAddress('2001:db8::2'),
      attributes: fromHex('40010100 5002000a 0202 0000fdea fa56ea01'),
    });
  });

  it('BIRD: tables one after another, each behind its own list of peers', () => {
    const kinds = recordsOf('bird-table').map((record) =>
      record.kind === 'peerIndexTable' ? new TextDecoder().decode(record.view) : record.kind,
    );
    expect(kinds.filter((kind) => kind !== 'rib')).toEqual([
      'master4',
      'master6',
      'master4',
      'master6',
      'master4',
      'master6',
    ]);
    const [of] = recordsOf('bird-table').filter((r): r is RibRecord => r.kind === 'rib' && r.entries[0]!.peer === 1);
    expect(splitNextHop(of!.entries[0]!.attributes)).toEqual({
      nextHop: parseAddress('10.254.7.1'),
      attributes: fromHex('40010100 40020602010000fde9 80040400000000 00050400000064'),
    });
  });
});
