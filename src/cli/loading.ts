/** A document from a file, and its secrets, for the commands that need no running gateway. */
import { readFileSync } from 'node:fs';
import {
  type Document,
  formatIssue,
  type Issue,
  type ReadResult,
  readDocument,
  resolveSecret,
  type SecretSource,
  weakness,
} from '../config/index.ts';
import { readText } from '../runtime/files.ts';
import { CliError, EXIT, type Io } from './io.ts';

/** The text of a file, `-` for standard input; a CliError says why not. */
function textOf(file: string): string {
  if (file === '-') return readFileSync(0, 'utf8');
  const read = readText(file);
  if (read.ok) return read.text;
  const denied = /\((EACCES|EPERM)\)$/.test(read.problem);
  throw new CliError(denied ? EXIT.permission : EXIT.error, denied ? 'permission' : 'file', read.problem, '');
}

export const readFile = (file: string): ReadResult => readDocument(textOf(file), file === '-' ? 'stdin' : file);

/** A document without errors; anything else ends the command with exit 5 and all issues. */
export async function loadDocument(
  io: Io,
  file: string,
): Promise<{ readonly document: Document; readonly issues: readonly Issue[] }> {
  const { document, issues } = readFile(file);
  if (document !== undefined) return { document, issues };
  throw invalid(io, file, issues);
}

export function invalid(io: Io, file: string, issues: readonly Issue[]): CliError {
  for (const issue of issues) io.stderr.write(`${formatIssue(issue)}\n`);
  const count = issues.filter(({ severity }) => severity === 'error').length;
  return new CliError(EXIT.invalid, 'invalid', `${file} has ${count} ${count === 1 ? 'error' : 'errors'}`, '');
}

/** What is wrong with the secrets seen from here: they may well be readable where the gateway runs, so these are warnings. */
export function secretWarnings(document: Document, source: SecretSource): string[] {
  return document.tenants.flatMap((tenant) =>
    tenant.connections.flatMap((connection) => {
      if (connection.psk.from === 'inline') return [];
      const secret = resolveSecret(connection.psk, source);
      const problem = typeof secret === 'string' ? secret : weakness(secret);
      return problem === undefined ? [] : [`${tenant.name}/${connection.name}: psk: ${problem}`];
    }),
  );
}
