/**
 * UDP sockets, each bound to one address of the gateway, so that answers leave from where the question came to.
 *
 * Two implementations behind one contract: system calls (several times faster, sees and sets TOS and DF) where a Readiness
 * is given, and node:dgram, which needs no rights and no native code, and works wherever Node does.
 * Deliberate limit of node:dgram: TOS and DF stay as the kernel chooses, and the TOS of what comes in is unknown.
 */
import { createSocket, type Socket } from 'node:dgram';
import { type Endpoint, formatAddress, type PacketPool, parseAddress } from '../ip/index.ts';
import { NativeSocket } from './native-socket.ts';
import type { SocketOffloadOptions } from './offload.ts';
import type { Readiness } from './readiness.ts';
import {
  type BatchSocket,
  type DatagramSocket,
  FAILED,
  type Receive,
  SENT,
  type SendResult,
  socketCounters,
  UNKNOWN_TOS,
} from './socket.ts';
import { SystemError } from './syscalls.ts';

export interface UdpOptions {
  /** Port 0 takes any free one. */
  readonly local: Endpoint;
  readonly pool: PacketPool;
  readonly receive: Receive;
  /** Undefined: node:dgram. */
  readonly readiness?: Readiness | undefined;
  /** Other sockets may have the same address and port; of system calls only. */
  readonly shared?: boolean | undefined;
  /** It only sends; of system calls only. */
  readonly deaf?: boolean | undefined;
  /** Many datagrams at once, where a Readiness is given; undefined: one by one. */
  readonly offload?: SocketOffloadOptions | undefined;
  /** What to say for an errno of binding; default: of the ports of IKE. */
  readonly advice?: Readonly<Record<string, string>> | undefined;
}

/** A bound socket; rejects with SystemError, whose text says what to do. */
export async function openUdp(options: UdpOptions): Promise<DatagramSocket> {
  const { readiness } = options;
  if (readiness !== undefined) return openNativeUdp(options);
  const socket = new NodeSocket(options);
  await socket.bind();
  return socket;
}

/**
 * A socket of system calls, at once; throws SystemError. Without a Readiness nothing is read until its owner calls `drain`: for
 * a thread that waits with a PollSet.
 */
export function openNativeUdp(options: UdpOptions): BatchSocket {
  return new NativeSocket({ ...options, kind: 'udp', advice: options.advice ?? UDP_ADVICE });
}

class NodeSocket implements DatagramSocket {
  readonly carrier = 'udp';
  readonly features = { native: false, tos: false, df: false, receivesTos: false };
  readonly counters = socketCounters();
  readonly #options: UdpOptions;
  readonly #socket: Socket;
  #local: Endpoint;
  #from: { readonly text: string; readonly endpoint: Endpoint } | undefined;
  #to: { readonly text: string; readonly endpoint: Endpoint } | undefined;
  #open = true;

  constructor(options: UdpOptions) {
    this.#options = options;
    this.#local = options.local;
    const ipv6 = options.local.address.length === 16;
    this.#socket = createSocket({
      type: ipv6 ? 'udp6' : 'udp4',
      ipv6Only: ipv6,
      // Endpoints are addresses already: answered at once, so that `send` reaches the kernel before it returns.
      lookup: (host, _options, answer) => answer(null, host, ipv6 ? 6 : 4),
    });
  }

  get local(): Endpoint {
    return this.#local;
  }

  bind(): Promise<void> {
    const { local, pool, receive, advice = UDP_ADVICE } = this.#options;
    return new Promise((resolve, reject) => {
      this.#socket.once('error', (error: NodeJS.ErrnoException) => {
        const code = error.code ?? 'EIO';
        reject(new SystemError(`UDP on ${formatAddress(local.address)} port ${local.port}`, code, advice[code] ?? ''));
      });
      this.#socket.bind({ address: formatAddress(local.address), port: local.port, exclusive: true }, () => {
        this.#socket.removeAllListeners('error');
        this.#socket.on('error', () => {
          this.counters.errors += 1;
        });
        this.#socket.on('message', (octets, { address, port }) => {
          const packet = pool.from(octets);
          if (packet === undefined) {
            this.counters.dropped += 1;
            return;
          }
          this.counters.received += 1;
          receive(packet, this.#sender(address, port), UNKNOWN_TOS);
        });
        this.#local = { address: local.address, port: this.#socket.address().port };
        resolve();
      });
    });
  }

  send(buf: Uint8Array, start: number, end: number, remote: Endpoint): SendResult {
    if (!this.#open) {
      this.counters.refused += 1;
      return FAILED;
    }
    if (this.#to?.endpoint !== remote) this.#to = { text: formatAddress(remote.address), endpoint: remote };
    // A copy: what the kernel does not take at once waits in a queue of libuv's.
    this.#socket.send(buf.slice(start, end), remote.port, this.#to!.text, (error) => {
      if (error === null) return;
      this.counters.errors += 1;
    });
    this.counters.sent += 1;
    return SENT;
  }

  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await new Promise<void>((resolve) => this.#socket.close(resolve));
  }

  #sender(text: string, port: number): Endpoint {
    if (this.#from?.text !== text || this.#from.endpoint.port !== port) {
      const address = parseAddress(text.replace(/%.*$/, ''))!;
      this.#from = { text, endpoint: { address, port } };
    }
    return this.#from.endpoint;
  }
}

const UDP_ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'Another IKE daemon holds the port: stop it, or set gateway.external.ports',
  EACCES: 'Ports below 1024 need root or CAP_NET_BIND_SERVICE; or set gateway.external.ports',
  EPERM: 'Ports below 1024 need root or CAP_NET_BIND_SERVICE; or set gateway.external.ports',
  EADDRNOTAVAIL: 'This host does not have the address: add it to an interface, or correct gateway.external.addresses',
};
