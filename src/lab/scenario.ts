/**
 * What the lab shows, scenario by scenario: how the tenants are let out, and the steps that are gone through. Results are data;
 * `checks` says in words what they prove, and `problems` is empty when everything is as it should be.
 *
 * An unanswered packet is as it should be only where the external network lost one meanwhile, or where it must not be answered.
 */
import type { Millis, Random } from '../core/index.ts';
import type { ConnectionStatus, TraceStage } from '../gateway/index.ts';
import { explainFaults } from './explanations.ts';
import { Hoster, type HosterOptions } from './hoster.ts';
import type { HosterFaults, HosterPlan } from './hoster-documents.ts';
import { type Check, checksOf } from './judgement.ts';
import * as steps from './steps.ts';
import { TENANTS, type TenantName } from './topology.ts';

/** How packets of an exchange go. */
export type WayWord = 'bridged' | 'routed' | 'tunnel' | 'NAT' | 'direct' | 'NAT rule' | 'hairpin';

export interface ExchangeResult {
  readonly what:
    | 'virtual network'
    | 'first packet'
    | 'ping'
    | 'UDP'
    | 'large ping'
    | 'both at once'
    | 'from outside'
    | 'ping during rekeys';
  readonly way: WayWord;
  readonly tenant: TenantName;
  readonly from: string;
  readonly to: string;
  /** Octets of data. */
  readonly size: number;
  readonly sent: number;
  readonly answered: number;
  /** Packets the external network lost in the same phase, whoever's they were. */
  readonly lostOutside: number;
  readonly leastMs: Millis | null;
  readonly meanMs: Millis | null;
  readonly mostMs: Millis | null;
}

/** As whom the server saw a tenant's machines. */
export interface OutsideResult {
  readonly tenant: TenantName;
  /** The external address of its NAT; null: it has none, and is seen as it is. */
  readonly external: string | null;
  readonly seenAs: readonly string[];
}

/** Datagrams from outside for a port of a NAT that no rule and no session has. */
export interface UninvitedResult {
  readonly tenant: TenantName;
  readonly external: string;
  readonly sent: number;
  /** Those that the gateway counts as `natNoSession`. */
  readonly refused: number;
}

/** A document by which both tenants were routed directly. */
export interface OverlapResult {
  readonly refused: boolean;
  /** The first issue. */
  readonly why: string | null;
}

export interface MtuResult {
  readonly tenant: TenantName;
  /** What the gateway said would fit, in octets of the packet; null when it said nothing. */
  readonly told: number | null;
  /** Whether a packet of exactly that many octets got through. */
  readonly fits: boolean;
}

export interface IsolationResult {
  readonly tenant: TenantName;
  /** The addresses of its machines that the other tenant has, too. */
  readonly addresses: readonly string[];
  /** Data of its own that reached its machines. */
  readonly own: number;
  /** Data of other tenants that did. */
  readonly foreign: number;
}

/** An address only one tenant has, asked from both. */
export interface StrangerResult {
  readonly address: string;
  readonly owner: TenantName;
  readonly ownerAnswered: number;
  readonly stranger: TenantName;
  readonly strangerAnswered: number;
  readonly asked: number;
}

export interface RekeyResult {
  readonly tenant: TenantName;
  readonly child: boolean;
  readonly ike: boolean;
}

/** Something that is wrong on purpose, and what Bulkhead says about it. */
export interface ExplanationResult {
  readonly fault: string;
  /** Where an operator reads it. */
  readonly command: string;
  /** What must be said: each of these stands in `answer`. */
  readonly expected: readonly string[];
  readonly answer: readonly string[];
  /** The next step, where one is said. */
  readonly advice: string | null;
  readonly trace: readonly TraceStage[];
}

