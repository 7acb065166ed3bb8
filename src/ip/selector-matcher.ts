/**
 * Traffic selectors compiled for packets: typed arrays, no allocation per packet.
 *
 * Read first: selector.ts; RFC 4301 §4.4.1.1, §4.4.1.3, §5.2 step 4, §7.
 * A packet matches when some local and some remote selector match their ends of it. ICMP and mobility message types are
 * tested against the sender's selector only (§4.4.1.3).
 */
import type { Bytes } from '../core/index.ts';
import { u32 } from '../core/index.ts';
import { ipv4Number } from './address.ts';
import { type Flow, newFlow, OPAQUE_PORT, readFlow } from './flow.ts';
import { isAnyPorts, isOpaquePorts, isSelector, type TrafficSelector } from './selector.ts';
import { PASS } from './verdict.ts';

export interface SelectorMatcher {
  /** Whether the packet in buf[start, end) is within the selectors; `outbound`: its source is the local end. */
  match(buf: Bytes, start: number, end: number, outbound: boolean): boolean;
  /** The same for a packet whose flow was read already. */
  matchFlow(buf: Bytes, flow: Flow, outbound: boolean): boolean;
}

export function compileSelectors(
  local: readonly TrafficSelector[],
  remote: readonly TrafficSelector[],
): SelectorMatcher {
  const here = compileEnd(local);
  const there = compileEnd(remote);
  const matchFlow = (buf: Bytes, flow: Flow, outbound: boolean): boolean =>
    endMatches(outbound ? here : there, buf, flow, flow.sourceAt, flow.sourcePort, false) &&
    endMatches(outbound ? there : here, buf, flow, flow.destinationAt, flow.destinationPort, flow.typed);
  return {
    matchFlow,
    match: (buf, start, end, outbound) =>
      readFlow(buf, start, end, scratch) === PASS && matchFlow(buf, scratch, outbound),
  };
}

interface End {
  readonly v4: Family;
  readonly v6: Family;
}

/** Selectors of one family, in parallel arrays. Address bounds are words: one each for IPv4, four each for IPv6. */
interface Family {
  readonly count: number;
  readonly words: number;
  readonly start: Uint32Array;
  readonly end: Uint32Array;
  readonly protocol: Uint8Array;
  readonly startPort: Uint16Array;
  readonly endPort: Uint16Array;
  /** ANY or OPAQUE: also matches packets that show no port. */
  readonly portless: Uint8Array;
}

const compileEnd = (selectors: readonly TrafficSelector[]): End => ({
  v4: compileFamily(selectors.filter((s) => isSelector(s) && s.start.length === 4)),
  v6: compileFamily(selectors.filter((s) => isSelector(s) && s.start.length === 16)),
});

function compileFamily(selectors: readonly TrafficSelector[]): Family {
  const words = selectors[0]?.start.length === 16 ? 4 : 1;
  const bound = (which: 'start' | 'end'): Uint32Array =>
    Uint32Array.from(
      selectors.flatMap((s) => Array.from({ length: words }, (_, i) => ipv4Number(s[which].subarray(4 * i)))),
    );
  return {
    count: selectors.length,
    words,
    start: bound('start'),
    end: bound('end'),
    protocol: Uint8Array.from(selectors, (s) => s.protocol),
    startPort: Uint16Array.from(selectors, (s) => s.startPort),
    endPort: Uint16Array.from(selectors, (s) => s.endPort),
    portless: Uint8Array.from(selectors, (s) => (isAnyPorts(s) || isOpaquePorts(s) ? 1 : 0)),
  };
}

function endMatches(end: End, buf: Bytes, flow: Flow, at: number, port: number, anyPort: boolean): boolean {
  const family = flow.version === 4 ? end.v4 : end.v6;
  for (let i = 0; i < family.count; i++) {
    const protocol = family.protocol[i]!;
    if (protocol !== 0 && protocol !== flow.protocol) continue;
    if (!anyPort) {
      if (port === OPAQUE_PORT ? family.portless[i] === 0 : port < family.startPort[i]! || port > family.endPort[i]!) {
        continue;
      }
    }
    if (order(buf, at, family.start, i, family.words) >= 0 && order(buf, at, family.end, i, family.words) <= 0) {
      return true;
    }
  }
  return false;
}

/** -1, 0 or 1: how the address at `at` stands to bound i. A difference would be a boxed number. */
function order(buf: Bytes, at: number, bounds: Uint32Array, i: number, words: number): number {
  for (let w = 0; w < words; w++) {
    const word = u32(buf, at + 4 * w);
    const bound = bounds[i * words + w]!;
    if (word !== bound) return word < bound ? -1 : 1;
  }
  return 0;
}

const scratch = newFlow();
