import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { childSa, FakeBackend, GATEWAY, ikeSa, worker } from '../api/fake-backend.ts';
import { run } from './world.ts';

const FAILURE = {
  severity: 'error',
  tenant: 'contoso',
  connection: 'hq',
  code: 'no-proposal',
  problem: 'no proposal in common',
  advice: 'Give both ends one proposal alike.',
  lines: ['ours   aes256gcm16-prfsha384-ecp384', 'theirs aes128-sha1-modp1024'],
  secondsAgo: 12,
} as const;

/** One connection up, one failed, one waiting. */
function gateway(): FakeBackend {
  const backend = new FakeBackend();
  backend.replace('fabrikam', 'hq', { state: 'up', why: 'established', ikeSas: [ikeSa(1)], childSas: [childSa(1)] });
  backend.replace('contoso', 'hq', { why: 'failed, next try in 10 s', lastFailure: FAILURE });
  return backend;
}
const lines = (...text: string[]): string => `${text.join('\n')}\n`;

describe('tables', () => {
  test('status of a healthy gateway', async () => {
    expect(await run('status', gateway())).toEqual({
      exit: 0,
      err: '',
      out: lines(
        'gw1  ok  up 3 h 12 m, bulkhead 0.1.0',
        'tenants      2',
        'connections  3: 1 up',
        'IKE SAs      1, 0 half-open',
        'Child SAs    1',
        'listens on   udp 203.0.113.10:500, udp 203.0.113.10:4500, ESP 203.0.113.10',
        'packets      3 of 1024 in use, at most 40',
        'crypto       node',
        'memory       61 MB',
        'drops        no-route 7, ttl 1',
      ),
    });
  });

  test('status of a degraded one: problems first, exit 3', async () => {
    const backend = gateway();
    backend.gateway = { ...GATEWAY, state: 'degraded', problems: [FAILURE] };
    const { exit, out } = await run('status', backend);
    expect(exit).toBe(3);
    expect(out.split('\n').slice(0, 6)).toEqual([
      '✗ contoso/hq: no proposal in common',
      '    ours   aes256gcm16-prfsha384-ecp384',
      '    theirs aes128-sha1-modp1024',
      '  → Give both ends one proposal alike.',
      '',
      'gw1  degraded  up 3 h 12 m, bulkhead 0.1.0',
    ]);
  });

  test('status of one with workers: each by itself, and what no counter was left for', async () => {
    const backend = gateway();
    const lost = { state: 'lost', why: 'stood still', restarts: 1, engine: 'ipsec-mb', drops: { noRoute: 2 } } as const;
    const workers = [worker(0, { restarts: 2, tenants: 2 }), worker(1, { ...lost, packets: GATEWAY.packets })];
    backend.gateway = { ...GATEWAY, workers, countersRefused: 3 };
    const { out } = await run('status', backend);
    expect(out.split('\n').slice(-5)).toEqual([
      'drops        no-route 7, ttl 1',
      'counters     no room for 3: shown as 0',
      'worker 0     running, started anew 2 times; 2 tenants; packets 3 of 1024 in use, at most 40; crypto node',
      'worker 1     lost, started anew 1 time; 1 tenant; packets 3 of 1024 in use, at most 40; crypto ipsec-mb; drops noRoute 2',
      '',
    ]);
  });

  test('connections: the table on stdout, the failures on stderr', async () => {
    expect(await run('connections', gateway())).toEqual({
      exit: 0,
      err: lines(
        '✗ contoso/hq: no proposal in common',
        '    ours   aes256gcm16-prfsha384-ecp384',
        '    theirs aes128-sha1-modp1024',
        '  → Give both ends one proposal alike.',
      ),
      out: lines(
        'CONNECTION      STATE  START   LOCAL         REMOTE             IN    OUT  WHY',
        'fabrikam/hq     up     demand  203.0.113.10  198.51.100.20  1.4 MB  812 B  established',
        'contoso/hq      down   demand  203.0.113.10  198.51.100.20     0 B    0 B  failed, next try in 10 s',
        'contoso/branch  down   demand  203.0.113.10  198.51.100.20     0 B    0 B  waits for the first packet',
      ),
    });
  });

  test('one connection that is up', async () => {
    expect(await run('connections show fabrikam/hq', gateway())).toEqual({
      exit: 0,
      err: '',
      out: lines(
        'fabrikam/hq  up  established',
        '  local    203.0.113.10 (gw1.example)',
        '  remote   198.51.100.20 (hq.example)',
        '  start    demand',
        '  routes   10.2.0.0/24',
        '  mtu      1422',
        '  IKE SA [1]  established, initiator, aes256gcm16-prfsha384-ecp384',
        '    203.0.113.10:4500 - 198.51.100.20:4500, no NAT, for 1 m 5 s, rekey in 7 h 30 m',
        '    SPIs 0000000000000001 0000000000000002',
        '  Child SA {1}  active, aes256gcm16 esn, ESP in UDP',
        '    10.1.0.0/24 === 10.2.0.0/24, for 1 m 5 s, rekey in 53 m 20 s',
        '    in  c0000001: 1000 packets, 1.4 MB, sequence 1000',
        '    out c0000002: 9 packets, 812 B, sequence 9',
        '    drops: replay 2',
      ),
    });
  });

  test('one connection that failed: the failure first, exit 3', async () => {
    const { exit, out } = await run('connections show contoso/hq', gateway());
    expect(exit).toBe(3);
    expect(out.split('\n').slice(0, 7)).toEqual([
      '✗ contoso/hq: no proposal in common',
      '    ours   aes256gcm16-prfsha384-ecp384',
      '    theirs aes128-sha1-modp1024',
      '  → Give both ends one proposal alike.',
      '  12 s ago',
      '',
      'contoso/hq  down  failed, next try in 10 s',
    ]);
  });

  test('tenants', async () => {
    expect((await run('tenants', gateway())).out).toBe(
      lines(
        'TENANT    COMPARTMENT  INTERFACE  KIND             STATE  ADDRESSES        IN    OUT  OUTSIDE           DROPS',
        'fabrikam            2  inside     tun bh-fabrikam  up     10.1.0.1/24  1.4 kB  812 B  NAT 203.0.113.50  no-route 7',
        'contoso             3  -          -                -      -                           -',
      ),
    );
  });

  test('SAs', async () => {
    expect((await run('sas', gateway())).out).toBe(
      lines(
        'IKE SA          ROLE       STATE        SPI I             SPI R             LOCAL              REMOTE              NAT   REKEY IN  SUITE',
        'fabrikam/hq[1]  initiator  established  0000000000000001  0000000000000002  203.0.113.10:4500  198.51.100.20:4500  none  7 h 30 m  aes256gcm16-prfsha384-ecp384',
        '',
        'CHILD SA        STATE   SPI IN    SPI OUT   LOCAL        REMOTE       IN      OUT    REKEY IN   SUITE',
        'fabrikam/hq{1}  active  c0000001  c0000002  10.1.0.0/24  10.2.0.0/24  1.4 MB  812 B  53 m 20 s  aes256gcm16 esn udp',
      ),
    );
  });

  test('routes, and why one was chosen', async () => {
    const route = '10.2.0.0/24  hq      -           connection           5       1  selector of fabrikam/hq';
    expect((await run('routes --tenant fabrikam', gateway())).out).toBe(
      lines(
        'PREFIX       VIA     NEXT HOP    ORIGIN      PREFERENCE  METRIC  WHY',
        route,
        '10.0.0.0/8   inside  10.1.0.254  static               1       0  the document',
      ),
    );
    expect((await run('routes --tenant fabrikam --explain 10.2.0.1', gateway())).out).toBe(
      lines(
        '10.2.0.1: the longest prefix',
        '',
        'PREFIX       VIA  NEXT HOP  ORIGIN      PREFERENCE  METRIC  WHY',
        '10.2.0.0/24  hq   -         connection           5       1  selector of fabrikam/hq',
        '',
        'passed over',
        'PREFIX      VIA     NEXT HOP    ORIGIN  PREFERENCE  METRIC  WHY',
        '10.0.0.0/8  inside  10.1.0.254  static           1       0  shorter',
      ),
    );
  });

  test('ping: every answer as it comes, exit 0 with one, 1 with none', async () => {
    const backend = gateway();
    const lost = {
      sequence: 2,
      from: '10.2.0.1',
      outcome: 'timeout',
      milliseconds: null,
      octets: 0,
      why: 'no answer',
    } as const;
    backend.answers = [{ sequence: 1, from: '10.2.0.1', outcome: 'reply', milliseconds: 1.234, octets: 56 }, lost];
    expect(await run('ping --tenant fabrikam 10.2.0.1', backend)).toEqual({
      exit: 0,
      err: '',
      out: lines(
        '56 octets from 10.2.0.1: sequence 1, 1.23 ms',
        'sequence 2: timeout: no answer',
        '2 sent, 1 answered, 50 % lost; least 1.23, mean 1.23, most 1.23 ms',
      ),
    });
    backend.answers = [lost];
    expect(await run('ping --tenant fabrikam -n 1 --size 100 10.2.0.1', backend)).toMatchObject({
      exit: 1,
      out: lines('sequence 2: timeout: no answer', '1 sent, 0 answered, 100 % lost'),
    });
    expect(backend.pings[1]).toMatchObject({ count: 1, size: 100 });
  });
});

