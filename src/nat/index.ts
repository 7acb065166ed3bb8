export * from './contract.ts';
export { NAT_CELLS, natDrops, readNatCounters } from './counters.ts';
export * from './explain.ts';
export { FRAGMENT_MS, WAITING_MS, WAITING_OCTETS } from './fragments.ts';
export { isLarge, LookAhead, SESSIONS_WORTH_IT } from './look-ahead.ts';
export * from './nat.ts';
