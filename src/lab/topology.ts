/**
 * The small world, of tunnels alone (`hoster.ts` has the large one): the multi-tenant gateway `gw` with tenants contoso and
 * woodgrove, whose addresses are the same, and the gateway `sites`, which plays the remote site of each.
 *
 * ```
 *   contoso    vm 10.1.0.10 ─┐                                     ┌─ 192.0.2.11 ─ contoso's site    10.2.0.10
 *                            ├─ gw 192.0.2.1 ── outer network ─────┤
 *   woodgrove  vm 10.1.0.10 ─┘                                     └─ 192.0.2.12 ─ woodgrove's site  10.2.0.10, 10.2.0.20
 * ```
 * Both gateways read documents as a user writes them.
 */
import { formatIssue, type GatewayDocument, readDocument, secretPlaces } from '../config/index.ts';
import { invariant, type Random, type Secret, toHex } from '../core/index.ts';
import { planHost, type ResolvedDocument } from '../gateway/index.ts';
import { parseAddress } from '../ip/index.ts';
import { GatewayNode, type GatewayNodeOptions } from './gateway-node.ts';
import { Host } from './host.ts';
import { type Conditions, OuterNetwork } from './network.ts';
import { Timeline } from './timeline.ts';

export const TENANTS = ['contoso', 'woodgrove'] as const;
export type TenantName = (typeof TENANTS)[number];

export const VM = '10.1.0.10';
export const SITE = '10.2.0.10';
/** Only woodgrove's site has it. */
export const PRINTER = '10.2.0.20';

interface Suite {
  readonly ike: string;
  readonly child: string;
}

const SUITES: Readonly<Record<TenantName, Suite>> = {
  contoso: { ike: 'aes256gcm16-prfsha384-ecp384', child: 'aes256gcm16-ecp384' },
  woodgrove: { ike: 'chacha20poly1305-prfsha256-curve25519', child: 'aes128-sha256' },
};
const GATEWAY = '192.0.2.1';
const SITE_GATEWAYS: Readonly<Record<TenantName, string>> = { contoso: '192.0.2.11', woodgrove: '192.0.2.12' };

/** The document of `gw`; `psk` gives the text of each tenant's secret. */
export const gatewayDocument = (psk: (tenant: TenantName) => string): string => `version: 1
gateway:
  name: gw
  external: { addresses: [${GATEWAY}] }
tenants:
${TENANTS.map((tenant) => tenantText(tenant, psk(tenant), 'gw')).join('')}`;

/** The document of `sites`. */
export const sitesDocument = (psk: (tenant: TenantName) => string): string => `version: 1
gateway:
  name: sites
  external: { addresses: [${TENANTS.map((tenant) => SITE_GATEWAYS[tenant]).join(', ')}] }
tenants:
${TENANTS.map((tenant) => tenantText(tenant, psk(tenant), 'sites')).join('')}`;

function tenantText(tenant: TenantName, psk: string, at: 'gw' | 'sites'): string {
  const { ike, child } = SUITES[tenant];
  const atGateway = at === 'gw';
  const [near, far] = atGateway ? ['10.1.0', '10.2.0'] : ['10.2.0', '10.1.0'];
  const ends = [
    { address: GATEWAY, id: 'gw.example' },
    { address: SITE_GATEWAYS[tenant], id: `${tenant}.example` },
  ] as const;
  const [local, remote] = atGateway ? ends : [ends[1], ends[0]];
  return `  - name: ${tenant}
    interfaces:
      - { name: inside, driver: fabric, addresses: [${near}.1/24] }
    connections:
      - name: ${atGateway ? 'site' : 'hq'}
        local: { address: ${local.address}, id: ${local.id} }
        remote: { address: ${remote.address}, id: ${remote.id} }
        auth: { psk: { inline: '${psk}' } }
        ike: { proposals: [${ike}] }
        child: { proposals: [${child}], local: [${near}.0/24], remote: [${far}.0/24] }
        start: demand
`;
}

