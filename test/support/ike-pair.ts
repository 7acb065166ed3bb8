/**
 * Two IKE endpoints in virtual time over a link that can lose, delay, reorder and duplicate. Everything is drawn from one
 * seed. The pair keeps what ESP would hold, so that tests can compare both ends.
 */
import { type Millis, Secret, seededRandom, seededU32 } from '../../src/core/index.ts';
import {
  type ChildSa,
  type IkeAction,
  type IkeConnection,
  IkeEndpoint,
  type IkeEvent,
  type IkeOptions,
  parseIdentity,
  parseProposal,
  type Report,
} from '../../src/ike/index.ts';
import { type Endpoint, formatEndpoint, parseAddress, parsePrefix, selectorOfPrefix } from '../../src/ip/index.ts';

export const A = parseAddress('192.0.2.1')!;
export const B = parseAddress('198.51.100.1')!;

export interface Link {
  readonly loss: number;
  readonly duplicate: number;
  /** Delay in milliseconds, uniformly between the two: unequal delays reorder. */
  readonly delay: readonly [Millis, Millis];
}

export const CLEAN: Link = { loss: 0, duplicate: 0, delay: [5, 5] };

export const proposals = (use: 'ike' | 'esp', ...words: string[]) =>
  words.map((word) => {
    const parsed = parseProposal(word, use, { legacy: true });
    if (!parsed.ok) throw new Error(parsed.problem);
    return parsed.proposal;
  });

