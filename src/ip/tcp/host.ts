/**
 * The TCP of one host: its connections and listeners, and what it answers to segments that belong to neither.
 *
 * Read first: RFC 9293 §3.10.7.1–3.10.7.2 (CLOSED, LISTEN), RFC 6528 (initial sequence numbers), RFC 6056 §3.3.1 (ports),
 * RFC 5082 (GTSM), RFC 2385 (signatures), RFC 5927 (ICMP).
 * One object a compartment: addresses mean nothing beyond it. Hand it only packets to the host's own addresses.
 * Methods answer with actions, in order; they are the caller's to carry out before the next call.
 * Limits: `TcpLimits`. No SYN cookies: a full backlog drops SYNs, and their senders repeat them.
 * Invariants: nothing received throws; without connections there is no memory and no deadline.
 */
import {
  type Bytes,
  concat,
  type Deadline,
  EMPTY,
  earliest,
  invariant,
  type Millis,
  putU16,
  toHex,
  u16,
  u32,
} from '../../core/index.ts';
import { type Address, type Endpoint, formatAddress, sameAddress } from '../address.ts';
import { TCP_FLAG } from '../tcp.ts';
import { Allowance } from './allowance.ts';
import { Connection } from './connection.ts';
import type { Surroundings } from './connection-contract.ts';
import {
  newTcpCounters,
  TCP_LIMITS,
  type TcpAction,
  type TcpConnected,
  type TcpConnectionId,
  type TcpCounters,
  type TcpHostOptions,
  type TcpLimits,
  type TcpListenOptions,
  type TcpOptions,
} from './contract.ts';
import { readIcmpError } from './icmp-error.ts';
import { hopsOf } from './outlet.ts';
import { readSegment, type Segment, signatureHolds, writeSegment } from './segment.ts';
import { advance } from './sequence.ts';

export class TcpHost {
  readonly limits: TcpLimits;
  readonly #options: TcpHostOptions;
  readonly #counters = newTcpCounters();
  readonly #connections = new Map<string, Connection>();
  readonly #byId = new Map<TcpConnectionId, Connection>();
  readonly #listeners = new Map<number, TcpListenOptions>();
  readonly #around: Surroundings;
  readonly #secret: Bytes;
  readonly #resets: Allowance;
  #actions: TcpAction[] = [];
  #lastId = 0;

  constructor(options: TcpHostOptions) {
    this.#options = options;
    this.limits = { ...TCP_LIMITS, ...options.limits };
    this.#secret = options.random(16);
    this.#resets = new Allowance(this.limits.resets, 1000);
    const act = (action: TcpAction) => void this.#actions.push(action);
    this.#around = { limits: this.limits, counters: this.#counters, md5: options.md5, act };
  }

  // What an application asks.

