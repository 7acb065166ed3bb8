import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/core/index.ts';
import { type LinkOptions, Pair, sequenceOf, text } from './support.ts';

const LINKS: readonly (readonly [string, LinkOptions])[] = [
  ['perfect', {}],
  ['reordering', { jitter: 25 }],
  ['losing 2 %', { loss: 0.02 }],
  ['losing 15 %, doubling 10 %, reordering', { loss: 0.15, repeat: 0.1, jitter: 30 }],
  ['losing 30 %, doubling, reordering', { loss: 0.3, repeat: 0.2, jitter: 50 }],
];

/** At 30 % loss the backed-off timeout (RFC 6298 §5.5) may outlast R2. */
const PATIENT = { userTimeoutMs: 1_000_000 };

/** Everything arrived, both sides are told the same, and nothing is left. */
function expectWhole(pair: Pair, first: Uint8Array, second: Uint8Array): void {
  const [a, b] = pair.ends;
  expect(Buffer.compare(Uint8Array.from(b.received), first)).toBe(0);
  expect(Buffer.compare(Uint8Array.from(a.received), second)).toBe(0);
  for (const { host, told, id } of pair.ends) {
    const once = told.filter((line) => !line.startsWith('received') && !line.startsWith('writable'));
    expect(once).toEqual([`connected ${id}`, `ended ${id}`, `closed ${id} finished`]);
    expect(host.deadline()).toBeUndefined();
    expect([host.size, host.memory]).toEqual([0, 0]);
    expect(host.counters.malformed).toBe(0);
  }
}

describe('RFC 9293 §3.8: all octets arrive, in order and once', () => {
  it.each(LINKS)('over a link that is %s, for sixty seeds', (_, link) => {
    for (let seed = 1; seed <= 60; seed++) {
      const pair = new Pair(seed, link, { limits: { finWaitMs: PATIENT.userTimeoutMs } });
      const [first, second] = [text(20_000 + seed * 97, seed), text((seed % 7) * 3001, seed + 1000)];
      pair.exchange(first, second, PATIENT);
      expectWhole(pair, first, second);
    }
  });

  it('with small buffers, signatures and distance checked', () => {
    const options = { md5Key: Secret.fromText('router'), gtsmHops: 1, sendBuffer: 700, receiveBuffer: 900 };
    for (let seed = 1; seed <= 20; seed++) {
      const pair = new Pair(seed, { loss: 0.05, jitter: 15 });
      const [first, second] = [text(9000, seed), text(7000, seed + 1)];
      pair.exchange(first, second, options);
      expectWhole(pair, first, second);
    }
  });

  it('RFC 9293 §3.8.6.1: while neither side reads for a time', () => {
    for (let seed = 1; seed <= 10; seed++) {
      const pair = new Pair(seed, { loss: 0.05, jitter: 15 });
      const [first, second] = [text(150_000, seed), text(140_000, seed + 1)];
      for (const end of pair.ends) end.appetite = 0;
      pair.exchange(first, second, {}, 40_000);
      expect(pair.ends.map(({ host }) => host.state(1))).toEqual(['established', 'established']);
      for (const end of pair.ends) end.appetite = Number.POSITIVE_INFINITY;
      for (const side of [0, 1] as const) pair.read(side);
      pair.run(3_600_000);
      expectWhole(pair, first, second);
    }
  });

  it('RFC 7323 §2: with windows of a megabyte', () => {
    const pair = new Pair(3, { delay: 50 });
    const first = text(1_500_000, 1);
    pair.exchange(first, new Uint8Array(0), { sendBuffer: 1 << 20, receiveBuffer: 1 << 20 });
    expectWhole(pair, first, new Uint8Array(0));
  });

  it('RFC 9293 §3.4: where sequence numbers pass zero', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const [first, second] = [text(90_000, seed), text(70_000, seed + 1)];
      const probe = new Pair(seed);
      probe.dial();
      // RFC 6528 §3: the clock in the number counts 250 a millisecond.
      const pair = new Pair(seed, { loss: 0.03 });
      pair.now = Math.ceil((0x1_0000_0000 - 50_000 - sequenceOf(probe.sent[0]!)) / 250);
      pair.exchange(first, second);
      expect(sequenceOf(pair.sent[0]!)).toBeGreaterThan(0xffff_0000);
      expectWhole(pair, first, second);
    }
  });
});
