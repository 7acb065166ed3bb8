import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LivePacket } from '../../src/api/index.ts';
import { LINK_TYPE, readPcapng } from '../../src/capture/index.ts';
import { toHex } from '../../src/core/index.ts';
import { FakeBackend, STAGES } from '../api/fake-backend.ts';
import { udp, VM } from '../gateway/virtual-world.ts';
import { run } from './world.ts';

const packet = (tenant: string, change: Partial<LivePacket> = {}): LivePacket => {
  const octets = udp(VM, 5000, '192.0.2.80', 53);
  const seen = { octets: toHex(octets), length: octets.length };
  return {
    time: '2026-01-02T03:04:05.678Z',
    tenants: [tenant],
    outcome: 'out',
    stages: STAGES,
    points: [
      { point: `${tenant}/vsid:5001`, direction: 'inbound', ...seen },
      { point: 'external', direction: 'outbound', ...seen },
    ],
    missed: 0,
    ...change,
  };
};

const DROPPED = {
  outcome: 'dropped',
  stages: [{ stage: 'nat', decision: 'dropped: natNoPort', why: 'no port', detail: [], drop: 'natNoPort' }],
  missed: 7,
} as const;

function gateway(): FakeBackend {
  const backend = new FakeBackend();
  backend.live = [packet('fabrikam'), packet('contoso', DROPPED)];
  return backend;
}

describe('trace --live', () => {
  test('each packet with its stages, as they come', async () => {
    const backend = gateway();
    const { exit, out, err } = await run('trace --live --tenant contoso', backend);
    expect([exit, err, backend.commands]).toEqual([0, '', ['tap contoso']]);
    const words = 'IPv4 10.1.0.10 > 192.0.2.80 UDP 5000 > 53 4 octets (32)';
    expect(out.split('\n')[0]).toBe(`2026-01-02T03:04:05.678Z  ${words} at fabrikam/vsid:5001, fabrikam: sent`);
    expect(out).toContain('  door  NVGRE, VSID 5001\n');
    expect(out).toContain('7 packets passed unseen\n');
    expect(out).toContain('contoso: dropped\n');
  });

  test('of all tenants; at most so many; JSON', async () => {
    const backend = gateway();
    const { exit, out } = await run('trace --live --count 1 --json', backend);
    expect([exit, backend.commands]).toEqual([0, ['tap all']]);
    expect(JSON.parse(out)).toMatchObject({ schemaVersion: 1, kind: 'tapped', items: [{ tenants: ['fabrikam'] }] });
  });

  test('none came: exit 1', async () => {
    const backend = new FakeBackend();
    expect(await run('trace --live', backend)).toEqual({ exit: 1, out: '', err: 'No packet came.\n' });
    expect((await run('trace --live --tenant nobody', backend)).exit).toBe(1);
  });
});

describe('capture', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bulkhead-capture-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('one interface a capture point, directions, what became of each as its comment', async () => {
    const file = join(folder, 'all.pcapng');
    const backend = gateway();
    expect(await run(`capture --all --out ${file}`, backend)).toEqual({
      exit: 0,
      out: '',
      err: `2 packets at 3 points in ${file}, 7 passed unseen\n`,
    });
    expect(backend.commands).toEqual(['tap all']);
    const frames = [...readPcapng([new Uint8Array(readFileSync(file))])];
    expect(frames.map(({ interfaceName, direction, linkType }) => [interfaceName, direction, linkType])).toEqual([
      ['fabrikam/vsid:5001', 'inbound', LINK_TYPE.raw],
      ['external', 'outbound', LINK_TYPE.raw],
      ['contoso/vsid:5001', 'inbound', LINK_TYPE.raw],
      ['external', 'outbound', LINK_TYPE.raw],
    ]);
    expect(frames[0]!.time).toEqual({ seconds: 1767323045, nanoseconds: 678_000_000 });
    expect(frames[0]!.comments[0]).toBe('out: frame: the port takes frames');
    expect(frames[2]!.comments).toEqual(['dropped: dropped: natNoPort: no port', 'nat: dropped: natNoPort']);
    // Packets are as secret as what they carry.
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('of one tenant, with a bound; JSON says what was written', async () => {
    const backend = gateway();
    const file = join(folder, 'one.pcapng');
    const { exit, out } = await run(`capture --tenant contoso --out ${file} --count 1 --seconds 5 --json`, backend);
    expect([exit, backend.commands]).toEqual([0, ['tap contoso']]);
    expect(JSON.parse(out)).toMatchObject({ kind: 'capture', items: [{ file, packets: 1, missed: 0 }] });
  });

  test('--snaplen: so much of each; what stands there in part is counted', async () => {
    const file = join(folder, 'short.pcapng');
    const { err } = await run(`capture --all --out ${file} --snaplen 28`, gateway());
    expect(err).toBe(`2 packets at 3 points in ${file}, 7 passed unseen, 4 times only the beginning of one\n`);
    for (const { octets, originalLength } of readPcapng([new Uint8Array(readFileSync(file))]))
      expect([octets.length, originalLength]).toEqual([28, 32]);
  });

  test.each([
    ['capture --all', 2, '--out is needed'],
    ['capture --out x', 2, 'either --tenant or --all is needed'],
    ['capture --all --tenant contoso --out x', 2, 'either --tenant or --all is needed'],
    ['capture --all --out /nonexistent/x.pcapng', 1, 'cannot be written'],
  ])('%s: exit %i', async (line, exit, words) => {
    const ran = await run(line, gateway());
    expect([ran.exit, ran.err.includes(words)]).toEqual([exit, true]);
  });
});
