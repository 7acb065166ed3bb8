import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { DROP } from '../../src/ip/index.ts';
import { natCells } from '../../src/nat/counters.ts';
import { FragmentTable } from '../../src/nat/fragments.ts';
import { drawHashKeys } from '../../src/nat/hash.ts';
import { FRAGMENT_MS, WAITING_MS, WAITING_OCTETS } from '../../src/nat/index.ts';
import {
  ACK,
  be,
  counting,
  cut,
  EXTERNAL,
  error,
  expectValid,
  ipv4,
  ping,
  placed,
  SYN,
  tcp,
  udp,
  World,
  whole,
  words,
} from './fixture.ts';

const [A, B] = ['10.1.0.10:5000', '10.1.0.11:5001'];
const DNS = '192.0.2.1:53';
const big = (from: string, to: string, id: number, length = 100): Uint8Array => udp(from, to, counting(length), { id });

/** Passes each, and those that may follow it. */
function passAll(w: World, direction: 'out' | 'in', pieces: readonly Uint8Array[]): Uint8Array[] {
  const passed: Uint8Array[] = [];
  for (const piece of pieces) {
    const text = direction === 'out' ? w.out(piece) : w.in(piece);
    if (text === 'fragment') continue;
    // What was translated is asked for again: the same translation of the same packet.
    passed.push(direction === 'out' ? w.outOctets(piece) : w.inOctets(piece), ...w.followers(direction));
  }
  return passed;
}

