/**
 * The documents of a hoster's gateway, of its virtualization hosts and of its tenants' sites, as people write them.
 *
 * Read first: `hoster.ts` has the picture; `examples/multi-tenant.yaml` and `examples/host.yaml` are of the same kind.
 */
import { TENANTS, type TenantName } from './topology.ts';

/** How a tenant is let out. */
export interface TenantPlan {
  /** An external address of its own: `auto` one of the pool. UDP port 7 of it leads to its `web`. */
  readonly nat?: string;
  /** Without translation. */
  readonly direct?: boolean;
  /** An IKEv2 connection to its site. */
  readonly site?: boolean;
}

export type HosterPlan = Readonly<Record<TenantName, TenantPlan>>;

/** What is wrong in a world that shows how that is explained. */
export interface HosterFaults {
  /** The site has another secret. */
  readonly secret?: TenantName;
  /** The site takes other algorithms. */
  readonly proposal?: TenantName;
  /** The gateway looks for this tenant's `db` on a host where it is not. */
  readonly record?: TenantName;
}

export interface VmPlan {
  readonly name: string;
  /** Which of the tenant's two virtual subnets. */
  readonly subnet: 0 | 1;
  readonly address: string;
  readonly mac: string;
  readonly host: HostName;
}

export const HOSTS = { host1: '192.168.50.21', host2: '192.168.50.22', host3: '192.168.50.23' } as const;
export type HostName = keyof typeof HOSTS;

export const WEB = '10.1.0.10';
export const DB = '10.1.0.11';
export const APP = '10.1.1.10';
/** Only woodgrove has it. */
export const VAULT = '10.1.0.20';
/** On the Internet. */
export const SERVER = '198.51.100.80';
/** The gateway's end of the external network, beside the address of IKE. */
export const EXTERNAL = '203.0.113.11';
/** The gateway's own in the first subnet of each tenant. */
export const GATEWAY_CA = '10.1.0.254';

const IKE = '203.0.113.10';
const UNDERLAY = { address: '192.168.50.10', mtu: 1600 } as const;
const SITES: Readonly<Record<TenantName, string>> = { contoso: '198.51.100.11', woodgrove: '198.51.100.12' };
const SUITES = {
  contoso: { ike: 'aes256gcm16-prfsha384-ecp384', child: 'aes256gcm16-ecp384' },
  woodgrove: { ike: 'chacha20poly1305-prfsha256-curve25519', child: 'aes128-sha256' },
} as const satisfies Record<TenantName, unknown>;
const OTHER_IKE = 'aes128-sha256-modp2048';
const RDIDS: Readonly<Record<TenantName, string>> = {
  contoso: '8d2c6a57-0f7e-4f0e-9a44-7f3f3f1f7c22',
  woodgrove: '5b1f7f2e-6a5e-4c62-9c58-1f5f2f0d9a11',
};

/** Of both tenants the same addresses and MACs; `web` of both on one host. */
export const VMS: Readonly<Record<TenantName, readonly VmPlan[]>> = {
  contoso: [
    { name: 'web', subnet: 0, address: WEB, mac: '00:15:5d:00:00:10', host: 'host1' },
    { name: 'db', subnet: 0, address: DB, mac: '00:15:5d:00:00:11', host: 'host2' },
    { name: 'app', subnet: 1, address: APP, mac: '00:15:5d:00:01:10', host: 'host3' },
  ],
  woodgrove: [
    { name: 'web', subnet: 0, address: WEB, mac: '00:15:5d:00:00:10', host: 'host1' },
    { name: 'db', subnet: 0, address: DB, mac: '00:15:5d:00:00:11', host: 'host3' },
    { name: 'app', subnet: 1, address: APP, mac: '00:15:5d:00:01:10', host: 'host2' },
    { name: 'vault', subnet: 0, address: VAULT, mac: '00:15:5d:00:00:20', host: 'host2' },
  ],
};

interface SubnetPlan {
  readonly vsid: number;
  readonly prefix: string;
  readonly gateway: string;
  /** The gateway's, which hosts have to know. */
  readonly mac: string;
}

export const SUBNETS: Readonly<Record<TenantName, readonly [SubnetPlan, SubnetPlan]>> = {
  contoso: [subnet(5001, 0), subnet(5002, 1)],
  woodgrove: [subnet(6001, 0), subnet(6002, 1)],
};

function subnet(vsid: number, third: number): SubnetPlan {
  const mac = `02:00:00:00:${String(vsid).replace(/(..)(..)/, '$1:$2')}`;
  return { vsid, prefix: `10.1.${third}.0/24`, gateway: `10.1.${third}.254`, mac };
}

type SecretOf = (tenant: TenantName) => string;

export function hosterDocument(plan: HosterPlan, secretOf: SecretOf, faults: HosterFaults = {}): string {
  return `version: 1
gateway:
  name: gw
  external:
    addresses: [${IKE}]
    interface: { driver: fabric, addresses: [${EXTERNAL}/24] }
    pool: 203.0.113.50-203.0.113.99
  underlay: { address: ${UNDERLAY.address}, mtu: ${UNDERLAY.mtu} }
tenants:
${TENANTS.map((tenant) => tenantOfGateway(tenant, plan[tenant], secretOf, faults.record === tenant)).join('')}`;
}

