/**
 * The control API: a function of Request to Response, so that it can be asked without a socket. `server.ts` gives it one.
 *
 * Every answer is an envelope (`envelope.ts`), except `ping`, `tap`, `log` and `dump`, which stream one JSON item a line
 * (`application/x-ndjson`), and `config`, whose one item is the document's text.
 * Limit: whoever may open the socket may do everything; the socket's file mode is the access control.
 */
import { Hono } from 'hono';
import type { ConnectionStatus, TenantStatus } from '../gateway/status.ts';
import { ApiProblem, type Backend, type SaStatus } from './backend.ts';
import { addBgpPaths, BGP_PATHS } from './bgp-app.ts';
import { envelope, envelopeOf, errorEnvelope } from './envelope.ts';
import { addNetworkPaths, NETWORK_PATHS } from './network-app.ts';
import {
  ROUTE_QUERY,
  readBody,
  readKeysOrder,
  readPing,
  readRouteQuery,
  readWait,
  readWhat,
  unknown,
} from './requests.ts';
import { streamed } from './stream.ts';
import { type Command, perform } from './waiting.ts';

/** Every path, for `GET /v1`, for 404 and for 405. */
export const PATHS: readonly { readonly method: string; readonly path: string; readonly fields: string }[] = [
  { method: 'GET', path: '/v1', fields: '' },
  { method: 'GET', path: '/v1/status', fields: '' },
  { method: 'GET', path: '/v1/tenants', fields: '' },
  { method: 'GET', path: '/v1/tenants/:tenant', fields: '' },
  { method: 'GET', path: '/v1/tenants/:tenant/routes', fields: `?explain=ADDRESS, or ${ROUTE_QUERY}` },
  {
    method: 'POST',
    path: '/v1/tenants/:tenant/ping',
    fields: 'destination, source, count, intervalMs, timeoutMs, size, ttl',
  },
  { method: 'GET', path: '/v1/connections', fields: '?tenant=NAME' },
  { method: 'GET', path: '/v1/connections/:tenant/:connection', fields: '' },
  { method: 'POST', path: '/v1/connections/:tenant/:connection/up', fields: 'wait' },
  { method: 'POST', path: '/v1/connections/:tenant/:connection/down', fields: 'wait, what' },
  { method: 'POST', path: '/v1/connections/:tenant/:connection/rekey', fields: 'wait, what' },
  { method: 'GET', path: '/v1/sas', fields: '?tenant=NAME' },
  ...NETWORK_PATHS,
  ...BGP_PATHS,
  { method: 'GET', path: '/v1/keys', fields: '' },
  { method: 'PUT', path: '/v1/keys', fields: 'enabled, folder' },
  { method: 'POST', path: '/v1/reload', fields: '' },
  { method: 'GET', path: '/v1/config', fields: '' },
];

