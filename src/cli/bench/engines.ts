/**
 * What each crypto engine that knows its known answers takes for a packet of one suite. Nothing but this process is needed.
 *
 * Packets lie in one memory as in the packet pool, in bursts as they come from a socket. Engines take turns; medians.
 */
import { setImmediate } from 'node:timers/promises';
import { Burst, chooseEngine, type Engine, NO_ESN, type Protection, type Suite } from '../../crypto/index.ts';
import { engineCandidates } from '../../runtime/engines/index.ts';
import { median, rounded } from './ledger.ts';
import { interrupted } from './way.ts';

export interface EngineCost {
  readonly engine: string;
  /** Of the text of a packet. */
  readonly octets: number;
  /** To seal one, as the only one of a call. */
  readonly nanosAlone: number;
  /** In a burst. */
  readonly nanosSeal: number;
  readonly nanosOpen: number;
}

/** An engine that cannot be measured, and why. */
export interface AbsentEngine {
  readonly engine: string;
  readonly why: string;
}

export interface EngineTable {
  readonly engines: readonly EngineCost[];
  readonly absentEngines: readonly AbsentEngine[];
}

/** `slice`: milliseconds for each number of each round. */
export async function measureEngines(suite: Suite, slice: number, signal: AbortSignal): Promise<EngineTable> {
  const candidates = engineCandidates();
  const { tried } = chooseEngine(candidates, true);
  const right = candidates.flatMap((candidate) => {
    const known = tried.find(({ name }) => name === candidate.name);
    return 'why' in candidate || known?.ok !== true ? [] : [candidate];
  });
  const able = right.filter((engine) => engine.supports(suite.encryption, suite.integrity));
  const engines: EngineCost[] = [];
  for (const octets of LENGTHS) engines.push(...(await costsOf(able, suite, octets, slice, signal)));
  const absentEngines = tried
    .filter(({ name }) => !able.some((engine) => engine.name === name))
    .map(({ name, why }) => ({ engine: name, why: why === '' ? `does not have ${suite.word}` : why }));
  return { engines, absentEngines };
}

async function costsOf(
  engines: readonly Engine[],
  suite: Suite,
  octets: number,
  slice: number,
  signal: AbortSignal,
): Promise<EngineCost[]> {
  const subjects = engines.map((engine) => ({ engine, ...packetsFor(engine, suite, octets), samples: newSamples() }));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const subject of subjects) {
      sample(subject, slice);
      if (round === 0) forget(subject.samples);
      await setImmediate();
      if (signal.aborted) throw interrupted();
    }
  }
  return subjects.map(({ engine, protection, samples }) => {
    protection.dispose?.();
    const [nanosAlone, nanosSeal, nanosOpen] = [samples.alone, samples.seal, samples.open].map(median).map(rounded);
    return { engine: engine.name, octets, nanosAlone: nanosAlone!, nanosSeal: nanosSeal!, nanosOpen: nanosOpen! };
  });
}

function sample({ protection, burst, samples }: Packets & { readonly samples: Samples }, slice: number): void {
  const { buf, from, iv, end, count } = burst;
  const seal = perPacket(slice, () => protection.sealBurst(burst, 0, count));
  const both = perPacket(slice, () => {
    protection.sealBurst(burst, 0, count);
    protection.openBurst(burst, 0, count);
  });
  const alone = perPacket(slice, () => {
    for (let i = 0; i < count; i++) protection.seal(buf, from[i]!, iv[i]!, end[i]!, NO_ESN);
  });
  samples.alone.push(alone);
  samples.seal.push(seal);
  samples.open.push(Math.max(0, both - seal));
}

/** The first round compiles what it measures. */
function forget(samples: Samples): void {
  for (const each of Object.values(samples)) each.length = 0;
}

type Samples = Readonly<Record<'alone' | 'seal' | 'open', number[]>>;
const newSamples = (): Samples => ({ alone: [], seal: [], open: [] });

function packetsFor(engine: Engine, { encryption, integrity }: Suite, octets: number): Packets {
  const protection = engine.protection(encryption, integrity, {
    encryption: new Uint8Array(encryption.keyLength + encryption.saltLength).fill(7),
    integrity: new Uint8Array(integrity?.keyLength ?? 0).fill(9),
  });
  const { ivLength, icvLength, blockSize } = protection;
  const length = Math.ceil(octets / blockSize) * blockSize;
  const stride = Math.ceil((HEADER + ivLength + length + icvLength + LINE) / LINE) * LINE;
  const burst = new Burst(new Uint8Array(BURST * stride), BURST);
  for (let i = 0; i < BURST; i++) {
    const at = i * stride;
    burst.add(at, at + HEADER, at + HEADER + ivLength + length, NO_ESN);
  }
  return { protection, burst };
}

interface Packets {
  readonly protection: Protection;
  readonly burst: Burst;
}

/** Processor time of this process, which counts in microseconds, over a slice of wall time. */
function perPacket(slice: number, work: () => void): number {
  work();
  let packets = 0;
  const until = performance.now() + slice;
  const before = process.cpuUsage();
  do {
    work();
    packets += BURST;
  } while (performance.now() < until);
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / packets;
}

const LENGTHS = [64, 1400];
const ROUNDS = 5;
const BURST = 32;
const HEADER = 8;
/** Packets of a pool do not share lines of the cache. */
const LINE = 64;
