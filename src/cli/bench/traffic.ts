/**
 * A process that makes traffic inside a network namespace: `bulkhead bench-traffic`, started by `bench` and by nobody else.
 *
 * Ends when its standard input does, so that it never outlives who started it. TCP by node:net; datagrams by system calls in a
 * loop of their own (`datagrams.ts`), during which nothing else happens here.
 */
import { writeFileSync } from 'node:fs';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { EXIT, type Exit } from '../io.ts';
import { bounce, flood, reflect } from './datagrams.ts';
import { type Order, type Passed, type Place, warmUp } from './orders.ts';

export async function traffic(): Promise<Exit> {
  const answer = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      await obey(JSON.parse(line) as Order, answer);
    } catch (error) {
      answer({ problem: (error as Error).message });
    }
  }
  return EXIT.ok;
}

async function obey(order: Order, answer: (value: object) => void): Promise<void> {
  switch (order.do) {
    case 'congestion':
      writeFileSync('/proc/sys/net/ipv4/tcp_congestion_control', order.algorithm);
      return answer({});
    case 'serve':
      return answer({ port: await serve(order.address) });
    case 'pull':
      return answer(await pull(order.from, order.to, order.millis));
    case 'reflect':
      return reflect(order.address, order.millis, (port) => answer({ port }));
    case 'flood':
      return answer(flood(order.from, order.to, order.length, order.millis));
    case 'bounce':
      return answer({ micros: bounce(order.from, order.to, order.length, order.millis) });
  }
}

/** The process ends although it serves: the server is not waited for. */
function serve(address: string): Promise<number> {
  const server = createServer({ highWaterMark: CHUNK.length }, (client) => {
    const fill = (): void => {
      while (!client.destroyed && client.write(CHUNK));
    };
    client.unref();
    client.on('drain', fill);
    // Whoever pulls goes away in the middle of the stream.
    client.on('error', () => {});
    fill();
  }).unref();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, address, () => {
      const bound = server.address();
      if (bound !== null && typeof bound === 'object') resolve(bound.port);
    });
  });
}

function pull(from: string, to: Place, millis: number): Promise<Passed> {
  let [total, before] = [0, 0];
  return new Promise((resolve, reject) => {
    const socket: Socket = connectTcp({
      host: to.address,
      port: to.port,
      localAddress: from,
      onread: {
        buffer: Buffer.alloc(CHUNK.length),
        callback: (octets) => {
          total += octets;
          return true;
        },
      },
    });
    const refuse = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    const late = setTimeout(() => refuse(new Error(`no TCP connection to ${to.address}`)), CONNECT_MS);
    socket.once('error', refuse);
    socket.once('connect', () => {
      clearTimeout(late);
      setTimeout(() => {
        before = total;
        const begun = performance.now();
        setTimeout(() => {
          const seconds = (performance.now() - begun) / 1000;
          socket.destroy();
          resolve({ count: total - before, seconds, total });
        }, millis);
      }, warmUp(millis));
    });
  });
}

/** What one write and one read take. */
const CHUNK = Buffer.alloc(256 << 10);
const CONNECT_MS = 5000;
