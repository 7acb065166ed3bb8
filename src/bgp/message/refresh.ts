/**
 * ROUTE-REFRESH as a record: RFC 2918 §3, RFC 7313 §4, §5.
 *
 * Deliberate limits: no outbound route filters; their entries (RFC 5291) behind a request nobody negotiated are a wrong length.
 */
import { type Bytes, Reader, type Writer } from '../../core/index.ts';
import { NotificationOwed } from './fault.ts';
import { ERROR, HEADER_ERROR, HEADER_LENGTH, REFRESH, REFRESH_ERROR } from './iana.ts';
import type { RouteRefreshMessage } from './types.ts';

/*  AFI (2) | Message Subtype (1) | SAFI (1)  */
export function decodeRouteRefresh(message: Bytes): RouteRefreshMessage {
  if (message.length !== HEADER_LENGTH + BODY_LENGTH) refuseLength(message);
  const r = new Reader(message, HEADER_LENGTH);
  const afi = r.u16('refresh.afi');
  const subtype = r.u8('refresh.subtype');
  return { kind: 'routeRefresh', family: (afi << 8) | r.u8('refresh.safi'), subtype };
}

/** Without its header. */
export function encodeRouteRefresh(w: Writer, m: RouteRefreshMessage): void {
  w.u16(m.family >>> 8);
  w.u8(m.subtype);
  w.u8(m.family & 0xff);
}

/** RFC 7313 §5 for the beginning and the end of an answer; everything else is the length of RFC 4271 §6.1. */
function refuseLength(message: Bytes): never {
  const subtype = message[HEADER_LENGTH + 2];
  const problem = `${message.length - HEADER_LENGTH} octets where there are ${BODY_LENGTH}`;
  if (subtype === REFRESH.BEGIN || subtype === REFRESH.END) {
    const data = message.slice();
    throw new NotificationOwed('refresh', HEADER_LENGTH, problem, ERROR.REFRESH, REFRESH_ERROR.INVALID_LENGTH, data);
  }
  throw new NotificationOwed('refresh', 16, problem, ERROR.HEADER, HEADER_ERROR.BAD_LENGTH, message.slice(16, 18));
}

const BODY_LENGTH = 4;
