/**
 * What is in an MRT file, before any of it is replayed: whose routes and messages, of which families, with how wide AS numbers.
 *
 * A peer is its AS number and address, wherever in the file and in how many lists of peers it stands; its number is its place in the
 * order of appearance, which is that of PEER_INDEX_TABLE in a file with one table. BGP4MP says that NLRI have path identifiers and not
 * for which families (RFC 8050 §4.1): a family has them when all its NLRI can be read so, as they hardly ever can by chance.
 * Limits: MAXIMUM_PEERS; what others said is counted as nobody's.
 */
import { type Bytes, u32 } from '../../core/index.ts';
import { type Address, formatAddress } from '../../ip/index.ts';
import { messageType } from '../message/frame.ts';
import { HEADER_LENGTH, MESSAGE } from '../message/iana.ts';
import { prefixBits } from '../message/nlri.ts';
import { type Family, IPV4_UNICAST } from '../message/types.ts';
import {
  attributeLength,
  attributeValueAt,
  countNlri,
  mpFamily,
  mpReachFits,
  mpReachNlriAt,
  mpUnreachFits,
  mpUnreachNlriAt,
  newUpdateView,
  type UpdateView,
  VIEW,
  viewUpdate,
} from '../message/update-view.ts';
import type { MessageRecord, MrtPeer, MrtRecord, PeerIndexTable, RibRecord } from './types.ts';

export interface PeerSurvey {
  readonly address: Address;
  readonly asn: number;
  /** 0 where the file does not say. */
  identifier: number;
  /** In RIB records. */
  routes: number;
  /** UPDATEs in messages. */
  updates: number;
  /** UPDATEs whose AS numbers have two octets. */
  twoOctetUpdates: number;
  readonly families: Set<Family>;
  /** Families with path identifiers. */
  readonly addPath: Set<Family>;
}

/** More than one list of peers can have. */
export const MAXIMUM_PEERS = 1 << 17;

export class MrtSurvey {
  readonly #peers = new Map<string, PeerSurvey>();
  readonly #view = newUpdateView();
  /** Families that have been seen without path identifiers where there could be some. */
  readonly #without = new Map<PeerSurvey, Set<Family>>();
  #list: readonly (PeerSurvey | undefined)[] = [];
  #records = 0;
  #others = 0;
  #unclaimed = 0;

  get peers(): readonly PeerSurvey[] {
    return [...this.#peers.values()];
  }

  get records(): number {
    return this.#records;
  }

  /** Records of types that are not read. */
  get others(): number {
    return this.#others;
  }

  /** Routes of peers that are in no list. */
  get unclaimed(): number {
    return this.#unclaimed;
  }

  add(record: MrtRecord): void {
    this.#records += 1;
    switch (record.kind) {
      case 'peerIndexTable':
        this.#list = this.#listed(record);
        break;
      case 'rib':
        this.#rib(record);
        break;
      case 'message':
        this.#message(record);
        break;
      case 'other':
        this.#others += 1;
        break;
      case 'state':
        break;
    }
  }

  #listed({ peers }: PeerIndexTable): (PeerSurvey | undefined)[] {
    return peers.map((peer) => this.#peer(peer));
  }

  #rib({ family, addPath, entries }: RibRecord): void {
    for (const { peer: index } of entries) {
      const peer = this.#list[index];
      if (peer === undefined) {
        this.#unclaimed += 1;
        continue;
      }
      peer.routes += 1;
      peer.families.add(family);
      if (addPath) peer.addPath.add(family);
    }
  }

  #message({ message, peer: address, peerAs: asn, sent, fourOctetAs, addPath }: MessageRecord): void {
    if (sent || message.length < HEADER_LENGTH) return;
    const type = messageType(message, 0);
    const identifier = type === MESSAGE.OPEN && message.length >= 28 ? identifierOf(message) : 0;
    const peer = this.#peer({ address, asn, identifier });
    if (peer === undefined || type !== MESSAGE.UPDATE) return;
    peer.updates += 1;
    if (!fourOctetAs) peer.twoOctetUpdates += 1;
    for (const { family, at, end } of blocksOf(this.#view, message) ?? []) {
      peer.families.add(family);
      if (addPath && at < end) this.#pathIds(peer, family, message, at, end);
    }
  }

  #pathIds(peer: PeerSurvey, family: Family, message: Bytes, at: number, end: number): void {
    const without = this.#without.get(peer) ?? new Set();
    if (without.has(family)) return;
    if (countNlri(message, at, end, prefixBits(family) ?? 0, true) > 0) {
      peer.addPath.add(family);
      return;
    }
    peer.addPath.delete(family);
    this.#without.set(peer, without.add(family));
  }

  #peer({ address, asn, identifier }: MrtPeer): PeerSurvey | undefined {
    const key = peerKey({ address, asn });
    const known = this.#peers.get(key);
    if (known !== undefined) {
      if (identifier !== 0) known.identifier = identifier;
      return known;
    }
    if (this.#peers.size >= MAXIMUM_PEERS) return undefined;
    const none = { routes: 0, updates: 0, twoOctetUpdates: 0 };
    const peer: PeerSurvey = { address, asn, identifier, ...none, families: new Set(), addPath: new Set() };
    this.#peers.set(key, peer);
    return peer;
  }
}

/** A peer in whichever list: AS number and address. */
export const peerKey = ({ address, asn }: Pick<MrtPeer, 'address' | 'asn'>): string =>
  `${asn} ${formatAddress(address)}`;

interface NlriBlock {
  readonly family: Family;
  /** False for prefixes that are withdrawn. */
  readonly announces: boolean;
  readonly at: number;
  readonly end: number;
}

/** Where prefixes are in an UPDATE, those of families that are prefixes; undefined where the parts of the message do not fit. */
export function blocksOf(view: UpdateView, message: Bytes): NlriBlock[] | undefined {
  if (message.length < HEADER_LENGTH + 4 || viewUpdate(view, message, 0) !== VIEW.sound) return undefined;
  const blocks: NlriBlock[] = [];
  const { withdrawnAt, withdrawnEnd, nlriAt, nlriEnd, mpReach, mpUnreach } = view;
  const add = (family: Family, announces: boolean, at: number, end: number): void => {
    if (prefixBits(family) !== undefined) blocks.push({ family, announces, at, end });
  };
  const endOf = (a: number): number => attributeValueAt(message, a) + attributeLength(message, a);
  if (withdrawnAt < withdrawnEnd) add(IPV4_UNICAST, false, withdrawnAt, withdrawnEnd);
  // Neither prefixes nor attributes: End-of-RIB (RFC 4724 §2).
  if (nlriAt < nlriEnd || (blocks.length === 0 && view.count === 0)) add(IPV4_UNICAST, true, nlriAt, nlriEnd);
  if (mpReach >= 0 && mpReachFits(message, mpReach))
    add(mpFamily(message, mpReach), true, mpReachNlriAt(message, mpReach), endOf(mpReach));
  if (mpUnreach >= 0 && mpUnreachFits(message, mpUnreach))
    add(mpFamily(message, mpUnreach), false, mpUnreachNlriAt(message, mpUnreach), endOf(mpUnreach));
  return blocks;
}

/** RFC 4271 §4.2: BGP Identifier of an OPEN. */
const identifierOf = (open: Bytes): number => u32(open, 24);
