import { describe, expect, it } from 'vitest';
import { IPV4_UNICAST } from '../../../src/bgp/message/types.ts';
import { receivedOf } from '../../../src/bgp/rib/look.ts';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { concat, EMPTY } from '../../../src/core/index.ts';
import { attribute, long, peerOptions, sequences, update, usual, word } from './speakers.ts';
import { KEY, policy, prefix, World } from './world.ts';

const hop = [10, 9, 9, 9];

describe('much at once', () => {
  it('the loss of a peer with 160,000 prefixes is handed out in one piece', () => {
    const rib = new Rib({ localAs: 65_000, routerId: 0x01010101 });
    const peer = rib.add(peerOptions(1));
    const attributes = usual([65_001], [10, 9, 9, 9]);
    for (let block = 0; block < 160; block++) {
      const nlri = Array.from({ length: 1000 }, (_, i) => Uint8Array.of(24, 20 + block, i >> 8, i & 0xff));
      rib.receive(peer, update(EMPTY, attributes, concat(...nlri)), 0);
    }
    rib.flush();
    expect(rib.takeRoutes(1_000_000)).toHaveLength(160_000);
    rib.remove(peer);
    rib.flush();
    const gone = rib.takeRoutes(1_000_000);
    expect(gone).toHaveLength(160_000);
    expect(gone.every(({ nextHops }) => nextHops.length === 0)).toBe(true);
    rib.flush();
    expect(rib.families.map(({ table }) => table.count)).toEqual([0, 0]);
  });
});

describe('RFC 4271 §4.3: attributes that would be longer than 65,535 octets', () => {
  const prepends = policy([{ set: { prepend: { asn: 65_001, times: 50 } } }]);
  const longest = concat(
    attribute(0x40, 1, 0),
    long(0x40, 2, concat(Uint8Array.of(2, 1, ...word(65_001)), sequences(64, 4))),
    attribute(0x40, 3, ...hop),
  );

  it('are not made by import policy: the route is refused', () => {
    const world = new World();
    const a = world.peer(1, { import: prepends });
    world.say(a, longest);
    const [path, ...others] = world.rib.explain(prefix('198.51.100.0/24'));
    const why = 'clause 0 accepts it, but an attribute would be longer than 65,535 octets (RFC 4271 §4.3)';
    expect([path, others]).toMatchObject([{ best: false, why }, []]);
    expect(receivedOf(world.rib, a, { offset: 0, limit: 2 })).toMatchObject([{ accepted: false, why, after: null }]);
    world.rib.flush();
    expect(world.rib.takeRoutes(10)).toEqual([]);
  });

  it('are not made on the way out: the route is not told, and what was told is withdrawn', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2, { export: prepends })];
    world.say(a, usual([65_001], hop));
    const told = world.read(b);
    expect(told.routes.has(KEY)).toBe(true);
    world.say(a, longest);
    expect(world.read(b, told).routes.has(KEY)).toBe(false);
    expect(told.faults).toEqual([]);
    const [ipv4] = world.rib.families;
    const row = ipv4!.table.find(ipv4!.table.load(prefix('198.51.100.0/24')));
    const { exporter } = world.rib.groupOf(b, IPV4_UNICAST)!;
    expect(exporter.explain(ipv4!.pathsOf(row)[0]!)).toContain('longer than 65,535 octets');
  });

  it('RFC 1997: are not made of the communities of what an aggregate is of', () => {
    const world = new World();
    const [a, b] = [world.peer(1), world.peer(2)];
    world.rib.aggregate([{ prefix: prefix('10.0.0.0/8'), summaryOnly: false, asSet: false }]);
    const told = world.read(b);
    for (let part = 0; part < 17; part++) {
      const communities = Array.from({ length: 1000 }, (_, i) => word(part * 1000 + i)).flat();
      const said = concat(usual([65_001], hop), long(0xc0, 8, Uint8Array.from(communities)));
      world.say(a, said, Uint8Array.of(16, 10, part));
      if (part === 0) expect(world.read(b, told).routes.has('8/0a')).toBe(true);
    }
    expect(world.read(b, told).routes.has('8/0a')).toBe(false);
    expect(told.routes.size).toBe(17);
  });
});
