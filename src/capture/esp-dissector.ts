/**
 * ESP packets of a capture: opened with the keys of their SPI, and what they carry.
 *
 * Read first: RFC 4303 §2 (format), §2.2.1 and Appendix A2 (extended sequence numbers), §2.7 (TFC padding).
 * Extended sequence numbers are tried where the table does not say: the ICV decides. Their upper half follows the packets of
 * the capture, which has to begin in the first 2^32 of the SA or in the subspace the table names.
 */
import type { Bytes } from '../core/index.ts';
import { WireError } from '../core/index.ts';
import { NO_ESN } from '../crypto/index.ts';
import {
  checkLength,
  decapsulate,
  ESP_HEADER_LENGTH,
  highHalf,
  NEXT_HEADER,
  recoverSequence,
  sequenceOf,
  spiOf,
  stripTrailer,
} from '../esp/index.ts';
import type { Address } from '../ip/index.ts';
import { DROP_NAMES, DROP_TEXT, type DropReason, PASS, type Packet, wrapPacket } from '../ip/index.ts';
import { innerPacket } from './inner-packet.ts';
import type { EspOpener, KeyRing } from './keys.ts';
import type { EspContent } from './record.ts';

export function dissectEsp(
  octets: Bytes,
  keys: KeyRing,
  source: Address | undefined,
  destination: Address | undefined,
): EspContent {
  if (octets.length < ESP_HEADER_LENGTH) {
    return { ...closed(octets, 0, 0), error: new WireError('esp.header', 0, `needs 8 octets, ${octets.length} left`) };
  }
  const content = closed(octets, spiOf(octets, 0), sequenceOf(octets, 0));
  const openers = keys.esp(content.spi, source, destination);
  let error: WireError | undefined;
  for (const opener of openers) {
    const algorithms = { encryption: opener.encryption.name, authentication: opener.integrity?.name };
    const lengths = checkLength(wrapPacket(octets), opener.protection);
    if (lengths !== PASS) {
      error ??= new WireError('esp.length', 0, problem(lengths));
      continue;
    }
    for (const high of upperHalves(opener, content.sequence)) {
      const packet = wrapPacket(octets.slice());
      if (decapsulate(packet, opener.protection, high) !== PASS) continue;
      opener.top = Math.max(opener.top, (high === NO_ESN ? 0 : high * SUBSPACE) + content.sequence);
      const sequenceHigh = high === NO_ESN ? undefined : high;
      return { ...content, integrity: 'ok', ...algorithms, sequenceHigh, ...opened(packet) };
    }
  }
  return { ...content, integrity: openers.length > 0 ? 'failed' : 'unknown', error };
}

function closed(octets: Bytes, spi: number, sequence: number): EspContent {
  return {
    is: 'esp',
    spi,
    sequence,
    sequenceHigh: undefined,
    length: octets.length,
    integrity: 'unknown',
    encryption: undefined,
    authentication: undefined,
    padLength: undefined,
    nextHeader: undefined,
    inner: undefined,
    error: undefined,
  };
}

function opened(packet: Packet): Pick<EspContent, 'padLength' | 'nextHeader' | 'inner' | 'error'> {
  const padLength = packet.buf[packet.end - 2]!;
  const nextHeader = packet.buf[packet.end - 1]!;
  const trailer = packet.end - 2;
  const verdict = stripTrailer(packet);
  if (verdict !== PASS) {
    return { padLength, nextHeader, inner: undefined, error: new WireError('esp.padding', trailer, problem(verdict)) };
  }
  const payload = packet.buf.slice(packet.start, packet.end);
  const inner = nextHeader === NEXT_HEADER.none ? undefined : innerPacket(payload, nextHeader);
  return { padLength, nextHeader, inner, error: undefined };
}

/** What to try as the upper half, the likeliest first (RFC 4303 Appendix A2.2 and what lies beside it). */
function upperHalves(opener: EspOpener, low: number): number[] {
  if (opener.esn === false) return [NO_ESN];
  const near = highHalf(Math.max(0, recoverSequence(opener.top, HALF_SUBSPACE, low)));
  const extended = [...new Set([near, highHalf(opener.top)])];
  return opener.esn === true ? extended : [NO_ESN, ...extended];
}

const problem = (verdict: number): string => DROP_TEXT[DROP_NAMES[verdict] as DropReason];

const SUBSPACE = 0x1_0000_0000;
const HALF_SUBSPACE = 0x8000_0000;
