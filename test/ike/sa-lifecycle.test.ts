import { describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/index.ts';
import { decodeHeader, type IkeSa } from '../../src/ike/index.ts';
import { settleRivals } from '../../src/ike/sa/task-ike.ts';
import { act, cut, none, one, PACKET, packet, SIDES, up } from '../support/ike-checks.ts';
import { connection, disagreements, IkePair, type Side } from '../support/ike-pair.ts';
import { EXCHANGE, talk } from '../support/ike-wire.ts';

const mend = (w: IkePair) => {
  w.link = { ...w.link, loss: 0 };
  return w;
};

describe('both ends begin an IKE SA at once', () => {
  it.each([1, 2, 3, 4, 5, 6])('one of the two goes, seed %i', (seed) => {
    const w = new IkePair(seed).configure({ start: 'boot' }, { start: 'boot' }).runFor(1000);
    expect(talk(w).filter((line) => line.includes('IKE_AUTH'))).toHaveLength(4);
    one(w);
    w.runFor(100_000);
    one(w);
  });

  it('any one message lost in it: still one is left', () => {
    for (let nth = 0; nth < 8; nth++) {
      const w = new IkePair(7);
      w.loseOnce(() => w.sent.length === nth + 1);
      w.configure({ start: 'boot' }, { start: 'boot' }).runFor(60_000);
      one(w);
    }
  });

  it('also when one of them is rekeyed before the other one is up', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const w = new IkePair(seed, { loss: 0, duplicate: 0, delay: [10, 10] });
      w.loseOnce(({ from, octets }) => from === 'b' && decodeHeader(octets).exchange === EXCHANGE.IKE_SA_INIT);
      w.configure({ start: 'boot' }, { start: 'boot' }).runFor(100);
      for (const side of SIDES.slice(seed % 2)) act(w, side, 'rekey', 'ike');
      w.runFor(60_000);
      one(w);
    }
  });

  it.each([
    { first: true, second: true, lower: 'first', goes: 'first' },
    { first: true, second: true, lower: 'second', goes: 'second' },
    { first: false, second: true, lower: 'second', goes: 'first' },
    { first: true, second: false, lower: 'first', goes: 'second' },
    { first: false, second: false, lower: 'first', goes: 'first' },
  ] as const)(
    'of children $first and $second, lower nonce the $lower: the $goes goes',
    ({ first, second, lower, goes }) => {
      // Both begun here, so that this end closes whichever has to go.
      const sas = new Set<IkeSa>();
      const fake = (lowest: boolean) => {
        const sa = {
          phase: 'established',
          initiator: true,
          lowestNonce: Uint8Array.of(lowest ? 1 : 2),
          connection: { sas },
          pending: () => false,
          enqueue: () => {},
        } as unknown as IkeSa;
        sas.add(sa);
        return sa;
      };
      const [one, two] = [fake(lower === 'first'), fake(lower === 'second')];
      sas.delete(two);
      settleRivals(one, first, 0);
      sas.add(two);
      settleRivals(two, second, 0);
      expect([one.phase, two.phase]).toEqual(
        goes === 'first' ? ['closing', 'established'] : ['established', 'closing'],
      );
    },
  );
});

