import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { GatewayNode, Host, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';

const document = (near: number, far: number, encapsulation: string): string => `version: 1
gateway: { external: { addresses: ["2001:db8:ffff::${near}"] } }
tenants:
  - name: contoso
    interfaces: [{ name: inside, driver: fabric, addresses: [10.${near}.0.1/24, "2001:db8:${near}::1/64"] }]
    connections:
      - name: c
        remote: { address: "2001:db8:ffff::${far}" }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.${near}.0.0/24, "2001:db8:${near}::/64"], remote: [10.${far}.0.0/24, "2001:db8:${far}::/64"] }
        encapsulation: ${encapsulation}
`;

function world(encapsulation: string) {
  const timeline = new Timeline();
  const random = seededRandom(3);
  const outer = new OuterNetwork(timeline, random);
  const nodes = [1, 2].map((n) => {
    const node = new GatewayNode({ timeline, outer, random });
    node.apply(resolveDocument(document(n, 3 - n, encapsulation)));
    return node;
  });
  const hosts = nodes.map((node, i) => {
    const addresses = [parseAddress(`10.${i + 1}.0.10`)!, parseAddress(`2001:db8:${i + 1}::10`)!];
    const segment = node.segment('contoso', 'inside');
    return new Host({ timeline, segment, tenant: 'contoso', name: `host${i + 1}`, addresses });
  });
  timeline.runToIdle(100);
  return { timeline, outer, nodes, hosts };
}

describe.each(['auto', 'udp'])('IPv6 outside, both families inside, encapsulation %s', (encapsulation) => {
  it('one Child SA carries both; what does not fit is said in the family of the packet', () => {
    const { timeline, outer, nodes, hosts } = world(encapsulation);
    const [a, b] = hosts as [Host, Host];
    const ask = (size: number, dontFragment: boolean) => {
      const queries = b.addresses.map((to) => a.ping(to, { size, dontFragment }));
      timeline.runUntil(() => queries.every(({ outcome }) => outcome !== 'waiting'), 10_000);
      return queries;
    };
    expect(ask(56, false).map(({ outcome }) => outcome)).toEqual(['reply', 'reply']);
    const [connection] = nodes[0]!.gateway.connections(timeline.now);
    expect(connection).toMatchObject({ state: 'up', remoteAddress: '2001:db8:ffff::2' });
    expect(connection!.childSas.map(({ carrier }) => carrier)).toEqual([encapsulation === 'udp' ? 'udp' : 'ip-50']);
    const told = ask(1440, true);
    expect(told.map(({ outcome, mtu }) => [outcome, mtu])).toEqual([
      ['too-big', connection!.mtu],
      ['too-big', connection!.mtu],
    ]);
    const fit = [28, 48].map((headers, family) => {
      const query = a.ping(b.addresses[family]!, { size: connection!.mtu - headers, dontFragment: true });
      timeline.runUntil(() => query.outcome !== 'waiting', 10_000);
      return query.outcome;
    });
    expect(fit).toEqual(['reply', 'reply']);
    expect(outer.counters.tooBig).toBe(0);
    for (const node of nodes) node.dispatch({ type: 'shutdown' });
    timeline.runUntil(() => nodes.every(({ done }) => done), 10_000);
    expect(nodes.map(({ pool }) => pool.taken)).toEqual([0, 0]);
  });
});
