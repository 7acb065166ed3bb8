/** What `bulkhead lab` prints: tables of tunnels and traffic, and what they prove, in plain words. */
import type { ExchangeResult, ScenarioResult } from '../lab/index.ts';
import * as text from './text.ts';

export function labLines(result: ScenarioResult, palette: text.Palette): string[] {
  return [
    'One gateway, two tenants with the same addresses, a tunnel from each to its own site.',
    '',
    ...tunnelLines(result, palette),
    '',
    ...trafficLines(result.exchanges, palette),
    '',
    ...proofLines(result, palette),
    ...result.problems.map((problem) => `${palette.bad('✗')} ${text.printable(problem)}`),
  ];
}

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
    ...['TRAFFIC', 'TENANT', 'FROM', 'TO'].map((title) => ({ title })),
    ...['OCTETS', 'SENT', 'ANSWERED', 'LEAST', 'MEAN', 'MOST'].map((title) => ({ title, align: 'right' as const })),
  ];
  const rows = exchanges.map((e): text.Cell[] => [
    ...[e.what, e.tenant, e.from, e.to, e.size, e.sent],
    { text: String(e.answered), style: e.answered === e.sent ? palette.good : palette.warn },
    ...[e.leastMs, e.meanMs, e.mostMs].map(milliseconds),
  ]);
  return text.table(columns, rows, palette);
}

function proofLines({ mtu, isolation, stranger, rekeys, exchanges }: ScenarioResult, palette: text.Palette): string[] {
  const proof = (topic: string, good: boolean, words: string): string =>
    good ? `${palette.good('✓')} ${topic}: ${words}` : `${palette.bad('✗')} ${topic}: not as it should be, see below`;
  const { address, owner, ownerAnswered, stranger: other, strangerAnswered, asked } = stranger;
  const told = mtu.map(({ tenant, told: size }) => `${tenant} ${size}`).join(', ');
  const seen = isolation.map(({ tenant, own }) => `${tenant}’s saw ${own} packets of ${tenant} and none of others`);
  const during = exchanges.filter(({ what }) => what === 'ping during rekeys');
  const lost = during.reduce((sum, { sent, answered }) => sum + sent - answered, 0);
  const outside = during[0]?.lostOutside ?? 0;
  const network = outside === 0 ? '' : `, the outer network dropped ${outside} meanwhile`;
  return [
    proof(
      'large packets',
      mtu.every(({ fits }) => fits),
      `senders with DF were told what fits (${told}), and it does`,
    ),
    proof(
      'rekeys',
      rekeys.every(({ child, ike }) => child && ike),
      `Child SAs and IKE SAs were replaced under traffic, ${lost} pings unanswered${network}`,
    ),
    proof(
      'isolation',
      isolation.every(({ own, foreign }) => own > 0 && foreign === 0),
      `both tenants have hosts ${isolation[0]!.addresses.join(' and ')}; ${seen.join(', ')}`,
    ),
    proof(
      'isolation',
      strangerAnswered === 0 && ownerAnswered > 0,
      `only ${owner}’s site has ${address}; ${owner} got ${ownerAnswered} of ${asked} answers from it, ${other} none`,
    ),
  ];
}

/** What to try while it is up. */
export function invitationLines(api: string, background: string): string[] {
  const commands = [
    'status',
    'connections',
    'sas',
    'ping --tenant contoso 10.2.0.10',
    'ping --tenant contoso 10.2.0.20 -n 2',
    'routes --tenant woodgrove --explain 10.2.0.20',
    'connections rekey contoso/site --wait',
    'keys on',
  ];
  return [
    '',
    `The lab stays up${background}. Ctrl-C ends it. Try in another terminal:`,
    ...commands.map((command) => `  npx bulkhead ${command} --api ${api}`),
  ];
}

const milliseconds = (value: number | null): string => (value === null ? '-' : `${value.toFixed(1)} ms`);
