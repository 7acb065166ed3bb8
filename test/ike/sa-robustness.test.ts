import { describe, expect, it } from 'vitest';
import { Agenda, seededRandom, seededU32 } from '../../src/core/index.ts';
import { decodeHeader, type IkeSa, offer, type Payload } from '../../src/ike/index.ts';
import { MAX_FAREWELLS, Registry } from '../../src/ike/sa/registry.ts';
import { disagreements, IkePair, proposals } from '../support/ike-pair.ts';
import { deliver, EXCHANGE, forge, NOTIFY, notification, PAYLOAD, payloadsOf, talk } from '../support/ike-wire.ts';
import { sessions } from '../support/sessions.ts';

const up = (seed = 1) => new IkePair(seed).configure().acquire().runFor(1000);
const unknown = (critical: boolean): Payload => ({
  type: 'unknown',
  payloadType: 200,
  critical,
  data: Uint8Array.of(1, 2, 3),
});
const alive = (w: IkePair) => {
  expect(disagreements(w)).toEqual([]);
  expect([w.a.ike.sas.size, w.b.ike.sas.size, w.a.esp.size, w.b.esp.size]).toEqual([1, 1, 1, 1]);
};

describe('RFC 7296 §2.5: versions and unknown payloads', () => {
  it('an unknown critical payload is answered UNSUPPORTED_CRITICAL_PAYLOAD with its type; the SA lives', () => {
    const w = up();
    const from = w.sent.length;
    deliver(w, 'b', forge(w, 'a', { payloads: [unknown(true)] }));
    expect(payloadsOf(w, w.sent[from]!.octets)).toEqual([
      notification(NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD, Uint8Array.of(200)),
    ]);
    deliver(w, 'b', forge(w, 'a'));
    expect(talk(w, from).at(-1)).toBe('<b INFORMATIONAL 3:');
    alive(w);
  });

  it('an unknown payload that is not critical is skipped', () => {
    const w = up();
    const from = w.sent.length;
    deliver(w, 'b', forge(w, 'a', { payloads: [unknown(false), notification(40_000), notification(16_399)] }));
    expect(talk(w, from)).toEqual(['<b INFORMATIONAL 2:']);
    alive(w);
  });

  it('a higher minor version is accepted', () => {
    const w = up();
    const from = w.sent.length;
    deliver(w, 'b', forge(w, 'a', { minor: 5 }));
    expect(talk(w, from)).toEqual(['<b INFORMATIONAL 2:']);
    expect(w.sent.at(-1)!.octets[17]).toBe(0x20);
  });

  it('a higher major version is answered INVALID_MAJOR_VERSION in a message of version 2.0; a response never is', () => {
    const w = new IkePair(1).configure();
    w.tamper = (from, octets) => {
      const changed = octets.slice();
      if (from === 'a') changed[17] = 0x30;
      return [changed];
    };
    w.acquire().runFor(100);
    expect(talk(w)).toEqual(['a> IKE_SA_INIT 0: SA KE NONCE', '<b IKE_SA_INIT 0: INVALID_MAJOR_VERSION']);
    expect(w.sent[1]!.octets.subarray(0, 16)).toEqual(w.sent[0]!.octets.subarray(0, 16));
    expect(w.sent[1]!.octets[17]).toBe(0x20);
    expect([w.a.failures, w.a.ike.sas.size]).toEqual([['version'], 0]);
    const response = w.sent[1]!.octets.slice();
    response[17] = 0x30;
    deliver(w, 'b', response);
    expect(w.sent).toHaveLength(2);
  });

  it('IKEv1 and noise are dropped in silence', () => {
    const w = up();
    const from = w.sent.length;
    const v1 = forge(w, 'a');
    v1[17] = 0x10;
    for (const octets of [v1, new Uint8Array(0), new Uint8Array(27), new Uint8Array(2000)]) deliver(w, 'b', octets);
    expect([w.sent.length, w.b.ike.counters.get('malformed')]).toEqual([from, 4]);
    alive(w);
  });

  it('in IKE_SA_INIT and IKE_AUTH an unknown critical payload ends the attempt', () => {
    const w = new IkePair(1).configure();
    w.tamper = (_, octets) => (octets[18] === EXCHANGE.IKE_AUTH ? [] : [octets]);
    w.acquire().run(15);
    deliver(w, 'b', forge(w, 'a', { exchange: EXCHANGE.IKE_AUTH, payloads: [unknown(true)] }));
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: UNSUPPORTED_CRITICAL_PAYLOAD');
    expect([w.b.ike.sas.size, w.b.ike.halfOpen]).toEqual([0, 0]);
  });
});

