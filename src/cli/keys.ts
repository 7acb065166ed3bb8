/** `keys`: whether Wireshark's key tables are written, and where. */
import { resolve } from 'node:path';
import type { KeysStatus } from '../api/backend.ts';
import { envelope } from '../api/envelope.ts';
import { clientFor } from './client.ts';
import { type Call, EXIT, printJson, printLines, wantsJson } from './io.ts';

export async function showKeys(call: Call): Promise<number> {
  return tell(call, await clientFor(call).call<KeysStatus>('GET', '/v1/keys'));
}

/** A relative folder is one of where the command is given, not of where the gateway runs. */
export async function switchKeys(call: Call, enabled: boolean): Promise<number> {
  const { folder: given } = call.options;
  const folder = typeof given === 'string' ? resolve(given) : undefined;
  return tell(call, await clientFor(call).call<KeysStatus>('PUT', '/v1/keys', { enabled, folder }));
}

function tell(call: Call, items: readonly KeysStatus[]): number {
  const { enabled, folder } = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('keys', items));
  else if (!enabled) printLines(call.io.stderr, ['Keys are not written.']);
  else {
    printLines(call.io.stdout, [folder ?? '']);
    printLines(call.io.stderr, ['Keys are written: whoever reads that folder reads all traffic.']);
  }
  return EXIT.ok;
}
