import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import { DROP, octetsOf, PASS, PacketPool, wrapPacket } from '../../src/ip/index.ts';
import {
  checkNvgre,
  decapsulate,
  encapsulate,
  flowIdFor,
  flowIdOf,
  GRE_IN_UDP_PORT,
  innerMtu,
  isVsid,
  overhead,
  vsidOf,
} from '../../src/nvgre/index.ts';
import { counting, ipv4, ipv6, join, tcp, udp } from '../compartment/octets.ts';
import { guarded } from '../support/packets.ts';
import { arpRequest, datagram, eth, ipFrame, nvgre, vm } from './fixture.ts';

/** GRE with key (20 00), Ethernet (65 58), VSID 5001 = 0x001389, FlowID 0xd7; then the frame of a UDP datagram "nvgre". */
const WRITTEN_BY_HAND = fromHex(`
  20 00 65 58  00 13 89 d7
  00 15 5d 00 00 03  00 15 5d 00 00 01  08 00
  45 00 00 21 12 34 00 00 40 11 54 7f  0a 01 00 0b  0a 01 00 0d
  03 e8 07 d0 00 0d a5 19  6e 76 67 72 65`);

const check = (octets: Uint8Array): number => checkNvgre(octets, 0, octets.length);
const flowOf = (frame: Uint8Array): number => flowIdFor(frame, 0, frame.length);

describe('RFC 7637 §3.2: the NVGRE frame', () => {
  it('is the Ethernet frame behind eight octets, to the bit', () => {
    const pool = new PacketPool(1, 256);
    const packet = pool.from(WRITTEN_BY_HAND.subarray(8))!;
    packet.buf.fill(0xa5, 0, packet.start);
    expect(encapsulate(packet, 5001, 0xd7)).toBe(PASS);
    expect(toHex(octetsOf(packet))).toBe(toHex(WRITTEN_BY_HAND));
    expect(packet.buf[packet.start - 1]).toBe(0xa5);
    expect(check(octetsOf(packet))).toBe(PASS);
    expect([vsidOf(packet.buf, packet.start), flowIdOf(packet.buf, packet.start)]).toEqual([5001, 0xd7]);
    decapsulate(packet);
    expect(toHex(octetsOf(packet))).toBe(toHex(WRITTEN_BY_HAND.subarray(8)));
  });

  it('is the fields of the RFC one behind the other', () => {
    const [src, dst] = ['10.1.0.11', '10.1.0.13'];
    const data = new TextEncoder().encode('nvgre');
    const frame = ipFrame(vm(3), vm(1), ipv4({ src, dst }, udp(src, dst, 1000, 2000, data)));
    expect(toHex(nvgre(5001, 0xd7, frame))).toBe(toHex(WRITTEN_BY_HAND));
  });

  it('carries every VSID and FlowID, the highest bit included', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 4096, max: 16777214 }),
        fc.nat(255),
        fc.uint8Array({ minLength: 14, maxLength: 60 }),
        (vsid, flowId, frame) => {
          frame.set([0x08, 0x00], 12);
          const packet = wrapPacket(join(new Uint8Array(20), frame), 20);
          encapsulate(packet, vsid, flowId);
          expect(octetsOf(packet)).toEqual(nvgre(vsid, flowId, frame));
          expect(checkNvgre(packet.buf, packet.start, packet.end)).toBe(PASS);
          expect([vsidOf(packet.buf, packet.start), flowIdOf(packet.buf, packet.start)]).toEqual([vsid, flowId]);
          decapsulate(packet);
          expect(octetsOf(packet)).toEqual(frame);
        },
      ),
    );
  });

  it('needs room in front', () => {
    const packet = wrapPacket(new Uint8Array(40), 7);
    expect(encapsulate(packet, 5001, 0)).toBe(DROP.noRoom);
    expect(packet.start).toBe(7);
  });

  it('leaves a superframe what it is', () => {
    const packet = wrapPacket(new Uint8Array(100), 8);
    packet.segment = 1400;
    packet.partial = true;
    encapsulate(packet, 5001, 0);
    expect([packet.segment, packet.partial]).toEqual([1400, true]);
  });

  it('RFC 2784 §2.3, RFC 2890 §2: other flags and versions are refused, bits 6 to 12 say nothing', () => {
    const verdicts = Array.from({ length: 16 }, (_, bit) => {
      const octets = WRITTEN_BY_HAND.slice();
      octets[bit >>> 3]! ^= 0x80 >>> (bit & 7);
      return check(octets) === PASS ? 'pass' : check(octets) === DROP.gre ? 'gre' : 'other';
    });
    // C, R, no K, S, s, Recur | bits 6 to 12 | version.
    const expected = ['gre', 'gre', 'gre', 'gre', 'gre', 'gre', ...new Array(7).fill('pass'), 'gre', 'gre', 'gre'];
    expect(verdicts).toEqual(expected);
  });

  it.each([0x0800, 0x86dd, 0x6559, 0x0000, 0x5865])('another protocol is refused: %i', (protocol) => {
    expect(check(join([0x20, 0x00, protocol >>> 8, protocol & 0xff], WRITTEN_BY_HAND.subarray(4)))).toBe(DROP.gre);
  });

  it('cut short is refused', () => {
    const frame = nvgre(5001, 0, eth(vm(1), vm(2), 0x0800, new Uint8Array(0)));
    const verdicts = Array.from({ length: frame.length + 1 }, (_, length) => check(frame.subarray(0, length)));
    expect(verdicts).toEqual([...new Array(8).fill(DROP.gre), ...new Array(14).fill(DROP.short), PASS]);
  });

  it('RFC 7637 §3.3: an inner tag is refused', () => {
    const tagged = (type: number) => nvgre(5001, 0, eth(vm(1), vm(2), type, counting(60)));
    expect([0x8100, 0x88a8, 0x0800].map((type) => check(tagged(type)))).toEqual([DROP.vlanTag, DROP.vlanTag, PASS]);
  });

  it('RFC 7637 §3.4: reserved VSIDs are refused', () => {
    const verdicts = [0, 1, 4095, 4096, 5001, 16777214, 16777215].map((vsid) => [
      check(nvgre(vsid, 0, WRITTEN_BY_HAND.subarray(8))) === PASS,
      isVsid(vsid),
    ]);
    const no = [false, false];
    const yes = [true, true];
    expect(verdicts).toEqual([no, no, no, yes, yes, yes, no]);
    expect(check(nvgre(4095, 0, WRITTEN_BY_HAND.subarray(8)))).toBe(DROP.vsid);
  });

  it('arbitrary octets get a verdict, and nothing else is read', () => {
    const header = fc.constantFrom([0x20, 0, 0x65, 0x58, 0, 0x13, 0x89, 1], [0x20, 0, 0x65, 0x58], []);
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 40 }), (front, rest) => {
        const { buf, start, end } = guarded(join(front, rest));
        expect(checkNvgre(buf, start, end)).toBeTypeOf('number');
      }),
    );
  });
});

