/**
 * Sender and receiver of the benches of BGP, the same for every daemon: two peers in one process, with one clock.
 *
 *     node traffic.js FEED FILE DAEMON PORT SENDER RECEIVER
 *
 * Octets are encoded beforehand; the receiver counts prefixes and nothing else. Writes one line of JSON when all has been withdrawn again.
 */
import { connect, type Socket } from 'node:net';
import {
  countNlri,
  encodeControlMessage,
  Framer,
  IPV4_UNICAST,
  KEEPALIVE,
  MESSAGE,
  newUpdateView,
  viewUpdate,
} from '../../src/bgp/message/index.ts';
import type { Bytes } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { type FeedName, feedOf, RECEIVER_AS, SENDER_AS } from './feeds.ts';

export interface Pass {
  /** Prefixes that arrived and were withdrawn, which may be fewer than were sent. */
  readonly arrived: number;
  readonly gone: number;
  readonly announceMillis: number;
  readonly withdrawMillis: number;
  readonly messages: number;
}

class TrafficPeer {
  announced = 0;
  withdrawn = 0;
  messages = 0;
  /** When the last prefix came. */
  last = 0;
  readonly #framer = new Framer();
  readonly #view = newUpdateView();
  readonly #socket: Socket;
  readonly established: Promise<void>;

  constructor(asn: number, from: string, to: string, port: number) {
    this.#socket = connect({ host: to, port, localAddress: from, noDelay: true });
    const capabilities = [
      { name: 'multiprotocol', family: IPV4_UNICAST },
      { name: 'fourOctetAs', asn },
    ] as const;
    const identifier = new DataView(parseAddress(from)!.slice().buffer).getUint32(0);
    this.#socket.write(
      encodeControlMessage({
        kind: 'open',
        version: 4,
        myAs: asn,
        holdSeconds: HOLD_SECONDS,
        identifier,
        capabilities,
      }),
    );
    setInterval(() => this.send(encodeControlMessage(KEEPALIVE)), (HOLD_SECONDS * 1000) / 3).unref();
    this.established = new Promise((resolve, reject) => {
      this.#socket.on('error', reject);
      this.#socket.on('close', () => reject(new Error('the daemon closed the connection')));
      this.#socket.on('data', (octets: Uint8Array) => this.#receive(octets, resolve, reject));
    });
  }

  send(octets: Bytes): void {
    this.#socket.write(octets);
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(octets: Uint8Array, established: () => void, refused: (why: Error) => void): void {
    this.#framer.push(octets);
    for (let frame = this.#framer.next(); frame !== undefined; frame = this.#framer.next()) {
      if (!frame.ok) return refused(new Error(frame.refusal.why));
      if (frame.type === MESSAGE.OPEN) this.send(encodeControlMessage(KEEPALIVE));
      else if (frame.type === MESSAGE.KEEPALIVE) established();
      else if (frame.type === MESSAGE.NOTIFICATION) {
        process.stderr.write(`NOTIFICATION ${frame.octets[19]}/${frame.octets[20]}\n`);
        return refused(new Error('NOTIFICATION'));
      } else if (frame.type === MESSAGE.UPDATE) this.#count(frame.octets);
    }
  }

  #count(update: Bytes): void {
    const view = this.#view;
    viewUpdate(view, update, 0);
    this.announced += countNlri(update, view.nlriAt, view.nlriEnd, 32, false);
    this.withdrawn += countNlri(update, view.withdrawnAt, view.withdrawnEnd, 32, false);
    this.messages += 1;
    this.last = performance.now();
  }
}

const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

/** Until all is there, or nothing has come for `QUIET`. Gives the time of the last prefix since `begun`. */
async function settled(peer: TrafficPeer, begun: number, all: () => boolean): Promise<number> {
  while (!all() && performance.now() - Math.max(peer.last, begun) < QUIET) await sleep(5);
  return Math.max(0, peer.last - begun);
}

async function main([feedName, file, daemon, port, senderAt, receiverAt]: readonly string[]): Promise<void> {
  const feed = feedOf(feedName as FeedName, file!, parseAddress(senderAt!)!);
  const sender = new TrafficPeer(SENDER_AS, senderAt!, daemon!, Number(port));
  const receiver = new TrafficPeer(RECEIVER_AS, receiverAt!, daemon!, Number(port));
  await Promise.all([sender.established, receiver.established]);
  // Daemons that wait for End-of-RIB or for a first batch have it behind them.
  await sleep(SETTLE);
  let begun = performance.now();
  sender.send(feed.announce);
  const announceMillis = await settled(receiver, begun, () => receiver.announced >= feed.prefixes);
  process.stdout.write('announced\n');
  await sleep(SETTLE);
  begun = performance.now();
  sender.send(feed.withdraw);
  const withdrawMillis = await settled(receiver, begun, () => receiver.withdrawn >= receiver.announced);
  const { announced: arrived, withdrawn: gone, messages } = receiver;
  const pass: Pass = { arrived, gone, announceMillis, withdrawMillis, messages };
  process.stdout.write(`${JSON.stringify(pass)}\n`);
  sender.close();
  receiver.close();
  await sleep(50);
}

/** GoBGP 3.10 takes a hold time of 0 for the time that it may take to write. */
const HOLD_SECONDS = 90;
const QUIET = 8_000;
const SETTLE = 1_500;

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: Error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  },
);
