import { describe, expect, it } from 'vitest';
import { fromHex, Secret, toHex } from '../../../src/core/index.ts';
import {
  buildTcp,
  fillTransportChecksum,
  findTcpOption,
  ipv4DontFragment,
  mssOption,
  TCP_FLAG,
  TCP_OPTION,
  transportChecksumHolds,
} from '../../../src/ip/index.ts';
import { readSegment, signatureHolds, writeSegment } from '../../../src/ip/tcp/segment.ts';
import { addr, expectPacket } from '../../support/packets.ts';
import { A, B, emitted, flagsOf, HandPeer, md5, newHost, sequenceOf, told, words } from './support.ts';

const from = { address: A, port: 50_000 };
const to = { address: B, port: 179 };
const KEY = Secret.fromText('router');

/** The packet without what differs from run to run: sequence number and checksum. */
function still(packet: Uint8Array): string {
  const copy = packet.slice();
  const at = packet[0]! >>> 4 === 4 ? 20 : 40;
  copy.fill(0, at + 4, at + 8);
  copy.fill(0, at + 16, at + 18);
  return toHex(copy);
}

const firstOf = (answer: ReturnType<ReturnType<typeof newHost>['connect']>): Uint8Array => {
  if ('refused' in answer) throw new Error(answer.refused);
  return emitted(answer.actions)[0]!;
};

describe('RFC 9293 §3.1, §3.7.1, RFC 7323 §2.2: segments, octet by octet', () => {
  it('a SYN over IPv4', () => {
    const syn = firstOf(newHost().connect(from, to, {}, 0));
    expect(still(syn)).toBe(
      '45000030000040004006' +
        toHex(syn.subarray(10, 12)) +
        '0a0100010a010002' +
        'c35000b3' +
        '00000000' +
        '00000000' +
        '7002ffff' +
        '00000000' +
        '020405b4' +
        '01030300',
    );
    expect(transportChecksumHolds(syn, 0, 20, syn.length, 6)).toBe(true);
    expect(ipv4DontFragment(syn, 0)).toBe(true);
  });

  it('a SYN over IPv6, with the MSS of a path of 1400 and a window of a megabyte', () => {
    const ends = [addr('2001:db8::1'), addr('2001:db8::2')] as const;
    const options = { mtu: 1400, receiveBuffer: 1 << 20, trafficClass: 0xc0, ttl: 7 };
    const syn = firstOf(
      newHost().connect({ address: ends[0], port: 50_000 }, { address: ends[1], port: 179 }, options, 0),
    );
    expect(still(syn)).toBe(
      '6c00000000' +
        '1c0607' +
        '20010db8000000000000000000000001' +
        '20010db8000000000000000000000002' +
        'c35000b3' +
        '00000000' +
        '00000000' +
        '7002ffff' +
        '00000000' +
        '0204053c' +
        '01030305',
    );
    expect(transportChecksumHolds(syn, 0, 40, syn.length, 6)).toBe(true);
  });

  it('the answer to a SYN says MSS and, only where it was offered, window scale', () => {
    for (const [offer, answered] of [
      ['020405b401030307', '020405b401030300'] as const,
      ['020405b4', '020405b4'] as const,
    ]) {
      const host = newHost();
      host.listen(179);
      const syn = buildTcp({
        source: B,
        destination: A,
        sourcePort: 4000,
        destinationPort: 179,
        sequence: 9,
        options: fromHex(offer),
      });
      const [answer] = emitted(host.packet(syn, 0));
      expect(words(answer!).replace(/seq \d+/, 'seq x')).toBe('SYN ACK seq x ack 10 win 65535 len 0');
      expect(toHex(answer!.subarray(40))).toBe(answered);
    }
  });

  it('a RST for a port nobody listens on, as the sender believes it', () => {
    const host = newHost();
    const ends = { source: B, destination: A, sourcePort: 4000, destinationPort: 81 };
    const [toSyn] = emitted(host.packet(buildTcp({ ...ends, sequence: 9, flags: TCP_FLAG.syn }), 0));
    expectPacket(toSyn, /10\.1\.0\.1 > 10\.1\.0\.2 TCP 81 > 4000/);
    expect(words(toSyn!)).toBe('RST ACK seq 0 ack 10 win 0 len 0');
    const [toAck] = emitted(
      host.packet(buildTcp({ ...ends, sequence: 9, acknowledgment: 77, flags: TCP_FLAG.ack }), 0),
    );
    expect(words(toAck!)).toBe('RST seq 77 ack 0 win 0 len 0');
    expect(emitted(host.packet(buildTcp({ ...ends, flags: TCP_FLAG.rst }), 0))).toEqual([]);
    expect(host.size).toBe(0);
  });

  it('at most so many RSTs a second', () => {
    const host = newHost(1, { limits: { resets: 3 } });
    const syn = buildTcp({ source: B, destination: A, sourcePort: 4000, destinationPort: 81 });
    const count = (now: number) => Array.from({ length: 10 }, () => emitted(host.packet(syn, now))).flat().length;
    expect([count(0), count(999), count(1000)]).toEqual([3, 0, 3]);
    expect(host.counters.resetsOverRate).toBe(24);
  });

  it('drops what has a wrong checksum', () => {
    const host = newHost();
    const syn = buildTcp({ source: B, destination: A, sourcePort: 4000, destinationPort: 81 });
    syn[37]! ^= 1;
    expect(host.packet(syn, 0)).toEqual([]);
    expect(host.counters.malformed).toBe(1);
  });
});

