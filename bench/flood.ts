/**
 * A flood of small UDP datagrams, and the sink that counts those that arrive: what `esp.ts` runs in the hosts at both ends.
 *
 *     flood.js sink ADDRESS SECONDS [LENGTH]         writes its port; then, when the time is over, what it counted
 *     flood.js send FROM TO PORT SECONDS [LENGTH]    writes what it sent
 *
 * Both are as fast as a plain program can be: 64 datagrams a system call, but neither UDP_SEGMENT nor UDP_GRO, with which the
 * hosts would hand over one large packet. The sink begins to count a while after the first datagram, when the queues on the way
 * are full, and the senders are to go on until it is done: what it counts is the steady state.
 */
import { type Endpoint, PacketPool, parseAddress } from '../src/ip/index.ts';
import { type BatchSocket, openNativeUdp, PollSet, requireSyscalls } from '../src/runtime/index.ts';

/** What either writes, as a line of JSON. */
export interface Flooded {
  readonly packets: number;
  readonly seconds: number;
}

/** Octets of UDP payload where none are given. */
const LENGTH = 64;
const BATCH = 64;
const RUN_IN_SECONDS = 0.3;
/** How long the sink waits for the first datagram. */
const PATIENCE_SECONDS = 10;

function send(from: string, to: string, port: number, seconds: number, length: number): void {
  const pool = new PacketPool(BATCH, length);
  const socket = open(from, pool);
  const packets = Array.from({ length: BATCH }, () => pool.take()!);
  for (const packet of packets) packet.end = packet.start + length;
  const remote: Endpoint = { address: parseAddress(to)!, port };
  const began = performance.now();
  while (performance.now() < began + 1000 * seconds) socket.sendBatch(packets, 0, BATCH, remote);
  report(socket.counters.sent, began);
}

function sink(address: string, seconds: number, length: number): void {
  const socket = open(address, new PacketPool(2 * BATCH, length));
  const waiting = new PollSet(requireSyscalls());
  waiting.add(socket.fd);
  process.stdout.write(`port ${socket.local.port}\n`);
  const readUntil = (end: number): void => {
    while (performance.now() < end) if (socket.drain(8 * BATCH) === 0) waiting.wait(20);
  };
  waiting.wait(1000 * PATIENCE_SECONDS);
  readUntil(performance.now() + 1000 * RUN_IN_SECONDS);
  const [before, began] = [socket.counters.received, performance.now()];
  readUntil(began + 1000 * seconds);
  report(socket.counters.received - before, began);
}

function open(address: string, pool: PacketPool): BatchSocket {
  const local: Endpoint = { address: parseAddress(address)!, port: 0 };
  return openNativeUdp({
    local,
    pool,
    receive: (packet) => pool.release(packet),
    offload: { without: ['gso', 'gro'] },
  });
}

function report(packets: number, began: number): void {
  const flooded: Flooded = { packets, seconds: (performance.now() - began) / 1000 };
  process.stdout.write(`${JSON.stringify(flooded)}\n`);
}

const [, , verb, ...words] = process.argv;
if (verb === 'send') send(words[0]!, words[1]!, Number(words[2]), Number(words[3]), Number(words[4] ?? LENGTH));
else if (verb === 'sink') sink(words[0]!, Number(words[1]), Number(words[2] ?? LENGTH));
