/**
 * The worker of the data plane is lost while packets flow: it stands still, fails, or is gone. Bulkhead notices within a second,
 * says so, starts another one with new SAs, and traffic goes on. What it sent before and after is looked at from outside.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { Bulkhead, type DocumentText, type TenantText, withFaults } from '../support/bulkhead.ts';
import { espSeen, expectNothingTwice } from '../support/eavesdropper.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import { Capture } from '../support/tshark.ts';
import { bulkheadEnd, flood, oneOfEach, swanEnd, tenant } from './ends.ts';

const NEEDS = ['linux', 'root', 'netns', 'tun', 'koffi', 'ethtool', 'ping', 'tcpdump'] as const;
const describeWithPeers = requirePeers(...NEEDS, 'strongswan');

const RUNS_ANEW = /it runs anew, with new Child SAs/;

describeWithPeers.each(['another Bulkhead, protocol 50', 'strongSwan, UDP'] as const)('a tunnel to %s', (kind) => {
  let folder: string;
  let keyLog: string;
  let network: Topology;
  let gateway: Bulkhead;
  let other: Bulkhead | undefined;
  let swan: Strongswan | undefined;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), `bh-worker-${process.pid}-`));
    keyLog = join(folder, 'keys');
    network = new Topology();
    if (kind.startsWith('strongSwan'))
      swan = await Strongswan.start(network, 'gwB', swanEnd({}, { lines: ['delete_rekeyed_delay = 1'] }));
    else other = await Bulkhead.start(network, 'gwB', bulkheadEnd({ start: 'listen' }, {}, 'B'));
    const document = bulkheadEnd({ start: 'demand' }, { keyLog });
    gateway = await Bulkhead.start(network, 'gwA', document, withFaults('wedge', 'throw', 'kill'));
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
  });

  afterAll(async () => {
    await gateway?.stop();
    await other?.stop();
    await swan?.stop();
    await network?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const active = async () => (await gateway.childSas()).filter(({ state }) => state === 'active');

  it.each([
    { fault: 'wedge', why: /stood still for \d+ ms/ },
    { fault: 'throw', why: /failed: broken invariant: asked to fail/ },
    { fault: 'kill', why: /was killed on demand/ },
  ] as const)('RFC 4303 §3.3.3: is sent on under new SAs only ($fault)', async ({ why }) => {
    const [written, old] = [gateway.log.length, await active()];
    const oldOut = new Set(old.map(({ spiOut }) => Number.parseInt(spiOut, 16)));
    const problems = new Set<string>();
    let slowest = 0;
    const capture = await Capture.start(network, 'inet', 'toA', 'esp or udp port 4500');
    try {
      const pings = await flood(network, async () => {
        await pause(300);
        gateway.signal('SIGUSR2');
        await until(async () => {
          const at = performance.now();
          for (const { problem } of (await gateway.status()).problems) problems.add(problem);
          slowest = Math.max(slowest, performance.now() - at);
          return RUNS_ANEW.test(gateway.log.slice(written));
        }, 10_000);
        await gateway.when(({ childSas }) =>
          childSas.some((sa) => sa.state === 'active' && sa.packetsIn > 0 && sa.spiIn !== old[0]!.spiIn),
        );
      });
      // Noticed within a second, told, and the main thread went on meanwhile.
      const [struck, noticed] = [/SIGUSR2: .* gets a fault/, /the worker of the data plane .* is started anew/].map(
        (line) => gateway.loggedAt(line, written),
      );
      expect(gateway.log.slice(written)).toMatch(new RegExp(`${why.source}: it is started anew`));
      expect(noticed! - struck!).toBeLessThan(1000);
      expect([...problems].filter((each) => /^no packet passes: the data plane /.test(each))).toHaveLength(1);
      expect(slowest).toBeLessThan(1000);
      expect(pings.lost.length).toBeLessThan(500);
      expect(pings.doubled).toBe(0);
      expect((await gateway.status()).problems).toEqual([]);

      const sent = espSeen(await capture.stop()).filter(({ source }) => source === ADDRESSES.gwA);
      expectNothingTwice(sent);
      const [before, after] = [sent.filter(({ at }) => at < noticed!), sent.filter(({ at }) => at >= noticed!)];
      expect(Math.min(before.length, after.length)).toBeGreaterThan(10);
      expect(new Set(before.map(({ spi }) => spi))).toEqual(oldOut);
      expect(after.filter(({ spi }) => oldOut.has(spi))).toEqual([]);
      expect(after[0]!.sequence).toBe(1);
    } finally {
      await capture.remove();
    }
    expect(await active()).toHaveLength(1);
    if (swan !== undefined) await oneOfEach(swan);
  });

  it('no key was used for two SAs, and the peer refused nothing', async () => {
    const rows = readFileSync(join(keyLog, 'esp_sa'), 'utf8').trim().split('\n');
    const [spis, keys] = [3, 5].map((column) => rows.map((row) => row.split(',')[column]!));
    expect(rows.length).toBeGreaterThanOrEqual(8);
    expect(new Set(spis).size).toBe(rows.length);
    expect(new Set(keys).size).toBe(rows.length);
    if (other === undefined) return;
    const { drops } = await other.status();
    expect([drops.espReplay, drops.espIntegrity, drops.espUnknownSpi]).toEqual([undefined, undefined, undefined]);
  });
});

describeWithPeers('a worker that is lost', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let other: Bulkhead;

  beforeAll(async () => {
    network = new Topology();
    other = await Bulkhead.start(network, 'gwB', bulkheadEnd({ start: 'listen' }, {}, 'B'));
  });

  afterAll(async () => {
    await other?.stop();
    await network?.close();
  });

  afterEach(() => gateway?.remove());

  const begin = async (fault: 'wedge' | 'throw' | 'kill'): Promise<void> => {
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd({ start: 'demand' }), withFaults(fault));
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
  };

  const devices = () => network.must('gwA', 'ip', ['-o', 'link']);

  it('again and again is started anew after pauses, and the process answers and ends as ever', async () => {
    await begin('kill');
    for (let round = 1; round <= 5; round++) {
      gateway.signal('SIGUSR2');
      const pauses = round <= 3 ? '' : ` in ${2 ** (round - 4)} s`;
      const started = new RegExp(`was killed on demand: it is started anew${pauses}"`, 'g');
      await until(() => (gateway.log.match(started)?.length ?? 0) === (round <= 3 ? round : 1), 5000);
      if (round === 5) break;
      await until(() => gateway.log.match(new RegExp(RUNS_ANEW, 'g'))?.length === round, 5000);
      // The peer's first answers still go to the SA that is no more.
      await until(async () => (await network.ping('hostA', ADDRESSES.hostB, 1, { wait: 1 })) === 1, 5000);
    }
    const at = performance.now();
    const { state, problems } = await gateway.status();
    expect(performance.now() - at).toBeLessThan(500);
    expect([state, problems.map(({ problem }) => problem)]).toEqual([
      'degraded',
      ['no packet passes: the data plane was killed on demand'],
    ]);
    gateway.signal('SIGTERM');
    expect(await gateway.end(5000)).toBe(0);
    expect(await devices()).not.toContain('bh0');
    // IKE without NAT does not depend on the worker: the DELETE arrived.
    await other.when(({ ikeSas }) => ikeSas.length === 0, 2000);
  });

  it.each([
    { when: 'while it stands still', fault: 'wedge', milliseconds: 50 },
    { when: 'while the next one starts', fault: 'kill', milliseconds: 50 },
    { when: 'while the next one gets its SAs', fault: 'throw', milliseconds: 350 },
  ] as const)('SIGTERM $when ends with 0 and leaves nothing', async ({ fault, milliseconds }) => {
    await begin(fault);
    gateway.signal('SIGUSR2');
    await gateway.logged(/gets a fault/);
    await pause(milliseconds);
    gateway.signal('SIGTERM');
    expect(await gateway.end(5000)).toBe(0);
    expect(await devices()).not.toContain('bh0');
    await other.when(({ ikeSas }) => ikeSas.length === 0, 2000);
  });

  it('a second SIGTERM while it stands still ends at once with 1', async () => {
    await begin('wedge');
    await other.kill();
    gateway.signal('SIGUSR2');
    await gateway.logged(/gets a fault/);
    gateway.signal('SIGTERM');
    await gateway.logged(/SIGTERM: stopping/);
    gateway.signal('SIGTERM');
    expect(await gateway.end(2500)).toBe(1);
    expect(await devices()).not.toContain('bh0');
    await other.launch();
  });
});

describeWithPeers('devices and addresses come and go while packets of a tenant flow', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let other: Bulkhead;

  beforeAll(async () => {
    network = new Topology();
    other = await Bulkhead.start(network, 'gwB', bulkheadEnd({ start: 'listen' }, {}, 'B'));
    gateway = await Bulkhead.start(network, 'gwA', documentOf());
    expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
  });

  afterAll(async () => {
    await gateway?.stop();
    await other?.stop();
    await network?.close();
  });

  const MORE = '192.0.2.7';

  function documentOf(more: readonly TenantText[] = [], addresses: readonly string[] = [ADDRESSES.gwA]): DocumentText {
    const connection = { start: 'demand', local: { address: ADDRESSES.gwA } } as const;
    return { gateway: { external: { addresses } }, tenants: [tenant(connection), ...more] };
  }

  const neighbour = (mtu: number, names: readonly string[]): TenantText => ({
    name: 'contoso',
    interfaces: names.map((name, i) => ({ name, device: `bh-${name}`, mtu, addresses: [`10.7.${i}.1/24`] })),
  });

  const devices = async (): Promise<readonly string[]> =>
    [...(await network.must('gwA', 'ip', ['-o', 'link'])).matchAll(/^\d+: (bh[^:@]*)/gm)].map((m) => m[1]!).sort();

  it('another tenant’s devices are added, changed and removed: no packet is lost', async () => {
    const [before] = await gateway.childSas();
    const pings = await flood(network, async () => {
      for (let round = 0; round < 4; round++) {
        await gateway.reload(documentOf([neighbour(1400, ['one', 'two'])]));
        await gateway.reload(documentOf([neighbour(1300, ['two', 'three'])]));
        expect(await devices()).toEqual(['bh-three', 'bh-two', 'bh0']);
        expect(await network.must('gwA', 'ip', ['-o', 'link', 'show', 'dev', 'bh-two'])).toContain('mtu 1300 ');
        await gateway.reload(documentOf());
      }
      await until(async () => (await devices()).length === 1);
    });
    expect(pings).toMatchObject({ lost: [], doubled: 0 });
    expect((await gateway.childSas()).map(({ spiIn }) => spiIn)).toEqual([before!.spiIn]);
    expect((await gateway.status()).problems).toEqual([]);
  });

  it('addresses are listened on and left, in quick succession: no packet is lost', async () => {
    await network.must('gwA', 'ip', ['addr', 'add', `${MORE}/24`, 'dev', 'out']);
    const heard = async (): Promise<number> => (await gateway.status()).listen.filter((l) => l.address === MORE).length;
    const pings = await flood(network, async () => {
      for (let round = 0; round < 6; round++) {
        await gateway.reload(documentOf([], [ADDRESSES.gwA, MORE]));
        expect(await heard()).toBe(3);
        await gateway.reload(documentOf());
        expect(await heard()).toBe(0);
      }
      // None waits for the one before.
      const documents = [documentOf([], [ADDRESSES.gwA, MORE]), documentOf()];
      for (let i = 0; i < 8; i++) {
        gateway.write(documents[i % 2]!);
        gateway.signal('SIGHUP');
        await pause(3);
      }
      await gateway.reload(documents[0]!);
      expect(await heard()).toBe(3);
    });
    expect(pings).toMatchObject({ lost: [], doubled: 0 });
    expect((await gateway.status()).problems).toEqual([]);
    expect(gateway.log).not.toMatch(/cannot listen|EADDRINUSE/);
    await gateway.reload(documentOf());
  });

  it('a device that somebody deletes is a problem of its tenant alone, and comes again by a reload', async () => {
    await gateway.reload(documentOf([neighbour(1400, ['one'])]));
    const pings = await flood(network, async () => {
      await network.must('gwA', 'ip', ['link', 'del', 'bh-one']);
      await gateway.logged(/TUN device bh-one is gone/);
    });
    expect(pings).toMatchObject({ lost: [], doubled: 0 });
    const down = { tenant: 'contoso', problem: expect.stringMatching(/^interface one \(bh-one\) is down/) };
    expect((await gateway.status()).problems).toMatchObject([down]);
    await gateway.reload(documentOf([neighbour(1400, ['one'])]));
    expect(await devices()).toContain('bh-one');
    expect((await gateway.status()).problems).toEqual([]);

    await network.must('gwA', 'ip', ['link', 'del', 'bh0']);
    await gateway.logged(/TUN device bh0 is gone/);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2, { wait: 1 })).toBe(0);
    await gateway.reload(documentOf());
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    expect((await gateway.status()).problems).toEqual([]);
    expect((gateway.log.match(/is gone/g) ?? []).length).toBe(2);
  });
});
