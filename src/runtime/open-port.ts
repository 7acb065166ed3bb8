/**
 * The port of an interface of the document: which kind, with what of its configuration.
 */
import type { InterfaceDocument } from '../config/index.ts';
import { openPacketSocket, type PacketSocketOptions } from './packet-socket.ts';
import type { Port } from './port.ts';
import { openTap, openTun } from './tun.ts';

/** A port, with the host's routes into it where it can have any. */
export type OpenPort = Port & {
  /** What its device carries, where that is not ours to say. */
  readonly mtu?: number;
  route?(prefixes: InterfaceDocument['addresses']): readonly string[];
};

export type OpenPortOptions = Pick<PacketSocketOptions, 'pool' | 'readiness' | 'offload' | 'receive'> & {
  readonly failed: (why: string) => void;
  /** The MAC of the machine on the other end; undefined: the port is an interface of a compartment. */
  readonly machine: Uint8Array | undefined;
};

/**
 * Throws SystemError. `mac` and `addresses` of the configuration are those of our end. A packet socket whose MAC is not said, and
 * one that is all the network a machine has, get all frames.
 */
export function openPort(config: InterfaceDocument, { machine, ...options }: OpenPortOptions): OpenPort {
  const { driver, device, mtu, mac, addresses, hostAddresses } = config;
  if (driver === 'packet') {
    const promiscuous = machine !== undefined || mac === 'auto';
    return openPacketSocket({ ...options, device, promiscuous, mac: promiscuous ? undefined : mac });
  }
  if (driver === 'tun') return openTun({ ...options, device, mtu, addresses: hostAddresses });
  const nextHops = addresses.map(({ address }) => address);
  return openTap({ ...options, device, mtu, mac: machine, addresses: hostAddresses, nextHops });
}

/** What is lost because a device that is there already carries more, or less, than what is behind it; undefined: nothing. */
export function mtuProblem(
  { name, device, mtu }: InterfaceDocument,
  { mtu: carried = mtu }: Pick<OpenPort, 'mtu'>,
  isMachine: boolean,
): string | undefined {
  if (isMachine && carried > mtu)
    return (
      `VM ${name}: ${device} carries ${carried} octets and the provider network ${mtu} inside its headers: larger packets to ` +
      `other hosts are lost. Set the MTU of the VM to ${mtu}, or raise that of the underlay by ${carried - mtu}`
    );
  if (!isMachine && carried < mtu)
    return (
      `interface ${name}: ${device} carries ${carried} octets, less than its mtu ${mtu}: larger packets are lost. ` +
      `Set mtu to ${carried}`
    );
  return undefined;
}
