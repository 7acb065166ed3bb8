import { describe, expect, it } from 'vitest';
import type { LivePacket } from '../../src/api/index.ts';
import { fromHex } from '../../src/core/index.ts';
import { parseFlow, type TraceStage } from '../../src/gateway/index.ts';
import { buildIcmpEcho } from '../../src/ip/index.ts';
import { addr, describePacket } from '../support/packets.ts';
import { HOST_PA, host, NAMES, NAT, prepare, ROUTER, SITE, udp, type VirtualWorld, VM } from './virtual-world.ts';

/** Packets that a tap shows while `act` makes them. */
async function tapped(tenant: string | undefined, act: (world: VirtualWorld) => void): Promise<LivePacket[]> {
  const { world, backend } = host();
  prepare(world);
  const abort = new AbortController();
  const seen: LivePacket[] = [];
  const reading = (async () => {
    for await (const packet of backend.tap(tenant, abort.signal)) seen.push(packet);
  })();
  act(world);
  await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  abort.abort();
  await reading;
  // Nothing is tapped any more.
  const before = world.actions.length;
  act(world);
  expect(world.actions.slice(before).filter((action) => action.do === 'tapped')).toEqual([]);
  return seen;
}

const decisions = ({ stages }: LivePacket): string[] => stages.map(({ stage, decision }) => `${stage}: ${decision}`);
const points = ({ points: all }: LivePacket): string[] =>
  all.map(({ point, direction, octets }) => `${point} ${direction} ${describePacket(fromHex(octets))}`);

/** SPIs as the stages have them: of the packet out, and of its answer. */
const saOf = ([out, back]: readonly LivePacket[]) => ({
  spiOut: out!.stages.find(({ stage }) => stage === 'sa')!.decision.slice(4, 12),
  spiIn: back!.stages[0]!.decision.slice(-8),
});

