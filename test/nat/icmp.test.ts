import { describe, expect, it } from 'vitest';
import { ACK, be, counting, EXTERNAL, error, ipv4, join, ping, placed, SYN, tcp, udp, World } from './fixture.ts';

const [A, B] = ['10.1.0.10', '10.1.0.11'];
const [SERVER, OTHER, ROUTER] = ['192.0.2.1', '198.51.100.7', '198.51.100.254'];
const DNS = `${SERVER}:53`;

describe('NAT of ICMP queries', () => {
  it('RFC 5508 REQ-1: echo and its answer pass, the identifier preserved', () => {
    const w = new World();
    expect(w.out(ping(A, SERVER, 77))).toBe(`echo 8 ${EXTERNAL} > ${SERVER} id 77`);
    expect(w.in(ping(SERVER, EXTERNAL, 77, 0))).toBe(`echo 0 ${SERVER} > ${A} id 77`);
    expect(w.out(ping(A, SERVER, 0))).toBe(`echo 8 ${EXTERNAL} > ${SERVER} id 0`);
  });

  it('RFC 5508 REQ-1: two hosts with one identifier are told apart', () => {
    const w = new World();
    w.out(ping(A, SERVER, 77));
    const id = Number(/id (\d+)/.exec(w.out(ping(B, SERVER, 77)))![1]);
    expect(id).not.toBe(77);
    expect(w.in(ping(SERVER, EXTERNAL, id, 0))).toBe(`echo 0 ${SERVER} > ${B} id 77`);
    expect(w.in(ping(SERVER, EXTERNAL, 77, 0))).toBe(`echo 0 ${SERVER} > ${A} id 77`);
  });

  it('RFC 5508 REQ-1a: the mapping of an identifier is the same towards every host', () => {
    const w = new World();
    w.out(ping(A, SERVER, 77));
    const id = Number(/id (\d+)/.exec(w.out(ping(B, SERVER, 77)))![1]);
    expect(w.out(ping(B, OTHER, 77))).toBe(`echo 8 ${EXTERNAL} > ${OTHER} id ${id}`);
  });

  it('RFC 5508 REQ-2: the timer, as configured', () => {
    const w = new World({ timeouts: { icmpSeconds: 60 } });
    w.out(ping(A, SERVER, 77));
    w.wait(59);
    expect(w.in(ping(SERVER, EXTERNAL, 77, 0))).toBe(`echo 0 ${SERVER} > ${A} id 77`);
    w.wait(1);
    expect(w.in(ping(SERVER, EXTERNAL, 77, 0))).toBe('natNoSession');
  });

  it('RFC 5508 REQ-10b: timestamps pass, too', () => {
    const w = new World();
    expect(w.out(ping(A, SERVER, 5, 13))).toBe(`echo 13 ${EXTERNAL} > ${SERVER} id 5`);
    expect(w.in(ping(SERVER, EXTERNAL, 5, 14))).toBe(`echo 14 ${SERVER} > ${A} id 5`);
  });

  it('RFC 5508 REQ-11: other messages are dropped', () => {
    const w = new World();
    w.out(ping(A, SERVER, 5));
    for (const type of [4, 5, 9, 10, 15, 17, 30, 40]) {
      expect(w.out(ping(A, SERVER, 5, type))).toBe('natProtocol');
      expect(w.in(ping(SERVER, EXTERNAL, 5, type))).toBe('natProtocol');
    }
  });

  it('no answer begins a session, and no query from outside finds a host that has not asked', () => {
    const w = new World();
    expect(w.out(ping(A, SERVER, 77, 0))).toBe('natNoSession');
    expect(w.in(ping(SERVER, EXTERNAL, 77))).toBe('natNoSession');
    w.out(ping(A, SERVER, 77));
    expect(w.in(ping(OTHER, EXTERNAL, 77))).toBe('natFiltered');
  });

  it('RFC 5508 REQ-7: a host that asks the external address with its own identifier reaches itself', () => {
    const w = new World();
    expect(w.hairpin(ping(A, EXTERNAL, 9))).toBe(`echo 8 ${EXTERNAL} > ${A} id 9`);
    expect(w.hairpin(ping(A, EXTERNAL, 9, 0))).toBe(`echo 0 ${EXTERNAL} > ${A} id 9`);
  });
});

