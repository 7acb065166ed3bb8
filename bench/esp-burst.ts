/**
 * ESP packet by packet and in bursts: processor time per packet of `seal` and `open` against the queues, with each engine.
 *
 * In process, no network and no rights; packets lie in one memory as in the packet pool, and all are sealed before any is opened.
 * Engines and ways take turns in every round. `npm run bench:burst -- aes256gcm16 openssl` measures only suites and engines named.
 */
import { chooseEngine, type Engine, type Protection, SUITES, type Suite } from '../src/crypto/index.ts';
import { InboundSa, OpenQueue, OutboundSa, open, Sad, SealQueue, seal } from '../src/esp/index.ts';
import {
  buildIp,
  compileSelectors,
  PASS,
  PacketPool,
  parseAddress,
  parsePrefix,
  selectorOfPrefix,
} from '../src/ip/index.ts';
import { engineCandidates } from '../src/runtime/engines/index.ts';
import { median, print, printFacts, printTable } from './support.ts';

const WORDS = ['aes128gcm16', 'aes128-sha256'];
const LENGTHS = [64, 1400];
const BURST = 32;
const BURSTS = 16;
const ROUNDS = 9;
/** How long one engine works in one way in one round. */
const SLICE_MS = 20;
const WARM_UP = 5;
const NO_LIMIT = { softBytes: Infinity, hardBytes: Infinity, softPackets: Infinity, hardPackets: Infinity };

/** One of the two ways to do it. */
interface Way {
  seal(): void;
  open(): void;
  readonly samples: { readonly seal: number[]; readonly open: number[] };
}

interface Subject {
  readonly engine: Engine;
  readonly protection: Protection;
  readonly single: Way;
  readonly queue: Way;
}

function main(): void {
  const candidates = engineCandidates();
  const { engine: ladder, tried } = chooseEngine(candidates, true);
  const wanted = process.argv.slice(2);
  const each = candidates.flatMap((candidate) => ('why' in candidate ? [] : [candidate]));
  const here = [{ ...ladder, name: 'ladder' }, ...each];
  const engines = here.filter(({ name }) => !here.some((e) => wanted.includes(e.name)) || wanted.includes(name));
  const named = SUITES.filter(({ word }) => wanted.includes(word));
  const suites = named.length > 0 ? named : WORDS.map((word) => SUITES.find((suite) => suite.word === word)!);

  printFacts(
    'bench:burst: nanoseconds of processor time per packet',
    `inner packets of ${LENGTHS.join(', ')} octets, one SA with ESN; median of ${ROUNDS} rounds, engines by turns`,
    'ladder: what a gateway has, the best of the others for one packet and for many',
    `single: seal, open; queue: SealQueue, OpenQueue with ${BURST} packets a run`,
    ...tried.flatMap(({ name, ok, why }) => (ok ? [] : [`not here: ${name}: ${why}`])),
  );
  for (const suite of suites) {
    const rows = LENGTHS.flatMap((length) => {
      const subjects = engines.flatMap((engine) => subjectOf(engine, suite, length));
      for (let round = 0; round < ROUNDS; round++) for (const subject of subjects) sample(subject);
      return subjects.map(({ engine, protection, single, queue }) => {
        protection.dispose?.();
        const columns = (['seal', 'open'] as const).flatMap((task) => {
          const [one, many] = [median(single.samples[task]), median(queue.samples[task])];
          return [one.toFixed(0), many.toFixed(0), (one / many).toFixed(2)];
        });
        return [`${length} ${engine.name}`, ...columns];
      });
    });
    print(suite.word);
    printTable(['octets, engine', 'seal single', 'queue', 'ratio', 'open single', 'queue', 'ratio'], rows);
  }
}

function subjectOf(engine: Engine, suite: Suite, length: number): Subject[] {
  const { encryption, integrity } = suite;
  if (!engine.supports(encryption, integrity)) return [];
  const protection = engine.protection(encryption, integrity, {
    encryption: new Uint8Array(encryption.keyLength + encryption.saltLength).fill(7),
    integrity: new Uint8Array(integrity?.keyLength ?? 0).fill(9),
  });
  const [local, remote] = ['10.1.0.0/16', '10.2.0.0/16'].map((text) => [selectorOfPrefix(parsePrefix(text)!)]);
  const common = { spi: 0x1000, tunnel: 1, protection, esn: true, lifetime: NO_LIMIT };
  const endpoint = { address: parseAddress('192.0.2.1')!, port: 4500 };
  const outbound = new OutboundSa(
    {
      ...common,
      selectors: compileSelectors(local!, remote!),
      localEndpoint: endpoint,
      remoteEndpoint: endpoint,
      udpEncapsulation: true,
      df: 'copy',
      copyDscp: true,
    },
    (octets) => new Uint8Array(octets).fill(5),
  );
  const sad = new Sad();
  sad.add(new InboundSa({ ...common, selectors: compileSelectors(remote!, local!), replayWindow: 1024 }));

  const octets = buildIp(
    { source: parseAddress('10.1.0.4')!, destination: parseAddress('10.2.0.7')!, protocol: 17 },
    new Uint8Array(length - 20),
  );
  const pool = new PacketPool(BURSTS * BURST, 1536);
  const packets = Array.from({ length: pool.size }, () => pool.from(octets)!);
  const { memory } = pool;
  const sealing = new SealQueue(memory);
  const opening = new OpenQueue(memory);
  const single: Way = {
    seal() {
      for (const packet of packets) must(seal(outbound, packet, 0));
    },
    open() {
      for (const packet of packets) must(open(sad, packet, 0, 0));
    },
    samples: { seal: [], open: [] },
  };
  const queue: Way = {
    seal() {
      for (const packet of packets) {
        must(sealing.add(outbound, packet, 0));
        if (sealing.count < BURST) continue;
        sealing.run();
        sealing.clear();
      }
    },
    open() {
      for (const packet of packets) {
        must(opening.add(sad, packet, 0));
        if (opening.count < BURST) continue;
        opening.run(0);
        for (let i = 0; i < BURST; i++) must(opening.verdictAt(i));
        opening.clear();
      }
    },
    samples: { seal: [], open: [] },
  };
  const subject = { engine, protection, single, queue };
  for (let i = 0; i < WARM_UP; i++) sample(subject);
  for (const { samples } of [single, queue]) for (const list of Object.values(samples)) list.length = 0;
  return [subject];
}

function must(verdict: number): void {
  if (verdict !== PASS) throw new Error(`a packet was refused: ${verdict}`);
}

function sample({ single, queue }: Subject): void {
  for (const way of [single, queue]) {
    const until = performance.now() + SLICE_MS;
    const spent = { seal: 0, open: 0 };
    let rounds = 0;
    do {
      spent.seal += cpu(way.seal);
      spent.open += cpu(way.open);
      rounds += 1;
    } while (performance.now() < until);
    way.samples.seal.push(spent.seal / rounds);
    way.samples.open.push(spent.open / rounds);
  }
}

/** Nanoseconds per packet of user and system time of this process, which counts in microseconds. */
function cpu(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / (BURSTS * BURST);
}

main();
