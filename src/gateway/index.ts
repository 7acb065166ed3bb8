/** The gateway as a library: one pure machine for all tenants, its events and actions, and what people see of it. */

export { type Follower, type Recorded, records, type TrialRoute, type TrialSpeaker, tryRoute } from './bgp/index.ts';
export { type GatewayOptions, MAX_PLANES, slotOf } from './books.ts';
export type * from './contract.ts';
export * from './dataplane/index.ts';
export { Gateway } from './gateway.ts';
export { planHost } from './host-document.ts';
export { changedSecrets } from './reconcile.ts';
export type * from './status.ts';
export type * from './status-bgp.ts';
export { outcomeOf, type StageName, type TraceOutcome, type TraceStage } from './trace/contract.ts';
export { parseFlow, type TraceOrder } from './trace/order.ts';
export type { BgpDump } from './view-bgp.ts';
