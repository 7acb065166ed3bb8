import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import {
  type Capability,
  decodeControlMessage,
  encodeControlMessage,
  IPV4_UNICAST,
  IPV6_UNICAST,
  L2VPN_EVPN,
  MESSAGE,
  type OpenMessage,
} from '../../../src/bgp/index.ts';
import { fromHex, toHex } from '../../../src/core/index.ts';
import { capability, controlMessage } from './arbitraries.ts';
import { wire } from './octets.ts';

/* Version 4, AS 65001, hold time 90, identifier 192.0.2.1; then the parameters. */
const FIXED = '04 fde9 005a c0000201';
const open = (capabilities: readonly Capability[] = []): OpenMessage => ({
  kind: 'open',
  version: 4,
  myAs: 65001,
  holdSeconds: 90,
  identifier: 0xc0000201,
  capabilities,
});

const decodedOpen = (body: string) => {
  const out = decodeControlMessage(wire(MESSAGE.OPEN, body));
  if (!out.ok) throw new Error(out.refusal.why);
  return out.value;
};
const refusalOf = (body: string) => {
  const out = decodeControlMessage(wire(MESSAGE.OPEN, body));
  if (out.ok) return 'accepted';
  const { code, subcode, data } = out.refusal.notification;
  return `${code}/${subcode} ${toHex(data)}`.trim();
};

describe('RFC 4271 §4.2: OPEN', () => {
  it('has its fields in order', () => {
    expect(decodedOpen(`${FIXED} 00`)).toEqual(open());
    expect(toHex(encodeControlMessage(open()))).toBe(`${'ff'.repeat(16)}001d0104fde9005ac000020100`);
  });

  it.each([0, 3, 65535])('takes a hold time of %i', (seconds) => {
    const message = { ...open(), holdSeconds: seconds };
    expect(decodeControlMessage(encodeControlMessage(message))).toEqual({ ok: true, value: message });
  });
});

describe('RFC 4271 §6.2: errors of OPEN', () => {
  test.each([
    { what: 'version 3: 2/1 with the version we can do', body: '03 fde9 005a c0000201 00', owed: '2/1 0004' },
    { what: 'version 5', body: '05 fde9 005a c0000201 00', owed: '2/1 0004' },
    { what: 'AS 0 (RFC 7607)', body: '04 0000 005a c0000201 00', owed: '2/2' },
    { what: 'AS 0 in the capability', body: `${FIXED} 08 02 06 41 04 00000000`, owed: '2/2' },
    { what: 'identifier 0', body: '04 fde9 005a 00000000 00', owed: '2/3' },
    { what: 'hold time 1', body: '04 fde9 0001 c0000201 00', owed: '2/6' },
    { what: 'hold time 2', body: '04 fde9 0002 c0000201 00', owed: '2/6' },
    { what: 'authentication', body: `${FIXED} 03 01 01 00`, owed: '2/4' },
    { what: 'an unknown parameter behind capabilities', body: `${FIXED} 06 02 02 02 00 09 00`, owed: '2/4' },
    { what: 'parameters shorter than said', body: `${FIXED} 05 02 02 02 00`, owed: '2/0' },
    { what: 'octets behind the parameters', body: `${FIXED} 00 00`, owed: '2/0' },
    { what: 'a parameter longer than all of them', body: `${FIXED} 04 02 03 02 00`, owed: '2/0' },
    { what: 'a capability longer than its parameter', body: `${FIXED} 04 02 02 02 01`, owed: '2/0' },
    { what: 'half a header of a parameter', body: `${FIXED} 01 02`, owed: '2/0' },
    { what: 'multiprotocol of three octets', body: `${FIXED} 07 02 05 01 03 000100`, owed: '2/0' },
    { what: 'a four-octet AS of two', body: `${FIXED} 06 02 04 41 02 fde9`, owed: '2/0' },
    { what: 'route refresh with a value', body: `${FIXED} 05 02 03 02 01 00`, owed: '2/0' },
  ])('$what', ({ body, owed }) => {
    expect(refusalOf(body)).toBe(owed);
  });

  it('are found or not, but nothing else happens, whatever the octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), (noise) => {
        const out = decodeControlMessage(wire(MESSAGE.OPEN, fromHex(FIXED + toHex(noise))));
        if (!out.ok) expect(out.refusal.notification.code).toBe(2);
      }),
    );
  });
});

