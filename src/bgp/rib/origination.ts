/** The attributes of a route of our own (RFC 4271 §5.1). */
import { ATTRIBUTE, ORIGINS } from '../message/iana.ts';
import { addCommunity } from '../policy/community.ts';
import type { AttributeDraft } from './attribute-draft.ts';
import type { Origination } from './options.ts';

/** What others give routes of their own, so that a learned one never replaces them by chance. */
export const OWN_WEIGHT = 32_768;

/** The number of the set, with one reference. */
export function ownSet(draft: AttributeDraft, how: Origination): number {
  draft.begin();
  draft.weight = how.weight ?? OWN_WEIGHT;
  draft.set(ATTRIBUTE.ORIGIN, 0x40, Uint8Array.of(ORIGINS.indexOf(how.origin ?? 'igp')));
  draft.set(ATTRIBUTE.AS_PATH, 0x40, new Uint8Array(0));
  if (how.med !== undefined) draft.setWord(ATTRIBUTE.MULTI_EXIT_DISC, 0x80, how.med);
  if (how.localPreference !== undefined) draft.setWord(ATTRIBUTE.LOCAL_PREF, 0x40, how.localPreference);
  for (const community of how.communities ?? []) addCommunity(draft, community);
  return draft.commit();
}
