import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, seededRandom } from '../../../src/core/index.ts';
import { buildIcmpError, buildTcp, mssOption, TCP_FLAG } from '../../../src/ip/index.ts';
import { addr } from '../../support/packets.ts';
import {
  A,
  acknowledgmentOf,
  B,
  dataOf,
  emitted,
  flagsOf,
  HandPeer,
  newHost,
  Pair,
  sequenceOf,
  text,
  told,
  words,
} from './support.ts';

const { syn, ack, rst, fin, psh } = TCP_FLAG;
const state = (peer: HandPeer) => peer.host.state(peer.id) ?? 'gone';

describe('RFC 9293 §3.3.2: states', () => {
  it('§3.5, figure 6: the three-way handshake, either side', () => {
    const peer = new HandPeer().establish();
    expect(state(peer)).toBe('established');
    expect(peer.told).toEqual(['connected 1']);
    const host = newHost();
    host.listen(179);
    const ends = { source: B, destination: A, sourcePort: 4000, destinationPort: 179 };
    const [answer] = emitted(host.packet(buildTcp({ ...ends, sequence: 9 }), 0));
    expect(host.state(1)).toBe('synReceived');
    const acknowledgment = sequenceOf(answer!) + 1;
    const third = host.packet(buildTcp({ ...ends, sequence: 10, acknowledgment, flags: ack }), 1);
    expect([host.state(1), told(third)]).toEqual(['established', ['connected 1']]);
  });

  it('§3.5, figure 7: both dial at once', () => {
    const pair = new Pair(1);
    const dial = (side: 0 | 1, from: number, to: number) => {
      const [local, remote] = side === 0 ? [A, B] : [B, A];
      const { host } = pair.ends[side];
      const dialled = host.connect({ address: local, port: from }, { address: remote, port: to }, {}, 0);
      if ('refused' in dialled) throw new Error(dialled.refused);
      pair.ends[side].id = dialled.id;
      return dialled.actions;
    };
    const [first, second] = [dial(0, 5000, 6000), dial(1, 6000, 5000)];
    pair.perform(0, first);
    pair.perform(1, second);
    pair.run(5000);
    for (const { told, host } of pair.ends) {
      expect(told.slice(0, 1)).toEqual(['connected 1']);
      expect(host.counters.resets).toBe(0);
    }
  });

  it('§3.10.4: closed in SYN-RECEIVED, it has the sizes of its peer, and says what waits and that it ends once the SYN is acknowledged', () => {
    const peer = new HandPeer();
    const dialled = peer.host.connect({ address: A, port: 4000 }, { address: B, port: 179 }, {}, peer.now);
    const [dial] = peer.take('refused' in dialled ? [] : dialled.actions);
    [peer.id, peer.port, peer.acknowledgment] = [1, 4000, (sequenceOf(dial!) + 1) >>> 0];
    const options = concat(mssOption(200), Uint8Array.of(3, 3, 4, 0));
    expect(peer.says(syn, { acknowledgment: 0, options }).map(flagsOf)).toEqual(['SYN ACK']);
    peer.sequence = (peer.sequence + 1) >>> 0;
    expect(peer.send(text(500, 1))).toEqual([]);
    expect(peer.take(peer.host.close(peer.id, peer.now))).toEqual([]);
    expect(state(peer)).toBe('finWait1');
    const packets = peer.says(ack, { window: 100 });
    expect(packets.map((packet) => dataOf(packet).length)).toEqual([200, 200, 100]);
    expect(flagsOf(packets.at(-1))).toBe('FIN PSH ACK');
    peer.acknowledgment = (peer.acknowledgment + 501) >>> 0;
    peer.says(fin | ack);
    expect([state(peer), peer.told]).toEqual(['timeWait', ['ended 1', 'closed 1 finished']]);
  });

  it('§3.6, figure 12: a close from here', () => {
    const peer = new HandPeer().establish();
    expect(peer.take(peer.host.close(peer.id, peer.now)).map(flagsOf)).toEqual(['FIN ACK']);
    expect(state(peer)).toBe('finWait1');
    peer.acknowledgment += 1;
    expect(peer.says(ack)).toEqual([]);
    expect(state(peer)).toBe('finWait2');
    expect(peer.says(ack, {}, text(10, 1)).map(flagsOf)).toEqual([]);
    peer.sequence += 10;
    expect(peer.says(fin | ack).map(flagsOf)).toEqual(['ACK']);
    expect(state(peer)).toBe('timeWait');
    expect(peer.told).toEqual(['connected 1', 'received 1', 'ended 1', 'closed 1 finished']);
    expect(peer.host.read(peer.id).octets).toEqual(text(10, 1));
    // §3.10.7.4, eighth step: a FIN that comes again begins the wait again; RFC 1337: a RST does not end it.
    peer.wait(59_000);
    expect(peer.says(fin | ack).map(flagsOf)).toEqual(['ACK']);
    peer.sequence += 1;
    expect(peer.says(rst)).toEqual([]);
    peer.wait(59_999);
    expect(state(peer)).toBe('timeWait');
    expect(peer.wait(1)).toEqual([]);
    expect([state(peer), peer.host.deadline()]).toEqual(['gone', undefined]);
  });

  it('§3.6: a close from there, answered later', () => {
    const peer = new HandPeer().establish();
    expect(peer.says(fin | ack, {}, text(3, 1)).map(flagsOf)).toEqual(['ACK']);
    expect([state(peer), peer.told.slice(1)]).toEqual(['closeWait', ['received 1', 'ended 1']]);
    peer.sequence += 4;
    const [data] = peer.send(text(5, 2));
    expect(words(data!)).toMatch(/^PSH ACK .* len 5$/);
    expect(peer.take(peer.host.close(peer.id, peer.now)).map(flagsOf)).toEqual(['FIN ACK']);
    expect(state(peer)).toBe('lastAck');
    peer.acknowledgment += 6;
    peer.says(ack);
    expect([state(peer), peer.told.at(-1)]).toEqual(['gone', 'closed 1 finished']);
  });

  it('§3.6, figure 13: both close at once', () => {
    const peer = new HandPeer().establish();
    peer.take(peer.host.close(peer.id, peer.now));
    expect(peer.says(fin | ack).map(flagsOf)).toEqual(['ACK']);
    expect(state(peer)).toBe('closing');
    peer.sequence += 1;
    peer.acknowledgment += 1;
    peer.says(ack);
    expect(state(peer)).toBe('timeWait');
  });

  it('a peer that never closes is reset after a while', () => {
    const peer = new HandPeer().establish();
    peer.take(peer.host.close(peer.id, peer.now));
    peer.acknowledgment += 1;
    peer.says(ack);
    expect(peer.wait(60_000).map(flagsOf)).toEqual(['RST ACK']);
    expect(peer.told.at(-1)).toBe('closed 1 timeout');
  });

  it('text of a peer that never closes does not put that off', () => {
    const peer = new HandPeer().establish();
    peer.take(peer.host.close(peer.id, peer.now));
    peer.acknowledgment += 1;
    peer.says(ack);
    for (let second = 0; second < 59; second++) {
      peer.wait(1000);
      peer.says(ack, {}, text(1, second));
      peer.sequence = (peer.sequence + 1) >>> 0;
    }
    expect(state(peer)).toBe('finWait2');
    expect(peer.wait(1000).map(flagsOf).at(-1)).toBe('RST ACK');
    expect(peer.told.at(-1)).toBe('closed 1 timeout');
  });

  it('§3.6.1, SHLD-3: after `leave` text is dropped for a while, so that the peer reads the last words, and then reset', () => {
    const peer = new HandPeer().establish();
    peer.send(text(21, 1));
    expect(peer.take(peer.host.leave(peer.id, peer.now)).map(flagsOf)).toEqual(['FIN ACK']);
    peer.acknowledgment += 22;
    expect(peer.says(ack)).toEqual([]);
    expect(peer.wait(4900)).toEqual([]);
    expect(peer.says(ack, {}, text(10, 1))).toEqual([]);
    peer.sequence = (peer.sequence + 10) >>> 0;
    expect(peer.wait(100).map(flagsOf)).toEqual(['ACK']);
    // What came before comes again: that is no news.
    const again = (peer.sequence - 10) >>> 0;
    expect(peer.says(ack, { sequence: again }, text(10, 1)).map(flagsOf)).toEqual(['ACK']);
    expect(state(peer)).toBe('finWait2');
    const [answer] = peer.says(ack, {}, text(10, 1));
    expect([flagsOf(answer), sequenceOf(answer!)]).toEqual(['RST ACK', peer.acknowledgment]);
    expect([state(peer), peer.told.at(-1)]).toEqual(['gone', 'closed 1 aborted']);
  });

  it('§3.10.5: an abort resets', () => {
    const peer = new HandPeer().establish();
    const [packet] = peer.take(peer.host.abort(peer.id));
    expect(flagsOf(packet)).toBe('RST ACK');
    expect(sequenceOf(packet!)).toBe(peer.acknowledgment);
    expect([state(peer), peer.told.at(-1)]).toEqual(['gone', 'closed 1 aborted']);
  });

  it('§3.10.7.3: who is refused is told', () => {
    const peer = new HandPeer();
    const host = newHost();
    const dialled = peer.host.connect({ address: A, port: 4000 }, { address: B, port: 179 }, {}, 0);
    const [dial] = peer.take('refused' in dialled ? [] : dialled.actions);
    for (const answer of emitted(host.packet(dial!, 0))) peer.take(peer.host.packet(answer, 0));
    expect([peer.told, peer.host.size]).toEqual([['closed 1 refused'], 0]);
  });

  it('nothing is told of a connection after `closed`', () => {
    const peer = new HandPeer().establish({ sendBuffer: 1000 });
    peer.send(text(2000, 1));
    peer.says(rst | ack);
    expect(peer.told).toEqual(['connected 1', 'closed 1 reset']);
    expect(peer.host.send(1, text(1, 1), peer.now)).toEqual({ accepted: 0, actions: [] });
  });

  it('RFC 1122 §4.2.2.13: a SYN beyond the last connection follows it out of TIME-WAIT, an older one does not', () => {
    const host = newHost();
    host.listen(179);
    const ends = { source: B, destination: A, sourcePort: 4000, destinationPort: 179 };
    const [answer] = emitted(host.packet(buildTcp({ ...ends, sequence: 99 }), 0));
    const acknowledgment = sequenceOf(answer!) + 1;
    host.packet(buildTcp({ ...ends, sequence: 100, acknowledgment, flags: ack }), 1);
    host.close(1, 2);
    host.packet(buildTcp({ ...ends, sequence: 100, acknowledgment: acknowledgment + 1, flags: fin | ack }), 3);
    expect(host.state(1)).toBe('timeWait');
    expect(emitted(host.packet(buildTcp({ ...ends, sequence: 50 }), 4)).map(flagsOf)).toEqual(['ACK']);
    expect(emitted(host.packet(buildTcp({ ...ends, sequence: 5000 }), 4)).map(flagsOf)).toEqual(['SYN ACK']);
    expect([host.state(1), host.state(2)]).toEqual([undefined, 'synReceived']);
  });

  it('a full table takes the oldest in TIME-WAIT, and nothing else', () => {
    const host = newHost(1, { limits: { connections: 2 } });
    const dial = (port: number) => host.connect({ address: A, port }, { address: B, port: 179 }, {}, 0);
    dial(1);
    dial(2);
    expect(dial(3)).toEqual({ refused: '2 connections are there already' });
    expect(dial(2)).toEqual({ refused: 'there is a connection from port 2 to 10.1.0.2 already' });
  });

  it('of one peer there are eight at most: one that is closed or half open makes room, and other peers have theirs', () => {
    const host = newHost(1, { limits: { connections: 64, backlog: 64 } });
    host.listen(179);
    const ends = (source: string, port: number) => ({
      source: addr(source),
      destination: A,
      sourcePort: port,
      destinationPort: 179,
      window: 0,
    });
    const begin = (source: string, port: number) => emitted(host.packet(buildTcp({ ...ends(source, port) }), 0));
    const complete = (source: string, port: number) => {
      const answer = begin(source, port).at(-1);
      if (answer === undefined) return false;
      const acknowledgment = (sequenceOf(answer) + 1) >>> 0;
      host.packet(buildTcp({ ...ends(source, port), sequence: 1, acknowledgment, flags: ack }), 0);
      return true;
    };
    for (let port = 4000; port < 4008; port++) expect(complete('10.1.0.2', port)).toBe(true);
    expect(complete('10.1.0.2', 5000)).toBe(false);
    expect(host.counters.connectionsFull).toBe(1);
    const dialled = host.connect({ address: A, port: 0 }, { address: B, port: 179 }, {}, 0);
    expect(dialled).toEqual({ refused: '8 connections with 10.1.0.2 are there already' });
    // The third one's window is closed, so that its FIN stays here.
    host.close(3, 1);
    expect(host.state(3)).toBe('finWait1');
    expect(begin('10.1.0.2', 5000).map(flagsOf)).toEqual(['RST ACK', 'SYN ACK']);
    expect([host.state(3), host.size]).toEqual([undefined, 8]);
    expect(begin('10.1.0.2', 5001).map(flagsOf)).toEqual(['RST ACK', 'SYN ACK']);
    expect(host.size).toBe(8);
    expect(complete('10.1.0.3', 4000)).toBe(true);
  });
});

