/**
 * Proposals: their records, their octets, and how a list of them is made ready to be offered.
 *
 * Read first: RFC 7296 §3.3 (nesting, numbering), §3.3.1–3.3.6 (substructures, transforms, attributes).
 * Words for people stand in `proposal.ts`, choosing among proposals in `negotiate.ts`.
 * Deliberate limits: the eight bits of Num Transforms and Proposal Num bound what a message can hold.
 * Invariants: unknown transforms and attributes survive a round trip; `decodeProposals(encodeProposals(x)) = x`.
 */
import type { Bytes, Reader, Writer } from '../core/index.ts';
import { ATTRIBUTE, NONE_ID, TRANSFORM } from './iana.ts';

export interface Transform {
  readonly type: number;
  readonly id: number;
  /** Key Length attribute in bits. */
  readonly keyBits: number | undefined;
  /** Attributes nobody here knows: the transform must be skipped (§3.3.6). Kept for re-encoding. */
  readonly attributes: readonly Attribute[];
}

export interface Attribute {
  readonly type: number;
  /** A number is written in the TV format, octets in TLV. */
  readonly value: number | Bytes;
}

export interface Proposal {
  readonly number: number;
  /** 1 IKE, 2 AH, 3 ESP. */
  readonly protocol: number;
  readonly spi: Bytes;
  readonly transforms: readonly Transform[];
}

/** A transform without attributes but, for a cipher, its key length. */
export const transform = (type: number, id: number, keyBits?: number): Transform => ({
  type,
  id,
  keyBits,
  attributes: [],
});

export const transformsOf = (proposal: Proposal, type: number): Transform[] =>
  proposal.transforms.filter((candidate) => candidate.type === type);

/** The same algorithm with the same key length; never one with an attribute nobody knows (§3.3.6). */
export const sameTransform = (a: Transform, b: Transform): boolean =>
  a.type === b.type &&
  a.id === b.id &&
  a.keyBits === b.keyBits &&
  a.attributes.length === 0 &&
  b.attributes.length === 0;

export const isKeyExchange = (type: number): boolean =>
  type === TRANSFORM.KE || (type >= TRANSFORM.ADDKE1 && type <= TRANSFORM.ADDKE7);

/**
 * The list ready to be offered: numbered 1..n, each with this SPI (empty in IKE_SA_INIT).
 * `withoutGroups` leaves key exchanges out, as the child of IKE_AUTH must (§1.2); proposals that become equal merge.
 */
export function offer(
  proposals: readonly Proposal[],
  spi: Bytes,
  options: { readonly withoutGroups?: boolean } = {},
): Proposal[] {
  const out: Proposal[] = [];
  for (const { protocol, transforms: all } of proposals) {
    const transforms = options.withoutGroups ? all.filter(({ type }) => !isKeyExchange(type)) : all;
    const repeated = out.some(
      (earlier) =>
        earlier.protocol === protocol &&
        earlier.transforms.length === transforms.length &&
        transforms.every((t, i) => sameTransform(t, earlier.transforms[i]!)),
    );
    if (!repeated) out.push({ number: out.length + 1, protocol, spi, transforms });
  }
  return out;
}

/** The key exchange method that comes first: what the first KE payload is made of. Undefined: none but NONE. */
export function firstGroup(proposals: readonly Proposal[]): number | undefined {
  for (const proposal of proposals) {
    const group = transformsOf(proposal, TRANSFORM.KE).find(({ id }) => id !== NONE_ID);
    if (group !== undefined) return group.id;
  }
  return undefined;
}

/* SA payload body, RFC 7296 §3.3: one or more
 *   last (1: 0 or 2) | RESERVED (1) | length (2) | number (1) | protocol (1) | SPI size (1) | transforms (1) | SPI | transforms */
