import { expect, it } from 'vitest';
import { TOO_BIG_AGAIN, TooBigWays, WAYS } from '../../src/runtime/worker/too-big.ts';
import { addr } from '../support/packets.ts';

const HERE = addr('192.0.2.1');
const peer = (n: number) => Uint8Array.of(198, 18, n >>> 8, n & 0xff);

it('RFC 1191 §6.3: each way is told once a while, whatever happens on the others', () => {
  const ways = new TooBigWays();
  expect(ways.mayTell(HERE, peer(1), 1000)).toBe(true);
  expect(ways.mayTell(HERE, peer(2), 1001)).toBe(true);
  expect(ways.mayTell(addr('192.0.2.2'), peer(1), 1002)).toBe(true);
  expect(ways.mayTell(addr('2001:db8::1'), addr('2001:db8::2'), 1003)).toBe(true);
  for (const now of [1001, 1010, 1000 + TOO_BIG_AGAIN - 1]) expect(ways.mayTell(HERE, peer(1), now)).toBe(false);
  expect(ways.mayTell(HERE, peer(1), 1000 + TOO_BIG_AGAIN)).toBe(true);
  expect(ways.mayTell(HERE, peer(2), 1000 + TOO_BIG_AGAIN)).toBe(false);
});

it('ways are remembered while that means something, and not more than there is room for', () => {
  const ways = new TooBigWays();
  let told = 0;
  for (let n = 0; n < 2 * WAYS; n++) if (ways.mayTell(HERE, peer(n), 1000)) told += 1;
  expect([told, ways.size]).toEqual([WAYS, WAYS]);
  expect(ways.mayTell(HERE, peer(2 * WAYS - 1), 1000 + TOO_BIG_AGAIN)).toBe(true);
  expect(ways.size).toBe(1);
});
