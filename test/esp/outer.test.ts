import { describe, expect, it, test } from 'vitest';
import {
  type Carrier,
  combineEcn,
  ECN,
  innerMtu,
  open,
  outerDf,
  outerLength,
  outerTos,
  seal,
} from '../../src/esp/index.ts';
import { checkIp, DROP, PASS, trafficClass } from '../../src/ip/index.ts';
import { copyOf, inbound, inner, keyed, outbound, packetOf, SUITES, sadOf, suite } from './support.ts';

const FAMILIES = [
  { family: 'IPv4', source: '10.1.0.4', destination: '10.2.0.7' },
  { family: 'IPv6', source: '2001:db8:1::4', destination: '2001:db8:2::7' },
] as const;
const NAMES = { notEct: 'Not-ECT', ect0: 'ECT(0)', ect1: 'ECT(1)', ce: 'CE' } as const;
type Codepoint = keyof typeof ECN;

/** RFC 6040 §4.2, Figure 4, as printed. */
const FIGURE_4: readonly (readonly [Codepoint, Codepoint, Codepoint | 'drop'])[] = [
  // inner, outer → outgoing
  ['notEct', 'notEct', 'notEct'],
  ['notEct', 'ect0', 'notEct'],
  ['notEct', 'ect1', 'notEct'],
  ['notEct', 'ce', 'drop'],
  ['ect0', 'notEct', 'ect0'],
  ['ect0', 'ect0', 'ect0'],
  ['ect0', 'ect1', 'ect1'],
  ['ect0', 'ce', 'ce'],
  ['ect1', 'notEct', 'ect1'],
  ['ect1', 'ect0', 'ect1'],
  ['ect1', 'ect1', 'ect1'],
  ['ect1', 'ce', 'ce'],
  ['ce', 'notEct', 'ce'],
  ['ce', 'ect0', 'ce'],
  ['ce', 'ect1', 'ce'],
  ['ce', 'ce', 'ce'],
];

describe('RFC 6040 §4.2: ECN on decapsulation', () => {
  for (const { family, source, destination } of FAMILIES) {
    test.each(FIGURE_4.map(([i, o, out]) => ({ i, o, out, words: `${NAMES[i]} in ${NAMES[o]}` })))(
      `${family}: $words → $out`,
      ({ i, o, out }) => {
        for (const dscp of [0, 46, 63]) {
          const before = inner(source, destination, { trafficClass: (dscp << 2) | ECN[i] });
          const packet = packetOf(before);
          // The outer DSCP is ignored.
          const verdict = combineEcn(packet.buf, packet.start, 0xa8 | ECN[o]);
          expect(verdict).toBe(out === 'drop' ? DROP.ecnIllegal : PASS);
          const expected = inner(source, destination, {
            trafficClass: (dscp << 2) | (out === 'drop' ? ECN[i] : ECN[out]),
          });
          // Every other octet as before; the checksum of IPv4 as if computed anew.
          expect(copyOf(packet)).toEqual(expected);
          expect(checkIp(packet.buf, packet.start, packet.end)).toBe(PASS);
        }
      },
    );
  }

  it('codepoints are those of RFC 3168 §5', () => {
    expect(ECN).toEqual({ notEct: 0, ect1: 1, ect0: 2, ce: 3 });
  });

  it('reaches the inner packet through `open`, and drops are counted', () => {
    const protection = keyed(suite('aes128gcm16'));
    const [sender, receiver] = [outbound({ protection }), inbound({ protection })];
    const sad = sadOf(receiver);
    const ect0 = packetOf(inner('10.1.0.4', '10.2.0.7', { trafficClass: ECN.ect0 }));
    expect(seal(sender, ect0, 0)).toBe(PASS);
    expect(open(sad, ect0, ECN.ce, 0)).toBe(PASS);
    expect(trafficClass(ect0.buf, ect0.start)).toBe(ECN.ce);
    const notEct = packetOf(inner('10.1.0.4', '10.2.0.7'));
    expect(seal(sender, notEct, 0)).toBe(PASS);
    expect(open(sad, notEct, ECN.ce, 0)).toBe(DROP.ecnIllegal);
    expect(receiver.drops[DROP.ecnIllegal]).toBe(1);
  });
});

