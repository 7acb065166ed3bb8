import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Dissector,
  type Frame,
  type FrameRecord,
  KeyRing,
  LINK_TYPE,
  pcapHeader,
  pcapRecord,
  readCapture,
  recordFields,
  recordTree,
} from '../../src/capture/index.ts';
import {
  type Bytes,
  concat,
  encoded,
  fromHex,
  putU16,
  putU32,
  Secret,
  seededRandom,
  toHex,
  type Writer,
} from '../../src/core/index.ts';
import { encryptionByWord, integrityByWord, protection } from '../../src/crypto/index.ts';
import { encodePayloads, type Payload, payloadName } from '../../src/ike/index.ts';
import { buildIp, buildIpv4, IP_PROTOCOL, parseAddress } from '../../src/ip/index.ts';
import { espTableOf, ikeTableOf, type Session, sessionNamed, sessions } from './sessions.ts';

const framesOf = (session: Session): Frame[] => [...readCapture([new Uint8Array(readFileSync(session.pcap))])];

function keysOf(session: Session): KeyRing {
  const keys = new KeyRing();
  expect(keys.addIkeTable(ikeTableOf(session))).toEqual([]);
  expect(keys.addEspTable(espTableOf(session))).toEqual([]);
  return keys;
}

function dissected(session: Session, keys = keysOf(session)): FrameRecord[] {
  const dissector = new Dissector({ keys });
  return framesOf(session).map((frame) => dissector.dissect(frame));
}

/** As the recordings list payloads: the name without regard to case, and the body. */
const listed = (payloads: readonly Payload[]): [string, string][] =>
  payloads.map((p) => [
    payloadName(p.type === 'unknown' ? p.payloadType : p.type).toLowerCase(),
    toHex(encoded((w: Writer) => encodePayloads(w, [p]), undefined)).slice(8),
  ]);
const recorded = (payloads: readonly [string, string][]): [string, string][] =>
  payloads.map(([name, body]) => [name.toLowerCase(), body]);

describe.each(sessions.map((s) => [s.name, s] as const))('strongSwan session %s', (_, session) => {
  const records = dissected(session);
  const ike = records.filter((r) => r.content.is === 'ike');
  const esp = records.filter((r) => r.content.is === 'esp');

  it('every frame is IKE or ESP', () => {
    expect([ike.length, esp.length]).toEqual([session.messages.length, session.esp.length]);
  });

  it('RFC 7296 §3: every message has the recorded payloads, outside and inside, and verifies', () => {
    session.messages.forEach((message, i) => {
      const { content } = ike[i]!;
      if (content.is !== 'ike') throw new Error('not IKE');
      expect(content.error).toBeUndefined();
      expect(content.header).toMatchObject({ exchange: message.exchange, messageId: message.mid });
      expect(ike[i]!.sourcePort).toBe(message.sport);
      if (message.payloads !== undefined) {
        expect(listed(content.payloads)).toEqual(recorded(message.payloads));
        expect(content.sealed).toBeUndefined();
        return;
      }
      expect(content.sealed?.integrity).toBe('ok');
      expect(content.sealed?.fragment).toEqual(
        message.fragment === undefined
          ? undefined
          : expect.objectContaining({ number: message.fragment[0], total: message.fragment[1] }),
      );
      expect(content.sealed?.payloads && listed(content.sealed.payloads)).toEqual(
        message.inner && recorded(message.inner),
      );
    });
  });

  it('RFC 4303 §2: every ESP packet verifies and holds the recorded packet', () => {
    session.esp.forEach((packet, i) => {
      const { content } = esp[i]!;
      if (content.is !== 'esp') throw new Error('not ESP');
      expect(content).toMatchObject({
        spi: Number.parseInt(packet.spi, 16),
        sequence: packet.seq,
        sequenceHigh: undefined,
        integrity: 'ok',
        padLength: packet.padLength,
        nextHeader: packet.nextHeader,
        error: undefined,
      });
      expect(toHex(content.inner!.octets)).toBe(packet.inner);
    });
  });

  it('without keys: unknown, and nothing decrypted', () => {
    for (const { content } of dissected(session, new KeyRing())) {
      if (content.is === 'ike' && content.sealed !== undefined) {
        expect(content.sealed).toMatchObject({ integrity: 'unknown', payloads: undefined });
      }
      if (content.is === 'esp') expect(content).toMatchObject({ integrity: 'unknown', inner: undefined });
    }
  });

  it('no key of the tables is in what is printed', () => {
    const printed = records.flatMap((r) => [JSON.stringify(recordFields(r)), ...recordTree(r)]).join('\n');
    const secrets = [
      ...session.ikeKeySets.flatMap((s) => [s.ei, s.er, s.ai, s.ar]),
      ...session.children.flatMap((c) => [c.encrI, c.encrR, c.integI, c.integR]),
    ];
    for (const secret of secrets) if (secret) expect(printed).not.toContain(secret);
  });
});

