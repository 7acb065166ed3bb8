/**
 * The data plane against the naive reference (`test/support/naive`): whatever comes in, in whatever batches, under whatever SAs,
 * with whatever engine, the same packets leave octet for octet, in order, and the same is counted and told.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseEngine, type Engine, nobleEngine, nodeEngine, SUITES } from '../../../src/crypto/index.ts';
import { accelerateSums, buildUdp, DROP, PacketPool, parseAddress } from '../../../src/ip/index.ts';
import { engineCandidates } from '../../../src/runtime/engines/index.ts';
import { packetMemory } from '../../../src/runtime/index.ts';
import { Dice } from '../../support/naive/dice.ts';
import { changed, concat, type Octets } from '../../support/naive/octets.ts';
import { ALL_SPIS } from '../../support/naive/plane.ts';
import { type Batch, type StoryOptions, tell } from '../../support/naive/story.ts';
import {
  LOCAL,
  type Peer,
  PLAIN_SA,
  portOf,
  remoteOf,
  type SaPlan,
  TENANTS,
  Tenants,
  type TenantsOptions,
} from '../../support/naive/tenants.ts';

const SLOTS = 2048;
const LARGEST = 65535;

/** One pool for all runs: what is taken from it comes back at the end of each that does not fail. */
function whole(make: () => PacketPool): () => PacketPool {
  let pool: PacketPool | undefined;
  return () => {
    if (pool === undefined || pool.taken > 0) pool = make();
    return pool;
  };
}

const ordinary = whole(() => new PacketPool(SLOTS, LARGEST));

function withTenants(options: Omit<TenantsOptions, 'pool'>, act: (tenants: Tenants) => void, pool = ordinary()): void {
  const tenants = new Tenants({ ...options, pool });
  act(tenants);
  tenants.close();
}

/** Reasons that others than tunnels have, or that need a pool without packets or without room. */
const ELSEWHERE = ['malformedIke', 'notOurs', 'noBuffer', 'noRoom', 'ikeRefused', 'tcpRefused', 'strayRefused'];
const OF_SEGMENTS_AND_NAT = /^(gre|vsid|vlanTag|etherType|neighbour.*|spoofed|noRecord|replication|nat[A-Z].*)$/;

const { engine: fastest } = chooseEngine(engineCandidates());

/** AEADs of each ICV length, and of the others one of each mode and hash. */
const WORDS = [
  'aes128gcm16',
  'aes256gcm12',
  'aes192gcm8',
  'chacha20poly1305',
  'aes128ccm16',
  'aes128-sha256',
  'aes256-sha1',
  'aes192ctr-sha384',
  'null-sha512',
];

const suitesOf = (engine: Engine): readonly string[] =>
  SUITES.filter(
    ({ word, encryption, integrity }) => WORDS.includes(word) && engine.supports(encryption, integrity),
  ).map(({ word }) => word);

