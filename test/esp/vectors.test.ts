import { createHmac } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import type { Bytes } from '../../src/core/index.ts';
import { concat, toHex } from '../../src/core/index.ts';
import { encryptionById, integrityById, NO_ESN, type Protection, protection } from '../../src/crypto/index.ts';
import {
  checkLength,
  decapsulate,
  encapsulate,
  type InboundSa,
  type IvWriter,
  NEXT_HEADER,
  open,
  stripTrailer,
} from '../../src/esp/index.ts';
import { DROP, PASS } from '../../src/ip/index.ts';
import { copyOf, hex, inbound, packetOf, sadOf } from './support.ts';

const VECTORS = join(import.meta.dirname, '../vectors/ike');
const load = <T>(path: string): T => JSON.parse(readFileSync(join(VECTORS, path), 'utf8')) as T;

const fixedIv =
  (octets: Bytes): IvWriter =>
  (buf, at) =>
    buf.set(octets, at);

function keyed(
  id: number,
  keyBits: number | undefined,
  encryption: Bytes,
  icv: { readonly id: number; readonly key: Bytes } | undefined,
): Protection {
  const transform = encryptionById(id, keyBits);
  if (transform === undefined) throw new Error(`no encryption ${id}/${keyBits}`);
  const integrity = icv === undefined ? undefined : integrityById(icv.id);
  return protection(transform, integrity, { encryption, integrity: icv?.key ?? new Uint8Array(0) });
}

interface Whole {
  readonly protection: Protection;
  readonly spi: number;
  readonly high: number;
  readonly low: number;
  readonly iv: Bytes;
  readonly payload: Bytes;
  readonly nextHeader: number;
  readonly esp: Bytes;
}

/** The format alone, both ways, to the octet. */
function bothWays(v: Whole): void {
  const sent = packetOf(v.payload);
  expect(encapsulate(sent, v.protection, v.spi, v.high, v.low, v.nextHeader, 0, fixedIv(v.iv))).toBe(PASS);
  expect(toHex(copyOf(sent))).toBe(toHex(v.esp));
  const received = packetOf(v.esp);
  expect(checkLength(received, v.protection)).toBe(PASS);
  expect(decapsulate(received, v.protection, v.high)).toBe(PASS);
  expect(received.buf[received.end - 1]).toBe(v.nextHeader);
  expect(stripTrailer(received)).toBe(PASS);
  expect(toHex(copyOf(received))).toBe(toHex(v.payload));
}

/** Payload and Next Header of a plaintext with its trailer. */
function untrailed(plaintext: Bytes): { readonly payload: Bytes; readonly nextHeader: number } {
  const padLength = plaintext.at(-2)!;
  return { payload: plaintext.slice(0, -2 - padLength), nextHeader: plaintext.at(-1)! };
}

/** HMAC-SHA2-256-128 by another hand, for vectors without an ICV. */
const ICV_KEY = new Uint8Array(32).fill(7);
const icvOf = (octets: Bytes): Bytes => createHmac('sha256', ICV_KEY).update(octets).digest().subarray(0, 16);

