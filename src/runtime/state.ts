/**
 * What a gateway remembers between two runs: which external address each tenant has had.
 *
 * One JSON file, written whole beside its place and moved there, so that a crash leaves the old one. A file that cannot be read is
 * said, and then there is nothing to remember: addresses are handed out anew.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Address, formatAddress, parseAddress } from '../ip/index.ts';
import { readText } from './files.ts';
import { errorWords } from './syscalls.ts';

export class StateFile {
  readonly file: string;
  /** By the name of the tenant. */
  readonly natAddresses: ReadonlyMap<string, Address>;
  /** Why nothing was read though there is a file; undefined: it was, or there is none. */
  readonly problem: string | undefined;

  constructor(file: string) {
    this.file = file;
    const read = readText(file);
    const parsed = read.ok ? parse(read.text) : undefined;
    this.natAddresses = parsed ?? new Map();
    if (read.ok)
      this.problem =
        parsed === undefined ? `${file} is no state of a gateway: external addresses are handed out anew` : undefined;
    else this.problem = read.problem.includes('(ENOENT)') ? undefined : read.problem;
  }

  /** A sentence when it could not be written. */
  write(natAddresses: ReadonlyMap<string, Address>): string | undefined {
    const entries = [...natAddresses].map(([tenant, address]) => [tenant, formatAddress(address)]);
    const text = `${JSON.stringify({ version: 1, natAddresses: Object.fromEntries(entries) }, undefined, 2)}\n`;
    const beside = `${this.file}.new`;
    try {
      mkdirSync(dirname(this.file), { recursive: true, mode: 0o700 });
      writeFileSync(beside, text, { mode: 0o600 });
      renameSync(beside, this.file);
      return undefined;
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException;
      return `${this.file} is not written: ${errorWords(code)} (${code}). After a restart tenants may get other external addresses`;
    }
  }
}

function parse(text: string): ReadonlyMap<string, Address> | undefined {
  try {
    const { version, natAddresses } = JSON.parse(text) as { version?: unknown; natAddresses?: unknown };
    if (version !== 1 || typeof natAddresses !== 'object' || natAddresses === null) return undefined;
    const entries = Object.entries(natAddresses).map(
      ([tenant, value]) => [tenant, parseAddress(String(value))] as const,
    );
    if (entries.some(([, address]) => address?.length !== 4)) return undefined;
    return new Map(entries as (readonly [string, Address])[]);
  } catch {
    return undefined;
  }
}
