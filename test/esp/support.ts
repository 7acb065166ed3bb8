/** Suites, SAs and inner packets for the ESP tests. Keys are drawn from a seed: the same in every run. */
import type { Bytes } from '../../src/core/index.ts';
import { fromHex, seededRandom } from '../../src/core/index.ts';
import {
  ENCRYPTIONS,
  type Encryption,
  INTEGRITIES,
  type Integrity,
  type Protection,
  protection,
} from '../../src/crypto/index.ts';
import {
  type InboundParameters,
  InboundSa,
  type Lifetime,
  type OutboundParameters,
  OutboundSa,
  Sad,
} from '../../src/esp/index.ts';
import {
  buildIp,
  compileSelectors,
  HEADROOM,
  octetsOf,
  type Packet,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
  TAILROOM,
  type TrafficSelector,
  wrapPacket,
} from '../../src/ip/index.ts';

export interface Suite {
  readonly word: string;
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
}

/** Every AEAD, and every other cipher with every integrity in turn. */
export const SUITES: readonly Suite[] = ENCRYPTIONS.flatMap((encryption): Suite[] =>
  encryption.aead
    ? [{ word: encryption.word, encryption, integrity: undefined }]
    : INTEGRITIES.map((integrity) => ({
        word: `${encryption.word}-${integrity.word}`,
        encryption,
        integrity,
      })),
);

export function suite(word: string): Suite {
  const found = SUITES.find((s) => s.word === word);
  if (found === undefined) throw new Error(`no suite ${word}`);
  return found;
}

/** The same seed gives both ends the same keys. */
export function keyed({ encryption, integrity }: Suite, seed = 1): Protection {
  const random = seededRandom(seed);
  return protection(encryption, integrity, {
    encryption: random(encryption.keyLength + encryption.saltLength),
    integrity: random(integrity?.keyLength ?? 0),
  });
}

export const NO_LIMIT: Lifetime = {
  softBytes: Infinity,
  hardBytes: Infinity,
  softPackets: Infinity,
  hardPackets: Infinity,
};

export function selector(prefix: string, protocol = 0, startPort = 0, endPort = 0xffff): TrafficSelector {
  const parsed = parsePrefix(prefix);
  if (parsed === undefined) throw new Error(`no prefix ${prefix}`);
  return selectorOfPrefix(parsed, protocol, { startPort, endPort });
}

export const ANYTHING: readonly TrafficSelector[] = [selector('0.0.0.0/0'), selector('::/0')];

const endpoint = (text: string) => ({ address: address(text), port: 4500 });

/** Parameters that matter; `selectors` come from `local` and `remote`, which admit everything unless said otherwise. */
type Given<P extends InboundParameters | OutboundParameters> = Partial<Omit<P, 'selectors'>> &
  Pick<P, 'protection'> & { readonly local?: readonly TrafficSelector[]; readonly remote?: readonly TrafficSelector[] };

export const inbound = ({ local = ANYTHING, remote = ANYTHING, ...over }: Given<InboundParameters>): InboundSa =>
  new InboundSa({
    spi: 0x1000,
    tunnel: 1,
    esn: false,
    selectors: compileSelectors(local, remote),
    lifetime: NO_LIMIT,
    replayWindow: 1024,
    ...over,
  });

export const outbound = ({ local = ANYTHING, remote = ANYTHING, ...over }: Given<OutboundParameters>): OutboundSa =>
  new OutboundSa(
    {
      spi: 0x1000,
      tunnel: 1,
      esn: false,
      selectors: compileSelectors(local, remote),
      lifetime: NO_LIMIT,
      localEndpoint: endpoint('192.0.2.1'),
      remoteEndpoint: endpoint('192.0.2.2'),
      udpEncapsulation: true,
      df: 'copy',
      copyDscp: true,
      ...over,
    },
    seededRandom(99),
  );

export function sadOf(...sas: readonly InboundSa[]): Sad {
  const sad = new Sad();
  for (const sa of sas) sad.add(sa);
  return sad;
}

export function address(text: string): Bytes {
  const parsed = parseAddress(text);
  if (parsed === undefined) throw new Error(`no address ${text}`);
  return parsed;
}

/** A whole inner UDP packet with so many octets behind the IP header (at least 8). */
export function inner(
  source: string,
  destination: string,
  over: {
    readonly length?: number;
    readonly trafficClass?: number;
    readonly dontFragment?: boolean;
    readonly sourcePort?: number;
    readonly destinationPort?: number;
    readonly protocol?: number;
  } = {},
): Bytes {
  const { length = 32, sourcePort = 1000, destinationPort = 2000, protocol = 17, ...fields } = over;
  const payload = Uint8Array.from({ length }, (_, i) => i);
  payload.set([sourcePort >>> 8, sourcePort, destinationPort >>> 8, destinationPort, length >>> 8, length, 0, 0]);
  return buildIp({ source: address(source), destination: address(destination), protocol, ...fields }, payload);
}

/** A packet by itself, its room filled with rubbish, so that whatever is not written shows. */
export function packetOf(octets: Bytes, tailroom = TAILROOM): Packet {
  const buf = new Uint8Array(HEADROOM + octets.length + tailroom).fill(0xa5);
  buf.set(octets, HEADROOM);
  return wrapPacket(buf, HEADROOM, HEADROOM + octets.length);
}

/** A copy of what the packet holds. */
export const copyOf = (packet: Packet): Bytes => octetsOf(packet).slice();

export const hex = fromHex;
