import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { TimeLimit } from '../../src/api/time-limit.ts';

const ended = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)));

describe('a limit of time', () => {
  test('ends, whatever the garbage collector takes away meanwhile', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const reason = ended(new TimeLimit(new AbortController().signal, 50).signal);
    collect();
    expect(await reason).toMatchObject({ name: 'TimeoutError' });
  });

  test('ends with the other signal, for its reason', async () => {
    const outer = new AbortController();
    const reason = ended(new TimeLimit(outer.signal, 60_000).signal);
    outer.abort('gone');
    expect(await reason).toBe('gone');
    expect(new TimeLimit(outer.signal, undefined).signal.aborted).toBe(true);
  });

  test('does not end any more once it is over', async () => {
    const outer = new AbortController();
    const limit = new TimeLimit(outer.signal, 10);
    limit.end();
    await new Promise((resolve) => setTimeout(resolve, 30));
    outer.abort();
    expect(limit.signal.aborted).toBe(false);
  });
});
