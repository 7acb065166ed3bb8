/** `config check | show | diff` and `reload`. */
import type { ReloadStatus } from '../api/backend.ts';
import { envelope } from '../api/envelope.ts';
import {
  type Document,
  diffDocuments,
  formatChanges,
  formatIssue,
  readDocument,
  showDocument,
} from '../config/index.ts';
import { clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { invalid, loadDocument, readFile, secretIssues } from './loading.ts';

/** Every issue at once, those of the secrets too. */
export async function checkConfig(call: Call): Promise<number> {
  const file = requiredFile(call);
  const { document, issues, text } = readFile(file);
  const secrets = document === undefined ? [] : secretIssues(document, file, text, call.io.env);
  const all = [...issues, ...secrets].toSorted((a, b) => a.line - b.line || a.column - b.column);
  if (wantsJson(call)) printJson(call.io, envelope('issues', all));
  else printLines(call.io.stderr, all.map(formatIssue));
  if (document === undefined || all.some(({ severity }) => severity === 'error')) return EXIT.invalid;
  if (!wantsJson(call)) printLines(call.io.stdout, [`${file}: valid, ${countsOf(document)}`]);
  return EXIT.ok;
}

function countsOf(document: Document): string {
  const { role, tenants } = document;
  const parts = role === 'gateway' ? tenants.map((t) => t.connections.length) : tenants.map((t) => t.vms.length);
  const sum = parts.reduce((a, b) => a + b, 0);
  return `${plural(tenants.length, 'tenant')}, ${plural(sum, role === 'gateway' ? 'connection' : 'VM')}`;
}

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;

/** The effective document: of a file, or of the running gateway. */
export async function showConfig(call: Call): Promise<number> {
  const file = optionalFile(call);
  const text =
    file === undefined ? await runningText(call) : showDocument((await loadDocument(call.io, file)).document);
  if (wantsJson(call)) printJson(call.io, envelope('config', [{ text }]));
  else call.io.stdout.write(text);
  return EXIT.ok;
}

/** Two files, or the running gateway and a file. Exit 0 whether or not they differ. */
export async function diffConfig(call: Call): Promise<number> {
  const [first, second] = call.args;
  const newer = second ?? first ?? optionalFile(call);
  if (newer === undefined) throw noFile();
  const before = second === undefined ? await running(call) : (await loadDocument(call.io, first!)).document;
  const changes = diffDocuments(before, (await loadDocument(call.io, newer)).document);
  if (wantsJson(call)) printJson(call.io, envelope('changes', changes));
  else if (changes.length === 0) printLines(call.io.stderr, ['Nothing differs.']);
  else printLines(call.io.stdout, formatChanges(changes));
  return EXIT.ok;
}

/** Exit 5 when the document has errors and nothing was applied. */
export async function reload(call: Call): Promise<number> {
  const items = await clientFor(call).call<ReloadStatus>('POST', '/v1/reload');
  const { applied, changes, issues } = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('reload', items));
  else {
    printLines(call.io.stderr, issues.map(formatIssue));
    printLines(call.io.stdout, changes);
    if (!applied) printLines(call.io.stderr, ['Nothing was applied.']);
    else if (changes.length === 0) printLines(call.io.stderr, ['Nothing changed.']);
  }
  if (applied) return EXIT.ok;
  return issues.some(({ severity }) => severity === 'error') ? EXIT.invalid : EXIT.error;
}

async function runningText(call: Call): Promise<string> {
  const items = await clientFor(call).call<{ readonly text: string }>('GET', '/v1/config');
  return items[0]!.text;
}

async function running(call: Call) {
  const { document, issues } = readDocument(await runningText(call), 'running');
  if (document === undefined) throw invalid(call.io, 'the running document', issues);
  return document;
}

const optionalFile = (call: Call): string | undefined => {
  const file = call.args[0] ?? call.options.config;
  return file === undefined ? undefined : String(file);
};

const requiredFile = (call: Call): string => {
  const file = optionalFile(call);
  if (file === undefined) throw noFile();
  return file;
};

const noFile = (): CliError =>
  new CliError(EXIT.usage, 'usage', 'which document?', 'Name a file, or set BULKHEAD_CONFIG.');
