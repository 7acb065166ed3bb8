/** What the tests of the queues share: every engine that is here, packets of one memory, and all that can be told of an SA. */
import type { Bytes } from '../../src/core/index.ts';
import { chooseEngine, type Engine, lazyProtection, type Protection } from '../../src/crypto/index.ts';
import { type InboundSa, type OutboundSa, readSaCells } from '../../src/esp/index.ts';
import { HEADROOM, type Packet, TAILROOM, wrapPacket } from '../../src/ip/index.ts';
import { engineCandidates } from '../../src/runtime/engines/index.ts';
import { keysOf } from '../crypto/suite.ts';
import { SUITES, type Suite } from './support.ts';

/** An engine, how it makes protections, and how much may be asked of it. */
export interface Maker {
  readonly name: string;
  /** An AEAD, CBC, CTR and NULL with a MAC, as far as the engine has them. */
  readonly suites: readonly Suite[];
  readonly runs: number;
  make(suite: Suite, seed: number): Protection;
}

const WORDS = [
  ...['aes256gcm16', 'chacha20poly1305', 'aes128ccm8', 'aes128-sha256', 'aes256-sha512'],
  ...['aes256ctr-sha256', 'aes128ctr-aesxcbc', 'null-sha1', 'null-aescmac'],
];

/** Those that are here; the others are skipped aloud by `test/runtime/engines.test.ts`. The last is what a gateway has. */
export const MAKERS: readonly Maker[] = (() => {
  const candidates = engineCandidates();
  const engines = candidates.flatMap((candidate) => ('why' in candidate ? [] : [candidate]));
  const { engine } = chooseEngine(candidates);
  return [
    ...engines.map((each) => maker(each.name, each, each.name === 'noble' ? 8 : 60)),
    { ...maker('the ladder, lazily', engine, 60), make: (suite: Suite, seed: number) => lazy(engine, suite, seed) },
  ];
})();

function maker(name: string, engine: Engine, runs: number): Maker {
  const suites = SUITES.filter(
    ({ word, encryption, integrity }) => WORDS.includes(word) && engine.supports(encryption, integrity),
  );
  const make = (suite: Suite, seed: number): Protection =>
    engine.protection(suite.encryption, suite.integrity, keysOf(suite, seed));
  return { name, suites, runs, make };
}

const lazy = (engine: Engine, suite: Suite, seed: number): Protection =>
  lazyProtection(engine, suite.encryption, suite.integrity, keysOf(suite, seed));

/**
 * Packets side by side in one memory, which does not begin where its buffer does, and can be shared by threads if they are many.
 * What holds no octets of theirs is marked.
 */
export class Arena {
  readonly memory: Uint8Array;
  readonly #stride: number;

  constructor(slots: number, capacity: number) {
    this.#stride = HEADROOM + capacity + TAILROOM;
    const Memory = slots < MANY ? ArrayBuffer : SharedArrayBuffer;
    this.memory = new Uint8Array(new Memory(ASIDE + slots * this.#stride + ASIDE), ASIDE, slots * this.#stride);
  }

  place(slot: number, octets: Bytes, tailroom = TAILROOM): Packet {
    const at = this.memory.byteOffset + slot * this.#stride;
    new Uint8Array(this.memory.buffer, at, this.#stride).fill(MARK);
    const buf = new Uint8Array(this.memory.buffer, at, HEADROOM + octets.length + tailroom);
    buf.set(octets, HEADROOM);
    const packet = wrapPacket(buf, HEADROOM, HEADROOM + octets.length);
    return { ...packet, memory: this.memory, base: slot * this.#stride };
  }

  /** Whether all of the slot is marked but what lay at the place of `length` octets. */
  untouchedAround(slot: number, length: number): boolean {
    const room = this.memory.subarray(slot * this.#stride, (slot + 1) * this.#stride);
    const marked = (part: Uint8Array): boolean => part.every((octet) => octet === MARK);
    return marked(room.subarray(0, HEADROOM)) && marked(room.subarray(HEADROOM + length));
  }
}

/** Everything an SA counts and says; of an inbound one its window too. */
export function tell(sa: InboundSa | OutboundSa): object {
  const { usage, sequence, cells } = sa;
  const window =
    'window' in sa
      ? Array.from({ length: 1200 }, (_, i) => (sa.window.fresh(sequence - 1150 + i) ? '1' : '0')).join('')
      : undefined;
  return { ...readSaCells(cells), sequence, stopped: usage.stopped, signal: usage.signal, window };
}

const ASIDE = 1000;
const MANY = 40;
const MARK = 0xa5;
