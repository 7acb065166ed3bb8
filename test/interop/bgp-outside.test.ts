/**
 * The provider's router is BIRD or FRR, with its kernel's table, and the gateway's own router is its peer on the external network. Neither has a
 * static route to the other's side: the gateway knows no way to the server, and the router no way to the addresses of the NATs.
 * With BIRD all of it is IPv4. With FRR the link has IPv6 alone: the one next hop of either side carries both families (RFC 8950).
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BgpPeerStatus } from '../../src/gateway/status-bgp.ts';
import type { BgpDaemon, DaemonSettings } from '../support/bgp-daemon.ts';
import { Bird } from '../support/bird.ts';
import { Bulkhead } from '../support/bulkhead.ts';
import { Frr } from '../support/frr.ts';
import type { Place } from '../support/netns.ts';
import { gatewayDocument, hostDocument, Overlay, ROUTER, SERVER, type Spot } from '../support/overlay.ts';
import { requirePeers } from '../support/peers.ts';
import { sh, until } from '../support/process.ts';
import { askFrom, serve, UDP_ECHO } from '../support/talk.ts';

const TENANTS = ['blue', 'red'] as const;
/** On no link of the router. */
const NAT = { blue: '198.18.7.50', red: '198.18.7.51' } as const;
const SECRET = 'a-secret-of-the-provider';
/** More than the link of the server, which BIRD knows by its device. */
const BEHIND = '198.51.100.0/24';
/** Whose server has the first address. */
const BEHIND6 = '2001:db8:80::/48';
const SERVER6 = '2001:db8:80::80';
const [GATEWAY6, ROUTER6] = ['2001:db8:3::10', '2001:db8:3::1'];
const GATEWAY = '203.0.113.10';
const ECHO_PORT = 7;
const ASN = 65021;

interface Router {
  readonly name: 'bird' | 'frr';
  readonly make: (s: DaemonSettings) => BgpDaemon;
  readonly address: string;
  /** Ours on the link to it. */
  readonly own: string;
  readonly families: readonly string[];
  /** Beside `BEHIND`. */
  readonly tells: readonly string[];
  /** From its kernel to us. */
  readonly way: string;
}
const ROUTERS: readonly Router[] = [
  {
    name: 'bird',
    make: (s) => new Bird(s),
    address: ROUTER,
    own: `${GATEWAY}/24`,
    families: ['ipv4'],
    tells: [],
    way: `via ${GATEWAY} `,
  },
  {
    name: 'frr',
    make: (s) => new Frr({ ...s, over: 6, extensions: true }),
    address: ROUTER6,
    own: `${GATEWAY6}/64`,
    families: ['ipv4', 'ipv6'],
    tells: [BEHIND6],
    way: `.*via inet6 ${GATEWAY6} `,
  },
];

const document = ({ own }: Pick<Router, 'own'>, bgp?: object): string =>
  gatewayDocument(
    { blue: { nat: { address: NAT.blue } }, red: { nat: { address: NAT.red } } },
    {
      external: {
        interface: { driver: 'packet', device: 'ext0', addresses: [own] },
        pool: '198.18.7.48-198.18.7.63',
        ...(bgp === undefined ? {} : { bgp }),
      },
    },
  );
const withPeer = (router: Router): string => {
  const { address, families } = router;
  const peer = { name: 'provider', address, asn: ASN, families, connectRetrySeconds: 1, md5: { inline: SECRET } };
  const peers = [{ ...peer, import: 'all', export: 'all' }];
  return document(router, { asn: 65010, routerId: GATEWAY, redistribute: ['nat'], transit: false, peers });
};

const NEEDS = ['linux', 'root', 'koffi', 'netns', 'tun', 'ping'] as const;

