/** The sockets of the underlay: GRE as it came, from whom it came, in IP and in UDP; of a thread of its own, too. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  type Address,
  DROP,
  dropCounters,
  type Endpoint,
  octetsOf,
  type Packet,
  PacketPool,
} from '../../src/ip/index.ts';
import { GRE_IN_UDP_PORT } from '../../src/nvgre/index.ts';
import { openNativeSenders, SENDERS } from '../../src/runtime/flow-sockets.ts';
import {
  type BatchSocket,
  openNativeUdp,
  openPacketSocket,
  openRaw,
  openUnderlay,
  PollSet,
  Readiness,
  requireSyscalls,
  type SocketOffloadOptions,
  type Underlay,
  type UnderlayKind,
  Wakeup,
} from '../../src/runtime/index.ts';
import { Outbox } from '../../src/runtime/outbox.ts';
import { openNativeUnderlay } from '../../src/runtime/underlay.ts';
import { encodeOrder, SIGNS_OCTETS, type WorkerOrder } from '../../src/runtime/worker/contract.ts';
import { type LoopPlane, PlaneLoop } from '../../src/runtime/worker/loop.ts';
import { News } from '../../src/runtime/worker/news.ts';
import { Ring } from '../../src/runtime/worker/ring.ts';
import { ETHER, frame, Kept, linksUp, MAC_A, MAC_B } from '../support/frames.ts';
import { addr, counting } from '../support/packets.ts';
import { missingPeers, requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { sh, until } from '../support/process.ts';

const NEEDS = ['linux', 'koffi', 'root', 'netns'] as const;
if (missingPeers(...NEEDS).length === 0) enterPrivateNetwork();

const open: { close(): Promise<void> }[] = [];
let pool = new PacketPool(128, 65535);

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
  expect(pool.taken).toBe(0);
  pool = new PacketPool(128, 65535);
});

interface Got {
  readonly from: Endpoint;
  readonly frames: Uint8Array[];
}

/** What came, a train as its datagrams. */
function keep(got: Got[]) {
  return (packet: Packet, from: Endpoint): void => {
    const octets = octetsOf(packet).slice();
    const step = packet.segment === 0 ? octets.length : packet.segment;
    const frames: Uint8Array[] = [];
    for (let at = 0; at < octets.length; at += step) frames.push(octets.subarray(at, at + step));
    got.push({ from, frames });
    pool.release(packet);
  };
}

interface End {
  readonly underlay: Underlay;
  readonly got: Got[];
}

async function end(
  kind: UnderlayKind,
  local: string,
  offload?: SocketOffloadOptions,
  native = true,
  flowPorts = false,
): Promise<End> {
  const got: Got[] = [];
  const readiness = native ? new Readiness() : undefined;
  if (readiness !== undefined) open.push(readiness);
  const underlay = await openUnderlay({
    kind,
    local: addr(local),
    flowPorts,
    pool,
    readiness,
    offload,
    receive: keep(got),
  });
  open.push(underlay.socket);
  return { underlay, got };
}

/** NVGRE of VSID 0x1389 with `length` octets behind the key. */
const gre = (length: number, seed = 0): Uint8Array =>
  Uint8Array.of(0x20, 0, 0x65, 0x58, 0, 0x13, 0x89, seed, ...counting(length));

const framesOf = (got: readonly Got[]): Uint8Array[] => got.flatMap(({ frames }) => frames);

const packetOf = (octets: Uint8Array): Packet => pool.from(octets)!;

const suite = requirePeers(...NEEDS);

