/**
 * What the data of a notification says, where its format is known.
 *
 * Read first: RFC 7296 §3.10.1, §2.6 (COOKIE), §2.23 (NAT detection), §1.3 (INVALID_KE_PAYLOAD); RFC 7427 §4, 4555 §4, 4478 §3,
 * 5685 §8, 6311 §5, 8784 §5. Data too short for its format is shown as octets alone.
 */
import type { Bytes } from '../core/index.ts';
import { toHex, u16, u32 } from '../core/index.ts';
import {
  hashName,
  isErrorNotify,
  NOTIFY,
  type NotifyPayload,
  natDetected,
  notifyName,
  payloadName,
  protocolName,
} from '../ike/index.ts';
import { type Endpoint, formatAddress } from '../ip/index.ts';
import { type Fields, groupWord } from './fields.ts';

/** What stands around the notification: its message and the packet that carried it. */
export interface NotifyContext {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly source: Endpoint | undefined;
  readonly destination: Endpoint | undefined;
}

export function notifyFields(payload: NotifyPayload, context: NotifyContext): Fields {
  const { notify, protocol, spi, data } = payload;
  return {
    notify,
    name: notifyName(notify),
    kind: isErrorNotify(notify) ? 'error' : 'status',
    ...(protocol === 0 ? {} : { protocol: protocolName(protocol) }),
    ...(spi.length === 0 ? {} : { spi: toHex(spi) }),
    ...decoded(notify, data, context),
    ...(data.length === 0 ? {} : { length: data.length, data: toHex(data) }),
  };
}

function decoded(notify: number, data: Bytes, context: NotifyContext): Fields {
  switch (notify) {
    case NOTIFY.NAT_DETECTION_SOURCE_IP:
      return natFields(data, context, context.source);
    case NOTIFY.NAT_DETECTION_DESTINATION_IP:
      return natFields(data, context, context.destination);
    case NOTIFY.INVALID_KE_PAYLOAD:
      return data.length === 2 ? { group: u16(data, 0), groupName: groupWord(u16(data, 0)) } : {};
    case NOTIFY.UNSUPPORTED_CRITICAL_PAYLOAD:
      return data.length === 1 ? { unsupported: payloadName(data[0]!) } : {};
    case NOTIFY.SIGNATURE_HASH_ALGORITHMS:
      return data.length % 2 === 0 ? { hashes: pairs(data).map(hashName) } : {};
    case NOTIFY.INVALID_MESSAGE_ID:
      return data.length === 4 ? { messageId: u32(data, 0) } : {};
    case NOTIFY.SET_WINDOW_SIZE:
      return data.length === 4 ? { windowSize: u32(data, 0) } : {};
    case NOTIFY.AUTH_LIFETIME:
      return data.length === 4 ? { seconds: u32(data, 0) } : {};
    case NOTIFY.IPCOMP_SUPPORTED:
      return data.length >= 3 ? { cpi: u16(data, 0), transform: data[2]! } : {};
    case NOTIFY.ADDITIONAL_IP4_ADDRESS:
      return data.length === 4 ? { address: formatAddress(data) } : {};
    case NOTIFY.ADDITIONAL_IP6_ADDRESS:
      return data.length === 16 ? { address: formatAddress(data) } : {};
    default:
      return {};
  }
}

/** §2.23: whether the hash is that of the address and port the packet carries; a mismatch is a NAT, or a wish for encapsulation. */
function natFields(data: Bytes, context: NotifyContext, endpoint: Endpoint | undefined): Fields {
  if (endpoint === undefined || data.length !== 20) return {};
  return { matches: !natDetected([data], context.spiI, context.spiR, endpoint) };
}

const pairs = (data: Bytes): number[] => Array.from({ length: data.length / 2 }, (_, i) => u16(data, 2 * i));
