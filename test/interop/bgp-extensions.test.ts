/**
 * What FRR and BIRD have beside the ordinary, on sessions over IPv6: several paths of a prefix, messages of more than 4096 octets, next hops of 32
 * octets, and IPv4 by IPv6 next hops. Each is two peers of ours, so that it tells one what it has heard of the other.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AFI, IPV4_UNICAST, MESSAGE, receivedOf } from '../../src/bgp/index.ts';
import { toHex } from '../../src/core/index.ts';
import type { BgpDaemon } from '../support/bgp-daemon.ts';
import type { BgpHost } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import type { Bird } from '../support/bird.ts';
import type { Frr } from '../support/frr.ts';
import { addr, pfx } from '../support/packets.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { must, until } from '../support/process.ts';
import { newHost, OURS, OWN_PREFIXES, PEERS, told } from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', 'frr', 'bird');
const KINDS = [PEERS[0], PEERS[1]] as const;
/** All three say it. */
const SHARED = '10.200.0.0/16';
const many = (second: number): readonly string[] =>
  Array.from({ length: 1_500 }, (_, i) => `100.${second + (i >> 8)}.${i & 255}.0/24`);
const MANY = { ours: many(64), frr: many(80), bird: many(96) };
const EXTENDED = {
  addPath: [{ family: IPV4_UNICAST, mode: 3 }],
  extendedNextHop: [{ family: IPV4_UNICAST, nextHopAfi: AFI.IPV6 }],
};

/** Without one of its own, that nobody else has, FRR takes no session over IPv6, and BIRD says none. */
const linkLocal = (netns: string): Promise<void> =>
  until(async () => {
    const text = await must('ip', ['-6', '-o', 'addr', 'show', 'dev', 'eth0', 'scope', 'link'], { netns });
    return text !== '' && !text.includes('tentative');
  });

