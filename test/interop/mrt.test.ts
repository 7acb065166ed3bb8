/** MRT files between us and others: `bgpctl` reads what we write, BIRD is told by a replay what FRR had written. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import {
  dumpRib,
  encodeControlMessage,
  encodeRecord,
  IPV4_UNICAST,
  IPV6_UNICAST,
  KEEPALIVE,
  type MrtRecord,
  Rib,
} from '../../src/bgp/index.ts';
import { concat } from '../../src/core/index.ts';
import { parseAddress, parsePrefix } from '../../src/ip/index.ts';
import { mrtPath } from '../bgp/mrt/files.ts';
import { attribute, peerOptions, update, usual } from '../bgp/rib/speakers.ts';
import { run } from '../cli/world.ts';
import { requirePeers } from '../support/peers.ts';
import { sh, start } from '../support/process.ts';

const NONE = new Uint8Array(0);
const folder = mkdtempSync(join(tmpdir(), 'bulkhead-mrt-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

requirePeers('openbgpd')('RFC 6396: bgpctl of OpenBGPD reads', () => {
  const shown = (records: readonly MrtRecord[]): string[] => {
    const file = join(folder, 'ours.mrt');
    writeFileSync(file, concat(...records.map(encodeRecord)));
    const { stdout } = spawnSync('bgpctl', ['show', 'mrt', 'detail', 'file', file], { encoding: 'utf8' });
    return stdout.split('\n').map((line) => line.trim());
  };

  it('a dump of tables', () => {
    const rib = new Rib({ localAs: 65_000, routerId: 1 });
    const [one, two] = [rib.add(peerOptions(1)), rib.add(peerOptions(2))];
    rib.originate(parsePrefix('192.0.2.0/24')!, { why: 'a network' });
    rib.receive(one, update(NONE, usual([65_001, 70_000], [10, 0, 0, 1]), Uint8Array.of(8, 20)), 0);
    rib.receive(two, update(NONE, usual([65_002], [10, 0, 0, 2]), Uint8Array.of(8, 20)), 0);
    const reach = attribute(0x80, 14, 0, 2, 1, 16, ...parseAddress('2001:db8::2')!, 0, 16, 0x20, 1);
    rib.receive(one, update(NONE, concat(reach, usual([65_001], [10, 0, 0, 1]).subarray(0, -7)), NONE), 0);
    rib.flush();
    const options = { collector: 1, view: 'blue', families: [IPV4_UNICAST, IPV6_UNICAST], seconds: 1e9, now: 0 };
    const lines = shown([...dumpRib(rib, options)]).filter((line) => /^(BGP routing|\d|Nexthop)/.test(line));
    expect(lines).toEqual([
      'BGP routing table entry for 192.0.2.0/24',
      'Nexthop 0.0.0.0 (via 0.0.0.0) Neighbor 0.0.0.0 (0.0.0.0)',
      'BGP routing table entry for 20.0.0.0/8',
      '65002',
      'Nexthop 10.0.0.2 (via 10.0.0.2) Neighbor 10.0.0.2 (10.0.0.2)',
      'BGP routing table entry for 20.0.0.0/8',
      '65001 70000',
      'Nexthop 10.0.0.1 (via 10.0.0.1) Neighbor 10.0.0.1 (10.0.0.1)',
      'BGP routing table entry for 2001::/16',
      '65001',
      'Nexthop 2001:db8::2 (via 2001:db8::2) Neighbor 10.0.0.1 (10.0.0.1)',
    ]);
  });

  it('messages and changes of state', () => {
    // §3: the time of the first record, and of each other one what has passed since the one before.
    const at = (millis: number) => ({
      seconds: 1_000_000_000 + Math.floor(millis / 1000),
      micros: (millis % 1000) * 1000,
    });
    const session = {
      peerAs: 65_001,
      localAs: 65_000,
      interfaceIndex: 0,
      peer: parseAddress('192.0.2.1')!,
      local: parseAddress('192.0.2.2')!,
      fourOctetAs: true,
    };
    const message = { kind: 'message', ...session, addPath: false, sent: false } as const;
    const lines = shown([
      { kind: 'state', time: at(900), ...session, from: 5, to: 6 },
      { ...message, time: at(1_240), message: encodeControlMessage(KEEPALIVE) },
      {
        ...message,
        time: at(3_000),
        message: update(NONE, usual([65_001, 70_000], [10, 0, 0, 1]), Uint8Array.of(8, 20)),
      },
    ]);
    expect(lines).toEqual([
      '1000000000.900000 192.0.2.1[65001] -> 192.0.2.2[65000]: OpenConfirm -> Established',
      '0.340000 192.0.2.1[65001] -> 192.0.2.2[65000]: size 19 KEEPALIVE',
      '1.760000 192.0.2.1[65001] -> 192.0.2.2[65000]: size 49 UPDATE',
      'Origin: IGP',
      'AS-Path: 65001 70000',
      'Nexthop: 10.0.0.1',
      'NLRI prefixes: 20.0.0.0/8',
      '',
    ]);
  });
});

requirePeers('linux', 'bird')('bgp replay', () => {
  it.each(['frr-table', 'frr-messages'] as const)('tells BIRD the routes of %s', async (name) => {
    const [config, control] = [join(folder, 'bird.conf'), join(folder, `${name}.ctl`)];
    const channels = 'ipv4 { import all; export none; add paths rx; }; ipv6 { import all; export none; };';
    writeFileSync(
      config,
      `router id 10.254.7.1;
protocol device {}
protocol bgp replay { local 127.0.0.1 port ${PORT} as 65001; neighbor 127.0.0.9 as 65002; passive; multihop; ${channels} }`,
    );
    const bird = start('bird', ['-f', '-c', config, '-s', control, '-P', join(folder, 'bird.pid')]);
    try {
      const show = (...words: string[]): string => sh('birdc', ['-s', control, 'show', ...words], true);
      await until(() => show('protocols').includes('Passive'));
      const flags = `--to 127.0.0.1:${PORT} --source 127.0.0.9 --peer 10.254.7.2 --next-hop keep`;
      const stop = new AbortController();
      const replaying = run(`bgp replay ${mrtPath(name).pathname} ${flags}`, undefined, { signal: stop.signal });
      await until(() => show('route').includes('2001:db8:3::1/128'));
      const routes = show('route')
        .split('\n')
        .filter((line) => line.includes('[AS'));
      expect(routes.map((line) => line.split(' ')[0]).sort()).toEqual([
        '0.0.0.0/0',
        '10.1.0.0/24',
        '10.1.1.0/24',
        '10.1.2.128/25',
        '10.2.0.0/16',
        '10.3.3.3/32',
        '2001:db8:1::/48',
        '2001:db8:2::/64',
        '2001:db8:3::1/128',
        '::/0',
      ]);
      stop.abort();
      expect((await replaying).exit).toBe(0);
      await until(() => show('protocols', 'all', 'replay').includes('Administrative shutdown'));
      expect(show('protocols', 'all', 'replay')).toContain('interrupted');
    } finally {
      await bird.stop();
    }
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !holds(); tries++) await new Promise((resolve) => setTimeout(resolve, 50));
}

const PORT = 17_909;
