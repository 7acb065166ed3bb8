/** The BGP daemons of others, each by its name, and one of them on a link with a speaker of ours. */
import type { SessionConfiguration } from '../../src/bgp/index.ts';
import type { BgpDaemon, DaemonSettings } from '../support/bgp-daemon.ts';
import { BgpHost, type HostPeer } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { Bird } from '../support/bird.ts';
import { Exabgp } from '../support/exabgp.ts';
import { Frr } from '../support/frr.ts';
import { Gobgp } from '../support/gobgp.ts';
import { Openbgpd } from '../support/openbgpd.ts';

/** AS of our speakers. */
export const OURS = 65010;
/** Of our own, from the beginning. */
export const OWN_PREFIXES = ['10.77.0.0/16', '2001:db8:77::/48'] as const;

/**
 * The daemons, and what each of them does: `asks` for everything again and, `asked`, says it, whatever else was negotiated; shows the `words`
 * of a shutdown and `tells` its own; speaks of AS numbers of two octets alone (`old`); `limits` what it takes; and dialled by us, is `signed`
 * with MD5 and looks at `hops`; `restarts` gracefully and `helps` who does; `exact`: its treatment of errors is the RFC's. `otherNextHop`:
 * for the family that the session does not run over, where that is no choice of ours.
 *
 * Where RFC 7313 is spoken FRR 8.4 answers a ROUTE-REFRESH once it has said End-of-RIB, and says that only to who has graceful restart: else never
 * (https://github.com/FRRouting/frr/issues/16126, `bgp-refresh.test.ts`). GoBGP 3.10 keeps all it heard and never asks; its routes come over its
 * API, after it has said End-of-RIB. ExaBGP 4.2.21 ends a session on a ROUTE-REFRESH, does not show what a NOTIFICATION says and cannot send
 * words with its own; dialled, it answers with its ordinary TTL. OpenBGPD 7.7 counts a ROUTE-REFRESH, and drops it because the family is one
 * that was negotiated (https://github.com/openbgpd-portable/openbgpd-portable/issues/46); dialled on Linux, it answers without a signature.
 */
export const PEERS = [
  {
    name: 'frr',
    make: (s: DaemonSettings) => new Frr(s),
    asn: 65021,
    number: 1,
    can: ['asks', 'words', 'tells', 'old', 'limits', 'signed', 'hops', 'restarts', 'helps', 'exact'],
  },
  {
    name: 'bird',
    make: (s: DaemonSettings) => new Bird(s),
    asn: 4_200_000_022,
    number: 2,
    can: ['asks', 'asked', 'words', 'tells', 'old', 'limits', 'signed', 'hops', 'restarts', 'helps', 'exact'],
  },
  {
    name: 'gobgp',
    make: (s: DaemonSettings) => new Gobgp(s),
    asn: 65023,
    number: 3,
    can: ['asked', 'words', 'tells', 'limits', 'signed', 'hops', 'helps'],
  },
  {
    name: 'exabgp',
    make: (s: DaemonSettings) => new Exabgp(s),
    asn: 65024,
    number: 4,
    can: ['asks', 'signed', 'restarts'],
  },
  {
    name: 'openbgpd',
    make: (s: DaemonSettings) => new Openbgpd(s),
    asn: 65025,
    number: 5,
    can: ['asks', 'words', 'tells', 'old', 'limits', 'hops', 'helps'],
    otherNextHop: { 4: '127.0.0.1', 6: '::1' },
  },
] as const;
export type PeerKind = (typeof PEERS)[number];
export type PeerName = PeerKind['name'];

/** Those that can do it. */
export const those = (ability: PeerKind['can'][number]): readonly PeerKind[] =>
  PEERS.filter(({ can }) => (can as readonly string[]).includes(ability));

/** What each daemon tells from the beginning, where a test says nothing else. */
export const told = ({ number }: Pick<PeerKind, 'number'>): readonly string[] => [
  `10.20${number}.1.0/24`,
  `2001:db8:20${number}::/48`,
];

/** What it says where the session runs over `over`: next hop of IPv4, and of IPv6. */
export function nextHopsOf(kind: PeerKind, link: BgpLink, over: 4 | 6): readonly [string, string] {
  const other = 'otherNextHop' in kind ? kind.otherNextHop : { 4: link.theirs, 6: link.theirs6 };
  return over === 4 ? [link.theirs, other[6]] : [other[4], link.theirs6];
}

export class BgpPair {
  readonly name: PeerName;
  readonly link: BgpLink;
  readonly daemon: BgpDaemon;
  /** Which may end, and another be made. */
  host: BgpHost;

  private constructor(kind: PeerKind, settings: Partial<DaemonSettings>) {
    this.name = kind.name;
    this.link = new BgpLink(kind.number);
    this.host = newHost();
    this.daemon = kind.make({ link: this.link, asn: kind.asn, peerAs: OURS, announces: told(kind), ...settings });
  }

  /** After `enterPrivateNetwork`. */
  static async start(kind: PeerKind, settings: Partial<DaemonSettings> = {}): Promise<BgpPair> {
    const pair = new BgpPair(kind, settings);
    try {
      await pair.daemon.start();
      return pair;
    } catch (error) {
      await pair.close();
      throw error;
    }
  }

  /** The daemon is the peer of that name of a speaker that knows nothing yet. */
  begin(session: Partial<SessionConfiguration> = {}, more: Partial<HostPeer> = {}): BgpHost {
    this.host.kill();
    this.host = newHost();
    const { link, daemon, name } = this;
    const [remote, local] = daemon.ends;
    const other = daemon.settings.over === 6 ? link.ours : link.ours6;
    this.host.add({ name, remote, local, other, session: { remoteAs: daemon.settings.asn, ...session }, ...more });
    return this.host;
  }

  async close(): Promise<void> {
    this.host.kill();
    await this.daemon.stop();
    this.link.close();
  }
}

export function newHost(): BgpHost {
  const host = new BgpHost(OURS, 0x0a090001);
  host.originate(...OWN_PREFIXES);
  return host;
}
