/**
 * The virtual network of one tenant at this node: what becomes of each frame of its ports and of its virtual subnets.
 *
 * Read first: RFC 7637 §3.1, §4.2, §4.3, §4.5, §4.6; RFC 1812 §5.2–5.3 for what the distributed router does.
 * In order: the frame is well formed and untagged; its source is who it says (`source-guard.ts`); ARP and neighbour discovery
 * are answered here (`neighbours.ts`); broadcasts are replicated (`replication.ts`); what is for the distributed router is
 * routed once, where it came from; everything else goes to the station that has its MAC address.
 * A frame from the fabric goes to ports only: nothing returns to the fabric but answers to ARP and neighbour discovery.
 * Leaves to others: ICMP errors, MTUs, cutting superframes, the outer headers.
 * Invariants: each frame given is handed on or released exactly once; nothing in here is of another tenant; passing frames
 * on allocates nothing, but for what is learned.
 */
import type { Millis } from '../core/index.ts';
import {
  answerEcho,
  DROP,
  findUpperLayer,
  hopLimit,
  ipVersion,
  isEchoRequest,
  newUpperLayer,
  PASS,
  type Packet,
  type PacketPool,
  setHopLimit,
} from '../ip/index.ts';
import type { ProviderAddress, SwitchLimits, SwitchSink } from './contract.ts';
import { CELL, dropCells, TENANT_DROPS } from './counters.ts';
import type { Width } from './customer-routes.ts';
import { encapsulate, flowIdFor } from './frame.ts';
import {
  checkFrame,
  destinationMacAt,
  ETHERNET_HEADER,
  isGroupMac,
  isSolicitedNode,
  sourceMacAt,
  writeMacs,
} from './inner.ts';
import type { LookupPolicy } from './lookup.ts';
import { ANSWERED, isNeighbourTraffic, resolve, TAKEN } from './neighbours.ts';
import { Replicator } from './replication.ts';
import { checkRoutable, isRouterMac, ROUTER_MAC } from './router.ts';
import { admitRouted, admitSource, hasMac, isAt } from './source-guard.ts';
import { NO_PORT, type Station, type Subnet } from './station.ts';

export interface NetworkOptions {
  readonly tenant: number;
  readonly name: string;
  readonly policy: LookupPolicy;
  readonly pool: PacketPool;
  readonly sink: SwitchSink;
  readonly limits: SwitchLimits;
  readonly cells: Float64Array;
  readonly first: number;
}

export class VirtualNetwork {
  readonly tenant: number;
  readonly name: string;
  readonly policy: LookupPolicy;
  /** Its counters, from `first` on. */
  readonly cells: Float64Array;
  readonly first: number;
  readonly #pool: PacketPool;
  readonly #sink: SwitchSink;
  readonly #replicator: Replicator;

  constructor(options: NetworkOptions) {
    this.tenant = options.tenant;
    this.name = options.name;
    this.policy = options.policy;
    this.cells = options.cells;
    this.first = options.first;
    this.#pool = options.pool;
    this.#sink = options.sink;
    this.#replicator = new Replicator(options.pool, options.sink, options.cells, options.first, options.limits);
  }

  /** One counter a DROP code, live. */
  get drops(): Float64Array {
    return dropCells(this.cells, this.first);
  }

  /** Reads what each frame from the fabric needs, to be read before it is needed; of no meaning otherwise. */
  touch(): number {
    return this.cells[this.first + CELL.fromFabric]! + this.policy.touch();
  }

  /** An Ethernet frame that a station with a port here has sent. */
  fromPort(from: Station, frame: Packet, now: Millis): void {
    this.cells[this.first + CELL.fromPorts]! += 1;
    const verdict = this.#fromPort(from, frame, now);
    if (verdict !== PASS) this.#drop(frame, verdict, from.port, now);
  }

  /** The Ethernet frame out of an NVGRE frame of that VSID, which came from `pa`. */
  fromFabric(subnet: Subnet, pa: ProviderAddress, frame: Packet, now: Millis): void {
    this.cells[this.first + CELL.fromFabric]! += 1;
    const verdict = this.#fromFabric(subnet, pa, frame, now);
    if (verdict !== PASS) this.#drop(frame, verdict, undefined, now);
  }

