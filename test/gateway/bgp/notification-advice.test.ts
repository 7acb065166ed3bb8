import { describe, expect, it, test } from 'vitest';
import { CEASE, ERROR, errorName, errorNumbers, suberrorName } from '../../../src/bgp/index.ts';
import { notificationAdvice } from '../../../src/gateway/bgp/notification-advice.ts';
import type { GatewayNode } from '../../../src/lab/index.ts';
import { BgpWorld } from './world.ts';

const whose = { tenant: 'contoso', peer: 'hq', address: '10.2.0.1' };
const NUMBERS = errorNumbers();

describe('what to do about a NOTIFICATION', () => {
  it('RFC 4271 §4.5, RFC 4486, RFC 6608, RFC 7313, RFC 8538, RFC 9234, RFC 9384, RFC 9687: the registries', () => {
    const most = NUMBERS.map(([code, subcode]) => `${code}/${subcode}`);
    expect(most).toHaveLength(44);
    expect(most).toEqual(
      expect.arrayContaining(['1/3', '2/5', '2/11', '3/7', '3/11', '4/0', '5/3', '6/8', '6/10', '7/1', '8/0']),
    );
  });

  test.each(NUMBERS.map(([code, subcode]) => [code, subcode, errorName(code), suberrorName(code, subcode)] as const))(
    '%i/%i, %s: %s: a sentence of its own, whoever has sent it',
    (code, subcode) => {
      for (const by of ['us', 'peer'] as const) {
        const advice = notificationAdvice(code, subcode, by, whose)!;
        expect(advice).toMatch(/^[a-zA-Z].{20,}[^.]$/);
        expect(advice.split('`').length % 2).toBe(1);
        // Codes whose subcodes all mean the same for who reads it have one sentence.
        if (code === ERROR.FSM || code === ERROR.REFRESH || subcode === 0) continue;
        const others = NUMBERS.filter(([other, sub]) => other !== code || sub !== subcode);
        expect(others.map(([other, sub]) => notificationAdvice(other, sub, by, whose))).not.toContain(advice);
      }
    },
  );

  it('a subcode that nobody has registered is taken for the code; a code is not', () => {
    expect(notificationAdvice(ERROR.CEASE, 99, 'peer', whose)).toBe(notificationAdvice(ERROR.CEASE, 0, 'peer', whose));
    expect(notificationAdvice(99, 1, 'peer', whose)).toBeUndefined();
  });

  test.each([
    [
      CEASE.OUT_OF_RESOURCES,
      'peer',
      'the peer has no memory for the session or its routes: tell it fewer (`export`), or have that mended there',
    ],
    [
      CEASE.MAXIMUM_PREFIXES,
      'us',
      'raise maxPrefixes and `bulkhead reload`, or, when there are fewer, `bulkhead bgp up contoso/hq`',
    ],
    [
      CEASE.MAXIMUM_PREFIXES,
      'peer',
      'the peer takes fewer prefixes than we tell it: tell it fewer (`export`), or have its limit raised',
    ],
    [CEASE.BFD_DOWN, 'peer', 'BFD says that no packet passes: see `bulkhead ping --tenant contoso 10.2.0.1`'],
  ] as const)('Cease/%i by %s', (subcode, by, advice) => {
    expect(notificationAdvice(ERROR.CEASE, subcode, by, whose)).toBe(advice);
  });
});

test('RFC 4486 §4: a session that ended for too many prefixes is a problem at both ends, of one tenant, until it is begun again', () => {
  const world = new BgpWorld({ gwPeer: 'maxPrefixes: { limit: 1 }' });
  const problemsOf = (node: GatewayNode) => node.gateway.status(world.timeline.now).problems;
  world.run(60_000);
  expect(problemsOf(world.gw)[0]).toMatchObject({
    tenant: 'contoso',
    problem: 'BGP peer hq (10.2.0.1, AS 65020) is not up: 2 prefixes, 1 are allowed',
    advice: 'raise maxPrefixes and `bulkhead reload`, or, when there are fewer, `bulkhead bgp up contoso/hq`',
  });
  // Which has dialled since, and heard no more than that the connection is not wanted.
  expect(problemsOf(world.sites)[0]).toMatchObject({
    tenant: 'contoso',
    advice: 'the peer takes fewer prefixes than we tell it: tell it fewer (`export`), or have its limit raised',
  });
  world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what: 'stop', text: '' });
  expect(problemsOf(world.gw).map(({ tenant }) => tenant)).toEqual(['woodgrove']);
});
