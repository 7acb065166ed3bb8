import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Dissector, KeyRing, readCapture } from '../../src/capture/index.ts';
import { type LabFlags, lab } from '../../src/cli/lab.ts';
import { main } from '../../src/cli/main.ts';
import { SCENARIO_NAMES, type ScenarioResult } from '../../src/lab/index.ts';
import { requirePeers } from '../support/peers.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bulkhead-lab-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

interface Terminal {
  out: string;
  err: string;
  readonly exit: Promise<number>;
  readonly interrupt: () => void;
}

function start(flags: LabFlags, tty = false): Terminal {
  const interrupt = new AbortController();
  const terminal = { out: '', err: '', interrupt: () => interrupt.abort() };
  const exit = lab(flags, {
    stdout: { write: (text) => (terminal.out += text), isTTY: tty },
    stderr: { write: (text) => (terminal.err += text), isTTY: tty },
    env: { XDG_RUNTIME_DIR: folder, NO_COLOR: '1' },
    signal: interrupt.signal,
  });
  return Object.assign(terminal, { exit });
}

/** One command of the command line against the socket. */
async function ask(line: string, api: string) {
  let [out, err] = ['', ''];
  const words = line.match(/'[^']*'|\S+/g)!.map((word) => word.replaceAll("'", ''));
  const exit = await main([...words, '--api', api], {
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    env: {},
    signal: new AbortController().signal,
  });
  return { exit, out, err };
}

