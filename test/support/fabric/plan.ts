/** What there is in a fabric's world, and the documents that say so to each of its machines. */

export interface VmPlan {
  readonly name: string;
  readonly vsid: number;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly host: string;
}

export interface SubnetPlan {
  readonly vsid: number;
  readonly prefixes: readonly string[];
  /** The gateway's own in the first prefix; default: the lowest, which on hosts is the distributed router's. */
  readonly address?: string;
}

export interface SitePlan {
  /** Of the gateway there, in the outer network. */
  readonly gateway: string;
  readonly prefix: string;
  readonly hosts: Readonly<Record<string, string>>;
}

export interface TenantPlan {
  readonly name: string;
  readonly subnets: readonly SubnetPlan[];
  readonly vms: readonly VmPlan[];
  /** YAML of the section, for example `{ address: 203.0.113.50 }`. */
  readonly nat?: string;
  readonly direct?: boolean;
  readonly site?: SitePlan;
  /** More of the tenant in the gateway's document, each a line. */
  readonly more?: readonly string[];
}

export interface WorldPlan {
  /** Provider addresses of the gateway, separated by commas. */
  readonly underlay: string;
  readonly encapsulation?: 'nvgre' | 'nvgre-udp';
  readonly underlayMtu?: number;
  /** Provider addresses of each host. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly driver?: 'packet' | 'tun' | 'fabric';
  readonly externalMtu?: number;
  readonly tenants: readonly TenantPlan[];
}

export const GATEWAY_MAC = '02:00:00:00:00:fe';
export const OUTER = '192.0.2.1';
export const EXTERNAL = '203.0.113.10';
export const ROUTER = '203.0.113.1';
export const POOL = '203.0.113.50-203.0.113.99';
const PSK = '0x6275636b65746275636b65746275636b65746275636b65746275636b65746275';

export function gatewayText(plan: WorldPlan): string {
  const { driver = 'packet', externalMtu = 1500 } = plan;
  const ends =
    driver === 'tun' ? '' : `, addresses: [${EXTERNAL}/24, "2001:db8:e::10/64"], gateway: [${ROUTER}, "2001:db8:e::1"]`;
  const device = driver === 'packet' ? ', device: eth0' : '';
  return `version: 1
gateway:
  name: gw
  external:
    addresses: [${OUTER}]
    interface: { driver: ${driver}${device}, mtu: ${externalMtu}${ends} }
    pool: ${POOL}
  underlay: ${underlay(plan, plan.underlay)}
tenants:
${plan.tenants.map((tenant) => gatewayTenant(plan, tenant)).join('')}`;
}

function gatewayTenant(plan: WorldPlan, { name, subnets, vms, nat, direct, site, more = [] }: TenantPlan): string {
  const lines = [
    `  - name: ${name}`,
    `    subnets:${subnets.length === 0 ? ' []' : ''}`,
    ...subnets.flatMap(({ vsid, prefixes, address }) =>
      prefixes.map((prefix, i) => {
        const own = i === 0 && address !== undefined ? `, address: ${address}` : '';
        return `      - { vsid: ${vsid}, prefix: "${prefix}"${own}, mac: "${GATEWAY_MAC}" }`;
      }),
    ),
    ...lookup(vms.flatMap((vm) => recordsOf(vm, plan.hosts[vm.host]!, plan.underlay))),
    ...(nat === undefined ? [] : [`    nat: ${nat}`]),
    ...(direct === true ? ['    direct: true'] : []),
    ...(site === undefined ? [] : connection(site, prefixesOf(subnets), 'gw', name)),
    ...more.map((line) => `    ${line}`),
  ];
  return `${lines.join('\n')}\n`;
}

export function hostText(plan: WorldPlan, host: string): string {
  const tenants = plan.tenants.map(({ name, subnets, vms }) => {
    const gateway = plan.underlay;
    const records = [
      ...vms.filter((vm) => vm.host !== host).flatMap((vm) => recordsOf(vm, plan.hosts[vm.host]!, plan.hosts[host]!)),
      ...subnets.flatMap(({ vsid, address }) => {
        const pa = matching(gateway, plan.hosts[host]!);
        const rest = `mac: "${GATEWAY_MAC}", pa: "${pa}"`;
        const own = address === undefined ? [] : [`{ vsid: ${vsid}, ca: "${address}", ${rest} }`];
        return [...own, `{ vsid: ${vsid}, ${rest}, type: gateway-wildcard }`];
      }),
    ];
    const here = vms.filter((vm) => vm.host === host);
    const lines = [
      `  - name: ${name}`,
      `    subnets:${subnets.length === 0 ? ' []' : ''}`,
      ...subnets.flatMap(({ vsid, prefixes }) => prefixes.map((p) => `      - { vsid: ${vsid}, prefix: "${p}" }`)),
      ...lookup(records),
      ...(here.length === 0 ? [] : ['    vms:']),
      ...here.map(
        (vm) =>
          `      - { name: ${vm.name}, vsid: ${vm.vsid}, mac: "${vm.mac}", device: ${name.slice(0, 6)}-${vm.name}, addresses: [${vm.addresses
            .map((a) => `"${a}"`)
            .join(', ')}] }`,
      ),
    ];
    return `${lines.join('\n')}\n`;
  });
  return `version: 1\nhost: { name: ${host}, underlay: ${underlay(plan, plan.hosts[host]!)} }\ntenants:\n${tenants.join('')}`;
}

/** Of the other ends of all connections; undefined: there are none. */
export function sitesText({ tenants }: WorldPlan): string | undefined {
  const sites = tenants.filter(({ site }) => site !== undefined);
  if (sites.length === 0) return undefined;
  const text = sites.map(({ name, site, subnets }) => {
    const inside = `      - { name: inside, driver: fabric, addresses: ["${site!.prefix.replace(/\.0\//, '.1/')}"] }`;
    const lines = [
      `  - name: ${name}`,
      '    interfaces:',
      inside,
      ...connection(site!, prefixesOf(subnets), 'site', name),
    ];
    return `${lines.join('\n')}\n`;
  });
  const addresses = sites.map(({ site }) => site!.gateway).join(', ');
  return `version: 1\ngateway: { name: sites, external: { addresses: [${addresses}] } }\ntenants:\n${text.join('')}`;
}

const prefixesOf = (subnets: readonly SubnetPlan[]): string[] =>
  subnets.flatMap(({ prefixes }) => prefixes).filter((prefix) => !prefix.includes(':'));

function connection(site: SitePlan, near: readonly string[], at: 'gw' | 'site', name: string): string[] {
  const ends = [`{ address: ${OUTER}, id: gw.example }`, `{ address: ${site.gateway}, id: ${name}.example }`];
  const [local, remote] = at === 'gw' ? ends : [ends[1], ends[0]];
  const selectors = [`[${near.join(', ')}]`, `[${site.prefix}]`];
  const [inner, outer] = at === 'gw' ? selectors : [selectors[1], selectors[0]];
  return [
    '    connections:',
    `      - name: ${at === 'gw' ? 'site' : 'hq'}`,
    `        local: ${local}`,
    `        remote: ${remote}`,
    `        auth: { psk: { inline: '${PSK}' } }`,
    '        ike: { proposals: [aes256gcm16-prfsha256-curve25519] }',
    `        child: { proposals: [aes256gcm16], local: ${inner}, remote: ${outer} }`,
    '        start: demand',
  ];
}

const underlay = ({ encapsulation = 'nvgre', underlayMtu = 1500 }: WorldPlan, addresses: string): string =>
  `{ addresses: [${addresses
    .split(',')
    .map((a) => `"${a}"`)
    .join(', ')}], encapsulation: ${encapsulation}, mtu: ${underlayMtu} }`;

const lookup = (records: readonly string[]): string[] =>
  records.length === 0 ? [] : ['    lookup:', ...records.map((record) => `      - ${record}`)];

const recordsOf = ({ vsid, addresses, mac }: VmPlan, pas: string, from: string): string[] =>
  addresses.map((ca) => `{ vsid: ${vsid}, ca: "${ca}", mac: "${mac}", pa: "${matching(pas, from)}" }`);

/** One of the provider addresses of a family that the other machine has, too. */
function matching(pas: string, from: string): string {
  const family = (text: string): boolean => text.includes(':');
  return pas.split(',').find((pa) => from.split(',').some((own) => family(own) === family(pa)))!;
}
