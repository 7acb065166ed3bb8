/**
 * The addresses a segment answers for: its own and, as for NAT, prefixes that are ours though no interface has them; which addresses are
 * on the link, and with which own one a neighbour is asked for.
 *
 * Read first: RFC 1027 (answering for others), RFC 5227 §2.4 (defence), RFC 4861 §7.2.2 (the source of a solicitation).
 * Limit: `limit` prefixes beside the own addresses.
 */
import type { Bytes, Millis } from '../core/index.ts';
import {
  type Address,
  ipv4Number,
  ipv6IsLinkLocalAt,
  lastOf,
  networkOf,
  type Prefix,
  PrefixTable,
  sameAddress,
} from '../ip/index.ts';

/** An address or a prefix that is answered for. */
export interface Answered {
  readonly prefix: Prefix;
  /** When a claim of somebody else's to it was last answered. */
  defendedAt: Millis | undefined;
}

export class OwnAddresses {
  readonly #limit: number;
  readonly #own = new PrefixTable<Answered>();
  #others: PrefixTable<Answered> | undefined;
  /** Of several own addresses in one network the first. */
  readonly #networks = new PrefixTable<Prefix>();
  #addresses: readonly Address[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Replaces the own ones. Those that stay keep the time of their defence. */
  set(addresses: readonly Prefix[]): void {
    const kept = new Map(addresses.map(({ address }) => [address, this.#own.exact(host(address))?.defendedAt]));
    this.#own.clear();
    this.#networks.clear();
    for (const own of addresses) {
      const prefix = host(own.address);
      this.#own.insert(prefix, { prefix, defendedAt: kept.get(own.address) });
      if (this.#networks.exact(own) === undefined) this.#networks.insert(own, own);
    }
    this.#addresses = addresses.map(({ address }) => address);
  }

  /** False when there are too many. */
  answerFor(prefix: Prefix): boolean {
    this.#others ??= new PrefixTable<Answered>();
    if (this.#others.exact(prefix) !== undefined) return true;
    if (this.#others.size >= this.#limit) return false;
    this.#others.insert(prefix, { prefix, defendedAt: undefined });
    return true;
  }

  /** False when it was not answered for. */
  stopAnswering(prefix: Prefix): boolean {
    return this.#others?.remove(prefix) ?? false;
  }

  answered4(address: number): Answered | undefined {
    return this.#own.lookup4(address) ?? this.#others?.lookup4(address);
  }

  /** By the 16 octets of buf at `at`. */
  answered6(buf: Bytes, at: number): Answered | undefined {
    return this.#own.lookup6(buf, at) ?? this.#others?.lookup6(buf, at);
  }

  isAnswered(address: Address): boolean {
    return (this.#own.lookup(address) ?? this.#others?.lookup(address)) !== undefined;
  }

  /** Whether a host of an own network may have the address: RFC 1122 §3.2.1.3, not its broadcasts. */
  isOnLink4(address: number): boolean {
    const own = this.#networks.lookup4(address);
    if (own === undefined || own.length >= 31) return own !== undefined;
    return address !== ipv4Number(networkOf(own)) && address !== ipv4Number(lastOf(own));
  }

  isOnLink6(buf: Bytes, at: number): boolean {
    return this.#networks.lookup6(buf, at) !== undefined;
  }

  /** The own address to ask for a neighbour with: of his network or his scope, else the first of his family. */
  sourceFor(neighbour: Address): Address | undefined {
    const near = this.#networks.lookup(neighbour);
    if (near !== undefined) return near.address;
    const family = this.#addresses.filter(({ length }) => length === neighbour.length);
    if (neighbour.length === 4) return family[0];
    const local = ipv6IsLinkLocalAt(neighbour, 0);
    return family.find((own) => ipv6IsLinkLocalAt(own, 0) === local) ?? family[0];
  }

  /** What can be announced: own addresses, and the others that are one address each. */
  announced(): Address[] {
    const others = [...(this.#others ?? [])].filter(({ prefix }) => prefix.length === prefix.address.length * 8);
    const addresses = others.map(({ prefix }) => prefix.address);
    return [
      ...this.#addresses,
      ...addresses.filter((address) => !this.#addresses.some((own) => sameAddress(own, address))),
    ];
  }
}

const host = (address: Address): Prefix => ({ address, length: address.length * 8 });
