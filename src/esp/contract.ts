/**
 * What ESP needs to know of one SA, as plain data. `gateway/` makes it from what IKE negotiated.
 */
import type { Protection } from '../crypto/index.ts';
import type { Endpoint, SelectorMatcher } from '../ip/index.ts';
import type { SequenceSource } from './sequence.ts';

/** Policy for the outer header's DF bit (RFC 4301 §8.1). */
export type DfPolicy = 'copy' | 'set' | 'clear';

export interface SaCommon {
  readonly spi: number;
  /** The door: everything decrypted with this SA belongs to this tunnel and to nothing else. An index of the gateway's. */
  readonly tunnel: number;
  readonly protection: Protection;
  readonly esn: boolean;
  /** Inner source and destination as seen from here; both directions of a Child SA have the same. */
  readonly selectors: SelectorMatcher;
  readonly lifetime: Lifetime;
  /** Where the SA keeps its counters: SA_CELLS numbers, shared memory perhaps. Default: its own. */
  readonly cells?: Float64Array;
}

/** Soft limits ask for a rekey, hard limits stop the SA. Infinity: none. Sequence numbers add a limit of their own. */
export interface Lifetime {
  readonly softBytes: number;
  readonly hardBytes: number;
  readonly softPackets: number;
  readonly hardPackets: number;
}

export interface InboundParameters extends SaCommon {
  /** Packets; 0 switches replay protection off (not with ESN). Default 1024. */
  readonly replayWindow: number;
}

export interface OutboundParameters extends SaCommon {
  readonly localEndpoint: Endpoint;
  readonly remoteEndpoint: Endpoint;
  /** RFC 3948: ESP in UDP between the endpoints' ports; else protocol 50. */
  readonly udpEncapsulation: boolean;
  readonly df: DfPolicy;
  /** RFC 4301 §5.1.2.1: copy the inner DSCP to the outer header (default true). */
  readonly copyDscp: boolean;
  /** Default: numbers of its own. */
  readonly numbers?: SequenceSource;
}
