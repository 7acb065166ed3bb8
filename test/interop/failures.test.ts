/** What goes wrong between two ends, in both roles: the code, the words, the lines; and that a reload repairs it. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ConnectionStatus } from '../../src/gateway/status.ts';
import { Bulkhead } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import {
  bulkheadEnd,
  type ConnectionChanges,
  noneLeft,
  oneOfEach,
  type SwanChanges,
  swanConnections,
  swanEnd,
} from './ends.ts';

/** Cookies from the first request on. */
const limits = { limits: { cookieThreshold: 0 } };

const NO_NATT = '{ chain forward { type filter hook forward priority 0 ; udp dport 4500 drop ; } ; }';

type Role = 'Bulkhead' | 'strongSwan';

interface Case {
  readonly what: string;
  readonly begins: Role;
  readonly ours?: ConnectionChanges;
  readonly theirs?: SwanChanges;
  readonly code: string;
  readonly problem: RegExp;
  /** Each of them is in a line. */
  readonly lines?: readonly string[];
  /** The other end's words. */
  readonly swan: RegExp;
}

const CASES: readonly Case[] = [
  {
    what: 'RFC 7296 §2.15: another pre-shared key',
    begins: 'Bulkhead',
    theirs: { psk: 'another key' },
    code: 'authentication',
    problem: /refused our authentication \(AUTHENTICATION_FAILED\)/,
    lines: ['our identity:   192.0.2.1', 'peer identity:  198.51.100.1'],
    swan: /tried 1 shared key for .* but MAC mismatched/,
  },
  {
    what: 'RFC 7296 §2.15: another pre-shared key',
    begins: 'strongSwan',
    theirs: { psk: 'another key' },
    code: 'authentication',
    problem: /AUTH payload does not verify: the pre-shared keys differ/,
    lines: ['peer identity:  198.51.100.1'],
    swan: /received AUTHENTICATION_FAILED notify error/,
  },
  {
    what: 'RFC 7296 §3.5: an identity strongSwan does not know',
    begins: 'Bulkhead',
    ours: { local: { id: 'nobody.example' } },
    code: 'authentication',
    problem: /refused our authentication \(AUTHENTICATION_FAILED\).*does not know our identity/,
    lines: ['our identity:   nobody.example'],
    swan: /no matching peer config found/,
  },
  {
    what: 'RFC 7296 §3.5: an identity Bulkhead does not know',
    begins: 'strongSwan',
    theirs: { localId: 'nobody.example' },
    code: 'identity',
    problem: /no connection for these addresses has the identity the peer sent/,
    lines: ['the peer is nobody.example and wants 192.0.2.1', 'expects 198.51.100.1, is 192.0.2.1'],
    swan: /received AUTHENTICATION_FAILED notify error/,
  },
  {
    what: 'RFC 7296 §2.7: no common IKE proposal',
    begins: 'Bulkhead',
    ours: { ike: { proposals: ['aes128-sha256-ecp256'] } },
    theirs: { proposals: 'aes256-sha384-ecp384' },
    code: 'no-proposal',
    problem: /refused every IKE proposal of this connection \(NO_PROPOSAL_CHOSEN\)/,
    lines: ['we offered: aes128-sha256-ecp256'],
    swan: /received proposals unacceptable/,
  },
  {
    what: 'RFC 7296 §2.7: no common IKE proposal',
    begins: 'strongSwan',
    ours: { ike: { proposals: ['aes128-sha256-ecp256'] } },
    theirs: { proposals: 'aes256-sha256-ecp256' },
    code: 'no-proposal',
    problem: /offered no IKE proposal that this connection allows/,
    lines: [
      'theirs 1: aes256-sha256-ecp256',
      'nearest of ours: aes128-sha256-ecp256',
      'encryption differs: ours aes128, theirs aes256',
      'to accept it, add: aes256-sha256-ecp256',
    ],
    swan: /received NO_PROPOSAL_CHOSEN notify error/,
  },
  {
    what: 'RFC 7296 §2.7: no common ESP proposal',
    begins: 'Bulkhead',
    ours: { child: { proposals: ['aes128gcm16'] } },
    theirs: { child: { proposals: 'aes256gcm16' } },
    code: 'no-proposal',
    problem: /refused every ESP proposal of this connection \(NO_PROPOSAL_CHOSEN\)/,
    lines: ['we offered: aes128gcm16'],
    swan: /no acceptable proposal found/,
  },
  {
    what: 'RFC 7296 §2.7: no common ESP proposal',
    begins: 'strongSwan',
    ours: { child: { proposals: ['aes128-sha256'] } },
    theirs: { child: { proposals: 'aes128-sha512' } },
    code: 'no-proposal',
    problem: /offered no ESP proposal that this connection allows/,
    lines: ['integrity differs: ours sha256, theirs sha512', 'to accept it, add: aes128-sha512'],
    swan: /received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built/,
  },
  {
    what: 'RFC 7296 §2.9: disjoint selectors',
    begins: 'Bulkhead',
    theirs: { child: { localTs: ['10.3.0.0/24'] } },
    code: 'selectors',
    problem: /accepts none of the offered traffic selectors \(TS_UNACCEPTABLE\)/,
    lines: ['we offered: 10.1.0.0/24 === 10.2.0.0/24'],
    swan: /traffic selectors .* unacceptable/,
  },
  {
    what: 'RFC 7296 §2.9: disjoint selectors',
    begins: 'strongSwan',
    theirs: { child: { localTs: ['10.3.0.0/24'] } },
    code: 'selectors',
    problem: /offered traffic selectors have nothing in common with ours \(TS_UNACCEPTABLE\)/,
    lines: ['10.3.0.0/24', '10.2.0.0/24'],
    swan: /received TS_UNACCEPTABLE notify, no CHILD_SA built/,
  },
];

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'ping');

