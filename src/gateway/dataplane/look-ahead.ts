/**
 * What the frames of a batch out of the underlay will need, read before it is needed: first of the tenants of the batch, all at once,
 * then of their sessions (`nat/look-ahead.ts`), so that memory is waited for many at a time and not for each packet by itself.
 *
 * Read first: docs/decisions/0014-a-packet-of-another-tenant.md. A hint: nothing is decided, changed or counted, and a frame that this takes
 * for another one costs time only. Most of what comes from virtual networks goes out by the NAT of its tenant; whatever else it is,
 * little of it is read in vain.
 * Each loop is short: the processor is at the next tenant long before memory has answered about this one.
 */
import type { Interface } from '../../compartment/index.ts';
import { ETHER_TYPE, ETHERNET_HEADER, etherType, IPV4_HEADER, type Packet } from '../../ip/index.ts';
import { isLarge, type Nat, LookAhead as SessionLookAhead } from '../../nat/index.ts';
import { NVGRE_HEADER, type VirtualNetwork, type VirtualSwitch, vsidOf } from '../../nvgre/index.ts';
import type { PortTaker } from './fabric.ts';
import type { PlaneLink } from './link.ts';
import { PlaneSegment } from './segment.ts';

export class LookAhead {
  readonly #switch: VirtualSwitch;
  readonly #takers: ReadonlyMap<number, PortTaker>;
  readonly #sessions: SessionLookAhead;
  /** Of each virtual subnet of the batch its number, its first frame and what stands behind its door. */
  readonly #vsids: Int32Array;
  readonly #frames: Packet[] = [];
  readonly #networks: (VirtualNetwork | undefined)[] = [];
  readonly #segments: (PlaneSegment | undefined)[] = [];
  readonly #links: (PlaneLink | undefined)[] = [];
  readonly #nats: (Nat | undefined)[] = [];
  #count = 0;
  /** By the last bits of a VSID, which of these it may be. */
  readonly #places = new Uint16Array(PLACES);
  /** Which of these each frame is of; NONE: of none. */
  readonly #placeOf: Uint16Array;
  /** Of no meaning but that it is read. */
  touched = 0;

  /** For so many frames at most. */
  constructor(most: number, virtualSwitch: VirtualSwitch, takers: ReadonlyMap<number, PortTaker>) {
    this.#switch = virtualSwitch;
    this.#takers = takers;
    this.#sessions = new SessionLookAhead(most);
    this.#vsids = new Int32Array(most);
    this.#placeOf = new Uint16Array(most);
  }

  /** GRE header first; nothing of the frames is checked. */
  run(frames: readonly Packet[], count: number): void {
    this.#findPlaces(frames, count);
    const cold = this.#switch.tenants >= TENANTS_WORTH_IT;
    if (cold) this.#touchSwitch();
    this.#findNats();
    if (cold) {
      this.#touchCompartments();
      this.#touchOutside();
    }
    if (cold || this.#hasLargeNat()) this.#lookUpSessions(frames, count, cold);
    this.#forget();
  }

  #findPlaces(frames: readonly Packet[], count: number): void {
    let vsid = -1;
    let place = NONE;
    for (let i = 0; i < count; i++) {
      const { buf, start } = frames[i]!;
      if (vsidOf(buf, start) !== vsid || place === NONE) {
        vsid = vsidOf(buf, start);
        place = this.#place(frames[i]!);
      }
      this.#placeOf[i] = place;
    }
  }

  #place(frame: Packet): number {
    const { buf, start, end } = frame;
    if (end - start < HEADERS + IPV4_HEADER || etherType(buf, start + NVGRE_HEADER) !== ETHER_TYPE.ipv4) return NONE;
    const vsid = vsidOf(buf, start);
    const known = this.#places[vsid & (PLACES - 1)]!;
    if (known < this.#count && this.#vsids[known] === vsid) return known;
    const network = this.#switch.networkOf(vsid);
    if (network === undefined) return NONE;
    const place = this.#count;
    this.#places[vsid & (PLACES - 1)] = place;
    this.#vsids[place] = vsid;
    this.#networks[place] = network;
    this.#frames[place] = frame;
    this.#count += 1;
    return place;
  }

  #hasLargeNat(): boolean {
    for (let i = 0; i < this.#count; i++) if (this.#nats[i] !== undefined && isLarge(this.#nats[i]!)) return true;
    return false;
  }

