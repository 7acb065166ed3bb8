import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../src/core/index.ts';
import * as ike from '../../src/ike/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { octets } from './arbitraries.ts';

const { ID } = ike;
const parsed = (text: string): ike.Identity => {
  const result = ike.parseIdentity(text);
  if (!result.ok) throw new Error(result.problem);
  return result.identity;
};
const ascii = (text: string) => new TextEncoder().encode(text);

describe('RFC 7296 §3.5: identities in words', () => {
  it.each([
    ['192.0.2.1', ID.IPV4_ADDR, 'c0000201'],
    ['2001:db8::1', ID.IPV6_ADDR, '20010db8000000000000000000000001'],
    ['gw1.example', ID.FQDN, toHex(ascii('gw1.example'))],
    ['@gw1.example', ID.FQDN, toHex(ascii('gw1.example'))],
    ['@192.0.2.1', ID.FQDN, toHex(ascii('192.0.2.1'))],
    ['moon@example.org', ID.RFC822_ADDR, toHex(ascii('moon@example.org'))],
    ['@@moon@example.org', ID.RFC822_ADDR, toHex(ascii('moon@example.org'))],
    ['@#0aFF', ID.KEY_ID, '0aff'],
    ['keyid:site-7', ID.KEY_ID, toHex(ascii('site-7'))],
    ['keyid:#0102', ID.KEY_ID, '0102'],
    ['fqdn:192.0.2.1', ID.FQDN, toHex(ascii('192.0.2.1'))],
    ['email:moon', ID.RFC822_ADDR, toHex(ascii('moon'))],
    ['ipv4:#c0000201', ID.IPV4_ADDR, 'c0000201'],
    ['ipv6:2001:db8::1', ID.IPV6_ADDR, '20010db8000000000000000000000001'],
    ['asn1dn:#3000', ID.DER_ASN1_DN, '3000'],
    ['not:an:address', ID.KEY_ID, toHex(ascii('not:an:address'))],
  ])('%s', (text, type, data) => {
    expect(parsed(text)).toEqual({ type, data: fromHex(data) });
  });

  it.each([
    ['', '"" is no identity'],
    ['%any', '"%any" is no identity'],
    [
      'C=CH, O=strongSwan, CN=moon',
      '"C=CH, O=strongSwan, CN=moon" is a distinguished name: write it as asn1dn:# and its DER octets',
    ],
    ['@', 'an empty identity'],
    ['@#0', '"#0" is not # and hexadecimal octets'],
    ['ipv4:2001:db8::1', '"2001:db8::1" is no address of this family'],
    ['ipv6:#00', '"#00" has not 16 octets'],
    ['asn1dn:CN=moon', 'an identity of type DER_ASN1_DN is written as # and its octets'],
  ])('%s is refused: %s', (text, problem) => {
    expect(ike.parseIdentity(text)).toEqual({ ok: false, problem });
  });

  it('is written as short as it can be read', () => {
    const written = (type: number, text: string) => ike.formatIdentity({ type, data: ascii(text) });
    expect(ike.formatIdentity(parsed('2001:DB8:0::1'))).toBe('2001:db8::1');
    expect(written(ID.FQDN, 'gw1.example')).toBe('gw1.example');
    expect(written(ID.FQDN, '192.0.2.1')).toBe('fqdn:192.0.2.1');
    expect(written(ID.FQDN, 'a@b')).toBe('fqdn:a@b');
    expect(written(ID.RFC822_ADDR, 'a@b')).toBe('a@b');
    expect(written(ID.KEY_ID, 'site-7')).toBe('keyid:site-7');
    expect(written(ID.KEY_ID, 'two words')).toBe('keyid:#74776f20776f726473');
    expect(written(13, '')).toBe('NULL:#');
    expect(written(200, 'x')).toBe('ID(200):#78');
  });

  it('parse(format(x)) = x', () => {
    const types = fc.constantFrom(ID.FQDN, ID.RFC822_ADDR, ID.KEY_ID, ID.DER_ASN1_DN, ID.DER_ASN1_GN);
    const texts = fc.oneof(octets(0, 20), fc.stringMatching(/^[a-z@#%:=.0-9]{1,12}$/).map(ascii));
    const identity = fc.oneof(
      fc.record({ type: types, data: texts }),
      fc.record({ type: fc.constant(ID.IPV4_ADDR), data: octets(4, 4) }),
      fc.record({ type: fc.constant(ID.IPV6_ADDR), data: octets(16, 16) }),
    );
    fc.assert(
      fc.property(identity, (x) => {
        expect(parsed(ike.formatIdentity(x))).toEqual(x);
      }),
      { numRuns: 1000 },
    );
  });

  it('names are equal without regard to case, everything else octet by octet', () => {
    expect(ike.sameIdentity(parsed('GW1.example'), parsed('gw1.EXAMPLE'))).toBe(true);
    expect(ike.sameIdentity(parsed('a@Example'), parsed('A@example'))).toBe(true);
    expect(ike.sameIdentity(parsed('keyid:A'), parsed('keyid:a'))).toBe(false);
    expect(ike.sameIdentity(parsed('gw1.example'), parsed('email:gw1.example'))).toBe(false);
    expect(ike.sameIdentity(parsed('192.0.2.1'), ike.identityOfAddress(parseAddress('192.0.2.1')!))).toBe(true);
  });

  it('§2.15: the body that AUTH covers keeps RESERVED', () => {
    expect(toHex(ike.identityBody(parsed('192.0.2.1')))).toBe('01000000c0000201');
    expect(toHex(ike.identityBody(parsed('192.0.2.1'), 0xabcdef))).toBe('01abcdefc0000201');
  });
});
