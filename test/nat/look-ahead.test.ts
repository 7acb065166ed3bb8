import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { buildTcp, buildUdp, octetsOf, type Packet, TCP_FLAG, wrapPacket } from '../../src/ip/index.ts';
import { LookAhead, NAT_LIMITS, NAT_TIMEOUTS, Nat, SESSIONS_MAX, SESSIONS_WORTH_IT } from '../../src/nat/index.ts';
import { EXTERNAL, num } from './fixture.ts';

/** With so many sessions of UDP: of one inner endpoint, each with another remote one. */
function natWith(count: number): Nat {
  const limits = { ...NAT_LIMITS, sessions: SESSIONS_MAX };
  const settings = { rules: [], filtering: 'address', timeouts: NAT_TIMEOUTS, limits } as const;
  const nat = new Nat({ external: num(EXTERNAL), random: seededRandom(7), ...settings });
  const packet = udp(0);
  for (let session = 0; session < count; session++) {
    packet.buf.set(octetsOf(udp(session)), packet.start);
    nat.outbound(packet, 0);
  }
  return nat;
}

const remote = (session: number): Uint8Array => Uint8Array.of(198, 51, session >>> 8, session);
const ends = (session: number) => ({
  source: Uint8Array.of(10, 1, 0, 10),
  destination: remote(session),
  sourcePort: 5000,
  destinationPort: 53,
});
const udp = (session: number): Packet => wrapPacket(buildUdp(ends(session), new Uint8Array(4)));
const syn = (session: number): Packet => wrapPacket(buildTcp({ ...ends(session), flags: TCP_FLAG.syn }));

const hashOfSyn = (nat: Nat): number => nat.state.table.outboundHash(6, num('10.1.0.10'), 5000, num('198.51.0.7'), 53);

describe('what a batch will need, read before', () => {
  const nat = natWith(SESSIONS_WORTH_IT);
  const small = natWith(100);

  const touchedBy = (...batch: readonly (readonly [Nat, Packet])[]): number => {
    const ahead = new LookAhead(64);
    for (const [by, packet] of batch) ahead.outbound(by, packet, 0);
    ahead.finish();
    return ahead.touched;
  };

  it('of a session its index slot and its row are read, of another packet the slot, where there are few sessions nothing', () => {
    const row = nat.state.table.likelyRow(
      nat.state.table.outboundHash(17, num('10.1.0.10'), 5000, num('198.51.0.7'), 53),
    );
    const slot = touchedBy([nat, udp(7)]) ^ nat.state.table.touchRow(row);
    expect([row, slot]).toEqual([7, expect.any(Number)]);
    expect(slot & 0x3f_ffff).toBe(row + 1);
    expect(touchedBy([nat, syn(7)])).toBe(nat.state.table.touchSlot(hashOfSyn(nat)));
    expect(touchedBy([small, udp(7)])).toBe(0);
  });

  it('packets of several NATs, and more than there is room for', () => {
    const other = natWith(SESSIONS_WORTH_IT);
    expect(touchedBy([nat, udp(7)], [other, udp(9)])).toBe(touchedBy([nat, udp(7)]) ^ touchedBy([other, udp(9)]));
    const batch = Array.from({ length: 64 }, (_, i) => [nat, udp(i)] as const);
    expect(touchedBy(...batch, [nat, udp(100)])).toBe(touchedBy(...batch));
  });

  it('whatever a batch holds, it is looked at and not changed, and no session begins or lives longer', () => {
    const before = [...nat.sessions()].length;
    const cell = { ...nat.counters };
    const octets = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.nat(2 * SESSIONS_WORTH_IT).map((session) => octetsOf(udp(session))),
      fc.tuple(fc.nat(200), fc.nat(44)).map(([session, length]) => octetsOf(syn(session)).slice(0, length)),
    );
    fc.assert(
      fc.property(fc.array(octets, { maxLength: 100 }), (batch) => {
        const ahead = new LookAhead(64);
        for (const each of batch) {
          const packet = wrapPacket(each.slice());
          ahead.outbound(nat, packet, 0);
          expect(octetsOf(packet)).toEqual(each);
        }
        ahead.finish();
        expect(nat.counters).toEqual(cell);
      }),
    );
    expect([...nat.sessions()].length).toBe(before);
  });
});
