/**
 * What a receiver behind a device gets of what hosts and peers send, sound or broken, in whatever order: each flow's packets octet
 * for octet in their order, whether packets join on their way or not, whether the device takes superframes or not. The receiver works as Linux does with the header of a
 * frame: it trusts the sum that stands in the checksum field, and cuts.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Coalescer,
  describeOffload,
  newOffload,
  newPart,
  OFFLOAD_KIND,
  type Packet,
  PacketPool,
  placePart,
} from '../../src/ip/index.ts';
import { FAILED, SENT, type SendResult } from '../../src/runtime/index.ts';
import { Outbox, type PacketDevice } from '../../src/runtime/outbox.ts';
import { Dice } from '../support/naive/dice.ts';
import { type Frame, piecesOf, settled, superframeProblem } from '../support/naive/frames.ts';
import { isRefusal, mustRead, readIp, TCP, withHeaderChecksum } from '../support/naive/ip.ts';
import { be16, changed, checksum, hexOf, type Octets, pseudoSum, word } from '../support/naive/octets.ts';
import { anyFrame, anySuperframe } from '../support/naive/traffic.ts';
import { compareOrder } from '../support/naive/twin.ts';

interface Kinds {
  readonly tcp: boolean;
  readonly udp: boolean;
}

class Receiver implements PacketDevice {
  readonly wire: Octets[] = [];
  /** Of TCP and of UDP. */
  readonly superframes = { tcp: 0, udp: 0 };
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
    describeOffload(packet, offload);
    const { kind, segment, partial, checksumStart, checksumOffset } = offload;
    const octets = packet.buf.slice(packet.start, packet.end);
    if (!this.takes(kind) || (segment === 0 && packet.segment > 0)) return this.#refuse();
    const field = checksumStart + checksumOffset;
    if (segment > 0) {
      const { source, destination, length } = mustRead(octets);
      const udp = kind === OFFLOAD_KIND.udp;
      const owed = pseudoSum(source, destination, udp ? 17 : 6, length - checksumStart);
      expect([partial, word(octets, field)]).toEqual([true, owed]);
      this.superframes[udp ? 'udp' : 'tcp'] += 1;
      this.wire.push(...piecesOf({ octets, segment, partial }));
    } else if (partial) {
      const value = checksum(octets.slice(checksumStart));
      this.wire.push(changed(octets, field, be16(value === 0 ? 0xffff : value)));
    } else this.wire.push(octets);
    return SENT;
  }

  #refuse(): SendResult {
    this.refused += 1;
    return FAILED;
  }
}

const offload = newOffload();

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

/** How packets come to the outbox: as they are; or behind a coalescer, from slots of their own or from a train. */
type Way = 'alone' | 'joined' | 'parts';

/** Everything through a device of these kinds: how many superframes it was given. */
function deliver(kinds: Kinds, way: Way): { tcp: number; udp: number; merged: number } {
  let pool = new PacketPool(2048, 65535);
  const superframes = { tcp: 0, udp: 0, merged: 0 };
  fc.assert(
    fc.property(fc.noShrink(fc.nat()), fc.integer({ min: 1, max: 30 }), fc.nat(20), (seed, count, often) => {
      if (pool.taken > 0) pool = new PacketPool(2048, 65535);
      const dice = new Dice(seed);
      const device = new Receiver(kinds);
      const outbox = new Outbox(pool, () => {});
      const write = (packet: Packet): void => {
        const own = packet.slot < 0 ? pool.copyOf(packet, packet.start, packet.end)! : packet;
        outbox.write(device, own);
      };
      const coalescer = new Coalescer({ pool, emit: write, grows: () => true });
      const expected: Octets[] = [];
      const hosts: Packet[] = [];
      for (const frame of anyTraffic(dice, count)) {
        // A coalescer is given what passed `checkIp`.
        if (way !== 'alone' && isRefusal(readIp(frame.octets))) continue;
        expected.push(...wireOf(frame));
        let packet = pool.from(frame.octets)!;
        if (way === 'parts' && frame.segment === 0 && !frame.partial) {
          hosts.push(packet);
          const part = newPart();
          placePart(part, packet, packet.start, packet.end);
          packet = part;
        }
        packet.segment = frame.segment;
        packet.partial = frame.partial;
        if (way === 'alone') write(packet);
        else coalescer.add(packet);
        if (dice.below(80) < often) coalescer.flush();
      }
      coalescer.flush();
      for (const host of hosts) pool.release(host);
      if (way === 'alone') expect(device.wire.map(hexOf)).toEqual(expected.map(hexOf));
      else compareOrder(device.wire, expected, 2, 'the wire');
      expect([device.refused, pool.taken]).toEqual([0, 0]);
      superframes.tcp += device.superframes.tcp;
      superframes.udp += device.superframes.udp;
      superframes.merged += coalescer.counters.merged;
    }),
    { numRuns: 50, seed: 11 },
  );
  return superframes;
}

describe.each<[string, Kinds]>([
  ['takes all superframes', { tcp: true, udp: true }],
  ['takes none of UDP', { tcp: true, udp: false }],
  ['takes none of TCP', { tcp: false, udp: true }],
  ['takes none', { tcp: false, udp: false }],
])('a device that %s', (_, kinds) => {
  it.each<Way>(['alone', 'joined', 'parts'])('%s', (way) => {
    const { tcp, udp, merged } = deliver(kinds, way);
    // What came as superframes is most of 50; where packets join there are hundreds.
    const some = way === 'alone' ? 25 : 200;
    expect([tcp > some, udp > some]).toEqual([kinds.tcp, kinds.udp]);
    expect(merged > 1000).toBe(way !== 'alone');
  });
});
