import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, Reader, toHex, Writer } from '../../src/core/index.ts';
import * as ike from '../../src/ike/index.ts';
import { formatSelector, matches, parseAddress, parseSelector, type TrafficSelector } from '../../src/ip/index.ts';

const ts = (...texts: readonly string[]): TrafficSelector[] => texts.map((text) => parseSelector(text)!);
const text = (selectors: readonly TrafficSelector[]) => selectors.map(formatSelector);
const narrowed = (configured: readonly string[], offered: readonly string[]) =>
  text(ike.narrow(ts(...configured), ts(...offered)));

describe('RFC 7296 §3.13: the payload body', () => {
  it('both families, and types nobody knows', () => {
    const octets = fromHex(
      '03000000' +
        '070600100050ffff0a0100000a0100ff' +
        `08000028${'0000ffff'}20010db8000000000000000000000000${'20010db800000000ffffffffffffffff'}` +
        '0a110008deadbeef',
    );
    const decoded = ike.decodeSelectors(new Reader(octets));
    expect(text(decoded.selectors)).toEqual(['10.1.0.0/24[tcp/80-65535]', '2001:db8::/64']);
    expect(decoded.unknown).toEqual([{ type: 10, protocol: 17, data: fromHex('deadbeef') }]);
    const w = new Writer();
    ike.encodeSelectors(w, decoded.selectors, decoded.unknown);
    expect(toHex(w.finish())).toBe(toHex(octets));
  });
});

