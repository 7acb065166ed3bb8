/** What a gateway makes of what the kernel knows of the way to a peer. Two tenants have a tunnel each to one peer. */
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import { formatAddress, parseAddress } from '../../src/ip/index.ts';
import { GatewayNode, Host, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';
import { actionsOf } from './fixture.ts';

const TENANTS = ['blue', 'red'] as const;
type Name = (typeof TENANTS)[number];

interface Settings {
  /** Of the connection of each tenant. */
  readonly blue?: string;
  readonly red?: string;
}

const document = (near: number, far: number, settings: Settings): string => `version: 1
gateway: { external: { addresses: [192.0.2.${near}] } }
tenants:
${TENANTS.map(
  (name) => `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [10.${near}.0.1/24, "fd0${near}::1/64"] }]
    connections:
      - name: c
        local: { id: ${name}${near}.example }
        remote: { address: 192.0.2.${far}, id: ${name}${far}.example }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.${near}.0.0/24, "fd0${near}::/64"], remote: [10.${far}.0.0/24, "fd0${far}::/64"] }
        ${settings[name] ?? ''}`,
).join('')}
`;

function world(settings: Settings = {}) {
  const timeline = new Timeline();
  const random = seededRandom(3);
  const outer = new OuterNetwork(timeline, random, { delay: 1 });
  const nodes = [1, 2].map((n) => {
    const node = new GatewayNode({ timeline, outer, random });
    node.apply(resolveDocument(document(n, 3 - n, settings)));
    return node;
  });
  const node = nodes[0]!;
  const actions = actionsOf(node);
  const hosts = TENANTS.map((tenant) =>
    nodes.map((each, i) => {
      const addresses = [parseAddress(`10.${i + 1}.0.10`)!, parseAddress(`fd0${i + 1}::10`)!];
      return new Host({ timeline, segment: each.segment(tenant, 'inside'), tenant, name: `host${i + 1}`, addresses });
    }),
  );
  timeline.runToIdle(100);
  const wait = (ms: number): void => timeline.advanceTo(timeline.now + ms);
  /** From the host of a tenant behind the first gateway to that behind the second. `size` is that of the packet. */
  const ping = (tenant: Name, size = 84, dontFragment = true, family: 4 | 6 = 4) => {
    const [from, to] = hosts[TENANTS.indexOf(tenant)]!;
    const headers = family === 4 ? 28 : 48;
    const query = from!.ping(to!.addresses[family === 4 ? 0 : 1]!, { size: size - headers, dontFragment });
    timeline.runUntil(() => query.outcome !== 'waiting', 10_000);
    return query.mtu === undefined ? query.outcome : `${query.outcome} ${query.mtu}`;
  };
  /** How often the kernel was asked; every question was about the way to the peer. */
  const asked = (): number => {
    const questions = actions.flatMap((a) =>
      a.do === 'probe-path' ? [`${formatAddress(a.local)} ${formatAddress(a.remote)}`] : [],
    );
    expect(new Set(questions)).toEqual(new Set(questions.length === 0 ? [] : ['192.0.2.1 192.0.2.2']));
    return questions.length;
  };
  const [local, remote] = ['192.0.2.1', '192.0.2.2'].map((text) => parseAddress(text)!) as [Uint8Array, Uint8Array];
  /** Both gateways get it. */
  const answer = (mtu: number): void => {
    node.dispatch({ type: 'path-mtu', local, remote, mtu });
    nodes[1]!.dispatch({ type: 'path-mtu', local: remote, remote: local, mtu });
  };
  const tooBig = (): void => node.dispatch({ type: 'too-big', local, remote });
  const mtus = (): number[] => node.gateway.connections(timeline.now).map(({ mtu }) => mtu);
  return { timeline, outer, node, ping, wait, asked, answer, tooBig, mtus };
}

