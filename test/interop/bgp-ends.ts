/** The BGP daemons of others, each by its name, and one of them on a link with a speaker of ours. */
import type { SessionConfiguration } from '../../src/bgp/index.ts';
import type { BgpDaemon, DaemonSettings } from '../support/bgp-daemon.ts';
import { BgpHost, type HostPeer } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { Bird } from '../support/bird.ts';
import { Frr } from '../support/frr.ts';

/** AS of our speakers. */
export const OURS = 65010;
/** Of our own, from the beginning. */
export const OWN_PREFIXES = ['10.77.0.0/16', '2001:db8:77::/48'] as const;

export const PEERS = [
  { name: 'frr', make: (s: DaemonSettings) => new Frr(s), asn: 65021, number: 1 },
  { name: 'bird', make: (s: DaemonSettings) => new Bird(s), asn: 4_200_000_022, number: 2 },
] as const;
export type PeerName = (typeof PEERS)[number]['name'];
export type PeerKind = (typeof PEERS)[number];

/** What each daemon tells from the beginning, where a test says nothing else. */
export const told = ({ number }: Pick<PeerKind, 'number'>): readonly string[] => [
  `10.20${number}.1.0/24`,
  `2001:db8:20${number}::/48`,
];

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
