/**
 * `run`: a gateway with its control socket. The runtime hosts the gateway; this file gives it the API, which the runtime, being
 * below it, does not know.
 */
import type { Backend } from '../api/index.ts';
import { type Call, CliError, EXIT } from './io.ts';

export interface RunOptions {
  /** The document. */
  readonly file: string;
  /** Instead of the document's `api.listen`. */
  readonly listen: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logFormat: 'auto' | 'words' | 'json';
  /** Opens the control socket as soon as there is something to ask. */
  readonly serve: (backend: Backend, listen: string) => Promise<{ close(): Promise<void> }>;
}

/** Resolves with the exit code when the gateway has stopped. */
type RunGateway = (options: RunOptions) => Promise<number>;

export async function run(call: Call): Promise<number> {
  const file = call.args[0] ?? call.options.config;
  if (typeof file !== 'string') {
    throw new CliError(EXIT.usage, 'usage', 'which document?', 'bulkhead run -c gateway.yaml, or set BULKHEAD_CONFIG.');
  }
  const { createApi, serveApi } = await import('../api/index.ts');
  const { runGateway } = (await import(RUNTIME)) as { runGateway: RunGateway };
  return runGateway({
    file,
    listen: typeof call.options.api === 'string' ? call.options.api : undefined,
    logLevel: (call.options.logLevel ?? 'info') as RunOptions['logLevel'],
    logFormat: (call.options.logFormat ?? 'auto') as RunOptions['logFormat'],
    serve: (backend, listen) => serveApi(createApi(backend).fetch, listen),
  });
}

const RUNTIME: string = '../runtime/run.ts';