suite('the underlay', () => {
  const ENDS = [
    { kind: 'ip-47', here: '127.0.0.1', there: '127.0.0.2', port: 0 },
    { kind: 'ip-47', here: '::1', there: '::1', port: 0 },
    { kind: 'udp-gre', here: '127.0.0.1', there: '127.0.0.2', port: GRE_IN_UDP_PORT },
  ] as const;

  for (const { kind, here, there, port } of ENDS)
    for (const offload of [undefined, {}]) {
      const title = kind === 'ip-47' ? 'RFC 2784 §4, protocol 47' : 'RFC 8086, port 4754';
      const how = offload === undefined ? 'one a call' : 'many a call';
      it(`${title}, ${here}: octet for octet, from whom it came (${how})`, async () => {
        const near = await end(kind, here, offload);
        const far = here === there ? near : await end(kind, there, offload);
        const outbox = new Outbox(pool);
        const sent = [1400, 1400, 1400, 40, 1400, 8].map((length, n) => gre(length, n));
        for (const each of sent) near.underlay.send(outbox, addr(there), packetOf(each));
        await until(() => framesOf(far.got).length === sent.length);
        expect(framesOf(far.got)).toEqual(sent);
        expect(new Set(far.got.map(({ from }) => from)).size).toBe(1);
        expect(far.got[0]!.from).toEqual({ address: addr(here), port });
        expect(near.underlay.socket.counters).toMatchObject({ sent: sent.length, refused: 0, errors: 0 });
      });

      it(`${title}, ${here}: a train leaves as its datagrams (${how})`, async () => {
        const near = await end(kind, here, offload);
        const far = here === there ? near : await end(kind, there, offload);
        const pieces = [0, 1, 2, 3].map((n) => gre(n === 3 ? 77 : 1000, n));
        const train = packetOf(new Uint8Array(Buffer.concat(pieces)));
        train.segment = 1008;
        near.underlay.send(new Outbox(pool), addr(there), train);
        await until(() => framesOf(far.got).length === 4);
        expect(framesOf(far.got)).toEqual(pieces);
      });
    }

  it('GRE in UDP needs neither rights nor native code', async () => {
    const [near, far] = [await end('udp-gre', '127.0.0.1', {}, false), await end('udp-gre', '127.0.0.2', {}, false)];
    near.underlay.send(new Outbox(pool), addr('127.0.0.2'), packetOf(gre(300)));
    await until(() => far.got.length === 1);
    expect(far.got).toEqual([{ from: { address: addr('127.0.0.1'), port: GRE_IN_UDP_PORT }, frames: [gre(300)] }]);
  });

  describe.each([
    { how: 'many a call', offload: {}, native: true },
    { how: 'one a call', offload: undefined, native: true },
    { how: 'node:dgram', offload: undefined, native: false },
  ])('RFC 8086 §3.2.1: the source port follows the flow ($how)', ({ offload, native }) => {
    const ends = async () => [
      await end('udp-gre', '127.0.0.1', offload, native, true),
      await end('udp-gre', '127.0.0.2', offload, native, true),
    ];

    it('is one of a few dynamic ports, the same for all packets of a flow, which keep their order', async () => {
      const [near, far] = (await ends()) as [End, End];
      const outbox = new Outbox(pool);
      const flows = [3, 3, 200, 77, 3, 200, 8, 9, 10, 11, 12, 14, 15, 77, 3];
      const sent = flows.map((flow, n) => gre(60 + n, flow));
      for (const octets of sent) near.underlay.send(outbox, addr('127.0.0.2'), packetOf(octets));
      await until(() => framesOf(far.got).length === sent.length);
      const portsOf = new Map<number, Set<number>>();
      for (const { from, frames } of far.got)
        for (const frame of frames) {
          expect(from.address).toEqual(addr('127.0.0.1'));
          portsOf.set(frame[7]!, (portsOf.get(frame[7]!) ?? new Set()).add(from.port));
        }
      const ports = [...portsOf.values()].flatMap((each) => [...each]);
      expect([...portsOf.values()].every(({ size }) => size === 1)).toBe(true);
      expect(ports.every((port) => port >= 49_152 && port <= 65_535)).toBe(true);
      expect(new Set(ports).size).toBe(SENDERS);
      const ofFlow = (all: Uint8Array[], flow: number) => all.filter((frame) => frame[7] === flow);
      for (const flow of flows) expect(ofFlow(framesOf(far.got), flow)).toEqual(ofFlow(sent, flow));
      expect(near.underlay.socket.counters).toMatchObject({ sent: sent.length, refused: 0, errors: 0 });
    });

    it('a train leaves as its datagrams, from one port', async () => {
      const [near, far] = (await ends()) as [End, End];
      const pieces = [0, 1, 2, 3].map((n) => gre(n === 3 ? 77 : 1000, 5));
      const train = packetOf(new Uint8Array(Buffer.concat(pieces)));
      train.segment = 1008;
      near.underlay.send(new Outbox(pool), addr('127.0.0.2'), train);
      await until(() => framesOf(far.got).length === 4);
      expect(framesOf(far.got)).toEqual(pieces);
      expect(new Set(far.got.map(({ from }) => from.port)).size).toBe(1);
    });

    it('is no port at which anybody listens: answers go to that of GRE', async () => {
      const [near, far] = (await ends()) as [End, End];
      near.underlay.send(new Outbox(pool), addr('127.0.0.2'), packetOf(gre(100, 1)));
      await until(() => far.got.length === 1);
      const strange = openNativeUdp({ local: { address: addr('127.0.0.2'), port: 0 }, pool, receive: keep([]) });
      open.push(strange);
      strange.send(gre(40), 0, 48, { address: addr('127.0.0.1'), port: far.got[0]!.from.port });
      // Any source port will do.
      strange.send(gre(50), 0, 58, { address: addr('127.0.0.1'), port: GRE_IN_UDP_PORT });
      await until(() => near.got.length === 1);
      expect(near.got).toEqual([{ from: { address: addr('127.0.0.2'), port: strange.local.port }, frames: [gre(50)] }]);
    });
  });

  it('RFC 8086 §3.2.1: ports that others have are passed over', async () => {
    const sockets = openNativeSenders(addr('127.0.0.1'), pool, undefined);
    open.push(...sockets);
    expect(new Set(sockets.map(({ local }) => local.port)).size).toBe(SENDERS);
  });

  it('protocol 47 and protocol 50 do not hear each other', async () => {
    const got: Got[] = [];
    const far = await end('ip-47', '127.0.0.2');
    const esp = openRaw({ protocol: 'ip-50', local: addr('127.0.0.2'), pool, receive: keep(got) });
    open.push(esp);
    const near = await end('ip-47', '127.0.0.1');
    near.underlay.send(new Outbox(pool), addr('127.0.0.2'), packetOf(gre(64)));
    await until(() => far.got.length === 1);
    expect([esp.drain(10), got]).toEqual([0, []]);
  });

  it('what exceeds the MTU of the way is refused, and said', async () => {
    const near = await end('udp-gre', '127.0.0.1');
    const said: Endpoint[] = [];
    const outbox = new Outbox(
      pool,
      (_local, remote) => said.push(remote),
      () => {},
    );
    const packet = pool.take()!;
    packet.end = packet.start + 65_530;
    near.underlay.send(outbox, addr('127.0.0.2'), packet);
    outbox.flush();
    expect(said).toEqual([{ address: addr('127.0.0.2'), port: GRE_IN_UDP_PORT }]);
  });

  it('says what to do where the port is taken or the address is not here', async () => {
    await end('udp-gre', '127.0.0.1');
    await expect(end('udp-gre', '127.0.0.1')).rejects.toThrow(
      /^UDP on 127\.0\.0\.1 port 4754: .* \(EADDRINUSE\)\. Another tunnel endpoint holds the port of GRE in UDP/,
    );
    await expect(end('ip-47', '192.0.2.7')).rejects.toThrow(
      /^IP protocol 47 on 192\.0\.2\.7: .* \(EADDRNOTAVAIL\).*correct the addresses of the underlay/,
    );
  });
});

