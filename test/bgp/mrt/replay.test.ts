import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CodecContext,
  countNlri,
  decodeRecord,
  decodeUpdate,
  encodeEndOfRib,
  encodeUpdate,
  IPV4_UNICAST,
  IPV6_UNICAST,
  joinNextHop,
  type MessageRecord,
  type MrtRecord,
  MrtReplay,
  MrtSurvey,
  newUpdateView,
  type RibRecord,
  splitNextHop,
  UpdatePacker,
  viewUpdate,
} from '../../../src/bgp/index.ts';
import { type Bytes, concat, fromHex, parse, toHex, WireError } from '../../../src/core/index.ts';
import { formatPrefix, parseAddress, parsePrefix } from '../../../src/ip/index.ts';
import { nlri, octets } from '../message/arbitraries.ts';
import { EBGP } from '../message/contexts.ts';
import { framesOf, type MrtFile, mrtOctets } from './files.ts';

const SEND: CodecContext = { ...EBGP, families: [IPV4_UNICAST, IPV6_UNICAST] };
const PATHS: CodecContext = { ...SEND, addPath: [IPV4_UNICAST] };
const BIRD = { address: parseAddress('10.254.7.2')!, asn: 65002 };
const OWN4 = parseAddress('192.0.2.9')!;
const OWN6 = parseAddress('2001:db8::9')!;

const readable = (name: MrtFile): MrtRecord[] =>
  framesOf(mrtOctets(name)).flatMap((frame) => {
    const parsed = parse(() => decodeRecord(frame));
    return parsed.ok ? [parsed.value] : [];
  });

const surveyOf = (records: readonly MrtRecord[]): MrtSurvey => {
  const survey = new MrtSurvey();
  for (const record of records) survey.add(record);
  return survey;
};

function replayed(records: readonly MrtRecord[], replay: MrtReplay): Bytes[] {
  const messages = records.flatMap((record) => replay.take(record));
  return [...messages, ...replay.end()];
}

/** Every prefix that messages announce, with the next hop it has. */
function announced(messages: readonly Bytes[], context: CodecContext): string[] {
  return messages.flatMap((message) => {
    const out = decodeUpdate(message, context);
    if (out.treatment !== 'none') throw new Error(out.faults.map((fault) => fault.why).join());
    const { attributes, nlri } = out.update;
    return [
      ...nlri.map(({ prefix }) => formatPrefix(prefix)),
      ...attributes.flatMap(({ value }) =>
        value.name === 'mpReach' ? value.nlri.map(({ prefix }) => formatPrefix(prefix)) : [],
      ),
    ].sort();
  });
}

describe('what is in an MRT file', () => {
  it('BIRD: a table with path identifiers nowhere, its own routes among those of a peer', () => {
    const { peers } = surveyOf(readable('bird-table'));
    expect(peers.map(({ asn, identifier, routes, updates }) => [asn, identifier, routes, updates])).toEqual([
      [0, 0, 30, 0],
      [65001, 0xc0000201, 4, 0],
    ]);
  });

  it('FRR: messages of one peer, of both families, of which IPv4 has path identifiers', () => {
    const { peers, records, others } = surveyOf(readable('frr-messages'));
    expect(records).toBe(20);
    expect(others).toBe(0);
    expect(peers).toEqual([
      {
        ...BIRD,
        identifier: 0xc0000202,
        routes: 0,
        updates: 5,
        twoOctetUpdates: 0,
        families: new Set([IPV4_UNICAST, IPV6_UNICAST]),
        addPath: new Set([IPV4_UNICAST]),
      },
    ]);
  });
});

