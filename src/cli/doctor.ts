/** `doctor`: what the host lacks and what that costs. */
import { envelope } from '../api/envelope.ts';
import type { DoctorCheck, DoctorOptions } from '../runtime/doctor.ts';
import { type Call, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { loadDocument } from './loading.ts';
import * as text from './text.ts';

/** Exit 1 with an error among the checks, 3 with a warning. */
export async function showDoctor(call: Call): Promise<number> {
  const { doctor } = await import('../runtime/doctor.ts');
  const checks = await doctor(await optionsOf(call));
  if (wantsJson(call)) printJson(call.io, envelope('doctor', checks));
  else printLines(call.io.stdout, doctorLines(checks, text.paletteFor(call.io)));
  if (checks.some(({ level }) => level === 'error')) return EXIT.error;
  return checks.some(({ level }) => level === 'warning') ? EXIT.degraded : EXIT.ok;
}

/** With a document: where that one would listen. */
async function optionsOf(call: Call): Promise<DoctorOptions> {
  if (typeof call.options.config !== 'string') return {};
  const { document } = await loadDocument(call.io, call.options.config);
  if (document.role === 'host') return {};
  const { addresses, ports } = document.gateway.external;
  return { addresses, ports };
}

/** Errors, then warnings, then what is well. */
export function doctorLines(checks: readonly DoctorCheck[], palette: text.Palette): string[] {
  const order = ['error', 'warning', 'ok'];
  const marks = { error: palette.bad('✗'), warning: palette.warn('!'), ok: palette.good('✓') };
  return checks
    .toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level))
    .flatMap(({ name, level, found, cost, advice }) => [
      `${marks[level]} ${palette.bold(name)}: ${text.printable(found)}`,
      ...(cost === '' ? [] : [`    ${text.printable(cost)}`]),
      ...(advice === '' ? [] : [`  → ${text.printable(advice)}`]),
    ]);
}
