/**
 * The naive reference, a tenant's router: RFC 1812 §5.2–5.3, RFC 8200 §3–5, RFC 1191 §4; routes are a list, searched to its end.
 *
 * Not modelled, the run then ends without a judgement (`Undecided`): reassembly of what is for the router itself, ICMP errors
 * that are for it, its own IPv6 packets that need fragments. Identifications of the router's own packets are 0 here.
 */
import type { DropReason } from '../../../src/ip/index.ts';
import {
  type Frame,
  fragmentsOf,
  messageHolds,
  piecesOf,
  settled,
  superframeProblem,
  wireLength,
  wireLengths,
} from './frames.ts';
import {
  buildError,
  echoReply,
  errorFor,
  type IcmpError,
  isError,
  mayBeAnswered,
  type Occasion,
  parameterProblem,
} from './icmp.ts';
import {
  checkIp,
  ICMP,
  ICMPV6,
  type Ip,
  isGroup,
  isLinkLocal,
  isRefusal,
  mustRead,
  NO_NEXT_HEADER,
  TCP,
  UDP,
  withHops,
} from './ip.ts';
import { changed, hexOf, numberOf, type Octets, pseudoSum, sum, updated, within, word } from './octets.ts';

/** The answer depends on what is not modelled. */
export class Undecided extends Error {}

interface NaivePrefix {
  readonly address: Octets;
  readonly length: number;
}

export interface NaiveInterface {
  readonly number: number;
  readonly pointToPoint: boolean;
  readonly clampMss: boolean;
  readonly addresses: readonly NaivePrefix[];
  mtu: number;
  up: boolean;
  /** Packets and octets received, packets and octets sent. */
  readonly counters: [number, number, number, number];
}

export interface NaiveRoute {
  readonly prefix: NaivePrefix;
  readonly interface: number;
  readonly origin: string;
  readonly preference: number;
}

type Way = 'local' | 'broadcast' | 'discard' | NaiveInterface | undefined;

/** The number of no interface: a route by it discards. */
export const DISCARD = 0;

/** RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f): so many a second, and so many at once. */
const ERRORS_A_MS = 1;
const ERRORS_AT_ONCE = 50;

export class NaiveCompartment {
  readonly name: string;
  readonly counters = new Map<string, number>();
  readonly drops = new Map<DropReason, number>();
  readonly interfaces = new Map<number, NaiveInterface>();
  /** Oldest first. */
  readonly routes: NaiveRoute[] = [];
  /** Errors there was no leave for, since this was last looked at. */
  overRate = 0;
  readonly #leave: (frame: Frame, out: number, now: number) => void;
  #tokens = ERRORS_AT_ONCE;
  #filledAt: number | undefined;

  constructor(name: string, leave: (frame: Frame, out: number, now: number) => void) {
    this.name = name;
    this.#leave = leave;
  }

  addRoute(route: NaiveRoute): void {
    const same = this.routes.findIndex((each) => sameRoute(each, route));
    if (same >= 0) this.routes[same] = route;
    else this.routes.push(route);
  }

  removeRoute(route: Omit<NaiveRoute, 'preference'>): void {
    const same = this.routes.findIndex((each) => sameRoute(each, route));
    if (same >= 0) this.routes.splice(same, 1);
  }

  receive({ octets, segment, partial }: Frame, from: number, now: number): void {
    const into = this.interfaces.get(from);
    const lengths = wireLengths({ octets, segment, partial });
    if (into?.up !== true) return this.drop('linkDown', lengths.length);
    into.counters[0] += lengths.length;
    into.counters[1] += total(lengths);
    const ip = checkIp(octets);
    if (isRefusal(ip)) {
      const problem = ip === 'options' || ip === 'hopOptions' ? parameterProblem(octets) : undefined;
      if (problem !== undefined) this.#tell(problem, octets, into, now);
      return this.drop(ip, lengths.length);
    }
    const frame = { octets: octets.slice(0, ip.length), segment, partial };
    const dropped = this.#forward(frame, ip, into, now);
    if (dropped !== undefined) this.drop(dropped, wireLengths(frame).length);
  }

