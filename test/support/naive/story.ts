/**
 * Stories of two tenants: what control does, then a batch of packets, again and again. Every step is a number (`dice.ts`); what it
 * means depends on the number and on what there is, so that a story with steps left out is still one.
 */
import type { SaPhase } from '../../../src/gateway/dataplane/index.ts';
import { DISCARD } from './compartment.ts';
import { Dice } from './dice.ts';
import { padded } from './esp.ts';
import { piecesOf, superframeProblem } from './frames.ts';
import { isRefusal, readIp } from './ip.ts';
import { be32, concat, type Octets } from './octets.ts';
import {
  LOCAL,
  NO_LIMIT,
  type Peer,
  portOf,
  remoteOf,
  type SaPlan,
  TENANTS,
  type Tenant,
  type Tenants,
  type TunnelSite,
  tunnelOf,
  withoutPort,
} from './tenants.ts';
import { anyFrame, anyPacket, anySuperframe, damaged, type Limits, type SiteName } from './traffic.ts';

export interface Batch {
  /** Milliseconds since the batch before. */
  readonly elapsed: number;
  readonly control: readonly number[];
  /** What packets come in by. */
  readonly doors: 'hosts' | 'peers' | 'both';
  readonly steps: readonly number[];
}

export interface StoryOptions {
  /** Words of suites there may be SAs of. */
  readonly suites: readonly string[];
  readonly superframes: boolean;
  readonly trains: boolean;
}

/** Gives how many packets came in and out. */
export function tell(tenants: Tenants, batches: readonly Batch[], options: StoryOptions): { in: number; out: number } {
  const { twin } = tenants;
  const story = new Story(tenants, options);
  const passed = { in: 0, out: 0 };
  for (const { elapsed, control, doors, steps } of batches) {
    twin.now += elapsed;
    for (const seed of control) story.control(new Dice(seed));
    passed.out += twin.flush();
    for (const seed of steps) story.step(new Dice(seed), doors);
    passed.in += steps.length;
    passed.out += twin.flush();
    if (twin.undecided !== undefined) break;
  }
  return passed;
}

class Story {
  readonly #tenants: Tenants;
  readonly #options: StoryOptions;

  constructor(tenants: Tenants, options: StoryOptions) {
    this.#tenants = tenants;
    this.#options = options;
    for (const tenant of TENANTS) tenants.install(tenant, 'hq', this.#anySa(new Dice(tenant)));
  }

  step(dice: Dice, doors: Batch['doors']): void {
    const hosts = doors === 'hosts' || (doors === 'both' && dice.percent(50));
    // Only one door leads to a tunnel whose room may run out.
    const limits: Limits = { superframes: this.#options.superframes, without: doors === 'both' ? ['branch'] : [] };
    if (hosts) this.#hostStep(dice, limits);
    else this.#peerStep(dice, limits);
  }

  #hostStep(dice: Dice, limits: Limits): void {
    const site = dice.percent(85) ? 'inside' : 'lan';
    this.#tenants.twin.packet(dice.percent(1) ? 999 : portOf(dice.pick(TENANTS), site), anyFrame(dice, site, limits));
  }

  #peerStep(dice: Dice, limits: Limits): void {
    const { twin } = this.#tenants;
    if (dice.percent(4)) return this.#strange(dice);
    const peer = this.#anyPeer(dice, limits);
    const tos = dice.pick([0, 0, 0, 1, 2, 3, 0xb9, -1]);
    const port = dice.percent(92) ? 4500 : dice.pick([4501, 40000]);
    if (this.#options.trains && dice.percent(12)) return this.#train(dice, peer, limits, tos, port);
    if (dice.percent(12)) return this.#run(dice, peer, tos, port);
    const octets = this.#fromPeer(dice, peer, limits);
    if (dice.percent(4)) twin.esp(withoutPort(LOCAL), withoutPort(remoteOf(peer.pair.tunnel)), octets, tos);
    else this.#tenants.arrive(peer, octets, tos, port);
  }

  /** Mostly one whose SA is there. */
  #anyPeer(dice: Dice, { without }: Limits): Peer {
    const { peers, twin } = this.#tenants;
    const all = peers.filter(({ site }) => !without.includes(site));
    const live = all.filter(({ pair }) => twin.naive.sas.has(pair.spiIn));
    return dice.pick(live.length > 0 && dice.percent(96) ? live : all);
  }

