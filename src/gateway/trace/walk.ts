/**
 * The way of one packet through the data plane, followed without sending it: what each compartment decides, and who takes it over.
 *
 * Read first: `Compartment.receive`, whose order of checks this follows; `ways.ts` for what stands behind an interface. Nothing is
 * changed or counted. Deliberate limits: whole packets with sound headers and no options; what a port drawn by chance would be is not
 * known, and 0 stands for it in later decisions.
 * Invariant: the walk ends, because every compartment takes one hop from what it passes on.
 */
import { DISCARD, type InterfaceView, type Route } from '../../compartment/index.ts';
import type { Millis } from '../../core/index.ts';
import {
  checkIp,
  DROP_NAMES,
  DROP_TEXT,
  type DropReason,
  type FlowRecord,
  formatAddress,
  formatPrefix,
  IP_PROTOCOL,
  IPV6_MIN_MTU,
  ipv4IsMulticast,
  ipv4Number,
  ipv6IsLinkLocalAt,
  ipv6IsMulticastAt,
  PASS,
  type Packet,
} from '../../ip/index.ts';
import type { Layout } from '../dataplane/layout.ts';
import type { PlaneTenant } from '../dataplane/tenant.ts';
import type { StageName, TraceQuestion, TraceStage } from './contract.ts';
import { sampleOf } from './sample.ts';
import { leave } from './ways.ts';

/** What is known of the packet so far. */
export class Walk {
  readonly stages: TraceStage[] = [];
  readonly layout: Layout;
  readonly now: Millis;
  /** No tunnel is asked for any more. */
  readonly stopping: boolean;
  readonly dontFragment: boolean;
  readonly opens: boolean;
  flow: FlowRecord;
  hopLimit: number;
  /** Octets; of the largest fragment, once it is cut. */
  size: number;

  constructor(layout: Layout, question: TraceQuestion, stopping: boolean, now: Millis) {
    this.layout = layout;
    this.now = now;
    this.stopping = stopping;
    this.flow = question.flow;
    this.hopLimit = question.hopLimit;
    this.size = question.size;
    this.dontFragment = question.dontFragment;
    this.opens = question.opens;
  }

  get packet(): Packet {
    return sampleOf(this.flow, this.hopLimit, this.dontFragment);
  }

  note(
    stage: StageName,
    decision: string,
    why: string,
    detail: readonly string[] = [],
    more: Pick<TraceStage, 'waits' | 'spiIn'> = {},
  ): void {
    this.stages.push({ stage, decision, why, detail, ...more });
  }

  /** The packet ends here. */
  drop(stage: StageName, drop: DropReason, why: string = DROP_TEXT[drop], detail: readonly string[] = []): void {
    this.stages.push({ stage, decision: `dropped: ${drop}`, why, detail, drop });
  }
}

/** The packet enters a compartment by an interface; undefined: it is the compartment's own. */
export function enter(walk: Walk, tenant: PlaneTenant, number: number | undefined, why: string): void {
  const { compartment } = tenant;
  const { flow } = walk;
  const views = new Map(compartment.interfaces().map((view) => [view.number, view]));
  const into = number === undefined ? undefined : views.get(number);
  if (number !== undefined && into?.up !== true) return walk.drop('compartment', 'linkDown');
  const by = into === undefined ? '' : `, by interface ${into.name}`;
  const { packet } = walk;
  const verdict = checkIp(packet.buf, packet.start, packet.end);
  if (verdict !== PASS) return walk.drop('compartment', DROP_NAMES[verdict] as DropReason);
  const isLocal = compartment.owns(flow.destination);
  const { chosen, among, why: reason, passedOver } = compartment.explain(flow.destination, flow);
  if (into !== undefined) {
    if (!isLocal && (isScoped(flow) || isBroadcast(chosen))) return walk.drop('compartment', 'notForwarded', reason);
    const refused = sourceRefused(walk, tenant, into);
    if (refused !== undefined) return walk.drop('compartment', refused.drop, refused.why);
  }
  walk.note('compartment', `${compartment.name} (compartment ${compartment.number})`, `${why}${by}`);
  const wayOf = (by: number): string => (by === DISCARD ? 'discarded' : `by ${views.get(by)?.name ?? 'this gateway'}`);
  const lost = passedOver.map(
    ({ route, why: but }) => `passed over: ${formatPrefix(route.prefix)} ${wayOf(route.interface)}: ${but}`,
  );
  if (isLocal) return local(walk, tenant, reason);
  if (chosen === undefined) return walk.drop('fib', isScoped(flow) ? 'notForwarded' : 'noRoute', reason, lost);
  if (isBroadcast(chosen)) return walk.drop('fib', 'notForwarded', reason);
  if (chosen.interface === DISCARD) return walk.drop('fib', 'discarded', reason, lost);
  const out = views.get(chosen.interface);
  if (out === undefined) return walk.drop('fib', 'linkDown', reason, lost);
  const hop = chosen.nextHop === undefined ? '' : ` to ${formatAddress(chosen.nextHop)}`;
  const shared = among === undefined ? [] : [`one of ${among.length} equal ways, chosen by the flow`];
  walk.note('fib', `${formatPrefix(chosen.prefix)} by ${out.name}${hop}`, reason, [...shared, ...lost]);
  if (into === out && (out.kind === 'tun' || out.kind === 'connection')) return walk.drop('fib', 'bounce');
  if (into !== undefined && walk.hopLimit <= 1) return walk.drop('fib', 'hopLimit');
  if (!fits(walk, out)) return;
  if (into !== undefined) walk.hopLimit -= 1;
  leave(walk, tenant, chosen.interface, chosen.nextHop);
}