describe('RFC 5961: blind attacks', () => {
  it('§3.2: a RST counts only with the very next number; elsewhere in the window it is challenged, outside dropped', () => {
    const peer = new HandPeer().establish();
    expect(peer.says(rst, { sequence: (peer.sequence + 1000) >>> 0 }).map(flagsOf)).toEqual(['ACK']);
    expect(peer.says(rst, { sequence: (peer.sequence - 1) >>> 0 })).toEqual([]);
    expect(peer.says(rst, { sequence: (peer.sequence + 70_000) >>> 0 })).toEqual([]);
    expect(state(peer)).toBe('established');
    expect(peer.says(rst)).toEqual([]);
    expect([state(peer), peer.told.at(-1)]).toEqual(['gone', 'closed 1 reset']);
  });

  it('§4.2: a SYN is challenged, whatever its number', () => {
    const peer = new HandPeer().establish();
    for (const sequence of [peer.sequence, (peer.sequence + 5) >>> 0, 12_345_678]) {
      const [answer] = peer.says(syn, { sequence });
      expect(flagsOf(answer)).toBe('ACK');
      expect(acknowledgmentOf(answer!)).toBe(peer.sequence);
    }
    expect(state(peer)).toBe('established');
  });

  it('§5.2: an acknowledgment of what was never sent, or long ago, is challenged and its text not taken', () => {
    const peer = new HandPeer().establish();
    for (const acknowledgment of [peer.acknowledgment + 1, peer.acknowledgment - 30_000]) {
      expect(peer.says(ack, { acknowledgment: acknowledgment >>> 0 }, text(10, 1)).map(flagsOf)).toEqual(['ACK']);
    }
    expect(peer.told).toEqual(['connected 1']);
  });

  it('§7: ten challenges in five seconds', () => {
    const peer = new HandPeer().establish();
    const storm = () => Array.from({ length: 100 }, () => peer.says(syn)).flat().length;
    expect(storm()).toBe(10);
    peer.now += 5000;
    expect(storm()).toBe(10);
    expect(peer.host.counters.challengeAcksOverRate).toBe(180);
  });
});

