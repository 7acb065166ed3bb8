/** Compartments on Ethernet segments: hosts, routers and tenants with the same addresses, over a wire that delivers at once. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Compartment, type PingResult, Segment } from '../../src/compartment/index.ts';
import { seededRandom } from '../../src/core/index.ts';
import { DROP, octetsOf, PacketPool } from '../../src/ip/index.ts';
import { net } from './fixture.ts';
import { addr } from './octets.ts';
import { arp, BROADCAST, ethernet, macOf } from './port.ts';

/** What is said on it reaches all others in the same call, and comes back in it. */
class Wire {
  readonly segments: Segment[] = [];
  frames = 0;
  /** Stations nobody hears. */
  readonly deaf = new Set<Segment>();
  readonly #pool: PacketPool;

  constructor(pool: PacketPool) {
    this.#pool = pool;
  }

  carry(from: Segment, octets: Uint8Array, now: number): void {
    this.frames += 1;
    if (this.deaf.has(from)) return;
    for (const segment of this.segments) {
      if (segment === from || this.deaf.has(segment)) continue;
      const copy = this.#pool.from(octets);
      if (copy !== undefined) segment.receive(copy, now);
    }
  }
}

class Node {
  readonly compartment: Compartment;
  readonly pings: PingResult[] = [];
  readonly segments: Segment[] = [];
  readonly #network: Network;

  constructor(network: Network, name: string, seed: number) {
    this.#network = network;
    const { pool } = network;
    this.compartment = new Compartment({
      name,
      number: seed,
      pool,
      random: seededRandom(seed),
      sink: {
        emit: (packet, out, nextHop) => this.segments[out - 1]!.transmit(packet, nextHop, network.now),
        pinged: (result) => void this.pings.push(result),
      },
    });
  }

