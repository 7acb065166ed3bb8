/**
 * The NAPT of one tenant behind one external IPv4 address: what becomes of a packet, out and in.
 *
 * Read first: RFC 4787 (UDP), RFC 5382 (TCP), RFC 5508 (ICMP), RFC 7857 (what they update), RFC 3022 §4.
 * A packet given here has passed `checkIp`; of its transport header nothing is known. It is translated in place and stays
 * the caller's. PASS, or the DROP code, which is counted here. natNoPort and natLimit are resource constraints: the sender
 * may be told that it is prohibited (RFC 5508 REQ-8). TTL, MTU and the answer to a ping are the router's.
 * Hairpinning (RFC 4787 REQ-9) is the caller's route: what `outbound` sends to the external address goes into `inbound`.
 * Deliberate limits: IPv4; TCP, UDP, ICMP echo and timestamp, ICMP errors; no ALGs. A TCP session begins with a SYN. A SYN
 * from outside that the filter refuses is dropped in silence (RFC 5382 REQ-4a).
 * A session ends when `expire` finds that its time is over, up to a second and a round of the table later.
 */
import { type Deadline, type Millis, u32 } from '../core/index.ts';
import {
  DROP,
  type DropReason,
  dropsByName,
  ICMP_HEADER,
  IP_PROTOCOL,
  PASS,
  type Packet,
  TCP_HEADER,
  UDP_HEADER,
} from '../ip/index.ts';
import type { NatCounters, NatOptions, NatSessionFilter, NatSessionView } from './contract.ts';
import { NAT_CELL, NAT_DROPS, natCells, natDrops, readNatCounters } from './counters.ts';
import { type FragmentKey, FragmentTable, newFragmentKey, readFragmentKey, WaitingFragments } from './fragments.ts';
import { NatState } from './nat-state.ts';
import { isError, isQuery, isRequest, newQuote, readQuote, rewriteQuote } from './quoted.ts';
import { isOpening } from './tcp-state.ts';
import {
  DESTINATION,
  rewriteAddress,
  rewriteEndpoint,
  rewriteIdentification,
  rewriteQuery,
  SOURCE,
} from './translate.ts';

export class Nat {
  readonly external: number;
  /** For `explain.ts`: what there is, to be looked at. */
  readonly state: NatState;
  readonly #cells: Float64Array;
  readonly #first: number;
  #fragments: FragmentTable;
  /** While fragments wait. */
  #waiting: WaitingFragments | undefined;
  /** Of the next fragmented packet that leaves. */
  #identification: number;

