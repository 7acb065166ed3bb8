/**
 * Words for people: paths, communities, capabilities, attributes, NOTIFICATIONs. RFC 5396 (numbers in plain decimal), RFC 9003, RFC 8092 §5.
 *
 * What a peer wrote is shown with everything but printable characters and spaces escaped: a sentence of RFC 9003 never reaches a terminal raw.
 */
import { toHex } from '../../core/index.ts';
import { formatAddress, formatPrefix, ipv4Octets } from '../../ip/index.ts';
import { capabilityCode } from './capability.ts';
import { describeCommunity, describeLargeCommunity } from './community.ts';
import { describeExtendedCommunity } from './extended-community.ts';
import { AFI, attributeName, CEASE, capabilityName, ERROR, errorName, SAFI, suberrorName } from './iana.ts';
import { afiOf, safiOf } from './nlri.ts';
import { shutdownText } from './notification.ts';
import { describePath } from './route-text.ts';
import type { AttributeValue, Capability, Family, Nlri, NotificationMessage, PathAttribute } from './types.ts';

/** `IPv4 unicast`, `L2VPN EVPN`, `AFI 3 SAFI 9`. */
export function describeFamily(family: Family): string {
  const afi = AFI_WORDS[afiOf(family)];
  const safi = SAFI_WORDS[safiOf(family)];
  return afi === undefined || safi === undefined ? `AFI ${afiOf(family)} SAFI ${safiOf(family)}` : `${afi} ${safi}`;
}

/** `10.0.0.0/8`, `10.0.0.0/8 path 7`. */
export const describeNlri = ({ prefix, pathId }: Nlri): string =>
  pathId === undefined ? formatPrefix(prefix) : `${formatPrefix(prefix)} path ${pathId}`;

/** `OPEN Message Error: Bad Peer AS`, `Cease: Administrative Shutdown, "back at noon"`. */
export function describeNotification(m: NotificationMessage): string {
  const named = m.subcode === 0 && m.code !== ERROR.CEASE ? '' : `: ${suberrorName(m.code, m.subcode)}`;
  const text = shutdownText(m);
  if (text !== undefined) return `${errorName(m.code)}${named}, "${printable(text)}"`;
  const data = m.data.length === 0 ? '' : `, data ${describeData(m)}`;
  return `${errorName(m.code)}${named}${data}`;
}

/** `MULTIPROTOCOL IPv6 unicast`. */
export function describeCapability(c: Capability): string {
  const name = capabilityName(capabilityCode(c));
  const about = capabilityWords(c);
  return about === '' ? name : `${name} ${about}`;
}

/** `AS_PATH 65001 65002`. */
export function describeAttribute({ type, value }: PathAttribute): string {
  const about = valueWords(value);
  return about === '' ? attributeName(type) : `${attributeName(type)} ${about}`;
}

/** RFC 8538 §3: a hard reset has another NOTIFICATION in its data. */
function describeData(m: NotificationMessage): string {
  if (m.code === ERROR.CEASE && m.subcode === CEASE.HARD_RESET && m.data.length >= 2) {
    return `(${describeNotification({ ...m, code: m.data[0]!, subcode: m.data[1]!, data: m.data.subarray(2) })})`;
  }
  const shown = toHex(m.data.subarray(0, SHOWN_OCTETS));
  return m.data.length > SHOWN_OCTETS ? `${shown}… of ${m.data.length} octets` : shown;
}

function capabilityWords(c: Capability): string {
  switch (c.name) {
    case 'multiprotocol':
      return describeFamily(c.family);
    case 'extendedNextHop':
      return c.entries.map((e) => `${describeFamily(e.family)} by AFI ${e.nextHopAfi}`).join(', ');
    case 'gracefulRestart': {
      const flags = `${c.restarting ? ' restarting' : ''}${c.notification ? ' notification' : ''}`;
      const families = c.families.map((f) => `, ${describeFamily(f.family)}${f.forwarding ? ' forwarding' : ''}`);
      return `${c.restartSeconds} s${flags}${families.join('')}`;
    }
    case 'fourOctetAs':
      return `${c.asn}`;
    case 'addPath':
      return c.families
        .map((f) => `${describeFamily(f.family)} ${ADD_PATH_WORDS[f.mode] ?? `mode ${f.mode}`}`)
        .join(', ');
    case 'longLivedGracefulRestart':
      return c.families.map((f) => `${describeFamily(f.family)} ${f.staleSeconds} s`).join(', ');
    case 'unknown':
      return toHex(c.value);
    default:
      return '';
  }
}

function valueWords(value: AttributeValue): string {
  switch (value.name) {
    case 'origin':
      return value.origin;
    case 'asPath':
    case 'as4Path':
      return describePath(value.segments);
    case 'nextHop':
      return formatAddress(value.address);
    case 'med':
      return `${value.med}`;
    case 'localPreference':
      return `${value.preference}`;
    case 'atomicAggregate':
      return '';
    case 'aggregator':
    case 'as4Aggregator':
      return `${value.asn} ${formatAddress(value.address)}`;
    case 'originatorId':
      return formatAddress(ipv4Octets(value.identifier));
    case 'clusterList':
      return value.identifiers.map((id) => formatAddress(ipv4Octets(id))).join(' ');
    case 'onlyToCustomer':
      return `${value.asn}`;
    default:
      return listWords(value);
  }
}

type Listed = Extract<
  AttributeValue,
  | { name: 'communities' | 'extendedCommunities' | 'largeCommunities' | 'unknown' }
  | { name: 'mpReach' | 'mpUnreach' | 'mpReachOctets' | 'mpUnreachOctets' }
>;

function listWords(value: Listed): string {
  switch (value.name) {
    case 'communities':
      return value.communities.map(describeCommunity).join(' ');
    case 'extendedCommunities':
      return value.communities.map(describeExtendedCommunity).join(' ');
    case 'largeCommunities':
      return value.communities.map(describeLargeCommunity).join(' ');
    case 'mpReach': {
      const hops = value.nextHops.map(formatAddress).join(' ');
      return `${describeFamily(value.family)} by ${hops}: ${value.nlri.map(describeNlri).join(', ')}`;
    }
    case 'mpUnreach':
      return `${describeFamily(value.family)}: ${value.withdrawn.map(describeNlri).join(', ')}`;
    case 'mpReachOctets':
      return `${describeFamily(value.family)} by ${toHex(value.nextHop)}: ${toHex(value.nlri)}`;
    case 'mpUnreachOctets':
      return `${describeFamily(value.family)}: ${toHex(value.withdrawn)}`;
    case 'unknown':
      return toHex(value.value);
  }
}

/** Control characters, separators of lines and marks of direction as escapes. */
const printable = (text: string): string =>
  text.replace(/[\p{C}\p{Zl}\p{Zp}"\\]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);

const SHOWN_OCTETS = 32;
const AFI_WORDS: Readonly<Record<number, string>> = { [AFI.IPV4]: 'IPv4', [AFI.IPV6]: 'IPv6', [AFI.L2VPN]: 'L2VPN' };
const SAFI_WORDS: Readonly<Record<number, string>> = {
  [SAFI.UNICAST]: 'unicast',
  [SAFI.MULTICAST]: 'multicast',
  [SAFI.LABELED]: 'labeled',
  [SAFI.EVPN]: 'EVPN',
  [SAFI.VPN]: 'VPN',
};
const ADD_PATH_WORDS: Readonly<Record<number, string>> = { 1: 'receive', 2: 'send', 3: 'send and receive' };
