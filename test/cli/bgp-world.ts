import { expect, vi } from 'vitest';
import { GatewayBackend } from '../../src/api/index.ts';
import type { GatewayEvent } from '../../src/gateway/index.ts';
import { resolveDocument } from '../../src/lab/index.ts';
import { BgpWorld, gwDocument } from '../gateway/bgp/world.ts';

/** Two tenants with the same addresses and numbers, whose sessions are up; each event is followed by a tenth of a second. */
export function world(edit = (text: string) => text) {
  const it = new BgpWorld();
  it.gw.apply(resolveDocument(edit(gwDocument({}))));
  it.run(10_000);
  const events: GatewayEvent[] = [];
  const options: ConstructorParameters<typeof GatewayBackend>[0] = {
    gateway: it.gw.gateway,
    dispatch: (event: GatewayEvent) => {
      events.push(event);
      it.gw.dispatch(event);
      it.run(100);
    },
    now: () => it.timeline.now,
    keys: () => ({ enabled: false, folder: null }),
    setKeys: (enabled) => ({ enabled, folder: null }),
    reload: () => Promise.resolve({ applied: true, changes: [], issues: [] }),
    configText: () => '',
  };
  const backend = new GatewayBackend(options);
  it.gw.observe((action) => backend.observe(action));
  const told = (what: GatewayEvent['type'], count: number) =>
    vi.waitFor(() => expect(events.filter(({ type }) => type === what)).toHaveLength(count), 10_000);
  return { world: it, options, backend, followers: (count: number) => told('follow', count), told };
}
