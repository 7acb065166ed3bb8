/** What native engines keep outside the collector's sight: made once, freed once; and what is so where they cannot be. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { chooseEngine, NO_ESN, nobleEngine, nodeEngine, SUITES } from '../../src/crypto/index.ts';
import { engineCandidates } from '../../src/runtime/engines/index.ts';
import { bindIpsecMb, loadIpsecMb, RING_JOBS } from '../../src/runtime/engines/ipsec-mb-library.ts';
import { opensslEngine } from '../../src/runtime/engines/openssl.ts';
import { loadOpenSsl, type OpenSsl } from '../../src/runtime/engines/openssl-library.ts';
import { type Koffi, loadKoffi } from '../../src/runtime/koffi.ts';
import { frame, keysOf } from '../crypto/suite.ts';

const loaded = loadOpenSsl();

if (!loaded.ok) process.stderr.write(`skipped: openssl: ${loaded.why}\n`);

describe.skipIf(!loaded.ok)('contexts of OpenSSL', () => {
  const suites = ['aes128gcm16', 'aes256ccm12', 'aes128-sha256', 'aes192ctr-aesxcbc', 'null-aescmac', 'null-sha1'].map(
    (word) => SUITES.find((suite) => suite.word === word)!,
  );

  test.each(suites)('$word: all are freed with the protection, once', (suite) => {
    const { openssl, alive } = counted();
    const engine = opensslEngine(openssl);
    const keys = keysOf(suite, 1);
    for (let i = 0; i < 10; i++) {
      const protection = engine.protection(suite.encryption, suite.integrity, keys);
      const f = frame(suite, 8, 48, i);
      protection.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
      expect(protection.open(f.buf, f.from, f.iv, f.end, NO_ESN)).toBe(true);
      if (suite.word !== 'null-aescmac') expect(alive.size).toBeGreaterThan(0);
      protection.dispose?.();
      protection.dispose?.();
      expect(alive.size).toBe(0);
    }
  });

  test('a direction that is not used makes none', () => {
    const { openssl, alive } = counted();
    const suite = suites[0]!;
    const protection = opensslEngine(openssl).protection(suite.encryption, suite.integrity, keysOf(suite, 1));
    expect(alive.size).toBe(0);
    const f = frame(suite, 8, 48, 1);
    for (let i = 0; i < 3; i++) protection.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
    expect(alive.size).toBe(1);
    protection.dispose?.();
  });

  test('a protection nobody disposed of is freed when it is collected', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const { openssl, alive } = counted();
    const engine = opensslEngine(openssl);
    for (const suite of suites) use(engine, suite);
    expect(alive.size).toBeGreaterThan(suites.length - 1);
    for (let i = 0; i < 100 && alive.size > 0; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(alive.size).toBe(0);
  });
});

describe.skipIf(!loadIpsecMb().ok)('engines over one ipsec-mb', () => {
  test("two of one thread share its ring of jobs, and neither takes the other's jobs for its own", () => {
    const [one, other] = [engineCandidates()[0]!, engineCandidates()[0]!];
    if ('why' in one || 'why' in other) throw new Error('it was there a moment ago');
    for (const suite of SUITES.filter(({ encryption, integrity }) => one.supports(encryption, integrity))) {
      const keys = keysOf(suite, 1);
      const sealing = one.protection(suite.encryption, suite.integrity, keys);
      const opening = other.protection(suite.encryption, suite.integrity, keys);
      // Around the ring and back, so that each finds jobs that the other one wrote last.
      for (let i = 0; i < 2 * RING_JOBS + 1; i++) {
        const f = frame(suite, 8, 48, i);
        sealing.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
        expect(opening.open(f.buf, f.from, f.iv, f.end, NO_ESN)).toBe(true);
      }
    }
  });
});

/** Apart, so that nothing of it is left on the stack. */
function use(engine: ReturnType<typeof opensslEngine>, suite: (typeof SUITES)[number]): void {
  const protection = engine.protection(suite.encryption, suite.integrity, keysOf(suite, 1));
  const f = frame(suite, 8, 48, 1);
  protection.seal(f.buf, f.from, f.iv, f.end, NO_ESN);
}

/** Node's OpenSSL, watched: a context freed twice, or one it did not make, throws. */
function counted(): { readonly openssl: OpenSsl; readonly alive: ReadonlySet<number> } {
  if (!loaded.ok) throw new Error(loaded.why);
  const real = loaded.openssl;
  const alive = new Set<number>();
  const made = (context: number): number => {
    alive.add(context);
    return context;
  };
  const free = (context: number): void => {
    if (!alive.delete(context)) throw new Error('freed twice');
  };
  return {
    alive,
    openssl: {
      ...real,
      newCipher: () => made(real.newCipher()),
      newHmac: () => made(real.newHmac()),
      freeCipher(context) {
        free(context);
        real.freeCipher(context);
      },
      freeHmac(context) {
        free(context);
        real.freeHmac(context);
      },
    },
  };
}

