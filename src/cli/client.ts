/**
 * The control API from the command line's side. Whatever goes wrong on the way becomes a CliError with the right exit code.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { Envelope, ErrorEnvelope } from '../api/envelope.ts';
import { TimeLimit } from '../api/time-limit.ts';
import { DEFAULT_LISTEN } from '../config/contract.ts';
import { type Call, CliError, EXIT } from './io.ts';

export interface Client {
  /** The items of the answer. `waitSeconds` is added to the time the answer may take. */
  call<T>(method: string, path: string, body?: unknown, waitSeconds?: number): Promise<readonly T[]>;
  /** One item a line, as they come. */
  stream<T>(path: string, body: unknown): AsyncGenerator<T>;
}

export function clientFor(call: Call): Client {
  const listen = String(call.options.api ?? DEFAULT_LISTEN);
  if (!listen.startsWith('unix:/')) {
    throw new CliError(EXIT.usage, 'usage', `--api must be unix: and an absolute path, not ${listen}`, '');
  }
  const path = listen.slice('unix:'.length);
  const { fetch, signal } = call.io;
  const send = async (method: string, url: string, body: unknown, ends: AbortSignal): Promise<Response> => {
    const init =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
    const request = new Request(`http://gateway${url}`, { method, ...init, signal: ends });
    try {
      const response = await (fetch ?? overSocket(path))(request);
      if (!response.ok) throw await refusal(response);
      return response;
    } catch (error) {
      throw error instanceof CliError ? error : unreachable(error, path, signal.aborted);
    }
  };
  return {
    async call<T>(method: string, url: string, body?: unknown, waitSeconds = 0): Promise<readonly T[]> {
      const limit = new TimeLimit(signal, ANSWER_MS + waitSeconds * 1000);
      try {
        const response = await send(method, url, body, limit.signal);
        return ((await response.json()) as Envelope<T>).items;
      } finally {
        limit.end();
      }
    },
    async *stream<T>(url: string, body: unknown): AsyncGenerator<T> {
      const response = await send('POST', url, body, signal);
      yield* lines<T>(response);
    },
  };
}

/** How long a living gateway may think. */
const ANSWER_MS = 10_000;

async function* lines<T>(response: Response): AsyncGenerator<T> {
  const decoder = new TextDecoder();
  let held = '';
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    held += decoder.decode(chunk, { stream: true });
    for (let end = held.indexOf('\n'); end >= 0; end = held.indexOf('\n')) {
      yield JSON.parse(held.slice(0, end)) as T;
      held = held.slice(end + 1);
    }
  }
}

async function refusal(response: Response): Promise<CliError> {
  const answer = (await response.json().catch(() => undefined)) as ErrorEnvelope | undefined;
  const { code, problem, advice } = answer?.error ?? {
    code: 'protocol',
    problem: `the gateway answered ${response.status}`,
    advice: '',
  };
  return new CliError(response.status === 403 ? EXIT.permission : EXIT.error, code, problem, advice);
}

function unreachable(error: unknown, path: string, interrupted: boolean): CliError {
  const { code, name, message } = error as NodeJS.ErrnoException;
  if (interrupted) return new CliError(EXIT.error, 'interrupted', 'interrupted', '');
  if (code === 'EACCES' || code === 'EPERM') {
    return new CliError(
      EXIT.permission,
      'permission',
      `no permission to open ${path}`,
      'Run this as the user the gateway runs as.',
    );
  }
  const advice = 'Start one with: bulkhead run -c gateway.yaml. Its control socket is named by --api or BULKHEAD_API.';
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new CliError(EXIT.unreachable, 'unreachable', `no gateway answers on ${path}`, advice);
  }
  const why = name === 'TimeoutError' ? `no answer within ${ANSWER_MS / 1000} s` : message;
  return new CliError(EXIT.unreachable, 'unreachable', `the gateway on ${path} cannot be asked: ${why}`, advice);
}

/** fetch over a UNIX socket. */
const overSocket =
  (socketPath: string) =>
  async (request: Request): Promise<Response> => {
    const body = request.body === null ? undefined : await request.text();
    const { pathname, search } = new URL(request.url);
    const headers = {
      ...Object.fromEntries(request.headers),
      ...(body === undefined ? {} : { 'content-length': `${Buffer.byteLength(body)}` }),
    };
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      const options = {
        socketPath,
        path: pathname + search,
        method: request.method,
        headers,
        signal: request.signal,
        agent: false as const,
      };
      const outgoing = httpRequest(options, resolve);
      outgoing.once('error', (error) => reject(request.signal.aborted ? (request.signal.reason as Error) : error));
      outgoing.end(body);
    });
    return new Response(Readable.toWeb(incoming) as unknown as ReadableStream, {
      status: incoming.statusCode ?? 500,
      headers: { 'content-type': incoming.headers['content-type'] ?? '' },
    });
  };
