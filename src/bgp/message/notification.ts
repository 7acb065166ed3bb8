/**
 * NOTIFICATION as a record, and the sentence an operator may send with it: RFC 4271 §4.5, RFC 9003.
 *
 * Its own errors are never answered (RFC 4271 §6.4). Words for people are in `describe.ts`.
 */
import { type Bytes, EMPTY, Reader, type Writer } from '../../core/index.ts';
import { CEASE, ERROR, HEADER_LENGTH } from './iana.ts';
import type { NotificationMessage } from './types.ts';

/*  Error code (1) | Error subcode (1) | Data …  */
export function decodeNotification(message: Bytes): NotificationMessage {
  const r = new Reader(message, HEADER_LENGTH);
  const code = r.u8('notification.code');
  const subcode = r.u8('notification.subcode');
  return { kind: 'notification', code, subcode, data: r.rest() };
}

/** Without its header. */
export function encodeNotification(w: Writer, m: NotificationMessage): void {
  w.u8(m.code);
  w.u8(m.subcode);
  w.bytes(m.data);
}

/** RFC 8654 §5: the same with no more data than a peer takes that has settled messages of `maximumLength`. */
export function fitNotification(m: NotificationMessage, maximumLength: number): NotificationMessage {
  const room = maximumLength - HEADER_LENGTH - 2;
  return m.data.length <= room ? m : { ...m, data: m.data.slice(0, room) };
}

/** RFC 9003 §2: a Cease with a sentence; without one where it is empty. What is longer than 255 octets is cut between characters. */
export function ceaseWithText(subcode: number, text: string | undefined): NotificationMessage {
  const carried = text === undefined || text === '' || !carriesText(ERROR.CEASE, subcode);
  const data = carried ? EMPTY : shutdownData(text);
  return { kind: 'notification', code: ERROR.CEASE, subcode, data };
}

/**
 * RFC 9003 §2: the sentence that came with an administrative shutdown or reset. Undefined where none did, where the length is not that of the
 * octets, and for octets that are not UTF-8, which must not be interpreted.
 */
export function shutdownText(m: NotificationMessage): string | undefined {
  if (!carriesText(m.code, m.subcode) || m.data.length < 2 || m.data[0] !== m.data.length - 1) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(m.data.subarray(1));
  } catch {
    return undefined;
  }
}

const carriesText = (code: number, subcode: number): boolean =>
  code === ERROR.CEASE && (subcode === CEASE.ADMINISTRATIVE_SHUTDOWN || subcode === CEASE.ADMINISTRATIVE_RESET);

/*  Length (1) | Shutdown Communication …  */
function shutdownData(text: string): Bytes {
  const octets = new TextEncoder().encode(text);
  let length = Math.min(octets.length, MAXIMUM_TEXT);
  while (length < octets.length && (octets[length]! & 0xc0) === 0x80) length -= 1;
  const data = new Uint8Array(1 + length);
  data[0] = length;
  data.set(octets.subarray(0, length), 1);
  return data;
}

const MAXIMUM_TEXT = 255;
