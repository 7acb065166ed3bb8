/** Packets for tests: where they stand in a buffer, arbitrary ones, and what to expect of them in words. */
import fc from 'fast-check';
import { expect } from 'vitest';
import {
  type Address,
  describePacket as describeIn,
  type Prefix,
  parseAddress,
  parsePrefix,
} from '../../src/ip/index.ts';

/** One line for a packet: `IPv4 10.1.0.2 > 10.2.0.2 ICMP echo request id 1 seq 2 (84)`. */
export const describePacket = (octets: Uint8Array): string => describeIn(octets, 0, octets.length);

/** The packet is what the words say, or matches them. */
export function expectPacket(octets: Uint8Array | undefined, words: string | RegExp): void {
  const line = octets === undefined ? 'nothing' : describePacket(octets);
  if (typeof words === 'string') expect(line).toBe(words);
  else expect(line).toMatch(words);
}

export function addr(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`not an address: ${text}`);
  return address;
}

export function pfx(text: string): Prefix {
  const prefix = parsePrefix(text, true);
  if (prefix === undefined) throw new Error(`not a prefix: ${text}`);
  return prefix;
}

/** Octets 0, 1, 2 …: recognisable data. */
export const counting = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i & 0xff);

export interface Placed {
  readonly buf: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/**
 * The octets at the very end of a buffer behind `before` canaries; reading outside [start, end) is an error, by way of a
 * proxy. Only for checks: reads through `subarray` and `slice` are held to the same bounds, writes are refused.
 */
export function guarded(octets: Uint8Array, before = 5): Placed {
  const inner = new Uint8Array(before + octets.length).fill(0xa5);
  inner.set(octets, before);
  const start = before;
  const end = inner.length;
  const inside = (from: number, to: number): void => {
    if (from < start || to > end) throw new Error(`read of [${from}, ${to}) outside [${start}, ${end})`);
  };
  const buf = new Proxy(inner, {
    get(target, key): unknown {
      if (typeof key === 'string' && /^-?[0-9]+$/.test(key)) {
        inside(Number(key), Number(key) + 1);
        return target[Number(key)];
      }
      if (key === 'length') return target.length;
      if (key === 'subarray' || key === 'slice') {
        return (from: number, to: number) => {
          inside(from, to);
          return target.slice(from, to);
        };
      }
      throw new Error(`unexpected access to ${String(key)}`);
    },
    set(): boolean {
      throw new Error('a check writes nothing');
    },
  });
  return { buf, start, end };
}

export const arbitraryAddress4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
export const arbitraryAddress6 = fc.uint8Array({ minLength: 16, maxLength: 16 });
export const arbitraryAddress = fc.oneof(arbitraryAddress4, arbitraryAddress6);
