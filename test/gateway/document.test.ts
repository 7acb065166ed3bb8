import { afterEach, describe, expect, it } from 'vitest';
import { type Lab, resolveDocument } from '../../src/lab/index.ts';
import { addr, pfx } from '../support/packets.ts';
import {
  actionsOf,
  connectionOf,
  ENDED,
  end,
  foreignIn,
  idsOf,
  makeLab,
  open,
  ping,
  reload,
  settle,
  site,
  tenantOf,
  vm,
} from './fixture.ts';

let lab: Lab;
afterEach(() => {
  expect(foreignIn(lab)).toBe(0);
  expect(end(lab)).toEqual(ENDED);
});

const withConnection = (text: string, tenant: string, change: (section: string) => string): string => {
  const at = text.indexOf(`- name: ${tenant}`);
  const next = text.indexOf('\n  - name:', at + 1);
  const endAt = next < 0 ? text.length : next + 1;
  return text.slice(0, at) + change(text.slice(at, endAt)) + text.slice(endAt);
};

describe('start', () => {
  it('boot: up without a packet', () => {
    lab = makeLab({ edit: (text, at) => (at === 'gw' ? text.replaceAll('start: demand', 'start: boot') : text) });
    lab.timeline.advanceTo(lab.timeline.now + 200);
    expect(connectionOf(lab, 'contoso').state).toBe('up');
    expect(connectionOf(lab, 'woodgrove').state).toBe('up');
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply', milliseconds: 10 });
  });

  it('boot: comes back after the peer took it down', () => {
    lab = makeLab({ edit: (text, at) => (at === 'gw' ? text.replaceAll('start: demand', 'start: boot') : text) });
    lab.timeline.advanceTo(lab.timeline.now + 200);
    const before = idsOf(connectionOf(lab, 'contoso'));
    lab.sites.dispatch({ type: 'down', tenant: 'contoso', connection: 'hq', what: 'ike' });
    lab.timeline.advanceTo(lab.timeline.now + 5000);
    expect(connectionOf(lab, 'contoso').state).toBe('up');
    expect(idsOf(connectionOf(lab, 'contoso')).ike[0]).toBeGreaterThan(before.ike[0]!);
  });

  it('listen: never begins; its sender hears host unreachable; the peer may open it', () => {
    lab = makeLab({ edit: (text, at) => (at === 'gw' ? text.replaceAll('start: demand', 'start: listen') : text) });
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'unreachable', milliseconds: 0 });
    expect(lab.outer.counters.sent).toBe(0);
    const query = lab.hosts.contoso.site.ping(vm);
    settle(lab, query);
    expect(query.outcome).toBe('reply');
    expect(ping(lab, 'contoso').outcome).toBe('reply');
  });
});

describe('what becomes of packets nobody can carry', () => {
  it('wrong secret: host unreachable at once, the failure has words at both ends', () => {
    lab = makeLab({ wrongSecret: 'contoso' });
    expect(ping(lab, 'contoso').outcome).toBe('unreachable');
    expect(connectionOf(lab, 'contoso')).toMatchObject({ state: 'down', lastFailure: { code: 'authentication' } });
    expect(connectionOf(lab, 'contoso').lastFailure!.advice).not.toBe('');
    const status = lab.gw.gateway.status(lab.timeline.now);
    expect(status).toMatchObject({ state: 'degraded', connections: { total: 2, up: 0, failed: 1 } });
    expect(status.problems.map(({ tenant, severity }) => [tenant, severity])).toEqual([['contoso', 'error']]);
    expect(ping(lab, 'woodgrove').outcome).toBe('reply');
    expect(tenantOf(lab, 'contoso').drops).toMatchObject({ noSa: 1 });
  });

  it('silent peer: the packets wait until IKE gives up, then their senders are told', () => {
    lab = makeLab({ edit: (text) => text.replaceAll('ike: { ', 'ike: { giveUpSeconds: 20, ') });
    lab.outer.filter = () => false;
    const queries = [1, 2, 3].map(() => lab.hosts.contoso.vm.ping(site, { timeoutMs: 60_000 }));
    settle(lab, ...queries);
    expect(queries.map(({ outcome }) => outcome)).toEqual(['unreachable', 'unreachable', 'unreachable']);
    expect(connectionOf(lab, 'contoso')).toMatchObject({ state: 'down', lastFailure: { code: 'no-answer' } });
    expect(lab.gw.pool.taken).toBe(0);
    lab.outer.filter = () => true;
    lab.timeline.advanceTo(lab.timeline.now + 5000);
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    expect(lab.gw.gateway.status(lab.timeline.now)).toMatchObject({ state: 'ok' });
  });

  it('outside the selectors: administratively prohibited (RFC 4301 §5.1)', () => {
    lab = makeLab({
      edit: (text, at) =>
        at === 'gw' ? text.replaceAll('start: demand', 'start: demand\n        routes: [10.2.0.0/16]') : text,
    });
    open(lab);
    const query = lab.hosts.contoso.vm.ping(Uint8Array.of(10, 2, 1, 1));
    settle(lab, query);
    expect(query).toMatchObject({ outcome: 'unreachable', milliseconds: 0 });
    expect(tenantOf(lab, 'contoso').drops).toMatchObject({ prohibited: 1 });
    expect(connectionOf(lab, 'contoso').state).toBe('up');
  });
});

