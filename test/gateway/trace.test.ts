import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { outcomeOf, parseFlow, type TraceStage } from '../../src/gateway/index.ts';
import { buildIp, buildUdp, IP_PROTOCOL } from '../../src/ip/index.ts';
import { addr } from '../support/packets.ts';
import { HOST_PA, NAMES, NAT, type Name, prepare, ROUTER, SITE, udp, VirtualWorld, VM, VSID } from './virtual-world.ts';

interface Asked {
  readonly from?: string;
  readonly size?: number;
  readonly hopLimit?: number;
  readonly dontFragment?: boolean;
  readonly opens?: boolean;
}

function ask(world: VirtualWorld, tenant: string, packet: string, asked: Asked = {}): readonly TraceStage[] | string {
  const { from, ...more } = asked;
  const before = world.actions.length;
  const plain = { size: 32, hopLimit: 64, dontFragment: true, opens: true };
  const order = { tenant, from, flow: parseFlow(packet)!, ...plain, ...more };
  world.gw.dispatch({ type: 'trace', query: 9, order });
  const answers = world.actions.slice(before);
  expect(answers).toHaveLength(1);
  const [answer] = answers;
  if (answer?.do === 'query-refused') return answer.why;
  expect(answer).toMatchObject({ do: 'traced', query: 9 });
  return answer?.do === 'traced' ? answer.stages : [];
}

const decisions = (stages: readonly TraceStage[] | string): string[] =>
  typeof stages === 'string' ? [stages] : stages.map(({ stage, decision }) => `${stage}: ${decision}`);

function ready(): VirtualWorld {
  const world = new VirtualWorld();
  prepare(world);
  return world;
}