describeWithPeers('failures with strongSwan', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeAll(async () => {
    network = new Topology();
    swan = await Strongswan.start(network, 'gwB', swanEnd());
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd());
  });

  afterAll(async () => {
    await gateway?.stop();
    await swan?.stop();
    await network?.close();
  });

  /** Both ends anew; nothing has been tried yet. */
  const begin = async (ours: ConnectionChanges = {}, theirs: SwanChanges = {}): Promise<void> => {
    await gateway.reload({ tenants: [] });
    await noneLeft(swan);
    await swan.load({ connections: swanConnections(theirs) });
    await gateway.reload(bulkheadEnd({ ...ours, start: ours.start ?? 'listen' }));
  };

  const shown = async (): Promise<ConnectionStatus> =>
    (await gateway.cli<ConnectionStatus>('connections', 'show', 'fabrikam/hq'))[0]!;

  it.each(CASES)('$what, begun by $begins: said why, then repaired by a reload', async (row) => {
    const { begins, ours = {}, theirs = {}, code, problem, lines = [] } = row;
    const [ourLog, theirLog] = [gateway.log.length, swan.log.length];
    await begin({ ...ours, start: begins === 'Bulkhead' ? 'demand' : 'listen' }, theirs);
    if (begins === 'Bulkhead') {
      const words = ['connections', 'up', 'hq', '--wait', '10'];
      const { code: exit } = await gateway.run(...words);
      expect(exit).toBe(1);
    } else expect((await swan.initiate('net', 10)).code).not.toBe(0);
    await gateway.when(({ lastFailure }) => lastFailure !== undefined);
    const { lastFailure, state } = await shown();
    expect(lastFailure).toMatchObject({ severity: 'error', code, problem: expect.stringMatching(problem) });
    expect(lastFailure?.advice).not.toBe('');
    for (const line of lines) expect(lastFailure?.lines.join('\n')).toContain(line);
    expect(['down', 'waiting', 'closing']).toContain(state);
    await gateway.logged(problem, 1000, ourLog);
    await swan.logged(row.swan, 5000, theirLog);
    const status = await gateway.status();
    expect(status.state).toBe('degraded');
    expect(status.problems.map((p) => p.connection)).toEqual(['hq']);

    await swan.load({ connections: swanConnections() });
    gateway.write(bulkheadEnd({ start: 'demand', dpdSeconds: 29 }));
    gateway.signal('SIGHUP');
    await gateway.when(({ lastFailure: left, start }) => left === undefined && start === 'demand');
    await noneLeft(swan);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect((await gateway.status()).state).toBe('ok');
  });

  it('RFC 7296 §1.3: a group strongSwan does not want first is answered with INVALID_KE_PAYLOAD and retried', async () => {
    const after = swan.log.length;
    await begin(
      { start: 'demand', ike: { proposals: ['aes128-sha256-ecp384-ecp256'] } },
      { proposals: 'aes128-sha256-ecp256' },
    );
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    await swan.logged(/DH group ECP_384 unacceptable, requesting ECP_256/, 1000, after);
    expect((await gateway.ikeSas()).map(({ suite }) => suite)).toEqual(['aes128-sha256-prfsha256-ecp256']);
    expect((await shown()).lastFailure).toBeUndefined();
  });

  it('RFC 7296 §1.3: a group Bulkhead does not want first is answered with INVALID_KE_PAYLOAD and retried', async () => {
    const after = swan.log.length;
    await begin({ ike: { proposals: ['aes128-sha256-ecp256'] } }, { proposals: 'aes128-sha256-ecp384-ecp256' });
    expect((await swan.initiate()).code).toBe(0);
    await swan.logged(/peer didn't accept DH group ECP_384, it requested ECP_256/, 1000, after);
    expect((await gateway.ikeSas()).map(({ suite }) => suite)).toEqual(['aes128-sha256-prfsha256-ecp256']);
    expect((await shown()).lastFailure).toBeUndefined();
  });

  it.each([
    { begins: 'Bulkhead', problem: /refused every ESP proposal of this connection/ },
    { begins: 'strongSwan', problem: /offered no ESP proposal that this connection allows/ },
  ] as const)(
    'RFC 7296 §1.2: PFS on one side shows at the rekey by $begins, and the old SA goes on',
    async ({ begins, problem }) => {
      await begin(
        { start: 'demand', child: { proposals: ['aes128gcm16-ecp256'] } },
        { child: { proposals: 'aes128gcm16' } },
      );
      expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
      const before = (await gateway.childSas()).map((sa) => sa.spiIn);
      if (begins === 'Bulkhead') expect((await gateway.run('connections', 'rekey', 'hq', '--wait', '10')).code).toBe(1);
      else await swan.swanctl('--rekey', '--child', 'net');
      const { lastFailure } = await gateway.when((c) => c.lastFailure !== undefined);
      expect(lastFailure).toMatchObject({ code: 'no-proposal', problem: expect.stringMatching(problem) });
      expect((await gateway.childSas()).map((sa) => sa.spiIn)).toEqual(before);
      expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
      expect((await gateway.status()).problems.map((p) => p.severity)).toEqual(['warning']);
      await oneOfEach(swan);
    },
  );

  it.each([
    { narrower: 'Bulkhead', ours: ['10.2.0.0/25'], theirs: ['10.2.0.0/24'] },
    { narrower: 'strongSwan', ours: ['10.2.0.0/24'], theirs: ['10.2.0.0/25'] },
  ] as const)('RFC 7296 §2.9: $narrower allows less: both roles agree on what is common', async ({ ours, theirs }) => {
    await begin({ start: 'demand', child: { remote: ours } }, { child: { localTs: theirs } });
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    expect((await gateway.childSas()).map(({ remote }) => remote)).toEqual([['10.2.0.0/25']]);
    expect((await swan.installed()).map(({ localTs }) => localTs)).toEqual([['10.2.0.0/25']]);
    expect(await network.ping('hostB', ADDRESSES.hostA, 1)).toBe(1);
    await gateway.reload(bulkheadEnd({ start: 'listen', child: { remote: ours } }));
    await noneLeft(swan);
    expect((await swan.initiate()).code).toBe(0);
    expect((await gateway.childSas()).map(({ remote }) => remote)).toEqual([['10.2.0.0/25']]);
    expect((await swan.installed()).map(({ localTs }) => localTs)).toEqual([['10.2.0.0/25']]);
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    expect((await shown()).lastFailure).toBeUndefined();
  });

  it('RFC 7296 §2.6: Bulkhead as initiator and as responder with cookies', async () => {
    await gateway.reload({ tenants: [] });
    await gateway.stop();
    await swan.stop();
    swan = await Strongswan.start(
      network,
      'gwB',
      swanEnd({}, { cookieThreshold: 1, lines: ['half_open_timeout = 1'] }),
    );
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd({ start: 'boot' }, limits));
    await gateway.when(({ state }) => state === 'up');
    // strongSwan demands cookies from one half-open IKE SA on, and for ten seconds after.
    await gateway.reload({ tenants: [], gateway: limits });
    await noneLeft(swan);
    await network.must('inet', 'nft', ['add', 'table', 'ip', 'bhblock', NO_NATT]);
    await gateway.reload(bulkheadEnd({ start: 'boot' }, limits));
    await gateway.when(({ why }) => why.startsWith('IKE_AUTH is under way'));
    await gateway.reload({ tenants: [], gateway: limits });
    await network.must('inet', 'nft', ['delete', 'table', 'ip', 'bhblock']);

    await gateway.reload(bulkheadEnd({ start: 'demand' }, limits));
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    expect(swan.log).toMatch(/generating IKE_SA_INIT response 0 \[ N\(COOKIE\) \]/);
    expect(swan.log).toMatch(/parsed IKE_SA_INIT request 0 \[ N\(COOKIE\) SA KE No/);

    await gateway.reload(bulkheadEnd({ start: 'listen' }, limits));
    await noneLeft(swan);
    const after = swan.log.length;
    expect((await swan.initiate()).code).toBe(0);
    await swan.logged(/parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]/, 1000, after);
    await swan.logged(/generating IKE_SA_INIT request 0 \[ N\(COOKIE\) SA KE No/, 1000, after);
    expect(await network.ping('hostB', ADDRESSES.hostA, 1)).toBe(1);
  });

  it('RFC 7296 §2.6: a cookie and another group in one negotiation, in both roles', async () => {
    const after = swan.log.length;
    await swan.load({ connections: swanConnections({ proposals: 'aes128-sha256-ecp256' }) });
    await gateway.reload(bulkheadEnd({ start: 'demand', ike: { proposals: ['aes128-sha256-ecp384-ecp256'] } }, limits));
    await gateway.when(({ ikeSas }) => ikeSas.length === 0);
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
    expect(swan.log.slice(after)).toMatch(/N\(COOKIE\)/);
    expect(swan.log.slice(after)).toMatch(/N\(INVAL_KE\)/);

    await swan.load({ connections: swanConnections({ proposals: 'aes128-sha256-ecp384-ecp256' }) });
    await gateway.reload(bulkheadEnd({ start: 'listen', ike: { proposals: ['aes128-sha256-ecp256'] } }, limits));
    await noneLeft(swan);
    expect((await swan.initiate()).code).toBe(0);
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
  });

  it('RFC 7296 §2.4: nothing answers: told to whoever waits, and repaired when somebody does', async () => {
    await gateway.reload({ tenants: [] });
    await noneLeft(swan);
    await swan.stop();
    await gateway.reload(bulkheadEnd({ start: 'boot', ike: { giveUpSeconds: 5 } }, limits));
    const waiting = network.run('hostA', 'ping', ['-n', '-c', '1', '-W', '15', ADDRESSES.hostB]);
    const { lastFailure, why, state } = await gateway.when((c) => c.lastFailure !== undefined, 20_000);
    expect(lastFailure).toMatchObject({
      code: 'no-answer',
      problem: expect.stringMatching(/^nothing answers at 198\.51\.100\.1:500: \d requests in \d+ s$/),
    });
    expect([state, why]).toEqual(['waiting', expect.stringMatching(/^nothing answers at .*; next attempt in \d s$/)]);
    expect((await waiting).stdout).toMatch(/Destination (Host|Net) Unreachable|Destination Host Prohibited/);
    swan = await Strongswan.start(network, 'gwB', swanEnd());
    await gateway.when((c) => c.state === 'up', 20_000);
    await until(async () => (await network.ping('hostA', ADDRESSES.hostB, 1)) === 1);
    expect((await gateway.status()).state).toBe('ok');
  });
});
