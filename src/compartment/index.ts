export { Compartment, type CompartmentOptions, NO_INTERFACE } from './compartment.ts';
export {
  type CompartmentCounters,
  type CompartmentLimits,
  DISCARD,
  type InterfaceConfig,
  type InterfaceCounters,
  type InterfaceKind,
  type InterfaceView,
  type PingRequest,
  type PingResult,
  ROUTE_ORIGINS,
  type Route,
  type RouteExplanation,
  type RouteOrigin,
  type RouteQuery,
  type Sink,
} from './contract.ts';
export { COMPARTMENT_CELLS, INTERFACE_CELLS, SEGMENT_CELLS } from './counters.ts';
export type { Interface } from './interface.ts';
export { COMPARTMENT_LIMITS, SEGMENT_LIMITS } from './limits.ts';
export { Segment } from './segment.ts';
export type {
  NeighbourState,
  NeighbourView,
  SegmentCounters,
  SegmentLimits,
  SegmentOptions,
  SegmentSink,
} from './segment-contract.ts';
export { TokenBucket } from './token-bucket.ts';
