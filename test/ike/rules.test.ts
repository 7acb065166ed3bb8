import { describe, expect, it } from 'vitest';
import { EMPTY } from '../../src/core/index.ts';
import * as ike from '../../src/ike/index.ts';

const { PAYLOAD } = ike;

const p = (type: number): ike.Payload => ({ type, critical: false }) as unknown as ike.Payload;
const all = (...types: number[]) => types.map(p);
const stranger: ike.Payload = { type: 'unknown', payloadType: 200, critical: false, data: EMPTY };
const { SA, KE, NONCE, NOTIFY, VENDOR, IDI, IDR, AUTH, TSI, TSR, CERT, CERTREQ, CP, DELETE, EAP, SK } = PAYLOAD;

describe('RFC 7296 Appendix C: the payloads of each exchange', () => {
  it.each([
    ['C.1 IKE_SA_INIT', ike.IKE_SA_INIT_REQUEST, all(SA, KE, NONCE), undefined],
    [
      'C.1 in any order, with notifications and vendor IDs',
      ike.IKE_SA_INIT_REQUEST,
      all(NOTIFY, NONCE, VENDOR, KE, SA, NOTIFY),
      undefined,
    ],
    ['§2.5 unknown payloads do not count', ike.IKE_SA_INIT_REQUEST, [stranger, ...all(SA, KE, NONCE)], undefined],
    ['C.1 without nonce', ike.IKE_SA_INIT_REQUEST, all(SA, KE), 'IKE_SA_INIT request: NONCE is missing'],
    [
      'C.1 with two KE',
      ike.IKE_SA_INIT_REQUEST,
      all(SA, KE, KE, NONCE),
      'IKE_SA_INIT request: 2 times KE, at most 1 allowed',
    ],
    [
      'C.1 with an identity in the clear',
      ike.IKE_SA_INIT_REQUEST,
      all(SA, KE, NONCE, IDI),
      'IKE_SA_INIT request: IDI does not belong here',
    ],
    ['C.1 the answer may ask for certificates', ike.IKE_SA_INIT_RESPONSE, all(SA, KE, NONCE, CERTREQ), undefined],
    ['C.1 a refusal', ike.ERROR_RESPONSE, all(NOTIFY, VENDOR), undefined],
    ['C.1 an empty refusal', ike.ERROR_RESPONSE, [], 'error response: NOTIFY is missing'],
    ['C.2 IKE_AUTH', ike.IKE_AUTH_REQUEST, all(IDI, CERT, CERTREQ, IDR, AUTH, CP, SA, TSI, TSR, NOTIFY), undefined],
    ['C.2 without AUTH', ike.IKE_AUTH_REQUEST, all(IDI, SA, TSI, TSR), 'IKE_AUTH request: AUTH is missing'],
    [
      'C.2 with EAP',
      ike.IKE_AUTH_REQUEST,
      all(IDI, AUTH, SA, TSI, TSR, EAP),
      'IKE_AUTH request: EAP does not belong here',
    ],
    [
      'C.2 an SK inside SK',
      ike.IKE_AUTH_REQUEST,
      all(IDI, AUTH, SA, TSI, TSR, SK),
      'IKE_AUTH request: SK does not belong here',
    ],
    ['RFC 6023 §4 without child', ike.IKE_AUTH_REQUEST_CHILDLESS, all(IDI, AUTH), undefined],
    ['C.2 the answer', ike.IKE_AUTH_RESPONSE, all(IDR, AUTH, SA, TSI, TSR), undefined],
    ['§2.21.2 the child refused', ike.IKE_AUTH_RESPONSE_CHILDLESS, all(IDR, AUTH, NOTIFY), undefined],
    ['C.4 a new child', ike.CREATE_CHILD_REQUEST, all(SA, NONCE, TSI, TSR), undefined],
    ['C.4 a new child with PFS', ike.CREATE_CHILD_RESPONSE, all(SA, NONCE, KE, TSI, TSR, NOTIFY), undefined],
    ['C.4 without selectors', ike.CREATE_CHILD_REQUEST, all(SA, NONCE, TSI), 'CREATE_CHILD_SA request: TSR is missing'],
    ['§1.3.3 a rekeyed child', ike.REKEY_CHILD_REQUEST, all(NOTIFY, SA, NONCE, TSI, TSR), undefined],
    [
      '§1.3.3 without REKEY_SA',
      ike.REKEY_CHILD_REQUEST,
      all(SA, NONCE, TSI, TSR),
      'CREATE_CHILD_SA request: NOTIFY is missing',
    ],
    ['C.5 a rekeyed IKE SA', ike.REKEY_IKE_REQUEST, all(SA, NONCE, KE), undefined],
    ['C.5 without KE', ike.REKEY_IKE_RESPONSE, all(SA, NONCE), 'CREATE_CHILD_SA response: KE is missing'],
    ['C.6 INFORMATIONAL', ike.INFORMATIONAL_RULES, all(NOTIFY, DELETE, DELETE, CP), undefined],
    ['§1.4 an empty one', ike.INFORMATIONAL_RULES, [], undefined],
    ['C.6 with AUTH', ike.INFORMATIONAL_RULES, all(AUTH), 'INFORMATIONAL: AUTH does not belong here'],
  ] as const)('%s', (_, rules, payloads, expected) => {
    expect(ike.breaks(rules, payloads)).toBe(expected);
  });
});

describe('names', () => {
  it('are IANA’s, or the registry with the number', () => {
    expect(ike.notifyName(16390)).toBe('COOKIE');
    expect(ike.notifyName(40960)).toBe('NOTIFY(40960)');
    expect(ike.exchangeName(35)).toBe('IKE_AUTH');
    expect(ike.exchangeName(77)).toBe('EXCHANGE(77)');
    expect(ike.payloadName(46)).toBe('SK');
    expect(ike.idTypeName(9)).toBe('DER_ASN1_DN');
    expect(ike.authMethodName(14)).toBe('DIGITAL_SIGNATURE');
    expect(ike.transformTypeName(6)).toBe('ADDKE1');
    expect(ike.protocolName(3)).toBe('ESP');
    expect(ike.tsTypeName(7)).toBe('IPV4_ADDR_RANGE');
    expect(ike.certEncodingName(4)).toBe('X509_SIGNATURE');
    expect(ike.configurationKindName(1)).toBe('REQUEST');
    expect(ike.configurationAttributeName(25)).toBe('INTERNAL_DNS_DOMAIN');
    expect(ike.eapCodeName(3)).toBe('SUCCESS');
    expect(ike.hashName(5)).toBe('IDENTITY');
  });

  it('§3.10.1: types below 16384 are errors', () => {
    expect([17, 16383, 16384, 40960].map(ike.isErrorNotify)).toEqual([true, true, false, false]);
  });

  it('no number stands for two things', () => {
    for (const registry of [
      ike.EXCHANGE,
      ike.PAYLOAD,
      ike.NOTIFY,
      ike.TRANSFORM,
      ike.ID,
      ike.CERT,
      ike.AUTH_METHOD,
      ike.CFG_ATTRIBUTE,
    ]) {
      const numbers = Object.values(registry);
      expect(new Set(numbers).size).toBe(numbers.length);
    }
  });
});
