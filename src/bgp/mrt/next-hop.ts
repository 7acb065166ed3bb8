/** The next hop of an UPDATE replaced, and nothing else: NEXT_HOP (RFC 4271 §5.1.3) and that of MP_REACH_NLRI (RFC 4760 §3). */
import { type Bytes, concat } from '../../core/index.ts';
import type { Address } from '../../ip/index.ts';
import { withHeader } from '../message/frame.ts';
import { ATTRIBUTE, HEADER_LENGTH, MESSAGE } from '../message/iana.ts';
import {
  attributeLength,
  attributeType,
  attributeValueAt,
  mpFamily,
  mpNextHopLength,
  mpReachNlriAt,
  nextAttribute,
  type UpdateView,
} from '../message/update-view.ts';
import { reachOf } from './route-attributes.ts';

/** `view` is that of `message`, sound and with a MP_REACH_NLRI that fits. A next hop with a link-local address behind it is replaced whole. */
export function withNextHop(view: UpdateView, message: Bytes, nextHops: readonly Address[]): Bytes {
  const parts: Bytes[] = [];
  let changed = false;
  for (let a = view.attributesAt; a < view.attributesEnd; a = nextAttribute(message, a)) {
    const own = replacement(message, a, nextHops);
    changed ||= own !== undefined;
    parts.push(own ?? message.subarray(a, nextAttribute(message, a)));
  }
  if (!changed) return message;
  return withHeader(MESSAGE.UPDATE, (w) => {
    w.bytes(message.subarray(HEADER_LENGTH, view.withdrawnEnd));
    const attributes = concat(...parts);
    w.u16(attributes.length);
    w.bytes(attributes);
    w.bytes(message.subarray(view.nlriAt, view.nlriEnd));
  });
}

/** The whole attribute at `a` with a next hop of ours. */
function replacement(message: Bytes, a: number, nextHops: readonly Address[]): Bytes | undefined {
  const type = attributeType(message, a);
  if (type !== ATTRIBUTE.NEXT_HOP && type !== ATTRIBUTE.MP_REACH_NLRI) return undefined;
  const length = type === ATTRIBUTE.NEXT_HOP ? attributeLength(message, a) : mpNextHopLength(message, a);
  const own = nextHops.find((address) => (address.length === 4 ? length === 4 : length === 16 || length === 32));
  if (own === undefined) return undefined;
  if (type === ATTRIBUTE.NEXT_HOP) return concat(message.subarray(a, attributeValueAt(message, a)), own);
  const nlri = message.subarray(mpReachNlriAt(message, a), nextAttribute(message, a));
  return reachOf(mpFamily(message, a), own, nlri);
}