describe('on a terminal', () => {
  const ESCAPE = '\u001b';

  test('colours, and none with NO_COLOR, with a dumb terminal, or elsewhere', async () => {
    expect((await run('connections', gateway(), { tty: true })).out).toContain(`${ESCAPE}[32mup${ESCAPE}[0m`);
    for (const options of [{}, { tty: true, env: { NO_COLOR: '1' } }, { tty: true, env: { TERM: 'dumb' } }]) {
      const { out, err } = await run('connections', gateway(), options);
      expect(out + err).not.toContain(ESCAPE);
    }
  });

  test('nothing a peer chose steers it', async () => {
    const backend = gateway();
    backend.replace('fabrikam', 'hq', { remoteId: `${ESCAPE}]0;owned\u0007`, why: `${ESCAPE}[2J\u202e` });
    for (const line of ['connections', 'connections show fabrikam/hq']) {
      const { out } = await run(line, backend, { tty: true, env: { NO_COLOR: '1' } });
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(out).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    }
  });
});

describe('commands', () => {
  test('begun, done, failed, timed out: 0, 0, 1, 124', async () => {
    const backend = gateway();
    expect(await run('connections up contoso/branch', backend)).toEqual({
      exit: 0,
      out: '',
      err: lines('contoso/branch: up begun; --wait waits for the outcome'),
    });
    expect(await run('connections up fabrikam/hq --wait 5', backend)).toEqual({
      exit: 0,
      out: '',
      err: lines('fabrikam/hq: up done: established'),
    });
    expect(await run('connections rekey contoso/branch --wait', backend)).toEqual({
      exit: 1,
      out: '',
      err: lines('contoso/branch: rekey failed: there is no Child SA to rekey'),
    });
    expect(await run('connections up contoso/branch --wait 1', backend)).toEqual({
      exit: 124,
      out: '',
      err: lines(
        'contoso/branch: up timeout: no outcome within 1 s; the connection is down: waits for the first packet',
        '  → bulkhead connections show contoso/branch',
      ),
    });
  });

  test('a name alone is enough where only one has it', async () => {
    const backend = gateway();
    expect((await run('connections down branch --what child', backend)).exit).toBe(0);
    expect((await run('connections down hq --tenant contoso', backend)).exit).toBe(0);
    expect(backend.commands).toEqual(['down contoso/branch child', 'down contoso/hq ike']);
    expect(await run('connections down hq', backend)).toEqual({
      exit: 1,
      out: '',
      err: lines('bulkhead: several connections are called hq', '  Name one of: fabrikam/hq, contoso/hq'),
    });
    expect((await run('connections down nobody', backend)).err).toBe(
      lines('bulkhead: there is no connection nobody', '  Name one of: fabrikam/hq, contoso/hq, contoso/branch'),
    );
  });

  test('keys', async () => {
    const backend = gateway();
    expect(await run('keys', backend)).toEqual({ exit: 0, out: '', err: lines('Keys are not written.') });
    expect(await run('keys on --folder /k', backend)).toEqual({
      exit: 0,
      out: '/k\n',
      err: lines('Keys are written: whoever reads that folder reads all traffic.'),
    });
    expect((await run('keys show', backend)).out).toBe('/k\n');
    // Of where the command is given: the gateway runs elsewhere.
    expect((await run('keys on --folder k/../rel', backend)).out).toBe(`${join(process.cwd(), 'rel')}\n`);
    expect((await run('keys off', backend)).err).toBe(lines('Keys are not written.'));
  });

  test('reload: what changed; exit 5 when the document has errors', async () => {
    const backend = gateway();
    backend.reloadStatus = { applied: true, changes: ['~ connection fabrikam/hq: dpdSeconds 30 → 10'], issues: [] };
    expect(await run('reload', backend)).toEqual({ exit: 0, out: lines(backend.reloadStatus.changes[0]!), err: '' });
    const issue = {
      severity: 'error',
      file: 'g.yaml',
      line: 3,
      column: 1,
      path: 'tenants',
      message: 'is wrong',
    } as const;
    backend.reloadStatus = { applied: false, changes: [], issues: [issue] };
    expect(await run('reload', backend)).toEqual({
      exit: 5,
      out: '',
      err: lines('g.yaml:3:1: tenants: is wrong', 'Nothing was applied.'),
    });
  });
});

