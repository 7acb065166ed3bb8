/** A file of octets that a command writes; `-` is stdout. */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Bytes } from '../core/index.ts';
import { CliError, EXIT } from './io.ts';

export const STDOUT = 1;

/** Only for its owner: what passes a gateway is as secret as what it carries. */
export function openOutput(name: string): number {
  if (name === '-') return STDOUT;
  try {
    return openSync(name, 'w', 0o600);
  } catch (error) {
    throw notWritten(name, error);
  }
}

/** All of it, at the pace of whoever reads a pipe. */
export async function writeOutput(name: string, file: number, octets: Bytes): Promise<void> {
  for (let at = 0; at < octets.length; ) {
    try {
      at += writeSync(file, octets, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw notWritten(name, error);
      await delay(PIPE_MS);
    }
  }
}

function notWritten(name: string, error: unknown): CliError {
  const { code, message } = error as NodeJS.ErrnoException;
  const exit = code === 'EACCES' || code === 'EPERM' ? EXIT.permission : EXIT.error;
  return new CliError(exit, 'file', `${name} cannot be written: ${message}`, '');
}

const PIPE_MS = 5;
