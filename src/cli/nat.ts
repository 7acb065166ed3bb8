/** `nat`: who is behind which external address, the sessions, and ending them. */
import { envelope } from '../api/envelope.ts';
import type { NatSessionStatus, NatStatus } from '../gateway/status.ts';
import { clientFor } from './client.ts';
import { type Call, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { requiredTenant } from './status.ts';
import * as text from './text.ts';

export async function listNats(call: Call): Promise<number> {
  const { tenant } = call.options;
  const query = tenant === undefined ? '' : `?tenant=${encodeURIComponent(String(tenant))}`;
  const nats = await clientFor(call).call<NatStatus>('GET', `/v1/nat${query}`);
  if (wantsJson(call)) printJson(call.io, envelope('nat', nats));
  else if (nats.length === 0) printLines(call.io.stderr, ['There is no NAT: no tenant has one.']);
  else printLines(call.io.stdout, natLines(nats, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function natLines(nats: readonly NatStatus[], palette: text.Palette): string[] {
  const numbers = ['SESSIONS', 'LIMIT', 'CREATED', 'NO PORT', 'AT LIMIT', 'PACKETS OUT', 'PACKETS IN'];
  const columns: text.Column[] = [
    { title: 'TENANT' },
    { title: 'EXTERNAL' },
    ...numbers.map((title) => ({ title, align: 'right' as const })),
    { title: 'DROPS' },
  ];
  const refused = (count: number): text.Cell => ({
    text: String(count),
    style: count > 0 ? palette.warn : palette.dim,
  });
  const rows = nats.map((nat): text.Cell[] => [
    nat.tenant,
    nat.externalAddress,
    ...[nat.sessions, nat.sessionLimit, nat.created],
    refused(nat.refusedNoPort),
    refused(nat.refusedLimit),
    ...[nat.packetsOut, nat.packetsIn],
    text.formatDrops(nat.drops),
  ]);
  return text.table(columns, rows, palette);
}

export async function showSessions(call: Call): Promise<number> {
  const { inner, remote, protocol, limit } = call.options;
  const words = Object.entries({ inner, remote, protocol, limit }).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(words.map(([name, value]): [string, string] => [name, String(value)])).toString();
  const path = `${pathOf(call)}/sessions${query === '' ? '' : `?${query}`}`;
  const sessions = await clientFor(call).call<NatSessionStatus>('GET', path);
  if (wantsJson(call)) printJson(call.io, envelope('nat-sessions', sessions));
  else if (sessions.length === 0) printLines(call.io.stderr, ['There is no such session.']);
  else printLines(call.io.stdout, sessionLines(sessions, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function sessionLines(sessions: readonly NatSessionStatus[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    ...['PROTOCOL', 'INNER', 'EXTERNAL', 'REMOTE', 'STATE', 'BEGUN'].map((title) => ({ title })),
    ...['ENDS IN', 'OUT', 'IN'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = sessions.map((s): text.Cell[] => [
    ...[s.protocol, s.inner, s.external, s.remote, s.state],
    s.fromOutside ? 'outside' : 'inside',
    text.formatSeconds(s.secondsLeft),
    text.formatOctets(s.octetsOut),
    text.formatOctets(s.octetsIn),
  ]);
  return text.table(columns, rows, palette);
}

export async function flush(call: Call): Promise<number> {
  const { inner, remote, protocol } = call.options;
  const items = await clientFor(call).call<{ readonly tenant: string; readonly sessions: number }>(
    'POST',
    `${pathOf(call)}/flush`,
    { inner, remote, protocol },
  );
  if (wantsJson(call)) printJson(call.io, envelope('nat-flush', items));
  else for (const { sessions } of items) printLines(call.io.stderr, [`${sessions} sessions ended.`]);
  return EXIT.ok;
}

const pathOf = (call: Call): string => `/v1/tenants/${encodeURIComponent(requiredTenant(call))}/nat`;