  /** A packet that left and came back: whoever was to carry it could not. */
  refuse(frame: Frame, reason: DropReason, now: number): void {
    const occasion = REFUSALS[reason];
    const count = wireLengths(frame).length;
    this.drop(occasion === undefined ? reason : this.#told(reason, occasion, frame, undefined, now), count);
  }

  drop(reason: DropReason, packets = 1): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0) + packets);
  }

  #count(name: string, by = 1): void {
    this.counters.set(name, (this.counters.get(name) ?? 0) + by);
  }

  #forward(frame: Frame, ip: Ip, into: NaiveInterface, now: number): DropReason | undefined {
    const { source, destination, version } = ip;
    const way = this.#wayTo(destination);
    if (way !== 'local' && (way === 'broadcast' || staysOnLink(ip))) return 'notForwarded';
    const back = this.#wayTo(source);
    if (back === 'local' || back === 'broadcast') return 'martian';
    if (way === 'local') return this.#deliver(frame, ip, into, now);
    if (way === undefined) return this.#told('noRoute', 'noRoute', frame, into, now);
    if (way === 'discard') return this.#told('discarded', 'discarded', frame, into, now);
    if (way === into && way.pointToPoint) return this.#told('bounce', 'addressUnreachable', frame, into, now);
    if (ip.hops < 2) return this.#told('hopLimit', 'hopLimit', frame, into, now);
    const mtu = linkMtu(way, version);
    const fits = wireLength(frame) <= mtu;
    if (!fits && !ip.mayBeCut) return this.#told('tooBig', 'tooBig', frame, into, now, mtu);
    let octets = withHops(frame.octets, ip.hops - 1);
    if (into.clampMss || way.clampMss) octets = this.#clamped(octets, Math.min(linkMtu(into, version), mtu));
    const gone = { ...frame, octets };
    const dropped = fits ? this.#emit(gone, way, now) : this.#cut(gone, way, mtu, now);
    if (dropped === undefined) this.#count('forwarded', wireLengths(gone).length);
    return dropped;
  }

  /** RFC 1812 §5.2.4.3: own addresses, broadcasts of connected networks, then the longest of the routes that can be used. */
  #wayTo(address: Octets): Way {
    const all = [...this.interfaces.values()];
    const owned = all.flatMap((each) => each.addresses);
    if (owned.some((own) => hexOf(own.address) === hexOf(address))) return 'local';
    if (owned.some((own) => isBroadcastOf(own, address))) return 'broadcast';
    const connected = all.flatMap((each) =>
      each.addresses.map((prefix) => ({ prefix, interface: each.number, preference: 0 })),
    );
    let best: Omit<NaiveRoute, 'origin'> | undefined;
    for (const route of [...connected, ...this.routes]) {
      const isUp = route.interface === DISCARD || this.interfaces.get(route.interface)?.up === true;
      if (!within(address, route.prefix) || !isUp) continue;
      const longer = route.prefix.length - (best?.prefix.length ?? -1);
      if (longer > 0 || (longer === 0 && route.preference < best!.preference)) best = route;
    }
    if (best?.interface === DISCARD) return 'discard';
    return best === undefined ? undefined : this.interfaces.get(best.interface);
  }

  /** RFC 1122 §3.3.4.2: the router as a host. */
  #deliver(frame: Frame, ip: Ip, into: NaiveInterface, now: number): DropReason | undefined {
    if (ip.fragment) throw new Undecided('reassembly');
    const { octets } = frame;
    const { version, protocol, at, length } = ip;
    if (protocol === (version === 4 ? ICMP : ICMPV6)) return this.#icmp(octets, ip, now);
    if (version === 6 && protocol === NO_NEXT_HEADER) return 'protocolUnreachable';
    if (protocol !== UDP) {
      const pointer = version === 4 ? 0 : ip.field;
      return this.#told('protocolUnreachable', 'protocolUnreachable', frame, into, now, pointer, ip.destination);
    }
    const datagram = settled(frame);
    const whole = typeof datagram === 'string' ? octets : datagram;
    const problem = frame.segment > 0 ? undefined : datagramProblem(whole, at, length);
    if (problem !== undefined) return problem;
    return this.#told('portUnreachable', 'portUnreachable', frame, into, now, 0, ip.destination);
  }

  #icmp(octets: Octets, { version, protocol, at, length }: Ip, now: number): DropReason | undefined {
    if (length - at < 4 || !messageHolds(octets, protocol!, version === 6)) return 'checksum';
    this.#count('delivered');
    const type = octets[at]!;
    const whole = length - at >= 8;
    if (whole && type === (version === 4 ? 8 : 128)) {
      this.#count('echoReplies');
      this.#originate(echoReply(octets, at, length), now);
    } else if (whole && type === (version === 4 ? 0 : 129)) this.#count('pingsUnmatched');
    else if (isError(type, version) && length - at > 8) throw new Undecided('an ICMP message that may be about a ping');
    return undefined;
  }

  /** Gives the reason, once the sender is told. */
  #told(
    reason: DropReason,
    occasion: Occasion,
    frame: Frame,
    into: NaiveInterface | undefined,
    now: number,
    value = 0,
    from?: Octets,
  ): DropReason {
    if (!mayBeAnswered(frame.octets)) return reason;
    const octets = settled(frame);
    const about = typeof octets === 'string' ? frame.octets : octets;
    this.#tell(errorFor(about, occasion, value), about, into, now, from);
    return reason;
  }

  #tell(error: IcmpError, about: Octets, into: NaiveInterface | undefined, now: number, from?: Octets): void {
    const elapsed = Math.max(0, now - (this.#filledAt ?? now));
    this.#tokens = Math.min(ERRORS_AT_ONCE, this.#tokens + elapsed * ERRORS_A_MS);
    this.#filledAt = Math.max(now, this.#filledAt ?? now);
    if (this.#tokens < 1) {
      this.overRate += 1;
      return this.#count('icmpErrorsOverRate');
    }
    this.#tokens -= 1;
    const receiver = about[0]! >> 4 === 4 ? about.slice(12, 16) : about.slice(8, 24);
    const source = from ?? this.#sourceTowards(receiver, into);
    if (source === undefined) return this.#count('icmpErrorsWithoutSource');
    this.#count('icmpErrors');
    this.#originate(buildError(error, source, about), now);
  }

  /** RFC 1812 §4.3.2.4: of the interface towards the receiver, else where the occasion came in, else any. */
  #sourceTowards(receiver: Octets, into: NaiveInterface | undefined): Octets | undefined {
    const way = this.#wayTo(receiver);
    const towards = typeof way === 'object' ? [way] : [];
    for (const each of [...towards, ...(into === undefined ? [] : [into]), ...this.interfaces.values()]) {
      const own = each.addresses.find(({ address }) => address.length === receiver.length);
      if (own !== undefined) return own.address;
    }
    return undefined;
  }

  #originate(octets: Octets, now: number): void {
    const dropped = this.#originated(octets, now);
    if (dropped === undefined) this.#count('originated');
    else this.drop(dropped);
  }

  #originated(octets: Octets, now: number): DropReason | undefined {
    const ip = checkIp(octets);
    if (isRefusal(ip)) return ip;
    const way = this.#wayTo(ip.destination);
    if (way === undefined) return staysOnLink(ip) ? 'notForwarded' : 'noRoute';
    if (way === 'broadcast' || isGroup(ip.destination)) return 'notForwarded';
    if (way === 'discard') return 'discarded';
    if (way === 'local') throw new Undecided('a packet of its own for itself');
    const mtu = linkMtu(way, ip.version);
    const frame = { octets, segment: 0, partial: false };
    if (octets.length <= mtu) return this.#emit(frame, way, now);
    if (ip.version === 6) throw new Undecided('IPv6 fragments');
    return this.#cut(frame, way, mtu, now);
  }

  #emit(frame: Frame, out: NaiveInterface, now: number): undefined {
    const lengths = wireLengths(frame);
    out.counters[2] += lengths.length;
    out.counters[3] += total(lengths);
    this.#leave(frame, out.number, now);
  }

  #cut(frame: Frame, out: NaiveInterface, mtu: number, now: number): DropReason | undefined {
    if (frame.segment > 0) {
      const problem = superframeProblem(frame);
      if (problem !== undefined) return problem;
      for (const octets of piecesOf(frame)) {
        const piece = { octets, segment: 0, partial: false };
        if (octets.length <= mtu) this.#emit(piece, out, now);
        else this.#cut(piece, out, mtu, now);
      }
      return undefined;
    }
    const octets = settled(frame);
    if (typeof octets === 'string') return octets;
    const pieces = fragmentsOf(octets, mtu);
    this.#count('fragmented');
    this.#count('fragments', pieces.length);
    for (const piece of pieces) this.#emit({ octets: piece, segment: 0, partial: false }, out, now);
    return undefined;
  }

  /** RFC 9293 §3.7.1: a SYN announces no more than fits; its checksum stays right, or as wrong as it was. */
  #clamped(octets: Octets, mtu: number): Octets {
    const { protocol, at, length, fragmentOffset, version } = mustRead(octets);
    if (protocol !== TCP || fragmentOffset !== 0 || at + 20 > length || (octets[at + 13]! & 2) === 0) return octets;
    const limit = mtu - (version === 4 ? 40 : 60);
    const end = at + (octets[at + 12]! >> 4) * 4;
    if (end > length) return octets;
    for (let option = at + 20; option < end && octets[option] !== 0; ) {
      const size = octets[option] === 1 ? 1 : option + 1 < end ? octets[option + 1]! : 0;
      if (size === 0 || (octets[option] !== 1 && size < 2) || option + size > end) return octets;
      if (octets[option] === 2) return size === 4 ? this.#lowered(octets, at, option + 2, limit) : octets;
      option += size;
    }
    return octets;
  }

  #lowered(octets: Octets, at: number, field: number, limit: number): Octets {
    const before = word(octets, field);
    if (before <= limit) return octets;
    this.#count('mssClamped');
    // RFC 1071 §2 (B): at an odd offset the octets of the value stand in two words, the other way round.
    const [from, to] = (field - at) % 2 === 0 ? [before, limit] : [swapped(before), swapped(limit)];
    const value = updated(word(octets, at + 16), from, to);
    const lowered = changed(octets, field, [limit >> 8, limit & 255]);
    return changed(lowered, at + 16, [value >> 8, value & 255]);
  }
}