export function createApi(backend: Backend): Hono {
  const app = new Hono();
  const tenantOf = (name: string): { readonly name: string } =>
    backend.tenantNames().includes(name) ? { name } : fail(unknown('tenant', name, backend.tenantNames()));
  const statusOf = (name: string): TenantStatus =>
    backend.tenants().find((tenant) => tenant.name === tenantOf(name).name)!;
  const connectionsOf = (tenant: string | undefined): readonly ConnectionStatus[] => {
    if (tenant === undefined) return backend.connections();
    const { name } = tenantOf(tenant);
    return backend.connections().filter((connection) => connection.tenant === name);
  };
  const connectionOf = (tenant: string, name: string): ConnectionStatus => {
    const all = connectionsOf(tenant);
    return (
      all.find((connection) => connection.name === name) ??
      fail(
        unknown(
          'connection',
          name,
          all.map((c) => c.name),
        ),
      )
    );
  };

  app.get('/v1', (c) => c.json(envelope('paths', PATHS)));
  app.get('/v1/status', (c) => c.json(envelope('status', [backend.status()])));
  app.get('/v1/tenants', (c) => c.json(envelope('tenants', backend.tenants())));
  app.get('/v1/tenants/:tenant', (c) => c.json(envelope('tenants', [statusOf(c.req.param('tenant'))])));
  app.get('/v1/tenants/:tenant/routes', (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const address = c.req.query('explain');
    if (address === undefined) return c.json(envelope('routes', backend.routes(name, readRouteQuery(c.req.query()))));
    const explanation = backend.explain(name, address);
    return c.json(envelope('route-explanation', [explanation ?? fail(noAddress(address))]));
  });
  app.get('/v1/connections', (c) => c.json(envelope('connections', connectionsOf(c.req.query('tenant')))));
  app.get('/v1/connections/:tenant/:connection', (c) =>
    c.json(envelope('connections', [connectionOf(c.req.param('tenant'), c.req.param('connection'))])),
  );
  app.get('/v1/sas', (c) => c.json(envelope('sas', connectionsOf(c.req.query('tenant')).flatMap(sasOf))));
  for (const command of ['up', 'down', 'rekey'] as const) {
    app.post(`/v1/connections/:tenant/:connection/${command}`, async (c) => {
      const { tenant, name } = connectionOf(c.req.param('tenant'), c.req.param('connection'));
      const fields = await readBody(c.req.raw, command === 'up' ? ['wait'] : ['wait', 'what']);
      const what = readWhat(fields, command === 'rekey' ? 'child' : 'ike');
      const order: Command = { command, tenant, connection: name, what };
      const outcome = await perform(backend, order, readWait(fields), c.req.raw.signal);
      return c.json(envelope('commands', [outcome ?? fail(unknown('connection', name, []))]));
    });
  }
  app.post('/v1/tenants/:tenant/ping', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const order = readPing(await readBody(c.req.raw, PING_FIELDS));
    return streamed(backend.ping(name, order, c.req.raw.signal));
  });
  addNetworkPaths(app, backend, tenantOf);
  addBgpPaths(app, backend, tenantOf);
  app.get('/v1/keys', (c) => c.json(envelope('keys', [backend.keys()])));
  app.put('/v1/keys', async (c) => {
    const { enabled, folder } = readKeysOrder(await readBody(c.req.raw, ['enabled', 'folder']));
    return c.json(envelope('keys', [backend.setKeys(enabled, folder)]));
  });
  app.post('/v1/reload', async (c) => {
    await readBody(c.req.raw, []);
    return c.json(envelope('reload', [await backend.reload()]));
  });
  app.get('/v1/config', (c) => c.json(envelope('config', [{ text: backend.configText() }])));

  app.notFound((c) => {
    const methods = PATHS.filter(({ path }) => matches(path, c.req.path)).map(({ method }) => method);
    if (methods.length === 0) {
      const known = [...new Set(PATHS.map(({ path }) => path))].join(', ');
      return c.json(
        errorEnvelope('not-found', `there is no ${c.req.path.slice(0, 256)}`, `Known paths: ${known}.`),
        404,
      );
    }
    const problem = `${c.req.path} does not take ${c.req.method}`;
    const allow = methods.join(', ');
    return c.json(errorEnvelope('method', problem, `It takes ${allow}.`), 405, { Allow: allow });
  });
  app.onError((error, c) => {
    if (error instanceof ApiProblem) return c.json(envelopeOf(error), error.status);
    const advice = 'This is a bug of the gateway: its log says more.';
    return c.json(errorEnvelope('internal', `unexpected: ${error.name}`, advice), 500);
  });
  return app;
}

const PING_FIELDS = ['destination', 'source', 'count', 'intervalMs', 'timeoutMs', 'size', 'ttl'];

function sasOf(connection: ConnectionStatus): SaStatus[] {
  const { tenant, name } = connection;
  return [
    ...connection.ikeSas.map((sa): SaStatus => ({ sa: 'ike', tenant, connection: name, ...sa })),
    ...connection.childSas.map((sa): SaStatus => ({ sa: 'child', ...sa })),
  ];
}

const noAddress = (text: string): ApiProblem =>
  new ApiProblem(
    400,
    'bad-request',
    `${JSON.stringify(text.slice(0, 64))} is not an address`,
    'Write an IPv4 or IPv6 address.',
  );

function fail(problem: ApiProblem): never {
  throw problem;
}

function matches(pattern: string, path: string): boolean {
  const [want, have] = [pattern.split('/'), path.split('/')];
  return want.length === have.length && want.every((part, i) => part.startsWith(':') || part === have[i]);
}
