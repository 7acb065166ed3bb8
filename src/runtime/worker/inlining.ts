/** How a thread that hosts a data plane wants its code compiled. */
import { setFlagsFromString } from 'node:v8';

/** For the whole process; first of all, before anything is compiled that packets pass through. */
export function inlineMore(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}

/**
 * V8 stops inlining when a function has grown to about 920 octets of bytecode, and even the smallest functions at 4,600; a packet's way
 * goes through more than that (docs/decisions/0008). All were there in V8 11 and 13; unknown ones are ignored.
 */
const FLAGS = [
  '--max-inlined-bytecode-size-cumulative=12000',
  '--max-inlined-bytecode-size-absolute=20000',
  '--max-inlined-bytecode-size=1000',
  '--max-optimized-bytecode-size=200000',
];