describe('RFC 6528 §3: initial sequence numbers', () => {
  const number = (seed: number, port: number, now: number) =>
    sequenceOf(firstOf(newHost(seed).connect({ address: A, port }, to, {}, now)));

  it('grow by one every four microseconds, and differ by endpoint and by secret', () => {
    expect((number(1, 50_000, 1000) - number(1, 50_000, 0)) >>> 0).toBe(250_000);
    expect(number(1, 50_000, 0)).not.toBe(number(1, 50_001, 0));
    expect(number(1, 50_000, 0)).not.toBe(number(2, 50_000, 0));
  });
});

describe('RFC 2385: signatures', () => {
  it('§2.0: the digest is over pseudo header, header without options, data and key', () => {
    const syn = firstOf(newHost().connect(from, to, { md5Key: KEY }, 0));
    const option = findTcpOption(syn, 20, syn.length, TCP_OPTION.md5Signature);
    expect(option).toBe(42);
    const header = syn.slice(20, 40).fill(0, 16, 18);
    const length = (syn.length - 20).toString(16).padStart(4, '0');
    const octets = Buffer.concat([fromHex(`0a0100010a0100020006${length}`), header, KEY.reveal()]);
    expect(toHex(syn.subarray(44, 60))).toBe(toHex(md5(octets)));
    expect(transportChecksumHolds(syn, 0, 20, syn.length, 6)).toBe(true);
  });

  it('§3.0: without a signature, or with a wrong one, nothing is answered and nothing changes', () => {
    const host = newHost();
    host.listen(179, { accept: () => ({ md5Key: KEY }) });
    const dial = (key: Secret | undefined) =>
      firstOf(newHost(9).connect({ address: B, port: 4000 }, { address: A, port: 179 }, key ? { md5Key: key } : {}, 0));
    expect(host.packet(dial(undefined), 0)).toEqual([]);
    expect(host.packet(dial(Secret.fromText('other')), 0)).toEqual([]);
    const spoilt = dial(KEY);
    spoilt[50]! ^= 0x10;
    fillTransportChecksum(spoilt, 0, 20, spoilt.length, 6);
    expect(host.packet(spoilt, 0)).toEqual([]);
    expect([host.counters.signature, host.size]).toEqual([3, 0]);
    expect(emitted(host.packet(dial(KEY), 0)).map(flagsOf)).toEqual(['SYN ACK']);
  });

  it('a signed segment is refused where no key is known, and also an unsigned RST where one is', () => {
    const host = newHost();
    host.listen(179);
    const signed = firstOf(
      newHost(9).connect({ address: B, port: 4000 }, { address: A, port: 179 }, { md5Key: KEY }, 0),
    );
    expect(host.packet(signed, 0)).toEqual([]);
    const dialled = host.connect(from, to, { md5Key: KEY }, 0);
    const acknowledgment = sequenceOf(firstOf(dialled)) + 1;
    const rst = buildTcp({
      source: B,
      destination: A,
      sourcePort: 179,
      destinationPort: 50_000,
      flags: TCP_FLAG.rst | TCP_FLAG.ack,
      acknowledgment,
    });
    expect(host.packet(rst, 1)).toEqual([]);
    expect(host.counters.signature).toBe(2);
  });

  it('§3.0: a RST is signed too, for a connection that is gone and whose secret is known; nobody else gets one', () => {
    const host = newHost(1, {
      dialled: ({ address, port }) => (address[3] === B[3] && port === 179 ? { md5Key: KEY } : undefined),
    });
    const late = (key: Secret | undefined, source = B, sourcePort = 179) => {
      const ends = { source, destination: A, sourcePort, destinationPort: 50_000 };
      const fields = { ...ends, sequence: 7, acknowledgment: 99, flags: TCP_FLAG.ack, window: 0, md5Key: key };
      return emitted(host.packet(writeSegment(fields, new Uint8Array(0), md5), 0));
    };
    const [rst] = late(KEY);
    expect(flagsOf(rst!)).toBe('RST');
    expect(sequenceOf(rst!)).toBe(99);
    expect(signatureHolds(readSegment(rst!)!, KEY, md5)).toBe(true);
    expect([late(undefined), late(Secret.fromText('other'))]).toEqual([[], []]);
    expect(host.counters).toMatchObject({ resets: 1, signature: 2 });
    // Of others there is no secret, as ever.
    for (const [unsigned] of [late(undefined, addr('10.1.0.77')), late(undefined, B, 4000)])
      expect(readSegment(unsigned!)!.signature).toBeUndefined();
    // A SYN begins nothing where nobody listens.
    const ends = { source: B, destination: A, sourcePort: 179, destinationPort: 50_000 };
    const syn = { ...ends, sequence: 7, acknowledgment: 0, flags: TCP_FLAG.syn, window: 0, md5Key: KEY };
    expect(emitted(host.packet(writeSegment(syn, new Uint8Array(0), md5), 0)).map(flagsOf)).toEqual(['RST ACK']);
    expect(host.size).toBe(0);
  });

  it('RFC 9293 §3.7.1: segments are so much smaller', () => {
    const peer = new HandPeer().establish({}, { options: mssOption(1000) });
    expect(peer.send(new Uint8Array(5000)).map((p) => p.length)).toEqual([1040, 1040, 1040, 1040]);
  });
});

