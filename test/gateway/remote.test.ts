/** A gateway whose data plane is hosted elsewhere: what it says to it, and what it must never do itself. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import {
  Gateway,
  type GatewayAction,
  type PlaneCommand,
  POOL_AT,
  SharedCells,
  slotOf,
} from '../../src/gateway/index.ts';
import { DROP } from '../../src/ip/index.ts';
import { GatewayNode, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';
import { addr } from '../support/packets.ts';

const document = (near: number, far: number): string => `version: 1
gateway: { external: { addresses: [203.0.113.${near}] } }
tenants:
  - name: contoso
    interfaces: [{ name: inside, driver: fabric, addresses: [10.${near}.0.1/24] }]
    connections:
      - name: c
        remote: { address: 203.0.113.${far} }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.${near}.0.0/24], remote: [10.${far}.0.0/24] }
`;

/** Two gateways with a tunnel between them; the data plane of `a` is nowhere. */
function world() {
  const timeline = new Timeline();
  const random = seededRandom(5);
  const outer = new OuterNetwork(timeline, random);
  const [a, b] = [new GatewayNode({ timeline, outer, random }), new GatewayNode({ timeline, outer, random })];
  a.gateway = new Gateway({ random, pool: a.pool, remote: { cells: new SharedCells(), planes: 1 } });
  const actions: GatewayAction[] = [];
  a.observe((action) => actions.push(action));
  b.apply(resolveDocument(document(2, 1)));
  a.apply(resolveDocument(document(1, 2)));
  a.dispatch({ type: 'up', tenant: 'contoso', connection: 'c', what: 'ike' });
  timeline.runToIdle(1000);
  const children = () => a.gateway.connections(timeline.now)[0]!.childSas;
  return { timeline, a, b, actions, children, status: () => a.gateway.status(timeline.now) };
}

const commandsOf = (actions: readonly GatewayAction[]): PlaneCommand[] =>
  actions.flatMap((action) => (action.do === 'plane' ? [action.command] : []));

