import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom, u16 } from '../../src/core/index.ts';
import { buildUdp, findUpperLayer, newUpperLayer, PASS, parseAddress, udpDestinationPort } from '../../src/ip/index.ts';
import { type Conditions, OuterNetwork, Timeline } from '../../src/lab/index.ts';

const A = parseAddress('192.0.2.1')!;
const B = parseAddress('192.0.2.2')!;

const numbered = (n: number, size = 20, dontFragment = false): Bytes =>
  buildUdp(
    { source: A, destination: B, sourcePort: 1, destinationPort: n, identification: n, dontFragment },
    new Uint8Array(size).map((_, i) => (i * 7 + n) & 0xff),
  );

const upper = newUpperLayer();
const numberOf = (packet: Bytes): number =>
  findUpperLayer(packet, 0, packet.length, upper) === PASS ? udpDestinationPort(packet, upper.at) : -1;

/** Sends so many packets, one a millisecond; what arrived, and when. */
function run(conditions: Partial<Conditions>, count: number, seed = 1) {
  const timeline = new Timeline();
  const network = new OuterNetwork(timeline, seededRandom(seed), conditions);
  const arrived: { n: number; at: number }[] = [];
  network.attach(B, (packet) => arrived.push({ n: numberOf(packet), at: timeline.now }));
  for (let n = 0; n < count; n++) {
    network.send(numbered(n));
    timeline.advanceTo(timeline.now + 1);
  }
  timeline.runToIdle(10_000);
  return { arrived, counters: network.counters };
}

describe('outer network', () => {
  it('clean: everything in order, after exactly the delay', () => {
    const { arrived, counters } = run({ delay: 5 }, 100);
    expect(arrived).toEqual(Array.from({ length: 100 }, (_, n) => ({ n, at: n + 5 })));
    expect(counters).toMatchObject({ sent: 100, delivered: 100, lost: 0, duplicated: 0, reordered: 0 });
  });

  it('loss: the share asked for, and the counters account for every packet', () => {
    const { arrived, counters } = run({ loss: 0.2 }, 5000);
    expect(counters.lost + counters.delivered).toBe(5000);
    expect(arrived.length).toBe(counters.delivered);
    expect(counters.lost / 5000).toBeGreaterThan(0.18);
    expect(counters.lost / 5000).toBeLessThan(0.22);
  });

  it('jitter changes arrival times, never the order', () => {
    const { arrived } = run({ jitter: 30 }, 1000);
    expect(arrived.map(({ n }) => n)).toEqual(Array.from({ length: 1000 }, (_, n) => n));
    expect(new Set(arrived.map(({ n, at }) => at - n)).size).toBeGreaterThan(100);
    expect(arrived.every(({ n, at }) => at - n >= 5 && at - n < 35)).toBe(true);
  });

  it('reorder: some are overtaken, none is lost', () => {
    const { arrived, counters } = run({ reorder: 0.1 }, 1000);
    const overtaken = arrived.filter(({ n }, i) => i > 0 && n < arrived[i - 1]!.n).length;
    expect(counters.reordered).toBeGreaterThan(70);
    expect(overtaken).toBeGreaterThan(50);
    expect(new Set(arrived.map(({ n }) => n)).size).toBe(1000);
  });

  it('duplicate: some come twice, all at least once', () => {
    const { arrived, counters } = run({ duplicate: 0.1 }, 1000);
    expect(arrived.length).toBe(1000 + counters.duplicated);
    expect(counters.duplicated).toBeGreaterThan(70);
    expect(new Set(arrived.map(({ n }) => n)).size).toBe(1000);
  });

  it('the same seed gives the same run, another one another', () => {
    const bad = { loss: 0.1, jitter: 10, duplicate: 0.1, reorder: 0.1 };
    expect(run(bad, 300, 7)).toEqual(run(bad, 300, 7));
    expect(run(bad, 300, 7)).not.toEqual(run(bad, 300, 8));
  });

  it('MTU: what is larger is cut and put together again, with DF it is not sent', () => {
    const timeline = new Timeline();
    const network = new OuterNetwork(timeline, seededRandom(1), { mtu: 1500 });
    const lengths: number[] = [];
    network.tap((packet) => lengths.push(u16(packet, 2)));
    const arrived: Bytes[] = [];
    network.attach(B, (packet) => arrived.push(packet));
    const large = numbered(1, 4000);
    network.send(large.slice());
    network.send(numbered(2, 4000, true));
    timeline.runToIdle(1000);
    expect(lengths).toEqual([1500, 1500, 1068]);
    expect(arrived.map((packet) => packet.subarray(20))).toEqual([large.subarray(20)]);
    expect(network.counters).toMatchObject({ sent: 3, tooBig: 1, delivered: 1 });
  });

  it('nobody there, or a filter in between: counted', () => {
    const timeline = new Timeline();
    const network = new OuterNetwork(timeline, seededRandom(1));
    network.send(numbered(1));
    timeline.runToIdle(1000);
    network.attach(B, () => {
      throw new Error('must not arrive');
    });
    network.filter = () => false;
    network.send(numbered(2));
    network.filter = () => true;
    network.send(numbered(3));
    network.detach(B);
    timeline.runToIdle(1000);
    expect(network.counters).toMatchObject({ sent: 3, unknown: 2, filtered: 1, delivered: 0 });
  });
});