/** RFC 1812 §5.3.7, RFC 3704 §2.2. */
function sourceRefused(
  { flow }: Walk,
  { compartment }: PlaneTenant,
  into: InterfaceView,
): { readonly drop: DropReason; readonly why: string } | undefined {
  const text = formatAddress(flow.source);
  const back = compartment.explain(flow.source).chosen;
  if (compartment.owns(flow.source)) return { drop: 'martian', why: `${text} is this compartment's own address` };
  if (isBroadcast(back)) return { drop: 'martian', why: `${text} is a broadcast address` };
  const behind = compartment.interfaces().find(({ number }) => number === back?.interface);
  if ((into.kind !== 'link' && behind?.kind !== 'link') || behind?.number === into.number) return undefined;
  const why =
    behind?.kind === 'link'
      ? `${text} is behind ${behind.name} and comes by that alone, not by ${into.name}`
      : `${text} is not behind ${into.name}`;
  return { drop: 'spoofed', why };
}

/** The local host: RFC 1812 §4.3. */
function local(walk: Walk, { hasTransport }: PlaneTenant, why: string): void {
  const { protocol } = walk.flow;
  if (protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6)
    return walk.note('local', 'consumed here', why, ['an echo request is answered']);
  if (protocol === IP_PROTOCOL.tcp && hasTransport)
    return walk.note('local', 'consumed here', why, ['the TCP endpoint of BGP answers']);
  const refused = protocol === IP_PROTOCOL.udp ? 'portUnreachable' : 'protocolUnreachable';
  walk.drop('local', refused, why, [DROP_TEXT[refused]]);
}

/** RFC 1191 §4, RFC 8200 §5. */
function fits(walk: Walk, out: InterfaceView): boolean {
  const isV4 = walk.flow.destination.length === 4;
  const mtu = isV4 ? out.mtu : Math.max(out.mtu, IPV6_MIN_MTU);
  const size = `${walk.size} octets`;
  if (walk.size <= mtu) {
    walk.note('mtu', size, `${out.name} carries ${mtu}`);
    return true;
  }
  if (!isV4 || walk.dontFragment) {
    const told = isV4 ? 'the sender is told by ICMP (fragmentation needed)' : 'the sender is told by ICMPv6 (too big)';
    walk.drop('mtu', 'tooBig', `${size}, and ${out.name} carries ${mtu}`, [told]);
    return false;
  }
  walk.note('mtu', 'cut into fragments', `${size}, and ${out.name} carries ${mtu}`);
  walk.size = mtu;
  return true;
}

/** Of what a compartment owns or forwards, only broadcast addresses have so low a preference and are not its own. */
const isBroadcast = (route: Route | undefined): boolean => route !== undefined && route.preference < 0;

/** RFC 1812 §5.3.5, RFC 4291 §2.5.6: what stays on its link. */
function isScoped({ source, destination }: FlowRecord): boolean {
  if (destination.length === 16)
    return [source, destination].some((a) => ipv6IsLinkLocalAt(a, 0)) || ipv6IsMulticastAt(destination, 0);
  const numbers = [ipv4Number(source), ipv4Number(destination)] as const;
  return numbers.some((n) => n >>> 16 === 0xa9fe) || ipv4IsMulticast(numbers[1]) || numbers[1] === 0xffffffff;
}