describe('a gateway whose data plane is hosted elsewhere', () => {
  it('RFC 4106 §3.1: seals nothing itself, not even a ping of its own: the number would be used twice', () => {
    const { a, timeline, actions, children } = world();
    expect(children().map(({ state }) => state)).toEqual(['active']);
    actions.splice(0);
    const request = { destination: addr('10.2.0.1'), id: 1, sequence: 1, size: 8, timeoutMs: 100 };
    a.dispatch({ type: 'ping', tenant: 'contoso', request });
    timeline.runToIdle(1000);
    expect(actions.map((action) => action.do)).toEqual(['plane']);
    expect(commandsOf(actions)).toEqual([{ do: 'ping', compartment: 2, request }]);
    expect(children()[0]!.packetsOut).toBe(0);
    // Its result comes from where it was sent, once.
    const result = { ...request, from: addr('10.2.0.1'), outcome: 'reply', milliseconds: 1, octets: 8 } as const;
    a.dispatch({ type: 'plane', event: { type: 'pinged', compartment: 2, result } });
    expect(actions.filter((action) => action.do === 'pinged')).toHaveLength(1);
  });

  it('says that no packet passes while the data plane is lost, and why', () => {
    const { a, status } = world();
    expect(status()).toMatchObject({ state: 'ok', problems: [] });
    a.dispatch({ type: 'plane-lost', plane: 0, why: 'stood still for 612 ms' });
    expect(status()).toMatchObject({
      state: 'degraded',
      problems: [{ severity: 'error', problem: 'no packet passes: the data plane stood still for 612 ms' }],
    });
    a.dispatch({ type: 'plane-restarted', plane: 0, why: 'stood still for 612 ms' });
    expect(status()).toMatchObject({ state: 'ok', problems: [] });
  });

  it('tells a new one everything but the SAs, which it negotiates anew', () => {
    const { a, timeline, actions, children } = world();
    const [old] = children();
    const told = commandsOf(actions).filter(({ do: what }) => what.startsWith('add-'));
    actions.splice(0);
    a.dispatch({ type: 'plane-restarted', plane: 0, why: 'failed' });
    const anew = commandsOf(actions);
    expect(anew.slice(0, told.length)).toEqual(told);
    expect(anew.filter(({ do: what }) => what === 'install')).toEqual([]);
    expect(children().map(({ spiIn, state }) => [spiIn, state])).toEqual([[old!.spiIn, 'draining']]);
    timeline.runUntil(() => children().length === 1 && children()[0]!.state === 'active', 20_000);
    const [fresh] = children();
    expect(fresh).toMatchObject({ state: 'active', packetsOut: 0 });
    expect([fresh!.spiIn, fresh!.spiOut]).not.toEqual([old!.spiIn, old!.spiOut]);
    const installed = commandsOf(actions).flatMap((command) => (command.do === 'install' ? [command.sa] : []));
    expect(installed.map(({ spiIn }) => spiIn.toString(16).padStart(8, '0'))).toEqual([fresh!.spiIn]);
    const sending = commandsOf(actions).flatMap((c) => (c.do === 'phase' && c.phase === 'active' ? [c.spiIn] : []));
    expect(sending).toEqual([]);
  });

  it('shows each of several by itself: its pool, its drops, its tenants, and whether it runs', () => {
    const { timeline, random } = { timeline: new Timeline(), random: seededRandom(5) };
    const node = new GatewayNode({ timeline, outer: new OuterNetwork(timeline, random), random });
    const cells = new SharedCells();
    node.gateway = new Gateway({ random, pool: node.pool, remote: { cells, planes: 2 } });
    const second = document(1, 3).split('tenants:\n')[1]!.replace('contoso', 'fabrikam');
    node.apply(resolveDocument(document(1, 2) + second));
    const status = () => node.gateway.status(timeline.now);
    // As the planes write them.
    cells.at(slotOf(0)).set([1024, 3, 40, 5], POOL_AT);
    cells.at(slotOf(1)).set([512, 0, 7, 0], POOL_AT);
    cells.at(slotOf(1))[DROP.strayed] = 4;
    cells.at(slotOf(1) + 1)[DROP.espUnknownSpi] = 2;
    const tenants = node.gateway.tenants();
    expect(tenants.map(({ name, worker }) => [name, worker])).toEqual([
      ['contoso', 0],
      ['fabrikam', 1],
    ]);
    expect(status().workers).toMatchObject([
      { worker: 0, thread: 'own', state: 'running', tenants: 1 },
      { worker: 1, thread: 'own', state: 'running', tenants: 1 },
    ]);
    expect(status().workers.map(({ packets }) => packets)).toEqual([
      { poolSize: 1024, inUse: 3, peak: 40, refused: 5 },
      { poolSize: 512, inUse: 0, peak: 7, refused: 0 },
    ]);
    expect(status().packets).toEqual({ poolSize: 1536, inUse: 3, peak: 47, refused: 5 });
    const occurred = status().workers.map(({ drops }) => Object.entries(drops).filter(([, count]) => count > 0));
    expect(occurred).toEqual(
      [
        [],
        [
          ['espUnknownSpi', 2],
          ['strayed', 4],
        ],
      ].map((each) => expect.arrayContaining(each)),
    );
    node.dispatch({ type: 'plane-lost', plane: 1, why: 'failed: no room' });
    expect(status().workers).toMatchObject([{ state: 'running' }, { state: 'lost', why: 'failed: no room' }]);
    expect(status().countersRefused).toBe(0);
  });

  it('a plane that is lost while the gateway stops does not keep it', () => {
    const { a, timeline, actions } = world();
    a.dispatch({ type: 'shutdown' });
    a.dispatch({ type: 'plane-lost', plane: 0, why: 'failed' });
    a.dispatch({ type: 'plane-restarted', plane: 0, why: 'failed' });
    timeline.runToIdle(5000);
    expect(actions.filter((action) => action.do === 'done')).toHaveLength(1);
    expect(commandsOf(actions).filter((command) => command.do === 'install')).toHaveLength(1);
  });

  it('is told many routes at once, in their order, also when it runs anew', () => {
    const { a, timeline, actions } = world();
    actions.splice(0);
    const prefixes = Array.from({ length: 300 }, (_, i) => `10.9.${i >> 8}.${i & 255}/32`);
    const routes = `    routes: [${prefixes.map((prefix) => `{ prefix: ${prefix}, via: inside }`).join(', ')}]`;
    const told = () =>
      commandsOf(actions.splice(0)).flatMap((command) =>
        command.do === 'change-routes' ? [command.templates.length, command.count] : [],
      );
    a.apply(resolveDocument(`${document(1, 2)}${routes}`));
    expect(told()).toEqual([1, 256, 1, 44]);
    a.dispatch({ type: 'plane-restarted', plane: 0, why: 'was lost' });
    // The connection has one, too.
    expect(told()).toEqual([2, 256, 1, 45]);
    a.apply(resolveDocument(document(1, 2)));
    expect(told()).toEqual([1, 256, 1, 44]);
    timeline.runToIdle(1000);
  });
});
