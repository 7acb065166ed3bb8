/**
 * The part of the API that is about BGP.
 *
 * Limit: what is long comes page by page, so that no session waits for it.
 */
import type { Hono } from 'hono';
import type { BgpCommand, BgpPeerStatus } from '../gateway/index.ts';
import { parseAddress, parsePrefix } from '../ip/index.ts';
import { ApiProblem, type Backend } from './backend.ts';
import { performBgp } from './bgp-waiting.ts';
import { envelope } from './envelope.ts';
import { bad, PAGE, readBody, readFlag, readPage, readTap, readText, readWait, unknown } from './requests.ts';
import { bounded, streamed } from './stream.ts';

interface Named {
  readonly name: string;
}

/** All peers of a tenant. */
const ALL = '/v1/tenants/:tenant/bgp';
const PEER = '/v1/tenants/:tenant/bgp/peers/:peer';

export const BGP_PATHS = [
  { method: 'GET', path: '/v1/bgp', fields: '?tenant=NAME' },
  { method: 'GET', path: '/v1/bgp/peers', fields: '?tenant=NAME' },
  { method: 'GET', path: '/v1/tenants/:tenant/bgp/routes', fields: PAGE },
  { method: 'GET', path: '/v1/tenants/:tenant/bgp/explain', fields: '?to=ADDRESS or PREFIX' },
  { method: 'GET', path: `${PEER}/received`, fields: PAGE },
  { method: 'GET', path: `${PEER}/advertised`, fields: PAGE },
  { method: 'POST', path: '/v1/bgp/log', fields: 'tenant, peer, events, count, seconds' },
  { method: 'POST', path: '/v1/tenants/:tenant/bgp/dump/tables', fields: '' },
  { method: 'POST', path: '/v1/tenants/:tenant/bgp/dump/messages', fields: 'peer, seconds' },
  { method: 'POST', path: `${PEER}/up`, fields: 'wait' },
  { method: 'POST', path: `${PEER}/down`, fields: 'text, wait' },
  { method: 'POST', path: `${PEER}/clear`, fields: 'how, text, wait' },
  { method: 'POST', path: `${ALL}/up`, fields: 'wait' },
  { method: 'POST', path: `${ALL}/down`, fields: 'text, wait' },
  { method: 'POST', path: `${ALL}/clear`, fields: 'how, text, wait' },
] as const;