const installed = loadIpsecMb();
if (!installed.ok) process.stderr.write(`skipped: ipsec-mb: ${installed.why}\n`);

describe.skipIf(!installed.ok)('the gate before ipsec-mb', () => {
  const ffi = loadKoffi();
  const koffi = ffi.ok ? ffi.koffi : undefined;

  /** The library with some of its functions, or the addresses of its symbols, changed. */
  const altered = (functions: Record<string, () => unknown>, symbolOf = (name: string) => name) => ({
    address: koffi!.address,
    load: (path: string | null) => {
      const library = koffi!.load(path);
      return {
        ...library,
        func: (...args: unknown[]) =>
          functions[args[0] as string] ?? (library.func as (...a: unknown[]) => unknown)(...args),
        symbol: (name: string) => library.symbol(symbolOf(name)),
        unload: () => {},
      } as ReturnType<Koffi['load']>;
    },
  });

  test('opens for version 1.3', () => {
    expect(bindIpsecMb(koffi!).version).toMatch(/^1\.3\./);
  });

  test('another version is not used, however alike', () => {
    const newer = altered({ imb_get_version: () => 0x010400, imb_get_version_str: () => '1.4.0' });
    expect(() => bindIpsecMb(newer)).toThrow('this is version 1.4.0; known is 1.3');
  });

  test('a function that does not stand where version 1.3 has it', () => {
    const moved = altered({}, (name) => name.replace('aes_gcm_pre_192', 'aes_gcm_pre_256'));
    expect(() => bindIpsecMb(moved)).toThrow('aes_gcm_pre_192 is not where version 1.3 has it');
  });

  test('a ring that does not give its jobs', () => {
    const full = Object.fromEntries(
      ['sse_t1', 'sse_t2', 'sse_t3', 'avx_t1', 'avx_t2', 'avx2_t1', 'avx2_t2', 'avx512_t1', 'avx512_t2'].map((t) => [
        `get_next_burst_${t}`,
        () => 0,
      ]),
    );
    expect(() => bindIpsecMb(altered(full))).toThrow('it has no jobs');
    const elsewhere = Object.fromEntries(Object.keys(full).map((name) => [name, () => 2]));
    expect(() => bindIpsecMb(altered(elsewhere))).toThrow('its jobs lie elsewhere');
  });
});

describe('where native code cannot be called', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });

  test('both native engines say why, and node serves', async () => {
    vi.resetModules();
    vi.stubEnv('BULKHEAD_NO_KOFFI', '1');
    const { engineCandidates } = await import('../../src/runtime/engines/index.ts');
    const why = 'koffi is switched off (BULKHEAD_NO_KOFFI=1)';
    const [ipsecMb, openssl, ...rest] = engineCandidates();
    expect([ipsecMb, openssl]).toEqual([
      { name: 'ipsec-mb', why },
      { name: 'openssl', why },
    ]);
    expect(rest.map(({ name }) => name)).toEqual(['node', 'noble']);
    const { engine, tried } = chooseEngine([ipsecMb!, openssl!, nodeEngine, nobleEngine]);
    expect(engine.name).toBe('node');
    expect(tried[0]).toEqual({ name: 'ipsec-mb', ok: false, why, suites: 0, serves: 0 });
  });
});

describe('BULKHEAD_WITHOUT_ENGINES', () => {
  const why = 'switched off (BULKHEAD_WITHOUT_ENGINES)';
  const absent = (): readonly string[] =>
    engineCandidates().flatMap((c) => ('why' in c && c.why === why ? c.name : []));

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test.each([
    ['', []],
    ['ipsec-mb', ['ipsec-mb']],
    ['ipsec-mb, openssl', ['ipsec-mb', 'openssl']],
    ['node,openssl,ipsec-mb', ['ipsec-mb', 'openssl', 'node']],
    ['aesni', []],
  ])('%j: those it names are absent', (value, names) => {
    vi.stubEnv('BULKHEAD_WITHOUT_ENGINES', value);
    expect(absent()).toEqual(names);
    expect(engineCandidates().map(({ name }) => name)).toEqual(['ipsec-mb', 'openssl', 'node', 'noble']);
  });

  test('the next engine serves in its place', () => {
    vi.stubEnv('BULKHEAD_WITHOUT_ENGINES', 'ipsec-mb,openssl');
    const { engine, tried } = chooseEngine(engineCandidates());
    expect(engine.name).toBe('node');
    expect(tried[0]).toEqual({ name: 'ipsec-mb', ok: false, why, suites: 0, serves: 0 });
  });

  test('one engine always stays', () => {
    vi.stubEnv('BULKHEAD_WITHOUT_ENGINES', 'ipsec-mb,openssl,node,noble');
    expect(chooseEngine(engineCandidates()).engine.name).toBe('noble');
  });
});
