/**
 * What the second tenant of a line, or somebody outside, sends to do harm: each packet of a flood another one.
 *
 * All of it comes in as it would from a virtualization host, from the external network, or to the NAT-T port.
 */
import { type Bytes, putU16, putU32 } from '../src/core/index.ts';
import {
  type Address,
  ARP_OPERATION,
  BROADCAST_MAC,
  type Endpoint,
  ETHER_TYPE,
  ETHERNET_HEADER,
  fillIpv4Checksum,
  ipv4Octets,
  ND_PACKET,
  type Packet,
  parseAddress,
  parsePrefix,
  solicitedNode,
  writeArp,
  writeEthernet,
  writeIpv6GroupMac,
  writeNeighbourSolicitation,
} from '../src/ip/index.ts';
import {
  type GatewayLine,
  HOST,
  LEARNER_MAC,
  NVGRE,
  PORT_MAC,
  seal,
  VMS,
  vmAddress,
  vmMac,
  vsidOf,
  writeIp,
} from './gateway-line.ts';

export interface Flood {
  readonly name: string;
  write(packet: Packet): void;
  /** Takes over a packet; default: NVGRE from the host of both tenants. */
  enter?(line: GatewayLine, packet: Packet, now: number): void;
  /** What the tenant has beside its subnet. */
  prepare?(line: GatewayLine): void;
}

/** The gateway in each tenant's subnet: wide, so that there are many addresses that nobody has. */
export const OWN_ADDRESSES = ['10.1.0.1/16', '2001:db8:1::1/64'].map((text) => parsePrefix(text, true)!);
/** Connections of the second tenant whose peers do not answer. */
const DEMANDED = 32;

/** In compartment 3, which counts where nobody reads. */
const FLOODER = { tenant: 1, compartment: 3, vsid: vsidOf(1) } as const;

export function floods(): Flood[] {
  let n = 0;
  const next = (): number => {
    n = (n + 1) >>> 0;
    return n;
  };
  const vm = (): number => n % VMS;
  /** IPv4 of one of its machines for the gateway to route. */
  const ip = (packet: Packet, protocol: number, destination: number, length = 64): number => {
    const at = frame(packet, FLOODER.vsid, vmMac(vm()), PORT_MAC, ETHER_TYPE.ipv4);
    writeIp(packet.buf, at, length, protocol, vmAddress(vm()), destination);
    packet.end = at + length;
    return at;
  };
  const ports = ({ buf }: Packet, at: number): void => {
    putU16(buf, at + 20, 1024 + (n % 60_000));
    putU16(buf, at + 22, 443);
  };
  const udp = (packet: Packet, destination: number): void => {
    const at = ip(packet, UDP, destination);
    ports(packet, at);
    putU16(packet.buf, at + 24, 44);
    seal(packet, at, UDP);
  };
  const syn = (packet: Packet, destination: number, port = 443): void => {
    const at = ip(packet, TCP, destination);
    ports(packet, at);
    putU16(packet.buf, at + 22, port);
    putU32(packet.buf, at + 24, n);
    putU16(packet.buf, at + 32, (5 << 12) | 0x02);
    seal(packet, at, TCP);
  };
  const fragment = (packet: Packet, destination: number, flagsAndOffset: number): void => {
    const at = ip(packet, UDP, destination);
    ports(packet, at);
    putU16(packet.buf, at + 4, n & 0xffff);
    putU16(packet.buf, at + 6, flagsAndOffset);
    fillIpv4Checksum(packet.buf, at);
  };
  const arp = (packet: Packet, sender: number, target: number): void => {
    const at = frame(packet, FLOODER.vsid, LEARNER_MAC, BROADCAST_MAC, ETHER_TYPE.arp);
    writeArp(packet.buf, at, ARP_OPERATION.request, LEARNER_MAC, sender, target);
    packet.end = at + ARP_LENGTH;
  };
  const each = (address: number): number => {
    next();
    return address;
  };
  const anywhere = (): number => (0x0800_0000 + Math.imul(next(), 2654435761)) >>> 1;
  /** Of the subnet, and no machine's. */
  const nobody = (): number => 0x0a01_8000 + (next() & 0x7fff);
  return [
    { name: 'NAT sessions: UDP', write: (packet) => udp(packet, anywhere()) },
    { name: 'NAT sessions: TCP SYN', write: (packet) => syn(packet, anywhere()) },
    {
      name: 'NAT sessions: ICMP echo',
      write(packet) {
        const at = ip(packet, ICMP, anywhere());
        putU16(packet.buf, at + 20, 0x0800);
        putU16(packet.buf, at + 24, n & 0xffff);
        seal(packet, at, ICMP);
      },
    },
    { name: 'ARP requests of new senders', write: (packet) => arp(packet, nobody(), GATEWAY) },
    {
      name: 'gratuitous ARP of new addresses',
      write(packet) {
        const address = nobody();
        arp(packet, address, address);
      },
    },
    { name: "ARP for the gateway's address", write: (packet) => arp(packet, each(GATEWAY), GATEWAY) },
    {
      name: 'solicitations of new senders',
      write(packet) {
        const source = GATEWAY6.slice();
        putU32(source, 8, next());
        putU32(source, 12, 0x1000_0000 | n);
        const group = solicitedNode(GATEWAY6);
        const mac = new Uint8Array(6);
        writeIpv6GroupMac(mac, 0, group);
        const at = frame(packet, FLOODER.vsid, LEARNER_MAC, mac, ETHER_TYPE.ipv6);
        writeNeighbourSolicitation(packet.buf, at, source, group, GATEWAY6, LEARNER_MAC);
        packet.end = at + ND_PACKET;
      },
    },
    {
      name: 'forged MAC and source address',
      write(packet) {
        udp(packet, anywhere());
        const mac = packet.start + NVGRE + 6;
        if ((n & 1) === 0) putU32(packet.buf, mac + 2, n);
        else putU32(packet.buf, packet.start + NVGRE + ETHERNET_HEADER + 12, nobody());
        seal(packet, packet.start + NVGRE + ETHERNET_HEADER, UDP);
      },
    },
    {
      name: "the other tenant's VSID",
      write(packet) {
        udp(packet, anywhere());
        putU32(packet.buf, packet.start + 4, (vsidOf(0) << 8) >>> 0);
      },
      enter: (line, packet, now) => line.plane.underlay(OTHER_HOST, packet, now),
    },
    {
      name: 'VSIDs that there are not',
      write(packet) {
        udp(packet, anywhere());
        putU32(packet.buf, packet.start + 4, (0x10_0000 + (n & 0xf_ffff)) << 8);
      },
    },
    { name: 'first fragments alone', write: (packet) => fragment(packet, anywhere(), 0x2000) },
    { name: 'later fragments alone', write: (packet) => fragment(packet, anywhere(), 0x2008) },
    { name: 'fragments for the gateway', write: (packet) => fragment(packet, each(GATEWAY), 0x2008) },
    {
      name: 'hop limit of 1',
      write(packet) {
        udp(packet, anywhere());
        const at = packet.start + NVGRE + ETHERNET_HEADER;
        packet.buf[at + 8] = 1;
        fillIpv4Checksum(packet.buf, at);
      },
    },
    { name: 'to nobody in the subnet', write: (packet) => udp(packet, nobody()) },
    { name: 'to nobody outside', write: (packet) => udp(packet, EXTERNAL_NETWORK + 2 + (next() % 250)) },
    {
      name: `for ${DEMANDED} tunnels on demand`,
      write: (packet) => udp(packet, DEMANDED_NETWORK + ((next() % DEMANDED) << 8) + 7),
      prepare: demandTunnels,
    },
    {
      name: 'TCP for the gateway itself',
      write: (packet) => syn(packet, each(GATEWAY), BGP),
      prepare: ({ plane }) =>
        plane.command({ do: 'set-transport', compartment: FLOODER.compartment, on: true }, performance.now()),
    },
    {
      name: 'IKE that is none, from anywhere',
      write: (packet) => datagram(packet, 0, next()),
      enter: (line, packet, now) => line.plane.udp(NATT, from(n), packet, 0, true, now),
    },
    {
      name: 'ESP of SPIs that there are not',
      write: (packet) => datagram(packet, 0x4000_0000 | next(), n),
      enter: (line, packet, now) => line.plane.udp(NATT, from(n), packet, 0, true, now),
    },
  ];
}

