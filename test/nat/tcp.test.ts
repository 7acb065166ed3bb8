import { describe, expect, it } from 'vitest';
import { ACK, be, EXTERNAL, error, FIN, RST, SYN, tcp, World } from './fixture.ts';

const [A, B] = ['10.1.0.10:5000', '10.1.0.11:5000'];
const [WEB, OTHER] = ['192.0.2.1:443', '198.51.100.7:443'];
const OUTSIDE = `${EXTERNAL}:5000`;

/** A world in which A has a connection to WEB. */
function connected(options = {}): World {
  const w = new World(options);
  expect(w.out(tcp(A, WEB, SYN))).toBe(`tcp ${OUTSIDE} > ${WEB} SYN`);
  expect(w.in(tcp(WEB, OUTSIDE, SYN | ACK))).toBe(`tcp ${WEB} > ${A} SYN,ACK`);
  expect(w.out(tcp(A, WEB, ACK))).toBe(`tcp ${OUTSIDE} > ${WEB} ACK`);
  return w;
}
const stateOf = (w: World): string => w.sessions[0]?.split(' ').at(-1) ?? 'gone';
const secondsLeft = (w: World): number => [...w.nat.sessions()][0]!.secondsLeft;

describe('NAT of TCP', () => {
  it('RFC 5382 REQ-1: a mapping is the same towards every endpoint', () => {
    const w = connected();
    expect(w.out(tcp(A, OTHER, SYN))).toBe(`tcp ${OUTSIDE} > ${OTHER} SYN`);
    const port = Number(/:(\d+) >/.exec(w.out(tcp(B, WEB, SYN)))![1]);
    expect(w.out(tcp(B, OTHER, SYN))).toBe(`tcp ${EXTERNAL}:${port} > ${OTHER} SYN`);
  });

  it('RFC 5382 REQ-2: a connection from inside, both ends closing', () => {
    const w = connected();
    expect(stateOf(w)).toBe('established');
    expect(w.in(tcp(WEB, OUTSIDE, FIN | ACK))).toBe(`tcp ${WEB} > ${A} FIN,ACK`);
    expect(stateOf(w)).toBe('half-closed');
    w.out(tcp(A, WEB, ACK));
    expect(secondsLeft(w)).toBe(1800);
    w.out(tcp(A, WEB, FIN | ACK));
    expect(stateOf(w)).toBe('closed');
    expect(secondsLeft(w)).toBe(120);
    expect(w.in(tcp(WEB, OUTSIDE, ACK))).toBe(`tcp ${WEB} > ${A} ACK`);
    w.wait(120);
    expect(stateOf(w)).toBe('gone');
  });

  it('RFC 5382 REQ-2: a connection from outside, where a rule permits it', () => {
    const w = new World({ rules: ['tcp 80 > 10.1.0.10:8080'] });
    expect(w.in(tcp(WEB, `${EXTERNAL}:80`, SYN))).toBe(`tcp ${WEB} > 10.1.0.10:8080 SYN`);
    expect(w.out(tcp('10.1.0.10:8080', WEB, SYN | ACK))).toBe(`tcp ${EXTERNAL}:80 > ${WEB} SYN,ACK`);
    expect(stateOf(w)).toBe('opening');
    w.in(tcp(WEB, `${EXTERNAL}:80`, ACK));
    expect(stateOf(w)).toBe('established');
  });

  it('RFC 5382 REQ-2a: simultaneous open', () => {
    const w = new World();
    w.out(tcp(A, WEB, SYN));
    expect(w.in(tcp(WEB, OUTSIDE, SYN))).toBe(`tcp ${WEB} > ${A} SYN`);
    w.out(tcp(A, WEB, SYN | ACK));
    w.in(tcp(WEB, OUTSIDE, SYN | ACK));
    w.out(tcp(A, WEB, ACK));
    expect(stateOf(w)).toBe('established');
    expect(w.nat.counters.created).toBe(1);
  });

  it('RFC 5382 REQ-2: no segment but a SYN begins a session, from either side', () => {
    const w = new World({ rules: ['tcp 80 > 10.1.0.10:8080'], filtering: 'endpoint-independent' });
    for (const flags of [ACK, SYN | ACK, RST, RST | ACK, FIN, FIN | ACK, 0, SYN | FIN, SYN | RST]) {
      expect(w.out(tcp(A, WEB, flags))).toBe('natNoSession');
      expect(w.in(tcp(WEB, `${EXTERNAL}:80`, flags))).toBe('natNoSession');
    }
    w.out(tcp(A, WEB, SYN));
    expect(w.in(tcp(OTHER, OUTSIDE, ACK))).toBe('natNoSession');
    expect(w.nat.counters.created).toBe(1);
  });

  it('RFC 5382 REQ-3: filtering is by address, or endpoint-independent', () => {
    const strict = connected();
    expect(strict.in(tcp('192.0.2.1:7', OUTSIDE, SYN))).toBe(`tcp 192.0.2.1:7 > ${A} SYN`);
    expect(strict.in(tcp(OTHER, OUTSIDE, SYN))).toBe('natFiltered');
    const open = connected({ filtering: 'endpoint-independent' });
    expect(open.in(tcp(OTHER, OUTSIDE, SYN))).toBe(`tcp ${OTHER} > ${A} SYN`);
  });

  it('RFC 5382 REQ-4: an unsolicited SYN is dropped in silence, and the own one goes on', () => {
    const w = connected();
    expect(w.in(tcp(OTHER, OUTSIDE, SYN))).toBe('natFiltered');
    w.wait(3);
    expect(w.out(tcp(A, OTHER, SYN))).toBe(`tcp ${OUTSIDE} > ${OTHER} SYN`);
    expect(w.in(tcp(OTHER, OUTSIDE, SYN))).toBe(`tcp ${OTHER} > ${A} SYN`);
  });

  it('RFC 5382 REQ-5: established connections stay for their idle timeout, others for the transitory one', () => {
    const w = connected();
    w.wait(1799);
    expect(w.in(tcp(WEB, OUTSIDE, ACK))).toBe(`tcp ${WEB} > ${A} ACK`);
    w.wait(1799);
    expect(w.out(tcp(A, WEB, ACK))).toBe(`tcp ${OUTSIDE} > ${WEB} ACK`);
    w.wait(1800);
    expect(stateOf(w)).toBe('gone');
    w.out(tcp(A, WEB, SYN));
    w.wait(119);
    expect(stateOf(w)).toBe('opening');
    w.wait(1);
    expect(stateOf(w)).toBe('gone');
  });

  it('RFC 5382 REQ-5a: both can be configured as it asks', () => {
    const w = connected({ timeouts: { tcpEstablishedSeconds: 7440, tcpTransientSeconds: 240 } });
    w.wait(7439);
    expect(stateOf(w)).toBe('established');
    w.out(tcp(A, OTHER, SYN));
    w.wait(239);
    expect(w.sessions).toEqual([`tcp ${A} = 5000 > ${OTHER} opening`]);
  });

  it('RFC 5382 §5: a SYN that only the inner host answers makes no long session', () => {
    const w = new World({ rules: ['tcp 80 > 10.1.0.10:8080'] });
    w.in(tcp(WEB, `${EXTERNAL}:80`, SYN));
    for (let i = 0; i < 3; i++) {
      w.in(tcp(WEB, `${EXTERNAL}:80`, SYN));
      w.out(tcp('10.1.0.10:8080', WEB, SYN | ACK));
    }
    expect(secondsLeft(w)).toBe(120);
    expect(w.out(tcp('10.1.0.10:8080', WEB, ACK))).toContain('ACK');
    expect(stateOf(w)).toBe('opening');
  });

  it('RFC 5382 REQ-7: the external ports of two hosts differ, parity or range or not', () => {
    const w = new World();
    const ports = new Set<string>();
    for (let host = 1; host < 250; host++) ports.add(w.out(tcp(`10.1.0.${host}:443`, WEB, SYN)));
    expect(ports.size).toBe(249);
  });

  it('RFC 5382 REQ-8: hairpinning, with the external address and port as the source (REQ-8a)', () => {
    const w = new World({ rules: ['tcp 80 > 10.1.0.11:8080'] });
    const web = `${EXTERNAL}:80`;
    expect(w.hairpin(tcp(A, web, SYN))).toBe(`tcp ${OUTSIDE} > 10.1.0.11:8080 SYN`);
    expect(w.hairpin(tcp('10.1.0.11:8080', OUTSIDE, SYN | ACK))).toBe(`tcp ${web} > ${A} SYN,ACK`);
    expect(w.hairpin(tcp(A, web, ACK))).toBe(`tcp ${OUTSIDE} > 10.1.0.11:8080 ACK`);
    expect(w.sessions).toEqual([
      `tcp 10.1.0.10:5000 = 5000 > ${web} established`,
      `tcp 10.1.0.11:8080 = 80 > ${OUTSIDE} established`,
    ]);
  });

  it('RFC 5382 REQ-9: Destination Unreachable is translated, and REQ-10: ends nothing', () => {
    const w = new World();
    const syn = w.outOctets(tcp(A, WEB, SYN));
    expect(w.in(error('192.0.2.254', EXTERNAL, syn, { code: 1, quoted: 40 }))).toBe(
      `error 3/1 192.0.2.254 > 10.1.0.10 (tcp ${A} > ${WEB} SYN)`,
    );
    expect(stateOf(w)).toBe('opening');
    expect(w.in(tcp(WEB, OUTSIDE, SYN | ACK))).toBe(`tcp ${WEB} > ${A} SYN,ACK`);
  });

  it('RFC 9293 §3.6.1: the ports of a closed connection may begin another one', () => {
    const w = connected();
    w.out(tcp(A, WEB, FIN | ACK));
    w.in(tcp(WEB, OUTSIDE, FIN | ACK));
    w.out(tcp(A, WEB, ACK));
    expect(stateOf(w)).toBe('closed');
    w.out(tcp(A, WEB, SYN));
    expect(stateOf(w)).toBe('opening');
    w.in(tcp(WEB, OUTSIDE, SYN | ACK));
    w.out(tcp(A, WEB, ACK));
    expect(stateOf(w)).toBe('established');
  });

  it('RFC 9293 §3.10.7.4: a SYN within an established connection changes nothing', () => {
    const w = connected();
    w.in(tcp(WEB, OUTSIDE, SYN));
    w.out(tcp(A, WEB, SYN));
    expect(stateOf(w)).toBe('established');
  });

  it('RFC 1624 §3: a checksum that was wrong stays wrong', () => {
    const w = connected();
    const wrong = tcp(A, WEB, ACK);
    wrong[36]! ^= 0x40;
    const right = w.outOctets(tcp(A, WEB, ACK));
    const before = be(wrong, 36) - be(tcp(A, WEB, ACK), 36);
    // The fixture expects every checksum to be right.
    expect(() => w.out(wrong)).toThrow(/transport checksum/);
    const [packet] = [...w.nat.sessions()];
    expect(packet!.packetsOut).toBe(4);
    expect(be(right, 36)).toBeGreaterThan(0);
    expect(Math.abs(before)).toBe(0x4000);
  });
});

