/** What the documents name is there: files, and the clauses that `docs/rfc.md` says stand in the titles of tests. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const documents = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

/** Documents of a part of the source name its files from there. */
const BASES = ['.', 'src', 'src/ike', 'test'];
const TOP = new Set(['src', 'test', 'docs', 'bin', 'bench', 'examples', '.ci', ...readdirSync(join(root, 'src'))]);
const isPath = (text: string): boolean =>
  /^[\w.{},*-]+(\/[\w.{},*-]+)*\/?$/.test(text) &&
  text.includes('/') &&
  (/\.(ts|js|json|md|yaml|conf)$/.test(text) || TOP.has(text.split('/')[0]!));

/** `src/{core,ip}` is two paths; `sa/task-*.ts` is there when something matches. */
const expand = (text: string): string[] => {
  const [all, before, choices, after] = /^(.*)\{([^}]*)\}(.*)$/.exec(text) ?? [];
  return all === undefined ? [text] : choices!.split(',').flatMap((choice) => expand(`${before}${choice}${after}`));
};
const exists = (path: string): boolean => {
  if (!path.includes('*')) return existsSync(path) || existsSync(`${path}.ts`);
  const pattern = new RegExp(`^${path.split('/').at(-1)!.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  return existsSync(dirname(path)) && readdirSync(dirname(path)).some((name) => pattern.test(name));
};

describe('documents', () => {
  it.each(documents)('%s names no file that is not there', (name) => {
    const text = read(name).replace(/^```[\s\S]*?^```/gm, '');
    const links = [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)]
      .map(([, target]) => target!)
      .filter((target) => !/^[a-z]+:/.test(target))
      .filter((target) => !existsSync(resolve(root, dirname(name), target)));
    const paths = [...text.matchAll(/`([^`\n]+)`/g)]
      .map(([, code]) => code!)
      .filter(isPath)
      .flatMap(expand)
      .filter((path) => !BASES.some((base) => exists(join(root, base, path))));
    expect([...links, ...paths]).toEqual([]);
  });

  it('docs/rfc.md: a clause stands in a title of each test file it names plainly', () => {
    const wrong: string[] = [];
    let checked = 0;
    for (const { rfc, clauses, tests } of rows(read('docs/rfc.md'))) {
      for (const test of tests) {
        checked += 1;
        const named = namedBy(test);
        if (!clauses.some((clause) => named.has(`${rfc} ${clause}`)) && !(clauses.length === 0 && named.has(rfc)))
          wrong.push(`${test}: no title names RFC ${rfc} ${clauses.join(', ')}`.trimEnd());
      }
    }
    expect(wrong).toEqual([]);
    expect(checked).toBeGreaterThan(100);
  });
});

interface Row {
  readonly rfc: string;
  readonly clauses: readonly string[];
  /** Outside parentheses. */
  readonly tests: readonly string[];
}

/** The RFC stands in the heading of a table or at the start of a row. */
function rows(text: string): Row[] {
  const found: Row[] = [];
  let heading: string | undefined;
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) heading = /^## RFC (\d+):/.exec(line)?.[1];
    const [clause, , , tests] = line.startsWith('| ') ? line.slice(2).split(' | ') : [];
    const rfc = heading ?? /^(\d{3,4})\b/.exec(clause ?? '')?.[1];
    if (clause === undefined || tests === undefined || rfc === undefined) continue;
    found.push({
      rfc,
      clauses: [...clause.matchAll(/§[\d.]+|Appendix [A-Z][\d.]*/g)].map(([name]) => name),
      tests: [...tests.replace(/\([^)]*\)/g, '').matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
    });
  }
  return found;
}

/** What titles of a test file name: `7296` and `7296 §2.8`. A clause belongs to the RFC named last, be it in a title above. */
function namedBy(file: string): Set<string> {
  const found = new Set<string>();
  let rfc = '';
  for (const [, , title] of read(`test/${file}`).matchAll(/(['"`])((?:(?!\1|\n).)*(?:RFC \d|§)(?:(?!\1|\n).)*)\1/g)) {
    for (const [, number, clause] of title!.matchAll(/RFC (\d+)|(§[\d.]*\d|Appendix [A-Z](?:[\d.]*\d)?)/gi)) {
      rfc = number ?? rfc;
      found.add(clause === undefined ? rfc : `${rfc} ${clause.replace(/^a/, 'A')}`);
    }
  }
  return found;
}