  /** Of a tenant that has few, those of its first frame. */
  #lookUpSessions(frames: readonly Packet[], count: number, cold: boolean): void {
    for (let i = 0; i < count; i++) {
      const frame = frames[i]!;
      const place = this.#placeOf[i]!;
      const nat = place === NONE ? undefined : this.#nats[place];
      if (nat === undefined) continue;
      this.#sessions.outbound(nat, frame, frame.start + HEADERS, cold && frame === this.#frames[place]);
    }
    this.#sessions.finish();
  }

  /** Whom a frame is from and for, and who has its source. */
  #touchSwitch(): void {
    const count = this.#count;
    const vsids = this.#vsids;
    let touched = 0;
    for (let i = 0; i < count; i++) touched += this.#networks[i]!.touch();
    for (let i = 0; i < count; i++) {
      const { buf, start } = this.#frames[i]!;
      const from = this.#networks[i]!.policy.station(vsids[i]!, buf, start + NVGRE_HEADER + 6);
      if (from !== undefined) touched += from.low + from.port + from.subnet.vsid;
    }
    for (let i = 0; i < count; i++) {
      const { buf, start } = this.#frames[i]!;
      const binding = this.#networks[i]!.policy.binding(vsids[i]!, buf, start + HEADERS + 12, 4);
      if (binding !== undefined) touched += binding.origin + binding.seen;
    }
    this.touched = touched;
  }

  #findNats(): void {
    const count = this.#count;
    for (let i = 0; i < count; i++) {
      const { buf, start } = this.#frames[i]!;
      const to = this.#networks[i]!.policy.station(this.#vsids[i]!, buf, start + NVGRE_HEADER);
      const taker = to === undefined ? undefined : this.#takers.get(to.port);
      this.#segments[i] = taker instanceof PlaneSegment ? taker : undefined;
    }
    for (let i = 0; i < count; i++) this.#links[i] = this.#segments[i]?.tenant.outside;
    for (let i = 0; i < count; i++) this.#nats[i] = this.#links[i]?.natInUse;
  }

  /** Where packets from the source and to the destination go. */
  #touchCompartments(): void {
    const count = this.#count;
    const segments = this.#segments;
    let touched = 0;
    for (let i = 0; i < count; i++) touched += segments[i]?.touch() ?? 0;
    for (let i = 0; i < count; i++) touched += segments[i]?.tenant.compartment.touch() ?? 0;
    for (let i = 0; i < count; i++) {
      const { view, start } = this.#frames[i]!;
      const out = segments[i]?.tenant.compartment.touchWay(view.getInt32(start + HEADERS + 16));
      if (out !== undefined) touched += out.touch() + segments[i]!.tenant.touchWay(out);
    }
    for (let i = 0; i < count; i++) {
      const { view, start } = this.#frames[i]!;
      touched += touchOf(segments[i]?.tenant.compartment.touchWay(view.getInt32(start + HEADERS + 12)));
    }
    this.touched = touched;
  }

  /** The NAT, and where compartment 1 has its external address. */
  #touchOutside(): void {
    const count = this.#count;
    let touched = 0;
    for (let i = 0; i < count; i++) touched += this.#nats[i]?.touch() ?? 0;
    for (let i = 0; i < count; i++) touched += this.#links[i]?.outside?.into.touch() ?? 0;
    for (let i = 0; i < count; i++) {
      const external = this.#nats[i]?.external;
      if (external === undefined) continue;
      touched += touchOf(this.#links[i]!.outside?.tenant.compartment.touchWay(external | 0));
    }
    this.touched = touched;
  }

  /** Nothing of a tenant is kept, who may be gone with the next batch. */
  #forget(): void {
    this.#networks.fill(undefined, 0, this.#count);
    this.#segments.fill(undefined, 0, this.#count);
    this.#links.fill(undefined, 0, this.#count);
    this.#nats.fill(undefined, 0, this.#count);
    this.#count = 0;
  }
}

const touchOf = (into: Interface | undefined): number => into?.number ?? 0;

/** What fewer tenants have is in the second cache. */
const TENANTS_WORTH_IT = 64;
/** A power of two, and more than there are frames. */
const PLACES = 256;
const NONE = 0xffff;
/** In front of the inner packet. */
const HEADERS = NVGRE_HEADER + ETHERNET_HEADER;
