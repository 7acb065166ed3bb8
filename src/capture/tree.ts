/**
 * Records as an indented tree for people, in words like Wireshark's.
 *
 * The fields are those of `json.ts`; this file only lays them out. Long octet strings are cut: JSON has all of them.
 */
import { exchangeName, type IkeHeader } from '../ike/index.ts';
import { type Address, formatAddress, formatEndpoint, protocolName } from '../ip/index.ts';
import type { Field, Fields } from './fields.ts';
import { payloadsFields, spiText } from './json.ts';
import type { EspContent, FrameRecord, IkeContent, Integrity } from './record.ts';

/** The tree of one frame: its summary, and below it, indented, what it carries. */
export function recordTree(record: FrameRecord): string[] {
  return [recordSummary(record), ...indented(placeLines(record)), ...indented(contentLines(record))];
}

/** One line: `3 0.010764 192.0.2.1:4500 > 192.0.2.2:4500 IKE_AUTH request 1 (ok)`. */
export function recordSummary(record: FrameRecord): string {
  const time = record.elapsed === undefined ? '' : ` ${record.elapsed.toFixed(6)}`;
  const from = place(record.source, record.sourcePort);
  const to = place(record.destination, record.destinationPort);
  const ends = from === undefined || to === undefined ? '' : ` ${from} > ${to}`;
  return `Frame ${record.frame}:${time}${ends} ${contentSummary(record)}`;
}

function contentSummary({ content }: FrameRecord): string {
  switch (content.is) {
    case 'ike':
      return ikeSummary(content);
    case 'esp':
      return espSummary(content);
    case 'keepalive':
      return 'NAT keepalive';
    case 'fragment':
      return `IP fragment @${content.offset}${content.more ? '+' : ''}, ${content.length} octets`;
    case 'other':
      return content.what;
    case 'malformed':
      return `malformed: ${content.error.message}`;
  }
}

function ikeSummary({ header, sealed, retransmissionOf, error }: IkeContent): string {
  if (header === undefined) return `malformed IKE: ${error?.message}`;
  const fragment = sealed?.fragment === undefined ? '' : ` fragment ${sealed.fragment.number}/${sealed.fragment.total}`;
  const again = retransmissionOf === undefined ? '' : `, retransmission of frame ${retransmissionOf}`;
  const integrity = sealed === undefined ? '' : `, ${INTEGRITY_WORDS[sealed.integrity]}`;
  const wrong = error === undefined ? '' : `, malformed: ${error.message}`;
  return `${messageName(header)}${fragment}${integrity}${again}${wrong}`;
}

function espSummary({ spi, sequence, integrity, inner, nextHeader, error }: EspContent): string {
  const what = inner?.text ?? (nextHeader === DUMMY ? 'dummy packet' : undefined);
  const carries = what === undefined ? '' : `: ${what}`;
  const wrong = error === undefined ? '' : `, malformed: ${error.message}`;
  return `ESP ${spiText(spi)} sequence ${sequence}, ${INTEGRITY_WORDS[integrity]}${carries}${wrong}`;
}

const messageName = (header: IkeHeader): string =>
  `${exchangeName(header.exchange)} ${header.flags.response ? 'response' : 'request'} ${header.messageId}`;

function placeLines(record: FrameRecord): string[] {
  const lines = record.comments.map((comment) => `Comment: ${oneLine(comment)}`);
  if (record.interfaceName !== undefined) lines.push(`Interface: ${oneLine(record.interfaceName)}`);
  if (record.direction !== undefined) lines.push(`Direction: ${record.direction}`);
  if (record.vlans.length > 0) lines.push(`VLAN: ${record.vlans.join(', ')}`);
  if (record.fragments !== undefined)
    lines.push(`Reassembled from the IP fragments in frames ${record.fragments.join(', ')}`);
  return lines;
}

function contentLines(record: FrameRecord): string[] {
  if (record.content.is === 'ike') return ikeLines(record.content, record);
  return record.content.is === 'esp' ? espLines(record.content) : [];
}

function ikeLines(content: IkeContent, record: FrameRecord): string[] {
  const { header, sealed } = content;
  if (header === undefined) return [];
  const { flags } = header;
  const flagNames = [
    flags.initiator ? 'Initiator' : 'Responder',
    ...(flags.version ? ['Higher version'] : []),
    flags.response ? 'Response' : 'Request',
  ];
  const lines = [
    `Initiator SPI: ${hex(header.spiI)}`,
    `Responder SPI: ${hex(header.spiR)}`,
    `Version: ${header.major}.${header.minor}`,
    `Exchange type: ${exchangeName(header.exchange)} (${header.exchange})`,
    `Flags: ${flagNames.join(', ')}`,
    `Message ID: ${header.messageId}`,
    `Length: ${header.length}`,
    ...payloadsFields(content.payloads, header, record).flatMap(payloadLines),
  ];
  if (sealed !== undefined) {
    lines.push(...indented(protectionLines(sealed.integrity, sealed.encryption, sealed.authentication)));
    const frames = sealed.fragment?.frames;
    if (frames !== undefined)
      lines.push(...indented([`Reassembled from the fragments in frames ${frames.join(', ')}`]));
    const inner = sealed.payloads ?? [];
    lines.push(...indented(payloadsFields(inner, header, record).flatMap(payloadLines)));
  }
  return ['Internet Key Exchange', ...indented(lines)];
}