export const identity = (text: string) => {
  const parsed = parseIdentity(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.identity;
};

export const selectors = (...prefixes: string[]) => prefixes.map((p) => selectorOfPrefix(parsePrefix(p)!));

export function connection(side: 'a' | 'b', changes: Partial<IkeConnection> = {}): IkeConnection {
  const [here, there] = side === 'a' ? [A, B] : [B, A];
  const [local, remote] = side === 'a' ? ['10.1.0.0/24', '10.2.0.0/24'] : ['10.2.0.0/24', '10.1.0.0/24'];
  return {
    name: 'lab/net',
    localAddress: here,
    remoteAddress: there,
    localId: identity(side === 'a' ? 'a.lab' : 'b.lab'),
    remoteId: identity(side === 'a' ? 'b.lab' : 'a.lab'),
    psk: Secret.fromText('a pre-shared key for the lab'),
    ikeProposals: proposals('ike', 'aes256gcm16-prfsha256-x25519'),
    ikeLifetimeSeconds: 28_800,
    child: {
      proposals: proposals('esp', 'aes256gcm16-noesn'),
      local: selectors(local!),
      remote: selectors(remote!),
      lifetimeSeconds: 3600,
      lifetimeBytes: Number.POSITIVE_INFINITY,
      lifetimePackets: Number.POSITIVE_INFINITY,
    },
    start: side === 'a' ? 'demand' : 'listen',
    dpdSeconds: 30,
    forceEncapsulation: false,
    remotePort: 500,
    ...changes,
  };
}

/** What one end has, as its ESP and its operator see it. */
export class End {
  readonly ike: IkeEndpoint;
  readonly esp = new Map<number, { child: ChildSa; outbound: 'active' | 'standby' }>();
  readonly reports: Report[] = [];
  readonly unreachable: string[] = [];
  keepalives = 0;
  done = false;

  constructor(options: IkeOptions) {
    this.ike = new IkeEndpoint(options);
  }

  /** The SA a packet would leave by: the newest active one. */
  get outbound(): ChildSa | undefined {
    return [...this.esp.values()].filter((e) => e.outbound === 'active').at(-1)?.child;
  }

  get failures(): string[] {
    return this.reports.flatMap((r) => (r.failure === undefined ? [] : [r.failure.code]));
  }
}

interface Flight {
  readonly at: Millis;
  readonly order: number;
  readonly to: 'a' | 'b';
  readonly event: IkeEvent;
}

export class IkePair {
  now: Millis = 0;
  link: Link;
  readonly a: End;
  readonly b: End;
  /** Every datagram sent, delivered or not. */
  readonly sent: { readonly from: 'a' | 'b'; readonly octets: Uint8Array; readonly at: Millis }[] = [];
  /** Returns what arrives in place of a datagram: nothing, itself, something else. */
  tamper: ((from: 'a' | 'b', octets: Uint8Array) => readonly Uint8Array[]) | undefined;
  /** Rewrites A's endpoint as a NAT in front of it would. */
  nat: ((endpoint: Endpoint) => Endpoint) | undefined;
  readonly #natBack = new Map<string, Endpoint>();
  readonly #chance: () => number;
  #flights: Flight[] = [];
  #order = 0;
  steps = 0;

  constructor(
    seed: number,
    link: Link = CLEAN,
    options: Partial<IkeOptions> = {},
    optionsB: Partial<IkeOptions> = options,
  ) {
    this.link = link;
    this.#chance = seededU32(seed ^ 0x5eed);
    this.a = new End({ random: seededRandom(seed * 2 + 1), ...options });
    this.b = new End({ random: seededRandom(seed * 2 + 2), ...optionsB });
  }

  do(side: 'a' | 'b', event: IkeEvent): void {
    const end = this[side];
    for (const action of end.ike.handle(event, this.now)) this.#perform(side, end, action);
  }

  configure(a: Partial<IkeConnection> = {}, b: Partial<IkeConnection> = {}): this {
    this.do('b', { type: 'configure', connections: [connection('b', b)] });
    this.do('a', { type: 'configure', connections: [connection('a', a)] });
    return this;
  }

  acquire(side: 'a' | 'b' = 'a'): this {
    this.do(side, { type: 'acquire', connection: 'lab/net', packet: undefined });
    return this;
  }

  /** Runs until `until`, or until nothing is under way and `quiet` milliseconds pass without a deadline. */
  run(until: Millis): this {
    for (;;) {
      const next = this.#next();
      if (next === undefined || next > until) break;
      this.#step(next);
    }
    this.now = Math.max(this.now, until);
    return this;
  }

  runFor(millis: Millis): this {
    return this.run(this.now + millis);
  }

  get inFlight(): number {
    return this.#flights.length;
  }

  #next(): Millis | undefined {
    const times = [this.#flights[0]?.at, this.a.ike.deadline()?.at, this.b.ike.deadline()?.at].filter(
      (t) => t !== undefined,
    );
    return times.length === 0 ? undefined : Math.max(this.now, Math.min(...times));
  }

  #step(at: Millis): void {
    this.steps += 1;
    if (this.steps > 200_000) throw new Error('the world does not come to rest');
    this.now = at;
    const flight = this.#flights[0];
    if (flight !== undefined && flight.at <= at) {
      this.#flights.shift();
      this.do(flight.to, flight.event);
      return;
    }
    for (const side of ['a', 'b'] as const) {
      const due = this[side].ike.deadline();
      if (due !== undefined && due.at <= at) this.do(side, { type: 'tick' });
    }
  }

  #perform(side: 'a' | 'b', end: End, action: IkeAction): void {
    switch (action.do) {
      case 'send':
        return this.#send(side, action.local, action.remote, action.octets);
      case 'keepalive':
        end.keepalives += 1;
        return;
      case 'install':
        if (end.esp.has(action.child.spiIn)) throw new Error('one SPI installed twice');
        end.esp.set(action.child.spiIn, { child: action.child, outbound: action.outbound });
        return;
      case 'activate': {
        const entry = end.esp.get(action.spiIn)!;
        end.esp.delete(action.spiIn);
        end.esp.set(action.spiIn, { ...entry, outbound: 'active' });
        return;
      }
      case 'remove':
        end.esp.delete(action.spiIn);
        return;
      case 'move': {
        const entry = end.esp.get(action.spiIn);
        if (entry === undefined) return;
        const { localEndpoint, remoteEndpoint, udpEncapsulation } = action;
        entry.child = { ...entry.child, localEndpoint, remoteEndpoint, udpEncapsulation };
        return;
      }
      case 'unreachable':
        end.unreachable.push(action.failure.code);
        return;
      case 'report':
        end.reports.push(action.report);
        return;
      case 'done':
        end.done = true;
        return;
      case 'keys':
        return;
    }
  }

  #send(from: 'a' | 'b', local: Endpoint, remote: Endpoint, octets: Uint8Array): void {
    this.sent.push({ from, octets, at: this.now });
    const copies = (this.tamper?.(from, octets) ?? [octets]).flatMap((o) =>
      this.#chance() / 2 ** 32 < this.link.duplicate ? [o, o] : [o],
    );
    let source = local;
    let target = remote;
    if (this.nat !== undefined && from === 'a') {
      source = this.nat(local);
      this.#natBack.set(formatEndpoint(source), local);
    } else if (this.nat !== undefined) {
      const back = this.#natBack.get(formatEndpoint(remote));
      if (back === undefined) return;
      target = back;
    }
    for (const copy of copies) {
      if (this.#chance() / 2 ** 32 < this.link.loss) continue;
      const [least, most] = this.link.delay;
      const at = this.now + least + ((most - least) * this.#chance()) / 2 ** 32;
      const to = from === 'a' ? 'b' : 'a';
      this.#order += 1;
      const event: IkeEvent = { type: 'datagram', local: target, remote: source, octets: copy };
      this.#flights.push({ at, order: this.#order, to, event });
    }
    this.#flights.sort((x, y) => x.at - y.at || x.order - y.order);
  }
}
