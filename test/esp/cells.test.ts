import { describe, expect, it } from 'vitest';
import { open, readSaCells, SA_CELL, SA_CELLS, seal, sealDummy } from '../../src/esp/index.ts';
import { DROP, DROP_COUNT, dropsByName, PASS } from '../../src/ip/index.ts';
import { copyOf, inbound, inner, keyed, outbound, packetOf, sadOf, suite } from './support.ts';

const protection = keyed(suite('aes256gcm16'));
const DATA = inner('10.1.0.4', '10.2.0.7');

/** Places for three SAs side by side, with something in them. */
function slots(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(3 * SA_CELLS * 8)).fill(7);
}
const slot = (all: Float64Array, i: number): Float64Array => all.subarray(i * SA_CELLS, (i + 1) * SA_CELLS);

describe('the counters of an SA in memory that is given', () => {
  it('have a place for everything, and each its own', () => {
    const { drops, ...single } = SA_CELL;
    expect(Object.values(single).sort()).toEqual([0, 1, 2, 3, 4]);
    expect([drops, SA_CELLS]).toEqual([5, 5 + DROP_COUNT]);
  });

  it('begin at nothing, whatever stood there', () => {
    const all = slots();
    const sa = inbound({ protection, cells: slot(all, 1) });
    const expected = { packets: 0, innerBytes: 0, protectedBytes: 0, lastUsedAt: undefined, sequence: 0 };
    expect(readSaCells(slot(all, 1))).toEqual({ ...expected, drops: new Float64Array(DROP_COUNT) });
    expect([sa.usage.packets, sa.usage.lastUsedAt, sa.sequence]).toEqual([0, undefined, 0]);
    expect([...slot(all, 0), ...slot(all, 2)].every((cell) => cell === 7)).toBe(true);
  });

  it('are those the SA itself tells, after every packet', () => {
    const all = slots();
    const sender = outbound({ protection, cells: slot(all, 0) });
    const receiver = inbound({ protection, cells: slot(all, 2) });
    const sad = sadOf(receiver);
    const told = ({ usage, sequence, drops }: typeof sender | typeof receiver): object => ({
      packets: usage.packets,
      innerBytes: usage.innerBytes,
      protectedBytes: usage.protectedBytes,
      lastUsedAt: usage.lastUsedAt,
      sequence,
      drops,
    });
    const agree = (): void => {
      expect(readSaCells(slot(all, 0))).toEqual(told(sender));
      expect(readSaCells(slot(all, 2))).toEqual(told(receiver));
    };
    for (let now = 0; now < 3; now++) {
      const packet = packetOf(DATA);
      expect(seal(sender, packet, now)).toBe(PASS);
      const again = packetOf(copyOf(packet));
      expect(open(sad, packet, 0, now)).toBe(PASS);
      expect(open(sad, again, 0, now)).toBe(DROP.espReplay);
      agree();
    }
    sender.advanceTo(1000);
    agree();
    const dummy = packetOf(new Uint8Array(100));
    expect([sealDummy(sender, dummy, 10, 9), open(sad, dummy, 0, 9)]).toEqual([PASS, DROP.espDummy]);
    expect(seal(sender, packetOf(new Uint8Array(3)), 10)).toBe(DROP.short);
    agree();
    const { drops, ...numbers } = readSaCells(slot(all, 2));
    expect(numbers).toEqual({
      packets: 4,
      innerBytes: 3 * DATA.length,
      protectedBytes: sender.usage.protectedBytes,
      lastUsedAt: 9,
      sequence: 1001,
    });
    expect(dropsByName(drops)).toEqual({ espReplay: 3, espDummy: 1 });
  });

  it('are a copy when read', () => {
    const sa = outbound({ protection });
    const before = readSaCells(sa.cells);
    seal(sa, packetOf(new Uint8Array(0)), 0);
    expect([before.drops[DROP.short], readSaCells(sa.cells).drops[DROP.short]]).toEqual([0, 1]);
  });

  it('of another length are refused', () => {
    expect(() => inbound({ protection, cells: new Float64Array(SA_CELLS - 1) })).toThrow('as many cells');
  });
});