export function decodeProposals(r: Reader): Proposal[] {
  const proposals: Proposal[] = [];
  let last: number;
  do {
    last = r.u8('proposal.last');
    if (last !== 0 && last !== MORE_PROPOSALS) r.fail('proposal.last', `${last} is neither 0 nor ${MORE_PROPOSALS}`);
    r.skip(1, 'proposal.reserved');
    const length = r.u16('proposal.length');
    if (length < PROPOSAL_HEADER) r.fail('proposal.length', `${length} octets are less than a proposal's header`);
    const body = r.sub('proposal', length - 4);
    const number = body.u8('proposal.number');
    const protocol = body.u8('proposal.protocol');
    const spiSize = body.u8('proposal.spiSize');
    const count = body.u8('proposal.transforms');
    const spi = body.bytes('proposal.spi', spiSize);
    const transforms: Transform[] = [];
    for (let i = 1; i <= count; i++) transforms.push(decodeTransform(body, i === count));
    body.done('proposal');
    proposals.push({ number, protocol, spi, transforms });
  } while (last === MORE_PROPOSALS);
  return proposals;
}

export function encodeProposals(w: Writer, proposals: readonly Proposal[]): void {
  proposals.forEach(({ number, protocol, spi, transforms }, i) => {
    w.u8(i === proposals.length - 1 ? 0 : MORE_PROPOSALS);
    w.u8(0);
    w.counted16(() => {
      w.u8(number);
      w.u8(protocol);
      w.u8(spi.length);
      w.u8(transforms.length);
      w.bytes(spi);
      transforms.forEach((t, j) => {
        encodeTransform(w, t, j === transforms.length - 1);
      });
    }, 4);
  });
}

/* §3.3.2: last (1: 0 or 3) | RESERVED (1) | length (2) | type (1) | RESERVED (1) | id (2) | attributes */
function decodeTransform(r: Reader, isLast: boolean): Transform {
  const last = r.u8('transform.last');
  if (last !== (isLast ? 0 : MORE_TRANSFORMS))
    r.fail('transform.last', `${last} does not fit the number of transforms`);
  r.skip(1, 'transform.reserved');
  const length = r.u16('transform.length');
  if (length < TRANSFORM_HEADER) r.fail('transform.length', `${length} octets are less than a transform's header`);
  const body = r.sub('transform', length - 4);
  const type = body.u8('transform.type');
  body.skip(1, 'transform.reserved');
  const id = body.u16('transform.id');
  let keyBits: number | undefined;
  const attributes: Attribute[] = [];
  while (body.left > 0) {
    const attribute = decodeAttribute(body);
    // A second Key Length, or one in the TLV format, is against §3.3.5: kept as what nobody knows.
    if (attribute.type === ATTRIBUTE.KEY_LENGTH && typeof attribute.value === 'number' && keyBits === undefined) {
      keyBits = attribute.value;
    } else attributes.push(attribute);
  }
  return { type, id, keyBits, attributes };
}

function encodeTransform(w: Writer, { type, id, keyBits, attributes }: Transform, isLast: boolean): void {
  w.u8(isLast ? 0 : MORE_TRANSFORMS);
  w.u8(0);
  w.counted16(() => {
    w.u8(type);
    w.u8(0);
    w.u16(id);
    if (keyBits !== undefined) encodeAttribute(w, { type: ATTRIBUTE.KEY_LENGTH, value: keyBits });
    for (const attribute of attributes) encodeAttribute(w, attribute);
  }, 4);
}

/* §3.3.5: AF (1 bit), type (15 bits) | with AF: value (2); without: length (2), value */
function decodeAttribute(r: Reader): Attribute {
  const head = r.u16('attribute.type');
  const type = head & 0x7fff;
  if ((head & ATTRIBUTE_FORMAT) !== 0) return { type, value: r.u16('attribute.value') };
  return { type, value: r.bytes('attribute.value', r.u16('attribute.length')) };
}

function encodeAttribute(w: Writer, { type, value }: Attribute): void {
  if (typeof value === 'number') {
    w.u16(type | ATTRIBUTE_FORMAT);
    w.u16(value);
  } else {
    w.u16(type);
    w.counted16(() => w.bytes(value));
  }
}

const PROPOSAL_HEADER = 8;
const TRANSFORM_HEADER = 8;
const MORE_PROPOSALS = 2;
const MORE_TRANSFORMS = 3;
const ATTRIBUTE_FORMAT = 0x8000;
