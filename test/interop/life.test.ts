/** Ends and restarts of either side: liveness checks, deletes, INITIAL_CONTACT, signals, reloads. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Bulkhead } from '../support/bulkhead.ts';
import { ADDRESSES, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { until } from '../support/process.ts';
import { Strongswan } from '../support/strongswan.ts';
import { bulkheadEnd, connection, noneLeft, oneOfEach, PSK, swanConnections, swanEnd, tenant } from './ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'tun', 'koffi', 'strongswan', 'ethtool', 'ping');

describeWithPeers('a tunnel to strongSwan', () => {
  let network: Topology;
  let gateway: Bulkhead;
  let swan: Strongswan;

  beforeEach(async () => {
    network = new Topology();
    swan = await Strongswan.start(network, 'gwB', swanEnd());
    gateway = await Bulkhead.start(network, 'gwA', bulkheadEnd({ start: 'demand' }));
  });

  afterEach(async () => {
    await gateway?.remove();
    await swan?.stop();
    await network?.close();
  });

  const reaches = async (): Promise<void> => expect(await network.ping('hostA', ADDRESSES.hostB, 1)).toBe(1);
  const devices = () => network.must('gwA', 'ip', ['-o', 'link']);

  it.each([
    { start: 'boot', after: 'waiting', returns: 'by itself' },
    { start: 'demand', after: 'down', returns: 'with the next packet' },
  ] as const)(
    'RFC 7296 §2.4: strongSwan dies, is missed, and comes back ($start: $returns)',
    async ({ start, after }) => {
      await gateway.reload(bulkheadEnd({ start, dpdSeconds: 1, ike: { giveUpSeconds: 5 } }));
      if (start === 'demand') await reaches();
      await gateway.when(({ state }) => state === 'up');
      await swan.kill();
      const lost = await gateway.when(({ childSas }) => childSas.length === 0, 20_000);
      expect(lost.ikeSas.filter(({ state }) => state === 'established')).toEqual([]);
      expect(lost.lastFailure).toMatchObject({
        code: 'dpd',
        problem: expect.stringMatching(/^the peer 198\.51\.100\.1:4500 stopped answering: no reply for \d s$/),
      });
      expect(lost.state === 'connecting' ? 'waiting' : lost.state).toBe(after);
      expect((await gateway.status()).state).toBe('degraded');
      await swan.launch();
      await swan.load({ connections: swanConnections() });
      if (start === 'demand') await until(async () => (await network.ping('hostA', ADDRESSES.hostB, 1)) === 1, 20_000);
      await gateway.when(({ state }) => state === 'up', 20_000);
      await reaches();
      await oneOfEach(swan);
      expect((await gateway.status()).state).toBe('ok');
    },
  );

  it('RFC 7296 §2.4: killed and started again, our INITIAL_CONTACT leaves strongSwan with one IKE SA', async () => {
    await reaches();
    const [before] = await swan.listSas();
    await gateway.kill();
    await gateway.launch();
    await reaches();
    await oneOfEach(swan);
    const [after] = await swan.listSas();
    expect(after?.spiI).not.toBe(before?.spiI);
    expect(swan.log).toMatch(/destroying duplicate IKE_SA for peer '192\.0\.2\.1', received INITIAL_CONTACT/);
  });

  it("RFC 7296 §2.4: strongSwan killed and started again, its INITIAL_CONTACT takes our old SA's place at once", async () => {
    await reaches();
    const [before] = await gateway.ikeSas();
    await swan.kill();
    await swan.launch();
    await swan.load({ connections: swanConnections() });
    expect((await swan.initiate()).code).toBe(0);
    const { ikeSas, childSas } = await gateway.when((c) => c.ikeSas.length === 1 && c.childSas.length === 1);
    expect(ikeSas[0]).toMatchObject({ role: 'responder', state: 'established' });
    expect(ikeSas[0]?.spiI).not.toBe(before?.spiI);
    expect(childSas[0]?.state).toBe('active');
    await reaches();
  });

  it('RFC 7296 §1.4.1: the Child SA is deleted by either end and made anew on the same IKE SA by the next packet', async () => {
    await reaches();
    const [ike] = await gateway.ikeSas();
    for (const who of ['strongSwan', 'Bulkhead']) {
      const [old] = await gateway.childSas();
      if (who === 'strongSwan') await swan.terminate({ child: 'net' });
      else {
        const words = ['connections', 'down', 'hq', '--what', 'child', '--wait', '10'];
        expect(await gateway.cli(...words)).toMatchObject([{ outcome: 'done' }]);
      }
      await gateway.when(({ childSas }) => childSas.every(({ state }) => state === 'draining'));
      await until(async () => (await swan.installed()).length === 0);
      await reaches();
      const { ikeSas, childSas } = await gateway.connection();
      expect(ikeSas.map(({ spiI }) => spiI)).toEqual([ike?.spiI]);
      expect(childSas.filter(({ state }) => state === 'active').map(({ spiIn }) => spiIn)).not.toContain(old?.spiIn);
      await oneOfEach(swan);
    }
  });

  it('RFC 7296 §1.4.1: the IKE SA is deleted by either end with its Child SA, and the next packet begins anew', async () => {
    await reaches();
    await swan.terminate({ ike: 's2s' });
    await gateway.when(({ ikeSas, childSas }) => ikeSas.length === 0 && childSas.length === 0);
    await reaches();
    await oneOfEach(swan);
    expect(await gateway.cli('connections', 'down', 'hq', '--wait', '10')).toMatchObject([{ outcome: 'done' }]);
    await noneLeft(swan);
    await gateway.when(({ ikeSas, childSas }) => ikeSas.length === 0 && childSas.length === 0);
    await reaches();
    await oneOfEach(swan);
  });

  it('SIGTERM deletes the SAs, removes the device and ends with 0', async () => {
    await reaches();
    expect(await devices()).toContain('bh0');
    await gateway.stop();
    await noneLeft(swan, 2_000);
    expect(swan.log).toMatch(/received DELETE for IKE_SA/);
    expect(await devices()).not.toContain('bh0');
    expect(await network.must('gwA', 'ip', ['route'])).not.toContain('10.2.0.0/24');
  });

  it('SIGTERM with a peer that does not answer ends with 0 within five seconds; SIGINT is the same', async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      await reaches();
      await swan.kill();
      gateway.signal(signal);
      expect(await gateway.end(5_000)).toBe(0);
      expect(await devices()).not.toContain('bh0');
      if (signal === 'SIGINT') return;
      await swan.launch();
      await swan.load({ connections: swanConnections() });
      await gateway.launch();
    }
  });

  it('a second signal ends it at once with 1', async () => {
    await reaches();
    await swan.kill();
    gateway.signal('SIGTERM');
    await gateway.logged(/SIGTERM: stopping; once more ends at once/);
    gateway.signal('SIGTERM');
    expect(await gateway.end(1_500)).toBe(1);
    expect(await devices()).not.toContain('bh0');
  });

  it('SIGHUP touches only what changed: another connection keeps its SPIs and counters', async () => {
    const [lower, upper] = [
      { local: ['10.1.0.0/25'], remote: ['10.2.0.0/25'] },
      { local: ['10.1.0.128/25'], remote: ['10.2.0.128/25'] },
    ];
    const document = (dpdSeconds: number, more: readonly string[] = []) => ({
      tenants: [
        {
          ...tenant(),
          connections: [
            connection({
              start: 'boot',
              remote: { address: ADDRESSES.gwB, id: 'one.example' },
              child: lower!,
            }),
            connection({
              name: 'branch',
              start: 'boot',
              remote: { address: ADDRESSES.gwB, id: 'two.example' },
              child: upper!,
              dpdSeconds,
            }),
          ],
        },
        ...more.map((name) => ({ name })),
      ],
    });
    await gateway.reload({ tenants: [] });
    await network.must('hostA', 'ip', ['addr', 'add', '10.1.0.130/24', 'dev', 'eth0']);
    await network.must('hostB', 'ip', ['addr', 'add', '10.2.0.130/24', 'dev', 'eth0']);
    // libipsec wants an address of its own within each local selector.
    await network.must('gwB', 'ip', ['addr', 'add', '10.2.0.129/24', 'dev', 'in']);
    const pingUpper = (count: number) =>
      network.must('hostA', 'ping', ['-n', '-c', String(count), '-i', '0.2', '-I', '10.1.0.130', '10.2.0.130']);
    const base = swanConnections().s2s!;
    const end = (localId: string, pair: typeof lower) => ({
      ...base,
      localId,
      psk: PSK,
      children: { [`net-${localId[0]}`]: { localTs: pair!.remote, remoteTs: pair!.local } },
    });
    await swan.load({ connections: { one: end('one.example', lower), two: end('two.example', upper) } });
    await gateway.reload(document(30));
    await gateway.when(({ state }) => state === 'up', 15_000, 'hq');
    await gateway.when(({ state }) => state === 'up', 15_000, 'branch');
    expect(await network.ping('hostA', ADDRESSES.hostB, 5)).toBe(5);
    await pingUpper(3);
    const spis = async (name: string) => {
      const { ikeSas, childSas } = await gateway.connection(name);
      const [sa] = childSas;
      return [ikeSas.map(({ spiI }) => spiI), sa?.spiIn, sa?.spiOut, sa?.packetsIn, sa?.packetsOut];
    };
    const [hq, branch] = [await spis('hq'), await spis('branch')];
    expect([hq.slice(3), branch.slice(3)]).toEqual([
      [5, 5],
      [3, 3],
    ]);

    gateway.write(document(30));
    gateway.signal('SIGHUP');
    await gateway.logged(/reloaded: nothing has changed/);
    expect([await spis('hq'), await spis('branch')]).toEqual([hq, branch]);

    gateway.write(document(29, ['contoso']));
    gateway.signal('SIGHUP');
    await gateway.logged(/connection fabrikam\/branch: dpdSeconds 30 → 29/);
    await until(
      async () => (await spis('branch'))[1] !== branch[1] && (await gateway.connection('branch')).state === 'up',
    );
    expect(await spis('hq')).toEqual(hq);
    expect((await gateway.status()).tenants).toBe(2);
    expect(await network.ping('hostA', ADDRESSES.hostB, 2)).toBe(2);
    await pingUpper(2);
    expect((await spis('hq')).slice(3)).toEqual([7, 7]);

    gateway.write('version: 1\nnonsense: 1\n');
    gateway.signal('SIGHUP');
    await gateway.logged(/the document has errors: nothing was changed/);
    expect((await spis('hq')).slice(0, 3)).toEqual(hq.slice(0, 3));
  });

  it('a device that changes by a reload is made anew under its name, and the tunnel goes on', async () => {
    await reaches();
    const [before] = await gateway.childSas();
    const changed = tenant({ start: 'demand' });
    const [inside] = changed.interfaces!;
    for (const mtu of [1400, 1450, 1500]) {
      await gateway.reload({ tenants: [{ ...changed, interfaces: [{ ...inside!, mtu }] }] });
      expect(await network.must('gwA', 'ip', ['-o', 'link', 'show', 'dev', 'bh0'])).toContain(`mtu ${mtu} `);
      await reaches();
    }
    expect((await gateway.childSas()).map(({ spiIn, packetsOut }) => [spiIn, packetsOut])).toEqual([
      [before?.spiIn, 4],
    ]);
    expect((await gateway.status()).problems).toEqual([]);
  });
});
