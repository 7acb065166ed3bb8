/**
 * Records as plain objects, one a frame: what `bulkhead decode --json` prints.
 *
 * Absent is what the frame does not have. Octets are hexadecimal, times are text with nine digits behind the point.
 * Invariant: no key is in it, because none is in a record.
 */
import type { WireError } from '../core/index.ts';
import { toHex } from '../core/index.ts';
import { exchangeName, type IkeHeader, type Payload } from '../ike/index.ts';
import { type Address, formatAddress, protocolName } from '../ip/index.ts';
import type { Field, Fields } from './fields.ts';
import { formatTime } from './frame.ts';
import type { NotifyContext } from './notify-fields.ts';
import { payloadFields } from './payload-fields.ts';
import type { Content, EspContent, FrameRecord, IkeContent, InnerPacket } from './record.ts';

export function recordFields(record: FrameRecord): Fields {
  return present({
    frame: record.frame,
    time: record.time === undefined ? undefined : formatTime(record.time),
    elapsed: record.elapsed === undefined ? undefined : Number(record.elapsed.toFixed(9)),
    length: record.length,
    interface: record.interfaceName,
    direction: record.direction,
    comments: some(record.comments),
    vlans: some(record.vlans),
    source: address(record.source),
    sourcePort: record.sourcePort,
    destination: address(record.destination),
    destinationPort: record.destinationPort,
    ipFragments: record.fragments,
    protocol: record.content.is,
    ...contentFields(record.content, record),
  });
}

/** The payloads of a message with what its header and its packet say about them. */
export function payloadsFields(
  payloads: readonly Payload[],
  header: IkeHeader,
  record: FrameRecord,
): readonly Fields[] {
  const endpoint = (a: Address | undefined, port: number | undefined) =>
    a === undefined || port === undefined ? undefined : { address: a, port };
  const context: NotifyContext = {
    spiI: header.spiI,
    spiR: header.spiR,
    source: endpoint(record.source, record.sourcePort),
    destination: endpoint(record.destination, record.destinationPort),
  };
  return payloads.map((payload) => payloadFields(payload, context));
}

type Optional = { readonly [key: string]: Field | undefined };

function contentFields(content: Content, record: FrameRecord): Optional {
  switch (content.is) {
    case 'ike':
      return ikeFields(content, record);
    case 'esp':
      return espFields(content);
    case 'fragment':
      return { offset: content.offset, fragmentLength: content.length, moreFragments: content.more };
    case 'other':
      return { what: content.what };
    case 'malformed':
      return { error: errorFields(content.error) };
    default:
      return {};
  }
}

function ikeFields(content: IkeContent, record: FrameRecord): Optional {
  const { header, sealed } = content;
  const retransmissionOf = content.retransmissionOf;
  const error = errorFields(content.error);
  if (header === undefined) return { retransmissionOf, error };
  return {
    spiI: toHex(header.spiI),
    spiR: toHex(header.spiR),
    version: `${header.major}.${header.minor}`,
    exchange: exchangeName(header.exchange),
    exchangeType: header.exchange,
    flags: { ...header.flags },
    messageId: header.messageId,
    messageLength: header.length,
    retransmissionOf,
    payloads: payloadsFields(content.payloads, header, record),
    integrity: sealed?.integrity,
    encryption: sealed?.encryption,
    authentication: sealed?.authentication,
    fragment: sealed?.fragment === undefined ? undefined : present({ ...sealed.fragment }),
    inner: sealed?.payloads === undefined ? undefined : payloadsFields(sealed.payloads, header, record),
    error,
  };
}

function espFields(content: EspContent): Optional {
  return {
    spi: spiText(content.spi),
    sequence: content.sequence,
    sequenceHigh: content.sequenceHigh,
    packetLength: content.length,
    integrity: content.integrity,
    encryption: content.encryption,
    authentication: content.authentication,
    padLength: content.padLength,
    nextHeader: content.nextHeader,
    nextHeaderName: content.nextHeader === undefined ? undefined : protocolName(content.nextHeader),
    inner: content.inner === undefined ? undefined : innerFields(content.inner),
    error: errorFields(content.error),
  };
}

const innerFields = (inner: InnerPacket): Fields =>
  present({
    text: inner.text,
    version: inner.version,
    source: address(inner.source),
    sourcePort: inner.sourcePort,
    destination: address(inner.destination),
    destinationPort: inner.destinationPort,
    protocol: inner.protocol,
    protocolName: inner.protocol === undefined ? undefined : protocolName(inner.protocol),
    tfcPadding: inner.tfcPadding === 0 ? undefined : inner.tfcPadding,
    length: inner.octets.length,
    octets: toHex(inner.octets),
  });

/** As everywhere in logs and tables: `0x51d9057b`. */
export const spiText = (spi: number): string => `0x${spi.toString(16).padStart(8, '0')}`;

const errorFields = (error: WireError | undefined): Fields | undefined =>
  error === undefined ? undefined : { field: error.field, at: error.at, problem: error.problem };

const address = (a: Address | undefined): string | undefined => (a === undefined ? undefined : formatAddress(a));
const some = <T extends Field>(all: readonly T[]): readonly T[] | undefined => (all.length === 0 ? undefined : all);

function present(fields: Optional): Fields {
  return Object.fromEntries(Object.entries(fields).filter((entry): entry is [string, Field] => entry[1] !== undefined));
}
