/**
 * The port of an interface of the document: which kind, with what of its configuration.
 */
import type { InterfaceDocument } from '../config/index.ts';
import { openPacketSocket, type PacketSocketOptions } from './packet-socket.ts';
import type { Port } from './port.ts';
import { openTap, openTun } from './tun.ts';

/** A port, with the host's routes into it where it can have any. */
export type OpenPort = Port & { route?(prefixes: InterfaceDocument['addresses']): readonly string[] };

export type OpenPortOptions = Pick<PacketSocketOptions, 'pool' | 'readiness' | 'offload' | 'receive'> & {
  readonly failed: (why: string) => void;
};

/** Throws SystemError. `mac` and `addresses` of the configuration are those of our end. */
export function openPort(config: InterfaceDocument, options: OpenPortOptions): OpenPort {
  const { driver, device, mtu, mac, addresses, hostAddresses } = config;
  if (driver === 'packet') return openPacketSocket({ ...options, device, ...(mac === 'auto' ? {} : { mac }) });
  if (driver === 'tun') return openTun({ ...options, device, mtu, addresses: hostAddresses });
  const nextHops = addresses.map(({ address }) => address);
  return openTap({ ...options, device, mtu, addresses: hostAddresses, nextHops });
}
