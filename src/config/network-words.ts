/** The words of virtual networks and NAT, in the form of `words.ts`: each function gives the value or a `Problem`. */
import { type Address, familyOf, formatAddress, formatPrefix, type Prefix, parseAddress } from '../ip/index.ts';
import type { InterfaceDocument, LookupConfig } from './contract.ts';
import { formatMac, isUnicastMac, type Mac, parseMac } from './mac.ts';
import { type AddressRange, parseRange } from './range.ts';
import { choice, Problem, readPrefix, readText, readUnicast, show, wholeNumber } from './words.ts';

/** RFC 7637 §3.4: 0 to 0xFFF and 0xFFFFFF are reserved. */
export const readVsid = wholeNumber(0x001000, 0xfffffe);

export function readMac(input: unknown): Mac | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const mac = parseMac(text);
  if (mac === undefined) return new Problem(`${show(text)} is not a MAC address like 00:15:5d:00:00:10`);
  return isUnicastMac(mac) ? mac : new Problem(`${formatMac(mac)} is not the MAC of one interface`);
}

/** A prefix that hosts have addresses in. */
export function readSubnetPrefix(input: unknown): Prefix | Problem {
  const prefix = readPrefix(input);
  if (prefix instanceof Problem) return prefix;
  const room = prefix.address.length * 8 - prefix.length;
  if (prefix.length === 0) return new Problem(`${formatPrefix(prefix)} is everything: write one subnet`);
  if (room < 2) {
    return new Problem(
      `${formatPrefix(prefix)} has no room for the gateway and a VM: at most /${prefix.length + room - 2}`,
    );
  }
  return prefix.address[0]! >= (prefix.address.length === 4 ? 0xe0 : 0xff)
    ? new Problem(`${formatPrefix(prefix)} has no addresses of hosts`)
    : prefix;
}

export function readLookupType(input: unknown): LookupConfig['type'] | Problem {
  if (input === 'dynamic') return new Problem('dynamic records are learned, not written');
  return choice(['static', 'l2only', 'gateway-wildcard'])(input);
}

export function readInterfaceDriver(input: unknown): InterfaceDocument['driver'] | Problem {
  if (input === 'nvgre') return new Problem('nvgre is no driver: write subnets');
  return choice(['tun', 'tap', 'packet', 'fabric'])(input);
}

/** `203.0.113.50-203.0.113.99`, `203.0.113.64/28`, `203.0.113.7`. */
export function readRange(input: unknown): AddressRange | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const range = parseRange(text);
  if (range === 'family') return new Problem(`${text} is IPv6: NAT is for IPv4`);
  if (range === 'order') return new Problem(`${text} ends before it begins`);
  if (range === undefined) {
    return new Problem(`${show(text)} is not a range like 203.0.113.50-203.0.113.99, a prefix or an address`);
  }
  for (const end of [range.first, range.last]) {
    const unicast = readUnicast(formatAddress(end));
    if (unicast instanceof Problem) return unicast;
  }
  return range;
}

/** An external address for one tenant. */
export function readNatAddress(input: unknown): Address | 'auto' | Problem {
  return input === 'auto' ? 'auto' : ofIpv4(readUnicast(input), (address) => address, formatAddress);
}

export function readNatPrefix(input: unknown): Prefix | Problem {
  return ofIpv4(readPrefix(input), ({ address }) => address, formatPrefix);
}

/** `10.1.0.10:8443`; without a port it is that outside. */
export function readNatTarget(
  input: unknown,
): { readonly address: Address; readonly port: number | undefined } | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const [, host, digits] = /^([^:]*)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = parseAddress(host ?? text);
  if (address === undefined) return new Problem(`${show(text)} is not an address and a port like 10.1.0.10:8443`);
  const unicast = ofIpv4(readUnicast(formatAddress(address)), (value) => value, formatAddress);
  if (unicast instanceof Problem) return unicast;
  const port = digits === undefined ? undefined : Number(digits);
  return port === 0 || (port ?? 1) > 0xffff ? new Problem(`${digits} is not a port`) : { address, port };
}

function ofIpv4<T>(value: T | Problem, addressOf: (value: T) => Address, format: (value: T) => string): T | Problem {
  if (value instanceof Problem || familyOf(addressOf(value)) === 4) return value;
  return new Problem(`${format(value)} is IPv6: NAT is for IPv4`);
}
