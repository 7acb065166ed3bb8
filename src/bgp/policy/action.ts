/** What a clause does to an attribute set. */
import type { Address } from '../../ip/index.ts';
import { parseAddress } from '../../ip/index.ts';
import { parseCommunity } from '../message/community.ts';
import { ATTRIBUTE, ORIGINS } from '../message/iana.ts';
import type { AttributeDraft } from '../rib/attribute-draft.ts';
import { addCommunity, COMMUNITY_TYPES, removeCommunity } from './community.ts';
import type { Problem } from './condition.ts';
import type { ActionRecord } from './record.ts';

export type Action = (draft: AttributeDraft, self: Address) => void;

/** As many as fit into one segment of AS_PATH. */
const PREPEND_MAX = 255;

export function compileAction(record: ActionRecord, problem: Problem): readonly Action[] {
  const out: Action[] = [];
  const { localPreference, med, weight, origin, prepend } = record;
  const number = (field: string, value: number, most: number): void => {
    if (!Number.isInteger(value) || value < 0 || value > most)
      problem(`set.${field}`, `${value} is not between 0 and ${most}`);
  };
  if (localPreference !== undefined) {
    number('localPreference', localPreference, 0xffff_ffff);
    out.push((draft) => draft.setWord(ATTRIBUTE.LOCAL_PREF, 0x40, localPreference));
  }
  if (med === 'none') out.push((draft) => draft.drop(ATTRIBUTE.MULTI_EXIT_DISC));
  else if (med !== undefined) {
    number('med', med, 0xffff_ffff);
    out.push((draft) => draft.setWord(ATTRIBUTE.MULTI_EXIT_DISC, 0x80, med));
  }
  if (weight !== undefined) {
    number('weight', weight, 0xffff);
    out.push((draft) => {
      draft.weight = weight;
    });
  }
  if (origin !== undefined)
    out.push((draft) => draft.set(ATTRIBUTE.ORIGIN, 0x40, Uint8Array.of(ORIGINS.indexOf(origin))));
  nextHop(record, out, problem);
  communities(record, out, problem);
  if (prepend !== undefined) {
    const { asn, times = 1 } = prepend;
    number('prepend.asn', asn, 0xffff_ffff);
    number('prepend.times', times, PREPEND_MAX);
    out.push((draft) => draft.prepend(asn, times));
  }
  return out;
}

function nextHop({ nextHop: text }: ActionRecord, out: Action[], problem: Problem): void {
  if (text === undefined) return;
  if (text === 'self') {
    out.push((draft, self) => draft.hop(self));
    return;
  }
  const address = parseAddress(text);
  if (address === undefined) problem('set.nextHop', `${text} is neither self nor an address`);
  else out.push((draft) => draft.hop(address));
}

function communities({ communities: record }: ActionRecord, out: Action[], problem: Problem): void {
  if (record === undefined) return;
  const parse = (list: readonly string[], field: string) =>
    list.flatMap((text) => {
      const community = parseCommunity(text);
      if (community === undefined) problem(`set.communities.${field}`, `${text} is no community`);
      return community ?? [];
    });
  const remove = parse(record.remove ?? [], 'remove');
  const add = parse(record.add ?? [], 'add');
  out.push((draft) => {
    if (record.clear === true) for (const type of COMMUNITY_TYPES) draft.drop(type);
    for (const community of remove) removeCommunity(draft, community);
    for (const community of add) addCommunity(draft, community);
  });
}
