/** Scripts for testers of BGP: a peer that does as it is told, over any stream of octets and any clock. */
export * from './match.ts';
export * from './meet.ts';
export * from './memory.ts';
export * from './scripted-peer.ts';
export * from './stream.ts';
