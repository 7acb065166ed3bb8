/** The two ends of the tests here: a connection of Bulkhead's and its mirror image in strongSwan's terms. */
import type { ConnectionText, DocumentText, InterfaceText, TenantText } from '../support/bulkhead.ts';
import { ADDRESSES, type ADDRESSES6, type Topology } from '../support/netns.ts';
import { sh, until } from '../support/process.ts';
import type { Strongswan, SwanChild, SwanConnection, SwanOptions } from '../support/strongswan.ts';

export const PSK = 'a key that both of them know';

export type Side = 'A' | 'B';

const NETWORKS = { A: '10.1.0.0/24', B: '10.2.0.0/24' } as const;
const other = (side: Side): Side => (side === 'A' ? 'B' : 'A');
const outside = (side: Side): string => (side === 'A' ? ADDRESSES.gwA : ADDRESSES.gwB);

export interface ConnectionChanges extends Partial<Omit<ConnectionText, 'child'>> {
  readonly child?: Partial<ConnectionText['child']>;
}

/** The connection `hq` of a Bulkhead at `side` to the gateway at the other side. */
export function connection(changes: ConnectionChanges = {}, side: Side = 'A'): ConnectionText {
  const { child, ...rest } = changes;
  return {
    name: 'hq',
    remote: { address: outside(other(side)) },
    auth: { psk: PSK },
    child: { local: [NETWORKS[side]], remote: [NETWORKS[other(side)]], ...child },
    ...rest,
  };
}

/** The tenant behind it: its own TUN device, and the way to the hosts of that side. */
export function tenant(changes: ConnectionChanges = {}, side: Side = 'A'): TenantText {
  return {
    name: 'fabrikam',
    interfaces: [{ name: 'inside', driver: 'tun', device: 'bh0', addresses: ['10.9.0.1/24'] }],
    routes: [{ prefix: NETWORKS[side], via: 'inside' }],
    connections: [connection(changes, side)],
  };
}

export const bulkheadEnd = (
  changes: ConnectionChanges = {},
  gateway: DocumentText['gateway'] = {},
  side: Side = 'A',
): DocumentText => ({ gateway, tenants: [tenant(changes, side)] });

/** Both families inside, and what carries them. */
export interface Carriage {
  readonly carrier: 'ip-50' | 'udp';
  readonly outer: typeof ADDRESSES | typeof ADDRESSES6;
}

/** One of two Bulkheads, with both families inside. `inside` is what its device has beside its addresses. */
export function pairEnd(
  side: Side,
  { carrier, outer }: Carriage,
  inside: Partial<InterfaceText> = {},
  { child, ...changes }: ConnectionChanges = {},
): DocumentText {
  const there = other(side);
  const place = (at: Side): string => (at === 'A' ? outer.gwA : outer.gwB);
  const connection: ConnectionChanges = {
    local: { address: place(side) },
    remote: { address: place(there) },
    child: { local: BOTH_FAMILIES[side], remote: BOTH_FAMILIES[there], ...child },
    encapsulation: carrier === 'udp' ? 'udp' : 'auto',
    ...changes,
  };
  const addresses = ['10.9.0.1/24', 'fd09::1/64'];
  const interfaces = [{ name: 'inside', device: 'bh0', addresses, ...inside }];
  const routes = BOTH_FAMILIES[side].map((prefix) => ({ prefix, via: 'inside' }));
  const external = { addresses: [place(side)] };
  return { gateway: { external }, tenants: [{ ...tenant(connection, side), interfaces, routes }] };
}

const BOTH_FAMILIES = { A: [NETWORKS.A, 'fd01::/64'], B: [NETWORKS.B, 'fd02::/64'] } as const;

export interface SwanChanges extends Partial<Omit<SwanConnection, 'children'>> {
  readonly child?: Partial<SwanChild>;
}

/** The connection `s2s` with the child `net` of a strongSwan at `side`. */
export function swanConnections(changes: SwanChanges = {}, side: Side = 'B'): SwanOptions['connections'] {
  const { child, ...rest } = changes;
  return {
    s2s: {
      localAddress: outside(side),
      remoteAddress: outside(other(side)),
      psk: PSK,
      ...rest,
      children: { net: { localTs: [NETWORKS[side]], remoteTs: [NETWORKS[other(side)]], ...child } },
    },
  };
}

export const swanEnd = (
  changes: SwanChanges = {},
  options: Omit<SwanOptions, 'connections'> = {},
  side: Side = 'B',
): SwanOptions => ({ ...options, connections: swanConnections(changes, side) });