describe('RFC 7637 §3.2, §4.1: the FlowID', () => {
  const tcpFrame = (src: string, dst: string, sport: number, dport: number, data = 0) =>
    ipFrame(
      vm(1),
      vm(2),
      ipv4({ src, dst, protocol: 6 }, tcp(src, dst, { flags: 0x10, sport, dport }, counting(data))),
    );

  it('is the same for all packets of a flow and in both directions, whoever carries it', () => {
    const one = tcpFrame('10.1.0.11', '10.1.0.13', 40000, 443);
    const other = tcpFrame('10.1.0.13', '10.1.0.11', 443, 40000, 900);
    expect(flowOf(other)).toBe(flowOf(one));
    const routed = join(new Uint8Array(12).fill(7), one.subarray(12));
    routed[14 + 8] = 3;
    expect(flowOf(routed)).toBe(flowOf(one));
    const [a, b] = ['2001:db8:1::11', '2001:db8:2::99'];
    const wide = (src: string, dst: string, ports: [number, number], data: number) =>
      ipFrame(vm(1), vm(2), ipv6({ src, dst }, udp(src, dst, ...ports, counting(data))));
    expect(flowOf(wide(b, a, [53, 5353], 1))).toBe(flowOf(wide(a, b, [5353, 53], 40)));
  });

  it('spreads flows over its eight bits', () => {
    const values = (frames: Uint8Array[]) => new Set(frames.map(flowOf)).size;
    const ports = Array.from({ length: 2048 }, (_, i) => tcpFrame('10.1.0.11', '10.1.0.13', 32768 + i, 443));
    const hosts = Array.from({ length: 254 }, (_, i) => tcpFrame(`10.1.0.${i + 1}`, '10.9.0.13', 5000, 443));
    const wide = Array.from({ length: 2048 }, (_, i) =>
      datagram(vm(1), vm(2), `2001:db8:1::${(i + 1).toString(16)}`, '2001:db8:9::13'),
    );
    expect(values(ports)).toBeGreaterThan(250);
    expect(values(hosts)).toBeGreaterThan(120);
    expect(values(wide)).toBeGreaterThan(250);
  });

  it('of fragments is that of their addresses, the first included', () => {
    const [src, dst] = ['10.1.0.11', '10.1.0.13'];
    const whole = udp(src, dst, 1000, 2000, counting(60));
    const first = ipFrame(vm(1), vm(2), ipv4({ src, dst, mf: true }, whole.subarray(0, 32)));
    const last = ipFrame(vm(1), vm(2), ipv4({ src, dst, offset: 32 }, whole.subarray(32)));
    const alike = ipFrame(vm(1), vm(2), ipv4({ src, dst, mf: true }, udp(src, dst, 7, 9, counting(24))));
    expect(flowOf(last)).toBe(flowOf(first));
    expect(flowOf(alike)).toBe(flowOf(first));
    expect(flowOf(ipFrame(vm(1), vm(2), ipv4({ src, dst }, whole)))).not.toBe(flowOf(first));
    const fragment = (offset: number, more: number, data: Uint8Array) =>
      ipFrame(
        vm(1),
        vm(2),
        ipv6(
          { src: '2001:db8::1', dst: '2001:db8::2', next: 44 },
          join([17, 0, offset >>> 8, (offset & 0xf8) | more, 0, 0, 0, 9], data),
        ),
      );
    expect(flowOf(fragment(0, 1, whole.subarray(0, 32)))).toBe(flowOf(fragment(32, 0, whole.subarray(32))));
    // RFC 6946: an atomic fragment is a whole datagram.
    const atomic = flowOf(fragment(0, 0, whole));
    expect(atomic).toBe(flowOf(ipFrame(vm(1), vm(2), ipv6({ src: '2001:db8::1', dst: '2001:db8::2' }, whole))));
  });

  it('of what is not IP, or makes no sense as IP, is that of the MAC addresses', () => {
    const request = flowOf(arpRequest(vm(1), '10.1.0.11', '10.1.0.13'));
    expect(flowOf(arpRequest(vm(1), '10.1.0.99', '10.1.0.14'))).toBe(request);
    expect(
      new Set(Array.from({ length: 64 }, (_, i) => flowOf(eth(vm(i), vm(200), 0x88cc, counting(20))))).size,
    ).toBeGreaterThan(40);
    const broken = eth(vm(1), vm(2), 0x0800, Uint8Array.of(0x4f, 0, 0));
    expect(flowOf(broken)).toBe(flowOf(eth(vm(1), vm(2), 0x1234, counting(9))));
  });

  it('of arbitrary frames is eight bits, and nothing behind them is read', () => {
    fc.assert(
      fc.property(fc.constantFrom([8, 0], [0x86, 0xdd], [8, 6]), fc.uint8Array({ maxLength: 90 }), (type, rest) => {
        const { buf, start, end } = guarded(join(new Uint8Array(12), type, rest));
        const flowId = flowIdFor(buf, start, end);
        expect(Number.isInteger(flowId) && flowId >= 0 && flowId <= 255).toBe(true);
      }),
    );
  });
});

describe('RFC 7637 §4.4, RFC 8086: what encapsulation costs', () => {
  it.each([
    ['nvgre', 4, 42, 1458],
    ['nvgre', 6, 62, 1438],
    ['nvgre-udp', 4, 50, 1450],
    ['nvgre-udp', 6, 70, 1430],
  ] as const)('%s over IPv%i: %i octets, %i of 1500 are left', (carrier, family, octets, mtu) => {
    expect(overhead(carrier, family)).toBe(octets);
    expect(innerMtu(1500, carrier, family)).toBe(mtu);
  });

  it('has the port that IANA gave GRE in UDP', () => {
    expect(GRE_IN_UDP_PORT).toBe(4754);
  });
});
