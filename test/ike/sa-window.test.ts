import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { decodeHeader, RETRANSMIT, RequestWindow, ResponseWindow } from '../../src/ike/index.ts';
import { IkePair } from '../support/ike-pair.ts';
import { deliver, EXCHANGE, forge, talk } from '../support/ike-wire.ts';

const octets = (n: number) => Uint8Array.of(n);

/** When each retransmission of one request is due, and when it is given up. */
function schedule(seed: number, giveUpMillis: number): { retries: number[]; goneAt: number } {
  const window = new RequestWindow(seededRandom(seed));
  window.sent(octets(1), 0, giveUpMillis);
  const retries: number[] = [];
  for (;;) {
    const at = window.deadline()!.at;
    expect(window.due(at - 0.001)).toBeUndefined();
    const due = window.due(at);
    if (due === 'gone') return { retries, goneAt: at };
    expect(due).toEqual(octets(1));
    retries.push(at);
  }
}

describe('RFC 7296 §2.1, §2.4: retransmission', () => {
  it('waits 1 s, then 1.7 times longer each time up to 20 s, each wait up to a tenth shorter or longer', () => {
    const { retries } = schedule(1, 165_000);
    const waits = retries.map((at, i) => at - (retries[i - 1] ?? 0));
    waits.forEach((wait, i) => {
      const middle = Math.min(1000 * 1.7 ** i, 20_000);
      expect(wait).toBeGreaterThanOrEqual(middle * 0.9);
      expect(wait).toBeLessThanOrEqual(middle * 1.1);
    });
    expect(new Set(waits.slice(6).map(Math.round)).size).toBe(waits.length - 6);
  });

  it('§2.4: asks about a dozen times before it gives up, exactly when the time is over', () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { retries, goneAt } = schedule(seed, 165_000);
      expect(retries.length).toBeGreaterThanOrEqual(11);
      expect(retries.length).toBeLessThanOrEqual(14);
      expect(goneAt).toBe(165_000);
    }
  });

  it('two ends with different randomness do not march in step', () => {
    expect(schedule(1, 60_000).retries).not.toEqual(schedule(2, 60_000).retries);
  });

  it('has a policy that people can read', () => {
    expect(RETRANSMIT).toEqual({ firstMillis: 1000, factor: 1.7, capMillis: 20_000, jitter: 0.1 });
  });
});

describe('RFC 7296 §2.2, §2.3: message IDs, window of one', () => {
  it('numbers requests from 0 and takes only the answer to the outstanding one', () => {
    const window = new RequestWindow(seededRandom(1));
    expect([window.nextId, window.busy, window.answered(0)]).toEqual([0, false, false]);
    window.sent(octets(0), 0, 1000);
    expect([window.nextId, window.outstandingId, window.answered(1), window.busy]).toEqual([1, 0, false, true]);
    expect([window.answered(0), window.busy, window.answered(0)]).toEqual([true, false, false]);
    expect(window.deadline()).toBeUndefined();
  });

  it('§2.2: has no number after 2³² - 1', () => {
    const window = new RequestWindow(seededRandom(1), RETRANSMIT, 0xffffffff);
    expect(window.exhausted).toBe(false);
    window.sent(octets(0), 0, 1000);
    expect(window.exhausted).toBe(true);
  });

  it('processes the expected request, repeats the last answer, drops the rest', () => {
    const window = new ResponseWindow();
    expect([window.classify(0), window.classify(1)]).toEqual([{ is: 'new' }, { is: 'stale' }]);
    window.answered(octets(100));
    expect(window.classify(0)).toEqual({ is: 'repeat', response: octets(100) });
    expect(window.classify(1)).toEqual({ is: 'new' });
    window.answered(octets(101));
    expect([window.classify(0), window.classify(2)]).toEqual([{ is: 'stale' }, { is: 'new' }]);
    expect([window.classify(0xffffffff).is, window.expectedId]).toEqual(['stale', 2]);
  });
});

const up = (seed = 1) => new IkePair(seed).configure().acquire().runFor(1000);

