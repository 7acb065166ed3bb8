/**
 * Sender and receiver of the benches of BGP, the same for every daemon: two peers in one process, with one clock.
 *
 *     node traffic.js FEED FILE DAEMON PORT SENDER RECEIVER
 *
 * Octets are encoded beforehand; the receiver counts prefixes and nothing else. Writes one line of JSON when all has been withdrawn again.
 */
import { parseAddress } from '../../src/ip/index.ts';
import { type FeedName, feedOf, RECEIVER_AS, SENDER_AS } from './feeds.ts';
import { run, sleep, TrafficPeer } from './traffic-peer.ts';

export interface Pass {
  /** Prefixes that arrived and were withdrawn, which may be fewer than were sent. */
  readonly arrived: number;
  readonly gone: number;
  readonly announceMillis: number;
  readonly withdrawMillis: number;
  readonly messages: number;
}

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

const QUIET = 8_000;
const SETTLE = 1_500;

run(main);