describe('a question about a packet: each decision in its order', () => {
  it.each(NAMES)('%s: out through its own NAT, and back in', (name) => {
    const world = ready();
    const vsid = VSID[name];
    const out = ask(world, name, `udp ${VM}:6000 > 192.0.2.80:53`) as TraceStage[];
    expect(decisions(out)).toEqual([
      `door: NVGRE, VSID ${vsid}`,
      expect.stringMatching(new RegExp(`^switch: to ..:..:..:..:..:.. in VSID ${vsid}$`)),
      `compartment: ${name} (compartment ${name === 'contoso' ? 2 : 3})`,
      'fib: 0.0.0.0/0 by outside',
      'mtu: 32 octets',
      `nat: source becomes ${NAT[name]}:6000`,
      'compartment: default (compartment 1)',
      `fib: 0.0.0.0/0 by external to ${ROUTER}`,
      'mtu: 32 octets',
      'neighbour: 02:00:00:00:00:99',
      expect.stringMatching(/^out: frame from .* to 02:00:00:00:00:99$/),
    ]);
    expect(out[5]).toMatchObject({ why: 'external port 6000 is free, and kept', detail: [expect.any(String)] });
    expect(decisions(ask(world, name, `udp 192.0.2.80:53 > ${NAT[name]}:6000`)).at(-1)).toBe(
      'nat: dropped: natNoSession',
    );
    world.fromVm(name, udp(VM, 6000, '192.0.2.80', 53));
    const back = ask(world, name, `udp 192.0.2.80:53 > ${NAT[name]}:6000`);
    expect(decisions(back)).toEqual([
      expect.stringMatching(/^door: frame for /),
      'compartment: default (compartment 1)',
      `fib: ${NAT[name]}/32 by tenant:${name}`,
      'mtu: 32 octets',
      `nat: destination becomes ${VM}:6000`,
      `compartment: ${name} (compartment ${name === 'contoso' ? 2 : 3})`,
      `fib: 10.1.0.0/24 by vsid:${vsid}`,
      'mtu: 32 octets',
      'neighbour: 00:15:5d:00:00:10',
      expect.stringMatching(new RegExp(`^encapsulation: NVGRE, VSID ${vsid}, FlowID \\d+$`)),
      'mtu: 74 octets outside',
      `out: 192.168.50.10 > ${HOST_PA}`,
    ]);
  });

  it('a packet of a VM to its site: the SA with its selectors and its next number', () => {
    const world = ready();
    const stages = ask(world, 'woodgrove', `udp ${VM}:5000 > ${SITE}:7`) as TraceStage[];
    expect(decisions(stages).slice(2)).toEqual([
      'compartment: woodgrove (compartment 3)',
      'fib: 10.2.0.0/24 by site',
      'mtu: 32 octets',
      expect.stringMatching(/^sa: SPI [0-9a-f]{8}, sequence number 2$/),
      'encapsulation: ESP',
      'mtu: 88 octets outside',
      'out: 192.0.2.1 > 192.0.2.12',
    ]);
    expect(stages[3]!.why).toBe('10.2.0.0/24 leaves by site: route of connection site');
    expect(stages[5]!.detail).toEqual(['connection site: 10.1.0.0/24 === 10.2.0.0/24, aes256gcm16']);
    const { spiIn, spiOut } = world.gw.gateway
      .connections(world.timeline.now)
      .find(({ tenant }) => tenant === 'woodgrove')!.childSas[0]!;
    expect(stages[5]!.decision).toContain(spiOut);
    const back = ask(world, 'woodgrove', `udp ${SITE}:7 > ${VM}:5000`, { from: 'site' }) as TraceStage[];
    expect(back[0]!.decision).toBe(`ESP, SPI ${spiIn}`);
    expect(back.at(-1)!.decision).toBe(`192.168.50.10 > ${HOST_PA}`);
    expect(decisions(ask(world, 'woodgrove', `udp 10.3.0.1:7 > ${VM}:5000`, { from: 'site' }))).toEqual([
      'door: dropped: espSelector',
    ]);
  });

  it('what is not known yet: a neighbour, an SA', () => {
    const world = new VirtualWorld();
    world.run(5000);
    const frames = world.external.length;
    const site = ask(world, 'contoso', `tcp ${VM}:5000 > ${SITE}:7`) as TraceStage[];
    expect(site.at(-1)).toMatchObject({ stage: 'sa', waits: true, why: 'no SA is up: IKE is asked for one' });
    const out = ask(world, 'contoso', `tcp ${VM}:5000 > 192.0.2.80:7`) as TraceStage[];
    expect(out.at(-1)).toMatchObject({ stage: 'neighbour', waits: true });
    expect([site, out].map(outcomeOf)).toEqual(['waits', 'waits']);
    // A question opens no tunnel, asks for no neighbour, makes no session.
    world.run(1000);
    expect(world.external).toHaveLength(frames);
    expect(world.gw.gateway.nats().map(({ created }) => created)).toEqual([0, 0]);
    expect(world.gw.gateway.connections(world.timeline.now).map(({ state }) => state)).toEqual(['down', 'down']);
  });

  it('between two tenants: out of one NAT, in by the other’s rule, and in no other way', () => {
    const world = ready();
    const stages = decisions(ask(world, 'woodgrove', `tcp ${VM}:5000 > ${NAT.contoso}:443`));
    expect(stages.filter((line) => /^(compartment|nat)/.test(line))).toEqual([
      'compartment: woodgrove (compartment 3)',
      `nat: source becomes ${NAT.woodgrove}:5000`,
      'compartment: default (compartment 1)',
      `nat: destination becomes ${VM}:8443`,
      'compartment: contoso (compartment 2)',
    ]);
    const other = ask(world, 'woodgrove', `tcp ${VM}:5000 > ${NAT.contoso}:444`) as TraceStage[];
    expect(other.at(-1)).toMatchObject({ stage: 'nat', drop: 'natNoSession' });
  });

  it('RFC 1812 §4.3: for the gateway itself: a ping is answered, UDP has no port, TCP nobody until BGP listens', () => {
    const world = ready();
    const last = (packet: string) => (ask(world, 'contoso', packet) as TraceStage[]).at(-1)!;
    expect(last(`icmp ${VM}:7 > 10.1.0.1:7`).decision).toBe('consumed here');
    expect(last(`udp ${VM}:5000 > 10.1.0.1:7`).drop).toBe('portUnreachable');
    expect(last(`tcp ${VM}:5000 > 10.1.0.1:179`).drop).toBe('protocolUnreachable');
    world.apply('\n    bgp: { asn: 65010, routerId: 10.1.0.1, peers: [{ name: hq, address: 10.2.0.1, asn: 65020 }] }');
    expect(last(`tcp ${VM}:5000 > 10.1.0.1:179`).decision).toBe('consumed here');
  });

  it('RFC 1191 §4, RFC 791 §3.2: too large: told or cut', () => {
    const world = ready();
    const packet = `udp ${SITE}:7 > ${VM}:5000`;
    const told = ask(world, 'contoso', packet, { from: 'site', size: 1459 }) as TraceStage[];
    expect(told.at(-1)).toMatchObject({ stage: 'mtu', drop: 'tooBig', why: '1459 octets, and vsid:5001 carries 1458' });
    const cut = decisions(ask(world, 'contoso', packet, { from: 'site', size: 1459, dontFragment: false }));
    expect(cut.slice(3)).toEqual([
      'mtu: cut into fragments',
      'neighbour: 00:15:5d:00:00:10',
      expect.stringMatching(/^encapsulation/),
      'mtu: 1500 octets outside',
      expect.stringMatching(/^out/),
    ]);
  });

  it('places that are not there, and packets that are none', () => {
    const world = ready();
    expect(ask(world, 'contoso', `udp ${VM}:1 > ${SITE}:7`, { from: 'hq' })).toBe(
      'nothing of tenant contoso is called hq; known: customer addresses, site, vsid:5001, outside, gateway',
    );
    expect(ask(world, 'nobody', `udp ${VM}:1 > ${SITE}:7`)).toBe('there is no tenant nobody');
    for (const text of [
      '',
      'tcp',
      'tcp 1.2.3.4:5 > 1.2.3.4',
      'tcp 1.2.3.4 > [::1]:5',
      'word 1.2.3.4 > 1.2.3.5',
      'udp 1.2.3.4:70000 > 1.2.3.5:1',
    ])
      expect([text, parseFlow(text)]).toEqual([text, undefined]);
    expect(parseFlow('icmp 2001:db8::1 > 2001:db8::2')).toMatchObject({
      protocol: 58,
      sourcePort: 1,
      destinationPort: 1,
    });
    expect(parseFlow('udp [2001:db8::1]:5>[2001:db8::2]:6')).toMatchObject({ sourcePort: 5, destinationPort: 6 });
    expect(parseFlow('esp 192.0.2.1 > 192.0.2.2')).toMatchObject({ protocol: 50, sourcePort: 0 });
  });
});

