import { describe, expect, test } from 'vitest';
import type { MrtRecord } from '../../../src/bgp/index.ts';
import { formatAddress } from '../../../src/ip/index.ts';
import { resolveDocument } from '../../../src/lab/index.ts';
import { BgpWorld, gwDocument } from './world.ts';

const NAMES = ['', 'OPEN', 'UPDATE', 'NOTIFICATION', 'KEEPALIVE', 'ROUTE-REFRESH'];
const wordsOf = (r: MrtRecord): string =>
  r.kind === 'state'
    ? `state ${r.from} to ${r.to}`
    : r.kind === 'message'
      ? `${r.sent ? 'out' : 'in'} ${NAMES[r.message[18]!]}`
      : r.kind;

function recorded(world: BgpWorld): string[] {
  return world.actions.flatMap((action) =>
    action.do === 'bgp-recorded'
      ? action.records.map((record) => `${action.tenant}/${action.peer} ${wordsOf(record)}`)
      : [],
  );
}

describe('RFC 6396 §4.4: sessions recorded', () => {
  test('from the first event of a peer on, of the tenant that is named alone', () => {
    const world = new BgpWorld({ sitePeer: 'passive: true' });
    world.gw.apply(resolveDocument(gwDocument({}).replaceAll(/peers: \[.*/g, 'peers: []')));
    world.run(1000);
    world.gw.dispatch({ type: 'record', query: 1, tenant: 'contoso', peer: undefined });
    world.gw.apply(resolveDocument(gwDocument({})));
    world.run(10_000);
    const all = recorded(world);
    const lines = [
      'state 1 to 2',
      'out OPEN',
      'state 2 to 4',
      'in OPEN',
      'out KEEPALIVE',
      'state 4 to 5',
      'in KEEPALIVE',
      'state 5 to 6',
      'out UPDATE',
      'out UPDATE',
      'in UPDATE',
      'in UPDATE',
    ];
    expect(all).toEqual(lines.map((line) => `contoso/hq ${line}`));
    world.gw.dispatch({ type: 'unrecord', query: 1 });
    world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what: 'stop', text: '' });
    world.run(1000);
    expect(recorded(world)).toEqual(all);
  });

  test('a peer that the document loses, recorded from the middle: its end is the last record', () => {
    const world = new BgpWorld();
    world.run(10_000);
    world.gw.dispatch({ type: 'record', query: 1, tenant: 'woodgrove', peer: 'hq' });
    const without = gwDocument({}).replace(/peers: \[[^\n]*\n$/, 'peers: []\n');
    world.gw.apply(resolveDocument(without));
    world.run(1000);
    expect(recorded(world)).toEqual(['woodgrove/hq out NOTIFICATION', 'woodgrove/hq state 6 to 1']);
    const ends = world.actions.flatMap((action) =>
      action.do === 'bgp-recorded'
        ? action.records.flatMap((r) =>
            r.kind === 'message' || r.kind === 'state' ? [[r.peer, r.local].map(formatAddress).join(' ')] : [],
          )
        : [],
    );
    expect(ends).toEqual(['10.2.0.1 10.1.0.1', '10.2.0.1 10.1.0.1']);
  });

  test('of two that record, the end of one leaves the other as it is', () => {
    const world = new BgpWorld();
    world.run(10_000);
    for (const query of [1, 2]) world.gw.dispatch({ type: 'record', query, tenant: 'contoso', peer: undefined });
    world.gw.dispatch({ type: 'unrecord', query: 1 });
    world.gw.dispatch({ type: 'bgp', tenant: 'contoso', peer: 'hq', what: 'refresh-in', text: '' });
    world.run(1000);
    expect(recorded(world)).toEqual([
      'contoso/hq out ROUTE-REFRESH',
      'contoso/hq in ROUTE-REFRESH',
      'contoso/hq in UPDATE',
      'contoso/hq in ROUTE-REFRESH',
    ]);
  });
});
