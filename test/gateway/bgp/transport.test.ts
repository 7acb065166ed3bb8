/** The transport of a router against peers whose every segment is written here, in virtual time. */
import { describe, expect, it } from 'vitest';
import type { SessionEvent } from '../../../src/bgp/index.ts';
import { type Bytes, type Millis, Secret, seededRandom } from '../../../src/core/index.ts';
import { md5 } from '../../../src/crypto/index.ts';
import { BgpTransport, type TransportPeer } from '../../../src/gateway/bgp/transport.ts';
import { buildTcp, TCP_FLAG, tcpAcknowledgment, tcpDestinationPort, tcpFlags } from '../../../src/ip/index.ts';
import { readSegment, signatureHolds, writeSegment } from '../../../src/ip/tcp/segment.ts';
import { addr } from '../../support/packets.ts';

const OURS = addr('10.1.0.1');
const { ack, rst, syn } = TCP_FLAG;

const addressOf = (peer: number): string => `10.1.${1 + (peer >>> 8)}.${peer & 0xff}`;

class Bench {
  now: Millis = 1000;
  readonly transport: BgpTransport;
  readonly heard: { readonly peer: string; readonly event: SessionEvent }[] = [];
  #emitted: Bytes[] = [];

  constructor(peers: number) {
    this.transport = new BgpTransport({
      random: seededRandom(1),
      md5,
      mtu: () => 1500,
      sourceTowards: () => OURS,
      emit: (packet) => void this.#emitted.push(packet),
      tell: (peer, event) => void this.heard.push({ peer, event }),
    });
    for (let i = 0; i < peers; i++) this.transport.setPeer(this.peer(i));
  }

  peer(i: number): TransportPeer {
    return { name: `p${i}`, address: addr(addressOf(i)), localAddress: undefined, port: 179, tcp: {} };
  }

  emitted(): Bytes[] {
    const packets = this.#emitted;
    this.#emitted = [];
    return packets;
  }

  /** A segment of a peer; what it is answered. */
  says(peer: number, port: number, flags: number, sequence = 0, acknowledgment = 0): Bytes[] {
    const ends = { source: addr(addressOf(peer)), destination: OURS, sourcePort: port, destinationPort: 179 };
    this.transport.packet(buildTcp({ ...ends, sequence, acknowledgment, flags, window: 0 }), this.now);
    return this.emitted();
  }

  /** The peer connects, with a closed window. */
  connects(peer: number, port: number): boolean {
    const answer = this.says(peer, port, syn).find((packet) => (tcpFlags(packet, 20) & syn) !== 0);
    if (answer === undefined) return false;
    this.says(peer, port, ack, 1, (sequenceOf(answer) + 1) >>> 0);
    return true;
  }

  /** Whatever is asked of peer 0 meanwhile, it answers that its window is closed still. */
  wait(milliseconds: Millis): void {
    const end = this.now + milliseconds;
    for (let due = this.transport.deadline(); due !== undefined && due.at <= end; due = this.transport.deadline()) {
      this.now = Math.max(this.now, due.at);
      this.transport.tick(this.now);
      for (const probe of this.emitted()) {
        if ((tcpFlags(probe, 20) & rst) !== 0) continue;
        this.says(0, tcpDestinationPort(probe, 20), ack, tcpAcknowledgment(probe, 20), sequenceOf(probe));
      }
    }
    this.now = end;
  }

  get closures(): string[] {
    return this.heard.flatMap(({ event }) => (event.type === 'closed' ? [event.why] : []));
  }
}

const sequenceOf = (packet: Bytes): number => new DataView(packet.buffer, packet.byteOffset).getUint32(24);

describe('many peers', () => {
  it('seventy are dialled at once, and dead ones keep none from connecting', () => {
    const bench = new Bench(70);
    for (let peer = 0; peer < 70; peer++) bench.transport.dial(`p${peer}`, -1, bench.now);
    expect(bench.closures).toEqual([]);
    expect(bench.emitted()).toHaveLength(70);
    for (let peer = 0; peer < 70; peer++) expect(bench.connects(peer, 4000)).toBe(true);
    expect(bench.transport.host.size).toBe(140);
  });

  it('half-open connections of some keep no other from connecting', () => {
    const bench = new Bench(70);
    for (let peer = 0; peer < 69; peer++) for (let port = 4000; port < 4020; port++) bench.says(peer, port, syn);
    expect(bench.connects(69, 4000)).toBe(true);
    expect(bench.transport.host.size).toBe(69 * 8 + 1);
    for (let peer = 0; peer < 69; peer++) expect(bench.connects(peer, 5000)).toBe(true);
    expect(bench.transport.host.size).toBe(69 * 8 + 1);
  });
});

describe('connections that nobody reads', () => {
  it('RFC 6429: with its last words untaken, a closed connection ends, however it was closed', () => {
    for (const octets of [19, 100_000]) {
      const bench = new Bench(1);
      const { transport } = bench;
      expect(bench.connects(0, 4000)).toBe(true);
      transport.send('p0', 1, new Uint8Array(octets), bench.now);
      bench.wait(3_600_000);
      expect(transport.host.size).toBe(1);
      transport.close('p0', 1, false, bench.now);
      bench.wait(99_000);
      expect(transport.host.size).toBe(1);
      bench.wait(1000);
      expect([transport.host.size, transport.queuedOf('p0'), transport.deadline()]).toEqual([0, 0, undefined]);
      expect(bench.closures).toEqual([]);
    }
  });

  it('a peer that dials without end keeps nobody else out, now or later', () => {
    const bench = new Bench(2);
    for (let port = 4000; port < 4064; port++) {
      bench.connects(0, port);
      for (const { event } of bench.heard.splice(0))
        if (event.type === 'connected') {
          bench.transport.send('p0', event.connection, new Uint8Array(21), bench.now);
          bench.transport.close('p0', event.connection, false, bench.now);
        }
      expect(bench.transport.host.size).toBeLessThanOrEqual(8);
    }
    expect(bench.connects(1, 4000)).toBe(true);
    bench.wait(3_600_000);
    expect(bench.transport.host.size).toBe(1);
    expect(bench.connects(1, 4001)).toBe(true);
  });
});

it('RFC 2385 §3.0: what a peer sends to a connection that we dialled and that is gone is answered with a signed RST', () => {
  const bench = new Bench(2);
  const key = Secret.fromText('secret of the first');
  bench.transport.setPeer({ ...bench.peer(0), tcp: { md5Key: key } });
  const fields = { destination: OURS, sourcePort: 179, destinationPort: 50_000, sequence: 1, acknowledgment: 9 };
  const answer = (peer: number, md5Key?: Secret) => {
    const segment = { ...fields, source: addr(addressOf(peer)), flags: ack, window: 0, md5Key };
    bench.transport.packet(writeSegment(segment, new Uint8Array(0), md5), bench.now);
    return bench.emitted().map((packet) => signatureHolds(readSegment(packet)!, md5Key, md5));
  };
  expect([answer(0, key), answer(0), answer(1)]).toEqual([[true], [], [true]]);
});
