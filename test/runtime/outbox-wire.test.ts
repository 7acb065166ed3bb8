/**
 * What a receiver behind a device gets of what hosts and peers send, sound or broken, in whatever order: each flow's packets octet
 * for octet in their order, whether the device takes superframes or not. The receiver works as Linux does with the header of a
 * frame: it trusts the sum that stands in the checksum field, and cuts.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type Coalesced,
  describeOffload,
  newOffload,
  OFFLOAD_KIND,
  type Packet,
  PacketPool,
} from '../../src/ip/index.ts';
import { FAILED, SENT, type SendResult } from '../../src/runtime/index.ts';
import { Outbox, type PacketDevice } from '../../src/runtime/outbox.ts';
import { Dice } from '../support/naive/dice.ts';
import { type Frame, piecesOf, settled, superframeProblem } from '../support/naive/frames.ts';
import { isRefusal, mustRead, readIp, TCP, withHeaderChecksum } from '../support/naive/ip.ts';
import { be16, changed, checksum, concat, type Octets, pseudoSum, word } from '../support/naive/octets.ts';
import { anyFrame, anySuperframe } from '../support/naive/traffic.ts';
import { compareOrder } from '../support/naive/twin.ts';

interface Kinds {
  readonly tcp: boolean;
  readonly udp: boolean;
}

class Receiver implements PacketDevice {
  readonly wire: Octets[] = [];
  superframes = 0;
  refused = 0;
  readonly #kinds: Kinds;

  constructor(kinds: Kinds) {
    this.#kinds = kinds;
  }

  takes(kind: number): boolean {
    if (kind === OFFLOAD_KIND.none) return true;
    return kind === OFFLOAD_KIND.udp ? this.#kinds.udp : this.#kinds.tcp;
  }

  writePacket(packet: Packet): SendResult {
    const group = { ...newOffload(), count: 1, octets: packet.end - packet.start, slices: [slice(packet)] };
    describeOffload(packet, group);
    return packet.segment > 0 && group.kind === OFFLOAD_KIND.none ? this.#refuse() : this.writeGroup(group);
  }

  writeGroup(group: Coalesced): SendResult {
    const { kind, count, slices, segment, partial, checksumStart, checksumOffset } = group;
    const octets = concat(
      ...slices.slice(0, count).map(({ packet, offset, length }) => packet.buf.slice(offset, offset + length)),
    );
    expect(octets.length).toBe(group.octets);
    if (!this.takes(kind) || (segment === 0 && (slices[0]?.packet.segment ?? 0) > 0)) return this.#refuse();
    if (segment > 0) {
      const { source, destination, length } = mustRead(octets);
      const upper = kind === OFFLOAD_KIND.udp ? 17 : 6;
      const field = checksumStart + checksumOffset;
      expect([partial, word(octets, field)]).toEqual([
        true,
        pseudoSum(source, destination, upper, length - checksumStart),
      ]);
      this.superframes += 1;
      this.wire.push(...piecesOf({ octets, segment, partial }));
    } else if (partial) {
      const value = checksum(octets.slice(checksumStart));
      this.wire.push(changed(octets, checksumStart + checksumOffset, be16(value === 0 ? 0xffff : value)));
    } else this.wire.push(octets);
    return SENT;
  }

  #refuse(): SendResult {
    this.refused += 1;
    return FAILED;
  }
}

const slice = (packet: Packet) => ({ packet, offset: packet.start, length: packet.end - packet.start });

function wireOf(frame: Frame): readonly Octets[] {
  if (frame.segment > 0) return piecesOf(frame);
  const octets = settled(frame);
  return [typeof octets === 'string' ? frame.octets : octets];
}

/** Frames in flight, some of them cut already: then they can be put together again. */
function anyTraffic(dice: Dice, count: number): Frame[] {
  const queues: Frame[][] = [];
  for (let i = 0; i < count; i++) {
    const kind = dice.percent(40) ? anySuperframe : anyFrame;
    const any = kind(dice, dice.pick(['hq', 'lan', 'inside']), { superframes: true, without: [] });
    const frame = trimmed({ ...any, octets: numbered(any.octets, 200 * i) });
    queues.push(frame.segment > 0 && dice.percent(70) ? disturbed(dice, wireOf(frame)) : [frame]);
  }
  // By turns, as from several peers at once.
  const all: Frame[] = [];
  while (queues.length > 0) {
    const at = dice.below(Math.min(queues.length, 4));
    for (const frame of queues[at]!.splice(0, dice.between(1, 12))) all.push(frame);
    if (queues[at]!.length === 0) queues.splice(at, 1);
  }
  return all;
}