describe('windows', () => {
  it('RFC 9293 §3.8.6.1: a closed window is probed at growing intervals, and the connection stays while probes are answered', () => {
    const peer = new HandPeer().establish({}, { window: 0 });
    expect(peer.send(text(3000, 1))).toEqual([]);
    const gaps: number[] = [];
    for (let last = peer.now, probes = 0; probes < 12; probes++) {
      const due = peer.host.deadline()!;
      expect(due.why).toBe('TCP 1 probes a closed window');
      const [probe] = peer.wait(due.at - peer.now);
      expect(dataOf(probe!)).toEqual(text(3000, 1).subarray(0, 1));
      gaps.push(Math.round((peer.now - last) / 100));
      last = peer.now;
      expect(peer.says(ack, { window: 0 })).toEqual([]);
    }
    expect(gaps.every((gap, i) => i === 0 || gap >= gaps[i - 1]!)).toBe(true);
    expect(gaps.at(-1)).toBe(600);
    const opened = peer.says(ack, { window: 2 * 536 });
    expect(concat(...opened.map(dataOf)).length).toBe(2 * 536);
    expect(state(peer)).toBe('established');
  });

  it('RFC 9293 §3.10.7.4: beside a probe, acknowledgments keep a number that a closed window accepts', () => {
    const peer = new HandPeer().establish({}, { window: 0 });
    peer.send(text(10, 1));
    expect(peer.wait(300).map((p) => dataOf(p).length)).toEqual([1]);
    peer.says(ack, { window: 0 }, text(10, 2));
    const [answer] = peer.wait(100);
    expect([sequenceOf(answer!), acknowledgmentOf(answer!)]).toEqual([peer.acknowledgment, (peer.sequence + 10) >>> 0]);
  });

  it('an acknowledgment from a peer that has used its whole window counts', () => {
    const peer = new HandPeer().establish({ receiveBuffer: 2000 });
    peer.send(text(100, 1));
    const acknowledgment = (peer.acknowledgment + 100) >>> 0;
    expect(peer.says(ack, { sequence: (peer.sequence + 2000) >>> 0, acknowledgment })).toEqual([]);
    expect(peer.host.queued(peer.id)).toBe(0);
    expect(peer.says(ack, { sequence: (peer.sequence + 2001) >>> 0, acknowledgment }).map(flagsOf)).toEqual(['ACK']);
  });

  it('RFC 1122 §4.2.2.17: without answers it ends', () => {
    const peer = new HandPeer().establish({ userTimeoutMs: 30_000 }, { window: 0 });
    peer.send(text(10, 1));
    expect(peer.wait(40_000).map(flagsOf).at(-1)).toBe('RST ACK');
    expect(peer.told.at(-1)).toBe('closed 1 timeout');
  });

  it('RFC 6429: after a close, answers to probes keep nothing; R2 counts from then', () => {
    const peer = new HandPeer().establish({}, { window: 0 });
    peer.send(text(3000, 1));
    const answered = (milliseconds: number) => {
      const flags: string[] = [];
      for (const end = peer.now + milliseconds; peer.now < end && state(peer) !== 'gone'; ) {
        const due = peer.host.deadline();
        flags.push(...peer.wait(Math.min(end, due?.at ?? end) - peer.now).map(flagsOf));
        if (state(peer) !== 'gone') peer.says(ack, { window: 0 });
      }
      return flags;
    };
    answered(3_600_000);
    expect(state(peer)).toBe('established');
    peer.take(peer.host.close(peer.id, peer.now));
    answered(99_000);
    expect(state(peer)).toBe('finWait1');
    expect(answered(1000)).toEqual(['RST ACK']);
    expect([state(peer), peer.told.at(-1)]).toEqual(['gone', 'closed 1 timeout']);
  });

  it('a peer that acknowledges an octet now and then holds a closed connection no longer', () => {
    const peer = new HandPeer().establish({}, { window: 1 });
    peer.send(text(3000, 1));
    peer.take(peer.host.close(peer.id, peer.now));
    for (let second = 0; second < 99; second++) {
      peer.wait(1000);
      peer.acknowledgment = (peer.acknowledgment + 1) >>> 0;
      peer.says(ack, { window: 1 });
    }
    expect(state(peer)).toBe('finWait1');
    peer.wait(1000);
    expect([state(peer), peer.told.at(-1)]).toEqual(['gone', 'closed 1 timeout']);
  });

  it('RFC 9293 §3.8.6.2.2: what is not read closes the window, reading opens it by a segment at least', () => {
    const peer = new HandPeer().establish({ receiveBuffer: 4000 });
    let window = 4000;
    while (window > 0) {
      const data = text(Math.min(1000, window), 1);
      const [answer] = [...peer.says(ack, {}, data), ...peer.wait(200)];
      peer.sequence = (peer.sequence + data.length) >>> 0;
      window = Number(words(answer!).match(/win (\d+)/)![1]);
    }
    expect(
      peer
        .says(ack | psh, {}, text(1, 1))
        .map(words)
        .join(),
    ).toMatch(/^ACK .* win 0 len 0$/);
    const one = peer.host.read(peer.id, 100);
    expect([one.octets.length, one.actions]).toEqual([100, []]);
    const more = peer.host.read(peer.id, 2000);
    expect(emitted(more.actions).map(words).join()).toMatch(/win 2100 len 0$/);
  });

  it('§3.8.6.3: every second segment is acknowledged at once, a single one after a while, a gap at once', () => {
    const peer = new HandPeer().establish();
    expect(peer.says(ack, {}, text(10, 1))).toEqual([]);
    expect(peer.wait(100).map(flagsOf)).toEqual(['ACK']);
    peer.sequence = (peer.sequence + 10) >>> 0;
    expect(peer.says(ack, {}, text(10, 1))).toEqual([]);
    peer.sequence = (peer.sequence + 10) >>> 0;
    expect(peer.says(ack, {}, text(10, 1)).map(flagsOf)).toEqual(['ACK']);
    peer.sequence = (peer.sequence + 10) >>> 0;
    const [gap] = peer.says(ack, { sequence: (peer.sequence + 10) >>> 0 }, text(10, 1));
    expect(acknowledgmentOf(gap!)).toBe(peer.sequence);
    const [filled] = peer.says(ack, {}, text(10, 1));
    expect(acknowledgmentOf(filled!)).toBe((peer.sequence + 20) >>> 0);
  });

  it('a buffer that refused says when it takes more', () => {
    const peer = new HandPeer().establish({ sendBuffer: 1000 });
    const { accepted, actions } = peer.host.send(peer.id, text(1500, 1), peer.now);
    expect([accepted, emitted(actions).length, peer.host.queued(peer.id)]).toEqual([1000, 2, 1000]);
    peer.acknowledgment = (peer.acknowledgment + 1000) >>> 0;
    peer.says(ack);
    expect(peer.told).toEqual(['connected 1', 'writable 1']);
  });
});

