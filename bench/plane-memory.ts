/** What memory a process holds, told apart by who asked for it. Exact where the collector has run; native octets need koffi and glibc. */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { requireSyscalls } from '../src/runtime/index.ts';

export interface Memory {
  /** Octets of V8's objects. */
  readonly heap: number;
  /** Octets of typed arrays outside of it. */
  readonly buffers: number;
  /** Octets that malloc handed out, those of `buffers` among them. */
  readonly malloc: number;
}

/** After a collection. */
export function memoryNow(): Memory {
  collect();
  const { heapUsed: heap, arrayBuffers: buffers } = process.memoryUsage();
  return { heap, buffers, malloc: mallocated() };
}

/** Twice: what the first one finalizes is free after the second. */
export function collect(): void {
  gc();
  gc();
}

export const heapUsed = (): number => getHeapStatistics().used_heap_size;

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const { koffi } = requireSyscalls();
/** mallinfo2(3), of glibc 2.33. */
const MallInfo = koffi.struct({
  arena: 'size_t',
  ordblks: 'size_t',
  smblks: 'size_t',
  hblks: 'size_t',
  hblkhd: 'size_t',
  usmblks: 'size_t',
  fsmblks: 'size_t',
  uordblks: 'size_t',
  fordblks: 'size_t',
  keepcost: 'size_t',
});
const mallinfo2 = koffi.load('libc.so.6').func('mallinfo2', MallInfo, []);

function mallocated(): number {
  const { uordblks, hblkhd } = mallinfo2() as { readonly uordblks: number; readonly hblkhd: number };
  return Number(uordblks) + Number(hblkhd);
}
