/**
 * Proposals in the words of strongSwan's configuration files, both ways, and the proposals offered by default.
 *
 * Read first: RFC 7296 §3.3 (AEADs stand apart), §3.3.3 (mandatory types); RFC 8247 and RFC 8221 (what is still safe).
 * The algorithms and their words stand in `crypto/`. Several algorithms of one type in one string are alternatives, best first.
 * Deliberate limits: no AH; no additional key exchanges (RFC 9370), no EAP-only words.
 * Invariant: `parseProposal(formatProposal(p)) = p` for every proposal that `parseProposal` gave.
 */
import { EMPTY } from '../core/index.ts';
import {
  ENCRYPTIONS,
  encryptionById,
  encryptionByWord,
  GROUPS,
  groupById,
  groupByWord,
  INTEGRITIES,
  integrityById,
  integrityByWord,
  PRFS,
  prfById,
  prfByWord,
} from '../crypto/index.ts';
import { ATTRIBUTE, ESN, NONE_ID, PROTOCOL, TRANSFORM, transformTypeName } from './iana.ts';
import {
  isKeyExchange,
  type Proposal,
  sameTransform,
  type Transform,
  transform,
  transformsOf,
} from './proposal-codec.ts';

export * from './proposal-codec.ts';

const GROUP_WORDS = 'ecp384-ecp256-curve25519-modp3072-modp2048';

/** Offered where the document names none: first AEADs, then CBC with HMAC, for every group RFC 8247 recommends. */
export const DEFAULT_IKE_PROPOSALS: readonly string[] = [
  `aes256gcm16-aes128gcm16-chacha20poly1305-prfsha384-prfsha256-prfsha512-${GROUP_WORDS}`,
  `aes256-aes128-sha256-sha384-sha512-${GROUP_WORDS}`,
];

/** With perfect forward secrecy where the peer does it, else without. */
export const DEFAULT_ESP_PROPOSALS: readonly string[] = [
  `aes256gcm16-aes128gcm16-chacha20poly1305-${GROUP_WORDS}`,
  'aes256gcm16-aes128gcm16-chacha20poly1305',
  `aes256-aes128-sha256-sha384-sha512-${GROUP_WORDS}`,
  'aes256-aes128-sha256-sha384-sha512',
];

export interface ProposalOptions {
  /** Accepts words of algorithms that RFC 8247 and 8221 gave up. Default false. */
  readonly legacy?: boolean;
  /** What an ESP proposal without the words `esn` and `noesn` gets: both (ESN preferred), ESN, or none. Default `allow`. */
  readonly esn?: 'allow' | 'require' | 'never';
}

export type ParsedProposal =
  | { readonly ok: true; readonly proposal: Proposal }
  /** One sentence for the operator. */
  | { readonly ok: false; readonly problem: string };

/** `aes256gcm16-prfsha384-ecp384` as strongSwan reads it. The proposal has number 1 and no SPI. */
export function parseProposal(text: string, use: 'ike' | 'esp', options: ProposalOptions = {}): ParsedProposal {
  const found: Transform[] = [];
  for (const word of text.trim().toLowerCase().split('-')) {
    const algorithm = algorithmOf(word);
    if (algorithm === undefined) return { ok: false, problem: unknownWord(word) };
    const problem = misplaced(word, algorithm, use, options.legacy === true);
    if (problem !== undefined) return { ok: false, problem };
    if (!found.some((t) => sameTransform(t, algorithm.transform))) found.push(algorithm.transform);
  }
  const problem = use === 'ike' ? completeIke(found) : completeEsp(found, options.esn ?? 'allow');
  if (problem !== undefined) return { ok: false, problem };
  const transforms = WORD_ORDER.flatMap((type) => found.filter((t) => t.type === type));
  const protocol = use === 'ike' ? PROTOCOL.IKE : PROTOCOL.ESP;
  return { ok: true, proposal: { number: 1, protocol, spi: EMPTY, transforms } };
}

