import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { iperf } from '../support/iperf.ts';
import { ADDRESSES, ADDRESSES6, sweepNamespaces, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { run, start, until } from '../support/process.ts';
import { Strongswan, type SwanConnection, type SwanOptions } from '../support/strongswan.ts';
import { Capture, tsharkFields, tsharkJson } from '../support/tshark.ts';

const describeWithPeers = requirePeers(
  'linux',
  'root',
  'netns',
  'tun',
  'strongswan',
  'tshark',
  'tcpdump',
  'iperf3',
  'nft',
  'ethtool',
  'ping',
);

const PSK = 'a key that both of them know';

function ends(local: 'A' | 'B', more: Partial<SwanConnection> = {}): SwanOptions {
  const [here, there, mine, theirs] =
    local === 'A'
      ? [ADDRESSES.gwA, ADDRESSES.gwB, '10.1.0.0/24', '10.2.0.0/24']
      : [ADDRESSES.gwB, ADDRESSES.gwA, '10.2.0.0/24', '10.1.0.0/24'];
  return {
    logLevel: 4,
    connections: {
      s2s: {
        localAddress: here,
        remoteAddress: there,
        psk: PSK,
        proposals: 'aes128gcm16-prfsha256-ecp256',
        children: { net: { localTs: [mine], remoteTs: [theirs], proposals: 'aes128gcm16' } },
        ...more,
      },
    },
  };
}

const temporary = () =>
  readdirSync(tmpdir()).filter((name) => new RegExp(`^bh-(swan|pcap|tshark)-${process.pid}-`).test(name));
const namespaces = () =>
  (existsSync('/run/netns') ? readdirSync('/run/netns') : []).filter((name) => name.startsWith(`bh${process.pid}-`));
const processes = () =>
  execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(process.pid)], { encoding: 'utf8' }).match(
    /charon|tcpdump|iperf3|dumpcap/g,
  ) ?? [];

describeWithPeers('two strongSwans in five namespaces', () => {
  let network: Topology;
  let a: Strongswan;
  let b: Strongswan;
  let capture: Capture | undefined;

  beforeAll(async () => {
    sweepNamespaces();
    network = new Topology();
    [a, b] = await Promise.all([
      Strongswan.start(network, 'gwA', ends('A')),
      Strongswan.start(network, 'gwB', ends('B')),
    ]);
  });

  afterAll(async () => {
    await capture?.remove();
    await a?.stop();
    await b?.stop();
    await network?.close();
    expect(namespaces()).toEqual([]);
    expect(temporary()).toEqual([]);
    expect(processes()).toEqual([]);
  });

  it('the gateways reach each other in both families, the hosts do not', async () => {
    expect(await network.ping('gwA', ADDRESSES.gwB)).toBe(3);
    expect(await network.ping('gwA', ADDRESSES6.gwB)).toBe(3);
    expect(await network.ping('hostA', ADDRESSES.hostB, 1, { wait: 1 })).toBe(0);
  });

  it('they connect, hosts ping through, and the capture shows ESP in UDP that tshark decrypts', async () => {
    capture = await Capture.start(network, 'inet', 'toA', 'udp port 500 or udp port 4500 or icmp');
    const { code, stdout } = await a.initiate();
    expect(stdout).toContain('initiate completed successfully');
    expect(code).toBe(0);
    expect(await network.ping('hostA', ADDRESSES.hostB, 5)).toBe(5);
    expect(await network.ping('hostB', ADDRESSES.hostA, 2, { size: 1300 })).toBe(2);
    const file = await capture.stop();

    const [sa] = await a.listSas();
    expect(sa).toMatchObject({
      name: 's2s',
      state: 'ESTABLISHED',
      initiator: true,
      suite: 'AES_GCM_16-128/PRF_HMAC_SHA2_256/ECP_256',
      localId: ADDRESSES.gwA,
      remoteHost: ADDRESSES.gwB,
      remotePort: 4500,
    });
    const [child] = sa!.children;
    expect(child).toMatchObject({
      name: 'net',
      state: 'INSTALLED',
      encap: true,
      suite: 'AES_GCM_16-128',
      localTs: ['10.1.0.0/24'],
      remoteTs: ['10.2.0.0/24'],
      packetsIn: 7,
      packetsOut: 7,
    });
    const [mirror] = await b.installed();
    expect([mirror?.spiIn, mirror?.spiOut]).toEqual([child?.spiOut, child?.spiIn]);

    const keys = [
      ...a.log.matchAll(
        /encryption (initiator|responder) key => 20 bytes.*\n.*?0: ((?:[0-9A-F]{2} )+) .*\n.*?16: ((?:[0-9A-F]{2} )+) /g,
      ),
    ].map((m) => `${m[2]}${m[3]}`.replaceAll(' ', ''));
    expect(keys).toHaveLength(2);
    const row = (from: string, to: string, spi: string | undefined, key: string | undefined) =>
      `"IPv4","${from}","${to}","0x${spi}","AES-GCM with 16 octet ICV [RFC4106]","0x${key}","NULL",""`;
    const espKeys = [
      row(ADDRESSES.gwA, ADDRESSES.gwB, child?.spiOut, keys[0]),
      row(ADDRESSES.gwB, ADDRESSES.gwA, child?.spiIn, keys[1]),
    ];
    const options = { espKeys, filter: 'esp' };
    const frames = await tsharkFields(file, ['ip.src', 'udp.dstport', 'esp.sequence', 'icmp.type'], options);
    expect(frames).toHaveLength(14);
    expect(frames.slice(0, 2)).toEqual([
      [`${ADDRESSES.gwA},${ADDRESSES.hostA}`, '4500', '1', '8'],
      [`${ADDRESSES.gwB},${ADDRESSES.hostB}`, '4500', '1', '0'],
    ]);
    expect(await tsharkJson(file, { filter: 'icmp and not esp' })).toEqual([]);
    expect((await tsharkJson(file, { filter: 'isakmp' })).length).toBeGreaterThanOrEqual(4);
  });

  it('iperf3 runs through the tunnel', async () => {
    const tcp = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, { seconds: 1 });
    expect(tcp.bytes).toBeGreaterThan(100_000);
    const udp = await iperf(network, 'hostA', 'hostB', ADDRESSES.hostB, {
      seconds: 1,
      udp: true,
      length: 100,
      bitsPerSecond: 80_000,
    });
    expect(udp.packets).toBeGreaterThan(50);
  });

  it('a Child SA and the IKE SA are rekeyed, and a Child SA is deleted', async () => {
    const [first] = await b.installed();
    await b.rekey({ child: 'net' });
    await until(
      async () =>
        (await b.installed()).every((child) => child.spiIn !== first!.spiIn) && (await b.installed()).length === 1,
    );
    const [ike] = await a.established();
    await a.rekey({ ike: 's2s' });
    await until(
      async () => (await a.established()).every((sa) => sa.spiI !== ike!.spiI) && (await a.established()).length === 1,
    );
    expect(await network.ping('hostA', ADDRESSES.hostB)).toBe(3);
    await a.terminate({ child: 'net' });
    expect(await a.installed()).toEqual([]);
  });

  it('charon is killed without a word, starts again and is told about it by nobody', async () => {
    await a.kill();
    await a.launch();
    expect(await a.listSas()).toEqual([]);
    await a.load(ends('A'));
    expect((await a.initiate()).code).toBe(0);
    expect(await network.ping('hostB', ADDRESSES.hostA)).toBe(3);
  });
});

