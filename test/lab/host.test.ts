import { describe, expect, it } from 'vitest';
import { buildIcmpEcho, buildUdp, parseAddress } from '../../src/ip/index.ts';
import { ECHO_PORT, Host, Segment, Timeline } from '../../src/lab/index.ts';

const A = parseAddress('10.1.0.10')!;
const B = parseAddress('10.1.0.11')!;
const NOBODY = parseAddress('10.1.0.12')!;

function segment(names: readonly [string, string] = ['contoso', 'contoso']) {
  const timeline = new Timeline();
  const toGateway: Uint8Array[] = [];
  const wire = new Segment(timeline, (packet) => toGateway.push(packet));
  const host = (tenant: string, name: string, address: Uint8Array): Host =>
    new Host({ timeline, segment: wire, tenant, name, addresses: [address] });
  return { timeline, wire, toGateway, a: host(names[0], 'a', A), b: host(names[1], 'b', B) };
}

describe('virtual host', () => {
  it('answers pings and the echo service of UDP (RFC 862), large ones in fragments', () => {
    const { timeline, a, b } = segment();
    const queries = [a.ping(B), a.ping(B, { size: 5000 }), a.askUdp(B), a.askUdp(B, 3000)];
    timeline.advanceTo(10);
    expect(queries.map(({ outcome, milliseconds }) => [outcome, milliseconds])).toEqual([
      ['reply', 0],
      ['reply', 0],
      ['reply', 0],
      ['reply', 0],
    ]);
    expect(b.counters).toEqual({ received: 4, echoRequests: 2, datagrams: 2, foreign: 0, refused: 0 });
    expect(a.counters).toEqual({ received: 4, echoRequests: 0, datagrams: 2, foreign: 0, refused: 0 });
    expect([...b.markers]).toEqual([['bh:contoso:a:', 4]]);
  });

  it('two hosts that ask each other in fragments do not mix them up (RFC 6864 §4.3)', () => {
    const { timeline, a, b } = segment();
    const queries = Array.from({ length: 10 }, () => [a.ping(B, { size: 3000 }), b.ping(A, { size: 3000 })]).flat();
    timeline.advanceTo(10);
    expect(queries.every(({ outcome }) => outcome === 'reply')).toBe(true);
    expect(a.counters.refused + b.counters.refused).toBe(0);
  });

  it('gives up when its time is over', () => {
    const { timeline, toGateway, a } = segment();
    const query = a.ping(NOBODY, { timeoutMs: 500 });
    timeline.advanceTo(499);
    expect(query.outcome).toBe('waiting');
    timeline.advanceTo(500);
    expect(query).toMatchObject({ outcome: 'timeout', milliseconds: undefined });
    expect(toGateway.length).toBe(1);
    expect(a.deadline()).toBeUndefined();
  });

  it('data of another tenant are counted as foreign, data without a marker are nobody’s', () => {
    const { timeline, a, b } = segment(['contoso', 'woodgrove']);
    a.ping(B);
    a.askUdp(B);
    a.sendUdp(B, 9, Uint8Array.of(1, 2, 3), 9);
    timeline.advanceTo(10);
    expect(b.counters).toMatchObject({ received: 3, foreign: 2 });
    expect(a.counters).toMatchObject({ received: 2, foreign: 0 });
  });

  it('two echo services do not talk to each other for ever', () => {
    const { timeline, a } = segment();
    a.sendUdp(B, ECHO_PORT, Uint8Array.of(1), ECHO_PORT);
    timeline.advanceTo(10);
    expect(timeline.pending).toBe(0);
    expect(a.counters.datagrams).toBe(0);
  });

  it('refuses what is broken', () => {
    const { timeline, wire, a } = segment();
    const ping = buildIcmpEcho({ type: 'request', identifier: 1, sequence: 1, source: B, destination: A });
    const datagram = buildUdp(
      { source: B, destination: A, sourcePort: 9, destinationPort: 9 },
      Uint8Array.of(1, 2, 3, 4),
    );
    for (const packet of [ping, datagram]) {
      const broken = packet.slice();
      broken[broken.length - 1]! ^= 1;
      const header = packet.slice();
      header[8]! ^= 1;
      wire.deliver(broken);
      wire.deliver(header);
    }
    timeline.advanceTo(10);
    expect(a.counters).toMatchObject({ received: 0, refused: 4 });
  });
});