describe('JSON', () => {
  test.each([
    ['status', 'status'],
    ['tenants', 'tenants'],
    ['connections', 'connections'],
    ['connections show contoso/hq', 'connections'],
    ['connections up fabrikam/hq', 'commands'],
    ['sas', 'sas'],
    ['routes --tenant fabrikam', 'routes'],
    ['routes --tenant fabrikam --explain 10.2.0.1', 'route-explanation'],
    ['ping --tenant fabrikam 10.2.0.1', 'ping'],
    ['neighbours --tenant contoso', 'neighbours'],
    ['nat', 'nat'],
    ['nat list --tenant contoso', 'nat'],
    ['nat sessions --tenant contoso', 'nat-sessions'],
    ['nat flush --tenant contoso', 'nat-flush'],
    ['nvgre', 'nvgre-records'],
    ['nvgre records --tenant contoso', 'nvgre-records'],
    ['nvgre counters', 'nvgre-counters'],
    ['nvgre next-hop --tenant contoso --vsid 5002 --from 10.1.0.12 10.1.0.10', 'nvgre-next-hop'],
    ['keys', 'keys'],
    ['reload', 'reload'],
    ['config show', 'config'],
    ['config check examples/lab-peer.yaml', 'issues'],
    ['doctor', 'doctor'],
  ])('%s', async (line, kind) => {
    const { out } = await run(`${line} --json`, gateway());
    expect(JSON.parse(out)).toMatchObject({ schemaVersion: 1, kind, items: expect.any(Array) });
  });

  test('errors too: no gateway, wrong usage, unknown names', async () => {
    const none = { env: { BULKHEAD_API: 'unix:/nonexistent/control.sock' } };
    const { exit, out, err } = await run('status --json', undefined, none);
    expect(exit).toBe(4);
    expect(JSON.parse(out)).toEqual({
      schemaVersion: 1,
      kind: 'error',
      error: {
        code: 'unreachable',
        problem: 'no gateway answers on /nonexistent/control.sock',
        advice: 'Start one with: bulkhead run -c gateway.yaml. Its control socket is named by --api or BULKHEAD_API.',
      },
    });
    expect(err).toMatch(/^bulkhead: no gateway answers on \/nonexistent\/control\.sock\n/);
    const usage = await run('status --what --json', gateway());
    expect([usage.exit, JSON.parse(usage.out).error.code]).toEqual([2, 'usage']);
    const unknown = await run('routes --tenant x --json', gateway());
    expect([unknown.exit, JSON.parse(unknown.out).error.code]).toEqual([1, 'not-found']);
  });
});

