/** `trace`: what becomes of a packet, decision by decision. */
import type { LivePacket, TraceStatus } from '../api/backend.ts';
import { envelope } from '../api/envelope.ts';
import { fromHex } from '../core/index.ts';
import type { TraceStage } from '../gateway/index.ts';
import { describePacket } from '../ip/index.ts';
import { clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { requiredTenant } from './status.ts';
import * as text from './text.ts';

/** Exit 1 when the packet would be dropped. */
export async function trace(call: Call): Promise<number> {
  if (call.options.live === true) return live(call);
  const packet = call.args.join(' ');
  if (packet === '')
    throw new CliError(EXIT.usage, 'usage', 'a packet is needed', "Like this: 'tcp 10.1.0.10:5000 > 192.168.7.7:443'");
  const { from, size, ttl, mayFragment, established } = call.options;
  const path = `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/trace`;
  const order = { packet, from, size, ttl, mayFragment, established };
  const items = await clientFor(call).call<TraceStatus>('POST', path, order);
  const traced = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('trace', items));
  else printLines(call.io.stdout, traceLines(traced, text.paletteFor(call.io)));
  return traced.outcome === 'dropped' ? EXIT.error : EXIT.ok;
}

/** Real packets until enough have come, the time is over, or Ctrl-C; exit 0 when any came. */
async function live(call: Call): Promise<number> {
  const palette = text.paletteFor(call.io);
  const shown: LivePacket[] = [];
  let any = false;
  for await (const packet of tapped(call)) {
    any = true;
    if (wantsJson(call)) shown.push(packet);
    else printLines(call.io.stdout, liveLines(packet, palette));
  }
  if (wantsJson(call)) printJson(call.io, envelope('tapped', shown));
  else if (!any) printLines(call.io.stderr, ['No packet came.']);
  return any ? EXIT.ok : EXIT.error;
}

/** Ends with Ctrl-C as with the last one. */
export async function* tapped(call: Call): AsyncGenerator<LivePacket> {
  const { tenant, count, seconds } = call.options;
  try {
    yield* clientFor(call).stream<LivePacket>('/v1/tap', { tenant, count, seconds });
  } catch (error) {
    if (!call.io.signal.aborted) throw error;
  }
}

export function liveLines(
  { time, tenants, outcome, stages, points, missed }: LivePacket,
  palette: text.Palette,
): string[] {
  const [first] = points;
  const packet = first === undefined ? 'a frame' : describePacket(fromHex(first.octets));
  const style = outcome === 'dropped' ? palette.bad : palette.good;
  const gap = missed === 0 ? [] : [palette.warn(`${missed} packets passed unseen`)];
  const where = first === undefined ? '' : ` at ${first.point}`;
  const title = `${time}  ${text.printable(`${packet}${where}, ${tenants.join(', ')}`)}: ${style(OUTCOMES[outcome])}`;
  return [...gap, title, ...stageLines(stages, palette)];
}

export function traceLines({ tenant, packet, from, outcome, stages }: TraceStatus, palette: text.Palette): string[] {
  const style = outcome === 'dropped' ? palette.bad : outcome === 'waits' ? palette.warn : palette.good;
  const title = `${text.printable(`${packet} of ${tenant}, from ${from}`)}: ${style(OUTCOMES[outcome])}`;
  return [title, ...stageLines(stages, palette)];
}

const OUTCOMES = { out: 'sent', local: 'consumed here', waits: 'waits', dropped: 'dropped' } as const;

export function stageLines(stages: readonly TraceStage[], palette: text.Palette): string[] {
  const width = Math.max(...stages.map(({ stage }) => stage.length));
  const margin = ' '.repeat(width + 4);
  return stages.flatMap(({ stage, decision, why, detail, drop, waits }) => {
    const style = drop !== undefined ? palette.bad : waits === true ? palette.warn : palette.bold;
    return [
      `  ${stage.padEnd(width)}  ${style(text.printable(decision))}`,
      `${margin}${text.printable(why)}`,
      ...detail.map((line) => `${margin}${palette.dim(`- ${text.printable(line)}`)}`),
    ];
  });
}
