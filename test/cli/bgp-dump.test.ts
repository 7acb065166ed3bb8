import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { MrtPage } from '../../src/api/index.ts';
import { decodeRecord, MrtFramer, type MrtRecord } from '../../src/bgp/index.ts';
import { toHex } from '../../src/core/index.ts';
import { formatAddress, formatPrefix } from '../../src/ip/index.ts';
import { FakeBackend } from '../api/fake-backend.ts';
import { world } from './bgp-world.ts';
import { run } from './world.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-dump-'));
afterAll(() => rmSync(folder, { recursive: true }));
const fileOf = (name: string): string => join(folder, name);

function recordsOf(file: string): MrtRecord[] {
  const framer = new MrtFramer();
  framer.push(new Uint8Array(readFileSync(file)));
  const records: MrtRecord[] = [];
  for (let frame = framer.next(); frame !== undefined; frame = framer.next())
    records.push(decodeRecord(frame.octets.slice()));
  framer.end();
  return records;
}

const routesIn = (records: readonly MrtRecord[]): string[] =>
  records.flatMap((record) =>
    record.kind !== 'rib'
      ? []
      : record.entries.map(
          ({ peer, attributes }) =>
            `${record.sequence} ${formatPrefix(record.prefix)} peer ${peer} ${toHex(attributes)}`,
        ),
  );

const OWN = '4001010040020040030400000000';
const SAID = '4001010040020602010000fdfc4003040a020001';

describe('RFC 6396 §4.3: bgp dump of tables', () => {
  test('of two tenants with the same addresses each has its own', async () => {
    const { backend } = world();
    for (const [tenant, prefix] of [
      ['contoso', '10.50.0.0/16'],
      ['woodgrove', '10.60.0.0/16'],
    ] as const) {
      const file = fileOf(`${tenant}.mrt`);
      const before = Math.floor(Date.now() / 1000);
      const ran = await run(`bgp dump ${file} --tenant ${tenant}`, backend);
      const size = statSync(file).size;
      expect(ran).toEqual({ exit: 0, out: '', err: `3 routes to 3 prefixes in ${file} (${size} B)\n` });
      const records = recordsOf(file);
      const [peers] = records;
      if (peers?.kind !== 'peerIndexTable') throw new Error('the peers come first');
      expect([new TextDecoder().decode(peers.view), peers.collector]).toEqual([tenant, 0x0a010001]);
      expect(peers.peers.map(({ asn, identifier, address }) => [asn, identifier, formatAddress(address)])).toEqual([
        [0, 0, '0.0.0.0'],
        [65_020, 0x0a020001, '10.2.0.1'],
      ]);
      expect(routesIn(records)).toEqual([
        `0 10.1.0.0/24 peer 0 ${OWN}`,
        `1 10.2.0.0/24 peer 1 ${SAID}`,
        `2 ${prefix} peer 1 ${SAID}`,
      ]);
      for (const { time } of records) expect(time.seconds - before).toBeLessThanOrEqual(2);
      // As secret as what it carries.
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const { out } = await run(`bgp replay ${file} --list --json`);
      expect(JSON.parse(out).items).toMatchObject([
        { asn: 0, routes: 1 },
        { asn: 65_020, address: '10.2.0.1', routes: 2 },
      ]);
    }
  });

  test('JSON says what was written', async () => {
    const file = fileOf('json.mrt');
    const { exit, out } = await run(`bgp dump ${file} --tenant contoso --json`, world().backend);
    const item = { file, octets: statSync(file).size, records: 4, routes: 3, missed: 0 };
    expect([exit, JSON.parse(out)]).toEqual([0, { schemaVersion: 1, kind: 'bgp-dump', items: [item] }]);
  });

  const page = (change: Partial<MrtPage>): MrtPage => ({ octets: '', records: 1, routes: 0, missed: 0, ...change });

  test('routes that were left out are counted', async () => {
    const backend = new FakeBackend();
    backend.pages = [page({ records: 9, routes: 12 }), page({ missed: 3, end: 'whole' })];
    const file = fileOf('late.mrt');
    const { exit, err } = await run(`bgp dump ${file} --tenant contoso`, backend);
    expect([exit, err]).toEqual([
      0,
      `12 routes to 9 prefixes in ${file} (0 B); 3 routes of peers that came meanwhile are not\n`,
    ]);
  });

  test.each([
    ['cut', 'the router of the tenant ended meanwhile'],
    [undefined, 'the gateway ended meanwhile'],
  ] as const)('tables that end before their end (%s): exit 1', async (end, why) => {
    const backend = new FakeBackend();
    backend.pages = [page({}), page(end === undefined ? {} : { end })];
    const file = fileOf('part.mrt');
    const { exit, err } = await run(`bgp dump ${file} --tenant contoso`, backend);
    expect([exit, err]).toEqual([1, `bulkhead: ${file} has a part of the tables: ${why}\n  Dump them once more.\n`]);
  });

  test('what is refused leaves a file from before as it is', async () => {
    const file = fileOf('old.mrt');
    writeFileSync(file, 'yesterday');
    const { exit, err } = await run(`bgp dump ${file} --tenant nobody`, new FakeBackend());
    expect([exit, err.split('\n')[0]]).toEqual([1, 'bulkhead: there is no tenant "nobody"']);
    expect(readFileSync(file, 'utf8')).toBe('yesterday');
  });

  test.each([
    ['bgp dump x', 2, '--tenant is needed'],
    ['bgp dump x --tenant contoso --peer hq', 2, '--peer and --seconds go with --messages'],
    ['bgp dump x --tenant contoso --seconds 2', 2, '--peer and --seconds go with --messages'],
    ['bgp dump x --tenant contoso --messages --peer branch', 1, 'there is no BGP peer branch'],
    ['bgp dump x --tenant fabrikam', 1, 'tenant fabrikam has no BGP router'],
    ['bgp dump /nonexistent/x --tenant contoso --messages', 1, '/nonexistent/x cannot be written'],
  ])('%s: exit %i', async (line, exit, words) => {
    const ran = await run(line, new FakeBackend());
    expect([ran.exit, ran.err.includes(words)]).toEqual([exit, true]);
  });
});