describe('RFC 5082: GTSM', () => {
  it('sends 255 and drops what has come further', () => {
    const host = newHost();
    host.listen(179, { accept: () => ({ gtsmHops: 2 }) });
    const syn = (hopLimit: number) =>
      buildTcp({ source: B, destination: A, sourcePort: 4000, destinationPort: 179, hopLimit });
    expect(host.packet(syn(253), 0)).toEqual([]);
    expect([host.counters.hopLimit, host.size]).toEqual([1, 0]);
    const [answer] = emitted(host.packet(syn(254), 0));
    expect(answer![8]).toBe(255);
  });
});

describe('RFC 9293 §3.10.7.2: listeners', () => {
  it('refuse who is not accepted', () => {
    const host = newHost();
    host.listen(179, { accept: (remote) => (remote[3] === 9 ? {} : undefined) });
    const syn = (source: string) =>
      buildTcp({ source: addr(source), destination: A, sourcePort: 4000, destinationPort: 179 });
    expect(emitted(host.packet(syn('10.1.0.2'), 0)).map(flagsOf)).toEqual(['RST ACK']);
    expect(emitted(host.packet(syn('10.1.0.9'), 0)).map(flagsOf)).toEqual(['SYN ACK']);
  });

  it('keep a bounded number of half-open connections, and forget those that stay so', () => {
    const host = newHost(1, { limits: { backlog: 5 } });
    host.listen(179);
    const answers = Array.from({ length: 50 }, (_, i) =>
      host.packet(buildTcp({ source: B, destination: A, sourcePort: 4000 + i, destinationPort: 179 }), 0),
    );
    expect(answers.flat()).toHaveLength(5);
    expect([host.size, host.counters.backlogFull, host.memory]).toEqual([5, 45, 0]);
    const all: string[] = [];
    let at = 0;
    for (let due = host.deadline(); due !== undefined; due = host.deadline()) {
      at = due.at;
      all.push(...told(host.tick(at)));
    }
    expect(all).toEqual([]);
    expect(host.size).toBe(0);
    expect(at).toBeLessThan(100_000);
  });
});
