/**
 * The wire of a speaker whose TCP is ours: a TUN device in a daemon's namespace, whose kernel has the daemon's addresses.
 *
 * What the gateway does for the peers of tenants, without tenants.
 */
import { createHash } from 'node:crypto';
import type { ConnectionId, SessionEvent } from '../../src/bgp/index.ts';
import { BgpTransport } from '../../src/gateway/bgp/transport.ts';
import { octetsOf, PacketPool, type TcpCounters, type TcpOptions } from '../../src/ip/index.ts';
import { realClock } from '../../src/runtime/bgp-transport.ts';
import { openTun, Readiness, systemRandom, type Tun } from '../../src/runtime/index.ts';
import type { BgpHost, HostPeer, Wire } from './bgp-host.ts';
import type { BgpLink } from './bgp-link.ts';
import { addr, pfx } from './packets.ts';
import { within } from './private-network.ts';

export class TunWire implements Wire {
  readonly transport: BgpTransport;
  readonly #tcp: TcpOptions;
  readonly #readiness = new Readiness();
  readonly #tun: Tun;
  #wake: () => void = () => {};
  #open = true;

  constructor(link: BgpLink, host: BgpHost, tcp: TcpOptions) {
    this.#tcp = tcp;
    const pool = new PacketPool(512, 2048);
    const options = {
      device: 'bgp',
      mtu: 1500,
      // FRR takes no session over IPv6 where there is no link-local address.
      addresses: [`${link.theirs}/24`, `${link.theirs6}/64`, 'fe80::2/64'].map(pfx),
      pool,
      readiness: this.#readiness,
    };
    this.transport = new BgpTransport({
      random: systemRandom,
      md5: (octets) => createHash('md5').update(octets).digest(),
      mtu: () => options.mtu,
      sourceTowards: () => undefined,
      emit: (octets) => {
        const packet = pool.from(octets);
        if (packet === undefined) return;
        this.#tun.writePacket(packet);
        pool.release(packet);
      },
      // Not while the transport, or the speaker, is at work.
      tell: (peer, event) => queueMicrotask(() => this.#tell(host, peer, event)),
    });
    this.#tun = within(link.namespace, () =>
      openTun({
        ...options,
        receive: (packet) => {
          const octets = octetsOf(packet).slice();
          pool.release(packet);
          this.#act(() => this.transport.packet(octets, realClock.now()));
        },
      }),
    );
  }

  get counters(): TcpCounters {
    return this.transport.host.counters;
  }

  setPeer({ name, remote, local }: HostPeer): void {
    const { transport } = this;
    transport.setPeer({ name, address: addr(remote), localAddress: addr(local), port: 179, tcp: this.#tcp });
  }

  dial(peer: string, connection: ConnectionId): void {
    this.#act(() => this.transport.dial(peer, connection, realClock.now()));
  }

  send(peer: string, connection: ConnectionId, octets: Uint8Array): void {
    this.#act(() => this.transport.send(peer, connection, octets, realClock.now()));
  }

  close(peer: string, connection: ConnectionId, abort: boolean): void {
    this.#act(() => this.transport.close(peer, connection, abort, realClock.now()));
  }

  end(): void {
    this.#open = false;
    this.#wake();
    this.#readiness.close();
    void this.#tun.close();
  }

  #tell(host: BgpHost, peer: string, event: SessionEvent): void {
    if (this.#open && event.type !== 'tick') host.tell(peer, event);
  }

  #act(act: () => void): void {
    if (!this.#open) return;
    act();
    this.#wake();
    const due = this.transport.deadline();
    if (due === undefined) return;
    const wait = Math.max(0, Math.ceil(due.at - realClock.now()));
    this.#wake = realClock.after(wait, () => this.#act(() => this.transport.tick(realClock.now())));
  }
}
