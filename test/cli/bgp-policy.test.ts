import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { run } from './world.ts';

const folder = mkdtempSync(join(tmpdir(), 'bulkhead-policy-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'gateway.yaml');
writeFileSync(
  file,
  `version: 1
gateway: { name: gw1, external: { addresses: [203.0.113.10] } }
tenants:
${['fabrikam', 'contoso']
  .map(
    (name) => `  - name: ${name}
    interfaces: [{ name: inside, driver: tun, device: bh-${name.slice(0, 4)}, addresses: [10.1.0.1/24, "2001:db8:1::1/64"] }]
    bgp:
      asn: 65010
      transit: ${name === 'fabrikam'}
      peers:
        - name: hq
          address: 10.1.0.2
          asn: 65020
          families: [ipv4, ipv6]
          import:
            - { prefix: 0.0.0.0/0, action: reject }
            - { prefix: 10.0.0.0/8, ge: 16, le: 24, set: { localPreference: 200, addCommunities: ["65010:20"] } }
            - { community: [no-peer], set: { weight: 5 } }
          export:
            - { community: [no-peer], action: reject }
            - { prefix: 10.0.0.0/8, le: 24, set: { med: 50, prepend: 2 } }
        - { name: ${name === 'fabrikam' ? 'inner' : 'other'}, address: 10.1.0.3, asn: 65010 }
        - { name: closed, address: 10.1.0.4, asn: 65030 }
        - { name: known, address: 10.1.0.5, asn: 65040, localAs: 65099, import: all, export: all }
`,
  )
  .join('')}`,
);

const lines = (...text: string[]): string => `${text.join('\n')}\n`;
const trial = (words: string, asPath?: string) =>
  run([...`bgp policy test -c ${file} ${words}`.split(' '), ...(asPath === undefined ? [] : ['--as-path', asPath])]);

describe('bgp policy test', () => {
  test('a clause accepts and edits: what comes in, and what it is behind policy', async () => {
    const words = '--peer fabrikam/hq 10.7.0.0/16 --community 65000:1,rt:65020:7';
    expect(await trial(words, '65020 65030')).toEqual({
      exit: 0,
      err: '',
      out: lines(
        '10.7.0.0/16 from fabrikam/hq: accepted: import[1] accepts it',
        'ATTRIBUTE         BEFORE              AFTER',
        'next hop          10.1.0.2            10.1.0.2',
        'AS path           65020 65030         65020 65030',
        'origin            igp                 igp',
        'local preference                      200',
        'communities       65000:1 rt:65020:7  65000:1 65010:20 rt:65020:7',
      ),
    });
  });

  test('a route of our own goes out', async () => {
    expect(await trial('--peer fabrikam/hq --direction out 10.1.0.0/24')).toEqual({
      exit: 0,
      err: '',
      out: lines(
        '10.1.0.0/24 to fabrikam/hq: accepted: export[1] accepts it',
        'ATTRIBUTE  BEFORE  AFTER',
        'next hop   self    10.1.0.1',
        'AS path            65010 65010 65010',
        'origin     igp     igp',
        'MED                50',
        'weight     32768   -',
      ),
    });
  });

  test('RFC 7705 §3: a peer that knows us by another AS', async () => {
    const pathOf = async (words: string, asPath: string) =>
      /AS path +(.*)/.exec((await trial(`--peer fabrikam/known ${words} 10.9.0.0/24`, asPath)).out)?.[1];
    expect(await pathOf('--direction out', '65033')).toBe('65033       65099 65033');
    expect(await pathOf('--direction out', '65099 65033')).toBe('65099 65033  65099 65099 65033');
    expect(await pathOf('--direction in', '65040 65033')).toBe('65040 65033  65040 65033');
    for (const own of [65_010, 65_099])
      expect((await trial('--peer fabrikam/known 10.9.0.0/24', `65040 ${own}`)).out).toContain('a loop');
  });

  test('RFC 4271 §5.1.4, §5.1.5: a route of others goes out with neither their MED nor our preference', async () => {
    const words = '--peer fabrikam/hq --direction out --med 7 --local-preference 300 10.9.0.0/24';
    expect((await trial(words, '65033 65034')).out).toBe(
      lines(
        '10.9.0.0/24 to fabrikam/hq: accepted: export[1] accepts it',
        'ATTRIBUTE         BEFORE       AFTER',
        'next hop          10.1.0.129   10.1.0.1',
        'AS path           65033 65034  65010 65010 65010 65033 65034',
        'origin            igp          igp',
        'MED               7            50',
        'local preference  300          -',
      ),
    );
  });

  test.each([
    ['--peer fabrikam/hq 0.0.0.0/0', undefined, 'import[0] refuses it'],
    ['--peer fabrikam/hq 10.7.0.0/25', undefined, 'no clause accepts it'],
    ['--peer fabrikam/hq 10.7.0.0/16', '65021 65020', 'AS_PATH does not begin with the AS of the peer'],
    [
      '--peer fabrikam/hq 10.7.0.0/16',
      '65020 65010',
      'our AS, identifier or cluster is in it: a loop (RFC 4271 §9.1.2, RFC 4456 §8)',
    ],
    [
      '--peer fabrikam/hq --next-hop 10.1.0.1 10.7.0.0/16',
      '65020 65033',
      'its next hop is our own address (RFC 4271 §5.1.3)',
    ],
    ['--peer fabrikam/closed 10.7.0.0/16', undefined, 'no import policy (RFC 8212)'],
    ['--peer fabrikam/closed --direction out 10.7.0.0/16', undefined, 'no export policy (RFC 8212)'],
    ['--peer fabrikam/hq --direction out --community no-export 10.7.0.0/16', '65033', 'NO_EXPORT (RFC 1997)'],
    ['--peer fabrikam/hq --direction out --community no-peer 10.7.0.0/16', '65033', 'export[0] refuses it'],
    ['--peer contoso/hq --direction out 10.7.0.0/16', '65033', 'transit: false refuses it'],
    [
      '--peer inner --direction out 2001:db8:9::/48',
      undefined,
      'the peer does not have IPv6 unicast among its families',
    ],
  ])('refused: %s, path %s: %s', async (words, asPath, why) => {
    const { exit, out } = await trial(words, asPath);
    expect([exit, out.split('\n')[0]!.replace(/^\S+ \S+ \S+: /, '')]).toEqual([1, `refused: ${why}`]);
  });

  test('RFC 4760: IPv6 over a session of IPv4; as JSON', async () => {
    const { exit, out } = await trial('--peer contoso/hq --community no-peer --json 2001:db8:9::/48');
    const before = {
      nextHop: '2001:db8::1',
      asPath: '65020',
      origin: 'igp',
      weight: 0,
      communities: ['no-peer'],
      others: [],
    };
    expect([exit, JSON.parse(out)]).toEqual([
      0,
      {
        schemaVersion: 1,
        kind: 'bgp-trial',
        items: [
          {
            tenant: 'contoso',
            peer: 'hq',
            direction: 'in',
            prefix: '2001:db8:9::/48',
            accepted: true,
            why: 'import[2] accepts it',
            before,
            after: { ...before, weight: 5 },
          },
        ],
      },
    ]);
  });

  test.each(['in', 'out'])('what is printed of a route is understood as that route: %s', async (direction) => {
    const of = async (asPath: string, origin: string, communities: string) => {
      const way = `bgp policy test -c ${file} --peer fabrikam/hq --direction ${direction} --json 10.7.0.0/16`;
      const path = direction === 'in' ? ['--as-path', asPath] : [];
      const { out } = await run([...way.split(' '), ...path, '--origin', origin, '--community', communities]);
      return JSON.parse(out).items[0].before;
    };
    const before = await of('65020 {7 8}', '?', 'RT:65020:7, (65000,1), NO_PEER, target:1.10:3, 65000:1:2');
    expect(before).toMatchObject({
      asPath: direction === 'in' ? '65020 {7,8}' : '',
      origin: 'incomplete',
      communities: ['65000:1', 'no-peer', 'rt:65020:7', 'rt:65546:3', '65000:1:2'],
    });
    expect(await of(before.asPath, before.origin, before.communities.join(' '))).toEqual(before);
  });

  test.each([
    ['--peer hq 10.7.0.0/16', 'several peers are called hq\n  Name one of: fabrikam/hq, contoso/hq'],
    ['--peer x 10.7.0.0/16', 'the document has no BGP peer x'],
    ['--peer fabrikam/hq 10.7.0.1/16', '10.7.0.1/16 is not a prefix'],
    ['--peer fabrikam/hq --next-hop x 10.7.0.0/16', 'x is not an address'],
    ['--peer fabrikam/hq --as-path x 10.7.0.0/16', '--as-path must be like 65001 65002 {65003,65004}, not x'],
    ['--peer fabrikam/hq --community x 10.7.0.0/16', 'x is not a community like'],
    ['--peer fabrikam/hq --origin x 10.7.0.0/16', '--origin must be igp, egp or incomplete, not x'],
    ['10.7.0.0/16', '--peer is needed'],
  ])('%s: usage', async (words, problem) => {
    const { exit, err } = await trial(words);
    expect([exit, err.includes(problem), err]).toEqual([2, true, err]);
  });
});

test('the router of the external network: its peers are those of default, and what tenants are is refused', async () => {
  const outside = join(folder, 'outside.yaml');
  writeFileSync(
    outside,
    `version: 1
gateway:
  external:
    addresses: [203.0.113.10]
    interface: { driver: packet, device: eth1, addresses: [203.0.113.11/24] }
    pool: 198.18.7.48/28
    bgp: { asn: 65010, peers: [{ name: up, address: 203.0.113.1, asn: 65000, import: all, export: all }, { name: in, address: 203.0.113.2, asn: 65010 }] }
tenants: [{ name: fabrikam, nat: {} }]
`,
  );
  const ask = (words: string) => run(`bgp policy test -c ${outside} ${words}`.split(' '));
  for (const peer of ['up', 'in']) {
    const refused = {
      exit: 1,
      out: expect.stringMatching(`^198.18.7.50/32 from default/${peer}: refused: a tenant's prefix`),
    };
    expect(await ask(`--peer ${peer} --local-preference 100 198.18.7.50/32`)).toMatchObject(refused);
    expect(await ask(`--peer ${peer} --local-preference 100 --tenant default 0.0.0.0/0`)).toMatchObject({ exit: 0 });
  }
  const told = await ask('--peer default/up --direction out 198.18.7.50/32');
  expect(told).toMatchObject({ exit: 0, out: expect.stringMatching(/next hop +self +203\.0\.113\.11\n/) });
});
