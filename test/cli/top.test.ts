import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createApi, serveApi } from '../../src/api/index.ts';
import { clip, fitted, Screen } from '../../src/cli/screen.ts';
import { childSa, FakeBackend, GATEWAY, ikeSa, worker } from '../api/fake-backend.ts';
import { run } from './world.ts';

const PROBLEM = {
  severity: 'error',
  tenant: 'contoso',
  connection: 'hq',
  problem: 'no proposal in common',
  advice: 'Give both ends one proposal alike.',
  lines: [],
} as const;

/** Counts ten packets of 1250 octets in, five of 250 out and three drops from each look to the next. */
class BusyBackend extends FakeBackend {
  looks = 0;
  override status = () => {
    this.looks += 1;
    return { ...this.gateway, drops: { noRoute: 3 * this.looks } };
  };
  override connections = () => {
    const [packetsIn, packetsOut] = [10 * this.looks, 5 * this.looks];
    const counters = { packetsIn, bytesIn: 1250 * packetsIn, packetsOut, bytesOut: 250 * packetsOut };
    this.replace('fabrikam', 'hq', { state: 'up', ikeSas: [ikeSa(1)], childSas: [{ ...childSa(1), ...counters }] });
    return this.list;
  };
}

/** Rates depend on how long the pauses really were. */
const withoutAmounts = (text: string): string => text.replace(/\b\d+(\.\d+)?( [kMG])?\b/g, '#').replace(/ +/g, ' ');

describe('top, piped', () => {
  test('a block an interval: the moment, the gateway, drops, then tenants, connections and SAs', async () => {
    const { exit, out, err } = await run('top --interval 0.1 --count 2', new BusyBackend());
    expect([exit, err]).toEqual([0, '']);
    const blocks = out.trimEnd().split('\n\n20');
    expect(blocks).toHaveLength(2);
    expect(blocks[0]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z\n/);
    expect(withoutAmounts(blocks[0]!).split('\n').slice(1)).toEqual([
      'gw1 ok up # h # m, bulkhead #.#',
      'packets # of # in use, at most #, memory # MB, crypto node',
      'drops noRoute #',
      '',
      'NAME STATE IN PKT/S IN BIT/S OUT PKT/S OUT BIT/S DROPS/S',
      'all tenants # # # # noRoute #',
      'fabrikam # # # #',
      ' hq up # # # #',
      ' {#} active # # # #',
      'contoso # # # #',
      ' branch down # # # #',
      ' hq down # # # #',
    ]);
  });

  test('workers each by itself, where there are some', async () => {
    const backend = new BusyBackend();
    backend.gateway = { ...GATEWAY, workers: [worker(0), worker(1, { state: 'lost', why: 'failed', engine: 'a, b' })] };
    const { exit, out } = await run('top --interval 0.1 --count 1', backend);
    expect(exit).toBe(0);
    const lines = withoutAmounts(out).split('\n');
    expect(lines.slice(lines.indexOf('') + 1, lines.indexOf('') + 5)).toEqual([
      'WORKER STATE IN PKT/S IN BIT/S OUT PKT/S OUT BIT/S PACKETS PEAK CRYPTO DROPS/S',
      'worker # running # # # # # of # # node',
      'worker # lost # # # # # of # # a, b',
      '',
    ]);
  });

  test('problems first', async () => {
    const backend = new BusyBackend();
    backend.gateway = { ...GATEWAY, state: 'degraded', problems: [PROBLEM] };
    const { exit, out } = await run('top --interval 0.1 --count 1', backend);
    expect(exit).toBe(0);
    expect(out.split('\n').slice(1, 5)).toEqual([
      '✗ contoso/hq: no proposal in common',
      '  → Give both ends one proposal alike.',
      '',
      'gw1  degraded  up 3 h 12 m, bulkhead 0.1.0',
    ]);
  });

  test.each([
    ['traffic', ['fabrikam', 'contoso']],
    ['drops', ['contoso', 'fabrikam']],
    ['name', ['contoso', 'fabrikam']],
  ])('--sort %s', async (order, names) => {
    const { out } = await run(`top --interval 0.1 --count 1 --sort ${order}`, new BusyBackend());
    expect([...out.matchAll(/^(fabrikam|contoso) /gm)].map((match) => match[1])).toEqual(names);
  });

  test('Ctrl-C is the way out: exit 0', async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 250);
    const { exit, out, err } = await run('top --interval 0.1', new BusyBackend(), { signal: interrupt.signal });
    expect([exit, err]).toEqual([0, '']);
    expect(out).toContain('all tenants');
  });
});

