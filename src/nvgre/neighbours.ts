/**
 * ARP and neighbour discovery, answered from the lookup records: no such message ever leaves the switch as it came.
 *
 * Read first: RFC 826, RFC 5227 §2.1 and §2.4 (probes, announcements, defence), RFC 4861 §7.2, RFC 4862 §5.4.
 * A station here is answered for every record of its virtual subnet, for the distributed router, and for addresses outside
 * all subnets of the tenant by its gateway; no record, no answer, so that the VM takes the address for unreachable. Somebody
 * behind the fabric (a switch that floods) is answered for stations with a port here alone: everyone answers for his own.
 * Announcements and replies teach what `source-guard.ts` lets them, and go no further.
 */
import type { Millis } from '../core/index.ts';
import { DROP, PASS, type Packet } from '../ip/index.ts';
import type { Width } from './customer-routes.ts';
import {
  ARP_OPERATION,
  answerArp,
  answerSolicitation,
  arpOperation,
  arpSenderAt,
  arpSenderMacAt,
  arpTargetAt,
  checkNeighbourMessage,
  ETHER_TYPE,
  ETHERNET_HEADER,
  etherTypeOf,
  isNeighbourMessage,
  isSolicitation,
  neighbourTargetAt,
} from './inner.ts';
import type { LookupPolicy } from './lookup.ts';
import { admitSource, hasMac, isUnspecified } from './source-guard.ts';
import type { Station } from './station.ts';

/** Beside DROP codes: the frame has become the answer, and goes back. */
export const ANSWERED = -1;
/** Beside DROP codes: all that was to be had of the frame was had. */
export const TAKEN = -2;

/** Whether the frame, which `checkFrame` passed, is ARP, a neighbour solicitation or an advertisement. */
export function isNeighbourTraffic({ buf, start, end }: Packet): boolean {
  const type = etherTypeOf(buf, start);
  return type === ETHER_TYPE.arp || (type === ETHER_TYPE.ipv6 && isNeighbourMessage(buf, start + ETHERNET_HEADER, end));
}

/** ANSWERED, TAKEN or a DROP code. `from` has the frame's source MAC and is where it came from. */
export function resolve(policy: LookupPolicy, from: Station, frame: Packet, now: Millis): number {
  return etherTypeOf(frame.buf, frame.start) === ETHER_TYPE.arp
    ? resolveArp(policy, from, frame, now)
    : resolveNeighbour(policy, from, frame, now);
}

function resolveArp(policy: LookupPolicy, from: Station, frame: Packet, now: Millis): number {
  const { buf, start } = frame;
  const at = start + ETHERNET_HEADER;
  if (!hasMac(from, buf, arpSenderMacAt(at))) return DROP.spoofed;
  const admitted = admitSource(policy, from, buf, arpSenderAt(at), 4, now);
  if (admitted !== PASS) return admitted;
  if (arpOperation(buf, at) !== ARP_OPERATION.request) return TAKEN;
  const target = policy.neighbour(from.subnet, buf, arpTargetAt(at), 4);
  const outcome = outcomeOf(from, target, isUnspecified(buf, arpSenderAt(at), 4));
  if (outcome === ANSWERED) answerArp(frame, target!.mac);
  return outcome;
}

function resolveNeighbour(policy: LookupPolicy, from: Station, frame: Packet, now: Millis): number {
  const { buf, start } = frame;
  const ip = start + ETHERNET_HEADER;
  const verdict = checkNeighbourMessage(frame);
  if (verdict !== PASS) return verdict;
  const admitted = admitSource(policy, from, buf, ip + 8, WIDE, now);
  if (admitted !== PASS) return admitted;
  const targetAt = neighbourTargetAt(ip);
  if (!isSolicitation(buf, ip)) {
    const owned = admitSource(policy, from, buf, targetAt, WIDE, now);
    return owned === PASS ? TAKEN : owned;
  }
  const target = policy.neighbour(from.subnet, buf, targetAt, WIDE);
  const outcome = outcomeOf(from, target, isUnspecified(buf, ip + 8, WIDE));
  if (outcome === ANSWERED) answerSolicitation(frame, target!.mac, target!.gateway);
  return outcome;
}

const WIDE: Width = 16;

/** Nobody is told of his own address: he asks whether another has it. Silence is what a probe hopes for, and no drop. */
function outcomeOf(from: Station, target: Station | undefined, probing: boolean): number {
  if (target === undefined) return probing ? TAKEN : DROP.noRecord;
  if (target === from) return TAKEN;
  return from.isHere || target.isHere ? ANSWERED : DROP.notOurs;
}
