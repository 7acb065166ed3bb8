/** `bulkhead bench` with network namespaces: it measures, and leaves nothing behind, however it ends. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { BenchResult } from '../../src/cli/bench/text.ts';
import { BIN } from '../support/bulkhead.ts';
import { requirePeers } from '../support/peers.ts';
import { sh, start, type TestProcess, until } from '../support/process.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi');

const bench = (...words: readonly string[]): TestProcess => start(process.execPath, [BIN, 'bench', ...words]);

const namespaces = (pid: number): readonly string[] =>
  readdirSync('/run/netns').filter((name) => name.startsWith(`bh-bench-${pid}-`));
const folders = (): readonly string[] => readdirSync(tmpdir()).filter((name) => /^bh-bench-[^-]{6}$/.test(name));
const processesIn = (pid: number): readonly string[] =>
  namespaces(pid).flatMap((name) => sh('ip', ['netns', 'pids', name]).split('\n').filter(Boolean));

describeWithPeers('bulkhead bench', () => {
  let running: TestProcess | undefined;
  let before: readonly string[] = [];
  const begin = (...words: readonly string[]): TestProcess => {
    before = folders();
    running = bench(...words);
    return running;
  };

  afterEach(async () => {
    await running?.stop();
  });

  const expectNothingLeft = (pid: number, pids: readonly string[] = []): void => {
    expect(namespaces(pid)).toEqual([]);
    expect(folders().filter((name) => !before.includes(name))).toEqual([]);
    expect(pids.filter((each) => existsSync(`/proc/${each}`))).toEqual([]);
  };

  it('measures everything, beside the bare veth pair', async () => {
    const process = begin('--seconds', '0.3', '--rounds', '1', '--json');
    expect([await process.end(60_000), process.stderr.includes('bulkhead:')]).toEqual([0, false]);
    const { kind, items } = JSON.parse(process.stdout) as { kind: string; items: [BenchResult] };
    const [{ way, missing, measurements, engines }] = items;
    expect([kind, way, missing]).toEqual(['bench', 'namespaces', []]);
    expect(measurements.map(({ name }) => name)).toEqual(['tcp-a-b', 'tcp-b-a', 'udp-small', 'round-trip', 'ike']);
    for (const { name, tunnel, bare, processor } of measurements) {
      expect([name, tunnel > 0]).toEqual([name, true]);
      expect([name, bare === null]).toEqual([name, name === 'ike']);
      expect([name, processor !== null]).toEqual([name, /^(tcp|udp)/.test(name)]);
    }
    expect(engines.length).toBeGreaterThan(0);
    expectNothingLeft(process.pid);
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s, and once more while it tidies up', async (signal) => {
    const process = begin('--only', 'tcp');
    await process.line(/round 1 of 2/);
    const pids = processesIn(process.pid);
    expect(pids).toHaveLength(4);
    process.signal(signal);
    process.signal(signal);
    expect(await process.end(15_000)).toBe(1);
    expect(process.stderr).toMatch(/bulkhead: interrupted\n$/);
    expectNothingLeft(process.pid, pids);
  });

  it('killed outright: the traffic ends by itself, the next one removes the rest', async () => {
    const process = begin('--only', 'tcp');
    await process.line(/round 1 of 2/);
    const pids = processesIn(process.pid);
    await process.stop('SIGKILL');
    for (const name of folders().filter((each) => !before.includes(each)))
      rmSync(join(tmpdir(), name), { recursive: true });
    await until(() => processesIn(process.pid).length === 2);
    const next = begin('--only', 'ping', '--seconds', '0.1', '--rounds', '1');
    expect(await next.end(30_000)).toBe(0);
    expect(namespaces(process.pid)).toEqual([]);
    // Orphans are in /proc until somebody takes note of their end.
    await until(() => !pids.some((each) => existsSync(`/proc/${each}`)));
    expectNothingLeft(next.pid);
  });
});

describe('bulkhead bench without native code', () => {
  it('measures over 127.0.0.1 and says why', async () => {
    const words = ['bench', '--seconds', '0.1', '--rounds', '1', '--only', 'udp,ping,ike', '--json'];
    const process = start(globalThis.process.execPath, [BIN, ...words], { env: { BULKHEAD_NO_KOFFI: '1' } });
    expect(await process.end()).toBe(0);
    const [{ way, heading, missing, measurements }] = JSON.parse(process.stdout).items as [BenchResult];
    expect([way, measurements.length]).toEqual(['loopback', 4]);
    expect(heading).toContain('by node:dgram');
    expect(missing).toContain('TUN devices: koffi is switched off (BULKHEAD_NO_KOFFI=1)');
  });
});
