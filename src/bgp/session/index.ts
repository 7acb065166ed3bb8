/** The BGP session as a machine: RFC 4271 §8 and its extensions. */
export * from './configuration.ts';
export type { Watch } from './connection.ts';
export type { LastError, MessageCounts } from './counters.ts';
export { capability } from './negotiate.ts';
export { wordsOf } from './notice.ts';
export { Session } from './session.ts';
export type { ErrorView, EstablishedView, SessionLine, SessionView } from './view.ts';
