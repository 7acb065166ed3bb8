/** A gateway whose data plane is hosted elsewhere: what it says to it, and what it must never do itself. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { Gateway, type GatewayAction, type PlaneCommand, SharedCells } from '../../src/gateway/index.ts';
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
  a.gateway = new Gateway({ random, pool: a.pool, remote: { cells: new SharedCells(), slot: 2 } });
  const actions: GatewayAction[] = [];
  a.observe((action) => actions.push(action));
  b.apply(resolveDocument(document(2, 1)));
  a.apply(resolveDocument(document(1, 2)));
  a.dispatch({ type: 'up', tenant: 'contoso', connection: 'c', what: 'ike' });
  timeline.runToIdle(1000);
  const children = () => a.gateway.connections(timeline.now)[0]!.childSas;
  return { timeline, a, actions, children };
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
});
