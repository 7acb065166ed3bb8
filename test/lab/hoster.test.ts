/** Machines with identical addresses and MACs in two virtual networks: who hears whom, and what stands on the wires. */
import { describe, expect, it } from 'vitest';
import { type Bytes, seededRandom } from '../../src/core/index.ts';
import { checkIp, destinationOf, formatAddress, IP_PROTOCOL, PASS, parseAddress } from '../../src/ip/index.ts';
import { EthernetLink, Host, Hoster, type Query, Timeline } from '../../src/lab/index.ts';
import { vsidOf } from '../../src/nvgre/index.ts';

const newHoster = () =>
  new Hoster({ random: seededRandom(3), plan: { contoso: { nat: 'auto' }, woodgrove: { nat: 'auto' } } });

const settle = (lab: { readonly timeline: Timeline }, ...queries: Query[]): string[] => {
  lab.timeline.runUntil(() => queries.every(({ outcome }) => outcome !== 'waiting'), 30_000);
  return queries.map(({ outcome }) => outcome);
};

describe('a hoster', () => {
  it('RFC 7637 §3.1: frames of two tenants with one MAC and one address differ by their VSID alone', () => {
    const lab = newHoster();
    const wire: string[] = [];
    lab.fabric.tap((packet) => {
      expect([checkIp(packet, 0, packet.length), packet[9]]).toEqual([PASS, IP_PROTOCOL.gre]);
      wire.push(`${vsidOf(packet, 20)} to ${formatAddress(destinationOf(packet, 0))}`);
    });
    const db = parseAddress('10.1.0.11')!;
    expect(settle(lab, lab.web('contoso').ping(db), lab.web('woodgrove').ping(db))).toEqual(['reply', 'reply']);
    expect(wire).toEqual([
      '5001 to 192.168.50.22',
      '6001 to 192.168.50.23',
      '5001 to 192.168.50.21',
      '6001 to 192.168.50.21',
    ]);
    expect(lab.vm('contoso', 'db').counters).toMatchObject({ echoRequests: 1, foreign: 0 });
    expect(lab.vm('woodgrove', 'db').counters).toMatchObject({ echoRequests: 1, foreign: 0 });
  });

  it('datagrams of every machine to every address: none reaches a machine of the other tenant', () => {
    const lab = newHoster();
    const all = (['contoso', 'woodgrove'] as const).flatMap((tenant) => [...lab.tenants[tenant].vms.values()]);
    const queries: Query[] = [];
    for (const to of ['10.1.0.10', '10.1.0.11', '10.1.0.20', '10.1.1.10', '10.2.0.10', '198.51.100.80']) {
      const others = all.filter(({ addresses }) => formatAddress(addresses[0]!) !== to);
      const asked = others.map((from) => from.askUdp(parseAddress(to)!));
      settle(lab, ...asked);
      queries.push(...asked);
    }
    expect(queries.filter(({ outcome }) => outcome === 'reply').length).toBe(3 * 3 + 4 * 4);
    expect(all.map(({ counters }) => counters.foreign)).toEqual(all.map(() => 0));
  });

  it('restart of the gateway: who had which external address has it again, and NAT begins anew', () => {
    const lab = newHoster();
    const server = parseAddress('198.51.100.80')!;
    expect(settle(lab, lab.web('contoso').ping(server))).toEqual(['reply']);
    const before = [...lab.external].map(([tenant, address]) => `${tenant} ${formatAddress(address)}`);
    lab.gw.restart();
    lab.timeline.runToIdle(100);
    expect([...lab.external].map(([tenant, address]) => `${tenant} ${formatAddress(address)}`)).toEqual(before);
    expect(settle(lab, lab.web('contoso').ping(server))).toEqual(['reply']);
  });
});

describe('a network card', () => {
  it('RFC 826: asks once, and what waits goes when the answer comes; nobody there is counted', () => {
    const timeline = new Timeline();
    const random = seededRandom(1);
    const cable: ((frame: Bytes) => void)[] = [];
    const hosts = [1, 2].map((i) => {
      const address = parseAddress(`10.1.0.${i}`)!;
      const segment = new EthernetLink({
        timeline,
        random,
        mac: Uint8Array.of(2, 0, 0, 0, 0, i),
        address: { address, length: 24 },
        gateway: parseAddress('10.1.0.254')!,
        plug: (receive) => {
          cable.push(receive);
          return (frame) => cable[2 - i]!(frame);
        },
      });
      return { segment, host: new Host({ timeline, segment, tenant: 't', name: `h${i}`, addresses: [address] }) };
    });
    const [first, second] = hosts;
    const frames: number[] = [];
    first!.segment.tap((frame) => frames.push((frame[12]! << 8) | frame[13]!));
    const to = second!.host.addresses[0]!;
    expect(settle({ timeline }, first!.host.ping(to), first!.host.ping(to))).toEqual(['reply', 'reply']);
    expect(frames).toEqual([0x806, 0x806, 0x800, 0x800, 0x800, 0x800]);
    const beyond = first!.host.ping(parseAddress('192.0.2.1')!, { timeoutMs: 10_000 });
    expect(settle({ timeline }, beyond)).toEqual(['timeout']);
    expect(first!.segment.counters.unreachable).toBe(1);
  });
});