/** Packets that could be put together, if nothing happened to them on the way: one is lost, changed, late, or comes twice. */
function disturbed(dice: Dice, packets: readonly Octets[]): Frame[] {
  const all = [...packets];
  for (let i = dice.below(5); i > 0; i--) {
    const at = dice.below(all.length);
    const octets = all[at]!;
    const replaced = dice.pick<() => readonly Octets[]>([
      () => [],
      () => (identificationMatters(octets) ? [octets, octets] : []),
      () => [tampered(dice, octets)],
      () => (identificationMatters(octets) ? [tampered(dice, octets), octets] : []),
      () => cutAgain(dice, octets),
    ])();
    if (dice.percent(80)) all.splice(at, 1, ...replaced);
    else all.splice(dice.below(all.length), 0, ...all.splice(at, 1));
    if (all.length === 0) return [];
  }
  return all.map((octets) => ({ octets, segment: 0, partial: false }));
}

/** Another value somewhere in the headers; half of them with right checksums, as a sender would have made them. */
function tampered(dice: Dice, octets: Octets): Octets {
  const [any, bit] = [dice.percent(50) ? dice.below(octets.length) : dice.pick(TELLING), dice.below(8)];
  const ip = readIp(octets);
  const cwr = dice.percent(20) && !isRefusal(ip) && ip.protocol === TCP ? ip.at + 13 : undefined;
  const at = Math.min(cwr ?? any, octets.length - 1);
  const other = changed(octets, at, [octets[at]! ^ (1 << (cwr === undefined ? bit : 7))]);
  const whole = !isRefusal(readIp(other)) && dice.percent(70) ? withHeaderChecksum(other) : other;
  if (dice.percent(40)) return whole;
  const right = settled({ octets: whole, segment: 0, partial: true });
  return typeof right === 'string' ? whole : right;
}

/** Traffic class, flags, TTL, hop limit; acknowledgment and flags of TCP. */
const TELLING = [1, 6, 7, 8, 28, 33, 48, 53];

function cutAgain(dice: Dice, octets: Octets): readonly Octets[] {
  const frame = { octets, segment: dice.between(8, 600), partial: false };
  return superframeProblem(frame) === undefined ? piecesOf(frame) : [octets];
}

/** RFC 6864 §4.1: with DF it does not. Whoever puts together packets that have the same one may count it up. */
function identificationMatters(octets: Octets): boolean {
  const ip = readIp(octets);
  return isRefusal(ip) || ip.version === 6 || ip.mayBeCut;
}

/** With an identification that only a packet with its neighbours has. */
function numbered(octets: Octets, identification: number): Octets {
  const ip = readIp(octets);
  if (isRefusal(ip) || ip.version === 6) return octets;
  return withHeaderChecksum(changed(octets, 4, be16(identification % 65536)));
}

/** As a router hands it on: nothing behind its length, no superframe that cannot be cut, no debt that nobody can pay. */
function trimmed(any: Frame): Frame {
  const ip = readIp(any.octets);
  const octets = isRefusal(ip) ? any.octets : any.octets.slice(0, ip.length);
  const segment = superframeProblem({ ...any, octets }) === undefined ? any.segment : 0;
  const frame = { octets, segment, partial: true };
  return { ...frame, partial: any.partial && typeof settled(frame) !== 'string' };
}

it.each<[string, Kinds]>([
  ['takes all superframes', { tcp: true, udp: true }],
  ['takes none of UDP', { tcp: true, udp: false }],
  ['takes none of TCP', { tcp: false, udp: true }],
  ['takes none', { tcp: false, udp: false }],
])('a device that %s', (_, kinds) => {
  let pool = new PacketPool(2048, 65535);
  let superframes = 0;
  fc.assert(
    fc.property(fc.noShrink(fc.nat()), fc.integer({ min: 1, max: 30 }), fc.nat(20), (seed, count, often) => {
      if (pool.taken > 0) pool = new PacketPool(2048, 65535);
      const dice = new Dice(seed);
      const device = new Receiver(kinds);
      const outbox = new Outbox(pool, () => {});
      const expected: Octets[] = [];
      for (const frame of anyTraffic(dice, count)) {
        expected.push(...wireOf(frame));
        const packet = pool.from(frame.octets)!;
        packet.segment = frame.segment;
        packet.partial = frame.partial;
        outbox.write(device, packet);
        if (dice.below(80) < often) outbox.flush();
      }
      outbox.flush();
      compareOrder(device.wire, expected, 2, 'the wire');
      expect([device.refused, pool.taken]).toEqual([0, 0]);
      superframes += device.superframes;
    }),
    { numRuns: 100, seed: 11 },
  );
  expect(superframes > 100).toBe(kinds.tcp);
});
