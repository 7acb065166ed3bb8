import { type Backend, createApi } from '../../src/api/index.ts';
import { main } from '../../src/cli/main.ts';

export interface Ran {
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

export interface WorldOptions {
  readonly env?: Record<string, string>;
  readonly tty?: boolean;
  readonly signal?: AbortSignal;
}

/** Runs one command line against a gateway made of data, or against none. */
export async function run(
  line: string | readonly string[],
  backend?: Backend,
  options: WorldOptions = {},
): Promise<Ran> {
  let [out, err] = ['', ''];
  const isTTY = options.tty === true;
  const exit = await main(typeof line !== 'string' ? [...line] : line === '' ? [] : line.split(' '), {
    stdout: { write: (text) => (out += text), isTTY },
    stderr: { write: (text) => (err += text), isTTY },
    env: options.env ?? {},
    signal: options.signal ?? new AbortController().signal,
    ...(backend === undefined ? {} : { fetch: createApi(backend).fetch }),
  });
  return { exit, out, err };
}
