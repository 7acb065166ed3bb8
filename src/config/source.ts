/**
 * Text to plain values, remembering where each one stands. YAML 1.2 core schema; JSON is a part of it.
 *
 * Deliberate limits: one document a file; no tags, no merge keys, keys are text; DOCUMENT_LIMIT characters, NODE_LIMIT values with
 * aliases expanded (an alias bomb ends there), DEPTH_LIMIT levels.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, type YAMLMap } from 'yaml';

export const DOCUMENT_LIMIT = 8 * 1024 * 1024;
export const NODE_LIMIT = 500_000;
export const DEPTH_LIMIT = 32;

export type Path = readonly (string | number)[];

/** Counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface SourceProblem extends Position {
  readonly path: Path;
  readonly message: string;
}

export interface Source {
  /** Objects, arrays, text, numbers, booleans, null; undefined when the text is not YAML at all. */
  readonly value: unknown;
  readonly problems: readonly SourceProblem[];
  /** Where the value at `path` stands (or its key); for one that is missing, where its nearest ancestor stands. */
  locate(path: Path, of?: 'value' | 'key'): Position;
}

export function parseSource(text: string): Source {
  if (text.length > DOCUMENT_LIMIT) {
    return failed([
      { line: 1, column: 1, path: [], message: `the document is longer than ${DOCUMENT_LIMIT} characters` },
    ]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2', schema: 'core' });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const exhausted = document.errors.find((error) => error.code === 'RESOURCE_EXHAUSTION');
  if (exhausted !== undefined) return failed([{ ...at(exhausted.pos[0]), path: [], message: 'nested too deeply' }]);
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    path: [],
    message: SYNTAX[error.code] ?? lowerFirst(error.message),
  }));
  if (syntax.length > 0) return failed(syntax);

  const problems: SourceProblem[] = [];
  const resolve = (node: unknown): Node | undefined =>
    isAlias(node) ? (node.resolve(document) as Node | undefined) : ((node ?? undefined) as Node | undefined);
  let budget = NODE_LIMIT;
  const complain = (node: unknown, path: Path, message: string): undefined => {
    problems.push({ ...at(rangeOf(node) ?? 0), path, message });
    return undefined;
  };
  const plain = (written: unknown, path: Path): unknown => {
    const node = resolve(written);
    if (node === undefined)
      return isAlias(written) ? complain(written, path, `*${written.source} names no anchor`) : null;
    budget -= 1;
    if (budget === 0) return complain(written, path, `more than ${NODE_LIMIT} values`);
    if (budget < 0) return undefined;
    if (path.length > DEPTH_LIMIT) return complain(written, path, 'nested too deeply');
    if (isScalar(node)) return node.value instanceof Uint8Array ? complain(written, path, 'no tags here') : node.value;
    if (isSeq(node)) return node.items.map((item, i) => plain(item, [...path, i]));
    if (!isMap(node)) return complain(written, path, 'neither a value nor a list nor a section');
    const section: Record<string, unknown> = {};
    for (const { key, value } of node.items as Pair[]) {
      const name = keyOf(key);
      if (name === undefined || name === '__proto__') complain(key ?? written, path, 'a key must be plain text');
      else section[name] = plain(value, [...path, name]);
    }
    return section;
  };
  const value = plain(document.contents, []);

  const locate = (path: Path, of: 'value' | 'key' = 'value'): Position => {
    let node = resolve(document.contents);
    let offset = rangeOf(node) ?? 0;
    for (const [i, step] of path.entries()) {
      const pair = isMap(node) ? pairOf(node, String(step)) : undefined;
      const next = pair !== undefined ? pair.value : isSeq(node) ? node.items[Number(step)] : undefined;
      if (pair === undefined && next === undefined) break;
      const keyOnly = pair !== undefined && ((of === 'key' && i === path.length - 1) || isBlank(next));
      offset = rangeOf(keyOnly ? pair.key : next) ?? offset;
      node = resolve(next);
    }
    return at(offset);
  };
  return { value, problems, locate };
}

const failed = (problems: readonly SourceProblem[]): Source => ({
  value: undefined,
  problems,
  locate: () => ({ line: 1, column: 1 }),
});

/** The parser's own sentences speak of itself; these speak of the document. */
const SYNTAX: Readonly<Record<string, string>> = {
  DUPLICATE_KEY: 'this key stands here twice',
  MULTIPLE_DOCS: 'a second document begins here; one file holds one',
  TAG_RESOLVE_FAILED: 'no tags here: quote text that begins with !',
  TAB_AS_INDENT: 'a tab indents here: YAML wants spaces',
};

const rangeOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];
const pairOf = (map: YAMLMap, name: string): Pair | undefined =>
  (map.items as Pair[]).find((p) => keyOf(p.key) === name);
const isBlank = (node: unknown): boolean =>
  node === null || node === undefined || (isScalar(node) && (node.source ?? '') === '' && node.value === null);
const lowerFirst = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1);

function keyOf(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  const { value } = key;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}
