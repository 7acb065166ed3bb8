import { describe, expect, it } from 'vitest';
import { Secret, toHex } from '../../src/core/index.ts';
import { decodeHeader, findNotify, findPayload } from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { connection, disagreements, IkePair, identity, proposals, selectors } from '../support/ike-pair.ts';
import { EXCHANGE, NOTIFY, PAYLOAD, payloadsOf, talk } from '../support/ike-wire.ts';

const FOUR = [
  'a> IKE_SA_INIT 0: SA KE NONCE',
  '<b IKE_SA_INIT 0: SA KE NONCE',
  'a> IKE_AUTH 1: IDI INITIAL_CONTACT IDR AUTH SA TSI TSR',
  '<b IKE_AUTH 1: IDR AUTH SA TSI TSR',
];

describe('RFC 7296 §1.2: IKE_SA_INIT and IKE_AUTH', () => {
  it('make one IKE SA and one Child SA in four messages, IPv4', () => {
    const w = new IkePair(1).configure().acquire().runFor(1000);
    expect(talk(w)).toEqual(FOUR);
    expect(disagreements(w)).toEqual([]);
    expect([...w.a.ike.sas].map((sa) => [sa.phase, sa.initiator])).toEqual([['established', true]]);
    expect([...w.b.ike.sas].map((sa) => [sa.phase, sa.initiator])).toEqual([['established', false]]);
    expect([w.a.esp.size, w.b.esp.size]).toEqual([1, 1]);
    expect(w.b.ike.halfOpen).toBe(0);
    expect(w.a.reports.filter((r) => r.level !== 'debug').map((r) => r.what)).toEqual([
      'connecting',
      'ike-up',
      'child-up',
    ]);
    expect(w.b.reports.filter((r) => r.level !== 'debug').map((r) => r.what)).toEqual(['ike-up', 'child-up']);
  });

  it('and over IPv6', () => {
    const [a, b] = [parseAddress('2001:db8:a::1')!, parseAddress('2001:db8:b::1')!];
    const w = new IkePair(2);
    w.configure({ localAddress: a, remoteAddress: b }, { localAddress: b, remoteAddress: a }).acquire().runFor(1000);
    expect(talk(w)).toEqual(FOUR);
    expect(disagreements(w)).toEqual([]);
  });

  it('the peer may come from any address where no remote address is configured', () => {
    const w = new IkePair(1).configure({}, { remoteAddress: undefined }).acquire().runFor(1000);
    expect([w.a.esp.size, w.b.esp.size]).toEqual([1, 1]);
  });

  it.each([
    'aes128-sha256-modp2048',
    'aes128ctr-sha384-ecp256',
    'aes256ccm16-aesxcbc-ecp384',
    'chacha20poly1305-prfaescmac-x448',
  ])('every kind of suite: %s', (words) => {
    const ikeProposals = proposals('ike', words.includes('ccm') ? 'aes256ccm16-prfaesxcbc-ecp384' : words);
    const w = new IkePair(3).configure({ ikeProposals }, { ikeProposals }).acquire().runFor(1000);
    expect(disagreements(w)).toEqual([]);
    expect(w.a.esp.size).toBe(1);
  });

  it('the packet that asks for the tunnel is the first traffic selector of each side (§2.9)', () => {
    const w = new IkePair(1).configure();
    const packet = {
      source: parseAddress('10.1.0.7')!,
      destination: parseAddress('10.2.0.9')!,
      protocol: 6,
      sourcePort: 1234,
      destinationPort: 80,
    };
    w.do('a', { type: 'acquire', connection: 'lab/net', packet });
    w.runFor(1000);
    const request = payloadsOf(w, w.sent[2]!.octets);
    expect(findPayload(request, PAYLOAD.TSI)!.selectors).toEqual([
      { protocol: 6, startPort: 1234, endPort: 1234, start: packet.source, end: packet.source },
      ...selectors('10.1.0.0/24'),
    ]);
    expect(w.a.esp.size).toBe(1);
  });

  it('a packet outside the selectors opens nothing and is told so at once', () => {
    const w = new IkePair(1).configure();
    const packet = {
      source: parseAddress('10.9.0.7')!,
      destination: parseAddress('10.2.0.9')!,
      protocol: 1,
      sourcePort: 0,
      destinationPort: 0,
    };
    w.do('a', { type: 'acquire', connection: 'lab/net', packet });
    expect([w.a.unreachable, w.sent]).toEqual([['policy'], []]);
  });
});