export interface ScenarioResult {
  readonly scenario: ScenarioName;
  readonly title: string;
  /** Of `gw`, at the end. */
  readonly tunnels: readonly ConnectionStatus[];
  readonly exchanges: readonly ExchangeResult[];
  readonly outside: readonly OutsideResult[];
  readonly uninvited: readonly UninvitedResult[];
  readonly overlap: OverlapResult | null;
  readonly mtu: readonly MtuResult[];
  readonly rekeys: readonly RekeyResult[];
  readonly isolation: readonly IsolationResult[];
  readonly stranger: StrangerResult;
  readonly explanations: readonly ExplanationResult[];
  /** What was checked, in words. */
  readonly checks: readonly Check[];
  /** Of all checks: what is not as it should be. */
  readonly problems: readonly string[];
}

export interface ScenarioOptions extends Omit<HosterOptions, 'plan' | 'faults'> {
  readonly random: Random;
  /** More faults than the scenario has. */
  readonly faults?: HosterFaults;
}

/** The world of a scenario, switched on. */
export const hosterOf = (name: ScenarioName, { faults, ...options }: ScenarioOptions): Hoster =>
  new Hoster({ ...options, plan: SCENARIOS[name].plan, faults: { ...SCENARIOS[name].faults, ...faults } });

/** In a world of that scenario: about ten virtual seconds where nothing is lost. */
export function runScenario(name: ScenarioName, lab: Hoster): ScenarioResult {
  const { title, faults } = SCENARIOS[name];
  const exchanges = [
    ...steps.acrossVirtualNetworks(lab),
    ...steps.firstPackets(lab, faults),
    ...steps.outwards(lab, faults),
    ...steps.fromOutside(lab),
  ];
  const sited = TENANTS.filter((tenant) => steps.hasTunnel(lab, tenant, faults));
  const explanations = faults === undefined ? [] : explainFaults(lab, faults);
  const uninvited = steps.askUninvited(lab);
  const overlap = TENANTS.some((tenant) => lab.plan[tenant].direct === true) ? steps.overlappingDocument() : null;
  const mtu = sited.map((tenant) => steps.findMtu(lab, tenant));
  const stranger = steps.askStranger(lab);
  const { rekeys, during } = steps.rekeyUnderTraffic(lab, sited);
  const facts = {
    scenario: name,
    title,
    tunnels: lab.gw.gateway.connections(lab.timeline.now),
    exchanges: [...exchanges, ...during],
    outside: steps.seenOutside(lab),
    ...{ uninvited, overlap, mtu, rekeys },
    isolation: TENANTS.map((tenant) => steps.isolationOf(lab, tenant)),
    stranger,
    explanations,
  };
  const checks = checksOf(facts);
  return { ...facts, checks, problems: checks.flatMap(({ problems }) => problems) };
}

interface Scenario {
  /** One sentence. */
  readonly title: string;
  readonly plan: HosterPlan;
  readonly faults?: HosterFaults;
}

export const SCENARIO_NAMES = ['hybrid', 'nat', 'vpn', 'direct', 'broken'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

const CHOSEN = '203.0.113.60';

export const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  hybrid: {
    title: 'contoso leaves by NAT; woodgrove has a tunnel to its site, and NAT for all else.',
    plan: { contoso: { nat: 'auto' }, woodgrove: { nat: CHOSEN, site: true } },
  },
  nat: {
    title: 'Each tenant leaves by NAT behind an external address of its own.',
    plan: { contoso: { nat: 'auto' }, woodgrove: { nat: CHOSEN } },
  },
  vpn: {
    title: 'Each tenant has a tunnel to a site of its own, and the sites have the same addresses, too.',
    plan: { contoso: { site: true }, woodgrove: { site: true } },
  },
  direct: {
    title: 'contoso is routed to the external network as it is; woodgrove has the same addresses and leaves by NAT.',
    plan: { contoso: { direct: true }, woodgrove: { nat: CHOSEN } },
  },
  broken: {
    title: 'Three things are wrong on purpose: algorithms, a secret, a lookup record.',
    plan: { contoso: { nat: 'auto', site: true }, woodgrove: { nat: CHOSEN, site: true } },
    faults: { proposal: 'contoso', secret: 'woodgrove', record: 'contoso' },
  },
};
