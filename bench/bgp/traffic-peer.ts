/** A peer of the benches of BGP: says octets that were made beforehand, and counts what comes. */
import { connect, type Socket } from 'node:net';
import {
  countNlri,
  encodeControlMessage,
  Framer,
  IPV4_UNICAST,
  KEEPALIVE,
  MESSAGE,
  newUpdateView,
  type UpdateView,
  viewUpdate,
} from '../../src/bgp/message/index.ts';
import type { Bytes } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';

export class TrafficPeer {
  announced = 0;
  withdrawn = 0;
  messages = 0;
  /** When the last prefix came. */
  last = 0;
  /** Sees each UPDATE before it is counted. */
  look: ((update: Bytes, view: UpdateView) => void) | undefined;
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
    this.look?.(update, view);
    this.announced += countNlri(update, view.nlriAt, view.nlriEnd, 32, false);
    this.withdrawn += countNlri(update, view.withdrawnAt, view.withdrawnEnd, 32, false);
    this.messages += 1;
    this.last = performance.now();
  }
}

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

/** The process ends with `main`. */
export function run(main: (words: readonly string[]) => Promise<void>): void {
  main(process.argv.slice(2)).then(
    () => process.exit(0),
    (error: Error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    },
  );
}

/** GoBGP 3.10 takes a hold time of 0 for the time that it may take to write. */
const HOLD_SECONDS = 90;
