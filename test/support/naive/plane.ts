/**
 * The data plane as it is specified, one packet at a time: Maps, Sets, BigInts, copies, and node:crypto. What `DataPlane` does in
 * bursts and in place is held to this. It shares the plane's contract (`contract.ts`) and no code of `src/esp` or `src/compartment`.
 *
 * Written from RFC 4301 §5, RFC 4303 §3.3 and §3.4, RFC 3948 §2, RFC 6040 §4, RFC 7296 §2.23; routing: `compartment.ts`.
 * A superframe or a train of datagrams is the list of what it stands for, but it is routed, counted and refused as one packet.
 * Not modelled: pings, time, an empty pool, more than EVENTS events, Undecided of `compartment.ts`, `describe`.
 * `undecided` says that the outcome depended on the order of packets that came in by different doors, which is the plane's choice.
 */
import type { PlaneCommand, PlaneEvent, SaPair, SaPhase } from '../../../src/gateway/dataplane/index.ts';
import type { DropReason, Endpoint } from '../../../src/ip/index.ts';
import { NaiveCompartment, type NaiveInterface, type NaiveRoute } from './compartment.ts';
import { type Frame, piecesOf, settled, superframeProblem } from './frames.ts';
import { hexOf, long, type Octets } from './octets.ts';
import { NaiveInbound, NaiveOutbound } from './sa.ts';
import { admitted, flowOf } from './selectors.ts';
import { measure, move, type NaiveSa, type NaiveTunnel, type Outer, outerOf, sends } from './tunnel.ts';

/** Packets that wait for a tunnel. */
const WAITING = 64;
/** Milliseconds between two tales of a living peer; of one that moved, or whose SA waits for that. */
const TELL_ALIVE = 1000;
const TELL_AGAIN = 10;

/** A packet for a port of the host's. */
export interface ToPort {
  readonly port: number;
  readonly frame: Frame;
  /** What it came in by. */
  readonly door: string;
}

/** A packet for the wire, before it is sealed. */
export interface ToWire extends Outer {
  readonly sa: NaiveSa;
  readonly inner: Octets;
  readonly sequence: bigint;
  readonly door: string;
}

/** SPIs that are `residue` modulo `modulus`. */
export interface Spis {
  readonly modulus: number;
  readonly residue: number;
}

export const ALL_SPIS: Spis = { modulus: 1, residue: 0 };

type Way = { readonly port: number } | NaiveTunnel;

export class NaivePlane {
  readonly compartments = new Map<number, NaiveCompartment>();
  readonly tunnels = new Map<number, NaiveTunnel>();
  readonly sas = new Map<number, NaiveSa>();
  /** Before a tenant was known; before an SA was. */
  readonly drops = new Map<DropReason, number>();
  readonly strangers = new Map<DropReason, number>();
  undecided: string | undefined;
  readonly #ways = new Map<string, Way>();
  readonly #ports = new Map<number, { readonly compartment: number; readonly interface: number }>();
  /** What order-dependent decisions were about in this batch, and by which doors packets came to them. */
  readonly #contests = new Map<string, { readonly doors: Set<string>; lost: boolean }>();
  readonly #spis: Spis;
  #stopping = false;
  #door = '';
  #toPorts: ToPort[] = [];
  #toWire: ToWire[] = [];
  #events: PlaneEvent[] = [];

  constructor(spis: Spis = ALL_SPIS) {
    this.#spis = spis;
  }

  get waiting(): number {
    return [...this.tunnels.values()].reduce((sum, tunnel) => sum + tunnel.waiting.length, 0);
  }

