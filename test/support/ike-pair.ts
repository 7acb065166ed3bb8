/**
 * Two IKE endpoints in virtual time over a link that can lose, delay, reorder and duplicate. Everything is drawn from one
 * seed. The pair keeps what ESP would hold, so that tests can compare both ends.
 */
import { type Millis, Secret, seededRandom, seededU32, toHex } from '../../src/core/index.ts';
import {
  type ChildSa,
  type IkeAction,
  type IkeConnection,
  IkeEndpoint,
  type IkeEvent,
  type IkeKeysExport,
  type IkeOptions,
  parseIdentity,
  parseProposal,
  type Report,
} from '../../src/ike/index.ts';
import {
  type Address,
  type Endpoint,
  formatEndpoint,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
} from '../../src/ip/index.ts';

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

export function connection(side: Side, changes: Partial<IkeConnection> = {}): IkeConnection {
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
  /** When IKE was last told of inbound ESP, by SPI. */
  readonly heardAt = new Map<number, Millis>();
  /** Of every IKE SA there ever was. */
  readonly keys: IkeKeysExport[] = [];
  /** When they were sent. */
  readonly keepalives: Millis[] = [];
  done = false;

  constructor(options: IkeOptions) {
    this.ike = new IkeEndpoint(options);
  }

  /** The SA a packet would leave by: the newest active one. */
  get outbound(): ChildSa | undefined {
    return [...this.esp.values()].filter((e) => e.outbound === 'active').at(-1)?.child;
  }

  /** Sends later packets by it, as ESP would: the newest active one is last. */
  activate(spiIn: number): void {
    const entry = this.esp.get(spiIn);
    if (entry === undefined) throw new Error('an SA is activated that ESP does not have');
    this.esp.delete(spiIn);
    this.esp.set(spiIn, { ...entry, outbound: 'active' });
  }

  get failures(): string[] {
    return this.reports.flatMap((r) => (r.failure === undefined ? [] : [r.failure.code]));
  }
}

export type Side = 'a' | 'b';

export interface Sent {
  readonly from: Side;
  readonly octets: Uint8Array;
  readonly at: Millis;
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

/** An IKE datagram on its way, or the SPI of an ESP packet. */
interface Flight {
  readonly at: Millis;
  readonly order: number;
  readonly to: Side;
  readonly carries: IkeEvent | { readonly type: 'esp'; readonly spi: number; readonly sentAt: Millis };
}

export class IkePair {
  now: Millis = 0;
  link: Link;
  a: End;
  b: End;
  /** Every datagram sent, delivered or not. */
  readonly sent: Sent[] = [];
  /** Returns what arrives in place of a datagram: nothing, itself, something else. */
  tamper: ((from: Side, octets: Uint8Array) => readonly Uint8Array[]) | undefined;
  /** What NATs in front of the ends make of the source of what leaves; what comes back is translated by what left before. */
  nat: Partial<Record<Side, (endpoint: Endpoint) => Endpoint>> = {};
  readonly addresses: Readonly<Record<Side, Address>> = { a: A, b: B };
  /** After every step each end sends an ESP packet by its outbound SA; the link delays it but never loses it. */
  probing = false;
  probes = 0;
  /** ESP packets that came to an end which did not have their SA. */
  readonly lostProbes: string[] = [];
  /** Public endpoint → private one. A static entry is a forwarded port. */
  readonly #natBack = new Map<string, Endpoint>();
  readonly #chance: () => number;
  readonly #options: Record<Side, Partial<IkeOptions>>;
  readonly #configs: Record<Side, readonly IkeConnection[]> = { a: [], b: [] };
  #seed: number;
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
    this.#seed = seed * 1000;
    this.#options = { a: options, b: optionsB };
    this.a = this.#newEnd('a');
    this.b = this.#newEnd('b');
  }

