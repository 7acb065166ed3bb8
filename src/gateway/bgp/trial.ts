/**
 * What would become of a route at a peer of the document, without a gateway that runs: tables like the router's own, with that peer and
 * whoever the route comes from, are given the UPDATE and asked what they made of it.
 *
 * Deliberate limits: every next hop can be used; what the route would have to compete with is not there.
 */
import {
  type AsSegment,
  attributeOf,
  type CodecContext,
  type Community,
  compilePolicy as compileRecord,
  encodeUpdate,
  IPV4_UNICAST,
  IPV6_UNICAST,
  type PathAttribute,
  type Peer,
  type PeerOptions,
  parseCommunity,
  Rib,
  receivedOf,
  routesOf,
  toldTo,
  whyTold,
} from '../../bgp/index.ts';
import { type BgpConfig, type BgpPeerConfig, isExternal, ownAsTowards } from '../../config/index.ts';
import { concat, EMPTY, invariant } from '../../core/index.ts';
import { type Address, formatPrefix, type Prefix } from '../../ip/index.ts';
import type { BgpTrialStatus } from '../status-bgp.ts';
import { compilePeer, compileRib } from './compile.ts';

/** A route as somebody would write it; what is left out has the most usual value. */
export interface TrialRoute {
  readonly prefix: Prefix;
  /** Default: an external peer's own AS on the way in; nothing, a route of our own, on the way out. */
  readonly asPath: readonly AsSegment[] | undefined;
  readonly nextHop: Address | undefined;
  readonly origin: 'igp' | 'egp' | 'incomplete';
  readonly med: number | undefined;
  readonly localPreference: number | undefined;
  /** As in policies. */
  readonly communities: readonly string[];
}

/** Whose router it is, and its own addresses. */
export interface TrialSpeaker {
  readonly name: string;
  readonly addresses: readonly Prefix[];
}

/** A sentence where there is no such community. */
export function tryRoute(
  of: TrialSpeaker,
  router: BgpConfig,
  peer: BgpPeerConfig,
  direction: 'in' | 'out',
  route: TrialRoute,
): BgpTrialStatus | string {
  const communities: Community[] = [];
  for (const text of route.communities) {
    const parsed = parseCommunity(text);
    if (parsed === undefined) return `${text} is not a community like 65000:1, 65000:1:2, rt:65000:1 or no-export`;
    communities.push(parsed);
  }
  const rib = new Rib(compileRib(router, () => ({ metric: 0, usable: true, why: 'a trial' })));
  const number = rib.add(peerOptions(of, router, peer));
  return {
    tenant: of.name,
    peer: peer.name,
    direction,
    prefix: formatPrefix(route.prefix),
    ...(direction === 'in' ? comesIn(rib, number, route, communities) : goesOut(rib, number, route, communities)),
  };
}

type Outcome = Pick<BgpTrialStatus, 'accepted' | 'why' | 'before' | 'after'>;

function comesIn(rib: Rib, number: number, route: TrialRoute, communities: readonly Community[]): Outcome {
  const said = say(rib, number, route, communities);
  const [received] = receivedOf(rib, number, FIRST);
  if (received === undefined) return { accepted: false, why: said, before: null, after: null };
  const { accepted, why, before, after } = received;
  return { accepted, why, before, after };
}

/** From ourselves, or from an external peer that is not in the document: the first AS of the path. */
function goesOut(rib: Rib, number: number, route: TrialRoute, communities: readonly Community[]): Outcome {
  const asn = route.asPath?.[0]?.asns[0];
  if (asn === undefined) {
    const { origin, med, localPreference } = route;
    rib.originate(route.prefix, {
      origin,
      ...(med === undefined ? {} : { med }),
      ...(localPreference === undefined ? {} : { localPreference }),
      communities,
      why: 'a trial',
    });
    rib.flush();
  } else say(rib, rib.add(sourceOf(rib, number, asn, route)), route, communities);
  const before = routesOf(rib, FIRST)[0]?.attributes ?? null;
  const after = toldTo(rib, number, FIRST)[0]?.attributes ?? null;
  const family = route.prefix.address.length === 4 ? 'IPv4' : 'IPv6';
  const why = whyTold(rib, number, route.prefix) ?? `the peer does not have ${family} unicast among its families`;
  return { accepted: after !== null, why, before, after };
}

/** Hands the route in; what the tables said of it, where they said something. */
function say(rib: Rib, number: number, route: TrialRoute, communities: readonly Community[]): string {
  const from = rib.peer(number)!;
  const message = encodeUpdate(updateOf(from, route, communities), from.receive);
  const events = rib.receive(number, message, 0);
  rib.flush();
  const words = events.map((event) => ('why' in event ? event.why : event.type));
  return words.join('; ') || 'it is not in the tables';
}

