import { describe, expect, it } from 'vitest';
import {
  type CodecContext,
  decodeRecord,
  dumpRib,
  encodeControlMessage,
  encodeRecord,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  type MrtRecord,
  MrtReplay,
  Rib,
  Session,
  type SessionEvent,
  SessionRecorder,
  sessionConfiguration,
} from '../../../src/bgp/index.ts';
import { type Bytes, concat, seededRandom, toHex } from '../../../src/core/index.ts';
import { formatPrefix, parseAddress, parsePrefix } from '../../../src/ip/index.ts';
import { feed } from '../message/feed.ts';
import { attribute, context, messagesIn, peerOptions, update, usual } from '../rib/speakers.ts';

const NONE = new Uint8Array(0);
const OPTIONS = {
  collector: 0x0a000001,
  view: 'blue',
  families: [IPV4_UNICAST, IPV6_UNICAST],
  seconds: 1000,
  now: 60_000,
};

/** As they come out of a file. */
const dumped = (rib: Rib): MrtRecord[] =>
  [...dumpRib(rib, OPTIONS)].map((record) => decodeRecord(encodeRecord(record)));

describe('RFC 6396 §4.3: a dump of tables', () => {
  it('peers in order, routes of our own first, both families, when each came', () => {
    const rib = new Rib({ localAs: 65_000, routerId: 1 });
    const [one, two] = [rib.add(peerOptions(1)), rib.add(peerOptions(2))];
    rib.originate(parsePrefix('192.0.2.0/24')!, { why: 'a network' });
    rib.receive(two, update(NONE, usual([65_002], [10, 0, 0, 2]), Uint8Array.of(8, 20)), 10_000);
    rib.receive(one, update(NONE, usual([65_001, 9], [10, 0, 0, 1]), Uint8Array.of(8, 20)), 50_000);
    const hop = parseAddress('2001:db8::2')!;
    const reach = attribute(0x80, 14, 0, 2, 1, 16, ...hop, 0, 16, 0x20, 1);
    rib.receive(one, update(NONE, concat(reach, usual([65_001], [10, 0, 0, 1]).subarray(0, -7)), NONE), 59_000);
    rib.flush();
    const [table, ...ribs] = dumped(rib);
    expect(table).toMatchObject({
      view: new TextEncoder().encode('blue'),
      peers: [
        { asn: 0, identifier: 0 },
        { asn: 65_001, identifier: 0x0a000001, address: parseAddress('10.0.0.1') },
        { asn: 65_002, identifier: 0x0a000002, address: parseAddress('10.0.0.2') },
      ],
    });
    const seen = ribs.flatMap((record) =>
      record.kind !== 'rib'
        ? []
        : record.entries.map((e) => [
            record.sequence,
            formatPrefix(record.prefix),
            e.peer,
            e.originatedSeconds,
            toHex(e.attributes),
          ]),
    );
    expect(seen.map(([sequence, prefix, peer, at]) => [sequence, prefix, peer, at])).toEqual([
      [0, '192.0.2.0/24', 0, 940],
      [1, '20.0.0.0/8', 1, 990],
      [1, '20.0.0.0/8', 2, 950],
      [2, '2001::/16', 1, 999],
    ]);
    expect(seen[0]![4]).toBe('4001010040020040030400000000');
    expect(seen[2]![4]).toBe('4001010040020602010000fdea4003040a000002');
    expect(seen[3]![4]).toBe(`4001010040020602010000fde9800e1110${toHex(hop)}`);
  });

  it('law: the feed, dumped and replayed, is the feed, in as few messages', () => {
    const messages = messagesIn(feed()).slice(0, 2000);
    const sender = peerOptions(1, { remoteAs: 30_844 });
    const first = new Rib({ localAs: 65_000, routerId: 1, forwards: false });
    const from = first.add(sender);
    for (const message of messages) first.receive(from, message, 0);
    first.flush();
    const records = dumped(first);

    const replay = new MrtReplay({
      peer: { asn: 30_844, address: sender.remoteAddress },
      send: context(true),
      nextHops: [],
    });
    const again: Bytes[] = [...records.flatMap((record) => replay.take(record)), ...replay.end()];
    expect(replay.routes).toBe(records.length - 1);
    expect(again.length).toBeLessThanOrEqual(messages.length * 1.01);

    const second = new Rib({ localAs: 65_000, routerId: 1, forwards: false });
    const to = second.add(sender);
    for (const message of again) second.receive(to, message, 0);
    second.flush();
    const byPrefix = (all: readonly MrtRecord[]): string[] =>
      all
        .flatMap((r) => (r.kind === 'rib' ? [`${formatPrefix(r.prefix)} ${toHex(r.entries[0]!.attributes)}`] : []))
        .sort();
    expect(byPrefix(dumped(second))).toEqual(byPrefix(records));
  });

  it('tables that change meanwhile: what goes is not told, what comes late is counted, and nothing is told of another peer', () => {
    const rib = new Rib({ localAs: 65_000, routerId: 1 });
    const [one, two] = [rib.add(peerOptions(1)), rib.add(peerOptions(2))];
    const say = (peer: number, asn: number, ...nlri: number[]) =>
      rib.receive(peer, update(NONE, usual([asn], [10, 0, 0, 1]), Uint8Array.from(nlri)), 0);
    say(one, 65_001, 8, 20, 8, 21);
    say(two, 65_002, 8, 22, 8, 23);
    rib.flush();
    const dump = dumpRib(rib, OPTIONS);
    const told = [dump.next(), dump.next()].map(({ value }) => value as MrtRecord);
    expect(told.map(({ kind }) => kind)).toEqual(['peerIndexTable', 'rib']);
    rib.remove(one);
    rib.flush();
    const three = rib.add(peerOptions(3));
    expect(three).toBe(one);
    say(three, 65_003, 8, 30, 8, 22);
    rib.receive(two, update(Uint8Array.of(8, 23), NONE, NONE), 0);
    rib.flush();
    let next = dump.next();
    const left: MrtRecord[] = [];
    for (; next.done !== true; next = dump.next()) left.push(next.value);
    expect(left).toMatchObject([
      { kind: 'rib', sequence: 1, prefix: parsePrefix('22.0.0.0/8'), entries: [{ peer: 1 }] },
    ]);
    expect([left[0]!.kind === 'rib' && left[0]!.entries.length, next.value]).toEqual([1, 1]);
  });

  it('RFC 8050: with path identifiers where a peer has them', () => {
    const rib = new Rib({ localAs: 65_000, routerId: 1 });
    const receive: CodecContext = context(true, { addPath: [IPV4_UNICAST] });
    const one = rib.add(peerOptions(1, { receive }));
    const nlri = Uint8Array.of(0, 0, 0, 7, 8, 20, 0, 0, 0, 9, 8, 20);
    rib.receive(one, update(NONE, usual([65_001], [10, 0, 0, 1]), nlri), 0);
    rib.flush();
    expect(dumped(rib)[1]).toMatchObject({ addPath: true, entries: [{ pathId: 9 }, { pathId: 7 }] });
  });
});

