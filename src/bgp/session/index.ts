/** The BGP session as a machine: RFC 4271 §8 and its extensions. */
export * from './configuration.ts';
export * from './counters.ts';
export * from './graceful.ts';
export * from './negotiate.ts';
export * from './notice.ts';
export * from './session.ts';
export * from './view.ts';
