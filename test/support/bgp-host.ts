/**
 * A speaker in the test's own process, over TCP of the kernel: dials, listens, keeps time, and shows what it knows.
 *
 * `enterPrivateNetwork` first: its sockets are where this process is.
 */
import {
  type ConnectionId,
  IPV4_UNICAST,
  IPV6_UNICAST,
  type OctetStream,
  type PeerSettings,
  type SessionConfiguration,
  type SessionView,
  Speaker,
  type SpeakerAction,
  type SpeakerEvent,
  sessionConfiguration,
} from '../../src/bgp/index.ts';
import { standardCommunity } from '../../src/bgp/message/community.ts';
import { ALL } from '../../src/bgp/policy/policy.ts';
import { formatAddress, formatPrefix } from '../../src/ip/index.ts';
import { BGP_PORT, realClock, tcpTransport } from '../../src/runtime/bgp-transport.ts';
import { systemRandom } from '../../src/runtime/index.ts';
import { addr, pfx } from './packets.ts';
import { until } from './process.ts';

/** Another TCP than the kernel's. */
export interface Wire {
  setPeer(peer: HostPeer): void;
  dial(peer: string, connection: ConnectionId): void;
  send(peer: string, connection: ConnectionId, octets: Uint8Array): void;
  close(peer: string, connection: ConnectionId, abort: boolean): void;
  end(): void;
}

/** What a test says of a peer; all else is the same for every one. */
export interface HostPeer {
  readonly name: string;
  readonly remote: string;
  readonly local: string;
  /** Next hop for the family that the session does not run over. */
  readonly other?: string;
  readonly session: Pick<SessionConfiguration, 'remoteAs'> & Partial<SessionConfiguration>;
  readonly more?: Partial<PeerSettings>;
  /** False: it neither dials nor is dialled until `start`, or `cross`. */
  readonly starts?: false;
}

export class BgpHost {
  readonly speaker: Speaker;
  /** `peer: event: why`, in order. */
  readonly log: string[] = [];
  /** What would be forwarded: prefix to next hops. */
  readonly routes = new Map<string, readonly string[]>();
  /** What was forwarded once and then no more, in order. */
  readonly lost: string[] = [];
  readonly #asn: number;
  readonly #identifier: number;
  readonly #peers = new Map<string, HostPeer>();
  readonly #streams = new Map<string, Map<ConnectionId, OctetStream>>();
  /** What the peer has dialled and we have not looked at. */
  readonly #crossings = new Map<string, OctetStream | undefined>();
  readonly #undo = new Set<() => void>();
  readonly #wire: Wire | undefined;
  #accepted = 0;
  #wake: () => void = () => {};
  #open = true;

  constructor(asn: number, identifier: number, wire?: (host: BgpHost) => Wire) {
    this.#wire = wire?.(this);
    this.#asn = asn;
    this.#identifier = identifier;
    this.speaker = new Speaker({ localAs: asn, routerId: identifier }, systemRandom);
  }