function updateOf(from: Peer, route: TrialRoute, communities: readonly Community[]) {
  const { prefix, origin, med, localPreference: preference } = route;
  const direct = from.kind === 'external' ? [{ type: 'sequence', asns: [from.remoteAs] } as const] : [];
  const hop = route.nextHop ?? (from.remoteAddress.length === prefix.address.length ? from.remoteAddress : undefined);
  const address = hop ?? (prefix.address.length === 4 ? SOMEBODY : SOMEBODY6);
  const plain = prefix.address.length === 4 && address.length === 4;
  const reach = { name: 'mpReach', family: familyOf(prefix), nextHops: [address], nlri: [{ prefix }] } as const;
  const attributes: PathAttribute[] = [
    ...(plain ? [] : [attributeOf(reach)]),
    attributeOf({ name: 'origin', origin }),
    attributeOf({ name: 'asPath', segments: route.asPath ?? direct }),
    ...(plain ? [attributeOf({ name: 'nextHop', address })] : []),
    ...(med === undefined ? [] : [attributeOf({ name: 'med', med })]),
    ...(preference === undefined ? [] : [attributeOf({ name: 'localPreference', preference })]),
    ...communityAttributes(communities),
  ];
  return { kind: 'update', withdrawn: [], attributes, nlri: plain ? [{ prefix }] : [] } as const;
}

/** One attribute a kind, as octets. */
function communityAttributes(communities: readonly Community[]): PathAttribute[] {
  const types = [...new Set(communities.map(({ type }) => type))].sort((a, b) => a - b);
  return types.map((type) => {
    const value = concat(EMPTY, ...communities.filter((each) => each.type === type).map(({ octets }) => octets));
    return { flags: 0xc0, type, value: { name: 'unknown', value } };
  });
}

function peerOptions({ addresses: own }: TrialSpeaker, router: BgpConfig, peer: BgpPeerConfig): PeerOptions {
  const at = (length: number) => own.find(({ address }) => address.length === length)?.address;
  const { address } = peer;
  const other = at(address.length === 4 ? 16 : 4);
  const { session: _, client, restartMillis: _none, ...settings } = compilePeer(router, peer, true, other);
  const external = isExternal(router, peer);
  const families = peer.families.map((family) => (family === 'ipv4' ? IPV4_UNICAST : IPV6_UNICAST));
  const context: CodecContext = { ...CONTEXT, ebgp: external, families };
  return {
    ...settings,
    kind: external ? 'external' : client === true ? 'client' : 'internal',
    localAs: ownAsTowards(router, peer),
    remoteAs: peer.asn,
    remoteId: 1,
    localAddress: peer.localAddress ?? at(address.length) ?? new Uint8Array(address.length),
    remoteAddress: address,
    receive: context,
    send: context,
  };
}

/** Lets pass all that a route of the tables may be, our own AS in its path too. */
function sourceOf(rib: Rib, number: number, asn: number, { localPreference }: TrialRoute): PeerOptions {
  const compiled = compileRecord(localPreference === undefined ? 'all' : [{ set: { localPreference } }]);
  invariant(compiled.ok, 'a number is a local preference');
  const [{ localAs }, to] = [rib.peer(0)!, rib.peer(number)!];
  const context: CodecContext = { ...CONTEXT, ebgp: asn !== localAs };
  return {
    name: `AS ${asn}`,
    kind: context.ebgp ? 'external' : 'internal',
    localAs,
    remoteAs: asn,
    remoteId: 2,
    localAddress: to.localAddress,
    remoteAddress: to.localAddress.map((octet, i) => (i === to.localAddress.length - 1 ? octet ^ 0x80 : octet)),
    receive: context,
    send: { ...context, families: [] },
    import: compiled.policy,
    allowOwnAs: 255,
  };
}

const familyOf = ({ address }: Prefix) => (address.length === 4 ? IPV4_UNICAST : IPV6_UNICAST);

const CONTEXT: CodecContext = {
  ebgp: true,
  fourOctetAs: true,
  maximumLength: 65_535,
  addPath: [],
  families: [IPV4_UNICAST, IPV6_UNICAST],
};
/** Next hops where the sender's address is of the other family: of documentation (RFC 5737, RFC 3849). */
const SOMEBODY = Uint8Array.of(192, 0, 2, 1);
const SOMEBODY6 = Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const FIRST = { offset: 0, limit: 1 };
