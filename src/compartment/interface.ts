/**
 * One interface of a compartment: its configuration, its state and its counters. The packet path writes the counters.
 *
 * Read first: RFC 1812 §4.2.2.11 (addressing), RFC 791 §3.1 (every link carries 68 octets), RFC 8200 §5 (1280 for IPv6).
 * Leaves to others: what an interface is made of (a driver, a tunnel) and when it is up.
 */
import { invariant } from '../core/index.ts';
import { type Address, countWire, type Packet, type Prefix } from '../ip/index.ts';
import type { InterfaceConfig, InterfaceKind, InterfaceView } from './contract.ts';
import { INTERFACE_CELLS } from './counters.ts';

export const MIN_MTU_IPV4 = 68;
export const MAX_MTU = 65535;

export class Interface {
  readonly number: number;
  readonly name: string;
  readonly kind: InterfaceKind;
  /** Exactly one host or network at the other end: what came from there must not go back there (RFC 4443 §3.1). */
  readonly pointToPoint: boolean;
  readonly clampMss: boolean;
  readonly addresses: readonly Prefix[];
  up = true;
  readonly #cells: Float64Array;
  readonly #first: number;
  #mtu: number;

  constructor(
    number: number,
    config: InterfaceConfig,
    cells: Float64Array = new Float64Array(INTERFACE_CELLS),
    first = 0,
  ) {
    this.#cells = cells;
    this.#first = first;
    this.number = number;
    this.name = config.name;
    this.kind = config.kind;
    this.pointToPoint = config.kind === 'tun' || config.kind === 'connection';
    this.clampMss = config.clampMss ?? config.kind === 'connection';
    this.addresses = config.addresses;
    this.#mtu = checkedMtu(config.mtu);
  }

  /** A superframe counts as the packets it is on the wire, here and below: how many they are. */
  countReceived(packet: Packet): number {
    return countWire(packet, this.#cells, this.#first);
  }

  countSent(packet: Packet): number {
    return countWire(packet, this.#cells, this.#first + 2);
  }

  /** Reads what each packet needs, to be read before it is needed; of no meaning otherwise. */
  touch(): number {
    return this.#cells[this.#first]! + this.number + this.#mtu;
  }

  get mtu(): number {
    return this.#mtu;
  }

  set mtu(mtu: number) {
    this.#mtu = checkedMtu(mtu);
  }

  /** The first own address of a family: what errors and pings leaving here carry. */
  primary(octets: 4 | 16): Address | undefined {
    for (const prefix of this.addresses) if (prefix.address.length === octets) return prefix.address;
    return undefined;
  }

  view(): InterfaceView {
    const { number, name, kind, mtu, up, addresses } = this;
    const [rxPackets = 0, rxBytes = 0, txPackets = 0, txBytes = 0] = this.#cells.subarray(this.#first);
    return { number, name, kind, mtu, up, addresses, rxPackets, rxBytes, txPackets, txBytes };
  }
}

function checkedMtu(mtu: number): number {
  invariant(Number.isInteger(mtu) && mtu >= MIN_MTU_IPV4 && mtu <= MAX_MTU, 'an MTU is 68..65535 octets');
  return mtu;
}
