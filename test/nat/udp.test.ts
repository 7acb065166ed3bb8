import { describe, expect, it } from 'vitest';
import { EXTERNAL, error, ping, udp, World } from './fixture.ts';

const [A, B, C] = ['10.1.0.10', '10.1.0.11', '10.1.0.12'];
const [DNS, OTHER] = ['192.0.2.1:53', '198.51.100.7:3478'];
const ext = (port: number): string => `${EXTERNAL}:${port}`;

describe('NAT of UDP', () => {
  it('RFC 4787 REQ-1: a mapping is the same towards every endpoint', () => {
    const w = new World();
    expect(w.out(udp(`${A}:5000`, DNS))).toBe(`udp ${ext(5000)} > ${DNS}`);
    expect(w.out(udp(`${A}:5000`, OTHER))).toBe(`udp ${ext(5000)} > ${OTHER}`);
    // With a port that is not the inner one, too.
    const first = w.out(udp(`${B}:5000`, DNS));
    const port = Number(/:(\d+) >/.exec(first)![1]);
    expect(port).not.toBe(5000);
    expect(w.out(udp(`${B}:5000`, OTHER))).toBe(`udp ${ext(port)} > ${OTHER}`);
    expect(w.out(udp(`${B}:5000`, '192.0.2.1:54'))).toBe(`udp ${ext(port)} > 192.0.2.1:54`);
  });

  it('RFC 4787 REQ-2: all sessions of a host have the one external address', () => {
    const w = new World();
    for (let port = 6000; port < 6010; port++) expect(w.out(udp(`${A}:${port}`, DNS))).toContain(`udp ${EXTERNAL}:`);
  });

  it('RFC 4787 REQ-3: no two inner endpoints have one external port; TCP, UDP and ICMP have each their own', () => {
    const w = new World();
    const ports = new Set<string>();
    for (let host = 1; host < 200; host++) ports.add(w.out(udp(`10.1.0.${host}:7000`, DNS)));
    expect(ports.size).toBe(199);
    expect(w.out(ping(A, '192.0.2.1', 7000))).toBe(`echo 8 ${EXTERNAL} > 192.0.2.1 id 7000`);
  });

  it('RFC 4787 REQ-3a: 0–1023 stay 0–1023 and 1024–65535 stay there', () => {
    const w = new World();
    const external = (host: number, port: number): number =>
      Number(/:(\d+) >/.exec(w.out(udp(`10.1.0.${host}:${port}`, DNS)))![1]);
    for (let host = 1; host < 60; host++) {
      expect(external(host, 123)).toBeLessThan(1024);
      expect(external(host, 40_000)).toBeGreaterThanOrEqual(1024);
    }
    expect(external(60, 0)).toBeGreaterThan(0);
  });

  it('RFC 4787 REQ-4: even ports stay even and odd ones odd', () => {
    const w = new World();
    for (let host = 1; host < 60; host++) {
      for (const port of [16_384, 16_385]) {
        const external = Number(/:(\d+) >/.exec(w.out(udp(`10.1.0.${host}:${port}`, DNS)))![1]);
        expect(external % 2).toBe(port % 2);
      }
    }
  });

  it('RFC 4787 REQ-5: a mapping lives two minutes, not less', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    w.wait(119.9);
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
    w.wait(0.1);
    expect(w.in(udp(DNS, ext(5000)))).toBe('natNoSession');
    expect(w.sessions).toEqual([]);
  });

  it('RFC 4787 REQ-5b: the timer can be configured', () => {
    const w = new World({ timeouts: { udpSeconds: 300 } });
    w.out(udp(`${A}:5000`, DNS));
    w.wait(299);
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
  });

  it('RFC 4787 REQ-6: what leaves refreshes, what comes in does not', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    for (let i = 0; i < 5; i++) {
      w.wait(100);
      expect(w.out(udp(`${A}:5000`, DNS))).toBe(`udp ${ext(5000)} > ${DNS}`);
    }
    expect(w.nat.counters.created).toBe(1);
    w.wait(100);
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
    w.wait(20);
    expect(w.in(udp(DNS, ext(5000)))).toBe('natNoSession');
  });

  it('RFC 4787 REQ-6: new sessions from outside do not keep a mapping, either', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(udp(`${A}:5000`, DNS));
    for (let i = 1; i <= 11; i++) {
      w.wait(10);
      expect(w.in(udp(`198.51.100.${i}:9`, ext(5000)))).toBe(`udp 198.51.100.${i}:9 > ${A}:5000`);
    }
    w.wait(10);
    expect(w.in(udp(`198.51.100.99:9`, ext(5000)))).toBe('natNoSession');
    expect(w.sessions).toEqual([]);
  });

  it('RFC 4787 REQ-6a: inbound refresh can be switched on', () => {
    const w = new World({ timeouts: { udpInboundRefresh: true } });
    w.out(udp(`${A}:5000`, DNS));
    for (let i = 0; i < 5; i++) {
      w.wait(100);
      expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
    }
  });

  it('RFC 4787 REQ-8: address-dependent filtering is the default', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
    expect(w.in(udp('192.0.2.1:9999', ext(5000)))).toBe(`udp 192.0.2.1:9999 > ${A}:5000`);
    expect(w.in(udp('192.0.2.2:53', ext(5000)))).toBe('natFiltered');
    expect(w.in(udp(DNS, ext(5001)))).toBe('natNoSession');
  });

  it('RFC 4787 REQ-8a: endpoint-independent filtering lets everybody in who knows a mapping', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(udp(`${A}:5000`, DNS));
    expect(w.in(udp('198.51.100.200:1', ext(5000)))).toBe(`udp 198.51.100.200:1 > ${A}:5000`);
    expect(w.in(udp('198.51.100.200:1', ext(5001)))).toBe('natNoSession');
    expect(w.out(udp(`${A}:5000`, '198.51.100.200:1'))).toBe(`udp ${ext(5000)} > 198.51.100.200:1`);
  });

  it('RFC 4787 REQ-8a: address-and-port-dependent filtering lets in only who was written to', () => {
    const w = new World({ filtering: 'address-and-port' });
    w.out(udp(`${A}:5000`, DNS));
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
    expect(w.in(udp('192.0.2.1:9999', ext(5000)))).toBe('natFiltered');
  });

  it.each(['address', 'endpoint-independent', 'address-and-port'] as const)(
    'RFC 4787 §5: the filter holds for what there is when it changes, from %s to others and back',
    (filtering) => {
      const w = new World({ filtering });
      w.out(udp(`${A}:5000`, DNS));
      w.out(udp(`${A}:5000`, OTHER));
      const probe = (): string[] => {
        const answers = ['192.0.2.1:7', '192.0.2.9:7'].map((from) => w.in(udp(from, ext(5000))).split(' ')[0]!);
        w.nat.flush({ remotePort: 7 });
        return answers;
      };
      w.reconfigure({ filtering: 'endpoint-independent' });
      expect(probe()).toEqual(['udp', 'udp']);
      w.reconfigure({ filtering: 'address-and-port' });
      expect(probe()).toEqual(['natFiltered', 'natFiltered']);
      w.reconfigure({ filtering: 'address' });
      expect(probe()).toEqual(['udp', 'natFiltered']);
      expect(w.sessions).toHaveLength(2);
    },
  );

  it('RFC 4787 REQ-9: hairpinning, and REQ-9a: with the external address and port as the source', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(udp(`${B}:6000`, DNS));
    const outside = w.outOctets(udp(`${A}:5000`, ext(6000)));
    expect(w.in(outside)).toBe(`udp ${ext(5000)} > ${B}:6000`);
    expect(w.hairpin(udp(`${B}:6000`, ext(5000)))).toBe(`udp ${ext(6000)} > ${A}:5000`);
    expect(w.sessions).toEqual([
      `udp 10.1.0.10:5000 = 5000 > ${ext(6000)} answered`,
      `udp 10.1.0.11:6000 = 6000 > ${DNS} unanswered`,
      `udp 10.1.0.11:6000 = 6000 > ${ext(5000)} answered`,
    ]);
  });

  it('RFC 4787 REQ-9: the filter holds for hairpinning', () => {
    const w = new World();
    w.out(udp(`${B}:6000`, DNS));
    expect(w.hairpin(udp(`${A}:5000`, ext(6000)))).toBe('natFiltered');
    expect(w.hairpin(udp(`${B}:6000`, ext(5000)))).toBe(`udp ${ext(6000)} > ${A}:5000`);
    expect(w.hairpin(udp(`${A}:5000`, ext(6000)))).toBe(`udp ${ext(5000)} > ${B}:6000`);
  });

  it('RFC 4787 REQ-9: a host reaches itself by its external endpoint', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(udp(`${A}:5000`, DNS));
    expect(w.hairpin(udp(`${A}:5001`, ext(5000)))).toBe(`udp ${ext(5001)} > ${A}:5000`);
  });

  it('RFC 4787 REQ-11: neither conflicts nor many sessions change the behaviour', () => {
    const w = new World();
    w.out(udp(`${A}:5000`, DNS));
    for (let port = 1024; port < 3024; port++) w.out(udp(`${C}:${port}`, DNS));
    // B's 5000 is taken: B has another port, mapped and filtered like any.
    const port = Number(/:(\d+) >/.exec(w.out(udp(`${B}:5000`, DNS)))![1]);
    expect(w.out(udp(`${B}:5000`, OTHER))).toBe(`udp ${ext(port)} > ${OTHER}`);
    expect(w.in(udp('192.0.2.1:9999', ext(port)))).toBe(`udp 192.0.2.1:9999 > ${B}:5000`);
    expect(w.in(udp('192.0.2.2:53', ext(port)))).toBe('natFiltered');
    // Once free again, a port is preserved again.
    w.wait(121);
    expect(w.out(udp(`${B}:5000`, DNS))).toBe(`udp ${ext(5000)} > ${DNS}`);
  });

  it('RFC 4787 REQ-12: ICMP errors end no mapping, whoever they are from (REQ-12a)', () => {
    const w = new World();
    const outside = w.outOctets(udp(`${A}:5000`, DNS));
    for (let i = 0; i < 3; i++) {
      expect(w.in(error('198.51.100.254', EXTERNAL, outside))).toBe(
        `error 3/3 198.51.100.254 > ${A} (udp ${A}:5000 > ${DNS})`,
      );
    }
    expect(w.in(udp(DNS, ext(5000)))).toBe(`udp ${DNS} > ${A}:5000`);
  });

  it('RFC 768: a checksum of zero stays zero, and one that becomes zero is sent as 0xffff', () => {
    const w = new World();
    const none = udp(`${A}:5000`, DNS);
    none.set([0, 0], 26);
    const out = w.outOctets(none);
    expect([out[26], out[27]]).toEqual([0, 0]);
    // What the checksum is over zeros makes it zero when it stands in the data itself.
    const zeros = w.outOctets(udp(`${A}:5000`, DNS, Uint8Array.of(0, 0)));
    const full = w.outOctets(udp(`${A}:5000`, DNS, zeros.slice(26, 28)));
    expect([full[26], full[27]]).toEqual([0xff, 0xff]);
  });

  it('RFC 3022 §4.1: TTL, TOS, identification, options and data are as they were', () => {
    const w = new World();
    const fields = { ttl: 3, tos: 0xb8, id: 0xbeef, df: true, options: [148, 4, 0, 0] };
    const before = udp(`${A}:5000`, DNS, undefined, fields);
    const after = w.outOctets(before);
    const untouched = (octets: Uint8Array): Uint8Array => {
      const copy = octets.slice();
      for (const [from, to] of [
        [10, 16],
        [24, 26],
        [30, 32],
      ] as const)
        copy.fill(0, from, to);
      return copy;
    };
    expect(untouched(after)).toEqual(untouched(before));
  });
});