describe('RFC 7296 §2.9: narrowing', () => {
  it.each([
    ['equal', ['10.1.0.0/24'], ['10.1.0.0/24'], ['10.1.0.0/24']],
    ['theirs wider', ['10.1.0.0/24'], ['10.0.0.0/8'], ['10.1.0.0/24']],
    ['theirs narrower', ['10.0.0.0/8'], ['10.1.0.0/24'], ['10.1.0.0/24']],
    ['overlap', ['10.1.0.0..10.1.0.100'], ['10.1.0.50..10.1.0.200'], ['10.1.0.50..10.1.0.100']],
    ['disjoint', ['10.1.0.0/24'], ['10.2.0.0/24'], []],
    ['other family', ['10.1.0.0/24'], ['2001:db8::/32'], []],
    [
      'several of theirs in one of ours',
      ['10.0.0.0/8'],
      ['10.1.0.0/24', '10.2.0.0/24'],
      ['10.1.0.0/24', '10.2.0.0/24'],
    ],
    ['several of ours in one of theirs', ['10.1.0.0/24', '10.2.0.0/24'], ['0.0.0.0/0'], ['10.1.0.0/24', '10.2.0.0/24']],
    ['the packet in front stays covered', ['10.1.0.0/24'], ['10.1.0.5/32[tcp/80]', '10.1.0.0/16'], ['10.1.0.0/24']],
    ['only the packet is acceptable', ['10.1.0.5/32'], ['10.1.0.5/32[tcp/80]', '10.9.0.0/16'], ['10.1.0.5/32[tcp/80]']],
    ['protocols', ['10.1.0.0/24[tcp]'], ['10.1.0.0/24', '10.2.0.0/24'], ['10.1.0.0/24[tcp]']],
    ['ports', ['10.1.0.0/24[tcp/1-1000]'], ['10.1.0.0/24[tcp/80-2000]'], ['10.1.0.0/24[tcp/80-1000]']],
    ['other protocol', ['10.1.0.0/24[tcp]'], ['10.1.0.0/24[udp]'], []],
    ['OPAQUE is within ANY', ['10.1.0.0/24'], ['10.1.0.0/24[tcp/OPAQUE]'], ['10.1.0.0/24[tcp/OPAQUE]']],
  ] as const)('%s', (_, configured, offered, expected) => {
    expect(narrowed(configured, offered)).toEqual(expected);
  });

  it('stops at 128 selectors', () => {
    const many = ts(...Array.from({ length: 255 }, (_, i) => `10.0.${i}.0/24`));
    expect(ike.narrow(ts('10.0.0.0/8'), many).length).toBe(128);
  });

  it('equals a naive model: a packet is within the answer when it is within the offer and the configuration', () => {
    const small = fc
      .record({
        start: fc.nat({ max: 15 }),
        length: fc.nat({ max: 15 }),
        protocol: fc.constantFrom(0, 6, 17),
        ports: fc.constantFrom([0, 65535], [0, 3], [2, 9], [5, 5]),
      })
      .map(
        ({ start, length, protocol, ports }): TrafficSelector => ({
          protocol,
          startPort: ports[0]!,
          endPort: ports[1]!,
          start: Uint8Array.of(10, 0, 0, start),
          end: Uint8Array.of(10, 0, 0, start + length),
        }),
      );
    const list = fc.array(small, { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(list, list, (configured, offered) => {
        const answer = ike.narrow(configured, offered);
        const within = (set: readonly TrafficSelector[], last: number, protocol: number, port: number) =>
          set.some((s) => matches(s, Uint8Array.of(10, 0, 0, last), protocol, port));
        for (let last = 0; last < 31; last++) {
          for (const protocol of [6, 17, 1]) {
            for (const port of [0, 2, 5, 9, 10]) {
              const both = within(configured, last, protocol, port) && within(offered, last, protocol, port);
              expect(within(answer, last, protocol, port)).toBe(both);
            }
          }
        }
        // No selector of the answer is within another one.
        for (const a of answer)
          expect(
            ike
              .narrow(
                [a],
                answer.filter((b) => b !== a),
              )
              .map(formatSelector),
          ).not.toContain(formatSelector(a));
        // The first choice of the offer survives whole where the configuration has it whole.
        const first = offered[0]!;
        if (text(ike.narrow(configured, [first])).includes(formatSelector(first))) {
          expect(text(ike.narrow(answer, [first]))).toContain(formatSelector(first));
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('a responder’s answer', () => {
  const pair = (local: readonly string[], remote: readonly string[]) => ({
    local: ts(...local),
    remote: ts(...remote),
  });
  const shown = (result: ike.Narrowed) =>
    result.ok ? { local: text(result.pair.local), remote: text(result.pair.remote) } : result.lines;
  const configured = pair(['10.1.0.0/24'], ['10.2.0.0/24', '2001:db8:2::/48']);

  it('both sides', () => {
    expect(shown(ike.narrowPair(configured, pair(['10.0.0.0/8'], ['10.2.0.0/25'])))).toEqual({
      local: ['10.1.0.0/24'],
      remote: ['10.2.0.0/25'],
    });
  });

  it('says what was offered and what is configured, side by side', () => {
    expect(shown(ike.narrowPair(configured, pair(['10.9.0.0/24'], ['10.2.0.0/24'])))).toEqual([
      'local: offered 10.9.0.0/24, configured 10.1.0.0/24: nothing in common',
    ]);
    expect(shown(ike.narrowPair(configured, pair([], ['10.8.0.0/24', '10.9.0.0/24[tcp/80]'])))).toEqual([
      'local: offered nothing, configured 10.1.0.0/24: nothing in common',
      'remote: offered 10.8.0.0/24, 10.9.0.0/24[tcp/80], configured 10.2.0.0/24, 2001:db8:2::/48: nothing in common',
    ]);
  });

  it('leaves out a family that only one side has', () => {
    expect(shown(ike.narrowPair(configured, pair(['0.0.0.0/0'], ['0.0.0.0/0', '::/0'])))).toEqual({
      local: ['10.1.0.0/24'],
      remote: ['10.2.0.0/24'],
    });
    expect(shown(ike.narrowPair(configured, pair(['0.0.0.0/0'], ['::/0'])))).toEqual([
      'local 10.1.0.0/24 and remote 2001:db8:2::/48 have no address family in common',
    ]);
  });

  it('§2.9.2: a rekey never ends below what the SA in use carries', () => {
    const inUse = pair(['10.1.0.0/24'], ['10.2.0.0/25']);
    expect(ike.narrowPair(configured, pair(['10.1.0.0/24'], ['10.2.0.0/24']), inUse).ok).toBe(true);
    expect(shown(ike.narrowPair(configured, pair(['10.1.0.7/32'], ['10.2.0.0/24']), inUse))).toEqual([
      'local: the rekey would lose 10.1.0.0/24, which the SA in use carries',
    ]);
  });

  it('is checked by the initiator', () => {
    const offered = pair(['10.1.0.0/24'], ['10.2.0.0/24']);
    expect(ike.checkNarrowed(offered, pair(['10.1.0.0/25'], ['10.2.0.7/32'])).ok).toBe(true);
    expect(shown(ike.checkNarrowed(offered, pair(['10.1.0.0/24'], ['10.2.0.0/16'])))).toEqual([
      'remote: the answer holds 10.2.0.0/16, beyond the offered 10.2.0.0/24',
    ]);
    expect(shown(ike.checkNarrowed(offered, pair([], ['10.2.0.0/24'])))).toEqual([
      'local: the answer holds no selector that is understood here',
    ]);
    const backwards = { ...ts('10.1.0.0/24')[0]!, start: parseAddress('10.1.0.9')!, end: parseAddress('10.1.0.1')! };
    expect(ike.checkNarrowed(offered, { local: [backwards], remote: offered.remote }).ok).toBe(false);
  });
});

describe('RFC 7296 §2.9: the packet that asked for the tunnel comes first', () => {
  const configured = { local: ts('10.1.0.0/24'), remote: ts('10.2.0.0/24', '10.3.0.0/24') };
  const packet = (protocol: number, source = '10.1.0.5', destination = '10.3.0.9') => ({
    source: parseAddress(source)!,
    destination: parseAddress(destination)!,
    protocol,
    sourcePort: 40000,
    destinationPort: 443,
  });
  const offered = (p: ike.PacketSelector | undefined) => {
    const { local, remote } = ike.offerSelectors(configured, p);
    return [text(local), text(remote)];
  };

  it('with its ports where the protocol has ports', () => {
    expect(offered(packet(6))).toEqual([
      ['10.1.0.5/32[tcp/40000]', '10.1.0.0/24'],
      ['10.3.0.9/32[tcp/443]', '10.2.0.0/24', '10.3.0.0/24'],
    ]);
  });

  it('of ICMP without type: the answer has another one', () => {
    expect(offered(packet(1))[0]).toEqual(['10.1.0.5/32[icmp]', '10.1.0.0/24']);
  });

  it('only if the configuration covers it', () => {
    expect(offered(packet(6, '10.9.0.1'))).toEqual([['10.1.0.0/24'], ['10.2.0.0/24', '10.3.0.0/24']]);
    expect(offered(undefined)).toEqual([['10.1.0.0/24'], ['10.2.0.0/24', '10.3.0.0/24']]);
  });
});
