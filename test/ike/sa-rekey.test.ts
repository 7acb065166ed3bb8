import { describe, expect, it } from 'vitest';
import { seededRandom, toHex } from '../../src/core/index.ts';
import { decodeHeader, findPayload } from '../../src/ike/index.ts';
import { connection, disagreements, IkePair, proposals, type Side } from '../support/ike-pair.ts';
import { EXCHANGE, PAYLOAD, payloadsOf, talk } from '../support/ike-wire.ts';

const SIDES: readonly Side[] = ['a', 'b'];
const child =
  (...words: string[]) =>
  (side: Side) => ({ child: { ...connection(side).child, proposals: proposals('esp', ...words) } });
const up = (words = 'aes256gcm16-noesn', options = {}) =>
  new IkePair(1, { loss: 0, duplicate: 0, delay: [10, 10] }, options)
    .configure(child(words)('a'), child(words)('b'))
    .acquire()
    .runFor(1000);
const rekey = (w: IkePair, side: Side, what: 'ike' | 'child') => {
  w.do(side, { type: 'rekey', connection: 'lab/net', what });
  return w;
};
/** Inbound SPIs of an end and whether it sends on them. */
const esp = (w: IkePair, side: Side) => [...w[side].esp.values()].map((e) => e.outbound);
const one = (w: IkePair) => {
  expect(disagreements(w)).toEqual([]);
  for (const side of SIDES) expect([w[side].ike.sas.size, w[side].esp.size]).toEqual([1, 1]);
};