describe('fragments and repetitions', () => {
  it('RFC 7383 §2.6: the message stands at the fragment that completes it', () => {
    const records = dissected(sessionNamed('cert-rsa3072-frag'));
    const parts = records.flatMap((r) => (r.content.is === 'ike' && r.content.sealed?.fragment ? [r] : []));
    expect(parts.map((r) => (r.content.is === 'ike' ? r.content.sealed?.fragment?.frames : []))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      [3, 4, 5, 6, 7],
      undefined,
      undefined,
      undefined,
      [8, 9, 10, 11],
    ]);
  });

  it('RFC 7296 §2.1: a retransmission is the identical message from the same place', () => {
    const session = sessionNamed('dpd');
    const dissector = new Dissector({ keys: keysOf(session) });
    const [first, second, third] = framesOf(session);
    const again = [first!, second!, third!, { ...third!, number: 4 }, { ...first!, number: 5 }].map((frame) => {
      const { content } = dissector.dissect(frame);
      return content.is === 'ike' ? content.retransmissionOf : 'not IKE';
    });
    expect(again).toEqual([undefined, undefined, undefined, 3, 1]);
  });

  it.each(['forward', 'backward'])('RFC 791 §3.2: IP fragments, %s', (order) => {
    const session = sessionNamed('psk-aesgcm256-ecp256');
    const [first] = framesOf(session);
    const udp = first!.octets.subarray(34);
    const common = {
      source: parseAddress('192.0.2.1')!,
      destination: parseAddress('192.0.2.2')!,
      protocol: 17,
      identification: 7,
    };
    const pieces = [0, 96, 192].map((at) =>
      buildIpv4(
        { ...common, fragmentOffset: at, moreFragments: at < 192 },
        udp.slice(at, at === 192 ? undefined : at + 96),
      ),
    );
    if (order === 'backward') pieces.reverse();
    const dissector = new Dissector();
    const records = pieces.map((octets, i) => dissector.dissect(rawFrame(octets, i + 1)));
    expect(records.map((r) => r.content.is)).toEqual(['fragment', 'fragment', 'ike']);
    expect(records[2]).toMatchObject({ fragments: order === 'forward' ? [1, 2, 3] : [3, 2, 1], sourcePort: 500 });
  });

  it('RFC 5722: overlapping fragments are given up', () => {
    const common = {
      source: parseAddress('192.0.2.1')!,
      destination: parseAddress('192.0.2.2')!,
      protocol: 17,
      identification: 7,
    };
    const dissector = new Dissector();
    const send = (at: number, more: boolean, length: number, fill: number) =>
      dissector.dissect(
        rawFrame(
          buildIpv4({ ...common, fragmentOffset: at, moreFragments: more }, new Uint8Array(length).fill(fill)),
          1,
        ),
      ).content.is;
    expect([send(0, true, 16, 1), send(8, true, 16, 2), send(24, false, 8, 3), send(16, true, 8, 1)]).toEqual(
      Array(4).fill('fragment'),
    );
  });
});

describe('link layers', () => {
  const ip = framesOf(sessionNamed('no-proposal'))[0]!.octets.slice(14);
  const sll = (length: number, at: number) => {
    const header = new Uint8Array(length);
    putU16(header, at, 0x0800);
    return header;
  };
  it.each([
    ['Ethernet', LINK_TYPE.ethernet, new Uint8Array(12), fromHex('0800'), []],
    ['Ethernet with a VLAN tag', LINK_TYPE.ethernet, new Uint8Array(12), fromHex('8100600a0800'), [10]],
    ['Ethernet with two tags', LINK_TYPE.ethernet, new Uint8Array(12), fromHex('88a8006481000005 0800'), [100, 5]],
    ['raw IP', LINK_TYPE.raw, fromHex(''), fromHex(''), []],
    ['IPv4', LINK_TYPE.ipv4, fromHex(''), fromHex(''), []],
    ['Linux cooked v1', LINK_TYPE.linuxSll, sll(16, 14), fromHex(''), []],
    ['Linux cooked v2', LINK_TYPE.linuxSll2, sll(20, 0), fromHex(''), []],
    ['loopback, little endian', LINK_TYPE.null, fromHex('02000000'), fromHex(''), []],
    ['loopback, big endian', LINK_TYPE.loop, fromHex('00000002'), fromHex(''), []],
  ])('%s', (_, linkType, header, more, vlans) => {
    const record = new Dissector().dissect({ ...rawFrame(concat(header, more, ip), 1), linkType });
    expect(record).toMatchObject({ vlans, sourcePort: 500, content: { is: 'ike', error: undefined } });
  });

  it('other protocols are named', () => {
    const arp = concat(new Uint8Array(12), fromHex('0806'), new Uint8Array(28));
    expect(new Dissector().dissect({ ...rawFrame(arp, 1), linkType: 1 }).content).toEqual({ is: 'other', what: 'ARP' });
    expect(new Dissector().dissect({ ...rawFrame(arp, 1), linkType: 147 }).content).toEqual({
      is: 'other',
      what: 'link type 147',
    });
  });

  it('a frame cut by the snapshot length says so', () => {
    const record = new Dissector().dissect({ ...rawFrame(ip.slice(0, 100), 1), originalLength: ip.length });
    expect(recordTree(record)[0]).toBe(
      `Frame 1: malformed: ip.header @0: the capture holds 100 of ${ip.length} octets`,
    );
  });
});