describe('RFC 4301 §8.2: what the kernel knows of the way outside', () => {
  it('it is asked when SAs come, and its answer decides what fits inside; hosts are told (§8.2.1)', () => {
    const { ping, asked, answer, mtus, node } = world();
    expect([ping('blue'), asked()]).toEqual(['reply', 1]);
    expect(mtus()[0]).toBe(1446);
    answer(1400);
    expect([mtus()[0], ping('blue', 1346), ping('blue', 1347)]).toEqual([1346, 'reply', 'too-big 1346']);
    expect(node.reports.map(({ text }) => text)).not.toContainEqual(expect.stringContaining('the way to the peer'));
    answer(1300);
    expect([mtus()[0], ping('blue', 1246), ping('blue', 1247)]).toEqual([1246, 'reply', 'too-big 1246']);
    expect(node.reports.at(-1)?.text).toBe('the way to the peer carries 1300 octets, the tunnel 1246');
    answer(9000);
    expect(mtus()[0]).toBe(8946);
  });

  it('two tunnels of one way that come at once: one question, and both have the answer', () => {
    const { ping, asked, answer, mtus, wait } = world();
    expect(ping('blue')).toBe('reply');
    answer(1400);
    expect(ping('red')).toBe('reply');
    expect([asked(), mtus()]).toEqual([1, [1346, 1346]]);
    wait(1000);
    answer(1300);
    expect(mtus()).toEqual([1246, 1246]);
  });

  it('it is asked again when it refuses a datagram, at most twenty times a second', () => {
    const { ping, asked, tooBig, wait } = world();
    expect(ping('blue')).toBe('reply');
    wait(1000);
    for (let i = 0; i < 100; i++) {
      tooBig();
      wait(1);
    }
    expect(asked()).toBe(3);
  });

  it('RFC 4301 §8.2.2, RFC 1191 §6.3: it is asked once a minute, as long as there are SAs', () => {
    const { ping, asked, answer, mtus, wait, node } = world();
    expect(node.deadline()).toBe(undefined);
    expect(ping('blue')).toBe('reply');
    answer(1300);
    wait(59_000);
    expect(asked()).toBe(1);
    wait(2000);
    expect(asked()).toBe(2);
    answer(1500);
    expect(mtus()[0]).toBe(1446);
    wait(120_000);
    expect(asked()).toBe(4);
    node.dispatch({ type: 'down', tenant: 'blue', connection: 'c', what: 'ike' });
    wait(10_000);
    const after = asked();
    wait(300_000);
    expect(asked()).toBe(after);
  });

  it('RFC 8200 §5: IPv6 packets of 1280 octets get through a way of 1280, as fragments without DF', () => {
    const { ping, answer, outer, mtus } = world();
    expect(ping('blue')).toBe('reply');
    answer(1280);
    outer.conditions = { ...outer.conditions, mtu: 1280 };
    expect(mtus()[0]).toBe(1226);
    expect([ping('blue', 1280, true, 6), ping('blue', 1281, true, 6)]).toEqual(['reply', 'too-big 1280']);
    expect([ping('blue', 1226), ping('blue', 1227), ping('blue', 3000, false)]).toEqual([
      'reply',
      'too-big 1226',
      'reply',
    ]);
    expect(outer.counters.tooBig).toBe(0);
  });

  it('a configured MTU stands, until the way is known not to carry it; with df: clear, which routers may cut, even then', () => {
    const { ping, answer, outer, mtus } = world({ blue: 'mtu: 1420', red: 'mtu: 1420\n        df: clear' });
    expect([ping('blue'), ping('red'), mtus()]).toEqual(['reply', 'reply', [1420, 1420]]);
    answer(1500);
    expect(mtus()).toEqual([1420, 1420]);
    answer(1400);
    outer.conditions = { ...outer.conditions, mtu: 1400 };
    expect(mtus()).toEqual([1346, 1420]);
    expect([ping('blue', 1420), ping('blue', 1346)]).toEqual(['too-big 1346', 'reply']);
    expect([ping('red', 1420), ping('red', 1421)]).toEqual(['reply', 'too-big 1420']);
    answer(1500);
    expect(mtus()).toEqual([1420, 1420]);
  });
});