function espLines(content: EspContent): string[] {
  const lines = [`SPI: ${spiText(content.spi)}`, `Sequence number: ${content.sequence}`];
  if (content.sequenceHigh !== undefined) lines.push(`Sequence number, upper half: ${content.sequenceHigh}`);
  lines.push(`Length: ${content.length}`);
  lines.push(...protectionLines(content.integrity, content.encryption, content.authentication));
  if (content.padLength !== undefined) lines.push(`Pad length: ${content.padLength}`);
  if (content.nextHeader !== undefined) {
    lines.push(`Next header: ${protocolName(content.nextHeader)} (${content.nextHeader})`);
  }
  if (content.inner !== undefined) {
    lines.push(`Packet: ${content.inner.text}`);
    if (content.inner.tfcPadding > 0) lines.push(`TFC padding: ${content.inner.tfcPadding} octets`);
  }
  return ['Encapsulating Security Payload', ...indented(lines)];
}

const protectionLines = (
  integrity: Integrity,
  encryption: string | undefined,
  authentication: string | undefined,
): string[] => [
  `Integrity: ${integrity}${integrity === 'unknown' ? ' (no key)' : ''}`,
  ...(encryption === undefined
    ? []
    : [`Encryption: ${[encryption, authentication].filter((n) => n !== undefined).join(', ')}`]),
];

function payloadLines(fields: Fields): string[] {
  const { payload, type, name, ...rest } = fields;
  const title = `Payload: ${PAYLOAD_TITLES[payload as string] ?? payload} (${type})${name === undefined ? '' : ` - ${name}`}`;
  return [title, ...indented(fieldLines(rest))];
}

function fieldLines(fields: Fields): string[] {
  return Object.entries(fields).flatMap(([key, value]) => {
    if (HIDDEN_FIELDS.has(key)) return [];
    if (!Array.isArray(value)) return [`${label(key)}: ${scalar(value)}`];
    const items = value as readonly Field[];
    const each = ITEMS[key];
    if (each === undefined) return [`${label(key)}: ${items.map(scalar).join(', ') || 'none'}`];
    return items.flatMap((item) => each(item as Fields));
  });
}

/** How the elements of a list of objects are laid out. */
const ITEMS: Readonly<Record<string, (item: Fields) => string[]>> = {
  proposals: ({ number, protocol, spi, words, transforms }) => [
    `Proposal ${number}: ${protocol} ${words}${spi === undefined ? '' : `, SPI ${spi}`}`,
    ...indented((transforms as readonly Fields[]).map((t) => `Transform: ${t.type} ${t.word} (${t.id})`)),
  ],
  selectors: ({ selector, selectorType, data }) => [
    selector === undefined ? `Traffic Selector: type ${selectorType}, ${data}` : `Traffic Selector: ${selector}`,
  ],
  attributes: ({ attribute, address, value }) => [
    `Attribute: ${[attribute, address ?? (value === '' ? undefined : scalar(value!))].filter((v) => v !== undefined).join(' ')}`,
  ],
};

/** `publicValue` as `Public value`. */
function label(key: string): string {
  const words = key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return LABELS[key] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

function scalar(value: Field): string {
  const text = oneLine(String(value));
  return typeof value === 'string' && OCTETS.test(value) ? `${text.slice(0, SHOWN_DIGITS)}…` : text;
}

function place(address: Address | undefined, port: number | undefined): string | undefined {
  if (address === undefined) return undefined;
  return port === undefined ? formatAddress(address) : formatEndpoint({ address, port });
}

const indented = (lines: readonly string[]): string[] => lines.map((line) => `    ${line}`);
const hex = (octets: Uint8Array): string => [...octets].map((o) => o.toString(16).padStart(2, '0')).join('');
/** Text from the file on one line of the terminal, without control characters. */
const oneLine = (text: string): string => text.replace(/\p{Cc}+/gu, ' ');

const INTEGRITY_WORDS: Readonly<Record<Integrity, string>> = {
  ok: 'decrypted',
  failed: 'integrity check failed',
  unknown: 'encrypted',
};

/** RFC 7296 §3.2, RFC 7383. */
const PAYLOAD_TITLES: Readonly<Record<string, string>> = {
  SA: 'Security Association',
  KE: 'Key Exchange',
  IDI: 'Identification - Initiator',
  IDR: 'Identification - Responder',
  CERT: 'Certificate',
  CERTREQ: 'Certificate Request',
  AUTH: 'Authentication',
  NONCE: 'Nonce',
  NOTIFY: 'Notify',
  DELETE: 'Delete',
  VENDOR: 'Vendor ID',
  TSI: 'Traffic Selector - Initiator',
  TSR: 'Traffic Selector - Responder',
  SK: 'Encrypted and Authenticated',
  CP: 'Configuration',
  EAP: 'Extensible Authentication',
  SKF: 'Encrypted and Authenticated Fragment',
};

const LABELS: Readonly<Record<string, string>> = {
  spi: 'SPI',
  spis: 'SPIs',
  idType: 'ID type',
  matches: "Matches this packet's address and port",
  groupName: 'Key exchange method',
  methodName: 'Authentication method',
  words: 'Proposal',
};
/** Said by another field in words. */
const HIDDEN_FIELDS: ReadonlySet<string> = new Set(['notify', 'kind', 'group', 'method']);
const SHOWN_DIGITS = 64;
const OCTETS = new RegExp(`^[0-9a-f]{${SHOWN_DIGITS + 1},}$`);
const DUMMY = 59;
