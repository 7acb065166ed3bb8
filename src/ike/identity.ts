/**
 * Identities: the ID payload's contents, their text and their comparison.
 *
 * Read first: RFC 7296 §3.5 (types), §2.15 (the body is what AUTH covers). The text is strongSwan's, whose documents say it.
 * Deliberate limits: distinguished names are compared as octets and have no text of their own here.
 * Invariant: `parseIdentity(formatIdentity(x)) = x` for every identity of a type that RFC 7296 §3.5 lists.
 */
import { type Bytes, concat, fromHex, sameBytes, toHex } from '../core/index.ts';
import { type Address, formatAddress, parseAddress } from '../ip/index.ts';
import { ID, idTypeName } from './iana.ts';

export interface Identity {
  /** ID type: 1 ID_IPV4_ADDR, 2 ID_FQDN, 3 ID_RFC822_ADDR, 5 ID_IPV6_ADDR, 9 ID_DER_ASN1_DN, 11 ID_KEY_ID. */
  readonly type: number;
  readonly data: Bytes;
}

export type ParsedIdentity =
  | { readonly ok: true; readonly identity: Identity }
  /** One sentence for the operator. */
  | { readonly ok: false; readonly problem: string };

/**
 * An address, `gw1.example` or `@gw1.example`, `user@host`, `@#0a0b` (key id), or with a type in front:
 * `fqdn:`, `email:`, `keyid:`, `ipv4:`, `ipv6:`, `asn1dn:` and a text or `#` and octets.
 */
export function parseIdentity(text: string): ParsedIdentity {
  if (text === '' || text.startsWith('%')) return wrong(`"${text}" is no identity`);
  const colon = text.indexOf(':');
  const prefix = PREFIX.get(text.slice(0, colon).toLowerCase());
  if (colon > 0 && prefix !== undefined) return typed(prefix, text.slice(colon + 1));
  if (text.includes('=')) return wrong(`"${text}" is a distinguished name: write it as asn1dn:# and its DER octets`);
  const address = parseAddress(text);
  if (address !== undefined) return right(identityOfAddress(address));
  if (text.startsWith('@#')) return typed(ID.KEY_ID, text.slice(1));
  if (text.startsWith('@@')) return typed(ID.RFC822_ADDR, text.slice(2));
  if (text.startsWith('@')) return typed(ID.FQDN, text.slice(1));
  if (text.includes('@')) return typed(ID.RFC822_ADDR, text);
  return text.includes(':') ? typed(ID.KEY_ID, text) : typed(ID.FQDN, text);
}

/** The shortest text that `parseIdentity` reads as this identity. */
export function formatIdentity(identity: Identity): string {
  const { type, data } = identity;
  if (type === ID.IPV4_ADDR && data.length === 4) return formatAddress(data);
  if (type === ID.IPV6_ADDR && data.length === 16) return formatAddress(data);
  const text = printable(data);
  const prefix = NAME.get(type);
  const octets = `#${toHex(data)}`;
  if (prefix === undefined) return `${idTypeName(type)}:${octets}`;
  if (text === undefined || !TEXTUAL.has(type) || text === '' || text.startsWith('#')) return `${prefix}:${octets}`;
  const bare = parseIdentity(text);
  return bare.ok && bare.identity.type === type && sameBytes(bare.identity.data, data) ? text : `${prefix}:${text}`;
}

/** Names of hosts and users without regard to case, everything else octet by octet. */
export function sameIdentity(a: Identity, b: Identity): boolean {
  if (a.type !== b.type) return false;
  if (a.type !== ID.FQDN && a.type !== ID.RFC822_ADDR) return sameBytes(a.data, b.data);
  return sameBytes(lowerCase(a.data), lowerCase(b.data));
}

export const identityOfAddress = (address: Address): Identity => ({
  type: address.length === 4 ? ID.IPV4_ADDR : ID.IPV6_ADDR,
  data: address,
});

/** Body of an ID payload: type (1) | RESERVED (3) | data. AUTH covers it as received, so RESERVED may be given. */
export const identityBody = ({ type, data }: Identity, reserved = 0): Bytes =>
  concat(Uint8Array.of(type, reserved >>> 16, reserved >>> 8, reserved), data);

/** A text, or `#` and octets, as an identity of this type. */
function typed(type: number, text: string): ParsedIdentity {
  if (text.startsWith('#')) {
    const digits = text.slice(1);
    if (!/^([0-9a-fA-F]{2})*$/.test(digits)) return wrong(`"${text}" is not # and hexadecimal octets`);
    const data = fromHex(digits);
    const fixed = type === ID.IPV4_ADDR ? 4 : type === ID.IPV6_ADDR ? 16 : data.length;
    return data.length === fixed ? right({ type, data }) : wrong(`"${text}" has not ${fixed} octets`);
  }
  if (type === ID.IPV4_ADDR || type === ID.IPV6_ADDR) {
    const address = parseAddress(text);
    const fits = address?.length === (type === ID.IPV4_ADDR ? 4 : 16);
    return address !== undefined && fits
      ? right({ type, data: address })
      : wrong(`"${text}" is no address of this family`);
  }
  if (TEXTUAL.has(type)) {
    return text === '' ? wrong('an empty identity') : right({ type, data: new TextEncoder().encode(text) });
  }
  return wrong(`an identity of type ${idTypeName(type)} is written as # and its octets`);
}

/** The text of ASCII octets without spaces and control characters. */
function printable(data: Bytes): string | undefined {
  return data.every((octet) => octet > 0x20 && octet < 0x7f) ? String.fromCharCode(...data) : undefined;
}

const lowerCase = (data: Bytes): Bytes => data.map((octet) => (octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet));
const right = (identity: Identity): ParsedIdentity => ({ ok: true, identity });
const wrong = (problem: string): ParsedIdentity => ({ ok: false, problem });

/** Types that are written as the text they usually are. */
const TEXTUAL: ReadonlySet<number> = new Set([ID.FQDN, ID.RFC822_ADDR, ID.KEY_ID]);
const NAME: ReadonlyMap<number, string> = new Map([
  [ID.IPV4_ADDR, 'ipv4'],
  [ID.FQDN, 'fqdn'],
  [ID.RFC822_ADDR, 'email'],
  [ID.IPV6_ADDR, 'ipv6'],
  [ID.DER_ASN1_DN, 'asn1dn'],
  [ID.DER_ASN1_GN, 'asn1gn'],
  [ID.KEY_ID, 'keyid'],
]);
const PREFIX: ReadonlyMap<string, number> = new Map([
  ...[...NAME].map(([type, name]) => [name, type] as const),
  ['dns', ID.FQDN],
  ['rfc822', ID.RFC822_ADDR],
  ['userfqdn', ID.RFC822_ADDR],
]);
