/**
 * Choosing one proposal of the peer's, checking the peer's choice, and saying what differs where nothing fits.
 *
 * Read first: RFC 7296 §2.7 (negotiation), §3.3 (AEAD and NONE), §3.3.3 (mandatory types), §3.3.6 (what must be skipped).
 * Preference: our first proposal that fits wins, and in it our first algorithm of each type (strongSwan's default, too).
 * Deliberate limits: key lengths must be equal (§3.3.5 would let a longer one pass); no additional key exchanges (RFC 9370).
 * Invariants: what is chosen has exactly one transform of each type the peer's proposal has, unmodified and among ours.
 */
import { invariant } from '../core/index.ts';
import { encryptionById, groupById, integrityById, prfById } from '../crypto/index.ts';
import type { ChildSuite, IkeSuite } from './contract.ts';
import { ESN, NONE_ID, PROTOCOL, protocolName, TRANSFORM, transformTypeName } from './iana.ts';
import {
  formatProposal,
  formatTransform,
  isKeyExchange,
  type Proposal,
  parseProposal,
  sameTransform,
  type Transform,
  transform,
  transformsOf,
} from './proposal.ts';

export interface NegotiateOptions {
  /** Key exchanges play no part (the child of IKE_AUTH, RFC 7296 §1.2). */
  readonly withoutGroups?: boolean;
  /** The group of the KE payload at hand: preferred where ours and theirs allow it, which saves an INVALID_KE_PAYLOAD. */
  readonly group?: number;
}

export type Negotiated =
  /** Numbered as theirs and with their SPI: put your own SPI in before answering with it. */
  | { readonly ok: true; readonly proposal: Proposal }
  /** Ours against theirs, for people. */
  | { readonly ok: false; readonly lines: readonly string[] };

export function negotiate(
  ours: readonly Proposal[],
  theirs: readonly Proposal[],
  options: NegotiateOptions = {},
): Negotiated {
  for (const own of ours) {
    for (const peer of theirs) {
      const { chosen, differs } = match(own, peer, options);
      if (differs.length === 0) return { ok: true, proposal: { ...peer, transforms: chosen } };
    }
  }
  return { ok: false, lines: explainMismatch(ours, theirs, options) };
}

/**
 * For each proposal of theirs the nearest of ours, the first transform type that differs, and what would make it fit:
 *
 *     theirs 1: aes128-sha1-modp1024
 *       nearest of ours: aes256-sha256-modp2048
 *       encryption differs: ours aes256, theirs aes128
 *       to accept it, add: aes128-sha256-modp2048
 */
export function explainMismatch(
  ours: readonly Proposal[],
  theirs: readonly Proposal[],
  options: NegotiateOptions = {},
): string[] {
  if (theirs.length === 0) return ['theirs: no proposal at all'];
  const lines = theirs.slice(0, MAX_EXPLAINED).flatMap((peer) => explainOne(ours, peer, options));
  const more = theirs.length - MAX_EXPLAINED;
  return more > 0 ? [...lines, `and ${more} more of theirs`] : lines;
}

export type Selected =
  | { readonly ok: true; readonly proposal: Proposal }
  | { readonly ok: false; readonly problem: string };

/** The responder's choice, if it is one of what was `offered` (RFC 7296 §3.3.6: else the exchange ends). */
export function checkSelected(
  offered: readonly Proposal[],
  selected: readonly Proposal[],
  options: { readonly withoutGroups?: boolean } = {},
): Selected {
  const [choice] = selected;
  if (choice === undefined || selected.length !== 1) return refused(`the answer holds ${selected.length} proposals`);
  const offer = offered.find(({ number }) => number === choice.number);
  if (offer === undefined) return refused(`the answer takes proposal ${choice.number}, ${offered.length} were offered`);
  if (offer.protocol !== choice.protocol) {
    return refused(`the answer is for ${protocolName(choice.protocol)}, ${protocolName(offer.protocol)} was offered`);
  }
  for (const type of typesOf(offer, choice)) {
    if (options.withoutGroups && isKeyExchange(type)) continue;
    const chosen = transformsOf(choice, type);
    const open = transformsOf(offer, type);
    if (chosen.length > 1) return refused(`the answer holds ${chosen.length} transforms for ${labelOf(type)}`);
    const only = chosen[0];
    if (only === undefined) {
      if (open.some(isNone)) continue;
      return refused(`the answer leaves out ${labelOf(type)}: offered were ${listed(open)}`);
    }
    if (open.length === 0 && isNone(only)) continue;
    if (!open.some((t) => sameTransform(t, only))) {
      return refused(`the answer takes ${formatTransform(only)} for ${labelOf(type)}: offered were ${listed(open)}`);
    }
  }
  return { ok: true, proposal: choice };
}

