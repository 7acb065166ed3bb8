/**
 * What one peer said according to an MRT file, as the messages that say it again on a session of another kind: RFC 6396 §4.3, §4.4.
 *
 * Routes of TABLE_DUMP_V2 come packed by attribute set, messages of BGP4MP one by one as they were; both with next hops of ours where there
 * are some. OPEN, KEEPALIVE, NOTIFICATION and ROUTE-REFRESH are the session's own affair. Leaves to others: reading the file, time, sending.
 * Deliberate limits: AS numbers of one width are not made into the other; a session that ended in the recording goes on here.
 * Invariant: what comes out can be sent on the session as it is, and what does not come out is counted with its reason.
 */
import { type Bytes, parse } from '../../core/index.ts';
import type { Address } from '../../ip/index.ts';
import { messageLength, messageType, withHeader } from '../message/frame.ts';
import { ATTRIBUTE, HEADER_LENGTH, MESSAGE } from '../message/iana.ts';
import { prefixBits } from '../message/nlri.ts';
import { type CodecContext, type Family, IPV4_UNICAST } from '../message/types.ts';
import { attributeType, countNlri, findAttribute, newUpdateView, nextAttribute } from '../message/update-view.ts';
import { withNextHop } from './next-hop.ts';
import { splitNextHop } from './route-attributes.ts';
import { blocksOf, peerKey } from './survey.ts';
import type { MessageRecord, MrtPeer, MrtRecord, RibEntry, RibRecord } from './types.ts';
import { UpdatePacker } from './update-packer.ts';

export interface ReplayOptions {
  /** Whose routes. */
  readonly peer: Pick<MrtPeer, 'address' | 'asn'>;
  /** What the session has settled for sending. */
  readonly send: CodecContext;
  /** Next hops of ours, one of a family at most, instead of those in the file. */
  readonly nextHops: readonly Address[];
}

/** Why something was not replayed. */
export const SKIPPED = {
  family: 'of a family that the session does not have',
  paths: 'with path identifiers that the session does not have, or without those it has',
  asNumbers: 'with AS numbers of another width than the session has',
  incomplete: 'without ORIGIN, AS_PATH or next hop',
  tooLong: 'longer than the session takes',
  damaged: 'that cannot be read',
} as const;
export type Skipped = keyof typeof SKIPPED;

