import { describe, expect, it } from 'vitest';
import { ApiProblem, GatewayBackend, type PingOrder, type WorkerFacts } from '../../src/api/index.ts';
import type { GatewayEvent, PingStatus } from '../../src/gateway/index.ts';
import type { Lab } from '../../src/lab/index.ts';
import { connectionOf, makeLab, open } from './fixture.ts';

/** Every event is followed by a second of virtual time. */
function host(): { lab: Lab; backend: GatewayBackend; own: { workers: readonly WorkerFacts[] } } {
  const lab = makeLab();
  const own = { workers: [] as readonly WorkerFacts[] };
  open(lab);
  const backend = new GatewayBackend({
    gateway: lab.gw.gateway,
    dispatch: (event: GatewayEvent) => {
      lab.gw.dispatch(event);
      lab.timeline.advanceTo(lab.timeline.now + 1000);
    },
    now: () => lab.timeline.now,
    keys: () => ({ enabled: false, folder: null }),
    setKeys: (enabled) => ({ enabled, folder: null }),
    reload: () => Promise.resolve({ applied: true, changes: [], issues: [] }),
    configText: () => lab.documents.gw,
    memoryBytes: () => 1,
    workers: () => own.workers,
  });
  lab.gw.observe((action) => backend.observe(action));
  return { lab, backend, own };
}

const order = (change: Partial<PingOrder> = {}): PingOrder => ({
  destination: '10.2.0.10',
  count: 3,
  intervalMs: 10,
  timeoutMs: 500,
  size: 56,
  ttl: 64,
  ...change,
});

async function pings(backend: GatewayBackend, tenant: string, change: Partial<PingOrder> = {}, signal?: AbortSignal) {
  const results: PingStatus[] = [];
  for await (const result of backend.ping(tenant, order(change), signal ?? new AbortController().signal))
    results.push(result);
  return results.map(({ sequence, outcome }) => `${sequence} ${outcome}`);
}

describe('a gateway as backend of the API', () => {
  it('shows the gateway', () => {
    const { backend } = host();
    expect(backend.status()).toMatchObject({ name: 'gw', state: 'ok', memoryBytes: 1 });
    expect(backend.tenants().map(({ name }) => name)).toEqual(['contoso', 'woodgrove']);
    expect(backend.connections().map(({ state }) => state)).toEqual(['up', 'up']);
  });

  it('shows the data plane: of the main thread by itself, of others with what their host knows', () => {
    const { backend, own } = host();
    expect(backend.status().workers).toMatchObject([
      { worker: 0, thread: 'main', state: 'running', engine: 'node, noble', tenants: 2 },
    ]);
    expect(backend.status().workers[0]).not.toHaveProperty('restarts');
    own.workers = [{ engine: 'ipsec-mb, openssl', restarts: 3 }];
    expect(backend.status().workers).toMatchObject([
      { worker: 0, engine: 'ipsec-mb, openssl', restarts: 3, tenants: 2 },
    ]);
  });

  it('commands reach the connection named, watchers hear of it', () => {
    const { lab, backend } = host();
    let heard = 0;
    const end = backend.watch(() => heard++);
    backend.down('contoso', 'site', 'ike');
    expect(connectionOf(lab, 'contoso').state).toBe('down');
    expect(heard).toBeGreaterThan(0);
    end();
    const before = heard;
    backend.up('contoso', 'site');
    backend.rekey('woodgrove', 'site', 'child');
    expect(heard).toBe(before);
    expect(backend.connections().map(({ state }) => state)).toEqual(['up', 'up']);
  });

  it('pings: one answer each, in order', async () => {
    const { backend } = host();
    expect(await pings(backend, 'contoso')).toEqual(['1 reply', '2 reply', '3 reply']);
    expect(await pings(backend, 'contoso', { destination: '10.2.0.20', count: 2 })).toEqual(['1 timeout', '2 timeout']);
    expect(await pings(backend, 'contoso', { destination: '10.9.9.9', count: 1 })).toEqual(['1 no-route']);
  });

  it('several series at once do not take each other’s answers', async () => {
    const { backend } = host();
    const all = await Promise.all([
      pings(backend, 'contoso'),
      pings(backend, 'contoso', { destination: '10.2.0.20' }),
      pings(backend, 'woodgrove', { destination: '10.2.0.20' }),
    ]);
    expect(all).toEqual([
      ['1 reply', '2 reply', '3 reply'],
      ['1 timeout', '2 timeout', '3 timeout'],
      ['1 reply', '2 reply', '3 reply'],
    ]);
  });

  it('pings: what cannot be asked is a problem in words', async () => {
    const { backend } = host();
    await expect(pings(backend, 'contoso', { destination: 'site' })).rejects.toThrow(
      'destination: "site" is not an address',
    );
    await expect(pings(backend, 'contoso', { source: '10.1.0' })).rejects.toThrow(ApiProblem);
    await expect(pings(backend, 'nobody')).rejects.toThrow('no tenant nobody');
    await expect(pings(backend, 'contoso', { destination: '2001:db8::1' })).rejects.toThrow('no own address');
  });

  it('pings end early when nobody wants them any more', async () => {
    const { backend } = host();
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 30);
    const results = await pings(backend, 'contoso', { count: 1000, intervalMs: 5 }, abort.signal);
    expect(results.length).toBeLessThan(100);
  });

  it('pings of a tenant that goes away end, too', async () => {
    const { lab, backend } = host();
    const without = lab.documents.gw.replaceAll('woodgrove', 'another');
    const { resolveDocument } = await import('../../src/lab/index.ts');
    lab.outer.filter = () => false;
    const waiting = pings(backend, 'woodgrove', { count: 1, timeoutMs: 1_500 });
    await Promise.resolve();
    lab.gw.apply(resolveDocument(without));
    expect((await waiting)[0]).toMatch(/^1 (timeout|unreachable)$/);
  });

  it('explains a route', () => {
    const { backend } = host();
    expect(backend.explain('contoso', '10.2.0.99')).toMatchObject({
      address: '10.2.0.99',
      chosen: { prefix: '10.2.0.0/24', via: 'site', origin: 'connection' },
      passedOver: [],
    });
    expect(backend.explain('contoso', '10.9.9.9')).toMatchObject({ chosen: null, why: 'no route to 10.9.9.9' });
    expect(backend.explain('contoso', 'nonsense')).toBeUndefined();
    expect(backend.explain('nobody', '10.2.0.1')).toBeUndefined();
  });
});