describe('RFC 7296 §1.3.3, §2.8: rekey of a Child SA, make before break', () => {
  it.each(SIDES)('without PFS, asked for by %s', (side) => {
    const w = up();
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
    const w = up('aes256gcm16-ecp256-noesn');
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
    const w = up();
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
    const w = up().loseOnce(({ octets }) => decodeHeader(octets).exchange === EXCHANGE.INFORMATIONAL);
    rekey(w, 'a', 'child').runFor(50);
    expect(esp(w, 'b')).toEqual(['active', 'standby']);
    w.do('b', { type: 'inbound', spiIn: w.a.outbound!.spiOut, from: undefined });
    expect(esp(w, 'b')).toEqual(['active', 'active']);
    expect(w.b.outbound!.spiIn).toBe(w.a.outbound!.spiOut);
    w.runFor(10_000);
    one(w);
  });

  it('a DELETE that is owed and never comes is sent by the other end', () => {
    const w = up();
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
    const w = up();
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
        const w = up();
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
      const w = up();
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
        const w = up();
        const from = w.sent.length;
        w.loseOnce(() => w.sent.length === from + nth + 1);
        rekey(w, side, 'ike').runFor(20_000);
        one(w);
      }
    }
  });

  it('what waited behind it goes on under the new SA', () => {
    const w = up();
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

/** Random octets whose 32-octet draws (nonces, and x25519 keys, which do not mind) begin as the test wants. */
class Mark {
  first = 0x80;
  readonly random: (length: number) => Uint8Array;
  constructor(seed: number) {
    const random = seededRandom(seed);
    this.random = (length) => {
      const octets = random(length).slice();
      if (length === 32) octets[0] = this.first;
      return octets;
    };
  }
}

const FOUR_NONCES = [
  { lowest: 'Ni of A', side: 'a', when: 'request', redundant: 'a' },
  { lowest: 'Nr to A', side: 'b', when: 'response', redundant: 'a' },
  { lowest: 'Ni of B', side: 'b', when: 'request', redundant: 'b' },
  { lowest: 'Nr to B', side: 'a', when: 'response', redundant: 'b' },
] as const;

/** Both ends ask at once; the requests cross. The nonce that is drawn by `side` at `when` is the lowest of four. */
function cross(
  what: 'ike' | 'child',
  { side, when }: { side: Side; when: 'request' | 'response' },
  words?: string,
): IkePair {
  const marks = { a: new Mark(11), b: new Mark(12) };
  const w = new IkePair(
    1,
    { loss: 0, duplicate: 0, delay: [10, 10] },
    { random: marks.a.random },
    { random: marks.b.random },
  )
    .configure(child(words ?? 'aes256gcm16-noesn')('a'), child(words ?? 'aes256gcm16-noesn')('b'))
    .acquire()
    .runFor(1000);
  const mark = (moment: 'request' | 'response') => {
    for (const s of SIDES) marks[s].first = s === side && moment === when ? 0x01 : 0x80;
  };
  mark('request');
  rekey(w, 'a', what);
  rekey(w, 'b', what);
  mark('response');
  w.runFor(15);
  for (const s of SIDES) marks[s].first = 0x80;
  return w;
}

describe('RFC 7296 §2.8.1: both ends rekey the same Child SA at once', () => {
  it.each(FOUR_NONCES)(
    '$lowest is lowest: the SA begun by $redundant is deleted by it, the old one by the other',
    (row) => {
      for (const words of ['aes256gcm16-noesn', 'aes256gcm16-x25519-noesn']) {
        const w = cross('child', row, words);
        w.probing = true;
        const from = w.sent.length;
        const old = { a: w.a.outbound!.spiIn, b: w.b.outbound!.spiIn };
        w.runFor(200);
        const { redundant } = row;
        const winner = redundant === 'a' ? 'b' : 'a';
        const deleted = (s: Side) =>
          w.sent.slice(from).flatMap(({ from: f, octets }) => {
            const { exchange, flags } = decodeHeader(octets);
            if (f !== s || flags.response || exchange !== EXCHANGE.INFORMATIONAL) return [];
            return findPayload(payloadsOf(w, octets), PAYLOAD.DELETE)!.spis.map((spi) =>
              Number.parseInt(toHex(spi), 16),
            );
          });
        expect(deleted(winner)).toEqual([old[winner]]);
        expect(deleted(redundant)).toHaveLength(1);
        expect(deleted(redundant)).not.toEqual([old[redundant]]);
        w.runFor(10_000);
        one(w);
        expect(w.lostProbes).toEqual([]);
        expect([...w[winner].ike.sas][0]!.children.values().next().value!.begunHere).toBe(true);
      }
    },
  );

  it('a request lost: the other end finishes first; TEMPORARY_FAILURE or CHILD_SA_NOT_FOUND is no failure', () => {
    for (const delay of [0, 60, 200, 900]) {
      const w = up();
      const from = w.sent.length;
      w.loseOnce(({ from: f }) => f === 'a');
      rekey(w, 'a', 'child').runFor(delay);
      rekey(w, 'b', 'child');
      w.probing = true;
      w.runFor(20_000);
      const error = talk(w, from).find((line) => /TEMPORARY|NOT_FOUND/.test(line));
      if (delay < 900) expect(error).toBe('<b CREATE_CHILD_SA 2: CHILD_SA_NOT_FOUND');
      expect([w.a.failures, w.b.failures, w.lostProbes]).toEqual([[], [], []]);
      one(w);
    }
  });

  it('any one message lost in the collision: one Child SA is left, and no packet was', () => {
    for (let nth = 0; nth < 8; nth++) {
      const w = up();
      const from = w.sent.length;
      w.loseOnce(() => w.sent.length === from + nth + 1);
      rekey(w, 'a', 'child');
      rekey(w, 'b', 'child');
      w.probing = true;
      w.runFor(30_000);
      expect(w.lostProbes).toEqual([]);
      one(w);
    }
  });

  it('an SA that is not yet in use when it is rekeyed again does not come back', () => {
    const w = up();
    // A's DELETE of the first SA is late: B rekeys the second one before it sent on it.
    w.loseOnce(({ octets }) => decodeHeader(octets).exchange === EXCHANGE.INFORMATIONAL);
    rekey(w, 'a', 'child').runFor(50);
    rekey(w, 'b', 'child');
    w.probing = true;
    w.runFor(20_000);
    expect(w.lostProbes).toEqual([]);
    one(w);
  });
});

describe('RFC 7296 §2.8.2: both ends rekey the IKE SA at once', () => {
  it.each(FOUR_NONCES)(
    '$lowest is lowest: the SA begun by $redundant goes, the children live under the other',
    (row) => {
      const w = cross('ike', row);
      const spi = w.a.outbound!.spiIn;
      w.runFor(200);
      one(w);
      const winner = row.redundant === 'a' ? 'b' : 'a';
      expect([...w[winner].ike.sas][0]!.initiator).toBe(true);
      expect([...w[row.redundant].ike.sas][0]!.initiator).toBe(false);
      expect(w.a.outbound!.spiIn).toBe(spi);
      for (const side of SIDES) {
        rekey(w, side, 'child').runFor(10_000);
        one(w);
      }
    },
  );

  it('a request lost: the other end finishes first and our own rekey is forgotten', () => {
    for (const delay of [0, 15, 25, 60, 200]) {
      const w = up();
      w.loseOnce(({ from }) => from === 'a');
      rekey(w, 'a', 'ike').runFor(delay);
      rekey(w, 'b', 'ike');
      w.runFor(400_000);
      expect([w.a.failures, w.b.failures]).toEqual([[], []]);
      one(w);
    }
  });

  it('any one message lost in the collision: one IKE SA with the child is left', () => {
    for (let nth = 0; nth < 8; nth++) {
      const w = up();
      const from = w.sent.length;
      w.loseOnce(() => w.sent.length === from + nth + 1);
      rekey(w, 'a', 'ike');
      rekey(w, 'b', 'ike');
      w.runFor(400_000);
      one(w);
    }
  });

  it('while it is open a second rekey of the peer is put off, so that it cannot pile up SAs', () => {
    const w = cross('ike', FOUR_NONCES[0]);
    expect(w.a.ike.sas.size).toBeLessThanOrEqual(3);
    w.runFor(1000);
    one(w);
  });
});

describe('RFC 7296 §2.25: exchanges that collide', () => {
  it('§2.25.2: rekey of a Child SA against rekey of the IKE SA: TEMPORARY_FAILURE both ways, later both succeed', () => {
    const w = up();
    const from = w.sent.length;
    rekey(w, 'a', 'child');
    rekey(w, 'b', 'ike');
    w.probing = true;
    w.runFor(15);
    expect(talk(w, from).slice(2)).toEqual([
      '<b CREATE_CHILD_SA 2: TEMPORARY_FAILURE',
      '<a CREATE_CHILD_SA 0: TEMPORARY_FAILURE',
    ]);
    w.runFor(1900);
    expect(w.sent).toHaveLength(from + 4);
    w.runFor(20_000);
    expect([w.a.failures, w.b.failures, w.lostProbes]).toEqual([[], [], []]);
    expect(w.a.ike.connections.get('lab/net')!.established!.successorOf).toBeDefined();
    one(w);
  });

  it('§2.25.1: rekey of a Child SA that is being deleted: TEMPORARY_FAILURE, and it stays deleted', () => {
    const w = up();
    const from = w.sent.length;
    w.do('a', { type: 'terminate', connection: 'lab/net', what: 'child' });
    rekey(w, 'b', 'child').runFor(10_000);
    expect(talk(w, from)).toContain('<a CREATE_CHILD_SA 0: TEMPORARY_FAILURE');
    expect(disagreements(w)).toEqual([]);
    expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, 1]);
  });

  it('§2.25.1: rekey of a Child SA that is not there: CHILD_SA_NOT_FOUND with its SPI; a new one is made', () => {
    const w = up();
    const from = w.sent.length;
    const [sa] = w.b.ike.sas;
    const lost = w.a.outbound!.spiIn;
    for (const c of [...sa!.children]) sa!.children.delete(c);
    rekey(w, 'a', 'child').runFor(10_000);
    expect(talk(w, from).slice(0, 4)).toEqual([
      'a> CREATE_CHILD_SA 2: REKEY_SA SA NONCE TSI TSR',
      '<b CREATE_CHILD_SA 2: CHILD_SA_NOT_FOUND',
      'a> CREATE_CHILD_SA 3: SA NONCE TSI TSR',
      '<b CREATE_CHILD_SA 3: SA NONCE TSI TSR',
    ]);
    const error = findPayload(payloadsOf(w, w.sent[from + 1]!.octets), PAYLOAD.NOTIFY)!;
    expect([error.protocol, toHex(error.spi)]).toEqual([3, lost.toString(16).padStart(8, '0')]);
    expect([w.a.esp.size, w.a.outbound!.spiIn === lost]).toEqual([1, false]);
  });

  it('§1.4.1: DELETEs of one Child SA that cross are answered without a DELETE', () => {
    const w = up();
    const from = w.sent.length;
    for (const side of SIDES) w.do(side, { type: 'terminate', connection: 'lab/net', what: 'child' });
    w.runFor(1000);
    expect(talk(w, from)).toEqual([
      'a> INFORMATIONAL 2: DELETE',
      'b> INFORMATIONAL 0: DELETE',
      '<b INFORMATIONAL 2:',
      '<a INFORMATIONAL 0:',
    ]);
    expect(disagreements(w)).toEqual([]);
    expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, 1]);
  });

  it('DELETEs of the IKE SA that cross are answered, and no SA is left', () => {
    for (const lost of [false, true]) {
      const w = up();
      const from = w.sent.length;
      if (lost) w.loseOnce(({ from: f }) => f === 'a');
      for (const side of SIDES) w.do(side, { type: 'terminate', connection: 'lab/net', what: 'ike' });
      w.runFor(1000);
      if (!lost)
        expect(talk(w, from)).toEqual([
          'a> INFORMATIONAL 2: DELETE',
          'b> INFORMATIONAL 0: DELETE',
          '<b INFORMATIONAL 2:',
          '<a INFORMATIONAL 0:',
        ]);
      w.runFor(200_000);
      expect([w.a.ike.sas.size, w.b.ike.sas.size, w.a.esp.size, w.b.esp.size]).toEqual([0, 0, 0, 0]);
    }
  });

  it('§2.25.2: rekey of an IKE SA that is being deleted: TEMPORARY_FAILURE, and the DELETE wins', () => {
    const w = up();
    const from = w.sent.length;
    w.do('a', { type: 'terminate', connection: 'lab/net', what: 'ike' });
    rekey(w, 'b', 'ike').runFor(1000);
    expect(talk(w, from)).toContain('<a CREATE_CHILD_SA 0: TEMPORARY_FAILURE');
    expect([w.a.ike.sas.size, w.b.ike.sas.size]).toEqual([0, 0]);
  });

  it('an operator who takes the tunnel down while its rekey is under way is obeyed', () => {
    for (const [what, then] of [
      ['child', 'child'],
      ['child', 'ike'],
      ['ike', 'ike'],
      ['ike', 'child'],
    ] as const) {
      for (const side of SIDES) {
        const w = up();
        rekey(w, 'a', what).runFor(12);
        w.do(side, { type: 'terminate', connection: 'lab/net', what: then });
        w.runFor(20_000);
        expect(disagreements(w)).toEqual([]);
        expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, then === 'child' ? 1 : 0]);
      }
    }
  });

  it('a DELETE that overtakes the answer which made the SA is not forgotten', () => {
    const w = up();
    // B's answer to the rekey is lost; B deletes all its Child SAs before A asks again.
    w.loseOnce(({ from, octets }) => from === 'b' && decodeHeader(octets).exchange === EXCHANGE.CREATE_CHILD_SA);
    rekey(w, 'a', 'child').runFor(50);
    w.do('b', { type: 'terminate', connection: 'lab/net', what: 'child' });
    w.runFor(20_000);
    expect(disagreements(w)).toEqual([]);
    expect([w.a.esp.size, w.b.esp.size, w.a.ike.sas.size]).toEqual([0, 0, 1]);
  });

  it('both ends make a Child SA for the same traffic at once: the one with the lowest nonce goes', () => {
    for (const lost of [false, true]) {
      const w = up();
      w.do('a', { type: 'terminate', connection: 'lab/net', what: 'child' });
      w.runFor(1000);
      expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, 1]);
      if (lost) w.loseOnce(({ from }) => from === 'a');
      w.acquire('a').acquire('b').runFor(20_000);
      one(w);
    }
  });
});
