/**
 * NOTIFICATIONs of the session itself, hard resets, and words for people.
 *
 * Read first: RFC 4486, RFC 9003, RFC 6608 §4. RFC 8538 §3: a Cease with subcode 9 carries the code, subcode and data that are meant.
 */
import { concat, toHex } from '../../core/index.ts';
import {
  CEASE,
  ceaseWithText,
  ERROR,
  errorName,
  type NotificationMessage,
  notification,
  shutdownText,
  suberrorName,
} from '../message/index.ts';

export const cease = (subcode: number, text?: string): NotificationMessage => ceaseWithText(subcode, text);

/** RFC 6608 §4: data is the type of the message that was not expected. */
export const unexpected = (subcode: number, type: number): NotificationMessage =>
  notification(ERROR.FSM, subcode, Uint8Array.of(type));

/** What it says where both have the N flag: reasons after which nobody wants the routes become hard resets (RFC 8538 §4). */
export function hardened(n: NotificationMessage): NotificationMessage {
  if (n.code !== ERROR.CEASE || !ENDS_FOR_GOOD.includes(n.subcode)) return n;
  return notification(ERROR.CEASE, CEASE.HARD_RESET, concat(Uint8Array.of(n.code, n.subcode), n.data));
}

export const isHardReset = (n: NotificationMessage): boolean =>
  n.code === ERROR.CEASE && n.subcode === CEASE.HARD_RESET;

/** What a hard reset carries (RFC 8538 §3), where it carries something; else the same. */
export function meantBy(n: NotificationMessage): NotificationMessage {
  const carries =
    isHardReset(n) && n.data.length >= 2 && !(n.data[0] === ERROR.CEASE && n.data[1] === CEASE.HARD_RESET);
  return carries ? notification(n.data[0]!, n.data[1]!, n.data.subarray(2)) : n;
}

/** `Cease: Administrative Shutdown, "back at noon"`; always fit for one line of a log (RFC 9003 §6). */
export function wordsOf(n: NotificationMessage): string {
  const meant = meantBy(n);
  if (meant !== n) return `Hard Reset, ${wordsOf(meant)}`;
  const name = n.subcode === 0 ? errorName(n.code) : `${errorName(n.code)}: ${suberrorName(n.code, n.subcode)}`;
  const text = shutdownText(n);
  if (text !== undefined) return `${name}, "${text.replace(UNPRINTABLE, '\ufffd')}"`;
  return n.data.length === 0 ? name : `${name} (${toHex(n.data.subarray(0, SHOWN_OCTETS))})`;
}

const ENDS_FOR_GOOD: readonly number[] = [
  CEASE.MAXIMUM_PREFIXES,
  CEASE.ADMINISTRATIVE_SHUTDOWN,
  CEASE.PEER_DECONFIGURED,
  CEASE.OUT_OF_RESOURCES,
];
const SHOWN_OCTETS = 32;
/** Control characters, line separators, and marks that turn the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
