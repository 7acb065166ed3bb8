/**
 * A tunnel: one connection seen from the data path. It is an interface of its tenant's compartment on one side and a set of
 * ESP SAs on the other, with a bounded queue of packets that wait for the first SA.
 *
 * Invariants: an SA belongs to one tunnel and so to one compartment; the newest active SA whose selectors admit a packet
 * carries it; a waiting packet is sent, refused or released, never kept.
 */
import type { ConnectionConfig } from '../config/index.ts';
import type { Millis, Random } from '../core/index.ts';
import { type Engine, lazyProtection } from '../crypto/index.ts';
import { InboundSa, innerMtu, type Lifetime, OutboundSa, type Sad } from '../esp/index.ts';
import type { ChildSa, IkeConnection } from '../ike/index.ts';
import { compileSelectors, type Packet } from '../ip/index.ts';
import type { Tenant } from './tenant.ts';

/** Packets that wait for a tunnel to come up; more are dropped. */
export const WAITING_PACKETS = 64;
/** MTU of the way to the peer, until path MTU discovery knows better. */
export const OUTER_MTU = 1500;
/** Inner MTU while no SA is up: fits every suite in UDP over IPv6. */
export const UNKNOWN_MTU = 1380;

export interface TunnelSa {
  readonly child: ChildSa;
  readonly inbound: InboundSa;
  readonly outbound: OutboundSa;
  phase: 'standby' | 'active' | 'draining';
  readonly installedAt: Millis;
  /** When IKE was last told that the peer lives. */
  toldAt: Millis;
}

export class Tunnel {
  readonly tenant: Tenant;
  readonly config: ConnectionConfig;
  readonly ike: IkeConnection;
  /** Index in the gateway's table: what an SA names. */
  readonly index: number;
  /** Number of the interface in the tenant's compartment. */
  readonly interface: number;
  /** By inbound SPI; the newest active one is last. */
  readonly sas = new Map<number, TunnelSa>();
  readonly waiting: Packet[] = [];
  #mtu = UNKNOWN_MTU;

  constructor(tenant: Tenant, config: ConnectionConfig, ike: IkeConnection, index: number, interfaceNumber: number) {
    this.tenant = tenant;
    this.config = config;
    this.ike = ike;
    this.index = index;
    this.interface = interfaceNumber;
    if (config.mtu !== 'auto') this.#mtu = config.mtu;
  }

  /** `fabrikam/hq`, as IKE names it. */
  get name(): string {
    return this.ike.name;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** Installs both directions. */
  install(
    child: ChildSa,
    outbound: 'active' | 'standby',
    sad: Sad,
    engine: Engine,
    random: Random,
    now: Millis,
  ): TunnelSa {
    const { encryption, integrity, esn } = child.suite;
    const lifetime = this.#lifetime(random);
    const selectors = compileSelectors(child.local, child.remote);
    const common = { tunnel: this.index, esn, selectors, lifetime };
    const protect = (keys: ChildSa['keysIn']) =>
      lazyProtection(engine, encryption, integrity, {
        encryption: keys.encryption.reveal(),
        integrity: keys.integrity.reveal(),
      });
    const inbound = new InboundSa({
      ...common,
      spi: child.spiIn,
      protection: protect(child.keysIn),
      replayWindow: this.config.child.replayWindow,
    });
    const out = new OutboundSa(
      {
        ...common,
        spi: child.spiOut,
        protection: protect(child.keysOut),
        localEndpoint: child.localEndpoint,
        remoteEndpoint: child.remoteEndpoint,
        udpEncapsulation: child.udpEncapsulation,
        df: this.config.df,
        copyDscp: true,
      },
      random,
    );
    const sa: TunnelSa = { child, inbound, outbound: out, phase: outbound, installedAt: now, toldAt: now };
    this.sas.set(child.spiIn, sa);
    sad.add(inbound);
    this.#measure();
    return sa;
  }

  activate(spiIn: number): void {
    const sa = this.sas.get(spiIn);
    if (sa === undefined) return;
    this.sas.delete(spiIn);
    sa.phase = 'active';
    this.sas.set(spiIn, sa);
    this.#measure();
  }

  /** Both directions end: neither seals nor opens another packet. */
  remove(spiIn: number, sad: Sad): TunnelSa | undefined {
    const sa = this.sas.get(spiIn);
    this.sas.delete(spiIn);
    sad.remove(spiIn);
    if (sa !== undefined) sa.phase = 'draining';
    sa?.inbound.protection.dispose?.();
    sa?.outbound.protection.dispose?.();
    this.#measure();
    return sa;
  }

  /** The newest active SA that admits the packet. */
  outboundFor(packet: Packet): TunnelSa | undefined {
    let found: TunnelSa | undefined;
    for (const sa of this.sas.values()) {
      if (
        sa.phase === 'active' &&
        !sa.outbound.usage.stopped &&
        sa.outbound.admits(packet.buf, packet.start, packet.end)
      )
        found = sa;
    }
    return found;
  }

  /** Whether anything could be sent at all. */
  get up(): boolean {
    for (const sa of this.sas.values()) if (sa.phase === 'active' && !sa.outbound.usage.stopped) return true;
    return false;
  }

  /** Takes over `packet` until the tunnel is up; false: no room, the caller keeps it. */
  wait(packet: Packet): boolean {
    if (this.waiting.length >= WAITING_PACKETS) return false;
    this.waiting.push(packet);
    return true;
  }

  /** When ESP last passed in either direction. */
  get usedAt(): Millis | undefined {
    let last: Millis | undefined;
    for (const { inbound, outbound } of this.sas.values()) {
      for (const at of [inbound.usage.lastUsedAt, outbound.usage.lastUsedAt]) {
        if (at !== undefined && (last === undefined || at > last)) last = at;
      }
    }
    return last;
  }

  #measure(): void {
    if (this.config.mtu !== 'auto') return;
    const sa = [...this.sas.values()].filter((s) => s.phase === 'active').at(-1);
    if (sa === undefined) return;
    const family = sa.outbound.remoteEndpoint.address.length === 4 ? 4 : 6;
    this.#mtu = innerMtu(OUTER_MTU, sa.outbound.protection, sa.outbound.udpEncapsulation ? 'udp' : 'ip-50', family);
  }

  /** Soft limits lie 5–10 % below hard ones, at random, so that both ends seldom rekey at once (RFC 7296 §2.8). */
  #lifetime(random: Random): Lifetime {
    const { lifetimeBytes, lifetimePackets } = this.config.child;
    const soft = 0.9 + (0.05 * random(1)[0]!) / 256;
    return {
      hardBytes: lifetimeBytes,
      softBytes: lifetimeBytes * soft,
      hardPackets: lifetimePackets,
      softPackets: lifetimePackets * soft,
    };
  }
}
