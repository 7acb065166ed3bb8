/** MRT files of `test/vectors/bgp/mrt`: see the README there. */
import { readFileSync } from 'node:fs';
import { decodeRecord, MrtFramer, type MrtRecord } from '../../../src/bgp/index.ts';
import type { Bytes } from '../../../src/core/index.ts';

export type MrtFile = 'bird-table' | 'frr-messages' | 'frr-table';
export const MRT_FILES: readonly MrtFile[] = ['bird-table', 'frr-messages', 'frr-table'];

export const mrtPath = (name: MrtFile): URL => new URL(`../../vectors/bgp/mrt/${name}.mrt`, import.meta.url);

export const mrtOctets = (name: MrtFile): Bytes => new Uint8Array(readFileSync(mrtPath(name)));

export const mrtRecords = (octets: Bytes): MrtRecord[] => framesOf(octets).map((frame) => decodeRecord(frame));

export function framesOf(octets: Bytes): Bytes[] {
  const framer = new MrtFramer();
  framer.push(octets);
  const frames: Bytes[] = [];
  for (let frame = framer.next(); frame !== undefined; frame = framer.next()) frames.push(frame.octets.slice());
  framer.end();
  return frames;
}
