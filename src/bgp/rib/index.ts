export * from './decision.ts';
export type { PathExplanation } from './explain.ts';
export type { RouteChange } from './fib.ts';
export type { RibEvent } from './intake.ts';
export type { Resolution, Resolve } from './next-hops.ts';
export type { Peer, PeerKind, PeerOptions } from './peer.ts';
export * from './rib.ts';
