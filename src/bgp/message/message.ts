/**
 * Whole messages, header included, to records and back: RFC 4271 §4.
 *
 * `decodeControlMessage` is for what a `Framer` yields but UPDATE, whose way is by its octets (`update-view.ts`).
 */
import { type Bytes, Writer } from '../../core/index.ts';
import { type Decoded, decoded, NotificationOwed } from './fault.ts';
import { messageType } from './frame.ts';
import { ERROR, HEADER_ERROR, HEADER_LENGTH, MESSAGE, messageName } from './iana.ts';
import { decodeNotification, encodeNotification } from './notification.ts';
import { decodeOpen, encodeOpen } from './open.ts';
import { decodeRouteRefresh, encodeRouteRefresh } from './refresh.ts';
import type { KeepaliveMessage, Message, UpdateMessage } from './types.ts';

/** What sessions say to each other; routes are in the other one. */
export type ControlMessage = Exclude<Message, UpdateMessage>;

export const KEEPALIVE: KeepaliveMessage = { kind: 'keepalive' };

/** A message that a `Framer` has found sound, from its marker to its end; not an UPDATE. */
export function decodeControlMessage(message: Bytes): Decoded<ControlMessage> {
  const type = messageType(message, 0);
  switch (type) {
    case MESSAGE.OPEN:
      return decoded(ERROR.OPEN, 0, () => decodeOpen(message));
    case MESSAGE.NOTIFICATION:
      return decoded(ERROR.HEADER, HEADER_ERROR.BAD_LENGTH, () => decodeNotification(message));
    case MESSAGE.KEEPALIVE:
      return { ok: true, value: KEEPALIVE };
    case MESSAGE.ROUTE_REFRESH:
      return decoded(ERROR.HEADER, HEADER_ERROR.BAD_LENGTH, () => decodeRouteRefresh(message));
    default:
      return decoded(ERROR.HEADER, HEADER_ERROR.BAD_TYPE, () => refuseType(type));
  }
}

export function encodeControlMessage(message: ControlMessage): Bytes {
  switch (message.kind) {
    case 'open':
      return withHeader(MESSAGE.OPEN, (w) => encodeOpen(w, message));
    case 'notification':
      return withHeader(MESSAGE.NOTIFICATION, (w) => encodeNotification(w, message));
    case 'keepalive':
      return withHeader(MESSAGE.KEEPALIVE, () => {});
    case 'routeRefresh':
      return withHeader(MESSAGE.ROUTE_REFRESH, (w) => encodeRouteRefresh(w, message));
  }
}

/*  Marker (16) | Length (2) | Type (1): RFC 4271 §4.1.  */
export function withHeader(type: number, body: (w: Writer) => void): Bytes {
  const w = new Writer();
  w.bytes(MARKER);
  w.u16(0);
  w.u8(type);
  body(w);
  w.patch16(MARKER.length, w.length);
  return w.finish();
}

function refuseType(type: number): never {
  const data = Uint8Array.of(type);
  throw new NotificationOwed('type', HEADER_LENGTH - 1, messageName(type), ERROR.HEADER, HEADER_ERROR.BAD_TYPE, data);
}

const MARKER: Bytes = new Uint8Array(16).fill(0xff);
