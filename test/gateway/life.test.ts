import { describe, expect, it } from 'vitest';
import { parseEspTable, parseIkeTable } from '../../src/capture/index.ts';
import type { GatewayAction } from '../../src/gateway/index.ts';
import { fillIpv4Checksum } from '../../src/ip/index.ts';
import type { Lab, Query } from '../../src/lab/index.ts';
import {
  actionsOf,
  connectionOf,
  ENDED,
  end,
  idsOf,
  makeLab,
  open,
  ping,
  settle,
  site,
  vm,
  watchEsp,
} from './fixture.ts';

const child = (change: string) => (text: string, at: string) =>
  at === 'gw' ? text.replaceAll(' }\n        start: demand', `, ${change} }\n        start: demand`) : text;

/** Pings both ways every few milliseconds. */
function traffic(lab: Lab, rounds: number, pause: number, size = 56): Query[] {
  const queries: Query[] = [];
  for (let i = 0; i < rounds; i++) {
    queries.push(lab.hosts.contoso.vm.ping(site, { size }), lab.hosts.contoso.site.ping(vm, { size }));
    lab.timeline.advanceTo(lab.timeline.now + pause);
  }
  settle(lab, ...queries);
  return queries;
}

const unanswered = (queries: readonly Query[]): number => queries.filter(({ outcome }) => outcome !== 'reply').length;

describe('lifetimes (RFC 4301 §4.4.2.1)', () => {
  it.each([
    ['packets', 'lifetimePackets: 1000'],
    ['octets', 'lifetimeBytes: 1049KB'],
  ])('so many %s: a successor in time, nothing lost', (_, change) => {
    const lab = makeLab({ edit: child(change) });
    open(lab);
    expect(unanswered(traffic(lab, 900, 4, 900))).toBe(0);
    expect(idsOf(connectionOf(lab, 'contoso')).child[0]).toBeGreaterThan(2);
    expect(lab.gw.reports.filter(({ what }) => what === 'child-expired')).toEqual([]);
    expect(idsOf(connectionOf(lab, 'woodgrove')).child).toEqual([2]);
    expect(end(lab)).toEqual(ENDED);
  });

  it('seconds: Child SAs and IKE SAs follow one another under traffic, nothing lost', () => {
    const lab = makeLab({
      edit: (text, at) =>
        child('lifetimeSeconds: 20')(text, at).replaceAll(
          '-ecp384] }\n        child',
          '-ecp384], lifetimeSeconds: 45 }\n        child',
        ),
    });
    open(lab);
    expect(unanswered(traffic(lab, 1000, 100))).toBe(0);
    expect(connectionOf(lab, 'contoso').ikeSas[0]!.id).toBeGreaterThan(3);
    expect(idsOf(connectionOf(lab, 'contoso')).child[0]).toBeGreaterThan(5);
    expect(end(lab)).toEqual(ENDED);
  });
});

describe('idle', () => {
  it('no traffic for so long: taken down; the next packet opens it again', () => {
    const lab = makeLab({
      edit: (text, at) =>
        at === 'gw' ? text.replaceAll('start: demand', 'start: demand\n        idleSeconds: 20') : text,
    });
    open(lab);
    lab.timeline.advanceTo(lab.timeline.now + 15_000);
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    lab.timeline.advanceTo(lab.timeline.now + 15_000);
    expect([connectionOf(lab, 'contoso').state, connectionOf(lab, 'woodgrove').state]).toEqual(['up', 'down']);
    lab.timeline.advanceTo(lab.timeline.now + 10_000);
    expect(connectionOf(lab, 'contoso').state).toBe('down');
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    expect(end(lab)).toEqual(ENDED);
  });
});

describe('dead peer detection (RFC 7296 §2.4)', () => {
  it('a peer that is gone is noticed, and the tunnel opens again once it is back', () => {
    const lab = makeLab({ edit: (text) => text.replaceAll('ike: { ', 'ike: { giveUpSeconds: 20, ') });
    open(lab);
    lab.outer.filter = () => false;
    lab.timeline.advanceTo(lab.timeline.now + 120_000);
    expect(connectionOf(lab, 'contoso').state).toBe('down');
    expect(connectionOf(lab, 'contoso').lastFailure?.code).toBe('dpd');
    lab.outer.filter = () => true;
    lab.timeline.advanceTo(lab.timeline.now + 10_000);
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    expect(end(lab)).toEqual(ENDED);
  });

  it('forged ESP does not keep a dead peer alive', () => {
    const lab = makeLab({ edit: (text) => text.replaceAll('ike: { ', 'ike: { giveUpSeconds: 20, ') });
    const seen = watchEsp(lab);
    open(lab);
    const forged = seen.find(({ packet }) => packet[19] === 1 && packet[15] === 11)!.packet;
    forged[forged.length - 1]! ^= 1;
    forged[27]! += 1;
    lab.outer.filter = (packet) => packet[15] === 66;
    forged[15] = 66;
    fillIpv4Checksum(forged, 0);
    for (let i = 0; i < 120; i++) {
      lab.outer.send(forged.slice());
      lab.timeline.advanceTo(lab.timeline.now + 1000);
    }
    expect(connectionOf(lab, 'contoso').lastFailure?.code).toBe('dpd');
    expect(lab.gw.gateway.status(lab.timeline.now).drops.espUnknownSpi).toBeGreaterThan(0);
    lab.outer.filter = () => true;
  });

  it('a peer that was switched off and on again: INITIAL_CONTACT cleans up, traffic goes on', () => {
    const lab = makeLab();
    open(lab);
    lab.gw.restart();
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    lab.timeline.advanceTo(lab.timeline.now + 10_000);
    expect(connectionOf(lab, 'contoso', lab.sites)).toMatchObject({ state: 'up' });
    expect(connectionOf(lab, 'contoso', lab.sites).ikeSas.length).toBe(1);
    const query = lab.hosts.contoso.site.ping(vm);
    settle(lab, query);
    expect(query.outcome).toBe('reply');
    expect(end(lab)).toEqual(ENDED);
  });
});

