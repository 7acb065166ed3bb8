/**
 * What becomes of an UPDATE: RFC 7606, from what its octets say (`update-view.ts`) and what its attributes say (`attributes.ts`).
 *
 * `checkUpdate` looks at what differs from message to message, for each of them, and allocates nothing where nothing is wrong;
 * `treatUpdate` puts that together with the block of attributes, which is decoded once.
 */
import type { Bytes } from '../../core/index.ts';
import { stronger } from './attribute-rules.ts';
import type { AttributeFault, DecodedAttributes } from './attributes.ts';
import { notification } from './fault.ts';
import { ATTRIBUTE, attributeName, ERROR, FLAG, UPDATE_ERROR } from './iana.ts';
import { nextHopFits } from './multiprotocol.ts';
import { prefixBits } from './nlri.ts';
import {
  type CodecContext,
  type Family,
  IPV4_UNICAST,
  L2VPN_EVPN,
  type NotificationMessage,
  type Treatment,
} from './types.ts';
import {
  attributeFlags,
  countNlri,
  countTypedNlri,
  mpFamily,
  mpNextHopLength,
  mpReachFits,
  mpReachNlriAt,
  mpUnreachFits,
  mpUnreachNlriAt,
  nextAttribute,
  type UpdateView,
  VIEW,
} from './update-view.ts';

export interface UpdateTreatment {
  readonly treatment: Treatment;
  /** All that is wrong, for the log (RFC 7606 §6). */
  readonly faults: readonly AttributeFault[];
  /** Of the fault that decides; only with 'reset'. */
  readonly notification: NotificationMessage | undefined;
}

/**
 * The first thing that is wrong with sections, prefixes, MP_REACH_NLRI or MP_UNREACH_NLRI of the message `view` was filled from; `found` is what
 * `viewUpdate` said. Undefined when nothing is. Every one resets but `VIEW.overrun`, which withdraws and is last.
 */
export function checkUpdate(
  view: UpdateView,
  found: number,
  b: Bytes,
  context: CodecContext,
): AttributeFault | undefined {
  if (found === VIEW.sections)
    return listFault('reset', 'the sections do not fit', UPDATE_ERROR.MALFORMED_ATTRIBUTE_LIST);
  if (found === VIEW.repeated) {
    return listFault('reset', 'MP_REACH_NLRI or MP_UNREACH_NLRI twice', UPDATE_ERROR.MALFORMED_ATTRIBUTE_LIST);
  }
  if (!ipv4Fits(b, view.withdrawnAt, view.withdrawnEnd, context) || !ipv4Fits(b, view.nlriAt, view.nlriEnd, context)) {
    return listFault('reset', 'prefixes that do not fit', UPDATE_ERROR.INVALID_NETWORK_FIELD);
  }
  const fault =
    (view.mpReach >= 0 ? checkMpReach(b, view.mpReach, context) : undefined) ??
    (view.mpUnreach >= 0 ? checkMpUnreach(b, view.mpUnreach, context) : undefined);
  if (fault !== undefined || found !== VIEW.overrun) return fault;
  return listFault('withdraw', 'an attribute does not fit', UPDATE_ERROR.MALFORMED_ATTRIBUTE_LIST);
}

/**
 * RFC 7606 §3(h), §5.2: the strongest of what `checkUpdate` found in the message and `decodeAttributes` in its attributes. Without a block (none
 * was decoded, because the message is lost anyway) only the former counts.
 */
export function treatUpdate(
  view: UpdateView,
  b: Bytes,
  message: AttributeFault | undefined,
  block: DecodedAttributes | undefined,
): UpdateTreatment {
  const lost = message?.treatment === 'reset';
  const ipv4 = !lost && view.nlriEnd > view.nlriAt;
  const routes = ipv4 || (!lost && carriesMpRoutes(view, b));
  // RFC 4760 §3 asks for them beside MP_REACH_NLRI, whether there are prefixes in it or not.
  const mandatory = ipv4 || (!lost && view.mpReach >= 0);
  const clean = block === undefined || (block.treatment === 'none' && (!mandatory || block.missing.length === 0));
  if (message === undefined && clean && !(ipv4 && block?.nextHop !== undefined)) return SOUND;
  // A block has the overrun among its own faults.
  const faults: AttributeFault[] = message === undefined || (block !== undefined && !lost) ? [] : [message];
  if (block !== undefined) faults.push(...block.faults);
  if (block !== undefined && mandatory) faults.push(...block.missing);
  if (block?.nextHop !== undefined && ipv4) faults.push(block.nextHop);
  return treat(faults, routes);
}

