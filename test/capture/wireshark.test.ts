import { describe, expect, it } from 'vitest';
import { espTableRows, ikeTableRow, parseEspTable, parseIkeTable } from '../../src/capture/index.ts';
import { fromHex, toHex } from '../../src/core/index.ts';
import { encryptionByWord, integrityByWord } from '../../src/crypto/index.ts';
import { formatPrefix } from '../../src/ip/index.ts';
import { childSa, ikeKeys, type Suite, suitesOf } from './suites.ts';

const suite = (encryption: string, integrity?: string): Suite => ({
  name: encryption,
  encryption: encryptionByWord(encryption)!,
  integrity: integrity === undefined ? undefined : integrityByWord(integrity)!,
});

describe('ikev2_decryption_table', () => {
  it('is written as Wireshark writes it', () => {
    expect(ikeTableRow(ikeKeys(suite('aes128gcm16')))).toBe(
      `0102030400000001,1112131415161718,${'e1'.repeat(20)},${'e2'.repeat(20)},"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"`,
    );
    expect(ikeTableRow(ikeKeys(suite('aes256', 'sha256')))).toBe(
      `0102030400000001,1112131415161718,${'e1'.repeat(32)},${'e2'.repeat(32)},"AES-CBC-256 [RFC3602]",${'a1'.repeat(32)},${'a2'.repeat(32)},"HMAC_SHA2_256_128 [RFC4868]"`,
    );
  });

  it.each(suitesOf('ike'))('$name: what is written is read', (each) => {
    const { encryption, integrity } = each;
    const keys = ikeKeys(each);
    const { rows, issues } = parseIkeTable(`# comment\n\n${ikeTableRow(keys)}\r\n`);
    expect(issues).toEqual([]);
    expect(rows).toHaveLength(1);
    expect(rows[0]).toMatchObject({ spiI: keys.spiI, spiR: keys.spiR, encryption, integrity });
    for (const name of ['skEi', 'skEr', 'skAi', 'skAr'] as const) {
      expect(toHex(rows[0]![name].reveal())).toBe(toHex(keys[name].reveal()));
    }
  });

  it('each bad line is an issue by its number, and no issue holds a key', () => {
    const good = ikeTableRow(ikeKeys(suite('aes256gcm16')));
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
    const row = ikeTableRow(ikeKeys(suite('aes128', 'aesxcbc')), { forWireshark: true });
    expect(row).toContain('"ANY 96-bits of Authentication [No Checking]"');
    expect(parseIkeTable(row).issues[0]!.problem).toContain('names no algorithm to verify with');
  });

  it('quoted and unquoted fields, upper case, 0x', () => {
    const row = ikeTableRow(ikeKeys(suite('aes256gcm16'))).split(',');
    const odd = row.map((f) => (f.startsWith('"') || f === '' ? f : `"${f.toUpperCase()}"`)).join(' , ');
    expect(parseIkeTable(odd)).toMatchObject({ rows: [{ spiI: fromHex('0102030400000001') }], issues: [] });
  });
});

describe('esp_sa', () => {
  it('is written as Wireshark writes it', () => {
    expect(espTableRows(childSa(suite('aes128', 'sha512')))).toEqual([
      `"IPv4","192.0.2.1","192.0.2.2","0xc0ffee01","AES-CBC [RFC3602]","0x${'e2'.repeat(16)}","HMAC-SHA-512-256 [RFC4868]","0x${'a2'.repeat(64)}"`,
      `"IPv4","192.0.2.2","192.0.2.1","0x0000000a","AES-CBC [RFC3602]","0x${'e1'.repeat(16)}","HMAC-SHA-512-256 [RFC4868]","0x${'a1'.repeat(64)}"`,
    ]);
    expect(espTableRows(childSa(suite('aes256gcm16'), true, true))[0]).toBe(
      `"IPv6","2001:db8::1","2001:db8::2","0xc0ffee01","AES-GCM with 16 octet ICV [RFC4106]","0x${'e2'.repeat(36)}","NULL","","64-bit","0"`,
    );
  });

  it.each(suitesOf('esp'))('$name: what is written is read', (each) => {
    const { encryption, integrity } = each;
    for (const esn of [false, true]) {
      const { rows, issues } = parseEspTable(espTableRows(childSa(each, esn, esn)).join('\n'));
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
    const { rows } = parseEspTable(espTableRows(childSa(suite('aes256gcm16'))).join('\n'));
    expect(JSON.stringify(rows)).not.toMatch(/e1e1|e2e2/);
  });
});
