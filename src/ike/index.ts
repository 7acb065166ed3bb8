/**
 * IKEv2 as a library: the message codec, proposals and their negotiation, traffic selectors, keys and AUTH, each on its own,
 * and the machine that plays them together.
 */
export * from './auth.ts';
export type * from './contract.ts';
export * from './cookie.ts';
export * from './header.ts';
export * from './iana.ts';
export * from './identity.ts';
export * from './keys.ts';
export * from './message.ts';
export * from './natt.ts';
export * from './negotiate.ts';
export * from './payload.ts';
export * from './proposal.ts';
export * from './rules.ts';
export type { Connection } from './sa/connection.ts';
export { IkeEndpoint } from './sa/endpoint.ts';
export type { IkeOptions } from './sa/environment.ts';
export type { IkeSa } from './sa/ike-sa.ts';
export { RETRANSMIT, RequestWindow, ResponseWindow, type RetransmitPolicy } from './sa/window.ts';
export * from './selectors.ts';
export { type IvSource, ivSource, type SealOptions, type Unsealed, unseal } from './sk.ts';
