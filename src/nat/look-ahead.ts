/**
 * What `outbound` will look up for the packets of a batch, read before it is needed: first the index slots of all of them, then the
 * rows, so that memory is waited for many at a time and not for each packet by itself.
 *
 * A hint: nothing is decided, changed or counted, and a packet that this takes for another one costs time only. The packets of a batch
 * may be of several NATs. Not for tables that caches hold anyway, nor for a few packets (docs/decisions/0013-look-ahead.md).
 */
import { IP_PROTOCOL, IPV4_HEADER, type Packet } from '../ip/index.ts';
import type { Nat } from './nat.ts';
import type { SessionTable } from './sessions.ts';
import { DESTINATION, SOURCE } from './translate.ts';

export class LookAhead {
  readonly #tables: (SessionTable | undefined)[];
  readonly #hashes: Int32Array;
  #count = 0;
  /** Of no meaning but that it is read. */
  touched = 0;

  /** For so many packets at most. */
  constructor(most: number) {
    this.#tables = new Array(most).fill(undefined);
    this.#hashes = new Int32Array(most);
  }

  /**
   * A packet that is likely to go out by `nat`: its IP header is at `at`, and nothing of it is checked. `cold`: even of a small table
   * no cache has anything.
   */
  outbound(nat: Nat, { view, end }: Packet, at: number, cold = false): void {
    const { table } = nat.state;
    if ((!cold && !isLarge(nat)) || this.#count === this.#hashes.length) return;
    if (end - at < IPV4_HEADER + PORTS || view.getUint8(at) !== PLAIN_IPV4) return;
    const protocol = view.getUint8(at + 9);
    if (protocol !== IP_PROTOCOL.udp && protocol !== IP_PROTOCOL.tcp) return;
    const inner = view.getInt32(at + SOURCE);
    const innerPort = view.getUint16(at + IPV4_HEADER);
    const remote = view.getInt32(at + DESTINATION);
    const remotePort = view.getUint16(at + IPV4_HEADER + 2);
    this.#tables[this.#count] = table;
    this.#hashes[this.#count] = table.outboundHash(protocol, inner, innerPort, remote, remotePort);
    this.#count += 1;
  }

  /** All of the batch were named. */
  finish(): void {
    const count = this.#count;
    const tables = this.#tables;
    const hashes = this.#hashes;
    let touched = 0;
    // Short loops: the processor is at the next packet long before memory has answered.
    for (let i = 0; i < count; i++) touched ^= tables[i]!.touchSlot(hashes[i]!);
    for (let i = 0; i < count; i++) hashes[i] = tables[i]!.likelyRow(hashes[i]!);
    for (let i = 0; i < count; i++) if (hashes[i]! >= 0) touched ^= tables[i]!.touchRow(hashes[i]!);
    tables.fill(undefined, 0, count);
    this.touched = touched;
    this.#count = 0;
  }
}

/** Looking its sessions up before is worth it. */
export const isLarge = ({ state }: Nat): boolean => state.table.count >= SESSIONS_WORTH_IT;

/** Rows and index of fewer are in the second cache. */
export const SESSIONS_WORTH_IT = 1 << 15;
/** Version 4 and no options. */
const PLAIN_IPV4 = 0x45;
const PORTS = 4;
