/**
 * Two data planes, each the other's peer, without sockets: what one hands out the other is given, and packets that leave are released.
 *
 * Each tunnel joins the networks 10.1.K.0/24 and 10.2.K.0/24 of its tenant; tenants have the same addresses. Packets of one
 * pool pass from plane to plane as they are, as if the kernel had carried them.
 */
import type { Bytes } from '../src/core/index.ts';
import type { Engine, Suite } from '../src/crypto/index.ts';
import { DataPlane, type PlaneCommand, SharedCells } from '../src/gateway/index.ts';
import {
  type Address,
  buildIp,
  type Endpoint,
  type Packet,
  type PacketPool,
  type Prefix,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
} from '../src/ip/index.ts';
import { systemRandom } from '../src/runtime/index.ts';

/** Tunnels of one tenant. */
export const TUNNELS_A_TENANT = 40;

/** Octets of payload of each TCP segment in a superframe, and how many there are. */
export const SEGMENT = 1348;
export const SEGMENTS = 44;

const NO_LIMIT = { softBytes: Infinity, hardBytes: Infinity, softPackets: Infinity, hardPackets: Infinity };

/** One of the two, and what is on its way to it. */
interface Side {
  readonly plane: DataPlane;
  readonly here: Endpoint;
  readonly arriving: (Packet | undefined)[];
  arrived: number;
  readonly cells: SharedCells;
  slots: number;
}

/** What passes through the tunnels. */
export interface Load {
  /** An IP packet of 10.S.0.4 for 10.D.0.4; the networks' own numbers are written into it. */
  readonly octets: Bytes;
  /** More than 0: a superframe. */
  readonly segment: number;
  /** Packets on the wire. */
  readonly packets: number;
}

export class PlaneLine {
  /** IP packets that left either plane by a device; a superframe is one. */
  left = 0;
  readonly #pool: PacketPool;
  readonly #suite: Suite;
  readonly #sides: readonly [Side, Side];
  #tunnels = 0;
  #pairs = 0;

  constructor(pool: PacketPool, engine: Engine, suite: Suite) {
    this.#pool = pool;
    this.#suite = suite;
    this.#sides = [this.#side(0, engine), this.#side(1, engine)];
  }

  /** Tunnels up to this number, without SAs. */
  addTunnels(count: number): void {
    for (; this.#tunnels < count; this.#tunnels++) for (const n of SIDES) this.#addTunnel(n, this.#tunnels);
  }

  /** Each tunnel up to this number has a pair of SAs, active. */
  install(count: number): void {
    for (; this.#pairs < count; this.#pairs++) for (const n of SIDES) this.#install(n, this.#pairs);
  }

  /** A packet enters the plane on side `from` by the device of the tunnel's tenant. */
  send(from: 0 | 1, tunnel: number, { octets, segment }: Load, now: number): void {
    const packet = this.#pool.take()!;
    packet.buf.set(octets, packet.start);
    packet.end = packet.start + octets.length;
    packet.segment = segment;
    packet.partial = segment > 0;
    address(packet, from, tunnel % TUNNELS_A_TENANT);
    this.#sides[from].plane.packet(portOf(tunnel), packet, now);
  }

  /** Ends the batch of packets that were sent from this side: they arrive at the other, and leave it. */
  flush(from: 0 | 1, now: number): void {
    const [near, far] = [this.#sides[from], this.#sides[from === 0 ? 1 : 0]];
    near.plane.flush(now);
    for (let i = 0; i < far.arrived; i++) far.plane.udp(far.here, near.here, far.arriving[i]!, 0, true, now);
    far.arrived = 0;
    far.plane.flush(now);
    near.plane.takeEvents();
    far.plane.takeEvents();
  }

  /** Throws when a packet was lost. */
  check(expected: number): void {
    const drops = this.#sides.map(({ plane }) => plane.drops.join());
    const { taken } = this.#pool;
    if (this.left !== expected || taken !== 0)
      throw new Error(
        `${this.left} of ${expected} packets left, ${taken} are still held; drops ${drops.join(' and ')}`,
      );
  }

  #side(n: 0 | 1, engine: Engine): Side {
    const cells = new SharedCells();
    const output = {
      datagram: (_udp: boolean, _local: Endpoint, _remote: Endpoint, packet: Packet): void => {
        const far = this.#sides[n === 0 ? 1 : 0];
        far.arriving[far.arrived] = packet;
        far.arrived += 1;
      },
      underlay: (_local: Address, _remote: Address, packet: Packet): void => this.#pool.release(packet),
      packet: (_port: number, packet: Packet): void => {
        this.left += 1;
        this.#pool.release(packet);
      },
    };
    const pool = this.#pool;
    const plane = new DataPlane({ pool, random: systemRandom, engine, output, cells, superframes: true });
    return { plane, here: HERE[n], arriving: [], arrived: 0, cells, slots: OWN_SLOTS };
  }

  #addTunnel(n: 0 | 1, tunnel: number): void {
    const tenant = Math.floor(tunnel / TUNNELS_A_TENANT);
    const k = tunnel % TUNNELS_A_TENANT;
    if (k === 0) this.#addTenant(n, tenant);
    const compartment = tenant + 1;
    const config = { name: `site${k}`, kind: 'connection', mtu: 1438, addresses: [] } as const;
    const way = { tunnel, df: 'copy', mtu: 1438 } as const;
    const prefix = network(n === 0 ? 1 : 0, k);
    const route = { prefix, interface: k + 2, origin: 'connection', preference: 5, why: 'bench' } as const;
    this.#do(n, { do: 'add-interface', compartment, interface: k + 2, config, cells: this.#slot(n), way });
    this.#do(n, { do: 'add-route', compartment, route });
  }

  #addTenant(n: 0 | 1, tenant: number): void {
    const compartment = tenant + 1;
    const addresses = [{ address: parseAddress(`10.${n + 1}.0.1`)!, length: 16 }];
    const config = { name: 'inside', kind: 'tun', mtu: 1438, addresses } as const;
    const way = { port: compartment };
    this.#do(n, { do: 'add-compartment', compartment, name: `tenant${tenant}`, cells: this.#slot(n) });
    this.#do(n, { do: 'add-interface', compartment, interface: 1, config, cells: this.#slot(n), way });
  }

