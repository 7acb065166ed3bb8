import { describe, expect, it } from 'vitest';
import { EXTERNAL, ping, SYN, tcp, udp, World } from './fixture.ts';

const [A, B] = ['10.1.0.10', '10.1.0.11'];
const [DNS, OTHER] = ['192.0.2.1:53', '198.51.100.7:3478'];

describe('what was made clearer later', () => {
  it('RFC 7857 §5: mappings are of one protocol', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    // Another host has the TCP port of the same number, and A then has not.
    expect(w.out(tcp(`${B}:5000`, DNS, SYN))).toBe(`tcp ${EXTERNAL}:5000 > ${DNS} SYN`);
    expect(w.out(tcp(`${A}:5000`, DNS, SYN))).not.toContain(`${EXTERNAL}:5000 `);
    expect(w.out(udp(`${A}:5000`, OTHER))).toBe(`udp ${EXTERNAL}:5000 > ${OTHER}`);
  });

  it('RFC 7857 §6: filters are of one protocol', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(udp(`${A}:5000`, DNS));
    expect(w.in(tcp(OTHER, `${EXTERNAL}:5000`, SYN))).toBe('natNoSession');
    expect(w.in(ping('198.51.100.7', EXTERNAL, 5000))).toBe('natNoSession');
    expect(w.in(udp(OTHER, `${EXTERNAL}:5000`))).toBe(`udp ${OTHER} > ${A}:5000`);
  });

  it('RFC 7857 §11: the mapping of an identifier goes with its last session', () => {
    const w = new World();
    w.out(ping(A, '192.0.2.1', 7));
    w.wait(15);
    w.out(ping(A, '192.0.2.2', 7));
    w.wait(16);
    expect(w.sessions).toEqual([`icmp ${A}:7 = 7 > 192.0.2.2:0 unanswered`]);
    expect(w.out(ping(A, '192.0.2.1', 7))).toBe(`echo 8 ${EXTERNAL} > 192.0.2.1 id 7`);
    w.wait(30);
    expect(w.out(ping(B, '192.0.2.1', 7))).toBe(`echo 8 ${EXTERNAL} > 192.0.2.1 id 7`);
  });

  it('RFC 7857 §12: a query to the external address reaches who has the identifier, past the filter', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(ping(B, '192.0.2.1', 7));
    // A has another identifier outside, so that it asks for B's by that number only when it is its own.
    expect(w.in(ping('198.51.100.7', EXTERNAL, 7))).toBe(`echo 8 198.51.100.7 > ${B} id 7`);
    expect(w.out(ping(B, '198.51.100.7', 7, 0))).toBe(`echo 0 ${EXTERNAL} > 198.51.100.7 id 7`);
  });
});