  constructor(options: NatOptions) {
    this.external = options.external;
    this.#cells = natCells(options.cells, options.first);
    this.#first = options.first ?? 0;
    this.state = new NatState(options, this.#cells);
    this.#identification = u32(options.random(4), 0) & 0xffff;
    this.#fragments = new FragmentTable(options.limits.fragments, this.state.keys, this.#cells, this.#first);
  }

  /** Reads what each packet needs, to be read before it is needed; of no meaning otherwise. */
  touch(): number {
    return this.#cells[this.#first + NAT_CELL.packetsOut]! + this.state.touch();
  }

  /** From the tenant: source address and port become the external ones. */
  outbound(packet: Packet, now: Millis): number {
    return this.#count(isFragment(packet) ? this.#fragmentOut(packet, now) : this.#wholeOut(packet, now));
  }

  /** From outside, or out and back again: destination address and port become the inner ones. */
  inbound(packet: Packet, now: Millis): number {
    return this.#count(isFragment(packet) ? this.#fragmentIn(packet, now) : this.#wholeIn(packet, now));
  }

  /**
   * Fragments that came before the first of their packet were dropped as `DROP.fragment`, and copies of them wait. When
   * `outbound` has passed a fragment, ask until false: each time `into`, an empty packet of a pool, is the next one that may
   * follow it, translated.
   */
  followOutbound(into: Packet, now: Millis): boolean {
    return this.#follow(true, into, now);
  }

  /** The same behind `inbound`. */
  followInbound(into: Packet, now: Millis): boolean {
    return this.#follow(false, into, now);
  }

  /** Sessions stay, except those that the rules say otherwise about. New timeouts hold from the next packet on. */
  reconfigure(options: Pick<NatOptions, 'rules' | 'filtering' | 'timeouts' | 'limits'>): void {
    const { fragments } = this.state.limits;
    this.state.reconfigure(options);
    if (fragments !== options.limits.fragments) {
      this.#fragments = new FragmentTable(options.limits.fragments, this.state.keys, this.#cells, this.#first);
    }
    this.#waiting?.limitTo(options.limits.waiting);
  }

  /** Ends sessions whose time is over: a bounded number of rows a call, the next ones at `deadline`. */
  expire(now: Millis): void {
    this.#waiting?.expire(now);
    this.state.expire(now);
  }

  deadline(): Deadline | undefined {
    const sessions = this.state.sweepAt;
    const waiting = this.#waiting?.expires;
    if (waiting !== undefined && waiting < (sessions ?? Number.POSITIVE_INFINITY)) {
      return { at: waiting, why: 'a fragment has waited for the first of its packet' };
    }
    return sessions === undefined ? undefined : { at: sessions, why: 'NAT sessions time out' };
  }

  /** Ends the sessions that the filter names, or all: how many. */
  flush(filter: NatSessionFilter = {}): number {
    return this.state.flush(filter);
  }

  /** For people; the seconds left are those at the last packet or `expire`. */
  sessions(filter: NatSessionFilter = {}): IterableIterator<NatSessionView> {
    return this.state.views(filter);
  }

  get counters(): NatCounters {
    return readNatCounters(this.#cells, this.#first);
  }

  /** Packets dropped, by reason. */
  get drops(): Partial<Record<DropReason, number>> {
    return dropsByName(natDrops(this.#cells, this.#first));
  }

  /** Octets of memory in tables. */
  get octets(): number {
    return this.state.octets + this.#fragments.octets;
  }

  #count(verdict: number): number {
    if (verdict !== PASS) this.#cells[this.#first + NAT_DROPS + verdict]! += 1;
    return verdict;
  }

  /** A whole packet, or the first fragment of one. */
  #wholeOut(packet: Packet, now: Millis): number {
    const { view, start } = packet;
    const version = view.getUint8(start);
    if (version >>> 4 !== 4) return DROP.natProtocol;
    const at = start + ((version & 0x0f) << 2);
    const length = view.getUint16(start + 2);
    const protocol = view.getUint8(start + 9);
    let opens = true;
    let flags = 0;
    if (protocol === IP_PROTOCOL.tcp) {
      if (start + length - at < TCP_HEADER) return DROP.short;
      flags = view.getUint8(at + 13);
      opens = isOpening(flags);
    } else if (protocol !== IP_PROTOCOL.udp) {
      return protocol === IP_PROTOCOL.icmp ? this.#icmpOut(packet, at, start + length, now) : DROP.natProtocol;
    } else if (start + length - at < UDP_HEADER) return DROP.short;
    const inner = view.getInt32(start + SOURCE);
    const remote = view.getInt32(start + DESTINATION);
    const row = this.state.outbound(protocol, inner, view.getUint16(at), remote, view.getUint16(at + 2), opens, now);
    if (row < 0) return -row;
    this.state.noteOut(row, flags, length, now);
    rewriteEndpoint(packet, at, protocol, SOURCE, this.external | 0, this.state.externalPort(row));
    return PASS;
  }

  #wholeIn(packet: Packet, now: Millis): number {
    const { view, start } = packet;
    const version = view.getUint8(start);
    if (version >>> 4 !== 4) return DROP.natProtocol;
    const at = start + ((version & 0x0f) << 2);
    const length = view.getUint16(start + 2);
    const protocol = view.getUint8(start + 9);
    if (view.getUint32(start + DESTINATION) !== this.external) return DROP.natNoSession;
    let opens = true;
    let flags = 0;
    if (protocol === IP_PROTOCOL.tcp) {
      if (start + length - at < TCP_HEADER) return DROP.short;
      flags = view.getUint8(at + 13);
      opens = isOpening(flags);
    } else if (protocol !== IP_PROTOCOL.udp) {
      return protocol === IP_PROTOCOL.icmp ? this.#icmpIn(packet, at, start + length, now) : DROP.natProtocol;
    } else if (start + length - at < UDP_HEADER) return DROP.short;
    const remote = view.getInt32(start + SOURCE);
    const row = this.state.inbound(protocol, view.getUint16(at + 2), remote, view.getUint16(at), opens, now);
    if (row < 0) return -row;
    this.state.noteIn(row, flags, length, now);
    rewriteEndpoint(packet, at, protocol, DESTINATION, this.state.innerAddress(row), this.state.innerPort(row));
    return PASS;
  }

  #icmpOut(packet: Packet, at: number, end: number, now: Millis): number {
    if (end - at < ICMP_HEADER) return DROP.short;
    const { view, start } = packet;
    const type = view.getUint8(at);
    if (isError(type)) return this.#errorOut(packet, at, end);
    if (!isQuery(type)) return DROP.natProtocol;
    const inner = view.getInt32(start + SOURCE);
    const remote = view.getInt32(start + DESTINATION);
    const identifier = view.getUint16(at + 4);
    const row = this.state.outbound(IP_PROTOCOL.icmp, inner, identifier, remote, 0, isRequest(type), now);
    if (row < 0) return -row;
    this.state.noteOut(row, 0, end - start, now);
    rewriteQuery(packet, at, SOURCE, this.external | 0, this.state.externalPort(row));
    return PASS;
  }

