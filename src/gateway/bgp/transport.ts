/**
 * The TCP connections of one compartment's BGP router: packets on one side, events of its sessions on the other.
 *
 * Read first: RFC 4271 §8 (what a session asks of its transport), `ip/tcp/`.
 * A peer is who has its address: what comes from others is refused before a session hears of it. Octets that TCP does not take yet wait
 * here; the tables see to it that there are few (`drained`), and after a close they wait USER_TIMEOUT_MS at most.
 * Invariant: a session hears nothing of a connection after it has asked to close it, or after `closed`.
 */
import type { ConnectionId, SessionEvent } from '../../bgp/index.ts';
import { type Bytes, type Deadline, earliest, type Millis, type Random } from '../../core/index.ts';
import {
  type Address,
  type Endpoint,
  formatAddress,
  sameAddress,
  type TcpAction,
  TcpHost,
  type TcpHostOptions,
  type TcpLimits,
  type TcpOptions,
  USER_TIMEOUT_MS,
} from '../../ip/index.ts';

/** How a peer is reached. */
export interface TransportPeer {
  readonly name: string;
  readonly address: Address;
  /** Own address that the session runs from; undefined: the one towards the peer. */
  readonly localAddress: Address | undefined;
  readonly port: number;
  readonly tcp: TcpOptions;
}

export interface TransportOptions {
  readonly random: Random;
  readonly md5: (octets: Bytes) => Bytes;
  readonly limits?: Partial<TcpLimits>;
  /** Largest packet towards an address. */
  readonly mtu: (remote: Address) => number;
  /** The own address that packets to this one carry; undefined: none of its family. */
  readonly sourceTowards: (remote: Address) => Address | undefined;
  /** A packet of the compartment's own. */
  readonly emit: (packet: Bytes) => void;
  readonly tell: (peer: string, event: SessionEvent) => void;
}

interface Link {
  readonly peer: string;
  /** As the session calls it. */
  readonly connection: ConnectionId;
  /** As TCP calls it. */
  readonly id: number;
  /** What TCP has not taken yet. */
  readonly waiting: Bytes[];
  queued: number;
  /** The session is done with it. */
  closing: boolean;
  /** When what TCP has not taken is given up; while it is closing. */
  giveUpAt?: Millis | undefined;
}

export interface Dropped {
  /** RFC 2385: missing, wrong or uncalled-for signatures. */
  readonly signature: number;
  /** RFC 5082. */
  readonly hopLimit: number;
}

export class BgpTransport {
  readonly host: TcpHost;
  readonly #options: TransportOptions;
  readonly #peers = new Map<string, TransportPeer>();
  readonly #byId = new Map<number, Link>();
  readonly #byName = new Map<string, Link>();
  readonly #dropped = new Map<string, Dropped>();
  readonly #actions: TcpAction[] = [];
  #running = false;
  #lastAccepted = 0;

