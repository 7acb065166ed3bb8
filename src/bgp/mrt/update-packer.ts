/**
 * Routes one by one into as few UPDATEs as they fit: all that share next hop and attributes come together, whatever their order.
 *
 * Read first: RFC 4271 §4.3, RFC 4760 §3. A message leaves when it is full; `rest` gives those that are not.
 * Limits: at most MAXIMUM_OPEN messages are open; the oldest leaves then, which costs packing alone.
 */
import { type Bytes, concat, Writer } from '../../core/index.ts';
import { networkOf, type Prefix } from '../../ip/index.ts';
import { withHeader } from '../message/frame.ts';
import { HEADER_LENGTH, MESSAGE } from '../message/iana.ts';
import type { Family } from '../message/types.ts';
import { isPlain, joinNextHop, type RouteAttributes, reachOf } from './route-attributes.ts';

export interface PackedRoute extends RouteAttributes {
  readonly family: Family;
  readonly prefix: Prefix;
  /** Where the session has ADD-PATH for the family (RFC 7911 §3). */
  readonly pathId?: number;
}

/** Twice the attribute sets of a full table of 2014. */
export const MAXIMUM_OPEN = 1 << 18;

interface OpenMessage extends RouteAttributes {
  readonly family: Family;
  readonly nlri: Writer;
  readonly room: number;
}

export class UpdatePacker {
  readonly #maximumLength: number;
  readonly #open = new Map<string, OpenMessage>();
  #tooLong = 0;

  constructor(maximumLength: number) {
    this.#maximumLength = maximumLength;
  }

  /** Routes whose attributes leave no room for a prefix. */
  get tooLong(): number {
    return this.#tooLong;
  }

  /** A message that has become full. */
  add(route: PackedRoute): Bytes | undefined {
    const key = keyOf(route);
    let open = this.#open.get(key);
    const need = (route.pathId === undefined ? 0 : 4) + 1 + ((route.prefix.length + 7) >>> 3);
    let full: Bytes | undefined;
    if (open !== undefined && open.nlri.length + need > open.room) {
      full = messageOf(open);
      this.#open.delete(key);
      open = undefined;
    }
    if (open === undefined) {
      open = this.#begin(route);
      if (need > open.room) {
        this.#tooLong += 1;
        return full;
      }
      full ??= this.#evicted();
      this.#open.set(key, open);
    }
    if (route.pathId !== undefined) open.nlri.u32(route.pathId);
    open.nlri.u8(route.prefix.length);
    open.nlri.bytes(networkOf(route.prefix).subarray(0, (route.prefix.length + 7) >>> 3));
    return full;
  }

  /** What is not full, in the order it was begun. */
  *rest(): Generator<Bytes, void, undefined> {
    for (const [key, open] of this.#open) {
      this.#open.delete(key);
      yield messageOf(open);
    }
  }

  #begin({ family, nextHop, attributes }: RouteAttributes & { readonly family: Family }): OpenMessage {
    const fixed = isPlain(family, nextHop)
      ? joinNextHop(family, { nextHop, attributes }).length
      : attributes.length + reachOf(family, nextHop, new Uint8Array(0)).length;
    const room = this.#maximumLength - HEADER_LENGTH - 4 - fixed;
    return { family, nextHop, attributes, nlri: new Writer(16), room };
  }

  #evicted(): Bytes | undefined {
    if (this.#open.size < MAXIMUM_OPEN) return undefined;
    for (const [key, open] of this.#open) {
      this.#open.delete(key);
      return messageOf(open);
    }
    return undefined;
  }
}

function messageOf({ family, nextHop, attributes, nlri }: OpenMessage): Bytes {
  const prefixes = nlri.finish();
  const plain = isPlain(family, nextHop);
  const block = plain
    ? joinNextHop(family, { nextHop, attributes })
    : concat(reachOf(family, nextHop, prefixes), attributes);
  return withHeader(MESSAGE.UPDATE, (w) => {
    w.u16(0);
    w.counted16(() => w.bytes(block));
    if (plain) w.bytes(prefixes);
  });
}

/** Octets as characters: nothing is cheaper to compare and to hash. */
function keyOf({ family, nextHop, attributes }: PackedRoute): string {
  let key = String.fromCharCode(family, nextHop.length);
  for (const octet of nextHop) key += CHARACTERS[octet];
  for (const octet of attributes) key += CHARACTERS[octet];
  return key;
}

const CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, octet) => String.fromCharCode(octet));
