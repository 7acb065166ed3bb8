/**
 * What is wrong with a message and the NOTIFICATION the sender is owed for it: RFC 4271 §6, RFC 4271 §4.5.
 *
 * Inside a codec a `NotificationOwed` is thrown; `decoded` at the border makes a value of it. RFC 7606 (`treatment.ts`) is not here.
 */
import { type Bytes, EMPTY, WireError } from '../../core/index.ts';
import type { NotificationMessage } from './types.ts';

/** A message that cannot be accepted, and what to answer. */
export interface Refusal {
  readonly notification: NotificationMessage;
  readonly why: string;
}

export type Decoded<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

/** A `WireError` with all three parts of its NOTIFICATION; `answer` has code and subcode in one number. */
export class NotificationOwed extends WireError {
  readonly data: Bytes;

  constructor(field: string, at: number, problem: string, code: number, subcode: number, data: Bytes = EMPTY) {
    super(field, at, problem, (code << 8) | subcode);
    this.data = data;
  }
}

export const notification = (code: number, subcode: number, data: Bytes = EMPTY): NotificationMessage => ({
  kind: 'notification',
  code,
  subcode,
  data,
});

/** Runs a codec; what it runs into without naming an answer is owed `code` and `subcode`. */
export function decoded<T>(code: number, subcode: number, decode: () => T): Decoded<T> {
  try {
    return { ok: true, value: decode() };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { ok: false, refusal: { notification: owed(error, code, subcode), why: error.message } };
  }
}

function owed(error: WireError, code: number, subcode: number): NotificationMessage {
  if (error.answer === undefined) return notification(code, subcode);
  const data = error instanceof NotificationOwed ? error.data : EMPTY;
  return notification(error.answer >>> 8, error.answer & 0xff, data);
}
