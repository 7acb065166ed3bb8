export type { Bytes, Millis } from '../../../src/core/index.ts';

/** Of the words in front of the padding: `#12 ask `. */
export const text = (octets: Uint8Array): string => String.fromCharCode(...octets.subarray(0, 32));
