import { describe, expect, it } from 'vitest';
import { seededRandom, toHex } from '../../src/core/index.ts';
import { decodeHeader, findPayload } from '../../src/ike/index.ts';
import { child, one, rekey, SIDES, upWith } from '../support/ike-checks.ts';
import { disagreements, IkePair, type Side } from '../support/ike-pair.ts';
import { deliver, EXCHANGE, forge, PAYLOAD, payloadsOf, talk } from '../support/ike-wire.ts';

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
        const { redundant } = row;
        const winner = redundant === 'a' ? 'b' : 'a';
        w.runFor(10);
        // Old, own and theirs: both others have their successor.
        const three = [...[...w[winner].ike.sas][0]!.children];
        expect([three.length, three.filter((c) => c.successor === undefined).map((c) => c.begunHere)]).toEqual([
          3,
          [true],
        ]);
        w.runFor(200);
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
      const w = upWith();
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
      const w = upWith();
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
    const w = upWith();
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
      const w = upWith();
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
      const w = upWith();
      const from = w.sent.length;
      w.loseOnce(() => w.sent.length === from + nth + 1);
      rekey(w, 'a', 'ike');
      rekey(w, 'b', 'ike');
      w.runFor(400_000);
      one(w);
    }
  });

  it('while it is open a second rekey of the peer is put off, so that it cannot pile up SAs', () => {
    const w = upWith();
    const [sa] = w.b.ike.sas;
    const from = w.sent.length;
    w.tamper = (side, octets) => (side === 'a' && !decodeHeader(octets).flags.response ? [] : [octets]);
    rekey(w, 'a', 'ike');
    rekey(w, 'b', 'ike').runFor(15);
    expect(w.a.ike.sas.size).toBe(2);
    const payloads = payloadsOf(w, w.sent[from + 1]!.octets);
    deliver(w, 'a', forge(w, 'b', { sa: sa!, exchange: EXCHANGE.CREATE_CHILD_SA, payloads }));
    expect(talk(w).at(-1)).toBe('<a CREATE_CHILD_SA 1: TEMPORARY_FAILURE');
    expect(w.a.ike.sas.size).toBe(2);
  });

  it('a rekey that waits is dropped when the peer has rekeyed meanwhile', () => {
    const w = upWith();
    w.loseOnce(({ from }) => from === 'b').run(30_050);
    const [sa] = w.b.ike.sas;
    expect(sa!.active!.kind).toBe('liveness');
    rekey(w, 'b', 'ike');
    rekey(w, 'a', 'ike').runFor(20_000);
    expect(talk(w).filter((line) => line.startsWith('b> CREATE'))).toEqual([]);
    one(w);
  });

  it('what waited behind a rekey that is forgotten goes on under the SA of the peer', () => {
    const w = upWith();
    w.tamper = (side, octets) => (side === 'a' && !decodeHeader(octets).flags.response ? [] : [octets]);
    rekey(w, 'a', 'ike');
    rekey(w, 'a', 'child');
    rekey(w, 'b', 'ike').runFor(100);
    w.tamper = undefined;
    const from = w.sent.length;
    w.runFor(20_000);
    expect(talk(w, from)).toContain('a> CREATE_CHILD_SA 0: REKEY_SA SA NONCE TSI TSR');
    one(w);
  });
});

describe('RFC 7296 §2.25: exchanges that collide', () => {
  it('§2.25.2: rekey of a Child SA against rekey of the IKE SA: TEMPORARY_FAILURE both ways, later both succeed', () => {
    const w = upWith();
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
    const w = upWith();
    const from = w.sent.length;
    w.do('a', { type: 'terminate', connection: 'lab/net', what: 'child' });
    rekey(w, 'b', 'child').runFor(10_000);
    expect(talk(w, from)).toContain('<a CREATE_CHILD_SA 0: TEMPORARY_FAILURE');
    expect(disagreements(w)).toEqual([]);
    expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, 1]);
  });

  it('§2.25.1: rekey of a Child SA that is not there: CHILD_SA_NOT_FOUND with its SPI; a new one is made', () => {
    const w = upWith();
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
    const w = upWith();
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
      const w = upWith();
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
    const w = upWith();
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
        const w = upWith();
        rekey(w, 'a', what).runFor(12);
        w.do(side, { type: 'terminate', connection: 'lab/net', what: then });
        w.runFor(20_000);
        expect(disagreements(w)).toEqual([]);
        expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, then === 'child' ? 1 : 0]);
      }
    }
  });

  it('a DELETE that overtakes the answer which made the SA is not forgotten', () => {
    const w = upWith();
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
      const w = upWith();
      w.do('a', { type: 'terminate', connection: 'lab/net', what: 'child' });
      w.runFor(1000);
      expect([w.a.esp.size, w.a.ike.sas.size]).toEqual([0, 1]);
      if (lost) w.loseOnce(({ from }) => from === 'a');
      w.acquire('a').acquire('b').runFor(20_000);
      one(w);
    }
  });
});
