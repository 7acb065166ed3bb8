/** The part of the API that is about NAT, virtual networks and neighbours. */
import type { Hono } from 'hono';
import { outcomeOf } from '../gateway/index.ts';
import { formatAddress, parseAddress } from '../ip/index.ts';
import { ApiProblem, type Backend, type TraceStatus } from './backend.ts';
import { envelope } from './envelope.ts';
import { bad, readBody, readNatFilter, readTap, readTrace, readWhole, TRACE_FIELDS } from './requests.ts';
import { bounded, streamed } from './stream.ts';

interface Named {
  readonly name: string;
}

export const NETWORK_PATHS = [
  { method: 'GET', path: '/v1/nat', fields: '?tenant=NAME' },
  {
    method: 'GET',
    path: '/v1/tenants/:tenant/nat/sessions',
    fields: '?inner=IP[:PORT]&remote=IP[:PORT]&protocol=NAME&limit=N',
  },
  { method: 'POST', path: '/v1/tenants/:tenant/nat/flush', fields: 'inner, remote, protocol' },
  { method: 'GET', path: '/v1/tenants/:tenant/neighbours', fields: '' },
  { method: 'GET', path: '/v1/nvgre/records', fields: '?tenant=NAME' },
  { method: 'GET', path: '/v1/nvgre/counters', fields: '?tenant=NAME' },
  { method: 'GET', path: '/v1/tenants/:tenant/nvgre/next-hop', fields: '?vsid=N&from=CA&to=CA' },
  { method: 'POST', path: '/v1/tenants/:tenant/trace', fields: TRACE_FIELDS.join(', ') },
  { method: 'POST', path: '/v1/tap', fields: 'tenant, count, seconds' },
] as const;

/** `tenantOf` throws for tenants that are not there. */
export function addNetworkPaths(app: Hono, backend: Backend, tenantOf: (name: string) => Named): void {
  /** Of one tenant where the asker names one. */
  const only = <T extends { readonly tenant: string }>(all: readonly T[], tenant: string | undefined): readonly T[] => {
    if (tenant === undefined) return all;
    const { name } = tenantOf(tenant);
    return all.filter((each) => each.tenant === name);
  };

  app.get('/v1/nat', (c) => c.json(envelope('nat', only(backend.nats(), c.req.query('tenant')))));
  app.get('/v1/tenants/:tenant/nat/sessions', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const filter = readNatFilter(c.req.query());
    const most = readWhole(c.req.query('limit') ?? `${SESSIONS}`, 'limit', 1, SESSIONS_MOST);
    return c.json(envelope('nat-sessions', await backend.natSessions(name, filter, most)));
  });
  app.post('/v1/tenants/:tenant/nat/flush', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const filter = readNatFilter(await readBody(c.req.raw, ['inner', 'remote', 'protocol']));
    const sessions = await backend.flushNat(name, filter);
    return c.json(envelope('nat-flush', [{ tenant: name, sessions }]));
  });
  app.get('/v1/tenants/:tenant/neighbours', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    return c.json(envelope('neighbours', await backend.neighbours(name)));
  });
  app.post('/v1/tenants/:tenant/trace', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const { text, ...order } = readTrace(await readBody(c.req.raw, TRACE_FIELDS), name);
    const stages = await backend.trace(order);
    const from = order.from ?? formatAddress(order.flow.source);
    const item: TraceStatus = { tenant: name, packet: text, from, outcome: outcomeOf(stages), stages };
    return c.json(envelope('trace', [item]));
  });
  app.post('/v1/tap', async (c) => {
    const { tenant, ...bounds } = readTap(await readBody(c.req.raw, ['tenant', 'count', 'seconds']));
    const name = tenant === undefined ? undefined : tenantOf(tenant).name;
    return streamed(bounded((signal) => backend.tap(name, signal), c.req.raw.signal, bounds));
  });
  app.get('/v1/nvgre/records', (c) =>
    c.json(envelope('nvgre-records', only(backend.records(), c.req.query('tenant')))),
  );
  app.get('/v1/nvgre/counters', (c) =>
    c.json(envelope('nvgre-counters', only(backend.networks(), c.req.query('tenant')))),
  );
  app.get('/v1/tenants/:tenant/nvgre/next-hop', (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const vsid = readWhole(c.req.query('vsid'), 'vsid', 0, 0xff_ffff);
    const query = c.req.query();
    const [from, to] = [query.from, query.to].map((text) => parseAddress(text ?? ''));
    if (from === undefined || to === undefined) throw bad('from and to must be addresses');
    if (from.length !== to.length) throw bad('from and to must be of one family');
    const explained = backend.nextHop(name, vsid, from, to);
    if (explained === undefined) {
      const problem = `tenant ${name} has no virtual network`;
      throw new ApiProblem(409, 'refused', problem, 'Its document names no subnets.');
    }
    const asked = { tenant: name, vsid, from: formatAddress(from), to: formatAddress(to) };
    return c.json(envelope('nvgre-next-hop', [{ ...asked, ...explained }]));
  });
}

/** Sessions of an answer, where the asker does not say; and at most, because they cross threads in a ring of bounded room. */
const SESSIONS = 100;
const SESSIONS_MOST = 1000;
