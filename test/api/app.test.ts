import { describe, expect, test } from 'vitest';
import { ApiProblem, createApi, PATHS } from '../../src/api/index.ts';
import { pfx } from '../support/packets.ts';
import { childSa, FakeBackend, GATEWAY, ikeSa, ROUTES, TENANTS } from './fake-backend.ts';

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function ask(backend: FakeBackend, method: string, path: string, body?: unknown): Promise<Answer> {
  const text = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  const response = await createApi(backend).request(path, { method, ...(text === undefined ? {} : { body: text }) });
  return { status: response.status, body: await response.json() };
}

const get = (backend: FakeBackend, path: string): Promise<Answer> => ask(backend, 'GET', path);
const items = (kind: string, ...list: unknown[]) => ({ status: 200, body: { schemaVersion: 1, kind, items: list } });
const error = (status: number, code: string, problem: string, advice: string) => ({
  status,
  body: { schemaVersion: 1, kind: 'error', error: { code, problem, advice } },
});
const SEE = 'See GET /v1 for the paths and their fields.';

describe('reading', () => {
  const backend = new FakeBackend();
  backend.replace('fabrikam', 'hq', { ikeSas: [ikeSa(1)], childSas: [childSa(4)] });
  const [hq, second, branch] = backend.list;
  const sas = [
    { sa: 'ike', tenant: 'fabrikam', connection: 'hq', ...ikeSa(1) },
    { sa: 'child', ...childSa(4) },
  ];
  const [route, other] = ROUTES;

  test.each([
    ['/v1', items('paths', ...PATHS)],
    ['/v1/status', items('status', GATEWAY)],
    ['/v1/tenants', items('tenants', ...TENANTS)],
    ['/v1/tenants/contoso', items('tenants', TENANTS[1])],
    ['/v1/tenants/fabrikam/routes', items('routes', route, other)],
    ['/v1/tenants/fabrikam/routes?offset=1&limit=1', items('routes', other)],
    ['/v1/tenants/contoso/routes', items('routes')],
    [
      '/v1/tenants/fabrikam/routes?explain=10.2.0.1',
      items('route-explanation', {
        address: '10.2.0.1',
        chosen: route,
        why: 'the longest prefix',
        passedOver: [{ route: other, why: 'shorter' }],
      }),
    ],
    ['/v1/connections', items('connections', hq, second, branch)],
    ['/v1/connections?tenant=contoso', items('connections', second, branch)],
    ['/v1/connections/contoso/branch', items('connections', branch)],
    ['/v1/sas', items('sas', ...sas)],
    ['/v1/sas?tenant=contoso', items('sas')],
    ['/v1/keys', items('keys', { enabled: false, folder: null })],
    ['/v1/config', items('config', { text: 'version: 1\n' })],
    ['/v1/tenants/nobody', error(404, 'not-found', 'there is no tenant "nobody"', 'Known: fabrikam, contoso.')],
    ['/v1/connections?tenant=x', error(404, 'not-found', 'there is no tenant "x"', 'Known: fabrikam, contoso.')],
    ['/v1/connections/contoso/x', error(404, 'not-found', 'there is no connection "x"', 'Known: hq, branch.')],
    ['/v1/tenants/x/routes?limit=1', error(404, 'not-found', 'there is no tenant "x"', 'Known: fabrikam, contoso.')],
    [
      '/v1/tenants/fabrikam/routes?limit=10001',
      error(400, 'bad-request', 'limit must be a whole number from 1 to 10000', SEE),
    ],
    ['/v1/tenants/fabrikam/routes?prefix=x', error(400, 'bad-request', 'prefix must be a prefix', SEE)],
    [
      '/v1/tenants/fabrikam/routes?origin=bgp,x',
      error(400, 'bad-request', 'origin must be of connected, static, connection, bgp, nat, several with commas', SEE),
    ],
    [
      '/v1/tenants/fabrikam/routes?explain=there',
      error(400, 'bad-request', '"there" is not an address', 'Write an IPv4 or IPv6 address.'),
    ],
  ])('GET %s', async (path, answer) => expect(await get(backend, path)).toEqual(answer));

  test('routes: what is asked for', async () => {
    const asking = new FakeBackend();
    await get(asking, '/v1/tenants/fabrikam/routes?prefix=10.2.0.0/16&within=10.0.0.0/8&origin=bgp,static');
    const [ten, two] = ['10.0.0.0/8', '10.2.0.0/16'].map(pfx);
    const query = { within: ten, prefix: two, origins: ['bgp', 'static'] };
    expect(asking.commands).toEqual([`routes fabrikam ${JSON.stringify(query)}`]);
  });
});

