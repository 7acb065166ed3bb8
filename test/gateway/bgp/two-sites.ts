/** One tenant with two tunnels: to two routers of one site, or to two sites. */
import { Gateways } from './world.ts';

const PSK = 'auth: { psk: { inline: a secret of more than sixteen octets } }';
const SITES = [
  { name: 'east', outer: '192.0.2.11', inner: '10.2.0.1', six: 'fd00:2::1' },
  { name: 'west', outer: '192.0.2.12', inner: '10.3.0.1', six: 'fd00:3::1' },
] as const;
export type Site = (typeof SITES)[number]['name'];

export interface Parts {
  readonly router?: string;
  /** Keys of the peers at the gateway, and of those at the sites. */
  readonly peers?: Partial<Record<Site, string>>;
  readonly ofSites?: Partial<Record<Site, string>>;
  readonly asn?: Partial<Record<Site, number>>;
  /** Of both sites, or of each. */
  readonly networks?: string | Record<Site, string>;
}

const both = '[0.0.0.0/0, "::/0"]';
const NETWORKS = '[10.50.0.0/16, "fd00:50::/32"]';
const networksOf = (site: Site, { networks = NETWORKS }: Parts) =>
  typeof networks === 'string' ? networks : networks[site];
const asnOf = (site: Site, { asn }: Parts) => asn?.[site] ?? 65020;

export const gwDocument = (parts: Parts): string => `version: 1
gateway: { name: gw, external: { addresses: [192.0.2.1] } }
tenants:
  - name: contoso
    interfaces: [{ name: inside, driver: fabric, addresses: [10.1.0.1/24, "fd00:1::1/64"] }]
    connections:${SITES.map(
      ({ name, outer, inner, six }) => `
      - name: ${name}
        local: { address: 192.0.2.1, id: gw.example }
        remote: { address: ${outer}, id: ${name}.example }
        ${PSK}
        child: { local: ${both}, remote: ${both} }
        routes: [${inner}/32, "${six}/128"]
        dpdSeconds: 10`,
    ).join('')}
    bgp:
      asn: 65010
      networks: [10.1.0.0/24, "fd00:1::/64"]
      ${parts.router ?? ''}
      peers:${SITES.map(
        ({ name, inner }) => `
        - { name: ${name}, address: ${inner}, asn: ${asnOf(name, parts)}, export: all, families: [ipv4, ipv6], ${parts.peers?.[name] ?? 'import: all'} }`,
      ).join('')}
`;

export const siteDocument = (parts: Parts): string => `version: 1
gateway: { name: sites, external: { addresses: [192.0.2.11, 192.0.2.12] } }
tenants:${SITES.map(
  ({ name, outer, inner, six }) => `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [${inner}/24, "${six}/64"] }]
    routes: [{ prefix: 10.50.0.0/16, via: inside }]
    connections:
      - name: cloud
        local: { address: ${outer}, id: ${name}.example }
        remote: { address: 192.0.2.1, id: gw.example }
        ${PSK}
        child: { local: ${both}, remote: ${both} }
        routes: [10.1.0.1/32, "fd00:1::1/128"]
        start: listen
        dpdSeconds: 10
    bgp:
      asn: ${asnOf(name, parts)}
      networks: ${networksOf(name, parts)}
      peers: [{ name: cloud, address: 10.1.0.1, asn: 65010, import: all, families: [ipv4, ipv6], ${parts.ofSites?.[name] ?? 'export: all'} }]`,
).join('')}
`;

export function settled(parts: Parts = {}): Gateways {
  const world = new Gateways(gwDocument(parts), siteDocument(parts));
  world.run(10_000);
  return world;
}

/** Packets of one site's outer address are lost. */
export function silence(world: Gateways, site: Site | undefined): void {
  const last = site === 'east' ? 11 : 12;
  world.outer.filter = (packet) => site === undefined || (packet[15] !== last && packet[19] !== last);
}