const steps = (minLength: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(fc.noShrink(fc.nat(0x7fff_ffff)), { minLength, maxLength, size: 'max' });

const batches = (most: number): fc.Arbitrary<Batch[]> =>
  fc.array(
    fc.record({
      elapsed: fc.constantFrom(0, 5, 11, 100, 1001),
      control: steps(0, 4),
      doors: fc.constantFrom('hosts', 'peers', 'hosts', 'peers', 'both'),
      steps: fc.oneof({ weight: 8, arbitrary: steps(1, 30) }, { weight: 1, arbitrary: steps(1, most) }),
    }),
    { minLength: 1, maxLength: 6, size: 'max' },
  );

interface Told {
  in: number;
  out: number;
  undecided: number;
  superframes: number;
  readonly reasons: Set<string>;
}

interface Options extends StoryOptions {
  readonly pool: () => PacketPool;
  /** Packets in a batch. */
  readonly most: number;
}

function anyStory(engine: Engine, options: Partial<Options>, numRuns: number): Told {
  const { pool = ordinary, most = 300 } = options;
  const told: Told = { in: 0, out: 0, undecided: 0, superframes: 0, reasons: new Set() };
  const suites = suitesOf(engine);
  const property = fc.property(
    batches(most),
    fc.constantFrom<number | 'auto'>('auto', 'auto', 1400, 1280),
    fc.constantFrom('copy', 'set', 'clear'),
    fc.constantFrom(ALL_SPIS, ALL_SPIS, { modulus: 3, residue: 1 }),
    fc.nat(1000),
    fc.boolean(),
    (story, mtu, df, spis, seed, superframes) => {
      const act = (tenants: Tenants): void => {
        const passed = tell(tenants, story, { suites, superframes: true, trains: true, ...options });
        told.in += passed.in;
        told.out += passed.out;
        told.superframes += tenants.twin.superframes;
        if (tenants.twin.undecided !== undefined) told.undecided += 1;
        for (const reason of tenants.twin.reasons()) told.reasons.add(reason);
      };
      withTenants({ engine, mtu, df, spis, seed, superframes }, act, pool());
    },
  );
  fc.assert(property, { numRuns, seed: 4303 });
  return told;
}

describe('any story of two tenants with the same addresses', () => {
  it('node: the same as one packet after the other, and nothing is missing in the stories', () => {
    const { reasons, undecided, superframes: _, ...passed } = anyStory(nodeEngine, {}, 75);
    expect(passed.out).toBeGreaterThan(passed.in / 2);
    expect(undecided).toBeLessThan(15);
    expect([...reasons].sort()).toEqual(
      Object.keys(DROP)
        .filter((reason) => !ELSEWHERE.includes(reason) && !OF_SEGMENTS_AND_NAT.test(reason))
        .sort(),
    );
  }, 120_000);

  it.each([
    ['without superframes', { superframes: false }],
    ['without trains', { trains: false }],
    ['without either', { superframes: false, trains: false }],
  ])('node, %s', (_, options) => {
    const { out, superframes } = anyStory(nodeEngine, options, 20);
    expect(out).toBeGreaterThan(300);
    // Of hosts that send none, those that packets out of tunnels joined to.
    expect(superframes).toBeGreaterThan(10);
  });

  it.each(engineCandidates().filter(({ name }) => name !== 'node' && name !== 'noble'))('$name', (engine) => {
    if ('why' in engine) return void process.stderr.write(`skipped: ${engine.name}: ${engine.why}\n`);
    expect(anyStory(engine, {}, 20).out).toBeGreaterThan(400);
  });

  it('packets in memory that threads share', () => {
    const memory = new SharedArrayBuffer(PacketPool.octetsFor(SLOTS, LARGEST));
    const pool = whole(() => new PacketPool(SLOTS, LARGEST, memory));
    expect(anyStory(fastest, { pool }, 12).out).toBeGreaterThan(300);
  });

  it('packets in the memory of the kernel for sums', () => {
    const { why } = packetMemory(1, LARGEST);
    const pool = whole(() => packetMemory(SLOTS, LARGEST).pool);
    if (why !== '') process.stderr.write(`skipped: the kernel for sums: ${why}\n`);
    else expect(anyStory(fastest, { pool }, 12).out).toBeGreaterThan(300);
    accelerateSums(undefined);
  });

  it('noble', () => {
    expect(anyStory(nobleEngine, { superframes: false, most: 40 }, 15).out).toBeGreaterThan(100);
  });
});

/** A datagram from a host behind the peer to one here. */
const inner = (octets: number): Octets => {
  const [source, destination] = [parseAddress('10.2.0.7')!, parseAddress('10.1.0.10')!];
  return buildUdp({ source, destination, sourcePort: 7, destinationPort: octets }, new Uint8Array(octets).fill(octets));
};

/** An SA of each plan for a tenant of its own or the other's; batches end by chance, after 1 to 300 packets. */
function onPeers(plans: readonly Partial<SaPlan>[], act: (peers: Peer[], arrive: Tenants['arrive']) => void): void {
  withTenants({ engine: fastest }, (tenants) => {
    const { twin } = tenants;
    const dice = new Dice(7);
    const peers = plans.map((plan, i) => tenants.install(TENANTS[i % 2]!, 'hq', { ...PLAIN_SA, ...plan }));
    let left = dice.between(1, 300);
    act(peers, (...what) => {
      tenants.arrive(...what);
      left -= 1;
      if (left > 0) return;
      twin.flush();
      left = dice.between(1, dice.pick([3, 40, 300]));
    });
    twin.flush();
    expect(twin.undecided).toBeUndefined();
  });
}

describe('RFC 4303 §3.4.3: the replay window', () => {
  it('jumps of every size from 1 to 2200, in windows of several sizes, with what is behind them', () => {
    const sizes = [32, 64, 96, 1024];
    onPeers(
      sizes.map((replayWindow, i) => ({ replayWindow, esn: i % 2 === 1 })),
      (peers, arrive) => {
        const dice = new Dice(1);
        for (let jump = 1; jump <= 2200; jump++) {
          const near = jump % 32 < 2 || jump % 32 === 31;
          for (const [i, peer] of peers.entries()) {
            if (!near && jump % peers.length !== i) continue;
            const top = peer.next - 1n + BigInt(jump);
            arrive(peer, peer.send(inner(0), top));
            const size = sizes[i]!;
            const behind = [size, size - 1, dice.between(0, size + 40), dice.pick([31, 32, 33, 63, 64, 65])];
            for (const distance of behind.slice(dice.below(3))) {
              const sequence = top - BigInt(distance);
              if (sequence >= 0n) arrive(peer, peer.send(inner(1), sequence));
            }
          }
        }
      },
    );
  });

  it('Appendix A2: extended numbers across 2^32, forwards, backwards, again, and with the wrong high half', () => {
    onPeers(
      [{ esn: true }, { esn: true, suite: 'aes128-sha256' }, { esn: true, replayWindow: 1024 }],
      (peers, arrive) => {
        const dice = new Dice(2);
        for (const peer of peers) {
          for (let i = 0; i < 900; i++) {
            const middle = 2n ** 32n * BigInt(1 + Math.floor(i / 300)) - 150n;
            const sequence = middle + BigInt((i % 300) + dice.pick([0, 0, 0, -3, 2, -40, 64]));
            arrive(peer, peer.send(inner(i % 20), sequence));
            if (dice.percent(10)) arrive(peer, dice.pick(peer.sent));
            // The low half is the same: authentic under another number than the one it can mean.
            if (dice.percent(10)) arrive(peer, peer.send(inner(2), sequence + dice.pick([-1n, 1n]) * 2n ** 32n));
          }
        }
      },
    );
  });

  it('§3.3.3: numbers of our own across 2^32 with ESN; without, they end there', () => {
    withTenants({ engine: nodeEngine }, (tenants) => {
      const { twin } = tenants;
      const frame = { octets: answer(inner(9)), segment: 0, partial: false };
      for (const [esn, passes] of [
        [true, 40],
        [false, 20],
      ] as const) {
        const { pair } = tenants.install(2, 'hq', { ...PLAIN_SA, esn });
        twin.leaveOut(pair.spiIn, 2n ** 32n - 21n);
        for (let i = 0; i < 40; i++) twin.packet(portOf(2, 'inside'), frame);
        // The last is refused by the SA without ESN; those behind it take the SA before.
        const others = esn ? 0 : 19;
        expect(twin.flush()).toBe(passes + others);
      }
      expect(twin.reasons()).toEqual(new Set(['espSequence']));
    });
  });
});

/** Ports, and numbers relative to the newest: one that comes late, a new one, an old one. */
const LATE_AND_NEW = [
  [4500, 10n],
  [4501, -3n],
  [4502, 1n],
  [4500, 0n],
  [4503, 1n],
] as const;

/** The same packet from the other end. */
const answer = (octets: Octets): Octets => {
  const out = octets.slice();
  out.set(octets.slice(16, 20), 12);
  out.set(octets.slice(12, 16), 16);
  return out;
};

it('RFC 7296 §2.23: only the newest packet of a peer may move it, and only behind UDP', () => {
  withTenants({ engine: nodeEngine }, (tenants) => {
    const { twin } = tenants;
    for (const udp of [true, false]) {
      const peer = tenants.install(2, 'hq', { ...PLAIN_SA, udp, esn: !udp }, udp ? 'standby' : 'active');
      const from = (port: number, sequence: bigint): void => {
        const remote = remoteOf(peer.pair.tunnel, false, port);
        twin.udp(LOCAL, remote, peer.send(inner(3), sequence));
        twin.flush();
      };
      for (const elapsed of [0, 9, 10, 999, 1000])
        for (const [port, distance] of LATE_AND_NEW) {
          twin.now += elapsed;
          from(port, peer.next - 1n + distance);
        }
    }
  });
});

describe('RFC 4303 §2: lengths', () => {
  const plans = WORDS.flatMap((suite, i) => [{ suite, esn: i % 2 === 0, replayWindow: 0 }]);

  it('datagrams of 0 to 70 octets, bodies of 2 to 70, and packets with 0 to 70 octets of data, both ways', () => {
    onPeers(plans, (peers, arrive) => {
      const dice = new Dice(3);
      for (let length = 0; length <= 70; length++) {
        for (const peer of peers) {
          const spi = peer.send(inner(0)).slice(0, 4);
          arrive(peer, concat(spi, dice.octets(length)).slice(0, length));
          if (length >= 2 && length % peer.suite.blockSize === 0) arrive(peer, peer.sendBody(dice.octets(length)));
          arrive(peer, peer.send(inner(length)));
        }
      }
    });
    withTenants({ engine: nodeEngine }, (tenants) => {
      for (const plan of plans) {
        tenants.install(3, 'hq', { ...PLAIN_SA, ...plan });
        for (let length = 0; length <= 70; length++) {
          for (const octets of [answer(inner(length)), answer(inner(60)).slice(0, length)])
            tenants.twin.packet(portOf(3, 'inside'), { octets, segment: 0, partial: false });
        }
        expect(tenants.twin.flush()).toBe(71);
      }
    });
  });

  it('§2.4: padding that would have begun in front of the payload, and looks right there', () => {
    onPeers(plans, (peers, arrive) => {
      for (const peer of peers) {
        // The octet in front of the payload is the last one of the number, or of an IV that is the number.
        for (const sequence of [1n, 257n, 2n ** 24n + 1n])
          for (const padLength of [1, 2, 3, 10, 14, 30]) {
            const padding = Array.from({ length: padLength - 1 }, (_, i) => i + 2);
            arrive(peer, peer.sendBody(Uint8Array.of(...padding, padLength, 4), sequence));
          }
      }
    });
  });

  it('each packet cut off anywhere, with a changed octet anywhere, and longer than it was', () => {
    onPeers(plans, (peers, arrive) => {
      for (const peer of peers) {
        const octets = peer.send(inner(11));
        for (let at = 0; at < octets.length; at++) {
          arrive(peer, octets.slice(0, at));
          arrive(peer, changed(octets, at, [octets[at]! ^ (1 << (at % 8))]));
        }
        for (let more = 1; more <= 17; more++) arrive(peer, concat(octets, new Uint8Array(more)));
        arrive(peer, octets);
      }
    });
  });
});
