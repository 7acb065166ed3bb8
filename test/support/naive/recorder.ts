/** What leaves a data plane, written down. */
import type { PlaneOutput } from '../../../src/gateway/dataplane/index.ts';
import { type Endpoint, octetsOf, type Packet, type PacketPool } from '../../../src/ip/index.ts';
import type { Frame } from './frames.ts';
import type { Octets } from './octets.ts';

export interface Datagram {
  readonly udp: boolean;
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly octets: Octets;
  readonly tos: number;
  readonly dontFragment: boolean;
  readonly tunnel: number;
}

/** Takes what leaves, copies it, and spoils the packet before it goes back to the pool. */
export class Recorder implements PlaneOutput {
  datagrams: Datagram[] = [];
  packets: { readonly port: number; readonly frame: Frame }[] = [];
  readonly #pool: PacketPool;

  constructor(pool: PacketPool) {
    this.#pool = pool;
  }

  datagram: PlaneOutput['datagram'] = (udp, local, remote, packet, tos, dontFragment, tunnel) => {
    const { segment } = packet;
    const train = this.#taken(packet);
    const step = segment === 0 ? train.length : segment;
    for (let at = 0; at < train.length; at += step)
      this.datagrams.push({ udp, local, remote, octets: train.slice(at, at + step), tos, dontFragment, tunnel });
  };

  underlay(_local: Uint8Array, _remote: Uint8Array, packet: Packet): void {
    this.#pool.release(packet);
  }

  packet(port: number, packet: Packet): void {
    const { segment, partial } = packet;
    this.packets.push({ port, frame: { octets: this.#taken(packet), segment, partial } });
  }

  #taken(packet: Packet): Octets {
    const { buf, start, end } = packet;
    const octets = octetsOf(packet).slice();
    buf.fill(0xdb, Math.max(0, start - 64), end + 64);
    this.#pool.release(packet);
    return octets;
  }
}
