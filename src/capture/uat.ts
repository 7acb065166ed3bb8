/**
 * Lines of Wireshark's user tables ("UAT"): comma-separated fields, text in quotes, octets as bare hexadecimal.
 *
 * Leaves the meaning of the fields to `wireshark.ts`.
 */

export interface UatLine {
  /** 1 for the first line of the file. */
  readonly line: number;
  readonly fields: readonly string[];
}

/** A line that was left out, and why. Never holds what stands in its fields: those are keys. */
export interface TableIssue {
  readonly line: number;
  readonly problem: string;
}

/** The lines of a table without comments (`#`) and blanks. A line with an open quotation mark becomes an issue. */
export function parseUat(text: string): { readonly lines: UatLine[]; readonly issues: TableIssue[] } {
  const lines: UatLine[] = [];
  const issues: TableIssue[] = [];
  text.split(/\r?\n/).forEach((content, i) => {
    if (/^\s*(#|$)/.test(content)) return;
    const fields = splitFields(content);
    if (fields === undefined) issues.push({ line: i + 1, problem: 'a quotation mark or a comma is missing' });
    else lines.push({ line: i + 1, fields });
  });
  return { lines, issues };
}

/** Text as a quoted field. What Wireshark would not print stands as `\xHH`. */
export const quoted = (value: string): string =>
  `"${value.replace(/[^ !#-[\]-~]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`)}"`;

function splitFields(content: string): string[] | undefined {
  const fields: string[] = [];
  const field = /\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*?))\s*(,|$)/y;
  for (;;) {
    const found = field.exec(content);
    if (found === null) return undefined;
    fields.push(found[1] === undefined ? found[2]! : unescaped(found[1]));
    if (found[3] === '') return fields;
  }
}

const unescaped = (value: string): string =>
  value.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (_, hex: string | undefined, char: string | undefined) =>
    hex === undefined ? char! : String.fromCharCode(Number.parseInt(hex, 16)),
  );