describe('RFC 4106: the packets of draft-mcgrew-gcm-test-01', () => {
  interface Case {
    readonly id: number;
    readonly key: string;
    readonly salt: string;
    readonly iv: string;
    readonly spi: string;
    readonly seqOrEsn: string;
    readonly esn: boolean;
    readonly plaintextWithTrailer: string;
    readonly espPacket: string;
  }
  const { cases } = load<{ cases: Case[] }>('esp/draft-mcgrew-gcm-test-01.json');

  test.each(cases)('case $id (ESN: $esn), both ways', (c) => {
    const key = concat(hex(c.key), hex(c.salt));
    const esp = hex(c.espPacket);
    const numbers = c.seqOrEsn.padStart(16, '0');
    const high = c.esn ? Number.parseInt(numbers.slice(0, 8), 16) : NO_ESN;
    const low = Number.parseInt(numbers.slice(8), 16);
    const keyedGcm = keyed(20, (key.length - 4) * 8, key, undefined);
    const spi = Number.parseInt(c.spi, 16);
    bothWays({ protection: keyedGcm, spi, high, low, iv: hex(c.iv), ...untrailed(hex(c.plaintextWithTrailer)), esp });
    // Through an SA: a fresh one recovers high half 0 only. Next Header of these vectors is 1, which is no tunnel mode.
    const sa = inbound({ protection: keyedGcm, spi, esn: c.esn });
    const recovered = high <= 0;
    expect(open(sadOf(sa), packetOf(esp), 0, 0)).toBe(recovered ? DROP.espNextHeader : STALE_OR_FALSE[c.id]);
    expect(sa.sequence).toBe(recovered ? low : 0);
  });

  /** What a fresh SA makes of a high half it cannot know: before the first subspace, or an ICV over high half 0 that fails. */
  const STALE_OR_FALSE: Record<number, number> = {
    1: DROP.espReplay, // low half 0
    5: DROP.espIntegrity,
    6: DROP.espIntegrity,
    9: DROP.espIntegrity,
    10: DROP.espIntegrity,
    11: DROP.espIntegrity,
    14: DROP.espReplay, // low half 2^32 - 1
  };
});

describe('RFC 3602 §4: AES-CBC', () => {
  interface Case {
    readonly id: number;
    readonly kind: string;
    readonly mode: string;
    readonly key: string;
    readonly spi: string;
    readonly seq: number;
    readonly iv: string;
    readonly preEncryption: string;
    readonly espPacketNoIcv: string;
  }
  const esps = load<{ cases: Case[] }>('esp/rfc3602-aes-cbc.json').cases.filter((c) => c.kind === 'esp');

  it('finds packets of both modes', () => {
    expect(esps.length).toBe(4);
  });

  test.each(esps)('case $id ($mode mode) with an ICV behind it, both ways', (c) => {
    const body = hex(c.espPacketNoIcv);
    bothWays({
      protection: keyed(12, 128, hex(c.key), { id: 12, key: ICV_KEY }),
      spi: Number.parseInt(c.spi, 16),
      high: NO_ESN,
      low: c.seq,
      iv: hex(c.iv),
      ...untrailed(hex(c.preEncryption)),
      esp: concat(body, icvOf(body)),
    });
  });
});

describe('RFC 3686 §6: AES-CTR', () => {
  interface Case {
    readonly id: number;
    readonly key: string;
    readonly nonce: string;
    readonly iv: string;
    readonly plaintext: string;
    readonly ciphertext: string;
  }
  const { cases } = load<{ cases: Case[] }>('esp/rfc3686-aes-ctr.json');

  test.each(cases)('case $id as the protected part of a packet', (c) => {
    const keyedCtr = keyed(13, hex(c.key).length * 8, concat(hex(c.key), hex(c.nonce)), { id: 12, key: ICV_KEY });
    const head = hex('00001001 00000005');
    const sealed = concat(head, hex(c.iv), hex(c.ciphertext));
    const buf = concat(head, hex(c.iv), hex(c.plaintext), new Uint8Array(16));
    const end = buf.length - 16;
    keyedCtr.seal(buf, 0, 8, end, NO_ESN);
    expect(toHex(buf)).toBe(toHex(concat(sealed, icvOf(sealed))));
    expect(keyedCtr.open(buf, 0, 8, end, NO_ESN)).toBe(true);
    expect(toHex(buf.subarray(16, end))).toBe(c.plaintext);
  });
});

describe('RFC 7634 Appendix A: ChaCha20-Poly1305', () => {
  interface Esp {
    readonly keymat: string;
    readonly sourcePacket: string;
    readonly spi: string;
    readonly seq: number;
    readonly iv: string;
    readonly ipEspPacket: string;
  }
  const { esp } = load<{ esp: Esp }>('esp/rfc7634-chacha20poly1305.json');
  const keyedChaCha = keyed(28, undefined, hex(esp.keymat), undefined);
  const spi = Number.parseInt(esp.spi, 16);
  const packet = hex(esp.ipEspPacket).slice(20);

  it('both ways', () => {
    bothWays({
      protection: keyedChaCha,
      spi,
      high: NO_ESN,
      low: esp.seq,
      iv: hex(esp.iv),
      payload: hex(esp.sourcePacket),
      nextHeader: NEXT_HEADER.ipv4,
      esp: packet,
    });
  });

  it('through an SA', () => {
    const received = packetOf(packet);
    const sa = inbound({ protection: keyedChaCha, spi });
    expect(open(sadOf(sa), received, 0, 0)).toBe(PASS);
    expect(toHex(copyOf(received))).toBe(esp.sourcePacket);
    expect(sa.sequence).toBe(esp.seq);
  });
});

