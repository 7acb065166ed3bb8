import { describe, expect, test, vi } from 'vitest';
import { GatewayBackend } from '../../src/api/index.ts';
import { resolveDocument } from '../../src/lab/index.ts';
import { gwDocument } from '../gateway/bgp/world.ts';
import { world } from './bgp-world.ts';
import { run } from './world.ts';

const lines = (...text: string[]): string => `${text.join('\n')}\n`;

describe('looking', () => {
  const { backend } = world();
  const shown = (out: string, ...text: string[]) => ({ exit: 0, err: '', out: lines(out, ...text) });

  test('bgp: a summary with the columns that people know', async () => {
    const kilobytes = (backend.bgp.summaries()[0]!.ribMemory / 1000).toFixed(1);
    const router = `BGP router identifier 10.1.0.1, local AS number 65010, table version 2, 3 prefixes in ${kilobytes} kB`;
    const table = [
      'NEIGHBOR  V     AS  MSGRCVD  MSGSENT  TBLVER  INQ  OUTQ   UP/DOWN  STATE/PFXRCD  PFXSNT  DESC  WHY',
      '10.2.0.1  4  65020        5        6       2    0     0  00:00:09             2       1  hq',
    ];
    const all = shown(`contoso  ${router}`, ...table, '', `woodgrove  ${router}`, ...table);
    expect(await run('bgp', backend)).toEqual(all);
    expect(await run('bgp summary --tenant contoso', backend)).toEqual(shown(`contoso  ${router}`, ...table));
    const { kind, items } = JSON.parse((await run('bgp summary --json', backend)).out);
    expect([kind, items]).toEqual(['bgp-summary', JSON.parse(JSON.stringify(backend.bgp.summaries()))]);
  });

  test('RFC 7606: faults of UPDATEs that have not ended the session are said where people look', async () => {
    const { backend: faulty } = world();
    const treated = { discard: 1, withdraw: 78_600, why: 'the first AS of AS_PATH is not that of the peer' };
    const words = `UPDATEs: 78600 treated as withdraw, 1 without some attributes; last: ${treated.why}`;
    const [summary] = faulty.bgp.summaries('contoso');
    const peers = Object.entries(summary!.peers).map(([address, peer]) => [address, { ...peer, treated }]);
    vi.spyOn(faulty.bgp, 'summaries').mockReturnValue([{ ...summary!, peers: Object.fromEntries(peers) }]);
    vi.spyOn(faulty.bgp, 'peers').mockReturnValue(faulty.bgp.peers('contoso').map((peer) => ({ ...peer, treated })));
    expect((await run('bgp', faulty)).out).toContain(`hq    ${words}`);
    expect((await run('bgp peers contoso/hq', faulty)).out).toContain(`  faults      ${words}`);
  });

  test('RFC 4724 §4.1: bgp says until when routes are not chosen', async () => {
    const waits = world((text) => text.replace('asn: 65010', 'selectionDeferralSeconds: 90\n      asn: 65010'));
    waits.world.outer.filter = () => false;
    waits.world.gw.restart();
    waits.world.run(30_000);
    const gateway = new GatewayBackend({ ...waits.options, gateway: waits.world.gw.gateway });
    const { out } = await run('bgp --tenant contoso', gateway);
    expect(out).toContain(', restarted: routes are chosen in 1 m at the latest\n');
    expect((await run('bgp --tenant woodgrove', gateway)).out).not.toContain('restarted');
  });

  test('bgp peers: all that both have said', async () => {
    expect(await run('bgp peers contoso/hq', backend)).toEqual(
      shown(
        'contoso/hq  Established  for 00:00:09',
        '  remote      10.2.0.1, AS 65020, ID 10.2.0.1',
        '  local       AS 65010, ID 10.1.0.1; external link',
        '  timers      hold 90 s, keepalive 30 s',
        '  routes      2 received, 2 accepted, 1 sent',
        '  policies    import all, export all',
        '  families    IPv4 unicast',
        '  sent        MULTIPROTOCOL IPv4 unicast',
        '              ROUTE_REFRESH',
        '              EXTENDED_MESSAGE',
        '              GRACEFUL_RESTART 120 s restarting notification, IPv4 unicast',
        '              FOUR_OCTET_AS 65010',
        '              ENHANCED_ROUTE_REFRESH',
        '  received    MULTIPROTOCOL IPv4 unicast',
        '              ROUTE_REFRESH',
        '              EXTENDED_MESSAGE',
        '              GRACEFUL_RESTART 120 s restarting notification, IPv4 unicast',
        '              FOUR_OCTET_AS 65020',
        '              ENHANCED_ROUTE_REFRESH',
        '  messages    in open 2, update 2, keepalive 1; out open 2, update 2, notification 1, keepalive 1',
        '  octets      in 206 B, out 224 B, 0 waiting',
        '  sessions    1 established, 0 dropped, 1 collided; dialled by the peer',
        '  last sent   9 s ago: Cease: Connection Collision Resolution (6/7)',
      ),
    );
    const { items } = JSON.parse((await run('bgp peers --json', backend)).out);
    expect(items).toEqual(JSON.parse(JSON.stringify(backend.bgp.peers())));
  });

  test('RFC 4271 §9.2.1.1: bgp peers says the interval, and when changes go that wait', async () => {
    const edit = (networks: string) => (text: string) =>
      text
        .replace('asn: 65020, ', 'asn: 65020, advertisementIntervalSeconds: 30, ')
        .replace('networks: [10.1.0.0/24]', `networks: [${networks}]`);
    const paced = world(edit('10.1.0.0/24'));
    const timers = async () => /timers.*/.exec((await run('bgp peers contoso/hq', paced.backend)).out)?.[0];
    const words = 'timers      hold 90 s, keepalive 30 s, advertisements 30 s apart';
    expect(await timers()).toBe(words);
    paced.world.gw.apply(resolveDocument(edit('10.1.0.0/24, 10.3.0.0/24')(gwDocument({}))));
    paced.world.run(5000);
    expect(await timers()).toMatch(new RegExp(`^${words}: changes go in (8|9|1[0-5]) s$`));
  });

  test('bgp routes, page by page', async () => {
    const head = '    NETWORK       NEXT HOP  METRIC  LOCPRF  WEIGHT  PATH     PEER';
    expect(await run('bgp routes --tenant contoso', backend)).toEqual(
      shown(
        head,
        '*>  10.1.0.0/24   self                       32768  i        local',
        '*>  10.2.0.0/24   10.2.0.1                       0  65020 i  hq',
        '*>  10.50.0.0/16  10.2.0.1                       0  65020 i  hq',
      ),
    );
    const page = await run('bgp routes --tenant contoso --limit 1 --offset 1 --json', backend);
    expect(JSON.parse(page.out).items.map(({ prefix }: { prefix: string }) => prefix)).toEqual(['10.2.0.0/24']);
    expect((await run('bgp routes --tenant contoso --limit 1 --offset 1', backend)).err).toBe(
      'There may be more: --offset 2\n',
    );
    expect(await run('bgp routes --tenant contoso --within 10.60.0.0/16', backend)).toEqual({
      exit: 0,
      out: '',
      err: 'There are no such routes.\n',
    });
  });

  test('bgp received and advertised', async () => {
    expect(await run('bgp received hq --tenant woodgrove', backend)).toEqual(
      shown(
        'NETWORK       NEXT HOP  METRIC  LOCPRF  WEIGHT  PATH               WHY',
        '10.2.0.0/24   10.2.0.1                       0  65020 i  accepted  all pass',
        '10.60.0.0/16  10.2.0.1                       0  65020 i  accepted  all pass',
      ),
    );
    expect(await run('bgp advertised contoso/10.2.0.1', backend)).toEqual(
      shown(
        'NETWORK      NEXT HOP  METRIC  LOCPRF  WEIGHT  PATH     MORE',
        '10.1.0.0/24  10.1.0.1                       0  65010 i',
      ),
    );
  });

  test('bgp explain: from the paths into the FIB; exit 1 where there is none', async () => {
    expect(await run('bgp explain --tenant contoso 10.50.0.7', backend)).toEqual(
      shown(
        '10.50.0.0/16  1 path',
        '> from hq: the best of all that may be used',
        '    path 65020, origin igp',
        '    next hop 10.2.0.1: route of connection hq',
        'told',
        '  hq: not told, the peer has told us itself',
        'forwarding',
        '  10.50.0.0/16 leaves by hq: BGP route of external peer hq',
      ),
    );
    expect(await run('bgp explain --tenant contoso 10.60.0.7', backend)).toEqual({
      exit: 1,
      err: '',
      out: lines('BGP has no route to 10.60.0.7', 'forwarding', '  no route to 10.60.0.7'),
    });
    expect((await run('bgp explain --tenant contoso 10.9.9.0/24', backend)).out).toBe(
      lines('BGP has no route to 10.9.9.0/24', 'forwarding', '  no route to 10.9.9.0/24'),
    );
  });

  test('routes names those that BGP has made, and whose they are', async () => {
    const { out } = await run('routes --tenant contoso', backend);
    expect(out.split('\n').filter((line) => line.includes(' bgp '))).toEqual([
      '10.2.0.0/24   hq      -         bgp                 20       0  BGP route of external peer hq',
      '10.50.0.0/16  hq      -         bgp                 20       0  BGP route of external peer hq',
    ]);
    const prefixes = async (flags: string) =>
      JSON.parse((await run(`routes --tenant contoso --json ${flags}`, backend)).out).items.map(
        ({ prefix }: { prefix: string }) => prefix,
      );
    expect(await prefixes('--origin bgp')).toEqual(['10.2.0.0/24', '10.50.0.0/16']);
    expect(await prefixes('--origin bgp --within 10.48.0.0/12')).toEqual(['10.50.0.0/16']);
    expect(await prefixes('--prefix 10.2.0.0/24')).toEqual(['10.2.0.0/24']);
    expect(await prefixes('--origin bgp --limit 1 --offset 1')).toEqual(['10.50.0.0/16']);
    expect((await run('routes --tenant contoso --origin bgp --limit 1', backend)).err).toBe(
      'There may be more: --offset 1\n',
    );
    expect(await run('routes --tenant contoso --origin nat', backend)).toEqual({
      exit: 0,
      out: '',
      err: 'There are no such routes.\n',
    });
  });

  test.each([
    ['bgp peers hq', 1, 'several BGP peers are called hq\n  Name one of: contoso/hq, woodgrove/hq'],
    ['bgp peers x', 1, 'there is no BGP peer x\n  Name one of: contoso/hq, woodgrove/hq'],
    ['bgp received contoso/x', 1, 'there is no BGP peer contoso/x'],
    ['bgp --tenant x', 1, 'there is no tenant "x"'],
    ['bgp routes', 2, '--tenant is needed'],
    ['routes --tenant contoso --origin isis', 2, 'One or more of connected, static, connection, bgp, nat are needed'],
    ['bgp routes --tenant contoso --limit 0', 2, 'A whole number from 1 to 10000 is needed.'],
    ['bgp routes --tenant contoso --within 10.0.0.1/8', 2, 'A prefix like 10.0.0.0/8 is needed'],
    ['bgp explain --tenant contoso there', 2, 'there is neither an address nor a prefix'],
    ['bgp explain --tenant contoso 10.0.0.1/8', 2, '10.0.0.1/8 is neither an address nor a prefix'],
    ['bgp clear contoso/hq all', 2, 'all is not one of hard, soft, in, out'],
    ['bgp up --all --tenant contoso x', 2, 'either a peer or --all'],
    [`bgp down contoso/hq --text ${'é'.repeat(128)}`, 2, 'It has 256 octets, and at most 255 can be told.'],
    ['bgp sumary', 2, "unknown command 'sumary'\n(Did you mean summary?)"],
    ['bgp --tenant contoso xyzzy', 2, "unknown command 'xyzzy'\nSee: bulkhead bgp --help"],
    ['bgp summary contoso', 2, "'summary' takes no arguments, and contoso is one"],
    ['connections lst', 2, "unknown command 'lst'\n(Did you mean list?)"],
  ])('%s: exit %i', async (line, exit, words) => {
    const ran = await run(line, backend);
    expect([ran.exit, ran.err.includes(words), ran.err]).toEqual([exit, true, ran.err]);
  });
});

