/**
 * A gateway with two tenants whose addresses are the same: VMs behind NVGRE, a NAT address for each, a site for each, an external
 * NIC. VMs, provider network and the external router are frames by hand.
 */
import { GatewayBackend } from '../../src/api/index.ts';
import { type Bytes, seededRandom } from '../../src/core/index.ts';
import type { GatewayAction, TenantStatus } from '../../src/gateway/index.ts';
import {
  ARP_LENGTH,
  ARP_OPERATION,
  buildUdp,
  ETHER_TYPE,
  ETHERNET_HEADER,
  ipv4Number,
  parseMac,
  writeArp,
  writeEthernet,
} from '../../src/ip/index.ts';
import { GatewayNode, Host, OuterNetwork, resolveDocument, Timeline } from '../../src/lab/index.ts';
import { addr } from '../support/packets.ts';

export const NAMES = ['contoso', 'woodgrove'] as const;
export type Name = (typeof NAMES)[number];

export const VM = '10.1.0.10';
export const SITE = '10.2.0.10';
export const VM_MAC = '00:15:5d:00:00:10';
export const HOST_PA = '192.168.50.21';
export const VSID: Readonly<Record<Name, number>> = { contoso: 5001, woodgrove: 6001 };
export const NAT: Readonly<Record<Name, string>> = { contoso: '203.0.113.50', woodgrove: '203.0.113.51' };
export const ROUTER = '203.0.113.1';
const ROUTER_MAC = parseMac('02:00:00:00:00:99')!;
const SITE_GATEWAY: Readonly<Record<Name, string>> = { contoso: '192.0.2.11', woodgrove: '192.0.2.12' };

const tenant = (name: Name, more: string): string => `
  - name: ${name}
    subnets: [{ vsid: ${VSID[name]}, prefix: 10.1.0.0/24, address: 10.1.0.1 }]
    lookup:
      - { vsid: ${VSID[name]}, ca: ${VM}, mac: "${VM_MAC}", pa: ${HOST_PA} }
      - { vsid: ${VSID[name]}, ca: 10.1.0.11, mac: "00:15:5d:00:00:11", pa: 192.168.50.22 }
    nat:
      address: ${NAT[name]}
      rules: [{ protocol: tcp, externalPort: 443, to: "${VM}:8443" }]${more}
    connections:
      - name: site
        local: { address: 192.0.2.1, id: gw.example }
        remote: { address: ${SITE_GATEWAY[name]}, id: ${name}.example }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.1.0.0/24], remote: [10.2.0.0/24] }`;

export const document = (more = ''): string => `version: 1
gateway:
  name: gw
  external:
    addresses: [192.0.2.1]
    interface: { driver: packet, device: eth0, addresses: [203.0.113.2/24], gateway: ${ROUTER} }
    pool: 203.0.113.50-203.0.113.99
  underlay: { address: 192.168.50.10 }
tenants:${NAMES.map((name) => tenant(name, more)).join('')}
`;

const sites = `version: 1
gateway: { name: sites, external: { addresses: [192.0.2.11, 192.0.2.12] } }
tenants:${NAMES.map(
  (name) => `
  - name: ${name}
    interfaces: [{ name: inside, driver: fabric, addresses: [10.2.0.1/24] }]
    connections:
      - name: hq
        local: { address: ${SITE_GATEWAY[name]}, id: ${name}.example }
        remote: { address: 192.0.2.1, id: gw.example }
        auth: { psk: { inline: a secret of more than sixteen octets } }
        child: { local: [10.2.0.0/24], remote: [10.1.0.0/24] }`,
).join('')}
`;

export class VirtualWorld {
  readonly timeline = new Timeline();
  readonly gw: GatewayNode;
  readonly sites: GatewayNode;
  readonly hosts: Readonly<Record<Name, Host>>;
  /** Of `gw`, oldest first; packets are gone, `external` and `fabric` have copies. */
  readonly actions: GatewayAction[] = [];
  /** Frames out of the external NIC. */
  readonly external: Bytes[] = [];
  /** IP packets with GRE to the hosts. */
  readonly fabric: Bytes[] = [];

  /** `more` stands under the `nat` of both tenants. */
  constructor(more = '') {
    const { timeline } = this;
    const random = seededRandom(7);
    const [outer, fabric] = [new OuterNetwork(timeline, random), new OuterNetwork(timeline, random)];
    this.gw = new GatewayNode({ timeline, outer, fabric, random });
    this.sites = new GatewayNode({ timeline, outer, random });
    this.gw.observe((action) => this.actions.push(action));
    this.gw.segment('default', 'external').tap((frame) => this.external.push(frame));
    for (const pa of [HOST_PA, '192.168.50.22']) fabric.attach(addr(pa), (packet) => this.fabric.push(packet));
    this.sites.apply(resolveDocument(sites));
    this.gw.apply(resolveDocument(document(more)));
    const host = (name: Name) =>
      new Host({ timeline, segment: this.sites.segment(name, 'inside'), tenant: name, name, addresses: [addr(SITE)] });
    this.hosts = { contoso: host('contoso'), woodgrove: host('woodgrove') };
    this.run(50);
  }

