/** `ping`: from inside a tenant's compartment. */
import { envelope } from '../api/envelope.ts';
import type { PingStatus } from '../gateway/status.ts';
import { clientFor } from './client.ts';
import { type Call, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { requiredTenant } from './status.ts';
import { printable } from './text.ts';

/** Exit 0 when anything answered. */
export async function ping(call: Call): Promise<number> {
  const { count, interval, timeout, size, ttl, source } = call.options;
  const destination = call.args[0]!;
  const order = { destination, source, count, intervalMs: interval, timeoutMs: timeout, size, ttl };
  const path = `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/ping`;
  const results: PingStatus[] = [];
  for await (const result of clientFor(call).stream<PingStatus>(path, order)) {
    results.push(result);
    if (!wantsJson(call)) printLines(call.io.stdout, [pingLine(result)]);
  }
  if (wantsJson(call)) printJson(call.io, envelope('ping', results));
  else printLines(call.io.stdout, summaryLines(results));
  return results.some(({ outcome }) => outcome === 'reply') ? EXIT.ok : EXIT.error;
}

export function pingLine({ sequence, from, outcome, milliseconds, octets, why }: PingStatus): string {
  if (outcome === 'reply') return `${octets} octets from ${from}: sequence ${sequence}, ${milliseconds?.toFixed(2)} ms`;
  return printable(`sequence ${sequence}: ${outcome}${why === undefined ? '' : `: ${why}`}`);
}

export function summaryLines(results: readonly PingStatus[]): string[] {
  const times = results.flatMap((r) => (r.outcome === 'reply' && r.milliseconds !== null ? [r.milliseconds] : []));
  const lost = results.length === 0 ? 0 : Math.round((100 * (results.length - times.length)) / results.length);
  const counts = `${results.length} sent, ${times.length} answered, ${lost} % lost`;
  if (times.length === 0) return [counts];
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length;
  const [least, most] = [Math.min(...times), Math.max(...times)];
  return [`${counts}; least ${least.toFixed(2)}, mean ${mean.toFixed(2)}, most ${most.toFixed(2)} ms`];
}