  #newEnd(side: Side): End {
    this.#seed += 1;
    return new End({ random: seededRandom(this.#seed), exportKeys: true, ...this.#options[side] });
  }

  /** The end crashes and starts anew with the same configuration. */
  restart(side: Side): this {
    this[side] = this.#newEnd(side);
    this.do(side, { type: 'configure', connections: this.#configs[side] });
    return this;
  }

  do(side: Side, event: IkeEvent): void {
    const end = this[side];
    if (event.type === 'configure') this.#configs[side] = event.connections;
    for (const action of end.ike.handle(event, this.now)) this.#perform(side, end, action);
  }

  configure(a: Partial<IkeConnection> = {}, b: Partial<IkeConnection> = {}): this {
    this.do('b', { type: 'configure', connections: [connection('b', b)] });
    this.do('a', { type: 'configure', connections: [connection('a', a)] });
    return this;
  }

  acquire(side: Side = 'a'): this {
    this.do(side, { type: 'acquire', connection: 'lab/net', packet: undefined });
    return this;
  }

  /** A port that the NAT in front of an end forwards to it. */
  forward(outside: Endpoint, inside: Endpoint): this {
    this.#natBack.set(formatEndpoint(outside), inside);
    return this;
  }

  /** Loses the first message that `which` picks. */
  loseOnce(which: (sent: Sent) => boolean): this {
    let lost = false;
    this.tamper = (_, octets) => {
      if (lost || !which(this.sent.at(-1)!)) return [octets];
      lost = true;
      return [];
    };
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

  /** Runs until nothing is on its way and no request waits for its answer; at most `millis`. */
  settle(millis: Millis): this {
    const end = this.now + millis;
    const busy = () =>
      this.#flights.length > 0 ||
      [this.a, this.b].some(({ ike }) => [...ike.sas].some((sa) => sa.active !== undefined));
    while (busy()) {
      const next = this.#next();
      if (next === undefined || next > end) break;
      this.#step(next);
    }
    return this;
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
    if (this.steps > 200_000)
      throw new Error(`the world does not come to rest: ${this.a.ike.deadline()?.why}, ${this.b.ike.deadline()?.why}`);
    this.now = at;
    const flight = this.#flights[0];
    if (flight !== undefined && flight.at <= at) {
      this.#flights.shift();
      const { to, carries } = flight;
      if (carries.type === 'esp') return this.#arrive(to, carries);
      this.do(to, carries);
      return this.#probe();
    }
    for (const side of ['a', 'b'] as const) {
      const due = this[side].ike.deadline();
      if (due !== undefined && due.at <= at) this.do(side, { type: 'tick' });
    }
    this.#probe();
  }

  #probe(): void {
    if (!this.probing) return;
    for (const side of ['a', 'b'] as const) {
      const spi = this[side].outbound?.spiOut;
      if (spi === undefined) this.lostProbes.push(`${side} has nothing to send by at ${this.now}`);
      else this.#fly(side === 'a' ? 'b' : 'a', { type: 'esp', spi, sentAt: this.now });
    }
  }

  #arrive(to: Side, { spi, sentAt }: { spi: number; sentAt: Millis }): void {
    this.probes += 1;
    const end = this[to];
    if (!end.esp.has(spi)) this.lostProbes.push(`sent to ${to} at ${sentAt}, arrived at ${this.now}`);
    const heardAt = end.heardAt.get(spi);
    if (heardAt !== undefined && this.now - heardAt < 1000 && end.esp.get(spi)?.outbound !== 'standby') return;
    end.heardAt.set(spi, this.now);
    this.do(to, { type: 'inbound', spiIn: spi, from: undefined });
  }

  #fly(to: Side, carries: Flight['carries']): void {
    const [least, most] = this.link.delay;
    const at = this.now + least + ((most - least) * this.#chance()) / 2 ** 32;
    this.#order += 1;
    const flight = { at, order: this.#order, to, carries };
    let i = this.#flights.length;
    while (i > 0 && this.#flights[i - 1]!.at > at) i -= 1;
    this.#flights.splice(i, 0, flight);
  }

  #perform(side: Side, end: End, action: IkeAction): void {
    switch (action.do) {
      case 'send':
        return this.#send(side, action.local, action.remote, action.octets);
      case 'keepalive':
        end.keepalives.push(this.now);
        return;
      case 'install':
        if (end.esp.has(action.child.spiIn)) throw new Error('one SPI installed twice');
        end.esp.set(action.child.spiIn, { child: action.child, outbound: action.outbound });
        return;
      case 'activate':
        return end.activate(action.spiIn);
      case 'remove':
        if (!end.esp.delete(action.spiIn)) throw new Error('an SA is removed that ESP does not have');
        end.heardAt.delete(action.spiIn);
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
        end.keys.push(action.keys);
        return;
    }
  }

  #send(from: Side, local: Endpoint, remote: Endpoint, octets: Uint8Array): void {
    this.sent.push({ from, octets, at: this.now, local, remote });
    const copies = (this.tamper?.(from, octets) ?? [octets]).flatMap((o) =>
      this.#chance() / 2 ** 32 < this.link.duplicate ? [o, o] : [o],
    );
    let source = local;
    let target = remote;
    const to = from === 'a' ? 'b' : 'a';
    const hide = this.nat[from];
    if (hide !== undefined) {
      source = hide(local);
      this.#natBack.set(formatEndpoint(source), local);
    }
    if (this.nat[to] !== undefined) {
      const back = this.#natBack.get(formatEndpoint(remote));
      if (back === undefined) return;
      target = back;
    }
    for (const copy of copies) {
      if (this.#chance() / 2 ** 32 < this.link.loss) continue;
      this.#fly(to, { type: 'datagram', local: target, remote: source, octets: copy });
    }
  }
}

/** What the two ends do not agree on, in words; empty when all is well. Ask when everything has settled. */
export function disagreements(w: IkePair): string[] {
  const out: string[] = [];
  const ikeSas = (end: End) => [...end.ike.sas].map((sa) => `${toHex(sa.spiI)}/${toHex(sa.spiR)} ${sa.phase}`).sort();
  if (ikeSas(w.a).join() !== ikeSas(w.b).join()) out.push(`IKE SAs: a ${ikeSas(w.a)}, b ${ikeSas(w.b)}`);
  for (const [name, here, there] of [['a', w.a, w.b] as const, ['b', w.b, w.a] as const]) {
    for (const { child } of here.esp.values()) {
      const mirror = there.esp.get(child.spiOut)?.child;
      if (mirror === undefined || mirror.spiOut !== child.spiIn) out.push(`${name}: {${child.id}} has no mirror image`);
      else {
        const same = (x: Secret, y: Secret) => toHex(x.reveal()) === toHex(y.reveal());
        const { keysIn, keysOut } = child;
        if (!same(keysOut.encryption, mirror.keysIn.encryption) || !same(keysIn.integrity, mirror.keysOut.integrity)) {
          out.push(`${name}: {${child.id}} has other keys than its mirror image`);
        }
      }
    }
    const owned = [...here.ike.sas].flatMap((sa) => [...sa.children].map((c) => c.sa.spiIn)).sort();
    const esp = [...here.esp.keys()].sort();
    if (owned.join() !== esp.join()) out.push(`${name}: IKE has ${owned}, ESP has ${esp}`);
    const taken = [...here.ike.spis].sort();
    if (taken.join() !== esp.join()) out.push(`${name}: the SPIs ${taken} are taken, ESP has ${esp}`);
  }
  return out;
}
