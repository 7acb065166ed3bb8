/**
 * The one place that knows koffi, the optional foreign-function interface: loaded on first use, and never required.
 *
 * Leaves to others: what is called through it (`syscalls.ts`). Everything native asks here first and takes `why` for an answer.
 */
import { createRequire } from 'node:module';

export type Koffi = typeof import('koffi');

export type Loaded = { readonly ok: true; readonly koffi: Koffi } | { readonly ok: false; readonly why: string };

/** Same answer for the life of the process. `why` is a sentence for people. */
export function loadKoffi(): Loaded {
  loaded ??= attempt();
  return loaded;
}

function attempt(): Loaded {
  if (process.platform !== 'linux') return { ok: false, why: `system calls need Linux; this is ${process.platform}` };
  if (!SUPPORTED.has(process.arch))
    return { ok: false, why: `system calls need a 64-bit little-endian processor; this is ${process.arch}` };
  if (process.env.BULKHEAD_NO_KOFFI === '1') return { ok: false, why: 'koffi is switched off (BULKHEAD_NO_KOFFI=1)' };
  try {
    return { ok: true, koffi: createRequire(import.meta.url)('koffi') as Koffi };
  } catch (error) {
    const text = error instanceof Error ? error.message.split('\n')[0]! : String(error);
    return { ok: false, why: `the optional package koffi does not load: ${text}` };
  }
}

let loaded: Loaded | undefined;

/** Structure layouts in this folder are those of 64-bit little-endian Linux, which these have in common. */
const SUPPORTED: ReadonlySet<string> = new Set(['x64', 'arm64', 'riscv64', 'loong64']);
