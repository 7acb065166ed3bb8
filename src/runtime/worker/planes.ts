/**
 * All workers of the data plane, as the host sees them: sockets opened for them, devices handed to the one whose tenant has them.
 *
 * The NAT-T port of an address has one socket for each worker (SO_REUSEPORT), and so has protocol 50; the kernel chooses by
 * the SPI (`steering.ts`). What still comes to the wrong one, because trains may mix SPIs, is handed on here.
 * Invariant: sockets are opened and closed here, read and written by the workers alone.
 */
import type { PlaneCommand, PlaneEvent } from '../../gateway/index.ts';
import type { Address, Endpoint, PacketPool } from '../../ip/index.ts';
import { openNativeSenders } from '../flow-sockets.ts';
import type { AdoptedSocket } from '../native-socket.ts';
import type { SocketOffloadOptions } from '../offload.ts';
import type { PortQueue } from '../port-queue.ts';
import { openRaw } from '../raw.ts';
import type { BatchSocket } from '../socket.ts';
import { keepOwnSpis, steerBySpi } from '../steering.ts';
import type { Syscalls } from '../syscalls.ts';
import { openNativeUdp } from '../udp.ts';
import { followsFlow, openNativeUnderlay, type UnderlayKind, type UnderlayOptions } from '../underlay.ts';
import type { PlaneHost } from './plane-host.ts';

/** Who hears of what the workers tell. */
export interface PlanesListener {
  event(event: PlaneEvent): void;
  tooBig(local: Address, remote: Address): void;
  portFailed(port: number, why: string): void;
  /** No packet of its tenants passes until `restarted`. */
  lost(plane: number, why: string): void;
  /** A new worker runs in place of this one, has its sockets, and knows nothing else. */
  restarted(plane: number, why: string): void;
}

/** What a worker needs to know of a port: its owner stays who opened it. */
export type AttachedPort = Pick<PortQueue, 'kind' | 'fd' | 'device' | 'offloads'>;

/** Sockets that the workers read, one for each. */
export interface Lent {
  readonly local: Endpoint;
  /** Resolves when they are closed. */
  close(): Promise<void>;
}

export class Planes {
  readonly #sys: Syscalls;
  readonly #hosts: readonly PlaneHost[];
  readonly #pool: PacketPool;
  readonly #portOwners = new Map<number, PlaneHost>();
  #lastId = 0;

  /** `pool` shows how large packets may be. */
  constructor(sys: Syscalls, hosts: readonly PlaneHost[], pool: PacketPool) {
    this.#sys = sys;
    this.#hosts = hosts;
    this.#pool = pool;
  }

  listen(listener: PlanesListener): void {
    for (const [plane, host] of this.#hosts.entries()) {
      host.listener = {
        event: (event) => {
          if (event.type === 'stray') this.#handOn(event);
          else listener.event(event);
        },
        tooBig: (local, remote) => listener.tooBig(local, remote),
        portFailed: (port, why) => listener.portFailed(port, why),
        lost: (why) => listener.lost(plane, why),
        restarted: (why) => listener.restarted(plane, why),
      };
    }
  }

  /** Of each by its number. */
  get facts(): { readonly engine: string; readonly restarts: number }[] {
    return this.#hosts.map(({ engine, restarts }) => ({ engine, restarts }));
  }

  command(plane: number, command: PlaneCommand): void {
    this.#hosts[plane]?.command(command);
  }

  /** A datagram of control's own, from the NAT-T port: each worker has a socket there. */
  send(local: Endpoint, remote: Endpoint, octets: Uint8Array): void {
    this.#hosts.find((host) => host.running)?.send(local, remote, octets);
  }

