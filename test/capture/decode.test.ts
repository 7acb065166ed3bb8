import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodeCommand } from '../../src/cli/decode.ts';
import { espTableOf, ikeTableOf, sessionNamed } from './sessions.ts';

const session = sessionNamed('psk-aesgcm256-ecp256');
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'bulkhead-decode-'));
  writeFileSync(join(directory, 'ikev2_decryption_table'), ikeTableOf(session));
  writeFileSync(join(directory, 'esp_sa'), espTableOf(session));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  process.exitCode = 0;
});

type WriteCallback = (error?: Error) => void;

/** Runs `bulkhead decode …` in this process; `accept` says how often standard output takes a write. */
async function run(args: readonly string[], accept = Number.POSITIVE_INFINITY) {
  let out = '';
  let err = '';
  let writes = 0;
  vi.spyOn(process.stdout, 'write').mockImplementation(((text: string, done?: WriteCallback) => {
    writes += 1;
    const broken = writes > accept;
    if (!broken) out += text;
    queueMicrotask(() => done?.(broken ? Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }) : undefined));
    return !broken;
  }) as typeof process.stdout.write);
  vi.spyOn(process.stderr, 'write').mockImplementation(((text: string) => {
    err += text;
    return true;
  }) as typeof process.stderr.write);
  let code = 0;
  try {
    await decodeCommand()
      .exitOverride()
      .parseAsync([...args], { from: 'user' });
    code = Number(process.exitCode ?? 0);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    code = error.exitCode;
  } finally {
    vi.restoreAllMocks();
  }
  return {
    code,
    out,
    err,
    objects: () =>
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  };
}

describe('bulkhead decode FILE', () => {
  it('prints the tree of every frame and counts', async () => {
    const { code, out, err } = await run([session.pcap, '--keys', directory]);
    expect(code).toBe(0);
    expect(out.match(/^Frame \d+:/gm)).toHaveLength(34);
    expect(out).toContain('Payload: Identification - Initiator (35)\n');
    expect(err).toBe('34 frames, 16 IKE messages, 18 ESP packets; 32 decrypted, 0 failed\n');
  });

  it('without keys says what is missing', async () => {
    const { code, err } = await run([session.pcap]);
    expect([code, err]).toEqual([
      0,
      '34 frames, 16 IKE messages, 18 ESP packets; 0 decrypted, 0 failed, 32 without a key (--keys)\n',
    ]);
  });

  it('--json: one object a frame', async () => {
    const { objects } = await run([session.pcap, '--keys', directory, '--json']);
    expect(objects()).toHaveLength(34);
    expect(objects()[2]).toMatchObject({
      frame: 3,
      source: '192.0.2.1',
      sourcePort: 4500,
      exchange: 'IKE_AUTH',
      messageId: 1,
      flags: { initiator: true, response: false },
      integrity: 'ok',
      inner: expect.arrayContaining([expect.objectContaining({ payload: 'IDI', identity: 'a.lab' })]),
    });
    expect(objects()[4]).toMatchObject({
      spi: '0x64528648',
      integrity: 'ok',
      inner: { source: '10.1.0.1', destination: '10.2.0.1', octets: session.esp[0]!.inner },
    });
  });

  it('--frame and --filter choose', async () => {
    const one = await run([session.pcap, '--json', '--frame', '5']);
    expect(one.objects().map((o) => o.frame)).toEqual([5]);
    const ike = await run([session.pcap, '--json', '--filter', 'ike']);
    expect(ike.objects()).toHaveLength(16);
    const esp = await run([session.pcap, '--json', '--filter', 'esp']);
    expect(esp.objects()).toHaveLength(18);
    const none = await run([session.pcap, '--frame', '99']);
    expect([none.code, none.err]).toEqual([1, expect.stringContaining('has 34 frames: there is no frame 99\n')]);
  });

  it('a damaged file: what came before, then the offset, exit code 1', async () => {
    const cut = join(directory, 'cut.pcap');
    const octets = readFileSync(session.pcap);
    writeFileSync(cut, octets.subarray(0, octets.length - 7));
    const { code, err, objects } = await run([cut, '--json']);
    expect(code).toBe(1);
    expect(objects()).toHaveLength(34);
    expect(objects()[33]).toEqual({
      schemaVersion: 1,
      kind: 'error',
      error: { code: 'damaged', problem: err.split('\n')[0], advice: '' },
    });
    expect(err).toMatch(
      /cut\.pcap: damaged at offset \d+: needs \d+ octets, the file has \d+ left \(pcap\.record\.data\)\n/,
    );
  });

  it('sentences for what cannot be read', async () => {
    expect(await run([join(directory, 'absent.pcap')])).toMatchObject({
      code: 1,
      err: `cannot read ${join(directory, 'absent.pcap')}: no such file\n`,
    });
    expect(await run([directory])).toMatchObject({ code: 1, err: `cannot read ${directory}: it is a directory\n` });
    expect(await run([session.pcap, '--keys', '/nonexistent'])).toMatchObject({
      code: 1,
      err: '/nonexistent has neither ikev2_decryption_table nor esp_sa\n',
    });
    writeFileSync(join(directory, 'x'), 'no capture');
    expect((await run([join(directory, 'x')])).err).toContain('damaged at offset 0: neither a pcap nor a pcapng file');
  });

  it('--json: an error is a line of its own', async () => {
    const absent = join(directory, 'absent.pcap');
    const { code, objects } = await run([absent, '--json']);
    expect([code, objects()]).toEqual([
      1,
      [
        {
          schemaVersion: 1,
          kind: 'error',
          error: { code: 'file', problem: `cannot read ${absent}: no such file`, advice: '' },
        },
      ],
    ]);
    expect((await run([session.pcap, '--json', '--frame', '99'])).objects()).toEqual([
      expect.objectContaining({ error: expect.objectContaining({ code: 'not-found' }) }),
    ]);
  });

  it('the environment is the twin of every flag but --hex; the command line wins', async () => {
    const twins = { KEYS: directory, JSON: '1', FILTER: 'esp', PORT: '4501,4502', HEX: 'zz' };
    for (const [name, value] of Object.entries(twins)) vi.stubEnv(`BULKHEAD_${name}`, value);
    const { code, objects } = await run([session.pcap]);
    expect([code, objects().length, objects()[0].integrity]).toEqual([0, 18, 'ok']);
    expect((await run([session.pcap, '--filter', 'ike'])).objects()).toHaveLength(16);
    vi.stubEnv('BULKHEAD_JSON', '0');
    vi.stubEnv('BULKHEAD_FRAME', '5');
    expect((await run([session.pcap])).out).toMatch(/^Frame 5:/);
    vi.stubEnv('BULKHEAD_FRAME', 'x');
    expect((await run([session.pcap])).code).toBe(2);
  });

  it('--port: repeated, or several with commas', async () => {
    for (const ports of [
      ['--port', '4501', '--port', '4502'],
      ['--port', '4501,4502'],
    ])
      expect((await run([session.pcap, '--json', ...ports])).code).toBe(0);
  });

  it('a bad line of a table is reported and the others are used', async () => {
    writeFileSync(join(directory, 'esp_sa'), `"IPv4","1.1.1.1"\n${espTableOf(session)}`);
    const { code, err } = await run([session.pcap, '--keys', directory]);
    expect(code).toBe(0);
    expect(err).toContain(`${join(directory, 'esp_sa')}:1: 2 fields, 8 or 10 are needed; the line is left out\n`);
    expect(err).toContain('32 decrypted, 0 failed\n');
  });

  it('a reader that goes away is no error', async () => {
    const { code, err } = await run([session.pcap, '--keys', directory, '--json'], 0);
    expect([code, err]).toEqual([0, '']);
  });

  it('usage errors have exit code 2', async () => {
    expect((await run([])).code).toBe(2);
    expect((await run([session.pcap, '--hex', '00'])).code).toBe(2);
  });
});

