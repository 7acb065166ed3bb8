export { Compartment, type CompartmentOptions, NO_INTERFACE } from './compartment.ts';
export type {
  CompartmentCounters,
  CompartmentLimits,
  InterfaceConfig,
  InterfaceCounters,
  InterfaceKind,
  InterfaceView,
  PingRequest,
  PingResult,
  Route,
  RouteExplanation,
  RouteOrigin,
  Sink,
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
