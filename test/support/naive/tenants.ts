/**
 * Two tenants with identical addresses on one gateway, twice: in a data plane and in the naive reference (`twin.ts`).
 *
 *   inside 10.1.0.0/24 ── tun ──┐            ┌── tunnel hq ─────── 10.2.0.0/16
 *                               ├── tenant ──┤
 *   lan 10.3.0.0/24 ── fabric ──┘            └── tunnel branch ─── 10.4.0.0/16
 *
 * The same in IPv6 under 2001:db8:1::/64 to 2001:db8:4::/48. A peer of a tunnel has the keys, and no scruples.
 */
import { expect } from 'vitest';
import { seededRandom } from '../../../src/core/index.ts';
import { type Engine, encryptionByWord, integrityByWord } from '../../../src/crypto/index.ts';
import type { PlaneCommand, SaPair, SaPhase } from '../../../src/gateway/dataplane/index.ts';
import {
  type Endpoint,
  type PacketPool,
  type Prefix,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
  type TrafficSelector,
} from '../../../src/ip/index.ts';
import { type NaiveSuite, naiveSuite, padded, sealed } from './esp.ts';
import type { Octets } from './octets.ts';
import { ALL_SPIS, type Spis } from './plane.ts';
import { Twin } from './twin.ts';

export const TENANTS = [2, 3] as const;
export type Tenant = (typeof TENANTS)[number];
export const SITES_OF_TUNNELS = ['hq', 'branch'] as const;
export type TunnelSite = (typeof SITES_OF_TUNNELS)[number];

const INSIDE = 1;
const LAN = 2;
const WAYS = { hq: 3, branch: 4 } as const;

export const portOf = (tenant: Tenant, site: 'inside' | 'lan'): number =>
  10 * tenant + (site === 'inside' ? INSIDE : LAN);
export const tunnelOf = (tenant: Tenant, site: TunnelSite): number => 100 * tenant + WAYS[site];

const prefixes = new Map<string, Prefix>();
function prefix(text: string): Prefix {
  const known = prefixes.get(text) ?? parsePrefix(text, true)!;
  prefixes.set(text, known);
  return known;
}
export const LOCAL: Endpoint = { address: parseAddress('192.0.2.1')!, port: 4500 };
const LOCAL6: Endpoint = { address: parseAddress('2001:db8:ffff::1')!, port: 4500 };

/** As protocol 50 has it. */
export const withoutPort = ({ address }: Endpoint): Endpoint => ({ address, port: 0 });

/** Where the peer of a tunnel is; behind a NAT it may have other ports. */
export const remoteOf = (tunnel: number, v6 = false, port = 4500): Endpoint => ({
  address: (v6 ? REMOTES6 : REMOTES)[tunnel % REMOTES.length]!,
  port,
});
const REMOTES = Array.from({ length: 250 }, (_, i) => parseAddress(`198.51.100.${i}`)!);
const REMOTES6 = REMOTES.map((_, i) => parseAddress(`2001:db8:ffff::${i}`)!);

const REMOTE_NETS = {
  hq: ['10.2.0.0/16', '2001:db8:2::/48'],
  branch: ['10.4.0.0/16', '2001:db8:4::/48'],
} as const;
/** Of all who may speak through a tunnel: hosts here, and those of the other tunnel. */
const NEAR_NETS = ['10.1.0.0/24', '10.3.0.0/24', '2001:db8:1::/64', '2001:db8:3::/48'];

export interface TenantsOptions {
  readonly engine: Engine;
  readonly pool: PacketPool;
  readonly seed?: number;
  readonly spis?: Spis;
  /** Packets of one flow may leave as superframes. */
  readonly superframes?: boolean;
  /** Of the tunnels. */
  readonly mtu?: number | 'auto';
  readonly df?: 'copy' | 'set' | 'clear';
}

/** An SA to be installed. */
export interface SaPlan {
  readonly suite: string;
  readonly esn: boolean;
  readonly replayWindow: number;
  readonly lifetime: SaPair['lifetime'];
  readonly udp: boolean;
  readonly v6: boolean;
  /** What it is for: everything, UDP only, or some ports. */
  readonly selectors: 'any' | 'udp' | 'ports';
}

