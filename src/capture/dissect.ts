/**
 * From captured frames to records: link layer, IP, fragments, UDP 500 and 4500 and protocol 50, IKE and ESP.
 *
 * Read first: RFC 3948 §2 (what stands on the NAT-T port), RFC 7296 §2.23 and §3.1.
 * The layers have a file each: `link.ts`, `ip-reassembly.ts`, `ike-dissector.ts`, `esp-dissector.ts`.
 * Invariant: total. Whatever the octets, a frame becomes one record and nothing is thrown for it.
 */
import type { Bytes } from '../core/index.ts';
import { toHex, u16, u32, WireError } from '../core/index.ts';
import { classify, DATAGRAM, NAT_T_PORT, NON_ESP_MARKER_LENGTH } from '../esp/index.ts';
import type { Address } from '../ip/index.ts';
import {
  DROP,
  DROP_NAMES,
  DROP_TEXT,
  type DropReason,
  destinationOf,
  findUpperLayer,
  IP_PROTOCOL,
  ipVersion,
  newUpperLayer,
  PASS,
  protocolName,
  sourceOf,
} from '../ip/index.ts';
import { dissectEsp } from './esp-dissector.ts';
import { type CaptureTime, type Frame, secondsBetween } from './frame.ts';
import { IkeDissector } from './ike-dissector.ts';
import { IpReassembly } from './ip-reassembly.ts';
import { KeyRing } from './keys.ts';
import { findPacket } from './link.ts';
import type { Content, FrameRecord } from './record.ts';

export const IKE_PORT = 500;

export interface DissectorOptions {
  readonly keys?: KeyRing;
  /** UDP ports beside 500 and 4500 on which IKE and ESP are looked for. */
  readonly ports?: readonly number[];
}

/** Holds what later frames need of earlier ones: one for each capture. */
export class Dissector {
  readonly keys: KeyRing;
  readonly #ike: IkeDissector;
  readonly #fragments = new IpReassembly();
  readonly #ports: ReadonlySet<number>;
  #first: CaptureTime | undefined;

  constructor(options: DissectorOptions = {}) {
    this.keys = options.keys ?? new KeyRing();
    this.#ike = new IkeDissector(this.keys);
    this.#ports = new Set(options.ports ?? []);
  }

