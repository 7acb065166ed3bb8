/** Key tables with a row for every suite there is. */
import { espTableRows, ikeTableRow } from '../../src/capture/index.ts';
import { fromHex, putU32, Secret } from '../../src/core/index.ts';
import { ENCRYPTIONS, type Encryption, GROUPS, INTEGRITIES, type Integrity, PRFS } from '../../src/crypto/index.ts';
import type { ChildSa, IkeKeysExport } from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';

export interface Suite {
  readonly name: string;
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
}

export const suitesOf = (use: 'ike' | 'esp'): readonly Suite[] =>
  ENCRYPTIONS.filter((e) => use === 'esp' || !e.espOnly).flatMap((encryption) =>
    (encryption.aead ? [undefined] : INTEGRITIES).map((integrity) => ({
      name: integrity === undefined ? encryption.word : `${encryption.word}-${integrity.word}`,
      encryption,
      integrity,
    })),
  );

/** SK_ei is e1e1…, SK_er e2e2…, SK_ai a1a1…, SK_ar a2a2…. */
export function ikeKeys({ encryption, integrity }: Suite, spi = 1): IkeKeysExport {
  const e = encryption.keyLength + encryption.saltLength;
  const a = integrity?.keyLength ?? 0;
  const spiI = fromHex('0102030405060708');
  putU32(spiI, 4, spi);
  return {
    spiI,
    spiR: fromHex('1112131415161718'),
    suite: { encryption, integrity, prf: PRFS[0]!, group: GROUPS[0]! },
    skEi: key(e, 0xe1),
    skEr: key(e, 0xe2),
    skAi: key(a, 0xa1),
    skAr: key(a, 0xa2),
  };
}

/** Inbound keys as SK_ei and SK_ai above, outbound as SK_er and SK_ar. */
export function childSa({ encryption, integrity }: Suite, esn = false, v6 = false, spi = 0xc0ffee01): ChildSa {
  const e = encryption.keyLength + encryption.saltLength;
  const a = integrity?.keyLength ?? 0;
  return {
    connection: 't/c',
    id: 1,
    ikeId: 1,
    spiIn: 0x0a,
    spiOut: spi,
    suite: { encryption, integrity, group: undefined, esn },
    keysIn: { encryption: key(e, 0xe1), integrity: key(a, 0xa1) },
    keysOut: { encryption: key(e, 0xe2), integrity: key(a, 0xa2) },
    local: [],
    remote: [],
    localEndpoint: { address: parseAddress(v6 ? '2001:db8::1' : '192.0.2.1')!, port: 4500 },
    remoteEndpoint: { address: parseAddress(v6 ? '2001:db8::2' : '192.0.2.2')!, port: 4500 },
    udpEncapsulation: true,
    peerMoves: false,
    tfcPadding: true,
  };
}

/** For Wireshark: without the encryption algorithms it lacks, and with unchecked names for integrity algorithms it lacks. */
export const everyIkeTable = (forWireshark: boolean): string =>
  suitesOf('ike')
    .filter((s) => !forWireshark || s.encryption.id !== CHACHA20_POLY1305)
    .map((suite, i) => `${ikeTableRow(ikeKeys(suite, i), { forWireshark })}\n`)
    .join('');

export const everyEspTable = (forWireshark: boolean): string =>
  suitesOf('esp')
    .filter((s) => !forWireshark || (s.encryption.id !== CHACHA20_POLY1305 && !CCM.has(s.encryption.id)))
    .flatMap((suite, i) => espTableRows(childSa(suite, false, false, 0x1000 + i), { forWireshark }))
    .map((row) => `${row}\n`)
    .join('');

const key = (length: number, fill: number): Secret => new Secret(new Uint8Array(length).fill(fill));
const CHACHA20_POLY1305 = 28;
const CCM: ReadonlySet<number> = new Set([14, 15, 16]);