  /** Throws SystemError. */
  lendUdp(local: Endpoint, offload: SocketOffloadOptions | undefined): Lent {
    const shared = this.#hosts.length > 1;
    const sockets = this.#openAll(() => openNativeUdp({ local, pool: this.#pool, receive: () => {}, offload, shared }));
    if (shared) steerBySpi(this.#sys, sockets[0]!.fd, this.#hosts.length);
    return this.#lend('udp', local, this.#oneEach(sockets), offload);
  }

  /** Protocol 50. Throws SystemError. */
  lendRaw(address: Address, offload: SocketOffloadOptions | undefined): Lent {
    const sockets = this.#openAll(() =>
      openRaw({ protocol: 'ip-50', local: address, pool: this.#pool, receive: () => {}, offload }),
    );
    const { length: planes } = this.#hosts;
    if (planes > 1)
      for (const [plane, { fd }] of sockets.entries()) keepOwnSpis(this.#sys, fd, address.length === 16, planes, plane);
    return this.#lend('ip-50', { address, port: 0 }, this.#oneEach(sockets), offload);
  }

  /**
   * GRE of an address of the underlay, all of it for one worker: the kernel cannot know which tenant has a VSID. Throws SystemError.
   */
  lendUnderlay(plane: number, options: Pick<UnderlayOptions, 'kind' | 'local' | 'flowPorts' | 'offload'>): Lent {
    const { kind, local, offload } = options;
    const host = this.#hosts[plane]!;
    const socket = openNativeUnderlay({ ...options, pool: this.#pool, receive: () => {} });
    try {
      const senders = followsFlow(options) ? openNativeSenders(local, this.#pool, offload) : [];
      return this.#lend(kind, socket.local, [{ host, socket, senders }], offload);
    } catch (error) {
      void socket.close();
      throw error;
    }
  }

  attachPort(plane: number, port: number, { kind, fd, device, offloads }: AttachedPort): void {
    const owner = this.#hosts[plane]!;
    this.#portOwners.set(port, owner);
    owner.attachPort({ port, kind, fd, device, offloads });
  }

  /** Resolves when no worker touches the device any more. */
  async detachPort(port: number): Promise<void> {
    const owner = this.#portOwners.get(port);
    this.#portOwners.delete(port);
    await owner?.detachPort(port);
  }

  async close(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()));
  }

  #openAll(open: () => BatchSocket): BatchSocket[] {
    const sockets: BatchSocket[] = [];
    try {
      for (const _ of this.#hosts) sockets.push(open());
    } catch (error) {
      for (const socket of sockets) void socket.close();
      throw error;
    }
    return sockets;
  }

  #oneEach(sockets: readonly BatchSocket[]): LentSocket[] {
    return sockets.map((socket, plane) => ({ host: this.#hosts[plane]!, socket }));
  }

  #lend(
    kind: 'udp' | 'ip-50' | UnderlayKind,
    local: Endpoint,
    sockets: readonly LentSocket[],
    offload: SocketOffloadOptions | undefined,
  ): Lent {
    const lent = sockets.map(({ host, socket, senders = [] }) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const sending = senders.map((each) => ({ local: each.local, socket: adopted(each) }));
      host.attachSocket({ id, kind, local, socket: adopted(socket), senders: sending, offload });
      return { id, host };
    });
    return {
      local,
      close: async () => {
        await Promise.all(lent.map(({ id, host }) => host.detachSocket(id)));
        await Promise.all(
          sockets.flatMap(({ socket, senders = [] }) => [socket, ...senders]).map((each) => each.close()),
        );
      },
    };
  }

  #handOn({ udp, local, remote, octets, tos }: Extract<PlaneEvent, { type: 'stray' }>): void {
    const spi = new DataView(octets.buffer, octets.byteOffset).getUint32(0);
    this.#hosts[spi % this.#hosts.length]?.inject(udp, local, remote, octets, tos);
  }
}

interface LentSocket {
  readonly host: PlaneHost;
  readonly socket: BatchSocket;
  /** Of GRE in UDP. */
  readonly senders?: readonly BatchSocket[];
}

const adopted = ({ fd, features, offloads }: BatchSocket): AdoptedSocket => ({ fd, features, offloads });
