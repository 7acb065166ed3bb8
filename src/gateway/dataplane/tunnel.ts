/**
 * A tunnel in the data plane: an interface of one compartment on one side, ESP SAs on the other, and a bounded queue of packets
 * that wait for the first SA.
 *
 * Invariants: an SA belongs to one tunnel and so to one compartment; the newest active SA whose selectors admit a packet
 * carries it; a waiting packet is sent, refused or released, never kept.
 */
import type { Interface } from '../../compartment/index.ts';
import type { Millis, Random, Shares } from '../../core/index.ts';
import { type Engine, lazyProtection } from '../../crypto/index.ts';
import { InboundSa, innerMtu, OutboundSa, SA_CELLS } from '../../esp/index.ts';
import { compileSelectors, type Endpoint, type Packet } from '../../ip/index.ts';
import type { Cells } from './cells.ts';
import type { SaPair, SaPhase, TunnelParameters } from './contract.ts';
import type { PlaneTenant } from './tenant.ts';

/** Packets that wait for a tunnel to come up; more are dropped. */
export const WAITING_PACKETS = 64;
/** MTU of the way to the peer, until something is known of it. */
export const OUTER_MTU = 1500;
/** Inner MTU while no SA is up: fits every suite in UDP over IPv6. */
export const UNKNOWN_MTU = 1380;

export interface PlaneSa {
  readonly tunnel: PlaneTunnel;
  readonly inbound: InboundSa;
  readonly outbound: OutboundSa;
  /** What sends to the peer follows it to where its newest authentic packet came from. */
  readonly peerMoves: boolean;
  phase: SaPhase;
  /** Where control says that the peer is. */
  peerAt: Endpoint;
  /** When control was last told that the peer lives. */
  toldAt: Millis;
}

export class PlaneTunnel {
  readonly tenant: PlaneTenant;
  readonly parameters: TunnelParameters;
  /** Number of the interface in the tenant's compartment. */
  readonly interface: number;
  readonly into: Interface;
  /** By inbound SPI; the newest active one is last. */
  sas: Map<number, PlaneSa> = NO_SAS;
  readonly waiting: Packet[] = [];
  /** Whose share of the pool each takes. */
  readonly #holders: number[] = [];
  #outerMtu = Number.POSITIVE_INFINITY;
  #mtu: number;
  /** The same SAs, as an outbound packet asks them. */
  #newestFirst: readonly PlaneSa[] = [];

