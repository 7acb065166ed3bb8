import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import {
  ARP_LENGTH,
  ARP_OPERATION,
  arpOperation,
  arpSender,
  arpSenderMacAt,
  arpTarget,
  arpTargetMacAt,
  checkArp,
  DROP_NAMES,
  ipv4Number,
  isArpAnnouncement,
  isArpProbe,
  writeArp,
} from '../../src/ip/index.ts';
import { addr, guarded } from '../support/packets.ts';

const A = fromHex('00:15:5d:00:00:10');
const B = fromHex('00:15:5d:00:00:20');
const number = (text: string): number => ipv4Number(addr(text));

/** What two Linux kernels said to each other, behind the Ethernet header. */
const REQUEST = fromHex('0001 0800 0604 0001 00155d000010 0a01000a 000000000000 0a010014');
const REPLY = fromHex('0001 0800 0604 0002 00155d000020 0a010014 00155d000010 0a01000a');
/** A unicast request, as a probe of what is known. */
const PROBE = fromHex('0001 0800 0604 0001 00155d000020 0a010014 000000000000 0a01000a');

const verdict = (octets: Uint8Array): string => DROP_NAMES[checkArp(octets, 0, octets.length)]!;
const changed = (at: number, ...octets: number[]): Uint8Array => {
  const out = REPLY.slice();
  out.set(octets, at);
  return out;
};

describe('RFC 826: the message', () => {
  it.each([
    ['request', REQUEST, ARP_OPERATION.request, A, '10.1.0.10', '10.1.0.20', undefined],
    ['reply', REPLY, ARP_OPERATION.reply, B, '10.1.0.20', '10.1.0.10', A],
    ['unicast request', PROBE, ARP_OPERATION.request, B, '10.1.0.20', '10.1.0.10', undefined],
  ] as const)('%s that Linux sent, read and written', (_, octets, operation, mac, sender, target, targetMac) => {
    expect(verdict(octets)).toBe('pass');
    expect([arpOperation(octets, 0), arpSender(octets, 0), arpTarget(octets, 0)]).toEqual([
      operation,
      number(sender),
      number(target),
    ]);
    expect(octets.slice(arpSenderMacAt(0), arpSenderMacAt(0) + 6)).toEqual(mac);
    expect(octets.slice(arpTargetMacAt(0), arpTargetMacAt(0) + 6)).toEqual(targetMac ?? new Uint8Array(6));
    const written = new Uint8Array(ARP_LENGTH + 4).fill(0xa5);
    writeArp(written, 2, operation, mac, number(sender), number(target), targetMac);
    expect(toHex(written)).toBe(`a5a5${toHex(octets)}a5a5`);
  });

  it.each([
    ['as it was', REPLY, 'pass'],
    ['with padding behind', Uint8Array.from([...REPLY, ...new Uint8Array(18)]), 'pass'],
    ['an octet short', REPLY.subarray(0, 27), 'neighbourMessage'],
    ['of another hardware', changed(0, 0, 6), 'neighbourMessage'],
    ['of another protocol', changed(2, 0x86, 0xdd), 'neighbourMessage'],
    ['with long hardware addresses', changed(4, 8), 'neighbourMessage'],
    ['with long protocol addresses', changed(5, 16), 'neighbourMessage'],
    ['that asks in reverse (RFC 903)', changed(6, 0, 3), 'neighbourMessage'],
    ['that does nothing', changed(6, 0, 0), 'neighbourMessage'],
    [
      'RFC 1812 §3.3.2: that gives a broadcast as somebody’s',
      changed(8, 255, 255, 255, 255, 255, 255),
      'neighbourMessage',
    ],
    ['RFC 1812 §3.3.2: that gives a group as somebody’s', changed(8, 0x01), 'neighbourMessage'],
    ['that gives the zero address as somebody’s', changed(8, 0, 0, 0, 0, 0, 0), 'neighbourMessage'],
    ['of multicast', changed(14, 224, 0, 0, 5), 'neighbourMessage'],
    ['of loopback', changed(14, 127, 0, 0, 1), 'neighbourMessage'],
    ['of the limited broadcast', changed(14, 255, 255, 255, 255), 'neighbourMessage'],
    ['of this network', changed(14, 0, 1, 2, 3), 'neighbourMessage'],
    ['of nobody', changed(14, 0, 0, 0, 0), 'neighbourMessage'],
  ])('a reply %s', (_, octets, expected) => {
    expect(verdict(octets)).toBe(expected);
  });

  it('RFC 5227 §1.1: probes and announcements', () => {
    const probe = new Uint8Array(ARP_LENGTH);
    writeArp(probe, 0, ARP_OPERATION.request, A, 0, number('10.1.0.10'));
    expect([verdict(probe), isArpProbe(probe, 0), isArpAnnouncement(probe, 0)]).toEqual(['pass', true, false]);
    const announcement = new Uint8Array(ARP_LENGTH);
    writeArp(announcement, 0, ARP_OPERATION.request, A, number('10.1.0.10'), number('10.1.0.10'));
    expect([isArpProbe(announcement, 0), isArpAnnouncement(announcement, 0)]).toEqual([false, true]);
    expect([isArpProbe(REQUEST, 0), isArpAnnouncement(REQUEST, 0)]).toEqual([false, false]);
  });

  it('any octets have a verdict, and nothing outside of them is read', () => {
    const mutated = fc.tuple(fc.nat(27), fc.nat(255), fc.nat(40)).map(([at, octet, length]) => {
      const out = new Uint8Array(40);
      out.set(REPLY);
      out[at] = octet;
      return out.subarray(0, length);
    });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), (octets) => {
        const { buf, start, end } = guarded(octets);
        expect(['pass', 'neighbourMessage']).toContain(DROP_NAMES[checkArp(buf, start, end)]);
      }),
    );
  });
});
