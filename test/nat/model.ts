/**
 * A NAT written from the RFCs in the slowest way: sessions are a list, packets are rebuilt from their fields, every checksum
 * is summed anew. What chance decides, an external port or identification, it is told, and says whether that was allowed.
 */
import { expect } from 'vitest';
import type { NatFiltering, NatRule, NatTimeouts } from '../../src/nat/index.ts';
import { checksum, transportChecksum } from '../compartment/octets.ts';
import { ACK, be, be32, FIN, RST, SYN, text } from './fixture.ts';

type Direction = 'out' | 'in';

export interface ModelSession {
  readonly protocol: number;
  readonly inner: number;
  readonly innerPort: number;
  readonly external: number;
  readonly remote: number;
  readonly remotePort: number;
  expires: number;
  readonly first: Direction;
  tcp: { syn: Direction[]; fin: Direction[]; reset: boolean; open: boolean; first: Direction };
  packets: Record<Direction, number>;
  octets: Record<Direction, number>;
}

export interface ModelConfiguration {
  readonly rules: readonly NatRule[];
  readonly filtering: NatFiltering;
  readonly timeouts: NatTimeouts;
  readonly sessions: number;
}

/** What becomes of a packet that passes. */
export interface Expectation {
  readonly verdict: string;
  readonly changes?: Changes;
}

export class Model {
  sessions: ModelSession[] = [];
  readonly #external: number;
  readonly #ports: readonly [number, number];
  readonly #oneOf: (session: ModelSession, choices: readonly number[]) => number;
  #configuration: ModelConfiguration;

  /** `oneOf` says which of several ends a new session has. */
  constructor(
    external: number,
    configuration: ModelConfiguration,
    ports: readonly [number, number],
    oneOf: (session: ModelSession, choices: readonly number[]) => number,
  ) {
    this.#external = external;
    this.#configuration = configuration;
    this.#ports = ports;
    this.#oneOf = oneOf;
  }

  expire(now: number): void {
    this.sessions = this.sessions.filter((s) => s.expires > now);
  }

  /** `chosen` is the external port that the packet really got. */
  outbound(packet: Uint8Array, now: number, chosen: number): Expectation {
    const p = read(packet);
    const innerPort = p.sourcePort;
    const remotePort = p.protocol === 1 ? 0 : p.destinationPort;
    const mapped = this.sessions.filter(
      (s) => s.protocol === p.protocol && s.inner === p.source && s.innerPort === innerPort,
    );
    let session = mapped.find((s) => s.remote === p.destination && s.remotePort === remotePort);
    if (session === undefined) {
      if (!p.opens) return { verdict: 'natNoSession' };
      if (this.sessions.length >= this.#configuration.sessions) return { verdict: 'natLimit' };
      const external = this.#ruleFor(p.protocol, p.source, innerPort)?.externalPort ?? mapped[0]?.external;
      if (external === undefined && this.#open(p.protocol, innerPort).length === 0) return { verdict: 'natNoPort' };
      if (external === undefined) expect(this.#open(p.protocol, innerPort), 'ports allowed').toContain(chosen);
      session = this.#begin('out', {
        protocol: p.protocol,
        inner: p.source,
        innerPort,
        external: external ?? chosen,
        remote: p.destination,
        remotePort,
        expires: now + this.#timeout(p.protocol),
      });
    }
    this.#note(session, 'out', p.flags, packet, now);
    return { verdict: 'pass', changes: { source: this.#external, sourcePort: session.external } };
  }

  inbound(packet: Uint8Array, now: number): Expectation {
    const p = read(packet);
    const remotePort = p.protocol === 1 ? 0 : p.sourcePort;
    const here = this.sessions.filter((s) => s.protocol === p.protocol && s.external === p.destinationPort);
    let session = here.find((s) => s.remote === p.source && s.remotePort === remotePort);
    if (session === undefined) {
      const rule = this.#configuration.rules.find(
        (r) => r.protocol === p.protocol && r.externalPort === p.destinationPort,
      );
      const { filtering } = this.#configuration;
      const permitting = here.filter(
        (s) => filtering === 'endpoint-independent' || (filtering === 'address' && s.remote === p.source),
      );
      if (rule === undefined && permitting.length === 0) {
        return { verdict: here.length > 0 ? 'natFiltered' : 'natNoSession' };
      }
      if (!p.opens) return { verdict: 'natNoSession' };
      const [inner, innerPort] = rule ? [rule.address, rule.port] : [permitting[0]!.inner, permitting[0]!.innerPort];
      const twin = this.sessions.some(
        (s) =>
          s.protocol === p.protocol &&
          s.inner === inner &&
          s.innerPort === innerPort &&
          s.remote === p.source &&
          s.remotePort === remotePort,
      );
      if (twin) return { verdict: 'natNoPort' };
      if (this.sessions.length >= this.#configuration.sessions) return { verdict: 'natLimit' };
      session = this.#begin('in', {
        protocol: p.protocol,
        inner,
        innerPort,
        external: p.destinationPort,
        remote: p.source,
        remotePort,
        expires: now + this.#timeout(p.protocol),
      });
      // It ends with the session that let it in, if it is used no further; with which of several, is the table's choice.
      if (rule === undefined)
        session.expires = this.#oneOf(
          session,
          permitting.map((s) => Math.min(s.expires, session!.expires)),
        );
    }
    this.#note(session, 'in', p.flags, packet, now);
    return { verdict: 'pass', changes: { destination: session.inner, destinationPort: session.innerPort } };
  }