  dissect(frame: Frame): FrameRecord {
    this.#first ??= frame.time;
    const elapsed = frame.time === undefined ? undefined : secondsBetween(this.#first!, frame.time);
    return {
      frame: frame.number,
      time: frame.time,
      elapsed,
      length: frame.octets.length,
      interfaceName: frame.interfaceName,
      direction: frame.direction,
      comments: frame.comments,
      ...NOWHERE,
      ...this.#link(frame),
    };
  }

  /** One message or packet on its own: IKE with or without non-ESP marker, or ESP. */
  dissectMessage(octets: Bytes): FrameRecord {
    const content = this.#datagram(octets, 1, '', undefined, undefined, !looksLikeIke(octets));
    return {
      frame: 1,
      time: undefined,
      elapsed: undefined,
      length: octets.length,
      interfaceName: undefined,
      direction: undefined,
      comments: [],
      ...NOWHERE,
      content,
    };
  }

  #link(frame: Frame): Place {
    const { octets } = frame;
    const found = findPacket(frame.linkType, octets);
    if (found.is === 'short') {
      const problem = `needs ${found.needed} octets, ${octets.length} left`;
      return { content: malformed(`${found.field}.header`, 0, problem) };
    }
    const { vlans } = found;
    if (found.is === 'other') return { vlans, content: { is: 'other', what: found.what } };
    return { vlans, ...this.#ip(octets, found.at, frame) };
  }

  #ip(octets: Bytes, at: number, frame: Frame): Place {
    const layer = newUpperLayer();
    const verdict = findUpperLayer(octets, at, octets.length, layer);
    if (verdict !== PASS) {
      const cut = frame.originalLength > octets.length && (verdict === DROP.length || verdict === DROP.short);
      const why = cut
        ? `the capture holds ${octets.length} of ${frame.originalLength} octets`
        : DROP_TEXT[DROP_NAMES[verdict] as DropReason];
      return { content: malformed('ip.header', at, why) };
    }
    const source = sourceOf(octets, at);
    const destination = destinationOf(octets, at);
    const body = octets.subarray(layer.at, layer.end);
    if (layer.fragmentOffset === 0 && !layer.moreFragments) {
      return { source, destination, ...this.#transport(body, layer.protocol, frame.number, source, destination) };
    }
    const id = ipVersion(octets, at) === 4 ? u16(octets, at + 4) : u32(octets, layer.fragmentHeader + 4);
    const whole = this.#fragments.add({
      // RFC 8200 §4.5: the protocol of an IPv6 datagram is what its first fragment says, so it is no part of the key.
      key: `${toHex(source)} ${toHex(destination)} ${id}${source.length === 4 ? ` ${layer.protocol}` : ''}`,
      offset: layer.fragmentOffset,
      more: layer.moreFragments,
      data: body.slice(),
      frame: frame.number,
    });
    if (whole === undefined) {
      const { fragmentOffset: offset, moreFragments: more } = layer;
      return { source, destination, content: { is: 'fragment', offset, length: body.length, more } };
    }
    const { data, frames: fragments } = whole;
    return {
      source,
      destination,
      fragments,
      ...this.#transport(data, layer.protocol, frame.number, source, destination),
    };
  }

  #transport(body: Bytes, protocol: number, frame: number, source: Address, destination: Address): Place {
    if (protocol === IP_PROTOCOL.esp) return { content: dissectEsp(body, this.keys, source, destination) };
    if (protocol !== IP_PROTOCOL.udp) return { content: { is: 'other', what: protocolName(protocol) } };
    if (body.length < UDP_HEADER) return { content: malformed('udp.header', 0, `needs 8 octets, ${body.length} left`) };
    const sourcePort = u16(body, 0);
    const destinationPort = u16(body, 2);
    const length = u16(body, 4);
    const where = { sourcePort, destinationPort };
    if (length < UDP_HEADER || length > body.length) {
      return { ...where, content: malformed('udp.length', 4, `${length} octets, the packet has ${body.length}`) };
    }
    const payload = body.subarray(UDP_HEADER, length);
    const has = (port: number): boolean => sourcePort === port || destinationPort === port;
    const given = this.#ports.has(sourcePort) || this.#ports.has(destinationPort);
    if (!has(IKE_PORT) && !has(NAT_T_PORT) && !given) return { ...where, content: { is: 'other', what: 'udp' } };
    const marked = !has(IKE_PORT) && (has(NAT_T_PORT) || !looksLikeIke(payload));
    const path = `${toHex(source)} ${sourcePort} ${toHex(destination)} ${destinationPort}`;
    return { ...where, content: this.#datagram(payload, frame, path, source, destination, marked) };
  }

  /** `marked`: ESP, keepalives, and IKE behind the non-ESP marker (RFC 3948 §2); else IKE only. */
  #datagram(
    payload: Bytes,
    frame: number,
    path: string,
    source: Address | undefined,
    destination: Address | undefined,
    marked: boolean,
  ): Content {
    if (!marked) return this.#ike.dissect(payload, frame, path);
    const kind = classify(payload, 0, payload.length);
    if (kind === DATAGRAM.keepalive) return { is: 'keepalive' };
    if (kind === DATAGRAM.short) return malformed('udp.payload', 0, `${payload.length} octets are neither IKE nor ESP`);
    if (kind === DATAGRAM.ike) return this.#ike.dissect(payload.slice(NON_ESP_MARKER_LENGTH), frame, path);
    return dissectEsp(payload, this.keys, source, destination);
  }
}

/** What the layers below the content find out. */
type Place = Partial<Where> & { readonly content: Content };
type Where = Pick<FrameRecord, 'vlans' | 'source' | 'destination' | 'sourcePort' | 'destinationPort' | 'fragments'>;

/** Whether a message stands here without marker: an IKEv2 header whose Length is that of the datagram. */
export const looksLikeIke = (octets: Bytes): boolean =>
  octets.length >= 28 &&
  octets[17]! >>> 4 === 2 &&
  u32(octets, 24) === octets.length &&
  u32(octets, 0) + u32(octets, 4) !== 0;

const malformed = (field: string, at: number, problem: string): Content => ({
  is: 'malformed',
  error: new WireError(field, at, problem),
});

const NOWHERE: Where = {
  vlans: [],
  source: undefined,
  destination: undefined,
  sourcePort: undefined,
  destinationPort: undefined,
  fragments: undefined,
};
const UDP_HEADER = 8;
