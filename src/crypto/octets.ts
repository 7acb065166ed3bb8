/**
 * The border to `node:crypto`: its results are Buffers, whose `slice` shares memory where that of an octet string copies.
 * Nothing outside this folder ever sees one.
 */
import type { Bytes } from '../core/index.ts';

/** The same memory as a plain octet string. */
export const octets = (buffer: Uint8Array): Bytes => new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