describe('RFC 6396 §4.4: a session as it went', () => {
  const ends = { peer: parseAddress('192.0.2.1')!, local: parseAddress('192.0.2.2')! };
  const connected = {
    type: 'connected',
    connection: 1,
    direction: 'in',
    local: { address: ends.local, port: 179 },
    remote: { address: ends.peer, port: 40_000 },
  } as const;
  const open = encodeControlMessage({
    kind: 'open',
    version: 4,
    myAs: 65_001,
    holdSeconds: 90,
    identifier: 9,
    capabilities: [
      { name: 'multiprotocol', family: IPV4_UNICAST },
      { name: 'fourOctetAs', asn: 65_001 },
    ],
  });
  const keepalive = encodeControlMessage(KEEPALIVE);
  const route = update(NONE, usual([65_001], [192, 0, 2, 1]), Uint8Array.of(8, 20));

  function recorded(events: readonly SessionEvent[]): MrtRecord[] {
    const session = new Session(
      sessionConfiguration({ asn: 65_000, identifier: 1, remoteAs: 65_001, passive: true }),
      seededRandom(1),
    );
    const recorder = new SessionRecorder(session, ends);
    return events.flatMap((event, i) =>
      recorder.take(event, session.handle(event, i * 1000), { seconds: i, micros: 5 }),
    );
  }
  const words = (records: readonly MrtRecord[]): string[] =>
    records.map((r) =>
      r.kind === 'state'
        ? `${r.time.seconds} state ${r.from} ${r.to}`
        : r.kind === 'message'
          ? `${r.time.seconds} ${r.sent ? 'sent' : 'came'} ${r.message[18]}`
          : r.kind,
    );

  it('messages of both directions, whole whatever the pieces, and every state', () => {
    const received = (octets: Bytes): SessionEvent => ({ type: 'received', connection: 1, octets });
    const records = recorded([
      { type: 'start' },
      connected,
      received(open.subarray(0, 30)),
      received(concat(open.subarray(30), keepalive, route.subarray(0, 25))),
      received(route.subarray(25)),
      { type: 'stop', subcode: 2, text: 'enough' },
    ]);
    expect(words(records)).toEqual([
      '0 state 1 3',
      '1 sent 1',
      '1 state 3 4',
      '3 came 1',
      '3 came 4',
      '3 sent 4',
      '3 state 4 6',
      '4 came 2',
      '5 sent 3',
      '5 state 6 1',
    ]);
    expect(records[7]).toEqual({
      kind: 'message',
      time: { seconds: 4, micros: 5 },
      peerAs: 65_001,
      localAs: 65_000,
      interfaceIndex: 0,
      ...ends,
      fourOctetAs: true,
      addPath: false,
      sent: false,
      message: route,
    });
    for (const record of records) expect(decodeRecord(encodeRecord(record))).toEqual(record);
  });

  it('begun in the middle of a session, and of a message', () => {
    const session = new Session(
      sessionConfiguration({ asn: 65_000, identifier: 1, remoteAs: 65_001, passive: true }),
      seededRandom(1),
    );
    const received = (octets: Bytes): SessionEvent => ({ type: 'received', connection: 1, octets });
    const before = [{ type: 'start' } as const, connected, received(concat(open, keepalive, route.subarray(0, 30)))];
    for (const event of before) session.handle(event, 0);
    const elsewhere = { peer: parseAddress('198.51.100.1')!, local: parseAddress('198.51.100.2')! };
    const recorder = new SessionRecorder(session, elsewhere);
    const after = [received(route.subarray(30)), { type: 'stop', subcode: 2 } as const];
    const records = after.flatMap((event, i) => recorder.take(event, session.handle(event, i), { seconds: i }));
    expect(words(records)).toEqual(['0 came 2', '1 sent 3', '1 state 6 1']);
    expect(records[0]).toMatchObject({ peerAs: 65_001, ...ends, fourOctetAs: true, message: route });
  });

  it('RFC 6793 §4.2.2: AS_TRANS where the peer has two octets, and we do not fit', () => {
    const session = new Session(
      sessionConfiguration({ asn: 4_200_000_000, identifier: 1, remoteAs: 65_001, passive: true }),
      seededRandom(1),
    );
    const recorder = new SessionRecorder(session, ends);
    const old = encodeControlMessage({
      kind: 'open',
      version: 4,
      myAs: 65_001,
      holdSeconds: 90,
      identifier: 9,
      capabilities: [],
    });
    const events = [{ type: 'start' } as const, connected];
    const piece = (octets: Bytes) => ({ type: 'received', connection: 1, octets }) as const;
    const records = [...events, piece(concat(old, keepalive)), piece(keepalive)].flatMap((event) =>
      recorder.take(event, session.handle(event, 0), { seconds: 0 }),
    );
    const last = decodeRecord(encodeRecord(records.at(-1)!));
    expect(last).toMatchObject({ kind: 'message', fourOctetAs: false, peerAs: 65_001, localAs: 23_456 });
  });

  it('octets that are no messages end the recording of a connection, not that of the session', () => {
    const records = recorded([
      { type: 'start' },
      connected,
      { type: 'received', connection: 1, octets: new Uint8Array(40) },
      { type: 'closed', connection: 1, why: 'gone' },
    ]);
    expect(words(records).slice(2)).toEqual(['1 state 3 4', '2 sent 3', '2 state 4 1']);
  });
});
