/** BGP messages: framing, records and their octets, the fast view of UPDATE, errors as RFC 7606 has them, words for people. */
export * from './as-path.ts';
export { flagsPassedOn } from './attribute-rules.ts';
export * from './attributes.ts';
export * from './capability.ts';
export * from './fault.ts';
export * from './frame.ts';
export * from './iana.ts';
export * from './message.ts';
export * from './nlri.ts';
export * from './notification.ts';
export * from './open.ts';
export * from './refresh.ts';
export * from './treatment.ts';
export * from './types.ts';
export * from './update.ts';
export * from './update-view.ts';
