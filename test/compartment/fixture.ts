/** One compartment over a recording sink, with the books of the packet pool kept. */

import {
  Compartment,
  type CompartmentLimits,
  type InterfaceKind,
  type PingResult,
  type RouteOrigin,
} from '../../src/compartment/index.ts';
import { seededRandom } from '../../src/core/index.ts';
import { type Address, DROP_NAMES, PacketPool, type Prefix, parsePrefix } from '../../src/ip/index.ts';

export interface Sent {
  readonly out: number;
  readonly octets: Uint8Array;
  /** Absent where the destination itself is meant. */
  readonly nextHop?: Address;
}

export const net = (text: string): Prefix => {
  const prefix = parsePrefix(text, true);
  if (prefix === undefined) throw new Error(`not a prefix: ${text}`);
  return prefix;
};

export class Bench {
  readonly pool: PacketPool;
  readonly compartment: Compartment;
  readonly sent: Sent[] = [];
  readonly dropped: string[] = [];
  readonly pings: PingResult[] = [];
  now = 1000;

  constructor(options: { pool?: PacketPool; limits?: Partial<CompartmentLimits>; seed?: number; name?: string } = {}) {
    this.pool = options.pool ?? new PacketPool(128, 9728);
    this.compartment = new Compartment({
      name: options.name ?? 'blue',
      number: 2,
      pool: this.pool,
      random: seededRandom(options.seed ?? 1),
      limits: options.limits ?? {},
      sink: {
        emit: (packet, out, nextHop) => {
          const octets = packet.buf.slice(packet.start, packet.end);
          this.sent.push(nextHop === undefined ? { out, octets } : { out, octets, nextHop });
          this.pool.release(packet);
        },
        dropped: (_packet, reason) => void this.dropped.push(DROP_NAMES[reason]!),
        pinged: (result) => void this.pings.push(result),
      },
    });
  }

  add(name: string, kind: InterfaceKind, mtu: number, ...addresses: string[]): number {
    return this.compartment.addInterface({ name, kind, mtu, addresses: addresses.map(net) });
  }

  route(
    prefix: string,
    out: number,
    preference = 1,
    origin: RouteOrigin = 'static',
    more: { metric?: number; nextHop?: Address } = {},
  ): boolean {
    const why = `${origin} route of the test`;
    return this.compartment.addRoute({ prefix: net(prefix), interface: out, origin, preference, why, ...more });
  }

  /** What came of one packet: everything emitted and the reasons of everything dropped. */
  receive(octets: Uint8Array, from: number): { sent: Sent[]; dropped: string[] } {
    this.sent.length = 0;
    this.dropped.length = 0;
    const packet = this.pool.from(octets);
    if (packet === undefined) throw new Error('the test has no packet left');
    this.compartment.receive(packet, from, this.now);
    return { sent: [...this.sent], dropped: [...this.dropped] };
  }
}

/**
 * inside: a TUN with 10.1.0.1/24 and 2001:db8:1::1/64; hq: a tunnel without addresses to 10.2.0.0/16 and 2001:db8:2::/48;
 * lan: a segment with 10.3.0.1/24.
 */
export function site(options: ConstructorParameters<typeof Bench>[0] = {}): Bench & {
  inside: number;
  hq: number;
  lan: number;
} {
  const bench = new Bench(options);
  const inside = bench.add('inside', 'tun', 1500, '10.1.0.1/24', '2001:db8:1::1/64');
  const hq = bench.add('hq', 'connection', 1400);
  const lan = bench.add('lan', 'fabric', 1500, '10.3.0.1/24');
  bench.route('10.2.0.0/16', hq, 5, 'connection');
  bench.route('2001:db8:2::/48', hq, 5, 'connection');
  return Object.assign(bench, { inside, hq, lan });
}
