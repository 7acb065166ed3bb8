/**
 * Wireshark's names of algorithms in `ikev2_decryption_table` and `esp_sa`, both ways.
 *
 * The names are those of Wireshark 4.0; `ChaCha20 with Poly1305 [RFC7634]` came to `esp_sa` later. Named here in the same
 * manner, because no Wireshark has them: in `esp_sa` AES-CCM, AES-XCBC-MAC-96 and AES-CMAC-96; in `ikev2_decryption_table`
 * ChaCha20-Poly1305, AES_XCBC_96 and AES_CMAC_96. Wireshark 4.0 reports such a line and loads the others.
 */
import type { Encryption, Integrity } from '../crypto/index.ts';
import { encryptionById, integrityById } from '../crypto/index.ts';

export const ikeEncryptionName = (e: Encryption): string => nameIn(IKE_ENCRYPTION, e.id, e.keyBits);
export const ikeIntegrityName = (i: Integrity | undefined): string =>
  i === undefined ? IKE_NO_INTEGRITY : nameIn(IKE_INTEGRITY, i.id, undefined);
export const espEncryptionName = (e: Encryption): string => nameIn(ESP_ENCRYPTION, e.id, undefined);
export const espIntegrityName = (i: Integrity | undefined): string =>
  i === undefined ? ESP_NO_INTEGRITY : nameIn(ESP_INTEGRITY, i.id, undefined);

/** The name under which Wireshark decrypts without checking, where it has no such integrity algorithm. */
export const ikeUncheckedName = (i: Integrity): string => `ANY ${i.icvLength * 8}-bits of Authentication [No Checking]`;
export const espUncheckedName = (i: Integrity): string => `ANY ${i.icvLength * 8} bit authentication [no checking]`;
/** Those Wireshark can check. */
export const checkedByWireshark = (i: Integrity): boolean => i.id !== AES_XCBC && i.id !== AES_CMAC;

export function ikeEncryptionNamed(name: string): Encryption | undefined {
  const row = IKE_ENCRYPTION.find((r) => same(r.name, name));
  return row === undefined ? undefined : encryptionById(row.id, row.keyBits);
}

/** `none` for the name that says there is none; undefined for names not known here. */
export const ikeIntegrityNamed = (name: string): Integrity | 'none' | undefined =>
  same(name, IKE_NO_INTEGRITY) ? 'none' : integrityIn(IKE_INTEGRITY, name);

/**
 * `keyOctets` includes the salt: `esp_sa` says the length of the key nowhere else. `authentication` gives the length of the
 * ICV to `AES-GCM [RFC4106]`, which leaves it open.
 */
export function espEncryptionNamed(name: string, keyOctets: number, authentication: string): Encryption | undefined {
  const bits = UNCHECKED.exec(authentication)?.[1];
  const row = ESP_ENCRYPTION.find((r) => same(r.name, name));
  const gcm = same(name, ESP_OPEN_GCM) ? { 64: 18, 96: 19, 128: 20 }[Number(bits ?? 128)] : undefined;
  const id = gcm ?? row?.id;
  if (id === undefined) return undefined;
  return [undefined, 128, 192, 256]
    .map((keyBits) => encryptionById(id, keyBits))
    .find((e) => e !== undefined && e.keyLength + e.saltLength === keyOctets);
}

export const isEspEncryptionName = (name: string): boolean =>
  same(name, ESP_OPEN_GCM) || ESP_ENCRYPTION.some((r) => same(r.name, name));

export const espIntegrityNamed = (name: string): Integrity | 'none' | undefined =>
  same(name, ESP_NO_INTEGRITY) ? 'none' : integrityIn(ESP_INTEGRITY, name);

export const isUncheckedName = (name: string): boolean => UNCHECKED.test(name);

interface Row {
  readonly id: number;
  readonly keyBits?: number;
  readonly name: string;
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.trim().toLowerCase();

function nameIn(rows: readonly Row[], id: number, keyBits: number | undefined): string {
  const row = rows.find((r) => r.id === id && r.keyBits === keyBits);
  return row?.name ?? `transform ${id}`;
}

function integrityIn(rows: readonly Row[], name: string): Integrity | undefined {
  const row = rows.find((r) => same(r.name, name));
  return row === undefined ? undefined : integrityById(row.id);
}

const AES_XCBC = 5;
const AES_CMAC = 8;
const UNCHECKED = /^ANY (\d+)[ -]bits?/i;
const IKE_NO_INTEGRITY = 'NONE [RFC4306]';
const ESP_NO_INTEGRITY = 'NULL';
const ESP_OPEN_GCM = 'AES-GCM [RFC4106]';
const ICV = [
  { gcm: 18, ccm: 14, octets: 8 },
  { gcm: 19, ccm: 15, octets: 12 },
  { gcm: 20, ccm: 16, octets: 16 },
] as const;

const IKE_ENCRYPTION: readonly Row[] = [
  { id: 3, name: '3DES [RFC2451]' },
  { id: 28, name: 'ChaCha20 with Poly1305 [RFC7634]' },
  ...[128, 192, 256].flatMap((keyBits): Row[] => [
    { id: 12, keyBits, name: `AES-CBC-${keyBits} [RFC3602]` },
    { id: 13, keyBits, name: `AES-CTR-${keyBits} [RFC5930]` },
    ...ICV.map(({ gcm, octets }) => ({
      id: gcm,
      keyBits,
      name: `AES-GCM-${keyBits} with ${octets} octet ICV [RFC5282]`,
    })),
    ...ICV.map(({ ccm, octets }) => ({
      id: ccm,
      keyBits,
      name: `AES-CCM-${keyBits} with ${octets} octet ICV [RFC5282]`,
    })),
  ]),
];

const IKE_INTEGRITY: readonly Row[] = [
  { id: 2, name: 'HMAC_SHA1_96 [RFC2404]' },
  { id: AES_XCBC, name: 'AES_XCBC_96 [RFC3566]' },
  { id: AES_CMAC, name: 'AES_CMAC_96 [RFC4494]' },
  { id: 12, name: 'HMAC_SHA2_256_128 [RFC4868]' },
  { id: 13, name: 'HMAC_SHA2_384_192 [RFC4868]' },
  { id: 14, name: 'HMAC_SHA2_512_256 [RFC4868]' },
];

const ESP_ENCRYPTION: readonly Row[] = [
  { id: 3, name: 'TripleDES-CBC [RFC2451]' },
  { id: 11, name: 'NULL' },
  { id: 12, name: 'AES-CBC [RFC3602]' },
  { id: 13, name: 'AES-CTR [RFC3686]' },
  { id: 28, name: 'ChaCha20 with Poly1305 [RFC7634]' },
  ...ICV.map(({ gcm, octets }) => ({ id: gcm, name: `AES-GCM with ${octets} octet ICV [RFC4106]` })),
  ...ICV.map(({ ccm, octets }) => ({ id: ccm, name: `AES-CCM with ${octets} octet ICV [RFC4309]` })),
];

const ESP_INTEGRITY: readonly Row[] = [
  { id: 2, name: 'HMAC-SHA-1-96 [RFC2404]' },
  { id: AES_XCBC, name: 'AES-XCBC-MAC-96 [RFC3566]' },
  { id: AES_CMAC, name: 'AES-CMAC-96 [RFC4494]' },
  { id: 12, name: 'HMAC-SHA-256-128 [RFC4868]' },
  { id: 13, name: 'HMAC-SHA-384-192 [RFC4868]' },
  { id: 14, name: 'HMAC-SHA-512-256 [RFC4868]' },
];
