/**
 * The small languages inside the document: what each single value may say. Every function takes what the file holds and
 * gives the value or a `Problem`, a sentence that finishes "path: …".
 */

import { protocolName, protocolNumber } from '../ip/iana.ts';
import { type Address, formatAddress, networkOf, type Prefix, parseAddress, parsePrefix } from '../ip/index.ts';
import { DEFAULT_COMPARTMENT, type SecretReference, type SelectorConfig } from './contract.ts';
import { decodeSecret } from './secrets.ts';
import { nearest } from './suggestion.ts';

export class Problem {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export function readText(input: unknown): string | Problem {
  if (typeof input !== 'string') return new Problem(`text is needed, not ${kindOf(input)}${quoteHint(input)}`);
  if (input === '') return new Problem('is empty');
  if (input.length > TEXT_LIMIT) return new Problem(`is longer than ${TEXT_LIMIT} characters`);
  return CONTROL.test(input) ? new Problem('holds a control character') : input;
}

/** Tenants, interfaces, connections: they become parts of paths, log lines and device names. */
export function readName(input: unknown): string | Problem {
  const text = readText(input);
  if (text instanceof Problem || NAME.test(text)) return text;
  return new Problem(`${show(text)} is not a name: 1 to 32 of a-z, 0-9, - and _`);
}

/** `default` is compartment 1. */
export function readTenantName(input: unknown): string | Problem {
  const name = readName(input);
  return name === DEFAULT_COMPARTMENT
    ? new Problem(`${name} is the gateway's own compartment: name the tenant otherwise`)
    : name;
}

/** IFNAMSIZ is 16 with its zero; the kernel refuses slashes, blanks and the two dots. */
export function readDevice(input: unknown): string | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  if (/^[A-Za-z0-9_.-]{1,15}$/.test(text) && text !== '.' && text !== '..') return text;
  return new Problem(`${show(text)} is not a device name: 1 to 15 of letters, digits, . - and _`);
}

export function readUuid(input: unknown): string | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const plain = text.toLowerCase().replace(/^\{(.*)\}$/, '$1');
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(plain)) return plain;
  return new Problem(`${show(text)} is not a GUID like 5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11`);
}

export function readAddress(input: unknown): Address | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const address = parseAddress(text);
  if (address !== undefined) return address;
  if (text.includes('/')) return new Problem(`${show(text)} is a prefix; an address is needed`);
  if (/[a-z]/i.test(text) && !text.includes(':')) return new Problem(`${show(text)} is a name: write its address`);
  return new Problem(`${show(text)} is not an IPv4 or IPv6 address`);
}

/** One that a host may have. */
export function readUnicast(input: unknown): Address | Problem {
  const address = readAddress(input);
  if (address instanceof Problem) return address;
  const first = address[0]!;
  const multicast = address.length === 4 ? first >= 224 : first === 0xff;
  if (multicast) return new Problem(`${formatAddress(address)} is not the address of one host`);
  return address.every((octet) => octet === 0)
    ? new Problem(`${formatAddress(address)} is no address of its own: write the one peers send to`)
    : address;
}

/** `any` is undefined, wrapped so that it differs from nothing written. */
export function readRemoteAddress(input: unknown): { readonly address: Address | undefined } | Problem {
  if (input === 'any' || input === '%any') return { address: undefined };
  const address = readUnicast(input);
  return address instanceof Problem ? address : { address };
}

export function readPrefix(input: unknown): Prefix | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefix;
  const loose = parsePrefix(text, true);
  if (loose === undefined) return new Problem(`${show(text)} is not a prefix like 10.1.0.0/24 or 2001:db8::/64`);
  return new Problem(`${text} has host bits set: did you mean ${formatAddress(networkOf(loose))}/${loose.length}?`);
}

/** An interface's own address with the length of its on-link prefix. */
export function readInterfaceAddress(input: unknown): Prefix | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const prefix = parsePrefix(text, true);
  if (prefix === undefined) return new Problem(`${show(text)} is not an address with its prefix, like 10.1.0.1/24`);
  const address = readUnicast(formatAddress(prefix.address));
  if (address instanceof Problem) return address;
  const width = address.length * 8;
  const isNetwork = prefix.length < width - 1 && networkOf(prefix).every((octet, i) => octet === address[i]);
  return isNetwork ? new Problem(`${text} is the network's own address: write the interface's`) : prefix;
}

