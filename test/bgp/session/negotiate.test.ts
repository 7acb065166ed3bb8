import { describe, expect, it } from 'vitest';
import { type Capability, IPV4_UNICAST, IPV6_UNICAST, type OpenMessage } from '../../../src/bgp/message/index.ts';
import { sessionConfiguration } from '../../../src/bgp/session/configuration.ts';
import { checkOpen, negotiate } from '../../../src/bgp/session/negotiate.ts';

const ends = {
  local: { address: Uint8Array.of(192, 0, 2, 1), port: 179 },
  remote: { address: Uint8Array.of(192, 0, 2, 2), port: 50_000 },
};
const both = [IPV4_UNICAST, IPV6_UNICAST];
const open = (asn: number, holdSeconds: number, ...capabilities: readonly Capability[]): OpenMessage => ({
  kind: 'open',
  version: 4,
  myAs: asn,
  holdSeconds,
  identifier: asn,
  capabilities,
});
const families = (...list: readonly number[]) => list.map((family): Capability => ({ name: 'multiprotocol', family }));
const settled = (ours: readonly Capability[], theirs: readonly Capability[]) =>
  negotiate(open(65_001, 90, ...ours), open(65_002, 90, ...theirs), true, ends);

describe('what two OPENs come to', () => {
  it.each([
    [90, 30, 30, 10],
    [3, 90, 3, 1],
    [0, 90, 0, 0],
    [90, 0, 0, 0],
    [4, 65_535, 4, 4 / 3],
  ])(
    'RFC 4271 §4.2, §4.4: hold times of %i and %i s are %i s, with a KEEPALIVE every %d s',
    (a, b, hold, keepalive) => {
      const { holdSeconds, keepaliveSeconds } = negotiate(open(65_001, a), open(65_002, b), true, ends);
      expect([holdSeconds, keepaliveSeconds]).toEqual([hold, keepalive]);
    },
  );

  it('RFC 4760 §8: the families of both, and IPv4 unicast of who says nothing', () => {
    expect(settled(families(...both), families(IPV6_UNICAST)).families).toEqual([IPV6_UNICAST]);
    expect(settled(families(...both), []).families).toEqual([IPV4_UNICAST]);
  });

  it('RFC 8654 §4: each direction is as long as its reader takes', () => {
    const { receive, send } = settled([{ name: 'extendedMessage' }], []);
    expect([receive.maximumLength, send.maximumLength]).toEqual([65_535, 4096]);
  });

  it('RFC 6793 §4: four octets where both have them, never where one has', () => {
    const four = (asn: number): Capability => ({ name: 'fourOctetAs', asn });
    expect(settled([four(65_001)], [four(65_002)]).receive.fourOctetAs).toBe(true);
    expect(settled([four(65_001)], []).receive.fourOctetAs).toBe(false);
    const wide = negotiate(open(65_001, 90), open(23_456, 90, four(70_000)), true, ends);
    expect(wide.remoteAs).toBe(70_000);
  });

  it.each([
    [3, 3, true, true],
    [1, 2, true, false],
    [2, 1, false, true],
    [1, 1, false, false],
    [3, 4, false, false],
  ])('RFC 7911 §4: modes %i and %i: received %s, sent %s', (ours, theirs, received, sent) => {
    const addPath = (mode: number): Capability => ({ name: 'addPath', families: [{ family: IPV4_UNICAST, mode }] });
    const { receive, send } = settled([addPath(ours)], [addPath(theirs)]);
    expect([receive.addPath.length === 1, send.addPath.length === 1]).toEqual([received, sent]);
  });

  it.each([
    ['both', 2, 2, [IPV4_UNICAST]],
    ['one', 2, undefined, []],
    ['neither with IPv6', 1, 1, []],
  ])(
    'RFC 8950 §4: IPv6 next hops of IPv4 prefixes, said by %s, hold for what is sent and what is read',
    (_, a, b, of) => {
      const hops = (nextHopAfi: number | undefined): Capability[] =>
        nextHopAfi === undefined ? [] : [{ name: 'extendedNextHop', entries: [{ family: IPV4_UNICAST, nextHopAfi }] }];
      const { extendedNextHop, receive, send } = settled(hops(a), hops(b));
      expect([extendedNextHop, receive.extendedNextHop, send.extendedNextHop]).toEqual([of, of, of]);
    },
  );

  it('RFC 6286 §2.2: our own identifier is bad from a peer of our AS, and good from another', () => {
    const c = sessionConfiguration({ asn: 65_001, identifier: 65_001, remoteAs: 'any' });
    expect(checkOpen(c, open(65_001, 90))?.notification).toMatchObject({ code: 2, subcode: 3 });
    expect(checkOpen(c, { ...open(65_002, 90), identifier: 65_001 })).toBeUndefined();
  });
});
