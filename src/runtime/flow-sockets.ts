/**
 * GRE in UDP from a source port that follows the flow, so that routers between hosts spread flows over equal ways: one socket that
 * hears, at the port of GRE, and some that only send, each from a port of its own. A flow always leaves by the same one.
 *
 * Read first: RFC 8086 §3.2.1 (the source port), RFC 6335 §6 (dynamic ports). What tells flows apart is the FlowID of NVGRE, eight
 * bits of a hash of what is inside.
 * Deliberate limit: SENDERS ports, not one for each FlowID: datagrams of one destination go out together only from one socket.
 * Invariants: order is kept within a flow; what comes to a port that only sends is heard by nobody.
 */
import { fraction } from '../core/index.ts';
import type { Address, Endpoint, Packet, PacketPool } from '../ip/index.ts';
import { flowIdOf } from '../nvgre/index.ts';
import { systemRandom } from './clock.ts';
import type { SocketOffloadOptions } from './offload.ts';
import {
  type BatchSocket,
  type DatagramSocket,
  SENT,
  type SendResult,
  type SocketCounters,
  type SocketFeatures,
  sendAll,
} from './socket.ts';
import { SystemError } from './syscalls.ts';
import { openNativeUdp, openUdp, type UdpOptions } from './udp.ts';

export class FlowSockets implements DatagramSocket {
  readonly carrier = 'udp';
  readonly local: Endpoint;
  readonly features: SocketFeatures;
  readonly #heard: DatagramSocket;
  readonly #senders: readonly DatagramSocket[];
  /** Of one call: who sends each packet, and those of one sender. */
  readonly #lanes: number[] = [];
  readonly #lane: Packet[] = [];

  /** `heard` is at the port of GRE; at least one sends. */
  constructor(heard: DatagramSocket, senders: readonly DatagramSocket[]) {
    this.#heard = heard;
    this.#senders = senders;
    this.local = heard.local;
    this.features = heard.features;
  }

  /** Of all of them together. */
  get counters(): SocketCounters {
    const sum = { ...this.#heard.counters };
    for (const { counters } of this.#senders) {
      sum.sent += counters.sent;
      sum.refused += counters.refused;
      sum.errors += counters.errors;
    }
    return sum;
  }

  send(buf: Uint8Array, start: number, end: number, remote: Endpoint, tos?: number, df?: boolean): SendResult {
    return this.#senders[this.#laneOf(buf, start)]!.send(buf, start, end, remote, tos, df);
  }

  /** As of a `BatchSocket`. */
  sendBatch(
    packets: readonly Packet[],
    from: number,
    count: number,
    remote: Endpoint,
    tos?: number,
    df?: boolean,
  ): SendResult {
    for (let i = 0; i < count; i++) {
      const { buf, start } = packets[from + i]!;
      this.#lanes[i] = this.#laneOf(buf, start);
    }
    let worst: SendResult = SENT;
    for (let lane = 0, left = count; left > 0; lane++) {
      let taken = 0;
      for (let i = 0; i < count; i++)
        if (this.#lanes[i] === lane) {
          this.#lane[taken] = packets[from + i]!;
          taken += 1;
        }
      if (taken === 0) continue;
      left -= taken;
      const result = sendAll(this.#senders[lane]!, this.#lane, 0, taken, remote, tos, df);
      if (result > worst) worst = result;
    }
    return worst;
  }

  async close(): Promise<void> {
    await Promise.all([this.#heard, ...this.#senders].map((socket) => socket.close()));
  }

  /** GRE with a key stands at `start`; the frames of a train have one FlowID. */
  #laneOf(buf: Uint8Array, start: number): number {
    return flowIdOf(buf, start) % this.#senders.length;
  }
}

/** Those that only send, by system calls; throws SystemError. Whoever opened them closes them. */
export function openNativeSenders(
  local: Address,
  pool: PacketPool,
  offload: SocketOffloadOptions | undefined,
): BatchSocket[] {
  const senders: BatchSocket[] = [];
  let tries = 0;
  while (senders.length < SENDERS)
    try {
      senders.push(openNativeUdp({ ...sender(local, pool), offload, deaf: true }));
    } catch (error) {
      tries += 1;
      if (isTaken(error) && tries < TRIES) continue;
      for (const socket of senders) void socket.close();
      throw error;
    }
  return senders;
}

/** The same by node:dgram; rejects with SystemError. */
export async function openNodeSenders(local: Address, pool: PacketPool): Promise<DatagramSocket[]> {
  const senders: DatagramSocket[] = [];
  let tries = 0;
  while (senders.length < SENDERS)
    try {
      senders.push(await openUdp(sender(local, pool)));
    } catch (error) {
      tries += 1;
      if (isTaken(error) && tries < TRIES) continue;
      await Promise.all(senders.map((socket) => socket.close()));
      throw error;
    }
  return senders;
}

const sender = (address: Address, pool: PacketPool): UdpOptions => ({
  local: { address, port: FIRST_PORT + Math.floor(fraction(systemRandom) * PORTS) },
  pool,
  receive: (packet) => pool.release(packet),
  advice: {},
});

const isTaken = (error: unknown): boolean => error instanceof SystemError && error.code === 'EADDRINUSE';

/** Enough for as many equal ways as a fabric has; with more, fewer datagrams would go out together. */
export const SENDERS = 8;
/** RFC 8086 §3.2.1, RFC 6335 §6. */
export const FIRST_PORT = 49_152;
const PORTS = 16_384;
/** Ports that others have, of the whole range, before it is given up. */
const TRIES = 64;
