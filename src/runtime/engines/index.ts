/** The crypto engines that need native code, and all engines in the order of their speed. */
import { type Candidate, nobleEngine, nodeEngine } from '../../crypto/index.ts';
import { ipsecMbEngine } from './ipsec-mb.ts';
import { loadIpsecMb } from './ipsec-mb-library.ts';
import { opensslEngine } from './openssl.ts';
import { loadOpenSsl } from './openssl-library.ts';

/** What is said of an engine that the environment excludes. */
export const SWITCHED_OFF = 'switched off (BULKHEAD_WITHOUT_ENGINES)';

/**
 * Fastest first, for `chooseEngine`. One set for each thread: an engine keeps scratch memory and is not re-entrant.
 * Those that BULKHEAD_WITHOUT_ENGINES names, separated by commas, are absent, and their libraries are not loaded; the last
 * always stays, for there must be one.
 */
export function engineCandidates(): readonly Candidate[] {
  const without = (process.env.BULKHEAD_WITHOUT_ENGINES ?? '').split(',').map((name) => name.trim());
  const unless = (name: string, candidate: () => Candidate): Candidate =>
    without.includes(name) ? { name, why: SWITCHED_OFF } : candidate();
  return [unless('ipsec-mb', ipsecMb), unless('openssl', openssl), unless('node', () => nodeEngine), nobleEngine];
}

function ipsecMb(): Candidate {
  const loaded = loadIpsecMb();
  return loaded.ok ? ipsecMbEngine(loaded.ipsecMb) : { name: 'ipsec-mb', why: loaded.why };
}

function openssl(): Candidate {
  const loaded = loadOpenSsl();
  return loaded.ok ? opensslEngine(loaded.openssl) : { name: 'openssl', why: loaded.why };
}
