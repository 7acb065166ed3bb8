/**
 * Tenants that harm each other: what a tenant's packets cost, and whether all of them pass, while another floods the same data plane.
 *
 * Two lines of two tenants each, alike; on one of them the second tenant floods. By turns: a batch of the first tenant on the quiet
 * line, a batch of the flood, one of the first tenant behind it, and one of both mixed, packet by packet. A batch of the first tenant
 * is half NAT, half ESP, with a new session now and then. Control does not answer: what waits for it, waits.
 */
import type { Engine, Suite } from '../src/crypto/index.ts';
import { DROP_NAMES, type Packet, type PacketPool } from '../src/ip/index.ts';
import { NAT_LIMITS } from '../src/nat/index.ts';
import { type Flood, floods, OWN_ADDRESSES } from './abuse-floods.ts';
import { GatewayLine } from './gateway-line.ts';
import { memoryNow } from './plane-memory.ts';
import { print, printTable } from './support.ts';

export interface AbuseOptions {
  readonly pool: PacketPool;
  readonly engine: Engine;
  readonly suite: Suite;
  readonly seconds: number;
}

const BATCH = 64;
const FLOWS = 1000;
/** One packet in so many batches begins a session. */
const NEW_SESSION_EVERY = 8;
/** Before memory is looked at for the first time: every table has what it can hold. */
const FILLING = 200_000;
const WARM_UP = 200;
/** Numbers of their compartments. */
const VICTIM = 2;
const FLOODER = 3;

export function measureAbuse(options: AbuseOptions): void {
  const { pool } = options;
  print(`two tenants, the second floods; ${BATCH} packets a batch of each, ${pool.size} packets in the pool`);
  const rows = floods().map((flood) => new Contest(flood, options).run());
  printTable(
    ['flood', 'a packet: ns', "tenant's: ns", 'ratio', 'alone p50: us', 'p90', 'mixed p50', 'p90', 'lost', 'refused'],
    rows.map(({ times }) => times),
  );
  print(
    'what the flooding tenant has of its tables, and how much memory grew from the quiet line to the full tables, and since',
  );
  const { sessions } = NAT_LIMITS;
  printTable(
    [
      'flood',
      `sessions of ${sessions}`,
      'neighbours of 4096',
      'outside',
      'learned of 4096',
      `waiting of ${pool.size / 2}`,
      'refused as',
      'kB',
      'kB since',
      'packets since',
    ],
    rows.map(({ sizes }) => sizes),
  );
}

class Contest {
  readonly #flood: Flood;
  readonly #options: AbuseOptions;
  readonly #quiet: GatewayLine;
  readonly #loud: GatewayLine;
  readonly #batch: Packet[] = [];
  #turn = 0;
  #sessions = FLOWS;
  #sent = 0;
  #flooded = 0;

