/** MAC addresses (IEEE Std 802, EUI-48) of the document, and those nobody wrote. */
import type { Bytes } from '../core/index.ts';
import { sha256 } from '../crypto/index.ts';

export { formatMac, parseMac } from '../ip/index.ts';

/** Six octets. */
export type Mac = Bytes;

/** One interface, not a group: the lowest bit of the first octet is the group's. */
export const isUnicastMac = (mac: Mac): boolean => (mac[0]! & 0x01) === 0 && mac.some((octet) => octet !== 0);

/**
 * The MAC of an interface for which the document says `auto`: the first six octets of the text's SHA-256, made unicast and
 * locally administered. The same text gives the same MAC in every process and release, because neighbours remember it.
 */
export function automaticMac(seedText: string): Mac {
  const mac = sha256(new TextEncoder().encode(seedText)).slice(0, 6);
  mac[0] = (mac[0]! & ~GROUP) | LOCAL;
  return mac;
}

const GROUP = 0x01;
const LOCAL = 0x02;
