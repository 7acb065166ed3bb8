/** What `bulkhead lab` prints: a picture, tables of tunnels and traffic, and what was checked, in plain words. */
import type { Check, ExchangeResult, ExplanationResult, ScenarioResult } from '../lab/index.ts';
import * as text from './text.ts';
import { stageLines } from './trace.ts';

export function labLines(result: ScenarioResult, palette: text.Palette): string[] {
  const { title, tunnels, exchanges, explanations, checks } = result;
  return [
    `Two tenants with the same addresses. ${title}`,
    '',
    ...pictureLines(result),
    '',
    ...(tunnels.length === 0 ? [] : [...tunnelLines(result, palette), '']),
    ...trafficLines(exchanges, palette),
    '',
    ...explanations.flatMap((explanation) => [...explanationLines(explanation, palette), '']),
    ...checks.flatMap((check) => checkLines(check, palette)),
  ];
}

/** The tenants' machines on their hosts, and whom they reach. */
function pictureLines({ tunnels }: ScenarioResult): string[] {
  const sites = tunnels.map(({ tenant, remoteAddress }) => `${tenant}’s site ${remoteAddress}`);
  const ends = ['server 198.51.100.80', ...sites];
  if (ends.length === 1) ends.unshift('');
  const branches = [
    ['', '─'],
    ['┌', '┴'],
    ['┌', '┼', '└'],
  ][sites.length]!;
  return HOSTS.map((host, i) => {
    const end = ends[i] ?? '';
    return (end === '' ? host : `${host.padEnd(HOSTS[1].length)}${branches[i]}─ ${end}`).trimEnd();
  });
}

const HOSTS = [
  '  contoso web, woodgrove web  host1 ─┐',
  '  contoso db,  woodgrove app  host2 ─┼─ 192.168.50.0/24 ─ gw ─ external network ─',
  '  contoso app, woodgrove db   host3 ─┘',
] as const;

function tunnelLines({ tunnels }: ScenarioResult, palette: text.Palette): string[] {
  const columns = ['TUNNEL', 'STATE', 'GATEWAY', 'SITE', 'IKE SA', 'CHILD SA'].map((title) => ({ title }));
  const rows = tunnels.map((c): text.Cell[] => {
    const child = c.childSas.at(-1);
    return [
      `${c.tenant}/${c.name}`,
      text.stateCell(c.state, c.lastFailure !== undefined, palette),
      ...[c.localAddress, c.remoteAddress, c.ikeSas.at(-1)?.suite || '-'],
      child === undefined ? '-' : `${child.suite}${child.esn ? ' esn' : ''}`,
    ];
  });
  return text.table(columns, rows, palette);
}

function trafficLines(exchanges: readonly ExchangeResult[], palette: text.Palette): string[] {
  const columns: text.Column[] = [
    ...['TRAFFIC', 'WAY', 'TENANT', 'FROM', 'TO'].map((title) => ({ title })),
    ...['OCTETS', 'SENT', 'ANSWERED', 'LEAST', 'MEAN', 'MOST'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = exchanges.map((e): text.Cell[] => [
    ...[e.what, e.way, e.tenant, e.from, e.to, e.size, e.sent],
    { text: String(e.answered), style: e.answered === e.sent ? palette.good : palette.warn },
    ...[e.leastMs, e.meanMs, e.mostMs].map(milliseconds),
  ]);
  return text.table(columns, rows, palette);
}

function explanationLines(explanation: ExplanationResult, palette: text.Palette): string[] {
  const { fault, command, answer, advice, trace } = explanation;
  return [
    `${palette.bold(text.printable(fault))}  ${palette.dim(`(bulkhead ${command})`)}`,
    ...answer.map((line) => `    ${text.printable(line)}`),
    ...(trace.length === 0 ? [] : stageLines(trace, palette)),
    ...(advice === null ? [] : [`  → ${text.printable(advice)}`]),
  ];
}

function checkLines({ topic, words, problems }: Check, palette: text.Palette): string[] {
  if (problems.length === 0) return [`${palette.good('✓')} ${topic}: ${text.printable(words)}`];
  return problems.map((problem) => `${palette.bad('✗')} ${topic}: ${text.printable(problem)}`);
}

/** What to try while it is up. */
export function invitationLines(api: string, background: string, result: ScenarioResult): string[] {
  return [
    '',
    `The lab stays up${background}. Ctrl-C ends it. Try in another terminal:`,
    ...commandsFor(result).map((command) => `  npx bulkhead ${command} --api ${api}`),
  ];
}

function commandsFor({ tunnels, outside, explanations }: ScenarioResult): string[] {
  const sited = explanations.length > 0 ? undefined : tunnels.at(-1)?.tenant;
  const nat = outside.find(({ external }) => external !== null)?.tenant;
  const site = (tenant: string): string[] => [
    'connections',
    'sas',
    `ping --tenant ${tenant} 10.2.0.10`,
    `routes --tenant ${tenant} --explain 10.2.0.10`,
    `trace --tenant ${tenant} --from 10.1.0.10 'icmp 10.1.0.10 > 10.2.0.10'`,
    `connections rekey ${tenant}/site --wait`,
    'keys on',
  ];
  const out = outside.map(
    ({ tenant }) => `trace --tenant ${tenant} --from 10.1.0.10 'udp 10.1.0.10:5000 > 198.51.100.80:53'`,
  );
  return [
    'status',
    'tenants',
    'nvgre',
    'ping --tenant contoso 10.1.0.20 -n 2',
    ...(nat === undefined ? [] : ['nat', `nat sessions --tenant ${nat}`]),
    ...(explanations.length > 0 ? explanations.map(({ command }) => command.replace(/icmp .*/, "'$&'")) : out),
    ...(sited === undefined ? [] : site(sited)),
  ];
}

const milliseconds = (value: number | null): string => (value === null ? '-' : `${value.toFixed(1)} ms`);