/** The one word that stands for a value nobody has to write. */
export const orAuto =
  <T>(read: (input: unknown) => T | Problem) =>
  (input: unknown): T | 'auto' | Problem =>
    input === 'auto' ? 'auto' : read(input);

/** `10.1.0.0/24`, `10.1.0.0/24[tcp]`, `10.1.0.0/24[tcp/443]`, `10.1.0.0/24[udp/1000-2000]`, `10.1.0.0/24[icmp/2048]`. */
export function readSelector(input: unknown): SelectorConfig | Problem {
  const text = readText(input);
  if (text instanceof Problem) return text;
  const bracket = text.indexOf('[');
  const prefix = readPrefix(bracket < 0 ? text : text.slice(0, bracket));
  if (prefix instanceof Problem) return prefix;
  if (bracket < 0) return { prefix, protocol: 0, startPort: 0, endPort: 0xffff };
  const inner = /^\[([a-z0-9-]+)(?:\/([^\]]+))?\]$/i.exec(text.slice(bracket));
  if (inner === null) return new Problem(`${show(text)}: after the prefix comes [protocol] or [protocol/port]`);
  const protocol = inner[1] === 'any' ? 0 : protocolNumber(inner[1]!);
  if (protocol === undefined) return new Problem(`${show(inner[1]!)} is not an IP protocol`);
  const ports = inner[2] ?? 'any';
  if (ports === 'any') return { prefix, protocol, startPort: 0, endPort: 0xffff };
  const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(ports);
  const [startPort, endPort] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
  if (range === null || endPort > 0xffff || startPort > endPort) {
    return new Problem(`${show(ports)} is not a port or a range of ports`);
  }
  return protocol === 0 ? new Problem('ports need a protocol') : { prefix, protocol, startPort, endPort };
}

export function formatSelector({ prefix, protocol, startPort, endPort }: SelectorConfig): string {
  const text = `${formatAddress(prefix.address)}/${prefix.length}`;
  if (protocol === 0) return text;
  if (startPort === 0 && endPort === 0xffff) return `${text}[${protocolName(protocol)}]`;
  return `${text}[${protocolName(protocol)}/${startPort === endPort ? startPort : `${startPort}-${endPort}`}]`;
}

export const wholeNumber =
  (min: number, max: number) =>
  (input: unknown): number | Problem =>
    typeof input === 'number' && Number.isInteger(input) && input >= min && input <= max
      ? input
      : new Problem(`a whole number from ${min} to ${max} is needed, not ${found(input)}`);

/** Seconds, or `30s`, `5m`, `8h`, `1d`. `zero`: 0 is allowed and means never. */
export const duration =
  (min: number, max: number, zero = false) =>
  (input: unknown): number | Problem => {
    const parts = typeof input === 'string' ? /^(\d{1,9})(s|m|h|d)$/.exec(input) : null;
    const value = parts === null ? input : Number(parts[1]) * SECONDS[parts[2]!]!;
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      return new Problem(`seconds or a time like 30s, 5m, 8h, 1d is needed, not ${found(input)}`);
    }
    if ((value >= min && value <= max) || (zero && value === 0)) return value;
    return new Problem(
      `must be from ${formatDuration(min)} to ${formatDuration(max)}${zero ? ', or 0 for never' : ''}`,
    );
  };

export function formatDuration(seconds: number): string {
  for (const unit of ['d', 'h', 'm']) {
    const length = SECONDS[unit]!;
    if (seconds > 0 && seconds % length === 0) return `${seconds / length}${unit}`;
  }
  return `${seconds}s`;
}

/** Octets, or `100GB`, `64GiB`, `unlimited`. */
export const readOctets = (input: unknown): number | Problem =>
  quantity(input, OCTETS, 'a number of octets, 100GB, 64GiB', 1024 * 1024);

/** Packets, or `unlimited`. */
export const readPackets = (input: unknown): number | Problem =>
  quantity(input, { '': 1 }, 'a number of packets', 1000);