/** Whether MP_REACH_NLRI has prefixes, of whatever family. */
export const carriesMpRoutes = (view: UpdateView, b: Bytes): boolean =>
  view.mpReach >= 0 && mpReachFits(b, view.mpReach) && mpReachNlriAt(b, view.mpReach) < nextAttribute(b, view.mpReach);

/** RFC 4724 §2: the family of an End-of-RIB; undefined for every other UPDATE. For a view that is sound. */
export function endOfRib(view: UpdateView, b: Bytes): Family | undefined {
  if (view.withdrawnEnd > view.withdrawnAt || view.nlriEnd > view.nlriAt) return undefined;
  if (view.count === 0) return IPV4_UNICAST;
  if (view.count !== 1 || view.mpUnreach < 0 || !mpUnreachFits(b, view.mpUnreach)) return undefined;
  const empty = mpUnreachNlriAt(b, view.mpUnreach) === nextAttribute(b, view.mpUnreach);
  return empty ? mpFamily(b, view.mpUnreach) : undefined;
}

/** RFC 7606 §5.2: without routes there is nothing to withdraw in their place, and no certainty that there were none. */
function treat(faults: readonly AttributeFault[], routes: boolean): UpdateTreatment {
  let treatment: Treatment = 'none';
  for (const fault of faults) treatment = stronger(treatment, fault.treatment);
  const decisive = faults.find((fault) => fault.treatment === treatment);
  if (treatment === 'withdraw' && !routes) treatment = 'reset';
  return { treatment, faults, notification: treatment === 'reset' ? decisive?.notification : undefined };
}

const ipv4Fits = (b: Bytes, at: number, end: number, context: CodecContext): boolean =>
  at === end || countNlri(b, at, end, 32, context.addPath.includes(IPV4_UNICAST)) >= 0;

/** RFC 7606 §5.3, §7.11. */
function checkMpReach(b: Bytes, a: number, context: CodecContext): AttributeFault | undefined {
  if (!flagsOfMp(b, a)) return mpFault(b, a, 'its flags');
  if (!mpReachFits(b, a)) return mpFault(b, a, 'its length');
  const family = mpFamily(b, a);
  if (!context.families.includes(family)) return undefined;
  if (!nextHopFits(family, mpNextHopLength(b, a), context)) return mpFault(b, a, 'the length of its next hop');
  return checkPrefixes(b, a, mpReachNlriAt(b, a), family, context);
}

/** RFC 7606 §5.3. */
function checkMpUnreach(b: Bytes, a: number, context: CodecContext): AttributeFault | undefined {
  if (!flagsOfMp(b, a)) return mpFault(b, a, 'its flags');
  if (!mpUnreachFits(b, a)) return mpFault(b, a, 'its length');
  const family = mpFamily(b, a);
  if (!context.families.includes(family)) return undefined;
  return checkPrefixes(b, a, mpUnreachNlriAt(b, a), family, context);
}

function checkPrefixes(
  b: Bytes,
  a: number,
  at: number,
  family: Family,
  context: CodecContext,
): AttributeFault | undefined {
  const pathIds = context.addPath.includes(family);
  const end = nextAttribute(b, a);
  if (family === L2VPN_EVPN) {
    return countTypedNlri(b, at, end, pathIds) >= 0 ? undefined : mpFault(b, a, 'routes that do not fit');
  }
  const bits = prefixBits(family);
  if (bits === undefined || countNlri(b, at, end, bits, pathIds) >= 0) return undefined;
  return mpFault(b, a, 'prefixes that do not fit');
}

const flagsOfMp = (b: Bytes, a: number): boolean =>
  (attributeFlags(b, a) & (FLAG.OPTIONAL | FLAG.TRANSITIVE)) === FLAG.OPTIONAL;

/** RFC 4760 §7. */
function mpFault(b: Bytes, a: number, problem: string): AttributeFault {
  const type = b[a + 1] === ATTRIBUTE.MP_REACH_NLRI ? ATTRIBUTE.MP_REACH_NLRI : ATTRIBUTE.MP_UNREACH_NLRI;
  const data = b.slice(a, nextAttribute(b, a));
  const owed = notification(ERROR.UPDATE, UPDATE_ERROR.OPTIONAL_ATTRIBUTE, data);
  return { type, treatment: 'reset', why: `${attributeName(type)}: ${problem}`, notification: owed };
}

const listFault = (treatment: Treatment, why: string, subcode: number): AttributeFault => ({
  type: 0,
  treatment,
  why,
  notification: notification(ERROR.UPDATE, subcode),
});

const SOUND: UpdateTreatment = { treatment: 'none', faults: [], notification: undefined };
