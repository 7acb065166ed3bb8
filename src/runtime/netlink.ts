/**
 * What the gateway asks of the kernel's network configuration: a link up, addresses and routes on it. By rtnetlink(7), one
 * acknowledged request a change, synchronously; nothing is parsed but acknowledgements.
 *
 * Leaves to others: creating devices (`tun.ts`). Deliberate limit: main routing table.
 */
import { type Address, formatPrefix, networkOf, type Prefix } from '../ip/index.ts';
import { Arena } from './memory.ts';
import { check, errorCode, type Syscalls, SystemError } from './syscalls.ts';

export class Netlink {
  readonly #sys: Syscalls;
  readonly #fd: number;
  readonly #arena: Arena;
  #end = 0;
  #sequence = 0;

  constructor(sys: Syscalls) {
    this.#sys = sys;
    this.#arena = new Arena(sys.koffi, 2 * MESSAGE_ROOM);
    this.#fd = check(sys, sys.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), 'rtnetlink');
  }

  close(): void {
    this.#sys.close(this.#fd);
  }

  /** The link-layer address of a link that is not up. */
  setMac(device: string, index: number, mac: Uint8Array): void {
    this.#beginLink(index, 0);
    this.#attribute(IFLA_ADDRESS, () => this.#octets(...mac));
    this.#demand(`giving ${device} its MAC address`);
  }

