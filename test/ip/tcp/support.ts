/** Two TCP hosts over a link in virtual time that loses, delays, repeats and reorders as a seed says; and segments by hand. */
import { createHash } from 'node:crypto';
import { type Millis, seededRandom, seededU32 } from '../../../src/core/index.ts';
import {
  type Address,
  buildTcp,
  TCP_FLAG,
  type TcpAction,
  type TcpConnectionId,
  type TcpFields,
  TcpHost,
  type TcpHostOptions,
  type TcpOptions,
  tcpAcknowledgment,
  tcpFlags,
  tcpHeaderLength,
  tcpSequence,
  tcpWindow,
} from '../../../src/ip/index.ts';
import { addr } from '../../support/packets.ts';

export const md5 = (octets: Uint8Array): Uint8Array => createHash('md5').update(octets).digest();

export const A = addr('10.1.0.1');
export const B = addr('10.1.0.2');

export const newHost = (seed = 1, options: Partial<TcpHostOptions> = {}): TcpHost =>
  new TcpHost({ random: seededRandom(seed), md5, ...options });

export const emitted = (actions: readonly TcpAction[]): Uint8Array[] =>
  actions.flatMap((action) => (action.do === 'emit' ? [action.packet] : []));

/** Everything but packets, in words: `connected 1`. */
export const told = (actions: readonly TcpAction[]): string[] =>
  actions.flatMap((action) => {
    if (action.do === 'emit') return [];
    return [action.do === 'closed' ? `closed ${action.id} ${action.how}` : `${action.do} ${action.id}`];
  });

/** `SYN ACK seq 1 ack 2 win 3 len 4`. */
export function words(packet: Uint8Array): string {
  const at = packet[0]! >>> 4 === 4 ? 20 : 40;
  const flags = Object.entries(TCP_FLAG).flatMap(([name, bit]) =>
    tcpFlags(packet, at) & bit ? [name.toUpperCase()] : [],
  );
  const length = packet.length - at - tcpHeaderLength(packet, at);
  const numbers = `seq ${tcpSequence(packet, at)} ack ${tcpAcknowledgment(packet, at)} win ${tcpWindow(packet, at)}`;
  return `${flags.join(' ')} ${numbers} len ${length}`;
}

export const flagsOf = (packet: Uint8Array | undefined): string =>
  packet === undefined ? 'nothing' : words(packet).replace(/ seq.*/, '');

export const sequenceOf = (packet: Uint8Array): number => tcpSequence(packet, packet[0]! >>> 4 === 4 ? 20 : 40);
export const acknowledgmentOf = (packet: Uint8Array): number =>
  tcpAcknowledgment(packet, packet[0]! >>> 4 === 4 ? 20 : 40);
export const dataOf = (packet: Uint8Array): Uint8Array => {
  const at = packet[0]! >>> 4 === 4 ? 20 : 40;
  return packet.subarray(at + tcpHeaderLength(packet, at));
};

/** A peer at B, port 179, whose every segment the test writes, opposite to a host at A. */
export class HandPeer {
  readonly host: TcpHost;
  id: TcpConnectionId = 0;
  now: Millis = 1000;
  port = 0;
  /** Of the next segment from B, and what B has. */
  sequence = 0xffff_fff0;
  acknowledgment = 0;
  readonly told: string[] = [];

  constructor(options: Partial<TcpHostOptions> = {}) {
    this.host = newHost(7, options);
  }

  /** The packets of some actions; the rest is noted. */
  take(actions: readonly TcpAction[]): Uint8Array[] {
    this.told.push(...told(actions));
    return emitted(actions);
  }

  /** A segment from B with the numbers as they stand, unless told otherwise. */
  segment(flags: number, fields: Partial<TcpFields> = {}, data?: Uint8Array): Uint8Array {
    const { sequence, acknowledgment } = this;
    const ends = { source: B, destination: A, sourcePort: 179, destinationPort: this.port };
    return buildTcp({ ...ends, sequence, acknowledgment, flags, window: 20_000, ...fields }, data);
  }

  says(flags: number, fields: Partial<TcpFields> = {}, data?: Uint8Array): Uint8Array[] {
    return this.take(this.host.packet(this.segment(flags, fields, data), this.now));
  }

  /** A dials B and is connected. */
  establish(options: TcpOptions = {}, syn: Partial<TcpFields> = {}): this {
    const dialled = this.host.connect({ address: A, port: 0 }, { address: B, port: 179 }, options, this.now);
    if ('refused' in dialled) throw new Error(dialled.refused);
    this.id = dialled.id;
    const [packet] = this.take(dialled.actions);
    this.port = (packet![20]! << 8) | packet![21]!;
    this.acknowledgment = (sequenceOf(packet!) + 1) >>> 0;
    this.says(TCP_FLAG.syn | TCP_FLAG.ack, syn);
    this.sequence = (this.sequence + 1) >>> 0;
    return this;
  }

  send(octets: Uint8Array): Uint8Array[] {
    return this.take(this.host.send(this.id, octets, this.now).actions);
  }

  /** To a time, with every deadline on the way. */
  wait(milliseconds: number): Uint8Array[] {
    const end = this.now + milliseconds;
    const packets: Uint8Array[] = [];
    for (let due = this.host.deadline(); due !== undefined && due.at <= end; due = this.host.deadline()) {
      this.now = Math.max(this.now, due.at);
      packets.push(...this.take(this.host.tick(this.now)));
    }
    this.now = end;
    return packets;
  }
}

