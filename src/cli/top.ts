/**
 * `top`: what passes through the gateway now, again and again: a screen on a terminal, blocks or lines of JSON elsewhere.
 *
 * Leaves to others: the rates (`rates.ts`), what they look like (`top-text.ts`), the terminal (`screen.ts`).
 * Limit: the three answers a look consists of are a few milliseconds apart, and count as one moment.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { envelope } from '../api/envelope.ts';
import type { ConnectionStatus, GatewayStatus, TenantStatus } from '../gateway/status.ts';
import { isoNow, monotonicMillis } from '../runtime/clock.ts';
import { type Client, clientFor } from './client.ts';
import { type Call, CliError, EXIT, type Exit, printLines, wantsJson } from './io.ts';
import { type GatewayRates, type Look, ratesBetween } from './rates.ts';
import { Screen } from './screen.ts';
import * as text from './text.ts';
import { type Order, topLines } from './top-text.ts';

/** Ctrl-C is the way out and exits with 0; a gateway that goes away meanwhile with 4. */
export async function top(call: Call): Promise<Exit> {
  const { interval = DEFAULT_INTERVAL, count = Number.POSITIVE_INFINITY } = call.options as TopOptions;
  const { signal } = call.io;
  const client = clientFor(call);
  const first = await lookAt(client);
  const view = viewFor(call, interval);
  try {
    view.begin(ratesBetween(first, first));
    let before = first;
    for (let shown = 0; shown < count && (await waited(interval * 1000, signal)); shown++) {
      const after = await lookAt(client);
      view.show(ratesBetween(before, after));
      before = after;
    }
    return EXIT.ok;
  } catch (error) {
    if (signal.aborted) return EXIT.ok;
    throw error instanceof CliError && error.exit === EXIT.unreachable ? gone(error) : error;
  } finally {
    view.end();
  }
}

interface TopOptions {
  /** Seconds. */
  readonly interval?: number;
  readonly count?: number;
  readonly sort?: Order;
}

const DEFAULT_INTERVAL = 1;

async function lookAt(client: Client): Promise<Look> {
  const [status, tenants, connections] = await Promise.all([
    client.call<GatewayStatus>('GET', '/v1/status'),
    client.call<TenantStatus>('GET', '/v1/tenants'),
    client.call<ConnectionStatus>('GET', '/v1/connections'),
  ]);
  return { at: monotonicMillis(), moment: isoNow(), status: status[0]!, tenants, connections };
}

/** Where the rates go. `begin` has none yet, but everything else. */
interface View {
  begin(rates: GatewayRates): void;
  show(rates: GatewayRates): void;
  end(): void;
}

function viewFor(call: Call, interval: number): View {
  const { stdout, env } = call.io;
  const { sort = 'traffic' } = call.options as TopOptions;
  if (wantsJson(call)) {
    const show = (rates: GatewayRates): unknown => stdout.write(`${JSON.stringify(envelope('rates', [rates]))}\n`);
    return { begin() {}, show, end() {} };
  }
  const palette = text.paletteFor(call.io);
  const block = (rates: GatewayRates): string[] => topLines(rates, sort, palette);
  if (stdout.isTTY !== true || env.TERM === 'dumb') {
    const show = (rates: GatewayRates): void => printLines(stdout, [rates.moment, ...block(rates), '']);
    return { begin() {}, show, end() {} };
  }
  const screen = new Screen(stdout);
  const footer = (words: string): string[] => ['', palette.dim(`${words}; Ctrl-C ends`)];
  return {
    begin: (rates) => screen.show([...block(rates), ...footer(`the first rates come in ${interval} s`)]),
    show: (rates) => screen.show([...block(rates), ...footer(`over the last ${rates.seconds.toFixed(1)} s`)]),
    end: () => screen.close(),
  };
}

/** False: interrupted. */
async function waited(millis: number, signal: AbortSignal): Promise<boolean> {
  try {
    await pause(millis, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}

const gone = ({ message }: CliError): CliError =>
  new CliError(
    EXIT.unreachable,
    'unreachable',
    `the gateway went away: ${message}`,
    'Its log says why it ended: bulkhead run writes it to standard error.',
  );
