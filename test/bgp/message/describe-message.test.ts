import { describe, expect, test } from 'vitest';
import {
  attributeOf,
  type Capability,
  describeMessage,
  encodeMessage,
  type Message,
  type Nlri,
} from '../../../src/bgp/index.ts';
import type { CodecContext } from '../../../src/bgp/message/types.ts';
import { parseAddress, parsePrefix } from '../../../src/ip/index.ts';

const CONTEXT: CodecContext = {
  ebgp: true,
  fourOctetAs: true,
  maximumLength: 65_535,
  addPath: [],
  families: [0x0101, 0x0201],
};
const words = (message: Message) => describeMessage(encodeMessage(message, CONTEXT), CONTEXT);
const prefixes = (count: number): Nlri[] =>
  Array.from({ length: count }, (_, i) => ({ prefix: parsePrefix(`10.0.${i}.0/24`)! }));
const update = { kind: 'update', withdrawn: [], attributes: [], nlri: [] } as const;
const route = [
  attributeOf({ name: 'origin', origin: 'igp' }),
  attributeOf({ name: 'asPath', segments: [{ type: 'sequence', asns: [65_001, 70_000] }] }),
  attributeOf({ name: 'nextHop', address: parseAddress('192.0.2.1')! }),
];

describe('a message in a line', () => {
  const capabilities: Capability[] = [{ name: 'routeRefresh' }, { name: 'fourOctetAs', asn: 70_000 }];
  test.each<[Message, string]>([
    [
      { kind: 'open', version: 4, myAs: 23_456, holdSeconds: 90, identifier: 0xc000_0201, capabilities },
      'OPEN version 4, AS 23456, hold 90 s, ID 192.0.2.1, ROUTE_REFRESH, FOUR_OCTET_AS 70000',
    ],
    [{ kind: 'keepalive' }, 'KEEPALIVE'],
    [
      { kind: 'notification', code: 2, subcode: 2, data: new Uint8Array(0) },
      'NOTIFICATION OPEN Message Error: Bad Peer AS',
    ],
    [{ kind: 'routeRefresh', family: 0x0101, subtype: 0 }, 'ROUTE-REFRESH IPv4 unicast'],
    [{ kind: 'routeRefresh', family: 0x0201, subtype: 1 }, 'ROUTE-REFRESH IPv6 unicast begins'],
    [{ kind: 'routeRefresh', family: 0x0201, subtype: 2 }, 'ROUTE-REFRESH IPv6 unicast ends'],
    [{ ...update }, 'UPDATE End-of-RIB IPv4 unicast'],
    [
      { ...update, attributes: [attributeOf({ name: 'mpUnreach', family: 0x0201, withdrawn: [] })] },
      'UPDATE End-of-RIB IPv6 unicast',
    ],
    [
      { ...update, withdrawn: prefixes(1), attributes: route, nlri: prefixes(12) },
      `UPDATE ${Array.from({ length: 10 }, (_, i) => `10.0.${i}.0/24`).join(', ')} and 2 more; ORIGIN igp; AS_PATH 65001 70000; NEXT_HOP 192.0.2.1; withdrawn 10.0.0.0/24`,
    ],
  ])('%#', (message, line) => expect(words(message)).toBe(line));

  test('RFC 7606: what is wrong with an UPDATE, and what follows', () => {
    expect(words({ ...update, attributes: route.slice(1), nlri: prefixes(1) })).toMatch(
      /^UPDATE withdrawn 10\.0\.0\.0\/24; treated as withdrawn: .*ORIGIN/,
    );
  });

  test('the longest messages are short lines', () => {
    const withdrawn = Array.from({ length: 15_000 }, (_, i) => ({
      prefix: parsePrefix(`10.${i >> 8}.${i & 0xff}.0/24`)!,
    }));
    expect(words({ ...update, withdrawn }).length).toBeLessThan(200);
    const asns = Array.from({ length: 2000 }, () => 4_200_000_000);
    const segments = Array.from(
      { length: 8 },
      (_, i) => ({ type: 'sequence', asns: asns.slice(i * 250, i * 250 + 250) }) as const,
    );
    const long = [route[0]!, attributeOf({ name: 'asPath', segments }), route[2]!];
    expect(words({ ...update, attributes: long, nlri: prefixes(1) }).length).toBeLessThan(600);
    const many = Array.from({ length: 15_000 }, (_, i) => ({
      prefix: parsePrefix(`2001:db8:${i.toString(16)}::/48`)!,
    }));
    const reach = attributeOf({ name: 'mpUnreach', family: 0x0201, withdrawn: many.slice(0, 8000) });
    expect(words({ ...update, attributes: [reach] }).length).toBeLessThan(400);
  });
});
