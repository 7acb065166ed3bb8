export * from './address.ts';
export * from './packet.ts';
export type { SelectorPair, TrafficSelector } from './selector.ts';
export * from './verdict.ts';
