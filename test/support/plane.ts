/**
 * A data plane in a worker of its own, without a gateway: real threads, UDP on loopback, and a pair of local sockets in place of
 * each TUN device, so that nothing needs rights.
 */
import { readdirSync } from 'node:fs';
import { encryptionByWord } from '../../src/crypto/index.ts';
import { type PlaneCommand, type PlaneEvent, type SaPair, SharedCells } from '../../src/gateway/index.ts';
import { type Endpoint, PacketPool } from '../../src/ip/index.ts';
import { type BatchSocket, type Log, openNativeUdp, requireSyscalls, type Tun } from '../../src/runtime/index.ts';
import { Arena } from '../../src/runtime/memory.ts';
import { NOT_ASKED, type TunOffloads } from '../../src/runtime/offload.ts';
import { PlaneHost, type PlaneListener } from '../../src/runtime/worker/plane-host.ts';
import { NO_LIMIT, selector } from '../esp/support.ts';
import { addr } from './packets.ts';

/** First of the plane's own slots, and of those that tests give to what they install. */
export const PLANE_SLOT = 2;
export const FREE_SLOTS = 64;

export const LOOPBACK = addr('127.0.0.1');

/** A PlaneHost, and everything it says. */
export class HostedPlane {
  readonly cells = new SharedCells();
  readonly host: PlaneHost;
  readonly events: PlaneEvent[] = [];
  readonly failed: string[] = [];
  /** `lost …` and `restarted …`, with the time. */
  readonly story: { readonly what: string; readonly at: number }[] = [];
  readonly log: string[] = [];
  /** What control does when a new worker runs. */
  replant = (): void => {};

  constructor(entry: URL, packets = 256) {
    const sys = requireSyscalls();
    const cells = this.cells.memory;
    this.host = new PlaneHost({
      sys,
      log: this.#log(),
      cells,
      plane: 0,
      planes: 1,
      packets,
      superframes: true,
      cpu: undefined,
      realtime: false,
      entry,
    });
    this.host.listener = {
      event: (event) => this.events.push(event),
      tooBig: () => {},
      portFailed: (port, why) => this.failed.push(`${port}: ${why}`),
      lost: (why) => this.#tell(`lost: ${why}`),
      restarted: (why) => {
        this.#tell(`restarted: ${why}`);
        this.replant();
      },
    } satisfies PlaneListener;
  }

  /** How many events of that kind came. */
  count(type: PlaneEvent['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }

  said(what: string): number {
    return this.story.filter((each) => each.what.startsWith(what)).length;
  }

  /** One of the counters that the plane keeps in its own slot. */
  drops(reason: number): number {
    return this.cells.at(PLANE_SLOT)[reason]!;
  }

  #tell(what: string): void {
    this.story.push({ what, at: performance.now() });
  }

  #log(): Log {
    const line =
      (level: string) =>
      (text: string): void =>
        void this.log.push(`${level} ${text}`);
    return {
      report: () => {},
      debug: line('debug'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
    };
  }
}

/** A bound UDP socket that nobody reads here, for a worker to which it is lent. */
export function udpSocket(): BatchSocket {
  const pool = new PacketPool(8, 65535);
  return openNativeUdp({ local: { address: LOOPBACK, port: 0 }, pool, receive: () => {}, offload: {} });
}

export function lend(host: PlaneHost, id: number, { fd, features, offloads, local }: BatchSocket): void {
  host.attachSocket({ id, kind: 'udp', local, socket: { fd, features, offloads }, offload: {} });
}

export const lendTun = (host: PlaneHost, port: number, { fd, device, offloads }: Tun): void =>
  host.attachPort({ port, kind: 'tun', fd, device, offloads });

const NO_OFFLOADS: TunOffloads = {
  vnetHeader: NOT_ASKED,
  checksum: NOT_ASKED,
  tso4: NOT_ASKED,
  tso6: NOT_ASKED,
  ecn: NOT_ASKED,
  uso: NOT_ASKED,
  limits: NOT_ASKED,
};

export const lendDevice = (host: PlaneHost, port: number, fd: number): void =>
  host.attachPort({ port, kind: 'tun', fd, device: `wire${port}`, offloads: NO_OFFLOADS });

/** Two ends of a wire for whole packets: `fd` is the device's, the other the test's. */
export class Wire {
  readonly fd: number;
  readonly #other: number;
  readonly #arena: Arena;