export class MrtReplay {
  readonly skipped: Readonly<Record<Skipped, number>>;
  readonly #skipped: Record<Skipped, number>;
  readonly #options: ReplayOptions;
  readonly #key: string;
  readonly #packer: UpdatePacker;
  readonly #view = newUpdateView();
  /** The peer's places in the list that was read last. */
  #places = new Set<number>();
  #routes = 0;
  #messages = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#key = peerKey(options.peer);
    this.#packer = new UpdatePacker(options.send.maximumLength);
    this.#skipped = { family: 0, paths: 0, asNumbers: 0, incomplete: 0, tooLong: 0, damaged: 0 };
    this.skipped = this.#skipped;
  }

  /** Prefixes announced so far, those withdrawn again among them. */
  get routes(): number {
    return this.#routes;
  }

  get messages(): number {
    return this.#messages;
  }

  /** Messages to send now. */
  take(record: MrtRecord): Bytes[] {
    switch (record.kind) {
      case 'peerIndexTable':
        this.#places = new Set(record.peers.flatMap((peer, place) => (peerKey(peer) === this.#key ? [place] : [])));
        return [];
      case 'rib':
        return this.#counted(this.#rib(record));
      case 'message':
        return this.#counted(this.#message(record));
      default:
        return [];
    }
  }

  /** At the end of the file: what had waited for more of its kind. */
  *end(): Generator<Bytes, void, undefined> {
    for (const message of this.#packer.rest()) yield* this.#counted([message]);
  }

  #counted(messages: Bytes[]): Bytes[] {
    this.#messages += messages.length;
    return messages;
  }

  #rib(record: RibRecord): Bytes[] {
    const { families, addPath } = this.#options.send;
    const own = record.entries.filter(({ peer }) => this.#places.has(peer));
    if (own.length === 0) return [];
    if (!families.includes(record.family)) return this.#skip('family', own.length);
    const many = addPath.includes(record.family);
    if (!many && own.length > 1) this.#skip('paths', own.length - 1);
    return (many ? own : own.slice(0, 1)).flatMap((entry) => this.#entry(record, entry, many));
  }

  #entry({ family, prefix }: RibRecord, entry: RibEntry, withPathId: boolean): Bytes[] {
    const parsed = parse(() => splitNextHop(entry.attributes));
    if (!parsed.ok) return this.#skip('damaged');
    const { attributes, nextHop } = parsed.value;
    const has = (type: number): boolean => findAttribute(attributes, 0, attributes.length, type) >= 0;
    if (nextHop.length === 0 || !has(ATTRIBUTE.ORIGIN) || !has(ATTRIBUTE.AS_PATH)) return this.#skip('incomplete');
    const route = { family, prefix, attributes, nextHop: this.#nextHop(nextHop) };
    const before = this.#packer.tooLong;
    const full = this.#packer.add(withPathId ? { ...route, pathId: entry.pathId ?? 0 } : route);
    if (this.#packer.tooLong > before) this.#skip('tooLong');
    else this.#routes += 1;
    return full === undefined ? [] : [full];
  }

  #message(record: MessageRecord): Bytes[] {
    const { message, sent, peerAs: asn, peer: address } = record;
    if (sent || peerKey({ asn, address }) !== this.#key) return [];
    if (message.length < HEADER_LENGTH || messageLength(message, 0) !== message.length) return this.#skip('damaged');
    if (messageType(message, 0) !== MESSAGE.UPDATE) return [];
    const why = this.#unfit(record);
    if (why !== undefined) return this.#skip(why);
    const rewritten = withNextHop(this.#view, message, this.#options.nextHops);
    if (rewritten.length > this.#options.send.maximumLength) return this.#skip('tooLong');
    // A table in front of messages is older than they are.
    return [...this.#packer.rest(), rewritten];
  }

  #unfit({ message, fourOctetAs }: MessageRecord): Skipped | undefined {
    const { send } = this.#options;
    const blocks = blocksOf(this.#view, message);
    if (blocks === undefined) return 'damaged';
    if (blocks.length === 0 || blocks.some(({ family }) => !send.families.includes(family))) return 'family';
    let routes = 0;
    for (const { family, announces, at, end } of blocks) {
      const count = countNlri(message, at, end, prefixBits(family)!, send.addPath.includes(family));
      if (count < 0) return 'paths';
      if (announces) routes += count;
    }
    if (routes > 0 && fourOctetAs !== send.fourOctetAs && carriesAs(this.#view, message)) return 'asNumbers';
    this.#routes += routes;
    return undefined;
  }

  #nextHop(nextHop: Address): Address {
    return this.#options.nextHops.find((own) => (own.length === 4) === (nextHop.length === 4)) ?? nextHop;
  }

  #skip(why: Skipped, count = 1): [] {
    this.#skipped[why] += count;
    return [];
  }
}

/** Whether the width of AS numbers shows. */
function carriesAs(view: ReturnType<typeof newUpdateView>, message: Bytes): boolean {
  for (let a = view.attributesAt; a < view.attributesEnd; a = nextAttribute(message, a)) {
    const type = attributeType(message, a);
    if (type === ATTRIBUTE.AS_PATH || type === ATTRIBUTE.AGGREGATOR) return true;
  }
  return false;
}

/** RFC 4724 §2: End-of-RIB of a family. */
export function encodeEndOfRib(family: Family): Bytes {
  return withHeader(MESSAGE.UPDATE, (w) => {
    w.u16(0);
    w.counted16(() => {
      if (family === IPV4_UNICAST) return;
      w.bytes(Uint8Array.of(0x80, ATTRIBUTE.MP_UNREACH_NLRI, 3, family >>> 16, family >>> 8, family & 0xff));
    });
  });
}
