/**
 * What two OPENs settle, or why the peer's cannot be accepted.
 *
 * Read first: RFC 4271 §6.2, §6.8; RFC 6286 §2.2, §2.3; RFC 5492 §3, §5; RFC 4760 §8; RFC 6793 §4.2.3; RFC 7607; RFC 7911 §4; RFC 8654 §4; RFC 8950 §4.
 * Octets are the codec's: an OPEN that cannot be read never comes here.
 */
import { type Bytes, concat, EMPTY, encoded } from '../../core/index.ts';
import type { Endpoint } from '../../ip/index.ts';
import type { Negotiated } from '../contract.ts';
import {
  AFI,
  AS_TRANS,
  BGP_VERSION,
  type Capability,
  type CodecContext,
  ERROR,
  EXTENDED_MAXIMUM_LENGTH,
  encodeCapability,
  type Family,
  IPV4_UNICAST,
  MAXIMUM_LENGTH,
  notification,
  OPEN_ERROR,
  type OpenMessage,
  type Refusal,
} from '../message/index.ts';
import { openOf, presentedAs, type SessionConfiguration } from './configuration.ts';

export type Named<N extends Capability['name']> = Extract<Capability, { name: N }>;

/**
 * The first capability of a name; one that is repeated says nothing more, but for multiprotocol (RFC 5492 §4). Of those for graceful restart
 * it is the last one that counts (RFC 4724 §3).
 */
export function capability<N extends Capability['name']>(open: OpenMessage, name: N): Named<N> | undefined {
  const isNamed = (c: Capability): c is Named<N> => c.name === name;
  return name === 'gracefulRestart' ? open.capabilities.findLast(isNamed) : open.capabilities.find(isNamed);
}

/** The AS the peer says it is; undefined when its two numbers contradict each other or are nobody's (RFC 6793 §9, RFC 7607). */
export function asOf(open: OpenMessage): number | undefined {
  const four = capability(open, 'fourOctetAs')?.asn;
  if (open.myAs === 0 || four === 0 || four === AS_TRANS) return undefined;
  if (four === undefined) return open.myAs;
  return open.myAs === AS_TRANS || open.myAs === four ? four : undefined;
}

/** RFC 4760 §8: families of multiprotocol capabilities; without any, IPv4 unicast. */
export function familiesOf(open: OpenMessage): readonly Family[] {
  const said = open.capabilities.flatMap((c) => (c.name === 'multiprotocol' ? [c.family] : []));
  return said.length === 0 ? [IPV4_UNICAST] : said;
}

/** RFC 4271 §6.2 for an OPEN that was readable; undefined when nothing speaks against it. */
export function checkOpen(c: SessionConfiguration, open: OpenMessage): Refusal | undefined {
  if (open.version !== BGP_VERSION) {
    return refusal(OPEN_ERROR.UNSUPPORTED_VERSION, `version ${open.version}`, Uint8Array.of(0, BGP_VERSION));
  }
  const asn = asOf(open);
  if (asn === undefined || !acceptsAs(c, asn)) {
    return refusal(OPEN_ERROR.BAD_PEER_AS, `AS ${asn ?? open.myAs}, expected ${expectedAs(c)}`);
  }
  if (open.holdSeconds !== 0 && open.holdSeconds < Math.max(3, c.leastHoldSeconds)) {
    return refusal(OPEN_ERROR.UNACCEPTABLE_HOLD_TIME, `hold time of ${open.holdSeconds} s`);
  }
  if (open.identifier === 0) return refusal(OPEN_ERROR.BAD_IDENTIFIER, 'identifier 0.0.0.0');
  if (open.identifier === c.identifier && asn === presentedAs(c)) {
    return refusal(OPEN_ERROR.BAD_IDENTIFIER, 'our own identifier, from a peer of our AS');
  }
  return missingCapabilities(c, open);
}

