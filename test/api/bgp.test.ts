import { describe, expect, test } from 'vitest';
import { createApi } from '../../src/api/index.ts';
import { BGP_PEER, FakeBackend } from './fake-backend.ts';

async function ask(backend: FakeBackend, method: string, path: string, body?: unknown) {
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await createApi(backend).request(path, { method, ...init });
  const answer = (await response.json()) as { items?: unknown[]; error?: { problem: string; advice: string } };
  return { status: response.status, ...answer };
}

describe('BGP commands', () => {
  const path = '/v1/tenants/contoso/bgp/peers/hq';

  test.each([
    ['up', {}, ['bgp contoso/hq start']],
    ['up', { wait: 0 }, ['bgp contoso/hq start']],
    ['down', { text: 'back at noon' }, ['bgp contoso/hq stop back at noon']],
    ['clear', {}, ['bgp contoso/hq reset']],
    ['clear', { how: 'hard', text: 'x' }, ['bgp contoso/hq reset x']],
    ['clear', { how: 'soft' }, ['bgp contoso/hq refresh-in', 'bgp contoso/hq refresh-out']],
    ['clear', { how: 'in' }, ['bgp contoso/hq refresh-in']],
    ['clear', { how: 'out' }, ['bgp contoso/hq refresh-out']],
  ])('%s %j', async (command, fields, commands) => {
    const backend = new FakeBackend();
    const peer = { ...BGP_PEER, state: 'Established', capabilitiesReceived: ['ROUTE_REFRESH'] } as const;
    backend.bgp.peers = () => [peer];
    const { status, items } = await ask(backend, 'POST', `${path}/${command}`, fields);
    const begun = { command, outcome: 'begun', why: 'nobody waits for the outcome', peer };
    expect([status, items, backend.commands]).toEqual([200, [begun], commands]);
    // And for all peers of the tenant, of whom there is one.
    const all = await ask(backend, 'POST', `/v1/tenants/contoso/bgp/${command}`, fields);
    expect([all.items, backend.commands]).toEqual([items, [...commands, ...commands]]);
  });

  const notYet = (state: string): string => `the session is ${state}; once it is Established everything is told`;
  const never = 'it takes no ROUTE-REFRESH; `bulkhead bgp clear PEER hard` begins anew';
  test.each([
    ['in', { state: 'Active' }, notYet('Active')],
    ['soft', { state: 'Active' }, notYet('Active')],
    ['out', { state: 'Idle' }, notYet('Idle')],
    ['in', { state: 'Established' }, never],
    ['soft', { state: 'Established' }, never],
  ] as const)('RFC 2918 §4: clear %s is refused where it comes to nothing: %j', async (how, changes, why) => {
    const backend = new FakeBackend();
    const peer = { ...BGP_PEER, ...changes };
    const other = { ...peer, name: 'other', state: 'Established', capabilitiesReceived: ['ROUTE_REFRESH'] } as const;
    backend.bgp.peers = () => [peer, other];
    const failed = { command: 'clear', outcome: 'failed', why, peer };
    expect(await ask(backend, 'POST', `${path}/clear`, { how })).toEqual(
      expect.objectContaining({ status: 200, items: [failed] }),
    );
    expect(backend.commands).toEqual([]);
    // Of all peers the others are cleared.
    const { items } = await ask(backend, 'POST', '/v1/tenants/contoso/bgp/clear', { how });
    expect(items).toMatchObject([failed, { outcome: 'begun', peer: other }]);
    expect(new Set(backend.commands.map((each) => each.split(' ')[1]))).toEqual(new Set(['contoso/other']));
  });

  test('all peers of a tenant without any: nothing', async () => {
    expect(await ask(new FakeBackend(), 'POST', '/v1/tenants/fabrikam/bgp/clear', {})).toMatchObject({ items: [] });
  });

  test.each([
    ['up', { text: 'x' }, 'unknown field "text"; known: wait'],
    ['up', { wait: 3601 }, 'wait must be a number from 0 to 3600'],
    ['down', { text: 'é'.repeat(128) }, 'text must have at most 255 octets'],
    ['down', { text: 5 }, 'text must be text'],
    ['clear', { how: 'all' }, 'how must be one of hard, soft, in, out'],
  ])('%s %j is refused, and nothing is done', async (command, fields, problem) => {
    const backend = new FakeBackend();
    const { status, error } = await ask(backend, 'POST', `${path}/${command}`, fields);
    expect([status, error?.problem, backend.commands]).toEqual([400, problem, []]);
  });

  test('a peer is known in its own tenant only', async () => {
    const { status, error } = await ask(new FakeBackend(), 'POST', '/v1/tenants/fabrikam/bgp/peers/hq/down', {});
    expect([status, error?.problem, error?.advice]).toEqual([
      404,
      'there is no BGP peer "hq"',
      'There is no BGP peer.',
    ]);
  });
});

