/** BGP-4 as a library: the message codec, what sessions and tables say to each other. */
export type * from './contract.ts';
export * from './message/index.ts';
