/** BGP messages: framing, records and their octets, the fast view of UPDATE, errors as RFC 7606 has them, words for people. */
export * from './capability.ts';
export * from './fault.ts';
export * from './frame.ts';
export * from './iana.ts';
export * from './message.ts';
export * from './notification.ts';
export * from './open.ts';
export * from './refresh.ts';
export * from './types.ts';
