/** The data plane on its own: what a worker hosts, and what control keeps a likeness of. */
export {
  type Cells,
  LocalCells,
  NAT_REFUSED_AT,
  NO_SLOT,
  POOL_AT,
  SharedCells,
  SLOT_CELLS,
  SLOTS,
  SlotBook,
  SMALL_CELLS,
} from './cells.ts';
export type * from './contract.ts';
export { DataPlane, type DataPlaneOptions } from './plane.ts';
export { holderOf, isRepeated, REFUSED, type RepeatedKind } from './repeated.ts';
export { MOST_CHANGES, RouteBatch } from './route-batch.ts';
export { OUTER_MTU, type PlaneSa, type PlaneTunnel, UNKNOWN_MTU, WAITING_PACKETS } from './tunnel.ts';