describeWithPeers('extensions', () => {
  const links = new Map<string, BgpLink>();
  const daemons = new Map<string, BgpDaemon>();
  /** By peer. */
  const heard = new Map<string, string[]>();
  const longest = { in: new Map<string, number>(), out: new Map<string, number>() };
  let host: BgpHost;

  beforeAll(async () => {
    enterPrivateNetwork();
    host = newHost();
    host.originate(SHARED, ...MANY.ours);
    host.speaker.watch = (peer, direction, octets) => {
      const most = longest[direction];
      most.set(peer, Math.max(most.get(peer) ?? 0, octets.length));
      if (direction === 'in' && octets[18] === MESSAGE.UPDATE)
        heard.set(peer, [...(heard.get(peer) ?? []), toHex(octets)]);
    };
    for (const kind of KINDS) {
      const link = new BgpLink(kind.number);
      links.set(kind.name, link);
      const peers = [link.ours6, ...link.more(1, 6)];
      const announces = [...told(kind), SHARED, ...MANY[kind.name]];
      const settings = { over: 6, peers, extensions: true, passive: true, announces } as const;
      await linkLocal(link.namespace);
      const daemon = kind.make({ link, asn: kind.asn, peerAs: OURS, ...settings });
      daemons.set(kind.name, daemon);
      await daemon.start();
      for (const [i, local] of peers.entries()) {
        const session = { remoteAs: kind.asn, ...EXTENDED };
        host.add({ name: `${kind.name}${i}`, remote: link.theirs6, local, session });
      }
    }
  });
  afterAll(async () => {
    host?.kill();
    for (const daemon of daemons.values()) await daemon.stop();
    for (const link of links.values()) link.close();
  });

  it.each(KINDS)('$name has them all', async ({ name }) => {
    for (const i of [0, 1]) {
      const { session } = await host.established(`${name}${i}`);
      const names = session!.capabilitiesReceived.map((capability) => capability.name);
      expect(names).toEqual(expect.arrayContaining(['addPath', 'extendedMessage', 'extendedNextHop']));
    }
  });

  it.each(KINDS)(
    'RFC 8654 §4: $name and we say 1500 prefixes in messages of more than 4096 octets',
    async ({ name }) => {
      const peers = [0, 1].map((i) => `${name}${i}`);
      const isLong = (direction: 'in' | 'out') => (peer: string) => (longest[direction].get(peer) ?? 0) > 4096;
      for (const peer of peers)
        await host.when(
          () => MANY[name].every((prefix) => host.paths(prefix).includes(peer)),
          `${peer}: some are missing`,
        );
      await host.when(() => peers.every(isLong('out')), 'we have said nothing long');
      // BIRD, while it is busy, says one of two what it has as it finds it.
      await host.when(() => peers.some(isLong('in')), `${name} has said nothing long`);
      for (const prefix of [MANY.ours[0]!, MANY.ours.at(-1)!]) await daemons.get(name)!.hears(prefix);
      expect(host.view(peers[0]!)).toMatchObject({ state: 'established', connectionsDropped: 0 });
    },
  );

  it.each(KINDS)('RFC 8950 §3: IPv4 of $name and of ours by IPv6 next hops', async (kind) => {
    const { theirs6 } = links.get(kind.name)!;
    for (const prefix of told(kind)) {
      await host.when(() => host.routes.has(prefix), `${prefix} has not come`);
      expect(host.routes.get(prefix)).toEqual([theirs6]);
    }
    await daemons.get(kind.name)!.hears(OWN_PREFIXES[0]);
    expect(await nextHopOf(kind.name, OWN_PREFIXES[0])).toMatch(links.get(kind.name)!.ours6);
  });

  it.each(KINDS)(
    'RFC 7911 §3: $name tells one of us several paths, and hears several of one',
    async ({ name, asn }) => {
      const other = KINDS.find((kind) => kind.name !== name)!;
      const toUs = () => {
        const page = { offset: 0, limit: 10, within: pfx(SHARED) };
        return receivedOf(host.speaker.rib, host.speaker.number(`${name}1`)!, page);
      };
      await host.when(
        () => [`${asn}`, `${asn} ${OURS}`].every((path) => toUs().some(({ before }) => before.asPath === path)),
        'not its own path and ours',
      );
      expect(new Set(toUs().map(({ pathId }) => pathId)).size).toBe(toUs().length);
      const wanted = [`${OURS}`, `${OURS} ${other.asn}`];
      let paths: readonly string[] = [];
      await until(
        async () => {
          paths = await pathsAt(name, SHARED);
          return wanted.every((path) => paths.includes(path));
        },
        20_000,
        () => `${name} has ${paths.join(' | ')} of us`,
      );
    },
  );

  it.each(KINDS)('RFC 2545 §3: what $name says has its link-local address, too, and we use the other', async (kind) => {
    const { theirs6 } = links.get(kind.name)!;
    const name = `${kind.name}0`;
    // AFI 2, SAFI 1, 32 octets: the global address and fe80::/10.
    const both = new RegExp(`00020120${toHex(addr(theirs6))}fe80`);
    const saysBoth = () => heard.get(name)!.some((update) => both.test(update));
    heard.set(name, []);
    // It may not have known it when a session began, and both sessions are told what was made for one.
    for (let tries = 0; tries < 5 && !saysBoth(); tries++) {
      for (const i of [0, 1]) host.tell(`${kind.name}${i}`, { type: 'stop', subcode: 4 });
      await until(saysBoth, 4000).catch(() => {});
    }
    expect(saysBoth()).toBe(true);
    expect(host.routes.get(told(kind)[1]!)).toEqual([theirs6]);
  });

  /** What the first peer has told the daemon. */
  const shownAt = async (name: string, prefix: string): Promise<string> =>
    (await (daemons.get(name) as Bird).ask('show', 'route', prefix, 'protocol', 'peer0', 'all')).stdout;
  const frrPaths = async (prefix: string): Promise<readonly FrrPath[]> => {
    const text = await (daemons.get('frr') as Frr).vtysh(`show bgp ipv4 unicast ${prefix} json`);
    const { paths } = JSON.parse(text) as { readonly paths: readonly FrrPath[] };
    return paths.filter(({ peer }) => peer?.peerId === links.get('frr')!.ours6);
  };
  const pathsAt = async (name: string, prefix: string): Promise<readonly string[]> =>
    name === 'frr'
      ? (await frrPaths(prefix)).map(({ aspath }) => aspath.string)
      : [...(await shownAt(name, prefix)).matchAll(/BGP\.as_path: (.*)/g)].map((match) => match[1]!);
  const nextHopOf = async (name: string, prefix: string): Promise<string> =>
    name === 'frr'
      ? (await frrPaths(prefix))[0]!.nexthops[0]!.ip
      : (await shownAt(name, prefix)).match(/BGP\.next_hop: (.*)/)![1]!;
});

interface FrrPath {
  readonly aspath: { readonly string: string };
  readonly nexthops: readonly { readonly ip: string }[];
  readonly peer?: { readonly peerId: string };
}
