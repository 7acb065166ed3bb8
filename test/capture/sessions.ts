/** The recorded strongSwan sessions with the key tables that open them, made from the secrets the recordings hold. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { espTableRows, ikeTableRow } from '../../src/capture/index.ts';
import { fromHex, Secret } from '../../src/core/index.ts';
import { encryptionById, groupById, integrityById, prfById } from '../../src/crypto/index.ts';
import type { ChildSa, IkeKeysExport } from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';

const here = dirname(fileURLToPath(import.meta.url));
export const vectors = resolve(here, '../vectors/ike/strongswan');

export interface Session {
  readonly name: string;
  readonly pcap: string;
  readonly ikeKeySets: readonly {
    readonly spiI: string;
    readonly spiR: string;
    readonly transforms: Record<string, [number, number]>;
    readonly ei: string;
    readonly er: string;
    readonly ai?: string;
    readonly ar?: string;
  }[];
  readonly children: readonly {
    readonly encrName: string;
    readonly integName?: string;
    readonly encrI: string;
    readonly encrR: string;
    readonly integI?: string;
    readonly integR?: string;
    readonly spiIn: string;
    readonly spiOut: string;
  }[];
  readonly messages: readonly {
    readonly src: string;
    readonly sport: number;
    readonly exchange: number;
    readonly mid: number;
    readonly raw: string;
    readonly payloads?: readonly [string, string][];
    readonly inner?: readonly [string, string][];
    readonly fragment?: readonly [number, number];
  }[];
  readonly esp: readonly {
    readonly src: string;
    readonly raw: string;
    readonly spi: string;
    readonly seq: number;
    readonly child: number;
    readonly keySide: 'I' | 'R';
    readonly nextHeader: number;
    readonly padLength: number;
    readonly inner: string;
  }[];
}

export const sessions: readonly Session[] = readdirSync(vectors)
  .filter((file) => file.endsWith('.json'))
  .sort()
  .map((file) => {
    const name = file.replace(/\.json$/, '');
    return { ...JSON.parse(readFileSync(join(vectors, file), 'utf8')), name, pcap: join(vectors, `${name}.pcap`) };
  });

export const sessionNamed = (name: string): Session => sessions.find((s) => s.name === name)!;

export const ikeTableOf = (session: Session): string =>
  session.ikeKeySets.map((set) => `${ikeTableRow(ikeKeysOf(set))}\n`).join('');

export const espTableOf = (session: Session): string =>
  session.children.flatMap((_, i) => espTableRows(childOf(session, i)).map((row) => `${row}\n`)).join('');

function ikeKeysOf(set: Session['ikeKeySets'][number]): IkeKeysExport {
  const [encr, bits] = set.transforms['1']!;
  return {
    spiI: fromHex(set.spiI),
    spiR: fromHex(set.spiR),
    suite: {
      encryption: encryptionById(encr, bits === 0 ? undefined : bits)!,
      integrity: set.transforms['3'] === undefined ? undefined : integrityById(set.transforms['3'][0])!,
      prf: prfById(set.transforms['2']![0])!,
      group: groupById(set.transforms['4']![0])!,
    },
    skEi: secret(set.ei),
    skEr: secret(set.er),
    skAi: secret(set.ai ?? ''),
    skAr: secret(set.ar ?? ''),
  };
}

/** As the exchange's initiator sees it: `encrI` protects what it sends. */
function childOf(session: Session, index: number): ChildSa {
  const child = session.children[index]!;
  const outbound = session.esp.find((packet) => packet.child === index && packet.keySide === 'I');
  const source = outbound?.src ?? '192.0.2.1';
  const [, id] = ENCRYPTIONS.find(([name]) => name === child.encrName)!;
  const salt = id === 12 || id === 3 ? 0 : 4;
  const keyBits = id === 3 ? undefined : (child.encrI.length / 2 - salt) * 8;
  const integrity = child.integName === undefined ? undefined : integrityById(INTEGRITIES[child.integName]!)!;
  return {
    connection: session.name,
    id: index,
    ikeId: 1,
    spiIn: Number.parseInt(child.spiIn, 16),
    spiOut: Number.parseInt(child.spiOut, 16),
    suite: { encryption: encryptionById(id, keyBits)!, integrity, group: undefined, esn: false },
    keysOut: { encryption: secret(child.encrI), integrity: secret(child.integI ?? '') },
    keysIn: { encryption: secret(child.encrR), integrity: secret(child.integR ?? '') },
    local: [],
    remote: [],
    localEndpoint: { address: parseAddress(source)!, port: 4500 },
    remoteEndpoint: { address: parseAddress(source === '192.0.2.1' ? '192.0.2.2' : '192.0.2.1')!, port: 4500 },
    udpEncapsulation: true,
    peerMoves: false,
    tfcPadding: true,
  };
}

const secret = (hex: string): Secret => new Secret(fromHex(hex));
const ENCRYPTIONS: readonly (readonly [string, number])[] = [
  ['AES_GCM_16', 20],
  ['AES_GCM_12', 19],
  ['AES_GCM_8', 18],
  ['AES_CBC', 12],
  ['3DES_CBC', 3],
];
const INTEGRITIES: Readonly<Record<string, number>> = {
  HMAC_SHA2_256_128: 12,
  HMAC_SHA2_384_192: 13,
  HMAC_SHA1_96: 2,
};