  attach(wire: Wire, mac: string, ...addresses: string[]): Segment {
    const { pool } = this.#network;
    const prefixes = addresses.map(net);
    const name = `eth${this.segments.length}`;
    const number = this.compartment.addInterface({ name, kind: 'ethernet', mtu: 1500, addresses: prefixes });
    const segment: Segment = new Segment({
      mac: macOf(mac),
      pool,
      addresses: prefixes,
      random: seededRandom(number),
      sink: {
        frame: (packet) => {
          const octets = octetsOf(packet).slice();
          pool.release(packet);
          wire.carry(segment, octets, this.#network.now);
        },
        ip: (packet, now) => this.compartment.receive(packet, number, now),
        refuse: (packet, reason, now) => this.compartment.refuse(packet, reason, now),
      },
    });
    this.segments.push(segment);
    wire.segments.push(segment);
    return segment;
  }

  default(via: string): this {
    const nextHop = addr(via);
    const prefix = nextHop.length === 4 ? '0.0.0.0/0' : '::/0';
    this.compartment.addRoute({
      prefix: net(prefix),
      interface: 1,
      origin: 'static',
      preference: 1,
      nextHop,
      why: 'test',
    });
    return this;
  }

  ping(to: string, sequence: number, timeoutMs = 10_000): void {
    const request = { destination: addr(to), id: 1, sequence, size: 56, timeoutMs };
    expect(this.compartment.ping(request, this.#network.now)).toBeUndefined();
  }
}

class Network {
  readonly pool = new PacketPool(512, 2048);
  readonly nodes: Node[] = [];
  now = 0;

  wire(): Wire {
    return new Wire(this.pool);
  }

  node(name: string): Node {
    const node = new Node(this, name, this.nodes.length + 1);
    this.nodes.push(node);
    return node;
  }

  pass(milliseconds: number): void {
    const until = this.now + milliseconds;
    for (;;) {
      const machines = this.nodes.flatMap((node) => [node.compartment, ...node.segments]);
      const times = machines.map((machine) => machine.deadline()?.at ?? Number.POSITIVE_INFINITY);
      const next = Math.min(...times);
      if (next > until) break;
      this.now = Math.max(this.now, next);
      for (const [i, machine] of machines.entries()) if (times[i]! <= this.now) machine.expire(this.now);
    }
    this.now = until;
  }
}

/** A tenant: a gateway between two wires, two hosts on the first, one on the second. All tenants have the same addresses. */
function tenant(network: Network, name: string) {
  const [inside, outside] = [network.wire(), network.wire()];
  const gateway = network.node(`${name} gateway`);
  gateway.attach(inside, '02:00:00:00:00:01', '10.1.0.1/24', '2001:db8:1::1/64');
  gateway.attach(outside, '02:00:00:00:00:02', '10.9.0.1/24', '2001:db8:9::1/64');
  const host = (wire: Wire, last: number, network4: string, network6: string) => {
    const node = network.node(`${name} host ${last}`);
    const hex = last.toString(16).padStart(2, '0');
    node.attach(wire, `02:00:00:00:00:${hex}`, `${network4}.${last}/24`, `${network6}::${hex}/64`);
    return node.default(`${network4}.1`).default(`${network6}::1`);
  };
  const a = host(inside, 10, '10.1.0', '2001:db8:1');
  const b = host(inside, 11, '10.1.0', '2001:db8:1');
  const far = host(outside, 20, '10.9.0', '2001:db8:9');
  return { inside, outside, gateway, a, b, far };
}

const outcomes = (node: Node) => node.pings.splice(0).map(({ sequence, outcome }) => `${sequence} ${outcome}`);

describe('compartments on Ethernet', () => {
  it.each([
    ['on the wire', '10.1.0.11'],
    ['on the wire', '2001:db8:1::0b'],
    ['behind the router', '10.9.0.20'],
    ['behind the router', '2001:db8:9::14'],
    ['the router', '10.9.0.1'],
  ])('ping %s: %s', (_, to) => {
    const network = new Network();
    const { a } = tenant(network, 'blue');
    a.ping(to, 1);
    a.ping(to, 2);
    expect(outcomes(a)).toEqual(['1 reply', '2 reply']);
    expect(network.pool.taken).toBe(0);
  });

  it('two tenants with the same addresses never hear of each other', () => {
    const network = new Network();
    const [blue, red] = [tenant(network, 'blue'), tenant(network, 'red')];
    blue.a.ping('10.9.0.20', 1);
    expect([red.inside.frames, red.outside.frames]).toEqual([0, 0]);
    red.inside.deaf.add(red.a.segments[0]!);
    red.gateway.ping('10.1.0.10', 1);
    blue.gateway.ping('10.1.0.10', 1);
    network.pass(5000);
    expect([outcomes(red.gateway), outcomes(blue.gateway)]).toEqual([['1 unreachable'], ['1 reply']]);
  });

  it('RFC 1812 §4.3.3.1: a host that does not answer its router is told of as unreachable, by the router', () => {
    const network = new Network();
    const { a, gateway } = tenant(network, 'blue');
    a.ping('10.9.0.99', 1);
    a.ping('2001:db8:9::99', 2);
    network.pass(2999);
    expect(a.pings).toEqual([]);
    network.pass(1);
    expect(a.pings.map(({ outcome, why }) => [outcome, why])).toEqual([
      ['unreachable', 'host unreachable, says 10.1.0.1'],
      ['unreachable', 'address unreachable, says 2001:db8:1::1'],
    ]);
    expect(gateway.compartment.drops[DROP.neighbour]).toBe(2);
    expect(network.pool.taken).toBe(0);
  });

  it('a host that moves to another MAC address is found again, by its announcement or by probing', () => {
    const network = new Network();
    const { inside, a, b } = tenant(network, 'blue');
    a.ping('10.1.0.11', 1);
    inside.deaf.add(b.segments[0]!);
    const again = network.node('blue host 11 again');
    const segment = again.attach(inside, '02:00:00:00:00:bb', '10.1.0.11/24');
    segment.announce(network.now);
    a.ping('10.1.0.11', 2);
    expect(outcomes(a)).toEqual(['1 reply', '2 reply']);
    inside.deaf.add(segment);
    inside.deaf.delete(b.segments[0]!);
    a.ping('10.1.0.11', 3);
    network.pass(60_000);
    expect(outcomes(a)).toEqual(['3 timeout']);
    a.ping('10.1.0.11', 4);
    expect(outcomes(a)).toEqual(['4 reply']);
  });

  it('a tenant that floods its wire with names and scans its network harms nobody else', () => {
    const network = new Network();
    const [blue, red] = [tenant(network, 'blue'), tenant(network, 'red')];
    blue.a.ping('10.9.0.20', 1);
    red.a.ping('10.9.0.20', 1);
    for (let n = 0; n < 3000; n++) {
      const [high, low] = [n >>> 8, n & 255];
      const mac = `02:00:00:01:${high.toString(16).padStart(2, '0')}:${low.toString(16).padStart(2, '0')}`;
      const from = `10.1.0.${low}`;
      red.inside.carry(
        red.a.segments[0]!,
        ethernet(BROADCAST, mac, 0x0806, arp(1, mac, from, undefined, '10.1.0.1')),
        0,
      );
      if (n < 200) red.a.compartment.ping({ destination: addr(`10.9.0.${low}`), id: 2, sequence: n, size: 8 }, 0);
    }
    // All who have a name of the network; all who were pinged, but the gateway itself and the broadcast.
    expect(red.gateway.segments.map((segment) => segment.neighbours().length)).toEqual([253, 198]);
    expect(network.pool.taken).toBe(64);
    blue.a.ping('10.9.0.20', 2);
    expect(outcomes(blue.a)).toEqual(['1 reply', '2 reply']);
    network.pass(10_000);
    expect(network.pool.taken).toBe(0);
  });

  it('whatever happens, each ping has one outcome, tenants stay apart, and no packet is lost', () => {
    type Step =
      | { do: 'ping'; tenant: number; from: 'a' | 'b' | 'far' | 'gateway'; to: string }
      | { do: 'pass'; milliseconds: number }
      | { do: 'deaf'; tenant: number; who: 'a' | 'b' | 'far'; deaf: boolean }
      | { do: 'announce' | 'flush'; tenant: number; who: 'a' | 'b' | 'far' | 'gateway' };
    const which = fc.nat(1);
    const targets = [
      '10.1.0.10',
      '10.1.0.11',
      '10.9.0.20',
      '10.1.0.99',
      '2001:db8:1::b',
      '2001:db8:9::14',
      '2001:db8:9::77',
    ];
    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant('ping' as const),
          tenant: which,
          from: fc.constantFrom('a' as const, 'b' as const, 'far' as const, 'gateway' as const),
          to: fc.constantFrom(...targets),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('pass' as const),
          milliseconds: fc.constantFrom(1, 500, 1000, 6000, 40_000),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('deaf' as const),
          tenant: which,
          who: fc.constantFrom('a' as const, 'b' as const, 'far' as const),
          deaf: fc.boolean(),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constantFrom('announce' as const, 'flush' as const),
          tenant: which,
          who: fc.constantFrom('a' as const, 'b' as const, 'far' as const, 'gateway' as const),
        }),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const network = new Network();
        const tenants = [tenant(network, 'blue'), tenant(network, 'red')];
        const begun = new Map<Node, number>();
        for (const [sequence, s] of steps.entries()) {
          if (s.do === 'pass') {
            network.pass(s.milliseconds);
            continue;
          }
          const [mine, other] = [tenants[s.tenant]!, tenants[1 - s.tenant]!];
          const before = [other.inside.frames, other.outside.frames];
          if (s.do === 'ping') {
            const node = mine[s.from];
            node.ping(s.to, sequence, 20_000);
            begun.set(node, (begun.get(node) ?? 0) + 1);
          } else if (s.do === 'deaf') {
            const wire = s.who === 'far' ? mine.outside : mine.inside;
            if (s.deaf) wire.deaf.add(mine[s.who].segments[0]!);
            else wire.deaf.delete(mine[s.who].segments[0]!);
          } else if (s.do === 'announce') for (const segment of mine[s.who].segments) segment.announce(network.now);
          else for (const segment of mine[s.who].segments) segment.flushNeighbours(network.now);
          expect([other.inside.frames, other.outside.frames]).toEqual(before);
        }
        network.pass(60_000);
        for (const [node, count] of begun) {
          expect(new Set(node.pings.map(({ sequence }) => sequence)).size).toBe(count);
          expect(node.pings.length).toBe(count);
        }
        expect(network.pool.taken).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});
