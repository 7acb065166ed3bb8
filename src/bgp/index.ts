/** BGP-4 as a library: the message codec, sessions, scripts for testers, what sessions and tables say to each other. */
export type * from './contract.ts';
export * from './message/index.ts';
export * from './script/index.ts';
export * from './session/index.ts';
