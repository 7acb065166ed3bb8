import { describe, expect, test } from 'vitest';
import { Ledger, median, SUBJECTS } from '../../src/cli/bench/ledger.ts';
import { Progress } from '../../src/cli/bench/progress.ts';
import { type BenchResult, benchLines } from '../../src/cli/bench/text.ts';
import { paletteFor } from '../../src/cli/text.ts';
import { run } from './world.ts';

const io = (stderr: { write(text: string): unknown; isTTY?: boolean; columns?: number }) => ({
  stdout: { write: () => true },
  stderr,
  env: {},
  signal: new AbortController().signal,
});

describe('the ledger', () => {
  test.each([
    [[3], 3],
    [[5, 1, 3], 3],
    [[4, 1, 3, 2], 2.5],
  ])('median of %j: %d', (values, middle) => expect(median(values)).toBe(middle));

  test('gives medians, ratios, and processor time of the tunnel, in the order of measuring', () => {
    const ledger = new Ledger();
    for (const [tunnel, bare, nanos] of [
      [100, 1000, 4],
      [300, 1200, 6],
      [200, 1100, 5],
    ] as const) {
      ledger.enter(SUBJECTS.tcpBack, 'tunnel', tunnel, { value: nanos, unit: 'ns/octet' });
      ledger.enter(SUBJECTS.ike, 'tunnel', tunnel);
      ledger.enter(SUBJECTS.tcpBack, 'bare', bare);
    }
    expect(ledger.measurements()).toEqual([
      {
        name: 'tcp-b-a',
        unit: 'bit/s',
        tunnel: 200,
        bare: 1100,
        ratio: 0.1818,
        processor: { value: 5, unit: 'ns/octet' },
      },
      { name: 'ike', unit: 'handshakes/s', tunnel: 200, bare: null, ratio: null, processor: null },
    ]);
  });
});

describe('the tables', () => {
  const RESULT: BenchResult = {
    way: 'namespaces',
    heading: 'two gateways somewhere',
    missing: [],
    suite: 'aes128gcm16',
    rounds: 2,
    seconds: 1,
    machine: { cores: 2, model: 'A Processor', kernel: 'Linux 6.1', node: '20.20.2', version: '0.1.0' },
    measurements: [
      {
        name: 'tcp-a-b',
        unit: 'bit/s',
        tunnel: 1.932e9,
        bare: 2.81e10,
        ratio: 0.0688,
        processor: { value: 4.5, unit: 'ns/octet' },
      },
      {
        name: 'udp-small',
        unit: 'datagrams/s',
        tunnel: 106_000,
        bare: 474_000,
        ratio: 0.2236,
        processor: { value: 9.84, unit: 'µs/datagram' },
      },
      { name: 'round-trip', unit: 'µs', tunnel: 120.4, bare: 10.42, ratio: 11.56, processor: null },
      { name: 'ike', unit: 'handshakes/s', tunnel: 95, bare: null, ratio: null, processor: null },
    ],
    engines: [{ engine: 'node', octets: 1400, nanosAlone: 3506, nanosSeal: 3443, nanosOpen: 3158 }],
    absentEngines: [{ engine: 'ipsec-mb', why: 'libIPSec_MB.so.1 is not installed' }],
  };
  const lines = (change: Partial<BenchResult> = {}): string[] =>
    benchLines({ ...RESULT, ...change }, paletteFor(io({ write: () => true })));

  test('what was measured how, the numbers, the engines, and how to read it', () => {
    expect(lines()).toEqual([
      'Two gateways somewhere.',
      '2 × A Processor, Linux 6.1, Node 20.20.2, bulkhead 0.1.0',
      'ESP with aes128gcm16, in UDP; medians of 2 rounds of 1 s',
      '',
      'MEASURED                         TUNNEL         BARE  RATIO  CPU OF BOTH GATEWAYS',
      'TCP a → b, one stream       1.93 Gbit/s  28.1 Gbit/s  0.069         4.50 ns/octet',
      'datagrams of 64 octets          106 k/s      474 k/s   0.22      9.84 µs/datagram',
      'there and back, 64 octets        120 µs      10.4 µs  11.56',
      'IKE handshakes, one by one         95/s',
      '',
      'CRYPTO ENGINE  OCTETS  SEAL ALONE     SEAL     OPEN         SEAL',
      'node             1400     3506 ns  3443 ns  3158 ns  3.25 Gbit/s',
      'not measured: ipsec-mb: libIPSec_MB.so.1 is not installed',
      '',
      'Read the ratios: the bare way never leaves memory, as no wire can, and all that runs here shares the cores.',
    ]);
  });

  test('the other way says what is missing; without processor time there is no column of it', () => {
    const change = {
      missing: ['network namespaces need root'],
      measurements: RESULT.measurements.slice(2),
      engines: [],
    };
    expect(lines({ ...change, absentEngines: [], rounds: 1 }).slice(1, 6)).toEqual([
      '! network namespaces need root',
      '2 × A Processor, Linux 6.1, Node 20.20.2, bulkhead 0.1.0',
      'ESP with aes128gcm16, in UDP; one round of 1 s a measurement',
      '',
      'MEASURED                    TUNNEL     BARE  RATIO',
    ]);
  });

  test('engines alone', () => {
    expect(lines({ way: null, heading: '', measurements: [] })[1]).toBe('ESP with aes128gcm16');
  });
});

