import { describe, expect, test } from 'vitest';
import { encodeMessage, type Message } from '../../../src/bgp/index.ts';
import { concat } from '../../../src/core/index.ts';
import { BgpFollowers } from '../../../src/gateway/bgp/index.ts';
import type { BgpSaidStatus } from '../../../src/gateway/status-bgp.ts';

const KEEPALIVE: Message = { kind: 'keepalive' };
const CONTEXT = { ebgp: true, fourOctetAs: true, maximumLength: 4096, addPath: [], families: [] };
const octets = (count: number) => concat(...Array.from({ length: count }, () => encodeMessage(KEEPALIVE, CONTEXT)));

function followers() {
  const said: (BgpSaidStatus & { readonly query: number })[] = [];
  return { said, all: new BgpFollowers((query, each) => void said.push({ query, ...each })) };
}

describe('who follows BGP peers', () => {
  test('is told of those asked for alone: messages apart, whichever piece they came in', () => {
    const { said, all } = followers();
    all.messages('contoso', 'hq', 0, 'in', octets(1), undefined);
    all.set(1, { tenant: 'contoso', peer: 'hq', messages: true });
    all.set(2, { tenant: 'woodgrove', peer: undefined, messages: false });
    for (const tenant of ['contoso', 'woodgrove'])
      for (const peer of ['hq', 'branch']) {
        all.messages(tenant, peer, 0, 'out', octets(2), undefined);
        all.event(tenant, peer, 'established', 'with AS 65020', 0);
      }
    expect(said.map(({ tenant, peer, kind, what }) => `${tenant}/${peer} ${kind} ${what}`)).toEqual([
      'contoso/hq out KEEPALIVE',
      'contoso/hq out KEEPALIVE',
      'contoso/hq event established',
      'woodgrove/hq event established',
      'woodgrove/branch event established',
    ]);
    all.end(1);
    all.end(2);
    all.event('contoso', 'hq', 'down', 'stopped', 0);
    expect(said).toHaveLength(5);
  });

  test('200 lines a second; the others are counted', () => {
    const { said, all } = followers();
    all.set(1, { tenant: undefined, peer: undefined, messages: true });
    all.messages('contoso', 'hq', 1000, 'in', octets(1000), undefined);
    all.messages('contoso', 'hq', 1999, 'in', octets(1), undefined);
    expect([said.length, said.every(({ missed }) => missed === 0)]).toEqual([200, true]);
    all.event('contoso', 'hq', 'down', 'hold timer expired', 2000);
    expect(said[200]).toEqual({
      query: 1,
      tenant: 'contoso',
      peer: 'hq',
      kind: 'event',
      what: 'down',
      words: 'hold timer expired',
      octets: 0,
      missed: 801,
    });
  });

  test('one follower of a busy tenant takes no line from that of another, nor does its count go there', () => {
    const { said, all } = followers();
    all.set(1, { tenant: 'contoso', peer: undefined, messages: true });
    all.set(2, { tenant: 'woodgrove', peer: undefined, messages: true });
    all.messages('contoso', 'hq', 1000, 'in', octets(1000), undefined);
    all.event('woodgrove', 'hq', 'established', 'with AS 65020', 1001);
    all.event('contoso', 'hq', 'down', 'stopped', 2000);
    expect(said.slice(200).map(({ query, tenant, what, missed }) => [query, tenant, what, missed])).toEqual([
      [2, 'woodgrove', 'established', 0],
      [1, 'contoso', 'down', 800],
    ]);
  });

  test('who follows all has a count of its own', () => {
    const { said, all } = followers();
    all.set(1, { tenant: undefined, peer: undefined, messages: true });
    all.messages('contoso', 'hq', 1000, 'in', octets(300), undefined);
    all.set(2, { tenant: 'contoso', peer: 'hq', messages: true });
    all.messages('contoso', 'hq', 1500, 'in', octets(1), undefined);
    all.messages('contoso', 'hq', 2000, 'in', octets(1), undefined);
    expect(said.slice(200).map(({ query, missed }) => [query, missed])).toEqual([
      [2, 0],
      [1, 101],
      [2, 0],
    ]);
  });
});
