/** `run`: a gateway with its control socket. */

import type { GatewayProcessOptions } from './gateway-process.ts';
import { type Call, CliError, EXIT } from './io.ts';

export async function run(call: Call): Promise<number> {
  const file = call.args[0] ?? call.options.config;
  if (typeof file !== 'string') {
    throw new CliError(EXIT.usage, 'usage', 'which document?', 'bulkhead run -c gateway.yaml, or set BULKHEAD_CONFIG.');
  }
  const { createApi, serveApi } = await import('../api/index.ts');
  const { runGateway } = await import('./gateway-process.ts');
  return runGateway({
    file,
    state: typeof call.options.state === 'string' ? call.options.state : undefined,
    listen: typeof call.options.api === 'string' ? call.options.api : undefined,
    logLevel: (call.options.logLevel ?? 'info') as GatewayProcessOptions['logLevel'],
    logFormat: (call.options.logFormat ?? 'auto') as GatewayProcessOptions['logFormat'],
    serve: (backend, listen) => serveApi(createApi(backend).fetch, listen),
  });
}