describeWithPeers('NAT in the middle', () => {
  let network: Topology;
  const swans: Strongswan[] = [];

  beforeAll(async () => {
    network = new Topology({ nat: true, natTimeouts: { unreplied: 30, replied: 60 } });
    const id = { localId: 'a.example', remoteId: 'b.example' };
    swans.push(await Strongswan.start(network, 'gwA', ends('A', id)));
    const answering = { remoteAddress: '%any', localId: 'b.example', remoteId: 'a.example' };
    swans.push(await Strongswan.start(network, 'gwB', ends('B', answering)));
  });

  afterAll(async () => {
    for (const swan of swans) await swan.stop();
    await network?.close();
  });

  it('gwB sees another address and port, before and after the NAT box forgets', async () => {
    const [a, b] = swans as [Strongswan, Strongswan];
    expect((await a.initiate()).code).toBe(0);
    const [seen] = await b.established();
    expect(seen?.remoteHost).toBe(ADDRESSES.inetB);
    expect(seen?.remotePort).toBeGreaterThanOrEqual(20_000);
    expect(seen?.natRemote).toBe(true);
    expect(await network.ping('hostA', ADDRESSES.hostB)).toBe(3);
    network.renat();
    // With kernel-libipsec charon follows a peer by IKE messages only, not by ESP.
    await a.rekey({ child: 'net' });
    await until(async () => (await b.established())[0]?.remotePort !== seen?.remotePort);
    expect(await network.ping('hostA', ADDRESSES.hostB)).toBe(3);
  });
});

describeWithPeers('processes', () => {
  it('tell their output, their end and their absence', async () => {
    expect(await run('sh', ['-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      code: 3,
      stdout: 'out\n',
      stderr: 'err\n',
    });
    expect((await run('no-such-program', [])).code).toBe(127);
    const sleeping = start('sh', ['-c', 'echo ready; exec sleep 60']);
    await sleeping.line(/ready/);
    await expect(sleeping.line(/never/, 50)).rejects.toThrow('sh never wrote /never/');
    expect(await sleeping.stop()).toBe(128);
    expect(sleeping.running).toBe(false);
  });

  it('the network of a test process that was killed is swept by the next', async () => {
    execFileSync('ip', ['netns', 'add', 'bh4194305-1-gwA']);
    expect(sweepNamespaces()).toContain('bh4194305-1-gwA');
    expect(existsSync('/run/netns/bh4194305-1-gwA')).toBe(false);
  });
});
