/**
 * The control API on a UNIX socket: node:http on one side, Request and Response on the other.
 *
 * The socket is made with mode 0600. A file left by a gateway that died is removed only when it is a socket and nobody answers
 * on it. Closing ends idle clients at once and waits for requests in progress.
 * Limits: MAX_CLIENTS at a time; a request must be complete within REQUEST_TIMEOUT_MS (answers may take longer: `wait`, `ping`).
 */
import { chmodSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { errorEnvelope } from './envelope.ts';

export const MAX_CLIENTS = 64;
export const REQUEST_TIMEOUT_MS = 10_000;

export type Handler = (request: Request) => Response | Promise<Response>;

export interface ApiServer {
  readonly path: string;
  /** Resolves when the socket is gone; what still runs after `graceMs` is cut. */
  close(graceMs?: number): Promise<void>;
}

/** `listen` is `unix:/path`. Throws with a sentence when another gateway has it or the place cannot be written. */
export async function serveApi(handler: Handler, listen: string): Promise<ApiServer> {
  const path = listen.replace(/^unix:/, '');
  await clearPlace(path);
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (incoming, outgoing) => {
      bridge(handler, incoming, outgoing).catch(() => outgoing.destroy());
    },
  );
  server.maxConnections = MAX_CLIENTS;
  await listenPrivately(server, path);
  return { path, close: (graceMs = 1000) => close(server, graceMs) };
}

async function clearPlace(path: string): Promise<void> {
  try {
    mkdirSync(dirname(path), { mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket: it stays; choose another place`);
  if (await answers(path)) throw new Error(`another gateway answers on ${path}`);
  unlinkSync(path);
}

/** Only a refused connection proves that nobody listens. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const done = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => done(true));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    );
  });
}

/** The socket file is created inside `listen`, so the mask holds just for it: nobody can open it before its mode is right. */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.removeListener('error', reject);
        chmodSync(path, 0o600);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}

async function bridge(handler: Handler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.once('close', () => gone.abort());
  const response = await answer(handler, incoming, gone.signal);
  outgoing.statusCode = response.status;
  for (const [name, value] of response.headers) outgoing.setHeader(name, value);
  // A body nobody read to its end leaves the connection in the middle of a request.
  if (!incoming.complete) outgoing.setHeader('connection', 'close');
  if (response.body === null) {
    outgoing.end();
    return;
  }
  const reader = response.body.getReader();
  gone.signal.addEventListener('abort', () => void reader.cancel().catch(() => undefined));
  outgoing.flushHeaders();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (gone.signal.aborted) return;
    if (!outgoing.write(part.value)) await drained(outgoing, gone.signal);
  }
  outgoing.end();
}

async function answer(handler: Handler, incoming: IncomingMessage, signal: AbortSignal): Promise<Response> {
  try {
    return await handler(requestOf(incoming, signal));
  } catch {
    const body = errorEnvelope('bad-request', 'the request cannot be read', 'See GET /v1 for the paths.');
    return Response.json(body, { status: 400 });
  }
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  const method = incoming.method ?? 'GET';
  const hasBody = method !== 'GET' && method !== 'HEAD';
  const url = new URL(incoming.url ?? '/', 'http://gateway');
  const body = hasBody ? { body: Readable.toWeb(incoming), duplex: 'half' } : {};
  return new Request(url, { method, headers, signal, ...body } as unknown as RequestInit);
}

function drained(outgoing: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.removeListener('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    outgoing.once('drain', done);
    signal.addEventListener('abort', done);
  });
}