describe('losses', () => {
  it('RFC 6298 §5: the timeout doubles, and after R2 the connection is given up', () => {
    const peer = new HandPeer().establish();
    peer.now += 5;
    peer.send(text(100, 1));
    const times: number[] = [];
    for (let due = peer.host.deadline(); due?.why === 'TCP 1 retransmits'; due = peer.host.deadline()) {
      times.push(due.at - peer.now);
      peer.wait(due.at - peer.now);
    }
    expect(times.map((t) => Math.round(t / times[0]!))).toEqual(times.map((_, i) => 2 ** i));
    expect(peer.wait(200_000).map(flagsOf)).toEqual(['RST ACK']);
    expect(peer.told.at(-1)).toBe('closed 1 timeout');
  });

  it('RFC 1122 §4.2.3.5: a dial ends at its own limit', () => {
    const peer = new HandPeer();
    const dialled = peer.host.connect(
      { address: A, port: 0 },
      { address: B, port: 179 },
      { connectTimeoutMs: 5000 },
      peer.now,
    );
    peer.take('refused' in dialled ? [] : dialled.actions);
    const start = peer.now;
    expect(peer.wait(10_000).map(flagsOf)).toEqual(['SYN', 'SYN']);
    expect(peer.told).toEqual(['closed 1 timeout']);
    expect(start).toBe(1000);
  });

  it('RFC 5681 §3.2: the third duplicate sends the first segment again, a partial acknowledgment (RFC 6582) the next lost one', () => {
    const peer = new HandPeer().establish({ sendBuffer: 100_000 }, { options: mssOption(1000), window: 60_000 });
    const flying = peer.send(text(50_000, 1));
    for (let arrived = 0; arrived < 8; arrived++) {
      peer.acknowledgment = (sequenceOf(flying.shift()!) + 1000) >>> 0;
      flying.push(...peer.says(ack, { window: 60_000 }));
    }
    const from = peer.acknowledgment;
    expect(peer.says(ack, { window: 60_000 }).map(flagsOf).length).toBeLessThanOrEqual(1);
    peer.says(ack, { window: 60_000 });
    const third = peer.says(ack, { window: 60_000 });
    expect(sequenceOf(third[0]!)).toBe(from);
    const partial = peer.says(ack, { acknowledgment: (from + 2000) >>> 0, window: 60_000 });
    expect(sequenceOf(partial[0]!)).toBe((from + 2000) >>> 0);
    expect(peer.host.counters.retransmissions).toBe(2);
  });

  it('RFC 1122 §4.2.3.6: keepalives ask an idle peer, and end a dead one', () => {
    const peer = new HandPeer().establish({ keepalive: { idleMs: 10_000, intervalMs: 1000, probes: 3 } });
    const [probe] = peer.wait(10_000);
    expect(words(probe!)).toMatch(/^ACK .* len 0$/);
    expect(sequenceOf(probe!)).toBe((peer.acknowledgment - 1) >>> 0);
    peer.says(ack);
    expect(peer.wait(9_999)).toEqual([]);
    expect(peer.wait(3001).map(flagsOf)).toEqual(['ACK', 'ACK', 'ACK', 'RST ACK']);
    expect(peer.told.at(-1)).toBe('closed 1 timeout');
  });
});