/** NVGRE and Ethernet; where the payload begins. */
function frame({ buf, start }: Packet, vsid: number, source: Bytes, destination: Bytes, type: number): number {
  putU32(buf, start, 0x2000_6558);
  putU32(buf, start + 4, (vsid << 8) >>> 0);
  writeEthernet(buf, start + NVGRE, destination, source, type);
  return start + NVGRE + ETHERNET_HEADER;
}

function datagram(packet: Packet, first: number, n: number): void {
  putU32(packet.buf, packet.start, first);
  for (let at = 4; at < 64; at += 4) putU32(packet.buf, packet.start + at, n);
  packet.end = packet.start + 64;
}

/** Another sender each. */
const from = (n: number): Endpoint => ({ address: ipv4Octets((0x3000_0000 + n) >>> 0), port: 4500 });

function demandTunnels({ plane }: GatewayLine): void {
  const { compartment } = FLOODER;
  for (let i = 0; i < DEMANDED; i++) {
    const config = { name: `site${i}`, kind: 'connection', mtu: 1400, addresses: [] } as const;
    const add = { do: 'add-interface', compartment, interface: 100 + i, config, cells: -1 } as const;
    plane.command({ ...add, way: { tunnel: 1000 + i, df: 'copy', mtu: 1400 } }, performance.now());
    const prefix = { address: ipv4Octets(DEMANDED_NETWORK + (i << 8)), length: 24 };
    const route = { prefix, interface: 100 + i, origin: 'connection', preference: 5, why: 'bench' } as const;
    plane.command({ do: 'add-route', compartment, route }, performance.now());
  }
}

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const BGP = 179;
const ARP_LENGTH = 28;
const GATEWAY = 0x0a01_0001;
const GATEWAY6: Address = OWN_ADDRESSES[1]!.address;
const EXTERNAL_NETWORK = 0xc000_0200;
/** 172.20.0.0 and on. */
const DEMANDED_NETWORK = 0xac14_0000;
const OTHER_HOST: Address = HOST.slice().fill(9, 3);
const NATT: Endpoint = { address: parseAddress('192.0.2.1')!, port: 4500 };