describe('NAT of fragments', () => {
  it('RFC 4787 REQ-14: in order, the later ones follow the first, both ways', () => {
    const w = new World();
    const sent = big(A, DNS, 77);
    const left = cut(sent, 40).map((piece) => w.outOctets(piece));
    expect(left.map(words)).toEqual([
      `udp ${EXTERNAL}:5000 > ${DNS} @0+`,
      `fragment ${EXTERNAL} > 192.0.2.1 @40+`,
      `fragment ${EXTERNAL} > 192.0.2.1 @80`,
    ]);
    expectValid(whole(left));
    const answer = big(DNS, `${EXTERNAL}:5000`, 0xffff, 90);
    const arrived = cut(answer, 24).map((piece) => w.inOctets(piece));
    expect(whole(arrived)).toEqual(big(DNS, A, 0xffff, 90));
    expect(w.nat.counters.fragments).toBe(2 + 4);
  });

  it.each(['out', 'in'] as const)('RFC 4787 REQ-14: out of order, they wait and follow the first (%s)', (direction) => {
    const w = new World();
    w.out(udp(A, DNS));
    const packet = direction === 'out' ? big(A, DNS, 5) : big(DNS, `${EXTERNAL}:5000`, 5);
    const pieces = cut(packet, 40);
    const pass = (piece: Uint8Array): string => (direction === 'out' ? w.out(piece) : w.in(piece));
    expect(pass(pieces[2]!)).toBe('fragment');
    expect(pass(pieces[1]!)).toBe('fragment');
    expect(w.followers(direction)).toEqual([]);
    const first = direction === 'out' ? w.outOctets(pieces[0]!) : w.inOctets(pieces[0]!);
    const [third, second] = w.followers(direction);
    const made = whole([first, second!, third!]);
    expectValid(made);
    if (direction === 'in') expect(made).toEqual(big(DNS, A, 5));
    expect(w.nat.counters).toMatchObject({ waitingFollowed: 2, waitingLost: 0 });
    expect(w.nat.drops).toEqual({ fragment: 2 });
  });

  it('RFC 4787 REQ-14: whatever the order of several packets, each is whole at the end', () => {
    const packets = [big(A, DNS, 1, 60), big(A, DNS, 2, 90), big(B, DNS, 1, 70)];
    const all = packets.flatMap((packet, which) => cut(packet, 24).map((piece) => ({ which, piece })));
    fc.assert(
      fc.property(fc.shuffledSubarray(all, { minLength: all.length }), (order) => {
        const w = new World();
        const left = passAll(
          w,
          'out',
          order.map(({ piece }) => piece),
        );
        const byId = new Map<number, Uint8Array[]>();
        for (const piece of left) byId.set(be(piece, 4), [...(byId.get(be(piece, 4)) ?? []), piece]);
        expect(byId.size).toBe(3);
        for (const pieces of byId.values()) {
          const inOrder = pieces.sort((a, b) => (be(a, 6) & 0x1fff) - (be(b, 6) & 0x1fff));
          expectValid(whole(inOrder));
        }
      }),
      { numRuns: 30 },
    );
  });

  it('RFC 4787 REQ-14: one whose first never passes waits in vain, and is counted', () => {
    const w = new World();
    const [, later] = cut(big(A, DNS, 5), 40);
    expect(w.out(later!)).toBe('fragment');
    expect(w.nat.deadline()).toEqual({ at: w.now + WAITING_MS, why: expect.stringContaining('fragment') });
    w.wait(2);
    expect(w.nat.counters).toMatchObject({ waitingFollowed: 0, waitingLost: 1 });
    expect(w.nat.deadline()).toBeUndefined();
    // A first one from outside that is filtered lets nothing follow.
    const [first, second] = cut(big(DNS, `${EXTERNAL}:5000`, 6), 40);
    expect(w.in(second!)).toBe('fragment');
    expect(w.in(first!)).toBe('natNoSession');
    expect(w.followers('in')).toEqual([]);
  });

  it('RFC 4787 REQ-14: what is told apart: direction, addresses, protocol, identification', () => {
    const w = new World();
    w.out(cut(big(A, DNS, 5), 40)[0]!);
    const later = { src: '10.1.0.10', dst: '192.0.2.1', protocol: 17, id: 5, offset: 40 };
    for (const other of [{ src: '10.1.0.12' }, { dst: '192.0.2.2' }, { protocol: 1 }, { id: 6 }]) {
      expect(w.out(ipv4({ ...later, ...other }, counting(8)))).toBe('fragment');
    }
    expect(w.in(ipv4({ ...later, src: '192.0.2.1', dst: EXTERNAL }, counting(8)))).toBe('fragment');
    // Nor do others that wait follow: of another protocol, for instance.
    w.out(ipv4({ ...later, id: 9, protocol: 1 }, counting(8)));
    w.out(cut(big(A, DNS, 9), 40)[0]!);
    expect(w.followers('out')).toEqual([]);
    expect(w.out(ipv4(later, counting(8)))).toBe(`fragment ${EXTERNAL} > 192.0.2.1 @40`);
    expect(w.in(ipv4({ ...later, dst: '203.0.113.51' }, counting(8)))).toBe('natNoSession');
  });

  it('a first fragment is remembered as long as a receiver waits for the rest', () => {
    const w = new World();
    const [first, second] = cut(big(A, DNS, 5), 40);
    w.out(first!);
    w.now += FRAGMENT_MS - 1;
    expect(w.out(second!)).toContain('fragment 203');
    w.now += 1;
    expect(w.out(second!)).toBe('fragment');
  });

  it('RFC 7857 §10: packets of two hosts with one identification leave with two', () => {
    const w = new World();
    const first = cut(big(A, DNS, 5), 40).map((piece) => w.outOctets(piece));
    const other = cut(big(B, DNS, 5), 40).map((piece) => w.outOctets(piece));
    expect(new Set(first.map((piece) => be(piece, 4))).size).toBe(1);
    expect(new Set(other.map((piece) => be(piece, 4))).size).toBe(1);
    expect(be(first[0]!, 4)).not.toBe(be(other[0]!, 4));
    // A copy of a first fragment does not make it another packet.
    expect(be(w.outOctets(cut(big(A, DNS, 5), 40)[0]!), 4)).toBe(be(first[0]!, 4));
  });

  it('TCP and pings come in fragments, too; a first one without the whole TCP header is short', () => {
    const w = new World();
    w.out(tcp(A, '192.0.2.1:80', SYN));
    const segment = tcp(A, '192.0.2.1:80', ACK, counting(60));
    expectValid(whole(cut(segment, 40).map((piece) => w.outOctets(piece))));
    expect(w.out(cut(segment, 16)[0]!)).toBe('short');
    expectValid(whole(cut(ping('10.1.0.10', '192.0.2.1', 7), 16).map((piece) => w.outOctets(piece))));
  });

  it('an ICMP error in fragments is dropped: it cannot be verified', () => {
    const w = new World();
    const about = w.outOctets(udp(A, DNS));
    expect(w.in(cut(error('198.51.100.1', EXTERNAL, about), 24)[0]!)).toBe('fragment');
    expect(w.out(cut(error('10.1.0.10', '192.0.2.1', udp(DNS, A)), 24)[0]!)).toBe('fragment');
  });

  it('hairpinned fragments pass twice', () => {
    const w = new World({ rules: ['udp 53 > 10.1.0.11:53'] });
    const pieces = cut(big(A, `${EXTERNAL}:53`, 9), 40).map((piece) => w.inOctets(w.outOctets(piece)));
    const delivered = whole(pieces);
    expectValid(delivered);
    expect(words(delivered)).toBe(`udp ${EXTERNAL}:5000 > 10.1.0.11:53`);
  });
});

