import { describe, expect, test } from 'vitest';
import type { NextHopStatus, TenantStatus } from '../../src/gateway/status.ts';
import { FakeBackend, TENANTS } from '../api/fake-backend.ts';
import { run } from './world.ts';

const lines = (...text: string[]): string => `${text.join('\n')}\n`;

describe('NAT', () => {
  test('nat: two tenants, each behind an address of its own', async () => {
    expect(await run('nat', new FakeBackend())).toEqual({
      exit: 0,
      err: '',
      out: lines(
        'TENANT    EXTERNAL      SESSIONS  LIMIT  CREATED  NO PORT  AT LIMIT  PACKETS OUT  PACKETS IN  DROPS',
        'fabrikam  203.0.113.50         2  65536       14        1         0          140         120  natFiltered 3',
        'contoso   203.0.113.51         2  65536       14        1         0          140         120  natFiltered 3',
      ),
    });
    expect((await run('nat list --tenant contoso', new FakeBackend())).out).not.toContain('fabrikam');
  });

  test('nat sessions: filters reach the data plane, and its answer is a table', async () => {
    const backend = new FakeBackend();
    const words = '--inner 10.1.0.10:5000 --remote 192.0.2.80 --protocol tcp --limit 7';
    expect(await run(`nat sessions --tenant contoso ${words}`, backend)).toEqual({
      exit: 0,
      err: '',
      out: lines(
        'PROTOCOL  INNER           EXTERNAL           REMOTE          STATE        BEGUN     ENDS IN     OUT     IN',
        'tcp       10.1.0.10:5000  203.0.113.50:5000  192.0.2.80:443  established  inside  29 m 50 s  1.4 kB  812 B',
        'icmp      10.1.0.10:77    203.0.113.50:77    192.0.2.80      answered     inside       30 s    84 B   84 B',
      ),
    });
    const filter = { protocol: 6, innerAddress: 0x0a01000a, innerPort: 5000, remoteAddress: 0xc0000250 };
    expect(backend.commands).toEqual([`nat-sessions contoso ${JSON.stringify(filter)} 7`]);
  });

  test('nat flush says how many went', async () => {
    const backend = new FakeBackend();
    const line = 'nat flush --tenant fabrikam --remote 192.0.2.80:443';
    expect(await run(line, backend)).toEqual({ exit: 0, out: '', err: '2 sessions ended.\n' });
    const filter = { remoteAddress: 0xc0000250, remotePort: 443 };
    expect(backend.commands).toEqual([`nat-flush fabrikam ${JSON.stringify(filter)}`]);
  });

  test.each([
    ['nat sessions', 2, '--tenant is needed'],
    ['nat sessions --tenant x', 1, 'there is no tenant "x"'],
    ['nat sessions --tenant contoso --inner there', 1, 'inner must be an IPv4 address, with a port or without'],
    [
      'nat sessions --tenant contoso --inner 10.1.0.1:65536',
      1,
      'inner must be an IPv4 address, with a port or without',
    ],
    ['nat sessions --tenant contoso --remote 2001:db8::1', 1, 'remote must be an IPv4 address, with a port or without'],
    ['nat sessions --tenant contoso --protocol word', 1, 'protocol must be tcp, udp, icmp or a number'],
    ['nat sessions --tenant contoso --limit 0', 2, 'A whole number from 1 to 1000 is needed.'],
    ['nat --tenant x', 1, 'there is no tenant "x"'],
  ])('%s: exit %i', async (line, exit, words) => {
    const ran = await run(line, new FakeBackend());
    expect([ran.exit, ran.err.includes(words)]).toEqual([exit, true]);
  });
});

