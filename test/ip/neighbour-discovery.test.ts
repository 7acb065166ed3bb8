import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import {
  ALL_NODES,
  checkNeighbourDiscovery,
  DROP_NAMES,
  fillTransportChecksum,
  formatMac,
  ICMPV6_TYPE,
  isNeighbourDiscovery,
  ND_FLAG,
  ND_OPTION,
  ND_PACKET,
  ndFlags,
  ndLinkLayerAt,
  ndTargetAt,
  solicitedNode,
  UNSPECIFIED,
  writeNeighbourAdvertisement,
  writeNeighbourSolicitation,
} from '../../src/ip/index.ts';
import { addr, guarded } from '../support/packets.ts';

const A = fromHex('00:15:5d:00:00:10');
const B = fromHex('00:15:5d:00:00:20');
const [a, b] = [addr('2001:db8:1::10'), addr('2001:db8:1::20')];
const AT = 40;

/** What two Linux kernels said to each other, behind the Ethernet header. */
const SOLICITATION = fromHex(
  '60000000 0020 3a ff 20010db8000100000000000000000010 ff0200000000000000000001ff000020' +
    '8700c0b5 00000000 20010db8000100000000000000000020 0101 00155d000010',
);
const ADVERTISEMENT = fromHex(
  '60000000 0020 3a ff 20010db8000100000000000000000020 20010db8000100000000000000000010' +
    '88002ef0 60000000 20010db8000100000000000000000020 0201 00155d000020',
);
/** Of an unicast probe from a link-local address; the answer to one, without an option; before an address is used, with a nonce. */
const PROBE = fromHex(
  '60000000 0020 3a ff fe8000000000000002155dfffe000020 20010db8000100000000000000000010' +
    '87006224 00000000 20010db8000100000000000000000010 0101 00155d000020',
);
const CONFIRMATION = fromHex(
  '60000000 0018 3a ff 20010db8000100000000000000000010 fe8000000000000002155dfffe000020' +
    '88007f62 40000000 20010db8000100000000000000000010',
);
const DETECTION = fromHex(
  '60000000 0020 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff000010' +
    '8700551d 00000000 20010db8000100000000000000000010 0e01 a3e8230122be',
);
const ROUTER_SOLICITATION = fromHex(
  '60000000 0010 3a ff fe8000000000000002155dfffe000010 ff020000000000000000000000000002' +
    '8500c0e3 00000000 0101 00155d000010',
);

const verdict = (octets: Uint8Array): string => DROP_NAMES[checkNeighbourDiscovery(octets, 0, AT, octets.length)]!;

/** Some octets of a packet changed, and its checksum mended. */
const changed = (octets: Uint8Array, ...changes: readonly (readonly [at: number, value: Uint8Array | number[]])[]) => {
  const out = octets.slice();
  for (const [at, value] of changes) out.set(value, at);
  fillTransportChecksum(out, 0, AT, out.length, 58);
  return out;
};
const [SOURCE, DESTINATION, CODE, FLAGS, TARGET, OPTION] = [8, 24, AT + 1, AT + 4, AT + 8, AT + 24];

describe('RFC 4861 §4: messages that Linux sent', () => {
  it.each([
    ['solicitation', SOLICITATION, '2001:db8:1::20', 0, ND_OPTION.sourceLinkLayerAddress, '00:15:5d:00:00:10'],
    ['advertisement', ADVERTISEMENT, '2001:db8:1::20', 0x60, ND_OPTION.targetLinkLayerAddress, '00:15:5d:00:00:20'],
    ['probe', PROBE, '2001:db8:1::10', 0, ND_OPTION.sourceLinkLayerAddress, '00:15:5d:00:00:20'],
    ['confirmation', CONFIRMATION, '2001:db8:1::10', 0x40, ND_OPTION.targetLinkLayerAddress, undefined],
    ['detection of duplicates', DETECTION, '2001:db8:1::10', 0, ND_OPTION.sourceLinkLayerAddress, undefined],
  ])('%s', (_, octets, target, flags, option, mac) => {
    expect(verdict(octets)).toBe('pass');
    expect(octets.slice(ndTargetAt(AT), ndTargetAt(AT) + 16)).toEqual(addr(target));
    expect(ndFlags(octets, AT)).toBe(flags);
    const at = ndLinkLayerAt(octets, AT, octets.length, option);
    expect(at < 0 ? undefined : formatMac(octets.slice(at, at + 6))).toBe(mac);
  });

  it('a router solicitation, recognised and sound', () => {
    expect(verdict(ROUTER_SOLICITATION)).toBe('pass');
    const at = ndLinkLayerAt(ROUTER_SOLICITATION, AT, ROUTER_SOLICITATION.length, ND_OPTION.sourceLinkLayerAddress);
    expect(formatMac(ROUTER_SOLICITATION.slice(at))).toBe('00:15:5d:00:00:10');
  });

  it('§4.3, §4.4: are written to the same octets', () => {
    const buf = new Uint8Array(ND_PACKET + 4).fill(0xa5);
    writeNeighbourSolicitation(buf, 2, a, solicitedNode(b), b, A);
    expect(toHex(buf)).toBe(`a5a5${toHex(SOLICITATION)}a5a5`);
    writeNeighbourAdvertisement(buf, 2, ND_FLAG.solicited | ND_FLAG.override, b, a, b, B);
    expect(toHex(buf)).toBe(`a5a5${toHex(ADVERTISEMENT)}a5a5`);
  });

  it('RFC 4291 §2.7.1: the group of whoever may have an address', () => {
    expect(solicitedNode(addr('4037::01:800:200e:8c6c'))).toEqual(addr('ff02::1:ff0e:8c6c'));
  });

  it.each([
    [132, false],
    [ICMPV6_TYPE.routerSolicitation, true],
    [ICMPV6_TYPE.redirect, true],
    [138, false],
  ])('type %i is neighbour discovery: %s', (type, expected) => {
    expect(isNeighbourDiscovery(type)).toBe(expected);
  });
});