describe('BGP routes', () => {
  test.each([
    ['offset=-1', 'offset must be a whole number from 0 to 1000000000'],
    ['limit=0', 'limit must be a whole number from 1 to 10000'],
    ['limit=10001', 'limit must be a whole number from 1 to 10000'],
    ['within=10.0.0.1/8', 'within must be a prefix'],
  ])('%s is refused', async (query, problem) => {
    for (const path of ['routes', 'peers/hq/received', 'peers/hq/advertised']) {
      const { status, error } = await ask(new FakeBackend(), 'GET', `/v1/tenants/contoso/bgp/${path}?${query}`);
      expect([status, error?.problem]).toEqual([400, problem]);
    }
  });

  test('a tenant without a router', async () => {
    const { status, error } = await ask(new FakeBackend(), 'GET', '/v1/tenants/fabrikam/bgp/routes');
    expect([status, error?.problem]).toEqual([409, 'tenant fabrikam has no BGP router']);
  });

  test('explain needs an address or a prefix', async () => {
    const { status, error } = await ask(new FakeBackend(), 'GET', '/v1/tenants/contoso/bgp/explain?to=there');
    expect([status, error?.problem]).toEqual([400, 'to must be an address or a prefix']);
  });
});

describe('BGP dump', () => {
  const dump = '/v1/tenants/contoso/bgp/dump';
  const page = { octets: 'AAEC', records: 1, routes: 2, missed: 0 };

  test.each([
    ['tables', {}, []],
    ['messages', {}, ['record {"tenant":"contoso"}']],
    ['messages', { peer: 'hq', seconds: 5 }, ['record {"tenant":"contoso","peer":"hq"}']],
  ])('%s %j: one object a line', async (what, fields, commands) => {
    const backend = new FakeBackend();
    backend.pages = [page, { ...page, end: 'whole' }];
    const response = await createApi(backend).request(`${dump}/${what}`, {
      method: 'POST',
      body: JSON.stringify(fields),
    });
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = (await response.text()).trimEnd().split('\n');
    expect(lines.map((text) => JSON.parse(text))).toEqual(backend.pages);
    expect(backend.commands).toEqual(commands);
  });

  test.each([
    ['contoso', 'tables', { peer: 'hq' }, 400, 'unknown field "peer"; known: '],
    ['contoso', 'messages', { peer: 'branch' }, 404, 'there is no BGP peer "branch"'],
    ['contoso', 'messages', { seconds: 0 }, 400, 'seconds must be a number from 0.1 to 86400'],
    ['nobody', 'tables', {}, 404, 'there is no tenant "nobody"'],
    ['fabrikam', 'tables', {}, 409, 'tenant fabrikam has no BGP router'],
    ['fabrikam', 'messages', {}, 409, 'tenant fabrikam has no BGP router'],
  ])('%s %s %j is refused', async (tenant, what, fields, code, problem) => {
    const { status, error } = await ask(new FakeBackend(), 'POST', `/v1/tenants/${tenant}/bgp/dump/${what}`, fields);
    expect([status, error?.problem]).toEqual([code, problem]);
  });
});

describe('BGP log', () => {
  const line = { time: '2026-08-01T12:00:00.000Z', tenant: 'contoso', peer: 'hq', kind: 'event' as const };
  const established = { ...line, what: 'established', words: 'with AS 65020', octets: 0, missed: 0 };

  test.each([
    [{}, { messages: true }],
    [{ tenant: 'contoso' }, { tenant: 'contoso', messages: true }],
    [
      { tenant: 'contoso', peer: 'hq', events: true },
      { tenant: 'contoso', peer: 'hq', messages: false },
    ],
  ])('%j: one object a line', async (fields, whom) => {
    const backend = new FakeBackend();
    backend.lines = [established, { ...established, what: 'down' }, established];
    const body = JSON.stringify({ ...fields, count: 2 });
    const response = await createApi(backend).request('/v1/bgp/log', { method: 'POST', body });
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = (await response.text()).trimEnd().split('\n');
    expect(lines.map((text) => JSON.parse(text))).toEqual([established, { ...established, what: 'down' }]);
    expect(backend.commands).toEqual([`follow ${JSON.stringify(whom)}`]);
  });

  test.each([
    [{ peer: 'hq' }, 400, 'a peer is one of a tenant: name that too'],
    [{ tenant: 'fabrikam', peer: 'hq' }, 404, 'there is no BGP peer "hq"'],
    [{ events: 1 }, 400, 'events must be true or false'],
    [{ count: 0 }, 400, 'count must be a number from 1 to 1000000'],
  ])('%j is refused', async (fields, code, problem) => {
    const { status, error } = await ask(new FakeBackend(), 'POST', '/v1/bgp/log', fields);
    expect([status, error?.problem]).toEqual([code, problem]);
  });
});