export const NO_LIMIT: SaPair['lifetime'] = {
  softBytes: Number.POSITIVE_INFINITY,
  hardBytes: Number.POSITIVE_INFINITY,
  softPackets: Number.POSITIVE_INFINITY,
  hardPackets: Number.POSITIVE_INFINITY,
};

export const PLAIN_SA: SaPlan = {
  suite: 'aes128gcm16',
  esn: false,
  replayWindow: 64,
  lifetime: NO_LIMIT,
  udp: true,
  v6: false,
  selectors: 'any',
};

/** Who sends on an inbound SA. */
export class Peer {
  readonly tenant: Tenant;
  readonly site: TunnelSite;
  readonly pair: SaPair;
  readonly plan: SaPlan;
  /** Number of the next packet in order. */
  next = 1n;
  /** What it sent, to be sent again. */
  readonly sent: Octets[] = [];
  readonly suite: NaiveSuite;
  readonly #keys: SaPair['keysIn'];

  constructor(tenant: Tenant, site: TunnelSite, pair: SaPair, plan: SaPlan) {
    this.tenant = tenant;
    this.site = site;
    this.pair = pair;
    this.plan = plan;
    this.suite = naiveSuite(plan.suite);
    this.#keys = { encryption: pair.keysIn.encryption.slice(), integrity: pair.keysIn.integrity.slice() };
  }

  /** An ESP packet with an IP packet in it. */
  send(inner: Octets, sequence = this.next): Octets {
    return this.sendBody(padded(this.suite, inner, inner[0]! >> 4 === 6 ? 41 : 4), sequence);
  }

  /** The same around any body in whole blocks. */
  sendBody(body: Octets, sequence = this.next): Octets {
    const { pair, suite } = this;
    const whole = body.slice(0, body.length - (body.length % suite.blockSize));
    const iv = suite.counter ? undefined : seededRandom(Number(sequence & 0xffffn))(suite.ivLength);
    const octets = sealed(suite, this.#keys, { spi: pair.spiIn, sequence, esn: pair.esn }, whole, iv);
    if (sequence >= this.next) this.next = sequence + 1n;
    this.sent.push(octets);
    if (this.sent.length > 300) this.sent.shift();
    return octets;
  }
}

export class Tenants {
  readonly twin: Twin;
  /** All there ever were, oldest first. */
  readonly peers: Peer[] = [];
  readonly #spis: Spis;
  #nextSpi = 0x1000;