/** Waits until strongSwan has exactly one IKE SA and one Child SA, both in use and nothing beside them. */
export async function oneOfEach(swan: Strongswan, milliseconds = 15_000): Promise<void> {
  let last: unknown;
  await until(
    async () => {
      const sas = await swan.listSas();
      last = sas.map(({ state, spiI, children }) => [state, spiI, children.map((c) => [c.state, c.spiIn])]);
      const [sa] = sas;
      if (sas.length !== 1 || sa?.state !== 'ESTABLISHED' || sa.children.length !== 1) return false;
      return sa.children[0]!.state === 'INSTALLED';
    },
    milliseconds,
    () => `strongSwan has ${JSON.stringify(last)}`,
  );
}

/** Waits until strongSwan has no SA left. */
export async function noneLeft(swan: Strongswan, milliseconds = 15_000): Promise<void> {
  await until(async () => (await swan.listSas()).length === 0, milliseconds, 'strongSwan still has an IKE SA');
}

/**
 * Numbered pings from hostA to hostB, one every `intervalMs` (10) with `size` octets (200), until `meanwhile` has ended and
 * twenty more were answered. Lost are those whose successors were answered.
 */
export async function flood(
  network: Topology,
  meanwhile: () => Promise<void>,
  { intervalMs = 10, size = 200 }: { readonly intervalMs?: number; readonly size?: number } = {},
): Promise<FloodResult> {
  const words = ['-n', '-i', String(intervalMs / 1000), '-s', String(size), ADDRESSES.hostB];
  const ping = network.start('hostA', 'ping', words);
  const seen = (): number[] => [...ping.stdout.matchAll(/icmp_seq=(\d+) /g)].map((m) => Number(m[1]));
  try {
    await ping.line(/icmp_seq=1 /);
    await meanwhile();
    const enough = Math.max(...seen()) + 20;
    await until(() => Math.max(...seen()) >= enough, 10_000, 'the pings stopped');
  } finally {
    await ping.stop('SIGINT');
  }
  const all = seen();
  const answered = new Set(all);
  const sent = Math.max(...all);
  const lost = Array.from({ length: sent }, (_, i) => i + 1).filter((n) => !answered.has(n));
  return { sent, lost, doubled: all.length - answered.size };
}

export interface FloodResult {
  readonly sent: number;
  readonly lost: readonly number[];
  readonly doubled: number;
}

/** Outer address of the site of a second network, whose addresses are otherwise those of the first. */
export const SECOND_SITE = '203.0.113.1';

/** A cable between the two `inet`s; the strongSwan of the second gets an address that the first network can reach. */
export function joinSites(first: Topology, second: Topology): void {
  const [left, right] = cableBetween(first, second);
  sh('ip', ['-n', left, 'route', 'add', `${SECOND_SITE}/32`, 'via', CABLE_ENDS.right]);
  sh('ip', ['-n', right, 'route', 'add', `${SECOND_SITE}/32`, 'via', ADDRESSES.gwB]);
  sh('ip', ['-n', right, 'route', 'add', `${ADDRESSES.gwA}/32`, 'via', CABLE_ENDS.left]);
  sh('ip', ['-n', second.name('gwB'), 'addr', 'add', `${SECOND_SITE}/32`, 'dev', 'out']);
}

/** Addresses of a cable between the `inet`s of two networks. */
export const CABLE_ENDS = { left: '172.31.0.1', right: '172.31.0.2' } as const;

/** Lays the cable; gives the names of both `inet`s. Routes over it are the caller's. */
export function cableBetween(first: Topology, second: Topology): readonly [left: string, right: string] {
  const [left, right] = [first.name('inet'), second.name('inet')];
  sh('ip', ['-n', left, 'link', 'add', 'toRed', 'type', 'veth', 'peer', 'name', 'toBlue', 'netns', right]);
  for (const [netns, device, address] of [
    [left, 'toRed', CABLE_ENDS.left],
    [right, 'toBlue', CABLE_ENDS.right],
  ] as const) {
    sh('ip', ['-n', netns, 'addr', 'add', `${address}/30`, 'dev', device]);
    sh('ip', ['-n', netns, 'link', 'set', 'dev', device, 'up']);
    sh('ip', ['netns', 'exec', netns, 'ethtool', '-K', device, 'tx', 'off'], true);
  }
  return [left, right];
}
