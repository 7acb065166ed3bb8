/**
 * Intel's Multi-Buffer Crypto for IPsec, where Debian's libipsec-mb1 is installed: its manager, laid out in memory of ours.
 *
 * Read first: intel-ipsec-mb.h of version 1.3 (IMB_MGR, IMB_JOB). Leaves to others: keys and packets (`ipsec-mb.ts`).
 * What is called and written here is not a stable interface, so it is offered only if all of this holds: the library says that it is
 * 1.3; every function pointer of the manager is where that version has it, being the address of the exported function of
 * that name; two jobs lie as far apart as a job is long; and the known answers come out (`crypto/ladder.ts`).
 */
import type { Koffi } from '../koffi.ts';
import { loadKoffi } from '../koffi.ts';
import { Block } from './block.ts';

/** Addresses are numbers. */
export interface IpsecMb {
  readonly koffi: Pick<Koffi, 'address'>;
  /** `1.3.0`. */
  readonly version: string;
  /** The manager and its ring of jobs; `list` is where a burst's pointers to jobs stand. */
  readonly memory: Block;
  readonly list: number;
  nextBurst(manager: number, count: number, list: number): number;
  submitBurst(manager: number, count: number, list: number): number;
  flushBurst(manager: number, count: number, list: number): number;
  /** Round keys for encryption and for decryption, 240 octets each. */
  expandKey(keyLength: number, key: number, encryption: number, decryption: number): void;
  /** GCM_KEY_DATA octets. */
  prepareGcm(keyLength: number, key: number, out: number): void;
  prepareXcbc(key: number, k1: number, k2: number, k3: number): void;
  prepareCmac(roundKeys: number, k1: number, k2: number): void;
  /** The state of sha1, sha256, sha384 or sha512 after one block. */
  hashBlock(hash: string, block: number, out: number): void;
}

export type IpsecMbOr = { readonly ok: true; readonly ipsecMb: IpsecMb } | { readonly ok: false; readonly why: string };

export const GCM_KEY_DATA = 1008;
/** The burst and the ring of jobs. */
export const MAX_BURST = 128;
export const RING_JOBS = 256;
export const JOB_SIZE = 200;
/** Where the ring stands in the manager. */
export const RING = 1024;

/** Same answer for the life of the thread. `why` is a sentence for people. */
export function loadIpsecMb(): IpsecMbOr {
  loaded ??= attempt();
  return loaded;
}

let loaded: IpsecMbOr | undefined;

function attempt(): IpsecMbOr {
  const ffi = loadKoffi();
  if (!ffi.ok) return ffi;
  if (process.arch !== 'x64')
    return { ok: false, why: `libipsec-mb needs an x86-64 processor; this is ${process.arch}` };
  try {
    return { ok: true, ipsecMb: bindIpsecMb(ffi.koffi) };
  } catch (error) {
    return { ok: false, why: `libipsec-mb cannot be used: ${(error as Error).message}` };
  }
}