describe('top --json', () => {
  test('an envelope a line and interval', async () => {
    const { exit, out } = await run('top --interval 0.1 --count 3 --json', new BusyBackend(), { tty: true });
    expect(exit).toBe(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      const { schemaVersion, kind, items } = JSON.parse(line);
      expect([schemaVersion, kind, items.length]).toEqual([1, 'rates', 1]);
      const { seconds, childSas, dropsPerSecond } = items[0];
      const [{ in: received, out: sent }] = childSas;
      expect(received.packetsPerSecond * seconds).toBeCloseTo(10, 1);
      expect(received.bitsPerSecond * seconds).toBeCloseTo(100_000, -3);
      expect(sent.bitsPerSecond * seconds).toBeCloseTo(10_000, -3);
      expect(dropsPerSecond.noRoute * seconds).toBeCloseTo(3, 1);
    }
  });

  test('a gateway that goes away: exit 4, with a sentence and an envelope', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bh-top-'));
    const api = `unix:${join(folder, 'control.sock')}`;
    const server = await serveApi(createApi(new BusyBackend()).fetch, api);
    const running = run(`top --interval 0.2 --json --api ${api}`);
    setTimeout(() => void server.close(0), 300);
    const { exit, out, err } = await running;
    rmSync(folder, { recursive: true });
    expect(exit).toBe(4);
    // Between two questions, or in the middle of one.
    expect(err).toMatch(
      /^bulkhead: the gateway went away: (no gateway answers on .*|the gateway on .* cannot be asked: .*)\n {2}Its log says why/,
    );
    const kinds = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).kind as string);
    // How many rates come in that time is the machine's affair.
    expect(kinds).toEqual([...kinds.slice(1).map(() => 'rates'), 'error']);
  });

  test('no gateway at all: exit 4', async () => {
    const none = { env: { BULKHEAD_API: 'unix:/nonexistent/control.sock' } };
    const { exit, err } = await run('top', undefined, none);
    expect(exit).toBe(4);
    expect(err).toMatch(/^bulkhead: no gateway answers on \/nonexistent\/control\.sock\n/);
  });
});

describe('top on a terminal', () => {
  const ESCAPE = '\u001b';

  test('draws on the alternate screen and gives the terminal back, also after an error', async () => {
    for (const [line, backend] of [
      ['top --interval 0.1 --count 1', new BusyBackend()],
      ['top --interval 0.1 --count 2', failsAt(3)],
    ] as const) {
      const { out } = await run(line, backend, { tty: true });
      expect(out.startsWith(`${ESCAPE}[?1049h${ESCAPE}[?25l${ESCAPE}[?7l`)).toBe(true);
      expect(out.endsWith(`${ESCAPE}[?7h${ESCAPE}[?25h${ESCAPE}[?1049l`)).toBe(true);
      expect(out.split(`${ESCAPE}[H`)).toHaveLength(3);
      // Nothing is cleared before it is drawn again: that would flicker.
      expect(out).not.toContain(`${ESCAPE}[2J`);
    }
  });

  test('not where the terminal is dumb', async () => {
    const options = { tty: true, env: { TERM: 'dumb' } };
    expect((await run('top --interval 0.1 --count 1', new BusyBackend(), options)).out).not.toContain(ESCAPE);
  });

  test('a window that changes is drawn anew at once', () => {
    let [out, changed] = ['', () => {}];
    const output = {
      columns: 5,
      rows: 2,
      write: (text: string) => (out += text),
      on: (_event: 'resize', listener: () => void) => (changed = listener),
      off: () => (changed = () => {}),
    };
    const screen = new Screen(output);
    screen.show(['one two', 'two', 'three']);
    expect(out.split(`${ESCAPE}[H`).at(-1)).toBe(`one t${ESCAPE}[K\r\n… 2 m${ESCAPE}[K${ESCAPE}[J`);
    Object.assign(output, { columns: 80, rows: 24 });
    changed();
    expect(out.split(`${ESCAPE}[H`).at(-1)).toBe(
      `${['one two', 'two', 'three'].join(`${ESCAPE}[K\r\n`)}${ESCAPE}[K${ESCAPE}[J`,
    );
    screen.close();
    const closed = out;
    changed();
    expect(out).toBe(closed);
  });

  test.each([
    ['short', 'short'],
    ['just so.', 'just so.'],
    ['too long a line', 'too long'],
    [`${ESCAPE}[1mbold${ESCAPE}[0m and more`, `${ESCAPE}[1mbold${ESCAPE}[0m and${ESCAPE}[0m`],
    [`${ESCAPE}[1mfar too long${ESCAPE}[0m`, `${ESCAPE}[1mfar too ${ESCAPE}[0m`],
  ])('%j in eight columns', (line, shown) => expect(clip(line, 8)).toBe(shown));

  test('as many lines as there are rows, the last one says how many more', () => {
    const lines = ['1', '2', '3', '4'];
    expect(fitted(lines, 80, 4)).toEqual(lines);
    expect(fitted(lines, 80, 3)).toEqual(['1', '2', '… 2 more lines']);
    expect(fitted(lines, 80, 1)).toEqual(['… 4 more lines']);
  });
});

/** A gateway whose answer to the `n`th look is an error. */
function failsAt(n: number): FakeBackend {
  const backend = new BusyBackend();
  const status = backend.status;
  backend.status = () => {
    const answer = status();
    if (backend.looks === n) throw new Error('no status');
    return answer;
  };
  return backend;
}

describe('usage', () => {
  test.each([
    ['top --interval 0', /A number from 0.1 to 3600 is needed/],
    ['top --count 0', /A whole number from 1 to 1000000000 is needed/],
    ['top --sort size', /One of traffic, packets, in, out, drops, name is needed/],
  ])('%s: exit 2', async (line, words) => {
    const { exit, out, err } = await run(line, new FakeBackend());
    expect([exit, out]).toEqual([2, '']);
    expect(err).toMatch(words);
  });
});