/** A data plane that answers GRE and ends its thread after a while. */
class Answering implements LoopPlane {
  readonly drops = dropCounters();
  readonly heard: string[] = [];
  readonly frames: Uint8Array[] = [];
  readonly #answer: (remote: Address, packet: Packet) => void;
  readonly #done: () => void;
  readonly #count: number;

  constructor(answer: (remote: Address, packet: Packet) => void, done: () => void, count: number) {
    this.#answer = answer;
    this.#done = done;
    this.#count = count;
  }

  underlay(remote: Address, packet: Packet): void {
    this.heard.push('gre');
    this.#take(packet);
    this.#answer(remote, packet);
    this.#finish();
  }

  udp(_local: Endpoint, _remote: Endpoint, packet: Packet): void {
    this.heard.push('udp');
    pool.release(packet);
    this.#finish();
  }

  esp(_local: Endpoint, _remote: Endpoint, packet: Packet): void {
    this.heard.push('esp');
    pool.release(packet);
    this.#finish();
  }

  packet(port: number, packet: Packet): void {
    this.heard.push(`port ${port}`);
    this.#take(packet);
    pool.release(packet);
    this.#finish();
  }

  drop(packet: Packet, reason: number): void {
    this.drops[reason]! += 1;
    pool.release(packet);
  }