describe('RFC 7296 §2.6: cookies', () => {
  it('a responder under half-open load asks for one; the initiator repeats SPI, nonce and KE with COOKIE in front', () => {
    const w = new IkePair(1, undefined, {}, { cookieThreshold: 0 }).configure().acquire().runFor(1000);
    expect(talk(w)).toEqual([
      FOUR[0],
      '<b IKE_SA_INIT 0: COOKIE',
      'a> IKE_SA_INIT 0: COOKIE SA KE NONCE',
      ...FOUR.slice(1),
    ]);
    const [first, , second] = w.sent.map(({ octets }) => payloadsOf(w, octets));
    expect(second!.slice(1)).toEqual(first);
    expect(toHex(w.sent[2]!.octets.subarray(0, 16))).toBe(toHex(w.sent[0]!.octets.subarray(0, 16)));
    expect(toHex(w.sent[1]!.octets.subarray(8, 16))).toBe('0000000000000000');
    expect(findNotify(second!, NOTIFY.COOKIE)!.data).toEqual(
      findNotify(payloadsOf(w, w.sent[1]!.octets), NOTIFY.COOKIE)!.data,
    );
    expect(w.a.esp.size).toBe(1);
  });

  it('nothing is kept for a request without a cookie, or with a wrong one', () => {
    const w = new IkePair(1, undefined, {}, { cookieThreshold: 0 }).configure();
    let count = 0;
    w.tamper = (from, octets) => {
      if (from === 'a') return [octets];
      const damaged = octets.slice();
      count += 1;
      damaged[damaged.length - 1]! ^= count;
      return [damaged];
    };
    w.acquire().runFor(100);
    expect(w.b.ike.sas.size).toBe(0);
    expect(w.b.ike.counters.get('init-cookie')).toBe(7);
    // The restart limit: somebody answers for the peer.
    expect(w.a.failures).toEqual(['policy']);
    expect(w.a.ike.sas.size).toBe(0);
  });

  it('a cookie of another length than 1 to 64 octets, and a cookie that was sent already, are ignored', () => {
    const w = new IkePair(1, { loss: 0, duplicate: 1, delay: [5, 5] }, {}, { cookieThreshold: 0 });
    w.configure().acquire().runFor(1000);
    expect([w.a.esp.size, w.b.esp.size, w.b.ike.sas.size]).toEqual([1, 1, 1]);
    expect(w.a.ike.counters.get('ignored')).toBeGreaterThan(0);
    expect(talk(w).filter((line) => line.startsWith('a> IKE_SA_INIT'))).toHaveLength(2);
  });

  it('at the limit of half-open SAs nothing new is begun, with or without cookie', () => {
    const w = new IkePair(1, undefined, {}, { maxHalfOpen: 0 }).configure().acquire().runFor(500);
    expect([w.b.ike.sas.size, w.b.ike.counters.get('init-overload'), w.sent.length]).toEqual([0, 1, 1]);
  });

  it('a half-open SA goes after 30 s', () => {
    const w = new IkePair(1).configure();
    w.tamper = (from, octets) => (from === 'b' ? [] : [octets]);
    w.acquire().runFor(29_000);
    expect([w.b.ike.sas.size, w.b.ike.halfOpen]).toEqual([1, 1]);
    w.a.ike.handle({ type: 'terminate', connection: 'lab/net', what: 'ike' }, w.now);
    w.runFor(2_000);
    expect([w.b.ike.sas.size, w.b.ike.halfOpen, w.b.ike.deadline()]).toEqual([0, 0, undefined]);
  });
});

