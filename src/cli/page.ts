/** Long tables, a page at a time: the flags, what they ask of the API, and where the next page begins. */
import { type Flag, prefixText, wholeNumber } from './flags.ts';
import { type Call, printLines } from './io.ts';

/** `what` a page counts. */
export const pageFlags = (what: string): readonly Flag[] => [
  { flags: '--within <prefix>', text: 'only prefixes that lie in this one', parse: prefixText },
  { flags: '--limit <number>', text: `${what}, default ${PAGE}`, parse: wholeNumber(1, 10_000) },
  { flags: '--offset <number>', text: `${what} to pass over, default 0`, parse: wholeNumber(0, 1_000_000_000) },
];

/** Those of the flags that are given, and of `more`. */
export function queryOf({ options }: Call, ...more: readonly string[]): string {
  const names = ['offset', 'limit', 'within', ...more].filter((name) => options[name] !== undefined);
  const query = new URLSearchParams(names.map((name): [string, string] => [name, String(options[name])])).toString();
  return query === '' ? '' : `?${query}`;
}

/** `count` of what the page counts: as many as there may be. */
export function sayMore({ io, options }: Call, count: number): void {
  const limit = Number(options.limit ?? PAGE);
  if (count >= limit) printLines(io.stderr, [`There may be more: --offset ${Number(options.offset ?? 0) + limit}`]);
}

/** As the API has it where nobody says. */
const PAGE = 100;