/** The algorithms of a negotiated IKE proposal. Anything else is a broken invariant. */
export function suiteOfIke(proposal: Proposal): IkeSuite {
  const prf = prfById(only(proposal, TRANSFORM.PRF)?.id ?? NONE_ID);
  const group = groupById(only(proposal, TRANSFORM.KE)?.id ?? NONE_ID);
  invariant(proposal.protocol === PROTOCOL.IKE && prf && group, 'a negotiated IKE proposal is complete');
  return { ...ciphersOf(proposal), prf, group };
}

/** The algorithms of a negotiated ESP proposal. Anything else is a broken invariant. */
export function suiteOfChild(proposal: Proposal): ChildSuite {
  invariant(proposal.protocol === PROTOCOL.ESP, 'a negotiated child is ESP');
  const groupId = groupOf(proposal);
  const group = groupId === undefined ? undefined : groupById(groupId);
  invariant(groupId === undefined || group !== undefined, 'a negotiated group is implemented');
  return { ...ciphersOf(proposal), group, esn: only(proposal, TRANSFORM.ESN)?.id === ESN.ESN };
}

/** The key exchange method of a chosen proposal; undefined for none. */
export function groupOf(proposal: Proposal): number | undefined {
  const id = only(proposal, TRANSFORM.KE)?.id;
  return id === NONE_ID ? undefined : id;
}

interface Match {
  readonly chosen: Transform[];
  /** Types in which nothing is common, in the order they are compared. */
  readonly differs: number[];
}

function match(own: Proposal, peer: Proposal, options: NegotiateOptions): Match {
  const chosen: Transform[] = [];
  const differs: number[] = own.protocol === peer.protocol ? [] : [PROTOCOL_DIFFERS];
  for (const type of typesOf(own, peer)) {
    if (options.withoutGroups && isKeyExchange(type)) continue;
    const common = choose(transformsOf(own, type), transformsOf(peer, type), type, options.group);
    if (common === undefined) differs.push(type);
    else if (common !== 'absent') chosen.push(common);
  }
  return { chosen, differs };
}

/** One transform of theirs that is ours, too; `absent` where the type may be left out; undefined where nothing fits. */
function choose(
  own: readonly Transform[],
  peer: readonly Transform[],
  type: number,
  group: number | undefined,
): Transform | 'absent' | undefined {
  const none = NONE_TYPES(type) ? transform(type, NONE_ID) : undefined;
  if (peer.length === 0) return own.length === 0 || own.some(isNone) ? 'absent' : undefined;
  const allowed = own.length === 0 && none !== undefined ? [none] : own;
  const common = allowed.filter((t) => peer.some((theirs) => sameTransform(theirs, t)));
  return (type === TRANSFORM.KE ? common.find(({ id }) => id === group && id !== NONE_ID) : undefined) ?? common[0];
}

function explainOne(ours: readonly Proposal[], peer: Proposal, options: NegotiateOptions): string[] {
  const head = `theirs ${peer.number}: ${formatProposal(shown(peer, options))}`;
  let nearest: { own: Proposal; differs: number[]; chosen: Transform[] } | undefined;
  for (const own of ours) {
    const { differs, chosen } = match(own, peer, options);
    if (nearest === undefined || differs.length < nearest.differs.length) nearest = { own, differs, chosen };
  }
  if (nearest === undefined) return [head, '  ours: no proposal at all'];
  const { own, differs, chosen } = nearest;
  const lines = [head, `  nearest of ours: ${formatProposal(shown(own, options))}`];
  const type = differs[0];
  if (type === undefined) return lines;
  if (type === PROTOCOL_DIFFERS) {
    return [...lines, `  protocol differs: ours ${protocolName(own.protocol)}, theirs ${protocolName(peer.protocol)}`];
  }
  const [us, them] = [transformsOf(own, type), transformsOf(peer, type)];
  lines.push(
    `  ${labelOf(type)} ${type === TRANSFORM.ESN ? 'differ' : 'differs'}: ours ${listed(us)}, theirs ${listed(them)}`,
  );
  return [...lines, `  ${remedy(own, peer, chosen, differs, options)}`];
}

