/**
 * What a NAT knows: sessions, ports, rules. Which session a packet has or gets, and what it does to it.
 *
 * Read first: RFC 4787 §4.1 (mapping), §4.3 (refresh), §5 (filtering); RFC 7857 §5–7.
 * Addresses are signed numbers here. A row is a number from 0 on; where there can be none, minus a DROP code says why.
 * Invariants: an inner endpoint that has rules has no other external port; an external port that has a rule leads nowhere else.
 */
import type { Millis } from '../core/index.ts';
import { DROP, IP_PROTOCOL, TCP_FLAG } from '../ip/index.ts';
import {
  type NatFiltering,
  type NatLimits,
  type NatOptions,
  type NatRule,
  type NatSessionFilter,
  type NatSessionView,
  type NatTimeouts,
  SESSIONS_MAX,
} from './contract.ts';
import { NAT_CELL } from './counters.ts';
import { drawHashKeys, type HashKeys } from './hash.ts';
import { drawsFrom, PortMap } from './ports.ts';
import { NO_RULES, RuleTable } from './rules.ts';
import { CHUNK_MASK, CHUNK_SHIFT, ROW, ROW_WORDS, SessionTable } from './sessions.ts';
import { Sweep } from './sweep.ts';
import { advanceTcp, isEstablished, TCP_STATE } from './tcp-state.ts';
import { matches, viewOf } from './views.ts';

export class NatState {
  readonly keys: HashKeys;
  readonly table: SessionTable;
  filtering: NatFiltering;
  limits: NatLimits;
  rules = NO_RULES;
  readonly #ports: Readonly<Record<'tcp' | 'udp' | 'icmp', PortMap>>;
  readonly #cells: Float64Array;
  readonly #first: number;
  readonly #sweep = new Sweep();
  /** The last time this NAT was told. */
  #now: Millis = 0;
  #udpInboundRefresh = false;
  /** Timeouts in milliseconds. */
  #established = 0;
  #transient = 0;
  #udp = 0;
  #icmp = 0;
  #shortest = 0;

