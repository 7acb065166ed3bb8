import { describe, expect, it } from 'vitest';
import { Rib } from '../../../src/bgp/rib/rib.ts';
import { concat, EMPTY } from '../../../src/core/index.ts';
import { peerOptions, update, usual } from './speakers.ts';

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
