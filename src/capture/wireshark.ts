/**
 * The two key tables of a Wireshark profile: `ikev2_decryption_table` and `esp_sa`.
 *
 * Columns of the first: SPIi, SPIr, SK_ei, SK_er, encryption, SK_ai, SK_ar, integrity. Of the second: protocol, source,
 * destination, SPI, encryption, key, authentication, key, and from Wireshark 4.4 on the length of the sequence number
 * (`32-bit`, `64-bit`) and its upper half in hexadecimal; those two are written for extended sequence numbers only, because
 * Wireshark 4.0 warns of them. Keys include the salt. Names: `algorithm-names.ts`.
 * Deliberate limits: addresses are `*`, an address or a prefix, not `192.0.*.*`; the `ANY … [no checking]` rows of ciphers
 * that are no AEAD are refused, because nothing is shown here that was not verified.
 */
import type { Bytes } from '../core/index.ts';
import { fromHex, Secret, toHex } from '../core/index.ts';
import type { Encryption, Integrity } from '../crypto/index.ts';
import type { ChildKeys, ChildSa, ChildSuite, IkeKeysExport } from '../ike/index.ts';
import type { Address, Prefix } from '../ip/index.ts';
import { formatAddress, networkOf, parsePrefix } from '../ip/index.ts';
import * as names from './algorithm-names.ts';
import { parseUat, quoted, type TableIssue, type UatLine } from './uat.ts';

export const IKE_TABLE_FILE = 'ikev2_decryption_table';
export const ESP_TABLE_FILE = 'esp_sa';

/** One row of `ikev2_decryption_table`. */
export interface IkeKeys {
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
  readonly skEi: Secret;
  readonly skEr: Secret;
  readonly skAi: Secret;
  readonly skAr: Secret;
}

/** One row of `esp_sa`. */
export interface EspKeys {
  /** Undefined: any. */
  readonly source: Prefix | undefined;
  readonly destination: Prefix | undefined;
  /** Undefined: any. */
  readonly spi: number | undefined;
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
  readonly encryptionKey: Secret;
  readonly integrityKey: Secret;
  /** Undefined where the table does not say. */
  readonly esn: boolean | undefined;
  /** Upper half of the sequence number with which the capture begins. */
  readonly high: number;
}

export interface KeyTable<T> {
  readonly rows: readonly T[];
  /** Lines that were left out. */
  readonly issues: readonly TableIssue[];
}

export interface RowOptions {
  /** Write `ANY … [no checking]` for integrity algorithms no Wireshark has, so that it decrypts at least. Default false. */
  readonly forWireshark?: boolean;
}

/** The line for one IKE SA, without the line end. */
export function ikeTableRow(keys: IkeKeysExport, options: RowOptions = {}): string {
  const { encryption, integrity } = keys.suite;
  const unchecked = options.forWireshark === true && integrity !== undefined && !names.checkedByWireshark(integrity);
  return [
    toHex(keys.spiI),
    toHex(keys.spiR),
    toHex(keys.skEi.reveal()),
    toHex(keys.skEr.reveal()),
    quoted(names.ikeEncryptionName(encryption)),
    // Wireshark refuses keys for an algorithm it is not to check.
    unchecked ? '' : toHex(keys.skAi.reveal()),
    unchecked ? '' : toHex(keys.skAr.reveal()),
    quoted(unchecked ? names.ikeUncheckedName(integrity) : names.ikeIntegrityName(integrity)),
  ].join(',');
}

/** The two lines for one Child SA, outbound first, without line ends. */
export function espTableRows(child: ChildSa, options: RowOptions = {}): readonly [string, string] {
  const local = child.localEndpoint.address;
  const remote = child.remoteEndpoint.address;
  return [
    espRow(local, remote, child.spiOut, child.suite, child.keysOut, options),
    espRow(remote, local, child.spiIn, child.suite, child.keysIn, options),
  ];
}

export const parseIkeTable = (text: string): KeyTable<IkeKeys> => parseTable(text, ikeKeys);
export const parseEspTable = (text: string): KeyTable<EspKeys> => parseTable(text, espKeys);

function espRow(
  source: Address,
  destination: Address,
  spi: number,
  suite: ChildSuite,
  keys: ChildKeys,
  options: RowOptions,
): string {
  const { encryption, integrity, esn } = suite;
  const unchecked = options.forWireshark === true && integrity !== undefined && !names.checkedByWireshark(integrity);
  return [
    source.length === 4 ? 'IPv4' : 'IPv6',
    formatAddress(source),
    formatAddress(destination),
    `0x${spi.toString(16).padStart(8, '0')}`,
    names.espEncryptionName(encryption),
    keyText(keys.encryption),
    unchecked ? names.espUncheckedName(integrity) : names.espIntegrityName(integrity),
    keyText(keys.integrity),
    ...(esn ? ['64-bit', '0'] : []),
  ]
    .map(quoted)
    .join(',');
}

const keyText = (key: Secret): string => (key.length === 0 ? '' : `0x${toHex(key.reveal())}`);

/** A row, or in words what is wrong with it. */
type RowReader<T> = (fields: readonly string[]) => T | string;

