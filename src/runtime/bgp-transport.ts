/**
 * TCP of the host for BGP: dials and accepts, and gives octets in pieces of bounded length.
 *
 * Deliberate limits of node:net: no hop limit and no TCP MD5 or AO (RFC 5082, RFC 2385, RFC 5925); peers of tenants are reached by the TCP of
 * their compartment, not by this one. The well-known port 179 wants a privilege; any other may be given.
 * Invariant: after `close`, and after `closed` was told, no handler is called.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { Clock, OctetStream, StreamHandlers, StreamTransport } from '../bgp/script/index.ts';
import type { Bytes } from '../core/index.ts';
import { type Endpoint, formatAddress, parseAddress } from '../ip/index.ts';
import { after, monotonicMillis } from './clock.ts';

/** IANA: bgp. */
export const BGP_PORT = 179;

export interface TcpOptions {
  /** Where connections of ours come from. */
  readonly from?: Endpoint['address'];
  readonly dialMillis?: number;
  /** A listener that could not be opened, or failed. */
  readonly problem: (why: string) => void;
}

export function tcpTransport(options: TcpOptions): StreamTransport {
  return {
    dial: (to, up, failed) => dial(to, options, up, failed),
    accept: (at, taken, ready) => accept(at, options, taken, ready),
  };
}

export const realClock: Clock = { now: monotonicMillis, after };

function dial(
  to: Endpoint,
  { from, dialMillis = DIAL_MILLIS }: TcpOptions,
  up: (stream: OctetStream) => void,
  failed: (why: string) => void,
): () => void {
  const socket = connect({
    host: formatAddress(to.address),
    port: to.port,
    noDelay: true,
    ...(from === undefined ? {} : { localAddress: formatAddress(from) }),
  });
  const fail = (why: string): void => {
    socket.removeAllListeners().on('error', () => {});
    socket.destroy();
    failed(why);
  };
  socket.setTimeout(dialMillis, () => fail(`no answer in ${dialMillis} ms`));
  socket.once('error', (error) => fail(error.message));
  socket.once('connect', () => {
    socket.setTimeout(0);
    socket.removeAllListeners();
    up(new TcpStream(socket));
  });
  return () => {
    socket.removeAllListeners().on('error', () => {});
    socket.destroy();
  };
}

function accept(
  at: Endpoint,
  { problem }: TcpOptions,
  taken: (stream: OctetStream) => void,
  ready: (at: Endpoint) => void = () => {},
): () => void {
  const server = createServer({ noDelay: true }, (socket) => taken(new TcpStream(socket)));
  server.on('error', (error) => problem(error.message));
  server.listen({ host: formatAddress(at.address), port: at.port }, () => {
    const bound = server.address();
    ready(bound === null || typeof bound === 'string' ? at : { ...at, port: bound.port });
  });
  return () => server.close();
}

class TcpStream implements OctetStream {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  readonly #socket: Socket;
  #handlers: StreamHandlers | undefined;
  #closed = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.local = endpoint(socket.localAddress, socket.localPort);
    this.remote = endpoint(socket.remoteAddress, socket.remotePort);
    // Until somebody is attached nothing is read; an error in between is told then.
    socket.pause();
    socket.on('error', (error) => this.#end(error.message));
    socket.on('close', () => this.#end('connection closed'));
  }

  attach(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    if (this.#socket.destroyed) queueMicrotask(() => this.#end('connection closed'));
    this.#socket.on('data', (octets: Uint8Array) => this.#receive(octets));
    this.#socket.on('end', () => this.#end('closed by the peer'));
    this.#socket.resume();
  }

  write(octets: Bytes): void {
    if (this.#closed) return;
    this.#socket.write(octets, () => {
      if (!this.#closed) this.#handlers?.drained?.(this.#socket.writableLength);
    });
  }

  close(abort: boolean): void {
    this.#closed = true;
    if (abort) this.#socket.resetAndDestroy();
    else this.#finish();
  }

  #receive(octets: Uint8Array): void {
    // A Buffer would give views where a `slice` of octets is to be a copy.
    const plain = new Uint8Array(octets.buffer, octets.byteOffset, octets.length);
    for (let at = 0; at < plain.length && !this.#closed; at += MOST_OCTETS) {
      this.#handlers?.octets(plain.subarray(at, at + MOST_OCTETS));
    }
  }

  #end(why: string): void {
    if (this.#closed || this.#handlers === undefined) return;
    this.#closed = true;
    this.#finish();
    this.#handlers.closed(why);
  }

  /** FIN after what was written; a peer that takes nothing is not waited for. */
  #finish(): void {
    this.#socket.end();
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), LINGER_MILLIS).unref();
  }
}

function endpoint(address: string | undefined, port: number | undefined): Endpoint {
  const plain = address?.startsWith('::ffff:') === true ? address.slice('::ffff:'.length) : address;
  return { address: parseAddress(plain ?? '0.0.0.0') ?? new Uint8Array(4), port: port ?? 0 };
}

const DIAL_MILLIS = 30_000;
const LINGER_MILLIS = 2_000;
/** What one event hands over: a deadline never waits longer than for this. */
const MOST_OCTETS = 65_536;