describe('floods of fragments', () => {
  it('RFC 4787 REQ-14a: later fragments without a first take bounded memory and nothing from others', () => {
    const w = new World();
    w.out(udp(A, DNS));
    const octets = w.nat.octets;
    const packet = placed(ipv4({ src: '198.51.100.9', dst: EXTERNAL, offset: 800 }, counting(4000)));
    for (let id = 0; id < 5000; id++) {
      packet.view.setUint16(packet.start + 4, id);
      expect(w.nat.inbound(packet, w.now)).toBe(DROP.fragment);
    }
    const { waitingLost } = w.nat.counters;
    expect(5000 - waitingLost).toBeLessThanOrEqual(Math.floor(WAITING_OCTETS / 4020));
    expect(w.nat.octets).toBe(octets);
    const pieces = cut(big(DNS, `${EXTERNAL}:5000`, 7), 40);
    expect(whole(pieces.map((piece) => w.inOctets(piece)))).toEqual(big(DNS, A, 7));
    expect(w.in(udp(DNS, `${EXTERNAL}:5000`))).toBe(`udp ${DNS} > ${A}`);
  });

  it('RFC 4787 REQ-14a: first fragments push one another out, and what comes in order still passes', () => {
    const w = new World({ limits: { fragments: 16 } });
    w.out(udp(A, DNS));
    w.out(cut(big(A, DNS, 0), 40)[0]!);
    const octets = w.nat.octets;
    for (let id = 1; id < 1000; id++) {
      for (const piece of cut(big(A, DNS, id, 48), 40)) expect(w.out(piece)).not.toBe('fragment');
    }
    expect(w.nat.octets).toBe(octets);
    expect(w.nat.counters.fragmentsEvicted).toBe(1000 - 16);
  });

  it('copies that wait are bounded in number, the oldest out first; none, if told so', () => {
    const w = new World({ limits: { waiting: 4 } });
    for (let id = 1; id <= 6; id++) w.out(cut(big(A, DNS, id, 48), 40)[1]!);
    expect(w.nat.counters.waitingLost).toBe(2);
    for (let id = 1; id <= 6; id++) {
      w.out(cut(big(A, DNS, id, 48), 40)[0]!);
      expect(w.followers('out')).toHaveLength(id <= 2 ? 0 : 1);
    }
    const none = new World({ limits: { waiting: 0 } });
    none.out(cut(big(A, DNS, 1), 40)[1]!);
    none.out(cut(big(A, DNS, 1), 40)[0]!);
    expect(none.followers('out')).toEqual([]);
    expect(none.nat.counters.waitingLost).toBe(1);
  });

  it('a packet that is too small for a copy loses it', () => {
    const w = new World();
    const pieces = cut(big(A, DNS, 1, 3000), 2800);
    w.out(cut(big(A, DNS, 1, 3000), 1400)[1]!);
    w.out(cut(big(A, DNS, 1, 3000), 1400)[2]!);
    w.out(pieces[1]!);
    w.out(ipv4({ src: '10.1.0.10', dst: '192.0.2.1', id: 1, offset: 3200 }, counting(2500)));
    w.out(pieces[0]!);
    expect(w.followers('out')).toHaveLength(3);
    expect(w.nat.counters).toMatchObject({ waitingFollowed: 3, waitingLost: 1 });
  });

  it('the cache equals a map while it is not full', () => {
    const keys = drawHashKeys(seededRandom(1));
    const key = fc.record({
      outbound: fc.boolean(),
      source: fc.constantFrom(1, -1),
      destination: fc.constantFrom(1, -1),
      protocol: fc.constantFrom(1, 17),
      identification: fc.constantFrom(0, 0xffff),
    });
    const step = fc.record({ key, value: fc.integer(), wait: fc.nat(15_000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const table = new FragmentTable(4096, keys, natCells());
        const model = new Map<string, { value: number; until: number }>();
        let now = 0;
        for (const s of steps) {
          now += s.wait;
          const known = model.get(JSON.stringify(s.key));
          const place = table.find(s.key, now);
          expect(place < 0 ? undefined : table.value(place)).toBe(
            known !== undefined && known.until > now ? known.value : undefined,
          );
          table.add(s.key, s.value, now);
          model.set(JSON.stringify(s.key), { value: s.value, until: now + FRAGMENT_MS });
        }
      }),
    );
  });
});
