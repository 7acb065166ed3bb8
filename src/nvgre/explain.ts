/**
 * "Select next hop": what the virtual switch would do with a packet, in words, from the same tables the packet path reads.
 *
 * The original has it as Select-NetVirtualizationNextHop. Asks nothing of the VM: that it sends to an address on link
 * itself and to its default gateway otherwise is taken for granted.
 */
import { toHex } from '../core/index.ts';
import {
  type Address,
  formatAddress,
  formatPrefix,
  ipv4Number,
  ipv6IsLinkLocalAt,
  ipv6IsMulticastAt,
} from '../ip/index.ts';
import type { NextHopExplanation, NextHopQuery } from './contract.ts';
import { type Hop, lowestAddress, NO_VSID, type OnLink, type Width } from './customer-routes.ts';
import type { LookupPolicy } from './lookup.ts';
import { type Binding, NO_PORT, ORIGIN, type Station, type Subnet } from './station.ts';

type Chosen = NextHopExplanation['chosen'];

export function explainNextHop(policy: LookupPolicy, tenant: string, query: NextHopQuery): NextHopExplanation {
  const steps: string[] = [];
  const chosen = choose(policy, tenant, query, steps);
  return { chosen, why: steps.at(-1)!, steps };
}

/** Each decision adds its sentence. */
function choose(policy: LookupPolicy, tenant: string, query: NextHopQuery, steps: string[]): Chosen {
  const { vsid, source, destination } = query;
  const subnet = policy.subnet(vsid);
  if (subnet === undefined) return nothing(steps, `VSID ${vsid} is no virtual subnet of ${tenant}`);
  steps.push(`VSID ${vsid} is a virtual subnet of ${tenant}`);
  const sender = bindingOf(policy, vsid, source);
  steps.push(sender === undefined ? unknownInWords(vsid, source) : `the sender: ${bindingInWords(sender)}`);
  if (isGroup(destination)) return nothing(steps, groupInWords(subnet, sender?.station, destination));
  const width = widthOf(destination);
  const onLink = policy.routes.onLink(destination, 0, width);
  if (policy.isRouter(destination, 0, width)) {
    return nothing(
      steps,
      `${formatAddress(destination)} is the distributed router of VSID ${onLink!.subnet.vsid} itself`,
    );
  }
  const bound = bindingOf(policy, vsid, destination);
  const isOwn = onLink === undefined ? bound !== undefined || isLinkLocal(destination) : onLink.subnet === subnet;
  if (isOwn) return bridge(vsid, destination, bound, steps);
  return subnet.routed ? route(policy, subnet, destination, onLink, steps) : byGateway(policy, subnet, source, steps);
}

function bridge(vsid: number, destination: Address, bound: Binding | undefined, steps: string[]): Chosen {
  if (bound === undefined) {
    const silence = 'its ARP request or neighbour solicitation gets no answer';
    return nothing(steps, `no record for ${formatAddress(destination)} in VSID ${vsid}: ${silence}`);
  }
  steps.push(`${formatAddress(destination)} is in the sender's own virtual subnet: bridged`);
  return found(steps, bound.station, destination, bindingInWords(bound));
}

/** As the distributed router does. */
function route(
  policy: LookupPolicy,
  from: Subnet,
  destination: Address,
  onLink: OnLink | undefined,
  steps: string[],
): Chosen {
  if (onLink !== undefined) {
    const { vsid } = onLink.subnet;
    const place = `${formatPrefix(onLink.prefix)} of VSID ${vsid}`;
    steps.push(`${formatAddress(destination)} is in ${place}: the distributed router sends it there`);
    const bound = bindingOf(policy, vsid, destination);
    if (bound === undefined) {
      return nothing(steps, `no record for ${formatAddress(destination)} in VSID ${vsid}: dropped`);
    }
    return found(steps, bound.station, destination, bindingInWords(bound));
  }
  steps.push(`${formatAddress(destination)} is outside every virtual subnet`);
  const [hop, ...passedOver] = policy.routes.candidates(destination);
  if (hop !== undefined) return byRoute(policy, hop, passedOver, steps);
  if (from.gateway === undefined) {
    return nothing(steps, `no customer route covers it, and VSID ${from.vsid} has no gateway: dropped`);
  }
  const origin = from.gateway === from.wildcard ? 'gateway-wildcard record' : "gateway's port here";
  const why = `no customer route covers it: ${stationInWords(from.gateway)} (${origin})`;
  return found(steps, from.gateway, undefined, why);
}

