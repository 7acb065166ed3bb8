/**
 * The document as a library: text to validated data with every issue at its place, secrets by reference, what changed, and the
 * document as it takes effect.
 */
export { clauseRecord, editsRecord } from './clause-record.ts';
export type * from './contract.ts';
export { DEFAULT_COMPARTMENT, DEFAULT_LISTEN, gatewayTenants } from './contract.ts';
export type * from './contract-bgp.ts';
export { type Change, type ChangeKind, diffDocuments, type FieldChange, formatChanges } from './diff.ts';
export { directPrefixes } from './direct-prefixes.ts';
export { type ReadResult, readDocument } from './document.ts';
export { formatIssue, placeIssues } from './issue.ts';
export { automaticMac, formatMac, type Mac, parseMac } from './mac.ts';
export { assignNatAddresses } from './nat-addresses.ts';
export { isExternal, ownAsTowards } from './own-as.ts';
export { type AddressRange, formatRange, prefixesIn } from './range.ts';
export {
  formatReference,
  peerSecretName,
  resolveSecret,
  type SecretPlace,
  type SecretSource,
  secretPlaces,
  weakness,
} from './secrets.ts';
export { showDocument } from './show.ts';
export { formatDuration, formatSelector } from './words.ts';
