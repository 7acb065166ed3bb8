/**
 * The way of packets through the gateway, one at a time: sockets → ESP → compartment → tunnels and interfaces.
 *
 * Read first: RFC 4301 §5 (order of processing), RFC 3948 §2 (what comes on the NAT-T port). The doors into a compartment are
 * `fromInterface` (an interface of the tenant's own) and `fromEsp` (an SPI). Each packet taken is emitted or released once.
 */
import type { Bytes, Millis } from '../core/index.ts';
import { classify, DATAGRAM, NON_ESP_MARKER_LENGTH, open, SIGNAL, seal } from '../esp/index.ts';
import type { IkeEvent } from '../ike/index.ts';
import {
  type Address,
  checkSuperframe,
  completeChecksum,
  cutSuperframe,
  DROP,
  type Endpoint,
  flowRecord,
  octetsOf,
  PASS,
  type Packet,
  sameEndpoint,
} from '../ip/index.ts';
import type { Books } from './books.ts';
import type { Tenant } from './tenant.ts';
import type { Tunnel, TunnelSa } from './tunnel.ts';

/** IKE hears of a living peer at most this often an SA. */
const TELL_IKE: Millis = 1000;
/** Outer TOS where the socket does not tell it. */
const NO_TOS = 0;

export type ToIke = (event: IkeEvent, now: Millis) => void;

export class PacketPath {
  readonly #books: Books;
  readonly #toIke: ToIke;

  constructor(books: Books, toIke: ToIke) {
    this.#books = books;
    this.#toIke = toIke;
  }

  /** A UDP payload. On the IKE port everything is IKE; on the NAT-T port the first octets tell (RFC 3948 §2). */
  fromUdp(local: Endpoint, remote: Endpoint, packet: Packet, tos: number, now: Millis): void {
    if (packet.segment > 0) return this.#fromTrain(local, remote, packet, tos, now);
    const books = this.#books;
    if (local.port !== books.resolved?.document.gateway.external.ports.natt)
      return this.#ikeMessage(local, remote, packet, 0, now);
    switch (classify(packet.buf, packet.start, packet.end)) {
      case DATAGRAM.esp:
        return this.fromEsp(remote, packet, tos, now);
      case DATAGRAM.ike:
        return this.#ikeMessage(local, remote, packet, NON_ESP_MARKER_LENGTH, now);
      case DATAGRAM.keepalive:
        return this.#drop(packet, DROP.keepalive);
      default:
        return this.#drop(packet, DROP.espShort);
    }
  }

  /** An ESP packet, whatever carried it: the SPI is the door. `remote.port` is 0 for protocol 50. */
  fromEsp(remote: Endpoint, packet: Packet, tos: number, now: Millis): void {
    const books = this.#books;
    const { sad } = books;
    const verdict = open(sad, packet, tos < 0 ? NO_TOS : tos, now);
    const inbound = sad.last;
    const tunnel = inbound === undefined ? undefined : books.byIndex.get(inbound.tunnel);
    if (inbound === undefined || tunnel === undefined) return books.pool.release(packet);
    if (sad.authentic) this.#alive(tunnel, inbound.spi, remote, sad.newest, now);
    if (inbound.usage.signal !== SIGNAL.none) {
      this.#toIke({ type: 'expire', spiIn: inbound.spi, hard: inbound.usage.takeSignal() === SIGNAL.hard }, now);
    }
    if (verdict !== PASS) return books.pool.release(packet);
    tunnel.tenant.compartment.receive(packet, tunnel.interface, now);
    books.agenda.touch(tunnel.tenant);
  }

  /** An IP packet from a tenant's own interface. */
  fromInterface(tenant: Tenant, name: string, packet: Packet, now: Millis): void {
    const from = tenant.interfaces.get(name);
    if (from === undefined) return this.#drop(packet, DROP.linkDown);
    tenant.compartment.receive(packet, from.number, now);
    this.#books.agenda.touch(tenant);
  }

  /** The compartment's decision is made: out by interface `out`. */
  leave(tenant: Tenant, packet: Packet, out: number, now: Millis): void {
    const way = tenant.ways.get(out);
    if (way === undefined) return tenant.compartment.refuse(packet, DROP.linkDown, now);
    if ('ike' in way) return this.transmit(way, packet, now);
    this.#books.emit({ do: 'packet', tenant: tenant.name, interface: way.config.name, packet });
  }