  constructor(tenant: PlaneTenant, parameters: TunnelParameters, interfaceNumber: number) {
    this.tenant = tenant;
    this.parameters = parameters;
    this.interface = interfaceNumber;
    this.into = tenant.compartment.interfaceAt(interfaceNumber);
    this.#mtu = parameters.mtu === 'auto' ? UNKNOWN_MTU : parameters.mtu;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** What the way to the peer carries; Infinity where nothing is known of it. */
  get outerMtu(): number {
    return this.#outerMtu;
  }

  set outerMtu(mtu: number) {
    this.#outerMtu = mtu;
    this.#measure();
  }

  install(pair: SaPair, phase: SaPhase, engine: Engine, random: Random, cells: Cells, now: Millis): PlaneSa {
    const { encryption, integrity, esn, lifetime, peerMoves = false } = pair;
    const selectors = compileSelectors(pair.local, pair.remote);
    const common = { tunnel: this.parameters.tunnel, esn, selectors, lifetime };
    const inbound = new InboundSa({
      ...common,
      spi: pair.spiIn,
      protection: lazyProtection(engine, encryption, integrity, pair.keysIn),
      replayWindow: pair.replayWindow,
      cells: cells.at(pair.cellsIn).subarray(0, SA_CELLS),
    });
    const outbound = new OutboundSa(
      {
        ...common,
        spi: pair.spiOut,
        protection: lazyProtection(engine, encryption, integrity, pair.keysOut),
        localEndpoint: carried(pair.localEndpoint, pair.udpEncapsulation),
        remoteEndpoint: carried(pair.remoteEndpoint, pair.udpEncapsulation),
        udpEncapsulation: pair.udpEncapsulation,
        df: this.parameters.df,
        copyDscp: true,
        cells: cells.at(pair.cellsOut).subarray(0, SA_CELLS),
      },
      random,
    );
    const { remoteEndpoint: peerAt } = outbound;
    const toldAt = phase === 'standby' ? NEVER : now;
    const sa: PlaneSa = { tunnel: this, inbound, outbound, peerMoves, phase, peerAt, toldAt };
    if (this.sas === NO_SAS) this.sas = new Map();
    this.sas.set(pair.spiIn, sa);
    this.#settle();
    return sa;
  }

  setPhase(sa: PlaneSa, phase: SaPhase): void {
    if (phase === 'active') {
      this.sas.delete(sa.inbound.spi);
      this.sas.set(sa.inbound.spi, sa);
    }
    sa.phase = phase;
    this.#settle();
  }

  move(sa: PlaneSa, local: Endpoint, remote: Endpoint, udp: boolean): void {
    sa.outbound.move(carried(local, udp), carried(remote, udp), udp);
    sa.peerAt = sa.outbound.remoteEndpoint;
    this.#measure();
  }

  /** RFC 7296 §2.23: the newest authentic packet came from there. What goes to the peer follows, before control has a say. */
  follow({ peerMoves, outbound }: PlaneSa, remote: Endpoint): void {
    if (peerMoves) outbound.move(outbound.localEndpoint, remote, outbound.udpEncapsulation);
  }

  /** Both directions end: neither seals nor opens another packet. */
  remove(sa: PlaneSa): void {
    this.sas.delete(sa.inbound.spi);
    sa.phase = 'draining';
    sa.inbound.protection.dispose?.();
    sa.outbound.protection.dispose?.();
    this.#settle();
  }

  /** The newest active SA that admits the packet. */
  outboundFor(packet: Packet): PlaneSa | undefined {
    const newestFirst = this.#newestFirst;
    for (let i = 0; i < newestFirst.length; i++) {
      const sa = newestFirst[i]!;
      if (sends(sa) && sa.outbound.admits(packet.buf, packet.start, packet.end)) return sa;
    }
    return undefined;
  }

  /** Whether anything could be sent at all. */
  get up(): boolean {
    return this.#newestFirst.some(sends);
  }

  /** Takes over a packet of `holder` until the tunnel is up; false: no room, the caller keeps it. */
  wait(packet: Packet, holder: number, room: Shares): boolean {
    if (this.waiting.length >= WAITING_PACKETS || !room.take(holder)) return false;
    this.waiting.push(packet);
    this.#holders.push(holder);
    return true;
  }

  /** Those that waited, for whoever has a use for them. */
  takeWaiting(room: Shares): Packet[] {
    for (const holder of this.#holders.splice(0)) room.give(holder);
    return this.waiting.splice(0);
  }

  /** After its SAs, or the phase of one, changed. */
  #settle(): void {
    this.#newestFirst = [...this.sas.values()].reverse();
    this.#measure();
  }

  /**
   * The MTU inside follows the newest active SA: its suite, its carrier, and the way to its peer. One that is configured stands
   * unless the way is known not to carry it and DF would keep routers from cutting it.
   */
  #measure(): void {
    const { mtu, df } = this.parameters;
    let newest: PlaneSa | undefined;
    for (const sa of this.sas.values()) if (sa.phase === 'active') newest = sa;
    if (newest === undefined) return;
    const { remoteEndpoint, protection, udpEncapsulation } = newest.outbound;
    const family = remoteEndpoint.address.length === 4 ? 4 : 6;
    const known = this.#outerMtu !== Number.POSITIVE_INFINITY;
    const outer = known ? this.#outerMtu : OUTER_MTU;
    const fits = Math.max(LEAST_MTU, innerMtu(outer, protection, udpEncapsulation ? 'udp' : 'ip-50', family));
    if (mtu === 'auto') this.#mtu = fits;
    else this.#mtu = known && df !== 'clear' ? Math.min(mtu, fits) : mtu;
    this.tenant.compartment.setMtu(this.interface, this.#mtu);
  }
}

/** Of every tunnel that has none yet; never written. */
const NO_SAS = new Map<number, PlaneSa>();

export const sends = (sa: PlaneSa): boolean => sa.phase === 'active' && !sa.outbound.usage.stopped;

/** Protocol 50 has no ports: its endpoints have port 0. */
const carried = ({ address, port }: Endpoint, udp: boolean): Endpoint => ({ address, port: udp ? port : 0 });

const NEVER = Number.NEGATIVE_INFINITY;
/** RFC 791 §3.1: what every IPv4 link carries. */
const LEAST_MTU = 68;