  /** Sessions that the rules say otherwise about go. */
  reconfigure(configuration: ModelConfiguration): void {
    this.#configuration = configuration;
    this.sessions = this.sessions.filter((s) => {
      const rule = configuration.rules.find((r) => r.protocol === s.protocol && r.externalPort === s.external);
      if (rule !== undefined) return rule.address === s.inner && rule.port === s.innerPort;
      return this.#ruleFor(s.protocol, s.inner, s.innerPort) === undefined;
    });
  }

  #begin(
    first: Direction,
    s: Pick<ModelSession, 'protocol' | 'inner' | 'innerPort' | 'external' | 'remote' | 'remotePort' | 'expires'>,
  ): ModelSession {
    const session: ModelSession = {
      ...s,
      first,
      tcp: { syn: [], fin: [], reset: false, open: false, first },
      packets: { out: 0, in: 0 },
      octets: { out: 0, in: 0 },
    };
    this.sessions.push(session);
    return session;
  }

  #note(s: ModelSession, direction: Direction, flags: number, packet: Uint8Array, now: number): void {
    s.packets[direction] += 1;
    s.octets[direction] += packet.length;
    const { timeouts } = this.#configuration;
    if (s.protocol === 17) {
      if (direction === 'out' || timeouts.udpInboundRefresh) s.expires = now + timeouts.udpSeconds * 1000;
    } else if (s.protocol === 1) {
      if (direction === 'out') s.expires = now + timeouts.icmpSeconds * 1000;
    } else {
      const before = established(s);
      follow(s, direction, flags);
      if (established(s)) s.expires = now + timeouts.tcpEstablishedSeconds * 1000;
      else if (before || (direction === 'out' && (flags & RST) === 0)) {
        s.expires = now + timeouts.tcpTransientSeconds * 1000;
      }
    }
  }

  #timeout(protocol: number): number {
    const { timeouts } = this.#configuration;
    const seconds = { 1: timeouts.icmpSeconds, 6: timeouts.tcpTransientSeconds, 17: timeouts.udpSeconds }[protocol]!;
    return seconds * 1000;
  }

  #ruleFor(protocol: number, inner: number, innerPort: number): NatRule | undefined {
    return this.#configuration.rules.find(
      (r) => r.protocol === protocol && r.address === inner && r.port === innerPort,
    );
  }

  /** The external ports that a new mapping of this inner port may get: its own, else those of its kind. */
  #open(protocol: number, innerPort: number): number[] {
    const taken = new Set([
      ...this.sessions.filter((s) => s.protocol === protocol).map((s) => s.external),
      ...this.#configuration.rules.filter((r) => r.protocol === protocol).map((r) => r.externalPort),
    ]);
    const [first, last] = this.#ports;
    if (innerPort >= first && innerPort <= last && !taken.has(innerPort)) return [innerPort];
    const free: number[] = [];
    for (let port = first; port <= last; port++) if (!taken.has(port)) free.push(port);
    const parity = innerPort % 2;
    const [low, high] = [free.filter((port) => port < 1024), free.filter((port) => port >= 1024)];
    const kinds = [...(innerPort < 1024 ? [low] : []), high];
    for (const kind of kinds) {
      const even = kind.filter((port) => port % 2 === parity);
      if (even.length > 0) return even;
      if (kind.length > 0) return kind;
    }
    return [];
  }
}