describe('RFC 5492 §4: capabilities', () => {
  const cases: readonly { rfc: string; capability: Capability; octets: string }[] = [
    {
      rfc: 'RFC 4760 §8',
      capability: { name: 'multiprotocol', family: IPV6_UNICAST },
      octets: '01 04 0002 00 01',
    },
    { rfc: 'RFC 2918 §2', capability: { name: 'routeRefresh' }, octets: '02 00' },
    {
      rfc: 'RFC 8950 §4',
      capability: { name: 'extendedNextHop', entries: [{ family: IPV4_UNICAST, nextHopAfi: 2 }] },
      octets: '05 06 0001 0001 0002',
    },
    { rfc: 'RFC 8654 §3', capability: { name: 'extendedMessage' }, octets: '06 00' },
    {
      rfc: 'RFC 4724 §3 and RFC 8538 §2',
      capability: {
        name: 'gracefulRestart',
        restarting: true,
        notification: true,
        restartSeconds: 120,
        families: [
          { family: IPV4_UNICAST, forwarding: true },
          { family: IPV6_UNICAST, forwarding: false },
        ],
      },
      octets: '40 0a c078 0001 01 80 0002 01 00',
    },
    { rfc: 'RFC 6793 §3', capability: { name: 'fourOctetAs', asn: 4200000001 }, octets: '41 04 fa56ea01' },
    {
      rfc: 'RFC 7911 §4',
      capability: { name: 'addPath', families: [{ family: IPV4_UNICAST, mode: 3 }] },
      octets: '45 04 0001 01 03',
    },
    { rfc: 'RFC 7313 §3.1', capability: { name: 'enhancedRouteRefresh' }, octets: '46 00' },
    {
      rfc: 'RFC 9494 §3',
      capability: {
        name: 'longLivedGracefulRestart',
        families: [{ family: L2VPN_EVPN, forwarding: true, staleSeconds: 0x015180 }],
      },
      octets: '47 07 0019 46 80 015180',
    },
    {
      rfc: 'RFC 5492 §3: unknown',
      capability: { name: 'unknown', code: 128, value: fromHex('0102') },
      octets: '80 02 0102',
    },
  ];

  test.each(cases)('$rfc: $capability.name', ({ capability: one, octets }) => {
    const value = fromHex(octets);
    const body = `${FIXED} ${toHex(Uint8Array.of(value.length + 2, 2, value.length))} ${octets}`;
    expect(decodedOpen(body)).toEqual(open([one]));
    expect(toHex(encodeControlMessage(open([one])))).toBe(toHex(wire(MESSAGE.OPEN, body)));
  });

  it('may be many in one parameter or one in each of many', () => {
    const both: readonly Capability[] = [{ name: 'routeRefresh' }, { name: 'fourOctetAs', asn: 65001 }];
    expect(decodedOpen(`${FIXED} 0a 02 08 0200 4104 0000fde9`)).toEqual(open(both));
    expect(decodedOpen(`${FIXED} 0c 02 02 0200 02 06 4104 0000fde9`)).toEqual(open(both));
    expect(decodedOpen(`${FIXED} 0e 02 00 02 02 0200 02 06 4104 0000fde9`)).toEqual(open(both));
  });
});

describe('RFC 9072 §2: more than 255 octets of parameters', () => {
  const unknown = (length: number): Capability => ({ name: 'unknown', code: 200, value: new Uint8Array(length) });

  it('are written with lengths of two octets, and only then', () => {
    const most = encodeControlMessage(open([unknown(251)]));
    expect(toHex(most.subarray(28, 32))).toBe('ff02fdc8');
    const more = encodeControlMessage(open([unknown(252)]));
    expect(toHex(more.subarray(28, 37))).toBe('ffff01010200fec8fc');
    expect(decodeControlMessage(more)).toEqual({ ok: true, value: open([unknown(252)]) });
  });

  it('are read in that form also where they are few, and whatever the old length says', () => {
    const two: readonly Capability[] = [{ name: 'routeRefresh' }, { name: 'extendedMessage' }];
    expect(decodedOpen(`${FIXED} ff ff 000a 02 0002 0200 02 0002 0600`)).toEqual(open(two));
    expect(decodedOpen(`${FIXED} 01 ff 0005 02 0002 0200`)).toEqual(open([{ name: 'routeRefresh' }]));
    expect(decodedOpen(`${FIXED} ff ff 0000`)).toEqual(open());
  });

  it('a parameter of type 255 behind the first is none', () => {
    expect(refusalOf(`${FIXED} ff ff 0003 ff 0000`)).toBe('2/4');
    expect(refusalOf(`${FIXED} 07 02 02 0200 ff 01 00`)).toBe('2/4');
  });
});

describe('control messages', () => {
  it('are what they were after encoding and decoding', () => {
    fc.assert(
      fc.property(controlMessage, (message) => {
        expect(decodeControlMessage(encodeControlMessage(message))).toEqual({ ok: true, value: message });
      }),
    );
  });

  it('keep capabilities in their order', () => {
    fc.assert(
      fc.property(fc.array(capability, { maxLength: 12 }), (capabilities) => {
        const out = decodeControlMessage(encodeControlMessage(open(capabilities)));
        expect(out).toEqual({ ok: true, value: open(capabilities) });
      }),
    );
  });
});
