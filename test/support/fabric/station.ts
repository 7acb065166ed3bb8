/**
 * A machine of the fabric's world: it answers pings, echoes datagrams of UDP port 7, serves one line a connection on TCP port 80,
 * and asks others for the same. Everything it says names a question of the ledger, which knows where that may arrive.
 */

import {
  type Address,
  buildIcmpEcho,
  buildTcp,
  buildUdp,
  checkIp,
  destinationOf,
  echoIdentifier,
  echoSequence,
  findUpperLayer,
  formatAddress,
  IP_PROTOCOL,
  ipVersion,
  ipv4IsFragment,
  isEchoReply,
  isEchoRequest,
  mssOption,
  newUpperLayer,
  PASS,
  quotedPacketAt,
  Reassembly,
  sameAddress,
  sourceOf,
  TCP_FLAG,
  tcpAcknowledgment,
  tcpFlags,
  tcpHeaderLength,
  tcpMss,
  tcpSequence,
  transportChecksumHolds,
} from '../../../src/ip/index.ts';
import { describePacket } from '../packets.ts';
import type { Ledger } from './ledger.ts';
import { type Bytes, text as decode, type Millis } from './octets.ts';

export const ECHO = 7;
export const DISCARD = 9;
export const WEB = 80;

export interface AskOptions {
  /** Octets of data; default: as many as the words need. */
  readonly size?: number;
  readonly hopLimit?: number;
  readonly dontFragment?: boolean;
  /** Of the asker: a port, or the identifier of a ping. */
  readonly port?: number;
  readonly to?: number;
  /** Default: the first one of the family. */
  readonly source?: Address;
  /** Where it may arrive; undefined: nowhere. Default: the station that the ledger has at the destination, seen from here. */
  readonly meant?: Station | undefined;
}

export interface StationOptions {
  readonly tenant: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  readonly ledger: Ledger;
  readonly now: () => Millis;
}

export class Station {
  readonly tenant: string;
  readonly name: string;
  readonly addresses: readonly Address[];
  /** Every whole packet that came, in words. */
  readonly heard: string[] = [];
  /** Takes what comes to UDP port 9, which nobody answers. */
  onUdp: (data: Bytes) => void = () => {};
  /** Carries an IP packet away. */
  send: (packet: Bytes) => void = () => {};
  readonly #ledger: Ledger;
  readonly #now: () => Millis;
  readonly #reassembly = new Reassembly();
  readonly #upper = newUpperLayer();
  #identification = 0;

  constructor({ tenant, name, addresses, ledger, now }: StationOptions) {
    this.tenant = tenant;
    this.name = name;
    this.addresses = addresses;
    this.#ledger = ledger;
    this.#now = now;
  }

  get label(): string {
    return `${this.tenant}/${this.name}`;
  }

  // Questions: each gives its number in the ledger.

