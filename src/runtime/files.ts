/**
 * The files of a gateway: its document, and the secrets the document refers to.
 *
 * Leaves to others: meaning (`config/`). Limits: a document of 4 MiB, a secret of 64 KiB.
 * Invariant: a secret that anybody on the host can read is refused, not used with a warning.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { SecretSource } from '../config/index.ts';
import { errorWords } from './syscalls.ts';

export type FileText = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly problem: string };

/** The text of a document, or a sentence. A byte-order mark is removed. */
export function readText(file: string): FileText {
  const octets = readOctets(file, MAX_DOCUMENT, false);
  if (typeof octets === 'string') return { ok: false, problem: octets };
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(octets) };
  } catch {
    return { ok: false, problem: `${file} is not UTF-8 text` };
  }
}

/** Where the secrets of a document come from: files beside it, the environment, systemd's credentials. */
export function secretSource(document: string, env: NodeJS.ProcessEnv = process.env): SecretSource {
  const folder = dirname(resolve(document));
  return {
    readFile: (name) => readOctets(isAbsolute(name) ? name : resolve(folder, name), MAX_SECRET, true),
    env: (name) => env[name],
    credential: (name) => {
      const credentials = env.CREDENTIALS_DIRECTORY;
      if (credentials === undefined)
        return 'no credentials here ($CREDENTIALS_DIRECTORY is not set): start under systemd with LoadCredential=';
      if (name === '' || name === '..' || name === '.' || name.includes('/'))
        return `${name} is no name of a credential`;
      return readOctets(resolve(credentials, name), MAX_SECRET, true);
    },
  };
}

function readOctets(file: string, limit: number, secret: boolean): Uint8Array | string {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    return sentence(file, error);
  }
  try {
    const facts = fstatSync(fd);
    if (!facts.isFile()) return `${file} is not a file`;
    if (secret && (facts.mode & 0o007) !== 0) {
      const mode = (facts.mode & 0o777).toString(8).padStart(4, '0');
      return `${file} is open to everybody on this host (mode ${mode}): chmod 600 ${file}`;
    }
    const octets = new Uint8Array(limit + 1);
    let length = 0;
    for (;;) {
      const read = readSync(fd, octets, length, octets.length - length, null);
      length += read;
      if (read === 0 || length > limit) break;
    }
    return length > limit ? `${file} is larger than ${limit} octets` : octets.slice(0, length);
  } catch (error) {
    return sentence(file, error);
  } finally {
    closeSync(fd);
  }
}

function sentence(file: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
  return `${file} cannot be read: ${errorWords(code)} (${code})`;
}

const MAX_DOCUMENT = 4 << 20;
const MAX_SECRET = 64 << 10;