describe('RFC 7296 §1.2, §2.7: INVALID_KE_PAYLOAD', () => {
  const two = { ikeProposals: proposals('ike', 'aes256gcm16-prfsha256-x25519-ecp256') };
  const one = { ikeProposals: proposals('ike', 'aes256gcm16-prfsha256-ecp256') };

  it('the initiator repeats SPI, nonce and proposals with a value of the demanded group', () => {
    const w = new IkePair(1).configure(two, one).acquire().runFor(1000);
    expect(talk(w)).toEqual([FOUR[0], '<b IKE_SA_INIT 0: INVALID_KE_PAYLOAD', ...FOUR]);
    const [first, error, second] = w.sent.map(({ octets }) => payloadsOf(w, octets));
    expect(findNotify(error!, NOTIFY.INVALID_KE_PAYLOAD)!.data).toEqual(Uint8Array.of(0, 19));
    expect([findPayload(first!, PAYLOAD.KE)!.group, findPayload(second!, PAYLOAD.KE)!.group]).toEqual([31, 19]);
    for (const type of [PAYLOAD.SA, PAYLOAD.NONCE] as const) {
      expect(findPayload(second!, type)).toEqual(findPayload(first!, type));
    }
    expect(disagreements(w)).toEqual([]);
  });

  it('§2.6.1: together with a cookie, which is kept for the second retry', () => {
    const w = new IkePair(1, undefined, {}, { cookieThreshold: 0 }).configure(two, one).acquire().runFor(1000);
    expect(talk(w).slice(0, 5)).toEqual([
      FOUR[0],
      '<b IKE_SA_INIT 0: COOKIE',
      'a> IKE_SA_INIT 0: COOKIE SA KE NONCE',
      '<b IKE_SA_INIT 0: INVALID_KE_PAYLOAD',
      'a> IKE_SA_INIT 0: COOKIE SA KE NONCE',
    ]);
    expect(talk(w).slice(5)).toEqual(FOUR.slice(1));
    expect(disagreements(w)).toEqual([]);
  });

  it('a demand that was met already, come late, is ignored', () => {
    const w = new IkePair(1, { loss: 0, duplicate: 1, delay: [5, 40] }).configure(two, one).acquire().runFor(1000);
    expect(w.a.failures).toEqual([]);
    expect(disagreements(w)).toEqual([]);
  });

  it('a demand for a group that is not offered ends the attempt, in words', () => {
    const w = new IkePair(1).configure(two, one);
    w.tamper = (from, octets) => {
      if (from === 'a') return [octets];
      const changed = octets.slice();
      changed[changed.length - 1] = 14;
      return [changed];
    };
    w.acquire().runFor(1000);
    expect(w.a.failures).toEqual(['invalid-ke']);
    expect(w.a.reports.at(-1)!.failure).toMatchObject({
      problem: 'the peer demands the key exchange group modp2048, which this connection does not allow',
      advice: 'add modp2048 to the proposals, or have the other end accept one of: curve25519, ecp256',
    });
  });
});

