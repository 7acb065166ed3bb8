import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/core/index.ts';
import { decodeHeader, findPayload } from '../../src/ike/index.ts';
import { child, one, rekey, SIDES, upWith } from '../support/ike-checks.ts';
import { connection, IkePair, type Side } from '../support/ike-pair.ts';
import { EXCHANGE, PAYLOAD, payloadsOf, talk } from '../support/ike-wire.ts';

/** Inbound SPIs of an end and whether it sends on them. */
const esp = (w: IkePair, side: Side) => [...w[side].esp.values()].map((e) => e.outbound);

describe('RFC 7296 §1.3.3, §2.8: rekey of a Child SA, make before break', () => {
  it.each(SIDES)('without PFS, asked for by %s', (side) => {
    const w = upWith();
    const before = [w.a.outbound!.spiIn, w.b.outbound!.spiIn];
    const from = w.sent.length;
    const id = side === 'a' ? 2 : 0;
    const other = side === 'a' ? 'b' : 'a';
    rekey(w, side, 'child').runFor(1000);
    expect(talk(w, from)).toEqual([
      `${side}> CREATE_CHILD_SA ${id}: REKEY_SA SA NONCE TSI TSR`,
      `<${other} CREATE_CHILD_SA ${id}: SA NONCE TSI TSR`,
      `${side}> INFORMATIONAL ${id + 1}: DELETE`,
      `<${other} INFORMATIONAL ${id + 1}: DELETE`,
    ]);
    w.runFor(10_000);
    one(w);
    expect([w.a.outbound!.spiIn, w.b.outbound!.spiIn]).not.toEqual(before);
  });

  it.each(SIDES)('with PFS, asked for by %s: a KE payload of the group, other keys than without', (side) => {
    const w = upWith('aes256gcm16-ecp256-noesn');
    expect(w.a.outbound!.suite.group).toBeUndefined();
    const from = w.sent.length;
    rekey(w, side, 'child').runFor(10_000);
    expect(findPayload(payloadsOf(w, w.sent[from]!.octets), PAYLOAD.KE)!.group).toBe(19);
    expect(findPayload(payloadsOf(w, w.sent[from + 1]!.octets), PAYLOAD.KE)!.group).toBe(19);
    expect(w.a.outbound!.suite.group!.id).toBe(19);
    one(w);
    rekey(w, side, 'child').runFor(10_000);
    one(w);
  });

  it('the end that asks sends at once; the other one when the old SA is deleted; the old one drains 5 s', () => {
    const w = upWith();
    rekey(w, 'a', 'child').runFor(15);
    expect([esp(w, 'a'), esp(w, 'b')]).toEqual([['active'], ['active', 'standby']]);
    w.runFor(10);
    expect([esp(w, 'a'), esp(w, 'b')]).toEqual([
      ['active', 'active'],
      ['active', 'standby'],
    ]);
    expect(w.a.outbound!.spiOut).toBe([...w.b.esp.keys()][1]);
    w.runFor(10);
    expect(esp(w, 'b')).toEqual(['active', 'active']);
    w.runFor(4980);
    expect([w.a.esp.size, w.b.esp.size]).toEqual([2, 2]);
    w.runFor(100);
    one(w);
  });

  it('the other end sends when traffic comes in on the new SA, even while the DELETE is lost', () => {
    const w = upWith().loseOnce(({ octets }) => decodeHeader(octets).exchange === EXCHANGE.INFORMATIONAL);
    rekey(w, 'a', 'child').runFor(50);
    expect(esp(w, 'b')).toEqual(['active', 'standby']);
    w.do('b', { type: 'inbound', spiIn: w.a.outbound!.spiOut, from: undefined });
    expect(esp(w, 'b')).toEqual(['active', 'active']);
    expect(w.b.outbound!.spiIn).toBe(w.a.outbound!.spiOut);
    w.runFor(10_000);
    one(w);
  });

  it('a DELETE that is owed and never comes is sent by the other end', () => {
    const w = upWith();
    rekey(w, 'a', 'child').runFor(25);
    const sa = [...w.a.ike.sas][0]!;
    for (const old of sa.children) if (old.deleting) sa.children.delete(old);
    w.tamper = (from, octets) =>
      from === 'a' && decodeHeader(octets).exchange === EXCHANGE.INFORMATIONAL && !decodeHeader(octets).flags.response
        ? []
        : [octets];
    w.runFor(170_000);
    expect(talk(w).filter((line) => line.startsWith('b> INFORMATIONAL')).length).toBeGreaterThan(0);
  });

  it('§2.9.2: the selectors in use are asked for again, whatever packet opened the SA', () => {
    const w = upWith();
    const from = w.sent.length;
    rekey(w, 'a', 'child').runFor(10_000);
    const request = payloadsOf(w, w.sent[from]!.octets);
    expect(findPayload(request, PAYLOAD.TSI)!.selectors).toEqual(connection('a').child.local);
    expect(findPayload(request, PAYLOAD.TSR)!.selectors).toEqual(connection('a').child.remote);
  });

  it('§1.3: INVALID_KE_PAYLOAD is answered with the demanded group under a new message ID', () => {
    const w = new IkePair(1).configure(
      child('aes256gcm16-x25519-ecp256-noesn')('a'),
      child('aes256gcm16-ecp256-noesn')('b'),
    );
    w.acquire().runFor(1000);
    const from = w.sent.length;
    rekey(w, 'a', 'child').runFor(10_000);
    expect(talk(w, from).slice(0, 4)).toEqual([
      'a> CREATE_CHILD_SA 2: REKEY_SA SA NONCE KE TSI TSR',
      '<b CREATE_CHILD_SA 2: INVALID_KE_PAYLOAD',
      'a> CREATE_CHILD_SA 3: REKEY_SA SA NONCE KE TSI TSR',
      '<b CREATE_CHILD_SA 3: SA NONCE KE TSI TSR',
    ]);
    one(w);
    expect(w.a.outbound!.suite.group!.id).toBe(19);
  });

  it('PFS that only one end has shows at the first rekey, in words; the old SA goes on and is tried again', () => {
    const w = new IkePair(1).configure(child('aes256gcm16-ecp256-noesn')('a'), child('aes256gcm16-noesn')('b'));
    w.acquire().runFor(1000);
    expect(w.a.failures).toEqual([]);
    const old = w.a.outbound!.spiIn;
    rekey(w, 'a', 'child').runFor(1000);
    expect([w.a.failures, w.b.failures, w.a.unreachable]).toEqual([['no-proposal'], ['no-proposal'], []]);
    expect(w.a.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'we offered: aes256gcm16-ecp256-noesn',
      'a group (PFS) that only one end has shows here for the first time: the first Child SA is made without',
    ]);
    expect(w.b.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toContain(
      '  key exchange differs: ours none, theirs ecp256',
    );
    expect(w.a.outbound!.spiIn).toBe(old);
    const from = w.sent.length;
    w.runFor(61_000);
    expect(talk(w, from).some((line) => line.includes('REKEY_SA'))).toBe(true);
  });

  it('§2.8: an SA that expires because its rekey was refused takes the IKE SA with it', () => {
    const short = { lifetimeSeconds: 100 };
    const a = { child: { ...child('aes256gcm16-ecp256-noesn')('a').child, ...short } };
    const w = new IkePair(1).configure({ ...a, start: 'boot' }, child('aes256gcm16-noesn')('b')).runFor(99_000);
    const [first] = w.a.ike.sas;
    w.runFor(10_000);
    expect(w.a.ike.sas.has(first!)).toBe(false);
    one(w);
  });

  it('a lost message anywhere in the rekey changes nothing but the time', () => {
    for (const side of SIDES) {
      for (let nth = 0; nth < 4; nth++) {
        const w = upWith();
        const from = w.sent.length;
        w.loseOnce(() => w.sent.length === from + nth + 1);
        rekey(w, side, 'child').runFor(20_000);
        one(w);
      }
    }
  });
});