  /** Into the tunnel; the first packet opens it. */
  transmit(tunnel: Tunnel, packet: Packet, now: Millis): void {
    const sa = tunnel.outboundFor(packet);
    if (sa !== undefined) return this.#sealAll(tunnel, sa, packet, now);
    if (tunnel.up) return tunnel.tenant.compartment.refuse(packet, DROP.prohibited, now);
    if (this.#books.stopping) return tunnel.tenant.compartment.refuse(packet, DROP.linkDown, now);
    const flow = flowRecord(packet.buf, packet.start, packet.end);
    if (!tunnel.wait(packet)) return tunnel.tenant.compartment.refuse(packet, DROP.queueFull, now);
    this.#toIke({ type: 'acquire', connection: tunnel.name, packet: flow }, now);
  }

  /** The tunnel is up: what waited goes. */
  flush(tunnel: Tunnel, now: Millis): void {
    for (const packet of tunnel.waiting.splice(0)) this.transmit(tunnel, packet, now);
  }

  /** Nothing will come of it: whoever waits is told. */
  giveUp(tunnel: Tunnel, now: Millis): void {
    for (const packet of tunnel.waiting.splice(0)) tunnel.tenant.compartment.refuse(packet, DROP.noSa, now);
  }

  /** An IKE message on its way out; the marker goes in front on the NAT-T port (RFC 3948 §2.2). */
  sendIke(local: Endpoint, remote: Endpoint, octets: Bytes): void {
    const marked = local.port === this.#books.resolved?.document.gateway.external.ports.natt;
    this.#sendUdp(local, remote, octets, marked ? NON_ESP_MARKER_LENGTH : 0);
  }

  sendKeepalive(local: Endpoint, remote: Endpoint): void {
    this.#sendUdp(local, remote, KEEPALIVE, 0);
  }

  /** Datagrams of one length back to back, as UDP_GRO brings them: each becomes a packet of its own. */
  #fromTrain(local: Endpoint, remote: Endpoint, train: Packet, tos: number, now: Millis): void {
    const { pool, drops } = this.#books;
    const { segment, buf, end } = train;
    for (let at = train.start; at < end; at += segment) {
      const datagram = pool.from(buf.subarray(at, Math.min(at + segment, end)));
      if (datagram === undefined) drops[DROP.noBuffer]! += 1;
      else this.fromUdp(local, remote, datagram, tos, now);
    }
    pool.release(train);
  }

  /** Only here, where the wire begins, a superframe is cut and an owed checksum computed. */
  #sealAll(tunnel: Tunnel, sa: TunnelSa, packet: Packet, now: Millis): void {
    const { pool } = this.#books;
    const { compartment } = tunnel.tenant;
    if (packet.segment === 0) {
      const owed = completeChecksum(packet);
      return owed === PASS ? this.#seal(tunnel, sa, packet, now) : compartment.refuse(packet, owed, now);
    }
    const pieces: Packet[] = [];
    const count = cutSuperframe(packet, pool, pieces);
    if (count === 0) {
      const refused = checkSuperframe(packet);
      return compartment.refuse(packet, refused === PASS ? DROP.noBuffer : refused, now);
    }
    pool.release(packet);
    for (const piece of pieces) {
      // A packet may be the last that the SA carries: what follows finds its own way.
      if (sa.phase === 'active' && !sa.outbound.usage.stopped) this.#seal(tunnel, sa, piece, now);
      else this.transmit(tunnel, piece, now);
    }
  }

  #seal(tunnel: Tunnel, { outbound, child }: TunnelSa, packet: Packet, now: Millis): void {
    const books = this.#books;
    const verdict = seal(outbound, packet, now);
    if (outbound.usage.signal !== SIGNAL.none) {
      const hard = outbound.usage.takeSignal() === SIGNAL.hard;
      this.#toIke({ type: 'expire', spiIn: child.spiIn, hard }, now);
    }
    if (verdict !== PASS) return tunnel.tenant.compartment.refuse(packet, verdict, now);
    const { localEndpoint: local, remoteEndpoint: remote, tos } = outbound;
    const dontFragment = outbound.dontFragment === 1;
    if (outbound.udpEncapsulation) books.emit({ do: 'udp', local, remote, packet, tos, dontFragment });
    else books.emit({ do: 'esp', local: local.address, remote: remote.address, packet, tos, dontFragment });
  }

  #alive(tunnel: Tunnel, spiIn: number, remote: Endpoint, newest: boolean, now: Millis): void {
    const sa = tunnel.sas.get(spiIn);
    if (sa === undefined) return;
    // RFC 7296 §2.23: only the newest authentic packet may move the peer's address.
    const moved =
      newest && sa.outbound.udpEncapsulation && remote.port !== 0 && !sameEndpoint(remote, sa.outbound.remoteEndpoint);
    if (sa.phase !== 'standby' && !moved && now - sa.toldAt < TELL_IKE) return;
    sa.toldAt = now;
    this.#toIke(
      { type: 'inbound', spiIn, from: moved ? { address: remote.address, port: remote.port } : undefined },
      now,
    );
  }

  #ikeMessage(local: Endpoint, remote: Endpoint, packet: Packet, skip: number, now: Millis): void {
    packet.start += skip;
    const octets = octetsOf(packet).slice();
    this.#books.pool.release(packet);
    this.#toIke({ type: 'datagram', local, remote, octets }, now);
  }

  #sendUdp(local: Endpoint, remote: Endpoint, octets: Bytes, marker: number): void {
    const { pool } = this.#books;
    const packet = pool.from(octets);
    if (packet === undefined) {
      this.#books.drops[DROP.noBuffer]! += 1;
      return;
    }
    packet.start -= marker;
    packet.buf.fill(0, packet.start, packet.start + marker);
    this.#books.emit({ do: 'udp', local, remote, packet, tos: NO_TOS, dontFragment: false });
  }

  #drop(packet: Packet, reason: number): void {
    this.#books.drops[reason]! += 1;
    this.#books.pool.release(packet);
  }
}

const KEEPALIVE = Uint8Array.of(0xff);

/** The gateway's own view of protocol 50: an endpoint without a port. */
export const withoutPort = (address: Address): Endpoint => ({ address, port: 0 });