  /** What the batch gave. */
  take(): { readonly toPorts: readonly ToPort[]; readonly toWire: readonly ToWire[]; readonly events: PlaneEvent[] } {
    const taken = { toPorts: this.#toPorts, toWire: this.#toWire, events: this.#events };
    for (const [about, { doors, lost }] of this.#contests) if (lost && doors.size > 1) this.undecided ??= about;
    this.#contests.clear();
    [this.#toPorts, this.#toWire, this.#events] = [[], [], []];
    return taken;
  }

  // Packets in.

  udp(
    local: Endpoint,
    remote: Endpoint,
    octets: Octets,
    segment: number,
    tos: number,
    natt: boolean,
    now: number,
  ): void {
    const step = segment === 0 ? Math.max(1, octets.length) : segment;
    for (let at = 0; at === 0 || at < octets.length; at += step)
      this.#datagram(local, remote, octets.slice(at, at + step), tos, natt, now);
  }

  /** As protocol 50. */
  esp(local: Endpoint, remote: Endpoint, packet: Octets, tos: number, now: number): void {
    this.#opened(false, local, remote, packet, tos, now);
  }

  /** Of several data planes each has some of the SPIs; what is for another one goes round by control. */
  #opened(udp: boolean, local: Endpoint, remote: Endpoint, packet: Octets, tos: number, now: number): void {
    const { modulus, residue } = this.#spis;
    if (packet.length >= 4 && long(packet, 0) % modulus !== residue) {
      this.#events.push({ type: 'stray', udp, local, remote, octets: packet, tos });
      return count(this.drops, 'strayed');
    }
    if (packet.length < 8) return count(this.strangers, 'espShort');
    const sa = this.sas.get(long(packet, 0));
    if (sa === undefined) return count(this.strangers, 'espUnknownSpi');
    this.#door = `SA ${sa.pair.spiIn}`;
    const { inner, authentic, newest } = sa.inbound.open(packet, Math.max(0, tos), now);
    this.#signals(sa);
    if (authentic) this.#heard(sa, newest, remote, now);
    const { compartment, interface: into } = sa.tunnel;
    if (inner === undefined) return;
    compartment.receive({ octets: inner, segment: 0, partial: false }, into.number, now);
    this.#judge(compartment);
  }

  packet(port: number, frame: Frame, now: number): void {
    const door = this.#ports.get(port);
    if (door === undefined) return count(this.drops, 'linkDown');
    const compartment = this.compartments.get(door.compartment)!;
    this.#door = `port ${port}`;
    compartment.receive(frame, door.interface, now);
    this.#judge(compartment);
  }

  #datagram(local: Endpoint, remote: Endpoint, octets: Octets, tos: number, natt: boolean, now: number): void {
    if (!natt) return void this.#events.push({ type: 'ike', local, remote, octets });
    if (octets.length < 4) return count(this.drops, hexOf(octets) === 'ff' ? 'keepalive' : 'espShort');
    if (long(octets, 0) > 0) return this.#opened(true, local, remote, octets, tos, now);
    this.#events.push({ type: 'ike', local, remote, octets: octets.slice(4) });
  }

  #signals(sa: NaiveSa): void {
    for (const { signals } of [sa.inbound, sa.outbound])
      for (const signal of signals.splice(0))
        this.#events.push({ type: 'expire', spiIn: sa.pair.spiIn, hard: signal === 'hard' });
  }

