/**
 * Regular expressions over AS_PATH as it is printed, `65001 65002 {64512,64513}`, in the syntax that routers have in common.
 *
 * Digits, spaces, commas and braces stand for themselves, and what follows a backslash; `.` for any of them; `[0-9]` and `[^0-9]`; `*`, `+`, `?`; `|` and parentheses; `^` is the begin and
 * `$` the end of the path; `_` is what may stand beside a number: a space, a comma, a bracket of any kind, begin or end. Without `^` and `$` a part may match.
 *
 * Expressions become an automaton whose states are followed side by side (Thompson 1968): time is the length of the text times that of the
 * expression, whatever the expression. Nothing is ever tried again.
 */
export const EXPRESSION_MAX = 512;

export type AsPathExpression = (path: string) => boolean;

export type Compiled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

export function compileExpression(text: string): Compiled<AsPathExpression> {
  if (text.length > EXPRESSION_MAX) return { ok: false, problem: `longer than ${EXPRESSION_MAX} characters` };
  const parser = new Parser(text);
  const tree = parser.parse();
  if (tree === undefined) return { ok: false, problem: `cannot be understood at character ${parser.at + 1}` };
  const program: Step[] = [];
  emit(tree, program);
  program.push({ match: true });
  return { ok: true, value: (path) => run(program, `${BEGIN}${path}${END}`) };
}

const BEGIN = '\u0001';
const END = '\u0002';
const ESCAPED = /^[0-9 ,{}()[\].^$_|*+?\\]$/;
const BESIDE = ` ,{}()[]${BEGIN}${END}`;

type Node =
  | { readonly is: 'empty' }
  | { readonly is: 'one'; readonly of: string; readonly not: boolean }
  | { readonly is: 'both' | 'either'; readonly a: Node; readonly b: Node }
  | { readonly is: 'repeat'; readonly a: Node; readonly sign: '*' | '+' | '?' };

interface Step {
  /** Takes one character: of these, or none of these. */
  readonly of?: string;
  readonly not?: boolean;
  readonly match?: boolean;
  /** Goes on at both without taking a character. */
  to?: readonly number[];
}

class Parser {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Node | undefined {
    const node = this.#either();
    return this.at === this.#text.length ? node : undefined;
  }

  #either(): Node | undefined {
    let node = this.#sequence();
    while (node !== undefined && this.#text[this.at] === '|') {
      this.at++;
      const b = this.#sequence();
      node = b === undefined ? undefined : { is: 'either', a: node, b };
    }
    return node;
  }

  #sequence(): Node | undefined {
    let node: Node = { is: 'empty' };
    while (this.at < this.#text.length && this.#text[this.at] !== '|' && this.#text[this.at] !== ')') {
      let part = this.#atom();
      if (part === undefined) return undefined;
      for (let sign = this.#text[this.at]; sign === '*' || sign === '+' || sign === '?'; sign = this.#text[this.at]) {
        part = { is: 'repeat', a: part, sign };
        this.at++;
      }
      node = { is: 'both', a: node, b: part };
    }
    return node;
  }

  #atom(): Node | undefined {
    const sign = this.#text[this.at]!;
    if (sign === '(') {
      this.at++;
      const node = this.#either();
      if (this.#text[this.at] !== ')') return undefined;
      this.at++;
      return node;
    }
    if (sign === '[') return this.#set();
    if (sign === '\\') {
      const of = this.#text[this.at + 1] ?? '';
      if (!ESCAPED.test(of)) return undefined;
      this.at += 2;
      return { is: 'one', of, not: false };
    }
    if (!/[0-9 ,{}.^$_]/.test(sign)) return undefined;
    this.at++;
    if (sign === '.') return { is: 'one', of: BEGIN + END, not: true };
    if (sign === '_') return { is: 'one', of: BESIDE, not: false };
    return { is: 'one', of: sign === '^' ? BEGIN : sign === '$' ? END : sign, not: false };
  }

  #set(): Node | undefined {
    const close = this.#text.indexOf(']', this.at);
    const inside = close < 0 ? '' : this.#text.slice(this.at + 1, close);
    const not = inside.startsWith('^');
    const body = not ? inside.slice(1) : inside;
    if (!/^([0-9]-[0-9]|[0-9 ])+$/.test(body)) return undefined;
    const of = body.replace(/([0-9])-([0-9])/g, (_, low: string, high: string) => digits(Number(low), Number(high)));
    this.at = close + 1;
    return { is: 'one', of: not ? of + BEGIN + END : of, not };
  }
}

const digits = (low: number, high: number): string =>
  Array.from({ length: Math.max(0, high - low + 1) }, (_, i) => low + i).join('');

function emit(node: Node, program: Step[]): void {
  switch (node.is) {
    case 'empty':
      return;
    case 'one':
      program.push({ of: node.of, not: node.not });
      return;
    case 'both':
      emit(node.a, program);
      emit(node.b, program);
      return;
    case 'either': {
      const fork: Step = {};
      program.push(fork);
      emit(node.a, program);
      const over: Step = {};
      program.push(over);
      fork.to = [program.indexOf(fork) + 1, program.length];
      emit(node.b, program);
      over.to = [program.length];
      return;
    }
    case 'repeat': {
      const start = program.length;
      const fork: Step = {};
      if (node.sign !== '+') program.push(fork);
      emit(node.a, program);
      if (node.sign === '*') program.push({ to: [start] });
      if (node.sign === '+') program.push({ to: [start, program.length + 1] });
      else fork.to = [start + 1, program.length];
    }
  }
}

function run(program: readonly Step[], text: string): boolean {
  const marks = new Uint32Array(program.length);
  let now: number[] = [];
  let generation = 0;
  const follow = (at: number, into: number[]): boolean => {
    const stack = [at];
    for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
      if (marks[state] === generation) continue;
      marks[state] = generation;
      const step = program[state]!;
      if (step.match === true) return true;
      if (step.to !== undefined) stack.push(...step.to);
      else into.push(state);
    }
    return false;
  };
  for (let i = 0; i <= text.length; i++) {
    generation++;
    const next: number[] = [];
    if (i > 0)
      for (const state of now) {
        const { of, not } = program[state]!;
        if (of!.includes(text[i - 1]!) !== not && follow(state + 1, next)) return true;
      }
    if (follow(0, next)) return true;
    now = next;
  }
  return false;
}