/** What to write into our document so that `peer` fits, as a word of its proposals. */
function remedy(
  own: Proposal,
  peer: Proposal,
  chosen: readonly Transform[],
  differs: readonly number[],
  options: NegotiateOptions,
): string {
  const taken: Transform[] = [...chosen];
  for (const type of differs) {
    const theirs = transformsOf(peer, type);
    const missing = theirs.length === 0;
    if (missing && MANDATORY(own.protocol).includes(type))
      return `no proposal can fit: theirs lacks ${labelOf(type)} (RFC 7296 §3.3.3)`;
    const known = missing ? undefined : theirs.find(isImplemented);
    if (!missing && known === undefined) return `nothing here implements ${listed(theirs)}`;
    if (known !== undefined) taken.push(known);
  }
  const word = formatProposal({ ...own, transforms: taken.filter((t) => !isNone(t)) });
  const use = own.protocol === PROTOCOL.IKE ? 'ike' : 'esp';
  if (parseProposal(word, use).ok) return `to accept it, add: ${word}${options.withoutGroups ? GROUPS_OPEN : ''}`;
  const legacy = parseProposal(word, use, { legacy: true });
  return legacy.ok
    ? `to accept it, add: ${word} (obsolete: needs "legacy: true")`
    : `no proposal can fit: ${legacy.problem}`;
}

const isImplemented = ({ type, id, keyBits, attributes }: Transform): boolean => {
  if (attributes.length > 0) return false;
  if (type === TRANSFORM.ENCR) return encryptionById(id, keyBits) !== undefined;
  if (keyBits !== undefined) return false;
  if (type === TRANSFORM.PRF) return prfById(id) !== undefined;
  if (type === TRANSFORM.INTEG) return integrityById(id) !== undefined;
  if (type === TRANSFORM.KE) return groupById(id) !== undefined;
  return type === TRANSFORM.ESN && id <= ESN.ESN;
};

/** The proposal as it took part. */
const shown = (proposal: Proposal, { withoutGroups }: NegotiateOptions): Proposal =>
  withoutGroups
    ? { ...proposal, transforms: proposal.transforms.filter(({ type }) => !isKeyExchange(type)) }
    : proposal;

const listed = (transforms: readonly Transform[]): string =>
  transforms.length === 0 ? 'none' : transforms.map(formatTransform).join(', ');

/** The types of two proposals in the order people read them; of unknown ones the first, which is reason enough to refuse. */
function typesOf(a: Proposal, b: Proposal): number[] {
  const present = new Set([...a.transforms, ...b.transforms].map(({ type }) => type));
  const known = READING_ORDER.filter((type) => present.delete(type));
  const [unknown] = present;
  return unknown === undefined ? known : [...known, unknown];
}

const only = (proposal: Proposal, type: number): Transform | undefined => transformsOf(proposal, type)[0];

function ciphersOf(proposal: Proposal): Pick<IkeSuite, 'encryption' | 'integrity'> {
  const cipher = only(proposal, TRANSFORM.ENCR);
  const encryption = cipher === undefined ? undefined : encryptionById(cipher.id, cipher.keyBits);
  invariant(encryption !== undefined, 'a negotiated proposal has an encryption algorithm');
  const integrity = integrityById(only(proposal, TRANSFORM.INTEG)?.id ?? NONE_ID);
  invariant(encryption.aead === (integrity === undefined), 'integrity stands beside every cipher that is no AEAD');
  return { encryption, integrity };
}

const isNone = ({ type, id }: Transform): boolean => NONE_TYPES(type) && id === NONE_ID;
/** Types whose transform 0 says that there is none. Of type ESN, 0 is an algorithm like others. */
const NONE_TYPES = (type: number): boolean => type === TRANSFORM.INTEG || isKeyExchange(type);
const MANDATORY = (protocol: number): readonly number[] =>
  protocol === PROTOCOL.IKE ? [TRANSFORM.ENCR, TRANSFORM.PRF, TRANSFORM.KE] : [TRANSFORM.ENCR, TRANSFORM.ESN];

const READING_ORDER: readonly number[] = [
  TRANSFORM.ENCR,
  TRANSFORM.INTEG,
  TRANSFORM.PRF,
  TRANSFORM.KE,
  TRANSFORM.ESN,
  TRANSFORM.ADDKE1,
  TRANSFORM.ADDKE2,
  TRANSFORM.ADDKE3,
  TRANSFORM.ADDKE4,
  TRANSFORM.ADDKE5,
  TRANSFORM.ADDKE6,
  TRANSFORM.ADDKE7,
];
const LABEL: ReadonlyMap<number, string> = new Map([
  [TRANSFORM.ENCR, 'encryption'],
  [TRANSFORM.INTEG, 'integrity'],
  [TRANSFORM.PRF, 'PRF'],
  [TRANSFORM.KE, 'key exchange'],
  [TRANSFORM.ESN, 'sequence numbers'],
]);
const labelOf = (type: number): string => LABEL.get(type) ?? transformTypeName(type);
const refused = (problem: string): Selected => ({ ok: false, problem });

const GROUPS_OPEN = ' (key exchange groups matter at the first rekey)';
/** Stands in front of all types where the protocols differ. */
const PROTOCOL_DIFFERS = -1;
/** Proposals of theirs that are explained; an ordinary peer offers fewer than ten. */
const MAX_EXPLAINED = 8;
