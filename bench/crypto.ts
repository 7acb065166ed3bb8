/**
 * The crypto engines side by side: processor time per packet to seal and to open, alone and in bursts.
 *
 * In process, no network and no rights. A burst lies in one memory as in the packet pool. Engines take turns in every round;
 * what opening costs is the time of sealing and opening less that of sealing. `npm run bench:crypto -- aes128gcm16 openssl`
 * measures only suites and engines named.
 */
import { Burst, chooseEngine, type Engine, NO_ESN, type Protection, SUITES, type Suite } from '../src/crypto/index.ts';
import { engineCandidates } from '../src/runtime/engines/index.ts';
import { median, print, printFacts, printTable } from './support.ts';

const WORDS = ['aes128gcm16', 'aes256gcm16', 'chacha20poly1305', 'aes128-sha256', 'aes256ctr-sha512', 'aes128ccm16'];
const LENGTHS = [64, 1400, 9000];
const BURST = 32;
const ROUNDS = 7;
/** How long one engine works in one round. */
const SLICE_MS = 12;
const HEADER = 8;

interface Subject {
  readonly engine: Engine;
  readonly protection: Protection;
  readonly burst: Burst;
  readonly samples: { readonly alone: number[]; readonly seal: number[]; readonly both: number[] };
}

function main(): void {
  const candidates = engineCandidates();
  const { tried } = chooseEngine(candidates, true);
  const wanted = process.argv.slice(2);
  const here = candidates.flatMap((candidate) => ('why' in candidate ? [] : [candidate]));
  const engines = here.filter(({ name }) => !here.some((e) => wanted.includes(e.name)) || wanted.includes(name));
  const named = SUITES.filter(({ word }) => wanted.includes(word));
  const suites = named.length > 0 ? named : WORDS.map((word) => SUITES.find((suite) => suite.word === word)!);

  printFacts(
    'bench:crypto: nanoseconds of processor time per packet',
    `text of ${LENGTHS.join(', ')} octets; median of ${ROUNDS} rounds of ${SLICE_MS} ms each, engines by turns`,
    `alone: seal, one packet a call; seal, open: bursts of ${BURST}; Gbit/s of text when sealing in bursts`,
    ...tried.flatMap(({ name, ok, why }) => (ok ? [] : [`not here: ${name}: ${why}`])),
  );
  for (const suite of suites) {
    const rows = LENGTHS.flatMap((length) => {
      const subjects = engines.flatMap((engine) => subjectOf(engine, suite, length));
      for (let round = 0; round < ROUNDS; round++) for (const subject of subjects) sample(subject);
      return subjects.map((subject) => {
        const [alone, seal, both] = [subject.samples.alone, subject.samples.seal, subject.samples.both].map(median);
        subject.protection.dispose?.();
        return [
          `${length}`,
          subject.engine.name,
          alone!.toFixed(0),
          seal!.toFixed(0),
          (both! - seal!).toFixed(0),
          ((8 * length) / seal!).toFixed(2),
        ];
      });
    });
    print(suite.word);
    printTable(['octets', 'engine', 'alone', 'seal', 'open', 'Gbit/s'], rows);
  }
}

function subjectOf(engine: Engine, suite: Suite, wanted: number): Subject[] {
  const { encryption, integrity } = suite;
  if (!engine.supports(encryption, integrity)) return [];
  const protection = engine.protection(encryption, integrity, {
    encryption: new Uint8Array(encryption.keyLength + encryption.saltLength).fill(7),
    integrity: new Uint8Array(integrity?.keyLength ?? 0).fill(9),
  });
  const { ivLength, icvLength, blockSize } = protection;
  const length = Math.ceil(wanted / blockSize) * blockSize;
  // Slots of a pool: packets do not share cache lines, and lie apart.
  const stride = Math.ceil((HEADER + ivLength + length + icvLength + 128) / 64) * 64;
  const burst = new Burst(new Uint8Array(BURST * stride), BURST);
  for (let i = 0; i < BURST; i++) {
    const from = i * stride + 64;
    burst.add(from, from + HEADER, from + HEADER + ivLength + length, NO_ESN);
  }
  const subject = { engine, protection, burst, samples: { alone: [], seal: [], both: [] } };
  sample(subject);
  for (const samples of Object.values(subject.samples)) samples.length = 0;
  return [subject];
}

function sample({ protection, burst, samples }: Subject): void {
  const { buf, from, iv, end } = burst;
  samples.alone.push(
    perPacket(() => {
      for (let i = 0; i < BURST; i++) protection.seal(buf, from[i]!, iv[i]!, end[i]!, NO_ESN);
    }),
  );
  samples.seal.push(perPacket(() => protection.sealBurst(burst, 0, BURST)));
  samples.both.push(
    perPacket(() => {
      protection.sealBurst(burst, 0, BURST);
      protection.openBurst(burst, 0, BURST);
    }),
  );
  if (burst.authentic.includes(0)) throw new Error('a packet was refused');
}

/** User and system time of this process, which counts in microseconds, over a slice of wall time. */
function perPacket(work: () => void): number {
  let packets = 0;
  const until = performance.now() + SLICE_MS / 3;
  const before = process.cpuUsage();
  do {
    work();
    packets += BURST;
  } while (performance.now() < until);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / packets;
}

main();
