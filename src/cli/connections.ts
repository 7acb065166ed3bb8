/** `connections`: the list, one in detail with its last failure, and the commands up, down, rekey. */
import type { CommandStatus } from '../api/backend.ts';
import { envelope } from '../api/envelope.ts';
import type { ChildSaStatus, ConnectionStatus, IkeSaStatus } from '../gateway/status.ts';
import { type Client, clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import * as text from './text.ts';

export async function listConnections(call: Call): Promise<number> {
  const connections = await listed(call, clientFor(call));
  if (wantsJson(call)) {
    printJson(call.io, envelope('connections', connections));
    return EXIT.ok;
  }
  const failures = connections.flatMap((c) => (hasFailed(c) ? [c.lastFailure!] : []));
  printLines(
    call.io.stderr,
    failures.flatMap((f) => text.problemLines(f, text.paletteFor(call.io, call.io.stderr))),
  );
  if (connections.length === 0) printLines(call.io.stderr, ['There are no connections.']);
  else printLines(call.io.stdout, connectionLines(connections, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function connectionLines(connections: readonly ConnectionStatus[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    { title: 'CONNECTION' },
    { title: 'STATE' },
    { title: 'START' },
    { title: 'LOCAL' },
    { title: 'REMOTE' },
    { title: 'IN', align: 'right' },
    { title: 'OUT', align: 'right' },
    { title: 'WHY' },
  ];
  const rows = connections.map((c): text.Cell[] => [
    `${c.tenant}/${c.name}`,
    text.stateCell(c.state, hasFailed(c), palette),
    ...[c.start, c.localAddress, c.remoteAddress],
    text.formatOctets(c.childSas.reduce((sum, sa) => sum + sa.bytesIn, 0)),
    text.formatOctets(c.childSas.reduce((sum, sa) => sum + sa.bytesOut, 0)),
    c.why,
  ]);
  return text.table(columns, rows, palette);
}

/** Exit 3 when the connection is not up and something went wrong. */
export async function showConnection(call: Call): Promise<number> {
  const client = clientFor(call);
  const { tenant, name } = await named(call, client);
  const items = await client.call<ConnectionStatus>('GET', pathOf(tenant, name));
  const connection = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('connections', items));
  else printLines(call.io.stdout, detailLines(connection, text.paletteFor(call.io)));
  return hasFailed(connection) ? EXIT.degraded : EXIT.ok;
}

export function detailLines(c: ConnectionStatus, palette: text.Palette): string[] {
  const failure = c.lastFailure;
  const state = text.stateCell(c.state, hasFailed(c), palette);
  const shown = typeof state === 'object' ? state.style(state.text) : String(state);
  const ago = failure === undefined ? '' : `${text.formatSeconds(failure.secondsAgo)} ago`;
  const problem = failure === undefined ? [] : text.problemLines(failure, palette);
  const rows: readonly (readonly [string, string])[] = [
    ['local', `${c.localAddress} (${c.localId})`],
    ['remote', `${c.remoteAddress} (${c.remoteId})`],
    ['start', c.start],
    ['routes', c.routes.join(', ') || 'none'],
    ['mtu', String(c.mtu)],
    ...(c.waitingPackets > 0 ? [['waiting', `${c.waitingPackets} packets`] as const] : []),
  ];
  return [
    ...(hasFailed(c) ? [...problem, `  ${ago}`, ''] : []),
    `${palette.bold(`${c.tenant}/${c.name}`)}  ${shown}  ${text.printable(c.why)}`,
    ...rows.map(([label, value]) => `  ${label.padEnd(7)}  ${text.printable(value)}`),
    ...c.ikeSas.flatMap(ikeLines),
    ...c.childSas.flatMap(childLines),
    ...(!hasFailed(c) && failure !== undefined
      ? [`  last failure, ${ago}:`, ...problem.map((line) => `  ${line}`)]
      : []),
  ].map((line) => line.trimEnd());
}

function ikeLines(sa: IkeSaStatus): string[] {
  const rekey = sa.rekeySeconds === null ? '' : `, rekey in ${text.formatSeconds(sa.rekeySeconds)}`;
  const nat = sa.nat === 'none' ? 'no NAT' : `NAT ${sa.nat}`;
  return [
    `  IKE SA [${sa.id}]  ${sa.state}, ${sa.role}, ${sa.suite}`,
    `    ${sa.local} - ${sa.remote}, ${nat}, for ${text.formatSeconds(sa.establishedSeconds)}${rekey}`,
    `    SPIs ${sa.spiI} ${sa.spiR}${sa.retransmits > 0 ? `, ${sa.retransmits} retransmissions` : ''}`,
  ].map(text.printable);
}

function childLines(sa: ChildSaStatus): string[] {
  const rekey = sa.rekeySeconds === null ? '' : `, rekey in ${text.formatSeconds(sa.rekeySeconds)}`;
  const drops = text.formatDrops(sa.drops);
  return [
    `  Child SA {${sa.id}}  ${sa.state}, ${sa.suite}${sa.esn ? ' esn' : ''}, ${sa.carrier === 'udp' ? 'ESP in UDP' : 'ESP'}`,
    `    ${sa.local.join(', ')} === ${sa.remote.join(', ')}, for ${text.formatSeconds(sa.installedSeconds)}${rekey}`,
    `    in  ${sa.spiIn}: ${sa.packetsIn} packets, ${text.formatOctets(sa.bytesIn)}, sequence ${sa.sequenceIn}`,
    `    out ${sa.spiOut}: ${sa.packetsOut} packets, ${text.formatOctets(sa.bytesOut)}, sequence ${sa.sequenceOut}`,
    ...(drops === '' ? [] : [`    drops: ${drops}`]),
  ].map(text.printable);
}

export async function command(call: Call, verb: CommandStatus['command']): Promise<number> {
  const client = clientFor(call);
  const { tenant, name } = await named(call, client);
  const wait = typeof call.options.wait === 'number' ? call.options.wait : 0;
  const what = call.options.what;
  const body = { wait, ...(what === undefined ? {} : { what }) };
  const items = await client.call<CommandStatus>('POST', `${pathOf(tenant, name)}/${verb}`, body, wait);
  const result = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('commands', items));
  else tell(call, result);
  return { begun: EXIT.ok, done: EXIT.ok, failed: EXIT.error, timeout: EXIT.timeout }[result.outcome];
}

function tell(call: Call, { command: verb, outcome, why, connection }: CommandStatus): void {
  const label = `${connection.tenant}/${connection.name}`;
  const failure = connection.lastFailure;
  if (outcome === 'failed' && failure !== undefined && failure.problem === why) {
    printLines(call.io.stderr, text.problemLines(failure, text.paletteFor(call.io, call.io.stderr)));
  } else if (outcome === 'begun') {
    printLines(call.io.stderr, [`${label}: ${verb} begun; --wait waits for the outcome`]);
  } else {
    printLines(call.io.stderr, [`${label}: ${verb} ${outcome}: ${text.printable(why)}`]);
  }
  if (outcome === 'timeout') printLines(call.io.stderr, [`  → bulkhead connections show ${label}`]);
}

/** `TENANT/CONNECTION`, or just the connection where only one has that name. */
async function named(call: Call, client: Client): Promise<{ readonly tenant: string; readonly name: string }> {
  const word = call.args[0]!;
  const [first, second, more] = word.split('/');
  if (more !== undefined) throw new CliError(EXIT.usage, 'usage', `${word} is not TENANT/CONNECTION`, '');
  if (second !== undefined) return { tenant: first!, name: second };
  const all = await listed(call, client);
  const found = all.filter(({ name }) => name === word);
  if (found.length === 1) return found[0]!;
  const words = (found.length > 1 ? found : all).slice(0, 20).map((c) => `${c.tenant}/${c.name}`);
  const problem = found.length > 1 ? `several connections are called ${word}` : `there is no connection ${word}`;
  const advice = words.length === 0 ? 'There are none at all.' : `Name one of: ${words.join(', ')}`;
  throw new CliError(EXIT.error, found.length > 1 ? 'ambiguous' : 'not-found', problem, advice);
}

function listed(call: Call, client: Client): Promise<readonly ConnectionStatus[]> {
  const { tenant } = call.options;
  const query = tenant === undefined ? '' : `?tenant=${encodeURIComponent(String(tenant))}`;
  return client.call<ConnectionStatus>('GET', `/v1/connections${query}`);
}

const pathOf = (tenant: string, name: string): string =>
  `/v1/connections/${encodeURIComponent(tenant)}/${encodeURIComponent(name)}`;

/** Down, and not because nobody wants it up. */
const hasFailed = (c: ConnectionStatus): boolean =>
  c.lastFailure !== undefined && c.state !== 'up' && c.state !== 'rekeying';
