import { describe, expect, it } from 'vitest';
import { espTableRows, ikeTableRow, parseEspTable, parseIkeTable } from '../../src/capture/index.ts';
import { fromHex, Secret, toHex } from '../../src/core/index.ts';
import { ENCRYPTIONS, type Encryption, GROUPS, INTEGRITIES, type Integrity, PRFS } from '../../src/crypto/index.ts';
import type { ChildSa, IkeKeysExport } from '../../src/ike/index.ts';
import { formatPrefix, parseAddress } from '../../src/ip/index.ts';

const key = (length: number, fill: number): Secret => new Secret(new Uint8Array(length).fill(fill));

function ikeKeys(encryption: Encryption, integrity: Integrity | undefined): IkeKeysExport {
  const e = encryption.keyLength + encryption.saltLength;
  const a = integrity?.keyLength ?? 0;
  return {
    spiI: fromHex('0102030405060708'),
    spiR: fromHex('1112131415161718'),
    suite: { encryption, integrity, prf: PRFS[0]!, group: GROUPS[0]! },
    skEi: key(e, 0xe1),
    skEr: key(e, 0xe2),
    skAi: key(a, 0xa1),
    skAr: key(a, 0xa2),
  };
}

function child(encryption: Encryption, integrity: Integrity | undefined, esn = false, v6 = false): ChildSa {
  const e = encryption.keyLength + encryption.saltLength;
  const a = integrity?.keyLength ?? 0;
  return {
    connection: 't/c',
    id: 1,
    ikeId: 1,
    spiIn: 0x0a,
    spiOut: 0xc0ffee01,
    suite: { encryption, integrity, group: undefined, esn },
    keysIn: { encryption: key(e, 0xe1), integrity: key(a, 0xa1) },
    keysOut: { encryption: key(e, 0xe2), integrity: key(a, 0xa2) },
    local: [],
    remote: [],
    localEndpoint: { address: parseAddress(v6 ? '2001:db8::1' : '192.0.2.1')!, port: 4500 },
    remoteEndpoint: { address: parseAddress(v6 ? '2001:db8::2' : '192.0.2.2')!, port: 4500 },
    udpEncapsulation: true,
    tfcPadding: true,
  };
}

const suites = (ike: boolean): [string, Encryption, Integrity | undefined][] =>
  ENCRYPTIONS.filter((e) => !(ike && e.espOnly)).flatMap((e) =>
    (e.aead ? [undefined] : INTEGRITIES).map((i): [string, Encryption, Integrity | undefined] => [
      `${e.word}${i === undefined ? '' : `-${i.word}`}`,
      e,
      i,
    ]),
  );

describe('ikev2_decryption_table', () => {
  it('is written as Wireshark writes it', () => {
    const gcm = ENCRYPTIONS.find((e) => e.word === 'aes128gcm16')!;
    expect(ikeTableRow(ikeKeys(gcm, undefined))).toBe(
      `0102030405060708,1112131415161718,${'e1'.repeat(20)},${'e2'.repeat(20)},"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"`,
    );
    const cbc = ENCRYPTIONS.find((e) => e.word === 'aes256')!;
    const sha = INTEGRITIES.find((i) => i.word === 'sha256')!;
    expect(ikeTableRow(ikeKeys(cbc, sha))).toBe(
      `0102030405060708,1112131415161718,${'e1'.repeat(32)},${'e2'.repeat(32)},"AES-CBC-256 [RFC3602]",${'a1'.repeat(32)},${'a2'.repeat(32)},"HMAC_SHA2_256_128 [RFC4868]"`,
    );
  });

  it.each(suites(true))('%s: what is written is read', (_, encryption, integrity) => {
    const keys = ikeKeys(encryption, integrity);
    const { rows, issues } = parseIkeTable(`# comment\n\n${ikeTableRow(keys)}\r\n`);
    expect(issues).toEqual([]);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ spiI: keys.spiI, spiR: keys.spiR, encryption, integrity });
    for (const name of ['skEi', 'skEr', 'skAi', 'skAr'] as const) {
      expect(toHex(rows[0]![name].reveal())).toBe(toHex(keys[name].reveal()));
    }
  });

  it('each bad line is an issue by its number, and no issue holds a key', () => {
    const good = ikeTableRow(ikeKeys(ENCRYPTIONS[0]!, undefined));
    const { rows, issues } = parseIkeTable(
      [
        good,
        good.replace('AES-GCM', 'AES-XYZ'),
        good.replace('e1', 'e'),
        good.replace('0102', '02'),
        'a,b',
        '"open',
        good,
      ].join('\n'),
    );
    expect(rows).toHaveLength(2);
    expect(issues.map((i) => i.line)).toEqual([2, 3, 4, 5, 6]);
    expect(JSON.stringify(issues)).not.toMatch(/e1e1|e2e2/);
    expect(issues[3]!.problem).toBe('2 fields, 8 are needed');
  });

  it('integrity without a name to verify with is refused in words', () => {
    const cbc = ENCRYPTIONS.find((e) => e.word === 'aes128')!;
    const xcbc = INTEGRITIES.find((i) => i.word === 'aesxcbc')!;
    const row = ikeTableRow(ikeKeys(cbc, xcbc), { forWireshark: true });
    expect(row).toContain('"ANY 96-bits of Authentication [No Checking]"');
    expect(parseIkeTable(row).issues[0]!.problem).toContain('names no algorithm to verify with');
  });

  it('quoted and unquoted fields, upper case, 0x', () => {
    const row = ikeTableRow(ikeKeys(ENCRYPTIONS[0]!, undefined)).split(',');
    const odd = row.map((f) => (f.startsWith('"') || f === '' ? f : `"${f.toUpperCase()}"`)).join(' , ');
    expect(parseIkeTable(odd)).toMatchObject({ rows: [{ spiI: fromHex('0102030405060708') }], issues: [] });
  });
});

