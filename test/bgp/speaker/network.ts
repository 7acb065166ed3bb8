/** Speakers joined in memory, in virtual time: every octet takes a millisecond, in order; connections can be cut and messages lost. */
import { describeFamily, Speaker, type SpeakerAction, type SpeakerEvent } from '../../../src/bgp/index.ts';
import { IPV4_UNICAST, IPV6_UNICAST } from '../../../src/bgp/message/types.ts';
import type { PeerSettings } from '../../../src/bgp/peer-settings.ts';
import { ALL } from '../../../src/bgp/policy/policy.ts';
import type { RibOptions } from '../../../src/bgp/rib/options.ts';
import { type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Bytes, concat, EMPTY, type Millis, seededRandom } from '../../../src/core/index.ts';
import { formatAddress, formatPrefix, type Prefix, parsePrefix } from '../../../src/ip/index.ts';
import { messagesIn } from '../rib/speakers.ts';

export const prefixOf = (text: string): Prefix => parsePrefix(text)!;

/** Of one peer: its session, and what else is not as usual. */
export interface Change extends Partial<Omit<PeerSettings, 'name' | 'session'>> {
  readonly session?: Partial<SessionConfiguration>;
  /** Nothing passes: RFC 8212. */
  readonly silent?: boolean;
}

/** RFC 4724 as both ends have it that keep IPv4 and IPv6 routes through a restart. */
export const GRACEFUL = {
  gracefulRestart: {
    restartSeconds: 60,
    restarting: false,
    notification: false,
    families: [IPV4_UNICAST, IPV6_UNICAST].map((family) => ({ family, forwarding: true })),
    longLived: [],
  },
} as const;

interface Wire {
  readonly ends: readonly [string, string];
  readonly names: Record<string, number>;
  readonly open: Record<string, boolean>;
}

interface Message {
  readonly from: string;
  readonly to: string;
  readonly octets: Bytes;
}

interface Node {
  readonly asn: number;
  readonly number: number;
  readonly options: Partial<RibOptions>;
  speaker: Speaker;
  readonly log: string[];
  /** What forwards: prefix to next hops. */
  readonly fib: Map<string, string>;
  readonly events: SpeakerEvent[];
}

export class SpeakerNetwork {
  now: Millis = 0;
  /** All that was sent, message by message. */
  readonly sent: Message[] = [];
  /** Whether a message is lost on its way, as it never is with TCP: for what one end has wrong. */
  loses: (message: Message) => boolean = () => false;
  reachable = true;
  /** Whether a transport says nothing of having taken anything. */
  stalls: (from: string, to: string) => boolean = () => false;
  readonly #nodes = new Map<string, Node>();
  #wires: Wire[] = [];
  #due: { readonly at: Millis; readonly run: () => void }[] = [];
  #accepted = 0;

  /** Speaker `name` of this AS; its number is its identifier and the last octet of its address. */
  add(name: string, asn: number, options: Partial<RibOptions> = {}): Speaker {
    const number = this.#nodes.size + 1;
    const speaker = this.#speakerOf(asn, number, options);
    this.#nodes.set(name, { asn, number, options, speaker, log: [], fib: new Map(), events: [] });
    return speaker;
  }

  /** Two become peers; both dial. */
  join(a: string, b: string, ofA: Change = {}, ofB: Change = {}): void {
    this.peer(a, b, ofA);
    this.peer(b, a, ofB);
  }

  peer(at: string, of: string, change: Change = {}): void {
    this.handle(at, { type: 'add-peer', peer: this.settings(at, of, change) });
    this.tell(at, of, { type: 'start' });
  }

  settings(at: string, of: string, { session, silent = false, ...change }: Change = {}): PeerSettings {
    const [own, other] = [this.#node(at), this.#node(of)];
    const { asn, number } = own;
    return {
      name: of,
      session: sessionConfiguration({
        asn,
        identifier: number,
        remoteAs: other.asn,
        connectRetryMillis: 5_000,
        families: [IPV4_UNICAST, IPV6_UNICAST],
        ...session,
      }),
      otherAddress: Uint8Array.of(0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), number),
      ...(silent ? {} : { import: ALL, export: ALL }),
      ...change,
    };
  }