describe('what does not exist', () => {
  test('a path: the list of paths', async () => {
    const { status, body } = await get(new FakeBackend(), '/v2/status');
    expect(status).toBe(404);
    const { advice } = (body as { error: { advice: string } }).error;
    for (const { path } of PATHS) expect(advice).toContain(path);
  });

  test('a method: the methods it has', async () => {
    const response = await createApi(new FakeBackend()).request('/v1/keys', { method: 'DELETE' });
    expect(response.headers.get('allow')).toBe('GET, PUT');
    expect({ status: response.status, body: await response.json() }).toEqual(
      error(405, 'method', '/v1/keys does not take DELETE', 'It takes GET, PUT.'),
    );
  });

  test('every path of the list is served', async () => {
    const app = createApi(new FakeBackend());
    for (const { method, path } of PATHS) {
      const real = path.replace(':tenant', 'contoso').replace(':connection', 'branch').replace(':peer', 'hq');
      const body = method === 'GET' ? {} : { body: JSON.stringify(FIELDS[path] ?? {}) };
      const response = await app.request(`${real}${QUERIES[path] ?? ''}`, { method, ...body });
      expect([path, response.status]).toEqual([path, 200]);
      await response.text();
    }
  });

  const QUERIES: Readonly<Record<string, string>> = {
    '/v1/tenants/:tenant/bgp/explain': '?to=10.2.0.1',
    '/v1/tenants/:tenant/nvgre/next-hop': '?vsid=5002&from=10.1.0.10&to=10.1.0.12',
  };
  const FIELDS: Readonly<Record<string, unknown>> = {
    '/v1/tenants/:tenant/ping': { destination: '10.2.0.1' },
    '/v1/keys': { enabled: true },
    '/v1/tenants/:tenant/trace': { packet: 'tcp 10.1.0.10:5000 > 192.168.7.7:443' },
  };
});

describe('bodies', () => {
  const up = '/v1/connections/contoso/branch/up';
  const down = '/v1/connections/contoso/branch/down';
  const pingPath = '/v1/tenants/contoso/ping';

  test.each([
    [up, '{', 'the body is not JSON'],
    [up, '[]', 'the body is not a JSON object'],
    [up, { what: 'ike' }, 'unknown field "what"; known: wait'],
    [up, { wait: -1 }, 'wait must be a number from 0 to 3600'],
    [up, { wait: '5' }, 'wait must be a number from 0 to 3600'],
    [down, { what: 'all' }, 'what must be ike or child'],
    [pingPath, {}, 'destination is needed'],
    [pingPath, { destination: '10.2.0.1', count: 10_001 }, 'count must be a number from 1 to 10000'],
    [pingPath, { destination: 7 }, 'destination must be text'],
  ])('POST %s %j', async (path, body, problem) => {
    const backend = new FakeBackend();
    expect(await ask(backend, 'POST', path, body)).toEqual(error(400, 'bad-request', problem, SEE));
    expect(backend.commands).toEqual([]);
  });

  test('are bounded, with and without a declared length', async () => {
    const tooLarge = error(413, 'too-large', 'the body is longer than 16384 octets', 'Send less.');
    expect(await ask(new FakeBackend(), 'PUT', '/v1/keys', ' '.repeat(16_385))).toEqual(tooLarge);
    const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1000).fill(0x20)) });
    const request = new Request('http://gateway/v1/keys', {
      method: 'PUT',
      body: endless,
      duplex: 'half',
    } as RequestInit);
    const response = await createApi(new FakeBackend()).fetch(request);
    expect({ status: response.status, body: await response.json() }).toEqual(tooLarge);
  });
});