describe('RFC 4301 §5.1.2.1: the outer header on encapsulation', () => {
  for (const { family, source, destination } of FAMILIES) {
    it(`${family}: DSCP copied or zero; RFC 6040 §4.1: ECN copied, CE too`, () => {
      for (let tos = 0; tos < 256; tos++) {
        const packet = packetOf(inner(source, destination, { trafficClass: tos }));
        expect(outerTos(packet.buf, packet.start, true)).toBe(tos);
        expect(outerTos(packet.buf, packet.start, false)).toBe(tos & 3);
      }
    });
  }

  test.each([
    ['copy', true, 1],
    ['copy', false, 0],
    ['set', true, 1],
    ['set', false, 1],
    ['clear', true, 0],
    ['clear', false, 0],
  ] as const)('§8.1: policy %s, inner DF %s → outer DF %i', (policy, dontFragment, df) => {
    const v4 = packetOf(inner('10.1.0.4', '10.2.0.7', { dontFragment }));
    expect(outerDf(v4.buf, v4.start, policy)).toBe(df);
  });

  test.each([
    ['copy', 1],
    ['set', 1],
    ['clear', 0],
  ] as const)('§8.1: policy %s over an inner IPv6 packet, which counts as DF → %i', (policy, df) => {
    const v6 = packetOf(inner('2001:db8:1::4', '2001:db8:2::7'));
    expect(outerDf(v6.buf, v6.start, policy)).toBe(df);
  });

  it('`seal` tells both beside the packet, for the packet just sealed', () => {
    const sa = outbound({ protection: keyed(suite('aes128gcm16')), df: 'copy', copyDscp: false });
    const first = inner('10.1.0.4', '10.2.0.7', { trafficClass: (46 << 2) | ECN.ect0, dontFragment: true });
    expect(seal(sa, packetOf(first), 0)).toBe(PASS);
    expect([sa.tos, sa.dontFragment]).toEqual([ECN.ect0, 1]);
    expect(seal(sa, packetOf(inner('10.1.0.4', '10.2.0.7')), 0)).toBe(PASS);
    expect([sa.tos, sa.dontFragment]).toEqual([0, 0]);
  });
});

describe('RFC 4303 §2: lengths', () => {
  const CARRIERS: readonly Carrier[] = ['udp', 'ip-50'];

  test.each([
    // By hand: outer IP + UDP + 8 + IV + ICV, then down to the block, less Pad Length and Next Header.
    ['aes256gcm16', 1500, 'udp', 4, 1438],
    ['aes256gcm16', 1500, 'ip-50', 4, 1446],
    ['aes256gcm16', 1500, 'ip-50', 6, 1426],
    ['aes128gcm8', 1500, 'udp', 4, 1446],
    ['chacha20poly1305', 1500, 'udp', 4, 1438],
    ['aes256-sha256', 1500, 'udp', 4, 1422],
    ['aes256-sha256', 1500, 'ip-50', 4, 1438],
    ['aes128-sha1', 1500, 'udp', 4, 1422],
    ['aes256-sha512', 1492, 'udp', 6, 1374],
    ['aes128ctr-aesxcbc', 1500, 'udp', 4, 1442],
    ['3des-sha1', 1500, 'udp', 4, 1438],
    ['null-sha256', 1500, 'ip-50', 4, 1454],
  ] as const)('%s in %i octets over %s and IPv%i carries %i', (word, mtu, carrier, family, expected) => {
    expect(innerMtu(mtu, keyed(suite(word)), carrier, family)).toBe(expected);
  });

  it('innerMtu is the longest that fits, for every suite, carrier, family and MTU', () => {
    for (const s of SUITES) {
      const protection = keyed(s);
      for (const carrier of CARRIERS)
        for (const family of [4, 6] as const)
          for (let mtu = 576; mtu < 576 + 33; mtu++) {
            const most = innerMtu(mtu, protection, carrier, family);
            const fits = outerLength(most, protection, carrier, family);
            const tooLong = outerLength(most + 1, protection, carrier, family);
            if (fits > mtu || tooLong <= mtu) expect({ word: s.word, mtu, most }).toBe('the longest that fits');
          }
    }
  });

  it('an MTU below the overhead carries nothing', () => {
    expect(innerMtu(0, keyed(suite('aes256gcm16')), 'udp', 4)).toBe(0);
    expect(innerMtu(61, keyed(suite('aes256gcm16')), 'udp', 4)).toBe(0);
  });
});