  #install(n: 0 | 1, tunnel: number): void {
    const { encryption, integrity } = this.#suite;
    const other = n === 0 ? 1 : 0;
    const k = tunnel % TUNNELS_A_TENANT;
    const keys = (spi: number) => ({
      encryption: new Uint8Array(encryption.keyLength + encryption.saltLength).fill(spi),
      integrity: new Uint8Array(integrity?.keyLength ?? 0).fill(spi >>> 8),
    });
    const [spiIn, spiOut] = [spiOf(n, tunnel), spiOf(other, tunnel)];
    this.#do(n, {
      do: 'install',
      phase: 'active',
      sa: {
        tunnel,
        spiIn,
        spiOut,
        encryption,
        integrity,
        keysIn: keys(spiIn),
        keysOut: keys(spiOut),
        esn: true,
        replayWindow: 1024,
        lifetime: { ...NO_LIMIT },
        local: [selectorOfPrefix(network(n, k))],
        remote: [selectorOfPrefix(network(other, k))],
        localEndpoint: { ...HERE[n] },
        remoteEndpoint: { ...HERE[other] },
        udpEncapsulation: true,
        peerMoves: true,
        cellsIn: this.#slot(n),
        cellsOut: this.#slot(n),
      },
    });
  }

  #do(n: 0 | 1, command: PlaneCommand): void {
    this.#sides[n].plane.command(command, 0);
  }

  #slot(n: 0 | 1): number {
    return this.#sides[n].slots++;
  }
}

/** UDP without a checksum, as many octets as the IP packet has. */
export const datagrams = (length: number): Load => {
  const payload = new Uint8Array(length - IPV4);
  payload.set([0x10, 0x01, 0x10, 0x02, payload.length >>> 8, payload.length & 0xff, 0, 0]);
  return { octets: ip(17, payload), segment: 0, packets: 1 };
};

/** TCP as a sender with segmentation offload hands it over: its checksum is owed. */
export const superframes = (): Load => {
  const payload = new Uint8Array(TCP + SEGMENT * SEGMENTS);
  payload.set([0x10, 0x01, 0x10, 0x02, 0, 0, 0, 1, 0, 0, 0, 1, (TCP / 4) << 4, 0x10, 0xff, 0xff]);
  return { octets: ip(6, payload), segment: SEGMENT, packets: SEGMENTS };
};

const IPV4 = 20;
const TCP = 20;

function ip(protocol: number, payload: Bytes): Bytes {
  const [source, destination] = [parseAddress('10.1.0.4')!, parseAddress('10.2.0.4')!];
  return buildIp({ source, destination, protocol }, payload);
}

/** The load for side 0 and tunnel 0 becomes one for others. Source and destination together stay the same sum but for `2 k`. */
function address({ buf, view, start }: Packet, from: 0 | 1, k: number): void {
  buf[start + 13] = from + 1;
  buf[start + 17] = 2 - from;
  buf[start + 14] = k;
  buf[start + 18] = k;
  // RFC 1624 §3: HC' = ~(~HC + ~m + m'), for the high octets of two words.
  let sum = (~view.getUint16(start + 10) & 0xffff) + 2 * (k << 8);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(start + 10, ~sum & 0xffff);
}

const network = (n: 0 | 1, k: number): Prefix => parsePrefix(`10.${n + 1}.${k}.0/24`)!;
const portOf = (tunnel: number): number => Math.floor(tunnel / TUNNELS_A_TENANT) + 1;
/** Scattered, as random ones are. */
const spiOf = (n: 0 | 1, tunnel: number): number => (Math.imul(2 * tunnel + n + 1, 0x9e3779b1) >>> 0) | 0x100;

const SIDES = [0, 1] as const;
const HERE: readonly [Endpoint, Endpoint] = [
  { address: parseAddress('192.0.2.1')!, port: 4500 },
  { address: parseAddress('198.51.100.1')!, port: 4500 },
];
/** Of the plane's own two. */
const OWN_SLOTS = 2;