describe('UDP', () => {
  const ends = {
    source: parseAddress('2001:db8::1')!,
    destination: parseAddress('2001:db8::2')!,
    protocol: IP_PROTOCOL.udp,
  };
  const udp = (from: number, to: number, payload: Bytes): Bytes => {
    const header = new Uint8Array(8);
    putU16(header, 0, from);
    putU16(header, 2, to);
    putU16(header, 4, 8 + payload.length);
    return buildIp(ends, concat(header, payload));
  };
  const message = fromHex(sessionNamed('no-proposal').messages[0]!.raw);
  const marked = concat(new Uint8Array(4), message);

  it('RFC 3948 §2.3: keepalives', () => {
    expect(new Dissector().dissect(rawFrame(udp(4500, 4500, Uint8Array.of(0xff)), 1)).content).toEqual({
      is: 'keepalive',
    });
    expect(new Dissector().dissect(rawFrame(udp(4500, 4500, Uint8Array.of(0xfe)), 1)).content.is).toBe('malformed');
  });

  it('other ports only when they are given, with and without marker', () => {
    for (const payload of [message, marked]) {
      expect(new Dissector().dissect(rawFrame(udp(7000, 7001, payload), 1)).content).toEqual({
        is: 'other',
        what: 'udp',
      });
      expect(new Dissector({ ports: [7001] }).dissect(rawFrame(udp(7000, 7001, payload), 1)).content).toMatchObject({
        is: 'ike',
        error: undefined,
      });
    }
  });

  it('a single message, with marker and without', () => {
    for (const payload of [message, marked]) {
      expect(new Dissector().dissectMessage(payload).content).toMatchObject({ is: 'ike', error: undefined });
    }
    const packet = sessionNamed('v6-rawesp-aesgcm').esp[0]!;
    const keys = keysOf(sessionNamed('v6-rawesp-aesgcm'));
    expect(new Dissector({ keys }).dissectMessage(fromHex(packet.raw)).content).toMatchObject({
      is: 'esp',
      integrity: 'ok',
    });
  });

  it('a malformed message is a record with field and offset', () => {
    const broken = message.slice();
    putU16(broken, 30, 3);
    const record = new Dissector().dissect(rawFrame(udp(500, 500, broken), 9));
    expect(recordFields(record)).toMatchObject({
      frame: 9,
      exchange: 'IKE_SA_INIT',
      error: { field: 'payload.length', problem: expect.stringContaining('3 octets') },
    });
    expect(recordTree(record)[0]).toMatch(
      /^Frame 9: \[2001:db8::1\]:500 > \[2001:db8::2\]:500 IKE_SA_INIT request 0, malformed: payload\.length @\d+: /,
    );
  });

  it('IKEv1 is named as what it is', () => {
    const v1 = message.slice();
    v1[17] = 0x10;
    expect(recordFields(new Dissector().dissect(rawFrame(udp(500, 500, v1), 1)))).toMatchObject({
      protocol: 'ike',
      error: { field: 'header.version', at: 17 },
    });
  });
});

