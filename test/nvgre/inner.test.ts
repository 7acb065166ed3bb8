import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DROP, PASS, wrapPacket } from '../../src/ip/index.ts';
import { checkFrame, checkNeighbourMessage, isNeighbourMessage } from '../../src/nvgre/inner.ts';
import { addr, icmp6, ipv4, ipv6, join } from '../compartment/octets.ts';
import { guarded } from '../support/packets.ts';
import { advertisement, arp, arpRequest, eth, ipFrame, mac, solicitation, vm } from './fixture.ts';

const check = (octets: Uint8Array): number => checkFrame(octets, 0, octets.length);
const checkNd = (octets: Uint8Array, partial = false): number =>
  checkNeighbourMessage({ ...wrapPacket(octets), partial });

describe('RFC 826, RFC 7637 §3.3: frames the switch carries', () => {
  const changed = (octets: Uint8Array, at: number, value: number): Uint8Array => {
    const out = octets.slice();
    out[at] = value;
    return out;
  };
  const request = arpRequest(vm(1), '10.1.0.11', '10.1.0.13');
  const packet = ipv4({ src: '10.1.0.11', dst: '10.1.0.13' });

  it.each([
    ['IPv4', ipFrame(vm(1), vm(2), packet), PASS],
    ['IPv4 in 19 octets', eth(vm(1), vm(2), 0x0800, packet.subarray(0, 19)), DROP.short],
    ['IPv6 that says IPv4', eth(vm(1), vm(2), 0x0800, ipv6({ src: '::1', dst: '::2' })), DROP.version],
    ['IPv6', ipFrame(vm(1), vm(2), ipv6({ src: 'fe80::1', dst: 'fe80::2' })), PASS],
    ['IPv6 in 39 octets', eth(vm(1), vm(2), 0x86dd, ipv6({ src: '::1', dst: '::2' }).subarray(0, 39)), DROP.short],
    ['IPv4 that says IPv6', eth(vm(1), vm(2), 0x86dd, join(packet, packet)), DROP.version],
    ['a customer tag', eth(vm(1), vm(2), 0x8100, join([0, 1, 8, 0], packet)), DROP.vlanTag],
    ['a service tag', eth(vm(1), vm(2), 0x88a8, join([0, 1, 8, 0], packet)), DROP.vlanTag],
    ['LLDP', eth('01:80:c2:00:00:0e', vm(2), 0x88cc, packet), DROP.etherType],
    ['a length instead of a type', eth('01:80:c2:00:00:00', vm(2), 38, packet), DROP.etherType],
    ['half a header', request.subarray(0, 13), DROP.short],
    ['ARP', request, PASS],
    ['padded ARP', join(request, new Uint8Array(18)), PASS],
    ['ARP cut short', request.subarray(0, 41), DROP.short],
    ['ARP of IEEE 802 hardware', changed(request, 15, 6), DROP.neighbourMessage],
    ['ARP for IPv6', join(request.subarray(0, 16), [0x86, 0xdd], request.subarray(18)), DROP.neighbourMessage],
    ['ARP with long hardware addresses', changed(request, 18, 8), DROP.neighbourMessage],
    ['ARP with long protocol addresses', changed(request, 19, 16), DROP.neighbourMessage],
    ['RARP', changed(request, 21, 3), DROP.neighbourMessage],
    ['ARP reply', eth(vm(1), vm(2), 0x0806, arp(2, vm(2), '10.1.0.12', vm(1), '10.1.0.11')), PASS],
  ])('%s', (_, octets, verdict) => {
    expect(check(octets)).toBe(verdict);
  });

  it('arbitrary octets get a verdict, and nothing else is read', () => {
    const type = fc.constantFrom([8, 0], [8, 6], [0x86, 0xdd], [0x81, 0], [1, 2]);
    fc.assert(
      fc.property(
        type,
        fc.constantFrom([0x45], [0x60], [0, 1, 8, 0, 6, 4, 0, 1]),
        fc.uint8Array({ maxLength: 60 }),
        (t, first, rest) => {
          const { buf, start, end } = guarded(join(new Uint8Array(12), t, first, rest));
          expect(checkFrame(buf, start, end)).toBeTypeOf('number');
        },
      ),
    );
  });
});