  /** Sets the MTU, keeps the kernel from making link-local addresses of its own there, and switches the link on. */
  bringUp(device: string, index: number, mtu: number): void {
    this.#beginLink(index, 0);
    this.#attribute(IFLA_AF_SPEC, () =>
      this.#attribute(AF_INET6, () => this.#attribute(IFLA_INET6_ADDR_GEN_MODE, () => this.#octets(ADDR_GEN_NONE))),
    );
    // Before the link is up, or it comes too late. A kernel without IPv6 refuses, and has no such addresses either.
    this.#transact();
    this.#beginLink(index, IFF_UP);
    this.#attribute(IFLA_MTU, () => this.#word(mtu));
    this.#demand(`switching on ${device} with MTU ${mtu}`);
  }

  /**
   * Bounds the superframes the kernel sends into a device: their segments and their octets. Larger ones it cuts itself first.
   * Code of the refusal, undefined when the bounds stand.
   */
  limitSuperframes(index: number, maxSegments: number, maxOctets: number): string | undefined {
    this.#beginLink(index, 0);
    this.#attribute(IFLA_GSO_MAX_SEGS, () => this.#word(maxSegments));
    this.#attribute(IFLA_GSO_MAX_SIZE, () => this.#word(maxOctets));
    return this.#transact();
  }

  /** Adds an address of this host with its on-link prefix. */
  addAddress(device: string, index: number, prefix: Prefix): void {
    /* struct ifaddrmsg: family (1) | prefixlen (1) | flags (1) | scope (1) | index (4) */
    this.#begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    this.#octets(family(prefix.address), prefix.length, prefix.address.length === 16 ? IFA_F_NODAD : 0, 0);
    this.#word(index);
    this.#attribute(IFA_LOCAL, () => this.#octets(...prefix.address));
    this.#attribute(IFA_ADDRESS, () => this.#octets(...prefix.address));
    this.#demand(`adding ${formatPrefix(prefix)} to ${device}`);
  }

  /**
   * Code of the refusal (`EEXIST`, `ENETDOWN` …), undefined when the route stands. Without a next hop everything there is taken to
   * be on the link.
   */
  addRoute(index: number, prefix: Prefix, nextHop?: Address): string | undefined {
    return this.#route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index, prefix, nextHop);
  }

  /** Code of the refusal (`ESRCH` where there is none), undefined when the route is gone. */
  removeRoute(index: number, prefix: Prefix): string | undefined {
    return this.#route(RTM_DELROUTE, 0, index, prefix);
  }

  #route(type: number, flags: number, index: number, prefix: Prefix, nextHop?: Address): string | undefined {
    const ipv6 = prefix.address.length === 16;
    /* struct rtmsg: family | dst_len | src_len | tos | table | protocol | scope | type (1 each) | flags (4) */
    this.#begin(type, flags);
    const added = ipv6 || nextHop !== undefined ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    const scope = type === RTM_DELROUTE ? RT_SCOPE_NOWHERE : added;
    this.#octets(family(prefix.address), prefix.length, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST);
    this.#word(0);
    this.#attribute(RTA_DST, () => this.#octets(...networkOf(prefix)));
    this.#attribute(RTA_OIF, () => this.#word(index));
    if (nextHop !== undefined) this.#attribute(RTA_GATEWAY, () => this.#octets(...nextHop));
    return this.#transact();
  }

  /* struct ifinfomsg: family (1) | pad (1) | type (2) | index (4) | flags (4) | change (4) */
  #beginLink(index: number, flags: number): void {
    this.#begin(RTM_NEWLINK, 0);
    this.#octets(0, 0, 0, 0);
    this.#word(index);
    this.#word(flags);
    this.#word(flags);
  }

  /* struct nlmsghdr: len (4) | type (2) | flags (2) | seq (4) | pid (4), all in host order */
  #begin(type: number, flags: number): void {
    const { view } = this.#arena;
    this.#sequence += 1;
    view.setUint16(4, type, true);
    view.setUint16(6, NLM_F_REQUEST | NLM_F_ACK | flags, true);
    view.setUint32(8, this.#sequence, true);
    view.setUint32(12, 0, true);
    this.#end = 16;
  }

  #octets(...values: readonly number[]): void {
    this.#arena.bytes.set(values, this.#end);
    this.#end += values.length;
  }

  #word(value: number): void {
    this.#arena.view.setUint32(this.#end, value, true);
    this.#end += 4;
  }

  /* struct rtattr: len (2) | type (2) | payload, padded to 4 */
  #attribute(type: number, body: () => void): void {
    const at = this.#end;
    this.#end += 4;
    body();
    this.#arena.view.setUint16(at, this.#end - at, true);
    this.#arena.view.setUint16(at + 2, type, true);
    while (this.#end % 4 !== 0) this.#octets(0);
  }

  /** Sends the message and waits for the kernel's verdict, which is there at once. */
  #transact(): string | undefined {
    const { view, base } = this.#arena;
    view.setUint32(0, this.#end, true);
    check(this.#sys, this.#sys.send(this.#fd, base, this.#end, 0), 'rtnetlink');
    for (let tries = 0; tries < MAX_REPLIES; tries++) {
      const length = check(this.#sys, this.#sys.recv(this.#fd, base + MESSAGE_ROOM, MESSAGE_ROOM, 0), 'rtnetlink');
      const type = view.getUint16(MESSAGE_ROOM + 4, true);
      if (length < 20 || type !== NLMSG_ERROR || view.getUint32(MESSAGE_ROOM + 8, true) !== this.#sequence) continue;
      const error = view.getInt32(MESSAGE_ROOM + 16, true);
      return error === 0 ? undefined : errorCode(-error);
    }
    return 'ETIMEDOUT';
  }

  #demand(what: string): void {
    const code = this.#transact();
    if (code !== undefined)
      throw new SystemError(what, code, code === 'EPERM' ? 'Network devices need root or CAP_NET_ADMIN' : '');
  }
}

const family = (address: Address): number => (address.length === 16 ? AF_INET6 : AF_INET);

const MESSAGE_ROOM = 1024;
const MAX_REPLIES = 8;

const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
const NETLINK_ROUTE = 0;
const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 0x001;
const NLM_F_ACK = 0x004;
const NLM_F_REPLACE = 0x100;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const IFF_UP = 1;
const IFLA_ADDRESS = 1;
const IFLA_MTU = 4;
const IFLA_AF_SPEC = 26;
const IFLA_GSO_MAX_SEGS = 40;
const IFLA_GSO_MAX_SIZE = 41;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const ADDR_GEN_NONE = 1;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_F_NODAD = 0x02;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
/** Any, of a route to be removed. */
const RT_SCOPE_NOWHERE = 255;
const RTN_UNICAST = 1;
