/** RFC 9293 §3.4: sequence numbers are compared modulo 2^32, within a distance of 2^31. */

/** Signed distance: how far `to` is ahead of `from`. */
export const distance = (from: number, to: number): number => (to - from) | 0;

export const advance = (sequence: number, by: number): number => (sequence + by) >>> 0;

export const isBefore = (a: number, b: number): boolean => ((a - b) | 0) < 0;

export const isAfter = (a: number, b: number): boolean => ((a - b) | 0) > 0;
