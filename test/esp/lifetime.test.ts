import { describe, expect, it } from 'vitest';
import { seededRandom, toHex } from '../../src/core/index.ts';
import {
  encapsulate,
  ivWriter,
  LAST_EXTENDED_SEQUENCE,
  LAST_SEQUENCE,
  type OutboundSa,
  open,
  protectedLength,
  SEQUENCE_MARGIN,
  SequenceCounter,
  SIGNAL,
  seal,
  sequenceOf,
  Usage,
} from '../../src/esp/index.ts';
import { DROP, PASS } from '../../src/ip/index.ts';
import { copyOf, inbound, inner, keyed, NO_LIMIT, outbound, packetOf, sadOf, suite } from './support.ts';

const protection = keyed(suite('aes256gcm16'));
const DATA = inner('10.1.0.4', '10.2.0.7');
const EACH = protectedLength(protection, DATA.length);

/** What the gateway would fetch after a packet. */
const fetch = (usage: Usage): number => usage.takeSignal();

describe('RFC 4301 §4.4.2.1: lifetimes of an SA', () => {
  it('packets: soft asks once, hard stops once, and the packet past it is not sealed', () => {
    const sa = outbound({ protection, lifetime: { ...NO_LIMIT, softPackets: 3, hardPackets: 5 } });
    const seen: [number, number][] = [];
    for (let i = 0; i < 8; i++) seen.push([seal(sa, packetOf(DATA), i), fetch(sa.usage)]);
    expect(seen).toEqual([
      [PASS, SIGNAL.none],
      [PASS, SIGNAL.none],
      [PASS, SIGNAL.soft],
      [PASS, SIGNAL.none],
      [PASS, SIGNAL.none],
      [DROP.espExpired, SIGNAL.hard],
      [DROP.espExpired, SIGNAL.none],
      [DROP.espExpired, SIGNAL.none],
    ]);
    expect(sa.sequence).toBe(5);
    expect(sa.usage.packets).toBe(5);
    expect(sa.usage.lastUsedAt).toBe(4);
    expect(sa.drops[DROP.espExpired]).toBe(3);
  });

  it('bytes: what the cipher is applied to, padding and trailer included; the hard limit is never passed', () => {
    expect(EACH).toBe(56);
    const sa = outbound({ protection, lifetime: { ...NO_LIMIT, softBytes: 2 * EACH, hardBytes: 4 * EACH - 1 } });
    const verdicts = [1, 2, 3, 4].map((now) => [seal(sa, packetOf(DATA), now), fetch(sa.usage)]);
    expect(verdicts).toEqual([
      [PASS, SIGNAL.none],
      [PASS, SIGNAL.soft],
      [PASS, SIGNAL.none],
      [DROP.espExpired, SIGNAL.hard],
    ]);
    expect(sa.usage.protectedBytes).toBe(3 * EACH);
    expect(sa.usage.innerBytes).toBe(3 * DATA.length);
  });

  it('bytes: the hard limit may be reached exactly', () => {
    const sa = outbound({ protection, lifetime: { ...NO_LIMIT, hardBytes: 2 * EACH } });
    const verdicts = [1, 2, 3].map((now) => seal(sa, packetOf(DATA), now));
    expect(verdicts).toEqual([PASS, PASS, DROP.espExpired]);
  });

  it('a packet that is refused stays as it was', () => {
    const sa = outbound({ protection, lifetime: { ...NO_LIMIT, hardPackets: 0 } });
    const packet = packetOf(DATA);
    expect(seal(sa, packet, 0)).toBe(DROP.espExpired);
    expect(copyOf(packet)).toEqual(DATA);
  });

  it('inbound: counted after the ICV, the hard limit before delivery; forged packets do not wear the SA out', () => {
    const sender = outbound({ protection });
    const receiver = inbound({ protection, lifetime: { ...NO_LIMIT, softPackets: 2, hardPackets: 3 } });
    const sad = sadOf(receiver);
    const seen: [number, number][] = [];
    for (let i = 0; i < 5; i++) {
      const packet = packetOf(DATA);
      seal(sender, packet, 0);
      const forged = packetOf(copyOf(packet));
      forged.buf[forged.end - 1]! ^= 1;
      const stopped = receiver.usage.stopped;
      expect(open(sad, forged, 0, i)).toBe(stopped ? DROP.espExpired : DROP.espIntegrity);
      expect(fetch(receiver.usage)).toBe(SIGNAL.none);
      seen.push([open(sad, packet, 0, i), fetch(receiver.usage)]);
    }
    expect(seen).toEqual([
      [PASS, SIGNAL.none],
      [PASS, SIGNAL.soft],
      [PASS, SIGNAL.none],
      [DROP.espExpired, SIGNAL.hard],
      [DROP.espExpired, SIGNAL.none],
    ]);
  });

  it('a hard signal replaces a soft one nobody fetched', () => {
    const sa = outbound({ protection, lifetime: { ...NO_LIMIT, softPackets: 1, hardPackets: 1 } });
    seal(sa, packetOf(DATA), 0);
    seal(sa, packetOf(DATA), 0);
    expect([fetch(sa.usage), fetch(sa.usage)]).toEqual([SIGNAL.hard, SIGNAL.none]);
  });

  it('an SA that has stopped asks for nothing more', () => {
    const usage = new Usage(NO_LIMIT);
    usage.stop();
    expect(fetch(usage)).toBe(SIGNAL.hard);
    usage.ask();
    usage.stop();
    expect(fetch(usage)).toBe(SIGNAL.none);
    expect(usage.admits(1)).toBe(false);
  });
});

