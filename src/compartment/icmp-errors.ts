/**
 * The ICMP errors a compartment sends: whether one is owed, from which address, and how many.
 *
 * Read first: RFC 1122 §3.2.2, RFC 1812 §4.3.2 (source §4.3.2.4, quote §4.3.2.3, rate §4.3.2.8), RFC 4443 §2.2, §2.4.
 * Leaves to others: the messages themselves (`ip/icmp.ts`), the choice of source (`Compartment.sourceTowards`).
 * Limits: a token bucket for both families together; what it refuses is counted, like errors for which the compartment
 * has no address or the pool no packet. Deliberate limit: no redirects (RFC 1812 §5.2.7.2 leaves them to choice).
 */
import type { Bytes, Millis } from '../core/index.ts';
import { putU16, putU32 } from '../core/index.ts';
import {
  type Address,
  buildIcmp,
  buildIcmpError,
  completeChecksum,
  DROP,
  ICMP_HEADER,
  ICMP_TYPE,
  ICMPV6_TYPE,
  type IcmpError,
  IPV6_HEADER,
  IPV6_MIN_MTU,
  ipLength,
  ipVersion,
  mayAnswerWithError,
  type Packet,
  type PacketPool,
  sourceOf,
} from '../ip/index.ts';
import type { CompartmentLimits } from './contract.ts';
import type { Counters } from './counters.ts';
import type { Interface } from './interface.ts';
import { type ParameterProblem, parameterProblem } from './parameter-problem.ts';
import { TokenBucket } from './token-bucket.ts';

/** What errors, pings and the local host need of their compartment. */
export interface Station {
  readonly pool: PacketPool;
  readonly counters: Counters;
  /** Routes a packet of the compartment's own, which it takes: PASS, or the DROP code that was counted. */
  send(packet: Packet, now: Millis): number;
  /** Gives a packet back to the pool. */
  release(packet: Packet): void;
  /** The own address that a message to `address` carries; `into` is where the occasion for it came in. */
  sourceTowards(address: Address, into?: Interface): Address | undefined;
  owns(address: Address): boolean;
  /** `Sink.consumed`. */
  consumed(packet: Packet): void;
  /** `Sink.transport`; false: nobody takes it. */
  transport(packet: Packet): boolean;
}

/** What the sender is told about a packet that a driver or a tunnel gave back. */
export const REFUSALS: ReadonlyMap<number, IcmpError> = new Map<number, IcmpError>([
  [DROP.prohibited, 'prohibited'],
  [DROP.noRoute, 'noRoute'],
  [DROP.tooBig, 'packetTooBig'],
  [DROP.linkDown, 'addressUnreachable'],
  [DROP.noSa, 'addressUnreachable'],
  [DROP.neighbour, 'addressUnreachable'],
  [DROP.noRecord, 'addressUnreachable'],
  // RFC 5508 REQ-8.
  [DROP.natNoPort, 'prohibited'],
  [DROP.natLimit, 'prohibited'],
]);

export class IcmpErrors {
  readonly #station: Station;
  readonly #bucket: TokenBucket;

  constructor(station: Station, limits: CompartmentLimits) {
    this.#station = station;
    this.#bucket = new TokenBucket(limits.icmpErrorsPerSecond, limits.icmpErrorBurst);
  }

  /**
   * Answers `packet`, which stays the caller's, with an error where one is owed. `value` is an MTU or a pointer; `own` is
   * the address the packet was sent to, where that is the compartment's (RFC 4443 §2.2 (a)).
   */
  answer(error: IcmpError, packet: Packet, into: Interface | undefined, now: Millis, value = 0, own?: Address): void {
    const { buf, start, end } = packet;
    if (!mayAnswerWithError(buf, start, end) || !this.#mayStill(now)) return;
    const source = own ?? this.#sourceFor(packet, into);
    completeChecksum(packet);
    if (source !== undefined) this.#send(buildIcmpError(error, source, buf, start, end, value), now);
  }

  /** The same for a header that cannot be processed: a Parameter Problem naming the octet, where one is owed. */
  answerParameterProblem(packet: Packet, into: Interface, now: Millis): void {
    const { buf, start, end } = packet;
    const problem = parameterProblem(buf, start, start + ipLength(buf, start));
    if (problem === undefined) return;
    if (ipVersion(buf, start) === 4 && !mayAnswerWithError(buf, start, end)) return;
    if (!this.#mayStill(now)) return;
    const source = this.#sourceFor(packet, into);
    if (source !== undefined) this.#send(buildParameterProblem(problem, source, buf, start, end), now);
  }

  #mayStill(now: Millis): boolean {
    if (this.#bucket.take(now)) return true;
    this.#station.counters.icmpErrorsOverRate += 1;
    return false;
  }

  #sourceFor({ buf, start }: Packet, into: Interface | undefined): Address | undefined {
    const source = this.#station.sourceTowards(sourceOf(buf, start), into);
    if (source === undefined) this.#station.counters.icmpErrorsWithoutSource += 1;
    return source;
  }

  #send(octets: Bytes, now: Millis): void {
    const { pool, counters } = this.#station;
    const packet = pool.from(octets);
    if (packet === undefined) {
      counters.icmpErrorsWithoutBuffer += 1;
      return;
    }
    counters.icmpErrors += 1;
    this.#station.send(packet, now);
  }
}

/** RFC 792, RFC 4443 §3.4; quoted like every error. */
function buildParameterProblem(
  problem: ParameterProblem,
  source: Address,
  buf: Bytes,
  start: number,
  end: number,
): Bytes {
  const v4 = ipVersion(buf, start) === 4;
  const room = v4 ? IPV4_ERROR_MAX - IPV4_ERROR_HEADERS : IPV6_MIN_MTU - IPV6_HEADER - ICMP_HEADER;
  const quoted = Math.min(room, end - start, ipLength(buf, start));
  const message = new Uint8Array(ICMP_HEADER + quoted);
  message[0] = v4 ? ICMP_TYPE.parameterProblem : ICMPV6_TYPE.parameterProblem;
  message[1] = problem.code;
  if (v4) putU16(message, 4, problem.pointer << 8);
  else putU32(message, 4, problem.pointer);
  message.set(buf.subarray(start, start + quoted), ICMP_HEADER);
  return buildIcmp({ source, destination: sourceOf(buf, start), trafficClass: v4 ? INTERNETWORK_CONTROL : 0 }, message);
}

/** RFC 1812 §4.3.2.3 and §4.3.2.5. */
const IPV4_ERROR_MAX = 576;
const IPV4_ERROR_HEADERS = 28;
const INTERNETWORK_CONTROL = 0xc0;
