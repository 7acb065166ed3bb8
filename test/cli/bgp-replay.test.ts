import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { compilePolicy, IPV4_UNICAST, IPV6_UNICAST, Speaker, sessionConfiguration } from '../../src/bgp/index.ts';
import { seededRandom } from '../../src/core/index.ts';
import { type Endpoint, formatAddress, parseAddress, parsePrefix } from '../../src/ip/index.ts';
import { realClock, tcpTransport } from '../../src/runtime/bgp-transport.ts';
import { SpeakerHost } from '../../src/runtime/speaker-host.ts';
import { mrtPath } from '../bgp/mrt/files.ts';
import { run } from './world.ts';

const LOOPBACK = parseAddress('127.0.0.1')!;
const folder = mkdtempSync(join(tmpdir(), 'bulkhead-replay-'));
const path = (name: Parameters<typeof mrtPath>[0]): string => mrtPath(name).pathname;
const hosts: (() => void)[] = [];
afterEach(() => {
  for (const leave of hosts.splice(0)) leave();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Daemon {
  readonly port: number;
  readonly speaker: Speaker;
  readonly log: string[];
}

/** A speaker of AS 65001 that takes and gives everything. */
async function daemon(remoteAs: number | 'any' = 'any', addPath = true): Promise<Daemon> {
  const all = compilePolicy('all');
  if (!all.ok) throw new Error('a policy without clauses compiles');
  const speaker = new Speaker({ localAs: 65001, routerId: 1 }, seededRandom(1));
  const log: string[] = [];
  const host = new SpeakerHost(speaker, {
    transport: tcpTransport({ problem: (why) => log.push(why) }),
    clock: realClock,
    told: (action) => {
      if (action.do === 'log') log.push(`${action.event}: ${action.why}`);
    },
  });
  const session = sessionConfiguration({
    asn: 65001,
    identifier: 1,
    remoteAs,
    passive: true,
    families: [IPV4_UNICAST, IPV6_UNICAST],
    addPath: addPath ? [{ family: IPV4_UNICAST, mode: 1 }] : [],
  });
  const settings = { name: 'replay', session, import: all.policy, export: all.policy, enforceFirstAs: false };
  host.add(settings, { address: LOOPBACK, port: 0 });
  let stop = (): void => {};
  const at = await new Promise<Endpoint>((ready) => {
    stop = host.listen({ address: LOOPBACK, port: 0 }, ready);
  });
  hosts.push(() => {
    stop();
    host.leave();
  });
  return { port: at.port, speaker, log };
}

const until = async (holds: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 500 && !holds(); tries++) await new Promise((resolve) => setTimeout(resolve, 5));
};

const count = ({ speaker }: Daemon): number =>
  [IPV4_UNICAST, IPV6_UNICAST].reduce((sum, family) => sum + speaker.rib.family(family)!.table.count, 0);

describe('bgp replay', () => {
  test('a table of FRR, packed; the session stays, and ends with a Cease', async () => {
    const d = await daemon();
    const stop = new AbortController();
    const replaying = run(`bgp replay ${path('frr-table')} --to 127.0.0.1:${d.port} --peer 1`, undefined, {
      signal: stop.signal,
    });
    await until(() => count(d) === 10);
    expect(d.speaker.rib.explain(parsePrefix('10.2.0.0/16')!)).toMatchObject([{ nextHop: LOOPBACK }]);
    expect(d.speaker.negotiated('replay')?.remoteAs).toBe(65002);
    await until(() => d.log.filter((line) => line.startsWith('end of rib')).length === 2);
    stop.abort();
    const { exit, out, err } = await replaying;
    expect({ exit, out: out.replace(/\d+\.\d\d s/, 'T s') }).toEqual({
      exit: 0,
      out: '10 routes of AS 65002 10.254.7.2 in 3 messages, 291 B, T s\n',
    });
    expect(err).toBe('the session stays; Ctrl-C ends it\n');
    await until(() => count(d) === 0);
    expect(d.log.at(-1)).toContain('Administrative Shutdown, "interrupted"');
  });

  test('messages of FRR in order, with path identifiers, to a peer that takes them', async () => {
    const d = await daemon();
    const line = `bgp replay ${path('frr-messages')} --to 127.0.0.1:${d.port} --stay 0.2 --next-hop keep --json`;
    const { exit, out } = await run(line);
    expect(exit).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      kind: 'bgpReplay',
      items: [{ peer: { asn: 65002, address: '10.254.7.2' }, routes: 10, messages: 5, damaged: 1, skipped: {} }],
    });
    await until(() => d.log.length > 3);
    expect(d.log).toContainEqual(expect.stringContaining('"the replay is over"'));
  });

  test('what the peer does not take is left out and said', async () => {
    const d = await daemon('any', false);
    const { exit, out } = await run(`bgp replay ${path('frr-messages')} --to 127.0.0.1:${d.port} --stay 0`);
    expect(exit).toBe(0);
    expect(out.split('\n').slice(1)).toEqual([
      '2 left out with path identifiers that the session does not have, or without those it has',
      '1 records that cannot be read',
      '',
    ]);
  });

  test('a gzip is read; next hops of ours, AS number and identifier as given', async () => {
    const file = join(folder, 'table.gz');
    writeFileSync(file, gzipSync(readFileSync(path('frr-table'))));
    const d = await daemon();
    const stop = new AbortController();
    const line = `bgp replay ${file} --to 127.0.0.1:${d.port} --peer 10.254.7.2 --asn 65009 --router-id 9.9.9.9 --hold 30`;
    const hops = ' --next-hop 192.0.2.7,2001:db8::7';
    const replaying = run(line + hops, undefined, { signal: stop.signal });
    await until(() => count(d) === 10);
    const negotiated = d.speaker.negotiated('replay')!;
    expect(negotiated).toMatchObject({ remoteAs: 65009, holdSeconds: 30, remote: { identifier: 0x09090909 } });
    const hopOf = (prefix: string): string => formatAddress(d.speaker.rib.explain(parsePrefix(prefix)!)[0]!.nextHop);
    expect([hopOf('10.1.0.0/24'), hopOf('2001:db8:2::/64')]).toEqual(['192.0.2.7', '2001:db8::7']);
    stop.abort();
    expect((await replaying).exit).toBe(0);
  });

  test('--list shows whose routes are in the file, and asks nobody', async () => {
    const { exit, out } = await run(`bgp replay ${path('bird-table')} --list`);
    expect(exit).toBe(0);
    expect(out.split('\n')).toEqual([
      'PEER     AS  ADDRESS     ROUTES  UPDATES  FAMILIES',
      '   0      0  ::              30        0  IPv4 unicast, IPv6 unicast',
      '   1  65001  10.254.7.1       4        0  IPv4 unicast',
      '',
    ]);
  });

  test('a peer that expects another AS number says so, and the command what we were', async () => {
    const d = await daemon(65003);
    const { exit, err } = await run(`bgp replay ${path('frr-messages')} --to 127.0.0.1:${d.port}`);
    expect(exit).toBe(1);
    expect(err).toContain('Bad Peer AS');
    expect(err).toContain('We are AS 65002 with identifier 192.0.2.2');
  });

  test('Ctrl-C ends it while the file is read, and while the session stays for a time', async () => {
    const d = await daemon();
    const line = `bgp replay ${path('frr-messages')} --to 127.0.0.1:${d.port} --stay 1000`;
    expect(await run(line, undefined, { signal: AbortSignal.abort() })).toEqual({ exit: 0, out: '', err: '' });
    expect(d.log).toEqual([]);
    const stop = new AbortController();
    const replaying = run(line, undefined, { signal: stop.signal });
    await until(() => count(d) === 10);
    stop.abort();
    expect((await replaying).exit).toBe(0);
  });

  test('messages at the pace they were recorded, times a factor', async () => {
    const d = await daemon();
    const begun = performance.now();
    // From the first UPDATE to the last 139 microseconds were recorded.
    const line = `bgp replay ${path('frr-messages')} --to 127.0.0.1:${d.port} --stay 0 --speed 0.001`;
    expect((await run(line)).exit).toBe(0);
    expect(performance.now() - begun).toBeGreaterThan(130);
  });

  test('nobody listens', async () => {
    const d = await daemon();
    for (const leave of hosts.splice(0)) leave();
    const { exit, err } = await run(`bgp replay ${path('frr-messages')} --to 127.0.0.1:${d.port}`);
    expect(exit).toBe(1);
    expect(err).toContain('ECONNREFUSED');
  });

  test.each([
    ['without --to', '', '--to is needed'],
    ['to no address', '--to example', '--to example is neither an address'],
    ['to no port', '--to 127.0.0.1:70000', 'neither an address nor an address with a port'],
    ['of nobody in the file', '--to 127.0.0.1 --peer 7', '--peer 7 is nobody in the file'],
    ['with no hop', '--to 127.0.0.1 --next-hop mine', '--next-hop mine is no address'],
    ['with two hops of a family', '--to 127.0.0.1 --next-hop 1.1.1.1,2.2.2.2', 'more than one address of a family'],
    ['with an identifier that is none', '--to 127.0.0.1 --router-id ::1', '--router-id is an IPv6 address'],
  ])('%s it is a usage error', async (_, flags, problem) => {
    const { exit, err } = await run(`bgp replay ${path('frr-messages')} ${flags}`.trim());
    expect({ exit, err }).toEqual({ exit: 2, err: expect.stringContaining(problem) });
  });

  test('a choice between peers is asked for; who had no AS number is asked for one', async () => {
    const table = await run(`bgp replay ${path('frr-table')} --to 127.0.0.1`);
    expect(table).toMatchObject({ exit: 2, err: expect.stringContaining('2 peers have routes or messages') });
    const own = await run(`bgp replay ${path('frr-table')} --to 127.0.0.1 --peer 0`);
    expect(own).toMatchObject({ exit: 2, err: expect.stringContaining('Give ours with --asn') });
  });

  test.each([
    ['is not there', undefined, 'no such file'],
    ['ends too early', readFileSync(path('frr-table')).subarray(0, 100), 'octet 57: the file ends 43 octets into it'],
    ['is none of MRT', Buffer.from('<html>a page instead of a file</html>'), 'octet 8:'],
    ['is a bzip2', Buffer.from('BZh91AY'), 'compressed with bzip2'],
    ['is an xz', Buffer.from('fd377a585a000004', 'hex'), 'compressed with xz'],
    ['is a zstd', Buffer.from('28b52ffd045885', 'hex'), 'compressed with zstd'],
    ['is a damaged gzip', gzipSync('records').subarray(0, 15), 'cannot be read'],
    ['is empty', Buffer.alloc(0), 'none of 0 records has routes'],
  ])('a file that %s', async (_, octets, problem) => {
    const file = join(folder, 'file.mrt');
    rmSync(file, { force: true });
    if (octets !== undefined) writeFileSync(file, octets);
    const { exit, err } = await run(`bgp replay ${file} --to 127.0.0.1`);
    expect({ exit, err }).toEqual({ exit: 1, err: expect.stringContaining(problem) });
  });
});