describe('reload touches only what changed', () => {
  it('the same document: nothing at all', () => {
    lab = makeLab();
    open(lab);
    const actions = actionsOf(lab.gw);
    reload(lab, lab.documents.gw);
    expect(actions).toEqual([]);
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply', milliseconds: 10 });
  });

  it('the same document: an interface that failed is opened once more, and nothing else is touched', () => {
    lab = makeLab();
    open(lab);
    const before = idsOf(connectionOf(lab, 'contoso'));
    const failed = { tenant: 'contoso', interface: 'inside', problem: 'the device is gone' };
    lab.gw.dispatch({ type: 'interface-state', ...failed });
    expect(lab.gw.gateway.status(lab.timeline.now).problems).toHaveLength(1);
    const actions = actionsOf(lab.gw);
    reload(lab, lab.documents.gw);
    expect(actions.map((action) => action.do)).toEqual(['close-interface', 'open-interface', 'host-routes']);
    expect(lab.gw.gateway.status(lab.timeline.now).problems).toEqual([]);
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply', milliseconds: 10 });
    expect(idsOf(connectionOf(lab, 'contoso'))).toEqual(before);
  });

  it.each([
    ['ike and gateway', 'dpdSeconds: 10'],
    ['the tunnel', 'df: set'],
    ['the tunnel', 'mtu: 1400'],
    ['the tunnel', 'idleSeconds: 600'],
    ['the tunnel', 'routes: [10.2.0.0/25]'],
  ])('one connection changed, in what concerns %s (%s): it is made anew, the other tenant’s stays', (_, line) => {
    lab = makeLab();
    open(lab);
    const before = [idsOf(connectionOf(lab, 'contoso')), idsOf(connectionOf(lab, 'woodgrove'))];
    reload(
      lab,
      withConnection(lab.documents.gw, 'contoso', (s) => s.replace('start: demand', `start: demand\n        ${line}`)),
    );
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(connectionOf(lab, 'contoso').state).toBe('down');
    expect(connectionOf(lab, 'contoso', lab.sites).state).toBe('down');
    expect(idsOf(connectionOf(lab, 'woodgrove'))).toEqual(before[1]);
    expect(ping(lab, 'contoso').outcome).toBe('reply');
    expect(idsOf(connectionOf(lab, 'contoso')).ike[0]).toBeGreaterThan(before[0]!.ike[0]!);
  });

  it('another secret at both ends: made anew with it', () => {
    lab = makeLab();
    open(lab);
    const other = (text: string): string =>
      withConnection(text, 'woodgrove', (s) =>
        s.replace(/inline: '.*?'/, "inline: 'quite another secret than before'"),
      );
    const before = idsOf(connectionOf(lab, 'woodgrove'));
    reload(lab, other(lab.documents.gw));
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(ping(lab, 'woodgrove').outcome).toBe('unreachable');
    lab.sites.apply(resolveDocument(other(lab.documents.sites)));
    lab.timeline.advanceTo(lab.timeline.now + 10_000);
    expect(ping(lab, 'woodgrove').outcome).toBe('reply');
    expect(idsOf(connectionOf(lab, 'woodgrove')).ike[0]).toBeGreaterThan(before.ike[0]!);
  });

  it('a tenant removed: its interface closes, its peer gets DELETE; added again: it works again', () => {
    lab = makeLab();
    open(lab);
    const without = lab.documents.gw.slice(0, lab.documents.gw.indexOf('  - name: woodgrove'));
    const actions = actionsOf(lab.gw);
    reload(lab, without);
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(actions.filter((a) => a.do === 'close-interface')).toEqual([
      { do: 'close-interface', tenant: 'woodgrove', interface: 'inside' },
    ]);
    expect(connectionOf(lab, 'woodgrove')).toBeUndefined();
    expect(connectionOf(lab, 'woodgrove', lab.sites).state).toBe('down');
    expect(ping(lab, 'woodgrove', { timeoutMs: 500 }).outcome).toBe('timeout');
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply', milliseconds: 10 });
    reload(lab, lab.documents.gw);
    lab.timeline.advanceTo(lab.timeline.now + 100);
    expect(ping(lab, 'woodgrove').outcome).toBe('reply');
  });

  it('discard: what a static route matches goes no further, and its sender is told; the other tenant sends there', () => {
    lab = makeLab();
    open(lab);
    const discards = (prefix: string) =>
      withConnection(lab.documents.gw, 'contoso', (s) =>
        s.replace('    interfaces:', `    routes: [{ prefix: ${prefix}, discard: true }]\n    interfaces:`),
      );
    const actions = actionsOf(lab.gw);
    reload(lab, discards('10.2.0.0/25'));
    // What the host sends here does not depend on it.
    expect(actions.map((action) => action.do)).not.toContain('host-routes');
    expect(lab.gw.gateway.routes('contoso', { prefix: pfx('10.2.0.0/25') })?.[0]).toMatchObject({
      via: 'discard',
      discard: true,
      origin: 'static',
      preference: 1,
      why: 'static route of the document',
    });
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'unreachable', from: addr('10.1.0.1') });
    expect(ping(lab, 'woodgrove')).toMatchObject({ outcome: 'reply' });
    expect([tenantOf(lab, 'contoso').drops.discarded, tenantOf(lab, 'woodgrove').drops.discarded]).toEqual([
      1,
      undefined,
    ]);
    reload(lab, discards('10.2.128.0/25'));
    expect(ping(lab, 'contoso')).toMatchObject({ outcome: 'reply' });
    reload(lab, lab.documents.gw);
    expect(lab.gw.gateway.routes('contoso', { origins: ['static'] })).toEqual([]);
  });

  it('static routes come and go without touching a tunnel', () => {
    lab = makeLab();
    open(lab);
    const before = idsOf(connectionOf(lab, 'contoso'));
    const routed = withConnection(lab.documents.gw, 'contoso', (s) =>
      s.replace('    interfaces:', '    routes: [{ prefix: 10.77.0.0/16, via: 10.1.0.254 }]\n    interfaces:'),
    );
    reload(lab, routed);
    const { gateway } = lab.gw;
    expect(gateway.routes('contoso', { origins: ['static'] })).toMatchObject([
      { prefix: '10.77.0.0/16', via: 'inside', origin: 'static', preference: 1 },
    ]);
    reload(lab, lab.documents.gw);
    expect(gateway.routes('contoso', { origins: ['static'] })).toEqual([]);
    expect(idsOf(connectionOf(lab, 'contoso'))).toEqual(before);
  });

  it('removed while its packets wait: they are released, their sender is told', () => {
    lab = makeLab();
    lab.outer.filter = () => false;
    const query = lab.hosts.woodgrove.vm.ping(site);
    lab.timeline.advanceTo(lab.timeline.now + 10);
    expect(lab.gw.pool.taken).toBe(1);
    reload(
      lab,
      withConnection(lab.documents.gw, 'woodgrove', (s) => s.slice(0, s.indexOf('    connections:'))),
    );
    settle(lab, query);
    expect(query.outcome).toBe('unreachable');
    expect(lab.gw.pool.taken).toBe(0);
    lab.outer.filter = () => true;
  });
});