  constructor() {
    const { koffi } = requireSyscalls();
    const pair = new Int32Array(2);
    const socketpair = koffi.load('libc.so.6').func('socketpair', 'int', ['int', 'int', 'int', 'void *']);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) !== 0)
      throw new Error('socketpair');
    [this.fd, this.#other] = [pair[0]!, pair[1]!];
    this.#arena = new Arena(koffi, 65536);
  }

  lend(host: PlaneHost, port: number): void {
    lendDevice(host, port, this.fd);
  }

  /** Into the device, as its host would. False: no room. */
  send(octets: Uint8Array): boolean {
    this.#arena.bytes.set(octets);
    return requireSyscalls().send(this.#other, this.#arena.base, octets.length, 0) === octets.length;
  }

  /** What came out of the device, one packet. */
  receive(): Uint8Array | undefined {
    const length = requireSyscalls().recv(this.#other, this.#arena.base, this.#arena.bytes.length, 0);
    return length < 0 ? undefined : this.#arena.bytes.slice(0, length);
  }

  /** Both ends; when no worker has it any more. */
  close(): void {
    for (const fd of [this.fd, this.#other]) requireSyscalls().close(fd);
  }
}

/** A device that can be made to fail as a deleted one does: each read of its descriptor is an error. */
export function brittleDevice(): { readonly fd: number; readonly fail: () => void } {
  const { koffi } = requireSyscalls();
  const pipe = new Int32Array(2);
  const pipe2 = koffi.load('libc.so.6').func('pipe2', 'int', ['void *', 'int']);
  if (pipe2(pipe, SOCK_NONBLOCK | SOCK_CLOEXEC) !== 0) throw new Error('pipe2');
  return { fd: pipe[1]!, fail: () => void requireSyscalls().close(pipe[0]!) };
}

/**
 * Compartment `n`: the network of `inside` behind port `n`, the /16 of `beyond` behind tunnel `n`. Its cells begin at
 * FREE_SLOTS + 4n.
 */
export function tenant(n: number, inside = '10.1.0.1', beyond = '10.2.0.0'): PlaneCommand[] {
  const cells = FREE_SLOTS + 4 * n;
  const prefix = { address: addr(beyond), length: 16 };
  const near = { name: 'inside', kind: 'tun' as const, mtu: 1500, addresses: [{ address: addr(inside), length: 24 }] };
  const hq = { name: 'hq', kind: 'connection' as const, mtu: 1400, addresses: [] };
  return [
    { do: 'add-compartment', compartment: n, name: `tenant ${n}`, cells },
    { do: 'add-interface', compartment: n, interface: 1, config: near, cells: cells + 1, way: { port: n } },
    {
      do: 'add-interface',
      compartment: n,
      interface: 2,
      config: hq,
      cells: cells + 2,
      way: { tunnel: n, df: 'copy', mtu: 1400 },
    },
    {
      do: 'add-route',
      compartment: n,
      route: { prefix, interface: 2, origin: 'connection', preference: 5, why: 'test' },
    },
  ];
}

const ENCRYPTION = encryptionByWord('aes128gcm16')!;
const ANY = [selector('0.0.0.0/0')];

/** The command for an SA of a tunnel, active at once; keys follow from the SPIs. */
export function install(
  tunnel: number,
  spis: { readonly in: number; readonly out: number },
  ways: { readonly local: Endpoint; readonly remote: Endpoint },
  cells: number,
  over: Partial<SaPair> = {},
): PlaneCommand {
  const keys = (spi: number) => {
    const octets = new Uint8Array(ENCRYPTION.keyLength + ENCRYPTION.saltLength);
    new DataView(octets.buffer).setUint32(0, spi);
    return { encryption: octets, integrity: new Uint8Array(0) };
  };
  const sa: SaPair = {
    tunnel,
    spiIn: spis.in,
    spiOut: spis.out,
    encryption: ENCRYPTION,
    integrity: undefined,
    keysIn: keys(spis.in),
    keysOut: keys(spis.out),
    esn: false,
    replayWindow: 1024,
    lifetime: NO_LIMIT,
    local: ANY,
    remote: ANY,
    localEndpoint: ways.local,
    remoteEndpoint: ways.remote,
    udpEncapsulation: true,
    cellsIn: cells,
    cellsOut: cells + 1,
    ...over,
  };
  return { do: 'install', sa, phase: 'active' };
}

/** What this process holds: descriptors, and threads. */
export const held = () => ({
  descriptors: readdirSync('/proc/self/fd').length,
  threads: readdirSync('/proc/self/task').length,
});

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
