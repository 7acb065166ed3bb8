/** The full feed of `test/vectors/bgp`: see its README. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Bytes } from '../../../src/core/index.ts';

const FILE = new URL('../../vectors/bgp/jinx-20140530-as30844-fullview.as4.bgp.gz', import.meta.url);

export const FEED = { messages: 78_666, prefixes: 497_321, attributeSets: 78_645, octets: 6_679_423 } as const;

export const feed = (): Bytes => new Uint8Array(gunzipSync(readFileSync(FILE)));