  /** Datagrams of one length back to back, as UDP_GRO brings them: the last may be shorter, some are no ESP, some are broken. */
  #train(dice: Dice, peer: Peer, limits: Limits, tos: number, port: number): void {
    const first = this.#fromPeer(dice, peer, limits);
    if (first.length === 0) return;
    const datagrams = Array.from({ length: dice.between(1, 20) }, () => {
      const octets = dice.percent(90) ? this.#like(dice, peer, first) : this.#fromPeer(dice, peer, limits);
      const missing = Math.max(0, first.length - octets.length);
      return concat(octets.slice(0, first.length), new Uint8Array(missing));
    });
    const last = dice.percent(50) ? datagrams.at(-1)! : datagrams.at(-1)!.slice(0, dice.below(first.length) + 1);
    const train = concat(first, ...datagrams.slice(0, -1), last);
    this.#tenants.arrive(peer, train.slice(0, 65000 - (65000 % first.length)), tos, port, first.length);
  }

  /** Packets of one flow in a row, as its sender cut a superframe; in a train, where they are of one length, or one by one. */
  #run(dice: Dice, peer: Peer, tos: number, port: number): void {
    const to = dice.weighed<SiteName>([80, 'inside'], [10, 'lan'], [5, 'hq'], [3, 'own'], [3, 'nowhere']);
    const frame = anySuperframe(dice, peer.site, { superframes: true, without: [] }, to);
    if (isRefusal(readIp(frame.octets)) || superframeProblem(frame) !== undefined) return;
    const sent = piecesOf(frame).map((piece) => {
      const octets = peer.send(dice.percent(3) ? spoiled(dice, piece, 50) : piece);
      return dice.percent(2) ? spoiled(dice, octets, 100) : octets;
    });
    const [first] = sent as [Octets];
    const whole = sent.findIndex(({ length }) => length !== first.length);
    const together = sent.slice(0, whole < 0 ? sent.length : sent[whole]!.length < first.length ? whole + 1 : whole);
    const most = Math.min(together.length, Math.floor(65000 / first.length));
    const train = this.#options.trains && most > 1 && dice.percent(70) ? sent.slice(0, most) : [];
    if (train.length > 0) this.#tenants.arrive(peer, concat(...train), tos, port, first.length);
    for (const octets of sent.slice(train.length)) this.#tenants.arrive(peer, octets, tos, port);
  }

  /** A sound packet as long as another one, if one can be: TFC padding fills it up. */
  #like(dice: Dice, peer: Peer, { length }: Octets): Octets {
    const { blockSize, ivLength, icvLength } = peer.suite;
    const body = length - 8 - ivLength - icvLength;
    const room = body - (body % blockSize) - 2;
    const inner = Array.from({ length: 4 }, () =>
      anyPacket(dice, peer.site, { superframes: false, without: ['branch'] }),
    );
    const fits = inner.find((each) => each.length <= room);
    if (fits === undefined) return peer.send(inner[0]!);
    return peer.sendBody(concat(fits, new Uint8Array(room - fits.length), [0, fits[0]! >> 4 === 4 ? 4 : 41]));
  }

  #strange(dice: Dice): void {
    const remote = remoteOf(dice.below(250), dice.percent(20));
    const octets = dice.pick([
      () => Uint8Array.of(0xff),
      () => dice.octets(dice.below(71)),
      () => concat([0, 0, 0, 0], dice.octets(dice.below(60))),
      () => concat(be32(dice.pick([1, 0x1001, 0xffff_ffff])), dice.octets(dice.below(60))),
    ])();
    this.#tenants.twin.udp(LOCAL, remote, octets, 0, 0, dice.percent(90));
  }

  /** What is in order is sent most often; the rest is everything that a peer or somebody on the way could do. */
  #fromPeer(dice: Dice, peer: Peer, limits: Limits): Octets {
    if (peer.sent.length > 0 && dice.percent(12)) return spoiled(dice, dice.pick(peer.sent), 20);
    const sequence = numberFor(dice, peer);
    const from: TunnelSite | 'inside' = dice.percent(96) ? peer.site : 'inside';
    const inner = anyPacket(dice, from, limits);
    if (dice.percent(80)) return spoiled(dice, peer.send(inner, sequence), 10);
    const body = dice.pick<() => Octets>([
      // TFC padding, a dummy, the wrong family, no IP; padding of 255 octets, wrong padding, more than there is; a few octets.
      () => padded(peer.suite, concat(inner, new Uint8Array(dice.below(200))), inner[0]! >> 4 === 4 ? 4 : 41),
      () => padded(peer.suite, dice.octets(dice.below(71)), 59),
      () => padded(peer.suite, inner, dice.pick([4, 41, 59, 6, 0])),
      () =>
        concat(
          inner,
          Uint8Array.from({ length: 255 }, (_, i) => i + 1),
          [255, inner[0]! >> 4 === 4 ? 4 : 41],
        ),
      () => concat(padded(peer.suite, inner, 4).slice(0, -2), dice.octets(dice.below(9)), [dice.below(12), 4]),
      () => concat(dice.octets(dice.between(0, 70)), [dice.below(256), 4]),
      () => dice.octets(dice.between(2, 70)),
    ])();
    const blocks = concat(
      body,
      new Uint8Array((peer.suite.blockSize - (body.length % peer.suite.blockSize)) % peer.suite.blockSize),
    );
    return spoiled(dice, peer.sendBody(blocks, sequence), 10);
  }

  /** One thing control does. */
  control(dice: Dice): void {
    const { twin } = this.#tenants;
    const tenant = dice.pick(TENANTS);
    const site: TunnelSite = dice.percent(65) ? 'hq' : 'branch';
    const tunnel = tunnelOf(tenant, site);
    const known = this.#tenants.peers.filter(({ pair }) => twin.naive.sas.has(pair.spiIn));
    // Commands about what is gone do nothing.
    const { spiIn } = dice.pick(known.length > 0 && dice.percent(90) ? known : this.#tenants.peers).pair;
    dice.weighed<() => void>(
      [8, () => this.#rekey(dice, tenant, site)],
      [3, () => void this.#tenants.install(tenant, site, this.#anySa(dice), dice.pick(PHASES))],
      [4, () => twin.command({ do: 'phase', spiIn, phase: dice.pick(PHASES) })],
      [3, () => twin.command({ do: 'remove', spiIn })],
      [4, () => this.#move(dice, spiIn)],
      [
        2,
        () =>
          twin.command({
            do: 'path-mtu',
            tunnel,
            mtu: dice.pick([1500, 9000, 1300, 576, 100, Number.POSITIVE_INFINITY]),
          }),
      ],
      [6, () => twin.command({ do: 'flush', tunnel })],
      [2, () => twin.command({ do: 'give-up', tunnel })],
      [
        3,
        () => twin.command({ do: 'set-up', compartment: tenant, interface: dice.between(1, 4), up: dice.percent(80) }),
      ],
      [2, () => this.#route(dice, tenant)],
      [4, () => this.#leaveOut(dice, spiIn)],
      [1, () => twin.command({ do: 'stop' })],
    )();
  }

  /** RFC 4632 §5.1: the one of the lowest preference discards. */
  #route(dice: Dice, tenant: Tenant): void {
    const [out, preference] = [dice.pick([2, 4]), dice.pick([0, 3, 9])];
    this.#tenants.route(tenant, '10.2.13.0/24', preference === 9 ? DISCARD : out, preference, dice.percent(40));
  }

  /** RFC 7296 §2.8: the new one is active, the old one receives only, or is gone. */
  #rekey(dice: Dice, tenant: Tenant, site: TunnelSite): void {
    const { twin, peers } = this.#tenants;
    const before = peers.findLast((each) => each.tenant === tenant && each.site === site)?.pair.spiIn;
    this.#tenants.install(tenant, site, this.#anySa(dice));
    if (before === undefined || !twin.naive.sas.has(before)) return;
    if (dice.percent(70)) twin.command({ do: 'phase', spiIn: before, phase: 'draining' });
    else twin.command({ do: 'remove', spiIn: before });
  }

  #move(dice: Dice, spiIn: number): void {
    const sa = this.#tenants.twin.naive.sas.get(spiIn);
    if (sa === undefined) return;
    const remoteEndpoint = remoteOf(sa.pair.tunnel, dice.percent(20), dice.pick([4500, 4501, 40000]));
    this.#tenants.twin.command({
      do: 'move',
      spiIn,
      localEndpoint: LOCAL,
      remoteEndpoint,
      udpEncapsulation: dice.percent(80),
    });
  }

  /** To where 2^32 is near, if it is not behind. */
  #leaveOut(dice: Dice, spiIn: number): void {
    const sa = this.#tenants.twin.naive.sas.get(spiIn);
    const to = 2n ** 32n - BigInt(dice.pick([3, 40, 0x100_0010]));
    if (sa !== undefined && sa.outbound.counts.sequence < to) this.#tenants.twin.leaveOut(spiIn, to);
  }

  #anySa(dice: Dice): SaPlan {
    const limited = dice.percent(20);
    return {
      suite: dice.pick(this.#options.suites),
      esn: dice.percent(50),
      replayWindow: dice.pick([0, 32, 64, 96, 100, 1024]),
      lifetime: limited
        ? {
            softPackets: dice.pick([2, 20, Number.POSITIVE_INFINITY]),
            hardPackets: dice.pick([5, 30, Number.POSITIVE_INFINITY]),
            softBytes: dice.pick([700, Number.POSITIVE_INFINITY]),
            hardBytes: dice.pick([9000, 40000, Number.POSITIVE_INFINITY]),
          }
        : NO_LIMIT,
      udp: dice.percent(75),
      v6: dice.percent(20),
      selectors: dice.pick(['any', 'any', 'any', 'udp', 'ports']),
    };
  }
}

const PHASES: readonly SaPhase[] = ['standby', 'active', 'draining'];

/** In order; left out and left behind by every distance that could matter to a window; near 2^32. */
function numberFor(dice: Dice, { next, plan }: Peer): bigint {
  const word = dice.pick([32, 64, 96, 128, 1024, 2048]);
  const distance = dice.pick([dice.between(1, 2200), word - 1, word, word + 1, dice.between(1, 40)]);
  const sequence = dice.weighed(
    [70, next],
    [10, next + BigInt(distance)],
    [12, next - BigInt(distance)],
    [3, 2n ** 32n - BigInt(dice.between(1, 60))],
    [1, 0n],
    [plan.esn ? 3 : 0, next + 2n ** 32n - BigInt(dice.between(1, 4000))],
  );
  const most = plan.esn ? 2n ** 53n - 1n : 2n ** 32n - 1n;
  return sequence < 0n ? 0n : sequence > most ? most : sequence;
}

/** So many of a hundred are damaged on the way. */
const spoiled = (dice: Dice, octets: Octets, percent: number): Octets =>
  octets.length > 0 && dice.percent(percent) ? damaged(dice, octets) : octets;
