import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { Child, processorSeconds } from '../../src/runtime/child.ts';

const NEVER = new AbortController().signal;
const children: Child[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill();
});

function node(script: string): Child {
  const child = new Child(process.execPath, ['-e', script]);
  children.push(child);
  return child;
}

const ECHO = `require('node:readline').createInterface({ input: process.stdin }).on('line', (l) => console.log('<' + l + '>'))`;

describe('a child process', () => {
  it('answers line by line', async () => {
    const child = node(ECHO);
    child.tell('one');
    child.tell('two');
    expect(await child.line(5000, NEVER)).toBe('<one>');
    expect(await child.line(5000, NEVER)).toBe('<two>');
    expect(child.end).toBeUndefined();
  });

  it('has nothing to say: the time is over, or the wait is interrupted', async () => {
    const child = node(ECHO);
    expect(await child.line(50, NEVER)).toBeUndefined();
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 50);
    expect(await child.line(5000, interrupt.signal)).toBeUndefined();
    expect(child.end).toBeUndefined();
  });

  it('ended: how, and what it wrote to standard error', async () => {
    const child = node(`process.stderr.write('no such thing\\n'); process.exitCode = 3`);
    expect(await child.line(5000, NEVER)).toBeUndefined();
    expect(child.end).toBe('exit code 3: no such thing');
    child.tell('anybody there?');
    const none = new Child('/nonexistent/program', []);
    expect(await none.line(5000, NEVER)).toBeUndefined();
    expect(none.end).toMatch(/ENOENT/);
    await none.stop(1000);
  });

  it('is asked to end, and made to end when it does not', async () => {
    const polite = node(`${ECHO}; console.log('ready')`);
    await polite.line(5000, NEVER);
    await polite.stop(5000);
    expect(polite.end).toBe('SIGTERM');
    const stubborn = node(`process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); console.log('ready')`);
    await stubborn.line(5000, NEVER);
    await stubborn.stop(100);
    expect(stubborn.end).toBe('SIGKILL');
  });

  it.runIf(existsSync('/proc/self/stat'))('takes processor time', async () => {
    const child = node(`while (process.cpuUsage().user < 200_000); console.log('ready'); setInterval(() => {}, 1000)`);
    await child.line(20_000, NEVER);
    expect(processorSeconds(child.pid)).toBeGreaterThan(0.1);
  });
});