describe('commands', () => {
  const path = '/v1/connections/fabrikam/hq';
  const outcome = async (answer: Promise<Answer>): Promise<[string, string]> => {
    const [item] = ((await answer).body as { items: { outcome: string; why: string }[] }).items;
    return [item!.outcome, item!.why];
  };
  /** Lets the request begin, then changes the connection and says so. */
  const later = async (backend: FakeBackend, change: Parameters<FakeBackend['replace']>[2]): Promise<void> => {
    while (backend.watchers === 0) await new Promise((resolve) => setImmediate(resolve));
    backend.replace('fabrikam', 'hq', change);
    backend.changed();
  };
  const upNow = { state: 'up', why: 'established', ikeSas: [ikeSa(1)], childSas: [childSa(1)] } as const;
  const failure = { severity: 'error', code: 'no-answer', problem: 'nobody answers', advice: '', lines: [] } as const;

  test('without waiting: begun', async () => {
    const backend = new FakeBackend();
    expect(await outcome(ask(backend, 'POST', `${path}/up`))).toEqual(['begun', 'nobody waits for the outcome']);
    await ask(backend, 'POST', `${path}/down`);
    await ask(backend, 'POST', `${path}/down`, { what: 'child' });
    await ask(backend, 'POST', `${path}/rekey`);
    await ask(backend, 'POST', `${path}/rekey`, { what: 'ike' });
    expect(backend.commands).toEqual([
      'up fabrikam/hq',
      'down fabrikam/hq ike',
      'down fabrikam/hq child',
      'rekey fabrikam/hq child',
      'rekey fabrikam/hq ike',
    ]);
    expect(backend.watchers).toBe(0);
  });

  test('up: done with the Child SA, not before', async () => {
    const backend = new FakeBackend();
    const answer = ask(backend, 'POST', `${path}/up`, { wait: 60 });
    await later(backend, { state: 'connecting', ikeSas: [ikeSa(1)] });
    backend.replace('fabrikam', 'hq', upNow);
    backend.changed();
    expect(await outcome(answer)).toEqual(['done', 'established']);
    expect(backend.watchers).toBe(0);
  });

  test('up: already up is done at once', async () => {
    const backend = new FakeBackend();
    backend.replace('fabrikam', 'hq', upNow);
    expect(await outcome(ask(backend, 'POST', `${path}/up`, { wait: 60 }))).toEqual(['done', 'established']);
  });

  test('up: a failure of this attempt is its outcome, an older one is not', async () => {
    const backend = new FakeBackend();
    backend.replace('fabrikam', 'hq', { lastFailure: { ...failure, problem: 'an older one', secondsAgo: 3600 } });
    const answer = ask(backend, 'POST', `${path}/up`, { wait: 60 });
    await later(backend, { lastFailure: { ...failure, secondsAgo: 0 } });
    expect(await outcome(answer)).toEqual(['failed', 'nobody answers']);
  });

  test('up: the time is over', async () => {
    const backend = new FakeBackend();
    expect(await outcome(ask(backend, 'POST', `${path}/up`, { wait: 0.02 }))).toEqual([
      'timeout',
      'no outcome within 0.02 s; the connection is down: waits for the first packet',
    ]);
    expect(backend.watchers).toBe(0);
  });

  test('down: done when the SAs are gone', async () => {
    const backend = new FakeBackend();
    backend.replace('fabrikam', 'hq', upNow);
    const answer = ask(backend, 'POST', `${path}/down`, { wait: 60 });
    await later(backend, { state: 'down', why: 'closed from here', ikeSas: [], childSas: [] });
    expect(await outcome(answer)).toEqual(['done', 'closed from here']);
  });

  test('rekey: done with a new SA beside or instead of the old one', async () => {
    const backend = new FakeBackend();
    backend.replace('fabrikam', 'hq', upNow);
    const child = ask(backend, 'POST', `${path}/rekey`, { wait: 60 });
    await later(backend, { childSas: [childSa(1), childSa(2)], why: 'rekeyed' });
    expect(await outcome(child)).toEqual(['done', 'rekeyed']);
    const ike = ask(backend, 'POST', `${path}/rekey`, { wait: 60, what: 'ike' });
    await later(backend, { ikeSas: [ikeSa(2)] });
    expect(await outcome(ike)).toEqual(['done', 'rekeyed']);
  });

  test('rekey: nothing to rekey, and an SA lost on the way', async () => {
    const backend = new FakeBackend();
    const rekey = (): Promise<Answer> => ask(backend, 'POST', `${path}/rekey`, { wait: 60 });
    expect(await outcome(rekey())).toEqual(['failed', 'there is no Child SA to rekey']);
    backend.replace('fabrikam', 'hq', upNow);
    const answer = rekey();
    await later(backend, { childSas: [] });
    expect(await outcome(answer)).toEqual(['failed', 'the SA was lost before it was rekeyed']);
  });

  test('the asker goes away: nobody watches any more', async () => {
    const backend = new FakeBackend();
    const gone = new AbortController();
    const request = new Request(`http://gateway${path}/up`, {
      method: 'POST',
      body: '{"wait":60}',
      signal: gone.signal,
    });
    const answer = createApi(backend).fetch(request);
    while (backend.watchers === 0) await new Promise((resolve) => setImmediate(resolve));
    gone.abort();
    await answer;
    expect(backend.watchers).toBe(0);
  });
});

