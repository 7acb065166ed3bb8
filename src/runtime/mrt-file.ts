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
  if (compression !== undefined && compression !== 'gzip')
    throw new WireError('file', 0, `it is compressed with ${compression}, which is not read: decompress it first`);
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

async function compressionOf(file: string): Promise<string | undefined> {
  const handle = await open(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(MOST_SIGNS), 0, MOST_SIGNS, 0);
    return COMPRESSIONS.find(([, signs]) => buffer.subarray(0, signs.length).equals(Buffer.from(signs)))?.[0];
  } finally {
    await handle.close();
  }
}

/** What files of each begin with. */
const COMPRESSIONS: readonly (readonly [name: string, signs: readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];
const MOST_SIGNS = 6;
const CHUNK = 1 << 18;
