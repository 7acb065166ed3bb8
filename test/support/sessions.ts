/**
 * The recorded sessions between strongSwan peers (`test/vectors/ike/strongswan`), hexadecimal turned into octets.
 *
 * A session is A (192.0.2.1, initiator of the first IKE SA) against B (192.0.2.2). Nothing here was computed by our code.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Bytes, fromHex } from '../../src/core/index.ts';

export interface Session {
  readonly name: string;
  readonly keySets: readonly RecordedKeySet[];
  readonly auths: readonly RecordedAuth[];
  readonly children: readonly RecordedChild[];
  readonly messages: readonly RecordedMessage[];
  readonly esp: readonly RecordedEsp[];
}

/** The keys of one IKE SA, or of one stage of it (RFC 9242). */
export interface RecordedKeySet {
  readonly how: string;
  readonly spiI: Bytes;
  readonly spiR: Bytes;
  readonly ni: Bytes;
  readonly nr: Bytes;
  /** By transform type: id, and key length in bits or 0. */
  readonly transforms: Readonly<Record<string, readonly [id: number, keyBits: number]>>;
  /** Shared secrets in the order of their exchanges. */
  readonly shared: readonly Bytes[];
  readonly skeyseed: Bytes;
  readonly d: Bytes;
  readonly ai: Bytes;
  readonly ar: Bytes;
  readonly ei: Bytes;
  readonly er: Bytes;
  readonly pi: Bytes;
  readonly pr: Bytes;
  /** The IKE_SA_INIT messages as last sent; undefined for a rekeyed IKE SA. */
  readonly msg1: Bytes | undefined;
  readonly msg2: Bytes | undefined;
}

export interface RecordedAuth {
  readonly side: 'I' | 'R';
  readonly method: string;
  readonly octets: Bytes;
  /** Undefined where the method is no pre-shared key. */
  readonly secret: Bytes | undefined;
  readonly auth: Bytes | undefined;
  /** Chunks of RFC 9242 at the end of `octets`. */
  readonly intermediate: number;
}

export interface RecordedChild {
  /** strongSwan's names: `AES_GCM_16`, `AES_CBC`, `3DES_CBC`; `HMAC_SHA2_256_128`. */
  readonly encryption: string;
  readonly integrity: string | undefined;
  /** [g^ir |] Ni | Nr. */
  readonly seed: Bytes;
  /** Of what the initiator of the exchange sends, and of what its responder sends. */
  readonly encrI: Bytes;
  readonly encrR: Bytes;
  readonly integI: Bytes;
  readonly integR: Bytes;
  /** As A sees it. */
  readonly spiIn: number;
  readonly spiOut: number;
}

export interface RecordedMessage {
  /** Seconds. */
  readonly at: number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly exchange: number;
  readonly flags: number;
  readonly messageId: number;
  /** Without non-ESP marker. */
  readonly octets: Bytes;
  /** Index into `keySets`; undefined for messages in the clear. */
  readonly keySet: number | undefined;
  /** The payloads inside SK without padding; of fragments only the last one has it, for all together. */
  readonly plain: Bytes | undefined;
  readonly fragment: readonly [number: number, total: number] | undefined;
  /** Names and bodies of the payloads, the inner ones where there are such; undefined in fragments but the last. */
  readonly payloads: readonly (readonly [name: string, body: Bytes])[] | undefined;
}

export interface RecordedEsp {
  readonly at: number;
  readonly source: string;
  readonly udpEncapsulation: boolean;
  readonly spi: number;
  readonly sequence: number;
  readonly octets: Bytes;
  /** Index into `children`. */
  readonly child: number;
  readonly keySide: 'I' | 'R';
  readonly nextHeader: number;
  readonly padLength: number;
  readonly inner: Bytes;
}

/** The names of all sessions, in alphabetical order. */
export const SESSION_NAMES: readonly string[] = readdirSync(folder())
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -'.json'.length))
  .sort();

export function session(name: string): Session {
  let found = loaded.get(name);
  if (found === undefined) {
    found = convert(name, JSON.parse(readFileSync(`${folder()}/${name}.json`, 'utf8')));
    loaded.set(name, found);
  }
  return found;
}

export const sessions = (): Session[] => SESSION_NAMES.map(session);

const loaded = new Map<string, Session>();

function folder(): string {
  return fileURLToPath(new URL('../vectors/ike/strongswan', import.meta.url));
}

// biome-ignore lint/suspicious/noExplicitAny: the shape of the files is what this function is about
function convert(name: string, file: any): Session {
  const hex = (text: string | undefined): Bytes => fromHex(text ?? '');
  const maybe = (text: string | undefined): Bytes | undefined => (text === undefined ? undefined : fromHex(text));
  // biome-ignore lint/suspicious/noExplicitAny: see above
  const rows = (key: string): any[] => file[key] ?? [];
  return {
    name,
    keySets: rows('ikeKeySets').map((k) => ({
      how: k.how,
      transforms: k.transforms,
      shared: k.kes.filter((text: string) => text !== '').map(hex),
      skeyseed: hex(k.skeyseed),
      msg1: maybe(k.msg1),
      msg2: maybe(k.msg2),
      ...octetsOf(k, ['spiI', 'spiR', 'ni', 'nr', 'd', 'ai', 'ar', 'ei', 'er', 'pi', 'pr']),
    })),
    auths: rows('auth').map((a) => ({
      side: a.side,
      method: a.method,
      octets: hex(a.octets),
      secret: maybe(a.secret),
      auth: maybe(a.auth),
      intermediate: a.intermediate,
    })),
    children: rows('children').map((c) => ({
      encryption: c.encrName,
      integrity: c.integName,
      spiIn: Number.parseInt(c.spiIn, 16),
      spiOut: Number.parseInt(c.spiOut, 16),
      ...octetsOf(c, ['seed', 'encrI', 'encrR', 'integI', 'integR']),
    })),
    messages: rows('messages').map((m) => ({
      at: m.t,
      source: m.src,
      destination: m.src === '192.0.2.1' ? '192.0.2.2' : '192.0.2.1',
      sourcePort: m.sport,
      destinationPort: m.dport,
      exchange: m.exchange,
      flags: m.flags,
      messageId: m.mid,
      octets: hex(m.raw),
      keySet: m.keySet,
      plain: maybe(m.plain),
      fragment: m.fragment,
      payloads: (m.inner ?? m.payloads)?.map(([type, body]: [string, string]) => [type, hex(body)] as const),
    })),
    esp: rows('esp').map((e) => ({
      at: e.t,
      source: e.src,
      udpEncapsulation: e.udpEncap,
      spi: Number.parseInt(e.spi, 16),
      sequence: e.seq,
      octets: hex(e.raw),
      child: e.child,
      keySide: e.keySide,
      nextHeader: e.nextHeader,
      padLength: e.padLength,
      inner: hex(e.inner),
    })),
  };
}

/** The named hexadecimal fields as octets, absent ones empty. */
function octetsOf<const K extends string>(row: Partial<Record<K, string>>, keys: readonly K[]): Record<K, Bytes> {
  return Object.fromEntries(keys.map((key) => [key, fromHex(row[key] ?? '')])) as Record<K, Bytes>;
}