describe('NAT of ICMP errors', () => {
  it('RFC 5508 REQ-3: an error with a wrong checksum is dropped', () => {
    const w = new World();
    const about = w.outOctets(udp(`${A}:5000`, DNS));
    const wrong = error(ROUTER, EXTERNAL, about);
    wrong[23]! ^= 1;
    expect(w.in(wrong)).toBe('checksum');
    const inner = error(A, SERVER, udp(DNS, `${A}:5000`));
    inner[23]! ^= 1;
    expect(w.out(inner)).toBe('checksum');
  });

  it('RFC 5508 REQ-3a: an error that quotes a header with a wrong checksum is dropped', () => {
    const w = new World();
    const about = w.outOctets(udp(`${A}:5000`, DNS));
    about[8]! -= 1;
    expect(w.in(error(ROUTER, EXTERNAL, about))).toBe('checksum');
  });

  it('RFC 5508 REQ-3b: options in the quoted header are stepped over', () => {
    const w = new World();
    const about = w.outOctets(udp(`${A}:5000`, DNS, undefined, { options: [1, 1, 1, 0, 148, 4, 0, 0] }));
    expect(w.in(error(ROUTER, EXTERNAL, about, { quoted: 36 }))).toBe(
      `error 3/3 ${ROUTER} > ${A} (udp ${A}:5000 > ${DNS})`,
    );
  });

  it('RFC 5508 REQ-3c: the transport checksum of the quoted packet is not looked at', () => {
    const w = new World();
    const about = w.outOctets(udp(`${A}:5000`, DNS));
    about[27]! ^= 0x10;
    const back = w.inOctets(error(ROUTER, EXTERNAL, about));
    const sent = udp(`${A}:5000`, DNS);
    sent[27]! ^= 0x10;
    // Wrong by the same amount as it was.
    expect(Math.abs(be(back, 28 + 26) - be(udp(`${A}:5000`, DNS), 26))).toBe(0x10);
    expect(back.slice(28, 28 + 26)).toEqual(sent.slice(0, 26));
  });

  it('RFC 5508 REQ-3d: extensions behind the quote pass as they are', () => {
    const w = new World();
    const about = w.outOctets(tcp(`${A}:5000`, `${SERVER}:443`, SYN));
    const extension = counting(16);
    const quote = join(about, new Uint8Array(128 - about.length), extension);
    // RFC 4884 §4.1: the second octet of the unused word counts the quote in words of 32 bits.
    const message = error(ROUTER, EXTERNAL, quote, { type: 11, code: 0, quoted: quote.length, rest: [0, 32, 0, 0] });
    const back = w.inOctets(message);
    expect(back.slice(28, 28 + 40)).toEqual(tcp(`${A}:5000`, `${SERVER}:443`, SYN));
    expect(back.slice(28 + 40)).toEqual(join(new Uint8Array(88), extension));
  });

  it('RFC 5508 REQ-4: an error from outside reaches who sent the packet, as it was sent', () => {
    const w = new World();
    const sent = udp(`${A}:5001`, DNS);
    w.out(udp(`${B}:5001`, DNS));
    const about = w.outOctets(sent);
    const back = w.inOctets(error(ROUTER, EXTERNAL, about, { type: 11, code: 0, quoted: about.length }));
    expect(back.slice(28)).toEqual(sent);
    expect([back[20], back[21]]).toEqual([11, 0]);
    expect(w.in(error(ROUTER, EXTERNAL, udp(`${EXTERNAL}:9`, DNS)))).toBe('natNoSession');
    expect(w.in(error(ROUTER, EXTERNAL, udp(`${OTHER}:5001`, DNS)))).toBe('natNoSession');
  });

  it.each([
    ['UDP', udp(`${A}:5000`, DNS), 28],
    ['TCP, eight octets', tcp(`${A}:5000`, `${SERVER}:80`, SYN), 28],
    ['TCP, up to its checksum', tcp(`${A}:5000`, `${SERVER}:80`, SYN), 38],
    ['TCP, one octet of its checksum', tcp(`${A}:5000`, `${SERVER}:80`, SYN), 37],
    ['TCP with data', tcp(`${A}:5000`, `${SERVER}:80`, SYN, counting(31)), 71],
    ['ICMP', ping(A, SERVER, 5000), 28],
    ['ICMP with data', ping(A, SERVER, 5000), 44],
  ])('RFC 5508 REQ-4a: what is quoted of %s is what was sent', (_, sent, quoted) => {
    const w = new World();
    // The port is taken, so that it changes, too.
    const other = sent.slice();
    other.set([10, 1, 0, 11], 12);
    w.nat.outbound(placed(other), w.now);
    const about = w.outOctets(sent);
    const back = w.inOctets(error(ROUTER, EXTERNAL, about, { code: 4, quoted }));
    const whole = sent[9] === 6 && quoted < 38 ? Math.min(quoted, 36) : quoted;
    expect(back.slice(28, 28 + whole)).toEqual(sent.slice(0, whole));
    expect(back.slice(16, 20)).toEqual(sent.slice(12, 16));
  });

  it('RFC 5508 REQ-5: an error from inside leaves with the external address, about the packet as it came', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    const came = udp(DNS, `${EXTERNAL}:5000`);
    const delivered = w.inOctets(came);
    const left = w.outOctets(error(A, SERVER, delivered, { quoted: delivered.length }));
    expect(left.slice(28)).toEqual(came);
    expect(w.out(error(A, SERVER, udp(DNS, `${A}:5001`)))).toBe('natNoSession');
    // REQ-5c: from a router inside, too.
    expect(w.out(error('10.1.0.1', SERVER, delivered))).toBe(
      `error 3/3 ${EXTERNAL} > ${SERVER} (udp ${DNS} > ${EXTERNAL}:5000)`,
    );
    // An error goes to the source of what it quotes.
    expect(w.out(error(A, OTHER, delivered))).toBe('natNoSession');
  });

  it('RFC 5508 REQ-6: an error refreshes no session and ends none', () => {
    const w = new World();
    const about = w.outOctets(ping(A, SERVER, 7));
    w.wait(20);
    expect(w.in(error(ROUTER, EXTERNAL, about))).toBe(`error 3/3 ${ROUTER} > ${A} (echo 8 ${A} > ${SERVER} id 7)`);
    expect([...w.nat.sessions()].map((s) => [s.secondsLeft, s.packetsIn])).toEqual([[10, 0]]);
    w.wait(10);
    expect(w.in(error(ROUTER, EXTERNAL, about))).toBe('natNoSession');
  });

  it('RFC 5508 REQ-7: errors are hairpinned', () => {
    const w = new World({ rules: [`udp 53 > ${B}:53`] });
    const request = udp(`${A}:5000`, `${EXTERNAL}:53`);
    const delivered = w.inOctets(w.outOctets(request));
    const back = w.inOctets(w.outOctets(error(B, EXTERNAL, delivered, { quoted: delivered.length })));
    expect(back.slice(12, 20)).toEqual(Uint8Array.of(203, 0, 113, 50, 10, 1, 0, 10));
    expect(back.slice(28)).toEqual(request);
  });

  it('RFC 5508 REQ-8: a session that cannot be is refused by name, so that the sender may be told', () => {
    const w = new World({ limits: { sessions: 1 } });
    w.out(udp(`${A}:5000`, DNS));
    expect(w.out(udp(`${A}:5001`, DNS))).toBe('natLimit');
    expect(w.out(ping(A, SERVER, 1))).toBe('natLimit');
  });

  it('RFC 5508 REQ-10a: unreachable and time exceeded pass whatever their code; parameter problems, too (REQ-10b)', () => {
    const w = new World();
    const about = w.outOctets(udp(`${A}:5000`, DNS));
    for (const type of [3, 11, 12]) {
      for (const code of [0, 1, 4, 13]) {
        expect(w.in(error(ROUTER, EXTERNAL, about, { type, code, rest: [1, 2, 5, 0xdc] }))).toContain(
          `error ${type}/${code}`,
        );
      }
    }
    expect(w.nat.counters.icmpErrors).toBe(12);
  });

  it('RFC 1191 §4: the MTU of an error is not touched', () => {
    const w = new World();
    const about = w.outOctets(tcp(`${A}:5000`, `${SERVER}:80`, SYN));
    w.in(tcp(`${SERVER}:80`, `${EXTERNAL}:5000`, SYN | ACK));
    const back = w.inOctets(error(ROUTER, EXTERNAL, about, { code: 4, rest: [0, 0, 5, 0xdc] }));
    expect(be(back, 26)).toBe(1500);
  });

  it('errors about errors, later fragments, other protocols and stumps have no session', () => {
    const w = new World();
    const about = w.outOctets(udp(`${A}:5000`, DNS));
    const inErrorAbout = (quote: Uint8Array, quoted = quote.length): string =>
      w.in(error(ROUTER, EXTERNAL, quote, { quoted }));
    expect(inErrorAbout(error(EXTERNAL, SERVER, about))).toBe('natNoSession');
    expect(inErrorAbout(ipv4({ src: EXTERNAL, dst: SERVER, protocol: 17, offset: 8 }, counting(8)))).toBe(
      'natNoSession',
    );
    expect(inErrorAbout(ipv4({ src: EXTERNAL, dst: SERVER, protocol: 47 }, counting(8)))).toBe('natProtocol');
    expect(inErrorAbout(about, 27)).toBe('short');
    expect(inErrorAbout(about, 12)).toBe('short');
    expect(inErrorAbout(about, 0)).toBe('short');
    const six = about.slice();
    six[0] = 0x65;
    expect(inErrorAbout(six)).toBe('version');
    const narrow = about.slice();
    narrow[0] = 0x44;
    expect(inErrorAbout(narrow)).toBe('length');
  });
});