const NAMES = ['', 'OPEN', 'UPDATE', 'NOTIFICATION', 'KEEPALIVE', 'ROUTE-REFRESH'];
const words = (records: readonly MrtRecord[]): string[] =>
  records.map((r) =>
    r.kind === 'state'
      ? `state ${r.from} to ${r.to}`
      : r.kind === 'message'
        ? `${r.sent ? 'out' : 'in'} ${NAMES[r.message[18]!]}`
        : r.kind,
  );

describe('RFC 6396 §4.4: bgp dump --messages', () => {
  test('from now on, of one tenant, whatever passes at another with the same addresses', async () => {
    const { backend, told } = world();
    const file = fileOf('messages.mrt');
    const interrupt = new AbortController();
    const { signal } = interrupt;
    const dumped = run(`bgp dump ${file} --tenant contoso --messages --peer hq`, backend, { signal });
    await told('record', 1);
    await run('bgp clear contoso/hq in', backend);
    await run('bgp down woodgrove/hq', backend);
    await run(['bgp', 'down', 'contoso/hq', '--text', 'back at noon'], backend);
    interrupt.abort();
    const { exit, out, err } = await dumped;
    const records = recordsOf(file);
    expect(words(records)).toEqual([
      'out ROUTE-REFRESH',
      'in ROUTE-REFRESH',
      'in UPDATE',
      'in ROUTE-REFRESH',
      'out NOTIFICATION',
      'state 6 to 1',
    ]);
    const size = statSync(file).size;
    const said = `6 messages and changes of state in ${file} (${size} B)\n`;
    expect([exit, out, err]).toEqual([0, '', said]);
    for (const record of records) {
      if (record.kind !== 'message' && record.kind !== 'state') throw new Error(record.kind);
      const { peerAs, localAs, peer, local, fourOctetAs, time } = record;
      expect([peerAs, localAs, formatAddress(peer), formatAddress(local), fourOctetAs]).toEqual([
        65_020,
        65_010,
        '10.2.0.1',
        '10.1.0.1',
        true,
      ]);
      expect(Math.abs(time.seconds - Date.now() / 1000)).toBeLessThan(10);
    }
    const { out: listed } = await run(`bgp replay ${file} --list --json`);
    expect(JSON.parse(listed).items).toMatchObject([{ asn: 65_020, address: '10.2.0.1', updates: 1 }]);
  });

  test('--seconds ends it well, and the gateway forgets it', async () => {
    const { backend, told } = world();
    const file = fileOf('short.mrt');
    const dumped = run(`bgp dump ${file} --tenant contoso --messages --seconds 0.1`, backend);
    await told('record', 1);
    expect(await dumped).toEqual({ exit: 0, out: '', err: `0 messages and changes of state in ${file} (0 B)\n` });
    await told('unrecord', 1);
  });
});