/** A word of a list. */
export const choice =
  <const T extends string>(words: readonly T[]) =>
  (input: unknown): T | Problem => {
    if (words.includes(input as T)) return input as T;
    const near = typeof input === 'string' ? nearest(input, words) : undefined;
    const hint = near === undefined ? '' : `; did you mean ${near}?`;
    return new Problem(`must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, not ${found(input)}${hint}`);
  };

export const readBoolean = (input: unknown): boolean | Problem =>
  typeof input === 'boolean' ? input : new Problem(`must be true or false, not ${found(input)}`);

/** `unix:/path`; `none` for no control socket, wrapped so that it differs from nothing written. */
export function readListen(input: unknown): { readonly listen: string | undefined } | Problem {
  if (input === 'none') return { listen: undefined };
  const text = readText(input);
  if (text instanceof Problem) return text;
  if (!/^unix:\/[^/]/.test(text)) return new Problem(`must be unix: and an absolute path, or none; not ${show(text)}`);
  // sockaddr_un holds 108 octets with the zero at the end.
  return new TextEncoder().encode(text).length - 5 > 107
    ? new Problem('the path is longer than 107 octets')
    : { listen: text };
}

/** `{ file: … }`, `{ env: … }`, `{ credential: … }`, `{ inline: … }`, or the secret itself. What is wrong is said without showing it. */
export function readSecretReference(input: unknown): SecretReference | Problem {
  if (typeof input === 'number' || typeof input === 'boolean') return new Problem('a secret is text: put it in quotes');
  if (typeof input === 'string') return inline(input);
  const entries = typeof input === 'object' && input !== null && !Array.isArray(input) ? Object.entries(input) : [];
  const [entry, more] = entries;
  if (entry === undefined || more !== undefined) return new Problem('needs exactly one of file, env, credential');
  const [from, value] = entry;
  if (from === 'inline') {
    return typeof value === 'string' ? inline(value) : new Problem('a secret is text: put it in quotes');
  }
  if (from !== 'file' && from !== 'env' && from !== 'credential') {
    const near = nearest(from, ['file', 'env', 'credential']);
    return new Problem(
      `needs one of file, env, credential, not ${show(from)}${near === undefined ? '' : `; did you mean ${near}?`}`,
    );
  }
  const text = readText(value);
  if (text instanceof Problem) return new Problem(`${from}: ${text.message}`);
  if (from === 'env' && !/^[A-Za-z_][A-Za-z0-9_]*$/.test(text)) return new Problem('env: not the name of a variable');
  if (from === 'credential' && (text.includes('/') || text.startsWith('.'))) {
    return new Problem('credential: not the name of a credential');
  }
  return { from, value: text };
}

export const notInThisRelease = (what: string): string => `${what} is not in this release`;

export const kindOf = (input: unknown): string => {
  if (input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a section';
  return { string: 'text', number: 'a number', boolean: 'a truth value' }[typeof input as string] ?? 'nothing';
};

function inline(text: string): SecretReference | Problem {
  const value = decodeSecret(new TextEncoder().encode(text));
  return typeof value === 'string' ? new Problem(value) : { from: 'inline', value };
}

function quantity(
  input: unknown,
  units: Readonly<Record<string, number>>,
  what: string,
  min: number,
): number | Problem {
  if (input === 'unlimited') return Number.POSITIVE_INFINITY;
  const parts = /^(\d{1,15})([A-Za-z]{0,3})$/.exec(
    typeof input === 'number' ? String(input) : typeof input === 'string' ? input : '',
  );
  const factor = parts === null ? undefined : Object.entries(units).find(([unit]) => unit === parts[2])?.[1];
  if (parts === null || factor === undefined) return new Problem(`${what} or unlimited is needed, not ${found(input)}`);
  const value = Number(parts[1]) * factor;
  return value >= min && value <= Number.MAX_SAFE_INTEGER
    ? value
    : new Problem(`must be at least ${min}, or unlimited`);
}

const TEXT_LIMIT = 1024;
const NAME = /^[a-z0-9_-]{1,32}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400 };
const OCTETS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

export const show = (text: string): string => JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
const found = (input: unknown): string =>
  typeof input === 'string'
    ? show(input)
    : typeof input === 'number' || typeof input === 'boolean'
      ? String(input)
      : kindOf(input);
const quoteHint = (input: unknown): string =>
  typeof input === 'number' || typeof input === 'boolean' ? ': put it in quotes' : '';
