/** The one form of every answer: a list of items of one kind, or an error in words. */
import type { ApiProblem } from './backend.ts';

export const SCHEMA_VERSION = 1;

export interface Envelope<T = unknown> {
  readonly schemaVersion: typeof SCHEMA_VERSION;
  readonly kind: string;
  readonly items: readonly T[];
}

export interface ErrorEnvelope {
  readonly schemaVersion: typeof SCHEMA_VERSION;
  readonly kind: 'error';
  readonly error: { readonly code: string; readonly problem: string; readonly advice: string };
}

export const envelope = <T>(kind: string, items: readonly T[]): Envelope<T> => ({
  schemaVersion: SCHEMA_VERSION,
  kind,
  items,
});

export const errorEnvelope = (code: string, problem: string, advice: string): ErrorEnvelope => ({
  schemaVersion: SCHEMA_VERSION,
  kind: 'error',
  error: { code, problem, advice },
});

export const envelopeOf = (problem: ApiProblem): ErrorEnvelope =>
  errorEnvelope(problem.code, problem.message, problem.advice);
