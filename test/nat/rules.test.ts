import { describe, expect, it } from 'vitest';
import { ACK, EXTERNAL, SYN, tcp, udp, World } from './fixture.ts';

const [A, B] = ['10.1.0.10', '10.1.0.11'];
const [CLIENT, DNS] = ['198.51.100.7:40000', '192.0.2.1:53'];
const ext = (port: number): string => `${EXTERNAL}:${port}`;

describe('static rules', () => {
  it('RFC 3022 §4.1: lead whoever asks to the inner endpoint, and its answers back', () => {
    const w = new World({ rules: [`tcp 443 > ${A}:8443`, `udp 53 > ${B}:5353`] });
    expect(w.in(tcp(CLIENT, ext(443), SYN))).toBe(`tcp ${CLIENT} > ${A}:8443 SYN`);
    expect(w.out(tcp(`${A}:8443`, CLIENT, SYN | ACK))).toBe(`tcp ${ext(443)} > ${CLIENT} SYN,ACK`);
    expect(w.in(udp(CLIENT, ext(53)))).toBe(`udp ${CLIENT} > ${B}:5353`);
    expect(w.out(udp(`${B}:5353`, CLIENT))).toBe(`udp ${ext(53)} > ${CLIENT}`);
    expect(w.in(udp(CLIENT, ext(443)))).toBe('natNoSession');
    expect([...w.nat.sessions({ fromOutside: true })]).toHaveLength(2);
  });

  it('RFC 4787 REQ-1: what the inner endpoint begins itself leaves by the port of the rule', () => {
    const w = new World({ rules: [`udp 53 > ${B}:5353`] });
    expect(w.out(udp(`${B}:5353`, DNS))).toBe(`udp ${ext(53)} > ${DNS}`);
    expect(w.out(udp(`${A}:5353`, DNS))).toBe(`udp ${ext(5353)} > ${DNS}`);
  });

  it('their ports are never given to others, not when their sessions have gone either', () => {
    const w = new World({ rules: [`udp 5000 > ${B}:53`] });
    expect(w.out(udp(`${A}:5000`, DNS))).not.toContain(`${ext(5000)} `);
    w.in(udp(CLIENT, ext(5000)));
    w.wait(121);
    expect(w.sessions).toEqual([]);
    expect(w.out(udp(`${A}:5000`, DNS))).not.toContain(`${ext(5000)} `);
    for (let port = 6000; port < 8000; port++) w.out(udp(`${A}:${port}`, DNS));
    expect([...w.nat.sessions({ externalPort: 5000 })]).toEqual([]);
  });

  it('two ports may lead to one endpoint: each session leaves by the one it came in by', () => {
    const w = new World({ rules: [`tcp 443 > ${A}:443`, `tcp 8443 > ${A}:443`] });
    const other = '198.51.100.8:40000';
    w.in(tcp(CLIENT, ext(443), SYN));
    w.in(tcp(other, ext(8443), SYN));
    expect(w.out(tcp(`${A}:443`, other, SYN | ACK))).toBe(`tcp ${ext(8443)} > ${other} SYN,ACK`);
    expect(w.out(tcp(`${A}:443`, CLIENT, SYN | ACK))).toBe(`tcp ${ext(443)} > ${CLIENT} SYN,ACK`);
    // The inner host could not tell these two apart.
    expect(w.in(tcp(CLIENT, ext(8443), SYN))).toBe('natNoPort');
    w.nat.flush({ externalPort: 443 });
    expect(w.in(tcp(CLIENT, ext(8443), SYN))).toBe(`tcp ${CLIENT} > ${A}:443 SYN`);
    expect(w.out(tcp(`${A}:443`, DNS, SYN))).toBe(`tcp ${ext(443)} > ${DNS} SYN`);
  });

  it('an external port has one rule', () => {
    expect(() => new World({ rules: [`tcp 443 > ${A}:1`, `tcp 443 > ${B}:1`] })).toThrow(/one rule/);
  });
});

