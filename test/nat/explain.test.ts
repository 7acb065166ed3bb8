import { describe, expect, it } from 'vitest';
import { DROP_NAMES, PASS } from '../../src/ip/index.ts';
import { explainInbound, explainOutbound, type NatExplanation } from '../../src/nat/index.ts';
import { EXTERNAL, flow, num, SYN, tcp, text, udp, World, type WorldOptions } from './fixture.ts';

const [A, B] = ['10.1.0.10:5000', '10.1.0.11:5000'];
const [DNS, OTHER] = ['192.0.2.1:53', '198.51.100.7:9'];
const ext = (port: number): string => `${EXTERNAL}:${port}`;

const out = (w: World, protocol: number, from: string, to: string, opens?: boolean): NatExplanation =>
  explainOutbound(w.nat, flow(protocol, from, to, opens));
const into = (w: World, protocol: number, from: string, to: string, opens?: boolean): NatExplanation =>
  explainInbound(w.nat, flow(protocol, from, to, opens));

describe('what a NAT would do', () => {
  it('outbound: by session, rule, mapping, the port itself, another port', () => {
    const w = new World({ rules: ['udp 53 > 10.1.0.11:53'] });
    expect(out(w, 17, A, DNS)).toEqual({
      verdict: PASS,
      words: ['no session of udp 10.1.0.10:5000 with 192.0.2.1:53', 'external port 5000 is free, and kept'],
      translated: { address: num(EXTERNAL), port: 5000 },
    });
    expect(w.nat.counters.created).toBe(0);
    w.out(udp(A, DNS));
    const known = out(w, 17, A, DNS);
    expect(known.words).toEqual([
      'session udp 10.1.0.10:5000 = 203.0.113.50:5000 with 192.0.2.1:53, unanswered, 120 s left',
    ]);
    expect(known.session).toMatchObject({ innerPort: 5000, packetsOut: 1 });
    expect(out(w, 17, A, OTHER).words.at(-1)).toBe('udp 10.1.0.10:5000 is mapped to external port 5000 already');
    expect(out(w, 17, '10.1.0.11:53', OTHER).words.at(-1)).toBe('a rule gives udp 10.1.0.11:53 the external port 53');
    const drawn = out(w, 17, B, DNS);
    expect(drawn.words.slice(1)).toEqual([
      'external port 5000 is taken',
      'another one of its range and parity is drawn, if there is one',
    ]);
    expect(drawn.translated).toEqual({ address: num(EXTERNAL) });
  });

  it('outbound: why not', () => {
    const w = new World({ limits: { sessions: 2 }, ports: { first: 2000, last: 2000 } });
    expect(out(w, 47, A, DNS)).toEqual({
      verdict: 51,
      words: ['gre has no ports', 'a protocol that has nothing for NAT to translate'],
    });
    expect(out(w, 6, A, DNS, false).words.at(-1)).toBe('no NAT session and no rule for it');
    w.out(udp(A, DNS));
    expect(out(w, 17, B, DNS).words.slice(1)).toEqual([
      'external port 5000 is not for dynamic mappings',
      'every external port of the NAT address is in use',
    ]);
    w.out(udp(A, OTHER));
    expect(out(w, 17, B, DNS).words.slice(1)).toEqual([
      '2 sessions are the limit',
      'the NAT sessions of the tenant are at their limit',
    ]);
  });

  it('inbound: by session, rule, filter', () => {
    const w = new World({ rules: ['tcp 443 > 10.1.0.10:8443'] });
    w.out(udp(A, DNS));
    expect(into(w, 17, DNS, ext(5000))).toMatchObject({
      verdict: PASS,
      translated: { address: num('10.1.0.10'), port: 5000 },
    });
    expect(into(w, 17, '192.0.2.1:9', ext(5000)).words).toEqual([
      'no session of udp port 5000 with 192.0.2.1:9',
      'filtering by address lets it in to 10.1.0.10:5000',
    ]);
    expect(into(w, 17, OTHER, ext(5000)).words.slice(1)).toEqual([
      'filtering is by address',
      'from an address the session has not sent to',
    ]);
    expect(into(w, 6, OTHER, ext(443)).words.slice(1)).toEqual(['a rule leads tcp port 443 to 10.1.0.10:8443']);
    expect(into(w, 6, OTHER, ext(443), false).verdict).not.toBe(PASS);
    expect(into(w, 6, OTHER, ext(444)).words.at(-1)).toBe('no NAT session and no rule for it');
    expect(into(w, 6, OTHER, '203.0.113.51:443').words[0]).toBe(
      '203.0.113.51 is not the external address 203.0.113.50',
    );
    expect(w.nat.counters).toMatchObject({ created: 1 });
  });

  it('is what happens then', () => {
    const ends = ['10.1.0.10:2000', '10.1.0.10:2001', '10.1.0.11:2000', '10.1.0.12:53'];
    const remotes = ['192.0.2.1:53', '192.0.2.1:54', '192.0.2.2:53'];
    const options: WorldOptions[] = [
      { ports: { first: 2000, last: 2001 } },
      { rules: ['udp 53 > 10.1.0.12:53', 'udp 54 > 10.1.0.12:53', 'tcp 2000 > 10.1.0.12:1'], limits: { sessions: 9 } },
      { filtering: 'endpoint-independent' },
      { filtering: 'address-and-port' },
    ];
    for (const option of options) {
      const w = new World(option);
      for (let i = 0; i < 200; i++) {
        const [end, remote] = [ends[(i * 7) % 4]!, remotes[(i * 5) % 3]!];
        const [protocol, make] = i % 3 === 0 ? ([6, tcp] as const) : ([17, udp] as const);
        const inbound = i % 5 < 3;
        const target = ext([53, 54, 2000, 2001, 2002][(i * 11) % 5]!);
        const expected = inbound ? into(w, protocol, remote, target) : out(w, protocol, end, remote);
        const packet =
          make === tcp
            ? tcp(inbound ? remote : end, inbound ? target : remote, SYN)
            : udp(inbound ? remote : end, inbound ? target : remote);
        const got = inbound ? w.in(packet) : w.out(packet);
        if (expected.verdict !== PASS) expect(got).toBe(DROP_NAMES[expected.verdict]);
        else {
          const { address, port } = expected.translated!;
          const shown = `${text(address)}:${port ?? ''}`;
          expect(got).toContain(inbound ? `> ${shown}` : ` ${shown}`);
        }
      }
    }
  });
});
