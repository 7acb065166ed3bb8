/**
 * Two gateways in this process, joined by UDP over 127.0.0.1: needs no rights, no `ip` and no native code.
 *
 * Their hosts are functions: packets go into one gateway and are counted where they leave the other. "Bare" is the same number of
 * octets over two plain sockets in the same loop. TCP is missing, which needs a TUN device and a kernel behind it.
 */
import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { putU16, putU32, Secret, u32 } from '../../core/index.ts';
import { chooseEngine } from '../../crypto/index.ts';
import { buildUdp, IPV4_HEADER, type Packet, PacketPool, parseAddress, UDP_HEADER } from '../../ip/index.ts';
import { engineCandidates } from '../../runtime/engines/index.ts';
import { Readiness } from '../../runtime/readiness.ts';
import type { DatagramSocket } from '../../runtime/socket.ts';
import { loadSyscalls } from '../../runtime/syscalls.ts';
import { openUdp } from '../../runtime/udp.ts';
import { LARGE, type Ledger, median, SMALL, SUBJECTS } from './ledger.ts';
import { LoopbackEnd } from './loopback-end.ts';
import { brief, warmUp } from './orders.ts';
import { failed, HOST, interrupted, type Plan, type Side, type Way } from './way.ts';

export class LoopbackWay implements Way {
  readonly name = 'loopback';
  readonly words: string;
  readonly #plan: Plan;
  readonly #ends: Readonly<Record<Side, LoopbackEnd>>;
  readonly #plain: PlainPair;
  readonly #readiness: Readiness | undefined;
  #pings = 0;

  private constructor(plan: Plan, ends: Record<Side, LoopbackEnd>, plain: PlainPair, readiness?: Readiness) {
    const sockets = readiness === undefined ? 'node:dgram' : 'system calls';
    this.words = `two gateways in this process, UDP over 127.0.0.1 by ${sockets}, packets made and counted beside them`;
    this.#plan = plan;
    this.#ends = ends;
    this.#plain = plain;
    this.#readiness = readiness;
  }

