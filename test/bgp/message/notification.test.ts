import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  CEASE,
  ceaseWithText,
  decodeControlMessage,
  encodeControlMessage,
  errorName,
  fitNotification,
  IPV6_UNICAST,
  KEEPALIVE,
  MESSAGE,
  notification,
  shutdownText,
  suberrorName,
} from '../../../src/bgp/index.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { wire } from './octets.ts';

describe('RFC 4271 §4.4: KEEPALIVE', () => {
  it('is a header and nothing else', () => {
    expect(toHex(encodeControlMessage(KEEPALIVE))).toBe(`${'ff'.repeat(16)}001304`);
    expect(decodeControlMessage(wire(MESSAGE.KEEPALIVE, ''))).toEqual({ ok: true, value: KEEPALIVE });
  });
});

describe('RFC 4271 §4.5: NOTIFICATION', () => {
  it('has code, subcode and data', () => {
    const message = notification(1, 2, fromHex('1001'));
    expect(toHex(encodeControlMessage(message))).toBe(`${'ff'.repeat(16)}00170301021001`);
    expect(decodeControlMessage(wire(MESSAGE.NOTIFICATION, '0102 1001'))).toEqual({ ok: true, value: message });
  });

  it('RFC 8654 §5: has no more data than the peer takes', () => {
    const large = notification(3, 9, new Uint8Array(5000));
    expect(encodeControlMessage(fitNotification(large, 4096)).length).toBe(4096);
    expect(fitNotification(large, 65535)).toBe(large);
  });

  test.each([
    [1, 2, 'Message Header Error', 'Bad Message Length'],
    [2, 2, 'OPEN Message Error', 'Bad Peer AS'],
    [3, 11, 'UPDATE Message Error', 'Malformed AS_PATH'],
    [4, 0, 'Hold Timer Expired', 'Unspecific'],
    [5, 3, 'Finite State Machine Error', 'Receive Unexpected Message in Established State'],
    [6, 7, 'Cease', 'Connection Collision Resolution'],
    [7, 1, 'ROUTE-REFRESH Message Error', 'Invalid Message Length'],
    [8, 0, 'Send Hold Timer Expired', 'Unspecific'],
    [99, 42, 'Error 99', 'subcode 42'],
  ])('%i/%i is %s: %s', (code, subcode, name, subname) => {
    expect(errorName(code)).toBe(name);
    expect(suberrorName(code, subcode)).toBe(subname);
  });
});

describe('RFC 9003 §2: a sentence with a shutdown', () => {
  it.each([CEASE.ADMINISTRATIVE_SHUTDOWN, CEASE.ADMINISTRATIVE_RESET])('goes with 6/%i', (subcode) => {
    const message = ceaseWithText(subcode, 'wärme');
    expect(toHex(message.data)).toBe('0677c3a4726d65');
    expect(shutdownText(message)).toBe('wärme');
  });

  it('goes with nothing else', () => {
    expect(ceaseWithText(CEASE.PEER_DECONFIGURED, 'bye')).toEqual(notification(6, 3));
    expect(shutdownText(notification(6, 3, fromHex('03627965')))).toBeUndefined();
    expect(shutdownText(notification(2, 2, fromHex('03627965')))).toBeUndefined();
  });

  it('is cut to 255 octets and never within a character', () => {
    const message = ceaseWithText(2, `x${'é'.repeat(200)}`);
    expect(message.data[0]).toBe(255);
    expect(shutdownText(message)).toBe(`x${'é'.repeat(127)}`);
    expect(ceaseWithText(2, 'é'.repeat(200)).data[0]).toBe(254);
  });

  test.each([
    { what: 'no octets', data: '' },
    { what: 'an empty one', data: '00' },
    { what: 'a length that says more', data: '0462796500'.slice(0, 8) },
    { what: 'a length that says less', data: '02627965' },
    { what: 'octets that are not UTF-8', data: '02c328' },
    { what: 'a longer form than needed', data: '02c0af' },
  ])('is not read from $what', ({ data }) => {
    expect(shutdownText(notification(6, 2, fromHex(data)))).toBeUndefined();
  });

  it('comes back as it was said', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }), (text) => {
        expect(shutdownText(ceaseWithText(2, text))).toBe(text);
      }),
    );
  });
});

describe('RFC 2918 §3: ROUTE-REFRESH', () => {
  it('has the subtype of RFC 7313 §4 between AFI and SAFI', () => {
    const message = { kind: 'routeRefresh', family: IPV6_UNICAST, subtype: 2 } as const;
    expect(toHex(encodeControlMessage(message))).toBe(`${'ff'.repeat(16)}00170500020201`);
    expect(decodeControlMessage(wire(MESSAGE.ROUTE_REFRESH, '0002 02 01'))).toEqual({ ok: true, value: message });
  });

  test.each([
    { what: 'RFC 7313 §5: BoRR too long: 7/1 with the whole message', body: '0002010100', owed: [7, 1, 'whole'] },
    { what: 'RFC 7313 §5: EoRR too short', body: '000202', owed: [7, 1, 'whole'] },
    { what: 'RFC 4271 §6.1: a request too long: 1/2 with its length', body: '0002000100', owed: [1, 2, '0018'] },
    { what: 'RFC 4271 §6.1: nothing at all', body: '', owed: [1, 2, '0013'] },
  ])('$what', ({ body, owed }) => {
    const octets = wire(MESSAGE.ROUTE_REFRESH, body);
    const out = decodeControlMessage(octets);
    expect(out.ok).toBe(false);
    if (out.ok) return;
    const { code, subcode, data } = out.refusal.notification;
    expect([code, subcode, toHex(data)]).toEqual(owed.map((o) => (o === 'whole' ? toHex(octets) : o)));
  });
});