describe('RFC 7296 §2.7: no proposal', () => {
  const a = { ikeProposals: proposals('ike', 'aes128-sha256-modp2048') };
  const b = { ikeProposals: proposals('ike', 'aes256-sha256-modp2048') };

  it('both ends say why; the responder compares', () => {
    const w = new IkePair(1).configure(a, b).acquire().runFor(1000);
    expect(talk(w)).toEqual([FOUR[0], '<b IKE_SA_INIT 0: NO_PROPOSAL_CHOSEN']);
    expect([w.a.failures, w.b.failures]).toEqual([['no-proposal'], ['no-proposal']]);
    expect(w.a.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'we offered: aes128-sha256-modp2048',
    ]);
    expect(w.b.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'theirs 1: aes128-sha256-modp2048',
      '  nearest of ours: aes256-sha256-modp2048',
      '  encryption differs: ours aes256, theirs aes128',
      '  to accept it, add: aes128-sha256-modp2048',
    ]);
    expect([w.a.ike.sas.size, w.b.ike.sas.size]).toEqual([0, 0]);
  });

  it('what an unauthenticated peer asks for does not hold our own attempts down', () => {
    const w = new IkePair(1)
      .configure(a, { ...b, start: 'demand' })
      .acquire()
      .runFor(100);
    expect(w.b.unreachable).toEqual([]);
    expect(w.b.ike.connections.get('lab/net')!.hold(w.now)).toBeUndefined();
  });

  it('of ESP leaves the IKE SA up (§2.21.2), at both ends', () => {
    const child = { ...connection('b').child, proposals: proposals('esp', 'aes128gcm16') };
    const w = new IkePair(1).configure({}, { child }).acquire().runFor(1000);
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: IDR AUTH NO_PROPOSAL_CHOSEN');
    expect([w.a.failures, w.b.failures, w.a.unreachable]).toEqual([['no-proposal'], ['no-proposal'], ['no-proposal']]);
    expect(disagreements(w)).toEqual([]);
    expect([w.a.ike.sas.size, w.a.esp.size, w.a.ike.spis.size]).toEqual([1, 0, 0]);
  });

  it('an IKE_SA_INIT between addresses of no connection is refused at a bounded rate', () => {
    const w = new IkePair(1)
      .configure({}, { remoteAddress: parseAddress('203.0.113.9')! })
      .acquire()
      .runFor(500);
    expect(talk(w)).toEqual([FOUR[0], '<b IKE_SA_INIT 0: NO_PROPOSAL_CHOSEN']);
    const { local, remote } = { local: w.sent[0]!.remote, remote: w.sent[0]!.local };
    for (let i = 0; i < 50; i++) w.do('b', { type: 'datagram', local, remote, octets: w.sent[0]!.octets });
    expect(w.b.ike.counters.get('no-connection')).toBe(51);
    expect(w.sent.length).toBe(2 + 9);
  });

  it('IKE_SA_INIT chooses among all connections of the addresses, but each keeps to its own proposals', () => {
    const w = new IkePair(1);
    const strong = connection('b', {
      name: 'lab/strong',
      ikeProposals: proposals('ike', 'aes256gcm16-prfsha256-x25519'),
    });
    const weak = connection('b', {
      name: 'lab/weak',
      remoteId: identity('c.lab'),
      ikeProposals: proposals('ike', 'aes128-sha256-modp2048'),
    });
    w.do('b', { type: 'configure', connections: [weak, strong] });
    w.do('a', { type: 'configure', connections: [connection('a', { ikeProposals: weak.ikeProposals })] });
    w.acquire().runFor(1000);
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: AUTHENTICATION_FAILED');
    expect(w.b.reports.filter((r) => r.failure !== undefined).map((r) => [r.connection, r.failure!.code])).toEqual([
      ['lab/strong', 'no-proposal'],
    ]);
  });
});

