import { describe, expect, test } from 'vitest';
import { resolveSecret, type SecretReference, type SecretSource, weakness } from '../../src/config/index.ts';
import { type Bytes, Secret, toHex } from '../../src/core/index.ts';

const octets = (text: string): Bytes => new TextEncoder().encode(text);
const source = (content: Bytes | string): SecretSource => ({
  readFile: () => content,
  env: (name) => (name === 'SET' && typeof content !== 'string' ? new TextDecoder().decode(content) : undefined),
  credential: () => content,
});
const FILE: SecretReference = { from: 'file', value: 'hq.psk' };
const fromFile = (content: Bytes | string): string => {
  const secret = resolveSecret(FILE, source(content));
  return typeof secret === 'string' ? secret : toHex(secret.reveal());
};

describe('a secret in a file', () => {
  test.each([
    ['abc', '616263'],
    ['abc\n', '616263'],
    ['abc\r\n', '616263'],
    ['abc\n\n', '6162630a'],
    [' abc ', '2061626320'],
    ['0x00ff', '00ff'],
    ['0x00FF\n', '00ff'],
    ['hex:00ff', '00ff'],
    ['0sAP8=', '00ff'],
    ['0sAP8\n', '00ff'],
    ['base64:AP8=', '00ff'],
    ['0sYWJj', '616263'],
    ['0s+/+/', 'fbffbf'],
  ])('%j', (text, hex) => expect(fromFile(octets(text))).toBe(hex));

  test('octets that are no text stay as they are', () => {
    expect(fromFile(Uint8Array.of(0, 0xff, 0x0d, 0x0a))).toBe('00ff');
    expect(fromFile(Uint8Array.of(0x80, 0x0d))).toBe('800d');
  });

  test.each([
    ['', 'hq.psk: is empty'],
    ['\n', 'hq.psk: is empty'],
    ['0x', 'hq.psk: is empty'],
    ['0x0', 'hq.psk: begins like hexadecimal but is not'],
    ['0x0g', 'hq.psk: begins like hexadecimal but is not'],
    ['0sA', 'hq.psk: begins like base64 but is not'],
    ['0sAP9=', 'hq.psk: begins like base64 but is not'],
    ['0sA P8', 'hq.psk: begins like base64 but is not'],
  ])('%j is refused', (text, sentence) => expect(fromFile(octets(text))).toBe(sentence));

  test('that cannot be read: the sentence of the reader', () => expect(fromFile('no such file')).toBe('no such file'));
});

test('a variable keeps its newline', () => {
  const secret = resolveSecret({ from: 'env', value: 'SET' }, source(octets('abc\n')));
  expect(toHex((secret as Secret).reveal())).toBe('6162630a');
  expect(resolveSecret({ from: 'env', value: 'UNSET' }, source(octets('abc')))).toBe('the variable UNSET is not set');
});

test('a credential', () => {
  const secret = resolveSecret({ from: 'credential', value: 'hq' }, source(octets('abc\n')));
  expect(toHex((secret as Secret).reveal())).toBe('616263');
  expect(resolveSecret({ from: 'credential', value: 'hq' }, source(octets('')))).toBe('the credential hq: is empty');
});

test('fifteen octets are weak, sixteen are not', () => {
  expect(weakness(new Secret(new Uint8Array(15)))).toBe(
    'a secret of 15 octets can be guessed from one recorded exchange: use 16 or more',
  );
  expect(weakness(new Secret(new Uint8Array(16)))).toBeUndefined();
});