describe('RFC 6396 §4.3.4: next hops of RIB entries', () => {
  const rest = fromHex('40010100 40020602010000fdea c00804fdea0007');

  it.each([
    ['NEXT_HOP', IPV4_UNICAST, OWN4, '40010100 40020602010000fdea 400304c0000209 c00804fdea0007'],
    ['MP_REACH_NLRI', IPV6_UNICAST, OWN6, `40010100 40020602010000fdea c00804fdea0007 800e1110${toHex(OWN6)}`],
    [
      'MP_REACH_NLRI, RFC 8950',
      IPV4_UNICAST,
      OWN6,
      `40010100 40020602010000fdea c00804fdea0007 800e1110${toHex(OWN6)}`,
    ],
  ])('%s', (_, family, nextHop, hex) => {
    const joined = joinNextHop(family, { nextHop, attributes: rest });
    expect(toHex(joined)).toBe(toHex(fromHex(hex)));
    expect(splitNextHop(joined)).toEqual({ nextHop, attributes: rest });
  });

  it.each([
    ['an attribute beyond the end', '400101', 'attribute'],
    ['a next hop beyond its attribute', '800e0310aabb', 'MP_REACH_NLRI'],
    ['an empty MP_REACH_NLRI', '800e00', 'MP_REACH_NLRI'],
  ])('%s is a WireError', (_, hex, field) => {
    expect(parse(() => splitNextHop(fromHex(hex)))).toMatchObject({ ok: false, error: { field } });
  });

  it('law: whatever the octets are, an answer or a WireError comes', () => {
    fc.assert(
      fc.property(octets(0, 60), (block) => {
        const parsed = parse(() => splitNextHop(block));
        if (!parsed.ok) expect(parsed.error).toBeInstanceOf(WireError);
      }),
    );
  });
});

describe('routes packed into UPDATEs', () => {
  it('law: every route comes out once, no message is too long, equal attributes share messages', () => {
    const route = fc.record({
      ipv6: fc.boolean(),
      hop: fc.nat(1),
      attributes: fc.nat(2),
      pathId: fc.nat(9),
    });
    const arbitrary = fc.record({
      addPath: fc.boolean(),
      maximumLength: fc.constantFrom(150, 200, 4096),
      routes: fc.array(
        route.chain((r) => nlri(r.ipv6 ? 16 : 4).map(({ prefix }) => ({ ...r, prefix }))),
        {
          maxLength: 80,
        },
      ),
    });
    fc.assert(
      fc.property(arbitrary, ({ addPath, maximumLength, routes }) => {
        const packer = new UpdatePacker(maximumLength);
        const out: Bytes[] = [];
        for (const { ipv6, hop, attributes, pathId, prefix } of routes) {
          const full = packer.add({
            family: ipv6 ? IPV6_UNICAST : IPV4_UNICAST,
            prefix,
            nextHop: concat((ipv6 ? OWN6 : OWN4).subarray(0, -1), Uint8Array.of(hop + 1)),
            attributes: fromHex(`40010100 400200 8004040000000${attributes}`),
            ...(addPath ? { pathId } : {}),
          });
          if (full !== undefined) out.push(full);
        }
        out.push(...packer.rest());
        const context = { ...SEND, addPath: addPath ? [IPV4_UNICAST, IPV6_UNICAST] : [] };
        expect(packer.tooLong).toBe(0);
        expect(announced(out, context).sort()).toEqual(routes.map(({ prefix }) => formatPrefix(prefix)).sort());
        for (const message of out) expect(message.length).toBeLessThanOrEqual(maximumLength);
        if (maximumLength === 4096) {
          const kinds = new Set(routes.map(({ ipv6, hop, attributes }) => `${ipv6} ${hop} ${attributes}`));
          expect(out.length).toBe(kinds.size);
        }
      }),
    );
  });

  it('attributes that leave no room for a prefix are counted', () => {
    const packer = new UpdatePacker(4096);
    const attributes = concat(fromHex('d0640fdf'), new Uint8Array(0x0fdf));
    const route = { family: IPV4_UNICAST, prefix: parsePrefix('10.0.0.0/8')!, nextHop: OWN4, attributes };
    expect([packer.add(route), packer.tooLong, [...packer.rest()]]).toEqual([undefined, 1, []]);
  });
});