describe('progress', () => {
  test('a line a step where nobody watches', () => {
    let err = '';
    const progress = new Progress(io({ write: (text) => (err += text) }));
    progress.step('one');
    progress.step('two');
    progress.end();
    expect(err).toBe('one\ntwo\n');
  });

  test('on a terminal one line, that fits and is gone in the end', () => {
    let err = '';
    const progress = new Progress(io({ write: (text) => (err += text), isTTY: true, columns: 8 }));
    progress.step('a long step');
    progress.step('two');
    progress.end();
    expect(err).toBe('\ra long \u001b[K\rtwo\u001b[K\r\u001b[K');
  });
});

describe('bench over 127.0.0.1', () => {
  test('measures datagrams, round trips and handshakes', async () => {
    const { exit, out, err } = await run('bench --loopback --seconds 0.1 --rounds 2 --only udp,ping,ike --json');
    expect(exit).toBe(0);
    const { schemaVersion, kind, items } = JSON.parse(out);
    expect([schemaVersion, kind, items.length]).toEqual([1, 'bench', 1]);
    const [result] = items as [BenchResult];
    expect(result).toMatchObject({ way: 'loopback', suite: 'aes128gcm16', rounds: 2, seconds: 0.1, engines: [] });
    expect(result.heading).toMatch(/^two gateways in this process, UDP over 127\.0\.0\.1 by /);
    expect(result.missing).toEqual(['without TCP, TUN devices and the processor time of the gateways alone']);
    const names = ['udp-large', 'udp-small', 'round-trip', 'ike'];
    expect(result.measurements.map(({ name }) => name)).toEqual(names);
    for (const { name, tunnel, bare, ratio } of result.measurements) {
      expect(tunnel).toBeGreaterThan(0);
      if (name === 'ike') expect([bare, ratio]).toEqual([null, null]);
      else expect(ratio).toBeCloseTo(tunnel / bare!, 1);
    }
    expect(err.split('\n').slice(0, 2)).toEqual([
      'connecting two gateways',
      'round 1 of 2: datagrams of 1300 octets, through the tunnel',
    ]);
  });

  test('Ctrl-C: exit 1, and nothing goes on', async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 300);
    const begun = performance.now();
    const line = 'bench --loopback --seconds 30 --only udp';
    const { exit, out, err } = await run(line, undefined, { signal: interrupt.signal });
    expect([exit, out]).toEqual([1, '']);
    expect(err).toMatch(/bulkhead: interrupted\n$/);
    expect(performance.now() - begun).toBeLessThan(5000);
  });
});

describe('bench of crypto engines', () => {
  test('every engine with right answers, for each length', async () => {
    const { exit, out } = await run('bench --seconds 0.05 --only crypto --suite aes256-sha256 --json');
    expect(exit).toBe(0);
    const [result] = JSON.parse(out).items as [BenchResult];
    expect(result).toMatchObject({ way: null, heading: '', measurements: [], suite: 'aes256-sha256' });
    const names = new Set(result.engines.map(({ engine }) => engine));
    expect([...names]).toEqual(expect.arrayContaining(['node', 'noble']));
    expect(result.engines).toHaveLength(2 * names.size);
    for (const { octets, nanosAlone, nanosSeal } of result.engines) {
      expect([64, 1400]).toContain(octets);
      expect(Math.min(nanosAlone, nanosSeal)).toBeGreaterThan(0);
    }
    for (const { engine, why } of result.absentEngines)
      expect([names.has(engine), why]).toEqual([false, expect.any(String)]);
  });
});

describe('usage', () => {
  test.each([
    ['bench --suite aes128gcm61', /--suite: there is no suite aes128gcm61\n {2}Did you mean aes128gcm16\?/],
    ['bench --suite 3des-sha1', /there is no suite 3des-sha1\n {2}Such as/],
    ['bench --only tcp,tls', /One or more of tcp, udp, ping, ike, crypto are needed, with commas between them/],
    ['bench --seconds 0', /A number from 0.05 to 60 is needed/],
    ['bench --rounds none', /A whole number from 1 to 100 is needed/],
  ])('%s: exit 2', async (line, words) => {
    const { exit, out, err } = await run(line);
    expect([exit, out]).toEqual([2, '']);
    expect(err).toMatch(words);
  });

  test('what the loopback way cannot measure: exit 1', async () => {
    expect(await run('bench --loopback --only tcp,crypto')).toEqual({
      exit: 1,
      out: '',
      err: 'bulkhead: tcp cannot be measured: not with --loopback\n  See: bulkhead doctor\n',
    });
  });

  test('the process that makes the traffic is in no list of commands', async () => {
    expect((await run('--help')).out).not.toContain('bench-traffic');
  });
});