export interface LinkOptions {
  readonly loss?: number;
  readonly repeat?: number;
  /** Each packet takes this long and up to `jitter` more: that reorders. */
  readonly delay?: Millis;
  readonly jitter?: Millis;
}

/** One end of a pair: sends `outgoing`, closes when that is gone, and keeps what it gets. */
export class End {
  readonly address: Address;
  readonly host: TcpHost;
  id: TcpConnectionId | undefined;
  outgoing: Uint8Array = new Uint8Array(0);
  sentUpTo = 0;
  readonly received: number[] = [];
  readonly told: string[] = [];
  closing = false;
  /** Octets read at a time; 0: nothing is read. */
  appetite = Number.POSITIVE_INFINITY;

  constructor(address: Address, host: TcpHost) {
    this.address = address;
    this.host = host;
  }
}

export class Pair {
  readonly ends: readonly [End, End];
  now: Millis = 0;
  /** The first few packets of both. */
  readonly sent: Uint8Array[] = [];
  #order = 0;
  readonly #link: Required<LinkOptions>;
  readonly #draw: () => number;
  #flying: { at: Millis; order: number; to: 0 | 1; packet: Uint8Array }[] = [];

  constructor(seed: number, link: LinkOptions = {}, options: Partial<TcpHostOptions> = {}) {
    this.#link = { loss: 0, repeat: 0, delay: 10, jitter: 0, ...link };
    this.#draw = seededU32(seed);
    this.ends = [new End(A, newHost(seed * 2 + 1, options)), new End(B, newHost(seed * 2 + 2, options))];
  }

  dial(options: TcpOptions = {}): void {
    const dialled = this.ends[0].host.connect({ address: A, port: 0 }, { address: B, port: 179 }, options, this.now);
    if ('refused' in dialled) throw new Error(dialled.refused);
    this.ends[0].id = dialled.id;
    this.perform(0, dialled.actions);
  }

  /** Both ends with everything to send; each closes when the last octet was taken. */
  exchange(first: Uint8Array, second: Uint8Array, options: TcpOptions = {}, most = 3_600_000): void {
    this.ends[0].outgoing = first;
    this.ends[1].outgoing = second;
    if (!this.ends[1].host.listen(179, { accept: () => options })) throw new Error('the port is taken');
    this.dial(options);
    this.run(most);
  }

  /** Until nothing flies and nobody has a deadline. */
  run(most: Millis): void {
    const end = this.now + most;
    for (;;) {
      const next = this.#flying.reduce<Millis>((least, { at }) => Math.min(least, at), Number.POSITIVE_INFINITY);
      const due = Math.min(next, ...this.ends.map(({ host }) => host.deadline()?.at ?? Number.POSITIVE_INFINITY));
      if (due > end) break;
      this.now = Math.max(this.now, due);
      this.#land();
      for (const side of [0, 1] as const) this.perform(side, this.ends[side].host.tick(this.now));
    }
    this.now = end;
  }

  perform(side: 0 | 1, actions: readonly TcpAction[]): void {
    const end = this.ends[side];
    for (const action of actions) {
      if (action.do === 'emit') {
        this.#carry(side, action.packet);
        continue;
      }
      end.told.push(told([action])[0]!);
      if (action.do === 'connected') end.id = action.id;
      if (action.do === 'received') this.read(side);
      if (action.do === 'connected' || action.do === 'writable') this.#pour(side);
    }
  }

  read(side: 0 | 1): void {
    const end = this.ends[side];
    if (end.appetite === 0) return;
    const { octets, actions } = end.host.read(end.id!, end.appetite);
    for (const octet of octets) end.received.push(octet);
    this.perform(side, actions);
  }

  #pour(side: 0 | 1): void {
    const end = this.ends[side];
    const { accepted, actions } = end.host.send(end.id!, end.outgoing.subarray(end.sentUpTo), this.now);
    end.sentUpTo += accepted;
    this.perform(side, actions);
    if (end.closing || end.sentUpTo < end.outgoing.length) return;
    end.closing = true;
    this.perform(side, end.host.close(end.id!, this.now));
  }

  #carry(from: 0 | 1, packet: Uint8Array): void {
    this.#order += 1;
    if (this.sent.length < 8) this.sent.push(packet);
    const { loss, repeat, delay, jitter } = this.#link;
    const copies = this.#chance(repeat) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.#chance(loss)) continue;
      const at = this.now + delay + (jitter === 0 ? 0 : this.#draw() % jitter);
      this.#flying.push({ at, order: this.#order, to: from === 0 ? 1 : 0, packet });
    }
  }

  #land(): void {
    const landing = this.#flying.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at || a.order - b.order);
    this.#flying = this.#flying.filter(({ at }) => at > this.now);
    for (const { to, packet } of landing) this.perform(to, this.ends[to].host.packet(packet, this.now));
  }

  #chance(of: number): boolean {
    return of > 0 && this.#draw() / 0x1_0000_0000 < of;
  }
}

/** Octets that repeat late enough for a lost or doubled piece to show. */
export function text(length: number, seed: number): Uint8Array {
  const draw = seededU32(seed);
  return Uint8Array.from({ length }, () => draw() & 0xff);
}