describe('esp_sa', () => {
  it('is written as Wireshark writes it', () => {
    const cbc = ENCRYPTIONS.find((e) => e.word === 'aes128')!;
    const sha = INTEGRITIES.find((i) => i.word === 'sha512')!;
    expect(espTableRows(child(cbc, sha))).toEqual([
      `"IPv4","192.0.2.1","192.0.2.2","0xc0ffee01","AES-CBC [RFC3602]","0x${'e2'.repeat(16)}","HMAC-SHA-512-256 [RFC4868]","0x${'a2'.repeat(64)}"`,
      `"IPv4","192.0.2.2","192.0.2.1","0x0000000a","AES-CBC [RFC3602]","0x${'e1'.repeat(16)}","HMAC-SHA-512-256 [RFC4868]","0x${'a1'.repeat(64)}"`,
    ]);
    expect(espTableRows(child(ENCRYPTIONS[0]!, undefined, true, true))[0]).toBe(
      `"IPv6","2001:db8::1","2001:db8::2","0xc0ffee01","AES-GCM with 16 octet ICV [RFC4106]","0x${'e2'.repeat(36)}","NULL","","64-bit","0"`,
    );
  });

  it.each(suites(false))('%s: what is written is read', (_, encryption, integrity) => {
    for (const esn of [false, true]) {
      const { rows, issues } = parseEspTable(espTableRows(child(encryption, integrity, esn, esn)).join('\n'));
      expect(issues).toEqual([]);
      expect(rows).toHaveLength(2);
      expect(rows[0]).toMatchObject({ spi: 0xc0ffee01, encryption, integrity, esn: esn ? true : undefined, high: 0 });
      expect(rows[0]!.encryptionKey.reveal().every((o) => o === 0xe2)).toBe(true);
      expect(formatPrefix(rows[1]!.destination!)).toBe(esn ? '2001:db8::1/128' : '192.0.2.1/32');
    }
  });

  it('reads the columns of newer Wireshark, wildcards, prefixes and text keys', () => {
    const aes = '"AES-CBC [RFC3602]"';
    const { rows, issues } = parseEspTable(
      [
        `"Any","*","*","*",${aes},"sixteen octets!!","HMAC-SHA-1-96 [RFC2404]","0x${'00'.repeat(20)}","32-bit","0"`,
        `"IPv4","192.0.2.0/24","*","0x1",${aes},"0x${'11'.repeat(16)}","HMAC-SHA-1-96 [RFC2404]","0x${'00'.repeat(20)}","64-bit","2a"`,
      ].join('\n'),
    );
    expect(issues).toEqual([]);
    expect(rows[0]).toMatchObject({ source: undefined, spi: undefined, esn: false });
    expect(rows[1]).toMatchObject({ spi: 1, esn: true, high: 0x2a });
    expect(formatPrefix(rows[1]!.source!)).toBe('192.0.2.0/24');
  });

  it("reads strongSwan's save-keys rows for AES-GCM", () => {
    const row = (auth: string) =>
      `"IPv4","1.1.1.1","2.2.2.2","0x1","AES-GCM [RFC4106]","0x${'11'.repeat(20)}","${auth}",""`;
    const { rows } = parseEspTable(
      ['ANY 64 bit authentication [no checking]', 'ANY 128 bit authentication [no checking]', 'NULL']
        .map(row)
        .join('\n'),
    );
    expect(rows.map((r) => r.encryption.word)).toEqual(['aes128gcm8', 'aes128gcm16', 'aes128gcm16']);
  });

  it('secrets of a table never show', () => {
    const { rows } = parseEspTable(espTableRows(child(ENCRYPTIONS[0]!, undefined)).join('\n'));
    expect(JSON.stringify(rows)).not.toMatch(/e1e1|e2e2/);
  });
});
