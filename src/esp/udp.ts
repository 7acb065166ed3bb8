/**
 * What a datagram on the NAT-T port is: IKE behind the non-ESP marker, ESP, or a keepalive.
 *
 * Read first: RFC 3948 §2. Framing of ESP needs no code: the UDP payload is the ESP packet, whose SPI is never zero.
 */

export const NAT_T_PORT = 4500;
/** RFC 3948 §2.2: four zero octets where ESP has its SPI. */
export const NON_ESP_MARKER_LENGTH = 4;
/** RFC 3948 §2.3: the only octet of a NAT keepalive. */
export const KEEPALIVE_OCTET = 0xff;

export const DATAGRAM = { esp: 0, ike: 1, keepalive: 2, short: 3 } as const;

/** One of DATAGRAM for the UDP payload buf[start, end). The marker of an IKE message is still in front. */
export function classify(buf: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length < NON_ESP_MARKER_LENGTH)
    return length === 1 && buf[start] === KEEPALIVE_OCTET ? DATAGRAM.keepalive : DATAGRAM.short;
  return (buf[start]! | buf[start + 1]! | buf[start + 2]! | buf[start + 3]!) === 0 ? DATAGRAM.ike : DATAGRAM.esp;
}
