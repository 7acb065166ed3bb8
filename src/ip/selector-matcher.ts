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
import { IP_PROTOCOL } from './iana.ts';
import { IPV4_HEADER, ipv4IsFragment, ipv4TotalLength } from './ipv4.ts';
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
  const [known, knownOutbound] = [new Memo(), new Memo()];
  const matchFlow = (buf: Bytes, flow: Flow, outbound: boolean): boolean =>
    endMatches(outbound ? here : there, buf, flow, flow.sourceAt, flow.sourcePort, false) &&
    endMatches(outbound ? there : here, buf, flow, flow.destinationAt, flow.destinationPort, flow.typed);
  return {
    matchFlow,
    match: (buf, start, end, outbound) => {
      const memo = outbound ? knownOutbound : known;
      if (memo.holds(buf, start, end)) return true;
      const matches = readFlow(buf, start, end, scratch) === PASS && matchFlow(buf, scratch, outbound);
      if (matches) memo.keep(buf, start, end);
      return matches;
    },
  };
}

/**
 * The last flow that matched, as far as it is TCP or UDP over IPv4 without options, in whole packets: the next packet is mostly of
 * the same one.
 */
class Memo {
  #kept = false;
  #protocol = 0;
  #source = 0;
  #destination = 0;
  #ports = 0;

  holds(buf: Bytes, at: number, end: number): boolean {
    return (
      this.#kept &&
      end - at >= IPV4_HEADER + 4 &&
      buf[at] === PLAIN &&
      buf[at + 9] === this.#protocol &&
      word(buf, at + 12) === this.#source &&
      word(buf, at + 16) === this.#destination &&
      word(buf, at + 20) === this.#ports &&
      isWhole(buf, at, end)
    );
  }

  keep(buf: Bytes, at: number, end: number): void {
    const protocol = buf[at + 9]!;
    if (end - at < IPV4_HEADER + 4 || buf[at] !== PLAIN || !isWhole(buf, at, end)) return;
    if (protocol !== IP_PROTOCOL.tcp && protocol !== IP_PROTOCOL.udp) return;
    this.#kept = true;
    this.#protocol = protocol;
    this.#source = word(buf, at + 12);
    this.#destination = word(buf, at + 16);
    this.#ports = word(buf, at + 20);
  }
}

/** No fragment, and long enough for ports by its own length. */
const isWhole = (buf: Bytes, at: number, end: number): boolean => {
  const total = ipv4TotalLength(buf, at);
  return total >= IPV4_HEADER + 4 && total <= end - at && !ipv4IsFragment(buf, at);
};

/** Four octets as a signed number, which V8 does not box. */
const word = (buf: Bytes, at: number): number =>
  (buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!;

/** Version 4, five words of header. */
const PLAIN = 0x45;

interface End {
  readonly v4: Family;
  readonly v6: Family;
}

/**
 * Selectors of one family as rows of one array: protocol, first and last port, whether packets that show no port match (ANY or
 * OPAQUE), lowest and highest address. Addresses are words: one for IPv4, four for IPv6.
 */
interface Family {
  readonly words: number;
  readonly rows: Uint32Array;
}

const compileEnd = (selectors: readonly TrafficSelector[]): End => ({
  v4: compileFamily(selectors.filter((s) => isSelector(s) && s.start.length === 4)),
  v6: compileFamily(selectors.filter((s) => isSelector(s) && s.start.length === 16)),
});

function compileFamily(selectors: readonly TrafficSelector[]): Family {
  if (selectors.length === 0) return NO_SELECTORS;
  const words = selectors[0]!.start.length / 4;
  const bound = (address: Bytes): number[] =>
    Array.from({ length: words }, (_, i) => ipv4Number(address.subarray(4 * i)));
  const row = (s: TrafficSelector): number[] => [
    s.protocol,
    s.startPort,
    s.endPort,
    isAnyPorts(s) || isOpaquePorts(s) ? 1 : 0,
    ...bound(s.start),
    ...bound(s.end),
  ];
  return { words, rows: Uint32Array.from(selectors.flatMap(row)) };
}

function endMatches(end: End, buf: Bytes, flow: Flow, at: number, port: number, anyPort: boolean): boolean {
  const { rows, words } = flow.version === 4 ? end.v4 : end.v6;
  const size = ADDRESSES_AT + 2 * words;
  for (let row = 0; row < rows.length; row += size) {
    const protocol = rows[row]!;
    if (protocol !== 0 && protocol !== flow.protocol) continue;
    if (!anyPort && (port === OPAQUE_PORT ? rows[row + 3] === 0 : port < rows[row + 1]! || port > rows[row + 2]!)) {
      continue;
    }
    const start = row + ADDRESSES_AT;
    if (order(buf, at, rows, start, words) >= 0 && order(buf, at, rows, start + words, words) <= 0) return true;
  }
  return false;
}

/** -1, 0 or 1: how the address at `at` stands to the bound in `rows`. A difference would be a boxed number. */
function order(buf: Bytes, at: number, rows: Uint32Array, from: number, words: number): number {
  for (let w = 0; w < words; w++) {
    const word = u32(buf, at + 4 * w);
    const bound = rows[from + w]!;
    if (word !== bound) return word < bound ? -1 : 1;
  }
  return 0;
}

/** Offset of the addresses in a row. */
const ADDRESSES_AT = 4;
const NO_SELECTORS: Family = { words: 1, rows: new Uint32Array(0) };
const scratch = newFlow();
