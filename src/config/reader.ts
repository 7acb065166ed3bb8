/** Values by their schema: one comes out, or issues at their places. */
import type { Placed } from './draft.ts';
import type { IssueList } from './issue.ts';
import type { Output, Schema } from './schema.ts';
import type { Path } from './source.ts';
import { kindOf } from './words.ts';

export class Reader {
  readonly issues: IssueList;

  constructor(issues: IssueList) {
    this.issues = issues;
  }

  /** Entry by entry, so that a mistake in one hides none in another. */
  entries<T>(value: unknown, path: Path, read: (entry: unknown, path: Path) => T): readonly Placed<T>[] {
    if (value === undefined) return [];
    if (!Array.isArray(value)) {
      this.issues.error(path, `a list is needed, not ${kindOf(value)}`);
      return [];
    }
    return value.map((entry, i) => ({ path: [...path, i], value: read(entry, [...path, i]) }));
  }

  parse<T extends Schema>(shape: T, value: unknown, path: Path): Output<T> | undefined {
    const result = shape.safeParse(value);
    if (result.success) return result.data as Output<T>;
    for (const issue of result.error.issues) {
      const at = [...path, ...(issue.path as (string | number)[])];
      if (issue.code === 'unrecognized_keys') {
        const sentences = issue.message.split('\n');
        for (const [i, key] of issue.keys.entries()) this.issues.error([...at, key], sentences[i]!, 'key');
      } else {
        this.issues.error(
          at,
          explain(issue.code, (issue as { expected?: string }).expected, valueAt(value, issue.path), issue.message),
        );
      }
    }
    return undefined;
  }
}

/** The keys of a section; of anything else, none. */
export const keysOf = (value: unknown): Readonly<Record<string, unknown>> =>
  kindOf(value) === 'a section' ? (value as Record<string, unknown>) : {};

/** Where it is text: it is known even when the rest cannot be read. */
export function nameOf(entry: unknown): string | undefined {
  const { name } = keysOf(entry);
  return typeof name === 'string' ? name : undefined;
}

function explain(code: string, expected: string | undefined, found: unknown, message: string): string {
  if (code === 'too_small') return 'needs at least one entry';
  if (code !== 'invalid_type') return message;
  if (found === undefined) return 'is needed';
  return `${expected === 'array' ? 'a list' : 'a section'} is needed, not ${kindOf(found)}`;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let at = value;
  for (const step of path) at = (at as Record<PropertyKey, unknown> | null | undefined)?.[step];
  return at;
}
