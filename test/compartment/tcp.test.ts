/** TCP endpoints behind compartments: tenants with identical addresses, ports and peers' addresses do not meet. */
import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { Compartment } from '../../src/compartment/index.ts';
import { seededRandom } from '../../src/core/index.ts';
import {
  completeChecksum,
  octetsOf,
  PacketPool,
  type TcpAction,
  TcpHost,
  type TcpHostOptions,
  type TcpOptions,
} from '../../src/ip/index.ts';
import { addr, pfx } from '../support/packets.ts';

const OURS = { address: addr('10.1.0.1'), port: 179 };
const THEIRS = { address: addr('10.1.0.9'), port: 4000 };

/** A compartment with an endpoint on port 179, and a router of its tenant that dials it and says its name. */
class Tenant {
  readonly name: string;
  readonly host: TcpHost;
  readonly peer: TcpHost;
  readonly heard: string[] = [];
  now = 0;
  readonly #pool: PacketPool;
  readonly #compartment: Compartment;
  readonly #towardsPeer: Uint8Array[] = [];
  readonly #towardsHost: Uint8Array[] = [];

  constructor(name: string, number: number, pool: PacketPool) {
    const md5 = (octets: Uint8Array) => createHash('md5').update(octets).digest();
    const options: TcpHostOptions = { random: seededRandom(1), md5 };
    this.name = name;
    this.#pool = pool;
    this.host = new TcpHost(options);
    this.peer = new TcpHost(options);
    this.#compartment = new Compartment({
      name,
      number,
      pool,
      random: seededRandom(1),
      sink: {
        emit: (packet) => {
          this.#towardsPeer.push(octetsOf(packet).slice());
          pool.release(packet);
        },
        transport: (packet) => {
          completeChecksum(packet);
          this.#towardsHost.push(octetsOf(packet).slice());
          return true;
        },
      },
    });
    this.#compartment.addInterface({ name: 'inside', kind: 'fabric', mtu: 1500, addresses: [pfx('10.1.0.1/24')] });
    this.host.listen(OURS.port, { address: OURS.address });
  }

  dial(options: TcpOptions = {}): void {
    const dialled = this.peer.connect(THEIRS, OURS, options, this.now);
    if ('refused' in dialled) throw new Error(dialled.refused);
    this.#performPeer(dialled.actions);
  }

  /** Carries packets until there are none. */
  settle(): void {
    while (this.#towardsHost.length + this.#towardsPeer.length > 0) {
      for (const octets of this.#towardsHost.splice(0)) this.#performHost(this.host.packet(octets, this.now));
      for (const octets of this.#towardsPeer.splice(0)) this.#performPeer(this.peer.packet(octets, this.now));
    }
  }

  #performHost(actions: readonly TcpAction[]): void {
    for (const action of actions) {
      if (action.do === 'emit') this.#compartment.send(this.#pool.from(action.packet)!, this.now);
      if (action.do === 'received') this.heard.push(new TextDecoder().decode(this.host.read(action.id).octets));
      if (action.do === 'ended') this.#performHost(this.host.close(action.id, this.now));
    }
  }

  #performPeer(actions: readonly TcpAction[]): void {
    for (const action of actions) {
      if (action.do === 'emit') this.#compartment.receive(this.#pool.from(action.packet)!, 1, this.now);
      if (action.do !== 'connected') continue;
      this.#performPeer(this.peer.send(action.id, new TextEncoder().encode(`I am ${this.name}`), this.now).actions);
      this.#performPeer(this.peer.close(action.id, this.now));
    }
  }
}

it('two tenants with identical addresses and ports talk to their own endpoints', () => {
  const pool = new PacketPool(32, 2048);
  const tenants = [new Tenant('red', 2, pool), new Tenant('blue', 3, pool)];
  for (const tenant of tenants) tenant.dial();
  for (const tenant of tenants) tenant.settle();
  expect(tenants.map(({ heard }) => heard)).toEqual([['I am red'], ['I am blue']]);
  expect(tenants.map(({ host, peer }) => [host.size, peer.state(1)])).toEqual([
    [0, 'timeWait'],
    [0, 'timeWait'],
  ]);
  expect(tenants.map(({ host }) => host.counters.malformed)).toEqual([0, 0]);
  expect(pool.taken).toBe(0);
});
