/** `nvgre`: the lookup table, the counters of the virtual switch, and what it would do with a packet; `neighbours`. */
import { envelope } from '../api/envelope.ts';
import type { NeighbourStatus, NetworkStatus, NextHopStatus, RecordStatus } from '../gateway/status.ts';
import { clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { requiredTenant } from './status.ts';
import * as text from './text.ts';

export async function showRecords(call: Call): Promise<number> {
  const records = await clientFor(call).call<RecordStatus>('GET', `/v1/nvgre/records${ofTenant(call)}`);
  if (wantsJson(call)) printJson(call.io, envelope('nvgre-records', records));
  else if (records.length === 0) printLines(call.io.stderr, ['There are no lookup records.']);
  else printLines(call.io.stdout, recordLines(records, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function recordLines(records: readonly RecordStatus[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    { title: 'TENANT' },
    { title: 'VSID', align: 'right' },
    ...['CA', 'MAC', 'PA', 'TYPE', 'ORIGIN', 'SEEN'].map((title) => ({ title })),
  ];
  const rows = records.map((r): text.Cell[] => [
    ...[r.tenant, r.vsid, r.ca ?? '-', r.mac, r.pa ?? 'here', r.type, r.origin],
    r.seenSecondsAgo === undefined ? '' : `${text.formatSeconds(r.seenSecondsAgo)} ago`,
  ]);
  return text.table(columns, rows, palette);
}

export async function showCounters(call: Call): Promise<number> {
  const networks = await clientFor(call).call<NetworkStatus>('GET', `/v1/nvgre/counters${ofTenant(call)}`);
  if (wantsJson(call)) printJson(call.io, envelope('nvgre-counters', networks));
  else if (networks.length === 0) printLines(call.io.stderr, ['No tenant has a virtual network here.']);
  else printLines(call.io.stdout, counterLines(networks, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function counterLines(networks: readonly NetworkStatus[], palette: text.Palette): string[] {
  const numbers = ['FROM FABRIC', 'TO FABRIC', 'FROM PORTS', 'TO PORTS', 'ROUTED', 'COPIES', 'ANSWERED', 'LEARNED'];
  const columns: text.Column[] = [
    { title: 'TENANT' },
    ...numbers.map((title) => ({ title, align: 'right' as const })),
    { title: 'DROPS' },
  ];
  const rows = networks.map(({ tenant, counters: c, drops }): text.Cell[] => [
    tenant,
    ...[c.fromFabric, c.toFabric, c.fromPorts, c.toPorts, c.routed, c.copies, c.neighboursAnswered, c.learned],
    text.formatDrops(drops),
  ]);
  return text.table(columns, rows, palette);
}

/** Exit 1 where the packet would go nowhere. */
export async function showNextHop(call: Call): Promise<number> {
  const { vsid, from } = call.options;
  if (vsid === undefined || from === undefined)
    throw new CliError(EXIT.usage, 'usage', '--vsid and --from are needed', 'See: bulkhead nvgre records');
  const tenant = encodeURIComponent(requiredTenant(call));
  const query = new URLSearchParams({ vsid: String(vsid), from: String(from), to: call.args[0]! }).toString();
  const path = `/v1/tenants/${tenant}/nvgre/next-hop?${query}`;
  const items = await clientFor(call).call<NextHopStatus>('GET', path);
  const explained = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('nvgre-next-hop', items));
  else printLines(call.io.stdout, nextHopLines(explained, text.paletteFor(call.io)));
  return explained.chosen === null ? EXIT.error : EXIT.ok;
}

export function nextHopLines({ chosen, steps }: NextHopStatus, palette: text.Palette): string[] {
  const place = chosen?.pa ?? (chosen?.port == null ? 'this gateway' : `port ${chosen.port} of this gateway`);
  const answer =
    chosen === null ? palette.bad('nowhere') : palette.good(`VSID ${chosen.vsid}, ${chosen.mac} at ${place}`);
  return [answer, ...steps.map((step) => `  ${text.printable(step)}`)];
}

export async function showNeighbours(call: Call): Promise<number> {
  const path = `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/neighbours`;
  const neighbours = await clientFor(call).call<NeighbourStatus>('GET', path);
  if (wantsJson(call)) printJson(call.io, envelope('neighbours', neighbours));
  else if (neighbours.length === 0) printLines(call.io.stderr, ['No neighbour is known.']);
  else printLines(call.io.stdout, neighbourLines(neighbours, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function neighbourLines(neighbours: readonly NeighbourStatus[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    ...['INTERFACE', 'ADDRESS', 'MAC', 'STATE'].map((title) => ({ title })),
    ...['FOR', 'WAITING'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = neighbours.map(({ interface: by, address, mac, state, forSeconds, waiting }): text.Cell[] => [
    ...[by, address, mac ?? '-'],
    { text: state, style: mac === null ? palette.bad : palette.good },
    text.formatSeconds(forSeconds),
    waiting,
  ]);
  return text.table(columns, rows, palette);
}

function ofTenant(call: Call): string {
  const { tenant } = call.options;
  return tenant === undefined ? '' : `?tenant=${encodeURIComponent(String(tenant))}`;
}