describe('replay of a table (TABLE_DUMP_V2)', () => {
  it('FRR: the routes of a peer, next hops replaced by ours', () => {
    const replay = new MrtReplay({ peer: BIRD, send: SEND, nextHops: [OWN4, OWN6] });
    const messages = replayed(readable('frr-table'), replay);
    expect(announced(messages, SEND)).toEqual([
      '0.0.0.0/0',
      '10.1.0.0/24',
      '10.1.1.0/24',
      '10.1.2.128/25',
      '10.3.3.3/32',
      '10.2.0.0/16',
      '2001:db8:1::/48',
      '2001:db8:2::/64',
      '2001:db8:3::1/128',
      '::/0',
    ]);
    const hops = messages.flatMap((message) => {
      const out = decodeUpdate(message, SEND);
      return out.treatment === 'reset'
        ? []
        : out.update.attributes.flatMap(({ value }) =>
            value.name === 'nextHop' ? [value.address] : value.name === 'mpReach' ? value.nextHops : [],
          );
    });
    expect(hops).toEqual([OWN4, OWN4, OWN6]);
    expect([replay.routes, replay.messages]).toEqual([10, 3]);
  });

  it('BIRD: its own routes have no AS_PATH and are counted, not sent', () => {
    const own = { address: new Uint8Array(16), asn: 0 };
    const replay = new MrtReplay({ peer: own, send: SEND, nextHops: [] });
    expect(replayed(readable('bird-table'), replay)).toEqual([]);
    expect(replay.skipped).toMatchObject({ incomplete: 30, damaged: 0 });
  });

  it('a family that the session does not have is counted', () => {
    const replay = new MrtReplay({ peer: BIRD, send: { ...SEND, families: [IPV6_UNICAST] }, nextHops: [] });
    expect(replayed(readable('frr-table'), replay).length).toBe(1);
    expect(replay.skipped.family).toBe(6);
  });

  it('RFC 8050: all paths where the session has ADD-PATH, else the first', () => {
    const attributes = fromHex('40010100 40020602010000fdea 400304c0000201');
    const entry = { peer: 0, originatedSeconds: 0, attributes };
    const rib: RibRecord = {
      kind: 'rib',
      time: { seconds: 0 },
      sequence: 0,
      family: IPV4_UNICAST,
      prefix: parsePrefix('10.0.0.0/8')!,
      addPath: true,
      entries: [
        { ...entry, pathId: 1 },
        { ...entry, pathId: 2 },
      ],
    };
    const table: MrtRecord = {
      kind: 'peerIndexTable',
      time: { seconds: 0 },
      collector: 1,
      view: new Uint8Array(0),
      peers: [{ ...BIRD, identifier: 1 }],
    };
    const all = new MrtReplay({ peer: BIRD, send: PATHS, nextHops: [] });
    expect(replayed([table, rib], all).map((m) => decodeUpdate(m, PATHS))).toMatchObject([
      { update: { nlri: [{ pathId: 1 }, { pathId: 2 }] } },
    ]);
    const one = new MrtReplay({ peer: BIRD, send: SEND, nextHops: [] });
    expect(announced(replayed([table, rib], one), SEND)).toEqual(['10.0.0.0/8']);
    expect(one.skipped.paths).toBe(1);
  });
});

