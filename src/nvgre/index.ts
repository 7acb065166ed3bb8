export type {
  CustomerRoute,
  LookupRecord,
  NextHopExplanation,
  NextHopQuery,
  PortConfig,
  PortRole,
  ProviderAddress,
  RecordType,
  RecordView,
  SwitchLimits,
  SwitchSink,
  TenantConfig,
  TenantCounters,
  VirtualSubnet,
} from './contract.ts';
export { readCounters, TENANT_CELLS } from './counters.ts';
export { lowestAddress } from './customer-routes.ts';
export * from './frame.ts';
export { SWITCH_LIMITS } from './limits.ts';
export type { VirtualNetwork } from './network.ts';
export { ROUTER_MAC } from './router.ts';
export { type SwitchOptions, VirtualSwitch } from './switch.ts';
