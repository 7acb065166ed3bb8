import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/ip/index.ts';
import type { Lab } from '../../src/lab/index.ts';
import {
  actionsOf,
  connectionOf,
  ENDED,
  end,
  foreignIn,
  idsOf,
  isEsp,
  makeLab,
  open,
  ping,
  settle,
  site,
  tenantOf,
  vm,
} from './fixture.ts';

let lab: Lab;

describe('tunnels of a gateway', () => {
  beforeEach(() => {
    lab = makeLab();
  });
  afterEach(() => {
    expect(foreignIn(lab)).toBe(0);
    expect(end(lab)).toEqual(ENDED);
  });

  it('demand: the first packet opens the tunnel and is the first to pass it', () => {
    expect(connectionOf(lab, 'contoso')).toMatchObject({ state: 'down', why: 'the first packet opens it' });
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    expect(lab.hosts.contoso.site.counters.echoRequests).toBe(1);
    expect(connectionOf(lab, 'contoso')).toMatchObject({ state: 'up', waitingPackets: 0 });
    expect(connectionOf(lab, 'contoso').childSas[0]).toMatchObject({ packetsIn: 1, packetsOut: 1, sequenceOut: 1 });
    expect(connectionOf(lab, 'woodgrove').state).toBe('down');
    expect(lab.hosts.woodgrove.site.counters.received).toBe(0);
  });

  it('demand: the first packet from the other side opens it, too', () => {
    const query = lab.hosts.contoso.site.ping(vm);
    settle(lab, query);
    expect(query.outcome).toBe('reply');
    expect(connectionOf(lab, 'contoso').ikeSas[0]?.role).toBe('responder');
  });

  it('both ends at once: the packets of both arrive', () => {
    const { vm: inside, site: outside } = lab.hosts.contoso;
    const queries = [inside.ping(site), outside.ping(vm)];
    settle(lab, ...queries);
    expect(queries.map(({ outcome }) => outcome)).toEqual(['reply', 'reply']);
  });

  it('queue: 64 packets wait for the tunnel and arrive in order, more are refused and counted', () => {
    const queries = Array.from({ length: 70 }, () => lab.hosts.contoso.vm.ping(site));
    lab.timeline.advanceTo(lab.timeline.now + 1);
    expect(connectionOf(lab, 'contoso').waitingPackets).toBe(64);
    expect(lab.gw.pool.taken).toBe(64);
    settle(lab, ...queries);
    expect(queries.filter(({ outcome }) => outcome === 'reply').length).toBe(64);
    expect(queries.slice(0, 64).every(({ outcome }) => outcome === 'reply')).toBe(true);
    expect(tenantOf(lab, 'contoso').drops).toMatchObject({ queueFull: 6 });
    expect(lab.gw.pool.taken).toBe(0);
  });

  it('rekey: Child SA and IKE SA change under traffic, nothing is lost', () => {
    open(lab);
    const before = idsOf(connectionOf(lab, 'contoso'));
    const untouched = idsOf(connectionOf(lab, 'woodgrove'));
    const queries = [];
    for (let i = 0; i < 200; i++) {
      if (i === 20) lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'child' });
      if (i === 60) lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'ike' });
      if (i === 100) lab.sites.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'hq', what: 'child' });
      queries.push(lab.hosts.contoso.vm.ping(site), lab.hosts.contoso.site.ping(vm));
      lab.timeline.advanceTo(lab.timeline.now + 3);
    }
    settle(lab, ...queries);
    expect(queries.filter(({ outcome }) => outcome !== 'reply')).toEqual([]);
    const after = idsOf(connectionOf(lab, 'contoso'));
    expect(after.child[0]).toBeGreaterThan(before.child[0]! + 1);
    expect(after.ike[0]).toBeGreaterThan(before.ike[0]!);
    expect(idsOf(connectionOf(lab, 'woodgrove'))).toEqual(untouched);
  });

  it('down: DELETE is exchanged, both ends are down, the next packet opens it again at once', () => {
    open(lab);
    lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'child' });
    lab.timeline.advanceTo(lab.timeline.now + 100);
    lab.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'site', what: 'ike' });
    lab.timeline.advanceTo(lab.timeline.now + 100);
    for (const node of [lab.gw, lab.sites])
      expect(connectionOf(lab, 'contoso', node)).toMatchObject({ state: 'down', ikeSas: [] });
    // The replaced SA still receives; it must not swallow what is sent.
    expect(connectionOf(lab, 'contoso').childSas.map(({ state }) => state)).toEqual(['draining']);
    expect(lab.gw.gateway.status(lab.timeline.now).connections).toEqual({ total: 2, up: 1, failed: 0 });
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply', milliseconds: 30 });
  });

  it('down of the Child SA only: the IKE SA stays and carries the next one', () => {
    open(lab);
    const { ike } = idsOf(connectionOf(lab, 'contoso'));
    lab.gw.dispatch({ type: 'down', tenant: 'contoso', connection: 'site', what: 'child' });
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(idsOf(connectionOf(lab, 'contoso'))).toEqual({ ike, child: [] });
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply', milliseconds: 20 });
    expect(idsOf(connectionOf(lab, 'contoso')).ike).toEqual(ike);
  });

  it('commands for what does not exist change nothing', () => {
    const actions = actionsOf(lab.gw);
    for (const type of ['up', 'down', 'rekey'] as const) {
      lab.gw.dispatch({ type, tenant: 'contoso', connection: 'none', what: 'ike' });
      lab.gw.dispatch({ type, tenant: 'none', connection: 'site', what: 'child' });
    }
    lab.gw.dispatch({ type: 'rekey', tenant: 'contoso', connection: 'site', what: 'ike' });
    expect(actions).toEqual([]);
  });

  it('ping from the compartment itself: one result each, words where it cannot be sent', () => {
    const actions = actionsOf(lab.gw);
    const request = { destination: site, id: 1, sequence: 1, size: 56 };
    lab.gw.dispatch({ type: 'ping', tenant: 'contoso', request });
    lab.gw.dispatch({ type: 'ping', tenant: 'none', request });
    lab.gw.dispatch({
      type: 'ping',
      tenant: 'contoso',
      request: { ...request, sequence: 2, destination: parseAddress('10.9.9.9')! },
    });
    lab.timeline.advanceTo(lab.timeline.now + 5000);
    const results = actions.flatMap((a) =>
      a.do === 'pinged' ? [[a.tenant, a.result.sequence, a.result.outcome]] : [],
    );
    expect(results).toEqual([
      ['contoso', 2, 'no-route'],
      ['contoso', 1, 'reply'],
    ]);
    expect(actions.find((a) => a.do === 'ping-refused')).toMatchObject({ tenant: 'none', why: 'no tenant none' });
  });

  it('large packets: cut where they may be, answered with what fits where not (RFC 1191 §4)', () => {
    open(lab);
    expect(ping(lab, 'contoso', { size: 4000 }).outcome).toBe('reply');
    const told = ping(lab, 'contoso', { size: 1472, dontFragment: true });
    expect(told).toMatchObject({ outcome: 'too-big', mtu: 1446 });
    expect(ping(lab, 'contoso', { size: 1446 - 28, dontFragment: true }).outcome).toBe('reply');
    expect(ping(lab, 'contoso', { size: 1447 - 28, dontFragment: true }).outcome).toBe('too-big');
    expect(lab.outer.counters.tooBig).toBe(0);
  });

  it('no outer packet is larger than its link, whatever is inside', () => {
    let largest = 0;
    lab.outer.tap((packet) => {
      if (isEsp(packet)) largest = Math.max(largest, packet.length);
    });
    open(lab);
    for (let size = 1300; size < 1480; size += 1) lab.hosts.woodgrove.vm.ping(site, { size });
    lab.timeline.advanceTo(lab.timeline.now + 3000);
    expect(largest).toBeLessThanOrEqual(1500);
    expect(largest).toBeGreaterThan(1480);
  });
});
