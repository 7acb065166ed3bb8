/**
 * Whole messages, header included, to records and back: RFC 4271 §4.
 *
 * `decodeControlMessage` is for what a `Framer` yields but UPDATE, whose way is by its octets (`update-view.ts`).
 */
import type { Bytes } from '../../core/index.ts';
import { type Decoded, decoded, NotificationOwed } from './fault.ts';
import { messageType, withHeader } from './frame.ts';
import { ERROR, HEADER_ERROR, HEADER_LENGTH, MESSAGE, messageName } from './iana.ts';
import { decodeNotification, encodeNotification } from './notification.ts';
import { decodeOpen, encodeOpen } from './open.ts';
import { decodeRouteRefresh, encodeRouteRefresh } from './refresh.ts';
import type { CodecContext, KeepaliveMessage, Message, UpdateMessage } from './types.ts';
import { decodeUpdate, encodeUpdate } from './update.ts';

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

/** Any message a `Framer` has found sound. Of an UPDATE only what resets the session is refused; `decodeUpdate` says all (RFC 7606). */
export function decodeMessage(message: Bytes, context: CodecContext): Decoded<Message> {
  if (messageType(message, 0) !== MESSAGE.UPDATE) return decodeControlMessage(message);
  const out = decodeUpdate(message, context);
  return out.treatment === 'reset' ? { ok: false, refusal: out.refusal } : { ok: true, value: out.update };
}

export const encodeMessage = (message: Message, context: CodecContext): Bytes =>
  message.kind === 'update' ? encodeUpdate(message, context) : encodeControlMessage(message);

function refuseType(type: number): never {
  const data = Uint8Array.of(type);
  throw new NotificationOwed('type', HEADER_LENGTH - 1, messageName(type), ERROR.HEADER, HEADER_ERROR.BAD_TYPE, data);
}