function byRoute(policy: LookupPolicy, hop: Hop, passedOver: readonly Hop[], steps: string[]): Chosen {
  const { nextHop } = hop.route;
  steps.push(`customer route ${routeInWords(hop)}`);
  for (const other of passedOver) steps.push(`passed over: ${routeInWords(other)}, ${whyNot(other, hop)}`);
  const words = `its next hop ${formatAddress(nextHop)}`;
  if (hop.vsid === NO_VSID) return nothing(steps, `no virtual subnet contains ${words}: dropped`);
  const bound = bindingOf(policy, hop.vsid, nextHop);
  if (bound === undefined) return nothing(steps, `no record for ${words} in VSID ${hop.vsid}: dropped`);
  return found(steps, bound.station, nextHop, bindingInWords(bound));
}

/** Where the router is off, the lowest address of the sender's prefix is taken for its default gateway. */
function byGateway(policy: LookupPolicy, from: Subnet, source: Address, steps: string[]): Chosen {
  steps.push(`the distributed router is off in VSID ${from.vsid}: the sender's own default gateway decides`);
  const prefix = policy.routes.onLink(source, 0, widthOf(source))?.prefix;
  const lowest = prefix === undefined ? undefined : lowestAddress(prefix);
  if (lowest === undefined) return nothing(steps, `no prefix of VSID ${from.vsid} says which that is`);
  const bound = bindingOf(policy, from.vsid, lowest);
  if (bound === undefined) return nothing(steps, `if it is ${formatAddress(lowest)}: no record, so it gets no answer`);
  return found(steps, bound.station, lowest, `if it is the lowest address: ${bindingInWords(bound)}`);
}

function nothing(steps: string[], why: string): undefined {
  steps.push(why);
  return undefined;
}

function found(
  steps: string[],
  { subnet, mac, remote, port }: Station,
  nextHop: Address | undefined,
  why: string,
): Chosen {
  steps.push(why);
  const isLocal = remote === undefined && port !== NO_PORT;
  return { vsid: subnet.vsid, nextHop, mac, pa: remote, port: isLocal ? port : undefined };
}

const widthOf = (address: Address): Width => (address.length === 4 ? 4 : 16);

const bindingOf = (policy: LookupPolicy, vsid: number, ca: Address): Binding | undefined =>
  policy.binding(vsid, ca, 0, widthOf(ca));

const unknownInWords = (vsid: number, source: Address): string =>
  `nobody in VSID ${vsid} is known to have ${formatAddress(source)}: only a gateway, or a VM whose CAs are learned, may send from it`;

function groupInWords(subnet: Subnet, sender: Station | undefined, destination: Address): string {
  const ports = subnet.local.filter((station) => station.isHere && station !== sender).length;
  const copies = `a copy for ${ports} ports here and for ${subnet.peers.length} provider addresses`;
  return `${formatAddress(destination)} is a group: ${copies}`;
}

function bindingInWords({ ca, station, origin }: Binding): string {
  return `${formatAddress(ca)} is ${stationInWords(station)} (${ORIGIN_WORDS[origin]})`;
}

const ORIGIN_WORDS: Readonly<Record<number, string>> = {
  [ORIGIN.policy]: 'static record',
  [ORIGIN.port]: 'address of its port',
  [ORIGIN.learned]: 'dynamic record',
};

function stationInWords({ mac, remote, port }: Station): string {
  if (remote !== undefined) return `${macInWords(mac)} at ${formatAddress(remote)}`;
  return `${macInWords(mac)} ${port === NO_PORT ? 'at this node, without a port' : `at port ${port}`}`;
}

const macInWords = (mac: Uint8Array): string => toHex(mac).replace(/..(?!$)/g, '$&:');

const routeInWords = ({ route: { prefix, nextHop, metric } }: Hop): string =>
  `${formatPrefix(prefix)} via ${formatAddress(nextHop)}, metric ${metric}`;

function whyNot({ route }: Hop, { route: chosen }: Hop): string {
  if (route.prefix.length < chosen.prefix.length) return 'a shorter prefix';
  return route.metric > chosen.metric ? 'a higher metric' : 'given later';
}

const isGroup = (address: Address): boolean =>
  address.length === 4 ? ipv4Number(address) >= 0xe0000000 : ipv6IsMulticastAt(address, 0);

const isLinkLocal = (address: Address): boolean =>
  address.length === 4 ? ipv4Number(address) >>> 16 === 0xa9fe : ipv6IsLinkLocalAt(address, 0);