interface Session {
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
  readonly esp: readonly {
    readonly raw: string;
    readonly inner: string;
    readonly spi: string;
    readonly seq: number;
    readonly nextHeader: number;
  }[];
}

/** Names of the session files → transforms of the IKEv2 registries. */
const ENCRYPTION_IDS: Record<string, number> = {
  AES_GCM_16: 20,
  AES_GCM_12: 19,
  AES_GCM_8: 18,
  AES_CBC: 12,
  '3DES_CBC': 3,
};
const INTEGRITY_IDS: Record<string, number> = { HMAC_SHA2_256_128: 12, HMAC_SHA2_384_192: 13, HMAC_SHA1_96: 2 };

function protectionOf(child: Session['children'][number], side: 'I' | 'R'): Protection {
  const id = ENCRYPTION_IDS[child.encrName]!;
  const key = hex(child[`encr${side}`]);
  const salt = id >= 18 ? 4 : 0;
  const icv =
    child.integName === undefined
      ? undefined
      : { id: INTEGRITY_IDS[child.integName]!, key: hex(child[`integ${side}`]!) };
  return keyed(id, id === 3 ? undefined : (key.length - salt) * 8, key, icv);
}

describe('strongSwan: every ESP packet of every recorded session', () => {
  const sessions = readdirSync(join(VECTORS, 'strongswan'))
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, ...load<Session>(`strongswan/${name}`) }))
    .map((session) => ({ ...session, count: session.esp.length }))
    .filter(({ count }) => count > 0);

  it('has sessions to show', () => {
    expect(sessions.length).toBeGreaterThanOrEqual(18);
    expect(sessions.reduce((n, { count }) => n + count, 0)).toBeGreaterThanOrEqual(240);
  });

  test.each(sessions)('$name: $count packets opened and sealed to the same octets', (session) => {
    const sas = new Map<string, InboundSa>();
    for (const child of session.children) {
      const spi = (text: string): number => Number.parseInt(text, 16);
      sas.set(child.spiOut, inbound({ spi: spi(child.spiOut), protection: protectionOf(child, 'I') }));
      sas.set(child.spiIn, inbound({ spi: spi(child.spiIn), protection: protectionOf(child, 'R') }));
    }
    const sad = sadOf(...sas.values());
    for (const esp of session.esp) {
      const raw = hex(esp.raw);
      const sa = sas.get(esp.spi)!;
      const packet = packetOf(raw);
      expect(open(sad, packet, 0, 0)).toBe(PASS);
      expect(toHex(copyOf(packet))).toBe(esp.inner);
      expect(sad.last).toBe(sa);
      expect(sa.sequence).toBe(esp.seq);
      expect(open(sad, packetOf(raw), 0, 0)).toBe(DROP.espReplay);

      const again = packetOf(hex(esp.inner));
      const iv = fixedIv(raw.slice(8, 8 + sa.protection.ivLength));
      expect(encapsulate(again, sa.protection, sa.spi, NO_ESN, esp.seq, esp.nextHeader, 0, iv)).toBe(PASS);
      expect(toHex(copyOf(again))).toBe(esp.raw);
    }
    for (const [spi, sa] of sas) {
      const sent = session.esp.filter((esp) => esp.spi === spi);
      expect(sa.usage.packets).toBe(sent.length);
      expect(sa.usage.innerBytes).toBe(sent.reduce((n, esp) => n + esp.inner.length / 2, 0));
      expect(sa.drops[DROP.espReplay]).toBe(sent.length);
    }
  });
});
