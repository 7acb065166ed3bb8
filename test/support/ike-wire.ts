/**
 * The messages between two endpoints, opened and made with the keys that they exported: tests read what was said, and say
 * what no endpoint would.
 */
import { sameBytes, seededRandom } from '../../src/core/index.ts';
import {
  decodeHeader,
  decodeMessage,
  EXCHANGE,
  encodeMessage,
  exchangeName,
  type HeaderFields,
  type IkeKeysExport,
  type IkeSa,
  ikeProtections,
  ivSource,
  NOTIFY,
  notifyName,
  openMessage,
  PAYLOAD,
  type Payload,
  payloadName,
  sealMessage,
} from '../../src/ike/index.ts';
import type { IkePair, Sent, Side } from './ike-pair.ts';

function keysOf(w: IkePair, spiI: Uint8Array, spiR: Uint8Array): IkeKeysExport | undefined {
  return [...w.a.keys, ...w.b.keys].find((k) => sameBytes(k.spiI, spiI) && sameBytes(k.spiR, spiR));
}

function protectionsOf(keys: IkeKeysExport) {
  const { skEi, skEr, skAi, skAr } = keys;
  return ikeProtections(keys.suite, { skEi, skEr, skAi, skAr, skD: skEi, skPi: skEi, skPr: skEi });
}

/** The payloads of a message, those inside SK where it has one. */
export function payloadsOf(w: IkePair, octets: Uint8Array): readonly Payload[] {
  const { spiI, spiR, exchange, flags } = decodeHeader(octets);
  const keys = keysOf(w, spiI, spiR);
  const message = decodeMessage(octets);
  if (exchange === EXCHANGE.IKE_SA_INIT || !message.payloads.some((p) => p.type === PAYLOAD.SK))
    return message.payloads;
  if (keys === undefined) throw new Error('no keys for a message');
  const protections = protectionsOf(keys);
  const opened = openMessage(octets, flags.initiator ? protections.initiator : protections.responder);
  if (opened.is !== 'message') throw new Error(`a message of ours is ${opened.is}`);
  return opened.payloads;
}

/** `a> INFORMATIONAL 3: D` and `<b INFORMATIONAL 3:`: a request of A's and B's answer; notifications by name. */
export function describeSent(w: IkePair, { from, octets }: Sent): string {
  const { exchange, flags, messageId } = decodeHeader(octets);
  const words = payloadsOf(w, octets).map((p) => (p.type === PAYLOAD.NOTIFY ? notifyName(p.notify) : nameOf(p)));
  const head = flags.response ? `<${from}` : `${from}>`;
  return `${head} ${exchangeName(exchange)} ${messageId}: ${words.filter((word) => !QUIET.has(word)).join(' ')}`.trim();
}

const nameOf = (p: Payload): string => payloadName(p.type === 'unknown' ? p.payloadType : p.type);
/** In every IKE_SA_INIT. */
const QUIET = new Set(['NAT_DETECTION_SOURCE_IP', 'NAT_DETECTION_DESTINATION_IP']);

/** All messages since `from`, in words. */
export const talk = (w: IkePair, from = 0): string[] => w.sent.slice(from).map((sent) => describeSent(w, sent));

export interface Forgery {
  readonly exchange?: number;
  readonly payloads?: readonly Payload[];
  readonly response?: boolean;
  /** Default: the next one the receiver expects. */
  readonly messageId?: number;
  readonly minor?: number;
  /** Default: the newest IKE SA of the end. */
  readonly sa?: IkeSa;
}

/** An authentic message under an IKE SA of `side`, as if that end had sent it. */
export function forge(w: IkePair, side: Side, forgery: Forgery = {}): Uint8Array {
  const sa = forgery.sa ?? [...w[side].ike.sas].at(-1)!;
  const there = peerOf(w, side, sa);
  const { exchange = EXCHANGE.INFORMATIONAL, payloads = [], response = false, minor = 0 } = forgery;
  const header: HeaderFields = {
    spiI: sa.spiI,
    spiR: sa.spiR,
    exchange,
    minor,
    flags: { initiator: sa.initiator, version: false, response },
    messageId: forgery.messageId ?? (response ? there.requests.outstandingId! : there.responses.expectedId),
  };
  const protections = protectionsOf(keysOf(w, sa.spiI, sa.spiR)!);
  const protection = sa.initiator ? protections.initiator : protections.responder;
  return sealMessage(header, payloads, protection, ivSource(protection, seededRandom(w.sent.length + 99)));
}

/** The other end's view of an IKE SA. */
export function peerOf(w: IkePair, side: Side, sa: IkeSa): IkeSa {
  const there = side === 'a' ? w.b : w.a;
  return [...there.ike.sas].find((other) => sameBytes(other.localSpi, sa.remoteSpi))!;
}

/** Octets come to `to` as if the other end had sent them. */
export function deliver(w: IkePair, to: Side, octets: Uint8Array): void {
  const sa = [...w[to].ike.sas].at(-1);
  const local = sa?.local ?? { address: w.addresses[to], port: 500 };
  const remote = sa?.remote ?? { address: w.addresses[to === 'a' ? 'b' : 'a'], port: 500 };
  w.do(to, { type: 'datagram', local, remote, octets });
}

/** A message in the clear. */
export const clear = (header: HeaderFields, payloads: readonly Payload[]): Uint8Array =>
  encodeMessage(header, payloads);

export const notification = (notify: number, data: Uint8Array = new Uint8Array(0)): Payload => ({
  type: PAYLOAD.NOTIFY,
  critical: false,
  protocol: 0,
  spi: new Uint8Array(0),
  notify,
  data,
});

export { EXCHANGE, NOTIFY, PAYLOAD };