  /** Port 0 of `local`: any free one. `connected` or `closed` follows. */
  connect(local: Endpoint, remote: Endpoint, options: TcpOptions, now: Millis): TcpConnected {
    if (local.address.length !== remote.address.length) return { refused: 'the addresses are of different families' };
    const port = local.port === 0 ? this.#freePort(local.address, remote) : local.port;
    if (port === undefined) return { refused: 'no free port' };
    const from = { address: local.address, port };
    const known = this.#connections.get(keyOf(from, remote));
    if (known !== undefined && known.state !== 'timeWait') {
      return { refused: `there is a connection from port ${port} to ${formatAddress(remote.address)} already` };
    }
    if (known !== undefined) this.#remove(known);
    const full = this.#makeRoom(remote.address);
    if (full !== undefined) return { refused: full };
    const connection = this.#add(from, remote, options, false, now);
    connection.open(now);
    return { id: connection.id, actions: this.#done() };
  }

  /** False: the port is taken, or there are too many. */
  listen(port: number, options: TcpListenOptions = {}): boolean {
    if (this.#listeners.has(port) || this.#listeners.size >= this.limits.listeners) return false;
    this.#listeners.set(port, options);
    return true;
  }

  /** Connections that came through the listener stay; half-open ones do not. */
  unlisten(port: number): readonly TcpAction[] {
    this.#listeners.delete(port);
    for (const connection of this.#halfOpen()) if (connection.local.port === port) connection.abort();
    return this.#done();
  }

  /** How many octets were accepted: fewer than all, and `writable` follows. None after `close`. */
  send(
    id: TcpConnectionId,
    octets: Bytes,
    now: Millis,
  ): { readonly accepted: number; readonly actions: readonly TcpAction[] } {
    const accepted = this.#byId.get(id)?.send(octets, now) ?? 0;
    return { accepted, actions: this.#done() };
  }

  /** What was received, at most so many octets; empty when there is nothing. What is not read keeps the window small. */
  read(
    id: TcpConnectionId,
    most = Number.POSITIVE_INFINITY,
  ): { readonly octets: Bytes; readonly actions: readonly TcpAction[] } {
    const octets = this.#byId.get(id)?.read(most) ?? EMPTY;
    return { octets, actions: this.#done() };
  }

  /** Sends what is queued, then the FIN; receives until the peer closes. What is not acknowledged within R2 is given up. */
  close(id: TcpConnectionId, now: Millis): readonly TcpAction[] {
    this.#byId.get(id)?.close(now);
    return this.#done();
  }

  /** The same for who reads no more: a peer that goes on sending is reset after a while. */
  leave(id: TcpConnectionId, now: Millis): readonly TcpAction[] {
    this.#byId.get(id)?.close(now, now + this.limits.lingerMs);
    return this.#done();
  }

  /** Sends a RST. */
  abort(id: TcpConnectionId): readonly TcpAction[] {
    this.#byId.get(id)?.abort();
    return this.#done();
  }

  // What the network and time do.

  /** A whole IP packet to an address of this host: TCP, or an ICMP error. Others are counted and dropped. */
  packet(packet: Bytes, now: Millis): readonly TcpAction[] {
    const segment = readSegment(packet);
    if (segment !== undefined) this.#arrive(segment, now);
    else if (!this.#heedIcmp(packet, now)) this.#counters.malformed += 1;
    return this.#done();
  }

  tick(now: Millis): readonly TcpAction[] {
    for (const connection of this.#byId.values()) {
      const due = connection.deadline();
      if (due !== undefined && due.at <= now) connection.tick(now);
    }
    return this.#done();
  }

  deadline(): Deadline | undefined {
    let first: Deadline | undefined;
    for (const connection of this.#byId.values()) first = earliest(first, connection.deadline());
    return first;
  }

  // What there is to see.

  /** Live. */
  get counters(): Readonly<TcpCounters> {
    return this.#counters;
  }

  /** `state` as in RFC 9293 §3.3.2; undefined for an id that is gone. */
  state(id: TcpConnectionId): Connection['state'] | undefined {
    return this.#byId.get(id)?.state;
  }

  /** Octets that `send` accepted and the peer has not acknowledged. */
  queued(id: TcpConnectionId): number {
    return this.#byId.get(id)?.queued ?? 0;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Octets of buffers. */
  get memory(): number {
    let sum = 0;
    for (const connection of this.#byId.values()) sum += connection.memory;
    return sum;
  }

  // Segments.

  #arrive(segment: Segment, now: Millis): void {
    this.#counters.segmentsIn += 1;
    const local = { address: segment.destination, port: segment.destinationPort };
    const remote = { address: segment.source, port: segment.sourcePort };
    const known = this.#connections.get(keyOf(local, remote));
    const listener = this.#listenerFor(local);
    const follows = known !== undefined && listener !== undefined && isOnlySyn(segment) && known.mayFollow(segment);
    const current = follows ? undefined : known;
    const accepted = listener && optionsFor(listener, remote.address, local.address);
    const options = current?.options ?? (listener === undefined ? this.#options.dialled?.(remote) : accepted);
    if (options !== undefined && !this.#passes(segment, options)) return;
    if (current !== undefined) return current.arrive(segment, now);
    if (accepted === undefined || !isOnlySyn(segment)) return this.#refuse(segment, options ?? {}, now);
    if (known !== undefined) this.#remove(known);
    this.#accept(segment, local, remote, accepted, now);
  }

  /** RFC 5082 §3 and RFC 2385 §3: what does not pass leaves no trace but a count. */
  #passes(segment: Segment, options: TcpOptions): boolean {
    const { gtsmHops, md5Key } = options;
    const isNear = gtsmHops === undefined || segment.hopLimit >= 256 - gtsmHops;
    if (isNear && signatureHolds(segment, md5Key, this.#options.md5)) return true;
    const why = isNear ? 'signature' : 'hopLimit';
    this.#counters[why] += 1;
    this.#options.dropped?.(segment.source, why);
    return false;
  }

  #accept(syn: Segment, local: Endpoint, remote: Endpoint, options: TcpOptions, now: Millis): void {
    if (this.#halfOpen().length >= this.limits.backlog) {
      this.#counters.backlogFull += 1;
      return;
    }
    if (this.#makeRoom(remote.address) !== undefined) {
      this.#counters.connectionsFull += 1;
      return;
    }
    this.#add(local, remote, options, true, now).answer(syn, now);
  }

  /** RFC 9293 §3.10.7.1: a RST, as one that the sender believes; RFC 2385 §3.0: so it is signed where the secret is known. */
  #refuse(segment: Segment, options: TcpOptions, now: Millis): void {
    const { flags, sequence, acknowledgment, length } = segment;
    if ((flags & TCP_FLAG.rst) !== 0) return;
    this.#counters.refused += 1;
    if (!this.#resets.take(now)) {
      this.#counters.resetsOverRate += 1;
      return;
    }
    const hasAck = (flags & TCP_FLAG.ack) !== 0;
    const packet = writeSegment(
      {
        source: segment.destination,
        destination: segment.source,
        sourcePort: segment.destinationPort,
        destinationPort: segment.sourcePort,
        sequence: hasAck ? acknowledgment : 0,
        acknowledgment: hasAck ? 0 : advance(sequence, length),
        flags: hasAck ? TCP_FLAG.rst : TCP_FLAG.rst | TCP_FLAG.ack,
        window: 0,
        hopLimit: hopsOf(options),
        dontFragment: true,
        md5Key: options.md5Key,
      },
      EMPTY,
      this.#options.md5,
    );
    this.#counters.resets += 1;
    this.#counters.segmentsOut += 1;
    this.#around.act({ do: 'emit', packet });
  }

  #heedIcmp(packet: Bytes, now: Millis): boolean {
    const error = readIcmpError(packet);
    if (error === undefined) return false;
    const connection = this.#connections.get(keyOf(error.local, error.remote));
    const heeded =
      connection !== undefined &&
      (error.mtu !== undefined
        ? connection.tooBig(error.mtu, error.sequence, now)
        : connection.unreachable(error.isHard, error.why, error.sequence));
    if (!heeded) this.#counters.icmpIgnored += 1;
    return true;
  }

  // Connections.

  #add(local: Endpoint, remote: Endpoint, options: TcpOptions, passive: boolean, now: Millis): Connection {
    this.#lastId += 1;
    const mtu = options.mtu ?? this.#options.mtu?.(remote.address) ?? 1500;
    const iss = this.#initialSequence(local, remote, now);
    const connection = new Connection(this.#around, { id: this.#lastId, local, remote, passive, iss, mtu, options });
    this.#byId.set(connection.id, connection);
    this.#connections.set(keyOf(local, remote), connection);
    return connection;
  }

  #remove(connection: Connection): void {
    this.#byId.delete(connection.id);
    const key = keyOf(connection.local, connection.remote);
    if (this.#connections.get(key) === connection) this.#connections.delete(key);
  }

  /** The actions of a call; connections that ended in it go. */
  #done(): readonly TcpAction[] {
    const actions = this.#actions;
    this.#actions = [];
    for (const connection of this.#byId.values()) if (connection.state === 'closed') this.#remove(connection);
    return actions;
  }

  /** For one more with this peer, below both limits, if need be at the cost of an old one. Words: there is none. */
  #makeRoom(peer: Address): string | undefined {
    const { connections, connectionsPerPeer } = this.limits;
    const ofPeer = [...this.#byId.values()].filter(({ remote }) => sameAddress(remote.address, peer));
    if (ofPeer.length >= connectionsPerPeer) {
      const spare = ofPeer.find(isSpare);
      if (spare === undefined) return `${connectionsPerPeer} connections with ${formatAddress(peer)} are there already`;
      spare.abort('a newer connection took its place');
      this.#remove(spare);
    }
    if (this.#byId.size < connections) return undefined;
    const waiting = [...this.#byId.values()].find(({ state }) => state === 'timeWait');
    if (waiting === undefined) return `${connections} connections are there already`;
    this.#remove(waiting);
    return undefined;
  }

  #halfOpen(): Connection[] {
    return [...this.#byId.values()].filter(({ passive, state }) => passive && state === 'synReceived');
  }

  #listenerFor(local: Endpoint): TcpListenOptions | undefined {
    const listener = this.#listeners.get(local.port);
    return listener?.address === undefined || sameAddress(listener.address, local.address) ? listener : undefined;
  }

  /** RFC 6528 §3: a clock of 4 microseconds and a secret function of the endpoints. */
  #initialSequence(local: Endpoint, remote: Endpoint, now: Millis): number {
    const ports = new Uint8Array(4);
    putU16(ports, 0, local.port);
    putU16(ports, 2, remote.port);
    const digest = this.#options.md5(concat(local.address, remote.address, ports, this.#secret));
    invariant(digest.length === 16, 'MD5 gives 16 octets');
    return advance(u32(digest, 0), Math.floor(now * 250) % 0x1_0000_0000);
  }

  /** RFC 6056 §3.3.1, over the dynamic ports of RFC 6335 §6. */
  #freePort(local: Address, remote: Endpoint): number | undefined {
    for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
      const port = 0xc000 | (u16(this.#options.random(2), 0) & 0x3fff);
      const taken = this.#listeners.has(port) || this.#connections.has(keyOf({ address: local, port }, remote));
      if (!taken) return port;
    }
    return undefined;
  }
}

const PORT_ATTEMPTS = 64;

/** Undefined: this peer is not accepted. */
const optionsFor = ({ accept }: TcpListenOptions, remote: Address, local: Address): TcpOptions | undefined =>
  accept === undefined ? {} : accept(remote, local);

/** Nobody here has it: half open through a listener, or closed. */
const isSpare = ({ state, passive }: Connection): boolean =>
  state === 'synReceived' ? passive : state !== 'synSent' && state !== 'established' && state !== 'closeWait';

const isOnlySyn = ({ flags }: Segment): boolean =>
  (flags & (TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst)) === TCP_FLAG.syn;

const keyOf = (local: Endpoint, remote: Endpoint): string =>
  `${local.port} ${remote.port} ${toHex(local.address)} ${toHex(remote.address)}`;
