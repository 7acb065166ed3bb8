import { expect, it } from 'vitest';
import { ENCRYPTIONS, INTEGRITIES, nodeEngine } from '../../src/crypto/index.ts';
import { innerMtu } from '../../src/esp/index.ts';
import { OUTER_MTU, UNKNOWN_MTU } from '../../src/gateway/dataplane/index.ts';

it('the MTU of a tunnel that is not up yet fits every suite in UDP over IPv6', () => {
  const least = ENCRYPTIONS.flatMap((encryption) => {
    const partners = encryption.aead ? [undefined] : INTEGRITIES;
    return partners.map((integrity) => {
      const keys = {
        encryption: new Uint8Array(encryption.keyLength + encryption.saltLength),
        integrity: new Uint8Array(integrity?.keyLength ?? 0),
      };
      return innerMtu(OUTER_MTU, nodeEngine.protection(encryption, integrity, keys), 'udp', 6);
    });
  }).reduce((a, b) => Math.min(a, b));
  expect(UNKNOWN_MTU).toBeLessThanOrEqual(least);
});