/** In the words `parseProposal` reads; what has no word there as `formatTransform` writes it. */
export function formatProposal(proposal: Proposal): string {
  const integrity = transformsOf(proposal, TRANSFORM.INTEG);
  const prfs = transformsOf(proposal, TRANSFORM.PRF);
  const derived = integrity.map(prfOfIntegrity).filter((prf) => prf !== undefined);
  const impliedPrf = prfs.length === derived.length && prfs.every((prf, i) => sameTransform(prf, derived[i]!));
  const types = [...new Set([...WORD_ORDER, ...proposal.transforms.map(({ type }) => type)])];
  return types
    .flatMap((type) => transformsOf(proposal, type))
    .filter((t) => !(t.type === TRANSFORM.PRF && impliedPrf))
    .filter((t) => !(t.type === TRANSFORM.INTEG && t.id === NONE_ID && integrity.length === 1))
    .map(formatTransform)
    .join('-');
}

/** `aes256gcm16`, `ecp384`, `noesn`; `ENCR(77)` or `ENCR(12/192)` for what nobody here knows. */
export function formatTransform(t: Transform): string {
  const word = wordOf(t) ?? `${transformTypeName(t.type)}(${t.id}${t.keyBits === undefined ? '' : `/${t.keyBits}`})`;
  return (
    word +
    t.attributes.map(({ type }) => `+${type === ATTRIBUTE.KEY_LENGTH ? 'KEY_LENGTH' : `ATTRIBUTE(${type})`}`).join('')
  );
}

interface Algorithm {
  readonly transform: Transform;
  readonly legacy: boolean;
  readonly espOnly: boolean;
}

const WORD_ORDER: readonly number[] = [TRANSFORM.ENCR, TRANSFORM.INTEG, TRANSFORM.PRF, TRANSFORM.KE, TRANSFORM.ESN];

function algorithmOf(word: string): Algorithm | undefined {
  const encryption = encryptionByWord(word);
  if (encryption !== undefined) {
    const { id, keyBits, legacy, espOnly } = encryption;
    return { transform: transform(TRANSFORM.ENCR, id, keyBits), legacy, espOnly };
  }
  const plain = (type: number, id: number, legacy: boolean): Algorithm => ({
    transform: transform(type, id),
    legacy,
    espOnly: type === TRANSFORM.ESN || id === NONE_ID,
  });
  if (word === NO_GROUP) return plain(TRANSFORM.KE, NONE_ID, false);
  if (word === 'esn') return plain(TRANSFORM.ESN, ESN.ESN, false);
  if (word === 'noesn') return plain(TRANSFORM.ESN, ESN.NONE, false);
  const integrity = integrityByWord(word);
  if (integrity !== undefined) return plain(TRANSFORM.INTEG, integrity.id, integrity.legacy);
  const prf = prfByWord(word);
  if (prf !== undefined) return plain(TRANSFORM.PRF, prf.id, prf.legacy);
  const group = groupByWord(word);
  return group === undefined ? undefined : plain(TRANSFORM.KE, group.id, group.legacy);
}

function wordOf({ type, id, keyBits }: Transform): string | undefined {
  if (type === TRANSFORM.ENCR) return encryptionById(id, keyBits)?.word;
  if (keyBits !== undefined) return undefined;
  if (type === TRANSFORM.INTEG) return id === NONE_ID ? 'none' : integrityById(id)?.word;
  if (type === TRANSFORM.PRF) return prfById(id)?.word;
  if (type === TRANSFORM.ESN) return id === ESN.ESN ? 'esn' : id === ESN.NONE ? 'noesn' : undefined;
  if (!isKeyExchange(type)) return undefined;
  const group = id === NONE_ID ? (type === TRANSFORM.KE ? NO_GROUP : 'none') : groupById(id)?.word;
  if (type === TRANSFORM.KE || group === undefined) return group;
  return `ke${type - TRANSFORM.ADDKE1 + 1}_${group}`;
}

function unknownWord(word: string): string {
  if (word === '')
    return 'an empty word: algorithms are written with one hyphen between them, like aes256-sha256-ecp256';
  const suggestion = nearest(word);
  return `unknown algorithm "${word}"${suggestion === undefined ? '' : `, did you mean "${suggestion}"?`}`;
}

function misplaced(
  word: string,
  { transform: { type }, legacy, espOnly }: Algorithm,
  use: 'ike' | 'esp',
  allowed: boolean,
) {
  if (legacy && !allowed) return `"${word}" is obsolete (RFC 8247, RFC 8221): it needs "legacy: true"`;
  if (use === 'ike' && espOnly) return `"${word}" is for ESP proposals only`;
  if (use === 'esp' && type === TRANSFORM.PRF) return `"${word}" is a PRF, which ESP proposals do not have`;
  return undefined;
}

