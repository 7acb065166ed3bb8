/**
 * A data plane and the naive reference side by side: both are given everything, and at the end of a batch everything that either
 * gave is compared: octets on the wire and at ports, order, events, counters, packets in the pool.
 *
 * Order is that of the reference where all that leaves by one SA or port came in by one door; else that of each flow.
 * Identifications of the router's own packets, and IVs that are drawn by chance, are the plane's choice: the former are not
 * compared, the latter have to be drawn from the given generator and never used twice.
 */
import { expect } from 'vitest';
import { COUNTERS, dropCells } from '../../../src/compartment/counters.ts';
import { COMPARTMENT_CELLS } from '../../../src/compartment/index.ts';
import { type Random, seededRandom } from '../../../src/core/index.ts';
import type { Engine } from '../../../src/crypto/index.ts';
import { readSaCells, SA_CELLS } from '../../../src/esp/index.ts';
import { DataPlane, LocalCells, type PlaneCommand, type PlaneEvent } from '../../../src/gateway/dataplane/index.ts';
import {
  DROP_COUNT,
  type DropReason,
  dropsByName,
  type Endpoint,
  formatEndpoint,
  type Packet,
  type PacketPool,
} from '../../../src/ip/index.ts';
import { Undecided } from './compartment.ts';
import { padded, sealed, unsealed } from './esp.ts';
import { type Frame, piecesOf, settled, superframeProblem } from './frames.ts';
import { isRefusal, mustRead, readIp, TCP, withHeaderChecksum } from './ip.ts';
import { changed, concat, hexOf, long, type Octets } from './octets.ts';
import { ALL_SPIS, NaivePlane, type Spis, type ToPort, type ToWire } from './plane.ts';
import { type Datagram, Recorder } from './recorder.ts';
import type { SaCounts } from './sa.ts';
import { endsOf } from './selectors.ts';
import type { NaiveSa, Outer } from './tunnel.ts';

export interface TwinOptions {
  readonly engine: Engine;
  readonly pool: PacketPool;
  readonly seed?: number;
  /** Those of this data plane. */
  readonly spis?: Spis;
  /** Packets of one flow may leave as superframes. */
  readonly superframes?: boolean;
}

export class Twin {
  readonly pool: PacketPool;
  readonly plane: DataPlane;
  readonly naive: NaivePlane;
  now = 1000;
  /** Superframes that left by a port. */
  superframes = 0;
  /** Why nothing is compared any more. */
  undecided: string | undefined;
  readonly #cells = new LocalCells();
  readonly #recorder: Recorder;
  readonly #joins: boolean;
  /** IVs that were drawn and not yet used. */
  readonly #drawn = new Set<string>();
  /** Addresses of routers. */
  readonly #owned = new Set<string>();
  /** The last number each SA sent. */
  readonly #sent = new Map<NaiveSa, bigint>();
  /** Slots of counters, of compartments by number, of interfaces by both numbers. */
  readonly #slots = new Map<string, number>();
  #nextSlot = 2;

  constructor({ engine, pool, seed = 1, spis = ALL_SPIS, superframes = false }: TwinOptions) {
    this.#joins = superframes;
    this.naive = new NaivePlane(spis);
    this.pool = pool;
    this.#recorder = new Recorder(pool);
    const random = this.#watched(seededRandom(seed));
    const cells = this.#cells;
    this.plane = new DataPlane({ pool, random, engine, output: this.#recorder, cells, spis, superframes });
  }

  /** The slot of whatever counts under this name. */
  slot(name: string): number {
    const known = this.#slots.get(name) ?? this.#nextSlot++;
    this.#slots.set(name, known);
    return known;
  }

  // What comes in: to the reference first, because it may have no answer.

  command(command: PlaneCommand): void {
    if (this.naive.sas.size > 0) this.flush();
    if (command.do === 'add-interface')
      for (const { address } of command.config.addresses) this.#owned.add(hexOf(address));
    this.#both(
      () => this.naive.command(command, this.now),
      () => this.plane.command(command.do === 'install' ? withOwnKeys(command) : command, this.now),
    );
  }

  udp(local: Endpoint, remote: Endpoint, octets: Octets, segment = 0, tos = 0, natt = true): void {
    const packet = this.#taken(octets, segment, false);
    this.#both(
      () => this.naive.udp(local, remote, octets, segment, tos, natt, this.now),
      () => this.plane.udp(local, remote, packet, tos, natt, this.now),
    );
  }

