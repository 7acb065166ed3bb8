/**
 * The sockets of a host, by the address of the gateway they are bound to: the IKE port, the NAT-T port, protocol 50.
 *
 * Where the data plane has threads of its own they are lent those that carry ESP, and send the messages that leave by them.
 * Limit: MAX_WAITING datagrams wait for the sockets of an address to open.
 */
import type { GatewayAction, GatewayEvent } from '../gateway/index.ts';
import { type Address, formatAddress, octetsOf, type PacketPool, sameAddress } from '../ip/index.ts';
import { type Departures, words } from './departures.ts';
import type { Log } from './log.ts';
import type { SocketOffloadOptions } from './offload.ts';
import type { Outbox } from './outbox.ts';
import { openRaw } from './raw.ts';
import type { Readiness } from './readiness.ts';
import type { DatagramSocket, Receive } from './socket.ts';
import { openUdp } from './udp.ts';
import type { Lent, Planes } from './worker/planes.ts';

export interface ListenersOptions {
  readonly pool: PacketPool;
  readonly log: Log;
  readonly outbox: Outbox;
  readonly departures: Departures;
  readonly readiness: Readiness | undefined;
  /** Undefined: one datagram a call. */
  readonly offload: SocketOffloadOptions | undefined;
  readonly planes: Planes | undefined;
  readonly dispatch: (event: GatewayEvent) => void;
}

type Send = Extract<GatewayAction, { do: 'udp' | 'esp' }>;

/** Datagrams that wait for a socket to open; IKE repeats what is lost here. */
const MAX_WAITING = 64;

interface Listening {
  readonly address: Address;
  readonly sockets: DatagramSocket[];
  /** Sockets that the data plane reads. */
  readonly lent: Lent[];
  open: boolean;
  readonly waiting: Send[];
}

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #listening: Listening[] = [];

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Resolves when the sockets are open or have failed; the gateway has heard which by then. Not wanted any more: neither. */
  async listen(address: Address, ike: number, natt: number): Promise<void> {
    const listening: Listening = { address, sockets: [], lent: [], open: false, waiting: [] };
    this.#listening.push(listening);
    await this.#open(listening, ike, natt).then(
      (rawEsp) => this.#opened(listening, undefined, rawEsp),
      (error: unknown) => this.#opened(listening, words(error), false),
    );
  }

  unlisten(address: Address): void {
    const { outbox, departures } = this.#options;
    outbox.flush();
    const at = this.#listening.findIndex((l) => sameAddress(l.address, address));
    for (const listening of this.#listening.splice(at, at < 0 ? 0 : 1))
      departures.track(this.#closeSockets(listening), formatAddress(listening.address));
  }

  /** Takes over the packet. */
  send(action: Send): void {
    const { pool, planes, outbox } = this.#options;
    const [local, remote] =
      action.do === 'udp'
        ? [action.local, action.remote]
        : [
            { address: action.local, port: 0 },
            { address: action.remote, port: 0 },
          ];
    const listening = this.#listening.find((l) => sameAddress(l.address, local.address));
    if (listening !== undefined && !listening.open && listening.waiting.length < MAX_WAITING) {
      listening.waiting.push(action);
      return;
    }
    const { packet, tos, dontFragment } = action;
    if (planes !== undefined && listening?.lent.some((lent) => lent.local.port === local.port)) {
      planes.send(local, remote, octetsOf(packet));
      return pool.release(packet);
    }
    const socket = listening?.sockets.find((s) => s.local.port === local.port);
    if (socket === undefined) pool.release(packet);
    else outbox.send(socket, remote, packet, tos, dontFragment);
  }

  close(): void {
    for (const listening of this.#listening.splice(0)) this.#options.departures.track(this.#closeSockets(listening));
  }

  async #open(listening: Listening, ike: number, natt: number): Promise<boolean> {
    const { address, sockets, lent } = listening;
    const { pool, log, readiness, offload, planes, departures, dispatch } = this.#options;
    await departures.of(formatAddress(address));
    if (!this.#listening.includes(listening)) return false;
    for (const port of [ike, natt]) {
      const local = { address, port };
      const receive: Receive = (packet, remote, tos) => dispatch({ type: 'udp', local, remote, packet, tos });
      if (port === natt && planes !== undefined) lent.push(planes.lendUdp(local, offload));
      else sockets.push(await openUdp({ local, pool, receive, readiness, offload }));
    }
    if (readiness === undefined) return false;
    try {
      const receive: Receive = (packet, { address: remote }, tos) =>
        dispatch({ type: 'esp', local: address, remote, packet, tos });
      if (planes !== undefined) lent.push(planes.lendRaw(address, offload));
      else sockets.push(openRaw({ protocol: 'ip-50', local: address, pool, readiness, offload, receive }));
      return true;
    } catch (error) {
      log.warn(`no ESP without UDP encapsulation on ${formatAddress(address)}: ${words(error)}`);
      return false;
    }
  }

  #opened(listening: Listening, problem: string | undefined, rawEsp: boolean): void {
    const { log, departures, dispatch } = this.#options;
    const { address } = listening;
    if (!this.#listening.includes(listening)) {
      departures.track(this.#closeSockets(listening), formatAddress(address));
      for (const { packet } of listening.waiting.splice(0)) this.#options.pool.release(packet);
      return;
    }
    listening.open = true;
    if (problem !== undefined) log.error(`cannot listen on ${formatAddress(address)}: ${problem}`);
    for (const action of listening.waiting.splice(0)) this.send(action);
    dispatch({ type: 'listen-state', address, problem, rawEsp });
  }

  async #closeSockets({ sockets, lent }: Listening): Promise<void> {
    await Promise.all([...sockets, ...lent].map((socket) => socket.close()));
  }
}