for (const provider of ROUTERS) {
  const { name, make, address, tells, way } = provider;
  requirePeers(...NEEDS, name)(`BGP with the provider’s router: ${name}`, () => {
    let net: Overlay;
    let gateway: Bulkhead;
    let h1: Bulkhead;
    let router: BgpDaemon;

    beforeAll(async () => {
      net = new Overlay();
      enableIpv6(net);
      router = make({
        link: { namespace: net.name('inet'), ours: GATEWAY, theirs: ROUTER, ours6: GATEWAY6, theirs6: ROUTER6 },
        asn: ASN,
        peerAs: 65010,
        announces: [BEHIND, ...tells],
        plain: true,
        md5: SECRET,
        kernel: true,
      });
      await router.start();
      const start = (spot: Spot, text: string) => Bulkhead.start(net.topology, spot as Place, text);
      gateway = await start('gw', document(provider));
      h1 = await start('h1', hostDocument('h1'));
      await serve(net, 'server', UDP_ECHO, String(ECHO_PORT));
    });

    afterAll(async () => {
      for (const node of [h1, gateway]) await node?.stop();
      await router?.stop();
      await net?.close();
    });

    const toNats = (): Promise<string> => net.must('inet', 'ip', ['route', 'show', 'root', '198.18.0.0/16']);
    const peer = async (): Promise<BgpPeerStatus | undefined> =>
      (await gateway.ask<readonly BgpPeerStatus[]>('GET', '/v1/bgp/peers?tenant=default'))[0];
    const established = () =>
      until(
        async () => (await peer())?.state === 'Established',
        20_000,
        () => `not up\n${router.output.slice(-2000)}`,
      );
    const learned = async (wanted: string) =>
      (await gateway.ask<readonly { prefix: string }[]>('GET', '/v1/tenants/default/routes')).find(
        ({ prefix }) => prefix === wanted,
      );
    const replies = async (): Promise<readonly number[]> => {
      const counts: number[] = [];
      for (const tenant of TENANTS) counts.push(await net.ping(`${tenant}1`, SERVER, 2));
      return counts;
    };

    it('without it neither side knows a way', async () => {
      expect([await toNats(), await replies()]).toEqual(['', [0, 0]]);
    });

    it('RFC 4271 §3.2, RFC 2385: told of the NAT addresses and telling the way to the server, it lets two tenants with the same addresses out', async () => {
      await gateway.reload(withPeer(provider));
      await established();
      for (const each of Object.values(NAT)) await router.hears(`${each}/32`);
      await until(async () => (await learned(BEHIND)) !== undefined, 10_000, 'the route does not come');
      expect(await learned(BEHIND)).toMatchObject({ origin: 'bgp', nextHop: address });
      await until(
        async () => (await toNats()).split('\n').filter(Boolean).length === 2,
        10_000,
        'the kernel has no route',
      );
      expect(await toNats()).toMatch(new RegExp(`^${NAT.blue} ${way}.*\\n${NAT.red} ${way}`));
      // The first packets wait for neighbours.
      await replies();
      expect(await replies()).toEqual([2, 2]);
      for (const tenant of TENANTS) {
        const { answers } = await askFrom(net, `${tenant}1`, SERVER, ECHO_PORT, [20_000, 20_001]);
        expect(answers).toEqual({ 20000: `${NAT[tenant]}:20000`, 20001: `${NAT[tenant]}:20001` });
      }
    });

    it.each(tells)('%s is the gateway’s own to reach, as far as the router says it', async (prefix) => {
      const ping = () => gateway.run('ping', '--tenant', 'default', '--count', '2', SERVER6);
      const answered = async () => (await ping()).code === 0;
      await until(answered, 10_000, () => 'the server does not answer');
      await router.withdraw(prefix);
      await until(async () => !(await answered()), 10_000, 'the server still answers');
      await router.announce(prefix);
      await until(answered, 10_000, 'the server does not answer again');
    });

    it('what the router says of a tenant’s address is refused: whose it is stays whose it is', async () => {
      await router.announce(`${NAT.red}/32`, '198.18.7.60/32', '198.18.0.0/16');
      // FRR says to us what it has of us, too.
      // FRR says to us what it has of us, too.
      const received = async () =>
        (
          await gateway.ask<readonly { prefix: string; accepted: boolean; before: { asPath: string } }[]>(
            'GET',
            '/v1/tenants/default/bgp/peers/provider/received',
          )
        ).filter(({ before }) => !before.asPath.includes('65010'));
      await until(async () => (await received()).length === 4 + tells.length, 10_000, 'the routes do not come');
      const refused = (await received()).filter(({ accepted }) => !accepted).map(({ prefix }) => prefix);
      expect(refused.sort()).toEqual([`${NAT.red}/32`, '198.18.7.60/32'].sort());
      await router.withdraw(`${NAT.red}/32`, '198.18.7.60/32', '198.18.0.0/16');
      await until(async () => (await received()).length === 1 + tells.length, 10_000, 'the routes do not go');
      expect(await replies()).toEqual([2, 2]);
    });

    it('withdrawn, the way is gone, and it comes back with the route', async () => {
      await router.withdraw(BEHIND);
      await until(async () => (await learned(BEHIND)) === undefined, 10_000, 'the route stays');
      expect(await replies()).toEqual([0, 0]);
      // The default route does as well.
      await router.announce('0.0.0.0/0');
      await until(async () => (await learned('0.0.0.0/0')) !== undefined, 10_000, 'the default route does not come');
      expect(await replies()).toEqual([2, 2]);
      await router.withdraw('0.0.0.0/0');
      await router.announce(BEHIND);
      await until(async () => (await learned(BEHIND)) !== undefined, 10_000, 'the route does not come');
      await until(async () => (await learned('0.0.0.0/0')) === undefined, 10_000, 'the default route stays');
      expect(await replies()).toEqual([2, 2]);
    });

    it('an operator asks it as a tenant called default', async () => {
      expect(await gateway.cli('bgp', 'peers', 'default/provider')).toMatchObject([
        { name: 'provider', state: 'Established' },
      ]);
      await gateway.cli('bgp', 'down', 'default/provider', '--wait', '10');
      await router.forgets(`${NAT.red}/32`);
      await gateway.cli('bgp', 'up', 'default/provider', '--wait', '20');
      await router.hears(`${NAT.red}/32`);
      const advertised = await gateway.cli<{ prefix: string }>('bgp', 'advertised', 'provider', '--tenant', 'default');
      expect(advertised.map(({ prefix }) => prefix).sort()).toEqual(Object.values(NAT).map((each) => `${each}/32`));
    });

    it('a reload without it ends the session, and the router forgets', async () => {
      await gateway.reload(document(provider));
      await router.forgets(`${NAT.blue}/32`);
      expect([await peer(), await toNats()]).toEqual([undefined, '']);
    });
  });
}

/** Which the network is without: the router's link to us, and to the server. */
function enableIpv6(net: Overlay): void {
  for (const [spot, device, address] of [
    ['inet', 'ext', `${ROUTER6}/64`],
    ['inet', 'toServer', '2001:db8:80::1/64'],
    ['server', 'eth0', `${SERVER6}/64`],
  ] as const) {
    const there = ['-n', net.name(spot)];
    const settings = [`net.ipv6.conf.${device}.disable_ipv6=0`, 'net.ipv6.conf.all.forwarding=1'];
    sh('ip', ['netns', 'exec', net.name(spot), 'sysctl', '-q', '-w', ...settings]);
    sh('ip', [...there, 'addr', 'add', address, 'dev', device, 'nodad']);
  }
  sh('ip', ['-n', net.name('server'), 'route', 'add', 'default', 'via', '2001:db8:80::1']);
}
