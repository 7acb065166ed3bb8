/**
 * How a scripted peer and whom it tests come together: it dials, or is dialled.
 *
 * Invariant: as with expectations, every wait ends by `patience` of the clock at the latest.
 */
import type { Endpoint } from '../../ip/index.ts';
import { PATIENCE, ScriptedPeer, type ScriptOptions } from './scripted-peer.ts';
import type { Clock, OctetStream, StreamTransport } from './stream.ts';

/** Dials; the error says why nothing came of it. */
export function dialPeer(
  transport: StreamTransport,
  to: Endpoint,
  clock: Clock,
  options: ScriptOptions = {},
): Promise<ScriptedPeer> {
  return new Promise((resolve, reject) => {
    const giveUp = transport.dial(to, up, failed);
    const cancel = clock.after(options.patience ?? PATIENCE, () => {
      giveUp();
      reject(new Error('expected a connection, came nothing'));
    });
    function up(stream: OctetStream): void {
      cancel();
      resolve(new ScriptedPeer(stream, clock, options));
    }
    function failed(why: string): void {
      cancel();
      reject(new Error(`expected a connection, came ${why}`));
    }
  });
}

export interface PeerListener {
  /** Where it accepts, with the port it was given where 0 was asked for. */
  readonly at: Endpoint;
  /** The next who dials, in the order in which they came. */
  next(): Promise<ScriptedPeer>;
  /** Takes no more; who came and was not asked for is aborted. */
  close(): void;
}

export function listenForPeers(
  transport: StreamTransport,
  at: Endpoint,
  clock: Clock,
  options: ScriptOptions = {},
): Promise<PeerListener> {
  const patience = options.patience ?? PATIENCE;
  const arrived: ScriptedPeer[] = [];
  const waiting: ((peer: ScriptedPeer) => void)[] = [];
  const taken = (stream: OctetStream): void => {
    const peer = new ScriptedPeer(stream, clock, options);
    const first = waiting.shift();
    if (first === undefined) arrived.push(peer);
    else first(peer);
  };
  const next = (): Promise<ScriptedPeer> =>
    new Promise((resolve, reject) => {
      const first = arrived.shift();
      if (first !== undefined) return resolve(first);
      const cancel = clock.after(patience, () => {
        waiting.splice(waiting.indexOf(come), 1);
        reject(new Error(`expected to be dialled, came nothing for ${patience} ms`));
      });
      const come = (peer: ScriptedPeer): void => {
        cancel();
        resolve(peer);
      };
      waiting.push(come);
    });
  return new Promise((resolve, reject) => {
    const cancel = clock.after(patience, () => reject(new Error('expected to accept, which is not possible')));
    const stop = transport.accept(at, taken, (bound) => {
      cancel();
      const close = (): void => {
        stop();
        for (const peer of arrived.splice(0)) peer.close(true);
      };
      resolve({ at: bound, next, close });
    });
  });
}