  ping(destination: Address, options: AskOptions = {}): number {
    const question = this.#ask('ping', 1, destination, options);
    const { port: identifier = 1, hopLimit = 64, dontFragment = false } = options;
    const fields = { ...this.#ends(destination, options), hopLimit, dontFragment, identification: this.#next() };
    const data = padded(`#${question} ask `, options.size);
    this.send(buildIcmpEcho({ ...fields, type: 'request', identifier, sequence: question & 0xffff }, data));
    return question;
  }

  udp(destination: Address, options: AskOptions = {}): number {
    const question = this.#ask('udp', 5000, destination, options);
    const { port: sourcePort = 5000, to: destinationPort = ECHO, hopLimit = 64, dontFragment = false } = options;
    const fields = { ...this.#ends(destination, options), hopLimit, dontFragment, identification: this.#next() };
    this.send(buildUdp({ ...fields, sourcePort, destinationPort }, padded(`#${question} ask `, options.size)));
    return question;
  }

  /** The number of the question is the initial sequence number. */
  tcp(destination: Address, options: AskOptions = {}): number {
    const question = this.#ask('tcp', 6000, destination, options);
    const { port: sourcePort = 6000, to: destinationPort = WEB, hopLimit = 64 } = options;
    const fields = { ...this.#ends(destination, options), hopLimit, dontFragment: true, identification: this.#next() };
    const ends = { ...fields, sourcePort, destinationPort };
    this.send(buildTcp({ ...ends, sequence: question, flags: TCP_FLAG.syn, options: mssOption(MSS) }));
    return question;
  }

  receive(packet: Bytes): void {
    const now = this.#now();
    this.#reassembly.expire(now);
    const verdict = checkIp(packet, 0, packet.length);
    if (verdict !== PASS) return this.#ledger.blame(`${this.label} got a packet that is none (${verdict})`);
    if (!this.addresses.some((own) => sameAddress(own, destinationOf(packet, 0)))) {
      return this.#ledger.blame(`${this.label} got ${describePacket(packet)}, which is not for it`);
    }
    const isFragment = ipVersion(packet, 0) === 4 && ipv4IsFragment(packet, 0);
    const whole = isFragment ? this.#reassembly.add(packet, 0, packet.length, now) : packet;
    if (typeof whole === 'string') return;
    const words = describePacket(whole);
    const upper = this.#upper;
    if (findUpperLayer(whole, 0, whole.length, upper) !== PASS) return this.#ledger.blame(`${this.label}: ${words}`);
    const { protocol, at, end } = upper;
    if (!transportChecksumHolds(whole, 0, at, end, protocol)) {
      return this.#ledger.blame(`${this.label} got a wrong checksum: ${words}`);
    }
    this.heard.push(words);
    if (protocol === IP_PROTOCOL.udp) this.#onUdp(whole, at, end);
    else if (protocol === IP_PROTOCOL.tcp) this.#onTcp(whole, at, end);
    else this.#onIcmp(whole, at, end);
  }

  #onUdp(packet: Bytes, at: number, end: number): void {
    const from = (packet[at]! << 8) | packet[at + 1]!;
    const to = (packet[at + 2]! << 8) | packet[at + 3]!;
    if (to === DISCARD) return this.onUdp(packet.slice(at + 8, end));
    const said = decode(packet.subarray(at + 8, end));
    const question = this.#ledger.heard(this, said, packet);
    if (question === undefined || said.includes(' re ')) return;
    const fields = { ...backTo(packet), identification: this.#next(), sourcePort: to, destinationPort: from };
    this.send(buildUdp(fields, padded(`#${question} re `, end - at - 8)));
  }

  #onTcp(packet: Bytes, at: number, end: number): void {
    const flags = tcpFlags(packet, at);
    const [sourcePort, destinationPort] = [
      (packet[at + 2]! << 8) | packet[at + 3]!,
      (packet[at]! << 8) | packet[at + 1]!,
    ];
    const fields = { ...backTo(packet), identification: this.#next(), dontFragment: true, sourcePort, destinationPort };
    const answer = (more: number, sequence: number, acknowledgment: number, data = '', options = NONE): void =>
      this.send(buildTcp({ ...fields, flags: more, sequence, acknowledgment, options }, padded(data)));
    const [sequence, acknowledgment] = [tcpSequence(packet, at), tcpAcknowledgment(packet, at)];
    const data = decode(packet.subarray(at + tcpHeaderLength(packet, at), end));
    if (flags === TCP_FLAG.syn) {
      if (this.#ledger.heard(this, `#${sequence} ask `, packet) === undefined) return;
      answer(TCP_FLAG.syn | TCP_FLAG.ack, sequence, sequence + 1, '', mssOption(MSS));
    } else if (flags === (TCP_FLAG.syn | TCP_FLAG.ack)) {
      const question = acknowledgment - 1;
      this.#ledger.note(question, { mss: tcpMss(packet, at, end) });
      answer(TCP_FLAG.ack, acknowledgment, sequence + 1, `#${question} ask `);
    } else if (data.includes(' ask ')) {
      const question = this.#ledger.heard(this, data, packet);
      if (question !== undefined) answer(TCP_FLAG.ack | TCP_FLAG.fin, acknowledgment, sequence, `#${question} re `);
    } else if (data.includes(' re ')) {
      if (this.#ledger.heard(this, data, packet) === undefined) return;
      answer(TCP_FLAG.ack | TCP_FLAG.fin, acknowledgment, sequence + data.length + 1);
    } else if ((flags & TCP_FLAG.fin) !== 0) answer(TCP_FLAG.ack, acknowledgment, sequence + 1);
  }

  #onIcmp(packet: Bytes, at: number, end: number): void {
    const version = ipVersion(packet, 0);
    if (isEchoRequest(packet, at, end, version)) {
      const said = decode(packet.subarray(at + 8, end));
      // A gateway's own pings are no question of the ledger.
      if (said.startsWith('#') && this.#ledger.heard(this, said, packet) === undefined) return;
      const fields = { ...backTo(packet), identification: this.#next(), type: 'reply' } as const;
      const [identifier, sequence] = [echoIdentifier(packet, at), echoSequence(packet, at)];
      this.send(buildIcmpEcho({ ...fields, identifier, sequence }, packet.slice(at + 8, end)));
    } else if (isEchoReply(packet, at, end, version)) {
      this.#ledger.heard(this, decode(packet.subarray(at + 8, end)).replace(' ask ', ' re '), packet);
    } else {
      const quoted = quotedPacketAt(packet, at, end, version);
      if (quoted >= 0) this.#ledger.error(this, packet.slice(quoted, end), describePacket(packet));
    }
  }

  #ask(how: string, usual: number, destination: Address, options: AskOptions): number {
    const meant = 'meant' in options ? options.meant : this.#ledger.at(this.tenant, destination);
    return this.#ledger.ask(this, meant, `${how} ${options.port ?? usual} ${formatAddress(destination)}`);
  }

  #ends(destination: Address, { source }: AskOptions): { source: Address; destination: Address } {
    return { source: source ?? this.addresses.find((own) => own.length === destination.length)!, destination };
  }

  #next(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }
}

const backTo = (packet: Bytes): { source: Address; destination: Address } => ({
  source: destinationOf(packet, 0),
  destination: sourceOf(packet, 0),
});

function padded(words: string, size = words.length): Bytes {
  const octets = new Uint8Array(Math.max(size, words.length)).fill(0x2e);
  octets.set(new TextEncoder().encode(words));
  return octets;
}

const MSS = 1460;
const NONE: Bytes = new Uint8Array(0);