  #icmpIn(packet: Packet, at: number, end: number, now: Millis): number {
    if (end - at < ICMP_HEADER) return DROP.short;
    const { view, start } = packet;
    const type = view.getUint8(at);
    if (isError(type)) return this.#errorIn(packet, at, end);
    if (!isQuery(type)) return DROP.natProtocol;
    const remote = view.getInt32(start + SOURCE);
    const row = this.state.inbound(IP_PROTOCOL.icmp, view.getUint16(at + 4), remote, 0, isRequest(type), now);
    if (row < 0) return -row;
    this.state.noteIn(row, 0, end - start, now);
    rewriteQuery(packet, at, DESTINATION, this.state.innerAddress(row), this.state.innerPort(row));
    return PASS;
  }

  /** RFC 5508 REQ-5: about a packet that came in; whoever inside sends the error has the external address outside. */
  #errorOut(packet: Packet, at: number, end: number): number {
    if (isFragment(packet)) return DROP.fragment;
    const quote = QUOTE;
    const verdict = readQuote(packet, at, end, quote);
    if (verdict !== PASS) return verdict;
    const { protocol, source, destination } = quote;
    const remotePort = protocol === IP_PROTOCOL.icmp ? 0 : quote.sourcePort;
    const row = this.state.findOutbound(protocol, destination, quote.destinationPort, source, remotePort);
    if (row < 0 || packet.view.getInt32(packet.start + DESTINATION) !== source) return DROP.natNoSession;
    rewriteQuote(packet, at, quote, DESTINATION, this.external | 0, this.state.externalPort(row));
    rewriteAddress(packet, SOURCE, this.external | 0);
    this.#cells[this.#first + NAT_CELL.icmpErrors]! += 1;
    return PASS;
  }

  /** RFC 5508 REQ-4: about a packet that went out, from whatever router on its way (RFC 4787 REQ-12a). */
  #errorIn(packet: Packet, at: number, end: number): number {
    if (isFragment(packet)) return DROP.fragment;
    const quote = QUOTE;
    const verdict = readQuote(packet, at, end, quote);
    if (verdict !== PASS) return verdict;
    const { protocol, source, destination } = quote;
    const remotePort = protocol === IP_PROTOCOL.icmp ? 0 : quote.destinationPort;
    const row = this.state.findInbound(protocol, quote.sourcePort, destination, remotePort);
    if (row < 0 || source !== (this.external | 0)) return DROP.natNoSession;
    const inner = this.state.innerAddress(row);
    rewriteQuote(packet, at, quote, SOURCE, inner, this.state.innerPort(row));
    rewriteAddress(packet, DESTINATION, inner);
    this.#cells[this.#first + NAT_CELL.icmpErrors]! += 1;
    return PASS;
  }

  /** Fragmented packets of all hosts have one sender outside, and get identifications of its own (RFC 7857 §10). */
  #fragmentOut(packet: Packet, now: Millis): number {
    const key = KEY;
    readFragmentKey(packet, true, key);
    const place = this.#fragments.find(key, now);
    if (isFirst(packet)) {
      const verdict = this.#wholeOut(packet, now);
      if (verdict !== PASS) return verdict;
      const identification = place < 0 ? this.#nextIdentification() : this.#fragments.value(place);
      rewriteIdentification(packet, identification);
      this.#fragments.add(key, identification, now);
      this.#waiting?.release(key);
      return PASS;
    }
    if (place < 0) return this.#wait(packet, now);
    rewriteIdentification(packet, this.#fragments.value(place));
    rewriteAddress(packet, SOURCE, this.external | 0);
    this.#cells[this.#first + NAT_CELL.fragments]! += 1;
    return PASS;
  }

  #fragmentIn(packet: Packet, now: Millis): number {
    const key = KEY;
    readFragmentKey(packet, false, key);
    if (isFirst(packet)) {
      const verdict = this.#wholeIn(packet, now);
      if (verdict !== PASS) return verdict;
      this.#fragments.add(key, packet.view.getInt32(packet.start + DESTINATION), now);
      this.#waiting?.release(key);
      return PASS;
    }
    if (key.destination !== (this.external | 0)) return DROP.natNoSession;
    const place = this.#fragments.find(key, now);
    if (place < 0) return this.#wait(packet, now);
    rewriteAddress(packet, DESTINATION, this.#fragments.value(place));
    this.#cells[this.#first + NAT_CELL.fragments]! += 1;
    return PASS;
  }

  #wait(packet: Packet, now: Millis): number {
    this.#waiting ??= new WaitingFragments(this.state.limits.waiting, this.#cells, this.#first);
    this.#waiting.add(KEY, packet, now);
    return DROP.fragment;
  }

  #follow(outbound: boolean, into: Packet, now: Millis): boolean {
    while (this.#waiting !== undefined && this.#waiting.size > 0) {
      const octets = this.#waiting.take(outbound);
      if (octets === undefined) return false;
      if (octets.length > into.buf.length - into.start) {
        this.#cells[this.#first + NAT_CELL.waitingLost]! += 1;
        continue;
      }
      into.buf.set(octets, into.start);
      into.end = into.start + octets.length;
      // The first fragment may have been driven out again meanwhile.
      if ((outbound ? this.#fragmentOut(into, now) : this.#fragmentIn(into, now)) !== PASS) return false;
      this.#cells[this.#first + NAT_CELL.waitingFollowed]! += 1;
      return true;
    }
    return false;
  }

  #nextIdentification(): number {
    this.#identification = (this.#identification + 1) & 0xffff;
    return this.#identification;
  }
}

/** Of one call only. */
const KEY: FragmentKey = newFragmentKey();
const QUOTE = newQuote();

/** Of IPv4; what is not IPv4 is none. */
const isFragment = ({ view, start }: Packet): boolean =>
  (view.getUint16(start + 6) & 0x3fff) !== 0 && view.getUint8(start) >>> 4 === 4;

const isFirst = ({ view, start }: Packet): boolean => (view.getUint16(start + 6) & 0x1fff) === 0;