/** Throws, with words for people, where anything is not as version 1.3 has it. */
export function bindIpsecMb(koffi: Pick<Koffi, 'load' | 'address'>): IpsecMb {
  const library = koffi.load(SONAME);
  // biome-ignore lint/suspicious/noExplicitAny: the interface above types what C does not.
  const call = (name: string, result: string, ...parameters: string[]): any => library.func(name, result, parameters);
  const version: number = call('imb_get_version', 'uint32')();
  const text: string = call('imb_get_version_str', 'str')();
  if (version >>> 8 !== VERSION_1_3) throw new Error(`this is version ${text}; known is 1.3`);

  const size = Number(call('imb_get_mb_mgr_size', 'size_t')());
  const list = Math.ceil(size / 64) * 64;
  const memory = new Block(koffi, list + 8 * MAX_BURST);
  const manager = memory.base;
  const placed = call('imb_set_pointers_mb_mgr', POINTER, POINTER, 'uint64', 'uint32')(manager, 0, 1);
  if (placed !== manager) throw new Error('the manager cannot be placed');
  call('init_mb_mgr_auto', 'void', POINTER, POINTER)(manager, manager + list);

  /** The function whose pointer stands at `offset` of the manager, under its exported name. */
  const member = (offset: number, stem: string, result: string, ...parameters: string[]) => {
    const address = memory.word(offset);
    const name = VARIANTS.map((variant) => `${stem}_${variant}`).find((n) => addressOf(library, n) === address);
    if (name === undefined) throw new Error(`${stem} is not where version 1.3 has it`);
    return call(name, result, ...parameters);
  };
  const burst = (offset: number, stem: string) => member(offset, stem, 'uint32', POINTER, 'uint32', POINTER);
  const nextBurst = burst(952, 'get_next_burst');
  if (nextBurst(manager, 2, manager + list) !== 2) throw new Error('it has no jobs');
  const first = memory.word(list) - manager - RING;
  const [offset, distance] = [first % JOB_SIZE, memory.word(list + 8) - memory.word(list)];
  if (first < 0 || first >= JOB_SIZE * RING_JOBS || offset !== 0 || distance !== JOB_SIZE)
    throw new Error('its jobs lie elsewhere than in version 1.3');

  const keyExpansions = new Map([
    [16, member(112, 'aes_keyexp_128', 'void', POINTER, POINTER, POINTER)],
    [24, member(120, 'aes_keyexp_192', 'void', POINTER, POINTER, POINTER)],
    [32, member(128, 'aes_keyexp_256', 'void', POINTER, POINTER, POINTER)],
  ]);
  const gcmPreparations = new Map([
    [16, member(448, 'aes_gcm_pre_128', 'void', POINTER, POINTER)],
    [24, member(456, 'aes_gcm_pre_192', 'void', POINTER, POINTER)],
    [32, member(464, 'aes_gcm_pre_256', 'void', POINTER, POINTER)],
  ]);
  const hashes = new Map([
    ['sha1', member(160, 'sha1_one_block', 'void', POINTER, POINTER)],
    ['sha256', member(176, 'sha256_one_block', 'void', POINTER, POINTER)],
    ['sha384', member(184, 'sha384_one_block', 'void', POINTER, POINTER)],
    ['sha512', member(192, 'sha512_one_block', 'void', POINTER, POINTER)],
  ]);
  return {
    koffi,
    version: text,
    memory,
    list,
    nextBurst,
    submitBurst: burst(968, 'submit_burst_nocheck'),
    flushBurst: burst(976, 'flush_burst'),
    expandKey: (keyLength, key, encryption, decryption) => keyExpansions.get(keyLength)!(key, encryption, decryption),
    prepareGcm: (keyLength, key, out) => gcmPreparations.get(keyLength)!(key, out),
    prepareXcbc: member(144, 'aes_xcbc_expand_key', 'void', POINTER, POINTER, POINTER, POINTER),
    prepareCmac: member(136, 'aes_cmac_subkey_gen', 'void', POINTER, POINTER, POINTER),
    hashBlock: (hash, block, out) => hashes.get(hash)!(block, out),
  };
}

function addressOf(library: ReturnType<Koffi['load']>, symbol: string): number {
  try {
    return Number(library.symbol(symbol));
  } catch {
    return 0;
  }
}

const SONAME = 'libIPSec_MB.so.1';
const VERSION_1_3 = 0x103;
const POINTER = 'uintptr_t';
/** What the names of functions end in: one implementation for each family of processors, and types within. */
const VARIANTS = [
  ...['sse', 'avx', 'avx2', 'avx512', 'avx_gen2', 'avx_gen4', 'vaes_avx512'],
  ...['sse_t1', 'sse_t2', 'sse_t3', 'avx_t1', 'avx_t2', 'avx2_t1', 'avx2_t2', 'avx512_t1', 'avx512_t2'],
];
