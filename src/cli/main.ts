/**
 * The command line as a function: arguments and a world in, an exit code out. `bin/bulkhead.js` gives it the real world.
 *
 * Commands are declared in `program.ts` and loaded when called, so that `--help` costs nothing.
 */
import { CommanderError } from 'commander';
import { CliError, EXIT, type Io, printLines, reportError } from './io.ts';
import { createProgram } from './program.ts';

/** `argv` begins after the program's name. Never throws; bugs are printed with their stack. */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes('--json') || /^(1|true|yes|on)$/i.test(io.env.BULKHEAD_JSON ?? '');
  let exit: number = EXIT.ok;
  try {
    const program = await createProgram(argv, io, (code) => {
      exit = code;
    });
    if (argv.length === 0) {
      printLines(io.stderr, [program.helpInformation().trimEnd()]);
      return EXIT.usage;
    }
    await program.parseAsync([...argv], { from: 'user' });
    return exit;
  } catch (error) {
    return failed(error, io, json);
  }
}

function failed(error: unknown, io: Io, json: boolean): number {
  if (error instanceof CliError) {
    reportError(io, error, json);
    return error.exit;
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    const problem = error.message.replace(/^error: /, '');
    // Commander has written its own errors to stderr already.
    if (error.code === 'bulkhead.environment') printLines(io.stderr, [`bulkhead: ${problem}`]);
    const quiet: Io = { ...io, stderr: { write: () => true } };
    if (json) reportError(quiet, new CliError(EXIT.usage, 'usage', problem, 'See --help.'), true);
    return EXIT.usage;
  }
  const { message, stack } = error as Error;
  reportError(io, new CliError(EXIT.error, 'internal', `unexpected: ${message}`, stack ?? ''), json);
  return EXIT.error;
}