describe('the answer is what then happens', () => {
  const place = fc.constantFrom('vm', 'outside');
  const inner = [VM, '10.1.0.11', '10.1.0.1', '10.9.9.9', '127.0.0.1', NAT.woodgrove];
  const outer = [
    '192.0.2.80',
    '203.0.113.9',
    VM,
    NAT.contoso,
    NAT.woodgrove,
    '203.0.113.2',
    '224.0.0.9',
    '203.0.113.255',
  ];
  const goals = [
    SITE,
    '10.2.0.255',
    '10.1.0.1',
    '10.1.0.255',
    '10.1.0.77',
    '192.0.2.80',
    '203.0.113.77',
    '255.255.255.255',
  ];
  const sample = fc.record({
    place,
    name: fc.constantFrom(...NAMES),
    source: fc.constantFrom(...inner, ...outer),
    // The addresses of the NATs more often than others.
    destination: fc.oneof(fc.constantFrom(...goals, ...outer), fc.constantFrom(NAT.contoso, NAT.woodgrove)),
    sourcePort: fc.constantFrom(5000, 5001),
    destinationPort: fc.constantFrom(53, 5000, 5001),
    hopLimit: fc.constantFrom(1, 2, 3, 64),
    protocol: fc.constantFrom('udp', 'gre'),
  });

  it('for any packet of a VM, or from outside', () => {
    const world = ready();
    const seen = new Map<string, number>();
    fc.assert(
      fc.property(sample, ({ place, name, source, destination, sourcePort, destinationPort, hopLimit, protocol }) => {
        // A host delivers what is for its own subnet without the gateway.
        fc.pre(place === 'outside' || !destination.startsWith('10.1.0.') || destination === '10.1.0.1');
        const isUdp = protocol === 'udp';
        const ends = isUdp ? [`${source}:${sourcePort}`, `${destination}:${destinationPort}`] : [source, destination];
        const stages = ask(world, name, `${protocol} ${ends[0]} > ${ends[1]}`, {
          from: place === 'vm' ? VM : 'outside',
          hopLimit,
        }) as TraceStage[];
        const fields = { source: addr(source), destination: addr(destination), hopLimit, dontFragment: true };
        const octets = isUdp
          ? buildUdp({ ...fields, sourcePort, destinationPort }, new Uint8Array(4))
          : buildIp({ ...fields, protocol: IP_PROTOCOL.gre }, new Uint8Array(12));
        const before = world.gw.gateway.status(world.timeline.now).drops;
        const [external, fabric, actions] = [world.external.length, world.fabric.length, world.actions.length];
        if (place === 'vm') world.fromVm(name as Name, octets);
        else world.fromOutside(octets);
        world.run(6);
        const after = world.gw.gateway.status(world.timeline.now).drops;
        const dropped = Object.keys(after).filter((reason) => after[reason] !== before[reason]);
        const left = [
          ...world.external.slice(external).filter((frame) => frame[12] === 0x08 && frame[13] === 0),
          ...world.fabric.slice(fabric),
          ...world.actions.slice(actions).filter((action) => action.do === 'esp'),
        ];
        const last = stages.at(-1)!;
        const outcome = outcomeOf(stages);
        const key = last.drop ?? outcome;
        seen.set(key, (seen.get(key) ?? 0) + 1);
        const sent = `${place} ${name} ${ends.join(' > ')} ttl ${hopLimit}`;
        if (outcome === 'dropped') expect([sent, dropped]).toEqual([sent, expect.arrayContaining([last.drop])]);
        // Whoever waits for a neighbour may drive out who has waited longest.
        else if (outcome === 'waits') expect(['queueFull', 'neighbour']).toEqual(expect.arrayContaining(dropped));
        else expect([sent, outcome, dropped]).toEqual([sent, outcome, []]);
        // Errors about packets that waited in vain leave meanwhile, too.
        if (outcome === 'out') expect([sent, left.length > 0]).toEqual([sent, true]);
      }),
      { seed: 4, numRuns: 300 },
    );
    for (const key of [
      'out',
      'spoofed',
      'natNoSession',
      'natFiltered',
      'hopLimit',
      'notForwarded',
      'martian',
      'natProtocol',
    ])
      expect([key, (seen.get(key) ?? 0) > 0]).toEqual([key, true]);
  });
});
