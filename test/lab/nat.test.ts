import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom } from '../../src/core/index.ts';
import { buildUdp, IP_PROTOCOL, ipv4Protocol, parseAddress, sourceOf } from '../../src/ip/index.ts';
import { GatewayNode, Host, Nat, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';

const NAT_ADDRESS = parseAddress('198.51.100.1')!;

const document = (at: 'gw' | 'site'): string => {
  const gw = at === 'gw';
  const [near, far] = gw ? ['10.1.0', '10.2.0'] : ['10.2.0', '10.1.0'];
  return `version: 1
gateway: { external: { addresses: [${gw ? '192.0.2.1' : '192.168.7.2'}] } }
tenants:
  - name: contoso
    interfaces: [{ name: inside, driver: fabric, addresses: [${near}.1/24] }]
    connections:
      - name: c
        local: { id: ${gw ? 'gw' : 'site'}.example }
        remote: { address: ${gw ? 'any' : '192.0.2.1'}, id: ${gw ? 'site' : 'gw'}.example }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [${near}.0/24], remote: [${far}.0/24] }
        dpdSeconds: 10
`;
};

function world() {
  const timeline = new Timeline();
  const random = seededRandom(1);
  const outer = new OuterNetwork(timeline, random);
  const nat = new Nat(outer, NAT_ADDRESS);
  const gw = new GatewayNode({ timeline, outer, random });
  const site = new GatewayNode({ timeline, outer: nat, random });
  gw.apply(resolveDocument(document('gw')));
  site.apply(resolveDocument(document('site')));
  const host = (node: GatewayNode, name: string, address: string): Host => {
    const segment = node.segment('contoso', 'inside');
    return new Host({ timeline, segment, tenant: 'contoso', name, addresses: [parseAddress(address)!] });
  };
  const [vm, far] = [host(gw, 'vm', '10.1.0.10'), host(site, 'far', '10.2.0.10')];
  timeline.runToIdle(100);
  const ask = (from: Host, to: Host) => {
    const query = from.ping(to.addresses[0]!);
    timeline.runUntil(() => query.outcome !== 'waiting', 5000);
    return query.outcome;
  };
  return { timeline, outer, nat, gw, site, vm, far, ask };
}

describe('NAT between gateways (RFC 3948, RFC 7296 §2.23)', () => {
  it('detected: both ends encapsulate ESP in UDP 4500, and nothing of protocol 50 is sent', () => {
    const { outer, nat, gw, site, vm, far, ask, timeline } = world();
    const protocols = new Set<number>();
    outer.tap((packet) => protocols.add(ipv4Protocol(packet, 0)));
    expect([ask(far, vm), ask(vm, far)]).toEqual(['reply', 'reply']);
    expect([...protocols]).toEqual([IP_PROTOCOL.udp]);
    const [ours, theirs] = [gw, site].map((node) => node.gateway.connections(timeline.now)[0]!);
    expect(ours!.ikeSas[0]).toMatchObject({ nat: 'remote', local: '192.0.2.1:4500', remote: '198.51.100.1:40002' });
    expect(theirs!.ikeSas[0]).toMatchObject({ nat: 'local', remote: '192.0.2.1:4500' });
    expect(ours!.childSas[0]!.carrier).toBe('udp');
    expect(nat.counters).toMatchObject({ notUdp: 0, unknownPort: 0 });
  });

  it('keepalives keep the mapping while nothing else is said', () => {
    const { outer, vm, far, ask, timeline } = world();
    ask(far, vm);
    const before = outer.counters.sent;
    timeline.advanceTo(timeline.now + 65_000);
    expect(outer.counters.sent).toBeGreaterThan(before + 2);
    expect(ask(vm, far)).toBe('reply');
  });

  it('the NAT forgets: the next authentic packet moves the peer, traffic goes on', () => {
    const { nat, gw, vm, far, ask, timeline } = world();
    ask(far, vm);
    const before = gw.gateway.connections(timeline.now)[0]!;
    nat.forget();
    expect(ask(vm, far)).toBe('timeout');
    expect(nat.counters.unknownPort).toBeGreaterThan(0);
    expect(ask(far, vm)).toBe('reply');
    expect(ask(vm, far)).toBe('reply');
    const after = gw.gateway.connections(timeline.now)[0]!;
    expect(after.ikeSas[0]!.remote).not.toBe(before.ikeSas[0]!.remote);
    expect(after.childSas[0]!.id).toBe(before.childSas[0]!.id);
  });

  it('forged and replayed packets move nobody: only the newest authentic one does', () => {
    const { outer, gw, vm, far, ask, timeline } = world();
    ask(far, vm);
    const caught: Bytes[] = [];
    outer.filter = (packet) => {
      if (sourceOf(packet, 0).join() !== NAT_ADDRESS.join()) return true;
      caught.push(packet.slice());
      return false;
    };
    ask(far, vm);
    ask(far, vm);
    outer.filter = () => true;
    const [older, fresh] = caught as [Bytes, Bytes];
    const remote = () => gw.gateway.connections(timeline.now)[0]!.ikeSas[0]!.remote;
    const before = remote();
    const ends = { source: parseAddress('203.0.113.66')!, destination: parseAddress('192.0.2.1')! };
    const inject = (payload: Bytes): void => {
      timeline.advanceTo(timeline.now + 2000);
      outer.send(buildUdp({ ...ends, sourcePort: 4500, destinationPort: 4500 }, payload));
    };
    // The SPI, the ICV, the data: each with one bit flipped.
    for (const at of [1, fresh.length - 29, 40]) {
      const payload = fresh.slice(28);
      payload[at]! ^= 1;
      inject(payload);
    }
    outer.send(fresh.slice());
    inject(fresh.subarray(28));
    const { received } = vm.counters;
    inject(older.subarray(28));
    timeline.advanceTo(timeline.now + 2000);
    expect(gw.gateway.status(timeline.now).drops).toMatchObject({ espReplay: 1, espIntegrity: 2, espUnknownSpi: 1 });
    // Late, but never seen before: it is delivered, and moves nobody.
    expect(vm.counters.received).toBe(received + 1);
    expect(remote()).toBe(before);
    expect(ask(vm, far)).toBe('reply');
  });

  it('what it knows no mapping for does not come in', () => {
    const { nat, gw, vm, far, ask } = world();
    expect(nat.mappings).toBe(0);
    expect(ask(vm, far)).toBe('unreachable');
    expect(gw.pool.taken).toBe(0);
  });
});
