/** `status`, `tenants`, `routes`, `sas`: looking at the gateway. */
import type { SaStatus } from '../api/backend.ts';
import { envelope } from '../api/envelope.ts';
import type {
  BgpMemoryStatus,
  GatewayStatus,
  InterfaceStatus,
  RouteExplanationStatus,
  RouteStatus,
  TenantStatus,
  WorkerStatus,
} from '../gateway/status.ts';
import { clientFor } from './client.ts';
import { type Call, CliError, EXIT, printJson, printLines, wantsJson } from './io.ts';
import { queryOf, sayMore } from './page.ts';
import * as text from './text.ts';

export async function showStatus(call: Call): Promise<number> {
  const items = await clientFor(call).call<GatewayStatus>('GET', '/v1/status');
  const status = items[0]!;
  if (wantsJson(call)) printJson(call.io, envelope('status', items));
  else printLines(call.io.stdout, statusLines(status, text.paletteFor(call.io)));
  return status.state === 'degraded' ? EXIT.degraded : EXIT.ok;
}

/** Problems first: whoever asks for the status wants to know them. */
export function statusLines(status: GatewayStatus, palette: text.Palette): string[] {
  const { connections: c, packets, workers, countersRefused } = status;
  const style = status.state === 'ok' ? palette.good : palette.bad;
  const failed = c.failed > 0 ? `, ${c.failed} failed` : '';
  const drops = text.formatDrops(status.drops);
  const listen = status.listen.map(({ address, port, carrier }) =>
    carrier === 'udp' ? `udp ${address.includes(':') ? `[${address}]` : address}:${port}` : `ESP ${address}`,
  );
  const rows: readonly (readonly [string, string])[] = [
    ['tenants', String(status.tenants)],
    ['connections', `${c.total}: ${c.up} up${failed}`],
    ['IKE SAs', `${status.ikeSas}, ${status.halfOpen} half-open`],
    ['Child SAs', String(status.childSas)],
    ['listens on', listen.length === 0 ? 'nothing' : listen.join(', ')],
    ['packets', text.formatPackets(packets)],
    ['crypto', status.engine],
    ...(status.bgp === undefined ? [] : [['BGP', bgpWords(status.bgp)] as const]),
    ...(status.memoryBytes === undefined ? [] : [['memory', text.formatOctets(status.memoryBytes)] as const]),
    ...(drops === '' ? [] : [['drops', drops] as const]),
    ...(countersRefused === 0 ? [] : [['counters', `no room for ${countersRefused}: shown as 0`] as const]),
    ...workers.filter(({ thread }) => thread === 'own').map(workerRow),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...status.problems.flatMap((problem) => text.problemLines(problem, palette)),
    ...(status.problems.length > 0 ? [''] : []),
    `${palette.bold(text.printable(status.name))}  ${style(status.state)}  up ${text.formatSeconds(status.upSeconds)}, bulkhead ${status.version}`,
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${text.printable(value)}`),
  ];
}

function bgpWords({ routers, attributeOctets, attributeLimit, sessionsEnded }: BgpMemoryStatus): string {
  const of = `${text.formatOctets(attributeOctets)} of ${text.formatOctets(attributeLimit)}`;
  const ended = sessionsEnded === 0 ? '' : `; ${sessionsEnded} sessions ended for more`;
  return `path attributes ${of}, ${routers} ${routers === 1 ? 'router' : 'routers'}${ended}`;
}

function workerRow(status: WorkerStatus): readonly [string, string] {
  const { worker, state, engine, restarts = 0, tenants, packets, drops } = status;
  const parts = [
    `${state}${restarts === 0 ? '' : `, started anew ${restarts} ${restarts === 1 ? 'time' : 'times'}`}`,
    `${tenants} ${tenants === 1 ? 'tenant' : 'tenants'}`,
    `packets ${text.formatPackets(packets)}`,
    `crypto ${engine}`,
  ];
  const dropped = text.formatDrops(drops);
  return [`worker ${worker}`, [...parts, ...(dropped === '' ? [] : [`drops ${dropped}`])].join('; ')];
}

export async function showTenants(call: Call): Promise<number> {
  const tenants = await clientFor(call).call<TenantStatus>('GET', '/v1/tenants');
  if (wantsJson(call)) printJson(call.io, envelope('tenants', tenants));
  else if (tenants.length === 0) printLines(call.io.stderr, ['The document names no tenants.']);
  else printLines(call.io.stdout, tenantLines(tenants, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function tenantLines(tenants: readonly TenantStatus[], palette: text.Palette): string[] {
  const columns = ['TENANT', 'COMPARTMENT', 'INTERFACE', 'KIND', 'STATE', 'ADDRESSES', 'IN', 'OUT', 'OUTSIDE', 'DROPS'];
  const right = new Set(['COMPARTMENT', 'IN', 'OUT']);
  const rows = tenants.flatMap((tenant): text.Cell[][] => {
    const drops = text.formatDrops(tenant.drops);
    const outside = outsideOf(tenant);
    if (tenant.interfaces.length === 0)
      return [[tenant.name, tenant.compartment, '-', '-', '-', '-', '', '', outside, drops]];
    return tenant.interfaces.map((i, n) => [
      n === 0 ? tenant.name : '',
      n === 0 ? tenant.compartment : '',
      i.name,
      i.device === undefined ? i.kind : `${i.kind} ${i.device}`,
      { text: i.state, style: i.state === 'up' ? palette.good : palette.bad },
      i.addresses.join(', ') || '-',
      text.formatOctets(i.rxBytes),
      text.formatOctets(i.txBytes),
      n === 0 ? outside : '',
      n === 0 ? drops : '',
    ]);
  });
  const titles = columns.map((title): text.Column => (right.has(title) ? { title, align: 'right' } : { title }));
  return [...text.table(titles, rows, palette), ...segmentLines(tenants, palette)];
}

const outsideOf = ({ nat, direct }: TenantStatus): string =>
  nat !== undefined ? `NAT ${nat.externalAddress}` : direct ? 'direct' : '-';

/** What came to pass on Ethernet segments, the virtual subnets among them; nothing where there are none. */
function segmentLines(tenants: readonly TenantStatus[], palette: text.Palette): string[] {
  const rows = tenants.flatMap(({ name, interfaces }) =>
    interfaces.flatMap(({ name: by, mac = '', segment, segmentDrops = {} }: InterfaceStatus): text.Cell[][] => {
      if (segment === undefined) return [];
      const { solicitations, answers, resolved, failed, lost, conflicts } = segment;
      const counts = [solicitations, answers, resolved, failed + lost, conflicts];
      return [[name, by, mac, ...counts, text.formatDrops(segmentDrops)]];
    }),
  );
  if (rows.length === 0) return [];
  const numbers = ['ASKED', 'ANSWERED', 'FOUND', 'LOST', 'CONFLICTS'];
  const titles = ['TENANT', 'SEGMENT', 'MAC'].map((title): text.Column => ({ title }));
  const columns = [...titles, ...numbers.map((title) => ({ title, align: 'right' as const })), { title: 'DROPS' }];
  return ['', ...text.table(columns, rows, palette)];
}

export async function showRoutes(call: Call): Promise<number> {
  const tenant = requiredTenant(call);
  const path = `/v1/tenants/${encodeURIComponent(tenant)}/routes`;
  const palette = text.paletteFor(call.io);
  if (typeof call.options.explain === 'string') {
    const query = `${path}?explain=${encodeURIComponent(call.options.explain)}`;
    const items = await clientFor(call).call<RouteExplanationStatus>('GET', query);
    if (wantsJson(call)) printJson(call.io, envelope('route-explanation', items));
    else printLines(call.io.stdout, explanationLines(items[0]!, palette));
    return EXIT.ok;
  }
  const query = queryOf(call, 'prefix', 'origin');
  const routes = await clientFor(call).call<RouteStatus>('GET', `${path}${query}`);
  if (wantsJson(call)) {
    printJson(call.io, envelope('routes', routes));
    return EXIT.ok;
  }
  const rows = routes.map((route): [RouteStatus, string] => [route, route.why]);
  if (rows.length > 0) printLines(call.io.stdout, routeLines(rows, palette));
  else printLines(call.io.stderr, [query === '' ? 'This tenant has no routes.' : 'There are no such routes.']);
  sayMore(call, rows.length);
  return EXIT.ok;
}

export function explanationLines(explanation: RouteExplanationStatus, palette: text.Palette): string[] {
  const chosen = explanation.chosen;
  const lost = explanation.passedOver.map(({ route, why }): [RouteStatus, string] => [route, why]);
  return [
    `${explanation.address}: ${text.printable(explanation.why)}`,
    ...(chosen === null ? [] : ['', ...routeLines([[chosen, chosen.why]], palette)]),
    ...(explanation.among === undefined
      ? []
      : [
          '',
          'shared by flow among',
          ...routeLines(
            explanation.among.map((route) => [route, route.why]),
            palette,
          ),
        ]),
    ...(lost.length === 0 ? [] : ['', 'passed over', ...routeLines(lost, palette)]),
  ];
}

function routeLines(routes: readonly (readonly [RouteStatus, string])[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    { title: 'PREFIX' },
    { title: 'VIA' },
    { title: 'NEXT HOP' },
    { title: 'ORIGIN' },
    { title: 'PREFERENCE', align: 'right' },
    { title: 'METRIC', align: 'right' },
    { title: 'WHY' },
  ];
  return text.table(
    columns,
    routes.map(([r, why]) => [r.prefix, r.via, r.nextHop ?? '-', r.origin, r.preference, r.metric, why]),
    palette,
  );
}

export async function showSas(call: Call): Promise<number> {
  const tenant = call.options.tenant;
  const query = tenant === undefined ? '' : `?tenant=${encodeURIComponent(String(tenant))}`;
  const sas = await clientFor(call).call<SaStatus>('GET', `/v1/sas${query}`);
  if (wantsJson(call)) printJson(call.io, envelope('sas', sas));
  else if (sas.length === 0) printLines(call.io.stderr, ['There are no SAs. See: bulkhead connections']);
  else printLines(call.io.stdout, saLines(sas, text.paletteFor(call.io)));
  return EXIT.ok;
}

export function saLines(sas: readonly SaStatus[], palette: text.Palette): string[] {
  const ike = sas.flatMap((sa) => (sa.sa === 'ike' ? [sa] : []));
  const child = sas.flatMap((sa) => (sa.sa === 'child' ? [sa] : []));
  const ikeColumns = ['IKE SA', 'ROLE', 'STATE', 'SPI I', 'SPI R', 'LOCAL', 'REMOTE', 'NAT', 'REKEY IN', 'SUITE'];
  const childColumns = ['CHILD SA', 'STATE', 'SPI IN', 'SPI OUT', 'LOCAL', 'REMOTE', 'IN', 'OUT', 'REKEY IN', 'SUITE'];
  const titles = (names: readonly string[]): text.Column[] => names.map((title) => ({ title }));
  const soon = (seconds: number | null): string => (seconds === null ? 'never' : text.formatSeconds(seconds));
  const ikeRows = ike.map((sa): text.Cell[] => [
    `${sa.tenant}/${sa.connection}[${sa.id}]`,
    ...[sa.role, sa.state, sa.spiI, sa.spiR, sa.local, sa.remote, sa.nat, soon(sa.rekeySeconds), sa.suite],
  ]);
  const childRows = child.map((sa): text.Cell[] => [
    `${sa.tenant}/${sa.connection}{${sa.id}}`,
    { text: sa.state, style: sa.state === 'active' ? palette.good : palette.dim },
    ...[sa.spiIn, sa.spiOut, sa.local.join(', '), sa.remote.join(', ')],
    ...[text.formatOctets(sa.bytesIn), text.formatOctets(sa.bytesOut), soon(sa.rekeySeconds)],
    `${sa.suite}${sa.esn ? ' esn' : ''} ${sa.carrier}`,
  ]);
  return [
    ...(ike.length === 0 ? [] : text.table(titles(ikeColumns), ikeRows, palette)),
    ...(ike.length > 0 && child.length > 0 ? [''] : []),
    ...(child.length === 0 ? [] : text.table(titles(childColumns), childRows, palette)),
  ];
}

export function requiredTenant(call: Call): string {
  if (typeof call.options.tenant === 'string') return call.options.tenant;
  throw new CliError(EXIT.usage, 'usage', '--tenant is needed', 'See: bulkhead tenants');
}
