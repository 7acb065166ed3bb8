import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Dissector, KeyRing, readCapture, recordFields, recordTree } from '../../src/capture/index.ts';
import { espTableOf, ikeTableOf, sessionNamed } from './sessions.ts';

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden');

/** `UPDATE=1` writes the file; the difference is reviewed like code. */
function expectGolden(name: string, text: string): void {
  const file = join(golden, name);
  if (process.env.UPDATE === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
}

function records(name: string) {
  const session = sessionNamed(name);
  const keys = new KeyRing();
  keys.addIkeTable(ikeTableOf(session));
  keys.addEspTable(espTableOf(session));
  const dissector = new Dissector({ keys });
  return [...readCapture([new Uint8Array(readFileSync(session.pcap))])].map((frame) => dissector.dissect(frame));
}

describe('what people and programs read', () => {
  it.each(['psk-aescbc128-sha256-modp2048', 'cert-rsa3072-frag', 'invalid-ke', 'cookie'])('the tree of %s', (name) => {
    expectGolden(`${name}.txt`, `${records(name).flatMap(recordTree).join('\n')}\n`);
  });

  it.each(['ts-unacceptable', 'v6-rawesp-aesgcm'])('the JSON of %s', (name) => {
    expectGolden(
      `${name}.jsonl`,
      records(name)
        .map((record) => `${JSON.stringify(recordFields(record))}\n`)
        .join(''),
    );
  });
});
