import { describe, expect, it } from 'vitest';
import { seededU32 } from '../../src/core/index.ts';
import { DROP, PASS } from '../../src/ip/index.ts';
import { NAT_CELLS, readNatCounters } from '../../src/nat/index.ts';
import { SLICE_ENDS } from '../../src/nat/sweep.ts';
import { ACK, counting, EXTERNAL, ipv4, ping, placed, SYN, tcp, udp, World } from './fixture.ts';

const [A, B] = ['10.1.0.10', '10.1.0.11'];
const DNS = '192.0.2.1:53';
const ext = (port: number): string => `${EXTERNAL}:${port}`;

/** A packet whose source endpoint and destination are changed in place: floods without building each packet. */
function flood(first: Uint8Array) {
  const packet = placed(first);
  return {
    packet,
    set: (source: number, sourcePort: number, destination: number, destinationPort: number) => {
      const { view, start } = packet;
      view.setUint32(start + 12, source);
      view.setUint32(start + 16, destination);
      view.setUint16(start + 20, sourcePort);
      view.setUint16(start + 22, destinationPort);
      return packet;
    },
  };
}

describe('limits of a tenant', () => {
  it('sessions: new ones are refused and counted, those there go on', () => {
    const w = new World({ limits: { sessions: 3 }, filtering: 'endpoint-independent', rules: [`udp 7 > ${B}:7`] });
    for (const port of [5000, 5001, 5002]) w.out(udp(`${A}:${port}`, DNS));
    expect(w.out(udp(`${A}:5003`, DNS))).toBe('natLimit');
    expect(w.in(udp('192.0.2.9:1', ext(5000)))).toBe('natLimit');
    expect(w.in(udp('192.0.2.9:1', ext(7)))).toBe('natLimit');
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
    expect(w.nat.counters).toMatchObject({ sessions: 3, refusedLimit: 3, created: 3 });
    expect(w.nat.drops).toEqual({ natLimit: 3 });
    w.wait(121);
    expect(w.out(udp(`${A}:5003`, DNS))).toBe(`udp ${ext(5003)} > ${DNS}`);
  });

  it('ports: without one left new mappings are refused and counted, new sessions of the others are not', () => {
    const w = new World({ ports: { first: 2000, last: 2003 } });
    const seen = [1, 2, 3, 4].map((host) => w.out(udp(`10.1.0.${host}:2000`, DNS)));
    expect(new Set(seen).size).toBe(4);
    expect(w.out(udp(`${A}:2000`, DNS))).toBe('natNoPort');
    expect(w.out(udp('10.1.0.1:2000', '192.0.2.2:1'))).toBe(`udp ${ext(2000)} > 192.0.2.2:1`);
    expect(w.out(tcp(`${A}:2000`, DNS, SYN))).toBe(`tcp ${ext(2000)} > ${DNS} SYN`);
    expect(w.out(ping(A, '192.0.2.1', 7))).toMatch(/id 200[0-3]$/);
    expect(w.nat.counters.refusedNoPort).toBe(1);
    expect(w.nat.drops).toEqual({ natNoPort: 1 });
  });

  it('all 64,512 high ports are used before one is refused', () => {
    const w = new World();
    const { set } = flood(udp(`${A}:5000`, DNS));
    let passed = 0;
    for (let i = 0; i < 64_520; i++) {
      const verdict = w.nat.outbound(set(0x0a010000 + (i >>> 8), 30_000 + (i & 255), 0xc0000201, 53), w.now);
      if (verdict === PASS) passed += 1;
      else expect(verdict).toBe(DROP.natNoPort);
    }
    expect(passed).toBe(64_512);
    expect(w.nat.counters.refusedNoPort).toBe(8);
  });

  it('an idle NAT takes little, and so does one that was busy', () => {
    const w = new World();
    expect(w.nat.octets).toBeLessThan(1000);
    const { set } = flood(udp(`${A}:5000`, DNS));
    for (let i = 0; i < 20_000; i++) w.nat.outbound(set(0x0a010000 + i, 5000, 0xc0000201, 53), w.now);
    expect(w.nat.octets).toBeGreaterThan(1_000_000);
    w.wait(130);
    expect(w.nat.counters.sessions).toBe(0);
    // The bit map of the ports stays.
    expect(w.nat.octets).toBeLessThan(10_000);
  });

  it('counters can stand in memory that is given', () => {
    const cells = new Float64Array(NAT_CELLS);
    const w = new World({ cells });
    w.out(udp(`${A}:5000`, DNS));
    expect(readNatCounters(cells)).toEqual(w.nat.counters);
    expect(readNatCounters(cells)).toMatchObject({ sessions: 1, created: 1, packetsOut: 1 });
  });
});