describe('RFC 1191, RFC 8201, RFC 5927: ICMP', () => {
  it('§6.5: "too big" about what is in flight sends it again in smaller pieces, about anything else does nothing', () => {
    const peer = new HandPeer().establish({}, { options: mssOption(1460) });
    const [packet] = peer.send(text(1460, 1));
    expect(packet!.length).toBe(1500);
    const tooBig = (about: Uint8Array, mtu: number) =>
      peer.take(
        peer.host.packet(buildIcmpError('packetTooBig', addr('10.9.9.9'), about, 0, about.length, mtu), peer.now),
      );
    const lie = packet!.slice();
    lie[24]! ^= 0x80;
    expect(tooBig(lie, 600)).toEqual([]);
    expect(peer.host.counters.icmpIgnored).toBe(1);
    expect(tooBig(packet!, 1300).map((p) => p.length)).toEqual([1300, 240]);
    // Below what IPv4 can be trusted with: packets stay of a fair size, and may be cut.
    const small = tooBig(packet!, 68);
    expect(small.map((p) => p.length)).toEqual([552, 552, 476]);
    expect(small[0]![6]! & 0x40).toBe(0);
  });

  it('RFC 1122 §4.2.3.9: a hard error ends a dial, not a connection', () => {
    const dialling = new HandPeer();
    const dialled = dialling.host.connect({ address: A, port: 0 }, { address: B, port: 179 }, {}, 0);
    const [dial] = dialling.take('refused' in dialled ? [] : dialled.actions);
    const error = (about: Uint8Array) => buildIcmpError('portUnreachable', B, about, 0, about.length);
    dialling.take(dialling.host.packet(error(dial!), 1));
    expect(dialling.told).toEqual(['closed 1 unreachable']);
    const peer = new HandPeer().establish();
    const [data] = peer.send(text(10, 1));
    peer.take(peer.host.packet(error(data!), peer.now));
    expect(state(peer)).toBe('established');
  });
});

