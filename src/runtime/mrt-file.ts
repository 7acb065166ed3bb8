/**
 * The records of an MRT file, plain or compressed with gzip, in memory for one record.
 *
 * A record that cannot be decoded is yielded as its error and the next one follows; a file that ends too early, or has no records at all,
 * ends with a throw of a `WireError` whose offset counts from the start of the (uncompressed) file.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { decodeRecord, MrtFramer, type MrtRecord } from '../bgp/mrt/index.ts';
import { type Parsed, parse, WireError } from '../core/index.ts';

export async function* mrtRecords(file: string): AsyncGenerator<Parsed<MrtRecord>, void, undefined> {
  const compression = await compressionOf(file);
  if (compression === 'bzip2')
    throw new WireError('file', 0, 'it is compressed with bzip2, which is not read: decompress it first (bunzip2)');
  const source = createReadStream(file, { highWaterMark: CHUNK });
  const octets: Readable = compression === 'gzip' ? source.pipe(createGunzip({ chunkSize: CHUNK })) : source;
  source.on('error', (error) => octets.destroy(error));
  const framer = new MrtFramer();
  try {
    for await (const chunk of octets) {
      framer.push(chunk as Uint8Array);
      for (let frame = framer.next(); frame !== undefined; frame = framer.next()) {
        const { octets: record } = frame;
        yield parse(() => decodeRecord(record));
      }
    }
  } finally {
    source.destroy();
  }
  framer.end();
}

async function compressionOf(file: string): Promise<'gzip' | 'bzip2' | 'none'> {
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(3), 0, 3, 0);
    if (buffer[0] === 0x1f && buffer[1] === 0x8b) return 'gzip';
    return buffer.toString('latin1') === 'BZh' ? 'bzip2' : 'none';
  } finally {
    await handle.close();
  }
}

const CHUNK = 1 << 18;
