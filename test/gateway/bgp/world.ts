/** A gateway and the sites of two tenants that have the same addresses and AS numbers, with BGP through their tunnels. */
import { DISCARD } from '../../../src/compartment/index.ts';
import { seededRandom } from '../../../src/core/index.ts';
import type { GatewayAction } from '../../../src/gateway/index.ts';
import { formatAddress, formatPrefix } from '../../../src/ip/index.ts';
import { GatewayNode, Host, OuterNetwork, resolveDocument, Timeline } from '../../../src/lab/index.ts';
import { addr } from '../../support/packets.ts';

export const NAMES = ['contoso', 'woodgrove'] as const;
export type Name = (typeof NAMES)[number];
export const SITE: Readonly<Record<Name, string>> = { contoso: '192.0.2.11', woodgrove: '192.0.2.12' };
const PSK = 'auth: { psk: { inline: a secret of more than sixteen octets } }';

export interface Parts {
  /** Keys of the router and of its peer, at the gateway and at the sites. */
  readonly gwRouter?: string;
  readonly gwPeer?: string;
  readonly siteRouter?: string;
  readonly sitePeer?: string;
  readonly start?: string;
  /** Keys of the gateway's connection, and of the tenants at the sites. */
  readonly gwConnection?: string;
  readonly siteTenant?: string;
}

const POLICIES = { import: 'all', export: 'all' };

/** Keys as they stand, and of the defaults those that they do not have. */
function withDefaults(written: string, defaults: Readonly<Record<string, string>>, between = '\n      '): string {
  const keys = written.replace(/^, /, '');
  const rest = Object.entries(defaults).filter(([key]) => !keys.includes(`${key}:`));
  return [...rest.map(([key, value]) => `${key}: ${value}`), ...(keys === '' ? [] : [keys])].join(between);
}

export const gwDocument = ({
  gwRouter = '',
  gwPeer = '',
  gwConnection = '',
  start = 'demand',
}: Parts): string => `version: 1
gateway: { name: gw, external: { addresses: [192.0.2.1] } }
tenants:${NAMES.map(
  (name) => `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [10.1.0.1/24] }]
    connections:
      - name: hq
        local: { address: 192.0.2.1, id: gw.example }
        remote: { address: ${SITE[name]}, id: ${name}.example }
        ${PSK}
        child: { local: [0.0.0.0/0], remote: [0.0.0.0/0] }
        routes: [10.2.0.1/32]
        start: ${start}
        ${gwConnection}
    bgp:
      asn: 65010
      ${withDefaults(gwRouter, { networks: '[10.1.0.0/24]' })}
      peers: [{ name: hq, address: 10.2.0.1, asn: 65020, ${withDefaults(gwPeer, POLICIES, ', ')} }]`,
).join('')}
`;

export const siteDocument = ({ siteRouter = '', sitePeer = '', siteTenant = '' }: Parts): string => `version: 1
gateway: { name: sites, external: { addresses: [192.0.2.11, 192.0.2.12] } }
tenants:${NAMES.map(
  (name) => `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [10.2.0.1/24] }]
    ${withDefaults(siteTenant, { routes: `[{ prefix: ${name === 'contoso' ? '10.50.0.0/16' : '10.60.0.0/16'}, via: inside }]` }, '\n    ')}
    connections:
      - name: cloud
        local: { address: ${SITE[name]}, id: ${name}.example }
        remote: { address: 192.0.2.1, id: gw.example }
        ${PSK}
        child: { local: [0.0.0.0/0], remote: [0.0.0.0/0] }
        routes: [10.1.0.1/32]
        start: listen
    bgp:
      asn: 65020
      ${withDefaults(siteRouter, { networks: '[10.2.0.0/24]', redistribute: '[static]' })}
      peers: [{ name: cloud, address: 10.1.0.1, asn: 65010, ${withDefaults(sitePeer, POLICIES, ', ')} }]`,
).join('')}
`;

/** Two gateways with an outer network between them, whatever their documents are. */
export class Gateways {
  readonly timeline = new Timeline();
  readonly outer: OuterNetwork;
  readonly gw: GatewayNode;
  readonly sites: GatewayNode;
  readonly actions: GatewayAction[] = [];

  constructor(gw: string, sites: string, seed = 7) {
    const { timeline } = this;
    const random = seededRandom(seed);
    this.outer = new OuterNetwork(timeline, random);
    this.gw = new GatewayNode({ timeline, outer: this.outer, random });
    this.sites = new GatewayNode({ timeline, outer: this.outer, random });
    this.gw.observe((action) => this.actions.push(action));
    this.sites.apply(resolveDocument(sites));
    this.gw.apply(resolveDocument(gw));
  }

  /** A host behind the interface `inside` of a tenant. */
  host(node: GatewayNode, tenant: string, ...addresses: string[]): Host {
    const segment = node.segment(tenant, 'inside');
    return new Host({ timeline: this.timeline, segment, tenant, name: tenant, addresses: addresses.map(addr) });
  }

  run(milliseconds: number): void {
    this.timeline.advanceTo(this.timeline.now + milliseconds);
  }

  /** BGP routes in the compartment of a tenant, as `prefix interface`. */
  routes(name: string, node: GatewayNode = this.gw): string[] {
    const compartment = node.gateway.compartment(name)!;
    const names = new Map([
      [DISCARD, 'discard'],
      ...compartment.interfaces().map((each) => [each.number, each.name] as const),
    ]);
    return compartment
      .routes()
      .filter(({ origin }) => origin === 'bgp')
      .map(
        ({ prefix, interface: out, nextHop }) =>
          `${formatPrefix(prefix)} ${names.get(out)}${nextHop === undefined ? '' : ` ${formatAddress(nextHop)}`}`,
      );
  }

  reports(): string[] {
    return this.actions.flatMap((action) =>
      action.do === 'report' && action.report.what.startsWith('bgp') ? [action.report.text] : [],
    );
  }
}

export class BgpWorld extends Gateways {
  readonly hosts: Readonly<Record<Name, { readonly vm: Host; readonly site: Host }>>;

  constructor(parts: Parts = {}, seed = 7) {
    super(gwDocument(parts), siteDocument(parts), seed);
    const both = (name: Name, site: string) => ({
      vm: this.host(this.gw, name, '10.1.0.10'),
      site: this.host(this.sites, name, site),
    });
    this.hosts = { contoso: both('contoso', '10.50.0.10'), woodgrove: both('woodgrove', '10.60.0.10') };
  }
}
