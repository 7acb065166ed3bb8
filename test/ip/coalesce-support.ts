/** Coalescers for tests: what they emit, copied and measured, and trains whose parts they are given. */
import { expect } from 'vitest';
import {
  Coalescer,
  checkSuperframe,
  describeOffload,
  newOffload,
  newPart,
  type Offload,
  PASS,
  type Packet,
  type PacketPool,
  placePart,
} from '../../src/ip/index.ts';
import { naiveCut, type Shape } from './superframe-support.ts';

export interface Emitted {
  readonly packet: Packet;
  /** As they left. */
  readonly octets: Uint8Array;
  readonly segment: number;
  readonly partial: boolean;
  /** What it is on the wire, by the naive reference. */
  readonly pieces: readonly Uint8Array[];
  /** What a device is told, and the octets that it is then given. */
  readonly offload: Offload;
  readonly described: Uint8Array;
}

/** A coalescer whose packets are released as soon as they are copied. */
export class Collector {
  readonly coalescer: Coalescer;
  /** The packets that were asked about. */
  readonly asked: Packet[] = [];
  readonly #emitted: Emitted[] = [];

  constructor(pool: PacketPool, grows: (packet: Packet) => boolean = () => true) {
    this.coalescer = new Coalescer({
      pool,
      emit: (packet) => {
        this.#emitted.push(seen(packet));
        if (packet.slot >= 0) pool.release(packet);
      },
      grows: (packet) => {
        this.asked.push(packet);
        return grows(packet);
      },
    });
  }

  add(packets: readonly Packet[]): void {
    for (const packet of packets) this.coalescer.add(packet);
  }

  /** What left since the last time, without flushing. */
  take(): Emitted[] {
    return this.#emitted.splice(0);
  }

  flush(): Emitted[] {
    this.coalescer.flush();
    expect(this.coalescer.held).toBe(0);
    return this.take();
  }
}

/** Every superframe is one that may be cut: nobody behind the coalescer looks again. */
function seen(packet: Packet): Emitted {
  const { segment, partial } = packet;
  const octets = contents(packet);
  let pieces = [octets];
  if (segment > 0) {
    expect(checkSuperframe(packet)).toBe(PASS);
    const { at, payloadAt, protocol } = partsOf(octets);
    pieces = naiveCut(octets, at, payloadAt, protocol, segment);
  }
  const offload = newOffload();
  describeOffload(packet, offload);
  return { packet, octets, segment, partial, pieces, offload, described: contents(packet) };
}

export const contents = ({ buf, start, end }: Packet): Uint8Array =>
  Uint8Array.from({ length: end - start }, (_, i) => buf[start + i]!);

/** Of packets without IPv4 options and extension headers. */
export function partsOf(octets: Uint8Array): {
  readonly at: number;
  readonly payloadAt: number;
  readonly protocol: number;
} {
  const v6 = octets[0]! >>> 4 === 6;
  const at = v6 ? 40 : 20;
  const protocol = octets[v6 ? 6 : 9]!;
  return { at, payloadAt: at + (protocol === 6 ? (octets[at + 12]! >>> 4) * 4 : 8), protocol };
}

export const transportOf = (shape: Shape): number => (shape.v6 ? 40 : 20);
export const protocolOf = (shape: Shape): number => (shape.tcp ? 6 : 17);

export interface Train {
  readonly host: Packet;
  readonly parts: readonly Packet[];
}

/** A slot full of rubbish that holds these packets, `gap` octets in front of each. */
export function trainOf(pool: PacketPool, packets: readonly Uint8Array[], gap = 24): Train {
  const host = pool.take()!;
  host.buf.fill(0xa5);
  const parts = packets.map((octets) => {
    const part = newPart();
    const at = host.end + gap;
    host.end = at + octets.length;
    host.buf.set(octets, at);
    placePart(part, host, at, host.end);
    return part;
  });
  return { host, parts };
}