describe('bounds', () => {
  it('idle connections of a thousand tenants with two peers each hold next to nothing', () => {
    const peer = new HandPeer().establish();
    peer.says(ack, {}, text(19, 1));
    peer.send(text(19, 1));
    expect(peer.host.memory).toBeLessThanOrEqual(1024);
  });

  it('stretches out of order are counted', () => {
    const peer = new HandPeer({ limits: { pieces: 4 } }).establish();
    for (let i = 1; i <= 10; i++) peer.says(ack, { sequence: (peer.sequence + i * 100) >>> 0 }, text(10, i));
    expect(peer.host.counters.piecesRefused).toBe(6);
  });

  it('whatever octets come, nothing throws and nothing grows', () => {
    const host = newHost(1, { limits: { connections: 8, backlog: 3 } });
    host.listen(179);
    const random = seededRandom(5);
    const flags = fc.integer({ min: 0, max: 0x3f });
    const near = fc.oneof(fc.integer({ min: 0, max: 200_000 }), fc.integer({ min: 0, max: 0xffff_ffff }));
    const segment = fc.record({
      sequence: near,
      acknowledgment: near,
      flags,
      window: fc.integer({ min: 0, max: 0xffff }),
      sourcePort: fc.integer({ min: 1, max: 4 }),
      options: fc.uint8Array({ maxLength: 40 }),
      size: fc.integer({ min: 0, max: 2000 }),
    });
    let now = 0;
    const settle = () => {
      now += 1000;
      host.tick(now);
      expect(host.size).toBeLessThanOrEqual(8);
      expect(host.memory).toBeLessThanOrEqual(8 * 2 * 65_536);
    };
    fc.assert(
      fc.property(segment, ({ size, ...fields }) => {
        host.packet(buildTcp({ ...fields, source: B, destination: A, destinationPort: 179 }, random(size)), now);
        settle();
      }),
      { numRuns: 2000, seed: 1 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (octets) => {
        host.packet(octets, now);
        settle();
      }),
      { numRuns: 2000, seed: 2 },
    );
  });

  it('whatever comes in a connection, nothing throws, and the text is never more than the window', () => {
    const offset = fc.integer({ min: -3000, max: 70_000 });
    const event = fc.record({
      at: offset,
      ack: offset,
      flags: fc.integer({ min: 0, max: 0x3f }),
      size: fc.integer({ min: 0, max: 3000 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const peer = new HandPeer().establish();
        peer.send(text(20_000, 1));
        for (const { at, ack: acked, flags, size } of events) {
          const sequence = (peer.sequence + at) >>> 0;
          peer.says(flags, { sequence, acknowledgment: (peer.acknowledgment + acked) >>> 0 }, new Uint8Array(size));
          peer.wait(300);
          expect(peer.host.memory).toBeLessThanOrEqual(2 * 65_536);
        }
        peer.wait(10_000_000);
        expect(peer.host.deadline()).toBeUndefined();
      }),
      { numRuns: 200, seed: 3 },
    );
  });
});
