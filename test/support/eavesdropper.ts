/** ESP packets of a capture, protocol 50 or in UDP over IPv4, as somebody on the way sees them. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { findPacket, readCapture } from '../../src/capture/index.ts';
import { toHex, u16, u32 } from '../../src/core/index.ts';
import { formatAddress, IP_PROTOCOL } from '../../src/ip/index.ts';

export interface EspSeen {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly source: string;
  readonly spi: number;
  /** The lower half. */
  readonly sequence: number;
  /** The eight octets behind the header. */
  readonly iv: string;
}

const NATT = 4500;

export function espSeen(file: string): readonly EspSeen[] {
  const seen: EspSeen[] = [];
  for (const { linkType, octets, time } of readCapture([readFileSync(file)])) {
    const found = findPacket(linkType, octets);
    if (found.is !== 'ip' || octets[found.at]! >> 4 !== 4 || time === undefined) continue;
    const ip = octets.subarray(found.at);
    const esp = espIn(ip, (ip[0]! & 0xf) << 2);
    if (esp === undefined) continue;
    seen.push({
      at: time.seconds * 1000 + time.nanoseconds / 1e6,
      source: formatAddress(ip.subarray(12, 16)),
      spi: u32(esp, 0),
      sequence: u32(esp, 4),
      iv: toHex(esp.subarray(8, 16)),
    });
  }
  return seen;
}

/** RFC 3948 §2: in UDP four zero octets say that it is not ESP, and one octet alone is a keepalive. */
function espIn(ip: Uint8Array, at: number): Uint8Array | undefined {
  if (ip[9] === IP_PROTOCOL.esp) return ip.subarray(at);
  if (ip[9] !== IP_PROTOCOL.udp || u16(ip, at + 2) !== NATT || ip.length < at + 24) return undefined;
  return u32(ip, at + 8) === 0 ? undefined : ip.subarray(at + 8);
}

/** RFC 4303 §3.3.3, RFC 4106 §3.1: no sender uses a number or an IV twice under one SPI. */
export function expectNothingTwice(packets: readonly EspSeen[]): void {
  const numbers = packets.map(({ source, spi, sequence }) => `${source} ${spi} ${sequence}`);
  const ivs = packets.map(({ source, spi, iv }) => `${source} ${spi} ${iv}`);
  const twice = (all: readonly string[]): readonly string[] => all.filter((each, i) => all.indexOf(each) !== i);
  if (new Set(numbers).size !== numbers.length) expect(twice(numbers)).toEqual([]);
  if (new Set(ivs).size !== ivs.length) expect(twice(ivs)).toEqual([]);
}