describe('RFC 7296 §2.21: errors', () => {
  it('§2.21.3: a malformed request is answered INVALID_SYNTAX, fatal without a DELETE; the answer is kept', () => {
    for (const [exchange, payloads] of [
      [EXCHANGE.CREATE_CHILD_SA, []],
      [EXCHANGE.CREATE_CHILD_SA, [notification(NOTIFY.REKEY_SA)]],
      [EXCHANGE.INFORMATIONAL, [{ type: PAYLOAD.NONCE, critical: false, nonce: new Uint8Array(16) }]],
      [EXCHANGE.IKE_AUTH, []],
      [99, []],
    ] as const) {
      const w = up();
      const from = w.sent.length;
      const [local, remote] = [w.sent[0]!.remote, w.sent[0]!.local];
      const octets = forge(w, 'a', { exchange, payloads });
      for (let i = 0; i < 2; i++) w.do('b', { type: 'datagram', local, remote, octets });
      expect(talk(w, from).map((line) => line.split(': ')[1])).toEqual(['INVALID_SYNTAX', 'INVALID_SYNTAX']);
      expect(w.sent[from + 1]!.octets).toEqual(w.sent[from]!.octets);
      expect([w.b.ike.sas.size, w.b.esp.size, w.b.failures]).toEqual([0, 0, ['syntax']]);
    }
  });

  it('§2.21.3: INVALID_SYNTAX in the answer to a request of ours ends the SA here too', () => {
    const w = up();
    w.do('a', { type: 'rekey', connection: 'lab/net', what: 'child' });
    deliver(
      w,
      'a',
      forge(w, 'b', {
        exchange: EXCHANGE.CREATE_CHILD_SA,
        response: true,
        payloads: [notification(NOTIFY.INVALID_SYNTAX)],
      }),
    );
    expect([w.a.ike.sas.size, w.a.esp.size, w.a.ike.spis.size, w.a.failures]).toEqual([0, 0, 0, ['syntax']]);
  });

  it('§2.21: an authentic answer that cannot be understood: DELETE, which clears both ends', () => {
    const w = up();
    const from = w.sent.length;
    w.tamper = (_, octets) => (decodeHeader(octets).exchange === EXCHANGE.CREATE_CHILD_SA ? [] : [octets]);
    w.do('a', { type: 'rekey', connection: 'lab/net', what: 'child' });
    // The answer, not yet given: B expects the next request to have the ID after it.
    [...w.b.ike.sas][0]!.responses.answered(new Uint8Array(0));
    deliver(w, 'a', forge(w, 'b', { exchange: EXCHANGE.CREATE_CHILD_SA, response: true, payloads: [unknown(true)] }));
    w.runFor(100);
    expect(talk(w, from).slice(1)).toEqual(['a> INFORMATIONAL 3: DELETE', '<b INFORMATIONAL 3:']);
    expect([w.a.ike.sas.size, w.b.ike.sas.size, w.a.ike.spis.size, w.a.failures]).toEqual([0, 0, 0, ['syntax']]);
  });

  it('§2.21.2: AUTHENTICATION_FAILED in an INFORMATIONAL ends the SA', () => {
    const w = up();
    const from = w.sent.length;
    deliver(w, 'b', forge(w, 'a', { payloads: [notification(NOTIFY.AUTHENTICATION_FAILED)] }));
    expect(talk(w, from)).toEqual(['<b INFORMATIONAL 2:']);
    expect([w.b.ike.sas.size, w.b.failures]).toEqual([0, ['authentication']]);
  });

  it('IKE_AUTH without AUTH (EAP) is refused with words', () => {
    const w = new IkePair(1).configure();
    w.tamper = (_, octets) => (octets[18] === EXCHANGE.IKE_AUTH ? [] : [octets]);
    w.acquire().run(15);
    const request = payloadsOf(w, w.sent.at(-1)!.octets).filter((p) => p.type !== PAYLOAD.AUTH);
    deliver(w, 'b', forge(w, 'a', { exchange: EXCHANGE.IKE_AUTH, payloads: request }));
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: AUTHENTICATION_FAILED');
    expect(w.b.reports.at(-1)!.text).toBe('the peer authenticates with EAP, this connection expects a pre-shared key');
    expect(w.b.ike.sas.size).toBe(0);
  });

  it('before IKE_AUTH nothing else is answered', () => {
    const w = new IkePair(1).configure();
    w.tamper = (_, octets) => (octets[18] === EXCHANGE.IKE_AUTH ? [] : [octets]);
    w.acquire().run(15);
    const from = w.sent.length;
    deliver(w, 'b', forge(w, 'a', { payloads: [] }));
    deliver(w, 'b', forge(w, 'a', { exchange: EXCHANGE.CREATE_CHILD_SA }));
    expect([w.sent.length, w.b.ike.counters.get('unexpected')]).toEqual([from, 2]);
  });

  it('§2.21.4: an unknown SPI is answered INVALID_IKE_SPI with SPIs, ID and exchange copied, ten times a second', () => {
    const w = up();
    const request = forge(w, 'a');
    const from = w.sent.length;
    for (let i = 0; i < 100; i++) {
      const strange = request.slice();
      strange[8] = i;
      strange[9] = 0;
      deliver(w, 'b', strange);
    }
    const answers = w.sent.slice(from);
    expect(answers).toHaveLength(10);
    const header = decodeHeader(answers[3]!.octets);
    expect([header.spiR[0], header.exchange, header.messageId, header.flags]).toEqual([
      3,
      EXCHANGE.INFORMATIONAL,
      2,
      { initiator: false, version: false, response: true },
    ]);
    expect([w.b.ike.counters.get('unknown-spi'), w.b.ike.counters.get('error-answer-suppressed')]).toEqual([100, 90]);
    w.runFor(1000);
    deliver(
      w,
      'b',
      request.map((octet, i) => (i === 8 ? 1 : octet)),
    );
    expect(w.sent).toHaveLength(from + 11);
    alive(w);
  });

  it('§2.21.4: an unprotected INVALID_IKE_SPI changes nothing and is not answered', () => {
    const w = up();
    w.do('a', { type: 'rekey', connection: 'lab/net', what: 'child' });
    const from = w.sent.length;
    const answer = w.sent.at(-1)!.octets.slice(0, 28);
    answer.set([41, 0x20, 36, 0x20], 16);
    answer[27] = 36;
    deliver(w, 'a', Uint8Array.of(...answer, 0, 0, 0, 8, 0, 0, 0, 4));
    expect([w.sent.length, w.a.ike.counters.get('forged')]).toEqual([from, 1]);
    w.runFor(10_000);
    alive(w);
  });
});

