/**
 * Datagrams as fast as one process can: system calls for many at once, and a loop that waits in poll(2) and for nothing else.
 *
 * A flood keeps a bounded number of datagrams under way: the reflector says which was the newest to arrive, and how many did. So
 * it finds the rate that the way carries, instead of showing how it fails under more than that.
 * Each datagram goes its way through the kernel by itself: no segmentation offload, as nobody's small datagrams have it.
 */
import { putU32, u32 } from '../../core/index.ts';
import { type Endpoint, type Packet, PacketPool, parseAddress } from '../../ip/index.ts';
import { PollSet } from '../../runtime/batch-wait.ts';
import type { BatchSocket, Receive } from '../../runtime/socket.ts';
import { requireSyscalls } from '../../runtime/syscalls.ts';
import { openNativeUdp } from '../../runtime/udp.ts';
import { type Passed, type Place, warmUp } from './orders.ts';

/** Says its port when it is ready. */
export function reflect(address: string, millis: number, ready: (port: number) => void): void {
  let [arrived, newest, told, stopped] = [0, 0, 0, false];
  let counter: Endpoint | undefined;
  const line = new Line(address, (packet, from) => {
    const kind = packet.buf[packet.start];
    if (kind === KIND.echo) line.send(packet, from);
    else if (kind === KIND.count) {
      newest = Math.max(newest, u32(packet.buf, packet.start + 4));
      [arrived, counter] = [arrived + 1, from];
    } else if (kind === KIND.stop) stopped = true;
    line.pool.release(packet);
  });
  const tell = (): void => {
    if (counter === undefined || told === arrived) return;
    told = arrived;
    line.sendOctets(countMessage(newest, arrived), counter);
  };
  ready(line.port);
  const end = performance.now() + millis;
  while (!stopped && performance.now() < end) {
    const some = line.receive(BURST);
    if (some === 0 || arrived - told >= BURST) tell();
    if (some === 0) line.wait(PATIENCE_MS);
  }
  line.close();
}

export function flood(from: string, to: Place, length: number, millis: number): Passed {
  let [sent, newest, arrived] = [0, 0, 0];
  const line = new Line(from, (packet) => {
    newest = Math.max(newest, u32(packet.buf, packet.start + 4));
    arrived = Math.max(arrived, u32(packet.buf, packet.start + 8));
    line.pool.release(packet);
  });
  const remote = endpointOf(to);
  const burst = Array.from({ length: BURST }, () => line.make(KIND.count, length));
  const sendBurst = (): void => {
    for (const { buf, start } of burst) putU32(buf, start + 4, ++sent);
    line.sendAll(burst, remote);
  };
  const run = (until: number): void => {
    while (performance.now() < until) {
      while (sent - newest <= WINDOW - BURST) sendBurst();
      // Nothing for so long: what is under way is lost.
      if (line.receive(BURST) === 0 && !line.wait(PATIENCE_MS)) newest = sent;
    }
  };
  run(performance.now() + warmUp(millis));
  const [before, begun] = [arrived, performance.now()];
  run(begun + millis);
  const passed = { count: arrived - before, seconds: (performance.now() - begun) / 1000, total: arrived };
  line.stop(remote);
  return passed;
}

/** Microseconds of each round trip. */
export function bounce(from: string, to: Place, length: number, millis: number): number[] {
  const micros: number[] = [];
  let back = false;
  const line = new Line(from, (packet) => {
    back = true;
    line.pool.release(packet);
  });
  const remote = endpointOf(to);
  const question = line.make(KIND.echo, length);
  const trip = (): void => {
    back = false;
    const begun = performance.now();
    line.send(question, remote);
    while (!back && performance.now() - begun < LOST_MS) if (line.receive(1) === 0) line.wait(PATIENCE_MS);
    if (back) micros.push((performance.now() - begun) * 1000);
  };
  for (const until = performance.now() + warmUp(millis); performance.now() < until; ) trip();
  micros.length = 0;
  for (const until = performance.now() + millis; performance.now() < until; ) trip();
  line.stop(remote);
  return micros;
}

/** A socket of this loop. */
class Line {
  readonly pool = new PacketPool(POOL, MAX_LENGTH);
  readonly #socket: BatchSocket;
  readonly #poll: PollSet;
  readonly #one: Packet[] = [];

  constructor(address: string, receive: Receive) {
    const local = endpointOf({ address, port: 0 });
    this.#socket = openNativeUdp({ local, pool: this.pool, receive, offload: { without: ['gso', 'gro'] } });
    this.#poll = new PollSet(requireSyscalls());
    this.#poll.add(this.#socket.fd);
  }

  get port(): number {
    return this.#socket.local.port;
  }

  make(kind: number, length: number): Packet {
    const packet = this.pool.take()!;
    packet.end = packet.start + length;
    packet.buf.fill(0, packet.start, packet.end);
    packet.buf[packet.start] = kind;
    return packet;
  }

  send(packet: Packet, to: Endpoint): void {
    this.#one[0] = packet;
    this.#socket.sendBatch(this.#one, 0, 1, to);
  }

  sendAll(packets: readonly Packet[], to: Endpoint): void {
    this.#socket.sendBatch(packets, 0, packets.length, to);
  }

  sendOctets(octets: Uint8Array, to: Endpoint): void {
    this.#socket.send(octets, 0, octets.length, to);
  }

  /** Takes what is there, at most `max`; gives how many. */
  receive(max: number): number {
    return this.#socket.drain(max);
  }

  wait(millis: number): boolean {
    return this.#poll.wait(millis) > 0;
  }

  /** Ends both sides. One datagram may be lost. */
  stop(remote: Endpoint): void {
    const last = this.make(KIND.stop, HEADER);
    for (let i = 0; i < 3; i++) this.send(last, remote);
    this.close();
  }

  close(): void {
    void this.#socket.close();
  }
}

const endpointOf = ({ address, port }: Place): Endpoint => ({ address: parseAddress(address)!, port });

/* kind (1) | reserved (3) | sequence (4) | arrived (4): the last one in what comes back */
const KIND = { echo: 1, count: 2, stop: 3 } as const;
const HEADER = 12;

function countMessage(newest: number, arrived: number): Uint8Array {
  const octets = new Uint8Array(HEADER);
  octets[0] = KIND.count;
  putU32(octets, 4, newest);
  putU32(octets, 8, arrived);
  return octets;
}

/** Datagrams of one system call, and those after which the reflector says how many arrived. */
const BURST = 32;
/** Datagrams under way: fewer than the queue of a TUN device holds (500). */
const WINDOW = 384;
const PATIENCE_MS = 5;
const LOST_MS = 250;
const POOL = 256;
const MAX_LENGTH = 2048;
