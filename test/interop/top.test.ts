/** `top` and signals as processes: what a terminal or a service manager does to a command that goes on. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BIN } from '../support/bulkhead.ts';
import { start, type TestProcess } from '../support/process.ts';

describe('bulkhead top beside a lab', () => {
  let folder: string;
  let lab: TestProcess;
  const api = () => `unix:${join(folder, 'lab.sock')}`;
  const bulkhead = (...words: readonly string[]): TestProcess => start(process.execPath, [BIN, ...words]);

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bh-top-'));
    lab = bulkhead('lab', '--api', api());
    await lab.line(/The lab stays up/);
  });

  afterAll(async () => {
    await lab?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s ends it with 0', async (signal) => {
    const top = bulkhead('top', '--interval', '0.2', '--json', '--api', api());
    await top.line(/"kind":"rates"/);
    top.signal(signal);
    expect([await top.end(), top.stderr]).toEqual([0, '']);
  });

  it('ends with 4 when the gateway does', async () => {
    const top = bulkhead('top', '--interval', '0.2', '--api', api());
    await top.line(/all tenants/);
    await lab.stop();
    expect(await top.end()).toBe(4);
    expect(top.stderr).toMatch(/^bulkhead: the gateway went away: /);
  });
});
