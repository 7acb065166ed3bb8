/** What Bulkhead says about what is wrong on purpose, each end by itself. */
import { parseFlow, type TraceStage } from '../gateway/index.ts';
import { DROP_TEXT, parseAddress } from '../ip/index.ts';
import type { GatewayNode } from './gateway-node.ts';
import type { Hoster } from './hoster.ts';
import { DB, GATEWAY_CA, HOSTS, type HosterFaults, recordedHost, SERVER, VMS } from './hoster-documents.ts';
import type { ExplanationResult } from './scenario.ts';
import { ATTEMPTS, settle, tenantOf } from './steps.ts';
import type { TenantName } from './topology.ts';

/** After the tunnels were asked for. */
export function explainFaults(lab: Hoster, { proposal, secret, record }: HosterFaults): ExplanationResult[] {
  return [
    ...(proposal === undefined ? [] : [explainProposal(lab, proposal)]),
    ...(secret === undefined ? [] : [explainSecret(lab, secret)]),
    ...(record === undefined ? [] : [explainRecord(lab, record)]),
  ];
}

const explainProposal = (lab: Hoster, tenant: TenantName): ExplanationResult => ({
  ...explainConnection(lab, tenant),
  fault: `${tenant} and its site have no algorithms in common`,
  expected: ['(NO_PROPOSAL_CHOSEN)', 'encryption differs: ours aes128, theirs aes256gcm16'],
});

const explainSecret = (lab: Hoster, tenant: TenantName): ExplanationResult => ({
  ...explainConnection(lab, tenant),
  fault: `${tenant} and its site have different secrets`,
  expected: ['(AUTHENTICATION_FAILED)', 'the pre-shared keys differ'],
});

/** The one who refuses knows more, and says the next step. */
function explainConnection(lab: Hoster, tenant: TenantName) {
  const [ours, theirs] = [failureAt(lab, lab.gw, tenant), failureAt(lab, lab.sites!, tenant)];
  return {
    command: `connections show ${tenant}/site`,
    answer: [...linesOf('gw', ours), ...linesOf('sites', theirs)],
    advice: theirs?.advice ?? ours?.advice ?? null,
    trace: [],
  };
}

const failureAt = ({ timeline }: Hoster, { gateway }: GatewayNode, tenant: TenantName) =>
  gateway.connections(timeline.now).find((connection) => connection.tenant === tenant)?.lastFailure;

const linesOf = (where: string, failure: ReturnType<typeof failureAt>): string[] =>
  failure === undefined ? [] : [`${where}: ${failure.problem}`, ...failure.lines.map((line) => `  ${line}`)];

/** Its `db` is asked from the gateway, and asks the server: neither arrives, and each loss is counted where it happens. */
function explainRecord(lab: Hoster, tenant: TenantName): ExplanationResult {
  const db = VMS[tenant].find(({ name }) => name === 'db')!;
  const [wrong, right] = [recordedHost(db, true), db.host];
  const drops = (node: GatewayNode, reason: 'spoofed' | 'noRecord'): number =>
    tenantOf(node, tenant).drops[reason] ?? 0;
  const there = lab.hosts.get(wrong)!;
  const [spoofed, noRecord] = [drops(lab.gw, 'spoofed'), drops(there, 'noRecord')];
  const destination = parseAddress(DB)!;
  for (let sequence = 1; sequence <= ATTEMPTS; sequence++) {
    lab.gw.dispatch({ type: 'ping', tenant, request: { destination, id: PING, sequence, size: 56, timeoutMs: 500 } });
    settle(lab, [lab.vm(tenant, 'db').ping(parseAddress(SERVER)!)]);
  }
  const trace = traceOf(lab, tenant, `icmp ${GATEWAY_CA} > ${DB}`);
  const way = trace.find(({ stage }) => stage === 'encapsulation')?.why ?? 'it goes nowhere';
  const counted = (node: GatewayNode, reason: 'spoofed' | 'noRecord', before: number): string =>
    `${reason} ${drops(node, reason) - before}: ${DROP_TEXT[reason]}`;
  return {
    fault: `the gateway’s lookup record has db of ${tenant} at ${wrong}, and it is at ${right}`,
    command: `trace --tenant ${tenant} --from gateway icmp ${GATEWAY_CA} > ${DB}`,
    expected: [`to ${HOSTS[wrong]}: static record`, `noRecord ${ATTEMPTS}: `, `spoofed ${ATTEMPTS}: `],
    answer: [
      `gw: pings for ${DB} go ${way}`,
      `${wrong}: drops them: ${counted(there, 'noRecord', noRecord)}`,
      `gw: drops what ${DB} sends from ${HOSTS[right]}: ${counted(lab.gw, 'spoofed', spoofed)}`,
    ],
    advice: null,
    trace,
  };
}

function traceOf({ gw }: Hoster, tenant: TenantName, packet: string): readonly TraceStage[] {
  let stages: readonly TraceStage[] = [];
  gw.observe((action) => {
    if (action.do === 'traced' && action.query === QUERY) stages = action.stages;
  });
  const order = { tenant, from: 'gateway', flow: parseFlow(packet)!, size: 84, hopLimit: 64, dontFragment: true };
  gw.dispatch({ type: 'trace', query: QUERY, order: { ...order, opens: true } });
  return stages;
}

/** Far from those that the control API counts up. */
const QUERY = -1;
const PING = 0xbad;