describe('ping', () => {
  test('one JSON item a line; the order has its defaults', async () => {
    const backend = new FakeBackend();
    backend.answers = [
      { sequence: 1, from: '10.2.0.1', outcome: 'reply', milliseconds: 1.5, octets: 56 },
      { sequence: 2, from: '10.2.0.1', outcome: 'timeout', milliseconds: null, octets: 0, why: 'no answer' },
    ];
    const body = JSON.stringify({ destination: '10.2.0.1', count: 2 });
    const response = await createApi(backend).request('/v1/tenants/fabrikam/ping', { method: 'POST', body });
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    expect((await response.text()).split('\n')).toEqual([...backend.answers.map((a) => JSON.stringify(a)), '']);
    expect(backend.pings).toEqual([
      { destination: '10.2.0.1', count: 2, intervalMs: 1000, timeoutMs: 2000, size: 56, ttl: 64 },
    ]);
  });

  test('what the backend refuses is an error, not a stream', async () => {
    const backend = new FakeBackend();
    // biome-ignore lint/correctness/useYield: it fails before its first answer
    backend.ping = async function* () {
      throw new ApiProblem(400, 'bad-request', 'no such source address', 'Leave it out.');
    };
    expect(await ask(backend, 'POST', '/v1/tenants/fabrikam/ping', { destination: '10.2.0.1' })).toEqual(
      error(400, 'bad-request', 'no such source address', 'Leave it out.'),
    );
  });
});

test('keys on and off', async () => {
  const backend = new FakeBackend();
  expect(await ask(backend, 'PUT', '/v1/keys', { enabled: true, folder: '/k' })).toEqual(
    items('keys', { enabled: true, folder: '/k' }),
  );
  expect(await ask(backend, 'PUT', '/v1/keys', { enabled: false })).toEqual(
    items('keys', { enabled: false, folder: null }),
  );
});

test('a bug of the gateway is an answer, without its text', async () => {
  const backend = new FakeBackend();
  backend.status = () => {
    throw new RangeError('a secret detail');
  };
  expect(await get(backend, '/v1/status')).toEqual(
    error(500, 'internal', 'unexpected: RangeError', 'This is a bug of the gateway: its log says more.'),
  );
});

test('who asks about one tenant does not wait for the routes of all', async () => {
  const backend = new FakeBackend();
  let listed = 0;
  backend.tenants = () => {
    listed += 1;
    return TENANTS;
  };
  const paths = [
    '/v1/connections?tenant=fabrikam',
    '/v1/tenants/fabrikam/routes?explain=10.2.0.1',
    '/v1/nat?tenant=fabrikam',
  ];
  for (const path of paths) expect((await get(backend, path)).status).toBe(200);
  expect(listed).toBe(0);
});
