/**
 * Superframes of TUN and TAP devices: asks the kernel for them, and for the header before each frame.
 *
 * Read first: Documentation/networking/tuntap.rst of Linux, linux/if_tun.h (TUN_F_*). Leaves to others: reading and writing that
 * header (`vnet-frame.ts`), the device itself (`tun.ts`). Limit: no UFO, which Linux has given up.
 */
import { VIRTIO_HEADER } from '../ip/index.ts';
import { EXCLUDED, type OffloadState, type TunOffloadName, type TunOffloads, USED, unused } from './offload.ts';
import { errorCode, errorWords, type Syscalls } from './syscalls.ts';

/** Whether the kernel can put a header before packets; asked of the open /dev/net/tun. */
export function probeVnetHeader(sys: Syscalls, fd: number, without: readonly TunOffloadName[]): OffloadState {
  if (without.includes('vnetHeader')) return EXCLUDED;
  return (tunFeatures(sys, fd) & IFF_VNET_HDR) === 0 ? unused('the TUN driver has no IFF_VNET_HDR') : USED;
}

/** What the driver can make (IFF_TUN, IFF_TAP, IFF_VNET_HDR …), asked of the open /dev/net/tun; 0 where it does not say. */
export function tunFeatures(sys: Syscalls, fd: number): number {
  return sys.ioctl(fd, TUNGETFEATURES, sys.scratch.base) < 0 ? 0 : sys.scratch.view.getUint32(0, true);
}

/** Fixes the size of the header of an attached device. */
export function fixVnetHeader(sys: Syscalls, fd: number): boolean {
  sys.scratch.view.setInt32(0, VIRTIO_HEADER, true);
  return sys.ioctl(fd, TUNSETVNETHDRSZ, sys.scratch.base) === 0;
}

/** Switches on each kind of superframe that the kernel has. `limits` stands already; without them none may come. */
export function negotiateSuperframes(
  sys: Syscalls,
  fd: number,
  limits: OffloadState,
  unlimitedFits: boolean,
  without: readonly TunOffloadName[],
): TunOffloads {
  let accepted = 0;
  const ask = (name: TunOffloadName, bits: number, needs?: OffloadState): OffloadState => {
    if (without.includes(name)) return EXCLUDED;
    if (needs?.used === false) return unused(`needs what is missing: ${needs.why}`);
    if (sys.ioctl(fd, TUNSETOFFLOAD, accepted | bits) < 0) return refusal(sys);
    accepted |= bits;
    return USED;
  };
  const checksum = ask('checksum', TUN_F_CSUM);
  const base = checksum.used && !limits.used && !unlimitedFits ? limits : checksum;
  const tso4 = ask('tso4', TUN_F_TSO4, base);
  const tso6 = ask('tso6', TUN_F_TSO6, base);
  const ecn = ask('ecn', TUN_F_TSO_ECN, tso4.used ? tso4 : tso6);
  return { vnetHeader: USED, checksum, tso4, tso6, ecn, uso: ask('uso', TUN_F_USO4 | TUN_F_USO6, base), limits };
}

/** What a device without the header reports. */
export function noSuperframes(vnetHeader: OffloadState): TunOffloads {
  const none = vnetHeader;
  return { vnetHeader, checksum: none, tso4: none, tso6: none, ecn: none, uso: none, limits: none };
}

function refusal(sys: Syscalls): OffloadState {
  const code = errorCode(sys.errno());
  return unused(code === 'EINVAL' ? 'this kernel has none' : `${errorWords(code)} (${code})`);
}

export const IFF_VNET_HDR = 0x4000;
const TUNGETFEATURES = 0x800454cf;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUN_F_CSUM = 0x01;
const TUN_F_TSO4 = 0x02;
const TUN_F_TSO6 = 0x04;
const TUN_F_TSO_ECN = 0x08;
const TUN_F_USO4 = 0x20;
const TUN_F_USO6 = 0x40;