describe('commands', () => {
  test('down and up: the peer is told why, nobody else is touched, and the summary says so', async () => {
    const { world: it, backend } = world();
    expect(await run(['bgp', 'down', 'contoso/hq', '--text', 'back at noon'], backend)).toEqual({
      exit: 0,
      out: '',
      err: 'contoso/hq: down; Idle: stopped: back at noon\n',
    });
    const summary = (await run('bgp', backend)).out.split('\n').filter((line) => line.startsWith('10.2.0.1'));
    expect(summary).toEqual([
      '10.2.0.1  4  65020        5        7       0    0     0  00:00:00  Idle (Admin)       0  hq    stopped: back at noon',
      '10.2.0.1  4  65020        5        6       2    0     0  00:00:10             2       1  hq',
    ]);
    const { exit, out } = await run('bgp peers contoso/hq', backend);
    expect([exit, out.split('\n')[0]]).toEqual([0, 'contoso/hq  Idle (Admin)  for 00:00:00: stopped: back at noon']);
    const [far] = it.sites.gateway.bgp.peers(it.timeline.now);
    expect(far?.lastErrorReceived?.words).toBe('Hard Reset, Cease: Administrative Shutdown, "back at noon"');
    expect((await run('bgp up contoso/hq', backend)).err).not.toContain('stopped');
    it.run(60_000);
    expect((await run('bgp peers contoso/hq', backend)).out).toContain('contoso/hq  Established');
  });

  test('clear soft asks and tells again; the session stays', async () => {
    const { backend } = world();
    expect(await run('bgp clear contoso/hq soft', backend)).toEqual({
      exit: 0,
      out: '',
      err:
        'contoso/hq: clear soft; Established\n' +
        'It has been asked for its routes; whether it answers: bulkhead bgp log contoso/hq --events\n',
    });
    const [peer] = backend.bgp.peers();
    expect([peer?.messagesSent.routeRefresh, peer?.connectionsDropped]).toEqual([1, 0]);
  });

  test('clear ends the session and begins it anew', async () => {
    const { world: it, backend } = world();
    expect((await run('bgp clear contoso/hq', backend)).exit).toBe(0);
    it.run(60_000);
    expect(backend.bgp.peers()[0]).toMatchObject({ state: 'Established', connectionsEstablished: 2 });
  });

  test('clear --all: every peer of that tenant, and of no other', async () => {
    const { world: it, backend } = world();
    const peer = (tenant: string) => backend.bgp.peers(tenant)[0]!;
    expect(await run('bgp clear --all --tenant contoso soft', backend)).toEqual({
      exit: 0,
      out: '',
      err:
        'contoso/hq: clear soft; Established\n' +
        'It has been asked for its routes; whether it answers: bulkhead bgp log contoso/hq --events\n',
    });
    expect(['contoso', 'woodgrove'].map((name) => peer(name).messagesSent.routeRefresh)).toEqual([1, 0]);
    expect((await run('bgp clear --all --tenant contoso', backend)).exit).toBe(0);
    it.run(60_000);
    expect(['contoso', 'woodgrove'].map((name) => peer(name).connectionsEstablished)).toEqual([2, 1]);
  });

  test('--wait: until the session is what was asked for', async () => {
    const { world: it, backend } = world();
    const waits = async (line: string) => {
      const ran = run(line, backend);
      const ticks = setInterval(() => it.run(1000), 5);
      const ended = await ran;
      clearInterval(ticks);
      return { exit: ended.exit, err: ended.err };
    };
    expect(await waits('bgp up contoso/hq --wait')).toEqual({ exit: 0, err: 'contoso/hq: up done: Established\n' });
    expect(await waits('bgp clear contoso/hq --wait 20')).toEqual({
      exit: 0,
      err: 'contoso/hq: clear done: Established\n',
    });
    expect(backend.bgp.peers()[0]!.connectionsEstablished).toBe(2);
    expect(await waits('bgp clear contoso/hq in --wait')).toEqual({
      exit: 0,
      err: 'contoso/hq: clear in done: Established\n',
    });
    expect(await waits('bgp down --all --tenant contoso --wait')).toEqual({
      exit: 0,
      err: 'contoso/hq: down done: Idle: stopped\n',
    });
    const stays = 'contoso/hq: clear failed: the session is down and stays so: stopped\n';
    expect(await waits('bgp clear contoso/hq --wait')).toEqual({ exit: 1, err: stays });
    // Only the document, or up, begins it again.
    expect(await waits('bgp up contoso/hq --wait 20')).toMatchObject({ exit: 0 });
  });

  test('--wait: what has not come in time is said, with where it stands', async () => {
    const { backend } = world((text) => text.replaceAll('asn: 65020', 'asn: 65021'));
    const { exit, err } = await run('bgp up contoso/hq --wait 1', backend);
    expect([exit, err]).toEqual([
      124,
      lines(
        'contoso/hq: up timeout: no outcome within 1 s; the session is Active: waits for the peer, or for the next try',
        '  → bulkhead bgp peers contoso/hq',
      ),
    ]);
    const { items } = JSON.parse((await run('bgp clear contoso/hq soft --wait --json', backend)).out);
    expect(items).toMatchObject([{ command: 'clear', outcome: 'failed' }]);
  });

  test.each([
    ['bgp clear', 'a peer is needed, or --all'],
    ['bgp clear --all', '--tenant is needed'],
    ['bgp clear --all --tenant contoso hq soft', 'either a peer or --all'],
    ['bgp up contoso/hq --wait 0', 'A whole number from 1 to 3600 is needed.'],
  ])('%s: usage', async (line, words) => {
    const ran = await run(line, world().backend);
    expect([ran.exit, ran.err.includes(words), ran.err]).toEqual([2, true, ran.err]);
  });

  test('a session that is not up: exit 3 for the one, and a problem in status with what to do', async () => {
    const { world: it, backend } = world((text) => text.replaceAll('asn: 65020', 'asn: 65021'));
    it.run(10_000);
    const { exit, out } = await run('bgp peers contoso/hq', backend);
    expect([exit, out.split('\n')[0]]).toEqual([3, 'contoso/hq  Idle  AS 65020, expected 65021']);
    const status = await run('status', backend);
    expect(status.out).toMatch(/\nBGP +path attributes \d+ B of 1\.1 GB, 2 routers\n/);
    expect(status.exit).toBe(3);
    expect(status.out).toContain('contoso: BGP peer hq (10.2.0.1, AS 65021) is not up: AS 65020, expected 65021');
    expect(status.out).toContain('one side has another AS number in its document: compare `asn` on both');
  });
});