  /** Connected when this resolves. */
  static async open(plan: Plan): Promise<LoopbackWay> {
    plan.step('connecting two gateways');
    const { engine } = chooseEngine(engineCandidates());
    const secret = new Secret(randomBytes(32));
    const readiness = loadSyscalls().ok ? new Readiness() : undefined;
    const plain = new PlainPair();
    try {
      await plain.open(readiness);
      const ends = await LoopbackEnd.pair({ suite: plan.suite, secret, engine, readiness });
      const way = new LoopbackWay(plan, ends, plain, readiness);
      await way.#up().catch(async (error: unknown) => {
        await way.close();
        throw error;
      });
      return way;
    } catch (error) {
      await plain.close();
      await readiness?.close();
      throw error;
    }
  }

  async round(ledger: Ledger): Promise<void> {
    const { parts } = this.#plan;
    if (parts.has('udp')) {
      await this.#flood(ledger, 'large', LARGE, 8 * LARGE);
      await this.#flood(ledger, 'small', SMALL, 1);
    }
    if (parts.has('ping')) {
      await this.#trips(ledger, 'tunnel', () => this.#ends.a.ping(++this.#pings, SMALL, LOST_MS));
      await this.#trips(ledger, 'bare', () => this.#plain.trip());
    }
    if (parts.has('ike')) await this.#handshakes(ledger);
  }

  async close(): Promise<void> {
    await Promise.all([this.#ends.a.close(), this.#ends.b.close(), this.#plain.close()]);
    await this.#readiness?.close();
  }

  async #flood(ledger: Ledger, name: 'large' | 'small', length: number, weight: number): Promise<void> {
    const { a, b } = this.#ends;
    const [source, destination] = [parseAddress(HOST.a)!, parseAddress(HOST.b)!];
    const packet = buildUdp({ source, destination, sourcePort: 9, destinationPort: 9 }, new Uint8Array(length));
    // RFC 768: a checksum of zero is none. The sequence number in the data changes with each packet.
    putU16(packet, IPV4_HEADER + 6, 0);
    this.#plan.step(`${SUBJECTS[name].words}, through the tunnel`);
    const through = await this.#saturate(packet, IPV4_HEADER + UDP_HEADER, (octets) => a.send(octets), b);
    ledger.enter(SUBJECTS[name], 'tunnel', weight * through);
    this.#plan.step(`${SUBJECTS[name].words}, over plain sockets`);
    const plain = this.#plain;
    const bare = await this.#saturate(new Uint8Array(length), 0, (octets) => plain.send(octets), plain);
    ledger.enter(SUBJECTS[name], 'bare', weight * bare);
  }

  /** Arrivals a second of packets with their number at `at`, a bounded number of them under way. */
  async #saturate(
    octets: Uint8Array,
    at: number,
    send: (octets: Uint8Array) => void,
    receiver: { arrived: (packet: Packet) => void },
  ): Promise<number> {
    const { millis, signal } = this.#plan;
    let [sent, newest, arrived] = [0, 0, 0];
    receiver.arrived = ({ buf, start }) => {
      newest = Math.max(newest, u32(buf, start + at));
      arrived += 1;
    };
    const run = async (until: number): Promise<void> => {
      let [heardAt, heard] = [performance.now(), newest];
      for (let now = heardAt; now < until; now = performance.now()) {
        while (sent - newest < WINDOW) {
          putU32(octets, at, ++sent);
          send(octets);
        }
        await setImmediate();
        if (signal.aborted) throw interrupted();
        if (newest !== heard) [heardAt, heard] = [now, newest];
        // Nothing for so long: what is under way is lost.
        else if (now - heardAt > LOST_MS) newest = sent;
      }
    };
    await run(performance.now() + warmUp(millis));
    const [before, begun] = [arrived, performance.now()];
    await run(begun + millis);
    const seconds = (performance.now() - begun) / 1000;
    receiver.arrived = () => {};
    return (arrived - before) / seconds;
  }

  async #trips(ledger: Ledger, way: 'tunnel' | 'bare', trip: () => Promise<number | null>): Promise<void> {
    const { millis, signal, step } = this.#plan;
    step(`${SUBJECTS.trip.words}, ${way === 'tunnel' ? 'through the tunnel' : 'over plain sockets'}`);
    const micros: number[] = [];
    const warmAt = performance.now() + warmUp(millis);
    for (let now = performance.now(); now < warmAt + brief(millis); now = performance.now()) {
      const took = await trip();
      if (signal.aborted) throw interrupted();
      if (took !== null && now >= warmAt) micros.push(1000 * took);
    }
    if (micros.length === 0) throw failed('nothing came back');
    ledger.enter(SUBJECTS.trip, way, median(micros));
  }

  async #handshakes(ledger: Ledger): Promise<void> {
    const { millis, step } = this.#plan;
    step(SUBJECTS.ike.words);
    const took: number[] = [];
    for (const until = performance.now() + brief(millis); performance.now() < until; ) {
      this.#ends.a.command('down');
      await this.#until(({ ikeSas }) => ikeSas.length === 0);
      const begun = performance.now();
      await this.#up();
      took.push(performance.now() - begun);
    }
    ledger.enter(SUBJECTS.ike, 'tunnel', 1000 / median(took));
  }

  async #up(): Promise<void> {
    this.#ends.a.command('up');
    await this.#until(({ state }) => state === 'up');
  }

  /** Both connections are as `wanted`. */
  async #until(wanted: (connection: LoopbackEnd['connection']) => boolean): Promise<void> {
    const { a, b } = this.#ends;
    const { signal } = this.#plan;
    const isSo = (): boolean => wanted(a.connection) && wanted(b.connection);
    let wake = (): void => {};
    const timer = setTimeout(() => wake(), COMMAND_MS);
    const until = performance.now() + COMMAND_MS;
    const interrupt = (): void => wake();
    signal.addEventListener('abort', interrupt);
    a.changed = b.changed = () => wake();
    while (!isSo() && !signal.aborted && performance.now() < until) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    clearTimeout(timer);
    signal.removeEventListener('abort', interrupt);
    if (signal.aborted) throw interrupted();
    if (!isSo()) throw failed(`the gateways do not connect: ${a.connection.lastFailure?.problem ?? a.connection.why}`);
  }
}

/** Two sockets without gateways. */
class PlainPair {
  arrived: (packet: Packet) => void = () => {};
  readonly #sockets: DatagramSocket[] = [];
  #back: () => void = () => {};
  #tripping = false;

  async open(readiness: Readiness | undefined): Promise<void> {
    const local = { address: Uint8Array.of(127, 0, 0, 1), port: 0 };
    const pool = new PacketPool(2 * WINDOW);
    const sending = await openUdp({
      local,
      pool,
      readiness,
      receive: (packet) => {
        pool.release(packet);
        this.#back();
      },
    });
    this.#sockets.push(sending);
    const receiving = await openUdp({
      local,
      pool,
      readiness,
      receive: (packet) => {
        if (this.#tripping) receiving.send(packet.buf, packet.start, packet.end, sending.local);
        this.arrived(packet);
        pool.release(packet);
      },
    });
    this.#sockets.push(receiving);
  }

  send(octets: Uint8Array): void {
    const [from, to] = this.#sockets;
    from!.send(octets, 0, octets.length, to!.local);
  }

  /** Milliseconds there and back; null: lost. */
  trip(): Promise<number | null> {
    this.#tripping = true;
    const begun = performance.now();
    return new Promise((resolve) => {
      const lost = setTimeout(() => end(null), LOST_MS);
      const end = (took: number | null): void => {
        clearTimeout(lost);
        this.#tripping = false;
        this.#back = () => {};
        resolve(took);
      };
      this.#back = () => end(performance.now() - begun);
      this.send(TRIP);
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close()));
  }
}

/** Datagrams under way: what the queue of a socket without rights holds. */
const WINDOW = 64;
const LOST_MS = 50;
const COMMAND_MS = 5000;
const TRIP = new Uint8Array(SMALL);