describe('limits', () => {
  it('a peer that asks for one Child SA after the other is told NO_ADDITIONAL_SAS at 32', () => {
    const w = up();
    const [, , auth] = w.sent;
    const [sa, ...selectors] = payloadsOf(w, auth!.octets).filter((p) =>
      [PAYLOAD.SA, PAYLOAD.TSI, PAYLOAD.TSR].includes(p.type as never),
    );
    expect(sa!.type).toBe(PAYLOAD.SA);
    const from = w.sent.length;
    for (let i = 0; i < 40; i++) {
      const spi = Uint8Array.of(1, 1, 1, i);
      deliver(
        w,
        'b',
        forge(w, 'a', {
          exchange: EXCHANGE.CREATE_CHILD_SA,
          payloads: [
            { type: PAYLOAD.SA, critical: false, proposals: offer(proposals('esp', 'aes256gcm16-noesn'), spi) },
            { type: PAYLOAD.NONCE, critical: false, nonce: new Uint8Array(32).fill(i) },
            ...selectors,
          ],
        }),
      );
    }
    const refused = talk(w, from).filter((line) => line.endsWith('NO_ADDITIONAL_SAS'));
    expect([w.b.esp.size, refused.length]).toEqual([32, 9]);
    w.do('b', { type: 'shutdown' });
    w.runFor(4000);
    expect([w.b.esp.size, w.b.ike.spis.size]).toEqual([0, 0]);
  });

  it('a peer that begins one IKE SA after the other has eight of them', () => {
    const w = up();
    for (let i = 0; i < 12; i++) {
      w.restart('a');
      // An SA that is just being closed keeps it from saying INITIAL_CONTACT.
      w.a.ike.connections.get('lab/net')!.sas.add({ phase: 'closing', children: new Set() } as IkeSa);
      w.acquire().runFor(100);
      expect(w.b.ike.sas.size).toBe(Math.min(i + 2, 8));
    }
    expect(w.b.esp.size).toBe(8);
  });

  it('kept answers are bounded, the oldest goes first, and wake nobody once they are gone', () => {
    const agenda = new Agenda();
    const registry = new Registry({ random: seededRandom(1) }, agenda, () => {});
    const spi = (i: number) => Uint8Array.of(0, 0, 0, 0, 0, 0, i >>> 8, i);
    for (let i = 0; i < MAX_FAREWELLS + 10; i++) {
      registry.remember({ localSpi: spi(i) } as IkeSa, Uint8Array.of(i >>> 8, i), Uint8Array.of(1), i);
    }
    expect(registry.farewells).toBe(MAX_FAREWELLS);
    expect(registry.farewell(spi(9), Uint8Array.of(0, 9))).toBeUndefined();
    expect(registry.farewell(spi(10), Uint8Array.of(0, 10))).toEqual(Uint8Array.of(1));
    expect(registry.farewell(spi(10), Uint8Array.of(0, 11))).toBeUndefined();
    agenda.tick(1_000_000);
    expect([registry.farewells, agenda.size, agenda.deadline()]).toEqual([0, 0, undefined]);
  });

  /** IKE_SA_INIT requests of as many SPIs, from addresses that `sender` numbers. */
  function beginMany(maxHalfOpen: number, count: number, sender: (i: number) => number) {
    const limits = { cookieThreshold: maxHalfOpen, maxHalfOpen };
    const w = new IkePair(1, undefined, {}, limits).configure({}, { remoteAddress: undefined });
    w.acquire().run(7);
    const init = w.sent[0]!;
    const begin = (i: number, from: number): void => {
      const octets = init.octets.slice();
      octets[0] = i >>> 8;
      octets[1] = i;
      const remote = { address: Uint8Array.of(203, 0, 113, from), port: 500 };
      w.do('b', { type: 'datagram', local: init.remote, remote, octets });
    };
    for (let i = 0; i < count; i++) begin(i, sender(i));
    const counted = (name: string): number => w.b.ike.counters.get(`init-${name}`) ?? 0;
    return { w, begin, counted };
  }

  it('half-open SAs are bounded by cookies first, by number last', () => {
    const { w, counted } = beginMany(5, 50, (i) => i);
    expect([w.b.ike.halfOpen, w.b.ike.sas.size, counted('overload')]).toEqual([5, 5, 46]);
    w.run(40_000);
    expect(w.b.ike.halfOpen).toBe(0);
  });

  it('RFC 7296 §2.6: the half-open SAs of one address leave room to others, and come to be room again', () => {
    const { w, begin, counted } = beginMany(31, 100, () => 66);
    // One is that of the pair itself.
    expect([w.b.ike.halfOpen, counted('crowded'), counted('overload')]).toEqual([21, 80, 0]);
    for (let i = 100; i < 105; i++) begin(i, 7);
    expect([w.b.ike.halfOpen, counted('crowded')]).toEqual([26, 80]);
    w.run(40_000);
    expect(w.b.ike.halfOpen).toBe(0);
    begin(200, 66);
    expect(w.b.ike.halfOpen).toBe(1);
  });
});

