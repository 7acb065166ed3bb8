/**
 * Socket addresses as the kernel has them, to and from endpoints.
 *
 * Read first: ip(7), ipv6(7). Limit: no flow labels and no scopes; senders are remembered in a table of fixed size.
 */
import { type Address, type Endpoint, sameAddress } from '../ip/index.ts';
import type { Arena } from './memory.ts';

/** Octets to reserve for either kind. */
export const SOCKADDR_ROOM = 32;

/* struct sockaddr_in: family (2) | port (2, network order) | address (4) | zero (8)
   struct sockaddr_in6: family (2) | port (2) | flowinfo (4) | address (16) | scope (4) */

/** Writes `endpoint` at `at` and gives the length of the structure. */
export function putSockaddr(arena: Arena, at: number, endpoint: Endpoint): number {
  const { address, port } = endpoint;
  const ipv6 = address.length === 16;
  arena.bytes.fill(0, at, at + SOCKADDR_ROOM);
  arena.view.setUint16(at, ipv6 ? AF_INET6 : AF_INET, true);
  arena.view.setUint16(at + 2, port);
  arena.bytes.set(address, at + (ipv6 ? 8 : 4));
  return ipv6 ? 28 : 16;
}

/** Endpoints of one family, one object for each sender as long as it keeps its place: reading a packet makes nothing new. */
export class SenderTable {
  readonly #ipv6: boolean;
  readonly #ports: boolean;
  readonly #known: (Endpoint | undefined)[] = new Array<Endpoint | undefined>(SENDERS).fill(undefined);

  /** Without `ports` every port is 0: protocols that have none. */
  constructor(ipv6: boolean, ports: boolean) {
    this.#ipv6 = ipv6;
    this.#ports = ports;
  }

  /** The sender whose sockaddr stands at `at`. */
  at(bytes: Uint8Array, at: number): Endpoint {
    const port = this.#ports ? (bytes[at + 2]! << 8) | bytes[at + 3]! : 0;
    const from = at + (this.#ipv6 ? 8 : 4);
    const length = this.#ipv6 ? 16 : 4;
    let hash = port;
    for (let i = from; i < from + length; i++) hash = Math.imul(hash, 31) + bytes[i]!;
    const place = (hash ^ (hash >>> 12)) & (SENDERS - 1);
    const known = this.#known[place];
    if (known !== undefined && known.port === port) {
      let same = true;
      for (let i = 0; same && i < length; i++) same = known.address[i] === bytes[from + i];
      if (same) return known;
    }
    const sender = { address: bytes.slice(from, from + length), port };
    this.#known[place] = sender;
    return sender;
  }
}

/** The other way: one endpoint for each address that something is sent to, all with one port. */
export class RemoteTable {
  readonly #port: number;
  readonly #known: (Endpoint | undefined)[] = new Array<Endpoint | undefined>(REMOTES).fill(undefined);

  constructor(port: number) {
    this.#port = port;
  }

  of(address: Address): Endpoint {
    let hash = 0;
    for (let i = 0; i < address.length; i++) hash = Math.imul(hash, 31) + address[i]!;
    const place = (hash ^ (hash >>> 12)) & (REMOTES - 1);
    const known = this.#known[place];
    if (known !== undefined && sameAddress(known.address, address)) return known;
    const remote = { address: address.slice(), port: this.#port };
    this.#known[place] = remote;
    return remote;
  }
}

/** Powers of 2. */
const SENDERS = 4096;
const REMOTES = 4096;

const AF_INET = 2;
const AF_INET6 = 10;