const REFUSALS: Partial<Record<DropReason, Occasion>> = {
  prohibited: 'prohibited',
  linkDown: 'addressUnreachable',
  noSa: 'addressUnreachable',
};

/** RFC 8200 §5: IPv6 takes every link for one of 1280 octets at least. */
const linkMtu = ({ mtu }: NaiveInterface, version: number): number => (version === 6 ? Math.max(1280, mtu) : mtu);

const staysOnLink = ({ source, destination }: Ip): boolean =>
  isGroup(destination) || isLinkLocal(destination) || isLinkLocal(source);

/** RFC 1812 §5.3.5, RFC 3021: host bits all one or all zero, in networks that have room for both. */
function isBroadcastOf(own: NaivePrefix, address: Octets): boolean {
  if (own.address.length !== 4 || own.length > 30 || !within(address, own)) return false;
  const hosts = 2n ** BigInt(32 - own.length);
  const host = numberOf(address) % hosts;
  return host === 0n || host === hosts - 1n;
}

/** RFC 768, RFC 8200 §8.1: over IPv4 the checksum may be left out. */
function datagramProblem(octets: Octets, at: number, end: number): DropReason | undefined {
  if (end - at < 8) return 'short';
  const length = word(octets, at + 4);
  if (length < 8 || length > end - at) return 'length';
  const { version, source, destination } = mustRead(octets);
  if (word(octets, at + 6) === 0) return version === 4 ? undefined : 'checksum';
  const total = sum(octets.slice(at, at + length), pseudoSum(source, destination, UDP, length));
  return total === 0xffff ? undefined : 'checksum';
}

const swapped = (value: number): number => (value % 256) * 256 + (value >> 8);

const sameRoute = (a: Omit<NaiveRoute, 'preference'>, b: Omit<NaiveRoute, 'preference'>): boolean =>
  a.interface === b.interface &&
  a.origin === b.origin &&
  a.prefix.length === b.prefix.length &&
  hexOf(a.prefix.address) === hexOf(b.prefix.address);

const total = (lengths: readonly number[]): number => lengths.reduce((octets, length) => octets + length, 0);
