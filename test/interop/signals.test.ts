/** What a terminal does to a command that waits. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { BIN } from '../support/bulkhead.ts';

it('decode that waits for standard input ends at the first Ctrl-C', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bh-decode-'));
  const fifo = join(folder, 'empty');
  spawnSync('mkfifo', [fifo]);
  const input = openSync(fifo, 'r+');
  const decode = spawn(process.execPath, [BIN, 'decode', '-'], { stdio: [input, 'ignore', 'ignore'] });
  const ended = once(decode, 'exit');
  await setTimeout(1000);
  decode.kill('SIGINT');
  try {
    expect(await Promise.race([ended, setTimeout(5000, 'still there')])).toEqual([null, 'SIGINT']);
  } finally {
    decode.kill('SIGKILL');
    closeSync(input);
    rmSync(folder, { recursive: true });
  }
});