/** Brings the transforms of an IKE proposal into order; what is missing, as a sentence. */
function completeIke(found: Transform[]): string | undefined {
  if (!found.some(({ type }) => type === TRANSFORM.PRF)) {
    for (const t of found.filter(({ type }) => type === TRANSFORM.INTEG)) {
      const prf = prfOfIntegrity(t);
      if (prf !== undefined) found.push(prf);
    }
  }
  const problem = fitIntegrity(found, true);
  if (problem !== undefined) return problem;
  if (!found.some(({ type }) => type === TRANSFORM.PRF)) return 'no PRF: add one, like prfsha256';
  if (!found.some(({ type }) => type === TRANSFORM.KE)) return 'no key exchange group: add one, like ecp256';
  return undefined;
}

function completeEsp(found: Transform[], esn: 'allow' | 'require' | 'never'): string | undefined {
  const problem = fitIntegrity(found, false);
  if (problem !== undefined) return problem;
  // RFC 7296 §3.3.3: the transform is mandatory.
  if (!found.some(({ type }) => type === TRANSFORM.ESN)) {
    if (esn !== 'never') found.push(transform(TRANSFORM.ESN, ESN.ESN));
    if (esn !== 'require') found.push(transform(TRANSFORM.ESN, ESN.NONE));
  }
  return undefined;
}

/** RFC 7296 §3.3: an AEAD goes without integrity, everything else with it, and the two never into one proposal. */
function fitIntegrity(found: Transform[], prfOnly: boolean): string | undefined {
  const ciphers = found.filter(({ type }) => type === TRANSFORM.ENCR);
  const aead = ciphers.find(isAead);
  const classic = ciphers.find((t) => !isAead(t));
  const integrity = found.find(({ type }) => type === TRANSFORM.INTEG);
  if (ciphers.length === 0) return 'no encryption algorithm: add one, like aes256gcm16';
  if (aead !== undefined && classic !== undefined) {
    return `"${formatTransform(aead)}" authenticates by itself, "${formatTransform(classic)}" does not: write two proposals`;
  }
  if (classic !== undefined && integrity === undefined) return 'no integrity algorithm: add one, like sha256';
  if (aead !== undefined && integrity !== undefined) {
    if (!prfOnly)
      return `"${formatTransform(aead)}" authenticates by itself: leave "${formatTransform(integrity)}" out`;
    // strongSwan reads the hash beside an AEAD as the PRF it implies.
    found.splice(0, found.length, ...found.filter(({ type }) => type !== TRANSFORM.INTEG));
  }
  return undefined;
}

const isAead = ({ id, keyBits }: Transform): boolean => encryptionById(id, keyBits)?.aead === true;

/** strongSwan's rule: without a PRF among the words, the one of each integrity algorithm. */
function prfOfIntegrity(t: Transform): Transform | undefined {
  const word = integrityById(t.id)?.word;
  const prf = word === undefined ? undefined : prfByWord(`prf${word}`);
  return prf === undefined ? undefined : transform(TRANSFORM.PRF, prf.id);
}

/** The known word with the fewest edits, if they are few. */
function nearest(word: string): string | undefined {
  const known = [ENCRYPTIONS, INTEGRITIES, PRFS, GROUPS].flatMap((table) => table.map((row) => row.word));
  let best: string | undefined;
  let least = 1 + Math.max(1, Math.min(3, Math.floor(word.length / 3)));
  for (const candidate of [...known, 'esn', 'noesn', NO_GROUP]) {
    const edits = distance(word.slice(0, MAX_WORD), candidate);
    if (edits < least) [best, least] = [candidate, edits];
  }
  return best;
}

/** Edits between two words, a swap of neighbours counting as one. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min(row[j - 1]! + 1, rows[i - 1]![j]! + 1, rows[i - 1]![j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}

/** strongSwan's word for "no key exchange" among ESP alternatives: perfect forward secrecy is optional. */
const NO_GROUP = 'modpnone';
const MAX_WORD = 32;
