import { describe, expect, it } from 'vitest';
import { Network } from './network.ts';

describe('RFC 4271 §8: two sessions against each other', () => {
  it('become Established, with one connection, and stay so', () => {
    const net = new Network(1);
    net.start();
    net.until(() => net.both('established'), 10_000);
    net.runUntil(net.now + 3_600_000);
    expect(net.states()).toBe('established established');
    expect(net.openWires()).toBe(1);
    expect(net.of('a', 'down')).toEqual([]);
    expect(net.of('b', 'established')).toHaveLength(1);
  });
});