  command(): void {}
  flush(): void {}
  tick(): void {}
  deadline = () => undefined;
  takeEvents = () => [];

  #take(packet: Packet): void {
    this.frames.push(octetsOf(packet).slice());
  }

  #finish(): void {
    if (this.heard.length === this.#count) this.#done();
  }
}

suite('the loop of a worker', () => {
  const sys = requireSyscalls;

  /** Runs with these orders until the plane has heard `count` packets; sends the answer that `answer` makes. */
  function run(
    orders: readonly WorkerOrder[],
    count: number,
    { answerFrom, poll = new PollSet(sys()) }: { readonly answerFrom?: Address; readonly poll?: PollSet } = {},
    ring = new Ring(Ring.room(1 << 16)),
  ): Answering {
    for (const order of orders) expect(ring.push(encodeOrder(order))).toBe(true);
    const signs = new Int32Array(new SharedArrayBuffer(SIGNS_OCTETS));
    const wakeup = new Wakeup(sys());
    let plane: Answering | undefined;
    const loop = new PlaneLoop({
      sys: sys(),
      pool,
      orders: ring,
      news: new News(new Ring(Ring.room(1 << 16)), signs, () => {}),
      signs,
      wakeup,
      poll,
      tell: () => {},
      plane: (output) => {
        const answer = (remote: Address, packet: Packet): void =>
          answerFrom === undefined ? pool.release(packet) : output.underlay(answerFrom, remote, packet);
        plane = new Answering(answer, () => void ring.push(encodeOrder({ do: 'end' })), count);
        return plane;
      },
    });
    loop.run();
    wakeup.close();
    return plane!;
  }

  const attach = (id: number, kind: 'udp' | 'ip-50' | UnderlayKind, socket: BatchSocket): WorkerOrder => {
    const { fd, features, offloads, local } = socket;
    return { do: 'attach-socket', id, kind, local, socket: { fd, features, offloads }, offload: {} };
  };

  function lent(kind: UnderlayKind, local: string): BatchSocket {
    const socket = openNativeUnderlay({ kind, local: addr(local), pool, offload: {}, receive: () => {} });
    open.push(socket);
    return socket;
  }

  for (const kind of ['ip-47', 'udp-gre'] as const)
    it(`${kind}: GRE goes to the data plane, and its answers leave by the same socket`, async () => {
      const socket = lent(kind, '127.0.0.1');
      const peer = await end(kind, '127.0.0.2');
      const outbox = new Outbox(pool);
      const sent = [gre(100, 1), gre(900, 2), gre(300, 3)];
      for (const each of sent) peer.underlay.send(outbox, addr('127.0.0.1'), packetOf(each));
      outbox.flush();
      const plane = run([attach(1, kind, socket)], 3, { answerFrom: addr('127.0.0.1') });
      expect(plane.frames).toEqual(sent);
      await until(() => framesOf(peer.got).length === 3);
      expect(framesOf(peer.got)).toEqual(sent);
      expect(peer.got[0]!.from.address).toEqual(addr('127.0.0.1'));
      expect([...plane.drops].every((count) => count === 0)).toBe(true);
    });

  it('rests when it has run out of packets that came densely, and not of others', async () => {
    const socket = lent('udp-gre', '127.0.0.1');
    const peer = await end('udp-gre', '127.0.0.2');
    const send = (...frames: readonly Uint8Array[]): void => {
      const outbox = new Outbox(pool);
      for (const each of frames) peer.underlay.send(outbox, addr('127.0.0.1'), packetOf(each));
      outbox.flush();
    };
    const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
    const ring = new Ring(Ring.room(1 << 16));
    const poll = new PollSet(sys());
    const calls: string[] = [];
    const wait = poll.wait.bind(poll);
    poll.wait = (millis) => {
      // The first turn has the order to attach only; then one packet comes within 10 ms, and three within 100 µs.
      if (calls.length === 1) [send(gre(100, 1)), clock.mockReturnValue(10)];
      if (calls.length === 3) [send(gre(100, 2), gre(300, 3), gre(200, 4)), clock.mockReturnValue(10.1)];
      const ready = wait(millis);
      calls.push(millis === 0 ? `look: ${ready}` : `wait: ${ready}`);
      return ready;
    };
    poll.rest = () => {
      calls.push('rest');
      ring.push(encodeOrder({ do: 'end' }));
    };
    const plane = run([attach(1, 'udp-gre', socket)], 5, { poll }, ring);
    clock.mockRestore();
    expect(plane.frames.length).toBe(4);
    expect(calls).toEqual(['wait: 0', 'wait: 1', 'look: 0', 'wait: 1', 'look: 0', 'rest', 'wait: 0']);
  });

  it('ESP and GRE at one address keep apart, whichever carries them', async () => {
    const natt = openNativeUdp({
      local: { address: addr('127.0.0.1'), port: 0 },
      pool,
      offload: {},
      receive: () => {},
    });
    const esp = openRaw({ protocol: 'ip-50', local: addr('127.0.0.1'), pool, offload: {}, receive: () => {} });
    open.push(natt, esp);
    const peer = await end('udp-gre', '127.0.0.2');
    const others = { address: addr('127.0.0.2'), port: 0 };
    const told: Got[] = [];
    const udp = openNativeUdp({ local: others, pool, offload: {}, receive: keep(told) });
    const raw = openRaw({ protocol: 'ip-50', local: others.address, pool, offload: {}, receive: () => {} });
    open.push(udp, raw);
    const sockets = [
      attach(1, 'udp-gre', lent('udp-gre', '127.0.0.1')),
      attach(2, 'udp', natt),
      attach(3, 'ip-50', esp),
    ];
    udp.send(counting(40), 0, 40, natt.local);
    raw.send(counting(40), 0, 40, { address: addr('127.0.0.1'), port: 0 });
    const outbox = new Outbox(pool);
    peer.underlay.send(outbox, addr('127.0.0.1'), packetOf(gre(10)));
    outbox.flush();
    const control: WorkerOrder = { do: 'send', local: natt.local, remote: udp.local, octets: counting(9) };
    const plane = run([...sockets, control], 3, { answerFrom: addr('127.0.0.1') });
    expect([...plane.heard].sort()).toEqual(['esp', 'gre', 'udp']);
    await until(() => peer.got.length === 1);
    // What control says of its own goes from the NAT-T port, not from that of GRE.
    const set = new PollSet(sys(), 1);
    set.add(udp.fd);
    expect(set.wait(2000)).toBe(1);
    udp.drain(1);
    expect(told).toEqual([{ from: natt.local, frames: [counting(9)] }]);
  });

  it('an answer from an address that has no socket is dropped and counted', async () => {
    const socket = lent('ip-47', '127.0.0.1');
    const peer = await end('ip-47', '127.0.0.2');
    const outbox = new Outbox(pool);
    peer.underlay.send(outbox, addr('127.0.0.1'), packetOf(gre(10)));
    outbox.flush();
    const plane = run([attach(1, 'ip-47', socket)], 1, { answerFrom: addr('127.0.0.9') });
    expect(plane.drops[DROP.linkDown]).toBe(1);
  });

  it('frames of a packet socket come by their port, octet for octet', async () => {
    sh('ip', ['link', 'add', 'bh-w1', 'address', '02:00:00:00:00:0a', 'type', 'veth', 'peer', 'name', 'bh-w2']);
    try {
      for (const device of ['bh-w1', 'bh-w2']) {
        sh('sysctl', ['-qw', `net.ipv6.conf.${device}.disable_ipv6=1`]);
        sh('ip', ['link', 'set', device, 'up']);
      }
      await linksUp('bh-w1', 'bh-w2');
      const port = openPacketSocket({ device: 'bh-w1', pool, offload: {}, receive: () => {} });
      const kept = new Kept(pool);
      const other = openPacketSocket({ device: 'bh-w2', promiscuous: true, pool, offload: {}, receive: kept.receive });
      const sent = frame(MAC_A, MAC_B, ETHER.test, counting(60));
      other.write(sent, 0, sent.length);
      const { kind, fd, device, offloads } = port;
      const order: WorkerOrder = { do: 'attach-port', port: 7, kind, fd, device, offloads };
      const plane = run([order], 1);
      expect([plane.heard, plane.frames]).toEqual([['port 7'], [sent]]);
      void port.close();
      void other.close();
    } finally {
      sh('ip', ['link', 'del', 'bh-w1']);
    }
  });
});