describe('RFC 4861 §6.1, §7.1, §8.1: what nobody may believe', () => {
  const router = changed(ROUTER_SOLICITATION, [AT, [134]]);
  const advertised = Uint8Array.from([...router.subarray(0, 48), ...new Uint8Array(8), ...router.subarray(48)]);
  const ROUTER_ADVERTISEMENT = changed(advertised, [4, [0, 24]]);
  const REDIRECT = changed(
    Uint8Array.from([...SOLICITATION.subarray(0, 64), ...b, ...SOLICITATION.subarray(64)]),
    [4, [0, 48]],
    [SOURCE, addr('fe80::1')],
    [AT, [137]],
  );

  it.each([
    ['advertisement of a router', ROUTER_ADVERTISEMENT],
    ['redirect', REDIRECT],
  ])('%s is sound otherwise', (_, octets) => {
    expect(verdict(octets)).toBe('pass');
  });

  it.each([
    ['hop limit 254', changed(SOLICITATION, [7, [254]])],
    ['another code', changed(SOLICITATION, [CODE, [1]])],
    ['a multicast target', changed(SOLICITATION, [TARGET, addr('ff02::1')])],
    ['an option without length', changed(SOLICITATION, [OPTION + 1, [0]])],
    ['an option that is longer than the message', changed(SOLICITATION, [OPTION, [5, 2]])],
    ['a link-layer address of another length', changed(DETECTION, [OPTION, [1, 2]])],
    ['a group as its MAC', changed(SOLICITATION, [OPTION + 2, [0x33, 0x33]])],
    ['no MAC at all', changed(SOLICITATION, [OPTION + 2, new Uint8Array(6)])],
    ['a cut message', changed(SOLICITATION.subarray(0, AT + 23))],
    ['octets behind its options', changed(Uint8Array.from([...SOLICITATION, 0, 0, 0, 0]))],
    ['no source, but a MAC', changed(SOLICITATION, [SOURCE, UNSPECIFIED])],
    ['no source, and to one node', changed(DETECTION, [DESTINATION, a])],
    ['advertised by nobody', changed(ADVERTISEMENT, [SOURCE, UNSPECIFIED], [DESTINATION, ALL_NODES], [FLAGS, [0]])],
    ['advertised, a multicast target', changed(ADVERTISEMENT, [TARGET, addr('ff02::1')])],
    ['an answer to all', changed(ADVERTISEMENT, [DESTINATION, ALL_NODES])],
    ['a router asked by nobody who has a MAC', changed(ROUTER_SOLICITATION, [SOURCE, UNSPECIFIED])],
    ['a router of another link', changed(ROUTER_ADVERTISEMENT, [SOURCE, a])],
    ['a redirect of another link', changed(REDIRECT, [SOURCE, a])],
    ['a redirect of a group', changed(REDIRECT, [AT + 24, ALL_NODES])],
    ['a type before', changed(SOLICITATION, [AT, [132]])],
    ['a type behind', changed(SOLICITATION, [AT, [138]])],
  ])('%s', (_, octets) => {
    expect(verdict(octets)).toBe('neighbourMessage');
  });

  it('a wrong checksum', () => {
    const wrong = SOLICITATION.slice();
    wrong[AT + 9]! ^= 1;
    expect(verdict(wrong)).toBe('checksum');
  });

  it('an unsolicited advertisement to all is sound', () => {
    expect(verdict(changed(ADVERTISEMENT, [DESTINATION, ALL_NODES], [FLAGS, [0xa0]]))).toBe('pass');
  });

  it('any octets have a verdict, and nothing outside of them is read', () => {
    const samples = [SOLICITATION, ADVERTISEMENT, DETECTION, ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, REDIRECT];
    const octets = fc
      .tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 3 }), fc.nat(60))
      .map(([sample, changes, cut]) => {
        const out = sample.slice(0, Math.max(AT, sample.length - Math.max(0, cut - 40)));
        for (const [at, octet] of changes) if (at < out.length) out[at] = octet;
        fillTransportChecksum(out, 0, AT, out.length, 58);
        return out;
      });
    fc.assert(
      fc.property(octets, (packet) => {
        const { buf, start, end } = guarded(packet);
        if (checkNeighbourDiscovery(buf, start, start + AT, end) !== 0) return;
        for (const option of [1, 2, 3]) {
          const found = ndLinkLayerAt(buf, start + AT, end, option);
          expect(found === -1 || (found >= start + AT + 8 && found + 6 <= end)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('what is written is believed', () => {
    const address = fc.uint8Array({ minLength: 15, maxLength: 15 }).map((rest) => Uint8Array.of(0x20, ...rest));
    const mac = fc.uint8Array({ minLength: 5, maxLength: 5 }).map((rest) => Uint8Array.of(2, ...rest));
    fc.assert(
      fc.property(address, address, mac, fc.boolean(), (from, target, own, all) => {
        const packet = new Uint8Array(ND_PACKET);
        writeNeighbourSolicitation(packet, 0, from, all ? solicitedNode(target) : target, target, own);
        expect(verdict(packet)).toBe('pass');
        writeNeighbourAdvertisement(packet, 0, all ? ND_FLAG.router : 0xe0, from, all ? ALL_NODES : target, from, own);
        expect(verdict(packet)).toBe('pass');
      }),
    );
  });
});
