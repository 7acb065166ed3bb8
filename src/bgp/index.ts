/** BGP-4 as a library: the message codec, sessions, tables and policies, scripts for testers. */
export type * from './contract.ts';
export * from './message/index.ts';
export * from './mrt/index.ts';
export * from './policy/as-path-expression.ts';
export { type Community, parseCommunity } from './policy/community.ts';
export * from './policy/compile.ts';
export type * from './policy/policy.ts';
export type * from './policy/record.ts';
export type { PathExplanation } from './rib/explain.ts';
export type { RouteChange } from './rib/fib.ts';
export type { RibEvent } from './rib/intake.ts';
export * from './rib/look.ts';
export type { Resolution, Resolve } from './rib/next-hops.ts';
export type { Peer, PeerKind, PeerOptions } from './rib/peer.ts';
export * from './rib/rib.ts';
export * from './script/index.ts';
export * from './session/index.ts';
export * from './speaker.ts';