describe('recorded messages, damaged, at an end with established SAs', () => {
  it('are each counted, never throw, leave the SAs up and the memory level', () => {
    const wide = {
      ikeProposals: proposals(
        'ike',
        'aes256gcm16-aes128gcm16-prfsha256-prfsha384-x25519-ecp256-ecp384-modp2048',
        'aes256-aes128-sha256-sha384-modp2048-x25519-ecp256',
      ),
    };
    const w = new IkePair(5).configure(wide, wide).acquire().runFor(1000);
    const { ike } = w.b;
    const [sa] = ike.sas;
    const next = seededU32(77);
    const messages = sessions().flatMap((s) => s.messages.map((m) => m.octets));
    expect(messages.length).toBeGreaterThan(50);
    let now = w.now;
    let fed = 0;
    const total = () =>
      [...ike.counters].reduce((sum, [name, n]) => (name === 'error-answer-suppressed' ? sum : sum + n), 0);
    const before = total();
    for (let round = 0; round < 20_000; round++) {
      const octets = messages[next() % messages.length]!.slice();
      const changes = next() % 4;
      for (let i = 0; i < changes; i++) octets[next() % octets.length] = next();
      if (next() % 4 === 0) octets.set([...sa!.spiI, ...sa!.spiR]);
      if (next() % 8 === 0) octets[23] = [...ike.sas][0]!.responses.expectedId;
      const cut = next() % 8 === 0 ? octets.subarray(0, next() % (octets.length + 1)) : octets;
      if (next() % 2 === 0 && cut.length >= 28) cut.set([0, 0, cut.length >>> 8, cut.length], 24);
      now += 5;
      ike.handle({ type: 'datagram', local: sa!.local, remote: sa!.remote, octets: cut }, now);
      fed += 1;
      expect(total() - before).toBe(fed);
      expect(ike.sas.has(sa!)).toBe(true);
      if (ike.deadline()!.at <= now && round % 100 === 0) ike.handle({ type: 'tick' }, now);
    }
    expect(ike.counters.get('init-accepted')).toBeGreaterThan(0);
    expect(ike.counters.get('forged')).toBeGreaterThan(100);
    expect(ike.halfOpen).toBeLessThanOrEqual(1000);
    expect(ike.farewells).toBe(0);
    expect(sa!.phase).toBe('established');
    expect([...ike.spis]).toEqual([...w.b.esp.keys()]);
  });
});
