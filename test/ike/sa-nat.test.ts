import { describe, expect, it } from 'vitest';
import { type Endpoint, formatEndpoint, parseAddress } from '../../src/ip/index.ts';
import { disagreements, IkePair, type Side } from '../support/ike-pair.ts';
import { deliver, forge } from '../support/ike-wire.ts';

const OUTSIDE_A = parseAddress('203.0.113.7')!;
const OUTSIDE_B = parseAddress('203.0.113.8')!;
/** A NAT that keeps ports apart by adding to them. */
const masquerade =
  (address: Uint8Array, shift: number) =>
  ({ port }: Endpoint): Endpoint => ({ address, port: port + shift });

const view = (w: IkePair, side: Side) => {
  const [sa] = w[side].ike.sas;
  const { localEndpoint, remoteEndpoint, udpEncapsulation } = w[side].outbound!;
  expect([localEndpoint, remoteEndpoint]).toEqual([sa!.local, sa!.remote]);
  return [formatEndpoint(localEndpoint), formatEndpoint(remoteEndpoint), udpEncapsulation, { ...sa!.nat }];
};

function behindNat(): IkePair {
  const w = new IkePair(1).configure({}, { remoteAddress: undefined });
  w.nat = { a: masquerade(OUTSIDE_A, 20_000) };
  return w.acquire().runFor(1000);
}

describe('RFC 7296 §2.23: NAT detection', () => {
  it('without NAT both stay on port 500 and ESP is not encapsulated; no keepalives', () => {
    const w = new IkePair(1).configure().acquire().runFor(100_000);
    const none = { local: false, remote: false, forced: false };
    expect(view(w, 'a')).toEqual(['192.0.2.1:500', '198.51.100.1:500', false, none]);
    expect(view(w, 'b')).toEqual(['198.51.100.1:500', '192.0.2.1:500', false, none]);
    expect([w.a.keepalives, w.b.keepalives]).toEqual([[], []]);
  });

  it('the initiator behind NAT goes to port 4500 with IKE_AUTH, the responder follows', () => {
    const w = behindNat();
    expect(w.sent.map(({ from, local, remote }) => `${from} ${local.port} ${remote.port}`)).toEqual([
      'a 500 500',
      'b 500 20500',
      'a 4500 4500',
      'b 4500 24500',
    ]);
    expect(view(w, 'a')).toEqual([
      '192.0.2.1:4500',
      '198.51.100.1:4500',
      true,
      { local: true, remote: false, forced: false },
    ]);
    expect(view(w, 'b')).toEqual([
      '198.51.100.1:4500',
      '203.0.113.7:24500',
      true,
      { local: false, remote: true, forced: false },
    ]);
    expect(disagreements(w)).toEqual([]);
  });

  it('the responder behind NAT, its ports forwarded', () => {
    const w = new IkePair(1).configure({ remoteAddress: OUTSIDE_B });
    w.nat = { b: masquerade(OUTSIDE_B, 0) };
    for (const port of [500, 4500]) w.forward({ address: OUTSIDE_B, port }, { address: w.addresses.b, port });
    w.acquire().runFor(1000);
    expect(view(w, 'a')).toEqual([
      '192.0.2.1:4500',
      '203.0.113.8:4500',
      true,
      { local: false, remote: true, forced: false },
    ]);
    expect(view(w, 'b')).toEqual([
      '198.51.100.1:4500',
      '192.0.2.1:4500',
      true,
      { local: true, remote: false, forced: false },
    ]);
  });

  it('both behind NAT', () => {
    const w = new IkePair(1).configure({ remoteAddress: OUTSIDE_B }, { remoteAddress: undefined });
    w.nat = { a: masquerade(OUTSIDE_A, 20_000), b: masquerade(OUTSIDE_B, 0) };
    for (const port of [500, 4500]) w.forward({ address: OUTSIDE_B, port }, { address: w.addresses.b, port });
    w.acquire().runFor(1000);
    const both = { local: true, remote: true, forced: false };
    expect(view(w, 'a')).toEqual(['192.0.2.1:4500', '203.0.113.8:4500', true, both]);
    expect(view(w, 'b')).toEqual(['198.51.100.1:4500', '203.0.113.7:24500', true, both]);
    const elsewhere = { address: parseAddress('203.0.113.66')!, port: 4500 };
    for (const side of ['a', 'b'] as const) {
      const [sa] = w[side].ike.sas;
      const { remote, local } = sa!;
      const octets = forge(w, side === 'a' ? 'b' : 'a');
      w.do(side, { type: 'datagram', local, remote: elsewhere, octets });
      for (const spiIn of w[side].esp.keys()) w.do(side, { type: 'inbound', spiIn, from: elsewhere });
      expect(sa!.remote).toEqual(remote);
    }
  });

  it.each(['a', 'b'] as const)('%s forces encapsulation by a source hash that fits nothing', (side) => {
    const forced = { forceEncapsulation: true };
    const w = new IkePair(1)
      .configure(side === 'a' ? forced : {}, side === 'b' ? forced : {})
      .acquire()
      .runFor(60_000);
    expect([view(w, 'a')[2], view(w, 'b')[2]]).toEqual([true, true]);
    const other = side === 'a' ? 'b' : 'a';
    expect([...w[side].ike.sas][0]!.nat).toEqual({ local: false, remote: false, forced: true });
    expect([...w[other].ike.sas][0]!.nat).toEqual({ local: false, remote: true, forced: false });
    expect([w.a.keepalives, w.b.keepalives]).toEqual([[], []]);
    expect(w.sent[2]!.local.port).toBe(4500);
  });

  it('whoever names another port than 500 starts from 4500, where non-ESP markers are expected', () => {
    const w = new IkePair(1).configure({ remotePort: 4500 }).acquire().runFor(1000);
    expect(w.sent.every(({ local, remote }) => local.port === 4500 && remote.port === 4500)).toBe(true);
    expect(view(w, 'a')[2]).toBe(false);
  });

  it('RFC 3948 §4: keepalives every 20 s behind NAT, only while nothing else is sent', () => {
    const w = new IkePair(1).configure({ dpdSeconds: 0 }, { remoteAddress: undefined, dpdSeconds: 0 });
    w.nat = { a: masquerade(OUTSIDE_A, 20_000) };
    w.acquire().run(70_000);
    expect(w.a.keepalives.map((at) => at - w.a.keepalives[0]!)).toEqual([0, 20_000, 40_000]);
    expect(w.a.keepalives[0]).toBe(20_000 + w.sent[2]!.at);
    expect(w.b.keepalives).toEqual([]);
    w.run(75_000).do('a', { type: 'rekey', connection: 'lab/net', what: 'child' });
    w.run(90_000);
    expect(w.a.keepalives).toHaveLength(3);
    w.run(96_000);
    expect(w.a.keepalives).toHaveLength(4);
  });

  it('keepalives go on under the IKE SA that a rekey made', () => {
    const w = behindNat();
    w.do('b', { type: 'rekey', connection: 'lab/net', what: 'ike' });
    w.runFor(50_000);
    expect(w.a.keepalives.length).toBeGreaterThanOrEqual(1);
    expect([...w.a.ike.sas][0]!.nat.local).toBe(true);
    expect(view(w, 'b')[1]).toBe('203.0.113.7:24500');
  });
});