describe('bulkhead decode --hex', () => {
  const raw = session.messages[2]!.raw;

  it.each([
    ['as it is', raw],
    ['behind the non-ESP marker', `00000000${raw}`],
    ['with separators', raw.replace(/../g, '$& ').toUpperCase()],
    ['with 0x', `0x${raw}`],
  ])('a message %s', async (_, text) => {
    const { code, objects } = await run(['--hex', text, '--keys', directory, '--json']);
    expect(code).toBe(0);
    expect(objects()[0]).toMatchObject({ exchange: 'IKE_AUTH', integrity: 'ok', inner: expect.any(Array) });
  });

  it('an ESP packet', async () => {
    const { objects } = await run(['--hex', session.esp[0]!.raw, '--keys', directory, '--json']);
    expect(objects()[0]).toMatchObject({ protocol: 'esp', integrity: 'ok' });
  });

  it('a malformed message is printed with field and offset, exit code 1', async () => {
    const { code, out } = await run(['--hex', `00000000${raw.slice(0, 100)}`]);
    expect(code).toBe(1);
    expect(out).toMatch(/malformed IKE: header\.length @24: /);
  });

  it('what is not hexadecimal', async () => {
    const problem = 'the message is not hexadecimal: an even number of digits, spaces and colons allowed';
    expect(await run(['--hex', 'zz'])).toMatchObject({ code: 2, out: '', err: `${problem}\n` });
    const { code, objects } = await run(['--hex', 'zz', '--json']);
    expect([code, objects()]).toEqual([
      2,
      [{ schemaVersion: 1, kind: 'error', error: { code: 'usage', problem, advice: '' } }],
    ]);
  });

  it('the example of --help is a whole message', async () => {
    const { out } = await run(['--help']);
    const example = /bulkhead decode --hex (\S+)/.exec(out)![1]!;
    const { code, objects } = await run(['--hex', example, '--json']);
    expect(code).toBe(0);
    expect(objects()).toEqual([expect.objectContaining({ exchange: 'IKE_SA_INIT' })]);
    expect((await run(['--hex', example])).out).toContain('NO_PROPOSAL_CHOSEN');
  });
});