  run(milliseconds: number): void {
    this.timeline.advanceTo(this.timeline.now + milliseconds);
  }

  apply(more: string): void {
    this.gw.apply(resolveDocument(document(more)));
  }

  tenantOf(name: string): TenantStatus {
    return this.gw.gateway.tenants().find((each) => each.name === name)!;
  }

  /** An IP packet that a VM of the tenant sends to the gateway, as its host encapsulates it. */
  fromVm(name: Name, packet: Bytes, { mac = VM_MAC, pa = HOST_PA }: { mac?: string; pa?: string } = {}): void {
    const gateway = this.tenantOf(name).interfaces.find((i) => i.name === `vsid:${VSID[name]}`)!.mac!;
    this.underlay(addr(pa), nvgre(name, ethernetFrame(parseMac(gateway)!, parseMac(mac)!, packet)));
  }

  underlay(remote: Bytes, octets: Bytes): void {
    const packet = this.gw.pool.from(octets)!;
    this.gw.dispatch({ type: 'underlay', remote, packet });
    this.run(1);
  }

  /** An IP packet of the external network's router. */
  fromOutside(packet: Bytes): void {
    const mac = this.tenantOf('default').interfaces.find((i) => i.name === 'external')!.mac!;
    this.frame(ethernet(parseMac(mac)!, ROUTER_MAC, ETHER_TYPE.ipv4, packet));
  }

  /** The router says who it is: it would be asked otherwise. */
  answerAsRouter(address = ROUTER, mac: Bytes = ROUTER_MAC): void {
    const arp = new Uint8Array(ARP_LENGTH);
    const own = parseMac(this.tenantOf('default').interfaces.find((i) => i.name === 'external')!.mac!)!;
    writeArp(arp, 0, ARP_OPERATION.reply, mac, ipv4Number(addr(address)), ipv4Number(addr('203.0.113.2')), own);
    this.frame(ethernet(own, mac, ETHER_TYPE.arp, arp));
  }

  frame(octets: Bytes): void {
    const packet = this.gw.pool.from(octets)!;
    this.gw.dispatch({ type: 'packet', tenant: 'default', interface: 'external', packet });
    this.run(1);
  }
}

/** The gateway of such a world behind the API's backend. */
export function host(more = ''): { world: VirtualWorld; backend: GatewayBackend } {
  const world = new VirtualWorld(more);
  const { gw, timeline } = world;
  const backend = new GatewayBackend({
    gateway: gw.gateway,
    dispatch: (event) => gw.dispatch(event),
    now: () => timeline.now,
    keys: () => ({ enabled: false, folder: null }),
    setKeys: (enabled) => ({ enabled, folder: null }),
    reload: () => Promise.resolve({ applied: true, changes: [], issues: [] }),
    configText: () => '',
  });
  gw.observe((action) => backend.observe(action));
  return { world, backend };
}

/** The external router is known, and the sites are connected. */
export function prepare(world: VirtualWorld): void {
  for (const name of NAMES) world.fromVm(name, udp(VM, 5000, SITE, 7));
  world.run(2000);
  world.fromVm('contoso', udp(VM, 5000, '192.0.2.80', 53));
  world.answerAsRouter();
}

/** GRE with the VSID of the tenant in front. */
export function nvgre(name: Name, frame: Bytes): Bytes {
  const vsid = VSID[name];
  return Uint8Array.from([0x20, 0, 0x65, 0x58, vsid >>> 16, vsid >>> 8, vsid, 0, ...frame]);
}

export const ethernetFrame = (to: Bytes, from: Bytes, packet: Bytes): Bytes =>
  ethernet(to, from, ETHER_TYPE.ipv4, packet);

function ethernet(to: Bytes, from: Bytes, type: number, payload: Bytes): Bytes {
  const frame = new Uint8Array(ETHERNET_HEADER + payload.length);
  writeEthernet(frame, 0, to, from, type);
  frame.set(payload, ETHERNET_HEADER);
  return frame;
}

export const udp = (
  source: string,
  sourcePort: number,
  destination: string,
  destinationPort: number,
  size = 4,
): Bytes =>
  buildUdp({ source: addr(source), destination: addr(destination), sourcePort, destinationPort }, new Uint8Array(size));
