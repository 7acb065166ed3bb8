#!/usr/bin/env node
// The real world for src/cli/main.ts, from the build in dist/.
import module from 'node:module';
import process from 'node:process';

module.enableCompileCache?.();

/** @type {typeof import('../src/cli/main.ts')} */
let cli;
try {
  cli = await import('../dist/cli/main.js');
} catch (error) {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !String(error.url ?? error.message).includes('dist/')) throw error;
  process.stderr.write('bulkhead: not built yet\n  Run: npm ci\n');
  process.exit(1);
}

// Whoever reads our output may stop (`| head`): that is no error.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const argv = process.argv.slice(2);
const interrupt = new AbortController();
// `run` and `lab` end in their own way; `decode` and `config` may wait for standard input, where no handler would run.
if (!['run', 'lab', 'decode', 'config'].includes(argv[0])) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => interrupt.abort());
}

process.exitCode = await cli.main(argv, {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: interrupt.signal,
});