describe('keys for Wireshark', () => {
  const rowsOf = (actions: readonly GatewayAction[]) => ({
    ike: actions.filter((a) => a.do === 'key' && a.table === 'ikev2_decryption_table').length,
    esp: actions.filter((a) => a.do === 'key' && a.table === 'esp_sa').length,
  });

  it('off unless asked for; on: those in use at once, later ones as they come; off again', () => {
    const lab = makeLab();
    const actions = actionsOf(lab.gw);
    open(lab);
    expect(rowsOf(actions)).toEqual({ ike: 0, esp: 0 });
    lab.gw.dispatch({ type: 'keys', enabled: true });
    expect(rowsOf(actions)).toEqual({ ike: 2, esp: 4 });
    lab.gw.dispatch({ type: 'keys', enabled: true });
    expect(rowsOf(actions)).toEqual({ ike: 2, esp: 4 });
    lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'child' });
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(rowsOf(actions)).toEqual({ ike: 2, esp: 6 });
    lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'ike' });
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(rowsOf(actions)).toEqual({ ike: 3, esp: 6 });
    lab.gw.dispatch({ type: 'keys', enabled: false });
    lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'ike' });
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(rowsOf(actions)).toEqual({ ike: 3, esp: 6 });
    const text = (table: string): string =>
      actions.flatMap((a) => (a.do === 'key' && a.table === table ? [a.row] : [])).join('\n');
    expect(parseIkeTable(text('ikev2_decryption_table')).issues).toEqual([]);
    expect(parseEspTable(text('esp_sa')).issues).toEqual([]);
  });
});

describe('shutdown', () => {
  it('DELETE for every IKE SA, interfaces closed, nothing listened on, done, no packet kept', () => {
    const lab = makeLab();
    open(lab);
    lab.hosts.contoso.vm.ping(site);
    const actions = actionsOf(lab.gw);
    lab.gw.dispatch({ type: 'shutdown' });
    expect(lab.gw.gateway.status(lab.timeline.now).state).toBe('stopping');
    lab.timeline.advanceTo(lab.timeline.now + 1000);
    const done = actions.filter(({ do: what }) => ['close-interface', 'unlisten', 'done'].includes(what));
    expect(done.map(({ do: what }) => what)).toEqual(['close-interface', 'close-interface', 'unlisten', 'done']);
    expect(connectionOf(lab, 'contoso', lab.sites).ikeSas).toEqual([]);
    expect(end(lab)).toEqual(ENDED);
  });

  it('a peer that does not answer holds it up for three seconds only', () => {
    const lab = makeLab();
    open(lab);
    lab.outer.filter = () => false;
    const at = lab.timeline.now;
    lab.gw.dispatch({ type: 'shutdown' });
    lab.timeline.runUntil(() => lab.gw.done, 60_000);
    expect(lab.timeline.now - at).toBe(3000);
    expect(lab.gw.pool.taken).toBe(0);
    expect(lab.gw.deadline()).toBeUndefined();
  });

  it('before any document: done at once', () => {
    const lab = makeLab();
    lab.gw.dispatch({ type: 'shutdown' });
    expect(lab.gw.done).toBe(true);
  });

  it('with idle connections and waiting packets: nothing wakes it afterwards', () => {
    const lab = makeLab({
      edit: (text, at) =>
        at === 'gw' ? text.replaceAll('start: demand', 'start: demand\n        idleSeconds: 20') : text,
    });
    lab.outer.filter = () => false;
    lab.hosts.contoso.vm.ping(site);
    lab.timeline.advanceTo(lab.timeline.now + 10);
    lab.gw.dispatch({ type: 'shutdown' });
    lab.timeline.runUntil(() => lab.gw.done, 60_000);
    expect(lab.gw.pool.taken).toBe(0);
    expect(lab.gw.deadline()).toBeUndefined();
  });
});