describe('RFC 7296 §1.3.2, §2.18: rekey of the IKE SA', () => {
  it.each(SIDES)(
    'asked for by %s: new SPIs, message IDs from 0, the children inherited, the old SA deleted',
    (side) => {
      const w = upWith();
      const [old] = w[side].ike.sas;
      const spi = w.a.outbound!.spiIn;
      const from = w.sent.length;
      const id = side === 'a' ? 2 : 0;
      const other = side === 'a' ? 'b' : 'a';
      rekey(w, side, 'ike').runFor(1000);
      expect(talk(w, from)).toEqual([
        `${side}> CREATE_CHILD_SA ${id}: SA NONCE KE`,
        `<${other} CREATE_CHILD_SA ${id}: SA NONCE KE`,
        `${side}> INFORMATIONAL ${id + 1}: DELETE`,
        `<${other} INFORMATIONAL ${id + 1}:`,
      ]);
      one(w);
      expect(w.a.outbound!.spiIn).toBe(spi);
      const [fresh] = w[side].ike.sas;
      expect([fresh!.initiator, toHex(fresh!.spiI) === toHex(old!.spiI)]).toEqual([true, false]);
      // Rivals are settled by how they began, so that both ends say the same whatever they have rekeyed.
      expect(fresh!.origin).toBe(old!.origin);
      expect([fresh!.requests.nextId, fresh!.responses.expectedId]).toEqual([0, 0]);
      for (const s of SIDES) {
        const before = w.sent.length;
        rekey(w, s, 'child').runFor(6000);
        expect(talk(w, before)[0]).toContain('CREATE_CHILD_SA 0: REKEY_SA');
        one(w);
      }
    },
  );

  it('a lost message anywhere in it changes nothing but the time', () => {
    for (const side of SIDES) {
      for (let nth = 0; nth < 4; nth++) {
        const w = upWith();
        const from = w.sent.length;
        w.loseOnce(() => w.sent.length === from + nth + 1);
        rekey(w, side, 'ike').runFor(20_000);
        one(w);
      }
    }
  });

  it('what waited behind it goes on under the new SA', () => {
    const w = upWith();
    rekey(w, 'a', 'ike');
    rekey(w, 'a', 'child');
    const from = w.sent.length;
    w.runFor(10_000);
    expect(talk(w, from).filter((line) => line.includes('REKEY_SA'))).toEqual([
      'a> CREATE_CHILD_SA 0: REKEY_SA SA NONCE TSI TSR',
    ]);
    one(w);
  });

  it('by lifetime: 10 to 20 % before the end, at a random moment', () => {
    const times = [1, 2, 3, 4].map((seed) => {
      const w = new IkePair(seed).configure({ ikeLifetimeSeconds: 1000 }, {}).acquire().runFor(1000);
      const [sa] = w.a.ike.sas;
      expect(sa!.expireAt - sa!.establishedAt!).toBe(1_000_000);
      const at = sa!.rekeyAt - sa!.establishedAt!;
      expect(at).toBeGreaterThanOrEqual(800_000);
      expect(at).toBeLessThanOrEqual(900_000);
      w.runFor(905_000);
      one(w);
      expect(w.a.ike.sas.has(sa!)).toBe(false);
      return at;
    });
    expect(new Set(times).size).toBe(4);
  });
});