  constructor(options: TransportOptions) {
    const { random, md5, mtu } = options;
    this.#options = options;
    const dialled = (remote: Endpoint) => this.#dialled(remote);
    const dropped: TcpHostOptions['dropped'] = (remote, why) => {
      const peer = this.#peerAt(remote)?.name;
      if (peer !== undefined)
        this.#dropped.set(peer, { ...this.droppedOf(peer), [why]: this.droppedOf(peer)[why] + 1 });
    };
    const limits = { ...EACH_PEER_ITS_OWN, ...options.limits };
    this.host = new TcpHost({ random, md5, mtu, dialled, dropped, limits });
    this.host.listen(BGP_PORT, { accept: (remote) => this.#peerAt(remote)?.tcp });
  }

  setPeer(peer: TransportPeer): void {
    this.#peers.set(peer.name, peer);
  }

  /** Its connections are aborted, and nothing more is told of them. */
  removePeer(name: string, now: Millis): void {
    this.#peers.delete(name);
    this.#dropped.delete(name);
    for (const link of [...this.#byId.values()]) if (link.peer === name) this.close(name, link.connection, true, now);
  }

  // What sessions ask.

  dial(peer: string, connection: ConnectionId, now: Millis): void {
    const config = this.#peers.get(peer);
    if (config === undefined) return;
    const { address, port, tcp } = config;
    const source = config.localAddress ?? this.#options.sourceTowards(address);
    const failed = (why: string) => this.#options.tell(peer, { type: 'closed', connection, why });
    if (source === undefined) return failed(`no own address of the family of ${formatAddress(address)}`);
    const begun = this.host.connect({ address: source, port: 0 }, { address, port }, tcp, now);
    if ('refused' in begun) return failed(begun.refused);
    this.#enter({ peer, connection, id: begun.id, waiting: [], queued: 0, closing: false });
    this.#run(begun.actions, now);
  }

  send(peer: string, connection: ConnectionId, octets: Bytes, now: Millis): void {
    const link = this.#byName.get(nameOf(peer, connection));
    if (link === undefined || link.closing) return;
    link.waiting.push(octets);
    link.queued += octets.length;
    this.#push(link, now);
  }

  /** After what was sent has left; `abort` at once. */
  close(peer: string, connection: ConnectionId, abort: boolean, now: Millis): void {
    const link = this.#byName.get(nameOf(peer, connection));
    if (link === undefined || link.closing) return;
    link.closing = true;
    if (abort) {
      this.#leave(link);
      this.#run(this.host.abort(link.id), now);
    } else if (link.waiting.length === 0) this.#run(this.host.leave(link.id, now), now);
    else link.giveUpAt = now + USER_TIMEOUT_MS;
  }

  // What the network and time do.

  /** A whole IP packet to an own address. */
  packet(octets: Bytes, now: Millis): void {
    this.#run(this.host.packet(octets, now), now);
  }

  tick(now: Millis): void {
    this.#run(this.host.tick(now), now);
    for (const link of [...this.#byId.values()]) {
      if (link.giveUpAt === undefined || now < link.giveUpAt) continue;
      this.#leave(link);
      this.#run(this.host.abort(link.id), now);
    }
  }

  deadline(): Deadline | undefined {
    let first = this.host.deadline();
    for (const { giveUpAt: at, peer } of this.#byId.values())
      if (at !== undefined) first = earliest(first, { at, why: `BGP transport gives up what ${peer} does not take` });
    return first;
  }

  /** Who a session is between, also while it has no connection. */
  endsOf(name: string): { readonly peer: Address; readonly local: Address } | undefined {
    const known = this.#peers.get(name);
    if (known === undefined) return undefined;
    const { address: peer, localAddress } = known;
    const local = localAddress ?? this.#options.sourceTowards(peer) ?? new Uint8Array(peer.length);
    return { peer, local };
  }

  /** Segments of a peer that no session hears of. */
  droppedOf(peer: string): Dropped {
    return this.#dropped.get(peer) ?? NONE_DROPPED;
  }

  /** Octets that wait for TCP, of all connections of a peer. */
  queuedOf(peer: string): number {
    let queued = 0;
    for (const link of this.#byId.values()) if (link.peer === peer) queued += link.queued;
    return queued;
  }

  /** Actions come in order, also those that carrying out others brings. */
  #run(actions: readonly TcpAction[], now: Millis): void {
    this.#actions.push(...actions);
    if (this.#running) return;
    this.#running = true;
    for (let action = this.#actions.shift(); action !== undefined; action = this.#actions.shift())
      this.#perform(action, now);
    this.#running = false;
  }

  #perform(action: TcpAction, now: Millis): void {
    switch (action.do) {
      case 'emit':
        return this.#options.emit(action.packet);
      case 'connected':
        return this.#connected(action.id, action.local, action.remote, now);
      case 'received':
        return this.#withLink(action.id, (link) => this.#read(link, now));
      case 'writable':
        return this.#withLink(action.id, (link) => this.#push(link, now));
      case 'ended':
        return this.#withLink(action.id, (link) => this.#ended(link, 'the peer closed the connection', now));
      case 'closed':
        return this.#withLink(action.id, (link) => {
          this.#leave(link);
          if (!link.closing) this.#tell(link, { type: 'closed', connection: link.connection, why: action.why });
        });
    }
  }

  #connected(id: number, local: Endpoint, remote: Endpoint, now: Millis): void {
    const dialled = this.#byId.get(id);
    if (dialled !== undefined) {
      const { connection } = dialled;
      return this.#tell(dialled, { type: 'connected', connection, direction: 'out', local, remote });
    }
    const peer = this.#peerAt(remote.address);
    if (peer === undefined) return this.#run(this.host.abort(id), now);
    this.#lastAccepted += 1;
    const link = { peer: peer.name, connection: this.#lastAccepted, id, waiting: [], queued: 0, closing: false };
    this.#enter(link);
    this.#tell(link, { type: 'connected', connection: link.connection, direction: 'in', local, remote });
  }

  /** In pieces, so that a stream keeps nothing else waiting. */
  #read(link: Link, now: Millis): void {
    for (;;) {
      const { octets, actions } = this.host.read(link.id, PIECE);
      this.#run(actions, now);
      if (octets.length === 0) return;
      if (!link.closing) this.#tell(link, { type: 'received', connection: link.connection, octets });
    }
  }

  #ended(link: Link, why: string, now: Millis): void {
    if (link.closing) return;
    this.#read(link, now);
    link.closing = true;
    this.#tell(link, { type: 'closed', connection: link.connection, why });
    this.#run(this.host.leave(link.id, now), now);
  }

  /** Gives TCP what it takes. */
  #push(link: Link, now: Millis): void {
    const { queued } = link;
    while (link.waiting.length > 0) {
      const octets = link.waiting[0]!;
      const { accepted, actions } = this.host.send(link.id, octets, now);
      this.#run(actions, now);
      link.queued -= accepted;
      if (accepted < octets.length) {
        link.waiting[0] = octets.subarray(accepted);
        break;
      }
      link.waiting.shift();
    }
    if (link.closing) {
      if (link.waiting.length > 0) return;
      link.giveUpAt = undefined;
      this.#run(this.host.leave(link.id, now), now);
    } else if (link.queued < queued) {
      this.#tell(link, { type: 'drained', connection: link.connection, queued: link.queued });
    }
  }

  #tell(link: Link, event: SessionEvent): void {
    this.#options.tell(link.peer, event);
  }

  #dialled({ address, port }: Endpoint): TcpOptions | undefined {
    const peer = this.#peerAt(address);
    return peer?.port === port ? peer.tcp : undefined;
  }

  #peerAt(address: Address): TransportPeer | undefined {
    for (const peer of this.#peers.values()) if (sameAddress(peer.address, address)) return peer;
    return undefined;
  }

  #withLink(id: number, act: (link: Link) => void): void {
    const link = this.#byId.get(id);
    if (link !== undefined) act(link);
  }

  #enter(link: Link): void {
    this.#byId.set(link.id, link);
    this.#byName.set(nameOf(link.peer, link.connection), link);
  }

  #leave(link: Link): void {
    this.#byId.delete(link.id);
    // A peer that was made anew counts its connections from the beginning, while one of before is still closing.
    const name = nameOf(link.peer, link.connection);
    if (this.#byName.get(name) === link) this.#byName.delete(name);
  }
}

const nameOf = (peer: string, connection: ConnectionId): string => `${peer} ${connection}`;

export const BGP_PORT = 179;
const NONE_DROPPED: Dropped = { signature: 0, hopLimit: 0 };
/** Only peers connect and are dialled, and each address has its own bound: however many peers there are, none takes another's place. */
const EACH_PEER_ITS_OWN = { connections: Number.POSITIVE_INFINITY, backlog: Number.POSITIVE_INFINITY };
/** Octets that a session is given at once. */
const PIECE = 65_536;