function parseTable<T extends object>(text: string, read: RowReader<T>): KeyTable<T> {
  const { lines, issues } = parseUat(text);
  const rows: T[] = [];
  for (const { line, fields } of lines satisfies readonly UatLine[]) {
    const row = read(fields);
    if (typeof row === 'string') issues.push({ line, problem: row });
    else rows.push(row);
  }
  return { rows, issues: issues.sort((a, b) => a.line - b.line) };
}

function ikeKeys(fields: readonly string[]): IkeKeys | string {
  if (fields.length < 8) return `${fields.length} fields, 8 are needed`;
  const encryption = names.ikeEncryptionNamed(fields[4]!);
  if (encryption === undefined) return `encryption algorithm ${JSON.stringify(fields[4])} is not known here`;
  const integrity = encryption.aead ? 'none' : names.ikeIntegrityNamed(fields[7]!);
  if (integrity === undefined) return integrityProblem(fields[7]!);
  if (integrity === 'none' && !encryption.aead) return `${encryption.name} needs an integrity algorithm`;
  const octets = [0, 1, 2, 3, 5, 6].map((i) => hexOctets(fields[i]!));
  const [spiI, spiR, ei, er, ai, ar] = octets;
  if (!spiI || !spiR || !ei || !er || !ai || !ar) return 'an SPI or a key is not hexadecimal';
  if (spiI.length !== 8 || spiR.length !== 8) return 'an SPI of an IKE SA has 8 octets';
  const encryptionLength = encryption.keyLength + encryption.saltLength;
  const integrityLength = integrity === 'none' ? 0 : integrity.keyLength;
  if (ei.length !== encryptionLength || er.length !== encryptionLength) {
    return `SK_ei and SK_er of ${encryption.name} have ${encryptionLength} octets, salt included`;
  }
  if (integrity !== 'none' && (ai.length !== integrityLength || ar.length !== integrityLength)) {
    return `SK_ai and SK_ar of ${integrity.name} have ${integrityLength} octets`;
  }
  return {
    spiI,
    spiR,
    encryption,
    integrity: integrity === 'none' ? undefined : integrity,
    skEi: new Secret(ei),
    skEr: new Secret(er),
    skAi: new Secret(ai.subarray(0, integrityLength)),
    skAr: new Secret(ar.subarray(0, integrityLength)),
  };
}

function espKeys(fields: readonly string[]): EspKeys | string {
  if (fields.length < 8) return `${fields.length} fields, 8 or 10 are needed`;
  const source = addressField(fields[1]!);
  const destination = addressField(fields[2]!);
  if (source === undefined || destination === undefined) return 'source and destination are an address, a prefix or *';
  const spi = fields[3]!.trim() === '*' ? 'any' : spiField(fields[3]!);
  if (spi === undefined) return 'the SPI is 0x and up to 8 digits, or *';
  const key = keyField(fields[5]!);
  const integrityKey = keyField(fields[7]!);
  if (key === undefined || integrityKey === undefined) return 'a key is 0x and an even number of digits';
  if (!names.isEspEncryptionName(fields[4]!))
    return `encryption algorithm ${JSON.stringify(fields[4])} is not known here`;
  const encryption = names.espEncryptionNamed(fields[4]!, key.length, fields[6]!);
  if (encryption === undefined) return `${fields[4]} has no keys of ${key.length} octets, salt included`;
  const integrity = encryption.aead ? 'none' : names.espIntegrityNamed(fields[6]!);
  if (integrity === undefined) return integrityProblem(fields[6]!);
  if (integrity === 'none' && !encryption.aead) return `${encryption.name} needs an integrity algorithm`;
  if (integrity !== 'none' && integrityKey.length !== integrity.keyLength) {
    return `the key of ${integrity.name} has ${integrity.keyLength} octets`;
  }
  return {
    source: source === 'any' ? undefined : source,
    destination: destination === 'any' ? undefined : destination,
    spi: spi === 'any' ? undefined : spi,
    encryption,
    integrity: integrity === 'none' ? undefined : integrity,
    encryptionKey: new Secret(key),
    integrityKey: new Secret(integrity === 'none' ? new Uint8Array(0) : integrityKey),
    esn: fields[8] === undefined ? undefined : fields[8] === '64-bit',
    high: Number.parseInt(fields[9] ?? '0', 16) >>> 0,
  };
}

const integrityProblem = (name: string): string =>
  names.isUncheckedName(name)
    ? `${JSON.stringify(name)} names no algorithm to verify with`
    : `integrity algorithm ${JSON.stringify(name)} is not known here`;

function hexOctets(text: string): Bytes | undefined {
  const digits = text.trim().replace(/^0x/i, '');
  return /^([0-9a-f]{2})*$/i.test(digits) ? fromHex(digits) : undefined;
}

/** Wireshark takes a key that does not begin with 0x as text. */
const keyField = (text: string): Bytes | undefined =>
  text === '' || /^0x/i.test(text.trim()) ? hexOctets(text) : new TextEncoder().encode(text);

function spiField(text: string): number | undefined {
  const digits = /^\s*0x([0-9a-f]{1,8})\s*$/i.exec(text)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 16);
}

function addressField(text: string): Prefix | 'any' | undefined {
  if (text.trim() === '*') return 'any';
  const prefix = parsePrefix(text.trim(), true);
  return prefix === undefined ? undefined : { address: networkOf(prefix), length: prefix.length };
}