describe('bgp log', () => {
  test('messages in words and events, as they come, of the peer that is named alone', async () => {
    const { backend, followers } = world();
    const followed = run('bgp log contoso/hq -n 8', backend);
    const other = run('bgp log woodgrove/hq --events --seconds 2', backend);
    await followers(2);
    await run('bgp clear contoso/hq in', backend);
    await run(['bgp', 'down', 'contoso/hq', '--text', 'back at noon'], backend);
    const { exit, out, err } = await followed;
    expect([exit, err]).toEqual([0, '']);
    const said = out.trimEnd().split('\n');
    for (const line of said) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z {2}contoso\/hq {2}/);
    const attributes = 'ORIGIN igp; AS_PATH 65020; NEXT_HOP 10.2.0.1';
    expect(said.map((line) => line.replace(/^\S+ {2}contoso\/hq {2}/, ''))).toEqual([
      'out  ROUTE-REFRESH IPv4 unicast',
      'in   ROUTE-REFRESH IPv4 unicast begins',
      `in   UPDATE 10.2.0.0/24, 10.50.0.0/16; ${attributes}`,
      'in   ROUTE-REFRESH IPv4 unicast ends',
      '-    refreshed: IPv4 unicast',
      'out  NOTIFICATION Cease: Hard Reset, data (Cease: Administrative Shutdown, "back at noon")',
      '-    notification sent: Hard Reset, Cease: Administrative Shutdown, "back at noon": stopped: back at noon',
      '-    down: stopped: back at noon',
    ]);
    expect(await other).toEqual({ exit: 0, out: '', err: '' });
  });

  test('--events --json: one object a line', async () => {
    const { backend, followers } = world();
    const followed = run('bgp log --tenant contoso --events -n 2 --json', backend);
    await followers(1);
    await run('bgp down contoso/hq', backend);
    const common = { time: expect.any(String), tenant: 'contoso', peer: 'hq', kind: 'event', octets: 0, missed: 0 };
    const { out } = await followed;
    expect(
      out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      {
        ...common,
        what: 'notification sent',
        words: 'Hard Reset, Cease: Administrative Shutdown: stopped',
      },
      { ...common, what: 'down', words: 'stopped' },
    ]);
  });
});
