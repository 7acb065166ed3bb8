export { RUN_FIRST } from './burst-queue.ts';
export { readSaCells, SA_CELL, SA_CELLS, type SaCounters } from './cells.ts';
export type * from './contract.ts';
export { type IvWriter, ivWriter } from './iv.ts';
export { SIGNAL, Usage } from './lifetime.ts';
export { OpenQueue } from './open-queue.ts';
export { type Carrier, combineEcn, ECN, innerMtu, outerDf, outerLength, outerTos } from './outer.ts';
export {
  alignmentOf,
  checkLength,
  decapsulate,
  ESP_HEADER_LENGTH,
  encapsulate,
  type Measures,
  NEXT_HEADER,
  protectedLength,
  runLength,
  sequenceOf,
  spiOf,
  stripTrailer,
  TRAILER_LENGTH,
} from './packet.ts';
export { open, seal, sealDummy } from './processing.ts';
export { DEFAULT_REPLAY_WINDOW, MAX_REPLAY_WINDOW, MIN_REPLAY_WINDOW, ReplayWindow } from './replay.ts';
export { FIRST_SPI, InboundSa, OutboundSa, Sad } from './sad.ts';
export { SealQueue } from './seal-queue.ts';
export {
  highHalf,
  LAST_EXTENDED_SEQUENCE,
  LAST_SEQUENCE,
  lastSequence,
  lowHalf,
  recoverSequence,
  SEQUENCE_MARGIN,
  SequenceCounter,
  type SequenceSource,
} from './sequence.ts';
export { classify, DATAGRAM, KEEPALIVE_OCTET, NAT_T_PORT, NON_ESP_MARKER_LENGTH } from './udp.ts';
