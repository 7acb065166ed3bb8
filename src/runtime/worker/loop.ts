/**
 * The loop of a thread that hosts a data plane: it waits for descriptors and orders, and runs each batch to completion.
 *
 * One turn: orders, devices, sockets, flush, news. Packets are never handed to another thread. An order written before a packet
 * was sent is carried out before that packet is looked at, unless very many wait: orders are looked for again after each read.
 * Limits: BATCH packets a source and turn; ORDERS a turn, so that packets pass while thousands of tenants come; news for which
 * there is no room (`news.ts`) is counted.
 */
import { performance } from 'node:perf_hooks';
import { invariant, type Millis } from '../../core/index.ts';
import type { DataPlane, PlaneOutput } from '../../gateway/index.ts';
import { type Address, DROP, type Endpoint, PASS, type Packet, type PacketPool, sameAddress } from '../../ip/index.ts';
import type { PollSet, Wakeup } from '../batch-wait.ts';
import { monotonicMillis } from '../clock.ts';
import { FlowSockets } from '../flow-sockets.ts';
import { NativeSocket } from '../native-socket.ts';
import { Outbox } from '../outbox.ts';
import { PortQueue } from '../port-queue.ts';
import type { DatagramSocket, Receive } from '../socket.ts';
import type { Syscalls } from '../syscalls.ts';
import { Underlay } from '../underlay.ts';
import { BEAT, decodeOrder, portKey, STARVED, socketKey, type WorkerNews, type WorkerOrder } from './contract.ts';
import type { News } from './news.ts';
import type { Ring } from './ring.ts';
import { TooBigWays } from './too-big.ts';

export interface PlaneLoopOptions {
  readonly sys: Syscalls;
  readonly pool: PacketPool;
  readonly orders: Ring;
  readonly news: News;
  readonly signs: Int32Array;
  readonly wakeup: Wakeup;
  readonly poll: PollSet;
  /** Makes the main thread look at the news, soon. */
  readonly tell: () => void;
  /** The data plane over this output. */
  readonly plane: (output: PlaneOutput) => LoopPlane;
}

/** What this loop needs of a data plane. */
export type LoopPlane = Pick<
  DataPlane,
  'command' | 'udp' | 'esp' | 'underlay' | 'packet' | 'drop' | 'drops' | 'flush' | 'deadline' | 'tick' | 'takeEvents'
>;

interface Attached {
  readonly socket: NativeSocket;
  /** By which it is sent: itself, or all that are one with it. */
  readonly way: DatagramSocket;
  readonly kind: AttachSocket['kind'];
  /** Of the kinds that carry GRE. */
  readonly underlay: Underlay | undefined;
}

type AttachSocket = Extract<WorkerOrder, { do: 'attach-socket' }>;

/** Something that is read when its descriptor says so. */
interface Source {
  readonly fd: number;
  drain(max: number): number;
}

export class PlaneLoop {
  readonly #options: PlaneLoopOptions;
  readonly #plane: LoopPlane;
  readonly #outbox: Outbox;
  readonly #ports = new Map<number, PortQueue>();
  readonly #sockets = new Map<number, Attached>();
  /** By descriptor. */
  readonly #sources = new Map<number, Source>();
  /** To the UNIX-time-like clock of the process, which all its threads share. */
  readonly #clockOffset: Millis;
  #now: Millis;
  #read = 0;
  /** When there were no packets left, and how many have come since then. */
  #outSince: Millis = 0;
  #came = 0;
  /** That may still be carried out in this turn. */
  #ordersLeft = 0;
  readonly #tooBigWays = new TooBigWays();
  #ended = false;