describe('RFC 7296 §2.23: dynamic update of the peer’s address', () => {
  const moved = { address: OUTSIDE_A, port: 31_000 };
  const local = { address: parseAddress('198.51.100.1')!, port: 4500 };
  const at = (w: IkePair) => view(w, 'b')[1];

  it('follows an authentic, fresh request from another port, with every Child SA', () => {
    const w = behindNat();
    w.do('b', { type: 'datagram', local, remote: moved, octets: forge(w, 'a') });
    expect(at(w)).toBe('203.0.113.7:31000');
    expect(w.b.reports.at(-1)).toMatchObject({
      what: 'moved',
      text: 'peer moved from 203.0.113.7:24500 to 203.0.113.7:31000',
    });
  });

  it('answers where a request came from, whether or not it follows', () => {
    const w = new IkePair(1).configure().acquire().runFor(1000);
    w.do('b', { type: 'datagram', local, remote: moved, octets: forge(w, 'a') });
    expect([w.sent.at(-1)!.local, w.sent.at(-1)!.remote]).toEqual([local, moved]);
    expect(at(w)).toBe('192.0.2.1:500');
  });

  it('does not follow a forged, repeated or stale message', () => {
    const w = behindNat();
    const request = forge(w, 'a');
    deliver(w, 'b', request);
    const damaged = request.slice();
    damaged[40]! ^= 1;
    const next = forge(w, 'a', { messageId: 9 });
    for (const octets of [request, damaged, next]) w.do('b', { type: 'datagram', local, remote: moved, octets });
    expect(at(w)).toBe('203.0.113.7:24500');
  });

  it('follows authentic ESP that came in from elsewhere, and tells ESP that it may do so itself', () => {
    const w = behindNat();
    const peerMoves = (end: 'a' | 'b') =>
      [...w[end].ike.sas].flatMap((sa) => [...sa.children].map((c) => c.sa.peerMoves));
    expect([peerMoves('a'), peerMoves('b')]).toEqual([[false], [true]]);
    const [spiIn] = w.b.esp.keys();
    w.do('b', { type: 'inbound', spiIn: spiIn!, from: undefined });
    expect(at(w)).toBe('203.0.113.7:24500');
    w.do('b', { type: 'inbound', spiIn: spiIn!, from: moved });
    expect(at(w)).toBe('203.0.113.7:31000');
    w.do('b', { type: 'inbound', spiIn: 1, from: { ...moved, port: 1 } });
    expect(at(w)).toBe('203.0.113.7:31000');
  });

  it('an end behind NAT follows nobody, once the SA is up or while it waits for IKE_AUTH', () => {
    const w = behindNat();
    const [spiIn] = w.a.esp.keys();
    const elsewhere = { address: parseAddress('203.0.113.66')!, port: 4500 };
    w.do('a', { type: 'inbound', spiIn: spiIn!, from: elsewhere });
    w.do('a', {
      type: 'datagram',
      local: { address: w.addresses.a, port: 4500 },
      remote: elsewhere,
      octets: forge(w, 'b'),
    });
    expect(view(w, 'a')[1]).toBe('198.51.100.1:4500');

    const early = new IkePair(1).configure({}, { remoteAddress: undefined });
    early.nat = { a: masquerade(OUTSIDE_A, 20_000) };
    early.tamper = (from, octets) => (from === 'b' && octets[18] === 35 ? [] : [octets]);
    early.acquire().runFor(100);
    const answer = early.sent.at(-1)!.octets;
    early.do('a', {
      type: 'datagram',
      local: { address: w.addresses.a, port: 4500 },
      remote: elsewhere,
      octets: answer,
    });
    expect(view(early, 'a')[1]).toBe('198.51.100.1:4500');
  });

  it('a NAT that forgot its mapping costs no tunnel', () => {
    const w = behindNat();
    w.nat = { a: masquerade(OUTSIDE_A, 30_000) };
    w.runFor(100_000);
    expect(at(w)).toBe('203.0.113.7:34500');
    w.do('b', { type: 'rekey', connection: 'lab/net', what: 'child' });
    w.runFor(10_000);
    expect(disagreements(w)).toEqual([]);
  });
});