describe('RFC 7296 §2.1: the window between two ends', () => {
  it('a retransmission is bitwise identical, of IKE_SA_INIT, IKE_AUTH and later requests', () => {
    for (const exchange of [EXCHANGE.IKE_SA_INIT, EXCHANGE.IKE_AUTH]) {
      const w = new IkePair(1).loseOnce(({ octets: o }) => decodeHeader(o).exchange === exchange);
      w.configure().acquire().runFor(5000);
      const tries = w.sent.filter(({ from, octets: o }) => from === 'a' && decodeHeader(o).exchange === exchange);
      expect(tries).toHaveLength(2);
      expect(tries[1]!.octets).toEqual(tries[0]!.octets);
      expect([w.a.esp.size, w.b.esp.size]).toEqual([1, 1]);
    }
    const w = up();
    const from = w.sent.length;
    w.loseOnce(() => true).do('a', { type: 'rekey', connection: 'lab/net', what: 'child' });
    w.runFor(900);
    expect(w.sent).toHaveLength(from + 1);
    w.runFor(3000);
    expect(w.sent[from + 1]!.octets).toEqual(w.sent[from]!.octets);
  });

  it('a lost response is given again, byte for byte, only when the request comes again', () => {
    for (const [exchange, index] of [
      [EXCHANGE.IKE_SA_INIT, 1],
      [EXCHANGE.IKE_AUTH, 3],
    ] as const) {
      const w = new IkePair(1).loseOnce(({ from, octets: o }) => from === 'b' && decodeHeader(o).exchange === exchange);
      w.configure().acquire().runFor(900);
      expect(w.sent).toHaveLength(index + 1);
      w.runFor(4000);
      expect(w.sent[index + 2]!.octets).toEqual(w.sent[index]!.octets);
      expect(w.b.ike.counters.get('repeated-request')).toBe(1);
      expect([w.a.esp.size, w.b.esp.size, w.b.ike.sas.size]).toEqual([1, 1, 1]);
    }
  });

  it('the response to a DELETE is given again although its SA has gone', () => {
    const w = up().loseOnce(({ from }) => from === 'b');
    w.do('a', { type: 'terminate', connection: 'lab/net', what: 'ike' });
    w.runFor(500);
    expect([w.a.ike.sas.size, w.b.ike.sas.size, w.b.ike.farewells]).toEqual([1, 0, 1]);
    w.runFor(2000);
    const answers = w.sent.filter((s) => s.from === 'b').slice(-2);
    expect(answers[1]!.octets).toEqual(answers[0]!.octets);
    expect(w.a.ike.sas.size).toBe(0);
    w.runFor(180_000);
    expect([w.b.ike.farewells, w.b.ike.deadline()]).toEqual([0, undefined]);
  });

  it('the kept answer goes to the very request only: other octets with its SPI and ID are told INVALID_IKE_SPI', () => {
    const w = up();
    const strange = forge(w, 'a');
    w.do('a', { type: 'terminate', connection: 'lab/net', what: 'ike' });
    w.runFor(500);
    const from = w.sent.length;
    w.do('b', {
      type: 'datagram',
      local: { address: w.addresses.b, port: 500 },
      remote: { address: w.addresses.a, port: 500 },
      octets: strange,
    });
    expect(talk(w, from)).toEqual(['<b INFORMATIONAL 2: INVALID_IKE_SPI']);
  });

  it('drops ids outside the window and answers no response', () => {
    const w = up();
    const from = w.sent.length;
    deliver(w, 'b', forge(w, 'a', { messageId: 7 }));
    deliver(w, 'b', forge(w, 'a', { messageId: 0 }));
    deliver(w, 'b', forge(w, 'a', { messageId: 2, response: true }));
    expect(w.sent).toHaveLength(from);
    expect(w.b.ike.counters.get('stale')).toBe(3);
    deliver(w, 'b', forge(w, 'a'));
    expect(talk(w, from)).toEqual(['<b INFORMATIONAL 2:']);
  });

  it('a repeated request that does not verify is not answered, so nobody else can ask for the answer', () => {
    const w = up();
    const from = w.sent.length;
    const request = forge(w, 'a');
    deliver(w, 'b', request);
    deliver(w, 'b', request);
    expect(w.sent).toHaveLength(from + 2);
    const damaged = request.slice();
    damaged[damaged.length - 1]! ^= 1;
    deliver(w, 'b', damaged);
    expect(w.sent).toHaveLength(from + 2);
    expect(w.b.ike.counters.get('forged')).toBe(1);
  });

  it('an IKE_SA_INIT that comes again after IKE_AUTH is ignored', () => {
    const w = up();
    const from = w.sent.length;
    w.do('b', {
      type: 'datagram',
      local: { address: w.addresses.b, port: 500 },
      remote: { address: w.addresses.a, port: 500 },
      octets: w.sent[0]!.octets,
    });
    expect(w.sent).toHaveLength(from);
    expect([w.b.ike.sas.size, w.b.ike.halfOpen]).toEqual([1, 0]);
  });

  it('§2.3: one request at a time: what the operator asks for meanwhile waits', () => {
    const w = up();
    const from = w.sent.length;
    for (const what of ['child', 'ike'] as const) w.do('a', { type: 'rekey', connection: 'lab/net', what });
    expect(w.sent).toHaveLength(from + 1);
    w.runFor(10_000);
    expect(talk(w, from).filter((line) => line.startsWith('a>'))).toEqual([
      'a> CREATE_CHILD_SA 2: REKEY_SA SA NONCE TSI TSR',
      'a> CREATE_CHILD_SA 3: SA NONCE KE',
      'a> INFORMATIONAL 0: DELETE',
      'a> INFORMATIONAL 4: DELETE',
    ]);
  });
});