/** RFC 7857 §2. */
function follow(s: ModelSession, direction: Direction, flags: number): void {
  const { tcp } = s;
  if (flags & RST) {
    tcp.reset = true;
    return;
  }
  if (flags & SYN) {
    const over = tcp.reset || tcp.fin.length === 2;
    if (tcp.syn.length === 0 || (over && !(flags & ACK))) {
      s.tcp = { syn: [direction], fin: [], reset: false, open: false, first: direction };
    } else if (!tcp.syn.includes(direction)) tcp.syn.push(direction);
    return;
  }
  tcp.reset = false;
  if (flags & ACK && tcp.syn.length === 2 && tcp.first === direction) tcp.open = true;
  if (flags & FIN && !tcp.fin.includes(direction)) tcp.fin.push(direction);
}

const established = ({ tcp }: ModelSession): boolean => tcp.open && !tcp.reset && tcp.fin.length < 2;

export function stateName(s: ModelSession): string {
  if (s.protocol !== 6) return s.packets.out > 0 && s.packets.in > 0 ? 'answered' : 'unanswered';
  const { reset, fin, open } = s.tcp;
  if (reset) return 'reset';
  return fin.length === 2 ? 'closed' : fin.length === 1 ? 'half-closed' : open ? 'established' : 'opening';
}

function read(packet: Uint8Array) {
  const protocol = packet[9]!;
  const upper = packet.slice((packet[0]! & 15) * 4);
  const flags = protocol === 6 ? upper[13]! : 0;
  return {
    protocol,
    source: be32(packet, 12),
    destination: be32(packet, 16),
    sourcePort: be(upper, protocol === 1 ? 4 : 0),
    destinationPort: be(upper, protocol === 1 ? 4 : 2),
    flags,
    opens: protocol === 17 || (protocol === 1 ? upper[0] === 8 : (flags & (SYN | ACK | RST | FIN)) === SYN),
  };
}

export interface Changes {
  readonly source?: number;
  readonly sourcePort?: number;
  readonly destination?: number;
  readonly destinationPort?: number;
  readonly identification?: number;
}

/** The packet with other fields and its checksums summed from nothing. Later fragments have a header only. */
export function rebuilt(packet: Uint8Array, changes: Changes): Uint8Array {
  const out = packet.slice();
  const [header, protocol] = [(out[0]! & 15) * 4, out[9]!];
  const put = (at: number, value: number): void => out.set([(value >>> 8) & 0xff, value & 0xff], at);
  const putAddress = (at: number, value: number): void => {
    put(at, value >>> 16);
    put(at + 2, value & 0xffff);
  };
  if (changes.identification !== undefined) put(4, changes.identification);
  if (changes.source !== undefined) putAddress(12, changes.source);
  if (changes.destination !== undefined) putAddress(16, changes.destination);
  put(10, 0);
  put(10, checksum(out.slice(0, header)));
  const sourceAt = header + (protocol === 1 ? 4 : 0);
  const destinationAt = header + (protocol === 1 ? 4 : 2);
  if (be(out, 6) & 0x1fff) return out;
  if (changes.sourcePort !== undefined) put(sourceAt, changes.sourcePort);
  if (changes.destinationPort !== undefined) put(destinationAt, changes.destinationPort);
  const field = header + { 1: 2, 6: 16, 17: 6 }[protocol]!;
  if (protocol === 17 && be(out, field) === 0) return out;
  put(field, 0);
  const upper = out.slice(header);
  const sum =
    protocol === 1 ? checksum(upper) : transportChecksum(text(be32(out, 12)), text(be32(out, 16)), protocol, upper);
  put(field, sum === 0 && protocol === 17 ? 0xffff : sum);
  return out;
}
