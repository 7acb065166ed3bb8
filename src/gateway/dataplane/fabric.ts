/**
 * The underlay in the data plane: the virtual switch between ports and provider addresses, NVGRE as it stands on the wire.
 *
 * Read first: nvgre/switch.ts, nvgre/frame.ts. A frame for another node is complete: a checksum that it owes is computed, and a
 * superframe is cut into a train whose frames have one header in common.
 * Leaves to others: outer IP and UDP headers, which the sockets write.
 * Invariant: a VSID leads to the ports of its tenant only; each frame given is handed out, passed on or released.
 */
import type { AgendaEntry, Deadline, Millis, Timed } from '../../core/index.ts';
import {
  type Address,
  beginCut,
  completeChecksum,
  DROP,
  ETHERNET_HEADER,
  newPart,
  PASS,
  type Packet,
  placePart,
  segmentLength,
  writeSegment,
} from '../../ip/index.ts';
import { NVGRE_HEADER, type ProviderAddress, VirtualSwitch } from '../../nvgre/index.ts';
import type { MachineParameters, NetworkParameters, PlaneCommand, SubnetPort, UnderlayParameters } from './contract.ts';
import { LookAhead } from './look-ahead.ts';
import type { DataPlane } from './plane.ts';

/** Takes over a frame from the switch. */
export interface PortTaker {
  receive(frame: Packet, now: Millis): void;
}

export class Fabric implements Timed {
  touched = false;
  entry: AgendaEntry | undefined = undefined;
  readonly parameters: UnderlayParameters;
  readonly switch: VirtualSwitch;
  readonly #plane: DataPlane;
  readonly #networks = new Map<number, NetworkParameters>();
  readonly #machines = new Map<number, MachineParameters>();
  readonly #takers = new Map<number, PortTaker>();
  readonly #inner = newPart();
  /** What came from other nodes in this batch, and from where; `#held` of them are of now. */
  readonly #frames: Packet[] = [];
  readonly #remotes: Address[] = [];
  #held = 0;
  readonly #ahead: LookAhead;

  constructor(plane: DataPlane, parameters: UnderlayParameters) {
    this.parameters = parameters;
    this.#plane = plane;
    this.switch = new VirtualSwitch({
      pool: plane.pool,
      random: plane.random,
      own: parameters.addresses,
      drops: plane.drops,
      sink: {
        toPort: (port, frame, now) => {
          const take = this.#takers.get(port);
          if (take === undefined) plane.drop(frame, DROP.linkDown);
          else take.receive(frame, now);
        },
        toFabric: (pa, _vsid, frame) => {
          if (plane.tapping) plane.tap.toUnderlay(parameters, pa, frame);
          this.#send(pa, frame);
        },
        dropped: (frame, reason, tenant, _port, now) => {
          if (plane.tapping) plane.tap.dropped(frame, reason, tenant, now);
        },
      },
    });
    this.#ahead = new LookAhead(BATCH, this.switch, this.#takers);
  }

  // What there is.

