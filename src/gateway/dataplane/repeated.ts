/**
 * What control is told as often as somebody likes: IKE messages, TCP for the gateway itself, ESP that strayed. Each kind has room of its
 * own, so that a flood of one leaves the others theirs, and in it nobody has more than a share (`Shares`): a tenant of TCP, the
 * address that sent it of the others.
 *
 * Leaves to others: how much room there is (`plane.ts` between two batches, `runtime/worker/news.ts` on the way to another thread).
 * Deliberate limit: whoever forges many sender addresses has many shares of the room for IKE, but of nothing else.
 */
import { DROP, peerNumber } from '../../ip/index.ts';
import type { PlaneEvent } from './contract.ts';

export type Repeated = Extract<PlaneEvent, { type: 'ike' | 'stray' | 'transport' }>;
export type RepeatedKind = Repeated['type'];

/** As what each is counted where it is refused. */
export const REFUSED: Readonly<Record<RepeatedKind, number>> = {
  ike: DROP.ikeRefused,
  stray: DROP.strayRefused,
  transport: DROP.tcpRefused,
};

export const isRepeated = (event: PlaneEvent): event is Repeated =>
  event.type === 'ike' || event.type === 'stray' || event.type === 'transport';

/** Who has a share. */
export const holderOf = (event: Repeated): number =>
  event.type === 'transport' ? event.compartment : peerNumber(event.remote.address);