describe('a tap on real packets', () => {
  it('a VM’s packet out through the NAT: every stage, and the packet as each point has it', async () => {
    const [packet, ...more] = await tapped('contoso', (world) => {
      world.fromVm('contoso', udp(VM, 6000, '192.0.2.80', 53));
      world.fromVm('woodgrove', udp(VM, 6000, '192.0.2.80', 53));
    });
    expect(more).toEqual([]);
    expect(packet).toMatchObject({ tenants: ['contoso', 'default'], outcome: 'out', missed: 0 });
    expect(packet!.time).toMatch(/^\d{4}-\d\d-\d\dT/);
    expect(decisions(packet!)).toEqual([
      'door: NVGRE, VSID 5001',
      'compartment: contoso (compartment 2)',
      'fib: 0.0.0.0/0 by outside',
      'mtu: 32 octets',
      `nat: source becomes ${NAT.contoso}:6000`,
      'compartment: default (compartment 1)',
      `fib: 0.0.0.0/0 by external to ${ROUTER}`,
      'mtu: 32 octets',
      'neighbour: 02:00:00:00:00:99',
      expect.stringMatching(/^out: frame from .{17} to 02:00:00:00:00:99$/),
    ]);
    expect(points(packet!)).toEqual([
      expect.stringMatching(/^underlay inbound IPv4 192\.168\.50\.21 > 192\.168\.50\.10 /),
      expect.stringMatching(/^contoso\/vsid:5001 inbound IPv4 10\.1\.0\.10 > 192\.0\.2\.80 UDP 6000 > 53/),
      expect.stringMatching(/^contoso\/outside outbound IPv4 10\.1\.0\.10 > 192\.0\.2\.80 UDP 6000 > 53/),
      expect.stringMatching(/^tenant:contoso inbound IPv4 203\.0\.113\.50 > 192\.0\.2\.80 UDP 6000 > 53/),
      expect.stringMatching(/^external outbound IPv4 203\.0\.113\.50 > 192\.0\.2\.80 UDP 6000 > 53/),
    ]);
  });

  it('there and back by the site’s connection: SAs with their numbers', async () => {
    const seen = await tapped('woodgrove', (world) => {
      for (const name of NAMES) world.fromVm(name, udp(VM, 5000, SITE, 7));
      world.run(50);
    });
    expect(decisions(seen[0]!)).toEqual([
      'door: NVGRE, VSID 6001',
      'compartment: woodgrove (compartment 3)',
      'fib: 10.2.0.0/24 by site',
      'mtu: 32 octets',
      expect.stringMatching(/^sa: SPI [0-9a-f]{8}, sequence number 2$/),
      'encapsulation: ESP',
      'mtu: 88 octets outside',
      'out: 192.0.2.1 > 192.0.2.12',
    ]);
    expect(seen[0]!.stages[4]!.detail).toEqual(['connection site: 10.1.0.0/24 === 10.2.0.0/24, aes256gcm16']);
    const { spiIn, spiOut } = saOf(seen);
    expect(points(seen[0]!).slice(1)).toEqual([
      expect.stringMatching(/^woodgrove\/vsid:6001 inbound IPv4 10\.1\.0\.10 > 10\.2\.0\.10 UDP 5000 > 7/),
      expect.stringMatching(/^woodgrove\/site outbound IPv4 10\.1\.0\.10 > 10\.2\.0\.10 UDP 5000 > 7/),
      expect.stringMatching(/^external outbound IPv4 192\.0\.2\.1 > 192\.0\.2\.12 /),
    ]);
    expect(seen[0]!.points[3]).toMatchObject({ length: 88, octets: expect.stringContaining(`${spiOut}00000002`) });
    expect(points(seen[1]!).slice(0, 2)).toEqual([
      expect.stringMatching(/^external inbound IPv4 192\.0\.2\.12 > 192\.0\.2\.1 /),
      expect.stringMatching(/^woodgrove\/site inbound IPv4 10\.2\.0\.10 > 10\.1\.0\.10 UDP 7 > 5000/),
    ]);
    expect(seen[1]!.points[0]!.octets).toContain(`${spiIn}00000002`);
    expect(seen[1]!.stages[0]).toMatchObject({
      decision: expect.stringMatching(/^ESP, SPI [0-9a-f]{8}$/),
      why: 'sequence number 2, authentic and within the selectors',
      detail: ['connection site: 10.1.0.0/24 === 10.2.0.0/24, aes256gcm16'],
    });
    expect(new Set(seen.flatMap(({ tenants }) => tenants))).toEqual(new Set(['woodgrove']));
  });

  it('a ping for the gateway: one explanation for it, and one for its answer', async () => {
    const ends = { source: addr(VM), destination: addr('10.1.0.1') };
    const ping = buildIcmpEcho({ ...ends, type: 'request', identifier: 7, sequence: 1 }, new Uint8Array(4));
    const seen = await tapped('contoso', (world) => world.fromVm('contoso', ping));
    expect(seen.map(({ outcome }) => outcome)).toEqual(['local', 'out']);
    expect(decisions(seen[0]!)).toEqual([
      'door: NVGRE, VSID 5001',
      'compartment: contoso (compartment 2)',
      'local: consumed here',
    ]);
    expect(decisions(seen[1]!).slice(0, 2)).toEqual(['door: this gateway', 'fib: 10.1.0.0/24 by vsid:5001']);
  });

  it('what came in from outside, and what was dropped, each with its reason', async () => {
    const inwards = (world: VirtualWorld): void => world.fromOutside(udp('192.0.2.80', 53, NAT.contoso, 5000));
    expect((await tapped('contoso', inwards)).map(decisions)).toEqual([
      [
        expect.stringMatching(/^door: frame for .{17}$/),
        'compartment: default (compartment 1)',
        `fib: ${NAT.contoso}/32 by tenant:contoso`,
        'mtu: 32 octets',
        `nat: destination becomes ${VM}:5000`,
        'compartment: contoso (compartment 2)',
        'fib: 10.1.0.0/24 by vsid:5001',
        'mtu: 32 octets',
        'neighbour: 00:15:5d:00:00:10',
        expect.stringMatching(/^encapsulation: NVGRE, VSID 5001, FlowID \d+$/),
        'mtu: 74 octets outside',
        `out: 192.168.50.10 > ${HOST_PA}`,
      ],
    ]);
    expect(await tapped('woodgrove', inwards)).toEqual([]);
    const seen = await tapped(undefined, (world) => {
      inwards(world);
      world.fromOutside(udp('192.0.2.81', 53, NAT.contoso, 5000));
      world.fromVm('woodgrove', udp('10.1.0.11', 1, SITE, 7));
      world.fromVm('contoso', udp(VM, 1, '224.0.0.9', 7));
    });
    expect(seen.map(({ tenants, outcome, stages }) => [tenants.join(), outcome, stages.at(-1)!.decision])).toEqual([
      ['default,contoso', 'out', `192.168.50.10 > ${HOST_PA}`],
      ['default', 'dropped', 'dropped: natFiltered'],
      ['woodgrove', 'dropped', 'dropped: spoofed'],
      ['contoso', 'dropped', 'dropped: notForwarded'],
    ]);
    expect(points(seen[0]!).at(-1)).toMatch(/^underlay outbound IPv4 192\.168\.50\.10 > 192\.168\.50\.21 /);
  });

  it('the answer of the gateway itself', async () => {
    const seen = await tapped('contoso', (world) => {
      world.gw.dispatch({
        type: 'ping',
        tenant: 'contoso',
        request: { destination: Uint8Array.of(10, 1, 0, 1), id: 1, sequence: 1, size: 8 },
      });
      world.fromVm('contoso', udp(VM, 5, '10.1.0.1', 7));
    });
    expect(seen.map(({ outcome, stages }) => [outcome, stages[0]!.decision])).toContainEqual(['out', 'this gateway']);
    expect(seen.map(({ stages }) => stages.at(-1)!.decision)).toContain('dropped: portUnreachable');
  });

  it('is bounded: a hundred a second, whole packets of the wire; the others are counted', async () => {
    const seen = await tapped('contoso', (world) => {
      for (let i = 0; i < 150; i++) world.fromVm('contoso', udp(VM, 6000, '192.0.2.80', 53, 400));
      world.run(1000);
      world.fromVm('contoso', udp(VM, 6000, '192.0.2.80', 53));
    });
    expect(seen).toHaveLength(101);
    expect(seen.at(-1)!.missed).toBe(50);
    for (const { points: all } of seen) for (const { octets, length } of all) expect(octets.length / 2).toBe(length);
  });

  it('goes the way that the question foretells', async () => {
    const { world } = host();
    prepare(world);
    const order = { tenant: 'contoso', from: VM, flow: parseFlow(`udp ${VM}:6000 > 192.0.2.80:53`)! };
    const plain = { size: 32, hopLimit: 64, dontFragment: true, opens: true };
    world.gw.dispatch({ type: 'trace', query: 1, order: { ...order, ...plain } });
    const answer = world.actions.findLast((action) => action.do === 'traced');
    const asked = answer?.do === 'traced' ? answer.stages : [];
    const [real] = await tapped('contoso', (other) => other.fromVm('contoso', udp(VM, 6000, '192.0.2.80', 53)));
    const common = (stages: readonly TraceStage[]): string[] =>
      stages.flatMap(({ stage, decision }) =>
        ['door', 'compartment', 'fib', 'mtu', 'nat', 'neighbour'].includes(stage) ? [`${stage} ${decision}`] : [],
      );
    expect(common(real!.stages)).toEqual(common(asked));
  });
});
