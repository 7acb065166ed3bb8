import { describe, expect, test } from 'vitest';
import { FakeBackend } from '../api/fake-backend.ts';
import { run } from './world.ts';

const PACKET = 'tcp 10.1.0.10:5000 > 192.168.7.7:443';
const trace = (...words: string[]): string[] => ['trace', ...words];

describe('trace as a question', () => {
  test('each stage with its decision, its reason, and what was considered', async () => {
    const backend = new FakeBackend();
    expect(await run(trace('--tenant', 'contoso', '--from', '10.1.0.10', PACKET), backend)).toEqual({
      exit: 0,
      err: '',
      out: [
        `${PACKET} of contoso, from 10.1.0.10: sent`,
        '  door  NVGRE, VSID 5001',
        '        00:15:5d:00:00:10 at 192.168.50.21',
        '  fib   0.0.0.0/0 by outside',
        '        NAT behind 203.0.113.50',
        '        - passed over: 0.0.0.0/0 by hq: metric 1',
        '  out   frame',
        '        the port takes frames',
        '',
      ].join('\n'),
    });
    expect(backend.traces).toMatchObject([
      { tenant: 'contoso', from: '10.1.0.10', size: 100, hopLimit: 64, dontFragment: true, opens: true },
    ]);
  });

  test('of two tenants with the same addresses the one that is asked about; words may stand apart', async () => {
    const backend = new FakeBackend();
    for (const tenant of ['contoso', 'fabrikam'])
      expect((await run(trace('--tenant', tenant, ...PACKET.split(' ')), backend)).out).toContain(` of ${tenant}, `);
    expect(backend.traces.map(({ tenant }) => tenant)).toEqual(['contoso', 'fabrikam']);
  });

  test('flags', async () => {
    const backend = new FakeBackend();
    const flags = ['--size', '1400', '--ttl', '3', '--may-fragment', '--established'];
    await run(trace('--tenant', 'contoso', ...flags, PACKET), backend);
    expect(backend.traces).toMatchObject([{ size: 1400, hopLimit: 3, dontFragment: false, opens: false }]);
  });

  test('exit 1 when it would be dropped, 0 when it waits', async () => {
    const backend = new FakeBackend();
    const asked = trace('--tenant', 'contoso', PACKET);
    const last = { stage: 'nat', decision: 'dropped: natNoPort', why: 'no port is left', detail: [] } as const;
    backend.stages = [{ ...last, drop: 'natNoPort' }];
    expect(await run(asked, backend)).toMatchObject({ exit: 1, out: expect.stringContaining(': dropped\n') });
    backend.stages = [{ ...last, stage: 'sa', waits: true }];
    expect(await run(asked, backend)).toMatchObject({ exit: 0, out: expect.stringContaining(': waits\n') });
  });

  test('JSON', async () => {
    const { out } = await run(trace('--json', '--tenant', 'contoso', PACKET), new FakeBackend());
    expect(JSON.parse(out)).toMatchObject({
      schemaVersion: 1,
      kind: 'trace',
      items: [{ tenant: 'contoso', packet: PACKET, from: '10.1.0.10', outcome: 'out', stages: expect.any(Array) }],
    });
  });

  test('usage', async () => {
    const backend = new FakeBackend();
    expect((await run(trace('--tenant', 'contoso'), backend)).exit).toBe(2);
    expect((await run(trace(PACKET), backend)).exit).toBe(2);
    const wrong = await run(trace('--tenant', 'contoso', 'tcp there > here'), backend);
    expect([wrong.exit, wrong.err.includes('packet must be like')]).toEqual([1, true]);
  });
});
