/**
 * The lab as a library: gateways, hosts and networks in one process and in virtual time, repeatable from a seed.
 *
 * ```ts
 * const lab = new Lab({ random: seededRandom(2), conditions: { loss: 0.05 } });
 * const ping = lab.hosts.contoso.vm.ping(parseAddress('10.2.0.10')!);
 * lab.timeline.runUntil(() => ping.outcome !== 'waiting', 5_000);
 * ping.outcome; // 'reply', after the repetition of an IKE message that the network lost
 * ```
 */
export { Capture, type CaptureOptions, type Tappable } from './capture.ts';
export { EthernetLink, type EthernetLinkOptions } from './ethernet.ts';
export { GatewayNode, type GatewayNodeOptions, type KeyRow } from './gateway-node.ts';
export {
  describeHost,
  ECHO_PORT,
  Host,
  type HostCounters,
  type HostLink,
  type HostOptions,
  type HostPing,
  OUTSIDE,
  type Query,
} from './host.ts';
export { Hoster, type HosterOptions, type TenantMachines } from './hoster.ts';
export type { HosterFaults, HosterPlan, HostName, TenantPlan, VmPlan } from './hoster-documents.ts';
export type { Check } from './judgement.ts';
export { Nat } from './nat.ts';
export { CLEAN, type Conditions, type NetworkCounters, type Outer, OuterNetwork, type Receive } from './network.ts';
export {
  type ExchangeResult,
  type ExplanationResult,
  hosterOf,
  type IsolationResult,
  type MtuResult,
  type OutsideResult,
  type OverlapResult,
  type RekeyResult,
  runScenario,
  SCENARIO_NAMES,
  SCENARIOS,
  type ScenarioName,
  type ScenarioOptions,
  type ScenarioResult,
  type StrangerResult,
  type UninvitedResult,
} from './scenario.ts';
export { Segment } from './segment.ts';
export { Timeline } from './timeline.ts';
export {
  gatewayDocument,
  Lab,
  type LabOptions,
  PRINTER,
  resolveDocument,
  SITE,
  sitesDocument,
  TENANTS,
  type TenantHosts,
  type TenantName,
  VM,
} from './topology.ts';