  tell(at: string, peer: string, event: Extract<SpeakerEvent, { type: 'session' }>['event']): void {
    this.handle(at, { type: 'session', peer, event });
  }

  handle(at: string, event: SpeakerEvent): void {
    const node = this.#node(at);
    node.events.push(event);
    if (node.events.length > 1) return;
    for (let next = node.events[0]; next !== undefined; next = node.events[0]) {
      for (const action of node.speaker.handle(next, this.now)) this.#perform(at, node, action);
      node.events.shift();
    }
  }

  originate(at: string, ...prefixes: string[]): void {
    for (const prefix of prefixes) this.speaker(at).originate(prefixOf(prefix), { why: 'a test' });
    this.handle(at, { type: 'tick' });
  }

  withdraw(at: string, ...prefixes: string[]): void {
    for (const prefix of prefixes) this.speaker(at).withdraw(prefixOf(prefix));
    this.handle(at, { type: 'tick' });
  }

  /** Octets that `at` gets from its peer on the connection they have. */
  inject(at: string, from: string, octets: Bytes): void {
    this.tell(at, from, { type: 'received', connection: this.connection(at, from), octets });
  }

  /** What a speaker calls the connection it has with a peer. */
  connection(at: string, peer: string): number {
    return this.#wires.find((each) => joins(each, at, peer) && each.open[at])!.names[at]!;
  }

