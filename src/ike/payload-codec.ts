/** The bodies of all payloads. RFC 7296 §3.3–3.16. */
import type { Reader, Writer } from '../core/index.ts';
import type { KnownPayload, Payload } from './payload.ts';

export declare function isKnown(type: number): type is KnownPayload['type'];
export declare function decodeBody(type: KnownPayload['type'], critical: boolean, r: Reader, next: number): Payload;
export declare function encodeBody(w: Writer, payload: Payload): void;
