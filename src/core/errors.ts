/**
 * Errors by whose fault they are. This file owns the peer's (`WireError`) and ours (`invariant`, `assertNever`).
 * The fast path uses small integers instead (`ip/verdict.ts`); the operator's errors are lists of issues (`config/`).
 */

/** What a peer sent cannot be understood. `at` counts octets from the start of the message. */
export class WireError extends Error {
  override readonly name = 'WireError';
  readonly field: string;
  readonly at: number;
  /** What is wrong, without field and offset. */
  readonly problem: string;
  /** The protocol code the peer is owed (an IKE NOTIFY type, a BGP NOTIFICATION code), where the RFC names one. */
  readonly answer: number | undefined;

  constructor(field: string, at: number, problem: string, answer?: number) {
    super(`${field} @${at}: ${problem}`);
    this.field = field;
    this.at = at;
    this.problem = problem;
    this.answer = answer;
  }
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError };

/** The border between octets and values: a `WireError` becomes a value, everything else stays a bug of ours. */
export function parse<T>(decode: () => T): Parsed<T> {
  try {
    return { ok: true, value: decode() };
  } catch (error) {
    if (error instanceof WireError) return { ok: false, error };
    throw error;
  }
}

/** Throws when our own code broke a promise. Never used for what a peer or an operator can cause. */
export function invariant(condition: unknown, promise: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${promise}`);
}

export function assertNever(value: never): never {
  throw new Error(`unhandled variant: ${JSON.stringify(value)}`);
}