  constructor(options: NatOptions, cells: Float64Array) {
    this.#first = options.first ?? 0;
    const { first, last } = options.ports ?? { first: 1, last: 0xffff };
    const draw = drawsFrom(options.random);
    this.keys = drawHashKeys(options.random);
    this.table = new SessionTable(this.keys, options.filtering);
    this.#ports = {
      tcp: new PortMap(first, last, draw),
      udp: new PortMap(first, last, draw),
      icmp: new PortMap(options.ports === undefined ? 0 : first, last, draw),
    };
    this.#cells = cells;
    this.filtering = options.filtering;
    this.limits = options.limits;
    this.reconfigure(options);
  }

  /** For `Nat.touch`. */
  touch(): number {
    return this.#udp + this.#now + (this.table.chunks[0]?.length ?? 0);
  }

  /** The session of a packet from inside; a new one if there is none and the packet `opens` one. */
  outbound(
    protocol: number,
    inner: number,
    innerPort: number,
    remote: number,
    remotePort: number,
    opens: boolean,
    now: Millis,
  ): number {
    const row = this.findOutbound(protocol, inner, innerPort, remote, remotePort);
    if (row >= 0) return row;
    if (!opens) return -DROP.natNoSession;
    if (this.isFull) return this.#refuse(DROP.natLimit);
    const head = this.table.mapping(protocol, inner, innerPort);
    const known = this.#externalPortOf(head, protocol, inner, innerPort);
    const external = known >= 0 ? known : this.portsOf(protocol).take(innerPort);
    if (external < 0) return this.#refuse(DROP.natNoPort);
    const timeout = this.#newTimeout(protocol);
    return this.#add(head, protocol, inner, innerPort, external, remote, remotePort, 0, timeout, now);
  }

  /** The session of a packet from outside; a new one if a rule or the filter lets it in and it `opens` one. */
  inbound(protocol: number, external: number, remote: number, remotePort: number, opens: boolean, now: Millis): number {
    const row = this.findInbound(protocol, external, remote, remotePort);
    if (row >= 0) return row;
    const rule = this.rules.find(protocol, external);
    if (rule !== undefined) return opens ? this.#openByRule(rule, remote, remotePort, now) : -DROP.natNoSession;
    const permission = this.table.permission(protocol, external, remote);
    if (permission < 0) return this.portsOf(protocol).isTaken(external) ? -DROP.natFiltered : -DROP.natNoSession;
    if (!opens) return -DROP.natNoSession;
    if (this.isFull) return this.#refuse(DROP.natLimit);
    // Whoever is outside cannot keep a mapping longer than the inner host does (RFC 4787 REQ-6, RFC 7857 §7).
    const left = Math.min(this.#newTimeout(protocol), (this.table.word(permission, ROW.expires) - now) | 0);
    const inner = this.innerAddress(permission);
    const innerPort = this.innerPort(permission);
    const head = this.table.mapping(protocol, inner, innerPort);
    return this.#add(head, protocol, inner, innerPort, external, remote, remotePort, TCP_STATE.fromOutside, left, now);
  }

  /** Notes a packet from inside of `length` octets, TCP with its flags. */
  noteOut(row: number, flags: number, length: number, now: Millis): void {
    const chunk = this.table.chunks[row >>> CHUNK_SHIFT]!;
    const at = (row & CHUNK_MASK) * ROW_WORDS;
    const flow = chunk[at + ROW.flow]!;
    const protocol = (flow >>> 8) & 0xff;
    if (protocol === IP_PROTOCOL.tcp) this.#noteTcp(chunk, at, flow, flags, true, now);
    else chunk[at + ROW.expires] = now + (protocol === IP_PROTOCOL.udp ? this.#udp : this.#icmp);
    chunk[at + ROW.packetsOut]! += 1;
    const octets = (chunk[at + ROW.octetsOut]! + length) | 0;
    chunk[at + ROW.octetsOut] = octets;
    if (octets >>> 0 < length) chunk[at + ROW.octetsHigh]! += 0x1_0000;
    this.#cells[this.#first + NAT_CELL.packetsOut]! += 1;
    this.#now = now;
  }

  /** The same for a packet from outside: only those of established TCP connections keep a session, UDP where told so. */
  noteIn(row: number, flags: number, length: number, now: Millis): void {
    const chunk = this.table.chunks[row >>> CHUNK_SHIFT]!;
    const at = (row & CHUNK_MASK) * ROW_WORDS;
    const flow = chunk[at + ROW.flow]!;
    const protocol = (flow >>> 8) & 0xff;
    if (protocol === IP_PROTOCOL.tcp) this.#noteTcp(chunk, at, flow, flags, false, now);
    else if (protocol === IP_PROTOCOL.udp && this.#udpInboundRefresh) chunk[at + ROW.expires] = now + this.#udp;
    chunk[at + ROW.packetsIn]! += 1;
    const octets = (chunk[at + ROW.octetsIn]! + length) | 0;
    chunk[at + ROW.octetsIn] = octets;
    if (octets >>> 0 < length) chunk[at + ROW.octetsHigh]! += 1;
    this.#cells[this.#first + NAT_CELL.packetsIn]! += 1;
    this.#now = now;
  }

  findOutbound(protocol: number, inner: number, innerPort: number, remote: number, remotePort: number): number {
    return this.table.findOutbound(protocol, inner, innerPort, remote, remotePort);
  }

  findInbound(protocol: number, external: number, remote: number, remotePort: number): number {
    return this.table.findInbound(protocol, external, remote, remotePort);
  }

  /** The external port that new sessions of an inner endpoint have, by rule or mapping; -1: one is still to be taken. */
  externalPortFor(protocol: number, inner: number, innerPort: number): number {
    return this.#externalPortOf(this.table.mapping(protocol, inner, innerPort), protocol, inner, innerPort);
  }

  innerAddress(row: number): number {
    return this.table.word(row, ROW.inner);
  }

  innerPort(row: number): number {
    return this.table.word(row, ROW.ports) >>> 16;
  }

  externalPort(row: number): number {
    return this.table.word(row, ROW.ports) & 0xffff;
  }

  portsOf(protocol: number): PortMap {
    if (protocol === IP_PROTOCOL.tcp) return this.#ports.tcp;
    return protocol === IP_PROTOCOL.udp ? this.#ports.udp : this.#ports.icmp;
  }

  get isFull(): boolean {
    return this.table.count >= this.limits.sessions;
  }

  get octets(): number {
    return this.table.octets + this.#ports.tcp.octets + this.#ports.udp.octets + this.#ports.icmp.octets;
  }

  reconfigure({
    rules,
    filtering,
    timeouts,
    limits,
  }: Pick<NatOptions, 'rules' | 'filtering' | 'timeouts' | 'limits'>): void {
    this.limits = limits.sessions <= SESSIONS_MAX ? limits : { ...limits, sessions: SESSIONS_MAX };
    this.filtering = filtering;
    this.table.setFiltering(filtering);
    this.#adoptTimeouts(timeouts);
    this.#adoptRules(rules);
    this.#sweep.hasten(this.#now, this.#shortest);
  }

  /** When `expire` has something to do; undefined without sessions. */
  get sweepAt(): Millis | undefined {
    return this.table.count === 0 ? undefined : this.#sweep.at;
  }

  expire(now: Millis): void {
    this.#now = now;
    if (this.table.count > 0 && now >= this.#sweep.at) this.#sweep.step(this.table, now, this.#shortest, this.#expired);
  }

  /** Removes what the filter names: how many. */
  flush(filter: NatSessionFilter): number {
    return this.#removeAll((row) => matches(this.view(row), filter));
  }

  *views(filter: NatSessionFilter): IterableIterator<NatSessionView> {
    for (let row = 0; row < this.table.rows; row++) {
      if (!this.table.inUse(row)) continue;
      const view = this.view(row);
      if (matches(view, filter)) yield view;
    }
  }

  view(row: number): NatSessionView {
    return viewOf(this.table, row, this.#now);
  }

  /** `head` is that of the inner endpoint's mapping, or -1. */
  #externalPortOf(head: number, protocol: number, inner: number, innerPort: number): number {
    const ruled = this.rules.portsOf(protocol, inner, innerPort);
    if (ruled !== undefined) return ruled[0]!;
    return head < 0 ? -1 : this.externalPort(head);
  }

  #openByRule(rule: NatRule, remote: number, remotePort: number, now: Millis): number {
    const { protocol, address, port, externalPort } = rule;
    const inner = address | 0;
    // Another rule's session of the same two endpoints: the inner host could not tell them apart.
    if (this.findOutbound(protocol, inner, port, remote, remotePort) >= 0) return this.#refuse(DROP.natNoPort);
    if (this.isFull) return this.#refuse(DROP.natLimit);
    const head = this.table.mapping(protocol, inner, port);
    const state = TCP_STATE.fromOutside;
    const timeout = this.#newTimeout(protocol);
    return this.#add(head, protocol, inner, port, externalPort, remote, remotePort, state, timeout, now);
  }

  #add(
    head: number,
    protocol: number,
    inner: number,
    innerPort: number,
    external: number,
    remote: number,
    remotePort: number,
    state: number,
    timeout: number,
    now: Millis,
  ): number {
    if (this.table.count === 0) this.#sweep.begin(now, this.#shortest);
    this.#cells[this.#first + NAT_CELL.created]! += 1;
    this.#cells[this.#first + NAT_CELL.sessions]! += 1;
    return this.table.add(head, protocol, inner, innerPort, external, remote, remotePort, state, now + timeout);
  }

  #remove(row: number, counter: number): void {
    const protocol = (this.table.word(row, ROW.flow) >>> 8) & 0xff;
    const external = this.externalPort(row);
    const last = this.table.remove(row);
    if (last && this.rules.find(protocol, external) === undefined) this.portsOf(protocol).free(external);
    this.#cells[this.#first + counter]! += 1;
    this.#cells[this.#first + NAT_CELL.sessions]! -= 1;
  }

  readonly #expired = (row: number): void => this.#remove(row, NAT_CELL.expired);

  #removeAll(which: (row: number) => boolean): number {
    let removed = 0;
    for (let row = 0; row < this.table.rows; row++) {
      if (!this.table.inUse(row) || !which(row)) continue;
      this.#remove(row, NAT_CELL.flushed);
      removed += 1;
    }
    return removed;
  }

  #refuse(reason: typeof DROP.natLimit | typeof DROP.natNoPort): number {
    this.#cells[this.#first + (reason === DROP.natLimit ? NAT_CELL.refusedLimit : NAT_CELL.refusedNoPort)]! += 1;
    return -reason;
  }

  /** RFC 7857 §2: an outbound RST and inbound packets of a connection that is not established prolong nothing. */
  #noteTcp(chunk: Int32Array, at: number, flow: number, flags: number, outbound: boolean, now: Millis): void {
    const before = flow & 0xff;
    const after = advanceTcp(before, flags, outbound);
    chunk[at + ROW.flow] = (flow & ~0xff) | after;
    if (isEstablished(after)) chunk[at + ROW.expires] = now + this.#established;
    else if (isEstablished(before) || (outbound && (flags & TCP_FLAG.rst) === 0)) {
      chunk[at + ROW.expires] = now + this.#transient;
    }
  }

  #newTimeout(protocol: number): number {
    if (protocol === IP_PROTOCOL.tcp) return this.#transient;
    return protocol === IP_PROTOCOL.udp ? this.#udp : this.#icmp;
  }

  #adoptTimeouts(timeouts: NatTimeouts): void {
    this.#established = timeouts.tcpEstablishedSeconds * 1000;
    this.#transient = timeouts.tcpTransientSeconds * 1000;
    this.#udp = timeouts.udpSeconds * 1000;
    this.#icmp = timeouts.icmpSeconds * 1000;
    this.#udpInboundRefresh = timeouts.udpInboundRefresh;
    this.#shortest = Math.min(this.#established, this.#transient, this.#udp, this.#icmp);
  }

  /** Ports of rules are taken before the first session comes, and those of other sessions given back. */
  #adoptRules(rules: readonly NatRule[]): void {
    this.rules = rules.length === 0 ? NO_RULES : new RuleTable(rules);
    this.#removeAll((row) => this.#contradicted(row));
    for (const ports of Object.values(this.#ports)) ports.clear();
    for (const { protocol, externalPort } of rules) this.portsOf(protocol).mark(externalPort);
    for (let row = 0; row < this.table.rows; row++) {
      const protocol = (this.table.word(row, ROW.flow) >>> 8) & 0xff;
      if (protocol !== 0) this.portsOf(protocol).mark(this.externalPort(row));
    }
  }

  /** Whether the rules lead a session's external port elsewhere, or give its inner endpoint another one. */
  #contradicted(row: number): boolean {
    const protocol = (this.table.word(row, ROW.flow) >>> 8) & 0xff;
    const inner = this.innerAddress(row);
    const innerPort = this.innerPort(row);
    const rule = this.rules.find(protocol, this.externalPort(row));
    if (rule !== undefined) return (rule.address | 0) !== inner || rule.port !== innerPort;
    // Without rules there is one external port: that of the mapping's head.
    return this.externalPortFor(protocol, inner, innerPort) !== this.externalPort(row);
  }
}