/** A document that must be right, of a gateway or of a virtualization host; secrets stand inline or are given. */
export function resolveDocument(text: string, secrets: ReadonlyMap<string, Secret> = new Map()): ResolvedDocument {
  const { document, issues } = readDocument(text, 'lab.yaml');
  invariant(document !== undefined, `a document of the lab is right: ${issues.map(formatIssue).join('; ')}`);
  if (document.role === 'host') return { ...planHost(document), secrets };
  return { document, secrets: inlineSecrets(document, secrets) };
}

function inlineSecrets(document: GatewayDocument, given: ReadonlyMap<string, Secret>): ReadonlyMap<string, Secret> {
  const secrets = new Map(given);
  for (const { name, reference } of secretPlaces(document))
    if (reference.from === 'inline') secrets.set(name, reference.value);
  return secrets;
}

export interface LabOptions {
  readonly random: Random;
  readonly conditions?: Partial<Conditions>;
  readonly version?: string;
  readonly ike?: NonNullable<GatewayNodeOptions['ike']>;
  /** Changes the text of a document before it is read. */
  readonly edit?: (text: string, at: 'gw' | 'sites') => string;
  /** The end at `sites` has another secret than the one at `gw`: that tunnel cannot come up. */
  readonly wrongSecret?: TenantName;
}

export interface TenantHosts {
  readonly vm: Host;
  readonly site: Host;
}

/** The whole world, switched on; nothing has happened yet. */
export class Lab {
  readonly timeline = new Timeline();
  readonly outer: OuterNetwork;
  readonly gw: GatewayNode;
  readonly sites: GatewayNode;
  readonly hosts: Readonly<Record<TenantName, TenantHosts>>;
  readonly printer: Host;
  /** As `gw` and `sites` read them. */
  readonly documents: { readonly gw: string; readonly sites: string };

  constructor({ random, conditions, version, ike, edit = (text) => text, wrongSecret }: LabOptions) {
    const { timeline } = this;
    const secrets = new Map(TENANTS.map((tenant) => [tenant, `0x${toHex(random(32))}`]));
    const psk = (tenant: TenantName): string => secrets.get(tenant)!;
    const other = (tenant: TenantName): string => (tenant === wrongSecret ? `0x${'5e'.repeat(32)}` : psk(tenant));
    this.documents = { gw: edit(gatewayDocument(psk), 'gw'), sites: edit(sitesDocument(other), 'sites') };
    this.outer = new OuterNetwork(timeline, random, conditions);
    const common = { timeline, outer: this.outer, random };
    const options = { ...common, ...(version === undefined ? {} : { version }), ...(ike === undefined ? {} : { ike }) };
    this.gw = new GatewayNode(options);
    this.sites = new GatewayNode(options);
    this.gw.apply(resolveDocument(this.documents.gw));
    this.sites.apply(resolveDocument(this.documents.sites));
    const hosts = (tenant: TenantName): TenantHosts => ({
      vm: this.#host(this.gw, tenant, 'vm', VM),
      site: this.#host(this.sites, tenant, 'site', SITE),
    });
    this.hosts = { contoso: hosts('contoso'), woodgrove: hosts('woodgrove') };
    this.printer = this.#host(this.sites, 'woodgrove', 'printer', PRINTER);
    timeline.runToIdle(1000);
  }

  /** DELETE for everything; false when an end did not come to its end in time. */
  shutdown(): boolean {
    this.gw.dispatch({ type: 'shutdown' });
    const first = this.timeline.runUntil(() => this.gw.done, 10_000);
    this.sites.dispatch({ type: 'shutdown' });
    return this.timeline.runUntil(() => this.sites.done, 10_000) && first;
  }

  #host(node: GatewayNode, tenant: TenantName, name: string, address: string): Host {
    const segment = node.segment(tenant, 'inside');
    return new Host({ timeline: this.timeline, segment, tenant, name, addresses: [parseAddress(address)!] });
  }
}
