/**
 * The octets of an explicit IV, written where the packet carries it.
 *
 * Read first: RFC 4106 §3.1, RFC 3686 §3.1, RFC 4309 §3.1, RFC 7634 §2 (an IV never occurs twice under one key: the sequence
 * number); RFC 3602 §3 (CBC: unpredictable, therefore drawn at random).
 */
import type { Random } from '../core/index.ts';
import { putU32 } from '../core/index.ts';
import type { IvKind } from '../crypto/index.ts';

/** Writes the IV of packet `high`·2^32 + `low` at buf[at, at + length). */
export type IvWriter = (buf: Uint8Array, at: number, high: number, low: number) => void;

export function ivWriter(kind: IvKind, length: number, random: Random): IvWriter {
  switch (kind) {
    case 'none':
      return () => {};
    case 'counter':
      return (buf, at, high, low) => {
        for (let i = at; i < at + length - 8; i++) buf[i] = 0;
        putU32(buf, at + length - 8, high);
        putU32(buf, at + length - 4, low);
      };
    case 'unpredictable':
      return drawn(length, random);
  }
}

/** Draws the octets of many IVs at a time; each is used once. */
function drawn(length: number, random: Random): IvWriter {
  const stride = IVS_A_DRAW * length;
  let store: Uint8Array | undefined;
  let next = stride;
  return (buf, at) => {
    if (store === undefined || next === stride) {
      store = random(stride);
      next = 0;
    }
    for (let i = 0; i < length; i++) buf[at + i] = store[next + i]!;
    next += length;
  };
}

const IVS_A_DRAW = 64;
