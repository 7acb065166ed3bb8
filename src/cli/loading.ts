/** A document from a file, and its secrets, for the commands that need no running gateway. */
import { readFileSync } from 'node:fs';
import {
  type Document,
  formatIssue,
  type Issue,
  placeIssues,
  type ReadResult,
  readDocument,
  resolveSecret,
  type SecretReference,
  type SecretSource,
  secretPlaces,
  weakness,
} from '../config/index.ts';
import { Secret } from '../core/index.ts';
import { type FileText, readText, secretSource } from '../runtime/files.ts';
import { CliError, EXIT, type Io } from './io.ts';

export interface ReadFile extends ReadResult {
  readonly text: string;
}

/** The text of a file, `-` for standard input; a CliError says why not. */
function textOf(file: string): string {
  const read = file === '-' ? standardInput() : readText(file);
  if (!read.ok) throw unreadable(read.problem);
  return read.text;
}

function standardInput(): FileText {
  try {
    return { ok: true, text: new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(0)) };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { ok: false, problem: 'stdin is not UTF-8 text' };
  }
}

/** A document that is no text to begin with; `problem` as `readText` says it. */
export function unreadable(problem: string): CliError {
  const denied = /\((EACCES|EPERM)\)$/.test(problem);
  return new CliError(denied ? EXIT.permission : EXIT.invalid, denied ? 'permission' : 'document', problem, '');
}

export function readFile(file: string): ReadFile {
  const text = textOf(file);
  return { text, ...readDocument(text, file === '-' ? 'stdin' : file) };
}

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

/** Every secret of a document, by the name that the gateway knows it by; all that cannot be fetched, each at its entry. */
export function fetchSecrets(
  document: Document,
  file: string,
  text: string,
): { readonly secrets: ReadonlyMap<string, Secret>; readonly problems: readonly Issue[] } {
  const source = secretSource(file);
  const issue = placeIssues(text, file);
  const secrets = new Map<string, Secret>();
  const problems: Issue[] = [];
  for (const { name, reference, path } of secretPlaces(document)) {
    const secret = resolveSecret(reference, source);
    if (secret instanceof Secret) secrets.set(name, secret);
    else problems.push(issue('error', path, secret));
  }
  return { secrets, problems };
}

/**
 * What is wrong with the secrets, each at its entry. One that cannot be reached from here, or can be guessed, is a warning:
 * it may well be there where the gateway runs. Every other problem is an error, as the gateway would refuse to run.
 */
export function secretIssues(document: Document, file: string, text: string, env: Io['env']): Issue[] {
  const source = secretSource(file, env);
  const issue = placeIssues(text, file === '-' ? 'stdin' : file);
  return secretPlaces(document).flatMap(({ reference, path }): Issue[] => {
    if (reference.from === 'inline') return [];
    const secret = resolveSecret(reference, source);
    const message = typeof secret === 'string' ? secret : weakness(secret);
    if (message === undefined) return [];
    const severity = typeof secret === 'string' && isHere(reference, source, env) ? 'error' : 'warning';
    return [issue(severity, path, message)];
  });
}

function isHere({ from, value }: SecretReference, source: SecretSource, env: Io['env']): boolean {
  if (from === 'env') return source.env(String(value)) !== undefined;
  if (from === 'credential' && env.CREDENTIALS_DIRECTORY === undefined) return false;
  const octets = from === 'file' ? source.readFile(String(value)) : source.credential(String(value));
  return typeof octets !== 'string' || !/\((ENOENT|ENOTDIR|EACCES|EPERM)\)$/.test(octets);
}