describe('floods', () => {
  it('a host that scans takes no more than the limit, and what others have goes on', () => {
    const w = new World({ limits: { sessions: 10_000 } });
    w.out(udp(`${B}:6000`, DNS));
    const { set } = flood(udp(`${A}:5000`, DNS));
    for (let i = 0; i < 60_000; i++) w.nat.outbound(set(0x0a01000a, 5000, 0x08000000 + i, i & 0xffff), w.now);
    expect(w.nat.counters).toMatchObject({ sessions: 10_000, refusedLimit: 50_001 });
    expect(w.nat.octets).toBeLessThan(10_000 * 128);
    expect(w.in(udp(DNS, ext(6000)))).toBe(`udp ${DNS} > ${B}:6000`);
  });

  it('packets from outside make no sessions but by rule or filter', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    const octets = w.nat.octets;
    const next = seededU32(1);
    const { set } = flood(udp(DNS, ext(5000)));
    for (let i = 0; i < 20_000; i++) {
      w.nat.inbound(set(0x08000000 + (next() % 0x1000000), next() & 0xffff, 0xcb007132, next() & 0xffff), w.now);
    }
    expect(w.nat.counters).toMatchObject({ sessions: 1, created: 1 });
    expect(w.nat.octets).toBe(octets);
  });

  it('sessions end in slices, and what is due comes at once', () => {
    const w = new World();
    const { set } = flood(udp(`${A}:5000`, DNS));
    for (let i = 0; i < 5000; i++) w.nat.outbound(set(0x0a010000 + i, 5000, 0xc0000201, 53), w.now);
    w.now += 120_000;
    let calls = 0;
    for (; w.nat.deadline() !== undefined; calls++) {
      expect(w.nat.deadline()!.at).toBeLessThanOrEqual(w.now);
      w.nat.expire(w.now);
      expect(w.nat.counters.expired).toBe(Math.min(5000, (calls + 1) * SLICE_ENDS));
    }
    expect(calls).toBe(5);
  });

  it('a long session delays the end of no short one, whichever came first', () => {
    const w = new World();
    w.out(tcp(`${A}:5000`, DNS, SYN));
    w.in(tcp(DNS, ext(5000), SYN | ACK));
    w.out(tcp(`${A}:5000`, DNS, ACK));
    for (let i = 0; i < 5; i++) {
      w.wait(50);
      w.out(ping(A, '192.0.2.1', i));
      w.wait(7);
      w.out(udp(`${A}:${6000 + i}`, DNS));
      w.wait(24);
      expect([...w.nat.sessions({ protocol: 1 })]).toEqual([]);
    }
    w.wait(120);
    expect(w.sessions).toEqual([`tcp ${A}:5000 = 5000 > ${DNS} established`]);
  });

  it('an idle NAT with one session is woken seldom', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    let wakes = 0;
    for (let due = w.nat.deadline(); due !== undefined; due = w.nat.deadline(), wakes++) {
      expect(due.why).toBe('NAT sessions time out');
      w.now = due.at;
      w.nat.expire(w.now);
    }
    expect(wakes).toBe(4);
    expect(w.now).toBe(1_000_000 + 120_000);
  });

  it('RFC 4787 REQ-5: a table in sweeps ends each session in time, and none too early', () => {
    const w = new World();
    const { set } = flood(udp(`${A}:5000`, DNS));
    const next = seededU32(9);
    const lastSent = new Map<number, number>();
    for (let second = 0; second < 300; second++) {
      for (let i = 0; i < 60; i++) {
        const host = 0x0a010000 + (next() % 9000);
        lastSent.set(host, w.now);
        w.nat.outbound(set(host, 5000, 0xc0000201, 53), w.now);
      }
      w.wait(1);
      if (second % 20 !== 19) continue;
      const there = new Set([...w.nat.sessions()].map((s) => s.innerAddress));
      const ages = [...lastSent].map(([host, at]) => ({ age: w.now - at, there: there.has(host) }));
      expect(ages.filter((s) => s.age < 120_000 && !s.there)).toEqual([]);
      // A pause and the slices of a sweep later at most.
      expect(ages.filter((s) => s.age > 122_000 && s.there)).toEqual([]);
      expect(there.size).toBe(w.nat.counters.sessions);
    }
    expect(w.nat.counters.sessions).toBeGreaterThan(4096);
    w.wait(123);
    expect(w.nat.counters.sessions).toBe(0);
  });
});