describe('virtual networks', () => {
  test('nvgre: the same customer address in two tenants is two records', async () => {
    expect((await run('nvgre', new FakeBackend())).out).toBe(
      lines(
        'TENANT    VSID  CA         MAC                PA             TYPE     ORIGIN   SEEN',
        'fabrikam  5001  10.1.0.10  00:15:5d:00:00:10  192.168.50.21  static   policy',
        'fabrikam  5001  10.1.0.12  00:15:5d:00:00:12  192.168.50.22  dynamic  learned  4 s ago',
        'contoso   5002  10.1.0.10  00:15:5d:00:00:10  192.168.50.21  static   policy',
        'contoso   5002  10.1.0.12  00:15:5d:00:00:12  192.168.50.22  dynamic  learned  4 s ago',
      ),
    );
  });

  test('nvgre counters', async () => {
    expect((await run('nvgre counters --tenant contoso', new FakeBackend())).out).toBe(
      lines(
        'TENANT   FROM FABRIC  TO FABRIC  FROM PORTS  TO PORTS  ROUTED  COPIES  ANSWERED  LEARNED  DROPS',
        'contoso           20          9          10        20       4       2         3        1  spoofed 1',
      ),
    );
  });

  test('nvgre next-hop: the answer, then each step; exit 1 where it goes nowhere', async () => {
    const backend = new FakeBackend();
    const line = 'nvgre next-hop --tenant contoso --vsid 5002 --from 10.1.0.12 10.1.0.10';
    expect(await run(line, backend)).toEqual({
      exit: 0,
      err: '',
      out: lines(
        'VSID 5002, 00:15:5d:00:00:10 at 192.168.50.21',
        '  from 10.1.0.12',
        '  10.1.0.10 is at 192.168.50.21',
      ),
    });
    backend.nextHop = (): NextHopStatus => ({ chosen: null, why: 'no record', steps: ['no record'] });
    expect(await run(line, backend)).toEqual({ exit: 1, err: '', out: lines('nowhere', '  no record') });
    backend.nextHop = () => undefined;
    expect((await run(line, backend)).err).toContain('tenant contoso has no virtual network');
    expect((await run('nvgre next-hop --tenant contoso 10.1.0.10', backend)).exit).toBe(2);
    expect((await run(line.replace('10.1.0.12', 'vm'), backend)).err).toContain('from and to must be addresses');
  });

  test('what is not known of a worker’s data plane stands in the help', async () => {
    for (const line of ['nvgre records --help', 'nvgre next-hop --help'])
      expect((await run(line)).out.replace(/\s+/g, ' ')).toContain('knows the policy, not what was learned');
  });

  test('neighbours', async () => {
    expect(await run('neighbours --tenant contoso', new FakeBackend())).toEqual({
      exit: 0,
      err: '',
      out: lines(
        'INTERFACE  ADDRESS    MAC                STATE        FOR  WAITING',
        'vsid:5001  10.1.0.10  00:15:5d:00:00:10  reachable   12 s        0',
        'vsid:5001  10.1.0.11  -                  incomplete   1 s        3',
      ),
    });
    expect((await run('neighbours', new FakeBackend())).exit).toBe(2);
  });

  test('tenants: segments have a table of their own', async () => {
    const backend = new FakeBackend();
    const [fabrikam, contoso] = TENANTS as [TenantStatus, TenantStatus];
    const none = { probes: 0, announcements: 2, learned: 0, moved: 0, evicted: 0, waitingRefused: 0, unreachable: 0 };
    const more = { unsolicited: 0, contradicted: 0, defences: 0, withoutBuffer: 0, configurationRefused: 0 };
    const segment = { ...none, ...more, solicitations: 3, answers: 4, resolved: 2, failed: 1, lost: 1, conflicts: 5 };
    const interfaces = fabrikam.interfaces.map((i) => {
      return { ...i, kind: 'ethernet', mac: '02:00:00:00:00:01', segment, segmentDrops: { notOurs: 7 } };
    });
    backend.tenants = () => [
      { ...fabrikam, interfaces },
      { ...contoso, direct: true },
    ];
    const { out } = await run('tenants', backend);
    expect(out).toMatch(/contoso .* direct\n/);
    expect(out.split('\n').slice(4)).toEqual([
      'TENANT    SEGMENT  MAC                ASKED  ANSWERED  FOUND  LOST  CONFLICTS  DROPS',
      'fabrikam  inside   02:00:00:00:00:01      3         4      2     2          5  notOurs 7',
      '',
    ]);
  });
});