/** `tenantOf` throws for tenants that are not there. */
export function addBgpPaths(app: Hono, backend: Backend, tenantOf: (name: string) => Named): void {
  const { bgp } = backend;
  const asked = (tenant: string | undefined): string | undefined =>
    tenant === undefined ? undefined : tenantOf(tenant).name;
  const peerOf = (tenant: string, name: string): BgpPeerStatus => {
    const of = tenantOf(tenant).name;
    const found = bgp.peers(of, name).find((peer) => peer.name === name);
    if (found !== undefined) return found;
    throw unknown(
      'BGP peer',
      name,
      bgp.peers(of).map((peer) => peer.name),
    );
  };

  app.get('/v1/bgp', (c) => c.json(envelope('bgp-summary', bgp.summaries(asked(c.req.query('tenant'))))));
  app.get('/v1/bgp/peers', (c) => c.json(envelope('bgp-peers', bgp.peers(asked(c.req.query('tenant'))))));
  app.get('/v1/tenants/:tenant/bgp/routes', (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    return c.json(envelope('bgp-routes', routed(name, bgp.routes(name, readPage(c.req.query())))));
  });
  app.get('/v1/tenants/:tenant/bgp/explain', (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const to = c.req.query('to') ?? '';
    const asked = parseAddress(to) ?? parsePrefix(to);
    if (asked === undefined) throw bad('to must be an address or a prefix');
    return c.json(envelope('bgp-explanation', [routed(name, bgp.explain(name, asked))]));
  });
  app.get(`${PEER}/received`, (c) => {
    const { tenant, name } = peerOf(c.req.param('tenant'), c.req.param('peer'));
    return c.json(envelope('bgp-received', routed(tenant, bgp.received(tenant, name, readPage(c.req.query())))));
  });
  app.get(`${PEER}/advertised`, (c) => {
    const { tenant, name } = peerOf(c.req.param('tenant'), c.req.param('peer'));
    return c.json(envelope('bgp-advertised', routed(tenant, bgp.advertised(tenant, name, readPage(c.req.query())))));
  });
  app.post('/v1/bgp/log', async (c) => {
    const { peer, events, ...rest } = await readBody(c.req.raw, ['tenant', 'peer', 'events', 'count', 'seconds']);
    const { tenant, ...bounds } = readTap(rest);
    const name = readText({ peer }, 'peer');
    if (name !== undefined && tenant === undefined) throw bad('a peer is one of a tenant: name that too');
    const whom = {
      tenant: asked(tenant),
      peer: name === undefined ? undefined : peerOf(tenant ?? '', name).name,
      messages: !readFlag({ events }, 'events'),
    };
    return streamed(bounded((signal) => bgp.follow(whom, signal), c.req.raw.signal, bounds));
  });
  app.post('/v1/tenants/:tenant/bgp/dump/tables', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    await readBody(c.req.raw, []);
    return streamed(routed(name, bgp.dump(name)));
  });
  app.post('/v1/tenants/:tenant/bgp/dump/messages', async (c) => {
    const { name } = tenantOf(c.req.param('tenant'));
    const { peer, ...rest } = await readBody(c.req.raw, ['peer', 'seconds']);
    const bounds = readTap(rest);
    const only = readText({ peer }, 'peer');
    const whom = { tenant: name, peer: only === undefined ? undefined : peerOf(name, only).name };
    const items = (signal: AbortSignal) => routed(name, bgp.record(whom, signal));
    return streamed(bounded(items, c.req.raw.signal, bounds));
  });
  for (const command of ['up', 'down', 'clear'] as const) {
    const give = async (request: Request, tenant: string, peers: readonly BgpPeerStatus[]) => {
      const fields = await readBody(request, FIELDS[command]);
      const text = readText(fields, 'text') ?? '';
      if (new TextEncoder().encode(text).length > TEXT_MOST) throw bad(`text must have at most ${TEXT_MOST} octets`);
      const order = { command, tenant, orders: ordersOf(command, readText(fields, 'how')), text };
      return envelope('bgp-commands', await performBgp(bgp, order, peers, readWait(fields), request.signal));
    };
    app.post(`${PEER}/${command}`, async (c) => {
      const peer = peerOf(c.req.param('tenant'), c.req.param('peer'));
      return c.json(await give(c.req.raw, peer.tenant, [peer]));
    });
    app.post(`${ALL}/${command}`, async (c) => {
      const { name } = tenantOf(c.req.param('tenant'));
      return c.json(await give(c.req.raw, name, bgp.peers(name)));
    });
  }
}

const FIELDS = { up: ['wait'], down: ['text', 'wait'], clear: ['how', 'text', 'wait'] } as const;

function ordersOf(command: keyof typeof FIELDS, how = 'hard'): readonly BgpCommand[] {
  if (command !== 'clear') return [command === 'up' ? 'start' : 'stop'];
  const orders = CLEAR[how];
  if (orders === undefined) throw bad(`how must be one of ${Object.keys(CLEAR).join(', ')}`);
  return orders;
}

const CLEAR: Readonly<Record<string, readonly BgpCommand[]>> = {
  hard: ['reset'],
  soft: ['refresh-in', 'refresh-out'],
  in: ['refresh-in'],
  out: ['refresh-out'],
};

function routed<T>(tenant: string, answer: T | undefined): T {
  if (answer !== undefined) return answer;
  throw new ApiProblem(409, 'refused', `tenant ${tenant} has no BGP router`, 'Its document has no bgp.');
}

/** RFC 9003 §2. */
const TEXT_MOST = 255;