  /** All connections of the two fail; both see it, or `blind` does not. */
  cut(a: string, b: string, blind?: string): void {
    for (const wire of this.#wires.filter((each) => joins(each, a, b)))
      for (const side of wire.ends) {
        if (side === blind) continue;
        if (wire.open[side]) this.#closed(wire, side, 'cut');
        wire.open[side] = false;
      }
  }

  /** The process is another: its peers see resets, and it knows nothing. */
  restart(name: string): Speaker {
    const node = this.#node(name);
    for (const wire of this.#wires.filter(({ ends }) => ends.includes(name))) {
      wire.open[name] = false;
      const peer = wire.ends[0] === name ? wire.ends[1] : wire.ends[0];
      if (wire.open[peer]) this.#closed(wire, peer, 'reset');
    }
    node.speaker = this.#speakerOf(node.asn, node.number, node.options);
    node.fib.clear();
    return node.speaker;
  }

  run(millis: Millis): void {
    const end = this.now + millis;
    for (let next = this.#next(); next <= end; next = this.#next()) {
      this.now = Math.max(this.now, next);
      const due = this.#due.filter(({ at }) => at <= this.now);
      this.#due = this.#due.filter(({ at }) => at > this.now);
      for (const { run } of due) run();
      for (const [name, { speaker }] of this.#nodes)
        if ((speaker.deadline()?.at ?? Number.POSITIVE_INFINITY) <= this.now) this.handle(name, { type: 'tick' });
    }
    this.now = end;
  }

  speaker(name: string): Speaker {
    return this.#node(name).speaker;
  }

  state(at: string, peer: string): string | undefined {
    return this.speaker(at).session(peer)?.state;
  }

  /** Sessions with a peer that were Established, this one included. */
  established(at: string, peer: string): number {
    return this.speaker(at).session(peer)!.counters.established;
  }

  log(name: string): readonly string[] {
    return this.#node(name).log;
  }

  /** What forwards at a speaker: `prefix via next hops`. */
  fib(name: string): string[] {
    return [...this.#node(name).fib].map(([prefix, hops]) => `${prefix} via ${hops}`).sort();
  }

  /** Paths of a prefix, the best first: `peer` and `stale` where it is. */
  paths(name: string, prefix: string): string[] {
    return this.speaker(name)
      .rib.explain(prefixOf(prefix))
      .map(({ peer, stale }) => (stale ? `${peer} stale` : peer));
  }

  /** Connections that are open at both ends. */
  get open(): number {
    return this.#wires.filter(({ ends: [a, b], open }) => open[a] && open[b]).length;
  }

  #speakerOf(localAs: number, number: number, options: Partial<RibOptions>): Speaker {
    return new Speaker({ localAs, routerId: number, ...options }, seededRandom(number));
  }

  #node(name: string): Node {
    return this.#nodes.get(name)!;
  }

  #perform(at: string, node: Node, action: SpeakerAction): void {
    if (action.do === 'log') node.log.push(`${action.peer}: ${action.event}: ${action.why}`);
    else if (action.do === 'chosen') node.log.push(`${describeFamily(action.family)} chosen: ${action.why}`);
    else if (action.do === 'routes') {
      for (const { prefix, nextHops } of action.changes) {
        if (nextHops.length === 0) node.fib.delete(formatPrefix(prefix));
        else node.fib.set(formatPrefix(prefix), nextHops.map(formatAddress).join(' '));
      }
    } else {
      const { peer, action: of } = action;
      if (of.do === 'dial') return this.#dial(at, peer, of.connection);
      const wire = this.#wires.find(
        (each) => joins(each, at, peer) && each.names[at] === of.connection && each.open[at],
      );
      if (wire === undefined) return;
      if (of.do === 'close') this.#close(wire, at, peer);
      else this.#send(wire, at, peer, of.octets);
    }
  }

  #dial(at: string, peer: string, connection: number): void {
    const wire: Wire = { ends: [at, peer], names: { [at]: connection }, open: { [at]: true } };
    this.#wires.push(wire);
    this.#later(() => {
      if (!wire.open[at]) return;
      if (!this.reachable) return this.#closed(wire, at, 'unreachable');
      this.#accepted += 1;
      wire.names[peer] = this.#accepted;
      wire.open[peer] = true;
      this.#later(() => {
        if (wire.open[at]) this.#connected(wire, at, peer, 'out');
      });
      this.#connected(wire, peer, at, 'in');
    });
  }

  #connected(wire: Wire, at: string, peer: string, direction: 'in' | 'out'): void {
    const end = (name: string) => ({ address: Uint8Array.of(10, 0, 0, this.#node(name).number), port: 179 });
    const connection = wire.names[at]!;
    this.tell(at, peer, { type: 'connected', connection, direction, local: end(at), remote: end(peer) });
  }

  #send(wire: Wire, from: string, to: string, octets: Bytes): void {
    const messages = messagesIn(octets).map((each) => ({ from, to, octets: each.slice() }));
    this.sent.push(...messages);
    const kept = messages.filter((message) => !this.loses(message)).map((message) => message.octets);
    const connection = wire.names[from]!;
    if (!this.stalls(from, to)) this.tell(from, to, { type: 'drained', connection, queued: 0 });
    this.#later(() => {
      if (!wire.open[to] || kept.length === 0) return;
      this.tell(to, from, { type: 'received', connection: wire.names[to]!, octets: concat(EMPTY, ...kept) });
    });
  }

  #close(wire: Wire, at: string, peer: string): void {
    wire.open[at] = false;
    this.#later(() => {
      if (wire.open[peer]) this.#closed(wire, peer, 'closed by the peer');
    });
  }

  #closed(wire: Wire, at: string, why: string): void {
    wire.open[at] = false;
    const peer = wire.ends[0] === at ? wire.ends[1] : wire.ends[0];
    this.tell(at, peer, { type: 'closed', connection: wire.names[at]!, why });
  }

  #later(run: () => void): void {
    this.#due.push({ at: this.now + 1, run });
  }

  #next(): Millis {
    const deadlines = [...this.#nodes.values()].map(
      ({ speaker }) => speaker.deadline()?.at ?? Number.POSITIVE_INFINITY,
    );
    return Math.min(...this.#due.map(({ at }) => at), ...deadlines);
  }
}

const joins = ({ ends: [a, b] }: Wire, one: string, other: string): boolean =>
  (a === one && b === other) || (a === other && b === one);