describe('another configuration', () => {
  it('keeps the sessions that no rule contradicts', () => {
    const w = new World({ rules: [`tcp 443 > ${A}:8443`] });
    w.in(tcp(CLIENT, ext(443), SYN));
    w.out(udp(`${A}:5000`, DNS));
    w.out(udp(`${A}:5001`, DNS));
    w.out(udp(`${A}:5002`, DNS));
    // 5000 outside is another's, 5002 inside has another port; the rule of 443 is gone, its session is not.
    w.reconfigure({ rules: [`udp 5000 > ${B}:1`, `udp 9 > ${A}:5002`] });
    expect(w.sessions).toEqual([`tcp ${A}:8443 = 443 > ${CLIENT} opening`, `udp ${A}:5001 = 5001 > ${DNS} unanswered`]);
    expect(w.nat.counters).toMatchObject({ sessions: 2, flushed: 2, expired: 0 });
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${B}:1`);
    expect(w.out(udp(`${A}:5002`, DNS))).toBe(`udp ${ext(9)} > ${DNS}`);
    expect(w.out(tcp(`${A}:8443`, CLIENT, SYN | ACK))).toBe(`tcp ${ext(443)} > ${CLIENT} SYN,ACK`);
    // The port is a dynamic one now, and free when its last session ends.
    expect(w.in(tcp('198.51.100.8:1', ext(443), SYN))).toBe('natFiltered');
    w.wait(121);
    expect(w.in(tcp('198.51.100.8:1', ext(443), SYN))).toBe('natNoSession');
    expect(w.out(tcp(`${B}:443`, DNS, SYN))).toBe(`tcp ${ext(443)} > ${DNS} SYN`);
  });

  it('keeps a session whose rule stays, and one port of an endpoint that had two', () => {
    const rules = [`tcp 443 > ${A}:443`, `tcp 8443 > ${A}:443`];
    const w = new World({ rules });
    w.in(tcp(CLIENT, ext(443), SYN));
    w.in(tcp('198.51.100.8:1', ext(8443), SYN));
    w.reconfigure({ rules: rules.toReversed() });
    expect(w.sessions).toHaveLength(2);
    w.reconfigure({ rules: [rules[1]!] });
    expect(w.sessions).toEqual([`tcp ${A}:443 = 8443 > 198.51.100.8:1 opening`]);
    w.reconfigure({ rules });
    w.in(tcp(CLIENT, ext(443), SYN));
    w.reconfigure({ rules: [] });
    expect(w.sessions).toHaveLength(1);
  });

  it('new timeouts hold from the next packet on', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    w.out(udp(`${A}:5001`, DNS));
    w.reconfigure({ timeouts: { udpSeconds: 10 } });
    w.out(udp(`${A}:5001`, DNS));
    w.wait(11);
    expect(w.sessions).toEqual([`udp ${A}:5000 = 5000 > ${DNS} unanswered`]);
  });

  it('a lower limit refuses new sessions and ends none', () => {
    const w = new World();
    for (let port = 5000; port < 5010; port++) w.out(udp(`${A}:${port}`, DNS));
    w.reconfigure({ limits: { sessions: 5 } });
    expect(w.sessions).toHaveLength(10);
    expect(w.out(udp(`${A}:6000`, DNS))).toBe('natLimit');
    expect(w.out(udp(`${A}:5000`, DNS))).toBe(`udp ${ext(5000)} > ${DNS}`);
  });
});

describe('flush', () => {
  it('ends what the filter names, frees its ports, and says how many', () => {
    const w = new World();
    for (let port = 5000; port < 5003; port++) {
      w.out(udp(`${A}:${port}`, DNS));
      w.out(tcp(`${B}:${port}`, DNS, SYN));
    }
    expect(w.nat.flush({ protocol: 17, innerPort: 5001 })).toBe(1);
    expect(w.out(udp(`${B}:5001`, DNS))).toBe(`udp ${ext(5001)} > ${DNS}`);
    expect(w.nat.flush({ protocol: 6 })).toBe(3);
    expect(w.nat.flush({ innerAddress: 1 })).toBe(0);
    expect(w.nat.flush()).toBe(3);
    expect(w.sessions).toEqual([]);
    expect(w.nat.deadline()).toBeUndefined();
    expect(w.nat.counters).toMatchObject({ created: 7, flushed: 7, sessions: 0 });
  });
});

describe('sessions as people see them', () => {
  it('have both ends, the time left, packets and octets each way', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS, new Uint8Array(100)));
    w.in(udp(DNS, ext(5000), new Uint8Array(1000)));
    w.in(udp(DNS, ext(5000), new Uint8Array(1000)));
    w.wait(20);
    expect([...w.nat.sessions()]).toEqual([
      {
        protocol: 17,
        innerAddress: 0x0a01000a,
        innerPort: 5000,
        externalPort: 5000,
        remoteAddress: 0xc0000201,
        remotePort: 53,
        state: 'answered',
        fromOutside: false,
        secondsLeft: 100,
        packetsOut: 1,
        octetsOut: 128,
        packetsIn: 2,
        octetsIn: 2056,
      },
    ]);
  });

  it('count octets beyond 4 GB', () => {
    const w = new World();
    const [sent, answer] = [udp(`${A}:5000`, DNS), udp(DNS, ext(5000))];
    w.out(sent);
    // One superframe of 65,535 octets after another would take 65,536 of them.
    const row = w.nat.state.findInbound(17, 5000, 0xc0000201 | 0, 53);
    const times = 140_000;
    for (let i = 0; i < times; i++) w.nat.state.noteOut(row, 0, 65_535, w.now);
    for (let i = 0; i < times / 2; i++) w.nat.state.noteIn(row, 0, 65_535, w.now);
    w.in(answer);
    expect([...w.nat.sessions()][0]).toMatchObject({
      packetsOut: times + 1,
      octetsOut: times * 65_535 + sent.length,
      packetsIn: times / 2 + 1,
      octetsIn: (times / 2) * 65_535 + answer.length,
    });
  });
});