describe('RFC 4303 §3.3.3: sequence numbers never cycle', () => {
  it('start at 1', () => {
    const sa = outbound({ protection });
    const packet = packetOf(DATA);
    expect(seal(sa, packet, 0)).toBe(PASS);
    expect(sequenceOf(packet.buf, packet.start)).toBe(1);
  });

  it.each([
    ['32-bit', false, LAST_SEQUENCE, 0xffff_ffff],
    ['extended', true, LAST_EXTENDED_SEQUENCE, 0xffff_ffff],
  ] as const)('%s: a rekey is asked for in time, the last number is used, then the SA stops', (_, esn, last, low) => {
    const sa = outbound({ protection, esn });
    sa.advanceTo(last - SEQUENCE_MARGIN - 2);
    expect([seal(sa, packetOf(DATA), 0), fetch(sa.usage)]).toEqual([PASS, SIGNAL.none]);
    expect([seal(sa, packetOf(DATA), 0), fetch(sa.usage)]).toEqual([PASS, SIGNAL.soft]);
    expect([seal(sa, packetOf(DATA), 0), fetch(sa.usage)]).toEqual([PASS, SIGNAL.none]);
    sa.advanceTo(last - 1);
    const final = packetOf(DATA);
    expect([seal(sa, final, 0), fetch(sa.usage)]).toEqual([PASS, SIGNAL.none]);
    expect(sequenceOf(final.buf, final.start)).toBe(low);
    const packet = packetOf(DATA);
    expect([seal(sa, packet, 0), fetch(sa.usage)]).toEqual([DROP.espSequence, SIGNAL.hard]);
    expect([seal(sa, packetOf(DATA), 0), fetch(sa.usage)]).toEqual([DROP.espSequence, SIGNAL.none]);
    expect(copyOf(packet)).toEqual(DATA);
    expect(sa.sequence).toBe(last);
    expect(sa.drops[DROP.espSequence]).toBe(2);
  });

  it('RFC 4303 §2.2.1: extended numbers cross 2^32 and stay in step, with AEAD and separate ICV', () => {
    for (const word of ['aes256gcm16', 'chacha20poly1305', 'aes256-sha256', 'aes128ctr-aescmac', 'null-sha1']) {
      const shared = keyed(suite(word));
      const sender = outbound({ protection: shared, esn: true });
      const receiver = inbound({ protection: shared, esn: true, replayWindow: 64 });
      const sad = sadOf(receiver);
      const exchange = (): number => {
        const packet = packetOf(DATA);
        expect(seal(sender, packet, 0)).toBe(PASS);
        return open(sad, packet, 0, 0);
      };
      expect(exchange()).toBe(PASS);
      sender.advanceTo(2 ** 31);
      expect(exchange()).toBe(PASS);
      sender.advanceTo(2 ** 32 - 3);
      const late = packetOf(DATA);
      seal(sender, late, 0);
      for (let i = 0; i < 6; i++) expect(exchange()).toBe(PASS);
      expect(receiver.sequence).toBe(2 ** 32 + 4);
      // From the subspace before, and within the window: Appendix A2, case B.
      expect(open(sad, late, 0, 0)).toBe(PASS);
      expect([sad.authentic, sad.newest]).toEqual([true, false]);
    }
  });

  it('RFC 4106 §3.1: the IV of an AEAD is the extended number, unique in all 64 bits', () => {
    const sa = outbound({ protection, esn: true });
    sa.advanceTo(5 * 2 ** 32 + 6);
    const packet = packetOf(DATA);
    expect(seal(sa, packet, 0)).toBe(PASS);
    expect(toHex(copyOf(packet).subarray(0, 16))).toBe('00001000000000070000000500000007');
  });

  it('inbound, a number beyond the last exact one is refused before anything else is done with it', () => {
    const receiver = inbound({ protection, esn: true });
    receiver.window.accept(LAST_EXTENDED_SEQUENCE - 1);
    const packet = packetOf(DATA);
    encapsulate(packet, protection, 0x1000, 2 ** 21, 5, 4, 0, ivWriter('counter', 8, seededRandom(1)));
    expect(open(sadOf(receiver), packet, 0, 0)).toBe(DROP.espSequence);
    expect([receiver.sequence, receiver.usage.packets]).toEqual([LAST_EXTENDED_SEQUENCE - 1, 0]);
  });

  it('a receiver without ESN refuses the high half in the ICV', () => {
    const sender = outbound({ protection, esn: true });
    const receiver = inbound({ protection, esn: false });
    const packet = packetOf(DATA);
    seal(sender, packet, 0);
    expect(open(sadOf(receiver), packet, 0, 0)).toBe(DROP.espIntegrity);
  });

  it('never go back', () => {
    const sa = outbound({ protection });
    sa.advanceTo(10);
    expect(() => sa.advanceTo(9)).toThrow('only grow');
    expect(() => sa.advanceTo(LAST_SEQUENCE + 1)).toThrow('only grow');
  });

  it('SAs that share their numbers never send one twice, and all stop after the last', () => {
    const numbers = new SequenceCounter();
    const sas = [0, 1, 2].map(() => outbound({ protection, numbers }));
    const send = (sa: OutboundSa): number => {
      const packet = packetOf(DATA);
      return seal(sa, packet, 0) === PASS ? sequenceOf(packet.buf, packet.start) : 0;
    };
    expect([...sas, ...sas].map(send)).toEqual([1, 2, 3, 4, 5, 6]);
    sas[0]!.advanceTo(LAST_SEQUENCE - 2);
    expect(sas.map((sa) => sa.sequence)).toEqual([LAST_SEQUENCE - 2, LAST_SEQUENCE - 2, LAST_SEQUENCE - 2]);
    expect([...sas, ...sas].map(send)).toEqual([LAST_SEQUENCE - 1, LAST_SEQUENCE, 0, 0, 0, 0]);
    expect(sas.map((sa) => [sa.usage.stopped, sa.usage.packets])).toEqual([
      [true, 3],
      [true, 3],
      [true, 2],
    ]);
    // A number left out by one is no step back for another that is further.
    numbers.advanceTo(5);
    expect(numbers.last).toBe(LAST_SEQUENCE);
  });

  it('no number left for it, the packet stays as it was', () => {
    const sa = outbound({ protection, numbers: { last: 7, take: () => 0, advanceTo: () => {} } });
    const packet = packetOf(DATA);
    expect(seal(sa, packet, 0)).toBe(DROP.espSequence);
    expect(copyOf(packet)).toEqual(DATA);
    expect([sa.usage.packets, sa.usage.takeSignal(), sa.drops[DROP.espSequence]]).toEqual([0, SIGNAL.hard, 1]);
  });
});