  setNetwork(network: NetworkParameters): void {
    const { compartment: tenant, name, subnets, records, routes, cells } = network;
    if (this.#networks.has(tenant)) {
      this.switch.setSubnets(tenant, subnets);
      this.switch.setRecords(tenant, records);
      this.switch.setRoutes(tenant, routes);
    } else {
      this.switch.addTenant({ tenant, name, subnets, records, routes, ...this.#plane.placeOf(cells) });
    }
    this.#networks.set(tenant, network);
    this.#plane.touch(this);
  }

  /** What was last set of a tenant. */
  network(tenant: number): NetworkParameters | undefined {
    return this.#networks.get(tenant);
  }

  removeNetwork(tenant: number): void {
    if (!this.#networks.delete(tenant)) return;
    this.switch.removeTenant(tenant);
  }

  /** A compartment's own port. */
  attach(
    tenant: number,
    { switchPort: port, vsid, mac }: SubnetPort,
    addresses: readonly Address[],
    take: PortTaker,
  ): void {
    this.switch.addPort({ port, tenant, vsid, mac, addresses, role: 'gateway' });
    this.#takers.set(port, take);
  }

  detach(port: number): void {
    if (this.#takers.delete(port)) this.switch.removePort(port);
  }

  addMachine(machine: MachineParameters): void {
    const { compartment: tenant, switchPort, vsid, mac, addresses, port } = machine;
    this.switch.addPort({ port: switchPort, tenant, vsid, mac, addresses, role: 'vm' });
    this.#takers.set(switchPort, { receive: (frame) => this.#plane.output.packet(port, frame) });
    this.#machines.set(port, machine);
  }

  removeMachine(port: number): void {
    const machine = this.#machines.get(port);
    if (machine === undefined) return;
    this.#machines.delete(port);
    this.detach(machine.switchPort);
  }

  /** What makes another one like it, the ports of compartments excepted. */
  describe(): PlaneCommand[] {
    return [
      { do: 'underlay', underlay: this.parameters },
      ...[...this.#networks.values()].map((network): PlaneCommand => ({ do: 'network', network })),
      ...[...this.#machines.values()].map((machine): PlaneCommand => ({ do: 'add-machine', machine })),
    ];
  }

  // Frames.

  /** From a compartment's port. */
  fromPort(port: number, frame: Packet, now: Millis): void {
    this.switch.fromPort(port, frame, now);
    this.#plane.touch(this);
  }

  /** From a port of the host's; false: no machine has it. */
  fromMachine(port: number, frame: Packet, now: Millis): boolean {
    const machine = this.#machines.get(port);
    if (machine === undefined) return false;
    this.fromPort(machine.switchPort, frame, now);
    return true;
  }

  /** From the underlay, GRE header first; of a train each frame by itself. It waits until the batch ends, or is large. */
  receive(remote: Address, packet: Packet, now: Millis): void {
    if (packet.segment === 0) return this.#hold(remote, packet, now);
    const { pool } = this.#plane;
    const { start, end, segment } = packet;
    for (let at = start; at < end; at += segment) {
      const frame = pool.copyOf(packet, at, Math.min(at + segment, end));
      if (frame === undefined) this.#plane.drops[DROP.noBuffer]! += 1;
      else this.#hold(remote, frame, now);
    }
    pool.release(packet);
  }

  /** Frames wait for `flush`. */
  get pending(): boolean {
    return this.#held > 0;
  }

  /** What waits is taken in. */
  flush(now: Millis): void {
    const held = this.#held;
    if (held === 0) return;
    if (held >= WORTH_LOOKING_AHEAD) this.#ahead.run(this.#frames, held);
    for (let i = 0; i < held; i++) this.#take(this.#remotes[i]!, this.#frames[i]!, now);
    this.#held = 0;
    this.#plane.touch(this);
  }

  deadline(): Deadline | undefined {
    return this.switch.deadline();
  }

  tick(now: Millis): void {
    this.switch.expire(now);
  }

  #hold(remote: Address, frame: Packet, now: Millis): void {
    this.#frames[this.#held] = frame;
    this.#remotes[this.#held] = remote;
    this.#held += 1;
    if (this.#held === BATCH) this.flush(now);
  }

  #take(remote: Address, frame: Packet, now: Millis): void {
    if (this.#plane.tapping) this.#plane.tap.fromUnderlay(this.parameters, remote, frame, now);
    this.switch.fromFabric(remote, frame, now);
  }

  #send(pa: ProviderAddress, frame: Packet): void {
    const local = this.parameters.addresses.find(({ length }) => length === pa.length);
    if (local === undefined) return this.#plane.drop(frame, DROP.linkDown);
    if (frame.segment === 0 && !frame.partial) return this.#plane.output.underlay(local, pa, frame);
    const inner = this.#inner;
    placePart(inner, frame, frame.start + HEADERS, frame.end);
    inner.segment = frame.segment;
    inner.partial = frame.partial;
    if (frame.segment > 0) return this.#sendTrains(local, pa, frame);
    const owed = completeChecksum(inner);
    frame.partial = false;
    if (owed === PASS) this.#plane.output.underlay(local, pa, frame);
    else this.#plane.drop(frame, owed);
  }

  /** The inner packet of `frame` lies in `#inner`. */
  #sendTrains(local: Address, pa: ProviderAddress, frame: Packet): void {
    const { pool, output } = this.#plane;
    const inner = this.#inner;
    const pieces = beginCut(inner);
    if (pieces === 0) return this.#plane.drop(frame, DROP.superframe);
    const stride = HEADERS + segmentLength(inner);
    const most = Math.max(1, Math.floor(pool.capacity / stride));
    for (let first = 0; first < pieces; first += most) {
      const train = pool.take();
      if (train === undefined) {
        this.#plane.drops[DROP.noBuffer]! += 1;
        break;
      }
      const count = Math.min(most, pieces - first);
      for (let i = 0; i < count; i++) {
        const at = train.start + i * stride;
        train.buf.set(frame.buf.subarray(frame.start, frame.start + HEADERS), at);
        train.end = at + HEADERS + writeSegment(inner, first + i, train, at + HEADERS);
      }
      train.segment = count === 1 ? 0 : stride;
      output.underlay(local, pa, train);
    }
    pool.release(frame);
  }
}

/** As many as a worker reads from a socket before others have their turn. */
const BATCH = 64;
/** Fewer frames are taken as they are. */
const WORTH_LOOKING_AHEAD = 8;
/** In front of the inner packet. */
const HEADERS = NVGRE_HEADER + ETHERNET_HEADER;
