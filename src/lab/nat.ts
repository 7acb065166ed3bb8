/**
 * A NAT between gateways and the outer network: one outside address, UDP only, mappings that can be forgotten.
 *
 * Read first: RFC 4787 §4.1 (endpoint-independent mapping), §5 (filtering: none here), RFC 3948 §2.3 (why there are keepalives).
 * Limits: IPv4; protocol 50 does not pass, which is what makes peers encapsulate.
 */
import { type Bytes, putU16 } from '../core/index.ts';
import {
  type Address,
  checkUdp,
  destinationOf,
  type Endpoint,
  fillTransportChecksum,
  findUpperLayer,
  formatEndpoint,
  IP_PROTOCOL,
  ipv4Number,
  newUpperLayer,
  PASS,
  setIpv4Destination,
  setIpv4Source,
  sourceOf,
  udpDestinationPort,
  udpSourcePort,
} from '../ip/index.ts';
import type { Outer, Receive } from './network.ts';

export class Nat implements Outer {
  readonly address: Address;
  readonly counters = { translated: 0, notUdp: 0, unknownPort: 0 };
  readonly #outside: Outer;
  readonly #inside = new Map<string, Receive>();
  readonly #ports = new Map<string, number>();
  readonly #mappings = new Map<number, Endpoint>();
  readonly #upper = newUpperLayer();
  #nextPort = FIRST_PORT;

  constructor(outside: Outer, address: Address) {
    this.address = address;
    this.#outside = outside;
    outside.attach(address, (packet) => this.#comeIn(packet));
  }

  attach(address: Address, receive: Receive): void {
    this.#inside.set(address.join('.'), receive);
  }

  detach(address: Address): void {
    this.#inside.delete(address.join('.'));
  }

  /** From inside to outside. */
  send(packet: Bytes): void {
    const at = this.#udpAt(packet);
    if (at < 0) return;
    const from: Endpoint = { address: sourceOf(packet, 0), port: udpSourcePort(packet, at) };
    const key = formatEndpoint(from);
    const port = this.#ports.get(key) ?? this.#nextPort++;
    this.#ports.set(key, port);
    this.#mappings.set(port, from);
    setIpv4Source(packet, 0, ipv4Number(this.address));
    putU16(packet, at, port);
    this.#finish(packet, at);
    this.#outside.send(packet);
  }

  /** A restart of the box: everybody gets another port, and what comes for the old ones goes nowhere. */
  forget(): void {
    this.#ports.clear();
    this.#mappings.clear();
  }

  get mappings(): number {
    return this.#mappings.size;
  }

  #comeIn(packet: Bytes): void {
    const at = this.#udpAt(packet);
    if (at < 0) return;
    const to = this.#mappings.get(udpDestinationPort(packet, at));
    if (to === undefined) {
      this.counters.unknownPort += 1;
      return;
    }
    setIpv4Destination(packet, 0, ipv4Number(to.address));
    putU16(packet, at + 2, to.port);
    this.#finish(packet, at);
    this.#inside.get(destinationOf(packet, 0).join('.'))?.(packet);
  }

  /** Where the UDP header stands; -1, and counted, without one. */
  #udpAt(packet: Bytes): number {
    const upper = this.#upper;
    const found = findUpperLayer(packet, 0, packet.length, upper) === PASS && upper.protocol === IP_PROTOCOL.udp;
    if (found && checkUdp(packet, 0, upper.at, upper.end) === PASS) return upper.at;
    this.counters.notUdp += 1;
    return -1;
  }

  #finish(packet: Bytes, at: number): void {
    this.counters.translated += 1;
    fillTransportChecksum(packet, 0, at, packet.length, IP_PROTOCOL.udp);
  }
}

const FIRST_PORT = 40_001;
