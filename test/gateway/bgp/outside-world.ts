/**
 * A gateway whose compartment 1 has a BGP router, its provider's router on the external network, and a server behind that one.
 *
 *     contoso   10.1.0.10 ─┐  NAT 203.0.113.16
 *     woodgrove 10.1.0.10 ─┼─ gw 192.0.2.10 ─ 192.0.2.1 provider ─ server 198.51.100.80
 *     fabrikam 172.16.0.10 ┘  directly
 *
 * The provider's router knows of the pool and of fabrikam by BGP alone.
 */

import { seededRandom } from '../../../src/core/index.ts';
import { formatAddress, formatPrefix } from '../../../src/ip/index.ts';
import { GatewayNode, Host, OUTSIDE, OuterNetwork, resolveDocument, Timeline } from '../../../src/lab/index.ts';
import { addr } from '../../support/packets.ts';

export const SERVER = '198.51.100.80';
export const NAT = { contoso: '203.0.113.16', woodgrove: '203.0.113.17' } as const;

export interface OutsideParts {
  /** In `gateway.external`: all of `bgp`, `''` for none. */
  readonly bgp?: string;
  /** Of the provider's router: keys of it, and of its peer. */
  readonly provider?: string;
  readonly peer?: string;
  readonly exports?: string;
  /** Static ones of the provider's router. */
  readonly routes?: string;
  /** Tenants in place of the three. */
  readonly tenants?: string;
  readonly interface?: string;
}

const BGP = 'asn: 65010, redistribute: [nat, direct], transit: false';
export const PEER = 'name: provider, address: 192.0.2.1, asn: 65000, import: all, export: all';
export const bgpOf = (router = '', peer = ''): string => `{ ${BGP}${router}, peers: [{ ${PEER}${peer} }] }`;

const natted = (name: keyof typeof NAT): string =>
  `  - { name: ${name}, nat: { address: ${NAT[name]} }, interfaces: [{ name: inside, driver: fabric, addresses: [10.1.0.1/24] }] }\n`;
const direct = `  - { name: fabrikam, direct: true, interfaces: [{ name: inside, driver: fabric, addresses: [172.16.0.1/24] }] }\n`;
export const TENANT_LINES = { contoso: natted('contoso'), woodgrove: natted('woodgrove'), fabrikam: direct } as const;

export const outsideDocument = (parts: OutsideParts): string => `version: 1
gateway:
  name: gw
  external:
    addresses: [192.0.2.200]
    interface: { addresses: [192.0.2.10/24], ${parts.interface ?? 'driver: fabric'} }
    pool: 203.0.113.16-203.0.113.31
${(parts.bgp ?? bgpOf()) === '' ? '' : `    bgp: ${parts.bgp ?? bgpOf()}`}
tenants:
${parts.tenants ?? Object.values(TENANT_LINES).join('')}`;

const providerDocument = ({ provider, exports = 'all', peer = '', routes = '' }: OutsideParts): string => `version: 1
gateway: { name: isp, external: { addresses: [192.0.2.201] } }
tenants:
  - name: provider
    interfaces:
      - { name: lan, driver: fabric, device: lan0, addresses: [192.0.2.1/24] }
      - { name: inet, driver: fabric, device: inet0, addresses: [198.51.100.1/24] }
    routes: [${routes}]
    bgp:
      asn: 65000
      ${provider ?? 'networks: [198.51.100.0/24]'}
      peers: [{ name: gw, address: 192.0.2.10, asn: 65010, import: all, export: ${exports}${peer} }]
`;

export class OutsideWorld {
  readonly timeline = new Timeline();
  readonly gw: GatewayNode;
  readonly isp: GatewayNode;
  readonly hosts: Readonly<Record<keyof typeof TENANT_LINES, Host>>;
  readonly server: Host;
  /** Nothing passes between the two routers. */
  isCut = false;
  readonly toGw: (packet: Uint8Array) => void;
  /** From the provider's router. */
  last: Uint8Array | undefined;
  /** What the host is to send to the external interface, each time that it is told. */
  readonly hostRoutes: string[][] = [];
  readonly #parts: OutsideParts;

  constructor(parts: OutsideParts = {}) {
    this.#parts = parts;
    const { timeline } = this;
    const random = seededRandom(11);
    const outer = new OuterNetwork(timeline, random);
    this.gw = new GatewayNode({ timeline, outer, random });
    this.isp = new GatewayNode({ timeline, outer, random });
    this.gw.observe((action) => {
      if (action.do === 'host-routes' && action.tenant === 'default')
        this.hostRoutes.push(action.prefixes.map(formatPrefix));
    });
    const toIsp = this.isp.plug('provider', 'lan', (packet) => {
      this.last = packet;
      timeline.after(1, () => this.isCut || toGw(packet));
    });
    const toGw = this.gw.plug('default', 'external', (packet) => timeline.after(1, () => this.isCut || toIsp(packet)));
    this.toGw = toGw;
    this.hosts = {
      contoso: this.#host(this.gw, 'contoso', '10.1.0.10'),
      woodgrove: this.#host(this.gw, 'woodgrove', '10.1.0.10'),
      fabrikam: this.#host(this.gw, 'fabrikam', '172.16.0.10'),
    };
    const segment = this.isp.segment('provider', 'inet');
    this.server = new Host({ timeline, segment, tenant: OUTSIDE, name: 'server', addresses: [addr(SERVER)] });
    this.isp.apply(resolveDocument(providerDocument(parts)));
    this.gw.apply(resolveDocument(outsideDocument(parts)));
    this.run(20_000);
  }

  /** The gateway's document is another. */
  reload(parts: OutsideParts, milliseconds = 20_000): void {
    this.gw.apply(resolveDocument(outsideDocument({ ...this.#parts, ...parts })));
    this.run(milliseconds);
  }

  run(milliseconds: number): void {
    this.timeline.advanceTo(this.timeline.now + milliseconds);
  }

  get state(): string | undefined {
    return this.gw.gateway.bgp.peers(this.timeline.now, 'default')[0]?.state;
  }

  /** BGP routes, as `prefix nextHop`. */
  routes(tenant: string, node: GatewayNode = this.gw): string[] {
    return node.gateway
      .compartment(tenant)!
      .routes({ origins: ['bgp'] })
      .map(({ prefix, nextHop }) => `${formatPrefix(prefix)} ${nextHop === undefined ? '' : formatAddress(nextHop)}`);
  }

  /** Echo requests of each tenant's machine to the server: what became of them. */
  pings(): Record<string, string> {
    const asked = Object.entries(this.hosts).map(([name, host]) => [name, host.ping(addr(SERVER))] as const);
    this.run(5000);
    return Object.fromEntries(asked.map(([name, { outcome }]) => [name, outcome]));
  }

  #host(node: GatewayNode, tenant: string, address: string): Host {
    const segment = node.segment(tenant, 'inside');
    return new Host({ timeline: this.timeline, segment, tenant, name: tenant, addresses: [addr(address)] });
  }
}
