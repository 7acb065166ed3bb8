/** The effective document as YAML: every default filled in, secrets only as references. */
import { stringify } from 'yaml';
import type { Document } from './contract.ts';
import { plainDocument } from './plain.ts';

export function showDocument(document: Document): string {
  return stringify(plainDocument(document), { lineWidth: 120, version: '1.2', aliasDuplicateObjects: false });
}
