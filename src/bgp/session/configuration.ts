/**
 * What an operator settles for one session, and the OPEN that says it to the peer.
 *
 * Read first: RFC 4271 §4.2, §8.1.1 (optional session attributes, whose names stand beside ours), §10; RFC 5492 §4; RFC 6793 §4.1.
 * `transport` is not read here: it is for the host, which has the sockets (RFC 5082).
 */
import type { Family, OpenMessage } from '../message/index.ts';
import { AS_TRANS, type Capability, IPV4_UNICAST } from '../message/index.ts';

export interface SessionConfiguration {
  readonly asn: number;
  /** The AS that this peer is shown, where it is another than `asn`. */
  readonly localAs?: number;
  /** BGP Identifier, unsigned, of 32 bits; not 0 (RFC 6286 §2.1). */
  readonly identifier: number;
  readonly remoteAs: number | 'any' | 'internal' | 'external';
  /** Hold Time we offer: 0, or at least 3 (RFC 4271 §4.2). */
  readonly holdSeconds: number;
  /** What the peer offers may not be less, unless it is 0. */
  readonly leastHoldSeconds: number;
  /** ConnectRetryTime. */
  readonly connectRetryMillis: number;
  /** PassiveTcpEstablishment: never dials. */
  readonly passive: boolean;
  /** AllowAutomaticStart: begins again by itself after a failure. Without it each failure ends in Idle until `start`. */
  readonly automaticStart: boolean;
  /** DelayOpenTime; absent or 0: DelayOpen is off. */
  readonly delayOpenMillis?: number;
  /** SendNOTIFICATIONwithoutOPEN. */
  readonly notifyWithoutOpen: boolean;
  readonly idleHold: IdleHold;
  /** RFC 9687: SendHoldTime; 0 switches it off. Absent: the larger of 8 minutes and twice the negotiated Hold Time. */
  readonly sendHoldMillis?: number;
  readonly families: readonly Family[];
  readonly addPath: readonly { family: Family; mode: number }[];
  readonly extendedNextHop: readonly { family: Family; nextHopAfi: number }[];
  readonly routeRefresh: boolean;
  readonly enhancedRouteRefresh: boolean;
  /** RFC 8654: more than 4096 octets are taken, and sent to who takes them. */
  readonly extendedMessages: boolean;
  /** False for a speaker of two octets (RFC 6793), as testers need it. */
  readonly fourOctetAs: boolean;
  readonly gracefulRestart?: GracefulRestart;
  /** More capabilities, as they are. */
  readonly otherCapabilities: readonly Capability[];
  /** Without these the peer is refused: RFC 5492 §5, OPEN error 7. */
  readonly required: readonly Capability['name'][];
  /**
   * What becomes of the session when the path to the peer is gone: ends at once, ends with routes kept as after a loss, or nothing. That it is
   * there again is always a reason to dial.
   */
  readonly pathDown: 'drop' | 'retain' | 'ignore';
  readonly transport: TransportSettings;
}

/** DampPeerOscillations: IdleHoldTime doubles from `initialMillis` to `mostMillis`, and is forgotten after `forgetMillis` in Established. */
export interface IdleHold {
  readonly initialMillis: number;
  readonly mostMillis: number;
  readonly forgetMillis: number;
}

/** RFC 4724 §3, RFC 8538, RFC 9494 §3. Without it no route of the peer outlives its session. */
export interface GracefulRestart {
  readonly restartSeconds: number;
  /** This speaker has restarted: Restart State is set until the session is Established again. */
  readonly restarting: boolean;
  /** The N flag: NOTIFICATIONs and the hold timer end a session gracefully too. */
  readonly notification: boolean;
  readonly families: readonly { family: Family; forwarding: boolean }[];
  readonly longLived: readonly { family: Family; forwarding: boolean; staleSeconds: number }[];
}

export interface TransportSettings {
  /** Hop limit of what is sent; 1 for a peer on the link, more for multihop; 255 with GTSM. */
  readonly hopLimit: number;
  /** RFC 5082: what arrives with less is not the peer's. */
  readonly leastHopLimit?: number;
}

export const SESSION_DEFAULTS = {
  holdSeconds: 90,
  leastHoldSeconds: 3,
  connectRetryMillis: 120_000,
  passive: false,
  automaticStart: true,
  notifyWithoutOpen: false,
  idleHold: { initialMillis: 2_000, mostMillis: 120_000, forgetMillis: 300_000 },
  families: [IPV4_UNICAST],
  addPath: [],
  extendedNextHop: [],
  routeRefresh: true,
  enhancedRouteRefresh: true,
  extendedMessages: true,
  fourOctetAs: true,
  otherCapabilities: [],
  required: [],
  pathDown: 'drop',
  transport: { hopLimit: 1 },
} as const satisfies Partial<SessionConfiguration>;

/** A whole configuration from what has no default, and what differs from it. */
export function sessionConfiguration(
  settings: Pick<SessionConfiguration, 'asn' | 'identifier' | 'remoteAs'> & Partial<SessionConfiguration>,
): SessionConfiguration {
  return { ...SESSION_DEFAULTS, ...settings };
}

export const presentedAs = (c: SessionConfiguration): number => c.localAs ?? c.asn;

/**
 * RFC 4271 §4.2. My AS is AS_TRANS only where the number does not fit (RFC 6793 §4.1). `again`: the session was there before in this
 * process, so that what forwards is as it was (RFC 4724 §3: Forwarding State).
 */
export function openOf(c: SessionConfiguration, restarting: boolean, again = false): OpenMessage {
  const asn = presentedAs(c);
  return {
    kind: 'open',
    version: 4,
    myAs: asn > 0xffff ? AS_TRANS : asn,
    holdSeconds: c.holdSeconds,
    identifier: c.identifier,
    capabilities: capabilitiesOf(c, restarting, again),
  };
}

function capabilitiesOf(c: SessionConfiguration, restarting: boolean, again: boolean): readonly Capability[] {
  const all: Capability[] = c.families.map((family) => ({ name: 'multiprotocol', family }));
  if (c.routeRefresh) all.push({ name: 'routeRefresh' });
  if (c.extendedNextHop.length > 0) all.push({ name: 'extendedNextHop', entries: c.extendedNextHop });
  if (c.extendedMessages) all.push({ name: 'extendedMessage' });
  if (c.gracefulRestart !== undefined) all.push(...gracefulCapabilities(c.gracefulRestart, restarting, again));
  if (c.fourOctetAs) all.push({ name: 'fourOctetAs', asn: presentedAs(c) });
  if (c.addPath.length > 0) all.push({ name: 'addPath', families: c.addPath });
  if (c.enhancedRouteRefresh) all.push({ name: 'enhancedRouteRefresh' });
  all.push(...c.otherCapabilities);
  return all;
}

function gracefulCapabilities(g: GracefulRestart, restarting: boolean, again: boolean): readonly Capability[] {
  const { restartSeconds, notification } = g;
  const kept = <F extends { readonly forwarding: boolean }>(all: readonly F[]): readonly F[] =>
    again ? all.map((each) => ({ ...each, forwarding: true })) : all;
  const families = kept(g.families);
  const longLived = kept(g.longLived);
  const all: Capability[] = [{ name: 'gracefulRestart', restarting, notification, restartSeconds, families }];
  if (longLived.length > 0) all.push({ name: 'longLivedGracefulRestart', families: longLived });
  return all;
}