  constructor(options: TenantsOptions) {
    this.twin = new Twin(options);
    const { mtu = 'auto', df = 'copy', spis = ALL_SPIS } = options;
    this.#spis = spis;
    for (const tenant of TENANTS) {
      const compartment = tenant;
      const own = this.twin.slot(`${tenant}`);
      this.twin.command({ do: 'add-compartment', compartment, name: `tenant${tenant}`, cells: own });
      this.#attach(tenant, INSIDE, 'tun', 1500, ['10.1.0.1/24', '2001:db8:1::1/64'], {
        port: portOf(tenant, 'inside'),
      });
      this.#attach(tenant, LAN, 'fabric', 1300, ['10.3.0.1/24'], { port: portOf(tenant, 'lan') });
      for (const site of SITES_OF_TUNNELS) {
        const parameters = { tunnel: tunnelOf(tenant, site), df, mtu };
        this.#attach(tenant, WAYS[site], 'connection', mtu === 'auto' ? 1380 : mtu, [], parameters);
        for (const net of REMOTE_NETS[site]) this.route(tenant, net, WAYS[site], 5);
      }
      this.route(tenant, '10.2.200.0/24', LAN, 1);
      this.route(tenant, '2001:db8:3::/48', LAN, 1);
    }
  }

  /** Adds it, or takes it away again. */
  route(tenant: Tenant, net: string, out: number, preference: number, away = false): void {
    const route = { prefix: prefix(net), interface: out, origin: 'static' as const, preference, why: 'a test' };
    if (away) this.twin.command({ do: 'remove-route', compartment: tenant, ...route });
    else this.twin.command({ do: 'add-route', compartment: tenant, route });
  }

  install(tenant: Tenant, site: TunnelSite, plan: SaPlan, phase: SaPhase = 'active'): Peer {
    const { modulus, residue } = this.#spis;
    while (this.#nextSpi % modulus !== residue) this.#nextSpi += 1;
    const spiIn = this.#nextSpi;
    this.#nextSpi += 0x11;
    const [encryptionWord, integrityWord] = plan.suite.split('-');
    const encryption = encryptionByWord(encryptionWord!)!;
    const integrity = integrityWord === undefined ? undefined : integrityByWord(integrityWord)!;
    const random = seededRandom(spiIn);
    const keys = () => ({
      encryption: random(encryption.keyLength + encryption.saltLength),
      integrity: random(integrity?.keyLength ?? 0),
    });
    const { esn, replayWindow, lifetime, udp, v6 } = plan;
    const tunnel = tunnelOf(tenant, site);
    const sa: SaPair = {
      ...{ tunnel, spiIn, encryption, integrity, keysIn: keys(), keysOut: keys(), esn, replayWindow, lifetime },
      // Peers choose alike, each for itself.
      spiOut: 0x9000_0000 + this.peers.filter((each) => each.pair.tunnel === tunnel).length,
      ...selectorsOf(site, plan.selectors),
      localEndpoint: v6 ? LOCAL6 : LOCAL,
      remoteEndpoint: remoteOf(tunnel, v6),
      udpEncapsulation: udp,
      cellsIn: this.twin.slot(`in ${spiIn}`),
      cellsOut: this.twin.slot(`out ${spiIn}`),
    };
    this.twin.command({ do: 'install', sa, phase });
    const peer = new Peer(tenant, site, sa, plan);
    this.peers.push(peer);
    return peer;
  }

  /** Octets from a peer, as it is known or from elsewhere. */
  arrive({ pair, plan }: Pick<Peer, 'pair' | 'plan'>, octets: Octets, tos = 0, port = 4500, segment = 0): void {
    const remote = remoteOf(pair.tunnel, plan.v6, port);
    if (plan.udp || segment > 0) this.twin.udp(plan.v6 ? LOCAL6 : LOCAL, remote, octets, segment, tos);
    else this.twin.esp(withoutPort(plan.v6 ? LOCAL6 : LOCAL), withoutPort(remote), octets, tos);
  }

  /** Takes everything away again: nothing may stay in the pool. */
  close(): void {
    const { twin } = this;
    for (const tenant of TENANTS) {
      for (const number of [WAYS.hq, LAN, WAYS.branch, INSIDE])
        twin.command({ do: 'remove-interface', compartment: tenant, interface: number });
      twin.command({ do: 'remove-compartment', compartment: tenant });
    }
    twin.flush();
    expect(twin.pool.taken).toBe(0);
  }

  #attach(
    tenant: Tenant,
    number: number,
    kind: 'tun' | 'fabric' | 'connection',
    mtu: number,
    own: readonly string[],
    way: Extract<PlaneCommand, { do: 'add-interface' }>['way'],
  ): void {
    const config = { name: `${kind}${number}`, kind, mtu, addresses: own.map(prefix) };
    const cells = this.twin.slot(`${tenant} ${number}`);
    this.twin.command({ do: 'add-interface', compartment: tenant, interface: number, config, cells, way });
  }
}

function selectorsOf(
  site: TunnelSite,
  what: SaPlan['selectors'],
): { readonly local: readonly TrafficSelector[]; readonly remote: readonly TrafficSelector[] } {
  const other = site === 'hq' ? 'branch' : 'hq';
  const protocol = what === 'udp' ? 17 : 0;
  const near = { startPort: 0, endPort: 0xffff };
  const far = what === 'ports' ? { startPort: 400, endPort: 1999 } : near;
  return {
    local: [...NEAR_NETS, ...REMOTE_NETS[other]].map((net) => selectorOfPrefix(prefix(net), protocol, near)),
    remote: REMOTE_NETS[site].map((net) => selectorOfPrefix(prefix(net), protocol, far)),
  };
}
