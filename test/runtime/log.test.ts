import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/core/index.ts';
import type { Report } from '../../src/ike/index.ts';
import { createLog, monotonicMillis, onSignals, systemRandom } from '../../src/runtime/index.ts';
import { until } from '../support/process.ts';

const report: Report = {
  level: 'warn',
  connection: 'fabrikam/hq',
  what: 'failed',
  text: 'no proposal in common',
  failure: {
    code: 'no-proposal',
    problem: 'no proposal in common',
    advice: 'add ecp256 to ike.proposals',
    lines: ['ours    modp2048', 'theirs  ecp256'],
  },
};

describe('the log', () => {
  it('is JSON where no terminal is', () => {
    const lines: string[] = [];
    const log = createLog({ write: (line) => lines.push(line), terminal: false });
    log.report(report);
    log.info('listening', { port: 500 });
    log.debug('not shown');
    const [first, second] = lines.map((line) => JSON.parse(line));
    expect(lines).toHaveLength(2);
    expect(first).toMatchObject({
      level: 'warn',
      connection: 'fabrikam/hq',
      what: 'failed',
      text: report.text,
      failure: report.failure,
    });
    expect(second).toMatchObject({ level: 'info', text: 'listening', port: 500 });
    expect(Object.keys(second)).toEqual(['level', 'time', 'port', 'text']);
    expect(new Date(second.time).toISOString()).toBe(second.time);
  });

  it('is words where one is asked for them, with the comparison below', () => {
    const lines: string[] = [];
    const log = createLog({ write: (line) => lines.push(line), terminal: false, format: 'words', level: 'debug' });
    log.report(report);
    log.debug('received', { octets: 100, from: '192.0.2.1:500' });
    const words = lines.map((line) => line.replace(/^\d\d:\d\d:\d\d/, 'TIME'));
    expect(words).toEqual([
      'TIME warn  fabrikam/hq no proposal in common\n  → add ecp256 to ike.proposals\n    ours    modp2048\n    theirs  ecp256\n',
      'TIME debug received octets=100 from=192.0.2.1:500\n',
    ]);
  });

  it('has colours on a terminal only', () => {
    const lines: string[] = [];
    createLog({ write: (line) => lines.push(line), terminal: true }).error('broken');
    expect(lines[0]).toContain('\u001b[31merror\u001b[0m');
  });

  it('never shows a secret', () => {
    const lines: string[] = [];
    for (const format of ['json', 'words'] as const) {
      createLog({ write: (line) => lines.push(line), format }).info('psk', {
        psk: Secret.fromText('hunter2'),
        deep: { psk: Secret.fromText('hunter2') },
      });
    }
    expect(lines.join('')).not.toContain('hunter2');
    expect(lines.join('').match(/<secret>/g)).toHaveLength(4);
  });
});

describe('signals', () => {
  let uninstall = (): void => {};
  afterEach(() => uninstall());

  it('mean stop, stop at once, and reload', async () => {
    const calls: string[] = [];
    const before = process.listenerCount('SIGHUP');
    uninstall = onSignals({
      stop: (signal) => calls.push(`stop ${signal}`),
      force: (signal) => calls.push(`force ${signal}`),
      reload: () => calls.push('reload'),
    });
    process.kill(process.pid, 'SIGHUP');
    await until(() => calls.length === 1);
    process.emit('SIGINT', 'SIGINT');
    process.emit('SIGTERM', 'SIGTERM');
    expect(calls).toEqual(['reload', 'stop SIGINT', 'force SIGTERM']);
    uninstall();
    expect(process.listenerCount('SIGHUP')).toBe(before);
  });
});

describe('clock and chance', () => {
  it('go on, and differ', () => {
    const times = Array.from({ length: 100 }, () => monotonicMillis());
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(systemRandom(32)).toHaveLength(32);
    expect(systemRandom(32)).not.toEqual(systemRandom(32));
    expect(systemRandom(0)).toHaveLength(0);
  });
});
