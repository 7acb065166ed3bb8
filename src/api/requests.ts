/** What comes in with a request, bounded and checked: bodies, waits, ping orders. Everything wrong is an ApiProblem. */
import { ROUTE_ORIGINS, type RouteQuery } from '../compartment/index.ts';
import { parseFlow, type TraceOrder } from '../gateway/index.ts';
import { ipv4Number, type Prefix, parseAddress, parsePrefix, protocolNumber } from '../ip/index.ts';
import type { NatSessionFilter } from '../nat/index.ts';
import { ApiProblem, type PingOrder, type SaKind } from './backend.ts';

/** Octets of a request body; the largest one needed is a folder name. */
export const BODY_LIMIT = 16 * 1024;
export const WAIT_LIMIT_SECONDS = 3600;
export const PING_LIMIT = 10_000;

type Fields = Readonly<Record<string, unknown>>;

/** A JSON object; nothing at all is an empty one. `known` are the keys it may have. */
export async function readBody(request: Request, known: readonly string[]): Promise<Fields> {
  const declared = Number(request.headers.get('content-length') ?? 0);
  const text = declared > BODY_LIMIT ? undefined : await boundedText(request);
  if (text === undefined) {
    throw new ApiProblem(413, 'too-large', `the body is longer than ${BODY_LIMIT} octets`, 'Send less.');
  }
  if (text.trim() === '') return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad('the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('the body is not a JSON object');
  const other = Object.keys(value).find((key) => !known.includes(key));
  if (other !== undefined) throw bad(`unknown field ${JSON.stringify(other.slice(0, 64))}; known: ${known.join(', ')}`);
  return value as Fields;
}

export const readWait = (fields: Fields): number => number(fields, 'wait', 0, 0, WAIT_LIMIT_SECONDS);

export function readWhat(fields: Fields, fallback: SaKind): SaKind {
  const what = fields.what ?? fallback;
  if (what !== 'ike' && what !== 'child') throw bad('what must be ike or child');
  return what;
}

export function readPing(fields: Fields): PingOrder {
  const destination = readText(fields, 'destination');
  if (destination === undefined) throw bad('destination is needed');
  const source = readText(fields, 'source');
  return {
    destination,
    ...(source === undefined ? {} : { source }),
    count: number(fields, 'count', 4, 1, PING_LIMIT),
    intervalMs: number(fields, 'intervalMs', 1000, 10, 60_000),
    timeoutMs: number(fields, 'timeoutMs', 2000, 10, 60_000),
    size: number(fields, 'size', 56, 0, 9000),
    ttl: number(fields, 'ttl', 64, 1, 255),
  };
}

export function readKeysOrder(fields: Fields): { readonly enabled: boolean; readonly folder: string | undefined } {
  if (typeof fields.enabled !== 'boolean') throw bad('enabled must be true or false');
  return { enabled: fields.enabled, folder: readText(fields, 'folder') };
}

/** `inner` and `remote` as `IP` or `IP:PORT`, `protocol` by name or number; what is left out fits everything. */
export function readNatFilter(fields: Fields): NatSessionFilter {
  const [inner, remote] = [endpoint(fields, 'inner'), endpoint(fields, 'remote')];
  const word = readText(fields, 'protocol');
  const protocol = word === undefined ? undefined : protocolNumber(word);
  if (word !== undefined && protocol === undefined) throw bad('protocol must be tcp, udp, icmp or a number');
  return {
    ...(protocol === undefined ? {} : { protocol }),
    ...(inner === undefined ? {} : { innerAddress: inner.address }),
    ...(inner?.port === undefined ? {} : { innerPort: inner.port }),
    ...(remote === undefined ? {} : { remoteAddress: remote.address }),
    ...(remote?.port === undefined ? {} : { remotePort: remote.port }),
  };
}

export const TRACE_FIELDS = 'packet from size ttl mayFragment established'.split(' ');
const [, PLACE = ''] = TRACE_FIELDS;

export function readTrace(fields: Fields, tenant: string): TraceOrder & { readonly text: string } {
  const words = readText(fields, 'packet');
  if (words === undefined) throw bad('packet is needed');
  const flow = parseFlow(words);
  if (flow === undefined)
    throw bad('packet must be like "tcp 10.1.0.10:5000 > 192.168.7.7:443", "udp …" or "icmp 10.1.0.10 > 192.168.7.7"');
  const [mayFragment, established] = [readFlag(fields, 'mayFragment'), readFlag(fields, 'established')];
  return {
    text: words,
    tenant,
    from: readText(fields, PLACE),
    flow,
    size: number(fields, 'size', 100, 28, 65_535),
    hopLimit: number(fields, 'ttl', 64, 1, 255),
    dontFragment: !mayFragment,
    opens: !established,
  };
}

/** Without a tenant: all. Infinity: until the asker goes. */
export function readTap(fields: Fields): {
  readonly tenant: string | undefined;
  readonly count: number;
  readonly seconds: number | undefined;
} {
  const { count, seconds } = fields;
  return {
    tenant: readText(fields, 'tenant'),
    count: count === undefined ? Number.POSITIVE_INFINITY : number(fields, 'count', 1, 1, 1_000_000),
    seconds: seconds === undefined ? undefined : number(fields, 'seconds', 1, 0.1, 86_400),
  };
}

type Query = Readonly<Record<string, string>>;

export const PAGE = '?offset=N&limit=N&within=PREFIX';

/** Part of a long table: ROUTES where nobody says, at most ROUTES_MOST. */
export function readPage(query: Query): { readonly offset: number; readonly limit: number; readonly within?: Prefix } {
  const offset = readWhole(query.offset ?? '0', 'offset', 0, 1_000_000_000);
  const limit = readWhole(query.limit ?? `${ROUTES}`, 'limit', 1, ROUTES_MOST);
  return { offset, limit, ...readPrefix(query, 'within') };
}

export const ROUTE_QUERY = `${PAGE}&prefix=PREFIX&origin=LIST`;

export function readRouteQuery(query: Query): RouteQuery {
  const page = { ...readPage(query), ...readPrefix(query, 'prefix') };
  if (query.origin === undefined) return page;
  const origins = query.origin.split(',').map((word) => {
    const origin = ROUTE_ORIGINS.find((known) => known === word);
    if (origin === undefined) throw bad(`origin must be of ${ROUTE_ORIGINS.join(', ')}, several with commas`);
    return origin;
  });
  return { ...page, origins };
}

function readPrefix<K extends string>(query: Query, name: K): { readonly [_ in K]?: Prefix } {
  const text = query[name];
  if (text === undefined) return {};
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw bad(`${name} must be a prefix`);
  return { [name]: prefix } as { readonly [_ in K]?: Prefix };
}

/** A whole number in the query of a path. */
export function readWhole(value: string | undefined, name: string, min: number, max: number): number {
  const number = Number(value);
  if (value !== undefined && /^\d{1,10}$/.test(value) && number >= min && number <= max) return number;
  throw bad(`${name} must be a whole number from ${min} to ${max}`);
}

function endpoint(fields: Fields, name: string): { readonly address: number; readonly port?: number } | undefined {
  const value = readText(fields, name);
  if (value === undefined) return undefined;
  const [, host = '', digits] = /^([^:]*)(?::(\d{1,5}))?$/.exec(value) ?? [];
  const address = parseAddress(host);
  if (address?.length !== 4 || Number(digits ?? 0) > 0xffff)
    throw bad(`${name} must be an IPv4 address, with a port or without`);
  return { address: ipv4Number(address), ...(digits === undefined ? {} : { port: Number(digits) }) };
}

export function unknown(kind: string, name: string, known: readonly string[]): ApiProblem {
  const advice =
    known.length === 0
      ? `There is no ${kind}.`
      : `Known: ${known.slice(0, 20).join(', ')}${known.length > 20 ? ' …' : ''}.`;
  return new ApiProblem(404, 'not-found', `there is no ${kind} ${JSON.stringify(name.slice(0, 64))}`, advice);
}

export const bad = (problem: string): ApiProblem =>
  new ApiProblem(400, 'bad-request', problem, 'See GET /v1 for the paths and their fields.');

function number(fields: Fields, name: string, fallback: number, min: number, max: number): number {
  const value = fields[name] ?? fallback;
  if (typeof value === 'number' && value >= min && value <= max) return value;
  throw bad(`${name} must be a number from ${min} to ${max}`);
}

export function readFlag(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false;
  if (typeof value !== 'boolean') throw bad(`${name} must be true or false`);
  return value;
}

export function readText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || value === '' || value.length > 4096) throw bad(`${name} must be text`);
  return value;
}

async function boundedText(request: Request): Promise<string | undefined> {
  if (request.body === null) return '';
  const decoder = new TextDecoder();
  let [text, octets] = ['', 0];
  for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
    octets += chunk.length;
    if (octets > BODY_LIMIT) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

const ROUTES = 100;
const ROUTES_MOST = 10_000;