describe('what a NAT tracks of TCP', () => {
  it('RFC 7857 §2: states and their timeouts', () => {
    const w = new World();
    const seen: string[] = [];
    const note = (from: 'out' | 'in', flags: number): void => {
      if (from === 'out') w.out(tcp(A, WEB, flags));
      else w.in(tcp(WEB, OUTSIDE, flags));
      seen.push(`${stateOf(w)} ${secondsLeft(w)}`);
      w.wait(1);
    };
    note('out', SYN);
    note('in', SYN | ACK);
    note('out', ACK);
    note('in', ACK);
    note('out', FIN | ACK);
    note('in', ACK);
    note('in', FIN | ACK);
    note('in', ACK);
    note('out', ACK);
    expect(seen).toEqual([
      'opening 120',
      'opening 119',
      'established 1800',
      'established 1800',
      'half-closed 1800',
      'half-closed 1800',
      'closed 120',
      'closed 119',
      'closed 120',
    ]);
  });

  it('RFC 7857 §2.1: the transitory timeout may be short', () => {
    const w = new World({ timeouts: { tcpTransientSeconds: 5 } });
    w.out(tcp(A, WEB, SYN));
    w.wait(5);
    expect(w.in(tcp(WEB, OUTSIDE, SYN | ACK))).toBe('natNoSession');
  });

  it('RFC 7857 §2.2: a RST is translated and the session waits before it goes', () => {
    const w = connected();
    expect(w.in(tcp(WEB, OUTSIDE, RST))).toBe(`tcp ${WEB} > ${A} RST`);
    expect(stateOf(w)).toBe('reset');
    expect(secondsLeft(w)).toBe(120);
    w.wait(60);
    expect(w.in(tcp(WEB, OUTSIDE, RST))).toBe(`tcp ${WEB} > ${A} RST`);
    expect(secondsLeft(w)).toBe(60);
    w.wait(60);
    expect(stateOf(w)).toBe('gone');
  });

  it('RFC 7857 §2.2: a RST that was not meant, or forged, is taken back by the next segment', () => {
    const w = connected();
    w.in(tcp(WEB, OUTSIDE, RST));
    w.wait(60);
    expect(w.out(tcp(A, WEB, ACK))).toBe(`tcp ${OUTSIDE} > ${WEB} ACK`);
    expect(stateOf(w)).toBe('established');
    expect(secondsLeft(w)).toBe(1800);
  });

  it('RFC 7857 §7.1: a RST from inside prolongs nothing', () => {
    const w = connected();
    w.in(tcp(WEB, OUTSIDE, RST));
    w.wait(60);
    w.out(tcp(A, WEB, RST));
    expect(secondsLeft(w)).toBe(60);
  });

  it('RFC 7857 §7: SYNs from outside keep no mapping', () => {
    const w = new World({ filtering: 'endpoint-independent' });
    w.out(tcp(A, WEB, SYN));
    for (let i = 1; i < 12; i++) {
      w.wait(10);
      expect(w.in(tcp(`198.51.100.${i}:9`, OUTSIDE, SYN))).toContain(A);
    }
    w.wait(10);
    expect(w.sessions).toEqual([]);
  });
});