describe('RFC 7296 §2.15, §2.21.2: authentication', () => {
  const gone = (w: IkePair) =>
    expect([w.a.ike.sas.size, w.b.ike.sas.size, w.a.esp.size, w.b.esp.size]).toEqual([0, 0, 0, 0]);

  it('another pre-shared key: AUTHENTICATION_FAILED alone, no SA left on either side', () => {
    const w = new IkePair(1)
      .configure({ psk: Secret.fromText('another') })
      .acquire()
      .runFor(1000);
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: AUTHENTICATION_FAILED');
    expect([w.a.failures, w.b.failures]).toEqual([['authentication'], ['authentication']]);
    expect(w.a.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'our identity:   a.lab',
      'peer identity:  b.lab',
    ]);
    expect([w.a.ike.spis.size, w.b.ike.spis.size, w.b.ike.halfOpen]).toEqual([0, 0, 0]);
    gone(w);
  });

  it('an identity that the responder does not know', () => {
    const w = new IkePair(1)
      .configure({ localId: identity('c.lab') })
      .acquire()
      .runFor(1000);
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: AUTHENTICATION_FAILED');
    expect([w.a.failures, w.b.failures]).toEqual([['authentication'], ['identity']]);
    expect(w.b.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'the peer is c.lab and wants b.lab',
      'lab/net expects a.lab, is b.lab',
    ]);
    gone(w);
  });

  it('a responder with another identity than the one asked for refuses', () => {
    const w = new IkePair(1)
      .configure({}, { localId: identity('other.lab') })
      .acquire()
      .runFor(1000);
    expect([w.a.failures, w.b.failures]).toEqual([['authentication'], ['identity']]);
    gone(w);
  });

  it('the kept answer to a refused IKE_AUTH is repeated', () => {
    const w = new IkePair(1).configure({ psk: Secret.fromText('another') });
    w.loseOnce(({ from, octets }) => from === 'b' && decodeHeader(octets).exchange === EXCHANGE.IKE_AUTH);
    w.acquire().runFor(3000);
    expect(talk(w).filter((line) => line.startsWith('<b IKE_AUTH'))).toHaveLength(2);
    gone(w);
  });

  it('an initiator that does not believe the responder says so in an INFORMATIONAL, and both give the SA up', () => {
    const w = new IkePair(1).configure().acquire().run(14);
    // A remembers another IKE_SA_INIT response than B sent: their octets to sign differ.
    const [sa] = w.a.ike.sas;
    sa!.initial = { ...sa!.initial!, response: Uint8Array.of(1) };
    w.run(1000);
    expect(talk(w).slice(-2)).toEqual(['a> INFORMATIONAL 2: AUTHENTICATION_FAILED DELETE', '<b INFORMATIONAL 2:']);
    expect([w.a.failures, w.b.failures]).toEqual([['authentication'], ['authentication']]);
    gone(w);
  });
});

describe('RFC 7296 §2.9: traffic selectors', () => {
  it('the responder narrows, both install what it answers', () => {
    const wide = { ...connection('a').child, local: selectors('10.1.0.0/16'), remote: selectors('10.2.0.0/16') };
    const w = new IkePair(1).configure({ child: wide }).acquire().runFor(1000);
    expect(w.a.outbound).toMatchObject({ local: selectors('10.1.0.0/24'), remote: selectors('10.2.0.0/24') });
    expect(w.b.outbound).toMatchObject({ local: selectors('10.2.0.0/24'), remote: selectors('10.1.0.0/24') });
  });

  it('nothing in common: TS_UNACCEPTABLE, the IKE SA stays up (§2.21.2), both say what differs', () => {
    const child = { ...connection('b').child, remote: selectors('10.77.0.0/24') };
    const w = new IkePair(1).configure({}, { child }).acquire().runFor(1000);
    expect(talk(w).at(-1)).toBe('<b IKE_AUTH 1: IDR AUTH TS_UNACCEPTABLE');
    expect([w.a.failures, w.b.failures, w.a.unreachable]).toEqual([['selectors'], ['selectors'], ['selectors']]);
    expect(w.b.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'remote: offered 10.1.0.0/24, configured 10.77.0.0/24: nothing in common',
    ]);
    expect(w.a.ike.connections.get('lab/net')!.lastFailure!.failure.lines).toEqual([
      'we offered: 10.1.0.0/24 === 10.2.0.0/24',
    ]);
    expect(disagreements(w)).toEqual([]);
    expect([w.a.ike.sas.size, w.a.ike.spis.size]).toEqual([1, 0]);
  });
});