  add(peer: HostPeer): void {
    const { name, other, session, more } = peer;
    this.#peers.set(name, peer);
    this.#streams.set(name, new Map());
    this.#wire?.setPeer(peer);
    const settings: PeerSettings = {
      name,
      session: sessionConfiguration({ ...SESSION, asn: this.#asn, identifier: this.#identifier, ...session }),
      import: ALL,
      export: ALL,
      ...(other === undefined ? {} : { otherAddress: addr(other) }),
      ...more,
    };
    this.handle({ type: 'add-peer', peer: settings });
    if (peer.starts !== false) this.tell(name, { type: 'start' });
  }

  remove(name: string): void {
    this.handle({ type: 'remove-peer', peer: name });
    this.#peers.delete(name);
  }

  /** Takes connections at an address of ours, once this resolves. */
  async listen(address: string): Promise<void> {
    let ready = false;
    const transport = tcpTransport({ problem: (why) => this.log.push(`listener: ${why}`) });
    const stop = transport.accept(
      { address: addr(address), port: BGP_PORT },
      (stream) => this.#take(stream),
      () => {
        ready = true;
      },
    );
    this.#undo.add(stop);
    await until(
      () => ready,
      5_000,
      () => this.log.join('\n'),
    );
  }

  originate(...prefixes: readonly string[]): void {
    for (const prefix of prefixes)
      this.speaker.originate(pfx(prefix), { why: 'a test', communities: [standardCommunity(COMMUNITY)] });
    this.handle({ type: 'tick' });
  }

  withdraw(...prefixes: readonly string[]): void {
    for (const prefix of prefixes) this.speaker.withdraw(pfx(prefix));
    this.handle({ type: 'tick' });
  }

  view(peer: string): SessionView {
    return this.speaker.session(peer)!.view(realClock.now());
  }

  /** Peers whose paths of a prefix may be used: `peer`, or `peer stale`. */
  paths(prefix: string): readonly string[] {
    const usable = this.speaker.rib.explain(pfx(prefix)).filter(({ best, step }) => best || step !== undefined);
    return usable.map(({ peer, stale }) => (stale ? `${peer} stale` : peer));
  }

  async established(peer: string, milliseconds = 20_000): Promise<SessionView> {
    await this.when(() => this.view(peer).state === 'established', `${peer} is not established`, milliseconds);
    return this.view(peer);
  }

  /**
   * The next connection of a peer waits until one of ours is up as well: both have dialled, and neither has heard of the other's. Resolves
   * when the session has both.
   */
  async cross(peer: string): Promise<void> {
    this.#crossings.set(peer, undefined);
    await this.when(() => this.#crossings.get(peer) !== undefined, `${peer} does not dial`);
    this.tell(peer, { type: 'start' });
    await this.when(() => !this.#crossings.has(peer), `${peer} does not take our connection`);
  }

  when(condition: () => unknown, what: string, milliseconds = 20_000): Promise<void> {
    return until(condition, milliseconds, () => `${what}; the speaker said:\n${this.log.slice(-20).join('\n')}`);
  }

  tell(peer: string, event: Extract<SpeakerEvent, { type: 'session' }>['event']): void {
    this.handle({ type: 'session', peer, event });
  }

  handle(event: SpeakerEvent): void {
    if (!this.#open) return;
    for (const action of this.speaker.handle(event, realClock.now())) this.#perform(action);
    this.#wake();
    const due = this.speaker.deadline();
    if (due === undefined) return;
    const wait = Math.max(0, Math.ceil(due.at - realClock.now()));
    this.#wake = realClock.after(Math.min(wait, MOST_WAIT), () => this.handle({ type: 'tick' }));
  }

  /** Without a word to anybody, as a process that is killed: connections are reset. */
  kill(): void {
    this.#open = false;
    this.#wake();
    this.#wire?.end();
    for (const undo of this.#undo) undo();
    for (const streams of this.#streams.values()) for (const stream of streams.values()) stream.close(true);
  }

  #perform(action: SpeakerAction): void {
    if (action.do === 'log') this.log.push(`${action.peer}: ${action.event}: ${action.why}`);
    if (action.do === 'routes')
      for (const { prefix, nextHops } of action.changes) {
        if (nextHops.length === 0) this.#lose(formatPrefix(prefix));
        else this.routes.set(formatPrefix(prefix), nextHops.map(formatAddress));
      }
    if (action.do !== 'session') return;
    const { peer, action: of } = action;
    if (this.#wire !== undefined) {
      if (of.do === 'dial') this.#wire.dial(peer, of.connection);
      else if (of.do === 'send') this.#wire.send(peer, of.connection, of.octets);
      else this.#wire.close(peer, of.connection, of.abort);
      return;
    }
    const stream = this.#streams.get(peer)?.get(of.connection);
    if (of.do === 'dial') this.#dial(peer, of.connection);
    else if (of.do === 'send') stream?.write(of.octets);
    else {
      stream?.close(of.abort);
      this.#streams.get(peer)?.delete(of.connection);
    }
  }

  #lose(prefix: string): void {
    this.routes.delete(prefix);
    this.lost.push(prefix);
  }

  #dial(name: string, connection: ConnectionId): void {
    const { remote, local } = this.#peers.get(name)!;
    const transport = tcpTransport({ from: addr(local), problem: () => {} });
    const cancel = transport.dial(
      { address: addr(remote), port: BGP_PORT },
      (stream) => {
        this.#undo.delete(cancel);
        this.#attach(name, connection, 'out', stream);
        const crossing = this.#crossings.get(name);
        this.#crossings.delete(name);
        if (crossing !== undefined) this.#accept(name, crossing);
      },
      (why) => {
        this.#undo.delete(cancel);
        this.tell(name, { type: 'closed', connection, why });
      },
    );
    this.#undo.add(cancel);
  }

  #take(stream: OctetStream): void {
    const [from, to] = [stream.remote, stream.local].map(({ address }) => formatAddress(address));
    const peer = [...this.#peers.values()].find(({ remote, local }) => remote === from && local === to);
    if (peer === undefined || !this.#open) return stream.close(true);
    if (this.#crossings.has(peer.name)) this.#crossings.set(peer.name, stream);
    else this.#accept(peer.name, stream);
  }

  #accept(peer: string, stream: OctetStream): void {
    this.#accepted += 1;
    this.#attach(peer, this.#accepted, 'in', stream);
  }

  #attach(peer: string, connection: ConnectionId, direction: 'in' | 'out', stream: OctetStream): void {
    this.#streams.get(peer)?.set(connection, stream);
    stream.attach({
      octets: (octets) => this.tell(peer, { type: 'received', connection, octets }),
      closed: (why) => {
        this.#streams.get(peer)?.delete(connection);
        this.tell(peer, { type: 'closed', connection, why });
      },
      drained: (queued) => this.tell(peer, { type: 'drained', connection, queued }),
    });
    this.tell(peer, { type: 'connected', connection, direction, local: stream.local, remote: stream.remote });
  }
}

/** 65010:77, on every route of the speaker's own. */
export const COMMUNITY = 65010 * 65536 + 77;
const MOST_WAIT = 2 ** 31 - 1;
const SESSION = {
  holdSeconds: 9,
  connectRetryMillis: 1000,
  idleHold: { initialMillis: 200, mostMillis: 400, forgetMillis: 300_000 },
  families: [IPV4_UNICAST, IPV6_UNICAST],
  transport: { hopLimit: 1 },
} as const;
