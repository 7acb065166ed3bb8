import { EXTENDED_MAXIMUM_LENGTH } from '../../../src/bgp/index.ts';
import { type Bytes, concat, fromHex, putU16 } from '../../../src/core/index.ts';

/** A message from its type and the octets of its body in hexadecimal; the length is right unless it is given. */
export function wire(type: number, body: string | Bytes, length?: number): Bytes {
  const octets = typeof body === 'string' ? fromHex(body) : body;
  const header = new Uint8Array(19).fill(0xff);
  putU16(header, 16, length ?? 19 + octets.length);
  header[18] = type;
  if (19 + octets.length > EXTENDED_MAXIMUM_LENGTH) throw new RangeError('longer than any message');
  return concat(header, octets);
}
