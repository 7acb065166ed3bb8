/** A capture of either format, told apart by its first octets. */
import type { Bytes } from '../core/index.ts';
import { WireError } from '../core/index.ts';
import type { Frame } from './frame.ts';
import { OctetSource } from './octet-source.ts';
import { isPcapMagic, readPcapFrom } from './pcap.ts';
import { isPcapngMagic, readPcapngFrom } from './pcapng.ts';

/**
 * The frames of a pcap or pcapng file given in pieces of any size. Throws a `WireError` whose offset counts from the start
 * of the file, after having yielded every frame before it.
 */
export function* readCapture(chunks: Iterable<Bytes>): Generator<Frame, void, undefined> {
  const source = new OctetSource(chunks);
  const magic = source.peek('capture.magic', 4);
  if (isPcapngMagic(magic)) yield* readPcapngFrom(source);
  else if (isPcapMagic(magic)) yield* readPcapFrom(source);
  else throw new WireError('capture.magic', 0, 'neither a pcap nor a pcapng file');
}