describe('usage', () => {
  test.each([
    ['', /Usage: bulkhead \[options\] \[command\]/],
    ['statsu', /unknown command 'statsu'\n\(Did you mean status\?\)/],
    ['config', /Usage: bulkhead config/],
    ['connections show', /missing required argument 'connection'/],
    ['connections up hq --wait soon', /A whole number from 1 to 3600 is needed/],
    ['connections down hq --what all', /One of ike, child is needed/],
    ['routes', /--tenant is needed/],
    ['status --api http://x', /--api must be unix: and an absolute path, not http:\/\/x/],
    ['decode capture.pcap --port 4501,x', /Not a whole number above 0/],
    ['run', /which document\?/],
    ['config check', /which document\?/],
    ['connections show a/b/c', /a\/b\/c is not TENANT\/CONNECTION/],
  ])('%s: exit 2, words on stderr', async (line, words) => {
    const { exit, out, err } = await run(line, gateway());
    expect(exit).toBe(2);
    expect(err).toMatch(words);
    expect(out).toBe('');
  });

  test('help is no error, knows every command and gives an example', async () => {
    const { exit, out } = await run('--help');
    expect(exit).toBe(0);
    const names = [
      'lab',
      'run',
      'status',
      'top',
      'tenants',
      'connections',
      'sas',
      'routes',
      'ping',
      'keys',
      'config',
      'reload',
    ];
    for (const name of [...names, 'doctor', 'bench', 'decode']) expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    for (const line of ['status', 'top', 'connections up', 'config check', 'ping', 'doctor', 'bench', 'run']) {
      const help = await run(`${line} --help`);
      expect(help.exit).toBe(0);
      expect(help.out).toMatch(/\nExample:\n {2}bulkhead /);
      expect(help.out.match(/^ {2}(?:-\w, )?--(?!help)/gm)!.length).toBe(
        help.out.match(/env:\s+BULKHEAD_[A-Z_]+/g)!.length,
      );
    }
    expect(out.replace(/\s+/g, ' ')).toContain('Every flag has a twin in the environment, except decode’s --hex');
    for (const line of ['lab', 'decode']) {
      const help = await run(`${line} --help`);
      expect(help.out.match(/^ {2}--(?!help|hex)/gm)!.length).toBe(help.out.match(/env:\s+BULKHEAD_[A-Z_]+/g)!.length);
    }
  });

  test('the version', async () => {
    expect((await run('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('the environment', () => {
  test('is the twin of each flag; the command line wins', async () => {
    const backend = gateway();
    await run('connections down hq', backend, { env: { BULKHEAD_TENANT: 'fabrikam', BULKHEAD_WHAT: 'child' } });
    await run('connections down hq --tenant contoso', backend, { env: { BULKHEAD_TENANT: 'fabrikam' } });
    expect(backend.commands).toEqual(['down fabrikam/hq child', 'down contoso/hq ike']);
    const { out } = await run('keys', backend, { env: { BULKHEAD_JSON: '1' } });
    expect(JSON.parse(out).kind).toBe('keys');
    expect((await run('keys', backend, { env: { BULKHEAD_JSON: '0' } })).out).toBe('');
    const waited = await run('connections rekey contoso/branch', backend, { env: { BULKHEAD_WAIT: 'true' } });
    expect(waited.exit).toBe(1);
  });

  test('a wrong twin is wrong usage', async () => {
    vi.stubEnv('BULKHEAD_LOSS', '101');
    expect(await run('lab --once')).toEqual({
      exit: 2,
      out: '',
      err: lines("bulkhead: BULKHEAD_LOSS='101' is invalid. A number from 0 to 100 is needed."),
    });
    vi.unstubAllEnvs();
    expect(await run('connections up fabrikam/hq', gateway(), { env: { BULKHEAD_WAIT: 'soon' } })).toEqual({
      exit: 2,
      out: '',
      err: lines("bulkhead: BULKHEAD_WAIT='soon' is invalid. A whole number from 1 to 3600 is needed."),
    });
  });
});

describe('documents', () => {
  let folder: string;
  const file = (name: string): string => join(folder, name);
  const valid = (psk: string, extra = ''): string =>
    [
      'version: 1',
      'gateway: { external: { addresses: [192.0.2.1] } }',
      'tenants:',
      '  - name: blue',
      '    connections:',
      '      - name: hq',
      '        remote: { address: 198.51.100.1 }',
      `        auth: { psk: ${psk} }`,
      '        child: { local: [10.1.0.0/24], remote: [10.2.0.0/24] }',
      extra,
    ].join('\n');

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bh-cli-'));
    writeFileSync(file('hq.psk'), 'a secret that is long enough\n', { mode: 0o600 });
    writeFileSync(file('weak.psk'), 'weak\n', { mode: 0o600 });
    writeFileSync(file('open.psk'), 'a secret that is long enough\n', { mode: 0o644 });
    writeFileSync(file('empty.psk'), '\n', { mode: 0o600 });
    writeFileSync(file('latin1.yaml'), Buffer.from('name: caf\xe9', 'latin1'));
    for (const name of ['empty', 'absent']) writeFileSync(file(`${name}.yaml`), valid(`{ file: ${name}.psk }`));
    writeFileSync(file('env.yaml'), valid('{ env: BH_PSK }'));
    writeFileSync(file('good.yaml'), valid('{ file: hq.psk }'));
    writeFileSync(file('weak.yaml'), valid('{ file: weak.psk }'));
    writeFileSync(file('open.yaml'), valid('{ file: open.psk }'));
    writeFileSync(file('newer.yaml'), valid('{ file: hq.psk }', '        dpdSeconds: 10'));
    writeFileSync(file('bad.yaml'), valid('{ file: hq.psk }', '        dpdSecond: 10\n        mtu: 1'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('check: valid', async () => {
    expect(await run(`config check ${file('good.yaml')}`)).toEqual({
      exit: 0,
      out: lines(`${file('good.yaml')}: valid, 1 tenant, 1 connection`),
      err: '',
    });
    expect((await run('config check', undefined, { env: { BULKHEAD_CONFIG: file('good.yaml') } })).exit).toBe(0);
  });

  test('a host: checked and shown', async () => {
    const yaml = file('host.yaml');
    writeFileSync(yaml, 'version: 1\nhost: { underlay: { address: 192.168.50.21 } }\ntenants: [{ name: blue }]\n');
    expect(await run(`config check ${yaml}`)).toEqual({
      exit: 0,
      out: lines(`${yaml}: valid, 1 tenant, 0 VMs`),
      err: '',
    });
    expect((await run(`config show ${yaml}`)).out).toContain('encapsulation: nvgre');
    expect((await run(`doctor -c ${yaml}`)).err).toBe('');
  });

  test('check: every error on stderr, exit 5; as JSON on stdout', async () => {
    const bad = file('bad.yaml');
    expect(await run(`config check ${bad}`)).toEqual({
      exit: 5,
      out: '',
      err: lines(
        `${bad}:10:9: tenants[0].connections[0].dpdSecond: unknown key; did you mean dpdSeconds?`,
        `${bad}:11:14: tenants[0].connections[0].mtu: a whole number from 576 to 9216 is needed, not 1`,
      ),
    });
    const json = await run(`config check ${bad} --json`);
    expect(json).toMatchObject({ exit: 5, err: '' });
    expect(JSON.parse(json.out).items).toHaveLength(2);
  });

  const PSK = 'tenants[0].connections[0].auth.psk';

  test.each([
    ['weak', 'a secret of 4 octets can be guessed from one recorded exchange: use 16 or more'],
    ['absent', 'FOLDER/absent.psk cannot be read: no such file or directory (ENOENT)'],
    ['env', 'the variable BH_PSK is not set'],
  ])('check: a secret that is %s is a warning at its psk entry', async (name, words) => {
    const { exit, out, err } = await run(`config check ${file(`${name}.yaml`)}`);
    expect(err).toBe(lines(`${file(`${name}.yaml`)}:8:22: warning: ${PSK}: ${words.replace('FOLDER', folder)}`));
    expect([exit, out]).toEqual([0, lines(`${file(`${name}.yaml`)}: valid, 1 tenant, 1 connection`)]);
  });

  test.each([
    ['empty', 'empty.psk: is empty'],
    ['open', 'FOLDER/open.psk is open to everybody on this host (mode 0644): chmod 600 FOLDER/open.psk'],
  ])('check: a secret that is %s is an error at its psk entry, as in run', async (name, words) => {
    const yaml = file(`${name}.yaml`);
    const sentence = `${yaml}:8:22: ${PSK}: ${words.replaceAll('FOLDER', folder)}`;
    expect(await run(`config check ${yaml}`)).toEqual({ exit: 5, out: '', err: lines(sentence) });
    const ran = await run(`run ${yaml} --api none`);
    expect([ran.exit, ran.err.split('\n')[0]]).toEqual([5, `bulkhead: ${sentence}`]);
    const { items } = JSON.parse((await run(`config check ${yaml} --json`)).out) as { items: unknown[] };
    expect(items).toEqual([expect.objectContaining({ severity: 'error', line: 8, column: 22, path: PSK })]);
  });

  test('check: a variable that is set is judged', async () => {
    const env = { BH_PSK: '0xabc' };
    expect(await run(`config check ${file('env.yaml')}`, undefined, { env })).toMatchObject({
      exit: 5,
      err: expect.stringContaining('the variable BH_PSK: begins like hexadecimal but is not'),
    });
  });

  test.each([
    ['none', 'cannot be read: no such file or directory (ENOENT)'],
    ['latin1', 'is not UTF-8 text'],
  ])('no document (%s): exit 5 and one sentence everywhere', async (name, words) => {
    const yaml = file(`${name}.yaml`);
    for (const line of [
      'config check',
      'config show',
      `config diff ${file('good.yaml')}`,
      'doctor -c',
      'run --api none -c',
    ]) {
      expect(await run(`${line} ${yaml}`, gateway())).toEqual({
        exit: 5,
        out: '',
        err: lines(`bulkhead: ${yaml} ${words}`),
      });
    }
  });

  test('show: of a file, of the gateway; an invalid one is exit 5', async () => {
    expect((await run(`config show ${file('good.yaml')}`)).out).toContain('dpdSeconds: 30');
    expect((await run('config show', gateway())).out).toBe('version: 1\n');
    const { exit, err } = await run(`config show ${file('bad.yaml')}`);
    expect(exit).toBe(5);
    expect(err).toMatch(/bulkhead: .*bad\.yaml has 2 errors\n$/);
  });

  test('diff: two files, or the running gateway and a file', async () => {
    const change = lines('~ connection blue/hq: dpdSeconds 30 → 10');
    expect(await run(`config diff ${file('good.yaml')} ${file('newer.yaml')}`)).toEqual({
      exit: 0,
      out: change,
      err: '',
    });
    const backend = gateway();
    backend.text = (await run(`config show ${file('good.yaml')}`)).out;
    expect((await run(`config diff ${file('newer.yaml')}`, backend)).out).toBe(change);
    expect((await run(`config diff ${file('good.yaml')}`, backend)).err).toBe('Nothing differs.\n');
  });

  test('doctor: looks where the document would listen', async () => {
    writeFileSync(
      file('ports.yaml'),
      'version: 1\ngateway: { external: { addresses: [127.0.0.1], ports: { ike: 15500, natt: 15501 } } }',
    );
    const { out } = await run(`doctor -c ${file('ports.yaml')} --json`);
    const names = (JSON.parse(out).items as { name: string }[]).map(({ name }) => name);
    expect(names).toContain('udp 127.0.0.1:15500');
    expect(names).toContain('udp 127.0.0.1:15501');
  });
});