  constructor(flood: Flood, options: AbuseOptions) {
    this.#flood = flood;
    this.#options = options;
    const { pool, engine, suite } = options;
    const lines = { pool, engine, suite, external: 'ethernet', own: OWN_ADDRESSES, learns: true } as const;
    [this.#quiet, this.#loud] = [0, 1].map(() => {
      const line = new GatewayLine({ ...lines, natSessions: NAT_LIMITS.sessions });
      line.addTenants(2);
      line.install(1);
      flood.prepare?.(line);
      return line;
    }) as [GatewayLine, GatewayLine];
  }

  run(): { readonly times: string[]; readonly sizes: string[] } {
    const samples = ['alone', 'flood', 'behind', 'mixed'].map(() => new Samples());
    const [alone, flood, behind, mixed] = samples as [Samples, Samples, Samples, Samples];
    this.#open(this.#quiet);
    this.#open(this.#loud);
    const before = octets();
    while (this.#flooded < FILLING) this.#run(this.#loud, 0, BATCH);
    const full = octets();
    const filled = this.#flooded;
    for (let round = 0; round < WARM_UP; round++) this.#takeTurns();
    const left = this.#left(this.#loud);
    this.#sent = 0;
    for (const until = performance.now() + this.#options.seconds * 1000; performance.now() < until; )
      for (const [i, nanos] of this.#takeTurns().entries()) samples[i]!.add(nanos);
    const lost = this.#sent - (this.#left(this.#loud) - left);
    const after = octets();
    const each = (of: Samples): number => of.at(0.5) / BATCH;
    const { name } = this.#flood;
    const sizes = [...this.#sizes(), this.#reason()];
    this.#close();
    return {
      times: [
        name,
        each(flood).toFixed(0),
        each(behind).toFixed(0),
        (each(behind) / each(alone)).toFixed(2),
        ...[alone, mixed].flatMap((of) => [micros(of.at(0.5)), micros(of.at(0.9))]),
        `${lost}`,
        `${this.#refused()}`,
      ],
      sizes: [name, ...sizes, kilo(full - before), kilo(after - full), `${this.#flooded - filled}`],
    };
  }

  /** Nanoseconds of a batch of each kind. */
  #takeTurns(): number[] {
    return [
      this.#run(this.#quiet, BATCH, 0),
      this.#run(this.#loud, 0, BATCH),
      this.#run(this.#loud, BATCH, 0),
      this.#run(this.#loud, BATCH, BATCH),
    ];
  }

  /** Nanoseconds of a batch of so many packets of both, packet by packet where both have some. */
  #run(line: GatewayLine, own: number, others: number): number {
    const { pool } = this.#options;
    const batch = this.#batch;
    const flood = this.#flood;
    const count = own + others;
    for (let i = 0; i < count; i++) {
      const packet = pool.take();
      if (packet === undefined) throw new Error(`${flood.name}: the pool is empty`);
      if (isOwn(i, own, others)) this.#write(line, packet);
      else flood.write(packet);
      batch[i] = packet;
    }
    const { enter } = flood;
    const now = performance.now();
    for (let i = 0; i < count; i++)
      if (enter === undefined || isOwn(i, own, others)) line.receive(batch[i]!, now);
      else enter(line, batch[i]!, now);
    line.flush(now);
    const nanos = (performance.now() - now) * 1e6;
    this.#flooded += others;
    if (line === this.#loud) this.#sent += own;
    return nanos;
  }

  /** A packet of the first tenant. */
  #write(line: GatewayLine, packet: Packet): void {
    this.#turn += 1;
    const isNew =
      line === this.#loud && this.#turn % (BATCH * NEW_SESSION_EVERY) === 0 && this.#sessions < MOST_SESSIONS;
    if (isNew) this.#sessions += 1;
    const session = isNew ? this.#sessions : (this.#turn * 7) % FLOWS;
    line.writeUdp(packet, 0, session, 64, !isNew && (this.#turn & 1) === 0);
  }

  /** Its sessions are there, and the router outside is known. */
  #open(line: GatewayLine): void {
    for (let session = 0; session < FLOWS; session++) {
      const packet = this.#options.pool.take()!;
      line.writeUdp(packet, 0, session, 64, false);
      line.receive(packet, performance.now());
      line.flush(performance.now());
    }
  }

  #left({ left }: GatewayLine): number {
    return left.first + left.datagrams;
  }

  #refused(): number {
    const { refusedLimit = 0, refusedNoPort = 0 } = this.#loud.plane.natOf(VICTIM)?.counters ?? {};
    return refusedLimit + refusedNoPort;
  }

  #sizes(): string[] {
    const { plane } = this.#loud;
    const learned = plane.switch?.records(FLOODER).filter(({ type }) => type === 'dynamic').length;
    return [
      plane.natOf(FLOODER)?.counters.sessions ?? 0,
      plane.segment(FLOODER, 1)?.neighbours().length,
      plane.segment(1, 1)?.neighbours().length,
      learned,
      this.#options.pool.waiting.used,
    ].map((size) => `${size}`);
  }

  /** As what most packets of the flood were counted. */
  #reason(): string {
    const { plane } = this.#loud;
    const counted = [plane.drops, plane.sad.drops, plane.segment(FLOODER, 1)!.drops, plane.segment(1, 1)!.drops];
    for (const compartment of [1, VICTIM, FLOODER]) counted.push(plane.compartment(compartment)!.drops);
    for (const tenant of [VICTIM, FLOODER]) counted.push(plane.switch!.dropsOf(tenant));
    const sums = DROP_NAMES.map((_, code) => counted.reduce((sum, drops) => sum + drops[code]!, 0));
    const most = Math.max(...sums);
    return most === 0 ? '' : DROP_NAMES[sums.indexOf(most)]!;
  }

  /** What waits is given back. */
  #close(): void {
    const now = performance.now();
    for (const { plane } of [this.#quiet, this.#loud]) {
      for (const compartment of [VICTIM, FLOODER, 1])
        for (const { number } of plane.compartment(compartment)!.interfaces())
          plane.command({ do: 'remove-interface', compartment, interface: number }, now);
      plane.flush(now);
    }
    if (this.#options.pool.taken > 0)
      throw new Error(`${this.#flood.name}: ${this.#options.pool.taken} packets are held`);
  }
}

const isOwn = (i: number, own: number, others: number): boolean => others === 0 || (own > 0 && (i & 1) === 1);

const MOST_SESSIONS = 60_000;

/** Memory of its own, taken before it is looked at how much there is. */
class Samples {
  readonly #values = new Float64Array(1 << 18);
  #count = 0;

  add(value: number): void {
    if (this.#count < this.#values.length) this.#values[this.#count++] = value;
  }

  at(share: number): number {
    const sorted = this.#values.slice(0, this.#count).sort();
    return sorted[Math.floor(share * (this.#count - 1))]!;
  }
}

function octets(): number {
  const { heap, buffers } = memoryNow();
  return heap + buffers;
}

const micros = (nanos: number): string => (nanos / 1000).toFixed(1);
const kilo = (of: number): string => (of / 1024).toFixed(0);
