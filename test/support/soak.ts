/**
 * Millions of packets that nobody should send, through both doors of one data plane: damaged ESP, random octets, trains of them; and
 * broken IP packets and superframes whose segment size lies. Nothing throws, nothing is kept, nothing grows, and of what came
 * in by the tunnels exactly the sound packets go on, octet for octet: no octet under an ICV was changed unnoticed.
 *
 * One packet of SAMPLE goes to a second data plane, too, that is held to the naive reference in everything (`naive/twin.ts`).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'vitest';
import { seededRandom } from '../../src/core/index.ts';
import type { Engine } from '../../src/crypto/index.ts';
import { SA_CELL } from '../../src/esp/index.ts';
import { DataPlane, LocalCells } from '../../src/gateway/dataplane/index.ts';
import { buildUdp, octetsOf, type Packet, PacketPool, parseAddress } from '../../src/ip/index.ts';
import { packetMemory } from '../../src/runtime/index.ts';
import { Dice } from './naive/dice.ts';
import type { Frame } from './naive/frames.ts';
import { withHops } from './naive/ip.ts';
import { concat, hexOf, type Octets } from './naive/octets.ts';
import {
  LOCAL,
  type Peer,
  PLAIN_SA,
  portOf,
  remoteOf,
  type SaPlan,
  TENANTS,
  Tenants,
  tunnelOf,
  withoutPort,
} from './naive/tenants.ts';
import { anyFrame, broken, damaged } from './naive/traffic.ts';

const BATCH = 256;
const SAMPLE = 64;
/** Sampled packets in a batch of their own. */
const SAMPLED_BATCH = 32;
/** Packets that are made once, to be broken in many ways. */
const TEMPLATES = 512;
/** Numbers nobody gets to: what has them is fresh for ever, and only its ICV says that it is not sound. */
const FAR = 2n ** 31n;

/** For the tunnel `hq` of the two tenants by turns. The tunnel `branch` has none: what is for it waits. */
const PLANS: readonly Partial<SaPlan>[] = [
  { suite: 'aes128gcm16' },
  { suite: 'aes256gcm16', esn: true, replayWindow: 1024 },
  { suite: 'chacha20poly1305', esn: true },
  { suite: 'aes128-sha256', udp: false },
  { suite: 'aes256gcm12', selectors: 'udp' },
  { suite: 'aes128ctr-sha256', esn: true },
];

export interface Soaked {
  readonly packets: number;
  /** Sound ones among those of the peers. */
  readonly sound: number;
  readonly sampled: number;
  readonly seconds: number;
  /** Octets of the heap between a tenth of the way and the end. */
  readonly growth: number;
}

export function soak(engine: Engine, packets: number): Soaked {
  const soaking = new Soak(engine);
  const started = performance.now();
  let heap = 0;
  for (let done = 0, tenth = packets / 10; done < packets; done += BATCH) {
    if (heap === 0 && done >= tenth) heap = heapUsed();
    soaking.batch(done / BATCH);
  }
  soaking.end();
  const seconds = (performance.now() - started) / 1000;
  const { sound, sampled } = soaking;
  return { packets, sound, sampled, seconds, growth: heapUsed() - heap };
}

export const inWords = ({ packets, sound, sampled, seconds, growth }: Soaked): string =>
  `${packets} packets in ${seconds.toFixed(1)} s, ${sound} of them sound, ${sampled} compared; the heap grew by ${growth} octets`;

class Soak {
  sound = 0;
  sampled = 0;
  readonly #engine: Engine;
  readonly #dice = new Dice(791);
  readonly #pool = packetMemory(2048, 65535).pool;
  readonly #sampledPool = new PacketPool(2048, 65535);
  readonly #cells = new LocalCells();
  readonly #plane: DataPlane;
  readonly #peers: readonly Peer[];
  readonly #templates: readonly (readonly Octets[])[];
  /** With several wrong octets in the ICV: what is cut out of them is not sound by accident. */
  readonly #wrecks: readonly (readonly Octets[])[];
  readonly #frames: readonly Frame[];
  /** What left for hosts, and how many datagrams for peers. */
  #left: Octets[] = [];
  #datagrams = 0;
  #twin: Tenants;
  #waiting = 0;
  #now = 1000;

