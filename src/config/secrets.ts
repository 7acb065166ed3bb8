/**
 * From the reference of a secret to its octets. Reading is an argument, so that nothing here does I/O.
 *
 * The rules, the same for every place a secret may come from:
 *   one trailing newline (LF or CR LF) is removed from files and credentials, because editors add it; anything else stays;
 *   `0x` or `hex:` in front means hexadecimal, `0s` or `base64:` means base64 (as in strongSwan's secrets section);
 *   everything else is the secret, octet for octet.
 */
import { type Bytes, fromHex, Secret } from '../core/index.ts';
import { DEFAULT_COMPARTMENT, type Document, type SecretReference, type TenantConfig } from './contract.ts';
import type { BgpConfig } from './contract-bgp.ts';

export interface SecretSource {
  /** Octets of a file, its name as it stands in the document; or a sentence. */
  readFile(name: string): Bytes | string;
  env(name: string): string | undefined;
  /** Octets of a credential (systemd's `LoadCredential=`); or a sentence. */
  credential(name: string): Bytes | string;
}

/** The secret, or a sentence why not. */
export function resolveSecret(reference: SecretReference, source: SecretSource): Secret | string {
  switch (reference.from) {
    case 'inline':
      return reference.value;
    case 'env': {
      const text = source.env(reference.value);
      if (text === undefined) return `the variable ${reference.value} is not set`;
      return prefixed(decodeSecret(new TextEncoder().encode(text)), `the variable ${reference.value}`);
    }
    case 'file':
      return fromOctets(source.readFile(reference.value), reference.value);
    case 'credential':
      return fromOctets(source.credential(reference.value), `the credential ${reference.value}`);
  }
}

/** A secret that a document refers to. */
export interface SecretPlace {
  /** `tenant/connection`, or `tenant/bgp/peer`; `default/bgp/peer` of a peer on the external network. */
  readonly name: string;
  readonly reference: SecretReference;
  /** Of its entry in the document. */
  readonly path: readonly (string | number)[];
}

/** What the secret of a BGP peer is called; names of connections have one slash. */
export const peerSecretName = (tenant: string, peer: string): string => `${tenant}/bgp/${peer}`;

export function secretPlaces(document: Document): SecretPlace[] {
  if (document.role === 'host') return [];
  const { external } = document.gateway;
  return [
    ...peerPlaces(DEFAULT_COMPARTMENT, external.bgp, ['gateway', 'external']),
    ...document.tenants.flatMap(placesOf),
  ];
}

const placesOf = ({ name: tenant, connections, bgp }: TenantConfig, t: number): SecretPlace[] => [
  ...connections.map(({ name, psk }, c): SecretPlace => {
    return { name: `${tenant}/${name}`, reference: psk, path: ['tenants', t, 'connections', c, 'auth', 'psk'] };
  }),
  ...peerPlaces(tenant, bgp, ['tenants', t]),
];

const peerPlaces = (tenant: string, bgp: BgpConfig | undefined, path: SecretPlace['path']): SecretPlace[] =>
  (bgp?.peers ?? []).flatMap(({ name, md5 }, p): SecretPlace[] =>
    md5 === undefined
      ? []
      : [{ name: peerSecretName(tenant, name), reference: md5, path: [...path, 'bgp', 'peers', p, 'md5'] }],
  );

/** Where a secret comes from, for people: `file hq.psk`, `inline`. */
export const formatReference = (reference: SecretReference): string =>
  reference.from === 'inline' ? 'inline' : `${reference.from} ${reference.value}`;

/** A warning about a secret that can be guessed, or undefined. */
export function weakness(secret: Secret): string | undefined {
  if (secret.length >= WEAK_BELOW) return undefined;
  return `a secret of ${secret.length} octets can be guessed from one recorded exchange: use ${WEAK_BELOW} or more`;
}

const WEAK_BELOW = 16;

const prefixed = (result: Secret | string, where: string): Secret | string =>
  typeof result === 'string' ? `${where}: ${result}` : result;

const fromOctets = (octets: Bytes | string, where: string): Secret | string =>
  typeof octets === 'string' ? octets : prefixed(decodeSecret(withoutNewline(octets)), where);

function withoutNewline(octets: Bytes): Bytes {
  if (octets.at(-1) !== 0x0a) return octets;
  return octets.subarray(0, octets.at(-2) === 0x0d ? -2 : -1);
}

/** Text of a secret to its octets, by the prefixes above; or a sentence. */
export function decodeSecret(octets: Bytes): Secret | string {
  const text = String.fromCharCode(...octets.subarray(0, 7));
  const hex = text.startsWith('0x') ? 2 : text.startsWith('hex:') ? 4 : 0;
  const base64 = text.startsWith('0s') ? 2 : text.startsWith('base64:') ? 7 : 0;
  const decoded =
    hex > 0 ? fromHexText(octets.subarray(hex)) : base64 > 0 ? fromBase64(octets.subarray(base64)) : octets;
  if (decoded === undefined) return `begins like ${hex > 0 ? 'hexadecimal' : 'base64'} but is not`;
  return decoded.length === 0 ? 'is empty' : new Secret(decoded);
}

function fromHexText(octets: Bytes): Bytes | undefined {
  const text = asText(octets);
  return text.length % 2 === 0 && /^[0-9a-f]*$/i.test(text) ? fromHex(text) : undefined;
}

/** RFC 4648 §4, padding optional. */
function fromBase64(octets: Bytes): Bytes | undefined {
  const text = asText(octets).replace(/={1,2}$/, '');
  const out = new Uint8Array(Math.floor((text.length * 6) / 8));
  let [bits, held, at] = [0, 0, 0];
  for (const letter of text) {
    const value = BASE64.indexOf(letter);
    if (value < 0) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = held >>> bits;
    }
  }
  return bits === 6 || (held & ((1 << bits) - 1)) !== 0 ? undefined : out;
}

const asText = (octets: Bytes): string => Array.from(octets, (octet) => String.fromCharCode(octet)).join('');
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
