/** Issues of the document: how they are collected, ordered and written. */
import type { Issue } from './contract.ts';
import { type Path, parseSource, type Source } from './source.ts';

/** `gateway.yaml:12:9: tenants[0].name: is needed`; warnings say so. Compilers and editors jump to this form. */
export function formatIssue(issue: Issue): string {
  const place = `${issue.file}:${issue.line}:${issue.column}: `;
  const path = issue.path === '' ? '' : `${issue.path}: `;
  return `${place}${issue.severity === 'warning' ? 'warning: ' : ''}${path}${issue.message}`;
}

/** Makes issues, each at its place in `text`, which is a valid document: what only shows once it has been read. */
export function placeIssues(
  text: string,
  file: string,
): (severity: Issue['severity'], path: Path, message: string) => Issue {
  let source: Source | undefined;
  return (severity, path, message) => {
    source ??= parseSource(text);
    return { severity, file, ...source.locate(path), path: formatPath(path), message };
  };
}

/** `tenants[0].connections[1].ike.proposals[0]` */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else
      text += `${text === '' ? '' : '.'}${/^[A-Za-z0-9_-]{1,64}$/.test(step) ? step : JSON.stringify(step.slice(0, 64))}`;
  }
  return text;
}

/** A text that is no document at all could have one a line; nobody reads more than these. */
export const ISSUE_LIMIT = 200;

/** Collects issues of one document and finds their places. */
export class IssueList {
  readonly #file: string;
  readonly #source: Source;
  readonly #issues: Issue[] = [];
  #errors = 0;
  #unlisted = 0;

  constructor(file: string, source: Source) {
    this.#file = file;
    this.#source = source;
  }

  error(path: Path, message: string, of: 'value' | 'key' = 'value'): void {
    this.#add('error', path, message, of);
  }

  warning(path: Path, message: string, of: 'value' | 'key' = 'value'): void {
    this.#add('warning', path, message, of);
  }

  /** `line 12`: where the value at `path` stands, for sentences that name a second place. */
  line(path: Path, of: 'value' | 'key' = 'value'): string {
    return `line ${this.#source.locate(path, of).line}`;
  }

  get hasErrors(): boolean {
    return this.#errors > 0;
  }

  /** In the order of the text. */
  sorted(): Issue[] {
    const sorted = this.#issues.toSorted((a, b) => a.line - b.line || a.column - b.column);
    if (this.#unlisted === 0) return sorted;
    const last = sorted.at(-1)!;
    return [...sorted, { ...last, severity: 'error', path: '', message: `and ${this.#unlisted} more` }];
  }

  #add(severity: Issue['severity'], path: Path, message: string, of: 'value' | 'key'): void {
    if (severity === 'error') this.#errors += 1;
    if (this.#issues.length >= ISSUE_LIMIT) {
      this.#unlisted += 1;
      return;
    }
    const position = this.#source.locate(path, of);
    this.#issues.push({ severity, file: this.#file, ...position, path: formatPath(path), message });
  }
}