  esp(local: Endpoint, remote: Endpoint, octets: Octets, tos = 0): void {
    const packet = this.#taken(octets, 0, false);
    this.#both(
      () => this.naive.esp(local, remote, octets, tos, this.now),
      () => this.plane.esp(local, remote, packet, tos, this.now),
    );
  }

  packet(port: number, frame: Frame): void {
    const packet = this.#taken(frame.octets, frame.segment, frame.partial);
    this.#both(
      () => this.naive.packet(port, frame, this.now),
      () => this.plane.packet(port, packet, this.now),
    );
  }

  /** Numbers are left out, as if others had taken them. */
  leaveOut(spiIn: number, sequence: bigint): void {
    this.flush();
    const sa = this.naive.sas.get(spiIn)!;
    this.naive.leaveOut(spiIn, sequence);
    this.#sent.set(sa, sequence);
    this.plane.sas.get(spiIn)!.outbound.advanceTo(Number(sequence));
  }

  /** Why packets were dropped, wherever that was counted. */
  reasons(): Set<string> {
    const { drops, strangers, compartments, sas } = this.naive;
    const others = [
      ...compartments.values(),
      ...[...sas.values()].flatMap(({ inbound, outbound }) => [inbound, outbound]),
    ];
    return new Set([drops, strangers, ...others.map((each) => each.drops)].flatMap((counters) => [...counters.keys()]));
  }

  /** Ends the batch; gives how many packets left. */
  flush(): number {
    this.plane.flush(this.now);
    const events = this.plane.takeEvents();
    const { datagrams, packets } = this.#recorder;
    this.superframes += packets.filter(({ frame }) => frame.segment > 0).length;
    this.#recorder.datagrams = [];
    this.#recorder.packets = [];
    const expected = this.naive.take();
    this.undecided ??= this.naive.undecided;
    if (this.undecided !== undefined) return 0;
    this.#comparePorts(packets, expected.toPorts);
    this.#compareWire(datagrams, expected.toWire);
    compareEvents(events, expected.events, new Set([...expected.toPorts, ...expected.toWire].map(({ door }) => door)));
    this.#compareCounters();
    expect(this.pool.taken).toBe(this.naive.waiting);
    return datagrams.length + packets.length;
  }

  #both(naively: () => void, really: () => void): void {
    try {
      if (this.undecided === undefined) naively();
    } catch (error) {
      if (!(error instanceof Undecided)) throw error;
      this.undecided = error.message;
    }
    really();
  }

  #taken(octets: Octets, segment: number, partial: boolean): Packet {
    const packet = this.pool.take()!;
    packet.buf.set(octets, packet.start);
    packet.end = packet.start + octets.length;
    packet.segment = segment;
    packet.partial = partial;
    return packet;
  }

  #watched(random: Random): Random {
    return (length) => {
      const octets = random(length);
      for (let at = 0; at + 16 <= length; at += 16) this.#drawn.add(hexOf(octets.slice(at, at + 16)));
      return octets;
    };
  }

  #comparePorts(actual: Recorder['packets'], expected: readonly ToPort[]): void {
    const ports = new Set([...actual, ...expected].map(({ port }) => port));
    for (const port of ports) {
      const is = actual.filter((each) => each.port === port).flatMap(({ frame }) => this.#wireOf(frame));
      const should = expected.filter((each) => each.port === port);
      const packets = should.flatMap(({ frame }) => this.#wireOf(frame));
      // What joined may have overtaken other flows, and PSH stands at its end.
      if (this.#joins) compareOrder(is.map(withoutPush), packets.map(withoutPush), 2, `port ${port}`);
      else compareOrder(is, packets, doorsOf(should), `port ${port}`);
    }
  }

  /** What a receiver sees, who cuts what can be cut and computes what is owed. */
  #wireOf(frame: Frame): Octets[] {
    if (frame.segment > 0) return superframeProblem(frame) === undefined ? piecesOf(frame) : [frame.octets];
    const octets = settled(frame);
    return [this.#withoutIdentification(typeof octets === 'string' ? frame.octets : octets)];
  }

  /** Only the router's own packets have its addresses. */
  #withoutIdentification(octets: Octets): Octets {
    const ip = readIp(octets);
    if (isRefusal(ip) || ip.version === 6 || !this.#owned.has(hexOf(ip.source))) return octets;
    return withHeaderChecksum(changed(octets, 4, [0, 0]));
  }

  #compareWire(actual: readonly Datagram[], expected: readonly ToWire[]): void {
    const inside = new Map<NaiveSa, Octets[]>();
    // An SA may have sent its last in the moment it went.
    const sas = [...this.naive.sas.values(), ...expected.map(({ sa }) => sa)];
    for (const datagram of actual) {
      const spi = long(datagram.octets, 0);
      const sa = sas.find(({ pair }) => pair.tunnel === datagram.tunnel && pair.spiOut === spi);
      if (sa === undefined) expect.fail(`no SA sends ${hexOf(datagram.octets)}`);
      const whole = this.#withOuter(this.#opened(sa, datagram), datagram);
      inside.set(sa, [...(inside.get(sa) ?? []), whole]);
    }
    for (const sa of new Set([...inside.keys(), ...expected.map((each) => each.sa)])) {
      const should = expected.filter((each) => each.sa === sa);
      const packets = should.map((each) => this.#withOuter(each.inner, each));
      compareOrder(inside.get(sa) ?? [], packets, doorsOf(should), `SA ${sa.pair.spiIn}`);
    }
  }

  /** What the outer header wants stands behind the inner packet. */
  #withOuter(inner: Octets, { tos, dontFragment }: Outer): Octets {
    return concat(this.#withoutIdentification(inner), [tos, dontFragment ? 1 : 0]);
  }

  /** The inner packet, when everything around it is octet for octet as the reference makes it. */
  #opened(sa: NaiveSa, datagram: Datagram): Octets {
    const { pair, outbound } = sa;
    const { suite } = outbound;
    const { octets } = datagram;
    const sequence = (this.#sent.get(sa) ?? 0n) + 1n;
    this.#sent.set(sa, sequence);
    const numbered = { spi: pair.spiOut, sequence, esn: pair.esn };
    const body = unsealed(suite, pair.keysOut, numbered, octets);
    if (body === undefined) expect.fail(`SA ${pair.spiIn}: number ${sequence} does not open: ${hexOf(octets)}`);
    const inner = body.slice(0, mustRead(body).length);
    const iv = suite.counter ? undefined : octets.slice(8, 8 + suite.ivLength);
    if (iv !== undefined && !this.#drawn.delete(hexOf(iv)))
      expect.fail(`an IV nobody drew, or used before: ${hexOf(iv)}`);
    const whole = padded(suite, inner, inner[0]! >> 4 === 4 ? 4 : 41);
    const should = sealed(suite, pair.keysOut, numbered, whole, iv);
    if (!sameOctets(octets, should)) same(hexOf(octets), hexOf(should), 'ESP');
    const { udp, local, remote } = datagram;
    same(
      [udp, formatEndpoint(local), formatEndpoint(remote)],
      [sa.udp, formatEndpoint(sa.local), formatEndpoint(sa.remote)],
      'ends',
    );
    return inner;
  }

  #compareCounters(): void {
    const { naive } = this;
    const cells = (slot: number): Float64Array => this.#cells.at(slot);
    sameDrops(cells(0), naive.drops, 'plane');
    sameDrops(cells(1), naive.strangers, 'strangers');
    for (const [number, compartment] of naive.compartments) {
      const own = cells(this.slot(`${number}`)).subarray(0, COMPARTMENT_CELLS);
      sameDrops(dropCells(own), compartment.drops, `compartment ${number}`);
      const should = COUNTERS.map((name) => [name, compartment.counters.get(name) ?? 0]);
      same(
        COUNTERS.map((name, i) => [name, own[i]!]),
        should,
        `compartment ${number}`,
      );
      for (const { number: out, counters } of compartment.interfaces.values())
        same([...cells(this.slot(`${number} ${out}`)).subarray(0, 4)], counters, `interface ${number} ${out}`);
    }
    for (const { pair, inbound, outbound } of naive.sas.values()) {
      sameSa(cells(pair.cellsIn), inbound, `inbound SA ${pair.spiIn}`);
      sameSa(cells(pair.cellsOut), outbound, `outbound SA ${pair.spiIn}`);
    }
  }
}

/** Whoever is given keys may wipe them. */
function withOwnKeys(command: Extract<PlaneCommand, { do: 'install' }>): PlaneCommand {
  const copy = ({ encryption, integrity }: NaiveSa['pair']['keysIn']) => ({
    encryption: encryption.slice(),
    integrity: integrity.slice(),
  });
  const { sa } = command;
  return { ...command, sa: { ...sa, keysIn: copy(sa.keysIn), keysOut: copy(sa.keysOut) } };
}

/** Says where they first differ: `toEqual` is slow for as much as this compares, and shows too much of it. */
function same(is: unknown, should: unknown, what: string): void {
  const [one, other] = [JSON.stringify(is), JSON.stringify(should)];
  if (one === other) return;
  let at = 0;
  while (one[at] === other[at]) at++;
  const around = (text: string): string => text.slice(Math.max(0, at - 100), at + 100);
  expect.fail(`${what}, from character ${at} on:\nis     … ${around(one)}\nshould … ${around(other)}`);
}

function sameDrops(cells: Float64Array, drops: ReadonlyMap<DropReason, number>, what: string): void {
  const byName = (entries: readonly (readonly [string, number])[]) => [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  const is = Object.entries(dropsByName(cells.subarray(0, DROP_COUNT)));
  same(byName(is), byName([...drops]), `drops of ${what}`);
}

function sameSa(
  cells: Float64Array,
  should: { readonly counts: SaCounts; readonly drops: ReadonlyMap<DropReason, number> },
  what: string,
): void {
  const { drops, ...counts } = readSaCells(cells.subarray(0, SA_CELLS));
  same(counts, { ...should.counts, sequence: Number(should.counts.sequence) }, what);
  sameDrops(drops, should.drops, what);
}

/** RFC 9293 §3.8.4: PSH tells a receiver nothing that its place in the stream does not. */
function withoutPush(octets: Octets): Octets {
  const frame = { octets, segment: 0, partial: true };
  const ip = readIp(octets);
  if (isRefusal(ip) || ip.protocol !== TCP || ip.fragment || ip.at + 20 > ip.length) return octets;
  if ((octets[ip.at + 13]! & 0x08) === 0) return octets;
  const whole = settled(frame);
  if (typeof whole === 'string' || !sameOctets(whole, octets)) return octets;
  const cleared = changed(octets, ip.at + 13, [octets[ip.at + 13]! & ~0x08]);
  return settled({ ...frame, octets: cleared }) as Octets;
}

const doorsOf = (all: readonly { readonly door: string }[]): number => new Set(all.map(({ door }) => door)).size;

const sameOctets = (a: Octets, b: Octets): boolean => Buffer.compare(a, b) === 0;

export function compareOrder(is: readonly Octets[], should: readonly Octets[], doors: number, what: string): void {
  if (is.length === should.length && is.every((octets, i) => sameOctets(octets, should[i]!))) return;
  const [inFlows, flowsWanted] = doors < 2 ? [{ all: is }, { all: should }] : [byFlow(is), byFlow(should)];
  const hex = (flows: Readonly<Record<string, readonly Octets[]>>) =>
    Object.entries(flows).map(([flow, packets]) => [flow, packets.map(hexOf)]);
  same(hex(inFlows), hex(flowsWanted), what);
}

function byFlow(packets: readonly Octets[]): Record<string, Octets[]> {
  const flows: Record<string, Octets[]> = {};
  for (const octets of packets) {
    const ends = isRefusal(readIp(octets)) ? undefined : endsOf(octets);
    const flow =
      ends === undefined
        ? 'none'
        : `${hexOf(ends.source)} ${hexOf(ends.destination)} ${ends.protocol} ${ends.ports?.join()}`;
    flows[flow] ??= [];
    flows[flow].push(octets);
  }
  return Object.fromEntries(Object.entries(flows).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function compareEvents(is: readonly PlaneEvent[], should: readonly PlaneEvent[], doors: ReadonlySet<string>): void {
  const inWords = (events: readonly PlaneEvent[], type: PlaneEvent['type']): string[] =>
    events.filter((event) => event.type === type).map((event) => JSON.stringify(event, (_, value) => written(value)));
  for (const type of ['ike', 'stray'] as const) same(inWords(is, type), inWords(should, type), `events ${type}`);
  const ordered = (words: string[]): string[] => (doors.size < 2 ? words : words.sort());
  same(ordered(inWords(is, 'acquire')), ordered(inWords(should, 'acquire')), 'events acquire');
  const sas = new Set([...is, ...should].flatMap((event) => ('spiIn' in event ? [event.spiIn] : [])));
  for (const spiIn of sas) {
    const of = (events: readonly PlaneEvent[]) => events.filter((event) => 'spiIn' in event && event.spiIn === spiIn);
    same(inWords(of(is), 'inbound'), inWords(of(should), 'inbound'), `events inbound of SA ${spiIn}`);
    const count = (events: readonly PlaneEvent[], hard: boolean): number =>
      of(events).filter((event) => event.type === 'expire' && event.hard === hard).length;
    expect(count(is, true), `SA ${spiIn} stops`).toBe(count(should, true));
    // An SA that stops in the same batch may have nothing else to say.
    expect(count(is, false), `SA ${spiIn} asks`).toBeLessThanOrEqual(count(should, false));
    expect(count(is, false), `SA ${spiIn} asks`).toBeGreaterThanOrEqual(count(should, false) - count(should, true));
  }
  expect(is.length - should.length).toBeLessThanOrEqual(0);
}

const written = (value: unknown): unknown => (value instanceof Uint8Array ? hexOf(value) : value);