/** RFC 5492 §5: data are the capabilities that are missed, as an OPEN would have them. */
function missingCapabilities(c: SessionConfiguration, open: OpenMessage): Refusal | undefined {
  const own = openOf(c, false).capabilities;
  const missing = c.required.filter((name) => capability(open, name) === undefined);
  if (missing.length > 0) {
    const data = own.filter((offered) => missing.includes(offered.name));
    return refusal(OPEN_ERROR.UNSUPPORTED_CAPABILITY, `without ${missing.join(', ')}`, encodeAll(data));
  }
  const theirs = familiesOf(open);
  if (c.families.some((family) => theirs.includes(family))) return undefined;
  const data = own.filter((offered) => offered.name === 'multiprotocol');
  return refusal(OPEN_ERROR.UNSUPPORTED_CAPABILITY, 'no address family in common', encodeAll(data));
}

/** What `local` and `remote`, which `checkOpen` found sound, come to. */
export function negotiate(local: OpenMessage, remote: OpenMessage, ebgp: boolean, ends: Ends): Negotiated {
  const theirs = familiesOf(remote);
  const families = familiesOf(local).filter((family) => theirs.includes(family));
  const both = (name: Capability['name']): boolean =>
    capability(local, name) !== undefined && capability(remote, name) !== undefined;
  const holdSeconds = Math.min(local.holdSeconds, remote.holdSeconds);
  const extendedNextHop = families.filter((f) => hasIpv6NextHops(local, f) && hasIpv6NextHops(remote, f));
  const context = (reader: OpenMessage, writer: OpenMessage): CodecContext => ({
    ebgp,
    fourOctetAs: both('fourOctetAs'),
    maximumLength: capability(reader, 'extendedMessage') === undefined ? MAXIMUM_LENGTH : EXTENDED_MAXIMUM_LENGTH,
    addPath: families.filter((f) => (addPathMode(reader, f) & 1) !== 0 && (addPathMode(writer, f) & 2) !== 0),
    families,
    extendedNextHop,
  });
  return {
    local,
    remote,
    remoteAs: asOf(remote)!,
    holdSeconds,
    // RFC 4271 §4.4: a third of the hold time, and no more than one a second.
    keepaliveSeconds: holdSeconds === 0 ? 0 : Math.max(1, holdSeconds / 3),
    families,
    receive: context(local, remote),
    send: context(remote, local),
    routeRefresh: both('routeRefresh'),
    enhancedRouteRefresh: both('enhancedRouteRefresh'),
    extendedNextHop,
    localEndpoint: ends.local,
    remoteEndpoint: ends.remote,
  };
}

export interface Ends {
  readonly local: Endpoint;
  readonly remote: Endpoint;
}

function acceptsAs(c: SessionConfiguration, asn: number): boolean {
  if (c.remoteAs === 'any') return true;
  if (c.remoteAs === 'internal') return asn === presentedAs(c);
  return c.remoteAs === 'external' ? asn !== presentedAs(c) : asn === c.remoteAs;
}

const expectedAs = (c: SessionConfiguration): string =>
  typeof c.remoteAs === 'number' ? `${c.remoteAs}` : `${c.remoteAs === 'any' ? 'one' : `an ${c.remoteAs} one`}`;

/** RFC 7911 §4: what is neither 1, 2 nor 3 is ignored. */
function addPathMode(open: OpenMessage, family: Family): number {
  const mode = capability(open, 'addPath')?.families.find((f) => f.family === family)?.mode ?? 0;
  return mode > 3 ? 0 : mode;
}

/** RFC 8950 §4: the only other next hops there are. */
const hasIpv6NextHops = (open: OpenMessage, family: Family): boolean =>
  capability(open, 'extendedNextHop')?.entries.some((e) => e.family === family && e.nextHopAfi === AFI.IPV6) ?? false;

const encodeAll = (all: readonly Capability[]): Bytes => concat(...all.map((c) => encoded(encodeCapability, c)));

const refusal = (subcode: number, why: string, data: Bytes = EMPTY): Refusal => ({
  notification: notification(ERROR.OPEN, subcode, data),
  why,
});

/**
 * RFC 4271 §6.8: the connection that the speaker with the higher identifier dialled stays; with equal ones, of the larger AS
 * (RFC 6286 §2.3).
 */
export function preferredDirection(n: Negotiated, ownAs: number): 'out' | 'in' {
  const [own, theirs] = [n.local.identifier, n.remote.identifier];
  return (own === theirs ? ownAs > n.remoteAs : own > theirs) ? 'out' : 'in';
}