describe('RFC 7296 §2.4: INITIAL_CONTACT and liveness', () => {
  it.each(SIDES)('%s restarts: the other end drops what it had at the INITIAL_CONTACT of the new SA', (side) => {
    const w = up({ start: 'boot' }, { start: 'boot' });
    const other = side === 'a' ? 'b' : 'a';
    const [old] = w[other].ike.sas;
    w.restart(side).runFor(1000);
    expect(old!.phase).toBe('closed');
    expect(w[other].reports.map((r) => r.text)).toContain(
      `IKE SA [${old!.id}] is down: INITIAL_CONTACT: the peer started anew`,
    );
    one(w);
  });

  it('is said only by an end that has no other SA with the peer', () => {
    const w = up();
    expect(talk(w)[2]).toContain('INITIAL_CONTACT');
    w.loseOnce(() => true);
    act(w, 'a', 'terminate', 'ike').acquire();
    const from = w.sent.length;
    w.runFor(500);
    expect(w.a.ike.sas.size).toBe(2);
    expect(talk(w, from).find((line) => line.startsWith('a> IKE_AUTH'))).not.toContain('INITIAL_CONTACT');
  });

  it('a silent peer is asked with an empty INFORMATIONAL; one that was heard is not', () => {
    const w = up();
    const from = w.sent.length;
    w.run(29_900);
    expect(w.sent).toHaveLength(from);
    w.run(30_100);
    expect(talk(w, from)[0]).toBe('b> INFORMATIONAL 0:');
    w.run(59_000);
    expect(talk(w, from)).toHaveLength(2);

    const busy = up();
    const before = busy.sent.length;
    for (let i = 0; i < 100; i++) {
      for (const side of SIDES)
        for (const spiIn of busy[side].esp.keys()) busy.do(side, { type: 'inbound', spiIn, from: undefined });
      busy.runFor(1000);
    }
    expect(busy.sent).toHaveLength(before);
  });

  it('dpdSeconds 0: never asked', () => {
    const w = up({ dpdSeconds: 0 }, { dpdSeconds: 0 });
    const from = w.sent.length;
    w.runFor(1_000_000);
    expect(w.sent).toHaveLength(from);
  });

  it('a peer that vanished: down when the give-up time is over; demand waits for a packet', () => {
    const w = cut(up()).run(30_000 + 164_000);
    expect(w.a.esp.size).toBe(1);
    w.run(30_000 + 166_000);
    none(w);
    expect(w.a.failures).toEqual(['dpd']);
    mend(w).runFor(100_000);
    none(w);
    packet(w).runFor(1000);
    one(w);
  });

  it('boot comes back by itself, again and again with growing waits', () => {
    const w = cut(up({ start: 'boot', giveUpSeconds: 10 })).run(45_000);
    expect(w.a.failures[0]).toBe('dpd');
    w.run(200_000);
    expect(w.a.failures.slice(1).every((code) => code === 'no-answer')).toBe(true);
    expect(w.a.failures.length).toBeGreaterThan(3);
    mend(w).runFor(120_000);
    expect(disagreements(w)).toEqual([]);
    expect(w.a.esp.size).toBe(1);
  });

  it('a connection gives up in its own time', () => {
    const w = cut(new IkePair(1).configure({ giveUpSeconds: 5 }))
      .acquire()
      .run(4_900);
    expect(w.a.ike.sas.size).toBe(1);
    w.run(5_100);
    expect([w.a.ike.sas.size, w.a.failures]).toEqual([0, ['no-answer']]);
    expect(w.a.reports.at(-1)!.text).toBe('nothing answers at 198.51.100.1:500: 3 requests in 5 s');
  });

  it('after a failure packets are refused at once for a while; an operator is not', () => {
    const w = up({ psk: Secret.fromText('another') });
    expect(w.a.unreachable).toEqual(['authentication']);
    const from = w.sent.length;
    packet(packet(w));
    expect([w.a.unreachable, w.sent.length]).toEqual([['authentication', 'authentication', 'authentication'], from]);
    w.acquire();
    expect(w.sent).toHaveLength(from + 1);
    w.runFor(10_000);
    packet(w);
    expect(w.sent.length).toBeGreaterThan(from + 4);
  });

  it('what the peer does wrong holds nothing down here', () => {
    const w = new IkePair(1)
      .configure({ psk: Secret.fromText('another') }, { start: 'demand' })
      .acquire()
      .runFor(1000);
    expect(w.b.failures).toEqual(['authentication']);
    const from = w.sent.length;
    w.do('b', {
      type: 'acquire',
      connection: 'lab/net',
      packet: { ...PACKET, source: PACKET.destination, destination: PACKET.source },
    });
    expect([w.b.unreachable, w.sent.length]).toEqual([[], from + 1]);
  });
});

describe('RFC 7296 §2.8: lifetimes', () => {
  const short = (side: Side, lifetimeSeconds: number) => ({ child: { ...connection(side).child, lifetimeSeconds } });

  it('a Child SA is rekeyed 10 to 20 % before its end; both ends at about the same time leave one', () => {
    const w = up(short('a', 100), short('b', 100));
    const spi = w.a.outbound!.spiIn;
    w.run(79_900);
    expect(w.a.outbound!.spiIn).toBe(spi);
    w.run(100_000).runFor(6_000);
    expect(w.a.outbound!.spiIn).not.toBe(spi);
    one(w);
    expect([w.a.failures, w.b.failures]).toEqual([[], []]);
  });

  it('at its hard end nothing passes on it any more; the peer is told and another is made', () => {
    const w = up(short('a', 100), short('b', 3600));
    const [spi] = w.a.esp.keys();
    const refuse = (octets: Uint8Array) => decodeHeader(octets).exchange === EXCHANGE.CREATE_CHILD_SA;
    w.tamper = (_, octets) => (refuse(octets) ? [] : [octets]);
    w.run(100_100);
    expect(w.a.esp.has(spi!)).toBe(false);
    w.tamper = undefined;
    w.runFor(30_000);
    expect(w.a.reports.some((r) => r.what === 'child-expired')).toBe(true);
    one(w);
  });

  it('`expire`: a soft limit rekeys, once however often it is told', () => {
    const w = up();
    const [spi] = w.a.esp.keys();
    const from = w.sent.length;
    for (let i = 0; i < 3; i++) w.do('a', { type: 'expire', spiIn: spi!, hard: false });
    w.runFor(10_000);
    expect(talk(w, from).filter((line) => line.startsWith('a> CREATE'))).toHaveLength(1);
    one(w);
    w.do('a', { type: 'expire', spiIn: spi!, hard: true });
    w.do('a', { type: 'expire', spiIn: 77, hard: true });
    one(w);
  });

  it('`expire`: a hard limit ends the SA and makes another', () => {
    const w = up();
    const [spi] = w.a.esp.keys();
    w.do('a', { type: 'expire', spiIn: spi!, hard: true });
    expect([...w.a.esp.keys()]).toEqual([]);
    w.runFor(10_000);
    expect(w.a.esp.has(spi!)).toBe(false);
    one(w);
  });

  it('an IKE SA that could not be rekeyed is deleted at its end, with its children; boot comes back', () => {
    const w = up({ start: 'boot', ikeLifetimeSeconds: 100 });
    const [old] = w.a.ike.sas;
    const rekeys = (octets: Uint8Array) => decodeHeader(octets).exchange === EXCHANGE.CREATE_CHILD_SA;
    w.tamper = (_, octets) => (rekeys(octets) ? [] : [octets]);
    w.run(100_500);
    // Its rekey is still unanswered, so the DELETE waits; nothing new is begun under it.
    expect([old!.phase, old!.active!.kind]).toEqual(['closing', 'ike-rekey']);
    w.tamper = undefined;
    w.runFor(60_000);
    expect(old!.phase).toBe('closed');
    one(w);
  });
});