describe('replay of messages (BGP4MP)', () => {
  it('FRR: UPDATEs in order, with path identifiers, and no other message', () => {
    const replay = new MrtReplay({ peer: BIRD, send: PATHS, nextHops: [] });
    const records = readable('frr-messages');
    const updates = records.filter((r): r is MessageRecord => r.kind === 'message' && r.message[18] === 2);
    expect(replayed(records, replay).map(toHex)).toEqual(updates.map(({ message }) => toHex(message)));
    expect([replay.routes, replay.skipped.paths]).toEqual([10, 0]);
  });

  it('without ADD-PATH on the session nothing with path identifiers is sent', () => {
    const replay = new MrtReplay({ peer: BIRD, send: SEND, nextHops: [] });
    expect(announced(replayed(readable('frr-messages'), replay), SEND).length).toBe(4);
    expect(replay.skipped.paths).toBe(2);
  });

  it('next hops are replaced in the octets, and nothing else', () => {
    const replay = new MrtReplay({ peer: BIRD, send: PATHS, nextHops: [OWN4, OWN6] });
    const before = readable('frr-messages');
    const messages = replayed(before, replay);
    const texts = messages.map(toHex).join();
    expect(texts).toContain(`400304${toHex(OWN4)}`);
    expect(texts).toContain(`10${toHex(OWN6)}`);
    expect(announced(messages, PATHS)).toEqual(
      announced(replayed(before, new MrtReplay({ peer: BIRD, send: PATHS, nextHops: [] })), PATHS),
    );
  });

  const update = (context: CodecContext): Bytes =>
    encodeUpdate(
      {
        kind: 'update',
        withdrawn: [],
        attributes: [
          { flags: 0x40, type: 1, value: { name: 'origin', origin: 'igp' } },
          { flags: 0x40, type: 2, value: { name: 'asPath', segments: [{ type: 'sequence', asns: [65002] }] } },
          { flags: 0x40, type: 3, value: { name: 'nextHop', address: OWN4 } },
        ],
        nlri: [{ prefix: parsePrefix('10.0.0.0/8')! }],
      },
      context,
    );
  const record = (message: Bytes, change: Partial<MessageRecord> = {}): MessageRecord => ({
    kind: 'message',
    time: { seconds: 0 },
    peerAs: BIRD.asn,
    localAs: 65001,
    interfaceIndex: 0,
    peer: BIRD.address,
    local: OWN4,
    fourOctetAs: true,
    addPath: false,
    sent: false,
    message,
    ...change,
  });

  it.each([
    ['of another peer', record(update(SEND), { peerAs: 65003 }), {}],
    ['that the writer sent itself', record(update(SEND), { sent: true }), {}],
    [
      'with AS numbers of two octets',
      record(update({ ...SEND, fourOctetAs: false }), { fourOctetAs: false }),
      { asNumbers: 1 },
    ],
    ['whose length is wrong', record(update(SEND).subarray(0, 40)), { damaged: 1 }],
    ['whose attributes do not fit', record(fromHex(`${'ff'.repeat(16)}001702 0000 00ff`)), { damaged: 1 }],
    ['that is longer than the session takes', record(update(SEND)), { tooLong: 1 }],
  ])('a message %s is not sent', (_, one, skipped) => {
    const maximumLength = 'tooLong' in skipped ? 40 : 4096;
    const replay = new MrtReplay({ peer: BIRD, send: { ...SEND, maximumLength }, nextHops: [] });
    expect(replayed([one], replay)).toEqual([]);
    expect(Object.fromEntries(Object.entries(replay.skipped).filter(([, count]) => count > 0))).toEqual(skipped);
  });

  it('routes of a table in front of messages leave before them', () => {
    const replay = new MrtReplay({ peer: BIRD, send: SEND, nextHops: [] });
    const messages = replayed([...readable('frr-table'), record(update(SEND))], replay);
    expect(announced(messages, SEND).at(-1)).toBe('10.0.0.0/8');
    expect(messages.length).toBe(4);
  });

  it('law: whatever the message is, what comes out is an UPDATE for the session', () => {
    fc.assert(
      fc.property(octets(0, 80), (body) => {
        const header = concat(fromHex(`${'ff'.repeat(16)}`), Uint8Array.of(0, body.length + 19, 2));
        const replay = new MrtReplay({ peer: BIRD, send: SEND, nextHops: [OWN4] });
        surveyOf([record(concat(header, body))]);
        for (const message of replayed([record(concat(header, body))], replay)) {
          const view = newUpdateView();
          expect(viewUpdate(view, message, 0)).toBe(0);
          expect(countNlri(message, view.nlriAt, view.nlriEnd, 32, false)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

it('RFC 4724 §2: End-of-RIB', () => {
  expect(toHex(encodeEndOfRib(IPV4_UNICAST))).toBe(`${'ff'.repeat(16)}00170200000000`);
  expect(toHex(encodeEndOfRib(IPV6_UNICAST))).toBe(`${'ff'.repeat(16)}001d0200000006800f03000201`);
});