  constructor(options: PlaneLoopOptions) {
    this.#options = options;
    this.#clockOffset = monotonicMillis() - performance.now();
    this.#now = monotonicMillis();
    this.#outbox = new Outbox(options.pool, this.#tooBig, () => {});
    this.#plane = options.plane({
      datagram: (udp, local, remote, packet, tos, dontFragment) =>
        this.#send(udp, local, remote, packet, tos, dontFragment),
      packet: (port, packet) => {
        const queue = this.#ports.get(port);
        if (queue === undefined) this.#plane.drop(packet, DROP.linkDown);
        else this.#outbox.write(queue, packet);
      },
      underlay: (local, remote, packet) => {
        const underlay = this.#underlayAt(local);
        if (underlay === undefined) this.#plane.drop(packet, DROP.linkDown);
        else underlay.send(this.#outbox, remote, packet);
      },
    });
  }

  /** Returns after the order to end. */
  run(): void {
    const { wakeup, poll, signs, orders } = this.#options;
    poll.add(wakeup.fd);
    let busy = false;
    let worked = false;
    while (!this.#ended) {
      Atomics.add(signs, BEAT, 1);
      if (worked && !busy) this.#restIfDense();
      worked = busy;
      const ready = poll.wait(busy ? 0 : this.#patience());
      this.#now = performance.now() + this.#clockOffset;
      if (poll.ready(wakeup.fd)) wakeup.clear();
      this.#ordersLeft = ORDERS;
      this.#takeOrders();
      this.#read = 0;
      if (ready > 0) poll.eachReady(this.#readSource);
      this.#came += this.#read;
      this.#plane.flush(this.#now);
      const due = this.#plane.deadline();
      if (due !== undefined && due.at <= this.#now) {
        this.#plane.tick(this.#now);
        this.#plane.flush(this.#now);
      }
      this.#outbox.flush();
      this.#publish();
      busy = this.#read > 0 || orders.used > 0;
    }
    for (const queue of this.#ports.values()) queue.stop();
    for (const { way } of this.#sockets.values()) void way.close();
  }

  readonly #readSource = (fd: number): void => {
    this.#read += this.#sources.get(fd)?.drain(BATCH) ?? 0;
  };

  /** Said once a while of each way: control asks the kernel about that way, and packets become smaller. */
  readonly #tooBig = (local: Endpoint, remote: Endpoint): void => {
    if (this.#tooBigWays.mayTell(local.address, remote.address, this.#now))
      this.#report({ type: 'too-big', local: local.address, remote: remote.address });
  };

  /**
   * Out of packets: where they come one after the other, what comes meanwhile is one batch (docs/decisions/0012). Where they come one
   * by one nobody gains from waiting, and each answer would be late.
   */
  #restIfDense(): void {
    const dense = this.#came * SPARSE > this.#now - this.#outSince;
    this.#outSince = this.#now;
    this.#came = 0;
    if (dense) this.#options.poll.rest(REST_MICROS);
  }

  /** Never so long that the main thread takes it for a standstill. */
  #patience(): number {
    const due = this.#plane.deadline();
    return due === undefined ? LONGEST_WAIT : Math.min(LONGEST_WAIT, Math.max(0, Math.ceil(due.at - this.#now)));
  }

  #takeOrders(): void {
    const { orders, signs } = this.#options;
    if (orders.used === 0 || this.#ordersLeft === 0) return;
    // What came before an order is finished under what held before it.
    this.#plane.flush(this.#now);
    this.#ordersLeft = Math.max(0, this.#ordersLeft - orders.drain(this.#takeOrder, this.#ordersLeft));
    if (Atomics.load(signs, STARVED) !== 0) this.#options.tell();
  }

  readonly #takeOrder = (record: Uint8Array): number => {
    Atomics.add(this.#options.signs, BEAT, 1);
    const order = decodeOrder(record);
    this.#carryOut(order);
    return order.do === 'plane' && order.command.do === 'change-routes' ? order.command.count : 1;
  };

  #carryOut(order: WorkerOrder): void {
    switch (order.do) {
      case 'plane':
        this.#plane.command(order.command, this.#now);
        this.#plane.flush(this.#now);
        return;
      case 'send':
        return this.#sendOwn(order.local, order.remote, order.octets);
      case 'inject': {
        const packet = this.#options.pool.from(order.octets);
        if (packet === undefined) return;
        const { udp, local, remote, tos } = order;
        if (udp) this.#plane.udp(local, remote, packet, tos, true, this.#now);
        else this.#plane.esp(local, remote, packet, tos, this.#now);
        return;
      }
      case 'attach-port': {
        const { port, kind, fd, device, offloads } = order;
        const { sys, pool } = this.#options;
        const receive = (packet: Packet): void => {
          this.#takeOrders();
          this.#plane.packet(port, packet, this.#now);
        };
        const failed = (why: string): void => {
          this.#forget(fd);
          this.#report({ type: 'port-failed', port, why });
        };
        this.#ports.set(port, new PortQueue({ sys, kind, fd, device, offloads, pool, receive, failed }));
        return this.#watch(this.#ports.get(port)!);
      }
      case 'detach-port': {
        const queue = this.#ports.get(order.port);
        if (queue !== undefined) {
          queue.stop();
          this.#forget(queue.fd);
          this.#ports.delete(order.port);
        }
        return this.#report({ type: 'detached', key: portKey(order.port) });
      }
      case 'attach-socket':
        return this.#attachSocket(order);
      case 'detach-socket': {
        const attached = this.#sockets.get(order.id);
        if (attached !== undefined) {
          this.#outbox.flush();
          void attached.way.close();
          this.#forget(attached.socket.fd);
          this.#sockets.delete(order.id);
        }
        return this.#report({ type: 'detached', key: socketKey(order.id) });
      }
      case 'fail':
        invariant(order.how !== 'throw', 'asked to fail');
        for (;;);
      case 'end':
        this.#ended = true;
    }
  }

  #attachSocket({ id, kind, local, socket: adopt, senders = [], offload }: AttachSocket): void {
    const { pool } = this.#options;
    const gre = kind === 'ip-47' || kind === 'udp-gre';
    const receive = gre ? this.#receiveGre : this.#receiveEsp(kind === 'udp', local);
    const carrier = kind === 'udp-gre' ? 'udp' : kind;
    const socket = new NativeSocket({ kind: carrier, local, pool, receive, offload, adopt, advice: {} });
    const sending = senders.map(
      (each) =>
        new NativeSocket({
          kind: 'udp',
          local: each.local,
          pool,
          receive: (packet) => pool.release(packet),
          offload,
          adopt: each.socket,
          advice: {},
        }),
    );
    const way = sending.length === 0 ? socket : new FlowSockets(socket, sending);
    this.#sockets.set(id, { socket, way, kind, underlay: gre ? new Underlay(kind, way) : undefined });
    this.#watch(socket);
  }

  #receiveEsp(udp: boolean, local: Endpoint): Receive {
    return (packet, from, tos) => {
      this.#takeOrders();
      if (udp) this.#plane.udp(local, from, packet, tos, true, this.#now);
      else this.#plane.esp(local, from, packet, tos, this.#now);
    };
  }

  readonly #receiveGre = (packet: Packet, { address }: Endpoint): void => {
    this.#takeOrders();
    this.#plane.underlay(address, packet, this.#now);
  };

  #watch(source: Source): void {
    this.#sources.set(source.fd, source);
    this.#options.poll.add(source.fd);
  }

  #forget(fd: number): void {
    if (this.#sources.delete(fd)) this.#options.poll.remove(fd);
  }

  #socketAt(udp: boolean, local: Endpoint): NativeSocket | undefined {
    const wanted = udp ? 'udp' : 'ip-50';
    for (const { kind, socket } of this.#sockets.values())
      if (kind === wanted && sameAddress(socket.local.address, local.address)) return socket;
    return undefined;
  }

  #underlayAt(local: Address): Underlay | undefined {
    for (const { underlay } of this.#sockets.values()) if (underlay?.isAt(local) === true) return underlay;
    return undefined;
  }

  #send(udp: boolean, local: Endpoint, remote: Endpoint, packet: Packet, tos: number, dontFragment: boolean): void {
    const socket = this.#socketAt(udp, local);
    if (socket === undefined) this.#plane.drop(packet, DROP.linkDown);
    else this.#outbox.send(socket, remote, packet, tos, dontFragment);
  }

  /** At once, because what waits in the tunnels follows it. */
  #sendOwn(local: Endpoint, remote: Endpoint, octets: Uint8Array): void {
    const packet = this.#options.pool.from(octets);
    if (packet === undefined) return;
    this.#send(true, local, remote, packet, 0, false);
    this.#outbox.flush();
  }

  #publish(): void {
    this.#options.news.flush();
    for (const event of this.#plane.takeEvents()) this.#report({ type: 'plane', event });
  }

  #report(news: WorkerNews): void {
    const refused = this.#options.news.report(news);
    if (refused !== PASS) this.#plane.drops[refused]! += 1;
  }
}

/** Packets a source hands over before the others have their turn. */
const BATCH = 64;
/** Of a turn, about ten milliseconds' worth; each route of many counts. */
const ORDERS = 256;
const LONGEST_WAIT = 200;
/** Packets that come further apart than this, on average, are not waited for. */
const SPARSE: Millis = 0.04;
/** So long a worker that has run out of packets is not woken by the next one. */
const REST_MICROS = 80;