describe('RFC 4303 §2.2.1: extended sequence numbers', () => {
  it.each([
    ['aes128gcm16', undefined],
    ['aes128', 'sha256'],
  ])('%s: found by the ICV where the table does not say, across the turn of the low half', (cipher, mac) => {
    const encryption = encryptionByWord(cipher)!;
    const integrity = mac === undefined ? undefined : integrityByWord(mac)!;
    const random = seededRandom(5);
    const encryptionKey = random(encryption.keyLength + encryption.saltLength);
    const integrityKey = random(integrity?.keyLength ?? 0);
    const seal = protection(encryption, integrity, { encryption: encryptionKey, integrity: integrityKey });
    const packet = (high: number, low: number): Bytes => {
      const inner = buildIp(
        { source: parseAddress('10.0.0.1')!, destination: parseAddress('10.0.0.2')!, protocol: 253 },
        new Uint8Array(10),
      );
      const body = Math.ceil((inner.length + 2) / 16) * 16;
      const buf = new Uint8Array(8 + seal.ivLength + body + seal.icvLength);
      putU32(buf, 0, 0x1000);
      putU32(buf, 4, low);
      buf.set(random(seal.ivLength), 8);
      const at = 8 + seal.ivLength;
      buf.set(inner, at);
      const padding = body - inner.length - 2;
      for (let i = 0; i < padding; i++) buf[at + inner.length + i] = i + 1;
      buf[at + body - 2] = padding;
      buf[at + body - 1] = 4;
      seal.seal(buf, 0, 8, at + body, high);
      return buf;
    };
    const keys = new KeyRing();
    keys.addEsp({
      source: undefined,
      destination: undefined,
      spi: 0x1000,
      encryption,
      integrity,
      encryptionKey: new Secret(encryptionKey),
      integrityKey: new Secret(integrityKey),
      esn: undefined,
      high: 0,
    });
    const dissector = new Dissector({ keys });
    const found = [
      [0, 0xfffffffe],
      [1, 1],
      [0, 0xffffffff],
      [1, 2],
    ].map(([high, low]) => dissector.dissectMessage(packet(high!, low!)).content);
    expect(found.map((c) => (c.is === 'esp' ? [c.integrity, c.sequenceHigh, c.sequence] : c))).toEqual([
      ['ok', 0, 0xfffffffe],
      ['ok', 1, 1],
      ['ok', 0, 0xffffffff],
      ['ok', 1, 2],
    ]);
  });
});

describe('hostile captures', () => {
  const session = sessionNamed('psk-aescbc128-sha256-modp2048');
  const frames = [...framesOf(session), ...framesOf(sessionNamed('cert-rsa3072-frag'))];

  it('mutated and cut frames become records, with and without keys', () => {
    const dissector = new Dissector({ keys: keysOf(session) });
    fc.assert(
      fc.property(
        fc.nat({ max: frames.length - 1 }),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
        fc.option(fc.nat()),
        (index, changes, cut) => {
          const frame = frames[index]!;
          const octets = frame.octets.slice(0, cut === null ? undefined : cut % (frame.octets.length + 1));
          for (const [at, octet] of changes) if (octets.length > 0) octets[at % octets.length] = octet;
          const record = dissector.dissect({ ...frame, octets });
          expect(recordTree(record).every((line) => !/\p{Cc}/u.test(line))).toBe(true);
          expect(JSON.parse(JSON.stringify(recordFields(record))).frame).toBe(frame.number);
        },
      ),
      { numRuns: 4000 },
    );
  });

  it('a flipped bit inside SK or ESP fails, and shows nothing of the inside', () => {
    const dissector = new Dissector({ keys: keysOf(session) });
    let failed = 0;
    for (const frame of framesOf(session)) {
      const octets = frame.octets.slice();
      octets[octets.length - 20]! ^= 1;
      const { content } = dissector.dissect({ ...frame, octets });
      if (content.is === 'ike' && content.sealed !== undefined) {
        expect(content.sealed).toMatchObject({ integrity: 'failed', payloads: undefined });
        failed += 1;
      }
      if (content.is === 'esp') {
        expect(content).toMatchObject({ integrity: 'failed', inner: undefined });
        failed += 1;
      }
    }
    expect(failed).toBe(32);
  });

  it('any octets as a single message', () => {
    const dissector = new Dissector();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
        recordTree(dissector.dissectMessage(octets));
        recordTree(dissector.dissect(rawFrame(octets, 1)));
      }),
      { numRuns: 2000 },
    );
  });

  it('fragments without end: memory stays bounded and whole datagrams still come through', () => {
    const dissector = new Dissector();
    const common = { source: parseAddress('192.0.2.1')!, destination: parseAddress('192.0.2.2')!, protocol: 17 };
    for (let id = 0; id < 3000; id++) {
      dissector.dissect(
        rawFrame(buildIpv4({ ...common, identification: id, moreFragments: true }, new Uint8Array(64)), id),
      );
    }
    const udp = frames[0]!.octets.slice(34);
    const half = (udp.length >>> 4) << 3;
    dissector.dissect(
      rawFrame(buildIpv4({ ...common, identification: 9, moreFragments: true }, udp.slice(0, half)), 1),
    );
    const last = rawFrame(buildIpv4({ ...common, identification: 9, fragmentOffset: half }, udp.slice(half)), 2);
    expect(dissector.dissect(last).content.is).toBe('ike');
  });
});

function rawFrame(octets: Bytes, number: number): Frame {
  const [frame] = readCapture([
    concat(pcapHeader({ linkType: LINK_TYPE.raw }), pcapRecord({ linkType: LINK_TYPE.raw }, ZERO, octets)),
  ]);
  return { ...frame!, time: undefined, number };
}
const ZERO = { seconds: 0, nanoseconds: 0 };
