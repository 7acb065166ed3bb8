import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resolveSecret } from '../../src/config/index.ts';
import { Secret } from '../../src/core/index.ts';
import { KeyLog, readText, SystemError, secretSource } from '../../src/runtime/index.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'bh-files-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string | Uint8Array, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  chmodSync(file, mode);
  return file;
}

describe('documents', () => {
  it('are text, with or without a byte-order mark', () => {
    expect(readText(write('plain.yaml', 'version: 1\n', 0o644))).toEqual({ ok: true, text: 'version: 1\n' });
    expect(readText(write('mark.yaml', '\ufeffversion: 1\n'))).toEqual({ ok: true, text: 'version: 1\n' });
  });

  it('that cannot be read say why', () => {
    const missing = join(folder, 'missing.yaml');
    expect(readText(missing)).toEqual({
      ok: false,
      problem: `${missing} cannot be read: no such file or directory (ENOENT)`,
    });
    expect(readText(folder)).toEqual({ ok: false, problem: `${folder} is not a file` });
    const binary = write('binary.yaml', Uint8Array.of(0xff, 0xfe, 0x00));
    expect(readText(binary)).toEqual({ ok: false, problem: `${binary} is not UTF-8 text` });
    const large = write('large.yaml', new Uint8Array((4 << 20) + 1));
    expect(readText(large)).toEqual({ ok: false, problem: `${large} is larger than 4194304 octets` });
  });
});

describe('secrets', () => {
  const source = (env: NodeJS.ProcessEnv = {}) => secretSource(join(folder, 'gateway.yaml'), env);
  const reveal = (secret: Secret | string): string =>
    secret instanceof Secret ? new TextDecoder().decode(secret.reveal()) : `problem: ${secret}`;

  it('come from files beside the document, the environment and credentials', () => {
    write('hq.psk', 'correct horse\n');
    mkdirSync(join(folder, 'credentials'));
    write('credentials/hq', 'battery staple', 0o400);
    const env = { HQ: 'in the environment', CREDENTIALS_DIRECTORY: join(folder, 'credentials') };
    expect(reveal(resolveSecret({ from: 'file', value: 'hq.psk' }, source()))).toBe('correct horse');
    expect(reveal(resolveSecret({ from: 'file', value: join(folder, 'hq.psk') }, source()))).toBe('correct horse');
    expect(reveal(resolveSecret({ from: 'env', value: 'HQ' }, source(env)))).toBe('in the environment');
    expect(reveal(resolveSecret({ from: 'credential', value: 'hq' }, source(env)))).toBe('battery staple');
  });

  it.each([0o644, 0o604, 0o606, 0o602])('with mode %o, open to everybody, are refused', (mode) => {
    const file = write('open.psk', 'known to all', mode);
    expect(source().readFile('open.psk')).toBe(
      `${file} is open to everybody on this host (mode 0${mode.toString(8)}): chmod 600 ${file}`,
    );
    expect(source().readFile(write('group.psk', 'ours', 0o640))).toBeInstanceOf(Uint8Array);
  });

  it('that are not there say so, and a credential is no path', () => {
    expect(source().readFile('none.psk')).toContain('no such file or directory (ENOENT)');
    expect(source().credential('hq')).toContain('$CREDENTIALS_DIRECTORY is not set');
    const env = { CREDENTIALS_DIRECTORY: folder };
    expect(source(env).credential('../etc/shadow')).toBe('../etc/shadow is no name of a credential');
    expect(source(env).credential('..')).toBe('.. is no name of a credential');
  });
});

describe('the key log', () => {
  it('appends rows to files of mode 0600 in a folder of mode 0700', () => {
    const log = new KeyLog(join(folder, 'new-keys'));
    log.append('esp_sa', '"a"');
    log.append('esp_sa', '"b"');
    log.append('ikev2_decryption_table', '"c"');
    expect(readFileSync(join(log.folder, 'esp_sa'), 'utf8')).toBe('"a"\n"b"\n');
    expect(readFileSync(join(log.folder, 'ikev2_decryption_table'), 'utf8')).toBe('"c"\n');
    expect(statSync(log.folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(log.folder, 'esp_sa')).mode & 0o777).toBe(0o600);
  });

  it('takes an open file from everybody else before it writes', () => {
    const log = new KeyLog(join(folder, 'taken'));
    write('taken/esp_sa', '', 0o666);
    log.append('esp_sa', 'row');
    expect(statSync(join(log.folder, 'esp_sa')).mode & 0o777).toBe(0o600);
  });

  it('refuses symbolic links, folders anybody may write into, and files for folders', () => {
    const log = new KeyLog(join(folder, 'linked'));
    symlinkSync(write('target', ''), join(log.folder, 'esp_sa'));
    expect(() => log.append('esp_sa', 'row')).toThrow(SystemError);
    expect(readFileSync(join(folder, 'target'), 'utf8')).toBe('');
    mkdirSync(join(folder, 'shared'));
    chmodSync(join(folder, 'shared'), 0o777);
    expect(() => new KeyLog(join(folder, 'shared'))).toThrow(/choose another `keyLog` folder/);
    expect(statSync(join(folder, 'shared')).mode & 0o777).toBe(0o777);
    expect(() => new KeyLog(write('file', ''))).toThrow(SystemError);
  });

  it('makes no folders but its own, and none below /proc', () => {
    expect(() => new KeyLog(join(folder, 'absent/keys'))).toThrow(/no such file or directory/);
    expect(() => new KeyLog('/proc/nope')).toThrow(SystemError);
  });
});