  /** RFC 7296 §2.23: only the newest authentic packet may move the peer, and only behind UDP. */
  #heard(sa: NaiveSa, newest: boolean, remote: Endpoint, now: number): void {
    const known = sa.remote.port === remote.port && hexOf(sa.remote.address) === hexOf(remote.address);
    const moved = newest && sa.udp && remote.port !== 0 && !known;
    if (now - sa.toldAt < (moved || sa.phase === 'standby' ? TELL_AGAIN : TELL_ALIVE)) return;
    sa.toldAt = now;
    this.#events.push({ type: 'inbound', spiIn: sa.pair.spiIn, from: moved ? remote : undefined });
  }

  // Packets out.

  #leave(compartment: number, frame: Frame, out: number, now: number): void {
    const way = this.#ways.get(`${compartment} ${out}`)!;
    if ('port' in way) this.#toPorts.push({ port: way.port, frame, door: this.#door });
    else this.#transmit(way, frame, now);
  }

  #transmit(tunnel: NaiveTunnel, frame: Frame, now: number): void {
    const { compartment, sas, waiting, parameters } = tunnel;
    const { octets } = frame;
    const sa = sas.findLast((each) => sends(each) && admitted(octets, each.pair.local, each.pair.remote));
    if (sa !== undefined) return this.#seal(sa, frame, now);
    if (sas.some(sends)) return compartment.refuse(frame, 'prohibited', now);
    if (this.#stopping) return compartment.refuse(frame, 'linkDown', now);
    const full = waiting.length >= WAITING;
    this.#contest(`the queue of tunnel ${parameters.tunnel}`, full);
    if (full) return compartment.refuse(frame, 'queueFull', now);
    waiting.push({ frame, door: this.#door });
    this.#events.push({ type: 'acquire', tunnel: parameters.tunnel, flow: flowOf(octets) });
  }

  #seal(sa: NaiveSa, frame: Frame, now: number): void {
    const { compartment } = sa.tunnel;
    if (frame.segment > 0) {
      const problem = superframeProblem(frame);
      if (problem !== undefined) return compartment.refuse(frame, problem, now);
      for (const octets of piecesOf(frame)) {
        const piece = { octets, segment: 0, partial: false };
        if (sends(sa)) this.#seal(sa, piece, now);
        else this.#transmit(sa.tunnel, piece, now);
      }
      return;
    }
    const octets = settled(frame);
    if (!isOctets(octets)) return compartment.refuse(frame, octets, now);
    const sequence = sa.outbound.take(octets, now);
    this.#contest(`the last of SA ${sa.pair.spiIn}`, sa.outbound.stopped);
    this.#signals(sa);
    if (typeof sequence === 'string') return compartment.refuse({ ...frame, octets }, sequence, now);
    this.#toWire.push({ sa, inner: octets, sequence, ...outerOf(sa, octets), door: this.#door });
  }

  /** Somebody wants what there is not enough of for all. */
  #contest(about: string, lost: boolean): void {
    const contest = this.#contests.get(about) ?? { doors: new Set(), lost: false };
    contest.doors.add(this.#door);
    contest.lost ||= lost;
    this.#contests.set(about, contest);
  }

  #judge(compartment: NaiveCompartment): void {
    this.#contest(`errors of ${compartment.name}`, compartment.overRate > 0);
    compartment.overRate = 0;
  }

  // Commands.

  command(command: PlaneCommand, now: number): void {
    this.#door = 'control';
    const compartment = 'compartment' in command ? this.compartments.get(command.compartment) : undefined;
    switch (command.do) {
      case 'add-compartment': {
        const { compartment: number } = command;
        const leave = (frame: Frame, out: number, at: number) => this.#leave(number, frame, out, at);
        return void this.compartments.set(number, new NaiveCompartment(command.name, leave));
      }
      case 'add-interface':
        return this.#addInterface(command);
      case 'remove-compartment':
        return void this.compartments.delete(command.compartment);
      case 'remove-interface':
        return this.#removeInterface(command.compartment, command.interface, now);
      case 'set-up':
        compartment!.interfaces.get(command.interface)!.up = command.up;
        return;
      case 'add-route':
        return compartment!.addRoute(command.route);
      case 'remove-route':
        return compartment!.removeRoute(command);
      case 'install':
        return this.#install(command.sa, command.phase, now);
      case 'phase': {
        const sa = this.sas.get(command.spiIn);
        if (sa === undefined) return;
        sa.phase = command.phase;
        const others = sa.tunnel.sas.filter((each) => each !== sa);
        if (command.phase === 'active') sa.tunnel.sas = [...others, sa];
        return measure(sa.tunnel);
      }
      case 'move': {
        const sa = this.sas.get(command.spiIn);
        if (sa !== undefined) move(sa, command.localEndpoint, command.remoteEndpoint, command.udpEncapsulation);
        return;
      }
      case 'remove':
        return this.#remove(command.spiIn);
      case 'path-mtu': {
        const tunnel = this.tunnels.get(command.tunnel)!;
        tunnel.outerMtu = command.mtu;
        return measure(tunnel);
      }
      case 'flush': {
        const tunnel = this.tunnels.get(command.tunnel)!;
        for (const { frame, door } of tunnel.sas.some(sends) ? tunnel.waiting.splice(0) : []) {
          this.#door = door;
          this.#transmit(tunnel, frame, now);
        }
        return;
      }
      case 'give-up': {
        const tunnel = this.tunnels.get(command.tunnel)!;
        for (const { frame } of tunnel.waiting.splice(0)) tunnel.compartment.refuse(frame, 'noSa', now);
        return;
      }
      case 'stop':
        this.#stopping = true;
        return;
      default:
        throw new Error(`not modelled: ${command.do}`);
    }
  }

  /** Numbers are left out, as if others had taken them. */
  leaveOut(spiIn: number, sequence: bigint): void {
    this.sas.get(spiIn)!.outbound.counts.sequence = sequence;
  }

  #addInterface({
    compartment: number,
    interface: out,
    config,
    way,
  }: Extract<PlaneCommand, { do: 'add-interface' }>): void {
    const compartment = this.compartments.get(number)!;
    const { kind, mtu, addresses, clampMss = kind === 'connection' } = config;
    const base = { number: out, pointToPoint: kind !== 'fabric', clampMss, addresses, mtu, up: true };
    const added: NaiveInterface = { ...base, counters: [0, 0, 0, 0] };
    compartment.interfaces.set(out, added);
    if (!('port' in way || 'tunnel' in way)) throw new Error('the reference knows ports and tunnels only');
    if ('port' in way) {
      this.#ways.set(`${number} ${out}`, way);
      this.#ports.set(way.port, { compartment: number, interface: out });
      return;
    }
    const outerMtu = Number.POSITIVE_INFINITY;
    const tunnel = { parameters: way, compartment, interface: added, sas: [], waiting: [], outerMtu };
    this.#ways.set(`${number} ${out}`, tunnel);
    this.tunnels.set(way.tunnel, tunnel);
  }

  #removeInterface(number: number, out: number, now: number): void {
    const compartment = this.compartments.get(number)!;
    const way = this.#ways.get(`${number} ${out}`)!;
    if ('port' in way) this.#ports.delete(way.port);
    else {
      // The error about one that waits may want to go the same way.
      while (way.waiting.length > 0) compartment.refuse(way.waiting.shift()!.frame, 'noSa', now);
      for (const { pair } of way.sas) this.#remove(pair.spiIn);
      this.tunnels.delete(way.parameters.tunnel);
    }
    this.#ways.delete(`${number} ${out}`);
    compartment.interfaces.delete(out);
    const kept = compartment.routes.filter((route: NaiveRoute) => route.interface !== out);
    compartment.routes.splice(0, compartment.routes.length, ...kept);
  }

  #install(pair: SaPair, phase: SaPhase, now: number): void {
    const tunnel = this.tunnels.get(pair.tunnel);
    if (tunnel === undefined) return;
    const { localEndpoint: local, remoteEndpoint: remote, udpEncapsulation: udp } = pair;
    const toldAt = phase === 'standby' ? Number.NEGATIVE_INFINITY : now;
    const [inbound, outbound] = [new NaiveInbound(pair), new NaiveOutbound(pair)];
    const sa: NaiveSa = { pair, tunnel, inbound, outbound, phase, local, remote, udp, toldAt };
    tunnel.sas.push(sa);
    this.sas.set(pair.spiIn, sa);
    move(sa, local, remote, udp);
  }

  #remove(spiIn: number): void {
    const sa = this.sas.get(spiIn);
    if (sa === undefined) return;
    this.sas.delete(spiIn);
    sa.tunnel.sas = sa.tunnel.sas.filter((each) => each !== sa);
    measure(sa.tunnel);
  }
}

const count = (counters: Map<DropReason, number>, reason: DropReason): void =>
  void counters.set(reason, (counters.get(reason) ?? 0) + 1);

const isOctets = (settledTo: Octets | DropReason): settledTo is Octets => typeof settledTo !== 'string';