  constructor(engine: Engine) {
    this.#engine = engine;
    this.#twin = this.#newTwin();
    const output = {
      datagram: (...[, , , packet]: [unknown, unknown, unknown, Packet, ...unknown[]]): void => {
        this.#datagrams += 1;
        this.#pool.release(packet);
      },
      underlay: (_local: unknown, _remote: unknown, packet: Packet): void => this.#pool.release(packet),
      packet: (_: number, packet: Packet): void => {
        this.#left.push(octetsOf(packet).slice());
        this.#pool.release(packet);
      },
    };
    const random = seededRandom(3);
    this.#plane = new DataPlane({ pool: this.#pool, random, engine, output, cells: this.#cells });
    for (const command of this.#twin.twin.plane.describe(TENANTS, true)) this.#plane.command(command, this.#now);
    this.#peers = this.#twin.peers;
    for (const { pair } of this.#peers) this.#plane.command({ do: 'install', sa: pair, phase: 'active' }, this.#now);
    this.#templates = this.#peers.map((peer) => this.#farPackets(peer));
    this.#wrecks = this.#templates.map((all) => all.map(wrecked));
    const limits = { superframes: false, without: [] };
    this.#frames = Array.from({ length: 8 * TEMPLATES }, (_, i) =>
      anyFrame(this.#dice, i % 5 === 0 ? 'lan' : 'inside', { ...limits, superframes: i % 4 === 0 }),
    );
  }

  batch(number: number): void {
    this.#now += 1;
    this.#left = [];
    this.#datagrams = 0;
    if (number % 2 === 0) this.#fromPeers();
    else this.#fromHosts();
    this.#plane.tick(this.#now);
    // What waits for the tunnel without an SA is told so, and so is what that told.
    for (const tenant of number % 16 === 15 ? TENANTS : [])
      for (let twice = 0; twice < 2; twice++) this.#giveUp(tunnelOf(tenant, 'branch'));
    expect(this.#pool.taken).toBeLessThanOrEqual(number % 16 === 15 ? 0 : 2 * 64);
  }

  end(): void {
    for (const tenant of TENANTS) for (let twice = 0; twice < 2; twice++) this.#giveUp(tunnelOf(tenant, 'branch'));
    this.#endSample();
    this.#twin.close();
    const { plane } = { plane: this.#plane };
    expect([this.#pool.taken, plane.takeEvents().length]).toEqual([0, 0]);
    expect([plane.sas.size, plane.tunnels.size, plane.sad.size]).toEqual([PLANS.length, 4, PLANS.length]);
  }

  /** Damaged, random and old datagrams with sound ones among them, of which exactly those come out. */
  #fromPeers(): void {
    const dice = this.#dice;
    const wanted: Octets[] = [];
    const before = this.#accepted();
    for (let i = 0; i < BATCH; i++) {
      const at = dice.below(this.#peers.length);
      const peer = this.#peers[at]!;
      if (dice.below(50) === 0) {
        const inner = soundPacket(peer, this.sound);
        wanted.push(withHops(inner, 63));
        this.sound += 1;
        this.#arrive(peer, peer.send(inner), 0, i);
      } else if (dice.below(40) === 0) this.#train(peer, this.#wrecks[at]!, i);
      else this.#arrive(peer, this.#unsound(peer, this.#templates[at]!), 0, i);
    }
    this.#flush();
    expect(this.#accepted() - before).toBe(wanted.length);
    expect(this.#left.map(hexOf).sort()).toEqual(wanted.map(hexOf).sort());
    expect(this.#datagrams).toBe(0);
  }

  #unsound(peer: Peer, templates: readonly Octets[]): Octets {
    const dice = this.#dice;
    const kind = dice.below(20);
    if (kind === 0) return concat(templates[0]!.slice(0, 4), dice.octets(dice.below(71)));
    if (kind === 1) return dice.octets(dice.below(71));
    if (kind === 2 && peer.sent.length > 0) return dice.pick(peer.sent);
    const octets = dice.pick(templates);
    // The head of one with the rest of another.
    const other = kind === 3 ? dice.pick(templates) : octets;
    return other === octets ? damaged(dice, octets) : concat(octets.slice(0, 16), other.slice(16));
  }

  /** Datagrams back to back, none of them sound, however they are cut. */
  #train(peer: Peer, templates: readonly Octets[], number: number): void {
    const dice = this.#dice;
    const octets = concat(...Array.from({ length: dice.between(1, 8) }, () => this.#unsound(peer, templates)));
    const segment = dice.pick([1, 7, 8, 60, 100, 1400, octets.length, 65535]);
    if (octets.length > 0) this.#arrive(peer, octets, Math.max(segment, Math.ceil(octets.length / 64)), number);
  }

  #arrive({ pair, plan }: Peer, octets: Octets, segment: number, number: number): void {
    const packet = this.#pool.from(octets)!;
    packet.segment = segment;
    const remote = remoteOf(pair.tunnel);
    const udp = plan.udp || segment > 0;
    const tos = this.#dice.below(3);
    if (udp) this.#plane.udp(LOCAL, remote, packet, tos, true, this.#now);
    else this.#plane.esp(withoutPort(LOCAL), withoutPort(remote), packet, tos, this.#now);
    if (number % SAMPLE !== 0) return;
    const { twin } = this.#twin;
    this.#sample(() =>
      udp
        ? twin.udp(LOCAL, remote, octets, segment, tos)
        : twin.esp(withoutPort(LOCAL), withoutPort(remote), octets, tos),
    );
  }

  #fromHosts(): void {
    const dice = this.#dice;
    for (let i = 0; i < BATCH; i++) {
      const frame = this.#lying(dice.pick(this.#frames));
      const port = portOf(dice.pick(TENANTS), dice.percent(85) ? 'inside' : 'lan');
      const packet = this.#pool.from(frame.octets)!;
      packet.segment = frame.segment;
      packet.partial = frame.partial;
      this.#plane.packet(port, packet, this.#now);
      if (i % SAMPLE === 0) this.#sample(() => this.#twin.twin.packet(port, frame));
    }
    this.#flush();
  }

  #lying(frame: Frame): Frame {
    const dice = this.#dice;
    const octets = dice.percent(75) && frame.octets.length > 0 ? broken(dice, frame.octets) : frame.octets;
    if (dice.percent(96)) return { ...frame, octets };
    const segment = dice.pick([1, 7, 8, 100, 1000, 1400, 9000, 65535, 65536, 2 ** 31 - 1]);
    // As many pieces as a device would permit.
    return { octets, segment: Math.max(segment, Math.ceil(octets.length / 140)), partial: dice.percent(50) };
  }

  #flush(): void {
    this.#plane.flush(this.#now);
    this.#plane.takeEvents();
  }

  #giveUp(tunnel: number): void {
    this.#plane.command({ do: 'give-up', tunnel }, this.#now);
    this.#flush();
  }

  /** Packets whose ICV was right. */
  #accepted(): number {
    return this.#peers.reduce((sum, { pair }) => sum + this.#cells.at(pair.cellsIn)[SA_CELL.packets]!, 0);
  }

  #farPackets(peer: Peer): Octets[] {
    const packets = Array.from({ length: TEMPLATES }, (_, i) => {
      const frame = anyFrame(this.#dice, 'hq', { superframes: false, without: [] });
      return peer.send(frame.octets, FAR + BigInt(i));
    });
    // They are never sent as they are.
    peer.sent.length = 0;
    peer.next = 1n;
    return packets;
  }

  #sample(give: () => void): void {
    give();
    this.sampled += 1;
    this.#waiting += 1;
    if (this.#waiting >= SAMPLED_BATCH) this.#endSample();
  }

  #endSample(): void {
    const { twin } = this.#twin;
    twin.flush();
    twin.now += 200;
    this.#waiting = 0;
    for (const tenant of TENANTS) twin.command({ do: 'give-up', tunnel: tunnelOf(tenant, 'branch') });
    twin.flush();
    if (twin.undecided === undefined) return;
    this.#twin.close();
    this.#twin = this.#newTwin();
  }

  /** With the same SAs every time. */
  #newTwin(): Tenants {
    const tenants = new Tenants({ engine: this.#engine, pool: this.#sampledPool });
    for (const [i, plan] of PLANS.entries()) tenants.install(TENANTS[i % 2]!, 'hq', { ...PLAIN_SA, ...plan });
    return tenants;
  }
}

/** From a host behind the peer to one here, and no other like it. */
function soundPacket({ site }: Peer, number: number): Octets {
  const [source, destination] = [parseAddress(site === 'hq' ? '10.2.0.7' : '10.4.0.5')!, parseAddress('10.1.0.10')!];
  const ports = { sourcePort: number % 65536, destinationPort: Math.floor(number / 65536) };
  return buildUdp({ source, destination, ...ports }, new Uint8Array(number % 100));
}

const wrecked = (octets: Octets): Octets => octets.map((octet, i) => (i < octets.length - 3 ? octet : octet ^ 0xff));

let collect: (() => void) | undefined;

/** After a collection. */
function heapUsed(): number {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  return process.memoryUsage().heapUsed;
}
