/** The crypto engines that need native code, and all engines in the order of their speed. */
import { type Candidate, nobleEngine, nodeEngine } from '../../crypto/index.ts';
import { ipsecMbEngine } from './ipsec-mb.ts';
import { loadIpsecMb } from './ipsec-mb-library.ts';
import { opensslEngine } from './openssl.ts';
import { loadOpenSsl } from './openssl-library.ts';

/** Fastest first, for `chooseEngine`. One set for each thread: an engine keeps scratch memory and is not re-entrant. */
export function engineCandidates(): readonly Candidate[] {
  const ipsecMb = loadIpsecMb();
  const openssl = loadOpenSsl();
  return [
    ipsecMb.ok ? ipsecMbEngine(ipsecMb.ipsecMb) : { name: 'ipsec-mb', why: ipsecMb.why },
    openssl.ok ? opensslEngine(openssl.openssl) : { name: 'openssl', why: openssl.why },
    nodeEngine,
    nobleEngine,
  ];
}