describe('RFC 4861 §7.1: neighbour messages', () => {
  const target = '2001:db8:1::13';
  const slla = [1, 1, ...mac(vm(1))];
  const ask = (f: Parameters<typeof solicitation>[3] = {}, src = '2001:db8:1::11') =>
    solicitation(vm(1), src, target, f);
  const raw = (type: number, code: number, src: string, dst: string, body: Uint8Array, hop = 255) =>
    ipFrame(vm(2), vm(1), ipv6({ src, dst, next: 58, hop }, icmp6(src, dst, type, code, [0, 0, 0, 0], body)));
  const body = join(addr(target), slla);
  const announce = advertisement({ dstMac: vm(2), mac: vm(1), target, dst: 'ff02::1', flags: 0x20 });
  const wrongSum = (frame: Uint8Array): Uint8Array => {
    const out = frame.slice();
    out[14 + 40 + 3]! ^= 1;
    return out;
  };

  it.each([
    ['a solicitation', ask(), PASS],
    ['one to the target itself', ask({ dst: target }), PASS],
    ['one without options', ask({ options: [] }), PASS],
    ['one with an unknown option, a nonce', ask({ options: [14, 1, 1, 2, 3, 4, 5, 6, ...slla] }), PASS],
    ['a probe', ask({}, '::'), PASS],
    ['a probe to the target itself', ask({ dst: target }, '::'), DROP.neighbourMessage],
    ['a probe that names its sender', ask({ options: slla }, '::'), DROP.neighbourMessage],
    ['hop limit 254', ask({ hop: 254 }), DROP.neighbourMessage],
    ['code 1', raw(135, 1, 'fe80::1', target, body), DROP.neighbourMessage],
    ['a target that is multicast', raw(135, 0, 'fe80::1', target, join(addr('ff02::1'), slla)), DROP.neighbourMessage],
    ['23 octets', raw(135, 0, 'fe80::1', target, body.subarray(0, 15)), DROP.neighbourMessage],
    ['an option of no length', ask({ options: [1, 0, ...mac(vm(1))] }), DROP.neighbourMessage],
    ['an option that reaches beyond', ask({ options: [1, 2, ...mac(vm(1))] }), DROP.neighbourMessage],
    ['half an option', ask({ options: [...slla, 1] }), DROP.neighbourMessage],
    ['a wrong checksum', wrongSum(ask()), DROP.neighbourMessage],
    ["another's MAC", ask({ options: [1, 1, ...mac(vm(9))] }), DROP.spoofed],
    ['an advertisement', announce, PASS],
    [
      "an advertisement of another's MAC",
      join(announce.subarray(0, 6), mac(vm(9)), announce.subarray(12)),
      DROP.spoofed,
    ],
    ['an advertisement from nowhere', raw(136, 0, '::', 'ff02::1', body), DROP.neighbourMessage],
  ])('%s', (_, octets, verdict) => {
    expect(isNeighbourMessage(octets, 14, octets.length)).toBe(true);
    expect(checkNd(octets)).toBe(verdict);
  });

  it('longer by its IPv6 header than it is', () => {
    expect(checkNd(ask().subarray(0, -1))).toBe(DROP.neighbourMessage);
  });

  it('padding behind it is no part of it', () => {
    expect(checkNd(join(ask(), [1, 0, 0, 0]))).toBe(PASS);
  });

  it('a checksum that is owed is not looked at', () => {
    expect(checkNd(wrongSum(ask()), true)).toBe(PASS);
  });

  it('other ICMPv6 is none', () => {
    const others = [128, 133, 134, 137].map((type) => raw(type, 0, 'fe80::1', 'ff02::1', body));
    expect(others.map((octets) => isNeighbourMessage(octets, 14, octets.length))).toEqual([false, false, false, false]);
    const bare = ipFrame(vm(2), vm(1), ipv6({ src: '::', dst: 'ff02::1', next: 58 }));
    expect(isNeighbourMessage(bare, 14, bare.length)).toBe(false);
  });

  it('arbitrary messages get a verdict, and nothing else is read', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(135, 136),
        fc.uint8Array({ maxLength: 60 }),
        fc.nat(80),
        fc.boolean(),
        (type, rest, length, partial) => {
          const frame = ipFrame(
            vm(1),
            vm(2),
            ipv6({ src: 'fe80::1', dst: target, next: 58, hop: 255 }, join([type, 0, 0, 0], rest)),
          );
          frame[14 + 5] = length;
          const placed = guarded(frame);
          const packet = { ...wrapPacket(new Uint8Array(0)), ...placed, partial };
          expect(checkNeighbourMessage(packet)).toBeTypeOf('number');
        },
      ),
    );
  });
});