describe('what cannot be translated', () => {
  it('protocols without ports, and IPv6', () => {
    const w = new World();
    for (const protocol of [2, 4, 41, 47, 50, 51, 132]) {
      const packet = { src: A, dst: '192.0.2.1', protocol };
      expect(w.out(ipv4(packet, counting(40)))).toBe('natProtocol');
      expect(w.in(ipv4({ ...packet, src: '192.0.2.1', dst: EXTERNAL }, counting(40)))).toBe('natProtocol');
    }
    const six = placed(counting(60));
    six.view.setUint32(six.start, 0x6000_0000);
    expect(w.nat.outbound(six, 0)).toBe(DROP.natProtocol);
    expect(w.nat.inbound(six, 0)).toBe(DROP.natProtocol);
  });

  it('headers that are not all there', () => {
    const w = new World();
    for (const [protocol, least] of [
      [6, 20],
      [17, 8],
      [1, 8],
    ] as const) {
      const packet = { src: A, dst: '192.0.2.1', protocol };
      const back = { src: '192.0.2.1', dst: EXTERNAL, protocol };
      for (let length = 0; length < least; length++) {
        expect(w.out(ipv4(packet, new Uint8Array(length)))).toBe('short');
        expect(w.in(ipv4(back, new Uint8Array(length)))).toBe('short');
      }
    }
  });

  it('what is not for the external address', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    expect(w.in(udp(DNS, '203.0.113.51:5000'))).toBe('natNoSession');
    expect(w.in(ping('192.0.2.1', '203.0.113.51', 5))).toBe('natNoSession');
  });
});

describe('what a packet owes', () => {
  it('a checksum that is still owed is not touched; that of the header is right', () => {
    const w = new World();
    for (const octets of [udp(`${A}:5000`, DNS), tcp(`${A}:5000`, DNS, SYN)]) {
      const field = octets[9] === 6 ? 36 : 26;
      const packet = placed(octets);
      packet.partial = true;
      packet.view.setUint16(packet.start + field, 0xabcd);
      expect(w.nat.outbound(packet, w.now)).toBe(PASS);
      expect(packet.view.getUint16(packet.start + field)).toBe(0xabcd);
      packet.view.setUint16(packet.start + field, octets[field]! * 256 + octets[field + 1]!);
      expect(packet.partial).toBe(true);
      expect([packet.buf[packet.start + 12], packet.buf[packet.start + 20]]).toEqual([203, 5000 >>> 8]);
    }
  });

  it('a superframe is translated once, as it is', () => {
    const w = new World();
    w.out(tcp(`${A}:5000`, DNS, SYN));
    const packet = placed(tcp(`${A}:5000`, DNS, ACK, counting(40_000)));
    packet.segment = 1400;
    packet.partial = true;
    expect(w.nat.outbound(packet, w.now)).toBe(PASS);
    expect([packet.segment, packet.partial]).toEqual([1400, true]);
    expect([...w.nat.sessions()][0]).toMatchObject({ packetsOut: 2, octetsOut: 40 + 40_040 });
  });
});
