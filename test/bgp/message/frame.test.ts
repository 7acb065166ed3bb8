import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type Frame, Framer, MESSAGE } from '../../../src/bgp/index.ts';
import { type Bytes, concat, fromHex, toHex } from '../../../src/core/index.ts';
import { wire } from './octets.ts';

const keepalive = wire(MESSAGE.KEEPALIVE, '');
const update = (length: number): Bytes => wire(MESSAGE.UPDATE, new Uint8Array(length - 19));

/** All that comes out of the stream, as copies, given in the pieces that end at `cuts`. */
function framed(stream: Bytes, cuts: readonly number[], maximum = 4096): Frame[] {
  const framer = new Framer();
  framer.maximumLength = maximum;
  const out: Frame[] = [];
  const ends = [...new Set([...cuts.filter((c) => c < stream.length), stream.length])].sort((a, b) => a - b);
  let at = 0;
  for (const end of ends) {
    const piece = stream.slice(at, end);
    framer.push(piece);
    for (let f = framer.next(); f !== undefined; f = framer.next()) {
      out.push(f.ok ? { ...f, octets: f.octets.slice() } : f);
      if (!f.ok) return out;
    }
    piece.fill(0);
    at = end;
  }
  return out;
}

const refusalOf = (stream: Bytes, maximum?: number) => {
  const last = framed(stream, [], maximum).at(-1);
  return last === undefined || last.ok
    ? undefined
    : [last.refusal.notification.code, last.refusal.notification.subcode, toHex(last.refusal.notification.data)];
};

describe('RFC 4271 §4.1: messages in a stream', () => {
  it('come out whole, in order and with their types, however the octets arrive', () => {
    const message = fc.oneof(
      fc.constant(keepalive),
      fc.integer({ min: 23, max: 300 }).map(update),
      fc.uint8Array({ minLength: 2, maxLength: 40 }).map((body) => wire(MESSAGE.NOTIFICATION, body)),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), fc.array(fc.nat(1500), { maxLength: 40 }), (messages, cuts) => {
        const out = framed(concat(...messages), cuts);
        expect(out.map((f) => f.ok && toHex(f.octets))).toEqual(messages.map(toHex));
        expect(out.map((f) => f.ok && f.type)).toEqual(messages.map((m) => m[18]));
      }),
    );
  });

  it('come out one octet at a time as well', () => {
    const stream = concat(keepalive, update(30), keepalive);
    expect(framed(stream, [...stream.keys()]).length).toBe(3);
  });

  it('are yielded where they lie when they came whole', () => {
    const framer = new Framer();
    const stream = concat(keepalive, update(23));
    framer.push(stream);
    const first = framer.next();
    const second = framer.next();
    expect(first?.ok && first.octets.buffer === stream.buffer && first.octets.byteOffset === 0).toBe(true);
    expect(second?.ok && second.octets.buffer === stream.buffer && second.octets.byteOffset === 19).toBe(true);
    expect(framer.pending).toBe(0);
  });

  it('are kept for no longer than the largest of them', () => {
    const framer = new Framer();
    const large = update(4096);
    for (let at = 0; at < 4095; at++) {
      framer.push(large.subarray(at, at + 1));
      expect(framer.next()).toBeUndefined();
      expect(framer.pending).toBe(at + 1);
    }
    framer.push(large.subarray(4095));
    expect(framer.next()?.ok).toBe(true);
    expect(framer.pending).toBe(0);
  });
});

describe('RFC 4271 §6.1: errors of the header', () => {
  it.each([0, 7, 15])('1/1 without data when octet %i of the marker is not all ones', (i) => {
    const broken = keepalive.slice();
    broken[i] = 0xfe;
    expect(refusalOf(broken)).toEqual([1, 1, '']);
  });

  test.each([
    { what: 'less than a header', octets: wire(MESSAGE.KEEPALIVE, '', 18), data: '0012' },
    { what: 'zero', octets: wire(MESSAGE.KEEPALIVE, '', 0), data: '0000' },
    { what: 'more than 4096', octets: wire(MESSAGE.UPDATE, '0000', 4097), data: '1001' },
    { what: 'an OPEN of 28', octets: wire(MESSAGE.OPEN, new Uint8Array(9)), data: '001c' },
    { what: 'an UPDATE of 22', octets: wire(MESSAGE.UPDATE, '000000'), data: '0016' },
    { what: 'a NOTIFICATION of 20', octets: wire(MESSAGE.NOTIFICATION, '06'), data: '0014' },
    { what: 'a KEEPALIVE of 20', octets: wire(MESSAGE.KEEPALIVE, '00'), data: '0014' },
  ])('1/2 with the length for $what', ({ octets, data }) => {
    expect(refusalOf(octets)).toEqual([1, 2, data]);
  });

  it.each([0, 6, 255])('1/3 with the type for type %i', (type) => {
    expect(refusalOf(wire(type, '00000000'))).toEqual([1, 3, toHex(Uint8Array.of(type))]);
  });

  it('are known from the header alone, and end the stream', () => {
    const framer = new Framer();
    framer.push(concat(keepalive, wire(9, ''), keepalive));
    expect(framer.next()?.ok).toBe(true);
    const refused = framer.next();
    expect(refused?.ok).toBe(false);
    expect(framer.next()).toBe(refused);
    framer.push(keepalive);
    expect(framer.next()).toBe(refused);
    expect(framer.pending).toBe(0);
  });

  it('never come from the octets behind them, whatever those are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(200), { maxLength: 5 }), (noise, cuts) => {
        const out = framed(concat(keepalive, noise), cuts);
        expect(out[0]).toEqual({ ok: true, type: 4, octets: keepalive });
        expect(out.filter((f) => !f.ok).length).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('RFC 8654 §4: extended messages', () => {
  it('are whole with up to 65,535 octets once we have said so', () => {
    expect(framed(update(65535), [30, 5000], 65535)).toEqual([
      { ok: true, type: MESSAGE.UPDATE, octets: update(65535) },
    ]);
    expect(refusalOf(update(4097))).toEqual([1, 2, '1001']);
  });

  it('are never OPEN or KEEPALIVE', () => {
    expect(refusalOf(wire(MESSAGE.OPEN, new Uint8Array(4078)), 65535)).toEqual([1, 2, '1001']);
    expect(framed(wire(MESSAGE.OPEN, new Uint8Array(4077)), [], 65535)[0]?.ok).toBe(true);
    expect(refusalOf(fromHex(`${'ff'.repeat(16)}0014 04 00`), 65535)).toEqual([1, 2, '0014']);
  });
});