async function until(true_: () => boolean): Promise<void> {
  while (!true_()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('bulkhead lab', () => {
  it.each(SCENARIO_NAMES)('%s: prints tunnels, traffic and what they prove, and ends with 0', async (scenario) => {
    const terminal = start({ once: true, scenario });
    expect(await terminal.exit).toBe(0);
    expect(terminal.err).toBe('');
    await expect(terminal.out).toMatchFileSnapshot(`golden/lab-${scenario}.txt`);
  });

  it('without a scenario it is hybrid', async () => {
    const terminal = start({ once: true });
    expect(await terminal.exit).toBe(0);
    await expect(terminal.out).toMatchFileSnapshot('golden/lab-hybrid.txt');
  });

  it('ends with 1 and names what is not as it should be', async () => {
    const terminal = start({ scenario: 'vpn', wrongSecret: 'contoso' });
    expect(await terminal.exit).toBe(1);
    expect(terminal.out).toContain('✗ tunnels: contoso/site is down: ');
    expect(terminal.out).toContain('✗ rekeys: contoso: the IKE SA was not rekeyed');
    expect(terminal.out).not.toContain('✗ woodgrove');
    expect(terminal.err).toBe('Not everything is as it should be.\n');
  });

  it('--json: one envelope with the whole result', async () => {
    const terminal = start({ json: true });
    expect(await terminal.exit).toBe(0);
    const envelope = JSON.parse(terminal.out) as { schemaVersion: number; kind: string; items: ScenarioResult[] };
    expect([envelope.schemaVersion, envelope.kind, envelope.items.length]).toEqual([1, 'lab', 1]);
    const [result] = envelope.items;
    expect(Object.keys(result!)).toEqual([
      ...['scenario', 'title', 'tunnels', 'exchanges', 'outside', 'uninvited', 'overlap', 'mtu', 'rekeys'],
      ...['isolation', 'stranger', 'explanations', 'checks', 'problems'],
    ]);
    expect(Object.keys(result!.exchanges[0]!)).toEqual([
      ...[
        'what',
        'way',
        'tenant',
        'from',
        'to',
        'size',
        'sent',
        'answered',
        'lostOutside',
        'leastMs',
        'meanMs',
        'mostMs',
      ],
    ]);
    expect(terminal.out).not.toContain('secret');
  });

  it('--json says so, too, where it cannot begin', async () => {
    const terminal = start({ json: true, pcap: join(folder, 'none', 'lab.pcap') });
    expect(await terminal.exit).toBe(1);
    const problem = `--pcap: ${join(folder, 'none', 'lab.pcap')} cannot be written: no such file or directory (ENOENT)`;
    expect(JSON.parse(terminal.out)).toMatchObject({ kind: 'error', error: { code: 'system', problem } });
  });

  it('--json: seconds have whole milliseconds', async () => {
    const terminal = start({ json: true, scenario: 'vpn', wrongSecret: 'contoso' });
    expect(await terminal.exit).toBe(1);
    const { tunnels } = (JSON.parse(terminal.out) as { items: [ScenarioResult] }).items[0];
    expect(JSON.stringify(tunnels[0]!.lastFailure!.secondsAgo)).toMatch(/^\d+(\.\d{1,3})?$/);
  });

  it('--loss 100: what is not there is a dash', async () => {
    const terminal = start({ once: true, scenario: 'vpn', loss: 100 });
    expect(await terminal.exit).toBe(1);
    const table = /TUNNEL[\s\S]*?\n\n/.exec(terminal.out)![0];
    expect(table.match(/^(contoso|woodgrove)\/site .* - +-$/gm)?.length).toBe(2);
  });

  it('keys in a folder of its own making go with it, a given folder stays', async () => {
    vi.stubEnv('TMPDIR', folder);
    const made = (): string[] => readdirSync(folder).filter((name) => name.startsWith('bulkhead-lab-keys-'));
    const own = start({}, true);
    await until(() => own.out.includes('Ctrl-C'));
    const api = `unix:${join(folder, 'bulkhead-lab.sock')}`;
    const first = await ask('keys on', api);
    expect(made().map((name) => `${join(folder, name)}\n`)).toEqual([first.out]);
    expect((await ask('keys off', api)).exit).toBe(0);
    expect((await ask('keys on', api)).out).toBe(first.out);
    own.interrupt();
    expect([await own.exit, made()]).toEqual([0, []]);

    const given = join(folder, 'given');
    const other = start({}, true);
    await until(() => other.out.includes('Ctrl-C'));
    expect((await ask(`keys on --folder ${given}`, api)).out).toBe(`${given}\n`);
    other.interrupt();
    expect([await other.exit, readdirSync(given).toSorted()]).toEqual([0, ['esp_sa', 'ikev2_decryption_table']]);
  });

  it('on a terminal it stays up: the printed commands work on it, Ctrl-C ends it and removes the socket', async () => {
    const [pcap, keys] = [join(folder, 'lab.pcapng'), join(folder, 'keys')];
    const terminal = start({ pcap, keys }, true);
    await until(() => terminal.out.includes('Ctrl-C'));
    const api = /--api (unix:\S+)/.exec(terminal.out)![1]!;
    expect(api).toBe(`unix:${join(folder, 'bulkhead-lab.sock')}`);
    expect(statSync(api.slice(5)).mode & 0o777).toBe(0o600);
    const pinged = await ask('ping --tenant woodgrove 10.2.0.10 -n 2 --interval 10 --json', api);
    const { items } = JSON.parse(pinged.out) as { items: { outcome: string; milliseconds: number }[] };
    expect(items.map(({ outcome, milliseconds }) => [outcome, milliseconds])).toEqual([
      ['reply', 10],
      ['reply', 10],
    ]);
    const down = await ask('connections down woodgrove/site --wait', api);
    expect([down.exit, down.err]).toEqual([0, 'woodgrove/site: down done: the first packet opens it\n']);
    expect((await ask('connections up woodgrove/site --wait', api)).exit).toBe(0);
    expect((await ask('keys', api)).out).toBe(`${keys}\n`);
    expect((await ask(`keys on --folder ${keys}2`, api)).out).toBe(`${keys}2\n`);
    expect(
      readFileSync(join(`${keys}2`, 'esp_sa'), 'utf8')
        .trim()
        .split('\n').length,
    ).toBeGreaterThanOrEqual(2);
    expect((await ask('keys off', api)).exit).toBe(0);
    expect((await ask('reload', api)).err).toContain('the lab has no document to read again');
    expect((await ask('config show', api)).out).toContain('inline: <secret>');
    terminal.interrupt();
    expect(await terminal.exit).toBe(0);
    expect(terminal.out).toMatch(/pings meanwhile, \d+ answered/);
    expect(existsSync(api.slice(5))).toBe(false);
    const frames = [...readCapture([new Uint8Array(readFileSync(pcap))])];
    const exchanges = frames.flatMap((frame) => {
      const { content } = new Dissector({ keys: new KeyRing() }).dissect(frame);
      return content.is === 'ike' ? [content.header?.exchange] : [];
    });
    // DELETE and its answer.
    expect(exchanges.slice(-2)).toEqual([37, 37]);
  });

  it.each(SCENARIO_NAMES)('%s: the printed commands work on it', async (scenario) => {
    const terminal = start({ scenario }, true);
    await until(() => terminal.out.includes('Ctrl-C'));
    const api = `unix:${join(folder, 'bulkhead-lab.sock')}`;
    const commands = [...terminal.out.matchAll(/^ {2}npx bulkhead (.*) --api /gm)].map((match) => match[1]!);
    expect(commands.length).toBeGreaterThanOrEqual(7);
    const broken = scenario === 'broken' ? 3 : 0;
    for (const command of commands) {
      const { exit, err } = await ask(command.replace(/(ping .*?)( -n 2)?$/, '$1 -n 1 --timeout 50'), api);
      const expected = / -n /.test(command) ? 1 : /^status|^connections show/.test(command) ? broken : 0;
      expect([command, exit, err]).toEqual([command, expected, expect.any(String)]);
    }
    terminal.interrupt();
    expect(await terminal.exit).toBe(0);
  });

  it('a wrong --api is refused with a sentence', async () => {
    const terminal = start({ api: 'tcp:1' });
    expect(await terminal.exit).toBe(2);
    expect(terminal.err).toContain('--api must be unix: and an absolute path');
  });

  it.each(['lab.pcapng', 'lab.pcap'])('--pcap %s and --keys: our own dissector decrypts everything', async (name) => {
    const [pcap, keys] = [join(folder, name), join(folder, 'keys')];
    const terminal = start({ once: true, scenario: 'vpn', pcap, keys });
    expect(await terminal.exit).toBe(0);
    const ring = new KeyRing();
    expect(ring.addIkeTable(readFileSync(join(keys, 'ikev2_decryption_table'), 'utf8'))).toEqual([]);
    expect(ring.addEspTable(readFileSync(join(keys, 'esp_sa'), 'utf8'))).toEqual([]);
    const dissector = new Dissector({ keys: ring });
    const count: Record<string, number> = {};
    for (const frame of readCapture([new Uint8Array(readFileSync(pcap))])) {
      const { content, interfaceName } = dissector.dissect(frame);
      if (interfaceName !== undefined) count[interfaceName] = (count[interfaceName] ?? 0) + 1;
      const integrity =
        content.is === 'esp'
          ? content.integrity
          : content.is === 'ike'
            ? (content.sealed?.integrity ?? 'clear')
            : 'inside';
      count[`${content.is} ${integrity}`] = (count[`${content.is} ${integrity}`] ?? 0) + 1;
    }
    expect(count).toMatchObject({ 'ike clear': 4, 'ike ok': expect.any(Number), 'esp ok': expect.any(Number) });
    expect(Object.keys(count).filter((key) => / (failed|unknown)$/.test(key))).toEqual([]);
    if (name.endsWith('ng'))
      expect(Object.keys(count)).toEqual(
        expect.arrayContaining([
          ...['external', 'underlay', 'contoso-inside', 'contoso-site', 'woodgrove-inside', 'woodgrove-site'],
        ]),
      );
    expect(statSync(pcap).mode & 0o077).toBe(0);
  });
});

requirePeers('tshark')('what Wireshark makes of it', () => {
  it('decrypts IKE and ESP with the key folder as its profile', async () => {
    const [pcap, profile] = [join(folder, 'lab.pcapng'), join(folder, 'wireshark')];
    expect(await start({ once: true, scenario: 'vpn', pcap, keys: profile }).exit).toBe(0);
    const tshark = (...args: string[]): string[] => {
      const { stdout } = spawnSync(
        'tshark',
        ['-r', pcap, '-o', 'esp.enable_encryption_decode:TRUE', '-o', 'esp.enable_authentication_check:TRUE', ...args],
        { env: { ...process.env, XDG_CONFIG_HOME: folder }, encoding: 'utf8', maxBuffer: 1 << 28 },
      );
      return stdout.trimEnd().split('\n');
    };
    // Wireshark has no ChaCha20-Poly1305 for IKE: woodgrove's messages stay closed there.
    const contoso = 'ip.addr == 198.51.100.11 && isakmp.exchangetype > 34';
    const all = tshark('-Y', contoso);
    expect(all.length).toBeGreaterThan(10);
    expect(tshark('-Y', `${contoso} && isakmp.enc.decrypted`).length).toBe(all.length);
    const esp = tshark('-Y', 'esp', '-T', 'fields', '-e', 'esp.icv_good', '-e', '_ws.col.Protocol');
    expect(esp.length).toBeGreaterThan(100);
    expect(new Set(esp.map((line) => line.split('\t')[1]))).not.toContain('ESP');
    const nvgre = tshark('-Y', 'gre.proto == 0x6558', '-T', 'fields', '-e', 'frame.interface_name', '-e', 'gre.key');
    expect(new Set(nvgre.map((line) => line.split('\t')[0]))).toEqual(new Set(['underlay']));
    const vsids = nvgre.map((line) => Number(line.split('\t')[1]) >>> 8);
    expect([...new Set(vsids)].sort()).toEqual([5001, 5002, 6001, 6002]);
    expect(tshark('-Y', '_ws.malformed || ip.checksum.status == 0')).toEqual(['']);
  });
});