  #fromPort(from: Station, frame: Packet, now: Millis): number {
    const { buf, start, end } = frame;
    const verdict = checkFrame(buf, start, end);
    if (verdict !== PASS) return verdict;
    // A station that the policy has elsewhere has moved: what is left of it here speaks for it no more.
    if (!from.isHere || !hasMac(from, buf, sourceMacAt(start))) return DROP.spoofed;
    if (isNeighbourTraffic(frame)) return this.#settle(resolve(this.policy, from, frame, now), from, frame, now);
    const width = widthOf(frame);
    const admitted = admitSource(this.policy, from, buf, sourceAt(start, width), width, now);
    if (admitted !== PASS) return admitted;
    if (isGroupMac(buf, destinationMacAt(start))) return this.#flood(from.subnet, from, frame, width, now);
    if (from.subnet.routed && isRouterMac(buf, destinationMacAt(start))) return this.#route(from, frame, width, now);
    const to = this.policy.station(from.subnet.vsid, buf, destinationMacAt(start));
    if (to === undefined) return DROP.noRecord;
    return to === from ? DROP.bounce : this.#deliver(to, frame, now);
  }

  #fromFabric(subnet: Subnet, pa: ProviderAddress, frame: Packet, now: Millis): number {
    const { buf, start, end } = frame;
    const verdict = checkFrame(buf, start, end);
    if (verdict !== PASS) return verdict;
    const from = this.policy.station(subnet.vsid, buf, sourceMacAt(start));
    const isThere = from !== undefined && isAt(from, pa);
    if (isNeighbourTraffic(frame)) {
      return isThere ? this.#settle(resolve(this.policy, from, frame, now), from, frame, now) : DROP.spoofed;
    }
    const width = widthOf(frame);
    const at = sourceAt(start, width);
    if (!isThere || admitSource(this.policy, from, buf, at, width, now) !== PASS) {
      const admitted = admitRouted(this.policy, pa, buf, start, at, width);
      if (admitted !== PASS) return admitted;
    }
    if (isGroupMac(buf, destinationMacAt(start))) return this.#flood(subnet, undefined, frame, width, now);
    const to = this.policy.station(subnet.vsid, buf, destinationMacAt(start));
    return to === undefined || to.remote !== undefined ? DROP.noRecord : this.#deliver(to, frame, now);
  }

  /** Where solicitations go nothing else may: only what was understood as one is answered. */
  #flood(subnet: Subnet, from: Station | undefined, frame: Packet, width: Width, now: Millis): number {
    if (width === 16 && isSolicitedNode(frame.buf, destinationAt(frame.start, width))) return DROP.neighbourMessage;
    return this.#replicator.flood(subnet, from, frame, now);
  }

  #route(from: Station, frame: Packet, width: Width, now: Millis): number {
    const { buf, start, end } = frame;
    const ip = start + ETHERNET_HEADER;
    const verdict = checkRoutable(buf, ip, end);
    if (verdict !== PASS) return verdict;
    const at = destinationAt(start, width);
    const next = this.policy.nextHop(from.subnet, buf, at, width);
    if (next === undefined) {
      return this.policy.isRouter(buf, at, width) ? this.#answerAsRouter(from, frame, now) : DROP.noRecord;
    }
    if (next === from) return DROP.bounce;
    const hops = hopLimit(buf, ip);
    if (hops <= 1) return DROP.hopLimit;
    setHopLimit(buf, ip, hops - 1);
    writeMacs(buf, start, next.mac, ROUTER_MAC);
    this.cells[this.first + CELL.routed]! += 1;
    return this.#deliver(next, frame, now);
  }

  #answerAsRouter(from: Station, frame: Packet, now: Millis): number {
    const { buf, start, end } = frame;
    const ip = start + ETHERNET_HEADER;
    const upper = UPPER;
    const verdict = findUpperLayer(buf, ip, end, upper);
    if (verdict !== PASS) return verdict;
    const isWhole = upper.fragmentOffset === 0 && !upper.moreFragments;
    if (!isWhole || !isEchoRequest(buf, upper.at, upper.end, ipVersion(buf, ip))) return DROP.protocolUnreachable;
    answerEcho(buf, ip, upper.at);
    writeMacs(buf, start, from.mac, ROUTER_MAC);
    frame.segment = 0;
    this.cells[this.first + CELL.echoReplies]! += 1;
    return this.#deliver(from, frame, now);
  }

  #settle(outcome: number, from: Station, frame: Packet, now: Millis): number {
    if (outcome === TAKEN) {
      this.#pool.release(frame);
      return PASS;
    }
    if (outcome !== ANSWERED) return outcome;
    frame.segment = 0;
    this.cells[this.first + CELL.neighboursAnswered]! += 1;
    return this.#deliver(from, frame, now);
  }

  /** Hands the frame to where the station is, in the station's virtual subnet. */
  #deliver(to: Station, frame: Packet, now: Millis): number {
    if (to.remote === undefined) {
      if (to.port === NO_PORT) return DROP.linkDown;
      this.cells[this.first + CELL.toPorts]! += 1;
      this.#sink.toPort(to.port, frame, now);
      return PASS;
    }
    const { vsid } = to.subnet;
    const verdict = encapsulate(frame, vsid, flowIdFor(frame.buf, frame.start, frame.end));
    if (verdict !== PASS) return verdict;
    this.cells[this.first + CELL.toFabric]! += 1;
    this.#sink.toFabric(to.remote, vsid, frame, now);
    return PASS;
  }

  #drop(frame: Packet, reason: number, port: number | undefined, now: Millis): void {
    this.cells[this.first + TENANT_DROPS + reason]! += 1;
    this.#sink.dropped?.(frame, reason, this.tenant, port, now);
    this.#pool.release(frame);
  }
}

/** Of one call only. */
const UPPER = newUpperLayer();

/** Of a frame with IP, which `checkFrame` passed. */
const widthOf = ({ buf, start }: Packet): Width => (ipVersion(buf, start + ETHERNET_HEADER) === 4 ? 4 : 16);
const sourceAt = (start: number, width: Width): number => start + ETHERNET_HEADER + (width === 4 ? 12 : 8);
const destinationAt = (start: number, width: Width): number => start + ETHERNET_HEADER + (width === 4 ? 16 : 24);