function tenantOfGateway(tenant: TenantName, plan: TenantPlan, secretOf: SecretOf, wrongRecord: boolean): string {
  const subnets = SUBNETS[tenant].map(
    ({ vsid, prefix, gateway, mac }) =>
      `      - { vsid: ${vsid}, prefix: ${prefix}, address: ${gateway}, mac: "${mac}" }\n`,
  );
  const rule = `{ protocol: udp, externalPort: 7, to: "${WEB}:7" }`;
  const nat = plan.nat === undefined ? '' : `    nat: { address: ${plan.nat}, rules: [${rule}] }\n`;
  return `  - name: ${tenant}
    rdid: ${RDIDS[tenant]}
    subnets:
${subnets.join('')}    lookup:
${lookup(tenant, wrongRecord)}${nat}${plan.direct === true ? '    direct: true\n' : ''}${
  plan.site === true ? `    connections:\n${connection(tenant, secretOf(tenant), true, SUITES[tenant].ike)}` : ''
}`;
}

const lookup = (tenant: TenantName, wrongRecord: boolean): string =>
  VMS[tenant]
    .map((vm) => {
      const { name, subnet: index, address, mac } = vm;
      const pa = HOSTS[recordedHost(vm, wrongRecord)];
      return `      - { vsid: ${SUBNETS[tenant][index].vsid}, ca: ${address}, mac: "${mac}", pa: ${pa} } # ${name}\n`;
    })
    .join('');

/** Where a record has it. */
export const recordedHost = ({ name, host }: VmPlan, wrongRecord: boolean): HostName =>
  wrongRecord && name === 'db' ? OTHER_HOST[host] : host;

const OTHER_HOST = { host1: 'host2', host2: 'host3', host3: 'host1' } as const;

/** Undefined: no tenant has a site. */
export function sitesDocument(plan: HosterPlan, secretOf: SecretOf, faults: HosterFaults = {}): string | undefined {
  const tenants = TENANTS.filter((tenant) => plan[tenant].site === true);
  if (tenants.length === 0) return undefined;
  return `version: 1
gateway:
  name: sites
  external: { addresses: [${tenants.map((tenant) => SITES[tenant]).join(', ')}] }
tenants:
${tenants
  .map(
    (tenant) => `  - name: ${tenant}
    interfaces:
      - { name: inside, driver: fabric, addresses: [10.2.0.1/24] }
    connections:
${connection(tenant, secretOf(tenant), false, faults.proposal === tenant ? OTHER_IKE : SUITES[tenant].ike)}`,
  )
  .join('')}`;
}

function connection(tenant: TenantName, secret: string, atGateway: boolean, ike: string): string {
  const ends = [
    { address: IKE, id: 'gw.example', inside: '10.1.0.0/23' },
    { address: SITES[tenant], id: `${tenant}.example`, inside: '10.2.0.0/24' },
  ] as const;
  const [local, remote] = atGateway ? ends : [ends[1], ends[0]];
  return `      - name: ${atGateway ? 'site' : 'hq'}
        local: { address: ${local.address}, id: ${local.id} }
        remote: { address: ${remote.address}, id: ${remote.id} }
        auth: { psk: { inline: '${secret}' } }
        ike: { proposals: [${ike}] }
        child: { proposals: [${SUITES[tenant].child}], local: [${local.inside}], remote: [${remote.inside}] }
        start: demand
`;
}

export function hostDocument(name: HostName): string {
  return `version: 1
host:
  name: ${name}
  underlay: { address: ${HOSTS[name]}, mtu: ${UNDERLAY.mtu} }
tenants:
${TENANTS.map((tenant) => tenantOfHost(tenant, name)).join('')}`;
}

/** What no subnet covers goes to the gateway, whichever subnet it comes from. */
function tenantOfHost(tenant: TenantName, host: HostName): string {
  const subnets = SUBNETS[tenant].map(({ vsid, prefix }) => `{ vsid: ${vsid}, prefix: ${prefix} }`).join(', ');
  const gateways = SUBNETS[tenant].map(
    ({ vsid, gateway, mac }) => `      - { vsid: ${vsid}, ca: ${gateway}, mac: "${mac}", pa: ${UNDERLAY.address} }
      - { vsid: ${vsid}, mac: "${mac}", pa: ${UNDERLAY.address}, type: gateway-wildcard }
`,
  );
  const vms = VMS[tenant]
    .filter((vm) => vm.host === host)
    .map(({ name, subnet: index, address, mac }) => {
      const where = `vsid: ${SUBNETS[tenant][index].vsid}, mac: "${mac}", addresses: [${address}]`;
      return `      - { name: ${name}, ${where}, device: ${tenant}-${name} }\n`;
    });
  return `  - name: ${tenant}
    rdid: ${RDIDS[tenant]}
    subnets: [${subnets}]
    lookup:
${lookup(tenant, false)}${gateways.join('')}${vms.length === 0 ? '' : `    vms:\n${vms.join('')}`}`;
}
