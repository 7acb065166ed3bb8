/** What the tests of the IKE SA machine ask of a pair of endpoints. */
import { expect } from 'vitest';
import type { IkeConnection } from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { connection, disagreements, IkePair, proposals, type Side } from './ike-pair.ts';

export const SIDES: readonly Side[] = ['a', 'b'];
export const up = (a: Partial<IkeConnection> = {}, b: Partial<IkeConnection> = {}) =>
  new IkePair(1).configure(a, b).acquire().runFor(1000);
export const one = (w: IkePair) => {
  expect(disagreements(w)).toEqual([]);
  for (const side of SIDES) expect([w[side].ike.sas.size, w[side].esp.size]).toEqual([1, 1]);
};
export const none = (w: IkePair) => {
  for (const side of SIDES) expect([w[side].ike.sas.size, w[side].esp.size, w[side].ike.spis.size]).toEqual([0, 0, 0]);
};
export const act = (w: IkePair, side: Side, type: 'terminate' | 'rekey', what: 'ike' | 'child') => {
  w.do(side, { type, connection: 'lab/net', what });
  return w;
};
export const PACKET = {
  source: parseAddress('10.1.0.7')!,
  destination: parseAddress('10.2.0.9')!,
  protocol: 1,
  sourcePort: 0,
  destinationPort: 0,
};
export const packet = (w: IkePair, side: Side = 'a') => {
  w.do(side, { type: 'acquire', connection: 'lab/net', packet: PACKET });
  return w;
};
/** Nothing reaches the other end any more. */
export const cut = (w: IkePair) => {
  w.link = { ...w.link, loss: 1 };
  return w;
};
export const child =
  (...words: string[]) =>
  (side: Side) => ({ child: { ...connection(side).child, proposals: proposals('esp', ...words) } });
/** Up with these ESP proposals at both ends. */
export const upWith = (words = 'aes256gcm16-noesn', options = {}) =>
  new IkePair(1, { loss: 0, duplicate: 0, delay: [10, 10] }, options)
    .configure(child(words)('a'), child(words)('b'))
    .acquire()
    .runFor(1000);
export const rekey = (w: IkePair, side: Side, what: 'ike' | 'child') => act(w, side, 'rekey', what);
